"""Events as rows of the catalogue, and what they say to those who read them.

``EVENTS`` selects them; a condition and an order follow. ``event_of`` makes an event of such a row, whose columns
after the fixed ones its reader may extend. Fails with: nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mediasluice.model.events import Event, EventType
from mediasluice.model.paths import text

COLUMNS = (
    "e.seq, e.type, e.at_us, l.name, r.path, d.path, e.name, old_r.path, old_d.path, e.old_name, e.size,"
    " c.blake3, c.xxh128, e.origin, e.data, c.sha256, c.md5, c.sha1"
)
TABLES = (
    "event e CROSS JOIN dir d ON d.id = e.dir"
    " CROSS JOIN root r ON r.id = d.root CROSS JOIN library l ON l.id = r.library"
    " LEFT JOIN dir old_d ON old_d.id = e.old_dir LEFT JOIN root old_r ON old_r.id = old_d.root"
    " LEFT JOIN content c ON c.id = e.content"
)
EVENTS = f"SELECT {COLUMNS} FROM {TABLES}"
WIDTH = 18  # columns
_TYPES = {kind.value: kind for kind in EventType}
_MORE_DIGESTS = ("sha256", "md5", "sha1")  # in the data of an event where somebody asked for them


def absolute(root: bytes, directory: bytes, name: bytes) -> bytes:
    """The path of a file."""
    return _above(root, directory) + name


@lru_cache(maxsize=256)
def _above(root: bytes, directory: bytes) -> bytes:
    """The absolute path of a directory with its slash; lists go through one directory after the other."""
    return root.rstrip(b"/") + b"/" + (directory + b"/" if directory else b"")


def event_of(row: Sequence[Any], epoch: str) -> Event:
    """The event that a row tells."""
    seq, what, at_us, library, root, directory, name, old_root, old_directory, old_name = row[:10]
    size, blake3, xxh128, origin, stored, *more = row[10:]
    kind = _TYPES[what]
    path = root if not name else absolute(root, directory, name)
    other = None if old_name is None else absolute(old_root, old_directory, old_name)
    data: dict[str, object] = {} if stored is None else json.loads(stored)
    if kind is EventType.FILE_MOVED and "to" in data:  # we moved it to where no root is
        path, other = os.fsencode(str(data.pop("to"))), path
    elif other is not None and kind is EventType.FILE_DUPLICATE:
        data["of_path"], other = text(other), None
    elif other is not None and kind is EventType.FILE_CREATED:
        data["restored_from"], other = text(other), None
    if any(more):
        data.update({name: digest.hex() for name, digest in zip(_MORE_DIGESTS, more, strict=True) if digest})
    identity = event_id(at_us, seq, epoch)
    return Event(seq, identity, kind, at_us, library, path, other, size, blake3, xxh128, origin, data)


def event_id(at_us: int, seq: int, epoch: str) -> str:
    """The UUIDv7 of an event: its milliseconds and microseconds, then a digest of the log's name and the number."""
    tail = int.from_bytes(hashlib.blake2b(f"{epoch}:{seq}".encode(), digest_size=8).digest(), "big") >> 2
    digits = f"{2 << 62 | tail:016x}"
    return f"{_id_start(at_us)}-{digits[:4]}-{digits[4:]}"


@lru_cache(maxsize=16)
def _id_start(at_us: int) -> str:
    """The part of an id that tells the time; what is recorded together has one time."""
    milliseconds, microseconds = divmod(at_us, 1000)
    digits = f"{(milliseconds & (1 << 48) - 1) << 16 | 7 << 12 | microseconds:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:]}"
