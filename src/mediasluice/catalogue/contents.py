"""Give each content one row, found by its BLAKE3 digest.

Takes files with their digests; gives the ids of their contents. Digests come in no order, so an index that is kept up
with every file touches a page of its own for each: it was the most expensive part of a first scan. Here new contents
are remembered in memory, and ``digest``, the index, takes them in sorted runs of RECENT. What memory holds can always
be read again from ``content``: it is what lies behind the ``indexed`` mark in ``meta``.
Fails with: sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from mediasluice.catalogue.batch import Rows
from mediasluice.model.flow import IdentifiedFile

RECENT = 32_768
"""Contents in memory before the index takes them, chosen: about 8 MB, and several rows for each page it touches."""

STEPS = 16  # parts of a run, by the first four bits of the digest: each takes a few milliseconds

_CONTENTS = Rows("INSERT INTO content (id, blake3, xxh128, size) VALUES {}", "(?, ?, ?, ?)")
_INDEXED = Rows("SELECT blake3, content FROM digest WHERE blake3 IN ({})", "?")
_FOLD = (
    "INSERT OR IGNORE INTO digest (blake3, content) SELECT blake3, id FROM content"
    " WHERE id > ? AND id <= ? AND blake3 >= ? AND (? IS NULL OR blake3 < ?) ORDER BY blake3"
)
_MARK = "INSERT INTO meta (key, value) VALUES ('indexed', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class Contents:
    """The contents of one catalogue; for the one writer, always inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._recent: dict[bytes, int] = {}
        self._indexed = 0  # contents up to this one are in the index
        self._run = 0  # the last content of the run that is being taken in
        self._step = 0  # parts of it that are in
        self.next = 1

    def load(self) -> None:
        """Read what is remembered from the catalogue: at the beginning, and after a rollback."""
        run = self._connection.execute
        self._indexed = int((run("SELECT value FROM meta WHERE key = 'indexed'").fetchone() or (0,))[0])
        self._recent = dict(run("SELECT blake3, id FROM content WHERE id > ?", (self._indexed,)))
        self._run = self._step = 0
        self.next = 1 + run("SELECT coalesce(max(id), 0) FROM content").fetchone()[0]

    def ids(self, files: Iterable[IdentifiedFile]) -> dict[bytes, int]:
        """The id of each content by its digest; those that are new get ids that were never used."""
        recent = self._recent
        ids: dict[bytes, int] = {}
        unknown: dict[bytes, IdentifiedFile] = {}
        known: list[IdentifiedFile] = []  # with further digests, which the first who brought this content had not
        for file in files:
            digests = file[9]
            if digests is None:
                continue
            blake3 = digests[0]
            number = recent.get(blake3)
            if number is not None:
                ids[blake3] = number
            elif blake3 not in unknown:
                unknown[blake3] = file
                continue
            if any(digests[2:]):
                known.append(file)
        if unknown and self._indexed:
            for blake3, number in _INDEXED.ask(self._connection, [(blake3,) for blake3 in sorted(unknown)]):
                ids[blake3] = number
                known.append(unknown.pop(blake3))
        if unknown:
            self._insert(unknown, ids)
        self._fill_in(known)
        if len(recent) > RECENT:
            self._fold()
        return ids

    def _insert(self, new: dict[bytes, IdentifiedFile], ids: dict[bytes, int]) -> None:
        number, recent = self.next, self._recent
        rows: list[tuple[Any, ...]] = []
        for blake3, file in new.items():
            rows.append((number, blake3, file[9][1], file[3][1]))  # type: ignore[index] # only files with digests
            ids[blake3] = recent[blake3] = number
            number += 1
        self.next = number
        _CONTENTS.insert(self._connection, rows)
        self._fill_in(new.values())

    def _fill_in(self, files: Iterable[IdentifiedFile]) -> None:
        """Add the digests that somebody asked for later."""
        values = [
            (*digests[2:], self._recent.get(digests[0]), digests[0])
            for digests in (file.digests for file in files)
            if digests is not None and any(digests[2:])
        ]
        if values:
            self._connection.executemany(
                "UPDATE content SET sha256 = coalesce(sha256, ?), md5 = coalesce(md5, ?), sha1 = coalesce(sha1, ?)"
                " WHERE id = coalesce(?, (SELECT content FROM digest WHERE blake3 = ?))",
                values,
            )

    def _fold(self) -> None:
        """Let the index take a part of what is remembered. Nothing is lost by doing a part again."""
        run = self._connection.execute
        if not self._step:
            self._run = self.next - 1
        first, last = self._step * 256 // STEPS, (self._step + 1) * 256 // STEPS
        end = bytes([last]) if last < 256 else None
        run(_FOLD, (self._indexed, self._run, bytes([first]), end, end))
        self._step += 1
        if self._step == STEPS:
            run(_MARK, (str(self._run),))
            self._indexed, self._step = self._run, 0
            self._recent = {blake3: number for blake3, number in self._recent.items() if number > self._indexed}
