"""What the imports of the MediaCMS directory monitor do, here: each test quotes its row of the feature ledger."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from blake3 import blake3

from tests.samples import jpeg, mp4, png, unknown, wav
from tests.service import Line, Service, Sluice

SOON_S = 30.0  # a complete format waits for the debounce of its library; the rest is for a slow machine
DEBOUNCE = "1s"  # of all libraries here, but where a test says so itself
OWNER = "media-import"

pytestmark = pytest.mark.timeout(180)


class Portal(NamedTuple):
    """One importing service for the tests that only add files, each in a place of its own."""

    sluice: Sluice
    service: Service
    base: Path

    def place(self, library: str, name: str) -> Path:
        """A directory for one test in one library. It is there before the test goes on."""
        directory = self.base / library / name
        directory.mkdir(parents=True)
        return directory

    def item(self, path: Path) -> Line:
        """The item that came of the file at a path; waits for it."""
        return imported(self.service, path)


def library(path: Path, *, owner: str | None = OWNER, **rest: Any) -> dict[str, Any]:
    """A library as users of MediaCMS have it; ``imports`` is its section ``import``."""
    path.mkdir(parents=True, exist_ok=True)
    imports = {"owner": owner, **rest.pop("imports", {})}
    return {"path": str(path), "debounce": DEBOUNCE, "import": imports, **rest}


def document(**libraries: dict[str, Any]) -> dict[str, Any]:
    """A document with the preset of MediaCMS."""
    return {
        "preset": "mediacms",
        "system": {"log_level": "debug", "log_format": "json"},
        "libraries": libraries,
    }


def users(sluice: Sluice, *names: str) -> None:
    """Make accounts."""
    for name in names:
        sluice.call("users", "add", name)


def imported(service: Service, path: Path) -> Line:
    """The item that was made of the file at a path; waits until its bytes are at their place."""
    sluice = service.sluice
    found: list[Line] = []

    def is_there() -> bool:
        numbers = [event["data"]["item"] for event in sluice.events("item.imported") if event["path"] == str(path)]
        found[:] = [item for item in sluice.lines("items") if item["id"] in numbers and item["path"] is not None]
        return bool(found)

    service.wait(is_there, f"{path} is imported", SOON_S)
    [item] = found
    return item


def told(sluice: Sluice, path: Path) -> Counter[str]:
    """How many events of each type there are of a path."""
    return Counter(event["type"] for event in sluice.events() if event["path"] == str(path))


def wait_for(service: Service, kind: str, path: Path) -> Line:
    """Wait for an event of a path."""
    found: list[Line] = []

    def is_told() -> bool:
        found[:] = [event for event in service.sluice.events(kind) if event["path"] == str(path)]
        return bool(found)

    service.wait(is_told, f"{kind} of {path}", SOON_S)
    return found[-1]


def digest(path: str | Path) -> str:
    return blake3(Path(path).read_bytes()).hexdigest()


def below(directory: Path) -> list[str]:
    """The files below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    home = tmp_path_factory.mktemp("portal")
    base = home / "roots"
    store = {"target": str(home / "store")}
    config = document(
        plain=library(base / "plain", imports=store),
        private=library(base / "private", imports={"state": "private"}),
        unlisted=library(base / "unlisted", imports={"state": "unlisted"}, owner="curator"),
        flat=library(base / "flat", recursive=False),
        clips=library(base / "clips", include=[".mp4"]),
        moving=library(base / "moving", imports={"after": "move", "processed_dir": str(home / "processed")}),
        tree=library(base / "tree"),
    )
    with Sluice(home / "home", config=config) as sluice:
        users(sluice, OWNER, "curator")
        yield Portal(sluice, sluice.start(), base)


# -- what an import makes ----------------------------------------------------------------------------------


def test_a_dropped_file_is_imported(portal: Portal) -> None:
    """S0-01, S0-38: a dropped file becomes an item that refers to a stored copy with the same content."""
    path = portal.place("plain", "s0-38") / "holiday.mp4"
    path.write_bytes(mp4("s0-38"))
    item = portal.item(path)
    assert item["path"] != str(path)
    assert digest(item["path"]) == digest(path) == item["blake3"]
    assert (item["kind"], item["library"], item["size"]) == ("video", "plain", path.stat().st_size)
    assert told(portal.sluice, path) == {"file.created": 1, "item.imported": 1}


def test_title(portal: Portal) -> None:
    """S0-39: the title is the name of the file without its extension."""
    place = portal.place("plain", "s0-39")
    for name in ("My Clip.mp4", "archive.2026.mp4", "Überraschung.mp4"):
        (place / name).write_bytes(mp4(name))
    titles = [portal.item(place / name)["title"] for name in ("My Clip.mp4", "archive.2026.mp4", "Überraschung.mp4")]
    assert titles == ["My Clip", "archive.2026", "Überraschung"]


def test_description(portal: Portal) -> None:
    """S0-40: the description says when the file was imported."""
    path = portal.place("plain", "s0-40") / "a.jpg"
    before = datetime.now().replace(microsecond=0)  # noqa: DTZ005 - as people read it
    path.write_bytes(jpeg("s0-40"))
    item = portal.item(path)
    [moment] = re.findall(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", item["description"])
    assert before <= datetime.fromisoformat(moment) <= datetime.now()  # noqa: DTZ005 - likewise


@pytest.mark.parametrize(
    ("name", "state", "owner"),
    [("plain", "public", OWNER), ("private", "private", OWNER), ("unlisted", "unlisted", "curator")],
)
def test_owner_and_state(portal: Portal, name: str, state: str, owner: str) -> None:
    """S0-07, S0-13, S0-41, S0-42, S0-67, S0-70: an item has the owner and the state of its library.

    Private ones wait for a person, who publishes them.
    """
    path = portal.place(name, "s0-07") / f"{name}.png"
    path.write_bytes(png(f"s0-07 {name}"))
    item = portal.item(path)
    assert (item["state"], item["owner"]) == (state, owner)
    if state == "private":
        portal.sluice.call("items", "set", str(item["id"]), "--state", "public")
        assert portal.item(path)["state"] == "public"


def test_recursion(portal: Portal) -> None:
    """S0-06: a file three new directories down is imported, and where recursion is off it is not."""
    deep, shallow = portal.base / "plain" / "s0-06" / "b" / "c", portal.base / "flat" / "s0-06" / "b" / "c"
    for place in (deep, shallow):
        place.mkdir(parents=True)
        (place / "deep.jpg").write_bytes(jpeg(f"s0-06 {place}"))
    (portal.base / "flat" / "s0-06.jpg").write_bytes(jpeg("s0-06 top"))
    portal.item(deep / "deep.jpg")
    portal.item(portal.base / "flat" / "s0-06.jpg")
    assert not told(portal.sluice, shallow / "deep.jpg")


def test_extensions_are_a_restriction(portal: Portal) -> None:
    """S0-05, S0-71: with a filter nothing else is imported, whatever it holds."""
    place = portal.place("clips", "s0-71")
    (place / "clip.MP4").write_bytes(mp4("s0-71"))
    (place / "picture.jpg").write_bytes(jpeg("s0-71"))
    (place / "clip.mp4.exe").write_bytes(mp4("s0-71 too"))
    portal.item(place / "clip.MP4")
    assert [item["title"] for item in portal.sluice.lines("items") if item["library"] == "clips"] == ["clip"]


def test_only_media(portal: Portal) -> None:
    """S0-43, S0-71: without a filter video, audio, images and PDF are imported, by content; the rest is refused."""
    place = portal.place("plain", "s0-43")
    (place / "sound.dat").write_bytes(wav("s0-43"))
    (place / "film.jpg").write_bytes(unknown("no media at all", 3000))
    assert portal.item(place / "sound.dat")["kind"] == "audio"
    refused = wait_for(portal.service, "item.refused", place / "film.jpg")
    assert refused["data"]["reason"]
    assert portal.sluice.explain(place / "film.jpg")["state"] == "skipped"


# -- duplicates --------------------------------------------------------------------------------------------


def test_equal_content_under_another_name(portal: Portal) -> None:
    """S0-03: the same bytes under a second name make no second item; the second is reported with the item."""
    place = portal.place("plain", "s0-03")
    (place / "first.jpg").write_bytes(jpeg("s0-03"))
    item = portal.item(place / "first.jpg")
    (place / "second.jpg").write_bytes(jpeg("s0-03"))
    duplicate = wait_for(portal.service, "file.duplicate", place / "second.jpg")
    assert duplicate["data"]["item"] == item["id"]
    assert "item.imported" not in told(portal.sluice, place / "second.jpg")
    assert len([other for other in portal.sluice.lines("items") if other["blake3"] == item["blake3"]]) == 1
    assert (place / "second.jpg").exists()


def test_equal_content_in_another_library(portal: Portal) -> None:
    """S0-03: the same bytes in another watched folder are a duplicate as well."""
    first, second = portal.place("plain", "s0-03b") / "a.jpg", portal.place("private", "s0-03b") / "a.jpg"
    first.write_bytes(jpeg("s0-03b"))
    item = portal.item(first)
    second.write_bytes(jpeg("s0-03b"))
    assert wait_for(portal.service, "file.duplicate", second)["data"]["item"] == item["id"]


def test_moved_after_import(portal: Portal) -> None:
    """S0-08, S0-19, S0-56: an imported file ends in `imported/`, a duplicate in `duplicates/`, unchanged."""
    place = portal.place("moving", "s0-08")
    processed = portal.base.parent / "processed"
    content = jpeg("s0-08", 50_000)
    (place / "film.jpg").write_bytes(content)
    item = portal.item(place / "film.jpg")
    new = wait_for(portal.service, "file.moved", processed / "imported" / "film.jpg")
    assert (new["data"]["cause"], new["old_path"]) == ("processed", str(place / "film.jpg"))
    assert not (place / "film.jpg").exists()
    assert digest(processed / "imported" / "film.jpg") == item["blake3"] == blake3(content).hexdigest()
    (place / "again.jpg").write_bytes(content)
    wait_for(portal.service, "file.moved", processed / "duplicates" / "again.jpg")
    assert not (place / "again.jpg").exists()
    assert (processed / "duplicates" / "again.jpg").read_bytes() == content
    items = [other for other in portal.sluice.lines("items") if other["blake3"] == item["blake3"]]
    assert [other["path"] for other in items] == [str(processed / "imported" / "film.jpg")]


def test_names_clash_in_the_processed_directory(portal: Portal) -> None:
    """S0-08: two files of one name that are moved after each other are both kept."""
    processed = portal.base.parent / "processed" / "imported"
    for name in ("one", "two", "three"):
        path = portal.place("moving", f"s0-08-{name}") / "same-name.jpg"
        path.write_bytes(jpeg(f"clash {name}"))
        portal.item(path)
        portal.service.wait(lambda path=path: not path.exists(), "it is moved", SOON_S)  # type: ignore[misc]
    kept = [path.read_bytes() for path in processed.glob("same-name*.jpg")]
    assert sorted(kept) == sorted(jpeg(f"clash {name}") for name in ("one", "two", "three"))


# -- after the import --------------------------------------------------------------------------------------


def test_renamed_inside_the_tree(portal: Portal) -> None:
    """S0-73: an imported file that is renamed or moved is not imported again; its item has the new path."""
    place = portal.place("tree", "s0-73")
    (place / "a.jpg").write_bytes(jpeg("s0-73"))
    item = portal.item(place / "a.jpg")
    assert item["path"] == str(place / "a.jpg")
    since = portal.sluice.events()[-1]["seq"]
    (place / "a.jpg").rename(place / "b.jpg")
    wait_for(portal.service, "file.renamed", place / "b.jpg")
    (place / "sub").mkdir()
    (place / "b.jpg").rename(place / "sub" / "c.jpg")
    wait_for(portal.service, "file.moved", place / "sub" / "c.jpg")
    place.rename(place.with_name("s0-73-renamed"))
    moved = place.with_name("s0-73-renamed") / "sub" / "c.jpg"
    wait_for(portal.service, "file.moved", moved)
    [now] = [other for other in portal.sluice.lines("items") if other["id"] == item["id"]]
    assert now["path"] == str(moved)
    kinds = {event["type"] for event in portal.sluice.events(since=since) if "s0-73" in event["path"]}
    assert kinds == {"file.renamed", "file.moved"}


def test_deleted_item_is_imported_again(portal: Portal) -> None:
    """S0-60: the same content is never imported twice; who deletes its item gets it again from the next scan."""
    path = portal.place("plain", "s0-60") / "again.jpg"
    path.write_bytes(jpeg("s0-60"))
    item = portal.item(path)
    portal.sluice.call("scan", "plain")
    assert told(portal.sluice, path)["item.imported"] == 1
    portal.sluice.call("items", "delete", str(item["id"]))
    assert Path(item["path"]).exists()
    portal.sluice.call("scan", "plain")
    portal.service.wait(lambda: told(portal.sluice, path)["item.imported"] == 2, "it is imported again", SOON_S)
    [again] = [other for other in portal.sluice.lines("items") if other["blake3"] == item["blake3"]]
    assert again["id"] != item["id"]
    assert digest(again["path"]) == item["blake3"]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_not_imported_again_after_a_restart(tmp_path: Path, end: str) -> None:
    """S0-18: files that stay where they are are not imported again by a restart, nor by a renamed one meanwhile."""
    root = tmp_path / "incoming"
    config = document(incoming=library(root, imports={"target": str(tmp_path / "store")}))
    with Sluice(tmp_path / "home", config=config) as sluice:
        users(sluice, OWNER)
        service = sluice.start()
        for name in ("a.jpg", "b.jpg"):
            (root / name).write_bytes(jpeg(name))
        before = [imported(service, root / name) for name in ("a.jpg", "b.jpg")]
        getattr(service, end)()
        (root / "b.jpg").rename(root / "c.jpg")
        (root / "d.jpg").write_bytes(jpeg("a.jpg"))
        (root / "e.jpg").write_bytes(jpeg("e.jpg"))
        service = sluice.start()
        imported(service, root / "e.jpg")
        wait_for(service, "file.duplicate", root / "d.jpg")
        sluice.call("scan")
        service.stop()
        assert [item["id"] for item in sluice.lines("items")][:2] == [item["id"] for item in before]
        assert len(sluice.lines("items")) == 3
        assert len(sluice.events("item.imported")) == 3
        assert below(tmp_path / "store") == ["a.jpg", "b.jpg", "e.jpg"]


def test_a_scan_imports_without_a_service(tmp_path: Path) -> None:
    """S0-18, S0-60, S0-75: a scan while no service runs imports what it finds, once."""
    root, store = tmp_path / "incoming", tmp_path / "store"
    config = document(incoming=library(root, existing="import", imports={"target": str(store)}))
    for number in range(50):
        (root / f"{number}.jpg").write_bytes(jpeg(f"scan {number}"))
    with Sluice(tmp_path / "home", config=config) as sluice:
        users(sluice, OWNER)
        for _ in range(2):
            sluice.call("scan")
            assert len(sluice.lines("items")) == len(sluice.events("item.imported")) == len(below(store)) == 50
        first = sluice.lines("items")[0]
        sluice.call("items", "delete", str(first["id"]))
        sluice.call("scan")
        assert len(sluice.lines("items")) == 50
        assert len(sluice.events("item.imported")) == 51


# -- configuration -----------------------------------------------------------------------------------------


def test_an_unknown_owner(tmp_path: Path) -> None:
    """S0-13: an account that does not exist keeps the service from starting, by name; made, it starts."""
    root = tmp_path / "incoming"
    with Sluice(tmp_path / "home", config=document(incoming=library(root))) as sluice:
        refused = sluice.call("run", code=78)
        assert OWNER in refused.stderr
        assert "users add" in refused.stderr
        users(sluice, OWNER)
        service = sluice.start()
        (root / "a.jpg").write_bytes(jpeg("s0-13"))
        assert imported(service, root / "a.jpg")["owner"] == OWNER
        service.stop()


def test_an_owner_is_required(tmp_path: Path) -> None:
    """S0-13: without an owner the configuration is refused, with the key to set."""
    config = document(incoming=library(tmp_path / "incoming", owner=None))
    with Sluice(tmp_path / "home", config=config) as sluice:
        for command in ("check", "run"):
            refused = sluice.call(command, code=78)
            assert "libraries.incoming.import.owner" in refused.stdout + refused.stderr


def test_an_invalid_state(tmp_path: Path) -> None:
    """S0-17: a state that there is not is refused, with the three that there are; public is the default."""
    root = tmp_path / "incoming"
    with Sluice(tmp_path / "home", config=document(incoming=library(root, imports={"state": "secret"}))) as sluice:
        refused = sluice.call("config", "check", code=78)
        shown = refused.stdout + refused.stderr
        assert "libraries.incoming.import.state" in shown
        assert all(state in shown for state in ("public", "private", "unlisted"))
        sluice.configure(document(incoming=library(root)))
        assert sluice.settings()["libraries.incoming.import.state"] == "public"


def test_move_without_a_processed_directory(tmp_path: Path) -> None:
    """S0-18, S0-19: files are not moved by default; who wants it has to say where to, or the start is refused."""
    root = tmp_path / "incoming"
    with Sluice(tmp_path / "home", config=document(incoming=library(root))) as sluice:
        users(sluice, OWNER)
        assert sluice.settings()["libraries.incoming.import.after"] == "keep"
        assert sluice.settings()["libraries.incoming.import.processed_dir"] is None
        sluice.configure(document(incoming=library(root, imports={"after": "move"})))
        refused = sluice.call("run", code=78)
        assert "libraries.incoming.import.processed_dir" in refused.stderr


def test_a_changed_document(tmp_path: Path) -> None:
    """S0-62: a changed state, owner or move is in force for what arrives later, at once as by a restart."""
    root, away = tmp_path / "incoming", tmp_path / "processed"
    with Sluice(tmp_path / "home", config=document(incoming=library(root))) as sluice:
        users(sluice, OWNER, "curator")
        service = sluice.start()
        (root / "a.jpg").write_bytes(jpeg("a"))
        assert imported(service, root / "a.jpg")["state"] == "public"
        pid = service.pid
        moving = {"state": "private", "after": "move", "processed_dir": str(away)}
        sluice.configure(document(incoming=library(root, owner="curator", imports=moving)))
        service.wait(lambda: "configuration_loaded" in service.log_text(), "the document is picked up", SOON_S)
        service.wait_ready()
        (root / "b.jpg").write_bytes(jpeg("b"))
        item = imported(service, root / "b.jpg")
        assert (item["state"], item["owner"]) == ("private", "curator")
        service.wait(lambda: below(away) == ["imported/b.jpg"], "it is moved", SOON_S)
        assert service.pid == pid
        assert (root / "a.jpg").exists(), "what was imported before stays where it is"
        service.stop()
        sluice.configure(document(incoming=library(root, imports={"state": "unlisted"})))
        service = sluice.start()
        (root / "c.jpg").write_bytes(jpeg("c"))
        item = imported(service, root / "c.jpg")
        assert (item["state"], item["owner"]) == ("unlisted", OWNER)
        assert [item["state"] for item in sluice.lines("items")] == ["public", "private", "unlisted"]
        service.stop()


def test_a_changed_document_with_an_unknown_owner(tmp_path: Path) -> None:
    """S0-13, S0-62: a changed document that names an unknown account is refused; the former one stays in force."""
    root = tmp_path / "incoming"
    with Sluice(tmp_path / "home", config=document(incoming=library(root))) as sluice:
        users(sluice, OWNER)
        service = sluice.start()
        sluice.configure(document(incoming=library(root, owner="nobody-here")))
        service.wait(lambda: "configuration_refused" in service.log_text(), "the document is refused", SOON_S)
        assert "nobody-here" in service.log_text()
        (root / "a.jpg").write_bytes(jpeg("a"))
        assert imported(service, root / "a.jpg")["owner"] == OWNER
        service.stop()


def test_policies_of_two_folders(tmp_path: Path) -> None:
    """S0-09, S0-76: two folders with other owners, states, extensions and moves; each holds for its own files."""
    films, photos, away = tmp_path / "films", tmp_path / "photos", tmp_path / "processed"
    moving = {"state": "private", "after": "move", "processed_dir": str(away)}
    config = document(
        films=library(films, owner="anna", include=[".mp4"], imports=moving),
        photos=library(photos, owner="ben", include=[".jpg"], imports={"state": "unlisted"}),
    )
    with Sluice(tmp_path / "home", config=config) as sluice:
        users(sluice, "anna", "ben")
        service = sluice.start()
        for root in (films, photos):
            (root / "film.mp4").write_bytes(mp4(root))
            (root / "photo.jpg").write_bytes(jpeg(root))
        film, photo = imported(service, films / "film.mp4"), imported(service, photos / "photo.jpg")
        service.wait(lambda: below(away) == ["imported/film.mp4"], "the film is moved", SOON_S)
        service.stop()
        assert (film["owner"], film["state"]) == ("anna", "private")
        assert (photo["owner"], photo["state"]) == ("ben", "unlisted")
        assert len(sluice.lines("items")) == 2
        assert below(films) == ["photo.jpg"]
        assert below(photos) == ["film.mp4", "photo.jpg"]


# -- the scenario of the manual ----------------------------------------------------------------------------


def test_nas(tmp_path: Path) -> None:
    """S0-54, S0-04, S0-19, S0-75: the whole scenario of a NAS folder, with `processed/` inside of it.

    Uploads, slow ones too, duplicates, a restart and a kill -9 in the middle: every content is imported once, every
    file is set aside, and nothing that was set aside is looked at again.
    """
    root = tmp_path / "nas" / "incoming"
    root.mkdir(parents=True)
    processed = root / "processed"
    rules = {"state": "public", "after": "move", "processed_dir": str(processed)}
    config = document(nas={**library(root, imports=rules), "debounce": "3s"})
    (root / "old.jpg").write_bytes(jpeg("was there before"))
    arrived: list[bytes] = []
    stopping = threading.Event()

    def keep_arriving() -> None:
        """A camera that uploads twice a second into a new folder each time; every third picture it sends again."""
        number = 0
        while not stopping.is_set():
            content = jpeg(f"camera {number - number // 3}", 20_000)
            place = root / f"camera{number % 4}" / f"{number}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"dsc{number % 5}.jpg").write_bytes(content)
            arrived.append(content)
            number += 1
            stopping.wait(0.5)

    def slow_upload() -> None:
        content = mp4("slow", 60_000)
        with (root / "slow.mp4").open("wb", 0) as file:
            for begin in range(0, len(content), 6_000):
                file.write(content[begin : begin + 6_000])
                time.sleep(0.5)
        arrived.append(content)

    with Sluice(tmp_path / "home", config=config) as sluice:
        users(sluice, OWNER)
        service = sluice.start()
        writers = [threading.Thread(target=keep_arriving), threading.Thread(target=slow_upload)]
        for writer in writers:
            writer.start()
        try:
            service.wait(lambda: len(below(processed)) >= 3, "the first are set aside", SOON_S)
            service.stop()
            time.sleep(2)  # files arrive while nobody watches
            service = sluice.start()
            done = len(below(processed))
            service.wait(lambda: len(below(processed)) >= done + 3, "more are set aside", SOON_S)
            service.kill()
            time.sleep(2)
            service = sluice.start()
            writers[1].join()
        finally:
            stopping.set()
            for writer in writers:
                writer.join()
        service.wait(lambda: len(below(processed)) >= len(arrived), "everything is set aside", 60)
        sluice.call("scan")
        head = sluice.events()[-1]["seq"]
        time.sleep(5)  # longer than the debounce: a loop would show
        assert sluice.events(since=head) == []
        service.stop()

        kept = [path.read_bytes() for path in processed.rglob("*.*") if path.is_file()]
        assert Counter(kept) == Counter(arrived), "every file is there, once"
        contents = set(arrived)
        items = sluice.lines("items")
        assert sorted(item["blake3"] for item in items) == sorted(blake3(content).hexdigest() for content in contents)
        assert {(item["state"], item["owner"]) for item in items} == {("public", OWNER)}
        assert all(item["path"].startswith(str(processed / "imported") + "/") for item in items)
        assert all(digest(item["path"]) == item["blake3"] for item in items)
        assert len(below(processed / "imported")) == len(contents)
        assert len(below(processed / "duplicates")) == len(arrived) - len(contents)
        assert len(sluice.events("item.imported")) == len(contents)
        assert len(sluice.events("file.moved")) == len(arrived)
        assert not sluice.events("file.deleted", "root.offline")
        created = [event["path"] for event in sluice.events("file.created")]
        assert not [path for path in created if path.startswith(str(processed))], "processed/ is no candidate"
        assert set(sluice.files()) == {str(root / "old.jpg")}
        assert (root / "old.jpg").exists(), "what was there before the first start is not imported"
        assert not list(root.rglob(".sluice-*")), "nothing half is left"
