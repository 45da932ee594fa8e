"""In the place of Tracktion's file watcher: only its environment, a real RabbitMQ, and consumers like Tracktion's."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from xxhash import xxh128_hexdigest

from tests.brokers import Broker, Consumers, Heard
from tests.encoded import sound, tagged
from tests.service import Service, Sluice

SOON_S = 40.0
EXCHANGE = "file_events"
ALWAYS = {
    *("event_type", "file_path", "timestamp", "instance_id", "correlation_id", "file_type", "watched_directory"),
}
SOMETIMES = {"sha256_hash", "xxh128_hash", "old_path", "metadata", "size_bytes", "format_family"}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    music = tmp_path / "music"
    (music / "a").mkdir(parents=True)
    (music / "b").mkdir()
    return music


@pytest.fixture
def consumers(broker_url: str) -> Iterator[Consumers]:
    consumers = Consumers(broker_url, EXCHANGE)
    consumers.declare()
    yield consumers
    consumers.remove()


@pytest.fixture
def sluice(tmp_path: Path, music: Path, broker_url: str) -> Iterator[Sluice]:
    at = urlsplit(broker_url)
    environment = {
        "DATA_DIR": str(music),
        "INSTANCE_ID": "studio-1",
        "RABBITMQ_HOST": at.hostname or "",
        "RABBITMQ_PORT": str(at.port),
        "RABBITMQ_USER": at.username or "guest",
        "RABBITMQ_PASS": at.password or "guest",
    }
    with Sluice(tmp_path / "home", environment=environment) as it:
        yield it


class Ear:
    """A consumer's queue, and all that came through it."""

    def __init__(self, service: Service, consumers: Consumers) -> None:
        self.heard: list[Heard] = []
        self._service, self._consumers = service, consumers

    def next(self, verb: str, path: Path) -> dict[str, Any]:
        """The body of the next message with this verb and path; what came before it is kept."""

        def came() -> dict[str, Any] | None:
            start = len(self.heard)
            self.heard += self._consumers.take()
            for one in self.heard[start:]:
                if (one.body["event_type"], one.body["file_path"]) == (verb, str(path)):
                    return one.body
            return None

        found: list[dict[str, Any]] = []

        def ask() -> bool:
            body = came()
            if body is not None:
                found.append(body)
            return bool(found)

        self._service.wait(ask, f"{verb} {path}", SOON_S)
        return found[0]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_five_operations_with_nothing_but_the_environment(sluice: Sluice, music: Path, consumers: Consumers) -> None:
    """S2-04, S2-19, S2-49..S2-65: what consumers hear of cp, mv, rm, rsync and an edit of tags, and nothing twice."""
    old = music / "a" / "old.mp3"
    old.write_bytes(sound("mp3", "old", title="Old", artist="Somebody"))
    service = sluice.start()
    ear = Ear(service, consumers)

    body = ear.next("created", old)
    assert body["sha256_hash"] == sha256(old)
    assert body["xxh128_hash"] == xxh128_hexdigest(old.read_bytes())
    assert body["instance_id"] == "studio-1"
    metadata = body["metadata"]
    assert (metadata["tags"]["title"], metadata["tags"]["artist"]) == ("Old", "Somebody")
    assert (metadata["channels"], metadata["sample_rate"]) == (2, 44_100)
    assert isinstance(metadata["duration"], float)

    source = sluice.home / "new.flac"
    source.write_bytes(sound("flac", "new", title="New"))
    new = music / "a" / "new.flac"
    subprocess.run(["cp", source, new], check=True)
    assert ear.next("created", new)["sha256_hash"] == sha256(source)

    old.write_bytes(tagged(old.read_bytes(), "mp3", title="Newer"))
    body = ear.next("modified", old)
    assert (body["sha256_hash"], body["metadata"]["tags"]["title"]) == (sha256(old), "Newer")

    renamed = music / "a" / "renamed.flac"
    subprocess.run(["mv", new, renamed], check=True)
    assert ear.next("renamed", renamed)["old_path"] == str(new)
    moved = music / "b" / "renamed.flac"
    subprocess.run(["mv", renamed, moved], check=True)
    assert ear.next("moved", moved)["old_path"] == str(renamed)
    old.unlink()
    body = ear.next("deleted", old)
    assert not {"sha256_hash", "xxh128_hash", "metadata"} & body.keys()

    many = sluice.home / "album"
    many.mkdir()
    for number in range(5):
        (many / f"{number}.ogg").write_bytes(sound("ogg", number))
    subprocess.run(["rsync", "-a", f"{many}/", f"{music}/album/"], check=True)
    service.wait(lambda: sluice.lines("sinks")[0]["pending"] == 0, "all confirmed", SOON_S)
    service.stop()

    ear.heard += consumers.take()
    assert Counter(one.key for one in ear.heard) == {
        "file.created": 7,
        "file.modified": 1,
        "file.renamed": 1,
        "file.moved": 1,
        "file.deleted": 1,
    }
    for one in ear.heard:
        assert one.key == f"file.{one.body['event_type']}"
        assert ALWAYS <= one.body.keys() <= ALWAYS | SOMETIMES
        assert ("old_path" in one.body) == (one.body["event_type"] in {"moved", "renamed"})
        assert datetime.fromisoformat(one.body["timestamp"]).utcoffset() == timedelta(0)
        assert one.body["watched_directory"] == str(music)
        assert one.properties.delivery_mode == 2
        assert one.properties.content_type == "application/json"
        assert one.properties.correlation_id == one.body["correlation_id"]
    assert len({one.properties.message_id for one in ear.heard}) == len(ear.heard)
    assert len(consumers.take("cataloging")) == len(consumers.take("tracklist")) == len(ear.heard)

    service = sluice.start()
    (music / "last.ogg").write_bytes(sound("ogg", "last"))
    again = Ear(service, consumers)
    again.next("created", music / "last.ogg")
    assert [one.body["file_path"] for one in again.heard] == [str(music / "last.ogg")]


def test_the_broker_comes_later(sluice: Sluice, music: Path, broker: Broker, consumers: Consumers) -> None:
    """S2-29, S2-70, S2-77: without a broker files are catalogued, and told in order when there is one."""
    broker.kill()
    try:
        service = sluice.start()
        for number in range(20):
            (music / f"{number}.ogg").write_bytes(sound("ogg", number))
        service.wait(lambda: len(sluice.events("file.created")) == 20, "catalogued", SOON_S)
        (music / "0.ogg").rename(music / "zero.ogg")
        service.wait(lambda: len(sluice.events("file.renamed")) == 1, "renamed", SOON_S)
        service.wait(lambda: sluice.lines("sinks")[0]["state"] == "unreachable", "shown", SOON_S)
        assert sluice.lines("sinks")[0]["pending"] == 21
    finally:
        broker.start()
    service.wait(lambda: sluice.lines("sinks")[0]["pending"] == 0, "told", SOON_S)
    heard = consumers.take()
    assert [one.body["file_path"] for one in heard if one.key == "file.renamed"] == [str(music / "zero.ogg")]
    created = [one.body["file_path"] for one in heard if one.key == "file.created"]
    assert sorted(set(created)) == sorted(str(music / f"{number}.ogg") for number in range(20))
    assert heard[-1].key == "file.renamed"


def test_a_folder_that_is_not_there(sluice: Sluice, music: Path) -> None:
    """S2: a missing folder ends the start with 78 and its name."""
    shutil.rmtree(music)
    done = sluice.call("run", code=78)
    assert str(music) in done.stderr
