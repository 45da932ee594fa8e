from __future__ import annotations

import runpy
from collections.abc import Callable

import pytest

from tests.house.tree import TOP

complaint: Callable[[str], str | None] = runpy.run_path(str(TOP / "scripts" / "check_subject.py"))["complaint"]


@pytest.mark.parametrize(
    "subject",
    [
        "settle: a companion holds its file",
        "errors: name the pid",
        "sources, settle: agree on names",
        'Revert "x"',
    ],
)
def test_a_subject_names_its_room(subject: str) -> None:
    """`room: what changes` is accepted, and so is what git writes itself."""
    assert complaint(subject) is None


@pytest.mark.parametrize(
    "subject",
    ["", "fix things", "kitchen: a new stove", "settle:", "settle: ends with a stop.", "settle: " + "x" * 80],
)
def test_other_subjects_are_refused(subject: str) -> None:
    """No room, an unknown room, nothing said, a full stop or too long a line."""
    assert complaint(subject)
