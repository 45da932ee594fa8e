"""End what a crash has left of open steps, by looking at what is there.

Takes a step that the journal holds open, of which nobody knows how far it came; gives what is true after all: it is
done, or nothing of it happened. Safe to be interrupted and run again at any point. A copy counts as done only if its
bytes, read again, have the digest of the step; an original is removed only after that.
Fails with: ``OSError`` when a file system does not answer; the step stays open then.

    move, one file system    the inode is at the target: done; at the source: nothing happened; at both (a link that
                             stands for a rename): the source's name is removed
    copy                     the digest is at the target: done; else the part is removed and nothing happened
    move, two file systems   as a copy; then the original is removed, or what was set aside gets its name back
"""

from __future__ import annotations

import os

from mediasluice.actions.copying import digest_of
from mediasluice.actions.renaming import give_back, is_reservation
from mediasluice.actions.transfer import (
    Done,
    Outcome,
    Step,
    Transfer,
    Undone,
    Why,
    is_moved,
    key_of,
    sync_directory,
)
from mediasluice.model.imports import Mode


def reconcile(transfer: Transfer, step: Step) -> Outcome:
    """Find out what became of a step, and end it."""
    target, source = _status(step.target), _status(step.source)
    part, aside = transfer.part(step), transfer.aside(step)
    is_link = step.mode in (Mode.HARDLINK, Mode.HARDLINK_ONLY)
    beside = source or _status(aside)
    if target is not None and (step.mode is Mode.MOVE or is_link) and is_the_inode(target, step, beside):
        outcome = _linked(transfer, step, target, is_link=is_link)
    elif target is not None and target.st_size == step.key.size and digest_of(step.target) == step.blake3:
        outcome = _copied(transfer, step, target)
    else:
        outcome = _nothing(step, target, aside, (aside, part + b".src"))
    for half in (part, part + b".src"):
        if os.path.lexists(half):
            transfer.before("drop part")
            os.unlink(half)
    for directory in {os.path.dirname(step.target), os.path.dirname(step.source)}:
        if os.path.isdir(directory):
            sync_directory(directory)
    return outcome


def is_the_inode(target: os.stat_result, step: Step, source: os.stat_result | None) -> bool:
    """Whether the target is the source itself under another name."""
    if not is_moved(target, step.key):
        return False
    if source is not None and is_moved(source, step.key):  # an inode number counts on one device only
        return bool(step.key.ino) and (target.st_ino, target.st_dev) == (source.st_ino, source.st_dev)
    if source is not None and not step.key.ino:
        return False  # another file has the source's name by now, and inodes are not known here
    above = _status(os.path.dirname(step.source))
    return above is not None and above.st_dev == target.st_dev


def _linked(transfer: Transfer, step: Step, target: os.stat_result, *, is_link: bool) -> Outcome:
    """The original itself is at the target. A second name of it goes, if the step was to rename."""
    aside = transfer.aside(step)
    if is_link:
        key = key_of(target, step.key)
        return Done(step, step.mode, key, key if os.path.lexists(step.source) else None)
    for name in (aside, step.source):
        status = _status(name)
        if status is None:
            continue
        if status.st_ino == target.st_ino and status.st_dev == target.st_dev:
            transfer.before("remove original")
            os.unlink(name)  # the same file keeps the name of the target
        elif name == aside:
            transfer.before("give back")
            give_back(aside, step.source)
    return Done(step, Mode.MOVE, key_of(os.lstat(step.target), step.key), None)


def _copied(transfer: Transfer, step: Step, target: os.stat_result) -> Outcome:
    """The target holds the content, read just now."""
    aside = transfer.aside(step)
    done = Done(step, Mode.COPY, key_of(target, step.key), step.key)
    if step.mode is not Mode.MOVE:
        return done
    _sync_file(step.target)
    sync_directory(os.path.dirname(step.target))  # before the original goes
    left = _status(aside)
    if left is not None:
        if not is_moved(left, step.key):
            transfer.before("give back")
            give_back(aside, step.source)
            return done._replace(note=f"the original stays: {os.fsdecode(step.source)} was written again")
        transfer.before("remove original")
        os.unlink(aside)
        return done._replace(source=None)
    source = _status(step.source)
    if source is None:
        return done._replace(source=None)
    if not is_moved(source, step.key):
        return done._replace(note=f"the original stays: {os.fsdecode(step.source)} was written again")
    reason = transfer.remove_original(step)
    return done._replace(source=None if reason is None else step.key, note=reason)


def _nothing(step: Step, target: os.stat_result | None, aside: bytes, marks: tuple[bytes, ...]) -> Outcome:
    """Nothing happened that lasts: what was set aside gets its name back."""
    if target is not None and any(is_reservation(step.target, mark) for mark in marks):
        os.unlink(step.target)
        target = None
    if os.path.lexists(aside):
        give_back(aside, step.source)
    if not os.path.lexists(step.source):
        return Undone(step, Why.GONE, f"{os.fsdecode(step.source)}: it is not there")
    if target is not None:
        return Undone(step, Why.TAKEN, f"{os.fsdecode(step.target)}: there is another file")
    return Undone(step, Why.REFUSED, "interrupted before anything was done")


def _status(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sync_file(path: bytes) -> None:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
