from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mediasluice.catalogue.store import Catalogue
from mediasluice.model.flow import RootId
from tests.catalogues import add_root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def catalogue(file: Path) -> Iterator[Catalogue]:
    with Catalogue.open(file) as catalogue:
        yield catalogue


@pytest.fixture
def root(catalogue: Catalogue) -> RootId:
    return add_root(catalogue)
