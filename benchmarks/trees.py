"""Write trees of files whose duplicates are known, for timing a duplicate report and checking its answer.

Takes a shape, a target directory that does not exist yet, a number of files and a seed; the same shape, number
and seed give the same tree. Gives the tree and beside it ``TARGET.truth.jsonl``: one line per group of equal
non-empty files, ``{"size": bytes, "files": [paths relative to TARGET, sorted]}``. Membership comes from SHA-256 of
the bytes written, not from the program under test.
Fails with: OSError, when the target exists or its file system is full.

    python benchmarks/trees.py small TARGET [--files 200000] [--seed 1]
    python benchmarks/trees.py media TARGET [--files 2000]   [--seed 1]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator
from random import Random

KIB, MIB = 1 << 10, 1 << 20
COPIES = 0.30  # share of files that repeat an earlier one; chosen
DECOYS = 0.05  # share that equals an earlier one in everything but a single byte; chosen
SAME_SIZE = 0.03  # share that has the size of an earlier one and other bytes; chosen
NAMES = ("IMG_{:06d}.jpg", "track {:06d}.mp3", "clip-{:06d}.mp4", "note_{:06d}.txt", "cover {:06d}.png")


class Noise:
    """Bytes that look random and are cheap: windows into one block, stamped with their recipe."""

    def __init__(self, seed: int) -> None:
        self._block = Random(seed).randbytes(32 * MIB)

    def content(self, recipe: int, size: int) -> bytearray:
        rnd = Random(recipe)
        start = rnd.randrange(len(self._block) - size)
        body = bytearray(self._block[start : start + size])
        stamp = rnd.randbytes(min(24, size))
        body[: len(stamp)] = stamp
        return body


def small_sizes(rnd: Random) -> int:
    """0 to 16 KiB, more small ones than large ones; about one in sixty is empty."""
    return 0 if rnd.random() < 1 / 60 else int(16 * KIB * rnd.random() ** 1.4)


def media_sizes(rnd: Random) -> int:
    """1 to 20 MiB, 5.3 MiB on average."""
    return MIB + int(19 * MIB * rnd.random() ** 3.4)


def directories(rnd: Random, files: int) -> Iterator[str]:
    """One directory per file: nested up to five levels, most with some dozens of files, a few with many."""
    path, left = "", 0
    for number in range(files):
        if not left:
            depth = rnd.randint(1, 5)
            path = "/".join(f"{'abcde'[level]}{rnd.randrange(12):02d}" for level in range(depth - 1))
            path = f"{path}/set {number:06d}" if path else f"set {number:06d}"
            left = rnd.choice((3, 20, 60, 100, 200, 1000))
        left -= 1
        yield path


def write_tree(shape: str, target: str, files: int, seed: int) -> dict[str, int]:
    """Write the tree and its truth; return its counts."""
    rnd = Random(f"{shape}/{seed}")
    noise = Noise(seed)
    size_of = small_sizes if shape == "small" else media_sizes
    originals: list[tuple[int, int]] = []
    members: dict[tuple[int, bytes], list[str]] = {}
    total = 0
    os.mkdir(target)
    for number, directory in enumerate(directories(rnd, files)):
        dice = rnd.random()
        recipe, size, differs = rnd.getrandbits(62), 0, False
        if originals and dice < COPIES + DECOYS:
            recipe, size = rnd.choice(originals)
            differs = dice >= COPIES and size > 0
        elif originals and dice < COPIES + DECOYS + SAME_SIZE:
            size = rnd.choice(originals)[1]
        else:
            size = size_of(rnd)
            originals.append((recipe, size))
        body = noise.content(recipe, size)
        if differs:
            body[rnd.choice((size // 2, rnd.randrange(size), size // 3))] ^= rnd.randint(1, 255)
        name = directory + "/" + NAMES[number % len(NAMES)].format(number)
        os.makedirs(os.path.join(target, directory), exist_ok=True)
        with open(os.path.join(target, name), "xb") as file:
            file.write(body)
        total += size
        if size:
            members.setdefault((size, hashlib.sha256(body).digest()), []).append(name)
    groups = [(size, sorted(names)) for (size, _), names in members.items() if len(names) > 1]
    with open(f"{target}.truth.jsonl", "x", encoding="utf-8") as truth:
        truth.writelines(json.dumps({"size": size, "files": names}) + "\n" for size, names in groups)
    return {
        "files": files,
        "bytes": total,
        "groups": len(groups),
        "copies": sum(len(names) - 1 for _, names in groups),
    }


def write_tiny(target: str, files: int, seed: int) -> None:
    """Write files of some bytes, all different, 100 to 400 to a directory: a tree to be walked, not read.

    Half of them lie below ``half-0`` and half below ``half-1``.
    """
    rnd = Random(f"tiny/{seed}")
    written = 0
    for half, until in (("half-0", files // 2), ("half-1", files)):
        while written < until:
            directory = f"{target}/{half}/{rnd.randrange(40):02d}/{written:07d}"
            os.makedirs(directory)
            for _ in range(min(rnd.randint(100, 400), until - written)):
                path = f"{directory}/track {written:07d} some artist - title.mp3"
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                os.write(file, b"tiny %d/%d" % (seed, written))
                os.close(file)
                written += 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a tree of files whose duplicates are known.")
    parser.add_argument("shape", choices=("small", "media"))
    parser.add_argument("target")
    parser.add_argument("--files", type=int)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    files = given.files or {"small": 200_000, "media": 2_000}[given.shape]
    print(json.dumps(write_tree(given.shape, given.target.rstrip("/"), files, given.seed)))


if __name__ == "__main__":
    main()
