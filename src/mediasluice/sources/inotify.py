"""Watch a tree through the kernel's inotify and lose nothing silently.

Takes the raw events of one inotify instance per root; gives sightings, in the order in which things happened.
Fails with: ``RootUnusable`` and ``Unavailable`` at the start; afterwards a loss is a ``DIRTY`` sighting and a count, a
directory that cannot be watched is in the coverage, and a root that goes is ``ROOT_LOST``.
Source: inotify(7). Three rules carry it:
  * A directory is watched first and listed second, so that a file is found by one of the two.
  * Queued events may lag behind the disk. Whenever the kernel gives a known watch for another path, or another watch
    for a known path, the kernel is right and the table is mended.
  * A rename whose other half has not come for 200 ms left the tree, and what was watched there is let go.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import NamedTuple

from mediasluice.errors import RootUnusable, Unavailable
from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.model.paths import join, text
from mediasluice.sources.budget import WatchBudget
from mediasluice.sources.kernel import (
    HEADER,
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_ISDIR,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    MASK,
    Instance,
)
from mediasluice.sources.mounts import mounts_below
from mediasluice.sources.names import IGNORE_FILE, NameRules
from mediasluice.sources.opening import GONE, open_directory
from mediasluice.sources.readers import CHUNK, Inbox, Readers
from mediasluice.sources.source import Coverage
from mediasluice.sources.table import Directory, WatchTable

__all__ = ["InotifySource", "Readers"]

RENAME_S = 0.2  # chosen: both halves of a rename are queued within microseconds
LISTED_AT_ONCE = 5_000  # chosen: files of one new tree that are reported one by one; more make one DIRTY
VISITS = 500  # chosen: directories walked per call of read(), about 10 ms
TURN_S = 0.1  # chosen: longest wait of start() for a thread that asked for the lock to take it


class _Left(NamedTuple):
    """The first half of a rename that waits for the second."""

    at_s: float
    above: Directory
    directory: bytes
    name: bytes
    wanted: bool  # no rule ignored it where it was
    child: Directory | None  # the directory itself, if it was watched
    is_directory: bool

    @property
    def path(self) -> bytes:
        return join(self.directory, self.name)


class _Walk:
    """Directories that are still to be watched and listed below one of them."""

    __slots__ = ("dirty", "files", "listing", "stack", "sweeping", "top")

    def __init__(self, *, listing: bool = False, dirty: bool = False, sweeping: bool = False) -> None:
        self.stack: list[tuple[Directory, bytes]] = []  # above and name; for the root: itself and no name
        self.top: Directory | None = None
        self.listing = listing  # report the files that it finds
        self.files = 0
        self.dirty = dirty  # report the top as dirty at the end
        self.sweeping = sweeping  # let go of what it did not meet


class InotifySource:
    """The source of one root on Linux. ``clock`` is monotonic s; ``attributes`` reports owner, mode and times too."""

    def __init__(
        self,
        root_id: RootId,
        path: bytes,
        rules: NameRules,
        readers: Readers,
        budget: WatchBudget,
        clock: Callable[[], float],
        *,
        attributes: bool = False,
    ) -> None:
        self._id = root_id
        self._path = path.rstrip(b"/") or b"/"
        self._top = os.path.realpath(path).rstrip(b"/")  # asked once: later the root may hang
        self._rules = rules
        self._readers = readers
        self._budget = budget
        self._clock = clock
        self._mask = MASK | (IN_ATTRIB if attributes else 0)

        self._lock = threading.Lock()  # over everything below
        self._waiting: set[int] = set()  # threads that want the lock while start() holds it
        self._taken = threading.Event()  # one of them has it
        self._ended = ""  # why there is nothing more to read
        self._instance: Instance | None = None
        self._inbox = Inbox()
        self._table: WatchTable  # from start() on, as the instance
        self._left: dict[int, _Left] = {}  # by cookie, in the order of time
        self._left_paths: dict[bytes, int] = {}
        self._adrift: deque[tuple[float, Directory]] = deque()
        self._uncovered: dict[tuple[Directory, bytes], str] = {}
        self._unmounted: list[tuple[Directory, bytes]] = []
        self._walks: deque[_Walk] = deque()
        self._parked: list[tuple[Directory, bytes]] = []  # places to walk in a directory that is adrift
        self._sweep = 0
        self._sweep_again = False
        self._in_doubt = False  # directories were renamed faster than their events were read
        self._overflows = 0
        self._out: list[Sighting] = []

    # --- the protocol -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch the whole tree; called again, what could not be watched so far."""
        walk = self._begin()
        while True:
            with self._lock:
                while walk.stack and not self._ended and not self._waiting:
                    self._visit(walk)
                if not walk.stack or self._ended:
                    break
                self._taken.clear()
            # A lock goes to the thread that is awake, which is this one: wait until another has got it.
            self._taken.wait(TURN_S)
        if self._out:
            self._readers.wake_in(0)

    def read(self) -> list[Sighting]:
        """Turn what the kernel reported into sightings."""
        with self._turn():
            if self._instance is not None and not self._ended:
                self._work(self._clock())
            out, self._out = self._out, []
            return out

    @property
    def is_halfway(self) -> bool:
        """Whether a name left whose new one was not seen within the time of a rename."""
        return bool(self._left_paths)

    def revisit(self, directory: bytes) -> None:
        """Watch what is mounted at a directory now, or what was under it."""
        with self._turn():
            if self._instance is None or self._ended:
                return
            above = self._table.root
            *outer, name = directory.split(b"/")
            for part in outer:
                known = above.child(part)
                if known is None:
                    return  # its walk is still to come, and sees what is there then
                above = known
            self._arrive(above, name, listing=False)
        self._readers.wake_in(0)

    def coverage(self) -> Coverage:
        """What is watched and what is not."""
        places = {}
        with self._turn():
            for (above, name), reason in self._uncovered.items():
                outer = self._table.path_of(above)
                if outer is not None:
                    places[join(outer, name)] = reason
            watches = len(self._table) if self._instance is not None else 0
            overflows, ended = self._overflows, self._ended
        for mount in mounts_below(self._top):
            below = mount.point[len(self._top) + 1 :]
            if not mount.events_complete and self._rules.directory(below) is None:
                places.setdefault(below, f"{mount.type} mount: others may write behind it")
        reasons = [ended] if ended else []
        if not self._readers.alive:
            reasons.append("the reader thread has ended")
        if places:
            first, why = next(iter(places.items()))
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            reasons.append(f"polled, not watched: {text(first) or '.'}{more} ({why})")
        reasons += [f"{text(place) or '.'}: {what}" for place, what in self._rules.problems.copy().items()]
        return Coverage(watches, overflows, tuple(places), "; ".join(reasons) or None)

    def close(self) -> None:
        """Give the watches and the descriptor back."""
        with self._turn():
            self._ended = self._ended or "closed"
            if self._instance is None:
                return
            self._readers.remove(self._instance.descriptor)
            self._instance = None
            self._table.clear()
            self._left.clear()
            self._left_paths.clear()
            self._adrift.clear()
            self._uncovered.clear()
            self._unmounted.clear()
            self._walks.clear()
            self._parked.clear()
            self._out.clear()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Take the lock, also from a ``start()`` that is at work."""
        me = threading.get_ident()
        self._waiting.add(me)
        with self._lock:
            self._waiting.discard(me)
            self._taken.set()
            yield

    def _begin(self) -> _Walk:
        walk = _Walk()
        self._budget.refresh()
        with self._turn():
            if not self._ended and self._instance is None:
                walk.stack.append((self._open(), b""))
            elif not self._ended:
                walk.stack += self._uncovered
                self._uncovered.clear()
        return walk

    def _open(self) -> Directory:
        place = text(self._path)
        try:
            instance = Instance(self._path, self._mask)
        except OSError as error:
            raise_it = "sudo sysctl -w fs.inotify.max_user_instances=1024, or raise the limit of open files (ulimit -n)"
            hint = raise_it if error.errno == errno.EMFILE else None
            raise Unavailable(f"no inotify instance: {error.strerror}", path=place, hint=hint) from error
        try:
            self._table = WatchTable(instance, self._budget)
        except OSError as error:
            os.close(instance.descriptor)
            if error.errno == errno.ENOSPC:
                raise Unavailable("no watch is left", path=place, hint=self._budget.advice()) from error
            raise RootUnusable(error.strerror or str(error), path=place) from error
        try:
            self._inbox = self._readers.add(instance.descriptor)
        except Unavailable:
            os.close(instance.descriptor)
            raise
        self._instance = instance
        return self._table.root

    # --- events -------------------------------------------------------------------------------------------------

    def _work(self, now: float) -> None:
        if self._inbox.take_loss():
            self._overflow(now)
        taken = 0
        while taken < CHUNK and not self._ended and (chunk := self._inbox.take()) is not None:
            taken += len(chunk)
            self._parse(chunk, now)
        self._remount()
        self._unpark()
        for _ in range(VISITS):
            if not self._walks or self._ended:
                break
            walk = self._walks[0]
            if walk.stack:
                self._visit(walk)
            else:
                self._walks.popleft()
                self._finish(walk)
        if self._ended:
            return
        if self._inbox or self._walks:
            self._readers.wake_in(0)
            return
        self._expire(now)
        if self._left or self._adrift:
            self._readers.wake_in(RENAME_S)
        elif self._in_doubt:
            # The storm is over: make sure of every watch once, and have the tree compared.
            self._in_doubt = False
            self._start_sweep()
            self._readers.wake_in(0)

    def _parse(self, chunk: bytes, now: float) -> None:  # noqa: C901 - per raw event; a call costs more than a branch
        root, paths, out = self._id, self._table.paths, self._out
        header, ignored_by = HEADER.unpack_from, self._rules.file
        at, end = 0, len(chunk)
        while at < end:
            watch, mask, cookie, length = header(chunk, at)
            at += 16
            if not length:
                self._about_itself(watch, mask, now)
                if self._ended:
                    return
                continue
            name = chunk[at : at + length].rstrip(b"\0")
            at += length
            directory = paths.get(watch)
            if directory is None:
                directory = self._table.locate(watch)
                if directory is None:
                    continue  # let go already, or adrift: what happens there is not in this tree
            if mask & IN_ISDIR:
                self._about_directory(watch, directory, name, mask, cookie, now)
                continue
            wanted = ignored_by(directory, name) is None
            if mask & IN_CLOSE_WRITE:
                if wanted:
                    if out:  # created and closed at once: the second sighting says it all
                        last = out[-1]
                        if last[2] == name and last[3] is What.CREATED and last[1] == directory:
                            out.pop()
                    out.append(Sighting(root, directory, name, What.CLOSED, now))
            elif mask & (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO):
                self._about_name(watch, directory, name, mask, cookie, now, wanted=wanted)
            elif wanted:
                what = What.DEPARTED if mask & IN_DELETE else What.ATTRIBUTES
                out.append(Sighting(root, directory, name, what, now))
            if name == IGNORE_FILE and not mask & IN_ATTRIB:
                self._rules_changed(watch, directory)

    def _about_itself(self, watch: int, mask: int, now: float) -> None:
        """An event without a name: it concerns the queue, or the watched directory itself."""
        if mask & IN_Q_OVERFLOW:
            self._overflow(now)
            return
        directory = self._table.get(watch)
        if directory is self._table.root:
            if mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED):
                how = "renamed" if mask & IN_MOVE_SELF else "unmounted" if mask & IN_UNMOUNT else "removed"
                self._ended = f"the root was {how}"
                self._out.append(Sighting(self._id, b"", b"", What.ROOT_LOST, now))
            return
        if mask & IN_UNMOUNT and directory is not None and directory.parent is not None:
            self._unmounted.append((directory.parent, directory.name))
        if mask & IN_IGNORED:
            self._adrift.extend((now, orphan) for orphan in self._table.ended(watch))

    def _about_name(
        self, watch: int, directory: bytes, name: bytes, mask: int, cookie: int, now: float, *, wanted: bool
    ) -> None:
        """A file came or went by its name."""
        above = self._table.get(watch)
        assert above is not None, "its path is known"
        if mask & IN_MOVED_FROM:
            self._leave(cookie, _Left(now, above, directory, name, wanted, None, is_directory=False))
            return
        if self._left_paths:
            self._depart_namesake(join(directory, name), now, cookie)
        left = self._take_left(cookie) if mask & IN_MOVED_TO else None
        if left is not None and left.wanted and not wanted:
            self._out.append(Sighting(self._id, left.directory, left.name, What.DEPARTED, now))
        elif wanted and left is not None and left.wanted:
            self._out.append(Sighting(self._id, directory, name, What.MOVED, now, left.directory, left.name))
        elif wanted:
            what = What.RENAMED_IN if mask & IN_MOVED_TO else What.CREATED
            self._out.append(Sighting(self._id, directory, name, what, now))

    def _about_directory(self, watch: int, directory: bytes, name: bytes, mask: int, cookie: int, now: float) -> None:
        """A directory came or went."""
        above = self._table.get(watch)
        assert above is not None, "its path is known"
        path = join(directory, name)
        if mask & IN_CREATE:
            self._depart_namesake(path, now, cookie)
            self._rules.forget(path)
            self._arrive(above, name)
        elif mask & IN_MOVED_TO:
            self._depart_namesake(path, now, cookie)
            self._directory_arrived(above, name, path, self._take_left(cookie), now)
        elif mask & (IN_MOVED_FROM | IN_DELETE):
            wanted = self._rules.directory(path) is None
            self._rules.forget(path)
            self._uncovered.pop((above, name), None)
            child = above.child(name)
            if child is not None:
                self._set_adrift(child, now)
            if mask & IN_MOVED_FROM:
                self._leave(cookie, _Left(now, above, directory, name, wanted, child, is_directory=True))
            elif wanted:
                self._out.append(Sighting(self._id, path, b"", What.DIRECTORY_DEPARTED, now))

    # --- renames ------------------------------------------------------------------------------------------------

    def _directory_arrived(self, above: Directory, name: bytes, path: bytes, left: _Left | None, now: float) -> None:
        self._rules.forget(path)
        wanted = self._rules.directory(path) is None
        if left is None:
            if wanted:
                self._arrive(above, name)
            return
        if left.wanted:
            # What left the directory before it was renamed left it under its old name.
            self._depart_below(left.path, now)
            if wanted:
                self._out.append(Sighting(self._id, path, b"", What.DIRECTORY_MOVED, now, left.path))
            else:
                self._out.append(Sighting(self._id, left.path, b"", What.DIRECTORY_DEPARTED, now))
        child = left.child
        if child is None or child not in self._table:
            if wanted:
                self._arrive(above, name)
            return
        if not wanted:
            self._table.drop(child)
            return
        self._place(child, above, name, now)
        try:
            matches = self._table.is_at(child, path)
        except OSError:
            self._in_doubt = True
            return  # gone again; an event in the queue says where to
        if not matches:
            self._in_doubt = True
            # The queue is behind the disk: another one is at this place already. Ask the kernel at both ends.
            self._set_adrift(child, now)
            self._arrive(above, name)
            self._arrive(left.above, left.name)
        elif self._rules.depends_on_paths:
            self._arrive(above, name, listing=False)

    def _leave(self, cookie: int, left: _Left) -> None:
        self._left[cookie] = left
        self._left_paths[left.path] = cookie

    def _take_left(self, cookie: int) -> _Left | None:
        left = self._left.pop(cookie, None)
        if left is not None and self._left_paths.get(left.path) == cookie:
            del self._left_paths[left.path]
        return left

    def _depart_namesake(self, path: bytes, now: float, cookie: int = 0) -> None:
        """Something is at a path whose former bearer was seen leaving: that one is gone, and first."""
        waiting = self._left_paths.get(path, cookie)
        if waiting != cookie:
            self._depart(waiting, now)

    def _depart_below(self, directory: bytes, now: float) -> None:
        prefix = directory + b"/"
        for cookie in [cookie for cookie, left in self._left.items() if left.path.startswith(prefix)]:
            self._depart(cookie, now)

    def _depart(self, cookie: int, now: float) -> None:
        left = self._take_left(cookie)
        if left is None or not left.wanted:
            return
        if left.is_directory:
            self._out.append(Sighting(self._id, left.path, b"", What.DIRECTORY_DEPARTED, now))
        else:
            self._out.append(Sighting(self._id, left.directory, left.name, What.DEPARTED, now))

    def _expire(self, now: float) -> None:
        """What left and did not arrive in time is gone; its watches would go on reporting from elsewhere."""
        before = now - RENAME_S
        for cookie, _ in list(takewhile(lambda entry: entry[1].at_s <= before, self._left.items())):
            self._depart(cookie, now)
        while self._adrift and self._adrift[0][0] <= before:
            directory = self._adrift.popleft()[1]
            if directory.parent is None and directory in self._table:
                self._table.drop(directory)

    def _place(self, directory: Directory, above: Directory, name: bytes, now: float) -> None:
        self._adrift.extend((now, displaced) for displaced in self._table.place(directory, above, name))
        directory.seen = self._sweep

    def _set_adrift(self, directory: Directory, now: float) -> None:
        self._table.detach(directory)
        self._adrift.append((now, directory))

    def _turned_up(self, directory: Directory, path: bytes, now: float) -> bool:
        """A directory with a watch was met at ``path``; ``False`` if it is at its known place as well."""
        if directory is self._table.root:
            return False
        former = self._table.path_of(directory)
        if former is not None and directory.parent is not None:
            try:
                if self._table.is_at(directory, former):
                    return False  # a bind mount inside the root
            except OSError:
                pass  # not there any more, which is what was asked
            if not any(walk.sweeping for walk in self._walks):  # a sweep is what a doubt asks for
                self._in_doubt = True
            self._arrive(directory.parent, directory.name)  # somebody else may be there by now
        else:
            # Its arrival makes no event when the directory above was not watched at that moment.
            waiting = [(cookie, left) for cookie, left in self._left.items() if left.child is directory]
            for cookie, left in waiting:
                self._take_left(cookie)
                former = left.path if left.wanted else None
        if former is not None:
            self._depart_below(former, now)
            self._out.append(Sighting(self._id, path, b"", What.DIRECTORY_MOVED, now, former))
        return True

    # --- walking ------------------------------------------------------------------------------------------------

    def _arrive(self, above: Directory, name: bytes, *, listing: bool = True) -> None:
        """Walk a tree that is new, or, without listing, one that has to be compared with what is known of it."""
        walk = _Walk(listing=listing, dirty=not listing)
        walk.stack.append((above, name))
        self._walks.append(walk)

    def _visit(self, walk: _Walk) -> None:
        """Watch and list one directory; those in it are put on the walk's stack."""
        above, name = walk.stack.pop()
        outer = self._table.path_of(above)
        if outer is None:
            self._parked.append((above, name))  # the directory above is under way; it may arrive in this tree
            return
        path = join(outer, name) if name else outer
        if self._rules.directory(path) is not None:
            known = above.child(name)
            if known is not None:
                self._table.drop(known)
            self._uncovered.pop((above, name), None)
            return
        now = self._clock()
        try:
            directory = self._watch(above, name, path, now) if name else above
            if walk.top is None:
                walk.top = directory
            self._list_at(walk, directory, path, now)
        except OSError as error:
            # What is gone meanwhile is no loss: if it went elsewhere, an event in the queue says so.
            if error.errno not in GONE:
                self._refuse(above, name, walk, error, now)
            return
        if self._uncovered:
            self._uncovered.pop((above, name), None)

    def _watch(self, above: Directory, name: bytes, path: bytes, now: float) -> Directory:
        directory, was_watched = self._table.enter(above, name, path)
        if directory is above and above.parent is not None:
            # Another one is at the place of the directory above, and that one in it: begin again from there.
            self._arrive(above.parent, above.name)
            self._set_adrift(above, now)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if was_watched and above.child(name) is not directory and not self._turned_up(directory, path, now):
            raise OSError(errno.EEXIST, "the same directory is watched under another path")
        self._place(directory, above, name, now)
        self._depart_namesake(path, now)
        return directory

    def _list_at(self, walk: _Walk, directory: Directory, path: bytes, now: float) -> None:
        """List what is at a path. It was no link when it was watched; should one come there now, an event says so."""
        try:
            with os.scandir(self._path + b"/" + path) as entries:
                self._list(walk, directory, path, entries, now)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            opened = open_directory(self._path, path)
            try:
                with os.scandir(b"/proc/self/fd/%d/." % opened) as entries:
                    self._list(walk, directory, path, entries, now)
            finally:
                os.close(opened)

    def _list(
        self, walk: _Walk, directory: Directory, path: bytes, entries: Iterator[os.DirEntry[bytes]], now: float
    ) -> None:
        names = []
        ignore_file = False
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                walk.stack.append((directory, entry.name))
            elif walk.listing:
                names.append(entry.name)
            elif entry.name == IGNORE_FILE:
                ignore_file = True
        if ignore_file or IGNORE_FILE in names:
            self._rules.refresh(path)
        ignored_by = self._rules.file
        wanted = [name for name in names if ignored_by(path, name) is None]
        walk.files += len(wanted)
        if walk.files > LISTED_AT_ONCE:
            walk.dirty = True
        else:
            self._out += [Sighting(self._id, path, name, What.LISTED, now) for name in wanted]

    def _refuse(self, above: Directory, name: bytes, walk: _Walk, error: OSError, now: float) -> None:
        """Remember what cannot be watched or listed; if it is new, it has to be looked at once at least."""
        reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            reason = f"watch limit reached, raise it: {self._budget.advice()}"
        self._uncovered[above, name] = reason
        outer = self._table.path_of(above)
        if outer is not None and (walk.listing or walk.dirty):
            path = join(outer, name) if name else outer
            self._out.append(Sighting(self._id, path, b"", What.DIRTY, now))

    def _finish(self, walk: _Walk) -> None:
        if walk.sweeping:
            self._sweep_up()
        path = None if walk.top is None else self._table.path_of(walk.top)
        if walk.dirty and path is not None:
            self._out.append(Sighting(self._id, path, b"", What.DIRTY, self._clock()))
        if walk.sweeping and self._sweep_again:
            self._sweep_again = False
            self._start_sweep()

    # --- losses and changes of the ground -----------------------------------------------------------------------

    def _overflow(self, now: float) -> None:
        """Events were lost. Watch what came to be meanwhile, and only then call the root dirty."""
        self._overflows += 1
        for cookie in list(self._left):
            self._depart(cookie, now)
        self._table.lost_events()
        self._rules.refresh(b"")
        if any(walk.sweeping for walk in self._walks):
            self._sweep_again = True
        else:
            self._start_sweep()

    def _start_sweep(self) -> None:
        self._sweep += 1
        walk = _Walk(dirty=True, sweeping=True)
        walk.stack.append((self._table.root, b""))
        self._walks.append(walk)

    def _sweep_up(self) -> None:
        """Let go of directories that the walk did not meet, unless the kernel says that they are where we think."""
        for directory in self._table:
            if directory.seen == self._sweep or directory is self._table.root or directory not in self._table:
                continue
            path = self._table.path_of(directory)
            if path is not None and directory.parent is not None:
                try:
                    if self._table.is_at(directory, path):
                        continue
                    self._arrive(directory.parent, directory.name)  # another one came here after the walk
                except OSError as error:
                    if error.errno not in GONE:
                        continue  # it is there and cannot be watched anew; the old watch still holds
            self._table.drop(directory)

    def _unpark(self) -> None:
        """Walk what had to wait for the directory above it to arrive, and forget what left with it."""
        parked, self._parked = self._parked, []
        for above, name in parked:
            if self._table.path_of(above) is not None:
                self._arrive(above, name)
            elif above in self._table:
                self._parked.append((above, name))

    def _remount(self) -> None:
        """Where a file system was unmounted inside the tree, the directory under it shows again."""
        for above, name in self._unmounted:
            if self._table.path_of(above) is not None:
                self._arrive(above, name, listing=False)
        self._unmounted.clear()

    def _rules_changed(self, watch: int, path: bytes) -> None:
        self._rules.refresh(path)
        directory = self._table.get(watch)
        if directory is not None:
            self._arrive(directory.parent or directory, directory.name, listing=False)
