"""Read a JPEG: size, Exif, XMP, IPTC; also one that lies inside of another file.

Takes an open file and the range in which the JPEG lies. Gives a :class:`Still`. Reads headers of segments, and the
bodies of those few that it wants, up to the first scan.
Fails with: ``Refused``, where no JPEG begins. Source: ITU T.81 Annex B; CIPA DC-008 (APP1); Adobe XMP part 3; Adobe
Photoshop File Formats (APP13); Canon's CIFF (APP0); the picture info of Olympus (APP12).
"""

from __future__ import annotations

import re

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import ciff, exif, iptc
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.iptc import IptcFacts
from mediasluice.identify.readers.still import Still
from mediasluice.model.media import DateClaim, DateSource

SEGMENTS_MAX = 2_000  # chosen: a colour profile or a second picture in pieces fills some hundred
_RESOURCES_MAX = 1 << 20  # bytes of Photoshop's resources, which may be in pieces; chosen: they hold a thumbnail
_BLOCKS_MAX = 4  # of Exif; chosen: a second one is an accident of some program
_GAP_MAX = 64 << 10  # bytes without a marker that are passed over; chosen: one segment whose length is wrong
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_BODIES = frozenset({0xE1, 0xEC, 0xED}) | _FRAMES
_TIME = re.compile(rb"\bTimeDate=(\d{6,10})\b")


def read(file: Opened, start: int = 0, end: int | None = None) -> Still:
    """Read the JPEG between two offsets."""
    end = file.size if end is None else min(end, file.size)
    if file.pread(2, start) != b"\xff\xd8":
        raise Refused("no JPEG: it does not begin like one")
    found = _Segments()
    found.walk(file, start + 2, end)
    facts, error = _facts(found.blocks)
    return Still(
        "jpeg",
        "image/jpeg",
        found.width,
        found.height,
        exif=facts or found.early,
        packet=found.packet,
        iptc=_iptc(found.resources),
        error=found.error or error,
    )


class _Segments:
    """What the wanted segments hold."""

    def __init__(self) -> None:
        self.width: int | None = None
        self.height: int | None = None
        self.blocks: list[bytes] = []  # of Exif
        self.early: ExifFacts | None = None  # what cameras wrote before there was Exif
        self.packet = b""
        self.resources = b""
        self.error: str | None = "jpeg: it ends before its picture begins"

    def walk(self, file: Opened, position: int, end: int) -> None:
        """Go from segment to segment up to the first scan."""
        head = file.head
        for _ in range(SEGMENTS_MAX):
            marker = head[position : position + 4] if position + 4 <= len(head) else file.pread(4, position)
            if len(marker) < 4 or position + 4 > end:
                return
            code = marker[1]
            if marker[0] != 0xFF or code == 0:
                gap = file.pread(min(_GAP_MAX, end - position), position).find(b"\xff", 1)
                if gap < 0:
                    return
                position += gap
            elif code == 0xFF:  # a fill byte
                position += 1
            elif code in _ALONE:
                position += 2
            elif code in {0xD9, 0xDA}:
                break
            else:
                length = marker[2] << 8 | marker[3]
                if code in _BODIES:
                    self._take(code, file.pread(min(length - 2, end - position - 4), position + 4))
                elif code == 0xE0 and file.pread(8, position + 10) == b"HEAPJPGM":
                    self.early = ciff.read(file, position + 4, min(position + 2 + length, end)).exif
                position += 2 + length
        self.error = None if self.width is not None else "jpeg: it has no frame"

    def _take(self, code: int, body: bytes) -> None:
        if code == 0xE1:
            if body[:5] == b"Exif\0" and len(self.blocks) < _BLOCKS_MAX:
                self.blocks.append(body[6:])
            elif body.startswith(_XMP):
                self.packet = self.packet or body[len(_XMP) :]
        elif code == 0xED:
            if body.startswith(_PHOTOSHOP) and len(self.resources) < _RESOURCES_MAX:
                self.resources += body[len(_PHOTOSHOP) :]
        elif code == 0xEC:
            self.early = self.early or _picture_info(body)
        elif self.width is None and len(body) >= 5:
            self.height, self.width = (body[1] << 8 | body[2]) or None, (body[3] << 8 | body[4]) or None


def _facts(blocks: list[bytes]) -> tuple[ExifFacts | None, str | None]:
    """What the first block says that is one."""
    error = None
    for block in blocks:
        try:
            return exif.read(block), None
        except Refused as refused:
            error = error or f"Exif: {refused}"
    return None, error


def _picture_info(body: bytes) -> ExifFacts | None:
    """Text of Olympus and Agfa before 2000: seconds of the local clock among other values."""
    time = _TIME.search(body)
    date = ciff.date_of(time[1].decode()) if time else None
    return ExifFacts(dates=(DateClaim(DateSource.EXIF_ORIGINAL, date),)) if date else None


def _iptc(resources: bytes) -> IptcFacts | None:
    if not resources:
        return None
    record = iptc.resources(resources, {iptc.IPTC}).get(iptc.IPTC)
    return None if record is None else iptc.read(record)


def facts_inside(file: Opened, start: int, length: int) -> Still | None:
    """Read a preview that lies inside of another file; ``None`` where there is none."""
    try:
        return read(file, start, start + length)
    except Refused:
        return None
