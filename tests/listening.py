"""The far side of the RabbitMQ sink without a broker: one that keeps what it was told, and a wire that may lose.

``Listener`` takes keys, ids and bodies in their order and drops what it had already; it fails where a message makes no
sense after those before it. ``Wire`` stands in for a connection: it hands messages on and says what became of them.
``Outbox`` is what a relay does with a sink, without its waits. Nothing here knows how the sink decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mediasluice.catalogue import outbox
from mediasluice.catalogue.outbox import Progress
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.delivery.rabbitmq.options import Options
from mediasluice.delivery.rabbitmq.publisher import Fate, Message
from mediasluice.delivery.rabbitmq.sink import RabbitSink
from mediasluice.delivery.sink import Outcome, Result
from mediasluice.model.files import Digests
from mediasluice.model.flow import IdentifiedFile, RootId
from tests.catalogues import identified

NAME = "tracktion"


def whole(root: RootId, path: bytes, content: bytes, ino: int) -> IdentifiedFile:
    """A file that was read with all digests."""
    file = identified(root, path, content, ino=ino)
    assert file.digests is not None
    return file._replace(digests=Digests(file.digests.blake3, file.digests.xxh128, sha256=content.rjust(32)))


class Listener:
    """Keeps paths with their digests: ``files`` of which no two have one digest, and ``copies`` of those."""

    def __init__(self, *, copies_are_files: bool = False) -> None:
        self.files: dict[str, str] = {}
        self.copies: dict[str, str] = {}
        self.had: set[str] = set()
        self.bodies: list[dict[str, Any]] = []
        self._copies_are_files = copies_are_files

    def hear(self, key: str, identity: str, body: dict[str, Any]) -> None:
        if identity in self.had:
            return
        self.had.add(identity)
        self.bodies.append(body)
        assert key == f"file.{body['event_type']}"
        path, digest = body["file_path"], body.get("sha256_hash")
        if body["event_type"] == "deleted":
            assert path in self.files or path in self.copies, body
            self.files.pop(path, None)
            self.copies.pop(path, None)
            return
        assert digest is not None, body
        if body["event_type"] in {"moved", "renamed"}:
            assert body["old_path"] in self.files, body
            assert path not in self.files, body
            assert path not in self.copies, body
            self.files[path] = self.files.pop(body["old_path"])
        elif body["event_type"] == "duplicate":
            assert path not in self.files, body
            self.copies[path] = digest
        else:
            assert (path in self.files) is (body["event_type"] == "modified"), body
            self.copies.pop(path, None)
            self.files[path] = digest
            if not self._copies_are_files:
                assert len(set(self.files.values())) == len(self.files), body


class Wire:
    """Stands in for a connection.

    ``fates`` says how many messages are confirmed, and how many more arrive without anybody knowing.
    """

    def __init__(self, listener: Listener, fates: Callable[[int], tuple[int, int]] | None = None) -> None:
        self.why: str | None = None
        self.sent: list[Message] = []
        self._listener = listener
        self._fates = fates

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def publish(self, drafts: Sequence[Callable[[], Message]]) -> list[Fate]:
        known, more = (len(drafts), 0) if self._fates is None else self._fates(len(drafts))
        for draft in drafts[: known + more]:
            one = draft()
            self.sent.append(one)
            self._listener.hear(one.key, one.id, json.loads(one.body))
        return [Fate.CONFIRMED] * known + [Fate.UNKNOWN] * (len(drafts) - known)


class Outbox:
    """A sink on a catalogue, and how far it is."""

    def __init__(self, catalogue: Catalogue, file: Path, options: Options, wire: Wire | None = None) -> None:
        self._catalogue, self._file = catalogue, file
        self.asked: list[bytes] = []
        self.now = 0.0
        self.outcomes: list[Outcome] = []
        catalogue.change(outbox.register, NAME, "rabbitmq", 1, from_start=True)
        self.sink = RabbitSink(
            NAME, options, lambda: View.open(file), lambda: self.now,
            lambda fact: self.asked.append(fact.event.path), wire,
        )  # fmt: skip

    def step(self, size: int = 100, *, is_recorded: bool = True) -> int:
        """Deliver one batch; gives how many facts are left of the log."""
        with View.open(self._file) as view:
            cursor = view.ask(outbox.positions)[NAME].cursor
            facts = view.ask(outbox.facts, cursor, size)
            left = view.ask(outbox.count_after, cursor, 10**6)[0]
        if not facts:
            return 0
        self.outcomes = list(self.sink.deliver(facts))
        assert len(self.outcomes) == len(facts)
        done = [one for one in self.outcomes if one.result is Result.DELIVERED]
        assert done == self.outcomes[: len(done)]
        if not done or not is_recorded:
            return left
        self._record(facts[len(done) - 1].event.seq, done)
        return left - len(done)

    def _record(self, cursor: int, done: Sequence[Outcome]) -> None:
        announced = [one for outcome in done for one in outcome.announced]
        self._catalogue.change(outbox.record, NAME, Progress(cursor, (), len(done), announced))
