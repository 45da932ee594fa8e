"""Report which files of some directories have the same content, at once: nothing is stored and nothing waited for.

Takes directories as bytes. Gives groups of at least two inodes with the same bytes, proven over their whole
length: compared byte by byte with one of the group, whose BLAKE3 is then the BLAKE3 of all, or digested each.
Every regular file that is not empty takes part, whatever its name. A file that changes between its listing and
its last byte, or refuses its bytes, is in no group; the totals name it.
Fails with: RootUnusable for a directory that cannot be used, Unavailable when one of the processes is killed.
Source: measured, see benchmarks/. Small files cost system calls, so each is read once and whole, one size after
another; large ones cost bandwidth, so samples tell most of them apart.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from blake3 import blake3
from xxhash import xxh3_128_digest

from mediasluice.errors import FileError
from mediasluice.identify import digests
from mediasluice.model.paths import text
from mediasluice.pipeline import census, forking
from mediasluice.pipeline.census import Census

SMALL = digests.WHOLE  # bytes up to which a file is read whole at first sight
HELD = 16 << 20  # bytes of one size that a process keeps in memory to compare; chosen
BATCH = 256  # files of a task; measured: 2 ms of work, so the processes end at nearly the same time
ABREAST = 32  # files read side by side; chosen, far below any limit of open files
LEADERS = 2  # files that others are read beside; after these a BLAKE3 of each is cheaper than more rounds
STRIDE = 128 << 10  # bytes read of one before the next; measured: two buffers stay in a cache of 1 MiB

CHANGED = "changed while it was read"

_one, _other = bytearray(STRIDE), bytearray(STRIDE)

File = tuple[bytes, int, int]  # absolute path, inode, device
Failures = list[tuple[bytes, str]]  # absolute path, reason


class Group(NamedTuple):
    """Files with one content: all their names, of at least two inodes."""

    size: int  # bytes
    content: str  # BLAKE3, hexadecimal
    files: list[File]


class Totals(NamedTuple):
    """What the report came to."""

    files: int  # names of regular files that are not empty
    groups: int
    copies: int  # inodes beyond the first of each group
    bytes: int  # what the copies take up
    failed: Failures  # what could not be listed or read, and why


def report(directories: Sequence[bytes], emit: Callable[[Group], None], *, processes: int = 2) -> Totals:
    """Hand each group of equal files below the directories to ``emit``; the same tree gives the same order.

    ``processes`` counts this one. It stays the only one where it has threads, or where forking is not safe.
    """
    collecting = gc.isenabled()
    gc.disable()  # a million small objects and no cycle among them: collecting takes a tenth of the time
    try:
        files = census.take(directories, processes)
        groups = copies = surplus = 0
        for size, content, members, more in _equal(files, processes):
            groups += 1
            copies += more
            surplus += size * more
            emit(Group(size, content, members))
        return Totals(len(files), groups, copies, surplus, files.failed)
    finally:
        if collecting:
            gc.enable()


def json_line(group: Group) -> str:
    """The group as JSON on one line, without the newline; undecodable bytes of a path become lone surrogates."""
    # Written out: the general encoder takes longer than comparing the files.
    files = ",".join(
        [
            f'{{"library":null,"path":{encode_basestring_ascii(text(path))},"inode":{inode}}}'
            for path, inode, _ in group.files
        ]
    )
    return f'{{"size":{group.size},"content":"{group.content}","files":[{files}]}}'


def _equal(files: Census, processes: int) -> Iterator[tuple[int, str, list[File], int]]:
    """Size, content, files and number of copies of each group."""
    names_of = {names[0]: names for names in files.hard_links()}
    small, large = _candidates(files, {other for names in names_of.values() for other in names[1:]})

    def rows(groups: Iterable[tuple[bytes, list[int]]]) -> bytes:
        told = [row for content, numbers in groups if (row := _row(files, content, numbers, names_of))]
        return marshal.dumps(told)  # unpacked one task at a time, so that all paths are never in memory at once

    def compare(number: int) -> tuple[bytes, Failures]:
        failed: Failures = []
        return rows(_compare(files, small[number], failed)), failed

    def sample(number: int) -> tuple[dict[bytes, list[int]], Failures]:
        failed: Failures = []
        return _by_digest(files, large[number], digests.quick, failed), failed

    def prove(number: int) -> tuple[bytes, Failures]:
        failed: Failures = []
        return rows(_prove(files, alike[number], failed)), failed

    for found, failed in forking.share(compare, len(small), processes):
        yield from marshal.loads(found)  # noqa: S302 - made by this program
        files.failed += failed
    together: dict[bytes, list[int]] = {}
    for sampled, failed in forking.share(sample, len(large), processes):
        for digest, numbers in sampled.items():
            together.setdefault(digest, []).extend(numbers)
        files.failed += failed
    alike = [numbers for numbers in together.values() if len(numbers) > 1]
    alike.sort(key=lambda numbers: files.sizes[numbers[0]] * len(numbers), reverse=True)  # small ones fill the end
    for found, failed in forking.share(prove, len(alike), processes):
        yield from marshal.loads(found)  # noqa: S302 - made by this program
        files.failed += failed


def _candidates(files: Census, other_names: set[int]) -> tuple[list[array[int]], list[array[int]]]:
    """Files that have the size of another one, in tasks: small ones to compare, large ones to sample.

    Files of one size that are to be compared are never in two tasks.
    """
    counts = Counter(files.sizes)
    for number in other_names:
        counts[files.sizes[number]] -= 1
    classes: dict[int, list[int]] = {size: [] for size, count in counts.items() if count > 1}
    for number, size in enumerate(files.sizes):
        if size in classes and number not in other_names:
            classes[size].append(number)
    small: list[array[int]] = []
    large = array("I")
    for size, numbers in classes.items():
        if size > SMALL or size * len(numbers) > HELD:
            large.extend(numbers)
        elif small and len(small[-1]) < BATCH:
            small[-1].extend(numbers)
        else:
            small.append(array("I", numbers))
    return small, [large[start : start + BATCH] for start in range(0, len(large), BATCH)]


def _row(
    files: Census, content: bytes, numbers: list[int], names_of: dict[int, list[int]]
) -> tuple[int, str, list[File], int] | None:
    """What is told of a group; None where all are one inode under several mounts."""
    copies = len({(files.inodes[number], files.devices[number]) for number in numbers}) - 1
    if not copies:
        return None
    names = [name for number in numbers for name in names_of.get(number, (number,))] if names_of else numbers
    members = [(files.path(name), files.inodes[name], files.devices[name]) for name in names]
    return files.sizes[numbers[0]], content.hex(), members, copies


def _compare(
    files: Census, numbers: Sequence[int], failed: Failures, fast: Callable[[bytes], bytes] = xxh3_128_digest
) -> Iterator[tuple[bytes, list[int]]]:
    """Read small files whole, those of one size one after another, and find the equal ones.

    ``fast`` only says where to look: bytes are compared before two files are called equal.
    """
    seen: dict[bytes, tuple[bytes, list[int]]] = {}
    seen_size = 0
    open_file, sizes, changed, read, fstat, close = files.open, files.sizes, files.changed, os.read, os.fstat, os.close
    _ask_disk(files, numbers)
    for number in numbers:
        size = sizes[number]
        if size != seen_size:
            yield from ((blake3(data).digest(), equal) for data, equal in seen.values() if len(equal) > 1)
            seen, seen_size = {}, size
        try:
            fd = open_file(number)
            try:
                data = read(fd, size + 1)
                while len(data) < size and (more := read(fd, size + 1 - len(data))):
                    data += more
                status = fstat(fd)
            finally:
                close(fd)
        except OSError as error:
            failed.append((files.path(number), error.strerror or str(error)))
            continue
        if len(data) != size or status.st_ctime != changed[number] or status.st_size != size:
            failed.append((files.path(number), CHANGED))
            continue
        key = fast(data)
        known = seen.get(key)
        if known is not None and known[0] != data:
            key = blake3(data).digest()  # another content with the same fast digest
            known = seen.get(key)
        if known is None:
            seen[key] = data, [number]
        else:
            known[1].append(number)
    yield from ((blake3(data).digest(), equal) for data, equal in seen.values() if len(equal) > 1)


def _ask_disk(files: Census, numbers: Sequence[int]) -> None:
    """Have the kernel fetch small files at once that are not in memory; measured: one by one takes twice as long."""

    def can(number: int, action: Callable[[int, int], bool]) -> bool:
        try:
            fd = files.open(number)
            try:
                return action(fd, files.sizes[number])
            finally:
                os.close(fd)
        except OSError:
            return False  # whoever reads the file will say so

    probes = (numbers[0], numbers[len(numbers) // 2], numbers[-1])
    if hasattr(os, "posix_fadvise") and not all(can(number, _is_cached) for number in probes):
        for number in sorted(numbers, key=files.inodes.__getitem__):  # nearly the order on disk
            can(number, _request)


def _request(fd: int, size: int) -> bool:
    os.posix_fadvise(fd, 0, size, os.POSIX_FADV_WILLNEED)
    return True


def _by_digest(
    files: Census, numbers: Sequence[int], digest_of: Callable[[int, int], bytes], failed: Failures
) -> dict[bytes, list[int]]:
    """Digest files one by one."""
    found: dict[bytes, list[int]] = {}
    for number in numbers:
        try:
            fd = files.open(number)
            try:
                digest = digest_of(fd, files.sizes[number])
                status = os.fstat(fd)
            finally:
                os.close(fd)
        except (OSError, FileError) as error:
            failed.append((files.path(number), _reason(error)))
            continue
        if files.is_unchanged(number, status):
            found.setdefault(digest, []).append(number)
        else:
            failed.append((files.path(number), CHANGED))
    return found


def _reason(error: OSError | FileError) -> str:
    return error.message if isinstance(error, FileError) else error.strerror or str(error)


def _prove(files: Census, numbers: list[int], failed: Failures) -> Iterator[tuple[bytes, list[int]]]:
    """Read files of one size and one quick digest to the end and find the equal ones.

    Side by side where that needs no disk, which saves the BLAKE3 of all but one; a disk would spend its time seeking.
    """
    fds: dict[int, int] = {}
    rest = numbers
    try:
        if len(numbers) <= ABREAST:
            for number in numbers:
                try:
                    fds[number] = files.open(number)
                except OSError as error:
                    failed.append((files.path(number), _reason(error)))
            rest = list(fds)
            if all(_is_cached(fd, files.sizes[number]) for number, fd in fds.items()):
                for _ in range(LEADERS):
                    group, rest = _side_by_side(files, fds, rest, failed)
                    if group:
                        yield group
        if len(rest) > 1:
            by_content = _by_digest(files, rest, digests.content, failed)
            yield from ((content, equal) for content, equal in by_content.items() if len(equal) > 1)
    finally:
        for fd in fds.values():
            os.close(fd)


def _is_cached(fd: int, size: int) -> bool:
    """Whether the kernel has the file in memory, judged by two places that no quick digest has read just now."""
    if not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        return all(os.preadv(fd, (_other,), place, os.RWF_NOWAIT) for place in (size // 4, size // 4 * 3))
    except OSError:  # EAGAIN: it would have to wait; EOPNOTSUPP: the file system cannot tell
        return False


def _side_by_side(
    files: Census, fds: dict[int, int], numbers: list[int], failed: Failures
) -> tuple[tuple[bytes, list[int]] | None, list[int]]:
    """Compare the first of the files with all others; give its group, if it has one, and those that differ."""

    def fill(number: int, buffer: bytearray) -> bool:
        try:
            digests.fill(fds[number], memoryview(buffer)[:length], offset)
        except FileError as error:
            failed.append((files.path(number), error.message))
            lost.add(number)
            return False
        return True

    def stayed(number: int) -> bool:
        if not files.is_unchanged(number, os.fstat(fds[number])):
            failed.append((files.path(number), CHANGED))
            lost.add(number)
        return number not in lost

    if len(numbers) < 2:
        return None, []
    first, *others = numbers
    size, digest, lost, equal = files.sizes[first], blake3(), set[int](), others
    for offset in range(0, size, STRIDE):
        length = min(STRIDE, size - offset)
        if not equal or not fill(first, _one):
            equal = []
            break
        digest.update(memoryview(_one)[:length])
        equal = [
            number
            for number in equal
            if fill(number, _other) and (_one == _other if length == STRIDE else _one[:length] == _other[:length])
        ]
    if equal and not stayed(first):
        equal = []  # they were compared with what is gone; let them be compared with another
    rest = [number for number in others if number not in equal and number not in lost]
    equal = [number for number in equal if stayed(number)]
    return ((digest.digest(), [first, *equal]) if equal else None), rest


def main() -> None:
    """Report the directories named on the command line as JSON lines; for timing without a command-line parser."""
    totals = report(list(map(os.fsencode, sys.argv[1:])), lambda group: print(json_line(group)))  # noqa: T201
    for path, reason in totals.failed:
        print(f"{text(path)}: {reason}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
