"""Facts, in the order in which they were committed."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class EventType(StrEnum):
    """The dotted name on the wire."""

    FILE_CREATED = "file.created"
    FILE_MODIFIED = "file.modified"
    FILE_DELETED = "file.deleted"
    FILE_MOVED = "file.moved"  # other directory or other root
    FILE_RENAMED = "file.renamed"  # same directory, other name
    FILE_DUPLICATE = "file.duplicate"  # its content is catalogued under another inode already
    FILE_ATTRIBUTES = "file.attributes"  # owner, mode or times only; off by default
    FILE_JUNK = "file.junk"  # an importing library found a junk name
    ITEM_IMPORTED = "item.imported"
    ITEM_UPDATED = "item.updated"  # its file has another content
    ITEM_JOINED = "item.joined"  # a companion came to the item that it belongs to: a sidecar, a cover
    ITEM_REFUSED = "item.refused"  # the rules of the library do not want the file
    ITEM_CHANGED = "item.changed"  # title, description, owner or state
    ITEM_DELETED = "item.deleted"
    ITEM_RENDITION = "item.rendition"  # a rendition of it was made, or cannot be
    ROOT_OFFLINE = "root.offline"
    ROOT_ONLINE = "root.online"  # back, or no longer held
    ROOT_HELD = "root.held"  # too much of it is missing at once: nothing counts as deleted until a person agrees


class Event(NamedTuple):
    """One fact as it is reported. Paths are absolute bytes; digests raw bytes or ``None``."""

    seq: int
    id: str  # UUIDv7 text
    type: EventType
    at_us: int  # microseconds since the epoch, UTC
    library: str
    path: bytes
    old_path: bytes | None
    size: int | None
    blake3: bytes | None
    xxh128: bytes | None
    origin: str | None
    data: dict[str, object]
