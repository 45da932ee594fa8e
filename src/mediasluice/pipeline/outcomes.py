"""The tuples that travel between the service and its workers.

They are plain tuples of ``marshal`` types on the wire; the named tuples here give their fields names
on the side that builds them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, NamedTuple

from mediasluice.identify.digests import ALWAYS

HEAD_SIZE = 4096  # bytes read to judge kind and format: one page, one request
BULK_SIZE = 32 << 20  # bytes: 5 ms of hashing; a larger arrival moves to the bulk lane so that others pass it


class Code:
    """First field of every outcome, with the fields that follow. Plain integers: ``marshal`` takes no enums."""

    READY: Final = 1  # key, links, strong, kind, quick, digests | None, birth_ns | None
    WAIT: Final = 2  # reason, quiet seconds needed, evidence (key[, links, writer, holes, format]), detail | None
    GONE: Final = 3  # -
    UNREADABLE: Final = 4  # reason, key | None, links
    SPECIAL: Final = 5  # not a regular file: never opened
    SKIP: Final = 6  # reason, key, links
    SAME: Final = 7  # key, links: moved, its content is known
    LARGE: Final = 8  # evidence: settled, but to be read on the bulk lane
    STATUS: Final = 9  # key, links, is regular, somebody writes it
    LISTED: Final = 10  # a Listing
    TAKEN: Final = 11  # a new directory with what was read in it; see examine.take_directories


class _Spec(NamedTuple):
    root: bytes
    lease_proves_free: bool
    lease_proves_busy: bool  # not on NFS and SMB: their clients answer for a lease that they do not have
    stable_inodes: bool
    local: bool
    follow_files: bool
    durations_s: tuple[float, float, float, float, float]  # debounce, complete, unknown, truncated, network
    recursive: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    own: tuple[bytes, ...]  # absolute paths below the root that are ours
    kinds: tuple[str, ...]
    junk: tuple[str, ...]
    junk_exclude_extensions: tuple[str, ...]
    stale_after_s: float
    max_size: int | None
    algorithms: tuple[str, ...]
    rules_digest: bytes  # 16 bytes that differ when other files are wanted than before (kinds, junk, size limit)
    full: bool  # False: files over the quick digest's size wait for the off-peak window


class Spec(_Spec):
    """What a worker must know of a root. Hashable: workers keep compiled rules per spec."""

    @cached_property
    def algorithms_set(self) -> frozenset[str]:
        """The algorithms in the form that the reader takes; the reader knows its usual set by identity."""
        wanted = frozenset(self.algorithms)
        return ALWAYS if wanted == ALWAYS else wanted


class Look(NamedTuple):
    """One candidate, as a worker sees it."""

    name: bytes
    arrival: int  # settle.decide.Arrival
    changed_s: float  # monotonic time of the last change seen
    observations: int  # looks before this one that found the same key
    learned_s: float  # quiet time learned for its directory and extension
    last_key: tuple[int, int, int, int] | None  # key at the last look or in the listing
    known: tuple[int, int, int] | None  # (ino, size, mtime_ns) under which its content is catalogued
    stat_only: bool  # only say what it is
