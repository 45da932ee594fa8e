"""Remember which watch stands for which directory, as (parent, name): a rename costs one entry and not a tree.

Takes watch numbers from the kernel and places from whoever saw them; gives paths relative to the root.
Fails with: ``OSError`` where the kernel or the budget refuses a watch (``ENOSPC``).
Not thread-safe: its owner holds a lock.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.kernel import Instance

PATHS = 4_096  # chosen: remembered paths of busy directories


class Directory:
    """A watched directory. Without a parent it is the root, or adrift: seen leaving and not seen arriving."""

    __slots__ = ("children", "name", "parent", "seen", "watch")

    def __init__(self, watch: int) -> None:
        self.watch = watch
        self.parent: Directory | None = None
        self.name = b""
        self.children: dict[bytes, Directory] | None = None
        self.seen = 0  # the last sweep that met it

    def child(self, name: bytes) -> Directory | None:
        """The watched directory of that name in this one."""
        return self.children.get(name) if self.children else None


class WatchTable:
    """The watched directories of one root; the root itself is watched from the beginning."""

    def __init__(self, instance: Instance, budget: WatchBudget) -> None:
        self._instance = instance
        self._budget = budget
        self._directories: dict[int, Directory] = {}  # by watch
        self._removed: set[int] = set()  # watches that we removed and whose last event has not come yet
        self.paths: dict[int, bytes] = {}  # by watch: a cache for busy directories, see `locate`
        self.root = self._new(self.take(b""))

    def __len__(self) -> int:
        return len(self._directories)

    def __iter__(self) -> Iterator[Directory]:
        return iter(list(self._directories.values()))

    def __contains__(self, directory: Directory) -> bool:
        return self._directories.get(directory.watch) is directory

    def get(self, watch: int) -> Directory | None:
        """The directory of a watch; ``None`` for one that was let go, whose last events may still be queued."""
        return None if watch in self._removed else self._directories.get(watch)

    def locate(self, watch: int) -> bytes | None:
        """The path of a watch's directory, and remember it in ``paths``; ``None`` if it was let go or is adrift."""
        directory = self.get(watch)
        path = None if directory is None else self.path_of(directory)
        if path is not None:
            if len(self.paths) >= PATHS:
                self.paths.clear()
            self.paths[watch] = path
        return path

    def path_of(self, directory: Directory) -> bytes | None:
        """The path relative to the root; ``None`` while the directory or one above it is adrift."""
        if directory.watch in self.paths:
            return self.paths[directory.watch]
        names = []
        while directory is not self.root:
            if directory.parent is None:
                return None
            names.append(directory.name)
            directory = directory.parent
        names.reverse()
        return b"/".join(names)

    def take(self, path: bytes) -> int:
        """Watch ``path`` if the budget allows it; the number may be one that is in the table already."""
        if not self._budget.take():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            return self._instance.add(path)
        except OSError as error:
            self._budget.give()
            if error.errno == errno.ENOSPC:
                self._budget.exhausted()
            raise

    def enter(self, above: Directory, name: bytes, path: bytes) -> tuple[Directory, bool]:
        """Watch ``path``; gives its directory and whether it had a watch before, under this name or any other."""
        known = above.child(name)
        watch = self.take(path) if known is None else self._instance.add(path)
        directory = self._directories.get(watch)
        if directory is None:
            if known is not None and not self._budget.take():
                self._forget_watch(watch)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self._new(watch), False
        if known is None:
            self._budget.give()
        return directory, True

    def is_at(self, directory: Directory, path: bytes) -> bool:
        """Ask the kernel whether ``path`` is this very directory. Raises ``OSError`` when nothing is there."""
        return self._instance.add(path) == directory.watch

    def place(self, directory: Directory, above: Directory, name: bytes) -> list[Directory]:
        """Put a directory where it is; gives those that the table had wrong because of that, which are adrift now."""
        occupant = above.child(name)
        if occupant is directory:
            return []
        displaced = [] if occupant is None else [occupant]
        self.detach(directory)
        # A directory is never inside itself: where the table says so, what is between the two is somewhere else by now.
        between = above
        while between.parent is not None and between.parent is not directory:
            between = between.parent
        if between.parent is directory:
            displaced.append(between)
        for other in displaced:
            self.detach(other)
        directory.parent, directory.name = above, name
        if above.children is None:
            above.children = {}
        above.children[name] = directory
        return displaced

    def detach(self, directory: Directory) -> None:
        """Set a directory adrift: what happens in it and below is in no known place."""
        above = directory.parent
        if above is not None and above.children is not None:
            del above.children[directory.name]
            directory.parent = None
            self.paths.clear()

    def drop(self, directory: Directory) -> None:
        """Let go of a directory and of everything below it."""
        self.detach(directory)
        self.paths.clear()
        stack = [directory]
        while stack:
            directory = stack.pop()
            if directory.children:
                stack.extend(directory.children.values())
            directory.parent = directory.children = None
            if directory in self:
                del self._directories[directory.watch]
                self._budget.give()
                self._forget_watch(directory.watch)

    def ended(self, watch: int) -> list[Directory]:
        """The kernel said its last word (``IN_IGNORED``) about a watch; its number may be used again from here on.

        Gives the directories that the table had in that one: they are adrift now.
        """
        if watch in self._removed:
            self._removed.discard(watch)
            return []
        directory = self._directories.pop(watch, None)
        if directory is None:
            return []
        self._budget.give()
        self.detach(directory)
        self.paths.clear()
        orphans = list((directory.children or {}).values())
        for orphan in orphans:
            self.detach(orphan)
        return orphans

    def lost_events(self) -> None:
        """Events were lost, perhaps the last words about removed watches too: wait for them no longer."""
        self._removed.clear()

    def clear(self) -> None:
        """The instance is being closed and takes all watches with it."""
        self._budget.give(len(self._directories))
        self._directories.clear()
        self._removed.clear()
        self.paths.clear()

    def _new(self, watch: int) -> Directory:
        directory = self._directories[watch] = Directory(watch)
        return directory

    def _forget_watch(self, watch: int) -> None:
        if self._instance.remove(watch):
            self._removed.add(watch)
