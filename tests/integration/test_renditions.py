"""Renditions by a whole host: made of items that want one, recorded, shown, and gone with their item."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest

from mediasluice.catalogue import renditions
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.renditions import Rendition
from mediasluice.catalogue.rows import ItemLine
from mediasluice.catalogue.view import View
from mediasluice.model.events import Event, EventType
from mediasluice.pipeline import rendering
from mediasluice.service.changes import change
from tests import encoded
from tests.clips import film as clip
from tests.running import Running
from tests.service import Sluice

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"),
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"),
    pytest.mark.timeout(240),
]

SECONDS = 2.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The renderer looks round often."""
    monkeypatch.setattr(rendering, "PAUSE_S", 0.1)
    monkeypatch.setattr(rendering, "LOOK_S", 0.1)


class House:
    """A library ``in`` that is imported to ``out`` and transcodes."""

    def __init__(self, base: Path, profile: str | None = "h264-aac", **rules: Any) -> None:
        self.base, self.top, self.out, self.data = base, base / "in", base / "out", base / "data"
        self.top.mkdir()
        transcode = {"enabled": profile is not None, "profile": profile or "h264-aac"}
        self.rules = {"target": str(self.out), "template": "{name}", "transcode": transcode, **rules}

    def section(self, **more: Any) -> dict[str, dict[str, Any]]:
        return {"in": {"action": "import", "import": {**self.rules, **more}}}

    def run(self, **sections: Any) -> Running:
        return Running(self.base, self.section(), previews={"of": "none"}, **sections)

    def put(self, name: str, content: bytes) -> None:
        """A file arrives whole."""
        whole = self.base / "arriving"
        whole.write_bytes(content)
        whole.rename(self.top / name)

    def items(self) -> dict[str, ItemLine]:
        if not catalogue_file(self.data).exists():
            return {}
        with View.open(catalogue_file(self.data)) as view:
            return {line.title: line for line in view.items() if line.path is not None}

    def renditions(self, title: str) -> list[Rendition]:
        """What the catalogue says of the renditions of an item."""
        line = self.items().get(title)
        if line is None:
            return []
        with View.open(catalogue_file(self.data)) as view:
            return view.ask(renditions.of_contents, [line.blake3]).get(line.blake3, [])

    def state(self, title: str) -> str | None:
        found = self.renditions(title)
        return found[0].state if found else None

    def made(self, title: str) -> Path | None:
        """Where the rendition of an item is, when it is made."""
        found = [one for one in self.renditions(title) if one.state == renditions.MADE]
        return self.data / renditions.place(found[0].name) if found else None

    def wait(self, host: Running, title: str) -> Path:
        """Wait for the rendition of an item; gives where it is."""
        path = host.until(lambda: self.made(title), f"a rendition of {title}")
        assert path is not None
        return path

    def stored(self) -> set[Path]:
        """Every file below the directory of renditions."""
        return {path for path in (self.data / renditions.FOLDER).rglob("*") if path.is_file()}

    def told(self) -> list[Event]:
        with View.open(catalogue_file(self.data)) as view:
            return [event for event in view.events() if event.type is EventType.ITEM_RENDITION]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@functools.lru_cache
def film(seed: object = "", seconds: float = SECONDS) -> bytes:
    """Always the same, though Matroska puts a number into each that it makes."""
    return encoded.film("mkv", seed, seconds)


@pytest.fixture(scope="module")
def long_film() -> bytes:
    """One that takes many seconds to transcode."""
    return encoded.film("mkv", "long", 1_000.0)


def streams(path: Path) -> dict[str, str]:
    """Codec by type."""
    with av.open(str(path)) as container:
        return {stream.type: stream.codec_context.name for stream in container.streams}


def test_a_film_that_is_imported_gets_a_rendition(house: House) -> None:
    """S0-45: flag on and ffmpeg there: it is made, recorded, told and plays; the item's own file stays as it was."""
    house.put("a.mkv", film())
    with house.run() as host:
        path = house.wait(host, "a")
        [event] = house.told()
        status = host.status()["renditions"]
    item = house.items()["a"]
    [one] = house.renditions("a")
    assert path.name == f"{item.blake3.hex()}.h264-aac.mp4"
    assert house.stored() == {path}
    assert (one.size, one.reason) == (path.stat().st_size, None)
    assert one.duration == pytest.approx(SECONDS, abs=0.1)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert (container.streams.video[0].width, container.streams.video[0].height) == (encoded.WIDTH, encoded.HEIGHT)
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(SECONDS, abs=0.1)
        assert sum(1 for _ in container.decode(video=0)) == round(SECONDS * encoded.PER_SECOND)
    assert item.path is not None
    assert Path(os.fsdecode(item.path)).read_bytes() == film()
    assert event.data == {
        "item": item.id,
        "profile": "h264-aac",
        "state": "made",
        "path": str(path.relative_to(house.data)),
        "size": one.size,
        "duration": one.duration,
    }
    assert status == {"counts": {"made": 1}, "reason": None, "now": None}


def test_a_library_that_does_not_transcode_has_none(tmp_path: Path) -> None:
    """S0-45: flag off: none, and nothing waits for one; a library that only catalogues has none either."""
    house = House(tmp_path, profile=None)
    house.put("a.mkv", film())
    with Running(tmp_path, {**house.section(), "other": {}}) as host:
        (tmp_path / "other" / "b.mkv").write_bytes(film("other"))
        host.until_catalogued("other/b.mkv")
        host.until(lambda: "a" in house.items(), "the import")
        host.until_idle()
        assert host.status()["renditions"] == {"counts": {}, "reason": None, "now": None}
    assert house.stored() == set()


def test_pictures_and_sound_get_what_their_profile_is_for(tmp_path: Path) -> None:
    """A profile of films is for films alone; one of sound is for music and for films that have any."""
    (tmp_path / "film").mkdir()
    (tmp_path / "sound").mkdir()
    films = House(tmp_path / "film")
    sounds = House(tmp_path / "sound", profile="aac")
    for house in (films, sounds):
        house.put("film.mp4", clip(tmp_path / "made.mp4", seconds=2).read_bytes())
        house.put("silent.mkv", film())
        house.put("music.mp3", encoded.sound("mp3", seconds=2.0))
        house.put("picture.png", encoded.picture("png"))
    with films.run() as host:
        host.until(lambda: films.made("film") and films.made("silent"), "both films")
        host.until(lambda: len(films.items()) == 4, "all items")
        host.until_idle()
        assert host.status()["renditions"]["counts"] == {"made": 2}
    with sounds.run() as host:
        path = sounds.wait(host, "music")
        host.until(lambda: sounds.state("silent") == "failed", "the silent film")
        host.until(lambda: sounds.state("film") in ("made", "failed"), "the film")
    assert streams(path) == {"audio": "aac"}
    assert sounds.renditions("silent")[0].reason == "it has no sound"


def test_items_of_equal_content_share_one(tmp_path: Path) -> None:
    """Two libraries that count for themselves have an item each; it goes with the last of them."""
    sections = {
        name: {
            "action": "import",
            "duplicates": {"scope": "library"},
            "import": {"target": str(tmp_path / "out" / name), "transcode": {"enabled": True}},
        }
        for name in ("one", "two")
    }
    for name in sections:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.mkv").write_bytes(film())
    house = House(tmp_path)
    sections |= house.section()
    with Running(tmp_path, sections, previews={"of": "none"}) as host:
        path = house.wait(host, "one")
        host.until(lambda: len(house.items()) == 2, "both items")
        assert house.made("two") == path
        assert house.stored() == {path}
        items = house.items()
        host.service.host.writer.call(lambda catalogue: catalogue.delete_item(items["one"].id, 1))
        house.put("c.mkv", film("c"))  # when this one is made, the deletion was seen
        host.until(lambda: house.made("c"), "the next rendition")
        assert house.made("two") == path
        assert path.exists()
        host.service.host.writer.call(lambda catalogue: catalogue.delete_item(items["two"].id, 1))
        host.until(lambda: not path.exists(), "it is gone with its items")
        assert host.status()["renditions"]["counts"] == {"made": 1}


def test_a_rendition_goes_with_an_item_that_is_deleted_while_no_service_runs(tmp_path: Path) -> None:
    """The next start removes it, and what else has the name of a rendition and belongs to nothing; no other file."""
    house = House(tmp_path, mode="move")
    house.put("a.mkv", film())
    with house.run() as host:
        path = house.wait(host, "a")
    change(house.data, "items.delete", {"ids": [house.items()["a"].id]})
    stray = path.with_name(path.name[:2] + "0" * 62 + ".h264-aac.mp4")
    stray.write_bytes(b"stray")
    part = path.parent.parent / ("0123456789abcdef" + ".part")
    part.write_bytes(b"part")
    mine = path.with_name("notes.txt")
    mine.write_bytes(b"mine")
    with house.run() as host:
        host.until(lambda: house.stored() == {mine}, "what belongs to nothing is gone")


def test_what_was_removed_or_cut_off_is_made_again(house: House) -> None:
    """People tidy up, and disks lose bytes: the catalogue says so until it is made again."""
    for name in ("a", "b", "c"):
        house.put(f"{name}.mkv", film(name))
    with house.run() as host:
        paths = [house.wait(host, name) for name in ("a", "b", "c")]
    sizes = [path.stat().st_size for path in paths]
    kept = paths[2].stat().st_ino
    paths[0].unlink()
    os.truncate(paths[1], 100)
    with house.run() as host:
        host.until(lambda: [path.exists() and path.stat().st_size for path in paths] == sizes, "all are there")
        host.until(lambda: house.made("a") and house.made("b"), "all are recorded")
    assert paths[2].stat().st_ino == kept
    assert streams(paths[1]) == {"video": "h264"}


def test_without_ffmpeg_renditions_wait_and_imports_do_not(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is said once and stands in status; when ffmpeg is there they are made."""
    house.put("a.mkv", film())
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(house.base))
        with house.run() as host:
            host.until(lambda: house.state("a") == "waiting", "it waits")
            host.until(lambda: host.status()["renditions"]["reason"], "a reason")
            assert host.status()["renditions"] == {
                "counts": {"waiting": 1},
                "reason": "ffmpeg is not installed",
                "now": None,
            }
            assert host.log.events().count("renditions_wait") == 1
            patch.undo()
            host.until(lambda: house.made("a"), "a rendition")
            host.until(lambda: host.status()["renditions"]["reason"] is None, "nothing waits")


def program(folder: Path, script: str) -> str:
    """A PATH on which ffmpeg is this script, with the real one in $real."""
    folder.mkdir()
    made = folder / "ffmpeg"
    made.write_text(f"#!/bin/sh\nreal={shutil.which('ffmpeg')}\n{script}\n")
    made.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_an_ffmpeg_that_lacks_a_part_keeps_its_profile_waiting(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """No film is tried in vain, and the reason names what is lacking."""
    monkeypatch.setenv("PATH", program(house.base / "bin", '"$real" "$@" | grep -v libx264'))
    house.put("a.mkv", film())
    with house.run() as host:
        reason = host.until(lambda: host.status()["renditions"]["reason"], "a reason")
        assert "h264-aac: ffmpeg lacks the encoder libx264" in reason
        host.until(lambda: house.state("a") == "waiting", "it waits")
        assert "rendition_waits" not in host.log.events()


def broken() -> bytes:
    """A film whose header says what it is, and nothing of which can be decoded."""
    whole = bytearray(encoded.film("avi", "broken", 1.0))
    start = whole.index(b"movi") + 4
    whole[start + 20 :] = bytes(len(whole) - start - 20)
    return bytes(whole)


def test_a_broken_film_fails_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is remembered with the reason and told; neither a restart nor time brings another try, a new ffmpeg does."""
    house.put("a.avi", broken())
    with house.run() as host:
        host.until(lambda: house.state("a") == "failed", "it fails")
    [one] = house.renditions("a")
    assert (one.reason or "").startswith("ffmpeg: ")
    assert [event.data["state"] for event in house.told()] == ["failed"]
    house.put("b.mkv", film("b"))
    with house.run() as host:
        host.until(lambda: house.made("b"), "the next one is made")
        assert "not_transcoded" not in host.log.events()
    newer = 'test "$1" = -version && echo ffmpeg version 99.9 of tomorrow || exec "$real" "$@"'
    monkeypatch.setenv("PATH", program(house.base / "bin", newer))
    with house.run() as host:
        host.until(lambda: len(house.told()) == 3, "it is tried again")
    assert house.state("a") == "failed"
    assert house.stored() == {house.made("b")}


def test_a_file_that_changed_since_is_not_transcoded(house: House) -> None:
    """What lies at the item's path is read first: other bytes of the same size are not what was imported."""
    house.put("a.mkv", film())
    with Running(house.base, house.section(transcode={"enabled": False})) as host:
        host.until(lambda: "a" in house.items(), "the import")
        host.until_idle()
    item = house.items()["a"]
    assert item.path is not None
    stored = Path(os.fsdecode(item.path))
    stored.write_bytes(bytes(stored.stat().st_size))
    (house.top / "a.mkv").unlink()
    with house.run() as host:
        host.until(lambda: any(one.reason for one in house.renditions("a")), "a reason")
        [one] = house.renditions("a")
        assert one.state == "waiting"
        assert "not what was imported any more" in (one.reason or "")
    assert house.stored() == set()


def test_a_stop_is_quick_and_leaves_nothing(house: House, long_film: bytes) -> None:
    """Progress shows in status; what was under way is begun anew by the next start."""
    house.put("a.mkv", long_film)
    with house.run() as host:

        def progress() -> dict[str, Any]:
            now: dict[str, Any] = host.status()["renditions"]["now"] or {}
            return now if now.get("share") else {}

        now = host.until(progress, "progress")
        assert now["path"] == str(house.out / "a.mkv")
        assert now["profile"] == "h264-aac"
        assert 0 < now["share"] < 1
        assert len(house.stored()) == 1
        began_s = time.monotonic()
        host.service.host.renderer.stop()
        assert time.monotonic() - began_s < 5
        assert house.stored() == set()
    assert house.state("a") == "waiting"
    with house.run() as host:
        host.until(lambda: host.status()["renditions"]["now"], "it is begun anew")


def test_what_nobody_wants_any_more_is_given_up(tmp_path: Path, long_film: bytes) -> None:
    """The item is deleted, or the library wants none any more, while ffmpeg is at it."""
    house = House(tmp_path, mode="move")
    house.put("a.mkv", long_film)
    with house.run() as host:
        host.until(house.stored, "it is being made")
        host.replace(house.section(transcode={"enabled": False}), previews={"of": "none"})
        host.until(lambda: not house.stored() and house.state("a") is None, "it is given up")
        host.replace(house.section(), previews={"of": "none"})
        host.until(house.stored, "it is being made again")
        item = house.items()["a"].id
        host.service.host.writer.call(lambda catalogue: catalogue.delete_item(item, 1))
        host.until(lambda: not house.stored(), "it is given up")
        host.until(lambda: not host.status()["renditions"]["counts"], "it is forgotten")
        assert host.service.failure is None


def test_what_was_there_before_transcoding_was_switched_on_gets_one(house: House) -> None:
    """Items that were imported long ago are found, also while the service runs."""
    house.put("a.mkv", film())
    off = house.section(transcode={"enabled": False})
    with Running(house.base, off, previews={"of": "none"}) as host:
        host.until(lambda: "a" in house.items(), "the import")
        host.replace(house.section(), previews={"of": "none"})
        host.until(lambda: house.made("a"), "a rendition")
        host.replace(off, previews={"of": "none"})
        host.until_idle()
        assert house.made("a"), "what is made stays"


def test_an_item_in_place_is_read_where_it_lies(tmp_path: Path) -> None:
    """By the change key of its file."""
    house = House(tmp_path, target=None)
    house.put("a.mkv", film())
    with house.run() as host:
        path = house.wait(host, "a")
    assert streams(path) == {"video": "h264"}


def test_a_changed_file_gets_the_rendition_of_its_new_content(tmp_path: Path) -> None:
    """The one of the content that the item had before goes."""
    house = House(tmp_path, target=None)
    house.put("a.mkv", film("old"))
    with house.run() as host:
        old = house.wait(host, "a")
        house.put("a.mkv", film("new"))
        host.until(lambda: house.made("a") not in (None, old), "another rendition")
        new = house.made("a")
        host.until(lambda: house.stored() == {new}, "the old one is gone")


def test_what_was_made_and_not_recorded_is_adopted(house: House) -> None:
    """A crash after the name and before the record: the next start records it and makes nothing."""
    house.put("a.mkv", film())
    with house.run() as host:
        path = house.wait(host, "a")
        [before] = house.renditions("a")
        waiting = renditions.Missing(1, before.name)
        host.service.host.renderer.halt()

        def undo(catalogue: Any) -> None:
            catalogue.change(renditions.forget, [waiting])
            catalogue.change(renditions.want, [waiting], 1)

        host.service.host.writer.call(undo)
    assert house.state("a") == "waiting"
    ino = path.stat().st_ino
    with house.run() as host:
        host.until(lambda: house.made("a"), "it is recorded")
        assert "transcoded" not in host.log.events()
    assert house.renditions("a") == [before]
    assert path.stat().st_ino == ino


def test_people_and_programs_are_shown_the_same(tmp_path: Path) -> None:
    """status, items and explain tell of what is made, what failed and why there is no preview, in words and as JSON."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    rules = {"target": str(tmp_path / "media"), "transcode": {"enabled": True}}
    document = {"libraries": {"inbox": {"path": str(inbox), "action": "import", "import": rules}}}
    (inbox / "good.mkv").write_bytes(film())
    (inbox / "bad.avi").write_bytes(broken())
    (inbox / "music.mp3").write_bytes(encoded.sound("mp3"))
    with Sluice(tmp_path / "home", config=document) as sluice:
        service = sluice.start()
        counts = {"made": 1, "failed": 1}
        service.wait(lambda: sluice.status()["renditions"]["counts"] == counts, "both are dealt with", 90)
        service.wait(lambda: "preview" in sluice.explain(inbox / "music.mp3")["products"], "a preview was tried", 90)
        items = {line["title"]: line for line in sluice.lines("items")}
        assert items["music"]["renditions"] == []
        [bad], [good] = items["bad"]["renditions"], items["good"]["renditions"]
        assert (bad["state"], bad["path"], bad["size"]) == ("failed", None, None)
        assert bad["reason"].startswith("ffmpeg: ")
        assert (good["profile"], good["state"], good["reason"]) == ("h264-aac", "made", None)
        assert Path(good["path"]).stat().st_size == good["size"]
        assert sluice.explain(inbox / "good.mkv")["renditions"] == [good]
        assert sluice.object("items", "show", str(items["good"]["id"]))["renditions"] == [good]
        preview = sluice.explain(inbox / "music.mp3")["products"]["preview"]
        assert preview == {"state": "refused", "reason": "it has no cover"}
        assert "preview  refused: it has no cover" in sluice.call("explain", inbox / "music.mp3").stdout
        assert f"h264-aac: {good['path']}" in sluice.call("explain", inbox / "good.mkv").stdout
        assert f"h264-aac: failed, {bad['reason']}" in sluice.call("items", "show", str(items["bad"]["id"])).stdout
        assert "renditions: 1 failed, 1 made" in sluice.call("status").stdout
        service.stop()
        assert sluice.status()["renditions"] == {"counts": counts, "reason": None, "now": None}
        assert sluice.lines("duplicates", "--essence") == []  # by a process that imports nothing
