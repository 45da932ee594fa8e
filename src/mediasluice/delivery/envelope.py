"""The form in which a fact leaves as JSON: a CloudEvents 1.0 event around the fields of ``sluice events --json``.

Takes a ``Fact``; gives one JSON object as ASCII of at most LIMIT bytes. Text is always valid Unicode: what of a path is
no UTF-8 is shown as U+FFFD, and ``path_raw`` beside it holds the exact bytes in base64, likewise ``old_path_raw`` and
any other ``..._raw``. A value that is too long is cut, and ``data.truncated`` names it; a path that is cut has its
``_raw`` too. ``timestamp`` beside ``time`` is what readers of Standard Webhooks look for.
Fails with: nothing.

Source: CloudEvents 1.0.2, JSON event format; Standard Webhooks, payload structure.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from mediasluice.catalogue.outbox import Fact

LIMIT = 20_000  # bytes; receivers of webhooks take so much everywhere
MEDIA_TYPE = "application/json"
SUBJECT_MAX = 1_000  # characters, chosen: it is for people and for filters, the whole path is in ``data``
SHORT = 200  # characters that stay of a value that is cut, chosen: two lines
_LONG = 1_000  # characters that stay of a path that is cut, chosen: together with all else they always fit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def body(fact: Fact) -> bytes:
    """The event as it is sent."""
    told = envelope(fact)
    encoded = _encode(told)
    if len(encoded) > LIMIT:
        encoded = _shortened(told, fact)
    return encoded.encode("ascii")


def envelope(fact: Fact) -> dict[str, object]:
    """The event as an object, however long it is."""
    event = fact.event
    at = _moment(event.at_us)
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": source_of(event.library),
        "type": event.type.value,
        "time": at,
        "timestamp": at,
        "subject": valid(event.path)[:SUBJECT_MAX],
        "datacontenttype": MEDIA_TYPE,
        "data": _row(fact, at),
    }


def source_of(library: str) -> str:
    """Where an event comes from, as a reference."""
    return f"mediasluice:library:{quote(library[:SHORT], safe='', errors='replace')}"


def valid(path: bytes) -> str:
    """Text of a path that every reader of JSON takes."""
    return path.decode("utf-8", "replace")


def _row(fact: Fact, at: str) -> dict[str, object]:
    event = fact.event
    return {
        "seq": event.seq,
        "id": event.id,
        "type": event.type.value,
        "at": at,
        "library": event.library.encode("utf-8", "replace").decode()[:_LONG],
        **_path("path", event.path),
        **({"old_path": None} if event.old_path is None else _path("old_path", event.old_path)),
        "size": event.size,
        "blake3": None if event.blake3 is None else event.blake3.hex(),
        "xxh128": None if event.xxh128 is None else event.xxh128.hex(),
        "origin": event.origin,
        "file": fact.file,
        "version": fact.version,
        "kind": None if fact.kind is None else fact.kind.value,
        "data": dict(_details(event.data)),
    }


def _path(name: str, path: bytes) -> dict[str, object]:
    shown = valid(path)
    return {name: shown} if shown.encode() == path else {name: shown, f"{name}_raw": _raw(path)}


def _raw(path: bytes) -> str:
    return base64.b64encode(path).decode("ascii")


def _details(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, str):
            yield from _texts(name, value)
        else:
            yield name, None if isinstance(value, float) and not math.isfinite(value) else value


def _texts(name: str, value: str) -> Iterator[tuple[str, str]]:
    """A text that may hold lone surrogates for bytes, as one that is valid; and those bytes, where it does."""
    try:
        value.encode()
    except UnicodeEncodeError:
        try:
            exact = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # halves of a pair: no bytes ever were behind them
            yield name, value.encode("utf-8", "replace").decode()
            return
        yield name, valid(exact)
        yield f"{name}_raw", _raw(exact)
    else:
        yield name, value


def _moment(at_us: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    second, microseconds = divmod(at_us, 1_000_000)
    return f"{(_EPOCH + timedelta(seconds=second)).isoformat()[:19]}.{microseconds:06}Z"


# -- too long -----------------------------------------------------------------------------------------


def _shortened(told: dict[str, object], fact: Fact) -> str:
    """Cut what is longest until all fits: first what says more about the event, then the paths."""
    told["subject"] = str(told["subject"])[:SHORT]
    row = told["data"]
    assert isinstance(row, dict)
    row["truncated"] = cut = list[str]()
    for name in sorted(row["data"], key=lambda name: -_width(row["data"][name])):
        if len(encoded := _encode(told)) <= LIMIT:
            return encoded
        value = row["data"][name]
        if _width(value) > SHORT:
            if name.endswith("_raw"):  # half of it would be other bytes
                del row["data"][name]
            else:
                row["data"][name] = value[:SHORT] if isinstance(value, str) else None
            cut.append(f"data.{name}")
    for name, path in (("old_path", fact.event.old_path), ("path", fact.event.path)):
        if path is not None and len(str(row[name])) > _LONG and len(_encode(told)) > LIMIT:
            row |= {name: str(row[name])[:_LONG], f"{name}_raw": _raw(path)}
            cut.append(name)
    for name in ("old_path_raw", "path_raw", "data"):
        if name in row and len(_encode(told)) > LIMIT:
            row.pop(name)
            row.setdefault("data", {})
            cut.append(name)
    return _encode(told)


def _width(value: object) -> int:
    return len(_encode(value))
