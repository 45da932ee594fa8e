"""What every source of sightings can do; the pipeline knows no more of them than this."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from mediasluice.model.flow import Sighting


class Coverage(NamedTuple):
    """How much of a root is being watched. ``uncovered`` are the topmost directories (relative) that need polling."""

    watches: int
    overflows: int  # times that events were lost and a directory was declared dirty instead
    uncovered: tuple[bytes, ...]
    reason: str | None  # why not everything is covered, or what to do about it


class Source(Protocol):
    """Reports what changes under one root."""

    def start(self) -> None:
        """Watch the whole tree; blocking, from any thread, while ``read`` may be called from another.

        What was there before is not reported: list the tree after this returned. Call it again to try once more
        what could not be covered. Raises ``RootUnusable``, or ``Unavailable`` where the system has no watcher left.
        """

    def read(self) -> list[Sighting]:
        """What was seen since the last call; never waits. Bounded: call again until it is empty.

        When there is more to do later (a rename to pair, a tree to walk), the source calls ``wake`` itself.
        """

    @property
    def is_halfway(self) -> bool:
        """Whether a name was seen to leave that may arrive elsewhere yet: the other half of a rename."""

    def revisit(self, directory: bytes) -> None:
        """Watch anew what lies at a directory: something was mounted or unmounted there. ``read`` calls it dirty."""

    def coverage(self) -> Coverage:
        """How complete the reports are; safe from any thread."""

    def close(self) -> None:
        """Stop and give everything back. A ``start`` that is running ends; ``read`` is empty from now on."""
