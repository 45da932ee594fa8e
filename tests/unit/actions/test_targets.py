"""The names that were reserved in target directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediasluice.actions.naming import numbered
from mediasluice.actions.targets import Names


def test_a_directory_that_went_away_is_read_again(tmp_path: Path) -> None:
    """When a target is out of reach after a batch nothing fails; who asks for a name there next hears why."""
    above = tmp_path / "disk"
    (above / "out").mkdir(parents=True)
    names, wish = Names(), os.fsencode(above / "out" / "a.jpg")
    assert names.free(wish, numbered) == wish
    (above / "out").rmdir()
    above.rmdir()
    above.write_bytes(
        b""
    )  # what is below is no directory's: ENOTDIR, as little "not found" as an answer of a dead server
    names.settle([os.path.dirname(wish)])
    with pytest.raises(NotADirectoryError):
        names.free(wish, numbered)
