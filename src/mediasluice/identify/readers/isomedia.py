"""Read MP4, MOV, M4A and 3GP by their boxes: what the movie says of itself, without a look at a single sample.

Takes an open file. Gives everything that the header holds: duration, tracks, rotation, tags, and the keys that phones
write (place, camera, local time, content identifier). Where the movie has no duration, its fragments have. Damage
costs what it hit; the rest stands.
Fails with: ``Refused``, when there is no movie in it.
Source: ISO 14496-12:2022; QuickTime File Format (movie atoms, user data, metadata); 3GPP TS 26.244 section 8 (udta);
the iTunes metadata list as its readers agree on it.
"""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import formats, fragments, keys, sampleentries, userdata
from mediasluice.identify.readers.boxes import Box, boxes, find
from mediasluice.identify.readers.fragments import seconds_of
from mediasluice.identify.readers.sampleentries import Described
from mediasluice.model.files import Kind
from mediasluice.model.media import DateClaim, DateSource, Media, Reading

_EPOCH = 2_082_844_800  # seconds from 1904 to 1970
_TRACKS_MAX = 100  # chosen: films with many languages have some thirty


class _Track(NamedTuple):
    handler: bytes
    described: Described
    size: tuple[int, int]  # pixels as they are shown
    rotation: int
    is_mirrored: bool
    duration: float | None  # seconds
    samples: int
    chapters: frozenset[int]  # numbers of tracks that hold its chapters
    number: int
    scale: int  # units a second


class _Movie(NamedTuple):
    """``created``: seconds since 1904, or since 1970; ``scale``: units a second of ``duration``."""

    created: int
    scale: int
    duration: int


def read(file: Opened) -> Reading:
    """Read the header of a movie."""
    movie_box = find(file, 0, file.size, b"moov")
    if movie_box is None:
        raise Refused("there is no moov box")
    inside = list(boxes(file, movie_box.start, movie_box.end))
    movie = _movie(file, inside)
    tracks = [_track(file, box) for box in [box for box in inside if box.type == b"trak"][:_TRACKS_MAX]]
    said, has_cover = userdata.said(file, inside)
    pictures, sound = _first_tracks(tracks)
    duration = _duration(file, movie, tracks, inside)
    container = formats.of_quicktime(file)
    picture, heard = (track.described if track else Described() for track in (pictures, sound))
    if not said and not tracks and duration is None:
        raise Refused("the moov box is empty")
    return Reading(
        reader="boxes",
        mime=formats.mime(container, file.kind, has_video=pictures is not None),
        media=Media(
            container=container,
            duration=duration,
            width=(picture.width or pictures.size[0] or None) if pictures else None,
            height=(picture.height or pictures.size[1] or None) if pictures else None,
            frame_rate=_frame_rate(pictures),
            rotation=pictures.rotation if pictures else None,
            is_mirrored=pictures.is_mirrored if pictures else None,
            sample_rate=heard.sample_rate,
            channels=heard.channels,
            audio_codec=heard.codec,
            video_codec=picture.codec,
            audio_bitrate=heard.bitrate,
            video_bitrate=picture.bitrate,
            streams=len(tracks),
            has_cover=has_cover,
        ),
        tags=keys.tags(said),
        camera=keys.camera(said),
        gps=keys.place(said),
        dates=_dates(said, movie, file.kind),
        pair=keys.pair(said),
    )


def _first_tracks(tracks: list[_Track]) -> tuple[_Track | None, _Track | None]:
    """The first track of pictures and that of sound; the pictures of chapters are none."""
    chapters = frozenset[int]().union(*(track.chapters for track in tracks))
    pictures = next((t for t in tracks if t.handler == b"vide" and t.number not in chapters), None)
    return pictures, next((t for t in tracks if t.handler == b"soun"), None)


def _frame_rate(track: _Track | None) -> float | None:
    return round(track.samples / track.duration, 3) if track and track.duration and track.samples > 1 else None


def _dates(said: dict[str, str], movie: _Movie, kind: Kind) -> tuple[DateClaim, ...]:
    claims = keys.dates(said, is_quicktime=kind is Kind.VIDEO)
    if movie.created in fragments.UNKNOWN:
        return claims
    seconds = movie.created - _EPOCH if movie.created >= _EPOCH else movie.created  # some count from 1970
    if seconds >= 1 << 33:
        return claims
    moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
    return (*claims, DateClaim(DateSource.CONTAINER, f"{moment:%Y-%m-%dT%H:%M:%S}", "Z"))


# --- the movie and its tracks


def _movie(file: Opened, inside: list[Box]) -> _Movie:
    for box in inside:
        if box.type == b"mvhd":
            created, scale, duration = _times(file.pread(32, box.start))
            return _Movie(created, scale, duration)
    return _Movie(0, 0, 0)


def _times(header: bytes) -> tuple[int, int, int]:
    """Creation time, scale and duration, as ``mvhd`` and ``mdhd`` have them in two widths."""
    if len(header) >= 32 and header[0] == 1:
        created, scale, duration = struct.unpack_from(">Q8xIQ", header, 4)
    elif len(header) >= 20:
        created, scale, duration = struct.unpack_from(">I4xII", header, 4)
    else:
        return 0, 0, 0
    return created, scale, duration


def _track(file: Opened, track: Box) -> _Track:
    number, size, rotation, is_mirrored, chapters = 0, (0, 0), 0, False, frozenset[int]()
    scale = duration = samples = 0
    handler, what = b"", Described()
    for box in boxes(file, track.start, track.end):
        if box.type == b"tkhd":
            number, size, rotation, is_mirrored = _track_header(file.pread(96, box.start))
        elif box.type == b"tref":
            chapters |= _chapters(file, box)
        elif box.type == b"mdia":
            for inner in boxes(file, box.start, box.end):
                if inner.type == b"mdhd":
                    _, scale, duration = _times(file.pread(32, inner.start))
                elif inner.type == b"hdlr":
                    handler = file.pread(12, inner.start)[8:12]
                elif inner.type == b"minf" and (table := find(file, inner.start, inner.end, b"stbl")):
                    what, samples = _sample_table(file, table, handler)
    seconds = seconds_of(duration, scale)
    return _Track(handler, what, size, rotation, is_mirrored, seconds, samples, chapters, number, scale)


def _track_header(header: bytes) -> tuple[int, tuple[int, int], int, bool]:
    """Number, size and how it is turned. The matrix turns a row (x, y): x' = ax + cy, y' = bx + dy."""
    wide = 12 if header[:1] == b"\1" else 0
    if len(header) < wide + 84:
        return 0, (0, 0), 0, False
    number = int.from_bytes(header[20:24] if wide else header[12:16], "big")
    a, b, c, d = struct.unpack_from(">ii4xii", header, wide + 40)
    width, height = struct.unpack_from(">II", header, wide + 76)
    is_mirrored = a * d - b * c < 0
    quarters = round(math.degrees(math.atan2(-c, d)) / 90) if (c, d) != (0, 0) else 0
    return number, (width >> 16, height >> 16), quarters * 90 % 360, is_mirrored


def _chapters(file: Opened, references: Box) -> frozenset[int]:
    found = find(file, references.start, references.end, b"chap")
    data = file.pread(min(found.end - found.start, 4 * _TRACKS_MAX), found.start) if found else b""
    return frozenset(int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4))


def _sample_table(file: Opened, table: Box, handler: bytes) -> tuple[Described, int]:
    what, samples = Described(), 0
    for box in boxes(file, table.start, table.end):
        if box.type == b"stsd":
            what = sampleentries.described(file, box, handler)
        elif box.type == b"stsz":
            samples = int.from_bytes(file.pread(12, box.start)[8:12], "big")
    return what, samples


def _duration(file: Opened, movie: _Movie, tracks: list[_Track], inside: list[Box]) -> float | None:
    """What the movie says, or its fragments, or the longest track."""
    seconds = seconds_of(movie.duration, movie.scale)
    extends = next((box for box in inside if box.type == b"mvex"), None)
    if extends is not None or not any(track.samples for track in tracks):
        # The header of a movie in fragments tells of what was there when it was written, if of anything.
        seconds = (extends and fragments.announced(file, extends, movie.scale)) or fragments.indexed(file) or seconds
        if seconds is None and extends is not None:
            seconds = fragments.held(file, extends, {track.number: track.scale for track in tracks})
    return seconds or max((track.duration or 0 for track in tracks), default=0) or None
