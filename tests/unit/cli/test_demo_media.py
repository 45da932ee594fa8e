"""The media of ``sluice demo``: each is what it says, judged by our own stages, by Pillow and by FFmpeg."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
from collections import Counter
from pathlib import Path

import av
import pytest
from PIL import Image

from mediasluice.cli import demo_formats
from mediasluice.cli.demo import surprising
from mediasluice.cli.demo_media import _SHOTS, Expected, Made, all_media, make
from mediasluice.identify.junk import JunkRules
from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.model.files import Kind
from mediasluice.model.paths import split, text
from mediasluice.settle.formats import Format, completeness
from mediasluice.settle.names import held_by
from mediasluice.sources.names import NameRules

MEDIA = all_media()
WHOLE = [made for made in MEDIA if made.expected in {Expected.IMPORTED, Expected.COMPANION, Expected.DUPLICATE}]
PICTURES = [made for made in WHOLE if made.kind is Kind.IMAGE]
PLAYED = [made for made in WHOLE if made.kind in {Kind.AUDIO, Kind.VIDEO}]


def label(made: Made) -> str:
    return text(split(made.path)[1]).encode("ascii", "backslashreplace").decode()[:40]


def ascii_tags(tiff: bytes) -> dict[int, str]:
    """Tag -> text of the first directory of an Exif structure and of the one that it points to."""
    order = {b"II": "<", b"MM": ">"}[tiff[:2]]
    found: dict[int, str] = {}
    (todo,) = struct.unpack_from(order + "I", tiff, 4)
    while todo:
        (count,) = struct.unpack_from(order + "H", tiff, todo)
        here, todo = todo, 0
        for entry in range(count):
            tag, kind, number, value = struct.unpack_from(order + "HHII", tiff, here + 2 + 12 * entry)
            if kind == 2 and number > 4:
                assert tiff[value + number - 1] == 0
                found[tag] = tiff[value : value + number - 1].decode("ascii")
            elif tag == 0x8769:
                todo = value
    return found


@pytest.mark.parametrize("made", MEDIA, ids=label)
def test_the_kind_of_each_file_is_the_one_it_says(made: Made) -> None:
    """What identifies files by their first bytes agrees."""
    assert kind_of(made.content[:HEAD], split(made.path)[1]) is made.kind


@pytest.mark.parametrize("made", MEDIA, ids=label)
def test_whole_files_prove_it_and_the_cut_one_is_known_to_be_cut(made: Made, tmp_path: Path) -> None:
    """By their formats the whole ones are complete, the cut photo is truncated, and no other is complete."""
    (tmp_path / "file").write_bytes(made.content)
    with (tmp_path / "file").open("rb") as file:
        found = completeness(file.fileno(), len(made.content), made.content[:HEAD])
    assert (found is Format.COMPLETE) == (made in WHOLE)
    assert (found is Format.TRUNCATED) or made.expected is not Expected.TRUNCATED


@pytest.mark.parametrize("made", MEDIA, ids=label)
def test_names_lead_where_they_are_meant_to(made: Made) -> None:
    """The gates of names ignore, hold and sort out exactly the files that are made for them."""
    directory, name = split(made.path)
    gates = {
        Expected.IGNORED: NameRules(b"/in").file(directory, name),
        Expected.HELD: held_by(name, directory),
        Expected.JUNK: JunkRules().match(name),
    }
    first = next((expected for expected, rule in gates.items() if rule), None)
    assert first is (made.expected if made.expected in gates else None)


def test_a_copy_has_the_bytes_of_its_original_and_no_other_file_has() -> None:
    """Duplicates are equal byte by byte, and they are the only equal files."""
    by_path = {made.path: made for made in MEDIA}
    assert len(by_path) == len(MEDIA)
    copies = [made for made in MEDIA if made.expected is Expected.DUPLICATE]
    assert copies
    for copy in copies:
        assert copy.of is not None
        assert by_path[copy.of].expected is Expected.IMPORTED
        assert by_path[copy.of].content == copy.content
    others = Counter(made.content for made in MEDIA if made.expected is not Expected.DUPLICATE)
    assert set(others.values()) == {1}


def test_originals_are_made_before_their_copies() -> None:
    """Whoever takes them in order meets the original first."""
    seen: set[bytes] = set()
    for made in MEDIA:
        assert made.of is None or made.of in seen
        seen.add(made.path)


def test_the_set_is_the_same_on_every_call(tmp_path: Path) -> None:
    """Two folders hold the same files with the same bytes and times, which are those of the list."""
    lists = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        lists.append(make(folder))
        for made in lists[-1]:
            path = os.path.join(os.fsencode(folder), made.path)
            found = os.stat(path)
            assert stat.S_ISREG(found.st_mode)
            assert found.st_mtime == made.modified.timestamp()
            with open(path, "rb") as file:
                assert file.read() == made.content
        count = sum(len(files) for _, _, files in os.walk(os.fsencode(folder)))
        assert count == len(lists[-1])
    assert lists[0] == lists[1]


def test_the_set_is_small_and_shows_everything() -> None:
    """About sixty files, below three million bytes, every outcome and every kind of media among them."""
    assert 55 <= len(MEDIA) <= 65
    assert sum(len(made.content) for made in MEDIA) < 3_000_000
    assert {made.expected for made in MEDIA} == set(Expected)
    assert {made.kind for made in WHOLE} >= {Kind.IMAGE, Kind.AUDIO, Kind.VIDEO, Kind.PDF, Kind.SIDECAR}
    assert all(made.shows for made in MEDIA)


def test_a_name_that_is_taken_or_refused_is_left_out(tmp_path: Path) -> None:
    """What a file system does not take is neither written over nor listed."""
    taken = tmp_path / "Downloads" / "loop.gif"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    assert b"Downloads/loop.gif" not in {made.path for made in make(tmp_path)}
    assert taken.read_bytes() == b"mine"


@pytest.mark.parametrize("made", PICTURES, ids=label)
def test_a_picture_can_be_opened(made: Made) -> None:
    """Pillow decodes each to the last row, and sees a landscape and not one colour."""
    with Image.open(io.BytesIO(made.content)) as picture:
        picture.load()
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 1


def test_a_picture_looks_as_it_was_drawn() -> None:
    """The JPEG encoder keeps colours: corners of the decoded picture are those of the landscape, a bit coarser."""
    width, height = 320, 216
    with Image.open(io.BytesIO(demo_formats.jpeg(7, width, height))) as picture:
        picture.load()
        for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
            found = picture.getpixel((x, y))
            meant = demo_formats._scene(7, x / width, y / height)
            assert isinstance(found, tuple)
            assert max(abs(a - b) for a, b in zip(found, meant, strict=True)) < 12


@pytest.mark.parametrize("made", PLAYED, ids=label)
def test_sounds_and_films_can_be_played(made: Made) -> None:
    """FFmpeg decodes a stream of the right kind to its end."""
    with av.open(io.BytesIO(made.content), mode="r") as container:
        (stream,) = container.streams
        assert stream.type == made.kind
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
        assert len(list(container.decode(stream))) >= 4


def test_a_flac_gives_back_every_sample() -> None:
    """What FFmpeg decodes is what went in, and so is the MD5 that the file holds of it."""
    samples = demo_formats.tune(3)
    content = demo_formats.flac(samples, {})
    with av.open(io.BytesIO(content), mode="r") as container:
        decoded = b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in container.decode(audio=0))
    assert decoded == struct.pack(f"={len(samples)}h", *samples)
    assert content[26:42] == hashlib.md5(struct.pack(f"<{len(samples)}h", *samples)).digest()


def test_dates_of_pictures_can_be_read_back() -> None:
    """Each photo with Exif holds the local time of its shot, and the zone where its camera knows it."""
    dated = 0
    for made in PICTURES:
        where = made.content.find(b"Exif\0\0")
        if where < 0:
            continue
        dated += 1
        tags = ascii_tags(made.content[where + 6 :])
        assert tags[0x9003] == made.modified.strftime("%Y:%m:%d %H:%M:%S")
        assert tags[0x010F]
        assert tags[0x0110]
        if tags[0x0110] == "Pocket 7":
            assert tags[0x9011] == made.modified.isoformat()[-6:]
        else:
            assert 0x9011 not in tags
    assert dated >= 24


def test_places_can_be_read_back() -> None:
    """The place of a photo is the one that it was given, south and west included."""
    for (_, place), made in zip(_SHOTS, MEDIA, strict=False):
        with Image.open(io.BytesIO(made.content)) as picture:
            found = picture.getexif().get_ifd(0x8825)
        if place is None:
            assert not found
            continue
        signs = {"N": 1, "S": -1, "E": 1, "W": -1}
        for degrees, (reference, value) in zip(place, ((1, 2), (3, 4)), strict=True):
            parts = [float(part) for part in found[value]]
            read = signs[found[reference]] * (parts[0] + parts[1] / 60 + parts[2] / 3600)
            assert read == pytest.approx(degrees, abs=1e-5)


def test_tags_of_sounds_can_be_read_back() -> None:
    """FLAC, MP3 and WAV carry the title, an artist and, on the album, disc and track."""
    for made in WHOLE:
        if made.kind is not Kind.AUDIO or made.of is not None:
            continue
        with av.open(io.BytesIO(made.content), mode="r") as container:
            tags = {name.lower(): value for name, value in container.metadata.items()}
        name = text(split(made.path)[1]).rpartition(".")[0]
        assert tags["title"].lower() in name.lower()
        assert tags["artist"]
        if b"/CD" in made.path:
            assert f"/CD{tags['disc']}/{int(tags['track']):02} ".encode() in made.path


def test_it_is_told_when_a_file_did_not_become_what_it_should() -> None:
    """A wrong outcome is named with all that has its content; which of equal files came first does not matter."""
    outcomes: dict[bytes, str] = {made.path: made.expected for made in MEDIA}
    assert surprising(MEDIA, outcomes) == []
    copy = next(made for made in MEDIA if made.of is not None)
    assert copy.of is not None
    outcomes[copy.path], outcomes[copy.of] = outcomes[copy.of], outcomes[copy.path]
    assert surprising(MEDIA, outcomes) == []
    outcomes[copy.path] = outcomes[copy.of]
    assert {made.path for made in surprising(MEDIA, outcomes)} == {copy.path, copy.of}
