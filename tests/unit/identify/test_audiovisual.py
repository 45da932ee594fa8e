from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from mediasluice.cli import demo_formats
from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import audiovisual, ffprobe, formats, isomedia, pyav
from mediasluice.model.files import Kind
from mediasluice.model.media import DateClaim, DateSource, Gps, Reading, Tags
from tests.recordings import Film, Sound, record

TAGS = {
    "title": "Títle",
    "artist": "The Artist",
    "album": "An Album",
    "album_artist": "Several",
    "date": "1999-05-04",
    "genre": "Jazz",
    "track": "4/12",
    "disc": "1/2",
}
COVER = demo_formats.jpeg(3, 16, 16)


@pytest.fixture
def opened() -> Iterator[Callable[[Path, Kind], Opened]]:
    """Open a file as a reader gets it."""
    fds: list[int] = []

    def open_file(path: Path, kind: Kind = Kind.AUDIO) -> Opened:
        fds.append(os.open(path, os.O_RDONLY))
        return Opened(fds[-1], os.fstat(fds[-1]).st_size, os.fsencode(path), kind)

    yield open_file
    for fd in fds:
        os.close(fd)


@pytest.fixture
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without ffprobe."""
    monkeypatch.setenv("PATH", "")


SOUNDS = {  # ending: codec, writer, container, media type, tags that the format has no place for
    "flac": (Sound("flac"), None, "flac", "audio/flac", ()),
    "wav": (Sound("pcm_s16le"), None, "wav", "audio/x-wav", ("albumartist", "disc")),
    "wave": (Sound("pcm_s16le"), "wav", "wav", "audio/x-wav", ("albumartist", "disc")),
    "mp3": (Sound("libmp3lame"), None, "mp3", "audio/mpeg", ()),
    "ogg": (Sound("vorbis"), None, "ogg", "audio/ogg", ()),
    "oga": (Sound("flac"), "ogg", "ogg", "audio/ogg", ()),
    "aac": (Sound("aac"), "adts", "aac", "audio/aac", Tags._fields),
    "opus": (Sound("libopus", rate=48000), None, "ogg", "audio/ogg", ()),
    "m4a": (Sound("aac"), "ipod", "mp4", "audio/mp4", ()),
    "m4b": (Sound("aac"), "ipod", "mp4", "audio/mp4", ()),
    "m4p": (Sound("aac"), "ipod", "mp4", "audio/mp4", ()),
    "m4r": (Sound("alac"), "ipod", "mp4", "audio/mp4", ()),
    "mp4": (Sound("aac"), None, "mp4", "audio/mp4", ()),
    "wma": (Sound("wmav2"), "asf", "asf", "audio/x-ms-wma", ()),
    "aiff": (Sound("pcm_s16be"), None, "aiff", "audio/aiff", Tags._fields[1:]),
    "mka": (Sound("libopus", rate=48000), "matroska", "matroska", "audio/x-matroska", ()),
    "ac3": (Sound("ac3", rate=48000), None, "ac3", "audio/ac3", Tags._fields),
    "mp2": (Sound("mp2"), None, "mp3", "audio/mpeg", Tags._fields),
    "amr": (Sound("libopencore_amrnb", rate=8000, channels=1), None, "amr", "audio/amr", Tags._fields),
}
CODECS = {"libmp3lame": "mp3", "libopus": "opus", "libopencore_amrnb": "amr_nb", "libx264": "h264", "libvpx": "vp8"}


@pytest.mark.parametrize("ending", SOUNDS)
def test_sound_of_every_format(
    ending: str, tmp_path: Path, opened: Callable[[Path], Opened], no_programs: None
) -> None:
    """Length, rate, channels, codec, container, type and tags of each format of sound are read back (S2-02, S2-33)."""
    sound, writer, container, mime, unheard = SOUNDS[ending]
    path = record(tmp_path / f"a.{ending}", sound, tags=TAGS, container=writer)
    reading = audiovisual.read(opened(path))
    media = reading.media
    assert media.duration == pytest.approx(2, abs=0.1)
    assert (media.sample_rate, media.channels) == (sound.rate, sound.channels)
    assert (media.container, reading.mime, media.streams) == (container, mime, 1)
    assert media.audio_codec == CODECS.get(sound.codec, sound.codec)
    assert media.bitrate == round(path.stat().st_size * 8 / (media.duration or 1))
    assert (media.video_codec, media.width, media.has_cover, reading.error) == (None, None, False, None)
    assert reading.tags == Tags(*TAGS.values())._replace(**dict.fromkeys(unheard))


FILMS = {
    "mp4": (Sound("aac"), Film("libx264"), None, "mp4", "video/mp4"),
    "m4v": (Sound("aac"), Film("libx264"), "mp4", "mp4", "video/mp4"),
    "mov": (Sound("pcm_s16le"), Film("libx264"), None, "mov", "video/quicktime"),
    "3gp": (Sound("libopencore_amrnb", rate=8000, channels=1), Film("mpeg4"), None, "3gp", "video/3gpp"),
    "mkv": (Sound("aac"), Film("libx264"), None, "matroska", "video/x-matroska"),
    "webm": (Sound("libopus", rate=48000), Film("libvpx"), None, "webm", "video/webm"),
    "avi": (Sound("libmp3lame"), Film("mpeg4"), None, "avi", "video/x-msvideo"),
    "ts": (Sound("aac"), Film("libx264"), "mpegts", "mpegts", "video/mp2t"),
    "wmv": (Sound("wmav2"), Film("wmv2"), "asf", "asf", "video/x-ms-wmv"),
    "flv": (Sound("libmp3lame"), Film("flv"), None, "flv", "video/x-flv"),
    "mpg": (Sound("mp2"), Film("mpeg2video"), None, "mpeg", "video/mpeg"),
}


@pytest.mark.parametrize("ending", FILMS)
def test_film_of_every_format(
    ending: str, tmp_path: Path, opened: Callable[[Path, Kind], Opened], no_programs: None
) -> None:
    """Length, size, frame rate, codecs, container and type of each format of film are read back (S0-46, S4-03)."""
    sound, film, writer, container, mime = FILMS[ending]
    path = record(tmp_path / f"v.{ending}", sound, film, container=writer)
    reading = audiovisual.read(opened(path, Kind.VIDEO))
    media = reading.media
    assert media.duration == pytest.approx(2, abs=0.1)
    assert (media.width, media.height, media.frame_rate) == (64, 48, 25)
    assert media.video_codec == {"flv": "flv1"}.get(film.codec, CODECS.get(film.codec, film.codec))
    assert (media.audio_codec, media.sample_rate) == (CODECS.get(sound.codec, sound.codec), sound.rate)
    assert (media.container, reading.mime, media.streams) == (container, mime, 2)
    assert reading.reader in {"av", "av+boxes", "av+headers"}


@pytest.mark.parametrize("ending", ["mp3", "flac", "m4a"])
def test_the_cover_is_a_cover(ending: str, tmp_path: Path, opened: Callable[[Path], Opened]) -> None:
    """An embedded picture is no film: it is known as a cover and given as it is stored (S2-33)."""
    writer = "mp4" if ending == "m4a" else None
    file = opened(record(tmp_path / f"a.{ending}", SOUNDS[ending][0], cover=COVER, container=writer))
    media = audiovisual.read(file).media
    assert (media.has_cover, media.streams, media.video_codec, media.width) == (True, 1, None, None)
    assert audiovisual.cover(file) == COVER


def test_no_cover_is_none(tmp_path: Path, opened: Callable[[Path], Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a picture, one that is no sound, and a picture that is too large give none."""
    assert audiovisual.cover(opened(record(tmp_path / "a.mp3", Sound("libmp3lame")))) is None
    (tmp_path / "b.mp3").write_bytes(b"no sound at all" * 99)
    assert audiovisual.cover(opened(tmp_path / "b.mp3")) is None
    monkeypatch.setattr(pyav, "COVER_MAX", len(COVER) - 1)
    assert audiovisual.cover(opened(record(tmp_path / "c.mp3", Sound("libmp3lame"), cover=COVER))) is None


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(("turned", "rotation"), [(0, 0), (90, 270), (180, 180), (270, 90)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_how_a_film_is_turned(
    ending: str, turned: int, rotation: int, *, mirrored: bool, tmp_path: Path, opened: Callable[[Path, Kind], Opened]
) -> None:
    """Degrees count clockwise, as exiftool counts them; a mirrored film is flipped before it is turned."""
    film = Film("mpeg4", seconds=0.2, turned=turned, mirrored=mirrored)
    media = audiovisual.read(opened(record(tmp_path / f"v.{ending}", None, film), Kind.VIDEO)).media
    expected = -rotation % 360 if mirrored else rotation  # FFmpeg flips after it has turned
    assert (media.rotation, media.is_mirrored) == (expected, mirrored)
    assert (media.width, media.height) == (64, 48)


def test_what_a_phone_says(tmp_path: Path, opened: Callable[[Path, Kind], Opened]) -> None:
    """Place, camera, local time, UTC and the content identifier of a phone's film are read."""
    apple = "com.apple.quicktime."
    tags = {
        apple + "make": "Acme",
        apple + "model": "Phone 5",
        apple + "creationdate": "2020-01-02T03:04:05+0200",
        apple + "location.ISO6709": "+48.8577+002.2950+035.1/",
        apple + "content.identifier": "6F1C-22",
        "creation_time": "2020-01-02T01:04:06Z",
    }
    options = {"movflags": "use_metadata_tags"}
    path = record(tmp_path / "IMG_1.MOV", None, Film("mpeg4"), tags=tags, options=options, container="mov")
    reading = audiovisual.read(opened(path, Kind.VIDEO))
    assert (reading.camera.make, reading.camera.model, reading.pair) == ("Acme", "Phone 5", "6F1C-22")
    assert reading.gps == Gps(48.8577, 2.295, 35.1)
    assert reading.dates == (
        DateClaim(DateSource.QUICKTIME_KEY, "2020-01-02T03:04:05+0200"),
        DateClaim(DateSource.CONTAINER, "2020-01-02T01:04:06", "Z"),
    )


def test_a_matroska_film_says_when(tmp_path: Path, opened: Callable[[Path, Kind], Opened]) -> None:
    """The creation time of another container is UTC as well."""
    path = record(tmp_path / "v.mkv", None, Film("mpeg4"), tags={"creation_time": "2021-06-07T08:09:10Z"})
    assert audiovisual.read(opened(path, Kind.VIDEO)).dates == (
        DateClaim(DateSource.CONTAINER, "2021-06-07T08:09:10", "Z"),
    )


def test_numbers_of_genres_are_translated(tmp_path: Path, opened: Callable[[Path], Opened]) -> None:
    """ID3v1's number and ID3v2's references become names."""
    (tmp_path / "2.mp3").write_bytes(demo_formats.mp3({"TIT2": "Song", "TCON": "(17)"}))
    (tmp_path / "1.mp3").write_bytes(
        demo_formats.mp3({})[10:] + b"TAG" + b"Song".ljust(30, b"\0") + bytes(60) + b"1999" + bytes(30) + b"\x11"
    )
    for name in ("1.mp3", "2.mp3"):
        tags = audiovisual.read(opened(tmp_path / name)).tags
        assert (tags.title, tags.genre) == ("Song", "Rock")


def test_latin_letters_in_old_tags(tmp_path: Path, opened: Callable[[Path], Opened]) -> None:
    """Bytes that are no UTF-8 are read as letters, not as marks of doubt."""
    content = demo_formats.wav(demo_formats.tune(1), {"INAM": "Cafe"}).replace(b"Cafe", b"Caf\xe9")
    (tmp_path / "a.wav").write_bytes(content)
    assert audiovisual.read(opened(tmp_path / "a.wav")).tags.title == "Café"


# --- what FFmpeg refuses, or does not know


def test_another_reader_helps(tmp_path: Path, opened: Callable[[Path], Opened], no_programs: None) -> None:
    """What FFmpeg refuses is read by its header; the reading says who read and why (S2-36)."""
    path = record(tmp_path / "a.flac", Sound("flac"))
    content = path.read_bytes()
    path.write_bytes(content[:42] + content[4:42] + content[42:])  # a second description, which FFmpeg forbids
    reading = audiovisual.read(opened(path))
    assert (reading.reader, reading.error) == ("headers", "FFmpeg: Invalid data found when processing input")
    assert (reading.media.duration, reading.media.sample_rate, reading.media.channels) == (2, 44100, 2)
    assert (reading.media.container, reading.mime) == ("flac", "audio/flac")


def test_a_stream_of_unknown_length_gets_one(
    tmp_path: Path, opened: Callable[[Path], Opened], no_programs: None
) -> None:
    """A FLAC whose writer did not know its end gets the length that its last frame shows."""
    path = record(tmp_path / "a.flac", Sound("flac"))
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    path.write_bytes(content)
    reading = audiovisual.read(opened(path))
    assert reading.media.duration == pytest.approx(2, abs=0.15)
    assert (reading.reader, reading.error) == ("av+headers", None)


def test_refusal_names_every_reason(tmp_path: Path, opened: Callable[[Path], Opened], no_programs: None) -> None:
    """A file that nobody can read is refused, with what each of them said."""
    (tmp_path / "a.mp3").write_bytes(b"OggS" + b"this is no sound" * 5000)
    with pytest.raises(Refused, match=r"FFmpeg: .*; the header says nothing; ffprobe is not installed"):
        audiovisual.read(opened(tmp_path / "a.mp3"))


def test_an_empty_file_is_refused(tmp_path: Path, opened: Callable[[Path], Opened]) -> None:
    """No bytes are no sound."""
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(Refused):
        audiovisual.read(opened(tmp_path / "a.wav"))


@pytest.mark.parametrize("name", ["a.flac", "a.ac3", "a.mp3"])
def test_a_file_of_zeros_is_refused(name: str, tmp_path: Path, opened: Callable[[Path], Opened]) -> None:
    """What only its name makes a sound of is none."""
    (tmp_path / name).write_bytes(bytes(50_000))
    with pytest.raises(Refused):
        audiovisual.read(opened(tmp_path / name))


def test_one_reader_that_fails_costs_nothing(
    tmp_path: Path, opened: Callable[[Path, Kind], Opened], no_programs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a reader trips over is a reason like others; what another one has found stands."""

    def trip(file: Opened) -> Reading:
        raise IndexError(file.size)

    path = record(tmp_path / "v.mp4", Sound("aac"), Film("libx264"))
    monkeypatch.setattr(isomedia, "read", trip)
    assert audiovisual.read(opened(path, Kind.VIDEO)).media.width == 64
    monkeypatch.setattr(pyav, "read", trip)
    with pytest.raises(Refused, match=f"IndexError: {path.stat().st_size}"):
        audiovisual.read(opened(path, Kind.VIDEO))


# --- a file must not make FFmpeg open another one


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that nobody may call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def _playlists(port: int, secret: Path) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}/a.ts"
    return {
        "hls with a url": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n",
        "hls with a file": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
        "concat with a url": f"ffconcat version 1.0\nfile '{url}'\n",
        "concat with a file": f"ffconcat version 1.0\nfile '{secret}'\nduration 3\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        f'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
        f'bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "session description": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }


@pytest.mark.parametrize("ending", ["mp4", "ts", "mp3"])
@pytest.mark.parametrize("trap", list(_playlists(0, Path())))
def test_no_file_makes_us_open_another_one(
    trap: str,
    ending: str,
    tmp_path: Path,
    opened: Callable[[Path, Kind], Opened],
    listener: socket.socket,
    no_programs: None,
) -> None:
    """A playlist in the clothes of a film is refused: nobody calls its address, and its file stays unread."""
    secret = record(tmp_path / "secret.ts", None, Film("mpeg2video"), container="mpegts")
    path = tmp_path / f"trap.{ending}"
    path.write_text(_playlists(listener.getsockname()[1], secret)[trap])
    for kind in (Kind.AUDIO, Kind.VIDEO):
        with pytest.raises(Refused):
            audiovisual.read(opened(path, kind))
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("demuxer", ["hls", "concat", "dash", "sdp", "image2", "webm_dash_manifest"])
def test_no_playlist_is_a_format(demuxer: str) -> None:
    """Formats that name other files are not on the list."""
    assert demuxer not in formats.DEMUXERS.split(",")


@pytest.mark.parametrize("demuxer", ["hls", "concat"])
def test_even_a_playlist_reader_gets_nothing(demuxer: str, tmp_path: Path, listener: socket.socket) -> None:
    """With our options even the demuxer of a playlist is stopped, and without the list it has no protocol."""
    trap = _playlists(listener.getsockname()[1], tmp_path)[f"{demuxer} with a url"]
    (tmp_path / "trap.mp4").write_text(trap)
    without_list = {name: value for name, value in pyav.OPTIONS.items() if name != "format_whitelist"}
    for options in (dict(pyav.OPTIONS), without_list):
        with (tmp_path / "trap.mp4").open("rb") as file, pytest.raises((av.error.FFmpegError, OSError)):
            av.open(file, "r", format=demuxer, container_options=options).close()
    with pytest.raises(BlockingIOError):
        listener.accept()
    lax = {"safe": "0", "protocol_whitelist": "file,http,tcp"}
    with (tmp_path / "trap.mp4").open("rb") as file, pytest.raises((av.error.FFmpegError, OSError)):
        av.open(file, "r", format=demuxer, container_options=lax, timeout=0.2).close()
    listener.accept()[0].close()  # the trap works where nothing forbids it


def test_every_format_of_the_list_exists() -> None:
    """A name that FFmpeg does not know would be a hole that nobody sees."""
    assert [name for name in formats.DEMUXERS.split(",") if name not in av.formats_available] == []


# --- the program


needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")


@needs_ffprobe
def test_the_program_reads_the_same(tmp_path: Path, opened: Callable[[Path, Kind], Opened]) -> None:
    """The program gives what FFmpeg in the process gives."""
    path = record(tmp_path / "-v.mkv", Sound("aac"), Film("libx264"), tags=TAGS)
    file = opened(path, Kind.VIDEO)
    ours, theirs = audiovisual.read(file), ffprobe.read(file)
    assert theirs.reader == "ffprobe"
    assert (theirs.mime, theirs.tags, theirs.dates) == (ours.mime, ours.tags, ours.dates)
    for name in ("duration", "width", "height", "frame_rate", "sample_rate", "channels", "video_codec", "audio_codec"):
        assert getattr(theirs.media, name) == getattr(ours.media, name), name


@needs_ffprobe
@pytest.mark.parametrize("trap", list(_playlists(0, Path())))
def test_the_program_opens_no_other_file(
    trap: str, tmp_path: Path, opened: Callable[[Path, Kind], Opened], listener: socket.socket
) -> None:
    """The program is bound by the same lists."""
    secret = record(tmp_path / "secret.ts", None, Film("mpeg2video"), container="mpegts")
    (tmp_path / "trap.mp4").write_text(_playlists(listener.getsockname()[1], secret)[trap])
    with pytest.raises(Refused):
        ffprobe.read(opened(tmp_path / "trap.mp4", Kind.VIDEO))
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in ffprobe's place."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder) + os.pathsep + os.environ["PATH"])

    def install(script: str) -> None:
        (folder / "ffprobe").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "ffprobe").chmod(0o755)

    return install


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo '{}'",
        "echo '[1'",
        "echo '[[[[' ; exit 3",
        "while :; do :; done",
        "while :; do echo '{{{{'; done",
    ],
)
def test_a_program_that_fails_is_a_refusal(
    script: str,
    program: Callable[[str], None],
    tmp_path: Path,
    opened: Callable[[Path], Opened],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program that fails, babbles or does not come to an end costs its time and nothing else."""
    program(script)
    monkeypatch.setattr(ffprobe, "TIMEOUT_S", 0.3)
    with pytest.raises(Refused):
        ffprobe.read(opened(record(tmp_path / "a.wav", Sound("pcm_s16le"))))


def test_the_program_is_the_last_resort(
    program: Callable[[str], None], tmp_path: Path, opened: Callable[[Path], Opened]
) -> None:
    """The program is asked only where nobody knows a duration, and where the first bytes are those of some format."""
    program(f"touch {tmp_path}/asked; exit 1")
    audiovisual.read(opened(record(tmp_path / "a.wav", Sound("pcm_s16le"))))
    assert not (tmp_path / "asked").exists()
    (tmp_path / "b.mp3").write_bytes(b"this is no sound" * 1000)
    with pytest.raises(Refused):
        audiovisual.read(opened(tmp_path / "b.mp3"))
    assert not (tmp_path / "asked").exists()
    (tmp_path / "c.mp3").write_bytes(b"OggS" + b"this is no sound" * 5000)
    with pytest.raises(Refused):
        audiovisual.read(opened(tmp_path / "c.mp3"))
    assert (tmp_path / "asked").exists()


# --- damage


def _damaged(content: bytes) -> Iterator[bytes]:
    size = len(content)
    for part in (1, 5, 16, 100, size // 10, size // 2, size - 1):
        yield content[:part]
    yield bytes(size)
    yield content[: size // 2] + bytes(size - size // 2)
    yield content[:64] + bytes(size - 64)
    for number in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\1", b"\x80\0\0\0"):
        for at in range(0, min(size - 4, 256), 28):
            yield content[:at] + number + content[at + 4 :]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "ts", "wav", "flac", "mp3", "ogg", "wma"])
def test_damage_is_refused_or_survived(
    ending: str, tmp_path: Path, opened: Callable[[Path, Kind], Opened], no_programs: None
) -> None:
    """Whatever is cut, zeroed or lies about its length is read as far as it goes, or refused (S2-36)."""
    film = FILMS.get(ending)
    sound, writer = (film[0], film[2]) if film else SOUNDS[ending][:2]
    small = sound._replace(seconds=0.3)
    path = record(tmp_path / f"a.{ending}", small, film and film[1]._replace(seconds=0.3), container=writer)
    for number, content in enumerate(_damaged(path.read_bytes())):
        damaged = tmp_path / f"{number}.{ending}"
        damaged.write_bytes(content)
        file = opened(damaged, Kind.VIDEO if film else Kind.AUDIO)
        try:
            reading = audiovisual.read(file)
        except Refused:
            continue
        assert isinstance(reading, Reading)
        assert reading.reader


def test_a_huge_length_costs_no_memory(tmp_path: Path, opened: Callable[[Path, Kind], Opened]) -> None:
    """A box that claims four gigabytes, and one of eight exabytes, are not believed."""
    resource = pytest.importorskip("resource")
    film = demo_formats.film(10, datetime(2024, 1, 1, tzinfo=UTC), quicktime=False)
    for header in (struct.pack(">I4s", 0xFFFFFFFF, b"moov"), struct.pack(">I4sQ", 1, b"moov", 1 << 62)):
        (tmp_path / "a.mp4").write_bytes(film[:32] + header + film)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with contextlib.suppress(Refused):
            audiovisual.read(opened(tmp_path / "a.mp4", Kind.VIDEO))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
