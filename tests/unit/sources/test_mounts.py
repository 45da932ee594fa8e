from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediasluice.sources.mounts import (
    UNKNOWN,
    Mount,
    MountKind,
    exported_paths,
    kind_of,
    mount_of,
    mounts,
    mounts_below,
    parse_mount,
)

LINE = rb"36 35 98:0 /inner\040part /mnt/a\134b rw,noatime master:1 shared:2 - ext4 /dev/disk\0401 rw,errors=continue"


def test_a_line_of_mountinfo() -> None:
    """Optional fields are passed over and escapes are undone."""
    assert parse_mount(LINE) == Mount(
        36, "ext4", rb"/mnt/a\b", MountKind.LOCAL, b"98:0", b"/inner part", b"/dev/disk 1"
    )


@pytest.mark.parametrize(
    ("name", "kind", "lease", "inodes", "events"),
    [
        ("ext4", MountKind.LOCAL, True, True, True),
        ("btrfs", MountKind.LOCAL, True, True, True),
        ("exfat", MountKind.LOCAL, True, False, True),
        ("overlay", MountKind.OVERLAY, False, True, False),
        ("nfs4", MountKind.NETWORK, False, True, False),
        ("cifs", MountKind.NETWORK, False, False, False),
        ("fuse.bindfs", MountKind.NETWORK, False, False, False),
        ("fuseblk", MountKind.NETWORK, False, False, False),
        ("9p", MountKind.NETWORK, False, False, False),
        ("never-heard-of", MountKind.NETWORK, False, False, False),
    ],
)
def test_what_a_type_is_worth(name: str, kind: MountKind, *, lease: bool, inodes: bool, events: bool) -> None:
    """Only what is known to be local is believed; whatever is unknown counts as network."""
    mount = Mount(1, name, b"/", kind_of(name))
    assert (mount.kind, mount.lease_proves_free, mount.stable_inodes, mount.events_complete) == (
        kind,
        lease,
        inodes,
        events,
    )


def test_the_servers_own_export() -> None:
    """A directory that the NFS server hands out has all its events, but its leases prove nothing."""
    mount = Mount(1, "ext4", b"/", MountKind.LOCAL, exported=True)
    assert mount.events_complete
    assert not mount.lease_proves_free


def test_export_tables(tmp_path: Path) -> None:
    """Exported paths are read with their escapes; a table that is not there is none."""
    table = tmp_path / "etab"
    table.write_bytes(b"# comment\n/srv/my\\040media\t*(rw,sync)\n\n/home 10.0.0.0/8(ro)\n")
    assert exported_paths([table, tmp_path / "none"]) == [b"/srv/my media", b"/home"]


def test_this_very_directory(tmp_path: Path) -> None:
    """A path and a descriptor of it are on the same mount, which is the deepest one above the path."""
    path = os.path.realpath(os.fsencode(tmp_path))
    mount = mount_of(path)
    descriptor = os.open(path, os.O_RDONLY)
    assert mount_of(descriptor) == mount
    os.close(descriptor)
    assert mount != UNKNOWN
    assert (path + b"/").startswith(mount.point.rstrip(b"/") + b"/")
    assert mount in mounts()
    assert mounts_below(path) == []


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """The caller learns that there is nothing to ask about."""
    with pytest.raises(FileNotFoundError):
        mount_of(os.fsencode(tmp_path / "none"))
