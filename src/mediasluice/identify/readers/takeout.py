"""Read the JSON file that Google Takeout puts beside a picture or a film, and say which one it belongs to.

Takes an open ``.json`` file, at most FILE_MAX bytes of it, or names as bytes. Gives the time at which the picture was
taken (UTC: Google keeps no zone), its place and its description. Google names these files after the picture, cuts
that name at 46 characters and puts a number in another place, so that the way leads from the picture to the names
that its JSON may have, and not back.
Fails with: ``Refused``, when it is no such file; album files are none either.
Source: exports of 2019 to 2026 and what those found who import them; there is no description by Google.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from unicodedata import normalize

from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.media import DateClaim, DateSource, Gps, Reading

FILE_MAX = 1 << 20  # bytes; chosen: real ones have 1 to 4 KB, many comments some 100 KB
_TEXT_MAX = 4096  # characters of a title or a description; chosen: longer ones belong into no catalogue
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_STEM_MAX = 46  # UTF-16 units of a JSON's name without number and extension: Google's own limit
_SUFFIX = ".supplemental-metadata"  # since October 2024; cut like the name
_NUMBER = re.compile(r"\(\d{1,6}\)\Z", re.ASCII)
_FIRST_HALVES = "".join(map(chr, range(0xD800, 0xDC00)))
# Edited pictures have no JSON of their own; Google writes the word in the language of the account.
_EDITED = re.compile(
    r"-(?:edited|bearbeitet|modifié|ha editado|editat|modificato|bewerkt|edytowane|編集済み|effects|smile|mix)\Z",
    re.IGNORECASE,
)


class TakeoutFacts(NamedTuple):
    """What such a file says of its picture."""

    title: str | None = None  # the name under which it was uploaded, whole
    description: str | None = None  # what a person wrote below it
    taken: str | None = None  # UTC, YYYY-MM-DDTHH:MM:SS; the bare number where that is out of all calendars
    gps: Gps | None = None


def read(file: Opened) -> Reading:
    """Read a whole JSON file: what it says is said of the picture beside it."""
    if file.size > FILE_MAX:
        raise Refused(f"no Takeout JSON: {file.size} bytes are too many for one")
    found = facts(file.pread(FILE_MAX, 0))
    dates = (DateClaim(DateSource.TAKEOUT, found.taken, "Z"),) if found.taken else ()
    return Reading(reader="takeout", mime="application/json", gps=found.gps, dates=dates)


def facts(document: bytes) -> TakeoutFacts:
    """Give what a Takeout JSON says."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise Refused(f"no Takeout JSON: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("photoTakenTime"), dict):
        raise Refused("no Takeout JSON: there is no photoTakenTime in it")
    return TakeoutFacts(
        title=_text(found.get("title")),
        description=_text(found.get("description")),
        taken=_moment(found["photoTakenTime"].get("timestamp")),
        gps=_place(found.get("geoData")) or _place(found.get("geoDataExif")),
    )


def _text(value: object) -> str | None:
    return value.strip()[:_TEXT_MAX] or None if isinstance(value, str) else None


def _moment(value: object) -> str | None:
    """Seconds since 1970, as Google's text or as the number that other programs write in its place."""
    text = str(value).strip() if isinstance(value, (str, int)) else ""
    if not re.fullmatch(r"-?\d{1,20}", text, re.ASCII):
        return None
    try:
        return (_EPOCH + timedelta(seconds=int(text))).strftime("%Y-%m-%dT%H:%M:%S")
    except OverflowError:
        return text


def _place(value: object) -> Gps | None:
    """Zero on both axes is what Google writes for a picture without a place."""
    if not isinstance(value, dict):
        return None
    lat, lon, altitude = (_number(value.get(key)) for key in ("latitude", "longitude", "altitude"))
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or lat == lon == 0:
        return None
    return Gps(lat, lon, altitude or None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# --- names


def names_of(media_name: bytes) -> tuple[bytes, ...]:
    """Give the names that the JSON of a picture may have in the same folder, the likeliest first."""
    found = [
        f"{_cut(whole + suffix)}{number}.json" for whole, number in _titles(media_name) for suffix in (_SUFFIX, "")
    ]
    return tuple(name.encode("utf-8", "surrogateescape") for name in dict.fromkeys(found))


def belongs(json_name: bytes, media_name: bytes) -> bool:
    """Whether a JSON is that of a picture in the same folder.

    More tolerant than ``names_of``: of capital letters, of accents that a disk takes apart, and of names that were
    cut elsewhere, because archives and disks have limits of their own.
    """
    if json_name[-5:].lower() != b".json":
        return False
    stem = normalize("NFC", json_name[:-5].decode("utf-8", "surrogateescape"))
    bare, number = _without_number(stem)
    return any(
        _is_of(bare if wanted else stem, whole) for whole, wanted in _titles(media_name) if wanted in {"", number}
    )


def _is_of(stem: str, whole: str) -> bool:
    """A name that Google cut, or a whole one with some part of the suffix."""
    if stem in {_cut(whole), _cut(whole + _SUFFIX)}:
        return True
    return stem.startswith(whole) and _SUFFIX.startswith(stem[len(whole) :])


def _titles(media_name: bytes) -> tuple[tuple[str, str], ...]:
    """The names that a picture may have had when it was uploaded, each with the number that the export gave it."""
    stem, dot, extension = normalize("NFC", media_name.decode("utf-8", "surrogateescape")).rpartition(".")
    if not stem:
        stem, dot, extension = f"{dot}{extension}", "", ""
    bare, number = _without_number(stem)
    original, inner = _without_number(_EDITED.sub("", bare))  # a number may stand on both sides of the word
    found = []
    for name, given in dict.fromkeys([(bare, number), (original, number or inner)]):
        found.append((f"{name}{dot}{extension}", given))
        if given:  # it may be part of the name, or the export left it where it was
            found.append((f"{name}{given}{dot}{extension}", ""))
        if dot:  # uploaded without an extension, which the export adds
            found.append((name, given))
    return tuple(found)


def _without_number(stem: str) -> tuple[str, str]:
    match = _NUMBER.search(stem)
    return (stem[: match.start()], match[0]) if match else (stem, "")


def _cut(name: str) -> str:
    """The first units of UTF-16; half a character is none."""
    units = name.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * _STEM_MAX:
        return name
    return units[: 2 * _STEM_MAX].decode("utf-16-le", "surrogatepass").rstrip(_FIRST_HALVES)
