"""Put tasks into the queues of Asynq, many with one wait for the network.

Takes a URL and ``Order``; gives an ``Answer`` for each. An order that is given again with the same id while its task
is there is answered with ``THERE`` and changes nothing: what was under way when a connection broke is given again.
The driver tries nothing again on its own account and waits no longer than the time-outs here. Times are seconds, the
clock gives nanoseconds since the epoch. Fails with: SinkUnreachable, SinkRefused, MissingExtra; BadSetting (a URL that
cannot be understood).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from mediasluice.delivery.asynq import scripts, wire
from mediasluice.delivery.asynq.faults import address, told
from mediasluice.errors import MissingExtra, SinkRefused, SinkUnreachable

if TYPE_CHECKING:
    from redis import Redis

RESOLVE_S = 3.0  # chosen: a stop waits for it
CONNECT_S = 1.0  # chosen: a connect cannot be interrupted, and who closes waits no longer
ANSWER_S = 5.0  # chosen: a Redis that saves or loads on a slow disk is silent for a second or two

ENQUEUED, THERE, LOCKED, RUNNING = 1, 0, -1, -2


class Order(NamedTuple):
    """One task that is wanted."""

    task: wire.Task
    delay_s: float = 0.0  # 0: at once
    lock_s: float = 0.0  # of its ``unique_key``
    last: str = ""  # id of the last task with this lock, which may wait for longer than the lock lasts
    alone_in: tuple[str, ...] = ()  # queues: not while a task of its type is active there; such a task needs a lock


class Answer(NamedTuple):
    """What became of an order."""

    code: int  # ENQUEUED | THERE | LOCKED | RUNNING
    holder: str = ""  # id of the task that has the lock, or that is active
    state: str = ""  # of the holder; "": it is gone
    lock_s: float | None = None  # how long the lock lasts; ``None``: for ever


_PLAIN: Final = {ENQUEUED: Answer(ENQUEUED), THERE: Answer(THERE)}


class Producer:
    """One connection to one Redis; used by one thread, closed by any."""

    def __init__(self, url: str, clock_ns: Callable[[], int], answer_s: float = ANSWER_S) -> None:
        self.address = address(url)
        self._url = url
        self._clock_ns = clock_ns
        self._answer_s = answer_s
        self._redis: Redis | None = None
        self._is_closed = False
        self._run: str | None = None  # what Redis calls its life from one start to the next
        self.has_begun_anew = False  # it may have forgotten what it confirmed; whoever acted on that puts it back

    def open(self, queues: Iterable[str]) -> None:
        """Connect, and show with the list of queues that this Redis takes changes."""
        self._is_closed = False
        self._let_go()
        _resolve(self._url, self.address)
        redis = _connect(self._url, self._answer_s, self.address)
        self._redis = redis
        commands: list[tuple[object, ...]] = [("SCRIPT LOAD", script.text) for script in scripts.ALL]
        commands += [("SADD", wire.QUEUES, queue) for queue in sorted(set(queues))]
        *replies, about = self._ask(redis, [*commands, ("INFO", "server")])
        for reply in replies:
            if isinstance(reply, Exception):
                self._let_go()
                raise told(reply, self.address)
        self._recognize(about)

    def put(self, orders: Sequence[Order]) -> list[Answer]:
        """Enqueue tasks in their order; gives an answer for each."""
        redis = self._redis
        if redis is None:
            raise SinkUnreachable(f"there is no connection to Redis at {self.address}", hint="it is opened again")
        queues = sorted({order.task.queue for order in orders})
        commands: list[tuple[object, ...]] = [("SADD", wire.QUEUES, queue) for queue in queues]
        now_ns = self._clock_ns()
        commands += [_command(order, now_ns) for order in orders]
        replies = self._ask(redis, commands)
        unknown = [index for index, reply in enumerate(replies) if type(reply).__name__ == "NoScriptError"]
        if unknown:  # it began anew, or somebody flushed its scripts: nothing of these orders has happened
            loads: list[tuple[object, ...]] = [("SCRIPT LOAD", script.text) for script in scripts.ALL]
            about, *again = self._ask(redis, [("INFO", "server"), *loads, *(commands[index] for index in unknown)])
            for index, reply in zip(unknown, again[len(loads) :], strict=True):
                replies[index] = reply
            self._recognize(about)
        for reply in replies:
            if isinstance(reply, Exception):
                self._let_go()  # the name may lead to another Redis by now
                raise told(reply, self.address)
        return [_answer(reply) for reply in replies[len(queues) :]]

    def close(self) -> None:
        """Give up the connection; who waits for an answer in another thread gets SinkUnreachable."""
        self._is_closed = True
        self._let_go()

    def _recognize(self, about: object) -> None:
        """See whether it is the Redis of before; a user without the right to ask never knows."""
        if isinstance(about, dict):
            before, self._run = self._run, str(about.get("run_id"))
            self.has_begun_anew |= before not in {None, self._run}

    def _let_go(self) -> None:
        redis, self._redis = self._redis, None
        if redis is not None:
            with contextlib.suppress(OSError):
                redis.connection_pool.disconnect()  # also one that is in use: its reader wakes up

    def _ask(self, redis: Redis, commands: Sequence[tuple[object, ...]]) -> list[object]:
        """Send commands together and wait for all answers; what Redis refuses is an answer as well."""
        pipeline = redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        try:
            replies = list(pipeline.execute(raise_on_error=False))
        except Exception as error:
            self._let_go()
            if self._is_closed:  # then what the driver says is about an object that was taken from under it
                raise SinkUnreachable(f"the connection to Redis at {self.address} was closed") from None
            if isinstance(error, OSError) or "RedisError" in {kind.__name__ for kind in type(error).__mro__}:
                raise told(error, self.address) from None  # what the driver says may hold a password
            raise
        if self._is_closed:  # meanwhile: the driver may have connected anew for this
            redis.connection_pool.disconnect()
        return replies


def _resolve(url: str, where: str) -> None:
    """See that name servers answer, in a thread that nobody waits for: the driver waits as long as they like."""
    parts = urlsplit(url)
    if parts.scheme == "unix" or not parts.hostname:
        return
    host, port = parts.hostname, parts.port or 6379
    answered = threading.Event()

    def ask() -> None:
        with contextlib.suppress(OSError, UnicodeError):  # the driver asks again, and says what is wrong
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answered.set()

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    if not answered.wait(RESOLVE_S):
        hint = f"see that the name is right and that name servers answer: getent hosts {host}"
        raise SinkUnreachable(f"no name server answers for the Redis at {where} in time", hint=hint)


def _connect(url: str, answer_s: float, where: str) -> Redis:
    """The client of the driver; it connects with the first command."""
    try:
        import redis  # noqa: PLC0415 - an extra
        from redis.backoff import NoBackoff  # noqa: PLC0415 - an extra
        from redis.retry import Retry  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra("jobs for Asynq need redis", hint="pip install 'mediasluice[redis]'") from error
    options = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        client = redis.Redis.from_url(
            url,
            protocol=2,  # understood by every Redis
            retry=Retry(NoBackoff(), 0),
            socket_timeout=answer_s,
            socket_connect_timeout=CONNECT_S,
            client_name="mediasluice",
            **options,
        )
        client.connection_pool.make_connection()  # it does not connect, it looks at the options
    except (ValueError, TypeError, redis.RedisError):  # an option behind the question mark
        hint = "see what stands behind the ? in the URL of the sink"
        raise SinkRefused(f"the URL of the Redis at {where} has an option that is not known", hint=hint) from None
    return client


def _command(order: Order, now_ns: int) -> tuple[object, ...]:
    """The call of the script for an order."""
    task, begins = order.task, wire.prefix(order.task.queue)
    is_later = order.delay_s > 0
    at: int = (now_ns // 1_000_000_000) + int(order.delay_s) if is_later else now_ns
    keys: list[str] = [f"{begins}t:{task.id}", f"{begins}{'scheduled' if is_later else 'pending'}"]
    values: list[object] = [task.id, wire.encode(task), at]
    if not task.unique_key:
        script = scripts.SCHEDULE if is_later else scripts.ENQUEUE
    else:
        script = scripts.SCHEDULE_UNIQUE if is_later else scripts.ENQUEUE_UNIQUE
        others = [wire.prefix(queue) for queue in order.alone_in]
        keys += [task.unique_key, *(f"{other}active" for other in others)]
        lock_s = max(1, int(order.lock_s) + (int(order.delay_s) if is_later else 0))
        values += [lock_s, order.last, wire.beginning(task.type), *(f"{other}t:" for other in others)]
    return ("EVALSHA", script.sha, len(keys), *keys, *values)


def _answer(reply: object) -> Answer:
    """What a script gave."""
    if isinstance(reply, int):
        return _PLAIN[reply]
    assert isinstance(reply, list)
    if reply[0] == RUNNING:
        return Answer(RUNNING, reply[1].decode(errors="replace"), "active")
    lock_ms = int(reply[3])
    holder, state = reply[1].decode(errors="replace"), reply[2].decode(errors="replace")
    return Answer(LOCKED, holder, state, lock_ms / 1000 if lock_ms >= 0 else None)
