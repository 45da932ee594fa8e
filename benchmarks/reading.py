"""Row 3: what it costs to know what stands inside, against beets, exiftool and ffprobe.

Takes generated libraries, and the sounds of a corpus where SLUICE_CORPUS names one; gives wall-clock ratios of whole
commands in interleaved rounds. Music is imported: ``sluice scan`` walks, digests, reads and catalogues, ``beet import
-A -q -C -W`` walks, reads and catalogues; a round counts only when both know as many files as there are. The bar holds
for short sounds; the time for long ones is mostly that of digests, which beets does not make, and that for a corpus
mostly that of damaged files, which are tried in several ways: both are shown without a bar. Photographs
and films are read alone, in the processes and with the limits that the service reads them in, interpreter start
included; ``exiftool -fast2 -json`` reads all files in one process, ``ffprobe`` one file in each.

    python -m benchmarks --only music,photos,films [--scale 1.0] [--rounds 5]
    python -m benchmarks.reading --read LIST       # one reading, which is what is timed; paths end with zero bytes

BEET names the command of beets; otherwise it is looked for, and installed for the time being where there is none.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import libraries
from benchmarks.accuracy import entries, folder_of
from benchmarks.measure import SLUICE, Figure, Timed, compared, have, interleaved, run, scratch
from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.identify.opened import Opened
from mediasluice.identify.reading import read
from mediasluice.model.flow import RootId
from mediasluice.model.media import to_json
from mediasluice.pipeline.isolation import Chunk, Code, File, Isolation

BEETS = "beets==2.14.1"
SHORT, LONG, PHOTOS, FILMS = 6_000, 1_200, 2_000, 600  # files
CHUNK = 32  # files, as the service sends them
PROCESSES = 2
FASTER = 5.0  # the bar: times as fast as beets
INLINE = 0.8  # the bar: of the throughput of the same readers in processes that nobody confines


def music(scale: float, rounds: int) -> list[Figure]:
    """Import libraries of music."""
    with scratch() as home:
        beet = _beet(home)
        figures = []
        library = home / "library"
        for what, files, seconds, faster in (
            ("half a second", SHORT, 0.5, FASTER),
            ("three minutes", LONG, 180.0, None),
        ):
            libraries.music(library, max(24, int(files * scale)), seconds)
            figures += _imported(home, library, beet, f"sounds of {what}", rounds, faster=faster)
            shutil.rmtree(library)
        folder = folder_of(os.environ.get("SLUICE_CORPUS"))
        if folder is not None:
            _copied(folder, library)
            figures += _imported(home, library, beet, "sounds of a corpus", rounds, is_sound=False)
        return figures


def _imported(
    home: Path, library: Path, beet: str, what: str, rounds: int, *, faster: float | None = None, is_sound: bool = True
) -> list[Figure]:
    """Import one library by both; ``is_sound``: all its files can be read."""
    paths = [path for path in library.rglob("*") if path.is_file()]
    files, size = len(paths), sum(path.stat().st_size for path in paths)
    known: dict[str, int] = {}

    def with_beets(timed: Timed) -> None:
        shutil.rmtree(home / "beets", ignore_errors=True)
        (home / "beets").mkdir()
        document = home / "beets" / "config.yaml"
        rule = {"copy": False, "write": False, "duplicate_action": "keep", "log": None}
        settings = {"library": str(home / "beets/library.db"), "directory": str(library), "plugins": [], "import": rule}
        document.write_text(json.dumps(settings))
        run([beet, "-c", str(document), "import", "-A", "-q", "-C", "-W", str(library)], home, into=timed)
        listed = run([beet, "-c", str(document), "ls", "-f", "$title"], home)
        known["beets"] = len(listed.output.splitlines())

    def with_ours(timed: Timed) -> None:
        shutil.rmtree(home / "data", ignore_errors=True)
        at_once = {"complete": 0, "unknown": 0, "truncated": 0}  # the files are whole: nobody writes them
        document = home / "config.yaml"
        document.write_text(json.dumps({"libraries": {"music": {"path": str(library), "settle": at_once}}}))
        data = ["--data", str(home / "data")]
        run([SLUICE, "scan", "--config", str(document), *data, "--json"], home, into=timed, codes=(0, 3))
        listed = run([SLUICE, "files", "--json", *data], home).output.splitlines()
        rows = [json.loads(line) for line in listed]
        known["ours"] = sum(bool(row["blake3"] and row["reader"]) for row in rows)
        known["titles"] = sum("title" in (row["tags"] or {}) for row in rows)

    for path in paths:
        path.read_bytes()  # into the page cache
    times = interleaved({"beets": with_beets, "ours": with_ours}, rounds)
    if is_sound and not known["ours"] == known["titles"] == files == known["beets"]:
        raise AssertionError(f"{files} files, and known are {known}")
    notes = f"{known['ours'] / times['ours'].median_s:.0f} files/s; known: {known['ours']}, beets {known['beets']}"
    title = f"{files:,} {what}, {size / 1e6:,.0f} MB"
    bar = None if faster is None else 1 / faster
    return [compared("3", title, times["ours"], "beet import -A", times["beets"], bar, notes)]


def _copied(folder: Path, library: Path) -> None:
    """The sounds of a corpus, each in a directory of its repository."""
    for entry in entries(folder):
        if entry["kind"] == "audio":
            target = library / entry["repo"].replace("/", "-") / entry["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "files" / entry["file"], target)


def _beet(home: Path) -> str:
    """The command of beets."""
    found = os.environ.get("BEET") or shutil.which("beet")
    if found is None:
        venv.create(home / "venv", with_pip=True)
        subprocess.run([home / "venv/bin/pip", "install", "--quiet", BEETS], check=True, capture_output=True)
        found = str(home / "venv/bin/beet")
    return found


def photos(scale: float, rounds: int) -> list[Figure]:
    """Read photographs."""
    command = ["sh", "-c", 'xargs -0 -a "$0" exiftool -fast2 -json > /dev/null']
    files = max(50, int(PHOTOS * scale))
    return _read_figures("photos", files, 0.5, "exiftool", {"exiftool -fast2 -json": command}, rounds)


def films(scale: float, rounds: int) -> list[Figure]:
    """Read films."""
    shown = "ffprobe -v error -print_format json -show_format -show_streams"
    peers = {
        "one ffprobe each": ["sh", "-c", f'xargs -0 -n 1 -a "$0" {shown} > /dev/null'],
        "two ffprobe at once": ["sh", "-c", f'xargs -0 -n 1 -P 2 -a "$0" {shown} > /dev/null'],
    }
    return _read_figures("films", max(20, int(FILMS * scale)), 10.0, "ffprobe", peers, rounds)


def _read_figures(
    what: str, files: int, size: float, tool: str, peers: dict[str, list[str]], rounds: int
) -> list[Figure]:
    with scratch() as home:
        libraries.MAKERS[what](home / what, files, size)
        paths = sorted(path for path in (home / what).rglob("*") if path.is_file())
        names = home / "names"
        names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
        ours = [sys.executable, "-m", "benchmarks.reading"]
        inside = {"--read": Timed(), "--inline": Timed()}  # without the start of the processes

        def with_ours(option: str) -> Callable[[Timed], object]:
            def measured(timed: Timed) -> None:
                run([*ours, option, str(names)], home, into=timed)
                said = json.loads(timed.output)
                if said["found"] != {"read": files}:
                    raise AssertionError(f"{files} files, and of ours {said}")
                inside[option].wall_s.append(said["seconds"])

            return measured

        candidates = {"ours": with_ours("--read"), "inline": with_ours("--inline")}
        if have(tool):
            candidates |= {name: _command([*words, str(names)], home) for name, words in peers.items()}
        times = interleaved(candidates, rounds)
        each = f"{files / times['ours'].median_s:.0f} {what}/s"
        figures = [
            compared("3", f"{files:,} {what}", times["ours"], name, times[name], None, each)
            for name in candidates
            if name not in ("ours", "inline")
        ]
        title = f"{files:,} {what}: confined processes, once they run"
        figures.append(compared("2", title, inside["--read"], "inline", inside["--inline"], 1 / INLINE))
        return figures


def _command(words: list[str], home: Path) -> Callable[[Timed], object]:
    return lambda timed: run(words, home, into=timed)


# -- what is timed ------------------------------------------------------------------------------------


class Done(NamedTuple):
    """What became of files, and how long it took [s] from when the processes were ready."""

    found: Counter[str]
    seconds: float


def confined(paths: list[bytes]) -> Done:
    """Read files as the service does."""
    came = threading.Event()
    isolation = Isolation(processes=PROCESSES, wake=came.set)
    files = [_asked(path) for path in paths]

    def read_all(these: list[File]) -> list[tuple[Code, Any]]:
        found: list[tuple[Code, Any]] = []
        for start in range(0, len(these), CHUNK):
            isolation.submit(Chunk(start, "read", RootId(1), b"/", these[start : start + CHUNK]))
        while isolation.outstanding or came.is_set():
            came.wait(1.0)
            came.clear()
            for answer in isolation.drain():
                found += answer.outcomes
        return found

    read_all(files[: PROCESSES * CHUNK])
    began = time.perf_counter()
    found = read_all(files)
    seconds = time.perf_counter() - began
    isolation.close()
    return Done(Counter("read" if code is Code.READ else f"{code.value}: {value}" for code, value in found), seconds)


def _asked(path: bytes) -> File:
    directory, _, name = path[1:].rpartition(b"/")
    status = os.stat(path)
    with open(path, "rb") as file:  # the first pass has done that when the second one begins
        kind = kind_of(file.read(HEAD), name)
    key = (0, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return directory, name, key, (kind.value, None)


def inline(paths: list[bytes]) -> Done:
    """Read files in as many processes that nobody watches."""
    spent = multiprocessing.Array("d", PROCESSES)
    children = []
    for number in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            is_right = all(_read_inline(path) for path in paths[:CHUNK])
            began = time.perf_counter()
            is_right &= all(_read_inline(path) for path in paths[number::PROCESSES])
            spent[number] = time.perf_counter() - began
            os._exit(not is_right)
        children.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    return Done(Counter({"read": 0 if any(codes) else len(paths)}), max(spent[:]))


def _read_inline(path: bytes) -> bool:
    with open(path, "rb") as file:
        kind = kind_of(file.read(HEAD), os.path.basename(path))
        return bool(to_json(read(Opened(file.fileno(), os.fstat(file.fileno()).st_size, path, kind))))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--read", metavar="LIST", help="in confined processes")
    which.add_argument("--inline", metavar="LIST", help="in processes that nobody confines")
    given = parser.parse_args()
    paths = Path(given.read or given.inline).read_bytes().split(b"\0")[:-1]
    print(json.dumps((confined(paths) if given.read else inline(paths))._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
