"""A consumer that lost what it knew, or was away for longer than the log is kept, gets the true state of all files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mediasluice.catalogue import outbox
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.jobs import retention
from mediasluice.jobs.port import Wish
from mediasluice.model.events import EventType
from tests.brokers import Consumers
from tests.proxy import Proxy
from tests.running import Running

pytestmark = pytest.mark.timeout(180)

QUICK = {"settle": {"complete": 0, "unknown": 0, "truncated": 0}}
FILES, TURNS = 20, 8


@pytest.fixture
def consumers(broker_url: str, tmp_path: Path) -> Iterator[Consumers]:
    consumers = Consumers(broker_url, f"lagged-{tmp_path.name}")
    consumers.declare()
    yield consumers
    consumers.remove()


def state_of(heard: list[Any]) -> dict[str, str]:
    """What a consumer that goes by paths believes is there: path -> digest."""
    there: dict[str, str] = {}
    for one in heard:
        body = one.body
        path = body["file_path"]
        if body["event_type"] == "deleted":
            there.pop(path, None)
            continue
        known = there.pop(body["old_path"], None) if "old_path" in body else None
        there[path] = body.get("sha256_hash") or known or ""
    return there


def test_a_sink_that_was_away_for_too_long(tmp_path: Path, broker_url: str, consumers: Consumers) -> None:
    """Past the cap the log loses what is outlived; the sink says that it lags, and then knows what really is there."""
    (tmp_path / "in").mkdir()
    stage = tmp_path / "stage"
    port = urlsplit(broker_url).port
    assert port is not None
    with Proxy(port) as proxy:
        sink = {"type": "rabbitmq", "exchange": f"lagged-{tmp_path.name}", "wait_for": "nothing"}
        sink["url"] = f"amqp://guest:guest@127.0.0.1:{proxy.port}/"
        with Running(
            tmp_path, {"in": QUICK}, sinks={"queue": sink}, retention={"log_cap": "8KiB"}, previews={"of": "none"}
        ) as host:
            files = [tmp_path / "in" / f"{number}.txt" for number in range(FILES)]
            for file in files:
                file.write_text(f"{file.name}, first")
            host.until(lambda: caught_up(host, FILES), "the first are told")
            proxy.down()
            for turn in range(TURNS):
                for file in files:  # put in its place whole: who writes a file again and again is waited for
                    stage.write_text(f"{file.name}, turn {turn}")
                    stage.replace(file)
                host.until(lambda count=FILES * (turn + 1): counted(host, "modified") >= count, "written")  # type: ignore[misc]
            files[0].unlink()
            files[1].rename(files[1].with_name("one.txt"))
            host.until(lambda: counted(host, "renamed") == 1, "renamed")
            files[1].with_name("one.txt").rename(files[1].with_name("uno.txt"))
            files[2].rename(files[2].with_name("two.txt"))
            (tmp_path / "in" / "new.txt").write_text("new")
            host.until(lambda: (counted(host, "renamed"), counted(host, "deleted")) == (3, 1), "moved and deleted")
            host.until(lambda: counted(host, "created") == FILES + 1, "new")
            job = host.service.jobs.enqueue(Wish(retention.NAME))
            host.until(lambda: state_of_job(host, job) == "done", "the log is cut")
            with View.open(catalogue_file(host.data)) as view:
                position = view.ask(outbox.positions)["queue"]
            assert position.lagged > position.cursor
            assert len(host.events()) < host.head() * 0.6
            assert "sinks_lag" in host.log.events()
            proxy.up()
            host.until(lambda: caught_up(host, 0), "told")
    truth = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "in").iterdir()}
    assert state_of(consumers.take()) == truth


def test_a_consumer_that_lost_its_memory(tmp_path: Path, broker_url: str, consumers: Consumers) -> None:
    """Told again from the start, with the ids of the first time, one who knows nothing knows what is there."""
    folder = tmp_path / "in"
    folder.mkdir()
    sink = {"type": "rabbitmq", "exchange": f"lagged-{tmp_path.name}", "wait_for": "nothing", "url": broker_url}
    with Running(tmp_path, {"in": QUICK}, sinks={"queue": sink}, previews={"of": "none"}) as host:
        for name in ("a", "b", "c", "d"):
            (folder / name).write_text(name)
        host.until(lambda: caught_up(host, 4), "the first are told")
        (folder / "a").rename(folder / "e")
        (folder / "b").unlink()
        (folder / "copy").write_text("c")
        host.until(
            lambda: counted(host, "deleted") == counted(host, "renamed") == counted(host, "duplicate") == 1, "so"
        )
        host.until(lambda: caught_up(host, 0), "told")
        first = consumers.take()
        host.service.host.writer.call(lambda catalogue: catalogue.change(outbox.replay, "queue", 0))
        host.service.deliveries.reload("queue")
        host.until(lambda: caught_up(host, len(first) * 2 - 1), "told again")
    again = consumers.take()
    truth = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    assert state_of(first) == state_of(again) == truth
    assert [one.properties.message_id for one in again] == [one.properties.message_id for one in first]


def caught_up(host: Running, least: int) -> bool:
    with View.open(catalogue_file(host.data)) as view:
        [row] = host.service.deliveries.rows(view)
    return bool(row["pending"] == 0 and row["state"] == "active" and row["delivered"] >= least)


def counted(host: Running, what: str) -> int:
    return sum(event.type is EventType(f"file.{what}") for event in host.events())


def state_of_job(host: Running, job: int) -> str:
    shown = host.service.jobs.show(job)
    assert shown is not None
    return shown.job.state
