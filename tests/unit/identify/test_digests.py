from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from xxhash import xxh3_128_digest

from mediasluice.errors import BadSetting, ChangedWhileReading, Unreadable, Vanished
from mediasluice.identify import digests

SIZES = [0, 1, 48 * 1024, 48 * 1024 + 1, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 1_000_003]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    """Descriptor of a file with this content."""
    fds: list[int] = []

    def make(content: bytes) -> int:
        path = tmp_path / f"file {len(fds)}"
        path.write_bytes(content)
        fds.append(os.open(path, os.O_RDONLY))
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


def bytes_read() -> int:
    """Bytes that this process has read by system calls since it began."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"])


@pytest.mark.parametrize("size", SIZES)
def test_all_digests_of_one_pass(opened: Callable[[bytes], int], size: int) -> None:
    """One pass gives the digests that the reference functions give of the same bytes (S2-12)."""
    content = os.urandom(size)
    reading = digests.read(opened(content), size, frozenset({"blake3", "xxh128", "sha256", "md5", "sha1"}))
    assert reading.length == size
    assert reading.digests.blake3 == blake3(content).digest()
    assert reading.digests.xxh128 == xxh3_128_digest(content)
    assert reading.digests.sha256 == hashlib.sha256(content).digest()
    assert reading.digests.md5 == hashlib.md5(content).digest()
    assert reading.digests.sha1 == hashlib.sha1(content).digest()


@pytest.mark.parametrize("size", SIZES)
def test_what_nobody_asked_for_is_not_made(opened: Callable[[bytes], int], size: int) -> None:
    """SHA-256, MD5 and SHA-1 are made only where they are asked for; BLAKE3 and XXH3-128 always."""
    content = os.urandom(size)
    made = digests.read(opened(content), size).digests
    assert made == (blake3(content).digest(), xxh3_128_digest(content), None, None, None)


def test_sha256_is_that_of_sha256sum(tmp_path: Path) -> None:
    """The SHA-256 is the one that the command line tool prints (S2-12)."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(700_000))
    printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    with path.open("rb") as file:
        made = digests.read(file.fileno(), 700_000, digests.ALWAYS | {"sha256"}).digests.sha256
    assert made is not None
    assert printed == made.hex()


def test_xxh128_is_that_of_the_reference_implementation() -> None:
    """XXH3-128 matches the published values for the empty input and for one byte sequence (S2-12)."""
    assert xxh3_128_digest(b"").hex() == "99aa06d3014798d86001c324468d497f"
    if tool := shutil.which("xxhsum"):
        printed = subprocess.run([tool, "-H2", "-"], input=b"mediasluice", capture_output=True, check=True).stdout
        assert printed.split()[0].decode() == xxh3_128_digest(b"mediasluice").hex()


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="the system does not count the bytes that are read")
@pytest.mark.parametrize("size", [40_000, 200_000, 3_000_000])
def test_a_file_is_read_once(opened: Callable[[bytes], int], size: int) -> None:
    """However many digests are made, as many bytes are read as the file has (S2-23)."""
    fd = opened(os.urandom(size))
    empty = -bytes_read() + bytes_read()  # what the counting itself reads
    before = bytes_read()
    digests.read(fd, size, digests.ALWAYS | {"sha256", "md5"})
    assert bytes_read() - before - empty == pytest.approx(size, abs=64)  # the counters' text varies by a digit


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A file of 10 GB is sampled, and its first GB digested, within 8 MB of additional memory (S2-30)."""
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 10 << 30)
    with path.open("rb") as file:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        digests.quick(file.fileno(), 10 << 30)
        with pytest.raises(ChangedWhileReading):  # one GB is where the test stops, the whole takes some seconds
            digests.read(file.fileno(), (1 << 30) - 1)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 8 * 1024  # KiB


@pytest.mark.parametrize("size", SIZES)
def test_quick_alone_is_quick_of_the_pass(opened: Callable[[bytes], int], size: int) -> None:
    """The samples that are taken on the way are the samples that are read alone."""
    content = os.urandom(size)
    fd = opened(content)
    assert digests.quick(fd, size) == digests.read(fd, size).quick


def test_quick_digests_the_whole_of_a_small_file(opened: Callable[[bytes], int]) -> None:
    """Up to 48 KiB the quick digest is the XXH3-128 of the whole file."""
    content = os.urandom(48 * 1024)
    assert digests.quick(opened(content), len(content)) == xxh3_128_digest(content)


def test_quick_digests_three_samples_of_a_large_file(opened: Callable[[bytes], int]) -> None:
    """Above 48 KiB it is the XXH3-128, seeded with the size, of 16 KiB at the start, the middle and the end."""
    content = os.urandom(1_000_003)
    middle = 500_001 & ~4095
    samples = content[:16384] + content[middle : middle + 16384] + content[-16384:]
    assert digests.quick(opened(content), len(content)) == xxh3_128_digest(samples, 1_000_003)


@pytest.mark.parametrize("size", SIZES)
def test_content_is_the_blake3(opened: Callable[[bytes], int], size: int) -> None:
    """The content digest alone is the same BLAKE3."""
    content = os.urandom(size)
    assert digests.content(opened(content), size) == blake3(content).digest()


@pytest.mark.parametrize("size", [100, 100_000, 1_000_000])
@pytest.mark.parametrize("found", [-1, 1], ids=["shorter", "longer"])
@pytest.mark.parametrize("function", [digests.read, digests.content])
def test_another_length_is_a_change(
    opened: Callable[[bytes], int], function: Callable[[int, int], object], size: int, found: int
) -> None:
    """Fewer or more bytes than expected give no digest but ChangedWhileReading."""
    fd = opened(os.urandom(size + found))
    with pytest.raises(ChangedWhileReading, match=f"{size} were expected"):
        function(fd, size)


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_shorter_file_has_no_samples(opened: Callable[[bytes], int], size: int) -> None:
    """A file that ends before a sample is complete gives no quick digest."""
    with pytest.raises(ChangedWhileReading):
        digests.quick(opened(os.urandom(size - 1)), size)


def test_a_read_error_gives_no_digest() -> None:
    """Where the system refuses the bytes there is no digest, and its reason is told."""
    fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(Unreadable, match="Is a directory"):
            digests.read(fd, 10)
    finally:
        os.close(fd)


def test_a_file_that_its_server_lost_has_vanished() -> None:
    """ESTALE means that the file is gone, not that it is unreadable."""
    stale = OSError(116, "Stale file handle")
    assert isinstance(digests._refused(stale), Vanished)


def test_the_position_of_the_descriptor_does_not_matter(opened: Callable[[bytes], int]) -> None:
    """A descriptor that somebody has read from is digested from its first byte."""
    fd = opened(b"0123456789")
    os.read(fd, 5)
    assert digests.read(fd, 10).digests.blake3 == blake3(b"0123456789").digest()


def test_systems_without_preadv(opened: Callable[[bytes], int]) -> None:
    """The way to read for systems without preadv fills the same bytes."""
    fd, view = opened(b"0123456789"), memoryview(bytearray(4))
    assert (digests._seek_and_read(fd, view, 7), bytes(view)) == (3, b"789\0")


def test_progress_is_told_of_a_large_file(tmp_path: Path) -> None:
    """A large file reports how far the pass is, at the end its whole length."""
    size = (130 << 20) + 5
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, size)
    told: list[int] = []
    with path.open("rb") as file:
        digests.read(file.fileno(), size, progress=told.append)
    assert told == [64 << 20, 128 << 20, size]


def test_an_unknown_algorithm_is_refused(opened: Callable[[bytes], int]) -> None:
    """A name that is no digest is a bad setting and names those there are."""
    with pytest.raises(BadSetting, match="crc32") as refused:
        digests.read(opened(b"x"), 1, frozenset({"crc32"}))
    assert "sha256" in (refused.value.hint or "")


VECTORS = {
    1: "1f25c8d0bc1f4bb6",
    8: "dab99d95c6f90092",
    9: "ceea90f8cae87643",
    16: "98deda149bc85cea",
    17: "f827426a50ae2761",
    24: "c47c71bd4694ff81",
    25: "be11a9b000c5080f",
}


@pytest.mark.parametrize("size", VECTORS)
def test_sample_hash_of_the_agents(opened: Callable[[bytes], int], size: int) -> None:
    """XXH64 with samples of 8 bytes gives the recorded values of the agents' protocol (S4-30)."""
    content = bytes((7 * position + 3) % 256 for position in range(size))
    assert digests.sample_hash("xxhash64", opened(content), size, 8) == VECTORS[size]


def test_sample_hash_of_an_empty_file(opened: Callable[[bytes], int]) -> None:
    """An empty file has an empty sample digest."""
    assert digests.sample_hash("sha256", opened(b""), 0, 8) == ""


@pytest.mark.parametrize(("algorithm", "sample_size"), [("md5", 8), ("sha256", 0)])
def test_sample_hash_refuses_what_it_cannot_do(
    opened: Callable[[bytes], int], algorithm: str, sample_size: int
) -> None:
    """Another algorithm or an empty sample is a bad setting."""
    with pytest.raises(BadSetting):
        digests.sample_hash(algorithm, opened(b"x"), 1, sample_size)
