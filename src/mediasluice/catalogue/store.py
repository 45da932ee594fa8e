"""The catalogue as its one writer sees it: every change of it, in transactions.

Takes files, sightings and decisions with times in microseconds (UTC); gives verdicts and rows. Each method is one
transaction, or a part of the one that :meth:`Catalogue.transaction` opened; a fact and its event are committed
together or not at all. One thread at a time. Fails with: ForeignDatabase and ConfigError (on opening), DiskFull
(the transaction was rolled back whole and can be run again), Unavailable (another program holds the write lock).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from mediasluice.catalogue import clock, externals, items, journal, presence, products, readings
from mediasluice.catalogue.connect import copy_database, translated
from mediasluice.catalogue.externals import Told
from mediasluice.catalogue.journal import Closed, Planned, Postponed
from mediasluice.catalogue.ledger import Ledger
from mediasluice.catalogue.opening import open_writer
from mediasluice.catalogue.products import Likeness, Product, Streams
from mediasluice.catalogue.readings import Place, Read, Tie, Timed, Unread
from mediasluice.catalogue.record import awaited, record
from mediasluice.catalogue.rows import Departed, Observed, RootRow, Verdict, roots_of, signed, storable, unsigned
from mediasluice.errors import UsageError
from mediasluice.model.events import EventType
from mediasluice.model.files import ChangeKey
from mediasluice.model.flow import IdentifiedFile, RootId
from mediasluice.model.imports import ImportRules
from mediasluice.model.roots import UNSURE, Library, RootIdentity, RootState, WatchMode

_P = ParamSpec("_P")
_T = TypeVar("_T")

CLOSE_WAIT_MS = 500  # chosen: a reader that holds on keeps the WAL file, nothing worse


class Catalogue:
    """The writer. Opened by the holder of the data directory's lock."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self._file = file
        self._connection = connection
        self._ledger = Ledger(connection)
        self._depth = 0
        self._broken = False

    @classmethod
    def open(cls, file: Path) -> Catalogue:
        """Open the catalogue at ``file``; make it or bring it up to date first if need be."""
        return cls(file, open_writer(file))

    def close(self) -> None:
        """Move the WAL into the database as far as readers allow, and disconnect."""
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {CLOSE_WAIT_MS}")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:
            # On a full or broken disk everything that was committed stays in the WAL, and the next opening reads it.
            pass
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold several changes together; an inner one joins the outer. Any error undoes all of it."""
        if self._depth:
            self._depth += 1
            try:
                yield
            except BaseException:
                self._broken = True
                raise
            finally:
                self._depth -= 1
            return
        with translated(self._file):
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth, self._broken = 1, False
            try:
                yield
                if self._broken:
                    raise RuntimeError("a part of this transaction failed; what is left of it cannot be committed")
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself may have rolled back already
                    self._connection.execute("ROLLBACK")
                self._ledger.forget()
                raise
            finally:
                self._depth = 0

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Hold changes that may be refused: a UsageError undoes them, and not the transaction around them."""
        refused: UsageError | None = None
        with self.transaction():
            was_broken = self._broken
            self._connection.execute("SAVEPOINT attempt")
            try:
                yield
            except UsageError as error:
                self._connection.execute("ROLLBACK TO attempt")
                self._ledger.forget()
                self._broken, refused = was_broken, error
            self._connection.execute("RELEASE attempt")
        if refused is not None:
            raise refused

    # -- roots ------------------------------------------------------------------------------------

    def register(self, library: Library, identity: RootIdentity | None) -> RootRow:
        """Find or make the root of a library. A root that has no identity yet gets this one."""
        with self.transaction():
            run = self._connection.execute
            run("INSERT INTO library (name) VALUES (?) ON CONFLICT (name) DO NOTHING", (library.name,))
            run(
                "INSERT INTO root (library, path, state, since_us, watched)"
                " VALUES ((SELECT id FROM library WHERE name = ?), ?, ?, 0, ?)"
                " ON CONFLICT (path) DO UPDATE SET library = excluded.library",
                (library.name, library.path, RootState.ONLINE.value, WatchMode.EVENTS.value),
            )
            root = roots_of(self._connection, "r.path = ?", library.path)[0]
            if identity is not None and root.identity is None:
                self.identify(root.id, identity)
                root = root._replace(identity=identity)
            return root

    def unregister(self, root: RootId) -> None:
        """Take back the registration of a root that nothing was ever known of."""
        with self.transaction():
            unknown = "id = ? AND NOT EXISTS (SELECT 1 FROM dir WHERE root = ?)"
            self._connection.execute(f"DELETE FROM root WHERE {unknown}", (root, root))
            self._connection.execute("DELETE FROM library WHERE id NOT IN (SELECT library FROM root)")

    def set_root(
        self,
        root: RootId,
        *,
        state: RootState,
        reason: str | None,
        watched: WatchMode | None = None,
        at_us: int,
    ) -> None:
        """Note how a root is doing; going offline, being held and coming back are events."""
        with self.transaction():
            if watched is not None:
                self._connection.execute("UPDATE root SET watched = ? WHERE id = ?", (watched.value, root))
            was = self._connection.execute("SELECT state, reason FROM root WHERE id = ?", (root,)).fetchone()
            self._connection.execute(
                "UPDATE root SET since_us = CASE WHEN state = :state AND since_us > 0 THEN since_us ELSE :at_us END,"
                " state = :state, reason = :reason WHERE id = :root",
                {"state": state.value, "reason": storable(reason), "at_us": at_us, "root": root},
            )
            what = _told_as(state, reason)
            if what is not _told_as(RootState(was[0]), was[1]):
                data = None if reason is None or reason == UNSURE else json.dumps({"reason": reason})
                self._ledger.tell_root(what, root, at_us, data)
            self._ledger.flush()

    def identify(self, root: RootId, identity: RootIdentity) -> None:
        """Note by what a root is known again."""
        with self.transaction():
            values = (identity.filesystem, signed(identity.ino), root)
            self._connection.execute("UPDATE root SET filesystem = ?, ino = ? WHERE id = ?", values)
            self._ledger.forget_disks()

    def set_baseline(self, root: RootId, at_us: int) -> None:
        """Note that a first pass over a root is through; a later one changes nothing."""
        with self.transaction():
            query = "UPDATE root SET baseline_us = coalesce(baseline_us, ?) WHERE id = ?"
            self._connection.execute(query, (at_us, root))

    def watch(self, root: RootId, *, watched: bool) -> None:
        """Note whether a root is watched at the moment."""
        mode = WatchMode.EVENTS if watched else WatchMode.OFF
        with self.transaction():
            self._connection.execute("UPDATE root SET watched = ? WHERE id = ?", (mode.value, root))

    def watch_only(self, roots: Collection[RootId]) -> None:
        """Note that every other root is not watched: known, but not missing."""
        with self.transaction():
            self._connection.execute(
                "UPDATE root SET watched = ? WHERE id NOT IN (SELECT value FROM json_each(?))",
                (WatchMode.OFF.value, json.dumps(list(roots))),
            )

    def set_mounts(self, root: RootId, mounts: Mapping[bytes, RootIdentity]) -> None:
        """Note what is mounted inside a root, by mount point relative to it."""
        with self.transaction():
            self._connection.execute("DELETE FROM mount WHERE root = ?", (root,))
            self._connection.executemany(
                "INSERT INTO mount (root, path, filesystem, ino) VALUES (?, ?, ?, ?)",
                [(root, point, what.filesystem, signed(what.ino)) for point, what in mounts.items()],
            )

    # -- files ------------------------------------------------------------------------------------

    def record(self, files: Sequence[IdentifiedFile], at_us: int) -> list[Verdict]:
        """Catalogue files that were read whole, as if one after the other; see ``record``."""
        with self.transaction():
            return record(self._ledger, files, at_us)

    def awaited(self, files: Sequence[IdentifiedFile]) -> list[int]:
        """Positions of files that nothing is known of, while one has departed that may play the same; see ``record``.

        Their contents are known from now on.
        """
        with self.transaction():
            return awaited(self._ledger, files)

    def save_essence(
        self,
        file: IdentifiedFile,
        version: int,
        state: str,
        reason: str | None,
        streams: Sequence[tuple[str, str, bytes, float | None]],
    ) -> None:
        """Keep the essence of a file that was read whole, or why it has none."""
        assert file.digests is not None
        with self.transaction():
            content = self._ledger.contents.ids([file])[file.digests.blake3]
            made = [Streams(content, streams)] if state == products.MADE else []
            products.save(self._connection, products.ESSENCE, version, [Product(content, state, reason)], made, [])

    def observe(self, rows: Sequence[Observed], at_us: int) -> None:
        """Note files that are there and not catalogued.

        What is known of a catalogued file stays while it is being rewritten or cannot be read. One that changed and
        is not wanted any more becomes a version without content.
        """
        with self.transaction():
            presence.observe(self._ledger, rows, at_us)

    def attributes(self, root: RootId, directory: bytes, name: bytes, at_us: int) -> bool:
        """Tell that owner, mode or times of a catalogued file changed; ``False`` if there is none."""
        with self.transaction():
            return presence.change_attributes(self._ledger, root, directory, name, at_us)

    def move(
        self,
        root: RootId,
        old_directory: bytes,
        old_name: bytes,
        directory: bytes,
        name: bytes,
        key: ChangeKey,
        links: int,
        at_us: int,
    ) -> bool:
        """Give a file another path; ``False`` if it is not known at the old one. It settles again if it changed."""
        with self.transaction():
            return presence.move(self._ledger, root, (old_directory, old_name), (directory, name), key, links, at_us)

    def move_tree(self, root: RootId, old_directory: bytes, directory: bytes, at_us: int) -> int:
        """Give all files at and below a directory their new paths; gives how many."""
        with self.transaction():
            return presence.move_tree(self._ledger, root, old_directory, directory, at_us)

    def depart(self, root: RootId, names: Iterable[tuple[bytes, bytes]], at_us: int) -> int:
        """Note that (directory, name) pairs are gone; gives how many files were present under them."""
        with self.transaction():
            return presence.depart(self._ledger, root, names, at_us)

    def depart_tree(self, root: RootId, directory: bytes, at_us: int) -> int:
        """Note that a directory is gone with everything below it; gives how many files were present there."""
        with self.transaction():
            return presence.depart_tree(self._ledger, root, directory, at_us)

    def departed(self, roots: Collection[RootId], limit: int) -> list[Departed]:
        """Files of these roots whose fate is undecided, those gone longest first."""
        found = self._connection.execute(
            "SELECT f.id, d.root, d.path, f.name, f.size, f.content IS NOT NULL, f.gone_us, f.ino,"
            f" {products.HAS_ESSENCE}"
            " FROM file f JOIN dir d ON d.id = f.dir"
            " WHERE f.state = 'departed' AND f.gone_us IS NOT NULL"
            " AND d.root IN (SELECT value FROM json_each(?)) ORDER BY f.gone_us LIMIT ?",
            (json.dumps(list(roots)), limit),
        )
        return [
            Departed(file, RootId(root), directory, name, size, bool(has_content), gone_us, unsigned(ino), bool(plays))
            for file, root, directory, name, size, has_content, gone_us, ino, plays in found
        ]

    def delete(self, files: Iterable[int], at_us: int) -> int:
        """Decide that departed files are deleted; those that came back meanwhile are left. Gives the events told."""
        with self.transaction():
            return presence.delete(self._ledger, files, at_us)

    def restore(self, files: Iterable[int]) -> None:
        """Take departed files back: they are still there."""
        with self.transaction():
            presence.restore(self._ledger, files)

    def prune(self, missing_before_us: int) -> int:
        """Forget files that are missing since before that time; gives how many. Their events stay."""
        with self.transaction():
            return presence.prune(self._ledger, missing_before_us)

    def present(self, root: RootId, directory: bytes = b"") -> bool:
        """Whether any file at or below a directory is there, by what the catalogue knows."""
        query = (
            "SELECT 1 FROM dir d CROSS JOIN file f ON f.dir = d.id AND f.state NOT IN ('missing', 'departed')"
            f" WHERE d.root = :root AND {presence.BELOW} LIMIT 1"
        )
        return self._connection.execute(query, presence.below(root, directory)).fetchone() is not None

    # -- directories ------------------------------------------------------------------------------

    def seal(self, root: RootId, directories: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        """Store (directory, signature, mtime_ns): everything in it is catalogued as the signature says."""
        with self.transaction():
            self._connection.executemany(
                "INSERT INTO dir (root, path, signature, mtime_ns) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (root, path) DO UPDATE SET signature = excluded.signature, mtime_ns = excluded.mtime_ns",
                [(root, directory, signature, mtime_ns) for directory, signature, mtime_ns in directories],
            )

    def forget_directories(self, root: RootId, directories: Iterable[bytes]) -> None:
        """Note that these directories are not there any more; their files are not touched."""
        with self.transaction():
            self._connection.executemany(
                "UPDATE dir SET signature = NULL, mtime_ns = NULL WHERE root = ? AND path = ?",
                [(root, directory) for directory in directories],
            )

    # -- imports ----------------------------------------------------------------------------------

    def judge(
        self,
        root: RootId,
        rules: ImportRules,
        files: Sequence[int],
        at_us: int,
        *,
        baseline: bool = False,
        by_hand: bool = False,
        told: Collection[int] = (),
        companions: Mapping[int, int | None] | None = None,
    ) -> int | None:
        """Judge files by the rules of their library; see ``items``. Gives for how many something is to be done."""
        with self.transaction():
            return items.judge(
                self._ledger, root, rules, files, at_us,
                baseline=baseline, by_hand=by_hand, known=items.Known(told, companions or {}),
            )  # fmt: skip

    def refuse(self, rows: Sequence[Observed], at_us: int) -> None:
        """Judge files of an importing library that are not read: unwanted ones and junk."""
        with self.transaction():
            items.refuse(self._ledger, rows, at_us)

    def open_steps(self, planned: Sequence[Planned], at_us: int) -> list[int | None]:
        """Write steps down before anything of them is done; gives their ids, ``None`` for what is not to be done."""
        with self.transaction():
            return journal.open_steps(self._ledger, planned, at_us)

    def retarget(self, targets: Iterable[tuple[int, bytes]]) -> None:
        """Note that open steps, of which nothing happened, go to other paths."""
        with self.transaction():
            journal.retarget(self._ledger, targets)

    def close_steps(self, ended: Sequence[Closed | Postponed], at_us: int) -> None:
        """Note how things ended, with all that follows from it."""
        with self.transaction():
            journal.close(self._ledger, ended, at_us)

    def set_ground(self, directory: bytes, filesystem: bytes | None) -> None:
        """Note on which file system a target lies; ``None``: whatever is there next is right."""
        with self.transaction():
            self._connection.execute("DELETE FROM ground WHERE path = ?", (directory,))
            if filesystem is not None:
                self._connection.execute("INSERT INTO ground VALUES (?, ?)", (directory, filesystem))

    def give_back_claims(self, roots: Collection[RootId]) -> None:
        """Give back what is claimed for files of other roots: nobody imports there now."""
        with self.transaction():
            items.give_back_claims(self._ledger, roots)

    def change_item(self, item: int, values: Mapping[str, str], at_us: int) -> None:
        """Set title, description, owner or state of an item."""
        with self.transaction():
            items.change_item(self._ledger, item, values, at_us)

    def delete_item(self, item: int, at_us: int) -> bytes | None:
        """Forget an item; gives where its bytes are, which stay."""
        with self.transaction():
            return items.delete_item(self._ledger, item, at_us)

    def add_account(self, name: str, at_us: int) -> bool:
        """Make an account; ``False`` if there is one of this name."""
        with self.transaction():
            return items.add_account(self._ledger, name, at_us)

    def has_account(self, name: str) -> bool:
        """Whether there is an account of this name."""
        found = self._connection.execute("SELECT 1 FROM account WHERE name = ?", (name,))
        return found.fetchone() is not None

    def remove_account(self, name: str) -> None:
        """Remove an account that owns nothing."""
        with self.transaction():
            items.remove_account(self._ledger, name)

    # -- the second pass --------------------------------------------------------------------------

    def save_readings(
        self,
        read: Sequence[Read],
        seen: Sequence[Place],
        left: Sequence[Unread],
        at_us: int,
    ) -> None:
        """Keep readings of contents, and where their files are; see ``readings``."""
        with self.transaction():
            readings.save(self._ledger, read, seen, left, at_us)

    def relate(
        self,
        ties: Sequence[Tie],
        timed: Sequence[Timed],
        upto: int | None,
        seen: Sequence[Place] = (),
        gone: Collection[int] = (),
        left: Sequence[Unread] = (),
    ) -> None:
        """Keep groups and capture times; events up to ``upto``, and these files, are dealt with; see ``readings``."""
        with self.transaction():
            readings.relate(self._ledger, ties, timed, upto, seen, gone, left)

    def save_products(
        self,
        what: str,
        version: int,
        made: Sequence[Product],
        streams: Sequence[Streams],
        likenesses: Sequence[Likeness],
    ) -> None:
        """Keep what was made of contents; see ``products``."""
        with self.transaction():
            products.save(self._connection, what, version, made, streams, likenesses)

    def forget_products(self, what: str, contents: Collection[int]) -> None:
        """A product of these contents is there no more."""
        with self.transaction():
            products.forget(self._connection, what, contents)

    def save_external(self, told: Told, at_us: int) -> None:
        """Keep what an external source said of a content."""
        with self.transaction():
            externals.save(self._connection, told, at_us)

    def drop_external(self, content: int, source: str) -> None:
        """Ask an external source no more about a content that nobody holds."""
        with self.transaction():
            externals.drop(self._connection, content, source)

    def keep_externals(self, sources: Sequence[str]) -> None:
        """Forget what other sources than these said; these have this order from now on."""
        with self.transaction():
            externals.keep(self._connection, sources)

    def retry_readings(self, root: RootId) -> None:
        """What could not be read in a root is tried at once."""
        with self.transaction():
            readings.retry(self._connection, root)

    def change(self, change: Callable[Concatenate[Ledger, _P], _T], *values: _P.args, **named: _P.kwargs) -> _T:
        """Make a change that a module of this room knows, such as those of ``renditions``."""
        with self.transaction():
            return change(self._ledger, *values, **named)

    # -- the rest ---------------------------------------------------------------------------------

    def set_right(self, now_us: int) -> int:
        """Let nothing wait for a time that the clock showed while it was ahead; gives how many rows did."""
        with self.transaction():
            return clock.set_right(self._connection, now_us)

    def save_learned(self, changes: Mapping[tuple[RootId, bytes, bytes], float]) -> None:
        """Keep quiet periods [s] by (root, directory, extension)."""
        with self.transaction():
            self._connection.executemany(
                "INSERT INTO learned (root, directory, extension, quiet_s) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET quiet_s = excluded.quiet_s",
                [(*key, quiet_s) for key, quiet_s in changes.items()],
            )

    def backup(self, target: Path) -> None:
        """Copy the catalogue, as it is now, into one file."""
        copy_database(self._connection, target)

    def checkpoint(self) -> None:
        """Move committed pages from the WAL into the database, as far as readers allow; waits for nobody."""
        with translated(self._file):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _told_as(state: RootState, reason: str | None) -> EventType:
    """The event that says that a root is doing so."""
    if state is RootState.OFFLINE:
        return EventType.ROOT_OFFLINE
    is_held = state is RootState.HELD and reason != UNSURE
    return EventType.ROOT_HELD if is_held else EventType.ROOT_ONLINE
