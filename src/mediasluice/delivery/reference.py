"""Write the reference of all events: a JSON Schema for each type, and an AsyncAPI document of what webhooks send.

``python -m mediasluice.delivery.reference docs/reference`` writes ``events/TYPE.schema.json`` (draft 2020-12) and
``asyncapi.json`` (3.0.0) from ``described.EVENTS``. The schemas allow fields that a later version may add.
Fails with: OSError of the files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery import described, envelope
from mediasluice.delivery.described import EVENTS, About, Schema
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import Kind, Origin

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_NONE: Schema = {"type": "null"}


def main() -> None:
    """Write all files below the directory that the first argument names."""
    top = sys.argv[1]
    for name, text in files().items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii", newline="\n") as file:
            file.write(text)


def files() -> dict[str, str]:
    """The text of each file by its name below the directory."""
    found = {f"events/{kind.value}.schema.json": _pretty(schema(kind)) for kind in EventType}
    return {"asyncapi.json": _pretty(document()), **found}


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


# -- schemas ------------------------------------------------------------------------------------------


def schema(kind: EventType, *, is_strict: bool = False) -> dict[str, object]:
    """The JSON Schema of one type. ``is_strict``: a field that it does not know is refused, as tests want it."""
    return {"$schema": DIALECT, "title": kind.value, **_whole(kind, is_strict=is_strict)}


def _whole(kind: EventType, *, is_strict: bool = False) -> dict[str, object]:
    time = {"type": "string", "format": "date-time", "pattern": _TIME_PATTERN}
    fields: dict[str, Schema] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": _ID_PATTERN, "description": "UUIDv7; the same with every repeat"},
        "source": {"type": "string", "format": "uri-reference", "pattern": "^mediasluice:library:"},
        "type": {"const": kind.value},
        "time": {**time, "description": "when it happened, UTC"},
        "timestamp": {**time, "description": "the same as `time`"},
        "subject": {"type": "string", "minLength": 1, "description": "the path, for people; it may be cut"},
        "datacontenttype": {"const": envelope.MEDIA_TYPE},
        "data": _row(kind, is_strict=is_strict),
    }
    return {"description": EVENTS[kind].summary, **_object(fields, is_strict=is_strict)}


def _row(kind: EventType, *, is_strict: bool) -> Schema:
    about = EVENTS[kind].about
    has_file = about is not About.ROOT
    fields: dict[str, Schema] = {
        "seq": {"type": "integer", "minimum": 1, "description": "its place in the event log"},
        "id": {"type": "string", "pattern": _ID_PATTERN},
        "type": {"const": kind.value},
        "at": {"type": "string", "format": "date-time", "pattern": _TIME_PATTERN},
        "library": {"type": "string"},
        "path": {"type": "string", "minLength": 1, "description": "absolute; U+FFFD stands for what is no UTF-8"},
        "path_raw?": described.RAW,
        "old_path": {"type": "string", "description": "where it was before"} if about is About.MOVE else _NONE,
        "old_path_raw?": described.RAW,
        "size": _or_null({"type": "integer", "minimum": 0, "description": "bytes"}) if has_file else _NONE,
        "blake3": _or_null({"type": "string", "pattern": "^[0-9a-f]{64}$"}) if has_file else _NONE,
        "xxh128": _or_null({"type": "string", "pattern": "^[0-9a-f]{32}$"}) if has_file else _NONE,
        "origin": _or_null(described.ORIGIN) if has_file else _NONE,
        "file": _or_null({"type": "integer", "minimum": 1, "description": "id of the file"}) if has_file else _NONE,
        "version": _or_null({"type": "integer", "minimum": 0, "description": "of its content; 0: none was read"})
        if has_file
        else _NONE,
        "kind": _or_null(described.KIND) if has_file else _NONE,
        "data": _object(described.details(kind), is_strict=is_strict),
        "truncated?": {
            "type": "array",
            "items": {"type": "string"},
            "description": f"fields that were cut, so that the event has at most {envelope.LIMIT} bytes",
        },
    }
    if about is not About.MOVE:
        del fields["old_path_raw?"]
    return _object(fields, is_strict=is_strict)


def _object(fields: Mapping[str, Schema], *, is_strict: bool) -> dict[str, object]:
    found: dict[str, object] = {
        "type": "object",
        "properties": {name.rstrip("?"): field for name, field in fields.items()},
        "required": [name for name in fields if not name.endswith("?")],
    }
    return {**found, "additionalProperties": False} if is_strict else found


def _or_null(field: Schema) -> Schema:
    """The same, or null."""
    wanted: dict[str, object] = {**field, "type": [field["type"], "null"]}
    values = field.get("enum")
    return {**wanted, "enum": [*values, None]} if isinstance(values, list) else wanted


# -- examples -----------------------------------------------------------------------------------------


def example(kind: EventType) -> dict[str, object]:
    """An event of one type as it is sent."""
    made: dict[str, object] = json.loads(envelope.body(_example(kind)))
    return made


def _example(kind: EventType) -> Fact:
    told = EVENTS[kind]
    number = 41 + list(EventType).index(kind)
    at_us = 1_795_168_272_000_000 + number
    identity = f"019aa1b2-c3d4-7{number:03x}-8f00-0123456789ab"
    data: dict[str, object] = dict(told.example)
    if told.about is About.ROOT:
        event = Event(number, identity, kind, at_us, "incoming", b"/in", None, None, None, None, None, data)
        return Fact(event, b"/in", None, None, None, None, None, None, None)
    old = b"/in/IMG_1.jpg" if told.about is About.MOVE else None
    event = Event(
        number, identity, kind, at_us, "incoming", b"/in/beach.jpg", old, 2_345_678, bytes(range(32)),
        bytes(range(16)), Origin.EVENT.value if told.about is About.FILE else None, data,
    )  # fmt: skip
    return Fact(event, b"/in", 3, 1, 2, Kind.IMAGE, None, None, None)


# -- AsyncAPI -----------------------------------------------------------------------------------------

_HEADERS: Schema = {
    "type": "object",
    "properties": {
        "webhook-id": {"type": "string", "description": "the `id` of the event; the same with every repeat"},
        "webhook-timestamp": {"type": "string", "description": "when it was sent, seconds since 1970"},
        "webhook-signature": {
            "type": "string",
            "description": "`v1,` and the HMAC-SHA256 over id, timestamp and body in base64; one for each secret, with"
            " spaces between them. Missing where the sink has no secret.",
        },
    },
    "required": ["webhook-id", "webhook-timestamp"],
}


def document() -> dict[str, object]:
    """The AsyncAPI document. Its schemas use nothing that is not in AsyncAPI's own dialect too."""
    names = {kind: _name(kind) for kind in EventType}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mediasluice events",
            "version": "1.0.0",
            "description": "Every fact of the event log, at least once, in order for each file and each path. A repeat"
            " has the same id. A command hook gets the same object on its standard input.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": envelope.MEDIA_TYPE,
        "channels": {
            "events": {
                "address": None,
                "description": "The address is the `url` of the sink.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names.values()},
            }
        },
        "operations": {
            "sendEvent": {
                "action": "send",
                "channel": {"$ref": "#/channels/events"},
                "summary": "One request for each event, signed as Standard Webhooks has it.",
                "messages": [{"$ref": f"#/channels/events/messages/{name}"} for name in names.values()],
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            }
        },
        "components": {
            "messages": {name: _message(kind, name) for kind, name in names.items()},
            "schemas": {name: _whole(kind) for kind, name in names.items()},
        },
    }


def _message(kind: EventType, name: str) -> dict[str, object]:
    told = example(kind)
    headers = {"webhook-id": str(told["id"]), "webhook-timestamp": "1795168273"}
    return {
        "name": kind.value,
        "title": kind.value,
        "summary": EVENTS[kind].summary,
        "contentType": envelope.MEDIA_TYPE,
        "headers": _HEADERS,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"headers": headers, "payload": told}],
    }


def _name(kind: EventType) -> str:
    """``file.created`` as ``fileCreated``: dots are not allowed everywhere."""
    first, *more = kind.value.split(".")
    return first + "".join(word.capitalize() for word in more)


if __name__ == "__main__":
    main()
