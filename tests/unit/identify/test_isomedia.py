from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import isomedia
from mediasluice.model.files import Kind
from mediasluice.model.media import Camera, DateClaim, DateSource, Gps, Reading, Tags
from tests.recordings import Film, Sound, record

EPOCH = 2_082_844_800  # seconds from 1904 to 1970
FTYP = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
STRAIGHT = (1, 0, 0, 1)


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Callable[..., Reading]]:
    """Read bytes or a file that lies there."""
    fds: list[int] = []

    def read_file(content: bytes | Path, kind: Kind = Kind.VIDEO) -> Reading:
        path = content if isinstance(content, Path) else tmp_path / "made.mp4"
        if isinstance(content, bytes):
            path.write_bytes(content)
        fds.append(os.open(path, os.O_RDONLY))
        return isomedia.read(Opened(fds[-1], os.fstat(fds[-1]).st_size, os.fsencode(path), kind))

    yield read_file
    for fd in fds:
        os.close(fd)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def mvhd(duration: int = 2000, created: int = 0, *, scale: int = 1000) -> bytes:
    return box(b"mvhd", struct.pack(">IIIII", 0, created, created, scale, duration), bytes(80))


def track(
    handler: bytes,
    entry: bytes = b"",
    *,
    matrix: tuple[int, int, int, int] = STRAIGHT,
    samples: int = 50,
    number: int = 1,
    extra: bytes = b"",
    duration: int = 2000,
) -> bytes:
    a, b, c, d = (value << 16 for value in matrix)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    header = struct.pack(">IIIIII", 7, 0, 0, number, 0, duration) + bytes(16) + turned
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), entry),
        box(b"stsz", struct.pack(">III", 0, 100, samples)),
    )
    return box(
        b"trak",
        box(b"tkhd", header + struct.pack(">II", 640 << 16, 360 << 16)),
        extra,
        box(
            b"mdia",
            box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, 1000, duration, 0)),
            box(b"hdlr", struct.pack(">I4s4s", 0, b"mhlr", handler), bytes(13)),
            box(b"minf", table),
        ),
    )


def pictures(code: bytes = b"avc1", *boxes: bytes) -> bytes:
    return box(code, bytes(24), struct.pack(">HH", 640, 360), bytes(50), *boxes)


def heard(code: bytes, *boxes: bytes, channels: int = 2, rate: int = 44100, version: int = 0) -> bytes:
    fixed = struct.pack(">6xHHHIHHHHI", 1, version, 0, 0, channels, 16, 0, 0, rate << 16 & 0xFFFFFFFF)
    return box(code, fixed, *boxes)


def movie(*parts: bytes, header: bytes | None = None) -> bytes:
    return FTYP + box(b"moov", header or mvhd(), *parts)


# --- what FFmpeg writes


@pytest.mark.parametrize(
    ("name", "options", "abs_s"),
    [
        ("a.mp4", "", 0.001),
        ("front.mp4", "faststart", 0.001),
        ("a.mov", "", 0.001),
        ("fragments.mp4", "frag_keyframe+empty_moov+default_base_moof", 0.1),
        ("apart.mp4", "frag_keyframe+empty_moov+separate_moof", 0.1),
        ("index.mp4", "dash+global_sidx", 0.1),
        ("indexes.mp4", "dash", 0.1),
    ],
)
def test_films_as_they_are_written(
    name: str, options: str, abs_s: float, tmp_path: Path, read: Callable[..., Reading]
) -> None:
    """Without FFmpeg a film has its length, size, codecs, rate, channels and tags, in fragments or in one piece."""
    tags = {"title": "Títle", "artist": "A", "album": "B", "genre": "Jazz", "date": "1999"}
    container = "mov" if name.endswith("mov") else "mp4"
    path = record(
        tmp_path / name,
        Sound("aac", rate=48000),
        Film("libx264", width=128, height=72),
        tags=tags,
        container=container,
        options={"movflags": options} if options else None,
    )
    reading = read(path)
    media = reading.media
    assert media.duration == pytest.approx(2, abs=abs_s)
    assert (media.width, media.height, media.rotation, media.is_mirrored) == (128, 72, 0, False)
    assert (media.video_codec, media.audio_codec, media.sample_rate, media.channels) == ("h264", "aac", 48000, 2)
    assert (media.container, media.streams, media.has_cover) == (container, 2, False)
    assert reading.mime == {"mov": "video/quicktime"}.get(container, "video/mp4")
    assert reading.tags == Tags("Títle", "A", "B", None, "1999", "Jazz")
    if not options or options == "faststart":
        assert media.frame_rate == 25


@pytest.mark.parametrize(
    ("sound", "codec"),
    [
        (Sound("aac", rate=22050, channels=1), "aac"),
        (Sound("aac", rate=48000, channels=6), "aac"),
        (Sound("alac", rate=96000), "alac"),
        (Sound("libopus", rate=48000), "opus"),
        (Sound("flac"), "flac"),
        (Sound("ac3", rate=48000, channels=6, bitrate=192_000), "ac3"),
        (Sound("eac3", rate=48000, channels=6, bitrate=192_000), "eac3"),
        (Sound("libmp3lame"), "mp3"),
    ],
)
def test_sound_as_it_is_written(sound: Sound, codec: str, tmp_path: Path, read: Callable[..., Reading]) -> None:
    """Codec, rate and channels come from the configuration of the decoder."""
    media = read(record(tmp_path / "a.mp4", sound), Kind.AUDIO).media
    assert (media.audio_codec, media.sample_rate, media.channels) == (codec, sound.rate, sound.channels)
    assert media.duration == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_s16be", "pcm_s24be", "pcm_u8"])
def test_linear_sound_of_quicktime(codec: str, tmp_path: Path, read: Callable[..., Reading]) -> None:
    """QuickTime's own sounds are told apart."""
    media = read(record(tmp_path / "a.mov", Sound(codec, seconds=0.2)), Kind.AUDIO).media
    assert (media.audio_codec, media.sample_rate, media.channels) == (codec, 44100, 2)


def test_a_film_that_was_cut_is_read(tmp_path: Path, read: Callable[..., Reading]) -> None:
    """Where the header stands in front, a film of which half is missing says what it was."""
    path = record(tmp_path / "a.mp4", Sound("aac"), Film("libx264"), options={"movflags": "faststart"})
    content = path.read_bytes()
    assert read(content[: len(content) // 2]).media.duration == pytest.approx(2)


# --- lengths


def fragments(*runs: bytes, extends: bytes = b"", header: bytes | None = None) -> bytes:
    front = movie(
        track(b"vide", pictures(), samples=0, duration=0),
        box(b"mvex", extends, box(b"trex", struct.pack(">IIIIII", 0, 1, 1, 40, 0, 0))),
        header=header or mvhd(0),
    )
    return front + b"".join(box(b"moof", box(b"traf", run)) + box(b"mdat", bytes(9)) for run in runs)


TFHD = box(b"tfhd", struct.pack(">II", 0, 1))


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (movie(track(b"vide", pictures())), 2),
        (movie(track(b"vide", pictures()), header=mvhd(0)), 2),
        (movie(track(b"vide", pictures()), header=mvhd(0xFFFFFFFF)), 2),
        (movie(track(b"vide", pictures()), header=mvhd(1, scale=0)), 2),
        (fragments(extends=box(b"mehd", struct.pack(">II", 0, 7000))), 7),
        (fragments(extends=box(b"mehd", struct.pack(">IQ", 1 << 24, 8000))), 8),
        (fragments(TFHD + box(b"trun", struct.pack(">II", 0, 25))), 1),
        (fragments(*[TFHD + box(b"trun", struct.pack(">II", 0, 25))] * 3), 3),
        (fragments(box(b"tfhd", struct.pack(">III", 8, 1, 20)) + box(b"trun", struct.pack(">II", 0, 25))), 0.5),
        (fragments(TFHD + box(b"tfdt", struct.pack(">II", 0, 9000)) + box(b"trun", struct.pack(">II", 0, 25))), 10),
        (fragments(TFHD + box(b"trun", struct.pack(">IIIIII", 0x300, 2, 30, 1, 50, 1))), 0.08),
        (fragments(TFHD + box(b"trun", struct.pack(">IIIII", 0x105, 2, 0, 0, 30) + struct.pack(">I", 50))), 0.08),
        (fragments(TFHD, header=mvhd(4000)), 4),
        (
            fragments(header=mvhd(4000))
            + box(b"sidx", struct.pack(">IIIIIHH", 0, 1, 1000, 0, 0, 0, 2), struct.pack(">III", 9, 3000, 0) * 2),
            6,
        ),
        (
            fragments()
            + box(b"sidx", struct.pack(">IIIQQHH", 1 << 24, 1, 1000, 0, 0, 0, 2))
            + box(b"sidx", struct.pack(">IIIQQHH", 1 << 24, 1, 1000, 0, 0, 0, 1), struct.pack(">III", 9, 3000, 0)),
            3,
        ),
        (
            fragments()
            + box(b"sidx", struct.pack(">IIIIIHH", 0, 1, 1000, 0, 0, 0, 1), struct.pack(">III", 1 << 31, 3000, 0)),
            None,
        ),
    ],
)
def test_how_long_a_film_is(content: bytes, seconds: float | None, read: Callable[..., Reading]) -> None:
    """The header counts; in fragments what announces them, then their index, then they themselves; then the tracks."""
    assert read(content).media.duration == (None if seconds is None else pytest.approx(seconds))


def test_times_in_64_bits(read: Callable[..., Reading]) -> None:
    """The wide form of the header is read like the narrow one."""
    wide = box(b"mvhd", struct.pack(">IQQIQ", 1 << 24, EPOCH + 86400, 0, 1000, 5000), bytes(80))
    reading = read(movie(track(b"vide", pictures()), header=wide))
    assert reading.media.duration == 5
    assert reading.dates == (DateClaim(DateSource.CONTAINER, "1970-01-02T00:00:00", "Z"),)


@pytest.mark.parametrize(
    ("created", "text"),
    [
        (EPOCH + 1_600_000_000, "2020-09-13T12:26:40"),
        (1_600_000_000, "2020-09-13T12:26:40"),
        (0, None),
        (0xFFFFFFFF, None),
    ],
)
def test_when_a_film_was_made(created: int, text: str | None, read: Callable[..., Reading]) -> None:
    """The header counts from 1904 in UTC, and some writers from 1970; zero is no time."""
    claims = read(movie(track(b"vide", pictures()), header=mvhd(2000, created))).dates
    assert claims == (() if text is None else (DateClaim(DateSource.CONTAINER, text, "Z"),))


# --- tracks


@pytest.mark.parametrize(
    ("matrix", "rotation", "is_mirrored"),
    [
        ((1, 0, 0, 1), 0, False),
        ((0, 1, -1, 0), 90, False),
        ((-1, 0, 0, -1), 180, False),
        ((0, -1, 1, 0), 270, False),
        ((-1, 0, 0, 1), 0, True),
        ((0, -1, -1, 0), 90, True),
        ((1, 0, 0, -1), 180, True),
        ((0, 1, 1, 0), 270, True),
        ((0, 0, 0, 0), 0, False),
    ],
)
def test_how_a_track_is_turned(
    matrix: tuple[int, int, int, int], rotation: int, *, is_mirrored: bool, read: Callable[..., Reading]
) -> None:
    """Every way in which a film can be turned and mirrored, in degrees clockwise."""
    media = read(movie(track(b"vide", pictures(), matrix=matrix))).media
    assert (media.rotation, media.is_mirrored) == (rotation, is_mirrored)


def test_pictures_of_chapters_are_no_film(read: Callable[..., Reading]) -> None:
    """The first track of pictures counts, but not one that another track names as its chapters."""
    chapters = box(b"tref", box(b"chap", struct.pack(">I", 2)))
    book = movie(track(b"soun", heard(b"mp4a"), extra=chapters), track(b"vide", pictures(b"jpeg"), number=2, samples=3))
    reading = read(book, Kind.AUDIO)
    assert (reading.media.video_codec, reading.media.width, reading.mime) == (None, None, "audio/mp4")


def test_a_size_of_its_own(read: Callable[..., Reading]) -> None:
    """Where the sample description has no size, the track's own counts."""
    empty = box(b"avc1", bytes(78))
    media = read(movie(track(b"vide", empty))).media
    assert (media.width, media.height, media.frame_rate) == (640, 360, 25)


def esds(object_type: int, specific: bytes, bitrate: int = 128_000) -> bytes:
    inner = bytes([5, len(specific)]) + specific
    decoder = bytes([4, 13 + len(inner), object_type, 0x15]) + bytes(7) + struct.pack(">I", bitrate) + inner
    return box(b"esds", bytes(4), bytes([3, 0x80, 0x80, len(decoder) + 3, 0, 1, 0]), decoder)


@pytest.mark.parametrize(
    ("entry", "codec", "rate", "channels"),
    [
        (heard(b"mp4a", esds(0x40, b"\x12\x10")), "aac", 44100, 2),
        (heard(b"mp4a", esds(0x40, b"\x2b\x92\x08\x00")), "aac", 44100, 2),  # spectral band replication over 22,050 Hz
        (heard(b"mp4a", esds(0x40, b"\xeb\x8a\x08\x00")), "aac", 44100, 2),  # with one channel that is heard as two
        (heard(b"mp4a", esds(0x6B, b"")), "mp3", 44100, 2),
        (heard(b"mp4a", box(b"wave", esds(0x40, b"\x11\x90")), version=0), "aac", 48000, 2),
        (heard(b"samr", channels=2), "amr_nb", 8000, 1),
        (heard(b"sawb", channels=2), "amr_wb", 16000, 1),
        (heard(b"enca", box(b"sinf", box(b"frma", b"mp4a")), esds(0x40, b"\x12\x10")), "aac", 44100, 2),
        (heard(b"ac-3", box(b"dac3", b"\x10\x3d\x40")), "ac3", 44100, 6),
        (heard(b"Opus", box(b"dOps", b"\0\6"), rate=0), "opus", 48000, 6),
        (heard(b"alac", box(b"alac", bytes(13), b"\x02", bytes(10), struct.pack(">I", 192_000))), "alac", 192_000, 2),
        (heard(b"????"), None, 44100, 2),
        (b"", None, None, None),
        (box(b"mp4a", bytes(9)), None, None, None),
    ],
)
def test_sample_descriptions_of_sound(
    entry: bytes, codec: str | None, rate: int | None, channels: int | None, read: Callable[..., Reading]
) -> None:
    """Codec, rate and channels as they are heard, whatever the entry around the configuration says."""
    media = read(movie(track(b"soun", entry)), Kind.AUDIO).media
    assert (media.audio_codec, media.sample_rate, media.channels) == (codec, rate, channels)


@pytest.mark.parametrize(
    ("entry", "codec"),
    [
        (pictures(b"avc1"), "h264"),
        (pictures(b"hev1"), "hevc"),
        (pictures(b"av01"), "av1"),
        (pictures(b"ap4h"), "prores"),
        (pictures(b"encv", box(b"sinf", box(b"frma", b"hvc1"))), "hevc"),
        (pictures(b"mp4v", esds(0x20, b"")), "mpeg4"),
        (pictures(b"mp4v", esds(0x6C, b"")), "mjpeg"),
        (pictures(b"????"), None),
    ],
)
def test_sample_descriptions_of_pictures(entry: bytes, codec: str | None, read: Callable[..., Reading]) -> None:
    """Codes become the names that FFmpeg has; what is encrypted is named by what it was."""
    media = read(movie(track(b"vide", entry))).media
    assert (media.video_codec, media.width, media.height) == (codec, 640, 360)


# --- what is said of it


def said(*parts: bytes) -> bytes:
    return movie(track(b"vide", pictures()), *parts)


def data(kind: int, value: bytes) -> bytes:
    return box(b"data", struct.pack(">II", kind, 0), value)


def text(value: bytes, language: int = 0x15C7) -> bytes:
    return struct.pack(">HH", len(value), language) + value


def test_keys_of_a_phone(read: Callable[..., Reading]) -> None:
    """Apple's keys name the items of the list by number."""
    values = {
        b"com.apple.quicktime.make": b"Apple",
        b"com.apple.quicktime.model": b"iPhone 12 Pro",
        b"com.apple.quicktime.location.ISO6709": b"-33.8688+151.2093+012.5/",
        b"com.apple.quicktime.creationdate": b"2023-05-09T12:41:46+0100",
        b"com.apple.quicktime.content.identifier": b"6F1C-22",
        b"com.apple.quicktime.camera.lens_model": b"back camera",
    }
    table = b"".join(struct.pack(">I4s", len(key) + 8, b"mdta") + key for key in values)
    items = b"".join(box(struct.pack(">I", n), data(1, value)) for n, value in enumerate(values.values(), 1))
    meta = (
        box(b"hdlr", bytes(8), b"mdta", bytes(13)),
        box(b"keys", struct.pack(">II", 0, len(values)), table),
        box(b"ilst", items),
    )
    for boxed in (box(b"meta", *meta), box(b"meta", bytes(4), *meta), box(b"udta", box(b"meta", bytes(4), *meta))):
        reading = read(said(boxed))
        assert reading.camera == Camera("Apple", "iPhone 12 Pro", "back camera")
        assert reading.gps == Gps(-33.8688, 151.2093, 12.5)
        assert reading.pair == "6F1C-22"
        assert reading.dates == (DateClaim(DateSource.QUICKTIME_KEY, "2023-05-09T12:41:46+0100"),)


def test_user_data_of_quicktime(read: Callable[..., Reading]) -> None:
    """Camera, place, day and title as cameras write them into user data, in old letters as well."""
    user = box(
        b"udta",
        box(b"\xa9mak", text(b"Acme")),
        box(b"\xa9mod", text("Phöne".encode("mac-roman"), 0)),
        box(b"\xa9xyz", text(b"+27.5916+086.5640+8850/")),
        box(b"\xa9day", text(b"2010-07-09T13:48:49-0700")),
        box(b"\xa9nam", text("Títle".encode())),
        bytes(4),
    )
    reading = read(said(user))
    assert (reading.camera, reading.tags.title) == (Camera("Acme", "Phöne"), "Títle")
    assert reading.gps == Gps(27.5916, 86.564, 8850)
    assert reading.dates == (DateClaim(DateSource.QUICKTIME_DAY, "2010-07-09T13:48:49-0700"),)


def test_user_data_of_3gpp(read: Callable[..., Reading]) -> None:
    """Place, title and year of telephones."""
    place = struct.pack(">iii", int(-70.5 * 65536), int(40.25 * 65536), int(12.5 * 65536))
    user = box(
        b"udta",
        box(b"loci", bytes(4), b"\x15\xc7", b"home\0", b"\0", place, b"earth\0\0"),
        box(b"titl", bytes(4), b"\x15\xc7", b"\xfe\xff", "Títle".encode("utf-16-be"), b"\0\0"),
        box(b"perf", bytes(4), b"\x15\xc7", "Ärtist".encode(), b"\0"),
        box(b"yrrc", bytes(4), struct.pack(">H", 2009)),
    )
    reading = read(said(user))
    assert reading.gps == Gps(40.25, -70.5, 12.5)
    assert (reading.tags.title, reading.tags.artist, reading.tags.date) == ("Títle", "Ärtist", "2009")
    cut = box(b"udta", box(b"loci", bytes(4), b"\x15\xc7", b"no end"))
    assert read(said(cut)).gps is None


def test_the_list_of_itunes(read: Callable[..., Reading]) -> None:
    """Text, numbers of tracks and discs, numbers of genres, a cover and free keys."""
    items = box(
        b"ilst",
        box(b"\xa9nam", data(1, "Títle".encode())),
        box(b"\xa9ART", data(2, "Ärtist".encode("utf-16-be"))),
        box(b"\xa9alb", data(0, b"Album")),
        box(b"aART", data(1, b"Several")),
        box(b"\xa9day", data(1, b"2016-05-29T07:00:00Z")),
        box(b"gnre", data(0, struct.pack(">H", 18))),
        box(b"trkn", data(0, struct.pack(">4H", 0, 4, 12, 0))),
        box(b"disk", data(0, struct.pack(">3H", 0, 1, 0))),
        box(b"stik", data(21, b"\x0a")),
        box(b"covr", data(13, b"\xff\xd8\xff\xd9")),
        box(b"----", box(b"mean", bytes(4), b"com.apple.iTunes"), box(b"name", bytes(4), b"MAKE"), data(1, b"Acme")),
    )
    reading = read(said(box(b"udta", box(b"meta", bytes(4), box(b"hdlr", bytes(8), b"mdir", bytes(13)), items))))
    assert reading.tags == Tags("Títle", "Ärtist", "Album", "Several", "2016-05-29T07:00:00Z", "Rock", "4/12", "1")
    assert (reading.media.has_cover, reading.camera.make, reading.dates) == (True, "Acme", ())


# --- what is no film


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 99,
        FTYP,
        FTYP + box(b"mdat", bytes(99)),
        FTYP + box(b"moov"),
        FTYP + struct.pack(">I4s", 0, b"mdat") + bytes(99),
        struct.pack(">I4s", 7, b"moov") * 9,
    ],
)
def test_no_movie_is_refused(content: bytes, read: Callable[..., Reading]) -> None:
    """Without a movie there is nothing to read."""
    with pytest.raises(Refused):
        read(content)


def test_any_damage_is_refused_or_survived(tmp_path: Path, read: Callable[..., Reading]) -> None:
    """Whatever bytes change, the walk ends, and fails in no other way than by refusing."""
    options = {"movflags": "frag_keyframe+empty_moov"}
    tags = {"title": "T", "location": "+48.8577+002.2950/"}
    whole = record(tmp_path / "a.mp4", Sound("aac", 0.2), Film("mpeg4", 0.2), tags=tags).read_bytes()
    parts = record(tmp_path / "b.mp4", None, Film("mpeg4", 0.2), options=options).read_bytes()
    chance = random.Random(20261120)
    for number in range(300):
        content = bytearray((whole, parts)[number % 2])
        for _ in range(chance.choice((1, 4, 16))):
            at = chance.randrange(len(content) - 8)
            content[at : at + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\0\0\0\x08", chance.randbytes(4)))
        try:
            assert isinstance(read(bytes(content[: chance.randrange(1, len(content))])), Reading)
        except Refused:
            continue
