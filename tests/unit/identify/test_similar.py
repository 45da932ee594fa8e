from __future__ import annotations

import io
import itertools
import os
import random
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance, ImageFilter

from mediasluice.identify import similar, stills
from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, Reading, to_json
from tests.clips import film, noise, opened, sound


def photo(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Soft shapes with grain on them, as in a photograph."""
    chance = random.Random(seed)
    shapes = Image.frombytes("RGB", (16, 12), chance.randbytes(16 * 12 * 3)).resize(size, Image.Resampling.BICUBIC)
    grain = Image.frombytes("RGB", (160, 120), chance.randbytes(160 * 120 * 3)).resize(size)
    return Image.blend(shapes, grain, 0.15)


def hashed(picture: Image.Image) -> int:
    value = similar.phash(picture)
    assert value is not None
    return value


def as_jpeg(picture: Image.Image, quality: int = 90, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality, **options)
    return target.getvalue()


def cropped(picture: Image.Image, share: float) -> Image.Image:
    return picture.crop((round(picture.width * share), round(picture.height * share), picture.width, picture.height))


CHANGES: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "compressed": (lambda picture: Image.open(io.BytesIO(as_jpeg(picture, 40))), similar.SAME),
    "half as large": (lambda picture: picture.resize((picture.width // 2, picture.height // 2)), similar.SAME),
    "of another shape": (lambda picture: picture.resize((picture.width // 2, picture.height)), similar.SAME),
    "a thumbnail": (lambda picture: picture.resize((64, 48), Image.Resampling.BOX), similar.SAME),
    "brighter": (lambda picture: ImageEnhance.Brightness(picture).enhance(1.15), similar.SAME),
    "darker": (lambda picture: ImageEnhance.Brightness(picture).enhance(0.8), similar.SAME),
    "blurred": (lambda picture: picture.filter(ImageFilter.GaussianBlur(3)), similar.SAME),
    "grey": (lambda picture: picture.convert("L"), similar.SAME),
    "cut at two sides": (lambda picture: cropped(picture, 0.01), similar.MAYBE),
}


@pytest.mark.parametrize(("change", "most"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_picture_is_like_itself(change: Callable[[Image.Image], Image.Image], most: int) -> None:
    """Compressing, resizing, exposing, blurring and a narrow crop change few bits."""
    for seed in range(6):
        assert similar.hamming(hashed(photo(seed)), hashed(change(photo(seed)))) <= most


def test_different_pictures_are_far_apart() -> None:
    """Pictures that have nothing in common differ by half of the bits, and never by as few as copies do."""
    hashes = [hashed(photo(seed)) for seed in range(30)]
    apart = [similar.hamming(one, other) for one, other in itertools.combinations(hashes, 2)]
    assert min(apart) > similar.MAYBE
    assert 28 <= statistics.median(apart) <= 36


def test_a_mirrored_or_turned_picture_is_another() -> None:
    """The hash is of a picture as it is shown."""
    picture = photo(1)
    for change in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90):
        assert similar.hamming(hashed(picture), hashed(picture.transpose(change))) > similar.MAYBE


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (640, 480), "white"),
        Image.new("L", (640, 480), 7),
        Image.new("RGBA", (640, 480), (0, 0, 0, 0)),
        Image.linear_gradient("L").resize((640, 480)),
        photo(1).resize((31, 100)),
        photo(1).resize((100, 31)),
        Image.effect_noise((640, 480), 3),
    ],
    ids=["white", "grey", "clear", "gradient", "narrow", "low", "noise"],
)
def test_what_shows_nothing_has_no_hash(picture: Image.Image) -> None:
    """Of a picture of one colour, of smooth or noisy ground and of a tiny one chance would decide."""
    assert similar.phash(picture) is None


def test_what_can_be_seen_through_is_white() -> None:
    """A drawing on clear ground has the hash of the same on white, whatever colour is behind what is clear."""
    shape = photo(3).convert("L").point(lambda value: 255 if value > 128 else 0)
    clear = photo(4).convert("RGBA")
    clear.putalpha(shape)
    white = Image.new("RGB", clear.size, "white")
    white.paste(photo(4), mask=shape)
    assert similar.hamming(hashed(clear), hashed(white)) <= 2
    other = photo(5).convert("RGBA")
    other.putalpha(0)
    assert similar.phash(other) is None


def test_bands_are_the_quarters_of_a_hash() -> None:
    """Four numbers of 16 bits make up the hash; those of different pictures are rarely equal."""
    value = 0x0123_4567_89AB_CDEF
    assert similar.bands(value) == (0xCDEF, 0x89AB, 0x4567, 0x0123)
    hashes = [similar.bands(hashed(photo(seed))) for seed in range(30)]
    assert all(not set(enumerate(a)) & set(enumerate(b)) for a, b in itertools.combinations(hashes, 2))


def test_hashes_do_not_change_with_the_version() -> None:
    """Hashes that are kept in a catalogue must still be those of tomorrow."""
    rows = bytes((x * x * 3 + y * y * 5 + 7 * x * y) >> 3 & 255 for y in range(64) for x in range(64))
    found = hashed(Image.frombytes("L", (64, 64), rows))
    assert similar.hamming(found, 0xFD00_FE80_FEA0_FA81) <= 2  # arithmetic may round differently elsewhere


# --- picture files


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[bytes, str], Opened]:
    def store(content: bytes, name: str) -> Opened:
        (tmp_path / name).write_bytes(content)
        return opened(tmp_path / name)

    return store


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "GIF"])
def test_every_format_has_the_hash_of_its_picture(stored: Callable[[bytes, str], Opened], form: str) -> None:
    """The same picture in another format is like itself."""
    target = io.BytesIO()
    photo(2).save(target, form)
    found = similar.of_image(stored(target.getvalue(), f"a.{form.lower()}"))
    assert found is not None
    assert similar.hamming(found, hashed(photo(2))) <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_hashed_upright(stored: Callable[[bytes, str], Opened], orientation: int) -> None:
    """However a camera was held, the picture has the hash of what is shown."""
    upright = photo(2)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    lying = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = similar.of_image(stored(as_jpeg(lying, exif=exif.tobytes()), "a.jpg"))
    assert found is not None
    assert similar.hamming(found, hashed(upright)) <= 4


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"text", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_what_is_no_picture_is_refused(stored: Callable[[bytes, str], Opened], content: bytes) -> None:
    """A file that cannot be decoded gives a reason."""
    with pytest.raises(Refused):
        similar.of_image(stored(content, "a.jpg"))


def test_a_damaged_picture_has_no_hash(stored: Callable[[bytes, str], Opened]) -> None:
    """Of pictures that lack their lower half all would be like each other in what is missing."""
    content = as_jpeg(photo(2))
    with pytest.raises(Refused):
        similar.of_image(stored(content[: len(content) // 2], "a.jpg"))


def test_real_pictures_are_like_their_copies(corpus: Path) -> None:
    """Of the corpus: 95 % of the pictures with a hash keep it within the threshold when they are made small and bad."""
    kept, lost = 0, 0
    for path in sorted((corpus / "files").iterdir())[::5]:
        file = opened(path)
        if file.kind is Kind.IMAGE:
            try:
                value = similar.of_image(file)
                picture = stills.decode(file, None, 512).picture
            except Refused:
                continue
            finally:
                os.close(file.fd)
            if value is not None:
                small = (
                    similar._on_white(picture)
                    .convert("RGB")
                    .resize((max(32, picture.width // 2), max(32, picture.height // 2)))
                )
                copy = similar.phash(Image.open(io.BytesIO(as_jpeg(small, 40))))
                is_kept = copy is not None and similar.hamming(value, copy) <= similar.SAME
                kept, lost = kept + is_kept, lost + (not is_kept)
    assert kept > 20 * max(1, lost)


# --- films


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "a.mp4", seconds=8, audio=None, seed=5, size=(160, 120))


def test_a_film_encoded_anew_is_like_itself(original: Path, tmp_path: Path) -> None:
    """Another codec, bit rate and container change little of the key frames; another film shares none."""
    one = similar.of_video(opened(original))
    assert len(one) >= 6
    small = film(tmp_path / "small.mkv", "libx265", seconds=8, audio=None, seed=5, bit_rate=60_000, size=(96, 72))
    assert similar.film_likeness(one, similar.of_video(opened(small))) >= 0.9
    other = film(tmp_path / "other.mp4", seconds=8, audio=None, seed=11, size=(160, 120))
    assert similar.film_likeness(one, similar.of_video(opened(other))) <= 0.2


def test_key_frames_are_spread_over_the_film(original: Path) -> None:
    """No more are hashed than asked for, and they are not the first ones."""
    every = similar.of_video(opened(original))
    some = similar.of_video(opened(original), 3)
    assert len(some) == 3
    assert some[-1] not in every[:3]
    assert set(some) <= set(every)


def test_a_film_without_an_index_is_read_from_its_beginning(tmp_path: Path) -> None:
    """Where no place can be sought, the first key frames are hashed."""
    raw = film(tmp_path / "a.h264", seconds=4, audio=None, seed=5)
    assert len(similar.of_video(opened(raw), 2)) == 2


def test_a_film_that_shows_nothing_has_no_hashes(tmp_path: Path) -> None:
    """Frames that are tiny or smooth are left out."""
    tiny = film(tmp_path / "a.mp4", seconds=2, audio=None, seed=1, size=(160, 16))
    assert similar.of_video(opened(tiny)) == ()
    assert similar.film_likeness((), (1,)) == 0


@pytest.mark.parametrize("name", ["a.mp3", "a.wav"])
def test_a_sound_is_no_film(tmp_path: Path, name: str) -> None:
    """Without pictures there is a reason, for a cover as well."""
    with pytest.raises(Refused, match="no pictures"):
        similar.of_video(opened(sound(tmp_path / name, "libmp3lame" if name == "a.mp3" else "pcm_s16le")))


def test_a_damaged_film_has_the_frames_that_are_left(original: Path, tmp_path: Path) -> None:
    """Zeros in the middle cost the frames that they hit."""
    content = bytearray(original.read_bytes())
    at = content.index(b"mdat") + 1000
    content[at : at + (len(content) - at) // 3] = bytes((len(content) - at) // 3)
    (tmp_path / "a.mp4").write_bytes(content)
    found = similar.of_video(opened(tmp_path / "a.mp4"))
    assert set(found) & set(similar.of_video(opened(original)))


# --- sound


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound(tmp_path_factory.mktemp("music") / "a.flac", "flac", noise(12, channels=1), layout="mono")


def fingerprint(path: Path) -> bytes:
    if shutil.which("fpcalc") is None:
        pytest.skip("fpcalc is not installed")
    value = similar.of_audio(opened(path))
    assert value is not None
    return value


def test_a_sound_compressed_is_like_itself(music: Path, tmp_path: Path) -> None:
    """A lossy copy has nearly the fingerprint of the original, another sound has not, a cut off beginning is found."""
    one = fingerprint(music)
    assert len(one) % 4 == 0
    copy = sound(tmp_path / "a.mp3", "libmp3lame", noise(12, channels=1), layout="mono", options={"b": "96k"})
    assert similar.audio_error(one, fingerprint(copy)) <= similar.SAME_SOUND / 2
    late = sound(tmp_path / "late.wav", "pcm_s16le", noise(12, channels=1)[3 * 2 * 44_100 :], layout="mono")
    assert similar.audio_error(one, fingerprint(late)) <= similar.SAME_SOUND
    other = sound(tmp_path / "b.wav", "pcm_s16le", noise(12, channels=1, seed=8), layout="mono")
    assert similar.audio_error(one, fingerprint(other)) > similar.SAME_SOUND


@pytest.mark.parametrize("samples", [bytes(2 * 44_100 * 12), noise(0.5, channels=1)], ids=["silence", "short"])
def test_silence_and_short_sounds_have_no_fingerprint(tmp_path: Path, samples: bytes) -> None:
    """What sounds like too much else is not compared."""
    if shutil.which("fpcalc") is None:
        pytest.skip("fpcalc is not installed")
    assert similar.of_audio(opened(sound(tmp_path / "a.wav", "pcm_s16le", samples, layout="mono"))) is None


def test_without_the_program_there_is_no_fingerprint(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromaprint is optional."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert similar.of_audio(opened(music)) is None


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exec sleep 60", "timed out"),
        ("exit 3", None),
        ("echo FINGERPRINT=", None),
        ("echo FINGERPRINT=1,2,,3", None),
        ("echo FINGERPRINT=1,99999999999", "fpcalc"),
    ],
)
def test_a_program_that_misbehaves_is_survived(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str | None
) -> None:
    """A program that hangs is ended; one that says nothing gives nothing."""
    monkeypatch.setattr(similar, "_DEADLINE", 0.3)
    program = tmp_path / "fpcalc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    if why is None:
        assert similar.of_audio(opened(music), str(program)) is None
        return
    with pytest.raises(Refused, match=why):
        similar.of_audio(opened(music), str(program))


def test_a_film_without_sound_is_refused(original: Path) -> None:
    """There is nothing to listen to."""
    with pytest.raises(Refused, match="no sound"):
        similar.of_audio(opened(original), "/bin/true")


def test_what_crosses_a_pipe_are_plain_values(
    original: Path, music: Path, tmp_path: Path, stored: Callable[[bytes, str], Opened]
) -> None:
    """Hashes in one row, a fingerprint, a duration; with the reading and without it; nothing seen is a value, too."""
    with io.BytesIO() as held:
        photo(1).save(held, "PNG")
        content = held.getvalue()
    pictures, sound_, seconds = similar.of_file(stored(content, "a.png"), None)
    assert (similar.unpacked(pictures or b""), sound_, seconds) == ((hashed(photo(1)),), None, None)
    pictures, sound_, seconds = similar.of_file(opened(original))
    assert similar.unpacked(pictures or b"") == similar.of_video(opened(original))
    assert sound_ is None
    assert seconds == pytest.approx(8, abs=0.2)
    said = to_json(Reading("av", media=Media(duration=7.5)))
    assert similar.of_file(opened(original), said)[2] == 7.5
    if shutil.which("fpcalc"):
        assert similar.of_file(opened(music), said) == (None, fingerprint(music), 7.5)
    smooth = film(tmp_path / "a.mp4", seconds=2, audio=None, seed=1, size=(160, 16))
    assert similar.of_file(opened(smooth), said) == (None, None, 7.5)
    with pytest.raises(Refused, match="look and sound like nothing"):
        similar.of_file(Opened(opened(music).fd, 10, b"a.txt", Kind.OTHER))


def test_fingerprints_are_compared_where_they_fit_best() -> None:
    """A later beginning on either side is found; wrong bits count by their share; too short an overlap is none."""
    data = random.Random(1).randbytes(400)
    assert similar.audio_error(data, data) == 0
    assert similar.audio_error(data[4 * 30 :], data) == similar.audio_error(data, data[4 * 30 :]) == 0
    assert similar.audio_error(data, random.Random(2).randbytes(400)) > 0.35
    wrong = bytearray(data)
    wrong[::8] = bytes(byte ^ 0x0F for byte in wrong[::8])
    assert similar.audio_error(data, bytes(wrong)) == pytest.approx(4 / 64)
    assert similar.audio_error(data[:40], data) == 1
    assert similar.audio_error(b"", b"") == 1


# --- groups


def test_groups_hold_what_is_linked() -> None:
    """Equal and near hashes come together, over a third one as well; what stands alone is in no group."""
    far = 0xFFFF_FFFF_0000_0000
    hashes = [(1, 0), (2, 0xFF), (3, 0xFFFF), (4, far), (5, far), (6, 0x0F0F_0F0F_0F0F_0F0F)]
    assert list(similar.groups(hashes)) == [[1, 2, 3], [4, 5]]
    assert list(similar.groups(hashes, 7)) == [[4, 5]]
    assert list(similar.groups(hashes, 0)) == [[4, 5]]
    assert list(similar.groups([])) == []


def test_many_hashes_are_grouped_without_comparing_all() -> None:
    """Of some thousand foreign hashes and some pairs, exactly the pairs are found."""
    chance = random.Random(1)
    hashes = {number: chance.getrandbits(64) for number in range(5000)}
    for number in range(100):
        hashes[10_000 + number] = hashes[number] ^ sum(1 << bit for bit in chance.sample(range(64), 8))
    assert list(similar.groups(hashes.items())) == [[number, 10_000 + number] for number in range(100)]
