"""The RabbitMQ sink against a real broker, with queues as Tracktion's consumers declare them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.delivery.rabbitmq.options import Options, WaitFor
from mediasluice.delivery.rabbitmq.publisher import DEAD_QUEUE
from mediasluice.delivery.rabbitmq.sink import RabbitSink
from mediasluice.delivery.sink import Result
from mediasluice.errors import SinkRefused, SinkUnreachable
from mediasluice.model.flow import RootId
from tests.brokers import Broker, Consumers
from tests.catalogues import add_root
from tests.listening import Listener, Outbox, whole

_numbers = count(1)
SECRET = "s3cr/t@word"


@pytest.fixture
def exchange() -> str:
    return f"events{next(_numbers)}"


@pytest.fixture
def consumers(broker_url: str, exchange: str) -> Iterator[Consumers]:
    consumers = Consumers(broker_url, exchange)
    yield consumers
    consumers.remove(DEAD_QUEUE)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(tmp_path / "catalogue.sqlite") as catalogue:
        yield catalogue


@pytest.fixture
def root(catalogue: Catalogue) -> RootId:
    return add_root(catalogue)


def options(url: str, exchange: str, **rest: object) -> Options:
    return Options(url, "studio-1", exchange, wait_for=WaitFor.NOTHING, **rest)  # type: ignore[arg-type]


@pytest.fixture
def outbox(broker_url: str, exchange: str, catalogue: Catalogue, tmp_path: Path) -> Iterator[Outbox]:
    """A sink that waits no longer than a second for anything."""
    limits = {"connect_timeout_s": 1.0, "confirm_timeout_s": 1.0}
    outbox = Outbox(catalogue, tmp_path / "catalogue.sqlite", options(broker_url, exchange, **limits))
    yield outbox
    outbox.sink.close()


def fill(catalogue: Catalogue, root: RootId, numbers: range) -> None:
    files = [whole(root, f"d{number // 100}/{number}.mp3".encode(), b"%d" % number, number + 1) for number in numbers]
    catalogue.record(files, 1_700_000_000_000_000 + numbers[0])


def drain(outbox: Outbox, size: int = 500) -> None:
    while outbox.step(size):
        pass


def test_consumers_get_what_they_read(
    catalogue: Catalogue, root: RootId, outbox: Outbox, consumers: Consumers, exchange: str
) -> None:
    """Each message is persistent JSON with an id, a time, the headers of CloudEvents and the fields of Tracktion."""
    consumers.declare()
    fill(catalogue, root, range(1))
    catalogue.depart(root, [(b"d0", b"0.mp3")], 2)
    catalogue.delete([1], 1_700_000_000_123_456)
    outbox.sink.open()
    drain(outbox)
    created, deleted = consumers.take("cataloging")
    assert (created.key, deleted.key) == ("file.created", "file.deleted")
    assert created.body["file_path"] == "/photos/d0/0.mp3"
    assert created.body["sha256_hash"] == b"0".rjust(32).hex()
    assert datetime.fromisoformat(deleted.body["timestamp"]).microsecond == 123_456
    given = deleted.properties
    assert (given.delivery_mode, given.content_type, given.app_id) == (2, "application/json", "mediasluice")
    assert given.type == "file.deleted"
    assert given.correlation_id == deleted.body["correlation_id"]
    assert given.message_id == given.headers["ce-id"]
    assert given.headers["ce-source"] == "/mediasluice/studio-1/photos"
    assert given.headers["ce-subject"] == "/photos/d0/0.mp3"
    assert [one.key for one in consumers.take("tracklist")] == [created.key, deleted.key]
    assert len(consumers.take("analysis")) == 2


def test_nothing_is_lost_before_somebody_listens(
    catalogue: Catalogue, root: RootId, outbox: Outbox, consumers: Consumers, exchange: str
) -> None:
    """While no queue was ever bound facts wait and say why; later what no queue wants is counted and passed over."""
    fill(catalogue, root, range(3))
    outbox.sink.open()
    assert outbox.step() == 3
    assert {(one.result, one.reason) for one in outbox.outcomes} == {
        (Result.LATER, f"no queue is bound to exchange {exchange} for key file.created")
    }
    assert outbox.sink.unroutable == 0
    consumers.declare()
    assert outbox.step() == 0
    assert consumers.count() == 3
    consumers.remove()
    outbox.sink.open()  # declares the exchange again
    fill(catalogue, root, range(3, 5))
    assert outbox.step() == 0
    assert outbox.sink.unroutable == 2
    assert outbox.sink.unroutable_reason == f"no queue is bound to exchange {exchange} for key file.created"


def test_what_consumers_reject_is_kept_on_request(
    catalogue: Catalogue, root: RootId, broker_url: str, exchange: str, consumers: Consumers, tmp_path: Path
) -> None:
    """With `declare_dead` a message that a consumer rejects is in our own queue, otherwise there is no such queue."""
    consumers.declare()
    outbox = Outbox(catalogue, tmp_path / "catalogue.sqlite", options(broker_url, exchange, declare_dead=True))
    outbox.sink.open()
    fill(catalogue, root, range(2))
    drain(outbox)
    outbox.sink.close()
    assert len(consumers.take("cataloging", reject=True)) == 2
    assert [one.key for one in consumers.take_from(DEAD_QUEUE)] == ["file.created"] * 2


@pytest.mark.parametrize(
    ("change", "exchange_name", "says", "hint"),
    [
        (("", ""), "amq.direct", "PRECONDITION_FAILED.*direct", "type topic"),
        ((r"//.*", "//me:s3cr%2Ft%40word@127.0.0.1:x/"), "file_events", "cannot be read", "`url`"),
        (("guest:guest", "guest:s3cr%2Ft%40word"), "file_events", "user name or password was refused", "`url`"),
        ((r"/$", "/nowhere"), "file_events", "virtual host", "`url`"),
        ((r"^amqp:", "http:"), "file_events", "begins with http://", "amqps://"),
    ],
)
def test_a_refusal_says_what_to_do(
    change: tuple[str, str], exchange_name: str, says: str, hint: str, broker_url: str, tmp_path: Path
) -> None:
    """A wrong type, a wrong password, a wrong virtual host: the error names host, exchange and the next step."""
    wrong = re.sub(change[0], change[1], broker_url, count=1)
    sink = sink_of(wrong, exchange_name)
    with pytest.raises(SinkRefused, match=says) as caught:
        sink.open()
    text = str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
    assert exchange_name in text
    assert re.search(r"127\.0\.0\.1:\d+|an address that is none", text)
    assert hint in (caught.value.hint or "")
    assert SECRET not in text
    assert "s3cr%2Ft" not in text
    sink.close()


def sink_of(url: str, exchange: str = "file_events", **rest: object) -> RabbitSink:
    return RabbitSink("rabbit", options(url, exchange, **rest), no_view, monotonic, lambda _: None)


def no_view() -> AbstractContextManager[View]:
    raise AssertionError("nothing is to be delivered")


def test_the_connection_has_a_name(broker: Broker) -> None:
    """Who looks at the broker sees which file watcher it is, and what it watches."""
    sink = sink_of(broker.url, "named", watched_directory="/music")
    sink.open()
    properties = broker.ctl("list_connections", "client_properties")
    assert '"connection_name","file_watcher_studio-1"' in properties
    assert '"instance_id","studio-1"' in properties
    assert '"watched_directory","/music"' in properties
    sink.close()


def test_tls_is_spoken_and_its_failures_explained(broker: Broker) -> None:
    """Amqps works with an authority that is named; one that is not trusted, and a port without TLS, are refused."""
    authority = broker.directory / "certificate.pem"
    url = f"amqps://guest:guest@localhost:{broker.tls_port}/"
    sink = sink_of(f"{url}?cafile={authority}", "tls")
    sink.open()
    sink.close()
    for wrong, says in ((url, "not trusted"), (f"amqps://guest:guest@localhost:{broker.port}/", "TLS failed")):
        sink = sink_of(wrong, "tls")
        with pytest.raises(SinkRefused, match=says):
            sink.open()
        sink.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://me:s3cr%2Ft%40word@nowhere.invalid/", "name of the host"),
        ("amqp://me:s3cr%2Ft%40word@127.0.0.1:9/", "nobody listens"),
    ],
)
def test_a_broker_that_is_not_there_is_unreachable(url: str, says: str) -> None:
    """A name that nobody knows and a port at which nobody listens are tried again, and say what to check."""
    sink = sink_of(url)
    with pytest.raises(SinkUnreachable, match=says) as caught:
        sink.open()
    assert caught.value.hint is not None
    assert SECRET not in str(caught.value)
    sink.close()


def test_a_frozen_broker_stops_nobody_for_long(
    catalogue: Catalogue, root: RootId, outbox: Outbox, consumers: Consumers, broker: Broker
) -> None:
    """A broker that does not answer any more is an error after the time-out, for deliveries and for connecting."""
    consumers.declare()
    fill(catalogue, root, range(2))
    outbox.sink.open()
    drain(outbox)
    broker.freeze()
    try:
        fill(catalogue, root, range(2, 4))
        began = monotonic()
        with pytest.raises(SinkUnreachable, match="nothing was confirmed within 1 s"):
            outbox.step()
        with pytest.raises(SinkUnreachable, match="connection is gone"):
            outbox.step()
        with pytest.raises(SinkUnreachable, match="no answer within 1 s"):
            outbox.sink.open()
        assert monotonic() - began < 8
    finally:
        broker.thaw()
    outbox.sink.open()
    drain(outbox)
    ids = {one.properties.message_id for one in consumers.take()}
    assert len(ids) == 4


def test_a_close_ends_a_delivery_that_hangs(
    catalogue: Catalogue, root: RootId, exchange: str, consumers: Consumers, broker: Broker, tmp_path: Path
) -> None:
    """`close` from another thread brings a delivery back that waits for a broker."""
    consumers.declare()
    patient = options(broker.url, exchange, confirm_timeout_s=50.0)
    outbox = Outbox(catalogue, tmp_path / "catalogue.sqlite", patient)
    outbox.sink.open()
    fill(catalogue, root, range(2))
    broker.freeze()
    try:
        closing = threading.Timer(0.3, outbox.sink.close)
        closing.start()
        began = monotonic()
        with pytest.raises(SinkUnreachable, match="closed meanwhile"):
            outbox.step()
        closing.join()
        assert monotonic() - began < 4
    finally:
        broker.thaw()


def test_a_killed_broker_loses_nothing(
    catalogue: Catalogue, root: RootId, outbox: Outbox, consumers: Consumers, broker: Broker
) -> None:
    """Kill -9 of the broker amid 2,000 messages: all of them arrive, in order, and repeats carry the same id."""
    consumers.declare()
    fill(catalogue, root, range(2_000))
    outbox.sink.open()
    outbox.step(500)
    killing = threading.Timer(0.03, broker.kill)
    killing.start()
    is_down = False
    left = 1
    while left:
        try:
            left = outbox.step(500)
        except SinkUnreachable:
            if not is_down:
                killing.join()
                broker.start()
                is_down = True
            outbox.sink.open()
    if not is_down:  # it was too slow to be caught in the middle
        killing.join()
        broker.start()
    listener = Listener()
    heard = consumers.take()
    firsts = list({one.properties.message_id: one for one in heard}.values())
    for one in heard:
        listener.hear(one.key, one.properties.message_id, one.body)
    assert [one.body["file_path"] for one in firsts] == [f"/photos/d{n // 100}/{n}.mp3" for n in range(2_000)]
    assert len(listener.files) == 2_000
    assert json.dumps(listener.bodies)
    assert is_down
