"""The message of an Asynq task, byte for byte as Asynq's own client writes it.

Takes a ``Task``; gives the protocol buffer that stands in the field ``msg``: fields in ascending order, zero values
left out. Also the names of Asynq's keys in Redis. Time-outs are whole seconds. Fails with: UnicodeEncodeError (a text
that is not valid; texts of tasks are made by us, paths stand in the payload only).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

QUEUES = "asynq:queues"  # every queue that was ever used; the pages of Asynq list from it

_VARINT, _BYTES = 0, 2  # wire types
_MOST = (1 << 64) - 1  # negative numbers are written as their complement on 64 bits


class Task(NamedTuple):
    """What a worker is to do. The fields that only a worker fills in are not here: they are zero."""

    type: str
    payload: bytes
    id: str
    queue: str
    retry: int = 25  # times at most after the first
    timeout: int = 1800  # seconds; 0 with a deadline of 0 makes the worker complain
    deadline: int = 0  # seconds since the epoch; 0: none
    unique_key: str = ""  # the lock, as the key is called in Redis; "": none
    retention: int = 0  # seconds that a finished task is kept; 0: not at all


def encode(task: Task) -> bytes:
    """The bytes of a task."""
    return b"".join(
        (
            _text(1, task.type),
            _bytes(2, task.payload),
            _text(3, task.id),
            _text(4, task.queue),
            _number(5, task.retry),
            _number(8, task.timeout),
            _number(9, task.deadline),
            _text(10, task.unique_key),
            _number(12, task.retention),
        )
    )


def beginning(kind: str) -> bytes:
    """What every message of a type of task begins with, and no message of another one."""
    return _text(1, kind)


def prefix(queue: str) -> str:
    """What the names of all keys of a queue begin with; the braces keep them on one node of a cluster."""
    return f"asynq:{{{queue}}}:"


def lock(queue: str, kind: str, what: bytes) -> str:
    """The key that stands for "there is such a task already"; of Asynq's own client ``what`` is the payload."""
    digest = hashlib.md5(what, usedforsecurity=False).hexdigest()  # what Asynq's own client takes
    return f"{prefix(queue)}unique:{kind}:{digest}"


def _varint(number: int) -> bytes:
    number &= _MOST
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value) if value else b""


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value if value else b""


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
