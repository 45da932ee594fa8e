"""What is read of the log and not delivered yet, and which of it may go now.

Pure: no clock, no disk. Facts that share a file or a path go one after the other, in the order of the log; a strict
sink gets all of them so. What cannot go for good parks what follows for the same file or path.

Takes facts in the order of the log, the time [s, monotonic] as an argument; gives batches. Fails with: nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mediasluice.catalogue.outbox import Fact


@dataclass(eq=False, slots=True)
class Entry:
    """A fact on its way."""

    fact: Fact
    keys: tuple[str, ...]
    seen_s: float  # when it was read
    tries: int = 0  # that failed
    in_vain: int = 0  # deliveries of it alone that nothing was heard of
    successes: int = 0  # of the sink, when it was last in vain
    due_s: float = 0.0  # not before
    is_letter: bool = False  # it was given up before and is tried again
    is_busy: bool = False
    reason: str | None = None  # why it is still here

    @property
    def seq(self) -> int:
        return self.fact.event.seq


class Queue:
    """Entries in the order of the log."""

    def __init__(self, *, is_strict: bool) -> None:
        self._is_strict = is_strict
        self._entries: dict[int, Entry] = {}  # by number; letters that are tried again are put in front
        self._parked: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))  # another thread may ask while they change

    def add(self, entries: Iterable[Entry]) -> None:
        """Put entries behind those that are there."""
        for entry in entries:
            self._entries[entry.seq] = entry

    def add_letters(self, entries: Iterable[Entry]) -> None:
        """Put entries where they belong in the order of the log."""
        fresh = {entry.seq: entry for entry in entries}
        merged = {**fresh, **self._entries}
        self._entries = dict(sorted(merged.items()))

    def remove(self, entry: Entry) -> None:
        del self._entries[entry.seq]

    def first(self) -> int | None:
        """The number of the first entry of the log itself that is still here."""
        return next((seq for seq, entry in self._entries.items() if not entry.is_letter), None)

    # -- what must not go -------------------------------------------------------------------------

    def park(self, keys: Iterable[str]) -> None:
        """Nothing with these keys goes until :meth:`unpark`."""
        self._parked.update(keys)

    def unpark_all(self) -> None:
        self._parked.clear()

    def is_parked(self, keys: Iterable[str]) -> bool:
        return bool(self._parked) and any(key in self._parked for key in keys)

    def behind(self, first: Entry) -> list[Entry]:
        """The entries after one that have to be parked with it, and with one another, in order."""
        blocked = set(first.keys)
        found = []
        for entry in self._entries.values():
            if entry.seq > first.seq and not entry.is_busy and not blocked.isdisjoint(entry.keys):
                blocked.update(entry.keys)
                found.append(entry)
        return found

    # -- what may go ------------------------------------------------------------------------------

    def choose(self, most: int, now_s: float) -> tuple[list[Entry], float]:
        """The next batch, and when there is more to choose [s]; infinite: when something else happens."""
        chosen: list[Entry] = []
        blocked: set[str] = set()
        next_s = math.inf
        for entry in self._entries.values():
            if len(chosen) == most:
                break
            is_due = entry.due_s <= now_s
            if not is_due and not entry.is_busy:
                next_s = min(next_s, entry.due_s)
            if entry.is_busy or not is_due or not blocked.isdisjoint(entry.keys):
                if self._is_strict:
                    break
                blocked.update(entry.keys)
                continue
            chosen.append(entry)
            if not self._is_strict:  # the next one of this file or path goes when this one is there
                blocked.update(entry.keys)
        return chosen, next_s
