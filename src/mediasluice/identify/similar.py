"""Tell pictures, films and sounds that look or sound alike: after another encoding, a new size, a brighter exposure.

Takes an open file. Gives a hash of 64 bits for a picture and for key frames of a film, and a fingerprint for sound.
Alike is a guess that a person confirms; it never moves or deletes anything. Asked for by a setting, because it
decodes. What is of one colour, or so smooth that noise would decide, has no hash: it would be like too much else.

The hash of a picture: its brightness at 32 x 32 pixels, of which the cosine transform keeps the 8 x 8 lowest
frequencies; each bit says whether one of them is above their median. Measured on 306 real pictures, of which 252 have
a hash: after JPEG of quality 40, halving, quartering, blurring, darkening by 20 %: 0 to 8 bits differ, once 10; after
brightening until it clips: 98 % within 8; after cutting off 2 %: 93 % within 8, 96 % within 10; mirrored: 30 and more.
Of 31,000 pairs of different pictures: none within 12 bits but icons and diagrams that differ in a detail.

Fails with: :class:`Refused`, with the reason, for a file that cannot be decoded. Runs in isolated processes only.
Source: C. Zauner, Implementation and benchmarking of perceptual image hash functions, 2010, 3.2.1 (the transform);
M. Norouzi et al., Fast search in Hamming space with multi-index hashing, 2012 (groups); Chromaprint's own program.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import wave
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import mul
from typing import NamedTuple

import av
import av.error
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from PIL import Image

from mediasluice.identify import stills
from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import formats
from mediasluice.identify.reading import read
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, from_json

SAME = 8  # bits by which hashes of one picture differ at most, measured: see above
MAYBE = 10  # bits up to which a person may want to look, measured: a little cut off at the sides
SAME_SOUND = (
    0.10  # share of bits, measured: encodings of one sound 0.00 to 0.06; other music 0.32 and more, other noise
)
# 0.12 and more
MAYBE_SOUND = 0.15  # measured: recordings of rain would be alike, music would not
FRAMES = 32  # of a film that are hashed, chosen: a scene of two hours lasts some minutes
SIDE_MIN = 32  # pixels, chosen: the transform looks at as many
TEXTURE_MIN = 16.0  # measured: of pictures below it one in six keeps its hash when it is compressed, above it all do

_GRID = 32  # pixels of a side of what is transformed
_KEPT = 8  # frequencies of each direction
_SIDE = 128  # pixels of the longer side to which a picture is decoded, chosen: any more does not change the hash
_LISTENED = 120  # seconds of a sound, as everybody does who uses Chromaprint
_RATE = 11_025  # Hz, at which Chromaprint listens
_RATES = (1_000, 1_000_000)  # Hz that are believed, chosen: telephones have 8,000, studios 384,000
_VARIETY = 16  # chosen: silence and single tones repeat one number; of music half of them differ
_DEADLINE = 20.0  # seconds for its program, chosen: it takes 0.1
_SHIFTS = 80  # items, of 0.124 s each, by which one sound may begin later than the other; chosen: ten seconds
_OVERLAP_MIN = (
    24  # items that two sounds must share to be compared, measured: foreign ones of three seconds differ by 0.32
)
_PACKETS_MAX = 2000  # of a film without an index that are read for key frames, chosen: some minutes
_BITS = 64  # of a hash
_PIXELS_MAX = 36_000_000  # of a frame, chosen: 8K has 33 million


def of_file(file: Opened, extra: object = None) -> tuple[bytes | None, bytes | None, float | None]:
    """What a file looks and sounds like, for the other side of a pipe: hashes, fingerprint, duration in seconds.

    ``extra``: the reading as JSON; without it the file is read here. A hash has eight bytes, the highest first.
    """
    media = _media_of(file, extra)
    if file.kind is Kind.IMAGE:
        value = of_image(file, media)
        return None if value is None else packed((value,)), None, None
    if file.kind is Kind.VIDEO:
        return packed(of_video(file)) or None, None, media.duration
    if file.kind is Kind.AUDIO:
        return None, of_audio(file), media.duration
    raise Refused(f"{file.kind} files look and sound like nothing")


def packed(hashes: Iterable[int]) -> bytes:
    """Hashes of pictures one behind the other."""
    return b"".join(value.to_bytes(_BITS // 8, "big") for value in hashes)


def unpacked(pictures: bytes) -> tuple[int, ...]:
    """What :func:`packed` has put together."""
    size = _BITS // 8
    return tuple(int.from_bytes(pictures[start : start + size], "big") for start in range(0, len(pictures), size))


def _media_of(file: Opened, extra: object) -> Media:
    return (from_json(extra) if isinstance(extra, str) else read(file)).media


# --- pictures


def phash(picture: Image.Image) -> int | None:
    """Hash a picture that stands upright, of 8 bits a value; ``None`` for one that is tiny, of one colour or smooth."""
    if min(picture.size) < SIDE_MIN:
        return None
    grey = _on_white(picture).convert("L").resize((_GRID, _GRID), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[start : start + _GRID] for start in range(0, _GRID * _GRID, _GRID)]
    across = [[sum(map(mul, row, wave)) for row in rows] for wave in _WAVES]
    both = [[sum(map(mul, column, wave)) for column in across] for wave in _WAVES]
    numbers = list(itertools.chain.from_iterable(both))
    median = statistics.median(numbers[1:])  # without the mean of all, which tells nothing but the exposure
    if statistics.median(abs(number - median) for number in numbers[1:]) < TEXTURE_MIN:
        return None
    return sum(1 << bit for bit, place in enumerate(_ORDER) if numbers[place] > median)


_WAVES = tuple(
    tuple(math.cos(math.pi * (2 * pixel + 1) * frequency / (2 * _GRID)) for pixel in range(_GRID))
    for frequency in range(_KEPT)
)
# The bits are dealt out, the lowest frequencies first, so that each quarter of the hash has some of all: a quarter of
# the low ones alone would be equal in many pictures. Measured: candidates of a look-up by quarters fall by 30 %.
_DIAGONAL = sorted(range(_KEPT * _KEPT), key=lambda place: (place // _KEPT + place % _KEPT, place))
_ORDER = tuple(place for first in range(4) for place in _DIAGONAL[first::4])


def _on_white(picture: Image.Image) -> Image.Image:
    """What can be seen through is white, as where it was made into a JPEG."""
    if picture.mode not in {"RGBA", "LA", "PA", "RGBa", "La"} and "transparency" not in picture.info:
        return picture
    clear = picture.convert("RGBA")
    ground = Image.new("RGBA", clear.size, "white")
    ground.alpha_composite(clear)
    return ground


def of_image(file: Opened, media: Media | None = None) -> int | None:
    """Hash a picture file. ``media`` is what its reading says of its rotation; without it its own Exif is asked."""
    still = stills.decode(file, media, _SIDE)
    if still.note:
        raise Refused(still.note)  # damaged pictures are like each other in what is missing
    return phash(still.picture)


def bands(value: int) -> tuple[int, int, int, int]:
    """The four quarters of a hash. Hashes that differ by at most three bits share one of them at its place."""
    return value & 0xFFFF, value >> 16 & 0xFFFF, value >> 32 & 0xFFFF, value >> 48


def hamming(one: int, other: int) -> int:
    """Bits by which two hashes differ."""
    return (one ^ other).bit_count()


# --- films


def of_video(file: Opened, frames: int = FRAMES) -> tuple[int, ...]:
    """Hash key frames that are spread over a film, at most ``frames``; those that show nothing are left out."""
    for choose in (_spread, _first):  # an attempt to reach a place loses the beginning: the file is opened again
        with _opened(file) as container:
            hashes = [_hash_of_frame(frame) for frame in choose(container, _pictures(container), frames)]
        if hashes:
            return tuple(value for value in hashes if value is not None)
    raise Refused("none of its frames can be decoded")


def film_likeness(one: tuple[int, ...], other: tuple[int, ...], threshold: int = SAME) -> float:
    """Share of the hashes of the film that has fewer which are found in the other: 0 to 1."""
    fewer, more = sorted((one, other), key=len)
    return sum(any(hamming(a, b) <= threshold for b in more) for a in fewer) / len(fewer) if fewer else 0.0


@contextmanager
def _opened(file: Opened) -> Iterator[InputContainer]:
    try:
        with (
            file.stream() as stream,
            av.open(
                stream,
                "r",
                format=formats.demuxer(file),
                container_options={"format_whitelist": formats.DEMUXERS, "protocol_whitelist": "none"},
                metadata_errors="ignore",
            ) as container,
        ):
            yield container
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise Refused(f"FFmpeg: {getattr(error, 'strerror', None) or error}") from error


def _pictures(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic or not _is_decodable(stream):
            continue
        context = stream.codec_context
        if context.width * context.height > _PIXELS_MAX:
            raise Refused(f"its frames of {context.width} x {context.height} pixels are too large")
        context.options = {"max_pixels": str(_PIXELS_MAX)}  # a stream may change its mind behind the header
        context.skip_frame = "NONKEY"
        context.thread_count = 1  # threads would hold the frame back that is waited for
        return stream
    raise Refused("no pictures in it that can be decoded")


def _is_decodable(stream: VideoStream | AudioStream) -> bool:
    context: CodecContext | None = stream.codec_context  # none where FFmpeg does not know the codec
    return context is not None


def _spread(container: InputContainer, stream: VideoStream, count: int) -> Iterator[VideoFrame]:
    """Key frames at equal distances, each once; none where the duration is unknown."""
    duration, start = container.duration or 0, container.start_time or 0
    tried: set[int] = set()
    for number in range(count if duration > 0 else 0):
        with suppress(av.error.FFmpegError):  # damaged at this place, or no index: there are others
            container.seek(start + duration * (2 * number + 1) // (2 * count))
            yield from itertools.islice(_key_frames(container, stream, tried), 1)


def _first(container: InputContainer, stream: VideoStream, count: int) -> Iterator[VideoFrame]:
    """The first key frames."""
    with suppress(av.error.FFmpegError):
        yield from itertools.islice(_key_frames(container, stream, set()), count)


def _key_frames(container: InputContainer, stream: VideoStream, tried: set[int]) -> Iterator[VideoFrame]:
    """Decode the key frames from here on. A decoder that waits for later frames before it gives one is emptied."""
    context = stream.codec_context
    for packet in itertools.islice(container.demux(stream), _PACKETS_MAX):
        if not packet.size or not packet.is_keyframe:
            continue
        if packet.pts in tried:
            return
        if packet.pts is not None:
            tried.add(packet.pts)
        try:
            frames = context.decode(packet) or context.decode(None)
        except av.error.FFmpegError:
            frames = []
        context.flush_buffers()
        yield from frames[:1]


def _hash_of_frame(frame: VideoFrame) -> int | None:
    if min(frame.width, frame.height) < SIDE_MIN:
        return None
    side = 2 * _GRID
    grey = frame.reformat(side, side, format="gray", interpolation=Interpolation.AREA, threads=1)
    plane = grey.planes[0]
    picture = Image.frombytes("L", (side, side), bytes(plane), "raw", "L", plane.line_size)
    return phash(stills.turned(picture, stills.Turn(-frame.rotation % 360)))


# --- sound


def of_audio(file: Opened, program: str | None = None) -> bytes | None:
    """Fingerprint the first two minutes of the sound: numbers of four bytes, the lowest first, one for 0.124 s.

    ``program`` is Chromaprint's ``fpcalc``; ``None`` searches for it. Gives ``None`` where it is not installed, and
    for sounds that are silent or too short for it. It gets samples only: files are opened here and nowhere else.
    """
    program = program or shutil.which("fpcalc")
    if program is None:
        return None
    sound = _as_wav(_samples(file))
    command = [program, "-raw", "-length", str(_LISTENED), "-"]
    try:
        done = subprocess.run(command, input=sound, capture_output=True, timeout=_DEADLINE, check=False)  # noqa: S603 - no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{os.path.basename(program)}: {error}") from error
    found = re.search(rb"^FINGERPRINT=(\d+(?:,\d+)*)\s*$", done.stdout, re.MULTILINE)
    try:
        numbers = array("I", map(int, found[1].split(b",")) if found else ())
    except (ValueError, OverflowError) as error:
        raise Refused(f"{os.path.basename(program)}: {error}") from error
    if len(set(numbers)) * _VARIETY < len(numbers):
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes() or None


def audio_error(one: bytes, other: bytes) -> float:
    """Share of bits by which two fingerprints differ where they fit best: 0 for equal, about 0.5 for foreign ones.

    Either may begin up to ten seconds later. Sounds that share less than three seconds are foreign: 1.
    """
    best = 1.0
    for shift in range(-_SHIFTS, _SHIFTS + 1):
        a, b = (one[4 * shift :], other) if shift > 0 else (one, other[-4 * shift :])
        shared = min(len(a), len(b)) // 4
        if shared >= _OVERLAP_MIN:
            differing = int.from_bytes(a[: 4 * shared], "little") ^ int.from_bytes(b[: 4 * shared], "little")
            best = min(best, differing.bit_count() / (32 * shared))
    return best


def _samples(file: Opened) -> bytes:
    """The first two minutes as Chromaprint listens to them: one channel of 16 bits at 11,025 Hz."""
    wanted, samples = _LISTENED * _RATE * 2, bytearray()
    with _opened(file) as container:
        for frame in _sound_frames(container):
            samples += frame
            if len(samples) >= wanted:
                break
    return bytes(samples[:wanted])


def _sound_frames(container: InputContainer) -> Iterator[memoryview]:
    stream = next((stream for stream in container.streams.audio if _is_decodable(stream)), None)
    if stream is None:
        raise Refused("no sound in it that can be decoded")
    resampler, shape = None, None
    for packet in container.demux(stream):
        with suppress(av.error.InvalidDataError):  # a damaged packet is a gap
            for frame in packet.decode():
                if not _RATES[0] <= frame.sample_rate <= _RATES[1]:
                    raise Refused(f"{frame.sample_rate} samples a second are no sound")
                if shape != (frame.format.name, frame.layout.name, frame.sample_rate):
                    shape = (frame.format.name, frame.layout.name, frame.sample_rate)
                    resampler = AudioResampler(format="s16", layout="mono", rate=_RATE)
                assert resampler is not None
                for part in resampler.resample(frame):
                    yield memoryview(part.planes[0])[: part.samples * 2]


def _as_wav(samples: bytes) -> bytes:
    with io.BytesIO() as target:
        with wave.open(target, "wb") as file:
            file.setparams((1, 2, _RATE, 0, "NONE", ""))
            file.writeframes(samples)
        return target.getvalue()


# --- groups


def groups(hashes: Iterable[tuple[int, int]], threshold: int = SAME) -> Iterator[list[int]]:
    """Put together ids whose hashes differ by at most ``threshold`` bits from that of another one of their group.

    Takes pairs (id, hash) in any order; gives lists of two and more ids, sorted, by their first ids. Exact for every
    threshold: of hashes so near each other one piece differs by very few bits, and such pieces are looked up. Members
    of a group are linked, but its first and last may be far apart. Measured at threshold 8: 100,000 hashes take 2.4 s
    and 25 MB, 300,000 take 13 s; where thousands lie near each other the time grows with the square of their number.
    """
    ids: dict[int, list[int]] = {}
    for id_, value in hashes:
        ids.setdefault(value, []).append(id_)
    leader = _leaders(list(ids), threshold)
    members: dict[int, list[int]] = {}
    for value, same in ids.items():
        if value in leader or len(same) > 1:
            members.setdefault(_lead(leader, value), []).extend(same)
    yield from sorted(sorted(group) for group in members.values())


class _Part(NamedTuple):
    """A piece of a hash, and by how many bits it may differ between hashes that are near each other."""

    shift: int
    width: int
    radius: int


def _parts(count: int, threshold: int) -> list[_Part]:
    """Cut hashes into the number of pieces that costs the least for so many of them."""
    return min((_cut(number, threshold) for number in range(3, 17)), key=lambda parts: _cost(parts, count))


def _cut(number: int, threshold: int) -> list[_Part]:
    """Pieces of which, of two hashes that differ by no more than the threshold, one differs by its radius at most.

    Were each of the first ones beyond its radius, and each of the others, the hashes would differ by more.
    """
    radius, first = divmod(threshold, number)
    ends = [_BITS * piece // number for piece in range(number + 1)]
    radii = [radius if piece <= first else radius - 1 for piece in range(number)]
    return [
        _Part(start, end - start, most)
        for start, end, most in zip(ends[:-1], ends[1:], radii, strict=True)
        if most >= 0
    ]


def _cost(parts: list[_Part], count: int) -> float:
    """Pieces that are looked up and hashes that are compared, of which one takes as long as the other: 0.07 us."""
    cost = 0.0
    for part in parts:
        near = sum(math.comb(part.width, bits) for bits in range(part.radius + 1))
        cost += (1 << part.width) / 8 + near * (count + count * count / (2 << part.width))
    return cost


def _leaders(values: list[int], threshold: int) -> dict[int, int]:
    """Join hashes that are near each other: each that has a neighbour leads to another of its group, or to itself."""
    leader: dict[int, int] = {}
    for part in _parts(len(values), threshold):
        mask = (1 << part.width) - 1
        masks = [
            sum(1 << bit for bit in bits)
            for count in range(part.radius + 1)
            for bits in itertools.combinations(range(part.width), count)
        ]
        table: list[Sequence[int]] = [()] * (1 << part.width)  # by piece: the hashes that were here before
        values.sort(key=lambda value: value >> part.shift & mask)  # neighbours in memory as well: twice as fast
        for value in values:
            piece = value >> part.shift & mask
            for other in [b for near in masks for b in table[piece ^ near] if (value ^ b).bit_count() <= threshold]:
                _join(leader, value, other)
            table[piece] = (*table[piece], value)
    return leader


def _join(leader: dict[int, int], one: int, other: int) -> None:
    first, second = _lead(leader, one), _lead(leader, other)
    leader.setdefault(first, first)
    leader[second] = first


def _lead(leader: dict[int, int], value: int) -> int:
    """The one that stands for the group of a hash; the way to it is made shorter."""
    above = leader.get(value, value)
    while above != value:
        leader[value] = leader.get(above, above)
        value = leader[value]
        above = leader.get(value, value)
    return value
