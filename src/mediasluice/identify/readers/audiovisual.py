"""Read sound and film: FFmpeg first, our own walks for what it does not say or refuses, the program ffprobe last.

Takes an open file. Gives everything that one of them found; where two know a thing the earlier one counts. Films of
QuickTime's family (MP4, MOV, M4A, 3GP) are walked in any case: their boxes know how a film is turned, and hold keys of
phones that FFmpeg drops. The overall bitrate is that of the file: all of its bytes, over its duration.
Runs in isolated processes only. Fails with: ``Refused``, when nobody can make anything of the file.

Where FFmpeg only estimates a duration (MP3 and ADTS without an index, from the bitrate of the first seconds), its
estimate is kept. Measured on 390 files against ffprobe: with it 98.5 % agree, with a count of the frames 95.1 %. The
count would be the better answer for the rare file of changing bitrate without an index, but that of no other program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import ffprobe, formats, headers, isomedia, mpegaudio, pyav
from mediasluice.model.media import Camera, DateClaim, Media, Reading, Tags

WORTH = 64 << 10  # bytes of a file that no other reader understands, chosen: a second of music
_TURNED = frozenset({"matroska", "webm"})
_RATED_S = 0.001  # seconds from which on there is a bitrate, chosen: below it headers outweigh what they describe
_NOTHING = Reading("")
_Values = TypeVar("_Values", Media, Tags, Camera)


def read(file: Opened) -> Reading:
    """Read sound or film."""
    reading, refusals = _NOTHING, list[str]()
    is_quicktime = formats.demuxer(file) == "mov"
    reading = _joined(reading, file, pyav.read, refusals)
    if is_quicktime:
        reading = _joined(reading, file, isomedia.read, refusals)
    elif _lacks(reading.media):
        reading = _joined(reading, file, headers.read, refusals)
    # Where nobody knows what it is, or nobody would miss it, the program's start costs more than it could tell.
    is_worth_it = bool(reading.reader) or (file.size >= WORTH and formats.demuxer(file) is not None)
    if reading.media.duration is None and is_worth_it:
        reading = _joined(reading, file, ffprobe.read, refusals)
    if not reading.reader:
        raise Refused("; ".join(dict.fromkeys(refusals)))
    if _is_hollow(reading):
        raise Refused("there is neither sound nor picture in it")
    return _completed(reading, file)._replace(error=refusals[0] if "av" not in reading.reader.split("+") else None)


def cover(file: Opened) -> bytes | None:
    """The embedded cover picture as it is stored, where there is one that FFmpeg finds."""
    try:
        return pyav.cover(file)
    except Refused:
        return None


def _is_hollow(reading: Reading) -> bool:
    """Whether only the name or the first bytes made a reader believe in a file: one of zeros, for instance."""
    media = reading.media
    return not (media.duration or media.sample_rate or media.width or any(reading.tags) or reading.dates)


def _lacks(media: Media) -> bool:
    """Whether a header may know more than FFmpeg says. How a film is turned shows in no value that PyAV gives."""
    is_film = media.video_codec is not None
    return media.duration is None or (is_film and (media.width is None or media.container in _TURNED))


def _joined(reading: Reading, file: Opened, read_next: Callable[[Opened], Reading], refusals: list[str]) -> Reading:
    """What has been read, with what the next reader knows besides."""
    try:
        found = read_next(file)
    except MemoryError:
        raise
    except Refused as refused:
        refusals.append(str(refused))
        return reading
    except Exception as error:  # noqa: BLE001 - what one reader trips over must not cost what another has found
        refusals.append(f"{type(error).__name__}: {error}")
        return reading
    joined = reading._replace(
        mime=reading.mime or found.mime,
        media=_filled(reading.media, found.media),
        tags=_filled(reading.tags, found.tags),
        camera=_filled(reading.camera, found.camera),
        gps=reading.gps or found.gps,
        dates=_united(reading.dates, found.dates),
        pair=reading.pair or found.pair,
    )
    if not reading.reader:
        return joined._replace(reader=found.reader)
    return reading if joined == reading else joined._replace(reader=f"{reading.reader}+{found.reader}")


def _filled(first: _Values, second: _Values) -> _Values:
    """The first with the values of the second where it has none."""
    missing: dict[str, Any] = {
        name: theirs
        for name, ours, theirs in zip(first._fields, first, second, strict=True)
        if ours is None and theirs is not None
    }
    return first._replace(**missing)


def _united(first: tuple[DateClaim, ...], second: tuple[DateClaim, ...]) -> tuple[DateClaim, ...]:
    sources = {claim.source for claim in first}
    return (*first, *(claim for claim in second if claim.source not in sources))


def _completed(reading: Reading, file: Opened) -> Reading:
    """With what follows from the rest."""
    media = reading.media
    if media.container == "mp3":
        media = media._replace(duration=mpegaudio.indexed_duration(file) or media.duration)
    if media.duration and media.duration >= _RATED_S:
        media = media._replace(bitrate=round(file.size * 8 / media.duration))
    return reading._replace(media=media)
