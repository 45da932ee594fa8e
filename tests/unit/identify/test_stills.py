from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from mediasluice.identify import stills
from mediasluice.identify.opened import Refused
from mediasluice.model.files import Kind
from mediasluice.model.media import Media
from tests.unit.identify.drawn import (
    CORNERS,
    GREEN,
    RED,
    TURNS,
    Rgb,
    at,
    corners,
    encoded,
    exif,
    is_near,
    opened,
    stored,
    upright,
)

SIDE = 1280


def decoded(path: Path, content: bytes, media: Media | None = None, side: int = SIDE) -> stills.Still:
    with opened(path, content, Kind.IMAGE) as file:
        return stills.decode(file, media, side)


def refusal(path: Path, content: bytes) -> str:
    with pytest.raises(Refused) as caught:
        decoded(path, content)
    return str(caught.value)


# --- which way it stands

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 95}),
    "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "avif": ("AVIF", {"quality": 95, "speed": 10}),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_stands_as_its_exif_says(name: str, orientation: int, tmp_path: Path) -> None:
    """All eight orientations, in every format that has them, with no reading at hand."""
    container, options = FORMATS[name]
    content = encoded(stored(upright(), orientation), container, exif=exif(orientation), **options)
    picture = decoded(tmp_path / f"a.{name}", content).picture
    assert picture.size == (96, 64)
    assert is_near(corners(picture), CORNERS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_is_never_turned_twice(name: str, orientation: int, tmp_path: Path) -> None:
    """A reading that says the same as the file changes nothing."""
    container, options = FORMATS[name]
    content = encoded(stored(upright(), orientation), container, exif=exif(orientation), **options)
    rotation, is_mirrored = TURNS[orientation]
    media = Media(rotation=rotation, is_mirrored=is_mirrored)
    assert is_near(corners(decoded(tmp_path / f"a.{name}", content, media).picture), CORNERS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reading_knows_better_than_the_file(orientation: int, tmp_path: Path) -> None:
    """What a reader found counts, also where Exif is not where Pillow looks for it."""
    rotation, is_mirrored = TURNS[orientation]
    content = encoded(stored(upright(), orientation), "JPEG", quality=95, subsampling=0)
    picture = decoded(tmp_path / "a.jpg", content, Media(rotation=rotation, is_mirrored=is_mirrored)).picture
    assert is_near(corners(picture), CORNERS)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_makes_no_sense_is_none(orientation: int, tmp_path: Path) -> None:
    """Numbers outside of one to eight turn nothing."""
    content = encoded(upright(), "JPEG", quality=95, subsampling=0, exif=exif(orientation))
    assert is_near(corners(decoded(tmp_path / "a.jpg", content).picture), CORNERS)


# --- size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4000, 3000), (1280, 960)),
        ((3000, 4000), (960, 1280)),
        ((1280, 700), (1280, 700)),
        ((90, 60), (90, 60)),
        ((1, 1), (1, 1)),
        ((5000, 4), (1280, 1)),
        ((3, 4000), (1, 1280)),
    ],
)
@pytest.mark.parametrize("container", ["JPEG", "PNG"])
def test_size(container: str, size: tuple[int, int], expected: tuple[int, int], tmp_path: Path) -> None:
    """At most the side that is asked for, in its own shape, and never larger than it was."""
    picture = decoded(tmp_path / "a", encoded(Image.new("RGB", size, RED), container)).picture
    assert picture.size == expected
    assert is_near([at(picture, (0, 0))], [RED])


def test_a_jpeg_is_made_small_by_its_decoder(tmp_path: Path) -> None:
    """Its decoder is asked for no more than needed, which shows nowhere but in the time: the picture is the same."""
    content = encoded(upright((4000, 3000)), "JPEG", quality=95)
    assert is_near(corners(decoded(tmp_path / "a.jpg", content).picture), CORNERS)


# --- kinds of pixels


def gray_16() -> Image.Image:
    picture = Image.new("I;16", (96, 64))
    for x in range(96):
        for y in range(64):
            picture.putpixel((x, y), 0xC800 if x < 48 else 0x3200)
    return picture


def alpha(picture: Image.Image) -> Image.Image:
    """The left half cannot be seen."""
    picture = picture.convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, picture.width // 2, picture.height))
    return picture


def floats(low: float, high: float) -> Image.Image:
    return (
        Image.linear_gradient("L").resize((96, 64)).convert("F").point(lambda value: value * (high - low) / 255 + low)
    )


def lab() -> Image.Image:
    from PIL import ImageCms  # noqa: PLC0415 - only this case needs it

    done = ImageCms.profileToProfile(
        upright(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert done is not None
    return done


def big_endian_tiff() -> bytes:
    pixels = b"".join(struct.pack(">H", 0xC800 if x < 48 else 0x3200) for _ in range(64) for x in range(96))
    tags = {256: 96, 257: 64, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 64, 279: len(pixels)}
    body = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack(">2sHI", b"MM", 42, 8 + len(pixels)) + pixels + struct.pack(">H", len(tags)) + body + bytes(4)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_of_16_bits() -> bytes:
    picture = upright()
    raw = picture.tobytes()
    wide = bytes(byte for value in raw for byte in (value, value))
    rows = b"".join(b"\0" + wide[y * 96 * 6 : (y + 1) * 96 * 6] for y in range(64))
    return png(96, 64, rows, depth=16)


FOUR = CORNERS
GRAY: tuple[Rgb, ...] = ((200, 200, 200), (50, 50, 50), (200, 200, 200), (50, 50, 50))
PIXELS: dict[str, tuple[Callable[[], bytes], tuple[Rgb, ...], int]] = {
    "CMYK in JPEG": (lambda: encoded(upright().convert("CMYK"), "JPEG", quality=95, subsampling=0), FOUR, 14),
    "CMYK in TIFF": (lambda: encoded(upright().convert("CMYK"), "TIFF", compression="tiff_lzw"), FOUR, 2),
    "palette": (lambda: encoded(upright().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), FOUR, 2),
    "palette in GIF": (lambda: encoded(upright().convert("P", palette=Image.Palette.ADAPTIVE), "GIF"), FOUR, 2),
    "YCbCr in TIFF": (lambda: encoded(upright().convert("YCbCr"), "TIFF"), FOUR, 3),
    "LAB in TIFF": (lambda: encoded(lab(), "TIFF"), FOUR, 10),
    "16 bits": (lambda: encoded(gray_16(), "PNG"), GRAY, 1),
    "16 bits in TIFF": (lambda: encoded(gray_16(), "TIFF"), GRAY, 1),
    "16 bits, big end first": (big_endian_tiff, GRAY, 1),
    "16 bits of three colours": (png_of_16_bits, FOUR, 1),
    "32 bits": (lambda: encoded(gray_16().convert("I"), "TIFF"), GRAY, 1),
    "numbers beyond 16 bits": (lambda: encoded(gray_16().convert("I").point(lambda v: v * 9 - 7), "TIFF"),
                               ((255,) * 3, (0,) * 3, (255,) * 3, (0,) * 3), 1),
    "one bit": (lambda: encoded(gray_16().convert("I").point(lambda v: v - 0x8000).convert("L").convert("1"), "PNG"),
                ((255,) * 3, (0,) * 3, (255,) * 3, (0,) * 3), 0),
    "JPEG 2000": (lambda: encoded(upright(), "JPEG2000"), FOUR, 2),
    "PPM": (lambda: encoded(upright(), "PPM"), FOUR, 0),
    "BMP": (lambda: encoded(upright(), "BMP"), FOUR, 0),
    "TGA": (lambda: encoded(upright(), "TGA"), FOUR, 0),
    "ICO": (lambda: encoded(upright((64, 64)), "ICO", sizes=[(64, 64)]), FOUR, 0),
    "progressive JPEG": (lambda: encoded(upright(), "JPEG", quality=95, subsampling=0, progressive=True), FOUR, 14),
}  # fmt: skip


@pytest.mark.parametrize("name", PIXELS)
def test_pixels_of_every_kind(name: str, tmp_path: Path) -> None:
    """However a pixel is stored, its colour is the one that people see."""
    make, wanted, most = PIXELS[name]
    suffix = "tga" if name == "TGA" else "x"
    picture = decoded(tmp_path / f"a.{suffix}", make()).picture
    assert picture.mode == "RGB"
    assert is_near(corners(picture), wanted, most)


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        pytest.param(0.0, 1.0, (0, 255), id="light from nothing to white"),
        pytest.param(0.2, 0.6, (51, 153), id="a part of that"),
        pytest.param(-40.0, 900.0, (0, 255), id="heights"),
    ],
)
def test_floating_point_numbers(low: float, high: float, ends: tuple[int, int], tmp_path: Path) -> None:
    """Numbers between 0 and 1 are light; others are shown from the least to the most."""
    picture = decoded(tmp_path / "a.tif", encoded(floats(low, high), "TIFF")).picture
    assert abs(at(picture, (50, 0))[0] - ends[0]) <= 4
    assert abs(at(picture, (50, 63))[0] - ends[1]) <= 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38, 0.0])
def test_numbers_that_are_none(value: float, tmp_path: Path) -> None:
    """A picture of one value, or of none, is black and not an error."""
    picture = decoded(tmp_path / "a.tif", encoded(Image.new("F", (20, 10), value), "TIFF")).picture
    assert at(picture, (5, 5)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("container", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("AVIF", {"quality": 100})]
)
@pytest.mark.parametrize("size", [(96, 64), (1500, 700)])
def test_what_can_be_seen_through_stays_so(
    size: tuple[int, int], container: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Alpha is kept, and colours do not darken where it begins."""
    picture = decoded(tmp_path / "a", encoded(alpha(upright(size)), container, **options)).picture
    assert picture.mode == "RGBA"
    opaque = picture.getchannel("A")
    assert opaque.getpixel((picture.width // 4, picture.height // 2)) == 0
    assert opaque.getpixel((picture.width * 3 // 4, picture.height // 2)) == 255
    assert is_near([at(picture, (picture.width // 2 + 1, 5))], [GREEN], 14)


@pytest.mark.parametrize("opacity", [0, 255])
def test_alpha_that_says_nothing_is_left_out(opacity: int, tmp_path: Path) -> None:
    """A picture that is opaque everywhere needs none; where nothing could be seen, a program has left it empty."""
    picture = upright().convert("RGBA")
    picture.putalpha(opacity)
    shown = decoded(tmp_path / "a.png", encoded(picture, "PNG")).picture
    assert shown.mode == "RGB"
    assert is_near(corners(shown), CORNERS, 1)


def test_a_palette_with_a_colour_that_is_none(tmp_path: Path) -> None:
    """One entry of a palette that means nothing can be seen through."""
    picture = upright().convert("P", palette=Image.Palette.ADAPTIVE)
    clear = picture.getpixel((5, 5))
    shown = decoded(tmp_path / "a.png", encoded(picture, "PNG", transparency=clear)).picture
    assert shown.getchannel("A").getextrema() == (0, 255)


# --- colours


def profile(red: tuple[float, float, float], green: tuple[float, float, float]) -> bytes:
    """An ICC profile of light that adds up, with these colorants, and the blue of sRGB."""

    def xyz(values: tuple[float, float, float]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    blue, white = (0.1431, 0.0606, 0.7141), (0.9642, 1.0, 0.8249)
    gamma = b"curv\0\0\0\0\0\0\0\1\x02\x33\0\0"  # 2.2
    text = b"desc\0\0\0\0\0\0\0\5made\0" + bytes(78)
    bodies = {
        b"desc": text, b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz(white),
        b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue), b"rTRC": gamma, b"gTRC": gamma, b"bTRC": gamma,
    }  # fmt: skip
    place = 128 + 4 + 12 * len(bodies)
    table, data = struct.pack(">I", len(bodies)), b""
    for name, body in bodies.items():
        padded = body + bytes(-len(body) % 4)
        table += name + struct.pack(">II", place + len(data), len(body))
        data += padded
    head = struct.pack(">I4sI4s4s4s", place + len(data), b"test", 0x02100000, b"mntr", b"RGB ", b"XYZ ") + bytes(12)
    head += b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + data


SWAPPED = profile(red=(0.3851, 0.7169, 0.0971), green=(0.4361, 0.2225, 0.0139))  # sRGB's green and red


@pytest.mark.parametrize(
    ("container", "options"), [("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("WEBP", {}), ("TIFF", {})]
)
def test_colours_are_what_the_profile_says(container: str, options: dict[str, Any], tmp_path: Path) -> None:
    """A profile in which red is green is believed."""
    content = encoded(Image.new("RGB", (40, 30), (255, 0, 0)), container, icc_profile=SWAPPED, **options)
    red, green, blue = at(decoded(tmp_path / "a", content).picture, (20, 15))
    assert green > 230
    assert red < 40
    assert blue < 40


@pytest.mark.parametrize(
    "icc",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"rubbish" * 40, id="rubbish"),
        pytest.param(SWAPPED[:300], id="cut"),
        pytest.param(SWAPPED[:16] + b"CMYK" + SWAPPED[20:], id="of other pixels"),
        pytest.param(SWAPPED + bytes(5 << 20), id="huge"),
    ],
)
def test_a_profile_of_no_use_is_passed_over(icc: bytes, tmp_path: Path) -> None:
    """Colours are taken as sRGB, and the picture is shown."""
    content = encoded(upright(), "PNG", icc_profile=icc)
    assert is_near(corners(decoded(tmp_path / "a.png", content).picture), CORNERS, 1)


def test_adobe_rgb_without_a_profile(tmp_path: Path) -> None:
    """Cameras that say by one word that their colours are wide are believed."""
    block = Image.Exif()
    block.get_ifd(0x8769)[0xA001] = 2
    content = encoded(Image.new("RGB", (40, 30), (110, 180, 110)), "JPEG", quality=98, subsampling=0, exif=block)
    red, green, blue = at(decoded(tmp_path / "a.jpg", content).picture, (20, 15))
    assert (abs(red - 52) < 5, abs(green - 181) < 4, abs(blue - 106) < 4) == (True, True, True)


# --- animations


def animation(container: str, frames: list[Image.Image]) -> bytes:
    options = {"lossless": True} if container == "WEBP" else {}
    return encoded(frames[0], container, save_all=True, append_images=frames[1:], duration=40, **options)


@pytest.mark.parametrize("container", ["GIF", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("blank", [(0, 0, 0, 255), (255, 255, 255, 255), (0, 0, 0, 0)], ids=["black", "white", "clear"])
def test_the_first_frame_that_shows_something(blank: tuple[int, int, int, int], container: str, tmp_path: Path) -> None:
    """An animation that fades in is shown by a frame on which there is something."""
    empty = Image.new("RGBA", (96, 64), blank)
    frames = [empty, empty.copy(), upright().convert("RGBA")]
    frames[1].putpixel((0, 0), (9, 9, 9, 255))  # so that it is not left out as a repetition
    picture = decoded(tmp_path / "a", animation(container, frames)).picture
    assert is_near(corners(picture), CORNERS, 60 if container == "AVIF" else 4)


def test_an_animation_of_nothing(tmp_path: Path) -> None:
    """Where no frame shows anything, the first one is as good as any."""
    frames = [Image.new("RGB", (96, 64), (0, 0, number)) for number in range(5)]
    assert decoded(tmp_path / "a", animation("WEBP", frames)).picture.size == (96, 64)


# --- damage


@pytest.mark.parametrize(("container", "options"), [("JPEG", {"quality": 90}), ("PNG", {}), ("TIFF", {}), ("GIF", {})])
def test_what_is_left_of_a_picture_is_shown(container: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Of a file that breaks off the upper part is seen, and a note says that the rest is missing."""
    noise = Image.effect_noise((400, 300), 90).convert("RGB")
    noise.paste(upright((400, 120)), (0, 0))
    content = encoded(noise, container, **options)
    still = decoded(tmp_path / "a", content[: len(content) * 2 // 3])
    assert still.note is not None
    assert still.note.startswith("it is damaged: ")
    assert is_near([at(still.picture, (50, 30)), at(still.picture, (350, 30))], [RED, GREEN])
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "GIF"])
def test_where_nothing_is_left_there_is_a_reason(container: str, tmp_path: Path) -> None:
    """A file that breaks off behind its header is no picture of one colour."""
    content = encoded(upright((400, 300)), container)
    keep = {"JPEG": content.find(b"\xff\xda") + 14, "PNG": 45, "BMP": 60, "GIF": 40}.get(container, 40)
    assert refusal(tmp_path / "a", content[:keep]).startswith("it ")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jxl", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(50), "there is no decoder for JPEG XL pictures"),
        ("a.bin", b"\xff\x0a" + bytes(50), "there is no decoder for JPEG XL pictures"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "there is no decoder for SVG pictures"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "there is no decoder for EPS pictures"),
        ("a", b"", "there is no decoder for pictures of this kind"),
        ("a.jpg", b"", "there is no decoder for JPG pictures"),
        ("a.jpg", b"\xff\xd8\xff", "it is damaged: its header makes no sense"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(80), "it is damaged: it does not say what is in it"),
    ],
)
def test_a_file_that_is_no_picture_has_a_reason(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    """What cannot be shown says why, in words of its own."""
    assert refusal(tmp_path / name, content) == reason


def test_bytes_from_elsewhere_say_for_themselves(tmp_path: Path) -> None:
    """A cover is turned by its own Exif."""
    content = encoded(stored(upright(), 6), "JPEG", quality=95, subsampling=0, exif=exif(6))
    assert is_near(corners(stills.decode_bytes(content, SIDE).picture), CORNERS)


def test_settings_of_the_process_stay_as_they_are(tmp_path: Path) -> None:
    """Pillow's own limits are those of whoever set them, once a picture is done."""
    before = Image.MAX_IMAGE_PIXELS
    decoded(tmp_path / "a.png", encoded(upright(), "PNG"))
    refusal(tmp_path / "b.png", b"\x89PNG\r\n\x1a\n")
    assert before == Image.MAX_IMAGE_PIXELS


# --- raw photographs are in test_embedded; pictures of phones


def test_pictures_of_phones_stand_upright(corpus: Path) -> None:
    """HEIC and AVIF are turned by what they say themselves, whatever a reading says besides."""
    turned = 0
    for path in sorted((corpus / "files").iterdir()):
        if path.suffix not in (".heic", ".heif", ".avif"):
            continue
        with opened(path, kind=Kind.IMAGE) as file:
            try:
                plain = stills.decode(file, None, 320)
            except Refused as refused:
                assert str(refused).startswith(("it is damaged", "there is no decoder"))  # noqa: PT017 - one of many
                continue
            told = stills.decode(file, Media(rotation=90, is_mirrored=True), 320)
            assert plain.picture.tobytes() == told.picture.tobytes()
            turned += 1
    assert turned >= 40


def test_no_decoder_that_runs_programs_is_loaded() -> None:
    """What would start Ghostscript, or hand over to a viewer, is not even imported."""
    code = "import sys, mediasluice.identify.stills; print([m for m in sys.modules if m.startswith('PIL.')])"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    for name in ("EpsImagePlugin", "WmfImagePlugin", "FpxImagePlugin", "MicImagePlugin", "PdfImagePlugin"):
        assert name not in answer.stdout


def test_a_stream_is_left_open(tmp_path: Path) -> None:
    """The descriptor belongs to whoever opened the file."""
    with opened(tmp_path / "a.png", encoded(upright(), "PNG"), Kind.IMAGE) as file:
        stills.decode(file, None, SIDE)
        assert file.pread(4, 0) == b"\x89PNG"
        assert io.BytesIO(file.pread(8, 0)).read(4) == b"\x89PNG"
