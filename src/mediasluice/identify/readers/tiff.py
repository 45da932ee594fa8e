"""Read a TIFF, and the raw photographs that are built on it: DNG, CR2, NEF, ARW, ORF, RW2, PEF, SRW, 3FR, IIQ and more.

Takes an open file. Gives a :class:`Still`. A raw photograph holds several pictures; its size is that of the full one.
What it is called is told from its content alone.
Fails with: ``Refused``, where there is no TIFF structure or nothing in it. Source: TIFF 6.0, TIFF/EP (ISO 12234-2),
Adobe DNG 1.7, BigTIFF; JPEG XR (ITU T.832 Annex A).
"""

from __future__ import annotations

from typing import NamedTuple

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif, ifd, iptc, jpeg
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.iptc import IptcFacts
from mediasluice.identify.readers.still import Still
from mediasluice.model.media import DateSource

_PACKET_MAX = 1 << 20  # bytes; chosen: packets of programs that keep a history fill some 100 KB
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _COMPRESSION, _COLOURS = 0x00FE, 0x00FF, 0x0100, 0x0101, 0x0103, 0x0106
_PARTS, _PACKET, _RECORD, _RESOURCES, _DNG = 0x014A, 0x02BC, 0x83BB, 0x8649, 0xC612
_SENSOR_COLOURS = frozenset({32803, 34892})  # a filter before each pixel; what the sensor saw, in colours already
_RAW_COMPRESSIONS = frozenset({262, 32767, 32769, 32770, 32772, 32867, 34713, 65000, 65535})  # makers' own
_XR_WIDTH, _XR_HEIGHT = 0xBC80, 0xBC81
_RW2_BORDERS = (0x0004, 0x0005, 0x0006, 0x0007)  # of the picture on the sensor: top, left, bottom, right
_RW2_PREVIEW = 0x002E
_WANTED = exif.WANTED | {
    *(_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _COMPRESSION, _COLOURS),
    *(_PARTS, _PACKET, _RECORD, _RESOURCES, _DNG, _XR_WIDTH, _XR_HEIGHT),
}
_RW2_WANTED = exif.WANTED | {*_RW2_BORDERS, _RW2_PREVIEW, _PACKET}
_PLAIN = ("tiff", "image/tiff")
_BY_MAKE = {  # the first word of the maker's name, in lower case
    "canon": ("cr2", "image/x-canon-cr2"),
    "nikon": ("nef", "image/x-nikon-nef"),
    "sony": ("arw", "image/x-sony-arw"),
    "pentax": ("pef", "image/x-pentax-pef"),
    "ricoh": ("pef", "image/x-pentax-pef"),
    "samsung": ("srw", "image/x-samsung-srw"),
    "olympus": ("orf", "image/x-olympus-orf"),
    "om": ("orf", "image/x-olympus-orf"),
    "epson": ("erf", "image/x-epson-erf"),
    "seiko": ("erf", "image/x-epson-erf"),
    "mamiya": ("mef", "image/x-mamiya-mef"),
    "leaf": ("mos", "image/x-leaf-mos"),
    "hasselblad": ("3fr", "image/x-hasselblad-3fr"),
    "phase": ("iiq", "image/x-phaseone-iiq"),
    "kodak": ("dcr", "image/x-kodak-dcr"),
    "eastman": ("dcr", "image/x-kodak-dcr"),
}
_OLYMPUS = frozenset({0x4F52, 0x5352})
_PANASONIC = 0x55


def read(file: Opened) -> Still:
    """Read a file that begins with a TIFF header."""
    tiff = ifd.opened(file.pread)
    if tiff.magic == _PANASONIC:
        return _panasonic(file, tiff)
    if tiff.magic & 0xFF == 0xBC and tiff.order == "<":
        return _jpeg_xr(tiff)
    directories = _directories(tiff)
    main = directories[0].directory
    if not any(it.directory.entries for it in directories):
        raise Refused("tiff: its first directory is empty or lies behind the end")
    facts = exif.facts(main)
    container, mime = _format_of(file, tiff, directories, facts)
    is_raw = container != "tiff"
    width, height = _size(directories)
    if width is None or (container == "cr2" and (facts.width or 0) > width):
        width, height = facts.width, facts.height  # in the first directory of an older CR2 lies a preview
    return Still(
        container,
        mime,
        width,
        height,
        exif=facts,
        packet=main.raw(_PACKET, _PACKET_MAX),
        iptc=_iptc(main),
        is_raw=is_raw,
        error=None if width is not None else f"{container}: the directory of its picture is missing",
    )


class _Part(NamedTuple):
    directory: ifd.Directory
    is_below: bool  # it hangs below another one, and is not the next page
    width: int | None
    height: int | None
    is_full: bool | None  # it says that it is a full picture, or a page of several; None: it says nothing

    @property
    def is_sensor(self) -> bool:
        return self.directory.whole(_COLOURS) in _SENSOR_COLOURS

    @property
    def pixels(self) -> int:
        return (self.width or 0) * (self.height or 0)


def _directories(tiff: ifd.Tiff) -> list[_Part]:
    """The first directory, those below it, the next ones: each once, and not without end."""
    found: list[_Part] = []
    seen = set[int]()
    todo = [(tiff.first, False)]
    while todo and len(found) < ifd.DIRECTORIES_MAX:
        offset, is_below = todo.pop(0)
        if offset in seen:
            continue
        seen.add(offset)
        directory = tiff.directory(offset, _WANTED)
        found.append(_part(directory, is_below=is_below))
        below = [(int(place), True) for place in directory.numbers(_PARTS, 16) if place > 0]
        todo[:0] = below
        if directory.next > 0:
            todo.append((directory.next, is_below))
    return found


def _part(directory: ifd.Directory, *, is_below: bool) -> _Part:
    kind, old_kind = directory.whole(_SUBFILE), directory.whole(_OLD_SUBFILE)
    is_full = kind in {0, 2} if kind is not None else old_kind in {1, 3} if old_kind is not None else None
    return _Part(directory, is_below, directory.whole(_WIDTH) or None, directory.whole(_HEIGHT) or None, is_full)


def _size(directories: list[_Part]) -> tuple[int | None, int | None]:
    """Of the picture: what says so itself, of several the first; else the first directory; else the largest one."""
    sized = [part for part in directories if part.width is not None]
    first = directories[0]
    for chosen in (
        [part for part in sized if part.is_full and (part.is_below or part is first)],
        [part for part in sized if part is first and part.is_full is None],
        [part for part in sized if part.is_full],
        sorted(sized, key=lambda part: part.pixels, reverse=True),
    ):
        if chosen:
            return chosen[0].width, chosen[0].height
    return None, None


def _format_of(file: Opened, tiff: ifd.Tiff, directories: list[_Part], facts: ExifFacts) -> tuple[str, str]:
    """What it is: by its header, by the mark of a DNG, and by its maker where it holds what a sensor saw."""
    if tiff.magic in _OLYMPUS:
        return _BY_MAKE["olympus"]
    if file.pread(4, 8) == b"CR\2\0":
        return _BY_MAKE["canon"]
    if file.pread(4, 8) in {b"IIII", b"MMMM"}:
        return _BY_MAKE["phase"]
    if any(_DNG in part.directory.entries for part in directories):
        return "dng", "image/x-adobe-dng"
    if any(part.is_sensor or part.directory.whole(_COMPRESSION) in _RAW_COMPRESSIONS for part in directories):
        return _BY_MAKE.get((facts.camera.make or "").partition(" ")[0].lower(), ("raw", "image/x-raw"))
    return _PLAIN


def _iptc(main: ifd.Directory) -> IptcFacts | None:
    """The record itself, or in Photoshop's resources."""
    record = main.raw(_RECORD, _PACKET_MAX)
    if not record:
        resources = main.raw(_RESOURCES, _PACKET_MAX)
        record = iptc.resources(resources, {iptc.IPTC}).get(iptc.IPTC, b"") if resources else b""
    return iptc.read(record) if record else None


def _panasonic(file: Opened, tiff: ifd.Tiff) -> Still:
    """RW2 and RWL: the size is that of a window on the sensor; a preview holds a second, often a fuller Exif."""
    main = tiff.directory(tiff.first, _RW2_WANTED)
    facts = exif.facts(main)
    place = main.place(_RW2_PREVIEW)
    inside = None
    if place is not None and not any(claim.source == DateSource.EXIF_ORIGINAL for claim in facts.dates):
        inside = jpeg.facts_inside(file, *place)
    if inside is not None:
        facts = exif.joined(facts, inside.exif)
    top, left, bottom, right = (main.whole(tag) or 0 for tag in _RW2_BORDERS)
    if not main.entries:
        raise Refused("rw2: its first directory is empty or lies behind the end")
    return Still(
        "rw2",
        "image/x-panasonic-rw2",
        right - left if right > left else facts.width,
        bottom - top if bottom > top else facts.height,
        exif=facts,
        packet=main.raw(_PACKET, _PACKET_MAX) or (inside.packet if inside else b""),
        is_raw=True,
    )


def _jpeg_xr(tiff: ifd.Tiff) -> Still:
    """The same directory with other tags for the size."""
    main = tiff.directory(tiff.first, _WANTED)
    if not main.entries:
        raise Refused("jxr: its directory is empty or lies behind the end")
    return Still(
        "jxr",
        "image/jxr",
        main.whole(_XR_WIDTH),
        main.whole(_XR_HEIGHT),
        exif=exif.facts(main),
        packet=main.raw(_PACKET, _PACKET_MAX),
    )
