"""Make the two small pictures by which people find a file again, and keep them beside the catalogue.

``make`` runs in isolated processes: it takes an open file and what its reading says, and gives two WebP pictures, of
pictures, films and the covers of music. ``store`` runs where the data directory is written: it takes them and the
BLAKE3 digest of the content, and puts them below that directory under names made of the digest, so that they belong
to every file of that content, wherever it goes.
Fails with: :class:`Refused`, where no picture can be made, with the reason for people; ``OSError`` when storing, and
then nothing is left under either name.

Two sizes: 320 pixels fill a tile of a list on a screen of double density, 1,280 a telephone or a dialogue. Larger ones
are the file itself. Nothing is enlarged. What can be seen through stays so: a page knows its own background, dark or
light, and a logo in black on nothing would be lost on a black one that was chosen here.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, from_json

if TYPE_CHECKING:
    from PIL import Image

# ruff: noqa: PLC0415 - the decoders are loaded by processes that decode, and by no others

SMALL, LARGE = 320, 1280  # pixels of the longer side, chosen: see above
QUALITY = 80  # of WebP, chosen: half a bit a pixel, and no eye tells it from 90 at this size
METHOD = 2  # of WebP's seven, measured: twice as fast as the usual one, 3 % larger

_PARTS = b".part"


class Previews(NamedTuple):
    """Two pictures as WebP. ``width`` and ``height`` in pixels of the large one, as it is shown."""

    small: bytes
    large: bytes
    width: int
    height: int
    note: str | None = None  # what is wrong with the file, where a part of its picture could be seen all the same


def make(file: Opened, media: Media | None) -> Previews:
    """Make both pictures of a file. ``media`` is what its reading says; it may be missing."""
    if file.kind is Kind.IMAGE:
        from mediasluice.identify import stills

        still = stills.decode(file, media, LARGE)
        return _encoded(still.picture, still.note)
    if file.kind is Kind.VIDEO:
        from mediasluice.identify import films

        try:
            return _encoded(films.decode(file, media, LARGE))
        except Refused as refused:
            with contextlib.suppress(Refused):
                return _of_cover(file)
            raise refused from None
    if file.kind is Kind.AUDIO:
        return _of_cover(file)
    raise Refused(f"there is no picture of {file.kind} files")


def make_file(file: Opened, extra: object) -> tuple[bytes, bytes, int, int, str | None]:
    """Make both pictures for the other side of a pipe. ``extra``: the reading as JSON, where there is one."""
    small, large, width, height, note = make(file, from_json(extra).media if isinstance(extra, str) else None)
    return small, large, width, height, note  # plain values: a named tuple cannot cross


def _of_cover(file: Opened) -> Previews:
    from mediasluice.identify import stills
    from mediasluice.identify.readers import audiovisual

    cover = audiovisual.cover(file)
    if cover is None:
        raise Refused("it has no cover")
    try:
        still = stills.decode_bytes(cover, LARGE)
    except Refused as refused:
        raise Refused(f"its cover: {refused}") from None
    return _encoded(still.picture, still.note)


def _encoded(picture: Image.Image, note: str | None = None) -> Previews:
    from mediasluice.identify import stills

    large = _webp(picture)
    is_small = max(picture.size) <= SMALL
    return Previews(large if is_small else _webp(stills.shrunk(picture, SMALL)), large, *picture.size, note)


def _webp(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=QUALITY, method=METHOD)
    return encoded.getvalue()


# --- where they are kept


def path_of(directory: bytes, blake3: bytes, size: int) -> bytes:
    """Where the picture of a content is, if it is stored. ``directory``: the data directory; size: SMALL or LARGE."""
    name = blake3.hex()
    return os.path.join(directory, b"previews", name[:2].encode(), b"%s-%d.webp" % (name.encode(), size))


def store(directory: bytes, blake3: bytes, previews: Previews) -> None:
    """Store both pictures of a content, in place of what is there.

    Nothing is synced: a power cut may take what was made in the last seconds, or leave it empty, but ``is_stored``
    sees that, and it is made again. A sync for each would cost more than to make them.
    """
    wanted = (path_of(directory, blake3, LARGE), previews.large), (path_of(directory, blake3, SMALL), previews.small)
    os.makedirs(os.path.dirname(wanted[0][0]), exist_ok=True)
    written: list[bytes] = []
    try:
        for _, data in wanted:
            written.append(_part(directory))
            with open(written[-1], "xb") as file:
                file.write(data)
        for (path, _), part in zip(wanted, tuple(written), strict=True):
            os.replace(part, path)
            written.append(path)
    except BaseException:
        for path in written:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise


def is_stored(directory: bytes, blake3: bytes) -> bool:
    """Whether both pictures of a content are there, whole."""
    return all(_is_whole(path_of(directory, blake3, size)) for size in (SMALL, LARGE))


def clear_parts(directory: bytes) -> None:
    """Remove what a process has left that died while it stored. Nobody else may be storing meanwhile."""
    place = os.path.join(directory, b"previews")
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(place):
            if name.endswith(_PARTS):
                os.unlink(os.path.join(place, name))


def _part(directory: bytes) -> bytes:
    """A name of nobody else, on the same file system; all of them in one directory, where they are found again."""
    return os.path.join(directory, b"previews", secrets.token_hex(8).encode() + _PARTS)


def _is_whole(path: bytes) -> bool:
    """A file that was cut off, or whose bytes never reached the disk, does not agree with its own header."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(12)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[8:] == b"WEBP" and int.from_bytes(head[4:8], "little") + 8 == size
