"""What stands inside a media file, and when it was made.

A reader gives a :class:`Reading`: facts of one content, the same wherever that content lies. Names, sidecars and
file times are facts of a file; both together give its :class:`Capture`. Unknown values are ``None``.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, NamedTuple

from mediasluice.model.files import Kind


class Media(NamedTuple):
    """Technical properties. Of several streams of a kind the first counts; an embedded cover is no video."""

    container: str | None = None  # short and lower case: mp4, mov, matroska, mp3, flac, jpeg, heic ...
    duration: float | None = None  # seconds
    bitrate: int | None = None  # bits a second of the whole file: size * 8 / duration
    width: int | None = None  # pixels as they are stored, before rotation
    height: int | None = None
    frame_rate: float | None = None  # frames a second, on average
    rotation: int | None = None  # degrees clockwise by which it is turned to be shown: 0, 90, 180, 270
    is_mirrored: bool | None = None  # flipped from left to right, before it is turned
    sample_rate: int | None = None  # Hz
    channels: int | None = None
    audio_codec: str | None = None  # as FFmpeg names them, without the decoder: mp3, aac, pcm_s16le
    video_codec: str | None = None
    audio_bitrate: int | None = None  # bits a second of that stream alone
    video_bitrate: int | None = None
    streams: int | None = None
    has_cover: bool | None = None
    pages: int | None = None


class Tags(NamedTuple):
    """What a person or a shop wrote about a work; text as it is written, without space around it."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    albumartist: str | None = None
    date: str | None = None  # as written: 1999, 1999-05, 1999-05-04
    genre: str | None = None  # a name; numbers of ID3v1 are translated
    track: str | None = None  # 4 or 4/12
    disc: str | None = None


class Camera(NamedTuple):
    make: str | None = None
    model: str | None = None
    lens: str | None = None


class Exposure(NamedTuple):
    time: float | None = None  # seconds
    aperture: float | None = None  # f-number
    iso: int | None = None
    focal_length: float | None = None  # mm


class Gps(NamedTuple):
    """Degrees, positive to the north and to the east; altitude in metres above the sea."""

    lat: float
    lon: float
    altitude: float | None = None


class DateSource(StrEnum):
    """Where a capture time comes from, in the order in which the sources are asked.

    A sibling's time is asked for before the names where it has a better source than they are.
    """

    USER = "user"  # set by a person in the catalogue
    SIDECAR = "sidecar"  # XMP beside the file: exif:DateTimeOriginal, photoshop:DateCreated
    EXIF_ORIGINAL = "exif-original"  # DateTimeOriginal
    EXIF_DIGITIZED = "exif-digitized"  # DateTimeDigitized, which exiftool calls CreateDate
    XMP = "xmp"  # embedded: exif:DateTimeOriginal, photoshop:DateCreated
    IPTC = "iptc"  # DateCreated and TimeCreated
    QUICKTIME_KEY = "quicktime-key"  # com.apple.quicktime.creationdate: local, with its offset
    QUICKTIME_DAY = "quicktime-day"  # ©day with a time
    CONTAINER = "container"  # creation time of a container: UTC, but for some cameras
    TAKEOUT = "takeout"  # photoTakenTime of a Google Takeout JSON: UTC
    NAME = "name"  # a full stamp in the file's name
    NAME_DATE = "name-date"  # a date alone
    NAME_EPOCH = "name-epoch"  # milliseconds since 1970
    EXIF_MODIFIED = "exif-modified"  # ModifyDate, when there is nothing else
    SIBLING = "sibling"  # the capture time of the file that this one belongs to
    MTIME = "mtime"  # what the file system says: weak


class Confidence(StrEnum):
    """How far a capture time can be trusted."""

    HIGH = "high"  # the camera wrote it, or a person
    MEDIUM = "medium"  # a program or a name says so
    LOW = "low"  # a date that may mean something else
    WEAK = "weak"  # a copy may have changed it


class DateClaim(NamedTuple):
    """A date as a source wrote it, before anybody has judged it."""

    source: DateSource
    text: str  # ``YYYY:MM:DD HH:MM:SS[.fff]`` or ISO 8601; nothing is taken away or added
    offset: str | None = None  # ``+02:00``, ``-05:30`` or ``Z`` where it is written in a place of its own


class Reading(NamedTuple):
    """What the readers found inside one content."""

    reader: str  # the names of those that contributed: ``exif``, ``av``, ``boxes+ffprobe``; empty: none could
    mime: str | None = None
    media: Media = Media()
    tags: Tags = Tags()
    camera: Camera = Camera()
    exposure: Exposure = Exposure()
    gps: Gps | None = None
    dates: tuple[DateClaim, ...] = ()
    pair: str | None = None  # content identifier that both halves of a Live Photo carry
    error: str | None = None  # why something could not be read; the rest stands


class Capture(NamedTuple):
    """When a file was made, as the clock on the wall said."""

    local: str  # ``YYYY-MM-DDTHH:MM:SS``
    offset: int | None  # minutes east of UTC, where known
    source: DateSource
    confidence: Confidence
    rejected: tuple[str, ...] = ()  # sources that come before it, each with why it was passed over


MEDIA_KINDS = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.PDF})
"""What a capture time is worked out for; sidecars and subtitles belong to one of these."""


def to_json(reading: Reading) -> str:
    """Write a reading without what is unknown."""
    values: dict[str, object] = {
        name: _known(value) if isinstance(value, (Media, Tags, Camera, Exposure, Gps)) else value
        for name, value in zip(reading._fields, reading, strict=True)
        if value
    }
    return json.dumps(values, separators=(",", ":"))


def from_json(text: str) -> Reading:
    """Read what :func:`to_json` wrote; keys that a later version added are passed over."""
    said = json.loads(text)
    gps = said.get("gps")
    return Reading(
        reader=said.get("reader", ""),
        mime=said.get("mime"),
        media=Media(**_of(Media, said.get("media"))),
        tags=Tags(**_of(Tags, said.get("tags"))),
        camera=Camera(**_of(Camera, said.get("camera"))),
        exposure=Exposure(**_of(Exposure, said.get("exposure"))),
        gps=None if gps is None else Gps(**_of(Gps, gps)),
        dates=tuple(
            DateClaim(_SOURCES[source], *rest) for source, *rest in said.get("dates", ()) if source in _SOURCES
        ),
        pair=said.get("pair"),
        error=said.get("error"),
    )


_SOURCES = {source.value: source for source in DateSource}


def _known(values: Media | Tags | Camera | Exposure | Gps) -> dict[str, object]:
    return {name: value for name, value in zip(values._fields, values, strict=True) if value is not None}


def _of(shape: type[Media | Tags | Camera | Exposure | Gps], said: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (said or {}).items() if name in shape._fields}
