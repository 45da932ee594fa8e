"""Read sound and film through PyAV, which is FFmpeg inside the process.

Takes an open file. Gives what FFmpeg finds in it. FFmpeg opens nothing but this file: it gets it as an object, picks
its format from a list that has no playlists, image sequences or session descriptions in it, and may use no protocol.
It decodes at most a little sound of a few codecs, never pictures: all other decoders are refused, which is also what
makes it quick.
Runs in isolated processes only. Fails with: ``Refused``, when FFmpeg refuses the file or gets no memory.

Measured (ms a file, warm): a demuxer that is named instead of probed for takes 0.2 for an MP3 with a cover instead of
14 and 0.2 for a FLAC instead of 0.5; without decoders for pictures Matroska takes 0.3 instead of 2.4; one packet to
find out whether a WAV holds DTS takes 0.3 instead of 3. Reading through an object costs 3 % more than a path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import av
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import formats, keys
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, Reading

COVER_MAX = 32 << 20  # bytes of a cover picture, chosen: scans in print quality have some ten million
_BUFFER = 64 << 10  # bytes of one read; measured: from 8 to 256 KiB it makes no difference
_EINVAL = -22

av.logging.set_level(None)  # nothing is written to standard error: what matters comes as an exception

_DECODERS = "aac,aac_latm,ac3,dca,eac3,flac,mp1float,mp2float,mp3float,s302m,speex,truehd"
"""Decoders that FFmpeg may run, on the first seconds of sound: those whose streams say rate or channels themselves, or
whose bitrate it needs. Measured: with all the others nothing else is found, and a file takes a fifth longer."""

OPTIONS: Mapping[str, str] = {
    "protocol_whitelist": "none",  # a name that no protocol has
    "format_whitelist": formats.DEMUXERS,
    "codec_whitelist": _DECODERS,
    # Sizes of probing stay at FFmpeg's own 5 MB and 5 s. They are reached only by damaged files and by MP3 and ADTS
    # without an index, where bitrate and so duration come from what was read; less of it gives other durations.
}
_WAV_OPTIONS: Mapping[str, str] = {**OPTIONS, "max_probe_packets": "1"}  # DTS in WAV shows in the first packet


def read(file: Opened) -> Reading:
    """Read a file."""
    with opened(file) as container:
        if not container.streams:
            raise Refused("FFmpeg finds no streams")
        return _reading(file, container)


def cover(file: Opened) -> bytes | None:
    """The embedded cover picture as it is stored."""
    with opened(file) as container:
        for stream in container.streams:
            if _is_cover(stream):
                packet = next(container.demux(stream), None)
                return bytes(packet) if packet is not None and 0 < packet.size <= COVER_MAX else None
    return None


class _Source:
    """The file as FFmpeg wants it: reads and seeks that answer, whatever they are asked.

    Python's own stream raises at a seek before the beginning, which PyAV prints to standard error.
    """

    def __init__(self, file: Opened) -> None:
        self.name = "." + file.extension.decode("ascii", "replace")  # where contents say nothing, the ending may
        self._file = file
        self._at = 0

    def read(self, count: int) -> bytes:
        found = self._file.pread(count, self._at)
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}.get(whence, 0)
        if start + offset < 0:
            return _EINVAL
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at


@contextmanager
def opened(file: Opened) -> Iterator[InputContainer]:
    """Open a film or a sound for its demuxer and for nothing else; what FFmpeg refuses raises Refused."""
    name = formats.demuxer(file)
    options = dict(_WAV_OPTIONS if name == "wav" else OPTIONS)
    try:
        with av.open(
            _Source(file),
            "r",
            format=name,
            container_options=options,
            metadata_errors="surrogateescape",
            buffer_size=_BUFFER,
        ) as container:
            yield container
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise Refused(_reason(error)) from error


def _reason(error: Exception) -> str:
    """What FFmpeg says, without the number and the name of a file that has none."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"FFmpeg: {said}"


# --- from FFmpeg's words to ours


def _reading(file: Opened, container: InputContainer) -> Reading:
    sound = next((stream for stream in container.streams if isinstance(stream, AudioStream)), None)
    pictures = next((s for s in container.streams if isinstance(s, VideoStream) and not _is_attached(s)), None)
    said = keys.united(
        container.metadata,
        sound.metadata if sound is not None else {},
        pictures.metadata if pictures is not None else None,
        is_ogg=container.format.name == "ogg",
    )
    name = formats.container(file, container.format.name)
    media = Media(
        container=name,
        duration=formats.seconds(container.duration or 0, 1e6),
        streams=sum(not _is_attached(stream) for stream in container.streams),
        has_cover=any(_is_cover(stream) for stream in container.streams),
    )
    if sound is not None:
        media = _with_sound(media, sound)
    if pictures is not None:
        media = _with_pictures(media, pictures)
    return Reading(
        reader="av",
        mime=formats.mime(name, file.kind, has_video=pictures is not None),
        media=media,
        tags=keys.tags(said),
        camera=keys.camera(said),
        gps=keys.place(said),
        dates=keys.dates(said, is_quicktime=formats.is_of_quicktime(name) and file.kind is Kind.VIDEO),
        pair=keys.pair(said),
    )


def _is_attached(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic) or stream.type == "attachment"


def _is_cover(stream: Stream) -> bool:
    """A picture of the whole, not one of a chapter."""
    disposition = stream.disposition
    return bool(disposition & Disposition.attached_pic) and not disposition & Disposition.timed_thumbnails


def _with_sound(media: Media, stream: AudioStream) -> Media:
    coding = stream.codec_context
    if coding is None:  # a codec that FFmpeg cannot decode
        return media
    return media._replace(
        audio_codec=coding.codec.canonical_name,
        sample_rate=coding.sample_rate or None,
        channels=coding.channels or None,
        audio_bitrate=coding.bit_rate or None,
    )


def _with_pictures(media: Media, stream: VideoStream) -> Media:
    coding: Any = stream.codec_context
    if coding is None:
        return media
    rate = stream.average_rate
    return media._replace(
        video_codec=coding.codec.canonical_name,
        width=coding.width if coding.width > 0 else None,
        height=coding.height if coding.height > 0 else None,
        frame_rate=round(float(rate), 3) if rate else None,
        video_bitrate=coding.bit_rate or None,
    )
