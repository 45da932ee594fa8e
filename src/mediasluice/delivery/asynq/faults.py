"""Say what is wrong with a Redis in words that lead on, and never with a password in them.

``address`` makes of a URL what may be shown; ``told`` makes of what the driver raised SinkUnreachable (it may go well
another time) or SinkRefused (a person has to change something). The driver is asked by the names of its errors, so
that nothing of it is imported here. Fails with: BadSetting (a URL that cannot be understood).
"""

from __future__ import annotations

import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from mediasluice.errors import BadSetting, SinkRefused, SinkUnreachable

SCHEMES = ("redis", "rediss", "unix")
PORT = 6379

_WAITS: Final = {  # word that an answer begins with -> what it means, what to do
    "LOADING": ("is still reading its data", "it goes on by itself when Redis is ready"),
    "OOM": ("has no memory left", "let workers empty the queues, or raise maxmemory of this Redis"),
    "MISCONF": (
        "cannot write its data to disk and takes no changes",
        "see the log of Redis; mostly its disk is full or its folder not writable",
    ),
    "BUSY": ("is busy with a script of somebody", "it goes on by itself, or after SCRIPT KILL"),
    "CLUSTERDOWN": ("belongs to a cluster that is down", "see CLUSTER INFO"),
    "MASTERDOWN": ("is a replica that has lost its primary", "name the primary in the URL of the sink"),
    "TRYAGAIN": ("is moving these keys to another node", "it goes on by itself"),
}
_REFUSALS: Final = {
    "READONLY": ("is a read-only replica", "name the primary in the URL of the sink"),
    "WRONGPASS": ("does not accept this user or password", "put the right ones into the URL of the sink"),
    "NOAUTH": ("asks for a password", "put it into the URL of the sink: redis://:PASSWORD@HOST:PORT/0"),
    "NOPERM": (
        "does not let this user do that",
        "allow it @read, @write and @scripting on the keys asynq:*, for example ACL SETUSER NAME ~asynq:* +@all",
    ),
    "MOVED": ("is a node of a cluster that keeps these keys elsewhere", "name a Redis that is not a cluster"),
    "CROSSSLOT": ("is a node of a cluster that keeps these keys elsewhere", "name a Redis that is not a cluster"),
    "WRONGTYPE": (
        "has other data under the name of a queue",
        "name the database that the workers use, or another queue",
    ),
    "NOREPLICAS": ("has not enough replicas to take changes", "see min-replicas-to-write of this Redis"),
}
_BY_TEXT: Final = (  # where the answer begins with ERR only
    ("DB index is out of range", "has no database of this number", "name one that exists: 0 to 15 unless changed"),
    ("invalid DB index", "has no database of this number", "name one that exists: 0 to 15 unless changed"),
    ("SELECT is not allowed", "is a node of a cluster, which has database 0 only", "name a Redis without a cluster"),
    ("without any password configured", "has no password set", "leave the password out of the URL of the sink"),
    ("unknown command", "does not know a command that is needed", "Redis 4 or newer is needed"),
)
_NO_TLS = "If this Redis speaks no TLS on this port, write redis:// instead of rediss://"
_FULL = "max number of clients reached"


def address(url: str) -> str:
    """A URL as it may be shown: without user, password and options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        hint = f"write it as redis://HOST:{PORT}/0, an IPv6 address as redis://[ADDRESS]:{PORT}/0"
        raise BadSetting("the URL of the Redis cannot be understood", hint=hint) from None
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        hint = f"write it as redis://HOST:{PORT}/0; there are {known}"
        raise BadSetting(f"the URL of the Redis begins with none of {known}", hint=hint)
    if "@" in parts.path + parts.query + parts.fragment:  # what stands before it may be half of a password
        hint = "write / as %2F, # as %23, ? as %3F and @ as %40 in user and password"
        raise BadSetting("the URL of the Redis cannot be understood: it has an @ after its host", hint=hint)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    try:
        port = parts.port or PORT
    except ValueError:
        hint = f"write it as redis://HOST:{PORT}/0; special characters in a password as %2F, %23, %3A, %40"
        raise BadSetting("the URL of the Redis has no number as its port", hint=hint) from None
    host = parts.hostname or "localhost"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{parts.path.rstrip('/')}"


def told(error: BaseException, where: str) -> SinkUnreachable | SinkRefused:
    """What the driver raised, as the error that the relay understands."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ssl.SSLError) or isinstance(error.__context__, ssl.SSLError):
        return _of_tls(error, where)
    word, text = _word(error), str(error)
    for table, family in ((_WAITS, SinkUnreachable), (_REFUSALS, SinkRefused)):
        if word in table:
            what, hint = table[word]
            return family(f"Redis at {where} {what}", hint=hint)
    for piece, what, hint in _BY_TEXT:
        if piece in text:
            return SinkRefused(f"Redis at {where} {what}", hint=hint)
    if _FULL in text:
        return SinkUnreachable(f"Redis at {where} has as many clients as it allows", hint="raise its maxclients")
    if "ResponseError" in names:
        return SinkRefused(f"Redis at {where} refuses: {text}", hint="see the log of this Redis")
    if "InvalidResponse" in names:
        return SinkRefused(f"what answers at {where} is no Redis", hint="see host and port in the URL of the sink")
    return _of_connection(error, where)


def _word(error: BaseException) -> str:
    """The word that an answer of Redis began with; the driver cuts some off and keeps it as ``status_code``."""
    code = getattr(error, "status_code", None)
    if isinstance(code, str) and code != "ERR":
        return code
    return str(error).partition(" ")[0].lstrip("-")


def _of_tls(error: BaseException, where: str) -> SinkUnreachable | SinkRefused:
    cause = error if isinstance(error, ssl.SSLError) else error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "name the host as the certificate does; a private authority as ?ssl_ca_certs=/path/of/ca.pem in the URL"
        return SinkRefused(f"the certificate of Redis at {where} is not valid: {cause.verify_message}", hint=hint)
    reason = getattr(cause, "reason", None) or "the handshake failed"
    if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
        return SinkRefused(f"what answers at {where} speaks no TLS", hint=_NO_TLS)
    return SinkUnreachable(f"no TLS with Redis at {where}: {str(reason).replace('_', ' ').lower()}", hint=_NO_TLS)


def _of_connection(error: BaseException, where: str) -> SinkUnreachable | SinkRefused:
    cause = error if isinstance(error, OSError) else error.__context__
    if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
        hint = "is it stopped, or is a firewall between? It is tried again"
        if where.startswith("rediss:"):  # a Redis without TLS waits for the end of what it takes for a line
            hint = f"is it stopped? {_NO_TLS}. It is tried again"
        return SinkUnreachable(f"Redis at {where} does not answer in time", hint=hint)
    if isinstance(cause, socket.gaierror):
        hint = "see the host in the URL of the sink, and the name server of this machine"
        return SinkUnreachable(f"the host of Redis at {where} is not found: {cause.strerror}", hint=hint)
    if isinstance(cause, ConnectionRefusedError):
        hint = "is it running, and does it listen on this address? It is tried again"
        return SinkUnreachable(f"Redis at {where} refuses the connection", hint=hint)
    if isinstance(cause, PermissionError):
        hint = "give the user of this service access to the socket"
        return SinkRefused(f"no access to Redis at {where}", hint=hint)
    if isinstance(cause, FileNotFoundError):
        hint = "is Redis running, and is unixsocket set in its configuration? It is tried again"
        return SinkUnreachable(f"there is no socket of Redis at {where}", hint=hint)
    if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ConnectionError):
        return SinkUnreachable(f"no connection to Redis at {where}: {cause.strerror}", hint="it is tried again")
    hint = "did it restart? If it speaks TLS on this port, write rediss:// in the URL of the sink. It is tried again"
    return SinkUnreachable(f"Redis at {where} closed the connection", hint=hint)
