"""A whole host in this process, on real folders: what becomes of files under its eyes and while it is away."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from mediasluice.model.files import FileState
from mediasluice.model.roots import RootState, WatchMode
from mediasluice.pipeline import passes
from tests.running import Running
from tests.samples import jpeg
from tests.service import Sluice

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(120)]

GRACE_S = 2.0


def put(path: Path, content: object = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(content or path))
    return path


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The watched folder."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def host(tmp_path: Path, top: Path) -> Iterator[Running]:
    """A service over ``in``, ready."""
    with Running(tmp_path, ["in"]) as host:
        host.until_idle()
        yield host


def types(host: Running, since: int = 0) -> list[str]:
    return [kind for kind, *_ in host.story(since)]


# -- odd input ----------------------------------------------------------------------------------


def test_times_beyond_the_year_2262(host: Running, top: Path) -> None:
    """A file or a directory from the far future is catalogued like any other, and stops nothing."""
    far_s = 11_000_000_000  # in the year 2318
    put(top / "future" / "a.jpg")
    put(top / "b.jpg")
    os.utime(top / "future" / "a.jpg", (far_s, far_s))
    os.utime(top / "future", (far_s, far_s))
    if os.stat(top / "future").st_mtime != far_s:
        pytest.skip("this file system does not keep such a time")
    host.until_catalogued("in/future/a.jpg", "in/b.jpg")
    assert host.scan("in")["errors"] == 0
    assert host.scan("in")["unchanged"] == 2


def test_a_companion_whose_name_is_no_text(tmp_path: Path) -> None:
    """What a file waits for can have any name; the reason shows it escaped, and nothing ends because of it."""
    name = os.fsdecode(b"caf\xe9.jpg")
    for number, path in enumerate((tmp_path / "in" / name, tmp_path / "in" / f"{name}.part"), 1):
        put(path, number)
    with Running(tmp_path, ["in"]) as host:
        host.until(lambda: host.lines().get(f"in/{name}"), "it waits")
        assert "udce9" in (host.lines()[f"in/{name}"].reason or "")
        os.remove(tmp_path / "in" / f"{name}.part")
        host.until_catalogued(f"in/{name}")


@pytest.mark.parametrize("rules", [{"include": ["*.mp4"]}, {"exclude": ["*.aria2"]}])
def test_a_companion_that_no_rule_wants(tmp_path: Path, rules: dict[str, list[str]]) -> None:
    """A file is unfinished as long as its companion is there, also where that is ignored."""
    with Running(tmp_path, {"in": rules}, is_service=False) as host:
        for name in ("a.mp4", "a.mp4.aria2", "b.mp4"):
            (tmp_path / "in" / name).write_bytes(b"long at rest" * 20)
            os.utime(tmp_path / "in" / name, (1_000_000_000, 1_000_000_000))
        host.scan("in", settle_s=8)
        assert host.lines()["in/a.mp4"].state is FileState.SETTLING
        assert "companion" in (host.lines()["in/a.mp4"].reason or "")


# -- renames ------------------------------------------------------------------------------------


def test_rename_chain_before_it_settled(host: Running, top: Path) -> None:
    """A new file that is renamed twice before it settled is created once, under its last name."""
    put(top / "a.jpg")
    os.rename(top / "a.jpg", top / "b.jpg")
    os.rename(top / "b.jpg", top / "c.jpg")
    host.until_catalogued("in/c.jpg")
    host.until_idle()
    assert host.story() == [("created", "in/c.jpg")]


def test_a_name_that_is_taken_at_once(host: Running, top: Path) -> None:
    """Who takes the name of a file that is long to read comes after it: both keep their ids, nothing is deleted."""
    (top / "a.bin").write_bytes(os.urandom(40 << 20))
    put(top / "b.jpg", 2)
    ids = host.until_catalogued("in/a.bin", "in/b.jpg")
    host.until_idle()
    since = host.head()
    os.rename(top / "a.bin", top / "old.bin")
    os.rename(top / "b.jpg", top / "a.bin")
    put(top / "b.jpg", 3)
    names = host.until_catalogued("in/old.bin", "in/a.bin", "in/b.jpg")
    host.until(lambda: len(host.story(since)) == 3, "three events")
    host.until_idle()
    assert host.story(since) == [
        ("renamed", "in/old.bin", "in/a.bin"),
        ("renamed", "in/a.bin", "in/b.jpg"),
        ("created", "in/b.jpg"),
    ]
    names = host.catalogued()
    assert (names["in/old.bin"], names["in/a.bin"]) == (ids["in/a.bin"], ids["in/b.jpg"])


def test_two_files_renamed_to_one_name(host: Running, top: Path) -> None:
    """The first is overwritten by the second before anybody looked at it: it is deleted, and not known for ever."""
    put(top / "x.jpg", 1)
    put(top / "o.jpg", 2)
    ids = host.until_catalogued("in/x.jpg", "in/o.jpg")
    os.rename(top / "x.jpg", top / "p.jpg")
    os.rename(top / "o.jpg", top / "p.jpg")
    host.until(lambda: host.catalogued() == {"in/p.jpg": ids["in/o.jpg"]}, "one of them is left")


def test_emptied_and_renamed(host: Running, top: Path) -> None:
    """A known file that is empty under its new name is not known under the old one."""
    put(top / "e.jpg")
    host.until_catalogued("in/e.jpg")
    (top / "e.jpg").write_bytes(b"")
    os.rename(top / "e.jpg", top / "empty.jpg")
    host.until(lambda: set(host.lines()) == {"in/empty.jpg"}, "only the empty file is there")


def test_moved_into_a_directory_that_leaves(tmp_path: Path) -> None:
    """A file that waits under its new name in a directory that is moved away is not known under the old one."""
    top = tmp_path / "in"
    (top / "d").mkdir(parents=True)
    with Running(tmp_path, {"in": {"debounce": 3}}) as host:
        put(top / "x.jpg")
        host.until_catalogued("in/x.jpg")
        os.rename(top / "x.jpg", top / "d" / "x.jpg")
        host.until(lambda: host.status()["settling"], "it waits")
        os.rename(top / "d", tmp_path / "away")
        host.until(lambda: not host.lines(), "nothing is there")


def test_nothing_is_looked_at_where_a_root_is_offline(tmp_path: Path) -> None:
    """A renamed file that waited when its root went offline is not looked for there: it would seem to be gone."""
    top = tmp_path / "in"
    with Running(tmp_path, {"in": {"debounce": 3}}) as host:
        put(top / "x.jpg")
        host.until_catalogued("in/x.jpg")
        os.rename(top / "x.jpg", top / "y.jpg")
        intake, root = host.service.host.intake, host.root("in")
        host.until(intake.tracker.old_paths, "it waits under its new name")
        host.service.ask(lambda: intake.offline(root, "a test", keep_watching=True))
        host.service.ask(lambda: None)  # a round later
        assert host.service.ask(lambda: (len(intake.tracker), intake.tracker.abandoned())) == (0, [])
        assert set(host.catalogued()) == {"in/x.jpg"}


def test_rename_chain_of_a_known_file(host: Running, top: Path) -> None:
    """A catalogued file that is renamed in quick succession keeps its id and ends under its last name."""
    put(top / "a.jpg")
    ids = host.until_catalogued("in/a.jpg")
    for old, new in ("ab", "bc", "cd"):
        os.rename(top / f"{old}.jpg", top / f"{new}.jpg")
    assert host.until_catalogued("in/d.jpg") == {"in/d.jpg": ids["in/a.jpg"]}
    host.until_idle()
    assert set(types(host)) == {"created", "renamed"}


def test_rename_and_back(host: Running, top: Path) -> None:
    """A file that is renamed and renamed back is what it was."""
    put(top / "a.jpg")
    ids = host.until_catalogued("in/a.jpg")
    os.rename(top / "a.jpg", top / "b.jpg")
    os.rename(top / "b.jpg", top / "a.jpg")
    host.until_idle()
    assert host.catalogued() == ids
    assert "deleted" not in types(host)


def test_renamed_twice_through_a_directory_that_nobody_watches_yet(host: Running, top: Path) -> None:
    """A known file that is renamed into a new directory, and out of it before that is watched, stays the same file."""
    count = 60
    for number in range(count):
        put(top / "from" / f"{number}.jpg")
    host.until(lambda: len(host.catalogued()) == count, "all catalogued")
    host.until_idle()
    known = host.catalogued()
    (top / "to").mkdir()
    before = host.head()
    for number in range(count):
        fresh = top / f"new {number}"
        os.mkdir(fresh)  # three calls in some ten microseconds: the watch on it comes later
        os.rename(top / "from" / f"{number}.jpg", fresh / "between.jpg")
        os.rename(fresh / "between.jpg", top / "to" / f"{number}.jpg")
        time.sleep(0.005)  # for the reader of events: one rename at a time
    host.until_idle()
    assert set(types(host, before)) == {"moved"}  # one of them twice, where its directory was watched in time
    assert host.catalogued() == {path.replace("in/from", "in/to"): number for path, number in known.items()}


def test_two_files_change_places(host: Running, top: Path) -> None:
    """Two files that exchange their names are both there afterwards, each name with its new content."""
    put(top / "a.jpg", "A")
    put(top / "b.jpg", "B")
    host.until_catalogued("in/a.jpg", "in/b.jpg")
    before = {path: line.blake3 for path, line in host.lines().items()}
    os.rename(top / "a.jpg", top / "t.jpg")
    os.rename(top / "b.jpg", top / "a.jpg")
    os.rename(top / "t.jpg", top / "b.jpg")
    wanted = {"in/a.jpg": before["in/b.jpg"], "in/b.jpg": before["in/a.jpg"]}
    host.until(lambda: {path: line.blake3 for path, line in host.lines().items()} == wanted, "both are known")
    host.until_idle()
    assert host.catalogued().keys() == wanted.keys()


def exchange(one: Path, other: Path) -> None:
    """Let two files or directories change places in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, flag = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    assert libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), flag) == 0, os.strerror(ctypes.get_errno())


def test_a_large_directory_there_and_back(host: Running, top: Path) -> None:
    """A renamed tree takes a while to be written down; renamed back meanwhile, none of its files is lost."""
    count = 6_000
    for number in range(count):
        put(top / "a" / f"{number // 500}" / f"{number}.jpg", number)
    host.until(lambda: len(host.catalogued()) == count, "all catalogued")
    host.until_idle()
    ids = host.catalogued()
    os.rename(top / "a", top / "b")
    os.rename(top / "b", top / "a")
    host.until_idle(quiet_s=GRACE_S + 2)
    assert host.catalogued() == ids
    assert "deleted" not in types(host)


def test_a_rotated_file_that_is_removed(host: Running, top: Path) -> None:
    """A file that is renamed while it is written, and then removed, does not take the one at its old name with it."""
    put(top / "now.jpg", 1)
    host.until_catalogued("in/now.jpg")
    with (top / "now.jpg").open("ab") as recorder:
        os.rename(top / "now.jpg", top / "old.jpg")
        recorder.write(b"more")
        put(top / "now.jpg", 2)
        as_known(host, top / "now.jpg")
        recorder.write(b"and more")
    os.remove(top / "old.jpg")
    host.until_idle(quiet_s=GRACE_S + 2)
    as_known(host, top / "now.jpg")
    assert list(host.catalogued()) == ["in/now.jpg"]


def as_known(host: Running, path: Path) -> None:
    wanted, name = blake3(path.read_bytes()).digest(), f"in/{path.name}"
    host.until(lambda: name in host.catalogued() and host.lines()[name].blake3 == wanted, f"{name} is known")


def test_two_directories_change_places(host: Running, top: Path) -> None:
    """After an exchange every file is known where it is now, with its own content, and none was deleted."""
    for number in range(12):
        put(top / "one" / f"{number}.jpg")
    for number in range(6, 20):
        put(top / "other" / "deep" / f"{number}.jpg")
    as_on_disk(host, top)
    ids = {line.blake3: line.id for line in host.lines().values()}
    before = host.head()
    for _ in range(3):
        exchange(top / "one", top / "other")
        as_on_disk(host, top)
    host.until_idle(quiet_s=GRACE_S + 1)
    as_on_disk(host, top)
    assert {line.blake3: line.id for line in host.lines().values()} == ids
    assert set(types(host, before)) <= {"moved", "renamed"}


def as_on_disk(host: Running, top: Path) -> None:
    """Wait until the catalogue holds what is there."""
    wanted = {str(path.relative_to(host.base)): blake3(path.read_bytes()).digest() for path in top.rglob("*.jpg")}
    host.until(lambda: {path: line.blake3 for path, line in host.lines().items()} == wanted, "what is on disk is known")


def test_a_renamed_file_is_not_read_again(host: Running, top: Path) -> None:
    """Renaming a known file of 64 GB takes a moment: its content is not read again."""
    with (top / "big.dat").open("wb") as file:
        file.write(os.urandom(4096))
    host.until_catalogued("in/big.dat")
    readers = host.service.host.workers.pids()
    put(top / "warm.jpg")
    host.until_catalogued("in/warm.jpg")
    before = _read_by(readers)
    for number in range(20):
        os.rename(top / "big.dat", top / "other.dat")
        host.until_catalogued("in/other.dat")
        os.rename(top / "other.dat", top / "big.dat")
        host.until_catalogued("in/big.dat")
        assert number >= 0
    # the payload of a job is read from a pipe as well: some hundred bytes each; the file would be 40 x 4096
    assert _read_by(readers) - before < 40 * 2048


def _read_by(pids: list[int]) -> int:
    return sum(
        int(line.split()[1])
        for pid in pids
        for line in Path(f"/proc/{pid}/io").read_text().splitlines()
        if line.startswith("rchar")
    )


def test_renamed_over(host: Running, top: Path, tmp_path: Path) -> None:
    """A file that is replaced by a rename from outside is a new version of the same file."""
    put(top / "a.jpg", "old")
    ids = host.until_catalogued("in/a.jpg")
    os.rename(put(tmp_path / "fresh.jpg", "new"), top / "a.jpg")
    host.until(lambda: types(host) == ["created", "modified"], "modified")
    assert host.catalogued() == ids
    host.until_idle()
    assert types(host) == ["created", "modified"]


def test_saved_as_editors_do(host: Running, top: Path) -> None:
    """A file that is written anew beside and renamed over the old one stays one file; nothing is deleted but it."""
    put(top / "a.jpg", "old")
    ids = host.until_catalogued("in/a.jpg")
    put(top / "a.jpg.part", "new")
    os.rename(top / "a.jpg.part", top / "a.jpg")
    host.until(lambda: "modified" in types(host), "modified")
    host.until_idle()
    assert host.catalogued() == ids
    assert types(host) == ["created", "modified"]


def test_known_file_renamed_over_another(host: Running, top: Path) -> None:
    """When a known file takes the name of another, the other is deleted and the first keeps its id."""
    put(top / "a.jpg", "A")
    put(top / "b.jpg", "B")
    ids = host.until_catalogued("in/a.jpg", "in/b.jpg")
    os.rename(top / "a.jpg", top / "b.jpg")
    host.until(lambda: host.catalogued() == {"in/b.jpg": ids["in/a.jpg"]}, "a is b now")
    host.until_idle()
    assert types(host)[2:] == ["deleted", "renamed"]


def test_a_fifo_renamed_over_a_file(host: Running, top: Path, tmp_path: Path) -> None:
    """A FIFO that takes a file's name ends the file; nothing hangs."""
    put(top / "a.jpg")
    host.until_catalogued("in/a.jpg")
    os.mkfifo(tmp_path / "fifo")
    os.rename(tmp_path / "fifo", top / "a.jpg")
    host.until(lambda: types(host) == ["created", "deleted"], "deleted")
    assert host.catalogued() == {}


def test_renamed_to_a_temporary_name_and_back(host: Running, top: Path) -> None:
    """A file that gets a temporary name is gone for the others after a while; its own name brings it back."""
    put(top / "a.jpg")
    ids = host.until_catalogued("in/a.jpg")
    os.rename(top / "a.jpg", top / "a.jpg.part")
    host.until(lambda: types(host) == ["created", "deleted"], "deleted")
    host.until_idle()
    os.rename(top / "a.jpg.part", top / "a.jpg")
    assert host.until_catalogued("in/a.jpg") == ids


# -- moves --------------------------------------------------------------------------------------


def test_moves_inside_and_across_roots(tmp_path: Path) -> None:
    """A file keeps its id when it moves to another directory or another root, watched or not at that time."""
    one, two = tmp_path / "one", tmp_path / "two"
    put(one / "a.jpg", "A")
    put(one / "b.jpg", "B")
    with Running(tmp_path, ["one", "two"]) as host:
        ids = host.until_catalogued("one/a.jpg", "one/b.jpg")
        (one / "d").mkdir()
        os.rename(one / "a.jpg", one / "d" / "a.jpg")
        os.rename(one / "b.jpg", two / "b.jpg")
        now = host.until_catalogued("one/d/a.jpg", "two/b.jpg")
        assert now == {"one/d/a.jpg": ids["one/a.jpg"], "two/b.jpg": ids["one/b.jpg"]}
        host.until_idle()
        assert types(host) == ["created", "created", "moved", "moved"]
    os.rename(one / "d" / "a.jpg", one / "back.jpg")
    os.rename(two / "b.jpg", one / "d" / "c.jpg")
    with Running(tmp_path, ["one", "two"]) as host:
        now = host.until_catalogued("one/back.jpg", "one/d/c.jpg")
        assert now == {"one/back.jpg": ids["one/a.jpg"], "one/d/c.jpg": ids["one/b.jpg"]}
        host.until_idle()
        assert types(host)[4:] == ["moved", "moved"]


def test_directory_rename(host: Running, top: Path) -> None:
    """A renamed directory carries its files along, settled or not, and each is told once."""
    for number in range(5):
        put(top / "old" / "deep" / f"{number}.jpg")
    paths = [f"in/old/deep/{number}.jpg" for number in range(5)]
    ids = host.until_catalogued(*paths)
    host.until_idle()
    put(top / "old" / "deep" / "young.jpg")
    os.rename(top / "old", top / "new")
    now = host.until_catalogued(*[path.replace("old", "new") for path in paths], "in/new/deep/young.jpg")
    assert {now[path.replace("old", "new")] for path in paths} == set(ids.values())
    host.until_idle()
    assert sorted(types(host)) == ["created"] * 6 + ["moved"] * 5
    assert len(host.catalogued()) == 6


def test_directory_out_and_back(host: Running, top: Path, tmp_path: Path) -> None:
    """A directory that leaves the root is deleted with its files; when it comes back they are the same files."""
    for number in range(3):
        put(top / "d" / f"{number}.jpg")
    ids = host.until_catalogued(*[f"in/d/{number}.jpg" for number in range(3)])
    os.rename(top / "d", tmp_path / "elsewhere")
    host.until(lambda: types(host)[3:] == ["deleted"] * 3, "deleted")
    os.rename(tmp_path / "elsewhere", top / "d")
    assert host.until_catalogued(*ids) == ids
    host.until_idle()
    assert types(host)[6:] == ["created"] * 3


def test_directory_out_and_back_at_once(host: Running, top: Path, tmp_path: Path) -> None:
    """A directory that is back within the time of grace never left."""
    for number in range(3):
        put(top / "d" / f"{number}.jpg")
    ids = host.until_catalogued(*[f"in/d/{number}.jpg" for number in range(3)])
    os.rename(top / "d", tmp_path / "elsewhere")
    host.until(lambda: not host.catalogued(), "gone")
    os.rename(tmp_path / "elsewhere", top / "d")
    assert host.until_catalogued(*ids) == ids
    host.until_idle()
    assert types(host) == ["created"] * 3


# -- links --------------------------------------------------------------------------------------


def test_hard_link(host: Running, top: Path) -> None:
    """A hard link is another name: both are listed, and it is no duplicate."""
    put(top / "a.jpg")
    host.until_catalogued("in/a.jpg")
    os.link(top / "a.jpg", top / "b.jpg")
    ids = host.until_catalogued("in/a.jpg", "in/b.jpg")
    assert ids["in/a.jpg"] != ids["in/b.jpg"]
    host.until_idle()
    assert types(host) == ["created", "created"]


def test_unnamed_file_that_is_linked(host: Running, top: Path) -> None:
    """A file that is written without a name and linked into place is found."""
    content = jpeg("unnamed")
    fd = os.open(top, os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(fd, content)
    os.link(f"/proc/self/fd/{fd}", top / "a.jpg", src_dir_fd=fd)  # with it Python follows the link
    os.close(fd)
    host.until_catalogued("in/a.jpg")


# -- deletions ----------------------------------------------------------------------------------


def test_deleted(host: Running, top: Path) -> None:
    """A deletion is told after two seconds, not before."""
    put(top / "a.jpg")
    host.until_catalogued("in/a.jpg")
    (top / "a.jpg").unlink()
    gone_us = time.time_ns() // 1000
    host.until(lambda: types(host) == ["created", "deleted"], "deleted")
    assert host.events()[-1].at_us - gone_us >= GRACE_S * 1e6


def test_deleted_and_written_again(host: Running, top: Path) -> None:
    """A file that is deleted and written again within two seconds is a new version of itself."""
    put(top / "a.jpg", "old")
    ids = host.until_catalogued("in/a.jpg")
    (top / "a.jpg").unlink()
    host.until(lambda: not host.catalogued(), "gone")
    put(top / "a.jpg", "new")
    host.until(lambda: types(host) == ["created", "modified"], "modified")
    assert host.catalogued() == ids
    host.until_idle()
    assert types(host) == ["created", "modified"]


def test_every_deletion_is_told(host: Running, top: Path) -> None:
    """Deletions that trickle in while earlier ones are being decided are all told."""
    names = [f"{number}.jpg" for number in range(60)]
    for name in names:
        put(top / name)
    host.until_catalogued(*[f"in/{name}" for name in names])
    put(top / "stays.jpg")
    host.until_catalogued("in/stays.jpg")
    pause = threading.Event()
    for name in names:
        (top / name).unlink()
        pause.wait(0.06)
    host.until(lambda: types(host).count("deleted") == 60, "60 deletions")


def test_short_lived_files_leave_nothing(host: Running, top: Path) -> None:
    """Files that are gone again before they settled leave no row and no event."""
    for number in range(50):
        path = top / f"{number}.dat"
        path.write_bytes(b"short-lived")
        if number % 3 == 0:
            threading.Event().wait(0.02)
        path.unlink()
    host.until_idle()
    host.until(lambda: not host.lines(), "no row")
    assert host.story() == []


def test_everything_deleted(host: Running, top: Path) -> None:
    """A root that loses everything at once is not believed until a person says that it is right."""
    for number in range(12):
        put(top / f"{number}.jpg")
    host.until_catalogued(*[f"in/{number}.jpg" for number in range(12)])
    for number in range(12):
        (top / f"{number}.jpg").unlink()
    host.until(lambda: host.root("in").state is RootState.OFFLINE, "offline")
    threading.Event().wait(2.5)
    assert "deleted" not in types(host)
    assert host.root("in").state is RootState.OFFLINE
    host.scan(accept=True)
    host.until(lambda: types(host).count("deleted") == 12, "told")
    assert host.root("in").state is RootState.ONLINE
    put(top / "new.jpg")
    host.until_catalogued("in/new.jpg")


def test_everything_deleted_and_restarted(tmp_path: Path, top: Path) -> None:
    """An emptied root that was not believed is not believed after a restart either, and says so once."""
    for number in range(12):
        put(top / f"{number}.jpg")
    with Running(tmp_path, ["in"]) as host:
        host.until_catalogued(*[f"in/{number}.jpg" for number in range(12)])
        for number in range(12):
            (top / f"{number}.jpg").unlink()
        host.until(lambda: host.root("in").state is RootState.OFFLINE, "offline")
    with Running(tmp_path, ["in"]) as host:
        head = host.head()
        threading.Event().wait(5)
        assert host.root("in").state is RootState.OFFLINE
        assert host.head() == head


# -- changes ------------------------------------------------------------------------------------


def test_attributes(tmp_path: Path) -> None:
    """A change of mode is told only where a library asks for it, and is no new version anywhere."""
    put(tmp_path / "quiet" / "a.jpg")
    put(tmp_path / "loud" / "b.jpg")
    with Running(tmp_path, {"quiet": {}, "loud": {"attributes": True}}) as host:
        host.until_catalogued("quiet/a.jpg", "loud/b.jpg")
        head = host.head()
        (tmp_path / "quiet" / "a.jpg").chmod(0o600)
        (tmp_path / "loud" / "b.jpg").chmod(0o600)
        host.until(lambda: host.story(head), "told")
        host.until_idle()
        assert host.story(head) == [("attributes", "loud/b.jpg")]
        host.scan()
        assert host.story(head) == [("attributes", "loud/b.jpg")]


def test_ignore_file_added_later(host: Running, top: Path) -> None:
    """An ignore file holds from the moment that it is there; nothing that was known is called deleted."""
    put(top / "d" / "known.raw")
    host.until_catalogued("in/d/known.raw")
    (top / "d" / ".sluiceignore").write_text("*.raw\n")
    host.until_idle()
    put(top / "d" / "new.raw")
    put(top / "d" / "new.jpg")
    host.until_catalogued("in/d/new.jpg")
    host.until_idle()
    assert "in/d/new.raw" not in host.lines()
    assert "deleted" not in types(host)
    (top / ".sluiceignore").write_text("*.tif\n")
    host.until_idle()
    assert host.status()["overflows"] == 0
    (top / "d" / ".sluiceignore").unlink()
    host.until_catalogued("in/d/new.raw")


# -- roots --------------------------------------------------------------------------------------


def test_root_lost_and_back(host: Running, top: Path) -> None:
    """A root that is renamed away is offline and nothing is deleted; back at its place it is watched again."""
    put(top / "a.jpg")
    put(top / "b.jpg")
    ids = host.until_catalogued("in/a.jpg", "in/b.jpg")
    away = top.with_name("away")
    os.rename(top, away)
    host.until(lambda: host.root("in").state is RootState.OFFLINE, "offline")
    (away / "b.jpg").unlink()
    put(away / "c.jpg")
    os.rename(away, top)
    host.until(lambda: host.root("in").state is RootState.ONLINE, "online")
    host.until_catalogued("in/c.jpg")
    host.until(lambda: host.catalogued().keys() == {"in/a.jpg", "in/c.jpg"}, "compared")
    assert host.catalogued()["in/a.jpg"] == ids["in/a.jpg"]
    put(top / "d.jpg")
    host.until_catalogued("in/d.jpg")


def test_libraries_come_and_go(tmp_path: Path) -> None:
    """Another document adds, removes and changes libraries while it runs; what is not touched goes on."""
    put(tmp_path / "one" / "a.jpg")
    put(tmp_path / "two" / "b.jpg")
    with Running(tmp_path, ["one"]) as host:
        host.until_catalogued("one/a.jpg")
        source = host.root("one").source
        host.replace(["one", "two"])
        host.until_catalogued("two/b.jpg")
        assert host.root("one").source is source
        put(tmp_path / "two" / "c.jpg")
        host.until_catalogued("two/c.jpg")
        host.replace(["two"])
        put(tmp_path / "one" / "unseen.jpg")
        put(tmp_path / "two" / "d.jpg")
        host.until_catalogued("two/d.jpg")
        host.until_idle()
        assert "one/unseen.jpg" not in host.lines()
        assert "one/a.jpg" in host.catalogued()
        host.replace({"one": {"exclude": ["*.raw"]}, "two": {}})
        host.until_catalogued("one/unseen.jpg")
        put(tmp_path / "one" / "e.raw")
        put(tmp_path / "one" / "f.jpg")
        host.until_catalogued("one/f.jpg")
        host.until_idle()
        assert "one/e.raw" not in host.lines()
        assert "deleted" not in types(host)


def test_a_library_is_taken_out_in_the_middle_of_work(tmp_path: Path) -> None:
    """Taking a library out while it is read and changed hurts nobody, and taking it in again finds the rest."""
    for number in range(300):
        put(tmp_path / "one" / f"{number}.jpg")
    put(tmp_path / "two" / "x.jpg")
    with Running(tmp_path, ["one", "two"]) as host:
        for round_ in range(3):
            for number in range(0, 300, 7):
                os.rename(tmp_path / "one" / f"{number}.jpg", tmp_path / "one" / "t")
                os.rename(tmp_path / "one" / "t", tmp_path / "one" / f"{number}.jpg")
            host.replace(["two"])
            put(tmp_path / "two" / f"{round_}.jpg")
            host.until_catalogued(f"two/{round_}.jpg")
            host.replace(["one", "two"])
        host.until_catalogued(*[f"one/{number}.jpg" for number in range(300)], limit_s=60)
        host.until_idle()
        assert "deleted" not in types(host)


def test_unwatched_library(tmp_path: Path) -> None:
    """A library that is not watched is known, and read on request only."""
    put(tmp_path / "calm" / "a.jpg")
    with Running(tmp_path, {"calm": {"watch": False}, "in": {}}) as host:
        host.until_idle()
        assert host.root("calm").mode is WatchMode.OFF
        assert host.lines() == {}
        host.scan("calm")
        assert list(host.catalogued()) == ["calm/a.jpg"]
        put(tmp_path / "calm" / "b.jpg")
        put(tmp_path / "in" / "c.jpg")
        host.until_catalogued("in/c.jpg")
        host.until_idle()
        assert "calm/b.jpg" not in host.lines()
        with host_view(host) as rows:
            assert {row.library: row.watched for row in rows} == {"calm": WatchMode.OFF, "in": WatchMode.EVENTS}


class host_view:  # noqa: N801 - reads like a function
    """The roots as the catalogue has them."""

    def __init__(self, host: Running) -> None:
        self.host = host

    def __enter__(self) -> Any:
        return self.host.service.ask(self.host.service.host.intake.view.roots)

    def __exit__(self, *_: object) -> None:
        """Nothing to give back."""


def test_watched_again(tmp_path: Path) -> None:
    """A folder that was left out in one run and is watched in the next is marked as watched again."""
    with Running(tmp_path, ["a"]):
        pass
    with Running(tmp_path, ["b"]) as host, host_view(host) as rows:
        assert {row.library: row.watched for row in rows} == {"a": WatchMode.OFF, "b": WatchMode.EVENTS}
    with Running(tmp_path, ["a", "b"]) as host, host_view(host) as rows:
        assert {row.watched for row in rows} == {WatchMode.EVENTS}


# -- digests ------------------------------------------------------------------------------------


def window(*, holds: bool) -> str:
    """Hours that contain this moment, or do not."""
    now = datetime.now()  # noqa: DTZ005 - the setting is in local time
    begin = now - timedelta(hours=1) if holds else now + timedelta(hours=2)
    return f"{begin:%H:%M}-{begin + timedelta(hours=3):%H:%M}"


def test_offpeak_digests(tmp_path: Path, top: Path) -> None:
    """Outside the window a large file has no full digest; once the window is open, or is not asked for, it gets one."""
    (top / "big.dat").write_bytes(os.urandom(300_000))
    settings = {"in": {"settle": {"unknown": "0.3s"}}}
    with Running(tmp_path, settings, fingerprints={"full": "offpeak", "offpeak": window(holds=False)}) as host:
        host.until_catalogued("in/big.dat")
        host.until_idle(1.5)
        assert host.lines()["in/big.dat"].blake3 is None
        (top / "more.dat").write_bytes(os.urandom(300_000))
        host.until_catalogued("in/more.dat")
        host.replace(settings, fingerprints={"full": "offpeak", "offpeak": window(holds=True)})
        host.until(lambda: all(line.blake3 for line in host.lines().values()), "digests in the window")
        host.until_idle()
        assert types(host) == ["created", "created"]


def test_digests_that_were_put_off_come_when_nobody_asks_for_it_any_more(tmp_path: Path, top: Path) -> None:
    """After a change from off-peak to at once, a restart computes what is owed."""
    (top / "big.dat").write_bytes(os.urandom(300_000))
    settings = {"in": {"settle": {"unknown": "0.3s"}}}
    with Running(tmp_path, settings, fingerprints={"full": "offpeak", "offpeak": window(holds=False)}) as host:
        host.until_catalogued("in/big.dat")
    with Running(tmp_path, settings) as host:
        host.until(lambda: host.lines()["in/big.dat"].blake3, "the digest")


@pytest.fixture
def big(top: Path) -> Path:
    """A file that takes seconds to read and no room: 6 GB of nothing between two bytes."""
    path = top / "big.dat"
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek((6 << 30) - 3)
        file.write(b"end")
    return path


def test_small_files_pass_a_huge_one(tmp_path: Path, top: Path, big: Path) -> None:
    """While a huge file is read, small ones are catalogued and the status shows how far the huge one is."""
    with Running(tmp_path, {"in": {"settle": {"truncated": "0.3s"}}}) as host:

        def progress() -> int:
            return max((row["bytes"] for row in host.status()["queues"]["reading"]), default=0)

        host.until(lambda: progress() > 0, "progress")
        first = progress()
        put(top / "small.jpg")
        host.until_catalogued("in/small.jpg")
        assert "in/big.dat" not in host.catalogued()
        host.until(lambda: progress() > first, "more progress")


def test_a_reader_is_killed_while_it_reads(
    tmp_path: Path, top: Path, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose reader was killed is unreadable for now; others go on, and the next try takes it."""
    monkeypatch.setattr(passes, "UNREADABLE_RETRY_S", 3.0)
    with Running(tmp_path, {"in": {"settle": {"truncated": "0.3s"}}}) as host:
        host.until(lambda: any(busy.read for busy in host.service.host.workers.busy()), "it reads")
        for pid in host.service.host.workers.pids():
            os.kill(pid, signal.SIGKILL)
        put(top / "small.jpg")
        host.until_catalogued("in/small.jpg")
        os.truncate(big, 100_000)
        host.until_catalogued("in/big.dat", limit_s=60)
        assert host.lines()["in/big.dat"].size == 100_000


def test_the_same_content_twice(host: Running, top: Path) -> None:
    """Two files with one content are told as duplicates once, whichever is looked at first."""
    put(top / "a.jpg", "same")
    put(top / "b.jpg", "same")
    host.until_catalogued("in/a.jpg", "in/b.jpg")
    host.until_idle()
    assert sorted(types(host)) == ["created", "created", "duplicate"]


def test_killed_workers_lose_nothing(tmp_path: Path, top: Path) -> None:
    """Workers that are killed again and again in the middle of a first pass cost time, and no file."""
    for number in range(400):
        put(top / f"{number % 9}" / f"{number}.jpg")
    with Running(tmp_path, ["in"]) as host:
        pause = threading.Event()
        for _ in range(8):
            for pid in host.service.host.workers.pids():
                os.kill(pid, signal.SIGKILL)
            pause.wait(0.15)
        finished = {f"in/{number % 9}/{number}.jpg" for number in range(400)}

        def unreadable() -> bool:
            states = {line.state for line in host.lines().values()}
            return FileState.UNREADABLE in states or len(host.lines()) < 400

        pause.wait(1.0)
        host.until_idle()
        if unreadable():
            host.scan()
        host.until_catalogued(*finished)
        assert types(host) == ["created"] * 400


def test_the_data_directory_inside_a_root(tmp_path: Path, top: Path) -> None:
    """Our own files below a root are never candidates."""
    with Running(tmp_path, ["in"], data=top / "data") as host:
        put(top / "a.jpg")
        host.until_catalogued("in/a.jpg")
        host.until_idle()
        assert list(host.lines()) == ["in/a.jpg"]


def test_stopped_in_the_middle(tmp_path: Path, top: Path) -> None:
    """A service that is stopped in the middle of its first pass goes on where it was."""
    for number in range(600):
        put(top / f"{number % 7}" / f"{number}.jpg")
    for _ in range(3):
        with Running(tmp_path, ["in"]) as host:
            host.until(lambda: len(host.lines()) > 0, "begun")
    with Running(tmp_path, ["in"]) as host:
        host.until_catalogued(*[f"in/{number % 7}/{number}.jpg" for number in range(600)])
        host.until_idle()
        assert types(host) == ["created"] * 600
    shutil.rmtree(top / "3")
    with Running(tmp_path, ["in"]) as host:
        host.until(lambda: types(host).count("deleted") == 86, "deletions while it was away")


def test_something_in_the_way_of_the_control_socket(tmp_path: Path, top: Path) -> None:
    """A service that cannot listen says why and ends, with nothing left of it."""
    with Sluice(tmp_path / "home") as sluice:
        sluice.data.mkdir()
        (sluice.data / "control.sock").write_text("mine")
        service = sluice.start(top, ready=False)
        assert service.process.wait(40) == 78
        assert "in the way of the control socket" in service.log_text()
        assert sluice.processes() == []


def test_a_question_that_fails(host: Running, top: Path) -> None:
    """A question to the running service that goes wrong goes back to who asked, and the service goes on."""
    with pytest.raises(ZeroDivisionError):
        host.service.ask(lambda: 1 / 0)
    put(top / "a.jpg")
    host.until_catalogued("in/a.jpg")
