"""Record sound and film by code: silence and pictures that grow lighter, in any format that PyAV can write.

Takes a path, whose ending says the format unless one is named; writes the file. Seconds are exact but for what a codec
rounds up to its frames. The wheel of PyAV brings the encoders; no program is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame


class Sound(NamedTuple):
    codec: str
    seconds: float = 2.0
    rate: int = 44100
    channels: int = 2
    bitrate: int = 96_000  # bits a second, where the codec asks for one


class Film(NamedTuple):
    codec: str
    seconds: float = 2.0
    width: int = 64
    height: int = 48
    fps: int = 25
    turned: int = 0  # degrees counter-clockwise, as FFmpeg counts
    mirrored: bool = False


def record(
    path: Path,
    sound: Sound | None = None,
    film: Film | None = None,
    *,
    tags: Mapping[str, str] | None = None,
    container: str | None = None,
    options: Mapping[str, str] | None = None,
    cover: bytes | None = None,
) -> Path:
    """Write a file with sound, pictures or both, and a JPEG as its cover. ``options``: those of FFmpeg's writer."""
    with av.open(str(path), "w", format=container, container_options=dict(options or {})) as output:
        output.metadata.update(tags or {})
        streams: list[tuple[Any, Any]] = []
        if film is not None:
            streams.append((_film_stream(output, film), _pictures(film)))
        if sound is not None:
            streams.append((_sound_stream(output, sound), _silence(sound)))
        if cover is not None:
            _attach(output, cover)
        for stream, frames in streams:
            for frame in frames(stream):
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return path


def _attach(output: Any, cover: bytes) -> None:
    picture = output.add_stream("mjpeg", rate=1)
    picture.width, picture.height, picture.pix_fmt = 16, 16, "yuvj420p"
    picture.disposition = av.stream.Disposition.attached_pic
    output.start_encoding()
    packet = av.Packet(cover)
    packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, Fraction(1, 1)
    output.mux(packet)


def _film_stream(output: Any, film: Film) -> Any:
    stream = output.add_stream(film.codec, rate=film.fps)
    stream.width, stream.height = film.width, film.height
    stream.pix_fmt = "yuvj420p" if film.codec == "mjpeg" else "yuv420p"
    if film.turned or film.mirrored:
        stream.set_display_rotation(film.turned, hflip=film.mirrored)
    return stream


def _sound_stream(output: Any, sound: Sound) -> Any:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.channels]
    stream = output.add_stream(sound.codec, rate=sound.rate, layout=layout, options={"strict": "experimental"})
    stream.bit_rate = sound.bitrate
    return stream


def _pictures(film: Film) -> Any:
    def frames(stream: Any) -> Any:
        for number in range(round(film.seconds * film.fps)):
            frame = VideoFrame(film.width, film.height, stream.pix_fmt)
            for index, plane in enumerate(frame.planes):
                value = (number * 5 + index * 40) % 256
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, film.fps)
            yield frame

    return frames


def _silence(sound: Sound) -> Any:
    def frames(stream: Any) -> Any:
        total, at = round(sound.seconds * sound.rate), 0
        while at < total:
            count = min(stream.frame_size or 1024, total - at)
            frame = AudioFrame(stream.format.name, stream.layout.name, count)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts, frame.time_base = sound.rate, at, Fraction(1, sound.rate)
            yield frame
            at += count

    return frames
