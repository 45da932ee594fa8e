"""Write small media files of the usual formats by hand, for ``sluice demo``.

Takes sizes, tags, times and a number that makes each picture and sound its own; gives the whole file as bytes, the
same ones every time. Every file can be opened by the usual programs. Fails with: nothing.
Source: ITU T.81 (JPEG), CIPA DC-008 (Exif), W3C PNG, CompuServe GIF89a, RFC 9649 (WebP), Microsoft RIFF, RFC 9639
(FLAC), id3.org (ID3v2.3), ISO/IEC 11172-3 and the LAME tag (MP3), ISO/IEC 14496-12 and -14, Apple QuickTime,
ISO 32000-1 (PDF), ISO 16684-1 (XMP).
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from colorsys import hsv_to_rgb
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

Colour = tuple[float, float, float]
"""Red, green, blue or luminance and two colour differences, 0 to 255."""


# -- pictures -----------------------------------------------------------------------------------------


def _scene(number: int, u: float, v: float) -> Colour:
    """Colour of a landscape at ``u`` from the left and ``v`` from the top, both 0 to 1: sky, sun and a hill."""
    hue = number * 0.618 % 1  # the golden ratio: neighbours in number are far apart in colour
    hill = 0.7 + 0.12 * math.sin(6 * u + number)
    sun_u, sun_v = 0.2 + 0.6 * (number * 0.37 % 1), 0.3
    if v > hill:
        red, green, blue = hsv_to_rgb((hue + 0.4) % 1, 0.6, 0.65 - 0.5 * (v - hill))
    elif (u - sun_u) ** 2 + (v - sun_v) ** 2 < 0.02:
        red, green, blue = 1.0, 0.95, 0.7
    else:
        red, green, blue = hsv_to_rgb(hue, 0.7 - 0.5 * v, 0.5 + 0.4 * v)
    return 255 * red, 255 * green, 255 * blue


_STEP = 8  # of the quantization, the same for all frequencies
_SLOPE = -18.22  # first cosine coefficient of a block of 8x8 that rises by 1 from column to column
_DC_LENGTHS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_DC_VALUES = bytes(range(12))
_AC_LENGTHS = bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125))
_AC_VALUES = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738"
    "393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5"
    "a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)


def jpeg(number: int, width: int = 320, height: int = 216, *, exif: bytes = b"") -> bytes:
    """A baseline JPEG in colour; sides are multiples of 8. Each row of blocks ends with a restart marker.

    The landscape is known only at the corners of the blocks, so each block is an inclined plane, and its cosine
    coefficients are three numbers that need no transform.
    """
    columns, rows = width // 8, height // 8
    corners = [
        [_luminance(_scene(number, column / columns, row / rows)) for column in range(columns + 1)]
        for row in range(rows + 1)
    ]
    data = []
    for row in range(rows):
        data.append(_coded_row(corners[row], corners[row + 1]))
        if row < rows - 1:
            data.append(bytes((0xFF, 0xD0 + row % 8)))
    parts = [
        b"\xff\xd8",
        _segment(0xE1, b"Exif\0\0" + exif) if exif else _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
        _segment(0xDB, b"\0" + bytes((_STEP,)) * 64),
        _segment(0xC0, struct.pack(">BHHB", 8, height, width, 3) + bytes((1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0))),
        _segment(0xC4, b"\0" + _DC_LENGTHS + _DC_VALUES + b"\x10" + _AC_LENGTHS + _AC_VALUES),
        _segment(0xDD, struct.pack(">H", columns)),
        _segment(0xDA, bytes((3, 1, 0, 2, 0, 3, 0, 0, 63, 0))),
        *data,
        b"\xff\xd9",
    ]
    return b"".join(parts)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _luminance(colour: Colour) -> Colour:
    red, green, blue = colour
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    return bright, 128 + 0.564 * (blue - bright), 128 + 0.713 * (red - bright)


def _coded_row(above: Sequence[Colour], below: Sequence[Colour]) -> bytes:
    """The entropy-coded blocks between two rows of corners."""
    bits, length, before = 0, 0, [0, 0, 0]
    for column in range(len(above) - 1):
        for component in range(3):
            left_top, right_top = above[column][component], above[column + 1][component]
            left_low, right_low = below[column][component], below[column + 1][component]
            mean = round((left_top + right_top + left_low + right_low) * 2 / _STEP) - 8 * 128 // _STEP
            across = round((right_top + right_low - left_top - left_low) / 16 * _SLOPE / _STEP)
            down = round((left_low + right_low - left_top - right_top) / 16 * _SLOPE / _STEP)
            for more, count in (_coded_mean(mean - before[component]), _coded_slopes(across, down)):
                bits, length = bits << count | more, length + count
            before[component] = mean
    filled = -length % 8
    return (bits << filled | (1 << filled) - 1).to_bytes((length + filled) // 8, "big").replace(b"\xff", b"\xff\0")


@cache
def _coded_mean(difference: int) -> tuple[int, int]:
    """Bits and their number for the step from one block's mean to the next."""
    return _coded(_codes(_DC_LENGTHS, _DC_VALUES), 0, difference)


@cache
def _coded_slopes(across: int, down: int) -> tuple[int, int]:
    """The same for the two coefficients behind the mean, and the end of the block."""
    codes, bits, length, zeros = _codes(_AC_LENGTHS, _AC_VALUES), 0, 0, 0
    for value in (across, down):
        if value:
            more, count = _coded(codes, zeros, value)
            bits, length = bits << count | more, length + count
        else:
            zeros += 1
    more, count = codes[0]
    return bits << count | more, length + count


def _coded(codes: Mapping[int, tuple[int, int]], zeros: int, value: int) -> tuple[int, int]:
    size = abs(value).bit_length()
    bits, length = codes[zeros << 4 | size]
    return bits << size | (value if value >= 0 else value + (1 << size) - 1), length + size


@cache
def _codes(lengths: bytes, values: bytes) -> Mapping[int, tuple[int, int]]:
    """Symbol -> code and its length; T.81 Annex C."""
    codes, code, position = {}, 0, 0
    for length, count in enumerate(lengths, 1):
        for value in values[position : position + count]:
            codes[value] = code, length
            code += 1
        position += count
        code <<= 1
    return codes


class Camera(NamedTuple):
    """Who took a picture. ``order``: ``<`` or ``>``, as its maker writes numbers; ``knows_zone``: of its clock."""

    make: str
    model: str
    order: str
    knows_zone: bool


Entry = tuple[int, int, int, bytes]
"""Tag, type, number of values, the values."""


def exif(camera: Camera, taken: datetime, *, orientation: int = 1, place: tuple[float, float] | None = None) -> bytes:
    """The TIFF structure that JPEG and PNG carry. ``place``: degrees north and east."""
    order = camera.order
    at = taken.strftime("%Y:%m:%d %H:%M:%S")
    detail = [_ascii(0x9003, at), _ascii(0x9004, at), (0x9000, 7, 4, b"0232"), (0x9101, 7, 4, b"\1\2\3\0")]
    if camera.knows_zone:
        zone = taken.strftime("%z")
        detail += [_ascii(0x9010 + below, f"{zone[:3]}:{zone[3:]}") for below in (0, 1, 2)]
    where: list[Entry] = []
    if place is not None:
        north, east = place
        where = [
            (0, 1, 4, b"\2\3\0\0"),
            _ascii(1, "N" if north >= 0 else "S"),
            (2, 5, 3, _degrees(order, abs(north))),
            _ascii(3, "E" if east >= 0 else "W"),
            (4, 5, 3, _degrees(order, abs(east))),
        ]
    below = {0x8769: detail, 0x8825: where} if where else {0x8769: detail}
    first = [
        _ascii(0x010F, camera.make),
        _ascii(0x0110, camera.model),
        (0x0112, 3, 1, struct.pack(order + "H", orientation)),
        (0x011A, 5, 1, struct.pack(order + "II", 72, 1)),
        (0x011B, 5, 1, struct.pack(order + "II", 72, 1)),
        (0x0128, 3, 1, struct.pack(order + "H", 2)),
        _ascii(0x0132, at),
    ]
    pointers = [(tag, 4, 1, bytes(4)) for tag in below]
    offset = 8 + len(_directory(order, [*first, *pointers], 8))
    pointers, directories = [], []
    for tag, entries in below.items():
        pointers.append((tag, 4, 1, struct.pack(order + "I", offset)))
        directories.append(_directory(order, entries, offset))
        offset += len(directories[-1])
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return head + _directory(order, [*first, *pointers], 8) + b"".join(directories)


def _ascii(tag: int, said: str) -> Entry:
    return tag, 2, len(said) + 1, said.encode() + b"\0"


def _degrees(order: str, value: float) -> bytes:
    minutes, hundredths = divmod(round(value * 360_000), 6000)
    return struct.pack(order + "6I", minutes // 60, 1, minutes % 60, 1, hundredths, 100)


def _directory(order: str, entries: Iterable[Entry], offset: int) -> bytes:
    """A TIFF directory that begins at ``offset``, with the values that do not fit into it behind it."""
    entries = sorted(entries)
    table, values = struct.pack(order + "H", len(entries)), b""
    behind = offset + 2 + 12 * len(entries) + 4
    for tag, kind, number, value in entries:
        held = value.ljust(4, b"\0")
        if len(value) > 4:
            held = struct.pack(order + "I", behind + len(values))
            values += value + bytes(len(value) % 2)
        table += struct.pack(order + "HHI", tag, kind, number) + held
    return table + bytes(4) + values


def png(number: int, title: str, taken: datetime, *, exif: bytes = b"", width: int = 96, height: int = 64) -> bytes:
    """A PNG in colour with a title and the time of its last change, which the format wants in UTC."""
    rows = b"".join(
        b"\0" + bytes(round(part) for x in range(width) for part in _scene(number, x / width, y / height))
        for y in range(height)
    )
    changed = taken.astimezone(UTC)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"tEXt", b"Title\0" + title.encode("latin-1")),
            _chunk(b"tEXt", b"Creation Time\0" + taken.isoformat().encode()),
            _chunk(b"tIME", struct.pack(">H5B", *changed.timetuple()[:6])),
            _chunk(b"eXIf", exif) if exif else b"",
            _chunk(b"IDAT", zlib.compress(rows)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def gif(number: int, frames: int = 4, width: int = 64, height: int = 48) -> bytes:
    """A GIF in which a bright stripe wanders, over and over.

    Codes of eight bits in place of compression: the table of codes is cleared before it would need nine.
    """
    colours = b"".join(bytes(round(part) for part in _scene(number, 0.5, step / 128)) for step in range(128))
    parts = [
        b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + colours,
        b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0",
    ]
    for frame in range(frames):
        stripe = frame * width // frames
        pixels = bytes(0 if abs(x - stripe) < 4 else 127 * y // height for y in range(height) for x in range(width))
        codes = b"".join(b"\x80" + pixels[at : at + 120] for at in range(0, len(pixels), 120)) + b"\x81"
        blocks = [codes[at : at + 255] for at in range(0, len(codes), 255)]
        parts.append(b"\x21\xf9\x04\0" + struct.pack("<H", 25) + b"\0\0")
        parts.append(b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x07")
        parts += [bytes((len(block),)) + block for block in blocks]
        parts.append(b"\0")
    return b"".join(parts) + b"\x3b"


def webp(number: int, width: int = 64, height: int = 48) -> bytes:
    """A lossless WebP of two colours: one bit for each pixel."""
    one, two = 0b101, 0b111  # a prefix code of one symbol, which takes no bit, and of two, which take one each
    head = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 4), (0, 3)]
    green, rest = (
        [(two, 3), (40, 8), (200, 8)],
        [(one, 3), (number * 31 % 256, 8), (one, 3), (60, 8), (one, 3), (255, 8)],
    )
    distance = [(0b001, 3), (0, 1)]  # a code of one symbol that is written in one bit; it is never used
    pixels = [((x // 8 + y // 8) % 2, 1) for y in range(height) for x in range(width)]
    bits, length = 0, 0
    for value, count in (*head, *green, *rest, *distance, *pixels):
        bits, length = bits | value << length, length + count
    return _riff(b"WEBP", [(b"VP8L", bits.to_bytes((length + 7) // 8, "little"))])


def _riff(form: bytes, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    body = form + b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


# -- sound --------------------------------------------------------------------------------------------

RATE = 8000
"""Samples in a second of WAV and FLAC."""

_NOTES = (262, 294, 330, 392, 440, 523)  # a scale on which every order of notes sounds well


def tune(number: int, seconds: float = 0.5) -> list[int]:
    """Samples of 16 bits: four notes, each fading."""
    each = round(RATE * seconds) // 4
    return [
        round(
            9000 * (1 - at / each) * math.sin(2 * math.pi * _NOTES[(number * 5 + note * (number + 2)) % 6] * at / RATE)
        )
        for note in range(4)
        for at in range(each)
    ]


def wav(samples: Sequence[int], tags: Mapping[str, str]) -> bytes:
    """A WAV with INFO tags such as ``INAM`` and ``IART``."""
    said = b"INFO" + b"".join(
        kind.encode() + struct.pack("<I", len(value)) + value + bytes(len(value) % 2)
        for kind, value in ((kind, text.encode() + b"\0") for kind, text in tags.items())
    )
    form = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    data = struct.pack(f"<{len(samples)}h", *samples)
    return _riff(b"WAVE", [(b"fmt ", form), (b"LIST", said), (b"data", data)])


_BLOCK = 1152  # samples of a FLAC frame


def flac(samples: Sequence[int], tags: Mapping[str, str]) -> bytes:
    """A FLAC without compression, with Vorbis comments such as ``TITLE``."""
    frames = [
        _flac_frame(number, samples[at : at + _BLOCK]) for number, at in enumerate(range(0, len(samples), _BLOCK))
    ]
    sizes = [len(frame) for frame in frames]
    md5 = hashlib.md5(struct.pack(f"<{len(samples)}h", *samples), usedforsecurity=False).digest()
    shape = RATE << 44 | 15 << 36 | len(samples)  # rate, channels - 1, bits - 1, samples
    info = struct.pack(">HH", _BLOCK, _BLOCK) + min(sizes).to_bytes(3, "big") + max(sizes).to_bytes(3, "big")
    info += shape.to_bytes(8, "big") + md5
    vendor, comments = b"sluice demo", [f"{name}={value}".encode() for name, value in tags.items()]
    said = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(comments))
    said += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    head = b"fLaC\0" + len(info).to_bytes(3, "big") + info + b"\x84" + len(said).to_bytes(3, "big") + said
    return head + b"".join(frames)


def _flac_frame(number: int, samples: Sequence[int]) -> bytes:
    assert number < 128  # else its number takes more than one byte
    is_full = len(samples) == _BLOCK
    head = bytes((0xFF, 0xF8, 0x34 if is_full else 0x74, 0x08, number))
    head += b"" if is_full else struct.pack(">H", len(samples) - 1)
    head += _checksum(head, 0x07, 8)
    frame = head + b"\x02" + struct.pack(f">{len(samples)}h", *samples)
    return frame + _checksum(frame, 0x8005, 16)


def _checksum(covered: bytes, polynomial: int, width: int) -> bytes:
    """A CRC from 0, highest bit first."""
    table, mask, value = _checksums(polynomial, width), (1 << width) - 1, 0
    for byte in covered:
        value = value << 8 & mask ^ table[value >> width - 8 ^ byte]
    return value.to_bytes(width // 8, "big")


@cache
def _checksums(polynomial: int, width: int) -> Sequence[int]:
    table = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial | 1 << width if value >> width - 1 else 0)
        table.append(value)
    return table


def mp3(tags: Mapping[str, str], frames: int = 40) -> bytes:
    """A silent MP3, mono, 32 kbit/s, with ID3v2.3 tags such as ``TIT2``; its first frame counts the others."""
    frame = b"\xff\xfb\x10\xc4".ljust(104, b"\0")
    counted = struct.pack(">4sIII", b"Info", 3, frames, 104 * (frames + 1))
    first = (frame[:21] + counted).ljust(104, b"\0")
    said = b"".join(
        struct.pack(">4sIH", name.encode(), 1 + len(value), 0) + b"\1" + value
        for name, value in ((name, b"\xff\xfe" + text.encode("utf-16-le")) for name, text in tags.items())
    )
    length = bytes(len(said) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + length + said + first + frame * frames


# -- films --------------------------------------------------------------------------------------------

_SINCE_1904 = datetime(1904, 1, 1, tzinfo=UTC)
_TICKS = 600  # in a second
_FRAME_TICKS = 120
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # upright, not scaled


def film(
    number: int, taken: datetime, *, quicktime: bool, frames: int = 10, width: int = 96, height: int = 64
) -> bytes:
    """A film whose frames are JPEGs, as MP4 or as QuickTime; the index stands before the frames."""
    pictures = [jpeg(number + frame, width, height) for frame in range(frames)]
    made, length = int((taken - _SINCE_1904).total_seconds()), frames * _FRAME_TICKS
    brands = b"qt  \0\0\2\0qt  " if quicktime else b"isom\0\0\2\0isommp42"
    visual = bytes(6) + struct.pack(">H16xHHIIIH32xHh", 1, width, height, 72 << 16, 72 << 16, 0, 1, 24, -1)
    sample = _box(b"jpeg", visual) if quicktime else _box(b"mp4v", visual + _JPEG_STREAM)
    sizes = struct.pack(f">III{frames}I", 0, 0, frames, *map(len, pictures))
    front = _box(b"ftyp", brands)

    def index(first: int) -> bytes:
        table = (
            _box(b"stsd", struct.pack(">II", 0, 1) + sample)
            + _box(b"stts", struct.pack(">IIII", 0, 1, frames, _FRAME_TICKS))
            + _box(b"stsc", struct.pack(">IIIII", 0, 1, 1, frames, 1))
            + _box(b"stsz", sizes)
            + _box(b"stco", struct.pack(">III", 0, 1, first))
        )
        source = _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1) + _box(b"url ", b"\0\0\0\1")))
        media = (
            _box(b"mdhd", struct.pack(">IIIIIHH", 0, made, made, _TICKS, length, 0x55C4, 0))
            + _box(b"hdlr", struct.pack(">I4s4s12x", 0, b"mhlr" if quicktime else bytes(4), b"vide") + b"\0")
            + _box(b"minf", _box(b"vmhd", struct.pack(">I8x", 1)) + source + _box(b"stbl", table))
        )
        track = struct.pack(">IIIIII8xHHHH", 7, made, made, 1, 0, length, 0, 0, 0, 0) + _MATRIX
        track += struct.pack(">II", width << 16, height << 16)
        movie = struct.pack(">IIIIIIH10x", 0, made, made, _TICKS, length, 0x10000, 0x100) + _MATRIX
        movie += struct.pack(">24xI", 2)
        return _box(b"moov", _box(b"mvhd", movie) + _box(b"trak", _box(b"tkhd", track) + _box(b"mdia", media)))

    first = len(front) + len(index(0)) + 8
    return front + index(first) + _box(b"mdat", b"".join(pictures))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


_JPEG_STREAM = _box(b"esds", bytes(4) + bytes.fromhex("0316 0001 00 040d 6c 11 000000 00000000 00000000 060102"))
"""MPEG-4 descriptors: one visual stream of object type 0x6c, JPEG."""


# -- documents ----------------------------------------------------------------------------------------


def pdf(line: str) -> bytes:
    """One page with one line on it."""
    drawn = f"BT /F1 24 Tf 40 60 Td ({line}) Tj ET".encode("latin-1")
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 140] /Contents 4 0 R /Resources <</Font <</F1 5 0 R>>>> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    written, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return written + table + b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(written)


def xmp(title: str, taken: datetime, rating: int) -> bytes:
    """What a photo program notes beside a picture."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/" xmp:Rating="{rating}" exif:DateTimeOriginal="{taken.isoformat()}">
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()
