"""Read Canon's CIFF: raw photographs before 2004 (CRW), and a segment in the JPEGs of the first PowerShots.

Takes an open file and the range in which the structure lies. Gives a :class:`Still`. Heaps lie in heaps, each with its
directory at its end. Times count seconds of the local clock.
Fails with: ``Refused``, where no such structure begins. Source: Canon's CIFF specification 1.0 revision 4.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.ifd import decoded
from mediasluice.identify.readers.still import Still
from mediasluice.model.media import Camera, DateClaim, DateSource

_DEPTH, _ENTRIES = 8, 2_000  # chosen: real files nest four heaps with some hundred entries
_NAMES, _TIME, _SIZE = 0x080A, 0x180E, 0x1810
_WANTED = frozenset({_NAMES, _TIME, _SIZE})
_HEAPS = frozenset({0x2800, 0x3000})
_VALUE_MAX = 256  # bytes; chosen: two names


def read(file: Opened, start: int = 0, end: int | None = None) -> Still:
    """Read the structure between two offsets."""
    end = file.size if end is None else min(end, file.size)
    header = file.pread(14, start)
    order = {b"II": "<", b"MM": ">"}.get(header[:2])
    if order is None or header[6:14] not in {b"HEAPCCDR", b"HEAPJPGM"}:
        raise Refused("crw: it does not begin like one")
    values = _values(file, order, start + struct.unpack_from(order + "I", header, 2)[0], end)
    make, _, model = values.get(_NAMES, b"").partition(b"\0")
    claims: tuple[DateClaim, ...] = ()
    if len(time := values.get(_TIME, b"")) >= 4:
        date = date_of(str(struct.unpack_from(order + "I", time)[0]))
        claims = (DateClaim(DateSource.EXIF_ORIGINAL, date),) if date else ()
    width = height = degrees = 0
    if len(size := values.get(_SIZE, b"")) >= 16:
        width, height, _, degrees = struct.unpack_from(order + "IIIi", size)
    camera = Camera(decoded(make) or None, decoded(model.partition(b"\0")[0]) or None)
    return Still(
        "crw",
        "image/x-canon-crw",
        width or None,
        height or None,
        exif=ExifFacts(claims, camera) if values else None,
        turned=(degrees % 360, False) if degrees % 90 == 0 else None,
        is_raw=True,
        error=None if values else "crw: its directory is missing",
    )


def date_of(seconds: str) -> str | None:
    """Seconds of a local clock since 1970 began there, as Exif writes a date."""
    if not (seconds.isdecimal() and seconds.isascii() and len(seconds) <= 10):
        return None
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(seconds)):%Y:%m:%d %H:%M:%S}"


def _values(file: Opened, order: str, start: int, end: int) -> dict[int, bytes]:
    """The wanted values. A heap must lie inside of the one that names it, so the walk ends."""
    found: dict[int, bytes] = {}
    todo = [(start, end, 0)]
    entries = 0
    while todo and entries < _ENTRIES:
        begin, end, depth = todo.pop()
        pointer = file.pread(4, end - 4)
        if end - begin < 10 or len(pointer) < 4:
            continue
        where = begin + struct.unpack(order + "I", pointer)[0]
        head = file.pread(2, where)
        count = struct.unpack(order + "H", head)[0] if len(head) == 2 else 0
        table = file.pread(10 * min(count, _ENTRIES), where + 2)
        for tag, length, offset in struct.iter_unpack(order + "HII", table[: len(table) // 10 * 10]):
            entries += 1
            if tag & 0x4000:  # the value stands in the entry; none of the wanted ones is so short
                continue
            if tag & 0x3800 in _HEAPS:
                if depth < _DEPTH and begin + offset + length < end:
                    todo.append((begin + offset, begin + offset + length, depth + 1))
            elif tag & 0x3FFF in _WANTED:
                found.setdefault(tag & 0x3FFF, file.pread(min(length, _VALUE_MAX), begin + offset))
    return found
