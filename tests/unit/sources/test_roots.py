from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mediasluice.errors import RootOverlap
from mediasluice.model.roots import RootIdentity
from mediasluice.sources.roots import check_root, identity_of, refuse_overlap, told_apart


def test_the_identity_is_of_the_directory_and_its_file_system(tmp_path: Path) -> None:
    """Two looks agree, another directory differs in its inode only."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = identity_of(os.fsencode(tmp_path / "a"))
    other = identity_of(os.fsencode(tmp_path / "b"))
    assert identity_of(os.fsencode(tmp_path / "a")) == first
    assert first.ino != other.ino
    assert first.filesystem == other.filesystem
    assert re.match(rb"(uuid|fsid|source):.", first.filesystem)


def test_roots_on_one_disk_share_its_name(tmp_path: Path) -> None:
    """Two directories of one file system are not told apart; a name that only a copy has is kept."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, other = (os.fsencode(tmp_path / name) for name in "ab")
    identity = identity_of(other)
    assert told_apart(identity, other, [(identity_of(first), first)]) == identity
    marked = RootIdentity(identity.filesystem + b"#2", identity.ino)
    assert told_apart(marked, other, [(identity_of(first), first)]) == marked
    assert check_root(other, marked, had_files=False).online


def test_a_root_that_is_there(tmp_path: Path) -> None:
    """A known root with a file, an unknown one and an empty one that never had files are online."""
    path = os.fsencode(tmp_path)
    known = identity_of(path)
    assert check_root(path, None, had_files=False).online
    assert check_root(path, known, had_files=False).online
    (tmp_path / "a").write_bytes(b"")
    found = check_root(path, known, had_files=True)
    assert (found.online, found.reason, found.identity) == (True, None, known)


def test_a_root_that_is_lost(tmp_path: Path) -> None:
    """Missing, not a directory, emptied and replaced roots are offline, each with its reason."""
    path = os.fsencode(tmp_path / "root")
    assert check_root(path, None, had_files=True).reason == "missing: there is no such directory"
    (tmp_path / "root").write_bytes(b"")
    assert check_root(path, None, had_files=True).reason == "not a directory"
    (tmp_path / "root").unlink()
    (tmp_path / "root").mkdir()
    known = identity_of(path)
    emptied = check_root(path, known, had_files=True)
    assert not emptied.online
    assert emptied.reason == "emptied: it had files and has no entry at all now"
    (tmp_path / "root").rename(tmp_path / "old")
    (tmp_path / "root").mkdir()
    replaced = check_root(path, known, had_files=False)
    assert not replaced.online
    assert replaced.reason == "replaced: another directory is mounted or was put there"


@pytest.mark.parametrize(
    ("known", "online"),
    [
        pytest.param(b"uuid:00", False, id="another UUID"),
        pytest.param(b"source:nfs4:nas:/x:/", False, id="a share that is not mounted"),
        pytest.param(b"fsid:12345", True, id="learnt before the kernel told the UUID"),
    ],
)
def test_another_file_system(known: bytes, *, online: bool, tmp_path: Path) -> None:
    """The file system has to be the same, as far as two ways to name one can be compared."""
    path = os.fsencode(tmp_path)
    found = identity_of(path)
    if not found.filesystem.startswith(b"uuid:"):
        known = known.replace(b"fsid:", found.filesystem[:5]) if online else known
        found = RootIdentity(known if online else found.filesystem, found.ino)
    assert check_root(path, RootIdentity(known, found.ino), had_files=False).online is online


def test_roots_apart(tmp_path: Path) -> None:
    """Neighbours, one of them not there yet, and names that only begin alike do not overlap."""
    for name in ("a", "ab"):
        (tmp_path / name).mkdir()
    refuse_overlap({name: os.fsencode(tmp_path / name) for name in ("a", "ab", "missing")})


@pytest.mark.parametrize("inner", ["root", "root/sub", "root/missing", "link", "link/sub"])
def test_roots_inside_one_another(inner: str, tmp_path: Path) -> None:
    """A root that is another one, or lies in it, also through a link and also when it is missing, is refused."""
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("root")
    with pytest.raises(RootOverlap, match="photos"):
        refuse_overlap({"photos": os.fsencode(tmp_path / "root"), "other": os.fsencode(tmp_path / inner)})
    with pytest.raises(RootOverlap):
        refuse_overlap({"other": os.fsencode(tmp_path / inner), "photos": os.fsencode(tmp_path / "root")})
