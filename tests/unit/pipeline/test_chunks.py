"""A chunk of a pass on its way into the catalogue: an event that comes meanwhile wins."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediasluice.model.flow import Sighting, What
from mediasluice.pipeline.chunks import Chunks
from mediasluice.pipeline.scans import Chunk
from mediasluice.pipeline.workers import Answer
from tests.running import Running
from tests.samples import jpeg

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(120)]


@contextmanager
def meanwhile(monkeypatch: pytest.MonkeyPatch, *whats: tuple[What, bytes, bytes]) -> Iterator[None]:
    """Let these sightings come in when a chunk was read and is not recorded yet."""
    answered = Chunks.answered

    def late(self: Chunks, chunk: Chunk, answer: Answer) -> None:
        for what, directory, name in whats:
            self.touch(Sighting(chunk.root.id, directory, name, what, 0.0))
        answered(self, chunk, answer)

    with monkeypatch.context() as patch:
        patch.setattr(Chunks, "answered", late)
        yield


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for name in ("in/d/a.jpg", "in/d/b.jpg", "in/e/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(name))
        os.utime(path, (1, 1))
    return tmp_path


def paths(host: Running) -> list[str]:
    return sorted(host.catalogued())


def sealed(host: Running) -> dict[bytes, bool]:
    root, view = host.root("in").id, host.service.host.intake.view
    found = host.service.ask(lambda: view.signatures(root, [b"d", b"e"]))
    return {directory: signature is not None for directory, signature in found.items()}


SETTLED = {"in": {"settle": {"complete": "0s", "unknown": "0s"}}}


def test_an_event_wins(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a chunk found of a file about which an event came in is dropped, and its directory is not sealed."""
    with Running(top, SETTLED, is_service=False) as host, meanwhile(monkeypatch, (What.DEPARTED, b"d", b"a.jpg")):
        host.scan(settle_s=0.5)
        assert paths(host) == ["in/d/b.jpg", "in/e/c.jpg"]
        assert sealed(host) == {b"d": False, b"e": True}


@pytest.mark.parametrize("what", [What.DIRECTORY_DEPARTED, What.ROOT_LOST])
def test_void(top: Path, monkeypatch: pytest.MonkeyPatch, what: What) -> None:
    """When its directory or its root is gone nothing of a chunk counts; the next pass finds what is there."""
    directory = b"" if what is What.ROOT_LOST else b"d"
    with Running(top, SETTLED, is_service=False) as host:
        with meanwhile(monkeypatch, (what, directory, b"")):
            host.scan(settle_s=0.5)
            assert not {"in/d/a.jpg", "in/d/b.jpg"} & set(paths(host))
        host.scan()
        assert paths(host) == ["in/d/a.jpg", "in/d/b.jpg", "in/e/c.jpg"]
        assert sealed(host) == {b"d": True, b"e": True}


def test_an_event_elsewhere_changes_nothing(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events about other files and other directories leave a chunk alone."""
    others = (What.CLOSED, b"d/e", b"a.jpg"), (What.DIRECTORY_DEPARTED, b"dd", b"")
    with Running(top, SETTLED, is_service=False) as host, meanwhile(monkeypatch, *others):
        host.scan()
        assert paths(host) == ["in/d/a.jpg", "in/d/b.jpg", "in/e/c.jpg"]
        assert sealed(host) == {b"d": True, b"e": True}


def test_a_reader_that_died(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a chunk whose reader died are looked at one by one, and all are found."""
    answered = Chunks.answered
    lost: list[Chunk] = []

    def once(self: Chunks, chunk: Chunk, answer: Answer) -> None:
        if not lost:
            lost.append(chunk)
            answer = Answer(chunk, None, died=True)
        answered(self, chunk, answer)

    monkeypatch.setattr(Chunks, "answered", once)
    with Running(top, SETTLED, is_service=False) as host:
        assert host.scan()["new"] == 3
        assert paths(host) == ["in/d/a.jpg", "in/d/b.jpg", "in/e/c.jpg"]
