from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from mediasluice.identify import films
from mediasluice.identify.opened import Refused
from mediasluice.model.files import Kind
from mediasluice.model.media import Media
from tests.unit.identify.drawn import CORNERS, RED, TURNS, Rgb, at, corners, is_near, opened, stored, upright

SIZE = (160, 96)
BLACK, WHITE = Image.new("RGB", SIZE), Image.new("RGB", SIZE, (255, 255, 255))


def film(
    path: Path,
    pictures: Iterable[Image.Image],
    *,
    aspect: Fraction | None = None,
    every: int = 5,
    pixels: str = "yuv444p",
    **options: str,
) -> Path:
    """A film of ten pictures a second, with a key frame ``every`` so many."""
    parameters = f"keyint={every}:min-keyint={every}:scenecut=0:{options.pop('x264', '')}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=10, options={"preset": "ultrafast", "crf": "12", "x264-params": parameters, **options}
        )
        for number, picture in enumerate(pictures):
            if not number:
                stream.width, stream.height = picture.size
                stream.pix_fmt = pixels
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    return path


def shown(path: Path, media: Media | None = None, side: int = 1280) -> Image.Image:
    with opened(path, kind=Kind.VIDEO) as file:
        return films.decode(file, media, side)


def marked(number: int) -> Image.Image:
    """A picture that says which one it is: by the colour of a corner."""
    colours = [*CORNERS[:3], (number * 5, number * 5, number * 5)]
    return upright(SIZE, colours)


def number_of(picture: Image.Image) -> float:
    return corners(picture)[3][0] / 5


# --- which frame


def test_a_tenth_of_the_duration(tmp_path: Path) -> None:
    """The key frame at a tenth, or before it, is the one that is shown."""
    picture = shown(film(tmp_path / "a.mp4", [marked(number) for number in range(50)]))
    assert abs(number_of(picture) - 5) < 1


@pytest.mark.parametrize("empty", [BLACK, WHITE], ids=["black", "white"])
@pytest.mark.parametrize(
    ("blank", "expected"),
    [
        pytest.param(8, 10, id="at a tenth"),
        pytest.param(20, 25, id="at a quarter"),
        pytest.param(30, 35, id="at a half"),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_frame_that_shows_nothing_is_passed_over(
    name: str, blank: int, expected: int, empty: Image.Image, tmp_path: Path
) -> None:
    """A film that begins black is shown by a later picture."""
    pictures = [empty if number < blank else marked(number) for number in range(50)]
    assert abs(number_of(shown(film(tmp_path / name, pictures))) - expected) < 1


def test_black_is_rarely_quite_black(tmp_path: Path) -> None:
    """The noise of a sensor does not make a picture of it."""
    noise = [Image.effect_noise(SIZE, 12).point(lambda value: max(0, value - 112)).convert("RGB") for _ in range(15)]
    picture = shown(film(tmp_path / "a.mp4", [*noise, *(marked(number) for number in range(15, 50))]))
    assert number_of(picture) > 14


def test_a_black_beginning_without_another_key_frame(tmp_path: Path) -> None:
    """Where there is no place to jump to, what follows the beginning is looked at."""
    pictures = [BLACK if number < 20 else marked(number) for number in range(50)]
    assert number_of(shown(film(tmp_path / "a.mp4", pictures, every=999))) > 19


def test_of_frames_that_show_nothing_the_best_is_taken(tmp_path: Path) -> None:
    """A black film has a preview, and it is that moment at which there is something to see after all."""
    faint = BLACK.copy()
    faint.paste((40, 40, 40), (0, 0, 16, 16))
    pictures = [faint if 24 <= number < 30 else BLACK for number in range(50)]
    assert at(shown(film(tmp_path / "a.mp4", pictures)), (5, 5))[0] > 20


def test_one_frame_is_a_film(tmp_path: Path) -> None:
    """There is nowhere to jump."""
    assert is_near(corners(shown(film(tmp_path / "a.mp4", [upright(SIZE)]))), CORNERS)


@pytest.mark.parametrize("name", ["a.h264", "a.ts", "a.avi", "a.mov", "a.flv"])
def test_containers(name: str, tmp_path: Path) -> None:
    """A frame is found with a good index, a bad one, or none."""
    path = film(tmp_path / name, [BLACK, BLACK, *(upright(SIZE) for _ in range(20))], pixels="yuv420p")
    assert is_near(corners(shown(path)), CORNERS, 20)


# --- its shape


def turned_in_its_header(path: Path, rotation: int) -> Path:
    """Write a matrix into the header of an MP4, as telephones do. Source: ISO 14496-12, 8.3.2."""
    content = bytearray(path.read_bytes())
    cosine, sine = round(math.cos(math.radians(rotation))), round(math.sin(math.radians(rotation)))
    matrix = [cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30]
    place = content.index(b"tkhd") + 4 + 40
    content[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("rotation", "orientation"), [(90, 6), (180, 3), (270, 8)])
def test_a_film_stands_as_its_header_says(rotation: int, orientation: int, tmp_path: Path) -> None:
    """It is turned by what the file says, and not again by a reading that says the same."""
    upright_size = SIZE if rotation == 180 else SIZE[::-1]
    path = film(tmp_path / "a.mp4", [stored(upright(upright_size), orientation)] * 12)
    turned_in_its_header(path, rotation)
    for media in (None, Media(rotation=rotation, is_mirrored=False)):
        picture = shown(path, media)
        assert picture.size == upright_size
        assert is_near(corners(picture), CORNERS)


@pytest.mark.parametrize("orientation", [2, 4, 5, 7])
def test_a_reading_knows_what_is_flipped(orientation: int, tmp_path: Path) -> None:
    """Films that are mirrored are shown as they are meant."""
    rotation, is_mirrored = TURNS[orientation]
    path = film(tmp_path / "a.mp4", [stored(upright(SIZE), orientation)] * 3)
    assert is_near(corners(shown(path, Media(rotation=rotation, is_mirrored=is_mirrored))), CORNERS)


@pytest.mark.parametrize(
    ("aspect", "side", "expected"),
    [
        pytest.param(Fraction(2), 1280, (320, 96), id="wide"),
        pytest.param(Fraction(1, 2), 1280, (80, 96), id="narrow"),
        pytest.param(Fraction(2), 200, (200, 60), id="wide and made small"),
        pytest.param(Fraction(200), 1280, SIZE, id="nonsense"),
        pytest.param(None, 80, (80, 48), id="square"),
    ],
)
def test_pixels_that_are_not_square(
    aspect: Fraction | None, side: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    """A frame has the shape in which players show it."""
    picture = shown(film(tmp_path / "a.mp4", [upright(SIZE)] * 3, aspect=aspect), side=side)
    assert picture.size == expected
    assert is_near(corners(picture), CORNERS)


def test_two_moments_in_one_frame(tmp_path: Path) -> None:
    """Of interlaced frames the lines of one moment are shown, not both through each other."""
    combed = Image.new("RGB", SIZE, RED)
    for y in range(0, SIZE[1], 2):
        combed.paste((40, 60, 220), (0, y, SIZE[0], y + 1))
    combed.paste((255, 255, 255), (0, 0, 40, SIZE[1]))  # so that it shows something
    picture = shown(film(tmp_path / "a.mp4", [combed] * 3, x264="tff=1", flags="+ildct+ilme"))
    red, _, blue = at(picture, (120, 48))
    assert abs(red - blue) > 150


# --- its colours


@pytest.mark.parametrize(
    ("size", "matrix"),
    [pytest.param((1280, 720), "bt709", id="large"), pytest.param((320, 240), "smpte170m", id="small")],
)
def test_colours_without_a_word_are_those_of_their_size(size: tuple[int, int], matrix: str, tmp_path: Path) -> None:
    """What does not say how its colours are coded is taken as players take it."""
    import av.video.reformatter as reformatting  # noqa: PLC0415 - for its numbers

    numbers = {"bt709": reformatting.Colorspace.ITU709, "smpte170m": reformatting.Colorspace.ITU601}
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "crf": "10"})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv444p"
        frame = av.VideoFrame.from_image(upright(size))  # type: ignore[no-untyped-call]
        frame = frame.reformat(format="yuv444p", dst_colorspace=numbers[matrix])
        frame.colorspace = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert is_near(corners(shown(path)), CORNERS, 8)


def bright(gray: int) -> Rgb:
    """The gray of a page as a film of high dynamic range codes it: 203 cd/m2 are white; SMPTE 2084."""
    light = math.pow((gray / 255 + 0.055) / 1.055, 2.4) * 203
    power = math.pow(light / 10_000, 0.1593017578125)
    signal = round(255 * math.pow((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power), 78.84375))
    return (signal, signal, signal)


def test_light_beyond_white_is_mapped(tmp_path: Path) -> None:
    """A gray card in a film of high dynamic range is as gray as one in a photograph."""
    picture = upright(SIZE, [bright(64), bright(128), bright(180), (190, 190, 190)])
    tags = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    found = [colour[0] for colour in corners(shown(film(tmp_path / "a.mp4", [picture] * 3, x264=tags)))]
    assert [abs(ours - theirs) < 8 for ours, theirs in zip(found, (64, 128, 180), strict=False)] == [True] * 3
    assert found[3] > 240


# --- what cannot be shown


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "FFmpeg: "),
        (b"\0\0\0\x18ftypisom" + bytes(60), "FFmpeg: "),
        (bytes(range(256)) * 64, "FFmpeg: "),
        (b"#EXTM3U\n#EXTINF:9,\nother.ts\n", "FFmpeg: "),
    ],
)
def test_a_file_that_is_no_film_has_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    """What FFmpeg refuses is refused, in its words."""
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        shown(path)
    assert str(caught.value).startswith(reason)


def test_a_film_that_breaks_off(tmp_path: Path) -> None:
    """Of what is there a frame is shown."""
    path = film(tmp_path / "a.mkv", [marked(number) for number in range(60)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert is_near(corners(shown(path))[:3], CORNERS[:3])


def test_a_film_whose_pictures_are_gone(tmp_path: Path) -> None:
    """A good header before nothing is a reason, and no gray frame."""
    path = film(tmp_path / "a.mp4", [marked(number) for number in range(30)])
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[start:end] = bytes(end - start)
    path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        shown(path)
    assert str(caught.value) == "none of its frames can be decoded"


def test_frames_that_are_too_large(tmp_path: Path) -> None:
    """A header that promises 16,384 by 16,384 pixels is not believed into memory."""
    path = tmp_path / "a.avi"
    header = struct.pack("<IIIHH4sIIIII", 40, 16384, 16384, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    stream = struct.pack("<4s4sIHHIIIIIIIIHHHH", b"vids", b"MJPG", 0, 0, 0, 0, 1, 10, 0, 9, 0, 0, 0, 0, 0, 0, 0)

    def riff(name: bytes, *bodies: bytes) -> bytes:
        return name + struct.pack("<I", sum(map(len, bodies))) + b"".join(bodies)

    head = riff(b"avih", struct.pack("<14I", 100_000, 0, 0, 0, 9, 0, 1, 0, 16384, 16384, 0, 0, 0, 0))
    lists = riff(b"LIST", b"hdrl", head, riff(b"LIST", b"strl", riff(b"strh", stream), riff(b"strf", header)))
    path.write_bytes(riff(b"RIFF", b"AVI ", lists, riff(b"LIST", b"movi", riff(b"00dc", bytes(100)))))
    with pytest.raises(Refused) as caught:
        shown(path)
    assert "16384 x 16384" in str(caught.value)


@pytest.mark.parametrize("name", ["a.mkv", "a.avi"])
def test_a_film_is_not_read_from_end_to_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a place cannot be reached with little reading, the beginning is shown."""
    noise = [Image.effect_noise(SIZE, 200).convert("RGB") for _ in range(40)]
    path = film(tmp_path / name, [upright(SIZE), *noise], pixels="yuv420p")
    monkeypatch.setattr(films, "READ_MAX", 150_000)
    assert path.stat().st_size > 400_000
    with opened(path, kind=Kind.VIDEO) as file:
        assert is_near(corners(films.decode(file, None, 1280)), CORNERS, 20)
