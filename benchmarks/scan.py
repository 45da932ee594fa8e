"""Rows 7 and 8: the immediate duplicate report, the first scan and the second one.

Against the tools that only report.

Takes generated trees with known truth, at rest; gives wall-clock ratios to ``jdupes -Q`` in the same rounds,
and refuses every timing whose answer is not the truth by membership.

    python -m benchmarks.scan [--scale 1.0] [--rounds 5] [--only small|media]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import trees
from benchmarks.measure import (
    SLUICE,
    Figure,
    Timed,
    compared,
    drop_caches,
    have,
    interleaved,
    run,
    scratch,
    wait_at_rest,
)
from benchmarks.rescan import memory_figure

SMALL, MEDIA = 200_000, 2_000
PEERS = {
    "jdupes -Q": ["jdupes", "-q", "-r", "-Q"],
    "rdfind": ["rdfind", "-dryrun", "true", "-makeresultsfile", "false"],
    "fdupes": ["fdupes", "-q", "-r"],
    "rmlint": ["rmlint", "-T", "df", "-o", "json:stdout"],
}
BASE = "jdupes -Q"

Groups = set[frozenset[str]]


def small(scale: float, rounds: int) -> list[Figure]:
    """Row 7."""
    with scratch() as home:
        tree, truth = _tree(home, "small", max(1_000, int(SMALL * scale)))
        files = sum(len(names) for _, _, names in os.walk(tree))
        candidates = {name: _command([*words, str(tree)], home) for name, words in PEERS.items() if have(words[0])}
        candidates |= {
            "duplicates": _command([SLUICE, "duplicates", str(tree), "--json"], home),
            "first scan": _fresh_scan(tree, home),
            "second scan": _command(
                [SLUICE, "scan", str(tree), "--fast", "--json", "--data", str(home / "kept")], home
            ),
        }
        run([SLUICE, "scan", str(tree), "--fast", "--json", "--data", str(home / "kept")], home)
        _read_once(tree)
        times = interleaved(candidates, rounds)
        _check("duplicates", _report(times["duplicates"].output), truth)
        kept = run([SLUICE, "duplicates", "--json", "--data", str(home / "kept")], home)
        _check("catalogue", _report(kept.output), truth)
        totals = json.loads(times["first scan"].output)
        if totals["files"] != files or totals["duplicates"]["groups"] != len(truth):
            raise AssertionError(f"first scan: {totals}, the truth has {files} files and {len(truth)} groups")
        base = times.get(BASE)
        what = f"{files:,} small files, warm"
        figures = []
        if base is not None:
            figures += [
                compared("7", f"{what}: immediate report", times["duplicates"], BASE, base, 0.9),
                compared(
                    "7",
                    f"{what}: first scan, durable catalogue",
                    times["first scan"],
                    BASE,
                    base,
                    1.5,
                    "goal 1.2",
                ),
                compared("7", f"{what}: second scan", times["second scan"], BASE, base, 0.5),
            ]
        for name in ("rmlint", "rdfind", "fdupes"):
            if name in times:
                figures.append(compared("7", f"{what}: immediate report", times["duplicates"], name, times[name], None))
        memory = run(
            [SLUICE, "scan", str(tree), "--fast", "--json", "--data", str(home / "measured")], home, memory=True
        )
        figures.append(memory_figure(f"{files:,} files: peak RSS of the first scan, all processes", memory))
        return figures


def media(scale: float, rounds: int) -> list[Figure]:
    """Row 8."""
    with scratch() as home:
        tree, truth = _tree(home, "media", max(50, int(MEDIA * scale)))
        size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(tree) for name in names)
        candidates = {name: _command([*words, str(tree)], home) for name, words in PEERS.items() if have(words[0])}
        candidates["duplicates"] = _command([SLUICE, "duplicates", str(tree), "--json"], home)
        _read_once(tree)
        warm = interleaved(candidates, rounds)
        _check("duplicates", _report(warm["duplicates"].output), truth)
        what = f"{size / 1e9:.1f} GB of media"
        figures = [
            compared(
                "8",
                f"{what}, warm: report with BLAKE3",
                warm["duplicates"],
                name,
                warm[name],
                0.85 if name == BASE else None,
            )
            for name in PEERS
            if name in warm
        ]
        if BASE in warm and os.geteuid() == 0:
            both = {name: candidates[name] for name in (BASE, "duplicates")}
            cold = interleaved(both, max(2, rounds // 2), before=drop_caches)
            figures.append(
                compared("8", f"{what}, cold: report with BLAKE3", cold["duplicates"], BASE, cold[BASE], 1.0)
            )
        return figures


def _tree(home: Path, shape: str, files: int) -> tuple[Path, Groups]:
    """Write a tree, wait until it is at rest, and read its truth."""
    tree = home / shape
    trees.write_tree(shape, str(tree), files, seed=int(time.time()))
    os.sync()
    written = time.time()
    with open(f"{tree}.truth.jsonl", encoding="utf-8") as lines:
        truth = {frozenset(os.path.join(tree, name) for name in json.loads(line)["files"]) for line in lines}
    wait_at_rest(written)
    return tree, truth


def _command(words: list[str], home: Path) -> Callable[[Timed], object]:
    return lambda timed: run(words, home, into=timed, codes=(0, 1) if words[0] == "rmlint" else (0,))


def _fresh_scan(tree: Path, home: Path) -> Callable[[Timed], object]:
    def scan(timed: Timed) -> None:
        data = home / f"fresh-{len(timed.wall_s)}"
        run([SLUICE, "scan", str(tree), "--fast", "--json", "--data", str(data)], home, into=timed)
        subprocess.run(["rm", "-rf", str(data)], check=True)

    return scan


def _read_once(tree: Path) -> None:
    """Bring the tree into the page cache."""
    subprocess.run(f"find '{tree}' -type f -print0 | xargs -0 cat > /dev/null", shell=True, check=True)


def _report(output: bytes) -> Groups:
    return {frozenset(file["path"] for file in json.loads(line)["files"]) for line in output.splitlines()}


def _check(what: str, found: Groups, truth: Groups) -> None:
    if found != truth:
        raise AssertionError(
            f"{what}: {len(truth - found)} groups missing, {len(found - truth)} too many, of {len(truth)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("small", "media"))
    given = parser.parse_args()
    for name, measure in (("small", small), ("media", media)):
        if given.only in (None, name):
            for figure in measure(given.scale, given.rounds):
                print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
