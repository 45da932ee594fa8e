"""Read JPEG 2000: size, and Exif and XMP in the boxes of its file format.

Takes an open file. Gives a :class:`Still`. Fails with: ``Refused``, where no such file begins.
Source: ITU T.800 Annexes A and I; the Exif box of Adobe and ExifTool; Adobe XMP part 3.
"""

from __future__ import annotations

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif, iptc
from mediasluice.identify.readers.boxes import boxes, find
from mediasluice.identify.readers.still import Still

CODE_STREAM = b"\xff\x4f\xff\x51"
_BODY_MAX = 1 << 20  # bytes; chosen: as in other formats
_EXIF = (b"JpgTiffExif->JP2", bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e"))
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_NAMES = frozenset({*_EXIF, _XMP, _IPTC})
_FORMATS = {b"jpx ": ("jpx", "image/jpx"), b"jpm ": ("jpm", "image/jpm")}


def read(file: Opened) -> Still:
    """Read a JP2 or JPX file, or a bare code stream."""
    if file.pread(4, 0) == CODE_STREAM:
        size = file.pread(24, 0)[8:]
        if len(size) < 16:
            raise Refused("j2k: it ends in its header")
        right, bottom, left, top = (int.from_bytes(size[start : start + 4], "big") for start in (0, 4, 8, 12))
        return Still("j2k", "image/x-j2c", max(right - left, 0) or None, max(bottom - top, 0) or None)
    still = Still("jp2", "image/jp2")
    for box in boxes(file, 0, file.size):
        if box.type == b"ftyp":
            container, mime = _FORMATS.get(file.pread(4, box.start), ("jp2", "image/jp2"))
            still = still._replace(container=container, mime=mime)
        elif box.type == b"jp2h" and still.width is None:
            header = find(file, box.start, box.end, b"ihdr")
            size = b"" if header is None else file.pread(8, header.start)
            if len(size) == 8:  # height first
                height, width = int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")
                still = still._replace(width=width or None, height=height or None)
        elif box.type == b"uuid":
            name = file.pread(16, box.start)
            if name in _NAMES:
                body = file.pread(min(box.end - box.start - 16, _BODY_MAX), box.start + 16)
                still = _with(still, name, body)
    return still if still.width is not None else still._replace(error="jp2: its header is missing")


def _with(still: Still, name: bytes, body: bytes) -> Still:
    if name == _XMP:
        return still if still.packet else still._replace(packet=body)
    if name == _IPTC:
        return still._replace(iptc=iptc.read(body))
    if name in _EXIF and still.exif is None:
        try:
            return still._replace(exif=exif.read(body[6:] if body.startswith(b"Exif\0") else body))
        except Refused:
            return still
    return still
