"""Draw pictures whose corners say which way they stand, and open them as readers get them."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.identify.opened import Opened
from mediasluice.model.files import Kind

Rgb = tuple[int, int, int]

RED, GREEN, BLUE, YELLOW = (220, 40, 40), (40, 200, 60), (40, 60, 220), (230, 220, 60)
CORNERS = (RED, GREEN, BLUE, YELLOW)  # top left, top right, bottom left, bottom right

_STORED = {  # how a picture that stands upright lies in a file of this Exif orientation; Exif 2.32, 4.6.4
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # Pillow turns against the clock
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
TURNS = {  # Exif orientation as a reading says it: degrees clockwise, flipped before that
    1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True),
    5: (270, True), 6: (90, False), 7: (90, True), 8: (270, False),
}  # fmt: skip


def upright(size: tuple[int, int] = (96, 64), colours: Sequence[Rgb] = CORNERS) -> Image.Image:
    """Four fields of a colour each."""
    width, height = size
    picture = Image.new("RGB", size)
    for number, colour in enumerate(colours):
        left, top = number % 2 * (width // 2), number // 2 * (height // 2)
        picture.paste(colour, (left, top, left + width - width // 2, top + height - height // 2))
    return picture


def stored(picture: Image.Image, orientation: int) -> Image.Image:
    """The same as it lies in a file that says this orientation."""
    return picture.transpose(_STORED[orientation]) if orientation in _STORED else picture


def corners(picture: Image.Image) -> tuple[Rgb, ...]:
    """The colours near the corners, as :data:`CORNERS` has them."""
    rgb = picture.convert("RGB")
    width, height = rgb.size
    places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return tuple(at(rgb, place) for place in places)


def at(picture: Image.Image, place: tuple[int, int]) -> Rgb:
    """The colour at a place."""
    pixel = picture.convert("RGB").getpixel(place)
    assert isinstance(pixel, tuple)
    red, green, blue = pixel
    return (int(red), int(green), int(blue))


def is_near(found: Sequence[Rgb], wanted: Sequence[Rgb], most: int = 14) -> bool:
    """Whether colours agree as far as a lossy coding lets them."""
    pairs = [pair for one, other in zip(found, wanted, strict=True) for pair in zip(one, other, strict=True)]
    return all(abs(ours - theirs) <= most for ours, theirs in pairs)


def encoded(picture: Image.Image, container: str, **options: Any) -> bytes:
    """A picture in a format that Pillow writes."""
    stream = io.BytesIO()
    picture.save(stream, container, **options)
    return stream.getvalue()


def exif(orientation: int) -> Image.Exif:
    """An Exif block that says how to turn."""
    block = Image.Exif()
    block[0x112] = orientation
    return block


@contextlib.contextmanager
def opened(path: Path, content: bytes | None = None, kind: Kind | None = None) -> Iterator[Opened]:
    """A file as readers get it; written first, if there is content."""
    if content is not None:
        path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        name = os.fsencode(path)
        yield Opened(fd, os.fstat(fd).st_size, name, kind or kind_of(os.pread(fd, HEAD, 0), name))
    finally:
        os.close(fd)


def directory(entries: dict[int, int | tuple[int, int, int]], following: int = 0) -> bytes:
    """A TIFF directory, little end first: whole numbers by their tags, or type, count and value."""
    body = b""
    for tag, entry in sorted(entries.items()):
        kind, count, number = entry if isinstance(entry, tuple) else (4, 1, entry)
        body += struct.pack("<HHII", tag, kind, count, number)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def box(name: bytes, *bodies: bytes) -> bytes:
    """A box of ISO base media."""
    body = b"".join(bodies)
    return (8 + len(body)).to_bytes(4, "big") + name + body
