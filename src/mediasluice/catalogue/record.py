"""Record identified files: decide which known file each one is, and tell what changed.

Takes files that were read whole; gives one verdict for each, in order. Files are recorded as if one after the
other, but those that can only be new ones (nothing of theirs is known) go in together. Fails with: sqlite3.Error.

Which file it is, the first that fits:
    1  the one that a source saw being renamed to this path
    2  the one that is here already; also a departed one, if it had this content
    3  a departed one with this content and inode
    4  a departed one with this inode and birth time, whatever its content is now
    5  a departed one with this content, wherever it was: same name first
    6  one of another root with this inode and content, when the inode has no second name
    7  a departed one of this kind that plays the same: same name first, then same root
    8  the one that departed from here
    9  a missing one with this content
    10 a new one

An inode number alone proves nothing: file systems hand it out again at once. With the time at which the inode came
into being it does, where the file was seen to exist later than the clock tick in which it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from mediasluice.catalogue import products
from mediasluice.catalogue.batch import Rows
from mediasluice.catalogue.ledger import COLUMNS, DISK, FileRow, Ledger, fits, stored
from mediasluice.catalogue.rows import Outcome, Verdict
from mediasluice.model.events import EventType
from mediasluice.model.files import FileState, Kind
from mediasluice.model.flow import IdentifiedFile

_KIND = {kind: kind.value for kind in Kind}  # SQLite binds a plain str ten times faster than an enum member

_IS_GONE = 2

CANDIDATES = 64
"""Files with equal content that are compared to find the best one, chosen: bounds the work where thousands of
equal files leave at once; any of them is right then."""

TICK_NS = 2_000_000_000
"""So long two files may have the same birth time, chosen: file systems keep whole seconds at worst, and what was read
is recorded a moment later."""

_FILES = Rows(
    "INSERT INTO file"
    " (id, dir, name, size, mtime_ns, ctime_ns, ino, links, kind, content, quick, at_us, birth_ns, state, version)"
    " VALUES {} ON CONFLICT (dir, name) WHERE state <> 'missing' DO NOTHING",
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'catalogued', 1)",
)
_CREATED = (
    "INSERT INTO event (type, at_us, file, version, dir, name, size, content, origin)"
    " SELECT 'file.created', at_us, id, version, dir, name, size, content, ? FROM file"
    " WHERE id BETWEEN ? AND ? ORDER BY id"
)
# For files whose content is known already: "number copy flags" with another copy or 0; 1: a row has the same inode,
# 2: one is gone. As one text for each block, because each row that is fetched may cost a turn at the interpreter lock.
_COPIES = Rows(
    "WITH pair (number, content, ino) AS (VALUES {})"
    " SELECT group_concat(number || ' ' ||"
    " ifnull((SELECT f.id FROM file f WHERE f.content = pair.content AND f.state = 'catalogued'"
    " AND (f.ino <> pair.ino OR f.ino = 0) LIMIT 1), 0) || ' ' ||"
    " (EXISTS (SELECT 1 FROM file f WHERE f.content = pair.content AND f.state = 'catalogued'"
    " AND f.ino = pair.ino AND f.ino <> 0)"
    " + 2 * EXISTS (SELECT 1 FROM file f WHERE f.content = pair.content AND f.gone_us IS NOT NULL)))"
    " FROM pair WHERE number IS NOT NULL",
    "(?, ?, ?)",
)
_DUPLICATES = Rows(
    "INSERT INTO event"
    " (type, at_us, file, version, dir, name, old_dir, old_name, size, content, origin, data)"
    " WITH pair (file, copy, origin) AS (VALUES {})"
    " SELECT 'file.duplicate', f.at_us, f.id, f.version, f.dir, f.name, copy.dir, copy.name, f.size, f.content,"
    " pair.origin, '{{\"of\":' || copy.id || '}}'"
    " FROM pair CROSS JOIN file f ON f.id = pair.file CROSS JOIN file copy ON copy.id = pair.copy",
    "(?, ?, ?)",
)
_GONE = Rows(
    "WITH wanted (number, quick, ino, birth_ns, content) AS (VALUES {}) SELECT number FROM wanted"
    " WHERE EXISTS (SELECT 1 FROM file f WHERE f.quick = wanted.quick AND f.gone_us IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM file f WHERE f.ino = wanted.ino AND f.birth_ns = wanted.birth_ns"
    " AND f.gone_us IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM stream s WHERE s.content = wanted.content)",
    "(?, ?, ?, ?, ?)",
)
DEPARTED_LOOKED_AT = 500
"""Departed files among which is looked for those whose essence is known, chosen: half a millisecond for each part."""

_PLAYING = (
    f"SELECT DISTINCT kind FROM (SELECT f.kind, {products.HAS_ESSENCE} AS plays FROM file f"
    f" WHERE f.state = 'departed' AND f.gone_us IS NOT NULL ORDER BY f.gone_us DESC LIMIT {DEPARTED_LOOKED_AT})"
    " WHERE plays"
)
_TAKEN = f"SELECT 1 FROM product WHERE what = '{products.ESSENCE}' AND content = ?"
_SAME_STREAM = (
    "SELECT o.content FROM stream s CROSS JOIN stream o ON o.digest = s.digest"
    f" CROSS JOIN product mine ON mine.what = '{products.ESSENCE}' AND mine.content = s.content"
    f" CROSS JOIN product its ON its.what = '{products.ESSENCE}' AND its.content = o.content"
    f" WHERE s.content = ? AND mine.state = '{products.MADE}' AND its.state = mine.state"
    " AND its.version = mine.version"
)
_WITH_ROOT = f"SELECT {COLUMNS}, d.root, {DISK} FROM file f JOIN dir d ON d.id = f.dir JOIN root r ON r.id = d.root"


def record(ledger: Ledger, files: Sequence[IdentifiedFile], at_us: int) -> list[Verdict]:
    """Record the files and tell their events; see the module."""
    verdicts: list[Verdict] = []
    for _, run in groupby(files, key=itemgetter(0)):  # one root after the other: rule 4 looks from one to another
        verdicts += _record_run(ledger, list(run), at_us)
    return verdicts


def _record_run(ledger: Ledger, files: Sequence[IdentifiedFile], at_us: int) -> list[Verdict]:
    first_new = ledger.contents.next
    contents = ledger.contents.ids(files)
    verdicts = _record_new(ledger, files, contents, first_new, at_us)
    if len(verdicts) < len(files):
        for index, file in enumerate(files):
            if index not in verdicts:
                content = None if file.digests is None else contents[file.digests.blake3]
                verdicts[index] = _record_one(ledger, file, content, at_us)
        verdicts = dict(sorted(verdicts.items()))
    ledger.flush()
    return list(verdicts.values())


# -- together -----------------------------------------------------------------------------------


def _record_new(
    ledger: Ledger, files: Sequence[IdentifiedFile], contents: dict[bytes, int], first_new: int, at_us: int
) -> dict[int, Verdict]:
    """Record those files that are certainly new; gives their verdicts by index. The others are left."""
    rows, left, asked = _rows_of_new(ledger, files, contents, first_new, at_us)
    copies: dict[int, int] = {}  # index: the id of another file with the same content
    for (found,) in _COPIES.ask(ledger.connection, asked):
        for index, copy, flags in [map(int, answer.split(" ")) for answer in found.split(",")]:
            if flags >= _IS_GONE or (flags and (not copy or files[index].links == 1)):
                left.add(index)  # it may be a file that was elsewhere
            elif copy:
                copies[index] = copy
    if ledger.some_departed():  # of which one may have been read in part only, or be another content by now
        asked_gone = [(index, files[index].quick, row[6], row[12], row[9]) for index, row in rows.items()]
        left.update(row[0] for row in _GONE.ask(ledger.connection, asked_gone))
    if left:
        _leave_followers(files, left)
        for index in left:
            rows.pop(index, None)
    _insert(ledger, rows)
    if not rows:
        return {}
    _find_twins(rows, copies)
    _tell_created(ledger, files, rows)
    duplicates = [(row[0], copies[index], files[index].origin.value) for index, row in rows.items() if index in copies]
    _DUPLICATES.insert(ledger.connection, duplicates)
    make, created, copy_of = Verdict._make, Outcome.CREATED, copies.get
    return {index: make((row[0], 1, created, copy_of(index))) for index, row in rows.items()}


def _tell_created(ledger: Ledger, files: Sequence[IdentifiedFile], rows: dict[int, tuple[Any, ...]]) -> None:
    """Tell of the new rows, in their order."""
    first, last = next(iter(rows.values()))[0], next(reversed(rows.values()))[0]
    if len({files[index].origin for index in rows}) == 1:
        runs = [(files[next(iter(rows))].origin, first, last)]
    else:
        runs = []
        for origin, run in groupby(rows, key=lambda index: files[index].origin):
            numbers = [rows[index][0] for index in run]
            runs.append((origin, numbers[0], numbers[-1]))
    ledger.connection.executemany(_CREATED, [(origin.value, start, end) for origin, start, end in runs])


def _rows_of_new(
    ledger: Ledger, files: Sequence[IdentifiedFile], contents: dict[bytes, int], first_new: int, at_us: int
) -> tuple[dict[int, tuple[Any, ...]], set[int], list[tuple[int, int, int]]]:
    """Make rows by index as if all files were new; those that cannot be; and what to ask of known contents."""
    rows: dict[int, tuple[Any, ...]] = {}
    left: set[int] = set()
    asked: list[tuple[int, int, int]] = []
    number = ledger.next_file
    last_directory, place = None, 0
    content: int | None
    for index, (root, directory, name, key, links, _, _, kind, quick, digests, _, old_name, birth_ns) in enumerate(
        files
    ):
        if old_name is not None or not fits(key):
            left.add(index)
            continue
        if directory != last_directory:
            last_directory = directory
            place = ledger.directory(root, directory)
            ledger.touch(place)
        ino, size, mtime_ns, ctime_ns = key
        if digests is None:
            content = None
        else:
            content = contents[digests[0]]
            if content < first_new:
                asked.append((index, content, ino))
        rows[index] = (
            number, place, name, size, mtime_ns, ctime_ns, ino, links, _KIND[kind], content, quick, at_us, birth_ns,
        )  # fmt: skip
        number += 1
    ledger.next_file = number
    return rows, left, asked


def _insert(ledger: Ledger, rows: dict[int, tuple[Any, ...]]) -> None:
    """Insert what has no row at its path; drops the rest from ``rows``."""
    values = list(rows.values())
    if _FILES.insert(ledger.connection, values) == len(values):
        return
    made = {row[0] for row in ledger.connection.execute("SELECT id FROM file WHERE id >= ?", (values[0][0],))}
    for index in [index for index, row in rows.items() if row[0] not in made]:
        del rows[index]


def _leave_followers(files: Sequence[IdentifiedFile], left: set[int]) -> None:
    """Leave also what comes after one that is left and is about a path of its: order matters there."""
    paths: set[tuple[int, bytes | None, bytes | None]] = set()
    for index, file in enumerate(files):
        if (file.root, file.directory, file.name) in paths:
            left.add(index)
        if index in left:
            paths.add((file.root, file.directory, file.name))
            paths.add((file.root, file.old_directory, file.old_name))


def _find_twins(rows: dict[int, tuple[Any, ...]], copies: dict[int, int]) -> None:
    """Add to ``copies`` what equals an earlier one of ``rows``. Names of one inode are no copies."""
    firsts: dict[int, tuple[Any, ...]] = {}
    for index, row in rows.items():
        content = row[9]
        if content is None:
            continue
        first = firsts.setdefault(content, row)
        if first is not row and index not in copies and (not row[6] or row[6] != first[6]):
            copies[index] = first[0]


# -- one by one ---------------------------------------------------------------------------------


def _record_one(ledger: Ledger, file: IdentifiedFile, content: int | None, at_us: int) -> Verdict:
    place = ledger.directory(file.root, file.directory)
    ledger.touch(place)
    file = file._replace(key=stored(file.key))
    here = ledger.at(place, file.name)
    row = _which(ledger, file, content, place, here)
    if row is None:
        return _create(ledger, file, content, place, at_us)
    if here is not None and here.id != row.id:
        ledger.replace(here, at_us)
    return _update(ledger, row, file, content, place, at_us)


def _create(ledger: Ledger, file: IdentifiedFile, content: int | None, place: int, at_us: int) -> Verdict:
    number = ledger.next_file
    ledger.next_file += 1
    ino, size, mtime_ns, ctime_ns = file.key
    kind, quick = _KIND[file.kind], file.quick
    key = (size, mtime_ns, ctime_ns, ino, file.links)
    row = (number, place, file.name, *key, kind, content, quick, at_us, file.birth_ns)
    _FILES.insert(ledger.connection, [row])
    created = ledger.one("f.id = ?", number)
    assert created is not None
    ledger.tell(EventType.FILE_CREATED, created, at_us, origin=file.origin.value)
    copy = _tell_duplicate(ledger, created, file, at_us)
    return Verdict(number, 1, Outcome.CREATED, copy)


def _update(ledger: Ledger, row: FileRow, file: IdentifiedFile, content: int | None, place: int, at_us: int) -> Verdict:
    """Bring the row of a known file to what was read, and tell what is new about it."""
    is_new, is_restored = not row.version, row.state == FileState.MISSING
    is_moved = (row.dir, row.name) != (place, file.name)
    is_same = _holds(row, file, content)
    is_filled = is_same and content != row.content and content is not None
    version = row.version if is_same and not is_new else row.version + 1
    ino, size, mtime_ns, ctime_ns = file.key
    is_news = is_new or is_restored or not is_same
    now = row._replace(
        dir=place, name=file.name, size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns, ino=ino, links=file.links,
        kind=_KIND[file.kind], state=FileState.CATALOGUED.value, reason=None, quick=file.quick, version=version,
        content=row.content if is_same and content is None else content,
        at_us=at_us if is_news else row.at_us, birth_ns=file.birth_ns,
    )  # fmt: skip
    if not is_same and not is_new:
        ledger.supersede(row)
    ledger.touch(row.dir)
    write(ledger, now)
    origin, came_from = file.origin.value, (row.dir, row.name)
    if is_restored:
        ledger.tell(EventType.FILE_CREATED, now, at_us, other=came_from, origin=origin)
    elif is_new:
        ledger.tell(EventType.FILE_CREATED, now, at_us, origin=origin)
    else:
        if is_moved:
            tell_move(ledger, row, now, at_us, origin=origin)
        if not is_same:
            ledger.tell(EventType.FILE_MODIFIED, now, at_us, origin=origin)
    copy = _tell_duplicate(ledger, now, file, at_us) if is_news or is_filled else None
    if is_restored:
        outcome = Outcome.RESTORED
    elif is_new:
        outcome = Outcome.CREATED
    elif is_moved:
        outcome = Outcome.MOVED
    else:
        outcome = Outcome.UNCHANGED if is_same else Outcome.MODIFIED
    return Verdict(row.id, version, outcome, copy)


def write(ledger: Ledger, row: FileRow) -> None:
    """Write all values of a row whose file is present."""
    sets = ", ".join(f"{name} = ?" for name in FileRow._fields[1:])
    ledger.connection.execute(f"UPDATE file SET {sets}, gone_us = NULL WHERE id = ?", (*row[1:], row[0]))


def tell_move(ledger: Ledger, before: FileRow, after: FileRow, at_us: int, *, origin: str | None = None) -> None:
    """Tell that a file has another path; its content in the event is the one from before."""
    what = EventType.FILE_RENAMED if before.dir == after.dir else EventType.FILE_MOVED
    moved = before._replace(dir=after.dir, name=after.name)
    ledger.tell(what, moved, at_us, other=(before.dir, before.name), origin=origin)


def _holds(row: FileRow, file: IdentifiedFile, content: int | None) -> bool:
    """Whether the row's content is what was read now.

    Where only quick digests are there, they must agree; without full digests of what was read now the time of the
    last change must agree as well.
    """
    if content is not None and row.content is not None:
        return row.content == content
    if row.quick != file.quick or row.size != file.key.size:
        return False
    return content is not None or row.mtime_ns == file.key.mtime_ns


def _tell_duplicate(ledger: Ledger, row: FileRow, file: IdentifiedFile, at_us: int) -> int | None:
    """Tell of another present copy, if there is one; gives its id. Names of one inode are no copies."""
    if row.content is None:
        return None
    copies = "f.content = ? AND f.state = 'catalogued' AND f.id <> ?"
    copy = ledger.one(f"{copies} AND (f.ino <> ? OR f.ino = 0)", row.content, row.id, row.ino)
    if copy is None:  # the same inode number on another file system
        same = ledger.connection.execute(
            f"{_WITH_ROOT} WHERE {copies} AND f.ino = ? LIMIT {CANDIDATES}", (row.content, row.id, row.ino)
        )
        disk = ledger.disk(file.root)
        copy = next((FileRow._make(other[:-2]) for other in same if other[-1] != disk), None)
    if copy is None:
        return None
    place, other = (row.dir, row.name), (copy.id, copy.dir, copy.name)
    ledger.tell_duplicate(row.id, row.version, place, other, row.size, row.content, file.origin.value, at_us)
    return copy.id


# -- which file it is ---------------------------------------------------------------------------


def _which(
    ledger: Ledger, file: IdentifiedFile, content: int | None, place: int, here: FileRow | None
) -> FileRow | None:
    """Choose the row of a file, or ``None`` for a new one; the order of the module's table."""
    renamed = _renamed(ledger, file, content)
    if renamed is not None and (here is None or renamed.id != here.id):
        if renamed.version:
            return renamed
        # Nobody was told of the name before: it may be the new name of a file that was seen to leave.
        found = _elsewhere(ledger, file, content)
        if found is None and here is None:
            return renamed
        ledger.touch(renamed.dir)
        ledger.drop(renamed)
        if found is not None:
            return found
    is_departed = here is not None and here.state == FileState.DEPARTED
    if here is not None and here.version and (not is_departed or _holds(here, file, content)):
        return here
    found = _elsewhere(ledger, file, content)
    if found is None and (here is None or not here.version):
        found = _missing(ledger, file, content, place)
    return found or here


def awaited(ledger: Ledger, files: Sequence[IdentifiedFile]) -> list[int]:
    """Positions of files that would be new, and of which an essence may tell that they are not.

    That is so while a file of their kind has departed whose essence is known, and theirs was never asked for.
    """
    if not ledger.some_departed():
        return []
    kinds = {kind for (kind,) in ledger.connection.execute(_PLAYING)}
    wanted = [index for index, file in enumerate(files) if file.kind in kinds and file.digests is not None]
    if not wanted:
        return []
    contents = ledger.contents.ids([files[index] for index in wanted])
    found = []
    for index in wanted:
        file = files[index]._replace(key=stored(files[index].key))
        assert file.digests is not None
        content = contents[file.digests.blake3]
        is_taken = ledger.connection.execute(_TAKEN, (content,)).fetchone() is not None
        if not is_taken and not _is_known(ledger, file, content):
            found.append(index)
    return found


def _is_known(ledger: Ledger, file: IdentifiedFile, content: int) -> bool:
    """Whether a file will turn out to be one of which an event has told."""
    renamed = _renamed(ledger, file, content)
    place = ledger.known_directory(file.root, file.directory)
    here = None if place is None else ledger.at(place, file.name)
    if any(row is not None and row.version for row in (renamed, here)):
        return True
    return (_elsewhere(ledger, file, content) or _missing(ledger, file, content, place)) is not None


def _elsewhere(ledger: Ledger, file: IdentifiedFile, content: int | None) -> FileRow | None:
    """The known file that is this one and was elsewhere."""
    return (
        _departed(ledger, file, content)
        or _left_other_root(ledger, file, content)
        or _playing_alike(ledger, file, content)
    )


def _playing_alike(ledger: Ledger, file: IdentifiedFile, content: int | None) -> FileRow | None:
    """The departed file that plays the same: it was written anew with other tags, and the old one deleted."""
    if content is None:
        return None
    run = ledger.connection.execute
    contents = {row[0] for row in run(f"{_SAME_STREAM} LIMIT {CANDIDATES}", (content,))} - {content}
    alike = [other for other in contents if products.play_alike(ledger.connection, content, other)]
    gone = "WHERE f.content = ? AND f.state = 'departed' AND f.gone_us IS NOT NULL AND f.kind = ?"
    rows = [found for other in alike for found in _candidates(ledger, gone, other, _KIND[file.kind])]
    if not rows:
        return None
    place = ledger.known_directory(file.root, file.directory)

    def nearness(found: tuple[FileRow, int, object]) -> tuple[bool, bool, bool]:
        row, root, _ = found
        return (row.dir, row.name) == (place, file.name), row.name == file.name, root == file.root

    return max(rows, key=nearness)[0]


def _renamed(ledger: Ledger, file: IdentifiedFile, content: int | None) -> FileRow | None:
    """The file that a source saw leaving its path for this one; not another one that is there by now."""
    if file.old_directory is None or file.old_name is None:
        return None
    place = ledger.known_directory(file.root, file.old_directory)
    row = None if place is None else ledger.at(place, file.old_name)
    if row is None or (row.ino and file.key.ino and row.ino != file.key.ino and not _holds(row, file, content)):
        return None
    return row


def _departed(ledger: Ledger, file: IdentifiedFile, content: int | None) -> FileRow | None:
    disk, ino = ledger.disk(file.root), file.key.ino
    if content is not None:
        gone = "WHERE f.content = ? AND f.state = 'departed' AND f.gone_us IS NOT NULL"
        rows = _candidates(ledger, f"{gone} AND f.ino = ?", content, ino)
        same = [row for row, _, other in rows if ino and other == disk]
        if same:
            return same[0]
    born = _born_alike(ledger, file)
    if born is not None:
        return born
    if content is not None:
        rows = _candidates(ledger, gone, content)
        if rows:
            return max(rows, key=lambda found: (found[0].name == file.name, found[1] == file.root))[0]
    if not ino:
        return None
    rows = _candidates(
        ledger,
        "WHERE f.quick = ? AND f.gone_us IS NOT NULL AND f.state = 'departed' AND f.ino = ? AND f.size = ?"
        " AND f.mtime_ns = ? AND (f.content IS NULL OR ? IS NULL)",
        file.quick, ino, file.key.size, file.key.mtime_ns, content,
    )  # fmt: skip
    return next((row for row, _, other in rows if other == disk), None)


def _born_alike(ledger: Ledger, file: IdentifiedFile) -> FileRow | None:
    """The departed file that had this inode since the same moment: it was moved, and changed in place."""
    ino, birth_ns = file.key.ino, file.birth_ns
    if not ino or birth_ns is None:
        return None
    where = "WHERE f.ino = ? AND f.birth_ns = ? AND f.gone_us IS NOT NULL AND f.state = 'departed'"
    disk = ledger.disk(file.root)
    rows = [(row, root) for row, root, other in _candidates(ledger, where, ino, birth_ns) if other == disk]
    rows = [(row, root) for row, root in rows if _outlived_its_tick(row, birth_ns)]
    if not rows:
        return None  # several are names of one inode
    return max(rows, key=lambda found: (found[0].name == file.name, found[1] == file.root))[0]


def _outlived_its_tick(row: FileRow, birth_ns: int) -> bool:
    """Whether a file was there later than its birth time is exact: what got its inode afterwards has another one."""
    return row.ctime_ns > birth_ns or row.at_us * 1000 > birth_ns + TICK_NS


def _left_other_root(ledger: Ledger, file: IdentifiedFile, content: int | None) -> FileRow | None:
    """The same inode and content under another root that was not looked at yet: with one link it is not there."""
    ino = file.key.ino
    if content is None or not ino or file.links != 1:
        return None
    rows = _candidates(ledger, "WHERE f.content = ? AND f.state = 'catalogued' AND f.ino = ?", content, ino)
    disk = ledger.disk(file.root)
    return next((row for row, root, other in rows if root != file.root and other == disk), None)


def _missing(ledger: Ledger, file: IdentifiedFile, content: int | None, place: int | None) -> FileRow | None:
    if content is None:
        return None
    rows = _candidates(ledger, "WHERE f.content = ? AND f.state = 'missing' AND f.gone_us IS NOT NULL", content)
    if not rows:
        return None
    return max((row for row, _, _ in rows), key=lambda row: (row.name == file.name, row.dir == place, row.id))


def _candidates(ledger: Ledger, where: str, *values: object) -> list[tuple[FileRow, int, bytes | int]]:
    found = ledger.connection.execute(f"{_WITH_ROOT} {where} LIMIT {CANDIDATES}", values)
    return [(FileRow._make(row[:-2]), row[-2], row[-1]) for row in found]
