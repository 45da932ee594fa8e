"""Take from a film the one frame that shows what it is about: not black, not a page of one colour, upright.

Takes an open file. Gives a Pillow picture of mode RGB in sRGB, of at most ``side`` pixels on its longer side, in the
shape in which players show it. Looks at a tenth of the duration, then further on; of frames that show nothing the one
that shows most. Pictures without depth of light are what the decoder gives; those of a high dynamic range are mapped.
Fails with: :class:`Refused`, with the reason for people. Runs in isolated processes only.
Source: ITU-T H.273 (numbers of colours and curves).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation
from av.video.stream import VideoStream
from PIL import Image

from mediasluice.identify import colours, stills
from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers.pyav import opened
from mediasluice.model.media import Media

SHARES = (0.1, 0.25, 0.5, 0.75)  # of the duration, in the order in which they are tried
PIXELS_MAX = 36_000_000  # of a frame, chosen: 8K has 33 million
PACKETS_MAX = 64  # that a decoder gets before it has to answer, chosen: four times what it may hold back
SEEN_MAX = 240  # frames from the beginning, chosen: eight seconds, where no other place can be reached
SEEN_STEP = 12  # frames between two that are looked at
WORK_MAX = 1_000_000_000  # pixels decoded on that way, measured: four seconds on one core
THREADS = 2  # of a decoder, chosen: each takes address space, and as many files are read at once as there are cores
ASPECT_MAX = 4  # times that a pixel may be wider than high, or higher than wide; chosen: real ones are below 3
READ_MAX = (
    256 << 20
)  # bytes of a file, chosen: three seconds of a disk; where there is no index, a jump reads all before
_LOOK = (64, 36)  # pixels, of the stamp

_CODECS = frozenset(
    b"h264 hevc vvc av1 vp8 vp9 mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 wmv1 wmv2 wmv3 vc1 theora "
    b"h261 h263 h263i h263p flv1 vp3 vp6 vp6a vp6f rv10 rv20 rv30 rv40 mjpeg mjpegb dvvideo prores dnxhd "
    b"cfhd svq1 svq3 cinepak indeo3 indeo4 indeo5 msvideo1 rawvideo v210 ffv1 huffyuv ffvhuff utvideo qtrle rpza smc "
    b"png jpeg2000".decode().split()
)
"""What cameras, phones, discs and programs of this century wrote. Decoders of games and the like stay closed."""

_UNSPECIFIED, _RGB = 2, 0  # of matrices
_BT2020 = frozenset({_UNSPECIFIED, 9})  # of primaries
_PQ, _HLG = 16, 18  # of curves


@dataclass(frozen=True)
class _Spared(Opened):
    """A file that seems to end when enough of it was read, wherever that was."""

    spent: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, file: Opened) -> _Spared:
        return cls(file.fd, file.size, file.path, file.kind)

    def pread(self, count: int, offset: int) -> bytes:
        if sum(self.spent) > READ_MAX:
            return b""
        found = super().pread(count, offset)
        self.spent[:] = [sum(self.spent) + len(found)]
        return found


class _Seen(NamedTuple):
    frame: VideoFrame
    deviation: float  # of its stamp


def decode(file: Opened, media: Media | None, side: int) -> Image.Image:
    """Decode one frame. ``media`` is what the reading of the file says; without it the frame's own words hold."""
    try:
        with opened(_Spared.of(file)) as container:
            stream = _stream(container)
            best = _best(_frames(container, stream, _duration(container, media)))
            if best is not None:
                return _picture(best.frame, stream.sample_aspect_ratio, media, side)
        with opened(_Spared.of(file)) as container:  # its index may lead nowhere: read it as it comes
            stream = _stream(container)
            best = _best(_some(_decoded(container, stream, SEEN_MAX * 4)))
            if best is not None:
                return _picture(best.frame, stream.sample_aspect_ratio, media, side)
            raise Refused("none of its frames can be decoded")
    except MemoryError:
        raise Refused("its frames need more memory than a preview may take") from None
    except (av.error.FFmpegError, ValueError) as error:
        raise Refused(f"FFmpeg: {getattr(error, 'strerror', None) or error}") from None


def _stream(container: InputContainer) -> VideoStream:
    """The first stream of pictures that is no cover, made ready."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        coding: Any = stream.codec_context  # its type does not say that there is none for what FFmpeg cannot decode
        if coding is None or coding.codec.canonical_name not in _CODECS:
            continue
        if coding.width * coding.height > PIXELS_MAX:
            raise Refused(
                f"its frames of {coding.width} x {coding.height} pixels are larger than those that are decoded"
            )
        coding.options = {"max_pixels": str(PIXELS_MAX)}  # a stream may change its mind behind the header
        coding.thread_count = THREADS
        return stream
    raise Refused("it has no pictures that can be decoded")


def _duration(container: InputContainer, media: Media | None) -> float | None:
    if container.duration and container.duration > 0:
        return container.duration / av.time_base
    return media.duration if media is not None else None


def _best(frames: Iterator[VideoFrame]) -> _Seen | None:
    """The first that shows something, or else the one that shows most."""
    best: _Seen | None = None
    for frame in frames:
        seen = _Seen(frame, _deviation(frame))
        if best is None or seen.deviation > best.deviation:
            best = seen
        if best.deviation >= stills.BLANK_DEVIATION:
            break
    return best


def _deviation(frame: VideoFrame) -> float:
    stamp = frame.reformat(*_LOOK, format="rgb24", interpolation=Interpolation.AREA, threads=1)
    return stills.deviation(_image(stamp))


def _image(frame: VideoFrame) -> Image.Image:
    """The pixels of a frame in RGB."""
    image = frame.to_image()  # type: ignore[no-untyped-call]
    assert isinstance(image, Image.Image)
    return image


# --- frames in the order in which they are looked at


def _frames(container: InputContainer, stream: VideoStream, duration: float | None) -> Iterator[VideoFrame]:
    """Key frames at the shares of the duration, each once; then whatever follows the beginning."""
    seen = set[int | None]()
    for share in SHARES if duration else ():
        assert duration is not None
        frame = _at(container, stream, share * duration)
        if frame is not None and frame.pts not in seen:
            seen.add(frame.pts)
            yield frame
    yield from _following(container, stream)


def _at(container: InputContainer, stream: VideoStream, seconds: float) -> VideoFrame | None:
    """The key frame at a place or before it."""
    start = container.start_time or 0
    try:
        container.seek(start + int(seconds * av.time_base), backward=True)
        return next(_decoded(container, stream, PACKETS_MAX), None)
    except (av.error.FFmpegError, ValueError):  # no index, or damage at this place: there are others
        return None


def _following(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Some of the frames from the beginning."""
    try:
        container.seek(container.start_time or 0, backward=True)
    except (av.error.FFmpegError, ValueError):
        return
    yield from _some(_decoded(container, stream, SEEN_MAX * 4))


def _some(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """One frame of SEEN_STEP, as long as it is worth the work."""
    most = SEEN_MAX
    for number, frame in enumerate(frames):
        if number == 0:
            most = min(SEEN_MAX, WORK_MAX // max(1, frame.width * frame.height))
        if number >= most:
            return
        if number % SEEN_STEP == 0:
            yield frame


def _decoded(container: InputContainer, stream: VideoStream, packets: int) -> Iterator[VideoFrame]:
    """Decode from where the file stands. A decoder that holds its frames back is asked for them at the end."""
    for number, packet in enumerate(container.demux(stream)):
        is_last = number >= packets
        try:
            frames = stream.codec_context.decode(None if is_last else packet)
        except (av.error.InvalidDataError, av.error.EOFError):
            frames = []
        yield from (frame for frame in frames if not frame.is_corrupt)
        if is_last:
            return


# --- from a frame to a picture


def _picture(frame: VideoFrame, aspect: Fraction | None, media: Media | None, side: int) -> Image.Image:
    """Bring a frame into its shape, its colours and upright."""
    width, height = _shape(frame, aspect, side)
    is_yuv = not frame.format.is_rgb
    is_untold = is_yuv and frame.colorspace in (_UNSPECIFIED, _RGB)
    matrix = Colorspace.ITU709 if is_untold and (frame.width >= 1280 or frame.height >= 720) else None
    rows = frame.height if frame.interlaced_frame else height
    picture = _image(
        frame.reformat(
            width, rows, format="rgb24", src_colorspace=matrix, interpolation=Interpolation.BICUBIC, threads=1
        )
    )
    if frame.interlaced_frame:  # two moments in one frame: take the lines of one of them
        picture = picture.resize((width, max(1, rows // 2)), Image.Resampling.NEAREST)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    picture = _lit(picture, frame)
    turn = stills.turn_of(media) or stills.Turn(-frame.rotation % 360)
    return stills.turned(picture, turn)


def _shape(frame: VideoFrame, aspect: Fraction | None, side: int) -> tuple[int, int]:
    """Width and height at which it is shown, made small."""
    wide = float(aspect) if aspect and 1 / ASPECT_MAX <= aspect <= ASPECT_MAX else 1.0
    return stills.fitting(max(1, round(frame.width * wide)), frame.height, side)


def _lit(picture: Image.Image, frame: VideoFrame) -> Image.Image:
    """Bring the light of a high dynamic range into that of a screen."""
    if frame.color_primaries not in _BT2020:
        return picture
    if frame.color_trc == _PQ:
        return colours.from_perceptual_quantizer(picture)
    return colours.from_hybrid_log_gamma(picture) if frame.color_trc == _HLG else picture
