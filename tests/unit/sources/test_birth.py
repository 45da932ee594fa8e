"""When a file came into being: what Linux and others say of it, and where nothing is known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mediasluice.sources import birth


def born(path: Path) -> int | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        return birth.birth_ns(fd, os.fstat(fd))
    finally:
        os.close(fd)


@pytest.mark.skipif(sys.platform != "linux", reason="as stat(1) of Linux says it")
def test_it_is_what_stat_says(tmp_path: Path) -> None:
    """The birth time is that of the kernel, to the second that stat(1) prints; 0 there means that none is kept."""
    path = tmp_path / "a"
    path.write_bytes(b"x")
    said = int(subprocess.run(["stat", "-c", "%W", path], capture_output=True, text=True, check=True).stdout)
    found = born(path)
    assert (0 if found is None else found // 1_000_000_000) == said


def test_it_stays(tmp_path: Path) -> None:
    """Writing into a file, renaming it, linking it and setting its times leave its birth time alone."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"x")
    before = born(path)
    with path.open("ab") as stream:
        stream.write(b"more")
    os.utime(path, ns=(5, 5))
    path.rename(other)
    os.link(other, path)
    assert (born(path), born(other)) == (before, before)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a file system without birth times")
def test_it_is_not_known_everywhere() -> None:
    """A file system that keeps no such time gives none."""
    assert born(Path("/proc/self/stat")) is None


def test_a_descriptor_that_is_none() -> None:
    """A refusal of the kernel is not an error of the file."""
    assert birth.birth_ns(-1, os.stat(".")) is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"st_birthtime_ns": 1_700_000_000_123_456_789, "st_birthtime": 1.7e9}, 1_700_000_000_123_456_789),
        ({"st_birthtime": 1_700_000_000.5}, 1_700_000_000_500_000_000),
        ({"st_birthtime": 0.0}, None),
        ({"st_birthtime": -1.0}, None),
        ({"st_birthtime": 1e12}, None),
    ],
)
def test_elsewhere_the_status_has_it(monkeypatch: pytest.MonkeyPatch, status: Any, expected: int | None) -> None:
    """On macOS and Windows the status tells; a time that cannot be stored is none."""
    monkeypatch.setattr(birth, "_FROM_KERNEL", False)
    assert birth.birth_ns(0, SimpleNamespace(**status)) == expected  # type: ignore[arg-type]
