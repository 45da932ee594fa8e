"""Compare what the media files of some folders play, or look and sound like, at once: nothing is stored.

Takes directories as bytes. Gives groups of files with different contents that ``identify.alike`` puts together; equal
contents are the business of ``pipeline/duplicates.py``. Files are read in isolated processes, as in the service.
A file that cannot be compared is in no group; the report names it, with the reason.
Fails with: RootUnusable for a directory that cannot be used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mediasluice.catalogue import products
from mediasluice.errors import FileError
from mediasluice.identify import alike, digests
from mediasluice.identify.alike import Alike, Looks
from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.model.files import Kind, in_range
from mediasluice.model.flow import RootId
from mediasluice.pipeline import census, making
from mediasluice.pipeline.census import Census
from mediasluice.pipeline.isolation import Chunk, Code, File, Isolation

AHEAD = 8  # chunks that are under way, chosen: no process has to wait, and little is held
WAIT_S = 1.0  # chosen: how soon Ctrl-C is noticed at the latest

_NO_ROOT = RootId(0)


class Member(NamedTuple):
    """A file of a group. ``library`` is ``None`` where nobody knows of any."""

    library: str | None
    path: bytes
    content: bytes  # BLAKE3
    kind: Kind
    size: int  # bytes


class Group(NamedTuple):
    """Files that belong together; see ``identify.alike``."""

    proof: str
    certainty: str
    files: list[Member]


class Report(NamedTuple):
    """What came of it."""

    groups: list[Group]
    failed: list[tuple[bytes, str]]  # absolute path, reason


def compare(
    directories: Sequence[bytes],
    what: str,
    isolation: Callable[[Callable[[], None], float | None], Isolation],
    progress: Callable[[int, int], None],
    *,
    processes: int = 2,
) -> Report:
    """Compare what lies below these directories. ``what``: ``products.ESSENCE`` or ``products.LIKENESS``.

    ``isolation`` makes the processes; ``progress`` is told how many files are done, and of how many.
    """
    files = census.take(directories, processes)
    failed = list(files.failed)
    names = {numbers[0]: numbers for numbers in files.hard_links()}
    wanted = _media(files, {other for numbers in names.values() for other in numbers[1:]}, what, failed)
    answered = threading.Event()
    readers = isolation(answered.set, making.DEADLINES[what])
    try:
        made = {
            number: value
            for number, value in _made(wanted, what, readers, answered, progress)
            if _is_made(files, number, value, failed)
        }
    finally:
        readers.close()
    groups = [
        Group(found.proof, found.certainty, _members(files, found, names, wanted, failed))
        for found in _alike(what, made, wanted)
    ]
    return Report([group for group in groups if len({one.content for one in group.files}) > 1], failed)


def in_catalogue(what: str, looks: Callable[[Kind], Iterable[Looks]], streams: Iterable[alike.Row]) -> Iterator[Alike]:
    """The groups of everything that the catalogue knows."""
    if what == products.ESSENCE:
        yield from alike.by_essence(streams)
    else:
        yield from alike.by_pictures(looks(Kind.IMAGE))
        yield from alike.by_films(looks(Kind.VIDEO))
        yield from alike.by_sounds(looks(Kind.AUDIO))


def _media(
    files: Census, others: Collection[int], what: str, failed: list[tuple[bytes, str]]
) -> dict[int, tuple[bytes, File]]:
    """The root, and the file as processes are asked for it, of each media file; ``others`` are further names."""
    kinds = making.kinds_of(what)
    found: dict[int, tuple[bytes, File]] = {}
    for number in range(len(files)):
        if number in others:
            continue
        try:
            fd = files.open(number)
            try:
                head, status = os.pread(fd, HEAD, 0), os.fstat(fd)
            finally:
                os.close(fd)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed.append((files.path(number), error.strerror or str(error)))
            continue
        root, directory, _, _ = files.directories[files.owners[number]]
        name = os.path.basename(files.path(number))
        kind = kind_of(head, name)
        if kind in kinds:
            key = status.st_ino, status.st_size, in_range(status.st_mtime_ns), in_range(status.st_ctime_ns)
            found[number] = root, (directory, name, key, (kind.value, None))
    return found


def _made(
    wanted: Mapping[int, tuple[bytes, File]],
    what: str,
    readers: Isolation,
    answered: threading.Event,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[int, Any]]:
    """What was made of each file: a value as its verb gives it, or why there is none."""
    chunks, under_way, done = _chunks(wanted, what), 0, 0
    while True:
        while under_way < AHEAD and (chunk := next(chunks, None)) is not None:
            readers.submit(chunk)
            under_way += 1
        if not under_way:
            return
        answered.wait(WAIT_S)
        answered.clear()
        for answer in readers.drain():
            under_way -= 1
            numbers = answer.token
            assert isinstance(numbers, list)
            for number, (code, value) in zip(numbers, answer.outcomes, strict=True):
                yield number, _outcome(what, code, value, answer.failure)
            done += len(numbers)
            progress(done, len(wanted))


def _chunks(wanted: Mapping[int, tuple[bytes, File]], what: str) -> Iterator[Chunk]:
    by_root: dict[bytes, list[int]] = {}
    for number, (root, _) in wanted.items():
        by_root.setdefault(root, []).append(number)
    for root, numbers in by_root.items():
        for start in range(0, len(numbers), making.CHUNK):
            part = numbers[start : start + making.CHUNK]
            yield Chunk(part, what, _NO_ROOT, root, [wanted[number][1] for number in part])


def _outcome(what: str, code: Code, value: object, failure: str | None) -> Any:  # noqa: ANN401 - of unknown origin
    """The value of a file; a text says why there is none, ``None`` that nobody needs to know."""
    if code is Code.READ:
        try:
            return making.streams_of(value) if what == products.ESSENCE else making.looks_of(value)
        except (TypeError, ValueError):
            return "what was made of it makes no sense"
    if code is Code.GONE:
        return None
    return str(value or failure or f"it was {code.value}")


def _is_made(files: Census, number: int, value: object, failed: list[tuple[bytes, str]]) -> bool:
    if isinstance(value, str):
        failed.append((files.path(number), value))
    return not isinstance(value, str) and value is not None


def _alike(what: str, made: Mapping[int, Any], wanted: Mapping[int, tuple[bytes, File]]) -> Iterator[Alike]:
    def looks(kind: Kind) -> list[Looks]:
        of_kind = [Looks(number, *value) for number, value in made.items() if wanted[number][1][3][0] == kind.value]
        return sorted(of_kind, key=lambda one: (one.duration or 0.0, one.content))

    return in_catalogue(what, looks, made.items())


def _members(
    files: Census,
    found: Alike,
    names: Mapping[int, Sequence[int]],
    wanted: Mapping[int, tuple[bytes, File]],
    failed: list[tuple[bytes, str]],
) -> list[Member]:
    """The files of a group under all their names; who changed meanwhile is left out."""
    members = []
    for number in found.contents:
        _, (_, _, key, (kind, _)) = wanted[number]
        try:
            fd = files.open(number)
            try:
                content = digests.content(fd, key[1])
                is_unchanged = in_range(os.fstat(fd).st_ctime_ns) == key[3]
            finally:
                os.close(fd)
        except (OSError, FileError) as error:
            failed.append((files.path(number), str(error)))
            continue
        if not is_unchanged:
            failed.append((files.path(number), "changed while it was read"))
            continue
        members += [
            Member(None, files.path(name), content, Kind(kind), key[1]) for name in names.get(number, (number,))
        ]
    return members
