"""Media files made by the usual writers, for the tests of the format gate.

Gives the whole content of each as bytes, small and made only once. Pillow and PyAV write what they know;
the rest is put together by the public descriptions of the formats.
"""

from __future__ import annotations

import io
import random
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
from PIL import Image

from tests.samples import jpeg, mp4, png, wav


def picture(width: int = 96, height: int = 64, seed: int = 1) -> Image.Image:
    """Noise: it does not compress, so that the picture's data is most of the file."""
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))


def saved(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, form, **options)
    return buffer.getvalue()


def sound(form: str, codec: str, *, rate: int = 44_100, seconds: float = 0.6) -> bytes:
    """Noise in a container, as FFmpeg writes it."""
    count = int(rate * seconds)

    def write(container: Any) -> None:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame(format="s16", layout="mono", samples=count)
        noise = random.Random(2).randbytes(2 * count)
        frame.planes[0].update(noise.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.format.name, "mono", rate, size)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))

    return _muxed(form, {}, write)


def film(form: str, codec: str = "mpeg4", **options: str) -> bytes:
    """Six frames of noise, as FFmpeg writes them."""

    def write(container: Any) -> None:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(6):
            frame: Any = av.VideoFrame
            container.mux(stream.encode(frame.from_image(picture(seed=index))))
        container.mux(stream.encode(None))

    return _muxed(form, options, write)


def _muxed(form: str, options: dict[str, str], write: Callable[[Any], None]) -> bytes:
    """Some muxers read back what they wrote: give them a file."""
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=form, options=options) as container:
            write(container)
        return Path(file.name).read_bytes()


def jpeg_with(segments: bytes, behind: bytes = b"") -> bytes:
    """A JPEG with segments of ours behind its first marker, and something behind its end."""
    plain = saved("JPEG")
    return plain[:2] + segments + plain[2:] + behind


def segment(code: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def exif_with_thumbnail() -> bytes:
    """An APP1 segment that holds a whole JPEG, end marker and all."""
    return segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + saved("JPEG", picture(32, 24)))


def motion_photo() -> bytes:
    """A JPEG with a film behind it, announced by XMP."""
    behind = mp4("motion", 3000)
    xmp = (
        b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:li Item:Mime='video/mp4' "
        b'Item:Semantic="MotionPhoto" Item:Length="%d"/></x:xmpmeta>' % len(behind)
    )
    return jpeg_with(segment(0xE1, xmp), behind)


def photoshop(compression: int) -> bytes:
    rows, channels, width = 40, 3, 60
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, rows, width, 8, 3)
    head += struct.pack(">I", 0) + struct.pack(">I", 8) + b"resource" + struct.pack(">I", 0)
    data = random.Random(3).randbytes(rows * channels * width)
    if compression == 0:
        return head + struct.pack(">H", 0) + data
    return head + struct.pack(">H", 1) + struct.pack(f">{rows * channels}H", *[width] * (rows * channels)) + data


def pdf(*, revised: bool = False) -> bytes:
    content = saved("PDF")
    if not revised:
        return content
    body = content + b"9 0 obj<</Type/Metadata>>endobj\n"
    return body + b"xref\n0 0\ntrailer<</Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)


def packed(compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for index in range(4):
            archive.writestr(f"{index}.bin", random.Random(index).randbytes(700))
        archive.comment = comment
    return buffer.getvalue()


def id3v2(length: int = 400) -> bytes:
    return b"ID3\4\0\0" + bytes([0, 0, length >> 7, length & 0x7F]) + b"\0" * length


def id3v1() -> bytes:
    return b"TAG" + b"title".ljust(125, b"\0")


def apev2() -> bytes:
    item = struct.pack("<II", 5, 0) + b"Title\0" + b"title"
    footer = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(item) + 32, 1, 1 << 31)
    return footer[:20] + struct.pack("<I", 0xA0000000) + footer[24:] + item + footer


def monkeys_audio() -> bytes:
    body = random.Random(4).randbytes(900)
    return struct.pack("<4sHH7I16x", b"MAC ", 3990, 0, 52, 24, 16, 0, 800, 0, 8) + body[:848]


def dsf() -> bytes:
    return struct.pack("<4sQQQ", b"DSD ", 28, 1000, 0).ljust(1000, b"d")


def dff() -> bytes:
    return struct.pack(">4sQ4s", b"FRM8", 988, b"DSD ").ljust(1000, b"d")


def flv(size: int = 1200) -> bytes:
    head = b"FLV\1\5\0\0\0\x09\0\0\0\0\x12\0\0\x40\0\0\0\0\0\0\0\x02\0\x0aonMetaData\x08\0\0\0\1"
    return (head + b"\0\x08filesize\0" + struct.pack(">d", size)).ljust(size, b"v")


def rf64(size: int = 2000) -> bytes:
    head = b"RF64\xff\xff\xff\xffWAVE" + struct.pack("<4sIQQQI", b"ds64", 28, size - 8, size - 80, 100, 0)
    return (head + wav("rf64")[12:36] + b"data\xff\xff\xff\xff").ljust(size, b"r")


def big_png(size: int = 300_000) -> bytes:
    """More parts of picture data than the gate will look at."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    data = random.Random(5).randbytes(size)
    parts = b"".join(chunk(b"IDAT", data[at : at + 2048]) for at in range(0, size, 2048))
    return png(1)[:33] + parts + chunk(b"IEND", b"")


def animation(frames: int, side: int) -> bytes:
    images = [picture(side, side, seed).quantize(256) for seed in range(frames)]
    return saved("GIF", images[0], save_all=True, append_images=images[1:], duration=50)


@cache
def complete() -> dict[str, bytes]:
    """Files that prove their own end."""
    return {
        "jpeg": saved("JPEG"),
        "jpeg, large": saved("JPEG", picture(640, 480), quality=95),
        "jpeg, progressive": saved("JPEG", progressive=True),
        "jpeg, thumbnail": jpeg_with(exif_with_thumbnail()),
        "jpeg, several pictures": saved("MPO", save_all=True, append_images=[picture(48, 32)]),
        "jpeg, motion photo": motion_photo(),
        "jpeg, padded": saved("JPEG") + b"\0\0",
        "jpeg, by hand": jpeg(1, 5000),
        "png": saved("PNG"),
        "png, many parts": big_png(),
        "gif": saved("GIF"),
        "gif, animated": animation(4, 24),
        "gif, large": animation(2, 320),
        "bmp": saved("BMP"),
        "tiff": saved("TIFF"),
        "tiff, strips": saved("TIFF", picture(200, 200), compression="tiff_lzw"),
        "webp": saved("WEBP"),
        "jpeg 2000": saved("JPEG2000"),
        "avif": saved("AVIF"),
        "photoshop": photoshop(0),
        "photoshop, packed": photoshop(1),
        "pdf": pdf(),
        "pdf, revised": pdf(revised=True),
        "zip": packed(),
        "zip, stored": packed(zipfile.ZIP_STORED, b"a comment"),
        "mp4": film("mp4"),
        "mp4, index first": film("mp4", movflags="faststart"),
        "mp4, fragments": film("mp4", movflags="frag_keyframe+empty_moov"),
        "mp4, by hand": mp4(1),
        "mov": film("mov"),
        "matroska": film("matroska"),
        "avi": film("avi"),
        "asf": film("asf", "msmpeg4v2"),
        "flv": flv(),
        "wav": wav(1),
        "wav, ffmpeg": sound("wav", "pcm_s16le"),
        "rf64": rf64(),
        "aiff": sound("aiff", "pcm_s16be"),
        "flac": sound("flac", "flac"),
        "flac, tags around": id3v2() + sound("flac", "flac") + id3v1(),
        "mp3": sound("mp3", "libmp3lame", seconds=2),
        "mp3, tags around": sound("mp3", "libmp3lame", seconds=2) + apev2() + id3v1(),
        "mp3, only tags tell": b"\xff\xfb\x90\x00".ljust(417, b"m") * 6 + id3v1(),
        "m4a": sound("ipod", "aac"),
        "ogg, opus": sound("ogg", "libopus", rate=48_000),
        "monkey's audio": monkeys_audio(),
        "dsf": dsf(),
        "dff": dff(),
        "xmp, packet": b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta/>\n<?xpacket end="w"?>',
        "xmp": b"<?xml version='1.0'?>\n<x:xmpmeta xmlns:x='adobe:ns:meta/'><a>1</a></x:xmpmeta>\n",
    }


# How many bytes at the end are an addition to a file that was whole without them.
ADDITIONS = {
    "jpeg, padded": 2,
    "pdf": 1,
    "pdf, revised": len(pdf(revised=True)) - len(pdf()) + 1,
    "xmp": 1,
    "flac, tags around": 128,
    "mp3, tags around": 128 + len(apev2()),
}
