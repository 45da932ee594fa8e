from __future__ import annotations

import base64
import json
import os
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from mediasluice.cli.events import event_row
from mediasluice.delivery import envelope, reference
from mediasluice.model.events import EventType
from tests.facts import fact

VALID = jsonschema.Draft202012Validator(reference.schema(EventType.FILE_MOVED))


def sent(*args: Any, **values: Any) -> dict[str, Any]:
    """What a receiver reads."""
    found: dict[str, Any] = json.loads(envelope.body(fact(*args, **values)))
    return found


def test_it_is_a_cloud_event_with_the_fields_of_the_command_line() -> None:
    """The attributes of CloudEvents are there, and ``data`` holds what ``sluice events --json`` prints."""
    one = fact(7, EventType.FILE_MOVED, b"/in/b/c.jpg", old_path=b"/in/c.jpg", cause="import")
    told = json.loads(envelope.body(one))
    assert told["specversion"] == "1.0"
    assert (told["id"], told["type"], told["subject"]) == (one.event.id, "file.moved", "/in/b/c.jpg")
    assert told["source"] == "mediasluice:library:incoming"
    assert told["time"] == told["timestamp"] == told["data"]["at"]
    row = event_row(one.event)
    assert {name: told["data"][name] for name in row} == row
    assert set(told["data"]) - set(row) == {"file", "version", "kind"}


def test_bytes_that_are_no_text_are_told_exactly() -> None:
    """Text is valid Unicode for every reader, and beside it stand the bytes."""
    path, other = b"/in/\xff\xfe.jpg", b"/in/\xe9.jpg"
    told = sent(1, EventType.FILE_DUPLICATE, path, of=1, of_path=os.fsdecode(other))["data"]
    assert told["path"] == "/in/\ufffd\ufffd.jpg"
    assert base64.b64decode(told["path_raw"]) == path
    assert base64.b64decode(told["data"]["of_path_raw"]) == other
    assert "path_raw" not in sent(1, EventType.FILE_CREATED, "/in/ä.jpg".encode())["data"]


def test_what_is_too_long_is_cut_and_named() -> None:
    """A long reason is cut before the path is, and both are named."""
    told = sent(1, EventType.ITEM_REFUSED, b"/in/a.jpg", reason="r" * 50_000, note="short")["data"]
    assert told["truncated"] == ["data.reason"]
    assert told["data"] == {"reason": "r" * envelope.SHORT, "note": "short"}
    path = b"/in/" + b"\x01" * 4_000
    told = sent(1, EventType.FILE_CREATED, path)["data"]
    assert told["truncated"] == ["path"]
    assert base64.b64decode(told["path_raw"]) == path


@given(
    path=st.binary(min_size=1, max_size=200).flatmap(lambda part: st.integers(1, 400).map(lambda times: part * times)),
    reason=st.text(st.characters(), max_size=30).flatmap(lambda part: st.integers(1, 3000).map(lambda n: part * n)),
    library=st.text(min_size=1, max_size=2000),
)
def test_no_event_is_too_long_or_unreadable(path: bytes, reason: str, library: str) -> None:
    """Whatever a path, a reason or a library is called: ASCII, valid Unicode inside, and at most 20 kB."""
    made = envelope.body(
        fact(1, EventType.FILE_MOVED, path, old_path=path[::-1], library=library, reason=reason, values=[reason])
    )
    assert len(made) <= envelope.LIMIT
    told = json.loads(made.decode("ascii"))
    if "truncated" not in told["data"]:
        row = told["data"]
        exact = base64.b64decode(row["path_raw"]) if "path_raw" in row else row["path"].encode()
        assert exact == path
    VALID.validate(told)
    json.dumps({**told, "data": {**told["data"], "data": {}}}, ensure_ascii=False).encode()
