"""Find the finished picture that a camera put into a raw photograph: a JPEG, and the smallest that is large enough.

Takes an open file. Gives where JPEGs lie and what they measure: those that the directories of the file name, or, where
these name none of use, those whose beginnings are found by a look at its bytes. Whatever a file says about places and
lengths is believed only where a JPEG header stands there that a decoder can use; the raw data of many cameras are JPEG
as well, of the lossless kind. Walks are counted, reads are bounded.
Fails with: nothing; no picture is an empty list. Source: TIFF 6.0; DNG 1.7; ISO 14496-12 (CR3); the layouts of RAF and
RW2 as exiftool documents them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import ifd
from mediasluice.identify.readers.boxes import boxes, find

JPEG_MAX = 64 << 20  # bytes of one picture that are read, chosen: the largest of a 100-megapixel back has half of it
_MARKERS_MAX = 256  # of one header, chosen: Exif, profile and maker's data of real files come to some dozen
_CHILDREN_MAX = 16  # directories below one, chosen: cameras write up to five
_SCAN_MAX = 64 << 20  # bytes that are looked through, chosen: the pictures of formats without directories lie before
_WINDOW = 1 << 20  # bytes of one look
_TRIES_MAX = 64  # beginnings that are looked at, chosen: a thumbnail and two previews come within the first ten
_SIDE_MIN = 16  # pixels, chosen: less is a chance hit
_SUFFICES = 640  # pixels of the longer side, chosen: below it a better one is looked for in the bytes

_SHAPES = frozenset({0xC0, 0xC1, 0xC2})  # frames that every decoder knows; C3 is the lossless kind of raw data
_OTHER_SHAPES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length

_COMPRESSION, _STRIPS, _LENGTHS, _CHILDREN = 0x103, 0x111, 0x117, 0x14A
_JPEG, _JPEG_LENGTH, _JPEG_OF_RAW, _ORIENTATION = 0x201, 0x202, 0x2E, 0x112
_WANTED = frozenset({_COMPRESSION, _STRIPS, _LENGTHS, _CHILDREN, _JPEG, _JPEG_LENGTH, _JPEG_OF_RAW, _ORIENTATION})

_EXTENSIONS = frozenset(
    b"raw dng arw srf sr2 cr2 cr3 crw nef nrw orf rw2 raf pef ptx x3f srw erf mrw mef mos kdc dcr k25 3fr fff iiq rwl "
    b"gpr".split()
)
_TIFF = frozenset({b"II", b"MM"})
_SIGNATURES = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILM", b"\0MRM", b"FOVb")


class Embedded(NamedTuple):
    """A JPEG inside a file; what is behind its end may belong to it or not. Sides in pixels, as stored."""

    offset: int
    length: int
    width: int
    height: int

    @property
    def side(self) -> int:
        """The longer side."""
        return max(self.width, self.height)


def is_raw(file: Opened) -> bool:
    """Whether a picture is what a sensor saw, by its signature, or by its name where TIFF is the signature."""
    head = file.head
    if head.startswith(_SIGNATURES) or head[4:12] == b"ftypcrx " or head[6:14] == b"HEAPCCDR":
        return True
    is_tiff = head[:4] in (b"II*\0", b"MM\0*")
    return is_tiff and (head[8:10] == b"CR" or file.extension in _EXTENSIONS)


def choose(found: list[Embedded], side: int) -> Embedded | None:
    """The smallest whose longer side is at least ``side`` pixels, or else the largest."""
    enough = [one for one in found if one.side >= side]
    if enough:
        return min(enough, key=lambda one: one.width * one.height)
    return max(found, key=lambda one: one.width * one.height, default=None)


def jpegs(file: Opened) -> list[Embedded]:
    """The JPEGs of a file that a decoder can use, each once."""
    found = list(_checked(file, _named(file)))
    if max((one.side for one in found), default=0) < _SUFFICES:
        found += _checked(file, _seen(file))
    return list({one.offset: one for one in reversed(found)}.values())


def orientation(file: Opened) -> int | None:
    """What the first directory says about how the picture is to be turned: 1 to 8, as Exif counts."""
    if file.head[:2] not in _TIFF:
        return None
    try:
        tiff = ifd.opened(file.pread)
    except Refused:
        return None
    return tiff.directory(tiff.first, {_ORIENTATION}).whole(_ORIENTATION)


def _named(file: Opened) -> Iterator[tuple[int, int]]:
    """Offsets and lengths that the file itself names."""
    head = file.head
    if head.startswith(b"FUJIFILM"):
        yield int.from_bytes(head[84:88], "big"), int.from_bytes(head[88:92], "big")
    elif head[4:8] == b"ftyp":
        yield from _of_tracks(file)
    elif head[:2] in _TIFF:
        yield from _of_directories(file)


def _of_directories(file: Opened) -> Iterator[tuple[int, int]]:
    try:
        tiff = ifd.opened(file.pread)
    except Refused:
        return
    for directory in tiff.directories(_WANTED):
        yield from _of_directory(directory)
        for child in directory.numbers(_CHILDREN, _CHILDREN_MAX):
            if isinstance(child, int):
                yield from _of_directory(tiff.directory(child, _WANTED))


def _of_directory(directory: ifd.Directory) -> Iterator[tuple[int, int]]:
    start, length = directory.whole(_JPEG), directory.whole(_JPEG_LENGTH)
    if start and length:
        yield start, length
    place = directory.place(_JPEG_OF_RAW)
    if place is not None:
        yield place
    if directory.whole(_COMPRESSION) in (6, 7):
        strips, lengths = directory.numbers(_STRIPS, 2), directory.numbers(_LENGTHS, 2)
        if len(strips) == 1 and len(lengths) == 1:  # of several, each is a part of a picture
            yield int(strips[0]), int(lengths[0])


def _of_tracks(file: Opened) -> Iterator[tuple[int, int]]:
    """CR3: the whole picture is the first sample of a track, a smaller one stands in a box of its own."""
    for box in boxes(file, 0, file.size):
        if box.type == b"uuid":  # its first 16 bytes say whose it is, then 8 of no use here, then boxes
            preview = find(file, box.start + 24, box.end, b"PRVW")
            if preview is not None:
                yield preview.start + 16, int.from_bytes(file.pread(4, preview.start + 12), "big")
        if box.type != b"moov":
            continue
        for track in boxes(file, box.start, box.end):
            table = find(file, track.start, track.end, b"mdia", b"minf", b"stbl") if track.type == b"trak" else None
            offsets = find(file, table.start, table.end, b"co64") if table is not None else None
            sizes = find(file, table.start, table.end, b"stsz") if table is not None else None
            if offsets is None or sizes is None:
                continue
            one, first = file.pread(4, sizes.start + 4), file.pread(4, sizes.start + 12)
            yield (
                int.from_bytes(file.pread(8, offsets.start + 8), "big"),
                int.from_bytes(one, "big") or int.from_bytes(first, "big"),
            )


def _seen(file: Opened) -> Iterator[tuple[int, int]]:
    """Beginnings of JPEGs among the bytes; where they end nobody says."""
    tries = 0
    for start in range(0, min(file.size, _SCAN_MAX), _WINDOW):
        window = file.pread(_WINDOW + 2, start)
        at = window.find(b"\xff\xd8\xff")
        while at >= 0:
            yield start + at, file.size - start - at
            tries += 1
            if tries == _TRIES_MAX:
                return
            at = window.find(b"\xff\xd8\xff", at + 3)


def _checked(file: Opened, places: Iterator[tuple[int, int]]) -> Iterator[Embedded]:
    """Those places where a JPEG stands."""
    for offset, length in places:
        end = min(offset + length, offset + JPEG_MAX, file.size)
        sides = _sides(file, offset, end)
        if sides is not None:
            yield Embedded(offset, end - offset, *sides)


def _sides(file: Opened, start: int, end: int) -> tuple[int, int] | None:
    """Width and height of the JPEG that begins at ``start``, by its markers up to the frame."""
    if start < 0 or file.pread(3, start) != b"\xff\xd8\xff":
        return None
    place = start + 2
    for _ in range(_MARKERS_MAX):
        header = file.pread(10, place)
        if len(header) < 4 or header[0] != 0xFF or place >= end:
            return None
        marker = header[1]
        if marker == 0xFF:
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _SHAPES and len(header) >= 10:
            height, width = int.from_bytes(header[5:7], "big"), int.from_bytes(header[7:9], "big")
            is_usable = header[4] == 8 and header[9] in (1, 3, 4) and min(width, height) >= _SIDE_MIN
            return (width, height) if is_usable else None
        elif marker in _OTHER_SHAPES or marker in (0xD8, 0xD9, 0xDA):
            return None
        else:
            place += 2 + max(2, int.from_bytes(header[2:4], "big"))
    return None
