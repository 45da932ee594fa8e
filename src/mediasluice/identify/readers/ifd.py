"""Walk the directories of a TIFF structure, however damaged: Exif blocks, TIFF files, most raw photographs.

Takes a way to read bytes at offsets from the TIFF header. Gives directories, of which only wanted entries are kept,
and values that are decoded when they are asked for. What is declared is only a claim: entries, directories and the
bytes of a value are limited, and nothing is allocated by a length from the file.
Fails with: ``Refused``, where there is no TIFF header. Source: TIFF 6.0; the BigTIFF extension of libtiff.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from mediasluice.identify.opened import Refused

ENTRIES_MAX = 1_000  # of one directory, chosen: makers' notes have some hundred
DIRECTORIES_MAX = 64  # of one file, chosen: a raw photograph has a dozen; further pages of a document tell nothing
TEXT_MAX = 4096  # bytes of one text, chosen: names and dates are shorter

_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # bytes of one value, by type
_CODES = "0BsHIIbshiifdI00QqQ"  # how struct calls them; fractions are pairs
_FRACTIONS = frozenset({5, 10})
_PAIRS = {5: "II", 10: "ii"}
_SHORT_OR_LONG = frozenset({3, 4})
_TEXTS = frozenset({1, 2, 6, 7, 129})  # bytes of any type; 129 is UTF-8 in Exif 3

Entry = tuple[int, int, int, bytes]  # tag, type, count, and the value or where it is


@dataclass(frozen=True, slots=True)
class Tiff:
    """A TIFF structure. ``at(count, offset)`` gives fewer bytes where there are no more."""

    at: Callable[[int, int], bytes]
    order: str  # ``<`` or ``>``
    first: int  # offset of the first directory
    is_big: bool = False  # BigTIFF: counts and offsets of 8 bytes
    magic: int = 42

    def directory(self, offset: int, wanted: Collection[int]) -> Directory:
        """The directory at an offset; empty where there is none."""
        if offset <= 0:
            return Directory(self, {}, 0)
        if self.is_big:
            return self._big_directory(offset, wanted)
        head = self.at(2, offset)
        if len(head) < 2:
            return Directory(self, {}, 0)
        count = head[0] | head[1] << 8 if self.order == "<" else head[0] << 8 | head[1]
        length = 12 * min(count, ENTRIES_MAX)
        body = self.at(length + 4, offset + 2)
        entries = body[:length] if len(body) >= length else body[: len(body) // 12 * 12]
        follows = int.from_bytes(body[length : length + 4], "little" if self.order == "<" else "big")
        return Directory(
            self,
            {entry[0]: entry for entry in struct.iter_unpack(self.order + "HHI4s", entries) if entry[0] in wanted},
            follows if count <= ENTRIES_MAX else 0,
        )

    def _big_directory(self, offset: int, wanted: Collection[int]) -> Directory:
        head = self.at(8, offset)
        if len(head) < 8:
            return Directory(self, {}, 0)
        count = struct.unpack(self.order + "Q", head)[0]
        length = 20 * min(count, ENTRIES_MAX)
        body = self.at(length + 8, offset + 8)
        entries = body[: min(length, len(body) // 20 * 20)]
        follows = int.from_bytes(body[length : length + 8], "little" if self.order == "<" else "big")
        return Directory(
            self,
            {entry[0]: entry for entry in struct.iter_unpack(self.order + "HHQ8s", entries) if entry[0] in wanted},
            follows if count <= ENTRIES_MAX else 0,
        )

    def directories(self, wanted: Collection[int], first: int | None = None) -> Iterator[Directory]:
        """The chain that begins with the first directory; each at most once."""
        seen = set[int]()
        offset = self.first if first is None else first
        while offset > 0 and offset not in seen and len(seen) < DIRECTORIES_MAX:
            seen.add(offset)
            directory = self.directory(offset, wanted)
            yield directory
            offset = directory.next


@dataclass(frozen=True, slots=True)
class Directory:
    """The wanted entries of a directory by their tags; ``next`` is the offset of the one that follows, or 0."""

    tiff: Tiff
    entries: dict[int, Entry]
    next: int

    def place(self, tag: int) -> tuple[int, int] | None:
        """Offset and bytes of a value that lies outside of its entry."""
        entry = self.entries.get(tag)
        if entry is None:
            return None
        _, kind, count, field = entry
        size = _SIZES[kind] * count if kind < len(_SIZES) else count if kind in _TEXTS else 0
        return None if size <= len(field) else (self._offset(field), size)

    def raw(self, tag: int, limit: int) -> bytes:
        """The bytes of a value, the first ``limit`` of them; empty where they are not all there."""
        entry = self.entries.get(tag)
        if entry is None:
            return b""
        _, kind, count, field = entry
        size = _SIZES[kind] * count if kind < len(_SIZES) else count if kind in _TEXTS else 0
        if size <= len(field):
            return field[: min(size, limit)]
        size = min(size, limit)
        value = self.tiff.at(size, self._offset(field))
        return value if len(value) == size else b""

    def text(self, tag: int) -> str | None:
        """A text up to its first zero, without space around it. Blank is not nothing: it is given as ``""``."""
        entry = self.entries.get(tag)
        if entry is None or entry[1] not in _TEXTS:
            return None
        size, field = entry[2], entry[3]
        if size > len(field):
            size = min(size, TEXT_MAX)
            field = self.tiff.at(size, self._offset(field))
        return decoded(field[:size].partition(b"\0")[0]) if 0 < size <= len(field) else None

    def numbers(self, tag: int, most: int = 8) -> tuple[float, ...]:
        """The first numbers of a value. A fraction whose denominator is zero is not a number."""
        entry = self.entries.get(tag)
        if entry is None:
            return ()
        _, kind, count, _ = entry
        if kind >= len(_CODES) or _CODES[kind] in "0s":
            return ()
        count = min(count, most)
        raw = self.raw(tag, count * _SIZES[kind])
        if len(raw) < count * _SIZES[kind]:
            return ()
        if kind in _FRACTIONS:
            parts = struct.unpack(f"{self.tiff.order}{2 * count}{_CODES[kind]}", raw)
            return tuple(n / d if d else math.nan for n, d in zip(parts[::2], parts[1::2], strict=True))
        return struct.unpack(f"{self.tiff.order}{count}{_CODES[kind]}", raw)

    def number(self, tag: int) -> int | float | None:
        """The first number of a value; ``None`` where it is not one."""
        entry = self.entries.get(tag)
        if entry is None:
            return None
        kind = entry[1]
        if entry[2] == 1 and kind in _FRACTIONS and not self.tiff.is_big:  # the usual cases without detours
            raw = self.tiff.at(8, self._offset(entry[3]))
            above, below = struct.unpack(self.tiff.order + _PAIRS[kind], raw) if len(raw) == 8 else (0, 0)
            return above / below if below else None
        if entry[2] == 1 and kind in _SHORT_OR_LONG:
            return self._offset(entry[3][: 2 * kind - 4])
        numbers = self.numbers(tag, 1)
        return None if not numbers or math.isnan(numbers[0]) else numbers[0]

    def whole(self, tag: int) -> int | None:
        """The first number of a value where it is a whole one."""
        number = self.number(tag)
        return number if isinstance(number, int) else None

    def _offset(self, field: bytes) -> int:
        return int.from_bytes(field, "little" if self.tiff.order == "<" else "big")


def opened(at: Callable[[int, int], bytes]) -> Tiff:
    """Read a TIFF header. Makers have numbers of their own in place of 42, so any is taken."""
    header = at(16, 0)
    order = {b"II": "<", b"MM": ">"}.get(header[:2])
    if order is None or len(header) < 8:
        raise Refused("no TIFF header")
    magic, first = struct.unpack_from(order + "HI", header, 2)
    if magic == 43 and len(header) == 16:
        return Tiff(at, order, struct.unpack_from(order + "Q", header, 8)[0], is_big=True, magic=magic)
    return Tiff(at, order, first, magic=magic)


def of_bytes(data: bytes) -> Tiff:
    """Read the header of a structure that is in memory."""
    return opened(lambda count, offset: data[offset : offset + count])


def decoded(raw: bytes) -> str:
    """A text of an unknown encoding: UTF-8, or else Latin-1, which is never wrong."""
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip()
