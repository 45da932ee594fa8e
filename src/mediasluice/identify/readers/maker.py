"""Read from makers' notes what stands nowhere else: names of lenses, and what joins the halves of a Live Photo.

Takes the directories of an Exif block and the maker's name. Gives :class:`Noted`. Notes are directories like any
other, but each maker counts offsets from another place; only layouts that are well documented are read.
Fails with: nothing. Source: the descriptions of makers' notes in Exiv2's manual (https://exiv2.org/makernote.html).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from mediasluice.identify.opened import Refused
from mediasluice.identify.readers import ifd

NOTE = 0x927C
_APPLE_CONTENT_IDENTIFIER = 0x0011
_LENS_MODEL = {"canon": 0x0095, "panasonic": 0x0051, "olympus": 0x0203}
_NIKON_LENS, _OLYMPUS_EQUIPMENT = 0x0084, 0x2010
_NAME = re.compile(r"[\x20-\x7e\xa0-\xff]{3,100}")


class Noted(NamedTuple):
    lens: str | None = None
    pair: str | None = None  # content identifier of Apple


def read(parts: Sequence[ifd.Directory], make: str | None) -> Noted:
    """Give what the note of the first directory that has one says."""
    if make is None:
        return Noted()
    for part in parts:
        if NOTE in part.entries:
            reader = _READERS.get(make.partition(" ")[0].lower())
            place = part.place(NOTE)
            return Noted() if reader is None or place is None else reader(part.tiff, place[0])
    return Noted()


def _apple(tiff: ifd.Tiff, start: int) -> Noted:
    """Offsets count from the beginning of the note; always big-endian."""
    if tiff.at(14, start)[:12] != b"Apple iOS\0\0\1":
        return Noted()
    note = ifd.Tiff(lambda count, offset: tiff.at(count, start + offset), ">", 14)
    return Noted(pair=note.directory(14, {_APPLE_CONTENT_IDENTIFIER}).text(_APPLE_CONTENT_IDENTIFIER) or None)


def _canon(tiff: ifd.Tiff, start: int) -> Noted:
    return _named(tiff.directory(start, {_LENS_MODEL["canon"]}), _LENS_MODEL["canon"])


def _panasonic(tiff: ifd.Tiff, start: int) -> Noted:
    if tiff.at(12, start) != b"Panasonic\0\0\0":
        return Noted()
    return _named(tiff.directory(start + 12, {_LENS_MODEL["panasonic"]}), _LENS_MODEL["panasonic"])


def _nikon(tiff: ifd.Tiff, start: int) -> Noted:
    """A TIFF structure of its own since 2000; the lens by its four numbers."""
    if tiff.at(7, start) != b"Nikon\0\2":
        return Noted()
    try:
        note = ifd.opened(lambda count, offset: tiff.at(count, start + 10 + offset))
    except Refused:
        return Noted()
    numbers = note.directory(note.first, {_NIKON_LENS}).numbers(_NIKON_LENS, 4)
    return Noted(lens_of(numbers))


def _olympus(tiff: ifd.Tiff, start: int) -> Noted:
    """Offsets count from the beginning of the note; equipment is a directory below it."""
    header = tiff.at(16, start)
    skipped = 12 if header.startswith(b"OLYMPUS\0") else 16 if header.startswith(b"OM SYSTEM\0") else 0
    order = {b"II": "<", b"MM": ">"}.get(header[skipped - 4 : skipped - 2])
    if not skipped or order is None:
        return Noted()
    note = ifd.Tiff(lambda count, offset: tiff.at(count, start + offset), order, skipped)
    equipment = note.directory(skipped, {_OLYMPUS_EQUIPMENT}).whole(_OLYMPUS_EQUIPMENT)
    if equipment is None:
        return Noted()
    return _named(note.directory(equipment, {_LENS_MODEL["olympus"]}), _LENS_MODEL["olympus"])


def _named(directory: ifd.Directory, tag: int) -> Noted:
    """A name that looks like one: a program that moves a note breaks its offsets, and "NO-LENS" is none."""
    name = directory.text(tag) or ""
    return Noted(name if _NAME.fullmatch(name) and not name.upper().startswith(("NO-LENS", "N/A", "----")) else None)


_READERS = {
    "apple": _apple,
    "canon": _canon,
    "panasonic": _panasonic,
    "nikon": _nikon,
    "olympus": _olympus,
    "om": _olympus,
}


def lens_of(specification: Sequence[float]) -> str | None:
    """Write the four numbers of a lens: shortest and longest focal length [mm], and the apertures of both."""
    if len(specification) < 4 or not all(math.isnan(n) or 0 <= n < 100_000 for n in specification):
        return None
    shortest, longest, *openings = specification[:4]
    lengths = dict.fromkeys(f"{length:g}" for length in (shortest, longest) if length > 0)
    apertures = dict.fromkeys(f"{opening:.2g}" for opening in openings if opening > 0)
    if not lengths:
        return None
    return "-".join(lengths) + "mm" + (" f/" + "-".join(apertures) if apertures else "")
