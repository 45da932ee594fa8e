"""Sources outside of the files, as the document names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediasluice.config.document import Settings
from mediasluice.config.layers import load
from mediasluice.errors import BadSetting

NOWHERE = Path("/nonexistent/system.yaml")
SHELF = {"name": "shelf", "command": ["lookup", "--json"]}


def settings(*sources: Any) -> Settings:
    return load(None, {"HOME": "nowhere"}, {"metadata": {"sources": list(sources)}}, system=NOWHERE).settings


def test_there_are_none_by_default() -> None:
    """Nobody is asked whom nobody named."""
    assert load(None, {"HOME": "nowhere"}, {}, system=NOWHERE).settings.metadata.sources == ()


def test_a_source_has_defaults() -> None:
    """A name and a command are enough; times are written as everywhere."""
    [plain, slow] = settings(SHELF, {**SHELF, "name": "slow", "timeout": "2m", "kinds": ["audio"]}).metadata.sources
    assert (plain.command, plain.timeout, plain.kinds) == (
        ("lookup", "--json"),
        10.0,
        ("image", "video", "audio", "pdf"),
    )
    assert (slow.timeout, slow.kinds) == (120.0, ("audio",))


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ([{"name": "shelf"}], ["metadata.sources.0.command", "is missing"]),
        ([{**SHELF, "command": []}], ["metadata.sources.0.command"]),
        ([{**SHELF, "command": ["lookup", "a\0b"]}], ["metadata.sources.0.command.1"]),
        ([{**SHELF, "command": "lookup --json"}], ["metadata.sources.0.command"]),
        ([{**SHELF, "kinds": ["sound"]}], ["metadata.sources.0.kinds", "audio"]),
        ([{**SHELF, "kinds": []}], ["metadata.sources.0.kinds"]),
        ([{**SHELF, "timeout": 0}], ["metadata.sources.0.timeout"]),
        ([{**SHELF, "name": "../up"}], ["metadata.sources.0.name"]),
        ([{**SHELF, "timout": 5}], ["metadata.sources.0.timout", "unknown key"]),
        ([SHELF, SHELF], ["'shelf' is there twice"]),
    ],
)
def test_what_makes_no_sense_is_refused(sources: list[Any], words: list[str]) -> None:
    """The key is named, and what is wrong with it."""
    with pytest.raises(BadSetting) as refused:
        settings(*sources)
    assert all(word in str(refused.value) for word in words), refused.value
