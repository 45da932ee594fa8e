"""Read the sizes of simple formats: GIF, BMP, icons, PSD; and what PSD and GIF say beyond that.

Takes an open file. Gives a :class:`Still`. Fails with: ``Refused``, where no such file begins.
Source: CompuServe GIF89a; Microsoft's BITMAPINFOHEADER and ICONDIR; Adobe Photoshop File Formats Specification.
"""

from __future__ import annotations

import struct

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif, iptc
from mediasluice.identify.readers.still import Still

_GIF_MAX = 8 << 20  # bytes that are walked for the length of an animation; chosen: 20 ms, and most are smaller
_GIF_FRAMES = 5_000  # chosen as above
_RESOURCES_MAX = 4 << 20  # bytes of Photoshop's resources; chosen: thumbnails and paths are among them


def gif(file: Opened) -> Still:
    """A GIF, also an animated one."""
    head = file.pread(13, 0)
    if head[:6] not in {b"GIF87a", b"GIF89a"} or len(head) < 13:
        raise Refused("gif: its header is not whole")
    width, height = struct.unpack_from("<HH", head, 6)
    still = Still("gif", "image/gif", width or None, height or None)
    if file.size > _GIF_MAX:
        return still
    duration, packet = _gif_blocks(file.pread(_GIF_MAX, 0))
    return still._replace(duration=duration, packet=packet)


def _gif_blocks(data: bytes) -> tuple[float | None, bytes]:
    """How long all frames are shown [s], where there are several; and XMP."""
    position = 13 + _colours(data[10])
    hundredths, frames, packet = 0, 0, b""
    try:
        while data[position] != 0x3B and frames < _GIF_FRAMES:
            if data[position] == 0x21:
                if data[position + 1] == 0xF9:
                    hundredths += int.from_bytes(data[position + 4 : position + 6], "little")
                elif data[position + 1] == 0xFF and data[position + 3 : position + 14] == b"XMP DataXMP":
                    packet = data[position + 14 : data.find(b"\1\xff\xfe", position)]
                position += 2
            elif data[position] == 0x2C:
                frames += 1
                position += 11 + _colours(data[position + 9])
            else:
                break
            while length := data[position]:
                position += 1 + length
            position += 1
    except IndexError:
        pass  # cut off: what was there counts
    return (hundredths / 100 if frames > 1 and hundredths else None), packet


def _colours(flags: int) -> int:
    """Bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def bmp(file: Opened) -> Still:
    """A Windows or OS/2 bitmap. Its height is negative where its first line is the top one."""
    head = file.pread(26, 0)
    if head[:2] != b"BM" or len(head) < 26:
        raise Refused("bmp: its header is not whole")
    if struct.unpack_from("<I", head, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = struct.unpack_from("<ii", head, 18)
    if width <= 0 or height == 0:
        raise Refused("bmp: it has no size")
    return Still("bmp", "image/bmp", width, abs(height))


def icon(file: Opened) -> Still:
    """A Windows icon or pointer: the largest picture in it."""
    head = file.pread(6, 0)
    reserved, kind, count = struct.unpack("<HHH", head) if len(head) == 6 else (1, 0, 0)
    table = file.pread(16 * min(count, 256), 6)
    sizes = [(entry[0] or 256, entry[1] or 256) for entry in struct.iter_unpack("<BB14x", table[: len(table) & ~15])]
    if reserved or kind not in {1, 2} or not sizes:
        raise Refused("ico: its header is not whole")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    container, mime = ("ico", "image/vnd.microsoft.icon") if kind == 1 else ("cur", "image/x-icon")
    return Still(container, mime, width, height)


def psd(file: Opened) -> Still:
    """A Photoshop document: its header, and Exif, XMP and IPTC among its resources."""
    head = file.pread(30, 0)
    if head[:4] != b"8BPS" or len(head) < 30:
        raise Refused("psd: its header is not whole")
    version, height, width, colours = struct.unpack_from(">H8xII4xI", head, 4)
    start = 30 + colours
    length = int.from_bytes(file.pread(4, start), "big")
    found = iptc.resources(file.pread(min(length, _RESOURCES_MAX), start + 4), {iptc.IPTC, iptc.EXIF, iptc.XMP})
    error = None
    facts = None
    if iptc.EXIF in found:
        try:
            facts = exif.read(found[iptc.EXIF])
        except Refused as refused:
            error = f"Exif: {refused}"
    return Still(
        "psb" if version == 2 else "psd",
        "image/vnd.adobe.photoshop",
        width or None,
        height or None,
        exif=facts,
        packet=found.get(iptc.XMP, b""),
        iptc=iptc.read(found[iptc.IPTC]) if iptc.IPTC in found else None,
        error=error,
    )
