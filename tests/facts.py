"""Facts as the catalogue hands them to sinks, without a catalogue."""

from __future__ import annotations

from typing import Any

from mediasluice.catalogue.events import event_id
from mediasluice.catalogue.outbox import Fact
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import Kind

AT_US = 1_795_168_272_000_000


def fact(
    seq: int = 1,
    kind: EventType = EventType.FILE_CREATED,
    path: bytes = b"/in/a.jpg",
    *,
    old_path: bytes | None = None,
    library: str = "incoming",
    origin: str | None = "event",
    **data: Any,
) -> Fact:
    """A fact about a file; of a root if the type says so."""
    identity = event_id(AT_US + seq, seq, "tests")
    if kind in (EventType.ROOT_OFFLINE, EventType.ROOT_ONLINE, EventType.ROOT_HELD):
        event = Event(seq, identity, kind, AT_US + seq, library, path, None, None, None, None, None, data)
        return Fact(event, path, None, None, None, None, None, None, None)
    event = Event(
        seq, identity, kind, AT_US + seq, library, path, old_path, 10, b"b" * 32, b"x" * 16, origin, data
    )  # fmt: skip
    return Fact(event, b"/in", seq, 1, seq, Kind.IMAGE, None, None, None)
