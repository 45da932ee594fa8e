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
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from mediasluice.errors import ChangedWhileReading, FileError, Vanished
from mediasluice.identify import digests
from mediasluice.identify.junk import JunkRules
from mediasluice.identify.kind import kind_of
from mediasluice.model.files import in_range
from mediasluice.model.paths import is_inside
from mediasluice.model.roots import RootIdentity
from mediasluice.pipeline.gates import NameGate
from mediasluice.pipeline.outcomes import (
    BULK_SIZE,
    HEAD_SIZE,
    Code,
    Spec,
)
from mediasluice.settle.decide import Arrival, Options, Timing, Wait, WaitReason, decide, rest_s
from mediasluice.settle.names import companions
from mediasluice.settle.probes import Evidence, Writer, is_free_at_last, probe, writer_of
from mediasluice.sources.birth import birth_ns
from mediasluice.sources.listing import Reader, list_directory
from mediasluice.sources.mounts import mount_of
from mediasluice.sources.names import NameRules
from mediasluice.sources.opening import open_directory, refusal, target_of
from mediasluice.sources.roots import bare_points, check_root, lost_mounts, mounts_inside

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
Outcome: TypeAlias = tuple[Any, ...]
"""See ``outcomes.Code``: the code and its fields."""

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


def list_directories(payload: tuple[Any, ...]) -> list[Outcome]:
    """List directories and compare each with its known signature.

    ``payload``: ``(spec, number of the pass, [(directory, known signature, trusted time), ...])``, the last two
    may be None. A directory whose own modification time [ns] equals its trusted time is not listed. Gives a tuple each:
    ``(LISTED, *Listing)``, ``(SAME, directory)``, ``(GONE, directory)`` or ``(UNREADABLE, directory, reason)``.
    """
    raw, number, wanted = payload
    spec = Spec(*raw)
    device = _device(spec.root)
    return [_list(spec, number, directory, device, known, trusted_ns) for directory, known, trusted_ns in wanted]


def _list(
    spec: Spec,
    number: int,
    directory: bytes,
    device: int | None,
    known: bytes | None = None,
    trusted_ns: int | None = None,
    read: Reader | None = None,
) -> Outcome:
    try:
        if trusted_ns is not None and _modified_ns(spec.root, directory) == trusted_ns:
            return (Code.SAME, directory)
        listing = list_directory(
            spec.root,
            directory,
            _rules(spec, number),
            _mix(known, spec.rules_digest),
            stable_inodes=spec.stable_inodes,
            device=device,
            follow_files=spec.follow_files,
            read=read,
        )
    except Vanished:
        return (Code.GONE, directory)
    except FileError as error:
        return (Code.UNREADABLE, directory, error.message)
    return (Code.LISTED, listing[0], _mix(listing[1], spec.rules_digest), *listing[2:])


def take_directories(payload: tuple[Any, ...]) -> list[Outcome]:
    """List new directories and read at once the small files that are at rest in them.

    ``payload``: ``(spec, number of the pass, [directory, ...])``. Gives for each ``(TAKEN, directory, signature,
    mtime_ns, subdirectories, files, size, ignored names, names that could not be judged, unread, read, rest)``, where
    unread holds ``(name, key, links, state, reason)``, read holds :data:`~mediasluice.pipeline.scans.Taken` and
    rest holds ``(name, key)`` of files that need a longer look; or ``GONE`` and ``UNREADABLE`` as above.
    """
    raw, number, wanted = payload
    spec = Spec(*raw)
    ground = _Ground(spec)
    return [_take(ground, number, directory) for directory in wanted]


def _take(ground: _Ground, number: int, directory: bytes) -> Outcome:
    spec = ground.spec
    names = NameGate(_junk(spec), spec.stale_after_s, directory)
    taken: dict[bytes, tuple[str, bytes, bytes, int | None]] = {}

    def read(holder: int, own: os.stat_result, wanted: list[bytes], others: list[bytes]) -> dict[bytes, os.stat_result]:
        gate = _Gate(ground.under(holder, own), holder, directory, None, express=False, mind_companions=False)
        # Beside a temporary name a file may be unfinished although it looks complete: the longer look minds that.
        if not gate.may_be_at_rest or any(map(names.held, wanted)) or any(map(names.held, others)):
            return {}
        return gate.take(wanted, taken)

    listed = _list(spec, number, directory, ground.device, read=read)
    if listed[0] != Code.LISTED:
        return listed
    _, _, signature, _, mtime_ns, below, entries, files, size, ignored, _, errors = listed
    unread: list[tuple[Any, ...]] = []
    ready: list[tuple[Any, ...]] = []
    rest: list[tuple[bytes, tuple[int, int, int, int]]] = []
    for name, length, modified, changed, ino, links in entries:
        key = (ino, length, modified, changed)
        values = taken.get(name)
        if values is not None and names.junk(name) is None:  # nothing was taken where a name is held
            ready.append((name, key, links, *values))
        elif (reason := names.unread(name, key)) is not None:
            unread.append((name, key, links, reason[0].value, reason[1]))
        else:
            rest.append((name, key))
    return (Code.TAKEN, directory, signature, mtime_ns, below, files, size, ignored, len(errors), unread, ready, rest)


@lru_cache(maxsize=64)
def _junk(spec: Spec) -> JunkRules:
    return JunkRules(spec.junk, spec.junk_exclude_extensions)


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
        return in_range(os.fstat(holder).st_mtime_ns)
    finally:
        os.close(holder)


def which_are_absent(payload: tuple[Any, ...]) -> list[bool]:
    """Say of each path whether it is really not there, as a file, under the root that is meant.

    ``payload``: ``(spec, (file system, inode) of the root, [(mount point, file system, inode), ...] of what is known
    to be mounted inside it, whether a person agreed that everything may be gone, [(directory, name), ...])``.
    """
    raw, (filesystem, ino), known, is_agreed, names = payload
    spec = Spec(*raw)
    answers = [_is_absent(spec, directory, name) for directory, name in names]
    # Asked last: what went away while it was looked at must not make its files look deleted.
    if not check_root(spec.root, RootIdentity(filesystem, ino), had_files=False).online:
        return [False] * len(names)
    mounts, found = {point: RootIdentity(*what) for point, *what in known}, mounts_inside(spec.root)
    lost = lost_mounts(mounts, found) | (found.keys() - mounts.keys())
    if not is_agreed:
        lost |= bare_points(spec.root)
    if lost:
        return [
            answer and not any(is_inside(directory, point) for point in lost)
            for answer, (directory, _) in zip(answers, names, strict=True)
        ]
    return answers


def what_is_mounted(payload: tuple[Any, ...]) -> tuple[list[tuple[bytes, bytes, int]], list[bytes]]:
    """Say what is mounted inside a root, and where nothing is to be seen. ``payload``: ``(root,)``.

    Gives ``(mount point, file system, inode)`` of each mount, and the :func:`bare_points`.
    """
    root = payload[0]
    found = [(point, what.filesystem, what.ino) for point, what in mounts_inside(root).items()]
    return found, list(bare_points(root))


def is_there(payload: tuple[Any, ...], progress: Callable[[int], None]) -> tuple[bool, str | None, Any]:
    """Ask whether a root and what is mounted inside it answer, and whether the root is the known one.

    ``payload``: ``(root, its (file system, inode) or None, whether it had files, [mount point, ...])``, absolute paths.
    Tells before each mount point which one it is about to ask. Gives the fields of a ``RootCheck``.
    """
    root, known, had_files, points = payload
    check = check_root(root, None if known is None else RootIdentity(*known), had_files=had_files)
    for number, point in enumerate(points if check.online else ()):
        progress(number)
        with suppress(OSError), os.scandir(point):  # what does not show what it did is found by a pass
            pass
    found = check.identity
    return check.online, check.reason, None if found is None else (found.filesystem, found.ino)


def _is_absent(spec: Spec, directory: bytes, name: bytes) -> bool:
    try:
        holder = _open(spec.root, directory)
    except Vanished:
        return True
    except FileError:
        return False  # cannot tell: never take that for a deletion
    try:
        mode = os.stat(name, dir_fd=holder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return True
    except OSError:
        return False  # cannot tell
    else:  # a directory, a link or a FIFO that took its name is not that file
        return not (stat.S_ISREG(mode) or (spec.follow_files and stat.S_ISLNK(mode)))
    finally:
        os.close(holder)


def look_at_files(payload: tuple[Any, ...], progress: Callable[[int], None] | None = None) -> list[Outcome]:
    """Look at candidates; read those that have settled.

    ``payload``: ``(spec, express, [(directory, mind companions, [look, ...]), ...])`` with looks as in
    :class:`~mediasluice.pipeline.outcomes.Look`. Gives one outcome tuple per look, in order.
    """
    raw, express, groups = payload
    spec = Spec(*raw)
    ground = _Ground(spec)
    outcomes: list[Outcome] = []
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
            here = ground.under(holder, os.fstat(holder))
            gate = _Gate(here, holder, directory, progress, express=express, mind_companions=mind_companions)
            outcomes.extend([gate.look(look) for look in looks])
        finally:
            os.close(holder)
    return outcomes


class _Ground:
    """What may be believed of files where they lie: another file system may be mounted inside the root."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.device = _device(spec.root)
        self._others: dict[int, Spec] = {}

    def under(self, holder: int, own: os.stat_result) -> Spec:
        """The root's spec, as it holds for the directory that is open as ``holder`` and has this status."""
        device = own.st_dev
        if device == self.device:
            return self.spec
        if device not in self._others:
            spec, mount = self.spec, mount_of(holder)
            self._others[device] = spec._replace(
                lease_proves_free=mount.lease_proves_free,
                lease_proves_busy=mount.lease_proves_busy,
                stable_inodes=False,  # its numbers begin anew: they are not those of the root
                local=mount.events_complete,
            )
        return self._others[device]


def _device(root: bytes) -> int | None:
    """The device of a root; ``None`` where it is out of reach."""
    try:
        return os.stat(root).st_dev
    except OSError:
        return None


class _Gate:
    """The settle gate and the reader over the files of one directory."""

    def __init__(
        self,
        spec: Spec,
        holder: int,
        directory: bytes,
        progress: Callable[[int], None] | None,
        *,
        express: bool,
        mind_companions: bool,
    ) -> None:
        self._spec = spec
        self._options = _options(spec)
        self._holder = holder  # descriptor of the directory
        self._directory = directory
        self._progress = progress
        self._express = express
        self._mind_companions = mind_companions
        self._algorithms = spec.algorithms_set
        # what a file of a pass must be to go the short way
        self._rested_ns = time.time_ns() - int(rest_s(self._options, 0.0) * 1e9)
        self.may_be_at_rest = (
            spec.lease_proves_free and spec.local and spec.stable_inodes and self._algorithms is digests.ALWAYS
        )

    def look(self, look: tuple[Any, ...]) -> Outcome:
        """Look at one file; see ``outcomes.Look`` for what is known of it."""
        name, _, _, _, _, last_key, _, stat_only = look
        try:
            if last_key is None or stat_only:  # not fresh from a listing: see what it is before opening it
                status = os.stat(name, dir_fd=self._holder, follow_symlinks=False)
                if stat_only:
                    return self._what_it_is(name, status)
                if not stat.S_ISREG(status.st_mode) and not (self._spec.follow_files and stat.S_ISLNK(status.st_mode)):
                    return (Code.SPECIAL,)
            fd = os.open(name, _FLAGS, dir_fd=self._holder)
        except OSError as error:
            opened = self._refused(name, error)
            if not isinstance(opened, int):
                return opened
            fd = opened
        try:
            return self._read_if_settled(fd, look)
        except FileError as error:
            return (Code.UNREADABLE, error.message, self._key(os.fstat(fd)), os.fstat(fd).st_nlink)
        except OSError as error:  # EIO and its kin while probing
            return self._unreadable(name, os.strerror(error.errno or 0))
        finally:
            os.close(fd)

    def _what_it_is(self, name: bytes, status: os.stat_result) -> Outcome:
        """Its key, and whether somebody is writing it, for a file that is not to be read."""
        is_regular, is_busy = stat.S_ISREG(status.st_mode), False
        if is_regular:
            try:
                fd = os.open(name, _FLAGS, dir_fd=self._holder)
            except OSError:
                pass  # a file that is not read needs no permission to be noted
            else:
                is_busy = self._writer(fd) is Writer.BUSY
                os.close(fd)
        return (Code.STATUS, self._key(status), status.st_nlink, is_regular, is_busy)

    def _writer(self, fd: int) -> Writer:
        """Whether somebody writes it, where a lease can tell."""
        return writer_of(fd) if self._spec.lease_proves_busy else Writer.UNKNOWN

    def _refused(self, name: bytes, error: OSError) -> Outcome | int:
        """A file that could not be opened as it is: its outcome, or the descriptor of what a link leads to."""
        if error.errno == errno.ENOENT:
            return (Code.GONE,)
        if error.errno == errno.ELOOP and self._spec.follow_files:
            target = target_of(self._spec.root, self._directory, name)
            try:
                return (Code.SPECIAL,) if target is None else os.open(target, _FLAGS)
            except OSError:
                return (Code.SPECIAL,)
        if error.errno in _NOT_A_FILE:
            return (Code.SPECIAL,)
        if error.errno == errno.EAGAIN:  # a file server on this machine holds it for a client that writes
            try:
                return self._changed(os.stat(name, dir_fd=self._holder, follow_symlinks=False))
            except FileNotFoundError:
                return (Code.GONE,)
        return self._unreadable(name, os.strerror(error.errno or 0))

    def take(
        self, names: list[bytes], taken: dict[bytes, tuple[str, bytes, bytes, int | None]]
    ) -> dict[bytes, os.stat_result]:
        """Read small files of a library at rest with as few calls as the gate allows.

        Most files of a first pass are like this: untouched for long, and nobody writes. Then neither holes nor format
        can delay them, and their bytes are read once for kind and digests. What passes goes into ``taken``, as kind,
        BLAKE3, XXH3-128 and birth time by name; the others need a longer look. Gives the status of all that opened.
        """
        statuses: dict[bytes, os.stat_result] = {}
        spec, holder, rested_ns, most = self._spec, self._holder, self._rested_ns, digests.WHOLE
        for name in names:
            try:
                fd = os.open(name, _FLAGS, dir_fd=holder)
            except OSError:
                continue  # the longer look says what is wrong
            try:
                data = os.read(fd, most + 1)
                is_free = is_free_at_last(fd)
                status = os.fstat(fd)
                born_ns = birth_ns(fd, status)
            except OSError:
                continue
            finally:
                os.close(fd)
            if not stat.S_ISREG(status.st_mode):
                continue
            statuses[name] = status
            # Not touched for a minute, so it was not while it was read either; and it is all of it.
            if not is_free or status.st_ctime_ns > rested_ns or not 0 < status.st_size == len(data) <= most:
                continue
            if spec.max_size is not None and status.st_size > spec.max_size:
                continue
            kind = kind_of(data[:HEAD_SIZE], name).value
            if not spec.kinds or kind in spec.kinds:
                taken[name] = (kind, *digests.of_bytes(data), born_ns)
        return statuses

    def _read_if_settled(self, fd: int, look: tuple[Any, ...]) -> Outcome:
        name, _, _, _, _, _, known, _ = look
        spec = self._spec
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return (Code.SPECIAL,)
        size, links, key = status.st_size, status.st_nlink, self._key(status)
        if known is not None and known == key[:3] and self._writer(fd) is not Writer.BUSY:
            return (Code.SAME, key, links)
        if size == 0:
            return (Code.WAIT, WaitReason.EMPTY.value, 0.0, (*key, links), None)
        if spec.max_size is not None and size > spec.max_size:
            return (Code.SKIP, f"too_large: {size} bytes, the library takes at most {spec.max_size}", key, links)
        head = os.pread(fd, HEAD_SIZE, 0)
        evidence = probe(
            fd,
            status,
            head,
            lease_proves_free=spec.lease_proves_free,
            lease_proves_busy=spec.lease_proves_busy,
            stable_inodes=spec.stable_inodes,
        )
        if self._mind_companions and (companion := _companion(self._holder, name)) is not None:
            return (Code.WAIT, WaitReason.COMPANION.value, 0.0, (*key, links), companion)
        decision = decide(evidence, _timing(look, key), self._options)
        if isinstance(decision, Wait):
            return (Code.WAIT, decision.reason.value, decision.need_s, _plain(evidence), None)
        kind = kind_of(head, name)
        if spec.kinds and kind.value not in spec.kinds:
            return (Code.SKIP, f"kind: {kind.value} is not wanted by this library", key, links)
        if self._express and size > BULK_SIZE:
            return (Code.LARGE, _plain(evidence))
        return self._read(fd, key, kind.value, strong=decision.strong)

    def _read(self, fd: int, key: tuple[int, int, int, int], kind: str, *, strong: bool) -> Outcome:
        """Read what has settled, and make sure that it stayed so."""
        size = key[1]
        values: tuple[bytes | None, ...] | None = None
        if self._spec.full or size <= digests.WHOLE:
            try:
                reading = digests.read(fd, size, self._algorithms, self._progress if size > BULK_SIZE else None)
            except ChangedWhileReading:
                return self._changed(os.fstat(fd))
            quick, values = reading.quick, tuple(reading.digests)
        else:
            quick = digests.quick(fd, size)
        after = os.fstat(fd)
        if self._key(after) != key or (self._express and self._writer(fd) is Writer.BUSY):
            return self._changed(after)
        born_ns = birth_ns(fd, after) if key[0] else None  # without a stable inode it proves nothing
        return (Code.READY, key, after.st_nlink, strong, kind, quick, values, born_ns)

    def _changed(self, status: os.stat_result) -> Outcome:
        return (Code.WAIT, WaitReason.WRITER.value, 0.0, (*self._key(status), status.st_nlink), None)

    def _unreadable(self, name: bytes, reason: str) -> Outcome:
        try:
            status = os.stat(name, dir_fd=self._holder, follow_symlinks=False)
        except FileNotFoundError:
            return (Code.GONE,)
        except OSError:  # a broken disk or network: it may well be there
            return (Code.UNREADABLE, reason, None, 0)
        return (Code.UNREADABLE, reason, self._key(status), status.st_nlink)

    def _key(self, status: os.stat_result) -> tuple[int, int, int, int]:
        ino = status.st_ino if self._spec.stable_inodes else 0
        return (ino, status.st_size, in_range(status.st_mtime_ns), in_range(status.st_ctime_ns))


def _timing(look: tuple[Any, ...], key: tuple[int, int, int, int]) -> Timing:
    """What the clocks say of a file; a key that differs from the last one restarts them."""
    _, arrival, changed_s, observations, learned_s, last_key, _, _ = look
    changed = last_key is not None and last_key != key
    return Timing(
        arrival=_ARRIVALS[arrival],
        quiet_s=0.0 if changed else time.monotonic() - changed_s,
        age_s=max(0.0, time.time() - key[3] / 1e9),
        observations=1 if changed else observations + 1,
        learned_s=learned_s,
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
