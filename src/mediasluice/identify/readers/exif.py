"""Tell what Exif says of a picture: dates, camera, exposure, place, orientation.

Takes an Exif block from its TIFF header on, or directories of a TIFF structure that are open already. Gives
:class:`ExifFacts`; texts and dates as they are written, blank ones and zeros too, because the rule of capture time
says why it passes them over. OffsetTime belongs to ModifyDate alone, so no other date gets it.
Fails with: ``Refused``, when it is no TIFF structure. Source: CIPA DC-008 (Exif 2.32), TIFF 6.0, TIFF/EP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mediasluice.identify.readers import ifd, maker
from mediasluice.model.media import Camera, DateClaim, DateSource, Exposure, Gps

MAKE, MODEL, ORIENTATION, MODIFIED, ARTIST = 0x010F, 0x0110, 0x0112, 0x0132, 0x013B
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825
ORIGINAL, DIGITIZED = 0x9003, 0x9004
_EXPOSURE_TIME, _F_NUMBER, _ISO, _SENSITIVITY, _EXPOSURE_INDEX = 0x829A, 0x829D, 0x8827, 0x8831, 0x8832
_OFFSET_MODIFIED, _OFFSET_ORIGINAL, _OFFSET_DIGITIZED = 0x9010, 0x9011, 0x9012
_SUBSEC_MODIFIED, _SUBSEC_ORIGINAL, _SUBSEC_DIGITIZED = 0x9290, 0x9291, 0x9292
_SHUTTER_SPEED, _APERTURE, _FOCAL_LENGTH = 0x9201, 0x9202, 0x920A
_XP_TITLE, _XP_AUTHOR = 0x9C9B, 0x9C9D
_WIDTH, _HEIGHT = 0xA002, 0xA003
_LENS_SPECIFICATION, _LENS_MAKE, _LENS_MODEL, _DNG_LENS = 0xA432, 0xA433, 0xA434, 0xC630

WANTED = frozenset(
    {
        *(MAKE, MODEL, ORIENTATION, MODIFIED, ARTIST, EXIF_DIRECTORY, GPS_DIRECTORY, ORIGINAL, DIGITIZED),
        *(_EXPOSURE_TIME, _F_NUMBER, _ISO, _SENSITIVITY, _EXPOSURE_INDEX, _SHUTTER_SPEED, _APERTURE, _FOCAL_LENGTH),
        *(_OFFSET_MODIFIED, _OFFSET_ORIGINAL, _OFFSET_DIGITIZED),
        *(_SUBSEC_MODIFIED, _SUBSEC_ORIGINAL, _SUBSEC_DIGITIZED),
        *(_XP_TITLE, _XP_AUTHOR, _WIDTH, _HEIGHT),
        *(_LENS_SPECIFICATION, _LENS_MAKE, _LENS_MODEL, _DNG_LENS, maker.NOTE),
    }
)
"""Tags of the first directory and of the Exif directory; programs put some of them into the other one."""

_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _ALTITUDE_REF, _ALTITUDE = range(1, 7)
GPS_WANTED = frozenset(range(1, 7))

_TURNS = {1: 0, 2: 0, 3: 180, 4: 180, 5: 270, 6: 90, 7: 90, 8: 270}
_MIRRORED = frozenset({2, 4, 5, 7})


class ExifFacts(NamedTuple):
    """What Exif says. ``width`` and ``height``: of the picture when it was taken; an edited one may have others."""

    dates: tuple[DateClaim, ...] = ()
    camera: Camera = Camera()
    exposure: Exposure = Exposure()
    gps: Gps | None = None
    orientation: int | None = None  # 1 to 8
    width: int | None = None
    height: int | None = None
    title: str | None = None
    artist: str | None = None
    pair: str | None = None


def read(block: bytes) -> ExifFacts:
    """Give the facts of an Exif block that begins with its TIFF header."""
    tiff = ifd.of_bytes(block)
    main = tiff.directory(tiff.first, WANTED)
    return facts(main)


def facts(main: ifd.Directory) -> ExifFacts:
    """Give the facts of a first directory and of those that it points to."""
    where, place = main.whole(EXIF_DIRECTORY), main.whole(GPS_DIRECTORY)
    entries = main.entries
    if where is not None:
        entries = entries | main.tiff.directory(where, WANTED).entries
    together = ifd.Directory(main.tiff, entries, 0)
    return facts_of([together], None if place is None else main.tiff.directory(place, GPS_WANTED))


def facts_of(parts: Sequence[ifd.Directory], place: ifd.Directory | None) -> ExifFacts:
    """Give the facts of directories, of which the first that has a value counts, and of one with the place."""
    orientation = _whole(parts, ORIENTATION)
    make = _named(parts, MAKE)
    lens = _lens(parts)
    noted = maker.read(parts, make) if lens is None or make == "Apple" else maker.Noted()
    return ExifFacts(
        dates=_dates(parts),
        camera=Camera(make, _named(parts, MODEL), lens or noted.lens),
        exposure=_exposure(parts),
        gps=None if place is None else _gps(place),
        orientation=orientation if orientation in _TURNS else None,
        width=_whole(parts, _WIDTH) or None,
        height=_whole(parts, _HEIGHT) or None,
        title=_wide(parts, _XP_TITLE),
        artist=_named(parts, ARTIST) or _wide(parts, _XP_AUTHOR),
        pair=noted.pair,
    )


def joined(first: ExifFacts, second: ExifFacts | None) -> ExifFacts:
    """What the first knows, and of the second what is missing then; the camera and the exposure as a whole."""
    if second is None:
        return first
    sources = {claim.source for claim in first.dates}
    return ExifFacts(
        dates=(*first.dates, *(claim for claim in second.dates if claim.source not in sources)),
        camera=(first if first.camera.make else second).camera._replace(lens=first.camera.lens or second.camera.lens),
        exposure=first.exposure if any(first.exposure) else second.exposure,
        gps=first.gps or second.gps,
        orientation=first.orientation or second.orientation,
        width=first.width or second.width,
        height=first.height if first.width else second.height,
        title=first.title or second.title,
        artist=first.artist or second.artist,
        pair=first.pair or second.pair,
    )


def turned(orientation: int | None) -> tuple[int | None, bool | None]:
    """Degrees clockwise, and whether it is flipped from left to right before it is turned."""
    if orientation not in _TURNS:
        return None, None
    return _TURNS[orientation], orientation in _MIRRORED


# --- values of the first directory that has them


def _text(parts: Sequence[ifd.Directory], tag: int) -> str | None:
    for part in parts:
        if tag in part.entries:
            text = part.text(tag)
            if text is not None:
                return text
    return None


def _named(parts: Sequence[ifd.Directory], tag: int) -> str | None:
    """A name: blank is none."""
    for part in parts:
        if tag in part.entries:
            text = part.text(tag)
            if text:
                return text
    return None


def _wide(parts: Sequence[ifd.Directory], tag: int) -> str | None:
    """A text in UTF-16, as Windows writes it."""
    for part in parts:
        if tag in part.entries:
            raw = part.raw(tag, ifd.TEXT_MAX)
            return raw[: len(raw) & ~1].decode("utf-16-le", "replace").partition("\0")[0].strip() or None
    return None


def _whole(parts: Sequence[ifd.Directory], tag: int) -> int | None:
    for part in parts:
        if tag in part.entries:
            return part.whole(tag)
    return None


def _number(parts: Sequence[ifd.Directory], tag: int) -> float | None:
    """A number above zero."""
    for part in parts:
        if tag in part.entries:
            number = part.number(tag)
            if number is not None and 0 < number < math.inf:
                return number
    return None


# --- what they mean


def _dates(parts: Sequence[ifd.Directory]) -> tuple[DateClaim, ...]:
    claims = []
    for source, tag, fraction, offset in (
        (DateSource.EXIF_ORIGINAL, ORIGINAL, _SUBSEC_ORIGINAL, _OFFSET_ORIGINAL),
        (DateSource.EXIF_DIGITIZED, DIGITIZED, _SUBSEC_DIGITIZED, _OFFSET_DIGITIZED),
        (DateSource.EXIF_MODIFIED, MODIFIED, _SUBSEC_MODIFIED, _OFFSET_MODIFIED),
    ):
        text = _text(parts, tag)
        if text is not None:
            digits = _text(parts, fraction) or ""
            if digits.isdigit() and len(text) >= 19 and text[-3] == ":" and text[-1].isdigit():
                text = f"{text}.{digits}"
            zone = _text(parts, offset) or ""
            claims.append(DateClaim(source, text, zone if zone.strip(" :+-") else None))
    return tuple(claims)


def _lens(parts: Sequence[ifd.Directory]) -> str | None:
    """The lens by its name, or by its numbers where it has none."""
    model = _named(parts, _LENS_MODEL)
    if model is not None:
        return model
    for tag in (_LENS_SPECIFICATION, _DNG_LENS):
        for part in parts:
            if tag in part.entries and (lens := maker.lens_of(part.numbers(tag, 4))):
                maker_of_lens = _named(parts, _LENS_MAKE)
                return f"{maker_of_lens} {lens}" if maker_of_lens else lens
    return None


def _exposure(parts: Sequence[ifd.Directory]) -> Exposure:
    """Time and aperture as they are shown; where they are not written, from their logarithms (APEX)."""
    time, aperture = _number(parts, _EXPOSURE_TIME), _number(parts, _F_NUMBER)
    if time is None:
        time = _power(parts, _SHUTTER_SPEED, -1.0)
    if aperture is None:
        aperture = _power(parts, _APERTURE, 0.5)
    iso = _number(parts, _ISO)
    if iso is None or iso >= 65535:  # 65535: see the tags that hold larger numbers
        iso = _number(parts, _SENSITIVITY) or _number(parts, _EXPOSURE_INDEX) or iso
    return Exposure(time, aperture, None if iso is None else int(iso), _number(parts, _FOCAL_LENGTH))


def _power(parts: Sequence[ifd.Directory], tag: int, factor: float) -> float | None:
    for part in parts:
        if tag in part.entries:
            number = part.number(tag)
            if number is not None and abs(number) < 100:
                return float(2 ** (factor * number))
    return None


def _gps(place: ifd.Directory) -> Gps | None:
    """Both coordinates or none; zero on both axes is what a receiver without a fix writes."""
    lat = _degrees(place.numbers(_LATITUDE, 3), place.text(_LATITUDE_REF), 90)
    lon = _degrees(place.numbers(_LONGITUDE, 3), place.text(_LONGITUDE_REF), 180)
    if lat is None or lon is None or lat == lon == 0:
        return None
    altitude = place.number(_ALTITUDE)
    if altitude is not None and place.whole(_ALTITUDE_REF) == 1:
        altitude = -abs(altitude)
    return Gps(lat, lon, altitude)


def _degrees(numbers: Sequence[float], side: str | None, limit: int) -> float | None:
    if not numbers or not math.isfinite(numbers[0]):
        return None
    degrees, minutes, seconds = (n if math.isfinite(n) else 0.0 for n in (*numbers, 0.0, 0.0)[:3])
    value = abs(degrees) + minutes / 60 + seconds / 3600
    if not value <= limit:
        return None
    is_negative = degrees < 0 or (side or "")[:1].upper() in {"S", "W"}
    return -value if is_negative else value
