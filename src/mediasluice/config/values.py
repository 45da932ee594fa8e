"""How values are written in a document: durations, sizes, patterns, hours of the day, directories, templates.

Takes whatever YAML, the environment or a caller gives; gives seconds, bytes, tuples of patterns, absolute
paths as bytes. Every function is total over ``object`` and fails with ValueError alone, in words for the
person who wrote the value; a text that begins with "is" goes on after the value. Source: docs/settings.md.
"""

from __future__ import annotations

import math
import os
import re
from datetime import time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from mediasluice.actions.naming import Template

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

HOURS = re.compile(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)")

NAMED_INTERVALS = {"@hourly": 3600.0, "@daily": 86400.0, "@weekly": 604800.0, "never": None}


def seconds(value: object) -> float:
    """Read ``500ms``, ``5s``, ``2m``, ``1h``, ``30d`` or a bare number of seconds."""
    if isinstance(value, str) and (found := DURATION.fullmatch(value.strip())):
        return float(found[1]) * _SECONDS[found[2]]
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    raise ValueError("is not a duration; write it like 500ms, 5s, 2m, 1h, 30d or a number of seconds")


def duration_text(value: float) -> str:
    """Write seconds in the largest unit that needs no fraction; the inverse of :func:`seconds`."""
    for unit in ("d", "h", "m", "s"):
        if value and value % _SECONDS[unit] == 0:
            return f"{int(value / _SECONDS[unit])}{unit}"
    thousandths = round(value * 1000)
    return f"{thousandths}ms" if value and math.isclose(value * 1000, thousandths) else f"{value:g}s"


def interval(value: object) -> float | None:
    """Read ``@hourly``, ``@daily``, ``@weekly``, ``never`` or a duration above zero; ``None`` is never."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip() in NAMED_INTERVALS:
        return NAMED_INTERVALS[value.strip()]
    try:
        every = seconds(value)
    except ValueError:
        every = 0.0
    if every <= 0:
        raise ValueError("is not an interval; write @hourly, @daily, @weekly, never or a duration like 30m")
    return every


def size(value: object) -> int:
    """Read ``10GiB`` (powers of 1024), ``10GB`` (powers of 1000) or a bare number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (found := SIZE.fullmatch(value.strip())):
        unit = (found[2] or "").lower()
        return int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit.rstrip("i")])
    raise ValueError("is not a size; write it like 10GiB, 500MB or a number of bytes")


def size_text(value: int) -> str:
    """Write bytes in a binary unit where three digits say it exactly, else as a plain number."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        count, rest = divmod(value, 1024**power)
        if rest == 0 and 0 < count < 1000:
            return f"{count}{unit}"
    return str(value)


def timezone(value: object) -> str:
    """Read the name of a time zone, such as ``Europe/Berlin``."""
    if isinstance(value, str):
        try:
            return ZoneInfo(value.strip()).key
        except (ValueError, OSError):  # a name that is a path, or none that is known
            pass
    raise ValueError("is not a time zone; write it like Europe/Berlin or UTC")


class Hours(NamedTuple):
    """A window of every day in local time; one that ends before it begins goes over midnight."""

    begin: time
    end: time

    def contain(self, moment: time) -> bool:
        if self.begin <= self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"


def hours(value: object) -> Hours:
    """Read ``01:00-06:00``."""
    if isinstance(value, Hours):
        return value
    if isinstance(value, str) and (found := HOURS.fullmatch(value.strip())):
        begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
        if max(begin_hour, end_hour) < 24 and max(begin_minute, end_minute) < 60:
            return Hours(time(begin_hour, begin_minute), time(end_hour, end_minute))
    raise ValueError('is not a window of the day; write it like "01:00-06:00"')


def listed(value: object) -> tuple[str, ...]:
    """Read a list of words, or one string with commas between them."""
    if isinstance(value, str):
        return tuple(word for part in value.split(",") if (word := part.strip()))
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise ValueError("is not a list of patterns; write a list, or one text with commas between them")


def globs(value: object, *, keep: str | None = None) -> tuple[str, ...]:
    """Read patterns of names. ``mp4`` and ``.mp4`` mean ``*.mp4``; the word ``keep`` stays as it is."""
    words = listed(value)
    return tuple(
        word if word == keep else f"*.{word.removeprefix('.')}" if _is_suffix(word) else _checked_glob(word)
        for word in words
    )


def ignores(value: object) -> tuple[str, ...]:
    """Read patterns in gitignore syntax; the check sees them without the ``!`` that takes a name back."""
    words = listed(value)
    for word in words:
        _checked_glob(word.removeprefix("!"))
    return words


def extensions(value: object) -> tuple[str, ...]:
    """Read file name extensions, with or without their dot; lower case with dot comes back."""
    words = listed(value)
    for word in words:
        if not re.fullmatch(r"\.?[^./*?\[\]]+", word):
            raise ValueError(f"{word!r} is not a file name extension; write it like .mp4")
    return tuple("." + word.removeprefix(".").lower() for word in words)


def root_path(value: object) -> bytes:
    """Read an absolute directory. Doubled and trailing slashes and single dots go; links are not resolved."""
    if not isinstance(value, str | bytes) or not value:
        raise ValueError("is not a directory; write its absolute path")
    path = os.fsencode(value)
    shown = os.fsdecode(path)
    if b"\0" in path:
        raise ValueError(f"{shown!r} is not a path: it holds a NUL character")
    if b".." in re.split(rb"[/\\]" if os.name == "nt" else rb"/", path):
        raise ValueError(f"{shown!r} goes up with '..'; write the path that it leads to")
    if not os.path.isabs(path):
        raise ValueError(f"{shown!r} is not absolute; write the whole path, beginning with {os.sep!r}")
    clean = os.path.normpath(path)
    return b"/" + clean.lstrip(b"/") if os.name == "posix" else clean  # POSIX lets `//a` stand


def target(value: object) -> bytes:
    """Read the directory that files are imported to; the names of other systems mean nothing yet."""
    if isinstance(value, str) and re.fullmatch(r"[^/\\.~]+", value):
        raise ValueError(
            f"{value!r} names a target, and this version has none with a name; write an absolute directory, or null"
        )
    return root_path(value)


def template(value: object) -> str:
    """Read the template of a path below the target."""
    if not isinstance(value, str):
        raise ValueError("is no template; write it like {taken:%Y/%m}/{name}")  # noqa: TRY004 - see above
    return Template.parse(value).text


def owner(value: object) -> str:
    """Read the name of an account."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("is not the name of an account; write it as text of one line, or null")
    return value


def library_name(value: object) -> str:
    """Read the name of a library: any text of one line without slashes, that is no way up."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a library needs a name")
    if value in {".", ".."} or re.search(r"\.\.|[/\\\x00-\x1f\x7f]", value):
        raise ValueError(f"{value!r} cannot be the name of a library: no '..', slashes or control characters")
    return value


def _is_suffix(word: str) -> bool:
    return re.fullmatch(r"\.?[A-Za-z0-9]+", word) is not None


def _checked_glob(pattern: str) -> str:
    """Refuse what the matchers would take for something else, or never match at all."""
    if not pattern.strip() or "\0" in pattern or "\n" in pattern:
        raise ValueError(f"{pattern!r} is not a pattern")
    if ".." in pattern.split("/"):
        raise ValueError(f"the pattern {pattern!r} goes up with '..'; patterns are relative to the root")
    without_sets = re.sub(r"\\.|\[[!^]?\]?[^\]]*\]", "", pattern)
    if "[" in without_sets:
        raise ValueError(f"the pattern {pattern!r} opens a '[' that nothing closes")
    if without_sets.endswith("\\"):
        raise ValueError(f"the pattern {pattern!r} ends with a single backslash")
    if without_sets.count("{") != without_sets.count("}") or re.search(r"\{[^}]*,[^}]*\}", without_sets):
        raise ValueError(f"the pattern {pattern!r} uses braces for a choice; write one pattern for each")
    return pattern
