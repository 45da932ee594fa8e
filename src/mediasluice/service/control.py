"""Talk with the service that runs on a data directory.

Takes one request per connection, a JSON line ``{"verb": ..., "params": {...}}``; gives JSON lines
``{"row": {...}}`` and a last one, ``{"end": ...}`` or ``{"error": {...}}``, which becomes the same exception
again at the client. An answer is an iterator of rows; what a generator returns is the ``end``. One thread per
client and a limit on the time of each send keep a slow or dead client away from the service; an answer that
waits for something should repeat a row now and then, because a client that left is only noticed when
something is sent to it.
Fails with: ServiceGone, BadSetting (the socket's name is taken by something else), what the answer raised.
Source: docs/architecture.md; the wire format is private to one version of the program.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import selectors
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from mediasluice import errors
from mediasluice.errors import BadSetting, ServiceGone, SluiceError, Unavailable, UsageError
from mediasluice.service.lock import recorded_pid

SOCKET_NAME = "control.sock"

Row = dict[str, Any]
Answer = Callable[[Row], Iterator[Row]]

_LONGEST_ADDRESS = 107 if sys.platform == "linux" else 103
"""Bytes of a path that fit into ``sun_path``: 108 with the final NUL on Linux, 104 on BSD and macOS."""

_LONGEST_REQUEST = 1 << 20
"""Bytes, chosen: some thousand targets of ``sluice scan`` with long paths."""

_REQUEST_S = 5.0
"""Chosen: a client sends its request at once; one that does not is dropped."""

log = logging.getLogger(__name__)


class Server:
    """Answer requests on ``path``. Made by the holder of the data lock only: it removes a stale socket."""

    def __init__(
        self, path: Path, answers: Mapping[str, Answer], *, clients: int = 32, send_timeout_s: float = 5.0
    ) -> None:
        self._path = path
        self._answers = answers
        self._limit = clients
        self._send_timeout_s = send_timeout_s
        self._connected: dict[threading.Thread, socket.socket] = {}
        self._guard = threading.Lock()
        self._closing = False

    def start(self) -> None:
        """Listen and answer from now on; returns when the socket is there."""
        self._listener, self._token = _listen(self._path)
        self._waker, self._woken = socket.socketpair()
        self._accepting = threading.Thread(target=self._accept, name="control", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Stop listening, cut every client off and remove the socket; answers end at their next row."""
        self._closing = True
        self._waker.send(b"x")
        self._accepting.join()
        for end in (self._listener, self._waker, self._woken):
            end.close()
        with suppress(FileNotFoundError):
            self._path.unlink()
        with self._guard:
            connected = dict(self._connected)
        for connection in connected.values():
            with suppress(OSError):  # the client may be gone already
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connected:
            thread.join(timeout=2.0)  # chosen: twice the second in which a waiting answer repeats a row

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                selector.select()
                if self._closing:
                    return
                try:
                    connection, _ = self._listener.accept()
                except OSError as error:  # the client left again, or no descriptor is free: it may come back
                    log.warning("control connection not accepted: %s", error)
                    time.sleep(0.1)  # chosen: the connection that could not be taken keeps the listener readable
                    continue
                self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._converse, args=(connection,), name="control-client", daemon=True)
        with self._guard:
            room = len(self._connected) < self._limit
            if room:
                self._connected[thread] = connection
        if room:
            thread.start()
            return
        busy = Unavailable("too many commands are talking with the service", hint="try again in a moment")
        with closing(connection), suppress(OSError):  # it is turned away; whether it hears why is its affair
            connection.settimeout(0.1)
            connection.sendall(_line({"error": _describe(busy)}))

    def _converse(self, connection: socket.socket) -> None:
        try:
            with closing(connection):
                connection.settimeout(_REQUEST_S)
                request = _read_request(connection)
                connection.settimeout(self._send_timeout_s)
                with closing(self._answer(request)) as lines:
                    for line in lines:
                        connection.sendall(line)
        except OSError as error:  # gone, or too slow: its own affair
            log.debug("control client dropped: %s", error)
        finally:
            with self._guard:
                del self._connected[threading.current_thread()]

    def _answer(self, request: bytes) -> Generator[bytes, None, None]:
        try:
            verb, params = _parse(request, self._token)
            answer = self._answers.get(verb)
            if answer is None:
                raise UsageError(
                    f"the running service does not know {verb!r}",
                    hint="restart it: it may be of another version",
                )
            rows = iter(answer(params))
            try:
                while not self._closing:
                    try:
                        row = next(rows)
                    except StopIteration as stop:
                        yield _line({"end": stop.value})
                        return
                    yield _line({"row": row})
            finally:
                if isinstance(rows, Generator):
                    rows.close()
            raise ServiceGone("the service is stopping")
        except SluiceError as error:
            yield _line({"error": _describe(error)})
        except Exception as error:  # the border of the service: one faulty answer must not end it silently
            log.exception("control request failed")
            yield _line({"error": _describe(SluiceError(f"internal error: {type(error).__name__}: {error}"))})


def ask(
    data: Path, verb: str, params: Row | None = None, *, timeout_s: float | None = None
) -> Generator[Row, None, Any]:
    """Ask the service of ``data``; yields its rows, returns its ``end``.

    ``timeout_s`` bounds the wait for each line. Raises ServiceGone when no service listens or it goes away.
    """
    connection, token = _connect(data / SOCKET_NAME, timeout_s)
    with closing(connection), connection.makefile("rb") as lines:
        try:
            with suppress(BrokenPipeError):  # turned away: the reason lies ready to be read
                connection.sendall(_line({"verb": verb, "params": params or {}, "token": token}))
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                answer = json.loads(line)
                if "row" in answer:
                    yield answer["row"]
                elif "error" in answer:
                    raise _rebuild(answer["error"])
                else:
                    return answer["end"]
        except TimeoutError as error:
            raise ServiceGone(f"the service did not answer within {timeout_s:g} s", path=str(data)) from error
        except OSError as error:
            raise ServiceGone(f"the connection to the service broke: {error.strerror}", path=str(data)) from error
    raise ServiceGone("the service went away while it answered", path=str(data), hint="see: sluice status")


def ask_once(data: Path, verb: str, params: Row | None = None, *, timeout_s: float | None = None) -> Row:
    """Ask for a single object: the ``end`` of the answer, or its last row when there is no end."""
    rows = ask(data, verb, params, timeout_s=timeout_s)
    last: Row = {}
    while True:
        try:
            last = next(rows)
        except StopIteration as stop:
            end: Row | None = stop.value
            return last if end is None else end


def service_pid(data: Path) -> int | None:
    """The pid of the service that listens on ``data``, or ``None``. Proven by a connection, not by a file."""
    try:
        connection, _ = _connect(data / SOCKET_NAME, _REQUEST_S)
    except ServiceGone:
        return None
    connection.close()
    return recorded_pid(data)


def _listen(path: Path) -> tuple[socket.socket, str | None]:
    """A listening socket at ``path``; with a token where only a loopback port can be had."""
    _remove_stale(path)
    if not _local_sockets(path):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        token = secrets.token_hex(16)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            json.dump({"port": listener.getsockname()[1], "token": token}, file)
        return listener, token
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(OSError):  # Linux makes the file with the mode of the socket; elsewhere this may be refused
            os.fchmod(listener.fileno(), 0o600)
        with _short(path) as address:
            listener.bind(address)
            os.chmod(address, 0o600)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener, None


def _connect(path: Path, timeout_s: float | None) -> tuple[socket.socket, str | None]:
    try:
        if not _local_sockets(path):
            there = json.loads(path.read_text(encoding="ascii"))
            return socket.create_connection(("127.0.0.1", there["port"]), timeout_s), there["token"]
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            with _short(path) as address:
                connection.connect(address)
        except OSError:
            connection.close()
            raise
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ServiceGone(
            "no service is running on this data directory",
            path=str(path.parent),
            hint="start it with: sluice run DIR",
        ) from error
    except OSError as error:
        raise ServiceGone(f"the service cannot be reached: {error.strerror}", path=str(path)) from error
    return connection, None


def _local_sockets(path: Path) -> bool:
    if not hasattr(socket, "AF_UNIX"):
        return False
    return len(os.fsencode(path)) <= _LONGEST_ADDRESS or os.path.isdir("/proc/self/fd")


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A spelling of ``path`` that fits into a socket address, valid inside the block."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _remove_stale(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode) and _local_sockets(path):
        raise BadSetting("is in the way of the control socket", path=str(path), hint="move it elsewhere, or --data DIR")
    path.unlink()


def _read_request(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk or len(received) + len(chunk) > _LONGEST_REQUEST:
            raise OSError(errno.EPROTO, "request incomplete or too long")
        received += chunk
    return bytes(received)


def _parse(request: bytes, token: str | None) -> tuple[str, Row]:
    try:
        asked = json.loads(request)
        verb, params = asked["verb"], asked["params"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError("the request is not a JSON object with verb and params") from error
    if token is not None and not secrets.compare_digest(str(asked.get("token")), token):
        raise UsageError("the request does not carry the token of this service")
    if not isinstance(verb, str) or not isinstance(params, dict):
        raise UsageError("verb has to be text and params an object")
    return verb, params


def _line(value: Row) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _describe(error: SluiceError) -> Row:
    return {"type": type(error).__name__} | {k: v for k, v in vars(error).items() if not k.startswith("_")}


def _rebuild(described: Row) -> SluiceError:
    """The error as the service raised it; one of another version arrives as a plain SluiceError."""
    fields = dict(described)
    kind = getattr(errors, fields.pop("type"), None)
    message = fields.pop("message")
    if isinstance(kind, type) and issubclass(kind, SluiceError):
        with suppress(TypeError):
            return kind(message, **fields)
    return SluiceError(message, path=fields.get("path"), hint=fields.get("hint"))
