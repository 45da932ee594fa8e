from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediasluice.model.files import ChangeKey
from mediasluice.settle.formats import Format
from mediasluice.settle.probes import HAS_LEASES, Evidence, Writer, ignore_lease_signals, probe, writer_of
from tests import samples

pytestmark = pytest.mark.skipif(not HAS_LEASES, reason="this system has no leases")


@pytest.fixture(scope="module", autouse=True)
def _quiet_leases() -> Iterator[None]:
    before = signal.getsignal(signal.SIGIO)
    ignore_lease_signals()
    yield
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file.jpg"
    file.write_bytes(samples.jpeg("probe", 5_000))
    return file


def look(path: Path, *, free: bool = True, busy: bool = True, inodes: bool = True) -> Evidence:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return probe(
            fd,
            os.fstat(fd),
            os.pread(fd, 4096, 0),
            lease_proves_free=free,
            lease_proves_busy=busy,
            stable_inodes=inodes,
        )
    finally:
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0, "readers begin at the beginning"
        os.close(fd)


def test_a_file_at_rest_shows_all_its_evidence(path: Path) -> None:
    """Key, links, writer, holes and format come from one look."""
    os.link(path, path.with_name("again.jpg"))
    status = path.stat()
    key = ChangeKey(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    assert look(path) == Evidence(key, 2, Writer.FREE, holes=False, format=Format.COMPLETE)


def test_unstable_inodes_stay_out_of_the_key(path: Path) -> None:
    """Where inode numbers are invented they would differ at every look."""
    assert look(path, inodes=False).key.ino == 0


@pytest.mark.parametrize("mode", ["ab", "r+b"])
def test_an_open_writer_is_seen(path: Path, mode: str) -> None:
    """Whoever has the file open for writing makes it busy, though nothing is written."""
    with path.open(mode):
        assert look(path).writer is Writer.BUSY
    assert look(path).writer is Writer.FREE


def test_readers_do_not_make_a_file_busy(path: Path) -> None:
    """Only writers count."""
    with path.open("rb"):
        assert look(path).writer is Writer.FREE


@pytest.mark.parametrize(
    ("free", "busy", "written", "expected"),
    [
        (False, True, False, Writer.UNKNOWN),
        (False, True, True, Writer.BUSY),
        (False, False, False, Writer.UNKNOWN),
        (False, False, True, Writer.UNKNOWN),
        (True, False, True, Writer.UNKNOWN),
    ],
)
def test_a_lease_is_believed_only_as_far_as_the_mount_allows(
    path: Path, *, free: bool, busy: bool, written: bool, expected: Writer
) -> None:
    """FUSE and overlay say "free" too easily, NFS and SMB clients say "busy" too easily."""
    with path.open("ab" if written else "rb"):
        assert look(path, free=free, busy=busy).writer is expected


def test_without_leases_the_writer_is_unknown(path: Path) -> None:
    """The fallback of other systems claims nothing that it does not know."""
    with path.open("ab"):
        fd = os.open(path, os.O_RDONLY)
        assert writer_of(fd, leases=False) is Writer.UNKNOWN
        os.close(fd)


def test_unwritten_parts_are_holes(tmp_path: Path) -> None:
    """Holes and preallocated parts both mean that somebody is still to fill them."""
    sparse, reserved, full = (tmp_path / name for name in ("sparse", "reserved", "full"))
    with sparse.open("wb") as file:
        file.truncate(1 << 20)
    with reserved.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
    full.write_bytes(b"x" * (1 << 20))
    assert look(sparse).holes
    assert look(reserved).holes
    assert not look(full).holes


def test_an_empty_file_has_neither_holes_nor_a_format(tmp_path: Path) -> None:
    """Nothing can be said of nothing."""
    empty = tmp_path / "empty"
    empty.touch()
    seen = look(empty)
    assert (seen.key.size, seen.holes, seen.format) == (0, False, Format.UNKNOWN)


@pytest.mark.needs_root
def test_a_file_of_another_owner_is_unknown(tmp_path: Path) -> None:
    """Without CAP_LEASE the kernel refuses leases on files of others; that is not taken for a writer."""
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for directory in (tmp_path, *tmp_path.parents[:3]):
        os.chmod(directory, 0o755)
    code = (
        "import os, sys; from mediasluice.settle.probes import writer_of;"
        "fd = os.open(sys.argv[1], os.O_RDONLY); os.setuid(65534); print(writer_of(fd).name)"
    )
    source = str(Path(__file__).parents[3] / "src")
    answer = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": source},
        check=True,
    )
    assert answer.stdout.strip() == "UNKNOWN"
