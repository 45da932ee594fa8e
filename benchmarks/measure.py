"""Time commands against each other on this machine, and write down what was found.

Takes commands; gives wall-clock seconds of whole processes (interpreter start included), memory in bytes
summed over a process and everything below it, and one ``Figure`` per claim. Fails with: CalledProcessError of
a command that failed. A figure is a ratio or a bar of its own; absolute times of two runs are not to be
compared.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

SLUICE = str(Path(sys.executable).with_name("sluice"))
REST_S = 61.0  # a file that did not change for a minute is at rest: no quiet period holds it back


@dataclass
class Figure:
    """One claim: what was measured, against what, and where the bar is."""

    row: str  # of the acceptance table
    what: str
    ours: float
    unit: str
    bar: float | None  # upper limit of ``ratio`` where there is a peer, else of ``ours``
    peer: str | None = None
    theirs: float | None = None
    repeats: int = 1
    spread: tuple[float, float] | None = None  # of the ratio, or of ours
    notes: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.theirs is None else self.ours / self.theirs

    @property
    def is_reached(self) -> bool | None:
        judged = self.ours if self.ratio is None else self.ratio
        return None if self.bar is None else judged <= self.bar

    def line(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        spread = "" if self.spread is None else f"{self.spread[0]:.2f}-{self.spread[1]:.2f}"
        theirs = "" if self.theirs is None else f"{self.peer} {self.theirs:.3g}"
        bar = "" if self.bar is None else f"<= {self.bar:g}"
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[self.is_reached]
        return (
            f"{self.row:>3}  {self.what:<52} {self.ours:>9.3g} {self.unit:<8} {theirs:<22} {ratio:>7} "
            f"{spread:>12} {bar:>9}  n={self.repeats}  {verdict} {self.notes}".rstrip()
        )


@dataclass
class Timed:
    """Wall times of one command over the rounds [s], and the largest memory seen [bytes]."""

    wall_s: list[float] = field(default_factory=list)
    rss: int = 0
    pss: int = 0
    output: bytes = b""

    @property
    def median_s(self) -> float:
        return statistics.median(self.wall_s)


def machine() -> dict[str, object]:
    """What the numbers depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    mount = subprocess.run(["stat", "-f", "-c", "%T", scratch_base()], capture_output=True, text=True, check=False)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "filesystem": mount.stdout.strip(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def scratch_base() -> str:
    """Where trees are written: BENCH_DIR, or the directory for temporary files."""
    return os.environ.get("BENCH_DIR") or tempfile.gettempdir()


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-", dir=scratch_base()) as directory:
        yield Path(directory)


def environment(home: Path) -> dict[str, str]:
    """A clean environment whose home is the scratch directory."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLUICE_", "XDG_"))}
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }


def run(
    command: Sequence[str],
    home: Path,
    *,
    into: Timed | None = None,
    codes: Sequence[int] = (0,),
    memory: bool = False,
) -> Timed:
    """Run one command to its end and add its time.

    Its memory where it is asked for (that costs it time).
    """
    timed = Timed() if into is None else into
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment(home)
        )
        if memory:
            with Memory(process.pid) as seen:
                code = process.wait()
            timed.rss, timed.pss = max(timed.rss, seen.rss), max(timed.pss, seen.pss)
        else:
            code = process.wait()
        timed.wall_s.append(time.perf_counter() - began)
        if code not in codes:
            raise subprocess.CalledProcessError(code, command)
        output.seek(0)
        timed.output = output.read()
    return timed


def interleaved(
    candidates: Mapping[str, Callable[[Timed], object]],
    rounds: int,
    *,
    before: Callable[[], object] | None = None,
) -> dict[str, Timed]:
    """Run every candidate once per round, so that a ratio within a round compares like with like."""
    times = {name: Timed() for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            if before is not None:
                before()
            candidate(times[name])
    return times


def compared(row: str, what: str, ours: Timed, peer: str, theirs: Timed, bar: float | None, notes: str = "") -> Figure:
    """A figure from two candidates of the same rounds: the median of the ratios of the rounds decides."""
    ratios = [a / b for a, b in zip(ours.wall_s, theirs.wall_s, strict=True)]
    middle = statistics.median(ratios)
    return Figure(
        row,
        what,
        ours.median_s,
        "s",
        bar,
        peer,
        ours.median_s / middle,
        len(ratios),
        (min(ratios), max(ratios)),
        notes,
    )


def drop_caches() -> None:
    """Make the next reads come from the disk; only root may."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")
    time.sleep(0.3)


def have(tool: str) -> bool:
    return shutil.which(tool) is not None


class Memory:
    """Watch the memory of a process and everything below it until the block ends."""

    def __init__(self, pid: int, every_s: float = 0.05) -> None:
        self.pid = pid
        self.rss = self.pss = 0
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            rss, pss = family_memory(self.pid)
            self.rss, self.pss = max(self.rss, rss), max(self.pss, pss)
            if self._stop.wait(self._every_s):
                return


def family(pid: int) -> list[int]:
    """The process and everything below it."""
    found, new = [], [pid]
    while new:
        found += new
        below: list[int] = []
        for one in new:
            try:
                for task in os.listdir(f"/proc/{one}/task"):
                    below += map(int, Path(f"/proc/{one}/task/{task}/children").read_text().split())
            except OSError:  # it ended while we looked
                continue
        new = below
    return found


def family_memory(pid: int) -> tuple[int, int]:
    """Resident bytes, and resident bytes with shared pages divided among their users.

    Over the whole family.
    """
    rss = pss = 0
    for one in family(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:  # it ended while we looked
            continue
        for line in text.splitlines():
            if line.startswith("Rss:"):
                rss += int(line.split()[1]) * 1024
            elif line.startswith("Pss:"):
                pss += int(line.split()[1]) * 1024
    return rss, pss


def wait_at_rest(began_s: float) -> None:
    """Wait until what was written before ``began_s`` (wall clock) counts as at rest."""
    time.sleep(max(0.0, began_s + REST_S - time.time()))
