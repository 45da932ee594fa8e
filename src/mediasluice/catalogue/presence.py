"""Note where files are without reading them: observed, moved, departed, deleted.

Takes paths relative to their root; changes rows and tells events. Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from mediasluice.catalogue.batch import Rows
from mediasluice.catalogue.ledger import COLUMNS, FileRow, Ledger, stored
from mediasluice.catalogue.record import tell_move, write
from mediasluice.catalogue.rows import Observed, storable
from mediasluice.model.events import EventType
from mediasluice.model.files import OPEN_STATES, ChangeKey, FileState
from mediasluice.model.flow import RootId
from mediasluice.model.paths import join

_OBSERVED = Rows(
    "INSERT INTO file (id, dir, name, size, mtime_ns, ctime_ns, ino, links, kind, state, reason, at_us, version)"
    " VALUES {} ON CONFLICT (dir, name) WHERE state <> 'missing' DO NOTHING",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
)

BELOW = "(d.path = :path OR (d.path > :start AND d.path < :end))"
"""Directories at and below a path, as a range of the index: ``0`` is the byte after ``/``."""


def below(root: RootId, directory: bytes) -> dict[str, object]:
    """Values for ``BELOW``; no path is longer than 255 bytes of 0xFF without a slash."""
    if not directory:
        return {"root": root, "path": b"", "start": b"", "end": b"\xff" * 256}
    return {"root": root, "path": directory, "start": directory + b"/", "end": directory + b"0"}


_AT_ONCE = 5_000  # rows in memory, chosen

# -- observed -----------------------------------------------------------------------------------


def observe(ledger: Ledger, rows: Sequence[Observed], at_us: int) -> None:
    """Note files that are there and not catalogued; see :meth:`Catalogue.observe`."""
    values: list[tuple[Any, ...]] = []
    for root, directory, name, key, links, kind, state, reason in rows:
        place = ledger.directory(root, directory)
        ledger.touch(place)
        ino, size, mtime_ns, ctime_ns = stored(key)
        values.append(
            (
                ledger.next_file,
                place,
                name,
                size,
                mtime_ns,
                ctime_ns,
                ino,
                links,
                kind.value,
                state.value,
                storable(reason),
                at_us,
            )
        )
        ledger.next_file += 1
    if _OBSERVED.insert(ledger.connection, values) < len(values):
        made = {row[0] for row in ledger.connection.execute("SELECT id FROM file WHERE id >= ?", (values[0][0],))}
        for row, value in zip(rows, values, strict=True):
            if value[0] not in made:
                _observe_again(ledger, row, value[1], at_us)
    ledger.flush()


def _observe_again(ledger: Ledger, seen: Observed, place: int, at_us: int) -> None:
    """Change what is known of a path. Content that was read stays, as long as nothing says that it is gone."""
    row = ledger.at(place, seen.name)
    assert row is not None
    ino, size, mtime_ns, ctime_ns = stored(seen.key)
    now = row._replace(state=seen.state.value, reason=storable(seen.reason))
    if row.version and (seen.state in OPEN_STATES or seen.state is FileState.EMPTY):
        write(ledger, now)  # the key stays the one of the content
        return
    now = now._replace(
        size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, ino=ino, links=seen.links,
        kind=row.kind if row.version else seen.kind.value, birth_ns=row.birth_ns if row.ino == ino else None,
    )  # fmt: skip
    if row.version and (row.size, row.mtime_ns) != (size, mtime_ns):
        ledger.supersede(row)
        now = now._replace(content=None, quick=None, version=row.version + 1, at_us=at_us)
        ledger.tell(EventType.FILE_MODIFIED, now, at_us)
    write(ledger, now)


def change_attributes(ledger: Ledger, root: RootId, directory: bytes, name: bytes, at_us: int) -> bool:
    """Tell that owner, mode or times of a catalogued file changed; ``False`` if there is none."""
    place = ledger.known_directory(root, directory)
    row = None if place is None else ledger.at(place, name)
    if row is None or row.state != FileState.CATALOGUED:
        return False
    ledger.tell(EventType.FILE_ATTRIBUTES, row, at_us)
    ledger.flush()
    return True


# -- moved --------------------------------------------------------------------------------------


def move(
    ledger: Ledger,
    root: RootId,
    old: tuple[bytes, bytes],
    new: tuple[bytes, bytes],
    key: ChangeKey,
    links: int,
    at_us: int,
) -> bool:
    """Give a file another path; ``False`` if it is not the one that is known at the old one."""
    old_place = ledger.known_directory(root, old[0])
    row = None if old_place is None else ledger.at(old_place, old[1])
    key = stored(key)
    if row is None or (row.version and row.ino and key.ino and row.ino != key.ino):
        return False
    state = _state_after_move(row, key)
    now = row._replace(state=state, links=links, dir=ledger.directory(root, new[0]), name=new[1])
    if not row.version or state != FileState.SETTLING:  # else the key stays the one of the content
        now = now._replace(size=key.size, mtime_ns=key.mtime_ns, ctime_ns=key.ctime_ns, ino=key.ino)
    _put(ledger, row, now, at_us)
    ledger.flush()
    return True


def _state_after_move(row: FileRow, key: ChangeKey) -> str:
    """A file settles again if it changed on the way, or if it was not read yet: another name, other rules."""
    if not row.version or (row.size, row.mtime_ns) != (key.size, key.mtime_ns):
        return FileState.SETTLING.value
    return FileState.CATALOGUED.value if row.state == FileState.DEPARTED else row.state


def move_tree(ledger: Ledger, root: RootId, old: bytes, new: bytes, at_us: int) -> int:
    """Give all files at and below a directory their new paths; gives how many.

    What is known at the new place left it, or else the directory could not have taken its name.
    """
    depart_tree(ledger, root, new, at_us)
    count = 0
    while True:
        found = ledger.connection.execute(
            f"SELECT {COLUMNS}, d.path FROM dir d CROSS JOIN file f ON f.dir = d.id AND f.state <> 'missing'"
            f" WHERE d.root = :root AND {BELOW} AND f.gone_us IS NULL AND {_NOT_MOVED.format('f')} LIMIT {_AT_ONCE}",
            below(root, old),
        ).fetchall()
        for *values, path in found:
            row = FileRow._make(values)
            place = ledger.directory(root, (new + path[len(old) :]) if old else join(new, path))
            _put(ledger, row, row._replace(dir=place), at_us)
        ledger.flush()
        count += len(found)
        if len(found) < _AT_ONCE:
            forget_tree(ledger, root, old)
            return count


def _put(ledger: Ledger, before: FileRow, after: FileRow, at_us: int) -> None:
    """Write a row that may have another path, over whatever file had that path."""
    ledger.touch(before.dir)
    ledger.touch(after.dir)
    if (before.dir, before.name) != (after.dir, after.name):
        here = ledger.at(after.dir, after.name)
        if here is not None:
            ledger.replace(here, at_us)
    write(ledger, after)
    if before.version and (before.dir, before.name) != (after.dir, after.name):
        tell_move(ledger, before, after, at_us)


# -- gone ---------------------------------------------------------------------------------------

_DEPART = "UPDATE file SET state = 'departed', reason = NULL, gone_us = :at_us WHERE gone_us IS NULL AND"
_NOT_MOVED = "NOT EXISTS (SELECT 1 FROM step s WHERE s.file = {}.id AND s.state = 'open')"
"""What we are moving ourselves: its step says what becomes of it."""


def depart(ledger: Ledger, root: RootId, names: Iterable[tuple[bytes, bytes]], at_us: int) -> int:
    """Note that these names are gone; gives how many files were present under them."""
    count = 0
    for directory, name in names:
        place = ledger.known_directory(root, directory)
        if place is None:
            continue
        ledger.touch(place)
        count += ledger.connection.execute(
            f"{_DEPART} dir = :place AND name = :name AND state <> 'missing'",
            {"at_us": at_us, "place": place, "name": name},
        ).rowcount
    ledger.flush()
    return count


def depart_tree(ledger: Ledger, root: RootId, directory: bytes, at_us: int) -> int:
    """Note that a directory is gone with everything below it; gives how many files were present there."""
    count = ledger.connection.execute(
        f"{_DEPART} {_NOT_MOVED.format('file')} AND state <> 'missing'"
        f" AND dir IN (SELECT d.id FROM dir d WHERE d.root = :root AND {BELOW})",
        {**below(root, directory), "at_us": at_us},
    ).rowcount
    forget_tree(ledger, root, directory)
    return count


def forget_tree(ledger: Ledger, root: RootId, directory: bytes) -> None:
    """Note that a directory and those below it are not there any more."""
    ledger.connection.execute(
        f"UPDATE dir AS d SET signature = NULL, mtime_ns = NULL WHERE d.root = :root AND {BELOW}",
        below(root, directory),
    )


def delete(ledger: Ledger, files: Iterable[int], at_us: int) -> int:
    """Decide that departed files are deleted; gives how many events tell of it."""
    values = {"files": _ids(files), "at_us": at_us}
    chosen = "id IN (SELECT value FROM json_each(:files)) AND state = 'departed'"
    ledger.connection.execute(f"DELETE FROM file WHERE {chosen} AND version = 0", values)
    count = ledger.connection.execute(
        "INSERT INTO event (type, at_us, file, version, dir, name, size, content)"
        f" SELECT 'file.deleted', :at_us, id, version, dir, name, size, content FROM file WHERE {chosen} ORDER BY id",
        values,
    ).rowcount
    ledger.connection.execute(f"UPDATE file SET state = 'missing' WHERE {chosen}", values)
    return count


def restore(ledger: Ledger, files: Iterable[int]) -> None:
    """Take departed files back: they are still there."""
    for number in files:
        row = ledger.one("f.id = ? AND f.state = 'departed'", number)
        if row is not None:
            ledger.touch(row.dir)
            state = FileState.CATALOGUED if row.version else FileState.SETTLING
            write(ledger, row._replace(state=state.value))
    ledger.flush()


def prune(ledger: Ledger, before_us: int) -> int:
    """Forget files that are missing since before that time; gives how many. Their events stay."""
    values = (before_us,)
    chosen = "state = 'missing' AND gone_us IS NOT NULL AND gone_us < ?"
    for table in ("file_version", "judgement", "capture", "member", "kin", "unread"):
        ledger.connection.execute(f"DELETE FROM {table} WHERE file IN (SELECT id FROM file WHERE {chosen})", values)
    return ledger.connection.execute(f"DELETE FROM file WHERE {chosen}", values).rowcount


def _ids(files: Iterable[int]) -> str:
    return json.dumps(list(files))
