"""Empty the kernel's event queues at once, on one thread for all roots, so that they overflow only when nothing runs.

Takes inotify descriptors; gives an :class:`Inbox` of raw events per descriptor and a call of ``wake``.
Fails with: nothing; an inbox that nobody empties drops its events and says so.
Source: inotify(7).
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable

from mediasluice.errors import Unavailable

CHUNK = 1 << 18  # bytes per read: 8,192 events without a name, half of the kernel's default queue
BUFFERED = 32 << 20  # chosen: bytes of raw events per root before they are dropped; a million events
HOT_S = 0.005  # chosen: reads closer together than this belong to a burst ...
PAUSE_MS = 2  # ... and are taken two milliseconds' worth at a time: a wake-up costs more than ten events


class Inbox:
    """Raw events of one instance, on their way from the reader thread to whoever parses them."""

    def __init__(self, limit: int = BUFFERED) -> None:
        self._lock = threading.Lock()
        self._limit = limit
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._lost = False

    def __bool__(self) -> bool:
        return bool(self._chunks) or self._lost

    def put(self, chunk: bytes) -> None:
        """Add a chunk of whole events; when there are too many, all are dropped instead."""
        with self._lock:
            self._chunks.append(chunk)
            self._size += len(chunk)
            if self._size > self._limit:
                self._chunks.clear()
                self._size = 0
                self._lost = True

    def take(self) -> bytes | None:
        """The oldest chunk."""
        with self._lock:
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            self._size -= len(chunk)
            return chunk

    def take_loss(self) -> bool:
        """Whether events were dropped since the last call."""
        with self._lock:
            lost, self._lost = self._lost, False
            return lost


class Readers:
    """The reader thread. ``wake`` is called on it when there is something to parse or when a source asked for a call.

    ``clock`` is monotonic seconds; ``limit`` bytes of raw events per root.
    """

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float], *, limit: int = BUFFERED) -> None:
        self._wake = wake
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._inboxes: dict[int, Inbox] = {}
        self._alarm: float | None = None
        self._closing = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._queues = select.epoll()
        self._queues.register(self._bell, select.EPOLLIN)
        self._only_bell = select.poll()
        self._only_bell.register(self._bell, select.POLLIN)
        self._thread = threading.Thread(target=self._run, name="sluice-inotify", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; without it nothing is noticed any more."""
        return self._thread.is_alive()

    def add(self, descriptor: int) -> Inbox:
        """Begin to read an inotify descriptor; the readers own it from now on. Raises ``Unavailable`` after the end."""
        inbox = Inbox(self._limit)
        with self._lock:
            if self._closing:
                raise Unavailable("the reader thread has ended")
            self._inboxes[descriptor] = inbox
            self._queues.register(descriptor, select.EPOLLIN)
        return inbox

    def remove(self, descriptor: int) -> None:
        """Stop reading a descriptor and close it."""
        with self._lock:
            if self._inboxes.pop(descriptor, None) is not None:
                self._queues.unregister(descriptor)
                os.close(descriptor)

    def wake_in(self, seconds: float) -> None:
        """Call ``wake`` after so many seconds, or earlier if another source asks for that."""
        when = self._clock() + seconds
        with self._lock:
            if self._closing or (self._alarm is not None and self._alarm <= when):
                return
            self._alarm = when
            os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """End the thread and close every descriptor that is left."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            os.eventfd_write(self._bell, 1)
        self._thread.join()
        for descriptor in list(self._inboxes):
            self.remove(descriptor)
        self._queues.close()
        os.close(self._bell)

    def _run(self) -> None:
        previous = 0.0
        while True:
            with self._lock:
                if self._closing:
                    return
                patience = None if self._alarm is None else max(0.0, self._alarm - self._clock())
            heard = self._empty([descriptor for descriptor, _ in self._queues.poll(patience)])
            now = self._clock()
            with self._lock:
                due = self._alarm is not None and self._alarm <= now
                if due:
                    self._alarm = None
            if heard or due:
                self._wake()
            if heard:
                if now - previous < HOT_S:
                    self._only_bell.poll(PAUSE_MS)
                previous = now

    def _empty(self, descriptors: list[int]) -> bool:
        heard = False
        # Under the lock: a descriptor that is being removed must not be read after its number was given away.
        with self._lock:
            for descriptor in descriptors:
                inbox = self._inboxes.get(descriptor)
                try:
                    if inbox is not None:
                        inbox.put(os.read(descriptor, CHUNK))
                        heard = True
                    elif descriptor == self._bell:
                        os.eventfd_read(self._bell)
                except BlockingIOError:
                    continue  # nothing left: an earlier turn took it
        return heard
