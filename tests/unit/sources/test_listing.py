from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mediasluice.errors import Unreadable, Vanished
from mediasluice.sources.listing import Listing, list_directory
from mediasluice.sources.names import NameRules
from mediasluice.sources.opening import open_directory, open_file


def listed(root: Path, directory: bytes = b"", known: bytes | None = None, *, follow_files: bool = False) -> Listing:
    path = os.fsencode(root)
    return list_directory(path, directory, NameRules(path), known, follow_files=follow_files)


def test_what_a_directory_holds(tmp_path: Path) -> None:
    """Files come with their values, sorted; directories as paths; ignored and special ones are counted."""
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "@eaDir").mkdir()
    (tmp_path / "d" / "b.jpg").write_bytes(b"12345")
    (tmp_path / "d" / "a.jpg").write_bytes(b"1")
    (tmp_path / "d" / "Thumbs.db").write_bytes(b"1234567")
    (tmp_path / "d" / "link").symlink_to("a.jpg")
    os.mkfifo(tmp_path / "d" / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(tmp_path / "d", os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")  # the whole path may be too long for a socket
        os.close(here)
        found = listed(tmp_path, b"d")
    status = os.stat(tmp_path / "d" / "a.jpg")
    assert found.entries[0] == (b"a.jpg", 1, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, 1)
    assert [entry[0] for entry in found.entries] == [b"a.jpg", b"b.jpg"]
    assert found.subdirectories == [b"d/sub"]
    assert (found.files, found.size, len(found.ignored), found.special, found.unreadable) == (2, 6, 1, 3, [])
    assert found.mtime_ns == os.stat(tmp_path / "d").st_mtime_ns


def test_a_known_signature(tmp_path: Path) -> None:
    """An unchanged directory is the same and gives no entries, yet all its counts and subdirectories."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"1")
    first = listed(tmp_path)
    second = listed(tmp_path, known=first.signature)
    assert len(first.signature) == 16
    assert not first.same
    assert second == first._replace(same=True, entries=[])


@pytest.mark.parametrize("change", ["write", "touch", "create", "remove", "rename", "replace", "rules"])
def test_every_change_changes_the_signature(change: str, tmp_path: Path) -> None:
    """Whatever happens to a file of the directory or to its rules gives another signature."""
    file = tmp_path / "a.jpg"
    file.write_bytes(b"1")
    os.utime(file, ns=(10**18, 10**18))
    before = listed(tmp_path).signature
    match change:
        case "write":
            file.write_bytes(b"12")
        case "touch":
            os.utime(file, ns=(10**18, 10**18 + 1))
        case "create":
            (tmp_path / "Thumbs.db").write_bytes(b"")
        case "remove":
            file.unlink()
        case "rename":
            file.rename(tmp_path / "b.jpg")
        case "replace":
            (tmp_path / "new").write_bytes(b"2")
            os.utime(tmp_path / "new", ns=(10**18, 10**18))
            (tmp_path / "new").rename(file)
        case "rules":
            (tmp_path / "sub").mkdir()
            path = os.fsencode(tmp_path)
            assert list_directory(path, b"", NameRules(path, exclude=("*.x",)), before).same is False
            return
    assert listed(tmp_path, known=before).same is False


def test_an_ignore_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """The listing itself notices that its directory's ignore file is another one, or gone."""
    path = os.fsencode(tmp_path)
    rules = NameRules(path)
    (tmp_path / "a.log").write_bytes(b"1")
    assert len(list_directory(path, b"", rules, None).ignored) == 0
    (tmp_path / ".sluiceignore").write_text("*.log")
    assert len(list_directory(path, b"", rules, None).ignored) == 2
    (tmp_path / ".sluiceignore").write_text("nothing")
    assert len(list_directory(path, b"", rules, None).ignored) == 1
    (tmp_path / ".sluiceignore").unlink()
    assert len(list_directory(path, b"", rules, None).ignored) == 0


def test_inodes_that_are_not_stable_are_left_out(tmp_path: Path) -> None:
    """Where inode numbers are invented they are zero, in the entries and in the signature."""
    path = os.fsencode(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"1")
    found = list_directory(path, b"", NameRules(path), None, stable_inodes=False)
    assert found.entries[0][4] == 0
    assert found.signature != listed(tmp_path).signature


def test_links_to_files_are_followed_only_inside_the_root(tmp_path: Path) -> None:
    """A link is a file when a library asks for that and its target is a file of the same root."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "outside.jpg").write_bytes(b"123")
    (root / "sub" / "inside.jpg").write_bytes(b"12345")
    (root / "good.jpg").symlink_to("sub/inside.jpg")
    (root / "bad.jpg").symlink_to(tmp_path / "outside.jpg")
    (root / "loop.jpg").symlink_to("loop.jpg")
    (root / "gone.jpg").symlink_to("nowhere")
    (root / "dir").symlink_to("sub")
    assert listed(root).special == 5
    found = listed(root, follow_files=True)
    assert [entry[:2] for entry in found.entries] == [(b"good.jpg", 5)]
    assert found.subdirectories == [b"sub"]


def test_strange_names(tmp_path: Path) -> None:
    """Latin-1, a newline and 255 bytes are names like others, before 1970 is a time like others."""
    names = sorted([b"caf\xe9.jpg", b"two\nlines.jpg", b"n" * 255])
    for name in names:
        path = os.fsencode(tmp_path) + b"/" + name
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.utime(path, ns=(-(10**9), -(10**9)))
    found = listed(tmp_path)
    assert [entry[0] for entry in found.entries] == names
    assert found.entries[0][2] == -(10**9)


def test_a_path_of_more_than_4096_bytes(tmp_path: Path) -> None:
    """A directory and a file that no system call could name at once are listed and opened."""
    root = os.fsencode(tmp_path)
    here = os.open(root, os.O_RDONLY)
    names = [b"%02d" % at + b"d" * 250 for at in range(20)]
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open(b"a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    deep = b"/".join(names)
    assert len(deep) > 4096
    assert [entry[0] for entry in listed(tmp_path, deep).entries] == [b"a.jpg"]
    assert listed(tmp_path, b"/".join(names[:-1])).subdirectories == [deep]
    os.close(open_file(root, deep, b"a.jpg"))
    with pytest.raises(FileNotFoundError):
        open_file(root, deep, b"b.jpg")
    with pytest.raises(FileNotFoundError):
        open_directory(root, deep + b"/none")


@pytest.mark.parametrize("what", ["missing", "file", "link"])
def test_a_directory_that_is_none_has_vanished(what: str, tmp_path: Path) -> None:
    """Gone, replaced by a file and replaced by a link mean the same: no such directory. No link is followed."""
    (tmp_path / "real").mkdir()
    if what == "file":
        (tmp_path / "d").write_bytes(b"")
    if what == "link":
        (tmp_path / "d").symlink_to("real")
    with pytest.raises(Vanished):
        listed(tmp_path, b"d")


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    """Only the root itself is followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"")
    (tmp_path / "link").symlink_to("real")
    assert listed(tmp_path / "link").files == 1


def test_a_name_that_is_too_long_is_unreadable(tmp_path: Path) -> None:
    """A component that no file system takes is an error of its own, not an endless descent."""
    with pytest.raises(Unreadable):
        listed(tmp_path, b"x" * 300)
