"""Files that promise more than they are: each ends with a reason, in time, and within a worker's memory."""

from __future__ import annotations

import functools
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.unit.identify.drawn import box, directory, encoded, upright

MEMORY = 2 << 30  # bytes of address space, as a worker has them
RESIDENT = 1400 << 20  # bytes that one of them may really take: what a header may promise, and the libraries
DEADLINE_S = 20.0

WORKER = """
import json, os, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
from mediasluice.identify import previews
from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.identify.opened import Opened, Refused

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name))

for path in map(os.fsencode, sys.argv[2:]):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    fd = os.open(path, os.O_RDONLY)
    began = time.perf_counter()
    try:
        made = previews.make(Opened(fd, os.fstat(fd).st_size, path, kind_of(os.pread(fd, HEAD, 0), path)), None)
        said = f"made {made.width} x {made.height}"
    except Refused as refused:
        said = str(refused)
    os.close(fd)
    print(json.dumps([os.fsdecode(path), said, time.perf_counter() - began, status("VmHWM:")]), flush=True)
"""


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    head = struct.pack(">I", len(body) if length is None else length)
    return head + name + body + struct.pack(">I", zlib.crc32(name + body))


@functools.cache
def deflated(count: int) -> bytes:
    """So many zeros, in a two hundredth of that."""
    packer = zlib.compressobj(1)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def png(width: int, height: int, *extra: bytes, data: bytes = b"", colour: int = 2, interlace: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlace))
    pixels = chunk(b"IDAT", data or deflated((width * 3 + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + chunk(b"IEND", b"")


def laced_png(side: int) -> bytes:
    """Seven passes, each with rows of its own; PNG 1.2, 8.2."""
    return png(side, side, interlace=1, data=deflated(side * side * 3 + 2 * side))


def small_png(*extra: bytes) -> bytes:
    pixels = upright((64, 48)).tobytes()
    return png(64, 48, *extra, data=zlib.compress(b"".join(b"\0" + pixels[y * 192 : y * 192 + 192] for y in range(48))))


def jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose frame says that it is this large."""
    content = bytearray(encoded(upright(), "JPEG"))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def many_scans(count: int) -> bytes:
    """A progressive JPEG in which one scan is drawn over and over."""
    content = encoded(Image.new("RGB", (4000, 3000), (9, 99, 199)), "JPEG", progressive=True, quality=20)
    scans = [found.start() for found in re.finditer(b"\xff\xda", content)]
    return content[: scans[1]] + content[scans[1] : scans[2]] * count + content[scans[1] :]


def many_segments(count: int) -> bytes:
    return b"\xff\xd8" + b"\xff\xe5\0\2" * count + encoded(upright(), "JPEG")[2:]


def gif(width: int, height: int, frames: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff"
    return head + (b"!\xf9\4\0\1\0\0\0" + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0") * frames + b";"


def tiff(side: int, following: int = 0, data: bytes = b"", **tags: int | tuple[int, int, int]) -> bytes:
    """A gray TIFF of one strip; tags are named ``t`` and their number."""
    entries: dict[int, int | tuple[int, int, int]] = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 279: 99}
    entries |= {int(name[1:]): value for name, value in tags.items()}
    return b"II*\0" + struct.pack("<I", 8) + directory(entries, following) + data


def raw() -> bytes:
    """A raw photograph whose preview says that it is as large as a house."""
    names: dict[int, int | tuple[int, int, int]] = {0x103: 6, 0x201: 62, 0x202: 0xFFFFFFF0, 0x14A: (4, 1 << 30, 8)}
    return b"II*\0" + struct.pack("<I", 8) + directory(names) + jpeg(65_500, 65_500)


def webp(width: int, height: int) -> bytes:
    canvas = b"\2\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def heic(side: int, extent: int) -> bytes:
    """A picture of one item whose bytes are said to be ``extent`` long. Source: ISO 23008-12; ISO 14496-15, 8.3."""
    coding = box(b"hvcC", bytes.fromhex("0101600000009000000000005df000fcfdf8f800000f00"))
    size = box(b"ispe", struct.pack(">III", 0, side, side))
    links = box(b"ipma", struct.pack(">IIHBBB", 0, 1, 1, 2, 1, 0x82))
    meta = box(
        b"meta",
        bytes(4),
        box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
        box(b"pitm", struct.pack(">IH", 0, 1)),
        box(b"iinf", struct.pack(">IH", 0, 1), box(b"infe", struct.pack(">IHH4sB", 2 << 24, 1, 0, b"hvc1", 0))),
        box(b"iloc", struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 1, 0, 1, 300, extent)),
        box(b"iprp", box(b"ipco", size, coding), links),
    )
    return box(b"ftyp", b"heic" + bytes(4) + b"heicmif1") + meta + bytes(600)


def patched(container: str, old: bytes, new: bytes) -> bytes:
    """A small picture in whose header something is said otherwise."""
    content = encoded(upright(), container)
    assert content.count(old) >= 1
    return content.replace(old, new)


def film() -> bytes:
    """A film that says that it has four thousand million samples. Source: ISO 14496-12."""
    entry = box(b"avc1", bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HH", 640, 480) + bytes(50))
    tables = [
        box(name, struct.pack(">III", 0, 0xFFFFFFF0, 0xFFFFFFF0)) for name in (b"stts", b"stsc", b"stsz", b"stco")
    ]
    samples = box(b"stbl", box(b"stsd", struct.pack(">II", 0, 1), entry), *tables)
    media = box(b"mdia", box(b"mdhd", bytes(24)), box(b"hdlr", bytes(8) + b"vide" + bytes(13)), box(b"minf", samples))
    track = box(b"trak", box(b"tkhd", bytes(84)), media)
    return box(b"ftyp", b"isom" + bytes(8)) + box(b"moov", box(b"mvhd", bytes(100)), track)


def music() -> bytes:
    """A tag that is longer than any file, and a cover that is larger than any wall."""
    picture = b"APIC\xff\xff\xff\xf0\0\0\0image/png\0\3\0" + png(30_000, 30_000, data=b"x")
    return b"ID3\3\0\0\x7f\x7f\x7f\x7f" + picture


SIDES = struct.pack(">II", 96, 64)
HUGE = struct.pack(">II", 60_000, 60_000)
FOUR_GB = 0xFFFFFFF0
BMP = b"BM" + struct.pack("<IIIIiiHHIIIIII", 99, 0, 54, 40, 70_000, 70_000, 1, 24, 0, 0, 0, 0, 0, 0)
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 300_000, 300_000, 8, 3) + bytes(99)

MADE, DAMAGED = "made ", "it is damaged: "
TOO_MANY = "it has more than the 200 megapixels"
TOO_LARGE = r"its [\d.]+ megapixels (are more than|would need)"

BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    # A bomb in the strict sense: little to send, much to unpack.
    "billions.png": (lambda: png(60_000, 60_000, data=deflated(9 << 20)), TOO_MANY),
    "largest.png": (lambda: png(13_000, 13_000), MADE),
    "laced.png": (lambda: laced_png(8_000), MADE),
    "clear.png": (lambda: png(14_000, 14_000, colour=6, data=deflated(1 << 20)), TOO_LARGE),
    "words.png": (lambda: small_png(chunk(b"zTXt", b"a\0\0" + deflated(256 << 20))), MADE),
    "profile.png": (lambda: small_png(chunk(b"iCCP", b"a\0\0" + deflated(256 << 20))), MADE),
    "texts.png": (lambda: small_png(chunk(b"tEXt", b"a\0" + bytes(900_000)) * 90), DAMAGED),
    "billions.jpg": (lambda: jpeg(65_500, 65_500), TOO_MANY),
    "billions.gif": (lambda: gif(65_535, 65_535, 1), TOO_MANY),
    "wide.gif": (lambda: gif(14_000, 14_000, 1_000), TOO_LARGE),
    "billions.tif": (lambda: tiff(80_000, t259=5), TOO_MANY),
    "strip.tif": (lambda: tiff(13_000, t259=8, t278=13_000), TOO_LARGE),
    "canvas.webp": (lambda: webp(65_535, 65_535), TOO_LARGE),
    "wide.webp": (lambda: webp(1 << 24, 255), TOO_LARGE),
    "billions.heic": (lambda: heic(60_000, 300), TOO_MANY),
    "large.heic": (lambda: heic(12_000, 300), TOO_LARGE),
    "billions.avif": (lambda: patched("AVIF", SIDES, HUGE), DAMAGED),
    "large.avif": (lambda: patched("AVIF", SIDES, struct.pack(">II", 12_000, 12_000)), TOO_LARGE),
    "billions.bmp": (lambda: BMP, TOO_MANY),
    "billions.psd": (lambda: PSD, TOO_MANY),
    "billions.ppm": (lambda: b"P6\n100000 100000\n255\n" + bytes(999), TOO_MANY),
    "billions.jp2": (lambda: patched("JPEG2000", struct.pack(">II", 64, 96), HUGE), TOO_MANY + "|" + DAMAGED),
    "preview.nef": (raw, TOO_MANY),
    # Work without end.
    "slow.png": (lambda: small_png(chunk(b"tEXt", b"a\0b") * 1_500_000), "it has more than 100000 chunks"),
    "scans.jpg": (lambda: many_scans(5_000), "it has more scans than"),
    "segments.jpg": (lambda: many_segments(2_000_000), "its header has more than 10000 segments"),
    "frames.gif": (lambda: gif(400, 300, 100_000), MADE),
    "circle.tif": (lambda: tiff(64, 8, data=bytes(5000), t279=4096, t330=8, t34665=8), MADE),
    "digits.ppm": (lambda: b"P3\n9000 9000\n255\n" + b"1 " * 99_999, TOO_LARGE),
    # What crashes a library that is not warned.
    "names.heic": (
        lambda: heic(4_000, 300).replace(b"\0\0hvc1\0", b"\0\0\x7f\xff\xff\xff\0"),
        DAMAGED + "what is in it",
    ),
    # Lengths of four gigabytes.
    "long.png": (lambda: small_png(chunk(b"tEXt", b"a\0b", FOUR_GB)), DAMAGED),
    "long-data.png": (lambda: re.sub(rb"....IDAT", b"\xff\xff\xff\xf0IDAT", small_png(), flags=re.DOTALL), MADE),
    "long.tif": (lambda: tiff(64, t259=8, t279=FOUR_GB), DAMAGED),
    "values.tif": (lambda: tiff(64, t273=(4, 1 << 30, 8), t279=(4, 1 << 30, 8)), DAMAGED),
    "long.heic": (lambda: heic(4_000, FOUR_GB), DAMAGED),
    "box.mp4": (
        lambda: box(b"ftyp", b"isom" + bytes(8)) + b"\xff\xff\xff\xf0moov" + bytes(99),
        "it has no pictures|FFmpeg: ",
    ),
    "samples.mp4": (film, "FFmpeg: |its frames need more memory|it has no|none of its frames"),
    "cover.mp3": (music, "it has no cover|its cover: "),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What one worker, limited as in the service, says of all of them, one after the other."""
    folder = tmp_path_factory.mktemp("bombs")
    paths = []
    for name, (make, _) in BOMBS.items():
        path = folder / name
        path.write_bytes(make())
        paths.append(str(path))
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(MEMORY), *paths],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = {Path(path).name: rest for path, *rest in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, len(found)) == (0, len(BOMBS)), done.stderr[-2000:]
    return found


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux tells how much memory was taken")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_with_a_reason(name: str, answers: dict[str, list[Any]]) -> None:
    """A clear reason or a picture, below the deadline and below the limit of memory."""
    said, seconds, resident = answers[name]
    assert re.match(BOMBS[name][1], said), said
    assert seconds < DEADLINE_S
    assert resident < RESIDENT
