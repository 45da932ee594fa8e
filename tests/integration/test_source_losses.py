"""What cannot be watched or read in time is said, found again and never lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mediasluice.model.flow import What
from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.inotify import InotifySource
from mediasluice.sources.names import NameRules
from tests.watching import brief, files_below, is_inside, watching

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")  # only read: these two are settings of the whole machine
LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
HERE = Path(__file__).parents[2]


def test_a_burst_into_fresh_directories(tmp_path: Path) -> None:
    """Files that are written as fast as possible into directories made at the same moment are all noticed."""
    writer = (
        "import os, sys\n"
        "for at in range(400):\n"
        "    place = f'{sys.argv[1]}/{at % 10}/{at // 10 % 10}/{at}'\n"
        "    os.makedirs(place)\n"
        "    for name in range(25):\n"
        "        os.close(os.open(f'{place}/{name}', os.O_CREAT | os.O_WRONLY))\n"
    )
    with watching(tmp_path) as watch:
        process = subprocess.Popen([sys.executable, "-c", writer, tmp_path])
        while process.poll() is None:
            watch.drain()
            time.sleep(0.01)
        watch.rest()
        assert len(files_below(tmp_path)) == 10_000
        assert watch.told().missing(tmp_path) == []
        assert watch.source.coverage().watches == 1 + 10 + 100 + 400


def stir(root: Path, outside: Path, choose: random.Random, mark: str) -> None:
    """One random change of a tree; what makes no sense at the moment raises OSError or IndexError."""
    place = root / "/".join(choose.choices("abcdef", k=choose.randint(1, 4)))
    other = root / "/".join(choose.choices("abcdef", k=choose.randint(1, 3)))
    match choose.randrange(7):
        case 0 | 1:
            place.mkdir(parents=True)
            (place / f"f{mark}").write_bytes(b"x")
        case 2:
            (place.parent / f"g{mark}").write_bytes(b"x")
        case 3:
            place.rename(other)
        case 4:
            place.rename(outside / mark)
        case 5:
            choose.choice(sorted(outside.iterdir())).rename(other)
        case 6 if choose.random() < 0.3:
            shutil.rmtree(place)


def test_a_storm_of_several_writers(tmp_path: Path) -> None:
    """Writers that make, rename, move out, move in and remove trees at random leave nothing unnoticed."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    over = threading.Event()

    def write(seed: int) -> None:
        choose = random.Random(seed)
        count = 0
        while not over.is_set():
            count += 1
            with suppress(OSError, IndexError):
                stir(root, outside, choose, f"{seed}-{count}")

    with watching(root) as watch:
        writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
        for writer in writers:
            writer.start()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            watch.drain()
            time.sleep(0.01)
        over.set()
        for writer in writers:
            writer.join()
        watch.rest()
        assert watch.told().missing(root) == []
        directories = [Path(directory) for directory, _, _ in os.walk(root)]
        assert watch.source.coverage().watches == len(directories)
        watch.sightings.clear()
        for directory in directories:
            (directory / "probe").write_bytes(b"x")
        watch.rest()
        probes = sorted(os.fsencode(directory.relative_to(root) / "probe") for directory in directories)
        assert sorted({path for _, path, _ in brief(watch.sightings)}) == probes


def test_a_kernel_queue_that_overflows(tmp_path: Path) -> None:
    """With the reader stopped the kernel drops events: the root is called dirty once, and all goes on."""
    (tmp_path / "old").mkdir()
    with watching(tmp_path) as watch:
        assert isinstance(watch.source, InotifySource)
        with watch.source._readers._lock:  # the reader thread stands still
            for at in range(int(QUEUE.read_text()) // 2 + 1):  # created and closed: two events
                os.close(os.open(tmp_path / "old" / str(at), os.O_CREAT | os.O_WRONLY))
            for at in range(300):
                (tmp_path / f"new{at}" / "deep").mkdir(parents=True)
                (tmp_path / f"new{at}" / "deep" / "f").write_bytes(b"x")
            (tmp_path / "old").rename(tmp_path / "new299" / "moved")
        watch.rest()
        dirty = [sighting for sighting in watch.sightings if sighting.what is What.DIRTY]
        assert [sighting.directory for sighting in dirty] == [b""]
        coverage = watch.source.coverage()
        assert (coverage.overflows, coverage.watches) == (1, 602)
        (tmp_path / "new299" / "moved" / "later").write_bytes(b"x")
        (tmp_path / "new150" / "deep" / "later").write_bytes(b"x")
        paths = {path for _, path, _ in brief(watch.rest())}
        assert paths == {b"new299/moved/later", b"new150/deep/later"}


def test_a_process_that_is_stopped(tmp_path: Path) -> None:
    """A watcher that is stopped while 40,000 files are written finds all of them when it goes on."""
    for at in range(400):
        (tmp_path / str(at)).mkdir()
    watcher = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.watching import watching\n"
        "root = Path(sys.argv[1])\n"
        "with watching(root) as watch:\n"
        "    print('ready', flush=True)\n"
        "    input()\n"
        "    watch.rest(1)\n"
        "    missed = watch.told().missing(root)\n"
        "    print(len(missed), watch.source.coverage().overflows, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", watcher, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        for at in range(40_000):
            os.close(os.open(tmp_path / str(at % 400) / str(at), os.O_CREAT | os.O_WRONLY))
        process.send_signal(signal.SIGCONT)
        process.stdin.write("\n")
        process.stdin.flush()
        missed, overflows = process.stdout.readline().split()
    assert (missed, overflows) == ("0", "1")


def test_events_that_nobody_takes(tmp_path: Path) -> None:
    """Past the bound of raw events they are dropped, which makes the root dirty and loses nothing."""
    (tmp_path / "a").mkdir()
    with watching(tmp_path, buffered=1_000) as watch:
        for at in range(200):
            (tmp_path / "a" / str(at)).write_bytes(b"")
        (tmp_path / "b" / "c").mkdir(parents=True)
        (tmp_path / "b" / "c" / "f").write_bytes(b"")
        watch.rest()
        assert ("DIRTY", b"", b"") in brief(watch.sightings)
        assert watch.source.coverage().overflows >= 1
        assert watch.source.coverage().watches == 4


def test_more_directories_than_watches(tmp_path: Path) -> None:
    """What the budget leaves out is named, with the line that raises the limit; once it is raised, all is covered."""
    for at in range(300):
        (tmp_path / str(at) / "sub").mkdir(parents=True)
    budget = WatchBudget(125)
    with watching(tmp_path, budget=budget) as watch:
        coverage = watch.source.coverage()
        assert coverage.watches == 100
        assert coverage.reason is not None
        assert "sysctl -w fs.inotify.max_user_watches=" in coverage.reason
        for at in range(300):
            (tmp_path / str(at) / "sub" / "f").write_bytes(b"")
        watch.rest()
        polled, told = coverage.uncovered, watch.told()
        for directory, name in files_below(tmp_path):
            by_poll = any(is_inside(directory, place) for place in polled)
            assert told.covers(directory, name) is not by_poll, (directory, name)
        budget._fixed = 10_000
        watch.source.start()
        coverage = watch.source.coverage()
        assert (coverage.watches, coverage.uncovered, coverage.reason) == (601, (), None)


def test_a_new_directory_without_a_watch(tmp_path: Path) -> None:
    """A directory that comes when nothing is left is looked at once, and named to be polled."""
    budget = WatchBudget(1)
    with watching(tmp_path, budget=budget) as watch:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "f").write_bytes(b"")
        watch.rest()
        assert watch.told().covers(b"new", b"f")
        assert watch.source.coverage().uncovered == (b"new",)
        (tmp_path / "new").rename(tmp_path / "other")
        watch.rest()
        assert watch.source.coverage().uncovered == (b"other",)
        shutil.rmtree(tmp_path / "other")
        watch.rest()
        assert watch.source.coverage().uncovered == ()


@pytest.mark.needs_root
def test_a_limit_of_the_kernel(tmp_path: Path) -> None:
    """In a user namespace with 100 watches the kernel refuses the rest, and that is said and covered as well.

    Only ``user/max_inotify_watches`` belongs to the namespace. ``fs/inotify/max_user_watches`` is the whole machine's
    and could be written even from in there, so this test reads it before and after.
    """
    for at in range(300):
        (tmp_path / str(at)).mkdir()
    watcher = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mediasluice.sources.budget import WatchBudget\n"
        "from tests.watching import watching\n"
        "Path('/proc/sys/user/max_inotify_watches').write_text('100')\n"
        "with watching(Path(sys.argv[1]), budget=WatchBudget(10_000)) as watch:\n"
        "    coverage = watch.source.coverage()\n"
        "    print(coverage.watches, len(coverage.uncovered), 'sysctl' in coverage.reason)\n"
    )
    of_the_machine = LIMIT.read_text()
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", watcher, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=True)
    assert LIMIT.read_text() == of_the_machine
    assert said.stdout.split() == ["100", "201", "True"]


@pytest.mark.needs_root
def test_a_directory_that_may_not_be_read() -> None:
    """A directory without permission is named with the reason; nothing stops root, so another user looks."""
    # Not below tmp_path, whose parents only root may enter: their modes are not this test's to change.
    with tempfile.TemporaryDirectory() as base:
        root = Path(base)
        (root / "closed" / "sub").mkdir(parents=True)
        (root / "open").mkdir()
        (root / "closed").chmod(0o000)
        root.chmod(0o755)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                with watching(root) as watch:
                    coverage = watch.source.coverage()
                    reason = coverage.reason or ""
                    code = 0 if coverage.uncovered == (b"closed",) and "Permission denied" in reason else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_path_of_more_than_4096_bytes(tmp_path: Path) -> None:
    """Directories whose path no system call takes are watched too."""
    names = [b"%02d" % at + b"d" * 250 for at in range(20)]
    here = os.open(tmp_path, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    try:
        with watching(tmp_path) as watch:
            assert watch.source.coverage().watches == 21
            os.close(os.open(b"f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
            os.mkdir(b"new", dir_fd=here)
            os.close(os.open(b"new/g", os.O_CREAT | os.O_WRONLY, dir_fd=here))
            watch.rest()
            deep = b"/".join(names)
            assert len(deep) > 4096
            assert watch.told().covers(deep, b"f")
            assert watch.told().covers(deep + b"/new", b"g")
    finally:
        os.close(here)


def test_attributes_are_said_only_when_asked(tmp_path: Path) -> None:
    """A change of mode or times is a sighting of its own kind, and none at all by default."""
    (tmp_path / "f").write_bytes(b"")
    with watching(tmp_path) as plain, watching(tmp_path, attributes=True) as asking:
        (tmp_path / "f").chmod(0o600)
        assert brief(asking.rest()) == [("ATTRIBUTES", b"f", b"")]
        assert plain.rest() == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Links to directories, to themselves and to the root are names, not trees."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to("loop")
    with watching(root) as watch:
        (root / "up").symlink_to(root)
        (tmp_path / "outside" / "f").write_bytes(b"")
        assert brief(watch.rest()) == [("CREATED", b"up", b"")]
        assert watch.source.coverage().watches == 1


def test_path_rules_after_a_rename(tmp_path: Path) -> None:
    """A rename that brings a directory under other rules watches what is wanted now and lets go of the rest."""
    (tmp_path / "x" / "cache").mkdir(parents=True)
    (tmp_path / "raw" / "cache").mkdir(parents=True)
    rules = NameRules(os.fsencode(tmp_path), exclude=("/raw/cache",))
    with watching(tmp_path, rules=rules) as watch:
        assert watch.source.coverage().watches == 4
        (tmp_path / "raw").rename(tmp_path / "y")
        (tmp_path / "x").rename(tmp_path / "raw")
        dirty = {place for what, place, _ in brief(watch.rest()) if what == "DIRTY"}
        assert dirty == {b"y", b"raw"}
        assert watch.source.coverage().watches == 4
        (tmp_path / "y" / "cache" / "f").write_bytes(b"")
        (tmp_path / "raw" / "cache" / "f").write_bytes(b"")
        assert brief(watch.rest()) == [("CLOSED", b"y/cache/f", b"")]
