from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediasluice.catalogue.readings import READ, Read
from mediasluice.catalogue.store import Catalogue
from mediasluice.delivery.rabbitmq.options import Options
from mediasluice.delivery.rabbitmq.publisher import Fate, Publisher
from mediasluice.delivery.sink import Result
from mediasluice.errors import MissingExtra
from mediasluice.model.files import Kind
from mediasluice.model.flow import RootId
from tests.catalogues import add_root, identified
from tests.listening import Listener, Outbox, Wire, whole

OPTIONS = Options("amqp://me:secret@localhost/", "me")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def catalogue(file: Path) -> Iterator[Catalogue]:
    with Catalogue.open(file) as catalogue:
        yield catalogue


@pytest.fixture
def root(catalogue: Catalogue) -> RootId:
    return add_root(catalogue)


def test_the_password_is_in_no_text_of_the_options() -> None:
    """What is logged of the options shows no address, because a password is in it."""
    assert "secret" not in f"{OPTIONS!r} {OPTIONS!s}"


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the driver there is one line that says how to get it."""
    monkeypatch.setitem(sys.modules, "aiormq", None)
    with pytest.raises(MissingExtra) as caught:
        Publisher(OPTIONS).open()
    assert caught.value.hint == "pip install 'mediasluice[amqp]'"


def test_sound_waits_for_what_stands_inside(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A song is not its turn until it is read; all behind it keeps its order and waits as well."""
    listener = Listener()
    outbox = Outbox(catalogue, file, OPTIONS, Wire(listener))
    catalogue.record([whole(root, b"a.mp3", b"a", 1)._replace(kind=Kind.AUDIO), whole(root, b"b.txt", b"b", 2)], 1)
    assert outbox.step() == 2
    assert [one.result for one in outbox.outcomes] == [Result.LATER, Result.LATER]
    assert "a.mp3 is not read yet" in str(outbox.outcomes[0].reason)
    outbox.now = 29.0
    assert outbox.step() == 2
    catalogue.save_readings([Read(1, 1, READ, json.dumps({"reader": "av", "tags": {"title": "A"}}), None)], [], [], 2)
    assert outbox.step() == 0
    assert listener.bodies[0]["metadata"]["tags"] == {"title": "A"}


def test_sound_waits_no_longer_than_its_limit(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """After half a minute a song is announced with basic metadata that says why."""
    listener = Listener()
    outbox = Outbox(catalogue, file, OPTIONS, Wire(listener))
    catalogue.record([whole(root, b"a.mp3", b"a", 1)._replace(kind=Kind.AUDIO)], 1)
    assert outbox.step() == 1
    outbox.now = 30.0
    assert outbox.step() == 0
    assert "error" in listener.bodies[0]["metadata"]


def test_a_missing_digest_is_asked_for_once(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A content without SHA-256 is asked for and waited for; nothing is published without it."""
    listener = Listener()
    outbox = Outbox(catalogue, file, OPTIONS, Wire(listener))
    catalogue.record([identified(root, b"a", b"a", ino=1)], 1)
    assert [outbox.step(), outbox.step()] == [1, 1]
    assert outbox.asked == [b"/photos/a"]
    assert "SHA-256 of /photos/a" in str(outbox.outcomes[0].reason)
    catalogue._connection.execute("UPDATE content SET sha256 = ?", (b"s" * 32,))
    assert outbox.step() == 0
    assert listener.files == {"/photos/a": (b"s" * 32).hex()}


def test_a_digest_that_can_never_be_is_not_waited_for(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """What is gone before its digests were known is not announced, and does not stop what follows."""
    listener = Listener()
    outbox = Outbox(catalogue, file, OPTIONS, Wire(listener))
    catalogue.record([identified(root, b"a", b"a", ino=1)], 1)
    catalogue.depart(root, [(b"", b"a")], 2)
    catalogue.delete([1], 3)
    catalogue.record([whole(root, b"b", b"b", 2)], 4)
    assert outbox.step() == 0
    assert listener.files.keys() == {"/photos/b"}


class Refusing(Wire):
    """A broker that cannot keep the second message."""

    def publish(self, drafts: object) -> list[Fate]:
        count = len(drafts)  # type: ignore[arg-type]
        return ([Fate.CONFIRMED, Fate.NACKED] + [Fate.UNKNOWN] * count)[:count]


def test_what_a_broker_cannot_keep_has_failed(catalogue: Catalogue, root: RootId, file: Path) -> None:
    """A fact whose message is refused has failed, those behind it wait, those before it are delivered."""
    outbox = Outbox(catalogue, file, OPTIONS, Refusing(Listener()))
    outbox.sink._is_heard = True
    catalogue.record([whole(root, b"%d" % number, b"%d" % number, number) for number in range(1, 5)], 1)
    assert outbox.step() == 3
    results = [one.result for one in outbox.outcomes]
    assert results == [Result.DELIVERED, Result.FAILED, Result.LATER, Result.LATER]
