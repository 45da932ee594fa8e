"""One small story, told with everything that other systems and mounts lack switched off in turn."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mediasluice.model.roots import WatchMode
from mediasluice.pipeline.watched import Watched
from mediasluice.service import control
from mediasluice.service.answers import Answers
from mediasluice.sources.desktop import WatchdogSource
from mediasluice.sources.mounts import MountKind, mount_of
from mediasluice.sources.source import Source
from mediasluice.wiring import host as wiring
from tests.running import Running
from tests.samples import jpeg

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="forces what others have"), pytest.mark.timeout(120)]


def without_inotify(patch: pytest.MonkeyPatch) -> None:
    """Events come from watchdog, as on macOS and Windows."""

    def source(root: Watched, _readers: Any, _budget: Any, wake: Callable[[], None]) -> Source:
        return WatchdogSource(root.id, root.path, root.names, wake, monotonic)

    patch.setattr(wiring, "source", source)


def without_leases(patch: pytest.MonkeyPatch) -> None:
    """The mount is one behind which others write: no lease proves anything, and its events are not complete."""
    patch.setattr(wiring, "mount_of", lambda path: replace(mount_of(path), kind=MountKind.NETWORK, type="nfs4"))


def as_it_is(_: pytest.MonkeyPatch) -> None:
    """Nothing is forced."""


@pytest.mark.parametrize(
    ("force", "settings"),
    [
        (without_inotify, {}),
        (without_leases, {"settle": {"network": "0.5s", "unknown": "0.5s"}}),
        (as_it_is, {"poll": "always"}),
        (as_it_is, {"poll": "never"}),
    ],
    ids=["watchdog", "no leases", "poll: always", "poll: never"],
)
def test_the_small_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: Callable[[pytest.MonkeyPatch], None], settings: Any
) -> None:
    """New, written, renamed, moved, deleted and half-written files end the same whatever helps to notice them."""
    force(monkeypatch)
    top = tmp_path / "in"
    (top / "d").mkdir(parents=True)
    (top / "first.jpg").write_bytes(jpeg("first"))
    with Running(tmp_path, {"in": settings}) as host:
        host.until_catalogued("in/first.jpg")
        if force is without_leases or settings.get("poll") == "always":
            assert host.root("in").mode is WatchMode.POLL
        half = (top / "half.jpg").open("wb")
        half.write(jpeg("half", 5000)[:3000])
        half.flush()
        (top / "a.jpg").write_bytes(jpeg("a"))
        (top / "d" / "b.jpg").write_bytes(jpeg("b"))
        ids = host.until_catalogued("in/a.jpg", "in/d/b.jpg", "in/first.jpg")
        os.rename(top / "a.jpg", top / "d" / "moved.jpg")
        os.rename(top / "d" / "b.jpg", top / "d" / "c.jpg")
        (top / "first.jpg").unlink()
        now = host.until_catalogued("in/d/moved.jpg", "in/d/c.jpg")
        assert now["in/d/moved.jpg"] == ids["in/a.jpg"]
        assert now["in/d/c.jpg"] == ids["in/d/b.jpg"]
        host.until(lambda: ("deleted", "in/first.jpg") in host.story(), "deleted")
        assert "in/half.jpg" not in host.catalogued()
        half.write(jpeg("half", 5000)[3000:])
        half.close()
        host.until_catalogued("in/half.jpg")
        assert [event for event in host.story() if event[0] in {"deleted", "modified"}] == [("deleted", "in/first.jpg")]
        assert len([event for event in host.story() if event[0] == "created"]) == 4


def test_the_loopback_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no local sockets the service answers on a loopback port, to those who know its token."""
    monkeypatch.setattr(control, "_local_sockets", lambda _: False)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(jpeg("a"))
    with Running(tmp_path, ["in"]) as host:
        server = control.Server(host.data / control.SOCKET_NAME, Answers(host.service).verbs())
        server.start()
        try:
            host.until_catalogued("in/a.jpg")
            status = control.ask_once(host.data, "status", timeout_s=20)
            assert status["pid"] == os.getpid()
            assert (host.data / control.SOCKET_NAME).stat().st_mode & 0o777 == 0o600
            result = control.ask_once(host.data, "scan", {"targets": ["in"]}, timeout_s=20)
            assert (result["files"], result["unchanged"]) == (1, 1)
        finally:
            server.close()
        assert not (host.data / control.SOCKET_NAME).exists()
