"""Read a file from its first to its last byte, once, and digest what was read.

Takes an open descriptor of a regular file and the size [bytes] that it is expected to have; reads by offset, so
the position of the descriptor does not matter. Gives raw digests. One buffer serves the process, whatever the
size of a file: not for two threads at once.
Fails with: Unreadable when the system refuses the bytes, Vanished when a file server has lost the file,
ChangedWhileReading when there are fewer or more bytes than expected. A file that could not be read whole never
gets a digest.
Source: BLAKE3, XXH3 and FIPS 180-4 as published; ``sample_hash`` is the definition of the agents' wire protocol.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3
from xxhash import xxh3_128, xxh3_128_digest, xxh64

from mediasluice.errors import BadSetting, ChangedWhileReading, FileError, Unreadable, Vanished
from mediasluice.model.files import Digests

if TYPE_CHECKING:
    import hashlib

BUFFER = 256 << 10  # bytes; measured: 7 GB/s through both digests; larger ones gain nothing and fall out of the cache
SAMPLE = 16 << 10  # bytes of each sample of a quick digest; chosen: one read-ahead of a disk
WHOLE = 3 * SAMPLE  # bytes up to which a quick digest covers the whole file
PROGRESS_STEP = 64 << 20  # bytes between two calls of ``progress``; chosen: some ten calls a second on a fast disk
ALWAYS = frozenset({"blake3", "xxh128"})

_buffer = bytearray(BUFFER)
_view = memoryview(_buffer)


class Reading(NamedTuple):
    """What one pass over a file gave."""

    digests: Digests
    quick: bytes  # 16 bytes, see quick()
    length: int  # bytes read


def read(
    fd: int,
    size: int,
    algorithms: frozenset[str] = ALWAYS,
    progress: Callable[[int], None] | None = None,
) -> Reading:
    """Digest the whole file in one pass: BLAKE3 and XXH3-128 always, sha256, md5 and sha1 where they are asked for.

    ``progress`` gets the number of bytes read so far, about every PROGRESS_STEP and at the end.
    """
    extra = {} if algorithms is ALWAYS else _extra(algorithms)
    if size <= WHOLE and not extra and progress is None:  # most files of most libraries; worth 2 us each
        chunk = next(_chunks(fd, size), b"")
        if len(chunk) == size:
            xxh128 = xxh3_128_digest(chunk)
            return Reading(Digests(blake3(chunk).digest(), xxh128), xxh128, size)
    content, fast = blake3(), xxh3_128()
    updates = [content.update, fast.update, *(digest.update for digest in extra.values())]
    samples = bytearray(WHOLE)
    starts = _sample_starts(size)
    offset, report_at = 0, PROGRESS_STEP
    for chunk in _chunks(fd, size):
        for update in updates:
            update(chunk)
        _copy_samples(chunk, offset, starts, samples)
        offset += len(chunk)
        if progress is not None and (offset >= report_at or offset == size):
            progress(offset)
            report_at = offset + PROGRESS_STEP
    digests = Digests(content.digest(), fast.digest(), **{name: digest.digest() for name, digest in extra.items()})
    return Reading(digests, digests.xxh128 if size <= WHOLE else xxh3_128_digest(samples, size), offset)


def of_bytes(data: bytes) -> tuple[bytes, bytes]:
    """BLAKE3 and XXH3-128 of a small file that was read whole; up to WHOLE bytes the latter is its quick digest."""
    return blake3(data).digest(), xxh3_128_digest(data)


def content(fd: int, size: int) -> bytes:
    """BLAKE3 of the whole file and nothing else: 32 bytes."""
    digest = blake3()
    for chunk in _chunks(fd, size):
        digest.update(chunk)
    return digest.digest()


def quick(fd: int, size: int) -> bytes:
    """XXH3-128 of the whole file up to WHOLE bytes; of larger ones, seeded with the size, over three samples.

    The samples are the first SAMPLE bytes, as many from the last 4 KiB boundary before the middle, and the last ones.
    Equal quick digests are a reason to read both files, never to call them equal.
    """
    if size <= WHOLE:
        return xxh3_128_digest(fill(fd, _view[:size], 0))
    for number, start in enumerate(_sample_starts(size)):
        fill(fd, _view[number * SAMPLE : (number + 1) * SAMPLE], start)
    return xxh3_128_digest(_view[:WHOLE], size)


def sample_hash(algorithm: str, fd: int, size: int, sample_size: int) -> str:
    """Digest, in hexadecimal, of the first, middle and last ``sample_size`` bytes, as agents send it.

    The middle is read only where the file is larger than one sample, the end only where it is larger than two.
    An empty file gives an empty text. ``algorithm`` is blake3, xxhash64 or sha256.
    """
    if sample_size < 1:
        raise BadSetting(f"a sample of {sample_size} bytes cannot be digested", hint="give at least 1")
    digest = _sample_digest(algorithm)
    if not size:
        return ""
    ranges = [(0, min(sample_size, size))]
    if size > sample_size:
        middle = max(0, size // 2 - sample_size // 2)
        ranges.append((middle, min(middle + sample_size, size)))
    if size > 2 * sample_size:
        ranges.append((size - sample_size, size))
    for start, end in ranges:
        for offset in range(start, end, BUFFER):
            digest.update(fill(fd, _view[: min(BUFFER, end - offset)], offset))
    return digest.hexdigest()


def fill(fd: int, view: memoryview, offset: int) -> memoryview:
    """Fill the view with the bytes at ``offset``, all of which must be there; return the view."""
    done = 0
    while done < len(view):
        length = _read_at(fd, view[done:], offset + done)
        if not length:
            raise _changed(offset + len(view), offset + done)
        done += length
    return view


def _sample_digest(algorithm: str) -> blake3 | xxh64 | hashlib._Hash:
    if algorithm == "blake3":
        return blake3()
    if algorithm == "xxhash64":
        return xxh64()
    if algorithm == "sha256":
        return _extra(frozenset({algorithm}))[algorithm]
    raise BadSetting(f"no sample digest {algorithm!r}", hint="one of: blake3, xxhash64, sha256")


def _extra(algorithms: frozenset[str]) -> dict[str, hashlib._Hash]:
    """Digests beyond the two that are always made; names as in Digests."""
    import hashlib  # noqa: PLC0415 - OpenSSL takes 3 ms to load, and most processes never need it

    unknown = algorithms - ALWAYS - {"sha256", "md5", "sha1"}
    if unknown:
        raise BadSetting(f"no digest {min(unknown)!r}", hint="one of: blake3, xxh128, sha256, md5, sha1")
    return {name: hashlib.new(name, usedforsecurity=False) for name in sorted(algorithms - ALWAYS)}


def _sample_starts(size: int) -> tuple[int, int, int]:
    """Offsets of the samples of a file larger than WHOLE."""
    return 0, (size >> 1) & ~4095, size - SAMPLE


def _copy_samples(chunk: memoryview, offset: int, starts: tuple[int, int, int], samples: bytearray) -> None:
    """Copy what of the samples lies in this chunk of the file, so that they need not be read a second time."""
    end = offset + len(chunk)
    for number, start in enumerate(starts):
        first, last = max(start, offset), min(start + SAMPLE, end)
        if first < last:
            into = number * SAMPLE - start
            samples[into + first : into + last] = chunk[first - offset : last - offset]


def _chunks(fd: int, size: int) -> Iterator[memoryview]:
    """The file in pieces of at most BUFFER bytes; each is valid until the next one is asked for."""
    offset = 0
    while offset < size:
        length = _read_at(fd, _view, offset)
        offset += length
        if not length or offset > size:
            raise _changed(size, offset)
        yield _view[:length]


def _read_at(fd: int, view: memoryview, offset: int) -> int:
    try:
        return _positioned(fd, view, offset)
    except OSError as error:
        raise _refused(error) from error


def _preadv(fd: int, view: memoryview, offset: int) -> int:
    return os.preadv(fd, (view,), offset)


def _seek_and_read(fd: int, view: memoryview, offset: int) -> int:
    """For systems without preadv."""
    os.lseek(fd, offset, os.SEEK_SET)
    data = os.read(fd, len(view))
    view[: len(data)] = data
    return len(data)


_positioned = _preadv if hasattr(os, "preadv") else _seek_and_read


def _changed(expected: int, found: int) -> ChangedWhileReading:
    return ChangedWhileReading(f"changed while it was read: {found} bytes where {expected} were expected")


def _refused(error: OSError) -> FileError:
    reason = error.strerror or "input/output error"
    # ESTALE: the server replaced or removed the file behind our descriptor; reading it again can only fail again.
    return (
        Vanished(f"gone while it was read: {reason}")
        if error.errno == errno.ESTALE
        else Unreadable(f"cannot be read: {reason}")
    )
