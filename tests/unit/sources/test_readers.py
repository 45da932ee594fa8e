from __future__ import annotations

import os
import threading

from mediasluice.sources.readers import Inbox, Readers


def test_an_inbox_keeps_the_order() -> None:
    """What came first is taken first."""
    inbox = Inbox(100)
    assert not inbox
    inbox.put(b"one")
    inbox.put(b"two")
    assert inbox
    assert [inbox.take(), inbox.take(), inbox.take()] == [b"one", b"two", None]


def test_an_inbox_that_nobody_empties_says_that_it_lost_events() -> None:
    """Past its bound everything is dropped, which is said once; what comes later is kept."""
    inbox = Inbox(10)
    for _ in range(3):
        inbox.put(b"12345")
    assert inbox
    assert inbox.take() is None
    assert inbox.take_loss()
    assert not inbox.take_loss()
    inbox.put(b"12345")
    assert inbox.take() == b"12345"


def test_readers_wake_when_asked_and_end_cleanly() -> None:
    """A call is made when a source asks for one; after the end there is no thread and no descriptor left."""
    before = len(os.listdir("/proc/self/fd"))
    called = threading.Event()
    clock = iter(range(1_000_000))
    readers = Readers(called.set, lambda: float(next(clock)))
    readers.wake_in(0)
    assert called.wait(5)
    readers.wake_in(100_000)
    assert readers.alive
    readers.close()
    readers.close()
    readers.wake_in(0)
    assert not readers.alive
    assert len(os.listdir("/proc/self/fd")) == before


def test_readers_own_what_they_read() -> None:
    """A descriptor is read into its inbox, and closed when it is removed or when the readers end."""
    called = threading.Event()
    clock = iter(range(1_000_000))
    readers = Readers(called.set, lambda: float(next(clock)))
    first, first_end = os.pipe2(os.O_NONBLOCK)
    second, second_end = os.pipe2(os.O_NONBLOCK)
    inbox = readers.add(first)
    readers.add(second)
    os.write(first_end, b"event")
    assert called.wait(5)
    assert inbox.take() == b"event"
    readers.remove(first)
    readers.remove(first)
    readers.close()
    for descriptor in (first, second):
        assert not os.path.exists(f"/proc/self/fd/{descriptor}")
    os.close(first_end)
    os.close(second_end)
