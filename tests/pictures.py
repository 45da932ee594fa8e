"""Pictures made by code: Exif blocks and the formats that carry them, byte by byte.

``tiff({MAKE: "Canon", EXIF: {ORIGINAL: "2020:01:02 03:04:05"}})`` is an Exif block and a TIFF file at once. A value is
a text, a whole number, a fraction, several of these, bytes, or a directory below, or several of those.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from mediasluice.identify.opened import Opened
from mediasluice.model.files import Kind

WIDTH, HEIGHT, MAKE, MODEL, ORIENTATION, MODIFIED, ARTIST = 0x100, 0x101, 0x10F, 0x110, 0x112, 0x132, 0x13B
SUBFILE, COLOURS, PARTS, PACKET, RECORD, EXIF, GPS, DNG = 0xFE, 0x106, 0x14A, 0x2BC, 0x83BB, 0x8769, 0x8825, 0xC612
ORIGINAL, DIGITIZED, NOTE = 0x9003, 0x9004, 0x927C
OFFSET_MODIFIED, OFFSET_ORIGINAL, OFFSET_DIGITIZED = 0x9010, 0x9011, 0x9012
SUBSEC_MODIFIED, SUBSEC_ORIGINAL, SUBSEC_DIGITIZED = 0x9290, 0x9291, 0x9292

Single = str | int | Fraction | bytes
Value = Single | Sequence[int] | Sequence[Fraction] | Mapping[int, "Value"] | Sequence[Mapping[int, "Value"]]
Tags = Mapping[int, Value]


def tiff(*chain: Tags, order: str = "<", magic: int = 42, gap: bytes = b"") -> bytes:
    """A TIFF structure of directories that follow each other; ``gap`` lies between its header and the first."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", magic, 8 + len(gap)) + gap)
    for number, tags in enumerate(chain):
        pointer = _directory(out, tags, order)
        if number + 1 < len(chain):
            struct.pack_into(order + "I", out, pointer, len(out))
    return bytes(out)


def big_tiff(tags: Mapping[int, int | str], order: str = "<") -> bytes:
    """A BigTIFF of one directory."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(tags)))
    heap = 16 + 8 + 20 * len(tags) + 8
    behind = b""
    for tag in sorted(tags):
        value = tags[tag]
        kind, count, body = _encoded(value, order)
        if len(body) > 8:
            field = struct.pack(order + "Q", heap + len(behind))
            behind += body
        else:
            field = body.ljust(8, b"\0")
        out += struct.pack(order + "HHQ", tag, kind, count) + field
    return bytes(out) + bytes(8) + behind


def _directory(out: bytearray, tags: Tags, order: str) -> int:
    """Append a directory and what it points to; gives the place of the pointer to the next one."""
    start = len(out)
    out += struct.pack(order + "H", len(tags)) + bytes(12 * len(tags) + 4)
    for number, tag in enumerate(sorted(tags)):
        value = tags[tag]
        if isinstance(value, Mapping):
            kind, count, body = 4, 1, struct.pack(order + "I", len(out))
            _directory(out, value, order)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            places = []
            for below in value:
                places.append(len(out))
                _directory(out, below, order)
            kind, count, body = 4, len(places), struct.pack(f"{order}{len(places)}I", *places)
        else:
            kind, count, body = _encoded(value, order)
        if len(body) > 4:
            field = struct.pack(order + "I", len(out))
            out += body + bytes(len(body) & 1)
        else:
            field = body.ljust(4, b"\0")
        struct.pack_into(order + "HHI4s", out, start + 2 + 12 * number, tag, kind, count, field)
    return start + 2 + 12 * len(tags)


def _encoded(value: Value, order: str) -> tuple[int, int, bytes]:
    """Type, count and bytes."""
    if isinstance(value, str):
        body = value.encode() + b"\0"
        return 2, len(body), body
    if isinstance(value, bytes):
        return 7, len(value), value
    values = [it for it in (value if isinstance(value, Sequence) else [value]) if isinstance(it, int | Fraction)]
    if isinstance(values[0], Fraction):
        kind, code = (10, "ii") if any(it < 0 for it in values) else (5, "II")
        return kind, len(values), b"".join(struct.pack(order + code, it.numerator, it.denominator) for it in values)
    kind, code = (3, "H") if all(it < 65536 for it in values) else (4, "I")
    return kind, len(values), struct.pack(f"{order}{len(values)}{code}", *values)


# --- formats


def jpeg(*segments: tuple[int, bytes], width: int = 40, height: int = 30) -> bytes:
    """A JPEG of segments (marker, body), a frame header and a scan without a picture."""
    frame = (0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    listed = [*segments, frame, (0xDA, b"\1\1\0\0\x3f\0")]
    return (
        b"\xff\xd8"
        + b"".join(struct.pack(">BBH", 0xFF, code, len(body) + 2) + body for code, body in listed)
        + b"\0\0\xff\xd9"
    )


def exif_segment(block: bytes) -> tuple[int, bytes]:
    return 0xE1, b"Exif\0\0" + block


def xmp_segment(packet: bytes) -> tuple[int, bytes]:
    return 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet


def photoshop_segment(resources: bytes) -> tuple[int, bytes]:
    return 0xED, b"Photoshop 3.0\0" + resources


def resource(number: int, body: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's image resources."""
    pascal = bytes([len(name)]) + name
    pascal += bytes(len(pascal) & 1)
    return b"8BIM" + struct.pack(">H", number) + pascal + struct.pack(">I", len(body)) + body + bytes(len(body) & 1)


def iptc(*values: tuple[int, int, bytes]) -> bytes:
    """An IPTC record of (record, data set, value)."""
    return b"".join(struct.pack(">BBBH", 0x1C, *ids, len(value)) + value for *ids, value in values)


def xmp(properties: str) -> bytes:
    """A packet with the attributes of one description."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {properties}/></rdf:RDF></x:xmpmeta>'
    ).encode()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes, width: int = 40, height: int = 30, behind: Sequence[bytes] = ()) -> bytes:
    """A PNG with chunks in front of and behind its picture data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + b"".join(behind) + chunk(b"IEND", b"")


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def box(kind: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return struct.pack(">I", len(body) + 8) + kind + body


def full_box(kind: bytes, version: int, *bodies: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *bodies)


def brand(name: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", name, bytes(4), name, *compatible)


@contextmanager
def opened(path: Path, content: bytes, kind: Kind = Kind.IMAGE) -> Iterator[Opened]:
    """A file with this content, open for readers."""
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        yield Opened(fd, len(content), os.fsencode(path), kind)
    finally:
        os.close(fd)


# --- raw photographs that are no TIFF


def raf(preview: bytes, *, width: int, height: int) -> bytes:
    """Fujifilm: a header with offsets, a table with the size, a JPEG."""
    table = struct.pack(">IHHHH", 2, 0x0100, 4, height + 20, width + 10) + struct.pack(
        ">HHHH", 0x0111, 4, height, width
    )
    head = b"FUJIFILMCCD-RAW 0201FF129502".ljust(84, b"\0")
    head = head[:60] + b"0100" + head[64:]
    start = 160
    places = struct.pack(">IIII", start + len(table), len(preview), start, len(table))
    return (head + places).ljust(start, b"\0") + table + preview


def mrw(block: bytes, *, width: int, height: int) -> bytes:
    """Minolta: named blocks."""
    size = b"27820001" + struct.pack(">HHHH", height + 8, width + 8, height, width) + bytes(8)
    blocks = b"".join(
        name + struct.pack(">I", len(body)) + body
        for name, body in ((b"\0PRD", size), (b"\0TTW", block), (b"\0PAD", b""))
    )
    return b"\0MRM" + struct.pack(">I", len(blocks)) + blocks + bytes(16)


def x3f(properties: Mapping[str, str], preview: bytes = b"", *, width: int, height: int, version: int = 2) -> bytes:
    """Sigma: a header, sections, and a directory of them at the end."""
    if version < 4:
        head = b"FOVb" + struct.pack("<I16sIIII", version << 16, bytes(16), 0, width, height, 0)
    else:
        head = (b"FOVb" + struct.pack("<I", version << 16)).ljust(40, b"\0") + struct.pack("<III", width, height, 90)
        head = head.ljust(0x300, b"\0")
    characters, pairs = b"", b""
    for name, value in properties.items():
        at = []
        for text in (name, value):
            at.append(len(characters) // 2)
            characters += text.encode("utf-16-le") + b"\0\0"
        pairs += struct.pack("<II", *at)
    listed = b"SECp" + struct.pack("<IIIII", 0x20000, len(properties), 0, 0, len(characters) // 2) + pairs + characters
    sections = [(b"PROP", listed)] if properties else []
    if preview:
        sections.append((b"IMA2", b"SECi" + struct.pack("<IIIIII", 0x20000, 2, 18, 0, 0, 0) + preview))
    out, table = head.ljust(len(head) + -len(head) % 4, b"\0"), b""
    for kind, body in sections:
        table += struct.pack("<II4s", len(out), len(body), kind)
        out += body.ljust(len(body) + -len(body) % 4, b"\0")
    return out + b"SECd" + struct.pack("<II", 0x20000, len(sections)) + table + struct.pack("<I", len(out))


def heap(entries: Sequence[tuple[int, bytes]]) -> bytes:
    """A heap of Canon's CIFF: values, then the directory, then where that is."""
    values, table = b"", struct.pack("<H", len(entries))
    for tag, body in entries:
        table += struct.pack("<HII", tag, len(body), len(values))
        values += body
    return values + table + struct.pack("<I", len(values))


def ciff(seconds: int, *, width: int, height: int, kind: bytes = b"HEAPCCDR") -> bytes:
    """Canon before 2004: heaps in heaps."""
    names = b"Canon\0Canon EOS D60\0".ljust(32, b"\0")
    size = struct.pack("<IIfiIII", width, height, 1.0, 90, 8, 24, 1)
    inner = heap([(0x080A, names)])
    properties = heap([(0x2807, inner), (0x180E, struct.pack("<IiI", seconds, 0, 0)), (0x1810, size)])
    return b"II" + struct.pack("<I", 26) + kind + bytes(12) + heap([(0x300A, properties)])


def cr3(main: bytes, exif: bytes, place: bytes) -> bytes:
    """Canon since 2018: four TIFF structures in a movie."""
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    inner = box(b"uuid", canon, box(b"CMT1", main), box(b"CMT2", exif), box(b"CMT4", place))
    return brand(b"crx ", b"isom") + box(b"moov", inner) + box(b"mdat", bytes(8))


def heif(
    items: Mapping[int, tuple[bytes, bytes]],
    *,
    sizes: Sequence[tuple[int, int]] = ((40, 30),),
    turns: Sequence[tuple[bytes, int]] = (),
    method: int = 0,
    wide: int = 2,
    name: bytes = b"heic",
) -> bytes:
    """A HEIF whose primary picture is item 1, which has the last of the sizes, and all turns in their order.

    ``items``: type and content by number, 2 and up; a type ``mime`` holds XMP. ``method``: 0 in the file, 1 in the idat
    box. ``wide``: bytes of a number of an item, 2 or 4.
    """
    number = {2: ">H", 4: ">I"}[wide]
    entries = full_box(b"infe", 2 if wide == 2 else 3, struct.pack(number, 1), b"\0\0hvc1\0")
    for item, (kind, _) in items.items():
        tail = b"\0application/rdf+xml\0" if kind == b"mime" else b"\0"
        entries += full_box(b"infe", 2 if wide == 2 else 3, struct.pack(number, item), b"\0\0", kind, tail)
    iinf = full_box(b"iinf", 0, struct.pack(">H", len(items) + 1), entries)
    listed = b"".join(full_box(b"ispe", 0, struct.pack(">II", *size)) for size in sizes)
    listed += b"".join(box(kind, bytes([value])) for kind, value in turns)
    own = [len(sizes), *range(len(sizes) + 1, len(sizes) + 1 + len(turns))]
    of_item = struct.pack(number, 1) + bytes([len(own), *own])
    iprp = box(b"iprp", box(b"ipco", listed), full_box(b"ipma", 0 if wide == 2 else 1, struct.pack(">I", 1), of_item))
    pitm = full_box(b"pitm", 0 if wide == 2 else 1, struct.pack(number, 1))
    content = b"".join(body for _, body in items.values())
    idat = box(b"idat", content) if method == 1 else b""
    handler = full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13))
    first = brand(name, b"mif1")

    def meta(start: int) -> bytes:
        places = b""
        for item, (_, body) in items.items():
            places += struct.pack(number, item) + struct.pack(">HHHII", method, 0, 1, start, len(body))
            start += len(body)
        version = 1 if wide == 2 else 2
        iloc = full_box(b"iloc", version, b"\x44\0", struct.pack(number, len(items)), places)
        return full_box(b"meta", 0, handler, pitm, iinf, iprp, idat, iloc)

    start = 0 if method == 1 else len(first) + len(meta(0)) + 8
    return first + meta(start) + box(b"mdat", content if method == 0 else b"")
