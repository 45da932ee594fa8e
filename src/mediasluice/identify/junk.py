"""Say which files are junk: leavings of downloads and packing, by their name alone.

Takes file names as bytes, glob patterns and extensions from the configuration as text. Gives the reason, or None.
Fails with: nothing; every text is a valid glob.
Source: junk rules of the media library agents; an excluded extension wins over every pattern.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

DEFAULT_PATTERNS = (
    "*.part",
    "*.partial",
    "*.!qb",
    "*.crdownload",
    "*.tmp",
    "*.temp",
    "*.r00",
    "*.r01",
    "*.r02",
    "*.rar",
    "*.zip",
    "*.7z",
    "*.par2",
)


_IS_END = re.compile(r"\*[^][*?]+")


class JunkRules:
    """Patterns and exclusions, compiled once. Upper and lower case are the same everywhere."""

    def __init__(self, patterns: Sequence[str] = DEFAULT_PATTERNS, exclude_extensions: Iterable[str] = ()) -> None:
        self._patterns = tuple(patterns)
        self._excluded = frozenset(extension.lower() for extension in exclude_extensions)
        # One expression for all: a name that matches nothing, which is nearly every name, costs one search.
        alternatives = "|".join(f"({translate(pattern)})" for pattern in self._patterns)
        self._any = re.compile(alternatives, re.IGNORECASE) if alternatives else None
        # Most patterns are "*.ext": where all are, most names are done by comparing their ends.
        ends = [pattern[1:] for pattern in self._patterns if pattern.isascii() and _IS_END.fullmatch(pattern)]
        self._ends = tuple(end.lower().encode() for end in ends) if len(ends) == len(self._patterns) else None

    def match(self, name: bytes) -> str | None:
        """``pattern: GLOB`` with the first pattern that fits, as it was configured; None for a file to keep."""
        if self._any is None or (self._ends is not None and name.isascii() and not name.lower().endswith(self._ends)):
            return None
        text = os.fsdecode(name)
        found = self._any.match(text)
        if found is None or found.lastindex is None:
            return None
        if self._excluded and os.path.splitext(text)[1].lower() in self._excluded:
            return None
        return f"pattern: {self._patterns[found.lastindex - 1]}"
