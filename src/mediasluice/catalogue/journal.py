"""The journal of moved bytes: what is to be done, what is being done, what was done.

Takes and gives named tuples with absolute paths as bytes. A step is written before anything of it happens, with the
change key and the digest that its source was judged by, and closed together with the facts that follow from it: an
item has its bytes, a file has left. Steps are never removed.
Fails with: sqlite3.Error.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mediasluice.catalogue.externals import TOLD
from mediasluice.catalogue.items import (
    FOLLOW,
    GIVE_WAY,
    IMPORT,
    IN_PLACE,
    PENDING,
    PROCESSED,
    STORED,
    cancel,
    forget_abandoned,
    refuse_pending,
)
from mediasluice.catalogue.ledger import FileRow, Ledger, loaded, stored
from mediasluice.catalogue.readings import capture_of
from mediasluice.catalogue.record import write
from mediasluice.catalogue.rows import storable
from mediasluice.model.events import EventType
from mediasluice.model.files import ChangeKey, FileState
from mediasluice.model.flow import RootId
from mediasluice.model.imports import COMPANION_ROLES, SHOT_ROLES, Judgement, Mode
from mediasluice.model.media import MEDIA_KINDS, Capture
from mediasluice.model.paths import join, split, text

MOVED_AWAY = "moved"
"""Reason of a file that is not at its path because we took it away: it is not missed."""


_PARTS_MAX = 8  # chosen: one of them has kept its own name


class Beside(NamedTuple):
    """A file of the same group that is at its place already."""

    name: bytes  # as it arrived
    path: bytes  # where its bytes are now
    directory: bytes = b""  # where it arrived


class Due(NamedTuple):
    """A file of which something is to be done, as it is now."""

    file: int
    version: int
    todo: str  # import | processed | follow; of a step also: give way
    judgement: Judgement
    item: int | None
    place: str | None  # of the item's bytes
    owner: str | None
    root: RootId
    directory: bytes
    name: bytes
    key: ChangeKey
    state: FileState
    blake3: bytes
    kind: str
    capture: Capture | None = None  # when it was made, once it was read
    found: str | None = None  # what stands inside, see `model.media.from_json`
    role: str | None = None  # in its group
    follows: int | None = None  # the file by whose name and place it goes
    master: Judgement | None = None  # on that one
    beside: Beside | None = None  # by this one it goes: one that it follows, or that follows it or the same one
    earlier: tuple[bytes, bytes] | None = None  # where an earlier version of a companion was brought, and its BLAKE3
    parts: tuple[Beside, ...] = ()  # others of the same disc that are, or are to be, where this one is to go
    tried: tuple[Beside, ...] = ()  # likewise, of steps that came to nothing; its own among them
    told: str | None = None  # of what is found by sources outside of the file, see `identify.external.merged`


class Planned(NamedTuple):
    """A step to be journalled."""

    due: Due
    mode: str
    source: bytes
    target: bytes
    follows: bool = False  # the source is a symbolic link to the file


class Open(NamedTuple):
    """A step of the journal that is not closed."""

    id: int
    planned: Planned


class Closed(NamedTuple):
    """How a step, or something that needed none, ended. ``source``: the key of what is still at the old place."""

    due: Due
    step: int | None
    mode: str  # how it was done
    path: bytes  # where the file's bytes are now
    key: ChangeKey  # of what is there
    source: ChangeKey | None
    then: str | None  # what is to be done next
    note: str | None
    data: dict[str, object]  # for the event


class Postponed(NamedTuple):
    """A step that was not done. ``next_us``: when it is tried again; ``None``: the rules refuse the file."""

    due: Due
    step: int | None
    reason: str
    next_us: int | None


_READ_KINDS = ", ".join(f"'{kind}'" for kind in sorted(MEDIA_KINDS))
_DUE = (
    "SELECT f.id, f.version, j.todo, j.judgement, j.item, i.place, a.name, d.root, d.path, f.name,"
    " f.ino, f.size, f.mtime_ns, f.ctime_ns, f.state, c.blake3, f.kind,"
    " cap.local, cap.offset_minutes, cap.source, cap.confidence, cap.rejected, rd.found,"
    " m.role, m.follows, mj.judgement,"
    f" {TOLD.format('f.content')}"
    " FROM {} CROSS JOIN file f ON f.id = j.file CROSS JOIN dir d ON d.id = f.dir"
    " LEFT JOIN content c ON c.id = f.content LEFT JOIN item i ON i.id = j.item LEFT JOIN account a ON a.id = i.owner"
    " LEFT JOIN capture cap ON cap.file = f.id AND cap.version = f.version"
    " LEFT JOIN reading rd ON rd.content = f.content LEFT JOIN member m ON m.file = f.id"
    " LEFT JOIN judgement mj ON mj.file = m.follows"
)
# What is not read yet is not imported: where it goes, and with whom, is known only then.
_IS_READ = f"(cap.file IS NOT NULL OR f.kind NOT IN ({_READ_KINDS}) OR j.todo = 'processed' OR f.state = 'missing')"


_SHOT = ", ".join(f"'{role}'" for role in sorted(SHOT_ROLES))
# Whom a file follows goes first, as long as it can still be placed: what it waits for, its group waits for. If it is a
# copy, its place is that of the item whose bytes are on their way; who follows nobody waits for nobody, so this ends.
_IS_HELD = (
    "EXISTS (SELECT 1 FROM file mf LEFT JOIN item mi ON mi.id = mj.item LEFT JOIN member hm ON hm.file = mi.file"
    " WHERE mf.id = m.follows AND mf.state = 'catalogued' AND mj.version = mf.version"
    " AND (mj.todo = 'import' OR mj.judgement = 'duplicate' AND mi.place = 'pending' AND hm.follows IS NULL))"
)
# Nobody knows yet where what is on its way will be; others of its group go by that.
_IS_MET = (
    "(EXISTS (SELECT 1 FROM step gs CROSS JOIN member g ON g.file = gs.file WHERE gs.state = 'open'"
    f" AND gs.purpose IN ('import', 'processed') AND g.file <> f.id AND m.role IN ({_SHOT}) AND g.role IN ({_SHOT})"
    " AND ifnull(g.follows, g.file) = ifnull(m.follows, f.id)))"
)
# A companion goes where the one that it belongs to is. One that lost it, or never had it, is due when its time is up.
_MAY_FOLLOW = (
    "(m.file IS NOT NULL AND m.follows IS NULL AND f.content IS NOT NULL"
    " OR mj.judgement = 'imported' AND mj.todo IS NOT 'import'"
    " OR mj.judgement = 'companion' AND mj.todo IS NOT 'follow'"
    " OR mj.judgement = 'duplicate' AND mj.todo IS NULL"
    # its item was deleted after it was moved: its bytes are where they were brought
    " OR mj.judgement = 'again' AND EXISTS"
    " (SELECT 1 FROM file mf WHERE mf.id = m.follows AND mf.state = 'missing' AND mf.reason = 'moved'))"
)


def due(connection: sqlite3.Connection, roots: Sequence[RootId], now_us: int, limit: int) -> list[Due]:
    """What is to be done now in these roots, first come, first served; gone files among it, for :func:`close`.

    Of a group that has no place yet there is one file at most: the one that the others wait for.
    """
    found = connection.execute(
        f"{_DUE.format('judgement j')} WHERE j.todo IS NOT NULL AND j.due_us <= ? AND j.version = f.version"
        f" AND f.state IN ('catalogued', 'missing') AND {_IS_READ} AND d.root IN (SELECT value FROM json_each(?))"
        " AND NOT EXISTS (SELECT 1 FROM step s WHERE s.file = j.file AND s.state = 'open')"
        # a copy is not set aside before the item that it is a copy of has bytes
        " AND NOT (j.todo = 'processed' AND j.judgement = 'duplicate' AND i.place IS 'pending')"
        f" AND NOT (j.todo = 'import' AND {_IS_HELD}) AND NOT (j.todo <> '{FOLLOW}' AND {_IS_MET})"
        f" AND (j.todo <> '{FOLLOW}' OR {_MAY_FOLLOW})"
        " AND NOT (j.todo = 'processed' AND mj.todo IS NOT NULL)"  # a group is set aside together
        " ORDER BY j.due_us LIMIT ?",
        (now_us, json.dumps(list(roots)), limit),
    ).fetchall()
    return _one_by_one(_with_beside(connection, _due(row)) for row in found)


def _one_by_one(found: Iterable[Due]) -> list[Due]:
    """Of media of one shot that have no place to go by yet only the first one: the others go by its place then."""
    met: set[tuple[str, int]] = set()
    result = []
    for due in found:
        if due.todo != FOLLOW and due.role in SHOT_ROLES and due.beside is None:
            group = due.todo, due.file if due.follows is None else due.follows
            if group in met:
                continue
            met.add(group)
        result.append(due)
    return result


def _with_beside(connection: sqlite3.Connection, due: Due) -> Due:
    """What is due, with the place of a file of its group, if it goes by that."""
    if _may_be_part(connection, due):
        due = due._replace(parts=_parts(connection, due), tried=_tried(connection, due))
    if due.todo == FOLLOW:
        query = (
            "SELECT target, blake3 FROM step WHERE file = ? AND purpose = ? AND state = 'done' ORDER BY id DESC LIMIT 1"
        )
        due = due._replace(earlier=connection.execute(query, (due.file, FOLLOW)).fetchone())
    if due.follows is None and due.role != "primary":
        return due  # tracks of an album go where they say themselves
    is_aside = due.todo == PROCESSED or due.master is Judgement.DUPLICATE
    for file, directory, name, path in _relatives(connection, due):
        if due.role in COMPANION_ROLES and file != due.follows:
            continue
        if is_aside and (due.todo == PROCESSED or due.role in COMPANION_ROLES):
            path = _brought(connection, file, PROCESSED)  # noqa: PLW2901 - another question, the same answer
        elif path is None:
            path = _brought(connection, file, FOLLOW)  # noqa: PLW2901
        if path is not None:
            return due._replace(beside=Beside(name, path, directory))
    return due


def _relatives(connection: sqlite3.Connection, due: Due) -> list[tuple[int, bytes, bytes, bytes | None]]:
    """The files of a group by whose places one of them may go: id, directory, name, and that place.

    The one that it follows comes first.
    """
    found = connection.execute(
        "SELECT o.file, f.name, j.judgement, i.place, i.path, r.path, d.path FROM"
        " (SELECT file, role FROM member WHERE file = :follows UNION"
        f" SELECT file, role FROM member WHERE follows = :follows AND role IN ({_SHOT}) UNION"
        f" SELECT file, role FROM member WHERE follows = :file AND role IN ({_SHOT})) o"
        " CROSS JOIN file f ON f.id = o.file CROSS JOIN dir d ON d.id = f.dir CROSS JOIN root r ON r.id = d.root"
        " LEFT JOIN judgement j ON j.file = f.id LEFT JOIN item i ON i.id = j.item"
        " WHERE o.file <> :file ORDER BY o.file IS NOT :follows, o.file",
        {"file": due.file, "follows": due.follows},
    ).fetchall()
    result = []
    for file, name, judgement, place, path, root, directory in found:
        at = None
        if judgement in (Judgement.IMPORTED, Judgement.DUPLICATE) and place == STORED:
            at = path
        elif judgement == Judgement.IMPORTED and place == IN_PLACE:
            at = root.rstrip(b"/") + b"/" + join(directory, name)
        elif judgement == Judgement.AGAIN:  # its item is deleted, and its bytes stay
            at = _brought(connection, file, IMPORT) or _brought(connection, file, PROCESSED)
        result.append((file, directory, name, at))
    return result


def _may_be_part(connection: sqlite3.Connection, due: Due) -> bool:
    """Whether a file may be part of a disc; one that came alone is known as such by its name only."""
    if due.follows is not None or due.todo not in (IMPORT, PROCESSED):
        return False
    if due.role == "primary":
        query = "SELECT 1 FROM member WHERE master = ? AND role = 'part' LIMIT 1"
        return connection.execute(query, (due.file,)).fetchone() is not None
    return due.role == "part" or (due.role is None and due.kind in ("other", "video"))


# The file itself and the parts of the same disc.
_DISC = (
    "(SELECT :file AS file UNION SELECT o.file FROM member own CROSS JOIN member o ON o.master = own.master"
    " WHERE own.file = :file AND (o.role = 'part' OR o.role = 'primary' AND own.role = 'part')) disc"
    " CROSS JOIN file f ON f.id = disc.file CROSS JOIN dir d ON d.id = f.dir"
)


def _parts(connection: sqlite3.Connection, due: Due) -> tuple[Beside, ...]:
    """Some other parts of a disc that were brought to their places, or are on their way, whatever their items are."""
    found: list[tuple[bytes, bytes, bytes]] = []
    if due.role is None:
        return ()
    if due.todo == IMPORT:
        found = connection.execute(
            f"SELECT f.name, i.path, d.path FROM {_DISC} CROSS JOIN judgement j ON j.file = f.id"
            " CROSS JOIN item i ON i.id = j.item WHERE disc.file <> :file AND j.judgement = 'imported'"
            f" AND i.place = '{STORED}' ORDER BY disc.file LIMIT {_PARTS_MAX}",
            {"file": due.file},
        ).fetchall()
    found += _steps_of_disc(connection, due, "disc.file <> :file AND s.state IN ('done', 'open')") if not found else []
    return tuple(Beside(*row) for row in found)


def _tried(connection: sqlite3.Connection, due: Due) -> tuple[Beside, ...]:
    """Where parts of a disc were to be brought by the last steps of which nothing came."""
    return tuple(Beside(*row) for row in _steps_of_disc(connection, due, "s.state = 'undone'"))


def _steps_of_disc(connection: sqlite3.Connection, due: Due, which: str) -> list[tuple[bytes, bytes, bytes]]:
    query = (
        f"SELECT f.name, s.target, d.path FROM {_DISC} CROSS JOIN step s ON s.file = f.id AND s.purpose = :todo"
        f" WHERE {which} ORDER BY s.id DESC LIMIT {_PARTS_MAX}"
    )
    return connection.execute(query, {"file": due.file, "todo": due.todo}).fetchall()


def _brought(connection: sqlite3.Connection, file: int, purpose: str) -> bytes | None:
    """Where a file was brought last for this purpose."""
    query = "SELECT target FROM step WHERE file = ? AND purpose = ? AND state = 'done' ORDER BY id DESC LIMIT 1"
    found = connection.execute(query, (file, purpose)).fetchone()
    return None if found is None else bytes(found[0])


def _due(row: Sequence[object]) -> Due:
    file, version, todo, judgement, item, place, owner, root, directory, name, *rest = row
    key, (state, blake3, kind), capture = rest[:4], rest[4:7], rest[7:12]
    found, role, follows, master, told = rest[12:]
    return Due(
        file, version, todo, Judgement(judgement), item, place, owner, RootId(root), directory, name,  # type: ignore[arg-type]
        loaded(*key), FileState(state), blake3 or b"", kind, capture_of(capture), found,  # type: ignore[arg-type]
        role, follows, None if master is None else Judgement(master), told=told,  # type: ignore[arg-type]
    )  # fmt: skip


def next_due_us(connection: sqlite3.Connection) -> int | None:
    """When the next thing is to be done, or ``None`` if nothing is."""
    row = connection.execute("SELECT min(due_us) FROM judgement WHERE todo IS NOT NULL").fetchone()
    return None if row[0] is None else int(row[0])


def open_steps(ledger: Ledger, planned: Iterable[Planned], at_us: int) -> list[int | None]:
    """Write steps down; gives their ids, in order; ``None`` for what is not to be done any more."""
    ids: list[int | None] = []
    for due, mode, source, target, _ in planned:
        still = ledger.connection.execute(
            "SELECT 1 FROM judgement WHERE file = ? AND version = ? AND todo = ? AND item IS ?",
            (due.file, due.version, FOLLOW if due.todo == GIVE_WAY else due.todo, due.item),
        ).fetchone()
        if still is None:
            ids.append(None)
            continue
        key = stored(due.key)
        made = ledger.connection.execute(
            "INSERT INTO step (file, item, purpose, mode, source, target, ino, size, mtime_ns, ctime_ns, blake3, state,"
            " at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?)",
            (due.file, due.item, due.todo, mode, source, target, *key, due.blake3, at_us),
        )
        assert made.lastrowid is not None
        ids.append(made.lastrowid)
    return ids


def retarget(ledger: Ledger, targets: Iterable[tuple[int, bytes]]) -> None:
    """Open steps go elsewhere: somebody took their names. Nothing of them has happened."""
    ledger.connection.executemany("UPDATE step SET target = ? WHERE id = ?", [(path, step) for step, path in targets])


def unfinished(connection: sqlite3.Connection) -> list[Open]:
    """The steps that an earlier run left open, oldest first."""
    found = connection.execute(
        f"{_DUE.format('step s CROSS JOIN judgement j ON j.file = s.file')} WHERE s.state = 'open' ORDER BY s.id"
    ).fetchall()
    known = {row[0]: _due((*row[:2], row[2] or IMPORT, row[3] or Judgement.PENDING, *row[4:])) for row in found}
    steps = connection.execute(
        "SELECT id, file, item, purpose, mode, source, target, ino, size, mtime_ns, ctime_ns, blake3 FROM step"
        " WHERE state = 'open' ORDER BY id"
    ).fetchall()
    result = []
    for number, file, item, purpose, mode, source, target, *key, blake3 in steps:
        here = known.get(file)
        directory, name = split(source) if here is None else (here.directory, here.name)
        root = RootId(0) if here is None else here.root
        version = 0 if here is None or here.blake3 != blake3 else here.version  # 0: the file is another version by now
        due = Due(
            file, version, purpose, Judgement.PENDING, item,
            None if here is None else here.place, None if here is None else here.owner, root, directory, name,
            loaded(*key), FileState.CATALOGUED, blake3, "" if here is None else here.kind,
        )  # fmt: skip
        if here is not None and version:  # what is told of it when it is done
            due = due._replace(capture=here.capture, role=here.role, follows=here.follows, master=here.master)
        result.append(Open(number, Planned(due, mode, source, target)))
    return result


def close(ledger: Ledger, ended: Iterable[Closed | Postponed], at_us: int) -> None:
    """Note how things ended, with all that follows from it."""
    for one in ended:
        if isinstance(one, Closed):
            _end_step(ledger, one, at_us)
            if one.due.todo == GIVE_WAY:
                continue  # its file is still to be brought
            if one.due.todo == FOLLOW:
                _join(ledger, one, at_us)
            _close_done(ledger, one, at_us)
        else:
            _close_undone(ledger, one, at_us)
    ledger.flush()


def _end_step(ledger: Ledger, one: Closed, at_us: int) -> None:
    if one.step is not None:
        ledger.connection.execute(
            "UPDATE step SET state = 'done', mode = ?, note = ?, ended_us = ? WHERE id = ?",
            (one.mode, storable(one.note), at_us, one.step),
        )


def _close_done(ledger: Ledger, one: Closed, at_us: int) -> None:
    run, due = ledger.connection.execute, one.due
    row = ledger.one("f.id = ?", due.file)
    item = None
    if due.item is not None:  # it may have been deleted meanwhile: its bytes stay where they were brought
        item = run("SELECT title, state FROM item WHERE id = ?", (due.item,)).fetchone()
    if item is None:
        pass
    elif due.todo == IMPORT:
        place, path = (IN_PLACE, None) if one.mode == Mode.IN_PLACE else (STORED, one.path)
        run("UPDATE item SET place = ?, path = ? WHERE id = ?", (place, path, due.item))
        if row is not None:
            what = EventType.ITEM_IMPORTED if due.place == PENDING else EventType.ITEM_UPDATED
            ledger.tell(what, row, at_us, data=json.dumps({**one.data, "title": item[0], "state": item[1]}))
    elif due.todo == PROCESSED:
        run(
            f"UPDATE item SET place = '{STORED}', path = ? WHERE id = ? AND file = ? AND place = '{IN_PLACE}'",
            (one.path, due.item, due.file),
        )
    run(
        "UPDATE judgement SET judgement = CASE judgement WHEN 'pending' THEN 'imported' ELSE judgement END, reason = ?,"
        " todo = ?, due_us = ?, at_us = ?"
        " WHERE file = ? AND version = ? AND judgement <> 'again'",  # else something is still to be done
        (storable(one.note), one.then, at_us if one.then else None, at_us, due.file, due.version),
    )
    if row is None or row.version != due.version:
        return  # what is at its path now is another version, which nobody moved
    if one.source is None:
        if one.path != _path(ledger, row):
            _left(ledger, row, one, at_us)
    elif row.ctime_ns != stored(one.source).ctime_ns:
        # A link changes the time of the original: by this it is known as unchanged.
        ledger.touch(row.dir)
        run("UPDATE file SET ctime_ns = ? WHERE id = ?", (stored(one.source).ctime_ns, row.id))


def _join(ledger: Ledger, one: Closed, at_us: int) -> None:
    """A companion is where it belongs: it counts to the item of the file that it follows."""
    found = ledger.connection.execute(
        "SELECT i.id, j.judgement, i.title FROM member m CROSS JOIN judgement j ON j.file = m.follows"
        " CROSS JOIN item i ON i.id = j.item WHERE m.file = ?",
        (one.due.file,),
    ).fetchone()
    row = ledger.one("f.id = ?", one.due.file)
    if found is None or found[1] == Judgement.DUPLICATE or row is None:
        return  # it was set aside with a copy, or its item is deleted
    ledger.connection.execute(
        "UPDATE judgement SET item = ? WHERE file = ? AND version = ? AND judgement = 'companion'",
        (found[0], one.due.file, one.due.version),
    )
    data = {**one.data, "item": found[0], "title": found[2]}
    ledger.tell(EventType.ITEM_JOINED, row, at_us, data=json.dumps(data))


def _path(ledger: Ledger, row: FileRow | None) -> bytes | None:
    """The absolute path of a file."""
    if row is None:
        return None
    root, directory = ledger.connection.execute(
        "SELECT r.path, d.path FROM dir d CROSS JOIN root r ON r.id = d.root WHERE d.id = ?", (row.dir,)
    ).fetchone()
    above: bytes = root.rstrip(b"/") + b"/" + (directory + b"/" if directory else b"")
    return above + row.name


def _left(ledger: Ledger, row: FileRow, one: Closed, at_us: int) -> None:
    """We moved the file: it is known at its new place, if that is in another root, or else not looked for any more."""
    if row.state == FileState.MISSING or (row.dir, row.name) != _place(ledger, one):
        return
    ledger.touch(row.dir)
    data = {"cause": one.due.todo, **one.data}
    found = _root_of(ledger, one.path, one.due.root)
    if found is not None:
        root, path = found
        directory, name = split(one.path[len(path.rstrip(b"/")) + 1 :])
        place = ledger.directory(RootId(root), directory)
        here = ledger.at(place, name)
        if here is None:
            key = stored(one.key)
            now = row._replace(
                dir=place, name=name, size=key.size, mtime_ns=key.mtime_ns, ctime_ns=key.ctime_ns, ino=key.ino,
                birth_ns=row.birth_ns if row.ino == key.ino else None,
            )  # fmt: skip
            ledger.touch(place)
            write(ledger, now)
            data.pop("to", None)  # the event stands at the new place
            ledger.tell(EventType.FILE_MOVED, now, at_us, other=(row.dir, row.name), data=json.dumps(data))
            return
    ledger.tell(EventType.FILE_MOVED, row, at_us, data=json.dumps({**data, "to": text(one.path)}))
    # Without its content: an equal file that arrives later is another one, not this one come back.
    ledger.connection.execute(
        "UPDATE file SET state = 'missing', reason = ?, content = NULL, quick = NULL, gone_us = ? WHERE id = ?",
        (MOVED_AWAY, at_us, row.id),
    )


def _root_of(ledger: Ledger, path: bytes, other: RootId) -> tuple[int, bytes] | None:
    """The root that holds a path, as (id, path)."""
    for root, at in ledger.connection.execute("SELECT id, path FROM root WHERE id <> ? AND watched <> 'off'", (other,)):
        if path.startswith(at.rstrip(b"/") + b"/"):
            return root, at
    return None


def _place(ledger: Ledger, one: Closed) -> tuple[int | None, bytes]:
    """Where the file was when this was planned."""
    return ledger.known_directory(one.due.root, one.due.directory), one.due.name


def _close_undone(ledger: Ledger, one: Postponed, at_us: int) -> None:
    run, due = ledger.connection.execute, one.due
    if one.step is not None:
        run(
            "UPDATE step SET state = 'undone', note = ?, ended_us = ? WHERE id = ?",
            (storable(one.reason), at_us, one.step),
        )
    if one.next_us is not None:
        run(
            "UPDATE judgement SET reason = ?, due_us = ? WHERE file = ? AND todo IS NOT NULL",
            (storable(one.reason), one.next_us, due.file),
        )
    elif due.state is FileState.MISSING:
        cancel(ledger, [due.file])
    elif due.todo in (PROCESSED, FOLLOW):  # it is dealt with; only its place is not what was wished
        run(
            "UPDATE judgement SET todo = NULL, due_us = NULL, reason = ? WHERE file = ?",
            (storable(one.reason), due.file),
        )
    else:
        refuse_pending(ledger, due.file, one.reason, at_us)
    if due.item is not None:
        forget_abandoned(ledger, due.item)
