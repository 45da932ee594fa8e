from __future__ import annotations

import pytest

from mediasluice.identify.readers import keys
from mediasluice.model.media import Camera, DateClaim, DateSource, Gps, Tags


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+48.8577+002.295/", Gps(48.8577, 2.295)),
        ("+27.5916+086.5640+8850/", Gps(27.5916, 86.564, 8850.0)),
        ("-33.8688+151.2093-012.5CRSWGS_84/", Gps(-33.8688, 151.2093, -12.5)),
        ("+4851.462+00217.7/", Gps(48 + 51.462 / 60, 2 + 17.7 / 60)),
        ("-485127.5-0021742/", Gps(-(48 + 51 / 60 + 27.5 / 3600), -(2 + 17 / 60 + 42 / 3600))),
        ("+00.0000+000.0000/", None),
        ("+91.0000+000.1000/", None),
        ("+10.0000+181.0000/", None),
        ("+123+01/", None),
        ("Paris", None),
        ("", None),
    ],
)
def test_places(text: str, place: Gps | None) -> None:
    """ISO 6709 in degrees, minutes or seconds gives a place; no place is nowhere and none lies off the globe."""
    found = keys.place({"com.apple.quicktime.location.iso6709": text})
    assert (found is None) == (place is None)
    if found and place:
        assert (found.lat, found.lon) == pytest.approx((place.lat, place.lon))
        assert found.altitude == place.altitude


def test_text_is_as_people_read_it() -> None:
    """Space around and what follows a NUL are gone; bytes that are no UTF-8 are read as Latin letters."""
    assert keys.clean("  Song \0junk") == "Song"
    assert keys.clean(b"Caf\xe9 \x80uro".decode("utf-8", "surrogateescape")) == "Café €uro"
    assert keys.clean(" \0x") is None
    assert len(keys.clean("x" * 100_000) or "") == keys.TEXT_MAX


def test_tags_in_every_spelling() -> None:
    """What formats call differently becomes one; totals in places of their own join their numbers (S2-65)."""
    said = {
        "title": "T",
        "author": "A",
        "album": "B",
        "albumartist": "AA",
        "year": "1999",
        "genre": "(17)",
        "tracknumber": "4",
        "totaltracks": "12",
        "disc": "1/2",
        "disctotal": "9",
    }
    assert keys.tags(said) == Tags("T", "A", "B", "AA", "1999", "Rock", "4/12", "1/2")


def test_dates_and_their_sources() -> None:
    """The local time of a phone, the day with a time and the container's UTC are claims; a year alone is none."""
    said = {
        "com.apple.quicktime.creationdate": "2023-05-09T12:41:46+0100",
        "date": "2023-05-09T12:41:47Z",
        "creation_time": "2023-05-09T11:41:48.000000Z",
    }
    claims = (
        DateClaim(DateSource.QUICKTIME_KEY, "2023-05-09T12:41:46+0100"),
        DateClaim(DateSource.QUICKTIME_DAY, "2023-05-09T12:41:47Z"),
        DateClaim(DateSource.CONTAINER, "2023-05-09T11:41:48", "Z"),
    )
    assert keys.dates(said, is_quicktime=True) == claims
    assert keys.dates({"date": "2023", "creation_time": "soon"}, is_quicktime=True) == ()
    assert keys.dates({"creation_time": "2016-05-31 17:01:35"}, is_quicktime=False) == (
        DateClaim(DateSource.CONTAINER, "2016-05-31 17:01:35"),
    )


def test_the_day_of_a_publication_is_no_capture_time() -> None:
    """A song, and a film of a shop, say when they were published."""
    said = {"date": "2016-05-29T07:00:00Z"}
    assert keys.dates(said, is_quicktime=False) == ()
    assert keys.dates(said | {"media_type": "10"}, is_quicktime=True) == ()


def test_camera_and_pair() -> None:
    """Make, model and lens come from Apple's and from Android's keys, the pair from Apple's."""
    assert keys.camera({"com.apple.quicktime.make": "Apple", "com.apple.quicktime.model": "iPhone 12"}) == Camera(
        "Apple", "iPhone 12"
    )
    assert keys.camera({"com.android.manufacturer": "Google", "com.android.model": "Pixel 8"}).model == "Pixel 8"
    assert keys.pair({"com.apple.quicktime.content.identifier": "6F1C-22"}) == "6F1C-22"


def test_a_track_does_not_name_the_film() -> None:
    """The title of a stream names the film in Ogg and where there are no pictures, but not elsewhere."""
    stereo = {"TITLE": "Stereo", "Artist": "A"}
    assert keys.united({}, stereo, {}, is_ogg=False) == {"artist": "A"}
    assert keys.united({}, stereo, None, is_ogg=False)["title"] == "Stereo"
    assert keys.united({}, {}, stereo, is_ogg=True)["title"] == "Stereo"
    assert keys.united({"title": "The Film"}, stereo, {}, is_ogg=False)["title"] == "The Film"
