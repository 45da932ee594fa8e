"""The control socket: rows, ends and errors over a real socket, and clients that misbehave."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mediasluice.errors import (
    BadSetting,
    LockHeld,
    RootOverlap,
    ServiceGone,
    SluiceError,
    Unavailable,
    UsageError,
)
from mediasluice.service import control
from mediasluice.service.control import SOCKET_NAME, Server, ask, ask_once, service_pid
from mediasluice.service.lock import DataLock


def count(params: dict[str, Any]) -> Generator[dict[str, Any], None, dict[str, Any]]:
    for number in range(params["to"]):
        yield {"number": number}
    return {"counted": params["to"]}


def held(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    raise LockHeld("process 7 is the writer", pid=7, path="/data", hint="wait")
    yield {}


def overlap(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"before": True}
    raise RootOverlap("lies inside another root", path="/a/\udcff", hint="take one of them out")


def broken(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return iter([{"value": {1, 2}}])


@contextmanager
def serving(
    data: Path, answers: dict[str, Callable[[dict[str, Any]], Iterator[dict[str, Any]]]], **options: Any
) -> Iterator[Server]:
    data.mkdir(parents=True, exist_ok=True)
    server = Server(data / SOCKET_NAME, answers, **options)
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(params=["local socket", "loopback"])
def data(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory, once with a socket in the file system and once with the fallback forced."""
    if request.param == "loopback":
        monkeypatch.setattr(control, "_local_sockets", lambda _: False)
    return tmp_path


def test_rows_come_back_one_by_one_and_the_end_is_returned(data: Path) -> None:
    """An answer's rows are yielded and what its generator returns is the end."""
    with serving(data, {"count": count}):
        rows = ask(data, "count", {"to": 3})
        numbers = [next(rows)["number"] for _ in range(3)]
        with pytest.raises(StopIteration) as stop:
            next(rows)
    assert numbers == [0, 1, 2]
    assert stop.value.value == {"counted": 3}


def test_a_single_object_is_the_end_or_the_last_row(data: Path) -> None:
    """A verb that answers with one row and a verb that answers with an end read alike."""
    with serving(data, {"count": count, "row": lambda _: iter([{"ok": True}])}):
        assert ask_once(data, "count", {"to": 2}) == {"counted": 2}
        assert ask_once(data, "row") == {"ok": True}


@pytest.mark.parametrize(("verb", "kind"), [("held", LockHeld), ("overlap", RootOverlap)])
def test_an_error_arrives_as_the_same_exception(data: Path, verb: str, kind: type[SluiceError]) -> None:
    """Class, message, path, hint and further fields of an error survive the way to the client."""
    with serving(data, {"held": held, "overlap": overlap}), pytest.raises(kind) as raised:
        ask_once(data, verb)
    assert type(raised.value) is kind
    if isinstance(raised.value, LockHeld):
        assert vars(raised.value) == vars(LockHeld("process 7 is the writer", pid=7, path="/data", hint="wait"))
    else:
        assert raised.value.path == "/a/\udcff"


def test_a_faulty_answer_is_reported_and_the_service_lives_on(data: Path) -> None:
    """A bug in one answer becomes an error at the client; the next request is answered."""
    with serving(data, {"broken": broken, "count": count}):
        with pytest.raises(SluiceError, match="internal error: TypeError"):
            ask_once(data, "broken")
        assert ask_once(data, "count", {"to": 1}) == {"counted": 1}


def test_an_unknown_verb_is_a_usage_error(data: Path) -> None:
    """A client of another version is told that the service does not know its verb."""
    with serving(data, {}), pytest.raises(UsageError, match="does not know 'dance'"):
        ask_once(data, "dance")


def test_without_a_service_the_client_says_how_to_start_one(data: Path) -> None:
    """No socket, or one that nobody listens on, is ServiceGone with a hint, and no pid."""
    with pytest.raises(ServiceGone) as raised:
        ask_once(data, "status")
    assert raised.value.hint == "start it with: sluice run DIR"
    assert service_pid(data) is None


def test_the_pid_is_that_of_the_listening_lock_holder(data: Path) -> None:
    """service_pid answers only while a service listens."""
    with DataLock.acquire(data), serving(data, {}):
        assert service_pid(data) == os.getpid()
    assert service_pid(data) is None


def test_only_the_owner_may_talk(tmp_path: Path) -> None:
    """The socket has mode 0600 and is gone after close."""
    with serving(tmp_path, {}):
        mode = os.lstat(tmp_path / SOCKET_NAME).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / SOCKET_NAME).exists()


def test_loopback_needs_the_token_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only a port can be had, a client without the token gets nothing, and the file is private."""
    monkeypatch.setattr(control, "_local_sockets", lambda _: False)
    with serving(tmp_path, {"count": count}):
        file = tmp_path / SOCKET_NAME
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_text(file.read_text().replace('"token": "', '"token": "x'))
        with pytest.raises(UsageError, match="token"):
            ask_once(tmp_path, "count", {"to": 1})


def test_a_stale_socket_is_replaced_and_a_foreign_file_is_not(tmp_path: Path) -> None:
    """A socket left by a killed service is taken over; any other file in its place is an error."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as killed:
        killed.bind(str(tmp_path / SOCKET_NAME))
    with serving(tmp_path, {"count": count}):
        assert ask_once(tmp_path, "count", {"to": 1}) == {"counted": 1}
    (tmp_path / SOCKET_NAME).write_bytes(b"notes")
    with pytest.raises(BadSetting, match="in the way"):
        Server(tmp_path / SOCKET_NAME, {}).start()
    assert (tmp_path / SOCKET_NAME).read_bytes() == b"notes"


def test_paths_longer_than_a_socket_address_work(tmp_path: Path) -> None:
    """A data directory of some hundred bytes has a control socket like any other."""
    deep = tmp_path.joinpath(*["directory-" + "x" * 50] * 5)
    with serving(deep, {"count": count}):
        assert stat.S_IMODE(os.lstat(deep / SOCKET_NAME).st_mode) == 0o600
        assert ask_once(deep, "count", {"to": 1}) == {"counted": 1}
    assert not (deep / SOCKET_NAME).exists()


def test_a_client_that_never_reads_is_dropped_and_blocks_nobody(tmp_path: Path) -> None:
    """The send to a slow client times out, its answer is closed, and others are answered meanwhile."""
    ended = threading.Event()

    def flood(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            while True:
                yield {"filler": "x" * 4096}
        finally:
            ended.set()

    with serving(tmp_path, {"flood": flood, "count": count}, send_timeout_s=0.2):
        slow = ask(tmp_path, "flood")
        next(slow)
        assert ask_once(tmp_path, "count", {"to": 1}) == {"counted": 1}
        assert ended.wait(5)
        with pytest.raises(ServiceGone):
            for _ in slow:
                pass


def test_a_client_that_left_is_noticed_at_the_next_row(tmp_path: Path) -> None:
    """An answer that repeats a row ends when its client is gone."""
    ended, more = threading.Event(), threading.Event()

    def follow(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        try:
            yield {"head": 1}
            more.wait(5)
            while True:
                yield {"head": 1}
        finally:
            ended.set()

    with serving(tmp_path, {"follow": follow}):
        rows = ask(tmp_path, "follow")
        next(rows)
        rows.close()
        more.set()
        assert ended.wait(5)


def test_the_number_of_clients_is_bounded(tmp_path: Path) -> None:
    """One client too many is told to try again; when another leaves there is room again."""
    more = threading.Event()

    def wait(params: dict[str, Any]) -> Generator[dict[str, Any], None, dict[str, Any]]:
        yield {}
        more.wait(5)
        return {"waited": True}

    with serving(tmp_path, {"wait": wait, "count": count}, clients=1):
        first = ask(tmp_path, "wait")
        next(first)
        with pytest.raises(Unavailable, match="too many"):
            ask_once(tmp_path, "count", {"to": 1})
        more.set()
        with pytest.raises(StopIteration):
            next(first)


def test_close_cuts_waiting_clients_off(tmp_path: Path) -> None:
    """A client that is being answered when the service stops gets ServiceGone, not a hang."""
    more = threading.Event()

    def wait(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {}
        more.wait(5)
        yield {}

    with serving(tmp_path, {"wait": wait}):
        rows = ask(tmp_path, "wait")
        next(rows)
        threading.Timer(0.05, more.set).start()
    with pytest.raises(ServiceGone):
        for _ in rows:
            pass


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """The client's own limit ends the wait for a service that does not answer."""
    more = threading.Event()

    def wait(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        more.wait(5)
        yield {}

    with serving(tmp_path, {"wait": wait}):
        with pytest.raises(ServiceGone, match=r"within 0\.05 s"):
            ask_once(tmp_path, "wait", timeout_s=0.05)
        more.set()


@pytest.mark.parametrize("request_line", [b"\n", b"not json\n", b"[]\n", b'{"verb": 1, "params": {}}\n'])
def test_a_malformed_request_is_a_usage_error(tmp_path: Path, request_line: bytes) -> None:
    """Whatever a client sends, it gets an error line and the service goes on."""
    with serving(tmp_path, {"count": count}):
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
            client.connect(str(tmp_path / SOCKET_NAME))
            client.sendall(request_line)
            assert b'"type":"UsageError"' in client.makefile("rb").readline()
        assert ask_once(tmp_path, "count", {"to": 1}) == {"counted": 1}
