from __future__ import annotations

import re
from collections.abc import Iterable
from random import Random

from hypothesis import assume, example, given
from hypothesis import strategies as st

from mediasluice.identify.grouping import (
    COMPANIONS,
    FOLDER,
    NAME_MAX,
    Group,
    Member,
    Role,
    beside,
    can_belong,
    family,
    grouped,
    keys,
)
from mediasluice.identify.readers import takeout
from mediasluice.model.files import Kind

STEMS = (
    "IMG_0001", "img_0001", "IMG_E0001", "IMG_O0001", "IMG_0001(1)", "IMG_0001_01", "IMG_0001-edited", "IMG_0001~2",
    "PXL_1", "PXL_1.MP", "PXL_1.RAW-01.COVER", "PXL_1.RAW-02.ORIGINAL", "film", "film.en", "film.en.forced",
    "film-poster", "cover", "folder", "back", "rip", "01", "02", "Cafe\u0301", "CAFÉ", "GX010001", "GL010001",
    "C0001", "C0001M01", "VIDEO_TS", "VTS_01_1", "x" * 47, "x" * 46, "", ".",
)  # fmt: skip
ENDS = {
    Kind.IMAGE: ("HEIC", "jpg", "CR2", "dng", "png", "THM"),
    Kind.VIDEO: ("MOV", "mp4", "mkv", "LRV", "MP"),
    Kind.AUDIO: ("wav", "flac", "mp3"),
    Kind.SUBTITLE: ("srt", "lrc"),
    Kind.SIDECAR: (
        *("xmp", "AAE", "json", "xml", "cue", "nfo", "HEIC.xmp", "jpg.json", "jpg(1).json", "CR2.xmp"),
        *("jpg.supplemental-metadata.json", "jp.json"),
    ),
    Kind.OTHER: ("log", "m3u", "txt", "IFO"),
    Kind.PDF: ("pdf",),
}
TIMES = (None, "2024-05-01T12:00:00", "2024-05-01T12:00:02", "2024-05-01T12:00:04", "2020-01-01T00:00:00")
PLACES = (b"", b"CD1", b"CD2", b"VIDEO_TS")

kinds_and_ends = st.sampled_from([(kind, end) for kind, ends in ENDS.items() for end in ends])


@st.composite
def homes(draw: st.DrawFn, *, agree: bool = False) -> list[Member]:
    """Members of one home, of a few names; ``agree``: nothing about them can contradict another one."""
    stems = draw(st.lists(st.sampled_from(STEMS), min_size=1, max_size=5, unique=True))
    paths = st.tuples(st.sampled_from(stems), kinds_and_ends, st.sampled_from(PLACES[:1] if agree else PLACES))
    found = []
    for number, (stem, (kind, end), place) in enumerate(draw(st.lists(paths, max_size=20, unique=True))):
        pair = None if agree else draw(st.sampled_from([None, None, "A", "B"]))
        taken = draw(st.sampled_from(TIMES[:2] if agree else TIMES))
        duration = draw(st.sampled_from([None, 2.0, 60.0]))
        found.append(Member(number, f"{stem}.{end}".encode(), kind, pair, taken, duration, place))
    return found


def related(members: Iterable[Member]) -> list[list[Member]]:
    """Split a home into those that share keys, directly or by way of others, as a catalogue looks them up."""
    given = list(members)
    has_folder = any(one.kind is Kind.AUDIO or keys(one) == (FOLDER,) for one in given)
    parts: list[tuple[set[bytes], list[Member]]] = []
    for one in given:
        wanted = {key for key in keys(one) if key != FOLDER or has_folder}
        together = [one]
        rest = []
        for known, found in parts:
            if known & wanted:
                wanted |= known
                together += found
            else:
                rest.append((known, found))
        parts = [*rest, (wanted, together)]
    return [found for _, found in parts]


def as_set(groups: Iterable[Group]) -> set[tuple[object, ...]]:
    return {
        (group.primary, frozenset(group.roles.items()), frozenset(group.follows.items()), group.shown)
        for group in groups
    }


@given(homes())
def test_a_file_is_in_one_group_at_most(members: list[Member]) -> None:
    """Groups have two members or more and one primary; all others that go by another name follow one of the group."""
    groups = grouped(members)
    everybody = [file for group in groups for file in group.roles]
    assert len(everybody) == len(set(everybody))
    assert set(everybody) <= {one.file for one in members}
    for group in groups:
        assert len(group.roles) >= 2
        assert [file for file, role in group.roles.items() if role is Role.PRIMARY] == [group.primary]
        assert next(iter(group.roles)) == group.primary
        assert group.shown in group.roles
        assert group.primary not in group.follows
        for file, role in group.roles.items():
            master = group.follows.get(file)
            assert (master is None) == (role in (Role.PRIMARY, Role.TRACK, Role.PART))
            if master is not None:
                assert file != master
                assert group.roles[master] not in COMPANIONS - {Role.COVER, Role.ART}  # art may have a sidecar


@given(homes())
def test_only_those_that_may_belong_are_needed(members: list[Member]) -> None:
    """Files that can belong to nobody change nothing, and are in no group."""
    assert grouped(one for one in members if can_belong(one)) == grouped(members)


@given(homes(), st.randoms())
def test_the_order_does_not_matter(members: list[Member], chance: Random) -> None:
    """The same members give the same groups, however they are put."""
    shuffled = list(members)
    chance.shuffle(shuffled)
    assert grouped(shuffled) == grouped(members)


@given(homes())
@example(
    [
        Member(0, b"a.HEIC", Kind.IMAGE, "A"),
        Member(1, b"b.MOV", Kind.VIDEO, "A"),
        Member(2, b"b.xmp", Kind.SIDECAR),
        Member(3, b"c.mp3", Kind.AUDIO),
        Member(4, b"c.lrc", Kind.SUBTITLE),
        Member(5, b"cover.jpg", Kind.IMAGE),
        Member(6, b"cover.jpg.xmp", Kind.SIDECAR),
    ]
)
def test_family_by_family_as_all_at_once(members: list[Member]) -> None:
    """To group those that share keys gives what grouping everybody gives: nobody else needs to be looked up."""
    apart = [group for part in related(members) for group in grouped(part)]
    assert as_set(apart) == as_set(grouped(members))


@given(homes(agree=True), st.data())
def test_a_late_member_joins(members: list[Member], data: st.DataObject) -> None:
    """Media of one shot stay together whatever else arrives, unless it contradicts them."""
    early = [one for one in members if data.draw(st.booleans())]
    shots = (*COMPANIONS, Role.TRACK, Role.PART)
    before = [
        {group.primary, *(file for file, role in group.roles.items() if role not in shots)} for group in grouped(early)
    ]
    after = {file: group.primary for group in grouped(members) for file in group.roles}
    for together in before:
        assert len({after.get(file, -file) for file in together}) == 1


@given(homes(agree=True), st.data())
def test_a_late_member_takes_no_companion_away_from_its_group(members: list[Member], data: st.DataObject) -> None:
    """A companion that has a master has one whatever else arrives; what belongs to a whole folder is none's."""
    early = [one for one in members if data.draw(st.booleans())]
    of_one = COMPANIONS - {Role.COVER, Role.ART, Role.DOCUMENT}
    before = {file for group in grouped(early) for file, role in group.roles.items() if role in of_one}
    after = {file for group in grouped(members) for file in group.roles}
    assert before <= after


@given(homes())
def test_no_group_holds_strangers(members: list[Member]) -> None:
    """Pictures of a group were taken within three seconds, and have no two identifiers, but for edited copies."""
    by_file = {one.file: one for one in members}
    for group in grouped(members):
        if by_file[group.primary].kind is not Kind.IMAGE:
            continue
        whole = (Role.PRIMARY, Role.RENDERED, Role.RAW, Role.MOTION)
        found = [by_file[file] for file, role in group.roles.items() if role in whole]
        is_edited = re.compile(b"IMG_E|-edited|~2|COVER")
        assert len({one.pair for one in found if not is_edited.search(one.name)} - {None}) <= 1
        stills = [by_file[file] for file, role in group.roles.items() if role in (Role.RENDERED, Role.RAW)]
        stills.append(by_file[group.primary])
        if any(one.pair for one in stills):
            continue  # an identifier is surer than a clock
        seconds = [TIMES.index(one.taken) for one in stills if one.taken is not None]
        assert not seconds or (max(seconds) < 4 and max(seconds) - min(seconds) < 2) or set(seconds) == {4}


texts = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60)
names = st.binary(min_size=1, max_size=80).filter(lambda name: not set(name) & set(b"/\0")) | texts.map(str.encode)


@given(names)
def test_a_family_is_a_name_without_a_slash(name: bytes) -> None:
    """Any name has a family, which is never one of the keys that stand for something else."""
    key = family(name)
    assert b"/" not in key
    assert len(key) <= 3 * NAME_MAX


@given(names, st.sampled_from(["jpg", "HEIC", "mp4"]))
def test_what_is_appended_stays_in_the_family(stem: bytes, extension: str) -> None:
    """Names made by appending to a name have its family: sidecars in both namings, subtitles with their language."""
    master = stem + b"." + extension.encode()
    appended = (b".xmp", b".AAE", b".json", b".srt", b".nfo")
    for name in (*(master + end for end in appended), *(stem + end for end in appended), stem + b".en.forced.srt"):
        assert family(name) == family(master)


plain = st.text("abcXYZ 0123456789_-", min_size=1, max_size=60).map(str.strip).filter(bool)


@given(
    plain, st.sampled_from(["", "(1)", "(12)", "-edited", "-edited(1)"]), st.sampled_from(["jpg", "HEIC", "mp4", "3gp"])
)
def test_takeout_stays_in_the_family(stem: str, end: str, extension: str) -> None:
    """The JSON that Google Takeout gives a picture has its family, also where its name was cut."""
    name = f"{stem}{end}.{extension}".encode()
    for other in takeout.names_of(name):
        assert family(other) == family(name), other


@given(plain, st.sampled_from(["", "(1)", "(12)"]), st.sampled_from(["jpg", "HEIC", "mp4"]))
def test_takeout_finds_its_picture(stem: str, number: str, extension: str) -> None:
    """Each name that Google Takeout may give to the JSON of a picture alone in its folder leads to the picture."""
    name = f"{stem}{number}.{extension}".encode()
    kind = Kind.VIDEO if extension == "mp4" else Kind.IMAGE
    for other in takeout.names_of(name):
        [group] = grouped([Member(1, name, kind), Member(2, other, Kind.SIDECAR)])
        assert group.roles == {1: Role.PRIMARY, 2: Role.SIDECAR}


FOLLOWERS = [  # what may stand beside IMG_0001.HEIC, with what makes it one
    Member(2, b"IMG_0001.MOV", Kind.VIDEO, None, None, 2.0),
    Member(2, b"IMG_E0001.JPG", Kind.IMAGE),
    Member(2, b"IMG_0001-edited.heic", Kind.IMAGE),
    Member(2, b"IMG_0001.HEIC.xmp", Kind.SIDECAR),
    Member(2, b"img_0001.xmp", Kind.SIDECAR),
    Member(2, b"IMG_0001.AAE", Kind.SIDECAR),
    Member(2, b"IMG_O0001.AAE", Kind.SIDECAR),
    Member(2, b"IMG_0001_01.HEIC.xmp", Kind.SIDECAR),
    Member(2, b"IMG_0001.HEIC.supplemental-metadata.json", Kind.SIDECAR),
]


@given(
    st.sampled_from(FOLLOWERS),
    st.sampled_from([b"IMG_0001_2", b"IMG_0001_20240501_120000", b"x"])
    | st.text("abcdefgXYZ0123456789 _", min_size=1, max_size=30).map(lambda stem: stem.strip().encode()),
)
def test_a_group_is_one_at_another_place(follower: Member, placed_stem: bytes) -> None:
    """What was one group is one where its primary got another name and the others are named after it."""
    assume(placed_stem)
    master = Member(1, b"IMG_0001.HEIC", Kind.IMAGE)
    [before] = grouped([master, follower])
    placed = placed_stem + b".HEIC"
    moved = follower._replace(name=beside(follower.name, before.roles[2], master.name, placed))
    [after] = grouped([master._replace(name=placed), moved])
    assert after == before


@given(names, st.sampled_from(Role), names, names)
def test_a_follower_has_a_name_that_fits(name: bytes, role: Role, master: bytes, placed: bytes) -> None:
    """Whatever files are called, a follower's name is one that a file system takes."""
    found = beside(name, role, master, placed)
    assert 0 < len(found) <= NAME_MAX
    assert not set(found) & set(b"/\0")
