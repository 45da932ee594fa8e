from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from benchmarks.trees import write_tree
from mediasluice.errors import RootUnusable
from mediasluice.pipeline import census, duplicates
from mediasluice.pipeline.census import Census
from mediasluice.pipeline.duplicates import Group, Totals, json_line, report

LARGE = 300_000  # bytes; above what is read whole at first sight


def look(*directories: Path, processes: int = 2) -> tuple[list[Group], Totals]:
    """The groups and totals of a report."""
    groups: list[Group] = []
    totals = report([os.fsencode(directory) for directory in directories], groups.append, processes=processes)
    return groups, totals


def names(groups: list[Group], top: Path) -> set[frozenset[bytes]]:
    """Membership of the groups, by path relative to ``top``."""
    start = os.fsencode(top)
    return {frozenset(os.path.relpath(path, start) for path, _, _ in group.files) for group in groups}


def write(top: Path, **contents: bytes) -> None:
    for name, content in contents.items():
        (top / name).write_bytes(content)


@pytest.mark.parametrize("shape", ["small", "media"])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_groups_are_those_of_the_generator(tmp_path: Path, shape: str, processes: int) -> None:
    """Over a generated tree the members of every group are exactly those that were written equal (S4-02)."""
    counts = write_tree(shape, str(tmp_path / "tree"), {"small": 3_000, "media": 12}[shape], seed=5)
    lines = (tmp_path / "tree.truth.jsonl").read_text().splitlines()
    groups, totals = look(tmp_path / "tree", processes=processes)
    truth = {frozenset(os.fsencode(name) for name in json.loads(line)["files"]) for line in lines}
    assert names(groups, tmp_path / "tree") == truth
    assert (totals.groups, totals.copies, totals.failed) == (counts["groups"], counts["copies"], [])
    assert totals.bytes == sum(group.size * (len(group.files) - 1) for group in groups)


def test_the_same_tree_gives_the_same_report(tmp_path: Path) -> None:
    """However the work falls to the processes, the order is the same."""
    write_tree("small", str(tmp_path / "tree"), 2_000, seed=6)
    assert look(tmp_path / "tree", processes=1) == look(tmp_path / "tree", processes=3)


@pytest.mark.parametrize("size", [1, 5_000, LARGE])
def test_a_group_tells_size_content_and_files(tmp_path: Path, size: int) -> None:
    """A group has the size, the BLAKE3 of the content and path, inode and device of each file."""
    content = os.urandom(size)
    write(tmp_path, one=content, two=content)
    groups, totals = look(tmp_path)
    status = {name: (tmp_path / name).stat() for name in ("one", "two")}
    files = {(os.fsencode(tmp_path / name), status[name].st_ino, status[name].st_dev) for name in status}
    assert [(group.size, group.content, set(group.files)) for group in groups] == [
        (size, blake3(content).hexdigest(), files)
    ]
    assert totals == Totals(2, 1, 1, size, [])


def test_empty_files_are_no_duplicates(tmp_path: Path) -> None:
    """Files without a byte are not taken part in the report."""
    write(tmp_path, one=b"", two=b"")
    assert look(tmp_path) == ([], Totals(0, 0, 0, 0, []))


def test_every_name_and_kind_takes_part(tmp_path: Path) -> None:
    """Hidden files, temporary names, junk and files of any kind are compared like all others; nothing is ignored."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "@eaDir").mkdir()
    everything = [
        ".hidden",
        "film.mkv.part",
        "x.tmp",
        "Thumbs.db",
        ".git/object",
        "@eaDir/thumb",
        "no extension",
        "a.py",
    ]
    for name in everything:
        (tmp_path / name).write_bytes(b"the same")
    groups, _ = look(tmp_path)
    assert names(groups, tmp_path) == {frozenset(map(os.fsencode, everything))}


def test_odd_names(tmp_path: Path) -> None:
    """Names with newlines, quotes, Latin-1 bytes or 255 bytes are told exactly, in JSON as well."""
    odd = [
        b"new\nline",
        b"tab\tand \"quotes\" 'both' \\ `tick`",
        b"latin-1 caf\xe9",
        b"utf-8 caf\xc3\xa9",
        "e\u0301 NFD".encode(),
        "\u00e9 NFC".encode(),
        b"\xed\xb3\xa9 encoded surrogate",
        b"\xf0\x9f\x8e\xb5",
        b" leading and trailing ",
        b"-rf",
        b"\x01\x7f control",
        b"n" * 255,
    ]
    top = os.fsencode(tmp_path)
    for name in odd:
        with open(top + b"/" + name, "xb") as file:
            file.write(b"the same")
    groups, totals = look(tmp_path)
    assert names(groups, tmp_path) == {frozenset(odd)}
    assert totals.failed == []
    line = json_line(groups[0])
    assert "\n" not in line
    told = json.loads(line)
    assert {os.fsencode(file["path"]) for file in told["files"]} == {top + b"/" + name for name in odd}
    assert set(told) == {"size", "content", "files"}
    assert told["files"][0].keys() == {"library", "path", "inode"}


@contextmanager
def deep(top: Path, depth: int) -> Iterator[int]:
    """Descriptor of a directory so deep that its path is too long for any system call."""
    fd = os.open(top, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir("d" * 200, dir_fd=fd)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [100, LARGE])
def test_paths_that_are_too_long_for_the_kernel(tmp_path: Path, size: int) -> None:
    """Files below 5,000 bytes of directories are listed, read and told like others."""
    content = os.urandom(size)
    write(tmp_path, near=content)
    with deep(tmp_path, 25) as fd:
        far = os.open("far", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        os.write(far, content)
        os.close(far)
        groups, totals = look(tmp_path)
    assert {path.rsplit(b"/", 1)[1] for path, _, _ in groups[0].files} == {b"near", b"far"}
    assert max(len(path) for path, _, _ in groups[0].files) > 5_000
    assert totals.failed == []
    subprocess.run(["rm", "-rf", tmp_path / ("d" * 200)], check=True)


@pytest.mark.parametrize("size", [100, LARGE])
def test_hard_links_are_one_copy(tmp_path: Path, size: int) -> None:
    """All names of an inode are told, and together they count once (S4-32)."""
    content = os.urandom(size)
    write(tmp_path, one=content, other=content)
    for name in ("second", "third"):
        os.link(tmp_path / "one", tmp_path / name)
    groups, totals = look(tmp_path)
    assert names(groups, tmp_path) == {frozenset({b"one", b"second", b"third", b"other"})}
    assert totals == Totals(4, 1, 1, size, [])


def test_names_of_one_inode_alone_are_no_group(tmp_path: Path) -> None:
    """Several names of a single inode waste nothing, so they are not duplicates."""
    write(tmp_path, one=b"alone")
    os.link(tmp_path / "one", tmp_path / "second")
    assert look(tmp_path) == ([], Totals(2, 0, 0, 0, []))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFOs")
@pytest.mark.timeout(10)
def test_special_files_are_never_opened(tmp_path: Path) -> None:
    """A FIFO without a writer, which would hold whoever opens it, and a socket are passed over."""
    write(tmp_path, one=b"same", two=b"same")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(tmp_path)  # the name of a socket has 108 bytes at most
            listening.bind("socket")
        finally:
            os.fchdir(here)
            os.close(here)
        groups, totals = look(tmp_path)
    assert (names(groups, tmp_path), totals.files, totals.failed) == ({frozenset({b"one", b"two"})}, 2, [])


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    """Links to files, to directories, to nothing and in a circle lead nowhere."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    write(tree, one=b"same", two=b"same")
    write(outside, three=b"same")
    (tree / "file").symlink_to(outside / "three")
    (tree / "directory").symlink_to(outside)
    (tree / "loop").symlink_to(tree)
    (tree / "circle").symlink_to("circle")
    (tree / "nowhere").symlink_to("missing")
    groups, totals = look(tree)
    assert (names(groups, tree), totals.files, totals.failed) == ({frozenset({b"one", b"two"})}, 2, [])


def test_overlapping_directories_list_a_file_once(tmp_path: Path) -> None:
    """A directory given twice, under another spelling, by a link or inside another one adds nothing."""
    below = tmp_path / "tree" / "below"
    below.mkdir(parents=True)
    write(below, one=b"same", two=b"same")
    (tmp_path / "link").symlink_to(below)
    tree = tmp_path / "tree"
    for given in (
        (tree, below),
        (below, tree),
        (tree, tree),
        (tree, tmp_path / "link"),
        (below, below / ".." / "below"),
    ):
        groups, totals = look(*given)
        assert (len(groups), len(groups[0].files), totals.files) == (1, 2, 2)


def test_directories_beside_each_other(tmp_path: Path) -> None:
    """Duplicates are found across the given directories; a link as the directory itself is followed."""
    for name in ("a", "ab"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, file=b"same")
    (tmp_path / "link").symlink_to("ab")
    groups, _ = look(tmp_path / "a", tmp_path / "link")
    assert names(groups, tmp_path) == {frozenset({b"a/file", b"link/file"})}


def test_relative_directories_give_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever way a directory is named, the paths that are told are absolute."""
    write(tmp_path, one=b"same", two=b"same")
    monkeypatch.chdir(tmp_path)
    groups: list[Group] = []
    report([b"."], groups.append)
    assert {path for path, _, _ in groups[0].files} == {os.fsencode(tmp_path / name) for name in ("one", "two")}


def test_dots_behind_a_link_mean_what_the_kernel_says(tmp_path: Path) -> None:
    """``link/..`` is the directory above the link's target, not the one that holds the link."""
    (tmp_path / "far" / "below").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far" / "below")
    assert census.distinct_roots([os.fsencode(f"{tmp_path}/near/link/..")]) == [os.fsencode(tmp_path / "far")]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_directory_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    """A directory that is missing, or none, is refused by name before anything is read."""
    write(tmp_path, file=b"x")
    with pytest.raises(RootUnusable) as refused:
        look(tmp_path, tmp_path / name)
    assert refused.value.path == str(tmp_path / name)


@contextmanager
def nobody(top: Path) -> Iterator[None]:
    """Without the rights of root, which no permission stops."""
    if os.geteuid():
        yield
        return
    for path in (top, *top.parents):
        if path != Path("/") and not path.stat().st_mode & 0o5:
            path.chmod(path.stat().st_mode | 0o55)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("processes", [1, 2])
def test_unreadable_files_are_named_and_in_no_group(tmp_path: Path, size: int, processes: int) -> None:
    """What may not be read has no digest: it is counted, named with its reason, and the others are compared."""
    content = os.urandom(size)
    write(tmp_path, one=content, two=content, three=content)
    (tmp_path / "locked").mkdir()
    (tmp_path / "three").chmod(0)
    (tmp_path / "locked").chmod(0)
    with nobody(tmp_path):
        groups, totals = look(tmp_path, processes=processes)
    (tmp_path / "locked").chmod(0o700)
    assert names(groups, tmp_path) == {frozenset({b"one", b"two"})}
    assert sorted(totals.failed) == [
        (os.fsencode(tmp_path / "locked"), "Permission denied"),
        (os.fsencode(tmp_path / "three"), "Permission denied"),
    ]


def listed(top: Path) -> Census:
    return census.take([os.fsencode(top)], 1)


def name_of(files: Census, number: int) -> bytes:
    return os.path.basename(files.path(number))


def compare(files: Census, numbers: list[int]) -> tuple[list[list[int]], list[tuple[bytes, str]]]:
    failed: list[tuple[bytes, str]] = []
    equal = [numbers for _, numbers in duplicates._compare(files, numbers, failed)]
    return equal, failed


def prove(files: Census, numbers: list[int]) -> tuple[list[list[int]], list[tuple[bytes, str]]]:
    failed: list[tuple[bytes, str]] = []
    equal = [numbers for _, numbers in duplicates._prove(files, numbers, failed)]
    return equal, failed


@pytest.mark.parametrize("way", [compare, prove])
@pytest.mark.parametrize("change", ["written", "longer", "shorter", "replaced", "gone", "now a link", "now a FIFO"])
def test_a_file_that_changes_after_its_listing(tmp_path: Path, way: object, change: str) -> None:
    """A file that is not what was listed when its last byte is read is named and in no group."""
    write(tmp_path, one=b"x" * 60_000, two=b"x" * 60_000, three=b"x" * 60_000)
    files = listed(tmp_path)
    victim = tmp_path / "two"
    later = files.changed[0] + 1
    if change == "written":
        victim.write_bytes(b"x" * 60_000)
    elif change in {"longer", "shorter"}:
        os.truncate(victim, 60_001 if change == "longer" else 59_999)
    else:
        victim.unlink()
        if change == "replaced":
            victim.write_bytes(b"x" * 60_000)
        elif change == "now a link":
            victim.symlink_to(tmp_path / "one")
        elif change == "now a FIFO":
            os.mkfifo(victim)
    if change in {"written", "replaced"}:
        while victim.stat().st_ctime == files.changed[[name_of(files, number) for number in range(3)].index(b"two")]:
            os.utime(victim, (later, later))  # until the kernel's clock has ticked
    assert callable(way)
    equal, failed = way(files, list(range(3)))
    assert [sorted(name_of(files, number) for number in numbers) for numbers in equal] == [[b"one", b"three"]]
    assert [path for path, _ in failed] == [os.fsencode(victim)]


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    """A file that somebody writes to during the report is named, and equal to nothing."""
    for name in ("one", "two", "three"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 150 << 20)  # holes read fast, and still for longer than a tick of the clock
    script = (
        "import os, sys\n"
        "fd = os.open(sys.argv[1], os.O_WRONLY)\n"
        "print(flush=True)\n"
        "while True: os.pwrite(fd, b'\\0', 5)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / "two"], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            groups, totals = look(tmp_path)
        finally:
            writer.kill()
    assert names(groups, tmp_path) == {frozenset({b"one", b"three"})}
    assert totals.failed == [(os.fsencode(tmp_path / "two"), "changed while it was read")]


def test_equal_fast_digests_prove_nothing(tmp_path: Path) -> None:
    """Small files are called equal only for their bytes, even if all of them had the same fast digest."""
    write(tmp_path, a=b"first!", b=b"second", c=b"third!", d=b"first!", e=b"second", f=b"third!")
    files = listed(tmp_path)
    found = duplicates._compare(files, list(range(6)), [], fast=lambda _: b"")
    pairs = {(digest, frozenset(name_of(files, number) for number in numbers)) for digest, numbers in found}
    assert pairs == {
        (blake3(b"first!").digest(), frozenset({b"a", b"d"})),
        (blake3(b"second").digest(), frozenset({b"b", b"e"})),
        (blake3(b"third!").digest(), frozenset({b"c", b"f"})),
    }


@pytest.mark.parametrize("cached", [True, False], ids=["side by side", "one by one"])
@pytest.mark.parametrize("size", [50_000, 128 * 1024, 128 * 1024 + 1, 1_000_000])
def test_equal_quick_digests_prove_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    cached: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Large files that differ outside of the samples are told apart, in memory and on disk, four ways at once."""
    base = bytes(size)
    last = base[:-1] + b"\1"
    early = b"\1" + base[1:]
    middle = base[: size // 3] + b"\1" + base[size // 3 + 1 :]
    contents = [base, last, early, middle, last, base, early, base, middle]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}").write_bytes(content)
    if not cached:
        monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)  # as on systems that cannot ask what is in memory
    files = listed(tmp_path)
    equal, failed = prove(files, list(range(len(contents))))
    sets = {frozenset(int(name_of(files, number)) for number in numbers) for numbers in equal}
    assert (sets, failed) == ({frozenset({0, 5, 7}), frozenset({1, 4}), frozenset({2, 6}), frozenset({3, 8})}, [])


def test_many_files_of_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files of one size that would not fit into memory together are sampled and then proven like large ones."""
    monkeypatch.setattr(duplicates, "HELD", 1000)
    for number in range(400):
        (tmp_path / f"{number}").write_bytes(hashlib.sha512(b"%d" % (number % 150)).digest())
    groups, _ = look(tmp_path)
    expected = {frozenset(b"%d" % same for same in range(number, 400, 150)) for number in range(150)}
    assert names(groups, tmp_path) == expected


def test_more_equal_files_than_are_read_side_by_side(tmp_path: Path) -> None:
    """A group may have any number of files."""
    for number in range(40):
        (tmp_path / f"{number}").write_bytes(b"y" * 50_000)
    groups, totals = look(tmp_path)
    assert (len(groups), len(groups[0].files), totals.copies) == (1, 40, 39)


def test_listing_by_path_is_the_same(tmp_path: Path) -> None:
    """Systems that cannot list by descriptor list the same files."""
    (tmp_path / "below").mkdir()
    write(tmp_path, one=b"x", two=b"yy")
    top = os.fsencode(tmp_path)
    by_descriptor, by_path = Census(), Census()
    assert by_path.list_directory(top, b"", by_descriptor=False) == by_descriptor.list_directory(top, b"")
    assert by_path.columns() == by_descriptor.columns()


def test_one_process_where_there_are_threads(tmp_path: Path) -> None:
    """In a process with a second thread nothing is forked, and the report is the same."""
    write(tmp_path, **{f"f{number}": b"%d" % (number % 7) for number in range(50)})
    alone = look(tmp_path)
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    try:
        assert look(tmp_path) == alone
    finally:
        leave.set()
        thread.join()


@pytest.mark.needs_root
def test_one_file_under_two_mounts_is_one_copy(tmp_path: Path) -> None:
    """A file that a bind mount shows a second time is one inode, and no duplicate of itself."""
    (tmp_path / "real").mkdir()
    (tmp_path / "shown").mkdir()
    write(tmp_path / "real", file=b"alone")
    subprocess.run(["mount", "--bind", tmp_path / "real", tmp_path / "shown"], check=True)
    try:
        groups, totals = look(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path / "shown"], check=True)
    assert (groups, totals.files) == ([], 2)


def test_as_a_program(tmp_path: Path) -> None:
    """The module run by itself prints one JSON line for each group and ends with what could not be read."""
    write(tmp_path, one=b"same", two=b"same")
    ran = subprocess.run(
        [sys.executable, "-m", "mediasluice.pipeline.duplicates", tmp_path], capture_output=True, check=True
    )
    assert ran.stderr == b""
    (line,) = ran.stdout.splitlines()
    assert {file["path"] for file in json.loads(line)["files"]} == {str(tmp_path / "one"), str(tmp_path / "two")}


@pytest.mark.parametrize("known", [True, False], ids=["asked", "not told"])
def test_small_files_that_are_not_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:  # noqa: FBT001
    """Files that have to come from the disk are found all the same, and an unreadable one is named once."""
    write(tmp_path, one=b"same", two=b"same", three=b"same", four=b"same")
    for name in ("one", "two", "three", "four"):
        with (tmp_path / name).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if not known:
        monkeypatch.delattr(os, "RWF_NOWAIT")
    files = listed(tmp_path)
    (tmp_path / "two").unlink()
    equal, failed = compare(files, list(range(4)))
    assert [sorted(name_of(files, number) for number in numbers) for numbers in equal] == [[b"four", b"one", b"three"]]
    assert failed == [(os.fsencode(tmp_path / "two"), "No such file or directory")]
