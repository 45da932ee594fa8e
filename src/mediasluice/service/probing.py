"""Ask roots whether they are there, each on a thread of its own: one that hangs in the kernel holds up nobody else.

Takes roots or their paths; gives a :class:`RootCheck` when a root has answered. Fails with: nothing.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mediasluice.model.paths import text
from mediasluice.model.roots import RootState
from mediasluice.sources.mounts import mounts_below
from mediasluice.sources.roots import RootCheck, check_root

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mediasluice.pipeline.watched import Watched


HANGS_S = 15.0  # chosen: a disk that has to spin up first answers within ten seconds


def hanging(paths: Iterable[bytes]) -> frozenset[bytes]:
    """Those of the paths that do not answer in time; waits so long at most, for all of them together."""
    silent = set(paths)

    def ask(path: bytes) -> None:
        with suppress(OSError), os.scandir(path):
            pass  # an error is an answer
        silent.discard(path)

    threads = [threading.Thread(target=ask, args=(path,), name="probe", daemon=True) for path in silent.copy()]
    for thread in threads:
        thread.start()
    end_s = time.monotonic() + HANGS_S
    for thread in threads:
        thread.join(max(0.0, end_s - time.monotonic()))
    return frozenset(silent)


def why_hanging(path: bytes) -> str:
    """The reason that is shown."""
    return f"hangs: {text(path)} does not answer"


class Probe:
    """One question to one root, and to what is mounted inside it."""

    def __init__(self, root: Watched) -> None:
        self.root = root
        self.check = RootCheck(False, "was not asked", None)
        self._had_files = root.state is RootState.OFFLINE and not root.baseline
        self._asked = root.path
        self._since_s = time.monotonic()
        self._thread = threading.Thread(target=self._ask, name=f"probe-{root.library}", daemon=True)
        self._thread.start()

    @property
    def age_s(self) -> float:
        """How long it has been asked [s]."""
        return time.monotonic() - self._since_s

    @property
    def reason(self) -> str:
        """Why the root cannot be used as long as there is no answer."""
        return why_hanging(self._asked)

    def ends_within(self, limit_s: float) -> bool:
        """Wait so long at most; whether the answer is there."""
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _ask(self) -> None:
        root = self.root
        check = check_root(root.path, root.identity, had_files=self._had_files)
        if check.online:
            for mount in mounts_below(root.top):
                self._asked = mount.point
                with suppress(OSError):  # what does not show what it did is found by a pass
                    os.stat(mount.point)
        self.check = check
