"""Imports by a whole host in this process: one item for each content, and what files of users go through on the way."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.rows import ItemLine
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import BadSetting, UsageError
from mediasluice.model.events import Event
from mediasluice.model.roots import RootState
from mediasluice.pipeline import importing
from mediasluice.service.importing import run_import, wish_for
from mediasluice.service.passing import Request, run_pass
from tests.running import LIMIT_S, Running, one_pass
from tests.samples import jpeg, wav
from tests.service import scaled

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(120)]

AGAIN_S = 0.3
Rules = dict[str, Any]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be imported is tried again at once, not after seconds."""
    monkeypatch.setattr(importing, "RETRY_S", AGAIN_S)
    monkeypatch.setattr(importing, "AGAIN_S", AGAIN_S)


def put(path: Path, content: object = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(path if content is None else content))
    return path


def to(target: Path, *, duplicates: Rules | None = None, library: Rules | None = None, **rules: object) -> Rules:
    """A library that imports to a directory; ``rules`` stand in its section ``import``."""
    section: Rules = {"action": "import", "import": {"target": str(target), **rules}}
    if duplicates is not None:
        section["duplicates"] = duplicates
    return {**section, **(library or {})}


def in_place(**rest: object) -> Rules:
    """A library whose items stay where their files are."""
    return {"action": "import", **rest}


def accounts(base: Path, *names: str) -> None:
    """Make accounts before the service of ``base`` runs."""
    (base / "data").mkdir(exist_ok=True)
    with Catalogue.open(catalogue_file(base / "data")) as catalogue:
        for name in names:
            assert catalogue.add_account(name, 1)


def items(host: Running) -> list[ItemLine]:
    with View.open(catalogue_file(host.data)) as view:
        return list(view.items())


def stored(host: Running) -> list[str]:
    """Where the items have their bytes, relative to the base; all of them are there."""
    paths = [line.path for line in items(host)]
    assert None not in paths, "an item is still on its way"
    assert all(path and os.path.lexists(path) for path in paths), f"bytes of an item are not there: {paths}"
    return sorted(os.fsdecode(path or b"").removeprefix(f"{host.base}/") for path in paths)


def judged(host: Running, *, missing: bool = False) -> dict[str, str]:
    """Path -> judgement of the files that have one."""
    found = {}
    with View.open(catalogue_file(host.data)) as view:
        for path, line in host.lines(missing=missing).items():
            judgement = view.judged(line.id)
            if judgement is not None:
                found[path] = judgement.judgement.value
    return found


def told(host: Running, *kinds: str, since: int = 0) -> list[Event]:
    """The events of these types."""
    return [event for event in host.events() if event.seq > since and event.type.value in kinds]


def counted(host: Running, since: int = 0) -> Counter[str]:
    """How many events of each type were told."""
    return Counter(event.type.value for event in host.events() if event.seq > since)


def until_items(host: Running, count: int) -> list[ItemLine]:
    """Wait until so many items have their bytes and nothing is pending."""

    def are_there() -> bool:
        lines = items(host)
        return len(lines) >= count and all(line.path is not None for line in lines)

    host.until(are_there, f"{count} items")
    host.until_idle()
    lines = items(host)
    assert len(lines) == count, lines
    return lines


def below(directory: Path) -> list[str]:
    """The files below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def before_each(host: Running, hear: Callable[[str], None]) -> None:
    """Have somebody hear of each change of a file system right before the importer makes it."""
    object.__setattr__(host.service.host.importer._transfer, "before", hear)


def held_up(host: Running, stage: str) -> tuple[threading.Event, threading.Event]:
    """Stop the importer before a stage, once: whether it stands there, and what lets it go on."""
    stands, go_on = threading.Event(), threading.Event()

    def hear(what: str) -> None:
        if what == stage and not go_on.is_set():
            stands.set()
            go_on.wait(LIMIT_S)

    before_each(host, hear)
    return stands, go_on


class Blocked:
    """Nothing can be imported to ``target`` inside the ``with`` block: a file has its name."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> None:
        if self._target.is_dir():
            self._target.rmdir()
        self._target.write_bytes(b"not a directory")

    def __exit__(self, *_: object) -> None:
        self._target.unlink()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The import target; it is made by the first import."""
    return tmp_path / "out"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The watched folder."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def host(tmp_path: Path, top: Path, out: Path) -> Iterator[Running]:
    """A service that copies what arrives in ``in`` to ``out``."""
    with Running(tmp_path, {"in": to(out)}) as host:
        host.until_idle()
        yield host


# -- once ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scope", "count"), [("all", 1), ("owner", 2), ("library", 3)])
def test_equal_contents_at_once(tmp_path: Path, out: Path, scope: str, count: int) -> None:
    """Eight files of one content that arrive at once in three libraries are imported once for each scope."""
    accounts(tmp_path, "anna", "ben")
    owners = {"a": "anna", "b": "anna", "c": "ben"}
    libraries = {name: to(out, owner=owner, duplicates={"scope": scope}) for name, owner in owners.items()}
    with Running(tmp_path, libraries) as host:
        host.until_idle()
        for number, library in enumerate("abcabcab"):
            put(tmp_path / library / f"{number}.jpg", "the same")
        host.until(lambda: len(host.catalogued()) == 8, "eight files catalogued")
        until_items(host, count)
        assert Counter(judged(host).values()) == {"imported": count, "duplicate": 8 - count}
        assert counted(host)["item.imported"] == count
        assert len(below(out)) == count
        assert len(stored(host)) == count


def test_a_duplicate_names_its_item(host: Running, top: Path) -> None:
    """The event of a duplicate says of which item, also when the first file lies beside it."""
    put(top / "a.jpg", 1)
    [item] = until_items(host, 1)
    put(top / "b.jpg", 1)
    host.until_catalogued("in/b.jpg")
    host.until_idle()
    [event] = told(host, "file.duplicate")
    assert event.data.get("item") == item.id


def test_names_of_one_inode(tmp_path: Path, top: Path, out: Path) -> None:
    """Two names of one inode are one item; with `mode: move` and `duplicates.to: processed` no byte is lost."""
    away = tmp_path / "away"
    rules = to(out, mode="move", processed_dir=str(away), duplicates={"to": "processed"})
    put(top / "a.jpg", 1)
    os.link(top / "a.jpg", top / "b.jpg")
    content = (top / "a.jpg").read_bytes()
    with Running(tmp_path, {"in": rules}) as host:
        until_items(host, 1)
        host.until(lambda: not below(top), "both names are dealt with")
        host.until_idle()
        [path] = stored(host)
        assert (tmp_path / path).read_bytes() == content
        assert counted(host)["item.imported"] == 1
        assert len(below(out)) == 1


def test_names_of_one_inode_stay_known(tmp_path: Path, top: Path, out: Path) -> None:
    """An import by hard link changes a time of every name of the original; none of them is another file by that."""
    put(top / "a.jpg", 1)
    os.link(top / "a.jpg", top / "b.jpg")
    with Running(tmp_path, {"in": to(out, mode="hardlink")}) as host:
        until_items(host, 1)
        head = host.head()
        result = host.scan()
        assert (result["new"], result["changed"], result["unchanged"]) == (0, 0, 2)
        assert host.story(head) == []


# -- a file after its import ----------------------------------------------------------------------


def test_modified_after_its_import(host: Running, top: Path, out: Path) -> None:
    """A file that is written again is a new version of its item: one item, and the earlier copy stays as it was."""
    put(top / "a.jpg", "first")
    [before] = until_items(host, 1)
    head = host.head()
    (top / "a.jpg").write_bytes(jpeg("second"))
    host.until(lambda: told(host, "item.updated", since=head), "the item is updated")
    host.until_idle()
    [after] = items(host)
    assert after.id == before.id
    assert after.blake3 != before.blake3
    assert before.path is not None
    assert after.path is not None
    assert Path(os.fsdecode(before.path)).read_bytes() == jpeg("first")
    assert Path(os.fsdecode(after.path)).read_bytes() == jpeg("second")
    assert counted(host, head) == {"file.modified": 1, "item.updated": 1}
    put(top / "again.jpg", "second")
    host.until_catalogued("in/again.jpg")
    host.until_idle()
    assert judged(host)["in/again.jpg"] == "duplicate"


def test_the_former_content_comes_again(host: Running, top: Path) -> None:
    """The content that an item had before its file was written again can be imported again: nobody has it now."""
    put(top / "a.jpg", "first")
    until_items(host, 1)
    (top / "a.jpg").write_bytes(jpeg("second"))
    host.until(lambda: told(host, "item.updated"), "the item is updated")
    put(top / "b.jpg", "first")
    until_items(host, 2)
    assert len(set(stored(host))) == 2


def test_modified_in_place(tmp_path: Path, top: Path) -> None:
    """An item that stays in place follows its file through a change."""
    with Running(tmp_path, {"in": in_place()}) as host:
        put(top / "a.jpg", "first")
        [before] = until_items(host, 1)
        (top / "a.jpg").write_bytes(jpeg("second"))
        host.until(lambda: told(host, "item.updated"), "the item is updated")
        [after] = items(host)
        assert (after.id, after.path) == (before.id, os.fsencode(top / "a.jpg"))
        assert after.blake3 != before.blake3
        assert counted(host)["item.imported"] == 1


@pytest.mark.parametrize("where", ["stored", "in place"])
def test_modified_into_a_duplicate(tmp_path: Path, top: Path, out: Path, where: str) -> None:
    """A file that comes to equal another item is its duplicate: no second item has that content."""
    is_stored = where == "stored"
    with Running(tmp_path, {"in": to(out) if is_stored else in_place()}) as host:
        put(top / "a.jpg", "a")
        until_items(host, 1)
        put(top / "b.jpg", "b")
        until_items(host, 2)
        (top / "b.jpg").write_bytes(jpeg("a"))
        host.until(lambda: judged(host).get("in/b.jpg") == "duplicate", "it is a duplicate")
        host.until_idle()
        digests = [line.blake3 for line in items(host)]
        assert len(digests) == len(set(digests)) == (2 if is_stored else 1)
        stored(host)  # what is stored elsewhere stays an item, with its bytes
        other, *kept = items(host)
        assert [line.collides_with for line in (other, *kept)] == [None, *[other.id for _ in kept]]
        assert counted(host)["item.imported"] == 2
        assert counted(host)["item.deleted"] == (0 if is_stored else 1)


def test_too_large_for_a_while(tmp_path: Path, top: Path, out: Path) -> None:
    """A file that was imported, grew too large and shrank again is still one item."""
    with Running(tmp_path, {"in": to(out, max_size=10_000)}) as host:
        put(top / "a.jpg", "first")
        [before] = until_items(host, 1)
        (top / "a.jpg").write_bytes(jpeg("large", 20_000))
        host.until(lambda: told(host, "item.refused"), "it is refused")
        (top / "a.jpg").write_bytes(jpeg("third"))
        host.until(lambda: judged(host).get("in/a.jpg") == "imported", "it is imported again")
        host.until_idle()
        assert [line.id for line in items(host)] == [before.id]


def test_renamed_after_its_import(tmp_path: Path, top: Path, out: Path) -> None:
    """A file that is renamed or moved inside its tree is not imported again; an item in place has the new path."""
    with Running(tmp_path, {"in": in_place()}) as host:
        put(top / "a.jpg", 1)
        put(top / "d" / "b.jpg", 2)
        until_items(host, 2)
        os.rename(top / "a.jpg", top / "d" / "c.jpg")
        os.rename(top / "d", top / "e")
        host.until_catalogued("in/e/b.jpg", "in/e/c.jpg")
        host.until_idle()
        assert stored(host) == ["in/e/b.jpg", "in/e/c.jpg"]
        assert counted(host)["item.imported"] == 2
        assert set(judged(host).values()) == {"imported"}


def test_deleted_item_is_imported_again(host: Running, top: Path, out: Path) -> None:
    """A file whose item was deleted is imported by the next pass; its bytes are at the target still, once."""
    put(top / "a.jpg", 1)
    [item] = until_items(host, 1)
    host.service.host.writer.call(lambda catalogue: catalogue.delete_item(item.id, 5))
    assert items(host) == []
    host.scan()
    [again] = until_items(host, 1)
    assert again.id != item.id
    assert counted(host)["item.imported"] == 2
    assert again.path == item.path
    assert below(out) == ["a.jpg"]


# -- a file before its import ---------------------------------------------------------------------


def test_deleted_while_it_waits(host: Running, top: Path, out: Path) -> None:
    """A file that is deleted before it was imported claims nothing any more: an equal one is imported later."""
    with Blocked(out):
        put(top / "a.jpg", 1)
        host.until_catalogued("in/a.jpg")
        host.until(lambda: "import_waits" in host.log.events(), "its import waits")
        (top / "a.jpg").unlink()
        host.until(lambda: told(host, "file.deleted"), "the deletion is told")
        host.until(lambda: not items(host), "its claim is given back")
    put(top / "b.jpg", 1)
    until_items(host, 1)
    assert stored(host) == ["out/b.jpg"]
    assert judged(host)["in/b.jpg"] == "imported"


def test_the_first_of_two_is_deleted_while_it_waits(host: Running, top: Path, out: Path) -> None:
    """What was called a duplicate of a file that never was imported is imported instead of it, without a pass."""
    with Blocked(out):
        put(top / "a.jpg", 1)
        host.until_catalogued("in/a.jpg")
        put(top / "b.jpg", 1)
        host.until_catalogued("in/b.jpg")
        (top / "a.jpg").unlink()
        host.until(lambda: told(host, "file.deleted"), "the deletion is told")
    until_items(host, 1)
    assert stored(host) == ["out/b.jpg"]


def test_renamed_while_it_waits(host: Running, top: Path, out: Path) -> None:
    """A file that is renamed before it was imported is imported once, from where it is and under its new name."""
    with Blocked(out):
        put(top / "a.jpg", 1)
        host.until_catalogued("in/a.jpg")
        (top / "d").mkdir()
        os.rename(top / "a.jpg", top / "d" / "b.jpg")
        host.until_catalogued("in/d/b.jpg")
    until_items(host, 1)
    assert stored(host) == ["out/b.jpg"]
    assert counted(host)["item.imported"] == 1


def test_its_directory_is_renamed_while_it_waits(host: Running, top: Path, out: Path) -> None:
    """Files whose directory is renamed before they were imported are imported once each, from where they are."""
    with Blocked(out):
        for number in range(10):
            put(top / "d" / "e" / f"{number}.jpg", number)
        host.until_catalogued(*(f"in/d/e/{number}.jpg" for number in range(10)))
        os.rename(top / "d", top / "f")
        host.until_catalogued(*(f"in/f/e/{number}.jpg" for number in range(10)))
    until_items(host, 10)
    assert below(out) == [f"{number}.jpg" for number in range(10)]
    assert counted(host)["item.imported"] == 10


def test_written_while_it_waits(host: Running, top: Path, out: Path) -> None:
    """A file that is written again before it was imported is imported once, with its last content."""
    with Blocked(out):
        put(top / "a.jpg", "first")
        host.until_catalogued("in/a.jpg")
        (top / "a.jpg").write_bytes(jpeg("second"))
        host.until(lambda: told(host, "file.modified"), "the change is told")
    until_items(host, 1)
    assert (out / "a.jpg").read_bytes() == jpeg("second")
    assert below(out) == ["a.jpg"]
    put(top / "b.jpg", "first")
    until_items(host, 2)


@pytest.mark.parametrize("size", [0, 20_000], ids=["empty", "too large"])
def test_unwanted_while_it_waits(tmp_path: Path, top: Path, out: Path, size: int) -> None:
    """A file that is not wanted any more before it was imported claims nothing: an equal one is imported later."""
    with Running(tmp_path, {"in": to(out, max_size=10_000)}) as host:
        host.until_idle()
        with Blocked(out):
            put(top / "a.jpg", "first")
            host.until_catalogued("in/a.jpg")
            (top / "a.jpg").write_bytes(jpeg("large", size) if size else b"")
            host.until(lambda: "in/a.jpg" not in host.catalogued(), "it is not catalogued any more")
            host.until_idle()
        put(top / "b.jpg", "first")
        host.until_catalogued("in/b.jpg")
        host.until(lambda: judged(host).get("in/b.jpg") == "imported", "the equal file is imported")
        assert stored(host) == ["out/b.jpg"]


def test_written_while_its_copy_is_placed(host: Running, top: Path, out: Path) -> None:
    """A file that is written again while its copy is being placed is imported in its new version too."""
    at_work, go_on = held_up(host, "place")
    put(top / "a.jpg", "first")
    host.until(at_work.is_set, "the copy is complete and has no name yet")
    (top / "a.jpg").write_bytes(jpeg("second"))
    host.until(lambda: told(host, "file.modified"), "the change is told")
    go_on.set()
    host.until(lambda: len(below(out)) == 2, "both versions are stored")
    host.until_idle()
    [item] = items(host)
    assert item.path is not None
    assert Path(os.fsdecode(item.path)).read_bytes() == jpeg("second")
    assert host.scan()["changed"] == 0


def test_becomes_a_duplicate_while_its_copy_is_placed(host: Running, top: Path, out: Path) -> None:
    """A file that comes to equal another item while its own copy is being placed ends nothing; no content is twice."""
    put(top / "a.jpg", "a")
    until_items(host, 1)
    at_work, go_on = held_up(host, "place")
    put(top / "b.jpg", "b")
    host.until(at_work.is_set, "the copy is complete and has no name yet")
    (top / "b.jpg").write_bytes(jpeg("a"))
    host.until(lambda: judged(host).get("in/b.jpg") == "duplicate", "it is a duplicate")
    go_on.set()
    host.until_idle()
    put(top / "c.jpg", "c")
    host.until(lambda: judged(host).get("in/c.jpg") == "imported", "others are imported")
    assert judged(host)["in/b.jpg"] == "duplicate"
    digests = [line.blake3 for line in items(host)]
    assert len(digests) == len(set(digests))


def test_a_duplicate_is_deleted_while_it_waits(tmp_path: Path, top: Path, out: Path) -> None:
    """A duplicate that is deleted before it was set aside takes nothing from the file that is to be the item."""
    away = tmp_path / "away"
    rules = to(out, processed_dir=str(away), duplicates={"to": "processed"}, library={"existing": "baseline"})
    with Running(tmp_path, {"in": rules}) as host:
        host.until_idle()
        with Blocked(out), Blocked(away):
            put(top / "a.jpg", 1)
            host.until_catalogued("in/a.jpg")
            put(top / "b.jpg", 1)
            host.until_catalogued("in/b.jpg")
            (top / "b.jpg").unlink()
            host.until(lambda: told(host, "file.deleted"), "the deletion is told")
            host.until(lambda: judged(host, missing=True).get("in/b.jpg") == "duplicate", "it is known as one")
            host.until_idle(quiet_s=2.0)
        until_items(host, 1)
        assert stored(host) == ["out/a.jpg"]


def test_a_full_disk_costs_no_name(host: Running, top: Path, out: Path) -> None:
    """A file that found no room keeps its name when it is tried again."""
    refusals = iter(range(3))

    def before(stage: str) -> None:
        if stage == "part" and next(refusals, None) is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))

    before_each(host, before)
    put(top / "a.jpg", 1)
    until_items(host, 1)
    assert next(refusals, None) is None, "the disk was not full often enough: the test shows nothing"
    assert stored(host) == ["out/a.jpg"]


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_directory_that_cannot_be_synced_for_a_while(
    tmp_path: Path, top: Path, out: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A copy that may not be durable is neither done again nor told before it is."""
    out.mkdir()
    sync, place, refusals = os.fsync, out.stat().st_ino, iter(range(3))

    def refuse(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == place and next(refusals, None) is not None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with Running(tmp_path, {"in": to(out, mode=mode)}) as host:
        host.until_idle()
        put(top / "a.jpg", 1)
        until_items(host, 1)
        host.until_idle()
        assert next(refusals, None) is None
        assert below(out) == ["a.jpg"]
        assert counted(host)["item.imported"] == 1
        assert below(top) == ([] if mode == "move" else ["a.jpg"])


def test_stopped_while_it_waits(tmp_path: Path, top: Path, out: Path) -> None:
    """What waits for its import when the service ends is imported by the next one, once."""
    with Running(tmp_path, {"in": to(out)}) as host:
        host.until_idle()
        with Blocked(out):
            for number in range(5):
                put(top / f"{number}.jpg", number)
            host.until_catalogued(*(f"in/{number}.jpg" for number in range(5)))
            host.service.host.importer.stop()
    os.rename(top / "0.jpg", top / "renamed.jpg")
    (top / "1.jpg").unlink()
    put(top / "2.jpg", "another")
    with Running(tmp_path, {"in": to(out)}) as host:
        host.until(lambda: told(host, "file.deleted"), "the deletion is told")
        until_items(host, 4)
        assert counted(host)["item.imported"] == 4
        assert stored(host) == ["out/2.jpg", "out/3.jpg", "out/4.jpg", "out/renamed.jpg"]
        assert (out / "2.jpg").read_bytes() == jpeg("another")


def test_root_offline_while_imports_are_due(tmp_path: Path, top: Path, out: Path) -> None:
    """While a root is away its files wait for their import; when it is back they are imported, once each."""
    with Running(tmp_path, {"in": to(out), "other": in_place()}) as host:
        host.until_idle()
        with Blocked(out):
            for number in range(5):
                put(top / f"{number}.jpg", number)
            host.until_catalogued(*(f"in/{number}.jpg" for number in range(5)))
            os.rename(top, tmp_path / "elsewhere")
            host.until(lambda: host.root("in").state is RootState.OFFLINE, "the root is offline")
        put(tmp_path / "other" / "b.jpg", "other")
        host.until_catalogued("other/b.jpg")
        host.until(lambda: sum(line.path is not None for line in items(host)) == 1, "others are imported meanwhile")
        os.rename(tmp_path / "elsewhere", top)
        host.until(lambda: host.root("in").state is RootState.ONLINE, "the root is back")
        until_items(host, 6)
        assert counted(host)["item.imported"] == 6
        assert not told(host, "file.deleted")
        assert below(out) == [f"{number}.jpg" for number in range(5)]


# -- what is there already, and what is not wanted ------------------------------------------------


def test_baseline_is_not_imported(tmp_path: Path, top: Path, out: Path) -> None:
    """With `existing: baseline` what was there is catalogued only; what comes later is imported, restarted or not."""
    rules = to(out, library={"existing": "baseline"})
    for number in range(5):
        put(top / f"old{number}.jpg", number)
    with Running(tmp_path, {"in": rules}) as host:
        host.until_idle()
        assert items(host) == []
        assert set(judged(host).values()) == {"baseline"}
        put(top / "new.jpg", "new")
        until_items(host, 1)
        host.scan()
    put(top / "meanwhile.jpg", "meanwhile")
    with Running(tmp_path, {"in": rules}) as host:
        until_items(host, 2)
        put(top / "copy.jpg", 0)
        until_items(host, 3)  # a baseline file is no item: its copy is the first
        assert stored(host) == ["out/copy.jpg", "out/meanwhile.jpg", "out/new.jpg"]
        assert not told(host, "item.refused")


def test_arrives_during_the_first_pass(tmp_path: Path) -> None:
    """What arrives while the first pass runs was not there before: it is imported, and nothing else is."""
    for count in (scaled(4_000, 20_000) * 2**attempt for attempt in range(4)):
        base = tmp_path / str(count)
        if _arrived_during_the_first_pass(base, count):
            return
    pytest.fail("each pass was through before anything arrived: the test shows nothing")


def _arrived_during_the_first_pass(base: Path, count: int) -> bool:
    """Gives whether the pass over so many files was slow enough."""
    top = base / "in"
    for number in range(count):
        put(top / f"{number % 50:02d}" / f"old{number}.jpg", number)
    with Running(base, {"in": to(base / "out", library={"existing": "baseline"})}) as host:
        host.until(host.head, "the first pass is under way")
        if len(host.catalogued()) == count:
            return False
        for number in range(100):
            put(top / f"{number % 50:02d}" / f"new{number}.jpg", f"new{number}")
        host.until(lambda: len(host.catalogued()) == count + 100, "all is catalogued")
        host.until_idle()
        imported = {path for path, judgement in judged(host).items() if judgement == "imported"}
        assert {Path(path).name for path in imported} == {f"new{number}.jpg" for number in range(100)}
    return True


def test_arrives_before_the_first_pass_lists_it(tmp_path: Path, top: Path, out: Path) -> None:
    """What arrives when the watches are placed is imported, though the first pass lists it while it is unsettled."""
    count = scaled(1_000, 10_000)
    for number in range(count):
        put(top / f"{number % 50:02d}" / f"old{number}.jpg", number)
    with Running(tmp_path, {"in": to(out, library={"existing": "baseline", "debounce": "1s"})}) as host:
        while host.root("in").source is None:
            pass
        for number in range(20):
            put(top / "49" / f"new{number}.jpg", f"new{number}")
        host.until(lambda: len(host.catalogued()) == count + 20, "all is catalogued")
        host.until_idle()
        imported = {path for path, judgement in judged(host).items() if judgement == "imported"}
        assert {Path(path).name for path in imported} == {f"new{number}.jpg" for number in range(20)}


def test_first_pass_was_interrupted(tmp_path: Path, top: Path, out: Path) -> None:
    """A first pass that saw only a part leaves the rest baseline as well: nobody asked for its import."""
    rules = to(out, library={"existing": "baseline"})
    for number in range(3):
        put(top / "seen" / f"{number}.jpg", number)
        put(top / "unseen" / f"{number}.jpg", f"unseen{number}")
    with Running(tmp_path, {"in": rules}, is_service=False) as host:
        root = host.root("in")

        list(run_pass(host.service, Request([(root, b"seen")], settle_timeout_s=10)))
        assert len(host.catalogued()) == 3
    with Running(tmp_path, {"in": rules}) as host:
        host.until(lambda: len(host.catalogued()) == 6, "all is catalogued")
        host.until_idle()
        assert set(judged(host).values()) == {"baseline"}
        assert items(host) == []


@pytest.mark.parametrize("existing", ["import", "baseline"])
def test_a_known_library_begins_to_import(tmp_path: Path, top: Path, out: Path, existing: str) -> None:
    """A library that goes over to `action: import` does with what it knows what `existing` says."""
    for number in range(5):
        put(top / f"{number}.jpg", number)
    put(top / "twin.jpg", 0)
    with Running(tmp_path, {"in": {}}) as host:
        host.until(lambda: len(host.catalogued()) == 6, "all is catalogued")
        assert judged(host) == {}
        host.replace({"in": to(out, library={"existing": existing})})
        count = 5 if existing == "import" else 0
        if count:
            until_items(host, count)
        host.until(lambda: len(judged(host)) == 6, "all is judged")
        put(top / "new.jpg", "new")
        until_items(host, count + 1)
        assert counted(host)["item.imported"] == count + 1
        words = {"import": {"imported": 6, "duplicate": 1}, "baseline": {"baseline": 6, "imported": 1}}[existing]
        assert Counter(judged(host).values()) == words


def test_an_importing_library_only_catalogues_from_now_on(host: Running, top: Path, out: Path) -> None:
    """A library that stops to import leaves its items and imports nothing more; what waited is not imported."""
    put(top / "a.jpg", 1)
    until_items(host, 1)
    with Blocked(out.with_name("other")):
        host.replace({"in": {}})
        put(top / "b.jpg", 2)
        host.until_catalogued("in/b.jpg")
        host.until_idle()
        assert stored(host) == ["out/a.jpg"]
        assert "in/b.jpg" not in judged(host)


def test_refused_and_junk_are_told_once(tmp_path: Path, top: Path, out: Path) -> None:
    """What the rules do not want is refused with its reason, once: not again by a rescan or after a restart."""
    accounts(tmp_path, "anna")
    quick = {"debounce": "0s", "existing": "import", "settle": {"unknown": "300ms"}}
    rules = to(out, owner="anna", max_size=10_000, library=quick)
    (top / "large.jpg").write_bytes(jpeg("large", 20_000))
    (top / "text.jpg").write_bytes(b"no picture" * 50)
    (top / "packed.zip").write_bytes(b"junk" * 10)
    put(top / "good.jpg", 1)
    with Running(tmp_path, {"in": rules}, preset="mediacms") as host:
        until_items(host, 1)
        (top / "sound.wav").write_bytes(wav("sound", 20_000))
        (top / "packed.rar").write_bytes(b"junk" * 11)
        host.until(lambda: counted(host)["item.refused"] >= 3, "three are refused")
        host.until(lambda: counted(host)["file.junk"] >= 2, "two are junk")
        host.until_idle()
        refused = {os.path.basename(event.path): event.data for event in told(host, "item.refused", "file.junk")}
        assert set(refused) == {b"large.jpg", b"text.jpg", b"sound.wav", b"packed.zip", b"packed.rar"}
        assert all(data["reason"] for data in refused.values())
        head = host.head()
        host.scan()
        assert host.head() == head
        os.utime(top)
        host.scan()
        assert host.head() == head
    with Running(tmp_path, {"in": rules}, preset="mediacms") as host:
        host.until_idle()
        assert host.head() == head
        assert len(items(host)) == 1
    assert below(out) == ["good.jpg"]


def test_refused_and_then_wanted(tmp_path: Path, top: Path, out: Path) -> None:
    """A refused file that changes into a wanted one is imported."""
    with Running(tmp_path, {"in": to(out, max_size=10_000)}) as host:
        (top / "a.jpg").write_bytes(jpeg("large", 20_000))
        host.until(lambda: told(host, "item.refused"), "it is refused")
        (top / "a.jpg").write_bytes(jpeg("small"))
        until_items(host, 1)
        assert judged(host) == {"in/a.jpg": "imported"}


def test_a_larger_limit_takes_what_was_refused(tmp_path: Path, top: Path, out: Path) -> None:
    """A limit that is raised while the service runs lets in what was refused by the former one."""
    with Running(tmp_path, {"in": to(out, max_size=10_000)}) as host:
        (top / "a.jpg").write_bytes(jpeg("large", 20_000))
        host.until(lambda: told(host, "item.refused"), "it is refused")
        host.replace({"in": to(out, max_size=100_000)})
        host.scan()
        until_items(host, 1)


# -- what we move ourselves -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["mode: move", "after: move", "in place, after: move"])
def test_all_files_of_a_root_leave(tmp_path: Path, top: Path, out: Path, way: str) -> None:
    """Files that we move away are told as moved, never as deleted; their root stays online, though it is empty."""
    count = scaled(300, 3_000)
    away = tmp_path / "away"
    rules = {
        "mode: move": to(out, mode="move"),
        "after: move": to(out, after="move", processed_dir=str(away)),
        "in place, after: move": in_place(**{"import": {"after": "move", "processed_dir": str(away)}}),
    }[way]
    with Running(tmp_path, {"in": rules}) as host:
        host.until_idle()
        for number in range(count):
            put(tmp_path / "outside" / f"{number}.jpg", number)
        for number in range(count):
            os.rename(tmp_path / "outside" / f"{number}.jpg", top / f"{number}.jpg")
        host.until(lambda: not below(top), "every file has left")
        host.until_idle()
        host.scan()
        host.until_idle(quiet_s=3.0)  # longer than a file that left may take to be called deleted
        names = counted(host)
        assert (names["item.imported"], names["file.moved"], names["file.deleted"]) == (count, count, 0)
        assert not told(host, "root.offline", "root.online")
        assert host.root("in").state is RootState.ONLINE
        assert host.lines() == {}
        assert len(stored(host)) == count
        cause = "import" if way == "mode: move" else "processed"
        moved = told(host, "file.moved")
        assert {event.data["cause"] for event in moved} == {cause}
        assert all(os.path.exists(event.path) for event in moved)
        assert all(event.old_path is not None and event.old_path.startswith(os.fsencode(top)) for event in moved)


def test_passes_while_files_leave(tmp_path: Path, top: Path, out: Path) -> None:
    """Passes over a root that we are emptying take nothing for deleted and nothing for too much."""
    count = scaled(400, 5_000)
    for number in range(count):
        put(top / f"{number % 7}" / f"{number}.jpg", number)
    with Running(tmp_path, {"in": to(out, mode="move")}) as host:
        host.until(lambda: below(out), "the first have left")
        while below(top):
            result = host.scan()
            assert result["held"] == 0, result
        until_items(host, count)
        host.until_idle(quiet_s=3.0)
        assert not told(host, "file.deleted", "root.offline")
        assert host.root("in").state is RootState.ONLINE
        assert counted(host)["file.moved"] == count


def test_a_new_file_under_a_name_that_was_just_freed(tmp_path: Path, top: Path, out: Path) -> None:
    """A camera that uses a name again as soon as it is free: each of its pictures is an item of its own."""
    with Running(tmp_path, {"in": to(out, mode="move")}) as host:
        host.until_idle()
        at_work, go_on = held_up(host, "sync directory")
        put(top / "cam.jpg", "first")
        host.until(at_work.is_set, "the first one is at its target, and its step is open")
        root, intake = host.root("in"), host.service.host.intake

        def is_waited_for() -> bool:
            return host.service.ask(lambda: intake.is_tracked(root, b"", b"cam.jpg"))

        put(top / "cam.jpg", "second")
        host.until(is_waited_for, "the second one is seen")
        host.until(lambda: not is_waited_for(), "it has settled while the step is open")
        go_on.set()
        until_items(host, 2)
        host.until(lambda: not below(top), "both are moved")
        host.until_idle()
        assert sorted((out / name).read_bytes() for name in below(out)) == sorted([jpeg("first"), jpeg("second")])
        assert counted(host)["item.imported"] == 2
        assert counted(host)["item.updated"] == counted(host)["file.deleted"] == 0


def test_moved_and_there_again(tmp_path: Path, top: Path, out: Path) -> None:
    """A file with the name and content of one that was moved away is another file, and a duplicate."""
    with Running(tmp_path, {"in": to(out, mode="move")}) as host:
        put(top / "a.jpg", 1)
        until_items(host, 1)
        host.until(lambda: not below(top), "it has left")
        put(top / "a.jpg", 1)
        host.until_catalogued("in/a.jpg")
        host.until_idle()
        assert judged(host)["in/a.jpg"] == "duplicate"
        assert counted(host)["file.created"] == 2
        assert below(out) == ["a.jpg"]
        put(top / "b.jpg", 2)
        until_items(host, 2)


def test_processed_inside_the_root(tmp_path: Path, top: Path) -> None:
    """A processed directory inside its root is never looked at: nothing in it is a candidate, however it came there."""
    away = top / "processed"
    rules = in_place(**{"import": {"after": "move", "processed_dir": str(away)}, "duplicates": {"to": "processed"}})
    with Running(tmp_path, {"in": rules}) as host:
        put(top / "d" / "a.jpg", 1)
        until_items(host, 1)
        put(top / "b.jpg", 1)
        host.until(
            lambda: below(top) == ["processed/duplicates/b.jpg", "processed/imported/a.jpg"], "both are set aside"
        )
        put(away / "imported" / "by-hand.jpg", "by hand")
        host.scan()
        host.until_idle()
        assert host.lines() == {}
        assert counted(host) == {
            "file.created": 2, "item.imported": 1, "file.duplicate": 1, "file.moved": 2
        }  # fmt: skip
        assert stored(host) == ["in/processed/imported/a.jpg"]


def test_import_by_hard_link_changes_nothing(tmp_path: Path, top: Path, out: Path) -> None:
    """An import by hard link leaves its source known as it is: a rescan finds nothing new, changed or to be read."""
    for number in range(20):
        put(top / f"{number}.jpg", number)
    with Running(tmp_path, {"in": to(out, mode="hardlink!")}) as host:
        until_items(host, 20)
        head = host.head()
        for _ in range(2):
            result = host.scan()
            assert (result["new"], result["changed"], result["unchanged"]) == (0, 0, 20)
        assert host.head() == head
        assert all(os.path.samefile(top / f"{number}.jpg", out / f"{number}.jpg") for number in range(20))
    result = one_pass(tmp_path, "in")
    assert (result["new"], result["changed"], result["unchanged"]) == (0, 0, 20)


# -- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["copy", "move", "hardlink"])
@pytest.mark.parametrize("action", ["catalogue", "import"])
def test_the_target_is_watched(tmp_path: Path, mode: str, action: str) -> None:
    """A target inside another library is no second import: no item, no verdict and no move for the item's own bytes."""
    away = {"import": {"processed_dir": str(tmp_path / "away")}, "duplicates": {"to": "processed"}}
    second: Rules = {} if action == "catalogue" else in_place(**away)
    with Running(tmp_path, {"in": to(tmp_path / "shelf" / "new", mode=mode), "shelf": second}) as host:
        host.until_idle()
        put(tmp_path / "in" / "a.jpg", 1)
        host.until(lambda: items(host) or told(host, "item.refused"), "it is dealt with")
        host.until_idle()
        host.scan()
        host.until_idle(quiet_s=2.5)
        assert not (tmp_path / "away").exists()
        assert not told(host, "file.deleted")
        assert "duplicate" not in judged(host).values()
        if action == "import" and (refused := told(host, "item.refused")):
            assert "shelf" in str(refused[0].data["reason"]), "said in words: which library is in the way"
            assert below(tmp_path / "shelf") == []
            return
        assert stored(host) == ["shelf/new/a.jpg"]
        assert counted(host)["item.imported"] == 1
        assert "shelf/new/a.jpg" in host.catalogued()
        if mode == "move":
            [moved] = told(host, "file.moved")
            assert moved.path == os.fsencode(tmp_path / "shelf" / "new" / "a.jpg")
            assert moved.old_path == os.fsencode(tmp_path / "in" / "a.jpg")
            assert counted(host)["file.created"] == 1, "it is the same file, not a new one"


def test_moved_into_a_watched_target_keeps_its_id(tmp_path: Path) -> None:
    """A file that we move into another library is the same file there, every time."""
    with Running(tmp_path, {"in": to(tmp_path / "shelf", mode="move"), "shelf": {}}) as host:
        host.until_idle()
        for number in range(40):
            put(tmp_path / "in" / f"{number}.jpg", number)
        until_items(host, 40)
        host.until(lambda: len(host.catalogued()) == 40, "all are known at their new places")
        host.until_idle(quiet_s=2.5)
        assert {line.file for line in items(host)} == set(host.catalogued().values())
        assert counted(host)["file.created"] == 40
        assert counted(host)["file.moved"] == 40
        assert not told(host, "file.deleted", "file.duplicate")
        moved = told(host, "file.moved")
        assert {event.old_path for event in moved} == {os.fsencode(tmp_path / "in" / f"{n}.jpg") for n in range(40)}
        assert {event.path for event in moved} == {os.fsencode(tmp_path / "shelf" / f"{n}.jpg") for n in range(40)}


def test_a_watched_target_begins_to_import(tmp_path: Path) -> None:
    """A library that holds the bytes of another one's items finds them imported when it begins to import itself."""
    shelf = tmp_path / "shelf"
    away = {"import": {"processed_dir": str(tmp_path / "away")}, "duplicates": {"to": "processed"}}
    with Running(tmp_path, {"in": to(shelf), "shelf": {}}) as host:
        put(tmp_path / "in" / "a.jpg", 1)
        put(shelf / "own.jpg", 2)
        host.until_catalogued("in/a.jpg", "shelf/a.jpg", "shelf/own.jpg")
        until_items(host, 1)
        host.replace({"in": {}, "shelf": in_place(**away)})
        until_items(host, 2)
        assert stored(host) == ["shelf/a.jpg", "shelf/own.jpg"]
        assert judged(host)["shelf/a.jpg"] == "imported"
        assert not (tmp_path / "away").exists()


def test_the_target_lies_in_its_own_root(tmp_path: Path, top: Path) -> None:
    """A target below the root of its own library is never a candidate."""
    with Running(tmp_path, {"in": to(top / "library", template="{directory}/{name}")}) as host:
        put(top / "d" / "a.jpg", 1)
        until_items(host, 1)
        host.scan()
        host.until_idle()
        assert list(host.lines()) == ["in/d/a.jpg"]
        assert below(top) == ["d/a.jpg", "library/d/a.jpg"]


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A directory on another file system than that of the tests."""
    place = Path("/dev/shm") / f"sluice-imports-{os.getpid()}"
    if not place.parent.is_dir() or os.stat(place.parent).st_dev == os.stat("/tmp").st_dev:
        pytest.skip("no second file system that can be written to")
    place.mkdir()
    yield place
    shutil.rmtree(place)


def test_move_to_another_disk(tmp_path: Path, top: Path, other_disk: Path) -> None:
    """A move to another file system leaves one file, there, with its content and time; it is told as moved."""
    with Running(tmp_path, {"in": to(other_disk / "out", mode="move")}) as host:
        host.until_idle()
        for number in range(20):
            os.utime(put(top / "d" / f"{number}.jpg", number), (1_000_000_000, 1_000_000_000))
        until_items(host, 20)
        host.until(lambda: not below(top), "the originals are gone")
        host.until_idle(quiet_s=2.5)
        found = {path.name: path.read_bytes() for path in (other_disk / "out").iterdir()}
        assert found == {f"{number}.jpg": jpeg(number) for number in range(20)}
        assert {path.stat().st_mtime for path in (other_disk / "out").iterdir()} == {1_000_000_000}
        assert counted(host) == {"file.created": 20, "item.imported": 20, "file.moved": 20}


def test_hard_link_or_nothing(tmp_path: Path, top: Path, other_disk: Path) -> None:
    """`hardlink!` refuses a file that cannot be linked, says why, and takes it when the rules are changed."""
    with Running(tmp_path, {"in": to(other_disk / "out", mode="hardlink!")}) as host:
        put(top / "a.jpg", 1)
        host.until(lambda: told(host, "item.refused"), "it is refused")
        assert "hard link" in str(told(host, "item.refused")[0].data["reason"])
        assert items(host) == []
        host.replace({"in": to(other_disk / "out", mode="hardlink")})
        host.scan()
        until_items(host, 1)


def test_a_target_is_taken_out_of_another_library(tmp_path: Path, top: Path, out: Path) -> None:
    """What was refused because its target lay in another importing library is imported when the target is changed."""
    with Running(tmp_path, {"in": to(tmp_path / "shelf" / "new"), "shelf": in_place()}) as host:
        put(top / "a.jpg", 1)
        host.until(lambda: items(host) or told(host, "item.refused"), "it is dealt with")
        host.replace({"in": to(out), "shelf": in_place()})
        host.scan()
        until_items(host, 1)


def test_what_is_refused_costs_no_name(tmp_path: Path, top: Path) -> None:
    """A file that was refused because of where its target lies gets its own name when it is imported after all."""
    out = tmp_path / "shelf" / "new"
    out.mkdir(parents=True)
    with Running(tmp_path, {"in": to(out), "shelf": in_place()}) as host:
        put(top / "a.jpg", 1)
        host.until(lambda: told(host, "item.refused"), "it is refused")
        host.until_idle()
        host.replace({"in": to(out)})
        wish = wish_for(os.fsencode(top / "a.jpg"), host.service.host.intake.roots.values())
        list(run_import(host.service, [wish], None, settle_timeout_s=5.0))
        host.until_idle()
        assert stored(host) == ["shelf/new/a.jpg"]


def test_an_update_that_cannot_be(tmp_path: Path, top: Path, out: Path) -> None:
    """A new version that the rules cannot bring to its target is refused, once; the item stays as it was."""
    with Running(tmp_path, {"in": to(out), "shelf": in_place()}) as host:
        put(top / "a.jpg", "first")
        [before] = until_items(host, 1)
        host.replace({"in": to(tmp_path / "shelf" / "new"), "shelf": in_place()})
        (top / "a.jpg").write_bytes(jpeg("second"))
        host.until(lambda: told(host, "item.refused", "item.updated"), "it is dealt with")
        host.until_idle(quiet_s=1.0)
        assert counted(host)["item.refused"] == 1
        assert [(line.id, line.path) for line in items(host)] == [(before.id, before.path)]
        stored(host)


def test_names_that_look_alike(host: Running, top: Path, out: Path) -> None:
    """Names that differ only in case or in their Unicode form do not clash in the target; each content is there."""
    composed, decomposed = normalize("NFC", "Café.jpg"), normalize("NFD", "Café.jpg")
    names = ["photo.jpg", "PHOTO.JPG", "Photo.jpg", composed, decomposed]
    contents = {jpeg(name) for name in names}
    for name in names:
        put(top / name, name)
    until_items(host, 5)
    found = below(out)
    assert {(out / name).read_bytes() for name in found} == contents
    assert len({normalize("NFC", name).casefold() for name in found}) == 5
    assert all(name == normalize("NFC", name) for name in found)


def test_two_libraries_with_one_target(tmp_path: Path, out: Path) -> None:
    """Two libraries that import to the same directory do not take names from one another, nor overwrite anything."""
    out.mkdir()
    (out / "0.jpg").write_bytes(b"was there before")
    with Running(tmp_path, {"a": to(out), "b": to(out, mode="move")}) as host:
        host.until_idle()
        for number in range(20):
            put(tmp_path / "a" / f"{number}.jpg", f"a{number}")
            put(tmp_path / "b" / f"{number}.jpg", f"b{number}")
        until_items(host, 40)
        assert (out / "0.jpg").read_bytes() == b"was there before"
        found = {(out / name).read_bytes() for name in below(out)} - {b"was there before"}
        assert found == {jpeg(f"{library}{number}") for library in "ab" for number in range(20)}


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_names_that_are_no_text(tmp_path: Path, top: Path, out: Path, mode: str) -> None:
    """A name of any bytes is imported under the same bytes, and its events say where it went."""
    with Running(tmp_path, {"in": to(out, mode=mode, template="{directory}/{name}")}) as host:
        host.until_idle()
        place = os.path.join(os.fsencode(top), b"d\xffr")
        os.mkdir(place)
        with open(os.path.join(place, b"caf\xe9.jpg"), "wb") as file:
            file.write(jpeg(1))
        [item] = until_items(host, 1)
        assert item.path == os.path.join(os.fsencode(out), b"d\xffr", b"caf\xe9.jpg")
        assert item.path is not None
        assert os.path.exists(item.path)
        [event] = told(host, "item.imported")
        assert os.fsencode(str(event.data["to"])) == item.path
        if mode == "move":
            [moved] = told(host, "file.moved")
            assert moved.path == item.path


def test_symbolic_links_that_are_followed(tmp_path: Path, top: Path, out: Path) -> None:
    """A link to a file counts as a file where the library follows links: its content is imported once."""
    put(top / "real.jpg", 1)
    put(tmp_path / "elsewhere.jpg", 2)
    os.symlink("real.jpg", top / "link.jpg")
    with Running(tmp_path, {"in": to(out, library={"follow_symlinks": "files"})}) as host:
        host.until(lambda: "in/real.jpg" in host.catalogued(), "the file is catalogued")
        host.until(
            lambda: Counter(judged(host).values())["pending"] == 0 and len(items(host)) == 1, "nothing waits any more"
        )
        host.until_idle()
        [path] = stored(host)
        assert (tmp_path / path).read_bytes() == jpeg(1)


def test_a_link_alone_that_is_followed(tmp_path: Path, top: Path, out: Path) -> None:
    """A link whose file is ignored is imported by its content, or refused with a reason; it does not wait for ever."""
    put(top / "hidden" / "real.jpg", 1)
    os.symlink("hidden/real.jpg", top / "link.jpg")
    rules = to(out, library={"follow_symlinks": "files", "exclude": ["hidden/"]})
    with Running(tmp_path, {"in": rules}) as host:
        host.until(lambda: judged(host).get("in/link.jpg") in {"imported", "refused"}, "it is decided", limit_s=15)


# -- accounts and rules -----------------------------------------------------------------------------


def test_an_unknown_owner_is_refused(tmp_path: Path, top: Path, out: Path) -> None:
    """A configuration that names an unknown owner is refused while the service runs; imports go on by the last one."""
    with Running(tmp_path, {"in": to(out)}) as host:
        host.until_idle()
        with pytest.raises(BadSetting, match="nobody-here"):
            host.replace({"in": to(out, owner="nobody-here")})
        put(top / "a.jpg", 1)
        until_items(host, 1)


def test_the_owner_is_removed_meanwhile(tmp_path: Path, top: Path, out: Path) -> None:
    """An account that is removed while a library imports for it ends nothing: its files wait, and it is said why."""
    accounts(tmp_path, "anna")
    with Running(tmp_path, {"in": to(out, owner="anna")}) as host:
        host.until_idle()
        with contextlib.suppress(UsageError):  # to refuse it is as good
            host.service.host.writer.call(lambda catalogue: catalogue.remove_account("anna"))
        put(top / "a.jpg", 1)
        host.until_catalogued("in/a.jpg")
        assert host.service.failure is None


def test_rules_change_while_files_wait(host: Running, top: Path, out: Path, tmp_path: Path) -> None:
    """A file that waits for its import goes where the rules say when its turn comes."""
    other = tmp_path / "other"
    with Blocked(out):
        put(top / "a.jpg", 1)
        host.until_catalogued("in/a.jpg")
        host.replace({"in": to(other, state="private", template="x/{name}")})
        until_items(host, 1)
    assert stored(host) == ["other/x/a.jpg"]
    put(top / "b.jpg", 2)
    assert {line.state for line in until_items(host, 2) if line.title == "b"} == {"private"}
