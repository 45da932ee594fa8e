"""``sluice import``: what a person wants imported is, whatever its library says of files that were there before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.samples import jpeg
from tests.service import Sluice, until


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {name: tmp_path / name for name in ("in", "card", "out")}
    for folder in made.values():
        folder.mkdir()
    for number in range(3):
        (made["in"] / f"old {number}.jpg").write_bytes(jpeg(number))
        (made["card"] / f"card {number}.jpg").write_bytes(jpeg(f"card {number}"))
    return made


@pytest.fixture(params=["by a service", "without a service"])
def sluice(request: pytest.FixtureRequest, tmp_path: Path, folders: dict[str, Path]) -> Iterator[Sluice]:
    """A library whose files were there before it was watched."""
    document = {
        "libraries": {
            "in": {
                "path": str(folders["in"]),
                "action": "import",
                "existing": "baseline",
                "import": {"target": str(folders["out"]), "template": "{stem}{ext}"},
            }
        }
    }
    with Sluice(tmp_path / "home", config=document) as program:
        if request.param == "by a service":
            service = program.start()
            until(lambda: len(program.catalogued()) == 3, "the library is catalogued", 30)
            yield program
            service.stop()
        else:
            program.call("scan")
            yield program


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_baseline_file_by_hand(sluice: Sluice, folders: dict[str, Path]) -> None:
    """S0-60: of files that were there before, only the one that is named is imported; twice is once."""
    assert names(folders["out"]) == set()
    wanted = folders["in"] / "old 1.jpg"
    for _ in range(2):
        [line] = sluice.lines("import", wanted)
        assert (line["path"], line["judgement"]) == (str(wanted), "imported")
        assert line["to"] == str(folders["out"] / "old 1.jpg")
    assert names(folders["out"]) == {"old 1.jpg"}
    assert len(sluice.events("item.imported")) == 1


def test_a_folder_by_hand(sluice: Sluice, folders: dict[str, Path]) -> None:
    """A folder means all files below it, new ones too; an equal one is a duplicate."""
    (folders["in"] / "again.jpg").write_bytes(jpeg(0))
    lines = {Path(line["path"]).name: line["judgement"] for line in sluice.lines("import", folders["in"])}
    assert sorted(lines.values()) == ["duplicate", "imported", "imported", "imported"]
    assert len(names(folders["out"])) == 3


def test_a_file_outside_of_every_library(sluice: Sluice, folders: dict[str, Path]) -> None:
    """A file of a memory card is imported by the rules of the library that is named; its neighbours are not."""
    card = folders["card"]
    refused = sluice.call("import", card / "card 1.jpg", code=2)
    assert "--library" in refused.stderr
    [line] = sluice.lines("import", card / "card 1.jpg", "--library", "in")
    assert line["judgement"] == "imported"
    assert names(folders["out"]) == {"card 1.jpg"}
    assert names(card) == {"card 0.jpg", "card 1.jpg", "card 2.jpg"}
    assert {line["judgement"] for line in sluice.lines("import", card, "--library", "in")} == {"imported"}
    assert len(names(folders["out"])) == 3


def test_what_cannot_be_imported(sluice: Sluice, folders: dict[str, Path]) -> None:
    """A path that is not there, and a library that is not there, are told apart."""
    assert "no such file" in sluice.call("import", folders["in"] / "nothing.jpg", code=2).stderr
    assert "no library 'x'" in sluice.call("import", folders["card"], "--library", "x", code=2).stderr
