"""What the streams of a file are, whatever container they lie in and however they are tagged.

Takes an open file. Gives an :class:`Essence`: for every audio and video stream the digest of its coded payload,
taken from the packets as the demuxer gives them, without decoding; a file of any length costs the memory of its
largest packet. Two files of the same essence play the same pictures and sounds. That is a reason to show them to a
person side by side, never a proof for deleting one: headers, subtitles and tags are outside of it.

What is taken away, so that the same stream gives the same digest in another container:

- H.264 and H.265: cut into NAL units, behind lengths and behind start codes alike; only those that hold pictures
  count, without the zeros behind them. AV1: only the units (OBU) that hold frames and tiles.
- AAC: the ADTS header. MPEG audio: frames that hold a table of the file instead of sound (Xing, Info, VBRI), and
  what is no frame at all.
- PCM: a stream of bytes, wherever packets end; samples of several bytes in little-endian order, samples of 8 bits
  signed, so that WAV, AIFF, AU, CAF, MOV and Matroska agree. Rate and channels, which the payload of PCM does not
  tell, go into the digest; so do size and pixel format of uncompressed video.
- Tags behind the sound (ID3v1, ID3v2 with a footer, APE, Lyrics3) are hidden from the demuxer, which takes them for
  sound now and then. Attached pictures, subtitles and data streams do not count.

Fails with: :class:`Refused`, where the demuxer did not reach the end without an error, so that a damaged file has no
essence rather than a wrong one. Watches the log of FFmpeg meanwhile: not for two threads at once.
Source: ISO 14496-10, 7.4.1; ISO 23008-2, 7.4.2.2; AV1 specification, 5.3; ISO 13818-7, 6.2; ISO 11172-3, 2.4.1.3;
RFC 9639, 8.2; WavPack 4 and 5 file format; the formats of the tags as their makers published them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.stream import Stream as AnyStream
from av.video.stream import VideoStream
from xxhash import xxh3_128

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import formats, mpegaudio
from mediasluice.model.files import Kind

SAMPLES = "samples"  # the type of what is known of decoded samples, beside audio and video
SECONDS = 1.0  # by which durations of equal streams differ less; chosen: priming and padding are shorter, cuts longer
MISSING = 0.1  # seconds by which a stream may end before its header says, chosen: one packet of FLAC
UNITS_MAX = 20_000  # NAL units or OBUs of one packet, chosen: a picture of 8K in slices has some hundred
TAGS_MAX = 8  # behind the sound, chosen: four kinds are known, and programs write them twice
BUFFER = 128 << 10  # bytes read at once; measured: 15 % faster than 32 KiB, and tracks that lie apart do not suffer

_COUNTED = frozenset({"flac", "aiff", "au"})  # their headers count the samples; their demuxers miss none at the end
_LOSSLESS = re.compile(r"flac|alac|wavpack|ape|tta|pcm_[su]\d+(le|be)?")

_GEN_PTS = 1  # AVFMT_FLAG_GENPTS

_Feed = Callable[["Packet[Any]"], object]
_Update = Callable[[bytes | memoryview], object]


class Stream(NamedTuple):
    type: str  # audio, video
    codec: str  # as FFmpeg names it, without the decoder: h264, aac, mp3; PCM always as pcm_<kind>le or pcm_s8
    digest: bytes  # XXH3-128 of the payload that counts
    duration: float | None  # seconds of it that are played: what an edit list hides is not part of it


class Essence(NamedTuple):
    streams: tuple[Stream, ...]  # those that have packets, sorted by type, codec and digest
    pcm_md5: bytes | None = None  # of the decoded samples, as the header of FLAC claims; see pcm_md5_of()


def of(file: Opened) -> Essence:
    """Digest the streams of a file in one pass."""
    with _demuxer(file) as demuxer:
        chosen = _counting(demuxer.container)
        if not chosen:
            raise Refused("no audio or video in it")
        tallies = {stream.index: _tally(stream) for stream in chosen}
        errors = demuxer.errors
        for packet in demuxer.container.demux(chosen):
            if packet.size:
                tallies[packet.stream_index].add(packet)
            if errors:
                demuxer.refuse()
        streams = [tally.result() for tally in tallies.values() if tally.packets]
        if not streams:
            raise Refused("its streams are empty")
        _check_ends(file, demuxer.container, streams)
        return Essence(tuple(sorted(streams, key=_by_content)), _claimed_md5(chosen))


def of_file(file: Opened, extra: object = None) -> list[tuple[str, str, bytes, float | None]]:
    """The essence for the other side of a pipe: (type, codec, digest, duration) of each stream, and of its samples.

    The samples of a lossless recording are of the type ``samples``; rate and channels, which the MD5 leaves out, stand
    beside its name.
    """
    del extra
    found = of(file)
    streams: list[tuple[str, str, bytes, float | None]] = [(*stream,) for stream in found.streams]
    if len(streams) == 1 and streams[0][0] == "audio" and _LOSSLESS.fullmatch(streams[0][1]):
        samples = _samples_of(file)
        if samples is not None:
            shape, digest = samples
            streams.append((SAMPLES, shape, digest, streams[0][3]))
    return streams


def key(essence: Essence) -> bytes:
    """One digest of all streams, 16 bytes, whatever order they have in their file."""
    digest = xxh3_128()
    for stream in sorted(essence.streams, key=_by_content):
        digest.update(f"{stream.type} {stream.codec} ".encode() + stream.digest)
    return digest.digest()


def same(one: Essence, other: Essence) -> bool:
    """Whether two files play the same: equal streams, none longer by SECONDS. What is not known is not the same."""
    pairs = zip(sorted(one.streams, key=_by_content), sorted(other.streams, key=_by_content), strict=False)
    return key(one) == key(other) and all(
        a.duration is not None and b.duration is not None and abs(a.duration - b.duration) < SECONDS for a, b in pairs
    )


def pcm_md5_of(file: Opened) -> bytes | None:
    """MD5 of the samples of a lossless recording, decoded: the value that FLAC keeps of the same ones.

    ``None`` for anything but a single audio stream of a lossless codec with integer samples. What a FLAC file claims
    is still claimed when it is damaged: only values that were made here tell that two recordings are the same.
    """
    samples = _samples_of(file)
    return None if samples is None else samples[1]


def _samples_of(file: Opened) -> tuple[str, bytes] | None:
    """The shape of the samples, and their MD5."""
    with _demuxer(file) as demuxer:
        streams = _counting(demuxer.container)
        stream = streams[0] if len(streams) == 1 else None
        if not isinstance(stream, AudioStream) or not _LOSSLESS.fullmatch(_codec(stream)):
            return None
        digest = _decoded_md5(demuxer, stream)
        context = stream.codec_context
        return None if digest is None else (f"md5 {context.sample_rate} {context.channels}", digest)


def _by_content(stream: Stream) -> tuple[str, str, bytes, float]:
    return stream.type, stream.codec, stream.digest, stream.duration or 0.0


# --- opening


class _Source:
    """The file as the demuxer reads it: by its descriptor, and without the tags behind the sound."""

    def __init__(self, file: Opened) -> None:
        self.name = os.fsdecode(file.name)  # formats without a signature are told by their names
        self.errors: list[tuple[int, str, str]] = []  # in the form of FFmpeg's: level, who, what
        self._file, self._position = file, 0
        try:
            self._end = _end_of_sound(file)
        except OSError as error:
            raise _unreadable(error) from error

    def read(self, count: int) -> bytes:
        wanted = min(count, self._end - self._position)
        if wanted <= 0:
            return b""
        data = b""
        try:
            data = self._file.pread(wanted, self._position)
        except OSError as error:  # the demuxer would take it for the end of the file
            self._complain(str(_unreadable(error)))
        else:
            if not data:
                self._complain("became shorter while it was read")
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_CUR: self._position, os.SEEK_END: self._end}.get(whence, 0)
        if start + offset < 0:
            return -errno.EINVAL
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def _complain(self, what: str) -> None:
        self.errors.append((av.logging.PANIC, "", what))


def _unreadable(error: OSError) -> Refused:
    return Refused(f"cannot be read: {error.strerror or 'input/output error'}")


class _Demuxer(NamedTuple):
    container: InputContainer
    errors: list[tuple[int, str, str]]  # since the file was opened, of reading it and of FFmpeg: level, who, what

    def refuse(self) -> NoReturn:
        level, _, what = self.errors[0]
        raise Refused(what if level == av.logging.PANIC else f"damaged: {what.strip()}")


@contextmanager
def _demuxer(file: Opened) -> Iterator[_Demuxer]:
    """Open a file for the demuxer; whatever fails inside of the block is a reason to refuse it."""
    source = _Source(file)
    level, skips_repeated = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # what the file before was blamed for is no less true of this one
    try:
        with av.logging.Capture():  # at the beginning of a stream decoders complain of what they have not seen yet
            container = av.open(
                source,
                "r",
                format=formats.demuxer(file),
                container_options={"format_whitelist": formats.DEMUXERS, "protocol_whitelist": "none"},
                metadata_errors="ignore",
                buffer_size=BUFFER,
            )
        # Without timestamps of its own a file would be held in memory until they could be guessed.
        container.flags &= ~_GEN_PTS
        with av.logging.Capture() as errors, container:
            errors.extend(source.errors)
            source.errors = errors
            yield _Demuxer(container, errors)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = source.errors[0][2] if source.errors else getattr(error, "strerror", None) or str(error)
        raise Refused(reason.strip()) from error
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips_repeated)


def _counting(container: InputContainer) -> list[AudioStream | VideoStream]:
    """The streams that are part of the essence; the others are not even read."""
    chosen: list[AudioStream | VideoStream] = []
    for stream in container.streams:
        if isinstance(stream, (AudioStream, VideoStream)) and not stream.disposition & Disposition.attached_pic:
            chosen.append(stream)
        else:
            stream.discard = Discard.all
    return chosen


def _codec(stream: AnyStream) -> str:
    """Name of the codec; empty for one that no decoder knows."""
    context: CodecContext | None = stream.codec_context
    return "" if context is None else context.codec.canonical_name


def _end_of_sound(file: Opened) -> int:
    """Offset at which tags begin that stand behind everything else; the file's size where there are none."""
    end = file.size
    if file.kind is Kind.AUDIO and file.head[4:8] != b"ftyp":
        for _ in range(TAGS_MAX):
            length = _tag_before(file, end)
            if not 0 < length < end:
                break
            end -= length
    return end


def _tag_before(file: Opened, end: int) -> int:
    """Bytes of the tag that ends here; 0 where none does."""
    tail = file.pread(128, end - 128)
    if tail[:3] == b"TAG":
        return 128 + 227 * (file.pread(4, end - 128 - 227) == b"TAG+")
    if tail[96:104] == b"APETAGEX":
        return int.from_bytes(tail[108:112], "little") + 32 * (tail[119] >> 7)  # bit 31: it has a header, too
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return int(tail[-15:-9]) + 15
    if tail[-9:] == b"LYRICSEND":
        block = file.pread(5120, max(0, end - 5120))  # by its definition it is no longer
        return len(block) - block.rfind(b"LYRICSBEGIN") if b"LYRICSBEGIN" in block else 0
    if tail[-10:-7] == b"3DI":
        return 20 + sum((byte & 127) << shift for byte, shift in zip(tail[-4:], (21, 14, 7, 0), strict=True))
    return 0


# --- one stream


@dataclass(slots=True)
class _Tally:
    """What has been seen of a stream. Times in ticks of its clock."""

    stream: AudioStream | VideoStream
    codec: str
    digest: xxh3_128
    feed: _Feed
    nothing: bytes  # the digest before any payload
    packets: int = 0
    first: int | None = None
    last: int = 0
    untimed: int = 0

    def add(self, packet: Packet[Any]) -> None:
        if packet.is_corrupt:
            raise Refused(f"damaged: a packet of its {self.stream.type} is not whole")
        self.feed(packet)
        self.packets += 1
        if packet.is_discard:
            return  # an edit list hides it
        start, ticks = packet.pts, packet.duration or 0
        if start is None and (start := packet.dts) is None:
            self.untimed += ticks
        else:
            if self.first is None or start < self.first:
                self.first = start
            if start + ticks > self.last:  # noqa: PLR1730 - a call costs as much as the digest of a packet of MP3
                self.last = start + ticks

    def result(self) -> Stream:
        digest = self.digest.digest()
        if digest == self.nothing:
            raise Refused(f"damaged: its {self.stream.type} holds nothing that could be played")
        if self.codec and not _is_understood(self.stream):
            raise Refused(f"its {self.stream.type} is damaged or encrypted")
        base = self.stream.time_base
        # What lies before zero is decoded, but not played.
        ticks = self.untimed if self.first is None else self.last - max(0, self.first)
        return Stream(self.stream.type, self.codec, digest, float(ticks * base) if base and ticks > 0 else None)


def _is_understood(stream: AudioStream | VideoStream) -> bool:
    """Whether the demuxer found out how the payload is coded, which the payload alone may not tell."""
    if isinstance(stream, VideoStream):
        return stream.codec_context.pix_fmt is not None
    return stream.codec_context.sample_rate > 0


def _tally(stream: AudioStream | VideoStream) -> _Tally:
    codec = _codec(stream)
    digest = xxh3_128()
    if isinstance(stream, VideoStream):
        if codec == "rawvideo":
            context = stream.codec_context
            digest.update(f"{context.width} {context.height} {context.pix_fmt} ".encode())
    elif codec.startswith("pcm_"):
        digest.update(f"{stream.codec_context.sample_rate} {stream.codec_context.channels} ".encode())
    feed = _feeder(stream, codec, digest.update)
    return _Tally(stream, _NATIVE_PCM.get(codec, codec), digest, feed, digest.digest())


def _feeder(stream: AnyStream, codec: str, update: _Update) -> _Feed:
    """What puts the payload of a packet into the digest."""
    extradata = (codec and stream.codec_context.extradata) or b""
    if codec == "h264":
        is_sized = len(extradata) > 4 and extradata[0] == 1
        return _pictures(update, _H264_PICTURES, (extradata[4] & 3) + 1 if is_sized else 0)
    if codec == "hevc":
        is_sized = len(extradata) > 21 and bool(extradata[0] or extradata[1] or extradata[2] > 1)
        return _pictures(update, _HEVC_PICTURES, (extradata[21] & 3) + 1 if is_sized else 0)
    if codec == "av1":
        return _frames_and_tiles(update)
    if codec == "aac":
        return lambda packet: update(_without_adts(bytes(packet)))
    if codec in {"mp1", "mp2", "mp3"}:
        return _mpeg_audio(update)
    if codec in _SIGNED:
        return lambda packet: update(bytes(packet).translate(_FLIP_SIGN))
    if codec in _NATIVE_PCM:
        return _swapped(update, _sample_bytes(codec))
    return update  # type: ignore[return-value] # a packet is a buffer, which mypy cannot see before Python 3.12


def _check_ends(file: Opened, container: InputContainer, streams: list[Stream]) -> None:
    """Refuse a file whose header counts more samples than there are, where the demuxer does not tell."""
    declared = 0.0
    if container.format.name in _COUNTED:
        declared = (container.duration or 0) / av.time_base
    elif container.format.name == "mp3":
        declared = mpegaudio.indexed_duration(file) or 0.0
    found = max(stream.duration or 0.0 for stream in streams)
    if found < declared - MISSING:
        raise Refused(f"damaged: {declared:.1f} seconds are declared, {found:.1f} are there")


def _claimed_md5(streams: list[AudioStream | VideoStream]) -> bytes | None:
    """The MD5 in FLAC's STREAMINFO, where the one stream is FLAC and its encoder wrote one."""
    info = _stream_info(streams[0]) if len(streams) == 1 else b""
    return info[18:34] if any(info[18:34]) else None


def _stream_info(stream: AnyStream) -> bytes:
    """FLAC's STREAMINFO, 34 bytes; empty where there is none."""
    extradata = (stream.codec_context.extradata or b"") if _codec(stream) == "flac" else b""
    info = extradata[8:42] if extradata[:4] == b"fLaC" else extradata[:34]
    return info if len(info) == 34 else b""


# --- H.264, H.265, AV1

# Kinds of units by their first byte. H.264: slices, those of auxiliary pictures (19) and of further views (20, 21).
_H264_PICTURES = bytes(byte & 31 in {1, 2, 3, 4, 5, 19, 20, 21} for byte in range(256))
_HEVC_PICTURES = bytes(byte >> 1 & 63 < 32 for byte in range(256))
_AV1_FRAMES = frozenset({3, 4, 6, 7, 8})  # frame header, tile group, frame, redundant frame header, tile list
_START_CODE = re.compile(rb"\x00\x00\x01")


def _pictures(update: _Update, is_picture: bytes, length_size: int) -> _Feed:
    """Digest the NAL units that hold pictures. ``length_size``: bytes of the length before each, 0: start codes."""

    def feed(packet: Packet[Any]) -> None:
        data = memoryview(packet)
        for unit in _behind_lengths(data, length_size) if length_size else _behind_start_codes(data):
            if unit and is_picture[unit[0]]:
                update(unit if unit[-1] else bytes(unit).rstrip(b"\0"))

    return feed


def _behind_lengths(data: memoryview, length_size: int) -> Iterator[memoryview]:
    offset = 0
    for _ in range(UNITS_MAX):
        start = offset + length_size
        if start > len(data):
            return
        offset = start + int.from_bytes(data[offset:start], "big")
        yield data[start:offset]
    raise Refused(f"a picture of more than {UNITS_MAX} units")


def _behind_start_codes(data: memoryview) -> Iterator[memoryview]:
    start = 0
    for number, code in enumerate(_START_CODE.finditer(data)):
        if number >= UNITS_MAX:
            raise Refused(f"a picture of more than {UNITS_MAX} units")
        if start:
            yield data[start : code.start()]
        start = code.end()
    if start:
        yield data[start:]


def _frames_and_tiles(update: _Update) -> _Feed:
    """Digest the OBUs that hold pictures: containers leave out delimiters and repeat sequence headers as they like."""

    def feed(packet: Packet[Any]) -> None:
        data, offset = memoryview(packet), 0
        for _ in range(UNITS_MAX):
            if offset >= len(data):
                return
            header = data[offset]
            offset += 1 + (header >> 2 & 1)  # one more byte in streams of several layers
            length = len(data)
            if header & 2:
                length, offset = _leb128(data, offset)
            if header >> 3 & 15 in _AV1_FRAMES:
                update(data[offset : offset + length])
            offset += length
        raise Refused(f"a picture of more than {UNITS_MAX} units")

    return feed


def _leb128(data: memoryview, offset: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the offset behind it."""
    number = 0
    for place, byte in enumerate(data[offset : offset + 8]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, offset + place + 1
    return len(data), len(data)


# --- AAC, MPEG audio, PCM


def _without_adts(data: bytes) -> bytes:
    """The frame without the header that a transport stream needs; its length tells that it is one."""
    if len(data) > 9 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        if length == len(data):
            return data[7 if data[1] & 1 else 9 :]
    return data


# The first three bytes of a frame: sync word, a version and a layer that exist, a bit rate and a frequency that exist.
_MPEG_HEADERS = frozenset(
    bytes((0xFF, second, third))
    for second in range(0xE0, 0x100)
    for third in range(256)
    if second & 0x18 != 8 and second & 6 and third & 0xF0 != 0xF0 and third & 12 != 12
)
# Behind the header, its check sum and the side information, without which a frame has no room for sound.
_MPEG_TABLE = re.compile(rb"\xff[\xe0-\xff].{2}(?:.{2})?(?:(?:.{9}|.{17}|.{32})(?:Xing|Info)|.{32}VBRI)", re.DOTALL)


def _mpeg_audio(update: _Update) -> _Feed:
    """Digest the frames; whatever is none, a tag in the middle of the file for example, is passed over."""
    is_first = True

    def feed(packet: Packet[Any]) -> None:
        nonlocal is_first
        data = bytes(packet)  # of frames as short as these a copy is cheaper than a view
        if data[:3] not in _MPEG_HEADERS:
            return
        if is_first:
            is_first = False
            if _MPEG_TABLE.match(data):
                return
        update(data)

    return feed


_NATIVE_PCM = {
    "pcm_u8": "pcm_s8",
    **{f"pcm_{kind}be": f"pcm_{kind}le" for kind in ("s16", "s24", "s32", "s64", "f32", "f64")},
}
_SIGNED = frozenset({"pcm_u8"})
_FLIP_SIGN = bytes(byte ^ 0x80 for byte in range(256))
_ARRAY_TYPES = {2: "H", 4: "I", 8: "Q"}


def _sample_bytes(codec: str) -> int:
    return int(codec[5:7]) // 8


def _swapped(update: _Update, size: int) -> _Feed:
    """Digest samples of ``size`` bytes in the other byte order; one may begin in a packet and end in the next."""
    rest = b""

    def feed(packet: Packet[Any]) -> None:
        nonlocal rest
        data = rest + bytes(packet)
        whole = len(data) - len(data) % size
        rest = data[whole:]
        if size == 3:
            turned = bytearray(data[:whole])
            turned[0::3], turned[2::3] = turned[2::3], turned[0::3]
            update(memoryview(turned))
        else:
            samples = array(_ARRAY_TYPES[size], data[:whole])
            samples.byteswap()
            update(memoryview(samples).cast("B"))

    return feed


# --- decoded samples


def _decoded_md5(demuxer: _Demuxer, stream: AudioStream) -> bytes | None:
    """Digest the samples in the width that the file declares, as FLAC does.

    Of 32 bits the lower eight are mostly empty: such samples are those of a file of 24 bits.
    """
    digest, of_24_bits = _new_md5(), _new_md5()
    bits, is_wide = 0, False
    resampler: av.AudioResampler | None = None
    for packet in demuxer.container.demux(stream):
        if packet.is_corrupt:
            raise Refused("damaged: a packet is not whole")
        for frame in packet.decode():
            if resampler is None:
                bits = _declared_bits(stream, frame.format.name, packet)
                if not bits:
                    return None
                resampler = av.AudioResampler(format="s16" if bits <= 16 else "s32")
            for whole in resampler.resample(frame):
                data = _samples(whole, bits)
                digest.update(data)
                if bits == 32 and not is_wide:
                    is_wide = any(data[0::4])
                    of_24_bits.update(_upper_bytes(data))
        if demuxer.errors:
            demuxer.refuse()
    if resampler is None:
        raise Refused("no samples in it")
    return (of_24_bits if bits == 32 and not is_wide else digest).digest()


def _declared_bits(stream: AudioStream, sample_format: str, packet: Packet[Any]) -> int:
    """Bits of a sample as the file declares them; 0 where its samples are no integers."""
    decoded = {"u8": 8, "s16": 16, "s32": 32}.get(sample_format.removesuffix("p"), 0)
    codec, extradata = _codec(stream), stream.codec_context.extradata or b""
    if not decoded:
        return 0
    if codec.startswith("pcm_"):
        return int("".join(filter(str.isdigit, codec)))
    if codec == "flac" and (info := _stream_info(stream)):
        return ((info[12] & 1) << 4 | info[13] >> 4) + 1
    if codec == "alac" and len(extradata) > 17:
        return extradata[17]
    if codec == "wavpack" and packet.size > 24 and bytes(memoryview(packet)[:4]) == b"wvpk":
        return ((memoryview(packet)[24] & 3) + 1) * 8
    return min(decoded, 24)  # Monkey's Audio and TTA have no more


def _samples(frame: AudioFrame, bits: int) -> bytes:
    """The samples of a frame of s16 or s32 as FLAC digests them: little-endian, in as few bytes as they need."""
    size = 2 if bits <= 16 else 4
    data = bytes(memoryview(frame.planes[0])[: frame.samples * len(frame.layout.channels) * size])
    if bits == 8:
        return data[1::2]
    if bits == 24:
        return _upper_bytes(data)
    if bits == 8 * size:
        return data
    shift = 8 * size - bits  # decoders give such samples in the upper bits
    samples = memoryview(data).cast("h") if size == 2 else memoryview(data).cast("i")
    lowered = array(samples.format, [sample >> shift for sample in samples])
    return lowered.tobytes() if bits > 24 or size == 2 else _lower_bytes(lowered.tobytes())


def _upper_bytes(data: bytes) -> bytes:
    """Samples of four bytes without their lowest one."""
    packed = bytearray(len(data) // 4 * 3)
    packed[0::3], packed[1::3], packed[2::3] = data[1::4], data[2::4], data[3::4]
    return bytes(packed)


def _lower_bytes(data: bytes) -> bytes:
    """Samples of four bytes without their highest one."""
    packed = bytearray(len(data) // 4 * 3)
    packed[0::3], packed[1::3], packed[2::3] = data[0::4], data[1::4], data[2::4]
    return bytes(packed)


def _new_md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)
