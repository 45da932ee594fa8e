"""What stands inside media, by the command line: each test quotes its row of the feature ledger."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sqlite3
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from tests import encoded, pictures
from tests.samples import pdf, unknown
from tests.service import Line, Sluice, obeying_permissions, scaled

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(180)]

SOON_S = 20.0
FRAMES_S = 0.08  # what a codec adds to fill its last frames
SOON: dict[str, Any] = {"settle": {"complete": 0, "unknown": 0, "truncated": 0}}  # nobody writes slowly
NOTHING_ELSE: dict[str, Any] = {"previews": {"of": "none"}}
INSIDE = {
    *("mime", "media", "tags", "capture", "camera", "exposure", "gps", "group", "role", "reader", "reader_error"),
}
MEDIA = {
    *("container", "duration", "bitrate", "width", "height", "frame_rate", "rotation", "sample_rate", "channels"),
    *("audio_codec", "video_codec", "pages"),
}
TAGS = {"title", "artist", "album", "albumartist", "date", "genre", "track", "disc"}
LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
SAID: dict[str, Any] = {
    "title": "A Title",
    "artist": "An Artist",
    "album": "An Album",
    "date": "1999",
    "genre": "Rock",
    "track": "4/12",
}
MUSIC = {  # ending -> container and codec of what encoded.sound makes, by another ending of the same format
    "flac": ("flac", "flac", "flac"),
    "wav": ("wav", "wav", "pcm_s16le"),
    "wave": ("wav", "wav", "pcm_s16le"),
    "mp3": ("mp3", "mp3", "mp3"),
    "ogg": ("ogg", "ogg", "vorbis"),
    "oga": ("ogg", "ogg", "vorbis"),
    "aac": ("aac", "aac", "aac"),
    "opus": ("opus", "ogg", "opus"),
    "m4a": ("m4a", "mp4", "aac"),
    "m4b": ("m4a", "mp4", "aac"),
    "m4p": ("m4a", "mp4", "aac"),
    "m4r": ("m4a", "mp4", "aac"),
    "m4v": ("m4a", "mp4", "aac"),
    "mp4": ("m4a", "mp4", "aac"),
    "wma": ("wma", "asf", "wmav2"),
}
FILMS = {
    "mp4": ("mp4", "mpeg4"),
    "mov": ("mov", "mjpeg"),
    "mkv": ("matroska", "mpeg4"),
    "webm": ("webm", "vp8"),
    "avi": ("avi", "mpeg4"),
    "ts": ("mpegts", "mpeg2video"),
    "mpg": ("mpeg", "mpeg2video"),
    "flv": ("flv", "flv1"),
    "wmv": ("asf", "wmv2"),
}
TAKEN = "2019:05:04 08:00:00"


def photo(seed: object, taken: str | None = TAKEN) -> bytes:
    """A photograph that says much of itself."""
    block: dict[int, pictures.Value] = {pictures.MAKE: "Canon", pictures.MODEL: "EOS 5D"}
    if taken is not None:
        block[pictures.EXIF] = {pictures.ORIGINAL: taken, pictures.OFFSET_ORIGINAL: "+02:00"}
    return pictures.jpeg(pictures.exif_segment(pictures.tiff(block)), (0xFE, str(seed).encode()))


def config(**libraries: Any) -> dict[str, Any]:
    return {"libraries": {name: {**SOON, **section} for name, section in libraries.items()}, **NOTHING_ELSE}


class Shelf(NamedTuple):
    """A folder that was scanned once, and what is known of its files by their names."""

    sluice: Sluice
    folder: Path
    lines: dict[str, Line]
    events: dict[str, list[str]]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Media of all kinds, some under names that lie, and some that are damaged."""
    base = tmp_path_factory.mktemp("media")
    folder = base / "library"
    folder.mkdir()
    sounds = {form: encoded.sound(form, 1, 1.0, **SAID) for form in {form for form, _, _ in MUSIC.values()}}
    contents = {f"sound.{ending}": sounds[form] for ending, (form, _, _) in MUSIC.items()}
    contents |= {f"film.{ending}": encoded.film(ending, 1, 1.0, **SAID) for ending in FILMS}
    contents |= {
        "photo.jpg": photo(1),
        "undated.png": encoded.picture("png", 1, 60, 40),
        "paper.pdf": pdf(1),
        "film.txt": encoded.film("mp4", 2),
        "sound.jpg": encoded.sound("flac", 2),
        "picture.mp4": encoded.picture("png", 2),
        "paper.mp3": pdf(2),
        "text.mp3": unknown("I am a text\n", 2_000),
        "notes.txt": unknown("so am I\n", 2_000),
        "package.json": b'{"name": "of a program"}',
        "damaged.mp4": encoded.film("mp4", 3)[:600] + bytes(9_000),
        "damaged.jpg": b"\xff\xd8\xff\xe0" + bytes(500),
        "damaged.mp3": b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(99),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with Sluice(base / "home", config=config(library={"path": str(folder)})) as sluice:
        sluice.call("scan")
        lines = {Path(path).name: line for path, line in sluice.files().items()}
        events: dict[str, list[str]] = {}
        for event in sluice.events():
            events.setdefault(Path(event["path"]).name, []).append(event["type"])
        yield Shelf(sluice, folder, lines, events)


# -- what is told -------------------------------------------------------------------------------


def test_types_by_content(shelf: Shelf) -> None:
    """S0-43: video, audio, image and pdf are told by their content, whatever their names say."""
    kinds = {"film.txt": "video", "sound.jpg": "audio", "picture.mp4": "image", "paper.mp3": "pdf"}
    assert {name: shelf.lines[name]["kind"] for name in kinds} == kinds
    mimes = {
        "film.txt": "video/mp4",
        "sound.jpg": "audio/flac",
        "picture.mp4": "image/png",
        "paper.mp3": "application/pdf",
    }
    assert {name: shelf.lines[name]["mime"] for name in mimes} == mimes
    assert not any(shelf.lines[name]["reader_error"] for name in kinds)


def test_a_text_that_is_called_music(shelf: Shelf) -> None:
    """S1-113: a text with the name of a song is told from one by its content: it is no media and nothing is in it."""
    line = shelf.lines["text.mp3"]
    assert line["kind"] == "other"
    assert {key: line[key] for key in INSIDE} == dict.fromkeys(INSIDE)


@pytest.mark.parametrize("ending", MUSIC)
def test_music(shelf: Shelf, ending: str) -> None:
    """S2-15, S2-16, S2-17, S2-18, S2-33: each format triggers, and tells duration, bitrate, rate, channels, format."""
    name, (form, container, codec) = f"sound.{ending}", MUSIC[ending]
    line = shelf.lines[name]
    assert shelf.events[name][0] == "file.created"
    media = line["media"]
    rate = encoded.SOUNDS[form].rate
    assert (media["container"], media["audio_codec"]) == (container, codec)
    assert (media["sample_rate"], media["channels"], media["width"]) == (rate, 2, None)
    assert media["duration"] == pytest.approx(1.0, abs=FRAMES_S)
    assert media["bitrate"] == pytest.approx(8 * line["size"] / media["duration"], rel=0.05)
    assert (line["kind"], line["reader_error"]) == ("audio", None)


@pytest.mark.parametrize("ending", ["mp3", "flac", "ogg", "oga", "m4a", "m4b", "wma", "wav", "opus"])
def test_tags(shelf: Shelf, ending: str) -> None:
    """S2-34: title, artist, album, date, genre and track are the same from MP3, FLAC, OGG, M4A, WMA and WAV alike."""
    tags = shelf.lines[f"sound.{ending}"]["tags"]
    assert set(tags) == TAGS
    assert {key: tags[key] for key in SAID} == SAID


@pytest.mark.parametrize("ending", FILMS)
def test_films(shelf: Shelf, ending: str) -> None:
    """S0-46: duration, width, height and codec of each format are there."""
    media = shelf.lines[f"film.{ending}"]["media"]
    assert (media["container"], media["video_codec"]) == FILMS[ending]
    assert (media["width"], media["height"]) == (encoded.WIDTH, encoded.HEIGHT)
    assert media["duration"] == pytest.approx(1.0, abs=FRAMES_S)
    assert media["frame_rate"] == pytest.approx(encoded.PER_SECOND, rel=0.01)


def test_the_file_itself(shelf: Shelf) -> None:
    """S2-35: size, time and path of a file stand beside what is inside it."""
    line = shelf.lines["photo.jpg"]
    status = (shelf.folder / "photo.jpg").stat()
    assert (line["path"], line["size"]) == (str(shelf.folder / "photo.jpg"), status.st_size)
    assert line["mtime"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(status.st_mtime)))


@pytest.mark.parametrize(("name", "mime"), [("damaged.mp4", "video/mp4"), ("damaged.jpg", "image/jpeg")])
def test_a_damaged_file(shelf: Shelf, name: str, mime: str) -> None:
    """S2-36: a damaged file is told like any other, with its basic fields and a reason."""
    line = shelf.lines[name]
    assert (line["state"], line["mime"], shelf.events[name]) == ("catalogued", mime, ["file.created"])
    assert line["reader_error"]
    assert "\n" not in line["reader_error"]
    assert line["capture"]["source"] == "mtime"
    assert line["blake3"]
    assert line["reader_error"] in shelf.sluice.call("explain", shelf.folder / name).stdout


def test_the_keys(shelf: Shelf) -> None:
    """Every file has the same keys, in a list and explained; local times have no zone; what is not known is null."""
    for line in shelf.lines.values():
        assert line.keys() >= INSIDE
        assert line["media"] is None or line["media"].keys() >= MEDIA
        assert line["tags"] is None or line["tags"].keys() == TAGS
        if line["capture"] is not None:
            assert line["capture"].keys() == {"local", "offset", "source", "confidence", "rejected"}
            assert LOCAL.fullmatch(line["capture"]["local"])
    assert {name for name, line in shelf.lines.items() if line["capture"] is None} == {
        *("text.mp3", "notes.txt", "package.json")
    }
    line = shelf.lines["photo.jpg"]
    assert line["capture"] == {
        "local": "2019-05-04T08:00:00",
        "offset": 120,
        "source": "exif-original",
        "confidence": "high",
        "rejected": [],
    }
    assert line["camera"] == {"make": "Canon", "model": "EOS 5D", "lens": None}
    assert (line["reader"], line["reader_error"], line["group"], line["role"], line["gps"]) == ("photo", *[None] * 4)
    assert shelf.lines["paper.pdf"]["media"]["pages"] == 1
    explained = shelf.sluice.explain(shelf.folder / "photo.jpg")
    assert {key: explained[key] for key in INSIDE} == {key: line[key] for key in INSIDE}
    words = shelf.sluice.call("explain", shelf.folder / "photo.jpg").stdout
    assert "2019-05-04 08:00:00+02:00  by exif-original (high)" in words
    assert "Canon EOS 5D" in words


def test_somebody_elses_document(shelf: Shelf) -> None:
    """A JSON file that does not come from Google Takeout is not called damaged."""
    line = shelf.lines["package.json"]
    assert (line["kind"], line["mime"], line["reader"], line["reader_error"]) == (
        *("sidecar", "application/json", None, None),
    )


# -- two passes ---------------------------------------------------------------------------------


def test_first_hashes_then_metadata(tmp_path: Path) -> None:
    """S4-08, S4-09: the first pass gives digests and no metadata; the second one adds metadata and hashes nothing."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(encoded.film("mp4", 1))
    (folder / "b.jpg").write_bytes(photo(1))
    (folder / "c.txt").write_bytes(unknown("text"))
    with Sluice(tmp_path / "home", config=config(library={"path": str(folder)})) as sluice:
        assert sluice.object("scan", "--fast")["new"] == 3
        first = sluice.files()
        assert {line["reader"] for line in first.values()} == {None}
        assert all(line["blake3"] for line in first.values())
        assert sluice.object("scan")["unchanged"] == 3
        second = sluice.files()
        assert {path: bool(line["reader"]) for path, line in second.items()} == {
            str(folder / name): name != "c.txt" for name in ("a.mp4", "b.jpg", "c.txt")
        }
        rest = set(next(iter(first.values()))) - INSIDE
        assert [{key: line[key] for key in rest} for line in first.values()] == [
            {key: line[key] for key in rest} for line in second.values()
        ]
        assert len(sluice.events()) == 3


def test_touched_and_retagged(tmp_path: Path) -> None:
    """S2-25, S2-37, S2-39, S4-60: a touched file is hashed again and keeps its metadata; one with new tags has them."""
    folder = tmp_path / "library"
    folder.mkdir()
    song = encoded.sound("flac", 1, **SAID)
    touched, tagged = folder / "touched.flac", folder / "tagged.flac"
    touched.write_bytes(song)
    tagged.write_bytes(encoded.tagged(song, "flac", title="Before"))
    with Sluice(tmp_path / "home", config=config(library={"path": str(folder)})) as sluice:
        sluice.call("scan")
        before, read = sluice.files(), readings(sluice)
        os.utime(touched, (1_600_000_000, 1_600_000_000))
        tagged.write_bytes(encoded.tagged(song, "flac", title="Behind"))
        os.utime(tagged, (1_600_000_000, 1_600_000_000))
        with Opens(folder) as opens:
            assert sluice.object("scan")["changed"] == 1
        assert opens.files == {"touched.flac", "tagged.flac"}
        after = sluice.files()
        assert after[str(touched)]["tags"] == before[str(touched)]["tags"]
        assert (after[str(tagged)]["tags"]["title"], after[str(tagged)]["version"]) == ("Behind", 2)
        assert set(read.items()) < set(readings(sluice).items())


def test_a_rescan_extracts_nothing(tmp_path: Path) -> None:
    """S2-38, S4-26: a second full scan of unchanged files hashes none, reads none, and opens none."""
    folder, count = tmp_path / "library", scaled(1_000, 10_000)
    for number in range(count):
        path = folder / f"{number // 200}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    with Sluice(tmp_path / "home", config=config(library={"path": str(folder)})) as sluice:
        assert sluice.object("scan")["new"] == count
        read = readings(sluice)
        assert len(read) == count
        with Opens(folder) as opens:
            assert sluice.object("scan")["unchanged"] == count
        assert opens.files == set()
        assert readings(sluice) == read


def test_a_scan_beside_a_service(tmp_path: Path) -> None:
    """``sluice scan`` that a running service carries out returns after both passes as well."""
    folder = tmp_path / "library"
    folder.mkdir()
    with Sluice(tmp_path / "home", config=config(library={"path": str(folder), "watch": False})) as sluice:
        service = sluice.start(ready=False)
        service.wait(lambda: not sluice.call("health", code=None).returncode, "it answers", SOON_S)
        for number in range(50):
            (folder / f"{number}.jpg").write_bytes(photo(number // 2))
        assert sluice.object("scan", "library")["new"] == 50
        assert {line["reader"] for line in sluice.files().values()} == {"photo"}
        assert all(line["capture"] for line in sluice.files().values())
        service.stop()


def test_unreadable_then_readable(tmp_path: Path) -> None:
    """A picture whose permissions forbid it says so, and is read by the first scan that they allow it."""
    folder = tmp_path / "library"
    folder.mkdir()
    path = folder / "a.jpg"
    path.write_bytes(photo(1))
    path.chmod(0)
    document = config(library={"path": str(folder)})
    with Sluice(tmp_path / "home", config=document, prefix=obeying_permissions()) as sluice:
        assert sluice.object("scan", code=3)["errors"] == 1
        line = sluice.files()[str(path)]
        assert (line["state"], line["reason"], line["capture"]) == ("unreadable", "Permission denied", None)
        path.chmod(0o644)
        sluice.call("scan")
        line = sluice.files()[str(path)]
        assert (line["state"], line["reader_error"], line["capture"]["source"]) == ("catalogued", None, "exif-original")


# -- into folders -------------------------------------------------------------------------------


def test_sorted_by_exif(tmp_path: Path) -> None:
    """S3-09, S3-19: pictures go to folders by their EXIF date; without one by the time of the file, if that is on."""
    libraries: dict[str, Any] = {}
    for undated in ("mtime", "skip"):
        folder = tmp_path / undated
        folder.mkdir()
        section = {"target": str(tmp_path / "sorted" / undated), "template": "{taken:%Y/%m/%d}/{name}"}
        libraries[undated] = {"path": str(folder), "action": "import", "import": section, "undated": undated}
    document = {**config(**libraries), "system": {"timezone": "UTC"}}
    with Sluice(tmp_path / "home", config=document, environment={"TZ": "UTC"}) as sluice:
        service = sluice.start()
        for undated in libraries:
            for name, taken in (("a.jpg", TAKEN), ("b.jpg", None)):
                (tmp_path / undated / name).write_bytes(photo(f"{undated} {name}", taken))
                os.utime(tmp_path / undated / name, (1_600_000_000, 1_600_000_000))

        def is_done() -> bool:
            events = [event["type"] for event in sluice.events()]
            return (events.count("item.imported"), events.count("item.refused")) == (3, 1)

        service.wait(is_done, "imported", SOON_S)
        service.stop()
        refused = sluice.explain(tmp_path / "skip" / "b.jpg")["judgement"]
    found = {str(path.relative_to(tmp_path / "sorted")) for path in (tmp_path / "sorted").rglob("*.jpg")}
    assert found == {"mtime/2019/05/04/a.jpg", "mtime/2020/09/13/b.jpg", "skip/2019/05/04/a.jpg"}
    assert "undated: skip" in refused["reason"]
    shutil.rmtree(tmp_path / "sorted")


# -- witnesses ----------------------------------------------------------------------------------


def readings(sluice: Sluice) -> dict[int, int]:
    """The contents that were read, and when, as the catalogue has them."""
    with closing(sqlite3.connect(f"file:{sluice.data}/catalogue.sqlite?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT content, at_us FROM reading").fetchall())


class Opens:
    """The kernel's account of the files below a folder that anybody opens inside the ``with`` block."""

    _OPENED, _OVERFLOW, _DIRECTORY = 0x20, 0x4000, 0x40000000

    def __init__(self, folder: Path) -> None:
        self.files: set[str] = set()
        self._folder = folder

    def __enter__(self) -> Self:
        library = ctypes.CDLL(None, use_errno=True)
        self._fd = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for directory in (self._folder, *(path for path in self._folder.rglob("*") if path.is_dir())):
            assert library.inotify_add_watch(self._fd, os.fsencode(directory), self._OPENED) > 0
        return self

    def __exit__(self, *_: object) -> None:
        while True:
            try:
                data = os.read(self._fd, 1 << 20)
            except BlockingIOError:
                break
            at = 0
            while at < len(data):
                _, mask, _, length = struct.unpack_from("iIII", data, at)
                assert not mask & self._OVERFLOW
                if not mask & self._DIRECTORY:
                    self.files.add(os.fsdecode(data[at + 16 : at + 16 + length].rstrip(b"\0")))
                at += 16 + length
        os.close(self._fd)
