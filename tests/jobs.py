"""Engines for jobs on catalogues of their own, and jobs that leave a trace of what they did.

``main`` is a process that runs fifty of them until it is killed: ``python -m tests.jobs DATA COUNT``. A visible effect
is a file that only comes into being once; each time that a job came to make it is a line of ``trace``.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from mediasluice.catalogue.jobs import Job, JobState
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.jobs.engine import Engine
from mediasluice.jobs.port import Context, Kind, Wish
from mediasluice.pipeline.writer import Writer, now_us

LIMIT_S = 30.0
PIECES = 20
PIECE_S = 0.05


class Quiet:
    """A log that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, object]]] = []

    def _say(self, event: str, **values: object) -> None:
        self.said.append((event, values))

    debug = info = warning = error = _say


class Clock:
    """Microseconds that go on only when they are told to."""

    def __init__(self, at_us: int = 1_700_000_000_000_000) -> None:
        self.at_us = at_us

    def __call__(self) -> int:
        return self.at_us


class Bench:
    """An engine with its writer."""

    def __init__(self, file: Path, kinds: Sequence[Kind], *, slots: int = 4, clock: Clock | None = None) -> None:
        self.file = file
        self.failures: list[BaseException] = []
        self.log = Quiet()
        self.open_view = partial(View.open, file)
        self.writer = Writer(
            partial(Catalogue.open, file),
            slice_s=0.015,
            portion=64,
            committed=lambda: None,
            failed=self.failures.append,
            disk_full=lambda _, __: None,
        )
        self.writer.start()
        self.writer.call(lambda _: None)  # from now on the catalogue is there
        self.jobs = Engine(
            kinds,
            self.open_view,
            self.writer,
            self.log,
            clock=clock or now_us,
            failed=self.failures.append,
            slots=slots,
        )

    def add(self, kind: Kind) -> None:
        """One more kind, made with what this bench has."""
        self.jobs._kinds[kind.name] = kind

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.jobs.close()
        self.writer.close()

    def job(self, number: int) -> Job:
        shown = self.jobs.show(number)
        assert shown is not None
        return shown.job


@contextmanager
def at_work(file: Path, kinds: Sequence[Kind], *, slots: int = 4, clock: Clock | None = None) -> Iterator[Bench]:
    """Run jobs on the catalogue at ``file``; afterwards nothing may have failed."""
    bench = Bench(file, kinds, slots=slots, clock=clock)
    bench.jobs.start()
    try:
        yield bench
    finally:
        bench.close()
    assert bench.failures == []


def until(bench: Bench, number: int, *states: JobState) -> Job:
    """Wait until a job is in one of these states."""
    pause = threading.Event()
    for _ in range(int(LIMIT_S / 0.01)):
        job = bench.job(number)
        if job.state in states:
            return job
        pause.wait(0.01)
    raise AssertionError(bench.job(number))


# -- the process that is killed -----------------------------------------------------------------------


def pieces(data: Path, context: Context, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make one file after the other, each of them once however often it is begun."""
    number = args["number"]
    for piece in range(context.kept("piece") or 0, PIECES):
        context.check()
        time.sleep(PIECE_S)  # noqa: TID251 - the work
        _append(data / "trace", f"{number} {piece}\n")
        make_once(data / f"made-{number}-{piece}")
        context.keep("piece", piece + 1)
        context.progress(piece + 1, PIECES)
    return {"made": PIECES}


def make_once(path: Path) -> None:
    """Make a file that is whole as soon as it has its name."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    unfinished.write_text(str(os.getpid()))
    try:
        os.link(unfinished, path)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()


def _append(path: Path, line: str) -> None:
    with path.open("a") as stream:
        stream.write(line)


def deadly(data: Path, _: Context, __: Mapping[str, Any]) -> None:
    """Take the process along."""
    _append(data / "deaths", "x")
    os.kill(os.getpid(), 9)


def main() -> None:
    """Run jobs until killed; tell on standard output when they begin."""
    data, count = Path(sys.argv[1]), int(sys.argv[2])
    kinds = [
        Kind("pieces", partial(pieces, data), at_once=50, per_library=50),
        Kind("deadly", partial(deadly, data)),
    ]
    bench = Bench(data / "catalogue.sqlite", kinds, slots=50)
    if not bench.jobs.list():  # the first time
        for number in range(count):
            bench.jobs.enqueue(Wish("pieces", str(number), args={"number": number}))
        if "deadly" in sys.argv:
            bench.jobs.enqueue(Wish("deadly"))
    bench.jobs.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    sys.stdin.read()
    bench.close()


if __name__ == "__main__":
    main()
