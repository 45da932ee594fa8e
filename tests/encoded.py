"""Encode short films, sounds and pictures into many formats, with the libraries that also read them.

Takes the suffix of a format and a seed that makes the content unique; gives the whole content as bytes. Films show
coloured squares, sounds are a tone; both have the given tags where FFmpeg writes any into their format.
"""

from __future__ import annotations

import array
import io
import math
import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import av
from PIL import Image

RATE = 44_100  # Hz
SECONDS = 0.5
WIDTH, HEIGHT, PER_SECOND = 96, 64, 24
_PIECES = 43  # of a tone, about a second


class Muxed(NamedTuple):
    """How FFmpeg calls what makes a format."""

    container: str
    codec: str
    rate: int = RATE


FILMS: Mapping[str, Muxed] = {
    "mp4": Muxed("mp4", "mpeg4"),
    "mov": Muxed("mov", "mjpeg"),
    "mkv": Muxed("matroska", "mpeg4"),
    "webm": Muxed("webm", "libvpx"),
    "avi": Muxed("avi", "mpeg4"),
    "ts": Muxed("mpegts", "mpeg2video"),
    "mpg": Muxed("mpeg", "mpeg2video"),
    "flv": Muxed("flv", "flv"),
    "wmv": Muxed("asf", "wmv2"),
}
SOUNDS: Mapping[str, Muxed] = {
    "mp3": Muxed("mp3", "libmp3lame"),
    "flac": Muxed("flac", "flac"),
    "ogg": Muxed("ogg", "vorbis"),
    "opus": Muxed("ogg", "libopus", 48_000),
    "m4a": Muxed("ipod", "aac"),
    "aac": Muxed("adts", "aac"),
    "mka": Muxed("matroska", "flac"),
    "wav": Muxed("wav", "pcm_s16le"),
    "aiff": Muxed("aiff", "pcm_s16be"),
    "wma": Muxed("asf", "wmav2"),
    "ac3": Muxed("ac3", "ac3"),
    "wv": Muxed("wv", "wavpack"),
}
PICTURES: Mapping[str, str] = {
    "jpg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "tif": "TIFF",
    "bmp": "BMP",
    "webp": "WEBP",
    "jp2": "JPEG2000",
    "avif": "AVIF",
}


def film(suffix: str, seed: object = "", seconds: float = SECONDS, **tags: str) -> bytes:
    """A film without sound."""
    made = FILMS[suffix]
    chance = random.Random(str(seed))
    held = io.BytesIO()
    with av.open(held, "w", format=made.container) as container:
        container.metadata.update(tags)
        stream = container.add_stream(made.codec, rate=PER_SECOND)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if made.codec == "mjpeg" else "yuv420p"
        for number in range(round(seconds * PER_SECOND)):
            squares = Image.frombytes("RGBA", (8, 8), chance.randbytes(256)).resize((WIDTH, HEIGHT))
            frame = av.VideoFrame.from_bytes(squares.tobytes(), WIDTH, HEIGHT)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return held.getvalue()


def sound(suffix: str, seed: object = "", seconds: float = SECONDS, **tags: str) -> bytes:
    """A tone, in stereo."""
    made = SOUNDS[suffix]
    pitch = random.Random(str(seed)).uniform(200, 2000)
    held = io.BytesIO()
    with av.open(held, "w", format=made.container) as container:
        container.metadata.update(tags)
        stream = container.add_stream(made.codec, rate=made.rate, options={"strict": "experimental"})  # for vorbis
        assert isinstance(stream, av.AudioStream)
        stream.layout, stream.bit_rate = "stereo", 128_000
        resampler = av.AudioResampler(stream.format, "stereo", made.rate, stream.codec_context.frame_size or 1024)
        for frame in (*_frames(pitch, seconds, made.rate), None):
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return held.getvalue()


def _frames(pitch: float, seconds: float, rate: int) -> Iterator[av.AudioFrame]:
    """The same few pieces over and over: computing each sample of a long one would take longer than encoding it."""
    pieces = []
    for start in range(0, _PIECES * 1024, 1024):
        wave = (round(8000 * math.sin(math.tau * pitch * at / rate)) for at in range(start, start + 1024))
        pieces.append(array.array("h", (value for value in wave for _ in ("left", "right"))).tobytes())
    for number in range(math.ceil(seconds * rate / 1024)):
        frame = av.AudioFrame("s16", "stereo", 1024)
        frame.sample_rate, frame.pts = rate, number * 1024
        frame.planes[0].update(pieces[number % _PIECES])
        yield frame


def tagged(content: bytes, container: str, **tags: str) -> bytes:
    """The same streams with other tags, which costs a thousandth of encoding them anew."""
    held = io.BytesIO()
    with av.open(io.BytesIO(content), "r") as source, av.open(held, "w", format=container) as target:
        target.metadata.update(tags)
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:  # the end of a stream has none
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return held.getvalue()


def picture(suffix: str, seed: object = "", width: int = 64, height: int = 48) -> bytes:
    """Coloured squares."""
    held = io.BytesIO()
    squares = Image.frombytes("RGB", (8, 8), random.Random(str(seed)).randbytes(192))
    squares.resize((width, height)).save(held, PICTURES[suffix])
    return held.getvalue()
