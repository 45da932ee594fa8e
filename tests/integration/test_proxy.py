from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while part := connection.recv(4096):
                    connection.sendall(part)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def dial(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def says(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words)
    return connection.recv(4096)


def test_it_passes_on_and_ends_with_its_client(proxy: Proxy) -> None:
    """Bytes go both ways; an end of what one side says is the end for the other."""
    with dial(proxy) as connection:
        assert says(connection, b"hello") == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert proxy.connections == 1


def test_cut_resets_and_goes_on(proxy: Proxy) -> None:
    """A connection is reset, not closed; the next one is served."""
    with dial(proxy) as connection:
        assert says(connection, b"a") == b"a"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with dial(proxy) as connection:
        assert says(connection, b"b") == b"b"


def test_down_refuses_until_it_is_up_again(proxy: Proxy) -> None:
    """While it is down nobody answers at its port; afterwards the same port serves."""
    port = proxy.port
    with dial(proxy) as connection:
        assert says(connection, b"a") == b"a"
        proxy.down()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        dial(proxy)
    proxy.up()
    assert proxy.port == port
    with dial(proxy) as connection:
        assert says(connection, b"b") == b"b"


def test_stall_holds_back_until_it_resumes(proxy: Proxy) -> None:
    """Nothing comes while it is stalled, and nothing is lost."""
    with dial(proxy) as connection:
        proxy.stall()
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            says(connection, b"held")
        proxy.resume()
        connection.settimeout(5)
        assert connection.recv(4096) == b"held"


def test_delay_makes_it_late(proxy: Proxy) -> None:
    """A piece comes later, once for each direction."""
    proxy.delay(0.1)
    with dial(proxy) as connection:
        start_s = time.monotonic()
        assert says(connection, b"late") == b"late"
        assert time.monotonic() - start_s >= 0.2
