"""Damaged media cost a file its reading and nobody anything else: by the thousand."""

from __future__ import annotations

import hashlib
import math
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from mediasluice.cli.demo_media import all_media
from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.model.flow import RootId
from mediasluice.model.media import MEDIA_KINDS, Reading, from_json
from mediasluice.pipeline.isolation import DEADLINE_S, MEMORY, Answer, Chunk, Code, File, Isolation
from tests import encoded
from tests.conftest import CORPUS, SCALE

SHARE = min(1.0, SCALE / 10)  # of the corpus' files
GRACE_S = 3.0  # chosen: between the deadline and the moment in which a busy machine sees it enforced
OPEN_CHUNKS = 8  # chosen: enough for both processes, and the disk stays small
SAMPLED_S = 0.02
LONGEST_S = 10 * 365 * 86_400.0  # of a film, chosen

pytestmark = pytest.mark.timeout(120 + 240 * SCALE)


# -- twenty ways to be damaged ------------------------------------------------------------------------

Damage = Callable[[bytes, random.Random], bytes]

HUGE = tuple(bytes.fromhex(one) for one in ("ffffffff", "7fffffff", "ffffff7f", "80000000", "00000080", "00000000"))
HEADS = (
    b"\xff\xd8\xff\xe1\xff\xffExif\0\0II*\0\x08\0\0\0\xff\xff",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\x18ftypisom\0\0\0\0isommp42\xff\xff\xff\xffmoov",
    b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrl",
    b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
    b"fLaC\x7f\xff\xff\xff",
    b"OggS\0\2" + b"\xff" * 20,
    b"ID3\4\0\0\x7f\x7f\x7f\x7f",
    b"%PDF-1.7\n1 0 obj<<",
)


def flipped(content: bytes, chance: random.Random, count: int, within: int) -> bytes:
    changed = bytearray(content)
    for _ in range(count):
        changed[chance.randrange(min(within, len(changed)))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def lengthened(content: bytes, chance: random.Random, count: int) -> bytes:
    """Numbers that may be lengths, replaced by huge ones: most formats declare them in the first kilobytes."""
    changed = bytearray(content)
    for _ in range(count):
        place = chance.randrange(max(1, min(len(changed), 4096) - 4))
        changed[place : place + 4] = chance.choice(HUGE)
    return bytes(changed)


def boxed(content: bytes, chance: random.Random) -> bytes:
    """What stands in front of four letters is the length of a box or a chunk in many formats."""
    changed = bytearray(content)
    places = [place for place in range(4, min(len(changed), 65_536) - 4) if changed[place : place + 4].isalpha()]
    for place in chance.sample(places, min(4, len(places))):
        changed[place - 4 : place] = chance.choice(HUGE)
    return bytes(changed)


def zeroed(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + bytes(min(512, len(content) - start)) + content[start + 512 :]


DAMAGES: Mapping[str, Damage] = {
    "cut: nothing left": lambda content, _: content[:0],
    "cut: some bytes left": lambda content, chance: content[: chance.randrange(1, 16)],
    "cut: a header left": lambda content, chance: content[: chance.randrange(16, 256)],
    "cut: a hundredth left": lambda content, _: content[: len(content) // 100 + 32],
    "cut: a tenth left": lambda content, _: content[: len(content) // 10],
    "cut: half left": lambda content, _: content[: len(content) // 2],
    "cut: the last tenth missing": lambda content, _: content[: len(content) * 9 // 10],
    "cut: the last byte missing": lambda content, _: content[:-1],
    "zeros: all": lambda content, _: bytes(len(content)),
    "zeros: the second half": lambda content, _: content[: len(content) // 2].ljust(len(content), b"\0"),
    "zeros: behind the header": lambda content, _: content[:64].ljust(len(content), b"\0"),
    "zeros: a block": zeroed,
    "bits: eight in the header": lambda content, chance: flipped(content, chance, 8, 512),
    "bits: some in the first kilobytes": lambda content, chance: flipped(content, chance, 32, 4096),
    "bits: everywhere": lambda content, chance: flipped(content, chance, max(4, len(content) // 200), len(content)),
    "header: of another format": lambda content, chance: headed(content, chance.choice(HEADS)),
    "header: of another format in front": lambda content, chance: chance.choice(HEADS) + content,
    "lengths: some huge": lambda content, chance: lengthened(content, chance, 3),
    "lengths: many huge": lambda content, chance: lengthened(content, chance, 16),
    "lengths: of boxes": boxed,
}


def headed(content: bytes, head: bytes) -> bytes:
    return head + content[len(head) :]


# -- what is damaged ----------------------------------------------------------------------------------


class Whole(NamedTuple):
    """A sound file."""

    name: str
    content: bytes


def made() -> Iterator[Whole]:
    """Media of all formats that can be made here."""
    for one in all_media():
        if one.of is None and one.content:
            yield Whole(os.fsdecode(one.path).replace("/", "-"), one.content)
    for suffix in encoded.FILMS:
        yield Whole(f"film.{suffix}", encoded.film(suffix, title="A title", artist="Some One", date="2020-01-02"))
    for suffix in encoded.SOUNDS:
        yield Whole(f"sound.{suffix}", encoded.sound(suffix, title="A title", artist="Some One", date="2020-01-02"))
    for suffix in encoded.PICTURES:
        yield Whole(f"picture.{suffix}", encoded.picture(suffix))


def real(folder: Path) -> Iterator[Whole]:
    """A share of the corpus, with at least one file of each format."""
    files = sorted((folder / "files" if (folder / "files").is_dir() else folder).iterdir())
    files.sort(key=lambda path: path.suffix)
    seen, step = set[str](), round(1 / SHARE)
    for number, path in enumerate(files):
        if number % step == 0 or path.suffix not in seen:
            seen.add(path.suffix)
            yield Whole(path.name, path.read_bytes())


def test_there_are_twenty_ways_to_be_damaged() -> None:
    """Each of them gives other bytes than the sound file has, and the same ones each time."""
    assert len(DAMAGES) == 20
    content = encoded.film("mp4")
    for name, damage in DAMAGES.items():
        assert damage(content, random.Random(name)) != content, name
        assert damage(content, random.Random(name)) == damage(content, random.Random(name)), name


# -- how it is looked at ------------------------------------------------------------------------------


class Watch(threading.Thread):
    """Looks at the processes while they work: how much memory each took, how long each file."""

    def __init__(self, isolation: Isolation) -> None:
        super().__init__(daemon=True)
        self.peak = 0  # bytes that were resident at once in one process
        self.longest_s, self.longest = 0.0, b""
        self._isolation = isolation
        self._is_over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()

    def run(self) -> None:
        seen_s: dict[bytes, float] = {}
        while not self._is_over.wait(SAMPLED_S):
            for pid in self._isolation.pids():
                self.peak = max(self.peak, peak_of(pid))
            now_s = time.monotonic()
            seen_s = {busy.directory: seen_s.get(busy.directory, now_s) for busy in self._isolation.busy()}
            for directory, since_s in seen_s.items():  # each file has a directory of its own
                if now_s - since_s > self.longest_s:
                    self.longest_s, self.longest = now_s - since_s, directory


def peak_of(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it ended while we looked
        return 0
    return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")), 0)


class Ward:
    """Has damaged files read, a few at a time on the disk, and keeps what became of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcomes: Counter[str] = Counter()
        self.by_damage: dict[str, Counter[str]] = defaultdict(Counter)
        self.wrong: list[str] = []  # what must not happen
        self.files = 0
        self._came = threading.Event()
        self.isolation = Isolation(processes=2, wake=self._came.set)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.isolation.close()

    def admit(self, whole: Whole) -> None:
        """Damage a file in all ways, and have all of them read."""
        while self.isolation.outstanding >= OPEN_CHUNKS:
            self._collect()
        name = os.fsencode(whole.name)
        seed = hashlib.sha256(whole.content).hexdigest()
        chunk: list[File] = []
        for number, (how, damage) in enumerate(DAMAGES.items()):
            directory = self.folder / f"{seed[:16]}-{number}"
            directory.mkdir()
            content = damage(whole.content, random.Random(f"{how} {seed}")) if whole.content else b""
            (directory / whole.name).write_bytes(content)
            status = (directory / whole.name).stat()
            key = (0, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            kind = kind_of(content[:HEAD], name)
            if kind not in MEDIA_KINDS:  # nobody would read it; here somebody does
                kind = kind_of(whole.content[:HEAD], name)
            chunk.append((os.fsencode(directory.name), name, key, (kind.value, None)))
        self.files += len(chunk)
        self.isolation.submit(Chunk(tuple(one[0] for one in chunk), "read", RootId(1), bytes(self.folder), chunk))

    def finish(self) -> None:
        while self.isolation.outstanding or self._came.is_set():
            self._collect()

    def _collect(self) -> None:
        self._came.wait(0.1)
        self._came.clear()
        for answer in self.isolation.drain():
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        directories = answer.token
        assert isinstance(directories, tuple)
        if answer.failure is not None:
            self.wrong.append(answer.failure)
        for directory, kind, (code, value) in zip(directories, DAMAGES, answer.outcomes, strict=True):
            (path,) = (self.folder / os.fsdecode(directory)).iterdir()
            word = self._word(code, value, path, kind)
            self.outcomes[word] += 1
            self.by_damage[kind][word] += 1
            path.unlink()
            path.parent.rmdir()

    def _word(self, code: Code, value: object, path: Path, kind: str) -> str:
        """What became of a file, and whether that may happen."""
        if code is not Code.READ:
            if code is not Code.FAILED:
                self.wrong.append(f"{path.name}, {kind}: {code.name} {value}")
            return str(code.value)
        assert isinstance(value, str)
        reading = from_json(value)
        self.wrong += [f"{path.name}, {kind}: {why}" for why in senseless(reading)]
        if not reading.reader:
            return "not understood"
        return "read in part" if reading.error else "read"


def senseless(reading: Reading) -> Iterator[str]:
    """Values that no file has and no database takes."""
    numbers = {
        **reading.media._asdict(),
        **reading.exposure._asdict(),
        **(reading.gps._asdict() if reading.gps else {}),
    }
    for name, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} is {value}"
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            yield f"{name} has more than 64 bits"
        elif isinstance(value, int | float) and value < 0 and name not in {"lat", "lon", "altitude"}:
            yield f"{name} is negative: {value}"
    if reading.media.duration is not None and reading.media.duration > LONGEST_S:
        yield f"it lasts {reading.media.duration / 86_400:.0f} days"
    if reading.gps is not None and not (abs(reading.gps.lat) <= 90 and abs(reading.gps.lon) <= 180):
        yield f"it lies at {reading.gps}"
    for said in (*reading.tags, *reading.camera, reading.error, reading.pair, *(claim.text for claim in reading.dates)):
        if said is not None:
            try:
                said.encode()
            except UnicodeEncodeError:
                yield f"text that is none: {said!r}"
            if len(said) > 65_536:
                yield f"a text of {len(said)} characters"


def test_damaged_media(tmp_path: Path) -> None:
    """Of thousands of damaged files each has an outcome: no crash, none over its deadline, memory below the limit."""
    began_s = time.monotonic()
    wholes = [made()]
    if CORPUS is not None and Path(CORPUS).is_dir():
        wholes.append(real(Path(CORPUS)))
    with Ward(tmp_path) as ward, Watch(ward.isolation) as watch:
        for wholes_of_one_kind in wholes:
            for whole in wholes_of_one_kind:
                ward.admit(whole)
        ward.finish()
        restarts = ward.isolation.restarts
    table = [f"{count:6} {word}" for word, count in ward.outcomes.most_common()]
    table += [f"  {kind:<36} {dict(found)}" for kind, found in ward.by_damage.items()]
    table.append(f"{ward.files} files in {time.monotonic() - began_s:.1f} s; the longest took {watch.longest_s:.2f} s")
    table.append(f"peak of one process {watch.peak >> 20} MiB; processes replaced: {restarts}")
    print("\n" + "\n".join(table))  # noqa: T201 - the counts are the evidence
    assert ward.wrong == []
    assert sum(ward.outcomes.values()) == ward.files
    assert watch.longest_s <= DEADLINE_S + GRACE_S
    assert 0 < watch.peak < MEMORY
