"""More at once than the kernel's queue or watch table holds: nothing is missed and the shortage is shown."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from tests.service import Follower, Sluice, scaled, total

BURST = scaled(20_000, 100_000)
STALLED = scaled(10_000, 40_000)
PER_DIRECTORY = 100
CATCH_UP_S = 60.0  # the bar for a reader that was stopped
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
SMALL_QUEUE = 1024
WATCHES = 100
DIRECTORIES = 300

pytestmark = pytest.mark.timeout(600)


def _directory(root: Path, number: int) -> Path:
    return root / f"t{number % 10:02d}" / f"m{number // 10 % 10:02d}" / f"d{number:04d}"


def _content(number: int) -> bytes:
    return f"file {number} of a burst".encode().ljust(64, b".")


def _burst(root: Path, first: int, files: int, *, into: int | None = None) -> list[Path]:
    """Write small files as fast as one process can, each hundred into a directory of its own.

    The directories are made in between, unless ``into`` says to go on in those from that file number on.
    """
    paths = []
    for start in range(first, first + files, PER_DIRECTORY):
        directory = _directory(root, (start if into is None else into + start - first) // PER_DIRECTORY)
        directory.mkdir(parents=True, exist_ok=True)
        for number in range(start, min(start + PER_DIRECTORY, first + files)):
            path = directory / f"track {number:06d}.mp3"
            path.write_bytes(_content(number))
            paths.append(path)
    return paths


def _assert_all(sluice: Sluice, follower: Follower, paths: list[Path], timeout_s: float) -> float:
    """Every file is catalogued once, with its own digest; gives the seconds it took from now."""
    began = time.monotonic()
    follower.wait_created(paths, timeout_s)
    took = time.monotonic() - began
    rows = sluice.catalogued()
    created = sluice.events("file.created")
    assert len(created) == len(paths), "not one file.created per file"
    assert rows.keys() == {str(path) for path in paths}
    wrong = [
        path for number, path in enumerate(paths) if rows[str(path)]["blake3"] != blake3(_content(number)).hexdigest()
    ]
    assert not wrong, f"{len(wrong)} wrong digests, such as {wrong[:3]}"
    return took


def test_fresh_nested_directories(tmp_path: Path) -> None:
    """A burst into directories that are made while it runs: none is missed."""
    root = tmp_path / "incoming"
    root.mkdir()
    with Sluice(tmp_path / "home") as sluice:
        service = sluice.start(root)
        with sluice.follow() as follower:
            paths = _burst(root, 0, BURST)
            took = _assert_all(sluice, follower, paths, timeout_s=60 + BURST / 1_000)
        print(f"{BURST} files, all catalogued {took:.1f} s after the last one")  # noqa: T201
        service.stop()


def test_reader_stopped(tmp_path: Path) -> None:
    """Files that arrive while the service is stopped by the scheduler.

    The queue overflows, none is missed.
    """
    root = tmp_path / "incoming"
    for number in range(STALLED // PER_DIRECTORY):
        _directory(root, number).mkdir(parents=True)
    with Sluice(tmp_path / "home", config=_without_audit(root)) as sluice:
        service = sluice.start()
        directories = 1 + sum(path.is_dir() for path in root.rglob("*"))
        service.wait(lambda: sluice.root(root)["watches"] == directories, "all watches", CATCH_UP_S)
        with sluice.follow() as follower:
            service.pause()
            paths = _burst(root, 0, STALLED)
            service.resume()
            took = _assert_all(sluice, follower, paths, timeout_s=CATCH_UP_S)
        print(f"{STALLED} files, all catalogued {took:.1f} s after the reader went on")  # noqa: T201
        assert total(sluice.status()["overflows"]) >= 1, "the overflow is not to be seen in status"
        service.stop()


@pytest.mark.needs_root
def test_small_event_queue(tmp_path: Path) -> None:
    """A queue of 1,024 events that overflows in the middle of a burst into new directories.

    None is missed.
    """
    root = tmp_path / "incoming"
    root.mkdir()
    with Sluice(tmp_path / "home", config=_without_audit(root)) as sluice:
        with _queue_limit(SMALL_QUEUE):  # the kernel reads it when the service asks for its queue, then never again
            service = sluice.start()
        with sluice.follow() as follower:
            paths = _burst(root, 0, BURST // 2)
            follower.wait(lambda seen: len(seen) > BURST // 20, "the first are catalogued", CATCH_UP_S)
            service.pause()
            paths += _burst(root, BURST // 2, BURST // 4, into=0)
            service.resume()
            paths += _burst(root, BURST // 2 + BURST // 4, BURST // 4)
            _assert_all(sluice, follower, paths, timeout_s=60 + BURST / 1_000)
        assert total(sluice.status()["overflows"]) >= 1, "the overflow is not to be seen in status"
        service.stop()


def test_watch_limit(tmp_path: Path) -> None:
    """100 watches for 300 directories.

    What is not watched is polled, nothing is missed, and status says why.
    """
    root = tmp_path / "incoming"
    for number in range(DIRECTORIES):
        (root / f"d{number:03d}").mkdir(parents=True)
    with Sluice(tmp_path / "home") as sluice:
        service = sluice.start(root, prefix=_watch_limit(WATCHES))
        with sluice.follow() as follower:
            paths = []
            for number in range(DIRECTORIES):
                path = root / f"d{number:03d}" / "song.mp3"
                path.write_bytes(_content(number))
                paths.append(path)
            fresh = root / "made" / "later" / "on"
            fresh.mkdir(parents=True)
            paths.append(fresh / "song.mp3")
            paths[-1].write_bytes(_content(DIRECTORIES))
            _assert_all(sluice, follower, paths, timeout_s=CATCH_UP_S)
        shown = sluice.root(root)
        assert 0 < shown["watches"] <= WATCHES, shown
        assert "max_user_watches" in str(shown["reason"]), f"the shortage is not explained: {shown}"
        service.stop()


def _without_audit(root: Path) -> dict[str, object]:
    """A configuration in which only events and what replaces them can find a file."""
    return {"libraries": {"incoming": {"path": str(root)}}, "schedules": {"audit": None}}


@contextmanager
def _queue_limit(events: int) -> Iterator[None]:
    before = QUEUE.read_text()
    try:
        QUEUE.write_text(str(events))
        yield
    finally:
        QUEUE.write_text(before)


def _watch_limit(watches: int) -> list[str]:
    """A command prefix under which only so many watches may be had; skip where user namespaces are off.

    The file of the namespace is ``user/max_inotify_watches``. ``fs/inotify/max_user_watches`` must not be
    written there: it is the one of the whole machine.
    """
    script = f'echo {watches} > /proc/sys/user/max_inotify_watches && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("user namespaces are not allowed here")
    return prefix


def test_the_watch_limit_holds(tmp_path: Path) -> None:
    """The namespace really refuses the 101st watch, else the test of the limit would prove nothing."""
    program = (
        "import ctypes, os, sys\n"
        "c = ctypes.CDLL(None, use_errno=True); fd = c.inotify_init1(0); n = 0\n"
        "for i in range(150):\n"
        "    os.mkdir(f'{sys.argv[1]}/{i}')\n"
        "    n += c.inotify_add_watch(fd, f'{sys.argv[1]}/{i}'.encode(), 8) > 0\n"
        "print(n)\n"
    )
    done = subprocess.run(
        [*_watch_limit(WATCHES), "python3", "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == WATCHES
