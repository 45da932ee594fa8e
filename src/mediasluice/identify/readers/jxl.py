"""Read JPEG XL: size and turning from its code stream, Exif and XMP from its boxes.

Takes an open file. Gives a :class:`Still`. Metadata that are packed with Brotli (brob boxes) stay unread.
Fails with: ``Refused``, where no JPEG XL begins. Source: ISO 18181-1, Annexes A and D; ISO 18181-2, 9.
"""

from __future__ import annotations

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif
from mediasluice.identify.readers.boxes import boxes
from mediasluice.identify.readers.still import Still

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
CODE_STREAM = b"\xff\x0a"
_BODY_MAX = 1 << 20  # bytes; chosen: as in other formats
_SIZE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def read(file: Opened) -> Still:
    """Read a JPEG XL file, in boxes or bare."""
    if file.pread(2, 0) == CODE_STREAM:
        return _picture(Still("jxl", "image/jxl"), file.pread(32, 2))
    if file.pread(12, 0) != SIGNATURE:
        raise Refused("no JPEG XL: it does not begin like one")
    still = Still("jxl", "image/jxl")
    for box in boxes(file, 0, file.size):
        if box.type in {b"jxlc", b"jxlp"} and still.width is None:
            start = box.start if box.type == b"jxlc" else box.start + 4  # 4: number of the part
            if file.pread(2, start) == CODE_STREAM:
                still = _picture(still, file.pread(32, start + 2))
        elif box.type == b"Exif" and still.exif is None:
            body = file.pread(min(box.end - box.start, _BODY_MAX), box.start)
            try:
                still = still._replace(exif=exif.read(body[4 + int.from_bytes(body[:4], "big") :]))
            except Refused as refused:
                still = still._replace(error=f"Exif: {refused}")
        elif box.type == b"xml " and not still.packet:
            still = still._replace(packet=file.pread(min(box.end - box.start, _BODY_MAX), box.start))
        elif box.type == b"brob" and file.pread(4, box.start) in {b"Exif", b"xml "}:
            still = still._replace(error="jxl: its metadata are packed with Brotli")
    return still if still.width is not None else still._replace(error="jxl: its code stream is missing")


class _Bits:
    """Reads numbers of some bits each, lowest first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "little")

    def next(self, count: int) -> int:
        value = self._bits & (1 << count) - 1
        self._bits >>= count
        return value


def _picture(still: Still, header: bytes) -> Still:
    """Size and orientation, which stand at the very beginning."""
    if len(header) < 4:
        return still
    bits = _Bits(header)
    is_small = bits.next(1)
    height = _length(bits, is_small)
    ratio = bits.next(3)
    if ratio:
        wide, high = _RATIOS[ratio - 1]
        width = height * wide // high
    else:
        width = _length(bits, is_small)
    orientation = 1
    if not bits.next(1) and bits.next(1):  # not all is as usual; further fields follow
        orientation = 1 + bits.next(3)
    return still._replace(width=width, height=height, turned=exif.turned(orientation))


def _length(bits: _Bits, is_small: int) -> int:
    if is_small:
        return 8 * (bits.next(5) + 1)
    return bits.next(_SIZE_BITS[bits.next(2)]) + 1
