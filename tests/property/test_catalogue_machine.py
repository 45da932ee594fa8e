"""The catalogue against a plain list of files that follows the same table of identity, one file at a time.

Files arrive, change, move, are taken over, depart, are deleted and come back, in chunks and alone, under two roots
of one disk. Where several files with equal content fit, the catalogue may choose any of them; the list adopts it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mediasluice.catalogue.rows import Verdict
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.events import EventType
from mediasluice.model.files import ChangeKey, FileState
from mediasluice.model.flow import IdentifiedFile, RootId
from tests.catalogues import add_root, identified, observed, quick, replay

NAMES = st.sampled_from([b"x", b"y", b"\xff\n", b"a/x", b"a/y", b"a/b/x", b"a.b/x", b"c/x"])
CONTENTS = st.sampled_from([b"one", b"two", b"three", b"eno"])
INODES = st.sampled_from([0, *range(1, 9)])
ROOTS = st.integers(0, 1)
OPEN = st.sampled_from([FileState.SETTLING, FileState.HELD, FileState.EMPTY, FileState.UNREADABLE])
ARRIVALS = st.tuples(ROOTS, NAMES, CONTENTS, INODES, st.integers(1, 2), st.booleans(), st.none() | NAMES)
LIBRARIES = (b"photos", b"films")


@dataclass
class File:
    """A file as the list remembers it."""

    id: int
    root: int
    path: bytes
    content: bytes | None
    ino: int
    quick: bytes | None
    state: FileState
    told: bool
    read_in_full: bool = False

    @property
    def is_here(self) -> bool:
        return self.state is not FileState.MISSING


class CatalogueMachine(RuleBasedStateMachine):
    """Every rule does the same to both and compares what the catalogue says."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm"  # a commit there costs no disk
        self.directory = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        self.file = self.directory / "catalogue.sqlite"
        self.files: list[File] = []
        self.created: Counter[int] = Counter()
        self.now_us = 0

    @initialize()
    def begin(self) -> None:
        self.catalogue = Catalogue.open(self.file)
        self.roots = [add_root(self.catalogue, name.decode()) for name in LIBRARIES]
        self.view = View.open(self.file)

    def teardown(self) -> None:
        if hasattr(self, "view"):
            for check in ("integrity_check", "foreign_key_check"):
                assert self.catalogue._connection.execute(f"PRAGMA {check}").fetchall() in ([("ok",)], [])
            self.view.close()
            self.catalogue.close()
        shutil.rmtree(self.directory)

    # -- what can happen --------------------------------------------------------------------------

    @rule(chunk=st.lists(ARRIVALS, min_size=1, max_size=6))
    def arrive(self, chunk: list[tuple[int, bytes, bytes, int, int, bool, bytes | None]]) -> None:
        """New, changed and renamed files, read in full or by their quick digest, in one chunk."""
        files = [
            identified(self.roots[root], path, content, ino=ino, links=links, old=old, full=full)
            for root, path, content, ino, links, full, old in chunk
        ]
        verdicts = self.catalogue.record(files, self._tick())
        for (_, _, content, *_), file, verdict in zip(chunk, files, verdicts, strict=True):
            self._recorded(content, file, verdict)

    @rule(root=ROOTS, old=NAMES, new=NAMES, content=st.none() | CONTENTS)
    def move(self, root: int, old: bytes, new: bytes, content: bytes | None) -> None:
        """A rename that a source saw; with a content: the file has another size since it was read."""
        file = self._at(root, old)
        size = len(content) if content else len((file and file.content) or b"unread!")
        key = ChangeKey(file.ino if file else 1, size, 5_000, 9_000)
        directory, _, name = new.rpartition(b"/")
        old_directory, _, old_name = old.rpartition(b"/")
        moved = self.catalogue.move(self.roots[root], old_directory, old_name, directory, name, key, 1, self._tick())
        assert moved is (file is not None)
        if file is None:
            return
        if not file.told or size != len(file.content or b""):
            file.state = FileState.SETTLING
        elif file.state is FileState.DEPARTED:
            file.state = FileState.CATALOGUED
        self._put(file, root, new)

    @rule(root=ROOTS, new=st.sampled_from([b"a/b", b"c", b"d/e"]))
    def move_tree(self, root: int, new: bytes) -> None:
        """The directory ``a`` is renamed; what was known where it is now must have left."""
        inside = [file for file in self._under(root, b"a") if not (new + b"/").startswith(b"a/")]
        if new == b"a/b":
            return
        assert self.catalogue.move_tree(self.roots[root], b"a", new, self._tick()) == len(inside)
        for file in self._under(root, new):
            file.state = FileState.DEPARTED
        for file in inside:
            self._put(file, root, new + file.path[1:])

    @rule(root=ROOTS, path=NAMES, state=OPEN)
    def observe(self, root: int, path: bytes, state: FileState) -> None:
        """A file is there that is not read yet."""
        self.catalogue.observe([observed(self.roots[root], path, state, ino=1)], self._tick())
        file = self._at(root, path)
        if file is None:
            [number] = self.catalogue._connection.execute("SELECT max(id) FROM file").fetchone()
            self.files.append(File(number, root, path, None, 1, None, state, told=False))
        else:
            file.state = state

    @rule(root=ROOTS, names=st.lists(NAMES, min_size=1, max_size=3))
    def depart(self, root: int, names: list[bytes]) -> None:
        """Names are gone."""
        pairs = [(path.rpartition(b"/")[0], path.rpartition(b"/")[2]) for path in names]
        self.catalogue.depart(self.roots[root], pairs, self._tick())
        for file in [self._at(root, path) for path in names]:
            if file is not None:
                file.state = FileState.DEPARTED

    @rule(root=ROOTS, start=st.sampled_from([b"", b"a"]))
    def depart_tree(self, root: int, start: bytes) -> None:
        """A directory, or the whole root, is gone."""
        inside = self._under(root, start)
        assert self.catalogue.depart_tree(self.roots[root], start, self._tick()) == len(inside)
        for file in inside:
            file.state = FileState.DEPARTED

    @precondition(lambda self: any(file.state is FileState.DEPARTED for file in self.files))
    @rule(data=st.data())
    def decide(self, data: st.DataObject) -> None:
        """Some departed files are deleted, others turn out to be there."""
        departed = [file for file in self.files if file.state is FileState.DEPARTED]
        assert {row.file for row in self.catalogue.departed(self.roots, 99)} == {file.id for file in departed}
        chosen = data.draw(st.lists(st.sampled_from(departed), unique_by=id, max_size=4))
        if data.draw(st.booleans()):
            told = self.catalogue.delete([file.id for file in chosen], self._tick())
            assert told == sum(file.told for file in chosen)
            for file in chosen:
                self._delete(file)
        else:
            self.catalogue.restore([file.id for file in chosen])
            for file in chosen:
                file.state = FileState.CATALOGUED if file.told else FileState.SETTLING

    @rule()
    def fail(self) -> None:
        """A transaction breaks off: nothing of it remains."""
        try:
            with self.catalogue.transaction():
                self.catalogue.record([identified(self.roots[0], b"new/x", b"lost")], self._tick())
                self.catalogue.depart_tree(self.roots[1], b"", self._tick())
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    @rule()
    def restart(self) -> None:
        """The writer ends and begins again."""
        self.catalogue.close()
        self.catalogue = Catalogue.open(self.file)

    # -- what must hold ---------------------------------------------------------------------------

    @invariant()
    def rows_are_as_the_list_says(self) -> None:
        """The same files with the same ids stand at the same paths with the same content, one at each."""
        if not hasattr(self, "view"):
            return
        lines = [*self.view.files(), *self.view.files(missing=True)]
        rows = {(line.id, line.path, line.state) for line in lines}
        expected = {
            (file.id, self._absolute(file), file.state) for file in self.files if file.state is not FileState.DEPARTED
        }
        assert rows == expected
        present = [line.path for line in lines if line.state is not FileState.MISSING]
        assert len(present) == len(set(present))

    @invariant()
    def events_replay_to_the_rows(self) -> None:
        """The log alone leads to what was told of, and each life of a file began once."""
        if not hasattr(self, "view"):
            return
        events = list(self.view.events())
        assert [event.seq for event in events] == sorted(event.seq for event in events)
        there = replay(events)
        digest = dict(
            self.catalogue._connection.execute(
                "SELECT f.id, c.blake3 FROM file f LEFT JOIN content c ON c.id = f.content"
            )
        )
        told = {self._absolute(file): digest[file.id] for file in self.files if file.told and file.is_here}
        # A quick digest that was completed later is not told again.
        assert set(there) == set(told)
        assert all(there[path] in {None, told[path]} for path in told)
        created = Counter(
            row[0] for row in self.catalogue._connection.execute("SELECT file FROM event WHERE type = 'file.created'")
        )
        assert created == self.created
        assert all(event.data["of"] for event in events if event.type is EventType.FILE_DUPLICATE)

    # -- the list ---------------------------------------------------------------------------------

    def _tick(self) -> int:
        self.now_us += 1
        return self.now_us

    def _absolute(self, file: File) -> bytes:
        return b"/" + LIBRARIES[file.root] + b"/" + file.path

    def _at(self, root: int, path: bytes) -> File | None:
        found = [file for file in self.files if file.is_here and (file.root, file.path) == (root, path)]
        assert len(found) < 2
        return found[0] if found else None

    def _under(self, root: int, start: bytes) -> list[File]:
        prefix = start + b"/" if start else b""
        return [
            file
            for file in self.files
            if file.root == root
            and file.path.startswith(prefix)
            and file.state not in {FileState.DEPARTED, FileState.MISSING}
        ]

    def _delete(self, file: File) -> None:
        file.state = FileState.MISSING
        if not file.told:
            self.files.remove(file)

    def _put(self, file: File, root: int, path: bytes) -> None:
        here = self._at(root, path)
        if here is not None and here is not file:
            self._delete(here)
        file.root, file.path = root, path

    def _recorded(self, content: bytes, new: IdentifiedFile, verdict: Verdict) -> None:
        root = self.roots.index(RootId(new.root))
        path = new.directory + b"/" + new.name if new.directory else new.name
        fits = self._which(root, path, content, new)
        here = self._at(root, path)
        if fits:
            file = next(file for file in fits if file.id == verdict.file)
        else:
            assert verdict.file not in {file.id for file in self.files}
            file = File(verdict.file, root, path, None, 0, None, FileState.MISSING, told=False)
            self.files.append(file)
        old = self._old(root, new)
        if (
            old is not None
            and old is not file
            and not old.told
            and here is not None
            and self._follows(old, content, new)
        ):
            self.files.remove(old)
        if here is not None and here is not file:
            self._delete(here)
        if not file.told or file.state is FileState.MISSING:
            self.created[file.id] += 1
        full = new.digests is not None
        same = self._holds(file, content)
        file.read_in_full = full or (file.read_in_full and same)
        file.root, file.path, file.content, file.ino, file.quick = root, path, content, new.key.ino, new.quick
        file.state, file.told = FileState.CATALOGUED, True

    def _holds(self, file: File, content: bytes) -> bool:
        # Times never differ here, so that an equal quick digest decides where a full one lacks.
        return file.content == content and file.quick == quick(content)

    def _old(self, root: int, new: IdentifiedFile) -> File | None:
        if new.old_name is None or new.old_directory is None:
            return None
        return self._at(root, new.old_directory + b"/" + new.old_name if new.old_directory else new.old_name)

    def _follows(self, old: File, content: bytes, new: IdentifiedFile) -> bool:
        return not old.ino or not new.key.ino or old.ino == new.key.ino or self._holds(old, content)

    def _which(self, root: int, path: bytes, content: bytes, new: IdentifiedFile) -> list[File]:
        """All files that the new one may be; none: it is new."""
        here, old = self._at(root, path), self._old(root, new)
        if old is not None and old is not here and self._follows(old, content, new) and (old.told or here is None):
            return [old]
        is_departed = here is not None and here.state is FileState.DEPARTED
        if here is not None and here.told and (not is_departed or self._holds(here, content)):
            return [here]
        full, ino = new.digests is not None, new.key.ino
        equal = [file for file in self.files if file.content == content]
        departed = [file for file in equal if file.state is FileState.DEPARTED]
        if full:
            read = [file for file in departed if file.read_in_full]
            if found := [file for file in read if ino and file.ino == ino] or read:
                return found
        weak = [file for file in departed if ino and file.ino == ino and not (full and file.read_in_full)]
        if weak:
            return weak
        if full and ino and new.links == 1:
            elsewhere = [
                file
                for file in equal
                if file.read_in_full and file.state is FileState.CATALOGUED and file.ino == ino and file.root != root
            ]
            if elsewhere:
                return elsewhere
        if full and (here is None or not here.told):
            missing = [file for file in equal if file.state is FileState.MISSING and file.read_in_full]
            if missing:
                return missing
        return [] if here is None else [here]


TestCatalogueMachine = CatalogueMachine.TestCase
TestCatalogueMachine.settings = hypothesis.settings(
    hypothesis.settings.get_profile("ci"),
    max_examples=hypothesis.settings().max_examples // 2,
    stateful_step_count=30,
    suppress_health_check=list(hypothesis.HealthCheck),
)
