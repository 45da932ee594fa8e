"""Tell how long a fragmented movie is, and what a duration of ISO base media means.

Takes an open file whose movie header says that fragments follow. Gives seconds: what the header announces, else the
sum of the segment indexes, else the latest end of the fragments themselves.
Fails with: nothing; what makes no sense counts as unknown.
Source: ISO 14496-12:2022, 8.8 (mvex, mehd, trex, moof, tfhd, tfdt, trun) and 8.16.3 (sidx).
"""

from __future__ import annotations

import struct

from mediasluice.identify.opened import Opened
from mediasluice.identify.readers import formats
from mediasluice.identify.readers.boxes import Box, boxes, find

_RUN_MAX = 1 << 20  # bytes of the sample table of one run, chosen: seconds of film need some hundred
UNKNOWN = frozenset({0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})


def seconds_of(duration: int, scale: int) -> float | None:
    """A duration in units of which ``scale`` are a second."""
    return None if duration in UNKNOWN else formats.seconds(duration, scale)


def announced(file: Opened, extends: Box, scale: int) -> float | None:
    """What ``mehd`` says."""
    header = find(file, extends.start, extends.end, b"mehd")
    return seconds_of(_versioned(file.pread(12, header.start)), scale) if header else None


def _versioned(data: bytes) -> int:
    """The number behind version and flags: 64 bits in version 1, else 32."""
    return int.from_bytes(data[4:12] if data[:1] == b"\1" else data[4:8], "big")


def indexed(file: Opened) -> float | None:
    """What the segment indexes add up to, for the longest track."""
    sums: dict[int, float] = {}
    for box in boxes(file, 0, file.size):
        if box.type != b"sidx":
            continue
        data = file.pread(min(box.end - box.start, _RUN_MAX), box.start)
        first = 32 if data[:1] == b"\1" else 24
        if len(data) < first:
            continue
        track, scale = struct.unpack_from(">II", data, 4)
        entries = data[first : len(data) - (len(data) - first) % 12]
        durations = (duration for size, duration in struct.iter_unpack(">II4x", entries) if not size >> 31)  # no index
        sums[track] = sums.get(track, 0) + (seconds_of(sum(durations), scale) or 0)
    return max(sums.values(), default=0) or None


def held(file: Opened, extends: Box, scales: dict[int, int]) -> float | None:
    """The latest end of a fragment, by its own time where it says one. ``scales``: units a second of each track."""
    defaults: dict[int, int] = {}
    for box in boxes(file, extends.start, extends.end):
        if box.type == b"trex":
            track, _, duration = struct.unpack(">III", file.pread(16, box.start)[4:16].ljust(12, b"\0"))
            defaults[track] = duration
    ends: dict[int, int] = {}
    for fragment in boxes(file, 0, file.size):
        if fragment.type == b"moof":
            for box in boxes(file, fragment.start, fragment.end):
                if box.type == b"traf":
                    _add_run(file, box, defaults, ends)
    return max((seconds_of(end, scales.get(track, 0)) or 0 for track, end in ends.items()), default=0) or None


def _add_run(file: Opened, fragment: Box, defaults: dict[int, int], ends: dict[int, int]) -> None:
    track, default, length, start = 0, 0, 0, -1
    for box in boxes(file, fragment.start, fragment.end):
        if box.type == b"tfhd":
            data = file.pread(32, box.start).ljust(32, b"\0")
            flags, track = struct.unpack_from(">II", data)
            at = 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
            default = int.from_bytes(data[at : at + 4], "big") if flags & 8 else defaults.get(track, 0)
        elif box.type == b"tfdt":
            start = _versioned(file.pread(12, box.start))
        elif box.type == b"trun":
            length += _run(file.pread(min(box.end - box.start, _RUN_MAX), box.start), default)
    ends[track] = max(ends.get(track, 0), (start if start >= 0 else ends.get(track, 0)) + length)


def _run(data: bytes, default: int) -> int:
    """The duration of a run, in units of its track."""
    if len(data) < 8:
        return 0
    flags, count = struct.unpack_from(">II", data)
    if not flags & 0x100:
        return default * min(int(count), _RUN_MAX)
    entry = 4 * (int(flags) >> 8 & 15).bit_count()
    at = 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    return sum(int.from_bytes(data[i : i + 4], "big") for i in range(at, min(len(data) - 3, at + entry * count), entry))
