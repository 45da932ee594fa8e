"""The files of the repository, as the tests of the house look at them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
HOUSE = TOP / "src" / "mediasluice"
_FOLDERS = ("src", "tests", "docs", "scripts", "benchmarks", ".ci")


def files() -> Iterator[Path]:
    """Every file that belongs to the project, caches and results left out."""
    yield from (entry for entry in TOP.iterdir() if entry.is_file())
    for folder in _FOLDERS:
        for entry in (TOP / folder).rglob("*"):
            if entry.is_file() and not {"__pycache__", "results"} & set(entry.parts):
                yield entry


def texts() -> Iterator[tuple[Path, str]]:
    """Every file with its text; what is no text is left out."""
    for file in files():
        try:
            yield file, file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def modules(top: Path) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(top.rglob("*.py")):
        yield file, ast.parse(file.read_text(encoding="utf-8"))
