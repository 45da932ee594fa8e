"""Read what Pillow knows of a picture that our own readers refuse, or whose size they did not find.

Takes an open file. Gives a :class:`Still`: format, size, and the Exif and XMP blocks as they are. Nothing is decoded,
and ``getexif`` is never called: in some PNG it reads all of the file, for seconds.
Fails with: ``Refused``, where Pillow knows no such format, or fails.
Source: https://pillow.readthedocs.io/en/stable/handbook/writing-your-own-image-plugin.html
"""

from __future__ import annotations

import warnings
from typing import IO

import pi_heif  # type: ignore[import-untyped]  # it has no types
from PIL import Image

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif
from mediasluice.identify.readers.still import Still

_NOT_ASKED = frozenset({"EPS", "WMF", "HDF5", "BUFR", "GRIB"})  # run programs, or are no pictures by themselves


def read(file: Opened) -> Still:
    """Read the header of a picture."""
    pi_heif.register_heif_opener()  # does nothing when it has been done
    Image.init()
    with file.stream() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = _opened(stream)
        if image is None:
            raise Refused("no reader knows this format")
        with image:
            container = (image.format or "").lower()
            width, height = image.size
            block, packet = image.info.get("exif"), image.info.get("xmp")
            mime = Image.MIME.get(image.format or "") or f"image/x-{container}"
    facts = None
    if isinstance(block, bytes) and container != "tiff":
        try:
            facts = exif.read(block[6:] if block.startswith(b"Exif\0") else block)
        except Refused:
            facts = None
    return Still(
        container,
        mime,
        width or None,
        height or None,
        exif=facts,
        packet=packet if isinstance(packet, bytes) else b"",
    )


def _opened(stream: IO[bytes]) -> Image.Image | None:
    """Open by the first plugin that can; unlike ``Image.open`` whatever the size is, because nothing is decoded."""
    prefix = stream.read(16)
    failure: Exception | None = None
    for name in Image.ID:
        if name in _NOT_ASKED:
            continue
        factory, accept = Image.OPEN[name]
        try:
            is_accepted: bool | str = accept is None or accept(prefix)
            if is_accepted and not isinstance(is_accepted, str):  # a text says what is missing to read it
                stream.seek(0)
                return factory(stream, b"")
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - plugins raise anything on damaged files
            failure = failure if accept is None else error  # one that takes anything fails at most things
    if failure is not None:
        raise Refused(f"Pillow: {type(failure).__name__}: {failure}")
    return None
