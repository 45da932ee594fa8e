"""Walk the boxes of an ISO base media file (MP4, MOV, HEIF, AVIF, CR3, JPEG 2000, JPEG XL), however damaged.

Takes an open file and a range of it. Gives the boxes of that range in order, each cut at the end of the range;
stops at the first that makes no sense, and after BOXES_MAX. Fails with: nothing. Source: ISO 14496-12, 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mediasluice.identify.opened import Opened

BOXES_MAX = 10_000  # of one level, chosen: fragmented films have thousands; more are damage


class Box(NamedTuple):
    """``start`` and ``end`` enclose what the box holds, behind its header; ``whole``: none of it is missing."""

    type: bytes
    start: int
    end: int
    whole: bool = True


def boxes(file: Opened, start: int, end: int) -> Iterator[Box]:
    """Give the boxes between two offsets."""
    end = min(end, file.size)
    for _ in range(BOXES_MAX):
        header = file.pread(16, start)
        if start + 8 > end or len(header) < 8:
            return
        length, behind = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            if len(header) < 16:
                return
            length, behind = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = end - start
        if length < behind:
            return
        yield Box(header[4:8], start + behind, min(start + length, end), start + length <= end)
        start += length


def find(file: Opened, start: int, end: int, *path: bytes) -> Box | None:
    """Give the first box at a path of types below a range."""
    for box in boxes(file, start, end):
        if box.type == path[0]:
            return box if len(path) == 1 else find(file, box.start, box.end, *path[1:])
    return None
