"""Say what went wrong with a broker so that a person knows what to do.

Takes what the driver raised; gives SinkRefused where somebody has to change something, else SinkUnreachable. Both name
the host and the exchange, and neither shows a password. Fails with: nothing.
"""

from __future__ import annotations

import socket
import ssl
from typing import NamedTuple
from urllib.parse import quote, unquote

from mediasluice.errors import SinkRefused, SinkUnreachable

_WRONG_TYPE, _REFUSED, _NOT_ALLOWED = 406, 403, 530
_NO_VHOST = ("Connection.OpenOk", "Connection.Close")  # the driver drops what the broker said to a virtual host
_CODES = {"PRECONDITION_FAILED": _WRONG_TYPE, "ACCESS_REFUSED": _REFUSED, "NOT_ALLOWED": _NOT_ALLOWED}


_AGAIN = "It is tried again by itself. If it stays so: is it RabbitMQ that listens there, with TLS behind amqps://?"


class Place(NamedTuple):
    """A broker and an exchange, as people know them."""

    scheme: str
    host: str  # with its port
    exchange: str
    password: str | None  # as it stands in the address; kept out of every text

    def __str__(self) -> str:
        return f"RabbitMQ at {self.host}, exchange {self.exchange}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def censored(self, text: str) -> str:
        """The text without the password, in whichever way it is written."""
        if not self.password:
            return text
        plain = unquote(self.password)
        for form in sorted({self.password, plain, quote(plain, safe="")}, key=len, reverse=True):
            text = text.replace(form, "***")
        return text


def trouble(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What may go wrong with a broker; only after the driver was loaded. A mistake of ours is none of it."""
    from aiormq.exceptions import AMQPError  # noqa: PLC0415 - see above

    return (OSError, TimeoutError, EOFError, RuntimeError, AMQPError, *more)


def explained(error: Exception, place: Place, no_answer: str) -> SinkRefused | SinkUnreachable:
    """The error to raise; ``no_answer`` says what was waited for where it is a time-out."""
    if isinstance(error, (SinkRefused, SinkUnreachable)):
        return error
    if isinstance(error, TimeoutError) and error.errno is None:
        return SinkUnreachable(f"{place}: {no_answer}", hint="It is tried again by itself. See the broker's own log.")
    said = place.censored(_said(error))
    causes = _causes(error)
    return (
        _by_code(_code(error, said), said, place)
        or _by_tls(causes, place)
        or _by_network(causes, place)
        or SinkUnreachable(f"{place}: {said}", hint=_AGAIN)
    )


def _by_code(code: int | None, said: str, place: Place) -> SinkRefused | None:
    """Judge what the broker itself answered."""
    if code == _WRONG_TYPE:
        hint = (
            f"The exchange {place.exchange} exists with another type or other arguments; it has to be a durable one of"
            f" type topic. Delete it (rabbitmqctl or the management page), or set another name with `exchange`."
        )
        return SinkRefused(f"{place}: {said}", hint=hint)
    if code == _REFUSED and "Login" in said:
        hint = "Check user name and password in `url`. The user guest may log in from the broker's own machine only."
        return SinkRefused(f"{place}: user name or password was refused: {said}", hint=hint)
    if code == _REFUSED:
        hint = f"Give this user the rights to configure and write {place.exchange}: rabbitmqctl set_permissions."
        return SinkRefused(f"{place}: {said}", hint=hint)
    if code == _NOT_ALLOWED:
        hint = "Check the virtual host, the part of `url` behind the last slash, and this user's right to use it."
        return SinkRefused(f"{place}: {said}", hint=hint)
    if all(word in said for word in _NO_VHOST):
        hint = "Check the virtual host, the part of `url` behind the last slash, and this user's right to use it."
        return SinkRefused(f"{place}: the virtual host does not exist or is not for this user", hint=hint)
    return None


def _by_tls(causes: list[BaseException], place: Place) -> SinkRefused | None:
    error = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if error is None:
        return None
    why = place.censored(getattr(error, "verify_message", "") or error.reason or str(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "Name the authority that signed it: add ?cafile=/path/to/ca.pem to `url`."
        return SinkRefused(f"{place}: the certificate is not trusted: {why}", hint=hint)
    hint = "amqps:// needs the port for TLS, usually 5671; without TLS it is amqp:// and 5672."
    return SinkRefused(f"{place}: TLS failed: {why}", hint=hint)


def _by_network(causes: list[BaseException], place: Place) -> SinkUnreachable | None:
    for error in causes:
        if isinstance(error, socket.gaierror):
            hint = "Check the host in `url`. It is tried again by itself."
            return SinkUnreachable(f"{place}: the name of the host is not known: {error.strerror}", hint=hint)
        if isinstance(error, ConnectionRefusedError):
            hint = "Start RabbitMQ, or check host and port in `url`. It is tried again by itself."
            return SinkUnreachable(f"{place}: nobody listens there", hint=hint)
        if isinstance(error, FileNotFoundError):
            hint = "Check `cafile`, `certfile` and `keyfile` in `url`. It is tried again by itself."
            return SinkUnreachable(f"{place}: a file for TLS is missing: {error}", hint=hint)
    return None


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found


def _said(error: Exception) -> str:
    words = [str(part) for part in error.args if part is not None and not isinstance(part, int)]
    return " ".join(words) or str(error) or type(error).__name__


def _code(error: Exception, said: str) -> int | None:
    """The code of an answer of AMQP, where it is one."""
    number = next((part for part in error.args if isinstance(part, int)), None)
    if number in _CODES.values():
        return number
    return next((code for word, code in _CODES.items() if word in said), None)
