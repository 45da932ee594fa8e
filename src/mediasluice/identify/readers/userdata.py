"""Read what a movie says of itself: user data of QuickTime and of 3GPP, the list of iTunes, the keys of phones.

Takes an open file and the boxes of its movie. Gives keys in the words of ``keys``, with their text; the first of a
name counts. Whether a cover picture is among them is told apart.
Fails with: nothing.
Source: QuickTime File Format (user data atoms, metadata atoms); 3GPP TS 26.244 section 8; the metadata list of iTunes
as its readers agree on it.
"""

from __future__ import annotations

import struct

from mediasluice.identify.opened import Opened
from mediasluice.identify.readers import genres, keys
from mediasluice.identify.readers.boxes import Box, boxes, find

_VALUE_MAX = 4 * keys.TEXT_MAX  # bytes of one value
_NAME_MAX = 256  # bytes of a key
_KEYS_MAX = 1000  # of one list, chosen: phones write a dozen

_TEXTS = {  # user data and the iTunes list
    b"\xa9nam": "title",
    b"\xa9ART": "artist",
    b"\xa9art": "artist",
    b"\xa9alb": "album",
    b"aART": "album_artist",
    b"\xa9day": "date",
    b"\xa9gen": "genre",
    b"\xa9mak": "make",
    b"\xa9mod": "model",
    b"\xa9xyz": "location",
    b"\xa9trk": "track",
    b"titl": "title",
    b"perf": "artist",
    b"albm": "album",
    b"stik": "media_type",
}
_NUMBERS = {b"trkn": "track", b"disk": "disc"}
_MARKS = frozenset({b"\xfe\xff", b"\xff\xfe"})  # of UTF-16


def said(file: Opened, inside: list[Box]) -> tuple[dict[str, str], bool]:
    """Every key that the boxes of a movie hold, and whether a cover comes with them."""
    found: dict[str, str] = {}
    has_cover = False
    for box in inside:
        if box.type == b"meta":
            has_cover |= _metadata(file, box, found)
        elif box.type == b"udta":
            has_cover |= _user_data(file, box, found)
    return found, has_cover


def _user_data(file: Opened, data: Box, found: dict[str, str]) -> bool:
    has_cover = False
    for box in boxes(file, data.start, data.end):
        if box.type == b"meta":
            has_cover |= _metadata(file, box, found)
            continue
        key = _TEXTS.get(box.type)
        if key is None and box.type not in {b"loci", b"yrrc"}:
            continue
        value = file.pread(min(box.end - box.start, _VALUE_MAX), box.start)
        if box.type == b"loci":
            _set(found, "location", _location(value))
        elif box.type == b"yrrc":
            _set(found, "date", str(int.from_bytes(value[4:6], "big")) if len(value) >= 6 else None)
        elif box.type[:1] == b"\xa9":
            _set(found, str(key), _international(value))
        else:
            _set(found, str(key), _wide(value[6:]))
    return has_cover


def _set(found: dict[str, str], key: str, text: str | None) -> None:
    if text:
        found.setdefault(key, text)


def _international(value: bytes) -> str | None:
    """QuickTime's text: length, language, letters; several languages may follow, the first counts."""
    if value[4:8] == b"data":  # written as in a list of iTunes
        return _value(value[8:])
    length, language = int.from_bytes(value[:2], "big"), int.from_bytes(value[2:4], "big")
    text = value[4 : 4 + length] if 4 + length <= len(value) else value[4:]
    return _decoded(text, "mac-roman" if language < 0x400 and not _is_utf8(text) else "utf-8")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wide(text: bytes) -> str | None:
    """3GPP's text: UTF-8, or UTF-16 that begins with its mark."""
    return _decoded(text, "utf-16" if text[:2] in _MARKS else "utf-8")


def _decoded(text: bytes, encoding: str) -> str | None:
    return text.decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace").partition("\0")[0] or None


def _location(value: bytes) -> str | None:
    """3GPP's place, as ISO 6709: language, name, role, then 16.16 degrees east, north, and metres."""
    end = b"\0\0" if value[6:8] in _MARKS else b"\0"
    at = value.find(end, 6) + len(end) + 1
    if at < 8 or len(value) < at + 12:
        return None
    lon, lat, altitude = (number / 65536 for number in struct.unpack_from(">iii", value, at))
    return f"{lat:+08.4f}{lon:+09.4f}{altitude:+.2f}/"


def _metadata(file: Opened, meta: Box, found: dict[str, str]) -> bool:
    """A ``meta`` box: QuickTime's with a table of keys, or that of iTunes with codes. Gives whether it has a cover."""
    start = meta.start if file.pread(8, meta.start)[4:8] == b"hdlr" else meta.start + 4
    names: list[str] = []
    has_cover = False
    for box in boxes(file, start, meta.end):
        if box.type == b"keys":
            names = _key_names(file, box)
        elif box.type == b"ilst":
            has_cover |= _items(file, box, names, found)
    return has_cover


def _key_names(file: Opened, box: Box) -> list[str]:
    names, at = [], box.start + 8
    for _ in range(_KEYS_MAX):
        length = int.from_bytes(file.pread(4, at), "big")
        if length < 8 or at + length > box.end:
            break
        names.append(file.pread(min(length - 8, _NAME_MAX), at + 8).decode("utf-8", "replace").lower())
        at += length
    return names


def _items(file: Opened, items: Box, names: list[str], found: dict[str, str]) -> bool:
    has_cover = False
    for box, _ in zip(boxes(file, items.start, items.end), range(_KEYS_MAX), strict=False):
        has_cover |= box.type == b"covr"
        key, text = _item(file, box, names)
        _set(found, key, text)
    return has_cover


def _item(file: Opened, box: Box, names: list[str]) -> tuple[str, str | None]:
    """The key of an item and its text. A box is called by its code, or by the number of its key in the table."""
    number = int.from_bytes(box.type, "big")
    key = _TEXTS.get(box.type) or _NUMBERS.get(box.type)
    if key is None and 0 < number <= len(names):
        key = names[number - 1]
    elif box.type == b"gnre":
        key = "genre"
    elif box.type == b"----":
        key = _free_name(file, box)
    data = find(file, box.start, box.end, b"data") if key else None
    if key is None or data is None:
        return "", None
    value = file.pread(min(data.end - data.start, _VALUE_MAX), data.start)
    if box.type in _NUMBERS:
        return key, _fraction(value[8:])
    return key, _genre(value[8:]) if box.type == b"gnre" else _value(value)


def _free_name(file: Opened, box: Box) -> str | None:
    name = find(file, box.start, box.end, b"name")
    if name is None:
        return None
    return file.pread(min(name.end - name.start, _NAME_MAX), name.start)[4:].decode("utf-8", "replace").lower()


def _value(data: bytes) -> str | None:
    """A value behind its type and its language, where it is text or a number."""
    kind, value = int.from_bytes(data[:4], "big") & 0xFFFFFF, data[8:]
    if kind in {0, 1}:
        return _decoded(value, "utf-8")
    if kind == 2:
        return _decoded(value, "utf-16-be")
    return str(int.from_bytes(value[:8], "big", signed=kind == 21)) if kind in {21, 22} and value else None


def _fraction(value: bytes) -> str | None:
    """``4/12`` of four or more bytes; zero is unknown."""
    number, total = struct.unpack(">2x2H", value[:6].ljust(6, b"\0"))
    return (f"{number}/{total}" if total else str(number)) if number else None


def _genre(value: bytes) -> str | None:
    """A number of ID3v1, counted from one."""
    number = int.from_bytes(value[:2], "big")
    return genres.GENRES[number - 1] if 0 < number <= len(genres.GENRES) else None
