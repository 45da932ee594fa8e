"""A real RabbitMQ for tests: one that is given, else Debian's program on loopback with a directory of its own.

SLUICE_TEST_AMQP_URL   the broker to use; it cannot be killed or frozen then

Takes a directory; gives a broker that can be killed, started again on the same data, frozen and thawed. No systemd, no
fixed port, nothing outside the directory; ``epmd`` is one of its own. Fails with: TimeoutError (it did not start).
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic, sleep  # noqa: TID251 - a real process is waited for
from typing import Any, NamedTuple

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

_PROGRAMS = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"))  # where Debian has it
NO_BROKER = "no RabbitMQ: SLUICE_TEST_AMQP_URL is not set and the package rabbitmq-server is not installed"
START_S = 60.0  # chosen: it takes 4 s on an idle machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(check: Callable[[], bool], limit_s: float, what: str) -> None:
    """Wait until a check is true; refused connections count as not yet."""
    end = monotonic() + limit_s
    while True:
        with contextlib.suppress(OSError):
            if check():
                return
        if monotonic() > end:
            raise TimeoutError(what)
        sleep(0.02)


class Broker:
    """A RabbitMQ of our own, below one directory."""

    def __init__(self, directory: Path) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.directory = directory
        self._epmd = free_port()
        self._environ = self._prepare()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def _prepare(self) -> dict[str, str]:
        here = self.directory
        tls = ""
        if shutil.which("openssl"):
            subprocess.run(
                [
                    "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", str(here / "key.pem"), "-out", str(here / "certificate.pem"),
                ],
                check=True, capture_output=True,
            )  # fmt: skip
            tls = (
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\nssl_options.verify = verify_none\n"
                f"ssl_options.certfile = {here}/certificate.pem\nssl_options.keyfile = {here}/key.pem\n"
            )
        (here / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n{tls}loopback_users.guest = true\nlog.console = true\n"
            "log.console.level = warning\nlog.file = false\nvm_memory_high_watermark.absolute = 512MB\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        (here / "enabled_plugins").write_text("[].\n")  # none: it starts fastest so
        return os.environ | {
            "HOME": str(here),  # its cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{here}/advanced",
            "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": f"{here}/none",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/enabled_plugins",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{here}/feature_flags",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{here}/generated",
            "RABBITMQ_LOG_BASE": f"{here}/log",
            "RABBITMQ_MNESIA_BASE": f"{here}/mnesia",
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": f"{here}/pid",
            "RABBITMQ_SCHEMA_DIR": f"{here}/schema",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none"
            ),
        }  # fmt: skip

    def start(self) -> None:
        """Start it, on the data that it had; comes back when it answers."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [f"{_PROGRAMS[-1]}/rabbitmq-server"],
                env=self._environ, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for(self._is_up, START_S, f"RabbitMQ did not start, see {self.directory}/server.log")

    def _is_up(self) -> bool:
        """Whether the header of the protocol is answered by a method; the port is open earlier than that."""
        with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"

    def _signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, what)

    def ctl(self, *words: str) -> str:
        """What rabbitmqctl says; it takes two seconds."""
        asked = [f"{_PROGRAMS[-1]}/rabbitmqctl", "-q", "-n", self._environ["RABBITMQ_NODENAME"], *words]
        return subprocess.run(asked, env=self._environ, capture_output=True, text=True, check=True).stdout

    def kill(self) -> None:
        """Kill it and all that it started, as a power cut does."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """Let it stop in the middle: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it for good."""
        if self._process is not None:
            self.kill()
        epmd = shutil.which("epmd")
        if epmd is not None:  # it leaves the group of the broker
            subprocess.run([epmd, "-port", str(self._epmd), "-kill"], capture_output=True, check=False)


def can_start() -> bool:
    return bool(_PROGRAMS)


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Broker]:
    """A broker of our own; the test is skipped where it cannot be started."""
    if not can_start():
        pytest.skip(NO_BROKER)
    broker = Broker(directory)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


# -- who listens --------------------------------------------------------------------------------------

LIFECYCLE = ("file.created", "file.modified", "file.deleted", "file.moved", "file.renamed")
_EXPIRING = {"x-message-ttl": 86_400_000}


class Heard(NamedTuple):
    """One message as a consumer gets it."""

    key: str
    body: dict[str, Any]
    properties: Any  # of pamqp


class Consumers:
    """The three consumers of Tracktion: their queues, arguments and bindings, declared by nobody else."""

    def __init__(self, url: str, exchange: str, only: str = "") -> None:
        self._url, self._exchange = url, exchange
        queues = {
            f"{exchange}.cataloging": (LIFECYCLE, _EXPIRING | {"x-dead-letter-exchange": f"{exchange}.dlx"}),
            f"{exchange}.tracklist": (LIFECYCLE, _EXPIRING | {"x-dead-letter-exchange": f"{exchange}.dlx"}),
            f"{exchange}.analysis": (("file.#",), {}),
        }
        self._queues = {name: queue for name, queue in queues.items() if name.endswith(only)}

    def declare(self) -> None:
        async def work(channel: AbstractChannel) -> None:
            exchange = await channel.declare_exchange(self._exchange, "topic", durable=True)
            for name, (keys, arguments) in self._queues.items():
                queue = await channel.declare_queue(name, durable=True, arguments=dict(arguments))
                for key in keys:
                    await queue.bind(exchange, key)

        self._run(work)

    def take(self, which: str = "analysis", *, reject: bool = False) -> list[Heard]:
        """All messages of one queue, in their order; ``reject``: the consumer could make nothing of them."""
        return self.take_from(f"{self._exchange}.{which}", reject=reject)

    def take_from(self, name: str, *, reject: bool = False) -> list[Heard]:
        heard: list[Heard] = []

        async def work(channel: AbstractChannel) -> None:
            queue = await channel.get_queue(name, ensure=False)
            while True:
                one = await queue.get(fail=False)
                if one is None:
                    return
                await (one.reject(requeue=False) if reject else one.ack())
                assert one.routing_key is not None
                heard.append(Heard(one.routing_key, json.loads(one.body), one))

        self._run(work)
        return heard

    def count(self, which: str = "analysis") -> int:
        counts: list[int] = []

        async def work(channel: AbstractChannel) -> None:
            queue = await channel.declare_queue(f"{self._exchange}.{which}", passive=True)
            counts.append(queue.declaration_result.message_count or 0)

        self._run(work)
        return counts[0]

    def remove(self, *more: str) -> None:
        async def work(channel: AbstractChannel) -> None:
            for name in (*self._queues, *more):
                await channel.queue_delete(name)
            for end in ("", ".dlx"):
                await channel.exchange_delete(f"{self._exchange}{end}")

        self._run(work)

    def _run(self, work: Callable[[AbstractChannel], Awaitable[None]]) -> None:
        async def connected() -> None:
            connection = await aio_pika.connect(self._url)
            try:
                await work(await connection.channel())
            finally:
                await connection.close()

        asyncio.run(connected())
