"""What a listener of the RabbitMQ sink ends up with, whatever happens to files, to batches and to the connection."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.delivery.rabbitmq.options import Duplicates, Options, WaitFor
from mediasluice.model.files import ChangeKey, FileState
from tests.catalogues import add_root, identified, observed
from tests.listening import Listener, Outbox, Wire, whole

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a commit there costs no disk
PATHS = st.sampled_from([b"a", b"b", b"d/a", b"d/b"])
CONTENTS = st.sampled_from([b"one", b"one", b"two", b"six"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.tuples(PATHS, CONTENTS, st.integers(1, 5)), min_size=1, max_size=3)),
        st.tuples(st.just("write"), st.lists(st.tuples(PATHS, CONTENTS, st.integers(1, 5)), min_size=2, max_size=4)),
        st.tuples(st.just("quick"), st.tuples(PATHS, CONTENTS, st.integers(1, 5))),
        st.tuples(st.just("move"), st.tuples(PATHS, PATHS)),
        st.tuples(st.just("move tree"), st.just(None)),
        st.tuples(st.just("delete"), PATHS),
        st.tuples(st.just("away"), PATHS),
        st.tuples(st.just("back"), st.just(None)),
        st.tuples(st.just("unwanted"), PATHS),
        st.tuples(st.just("deliver"), st.none()),
        st.tuples(st.just("deliver"), st.none()),
    ),
    min_size=8,
    max_size=40,
)
LOSSES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=8)
SIZES = st.lists(st.integers(1, 5), max_size=8)
UNRECORDED = st.lists(st.booleans(), max_size=8)


class World:
    """Files that come and go."""

    def __init__(self, catalogue: Catalogue, file: Path) -> None:
        self.catalogue, self.file, self.root = catalogue, file, add_root(catalogue)
        self.now_us = 0

    def do(self, what: str, value: object) -> None:
        self.now_us += 1
        getattr(self, f"_{what.replace(' ', '_')}")(value)

    def _write(self, files: list[tuple[bytes, bytes, int]]) -> None:
        self.catalogue.record([whole(self.root, *file) for file in files], self.now_us)

    def _quick(self, file: tuple[bytes, bytes, int]) -> None:
        path, content, ino = file
        self.catalogue.record([identified(self.root, path, content, ino=ino, full=False)], self.now_us)

    def _move(self, paths: tuple[bytes, bytes]) -> None:
        old, new = (path.rpartition(b"/")[::2] for path in paths)
        with View.open(self.file) as view:
            lines = [line for line in view.files() if line.path == b"/photos/" + paths[0]]
        size = lines[0].size if lines else 3
        self.catalogue.move(self.root, *old, *new, ChangeKey(1, size, 5_000, 9_000), 1, self.now_us)

    def _move_tree(self, _: object) -> None:
        self.catalogue.depart_tree(self.root, b"e", self.now_us)
        self.catalogue.move_tree(self.root, b"d", b"e", self.now_us)

    def _delete(self, path: bytes) -> None:
        self._away(path)
        self.catalogue.delete([row.file for row in self.catalogue.departed([self.root], 99)], self.now_us)

    def _away(self, path: bytes) -> None:
        self.catalogue.depart(self.root, [path.rpartition(b"/")[::2]], self.now_us)

    def _back(self, _: object) -> None:
        self.catalogue.restore([row.file for row in self.catalogue.departed([self.root], 99)])

    def _unwanted(self, path: bytes) -> None:
        self.catalogue.observe([observed(self.root, path, FileState.SKIPPED, size=9)], self.now_us)

    def settle(self) -> None:
        """Read all that is there in full, and let what is on its way be back."""
        self.now_us += 1
        self._back(None)
        with View.open(self.file) as view:
            lines = list(view.files())
        for line in lines:
            if line.state is FileState.SETTLING or (line.state is FileState.CATALOGUED and line.blake3 is None):
                # a place of its own: whatever it was, it is this now
                path = line.path.removeprefix(b"/photos/")
                content = {identified(self.root, b"x", one).quick: one for one in (b"one", b"two", b"six")}
                self.catalogue.record([whole(self.root, path, self._of(line.id, content), 0)], self.now_us)

    def _of(self, file: int, contents: dict[bytes, bytes]) -> bytes:
        row = self.catalogue._connection.execute("SELECT quick FROM file WHERE id = ?", (file,)).fetchone()
        return contents.get(row[0], b"one")

    def there(self) -> dict[str, str]:
        """What is catalogued: paths with their SHA-256."""
        rows = self.catalogue._connection.execute(
            "SELECT CAST('/photos/' || d.path || iif(length(d.path) > 0, '/', '') || f.name AS TEXT), c.sha256"
            " FROM file f JOIN dir d ON d.id = f.dir JOIN content c ON c.id = f.content WHERE f.state = 'catalogued'"
        )
        return {path: sha256.hex() for path, sha256 in rows.fetchall()}


@pytest.mark.parametrize("duplicates", list(Duplicates))
@settings(max_examples=120)
@given(steps=STEPS, losses=LOSSES, sizes=SIZES, unrecorded=UNRECORDED)
def test_a_listener_ends_with_what_is_there(
    duplicates: Duplicates,
    steps: list[tuple[str, object]],
    losses: list[tuple[int, int]],
    sizes: list[int],
    unrecorded: list[bool],
) -> None:
    """Who applies the messages in order and drops repeated ids ends with exactly the files that are there."""
    lost: Iterator[tuple[int, int]] = chain(losses, repeat((99, 0)))
    cuts = chain(sizes, repeat(7))
    kept = chain(unrecorded, repeat(True))
    listener = Listener(copies_are_files=duplicates is Duplicates.CREATED)

    def fates(count: int) -> tuple[int, int]:
        known, more = next(lost)
        return min(known, count), more

    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        file = Path(directory) / "catalogue.sqlite"
        with Catalogue.open(file) as catalogue:
            world = World(catalogue, file)
            options = Options("amqp://", "me", duplicates=duplicates, wait_for=WaitFor.NOTHING)
            sink = Outbox(catalogue, file, options, Wire(listener, fates))
            for what, value in steps:
                if what == "deliver":
                    sink.step(next(cuts), is_recorded=next(kept))
                else:
                    world.do(what, value)
            world.settle()
            for _ in range(1_000):
                if sink.step(next(cuts), is_recorded=next(kept)) == 0:
                    break
            there = world.there()
    files, copies = listener.files, listener.copies
    if duplicates is Duplicates.SEPARATE:
        assert files | copies == there
        assert not files.keys() & copies.keys()
    elif duplicates is Duplicates.CREATED:
        assert files == there
        assert copies == {}
    else:
        assert files.items() <= there.items()
        assert copies == {}
    assert set(files.values()) == set(there.values())
