"""Events as JSON lines, written out by hand."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mediasluice.cli.events import event_line, event_row
from mediasluice.model.events import Event, EventType

PATHS = st.binary(min_size=1).filter(lambda path: b"\0" not in path).map(lambda path: b"/" + path)
MOMENTS = st.datetimes(timezones=st.just(UTC))
EVENTS = st.builds(
    Event,
    seq=st.integers(1, 1 << 62),
    id=st.uuids().map(str),
    type=st.sampled_from(EventType),
    at_us=MOMENTS.map(lambda at: int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000 + 7),
    library=st.text(),
    path=PATHS,
    old_path=st.none() | PATHS,
    size=st.none() | st.integers(0, 1 << 62),
    blake3=st.none() | st.binary(min_size=32, max_size=32),
    xxh128=st.none() | st.binary(min_size=16, max_size=16),
    origin=st.none() | st.sampled_from(["event", "baseline"]),
    data=st.dictionaries(st.text(), st.text() | st.integers() | st.booleans(), max_size=3),
)


@given(EVENTS)
def test_a_line_is_the_event(event: Event) -> None:
    """Whatever is in the path, the library's name or the data: one line of ASCII that gives back every field."""
    line = event_line(event)
    assert line.isascii()
    assert "\n" not in line
    row = json.loads(line)
    assert row == event_row(event)
    assert list(row) == [
        "seq", "id", "type", "at", "library", "path", "old_path", "size", "blake3", "xxh128", "origin", "data",
    ]  # fmt: skip
    assert os.fsencode(row["path"]) == event.path
    assert row["old_path"] is None or os.fsencode(row["old_path"]) == event.old_path
    assert (row["seq"], row["id"], row["type"], row["size"]) == (event.seq, event.id, event.type.value, event.size)
    assert (row["library"], row["origin"], row["data"]) == (event.library, event.origin, event.data)
    assert (row["blake3"], row["xxh128"]) == tuple(d and d.hex() for d in (event.blake3, event.xxh128))
    assert row["at"].endswith("000007Z")
    assert datetime.fromisoformat(row["at"]).timestamp() == event.at_us / 1e6
