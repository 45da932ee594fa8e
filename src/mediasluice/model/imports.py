"""What becomes of a settled file that its library imports: the rules, and the judgements on a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ItemState(StrEnum):
    """Who may see an item."""

    PUBLIC = "public"
    PRIVATE = "private"
    UNLISTED = "unlisted"


class Mode(StrEnum):
    """How the bytes of a file come to the target."""

    COPY = "copy"
    MOVE = "move"  # renamed on one file system; copied, compared and only then removed across two
    HARDLINK = "hardlink"  # a copy where the file system cannot link
    HARDLINK_ONLY = "hardlink!"  # refused where the file system cannot link
    REFLINK = "reflink"  # shares blocks with the original; a copy where the file system cannot
    IN_PLACE = "in-place"  # stays where it is


class After(StrEnum):
    """What becomes of a file that was imported and is still where it arrived."""

    KEEP = "keep"
    MOVE = "move"  # to ``imported`` or ``duplicates`` below the processed directory


class Scope(StrEnum):
    """Within what a content is imported once."""

    ALL = "all"
    OWNER = "owner"
    LIBRARY = "library"


class ProfileName(StrEnum):
    """What the renditions of a library are."""

    H264_AAC = "h264-aac"
    H264_AAC_720 = "h264-aac-720"
    AAC = "aac"
    OPUS = "opus"


class Undated(StrEnum):
    """Where a file goes whose template asks for a date, when only the file system says one."""

    MTIME = "mtime"  # by that date
    FOLDER = "folder"  # to `undated` below the target, at its path below the root
    SKIP = "skip"  # nowhere: it is refused


class Existing(StrEnum):
    """What the first pass over a new root does with the files that lie there."""

    IMPORT = "import"
    BASELINE = "baseline"  # catalogued, imported only by hand


class Judgement(StrEnum):
    """What an importing library says of one version of a file."""

    PENDING = "pending"  # to be imported; its bytes are not at their target yet
    IMPORTED = "imported"
    DUPLICATE = "duplicate"  # its content is an item already
    REFUSED = "refused"
    BASELINE = "baseline"  # was there before the library was watched
    AGAIN = "again"  # its item was deleted: the next pass judges it anew
    COMPANION = "companion"  # means nothing by itself: it goes where the file goes that it belongs to


COMPANION_ROLES = frozenset({"sidecar", "subtitle", "lyrics", "thumbnail", "proxy", "cover", "art", "document"})
"""Roles in a group of files that mean nothing by themselves, as ``identify.grouping`` names them."""

SHOT_ROLES = frozenset({"primary", "motion", "rendered", "raw", "edited", "memo"})
"""Roles of the media of one shot: each is an item, and they lie beside one another."""


@dataclass(frozen=True, slots=True)
class ImportRules:
    """The import rules of one library. Directories are absolute bytes."""

    owner: str | None = None  # name of an account
    state: ItemState = ItemState.PUBLIC
    target: bytes | None = None  # None: the file stays where it is
    template: str = "{name}"  # path below the target; see actions/naming.py
    mode: Mode = Mode.COPY
    after: After = After.KEEP
    processed: bytes | None = None
    existing: Existing = Existing.IMPORT
    scope: Scope = Scope.ALL
    undated: Undated = Undated.FOLDER
    moves_duplicates: bool = False  # to ``duplicates`` below the processed directory
    transcode: ProfileName | None = None  # of which profile its items get renditions
