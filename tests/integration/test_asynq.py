"""Jobs in a real Redis, read by a reader that knows the format only, and taken by a stand-in for Melodee's worker."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic, time, time_ns
from typing import Any

import pytest

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.asynq import scripts
from mediasluice.delivery.asynq.mapping import Options
from mediasluice.delivery.asynq.producer import ENQUEUED, THERE, Answer, Order, Producer
from mediasluice.delivery.asynq.sink import TRAITS, AsynqSink
from mediasluice.delivery.asynq.wire import Task, lock
from mediasluice.delivery.sink import DELIVERED, Result
from mediasluice.errors import SinkRefused, SinkUnreachable, SluiceError
from tests.asynq_facts import AT_US, fact, many, options
from tests.asynq_reader import AsynqReader, Worker
from tests.redis_server import RedisServer, free_port, redis_server, redis_url

redis = pytest.importorskip("redis", reason="the extra `redis` is not installed")

FILES = {"music": {"created": "file:created"}}  # one task for each file, where many are wanted


@pytest.fixture(scope="module")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_url(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def url(shared_url: str) -> Iterator[str]:
    """A database that is empty before and after; one with data of somebody is not touched."""
    with closing(redis.Redis.from_url(shared_url)) as client:
        assert client.dbsize() == 0, "this database is not empty"
        yield shared_url
        client.flushdb()


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with closing(redis.Redis.from_url(url)) as found:
        yield found


@pytest.fixture
def reader(client: Any) -> AsynqReader:
    return AsynqReader(client)


@pytest.fixture
def worker(client: Any) -> Worker:
    return Worker(client, time_ns)


@contextmanager
def opened(given: Options, clock_ns: Callable[[], int] = time_ns) -> Iterator[AsynqSink]:
    with closing(AsynqSink(given, clock_ns)) as sink:
        sink.open()
        yield sink


@pytest.fixture
def sink(url: str) -> Iterator[AsynqSink]:
    with opened(options(url)) as found:
        yield found


# -- the operations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("delay_s", "state"), [(0.0, "pending"), (60.0, "scheduled")])
@pytest.mark.parametrize("is_unique", [False, True])
def test_an_operation_writes_what_a_worker_reads(
    url: str, reader: AsynqReader, client: Any, delay_s: float, state: str, *, is_unique: bool
) -> None:
    """Each of the four: message, state, place, time and lock; the same again changes nothing."""
    key = lock("maintenance", "staging:scan", b"{}") if is_unique else ""
    task = Task("staging:scan", b"{}", "one", "maintenance", unique_key=key)
    order = Order(task, delay_s=delay_s, lock_s=100 * is_unique)
    with closing(Producer(url, time_ns)) as writer:
        writer.open(["maintenance"])
        assert [answer.code for answer in writer.put([order, order])] == [ENQUEUED, THERE]
        assert writer.put([order]) == [Answer(THERE)]
    (seen,) = reader.tasks()
    assert seen.state == state
    assert {name: getattr(seen.message, name) for name in task._fields} == task._asdict()
    if seen.pending_since_ns is not None:
        assert abs(seen.pending_since_ns - time_ns()) < 60e9
    else:
        assert 0 <= client.zscore("asynq:{maintenance}:scheduled", "one") - time() <= 61
    assert not is_unique or 90 < client.ttl(task.unique_key) - delay_s <= 100


def test_an_id_that_is_taken_leaves_no_lock(url: str, reader: AsynqReader, client: Any) -> None:
    """The id is looked for before the lock is taken: who comes with another id is not kept out."""
    key = lock("maintenance", "staging:scan", b"{}")
    plain = Task("staging:scan", b"{}", "one", "maintenance")
    unique = plain._replace(unique_key=key)
    with closing(Producer(url, time_ns)) as writer:
        writer.open([])
        orders = [Order(plain), Order(unique, lock_s=60), Order(unique._replace(id="two"), lock_s=60)]
        assert [answer.code for answer in writer.put(orders)] == [ENQUEUED, THERE, ENQUEUED]
    assert client.get(key) == b"two"
    assert len(reader.tasks()) == 2


def test_a_script_fails_before_it_has_changed_anything(url: str, client: Any) -> None:
    """Foreign data under the name of the queue: no lock and no task is left behind."""
    client.set("asynq:{maintenance}:pending", "not a list")
    with opened(options(url)) as sink, pytest.raises(SinkRefused, match="has other data under the name of a queue"):
        sink.deliver([fact(1)])
    assert sorted(client.keys()) == [b"asynq:queues", b"asynq:{maintenance}:pending"]


def test_scripts_that_were_flushed_are_loaded_again(sink: AsynqSink, reader: AsynqReader, client: Any) -> None:
    """Nothing of a batch is lost or done twice when Redis has forgotten them."""
    client.script_flush()
    assert sink.deliver([fact(1)]) == [DELIVERED]
    assert len(reader.tasks()) == 1
    assert all(client.script_exists(*(script.sha for script in scripts.ALL)))


def test_the_list_of_queues_is_kept(sink: AsynqSink, reader: AsynqReader, client: Any) -> None:
    """It is there from the first connection, and again when somebody emptied the database."""
    assert client.smembers("asynq:queues") == {b"maintenance"}
    client.flushdb()
    sink.deliver([fact(1)])
    assert len(reader.tasks()) == 1


# -- the lock ---------------------------------------------------------------------------------------


def test_5000_files_that_come_at_once_are_one_scan(sink: AsynqSink, reader: AsynqReader) -> None:
    """In one batch or in many: one task, and every fact is delivered."""
    assert set(sink.deliver(many(5000))) == {DELIVERED}
    for first in range(5001, 10_001, TRAITS.batch):
        assert set(sink.deliver(many(TRAITS.batch, first))) == {DELIVERED}
    (seen,) = reader.tasks()
    assert (seen.message.type, seen.state) == ("staging:scan", "pending")


@pytest.mark.parametrize("state", ["pending", "retry", "scheduled"])
def test_a_scan_that_still_has_to_begin_covers_what_is_new(
    url: str, reader: AsynqReader, worker: Worker, state: str
) -> None:
    """Whether it waits for a worker, for its time, or to be tried again."""
    with opened(options(url, delay_s=60.0 if state == "scheduled" else 0.0)) as sink:
        sink.deliver([fact(1)])
        if state == "retry":
            task = worker.take()
            assert task is not None
            worker.fails(task)
        assert sink.deliver([fact(2), fact(3)]) == [DELIVERED, DELIVERED]
    (seen,) = reader.tasks()
    assert seen.state == state


@pytest.mark.parametrize("job", ["staging:scan", "library:scan"])
@pytest.mark.parametrize("state", ["pending", "active"])
def test_a_scan_that_waits_for_longer_than_its_lock_is_the_only_one(
    url: str, reader: AsynqReader, worker: Worker, client: Any, job: str, state: str
) -> None:
    """No worker for hours: there is one scan when it comes, not one for each time that the lock ended."""
    with opened(options(url, map={"created": job}, queues={job: "maintenance"})) as sink:
        sink.deliver([fact(1)])
        (seen,) = reader.tasks()
        if state == "active":
            worker.take()
        client.delete(seen.message.unique_key)
        (outcome,) = sink.deliver([fact(2)])
    assert outcome.result is (Result.LATER if state == "active" else Result.DELIVERED)
    assert [one.message.id for one in reader.tasks()] == [seen.message.id]


def test_a_file_that_lands_during_a_scan_asks_for_another_one(
    sink: AsynqSink, reader: AsynqReader, worker: Worker
) -> None:
    """While it runs the newest fact comes back later; when the lock is gone it is enqueued, once for all of them."""
    sink.deliver([fact(1)])
    running = worker.take()
    assert running is not None
    for _ in range(3):
        first, second = sink.deliver([fact(2), fact(3)])
        assert first == DELIVERED
        assert (second.result, second.after_s) == (Result.LATER, 5.0)
        assert second.reason == f"staging:scan is running (task {running.id}); another one follows"
    worker.done(running)
    assert sink.deliver([fact(3), fact(4)]) == [DELIVERED, DELIVERED]
    (seen,) = reader.tasks()
    assert seen.message.id == f"{fact(4).event.id}.staging-scan"


def test_a_scan_that_somebody_else_started_is_waited_for(
    sink: AsynqSink, url: str, reader: AsynqReader, worker: Worker
) -> None:
    """Melodee's own schedule takes no lock of ours; two scans at once would move the same files."""
    theirs = Task("staging:scan", b'{"source":"staging_scan","dry_run":false}', "staging-scan-periodic", "maintenance")
    with closing(Producer(url, time_ns)) as writer:
        writer.open([])
        writer.put([Order(theirs), Order(theirs._replace(type="staging:scanner", id="other"))])
    running, other = worker.take(), worker.take()
    assert running is not None
    assert other is not None
    (outcome,) = sink.deliver([fact(1)])
    assert outcome.reason == "staging:scan is running (task staging-scan-periodic); another one follows"
    worker.done(running)
    assert sink.deliver([fact(1)]) == [DELIVERED]
    assert len(reader.tasks()) == 2


def test_what_a_scan_moves_into_staging_starts_no_scan(url: str, reader: AsynqReader, worker: Worker) -> None:
    """While a scan runs, and shortly after, events of a staging library are only logged: no scan makes another."""
    with opened(options(url), lambda: AT_US * 1000) as sink:
        sink.deliver([fact(1)])
        running = worker.take()
        assert running is not None
        assert set(sink.deliver(many(50, 2, library="staging"))) == {DELIVERED}
        assert [seen.state for seen in reader.tasks()] == ["active"]
        worker.done(running)
        assert sink.deliver([fact(9_900_000, library="staging")]) == [DELIVERED]
        assert reader.tasks() == []
        assert sink.deliver([fact(10_100_000, library="staging")]) == [DELIVERED]
        assert [seen.state for seen in reader.tasks()] == ["pending"]


def test_a_scan_that_runs_elsewhere_is_seen(url: str, worker: Worker) -> None:
    """Our own queue may be another one than that of Melodee's schedule."""
    theirs = Task("staging:scan", b'{"source":"staging_scan","dry_run":false}', "staging-scan-periodic", "maintenance")
    with closing(Producer(url, time_ns)) as writer:
        writer.open([])
        writer.put([Order(theirs)])
    assert worker.take() is not None
    with opened(options(url, queue="scans")) as sink:
        assert sink.deliver([fact(1)])[0].result is Result.LATER


@pytest.mark.parametrize("how", ["archived", "gone", "for ever"])
def test_a_lock_without_a_task_that_runs_is_told(
    sink: AsynqSink, reader: AsynqReader, worker: Worker, client: Any, how: str
) -> None:
    """Archived or deleted by hand: the fact waits until the lock ends, and says who holds it and what to do."""
    sink.deliver([fact(1)])
    task = worker.take()
    assert task is not None
    if how == "archived":
        worker.archives(task)
    else:
        worker.done(task)
        client.set(task.unique_key, task.id, ex=None if how == "for ever" else 1800)
    covered, later = sink.deliver([fact(2), fact(3)])
    assert covered == DELIVERED
    assert (later.result, later.after_s) == (Result.LATER, 60.0)
    what = "is archived and will not run" if how == "archived" else "does not exist any more"
    ends = "never ends by itself" if how == "for ever" else "ends in 1800 s"
    assert later.reason == (
        f"the lock of staging:scan is held by task {task.id}, which {what}; the lock {ends}. To go on at once: "
        f"run or delete that task in Asynq, or DEL '{task.unique_key}' in Redis"
    )
    client.pexpire(task.unique_key, 20_000)
    assert sink.deliver([fact(3)])[0].after_s == pytest.approx(20, abs=1)
    client.delete(task.unique_key)
    assert sink.deliver([fact(3)]) == [DELIVERED]
    assert [seen.state for seen in reader.tasks()] == ["pending"] + (["archived"] if how == "archived" else [])


def test_a_scan_that_waits_for_its_time_runs(url: str, reader: AsynqReader, client: Any) -> None:
    """With a delay one task waits for a whole album; a worker takes it when it is due, and frees the lock."""
    ahead = Worker(client, lambda: time_ns() + 31 * 10**9)
    with opened(options(url, delay_s=30.0)) as sink:
        sink.deliver(many(20))
        assert ahead.take() is None
        assert ahead.forwards() == 1
        assert [task.type for task in ahead.drain()] == ["staging:scan"]
        assert reader.tasks() == []
        assert sink.deliver([fact(21)]) == [DELIVERED]
    assert [seen.state for seen in reader.tasks()] == ["scheduled"]


def test_an_event_that_comes_back_repeats_none_of_its_other_jobs(url: str, client: Any) -> None:
    """What a worker has done already for it is not enqueued anew while it waits for the scan to end."""
    maintenance, others = Worker(client, time_ns), Worker(client, time_ns, "default")
    with opened(options(url, map={"created": ["staging:scan", "file:created"]})) as sink:
        sink.deliver([fact(1)])
        running = maintenance.take()
        assert running is not None
        assert len(others.drain()) == 1
        for _ in range(3):
            assert sink.deliver([fact(2)])[0].result is Result.LATER
        assert len(others.drain()) == 1
        maintenance.done(running)
        assert sink.deliver([fact(2)]) == [DELIVERED]
        assert sink._over == {}
    assert (len(others.drain()), len(maintenance.drain())) == (0, 1)


def test_a_path_that_is_told_again_is_one_task_while_that_waits(url: str, client: Any) -> None:
    """With a window the path is locked: covered while its task waits, later while it runs, anew when it is done."""
    others = Worker(client, time_ns, "default")
    with opened(options(url, map=FILES, path_window_s=60.0)) as sink:
        for seq in (1, 2):
            assert sink.deliver([fact(seq, b"a", library="music"), fact(seq + 10, b"b", library="music")])
        assert [seen.message.unique_key != "" for seen in AsynqReader(client, "default").tasks()] == [True, True]
        running = others.take()
        assert running is not None
        (outcome,) = sink.deliver([fact(3, b"a", library="music")])
        assert outcome.reason == f"file:created is running (task {running.id}); another one follows"
        others.done(running)
        assert sink.deliver([fact(3, b"a", library="music")]) == [DELIVERED]
    assert len(AsynqReader(client, "default").tasks()) == 2


# -- many -------------------------------------------------------------------------------------------


def test_a_batch_arrives_whole_and_in_order(url: str, client: Any) -> None:
    """A task for each file, in the order of the log; the same batch again changes nothing."""
    facts = many(TRAITS.batch, library="music")
    with opened(options(url, map=FILES)) as sink:
        for _ in range(2):
            assert sink.deliver(facts) == [DELIVERED] * len(facts)
    found = [seen.message.id for seen in AsynqReader(client, "default").tasks()]
    assert found == [f"{one.event.id}.file-created" for one in facts]


def test_what_asks_for_nothing_needs_no_redis() -> None:
    """Facts of other kinds and libraries are delivered without a call."""
    with closing(AsynqSink(options(f"redis://127.0.0.1:{free_port()}/0"), time_ns)) as sink:
        assert sink.deliver(many(3, library="music")) == [DELIVERED] * 3


# -- outages ----------------------------------------------------------------------------------------


def all_of(sink: AsynqSink, facts: list[Fact], size: int) -> None:
    """Deliver batch after batch as the relay does: again what was not confirmed, after the sink was opened again."""
    limit, pause = monotonic() + 30, threading.Event()
    for first in range(0, len(facts), size):
        while True:
            assert monotonic() < limit, "Redis does not come back"
            try:
                assert set(sink.deliver(facts[first : first + size])) == {DELIVERED}
                break
            except SinkUnreachable:
                with contextlib.suppress(SinkUnreachable):
                    sink.open()
                pause.wait(0.02)


def test_redis_that_is_killed_amid_batches_has_each_task_once(tmp_path: Path, scale: int) -> None:
    """Killed while tasks are written, three times, and again from the first that was not confirmed: none is lost."""
    facts = many(6000 * scale, library="music")
    with redis_server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as server:
        with opened(options(server.url, map=FILES)) as sink, ThreadPoolExecutor(1) as pool:
            run = pool.submit(all_of, sink, facts, 500)
            for share in (0.1, 0.4, 0.7):
                _wait_for(server, int(len(facts) * share))
                server.kill()
                server.start()
            run.result()
        with closing(redis.Redis.from_url(server.url)) as client:
            found = [seen.message.id for seen in AsynqReader(client, "default").tasks()]
    assert sorted(found) == [f"{one.event.id}.file-created" for one in facts]


def _wait_for(server: RedisServer, count: int) -> None:
    limit, pause = monotonic() + 20, threading.Event()
    with closing(redis.Redis.from_url(server.url)) as client:
        while client.llen("asynq:{default}:pending") < count:
            assert monotonic() < limit
            pause.wait(0.001)


def test_redis_that_is_killed_amid_scans_has_one(tmp_path: Path) -> None:
    """The lock and its task come back together, or neither does."""
    with redis_server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always") as server:
        with opened(options(server.url)) as sink, ThreadPoolExecutor(1) as pool:
            for first in range(1, 200, 20):
                run = pool.submit(all_of, sink, many(20, first), 2)
                server.kill()
                server.start()
                run.result()
        with closing(redis.Redis.from_url(server.url)) as client:
            assert len(AsynqReader(client).tasks()) == 1


@pytest.mark.parametrize("who", ["this", "another"])
@pytest.mark.parametrize("when", ["opened", "used"])
def test_a_scan_that_redis_has_forgotten_is_enqueued_again(tmp_path: Path, when: str, who: str) -> None:
    """A Redis that keeps nothing is killed: when it is back, so is the scan that it had for the files of a library.

    Whether this process had enqueued it or found it there, and also if nobody noticed that Redis was away.
    """
    with redis_server(tmp_path / "redis") as server, opened(options(server.url)) as sink:
        with opened(options(server.url)) as before:
            (sink if who == "this" else before).deliver(many(20))
        sink.deliver(many(20, 21))
        sink.open()
        with closing(redis.Redis.from_url(server.url)) as client:
            assert len(AsynqReader(client).tasks()) == 1
            client.flushdb()
            sink.open()
            assert AsynqReader(client).tasks() == []  # it is the same Redis: somebody wanted them gone
        server.kill()
        server.start()
        if when == "opened":
            sink.open()
        else:
            assert sink.deliver([fact(41, library="staging")]) == [DELIVERED]
        with closing(redis.Redis.from_url(server.url)) as client:
            paths = [json.loads(seen.message.payload)["path"] for seen in AsynqReader(client).tasks()]
        assert sorted(paths) == ["/melodee/inbound"] + ["/melodee/staging"] * (when == "used")


def test_redis_that_is_silent_is_not_waited_for(tmp_path: Path) -> None:
    """A stalled Redis is unreachable after the time-out; what it does later is not done twice."""
    facts = many(300, library="music")
    with redis_server(tmp_path / "redis") as server, opened(options(server.url, map=FILES, answer_s=0.4)) as sink:
        server.freeze()
        begun = monotonic()
        with pytest.raises(SinkUnreachable, match="does not answer in time") as caught:
            sink.deliver(facts)
        with pytest.raises(SinkUnreachable, match="does not answer in time"):
            sink.open()
        assert monotonic() - begun < 5
        assert str(server.port) in str(caught.value)
        server.thaw()
        all_of(sink, facts, 300)
        with closing(redis.Redis.from_url(server.url)) as client:
            assert len(AsynqReader(client, "default").tasks()) == 300


def test_closing_wakes_a_delivery(tmp_path: Path) -> None:
    """Who waits for a stalled Redis comes back when the sink is closed, long before the time-out."""
    with redis_server(tmp_path / "redis") as server, opened(options(server.url, answer_s=30.0)) as sink:
        server.freeze()
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(sink.deliver, [fact(1)])
            with pytest.raises(FutureTimeout):
                run.result(0.2)
            begun = monotonic()
            sink.close()
            with pytest.raises(SinkUnreachable, match="was closed"):
                run.result(10)
            assert monotonic() - begun < 1
        server.thaw()


def test_a_connection_that_was_closed_while_nothing_happened_is_no_outage(
    sink: AsynqSink, reader: AsynqReader, client: Any
) -> None:
    """Redis ends connections that are idle: the next delivery takes a new one."""
    client.client_kill_filter(_type="normal", skipme=True)
    assert sink.deliver([fact(1)]) == [DELIVERED]
    assert len(reader.tasks()) == 1


# -- what a person has to change ----------------------------------------------------------------------


def said(url: str, family: type[SluiceError] = SinkRefused, answer_s: float = 5.0) -> str:
    """What a sink says of a Redis when it is opened and given something to do."""
    with pytest.raises(family) as caught, opened(options(url, answer_s=answer_s)) as sink:
        sink.deliver([fact(1)])
    assert caught.value.hint
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_read_only_replica_is_told(tmp_path: Path) -> None:
    """When the sink is opened, before any fact is handed over."""
    with redis_server(tmp_path / "redis", "--replicaof", "127.0.0.1", str(free_port())) as server:
        text = said(server.url)
    assert text == f"Redis at {server.url} is a read-only replica\n  name the primary in the URL of the sink"


def test_a_wrong_password_is_told_and_never_shown(tmp_path: Path) -> None:
    """None given, a wrong one, a wrong user, one that is not needed."""
    with redis_server(tmp_path / "redis", "--requirepass", "right") as server:
        at = f"127.0.0.1:{server.port}"
        assert "asks for a password" in said(f"redis://{at}/0")
        assert "does not accept this user or password" in said(f"redis://:secret@{at}/0")
        assert "does not accept this user or password" in said(f"redis://somebody:secret@{at}/0")
        with opened(options(f"redis://:right@{at}/0")) as sink:
            assert sink.deliver([fact(1)]) == [DELIVERED]
    with redis_server(tmp_path / "open") as server:
        assert "has no password set" in said(f"redis://:secret@127.0.0.1:{server.port}/0")


def test_a_user_without_rights_is_told(tmp_path: Path) -> None:
    """What Redis allows a user does not reach: the hint says what it needs."""
    with redis_server(
        tmp_path / "redis", "--user", "reader", "on", ">secret", "~*", "+@read", "+@connection"
    ) as server:
        assert "does not let this user do that" in said(f"redis://reader:secret@127.0.0.1:{server.port}/0")


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A number beyond those that this Redis has."""
    with redis_server(tmp_path / "redis") as server:
        assert "has no database of this number" in said(server.url[:-1] + "99")


def test_memory_that_is_full_is_waited_for(tmp_path: Path) -> None:
    """Workers may make room: it is no refusal."""
    with redis_server(tmp_path / "redis", "--maxmemory", "1") as server:
        assert "has no memory left" in said(server.url, SinkUnreachable)


def test_a_disk_that_is_full_is_waited_for(tmp_path: Path) -> None:
    """Redis that cannot write its snapshot takes no changes, and says so."""
    folder = tmp_path / "redis"
    with redis_server(folder, "--save", "3600 1") as server, closing(redis.Redis.from_url(server.url)) as client:
        (folder / "dump.rdb" / "in the way").mkdir(parents=True)
        client.bgsave()
        limit = monotonic() + 10
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
            assert monotonic() < limit
        assert "cannot write its data to disk" in said(server.url, SinkUnreachable)


def test_too_many_clients_are_waited_for(tmp_path: Path) -> None:
    """Redis that takes no further connection."""
    with redis_server(tmp_path / "redis") as server, closing(redis.Redis.from_url(server.url)) as client:
        client.config_set("maxclients", 1)
        assert "has as many clients as it allows" in said(server.url, SinkUnreachable)


def test_where_nobody_listens_it_is_waited(tmp_path: Path) -> None:
    """A port without a server, a socket that is not there, a host that nobody knows."""
    assert "refuses the connection" in said(f"redis://:secret@127.0.0.1:{free_port()}/0", SinkUnreachable)
    assert "there is no socket of Redis at unix://" in said(f"unix://{tmp_path}/none.sock", SinkUnreachable)
    text = said("redis://:secret@nobody.invalid/0", SinkUnreachable)
    assert "the host of Redis at redis://nobody.invalid:6379/0 is not found" in text


def test_what_is_no_redis_is_told() -> None:
    """A web server under the address of the sink."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def answers() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        for scheme, what in (("redis", "is no Redis"), ("rediss", "speaks no TLS")):
            run = pool.submit(answers)
            assert what in said(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/0")
            run.result()


def test_a_socket_is_as_good_as_a_port(tmp_path: Path) -> None:
    """A Redis that is reached by its Unix socket."""
    with redis_server(tmp_path / "redis") as server:
        with opened(options(f"unix://{server.socket}?db=0")) as sink:
            assert sink.deliver([fact(1)]) == [DELIVERED]
        with closing(redis.Redis.from_url(server.url)) as client:
            assert len(AsynqReader(client).tasks()) == 1


def test_tls_is_checked(tmp_path: Path) -> None:
    """A certificate that is known, one that is not, TLS where there is none, and none where there is TLS."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += [
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-out",
        str(certificate),
    ]
    subprocess.run([*made, "-keyout", str(key)], check=True, capture_output=True)
    port = free_port()
    tls = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    with redis_server(
        tmp_path / "redis", *tls, "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"
    ) as server:
        known = f"ssl_ca_certs={certificate}"
        with opened(options(f"rediss://localhost:{port}/0?{known}")) as sink:
            assert sink.deliver([fact(1)]) == [DELIVERED]
        assert "the certificate of Redis" in said(f"rediss://localhost:{port}/0")
        assert "the certificate of Redis" in said(f"rediss://127.0.0.1:{port}/0?{known}")
        text = said(f"rediss://127.0.0.1:{server.port}/0", SinkUnreachable, 0.3)
        assert "If this Redis speaks no TLS on this port, write redis://" in text
        assert "If it speaks TLS on this port, write rediss://" in said(f"redis://127.0.0.1:{port}/0", SinkUnreachable)
