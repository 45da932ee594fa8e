"""Tell whether a root is there and still the same, and refuse roots that overlap.

Takes absolute paths (bytes) and the identity known from before; gives :class:`RootCheck`.
Fails with: ``RootOverlap``. A root that is lost is a value, never an error: nothing is deleted because of it.
Source: FS_IOC_GETFSUUID of linux/fs.h (6.9); f_fsid of statvfs(3) for older kernels, where /dev/disk knows no better.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from mediasluice.errors import RootOverlap
from mediasluice.model.paths import text
from mediasluice.model.roots import RootIdentity
from mediasluice.sources.mounts import Mount, MountKind, mount_of, mounts, mounts_below
from mediasluice.sources.opening import open_directory

_GET_UUID = 0x80111500  # _IOR(0x15, 0, struct fsuuid2): one byte of length, sixteen of UUID
_BY_UUID = Path("/dev/disk/by-uuid")


@dataclass(frozen=True, slots=True)
class RootCheck:
    """``reason`` says why a root is not online; ``identity`` is what was found there, if anything was."""

    online: bool
    reason: str | None
    identity: RootIdentity | None


def identity_of(path: bytes) -> RootIdentity:
    """What makes the directory at ``path`` the same one after a reboot. Raises ``OSError``."""
    if os.scandir not in os.supports_fd:
        status = os.stat(path)
        return RootIdentity(b"volume:%x" % status.st_dev, status.st_ino)
    descriptor = open_directory(path, b"")
    try:
        status = os.fstat(descriptor)
        mount = mount_of(descriptor)
        inode = status.st_ino if mount.stable_inodes or not mount.id else 0
        return RootIdentity(_filesystem(descriptor, status, mount), inode)
    finally:
        os.close(descriptor)


def check_root(path: bytes, known: RootIdentity | None, had_files: bool) -> RootCheck:  # noqa: FBT001 - reads well
    """Look whether the root is there and is the known one; ``had_files`` says that it was not empty when last seen."""
    try:
        identity = identity_of(path)
        with os.scandir(path) as entries:
            empty = next(entries, None) is None
    except OSError as error:
        return RootCheck(False, _why(error), None)
    if known is not None and not _same(known, identity):
        what = "directory" if identity.filesystem == known.filesystem else "file system"
        return RootCheck(False, f"replaced: another {what} is mounted or was put there", identity)
    if empty and had_files:
        return RootCheck(False, "emptied: it had files and has no entry at all now", identity)
    return RootCheck(True, None, identity)


def told_apart(identity: RootIdentity, path: bytes, others: Iterable[tuple[RootIdentity, bytes]]) -> RootIdentity:
    """The identity of a root as it differs from that of every other disk that is there now.

    A copy of a disk has its UUID and its inode numbers as well: while both are there their device numbers differ, and
    the later one is marked for good. ``others`` are the identities and paths of the other roots.
    """
    own = _inode(path)
    plain = identity.filesystem.partition(_COPY)[0]
    if own is None or not plain.startswith((b"uuid:", b"fsid:")):
        return identity
    alike = [(other.filesystem, _inode(place)) for other, place in others if _same_disk(other.filesystem, plain)]
    taken = {filesystem for filesystem, place in alike if place is not None and place[0] != own[0]}
    filesystem, number = identity.filesystem, 1
    while filesystem in taken:
        number += 1
        filesystem = plain + _COPY + b"%d" % number
    return RootIdentity(filesystem, identity.ino)


_COPY = b"#"  # behind the name of a file system: a number for each copy of it that is known


def mounts_inside(root: bytes) -> dict[bytes, RootIdentity]:
    """What is mounted inside a root, by mount point relative to it, as far as it can be opened as a directory."""
    top = os.path.realpath(root).rstrip(b"/")
    found = {}
    for mount in mounts_below(top):
        with suppress(OSError):
            found[mount.point[len(top) + 1 :]] = identity_of(mount.point)
    return found


def bare_points(root: bytes) -> frozenset[bytes]:
    """Where not one entry is to be seen: mount points inside a root, and ``b""`` for the root itself.

    Only of file systems that others change without an event: elsewhere every deletion was told.
    """
    top = os.path.realpath(root).rstrip(b"/")
    places = {b"": mount_of(top or b"/")}
    places |= {mount.point[len(top) + 1 :]: mount for mount in mounts_below(top)}
    return frozenset(
        point for point, mount in places.items() if not mount.events_complete and _is_bare(top + b"/" + point)
    )


def _is_bare(path: bytes) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False  # not to be seen at all, which is another question


BARE = RootIdentity(b"bare", 0)
"""Known of a directory that holds files and has had nothing mounted on it."""


def lost_mounts(known: Mapping[bytes, RootIdentity], found: Mapping[bytes, RootIdentity]) -> frozenset[bytes]:
    """The mount points that do not show what is known of them: something else is mounted there now, or nothing."""
    return frozenset(
        point
        for point, was in known.items()
        if (point in found if was == BARE else point not in found or not _same(was, found[point]))
    )


def refuse_overlap(paths: Mapping[str, bytes], silent: Collection[bytes] = ()) -> None:
    """Raise ``RootOverlap`` when one of the named roots lies inside another, also by a link or a bind mount.

    The ``silent`` ones are judged by their names and by the table of mounts: to ask them would hang.
    """
    table = mounts()
    seen = {
        name: _Place.of(path, [] if path in silent else _chain(os.path.realpath(path)), table)
        for name, path in paths.items()
    }
    for (one, first), (other, second) in combinations(seen.items(), 2):
        if first.overlaps(second):
            raise RootOverlap(
                f"the root of {other} and the root of {one} ({text(paths[one])}) overlap",
                path=text(paths[other]),
                hint="give each library a directory of its own, or leave one of the two out",
            )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a root is: by name, by inodes from it upwards, and by which parts of which file systems it shows."""

    path: bytes
    inode: tuple[int, int] | None
    chain: frozenset[tuple[int, int]]
    parts: tuple[tuple[bytes, bytes], ...]  # (device, path inside that file system)

    @classmethod
    def of(cls, path: bytes, chain: list[tuple[int, int] | None], table: list[Mount]) -> _Place:
        path = os.path.realpath(path) if chain else os.path.normpath(path)
        under = [mount for mount in table if _inside(path, mount.point)]
        parts = [(mount.device, mount.inner) for mount in table if _inside(mount.point, path)]
        if under:
            longest = max(len(mount.point) for mount in under)
            mount = [mount for mount in under if len(mount.point) == longest][-1]  # the last one covers the others
            below = os.path.relpath(path, mount.point)
            parts.append((mount.device, os.path.normpath(mount.inner.rstrip(b"/") + b"/" + below)))
        return cls(
            path, chain[0] if chain else None, frozenset(inode for inode in chain if inode is not None), tuple(parts)
        )

    def overlaps(self, other: _Place) -> bool:
        if _inside(self.path, other.path) or _inside(other.path, self.path):
            return True
        if self.inode in other.chain or other.inode in self.chain:
            return True
        return any(
            device == other_device and (_inside(part, other_part) or _inside(other_part, part))
            for device, part in self.parts
            for other_device, other_part in other.parts
        )


def _chain(path: bytes) -> list[tuple[int, int] | None]:
    """The inodes of a path and of the directories above it."""
    chain = [_inode(path)]
    while (up := os.path.dirname(path)) != path:
        path = up
        chain.append(_inode(path))
    return chain


def _inside(path: bytes, above: bytes) -> bool:
    return path == above or path.startswith(above.rstrip(b"/") + b"/")


def _inode(path: bytes) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None  # a root may be offline; its name and its mounts still say where it would be
    return status.st_dev, status.st_ino


def _filesystem(descriptor: int, status: os.stat_result, mount: Mount) -> bytes:
    """The lasting name of a file system, with the way it was learnt in front: ``uuid:``, ``fsid:`` or ``source:``."""
    if mount.id and mount.kind is MountKind.NETWORK:
        return b"source:" + os.fsencode(mount.type) + b":" + mount.source + b":" + mount.inner
    fsid = b"%x" % os.fstatvfs(descriptor).f_fsid
    uuid = _uuid(descriptor) or _uuid_of_device(status.st_dev)
    if uuid is None:
        return b"fsid:" + fsid if fsid != b"0" else b""
    # All subvolumes of a btrfs have one UUID and the root inode 256; its f_fsid tells them apart.
    return b"uuid:" + uuid + (b":" + fsid if mount.type == "btrfs" else b"")


def _uuid(descriptor: int) -> bytes | None:
    if not sys.platform.startswith("linux"):
        return None
    import fcntl  # noqa: PLC0415 - not there on Windows

    answer = bytearray(17)
    try:
        fcntl.ioctl(descriptor, _GET_UUID, answer)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES):
            return None  # an older kernel, or a file system without UUID
        raise
    return answer[1 : 1 + answer[0]].hex().encode()


def _uuid_of_device(device: int) -> bytes | None:
    """The UUID by which udev knows the block device; not there in most containers."""
    try:
        for link in _BY_UUID.iterdir():
            status = link.stat()
            if stat.S_ISBLK(status.st_mode) and status.st_rdev == device:
                return link.name.replace("-", "").lower().encode()
    except OSError:
        return None
    return None


def _same(known: RootIdentity, found: RootIdentity) -> bool:
    if known.ino and found.ino and known.ino != found.ino:
        return False
    if _same_disk(known.filesystem, found.filesystem):
        return True
    # A newer kernel tells the UUID where an older one told only f_fsid: not comparable, and the inode agreed.
    return {known.filesystem[:5], found.filesystem[:5]} == {b"uuid:", b"fsid:"}


def _same_disk(one: bytes, other: bytes) -> bool:
    """Whether two names of file systems are the same, but for the mark of a copy."""
    if one.startswith(b"source:"):
        return one == other
    return one.partition(_COPY)[0] == other.partition(_COPY)[0]


def _why(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "missing: there is no such directory"
    if error.errno == errno.ENOTDIR:
        return "not a directory"
    return f"unreadable: {error.strerror}"
