"""Publish messages to one exchange, in order, and know which of them the broker has.

One connection with one channel; asyncio runs in a thread of its own, so that heartbeats go on while nobody publishes.
It does not reconnect by itself: what goes wrong closes the connection, and ``open`` makes a new one.

Takes ``Message``s; gives one ``Fate`` for each. Every wait is bounded: the broker has to answer within
``connect_timeout_s`` and to confirm something every ``confirm_timeout_s``. Fails with: SinkUnreachable, SinkRefused,
MissingExtra. No error shows a password.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError as Cancelled
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from mediasluice.delivery.rabbitmq.options import Options
from mediasluice.delivery.rabbitmq.trouble import Place, explained, trouble
from mediasluice.errors import MissingExtra, SinkRefused, SinkUnreachable

if TYPE_CHECKING:
    from aiormq.channel import Channel
    from aiormq.connection import Connection

_T = TypeVar("_T")

DEAD_QUEUE = "sluice.dead"
CLOSE_S = 1.0  # chosen: a broker that is well says good-bye at once
LOOK_S = 1.0  # chosen: how often who waits for the thread looks whether it still runs
PERSISTENT = 2


class Message(NamedTuple):
    """One message. ``properties``: arguments of ``Basic.Properties`` beside those that all have."""

    key: str
    id: str
    body: bytes
    properties: dict[str, Any]


class Fate(Enum):
    """What became of a message."""

    CONFIRMED = auto()
    UNROUTABLE = auto()  # the broker gave it back: no queue wanted it
    NACKED = auto()  # the broker could not keep it
    UNKNOWN = auto()  # it may have arrived, or not


class Publisher:
    """See the module. All calls but ``close`` come from one thread at a time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._place = place_of(options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._properties: Callable[..., Any] = dict
        self.why: str | None = None  # the last trouble, for people

    @property
    def is_open(self) -> bool:
        """Whether the last thing that was heard of the connection is that it works."""
        channel = self._channel
        return channel is not None and not channel.is_closed and channel.connection.is_opened

    def open(self) -> None:
        """Connect anew and see that the exchange is there as it has to be."""
        if not self._place.scheme:
            raise SinkRefused(f"{self._place}: the address cannot be read", hint="Check `url`: its port, its brackets.")
        if self._place.scheme not in {"amqp", "amqps"}:
            raise SinkRefused(
                f"{self._place}: the address begins with {self._place.scheme}://",
                hint="An address of RabbitMQ begins with amqp://, or with amqps:// for TLS.",
            )
        try:
            import aiormq  # noqa: F401, PLC0415 - the driver is asked for here, where a missing one is an answer
        except ImportError as error:
            raise MissingExtra(
                f"{self._place}: the driver for RabbitMQ is not installed", hint="pip install 'mediasluice[amqp]'"
            ) from error
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it logs as errors is raised here
        self._run(self._open())

    def publish(self, drafts: Sequence[Callable[[], Message]]) -> list[Fate]:
        """Publish in order; after the first one that is neither confirmed nor given back all are UNKNOWN.

        Each is written when its turn has come, while others wait for their confirmations.

        SinkUnreachable: not one was confirmed.
        """
        if not self.is_open:
            raise SinkUnreachable(f"{self._place}: the connection is gone" + (f": {self.why}" if self.why else ""))
        return self._run(self._publish(drafts))

    def close(self) -> None:
        """Disconnect and end the thread; a ``publish`` of another thread comes back with SinkUnreachable."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._loop = self._thread = None
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            asyncio.run_coroutine_threadsafe(self._end(), loop)
        thread.join(2 * CLOSE_S)

    # -- the thread -----------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._started())
        except RuntimeError as error:  # the loop has ended
            work.close()
            raise SinkUnreachable(f"{self._place}: the sink was closed meanwhile") from error
        thread = self._thread
        while True:
            try:
                return future.result(LOOK_S)
            except Cancelled as error:
                raise SinkUnreachable(f"{self._place}: the sink was closed meanwhile") from error
            except TimeoutError:
                if future.done():  # the work's own
                    raise
                if thread is None or not thread.is_alive():  # it was closed before it took this up
                    raise SinkUnreachable(f"{self._place}: the sink was closed meanwhile") from None

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            # Tasks of a driver whose connection broke end with an error that was raised to the publisher already.
            loop.set_exception_handler(self._note)
            self._thread = threading.Thread(target=_serve, args=(loop,), name="rabbitmq", daemon=True)
            self._thread.start()
            self._loop = loop
        return self._loop

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not self.is_open:
            self.why = self._place.censored(str(error) or type(error).__name__)

    async def _end(self) -> None:
        me = asyncio.current_task()
        for task in asyncio.all_tasks() - {me}:
            if task.get_name() == "publish":
                task.cancel()
        await self._disconnect()
        others = asyncio.all_tasks() - {me}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        asyncio.get_running_loop().stop()

    # -- the connection -------------------------------------------------------------------------

    async def _open(self) -> None:
        _named()
        await self._disconnect()
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                await self._connect()
        except trouble(ValueError) as error:  # an address, or a part of it, that the driver does not understand
            await self._disconnect()
            raise explained(error, self._place, f"no answer within {self._options.connect_timeout_s:g} s") from error
        self.why = None

    async def _resolve(self, host: str, port: int) -> None:
        """See that name servers answer, in a thread that nobody waits for: the loop's own is joined at the end."""
        loop, answered = asyncio.get_running_loop(), asyncio.Event()

        def ask() -> None:
            with contextlib.suppress(OSError, UnicodeError):  # the driver asks again, and says what is wrong
                socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
                loop.call_soon_threadsafe(answered.set)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        await answered.wait()

    async def _connect(self) -> None:
        from aiormq import spec  # noqa: PLC0415 - 60 ms that only those pay who have such a sink
        from yarl import URL  # noqa: PLC0415 - as above

        from mediasluice.delivery.rabbitmq.transport import Gathering, WideConnection  # noqa: PLC0415 - as above

        options = self._options
        url = URL(options.url)
        if "heartbeat" not in url.query:
            url = url.update_query(heartbeat=options.heartbeat_s)
        await self._resolve(url.host or "localhost", url.port or 5672)
        told: dict[str, Any] = {"connection_name": f"file_watcher_{options.instance_id}"}
        told["instance_id"] = options.instance_id
        if options.watched_directory:
            told["watched_directory"] = options.watched_directory
        self._connection = WideConnection(url, client_properties=told, transport_factory=Gathering())
        await self._connection.connect()
        channel = await self._connection.channel(on_return_raises=False)
        await channel.exchange_declare(options.exchange, exchange_type="topic", durable=True)
        if options.declare_dead:
            dead = f"{options.exchange}.dlx"
            await channel.exchange_declare(dead, exchange_type="topic", durable=True)
            await channel.queue_declare(DEAD_QUEUE, durable=True)
            await channel.queue_bind(DEAD_QUEUE, dead, "#")
        self._properties = spec.Basic.Properties
        self._channel = cast("Channel", channel)

    async def _disconnect(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is None:
            return
        with contextlib.suppress(*trouble()):  # it is given up, whatever it says to that
            async with asyncio.timeout(CLOSE_S):
                await connection.close()

    # -- publishing -----------------------------------------------------------------------------

    async def _publish(self, drafts: Sequence[Callable[[], Message]]) -> list[Fate]:
        _named()
        fates: list[Fate] = []
        waiting: deque[asyncio.Task[Any]] = deque()
        left = iter(drafts)
        limit_s = self._options.confirm_timeout_s
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit_s) as limit:
                while len(fates) < len(drafts):
                    if len(waiting) <= self._options.window * 8 // 10:  # some at once cost less than one by one
                        for draft in islice(left, self._options.window - len(waiting)):
                            waiting.append(loop.create_task(self._send(draft())))
                    fates.append(await _told(waiting[0]))
                    waiting.popleft()
                    if fates[-1] is Fate.NACKED:
                        break
                    limit.reschedule(loop.time() + limit_s)
        except trouble() as error:
            said = explained(error, self._place, await self._stalled(limit_s))
            self.why = said.message
            await _given_up(waiting)
            await self._disconnect()
            if not fates:
                raise said from error
        finally:
            await _given_up(waiting)
        return fates + [Fate.UNKNOWN] * (len(drafts) - len(fates))

    async def _send(self, message: Message) -> Fate:
        from aiormq import spec  # noqa: PLC0415 - loaded by now
        from aiormq.exceptions import DeliveryError  # noqa: PLC0415 - as above

        channel = self._channel
        if channel is None:
            raise ConnectionResetError("the connection was closed")
        properties = self._properties(
            message_id=message.id,
            delivery_mode=PERSISTENT,
            content_type="application/json",
            app_id="mediasluice",
            **message.properties,
        )
        try:
            answer = await channel.basic_publish(
                message.body,
                exchange=self._options.exchange,
                routing_key=message.key,
                properties=properties,
                mandatory=True,
                wait=False,
            )
        except DeliveryError:
            return Fate.NACKED
        # What the broker gives back comes as the message itself instead of as an acknowledgement.
        return Fate.CONFIRMED if isinstance(answer, spec.Basic.Ack) else Fate.UNROUTABLE

    async def _stalled(self, limit_s: float) -> str:
        """Say why nothing was confirmed in time."""
        connection = None if self._channel is None else self._channel.connection
        with contextlib.suppress(*trouble()):
            if connection is not None:
                async with asyncio.timeout(0):
                    await connection.ready()
                return f"nothing was confirmed within {limit_s:g} s"
        return f"nothing was confirmed within {limit_s:g} s; it may be out of memory or disk space"


def place_of(options: Options) -> Place:
    """Where messages go, as errors show it."""
    try:
        parts = urlsplit(options.url)
        port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
        return Place(parts.scheme, f"{parts.hostname or 'localhost'}:{port}", options.exchange, parts.password)
    except ValueError:  # a port that is no number, a bracket too few
        return Place("", "(an address that is none)", options.exchange, None)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _named() -> None:
    """Mark the task that another thread waits for."""
    task = asyncio.current_task()
    if task is not None:
        task.set_name("publish")


async def _told(task: asyncio.Task[Fate]) -> Fate:
    """What became of a message; the driver cancels what waits when the connection breaks, which is an error here."""
    try:
        return await task
    except asyncio.CancelledError:
        me = asyncio.current_task()
        if me is not None and me.cancelling():
            raise
        raise ConnectionResetError("the connection broke") from None
    except Exception as error:
        if type(error) is Exception:  # what it says when it knows no reason
            raise ConnectionResetError("the connection broke") from error
        raise


async def _given_up(waiting: deque[asyncio.Task[Any]]) -> None:
    tasks = list(waiting)
    waiting.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
