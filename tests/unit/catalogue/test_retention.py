"""What of the event log goes, what stays, and who is told that there is a gap."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediasluice.catalogue import outbox, retention
from mediasluice.catalogue.connect import connect
from mediasluice.catalogue.ledger import Ledger
from mediasluice.catalogue.outbox import ACTIVE, DEAD, DISABLED, PARKED, PAUSED, Letter, Progress
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.flow import RootId
from tests import catalogues as trees

DAY_US = 86_400_000_000


def write(catalogue: Catalogue, root: RootId, path: bytes, content: bytes, at_us: int) -> None:
    catalogue.record([trees.identified(root, path, content, mtime_ns=at_us)], at_us)


def second_pass(catalogue: Catalogue, seq: int) -> None:
    catalogue.relate((), (), seq)


def add_sink(catalogue: Catalogue, name: str, cursor: int, state: str = ACTIVE) -> None:
    catalogue.change(outbox.register, name, "webhook", 0, from_start=True)
    catalogue.change(outbox.record, name, Progress(cursor, (), 0))
    catalogue.change(outbox.set_state, name, state, None, 0)


def numbers(file: Path) -> list[int]:
    with View.open(file) as view:
        return [event.seq for event in view.events(0)]


def prune(catalogue: Catalogue, file: Path, before_us: int, sinks: Iterable[str] = ()) -> retention.Dropped:
    """Drop what is outlived and older than that, as the job does it, in chunks of two."""
    events, lagged, after = 0, list[str](), 0
    while True:
        with View.open(file) as view:
            upto = view.ask(retention.hold, list(sinks)).seq
            found = view.ask(retention.outlived, after, 2, upto=upto, before_us=before_us)
        dropped = catalogue.change(retention.drop, found.seqs, list(sinks))
        events += dropped.events
        lagged += dropped.lagged
        if found.after is None:
            return retention.Dropped(events, lagged)
        after = found.after


def squeeze(catalogue: Catalogue, file: Path) -> retention.Dropped:
    """Drop all that is outlived, whoever has not read it."""
    with View.open(file) as view:
        found = view.ask(retention.outlived, 0, 1_000)
    return catalogue.change(retention.drop, found.seqs, None)


@pytest.fixture
def story(catalogue: Catalogue, root: RootId) -> list[int]:
    """Three versions of one file and one of another: events 1 to 4, one a day."""
    write(catalogue, root, b"a.jpg", b"one", DAY_US)
    write(catalogue, root, b"a.jpg", b"two", 2 * DAY_US)
    write(catalogue, root, b"b.jpg", b"other", 3 * DAY_US)
    write(catalogue, root, b"a.jpg", b"three", 4 * DAY_US)
    second_pass(catalogue, 4)
    return [1, 2, 3, 4]


def test_only_the_last_event_of_each_file_outlives_its_age(catalogue: Catalogue, file: Path, story: list[int]) -> None:
    """Old events go, but never the last one of a file."""
    assert numbers(file) == story
    assert prune(catalogue, file, 9 * DAY_US) == (2, [])
    assert numbers(file) == [3, 4]


def test_young_events_stay(catalogue: Catalogue, file: Path, story: list[int]) -> None:
    """What is younger than the limit stays, whatever follows it."""
    assert prune(catalogue, file, 2 * DAY_US).events == 1
    assert numbers(file) == story[1:]


@pytest.mark.usefixtures("story")
def test_the_second_pass_holds_what_it_has_not_read(catalogue: Catalogue, file: Path) -> None:
    """An event that the second pass has still to read is not dropped by age."""
    second_pass(catalogue, 1)
    assert prune(catalogue, file, 9 * DAY_US).events == 1
    assert numbers(file) == [2, 3, 4]
    with View.open(file) as view:
        assert view.ask(retention.hold, []) == (1, retention.ENRICHING)


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize("state", [ACTIVE, PAUSED])
def test_a_sink_holds_what_it_has_not_read(catalogue: Catalogue, file: Path, state: str) -> None:
    """A sink of the document, paused or not, keeps what it has not been told."""
    add_sink(catalogue, "hook", 1, state)
    assert prune(catalogue, file, 9 * DAY_US, ["hook"]) == (1, [])
    assert numbers(file) == [2, 3, 4]
    with View.open(file) as view:
        assert view.ask(retention.hold, ["hook"]) == (1, "hook")
        assert view.ask(outbox.positions)["hook"].lagged == 0


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(("state", "holders"), [(DISABLED, ["hook"]), (ACTIVE, [])])
def test_who_reads_no_more_holds_nothing_and_is_marked(
    catalogue: Catalogue, file: Path, state: str, holders: list[str]
) -> None:
    """A disabled sink, and one that left the document, hold nothing; their rows say up to where they have a gap."""
    add_sink(catalogue, "hook", 1, state)
    assert prune(catalogue, file, 9 * DAY_US, holders) == (2, ["hook"])
    with View.open(file) as view:
        assert view.ask(outbox.positions)["hook"].lagged == 2


def test_a_dead_letter_keeps_its_event(catalogue: Catalogue, file: Path, story: list[int]) -> None:
    """What a sink could not take can be tried again as long as it stands in its list."""
    add_sink(catalogue, "hook", 4)
    letter = Letter(story[0], DEAD, ("x",), 3, "refused", 0)
    catalogue.change(outbox.record, "hook", Progress(4, (), 0, letters=[letter]))
    assert prune(catalogue, file, 9 * DAY_US, ["hook"]).events == 1
    assert numbers(file) == [1, 3, 4]
    catalogue.change(outbox.drop_letters, "hook", [1])
    assert prune(catalogue, file, 9 * DAY_US, ["hook"]).events == 1
    assert numbers(file) == [3, 4]


@pytest.mark.usefixtures("story")
def test_a_removed_sink_keeps_nothing(catalogue: Catalogue, file: Path) -> None:
    """Dead letters of a sink that the document does not have any more keep no event."""
    add_sink(catalogue, "gone", 4)
    catalogue.change(outbox.record, "gone", Progress(4, (), 0, letters=[Letter(1, DEAD, ("x",), 1, "refused", 0)]))
    prune(catalogue, file, 9 * DAY_US, [])
    assert numbers(file) == [3, 4]


@pytest.mark.usefixtures("story")
def test_past_the_cap_only_the_last_fact_waits_behind_a_dead_letter(catalogue: Catalogue, file: Path) -> None:
    """A file that changes on and on behind a dead letter does not keep the whole log."""
    add_sink(catalogue, "hook", 4)
    letters = [Letter(seq, state, ("x",), 1, "so", 0) for seq, state in ((1, DEAD), (2, PARKED), (4, PARKED))]
    catalogue.change(outbox.record, "hook", Progress(4, (), 0, letters=letters))
    prune(catalogue, file, 9 * DAY_US, ["hook"])
    assert numbers(file) == [1, 2, 3, 4]
    squeeze(catalogue, file)
    assert numbers(file) == [1, 3, 4]
    with View.open(file) as view:
        assert [letter.seq for letter in view.ask(outbox.letters, "hook")] == [1, 4]


@pytest.mark.usefixtures("story")
def test_past_the_cap_a_slow_sink_is_lagged(catalogue: Catalogue, file: Path) -> None:
    """What the cap takes is noted at each sink that had not read it, once, and at no other one."""
    second_pass(catalogue, 0)
    add_sink(catalogue, "slow", 0)
    add_sink(catalogue, "late", 1)
    add_sink(catalogue, "quick", 2)
    assert squeeze(catalogue, file) == (2, ["late", "slow"])
    assert numbers(file) == [3, 4]
    with View.open(file) as view:
        found = view.ask(outbox.positions)
        assert {name: position.lagged for name, position in found.items()} == {"slow": 2, "late": 2, "quick": 0}
        assert found["slow"].cursor == 0
    assert squeeze(catalogue, file) == (0, [])


def test_a_cursor_that_went_back_meanwhile_holds_again(catalogue: Catalogue, file: Path, story: list[int]) -> None:
    """A replay between the look and the deletion is respected: the writer asks again who holds what."""
    add_sink(catalogue, "hook", 4)
    with View.open(file) as view:
        found = view.ask(retention.outlived, 0, 100)
    assert (found.seqs, found.after) == ([1, 2], None)
    catalogue.change(outbox.replay, "hook", 0)
    assert catalogue.change(retention.drop, found.seqs, ["hook"]) == (0, [])
    assert numbers(file) == story


def test_the_last_word_on_a_file_that_is_gone_stays(catalogue: Catalogue, file: Path, root: RootId) -> None:
    """Of a deleted file its deletion stays, and it still names the content; its number is never used again."""
    write(catalogue, root, b"a.jpg", b"one", DAY_US)
    catalogue.depart(root, [(b"", b"a.jpg")], 2 * DAY_US)
    catalogue.delete([departed.file for departed in catalogue.departed([root], 10)], 2 * DAY_US)
    catalogue.prune(3 * DAY_US)
    second_pass(catalogue, 2)
    assert prune(catalogue, file, 9 * DAY_US).events == 1
    assert [what for what, _, _ in trees.story(file)] == ["file.deleted"]
    catalogue.change(Ledger.forget)  # as a restart does
    write(catalogue, root, b"b.jpg", b"new", 4 * DAY_US)
    with View.open(file) as view:
        facts = view.ask(outbox.facts, 0, 10)
    assert len({fact.file for fact in facts}) == 2


def test_events_of_a_root_go_by_age(catalogue: Catalogue, file: Path, root: RootId) -> None:
    """That a root was away is of no interest once it is old."""
    home = "INSERT INTO event (type, at_us, dir, name) SELECT 'root.offline', ?, id, x'' FROM dir WHERE path = x''"
    write(catalogue, root, b"a.jpg", b"one", DAY_US)
    with closing(connect(file, "rw")) as connection:
        connection.execute(home, (DAY_US,))
    second_pass(catalogue, 2)
    assert prune(catalogue, file, DAY_US).events == 0
    assert prune(catalogue, file, DAY_US + 1).events == 1


def test_the_size_of_the_log_is_told_within_a_third(catalogue: Catalogue, file: Path, root: RootId) -> None:
    """The estimate that the cap is held against agrees with what SQLite counts page by page."""
    for start in range(0, 6_000, 1_000):
        names = [b"2024/%d/IMG_%05d.jpg" % (start // 500, start + n) for n in range(1_000)]
        catalogue.record([trees.identified(root, name, name) for name in names], 1)
    with closing(connect(file, "ro")) as connection:
        query = "SELECT sum(pgsize) FROM dbstat WHERE name IN ('event', 'event_file', 'event_dir', 'event_old_dir')"
        try:
            counted = int(connection.execute(query).fetchone()[0])
        except connection.OperationalError:
            pytest.skip("this SQLite has no dbstat")
        assert 0.67 * counted < retention.size(connection) < 1.5 * counted


CHANGES = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 3)), min_size=1, max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, before=st.integers(0, 30), read=st.integers(0, 30), forced=st.booleans())
def test_whatever_is_dropped_the_events_tell_the_same_end(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[bytes, int]],
    before: int,
    read: int,
    forced: bool,  # noqa: FBT001 - a case, not an option
) -> None:
    """The last word on each file, and on its content, is the same before and after any retention."""
    file = tmp_path_factory.mktemp("log") / "catalogue.sqlite"
    with closing(Catalogue.open(file)) as catalogue:
        root = trees.add_root(catalogue)
        for number, (name, version) in enumerate(changes):
            if version:
                write(catalogue, root, name, b"%s%d" % (name, version), number + 1)
            else:
                catalogue.depart(root, [(b"", name)], number + 1)
                catalogue.delete([gone.file for gone in catalogue.departed([root], 10)], number + 1)
        second_pass(catalogue, read)
        whole = _ends(file)
        kept = set(numbers(file))
        dropped = squeeze(catalogue, file) if forced else prune(catalogue, file, before)
        left = set(numbers(file))
        assert _ends(file) == whole
        assert len(kept - left) == dropped.events
        assert forced or all(seq <= read for seq in kept - left)


def _ends(file: Path) -> dict[int | None, tuple[object, ...]]:
    with View.open(file) as view:
        facts = view.ask(outbox.facts, 0, 1_000)
    last = {fact.file: (fact.event.seq, fact.event.type, fact.event.path) for fact in facts}
    contents = {fact.file: fact.content for fact in facts if fact.content is not None}
    return {number: (*last[number], contents.get(number)) for number in last}
