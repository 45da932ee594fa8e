"""What each type of event says: the one description of which schemas and the AsyncAPI document are made.

``EVENTS`` holds every type with a sentence, the fields of its ``data`` and an example of them. A field is a JSON
Schema; one whose name ends in ``?`` may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from mediasluice.model.events import EventType
from mediasluice.model.files import Kind, Origin
from mediasluice.model.imports import ItemState, Mode, ProfileName
from mediasluice.model.media import DateSource

Schema = Mapping[str, object]


class About(StrEnum):
    """What an event is about, and so which of the common fields it has."""

    FILE = "file"  # all but ``old_path``
    MOVE = "move"  # ``old_path`` as well
    ITEM = "item"  # those of its file; none where that file is forgotten
    ROOT = "root"  # ``path`` is that of the root, and there is no more


class Described(NamedTuple):
    """One type of event."""

    about: About
    summary: str
    fields: Mapping[str, Schema]  # of ``data.data``
    example: Mapping[str, object]  # of the same


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _number(description: str) -> Schema:
    return {"type": "integer", "minimum": 1, "description": description}


def _one_of(values: type[StrEnum], description: str) -> Schema:
    return {"type": "string", "enum": [value.value for value in values], "description": description}


def _digest(length: int) -> Schema:
    return {"type": "string", "pattern": f"^[0-9a-f]{{{length}}}$", "description": "hexadecimal"}


RAW: Schema = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "the exact bytes, where they are no UTF-8 or the text was cut",
}
KIND = _one_of(Kind, "what the file is by its content")
ORIGIN = _one_of(Origin, "which way the file was noticed; `baseline`: it was there when the library was new")

_ITEM = _number("id of the item")
_TITLE = _text("what the item is called")
_NOTE = _text("what was different from what the rules ask for")
_MODE = _one_of(Mode, "how its bytes came to the target")
_TO = _text("where its bytes are now, absolute")
_REASON = _text("why, for people")
_STATE = _one_of(ItemState, "who may see the item")
_MORE_DIGESTS = {"sha256?": _digest(64), "md5?": _digest(32), "sha1?": _digest(40)}
_TAKEN: Mapping[str, Schema] = {
    "taken": _text("when it was captured, as the clock on the wall said: `YYYY-MM-DDTHH:MM:SS`, or with an offset"),
    "taken_source": _one_of(DateSource, "where that was found"),
}
_IMPORTED: Mapping[str, Schema] = {
    "item": _ITEM,
    "owner": {"type": ["string", "null"], "description": "the account that the item belongs to"},
    "to": _TO,
    "to_raw?": RAW,
    "mode": _MODE,
    **_TAKEN,
    "title": _TITLE,
    "state": _STATE,
    "note?": _NOTE,
}
_AN_IMPORT = {
    "item": 7, "owner": "anna", "to": "/photos/2026/11/beach.jpg", "mode": "copy", "taken": "2026-11-20T10:11:12",
    "taken_source": "exif-original", "title": "beach", "state": "public",
}  # fmt: skip
_REFUSED: Mapping[str, Schema] = {"reason": _REASON}

EVENTS: Mapping[EventType, Described] = {
    EventType.FILE_CREATED: Described(
        About.FILE,
        "A complete file is catalogued for the first time, or a missing one is back.",
        {"restored_from?": _text("where it was before it was missing"), "restored_from_raw?": RAW},
        {},
    ),
    EventType.FILE_MODIFIED: Described(About.FILE, "A file has another content.", {}, {}),
    EventType.FILE_DELETED: Described(
        About.FILE,
        "A file is gone from its path and was found nowhere else.",
        {"replaced?": {"const": True, "description": "another file has taken its path"}},
        {},
    ),
    EventType.FILE_MOVED: Described(
        About.MOVE,
        "A file is in another directory. With `cause` we moved it ourselves.",
        {
            "cause?": {"type": "string", "description": "`import` or `processed`: what it was moved for"},
            "item?": {"type": ["integer", "null"], "description": "id of the item"},
            "owner?": {"type": ["string", "null"], "description": "the account that the item belongs to"},
            "mode?": _MODE,
            "role?": {"type": ["string", "null"], "description": "what it is to the file that it belongs to"},
            **{f"{name}?": schema for name, schema in _TAKEN.items()},
            "note?": _NOTE,
        },
        {},
    ),
    EventType.FILE_RENAMED: Described(About.MOVE, "A file has another name in the same directory.", {}, {}),
    EventType.FILE_DUPLICATE: Described(
        About.FILE,
        "A file has the content of another one.",
        {
            "of": {"type": ["integer", "null"], "description": "id of the other file"},
            "of_path?": _text("where that one is"),
            "of_path_raw?": RAW,
            "item?": _number("id of the item that has this content"),
        },
        {"of": 3, "of_path": "/photos/2026/11/beach.jpg", "item": 7},
    ),
    EventType.FILE_ATTRIBUTES: Described(About.FILE, "Owner, mode or times of a file changed, and no byte.", {}, {}),
    EventType.FILE_JUNK: Described(
        About.FILE, "An importing library found junk.", _REFUSED, {"reason": "junk: matches Thumbs.db"}
    ),
    EventType.ITEM_IMPORTED: Described(About.ITEM, "A content became an item.", _IMPORTED, _AN_IMPORT),
    EventType.ITEM_UPDATED: Described(About.ITEM, "The file of an item has another content.", _IMPORTED, _AN_IMPORT),
    EventType.ITEM_JOINED: Described(
        About.ITEM,
        "A companion came to the item that it belongs to: a sidecar, a cover.",
        {
            "item": _ITEM,
            "to": _TO,
            "to_raw?": RAW,
            "mode": _MODE,
            "role": {"type": ["string", "null"], "description": "what it is to the file that it belongs to"},
            "title": _TITLE,
            "note?": _NOTE,
        },
        {"item": 7, "to": "/photos/2026/11/beach.xmp", "mode": "copy", "role": "sidecar", "title": "beach"},
    ),
    EventType.ITEM_REFUSED: Described(
        About.ITEM,
        "The rules of the library do not want a file.",
        _REFUSED,
        {"reason": "5.2 GiB is more than import.max_size: 4 GiB"},
    ),
    EventType.ITEM_CHANGED: Described(
        About.ITEM,
        "A person changed what an item is called, whose it is, or who may see it.",
        {
            "item": _ITEM,
            "title?": _TITLE,
            "description?": _text("what a person wrote about it"),
            "owner?": _text("the account that it belongs to"),
            "state?": _STATE,
        },
        {"item": 7, "title": "At the beach", "state": "private"},
    ),
    EventType.ITEM_DELETED: Described(
        About.ITEM,
        "An item is forgotten; its bytes stay.",
        {"item": _ITEM, "title": _TITLE, "because?": _text("why, where no person did it")},
        {"item": 7, "title": "At the beach"},
    ),
    EventType.ITEM_RENDITION: Described(
        About.ITEM,
        "A rendition of an item was made, or cannot be.",
        {
            "item": _ITEM,
            "profile": _one_of(ProfileName, "what it is"),
            "state": {"type": "string", "enum": ["made", "failed"]},
            "path?": _text("where it is, below the data directory"),
            "size?": {"type": ["integer", "null"], "minimum": 0, "description": "bytes"},
            "duration?": {"type": ["number", "null"], "minimum": 0, "description": "seconds"},
            "reason?": _REASON,
        },
        {
            "item": 9, "profile": "h264-aac", "state": "made", "path": "renditions/ab/abcd.h264-aac.mp4",
            "size": 52000000, "duration": 93.4,
        },
    ),
    EventType.ROOT_OFFLINE: Described(
        About.ROOT,
        "The root of a library is away; nothing of it counts as deleted.",
        {"reason?": _REASON},
        {"reason": "the directory is empty, and it was not before"},
    ),
    EventType.ROOT_ONLINE: Described(
        About.ROOT, "The root of a library is back, or no longer held.", {"reason?": _REASON}, {}
    ),
    EventType.ROOT_HELD: Described(
        About.ROOT,
        "Too much of a root is missing at once; nothing counts as deleted until a person agrees.",
        {"reason": _REASON},
        {"reason": "900 of 1000 files are missing at once; nothing was recorded as deleted. "
                   "If that is right: sluice scan incoming --accept"},
    ),
}  # fmt: skip


def details(kind: EventType) -> dict[str, Schema]:
    """The fields of ``data.data`` of a type; a ``?`` at the end of a name: it may be missing."""
    described = EVENTS[kind]
    return dict(described.fields) if described.about is About.ROOT else {**described.fields, **_MORE_DIGESTS}
