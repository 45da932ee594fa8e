"""Say on what kind of file system a path lies, and so what its events and its write leases are worth.

Takes a path or a descriptor; gives a :class:`Mount`.
Fails with: ``OSError`` where the path cannot be opened. What cannot be found out counts as a network mount: polled, and
settled by the quiet period only.
Source: proc(5) for fdinfo and mountinfo, statfs(2) for the magic numbers; which kinds report what was measured.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mediasluice.model.paths import text


class MountKind(StrEnum):
    LOCAL = "local"  # every writer passes this kernel's own file system
    OVERLAY = "overlay"  # a writer in a layer behind it makes no event
    NETWORK = "network"  # others write behind it: NFS, SMB, 9p, FUSE, and whatever is not known


LOCAL_TYPES = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "f2fs",
        "zfs",
        "bcachefs",
        "tmpfs",
        "ramfs",
        "jfs",
        "nilfs2",
        "reiserfs",
        "vfat",
        "msdos",
        "exfat",
        "ntfs3",
        "hfs",
        "hfsplus",
        "udf",
        "iso9660",
        "squashfs",
        "erofs",
    ]
)
OVERLAY_TYPES = frozenset({"overlay", "aufs", "unionfs"})
STABLE_NETWORK_TYPES = frozenset({"nfs", "nfs4", "ceph", "glusterfs", "lustre", "ocfs2", "gfs2"})
INVENTED_INODES = frozenset({"vfat", "msdos", "exfat"})  # numbered anew whenever the inode is read again

MAGIC = {
    0xEF53: "ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0xF2F52010: "f2fs",
    0x2FC12FC1: "zfs",
    0xCA451A4E: "bcachefs",
    0x01021994: "tmpfs",
    0x794C7630: "overlay",
    0x6969: "nfs",
    0xFE534D42: "smb3",
    0xFF534D42: "cifs",
    0x65735546: "fuse",
    0x01021997: "9p",
    0x00C36400: "ceph",
}
"""statfs(2) f_type where there is no /proc to ask."""

_EXPORTS = (Path("/var/lib/nfs/etab"), Path("/proc/fs/nfsd/exports"))
_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount.

    ``id`` is valid until it is unmounted; ``device`` is ``major:minor``; ``inner`` is the path inside its file system
    that is mounted at ``point`` (``/`` unless a part of it is bound there).
    """

    id: int
    type: str
    point: bytes
    kind: MountKind
    device: bytes = b""
    inner: bytes = b"/"
    source: bytes = b""
    exported: bool = False  # the kernel's NFS server hands it out: it closes files that a client still writes

    @property
    def lease_proves_free(self) -> bool:
        """Whether a write lease that is granted proves that nobody writes."""
        return self.kind is MountKind.LOCAL and not self.exported

    @property
    def lease_proves_busy(self) -> bool:
        """Whether a write lease that is refused proves that somebody writes; a client of NFS or SMB just refuses."""
        return self.kind is not MountKind.NETWORK or self.type.startswith("fuse")

    @property
    def stable_inodes(self) -> bool:
        """Whether a file keeps its inode number."""
        if self.kind is MountKind.NETWORK:
            return self.type in STABLE_NETWORK_TYPES
        return self.type not in INVENTED_INODES

    @property
    def events_complete(self) -> bool:
        """Whether every change makes an event here; else regular passes are needed."""
        return self.kind is MountKind.LOCAL


UNKNOWN = Mount(0, "unknown", b"", MountKind.NETWORK)


def mount_of(path: bytes | int) -> Mount:
    """The mount on which a path or an open descriptor lies."""
    if not sys.platform.startswith("linux"):
        return UNKNOWN
    if isinstance(path, bytes):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            return mount_of(descriptor)
        finally:
            os.close(descriptor)
    number = _mount_id(path)
    for mount in mounts():
        if mount.id == number:
            return _with_exports(mount, os.readlink(b"/proc/self/fd/%d" % path))
    kind_of_magic = MAGIC.get(_magic(path), "unknown")
    return Mount(number or 0, kind_of_magic, b"", kind_of(kind_of_magic))


def mounts_below(path: bytes) -> list[Mount]:
    """The mounts whose mount point lies inside ``path`` (absolute, resolved) and that show something else there."""
    above, table = path.rstrip(b"/") + b"/", mounts()
    return [mount for mount in table if mount.point.startswith(above) and not _shows_the_same(mount, table)]


def _shows_the_same(mount: Mount, table: Sequence[Mount]) -> bool:
    """Whether a directory is only bound to itself, as sandboxes do to give it other flags."""
    outer: Mount | None = None
    for other in table:  # the longest mount point is nearest; of equal ones the last covers the others
        is_outer = other.point != mount.point and mount.point.startswith(other.point.rstrip(b"/") + b"/")
        if is_outer and (outer is None or len(other.point) >= len(outer.point)):
            outer = other
    if outer is None or outer.device != mount.device:
        return False
    below = mount.point[len(outer.point.rstrip(b"/")) + 1 :]
    return mount.inner == outer.inner.rstrip(b"/") + b"/" + below


def mounts() -> list[Mount]:
    """Every mount that this process can see, in mount order; empty where the system does not tell."""
    try:
        lines = _MOUNTINFO.read_bytes().splitlines()
    except OSError:
        return []  # no Linux, or /proc is closed to us
    return [parse_mount(line) for line in lines]


def parse_mount(line: bytes) -> Mount:
    """Read one line of mountinfo; optional fields end at a lone ``-``."""
    fields = line.split(b" ")
    kind, source = fields[fields.index(b"-", 6) + 1 :][:2]
    name = text(kind)
    return Mount(int(fields[0]), name, _plain(fields[4]), kind_of(name), fields[2], _plain(fields[3]), _plain(source))


def kind_of(type_name: str) -> MountKind:
    """What a file system type means for us; an unknown one counts as network."""
    if type_name in LOCAL_TYPES:
        return MountKind.LOCAL
    return MountKind.OVERLAY if type_name in OVERLAY_TYPES else MountKind.NETWORK


def exported_paths(tables: Sequence[Path] = _EXPORTS) -> list[bytes]:
    """The directories that the kernel's NFS server hands out, as far as its tables are readable."""
    paths = []
    for table in tables:
        try:
            lines = table.read_bytes().splitlines()
        except OSError:
            continue  # no NFS server here, or its table is not for us
        paths += [_plain(line.split()[0]) for line in lines if line.strip() and not line.startswith(b"#")]
    return paths


def _with_exports(mount: Mount, path: bytes) -> Mount:
    here = path.rstrip(b"/") + b"/"
    for exported in exported_paths():
        there = exported.rstrip(b"/") + b"/"
        if here.startswith(there) or there.startswith(here):
            return Mount(
                mount.id, mount.type, mount.point, mount.kind, mount.device, mount.inner, mount.source, exported=True
            )
    return mount


def _mount_id(descriptor: int) -> int | None:
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().splitlines()
    except OSError:
        return None  # /proc is closed to us: the magic number has to do
    for line in lines:
        if line.startswith(b"mnt_id:"):
            return int(line.split()[1])
    return None


def _magic(descriptor: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = (ctypes.c_long * 64)()  # more than sizeof(struct statfs); f_type is its first word
    if libc.fstatfs(descriptor, result) != 0:
        return 0
    return int(result[0]) & 0xFFFFFFFF


def _plain(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field)
