from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from mediasluice.config import file as config_file
from mediasluice.config.document import Settings
from mediasluice.config.layers import Loaded, load
from mediasluice.errors import BadSetting
from mediasluice.model.imports import ImportRules, Mode
from mediasluice.model.roots import Library
from mediasluice.service.host import _reload, _with_directories
from mediasluice.service.service import Service

SECTION = {
    "action": "import",
    "import": {"target": "/out", "template": "{year}/{name}", "mode": "move", "owner": "ann"},
}
IMPORTS = ImportRules(target=b"/out", template="{year}/{name}", mode=Mode.MOVE, owner="ann")


class Running:
    """A service that is told of new libraries."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = self
        self.libraries: tuple[Library, ...] = ()
        self.said: list[str] = []

    def replace(self, settings: Settings, libraries: tuple[Library, ...]) -> None:
        assert settings.libraries() == libraries
        self.libraries = libraries

    def info(self, event: str, **_: object) -> None:
        self.said.append(event)

    def warning(self, event: str, **_: object) -> None:
        self.said.append(event)


def document(directory: Path, text: str) -> Loaded:
    (directory / "config.yaml").write_text(text)
    return load(directory / "config.yaml", {}, {})


def imports(loaded: Loaded) -> dict[str, ImportRules | None]:
    return {library.name: library.rules.imports for library in loaded.settings.libraries()}


def test_folders_of_the_command_line_import_as_it_says(tmp_path: Path) -> None:
    """`--to` makes importing libraries of the folders that were named, and of no others."""
    loaded = document(tmp_path, "libraries: {other: {path: /other}}")
    made = _with_directories(loaded, [Path("/in"), Path("/a/in")], tmp_path, SECTION)
    assert imports(made) == {"other": None, "in": IMPORTS, "in-2": IMPORTS}


def test_without_a_section_folders_are_catalogued(tmp_path: Path) -> None:
    """A folder that is only named gets the rules of the document and no more."""
    made = _with_directories(document(tmp_path, ""), [Path("/in")], tmp_path, {})
    assert imports(made) == {"in": None}


def test_a_library_that_is_named_imports_too(tmp_path: Path) -> None:
    """The command line lies over the document; what it does not say stays as the document says it."""
    loaded = document(tmp_path, "libraries: {mine: {path: /in, debounce: 7s, import: {target: /else, state: private}}}")
    assert imports(_with_directories(loaded, [Path("/in")], tmp_path, {})) == {"mine": None}
    made = _with_directories(loaded, [Path("/in"), Path("/in")], tmp_path, SECTION)
    (library,) = made.settings.libraries()
    assert (library.name, library.rules.debounce_s) == ("mine", 7.0)
    assert library.rules.imports is not None
    assert (library.rules.imports.target, library.rules.imports.state) == (b"/out", "private")


def test_an_impossible_target_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    """What the options say is checked like a document, and the error says where it was said."""
    with pytest.raises(BadSetting, match=r"libraries\.out\.import\.target: .*\(command line\)"):
        _with_directories(document(tmp_path, ""), [Path("/out")], tmp_path, SECTION)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "work: {readers: 3}"),
        ("libraries: {mine: {path: /in}}", "libraries: {mine: {path: /in, attributes: true}}"),
        ("libraries: {mine: {path: /in}}", "work: {readers: 3}"),
    ],
    ids=["a new folder", "a known library", "one that is dropped"],
)
def test_a_changed_document_changes_nothing_of_the_command_line(before: str, after: str, tmp_path: Path) -> None:
    """A folder goes on importing as the command line said when the document is changed, or drops it."""
    loaded = document(tmp_path, before)
    loaded = _with_directories(loaded, [Path("/in")], tmp_path, SECTION)
    (tmp_path / "config.yaml").write_text(after)
    running = Running(tmp_path)
    stamp = config_file.stamp(loaded.stamp.paths)
    _reload(cast("Service", running), loaded, stamp, [Path("/in")], SECTION)
    assert running.said == ["configuration_loaded"]
    named = [library for library in running.libraries if library.path == b"/in"]
    assert [library.rules.imports for library in named] == [IMPORTS]
