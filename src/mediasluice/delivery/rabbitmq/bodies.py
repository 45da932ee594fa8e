"""Write the messages of Tracktion: the fields that its file watcher documents and those that its consumers read.

Takes news, the fact that they come from and what is known of the file; gives key, properties and JSON. Nothing in it
is ``null``. A path that is no UTF-8 is shown with replacement characters, and its bytes stand beside it as base64.
Fails with: nothing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from mediasluice.catalogue.outbox import Fact
from mediasluice.catalogue.readings import READ
from mediasluice.catalogue.telling import Standing
from mediasluice.delivery.rabbitmq.options import MetadataStyle
from mediasluice.delivery.rabbitmq.publisher import Message
from mediasluice.delivery.rabbitmq.telling import News
from mediasluice.model.files import Kind

WITH_METADATA = frozenset({"created", "modified", "duplicate"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAGS = ("title", "artist", "album", "date", "genre", "track")
_FILE_TYPES = {
    **dict.fromkeys(("mp3", "flac", "ogg", "mp4", "aac", "wma"), ""),
    **dict.fromkeys(("wav", "wave"), "wav"),
    **dict.fromkeys(("oga", "opus"), "ogg"),
    **dict.fromkeys(("m4a", "m4b", "m4p", "m4v", "m4r"), "mp4"),
}
_VORBIS = frozenset({"ogg", "oga"})
NOT_READ = "what stands inside was not read in time"
UNREADABLE = "what stands inside could not be read"
_loads: Callable[[str], dict[str, Any]] = json.JSONDecoder().decode
_encode: Callable[[object], str] = json.JSONEncoder(separators=(",", ":")).encode  # ASCII


class Sender(NamedTuple):
    """What all messages of a sink have in common."""

    instance_id: str
    style: MetadataStyle


def message(key: str, identity: str, news: News, fact: Fact, known: Standing, sender: Sender) -> Message:
    """One message; ``identity``: its id."""
    event = fact.event
    told_at = _timestamp(event.at_us)
    path, path_raw = shown(news.path)
    body: dict[str, Any] = {
        "event_type": news.what,
        "file_path": path,
        "timestamp": told_at,
        "instance_id": sender.instance_id,
        "correlation_id": event.id,
        "watched_directory": shown(_root(fact, news, known))[0],
    }
    _put(body, "file_path_raw", path_raw)
    for name, other in (("old_path", news.old_path), ("duplicate_of", news.of_path)):
        if other is not None:
            body[name], raw = shown(other)
            _put(body, f"{name}_raw", raw)
    ending = _extension(news.path)
    body["file_type"] = _FILE_TYPES.get(ending, "unknown") or ending
    if ending in _VORBIS:
        body["format_family"] = "ogg_vorbis"
    if news.what != "deleted":
        _put(body, "sha256_hash", known.sha256 and known.sha256.hex())
        _put(body, "xxh128_hash", known.xxh128 and known.xxh128.hex())
        _put(body, "size_bytes", known.size)
    if news.what in WITH_METADATA:
        body["metadata"] = _metadata(path, known, sender.style)
    headers = {
        "ce-specversion": "1.0",
        "ce-id": identity,
        "ce-source": _source(sender.instance_id, event.library),
        "ce-type": key,
        "ce-time": told_at,
        "ce-subject": quote(news.path),
    }
    properties = {
        "correlation_id": event.id,
        "headers": headers,
        "message_type": key,
        "timestamp": _second(event.at_us),
    }
    return Message(key, identity, _encode(body).encode(), properties)


def shown(path: bytes) -> tuple[str, str | None]:
    """A path as text, and as base64 where the text does not say all."""
    try:
        return path.decode(), None
    except UnicodeDecodeError:
        return path.decode(errors="replace"), b64encode(path).decode()


def _root(fact: Fact, news: News, known: Standing) -> bytes:
    return fact.root if fact.file == news.file or known.root is None else known.root


def _metadata(path: str, known: Standing, style: MetadataStyle) -> dict[str, Any]:
    found: dict[str, Any] = {"file_path": path, "file_name": path.rpartition("/")[2]}
    _put(found, "file_size", known.size)
    _put(found, "modified_time", None if known.mtime_ns is None else known.mtime_ns / 1e9)
    reading: dict[str, Any] = {} if known.found is None else _loads(known.found)
    media, read_tags = reading.get("media") or {}, reading.get("tags") or {}
    _put(found, "duration", media.get("duration"))
    _put(found, "bitrate", media.get("audio_bitrate") or media.get("bitrate"))
    _put(found, "sample_rate", media.get("sample_rate"))
    _put(found, "channels", media.get("channels"))
    _put(found, "format", reading.get("mime"))
    _put(found, "error", _error(known, reading.get("error")))
    tags = {name: read_tags[name] for name in _TAGS if name in read_tags}
    if style is MetadataStyle.FLAT_STRINGS:
        return {name: str(value) for name, value in (found | tags).items()}
    if tags:
        found["tags"] = tags
    return found


def _error(known: Standing, said: str | None) -> str | None:
    """Why there is less than there could be; what nobody reads has no error."""
    if known.state is None:
        return NOT_READ if known.kind in {Kind.AUDIO, Kind.VIDEO} else None
    if known.state == READ:
        return said
    return UNREADABLE if said is None else f"{UNREADABLE}: {said}"


def _put(body: dict[str, Any], name: str, value: object) -> None:
    if value is not None:
        body[name] = value


def _extension(path: bytes) -> str:
    stem, dot, ending = path.rpartition(b"/")[2].rpartition(b".")
    return ending.decode(errors="replace").lower() if dot and stem else ""


@lru_cache(maxsize=16)
def _timestamp(at_us: int) -> str:
    """ISO 8601 in UTC; what was recorded together has one time."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="microseconds")


@lru_cache(maxsize=16)
def _second(at_us: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=at_us)).replace(microsecond=0)


@lru_cache(maxsize=64)
def _source(instance_id: str, library: str) -> str:
    return f"/mediasluice/{quote(instance_id, safe='')}/{quote(library, safe='')}"
