from __future__ import annotations

from typing import Any

import pytest

from mediasluice.identify.grouping import (
    FOLDER,
    Group,
    Member,
    Role,
    beside,
    can_belong,
    family,
    grouped,
    home,
    is_companion,
    keys,
)
from mediasluice.model.files import Kind

NOON = "2024-05-01T12:00:00"
KINDS = {
    Kind.IMAGE: "jpg jpeg heic hif png tif dng cr2 nef webp thm tbn",
    Kind.VIDEO: "mov mp4 mkv lrv vob",
    Kind.AUDIO: "mp3 flac wav",
    Kind.SUBTITLE: "srt ass vtt sub idx lrc",
    Kind.SIDECAR: "xmp aae json cue nfo xml pp3",
    Kind.PDF: "pdf",
}
BY_EXTENSION = {extension: kind for kind, extensions in KINDS.items() for extension in extensions.split()}

Facts = dict[str, Any]
Spec = str | tuple[str, Facts]


def members(*specs: Spec) -> list[Member]:
    """Members by their paths below a home, with what else is known of them."""
    found = []
    for number, spec in enumerate(specs, 1):
        path, facts = spec if isinstance(spec, tuple) else (spec, {})
        directory, _, name = path.rpartition("/")
        kind = BY_EXTENSION.get(name.rpartition(".")[2].lower(), Kind.OTHER)
        found.append(Member(number, name.encode(), kind, directory=directory.encode())._replace(**facts))
    return found


def roles(*specs: Spec) -> list[dict[str, str]]:
    """What each file is in its group, by the last part of its path."""
    given = members(*specs)
    names = {one.file: one.name.decode() for one in given}
    return [{names[file]: role.value for file, role in group.roles.items()} for group in grouped(given)]


def group_of(*specs: Spec) -> tuple[Group, dict[str, int]]:
    """The one group that there is, and the ids of the names."""
    given = members(*specs)
    [group] = grouped(given)
    return group, {one.name.decode(): one.file for one in given}


def movie(name: str, duration: float | None = 2.5, **facts: object) -> Spec:
    return name, {"duration": duration, **facts}


def at(name: str, taken: str | None = NOON, **facts: object) -> Spec:
    return name, {"taken": taken, **facts}


# -- pictures and their movies --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("still", "other", "are_pair"),
    [
        (("IMG_1.HEIC", {"pair": "A"}), ("IMG_1.MOV", {"pair": "A"}), True),
        (("IMG_1.HEIC", {"pair": "A"}), ("copy of it.MOV", {"pair": "A"}), True),
        (
            ("IMG_1.HEIC", {"pair": "A", "taken": NOON}),
            ("IMG_1.MOV", {"pair": "A", "taken": "2020-01-01T00:00:00"}),
            True,
        ),
        (("IMG_1.HEIC", {"pair": "A"}), ("IMG_1.MOV", {"pair": "B", "duration": 2.0}), False),
        (("IMG_1.HEIC", {"pair": "A"}), ("sub/IMG_2.MOV", {"pair": "A"}), False),
        (at("IMG_1.HEIC"), at("IMG_1.MOV", "2024-05-01T12:00:03"), True),
        (at("IMG_1.HEIC"), at("IMG_1.MOV", "2024-05-01T11:59:57"), True),
        (at("IMG_1.HEIC"), at("IMG_1.MOV", "2024-05-01T12:00:04"), False),
        (at("IMG_1.JPG"), at("img_1.mov"), True),
        (at("IMG_1.JPG"), at("IMG_2.MOV"), False),
        (at("IMG_1.JPG"), at("sub/IMG_1.MOV"), False),
        (at("IMG_9140.JPG"), at("IMG_9140.MOV", "2024-09-01T12:00:00", duration=2.0), False),
        ("IMG_1.HEIC", movie("IMG_1.MOV", 4.0), True),
        ("IMG_1.jpeg", movie("IMG_1.MP4", 1.0), True),
        ("IMG_1.HEIC", movie("IMG_1.MOV", 4.1), False),
        ("IMG_1.HEIC", movie("IMG_1.MOV", None), False),
        ("IMG_1.png", movie("IMG_1.MOV", 2.0), False),
        (at("IMG_1.HEIC"), movie("IMG_1.MOV", 2.0), True),
        (at("IMG_1.png"), at("IMG_1.MOV"), True),
        ("PXL_1.MP.jpg", movie("PXL_1.MP", 1.5, kind=Kind.VIDEO), True),
        ("Cafe\u0301.heic", movie("CAFÉ.mov"), True),
    ],
)
def test_live_photos(still: Spec, other: Spec, *, are_pair: bool) -> None:
    """A still and a movie are one by their content identifier, or by their name with their times or a short length."""
    found = roles(still, other)
    if not are_pair:
        assert found == []
        return
    [group] = found
    assert list(group.values()) == ["primary", "motion"]
    assert roles(other, still) == found


def test_copies_of_a_live_photo_stay_apart() -> None:
    """Two copies of a Live Photo in one directory are two groups, each of one name."""
    names = ["a.HEIC", "a.MOV", "b.HEIC", "b.MOV"]
    found = roles(*((name, {"pair": "A"}) for name in names))
    assert found == [{"a.HEIC": "primary", "a.MOV": "motion"}, {"b.HEIC": "primary", "b.MOV": "motion"}]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["a.CR2", "a.JPG"], {"a.CR2": "primary", "a.JPG": "rendered"}),
        (["a.NEF", "a.HIF", "A.tif"], {"a.NEF": "primary", "a.HIF": "rendered", "A.tif": "rendered"}),
        (["a.DNG", "a.NEF", "a.JPG"], {"a.NEF": "primary", "a.DNG": "raw", "a.JPG": "rendered"}),
        ([at("a.DNG"), at("a.JPG"), at("a.MOV")], {"a.DNG": "primary", "a.JPG": "rendered", "a.MOV": "motion"}),
        ([at("a.HEIC"), at("a.JPG")], {"a.HEIC": "primary", "a.JPG": "rendered"}),
        ([at("a.NEF"), at("a.JPG", "2023-01-01T00:00:00")], None),
        ([at("a.JPG"), at("a.PNG", "2023-01-01T00:00:00")], None),
        (["a.jpg", "a.png"], None),
        ([at("a.jpg"), "a.png"], None),
        (
            ["PXL_1.RAW-01.COVER.jpg", "PXL_1.RAW-02.ORIGINAL.dng"],
            {"PXL_1.RAW-02.ORIGINAL.dng": "primary", "PXL_1.RAW-01.COVER.jpg": "rendered"},
        ),
        (
            ["PXL_1.PORTRAIT-01.COVER.jpg", "PXL_1.PORTRAIT-02.ORIGINAL.jpg"],
            {"PXL_1.PORTRAIT-02.ORIGINAL.jpg": "primary", "PXL_1.PORTRAIT-01.COVER.jpg": "edited"},
        ),
        (["a.NEF", "a.WAV"], {"a.NEF": "primary", "a.WAV": "memo"}),
        ([at("a.JPG"), "a.WAV"], {"a.JPG": "primary", "a.WAV": "memo"}),
        (["a.JPG", "a.WAV"], None),
        ([at("a.JPG"), "a.mp3"], None),
    ],
)
def test_pictures_of_one_shot(specs: list[Spec], expected: dict[str, str] | None) -> None:
    """A negative is the primary of what was developed from it; equal names alone make nothing of two pictures."""
    assert roles(*specs) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("specs", "edited"),
    [
        (["IMG_0001.HEIC", "IMG_E0001.JPG", "IMG_0001.AAE", "IMG_O0001.AAE"], ["IMG_E0001.JPG"]),
        (
            ["IMG_0001.HEIC", "IMG_E0001.HEIC", movie("IMG_0001.MOV"), movie("IMG_E0001.MOV")],
            ["IMG_E0001.HEIC", "IMG_E0001.MOV"],
        ),
        (["IMG_0001.MOV", "IMG_E0001.MOV"], ["IMG_E0001.MOV"]),
        (["a.jpg", "a-edited.jpg"], ["a-edited.jpg"]),
        (["a.jpg", "a-bearbeitet.jpg"], ["a-bearbeitet.jpg"]),
        (["PXL_1.jpg", "PXL_1~2.jpg"], ["PXL_1~2.jpg"]),
        (["a(1).jpg", "a-edited(1).jpg"], ["a-edited(1).jpg"]),
    ],
)
def test_edited_copies(specs: list[Spec], edited: list[str]) -> None:
    """An edited copy belongs to its original, which is the primary; the copy is what is shown."""
    [found] = roles(*specs)
    assert len(found) == len(specs)
    assert [name for name, role in found.items() if role == "edited"] == edited
    assert next(iter(found)) not in edited
    group, ids = group_of(*specs)
    stills = [name for name in edited if not name.endswith("MOV")]
    assert not stills or group.shown == ids[stills[0]]


@pytest.mark.parametrize(
    ("specs", "others"),
    [
        ([at("IMG_0001.HEIC"), at("IMG_E0001.JPG", "2020-01-01T00:00:00")], 0),
        (["a(1).jpg", "a-edited(2).jpg"], 0),
        (["IMG_0001.HEIC", "IMG_E0002.JPG"], 0),
    ],
)
def test_edited_copies_of_others(specs: list[Spec], others: int) -> None:
    """An edited copy of another picture, or one of the same name from another year, is none of this one."""
    assert len(roles(*specs)) == others


def test_a_counter_that_came_round_again() -> None:
    """Of two pictures of one name and different years, a movie belongs to the one of its time."""
    found = roles(at("IMG_1.HEIC", "2020-01-01T10:00:00"), at("IMG_1.JPG"), at("IMG_1.MOV", "2024-05-01T12:00:02"))
    assert found == [{"IMG_1.JPG": "primary", "IMG_1.MOV": "motion"}]


def test_a_movie_without_a_time_never_joins_two_strangers() -> None:
    """Two pictures whose times differ do not come together by way of a third file that has none."""
    found = roles(at("IMG_1.HEIC", "2020-01-01T10:00:00"), at("IMG_1.JPG"), movie("IMG_1.MOV"))
    assert found == [{"IMG_1.HEIC": "primary", "IMG_1.MOV": "motion"}]


def test_the_nearest_in_time() -> None:
    """Of two pictures of one name that are no one shot, a movie belongs to the one that was taken nearer to it."""
    found = roles(at("a.HEIC"), at("a.MOV", "2024-05-01T12:00:03"), at("a.JPG", "2024-05-01T12:00:04"))
    assert found == [{"a.JPG": "primary", "a.MOV": "motion"}]


def test_an_identifier_is_surer_than_a_clock() -> None:
    """The movie of a Live Photo may have another clock; what has the time of the still belongs to it all the same."""
    still, other = ("a.HEIC", {"pair": "A", "taken": NOON}), ("a.MOV", {"pair": "A", "taken": "2020-01-01T00:00:00"})
    assert roles(still, other, at("a.JPG")) == [{"a.HEIC": "primary", "a.JPG": "rendered", "a.MOV": "motion"}]
    assert roles(still, other, at("a.JPG", "2020-01-01T00:00:00")) == [{"a.HEIC": "primary", "a.MOV": "motion"}]


def test_two_identifiers_never_come_together() -> None:
    """A movie with an identifier of its own is none of this picture, though a third file has the time of both."""
    found = roles(at("a.CR2"), at("a.HEIC", pair="A"), at("a.MOV", pair="B"))
    assert found == [{"a.CR2": "primary", "a.HEIC": "rendered"}]


def test_what_is_shown() -> None:
    """Of a negative and its JPEG the JPEG is shown; a negative alone shows itself."""
    group, ids = group_of("a.CR2", "a.JPG", "a.CR2.xmp")
    assert (group.primary, group.shown) == (ids["a.CR2"], ids["a.JPG"])
    group, ids = group_of("a.CR2", "a.xmp")
    assert group.shown == group.primary == ids["a.CR2"]


def test_too_many_of_one_name() -> None:
    """A shot has few files: where dozens share a name, the name says nothing."""
    assert roles(*(f"{'a' if number % 2 else 'A'}.x{number}" for number in range(9))) == []
    many = [(f"a.x{number}", {"kind": Kind.IMAGE, "taken": NOON}) for number in range(40)]
    assert roles(*many) == []
    assert len(roles(*many[:10])) == 1


# -- companions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("specs", "companion", "master", "role"),
    [
        (["IMG_1.HEIC", "IMG_1.HEIC.xmp"], "IMG_1.HEIC.xmp", "IMG_1.HEIC", Role.SIDECAR),
        (["IMG_1.HEIC", "IMG_1.xmp"], "IMG_1.xmp", "IMG_1.HEIC", Role.SIDECAR),
        (["IMG_1.HEIC", "img_1.heic.XMP"], "img_1.heic.XMP", "IMG_1.HEIC", Role.SIDECAR),
        (["a.CR2", "a.JPG", "a.xmp"], "a.xmp", "a.CR2", Role.SIDECAR),
        (["a.CR2", "a.JPG", "a.JPG.xmp"], "a.JPG.xmp", "a.JPG", Role.SIDECAR),
        (["a.CR2", "a_01.CR2.xmp"], "a_01.CR2.xmp", "a.CR2", Role.SIDECAR),
        (["a_01.CR2", "a_01.CR2.xmp"], "a_01.CR2.xmp", "a_01.CR2", Role.SIDECAR),
        (["a.jpg", "A.jpg", "A.xmp"], "A.xmp", "A.jpg", Role.SIDECAR),
        (["a.jpg", "A.jpg", "a.jpg.xmp"], "a.jpg.xmp", "a.jpg", Role.SIDECAR),
        (["scan.pdf", "scan.pdf.xmp"], "scan.pdf.xmp", "scan.pdf", Role.SIDECAR),
        (["a.NEF", "a.NEF.pp3"], "a.NEF.pp3", "a.NEF", Role.SIDECAR),
        (["IMG_0001.HEIC", "IMG_O0001.AAE"], "IMG_O0001.AAE", "IMG_0001.HEIC", Role.SIDECAR),
        (["IMG_0001.JPG", "IMG_0001.JPG.aae"], "IMG_0001.JPG.aae", "IMG_0001.JPG", Role.SIDECAR),
        (["C0001.MP4", "C0001M01.XML"], "C0001M01.XML", "C0001.MP4", Role.SIDECAR),
        (["film.mkv", "film.srt"], "film.srt", "film.mkv", Role.SUBTITLE),
        (["film.mkv", "film.en.srt"], "film.en.srt", "film.mkv", Role.SUBTITLE),
        (["film.mkv", "film.en.forced.srt"], "film.en.forced.srt", "film.mkv", Role.SUBTITLE),
        (["film.mkv", "Film.pt-BR.sdh.ass"], "Film.pt-BR.sdh.ass", "film.mkv", Role.SUBTITLE),
        (["film.mkv", "film.English.vtt"], "film.English.vtt", "film.mkv", Role.SUBTITLE),
        (["film.mkv", "film.mkv.en.srt"], "film.mkv.en.srt", "film.mkv", Role.SUBTITLE),
        (["film.mkv", "film.en.mkv", "film.en.srt"], "film.en.srt", "film.en.mkv", Role.SUBTITLE),
        (
            ["A.Film.2019.1080p.mkv", "A.Film.2019.1080p.de.srt"],
            "A.Film.2019.1080p.de.srt",
            "A.Film.2019.1080p.mkv",
            Role.SUBTITLE,
        ),
        (["song.mp3", "song.lrc"], "song.lrc", "song.mp3", Role.LYRICS),
        (["song.mp3", "song.en.lrc"], "song.en.lrc", "song.mp3", Role.LYRICS),
        (["film.mkv", "film.nfo"], "film.nfo", "film.mkv", Role.DOCUMENT),
        (["album.flac", "album.cue"], "album.cue", "album.flac", Role.DOCUMENT),
        (["album.flac", "album.flac.cue"], "album.flac.cue", "album.flac", Role.DOCUMENT),
        (["album.flac", "album.log"], "album.log", "album.flac", Role.DOCUMENT),
        (["MVI_1.MOV", "MVI_1.THM"], "MVI_1.THM", "MVI_1.MOV", Role.THUMBNAIL),
        (["GX010001.MP4", "GX010001.THM"], "GX010001.THM", "GX010001.MP4", Role.THUMBNAIL),
        (["GX010001.MP4", "GL010001.LRV"], "GL010001.LRV", "GX010001.MP4", Role.PROXY),
        (["GH010001.MP4", "GL010001.LRV"], "GL010001.LRV", "GH010001.MP4", Role.PROXY),
        (["GOPR0001.MP4", "GOPR0001.LRV"], "GOPR0001.LRV", "GOPR0001.MP4", Role.PROXY),
        (["DJI_0001.MP4", "DJI_0001.SRT"], "DJI_0001.SRT", "DJI_0001.MP4", Role.SUBTITLE),
        (["film.mkv", "film-poster.jpg"], "film-poster.jpg", "film.mkv", Role.COVER),
        (["clip.mp4", "clip.info.json"], "clip.info.json", "clip.mp4", Role.SIDECAR),
        # Google Takeout
        (["a.jpg", "a.jpg.json"], "a.jpg.json", "a.jpg", Role.SIDECAR),
        (["a.jpg", "a.jpg.supplemental-metadata.json"], "a.jpg.supplemental-metadata.json", "a.jpg", Role.SIDECAR),
        (["a.jpg", "a.jpg.suppl.json"], "a.jpg.suppl.json", "a.jpg", Role.SIDECAR),
        (["a.jpg", "a(1).jpg", "a.jpg(1).json"], "a.jpg(1).json", "a(1).jpg", Role.SIDECAR),
        (
            ["a(1).jpg", "a.jpg.supplemental-metadata(1).json"],
            "a.jpg.supplemental-metadata(1).json",
            "a(1).jpg",
            Role.SIDECAR,
        ),
        (["a-edited.jpg", "a.jpg.json"], "a.jpg.json", "a-edited.jpg", Role.SIDECAR),
        (["a.MP4", "a.HEIC.json"], "a.HEIC.json", "a.MP4", Role.SIDECAR),
        (["a.MP4", "a.HEIC", "a.HEIC.json"], "a.HEIC.json", "a.HEIC", Role.SIDECAR),
        ([f"{'x' * 47}.jpg", f"{'x' * 46}.json"], f"{'x' * 46}.json", f"{'x' * 47}.jpg", Role.SIDECAR),
        ([f"{'x' * 43}.jpg", f"{'x' * 43}.jp.json"], f"{'x' * 43}.jp.json", f"{'x' * 43}.jpg", Role.SIDECAR),
        ([f"{'x' * 47}(3).jpg", f"{'x' * 46}(3).json"], f"{'x' * 46}(3).json", f"{'x' * 47}(3).jpg", Role.SIDECAR),
        (
            [
                "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGINA.jpg",
                "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN.json",
            ],
            "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN.json",
            "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGINA.jpg",
            Role.SIDECAR,
        ),
    ],
)
def test_companions(specs: list[Spec], companion: str, master: str, role: Role) -> None:
    """A companion follows the master that its name says best, in every naming that programs use."""
    given = members(*specs)
    ids = {one.name.decode(): one.file for one in given}
    [group] = [group for group in grouped(given) if ids[companion] in group.roles]
    assert group.follows[ids[companion]] == ids[master]
    assert group.roles[ids[companion]] is role
    assert family(companion.encode()) == family(master.encode())


@pytest.mark.parametrize(
    "specs",
    [
        ["IMG_1.xmp"],
        ["IMG_1.xmp", "IMG_1.AAE"],
        ["IMG_1.HEIC", "IMG_2.xmp"],
        ["IMG_1.HEIC", "IMG_10.xmp"],
        ["IMG_1.CR2", "IMG_1.JPG.xmp"],
        ["IMG_1.HEIC", "sub/IMG_1.xmp"],
        ["film.mkv", "film 2.srt"],
        ["film.mkv", "film.directors.srt"],
        ["film.mkv", "film.cue"],
        ["song.mp3", "song.aae"],
        ["IMG_1.HEIC", "IMG_1.srt"],
        ["a.jpg", "a.jpg(1).json"],
        ["a(1).jpg", "a.jpg.json"],
        ["IMG_1.HEIC", "IMG_1"],
        ["IMG_1.HEIC", "IMG_1.txt"],
        ["party-poster.jpg"],
        [at("party-poster.jpg"), "party.mkv"],
        ["a.jpg", "metadata.json"],
        [],
        ["alone.jpg"],
    ],
)
def test_what_stays_alone(specs: list[Spec]) -> None:
    """A companion without its master waits, and a file alone is no group."""
    assert roles(*specs) == []


def test_a_poster_with_a_sidecar() -> None:
    """A film takes its poster with all that follows that."""
    group, ids = group_of("film.mkv", "film-poster.jpg", "film-poster.jpg.xmp")
    assert group.shown == ids["film-poster.jpg"]
    assert group.follows[ids["film-poster.jpg.xmp"]] == ids["film-poster.jpg"]


def test_a_better_master_that_comes_late() -> None:
    """A sidecar that stands with a movie changes over to the picture of its name when that arrives."""
    early: list[Spec] = ["a.xmp", at("a.MOV", duration=60.0)]
    assert roles(*early) == [{"a.MOV": "primary", "a.xmp": "sidecar"}]
    assert roles(*early, at("a.JPG", "2020-01-01T00:00:00")) == [{"a.JPG": "primary", "a.xmp": "sidecar"}]


def test_a_primary_that_comes_late() -> None:
    """A negative that arrives after its JPEG, its movie and their sidecars is the primary of all of them."""
    early: list[Spec] = [at("a.JPG"), at("a.MOV"), "a.xmp", "a.JPG.xmp"]
    [before] = roles(*early)
    assert before == {"a.JPG": "primary", "a.JPG.xmp": "sidecar", "a.MOV": "motion", "a.xmp": "sidecar"}
    [after] = roles(*early, at("a.NEF"))
    assert after == {"a.NEF": "primary", **before, "a.JPG": "rendered"}
    group, ids = group_of(*early, at("a.NEF"))
    assert (group.follows[ids["a.xmp"]], group.follows[ids["a.JPG.xmp"]]) == (ids["a.NEF"], ids["a.JPG"])


# -- folders --------------------------------------------------------------------------------------


def test_an_album() -> None:
    """Tracks with a cover, lists and a log of their folder are one group; lyrics follow their track."""
    group, ids = group_of(
        "01.flac", "02.flac", "02.lrc", "Cover.jpg", "folder.png", "AlbumArtSmall.jpg", "back.jpg",
        "rip.log", "album.cue", "list.m3u", "album.nfo", "Cover.jpg.xmp",
    )  # fmt: skip
    named = {name: group.roles[file].value for name, file in ids.items()}
    assert named == {
        "01.flac": "primary", "02.flac": "track", "02.lrc": "lyrics", "Cover.jpg": "cover", "folder.png": "art",
        "AlbumArtSmall.jpg": "art", "back.jpg": "art", "rip.log": "document", "album.cue": "document",
        "list.m3u": "document", "album.nfo": "document", "Cover.jpg.xmp": "sidecar",
    }  # fmt: skip
    assert group.shown == ids["Cover.jpg"]
    assert group.follows[ids["02.lrc"]] == ids["02.flac"]
    assert group.follows[ids["rip.log"]] == ids["01.flac"]
    assert ids["02.flac"] not in group.follows


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["01.mp3", "02.mp3"], []),
        (["01.mp3", "holiday.jpg"], []),
        (["cover.jpg", "folder.jpg"], []),
        (["cover.jpg", "IMG_1.JPG"], []),
        (["cover.jpg", "film.mkv"], []),
        (["01.mp3", at("front.jpg")], []),
        (["rip.log", "album.cue"], []),
        (["01.mp3", "cover.cr2", "cover.jpg"], [{"cover.cr2": "primary", "cover.jpg": "rendered"}]),
        (["01.mp3", "AlbumArt_{0a1b-2c}_Large.jpg"], [{"01.mp3": "primary", "AlbumArt_{0a1b-2c}_Large.jpg": "cover"}]),
        (["01.mp3", "back.jpg"], [{"01.mp3": "primary", "back.jpg": "art"}]),
        (["a.flac", "b.flac", "a.cue"], [{"a.flac": "primary", "a.cue": "document"}]),
    ],
)
def test_what_makes_an_album(specs: list[Spec], expected: list[dict[str, str]]) -> None:
    """Only what belongs to all of a folder joins its tracks; photographs and files of another name do not."""
    assert roles(*specs) == expected


def test_discs_of_an_album() -> None:
    """The discs of an album share the cover that lies beside their folders."""
    group, _ = group_of("cover.jpg", "CD1/01.flac", "CD1/cd1.cue", "CD2/01.flac")
    assert sorted(group.roles.values()) == ["cover", "document", "primary", "track"]


@pytest.mark.parametrize(
    ("specs", "primary", "count"),
    [
        (["VIDEO_TS/VIDEO_TS.IFO", "VIDEO_TS/VTS_01_0.IFO", "VIDEO_TS/VTS_01_1.VOB"], "VIDEO_TS.IFO", 3),
        (["VIDEO_TS/VTS_01_1.VOB", "AUDIO_TS/any name.txt"], "any name.txt", 2),
        (["BDMV/BACKUP/index.bdmv", "BDMV/index.bdmv", "BDMV/STREAM/00000.m2ts"], "index.bdmv", 3),
        (["VIDEO_TS.IFO", "VTS_01_1.VOB", "VTS_01_0.BUP"], "VIDEO_TS.IFO", 3),
        (["VIDEO_TS/VIDEO_TS.IFO", "VIDEO_TS/VTS_01_1.VOB", "cover.jpg", "film.nfo"], "VIDEO_TS.IFO", 4),
    ],
)
def test_disc_folders(specs: list[Spec], primary: str, count: int) -> None:
    """All below a disc folder is one group, with its index as the primary and the cover that lies beside it."""
    given = members(*specs)
    [group] = grouped(given)
    assert next(one.name.decode() for one in given if one.file == group.primary) == primary
    assert len(group.roles) == count
    assert not [one for one in given if one.file == group.primary and b"BACKUP" in one.directory]


def test_one_file_of_a_disc() -> None:
    """A single file of a disc is no group."""
    assert roles("VIDEO_TS/VTS_01_1.VOB") == []


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        (b"", (b"", b"")),
        (b"a/b", (b"a/b", b"")),
        (b"Film/VIDEO_TS", (b"Film", b"VIDEO_TS")),
        (b"Film/video_ts", (b"Film", b"video_ts")),
        (b"VIDEO_TS", (b"", b"VIDEO_TS")),
        (b"a/Film/BDMV/STREAM/x", (b"a/Film", b"BDMV/STREAM/x")),
        (b"PRIVATE/AVCHD/BDMV/STREAM", (b"PRIVATE/AVCHD/BDMV/STREAM", b"")),
        (b"Album/CD1", (b"Album", b"CD1")),
        (b"Album/Disc 02", (b"Album", b"Disc 02")),
        (b"Album/disk-3 - Live", (b"Album", b"disk-3 - Live")),
        (b"Album/CD1/Scans", (b"Album/CD1/Scans", b"")),
        (b"Film/Disc 1/VIDEO_TS", (b"Film/Disc 1", b"VIDEO_TS")),
        (b"Album/CDs", (b"Album/CDs", b"")),
        (b"Album/CD2019x", (b"Album/CD2019x", b"")),
        (b"discography", (b"discography", b"")),
    ],
)
def test_home(directory: bytes, expected: tuple[bytes, bytes]) -> None:
    """Disc folders and numbered discs are at home in the directory above; clips of a camera's card are not."""
    assert home(directory) == expected


# -- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"IMG_1.HEIC", b"img_1"),
        (b"IMG_E0001.JPG", b"img_0001"),
        (b"film.en.forced.srt", b"film"),
        ("Cafe\u0301.JPG".encode(), "café".encode()),
        ("CAFÉ.xmp".encode(), "café".encode()),
        (b"caf\xe9.jpg", b"caf\xe9"),
        (b"caf\xe9.jpg.xmp", b"caf\xe9"),
        (b"2020.01.02 12.30.45.jpg", b"2020.01.02 12.30.45"),
        (b"a (1).jpg", b"a(1)"),
        (b".xmp", b".xmp"),
        (b".hidden.jpg", b".hidden"),
        (b"...", b".."),
        (b"no extension", b"no extension"),
        (b"x" * 37 + b"(1).jpg", b"x" * 37),
        (b"x" * 38 + b".PORTRAI.json", b"x" * 38),
        (("a" * 39 + "😀😀.jpg").encode(), b"a" * 39),
    ],
)
def test_family(name: bytes, key: bytes) -> None:
    """The family is what is left of a name without what companions append, in small letters and composed."""
    assert family(name) == key


def test_keys() -> None:
    """A member is found by its family, its identifier, and as one that may belong to the folder."""
    found = [
        keys(one) for one in members(("IMG_1.HEIC", {"pair": "A"}), "01.mp3", "cover.jpg", "CD1/x.cue", "BDMV/x.mpls")
    ]
    assert found == [
        (b"img_1", b"/pair/A"), (b"01", FOLDER), (b"cover", FOLDER), (b"CD1/x", FOLDER), (FOLDER,)
    ]  # fmt: skip


def test_keys_do_not_depend_on_times() -> None:
    """A time that turns out to be none changes nobody's keys."""
    [with_time, without] = members(at("cover.jpg"), "cover.jpg")
    assert keys(with_time) == keys(without)


@pytest.mark.parametrize(
    ("name", "kind", "companion", "belongs"),
    [
        (b"a.jpg", Kind.IMAGE, False, True),
        (b"cover.jpg", Kind.IMAGE, False, True),
        (b"a.THM", Kind.IMAGE, True, True),
        (b"a.LRV", Kind.VIDEO, True, True),
        (b"a.xmp", Kind.SIDECAR, True, True),
        (b"a.xmp", Kind.VIDEO, False, True),
        (b"a.txt", Kind.SUBTITLE, True, True),
        (b"rip.log", Kind.OTHER, True, True),
        (b"list.m3u8", Kind.OTHER, True, True),
        (b"VIDEO_TS.IFO", Kind.OTHER, False, True),
        (b"a.zip", Kind.ARCHIVE, False, False),
        (b"a.txt", Kind.OTHER, False, False),
    ],
)
def test_who_may_belong(name: bytes, kind: Kind, *, companion: bool, belongs: bool) -> None:
    """What a file may be to others is known by its name and its kind."""
    assert is_companion(name, kind) is companion
    assert can_belong(Member(1, name, kind)) is belongs


def test_all_below_a_disc_folder_may_belong() -> None:
    """In a disc folder every file is a part, whatever it is called."""
    assert can_belong(Member(1, b"00000.mpls", Kind.OTHER, directory=b"BDMV/PLAYLIST"))
    assert not can_belong(Member(1, b"00000.mpls", Kind.OTHER, directory=b"CD1"))


def test_times_that_are_none() -> None:
    """A time that no calendar has is no time."""
    assert roles(at("a.HEIC", "0000-00-00T00:00:00"), movie("a.MOV", 2.0)) == [{"a.HEIC": "primary", "a.MOV": "motion"}]


# -- names at another place -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "role", "master", "placed", "expected"),
    [
        (b"IMG_1.MOV", Role.MOTION, b"IMG_1.HEIC", b"IMG_1_2.HEIC", b"IMG_1_2.MOV"),
        (b"IMG_1.HEIC.xmp", Role.SIDECAR, b"IMG_1.HEIC", b"IMG_1_2.HEIC", b"IMG_1_2.HEIC.xmp"),
        (b"IMG_1.xmp", Role.SIDECAR, b"IMG_1.HEIC", b"IMG_1_2.HEIC", b"IMG_1_2.xmp"),
        (b"img_1.heic.XMP", Role.SIDECAR, b"IMG_1.HEIC", b"20240501.HEIC", b"20240501.HEIC.XMP"),
        (b"film.en.forced.srt", Role.SUBTITLE, b"film.mkv", b"film_2.mkv", b"film_2.en.forced.srt"),
        (b"film-poster.jpg", Role.COVER, b"film.mkv", b"film_2.mkv", b"film_2-poster.jpg"),
        (b"a_01.CR2.xmp", Role.SIDECAR, b"a.CR2", b"b.CR2", b"b_01.CR2.xmp"),
        (b"IMG_E0001.JPG", Role.EDITED, b"IMG_0001.HEIC", b"IMG_0001_2.HEIC", b"IMG_E0001_2.JPG"),
        (b"IMG_E0001.JPG", Role.EDITED, b"IMG_0001.HEIC", b"20240501.HEIC", b"20240501-edited.JPG"),
        (b"IMG_O0001.AAE", Role.SIDECAR, b"IMG_0001.HEIC", b"20240501.HEIC", b"20240501.AAE"),
        (b"GL010001.LRV", Role.PROXY, b"GX010001.MP4", b"GX010001_2.MP4", b"GL010001_2.LRV"),
        (b"other.MOV", Role.MOTION, b"IMG_1.HEIC", b"IMG_1_2.HEIC", b"IMG_1_2.MOV"),
        (b"a.jpg(1).json", Role.SIDECAR, b"a(1).jpg", b"a(1)_2.jpg", b"a(1)_2.jpg.json"),
        (b"cover.jpg", Role.COVER, b"01.mp3", b"01_2.mp3", b"cover.jpg"),
        (b"rip.log", Role.DOCUMENT, b"r.mp3", b"r_2.mp3", b"rip.log"),
        (b"IMG_1.MOV", Role.MOTION, b"IMG_1.HEIC", b"IMG_1.HEIC", b"IMG_1.MOV"),
        (b"a.jpg(1).json", Role.SIDECAR, b"a(1).jpg", b"a(1).jpg", b"a.jpg(1).json"),
        (b"a.jpg.xmp", Role.SIDECAR, b"a.jpg", b"x" * 251 + b".jpg", b"a.jpg.xmp"),
        (b"Cafe\xcc\x81.xmp", Role.SIDECAR, b"CAF\xc3\x89.jpg", b"b.jpg", b"b.xmp"),
        (b"caf\xe9.xmp", Role.SIDECAR, b"caf\xe9.jpg", b"b.jpg", b"b.xmp"),
    ],
)
def test_beside(name: bytes, role: Role, master: bytes, placed: bytes, expected: bytes) -> None:
    """A follower is called after its master where that got another name."""
    assert beside(name, role, master, placed) == expected
