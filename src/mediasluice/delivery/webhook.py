"""A sink that posts each event to a web address, signed as Standard Webhooks has it.

Takes facts one at a time, from several threads at once. 2xx is delivered; 408, 425, 429 and 5xx are tried again, not
before ``Retry-After`` says; 410 ends the sink for good; every other answer, a redirect too, makes a dead letter. No
redirect is followed and no proxy is asked: an event goes to an address that was judged (``addresses``) or nowhere.

The client is the standard library's ``http.client`` on connections of our own, which stay open for the next event: one
deadline holds for all of a delivery, however slowly an answer drips, and ``close`` ends those that are under way.
Secrets, the path and the query of the address never stand in any text; the host does.

Certificates are checked against those of the system and of ``SSL_CERT_FILE``.
Fails with: BadSetting (making it), SinkRefused, SinkUnreachable.
"""

from __future__ import annotations

import email.utils
import http.client
import io
import re
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery import addresses, envelope, signing
from mediasluice.delivery.sink import DELIVERED, Outcome, Result, Traits
from mediasluice.errors import BadSetting, SinkRefused, SinkUnreachable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TRAITS = Traits(is_strict=False, concurrency=4, batch=1)
ANSWER_MAX = 4096  # bytes of an answer that are read, chosen: its first line tells why
LINE_MAX = 200  # characters of it that are told
SECRET_MIN = 6  # characters, chosen: shorter parts of an address are words
WAIT_MAX_S = 86_400.0  # chosen: who says later than tomorrow gets tomorrow
IDLE_MAX = TRAITS.concurrency  # connections that are kept
IDLE_S = 30.0  # chosen: some routers forget a connection that rests for a minute, and tell nobody
AGAIN = frozenset({408, 425, 429})  # beside 5xx: may go well another time
GONE = 410

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"connection", "content-length", "host", "transfer-encoding", "expect", "upgrade", "te", "trailer"})


@dataclass(frozen=True, slots=True)
class Options:
    """What a webhook is told. ``secrets``: the first one signs, and so does every other one, for a change of them."""

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    allow_private: bool = False  # also addresses of this machine and of private networks
    timeout_s: float = 15.0  # for all of one delivery; Standard Webhooks asks for 15 to 30
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)


class Webhook:
    """The sink. ``wall`` gives seconds since 1970, ``clock`` seconds that never go back."""

    def __init__(
        self,
        options: Options,
        wall: Callable[[], float],
        clock: Callable[[], float],
        *,
        resolve: addresses.Resolve = socket.getaddrinfo,
    ) -> None:
        self._url = _checked(options.url)
        self._keys = [signing.key(one, f"secrets[{place}]") for place, one in enumerate(options.secrets)]
        self._headers = _usable(options.headers)
        self._options, self._wall, self._clock, self._resolve = options, wall, clock, resolve
        self._lock = threading.Lock()
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()
        self._is_closed = False

    def open(self) -> None:
        """See that a connection can be made, and keep it."""
        self._is_closed = False
        with self._explained():
            line = self._new(self._clock() + self._options.timeout_s)
            self._put_back(line)

    def deliver(self, facts: Sequence[Fact]) -> Sequence[Outcome]:
        """Post each."""
        return [self._post(fact) for fact in facts]

    def close(self) -> None:
        """End all connections; a delivery that waits for an answer gets none."""
        with self._lock:
            self._is_closed = True
            idle, busy, self._idle = self._idle, [*self._busy], []
        for line in idle:
            line.end()
        for line in busy:  # ended by the thread that uses it
            line.cut()

    def _post(self, fact: Fact) -> Outcome:
        content = envelope.body(fact)
        signed = signing.headers(fact.event.id, int(self._wall()), content, self._keys)
        headers = {**self._standing, **signed}
        end_s = self._clock() + self._options.timeout_s
        with self._explained():
            status, found, answer = self._answer(content, headers, end_s)
        return self._outcome(status, found, answer)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of what goes wrong on the way where, why and what to do."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise self._unreachable(f"its certificate is not trusted: {error.verify_message}", _TRUST) from None
        except ssl.SSLError as error:
            raise self._unreachable(f"TLS failed: {error.reason or error}", "see which TLS it speaks") from None
        except OSError as error:
            raise self._unreachable(addresses.reason_of(error)) from None
        except http.client.HTTPException as error:
            why = f"its answer is no HTTP: {type(error).__name__}"
            raise self._unreachable(why, "see what listens there") from None

    def _answer(self, content: bytes, headers: dict[str, str], end_s: float) -> tuple[int, Mapping[str, str], bytes]:
        """Post, on a connection that is open already if there is one; it may have been closed in this very moment."""
        line = self._take()
        if line is not None:
            try:
                return self._posted(line, content, headers, end_s)
            except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                if self._is_closed:
                    raise
        return self._posted(self._new(end_s), content, headers, end_s)

    def _posted(
        self, line: _Line, content: bytes, headers: dict[str, str], end_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        with self._under_way(line):
            answer = line.post(self._target, content, headers, end_s)
        self._put_back(line)
        return answer

    @contextmanager
    def _under_way(self, line: _Line) -> Iterator[None]:
        """Let ``close`` reach a connection while it is used; one that fails is ended."""
        with self._lock:
            self._busy.add(line)
        try:
            if self._is_closed:
                raise TimeoutError
            yield
        except BaseException:
            line.end()
            raise
        finally:
            with self._lock:
                self._busy.discard(line)

    # -- connections ----------------------------------------------------------------------------------

    def _take(self) -> _Line | None:
        """A connection that is still open, with nothing to read on it."""
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None or line.is_fresh():
                return line
            line.end()

    def _put_back(self, line: _Line) -> None:
        with self._lock:
            if line.is_reusable and not self._is_closed and len(self._idle) < IDLE_MAX:
                self._idle.append(line)
                return
        line.end()

    def _new(self, end_s: float) -> _Line:
        wanted = addresses.Wanted(self._host, self._port, self._options.allow_private)
        connection = addresses.connect(
            wanted, end_s, self._clock, is_ended=lambda: self._is_closed, resolve=self._resolve
        )  # fmt: skip
        if self._url.scheme == "http":
            return _Line(connection, self._clock)
        try:
            wrapped = self._trust.wrap_socket(connection, server_hostname=self._host, do_handshake_on_connect=False)
        except BaseException:
            connection.close()
            raise
        line = _Line(wrapped, self._clock)
        with self._under_way(line):
            line.agree(wrapped, end_s)
        return line

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @property
    def _host(self) -> str:
        return self._url.hostname or ""

    @property
    def _port(self) -> int:
        return self._url.port or (443 if self._url.scheme == "https" else 80)

    @cached_property
    def _target(self) -> str:
        path = self._url.path or "/"
        return f"{path}?{self._url.query}" if self._url.query else path

    @cached_property
    def _standing(self) -> dict[str, str]:
        """The headers that are the same for all events."""
        own = {"User-Agent": f"mediasluice/{version('mediasluice')}", "Content-Type": envelope.MEDIA_TYPE}
        replaced = {name.lower() for name in self._headers}
        kept = {name: value for name, value in own.items() if name.lower() not in replaced}
        return {"Host": self._url.netloc, **kept, **self._headers}

    # -- what came of it ------------------------------------------------------------------------------

    def _outcome(self, status: int, headers: Mapping[str, str], answer: bytes) -> Outcome:
        if 200 <= status < 300:
            return DELIVERED
        said = self._without_secrets(_first_line(answer))[:LINE_MAX]
        reason = f"{self._host} answered {status}" + (f": {said}" if said else "")
        if status == GONE:
            hint = "it wants no events any more: remove the sink, or give it another url"
            raise SinkRefused(reason, hint=hint, is_final=True)
        if status in AGAIN or status >= 500:
            return Outcome(Result.FAILED, reason, _after_s(headers.get("retry-after"), self._wall()))
        if 300 <= status < 400:
            reason = f"{reason}; redirects are not followed: give the sink the address itself"
        return Outcome(Result.DEAD, reason)

    def _without_secrets(self, said: str) -> str:
        """Many a receiver answers with what it was asked: hide what may be a secret of it."""
        words = {*self._options.secrets, *self._headers.values(), *re.split(r"[/?&=]", self._target), self._target}
        for word in sorted(words, key=len, reverse=True):
            if len(word) >= SECRET_MIN:
                said = said.replace(word, "***")
        return said

    def _unreachable(self, why: str, hint: str | None = None) -> SinkUnreachable:
        if self._is_closed:
            why = "the delivery was ended"
        host = f"{self._host}:{self._port}"
        return SinkUnreachable(f"{host}: {why}", hint=hint or f"see that {self._host} runs and answers in time")


_TRUST = "give it a certificate of this name, or name the one that signed it in SSL_CERT_FILE"


class _Line:
    """One connection. Reading from it ends at the deadline of the delivery that is under way."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float]) -> None:
        self._socket, self._clock = connection, clock
        self._used_s = clock()
        self.is_reusable = True

    def agree(self, connection: ssl.SSLSocket, end_s: float) -> None:
        """Agree about keys, and see whose certificate it is."""
        connection.settimeout(_Timed(connection, self._clock, end_s).left_s())
        connection.do_handshake()

    def post(
        self, target: str, content: bytes, headers: Mapping[str, str], end_s: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and take the answer: status, headers, and the beginning of what it says."""
        timed = _Timed(self._socket, self._clock, end_s)
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""])
        self._socket.settimeout(timed.left_s())
        self._socket.sendall(head.encode("latin-1") + content)
        answer = http.client.HTTPResponse(timed, method="POST")  # type: ignore[arg-type]
        with answer:
            answer.begin()
            self._used_s = self._clock()
            found = {name.lower(): value for name, value in answer.getheaders()}
            said, self.is_reusable = b"", False
            with suppress(OSError, http.client.HTTPException):  # the status counts, whatever becomes of the rest
                said = answer.read(ANSWER_MAX)
                self.is_reusable = not answer.will_close and not answer.read(1)
        return answer.status, found, said

    def is_fresh(self) -> bool:
        """Whether it was used lately, and the other side neither closed it nor said what nobody asked for."""
        if self._clock() - self._used_s > IDLE_S:
            return False
        try:
            return not addresses.is_ready(self._socket, selectors.EVENT_READ, 0)
        except (OSError, ValueError):
            return False

    def cut(self) -> None:
        """Wake up who reads from it. Below TLS: its objects belong to the thread that uses them."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def end(self) -> None:
        with suppress(OSError):
            self._socket.close()


class _Timed(io.RawIOBase):
    """A socket to read from until a deadline; made for ``HTTPResponse``, which asks it for a file."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float], end_s: float) -> None:
        super().__init__()
        self._socket, self._clock, self._end_s = connection, clock, end_s

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give the file that an answer is read from."""
        return io.BufferedReader(self)

    def left_s(self) -> float:
        left_s = self._end_s - self._clock()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._socket.settimeout(self.left_s())
        return self._socket.recv_into(buffer)


def _checked(url: str) -> SplitResult:
    """The parts of an address; its errors do not show it, since it may hold a secret."""
    hint = "write it as https://host/path"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise BadSetting("url is no address", hint=hint) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BadSetting("url is no http or https address", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise BadSetting("url holds a user or a password", hint="send it by headers: {Authorization: ...}")
    if not url.isascii() or re.search(r"[\x00-\x20\x7f]", url.strip()):
        raise BadSetting(
            "url holds a character that stands in no address",
            hint="write the host as xn--..., the rest percent-encoded",
        )
    return parts


def _usable(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise BadSetting(f"headers: {name!r} cannot be set", hint="leave it out")
        if not value.isascii() or not value.isprintable():
            raise BadSetting(f"headers: the value of {name} is no printable ASCII", hint="write it in one plain line")
    return dict(headers)


def _after_s(said: str | None, now_s: float) -> float | None:
    """Seconds that ``Retry-After`` asks for, as a number or as a date."""
    if said is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", said):
        return min(float(said), WAIT_MAX_S)
    try:
        at_s = email.utils.parsedate_to_datetime(said).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, at_s - now_s), WAIT_MAX_S)


def _first_line(answer: bytes) -> str:
    """What it says first, in one line that plays no tricks with a terminal."""
    text = answer.decode("utf-8", "replace").strip().partition("\n")[0]
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
