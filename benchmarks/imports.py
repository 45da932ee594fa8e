"""Row I6: importing a tree by hard link, by rename and by copy, journalled and catalogued, against ``cp -a``.

Takes generated trees; gives the wall times of a whole ``sluice scan`` of an importing library that is not known yet
(every file is noticed, read, digested, catalogued, claimed, journalled, moved and synced), per file for links and
renames, and as a ratio to ``cp -a`` of the same tree in the same round for copies. ``cp`` syncs nothing; ``cp -a`` with
a ``sync`` behind it is shown beside it.

    python -m benchmarks --only imports [--scale 1.0] [--rounds 5]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks import trees
from benchmarks.measure import SLUICE, Figure, Timed, compared, interleaved, run, scratch

SMALL, MEDIA = 20_000, 400  # files
PER_SECOND = 3_000  # the bar


def measure(scale: float, rounds: int) -> list[Figure]:
    """Links and renames of small files, copies of media."""
    figures = []
    with scratch() as home:
        small, media = home / "small", home / "media"
        count = max(500, int(SMALL * scale))
        trees.write_tree("small", str(small), count, seed=5)
        for mode in ("hardlink", "move"):
            times = Timed()
            for _ in range(rounds):
                shutil.rmtree(home / "in", ignore_errors=True)
                subprocess.run(["cp", "-a", str(small), str(home / "in")], check=True)
                _import(home, home / "in", mode, times)
            imported = _imported(home)
            figures.append(
                Figure(
                    "I6",
                    f"{imported:,} small files imported by {mode}",
                    times.median_s / imported * 1e6,
                    "us/file",
                    1e6 / PER_SECOND,
                    repeats=rounds,
                    spread=(min(times.wall_s) / imported * 1e6, max(times.wall_s) / imported * 1e6),
                )
            )
        trees.write_tree("media", str(media), max(20, int(MEDIA * scale)), seed=6)
        shutil.rmtree(home / "in")
        results = interleaved(
            {
                "cp": lambda timed: _cp(home, media, timed, sync=False),
                "cp and sync": lambda timed: _cp(home, media, timed, sync=True),
                "sluice": lambda timed: _import(home, media, "copy", timed),
            },
            rounds,
            before=os.sync,
        )
        size = sum(path.stat().st_size for path in media.rglob("*") if path.is_file())
        what = f"{size / 1e9:.1f} GB of media imported by copy"
        figures.append(compared("I6", what, results["sluice"], "cp -a", results["cp"], 1.25))
        figures.append(compared("I6", what, results["sluice"], "cp -a; sync", results["cp and sync"], None))
    return figures


def _cp(home: Path, tree: Path, timed: Timed, *, sync: bool) -> None:
    shutil.rmtree(home / "copy", ignore_errors=True)
    copy = f"cp -a '{tree}' '{home / 'copy'}'"
    run(["sh", "-c", f"{copy} && sync -f '{home}'" if sync else copy], home, into=timed)
    shutil.rmtree(home / "copy")


def _import(home: Path, tree: Path, mode: str, timed: Timed) -> None:
    for name in ("out", "data"):
        shutil.rmtree(home / name, ignore_errors=True)
    at_once = {"complete": 0, "unknown": 0, "truncated": 0}  # the tree is whole: nobody writes it
    section = {"target": str(home / "out"), "mode": mode, "template": "{directory}/{name}"}
    library = {"path": str(tree), "action": "import", "settle": at_once, "import": section}
    document = home / "config.yaml"
    document.write_text(json.dumps({"libraries": {"in": library}}))
    command = [SLUICE, "scan", "--config", str(document), "--data", str(home / "data"), "--json"]
    run(command, home, into=timed)


def _imported(home: Path) -> int:
    listed = subprocess.run(
        [SLUICE, "items", "--data", str(home / "data"), "--json"], capture_output=True, text=True, check=True
    )
    return len(listed.stdout.splitlines())
