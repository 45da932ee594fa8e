from __future__ import annotations

import itertools
import re
import tomllib

import pytest

from tests.house.tree import TOP

LOCKS = ["requirements.lock", "requirements-dev.lock"]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))


def pins(lock: str) -> set[tuple[str, str]]:
    """Name and version with marker of each requirement."""
    text = (TOP / lock).read_text(encoding="utf-8")
    return {(name, rest.strip()) for name, rest in re.findall(r"^([\w.-]+)==(.*?)\s*\\$", text, re.MULTILINE)}


def plain(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[><=~! ;]", requirement)[0].lower().replace(".", "-") for requirement in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_option(lock: str) -> None:
    """A lock is requirements with hashes and nothing else, so that it installs from any index."""
    lines = (TOP / lock).read_text(encoding="utf-8").splitlines()
    requirement, digest = (
        re.compile(r"[\w.-]+==[\w.!+]+( ; .+?)? \\"),
        re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?"),
    )
    assert [line for line in lines if not requirement.fullmatch(line) and not digest.fullmatch(line)] == []
    assert [line for line, below in itertools.pairwise(lines) if line.endswith("\\") and "--hash" not in below] == []


def test_the_locks_agree() -> None:
    """What running needs is part of what developing needs, in the same versions: one .venv serves both."""
    versions = {(name, rest.split(" ;")[0]) for name, rest in pins("requirements-dev.lock")}
    assert {(name, rest.split(" ;")[0]) for name, rest in pins("requirements.lock")} - versions == set()


def test_the_locks_are_current() -> None:
    """Each requirement of pyproject.toml is in the lock that it belongs to, the build backend in both."""
    base, dev = ({name for name, _ in pins(lock)} for lock in LOCKS)
    extras = [line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines]
    groups = PROJECT["dependency-groups"]
    assert plain(PROJECT["project"]["dependencies"] + groups["build"]) - base == set()
    assert plain(extras + groups["dev"]) - dev == set()
    assert plain(PROJECT["build-system"]["requires"]) <= base


def test_no_tool_is_needed_for_running() -> None:
    """The lock for running holds no checker and no extra."""
    assert {"ruff", "mypy", "pytest", "hypothesis", "watchdog", "aio-pika"} & {
        name for name, _ in pins(LOCKS[0])
    } == set()
