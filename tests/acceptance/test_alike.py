"""What plays the same and what is alike, by the real command; previews that a page can show.

Quotes the ledgers of MediaCMS' directory monitor (S0) and of Media Library Manager (S4), and the table of what is one
essence and what is not.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from PIL import Image

from tests import encoded
from tests.clips import chord, copied, film, noise, sound
from tests.service import Line, Sluice, until

pytestmark = pytest.mark.timeout(240)

PLAIN = {"write_xing": "0", "id3v2_version": "0"}


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    """The real command."""
    with Sluice(tmp_path / "home") as made:
        yield made


def names(lines: list[Line], *proofs: str) -> list[set[str]]:
    """The names of the files of each group with one of these proofs."""
    return [{Path(file["path"]).name for file in line["files"]} for line in lines if line["proof"] in proofs]


def still(seed: int) -> Image.Image:
    shapes = random.Random(seed).randbytes(12 * 9 * 3)
    return Image.frombytes("RGB", (12, 9), shapes).resize((640, 480), Image.Resampling.BICUBIC)


def test_the_essence_table(tmp_path: Path, sluice: Sluice) -> None:
    """Each row of it: what is one group of ``sluice duplicates --essence DIR``, and what must not be one."""
    folder = tmp_path / "media"
    folder.mkdir()
    film(folder / "a.mp4")  # mp4 = mov = mkv = fragmented = other tags = transport stream
    for suffix in ("mov", "mkv", "ts"):
        copied(folder / "a.mp4", folder / f"a.{suffix}")
    copied(folder / "a.mp4", folder / "fragmented.mp4", container={"movflags": "frag_keyframe+empty_moov"})
    copied(folder / "a.mp4", folder / "tagged.mp4", tags={"title": "Another"}, container={"movflags": "faststart"})
    copied(folder / "a.mp4", folder / "voice.m4a", "audio")  # a part of it is not the same
    film(folder / "again.mp4", bit_rate=60_000, seconds=2)  # encoded anew
    sound(folder / "b.mp3", "libmp3lame", container=PLAIN)
    copied(folder / "b.mp3", folder / "tagged.mp3", tags={"title": "Another", "comment": "x" * 3000})
    copied(folder / "b.mp3", folder / "b.mka")
    sound(folder / "c.ogg", "vorbis", options={"strict": "-2"})
    copied(folder / "c.ogg", folder / "tagged.ogg", tags={"title": "Another"})
    sound(folder / "d5.flac", "flac", chord(2), options={"compression_level": "5"})
    copied(folder / "d5.flac", folder / "d5.mka")
    sound(folder / "d12.flac", "flac", chord(2), options={"compression_level": "12"})
    sound(folder / "d.m4a", "alac", chord(2))
    sound(folder / "d.wav", "pcm_s16le", chord(2))
    sound(folder / "e.flac", "flac", noise(2, bits=24), form="s32")
    sound(folder / "e.wav", "pcm_s24le", noise(2, bits=24), form="s32")
    shutil.copy(folder / "again.mp4", folder / "copy.mp4")  # equal bytes are another report's business
    found = sluice.lines("duplicates", "--essence", folder)
    assert sorted(map(sorted, names(found, "streams"))) == [
        ["a.mkv", "a.mov", "a.mp4", "a.ts", "fragmented.mp4", "tagged.mp4"],
        ["b.mka", "b.mp3", "tagged.mp3"],
        ["c.ogg", "tagged.ogg"],
    ]
    assert sorted(map(sorted, names(found, "samples"))) == [
        ["d.m4a", "d.wav", "d12.flac", "d5.flac", "d5.mka"],
        ["e.flac", "e.wav"],
    ]
    for line in found:
        assert set(line) == {"proof", "certainty", "files"}
        assert line["certainty"] == "same"
        for file in line["files"]:
            path = Path(file["path"])
            assert set(file) == {"library", "path", "content", "kind", "size"}
            assert (file["library"], file["size"]) == (None, path.stat().st_size)
            assert file["content"] == blake3(path.read_bytes()).hexdigest()


def test_s4_51_the_same_film_in_other_containers_is_suggested_from_the_catalogue(
    tmp_path: Path, sluice: Sluice
) -> None:
    """S4-51: "same essence in mkv/mp4 suggested as near-duplicate"; nothing is made twice, nothing is changed."""
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "a.mp4")
    copied(folder / "a.mp4", folder / "a.mkv")
    film(folder / "b.mp4", seconds=3, seed=3)
    sluice.object("scan", folder, timeout_s=120)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    head = sluice.events()
    for _ in range(2):
        (group,) = sluice.lines("duplicates", "--essence")
        assert names([group], "streams") == [{"a.mp4", "a.mkv"}]
        assert {file["library"] for file in group["files"]} == {"films"}
    assert not sluice.lines("duplicates")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert sluice.events() == head
    assert "reason to delete" in sluice.call("duplicates", "--essence").stdout


def test_s4_02_near_duplicates_are_grouped_on_a_crafted_set(tmp_path: Path, sluice: Sluice) -> None:
    """S4-02: "groups correct on crafted set", by a service that runs: pictures, films and sounds, and no others."""
    folder = tmp_path / "library"
    folder.mkdir()
    for seed in range(3):
        still(seed).save(folder / f"{seed}.jpg", quality=92)
        still(seed).resize((320, 240)).save(folder / f"{seed}-small.png")
        still(seed).save(folder / f"{seed}-poor.jpg", quality=40)
    still(9).save(folder / "alone.jpg")
    film(folder / "film.mp4", seconds=8, audio=None, seed=5, size=(160, 120))
    film(folder / "film.mkv", "libx265", seconds=8, audio=None, seed=5, bit_rate=60_000, size=(96, 72))
    film(folder / "other.mp4", seconds=8, audio=None, seed=11, size=(160, 120))
    (folder / "song.mp3").write_bytes(encoded.sound("mp3", seconds=1))
    service = sluice.start(folder)
    service.wait_catalogued(folder.iterdir(), 60)
    found = sluice.lines("duplicates", "--similar")
    expected = [{f"{seed}.jpg", f"{seed}-small.png", f"{seed}-poor.jpg"} for seed in range(3)]
    assert sorted(map(sorted, names(found, "picture"))) == sorted(map(sorted, expected))
    assert names(found, "film") == [{"film.mp4", "film.mkv"}]
    assert {line["certainty"] for line in found} == {"same"}
    of_folder = sluice.lines("duplicates", "--similar", folder)
    assert sorted(map(sorted, names(of_folder, "picture", "film"))) == sorted(
        map(sorted, names(found, "picture", "film"))
    )


@pytest.mark.skipif(shutil.which("fpcalc") is None, reason="no fpcalc here")
def test_sounds_are_compared_with_fpcalc(tmp_path: Path, sluice: Sluice) -> None:
    """Two encodings of one sound are a group, another sound is none."""
    folder = tmp_path / "music"
    folder.mkdir()
    for name, seed in (("a", 1), ("b", 2)):
        song = tones(seed)
        sound(folder / f"{name}.wav", "pcm_s16le", song)
        sound(folder / f"{name}.mp3", "libmp3lame", song)
    found = sluice.lines("duplicates", "--similar", folder)
    assert sorted(map(sorted, names(found, "sound"))) == [["a.mp3", "a.wav"], ["b.mp3", "b.wav"]]


def tones(seed: int, seconds: int = 12) -> bytes:
    """Chords that change twice a second."""
    chance = random.Random(seed)
    whole = chord(1.0)
    parts = []
    for _ in range(seconds * 2):
        step = chance.choice((1, 2, 3, 4, 5))
        frames = [whole[at : at + 4] for at in range(0, len(whole), 4 * step)]
        parts.append(b"".join((frames * (step + 1))[:22_050]))
    return b"".join(parts)


def test_without_fpcalc_it_says_that_sounds_are_not_compared(tmp_path: Path, sluice: Sluice) -> None:
    """With folders and with the catalogue, on standard error, unless it is to be quiet."""
    folder = tmp_path / "music"
    folder.mkdir()
    (folder / "a.mp3").write_bytes(encoded.sound("mp3"))
    sluice.environment["PATH"] = os.fspath(tmp_path)
    assert "fpcalc is not installed" in sluice.call("duplicates", "--similar", folder).stderr
    sluice.object("scan", folder)
    assert "fpcalc is not installed" in sluice.call("duplicates", "--similar").stderr
    assert not sluice.call("duplicates", "--similar", "--quiet").stderr


def test_what_cannot_be_compared_is_named(tmp_path: Path, sluice: Sluice) -> None:
    """A damaged picture ends with 3 and its reason; the others are compared."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    still(1).save(folder / "a.jpg")
    still(1).save(folder / "a.png")
    (folder / "bad.jpg").write_bytes((folder / "a.jpg").read_bytes()[:4000])
    done = sluice.call("duplicates", "--similar", "--json", folder, code=3)
    assert "bad.jpg" in done.stderr
    (line,) = map(json.loads, done.stdout.splitlines())
    assert names([line], "picture") == [{"a.jpg", "a.png"}]


def test_hard_links_are_one_file_under_all_its_names(tmp_path: Path, sluice: Sluice) -> None:
    """Two names of one inode are no group; beside another content both are listed."""
    folder = tmp_path / "media"
    folder.mkdir()
    still(1).save(folder / "a.jpg")
    (folder / "link.jpg").hardlink_to(folder / "a.jpg")
    assert not sluice.lines("duplicates", "--similar", folder)
    still(1).save(folder / "a.png")
    assert names(sluice.lines("duplicates", "--similar", folder), "picture") == [{"a.jpg", "link.jpg", "a.png"}]


def test_a_catalogue_that_is_not_there_has_no_groups(tmp_path: Path, sluice: Sluice) -> None:
    """Nothing is made by asking; a library that was never scanned and one that imports stay as they are."""
    assert not sluice.lines("duplicates", "--essence", "--similar")
    assert not (sluice.data / "catalogue.sqlite").exists()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    rules = {"target": str(tmp_path / "media"), "template": "{name}"}
    never = {"path": str(tmp_path / "never")}
    sluice.document = sluice.home / "config.yaml"
    sluice.configure(
        {"libraries": {"inbox": {"path": str(inbox), "action": "import", "import": rules}, "never": never}}
    )
    still(1).save(inbox / "a.jpg")
    sluice.object("scan", "inbox", timeout_s=120)
    still(1).save(inbox / "b.png")
    assert not sluice.lines("duplicates", "--similar")
    assert [line["title"] for line in sluice.lines("items")] == ["a"]


def test_s0_44_imported_pictures_and_films_have_thumbnail_files(tmp_path: Path, sluice: Sluice) -> None:
    """S0-44: "image and video imports have a thumbnail file"; the list of items says where."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    rules = {"target": str(tmp_path / "media"), "template": "{name}"}
    sluice.document = sluice.home / "config.yaml"
    sluice.configure({"libraries": {"inbox": {"path": str(inbox), "action": "import", "import": rules}}})
    still(1).resize((3000, 2000)).save(inbox / "a.jpg")
    (inbox / "b.mp4").write_bytes(encoded.film("mp4"))
    (inbox / "c.mp3").write_bytes(encoded.sound("mp3"))
    sluice.start()

    def shown() -> dict[str, Line]:
        return {line["title"]: line for line in sluice.lines("items")}

    until(lambda: {title for title, line in shown().items() if line["preview"]} == {"a", "b"}, "both thumbnails", 60)
    lines = shown()
    assert lines["c"]["preview"] is None
    with Image.open(lines["a"]["preview"]["small"]) as small, Image.open(lines["a"]["preview"]["large"]) as large:
        assert (small.format, small.size, large.size) == ("WEBP", (320, 213), (1280, 853))
    one = sluice.object("items", "show", str(lines["b"]["id"]))
    assert one["preview"] == lines["b"]["preview"]
    with Image.open(one["preview"]["small"]) as picture:
        assert picture.size == (encoded.WIDTH, encoded.HEIGHT)
