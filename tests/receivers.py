"""A real HTTP server on loopback that records what it gets and answers as a test wants it.

``answers`` are taken in their order, the last one for ever: a status, or a function that gets the connection and does
what it likes. With a directory it speaks TLS with a certificate that openssl made there for ``localhost``.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest


class Got(NamedTuple):
    """One request."""

    path: str
    headers: Mapping[str, str]  # names in small letters
    body: bytes
    client: int  # port: the same while a connection is kept


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


Act = Callable[[socket.socket], None]


class Receiver:
    """The server; ``got`` is what came."""

    def __init__(self, *answers: int | Answer | Act, tls: Path | None = None) -> None:
        self.got: list[Got] = []
        self.answers = list(answers or (204,))
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver._next(Got(self.path, headers, body, self.client_address[1]))
                if callable(answer):
                    answer(self.connection)
                    self.close_connection = True
                    return
                told = Answer(answer) if isinstance(answer, int) else answer
                self.send_response(told.status)
                for name, value in told.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(told.body)))
                self.end_headers()
                self.wfile.write(told.body)

            def log_message(self, *_: Any) -> None:
                """Tests look at what came."""

            def handle(self) -> None:
                with suppress(OSError):  # clients that leave are what some tests are about
                    super().handle()

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                """As above."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.ca: Path | None = None
        if tls is not None:
            self.ca = certificate(tls)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.ca, self.ca.with_suffix(".key"))
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'http' if tls is None else 'https'}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _next(self, got: Got) -> int | Answer | Act:
        with self._lock:
            self.got.append(got)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def certificate(directory: Path) -> Path:
    """A certificate of ``localhost`` that signs itself; its key lies beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = directory / "localhost.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(made.with_suffix(".key")), "-out", str(made), "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return made
