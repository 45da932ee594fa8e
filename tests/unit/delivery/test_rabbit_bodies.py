from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from mediasluice.catalogue.outbox import Fact
from mediasluice.catalogue.readings import READ, REFUSED
from mediasluice.catalogue.telling import Standing
from mediasluice.delivery.rabbitmq.bodies import NOT_READ, Sender, message
from mediasluice.delivery.rabbitmq.options import MetadataStyle
from mediasluice.delivery.rabbitmq.telling import News
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, Reading, Tags, to_json

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
PATH = b"/music/Bj\xc3\xb6rk/01 Hunter.MP3"
READING = Reading(
    "av", "audio/mpeg", Media(container="mp3", duration=255.5, bitrate=321_000, audio_bitrate=320_000,
                              sample_rate=44_100, channels=2),
    Tags(title="Hunter", artist="Bj\u00f6rk", album="Homogenic", date="1997", genre="Electronic", track="1/10"),
)  # fmt: skip
KNOWN = Standing(b"/music", Kind.AUDIO, True, 1_500_000_000, 3, 7, b"\x0a" * 16, b"\x0b" * 32, True, READ, None)


def fact(kind: EventType = EventType.FILE_CREATED, path: bytes = PATH) -> Fact:
    event = Event(7, ID, kind, 1_700_000_000_000_001, "music", path, None, 7, None, None, None, {})
    return Fact(event, b"/music", 5, 1, 3, Kind.AUDIO, None, None, None)


def body(news: News, known: Standing = KNOWN, style: MetadataStyle = MetadataStyle.NESTED) -> dict[str, Any]:
    """The body of a message; nothing in it, at any depth, is null."""
    made = message(f"file.{news.what}", ID, news, fact(path=news.path), known, Sender("studio-1", style))
    assert b"null" not in made.body
    made.body.decode("ascii")
    return dict(json.loads(made.body))


def test_a_created_file_has_all_that_is_documented() -> None:
    """The body holds the fields of the README, with its types, and those that the consumers read beyond them."""
    found = body(News("created", 5, PATH, 3), KNOWN._replace(found=to_json(READING)))
    assert datetime.fromisoformat(found.pop("timestamp")).utcoffset() is not None
    assert found == {
        "event_type": "created",
        "file_path": "/music/Bj\u00f6rk/01 Hunter.MP3",
        "instance_id": "studio-1",
        "correlation_id": ID,
        "watched_directory": "/music",
        "file_type": "mp3",
        "sha256_hash": "0b" * 32,
        "xxh128_hash": "0a" * 16,
        "size_bytes": 7,
        "metadata": {
            "file_path": "/music/Bj\u00f6rk/01 Hunter.MP3",
            "file_name": "01 Hunter.MP3",
            "file_size": 7,
            "modified_time": 1.5,
            "duration": 255.5,
            "bitrate": 320_000,
            "sample_rate": 44_100,
            "channels": 2,
            "format": "audio/mpeg",
            "tags": {
                "title": "Hunter",
                "artist": "Bj\u00f6rk",
                "album": "Homogenic",
                "date": "1997",
                "genre": "Electronic",
                "track": "1/10",
            },
        },
    }


def test_flat_metadata_is_text_without_depth() -> None:
    """With `flat_strings` each value is a string and the tags stand beside the rest."""
    known = KNOWN._replace(found=to_json(READING))
    found = body(News("modified", 5, PATH, 3), known, MetadataStyle.FLAT_STRINGS)["metadata"]
    assert {type(value) for value in found.values()} == {str}
    assert (found["duration"], found["title"], found["file_size"]) == ("255.5", "Hunter", "7")
    assert "tags" not in found


@pytest.mark.parametrize(
    ("state", "found", "error"),
    [
        (None, None, NOT_READ),
        (REFUSED, to_json(Reading("", error="no header")), "could not be read: no header"),
        (READ, to_json(READING._replace(error="the end is missing")), "the end is missing"),
    ],
)
def test_what_was_not_read_is_said(state: str | None, found: str | None, error: str) -> None:
    """Without a reading, or with one that failed, there is basic metadata and why there is no more."""
    metadata = body(News("created", 5, PATH, 3), KNOWN._replace(state=state, found=found))["metadata"]
    assert error in metadata["error"]
    assert (metadata["file_name"], metadata["file_size"]) == ("01 Hunter.MP3", 7)


def test_what_is_no_media_has_no_error() -> None:
    """Nobody reads a text, and its message does not complain about that."""
    metadata = body(News("created", 5, b"/music/a.txt", 3), KNOWN._replace(state=None, kind=Kind.OTHER))["metadata"]
    assert "error" not in metadata


def test_a_deleted_file_has_no_digests() -> None:
    """A deletion carries path, type and watched directory, neither digests nor size nor metadata."""
    found = body(News("deleted", 5, b"/music/a.oga", 3))
    assert (found["file_type"], found["format_family"]) == ("ogg", "ogg_vorbis")
    assert not {"sha256_hash", "xxh128_hash", "size_bytes", "metadata", "old_path"} & found.keys()


def test_only_what_moved_has_an_old_path() -> None:
    """A move names the path before it; a duplicate names its original."""
    moved = body(News("moved", 5, PATH, 3, old_path=b"/music/b.mp3"))
    assert (moved["old_path"], moved["sha256_hash"]) == ("/music/b.mp3", "0b" * 32)
    copy = body(News("duplicate", 5, PATH, 3, of_path=b"/music/b.mp3"))
    assert (copy["duplicate_of"], "old_path" in copy) == ("/music/b.mp3", False)


def test_a_path_that_is_no_text_keeps_its_bytes() -> None:
    """Undecodable bytes are shown with a replacement character, and stand beside it in base64."""
    found = body(News("renamed", 5, b"/music/\xff.mp3", 3, old_path=b"/music/\xfe.mp3"))
    assert (found["file_path"], found["file_path_raw"]) == ("/music/\ufffd.mp3", "L211c2ljL/8ubXAz")
    assert (found["old_path"], found["old_path_raw"]) == ("/music/\ufffd.mp3", "L211c2ljL/4ubXAz")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.FLAC", "flac"),
        ("a.wave", "wav"),
        ("a.m4b", "mp4"),
        ("a.opus", "ogg"),
        ("a.jpg", "unknown"),
        (".mp3", "unknown"),
    ],
)
def test_the_type_goes_by_the_name(name: str, kind: str) -> None:
    """The type is one of Tracktion's words, whatever the case of the name."""
    assert body(News("deleted", 5, f"/music/{name}".encode(), 3))["file_type"] == kind
