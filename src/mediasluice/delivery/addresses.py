"""Decide which addresses of a network a webhook may reach, and connect to one of those and to no other.

A name is resolved for each connection, every address that it has is judged, and the connection goes to an address that
was judged: a name that means something else a moment later leads nowhere. An address that carries another one (mapped,
6to4, NAT64, Teredo) is judged by both. Never reached: link-local, multicast, unspecified and reserved addresses, and
those at which clouds tell machines their secrets. Private ones and this machine: on request.

Takes host and port, and until when it may take; gives a socket. The clock comes in: seconds that never go back.
Fails with: SinkRefused (no address may be reached), SinkUnreachable (none is known, none answers in time).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import queue
import selectors
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from mediasluice.errors import SinkRefused, SinkUnreachable

_NETWORK = ipaddress.ip_network
_NEVER = {
    _NETWORK(network): why
    for network, why in {
        "0.0.0.0/8": "unspecified",
        "::/128": "unspecified",
        "169.254.0.0/16": "link-local",  # among them 169.254.169.254, 169.254.170.2: secrets of clouds
        "fe80::/10": "link-local",
        "224.0.0.0/4": "multicast",
        "ff00::/8": "multicast",
        "240.0.0.0/4": "reserved",  # and broadcast
        "fd00:ec2::254/128": "the metadata of a cloud",  # Amazon
        "fd00:ec2::23/128": "the metadata of a cloud",
        "fd20:ce::254/128": "the metadata of a cloud",  # Google
        "100.100.100.200/32": "the metadata of a cloud",  # Alibaba
        "168.63.129.16/32": "the metadata of a cloud",  # Azure
        "192.0.0.192/32": "the metadata of a cloud",  # Oracle
    }.items()
}
_NAT64 = (_NETWORK("64:ff9b::/96"), _NETWORK("64:ff9b:1::/48"))
_COMPATIBLE = _NETWORK("::/96")
TICK_S = 0.2  # chosen: how soon it is noticed that nobody waits any more
_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)})
_MOST = 16  # addresses of a name that are tried, chosen: more are a mistake

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[..., Sequence[tuple[Any, ...]]]  # as socket.getaddrinfo


class Found(NamedTuple):
    """One address of a name, as the system tells it."""

    family: int
    place: tuple[Any, ...]  # for connect
    address: Address


def blocked(address: Address, *, allow_private: bool) -> str | None:
    """Why an address must not be reached; ``None``: it may be."""
    for one in (address, *_carried(address)):
        for network, why in _NEVER.items():
            if one.version == network.version and one in network:
                return why
        if not allow_private and not one.is_global:
            return "this machine" if one.is_loopback else "private"
    return None


def _carried(address: Address) -> Iterator[Address]:
    """Addresses of the old protocol that one of the new protocol leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


class Wanted(NamedTuple):
    """Where a connection is to lead."""

    host: str
    port: int
    allow_private: bool


def connect(
    wanted: Wanted,
    end_s: float,
    clock: Callable[[], float],
    *,
    is_ended: Callable[[], bool] = lambda: False,
    resolve: Resolve = socket.getaddrinfo,
) -> socket.socket:
    """A connection to an address of this name that may be reached. Given up at ``end_s``, or when ``is_ended``."""
    host, port, allow_private = wanted

    def left_s() -> float:
        if is_ended():
            raise SinkUnreachable(f"{host}:{port}: the delivery was ended", hint="it is made again")
        return end_s - clock()

    reachable, why = [], ""
    for found in _looked_up(host, port, left_s, resolve):
        reason = blocked(found.address, allow_private=allow_private)
        if reason is None:
            reachable.append(found)
        else:
            why = why or f"{found.address} is {reason}"
    if not reachable:
        hint = "if it is yours, set allow_private: true for this sink"
        if not why.endswith(("private", "this machine")):
            hint = "name a host whose address can be reached from elsewhere; there is no switch for this one"
        raise SinkRefused(f"{host} is not asked: {why}", hint=hint)
    last = "no answer in time"
    for place, found in enumerate(reachable):
        share_s = left_s() / (len(reachable) - place)
        if share_s <= 0:
            break
        try:
            return _connected(found, clock() + share_s, clock, left_s)
        except OSError as error:
            last = reason_of(error)
    raise SinkUnreachable(f"{host}:{port}: {last}", hint=f"see that {host} runs and that this machine reaches it")


def _connected(found: Found, end_s: float, clock: Callable[[], float], left_s: Callable[[], float]) -> socket.socket:
    connection = socket.socket(found.family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        code = connection.connect_ex(found.place)
        if code in _UNDER_WAY:
            while not is_ready(connection, selectors.EVENT_WRITE, TICK_S):
                left_s()
                if clock() >= end_s:
                    raise TimeoutError
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def is_ready(connection: socket.socket, what: int, timeout_s: float) -> bool:
    """Whether a socket can be read from or written to, or has failed."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, what)
        return bool(selector.select(timeout_s))


def _looked_up(host: str, port: int, left_s: Callable[[], float], resolve: Resolve) -> list[Found]:
    """Every address of a name. In a thread: the system waits for name servers as long as it likes."""
    answer: queue.SimpleQueue[Sequence[tuple[Any, ...]] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(resolve(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:  # the latter: a label that is empty or too long
            answer.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    hint = f"see that the name is right and that name servers answer: getent hosts {host}"
    found = None
    while found is None and (rest_s := left_s()) > 0:
        with suppress(queue.Empty):
            found = answer.get(timeout=min(TICK_S, rest_s))
    if found is None:
        raise SinkUnreachable(f"{host}: no name server answers in time", hint=hint)
    if isinstance(found, Exception):
        why = found.strerror if isinstance(found, OSError) and found.strerror else str(found)
        raise SinkUnreachable(f"{host}: its address is not known: {why}", hint=hint)
    places = {row[4]: row[0] for row in found}
    return [Found(family, place, ipaddress.ip_address(place[0])) for place, family in [*places.items()][:_MOST]]


def reason_of(error: OSError) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error) or type(error).__name__).lower()
