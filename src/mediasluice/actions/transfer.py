"""Move the bytes of users: the only module that copies, links, renames or removes one of their files.

Takes steps that the journal holds already, with the change key and the digest that each file was judged by; gives
one :class:`Done` or :class:`Undone` for each, in order. A step either ends as asked, durable on both file systems, or
leaves everything as it was. Files of a batch go through the stages together, so that what is slow (a sync of a
directory) is done once for all of them:

    look ─> part ──> sync ──> place ──> sync ──> remove the original ──> sync
            (copies only)                                (moves only)

While a step is open, what is half carries its name: ``.sluice-<journal>-<step>.part`` beside the target,
``.src`` beside the source. :mod:`reconcile` ends what a crash has left.
Fails with: nothing; what the system refuses is the reason of an :class:`Undone`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mediasluice.actions.copying import AS_IT_IS, Differs, Owner, Stopped, check, copy, give
from mediasluice.actions.renaming import give_back, remove_name, rename_new
from mediasluice.model.files import ChangeKey, in_range
from mediasluice.model.imports import Mode
from mediasluice.settle.probes import Writer, writer_of


class Step(NamedTuple):
    """One file to be brought to one place. Paths are absolute; the key is compared as far as it is known."""

    id: int
    mode: Mode
    source: bytes
    target: bytes
    key: ChangeKey
    blake3: bytes
    follows: bool = False  # the source is a symbolic link: the file that it leads to is copied, and the link stays


class Why(StrEnum):
    """Why a step was not done, by what is to be done about it."""

    CHANGED = "changed"  # the source is not what was judged: look at it again
    GONE = "gone"  # the source is not there
    TAKEN = "taken"  # the target has a file: choose another name
    FULL = "full"  # no room (or quota): wait, then try again
    REFUSED = "refused"  # the system does not let us: wait for somebody, then try again
    UNSURE = "unsure"  # done, and not known to be durable: the step stays open
    STOPPED = "stopped"  # this process is about to end
    CANNOT_LINK = "cannot link"  # and the rules want nothing else


class Done(NamedTuple):
    """A step that ended as asked, or as near to it as the file systems can."""

    step: Step
    mode: Mode  # how it was done
    key: ChangeKey  # of the target
    source: ChangeKey | None  # of the source as it is now; None if it was moved
    note: str | None = None  # what could not be done


class Undone(NamedTuple):
    """A step that did not happen: the source is as it was, the target too; but for ``UNSURE``."""

    step: Step
    why: Why
    reason: str  # for people, with the path


Outcome = Done | Undone


def _nothing(_stage: str) -> None:
    """Nobody follows the stages."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """The transfers of one journal. ``before`` hears of each change of a file system, right before it is made."""

    journal: str  # tells temporary names of this journal from those of others
    owner: Owner = AS_IT_IS
    before: Callable[[str], None] = _nothing
    stopped: Callable[[], bool] = lambda: False  # asked while a large file is copied

    def part(self, step: Step) -> bytes:
        """Where a copy grows."""
        return b"%s/%s.part" % (os.path.dirname(step.target), self._own_name(step))

    def aside(self, step: Step) -> bytes:
        """The last name of an original that is being removed."""
        return b"%s/%s.src" % (os.path.dirname(step.source), self._own_name(step))

    def _own_name(self, step: Step) -> bytes:
        return b".sluice-%s-%d" % (self.journal.encode(), step.id)

    def carry_out(self, steps: Sequence[Step]) -> list[Outcome]:
        """Do the steps. Their targets differ from one another."""
        with ThreadPoolExecutor(1, "check") as checks:  # what is large is checked while the next is copied
            batch = _Batch(self, checks)
            for step in steps:
                batch.run(step, batch.place)
            batch.finish_copies()
        batch.sync()
        batch.remove_originals()
        batch.sync()
        return [batch.outcomes[step.id] for step in steps]

    def remove_original(self, step: Step) -> str | None:
        """Remove the source of a step whose copy is durable; gives the reason if it stays."""
        aside = self.aside(step)
        self.before("remove original")
        try:
            is_removed = remove_name(step.source, aside, lambda status: is_moved(status, step.key) and _is_free(aside))
        except OSError as error:
            return f"the original stays: {reason_of(error, step)}"
        return None if is_removed else f"the original stays: {os.fsdecode(step.source)} is being written again"


class _Copied(NamedTuple):
    step: Step
    descriptor: int
    is_shared: bool
    checked: Future[None] | None  # None: it is to be synced only


class _Batch:
    """The state of one :meth:`Transfer.carry_out`: what is half, what is to be synced, what came out."""

    def __init__(self, transfer: Transfer, checks: Executor) -> None:
        self._transfer = transfer
        self._checks = checks
        self._before = transfer.before
        self._copied: list[_Copied] = []
        self._to_remove: list[Step] = []
        self._unsynced: dict[bytes, None] = {}  # directories
        self._made: set[bytes] = set()  # directories known to be there
        self.outcomes: dict[int, Outcome] = {}

    def run(self, step: Step, stage: Callable[[Step], None]) -> None:
        """Run a stage; what it raises is the outcome of the step."""
        try:
            stage(step)
        except _Stop as stop:
            self.outcomes[step.id] = Undone(step, stop.why, stop.reason)
        except OSError as error:
            self.outcomes[step.id] = Undone(step, why_of(error), reason_of(error, step))

    # -- stages -----------------------------------------------------------------------------------

    def place(self, step: Step) -> None:
        """Bring a file to its target in one change, or make a copy beside it."""
        self._look(step)
        self._make_directory(os.path.dirname(step.target))
        if step.follows:
            self._copy(step)
        elif step.mode is Mode.MOVE:
            self._rename(step)
        elif step.mode in (Mode.HARDLINK, Mode.HARDLINK_ONLY):
            self._link(step)
        else:
            self._copy(step)

    def _look(self, step: Step) -> None:
        """Refuse a source that is not what was judged."""
        status = os.stat(step.source, follow_symlinks=step.follows)
        if not is_same(status, step.key):
            raise _Stop(Why.CHANGED, f"{os.fsdecode(step.source)}: it changed since it was read")

    def _rename(self, step: Step) -> None:
        self._before("rename")
        try:
            rename_new(step.source, step.target, self._transfer.aside(step))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._copy(step)
            return
        status = os.lstat(step.target)
        if not is_moved(status, step.key):
            self._before("rename back")
            give_back(step.target, step.source)
            raise _Stop(Why.CHANGED, f"{os.fsdecode(step.source)}: another file took its name")
        self._unsynced[os.path.dirname(step.source)] = self._unsynced[os.path.dirname(step.target)] = None
        self.outcomes[step.id] = Done(step, Mode.MOVE, key_of(status, step.key), None)

    def _link(self, step: Step) -> None:
        self._before("link")
        try:
            os.link(step.source, step.target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            if step.mode is Mode.HARDLINK_ONLY:
                reason = f"{os.fsdecode(step.target)}: cannot be a hard link of the original: {error.strerror}"
                raise _Stop(Why.CANNOT_LINK, reason) from None
            self._copy(step)
            return
        status = os.lstat(step.target)
        if not is_moved(status, step.key):
            if status.st_nlink > 1:  # else the other name is gone, and this one is the last
                self._before("unlink")
                os.unlink(step.target)
            raise _Stop(Why.CHANGED, f"{os.fsdecode(step.source)}: another file took its name")
        self._unsynced[os.path.dirname(step.target)] = None
        self.outcomes[step.id] = Done(step, step.mode, key_of(status, step.key), key_of(status, step.key))

    def _copy(self, step: Step) -> None:
        part = self._transfer.part(step)
        source = os.open(step.source, _READ if step.follows else _READ | _NOFOLLOW)
        try:
            status = os.fstat(source)
            if not is_same(status, step.key):
                raise _Stop(Why.CHANGED, f"{os.fsdecode(step.source)}: it changed since it was read")
            self._before("part")
            try:
                made = copy(source, status, part, step.blake3, self._transfer.owner, self._transfer.stopped)
            except (OSError, Differs, Stopped) as error:
                self._drop(part, error)
                raise _stopped(error, step) from None
            if not is_same(os.fstat(source), step.key):
                os.close(made.descriptor)
                self._drop(part)
                raise _Stop(Why.CHANGED, f"{os.fsdecode(step.source)}: it changed while it was copied")
            self._before("sync part")
            checked = None if made.is_checked else self._checks.submit(self._check, made.descriptor, step.blake3)
            self._copied.append(_Copied(step, made.descriptor, made.is_shared, checked))
        finally:
            os.close(source)

    def _check(self, descriptor: int, digest: bytes) -> None:
        """Runs beside the next copy: compare what was copied, and write it out."""
        check(descriptor, digest, self._transfer.stopped)
        os.fsync(descriptor)

    def finish_copies(self) -> None:
        """Sync all parts, then give them their names: the first sync writes out what the others wait for."""
        copied, self._copied = self._copied, []
        for one in copied:
            self.run(one.step, lambda _, one=one: self._sync_part(one))  # type: ignore[misc]
        for one in copied:
            if one.step.id not in self.outcomes:
                self.run(one.step, lambda _, one=one: self._place_part(one))  # type: ignore[misc]

    def _sync_part(self, one: _Copied) -> None:
        try:
            if one.checked is None:
                os.fsync(one.descriptor)
            else:
                one.checked.result()
        except (OSError, Differs, Stopped) as error:
            self._drop(self._transfer.part(one.step))
            raise _stopped(error, one.step) from None
        finally:
            os.close(one.descriptor)

    def _place_part(self, one: _Copied) -> None:
        step, part = one.step, self._transfer.part(one.step)
        try:
            ino = os.lstat(part).st_ino
            self._before("place")
            rename_new(part, step.target, part + b".src")
        except OSError:
            self._drop(part)
            raise
        status = os.lstat(step.target)
        if status.st_ino != ino and step.key.ino:
            raise _Stop(Why.TAKEN, f"{os.fsdecode(step.target)}: another program replaced the copy")
        self._unsynced[os.path.dirname(step.target)] = None
        mode = Mode.REFLINK if one.is_shared else Mode.COPY
        is_to_go = step.mode is Mode.MOVE and not step.follows
        self.outcomes[step.id] = Done(step, mode, key_of(status, step.key), None if is_to_go else step.key)
        if is_to_go:
            self._to_remove.append(step)

    def remove_originals(self) -> None:
        """Remove what was moved to another file system, now that its copy is durable there."""
        for step in self._to_remove:
            done = self.outcomes[step.id]
            if not isinstance(done, Done):
                continue  # its copy may not be durable
            reason = self._transfer.remove_original(step)
            self._unsynced[os.path.dirname(step.source)] = None
            if reason is not None and os.path.lexists(self._transfer.aside(step)):  # it has no name of its own now
                self.outcomes[step.id] = Undone(step, Why.UNSURE, reason)
            elif reason is not None:
                self.outcomes[step.id] = done._replace(source=step.key, note=reason)

    def sync(self) -> None:
        """Make directory entries durable; where that is refused, nobody may rely on what was done there."""
        directories, self._unsynced = self._unsynced, {}
        failed: dict[bytes, OSError] = {}
        for directory in directories:
            self._before("sync directory")
            try:
                sync_directory(directory)
            except OSError as error:
                failed[directory] = error
        for number, outcome in list(self.outcomes.items()) if failed else ():
            refused = failed.get(os.path.dirname(outcome.step.target))
            if isinstance(outcome, Done) and refused is not None:
                self.outcomes[number] = Undone(outcome.step, Why.UNSURE, reason_of(refused, outcome.step))

    # -- parts ------------------------------------------------------------------------------------

    def _make_directory(self, directory: bytes) -> None:
        if directory in self._made:
            return
        missing = []
        place = directory
        while not os.path.isdir(place):
            missing.append(place)
            place = os.path.dirname(place)
        owner = self._transfer.owner
        for place in reversed(missing):
            self._before("directory")
            try:
                os.mkdir(place, 0o777 if owner.umask is None else 0o777 & ~owner.umask)
            except FileExistsError:
                continue
            if owner.uid is not None or owner.gid is not None:
                give(place, -1 if owner.uid is None else owner.uid, -1 if owner.gid is None else owner.gid)
            self._unsynced[os.path.dirname(place)] = None
        self._made.add(directory)

    def _drop(self, part: bytes, error: Exception | None = None) -> None:
        """Remove what this step made, because of an error; where that cannot be done now, the step stays open."""
        self._before("drop part")
        try:
            os.unlink(part)
        except OSError as refusal:
            if isinstance(error, OSError) and error.filename == part:
                return  # it was never made
            reason = f"{os.fsdecode(part)}: what is half cannot be removed: {refusal.strerror}"
            raise _Stop(Why.UNSURE, reason) from None


class _Stop(Exception):
    """A step ends here, and nothing of it is left."""

    def __init__(self, why: Why, reason: str) -> None:
        super().__init__(reason)
        self.why = why
        self.reason = reason


def _stopped(error: OSError | Differs | Stopped, step: Step) -> OSError | _Stop:
    """Why a copy came to nothing."""
    if isinstance(error, OSError):
        return error
    if isinstance(error, Stopped):
        return _Stop(Why.STOPPED, "the service was stopped")
    return _Stop(Why.CHANGED, f"{os.fsdecode(step.source)}: its bytes are not those that were catalogued")


_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def is_same(status: os.stat_result, key: ChangeKey) -> bool:
    """Whether a file is exactly the one that was judged."""
    return is_moved(status, key) and in_range(status.st_ctime_ns) == in_range(key.ctime_ns)


def is_moved(status: os.stat_result, key: ChangeKey) -> bool:
    """The same, but for what a rename or a link changes."""
    if key.ino and status.st_ino != key.ino:
        return False
    return status.st_size == key.size and in_range(status.st_mtime_ns) == in_range(key.mtime_ns)


def key_of(status: os.stat_result, like: ChangeKey) -> ChangeKey:
    """The change key of a file; without its inode where ``like`` has none."""
    ino = status.st_ino if like.ino else 0
    return ChangeKey(ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def why_of(error: OSError) -> Why:
    """What a refusal of the system means."""
    if error.errno in _FULL:
        return Why.FULL
    if error.errno == errno.EEXIST:
        return Why.TAKEN
    return Why.GONE if error.errno == errno.ENOENT else Why.REFUSED


def reason_of(error: OSError, step: Step) -> str:
    """A refusal in words, with its path."""
    path = error.filename2 or error.filename or step.target
    return f"{os.fsdecode(path)}: {error.strerror or error}"


def sync_directory(directory: bytes) -> None:
    """Make the names in a directory durable."""
    if os.name == "nt":
        return  # Windows has no such call; NTFS journals its names
    descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have nothing to sync
            raise
    finally:
        os.close(descriptor)


def _is_free(path: bytes) -> bool:
    """Whether nobody writes a file, as far as that can be told."""
    descriptor = os.open(path, _READ | _NOFOLLOW)
    try:
        return writer_of(descriptor) is not Writer.BUSY
    finally:
        os.close(descriptor)
