"""Read a WebP: size, animation, Exif and XMP.

Takes an open file. Gives a :class:`Still`. Reads headers of chunks and the bodies of the wanted ones.
Fails with: ``Refused``, where no WebP begins. Source: RFC 9649.
"""

from __future__ import annotations

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.still import Still

CHUNKS_MAX = 10_000  # chosen: frames of an animation
_EXIF_MAX = 1 << 20  # bytes; chosen: Exif has at most 64 KiB in a JPEG
_PACKET_MAX = 1 << 20


def read(file: Opened) -> Still:
    """Read a WebP, also an animated one."""
    head = file.pread(12, 0)
    if head[:4] != b"RIFF" or head[8:] != b"WEBP":
        raise Refused("no WebP: it does not begin like one")
    found = _Chunks()
    found.walk(file)
    return Still(
        "webp",
        "image/webp",
        found.width,
        found.height,
        exif=found.exif,
        packet=found.packet,
        duration=found.milliseconds / 1000 or None,
        error=found.error,
    )


class _Chunks:
    """What the wanted chunks hold. The canvas of an extended file counts, not its frames."""

    def __init__(self) -> None:
        self.width: int | None = None
        self.height: int | None = None
        self.exif: ExifFacts | None = None
        self.packet = b""
        self.milliseconds = 0
        self.error: str | None = None

    def walk(self, file: Opened) -> None:
        """Go from chunk to chunk."""
        position = 12
        for _ in range(CHUNKS_MAX):
            header = file.pread(8, position)
            if len(header) < 8:
                break
            kind, length = header[:4], int.from_bytes(header[4:], "little")
            if kind in _LIMITS and not (kind == b"EXIF" and self.exif) and not (kind == b"XMP " and self.packet):
                self._take(kind, file.pread(min(length, _LIMITS[kind]), position + 8))
            position += 8 + length + (length & 1)
        if self.width is None:
            self.error = "webp: it has no picture"

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"EXIF":
            self._exif(body)
        elif kind == b"XMP ":
            self.packet = body
        elif kind == b"ANMF":
            self.milliseconds += int.from_bytes(body[12:15], "little")
        elif self.width is None and len(body) >= 5:
            if kind == b"VP8X":
                self.width, self.height = _plus_one(body[4:7]), _plus_one(body[7:10])
            elif kind == b"VP8L":
                bits = int.from_bytes(body[1:5], "little")
                self.width, self.height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
            elif body[3:6] == b"\x9d\x01\x2a":
                self.width = int.from_bytes(body[6:8], "little") & 0x3FFF
                self.height = int.from_bytes(body[8:10], "little") & 0x3FFF

    def _exif(self, block: bytes) -> None:
        """Some writers leave the header of a JPEG in front of it."""
        try:
            self.exif = exif.read(block[6:] if block.startswith(b"Exif\0") else block)
        except Refused as refused:
            self.error = f"Exif: {refused}"


_LIMITS = {b"VP8X": 10, b"VP8L": 5, b"VP8 ": 10, b"ANMF": 16, b"EXIF": _EXIF_MAX, b"XMP ": _PACKET_MAX}


def _plus_one(number: bytes) -> int:
    return int.from_bytes(number, "little") + 1
