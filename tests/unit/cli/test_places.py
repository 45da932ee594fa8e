from __future__ import annotations

from pathlib import Path

from mediasluice.cli.options import Call
from mediasluice.cli.places import loaded_of


def test_folders_that_are_only_looked_at_are_not_imported(tmp_path: Path) -> None:
    """A command that reads asks no owner of a folder, under a preset that imports either."""
    document = tmp_path / "config.yaml"
    document.write_text("preset: mediacms")
    (library,) = loaded_of(Call(config=str(document)), {"in": b"/in"}).settings.libraries()
    assert (library.name, library.rules.imports) == ("in", None)
