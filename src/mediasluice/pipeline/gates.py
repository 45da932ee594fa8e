"""Decide by its name and its size alone whether a file is read at all.

The order of the gates is held < junk < empty; ignored names never come this far. Takes what a listing
tells; gives a state and a reason, or ``None`` for a file to look at. Fails with: nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mediasluice.model.files import FileState
from mediasluice.settle.names import held_by

if TYPE_CHECKING:
    from mediasluice.identify.junk import JunkRules


class NameGate:
    """The gates for the files of one directory: what its own path says is asked once."""

    def __init__(self, junk: JunkRules, stale_after_s: float, directory: bytes) -> None:
        self.junk = junk.match
        self._stale_after_s = stale_after_s
        self._held_here = held_by(b"_", directory)

    def held(self, name: bytes) -> str | None:
        """The pattern that says "not finished" of this name, or of a directory above it."""
        return self._held_here or held_by(name)

    def unread(self, name: bytes, key: tuple[int, int, int, int]) -> tuple[FileState, str] | None:
        """Why a file with this change key (ino, size, mtime_ns, ctime_ns) is not read."""
        held = self.held(name)
        if held is not None:
            if time.time() - max(key[2], key[3]) / 1e9 >= self._stale_after_s:
                return FileState.JUNK, f"stale temporary name: {held}"
            return FileState.HELD, f"temporary name: {held}"
        if (pattern := self.junk(name)) is not None:
            return FileState.JUNK, pattern
        return None if key[1] else (FileState.EMPTY, "no bytes yet")
