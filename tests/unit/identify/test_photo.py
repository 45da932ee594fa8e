from __future__ import annotations

import io
import json
import random
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import photo
from mediasluice.model.media import Camera, DateClaim, DateSource, Reading
from tests import pictures as made

WHEN = "2019:05:06 07:08:09"
TAKEN: made.Tags = {made.ORIGINAL: WHEN, made.OFFSET_ORIGINAL: "+02:00", 0x829D: Fraction(4), 0xA434: "Lens"}
BLOCK = made.tiff({made.MAKE: "Canon", made.MODEL: "EOS", made.ORIENTATION: 6, made.EXIF: TAKEN})
CLAIM = DateClaim(DateSource.EXIF_ORIGINAL, WHEN, "+02:00")
PACKET = made.xmp('exif:DateTimeOriginal="2018-01-02T03:04:05" tiff:Make="Q" tiff:Model="R"')
RECORD = made.iptc((2, 5, b"A title"), (2, 80, b"An author"), (2, 55, b"20110203"), (2, 60, b"040506+0100"))
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")

Read = Callable[[bytes], Reading]


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    """A function that reads a file with the bytes it is given."""
    with ExitStack() as stack:
        yield lambda content: photo.read(stack.enter_context(made.opened(tmp_path / "picture", content)))


def saved(name: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: object) -> bytes:
    """A picture that Pillow writes."""
    out = io.BytesIO()
    Image.new(mode, size, 1).save(out, name, **options)
    return out.getvalue()


def profile(name: bytes, body: bytes) -> bytes:
    """Hexadecimal text as ImageMagick writes it."""
    text = body.hex().encode()
    lines = b"\n".join(text[start : start + 72] for start in range(0, len(text), 72))
    return b"\n%s\n%8d\n%s\n" % (name, len(body), lines)


def photoshop(*resources: bytes) -> bytes:
    listed = b"".join(resources)
    head = b"8BPS" + struct.pack(">H6xHIIHHI", 1, 3, 30, 40, 8, 3, 0)
    return head + struct.pack(">I", len(listed)) + listed + bytes(64)


def jpeg2000(*more: bytes) -> bytes:
    size = made.box(b"jp2h", made.box(b"ihdr", struct.pack(">IIHBBBB", 30, 40, 3, 7, 7, 0, 0)))
    return made.box(b"jP  ", b"\r\n\x87\n") + made.brand(b"jp2 ") + size + b"".join(more)


def jpegxl(*more: bytes) -> bytes:
    """40 x 30: neither in eights nor of a usual ratio."""
    bits = 0 | 0 << 1 | 29 << 3 | 0 << 12 | 0 << 15 | 39 << 17 | 1 << 26
    stream = CODE_STREAM + bits.to_bytes(8, "little") + bytes(8)
    return made.box(b"JXL ", b"\r\n\x87\n") + made.brand(b"jxl ") + b"".join(more) + made.box(b"jxlc", stream)


CODE_STREAM = b"\xff\x0a"


SENSOR: made.Tags = {made.SUBFILE: 0, made.WIDTH: 40, made.HEIGHT: 30, made.COLOURS: 32803}
PREVIEW: made.Tags = {made.SUBFILE: 1, made.WIDTH: 16, made.HEIGHT: 12}

SIZED: Mapping[str, tuple[bytes, str, str]] = {
    "jpeg": (made.jpeg(), "jpeg", "image/jpeg"),
    "jpeg of Pillow": (saved("JPEG"), "jpeg", "image/jpeg"),
    "jpeg, progressive": (saved("JPEG", progressive=True), "jpeg", "image/jpeg"),
    "png": (saved("PNG"), "png", "image/png"),
    "gif": (saved("GIF", mode="P"), "gif", "image/gif"),
    "bmp": (saved("BMP"), "bmp", "image/bmp"),
    "bmp, top line first": (b"BM" + bytes(12) + struct.pack("<Iii", 40, 40, -30), "bmp", "image/bmp"),
    "bmp of OS/2": (b"BM" + bytes(12) + struct.pack("<IHHI", 12, 40, 30, 0), "bmp", "image/bmp"),
    "ico": (saved("ICO", (40, 30), sizes=[(16, 16), (40, 30)]), "ico", "image/vnd.microsoft.icon"),
    "tiff": (saved("TIFF"), "tiff", "image/tiff"),
    "big tiff": (made.big_tiff({made.WIDTH: 40, made.HEIGHT: 30}), "tiff", "image/tiff"),
    "webp, lossy": (saved("WEBP"), "webp", "image/webp"),
    "webp, lossless": (saved("WEBP", lossless=True), "webp", "image/webp"),
    "webp, with exif": (saved("WEBP", exif=BLOCK), "webp", "image/webp"),
    "jpeg 2000": (saved("JPEG2000"), "jp2", "image/jp2"),
    "jpeg 2000, bare": (saved("JPEG2000", no_jp2=True), "j2k", "image/x-j2c"),
    "jpeg xl": (jpegxl(), "jxl", "image/jxl"),
    "jpeg xl, bare": (jpegxl()[-18:], "jxl", "image/jxl"),
    "jpeg xr": (made.tiff({0xBC80: 40, 0xBC81: 30}, magic=0x01BC), "jxr", "image/jxr"),
    "psd": (photoshop(), "psd", "image/vnd.adobe.photoshop"),
    "heic": (made.heif({}), "heic", "image/heic"),
    "avif": (saved("AVIF"), "avif", "image/avif"),
    "dng": (
        made.tiff({**PREVIEW, made.DNG: b"\1\4\0\0", made.PARTS: [SENSOR]}, order=">"),
        "dng",
        "image/x-adobe-dng",
    ),
    "nef": (
        made.tiff({**PREVIEW, made.MAKE: "NIKON CORPORATION", made.PARTS: [PREVIEW, SENSOR]}),
        "nef",
        "image/x-nikon-nef",
    ),
    "arw": (made.tiff({**PREVIEW, made.MAKE: "SONY", made.PARTS: [SENSOR]}), "arw", "image/x-sony-arw"),
    "pef": (made.tiff({**SENSOR, made.MAKE: "PENTAX"}, PREVIEW), "pef", "image/x-pentax-pef"),
    "orf": (made.tiff({made.WIDTH: 40, made.HEIGHT: 30}, magic=0x4F52), "orf", "image/x-olympus-orf"),
    "cr2": (made.tiff({made.WIDTH: 40, made.HEIGHT: 30}, gap=b"CR\2\0" + bytes(4)), "cr2", "image/x-canon-cr2"),
    "cr2 with a preview in front": (
        made.tiff({**PREVIEW, made.EXIF: {0xA002: 40, 0xA003: 30}}, gap=b"CR\2\0" + bytes(4)),
        "cr2",
        "image/x-canon-cr2",
    ),
    "rw2": (made.tiff({4: 2, 5: 4, 6: 32, 7: 44}, magic=0x55), "rw2", "image/x-panasonic-rw2"),
    "raf": (made.raf(made.jpeg(width=8, height=6), width=40, height=30), "raf", "image/x-fuji-raf"),
    "mrw": (made.mrw(BLOCK, width=40, height=30), "mrw", "image/x-minolta-mrw"),
    "x3f": (made.x3f({"ISO": "100"}, width=40, height=30), "x3f", "image/x-sigma-x3f"),
    "x3f, version 4": (made.x3f({"ISO": "100"}, width=40, height=30, version=4), "x3f", "image/x-sigma-x3f"),
    "crw": (made.ciff(0, width=40, height=30), "crw", "image/x-canon-crw"),
    "two pages": (
        made.tiff({made.SUBFILE: 2, made.WIDTH: 40, made.HEIGHT: 30}, {made.SUBFILE: 2, made.WIDTH: 99}),
        "tiff",
        "image/tiff",
    ),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="x" width="40px" height="30">', "svg", "image/svg+xml"),
    "svg by its view": (b'\xef\xbb\xbf<svg viewBox="-1.5 0 40 30" width="100%">', "svg", "image/svg+xml"),
    "xcf": (b"gimp xcf v011\0" + struct.pack(">II", 40, 30), "xcf", "image/x-xcf"),
    "exr": (
        b"v/1\x01\2\0\0\0channels\0chlist\0\1\0\0\0\0dataWindow\0box2i\0\x10\0\0\0"
        + struct.pack("<iiii", -5, 1, 34, 30),
        "exr",
        "image/x-exr",
    ),
    "hdr": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30 +X 40\n", "hdr", "image/vnd.radiance"),
    "djvu": (b"AT&TFORM\0\0\0\x20DJVUINFO\0\0\0\x0a" + struct.pack(">HH", 40, 30) + bytes(8), "djvu", "image/vnd.djvu"),
}


@pytest.mark.parametrize(("content", "container", "mime"), SIZED.values(), ids=SIZED)
def test_sizes_and_types(read: Read, content: bytes, container: str, mime: str) -> None:
    """Our own readers tell type and full size of every format that cameras, phones and programs write."""
    reading = read(content)
    assert (reading.media.width, reading.media.height) == (40, 30)
    assert (reading.media.container, reading.mime) == (container, mime)
    assert reading.reader.split("+")[0] == "photo"


CARRIERS: Mapping[str, bytes] = {
    "jpeg": made.jpeg(made.exif_segment(BLOCK)),
    "jpeg behind fill bytes": made.jpeg(made.exif_segment(BLOCK)).replace(b"\xff\xe1", b"\xff\xff\xff\xe1", 1),
    "jpeg behind a segment with a wrong length": b"\xff\xd8\xff\xe2\0\3"
    + b"x" * 99
    + made.jpeg(made.exif_segment(BLOCK))[2:],
    "jpeg behind a block that is none": made.jpeg(made.exif_segment(b"II"), made.exif_segment(BLOCK)),
    "jpeg behind a large profile": made.jpeg(*[(0xE2, bytes(65_000))] * 3, made.exif_segment(BLOCK)),
    "png": made.png(made.chunk(b"eXIf", BLOCK)),
    "png, behind the picture": made.png(behind=[made.chunk(b"eXIf", b"Exif\0\0" + BLOCK)]),
    "png, packed profile": made.png(
        made.chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile(b"exif", b"Exif\0\0" + BLOCK)))
    ),
    "png, plain profile": made.png(
        made.chunk(b"tEXt", b"Raw profile type APP1\0" + profile(b"generic profile", b"Exif\0\0" + BLOCK))
    ),
    "webp": made.webp((b"VP8X", b"\x08\0\0\0" + b"\x27\0\0\x1d\0\0"), (b"EXIF", BLOCK)),
    "webp with a jpeg's header": made.webp(
        (b"VP8X", b"\x08\0\0\0" + b"\x27\0\0\x1d\0\0"), (b"EXIF", b"Exif\0\0" + BLOCK)
    ),
    "heic": made.heif({2: (b"Exif", b"\0\0\0\0" + BLOCK)}, turns=[(b"irot", 3)]),
    "jpeg 2000": jpeg2000(made.box(b"uuid", b"JpgTiffExif->JP2", BLOCK)),
    "psd": photoshop(made.resource(0x0422, BLOCK)),
    "raf": made.raf(made.jpeg(made.exif_segment(BLOCK)), width=40, height=30),
    "mrw": made.mrw(BLOCK, width=40, height=30),
    "rw2 by its preview": made.tiff(
        {7: 40, 6: 30, made.MAKE: "Canon", made.MODEL: "EOS", 0x2E: made.jpeg(made.exif_segment(BLOCK))}, magic=0x55
    ),
    "tiff": made.tiff({made.WIDTH: 40, made.MAKE: "Canon", made.MODEL: "EOS", made.ORIENTATION: 6, made.EXIF: TAKEN}),
}


@pytest.mark.parametrize("content", CARRIERS.values(), ids=CARRIERS)
def test_exif_in_every_format(read: Read, content: bytes) -> None:
    """Exif is found wherever a format keeps it: date with its offset, camera, lens, exposure, turning."""
    reading = read(content)
    assert reading.dates == (CLAIM,)
    assert reading.camera == Camera("Canon", "EOS", "Lens")
    assert reading.exposure.aperture == 4.0
    assert (reading.media.rotation, reading.media.is_mirrored) == (90, False)
    assert reading.media.width == 40
    assert reading.error is None


def test_jpeg_xl(read: Read) -> None:
    """JPEG XL turns by its code stream, whatever Exif says; a small square and a known ratio are written shortly."""
    reading = read(jpegxl(made.box(b"Exif", b"\0\0\0\0" + BLOCK)))
    assert reading.dates == (CLAIM,)
    assert (reading.media.rotation, reading.media.is_mirrored) == (0, False)
    small = 1 | 3 << 1 | 2 << 6 | 0 << 9 | 1 << 10 | 5 << 11  # 32 high, 12:10, and orientation 6
    reading = read(CODE_STREAM + small.to_bytes(4, "little"))
    assert reading.media[3:5] == (38, 32)
    assert (reading.media.rotation, reading.media.is_mirrored) == (90, False)
    assert read(jpegxl(made.box(b"Exif", b"\0\0\0\0II"))).error == "Exif: no TIFF header"
    assert "Brotli" in str(read(jpegxl(made.box(b"brob", b"Exif"))).error)


PACKETS: Mapping[str, bytes] = {
    "jpeg": made.jpeg(made.xmp_segment(PACKET)),
    "png": made.png(made.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)),
    "png, packed": made.png(made.chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(PACKET))),
    "png, profile": made.png(made.chunk(b"tEXt", b"Raw profile type xmp\0" + profile(b"xmp", PACKET))),
    "webp": made.webp((b"VP8X", b"\x04\0\0\0" + b"\x27\0\0\x1d\0\0"), (b"XMP ", PACKET)),
    "heic": made.heif({2: (b"mime", PACKET)}),
    "tiff": made.tiff({made.WIDTH: 40, made.PACKET: PACKET}),
    "jpeg 2000": jpeg2000(made.box(b"uuid", XMP_UUID, PACKET)),
    "jpeg xl": jpegxl(made.box(b"xml ", PACKET)),
    "psd": photoshop(made.resource(0x0424, PACKET)),
    "gif": saved("GIF", mode="P")[:-1] + b"!\xff\x0bXMP DataXMP%s\1%s\0\0;" % (PACKET, bytes(range(255, -1, -1))),
}


@pytest.mark.parametrize("content", PACKETS.values(), ids=PACKETS)
def test_xmp_in_every_format(read: Read, content: bytes) -> None:
    """Where there is no Exif, XMP gives date and camera."""
    reading = read(content)
    assert reading.dates == (DateClaim(DateSource.XMP, "2018-01-02T03:04:05"),)
    assert reading.camera == Camera("Q", "R")


@pytest.mark.parametrize(
    "content",
    [
        made.jpeg(made.photoshop_segment(made.resource(0x0404, RECORD))),
        made.jpeg(
            made.photoshop_segment(made.resource(0x0404, RECORD)[:20]),
            (0xED, b"Photoshop 3.0\0" + made.resource(0x0404, RECORD)[20:]),
        ),
        photoshop(made.resource(0x0404, RECORD)),
        made.tiff({made.WIDTH: 40, made.RECORD: RECORD}),
        made.tiff({made.WIDTH: 40, 0x8649: made.resource(0x0404, RECORD)}),
        made.png(made.chunk(b"tEXt", b"Raw profile type iptc\0" + profile(b"iptc", made.resource(0x0404, RECORD)))),
    ],
    ids=["jpeg", "jpeg, in pieces", "psd", "tiff", "tiff in photoshop's resources", "png"],
)
def test_iptc_in_every_format(read: Read, content: bytes) -> None:
    """IPTC gives the date with its offset, the title and the author."""
    reading = read(content)
    assert reading.dates == (DateClaim(DateSource.IPTC, "2011:02:03 04:05:06", "+01:00"),)
    assert (reading.tags.title, reading.tags.artist) == ("A title", "An author")


def test_all_claims_in_their_order(read: Read) -> None:
    """Every date is given, in the order in which the rule asks; of the camera Exif is believed before XMP."""
    segments = [
        made.xmp_segment(PACKET),
        made.photoshop_segment(made.resource(0x0404, RECORD)),
        made.exif_segment(made.tiff({made.MAKE: "Canon", made.MODIFIED: "2022:01:01 00:00:00", made.EXIF: TAKEN})),
    ]
    reading = read(made.jpeg(*segments))
    assert [claim.source for claim in reading.dates] == [
        DateSource.EXIF_ORIGINAL,
        DateSource.XMP,
        DateSource.IPTC,
        DateSource.EXIF_MODIFIED,
    ]
    assert reading.camera == Camera("Canon", "R", "Lens")


def test_a_packet_that_is_none_is_a_reason(read: Read) -> None:
    """A broken packet takes nothing away from the rest."""
    reading = read(made.jpeg(made.xmp_segment(b"<no DateCreated"), made.exif_segment(BLOCK)))
    assert reading.dates == (CLAIM,)
    assert reading.error is not None


@pytest.mark.parametrize(
    ("content", "date", "camera"),
    [
        (
            made.jpeg((0xE0, made.ciff(1_040_000_000, width=9, height=9, kind=b"HEAPJPGM"))),
            "2002:12:16 00:53:20",
            "Canon",
        ),
        (made.ciff(1_040_000_000, width=9, height=9), "2002:12:16 00:53:20", "Canon"),
        (made.jpeg((0xEC, b"[picture info]\r\nTimeDate=909698819\r\nShutter=1\r\n")), "1998:10:29 22:06:59", None),
        (made.x3f({"TIME": "1040000000", "CAMMANUF": "SIGMA"}, width=9, height=9), "2002:12:16 00:53:20", "SIGMA"),
    ],
    ids=["jpeg of a PowerShot", "crw", "jpeg of an Olympus", "x3f"],
)
def test_what_cameras_wrote_before_there_was_exif(read: Read, content: bytes, date: str, camera: str | None) -> None:
    """Cameras of the nineties count seconds of their own clock."""
    reading = read(content)
    assert reading.dates == (DateClaim(DateSource.EXIF_ORIGINAL, date),)
    assert reading.camera.make == camera


def test_animations(read: Read) -> None:
    """Animations have a duration, in seconds; still pictures have none."""
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    for name, container in (("GIF", "gif"), ("WEBP", "webp"), ("PNG", "apng")):
        out = io.BytesIO()
        frames[0].save(out, name, save_all=True, append_images=frames[1:], duration=500)
        reading = read(out.getvalue())
        assert (reading.media.container, reading.media.duration) == (container, 1.5)
        assert reading.media.bitrate == round(len(out.getvalue()) * 8 / 1.5)
        assert read(saved(name)).media.duration is None


def test_text_of_a_png(read: Read) -> None:
    """Title and author of a PNG are those of the work."""
    content = made.png(
        made.chunk(b"tEXt", b"Title\0T\xeftle"), made.chunk(b"zTXt", b"Author\0\0" + zlib.compress(b"A"))
    )
    assert read(content).tags[:2] == ("Tïtle", "A")


def read_calls() -> int:
    """System calls by which this process has read since it began."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["syscr"])


def test_a_long_png_is_passed_over_by_halving(tmp_path: Path) -> None:
    """Of picture data in thousands of equal chunks a few headers are read, and what follows is found."""
    data = made.chunk(b"IDAT", bytes(100)) * 20_000
    content = made.png().replace(made.chunk(b"IDAT", zlib.compress(bytes(41 * 30))), data + made.chunk(b"eXIf", BLOCK))
    with made.opened(tmp_path / "long.png", content) as file:
        before = read_calls()
        assert photo.read(file).dates == (CLAIM,)
        assert read_calls() - before < 100


# --- other rungs


@pytest.mark.parametrize(
    ("name", "mode"), [("TGA", "RGB"), ("PPM", "RGB"), ("PCX", "RGB"), ("DDS", "RGBA"), ("QOI", "RGB")]
)
def test_formats_of_pillow(read: Read, name: str, mode: str) -> None:
    """What our own readers do not know Pillow may."""
    reading = read(saved(name, mode=mode))
    assert (reading.reader, reading.media.width, reading.media.height) == ("pillow", 40, 30)


def test_a_bomb_is_measured_and_not_opened(read: Read) -> None:
    """A header that claims ten thousand million pixels gives its size, in our readers and in Pillow's."""
    assert (
        read(made.png().replace(struct.pack(">II", 40, 30), struct.pack(">II", 100_000, 100_000))).media.width
        == 100_000
    )
    assert read(b"P6 100000 100000 255\n" + bytes(100)).media[3:5] == (100_000, 100_000)


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\0" * 4096, bytes(range(256)) * 16, b"BM" + bytes(60), b"<html></html>"]
)
def test_what_nobody_knows(read: Read, content: bytes) -> None:
    """A file that no reader understands is refused with a reason."""
    with pytest.raises(Refused, match=r"\w+ \w+"):
        read(content)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_is_asked_for_a_raw_photograph_without_a_date(read: Read) -> None:
    """The last rung is taken for raw photographs without a date, and for nothing else that could be opened."""
    undated: made.Tags = {**PREVIEW, made.DNG: b"\1\4\0\0", made.PARTS: [SENSOR]}
    reading = read(made.tiff(undated))
    assert (reading.reader, reading.media.width) == ("photo+exiftool", 40)
    assert read(made.tiff({**undated, made.EXIF: TAKEN})).reader == "photo"
    assert read(saved("JPEG")).reader == "photo"


# --- damage


def test_a_packed_text_does_not_grow_without_limit(read: Read) -> None:
    """Chunks of some KB that unpack to 64 MB each cost a few MB, and the rest of the file is read."""
    bomb = made.chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(64 << 20)))
    content = made.png(*[bomb] * 50)
    tracemalloc.start()
    try:
        assert read(content).media.width == 40
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


HUGE: Mapping[str, bytes] = {
    "png": made.png(struct.pack(">I", 0xFFFFFFF0) + b"eXIf" + BLOCK),
    "webp": made.webp((b"VP8X", bytes(10)))[:-18] + b"EXIF\xff\xff\xff\xff" + BLOCK,
    "raf": made.raf(made.jpeg(), width=9, height=9)[:84] + b"\xff" * 16 + bytes(99),
    "mrw": b"\0MRM\xff\xff\xff\xff\0TTW\xff\xff\xff\xff" + BLOCK,
    "x3f": made.x3f({"A": "B"}, width=9, height=9)[:-4] + b"\xff\xff\xff\xff",
    "crw": made.ciff(0, width=9, height=9)[:-4] + b"\xff\xff\xff\x7f",
    "psd": photoshop()[:30] + b"\xff\xff\xff\xff" + b"8BIM\x04\x04\0\0\xff\xff\xff\xff",
    "jp2": jpeg2000(struct.pack(">I", 1) + b"uuid" + b"\xff" * 8),
    "gif": b"GIF89a\x28\0\x1e\0\xf7\0\0!\xff\x0bXMP DataXMP\xff",
    "tiff of directories without end": made.tiff(*[{made.WIDTH: 40}] * 300),
    "jpeg of segments without end": b"\xff\xd8" + b"\xff\xe2\0\2" * 50_000,
    "jpeg of gaps": b"\xff\xd8" + b"\xff\0\0\0" * 50_000,
}


@pytest.mark.parametrize("content", HUGE.values(), ids=HUGE)
def test_huge_lengths(read: Read, content: bytes) -> None:
    """Lengths beyond the end of the file, and parts without end, give what is there or are refused."""
    try:
        reading = read(content)
    except Refused:
        return
    assert reading.media.container


ALL = {**{name: row[0] for name, row in SIZED.items()}, **CARRIERS, **PACKETS}


def damaged(content: bytes, chance: random.Random) -> Iterator[bytes]:
    """A content as disks, lines and enemies leave it."""
    size = len(content)
    for part in (5, size // 10, size // 2, size - 1):
        yield content[:part]
    yield content[: size // 2] + bytes(size - size // 2)
    yield bytes(64) + content[64:]
    for count, reach in ((8, 64), (32, 512), (max(4, size // 100), size)):
        flipped = bytearray(content)
        for _ in range(count):
            flipped[chance.randrange(min(reach, size))] = chance.randrange(256)
        yield bytes(flipped)
    for value in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"):
        for _ in range(4):
            at = chance.randrange(max(1, min(size, 512) - 4))
            yield content[:at] + value + content[at + 4 :]


@pytest.mark.parametrize("content", ALL.values(), ids=ALL)
def test_damage(tmp_path: Path, content: bytes) -> None:
    """Our own readers refuse a damaged file or give what is left; nothing else escapes them."""
    chance = random.Random(len(content))
    for number, broken in enumerate(damaged(content, chance)):
        with made.opened(tmp_path / str(number), broken) as file:
            try:
                still = photo.own(file)
            except Refused:
                continue
            assert still.container


# --- real files


def agrees(name: str, found: object, expected: object) -> bool:
    if found is None:
        return False
    if name in {"GPSLatitude", "GPSLongitude"}:
        return abs(float(str(found)) - float(str(expected))) < 1e-3
    return str(found).strip()[:19] == str(expected).strip()[:19]


def found_in(reading: Reading) -> dict[str, object]:
    dates = {claim.source: claim.text.replace("-", ":").replace("T", " ") for claim in reversed(reading.dates)}
    return {
        "DateTimeOriginal": dates.get(DateSource.EXIF_ORIGINAL, dates.get(DateSource.XMP)),
        "Make": reading.camera.make,
        "Model": reading.camera.model,
        "ImageWidth": reading.media.width,
        "GPSLatitude": reading.gps and reading.gps.lat,
    }


def test_real_files(corpus: Path) -> None:
    """Capture time, camera, size and place agree with exiftool in as many files as it takes to replace a library."""
    folder = corpus if (corpus / "manifest.jsonl").exists() else corpus.parent
    counts: dict[str, list[bool]] = {}
    for line in (folder / "manifest.jsonl").read_text(errors="replace").splitlines():
        entry = json.loads(line)
        truth = entry.get("exiftool", {})
        if entry["kind"] != "photo" or "FileType" not in truth:
            continue
        path = folder / "files" / entry["file"]
        with path.open("rb") as stream:
            kind = kind_of(stream.read(HEAD), Path(entry["path"]).name.encode())
            try:
                reading = photo.read(Opened(stream.fileno(), path.stat().st_size, bytes(path), kind))
            except Refused:
                counts.setdefault("opens", []).append(False)
                continue
        counts.setdefault("opens", []).append(True)
        for name, value in found_in(reading).items():
            if truth.get(name) not in {None, ""}:
                right = agrees(name, value, truth[name])
                counts.setdefault(name, []).append(right)
                if truth["FileType"] == "JPEG":
                    counts.setdefault(f"{name} of JPEG", []).append(right)
    shares = {name: sum(right) / len(right) for name, right in counts.items()}
    assert len(counts["opens"]) > 350
    for name, bar in (
        *(("opens", 0.97), ("DateTimeOriginal", 0.96), ("DateTimeOriginal of JPEG", 0.99)),
        *(("Make", 0.96), ("Model", 0.96), ("ImageWidth", 0.97), ("GPSLatitude", 0.95)),
    ):
        assert shares[name] >= bar, (name, shares)
