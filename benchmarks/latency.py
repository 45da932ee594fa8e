"""Row 6: from a writer's close to the line of its ``file.created`` in ``sluice events --follow``.

500 complete JPEGs closed and 500 renamed into place, one at a time, while the service is idle and while it
scans 200,000 files for the first time. The rule for a complete format is 0.25 s; what comes on top is the
figure.

    python -m benchmarks.latency [--scale 1.0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import trees
from benchmarks.measure import SLUICE, Figure, environment, scratch, wait_at_rest
from tests.samples import jpeg

FILES, LOAD = 500, 200_000
RULE_S = 0.25  # a complete format that was closed
IDLE_APART_S, APART_S = (0.02, 0.08), (0.01, 0.03)  # between two files; a scan does not last for ever
BARS_MS = {"closed": (10.0, 50.0), "renamed in": (15.0, 60.0)}
LIMIT_S = 30.0


class Follower:
    """``sluice events --follow``, read line by line; knows when each path was announced [s, wall clock]."""

    def __init__(self, data: Path, home: Path) -> None:
        command = [SLUICE, "events", "--follow", "--json", "--data", str(data)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(home)
        )
        self.arrived: dict[str, float] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            now = time.time()
            if b"/arrivals/" in line:
                event = json.loads(line)
                if event["type"] == "file.created":
                    self.arrived[event["path"]] = now

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()


def measure(scale: float, rounds: int = 1) -> list[Figure]:
    """Idle, and beside a first scan."""
    del rounds  # every file is one repeat
    count = max(40, int(FILES * scale))
    with scratch() as home:
        figures = _figures("idle", _idle(home, count))
        figures += _figures(f"while {max(5_000, int(LOAD * scale)):,} files are scanned", _loaded(home, count, scale))
    return figures


def _idle(home: Path, count: int) -> dict[str, list[float]]:
    root = home / "idle" / "arrivals"
    root.mkdir(parents=True)
    with_service = _Service(home, home / "idle-data", root)
    try:
        return with_service.emit(count, root, IDLE_APART_S, lambda: True)
    finally:
        with_service.close()


def _loaded(home: Path, count: int, scale: float) -> dict[str, list[float]]:
    """Repeat the first scan with a fresh catalogue until enough files arrived beside it."""
    load = home / "load"
    trees.write_tree("small", str(load), max(5_000, int(LOAD * scale)), seed=5)
    wait_at_rest(time.time())
    found: dict[str, list[float]] = {"closed": [], "renamed in": []}
    for number in range(20):
        root = home / f"loaded-{number}" / "arrivals"
        root.mkdir(parents=True)
        service = _Service(home, home / f"loaded-data-{number}", root)
        try:
            scan = subprocess.Popen(
                [SLUICE, "scan", str(load), "--fast", "--json", "--data", str(service.data)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment(home),
            )
            some = service.emit(count, root, APART_S, lambda scan=scan: scan.poll() is None)  # type: ignore[misc]
            if scan.wait(timeout=300) != 0:
                raise AssertionError(f"the scan beside it ended with {scan.returncode}")
        finally:
            service.close()
        for kind, values in some.items():
            found[kind] += values
        if all(len(values) >= count for values in found.values()):
            return found
    raise AssertionError(f"only {len(found['closed'])} files arrived while scans ran")


class _Service:
    """A running service with a follower on it."""

    def __init__(self, home: Path, data: Path, root: Path) -> None:
        self.data = data
        self._process = subprocess.Popen(
            [SLUICE, "run", str(root), "--data", str(data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(home),
        )
        self._follower = Follower(data, home)
        end = time.monotonic() + LIMIT_S
        number = 0
        while not self._follower.arrived:  # ready when a first file comes through
            (root / f"ready {number}.jpg").write_bytes(jpeg(f"{root} ready {number}"))
            number += 1
            time.sleep(0.5)
            if time.monotonic() > end or self._process.poll() is not None:
                raise AssertionError("the service does not start")

    def emit(
        self, count: int, root: Path, apart_s: tuple[float, float], go_on: Callable[[], bool]
    ) -> dict[str, list[float]]:
        """Write files one by one at random instants, until enough or told to stop; gives the delays [s]."""
        chance = random.Random(11)
        outside = root.parent / "outside"
        outside.mkdir()
        ended: dict[str, tuple[str, float]] = {}
        for number in range(count):
            if not go_on():
                break
            closed, renamed = root / f"c{number:04d}.jpg", root / f"r{number:04d}.jpg"
            closed.write_bytes(jpeg(f"{root} c{number}", 20_000))
            ended[str(closed)] = ("closed", time.time())
            time.sleep(chance.uniform(*apart_s))
            if not go_on():
                break
            source = outside / renamed.name
            source.write_bytes(jpeg(f"{root} r{number}", 20_000))
            os.rename(source, renamed)
            ended[str(renamed)] = ("renamed in", time.time())
            time.sleep(chance.uniform(*apart_s))
        end = time.monotonic() + LIMIT_S
        while not ended.keys() <= self._follower.arrived.keys():
            if time.monotonic() > end:
                raise AssertionError(
                    f"{len(ended.keys() - self._follower.arrived.keys())} of {len(ended)} did not arrive"
                )
            time.sleep(0.05)
        found: dict[str, list[float]] = {"closed": [], "renamed in": []}
        for path, (kind, when) in ended.items():
            found[kind].append(self._follower.arrived[path] - when - (RULE_S if kind == "closed" else 0.0))
        return found

    def close(self) -> None:
        self._follower.close()
        self._process.terminate()
        self._process.wait(timeout=LIMIT_S)


def _figures(when: str, delays: dict[str, list[float]]) -> list[Figure]:
    figures = []
    for kind, values in delays.items():
        if kind == "closed" and min(values) < -0.01:
            raise AssertionError(f"announced {-min(values):.3f} s before the rule allows")
        ordered = sorted(values)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        bars = BARS_MS[kind]
        beyond = " beyond 0.25 s" if kind == "closed" else ""
        for name, value, bar in (("p50", statistics.median(ordered), bars[0]), ("p99", p99, bars[1])):
            spread = (ordered[0] * 1e3, ordered[-1] * 1e3)
            figures.append(
                Figure(
                    "6",
                    f"{kind}{beyond}, {when}: {name}",
                    value * 1e3,
                    "ms",
                    bar,
                    repeats=len(values),
                    spread=spread,
                )
            )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    for figure in measure(given.scale):
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
