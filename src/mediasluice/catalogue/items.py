"""Judge files by the rules of an importing library, and keep what became items of them.

Takes ids of catalogued files; claims an item for each content that its scope has not, in the transaction that
recorded the file: whoever comes second finds the claim, also after a crash. The bytes follow later, see ``journal``.
Fails with: sqlite3.Error, UsageError (no such item or account).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mediasluice.catalogue.ledger import COLUMNS, FileRow, Ledger
from mediasluice.catalogue.rows import Observed, storable
from mediasluice.errors import UsageError
from mediasluice.model.events import EventType
from mediasluice.model.files import FileState
from mediasluice.model.flow import RootId
from mediasluice.model.imports import COMPANION_ROLES, Existing, ImportRules, Judgement, Scope
from mediasluice.model.paths import join

IMPORT, PROCESSED, FOLLOW, GIVE_WAY = "import", "processed", "follow", "give way"
"""What is to be done with a file: bring it to its target; set it aside, now that it is dealt with; bring it to the one
that it belongs to. To give way is a purpose of steps only: the version of a companion that is there leaves its name to
the next one."""

PENDING, IN_PLACE, STORED = "pending", "file", "path"
"""Where the bytes of an item are: nowhere yet, where its file is, at a path of their own."""


class Known(NamedTuple):
    """What whoever wants files judged knows of them.

    ``duplicates``: an event says of them already that they are. ``companions``: by their names they mean nothing by
    themselves, with how long [us] they wait for the one that they belong to until they are judged like any other;
    ``None``: for ever. What the catalogue knows to belong to another file needs no mention.
    """

    duplicates: Collection[int] = ()
    companions: Mapping[int, int | None] = {}


_NOTHING = Known()


class _Place(NamedTuple):
    """What the judgements of one root share."""

    library: int
    path: bytes  # of the root
    owner: int | None
    scope: str
    rules: ImportRules


def judge(
    ledger: Ledger,
    root: RootId,
    rules: ImportRules,
    files: Sequence[int],
    at_us: int,
    *,
    baseline: bool = False,
    by_hand: bool = False,
    known: Known = _NOTHING,
) -> int | None:
    """Judge files that have no judgement at their present version; gives for how many something is to be done.

    ``baseline``: they were there before the root was watched. ``by_hand``: a person wants them, or the rules are others
    now. ``None``: nothing was judged, because the owner is no account any more.
    """
    place = _place(ledger, root, rules)
    if place is None:
        return None
    if by_hand:
        files = [*files, *_followers(ledger, files)]  # a group is imported as one
    todo = 0
    led, leading = _ties(ledger, files)
    for row, directory, judged in _rows(ledger, files):
        if judged is not None and judged.version == row.version and not _is_open(judged, by_hand=by_hand):
            continue
        if baseline and rules.existing is Existing.BASELINE and not by_hand and judged is None:
            _write(ledger, row, Judgement.BASELINE, None, "it was there before its library was watched", None, at_us)
            continue
        is_led = row.id in led
        may_wait = row.id in known.companions and row.id not in leading
        if (is_led or may_wait) and _needs_no_item(ledger, row, judged):
            wait_us = 0 if is_led else known.companions[row.id]
            _write(ledger, row, Judgement.COMPANION, None, None, FOLLOW, at_us, wait_us=wait_us)
            todo += wait_us is not None
            continue
        todo += _judge_one(ledger, place, row, directory, judged, at_us, is_told=row.id in known.duplicates)
    ledger.flush()
    return todo


_OWN = (Judgement.IMPORTED, Judgement.PENDING, Judgement.REFUSED)
"""What a file is judged whose item, if it has one, is its own. A refused one had it before it was refused."""


_ANEW = "judgement = 'again', item = NULL, todo = NULL"
_AGAIN = f"UPDATE judgement SET {_ANEW}, due_us = ?"
"""With a time: to be judged again at once; without one: by the next pass."""


class _Judged(NamedTuple):
    version: int
    judgement: Judgement
    item: int | None


def _is_open(judged: _Judged, *, by_hand: bool) -> bool:
    """Whether a file may be judged again though it did not change."""
    if judged.judgement is Judgement.COMPANION:
        return by_hand and judged.item is None  # else it is where it belongs
    return judged.judgement is Judgement.AGAIN or (
        by_hand and judged.judgement in (Judgement.BASELINE, Judgement.REFUSED)
    )


def _followers(ledger: Ledger, files: Collection[int]) -> list[int]:
    """Files that go by the names and places of these."""
    query = "SELECT m.file FROM json_each(?) wanted CROSS JOIN member m ON m.follows = wanted.value"
    found = [row[0] for row in ledger.connection.execute(query, (json.dumps(list(files)),)).fetchall()]
    return sorted({*found} - {*files})


def _ties(ledger: Ledger, files: Collection[int]) -> tuple[set[int], set[int]]:
    """Those of these files that are known to be companions of another one, and those that are known to be none."""
    query = (
        "SELECT m.file, m.role, m.follows FROM json_each(?) wanted CROSS JOIN member m ON m.file = wanted.value"
        " WHERE m.role IS NOT NULL"
    )
    found = ledger.connection.execute(query, (json.dumps(list(files)),)).fetchall()
    led = {file for file, role, follows in found if role in COMPANION_ROLES and follows is not None}
    return led, {file for file, role, _ in found if role not in COMPANION_ROLES}


def _needs_no_item(ledger: Ledger, row: FileRow, judged: _Judged | None) -> bool:
    """Whether a companion is no item of its own yet; a mere claim is given back."""
    if judged is None or judged.judgement not in _OWN or judged.item is None:
        return True
    claimed = _pending_item(ledger, row.id)
    if claimed is None or _is_under_way(ledger, claimed):
        return False
    _forget_item(ledger, claimed)
    return True


def _place(ledger: Ledger, root: RootId, rules: ImportRules) -> _Place | None:
    library, path = ledger.connection.execute("SELECT library, path FROM root WHERE id = ?", (root,)).fetchone()
    owner = None
    if rules.owner is not None:
        found = ledger.connection.execute("SELECT id FROM account WHERE name = ?", (rules.owner,)).fetchone()
        if found is None:
            return None
        owner = found[0]
    scope = {Scope.ALL: "", Scope.OWNER: f"owner:{owner}", Scope.LIBRARY: f"library:{library}"}[rules.scope]
    return _Place(library, path.rstrip(b"/"), owner, scope, rules)


def _rows(ledger: Ledger, files: Sequence[int]) -> Iterable[tuple[FileRow, bytes, _Judged | None]]:
    """The files that are catalogued with their digests, in the given order."""
    found = ledger.connection.execute(
        f"SELECT {COLUMNS}, d.path, j.version, j.judgement, j.item FROM json_each(?) wanted"
        " CROSS JOIN file f ON f.id = wanted.value CROSS JOIN dir d ON d.id = f.dir"
        " LEFT JOIN judgement j ON j.file = f.id"
        " WHERE f.state = 'catalogued' AND f.content IS NOT NULL ORDER BY wanted.key",
        (json.dumps(list(files)),),
    ).fetchall()
    for *values, directory, version, judgement, item in found:
        judged = None if version is None else _Judged(version, Judgement(judgement), item)
        yield FileRow._make(values), directory, judged


def _judge_one(
    ledger: Ledger, place: _Place, row: FileRow, directory: bytes, judged: _Judged | None, at_us: int, *, is_told: bool
) -> int:
    run = ledger.connection.execute
    own = judged.item if judged is not None and judged.judgement in _OWN else None
    holder = run(
        "SELECT i.id, i.place, i.path, i.file FROM item i WHERE i.scope = ? AND i.content = ?",
        (place.scope, row.content),
    ).fetchone()
    if holder is not None and (
        holder[0] == own or _is_its_own(ledger, holder, place.path + b"/" + join(directory, row.name))
    ):
        _write(ledger, row, Judgement.IMPORTED, holder[0], None, None, at_us)
        return 0
    if holder is not None:
        if own is not None:
            _give_up(ledger, own, row, at_us)
        todo = PROCESSED if place.rules.moves_duplicates else None
        _write(ledger, row, Judgement.DUPLICATE, holder[0], None, todo, at_us)
        if is_told:
            _name_item(ledger, row, holder[0])
        else:
            _tell_duplicate(ledger, row, holder, at_us)
        return int(todo is not None)
    if own is not None:
        run("UPDATE item SET content = ?, kind = ?, at_us = ? WHERE id = ?", (row.content, row.kind, at_us, own))
        run(f"{_AGAIN} WHERE item = ? AND judgement = 'duplicate'", (at_us, own))  # of what it was before
    else:
        own = _claim(ledger, place, row, at_us)
    _write(ledger, row, Judgement.PENDING, own, None, IMPORT, at_us)
    return 1


def _claim(ledger: Ledger, place: _Place, row: FileRow, at_us: int) -> int:
    stem = row.name.rpartition(b".")[0] or row.name
    now = datetime.fromtimestamp(at_us / 1e6).astimezone()
    number = ledger.connection.execute(
        "INSERT INTO item (scope, content, library, owner, title, description, state, kind, place, file, at_us)"
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, '{PENDING}', ?, ?)",
        (
            place.scope, row.content, place.library, place.owner, stem.decode("utf-8", "replace"),
            f"Auto-imported from directory on {now:%Y-%m-%d %H:%M:%S}", place.rules.state.value, row.kind,
            row.id, at_us,
        ),
    ).lastrowid  # fmt: skip
    assert number is not None
    return number


def _is_its_own(ledger: Ledger, holder: tuple[Any, ...], path: bytes) -> bool:
    """Whether a file is the very bytes of the item: a target may lie in another library."""
    item, _, at, _ = holder
    if at is not None:
        return bool(at == path)
    query = "SELECT 1 FROM step WHERE state = 'open' AND item = ? AND target = ?"
    return ledger.connection.execute(query, (item, path)).fetchone() is not None


def _give_up(ledger: Ledger, item: int, row: FileRow, at_us: int) -> None:
    """A file that was an item became a copy of another one. What is stored elsewhere stays an item.

    So does what is on its way there; if it does not arrive, :func:`forget_abandoned` ends it.
    """
    place = ledger.connection.execute("SELECT place FROM item WHERE id = ?", (item,)).fetchone()[0]
    if place != STORED and not _is_under_way(ledger, item):
        _remove(ledger, item, row, at_us, because="its file has the content of another item now")


def _tell_duplicate(ledger: Ledger, row: FileRow, holder: tuple[Any, ...], at_us: int) -> None:
    item, _, _, file = holder
    first = ledger.one("f.id = ?", file)
    other = None if first is None else (first.dir, first.name)
    ledger.tell(EventType.FILE_DUPLICATE, row, at_us, other=other, data=json.dumps({"of": file, "item": item}))


def _name_item(ledger: Ledger, row: FileRow, item: int) -> None:
    """Say of which item a file is a duplicate, in the event that this transaction told of it."""
    ledger.connection.execute(
        "UPDATE event SET data = json_set(data, '$.item', ?)"
        " WHERE seq = (SELECT max(seq) FROM event WHERE file = ? AND type = 'file.duplicate')",
        (item, row.id),
    )


def _write(
    ledger: Ledger,
    row: FileRow,
    judgement: Judgement,
    item: int | None,
    reason: str | None,
    todo: str | None,
    at_us: int,
    *,
    wait_us: int | None = 0,
) -> None:
    due_us = None if todo is None or wait_us is None else at_us + wait_us
    ledger.connection.execute(
        "INSERT INTO judgement (file, version, judgement, item, reason, todo, due_us, at_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (file) DO UPDATE SET version = excluded.version,"
        " judgement = excluded.judgement, item = excluded.item, reason = excluded.reason, todo = excluded.todo,"
        " due_us = excluded.due_us, at_us = excluded.at_us",
        (row.id, row.version, judgement.value, item, storable(reason), todo, due_us, at_us),
    )


# -- companions ---------------------------------------------------------------------------------


def regroup(ledger: Ledger, ties: Iterable[tuple[int, str | None, int | None]]) -> None:
    """Files have another place in their group: (file, role, whom it follows).

    What turns out to be a companion claims nothing any more, and goes to the one that it follows. What lost that before
    it was there is judged anew. What is at its place stays there.
    """
    for file, role, follows in ties:
        query = "SELECT judgement, item, todo FROM judgement WHERE file = ?"
        found = ledger.connection.execute(query, (file,)).fetchone()
        if found is None or _is_moving(ledger, file):
            continue
        judgement, item, todo = Judgement(found[0]), found[1], found[2]
        is_companion = follows is not None and role in COMPANION_ROLES
        if judgement is Judgement.COMPANION and item is None:
            if todo is None and _was_brought(ledger, file):
                continue
            if is_companion:
                ledger.connection.execute(
                    f"UPDATE judgement SET todo = '{FOLLOW}', due_us = at_us, reason = NULL WHERE file = ?", (file,)
                )
            elif todo is not None:
                ledger.connection.execute(f"UPDATE judgement SET {_ANEW}, due_us = at_us WHERE file = ?", (file,))
        elif is_companion and judgement in (Judgement.PENDING, Judgement.DUPLICATE):
            _turn(ledger, file, judgement)


def _turn(ledger: Ledger, file: int, judgement: Judgement) -> None:
    """What was taken for a file of its own is a companion. An item that has its bytes stays one."""
    row = ledger.one("f.id = ? AND f.state = 'catalogued'", file)
    if row is None:
        return
    at_us = ledger.connection.execute("SELECT at_us FROM judgement WHERE file = ?", (file,)).fetchone()[0]
    if judgement is Judgement.PENDING:
        claimed = _pending_item(ledger, file)
        if claimed is None:
            return
        _forget_item(ledger, claimed)
    _write(ledger, row, Judgement.COMPANION, None, None, FOLLOW, at_us)


def _was_brought(ledger: Ledger, file: int) -> bool:
    """Whether a companion was brought to the file that it belongs to."""
    query = f"SELECT 1 FROM step WHERE file = ? AND purpose = '{FOLLOW}' AND state = 'done'"
    return ledger.connection.execute(query, (file,)).fetchone() is not None


def _is_moving(ledger: Ledger, file: int) -> bool:
    query = "SELECT 1 FROM step WHERE file = ? AND state = 'open'"
    return ledger.connection.execute(query, (file,)).fetchone() is not None


# -- refused ------------------------------------------------------------------------------------


def refuse(ledger: Ledger, rows: Sequence[Observed], at_us: int) -> None:
    """Judge files that are not read: those that the rules do not want, and junk. Each is told once.

    An empty file is not judged. What any of them was to become is not claimed any more.
    """
    for seen in rows:
        if seen.state not in (FileState.SKIPPED, FileState.JUNK, FileState.EMPTY):
            continue
        place = ledger.known_directory(seen.root, seen.directory)
        row = None if place is None else ledger.at(place, seen.name)
        if row is None or row.state != seen.state:
            continue
        claimed = _pending_item(ledger, row.id)
        if row.state == FileState.EMPTY:
            ledger.connection.execute("DELETE FROM judgement WHERE file = ? AND judgement = 'pending'", (row.id,))
        else:
            _refuse_one(ledger, row, at_us)
        if claimed is not None:
            forget_abandoned(ledger, claimed)
    ledger.flush()


def _refuse_one(ledger: Ledger, row: FileRow, at_us: int) -> None:
    reason = row.reason or ""
    version, judgement, item, told = ledger.connection.execute(
        "SELECT version, judgement, item, reason FROM judgement WHERE file = ?", (row.id,)
    ).fetchone() or (None, None, None, None)
    if (version, judgement, told) == (row.version, Judgement.REFUSED, reason):
        return
    keeps = (
        judgement in _OWN
        and item is not None
        and (_pending_item(ledger, row.id) is None or _is_under_way(ledger, item))
    )
    _write(ledger, row, Judgement.REFUSED, item if keeps else None, reason, None, at_us)
    what = EventType.FILE_JUNK if row.state == FileState.JUNK else EventType.ITEM_REFUSED
    ledger.tell(what, row, at_us, data=json.dumps({"reason": reason}))


def refuse_pending(ledger: Ledger, file: int, reason: str, at_us: int) -> None:
    """Refuse what was to be imported, by the library's own rules: a claim is given back, an item stays as it was."""
    row = ledger.one("f.id = ?", file)
    query = "SELECT item FROM judgement WHERE file = ? AND judgement = 'pending'"
    pending = ledger.connection.execute(query, (file,)).fetchone()
    if row is None or pending is None:
        return
    claimed = _pending_item(ledger, file)
    if claimed is not None:
        _forget_item(ledger, claimed)
    _write(ledger, row, Judgement.REFUSED, pending[0] if claimed is None else None, reason, None, at_us)
    ledger.tell(EventType.ITEM_REFUSED, row, at_us, data=json.dumps({"reason": storable(reason)}))
    ledger.flush()


def cancel(ledger: Ledger, files: Iterable[int]) -> None:
    """Files that were to be imported are gone for good: nothing is claimed any more."""
    for file in files:
        row = ledger.one("f.id = ?", file)
        if row is not None and row.state != FileState.MISSING:
            continue
        item = _pending_item(ledger, file)
        if item is not None:
            _forget_item(ledger, item)
        else:
            ledger.connection.execute("UPDATE judgement SET todo = NULL, due_us = NULL WHERE file = ?", (file,))


def _pending_item(ledger: Ledger, file: int) -> int | None:
    """The item that a file is to become and whose bytes are nowhere yet."""
    found = ledger.connection.execute(
        "SELECT i.id FROM judgement j CROSS JOIN item i ON i.id = j.item"
        " WHERE j.file = ? AND j.judgement = 'pending' AND i.place = 'pending'",
        (file,),
    ).fetchone()
    return None if found is None else int(found[0])


def _forget_item(ledger: Ledger, item: int) -> None:
    """Remove a claim; what was called its duplicate is judged again."""
    ledger.connection.execute("DELETE FROM judgement WHERE item = ? AND judgement = 'pending'", (item,))
    at_us = ledger.connection.execute("SELECT at_us FROM item WHERE id = ?", (item,)).fetchone()[0]
    ledger.connection.execute(f"{_AGAIN} WHERE item = ?", (at_us, item))
    ledger.connection.execute("DELETE FROM item WHERE id = ?", (item,))


def give_back_claims(ledger: Ledger, roots: Collection[RootId]) -> None:
    """Give back what is claimed for files of other roots than these; they are judged again when theirs is back."""
    found = ledger.connection.execute(
        "SELECT j.file, i.id FROM item i CROSS JOIN judgement j ON j.item = i.id AND j.judgement = 'pending'"
        " CROSS JOIN file f ON f.id = j.file CROSS JOIN dir d ON d.id = f.dir WHERE i.place = 'pending'"
        " AND d.root NOT IN (SELECT value FROM json_each(?))",
        (json.dumps(list(roots)),),
    ).fetchall()
    for file, item in found:
        if not _is_under_way(ledger, item):
            ledger.connection.execute(f"{_AGAIN} WHERE file = ?", (None, file))
            _forget_item(ledger, item)


def forget_abandoned(ledger: Ledger, item: int) -> None:
    """Give back a claim that no file is going to fulfil any more, unless its bytes are on their way."""
    found = ledger.connection.execute(
        "SELECT 1 FROM item i WHERE i.id = ? AND i.place = 'pending' AND NOT EXISTS"
        " (SELECT 1 FROM judgement j WHERE j.item = i.id AND j.judgement = 'pending')",
        (item,),
    ).fetchone()
    if found is not None and not _is_under_way(ledger, item):
        _forget_item(ledger, item)


def _is_under_way(ledger: Ledger, item: int) -> bool:
    """Whether the bytes of an item are being brought to their place."""
    query = "SELECT 1 FROM step WHERE state = 'open' AND item = ?"
    return ledger.connection.execute(query, (item,)).fetchone() is not None


# -- items --------------------------------------------------------------------------------------


def change_item(ledger: Ledger, item: int, values: Mapping[str, str], at_us: int) -> None:
    """Set title, description, owner (the name of an account) or state of an item."""
    row = _item(ledger, item)
    columns: dict[str, object] = dict(values)
    if "owner" in values:
        columns["owner"] = account_id(ledger, values["owner"])
        columns |= _scope_of_owner(ledger, item, int(str(columns["owner"])), values["owner"])
    sets = ", ".join(f"{name} = ?" for name in columns)
    ledger.connection.execute(f"UPDATE item SET {sets} WHERE id = ?", (*columns.values(), item))
    _tell(ledger, EventType.ITEM_CHANGED, row, at_us, {"item": item, **values})
    ledger.flush()


def _scope_of_owner(ledger: Ledger, item: int, owner: int, name: str) -> dict[str, object]:
    """The scope of an item that is given to somebody, if it counts among the items of its owner."""
    run = ledger.connection.execute
    scope, content = run("SELECT scope, content FROM item WHERE id = ?", (item,)).fetchone()
    if not scope.startswith("owner:"):
        return {}
    fresh = f"owner:{owner}"
    query = "SELECT id FROM item WHERE scope = ? AND content = ? AND id <> ?"
    other = run(query, (fresh, content, item)).fetchone()
    if other is not None:
        message = f"{name} has this content already, as item {other[0]}"
        raise UsageError(message, hint=f"delete one of them: sluice items delete {item}")
    return {"scope": fresh}


def delete_item(ledger: Ledger, item: int, at_us: int) -> bytes | None:
    """Forget an item; gives where its bytes are, which stay. Files of its content are judged again by the next pass."""
    row = _item(ledger, item)
    if _is_under_way(ledger, item):
        message = f"item {item} is being imported at this moment"
        raise UsageError(message, hint="try again in a moment")
    _remove(ledger, item, ledger.one("f.id = ?", row[3]), at_us, because=None)
    ledger.flush()
    path: bytes | None = row[2]
    return path


def _remove(ledger: Ledger, item: int, row: FileRow | None, at_us: int, *, because: str | None) -> None:
    found = _item(ledger, item)
    data: dict[str, object] = {"item": item, "title": found[1]}
    if because is not None:
        data["because"] = because
    # Not at once: a person who deletes an item does not want it back in the same moment.
    ledger.connection.execute(f"{_AGAIN} WHERE item = ?", (None, item))
    ledger.connection.execute("DELETE FROM item WHERE id = ?", (item,))
    _tell(ledger, EventType.ITEM_DELETED, found, at_us, data, row)


def _item(ledger: Ledger, item: int) -> tuple[Any, ...]:
    row = ledger.connection.execute("SELECT library, title, path, file FROM item WHERE id = ?", (item,)).fetchone()
    if row is None:
        message = f"there is no item {item}"
        raise UsageError(message, hint="see: sluice items")
    found: tuple[Any, ...] = row
    return found


def _tell(
    ledger: Ledger,
    what: EventType,
    item: tuple[Any, ...],
    at_us: int,
    data: Mapping[str, object],
    row: FileRow | None = None,
) -> None:
    """Tell of an item at the place of its file, or of its library when the file is forgotten."""
    row = row or ledger.one("f.id = ?", item[3])
    text = json.dumps(data)
    if row is not None:
        ledger.tell(what, row, at_us, data=text)
        return
    root = ledger.connection.execute("SELECT id FROM root WHERE library = ? LIMIT 1", (item[0],)).fetchone()
    if root is not None:
        ledger.tell_root(what, RootId(root[0]), at_us, text)


def tell_of(ledger: Ledger, what: EventType, item: int, at_us: int, data: Mapping[str, object]) -> None:
    """Tell of an item what other parts of the catalogue know."""
    _tell(ledger, what, _item(ledger, item), at_us, {"item": item, **data})


# -- accounts -----------------------------------------------------------------------------------


def account_id(ledger: Ledger, name: str) -> int:
    """The id of an account."""
    row = ledger.connection.execute("SELECT id FROM account WHERE name = ?", (name,)).fetchone()
    if row is None:
        message = f"there is no account {name!r}"
        raise UsageError(message, hint=f"make it: sluice users add {name}")
    return int(row[0])


def add_account(ledger: Ledger, name: str, at_us: int) -> bool:
    """Make an account; ``False`` if there is one of this name."""
    made = ledger.connection.execute(
        "INSERT INTO account (name, at_us) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, at_us)
    )
    return bool(made.rowcount)


def remove_account(ledger: Ledger, name: str) -> None:
    """Remove an account that owns nothing."""
    number = account_id(ledger, name)
    owned = ledger.connection.execute("SELECT count(*) FROM item WHERE owner = ?", (number,)).fetchone()[0]
    if owned:
        message = f"{name} owns {owned} items"
        raise UsageError(message, hint="give them to somebody else first: sluice items set ID --owner NAME")
    ledger.connection.execute("DELETE FROM account WHERE id = ?", (number,))
