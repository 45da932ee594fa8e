"""Count the kernel's directory watches, so that some are left for others and a shortage is said, never hidden.

Takes ``fs.inotify.max_user_watches``; gives leave for one more watch, and the line that raises the limit.
Fails with: nothing; without a readable limit only the kernel's own refusal counts.
"""

from __future__ import annotations

import threading
from pathlib import Path

_LIMIT = Path("/proc/sys/fs/inotify/max_user_watches")
_SHARE = 0.8  # watching.md section 4: keep 20 % free for the user's other programs
_COMFORTABLE = 524_288  # what most distributions set where they set it at all


class WatchBudget:
    """The watches of all roots together. Thread-safe. ``limit`` overrides what the kernel says (in watches)."""

    def __init__(self, limit: int | None = None) -> None:
        self._lock = threading.Lock()
        self._fixed = limit
        self._used = 0
        self._allowed: int | None = None
        self.refresh()

    @property
    def used(self) -> int:
        return self._used

    def refresh(self) -> None:
        """Read the limit again: the operator may have raised it since."""
        limit = self._fixed if self._fixed is not None else _read_limit()
        with self._lock:
            self._allowed = None if limit is None else max(1, int(limit * _SHARE))

    def take(self) -> bool:
        """Take one watch; ``False`` when there is none left."""
        with self._lock:
            if self._allowed is not None and self._used >= self._allowed:
                return False
            self._used += 1
            return True

    def give(self, watches: int = 1) -> None:
        """Give watches back."""
        with self._lock:
            self._used -= watches

    def exhausted(self) -> None:
        """The kernel refused (ENOSPC) before our count said so: others use the rest, or a namespace allows less."""
        with self._lock:
            self._allowed = self._used

    def advice(self) -> str:
        """The exact line that raises the limit."""
        limit = _read_limit() if self._fixed is None else self._fixed
        wanted = _COMFORTABLE
        while limit is not None and wanted <= limit:
            wanted *= 2
        return f"sudo sysctl -w fs.inotify.max_user_watches={wanted}"


def _read_limit() -> int | None:
    try:
        return int(_LIMIT.read_text())
    except (OSError, ValueError):
        return None  # no Linux, or /proc is closed to us: the kernel's ENOSPC is the only limit
