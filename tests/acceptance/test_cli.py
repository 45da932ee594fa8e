"""The command line, sentence by sentence.

What it prints, its exit codes, beside a running service and without one.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from blake3 import blake3

from mediasluice.catalogue.location import catalogue_file
from tests.catalogues import of_version_2
from tests.samples import jpeg, unknown
from tests.service import STOP_S, Line, Service, Sluice, until

SOON_S = 20.0
REFUSED_S = 15.0  # what cannot be done is said at once
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)")  # RFC 3339, UTC, microseconds

SCAN_FIELDS = {
    *("files", "bytes", "new", "changed", "moved", "missing", "unchanged", "ignored", "junk", "empty"),
    *("settling", "errors", "duplicates", "seconds"),
}
EVENT_FIELDS = {
    *("seq", "id", "type", "at", "library", "path", "old_path", "size", "blake3", "xxh128", "origin", "data"),
}
FILE_FIELDS = {
    *(
        "id",
        "library",
        "path",
        "size",
        "mtime",
        "kind",
        "state",
        "reason",
        "blake3",
        "xxh128",
        "links",
        "version",
    ),
}

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    with Sluice(tmp_path / "home") as it:
        yield it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with three files, two of them equal."""
    directory = tmp_path / "incoming"
    (directory / "below").mkdir(parents=True)
    (directory / "a.jpg").write_bytes(jpeg("same"))
    (directory / "below" / "b.jpg").write_bytes(jpeg("same"))
    (directory / "c.jpg").write_bytes(jpeg("other"))
    return directory


def _paths(root: Path) -> list[Path]:
    return [root / "a.jpg", root / "below" / "b.jpg", root / "c.jpg"]


def _said(sluice: Sluice, *arguments: str | Path, code: int) -> str:
    done = sluice.call(*arguments, code=code, timeout_s=REFUSED_S)
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


# -- run ---------------------------------------------------------------------------------------------------


def test_run_says_what_it_does(sluice: Sluice, root: Path) -> None:
    """`run DIR` prints what it watches, where its catalogue is and what to try next."""
    service = sluice.start(root)
    log = service.log_text()
    assert str(root) in log
    assert str(sluice.data) in log
    assert re.search(r"sluice .*events", log)
    service.stop()


def test_run_until_idle(sluice: Sluice, root: Path) -> None:
    """`--until-idle` leaves with 0 when nothing was pending that long; a settling file is pending."""
    began = time.monotonic()
    sluice.call("run", root, "--until-idle", "1")
    assert len(sluice.catalogued()) == 3
    (root / "late.mp3").write_bytes(unknown("takes 5 s"))
    began = time.monotonic()
    sluice.call("run", root, "--until-idle", "1")
    assert time.monotonic() - began >= 4, "it left while a file was settling"
    assert str(root / "late.mp3") in sluice.catalogued()


def test_run_the_same_again(sluice: Sluice, root: Path) -> None:
    """The same folder again reuses its library: nothing is announced twice."""
    for _ in range(2):
        sluice.call("run", root, "--until-idle", "1")
    assert len(sluice.events("file.created")) == 3
    assert len({row["library"] for row in sluice.files().values()}) == 1


def test_run_another_folder(sluice: Sluice, root: Path, tmp_path: Path) -> None:
    """`run A`, then `run B`: A is not watched any more, and none of its files is missing."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "d.jpg").write_bytes(jpeg("d"))
    sluice.call("run", root, "--until-idle", "1")
    (root / "c.jpg").unlink()
    service = sluice.start(other)
    service.wait_catalogued([other / "d.jpg"], SOON_S)
    time.sleep(3)
    assert set(sluice.files()) == {*map(str, _paths(root)), str(other / "d.jpg")}
    assert not sluice.files(missing=True)
    assert not sluice.events("file.deleted")
    modes = {r["path"]: r["mode"] for r in sluice.status()["roots"]}
    assert modes.get(str(root), "off") == "off"
    assert modes[str(other)] == "events"
    service.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_run_drains(sluice: Sluice, root: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C drain within 10 s and leave with 0, also in the middle of work.

    The next start goes on.
    """
    for directory in range(20):
        (root / str(directory)).mkdir()
        for name in range(100):
            (root / str(directory) / f"{name}.jpg").write_bytes(jpeg(f"{directory} {name}"))
    service = sluice.start(root, ready=False)
    service.wait(lambda: sluice.call("health", code=None).returncode == 0, "it answers", SOON_S)
    service.stop(number)
    sluice.call("run", root, "--until-idle", "1")
    assert len(sluice.catalogued()) == len(sluice.events("file.created")) == 2_003


def test_run_with_a_root_that_is_away(sluice: Sluice, root: Path, tmp_path: Path) -> None:
    """With at least one root there, or known, it runs and the others are offline."""
    missing = tmp_path / "missing"
    service = sluice.start(root, missing)
    assert sluice.root(missing)["state"] == "offline"
    service.wait_catalogued(_paths(root), SOON_S)
    service.stop()
    away = root.with_name("away")
    root.rename(away)
    service = sluice.start(root)
    assert sluice.root(root)["state"] == "offline"
    service.stop()


def test_run_with_nothing(sluice: Sluice, tmp_path: Path) -> None:
    """None ever seen: 78. Nothing to watch: 2 with a hint."""
    assert str(tmp_path / "never") in _said(sluice, "run", tmp_path / "never", code=78)
    assert "sluice run" in _said(sluice, "run", code=2)


def test_second_run(sluice: Sluice, root: Path) -> None:
    """A second `run` on the same data: 75, with the pid of the first and the advice to take `--data`."""
    service = sluice.start(root)
    said = _said(sluice, "run", root, code=75)
    assert str(service.process.pid) in said
    assert "--data" in said
    service.stop()


def test_usage(sluice: Sluice) -> None:
    """What cannot be understood is 2, with the way to the help."""
    for arguments in (("nonsense",), ("run", "--nonsense"), ("explain",), ("events", "--since", "soon")):
        assert "--help" in _said(sluice, *arguments, code=2), arguments


def test_hot_reload(tmp_path: Path, root: Path) -> None:
    """An edit of the document is picked up while the service runs.

    A broken one is refused and the last good one stays.
    """
    other = tmp_path / "other"
    other.mkdir()
    one: Line = {"path": str(root), "exclude": ["c.jpg"]}
    with Sluice(tmp_path / "home", config={"libraries": {"one": one}}) as sluice:
        service = sluice.start()
        service.wait_catalogued([root / "a.jpg"], SOON_S)
        assert str(root / "c.jpg") not in sluice.files()
        sluice.configure({"libraries": {"one": {**one, "exclude": ["[broken"]}}})
        time.sleep(3)
        assert service.process.poll() is None
        (root / "still.jpg").write_bytes(jpeg("still watched"))
        service.wait_catalogued([root / "still.jpg"], SOON_S)
        sluice.configure({"libraries": {"one": {"path": str(root)}, "two": {"path": str(other)}}})
        (other / "new.jpg").write_bytes(jpeg("in the new library"))
        rows = service.wait_catalogued([other / "new.jpg", root / "c.jpg"], SOON_S)
        assert rows[str(other / "new.jpg")]["library"] == "two"
        assert len(sluice.events("file.created")) == 5
        service.stop()


# -- scan --------------------------------------------------------------------------------------------------


def test_scan(sluice: Sluice, root: Path) -> None:
    """`scan` makes one pass and gives its totals; a second one finds everything unchanged."""
    first = sluice.object("scan", root)
    assert first.keys() >= SCAN_FIELDS
    size = sum(path.stat().st_size for path in _paths(root))
    expected = {
        "files": 3,
        "bytes": size,
        "new": 3,
        "changed": 0,
        "moved": 0,
        "missing": 0,
        "unchanged": 0,
        "errors": 0,
        "settling": 0,
    }
    assert {key: first[key] for key in expected} == expected
    assert first["duplicates"] == {"groups": 1, "files": 1, "bytes": (root / "a.jpg").stat().st_size}
    (root / "a.jpg").write_bytes(jpeg("changed", 2_000))
    (root / "c.jpg").rename(root / "below" / "moved.jpg")
    (root / "below" / "b.jpg").unlink()
    (root / "empty.jpg").touch()
    (root / "archive.rar").write_bytes(b"junk")
    (root / ".DS_Store").write_bytes(b"ignored")
    second = sluice.object("scan", root)
    assert {k: second[k] for k in ("new", "changed", "moved", "missing", "empty", "junk", "ignored")} == {
        "new": 0, "changed": 1, "moved": 1, "missing": 1, "empty": 1, "junk": 1, "ignored": 1,
    }  # fmt: skip
    third = sluice.object("scan", root)
    assert (third["new"], third["changed"], third["moved"], third["missing"]) == (0, 0, 0, 0)
    assert third["unchanged"] >= 2


def test_scan_waits(sluice: Sluice, root: Path) -> None:
    """A file that is being written passes the same gate: 3 when it did not settle in time, 0 when it did."""
    with (root / "open.jpg").open("wb") as file:
        file.write(jpeg("complete, and still open"))
        file.flush()
        totals = sluice.object("scan", root, "--settle-timeout", "1s", code=3)
        assert totals["settling"] == 1
        assert str(root / "open.jpg") not in sluice.catalogued()
    totals = sluice.object("scan", root)
    assert (totals["settling"], totals["new"]) == (0, 1)


def test_scan_beside_a_service(sluice: Sluice, root: Path) -> None:
    """Beside a running service `scan` asks it and gives the same totals."""
    service = sluice.start(root)
    service.wait_catalogued(_paths(root), SOON_S)
    totals = sluice.object("scan", root)
    assert (totals["files"], totals["new"], totals["unchanged"]) == (3, 0, 3)
    library = next(iter(sluice.files().values()))["library"]
    assert sluice.object("scan", library)["files"] == 3
    service.stop()


def test_scan_trusts_times(sluice: Sluice, root: Path) -> None:
    """`--trust-times` passes over folders whose own time did not change; a full scan sees what was rewritten there."""
    for _ in range(2):  # the second one finds all at rest, and remembers the times of the folders
        sluice.object("scan", root)
    with (root / "below" / "b.jpg").open("r+b") as file:  # in place: the time of its folder stays
        file.write(jpeg("SAME"))
    (root / "new.jpg").write_bytes(jpeg("new"))
    quick = sluice.object("scan", root, "--trust-times")
    assert (quick["new"], quick["changed"]) == (1, 0)
    full = sluice.object("scan", root)
    assert (full["new"], full["changed"]) == (0, 1)


def test_scan_shows_progress(sluice: Sluice, root: Path) -> None:
    """On a terminal the progress goes to standard error; the totals alone are on standard output."""
    master, terminal = pty.openpty()
    done = subprocess.Popen(
        sluice.command("scan", root, "--json"),
        env={**sluice.environment, "TERM": "xterm"},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
    )
    os.close(terminal)
    assert done.stdout is not None
    output = done.stdout.read()
    done.stdout.close()
    assert done.wait(timeout=60) == 0
    os.close(master)
    assert json.loads(output)["files"] == 3


# -- duplicates --------------------------------------------------------------------------------------------


def test_duplicates_at_once(sluice: Sluice, root: Path) -> None:
    """With DIR: an immediate report of absolute paths that stores nothing and waits for nothing."""
    os.link(root / "a.jpg", root / "below" / "linked.jpg")
    (root / "empty-1").touch()
    (root / "empty-2").touch()
    (root / "one.rar").write_bytes(b"whatever its kind")
    (root / "two.rar").write_bytes(b"whatever its kind")
    groups = sluice.lines("duplicates", root)
    assert {frozenset(f["path"] for f in g["files"]) for g in groups} == {
        frozenset({str(root / "a.jpg"), str(root / "below" / "b.jpg"), str(root / "below" / "linked.jpg")}),
        frozenset({str(root / "one.rar"), str(root / "two.rar")}),
    }
    group = next(g for g in groups if len(g["files"]) == 3)
    assert set(group) >= {"size", "content", "files"}
    assert set(group["files"][0]) >= {"library", "path", "inode"}
    assert (group["size"], group["content"]) == (
        (root / "a.jpg").stat().st_size,
        blake3((root / "a.jpg").read_bytes()).hexdigest(),
    )
    assert len({str(f["inode"]) for f in group["files"]}) == 2
    assert not sluice.data.exists() or not sluice.files()


def test_duplicates_relative(sluice: Sluice, root: Path) -> None:
    """A folder that is given relative to where the user stands is reported by absolute paths."""
    done = subprocess.run(
        sluice.command("duplicates", "incoming", "--json"),
        cwd=root.parent,
        env=sluice.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(f["path"].startswith(f"{root}/") for line in done.stdout.splitlines() for f in json.loads(line)["files"])


def test_duplicates_of_the_catalogue(sluice: Sluice, root: Path, tmp_path: Path) -> None:
    """Without DIR: the groups of the catalogue, across libraries."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "d.jpg").write_bytes(jpeg("other"))
    sluice.object("scan", root, other)
    groups = sluice.lines("duplicates")
    assert len(groups) == 2
    assert len({f["library"] for g in groups for f in g["files"]}) == 2


# -- reading -----------------------------------------------------------------------------------------------


def test_events(sluice: Sluice, root: Path) -> None:
    """`events` gives every fact from the first, or after SEQ, with all its fields."""
    sluice.object("scan", root)
    events = sluice.events()
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    event = next(e for e in events if e["path"] == str(root / "c.jpg"))
    assert event.keys() >= EVENT_FIELDS
    assert MOMENT.fullmatch(event["at"]), event["at"]
    assert uuid.UUID(event["id"]).version == 7
    assert event["blake3"] == blake3((root / "c.jpg").read_bytes()).hexdigest()
    assert [e["seq"] for e in sluice.events(since=2)] == [e["seq"] for e in events[2:]]
    assert len(sluice.events("file.duplicate")) == 1
    assert sluice.events() == events, "the same again"


def test_events_follow(sluice: Sluice, root: Path) -> None:
    """`--follow` gives what was there and goes on with what comes, over a restart of the service too."""
    with sluice.follow() as follower:  # nothing is there yet
        service = sluice.start(root)
        follower.wait_created(_paths(root), SOON_S)
        (root / "new.jpg").write_bytes(jpeg("new"))
        arrived, event = follower.wait_created([root / "new.jpg"], SOON_S)[str(root / "new.jpg")]
        assert arrived - _seconds(event["at"]) < 1.0, "not pushed"
        service.stop()
        service = sluice.start(root)
        (root / "newer.jpg").write_bytes(jpeg("newer"))
        follower.wait_created([root / "newer.jpg"], SOON_S)
        seen = [event["seq"] for _, event in follower.seen]
        assert seen == list(range(1, len(seen) + 1)), "a fact twice, or one left out"
        service.stop()


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def test_files(sluice: Sluice, root: Path) -> None:
    """`files` gives one line per present file, unsettled ones included; `--missing` the deleted ones."""
    (root / "empty.jpg").touch()
    (root / "download.mp4.part").write_bytes(b"held")
    service = sluice.start(root)
    service.wait_catalogued(_paths(root), SOON_S)
    service.wait(lambda: len(sluice.files()) == 5, "all five", SOON_S)
    rows = sluice.files()
    assert all(row.keys() >= FILE_FIELDS for row in rows.values())
    assert {Path(p).name: row["state"] for p, row in rows.items()} == {
        "a.jpg": "catalogued",
        "b.jpg": "catalogued",
        "c.jpg": "catalogued",
        "empty.jpg": "empty",
        "download.mp4.part": "held",
    }
    (root / "c.jpg").unlink()
    service.wait(lambda: sluice.files(missing=True), "it is missing", SOON_S)
    assert set(sluice.files(missing=True)) == {str(root / "c.jpg")}
    assert str(root / "c.jpg") not in sluice.files()
    service.stop()


def test_status(sluice: Sluice, root: Path) -> None:
    """`status` tells the pid, the roots, what is settling, the queues, the counts and the overflows."""
    service = sluice.start(root)
    service.wait_catalogued(_paths(root), SOON_S)
    (root / "pending.mp3").write_bytes(unknown("pending"))
    service.wait(lambda: sluice.status()["settling"], "something pending", SOON_S)
    status = sluice.status()
    assert status["pid"] == service.process.pid
    assert set(status) >= {"pid", "roots", "settling", "queues", "counts", "overflows"}
    (shown,) = status["roots"]
    assert set(shown) >= {"library", "path", "mode", "state", "watches", "reason"}
    assert (shown["path"], shown["mode"], shown["state"], shown["watches"]) == (
        str(root),
        "events",
        "online",
        2,
    )
    (pending,) = status["settling"]
    assert set(pending) >= {"path", "reason", "since", "due"}
    assert pending["path"] == str(root / "pending.mp3")
    service.stop()
    assert sluice.status()["pid"] is None


def test_status_watch(sluice: Sluice, root: Path) -> None:
    """`status --watch` goes on until it is interrupted."""
    service = sluice.start(root)
    watching = subprocess.Popen(
        sluice.command("status", "--watch", "--json"),
        env=sluice.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert watching.stdout is not None
    for _ in range(2):
        assert json.loads(watching.stdout.readline())["pid"] == service.process.pid
    watching.send_signal(signal.SIGINT)
    watching.wait(timeout=STOP_S)
    watching.stdout.close()
    service.stop()


def test_explain(sluice: Sluice, root: Path) -> None:
    """`explain` tells of any path what it is, why, by which rule, what comes next and what happened to it."""
    (root / "empty.jpg").touch()
    (root / "archive.rar").write_bytes(b"junk")
    (root / ".DS_Store").write_bytes(b"ignored")
    (root / "download.mp4.part").write_bytes(b"held")
    service = sluice.start(root)
    service.wait_catalogued(_paths(root), SOON_S)
    service.wait(lambda: len(sluice.files()) == 6, "all six", SOON_S)
    (root / "c.jpg").write_bytes(jpeg("changed", 2_000))
    service.wait(lambda: sluice.events("file.modified"), "the change", SOON_S)
    expected = {
        "c.jpg": "catalogued",
        "empty.jpg": "empty",
        "archive.rar": "junk",
        ".DS_Store": "ignored",
        "download.mp4.part": "held",
    }
    told = {name: sluice.explain(root / name) for name in expected}
    assert {name: answer["state"] for name, answer in told.items()} == expected
    assert all(set(answer) >= {"path", "state", "rule", "reason", "next", "history"} for answer in told.values())
    assert [e["type"] for e in told["c.jpg"]["history"]] == ["file.created", "file.modified"]
    assert "*.rar" in str(told["archive.rar"])
    assert "DS_Store" in str(told[".DS_Store"]["rule"])
    outside = sluice.explain("/nowhere/at/all.jpg")
    assert outside["state"]
    assert outside["reason"]
    service.stop()


def test_check(sluice: Sluice, root: Path, tmp_path: Path) -> None:
    """`check` judges folders, permissions, mounts, proofs and limits.

    0 when the machine is fit, 78 when not.
    """
    document: Line = {"libraries": {"one": {"path": str(root)}}}
    sluice.document = sluice.home / "config.yaml"
    sluice.configure(document)
    good = sluice.call("check", "--json")
    assert str(root) in good.stdout
    assert "max_user_watches" in good.stdout or "watches" in good.stdout
    assert "lease" in good.stdout
    root.chmod(0o777)
    warned = sluice.object("check")["roots"][0]["warnings"]
    assert any("may write" in warning for warning in warned), warned
    sluice.configure({"libraries": {"one": {"path": str(tmp_path / "nowhere")}}})
    assert str(tmp_path / "nowhere") in _said(sluice, "check", code=78)


def test_config(sluice: Sluice, root: Path) -> None:
    """`config show`, `--origin`, `check` and `schema`."""
    sluice.document = sluice.home / "config.yaml"
    sluice.configure({"libraries": {"one": {"path": str(root), "debounce": "3s"}}})
    shown = sluice.settings()
    assert shown["libraries.one.debounce"] == "3s"
    assert shown["libraries.one.settle.unknown"] == "5s"
    sluice.call("config", "show", "--origin")
    sluice.call("config", "check")
    schema = json.loads(sluice.call("config", "schema").stdout)
    assert "libraries" in schema["properties"]


def test_health(sluice: Sluice, root: Path) -> None:
    """`health` answers by its exit code."""
    assert sluice.call("health", code=None).returncode != 0
    service = sluice.start(root)
    sluice.call("health")
    service.stop()
    assert sluice.call("health", code=None).returncode != 0


READING: list[tuple[str, ...]] = [
    ("events",),
    ("files",),
    ("files", "--missing"),
    ("status",),
    ("duplicates",),
    ("explain", "/x"),
    ("config", "show"),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading_before_anything_is_there(sluice: Sluice, command: tuple[str, ...]) -> None:
    """Every reading command works where nothing was catalogued yet, and makes nothing."""
    sluice.call(*command, "--json")
    assert not any(sluice.data.glob("*")) if sluice.data.exists() else True


def test_reading_beside_and_without(sluice: Sluice, root: Path) -> None:
    """Every reading command says the same beside a running service and without one."""

    def told() -> list[str]:
        return [sluice.call(*command, "--json").stdout for command in READING if command != ("status",)]

    service: Service = sluice.start(root)
    service.wait_catalogued(_paths(root), SOON_S)
    until(lambda: not sluice.status()["settling"], "at rest", SOON_S)
    beside = told()
    service.stop()
    assert told() == beside


def test_json_is_ascii(sluice: Sluice, tmp_path: Path) -> None:
    """JSON is ASCII; bytes that are no text come as lone surrogates, and `explain` takes them back."""
    root = tmp_path / "incoming"
    root.mkdir()
    path = os.fsencode(root) + b"/caf\xe9 \xf0\x9f\x8e\xb5.jpg"
    with open(path, "wb") as file:
        file.write(jpeg("latin-1"))
    sluice.object("scan", root)
    raw = sluice.call("files", "--json").stdout
    assert raw.isascii()
    assert "\\udce9" in raw
    assert json.loads(raw)["path"] == os.fsdecode(path)
    assert sluice.explain(path)["state"] == "catalogued"


def test_default_data_directory(tmp_path: Path, root: Path) -> None:
    """Without `--data` the catalogue is under XDG_STATE_HOME, or where SLUICE_DATA says."""
    with Sluice(tmp_path / "home") as sluice:
        for extra, place in (
            ({}, sluice.home / "xdg-state" / "mediasluice"),
            ({"SLUICE_DATA": str(tmp_path / "named")}, tmp_path / "named"),
        ):
            command = [
                word for word in sluice.command("scan", root, "--json") if word not in ("--data", str(sluice.data))
            ]
            subprocess.run(command, env={**sluice.environment, **extra}, check=True, capture_output=True)
            assert any(place.iterdir()), place
        assert not sluice.data.exists()


def test_version_starts_quickly(sluice: Sluice) -> None:
    """`--version` imports next to nothing."""
    done = subprocess.run(
        [*sluice.command("--version")[:2]],
        env={**sluice.environment, "PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mediasluice" in str(imported)
    assert not {"typer", "rich", "sqlalchemy", "pydantic", "structlog"} & imported


@pytest.mark.parametrize("command", ["run", "scan"])
def test_a_catalogue_of_the_version_before(sluice: Sluice, tmp_path: Path, command: str) -> None:
    """Whoever updates goes on with the command that they always gave; nothing is forgotten."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg(1))
    sluice.object("scan", folder)
    of_version_2(catalogue_file(sluice.data))
    assert "up to date" in sluice.call("files", code=78).stderr
    sluice.call(command, folder, *(["--until-idle", "0.3"] if command == "run" else []))
    events = [(event["type"], event["path"]) for event in sluice.events("file.created", "file.modified")]
    assert events == [("file.created", str(folder / "a.jpg"))]
    assert sluice.files()[str(folder / "a.jpg")]["capture"] is not None


def test_bench_of_digests(sluice: Sluice) -> None:
    """S2-85: each digest has its rate, alone and in one pass with others."""
    rows = sluice.lines("bench", "digests", "--size", "8")
    assert {row["digests"][0] for row in rows if row["of"] == "memory"} == {"blake3", "xxh128", "sha256", "md5", "sha1"}
    assert all(row["bytes_per_second"] > 0 for row in rows)
    assert len(rows) == 8
