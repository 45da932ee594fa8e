"""Facts and settings for the jobs of Melodee: a library of each kind, and facts of files that came into them."""

from __future__ import annotations

import hashlib
from typing import Any

from mediasluice.catalogue.events import event_id
from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.asynq.mapping import JobLibrary, Options
from mediasluice.model.events import Event, EventType

AT_US = 1_750_000_000_123_456
EPOCH = "log"
LIBRARIES = {
    "incoming": JobLibrary("inbound", b"/melodee/inbound", 1),
    "staging": JobLibrary("staging", b"/melodee/staging", 2),
    "music": JobLibrary("production", b"/melodee/music", 3),
}


def options(url: str = "redis://127.0.0.1:6379/0", **changed: Any) -> Options:
    return Options(url, LIBRARIES)._replace(**changed)


def fact(
    seq: int,
    path: bytes = b"a.flac",
    kind: EventType = EventType.FILE_CREATED,
    *,
    library: str = "incoming",
    old_path: bytes | None = None,
    data: dict[str, object] | None = None,
) -> Fact:
    """A fact of a file below the root of its library."""
    root = LIBRARIES[library].root if library in LIBRARIES else b"/elsewhere"
    at_us = AT_US + seq
    old = None if old_path is None else root + b"/" + old_path
    digest = hashlib.blake2b(path, digest_size=32).digest()
    event = Event(
        seq, event_id(at_us, seq, EPOCH), kind, at_us, library, root + b"/" + path, old, 10, digest, digest[:16],
        "event", data or {},
    )  # fmt: skip
    return Fact(event, root, seq, 1, seq, None, None, None, None)


def many(count: int, first: int = 1, **given: Any) -> list[Fact]:
    """Facts of an album after the other, ten files each."""
    return [fact(seq, b"album %d/%d.flac" % (seq // 10, seq), **given) for seq in range(first, first + count)]
