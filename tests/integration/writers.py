"""Nineteen ways in which programs write a file, each in a directory of its own.

Takes the directory to write into and places outside of it; gives the moment at which the last byte, rename or
link was there [s, wall clock]. The pauses between the pieces are those of the published comparison of settle
strategies, so that a rule that is fooled there is fooled here. Source: the writer matrix behind
docs/guarantees.md, promise 2.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.samples import wav, wav_header

MB = 1 << 20
PIECE = 100_000
PAUSE_S = 28.0  # of the writers that stall with the file open: far beyond every quiet period but the long one


class Places(NamedTuple):
    """Where one writer works; ``final`` is the file that it means to make."""

    final: Path  # in a watched directory of its own
    source: Path  # a complete WAV file on the same file system, not watched, its own
    elsewhere: Path  # a directory on another file system, its own


class Writer(NamedTuple):
    """One pattern. ``late_s``: how long after its end its file may be catalogued, tolerance not counted."""

    name: str
    write: Callable[[Places], float]
    late_s: float
    may_be_early: bool = False


def _command(*words: str) -> Callable[[Places], float]:
    def run(at: Places) -> float:
        subprocess.run([w.format(**at._asdict()) for w in words], check=True)
        return time.time()

    return run


def _move_across_devices(at: Places) -> float:
    travelling = at.elsewhere / "travelling.wav"
    shutil.copy(at.source, travelling)
    os.utime(travelling, (1e9, 1e9))  # mv keeps it: an old mtime proves nothing
    subprocess.run(["mv", str(travelling), str(at.final)], check=True)
    return time.time()


def _move_on_the_device(at: Places) -> float:
    os.rename(at.source, at.final)
    return time.time()


def _stall_with_the_file_open(at: Places) -> float:
    with at.final.open("wb", 0) as file:
        file.write(b"a" * MB)
        time.sleep(PAUSE_S)
        file.write(b"b" * MB)
    return time.time()


def _part_then_rename(at: Places) -> float:
    part = at.final.with_name(at.final.name + ".part")
    with part.open("wb", 0) as file:
        for _ in range(4):
            file.write(b"a" * MB)
            time.sleep(1.5)
    part.rename(at.final)
    return time.time()


def _placeholder_and_part(at: Places) -> float:
    at.final.touch()
    part = at.final.with_name("x1y2.mp4.part")
    with part.open("wb", 0) as file:
        for _ in range(4):
            file.write(b"a" * MB)
            time.sleep(2)
    part.rename(at.final)
    return time.time()


def _append(pieces: list[bytes], pause_s: float) -> Callable[[Places], float]:
    def run(at: Places) -> float:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause_s)
            with at.final.open("ab") as file:
                file.write(piece)
        return time.time()

    return run


def _map_after_close(at: Places) -> float:
    descriptor = os.open(at.final, os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(descriptor, 4 * MB)
    with mmap.mmap(descriptor, 4 * MB) as memory:
        os.close(descriptor)
        for piece in range(4):
            memory[piece * MB : (piece + 1) * MB] = bytes([piece + 1]) * MB
            time.sleep(7)
    return time.time()


def _allocate_then_fill(at: Places) -> float:
    descriptor = os.open(at.final, os.O_RDWR | os.O_CREAT, 0o644)
    os.posix_fallocate(descriptor, 0, 2 * MB)
    os.pwrite(descriptor, b"a" * MB, 0)
    time.sleep(PAUSE_S)
    os.pwrite(descriptor, b"b" * MB, MB)
    os.close(descriptor)
    return time.time()


def _preallocate_and_reopen(at: Places) -> float:
    with at.final.open("wb") as file:
        file.truncate(4 * MB)
    for piece in (2, 0, 3, 1):  # as a torrent client does
        time.sleep(7)
        descriptor = os.open(at.final, os.O_RDWR)
        os.pwrite(descriptor, bytes([piece + 1]) * MB, piece * MB)
        os.close(descriptor)
    return time.time()


def _nameless_then_link(at: Places) -> float:
    descriptor = os.open(at.final.parent, os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(descriptor, b"a" * MB)
    time.sleep(1)
    libc = ctypes.CDLL(None, use_errno=True)
    at_fdcwd, follow = -100, 0x400
    if libc.linkat(at_fdcwd, b"/proc/self/fd/%d" % descriptor, at_fdcwd, os.fsencode(at.final), follow) != 0:
        raise OSError(ctypes.get_errno(), "linkat")
    os.close(descriptor)
    return time.time()


def _hard_link(at: Places) -> float:
    at.source.write_bytes(b"a" * MB + os.fsencode(at.final.parent))
    os.link(at.source, at.final)
    return time.time()


def _rename_while_open(at: Places) -> float:
    growing = at.final.with_name("f.tmp")
    with growing.open("wb", 0) as file:
        file.write(b"a" * MB)
        growing.rename(at.final)
        time.sleep(8)
        file.write(b"b" * MB)
    return time.time()


_UNSIZED = [bytes([number]) * PIECE for number in range(1, 5)]
_SIZED = [(wav_header(4 * PIECE) if number == 1 else b"").ljust(PIECE, bytes([number])) for number in range(1, 5)]

WRITERS = [
    Writer("cp", _command("cp", "{source}", "{final}"), 0.3),
    Writer("cp -p", _command("cp", "-p", "{source}", "{final}"), 0.2),
    Writer("rsync", _command("rsync", "-t", "--bwlimit=20m", "{source}", "{final}"), 0.0),
    Writer("rsync --inplace", _command("rsync", "-t", "--inplace", "--bwlimit=20m", "{source}", "{final}"), 0.2),
    Writer("mv cross-device", _move_across_devices, 0.3),
    Writer("mv same-device", _move_on_the_device, 0.0),
    Writer("slow writer, fd open", _stall_with_the_file_open, 5.0),
    Writer(".part then rename", _part_then_rename, 0.0),
    Writer("placeholder + .part", _placeholder_and_part, 0.0),
    # The matrix counts from 2 s after the last piece and says 3.0.
    Writer("append-close every 2s", _append([bytes([n]) * PIECE for n in range(1, 7)], 2), 5.0),
    # The one pattern that no rule can tell from a finished file before its second piece.
    Writer("append-close every 8s", _append(_UNSIZED, 8), 0.0, may_be_early=True),
    # The matrix counts from 8 s after the last piece and says 0.0; the rule for a complete format is 0.25.
    Writer("append-close every 8s, sized header", _append(_SIZED, 8), 0.3),
    Writer("mmap after close", _map_after_close, 5.0),
    Writer("fallocate then fill", _allocate_then_fill, 5.0),
    Writer("preallocate, reopen per piece", _preallocate_and_reopen, 5.0),
    Writer("O_TMPFILE + link", _nameless_then_link, 5.0),
    Writer("hard link", _hard_link, 5.0),
    Writer("rename while open", _rename_while_open, 5.0),
    Writer(
        "tar x",
        _command(
            "sh",
            "-c",
            "tar cf - -C $(dirname {source}) $(basename {source})"
            " | tar xf - -C $(dirname {final}) --transform s/.*/$(basename {final})/",
        ),
        0.3,
    ),
]


def prepare(root: Path, outside: Path, elsewhere: Path, size: int) -> list[Places]:
    """Make the directories and sources of all writers, before anything is watched or timed."""
    places = []
    for number, writer in enumerate(WRITERS):
        target = root / f"{number:02d}"
        target.mkdir(parents=True)
        other = elsewhere / f"{number:02d}"
        other.mkdir(parents=True)
        outside.mkdir(exist_ok=True)
        source = outside / f"{number:02d}.wav"
        source.write_bytes(wav(writer.name, size))
        places.append(Places(target / "clip.mp4", source, other))
    return places
