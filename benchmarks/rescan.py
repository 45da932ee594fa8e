"""Row 9: a rescan of a tree in which nothing changed, against a C program that only walks and calls fstatat.

Takes generated trees of tiny files, already catalogued; gives the ratio of the wall times of whole processes,
and the peak of the memory of a first scan, summed over its processes.

    python -m benchmarks.rescan [--scale 1.0] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

from benchmarks import trees
from benchmarks.measure import SLUICE, Figure, Timed, compared, interleaved, run, scratch, wait_at_rest

RESCANNED, LARGE = 500_000, 1_000_000
FLOOR = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long files, bytes;

static void walk(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    DIR *directory = fdopendir(fd);
    for (struct dirent *entry; (entry = readdir(directory));) {
        struct stat status;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (entry->d_type == DT_DIR) { walk(fd, entry->d_name); continue; }
        if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW)) continue;
        files++;
        bytes += status.st_size;
    }
    closedir(directory);
}

int main(int count, char **words) {
    walk(AT_FDCWD, words[1]);
    printf("%ld %ld\n", files, bytes);
    return count != 2;
}
"""


def measure(scale: float, rounds: int) -> list[Figure]:
    """The rescan of 500,000 files and the memory of a first scan of 1,000,000."""
    figures = []
    with scratch() as home:
        count, large = max(2_000, int(RESCANNED * scale)), max(4_000, int(LARGE * scale))
        floor = build_floor(home)
        tree = home / "tree"
        trees.write_tiny(str(tree), large, seed=3)
        os.sync()
        part = tree / "half-0"  # the first half of it is a tree of its own
        wait_at_rest(time.time())
        data = str(home / "data")
        run([SLUICE, "scan", str(part), "--fast", "--json", "--data", data], home)
        times = interleaved(
            {
                "floor": lambda timed: run([floor, str(part)], home, into=timed),
                "rescan": lambda timed: run(
                    [SLUICE, "scan", str(part), "--fast", "--json", "--data", data], home, into=timed
                ),
            },
            rounds,
        )
        totals = json.loads(times["rescan"].output)
        counted = int(times["floor"].output.split()[0])
        if (totals["unchanged"], totals["new"], totals["changed"]) != (counted, 0, 0) or abs(counted - count) > 1:
            raise AssertionError(f"the rescan says {totals}, the floor counted {counted}")
        figures.append(
            compared(
                "9",
                f"rescan of {counted:,} unchanged files",
                times["rescan"],
                "C walk + fstatat",
                times["floor"],
                2.2,
            )
        )
        measured = run(
            [SLUICE, "scan", str(tree), "--fast", "--json", "--data", str(home / "large")], home, memory=True
        )
        figures.append(memory_figure(f"{large:,} files: peak RSS of the first scan, all processes", measured))
        again = run([SLUICE, "scan", str(tree), "--fast", "--json", "--data", str(home / "large")], home, memory=True)
        figures.append(memory_figure(f"{large:,} files: peak RSS of the rescan, all processes", again))
    return figures


def memory_figure(what: str, measured: Timed) -> Figure:
    """Peak memory, judged with shared pages counted in every process that has them."""
    note = f"(shared pages counted once: {measured.pss / 1e6:.0f} MB)"
    return Figure("9", what, measured.rss / 1e6, "MB", 150.0, notes=note)


def build_floor(home: Path) -> str:
    """Compile the C program that does the least that any rescan must do."""
    source, program = home / "floor.c", home / "floor"
    source.write_text(FLOOR)
    subprocess.run(["gcc", "-O2", "-o", str(program), str(source)], check=True)
    return str(program)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for figure in measure(given.scale, given.rounds):
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
