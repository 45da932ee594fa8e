"""Groups in the catalogue: who waits for whom, who claims nothing, and by whose place a file goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.journal import Beside, Closed, Due, Planned, Postponed
from mediasluice.catalogue.readings import LATE_US, Place, Tie, Timed
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.identify import grouping
from mediasluice.model.imports import COMPANION_ROLES, SHOT_ROLES, ImportRules, Judgement
from mediasluice.model.media import Capture, Confidence, DateSource
from tests.catalogues import add_root, digests, identified

CAPTURE = Capture("2024-05-06T07:08:09", None, DateSource.EXIF_ORIGINAL, Confidence.HIGH)


class Desk:
    """A catalogue with one importing root, and what a test does with it."""

    def __init__(self, file: Path, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.rules = ImportRules(target=b"/out")
        self.root = add_root(catalogue)
        self.view = View.open(file)
        self.now_us = 10

    def arrive(self, name: bytes, content: bytes | None = None, *, wait_us: int | None = -1, **rest: Any) -> int:
        """Record, judge and read a file; ``wait_us``: it is a companion by its name. Gives its id."""
        self.now_us += 1
        [verdict] = self.catalogue.record([identified(self.root, name, content or name, **rest)], self.now_us)
        companions = {} if wait_us == -1 else {verdict.file: wait_us}
        self.catalogue.judge(self.root, self.rules, [verdict.file], self.now_us, companions=companions)
        directory = name.rpartition(b"/")[0]
        place = Place(verdict.file, self.root, directory, (name.rpartition(b"/")[2].partition(b".")[0],))
        self.catalogue.save_readings((), [place], (), self.now_us)
        self.catalogue.relate((), [Timed(verdict.file, verdict.version, CAPTURE)], None, [place])
        return verdict.file

    def tie(self, *ties: tuple[int, int | None, str | None, int | None]) -> None:
        self.catalogue.relate([Tie(*tie) for tie in ties], (), None)

    def due(self) -> dict[int, Due]:
        self.now_us += 1
        return {due.file: due for due in self.view.due([self.root], self.now_us, 100)}

    def plan(self, due: Due, target: bytes | None = None) -> tuple[int | None, bytes]:
        target = target or b"/out/" + due.name
        planned = Planned(due, "move", b"/photos/" + due.name, target)
        return self.catalogue.open_steps([planned], self.now_us)[0], target

    def do(self, due: Due, target: bytes | None = None) -> None:
        """Carry out what is due, by a move."""
        step, path = self.plan(due, target)
        self.catalogue.close_steps([Closed(due, step, "move", path, due.key, None, None, None, {})], self.now_us)

    def judged(self, file: int) -> Judgement | None:
        found = self.view.judged(file)
        return found and found.judgement

    def told(self, kind: str) -> list[dict[str, object]]:
        return [event.data for event in self.view.events() if event.type.value == kind]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    file = tmp_path / "catalogue.sqlite"
    with Catalogue.open(file) as catalogue:
        desk = Desk(file, catalogue)
        yield desk
        desk.view.close()


def test_roles_are_those_of_the_grouping() -> None:
    """Each role but those of parts is either of one shot or of a companion."""
    assert {role.value for role in grouping.COMPANIONS} == COMPANION_ROLES
    every = {role.value for role in grouping.Role}
    assert every - COMPANION_ROLES - SHOT_ROLES == {"track", "part"}


def test_a_companion_claims_nothing(desk: Desk) -> None:
    """Two equal sidecars are no items and no duplicates; they wait, and nothing is due."""
    first = desk.arrive(b"a/1.xmp", b"same", wait_us=None)
    second = desk.arrive(b"b/1.xmp", b"same", wait_us=None)
    assert [desk.judged(first), desk.judged(second)] == [Judgement.COMPANION] * 2
    assert not list(desk.view.items())
    assert not desk.due()
    assert desk.view.next_due_us() is None


def test_a_companion_goes_after_its_master(desk: Desk) -> None:
    """A sidecar is due when its master is at its place, goes by that, and is told with its item."""
    sidecar = desk.arrive(b"1.xmp", wait_us=None)
    master = desk.arrive(b"1.jpg")
    desk.tie((master, master, "primary", None), (sidecar, master, "sidecar", master))
    assert set(desk.due()) == {master}
    desk.do(desk.due()[master], b"/out/1_2.jpg")
    [due] = desk.due().values()
    assert (due.file, due.todo, due.master, due.beside) == (
        sidecar, "follow", Judgement.IMPORTED, Beside(b"1.jpg", b"/out/1_2.jpg"),
    )  # fmt: skip
    desk.do(due, b"/out/1_2.xmp")
    item = next(desk.view.items()).id
    assert [event["item"] for event in desk.told("item.joined")] == [item]
    assert not desk.due()
    assert desk.view.judged(sidecar) == (Judgement.COMPANION, None, item, b"/out/1_2.jpg", None, None)


def test_a_cover_gives_its_claim_back(desk: Desk) -> None:
    """What turns out to be a cover is no item any more, and its copy in another album no duplicate."""
    covers = [desk.arrive(name, b"cover") for name in (b"a/cover.jpg", b"b/cover.jpg")]
    tracks = [desk.arrive(name) for name in (b"a/1.mp3", b"b/1.mp3")]
    assert [desk.judged(file) for file in covers] == [Judgement.PENDING, Judgement.DUPLICATE]
    for cover, track in zip(covers, tracks, strict=True):
        desk.tie((track, track, "primary", None), (cover, track, "cover", track))
    desk.catalogue.judge(desk.root, desk.rules, covers, desk.now_us)  # as the importer does with what is freed
    assert [desk.judged(file) for file in covers] == [Judgement.COMPANION] * 2
    assert len(list(desk.view.items())) == 2


def test_a_cover_on_its_way_stays_an_item(desk: Desk) -> None:
    """What is being imported already, or was, is not turned."""
    cover, track = desk.arrive(b"cover.jpg"), desk.arrive(b"1.mp3")
    due = desk.due()[cover]
    step, target = desk.plan(due)
    desk.tie((track, track, "primary", None), (cover, track, "cover", track))
    assert desk.judged(cover) is Judgement.PENDING
    desk.catalogue.close_steps([Closed(due, step, "move", target, due.key, None, None, None, {})], desk.now_us)
    desk.tie((track, track, "primary", None), (cover, track, "cover", track))
    assert desk.judged(cover) is Judgement.IMPORTED


def test_who_lost_its_master_is_judged_anew(desk: Desk) -> None:
    """A companion whose master changed its group before it came along is not forgotten."""
    sidecar, master = desk.arrive(b"1.xmp", wait_us=None), desk.arrive(b"1.jpg")
    desk.tie((master, master, "primary", None), (sidecar, master, "sidecar", master))
    desk.tie((master, None, None, None), (sidecar, None, None, None))
    assert desk.judged(sidecar) is Judgement.AGAIN
    assert desk.view.judged_again(desk.root, 0, 10, at_once=True) == [sidecar]


def test_what_may_be_alone_is_due_after_its_time(desk: Desk) -> None:
    """A document waits for others as long as it is told to, and is an item by hand."""
    file = desk.arrive(b"notes.json", wait_us=1_000)
    assert not desk.due()
    desk.now_us += 2_000
    due = desk.due()[file]
    assert (due.todo, due.follows) == ("follow", None)
    desk.catalogue.judge(desk.root, desk.rules, [file], desk.now_us, by_hand=True)
    assert desk.judged(file) is Judgement.PENDING


def test_media_go_after_their_master(desk: Desk) -> None:
    """The movie of a Live Photo is not due before its picture, and goes beside it."""
    movie, still = desk.arrive(b"1.mov"), desk.arrive(b"1.heic")
    desk.tie((still, still, "primary", None), (movie, still, "motion", still))
    assert set(desk.due()) == {still}
    desk.do(desk.due()[still], b"/out/x.heic")
    assert desk.due()[movie].beside == Beside(b"1.heic", b"/out/x.heic")


def test_media_wait_for_a_picture_that_is_put_off(desk: Desk) -> None:
    """A movie waits as long as its picture can still be placed, whatever that waits for, and goes beside it then."""
    movie, still = desk.arrive(b"1.mov"), desk.arrive(b"1.heic")
    desk.tie((still, still, "primary", None), (movie, still, "motion", still))
    due = desk.due()[still]
    step, _ = desk.plan(due)
    assert not desk.due()
    desk.catalogue.close_steps([Postponed(due, step, "interrupted", desk.now_us)], desk.now_us)
    assert set(desk.due()) == {still}
    desk.catalogue.close_steps([Postponed(due, None, "Permission denied", desk.now_us + 1_000)], desk.now_us)
    assert not desk.due()
    desk.now_us += 2_000
    desk.do(desk.due()[still], b"/out/x.heic")
    assert desk.due()[movie].beside == Beside(b"1.heic", b"/out/x.heic")


def test_media_do_not_wait_for_what_is_not_imported(desk: Desk) -> None:
    """A picture that the rules do not want does not hold its movie back."""
    movie, still = desk.arrive(b"1.mov"), desk.arrive(b"1.heic")
    desk.tie((still, still, "primary", None), (movie, still, "motion", still))
    desk.catalogue.close_steps([Postponed(desk.due()[still], None, "undated: skip", None)], desk.now_us)
    assert set(desk.due()) == {movie}


def test_media_wait_for_the_place_of_a_copy(desk: Desk) -> None:
    """A movie whose picture is a copy waits until that has its bytes, and goes beside them."""
    first = desk.arrive(b"b/2.heic", b"same")
    still, movie = desk.arrive(b"a/1.heic", b"same"), desk.arrive(b"a/1.mov")
    desk.tie((still, still, "primary", None), (movie, still, "motion", still))
    assert set(desk.due()) == {first}
    desk.do(desk.due()[first], b"/out/2.heic")
    assert desk.due()[movie].beside == Beside(b"1.heic", b"/out/2.heic", b"a")


def test_two_copies_do_not_wait_for_one_another(desk: Desk) -> None:
    """Of two groups that hold the same under exchanged names none waits for the other for ever."""
    movies = [desk.arrive(b"a/1.mov", b"one"), desk.arrive(b"b/1.mov", b"two")]
    stills = [desk.arrive(b"a/1.heic", b"two"), desk.arrive(b"b/1.heic", b"one")]
    for still, movie in zip(stills, movies, strict=True):
        desk.tie((still, still, "primary", None), (movie, still, "motion", still))
    assert set(desk.due()) == {*movies}


@pytest.mark.parametrize("todo", ["import", "processed"])
def test_one_of_a_group_at_a_time(desk: Desk, todo: str) -> None:
    """Of two that follow a picture which has no place one is due; the other one goes beside it then."""
    names = (b"1.heic", b"1.mov", b"1.jpg", b"2.mov")
    still, movie, rendered, other = [desk.arrive(name) for name in names]
    desk.tie((still, still, "primary", None), (movie, still, "motion", still), (rendered, still, "rendered", still))
    desk.catalogue.close_steps([Postponed(desk.due()[still], None, "undated: skip", None)], desk.now_us)
    for _ in range(2 if todo == "processed" else 0):
        imports = [due for due in desk.due().values() if due.todo == "import"]
        ended = [Closed(due, None, "copy", b"/out/x", due.key, due.key, todo, None, {}) for due in imports]
        desk.catalogue.close_steps(ended, desk.now_us)
    found = desk.due()
    assert set(found) == {movie, other}
    assert {due.todo for due in found.values()} == {todo}
    desk.do(found[movie], b"/out/x.mov")
    assert desk.due()[rendered].beside == Beside(b"1.mov", b"/out/x.mov")


def test_nobody_of_a_group_is_due_while_one_is_on_its_way(desk: Desk) -> None:
    """A picture that comes while its movie is being brought away waits for that, and goes beside it."""
    movie = desk.arrive(b"1.mov")
    due = desk.due()[movie]
    step, target = desk.plan(due, b"/out/x.mov")
    still, rendered = desk.arrive(b"1.heic"), desk.arrive(b"1.jpg")
    desk.tie((still, still, "primary", None), (movie, still, "motion", still), (rendered, still, "rendered", still))
    assert not desk.due()
    desk.catalogue.close_steps([Closed(due, step, "move", target, due.key, None, None, None, {})], desk.now_us)
    [due] = desk.due().values()
    assert (due.file, due.beside) == (still, Beside(b"1.mov", b"/out/x.mov"))


def test_a_master_that_is_refused_keeps_its_companions_waiting(desk: Desk) -> None:
    """A sidecar of a picture that the rules do not want waits, and is there when a person wants the picture."""
    sidecar, master = desk.arrive(b"1.xmp", wait_us=None), desk.arrive(b"1.jpg")
    desk.tie((master, master, "primary", None), (sidecar, master, "sidecar", master))
    desk.catalogue.close_steps([Postponed(desk.due()[master], None, "undated: skip", None)], desk.now_us)
    assert desk.judged(master) is Judgement.REFUSED
    assert not desk.due()
    desk.catalogue.judge(desk.root, desk.rules, [master], desk.now_us, by_hand=True)
    assert set(desk.due()) == {master}


def test_a_step_that_was_not_done_leaves_the_follower_due(desk: Desk) -> None:
    """Whatever becomes of a step, a sidecar is not lost: it is due again, or says why it stays."""
    sidecar, master = desk.arrive(b"1.xmp", wait_us=None), desk.arrive(b"1.jpg")
    desk.tie((master, master, "primary", None), (sidecar, master, "sidecar", master))
    desk.do(desk.due()[master])
    due = desk.due()[sidecar]
    step, _ = desk.plan(due)
    assert not desk.due()
    [left] = desk.view.unfinished()
    assert (left.planned.due.role, left.planned.due.follows, left.planned.due.capture) == ("sidecar", master, CAPTURE)
    desk.catalogue.close_steps([Postponed(due, step, "No space left on device", desk.now_us)], desk.now_us)
    assert set(desk.due()) == {sidecar}
    desk.catalogue.close_steps([Postponed(due, None, "it stays", None)], desk.now_us)
    assert not desk.due()
    judged = desk.view.judged(sidecar)
    assert judged is not None
    assert (judged.judgement, judged.reason, judged.todo) == (Judgement.COMPANION, "it stays", None)


def test_where_a_disc_is(desk: Desk) -> None:
    """A part knows where others of its disc were brought or are on their way, and where some were tried in vain."""
    names = [b"a/VIDEO_TS/%d.VOB" % number for number in range(4)]
    files = [desk.arrive(name) for name in names]
    first, *rest = files
    desk.tie((first, first, "primary", None), *((file, first, "part", None) for file in rest))
    found = [desk.due()[file] for file in files]
    targets = [b"/out/%d/VIDEO_TS/%d.VOB" % (number, number) for number in range(4)]
    parts = [Beside(one.name, target, one.directory) for one, target in zip(found, targets, strict=True)]
    step, _ = desk.plan(found[0], targets[0])
    desk.catalogue.close_steps([Postponed(found[0], step, "No space left on device", desk.now_us)], desk.now_us)
    assert (desk.due()[rest[2]].parts, desk.due()[rest[2]].tried) == ((), (parts[0],))
    desk.plan(found[1], targets[1])
    assert desk.due()[rest[2]].parts == (parts[1],)
    desk.do(found[2], targets[2])
    item = next(line.id for line in desk.view.items() if line.path == targets[2])
    assert desk.due()[rest[2]].parts == (parts[2],)
    desk.catalogue.delete_item(item, desk.now_us)
    assert desk.due()[rest[2]].parts == (parts[2], parts[1])


@pytest.mark.parametrize("is_used", [True, False])
def test_what_was_moved_stays_a_relative_for_a_while(desk: Desk, *, is_used: bool) -> None:
    """A picture that an import took away is found by what comes late, for an hour or until its name is used again."""
    first = desk.arrive(b"1.jpg")
    desk.do(desk.due()[first])
    desk.catalogue.relate((), (), None, (), [first])
    kin = desk.view.kin_of([first])
    assert [one.file for one in desk.view.relatives(kin)] == [first]
    if is_used:
        second = desk.arrive(b"1.jpg", b"another")
        assert [one.file for one in desk.view.relatives(kin)] == [second]
    else:
        desk.catalogue.save_readings((), (), (), desk.now_us + LATE_US + 1)
        assert desk.view.relatives(kin) == []


def test_a_group_is_wanted_by_hand(desk: Desk) -> None:
    """A person who wants a picture that was there before wants its sidecar and its movie as well."""
    files = [desk.arrive(name, wait_us=None if name == b"1.xmp" else -1) for name in (b"1.jpg", b"1.xmp", b"1.mov")]
    master, sidecar, movie = files
    desk.catalogue.close_steps([Postponed(due, None, "no", None) for due in desk.due().values()], desk.now_us)
    desk.tie((master, master, "primary", None), (sidecar, master, "sidecar", master), (movie, master, "motion", master))
    assert desk.judged(movie) is Judgement.REFUSED
    desk.catalogue.judge(desk.root, desk.rules, [master], desk.now_us, by_hand=True)
    assert [desk.judged(file) for file in files] == [Judgement.PENDING, Judgement.COMPANION, Judgement.PENDING]


def test_an_earlier_version_gives_way_across_a_restart(desk: Desk) -> None:
    """A crash between the two steps of a new version leaves the step known and the sidecar due."""
    sidecar, master = desk.arrive(b"1.xmp", wait_us=None, ino=5), desk.arrive(b"1.jpg")
    desk.tie((master, master, "primary", None), (sidecar, master, "sidecar", master))
    desk.do(desk.due()[master])
    due = desk.due()[sidecar]
    step, path = desk.plan(due)
    desk.catalogue.close_steps([Closed(due, step, "copy", path, due.key, due.key, None, None, {})], desk.now_us)
    assert desk.arrive(b"1.xmp", b"again", wait_us=None, ino=5, mtime_ns=9_000) == sidecar
    due = desk.due()[sidecar]
    assert due.earlier == (path, digests(b"1.xmp").blake3)
    desk.plan(due._replace(todo="give way", blake3=due.earlier[1]), b"/out/1_old.xmp")
    assert not desk.due()
    [left] = desk.view.unfinished()
    assert (left.planned.due.todo, left.planned.target) == ("give way", b"/out/1_old.xmp")
    ended = Closed(left.planned.due, left.id, "move", left.planned.target, due.key, None, None, None, {})
    desk.catalogue.close_steps([ended], desk.now_us)
    assert desk.view.unfinished() == []
    assert desk.due()[sidecar].earlier == due.earlier
    assert len(desk.told("item.joined")) == 1
