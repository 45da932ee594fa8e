"""What users of the MediaCMS directory monitor have, here: each test quotes its row of the feature ledger."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from blake3 import blake3

from tests.samples import jpeg, mp4, pdf, png, unknown, wav
from tests.service import Line, Service, Sluice, obeying_permissions, until

SOON_S = 20.0  # a complete format takes 0.25 s; the rest is for a slow machine
LATER_S = 30.0  # an unknown one takes 5 s
DEBOUNCE_S = 4.0
MAX_SIZE = 20_000

pytestmark = pytest.mark.timeout(120)


class Monitor(NamedTuple):
    """One service for the tests that only add files, each in a place of its own."""

    sluice: Sluice
    service: Service
    base: Path

    def place(self, library: str, name: str) -> Path:
        """A directory for one test in one library. It is there before the test goes on."""
        directory = self.base / library / name
        directory.mkdir(parents=True)
        return directory

    def created(self, path: Path) -> list[Line]:
        return [event for event in self.sluice.events("file.created") if event["path"] == str(path)]

    def wait(self, *paths: Path, timeout_s: float = SOON_S) -> dict[str, Line]:
        return self.service.wait_catalogued(paths, timeout_s)


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    home = tmp_path_factory.mktemp("mediacms")
    base = home / "roots"
    libraries: dict[str, dict[str, object]] = {
        "plain": {},
        "second": {},
        "clips": {"include": [".mp4"]},
        "bare": {"include": ["mp4"]},
        "flat": {"recursive": False},
        "slow": {"debounce": f"{DEBOUNCE_S:g}s"},
        "capped": {"import": {"max_size": MAX_SIZE}},
        "linked": {"follow_symlinks": "files"},
        "polled": {"poll": "always", "settle": {"network": "2s"}},
        "sparse": {"settle": {"truncated": "500ms"}},
    }
    for name, library in libraries.items():
        library["path"] = str(base / name)
        (base / name).mkdir(parents=True)
    document = {
        "system": {"log_level": "debug", "log_format": "json", "log_dir": str(home / "logs")},
        "libraries": libraries,
    }
    with Sluice(home / "home", config=document) as sluice:
        yield Monitor(sluice, sluice.start(), base)


# -- watching ----------------------------------------------------------------------------------------------


def test_a_dropped_file_is_catalogued(monitor: Monitor) -> None:
    """S0-01: a file that is dropped into a watched folder is in the catalogue without any further action."""
    path = monitor.place("plain", "s0-01") / "holiday.jpg"
    path.write_bytes(jpeg("s0-01"))
    row = monitor.wait(path)[str(path)]
    assert row["blake3"] == blake3(path.read_bytes()).hexdigest()
    assert len(monitor.created(path)) == 1


def _copied(source: Path, target: Path) -> None:
    subprocess.run(["cp", str(source), str(target)], check=True)


def _moved(source: Path, target: Path) -> None:
    source.rename(target)


def _moved_across(source: Path, target: Path) -> None:
    if os.stat("/dev/shm").st_dev == target.parent.stat().st_dev:
        pytest.skip("no second file system that can be written to")
    other = Path("/dev/shm") / f"sluice-{os.getpid()}.jpg"
    shutil.copy(source, other)
    subprocess.run(["mv", str(other), str(target)], check=True)


def _synced(source: Path, target: Path) -> None:
    subprocess.run(["rsync", str(source), str(target)], check=True)


def _appended(source: Path, target: Path) -> None:
    content = source.read_bytes()
    with target.open("wb", 0) as file:
        for start in range(0, len(content), 10_000):
            file.write(content[start : start + 10_000])
            time.sleep(0.2)


@pytest.mark.parametrize(
    "write",
    [_copied, _moved, _moved_across, _synced, _appended],
    ids=["cp", "mv", "mv from another file system", "rsync", "slow append"],
)
def test_any_writer(monitor: Monitor, write: Callable[[Path, Path], None], request: pytest.FixtureRequest) -> None:
    """S0-02: files of any writer arrive once and whole, however they are written."""
    name = request.node.callspec.id.replace(" ", "-")
    outside = monitor.base.parent / f"outside-{name}.jpg"
    outside.write_bytes(jpeg(name, 60_000))
    digest = blake3(outside.read_bytes()).hexdigest()
    path = monitor.place("plain", f"s0-02-{name}") / "film.jpg"
    write(outside, path)
    row = monitor.wait(path)[str(path)]
    assert (row["blake3"], row["version"]) == (digest, 1)
    assert len(monitor.created(path)) == 1


def test_debounce(monitor: Monitor) -> None:
    """S0-04, S0-14: a writer that appends again and again is waited for.

    With the debounce of its library as a minimum.
    """
    path = monitor.place("slow", "s0-04") / "growing.mp3"
    for number in range(6):
        with path.open("ab") as file:
            file.write(unknown(number))
        time.sleep(1.0)
    ended = path.stat().st_mtime
    whole = monitor.place("slow", "s0-04-whole") / "whole.jpg"
    whole.write_bytes(jpeg("whole at once, waits all the same"))
    with monitor.sluice.follow() as follower:
        arrived = follower.wait_created([path, whole], LATER_S)
    assert arrived[str(whole)][0] - whole.stat().st_mtime >= DEBOUNCE_S
    assert arrived[str(path)][0] - ended >= DEBOUNCE_S
    assert arrived[str(path)][1]["size"] == path.stat().st_size
    assert monitor.sluice.catalogued()[str(path)]["version"] == 1


def test_extension_filter(monitor: Monitor) -> None:
    """S0-05, S0-15: with a filter other files are ignored, and `explain` names the rule.

    The case does not matter.
    """
    place = monitor.place("clips", "s0-05")
    wanted, other = place / "X.MP4", place / "notes.txt"
    other.write_bytes(b"not wanted")
    wanted.write_bytes(mp4("s0-05"))
    monitor.wait(wanted)
    assert str(other) not in monitor.sluice.files()
    explained = monitor.sluice.explain(other)
    assert explained["state"] == "ignored"
    assert "include" in explained["rule"]


def test_extension_without_its_dot(monitor: Monitor) -> None:
    """S0-15: `mp4` means what `.mp4` means."""
    path = monitor.place("bare", "s0-15") / "clip.mp4"
    path.write_bytes(mp4("s0-15"))
    monitor.wait(path)


def test_no_extension_filter(monitor: Monitor) -> None:
    """S0-15: without a filter every supported type is taken."""
    place = monitor.place("plain", "s0-15")
    paths = [place / "a.jpg", place / "b.mp4", place / "c.wav", place / "d.pdf", place / "e.png"]
    for path, make in zip(paths, (jpeg, mp4, wav, pdf, png), strict=True):
        path.write_bytes(make("any type"))
    monitor.wait(*paths)


def test_filter_at_validation(monitor: Monitor) -> None:
    """S0-37: the filter holds for the name that a file has when it is complete.

    Not for the one that it began with.
    """
    place = monitor.place("clips", "s0-37")
    leaves, comes = place / "leaves.mp4", place / "comes.txt"
    leaves.write_bytes(unknown("was wanted"))
    comes.write_bytes(mp4("will be wanted"))
    leaves.rename(place / "leaves.txt")
    comes.rename(place / "comes.mp4")
    monitor.wait(place / "comes.mp4")
    time.sleep(6)  # longer than the quiet period of an unknown format
    assert {path for path in monitor.sluice.files() if path.startswith(str(place))} == {str(place / "comes.mp4")}


def test_several_directories(monitor: Monitor) -> None:
    """S0-09: two folders are watched by one process."""
    first, second = monitor.place("plain", "s0-09") / "one.jpg", monitor.place("second", "s0-09") / "two.jpg"
    first.write_bytes(jpeg("first"))
    second.write_bytes(jpeg("second"))
    rows = monitor.wait(first, second)
    assert [rows[str(path)]["library"] for path in (first, second)] == ["plain", "second"]


def test_not_recursive(monitor: Monitor) -> None:
    """S0-16: with `recursive: false` only the folder itself is watched."""
    top, nested = monitor.base / "flat" / "top.jpg", monitor.place("flat", "below") / "nested.jpg"
    nested.write_bytes(jpeg("nested"))
    top.write_bytes(jpeg("top"))
    monitor.wait(top)
    assert str(nested) not in monitor.sluice.files()


def test_create_and_modify(monitor: Monitor) -> None:
    """S0-32: a creation alone and a modification alone are each noticed."""
    place = monitor.place("plain", "s0-32")
    outside = monitor.base.parent / "s0-32.jpg"
    outside.write_bytes(jpeg("linked into place"))
    linked = place / "linked.jpg"
    os.link(outside, linked)  # makes no event but a creation
    monitor.wait(linked)
    changed = place / "changed.jpg"
    changed.write_bytes(jpeg("first"))
    monitor.wait(changed)
    with changed.open("r+b") as file:
        file.write(jpeg("other"))
    monitor.service.wait(lambda: monitor.sluice.catalogued()[str(changed)]["version"] == 2, "a second version", SOON_S)


def test_rename_into_place(monitor: Monitor) -> None:
    """S0-72: a file that is renamed into place is taken, its temporary name is not."""
    place = monitor.place("plain", "s0-72")
    (place / ".film.jpg.AbC123").write_bytes(jpeg("like rsync"))
    (place / ".film.jpg.AbC123").rename(place / "film.jpg")
    (place / "song.jpg.part").write_bytes(jpeg("like a browser"))
    (place / "song.jpg.part").rename(place / "song.jpg")
    monitor.wait(place / "film.jpg", place / "song.jpg")
    assert not [e for e in monitor.sluice.events() if e["path"].startswith(str(place)) and e["type"] != "file.created"]


def test_rename_is_no_new_file(monitor: Monitor) -> None:
    """S0-73: a catalogued file that is renamed or moved keeps its identity.

    Its path changes, nothing is created.
    """
    place = monitor.place("plain", "s0-73")
    path = place / "old.jpg"
    path.write_bytes(jpeg("s0-73"))
    identity = monitor.wait(path)[str(path)]["id"]
    path.rename(place / "new.jpg")
    monitor.wait(place / "new.jpg")
    (place / "below").mkdir()
    (place / "new.jpg").rename(place / "below" / "new.jpg")
    rows = monitor.wait(place / "below" / "new.jpg")
    assert rows[str(place / "below" / "new.jpg")]["id"] == identity
    events = [e for e in monitor.sluice.events() if e["path"].startswith(str(place))]
    assert [(e["type"], e["old_path"]) for e in events] == [
        ("file.created", None),
        ("file.renamed", str(path)),
        ("file.moved", str(place / "new.jpg")),
    ]


def test_symbolic_links(monitor: Monitor) -> None:
    """S0-74: links to files are followed only where that is set, and only inside the root.

    Links to folders never.
    """
    target = monitor.place("linked", "s0-74") / "target.jpg"
    target.write_bytes(jpeg("behind a link"))
    outside = monitor.base.parent / "s0-74-outside.jpg"
    outside.write_bytes(jpeg("outside of the root"))
    place = target.parent
    (place / "link.jpg").symlink_to(target)
    (place / "outside.jpg").symlink_to(outside)
    (place / "folder").symlink_to(place)
    (place / "loop").symlink_to("loop")
    plain = monitor.place("plain", "s0-74")
    (plain / "target.jpg").write_bytes(jpeg("not followed"))
    (plain / "link.jpg").symlink_to("target.jpg")
    (plain / "folder").symlink_to("..")
    monitor.wait(target, place / "link.jpg", plain / "target.jpg")
    rows = monitor.sluice.files()
    assert {p for p in rows if p.startswith(str(place))} == {str(target), str(place / "link.jpg")}
    assert {p for p in rows if p.startswith(str(plain))} == {str(plain / "target.jpg")}


def test_polling_where_events_cannot_be_trusted(monitor: Monitor) -> None:
    """S0-65: a folder that is polled is shown as such.

    Its files are taken after the quiet time for networks.
    """
    assert monitor.sluice.root(monitor.base / "polled")["mode"] == "poll"
    path = monitor.place("polled", "s0-65") / "late.jpg"
    path.write_bytes(jpeg("s0-65"))
    monitor.wait(path, timeout_s=LATER_S)


# -- validation --------------------------------------------------------------------------------------------


def test_pending_files_are_listed(monitor: Monitor) -> None:
    """S0-33: a file that is not settled is in the status, with the reason, its age and when it is due."""
    path = monitor.place("plain", "s0-33") / "pending.mp3"
    with path.open("wb", 0) as file:
        file.write(unknown("held open"))
        monitor.service.wait(lambda: _pending(monitor, path), "the file is listed as settling", SOON_S)
        line = _pending(monitor, path)
        assert line is not None
        assert line["reason"]
        assert line["since"]
        assert "due" in line
    monitor.wait(path, timeout_s=LATER_S)
    assert _pending(monitor, path) is None


def _pending(monitor: Monitor, path: Path) -> Line | None:
    return next((line for line in monitor.sluice.status()["settling"] if line["path"] == str(path)), None)


def test_deleted_before_it_settled(monitor: Monitor) -> None:
    """S0-34: a file that vanishes while it is waited for leaves no file behind and does no harm."""
    place = monitor.place("plain", "s0-34")
    (place / "gone.mp3").write_bytes(unknown("gone"))
    time.sleep(0.5)
    (place / "gone.mp3").unlink()
    (place / "stays.mp3").write_bytes(unknown("stays"))
    monitor.wait(place / "stays.mp3", timeout_s=LATER_S)
    assert str(place / "gone.mp3") not in monitor.sluice.files()
    assert [e["type"] for e in monitor.sluice.events() if e["path"].startswith(str(place))] == ["file.created"]


def test_unreadable(tmp_path: Path) -> None:
    """S0-34, S0-50, S0-52: a file that may not be read is recorded with its error, as a warning.

    Readable again, it is taken.
    """
    root = tmp_path / "incoming"
    root.mkdir()
    document = {"system": {"log_format": "json"}, "libraries": {"incoming": {"path": str(root)}}}
    with Sluice(tmp_path / "home", config=document) as sluice:
        service = sluice.start(prefix=obeying_permissions())
        path = root / "secret.jpg"
        hidden = tmp_path / "secret.jpg"
        hidden.write_bytes(jpeg("secret"))
        hidden.chmod(0)
        hidden.rename(path)
        service.wait(
            lambda: sluice.files().get(str(path), {}).get("state") == "unreadable",
            "recorded as unreadable",
            SOON_S,
        )
        row = sluice.files()[str(path)]
        assert "ermission" in row["reason"]
        assert row["blake3"] is None
        levels = {r["level"] for r in service.records() if str(path) in str(r.values())}
        assert "warning" in levels or "error" in levels
        path.chmod(0o644)
        path.rename(root / "shown.jpg")
        service.wait_catalogued([root / "shown.jpg"], SOON_S)
        service.stop()


def test_empty_then_written(monitor: Monitor) -> None:
    """S0-35: a file without bytes is recorded as empty and taken as soon as it has some."""
    path = monitor.place("plain", "s0-35") / "placeholder.jpg"
    path.touch()
    monitor.service.wait(
        lambda: monitor.sluice.files().get(str(path), {}).get("state") == "empty", "recorded as empty", SOON_S
    )
    assert not monitor.created(path)
    path.write_bytes(jpeg("now with content"))
    monitor.wait(path)
    assert len(monitor.created(path)) == 1


def test_size_limit(monitor: Monitor) -> None:
    """S0-36: a file at the size limit is taken, one byte more is skipped with the reason."""
    place = monitor.place("capped", "s0-36")
    fits, large = place / "fits.mp4", place / "large.mp4"
    fits.write_bytes(mp4("fits", MAX_SIZE))
    large.write_bytes(mp4("too large", MAX_SIZE + 1))
    assert (fits.stat().st_size, large.stat().st_size) == (MAX_SIZE, MAX_SIZE + 1)
    monitor.wait(fits)
    monitor.service.wait(lambda: str(large) in monitor.sluice.files(), "the larger one is recorded", SOON_S)
    row = monitor.sluice.files()[str(large)]
    assert row["state"] == "skipped"
    assert "large" in row["reason"] or "size" in row["reason"]


def test_kind_by_content(monitor: Monitor) -> None:
    """S0-43: what a file is, is judged by its content, not only by its extension."""
    place = monitor.place("plain", "s0-43")
    samples = {"video": mp4, "audio": wav, "image": jpeg, "pdf": pdf}
    paths = {kind: place / f"{kind}.dat" for kind in samples}
    for kind, make in samples.items():
        paths[kind].write_bytes(make(f"kind {kind}"))
    misnamed = place / "picture.mp3"
    misnamed.write_bytes(png("a picture with the name of a song"))
    rows = monitor.wait(*paths.values(), misnamed)
    assert {kind: rows[str(path)]["kind"] for kind, path in paths.items()} == {kind: kind for kind in samples}
    assert rows[str(misnamed)]["kind"] == "image"


# -- start, stop, configuration ----------------------------------------------------------------------------


def test_installed_whole(tmp_path: Path) -> None:
    """S0-10: what the project declares to need is installed, and the command runs."""
    with Sluice(tmp_path) as sluice:
        assert sluice.call("--version").stdout.strip()
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"], check=True, capture_output=True
    )


def test_override_wins(tmp_path: Path) -> None:
    """S0-11: a value of a later layer wins over the document.

    `config show --origin` tells where it is from.
    """
    document = {
        "system": {"log_level": "error"},
        "libraries": {"incoming": {"path": str(tmp_path), "debounce": "3s"}},
    }
    with Sluice(tmp_path / "home", config=document, environment={"SLUICE_SYSTEM__LOG_LEVEL": "warning"}) as sluice:
        shown = sluice.call("config", "show", "--origin").stdout
    level = next(line for line in shown.splitlines() if "log_level" in line)
    debounce = next(line for line in shown.splitlines() if "incoming" in line and "debounce" in line)
    assert "warning" in level
    assert "SLUICE_SYSTEM__LOG_LEVEL" in level or "environment" in level
    assert "3s" in debounce
    assert "config.yaml" in debounce


def test_absolute_paths_only(tmp_path: Path) -> None:
    """S0-12: a relative folder is refused with the name of its key; two absolute ones are accepted."""
    document = {"libraries": {"one": {"path": str(tmp_path / "one")}, "two": {"path": str(tmp_path / "two")}}}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Sluice(tmp_path / "home", config=document) as sluice:
        sluice.call("config", "check")
        sluice.configure({"libraries": {"one": {"path": "relative/folder"}}})
        refused = sluice.call("config", "check", code=78)
    assert "libraries.one.path" in refused.stdout + refused.stderr
    assert "absolute" in refused.stdout + refused.stderr


def test_debounce_default(tmp_path: Path) -> None:
    """S0-14, S0-16: users of MediaCMS get 5 s and recursion without setting them.

    What they set instead.
    """
    one: dict[str, object] = {"path": str(tmp_path), "action": "catalogue"}
    with Sluice(tmp_path / "home", config={"preset": "mediacms", "libraries": {"one": one}}) as sluice:
        shown = sluice.settings()
        assert (shown["libraries.one.debounce"], shown["libraries.one.recursive"]) == ("5s", True)
        sluice.configure({"preset": "mediacms", "libraries": {"one": {**one, "debounce": 10}}})
        assert sluice.settings()["libraries.one.debounce"] == "10s"


def test_starts_and_says_what_it_watches(monitor: Monitor) -> None:
    """S0-24, S0-25, S0-26, S0-47, S0-48: it stays up, prints its configuration and one record per folder."""
    assert monitor.service.process.poll() is None
    log = monitor.service.records()
    for library in ("plain", "second", "clips", "slow"):
        path = str(monitor.base / library)
        started = [r for r in log if r.get("path") == path and "watch" in str(r.get("event"))]
        assert len(started) == 1, f"{library}: {started}"
    text = monitor.service.log_text()
    assert str(monitor.sluice.data) in text, "where its catalogue is"


def test_console_and_log_file(monitor: Monitor) -> None:
    """S0-27, S0-49, S0-50: what happens to a file is on the console and in the log file.

    Detected, then catalogued.
    """
    path = monitor.place("plain", "s0-27") / "logged.jpg"
    path.write_bytes(jpeg("s0-27"))
    monitor.wait(path)
    console = [r for r in monitor.service.records() if "logged.jpg" in str(r.get("path"))]
    assert console[0]["event"] == "sighted"
    created = next(r for r in console if r["event"] == "created")
    assert created["path"] == str(path)
    assert created["file"]
    in_file = "".join(f.read_text() for f in (monitor.base.parent / "logs").iterdir() if f.is_file())
    for record in console:
        assert any(record["event"] in line and "logged.jpg" in line for line in in_file.splitlines()), record


def test_duplicate_is_logged(monitor: Monitor) -> None:
    """S0-51: a second copy is logged with its digest and the file that has the content already."""
    place = monitor.place("plain", "s0-51")
    (place / "first.jpg").write_bytes(jpeg("twice"))
    first = monitor.wait(place / "first.jpg")[str(place / "first.jpg")]
    (place / "second.jpg").write_bytes(jpeg("twice"))
    monitor.wait(place / "second.jpg")
    record = next(r for r in monitor.service.records() if r["event"] == "duplicate" and "s0-51" in r["path"])
    assert record["blake3"] == first["blake3"]
    assert record["of"] == first["id"]
    event = next(e for e in monitor.sluice.events("file.duplicate") if e["path"] == str(place / "second.jpg"))
    assert event["data"]["of"] == first["id"]


def test_levels(monitor: Monitor) -> None:
    """S0-52: every record has a level, and ordinary life is below warning."""
    log = monitor.service.records()
    assert {r["level"] for r in log} <= {"debug", "info", "warning", "error"}
    assert {r["level"] for r in log if r["event"] == "created"} <= {"info"}
    assert {r["level"] for r in log if r["event"] == "sighted"} <= {"debug"}


def test_log_level(tmp_path: Path) -> None:
    """S0-53: at level warning no info record is printed."""
    root = tmp_path / "incoming"
    root.mkdir()
    document = {
        "system": {"log_level": "warning", "log_format": "json"},
        "libraries": {"incoming": {"path": str(root)}},
    }
    with Sluice(tmp_path / "home", config=document) as sluice:
        service = sluice.start()
        (root / "quiet.jpg").write_bytes(jpeg("s0-53"))
        service.wait_catalogued([root / "quiet.jpg"], SOON_S)
        service.stop()
        assert not [r for r in service.records() if r["level"] in {"info", "debug"}]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """S0-48: a password in the document is shown nowhere, not even in the error about it."""
    document = {
        "database": {"url": "postgresql://user:open-sesame@host/db"},
        "libraries": {"one": {"path": str(tmp_path)}},
    }
    with Sluice(tmp_path / "home", config=document) as sluice:
        for command in (("config", "check"), ("config", "show", "--origin"), ("run",)):
            done = sluice.call(*command, code=None)
            assert "open-sesame" not in done.stdout + done.stderr, command


def test_interrupt(tmp_path: Path) -> None:
    """S0-28, S0-47: Ctrl+C ends it with 0 within 10 s; what was half-written is not taken.

    Start and stop are logged.
    """
    root = tmp_path / "incoming"
    root.mkdir()
    with Sluice(tmp_path / "home") as sluice:
        service = sluice.start(root)
        with (root / "half.mp3").open("wb", 0) as file:
            file.write(unknown("half"))
            time.sleep(0.5)
            service.stop(signal.SIGINT)
            assert not sluice.catalogued()
            assert not sluice.events("file.created")
        assert "stop" in service.log_text().lower()


def test_existing_files(tmp_path: Path) -> None:
    """S0-64, S0-75: files that were there before the first start are catalogued once.

    Known at the second start.
    """
    root = tmp_path / "incoming"
    root.mkdir()
    for number in range(100):
        (root / f"{number:03d}.jpg").write_bytes(jpeg(number))
    with Sluice(tmp_path / "home") as sluice:
        service = sluice.start(root)
        service.wait_catalogued(root.iterdir(), SOON_S)
        service.stop()
        events = sluice.events()
        assert len(sluice.files()) == 100
        assert {e["origin"] for e in events} == {"baseline"}
        service = sluice.start(root)
        (root / "new.jpg").write_bytes(jpeg("new"))
        service.wait_catalogued([root / "new.jpg"], SOON_S)
        service.stop()
        fresh = sluice.events()[len(events) :]
        assert [(e["type"], e["path"]) for e in fresh] == [("file.created", str(root / "new.jpg"))]


# -- cost --------------------------------------------------------------------------------------------------


def test_long_digest_is_visible(monitor: Monitor) -> None:
    """S0-63: a digest that takes long is to be seen in the status, and other files do not wait for it."""
    path = monitor.place("sparse", "s0-63") / "huge.mkv"
    with path.open("wb") as file:
        file.truncate(6 << 30)  # bytes: all holes, nothing on the disk, seconds to read
    other = monitor.place("plain", "s0-63") / "small.jpg"
    monitor.service.wait(
        lambda: "huge.mkv" in str(monitor.sluice.status()), "the digest in flight is in the status", SOON_S
    )
    other.write_bytes(jpeg("meanwhile"))
    try:
        monitor.wait(other)
        assert str(path) not in monitor.sluice.catalogued(), (
            "the file is too small for this machine: the test shows nothing"
        )
        until(lambda: _progress(monitor) > 0, "its progress", SOON_S)
    finally:
        path.unlink()


def _progress(monitor: Monitor) -> int:
    """Bytes that are read so far of whatever is being read."""
    return max((reading["bytes"] for reading in monitor.sluice.status()["queues"]["reading"]), default=0)


def test_threads_do_not_grow_with_roots(tmp_path: Path) -> None:
    """S0-66: twelve folders need no more threads and processes than one."""

    def threads(roots: int) -> int:
        home = tmp_path / str(roots)
        paths = [home / f"root{number}" for number in range(roots)]
        for path in paths:
            path.mkdir(parents=True)
        with Sluice(home / "home") as sluice:
            service = sluice.start(*paths)
            time.sleep(0.5)
            counted = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in service.family())
            service.stop()
        return counted

    assert threads(12) <= threads(1) + 1
