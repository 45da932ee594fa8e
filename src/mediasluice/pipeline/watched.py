"""A root as the running pipeline sees it: its rules compiled, its source, its present state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mediasluice.model.paths import is_inside
from mediasluice.model.roots import RootState, WatchMode

if TYPE_CHECKING:
    from mediasluice.identify.junk import JunkRules
    from mediasluice.model.flow import RootId
    from mediasluice.model.roots import RootIdentity, Rules
    from mediasluice.pipeline.outcomes import Spec
    from mediasluice.settle.decide import Options
    from mediasluice.sources.mounts import Mount
    from mediasluice.sources.names import NameRules
    from mediasluice.sources.source import Source


@dataclass(slots=True)
class Watched:
    """One root. Everything below ``source`` changes while it runs, on the intake thread only."""

    id: RootId
    library: str
    path: bytes
    top: bytes  # the same without symbolic links and slash at the end: as mount points name it
    rules: Rules
    names: NameRules
    junk: JunkRules
    mount: Mount
    spec: Spec
    options: Options
    identity: RootIdentity | None
    source: Source | None = None
    watch: bool = True
    mode: WatchMode = WatchMode.EVENTS
    state: RootState = RootState.ONLINE
    reason: str | None = None
    has_baseline: bool = False  # a first pass over all of it was through, in this run or an earlier one
    baseline: bool = False  # nothing was ever catalogued here: what is found now is the baseline
    is_traced: bool = False  # the log wants to know of every sighting
    armed: bool = False  # its watches are placed and its gap scan was requested
    is_listed: bool = False  # what is missing is marked: what arrives can be told from what moved
    is_compared: bool = False  # a pass was through since it was started or came back
    compared_us: int = 0  # when that was for the first time
    dirty: set[bytes] = field(default_factory=set)  # directories to be compared with the catalogue
    dirty_since_s: float = 0.0
    mounts: dict[bytes, RootIdentity] = field(default_factory=dict)  # inside it, by mount point, as known
    lost: frozenset[bytes] = frozenset()  # of them, those that are out of reach
    emptied: frozenset[bytes] = frozenset()  # of those, the ones that are mounted and show nothing of what was there
    suspected: dict[bytes, float] = field(default_factory=dict)  # places that show nothing: since when [monotonic s]
    shaken: set[bytes] = field(default_factory=set)  # of them, those that were unmounted since the last look
    moving: int = 0  # renamed directories whose rows are not moved yet: no pass begins
    overflows: int = 0
    missed: int = 0  # found by audits although no event told of them
    audits_with_misses: int = 0
    next_poll_s: float = 0.0
    next_audit_s: float = 0.0
    unreadable: set[bytes] = field(default_factory=set)  # directories that hold something unreadable

    def is_out_of_reach(self, directory: bytes) -> bool:
        """Whether a directory lies where another file system is missing: what is there now is not what is known."""
        return any(is_inside(directory, point) for point in self.lost)
