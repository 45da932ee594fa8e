"""Make short films and sounds, and put the same streams into other containers.

Everything is encoded by PyAV, from pictures and samples that are computed: the same call gives the same streams.
"""

from __future__ import annotations

import math
import os
import random
from array import array
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from PIL import Image

from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.identify.opened import Opened

RATE = 44_100  # Hz, of every sound
PICTURE = (64, 48)  # pixels, of every film

_WIDTHS = {"u8": 1, "s16": 2, "s32": 4}


def opened(path: Path) -> Opened:
    """The file as readers get it. Its descriptor stays open until the process ends: tests have few."""
    fd = os.open(path, os.O_RDONLY)
    name = os.fsencode(path)
    return Opened(fd, os.fstat(fd).st_size, name, kind_of(os.pread(fd, HEAD, 0), os.fsencode(path.name)))


def noise(seconds: float = 1.0, *, bits: int = 16, channels: int = 2, seed: int = 7) -> bytes:
    """Samples as encoders take them: 8 bits unsigned, 16 signed, 24 and 32 in four bytes with the lowest ones empty."""
    width = {8: 1, 16: 2}.get(bits, 4)
    data = bytearray(random.Random(seed).randbytes(int(seconds * RATE) * channels * width))
    if bits == 24:
        data[0::4] = bytes(len(data) // 4)
    return bytes(data)


def chord(seconds: float = 1.0) -> bytes:
    """Stereo samples of 16 bits that an encoder can foretell, as it can those of music."""
    tones = ((220.0, 9000), (277.2, 6000), (329.6, 4000))
    left = [
        round(sum(loud * math.sin(2 * math.pi * hertz * at / RATE) for hertz, loud in tones))
        for at in range(int(seconds * RATE))
    ]
    return array("h", [sample for value in left for sample in (value, value // 2)]).tobytes()


def sound(
    path: Path,
    codec: str,
    samples: bytes | None = None,
    *,
    form: str = "s16",
    layout: str = "stereo",
    options: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
) -> Path:
    """Encode interleaved samples of a sample format; without samples a second of noise."""
    samples = noise() if samples is None else samples
    size = _WIDTHS[form] * (1 if layout == "mono" else 2)
    with av.open(os.fspath(path), "w", container_options=dict(container or {})) as output:
        output.metadata.update(tags or {})
        stream: Any = output.add_stream(codec, rate=RATE, layout=layout, options=dict(options or {}))
        accepted = [accepted.name for accepted in stream.codec_context.codec.audio_formats]
        stream.codec_context.format = (
            form if form in accepted else form + "p" if form + "p" in accepted else accepted[0]
        )
        for first in range(0, len(samples) // size, 4096):
            part = samples[first * size : (first + 4096) * size]
            frame = av.AudioFrame(format=form, layout=layout, samples=len(part) // size)
            frame.planes[0].update(part)
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def film(
    path: Path,
    codec: str = "libx264",
    *,
    seconds: int = 2,
    rate: int = 10,
    bit_rate: int = 200_000,
    audio: str | None = "aac",
    options: Mapping[str, str] | None = None,
    size: tuple[int, int] = PICTURE,
    seed: int | None = None,
) -> Path:
    """Encode pictures that move, and beside them noise. With a seed each second is a scene of its own."""
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    if codec == "libsvtav1":
        bit_rate = 0  # of pictures as small as these it cannot control the rate
    with av.open(os.fspath(path), "w") as output:
        video: Any = output.add_stream(codec, rate=rate, options={**quiet, **(options or {})})
        video.width, video.height = size
        video.pix_fmt, video.bit_rate, video.gop_size = "yuv420p", bit_rate, rate
        voice = None
        if audio:
            voice = output.add_stream(audio, rate=48_000 if audio == "libopus" else RATE, layout="stereo")
        for number in range(seconds * rate):
            output.mux(video.encode(picture(number) if seed is None else scene(number, rate, size, seed)))
        output.mux(video.encode(None))
        if voice is not None:
            _speak(output, voice, seconds)
    if hasattr(os, "sched_setscheduler"):  # SVT-AV1 makes the thread of a root a real-time one, and leaves it so
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def picture(number: int) -> av.VideoFrame:
    """A slanted gradient that moves by the number."""
    frame = av.VideoFrame(*PICTURE, "yuv420p")
    for plane, step in zip(frame.planes, (3, 1, 2), strict=True):
        rows = [
            bytes(step * (x + 2 * y + number) & 255 for x in range(plane.width)).ljust(plane.line_size, b"\0")
            for y in range(plane.height)
        ]
        plane.update(b"".join(rows))
    frame.pts, frame.time_base = number, Fraction(1, 10)
    return frame


def scene(number: int, rate: int, size: tuple[int, int], seed: int) -> av.VideoFrame:
    """One frame of a film that changes the scene every second: soft shapes, and grain that moves."""
    shapes = random.Random(seed * 1000 + number // rate)
    still = Image.frombytes("RGB", (12, 9), shapes.randbytes(12 * 9 * 3)).resize(size, Image.Resampling.BICUBIC)
    grain = Image.effect_noise(size, 20).convert("RGB")
    frame: av.VideoFrame = av.VideoFrame(*size, "rgb24")
    frame.planes[0].update(_padded(Image.blend(still, grain, 0.1), frame.planes[0].line_size))
    frame = frame.reformat(format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, 10)
    return frame


def _padded(image: Image.Image, line_size: int) -> bytes:
    """The pixels of a picture in lines of this many bytes."""
    data, width = image.tobytes(), image.width * 3
    return b"".join(data[start : start + width].ljust(line_size, b"\0") for start in range(0, len(data), width))


def _speak(output: OutputContainer, voice: Any, seconds: int) -> None:
    size = voice.codec_context.frame_size or 1024
    rate = voice.codec_context.sample_rate
    resampler = av.AudioResampler(format=voice.codec_context.format, layout="stereo", rate=rate, frame_size=size)
    samples = noise(seconds)
    frame = av.AudioFrame(format="s16", layout="stereo", samples=len(samples) // 4)
    frame.planes[0].update(samples)
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        output.mux(voice.encode(part))
    output.mux(voice.encode(None))


def copied(
    source: Path,
    target: Path,
    *types: str,
    tags: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
) -> Path:
    """Put the streams of these types, or all, into another container without touching what they hold."""
    with (
        av.open(os.fspath(source)) as given,
        av.open(os.fspath(target), "w", container_options=dict(container or {})) as output,
    ):
        output.metadata.update(tags or {})
        chosen = [stream for stream in given.streams if not types or stream.type in types]
        streams = {stream.index: output.add_stream_from_template(stream, opaque=True) for stream in chosen}
        for packet in given.demux(chosen):
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
    return target
