"""Check the subject of a commit: ``room: what changes``, at most 72 characters, no full stop.

Takes the path of the message file, as git hands it to a commit-msg hook. Ends with 1 and says what is meant.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BESIDE = {"benchmarks", "build", "ci", "docs", "mediasluice", "tests"}


def rooms() -> set[str]:
    """Name what a subject may begin with: the rooms that exist, and what lies beside them."""
    house = TOP / "src" / "mediasluice"
    packages = {entry.name for entry in house.iterdir() if (entry / "__init__.py").exists()}
    return packages | {module.stem for module in house.glob("[a-z]*.py")} | BESIDE


def complaint(subject: str) -> str | None:
    """Say what is wrong with a subject, or None."""
    if subject.startswith(("Merge ", "Revert ", "fixup! ", "squash! ")):
        return None
    found = re.fullmatch(r"([a-z_]+(?:, ?[a-z_]+)*): \S.*[^.\s]", subject)
    if found is None or len(subject) > 72:
        return "the subject is `room: what changes`, at most 72 characters, without a full stop"
    unknown = {room.strip() for room in found[1].split(",")} - rooms()
    return f"no room {', '.join(sorted(unknown))}; there are {', '.join(sorted(rooms()))}" if unknown else None


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    problem = complaint(lines[0] if lines else "")
    if problem:
        sys.exit(problem)
