r"""Print: JSON lines for programs, plain lines and tables for people.

Takes rows and values; gives text on standard output. JSON is ASCII, one object per line, flushed at once;
undecodable bytes of a path are lone surrogates (``\udcXX``), which ``os.fsencode`` turns back. People see
control characters and undecodable bytes escaped, so that no file name can play with their terminal.
Fails with: OSError of the output itself.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
encode = json.JSONEncoder(separators=(",", ":")).encode
quote = json.encoder.encode_basestring_ascii


def json_line(value: Mapping[str, object]) -> None:
    """Print one JSON object and flush it: whoever reads the pipe sees it now."""
    sys.stdout.write(encode(value) + "\n")
    sys.stdout.flush()


def json_lines(values: Iterable[Mapping[str, object]]) -> None:
    """Print JSON objects and flush them together: for what is there already."""
    sys.stdout.write("".join([encode(value) + "\n" for value in values]))
    sys.stdout.flush()


def say(line: str = "") -> None:
    """Print a line for people at once."""
    print(line, flush=True)


def print_version() -> None:
    """Print the name of the program and the version of the installed package."""
    from importlib.metadata import version

    say(f"sluice {version('mediasluice')}")


def shown(path: str | bytes, *, keep_lines: bool = False) -> str:
    """Text of a path or name that is safe on a terminal."""
    text = os.fsdecode(path)
    return "\n".join(map(_escape, text.split("\n"))) if keep_lines else _escape(text)


def _escape(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def moment(at_us: int) -> str | None:
    """RFC 3339 in UTC with microseconds; ``None`` for a time stamp of a file outside the years 1 to 9999."""
    second, microseconds = divmod(at_us, 1_000_000)
    start = _second(second)
    return None if start is None else f"{start}.{microseconds:06}Z"


@lru_cache(maxsize=256)
def _second(at_s: int) -> str | None:
    try:
        return (_EPOCH + timedelta(seconds=at_s)).isoformat()[:19]
    except OverflowError:
        return None


def local_time(at_us: int) -> str:
    """Date and time for people, in their own zone."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def hexadecimal(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()


def amount(size: float) -> str:
    """Bytes for people: three significant digits."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1000 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1024
    raise AssertionError


def duration(seconds: float) -> str:
    """Seconds for people: ``0.4 s``, ``12 s``, ``3:05``, ``2:00:05``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def console() -> Console:
    """Standard output through rich, which leaves colours out without a terminal and with NO_COLOR."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 10_000  # a file has no edge: nothing is folded in it
    return Console(highlight=False, markup=False, emoji=False, width=width)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows under their columns; numbers stand to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    filled = [list(row) for row in rows]
    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        numbers = bool(filled) and all(isinstance(row[index], int) for row in filled)
        drawn.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in filled:
        drawn.add_row(*(Text(_cell(value)) for value in row))
    console().print(drawn)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else shown(str(value))


def note(line: str, *, hint: str | None = None) -> None:
    """Tell a person something that is not part of the answer, on standard error."""
    print(shown(line) if hint is None else f"{shown(line)}\n  {hint}", file=sys.stderr, flush=True)
