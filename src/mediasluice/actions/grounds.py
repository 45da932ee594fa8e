"""Know the file systems that files are brought to, so that nothing is written under a mount that is missing.

A target whose disk is not mounted looks like an empty directory of another disk, or like none: what were written
there would be hidden when the disk is back. Takes directories of the rules and the file systems on which they were
the last time; gives the reason why one must not be written to at this moment.
Fails with: nothing; what the system refuses is a reason.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from mediasluice.model.paths import text
from mediasluice.model.roots import RootIdentity
from mediasluice.sources.roots import check_root, identity_of


class Grounds:
    """The directories of one host, with the names of their file systems. ``remember`` keeps a new one."""

    def __init__(self, known: Mapping[bytes, bytes], remember: Callable[[bytes, bytes], None]) -> None:
        self._known = dict(known)
        self._remember = remember
        self._seen: dict[bytes, int] = {}  # device numbers that were found right: valid until the next mount

    def why_not(self, directory: bytes) -> str | None:
        """Why nothing may be written to a directory now; it need not be there, if its file system is."""
        try:
            nearest = directory
            while not os.path.isdir(nearest):
                nearest = os.path.dirname(nearest)
            device = os.stat(nearest).st_dev
            if self._seen.get(directory) == device:
                return None
            return self._compare(directory, nearest, device)
        except OSError as error:
            return f"{text(directory)}: {error.strerror or error}"

    def forget(self, directory: bytes) -> None:
        """Whatever is there now is right, a person says."""
        self._known.pop(directory, None)
        self._seen.pop(directory, None)

    def _compare(self, directory: bytes, nearest: bytes, device: int) -> str | None:
        known = self._known.get(directory)
        if known is not None:
            check = check_root(nearest, RootIdentity(known, 0), had_files=False)
            if not check.online:
                return (
                    f"{text(directory)} is not on the file system where it was; mount it, or agree to what is there "
                    "with: sluice scan LIBRARY --accept"
                )
        else:
            filesystem = identity_of(nearest).filesystem
            self._known[directory] = filesystem
            self._remember(directory, filesystem)
        self._seen[directory] = device
        return None
