"""Whether a library's import rules can work on this machine: what stands in their way, before anything arrives.

Takes import rules and the root's path; gives sentences, each naming the path and the setting to change. Writes
nothing. Fails with: nothing.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from mediasluice.model.imports import After, ImportRules, Mode
from mediasluice.model.paths import text


class Fitness(NamedTuple):
    """Sentences for people: what keeps the imports from working, and what they should know."""

    problems: list[str]
    remarks: list[str]


def fitness(rules: ImportRules, root: bytes) -> Fitness:
    """Look at the root, the target and the processed directory."""
    problems: list[str] = []
    remarks: list[str] = []
    takes_away = (
        "after: move" if rules.after is After.MOVE
        else "mode: move" if rules.mode is Mode.MOVE and rules.target is not None
        else "duplicates.to: processed" if rules.moves_duplicates
        else None
    )  # fmt: skip
    if takes_away is not None and (reason := _cannot_write(root)):
        problems.append(
            f"{text(root)}: {reason}, so files cannot be moved away; set import.{takes_away.partition(':')[0]} "
            f"otherwise (now {takes_away}), or mount it writable"
        )
    wanted = [("target", rules.target if rules.mode is not Mode.IN_PLACE else None)]
    if rules.after is After.MOVE or rules.moves_duplicates:
        wanted.append(("processed_dir", rules.processed))
    for setting, directory in wanted:
        if directory is None:
            continue
        if os.path.lexists(directory) and not os.path.isdir(directory):
            problems.append(f"{text(directory)}: is not a directory (import.{setting})")
            continue
        nearest = directory
        while not os.path.isdir(nearest):
            nearest = os.path.dirname(nearest)
        if reason := _cannot_write(nearest):
            problems.append(f"{text(directory)}: {reason} (import.{setting})")
        elif nearest != directory:
            remarks.append(f"{text(directory)}: will be created (import.{setting})")
    return Fitness(problems, remarks)


def _cannot_write(directory: bytes) -> str | None:
    """Why this process cannot make or remove names in a directory that is there."""
    if hasattr(os, "statvfs"):
        try:
            if os.statvfs(directory).f_flag & os.ST_RDONLY:
                return "it is mounted read-only"
        except OSError as error:
            return error.strerror or str(error)
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"this user{_uid()} may not write there"
    return None


def _uid() -> str:
    return f" (uid {os.geteuid()})" if hasattr(os, "geteuid") else ""
