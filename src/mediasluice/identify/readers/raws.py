"""Read raw photographs that are no TIFF: Fujifilm RAF, Minolta MRW, Sigma X3F.

Takes an open file. Gives a :class:`Still`. Most hold a TIFF structure or a JPEG somewhere inside; the rest write
their values in ways of their own.
Fails with: ``Refused``, where no such file begins. Source: the descriptions of RAF and MRW at
https://libopenraw.freedesktop.org/formats/; Foveon's X3F file format 1.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import ciff, exif, jpeg
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.still import Still
from mediasluice.model.media import Camera, DateClaim, DateSource, Exposure

_BLOCKS_MAX = 1_000  # parts of one file, chosen: real ones have some dozen
_BLOCK_MAX = 1 << 20  # bytes of one part that is read at once; chosen: they hold numbers and names


def raf(file: Opened) -> Still:
    """Fujifilm: a JPEG with Exif at an offset in the header, and a table with the size of the picture."""
    header = file.pread(108, 0)
    if header[:8] != b"FUJIFILM" or len(header) < 108:
        raise Refused("raf: its header is not whole")
    preview, length, table, table_length = struct.unpack_from(">IIII", header, 84)
    inside = jpeg.facts_inside(file, preview, length) or Still("raf", "image/x-fuji-raf")
    width, height = _raf_size(file.pread(min(table_length, _BLOCK_MAX), table))
    facts = inside.exif
    return inside._replace(
        container="raf",
        mime="image/x-fuji-raf",
        width=width or inside.width,
        height=height or inside.height,
        is_raw=True,
        error=inside.error if facts is not None else "raf: there is no preview with Exif in it",
    )


def _raf_size(table: bytes) -> tuple[int | None, int | None]:
    """Of the picture without the borders of the sensor, else with them."""
    found: dict[int, tuple[int, int]] = {}
    position = 4
    for _ in range(min(int.from_bytes(table[:4], "big"), _BLOCKS_MAX)):
        if position + 4 > len(table):
            break
        tag, length = struct.unpack_from(">HH", table, position)
        if tag in {0x0111, 0x0100} and length == 4 and position + 8 <= len(table):
            found[tag] = struct.unpack_from(">HH", table, position + 4)
        position += 4 + length
    height, width = found.get(0x0111) or found.get(0x0100) or (0, 0)
    return width or None, height or None


def mrw(file: Opened) -> Still:
    """Minolta: blocks with names, one of them with the size, another one with a TIFF structure."""
    header = file.pread(8, 0)
    if header[:4] != b"\0MRM":
        raise Refused("mrw: it does not begin like one")
    width = height = facts = None
    position, end = 8, 8 + int.from_bytes(header[4:8], "big")
    for _ in range(_BLOCKS_MAX):
        block = file.pread(8, position)
        if len(block) < 8 or position >= end:
            break
        length = int.from_bytes(block[4:], "big")
        body = file.pread(min(length, _BLOCK_MAX), position + 8) if block[:4] in {b"\0PRD", b"\0TTW"} else b""
        if block[:4] == b"\0PRD" and len(body) >= 16:
            height, width = struct.unpack_from(">HH", body, 12)
        elif body and block[:4] == b"\0TTW":
            facts = exif.read(body)
        position += 8 + length
    error = None if facts is not None else "mrw: there is no Exif in it"
    return Still("mrw", "image/x-minolta-mrw", width, height, exif=facts, is_raw=True, error=error)


# --- Sigma


def x3f(file: Opened) -> Still:
    """Sigma: sections that a directory at the end lists: properties in UTF-16, and a JPEG with Exif."""
    header = file.pread(52, 0)
    if header[:4] != b"FOVb" or len(header) < 52:
        raise Refused("x3f: its header is not whole")
    major = struct.unpack_from("<I", header, 4)[0] >> 16
    width, height, degrees = struct.unpack_from("<III", header, 28 if major < 4 else 40)
    still = Still("x3f", "image/x-sigma-x3f", width or None, height or None, is_raw=True)
    properties: dict[str, str] = {}
    for kind, start, length in _x3f_sections(file):
        if kind == b"PROP":
            properties = properties or _x3f_properties(file.pread(min(length, _BLOCK_MAX), start))
        elif kind == b"IMA2" and still.exif is None:
            inside = jpeg.facts_inside(file, start + 28, length - 28)
            if inside is not None and inside.exif is not None:
                still = still._replace(exif=inside.exif, packet=inside.packet)
    if still.exif is None:
        still = still._replace(exif=_x3f_facts(properties))
    turned = (degrees, False) if degrees in {0, 90, 180, 270} else None
    return still._replace(turned=turned, error=None if still.exif else "x3f: there are no properties in it")


def _x3f_sections(file: Opened) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and length of each section."""
    where = int.from_bytes(file.pread(4, file.size - 4), "little")
    head = file.pread(12, where)
    if head[:4] != b"SECd" or len(head) < 12:
        return
    count = min(int.from_bytes(head[8:], "little"), _BLOCKS_MAX)
    table = file.pread(12 * count, where + 12)
    for start, length, kind in struct.iter_unpack("<II4s", table[: len(table) // 12 * 12]):
        yield kind, start, length


def _x3f_properties(section: bytes) -> dict[str, str]:
    """Names and values: pairs of places in one long text."""
    if section[:4] != b"SECp" or len(section) < 24:
        return {}
    count, is_known, _, _ = struct.unpack_from("<IIII", section, 8)
    count = min(count, _BLOCKS_MAX, (len(section) - 24) // 8)
    if is_known != 0:  # another encoding than UTF-16
        return {}
    text = section[24 + 8 * count :].decode("utf-16-le", "replace")
    places = struct.iter_unpack("<II", section[24 : 24 + 8 * count])
    return {text[name:].partition("\0")[0][:64]: text[value:].partition("\0")[0][:256] for name, value in places}


def _x3f_facts(properties: dict[str, str]) -> ExifFacts | None:
    if not properties:
        return None
    date = ciff.date_of(properties.get("TIME", ""))
    iso = _number(properties.get("ISO"))
    return ExifFacts(
        dates=(DateClaim(DateSource.EXIF_ORIGINAL, date),) if date else (),
        camera=Camera(properties.get("CAMMANUF") or None, properties.get("CAMMODEL") or None),
        exposure=Exposure(
            _number(properties.get("SHUTTER")),
            _number(properties.get("APERTURE")),
            None if iso is None else int(iso),
            _number(properties.get("FLENGTH")),
        ),
    )


def _number(text: str | None) -> float | None:
    """A number above zero, without sign and exponent."""
    digits = (text or "")[:16]
    return (float(digits) or None) if digits.replace(".", "", 1).isdecimal() and digits.isascii() else None
