"""Run every benchmark and write down the figures: ``make bench``.

Takes a scale (1 = the numbers of the bars); prints a table of figures with peer, ratio, repeats and the
machine, and writes ``benchmarks/results/TIME.json``. Ends with 1 when a bar is not reached.

    python -m benchmarks [--scale 1.0] [--rounds 5] [--only latency,small,media,rescan,watcher,imports,music,...]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks import asynq, imports, latency, rabbitmq, reading, rescan, scan, watcher
from benchmarks.measure import Figure, machine

RESULTS = Path(__file__).parent / "results"
ALL: dict[str, Callable[[float, int], list[Figure]]] = {
    "latency": latency.measure,
    "small": scan.small,
    "media": scan.media,
    "rescan": rescan.measure,
    "watcher": watcher.measure,
    "imports": imports.measure,
    "music": reading.music,
    "photos": reading.photos,
    "films": reading.films,
    "asynq": asynq.measure,
    "rabbitmq": rabbitmq.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes; the bars are meant for 1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(ALL))
    given = parser.parse_args()
    where = machine()
    print(", ".join(f"{key} {value}" for key, value in where.items()), flush=True)
    figures: list[Figure] = []
    for name in given.only.split(","):
        for figure in ALL[name](given.scale, given.rounds):
            print(figure.line(), flush=True)
            figures.append(figure)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y%m%dT%H%M%S.json")
    rows = [{**asdict(figure), "ratio": figure.ratio, "reached": figure.is_reached} for figure in figures]
    path.write_text(json.dumps({"machine": where, "scale": given.scale, "figures": rows}, indent=1) + "\n")
    missed = sum(figure.is_reached is False for figure in figures)
    print(f"{len(figures)} figures, {missed} bars not reached; written to {path}")
    return 1 if missed else 0
