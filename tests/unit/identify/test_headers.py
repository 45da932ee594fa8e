from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediasluice.cli import demo_formats
from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import headers, mpegaudio
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, Reading
from tests.recordings import Film, Sound, record

FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG-1 layer 3, 128 kbit/s, 44.1 kHz, two channels: 1152 samples
ID3 = b"ID3\x04\0\0\0\0\0\x14" + bytes(20)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open bytes or a file that lies there, as a reader gets it."""
    fds: list[int] = []

    def open_file(content: bytes | Path, name: str = "made") -> Opened:
        path = content if isinstance(content, Path) else tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        fds.append(os.open(path, os.O_RDONLY))
        return Opened(fds[-1], os.fstat(fds[-1]).st_size, os.fsencode(path), Kind.AUDIO)

    yield open_file
    for fd in fds:
        os.close(fd)


# --- what FFmpeg writes

SOUNDS = {
    "flac": (Sound("flac", rate=96000), None, "flac"),
    "wav": (Sound("pcm_s16le"), None, "pcm_s16le"),
    "24.wav": (Sound("pcm_s24le", channels=6), None, "pcm_s24le"),
    "float.wav": (Sound("pcm_f32le"), None, "pcm_f32le"),
    "8.wav": (Sound("pcm_u8", rate=8000, channels=1), None, "pcm_u8"),
    "alaw.wav": (Sound("pcm_alaw", rate=8000, channels=1), None, "pcm_alaw"),
    "ms.wav": (Sound("adpcm_ms"), None, "adpcm_ms"),
    "w64": (Sound("pcm_s16le"), None, "pcm_s16le"),
    "aiff": (Sound("pcm_s16be"), None, "pcm_s16be"),
    "sowt.aiff": (Sound("pcm_s16le"), None, "pcm_s16le"),
    "ulaw.aiff": (Sound("pcm_mulaw"), None, "pcm_mulaw"),
    "mp3": (Sound("libmp3lame"), None, "mp3"),
    "low.mp3": (Sound("libmp3lame", rate=22050, channels=1, bitrate=32_000), None, "mp3"),
    "mp2": (Sound("mp2", rate=48000), None, "mp2"),
    "aac": (Sound("aac", rate=48000), "adts", "aac"),
    "ogg": (Sound("vorbis"), None, "vorbis"),
    "opus": (Sound("libopus", rate=48000, channels=1), None, "opus"),
    "oga": (Sound("flac"), "ogg", "flac"),
    "wma": (Sound("wmav2"), "asf", "wmav2"),
    "mka": (Sound("flac"), "matroska", "flac"),
}


@pytest.mark.parametrize("ending", SOUNDS)
def test_sound_of_every_format(ending: str, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """Length, rate, channels and codec of each format of sound stand in its header."""
    sound, writer, codec = SOUNDS[ending]
    media = headers.read(opened(record(tmp_path / f"a.{ending}", sound, container=writer))).media
    assert media.duration == pytest.approx(2, abs=0.1)
    assert (media.sample_rate, media.channels, media.audio_codec) == (sound.rate, sound.channels, codec)


@pytest.mark.parametrize(
    ("ending", "sound", "film", "writer"),
    [
        ("avi", Sound("libmp3lame"), Film("mpeg4"), None),
        ("mkv", Sound("aac"), Film("libx264"), None),
        ("webm", Sound("libopus", rate=48000), Film("libvpx"), None),
        ("wmv", Sound("wmav2"), Film("wmv2"), "asf"),
    ],
)
def test_film_of_every_format(
    ending: str, sound: Sound, film: Film, writer: str | None, tmp_path: Path, opened: Callable[..., Opened]
) -> None:
    """Length, size, codecs, rate and channels of each format of film stand in its header."""
    media = headers.read(opened(record(tmp_path / f"v.{ending}", sound, film, container=writer))).media
    assert media.duration == pytest.approx(2, abs=0.1)
    assert (media.width, media.height, media.sample_rate, media.channels) == (64, 48, sound.rate, 2)
    assert media.video_codec == {"libx264": "h264", "libvpx": "vp8"}.get(film.codec, film.codec)
    assert media.audio_codec == {"libmp3lame": "mp3", "libopus": "opus"}.get(sound.codec, sound.codec)


def test_a_transport_stream_has_a_clock(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """The clock of a transport stream tells how long it is, as exactly as it is written."""
    path = record(tmp_path / "v.ts", None, Film("mpeg2video", seconds=6), container="mpegts")
    media = headers.read(opened(path)).media
    assert media.container == "mpegts"
    assert media.duration == pytest.approx(6, abs=0.3)


def test_a_flash_film_tells_its_size(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """Size, length and frame rate stand in the script in front."""
    media = headers.read(opened(record(tmp_path / "v.flv", None, Film("flv")))).media
    assert (media.width, media.height, media.frame_rate) == (64, 48, 25)
    assert media.duration == pytest.approx(2, abs=0.1)


# --- lengths that nobody wrote


def wav(*chunks: tuple[bytes, int, bytes], magic: bytes = b"RIFF") -> bytes:
    body = b"".join(struct.pack("<4sI", name, length) + content for name, length, content in chunks)
    return struct.pack("<4sI4s", magic, len(body) + 4, b"WAVE") + body


FMT = (b"fmt ", 16, struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8))
SECOND = bytes(8000)


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (wav(FMT, (b"data", 8000, SECOND)), 1),
        (wav(FMT, (b"data", 16000, SECOND)), 1),
        (wav(FMT, (b"data", 0, SECOND)), 1),
        (wav(FMT, (b"data", 0xFFFFFFFF, SECOND)), 1),
        (wav(FMT, (b"LIST", 3, b"abc\0"), (b"data", 8000, SECOND), (b"LIST", 99, b"")), 1),
        (wav(FMT), None),
        (wav((b"ds64", 16, struct.pack("<QQ", 0, 4000)), FMT, (b"data", 0xFFFFFFFF, SECOND), magic=b"RF64"), 0.5),
    ],
)
def test_how_long_a_wav_is(content: bytes, seconds: float | None, opened: Callable[..., Opened]) -> None:
    """The data counts as far as it is there; zero and all ones are writers that never came back."""
    media = headers.read(opened(content)).media
    assert (media.duration, media.sample_rate, media.audio_codec) == (seconds, 8000, "pcm_u8")


def index(frames: int, size: int, mark: bytes = b"Xing") -> bytes:
    """A first frame that counts the others."""
    return (FRAME[:36] + mark + struct.pack(">III", 3, frames, size)).ljust(len(FRAME), b"\0")


@pytest.mark.parametrize(
    ("content", "frames"),
    [
        (FRAME * 100, 100),
        (ID3 + FRAME * 100, 100),
        (ID3 * 3 + FRAME * 100, 100),
        (b"rubbish \xff\xfb" * 50 + FRAME * 100, 100),
        (FRAME * 100 + b"TAG" + bytes(125), 100),
        (index(5000, 100 * len(FRAME)) + FRAME * 99, 5000),
        (index(5000, 100 * len(FRAME), b"Info") + FRAME * 99, 5000),
        (FRAME[:36] + b"VBRI" + struct.pack(">HHHII", 1, 0, 0, 417 * 50, 7000) + bytes(363) + FRAME * 49, 7000),
        (index(10, 10 * len(FRAME)) + FRAME * 99, 100),  # it knows of a tenth only: two files in one
        (FRAME * 100 + bytes(50_000), 100),
        (FRAME, 1),
    ],
)
def test_how_long_an_mp3_is(content: bytes, frames: int, opened: Callable[..., Opened]) -> None:
    """By the index in the first frame, else by the frames themselves; tags and rubbish around them do not count."""
    media = headers.read(opened(content, "a.mp3")).media
    assert media.duration == pytest.approx(frames * 1152 / 44100, rel=0.01)
    assert (media.container, media.sample_rate, media.channels, media.audio_codec) == ("mp3", 44100, 2, "mp3")


def test_a_long_mp3_is_not_read_to_its_end(opened: Callable[..., Opened]) -> None:
    """Where there is no index the first frames stand for all of them."""
    count = mpegaudio.WALKED * 3
    media = headers.read(opened(ID3 + FRAME * count + b"TAG" + bytes(125), "a.mp3")).media
    assert media.duration == pytest.approx(count * 1152 / 44100, rel=0.001)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"\xff\xfb\x90\x00", ("mp3", 417, 1152, 44100, 2)),
        (b"\xff\xfb\x92\xc0", ("mp3", 418, 1152, 44100, 1)),
        (b"\xff\xf3\x40\xc0", ("mp3", 104, 576, 22050, 1)),
        (b"\xff\xe3\x18\xc0", ("mp3", 72, 576, 8000, 1)),
        (b"\xff\xfd\x84\x00", ("mp2", 384, 1152, 48000, 2)),
        (b"\xff\xff\x50\x00", ("mp1", 172, 384, 44100, 2)),
        (b"\xff\xf1\x4c\x80\x10\x1f\xfc", ("aac", 128, 1024, 48000, 2)),
        (b"\xff\xf1\x4d\xc0\x10\x1f\xfc", ("aac", 128, 1024, 48000, 8)),
        (b"\xff\xfb\xf0\x00", None),
        (b"\xff\xfb\x9c\x00", None),
        (b"\xff\xeb\x90\x00", None),
        (b"\xff\xf1\x7c\x80\x10\x1f\xfc", None),
        (b"\xff\xf1\x4c\x80\x00\x1f\xfc", None),
        (b"\xff\xfb", None),
        (b"MThd", None),
    ],
)
def test_headers_of_frames(header: bytes, expected: tuple[object, ...] | None) -> None:
    """Versions, layers, rates and channels of MPEG audio and ADTS; what is forbidden is no frame."""
    found = mpegaudio.frame(header)
    assert (None if found is None else tuple(found)) == expected


def test_two_frames_by_chance_are_no_sound(opened: Callable[..., Opened]) -> None:
    """Bytes that look like a frame here and there are not taken for one, nor are those of another format."""
    lone = b"\0" * 500 + FRAME[:4] + b"\0" * 5000
    for content, name in ((lone, "a.mp3"), (b"DSD " + FRAME * 9, "a.dsf"), (b"\0\1\2\3" + FRAME * 9, "a.bin")):
        with pytest.raises(Refused):
            headers.read(opened(content, name))


def test_a_flac_of_unknown_length(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """The last frame knows where it stands, with or without tags in front."""
    content = bytearray(record(tmp_path / "a.flac", Sound("flac", seconds=5)).read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    for front in (b"", ID3):
        media = headers.read(opened(front + bytes(content))).media
        assert media.duration == pytest.approx(5, abs=0.15)
        assert (media.sample_rate, media.channels) == (44100, 2)
    made = headers.read(opened(demo_formats.flac(demo_formats.tune(1), {}))).media
    assert made.duration == pytest.approx(0.5, abs=0.01)


def test_a_live_recording_has_a_length(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """Matroska that was written live has none; its last block tells how long it is."""
    options = {"live": "1", "cluster_time_limit": "500"}
    path = record(tmp_path / "v.mkv", None, Film("mpeg4", seconds=3), options=options)
    assert headers.read(opened(path)).media.duration == pytest.approx(3, abs=0.2)
    assert headers.read(opened(record(tmp_path / "w.mkv", None, Film("mpeg4")))).media.duration == pytest.approx(2)


def test_an_ogg_of_several_streams(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """The last page counts that belongs to the stream that is described."""
    content = record(tmp_path / "a.opus", Sound("libopus", rate=48000)).read_bytes()
    foreign = b"OggS\0\4" + struct.pack("<QI", 1 << 40, 99) + bytes(8) + b"\1\1x"
    assert headers.read(opened(content + foreign)).media.duration == pytest.approx(2, abs=0.05)


def test_a_film_of_theora(opened: Callable[..., Opened]) -> None:
    """Theora counts frames since a key frame in the low bits of its times."""
    packet = b"\x80theora\3\2\1" + struct.pack(">HH", 4, 3) + bytes((0, 0, 64, 0, 0, 48, 0, 0))
    packet += struct.pack(">II", 25, 1) + bytes(10) + struct.pack(">H", 6 << 5)
    page = b"OggS\0\2" + struct.pack("<QI", 0, 7) + bytes(8) + bytes((1, len(packet))) + packet
    last = b"OggS\0\4" + struct.pack("<QI", 40 << 6 | 10, 7) + bytes(8) + b"\1\1x"
    media = headers.read(opened(page + last)).media
    assert (media.width, media.height, media.video_codec, media.duration) == (64, 48, "theora", 2)


# --- what is no header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"RIFF",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"riff" + bytes(60),
        b"FORM\0\0\0\0ILBM",
        b"FORM\0\0\0\x20AIFFCOMM\0\0\0\x12" + bytes(5),
        b"fLaC",
        b"fLaC" + b"\xff" * 20,
        b"OggS",
        b"OggS\0\2" + bytes(300),
        b"\x1a\x45\xdf\xa3\x84abcd",
        b"\x1a\x45\xdf\xa3" + b"\xff" * 99,
        b"0&\xb2u\x8ef\xcf\x11" + bytes(99),
        b"FLV\x01\5",
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        b"\x47" + bytes(187) + b"\x47" + bytes(187),
        b"plain text",
    ],
)
def test_no_header_is_refused(content: bytes, opened: Callable[..., Opened]) -> None:
    """A beginning without a header behind it says nothing, and is refused."""
    with pytest.raises(Refused):
        headers.read(opened(content, "a.mp3"))


@pytest.mark.parametrize(
    "ending", ["wav", "w64", "aiff", "flac", "mp3", "ogg", "opus", "wma", "avi", "mkv", "ts", "flv"]
)
def test_any_damage_is_refused_or_survived(ending: str, tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """Whatever bytes change, the walk ends, gives sane numbers, and fails in no other way than by refusing."""
    films = {"avi": "mpeg4", "mkv": "mpeg4", "ts": "mpeg2video", "flv": "flv"}
    if ending in films:
        path = record(
            tmp_path / f"a.{ending}",
            None,
            Film(films[ending], 0.3),
            container={"ts": "mpegts", "mkv": "matroska"}.get(ending),
        )
    else:
        sound, writer, _ = SOUNDS[ending]
        path = record(tmp_path / f"a.{ending}", sound._replace(seconds=0.3), container=writer)
    whole, chance = path.read_bytes(), random.Random(ending)
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 4, 16))):
            at = chance.randrange(min(len(content) - 4, 2048))
            content[at : at + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\0\0\0\x08", chance.randbytes(4)))
        cut = bytes(content[: chance.randrange(1, len(content))])
        try:
            media = headers.read(opened(chance.choice((bytes(content), cut)), f"damaged.{ending}")).media
        except Refused:
            continue
        assert isinstance(media, Media)
        assert media.duration is None or 0 < media.duration < 1e7
        assert media.sample_rate is None or 0 < media.sample_rate < 1e7
        assert media.channels is None or 0 < media.channels < 256


def test_the_reading_says_who_read(tmp_path: Path, opened: Callable[..., Opened]) -> None:
    """The reading names its reader and the type of the file."""
    reading = headers.read(opened(record(tmp_path / "a.wav", Sound("pcm_s16le"))))
    assert isinstance(reading, Reading)
    assert (reading.reader, reading.mime, reading.media.container) == ("headers", "audio/x-wav", "wav")
