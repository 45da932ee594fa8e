"""Files are judged in the transaction that records them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mediasluice.catalogue.store import Catalogue
from mediasluice.model.imports import ImportRules
from mediasluice.pipeline.importing import Importer
from tests.catalogues import add_root, identified, story


def test_of_two_equal_files_one_is_told_to_be_a_duplicate(tmp_path: Path) -> None:
    """Of two equal files that are recorded together one becomes the item; only the other one is told as a duplicate."""
    unused: Any = None
    importer = Importer(lambda: unused, unused, lambda _: unused, unused, failed=lambda _: None)
    with Catalogue.open(tmp_path / "catalogue.sqlite") as catalogue:
        number = add_root(catalogue)
        root: Any = SimpleNamespace(id=number, rules=SimpleNamespace(imports=ImportRules()))
        files = [identified(number, b"a", b"same", old=b"a.part"), identified(number, b"b", b"same")]
        with catalogue.transaction():
            importer.record(catalogue, root, files, 10)
    told = story(tmp_path / "catalogue.sqlite")
    assert [what for what, _, _ in told].count("file.duplicate") == 1, told
