from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
from blake3 import blake3
from PIL import Image

from mediasluice.identify import previews
from mediasluice.identify.opened import Refused
from mediasluice.identify.previews import LARGE, SMALL, Previews, path_of
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, Reading, to_json
from tests.unit.identify.drawn import CORNERS, corners, encoded, exif, is_near, opened, stored, upright

DIGEST = blake3(b"content").digest()


def read(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "WEBP"
    return picture


def mp3(picture: bytes = b"") -> bytes:
    """Frames of silence behind a tag that may hold a picture; ID3v2.3, 4.15."""
    body = b"\0image/jpeg\0\3\0" + picture
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body if picture else b""
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame + (b"\xff\xfb\x90\0" + bytes(413)) * 40


def sound(path: Path) -> Path:
    """An MP4 in which there is sound alone."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate, frame.pts = 48_000, 0
        frame.planes[0].update(bytes(4096))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# --- making


@pytest.mark.parametrize(
    ("size", "small", "large"),
    [
        ((4000, 3000), (320, 240), (1280, 960)),
        ((600, 900), (213, 320), (600, 900)),
        ((200, 100), (200, 100), (200, 100)),
    ],
)
def test_two_pictures_in_webp(
    size: tuple[int, int], small: tuple[int, int], large: tuple[int, int], tmp_path: Path
) -> None:
    """Neither is larger than it may be, nor than the file; one that is small already is coded once."""
    with opened(tmp_path / "a.jpg", encoded(upright(size), "JPEG", quality=95)) as file:
        made = previews.make(file, None)
    assert (read(made.small).size, read(made.large).size) == (small, large)
    assert (made.width, made.height, made.note) == (*large, None)
    assert (made.small is made.large) == (size == large == small)
    for data in (made.small, made.large):
        assert is_near(corners(read(data)), CORNERS)
        assert not {"exif", "icc_profile", "xmp"} & set(read(data).info)  # a place is nobody's business


def test_the_reading_says_how_it_is_turned(tmp_path: Path) -> None:
    """What stands in the catalogue is used, also on its way through a pipe."""
    media = Media(rotation=90, is_mirrored=False)
    with opened(tmp_path / "a.jpg", encoded(stored(upright(), 6), "JPEG", quality=95, subsampling=0)) as file:
        made = previews.make(file, media)
        sent = previews.make_file(file, to_json(Reading("exif", media=media)))
        untold = previews.make_file(file, None)
    assert is_near(corners(read(made.large)), CORNERS)
    assert Previews(*sent) == made
    assert untold[2:4] == (64, 96)
    assert {type(value) for value in sent} == {bytes, int, type(None)}


def test_a_picture_that_can_be_seen_through(tmp_path: Path) -> None:
    """Its previews can be seen through as well."""
    picture = upright((700, 400)).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 350, 400))
    with opened(tmp_path / "a.png", encoded(picture, "PNG")) as file:
        made = previews.make(file, None)
    assert [read(data).getchannel("A").getextrema() for data in (made.small, made.large)] == [(0, 255)] * 2


def test_a_damaged_picture_says_so(tmp_path: Path) -> None:
    """A part of it is shown, with what is wrong."""
    content = encoded(Image.effect_noise((400, 300), 90).convert("RGB"), "JPEG")
    with opened(tmp_path / "a.jpg", content[: len(content) // 2]) as file:
        assert (previews.make(file, None).note or "").startswith("it is damaged: ")


def test_the_cover_of_music(tmp_path: Path) -> None:
    """Music is shown by the picture that is embedded in it, which may lie on its side."""
    cover = encoded(stored(upright((500, 400)), 6), "JPEG", quality=95, subsampling=0, exif=exif(6))
    with opened(tmp_path / "a.mp3", mp3(cover)) as file:
        made = previews.make(file, None)
    assert read(made.large).size == (500, 400)
    assert is_near(corners(read(made.large)), CORNERS)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.mp3", mp3(), "it has no cover"),
        ("a.mp3", mp3(b"rubbish"), "its cover: there is no decoder for pictures of this kind"),
        ("a.flac", b"fLaC" + bytes(40), "it has no cover"),
        ("a.pdf", b"%PDF-1.4\n", "there is no picture of pdf files"),
        ("a.txt", b"text", "there is no picture of other files"),
    ],
)
def test_a_file_without_a_picture_has_a_reason(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    """Refusals are sentences for people."""
    with opened(tmp_path / name, content) as file, pytest.raises(Refused) as caught:
        previews.make(file, None)
    assert str(caught.value) == reason


def test_a_film_without_pictures(tmp_path: Path) -> None:
    """A container of films that holds sound alone, and no cover, says what is missing."""
    with opened(sound(tmp_path / "a.mp4"), kind=Kind.VIDEO) as file, pytest.raises(Refused) as caught:
        previews.make(file, None)
    assert str(caught.value) == "it has no pictures that can be decoded"


def test_decoders_are_loaded_by_those_who_decode() -> None:
    """Whoever only stores previews does not carry libraries for pictures."""
    code = (
        "import sys, mediasluice.identify.previews as p; p.path_of(b'', bytes(32), 320);"
        "print([m for m in sys.modules if m.split('.')[0] in ('PIL', 'av', 'pi_heif')])"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert answer.stdout == "[]\n"


# --- storing


def made(small: int = 3_000, large: int = 40_000) -> Previews:
    """Two pictures by their headers, of so many bytes."""
    return Previews(webp(small), webp(large), 9, 9)


def webp(size: int) -> bytes:
    return b"RIFF" + (size - 8).to_bytes(4, "little") + b"WEBP" + bytes(size - 12)


def tree(directory: Path) -> dict[str, int]:
    return {str(path.relative_to(directory)): path.stat().st_size for path in directory.rglob("*") if path.is_file()}


def test_previews_lie_under_the_name_of_their_content(tmp_path: Path) -> None:
    """Both sizes, in one of 256 directories, and nothing else."""
    data = os.fsencode(tmp_path)
    assert not previews.is_stored(data, DIGEST)
    previews.store(data, DIGEST, made())
    name = DIGEST.hex()
    place = f"previews/{name[:2]}/{name}"
    assert tree(tmp_path) == {f"{place}-320.webp": 3_000, f"{place}-1280.webp": 40_000}
    assert path_of(data, DIGEST, SMALL) == os.fsencode(tmp_path / f"{place}-320.webp")
    assert previews.is_stored(data, DIGEST)


def test_previews_can_be_made_again(tmp_path: Path) -> None:
    """Better ones take the place of those that are there, at once."""
    data = os.fsencode(tmp_path)
    previews.store(data, DIGEST, made())
    with open(path_of(data, DIGEST, LARGE), "rb") as read_meanwhile:
        previews.store(data, DIGEST, made(large=50_000))
        assert len(read_meanwhile.read()) == 40_000
    assert sorted(tree(tmp_path).values()) == [3_000, 50_000]


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("left", [0, 11, 2_999])
def test_what_a_power_cut_has_left_is_not_there(size: int, left: int, tmp_path: Path) -> None:
    """A file that is empty or short of its own header is made again."""
    data = os.fsencode(tmp_path)
    previews.store(data, DIGEST, made(large=3_000))
    os.truncate(path_of(data, DIGEST, size), left)
    assert not previews.is_stored(data, DIGEST)
    with open(path_of(data, DIGEST, size), "wb") as file:
        file.write(bytes(3_000))
    assert not previews.is_stored(data, DIGEST)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_where_one_cannot_be_stored_there_is_neither(size: int, tmp_path: Path) -> None:
    """A name that cannot be taken leaves no part, and not the other picture."""
    data = os.fsencode(tmp_path)
    os.makedirs(path_of(data, DIGEST, size))
    with pytest.raises(OSError, match="directory"):
        previews.store(data, DIGEST, made())
    assert tree(tmp_path) == {}


@pytest.mark.needs_root
@pytest.mark.parametrize("room", ["16k", "40k"])
def test_a_full_disk_leaves_nothing(room: str, tmp_path: Path) -> None:
    """Neither a half file under a name that counts, nor a part that takes up what little there is."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(tmp_path)], check=True)
    try:
        with pytest.raises(OSError, match="No space left"):
            previews.store(os.fsencode(tmp_path), DIGEST, made())
        assert tree(tmp_path) == {}
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    """Parts go, previews stay; where there are none, nothing is to be done."""
    data = os.fsencode(tmp_path)
    previews.clear_parts(data)
    previews.store(data, DIGEST, made())
    (tmp_path / "previews" / "0123456789abcdef.part").write_bytes(b"half")
    previews.clear_parts(data)
    assert previews.is_stored(data, DIGEST)
    assert len(tree(tmp_path)) == 2
