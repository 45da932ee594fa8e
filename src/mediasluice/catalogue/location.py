"""Where the catalogue of a data directory lies. Alone, so that commands which only look need no database driver."""

from __future__ import annotations

from pathlib import Path

FILE_NAME = "catalogue.sqlite"


def catalogue_file(data: Path) -> Path:
    """The database file of a data directory."""
    return data / FILE_NAME
