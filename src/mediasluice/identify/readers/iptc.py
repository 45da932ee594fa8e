"""Read IPTC records and the Photoshop resources that they lie in.

Takes the bytes of Photoshop's image resources (JPEG APP13, PSD, TIFF tag 34377) or of an IPTC record (resource 0x0404,
TIFF tag 33723). Gives the resources that are wanted, and :class:`IptcFacts`.
Fails with: nothing; what is damaged ends the reading. Source: IPTC-NAA Information Interchange Model 4.2; Adobe
Photoshop File Formats Specification, Image Resource Blocks.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from mediasluice.model.media import DateClaim, DateSource

IPTC, EXIF, XMP = 0x0404, 0x0422, 0x0424  # Photoshop's numbers of the resources
RESOURCES_MAX = 1_000  # chosen: pictures have some thirty
_DATASETS_MAX = 2_000  # chosen: keywords are one each
_TITLE, _AUTHOR, _DATE, _TIME = 5, 80, 55, 60  # of record 2
_CHARACTERS = 90  # of record 1
_UTF8 = b"\x1b%G"
_TEXT_MAX = 4096  # bytes


class IptcFacts(NamedTuple):
    dates: tuple[DateClaim, ...] = ()
    title: str | None = None
    author: str | None = None  # several are joined by "; "


def resources(data: bytes, wanted: Collection[int]) -> dict[int, bytes]:
    """Pick the wanted ones of Photoshop's image resources; the first of each number."""
    found: dict[int, bytes] = {}
    position = 0
    for _ in range(RESOURCES_MAX):
        header = data[position : position + 7]
        if len(header) < 7 or header[:4] not in {b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa"}:
            break
        start = position + 6 + (header[6] + 2 & ~1) + 4  # the name and its length fill whole words
        length = int.from_bytes(data[start - 4 : start], "big")
        number = header[4] << 8 | header[5]
        if number in wanted and number not in found:
            found[number] = data[start : start + length]
        position = start + (length + 1 & ~1)
    return found


def read(record: bytes) -> IptcFacts:
    """Give the facts of an IPTC record."""
    values: dict[int, list[bytes]] = {}
    is_utf8 = False
    position = 0
    for _ in range(_DATASETS_MAX):
        header = record[position : position + 5]
        if len(header) < 5 or header[0] != 0x1C:
            break
        length, position = int.from_bytes(header[3:], "big"), position + 5
        if length & 0x8000:  # the length of the length follows
            width = length & 0x7FFF
            length, position = int.from_bytes(record[position : position + min(width, 8)], "big"), position + width
        value = record[position : position + min(length, _TEXT_MAX)]
        position += length
        if header[1] == 1 and header[2] == _CHARACTERS:
            is_utf8 = value == _UTF8
        elif header[1] == 2 and header[2] in {_TITLE, _AUTHOR, _DATE, _TIME}:
            values.setdefault(header[2], []).append(value)
    authors = [text for value in values.get(_AUTHOR, ()) if (text := _text(value, is_utf8=is_utf8))]
    titles = [text for value in values.get(_TITLE, ()) if (text := _text(value, is_utf8=is_utf8))]
    return IptcFacts(
        _dates(values.get(_DATE, [b""])[0], values.get(_TIME, [b""])[0]),
        titles[0] if titles else None,
        "; ".join(authors) or None,
    )


def _text(value: bytes, *, is_utf8: bool) -> str:
    """A text. Where no encoding is named many programs write UTF-8 all the same."""
    value = value.partition(b"\0")[0]
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return value.decode("utf-8" if is_utf8 else "latin-1", "replace").strip()


_FORM_OF_DATE = re.compile(rb"(\d{4})[-:/]?(\d{2})[-:/]?(\d{2})")
_FORM_OF_TIME = re.compile(rb"(\d{2}):?(\d{2}):?(\d{2})(?:([+-]\d{2}):?(\d{2}))?")


def _dates(date: bytes, time: bytes) -> tuple[DateClaim, ...]:
    """The date with its time; the date alone where there is no time."""
    day = _FORM_OF_DATE.match(date)
    if day is None:
        return ()
    text = b":".join(day.groups()).decode()
    clock = _FORM_OF_TIME.match(time)
    if clock is None:
        return (DateClaim(DateSource.IPTC, text),)
    hour, minute, second, east, further = clock.groups()
    offset = None if east is None else f"{east.decode()}:{further.decode()}"
    return (DateClaim(DateSource.IPTC, f"{text} {hour.decode()}:{minute.decode()}:{second.decode()}", offset),)
