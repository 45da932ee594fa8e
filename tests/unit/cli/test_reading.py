"""Commands that read: a catalogue made by the real store, with and without a service beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from mediasluice.catalogue.location import FILE_NAME
from mediasluice.catalogue.rows import Observed
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.cli.main import main
from mediasluice.identify.digests import read
from mediasluice.model.files import ChangeKey, FileState, Kind, Origin
from mediasluice.model.flow import IdentifiedFile, RootId
from mediasluice.model.roots import Library, RootIdentity, RootState, Rules
from mediasluice.service.control import SOCKET_NAME, Server
from mediasluice.service.lock import DataLock

LATIN = b"caf\xe9\n.jpg"
AT_US = 1_700_000_000_123_456

Sluice = Callable[..., list[dict[str, Any]]]

INSIDE = "mime media tags capture camera exposure gps group role reader reader_error"
"""The keys of what stands inside a file."""


class Library1:
    """A folder with files and the catalogue that holds them."""

    def __init__(self, tmp_path: Path) -> None:
        self.data = tmp_path / "data"
        self.data.mkdir()
        self.folder = tmp_path / "in"
        self.folder.mkdir()
        self.catalogue = Catalogue.open(self.data / FILE_NAME)
        self.root: RootId = self.catalogue.register(
            Library("inbox", bytes(self.folder), Rules()), RootIdentity(b"fs", 1)
        ).id

    def add(self, name: bytes, content: bytes) -> None:
        """Write a file and catalogue it."""
        path = bytes(self.folder) + b"/" + name
        with open(path, "wb") as file:
            file.write(content)
        fd = os.open(path, os.O_RDONLY)
        try:
            status = os.fstat(fd)
            reading = read(fd, status.st_size)
        finally:
            os.close(fd)
        key = ChangeKey(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        identified = IdentifiedFile(
            self.root, b"", name, key, 1, Origin.EVENT, True, Kind.IMAGE, reading.quick, reading.digests
        )
        with self.catalogue.transaction():
            self.catalogue.record([identified], AT_US)

    def remove(self, name: bytes) -> None:
        """Delete a file and let the catalogue know."""
        (self.folder / os.fsdecode(name)).unlink()
        with self.catalogue.transaction():
            self.catalogue.depart(self.root, [(b"", name)], AT_US)
            departed = self.catalogue.departed([self.root], 10)
            self.catalogue.delete([row.file for row in departed], AT_US)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library1]:
    """Two equal files, one with a name that is no UTF-8, one unreadable, one deleted."""
    made = Library1(tmp_path)
    made.add(b"a.jpg", b"same content")
    made.add(LATIN, b"same content")
    made.add(b"gone.jpg", b"another")
    made.remove(b"gone.jpg")
    secret = Observed(
        made.root, b"", b"secret.jpg", ChangeKey(9, 5, 1, 1), 1, Kind.IMAGE, FileState.UNREADABLE, "Permission denied"
    )
    with made.catalogue.transaction():
        made.catalogue.observe([secret], AT_US)
    yield made
    made.catalogue.close()


@pytest.fixture
def sluice(library: Library1, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Sluice:
    """Call a command with --json in this process; gives its lines."""

    def call(*arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
        shared = ["--json", "--data", str(library.data)]
        monkeypatch.setattr(sys, "argv", ["sluice", *map(str, arguments), *shared])
        assert main() == code
        printed = capsys.readouterr()
        assert printed.err == ""
        return [json.loads(line) for line in printed.out.splitlines()]

    return call


def test_files_are_listed_with_every_key(library: Library1, sluice: Sluice) -> None:
    """One line per present file, unreadable ones included, names of any bytes, deleted ones left out."""
    lines = {os.fsencode(line["path"]).rpartition(b"/")[2]: line for line in sluice("files")}
    assert set(lines) == {b"a.jpg", LATIN, b"secret.jpg"}
    keys = f"id library path size mtime kind misnamed state reason blake3 xxh128 links version {INSIDE}"
    assert " ".join(lines[b"a.jpg"]) == keys
    assert lines[b"a.jpg"]["path"] == f"{library.folder}/a.jpg"
    assert lines[b"a.jpg"]["blake3"] == lines[LATIN]["blake3"]
    assert (len(lines[b"a.jpg"]["blake3"]), len(lines[b"a.jpg"]["xxh128"])) == (64, 32)
    assert lines[b"secret.jpg"]["state"] == "unreadable"
    assert lines[b"secret.jpg"]["reason"] == "Permission denied"
    assert lines[b"secret.jpg"]["blake3"] is None


def test_deleted_files_are_listed_on_request(sluice: Sluice) -> None:
    """`--missing` lists what is remembered of deleted files, and nothing else."""
    (line,) = sluice("files", "--missing")
    assert line["path"].endswith("/gone.jpg")
    assert line["state"] == "missing"


def test_events_come_oldest_first_with_every_key(library: Library1, sluice: Sluice) -> None:
    """The whole log without --since; from a point on with it."""
    lines = sluice("events")
    assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)
    assert " ".join(lines[0]) == "seq id type at library path old_path size blake3 xxh128 origin data"
    types = [line["type"] for line in lines if line["type"].startswith("file.")]
    assert types == ["file.created", "file.created", "file.duplicate", "file.created", "file.deleted"]
    created = next(line for line in lines if line["type"] == "file.created")
    assert created["at"] == "2023-11-14T22:13:20.123456Z"
    assert created["path"] == f"{library.folder}/a.jpg"
    assert created["library"] == "inbox"
    assert sluice("events", "--since", str(lines[-2]["seq"])) == lines[-1:]


def test_duplicates_are_answered_by_the_catalogue(library: Library1, sluice: Sluice) -> None:
    """Without folders the groups of the catalogue are printed, with library, absolute path and inode."""
    (group,) = sluice("duplicates")
    assert group["size"] == len(b"same content")
    assert len(group["content"]) == 64
    assert {os.fsencode(file["path"]) for file in group["files"]} == {
        bytes(library.folder) + b"/" + name for name in (b"a.jpg", LATIN)
    }
    for file in group["files"]:
        assert file["library"] == "inbox"
        assert file["inode"] == os.stat(os.fsencode(file["path"])).st_ino


def test_the_report_of_a_folder_agrees_and_needs_no_catalogue(
    library: Library1, sluice: Sluice, tmp_path: Path
) -> None:
    """With a folder the same group is found by reading, and nothing is stored."""
    (known,) = sluice("duplicates")
    (found,) = sluice("duplicates", library.folder, "--data", tmp_path / "other")
    assert found["content"] == known["content"]
    assert {file["path"] for file in found["files"]} == {file["path"] for file in known["files"]}
    assert not (tmp_path / "other").exists()


def test_status_without_a_service_is_what_is_remembered(library: Library1, sluice: Sluice) -> None:
    """No pid, the roots in their last known state, the counts."""
    with library.catalogue.transaction():
        library.catalogue.set_root(library.root, state=RootState.OFFLINE, reason="missing", at_us=AT_US)
    (state,) = sluice("status")
    assert state["pid"] is None
    (root,) = state["roots"]
    assert root == {
        "library": "inbox",
        "path": str(library.folder),
        "mode": "off",
        "state": "offline",
        "watches": 0,
        "reason": "missing",
    }
    assert state["counts"]["catalogued"] == 2
    assert state["counts"]["unreadable"] == 1
    told = sum(event["type"].startswith("file.") for event in sluice("events"))
    assert told
    assert state["inside"] == {"behind": told, "again": {}, "reading": []}


def test_status_with_a_service_is_its_answer(library: Library1, sluice: Sluice) -> None:
    """A running service answers for itself."""
    inside: dict[str, Any] = {"behind": 3, "again": {"it changed": 2}, "reading": []}
    live = {"pid": 7, "roots": [], "settling": [], "queues": {}, "counts": {}, "overflows": 2, "inside": inside}
    server = Server(library.data / SOCKET_NAME, {"status": lambda _: iter([live])})
    server.start()
    try:
        assert sluice("status") == [live]
    finally:
        server.close()


def test_health_is_the_answer_of_the_service(library: Library1, sluice: Sluice) -> None:
    """A service that answers is alive; one that says that it is not well ends with 1."""
    answer: dict[str, Any] = {"ok": True}
    server = Server(library.data / SOCKET_NAME, {"health": lambda _: iter([answer])})
    server.start()
    try:
        assert sluice("health") == [{"ok": True}]
        answer["ok"] = False
        assert sluice("health", code=1) == [{"ok": False}]
    finally:
        server.close()


def test_explain_tells_the_story_of_a_file(library: Library1, sluice: Sluice) -> None:
    """A duplicate names the file it equals and its events; a stranger is called one."""
    (answer,) = sluice("explain", library.folder / os.fsdecode(LATIN))
    keys = f"path state rule reason next misnamed {INSIDE} history judgement item steps products renditions damaged"
    assert " ".join(answer) == keys
    assert answer["state"] == "catalogued"
    assert f"{library.folder}/a.jpg" in answer["reason"]
    assert [event["type"] for event in answer["history"]] == ["file.created", "file.duplicate"]
    (answer,) = sluice("explain", library.folder / "gone.jpg")
    assert answer["state"] == "missing"
    (answer,) = sluice("explain", library.folder / "@eaDir" / "x.jpg")
    assert (answer["state"], answer["rule"]) == ("ignored", "built-in: @eaDir")
    (answer,) = sluice("explain", "/elsewhere/x.jpg")
    assert answer["state"] == "outside"


def test_explain_asks_a_running_service_first(library: Library1, sluice: Sluice) -> None:
    """What the service is waiting for now is said before what is recorded."""
    live = {"state": "settling", "reason": "writer", "next": "looked at again in 0.5 s"}
    server = Server(library.data / SOCKET_NAME, {"explain": lambda _: iter([live])})
    with DataLock.acquire(library.data):
        server.start()
        try:
            (answer,) = sluice("explain", library.folder / "a.jpg")
        finally:
            server.close()
    assert (answer["state"], answer["next"]) == ("settling", "looked at again in 0.5 s")
    assert answer["reason"].startswith("writer: ")


class Follower:
    """``sluice events --follow`` as a process."""

    def __init__(self, data: Path) -> None:
        command = [sys.executable, "-m", "mediasluice", "events", "--follow", "--json", "--data", str(data)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def next(self, kind: str) -> dict[str, Any]:
        """The next line of this type; its arrival is waited for."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event["type"] == kind:
                return event
        raise AssertionError("the follower ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_follow_survives_services_that_come_and_go(library: Library1) -> None:
    """Every event appears once, whether no service runs, one pushes, it stops, or the next one starts."""
    committed, answered = threading.Condition(), threading.Semaphore(0)

    def follow(_: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with View.open(library.data / FILE_NAME) as view:
            while True:
                yield {"head": view.head()}
                answered.release()
                with committed:
                    committed.wait(0.2)

    with Follower(library.data) as follower:
        assert follower.next("file.deleted")["path"].endswith("gone.jpg")
        library.add(b"alone.jpg", b"1")
        assert follower.next("file.created")["path"].endswith("alone.jpg")
        for name in (b"pushed.jpg", b"again.jpg"):
            server = Server(library.data / SOCKET_NAME, {"follow": follow})
            server.start()
            assert answered.acquire(timeout=10)
            library.add(name, name)
            with committed:
                committed.notify_all()
            assert follower.next("file.created")["path"].endswith(os.fsdecode(name))
            server.close()
            while answered.acquire(blocking=False):
                pass
        library.add(b"last.jpg", b"2")
        assert follower.next("file.created")["path"].endswith("last.jpg")


def test_follow_ends_when_its_reader_left(library: Library1) -> None:
    """A pipe that nobody reads any more ends the command although nothing happens."""
    with Follower(library.data) as follower:
        follower.next("file.deleted")
        assert follower.process.stdout is not None
        follower.process.stdout.close()
        assert follower.process.wait(10) == 0


def test_people_read_lines(
    library: Library1, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --json every reading command prints plain text that a terminal survives."""
    for command in ("files", "events", "duplicates", "status", f"explain {library.folder}/a.jpg"):
        monkeypatch.setattr(sys, "argv", ["sluice", *command.split(), "--data", str(library.data)])
        assert main() == 0
        printed = capsys.readouterr().out
        assert str(library.folder) in printed
        assert "\udce9" not in printed
        assert printed.isascii() or command == "status"
