from __future__ import annotations

import pytest

from mediasluice.catalogue.outbox import Announced, Fact
from mediasluice.delivery.rabbitmq.options import Duplicates
from mediasluice.delivery.rabbitmq.telling import DUPLICATE, OMITTED, ORIGINAL, Audience, Told
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import Kind

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
CREATED, MODIFIED, DELETED = EventType.FILE_CREATED, EventType.FILE_MODIFIED, EventType.FILE_DELETED
MOVED, COPY = EventType.FILE_MOVED, EventType.FILE_DUPLICATE


def tell(
    told: list[Announced], kind: EventType, file: int, path: bytes, content: int | None,
    duplicates: Duplicates = Duplicates.SEPARATE,
) -> Told:  # fmt: skip
    event = Event(7, ID, kind, 1, "music", path, None, 7, None, None, None, {})
    return Audience(told, duplicates).tell(Fact(event, b"/m", file, 1, content, Kind.AUDIO, None, None, None), content)


def said(told: Told) -> list[tuple[str, bytes]]:
    return [(news.what, news.path) for _, news in told.news]


A = Announced(1, b"/m/a", 10, ORIGINAL)
COPY_OF_A = Announced(2, b"/m/b", 10, DUPLICATE)


@pytest.mark.parametrize(
    ("kind", "path", "content", "expected"),
    [
        (CREATED, b"/m/a", 10, []),
        (MODIFIED, b"/m/a", 11, [("modified", b"/m/a")]),
        (MODIFIED, b"/m/a", None, [("deleted", b"/m/a")]),
        (DELETED, b"/m/a", 10, [("deleted", b"/m/a")]),
        (MOVED, b"/m/c", 10, [("renamed", b"/m/c")]),
        (MOVED, b"/m/x/a", None, [("moved", b"/m/x/a")]),
        (MOVED, b"/m/c", 11, [("renamed", b"/m/c"), ("modified", b"/m/c")]),
        (COPY, b"/m/a", 10, []),
        (EventType.FILE_ATTRIBUTES, b"/m/a", 10, []),
        (EventType.ITEM_IMPORTED, b"/m/a", 10, []),
    ],
)
def test_a_file_that_was_told(kind: EventType, path: bytes, content: int | None, expected: object) -> None:
    """What happens to an announced file is told as what it changes for somebody who knows the file."""
    assert said(tell([A], kind, 1, path, content)) == expected


@pytest.mark.parametrize("kind", [CREATED, MODIFIED, MOVED, EventType.FILE_RENAMED])
def test_a_file_of_which_nobody_knows_is_created(kind: EventType) -> None:
    """Modified, moved or renamed: what was never announced is created; its deletion is nothing."""
    assert said(tell([], kind, 1, b"/m/a", 10)) == [("created", b"/m/a")]
    assert said(tell([], DELETED, 1, b"/m/a", 10)) == []


def test_the_path_that_was_announced_is_the_old_one() -> None:
    """A file that moved twice, of which only the second event is left, has moved from where it was announced."""
    [(_, news)] = tell([A], MOVED, 1, b"/m/x/c", 10).news
    assert (news.what, news.old_path) == ("moved", b"/m/a")


def test_who_is_at_a_path_replaces_whom_was_there() -> None:
    """Where the log lost the move of a file, what comes to its path has it deleted first; later it is created."""
    told = tell([A, Announced(3, b"/m/c", 12, ORIGINAL)], MOVED, 3, b"/m/a", 12)
    assert said(told) == [("deleted", b"/m/a"), ("renamed", b"/m/a")]
    assert told.announced == (A._replace(how=None), Announced(3, b"/m/a", 12, ORIGINAL))


def test_duplicates_are_told_as_it_was_asked() -> None:
    """A second file of a content is told as a duplicate, as a file, or not; the last is remembered."""
    ways = {way: tell([A], CREATED, 2, b"/m/b", 10, way) for way in Duplicates}
    assert said(ways[Duplicates.SEPARATE]) == [("duplicate", b"/m/b")]
    assert said(ways[Duplicates.CREATED]) == [("created", b"/m/b")]
    assert said(ways[Duplicates.OMIT]) == []
    assert [way.announced[0].how for way in ways.values()] == [DUPLICATE, ORIGINAL, OMITTED]
    assert said(tell([A, COPY_OF_A], COPY, 2, b"/m/b", 10)) == []


@pytest.mark.parametrize("how", [DUPLICATE, OMITTED])
@pytest.mark.parametrize(("kind", "content", "first"), [(DELETED, 10, "deleted"), (MODIFIED, 11, "modified")])
def test_a_copy_takes_the_place_of_its_original(how: str, kind: EventType, content: int, first: str) -> None:
    """When the announced path is gone, or holds something else, one of the copies that remain is created."""
    told = tell([A, COPY_OF_A._replace(how=how)], kind, 1, b"/m/a", content)
    assert said(told) == [(first, b"/m/a"), ("created", b"/m/b")]
    assert COPY_OF_A._replace(how=ORIGINAL) in told.announced


def test_an_original_that_becomes_a_copy_is_one() -> None:
    """A file that now holds what another one was announced with is deleted as such and told as a duplicate."""
    told = tell([A, Announced(3, b"/m/c", 12, ORIGINAL)], MODIFIED, 3, b"/m/c", 10)
    assert said(told) == [("deleted", b"/m/c"), ("duplicate", b"/m/c")]
    assert told.news[1][1].of_path == b"/m/a"


def test_ids_tell_messages_apart() -> None:
    """The news that an event is about have its id, all others one of their own, the same each time."""
    first, again = (tell([A, COPY_OF_A], DELETED, 1, b"/m/a", 10) for _ in range(2))
    assert first == again
    assert first.news[0][0] == ID
    assert first.news[1][0] not in {ID, ""}
    assert tell([A], MODIFIED, 1, b"/m/a", None).news[0][0] != ID
