"""Row 10: what the watcher alone costs.

CPU per file of a burst, and time and memory to watch 50,000 directories.

The watcher runs in a process of its own, without settling or reading; ``watchdog``, where it is installed,
does the same beside it. A watcher that misses a file has no figure.

    python -m benchmarks.watcher [--scale 1.0] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Figure, scratch
from mediasluice.model.flow import RootId, What
from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.inotify import InotifySource, Readers
from mediasluice.sources.names import NameRules

FILES, PER_DIRECTORY, DIRECTORIES = 100_000, 100, 50_000
IDLE_S = 1.5  # the burst is over when nothing came for that long


def measure(scale: float, rounds: int) -> list[Figure]:
    """CPU per file in the burst, seconds and memory to arm."""
    with scratch() as home:
        files, directories = max(2_000, int(FILES * scale)), max(1_000, int(DIRECTORIES * scale))
        names = ["ours"] + (["watchdog"] if find_spec("watchdog") else [])
        bursts = {name: [_burst(name, home / f"{name}{number}", files) for number in range(rounds)] for name in names}
        tree = home / "directories"
        for number in range(directories):
            (tree / f"{number // 1000:02d}" / f"{number // 50 % 20:02d}" / f"{number:05d}").mkdir(parents=True)
        arming = {name: [_arm(name, tree) for _ in range(rounds)] for name in names}

    figures = []
    ours = [run["cpu_us"] for run in bursts["ours"]]
    missed = sum(run["missed"] for run in bursts["ours"])
    if missed:
        raise AssertionError(f"the watcher missed {missed} of {files * rounds} files")
    figures.append(
        Figure(
            "10",
            f"burst of {files:,} files: CPU of the watcher",
            statistics.median(ours),
            "us/file",
            20.0,
            repeats=rounds,
            spread=(min(ours), max(ours)),
            notes=f"({sum(run['dirty'] for run in bursts['ours'])} directories declared dirty)",
        )
    )
    if "watchdog" in bursts:
        theirs = statistics.median(run["cpu_us"] for run in bursts["watchdog"])
        note = f"(it missed {sum(run['missed'] for run in bursts['watchdog'])})"
        figures.append(
            Figure(
                "10",
                "the same against watchdog",
                statistics.median(ours),
                "us/file",
                None,
                "watchdog",
                theirs,
                rounds,
                notes=note,
            )
        )
    for key, unit, bar in (("seconds", "s", 1.0), ("megabytes", "MB", 40.0)):
        values = [run[key] for run in arming["ours"]]
        figure = Figure(
            "10",
            f"watch {directories:,} directories: {key}",
            statistics.median(values),
            unit,
            bar,
            repeats=rounds,
            spread=(min(values), max(values)),
        )
        figures.append(figure)
        if "watchdog" in arming:
            figure.notes = f"(watchdog {statistics.median(run[key] for run in arming['watchdog']):.3g})"
    return figures


def _burst(name: str, root: Path, files: int) -> dict[str, float]:
    """Let a fresh watcher see files appear in directories that appear."""
    root.mkdir()
    watcher = _start(name, root, files)
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    for number in range(files):
        place = number // PER_DIRECTORY
        directory = f"{root}/t{place % 10:02d}/m{place // 10 % 10:02d}/d{place:04d}"
        if number % PER_DIRECTORY == 0:
            os.makedirs(directory)
        file = os.open(f"{directory}/track {number:06d}.mp3", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(file, b"x" * 64)
        os.close(file)
    watcher.stdin.write("written\n")
    watcher.stdin.flush()
    seen = json.loads(watcher.stdout.readline())
    watcher.wait(timeout=60)
    return {"cpu_us": seen["cpu_s"] / files * 1e6, "missed": files - seen["files"], "dirty": seen.get("dirty", 0)}


def _arm(name: str, tree: Path) -> dict[str, float]:
    watcher = _start(name, tree, 0)
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    watcher.stdin.close()
    told = json.loads(watcher.stdout.readline())
    watcher.wait(timeout=60)
    return {"seconds": told["arm_s"], "megabytes": told["rss_mb"]}


def _start(name: str, root: Path, files: int) -> subprocess.Popen[str]:
    watcher = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.watcher", "--watch", name, str(root), str(files)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "ready\n"
    return watcher


# -- the process that is measured --------------------------------------------------------------------------


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _told_that_all_is_written() -> threading.Event:
    written = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        written.set()

    threading.Thread(target=wait, daemon=True).start()
    return written


def _watch_ours(root: bytes, files: int) -> None:
    awake = threading.Event()
    readers = Readers(awake.set, time.monotonic)
    source = InotifySource(RootId(1), root, NameRules(root), readers, WatchBudget(), time.monotonic)
    began = time.perf_counter()
    source.start()
    arm_s = time.perf_counter() - began
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print("ready", flush=True)
    if not files:
        print(json.dumps({"arm_s": arm_s, "rss_mb": rss_mb}), flush=True)
        return
    written = _told_that_all_is_written()
    cpu_s, seen, last_s, dirty = _cpu_s(), set(), time.monotonic(), 0
    while not written.is_set() or time.monotonic() - last_s < IDLE_S:
        awake.wait(0.2)
        awake.clear()
        while sightings := source.read():
            last_s = time.monotonic()
            for sighting in sightings:
                if sighting.what in (What.CREATED, What.CLOSED, What.LISTED):
                    seen.add((sighting.directory, sighting.name))
                elif sighting.what is What.DIRTY:
                    dirty += 1
                    start = os.path.join(root, sighting.directory)
                    for folder, _, names in os.walk(start):  # what the pipeline does about it
                        seen.update((os.path.relpath(folder, root).replace(b".", b""), name) for name in names)
    print(json.dumps({"cpu_s": _cpu_s() - cpu_s, "files": len(seen), "dirty": dirty}), flush=True)


def _watch_watchdog(root: bytes, files: int) -> None:
    # Not above: what it loads would count as memory of the other watcher.
    from watchdog.events import FileSystemEvent, FileSystemEventHandler  # noqa: PLC0415
    from watchdog.observers import Observer  # noqa: PLC0415

    seen: set[bytes | str] = set()
    last_s = [time.monotonic()]

    class Seen(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if not event.is_directory:
                seen.add(event.src_path)
                last_s[0] = time.monotonic()

    observer = Observer()
    began = time.perf_counter()
    observer.schedule(Seen(), os.fsdecode(root), recursive=True)
    observer.start()
    arm_s = time.perf_counter() - began
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print("ready", flush=True)
    if not files:
        print(json.dumps({"arm_s": arm_s, "rss_mb": rss_mb}), flush=True)
        os._exit(0)
    written = _told_that_all_is_written()
    cpu_s = _cpu_s()
    while not written.is_set() or time.monotonic() - last_s[0] < IDLE_S:
        time.sleep(0.2)
    print(json.dumps({"cpu_s": _cpu_s() - cpu_s, "files": len(seen)}), flush=True)
    os._exit(0)


def main() -> None:
    if sys.argv[1:2] == ["--watch"]:
        watch = {"ours": _watch_ours, "watchdog": _watch_watchdog}[sys.argv[2]]
        watch(os.fsencode(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for figure in measure(given.scale, given.rounds):
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
