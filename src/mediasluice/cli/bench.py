"""``sluice bench``: how fast this machine is at what mediasluice does most."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mediasluice.cli.options import Call, Command, Group, whole_number
from mediasluice.cli.output import json_lines, table

app = typer.Typer(cls=Group, add_completion=False)

BLOCK = 1 << 20  # bytes that are digested at once
SHORTEST_S = 0.5  # chosen: what is measured takes at least so long
SETS = (("blake3", "xxh128"), ("blake3", "xxh128", "sha256"), ("blake3", "xxh128", "sha256", "md5", "sha1"))


@app.callback()
def bench() -> None:
    """Measure this machine."""


@app.command(cls=Command)
def digests(
    ctx: typer.Context,
    size: Annotated[
        int, typer.Option(metavar="MIB", parser=whole_number, help="Size of the file that is read, in MiB.")
    ] = 256,
) -> None:
    """Say how many megabytes a second each digest takes, alone in memory and together in one pass over a file."""
    call: Call = ctx.obj
    rows = [*_alone(), *_together(max(1, size) << 20)]
    if call.json:
        json_lines(rows)
    else:
        table(
            ("digests", "of", "MB/s"),
            [(" + ".join(row["digests"]), row["of"], f"{row['bytes_per_second'] / 1e6:,.0f}") for row in rows],
        )


def _alone() -> list[dict[str, Any]]:
    """Each digest over memory: what the processor can do."""
    import hashlib
    import os

    from blake3 import blake3
    from xxhash import xxh3_128

    block = os.urandom(BLOCK)
    makers: dict[str, Callable[[], Any]] = {
        "blake3": blake3,
        "xxh128": xxh3_128,
        "sha256": hashlib.sha256,
        "md5": lambda: hashlib.md5(usedforsecurity=False),
        "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    }
    rows = []
    for name, make in makers.items():
        digest, done, begun_s = make(), 0, time.perf_counter()
        while (took_s := time.perf_counter() - begun_s) < SHORTEST_S:
            digest.update(block)
            done += BLOCK
        rows.append({"digests": [name], "of": "memory", "bytes_per_second": round(done / took_s)})
    return rows


def _together(size: int) -> list[dict[str, Any]]:
    """Sets of digests in one pass over a file that was just written: as files are read, but for the disk."""
    import os

    from mediasluice.identify.digests import read

    rows = []
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as directory:
        file = Path(directory) / "content"
        block = os.urandom(BLOCK)
        with file.open("wb") as out:
            for _ in range(size // BLOCK):
                out.write(block)
        for names in SETS:
            done, begun_s = 0, time.perf_counter()
            while (took_s := time.perf_counter() - begun_s) < SHORTEST_S:
                with file.open("rb") as opened:
                    read(opened.fileno(), size, frozenset(names))
                done += size
            rows.append({"digests": list(names), "of": "a file in the cache", "bytes_per_second": round(done / took_s)})
    return rows
