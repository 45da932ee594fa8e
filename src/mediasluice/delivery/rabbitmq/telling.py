"""Which messages a fact becomes, by what the far side was told before.

The far side is thought of as somebody who keeps a set of paths: a message says what to do to it. So what is told does
not follow the event alone. A file of which nothing was told is created, whatever happened to it; one that is told
already, with this path and content, is not told again. Of files with one content one is the original; the others are
duplicates, told as the option says, until the original goes: then one of them is created.

What is decided goes by the log and by what was told, nothing else: delivered again, a fact becomes the same messages
with the same ids.

Takes facts in their order, and ``Audience``: what was told, which it changes; gives messages without their bodies, and
what is to be recorded. Fails with: nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import NamedTuple

from mediasluice.catalogue.outbox import Announced, Fact
from mediasluice.delivery.rabbitmq.options import Duplicates
from mediasluice.model.events import Event, EventType

ORIGINAL, DUPLICATE, OMITTED = "original", "duplicate", "omitted"  # how a file was told

PRESENT = frozenset(
    {
        EventType.FILE_CREATED,
        EventType.FILE_MODIFIED,
        EventType.FILE_MOVED,
        EventType.FILE_RENAMED,
        EventType.FILE_DUPLICATE,
    }
)
"""Events that say where a file is and what it holds."""


class News(NamedTuple):
    """One message to be: what happened to which file."""

    what: str  # created | modified | deleted | moved | renamed | duplicate
    file: int
    path: bytes
    content: int | None
    old_path: bytes | None = None  # of what was moved or renamed
    of_path: bytes | None = None  # the original of a duplicate


class Told(NamedTuple):
    """What a fact becomes: news with their ids, and what the far side knows afterwards."""

    news: tuple[tuple[str, News], ...]
    announced: tuple[Announced, ...]


NOTHING = Told((), ())


class Audience:
    """What the far side was told, as far as it matters for some facts; it follows what they become."""

    def __init__(self, told: Iterable[Announced], duplicates: Duplicates) -> None:
        self._duplicates = duplicates
        self._files: dict[int, Announced] = {}
        self._paths: dict[bytes, dict[int, None]] = {}
        self._holding: dict[tuple[int, bool], dict[int, None]] = {}  # content, and whether they are originals of it
        self._changed: dict[int, Announced] = {}
        for one in sorted(told):
            self._keep(one)

    def tell(self, fact: Fact, content: int | None) -> Told:
        """What a fact becomes; ``content``: what the file holds, as far as it is known."""
        file, event = fact.file, fact.event
        if file is None:
            return NOTHING
        self._changed = {}
        news: list[News] = []
        known = self._files.get(file)
        if event.type in PRESENT and event.type not in _NEW_CONTENT and content is None and known is not None:
            content = known.content
        if event.type in PRESENT and content is not None:
            self._present(file, event.path, content, news)
        elif event.type is EventType.FILE_DELETED or event.type in _NEW_CONTENT:
            self._gone(file, news)  # what it holds now is not wanted, or never was read: it is not what was told
        return Told(_numbered(event, file, news), tuple(self._changed.values()))

    # -- what happens -----------------------------------------------------------------------------

    def _present(self, file: int, path: bytes, content: int, news: list[News]) -> None:
        """A file is at a path and holds a content."""
        for other in [one for one in self._paths.get(path, ()) if one != file]:
            self._gone(other, news, besides=file)  # nobody is at the path of somebody else
        known = self._files.get(file)
        is_asked = self._duplicates is not Duplicates.CREATED
        original = self._original(content, besides=file) if is_asked else None
        if known is None:
            self._appear(Announced(file, path, content, None), original, news)
        elif known.how == ORIGINAL:
            self._original_is_at(known, path, content, original, news)
        elif (known.path, known.content) != (path, content) or original is None:
            if known.how == DUPLICATE and known.path != path:
                news.append(News("deleted", file, known.path, known.content))
            self._appear(Announced(file, path, content, None), original, news)

    def _original_is_at(
        self, known: Announced, path: bytes, content: int, original: Announced | None, news: list[News]
    ) -> None:
        """An original is at this path with this content; ``original``: another one that has it."""
        is_moved, is_changed = known.path != path, known.content != content
        if is_changed and original is not None:  # it holds what another one was told to hold
            news.append(News("deleted", known.file, known.path, known.content))
            self._appear(Announced(known.file, path, content, None), original, news)
        elif is_moved or is_changed:
            if is_moved:
                what = "renamed" if _directory(known.path) == _directory(path) else "moved"
                news.append(News(what, known.file, path, content, old_path=known.path))
            if is_changed:
                news.append(News("modified", known.file, path, content))
            self._keep(Announced(known.file, path, content, ORIGINAL))
        if is_changed:
            self._survive(known.content, news, besides=known.file)

    def _appear(self, one: Announced, original: Announced | None, news: list[News]) -> None:
        """A file is told of: as a duplicate of an original, or as one where nobody knows of any."""
        if original is None:
            news.append(News("created", one.file, one.path, one.content))
            self._keep(one._replace(how=ORIGINAL))
        elif self._duplicates is Duplicates.SEPARATE:
            news.append(News("duplicate", one.file, one.path, one.content, of_path=original.path))
            self._keep(one._replace(how=DUPLICATE))
        else:
            self._keep(one._replace(how=OMITTED))

    def _gone(self, file: int, news: list[News], besides: int | None = None) -> None:
        """A file is not where it was told to be."""
        known = self._files.get(file)
        if known is None:
            return
        self._forget(known)
        self._changed[file] = known._replace(how=None)
        if known.how != OMITTED:
            news.append(News("deleted", file, known.path, known.content))
        if known.how == ORIGINAL:
            self._survive(known.content, news, besides)

    def _survive(self, content: int | None, news: list[News], besides: int | None = None) -> None:
        """The original of a content is gone: one of its duplicates is the original now."""
        if content is None or self._original(content) is not None:
            return
        heir = min((file for file in self._holding.get((content, False), ()) if file != besides), default=None)
        if heir is not None:
            self._keep(self._files[heir]._replace(how=ORIGINAL))
            news.append(News("created", heir, self._files[heir].path, content))

    # -- what is known ----------------------------------------------------------------------------

    def _original(self, content: int, besides: int | None = None) -> Announced | None:
        """The original of a content; there may be several of a time when duplicates were created."""
        file = min((one for one in self._holding.get((content, True), ()) if one != besides), default=None)
        return None if file is None else self._files[file]

    def _keep(self, one: Announced) -> None:
        before = self._files.get(one.file)
        if before is not None:
            self._forget(before)
        self._files[one.file] = self._changed[one.file] = one
        self._paths.setdefault(one.path, {})[one.file] = None
        if one.content is not None:
            self._holding.setdefault((one.content, one.how == ORIGINAL), {})[one.file] = None

    def _forget(self, one: Announced) -> None:
        del self._files[one.file]
        self._paths[one.path].pop(one.file, None)
        if one.content is not None:
            self._holding[one.content, one.how == ORIGINAL].pop(one.file, None)


_NEW_CONTENT = frozenset({EventType.FILE_CREATED, EventType.FILE_MODIFIED})


def _numbered(event: Event, file: int, news: list[News]) -> tuple[tuple[str, News], ...]:
    """Give ids: news that say what the event says have its id, the rest one that is made of it and of what they say."""
    return tuple(
        (
            event.id
            if one.file == file and event.type == f"file.{one.what}"
            else str(uuid.uuid5(uuid.UUID(event.id), f"{one.what} {one.file}")),
            one,
        )
        for one in news
    )


def _directory(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]
