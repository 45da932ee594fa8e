"""Drive a relay turn by turn: a catalogue, a clock that stands still, and a far side that does as it is told.

``Far`` is a sink that keeps what it confirmed, in order. What it says of a fact is decided by ``answer``; ``raises``
is thrown instead, before anything is decided or after a part was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mediasluice.catalogue import outbox
from mediasluice.catalogue.outbox import Fact, Position
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.delivery.relay import Options, Relay, Status
from mediasluice.delivery.sink import DELIVERED, Outcome, Traits
from mediasluice.model.files import ChangeKey
from mediasluice.model.flow import IdentifiedFile, RootId
from mediasluice.model.paths import join, split
from tests.catalogues import add_root, identified

IN_ORDER = Traits(is_strict=True, batch=3)
BY_FILE = Traits(is_strict=False, batch=3)


class Far:
    """The far side."""

    def __init__(self) -> None:
        self.got: list[Fact] = []
        self.batches: list[list[int]] = []
        self.opened = self.closed = 0
        self.answer: Callable[[Fact], Outcome] = lambda _: DELIVERED
        self.raises: Exception | None = None
        self.refuses: Exception | None = None  # when it is opened
        self.takes = 10**9  # facts of a batch that it takes before it raises

    def open(self) -> None:
        self.opened += 1
        if self.refuses is not None:
            raise self.refuses

    def deliver(self, facts: Sequence[Fact]) -> Sequence[Outcome]:
        self.batches.append([fact.event.seq for fact in facts])
        outcomes = []
        for number, fact in enumerate(facts):
            if self.raises is not None and number >= min(self.takes, len(facts) - 1):
                raise self.raises
            outcome = self.answer(fact)
            if outcome is DELIVERED or outcome.result is DELIVERED.result:
                self.got.append(fact)
            outcomes.append(outcome)
        return outcomes

    def close(self) -> None:
        self.closed += 1

    @property
    def seqs(self) -> list[int]:
        return [fact.event.seq for fact in self.got]

    @property
    def paths(self) -> list[str]:
        return [fact.event.path.decode().removeprefix("/photos/") for fact in self.got]


class Diary:
    """What was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **values: object) -> None:
        self.lines.append((event, values))

    warning = error = info

    def count(self, event: str) -> int:
        return sum(line[0] == event for line in self.lines)


class Bench:
    """A catalogue, and relays on it that are run by hand."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "catalogue.sqlite"
        self.catalogue = Catalogue.open(self.file)
        self.root = add_root(self.catalogue)
        self.view = View.open(self.file)
        self.now_s = 1_000.0
        self.far, self.diary = Far(), Diary()
        self.failures: list[BaseException] = []
        self._keys: dict[str, ChangeKey] = {}

    def close(self) -> None:
        self.view.close()
        self.catalogue.close()

    # -- facts ------------------------------------------------------------------------------------

    def create(self, *paths: str, root: RootId | None = None) -> None:
        files = [identified(root or self.root, path.encode(), f"{path} of {self.now_s}".encode()) for path in paths]
        self._record(files)

    def change(self, path: str, content: str) -> None:
        self._record([identified(self.root, path.encode(), content.encode())])

    def _record(self, files: list[IdentifiedFile]) -> None:
        self.catalogue.record(files, int(self.now_s * 1e6))
        for file in files:
            self._keys[join(file.directory, file.name).decode()] = file.key

    def move(self, old: str, new: str) -> None:
        key = self._keys[new] = self._keys.pop(old)
        places = (*split(old.encode()), *split(new.encode()))
        assert self.catalogue.move(self.root, *places, key, 1, int(self.now_s * 1e6))

    def delete(self, path: str) -> None:
        at_us = int(self.now_s * 1e6)
        self.catalogue.depart(self.root, [split(path.encode())], at_us)
        self.catalogue.delete([one.file for one in self.catalogue.departed([self.root], 100)], at_us)

    def seq_of(self, path: str) -> int:
        wanted = b"/photos/" + path.encode()
        return max(event.seq for event in self.view.events() if event.path == wanted)

    # -- relays -----------------------------------------------------------------------------------

    def register(self, name: str = "far", *, from_start: bool = True) -> str | None:
        with self.catalogue.transaction():
            return self.catalogue.change(outbox.register, name, "test", int(self.now_s * 1e6), from_start=from_start)[1]

    def relay(self, traits: Traits = BY_FILE, name: str = "far", **options: object) -> Relay:
        """A relay as a process has it after its start."""
        relay = Relay(
            name,
            "test",
            lambda: self.far,
            traits,
            Options(**options),  # type: ignore[arg-type]
            open_view=lambda: View.open(self.file),
            write=lambda change: change(self.catalogue),
            log=self.diary,
            failed=self.failures.append,
            clock=lambda: self.now_s,
            now_us=lambda: int(self.now_s * 1e6),
            dice=lambda: 1.0,
        )
        relay.begin(self.view)
        return relay

    def run(self, relay: Relay, seconds: float = 0.0) -> None:
        """Turn until nothing can be done now, then go on in time by what it waits for, as far as ``seconds``."""
        until_s = self.now_s + seconds
        for _ in range(10_000):
            next_s = relay.turn(self.view)
            if next_s <= self.now_s:
                continue
            if next_s > until_s:
                self.now_s = until_s
                return
            self.now_s = next_s
        raise AssertionError("it never rests")

    def position(self, name: str = "far") -> Position:
        return self.view.ask(outbox.positions)[name]

    def status(self, relay: Relay) -> Status:
        return relay.status(self.view)
