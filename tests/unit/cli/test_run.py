from __future__ import annotations

from pathlib import Path

import pytest

from mediasluice.cli.run import importing


def test_the_options_of_an_import_are_nested_like_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--to` makes the action, its target is absolute, and what was not said stays unsaid."""
    monkeypatch.chdir(tmp_path)
    assert importing(["in"], "out", {"mode": "move"}) == {
        "action": "import",
        "import": {"target": str(tmp_path / "out"), "mode": "move"},
    }


def test_without_a_target_nothing_is_said_of_importing() -> None:
    """A plain run leaves every library as it is."""
    assert importing(["in"], None, {}) == {}
