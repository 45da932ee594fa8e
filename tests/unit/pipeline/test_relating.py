"""Who belongs to whom and when it was made: what the second pass keeps of files that may be relatives."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest

from mediasluice.catalogue.readings import Relative, Tie, Timed
from mediasluice.identify import grouping
from mediasluice.model.files import Kind
from mediasluice.model.flow import RootId
from mediasluice.model.media import (
    Capture,
    Confidence,
    DateClaim,
    DateSource,
    Gps,
    Media,
    Reading,
    Tags,
    to_json,
)
from mediasluice.pipeline import relating
from mediasluice.pipeline.relating import Related, Relater, member

ROOT = RootId(1)
MTIME_NS = 1_600_000_000 * 10**9  # 2020-09-13T12:26:40 UTC
BY_MTIME = "2020-09-13T12:26:40"
IN_THE_MORNING = "2019:05:04 08:00:00"
KINDS = {
    "jpg": Kind.IMAGE,
    "heic": Kind.IMAGE,
    "cr2": Kind.IMAGE,
    "mov": Kind.VIDEO,
    "mp3": Kind.AUDIO,
    "lrv": Kind.VIDEO,
}
KINDS |= {"xmp": Kind.SIDECAR, "json": Kind.SIDECAR, "srt": Kind.SUBTITLE, "pdf": Kind.PDF, "wav": Kind.AUDIO}


def reading(*claims: tuple[DateSource, str], duration: float | None = None, **rest: Any) -> Reading:
    """What a reader found."""
    dates = tuple(DateClaim(source, text) for source, text in claims)
    return Reading("exif", media=Media(container=rest.pop("container", None), duration=duration), dates=dates, **rest)


def original(text: str = IN_THE_MORNING, **rest: Any) -> Reading:
    """What a reader found in a photograph."""
    return reading((DateSource.EXIF_ORIGINAL, text), **rest)


class Home:
    """Files of one directory, as the catalogue has them."""

    def __init__(self, zone: Any = UTC) -> None:
        self.rows: dict[str, Relative] = {}
        self._relater = Relater(zone)

    def put(self, name: str, found: Reading | None = None, **rest: Any) -> int:
        """A file arrives or is another one now; gives its id."""
        file = self.rows[name].file if name in self.rows else 1 + len(self.rows)
        kind = KINDS.get(name.rpartition(".")[2].lower(), Kind.OTHER)
        text = to_json(found or Reading("none")) if kind not in (Kind.OTHER, Kind.SUBTITLE) else None
        self.rows[name] = Relative(
            file, rest.pop("version", 1), ROOT, 1, b"", name.encode(), kind, MTIME_NS, text, None, None, None,
            is_ours=False, is_alone=False, timed=None,
        )._replace(**rest)  # fmt: skip
        return file

    def relate(self) -> Related:
        """Work it out, and keep it as the catalogue does."""
        related = self._relater.relate(list(self.rows.values()))
        assert related.troubles == []
        names = {row.file: name for name, row in self.rows.items()}
        for tie in related.ties:
            row = self.rows[names[tie.file]]
            self.rows[names[tie.file]] = row._replace(master=tie.master, role=tie.role, follows=tie.follows)
        for timed in related.timed:
            row = self.rows[names[timed.file]]
            self.rows[names[timed.file]] = row._replace(timed=timed)
        return related

    @property
    def times(self) -> dict[str, tuple[str, DateSource]]:
        """When each is said to have been made, and by what."""
        kept = {name: row.timed.capture for name, row in self.rows.items() if row.timed is not None}
        return {name: (capture.local, capture.source) for name, capture in kept.items()}

    @property
    def roles(self) -> dict[str, tuple[str, str | None]]:
        """The role of each that is in a group, with the name of the one that it follows."""
        names = {row.file: name for name, row in self.rows.items()}
        return {
            name: (row.role, None if row.follows is None else names[row.follows])
            for name, row in self.rows.items()
            if row.role is not None
        }


@pytest.fixture
def home() -> Home:
    return Home()


# -- times --------------------------------------------------------------------------------------


def test_each_has_its_own_time(home: Home) -> None:
    """Strangers have the times that they say themselves, or that their names or the file system say."""
    home.put("a.jpg", original())
    home.put("IMG_20180102_030405.jpg")
    home.put("c.pdf")
    home.relate()
    assert home.roles == {}
    assert home.times == {
        "a.jpg": ("2019-05-04T08:00:00", DateSource.EXIF_ORIGINAL),
        "IMG_20180102_030405.jpg": ("2018-01-02T03:04:05", DateSource.NAME),
        "c.pdf": (BY_MTIME, DateSource.MTIME),
    }


def test_a_sidecar_dates_the_one_that_it_follows(home: Home) -> None:
    """The date in an XMP sidecar counts for its picture before the picture's own, and for no neighbour."""
    home.put("a.jpg", original())
    home.put("a.jpg.xmp", reading((DateSource.SIDECAR, "2010-01-02T03:04:05")))
    home.put("b.jpg", original())
    home.relate()
    assert home.roles == {"a.jpg": ("primary", None), "a.jpg.xmp": ("sidecar", "a.jpg")}
    assert home.times["a.jpg"] == ("2010-01-02T03:04:05", DateSource.SIDECAR)
    assert home.times["b.jpg"] == ("2019-05-04T08:00:00", DateSource.EXIF_ORIGINAL)
    assert "a.jpg.xmp" not in home.times, "a sidecar is no work of its own"


def test_a_sidecar_of_a_shot_of_two(home: Home) -> None:
    """The sidecar of a negative dates the negative, and by way of it what was developed and says nothing itself."""
    home.put("a.cr2", original())
    home.put("a.jpg")
    home.put("a.xmp", reading((DateSource.SIDECAR, "2010-01-02T03:04:05")))
    home.relate()
    assert home.roles["a.xmp"] == ("sidecar", "a.cr2")
    assert home.times["a.cr2"] == ("2010-01-02T03:04:05", DateSource.SIDECAR)
    assert home.times["a.jpg"] == ("2010-01-02T03:04:05", DateSource.SIBLING)


def test_the_place_in_a_sidecar_counts(home: Home) -> None:
    """A film that is UTC goes to the time zone of the place that its sidecar says, if it says none itself."""
    found = reading((DateSource.CONTAINER, "2019-05-04T12:00:00"), container="mp4")
    home.put("a.mov", found)
    home.relate()
    assert home.times["a.mov"] == ("2019-05-04T12:00:00", DateSource.CONTAINER)
    home.put("a.xmp", reading(gps=Gps(35.68, 139.69)))
    home.relate()
    assert home.times["a.mov"] == ("2019-05-04T21:00:00", DateSource.CONTAINER)


def test_both_halves_of_a_live_photo_share_the_time(home: Home) -> None:
    """The movie of a Live Photo has the time of its picture, as a sibling's, whatever its own clock and name say."""
    home.put("IMG_1.HEIC", original(pair="A"))
    home.put("IMG_1.MOV", reading(pair="A", duration=2.0))
    home.relate()
    assert home.roles == {"IMG_1.HEIC": ("primary", None), "IMG_1.MOV": ("motion", "IMG_1.HEIC")}
    assert home.times == {
        "IMG_1.HEIC": ("2019-05-04T08:00:00", DateSource.EXIF_ORIGINAL),
        "IMG_1.MOV": ("2019-05-04T08:00:00", DateSource.SIBLING),
    }


def test_a_time_of_its_own_is_kept(home: Home) -> None:
    """A movie that says itself when it was made keeps that, to the second, though it belongs to a picture."""
    home.put("IMG_1.HEIC", original(pair="A"))
    home.put("IMG_1.MOV", reading((DateSource.QUICKTIME_KEY, "2019-05-04T08:00:01+0000"), pair="A", duration=2.0))
    home.relate()
    assert home.roles["IMG_1.MOV"] == ("motion", "IMG_1.HEIC")
    assert home.times["IMG_1.MOV"] == ("2019-05-04T08:00:01", DateSource.QUICKTIME_KEY)


def test_google_takeout(home: Home) -> None:
    """The JSON beside a picture that says nothing dates it, in the library's time zone, and the movie beside it."""
    home = Home(timezone(timedelta(hours=2)))
    home.put("IMG_1.HEIC")
    home.put("IMG_1.MOV", reading(duration=2.0))
    home.put("IMG_1.HEIC.supplemental-metadata.json", reading((DateSource.TAKEOUT, "2019-05-04T10:00:00")))
    home.relate()
    assert home.roles["IMG_1.HEIC.supplemental-metadata.json"] == ("sidecar", "IMG_1.HEIC")
    assert home.times["IMG_1.HEIC"] == ("2019-05-04T12:00:00", DateSource.TAKEOUT)
    assert home.times["IMG_1.MOV"] == ("2019-05-04T12:00:00", DateSource.SIBLING)


def test_a_camera_goes_before_takeout(home: Home) -> None:
    """What the camera wrote counts before what Google made of it."""
    home.put("a.jpg", original())
    home.put("a.jpg.json", reading((DateSource.TAKEOUT, "2001-05-04T10:00:00")))
    home.relate()
    assert home.times["a.jpg"] == ("2019-05-04T08:00:00", DateSource.EXIF_ORIGINAL)


def test_tracks_of_an_album_do_not_share_times(home: Home) -> None:
    """A cover makes tracks one group, and each keeps the time of its own file."""
    home.put("1.mp3", reading((DateSource.CONTAINER, "2001-01-01T01:01:01"), tags=Tags(album="A")))
    home.put("2.mp3", Reading("av", tags=Tags(album="A")))
    home.put("cover.jpg")
    home.put("1.srt")
    home.relate()
    assert {name: role for name, (role, _) in home.roles.items()} == {
        "1.mp3": "primary",
        "2.mp3": "track",
        "cover.jpg": "cover",
        "1.srt": "subtitle",
    }
    assert home.times == {
        "1.mp3": ("2001-01-01T01:01:01", DateSource.CONTAINER),
        "2.mp3": (BY_MTIME, DateSource.MTIME),
        "cover.jpg": (BY_MTIME, DateSource.MTIME),
    }


def test_a_name_of_ours_says_nothing(home: Home) -> None:
    """A name that a template made repeats what was known then: it is no evidence."""
    home.put("IMG_20180102_030405.jpg", is_ours=True)
    home.relate()
    assert home.times == {"IMG_20180102_030405.jpg": (BY_MTIME, DateSource.MTIME)}


def test_the_reasons_are_kept(home: Home) -> None:
    """A capture time carries why better sources were passed over."""
    home.put("a.jpg", reading((DateSource.EXIF_ORIGINAL, "0000:00:00 00:00:00"), (DateSource.XMP, "2019-05-04T08:00")))
    [timed] = home.relate().timed
    assert timed.capture == Capture(
        "2019-05-04T08:00:00", None, DateSource.XMP, Confidence.MEDIUM, ("exif-original 0000:00:00 00:00:00: no date",)
    )


# -- late and changed ---------------------------------------------------------------------------


def test_a_late_member_changes_ties(home: Home) -> None:
    """A picture that comes after its movie becomes the one that the movie follows, and lends it its time."""
    home.put("IMG_1.MOV", reading(pair="A", duration=2.0))
    home.put("IMG_1.AAE.xmp")
    assert home.relate().ties == []
    movie = home.rows["IMG_1.MOV"].file
    assert home.times == {"IMG_1.MOV": (BY_MTIME, DateSource.MTIME)}
    picture = home.put("IMG_1.HEIC", original(pair="A"))
    related = home.relate()
    assert sorted(related.ties) == [Tie(movie, picture, "motion", picture), Tie(picture, picture, "primary", None)]
    assert home.times["IMG_1.MOV"] == ("2019-05-04T08:00:00", DateSource.SIBLING)


def test_who_loses_its_master_is_alone(home: Home) -> None:
    """When the picture is gone its movie is in no group, and has the time that it had by itself."""
    home.put("IMG_1.HEIC", original(pair="A"))
    movie = home.put("IMG_1.MOV", reading(pair="A", duration=2.0))
    home.relate()
    del home.rows["IMG_1.HEIC"]
    assert home.relate().ties == [Tie(movie, None, None, None)]
    assert home.times == {"IMG_1.MOV": (BY_MTIME, DateSource.MTIME)}


def test_what_did_not_change_is_not_written(home: Home) -> None:
    """Another look at the same files gives nothing to be kept; one that changed gives its own rows alone."""
    home.put("a.cr2", original())
    home.put("a.jpg", original())
    home.put("a.xmp", reading((DateSource.SIDECAR, "2010-01-02T03:04:05")))
    home.put("b.mp3")
    assert len(home.relate().timed) == 3
    assert home.relate() == Related([], [], [])
    changed = home.put("b.mp3", version=2, timed=home.rows["b.mp3"].timed)
    related = home.relate()
    assert [(one.file, one.version) for one in related.timed] == [(changed, 2)]
    assert related.ties == []


def test_who_waits_to_be_read_is_left_out(home: Home) -> None:
    """A picture whose new content nobody has read yet gets no time and no place, and lends neither of them."""
    home.put("IMG_1.HEIC", original(pair="A"))
    home.put("IMG_1.MOV", reading(pair="A", duration=2.0))
    home.relate()
    row = home.rows["IMG_1.HEIC"]
    home.rows["IMG_1.HEIC"] = row._replace(found=None, version=2)
    related = home.relate()
    assert [timed.file for timed in related.timed] == [home.rows["IMG_1.MOV"].file]
    assert home.roles == {"IMG_1.HEIC": ("primary", None)}, "its row waits for it"
    home.rows["IMG_1.HEIC"] = home.rows["IMG_1.HEIC"]._replace(found=row.found)
    home.relate()
    assert home.roles["IMG_1.MOV"] == ("motion", "IMG_1.HEIC")
    assert home.rows["IMG_1.HEIC"].timed == Timed(row.file, 2, row.timed.capture if row.timed else None)  # type: ignore[arg-type]


def test_other_homes_are_other_worlds(home: Home) -> None:
    """Files of the same names in another directory or in another root do not belong together."""
    home.put("a.jpg", original())
    home.put("a.xmp", home=2)
    home.put("A.XMP", root=RootId(2))
    home.relate()
    assert home.roles == {}


def test_one_of_a_heap_has_its_time(home: Home) -> None:
    """Who shares its keys with too many is compared with nobody, and still gets its time, and loses an old place."""
    home.put("a.jpg", original(), is_alone=True, master=7, role="primary")
    home.put("a.xmp", reading((DateSource.SIDECAR, "2010-01-02T03:04:05")), is_alone=True)
    home.relate()
    assert home.roles == {}
    assert home.times == {"a.jpg": ("2019-05-04T08:00:00", DateSource.EXIF_ORIGINAL)}


# -- what should not happen ---------------------------------------------------------------------


def test_a_mistake_costs_one_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that cannot be compared stand alone with the time of the file system, and the others are compared."""
    grouped = grouping.grouped

    def mistaken(members: Any) -> Any:
        found = list(members)
        if any(one.name.startswith(b"bad") for one in found):
            raise RecursionError("too deep")
        return grouped(found)

    monkeypatch.setattr(relating, "grouped", mistaken)
    home = Home()
    bad = home.put("bad.jpg", original(), home=2, master=9, role="primary")
    home.put("bad.xmp", home=2)
    home.put("a.jpg", original())
    home.put("a.xmp")
    related = home._relater.relate(list(home.rows.values()))
    assert [re.search("RecursionError: too deep", trouble) is not None for trouble in related.troubles] == [True]
    assert Tie(bad, None, None, None) in related.ties
    assert {(one.file, one.capture.source) for one in related.timed} == {
        (bad, DateSource.MTIME),
        (home.rows["a.jpg"].file, DateSource.EXIF_ORIGINAL),
    }
    assert {tie.file for tie in related.ties if tie.role} == {home.rows["a.jpg"].file, home.rows["a.xmp"].file}


@pytest.mark.parametrize("found", [None, to_json(original(pair="A"))])
def test_keys_are_made_of_what_is_known(found: str | None) -> None:
    """A file is known by its name, and once it was read by its content identifier as well."""
    keys = grouping.keys(member(1, b"IMG_1.HEIC", Kind.IMAGE, b"", found))
    assert (b"img_1" in keys, len(keys)) == (True, 1 if found is None else 2)
