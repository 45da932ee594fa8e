from __future__ import annotations

from pathlib import Path

from mediasluice.cli.options import Call
from mediasluice.cli.places import loaded_of, names_of, set_aside
from mediasluice.model.imports import ImportRules
from mediasluice.model.roots import Library, Rules


def test_folders_that_are_only_looked_at_are_not_imported(tmp_path: Path) -> None:
    """A command that reads asks no owner of a folder, under a preset that imports either."""
    document = tmp_path / "config.yaml"
    document.write_text("preset: mediacms")
    (library,) = loaded_of(Call(config=str(document)), {"in": b"/in"}).settings.libraries()
    assert (library.name, library.rules.imports) == ("in", None)


def test_a_library_knows_its_own_directories(tmp_path: Path) -> None:
    """Where it imports to and where it sets aside is left out when it lies inside the root, also through a link."""
    (tmp_path / "in" / "media").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    rules = Rules(imports=ImportRules(target=bytes(tmp_path / "in" / "media"), processed=bytes(tmp_path / "done")))
    library = Library("in", bytes(tmp_path / "link"), rules)
    assert set_aside(library) == (bytes(tmp_path / "link" / "media"),)
    names = names_of(library)
    assert names.directory(b"media/2024") == "belongs to mediasluice itself"
    assert names.directory(b"others") is None
    assert set_aside(Library("in", bytes(tmp_path / "in"), Rules())) == ()
