"""Libraries and their roots: what is watched, under which rules, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mediasluice.model.imports import ImportRules


class WatchMode(StrEnum):
    """How changes under a root are noticed."""

    EVENTS = "events"  # kernel events suffice
    POLL = "poll"  # events and regular passes: what others write behind the mount makes no event
    OFF = "off"  # known, not watched at the moment


class RootState(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"  # not there, not the same file system, or suddenly empty: nothing is deleted
    HELD = "held"  # online, but too much is missing at once: deletions wait for a person


UNSURE = "much is missing; whether it was moved and changed is known when this pass has read what is new"
"""The reason of a root that is held until a pass knows better: nothing that anybody is told."""


@dataclass(frozen=True, slots=True)
class RootIdentity:
    """What makes a root the same one after a reboot or a remount: its file system and its inode.

    ``filesystem`` is the UUID where the kernel tells it, else ``f_fsid``; empty where neither is stable.
    """

    filesystem: bytes
    ino: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one library, as the stages need them. Durations in seconds, sizes in bytes."""

    recursive: bool = True
    include: tuple[str, ...] = ()  # glob patterns on the name; empty = every name
    exclude: tuple[str, ...] = ()  # gitignore patterns, on top of the built-in list
    kinds: tuple[str, ...] = ()  # wanted kinds by content; empty = every kind
    follow_symlinks: str = "never"  # never | files
    poll: str = "auto"  # auto | always | never
    debounce_s: float = 0.0
    complete_s: float = 0.25
    unknown_s: float = 5.0
    truncated_s: float = 60.0
    network_s: float = 15.0
    junk: tuple[str, ...] = ()  # glob patterns on the name, case-insensitive
    junk_exclude_extensions: tuple[str, ...] = ()  # with the dot, lower case
    stale_after_s: float = 86400.0
    max_size: int | None = None
    attributes: bool = False  # report changes of owner, mode and times as well
    imports: ImportRules | None = None  # None: catalogued and nothing else


@dataclass(frozen=True, slots=True)
class Library:
    """A named root with one set of rules. ``path`` is absolute bytes."""

    name: str
    path: bytes
    rules: Rules
    watch: bool = True
