from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import TOP

TESTS = """
import pytest

def test_skipped():
    pytest.skip("no bindfs here")

def test_corpus(corpus):
    pass

@pytest.mark.xfail
def test_expected():
    assert False
"""


@pytest.mark.parametrize(
    ("require_all", "outcome"), [("0", "2 skipped, 1 xfailed"), ("1", "1 failed, 1 skipped, 1 xfailed")]
)
def test_a_skip_is_a_failure_where_everything_is_required(require_all: str, outcome: str, tmp_path: Path) -> None:
    """With SLUICE_REQUIRE_ALL=1 a skip fails, except that of a missing corpus."""
    (tmp_path / "test_one.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    shutil.copy(TOP / "tests" / "conftest.py", tmp_path)
    environ = {name: value for name, value in os.environ.items() if name != "SLUICE_CORPUS"}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_one.py"],
        cwd=tmp_path,
        env=environ | {"SLUICE_REQUIRE_ALL": require_all},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in result.stdout, result.stdout
    assert result.returncode == int(require_all)
