"""Fill catalogues without a disk full of files: identified and observed files from a path and a content.

Takes paths relative to their root and any bytes as content; the digests are stand-ins that are equal exactly when
the contents are. Times are arguments; inodes are counted up unless they are given.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from mediasluice.catalogue.readings import Timed
from mediasluice.catalogue.rows import Observed
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import ChangeKey, Digests, FileState, Kind, Origin
from mediasluice.model.flow import IdentifiedFile, RootId
from mediasluice.model.media import Capture, Confidence, DateSource
from mediasluice.model.paths import split
from mediasluice.model.roots import Library, RootIdentity, Rules

_inodes = count(1000)


def digests(content: bytes) -> Digests:
    return Digests(hashlib.blake2b(content, digest_size=32).digest(), quick(content))


def quick(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def key(content: bytes, ino: int | None = None, mtime_ns: int = 5_000) -> ChangeKey:
    return ChangeKey(next(_inodes) if ino is None else ino, len(content), mtime_ns, mtime_ns + 1)


def identified(
    root: RootId,
    path: bytes,
    content: bytes,
    *,
    ino: int | None = None,
    links: int = 1,
    mtime_ns: int = 5_000,
    old: bytes | None = None,
    full: bool = True,
    origin: Origin = Origin.EVENT,
    birth_ns: int | None = None,
) -> IdentifiedFile:
    """A file as ``identify`` hands it over, renamed from ``old``; not ``full``: with its quick digest only."""
    directory, name = split(path)
    old_directory, old_name = (None, None) if old is None else split(old)
    found = digests(content) if full else None
    at = key(content, ino, mtime_ns)
    return IdentifiedFile(
        root, directory, name, at, links, origin, True, Kind.IMAGE, quick(content), found, old_directory, old_name,
        birth_ns,
    )  # fmt: skip


def read(catalogue: Catalogue, files: dict[int, int], local: str = "2024-05-06T07:08:09") -> None:
    """Let the second pass be through with files: ids and their versions."""
    capture = Capture(local, None, DateSource.EXIF_ORIGINAL, Confidence.HIGH)
    catalogue.relate((), [Timed(file, version, capture) for file, version in files.items()], None)


def observed(root: RootId, path: bytes, state: FileState, size: int = 7, **rest: Any) -> Observed:
    directory, name = split(path)
    at = key(b"x" * size, rest.get("ino"), rest.get("mtime_ns", 5_000))
    return Observed(root, directory, name, at, 1, Kind.OTHER, state, rest.get("reason"))


def add_root(catalogue: Catalogue, name: str = "photos", filesystem: bytes = b"disk-1") -> RootId:
    library = Library(name, b"/" + name.encode(), Rules())
    return catalogue.register(library, RootIdentity(filesystem, 2)).id


def story(file: Path, since: int = 0) -> list[tuple[str, bytes, bytes | None]]:
    """The event log as (type, path, old path), without the root's path ``/photos/``."""

    def short(path: bytes | None) -> bytes | None:
        return None if path is None else path.removeprefix(b"/photos/")

    with View.open(file) as view:
        return [(event.type.value, short(event.path) or b"", short(event.old_path)) for event in view.events(since)]


def replay(events: list[Event]) -> dict[bytes, bytes | None]:
    """What is at which path, by the events alone. Fails where an event contradicts the ones before it."""
    there: dict[bytes, bytes | None] = {}
    for event in events:
        if event.type is EventType.FILE_CREATED:
            assert event.path not in there, event
            there[event.path] = event.blake3
        elif event.type is EventType.FILE_MODIFIED:
            assert event.path in there, event
            there[event.path] = event.blake3
        elif event.type in {EventType.FILE_MOVED, EventType.FILE_RENAMED}:
            assert event.old_path is not None, event
            assert event.old_path in there, event
            assert event.path not in there, event
            there[event.path] = _known(there.pop(event.old_path), event)
        elif event.type is EventType.FILE_DELETED:
            assert event.path in there, event
            del there[event.path]
        elif event.type is EventType.FILE_DUPLICATE:
            there[event.path] = _known(there[event.path], event)
    return there


def _known(digest: bytes | None, event: Event) -> bytes | None:
    """The digest of an event that changes no content; a full one may be told where only a quick one was known."""
    assert digest in {None, event.blake3}, event
    return event.blake3


def of_version_2(file: Path) -> None:
    """Turn a catalogue into what the version before readings left behind; nobody has it open."""
    later = {"capture", "external", "kin", "likeness", "member", "product", "reading", "rendition", "stream", "unread"}
    later |= {"announced", "damage", "dead_letter", "job", "job_mark", "schedule", "sink"}
    with closing(sqlite3.connect(file)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in later & set(tables):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX file_gone_inode")
        connection.execute("ALTER TABLE file DROP COLUMN birth_ns")
        connection.execute("DELETE FROM meta WHERE key NOT IN ('epoch', 'indexed')")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
