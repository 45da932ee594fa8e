"""Nothing is written where a target's disk is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediasluice.actions.grounds import Grounds
from mediasluice.sources.roots import identity_of


def grounds(known: dict[bytes, bytes]) -> tuple[Grounds, dict[bytes, bytes]]:
    remembered: dict[bytes, bytes] = {}
    return Grounds(known, remembered.__setitem__), remembered


def test_the_first_time_is_remembered(tmp_path: Path) -> None:
    """A target that was never used is right, also one that is still to be made, and its file system is kept."""
    target = os.fsencode(tmp_path / "not" / "yet")
    there, remembered = grounds({})
    assert there.why_not(target) is None
    assert remembered == {target: identity_of(os.fsencode(tmp_path)).filesystem}


def test_a_target_on_another_file_system(tmp_path: Path) -> None:
    """Where another file system shows than the last time, nothing may be written, until a person agrees."""
    target = os.fsencode(tmp_path)
    there, remembered = grounds({target: b"uuid:another disk"})
    assert "sluice scan LIBRARY --accept" in (there.why_not(target) or "")
    assert remembered == {}
    there.forget(target)
    assert there.why_not(target) is None
    assert remembered.keys() == {target}


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_directory_that_somebody_cleaned_up(tmp_path: Path, *, is_gone: bool) -> None:
    """A processed directory that was removed, or made anew, on its own file system may be made again."""
    target = tmp_path / "processed"
    target.mkdir()
    there, _ = grounds({})
    assert there.why_not(os.fsencode(target)) is None
    target.rmdir()
    if not is_gone:
        (tmp_path / "other").mkdir()
        target.mkdir()
    assert there.why_not(os.fsencode(target)) is None
