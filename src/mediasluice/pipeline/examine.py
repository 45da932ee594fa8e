"""What a worker does with directories and files: list, look, and read what has settled.

Here the settle gate and the reader meet on one descriptor: a file is opened once, proven complete,
read, and checked again, so nothing can slip in between. Takes and gives plain tuples (they cross a
pipe); the parent's side of the same tuples is in ``pipeline/outcomes.py``.
Fails with: nothing. Every problem of one file is an outcome of that file.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mediasluice.errors import ChangedWhileReading, FileError, Vanished
from mediasluice.identify import digests
from mediasluice.identify.kind import kind_of
from mediasluice.pipeline.outcomes import (
    BULK_SIZE,
    HEAD_SIZE,
    Code,
    Spec,
)
from mediasluice.settle.decide import Arrival, Options, Timing, Wait, WaitReason, decide, rest_s
from mediasluice.settle.names import companions
from mediasluice.settle.probes import Evidence, Writer, probe, writer_of
from mediasluice.sources.listing import list_directory
from mediasluice.sources.names import NameRules
from mediasluice.sources.opening import open_directory, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO that took the file's name must not hang us
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_LISTED = int(Arrival.LISTED)
_ARRIVALS = {int(arrival): arrival for arrival in Arrival}
_NOT_A_FILE = {errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV, errno.EOPNOTSUPP}


@lru_cache(maxsize=64)
def _rules(spec: Spec, number: int) -> NameRules:  # noqa: ARG001 - a new pass reads ignore files anew
    return NameRules(spec.root, include=spec.include, exclude=spec.exclude, recursive=spec.recursive, own=spec.own)


@lru_cache(maxsize=256)
def _options(spec: Spec) -> Options:
    debounce_s, complete_s, unknown_s, truncated_s, network_s = spec.durations_s
    return Options(
        complete_s=complete_s,
        unknown_s=unknown_s,
        truncated_s=truncated_s,
        network_s=network_s,
        debounce_s=debounce_s,
        local=spec.local,
    )


def list_directories(payload: Any) -> list[tuple[Any, ...]]:
    """List directories and compare each with its known signature.

    ``payload``: ``(spec, number of the pass, [(directory, known signature or None, trusted time or None), ...])``. A directory
    whose own modification time [ns] equals its trusted time is not listed. Gives one tuple for each:
    ``(LISTED, *Listing)``, ``(SAME, directory)``, ``(GONE, directory)`` or ``(UNREADABLE, directory, reason)``.
    """
    raw, number, wanted = payload
    spec = Spec(*raw)
    rules = _rules(spec, number)
    answers: list[tuple[Any, ...]] = []
    for directory, known, trusted_ns in wanted:
        try:
            if trusted_ns is not None and _modified_ns(spec.root, directory) == trusted_ns:
                answers.append((Code.SAME, directory))
                continue
            listing = list_directory(
                spec.root,
                directory,
                rules,
                _mix(known, spec.rules_digest),
                stable_inodes=spec.stable_inodes,
                follow_files=spec.follow_files,
            )
        except Vanished:
            answers.append((Code.GONE, directory))
        except FileError as error:
            answers.append((Code.UNREADABLE, directory, error.message))
        else:
            answers.append((Code.LISTED, listing[0], _mix(listing[1], spec.rules_digest), *listing[2:]))
    return answers


def _mix(signature: bytes | None, rules: bytes) -> bytes | None:
    """Make the signature of a listing depend on the rules of what is read there; twice undoes it."""
    if signature is None:
        return None
    return (int.from_bytes(signature) ^ int.from_bytes(rules)).to_bytes(16)


def _open(root: bytes, directory: bytes) -> int:
    """Open a directory; raises Vanished or Unreadable."""
    try:
        return open_directory(root, directory)
    except OSError as error:
        raise refusal(error, directory) from error


def _modified_ns(root: bytes, directory: bytes) -> int:
    holder = _open(root, directory)
    try:
        return os.fstat(holder).st_mtime_ns
    finally:
        os.close(holder)


def which_are_absent(payload: Any) -> list[bool]:
    """Say of each path ``(root, [(directory, name), ...])`` whether it is really not there."""
    root, names = payload
    return [_is_absent(root, directory, name) for directory, name in names]


def _is_absent(root: bytes, directory: bytes, name: bytes) -> bool:
    try:
        holder = _open(root, directory)
    except Vanished:
        return True
    except FileError:
        return False  # cannot tell: never take that for a deletion
    try:
        os.stat(name, dir_fd=holder, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # cannot tell
    else:
        return False
    finally:
        os.close(holder)


def look_at_files(payload: Any, progress: Callable[[int], None] | None = None) -> list[tuple[Any, ...]]:
    """Look at candidates; read those that have settled.

    ``payload``: ``(spec, express, [(directory, mind companions, [look, ...]), ...])`` with looks as in
    :class:`~mediasluice.pipeline.outcomes.Look`. Gives one outcome tuple per look, in order.
    """
    raw, express, groups = payload
    spec = Spec(*raw)
    options = _options(spec)
    outcomes: list[tuple[Any, ...]] = []
    for directory, mind_companions, looks in groups:
        try:
            holder = _open(spec.root, directory)
        except Vanished:
            outcomes.extend([(Code.GONE,)] * len(looks))
            continue
        except FileError as error:
            outcomes.extend([(Code.UNREADABLE, error.message, None, 0)] * len(looks))
            continue
        try:
            for look in looks:
                outcomes.append(_look(spec, options, holder, directory, look, express, mind_companions, progress))
        finally:
            os.close(holder)
    return outcomes


def _look(
    spec: Spec,
    options: Options,
    holder: int,
    directory: bytes,
    look: tuple[Any, ...],
    express: bool,
    mind_companions: bool,
    progress: Callable[[int], None] | None,
) -> tuple[Any, ...]:
    name, arrival, changed_s, observations, learned_s, last_key, known, stat_only = look
    try:
        if last_key is None or stat_only:  # not fresh from a listing: see what it is before opening it
            status = os.stat(name, dir_fd=holder, follow_symlinks=False)
            if stat_only:
                return (Code.STATUS, _key(spec, status), status.st_nlink, stat.S_ISREG(status.st_mode))
            if not stat.S_ISREG(status.st_mode) and not (spec.follow_files and stat.S_ISLNK(status.st_mode)):
                return (Code.SPECIAL,)
        fd = os.open(name, _FLAGS, dir_fd=holder)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return (Code.GONE,)
        if error.errno == errno.ELOOP and spec.follow_files:
            target = _inside(spec.root, directory, name)
            if target is None:
                return (Code.SPECIAL,)
            try:
                fd = os.open(target, _FLAGS)
            except OSError:
                return (Code.SPECIAL,)
        elif error.errno in _NOT_A_FILE:
            return (Code.SPECIAL,)
        else:
            return _unreadable(spec, holder, name, os.strerror(error.errno or 0))
    try:
        return _read_if_settled(spec, options, holder, fd, look, express, mind_companions, progress)
    except FileError as error:
        return (Code.UNREADABLE, error.message, _key(spec, os.fstat(fd)), os.fstat(fd).st_nlink)
    except OSError as error:  # EIO and its kin while probing
        return _unreadable(spec, holder, name, os.strerror(error.errno or 0))
    finally:
        os.close(fd)


def _read_at_rest(spec: Spec, options: Options, fd: int, look: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Read a small file of a library at rest, with as few calls as the gate allows; ``None``: look closer.

    Most files of a first pass are like this: listed a moment ago, untouched for long, nobody writes. Then
    neither holes nor format can delay them, and their bytes are read once for kind and digests.
    """
    name, _, _, _, learned_s, last_key, _, _ = look
    size = last_key[1]
    if size > digests.WHOLE or spec.algorithms_set is not digests.ALWAYS or not spec.lease_proves_free:
        return None
    if time.time() - last_key[3] / 1e9 < rest_s(options, learned_s):
        return None
    before = _key(spec, os.fstat(fd))
    if before != last_key or (spec.max_size is not None and size > spec.max_size):
        return None
    data = os.read(fd, size + 1)
    if writer_of(fd) is not Writer.FREE or len(data) != size:
        return None
    kind = kind_of(data[:HEAD_SIZE], name)
    if spec.kinds and kind not in spec.kinds:
        return None
    blake3, xxh128 = digests.of_bytes(data)
    after = os.fstat(fd)
    if _key(spec, after) != before:
        return None
    return (Code.READY, before, after.st_nlink, False, str(kind.value), xxh128, (blake3, xxh128, None, None, None))


def _read_if_settled(
    spec: Spec,
    options: Options,
    holder: int,
    fd: int,
    look: tuple[Any, ...],
    express: bool,
    mind_companions: bool,
    progress: Callable[[int], None] | None,
) -> tuple[Any, ...]:
    name, arrival, changed_s, observations, learned_s, last_key, known, _ = look
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return (Code.SPECIAL,)
    size = status.st_size
    key = _key(spec, status)
    if known is not None and known == key[:3] and writer_of(fd) is not Writer.BUSY:
        return (Code.SAME, key, status.st_nlink)
    if size == 0:
        return (Code.WAIT, WaitReason.EMPTY.value, 0.0, (*key, status.st_nlink), None)
    if spec.max_size is not None and size > spec.max_size:
        return (Code.SKIP, f"too_large: {size} bytes, the library takes at most {spec.max_size}", key, status.st_nlink)
    head = os.pread(fd, HEAD_SIZE, 0)
    evidence = probe(fd, status, head, lease_proves_free=spec.lease_proves_free, stable_inodes=spec.stable_inodes)
    if mind_companions and (companion := _companion(holder, name)) is not None:
        return (Code.WAIT, WaitReason.COMPANION.value, 0.0, (*key, status.st_nlink), companion)
    now_s = time.monotonic()
    changed = last_key is not None and tuple(last_key) != key
    timing = Timing(
        arrival=_ARRIVALS[arrival],
        quiet_s=0.0 if changed else now_s - changed_s,
        age_s=max(0.0, time.time() - key[3] / 1e9),
        observations=1 if changed else observations + 1,
        learned_s=learned_s,
    )
    decision = decide(evidence, timing, options)
    if isinstance(decision, Wait):
        return (Code.WAIT, decision.reason.value, decision.need_s, _plain(evidence), None)
    kind = kind_of(head, name)
    if spec.kinds and kind.value not in spec.kinds:
        return (Code.SKIP, f"kind: {kind.value} is not wanted by this library", key, status.st_nlink)
    if express and size > BULK_SIZE:
        return (Code.LARGE, _plain(evidence))
    if spec.full or size <= digests.WHOLE:
        try:
            reading = digests.read(fd, size, spec.algorithms_set, progress if size > BULK_SIZE else None)
        except ChangedWhileReading:
            return (Code.WAIT, WaitReason.WRITER.value, 0.0, (*_key(spec, os.fstat(fd)), status.st_nlink), None)
        quick, values = reading.quick, tuple(reading.digests)
    else:
        quick, values = digests.quick(fd, size), None
    after = os.fstat(fd)
    if _key(spec, after) != key or (express and writer_of(fd) is Writer.BUSY):
        return (Code.WAIT, WaitReason.WRITER.value, 0.0, (*_key(spec, after), after.st_nlink), None)
    return (Code.READY, key, after.st_nlink, decision.strong, str(kind.value), quick, values)


def _key(spec: Spec, status: os.stat_result) -> tuple[int, int, int, int]:
    return (
        status.st_ino if spec.stable_inodes else 0,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _plain(evidence: Evidence) -> tuple[Any, ...]:
    """The evidence as a flat tuple: marshal refuses named tuples."""
    return (*evidence.key, evidence.links, int(evidence.writer), evidence.holes, int(evidence.format))


def _companion(holder: int, name: bytes) -> str | None:
    for companion in companions(name):
        try:
            os.stat(companion, dir_fd=holder, follow_symlinks=False)
        except OSError:
            continue
        return os.fsdecode(companion)
    return None


def _inside(root: bytes, directory: bytes, name: bytes) -> bytes | None:
    """Where a symbolic link leads, if that stays inside the root."""
    top = os.path.realpath(root)
    target = os.path.realpath(os.path.join(top, directory, name))
    return target if target.startswith(top + b"/") else None


def _unreadable(spec: Spec, holder: int, name: bytes, reason: str) -> tuple[Any, ...]:
    try:
        status = os.stat(name, dir_fd=holder, follow_symlinks=False)
    except OSError:
        return (Code.GONE,)
    return (Code.UNREADABLE, reason, _key(spec, status), status.st_nlink)
