"""How the service and its processes talk: values in frames, over pipes.

A frame is four bytes of length (little endian), then a ``marshal`` value: plain tuples, lists, numbers, text, bytes.
``marshal`` is used because both ends are the same interpreter and it costs a third of pickle.
Fails with: ``ValueError`` for a value that cannot be sent, and for bytes that are no frames; ``BrokenPipeError``.
"""

from __future__ import annotations

import marshal
import os
import struct
from collections.abc import Iterator
from typing import Any

LENGTH = struct.Struct("<I")


def packed(value: object) -> bytes:
    """The frame of a value."""
    body = marshal.dumps(value)  # type: ignore[arg-type] # tuples of plain values
    return LENGTH.pack(len(body)) + body


def read_frame(fd: int) -> Any:  # noqa: ANN401 - what marshal gives has no type
    """Read one frame; ``None`` when the other end is gone."""
    head = _read_exactly(fd, LENGTH.size)
    if head is None:
        return None
    body = _read_exactly(fd, LENGTH.unpack(head)[0])
    return None if body is None else marshal.loads(body)  # noqa: S302 - both ends are this program


def write_frame(fd: int, value: object) -> None:
    """Write one frame; raises ``BrokenPipeError`` when the other end is gone."""
    write_all(fd, packed(value))


def write_all(fd: int, data: bytes) -> None:
    """Write all of it; raises ``BrokenPipeError`` when the other end is gone."""
    view = memoryview(data)[os.write(fd, data) :]
    while view:
        view = view[os.write(fd, view) :]


def take_frames(buffer: bytearray, most: int) -> Iterator[Any]:
    """Take the values of all complete frames from the beginning of ``buffer``; none is longer than ``most`` bytes.

    Raises ``ValueError`` where somebody else's bytes came between: nothing after them can be understood.
    """
    start = 0
    try:
        while len(buffer) - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer, start)
            if length > most:
                raise ValueError(f"a frame of {length} bytes")
            end = start + LENGTH.size + length
            if end > len(buffer):
                break
            value = marshal.loads(buffer[start + LENGTH.size : end])  # noqa: S302 - the other end is this program too
            start = end
            yield value
    except (EOFError, TypeError) as error:  # marshal says it in three ways
        raise ValueError(f"no value of ours: {error}") from error
    finally:
        del buffer[:start]


def _read_exactly(fd: int, count: int) -> bytes | None:
    """Read exactly so many bytes; ``None`` at the end of the pipe."""
    data = os.read(fd, count)
    if len(data) == count:
        return data
    parts = [data]
    missing = count - len(data)
    while missing:
        if not data:
            return None
        data = os.read(fd, min(missing, 1 << 20))
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)
