"""What the second pass remembers: how far it is, what was read, who may belong to whom, what is to be tried again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue import readings
from mediasluice.catalogue.journal import Closed, Planned
from mediasluice.catalogue.readings import FOLDER_MAX, Place, Read, Relative, Subject, Tie, Timed, Unread
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.files import FileState, Kind, Origin
from mediasluice.model.flow import RootId
from mediasluice.model.imports import ImportRules, Mode
from mediasluice.model.media import Capture, Confidence, DateSource, Reading, to_json
from mediasluice.model.paths import split
from tests.catalogues import add_root, identified, observed

NAMED = frozenset({"m3u", "ifo", "on1"})
NOW_US = 1_000
TAKEN = Capture("2024-05-06T07:08:09", 120, DateSource.EXIF_ORIGINAL, Confidence.HIGH, ("sidecar 0000: no date",))
FOUND = to_json(Reading("exif", "image/jpeg"))


class Desk:
    """A catalogue with one root, and what a test does with it."""

    def __init__(self, file: Path, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.root = add_root(catalogue)
        self.view = View.open(file)

    def put(self, path: bytes, content: bytes | None = None, kind: Kind = Kind.IMAGE, **rest: Any) -> int:
        """Record a file; gives its id."""
        one = identified(rest.pop("root", self.root), path, path if content is None else content, **rest)
        [verdict] = self.catalogue.record([one._replace(kind=kind)], 10)
        return verdict.file

    def delete(self, *paths: bytes) -> None:
        """Let files depart, and decide that they are deleted."""
        self.catalogue.depart(self.root, [split(path) for path in paths], 20)
        self.catalogue.delete([one.file for one in self.catalogue.departed([self.root], 100)], 20)

    def follow(self, after: int = 0, limit: int = 1_000) -> tuple[int, dict[bytes, Subject]]:
        """The last event, and the files by their paths; none is given twice."""
        upto, found = self.view.following(after, limit, NAMED)
        subjects = {one.directory + b"/" * bool(one.directory) + one.name: one for one in found}
        assert len(subjects) == len(found)
        return upto, subjects

    def content(self, file: int) -> int:
        [subject] = self.view.subjects([file], NAMED)
        assert subject.content is not None
        return subject.content

    def read(self, *files: int, version: int = 1, found: str = FOUND, **rest: Any) -> None:
        """Keep what was found in files."""
        read = [Read(self.content(file), version, readings.READ, found, rest.get("pair")) for file in files]
        self.catalogue.save_readings(read, [], [], NOW_US)

    def meet(self, places: dict[int, tuple[bytes, ...]], home: bytes = b"", *, upto: int | None = None) -> None:
        """Be done with files, which are known by these keys."""
        seen = [Place(file, self.root, home, keys) for file, keys in places.items()]
        self.catalogue.save_readings([], seen, [], NOW_US)
        self.catalogue.relate([], [], upto, seen)

    def leave(self, file: int, due_us: int = NOW_US, tries: int = 1, reason: str = "it changed") -> None:
        self.catalogue.save_readings([], [], [Unread(file, tries, due_us, reason)], NOW_US)

    def due(self, now_us: int = NOW_US, limit: int = 100, roots: list[RootId] | None = None) -> list[int]:
        found = self.view.unread([self.root] if roots is None else roots, now_us, limit)
        return [subject.file for subject in found]

    def relatives(self, *files: int) -> dict[int, Relative]:
        """Those of these files, by their ids."""
        found = self.view.relatives(self.view.kin_of(files))
        assert len({one.file for one in found}) == len(found)
        return {one.file: one for one in found}

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return self.catalogue._connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


@pytest.fixture
def desk(file: Path, catalogue: Catalogue) -> Iterator[Desk]:
    made = Desk(file, catalogue)
    yield made
    made.view.close()


# -- the log ------------------------------------------------------------------------------------


def test_the_cursor_is_kept(desk: Desk, file: Path) -> None:
    """It begins before the first event, goes on with each batch of the log, and no other work moves it."""
    assert desk.view.enriched() == 0
    desk.catalogue.relate([], [], 7)
    desk.catalogue.relate([], [], None)
    assert desk.view.enriched() == 7
    with View.open(file) as another:
        assert another.enriched() == 7


def test_a_file_is_given_once_and_as_it_is_now(desk: Desk) -> None:
    """However many events tell of a file, it is given once, at its present path with its present content."""
    number = desk.put(b"a/old.jpg", b"one", ino=5)
    desk.put(b"a/old.jpg", b"two!", ino=5)
    desk.put(b"b/new.jpg", b"two!", ino=5, old=b"a/old.jpg")
    desk.put(b"b/twin.jpg", b"two!")
    upto, found = desk.follow()
    assert (upto, set(found)) == (desk.view.head(), {b"b/new.jpg", b"b/twin.jpg"})
    subject = found[b"b/new.jpg"]
    assert (subject.file, subject.version, subject.root, subject.state) == (number, 2, desk.root, FileState.CATALOGUED)
    assert (subject.kind, subject.key.ino, subject.key.size, subject.tries) == (Kind.IMAGE, 5, 4, 0)
    assert (subject.content, subject.reading, subject.found) == (found[b"b/twin.jpg"].content, None, None)


def test_the_log_is_followed_in_pieces(desk: Desk) -> None:
    """Each piece goes on where the one before ended, also over events of what is no media; at the end nothing moves."""
    for number in range(7):
        desk.put(b"%d.jpg" % number, kind=Kind.OTHER if number in (2, 3, 4) else Kind.IMAGE)
    pieces, after = [], 0
    while True:
        upto, found = desk.follow(after, 2)
        if upto == after:
            break
        pieces.append(sorted(found))
        after = upto
    assert pieces == [[b"0.jpg", b"1.jpg"], [], [b"5.jpg"], [b"6.jpg"]]
    assert after == desk.view.head()


def test_a_later_event_gives_a_file_again(desk: Desk) -> None:
    """A file that was given already is given again when something new is told of it."""
    desk.put(b"a.jpg", b"one")
    upto, _ = desk.follow()
    assert desk.follow(upto)[1] == {}
    desk.put(b"a.jpg", b"another")
    assert set(desk.follow(upto)[1]) == {b"a.jpg"}


@pytest.mark.parametrize(
    ("name", "kind", "is_given"),
    [
        (b"a", Kind.IMAGE, True),
        (b"a.txt", Kind.VIDEO, True),
        (b"a", Kind.AUDIO, True),
        (b"a", Kind.PDF, True),
        (b"a.xmp", Kind.SIDECAR, True),
        (b"a.srt", Kind.SUBTITLE, True),
        (b"list.m3u", Kind.OTHER, True),
        (b"VIDEO_TS.IFO", Kind.OTHER, True),
        (b"\xff\xfe.On1", Kind.OTHER, True),
        (b"a.m3u8", Kind.OTHER, False),
        (b"a.m3u.txt", Kind.OTHER, False),
        (b"a.", Kind.OTHER, False),
        (b"...", Kind.OTHER, False),
        (b"a.zip", Kind.ARCHIVE, False),
        (b"a.m3u", Kind.ARCHIVE, False),
    ],
)
def test_media_and_what_belongs_to_them(desk: Desk, name: bytes, kind: Kind, *, is_given: bool) -> None:
    """Media are given whatever they are called; files of no such kind by the names that companions have."""
    number = desk.put(b"d/" + name, kind=kind)
    assert (b"d/" + name in desk.follow()[1]) is is_given
    assert [subject.file for subject in desk.view.subjects([number, 999], NAMED)] == [number] * is_given


def test_a_companion_that_is_none_any_more(desk: Desk) -> None:
    """A subtitle that was known as one and gets a name that says nothing is given: its group has to hear of it."""
    number = desk.put(b"film.srt", kind=Kind.SUBTITLE, ino=5)
    desk.meet({number: (b"film",)})
    upto, _ = desk.follow()
    desk.put(b"film.bak", b"film.srt", ino=5, kind=Kind.OTHER, old=b"film.srt")
    assert set(desk.follow(upto)[1]) == {b"film.bak"}


def test_what_is_told_of_items_is_no_news_of_files(desk: Desk) -> None:
    """An import that moves nothing gives the second pass nothing to do; the log goes on past what it tells."""
    number = desk.put(b"a.jpg")
    desk.catalogue.judge(desk.root, ImportRules(), [number], 11)
    desk.catalogue.relate([], [Timed(number, 1, TAKEN)], None)
    upto, _ = desk.follow()
    [due] = desk.view.due([desk.root], 12, 10)
    closed = Closed(due, None, Mode.IN_PLACE.value, b"/photos/a.jpg", due.key, due.key, None, None, {})
    desk.catalogue.close_steps([closed], 12)
    assert [event.type.value for event in desk.view.events(upto)] == ["item.imported"]
    assert desk.follow(upto) == (upto + 1, {})


def test_what_is_gone_is_given(desk: Desk) -> None:
    """A deleted file is given as missing, one that departed as that, with what is known of them."""
    number = desk.put(b"a.jpg")
    other = desk.put(b"b.jpg")
    desk.delete(b"a.jpg")
    desk.catalogue.depart(desk.root, [(b"", b"b.jpg")], 30)
    _, found = desk.follow()
    assert {one.file: one.state for one in found.values()} == {number: FileState.MISSING, other: FileState.DEPARTED}


def test_a_file_without_a_full_digest_is_given(desk: Desk) -> None:
    """Where full digests wait for the night, a file is given without a content."""
    desk.put(b"a.jpg", full=False)
    assert desk.follow()[1][b"a.jpg"].content is None


def test_a_forgotten_file_is_passed_over(desk: Desk) -> None:
    """Events of a file whose row is pruned give nothing, and the log goes on past them."""
    desk.put(b"a.jpg")
    desk.delete(b"a.jpg")
    assert desk.catalogue.prune(50) == 1
    assert desk.follow() == (2, {})


# -- readings -----------------------------------------------------------------------------------


def test_a_reading_belongs_to_the_content(desk: Desk) -> None:
    """What was found in one file is known of each that equals it, also of one that arrives later."""
    first, second = desk.put(b"a.jpg", b"same"), desk.put(b"b.jpg", b"same")
    desk.read(first, version=3)
    third = desk.put(b"c.jpg", b"same")
    found = desk.view.subjects([first, second, third], NAMED)
    assert {(one.reading, one.found) for one in found} == {(3, FOUND)}


def test_a_newer_reading_takes_the_place(desk: Desk) -> None:
    """A content has one reading, the last one."""
    number = desk.put(b"a.jpg")
    desk.read(number, pair="one")
    desk.read(number, version=2, found="{}", pair="two")
    assert desk.rows("reading") == [(desk.content(number), 2, readings.READ, "{}", "two", NOW_US)]


def test_texts_of_unknown_origin_are_kept(desk: Desk) -> None:
    """What no text can hold, in a content identifier or in a reason, is kept escaped and breaks nothing."""
    number = desk.put(b"a.jpg")
    desk.read(number, pair="\ud800 \udcff")
    desk.leave(number, reason="\udcff is strange")
    assert desk.rows("reading")[0][4] == "\\ud800 \\udcff"
    assert desk.rows("unread")[0][3] == "\\udcff is strange"


def test_readings_of_older_versions(desk: Desk) -> None:
    """All present files of contents that an older version read are given, some contents at a time, each once."""
    files = [desk.put(b"%d.jpg" % number) for number in range(5)]
    twins = {number: desk.put(b"twin-%d.jpg" % number, b"%d.jpg" % number) for number in range(5)}
    desk.read(*files[:4], version=1)
    desk.read(files[4], version=2)
    desk.delete(b"2.jpg")
    desk.delete(b"3.jpg", b"twin-3.jpg")
    after, given = 0, []
    while True:
        upto, found = desk.view.outdated(2, after, 2)
        if upto == after:
            break
        given.append({one.file for one in found})
        after = upto
    assert given == [{files[0], twins[0], files[1], twins[1]}, {twins[2]}]
    assert desk.view.outdated(2, after, 2) == (after, [])


# -- what is tried again ------------------------------------------------------------------------


def test_what_was_left_is_due_at_its_time(desk: Desk) -> None:
    """Files that were left are given from their time on, the one that waits longest first, and not too many."""
    files = [desk.put(b"%d.jpg" % number) for number in range(4)]
    for number, due_us in zip(files, (400, 100, 300, 200), strict=True):
        desk.leave(number, due_us, tries=3)
    assert desk.due(99) == []
    assert desk.due(300) == [files[1], files[3], files[2]]
    assert desk.due(NOW_US, limit=2) == [files[1], files[3]]
    assert {one.tries for one in desk.view.unread([desk.root], NOW_US, 9)} == {3}


def test_a_file_is_left_once(desk: Desk) -> None:
    """Who is left again waits for the new time, with the new reason and one try more."""
    number = desk.put(b"a.jpg")
    desk.leave(number, 100)
    desk.leave(number, 2_000, tries=2, reason="again")
    assert desk.due() == []
    assert desk.rows("unread") == [(number, 2, 2_000, "again")]


def test_seen_and_left_for_another_time(desk: Desk) -> None:
    """A file that was read, and that nothing followed for, is tried again; the others are dealt with."""
    one, two = desk.put(b"1.jpg"), desk.put(b"2.jpg")
    desk.leave(one)
    desk.leave(two)
    seen = [Place(file, desk.root, b"", ()) for file in (one, two)]
    desk.catalogue.relate([], [], None, seen, (), [Unread(two, 0, 5_000, "it changed while it was read")])
    assert desk.rows("unread") == [(two, 0, 5_000, "it changed while it was read")]


def test_only_roots_that_can_be_read_are_asked(desk: Desk) -> None:
    """Files of other roots stay where they are until theirs is asked for."""
    there = add_root(desk.catalogue, "far", b"disk-2")
    near, far = desk.put(b"a.jpg"), desk.put(b"b.jpg", root=there)
    desk.leave(near)
    desk.leave(far)
    assert (desk.due(), desk.due(roots=[there]), desk.due(roots=[])) == ([near], [far], [])


def test_a_root_that_is_back_is_tried_at_once(desk: Desk) -> None:
    """Whatever waits for its time in that root is due now; elsewhere it goes on waiting."""
    there = add_root(desk.catalogue, "far", b"disk-2")
    near, far = desk.put(b"a.jpg"), desk.put(b"b.jpg", root=there)
    for number in (near, far):
        desk.leave(number, 10**15, tries=9)
    desk.catalogue.retry_readings(there)
    assert (desk.due(), desk.due(roots=[there])) == ([], [far])


def test_who_was_met_is_not_tried_again(desk: Desk) -> None:
    """A file is struck off only with its place in a group: a crash before that leads back to it."""
    number, other = desk.put(b"a.jpg"), desk.put(b"b.jpg")
    desk.leave(number)
    desk.leave(other)
    place = Place(number, desk.root, b"", (b"a",))
    desk.catalogue.save_readings([], [place], [], NOW_US)
    assert desk.due() == [number, other]
    desk.catalogue.relate([], [], None, [place])
    assert desk.due() == [other]
    desk.catalogue.relate([], [], None, gone=[other])
    assert desk.due() == []


# -- relatives ----------------------------------------------------------------------------------


def test_relatives_of_relatives(desk: Desk) -> None:
    """Files that share a key are found, and those that share one with these, and so on; strangers are not."""
    one, two, three, far, stranger = (desk.put(b"%d.jpg" % number) for number in range(5))
    desk.meet({one: (b"a",), two: (b"a", b"b"), three: (b"b", b"c"), far: (b"c",), stranger: (b"d",)})
    assert set(desk.relatives(one)) == {one, two, three, far}
    assert set(desk.relatives(stranger)) == {stranger}
    assert desk.view.relatives([]) == []


def test_the_same_key_in_another_home(desk: Desk) -> None:
    """A key means nothing outside of its home, in another directory or in another root."""
    here, there = desk.put(b"d/a.jpg"), desk.put(b"e/a.jpg")
    desk.meet({here: (b"a",)}, b"d")
    desk.meet({there: (b"a",)}, b"e")
    assert set(desk.relatives(here)) == {here}


def test_what_is_known_of_relatives(desk: Desk) -> None:
    """A relative has its place, its reading, its group and its capture time, as they are kept."""
    one, two = desk.put(b"VIDEO_TS/a.jpg", mtime_ns=77), desk.put(b"b.jpg")
    desk.meet({one: (b"a",), two: (b"a",)})
    desk.read(one)
    tie, timed = Tie(one, two, "motion", two), Timed(one, 1, TAKEN)
    desk.catalogue.relate([tie], [timed], None)
    found = desk.relatives(two)
    assert found[one] == Relative(
        one, 1, desk.root, found[two].home, b"VIDEO_TS", b"a.jpg", Kind.IMAGE, 77, FOUND, two, "motion", two,
        is_ours=False, is_alone=False, timed=timed,
    )  # fmt: skip
    assert (found[two].found, found[two].master, found[two].timed) == (None, None, None)


def test_who_is_on_its_way_stays_a_relative(desk: Desk) -> None:
    """A file that departed or is being written counts as it was, until it is told; one that is deleted does not."""
    files = [desk.put(b"%d.jpg" % number) for number in range(6)]
    desk.meet(dict.fromkeys(files, (b"a",)))
    desk.delete(b"1.jpg")
    desk.catalogue.depart(desk.root, [(b"", b"2.jpg")], 30)
    states = (FileState.SETTLING, FileState.EMPTY, FileState.SKIPPED)
    desk.catalogue.observe(
        [observed(desk.root, b"%d.jpg" % number, state) for number, state in enumerate(states, start=3)], 30
    )
    assert set(desk.relatives(files[0])) == {files[0], files[2], files[3], files[4]}


def test_a_heap_is_compared_with_nobody(desk: Desk) -> None:
    """Where too many share a key nobody is found by it; but the files that are asked for are given, alone."""
    heap = [desk.put(b"heap/%d.jpg" % number) for number in range(FOLDER_MAX)]
    desk.meet(dict.fromkeys(heap, (b"heap",)))
    assert len(desk.relatives(heap[0])) == FOLDER_MAX
    assert not any(one.is_alone for one in desk.relatives(heap[0]).values())
    last, friend = desk.put(b"heap/last.jpg"), desk.put(b"heap/friend.jpg")
    desk.meet({last: (b"heap",)})
    found = desk.relatives(heap[0], last)
    assert {file: one.is_alone for file, one in found.items()} == {heap[0]: True, last: True}
    desk.meet({last: (b"heap", b"pair"), friend: (b"pair",)})
    assert {file: one.is_alone for file, one in desk.relatives(last).items()} == {last: False, friend: False}


def test_keys_of_before_lead_to_the_old_neighbours(desk: Desk) -> None:
    """A file that moved still finds whom it left, until its new place in a group is kept; a crash changes nothing."""
    gone, left, met = (desk.put(b"%d.jpg" % number) for number in range(3))
    desk.meet({gone: (b"old",), left: (b"old",), met: (b"new",)})
    place = Place(gone, desk.root, b"e", (b"new",))
    desk.meet({met: (b"new",)}, b"e")
    for _ in range(2):  # the second time as after a crash
        desk.catalogue.save_readings([], [place], [], NOW_US)
        assert set(desk.relatives(gone)) == {gone, left, met}
    desk.catalogue.relate([], [], None, [place])
    assert set(desk.relatives(gone)) == {gone, met}
    assert set(desk.relatives(left)) == {left}


def test_who_is_gone_leads_to_the_neighbours(desk: Desk) -> None:
    """A deleted file still finds whom it left, until they are told; then nothing of it is kept."""
    gone, left = desk.put(b"a.jpg"), desk.put(b"a.xmp")
    desk.meet({gone: (b"a",), left: (b"a",)})
    desk.catalogue.relate([Tie(left, gone, "sidecar", gone)], [Timed(gone, 1, TAKEN)], None)
    desk.delete(b"a.jpg")
    assert set(desk.relatives(gone)) == {left}
    desk.catalogue.relate([Tie(left, None, None, None)], [], None, gone=[gone])
    assert desk.relatives(gone) == {}
    assert [desk.rows(table) for table in ("capture", "unread")] == [[], []]
    assert {row[0] for row in desk.rows("member")} == {row[2] for row in desk.rows("kin")} == {left}


@pytest.mark.parametrize(
    ("source", "is_ours"), [(b"/photos/in/a.jpg", False), (b"/photos/in/2024.jpg", True), (b"/photos/in/xa.jpg", True)]
)
@pytest.mark.parametrize("is_moved", [False, True], ids=["copied", "moved"])
def test_names_that_an_import_made(desk: Desk, source: bytes, *, is_ours: bool, is_moved: bool) -> None:
    """A file whose name is another one than that by which it arrived has a name of ours, copied or moved there."""
    there = add_root(desk.catalogue, "out", b"disk-2")
    at = source.removeprefix(b"/photos/")
    number = desk.put(at, b"content", ino=5)
    desk.catalogue.judge(desk.root, ImportRules(target=b"/out"), [number], 11)
    desk.catalogue.relate([], [Timed(number, 1, TAKEN)], None)
    [due] = desk.view.due([desk.root], 12, 10)
    [step] = desk.catalogue.open_steps([Planned(due, Mode.MOVE.value, source, b"/out/d/a.jpg")], 12)
    closed = Closed(due, step, "move", b"/out/d/a.jpg", due.key, None if is_moved else due.key, None, None, {})
    desk.catalogue.close_steps([closed], 12)
    here = number if is_moved else desk.put(b"d/a.jpg", b"content", root=there, origin=Origin.EVENT)
    desk.catalogue.save_readings([], [Place(here, there, b"d", (b"a",))], [], NOW_US)
    [relative] = desk.relatives(here).values()
    assert (relative.name, relative.is_ours) == (b"a.jpg", is_ours)


# -- groups and times ---------------------------------------------------------------------------


def test_a_capture_time_is_of_a_version(desk: Desk) -> None:
    """A file line has the time that was worked out for the version that is there, and none for a newer one."""
    number = desk.put(b"a.jpg", b"one")
    desk.catalogue.relate([], [Timed(number, 1, TAKEN)], None)

    def shown() -> Capture | None:
        [line] = desk.view.files()
        return line.inside.capture if line.inside else None

    assert shown() == TAKEN
    desk.put(b"a.jpg", b"another")
    assert shown() is None
    later = TAKEN._replace(local="2025-01-01T00:00:00", offset=None, rejected=())
    desk.catalogue.relate([], [Timed(number, 2, later)], None)
    assert shown() == later


def test_a_place_in_a_group_is_kept_and_given_up(desk: Desk) -> None:
    """A file line has the role and the group that were kept last; alone, it has none."""
    one, two = desk.put(b"a.jpg"), desk.put(b"a.mov", kind=Kind.VIDEO)
    desk.meet({one: (b"a",), two: (b"a",)})

    def shown() -> set[tuple[int, int | None, str | None]]:
        return {(line.id, line.inside.master, line.inside.role) for line in desk.view.files() if line.inside}

    desk.catalogue.relate([Tie(one, one, "primary", None), Tie(two, one, "motion", one)], [], None)
    assert shown() == {(one, one, "primary"), (two, one, "motion")}
    desk.catalogue.relate([Tie(one, None, None, None), Tie(two, None, None, None)], [], None)
    assert shown() == set()


def test_all_of_a_batch_or_nothing(desk: Desk, file: Path) -> None:
    """The cursor moves in the transaction that keeps groups and times, and not without them."""
    number = desk.put(b"a.jpg")

    def broken() -> None:
        with desk.catalogue.transaction():
            desk.catalogue.relate([], [Timed(number, 1, TAKEN)], 1)
            desk.catalogue._connection.execute("nonsense")

    with pytest.raises(sqlite3.OperationalError):
        broken()
    assert (desk.view.enriched(), desk.rows("capture")) == (0, [])
    desk.catalogue.relate([], [Timed(number, 1, TAKEN)], 1)
    with closing(sqlite3.connect(file)) as other:
        assert other.execute(
            "SELECT count(*), (SELECT value FROM meta WHERE key = 'enriched') FROM capture"
        ).fetchone() == (1, "1")


# -- the end ------------------------------------------------------------------------------------


def test_what_is_pruned_is_forgotten(desk: Desk) -> None:
    """A file that was missing for long leaves nothing but the reading of its content."""
    number, stays = desk.put(b"a.jpg"), desk.put(b"b.jpg")
    desk.read(number, stays)
    desk.meet({number: (b"a", b"b"), stays: (b"b",)})
    desk.catalogue.relate([], [Timed(number, 1, TAKEN), Timed(stays, 1, TAKEN)], None)
    desk.delete(b"a.jpg")
    desk.leave(number)
    assert desk.catalogue.prune(50) == 1
    assert {row[0] for row in desk.rows("capture")} == {stays}
    assert {row[0] for row in desk.rows("member")} == {stays}
    assert {row[2] for row in desk.rows("kin")} == {stays}
    assert desk.rows("unread") == []
    assert len(desk.rows("reading")) == 2
