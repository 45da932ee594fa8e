"""While brokers, Redis and receivers are killed, frozen and cut off: every fact arrives, in order, imports go on."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis as redis_client

from tests.asynq_reader import AsynqReader
from tests.brokers import Broker, Consumers
from tests.proxy import Proxy
from tests.receivers import Receiver
from tests.redis_server import RedisServer, redis_server
from tests.service import SCALE, Sluice, scaled

OUTAGE_S = min(60.0, 2.5 * SCALE)  # each; minutes altogether at full scale
FILES = scaled(1_200, 12_000)  # and two thirds as many events again
ALL_S = 120.0 + 60 * SCALE

pytestmark = pytest.mark.timeout(int(ALL_S * 2))


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    with Sluice(tmp_path / "home", config={}) as it:
        yield it


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


def produce(folder: Path, stages: Path, pause_s: float) -> None:
    """Let files arrive by the hundred; a third of them is written again, a third gets another name."""
    for start in range(0, FILES, 100):
        stage = stages / str(start)
        stage.mkdir(parents=True)
        for number in range(start, start + 100):
            (stage / f"{number}.txt").write_text(f"this is file {number}\n")
        arrived = folder / str(start)
        stage.rename(arrived)
        time.sleep(pause_s)
        if start >= 200:
            before = folder / str(start - 200)
            for number in range(start - 200, start - 100):
                if number % 3 == 0:
                    (before / f"{number}.txt").write_text(f"this is file {number}, written again\n")
                elif number % 3 == 1:
                    (before / f"{number}.txt").rename(before / f"{number}-renamed.txt")


def first_arrivals(messages: Iterable[tuple[str, str, str | None, str]]) -> dict[str, list[str]]:
    """What came about each path, in the order in which each id came first: (id, path, old path, verb)."""
    seen: set[str] = set()
    told: dict[str, list[str]] = defaultdict(list)
    for number, path, old, verb in messages:
        if number not in seen:
            seen.add(number)
            told[path].append(verb)
            if old is not None:
                told[old].append(f"{verb} away")
    return told


def test_outages_of_every_sink(
    sluice: Sluice, tmp_path: Path, broker: Broker, redis: RedisServer, request: pytest.FixtureRequest
) -> None:
    """Killed, frozen, stalled, reset and down, one after the other, amid thousands of events: nothing is lost."""
    folder = tmp_path / "in"
    folder.mkdir()
    exchange = f"outage-{tmp_path.name}"
    consumers = Consumers(broker.url, exchange)
    consumers.declare()
    request.addfinalizer(consumers.remove)
    ports = urlsplit(broker.url).port, urlsplit(redis.url).port
    assert ports[0] is not None
    assert ports[1] is not None
    with (
        Receiver() as receiver,
        Proxy(ports[0]) as to_broker,
        Proxy(ports[1]) as to_redis,
        Proxy(receiver.port) as to_hook,
    ):
        wire = {
            "queue": {
                "type": "rabbitmq",
                "url": f"amqp://guest:guest@127.0.0.1:{to_broker.port}/",
                "exchange": exchange,
            },
            "jobs": {
                "type": "asynq",
                "url": f"redis://127.0.0.1:{to_redis.port}/0",
                "map": dict.fromkeys(("created", "modified", "renamed"), "file:generic"),
                "queues": {"file:generic": "files"},
            },
            "hook": {
                "type": "webhook",
                "url": f"http://127.0.0.1:{to_hook.port}/",
                "allow_private": True,
                "timeout": "2s",
                "retry": {"cap": "2s"},
            },
        }
        quick = {"complete": "0s", "unknown": "0s", "truncated": "0s"}
        sluice.configure({"libraries": {"in": {"path": str(folder), "settle": quick}}, "sinks": wire})
        service = sluice.start()
        proxies = (to_broker, to_redis, to_hook)

        def each(act: Callable[[Proxy], None]) -> Callable[[], None]:
            def all_of_them() -> None:
                for proxy in proxies:
                    act(proxy)

            return all_of_them

        outages: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
            (each(Proxy.cut), each(Proxy.cut)),
            (broker.freeze, broker.thaw),
            (redis.freeze, redis.thaw),
            (each(Proxy.stall), each(Proxy.resume)),
            (redis.kill, redis.start),
            (to_hook.down, to_hook.up),
            (broker.kill, broker.start),
        ]
        failure: list[BaseException] = []

        def arrive() -> None:
            try:
                produce(folder, tmp_path / "stages", len(outages) * OUTAGE_S / (FILES / 100))
            except BaseException as error:  # noqa: BLE001 - told by the test
                failure.append(error)

        writer = threading.Thread(target=arrive)
        writer.start()
        counts = []
        for begin, end in outages:
            begin()
            time.sleep(OUTAGE_S)
            counts.append(sluice.status()["counts"].get("catalogued", 0))
            end()
        writer.join()
        assert not failure
        assert counts == sorted(counts)
        assert len(set(counts)) >= len(counts) - 2, f"outages do not stop what arrives: {counts}"
        again = [number for number in range(FILES - 200) if number % 3 < 2]
        types = ("file.created", "file.modified", "file.renamed")
        service.wait(lambda: len(sluice.events(*types)) == FILES + len(again), "all is catalogued", ALL_S)
        rows: list[Any] = []

        def rest() -> bool:
            rows[:] = sluice.lines("sinks")
            return all(row["pending"] == 0 and row["state"] == "active" for row in rows)

        service.wait(rest, "the backlog is gone", ALL_S)
        assert all(row["dead"] == row["parked"] == 0 for row in rows)
        service.stop()
        events = [one for one in sluice.events() if one["type"].startswith("file.")]

    ids = {event["id"] for event in events}
    truth = first_arrivals((one["id"], one["path"], one["old_path"], one["type"][5:]) for one in events)

    heard = consumers.take()
    assert {one.properties.message_id for one in heard} == ids
    came = (
        (str(one.properties.message_id), one.body["file_path"], one.body.get("old_path"), one.key[5:]) for one in heard
    )
    assert first_arrivals(came) == truth

    posted = [json.loads(got.body) for got in receiver.got]
    assert {body["id"] for body in posted} == ids
    paths = ((body["id"], body["data"]["path"], body["data"]["old_path"], body["type"][5:]) for body in posted)
    assert first_arrivals(paths) == truth

    tasks = AsynqReader(redis_client.Redis.from_url(redis.url), "files").tasks()
    assert {json.loads(task.message.payload)["path"] for task in tasks} == {event["path"] for event in events}
