"""A connection that sends a window of messages in one go: one call of the system, not a hundred.

aiormq, the protocol underneath aio-pika, hands each message to the system alone, and ten at most between two turns of
its loop. Both are more than half of what a message costs.

Takes the address of a broker; gives a reader, and a writer that hands on what was written when the loop comes round.
Fails with: AMQPConnectionError, as the driver's own transports do.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiormq.connection import Connection, TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL


class WideConnection(Connection):
    """A connection whose messages do not wait for each other on their way to the transport."""

    FRAME_BUFFER_SIZE = 200  # messages, chosen: two windows


class Gathering(TransportFactory):
    """Makes connections that gather, with TLS for amqps."""

    async def create(
        self,
        url: URL,
        **options: Any,  # noqa: ANN401 - as the driver has it
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await made.create(url, **options)
        return reader, cast("asyncio.StreamWriter", _Writer(writer))


class _Writer:
    """A StreamWriter whose writes are gathered; what is asked of it beyond writing goes to the one inside."""

    def __init__(self, inside: asyncio.StreamWriter) -> None:
        self._inside = inside
        self._parts: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def _flush(self) -> None:
        if self._parts:
            data, self._parts = b"".join(self._parts), []
            self._inside.write(data)

    async def drain(self) -> None:
        self._flush()
        await self._inside.drain()

    def write_eof(self) -> None:
        self._flush()
        self._inside.write_eof()

    def close(self) -> None:
        self._flush()
        self._inside.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the driver asks for
        return getattr(self._inside, name)
