"""Tell what the keys of a container say: tags, camera, place, dates. One vocabulary for every reader of sound and film.

Takes pairs of key and text as FFmpeg names them (``album_artist``, ``com.apple.quicktime.make``), in lower case; our
own walks write the same keys. Gives the values of ``mediasluice.model.media``. Text loses the space around it and what
follows a NUL; bytes that are no UTF-8 (surrogate escapes) are read as Windows' Latin letters, which is what taggers
wrote before they knew better. Nothing longer than TEXT_MAX is taken.
Fails with: nothing.
Source: FFmpeg's table of generic keys; Apple's QuickTime metadata keys; ISO 6709 Annex H for places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mediasluice.identify.readers import genres
from mediasluice.model.media import Camera, DateClaim, DateSource, Gps, Tags

TEXT_MAX = 4096  # characters of one value, chosen: the longest titles have some hundred

_ALBUM_ARTIST = ("album_artist", "albumartist", "album artist", "wm/albumartist")
_MAKE = ("com.apple.quicktime.make", "make", "com.android.manufacturer")
_MODEL = ("com.apple.quicktime.model", "model", "com.android.model")
_LENS = ("com.apple.quicktime.camera.lens_model", "com.apple.quicktime.camera.lens-model")
_PLACE = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_ESCAPED = re.compile("[\udc80-\udcff]+")
_MOMENT = re.compile(r"\d{4}[-:]\d\d[-:]\d\d[T ]\d\d:\d\d", re.ASCII)
_UTC = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.0*)?Z", re.ASCII)
_ISO_6709 = re.compile(
    r"([+-])(\d{2,6})(\.\d{1,12})?([+-])(\d{3,7})(\.\d{1,12})?(?:([+-]\d{1,6}(?:\.\d{1,12})?))?", re.ASCII
)


def clean(text: str) -> str | None:
    """The text as people read it; nothing where there is none."""
    text = text[:TEXT_MAX].partition("\0")[0].strip()
    if not text.isascii():
        text = _ESCAPED.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("cp1252", "replace"), text)
    return text or None


def first(said: Mapping[str, str], *names: str) -> str | None:
    """The first of some keys that says anything."""
    for name in names:
        if name in said and (text := clean(said[name])):
            return text
    return None


def united(
    whole: Mapping[str, object], sound: Mapping[str, object], pictures: Mapping[str, object] | None, *, is_ogg: bool
) -> dict[str, str]:
    """The keys of a container, with those that only its streams have. ``pictures``: None where there are none.

    Ogg has all of them in its streams. Elsewhere the title of a stream of a film is its own: "Stereo", "Commentary".
    """
    said = {key.lower(): str(text) for key, text in whole.items()}
    for part in (sound, pictures or {}):
        for key, text in part.items():
            if is_ogg or pictures is None or key.lower() != "title":
                said.setdefault(key.lower(), str(text))
    return said


def tags(said: Mapping[str, str]) -> Tags:
    """What is said of the work."""
    genre = first(said, "genre")
    return Tags(
        title=first(said, "title"),
        artist=first(said, "artist", "author", "performer"),
        album=first(said, "album"),
        albumartist=first(said, *_ALBUM_ARTIST),
        date=first(said, "date", "year"),
        genre=genre and genres.named(genre),
        track=_number(first(said, "track", "tracknumber"), first(said, "tracktotal", "totaltracks")),
        disc=_number(first(said, "disc", "discnumber"), first(said, "disctotal", "totaldiscs")),
    )


def camera(said: Mapping[str, str]) -> Camera:
    return Camera(first(said, *_MAKE), first(said, *_MODEL), first(said, *_LENS))


def pair(said: Mapping[str, str]) -> str | None:
    """What both halves of a Live Photo carry."""
    return first(said, "com.apple.quicktime.content.identifier")


def place(said: Mapping[str, str]) -> Gps | None:
    text = first(said, *_PLACE)
    return iso_6709(text) if text else None


def iso_6709(text: str) -> Gps | None:
    """``+48.8577+002.295+035.1/``, also with minutes or seconds: ``+DDMM.M+DDDMM.M``, ``+DDMMSS+DDDMMSS``."""
    found = _ISO_6709.match(text.strip())
    if found is None:
        return None
    lat = _degrees(found[1], found[2], found[3] or "", 2)
    lon = _degrees(found[4], found[5], found[6] or "", 3)
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or lat == lon == 0:
        return None  # zero on both axes is what a receiver without a fix writes
    return Gps(lat, lon, float(found[7]) if found[7] else None)


def dates(said: Mapping[str, str], *, is_quicktime: bool) -> tuple[DateClaim, ...]:
    """When it was made. ``is_quicktime``: a film in a container of QuickTime's family, whose ``©day`` may be a moment.

    In songs that key is the day when they were published, with a time as well; in films of a shop, which carry the
    kind of media, likewise.
    """
    claims = []
    if (text := first(said, "com.apple.quicktime.creationdate")) and _MOMENT.match(text):
        claims.append(DateClaim(DateSource.QUICKTIME_KEY, text))
    if is_quicktime and "media_type" not in said and (text := first(said, "date")) and _MOMENT.match(text):
        claims.append(DateClaim(DateSource.QUICKTIME_DAY, text))
    if (text := first(said, "creation_time")) and _MOMENT.match(text):
        utc = _UTC.fullmatch(text)
        claims.append(DateClaim(DateSource.CONTAINER, utc[1], "Z") if utc else DateClaim(DateSource.CONTAINER, text))
    return tuple(claims)


def _number(number: str | None, total: str | None) -> str | None:
    """``4/12``, where the two stand in places of their own."""
    return f"{number}/{total}" if number and total and "/" not in number else number


def _degrees(sign: str, whole: str, fraction: str, width: int) -> float | None:
    """Degrees of ``width`` digits, which two of minutes may follow, and two of seconds; the last has the fraction."""
    parts = [whole[:width], *(whole[at : at + 2] for at in range(width, len(whole), 2))]
    if len(parts[-1]) < 2 or len(parts) > 3:
        return None
    parts[-1] += fraction
    degrees = sum(float(part) / unit for part, unit in zip(parts, (1, 60, 3600), strict=False))
    return -degrees if sign == "-" else degrees
