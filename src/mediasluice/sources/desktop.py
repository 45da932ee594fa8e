"""Watch a tree through watchdog, where there is no inotify: FSEvents on macOS, ReadDirectoryChangesW on Windows.

Takes watchdog's events, which arrive on its own threads; gives sightings.
Fails with: ``MissingExtra``, ``RootUnusable``.
Weaker than the kernel's own interface, and the coverage says so: a lost event cannot be noticed, a close only on Linux,
and what comes from outside the tree looks like a new file. So regular passes over the tree stay necessary.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from mediasluice.errors import FileError, MissingExtra, RootUnusable
from mediasluice.model.flow import RootId, Sighting, What
from mediasluice.model.paths import split, text
from mediasluice.sources.listing import list_directory
from mediasluice.sources.names import IGNORE_FILE, NameRules
from mediasluice.sources.source import Coverage

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

BUFFERED = 100_000  # events, chosen: about 32 MB, the bound of raw inotify events
PER_READ = 4_096  # chosen: events per call of read(), about what inotify gives per call


class WatchdogSource:
    """The source of one root on macOS or Windows; ``wake`` is called on watchdog's thread, ``clock`` in seconds."""

    def __init__(
        self,
        root_id: RootId,
        path: bytes,
        rules: NameRules,
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._id = root_id
        self._path = os.path.realpath(path)
        self._rules = rules
        self._wake = wake
        self._clock = clock
        self._lock = threading.Lock()
        self._events: deque[FileSystemEvent] = deque()
        self._lost = False
        self._overflows = 0
        self._observer: BaseObserver | None = None
        self._ended: str | None = None

    def start(self) -> None:
        """Watch the whole tree; watchdog recurses by itself."""
        try:
            from watchdog import events  # noqa: PLC0415 - an extra
            from watchdog.observers import Observer  # noqa: PLC0415 - an extra
        except ImportError as error:
            hint = "pip install 'mediasluice[desktop]'"
            raise MissingExtra("watching needs watchdog on this system", hint=hint) from error
        with self._lock:
            if self._observer is not None or self._ended is not None:
                return
            observer = Observer()
            wanted: list[type[FileSystemEvent]] = [
                events.FileCreatedEvent,
                events.FileModifiedEvent,
                events.FileClosedEvent,
                events.FileMovedEvent,
                events.FileDeletedEvent,
                events.DirCreatedEvent,
                events.DirMovedEvent,
                events.DirDeletedEvent,
            ]
            try:
                handler = events.FileSystemEventHandler()
                handler.dispatch = self._take  # type: ignore[method-assign]  # its other methods are never called
                observer.schedule(handler, text(self._path), recursive=True, event_filter=wanted)
                observer.start()
            except OSError as error:
                raise RootUnusable(error.strerror or str(error), path=text(self._path)) from error
            self._observer = observer

    def read(self) -> list[Sighting]:
        """Turn what watchdog reported into sightings."""
        out: list[Sighting] = []
        now = self._clock()
        with self._lock:
            lost, self._lost = self._lost, False
            events = [self._events.popleft() for _ in range(min(PER_READ, len(self._events)))]
            more = bool(self._events)
        if lost:
            self._rules.refresh(b"")
            out.append(Sighting(self._id, b"", b"", What.DIRTY, now))
        for event in events:
            if self._ended is not None:
                return out
            self._translate(event, now, out)
        if more:
            self._wake()
        return out

    @property
    def is_halfway(self) -> bool:
        """Never: the library below joins both halves of a rename, or tells of a deletion and an arrival."""
        return False

    def revisit(self, directory: bytes) -> None:  # noqa: ARG002 - no part of the tree is compared alone here
        """Call the root dirty; the library below finds its watches itself."""
        with self._lock:
            self._lost = True
        self._wake()

    def coverage(self) -> Coverage:
        """Never complete: the whole root is to be passed over regularly as well."""
        reason = self._ended or "events of this system can be lost without notice: the tree is compared regularly"
        observer = self._observer
        if observer is not None and not observer.is_alive():
            reason = "watchdog's thread has ended"
        return Coverage(int(observer is not None), self._overflows, (b"",), reason)

    def close(self) -> None:
        """Stop watchdog's threads."""
        with self._lock:
            observer, self._observer = self._observer, None
            self._ended = self._ended or "closed"
            self._events.clear()
            self._lost = False
        if observer is not None:
            observer.stop()
            observer.join()

    def _take(self, event: FileSystemEvent) -> None:
        """On watchdog's thread."""
        with self._lock:
            if self._ended is not None:
                return
            if len(self._events) >= BUFFERED:
                self._events.clear()
                self._lost = True
                self._overflows += 1
            self._events.append(event)
        self._wake()

    def _translate(self, event: FileSystemEvent, now: float, out: list[Sighting]) -> None:
        if event.is_synthetic and event.event_type == "moved":
            return  # one per file below a directory that was renamed; the directory's own event covers them
        path = self._relative(event.src_path)
        target = self._relative(event.dest_path) if event.event_type == "moved" else None
        if event.is_directory:
            self._about_directory(event.event_type, path, target, now, out)
            return
        if IGNORE_FILE in (split(path or b"")[1], split(target or b"")[1]):
            self._rules.refresh(b"")
            out.append(Sighting(self._id, b"", b"", What.DIRTY, now))
        came, left = (target, path) if event.event_type == "moved" else (path, None)
        came, left = self._wanted(came), self._wanted(left)
        if event.event_type == "deleted":
            came, left = None, came
        if came is not None:
            directory, name = split(came)
            if event.event_type == "moved":
                old_directory, old_name = (None, None) if left is None else split(left)
                what = What.RENAMED_IN if left is None else What.MOVED
                out.append(Sighting(self._id, directory, name, what, now, old_directory, old_name))
            else:
                what = What.CLOSED if event.event_type == "closed" else What.CREATED
                out.append(Sighting(self._id, directory, name, what, now))
        elif left is not None:
            directory, name = split(left)
            out.append(Sighting(self._id, directory, name, What.DEPARTED, now))

    def _about_directory(
        self, event_type: str, path: bytes | None, target: bytes | None, now: float, out: list[Sighting]
    ) -> None:
        if path == b"" and event_type in ("deleted", "moved"):
            self._ended = "the root was removed" if event_type == "deleted" else "the root was renamed"
            out.append(Sighting(self._id, b"", b"", What.ROOT_LOST, now))
            return
        came = target if event_type == "moved" else path if event_type == "created" else None
        left = path if event_type in ("moved", "deleted") else None
        for directory in (came, left):
            if directory:
                self._rules.forget(directory)
        came = came if came and self._rules.directory(came) is None else None
        left = left if left and self._rules.directory(left) is None else None
        if came is not None and left is not None:
            out.append(Sighting(self._id, came, b"", What.DIRECTORY_MOVED, now, left))
            if self._rules.depends_on_paths:
                out.append(Sighting(self._id, came, b"", What.DIRTY, now))
        elif came is not None:
            self._list(came, now, out)
        elif left is not None:
            out.append(Sighting(self._id, left, b"", What.DIRECTORY_DEPARTED, now))

    def _list(self, directory: bytes, now: float, out: list[Sighting]) -> None:
        """Report the files of a new tree; what cannot be listed is gone again, or the pipeline says why it cannot."""
        stack = [directory]
        while stack:
            try:
                listing = list_directory(self._path, stack.pop(), self._rules, None)
            except FileError:
                out.append(Sighting(self._id, directory, b"", What.DIRTY, now))
                continue
            stack += listing.subdirectories
            out += [Sighting(self._id, listing.directory, entry[0], What.LISTED, now) for entry in listing.entries]

    def _wanted(self, path: bytes | None) -> bytes | None:
        if not path:
            return None
        directory, name = split(path)
        return path if self._rules.file(directory, name) is None else None

    def _relative(self, path: bytes | str) -> bytes | None:
        raw = os.fsencode(path)
        if os.sep != "/":
            raw = raw.replace(os.fsencode(os.sep), b"/")
        above = self._path.replace(os.fsencode(os.sep), b"/").rstrip(b"/")
        if raw == above:
            return b""
        return raw[len(above) + 1 :] if raw.startswith(above + b"/") else None
