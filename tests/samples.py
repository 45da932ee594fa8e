"""Make small media files whose formats say by themselves whether they are complete.

Takes a seed that makes the content unique, and sizes in bytes; gives the whole content as bytes.
Source: the public format descriptions (JFIF, PNG, RIFF/WAVE, ISO base media, PDF).
"""

from __future__ import annotations

import struct
import zlib


def jpeg(seed: object, size: int = 0) -> bytes:
    """A grey 8x8 baseline JPEG with a comment that makes it unique and at least ``size`` long."""
    comment = str(seed).encode() + b" "
    head = b"\xff\xd8" + _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    tables = (
        _segment(0xDB, b"\0" + b"\x10" * 64)
        + _segment(0xC0, b"\x08\0\x08\0\x08\x01\x01\x11\0")
        + _segment(0xC4, b"\0" + b"\0\x01" + b"\0" * 14 + b"\0")
        + _segment(0xC4, b"\x10" + b"\0\x01" + b"\0" * 14 + b"\0")
    )
    scan = _segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\x3f"
    comments = [_segment(0xFE, comment)]
    missing = size - len(head) - len(tables) - len(scan) - 2 - len(comments[0])
    while missing > 0:  # a segment holds 65,533 bytes at most
        filler = min(65_000, missing)
        comments.append(_segment(0xFE, comment.ljust(filler, b".")))
        missing -= len(comments[-1])
    return head + b"".join(comments) + tables + scan + b"\xff\xd9"


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def png(seed: object) -> bytes:
    """A 1x1 PNG with a text chunk that makes it unique."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"tEXt", b"Comment\0" + str(seed).encode())
        + chunk(b"IDAT", zlib.compress(b"\0\0"))
        + chunk(b"IEND", b"")
    )


def wav(seed: object, size: int = 2_000) -> bytes:
    """8-bit mono PCM of exactly ``size`` bytes; the header names the whole length."""
    size += size % 2
    data = (str(seed).encode() + b" ").ljust(256, b"\x80") * (size // 256 + 1)
    return wav_header(size) + data[: size - 44]


def wav_header(size: int) -> bytes:
    """The 44 bytes that begin a WAV file of ``size`` bytes."""
    form = struct.pack("<4sI4s", b"RIFF", size - 8, b"WAVE")
    return (
        form + struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8) + struct.pack("<4sI", b"data", size - 44)
    )


def mp4(seed: object, size: int = 4_000) -> bytes:
    """An ISO base media file: ftyp, moov with an empty movie, mdat up to the end."""
    header = _box(b"mvhd", struct.pack(">IIIIIIH", 0, 0, 0, 1000, 1000, 0x10000, 0x100).ljust(100, b"\0"))
    front = _box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + _box(b"moov", header)
    return front + _box(b"mdat", (str(seed).encode() + b" ").ljust(max(16, size - len(front) - 8), b"m"))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def pdf(seed: object) -> bytes:
    """One empty page and the end marker."""
    body = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    body += b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    body += b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\n% " + str(seed).encode() + b"\n"
    return body + b"trailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"


def unknown(seed: object, size: int = 500) -> bytes:
    """Bytes that no format claims: only a quiet period can tell that they are all there."""
    return (f"no format claims {seed} ".encode()).ljust(size, b"-")
