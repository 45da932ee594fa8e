"""Read the catalogue: what a scan compares with, what is listed, the event log, duplicates.

Takes root ids and paths; gives rows and events, streamed in pages that each end their own read transaction, so that
a slow reader never keeps the writer's WAL from being used again. Paths are bytes; ``path`` fields are absolute.
Each thread opens its own. Fails with: ForeignDatabase (on opening), ConfigError (too old, damaged), Unavailable.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, ParamSpec, Self, TypeVar

from mediasluice.catalogue import externals, journal, products, readings
from mediasluice.catalogue.batch import Rows
from mediasluice.catalogue.connect import translated
from mediasluice.catalogue.events import EVENTS, absolute, event_of
from mediasluice.catalogue.externals import Question
from mediasluice.catalogue.items import IN_PLACE
from mediasluice.catalogue.journal import Due, Open
from mediasluice.catalogue.ledger import DISK, loaded
from mediasluice.catalogue.opening import open_reader
from mediasluice.catalogue.presence import BELOW, below
from mediasluice.catalogue.products import Holder, Lack, Likeness, Search, Streams
from mediasluice.catalogue.readings import Relative, Subject
from mediasluice.catalogue.rows import (
    Copy,
    DuplicateGroup,
    DuplicateTotals,
    FileLine,
    Inside,
    ItemLine,
    Judged,
    Known,
    Lacking,
    RootRow,
    StepLine,
    roots_of,
    unsigned,
)
from mediasluice.model.events import Event
from mediasluice.model.files import FileState, Kind
from mediasluice.model.flow import RootId
from mediasluice.model.imports import Judgement
from mediasluice.model.paths import split
from mediasluice.model.roots import RootIdentity

_P = ParamSpec("_P")
_T = TypeVar("_T")

PAGE = 2_000  # rows of one read transaction, chosen: about 5 ms

_KNOWN = "f.id, f.ino, f.size, f.mtime_ns, f.ctime_ns, f.state, f.content IS NOT NULL, f.links"
_SIGNATURES = Rows(
    "WITH wanted (root, path) AS (VALUES {})"
    " SELECT d.path, d.signature FROM wanted CROSS JOIN dir d ON d.root = wanted.root AND d.path = wanted.path",
    "(?, ?)",
)
_FILES = (
    "SELECT f.id, l.name, r.path, d.path, f.name, f.size, f.mtime_ns, f.kind, f.state, f.reason, c.blake3, c.xxh128,"
    " f.links, f.version, rd.found, u.reason, m.master, m.role, cap.local, cap.offset_minutes, cap.source,"
    f" cap.confidence, cap.rejected, {externals.TOLD.format('f.content')}"
    " FROM file f CROSS JOIN dir d ON d.id = f.dir CROSS JOIN root r ON r.id = d.root"
    " CROSS JOIN library l ON l.id = r.library LEFT JOIN content c ON c.id = f.content"
    " LEFT JOIN reading rd ON rd.content = f.content LEFT JOIN unread u ON u.file = f.id"
    " LEFT JOIN member m ON m.file = f.id LEFT JOIN capture cap ON cap.file = f.id AND cap.version = f.version"
)
_ITEMS = (
    "SELECT i.id, i.title, i.description, l.name, a.name, i.state, i.kind, i.place, i.path, r.path, d.path, f.name,"
    " c.size, c.blake3, i.file, i.at_us,"
    " (SELECT j.item FROM judgement j WHERE j.file = i.file AND j.judgement = 'duplicate' AND j.item <> i.id)"
    " FROM item i CROSS JOIN content c ON c.id = i.content"
    " CROSS JOIN library l ON l.id = i.library LEFT JOIN account a ON a.id = i.owner LEFT JOIN file f ON f.id = i.file"
    " LEFT JOIN dir d ON d.id = f.dir LEFT JOIN root r ON r.id = d.root"
)
_MOVED_AWAY = f"(f.state = 'missing' AND f.reason IS '{journal.MOVED_AWAY}')"
_COPY = "f.state = 'catalogued' AND f.content IS NOT NULL"


class Master(NamedTuple):
    """The file by whose name and place another one goes, and what its library says of it."""

    path: bytes
    role: str  # of the one that goes by it
    judgement: Judgement | None
    item: int | None
    reason: str | None


class View:
    """A read-only connection. One thread at a time."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self._file = file
        self._connection = connection

    @classmethod
    def open(cls, file: Path) -> View:
        """Open the catalogue at ``file`` for reading."""
        return cls(file, open_reader(file))

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        with translated(self._file):
            return self._connection.execute(query, values).fetchall()

    def ask(
        self, question: Callable[Concatenate[sqlite3.Connection, _P], _T], *values: _P.args, **named: _P.kwargs
    ) -> _T:
        """Ask what a module of this room answers, such as ``renditions``."""
        with translated(self._file):
            return question(self._connection, *values, **named)

    # -- for a scan -------------------------------------------------------------------------------

    def signatures(self, root: RootId, directories: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """The signatures of those directories that are known."""
        with translated(self._file):
            return dict(_SIGNATURES.ask(self._connection, [(root, directory) for directory in directories]))

    def rows(self, root: RootId, directory: bytes) -> dict[bytes, Known]:
        """The present and departed files of one directory by name."""
        found = self._run(
            f"SELECT f.name, {_KNOWN} FROM dir d CROSS JOIN file f ON f.dir = d.id AND f.state <> 'missing'"
            " WHERE d.root = ? AND d.path = ?",
            (root, directory),
        )
        return {row[0]: _known(row[1:]) for row in found}

    def known(self, root: RootId, directory: bytes, name: bytes) -> Known | None:
        """The present or departed file at one path."""
        rows = self._run(
            f"SELECT {_KNOWN} FROM dir d CROSS JOIN file f ON f.dir = d.id AND f.state <> 'missing'"
            " WHERE d.root = ? AND d.path = ? AND f.name = ?",
            (root, directory, name),
        )
        return _known(rows[0]) if rows else None

    def directories(self, root: RootId, start: bytes = b"") -> Iterator[tuple[bytes, bytes | None, int | None]]:
        """(path, signature, mtime_ns) of the directories at and below ``start`` that are there, by path."""
        values = {**below(root, start), "after": None}
        while True:
            page = self._run(
                f"SELECT d.path, d.signature, d.mtime_ns FROM dir d WHERE d.root = :root AND {BELOW}"
                " AND (:after IS NULL OR d.path > :after) AND (d.mtime_ns IS NOT NULL OR EXISTS"
                " (SELECT 1 FROM file f WHERE f.dir = d.id AND f.state <> 'missing' AND f.gone_us IS NULL))"
                f" ORDER BY d.path LIMIT {PAGE}",
                values,
            )
            yield from page
            if len(page) < PAGE:
                return
            values["after"] = page[-1][0]

    def present(self, root: RootId) -> int:
        """How many files of this root are there."""
        count = "SELECT count(*) FROM dir d CROSS JOIN file f ON f.dir = d.id AND f.state <> 'missing' WHERE d.root = ?"
        return int(self._run(count, (root,))[0][0]) - self.departed(root)

    def departed(self, root: RootId) -> int:
        """How many files of this root are gone and not decided upon."""
        count = (
            "SELECT count(*) FROM file f CROSS JOIN dir d ON d.id = f.dir"
            " WHERE f.state = 'departed' AND f.gone_us IS NOT NULL AND d.root = ?"
        )
        return int(self._run(count, (root,))[0][0])

    def is_empty(self, root: RootId, directory: bytes) -> bool:
        """Whether no file is known at or below a directory."""
        query = (
            "SELECT 1 FROM dir d CROSS JOIN file f ON f.dir = d.id AND f.state <> 'missing'"
            f" WHERE d.root = :root AND {BELOW} LIMIT 1"
        )
        return not self._run(query, below(root, directory))

    def mounts(self, root: RootId) -> dict[bytes, RootIdentity]:
        """What was mounted inside a root, by mount point relative to it."""
        found = self._run("SELECT path, filesystem, ino FROM mount WHERE root = ?", (root,))
        return {path: RootIdentity(filesystem, unsigned(ino)) for path, filesystem, ino in found}

    def knows_files(self) -> bool:
        """Whether any file was ever recorded."""
        return bool(self._run("SELECT 1 FROM file LIMIT 1"))

    def lacking_full(self, limit: int, after: int = 0) -> list[Lacking]:
        """Files whose full digests are still owed, by id, after that id."""
        found = self._run(
            "SELECT f.id, d.root, d.path, f.name, f.ino, f.size, f.mtime_ns, f.ctime_ns FROM file f"
            " CROSS JOIN dir d ON d.id = f.dir"
            " WHERE f.state = 'catalogued' AND f.content IS NULL AND f.id > ? ORDER BY f.id LIMIT ?",
            (after, limit),
        )
        return [
            Lacking(file, RootId(root), directory, name, loaded(*key)) for file, root, directory, name, *key in found
        ]

    def learned(self) -> dict[tuple[RootId, bytes, bytes], float]:
        """Quiet periods [s] by (root, directory, extension)."""
        found = self._run("SELECT root, directory, extension, quiet_s FROM learned")
        return {(root, directory, extension): quiet_s for root, directory, extension, quiet_s in found}

    # -- for the second pass ----------------------------------------------------------------------

    def enriched(self) -> int:
        """The event up to which the second pass is done."""
        with translated(self._file):
            return readings.cursor(self._connection)

    def inside(self) -> dict[str, Any]:
        """How far the second pass is behind, and why files are tried again."""
        with translated(self._file):
            return {"behind": readings.behind(self._connection), "again": readings.left(self._connection)}

    def following(self, after: int, limit: int, extensions: frozenset[str]) -> tuple[int, list[Subject]]:
        """The media that the next events are about, and the last of those events; see ``readings.of_media``."""
        with translated(self._file):
            return readings.following(self._connection, after, limit, extensions)

    def subjects(self, files: Collection[int], extensions: frozenset[str]) -> list[Subject]:
        """Those of these files that are media, as the second pass looks at them."""
        with translated(self._file):
            return readings.subjects(self._connection, files, extensions)

    def unread(self, roots: Collection[RootId], now_us: int, limit: int) -> list[Subject]:
        """Files of these roots that are to be read again now."""
        with translated(self._file):
            return readings.unread(self._connection, roots, now_us, limit)

    def outdated(self, version: int, after: int, limit: int) -> tuple[int, list[Subject]]:
        """Files of contents that older readers read, after that content, and the last of these."""
        with translated(self._file):
            return readings.outdated(self._connection, version, after, limit)

    def relatives(self, kin: Collection[tuple[int, bytes]]) -> list[Relative]:
        """Files that share one of these keys, (home, key), or share one with one that does, and so on."""
        with translated(self._file):
            return readings.relatives(self._connection, kin)

    def kin_of(self, files: Collection[int]) -> set[tuple[int, bytes]]:
        """The keys by which the second pass knows these files, with their homes."""
        with translated(self._file):
            return readings.kin_of(self._connection, files)

    def lacking(self, search: Search, roots: Collection[RootId], *, of_items: bool) -> list[Lack]:
        """Contents without a product that these roots hold; see ``products``."""
        with translated(self._file):
            return products.lacking(self._connection, search, roots, of_items=of_items)

    def stored_lacking(self, search: Search) -> list[Lack]:
        """Contents of items without a product that only their target has."""
        with translated(self._file):
            return products.stored_lacking(self._connection, search)

    def contents_told(self, after: int, limit: int, *, of_items: bool) -> tuple[int, list[int]]:
        """The contents that the next events brought, and the last of these events."""
        with translated(self._file):
            return products.told(self._connection, after, limit, of_items=of_items)

    def external_sources(self) -> list[tuple[str, int]]:
        """The external sources that something is kept of, with their places."""
        with translated(self._file):
            return externals.known(self._connection)

    def external_lacking(self, source: str, kinds: Collection[Kind], after: int, limit: int) -> tuple[int, list[int]]:
        """The contents after that one about which a source was never asked, of the next so many; and their last."""
        with translated(self._file):
            return externals.lacking(self._connection, source, kinds, after, limit)

    def external_due(self, source: str, now_us: int) -> int | None:
        """A content about which a source is to be asked again now."""
        with translated(self._file):
            return externals.due(self._connection, source, now_us)

    def external_question(self, content: int, source: str) -> Question | None:
        """What to ask a source about a content; ``None``: nothing."""
        with translated(self._file):
            return externals.question(self._connection, content, source)

    def shared_streams(self) -> list[Streams]:
        """The streams of all contents that share one with another content."""
        with translated(self._file):
            return list(products.shared_streams(self._connection))

    def count_lacking(self, search: Search, roots: Collection[RootId]) -> int:
        """How many contents :meth:`lacking` would give altogether."""
        with translated(self._file):
            return products.count_lacking(self._connection, search, roots)

    def products(self, blake3: bytes) -> dict[str, tuple[str, str | None]]:
        """State and reason of what was made of a content, by product."""
        with translated(self._file):
            return products.of_content(self._connection, blake3)

    def made(self, what: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Contents after that one of which a product was made, with their BLAKE3."""
        with translated(self._file):
            return products.made(self._connection, what, after, limit)

    def likenesses(self, kind: Kind) -> Iterator[Likeness]:
        """What the present contents of a kind look and sound like, by duration."""
        with translated(self._file):
            contents = products.likely(self._connection, kind)
        for start in range(0, len(contents), 500):
            with translated(self._file):
                page = products.likenesses(self._connection, contents[start : start + 500])
            yield from page

    def holders(self, contents: Collection[int]) -> list[Holder]:
        """The files that hold these contents."""
        with translated(self._file):
            return products.holders(self._connection, contents)

    # -- lists ------------------------------------------------------------------------------------

    def roots(self) -> list[RootRow]:
        """All roots, by path."""
        with translated(self._file):
            return roots_of(self._connection)

    def counts(self) -> dict[FileState, int]:
        """How many files stand where."""
        found = self._run(f"SELECT state, count(*) FROM file f WHERE NOT {_MOVED_AWAY} GROUP BY state")
        return {FileState(state): count for state, count in found}

    def files(self, *, missing: bool = False, libraries: Collection[str] | None = None) -> Iterator[FileLine]:
        """All present files, or the missing ones, in the order in which they were first seen."""
        which = f"f.state = 'missing' AND NOT {_MOVED_AWAY}" if missing else "f.gone_us IS NULL"
        chosen, values = _chosen("l.name", libraries)
        after = 0
        while True:
            page = self._run(
                f"{_FILES} WHERE f.id > ? AND {which} AND {chosen} ORDER BY f.id LIMIT {PAGE}", (after, *values)
            )
            yield from map(_file_line, page)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    # -- imports ----------------------------------------------------------------------------------

    def due(self, roots: Sequence[RootId], now_us: int, limit: int) -> list[Due]:
        """What is to be done with files of these roots now, first come, first served."""
        with translated(self._file):
            return journal.due(self._connection, roots, now_us, limit)

    def next_due_us(self) -> int | None:
        """When the next file is to be dealt with, or ``None``."""
        with translated(self._file):
            return journal.next_due_us(self._connection)

    def unfinished(self) -> list[Open]:
        """The steps that an earlier run left open."""
        with translated(self._file):
            return journal.unfinished(self._connection)

    def unjudged(self, root: RootId, after: int, limit: int) -> list[int]:
        """Catalogued files of a root that nobody has judged, by id, after that id."""
        found = self._run(
            "SELECT f.id FROM dir d CROSS JOIN file f ON f.dir = d.id LEFT JOIN judgement j ON j.file = f.id"
            " WHERE d.root = ? AND f.state = 'catalogued' AND f.content IS NOT NULL AND f.id > ?"
            " AND (j.file IS NULL OR j.version <> f.version) ORDER BY f.id LIMIT ?",
            (root, after, limit),
        )
        return [row[0] for row in found]

    def named(self, files: Collection[int]) -> list[tuple[int, bytes, bytes, Kind]]:
        """(id, directory, name, kind) of files."""
        query = (
            "SELECT f.id, d.path, f.name, f.kind FROM json_each(?) wanted CROSS JOIN file f ON f.id = wanted.value"
            " CROSS JOIN dir d ON d.id = f.dir"
        )
        return [(*row[:3], Kind(row[3])) for row in self._run(query, (json.dumps(list(files)),))]

    def judged_again(self, root: RootId, after: int, limit: int, *, at_once: bool) -> list[int]:
        """Files of a root that are to be judged again, by id, after that id; or those that are to be at once."""
        which = " AND j.due_us IS NOT NULL" if at_once else ""
        found = self._run(
            "SELECT j.file FROM judgement j CROSS JOIN file f ON f.id = j.file CROSS JOIN dir d ON d.id = f.dir"
            " WHERE j.judgement = 'again' AND d.root = ? AND j.file > ? AND f.state = 'catalogued'"
            f" AND f.content IS NOT NULL{which} ORDER BY j.file LIMIT ?",
            (root, after, limit),
        )
        return [row[0] for row in found]

    def refused(self, root: RootId, after: int, limit: int) -> list[int]:
        """Files of a root that were read and then refused by its rules, by id, after that id."""
        found = self._run(
            "SELECT f.id FROM dir d CROSS JOIN file f ON f.dir = d.id CROSS JOIN judgement j ON j.file = f.id"
            " WHERE d.root = ? AND f.id > ? AND f.state = 'catalogued' AND j.judgement = 'refused'"
            " ORDER BY f.id LIMIT ?",
            (root, after, limit),
        )
        return [row[0] for row in found]

    def files_at(self, root: RootId, directory: bytes, name: bytes | None, after: int, limit: int) -> list[int]:
        """Catalogued files by id: the one of this name, or with ``None`` all at and below the directory."""
        which = "d.path = :path AND f.name = :name" if name is not None else BELOW
        found = self._run(
            "SELECT f.id FROM dir d CROSS JOIN file f ON f.dir = d.id"
            f" WHERE d.root = :root AND {which} AND f.state = 'catalogued' AND f.id > :after"
            " ORDER BY f.id LIMIT :limit",
            {**below(root, directory), "name": name, "after": after, "limit": limit},
        )
        return [row[0] for row in found]

    def items(self, item: int | None = None) -> Iterator[ItemLine]:
        """All items, or one, in the order in which they were claimed."""
        after = 0 if item is None else item - 1
        while True:
            page = self._run(f"{_ITEMS} WHERE i.id > ? ORDER BY i.id LIMIT ?", (after, PAGE if item is None else 1))
            for row in page:
                if item is None or row[0] == item:
                    yield _item_line(row)
            if item is not None or len(page) < PAGE:
                return
            after = page[-1][0]

    def item_at(self, path: bytes) -> ItemLine | None:
        """The item whose bytes are stored at a path."""
        found = self._run(f"{_ITEMS} WHERE i.path = ?", (path,))
        return _item_line(found[0]) if found else None

    def path_of(self, file: int) -> bytes | None:
        """Where a file is, or was last."""
        found = self._run(
            "SELECT r.path, d.path, f.name FROM file f CROSS JOIN dir d ON d.id = f.dir"
            " CROSS JOIN root r ON r.id = d.root WHERE f.id = ?",
            (file,),
        )
        return absolute(*found[0]) if found else None

    def judged(self, file: int) -> Judged | None:
        """What an importing library says of a file."""
        found = self._run("SELECT judgement, reason, item, todo, due_us FROM judgement WHERE file = ?", (file,))
        if not found:
            return None
        judgement, reason, item, todo, due_us = found[0]
        line = next(self.items(item), None) if item is not None else None
        return Judged(Judgement(judgement), reason, item, line and line.path, todo, due_us)

    def master(self, file: int) -> Master | None:
        """The file that a file follows in its group."""
        found = self._run(
            "SELECT r.path, d.path, f.name, m.role, j.judgement, j.item, j.reason FROM member m"
            " CROSS JOIN file f ON f.id = m.follows CROSS JOIN dir d ON d.id = f.dir CROSS JOIN root r ON r.id = d.root"
            " LEFT JOIN judgement j ON j.file = f.id WHERE m.file = ?",
            (file,),
        )
        if not found:
            return None
        root, directory, name, role, judgement, item, reason = found[0]
        return Master(
            absolute(root, directory, name), role, None if judgement is None else Judgement(judgement), item, reason
        )

    def steps(self, file: int) -> list[StepLine]:
        """What was done with the bytes of a file, oldest first."""
        found = self._run(
            "SELECT id, purpose, mode, source, target, state, note, at_us, ended_us FROM step"
            " WHERE file = ? ORDER BY id",
            (file,),
        )
        return [StepLine(*row) for row in found]

    def brought(self, path: bytes) -> tuple[int, str, bytes] | None:
        """What was brought to a path last, which is not asked for often: its file, for what purpose, and from where."""
        query = "SELECT file, purpose, source FROM step WHERE target = ? AND state = 'done' ORDER BY id DESC LIMIT 1"
        found = self._run(query, (path,))
        return (found[0][0], found[0][1], found[0][2]) if found else None

    def account(self, name: str) -> int | None:
        """The id of the account of this name."""
        found = self._run("SELECT id FROM account WHERE name = ?", (name,))
        return found[0][0] if found else None

    def accounts(self) -> list[tuple[str, int, int]]:
        """(name, microseconds of its making, items that it owns) of all accounts, by name."""
        return self._run(
            "SELECT a.name, a.at_us, (SELECT count(*) FROM item i WHERE i.owner = a.id) FROM account a ORDER BY a.name"
        )

    def grounds(self) -> dict[bytes, bytes]:
        """The file systems on which targets and processed directories were seen last."""
        return dict(self._run("SELECT path, filesystem FROM ground"))

    def imports(self) -> dict[str, int]:
        """How many files importing libraries have judged how."""
        return dict(self._run("SELECT judgement, count(*) FROM judgement GROUP BY judgement"))

    # -- the event log ----------------------------------------------------------------------------

    def events(self, since: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Events after the one numbered ``since``, in the order of their commits."""
        epoch = self.epoch()
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            page = self._run(f"{EVENTS} WHERE e.seq > ? ORDER BY e.seq LIMIT ?", (since, size))
            for row in page:
                yield event_of(row, epoch)
            if len(page) < size:
                return
            since = page[-1][0]
            left = None if left is None else left - size

    def head(self) -> int:
        """The number of the newest event, 0 if there is none."""
        return int(self._run("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'")[0][0])

    def epoch(self) -> str:
        """The name of this event log: another one numbers other events."""
        return str(self._run("SELECT value FROM meta WHERE key = 'epoch'")[0][0])

    def data_version(self) -> int:
        """A number that differs after another connection committed."""
        return int(self._run("PRAGMA data_version")[0][0])

    def history(self, path: bytes) -> tuple[FileLine | None, list[Event]]:
        """The file at an absolute path, or the last one that was there, and all events of it or of the path."""
        places = []
        for root, root_path in self._run("SELECT id, path FROM root"):
            prefix = root_path.rstrip(b"/") + b"/"
            if path == root_path or path.startswith(prefix):
                directory, name = split(path[len(prefix) :])
                places.append((root, directory, name))
        dirs = [
            (row[0], name)
            for root, directory, name in places
            for row in self._run("SELECT id FROM dir WHERE root = ? AND path = ?", (root, directory))
        ]
        lines = []
        numbers: set[int] = set()
        for directory, name in dirs:
            for state, order in (("f.state <> 'missing'", "f.id"), ("f.state = 'missing'", "f.gone_us")):
                lines += self._run(
                    f"{_FILES} WHERE f.dir = ? AND f.name = ? AND {state} ORDER BY {order} DESC LIMIT 1",
                    (directory, name),
                )
            for column, other in (("dir", "name"), ("old_dir", "old_name")):
                found = self._run(f"SELECT seq FROM event WHERE {column} = ? AND {other} = ?", (directory, name))
                numbers.update(row[0] for row in found)
        line = min(lines, key=lambda row: row[8] == FileState.MISSING, default=None)
        if line is not None:
            numbers.update(row[0] for row in self._run("SELECT seq FROM event WHERE file = ?", (line[0],)))
        return None if line is None else _file_line(line), self._events_numbered(sorted(numbers))

    def _events_numbered(self, numbers: Sequence[int]) -> list[Event]:
        epoch = self.epoch()
        wanted = "e.seq IN (SELECT value FROM json_each(?))"
        found = self._run(f"{EVENTS} WHERE {wanted} ORDER BY e.seq", (json.dumps(list(numbers)),))
        return [event_of(row, epoch) for row in found]

    # -- duplicates -------------------------------------------------------------------------------

    def duplicates(self, libraries: Collection[str] | None = None) -> Iterator[DuplicateGroup]:
        """Groups of equal catalogued files, all names of each; a group has at least two inodes."""
        chosen, values = _chosen("l.name", libraries)
        after = 0
        while True:
            page = [
                row[0]
                for row in self._run(
                    f"SELECT f.content FROM file f WHERE {_COPY} AND f.content > ?"
                    " GROUP BY f.content HAVING count(*) > 1 ORDER BY f.content LIMIT 500",
                    (after,),
                )
            ]
            if not page:
                return
            after = page[-1]
            members = self._run(
                "SELECT f.content, c.size, c.blake3, l.name, r.path, d.path, f.name, r.filesystem, f.ino,"
                f" f.id, {DISK} FROM json_each(?) wanted CROSS JOIN file f ON f.content = wanted.value"
                " CROSS JOIN dir d ON d.id = f.dir CROSS JOIN root r ON r.id = d.root"
                " CROSS JOIN library l ON l.id = r.library CROSS JOIN content c ON c.id = f.content"
                f" WHERE {_COPY} AND {chosen}",
                (json.dumps(page), *values),
            )
            for _, group in groupby(members, key=lambda row: row[0]):
                yield from _group(list(group))

    def _is_one_disk(self, roots: Collection[RootId] | None) -> bool:
        """Whether inode numbers alone tell copies apart: all roots are meant, on one file system that has them."""
        held = self._run("SELECT DISTINCT r.id, r.filesystem FROM root r JOIN dir d ON d.root = r.id")
        disks = {disk for _, disk in held}
        if len(disks) != 1 or not all(disks) or (roots is not None and not {root for root, _ in held} <= set(roots)):
            return False
        nameless = f"SELECT 1 FROM file f WHERE {_COPY} AND f.content IS NOT NULL AND f.ino = 0 LIMIT 1"
        return not self._run(nameless)

    def duplicate_totals(self, roots: Collection[RootId] | None = None) -> DuplicateTotals:
        """What :meth:`duplicates` would give for these roots, counted."""
        if self._is_one_disk(roots):
            [row] = self._run(
                "SELECT count(*), coalesce(sum(n - 1), 0), coalesce(sum((n - 1) * c.size), 0)"
                f" FROM (SELECT f.content, count(DISTINCT f.ino) AS n FROM file f WHERE {_COPY} GROUP BY f.content"
                " HAVING count(*) > 1) g CROSS JOIN content c ON c.id = g.content WHERE n > 1"
            )
            return DuplicateTotals(*row)
        chosen, values = _chosen("d.root", roots)
        # An inode counts once per file system; without one every name counts.
        copies = (
            "SELECT f.content,"
            f" count(DISTINCT CASE WHEN f.ino = 0 THEN 'f' || f.id ELSE {DISK} || ':' || f.ino END) AS n"
            f" FROM (SELECT content FROM file f WHERE {_COPY} GROUP BY content HAVING count(*) > 1) many"
            " CROSS JOIN file f ON f.content = many.content CROSS JOIN dir d ON d.id = f.dir"
            f" CROSS JOIN root r ON r.id = d.root WHERE {_COPY} AND {chosen} GROUP BY f.content"
        )
        [row] = self._run(
            "SELECT count(*), coalesce(sum(n - 1), 0), coalesce(sum((n - 1) * c.size), 0)"
            f" FROM ({copies}) g CROSS JOIN content c ON c.id = g.content WHERE n > 1",
            values,
        )
        return DuplicateTotals(*row)


def _known(row: Sequence[Any]) -> Known:
    file, ino, size, mtime_ns, ctime_ns, state, has_content, links = row
    return Known(file, loaded(ino, size, mtime_ns, ctime_ns), FileState(state), bool(has_content), links)


def _file_line(row: Sequence[Any]) -> FileLine:
    number, library, root, directory, name, size, mtime_ns, kind, state, *rest = row
    path = absolute(root, directory, name)
    found, waits, master, role, *capture, told = rest[5:]
    known = found is not None or waits is not None or master is not None or capture[0] is not None
    told = None if told == "[]" else told
    inside = Inside(found, readings.capture_of(capture), master, role, waits, told) if known else None
    line = FileLine(number, library, path, size, mtime_ns, Kind(kind), FileState(state), *rest[:5])
    return line._replace(inside=inside)


def _item_line(row: Sequence[Any]) -> ItemLine:
    number, title, description, library, owner, state, kind, place, path, root, directory, name, *rest = row
    if place == IN_PLACE and name is not None:
        path = absolute(root, directory, name)
    return ItemLine(number, title, description, library, owner, state, kind, path, *rest)


def _chosen(column: str, values: Iterable[object] | None) -> tuple[str, tuple[str, ...]]:
    """A condition that a column has one of these values, or none if all are wanted."""
    if values is None:
        return "1", ()
    return f"{column} IN (SELECT value FROM json_each(?))", (json.dumps(list(values)),)


def _group(rows: list[Sequence[Any]]) -> Iterator[DuplicateGroup]:
    files = []
    inodes = set()
    for row in rows:
        library, root, directory, name, filesystem, ino, number, disk = row[3:]
        inodes.add((disk, ino) if ino else number)
        actual = unsigned(ino)
        files.append(Copy(library, absolute(root, directory, name), filesystem or b"", actual))
    if len(inodes) > 1:
        yield DuplicateGroup(rows[0][1], rows[0][2], files)
