from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import TOP

VIOLATIONS = [
    pytest.param("rooms", "settle/probes.py", "import mediasluice.sources.names", id="strangers"),
    pytest.param("rooms", "model/files.py", "import mediasluice.settle.decide", id="upwards"),
    pytest.param("rooms", "drawer.py", "", id="a new room without its place"),
    pytest.param("siblings", "settle/names.py", "import mediasluice.settle.tracker", id="a cycle"),
    pytest.param("sql", "cli/files.py", "import sqlite3", id="SQL in the command line"),
    pytest.param("document", "wiring/host.py", "import pydantic", id="pydantic outside config"),
    pytest.param("terminal", "service/service.py", "import rich", id="the terminal in the service"),
    pytest.param("desktop", "sources/names.py", "import watchdog", id="watchdog elsewhere"),
    pytest.param("worker", "pipeline/worker.py", "import structlog", id="a heavy worker"),
    pytest.param("worker", "pipeline/isolated.py", "import structlog", id="a heavy isolated process"),
    pytest.param("worker", "settle/decide.py", "import typer", id="a heavy worker by way of a stage"),
]


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_wall_falls_when_it_is_broken(contract: str, file: str, line: str, tmp_path: Path) -> None:
    """One forbidden import, and the contract that forbids it is broken."""
    shutil.copytree(TOP / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    module = tmp_path / "src" / "mediasluice" / file
    module.write_text((module.read_text(encoding="utf-8") if module.exists() else "") + f"\n{line}\n", encoding="utf-8")
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [program, "--no-cache", "--contract", contract],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, "BROKEN" in result.stdout) == (1, True), result.stdout + result.stderr
