"""Read the headers of sound and film that FFmpeg refuses, for what can be told without decoding: length, rates, size.

Takes an open file; looks at its beginning, and at its end where that holds the length. Each format is a bounded walk:
counted chunks, no length that is believed beyond the file. Gives duration, sample rate, channels, codec, width,
height, frame rate, as far as the format says them.
Fails with: ``Refused``, when it is none of these formats or its header is gone.
Source: Microsoft RIFF and AVI, EBU Tech 3306 (RF64), Sony Wave64; Apple AIFF-C; RFC 9639 (FLAC), 3533 and 7845 (Ogg,
Opus), Vorbis I section 4.2, Theora 6.2; RFC 9559 (Matroska); ISO 13818-1 (transport stream); Microsoft ASF 3.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import formats, mpegaudio
from mediasluice.model.media import Media, Reading

_CHUNKS_MAX = 1000  # of one level, chosen: samplers write some hundred markers
_CHUNK_MAX = 4096  # bytes looked at in one chunk
_TAIL = 256 << 10  # bytes looked at at the end, chosen: a page of Ogg or a frame of FLAC has 64 KiB at most
_CLUSTER_TAIL = 8 << 20  # bytes in which the last cluster is looked for, chosen: writers end one after 5 MB
_BLOCKS_MAX = 10_000  # of one cluster, chosen: some seconds of film and sound
_RATES_MAX = 10_000_000  # Hz, chosen: DSD has 11 million, everything else that is read here far less

_FRAMED = frozenset({b"mp3", b"mp2", b"mp1", b"mpa", b"aac", b"adts"})  # whose frames may begin anywhere

_WAVE_CODECS: Mapping[int, str] = {
    0x02: "adpcm_ms",
    0x06: "pcm_alaw",
    0x07: "pcm_mulaw",
    0x11: "adpcm_ima_wav",
    0x31: "gsm_ms",
    0x50: "mp2",
    0x55: "mp3",
    0xFF: "aac",
    0x160: "wmav1",
    0x161: "wmav2",
    0x162: "wmapro",
    0x163: "wmalossless",
    0x2000: "ac3",
    0x2001: "dts",
}
_AIFF_CODECS: Mapping[bytes, str] = {
    b"sowt": "pcm_s16le",
    b"fl32": "pcm_f32be",
    b"FL32": "pcm_f32be",
    b"fl64": "pcm_f64be",
    b"ulaw": "pcm_mulaw",
    b"ULAW": "pcm_mulaw",
    b"alaw": "pcm_alaw",
    b"ALAW": "pcm_alaw",
    b"ima4": "adpcm_ima_qt",
}
_FILM_CODECS: Mapping[bytes, str] = {
    **dict.fromkeys((b"H264", b"X264", b"AVC1"), "h264"),
    **dict.fromkeys((b"HEVC", b"HVC1", b"H265"), "hevc"),
    **dict.fromkeys((b"XVID", b"DIVX", b"DX50", b"FMP4", b"MP4V"), "mpeg4"),
    **dict.fromkeys((b"DIV3", b"MP43"), "msmpeg4v3"),
    b"MP42": "msmpeg4v2",
    b"MJPG": "mjpeg",
    b"DVSD": "dvvideo",
    b"WMV1": "wmv1",
    b"WMV2": "wmv2",
    b"WMV3": "wmv3",
    b"WVC1": "vc1",
    b"CVID": "cinepak",
    b"\0\0\0\0": "rawvideo",
}


def read(file: Opened) -> Reading:
    """Read the header of a file, whatever it is."""
    head = file.head
    found = next((reader for magic, reader in _READERS.items() if head.startswith(magic)), None)
    if found is None and head[:1] == b"\x47" and head[188:189] == b"\x47":
        found = _transport_stream
    if found is None and (file.head[:3] == b"ID3" or file.extension in _FRAMED or mpegaudio.starts(file.head)):
        found = _mpeg_audio
    media = found(file) if found else None
    if media is None or media == Media(container=media.container):
        raise Refused("the header says nothing")
    has_video = media.width is not None or media.video_codec is not None
    return Reading("headers", formats.mime(str(media.container), file.kind, has_video=has_video), media)


def _rate(hertz: float) -> int | None:
    return int(hertz) if 0 < hertz < _RATES_MAX else None


# --- chunks: RIFF, RF64, Wave64, AIFF, AVI


class _Chunk(NamedTuple):
    name: bytes
    start: int
    length: int  # as it is written


def _chunks(file: Opened, start: int, end: int, order: str = "little") -> Iterator[_Chunk]:
    """Chunks of four letters and four bytes of length, padded to even ones."""
    for _ in range(_CHUNKS_MAX):
        header = file.pread(8, start)
        if len(header) < 8 or start + 8 > end:
            return
        length = int.from_bytes(header[4:], order)  # type: ignore[arg-type]
        yield _Chunk(header[:4], start + 8, length)
        start += 8 + length + length % 2


def _wave64_chunks(file: Opened) -> Iterator[_Chunk]:
    """Chunks whose names and lengths take sixteen and eight bytes; the length counts them, too."""
    start = 40
    for _ in range(_CHUNKS_MAX):
        header = file.pread(24, start)
        length = int.from_bytes(header[16:24], "little")
        if len(header) < 24 or length < 24:
            return
        yield _Chunk(header[:4], start + 24, length - 24)
        start += -(-length // 8) * 8


class _Wave(NamedTuple):
    """``rate`` of samples, ``speed`` in bytes a second."""

    codec: str | None = None
    channels: int | None = None
    rate: int | None = None
    speed: int = 0


def _wave_format(data: bytes) -> _Wave:
    """WAVEFORMATEX, which AVI and ASF have as well."""
    if len(data) < 16:
        return _Wave()
    tag, channels, rate, speed, block, bits = struct.unpack_from("<HHIIHH", data)
    if tag == 0xFFFE and len(data) >= 26:
        tag = int.from_bytes(data[24:26], "little")
    codec = _WAVE_CODECS.get(tag)
    if tag == 1:
        codec, speed = "pcm_u8" if bits == 8 else f"pcm_s{bits}le", rate * block
    elif tag == 3:
        codec, speed = f"pcm_f{bits}le", rate * block
    return _Wave(codec, channels if 0 < channels < 256 else None, _rate(rate), speed)


def _wave(file: Opened) -> Media | None:
    is_wave64 = file.head[:4] == b"riff"
    if not is_wave64 and file.head[8:12] != b"WAVE":
        return _avi(file) if file.head[8:11] == b"AVI" else None
    sound, samples, size, wide = _Wave(), 0, None, 0
    for chunk in _wave64_chunks(file) if is_wave64 else _chunks(file, 12, file.size):
        if chunk.name == b"fmt ":
            sound = _wave_format(file.pread(min(chunk.length, 64), chunk.start))
        elif chunk.name == b"ds64":
            wide = int.from_bytes(file.pread(16, chunk.start)[8:], "little")
        elif chunk.name == b"fact":
            samples = int.from_bytes(file.pread(4, chunk.start), "little")
        elif chunk.name == b"data":
            length = wide if wide and chunk.length == 0xFFFFFFFF else chunk.length
            size = min(length or file.size, file.size - chunk.start)  # zero: a writer that never came back
            if length != size:
                break
    is_pcm = (sound.codec or "").startswith("pcm_")
    seconds = formats.seconds(size or 0, sound.speed)
    if samples and not is_pcm and sound.rate:
        seconds = formats.seconds(samples, sound.rate)
    return Media(
        container="w64" if is_wave64 else "wav",
        duration=seconds,
        sample_rate=sound.rate,
        channels=sound.channels,
        audio_codec=sound.codec,
    )


def _aiff(file: Opened) -> Media | None:
    if file.head[8:12] not in {b"AIFF", b"AIFC"}:
        return None
    for chunk in _chunks(file, 12, file.size, "big"):
        if chunk.name != b"COMM":
            continue
        data = file.pread(min(chunk.length, 64), chunk.start)
        if len(data) < 18:
            break
        channels, frames, bits, exponent, mantissa = struct.unpack_from(">hIhHQ", data)
        rate = mantissa * 2.0 ** (min(exponent & 0x7FFF, 16383 + 64) - 16383 - 63)  # an 80-bit number
        return Media(
            container="aiff",
            duration=formats.seconds(frames, _rate(rate) or 0),
            sample_rate=_rate(rate),
            channels=channels if channels > 0 else None,
            audio_codec=_AIFF_CODECS.get(data[18:22]) or ("pcm_s8" if bits == 8 else f"pcm_s{(bits + 7) // 8 * 8}be"),
        )
    return None


def _avi(file: Opened) -> Media:
    media = Media(container="avi")
    for chunk in _chunks(file, 12, file.size):
        if chunk.name == b"LIST" and file.pread(4, chunk.start) == b"hdrl":
            media = _avi_header(file, media, chunk.start + 4, chunk.start + chunk.length)
            break
    return media


def _avi_header(file: Opened, media: Media, start: int, end: int) -> Media:
    for chunk in _chunks(file, start, end):
        if chunk.name == b"avih":
            data = file.pread(40, chunk.start).ljust(40, b"\0")
            period, frames, width, height = struct.unpack_from("<I12xI12xII", data)
            media = media._replace(
                duration=formats.seconds(frames * period, 1e6), width=width or None, height=height or None
            )
        elif chunk.name == b"LIST" and file.pread(4, chunk.start) == b"strl":
            media = _avi_stream(file, media, chunk.start + 4, chunk.start + chunk.length)
    return media


def _avi_stream(file: Opened, media: Media, start: int, end: int) -> Media:
    kind, handler, scale, rate, length = b"", b"", 0, 0, 0
    for chunk in _chunks(file, start, end):
        if chunk.name == b"strh":
            data = file.pread(56, chunk.start).ljust(56, b"\0")
            kind, handler = data[:4], data[4:8]
            scale, rate, _, length = struct.unpack_from("<4I", data, 20)
        elif chunk.name == b"strf" and kind == b"auds" and media.channels is None:
            sound = _wave_format(file.pread(min(chunk.length, 64), chunk.start))
            media = media._replace(audio_codec=sound.codec, channels=sound.channels, sample_rate=sound.rate)
        elif chunk.name == b"strf" and kind == b"vids" and media.video_codec is None:
            code = file.pread(20, chunk.start)[16:20].upper()
            seconds = formats.seconds(length * scale, rate)
            media = media._replace(
                video_codec=_FILM_CODECS.get(code) or _FILM_CODECS.get(handler.upper()),
                frame_rate=round(rate / scale, 3) if scale and 0 < rate / scale < 1000 else None,
                duration=seconds or media.duration,
            )
    return media


# --- sound


def _flac(file: Opened) -> Media | None:
    start = mpegaudio.behind_id3(file)
    data = file.pread(42, start)
    if data[:4] != b"fLaC" or len(data) < 42:
        return None
    packed = int.from_bytes(data[18:26], "big")
    rate = packed >> 44
    samples = packed & (1 << 36) - 1 or _flac_samples(file, int.from_bytes(data[10:12], "big"))
    return Media(
        container="flac",
        duration=formats.seconds(samples, rate),
        sample_rate=_rate(rate),
        channels=(packed >> 41 & 7) + 1,
        audio_codec="flac",
    )


def _flac_samples(file: Opened, block: int) -> int:
    """Where the last frame begins, for a writer that did not know its end. ``block``: samples of equal frames."""
    tail = file.pread(_TAIL, max(0, file.size - _TAIL))
    for found in reversed(list(itertools.islice(re.finditer(rb"\xff[\xf8\xf9]", tail), _CHUNKS_MAX))):
        header = tail[found.start() : found.start() + 16].ljust(16, b"\0")
        size, rate, leading = header[2] >> 4, header[2] & 15, 8 - (header[4] ^ 0xFF).bit_length()
        if not size or rate == 15 or leading in {1, 8} or header[3] & 1:
            continue
        end = 4 + max(1, leading) + {6: 1, 7: 2}.get(size, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
        if _crc8(header[:end]) == header[end]:
            number = header[4] & 0x7F >> leading
            for byte in header[5 : 4 + max(1, leading)]:
                number = number << 6 | byte & 0x3F
            return number if header[1] & 1 else number * block
    return 0


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (7 if value & 0x80 else 0)) & 0xFF
    return value


def _mpeg_audio(file: Opened) -> Media | None:
    found = _flac(file) if file.head[:3] == b"ID3" else None
    if found is not None:
        return found
    stream = mpegaudio.read(file)
    if stream is None:
        return None
    return Media(
        container="aac" if stream.codec == "aac" else "mp3",
        duration=formats.seconds(stream.duration),
        sample_rate=stream.sample_rate,
        channels=stream.channels,
        audio_codec=stream.codec,
    )


class _Ogg(NamedTuple):
    """A stream by its first packet. ``shift``: how many bits of its times count frames since a key frame."""

    media: Media
    scale: float  # units of its times a second
    skip: int = 0  # units before the first that is heard
    shift: int = 0


def _ogg(file: Opened) -> Media | None:
    """The first stream that we know, as long as the time on the last page that is its own."""
    for serial, packet in _ogg_beginnings(file):
        stream = _ogg_stream(packet)
        if stream is None:
            continue
        last = _ogg_last(file, serial)
        if stream.shift:
            last = (last >> stream.shift) + (last & (1 << stream.shift) - 1)
        return stream.media._replace(duration=formats.seconds(last - stream.skip, stream.scale))
    return None


def _ogg_beginnings(file: Opened) -> Iterator[tuple[bytes, bytes]]:
    """Serial number and first packet of each stream: all of them begin before any goes on."""
    at = 0
    for _ in range(16):
        header = file.pread(27 + 255, at)
        if header[:4] != b"OggS" or len(header) < 28 or not header[5] & 2:
            return
        segments = header[27 : 27 + header[26]]
        start = at + 27 + len(segments)
        yield header[14:18], file.pread(min(sum(segments), 256), start)
        at = start + sum(segments)


def _ogg_stream(packet: bytes) -> _Ogg | None:
    if packet[:7] == b"\x01vorbis" and len(packet) >= 16:
        channels, rate = struct.unpack_from("<BI", packet, 11)
        return _Ogg(_ogg_sound("vorbis", channels, rate), rate)
    if packet[:8] == b"OpusHead" and len(packet) >= 12:
        return _Ogg(_ogg_sound("opus", packet[9], 48000), 48000, int.from_bytes(packet[10:12], "little"))
    if packet[:8] == b"Speex   " and len(packet) >= 52:
        rate, channels = struct.unpack_from("<I8xI", packet, 36)
        return _Ogg(_ogg_sound("speex", channels, rate), rate)
    if packet[:5] == b"\x7fFLAC" and len(packet) >= 35:
        packed = int.from_bytes(packet[27:35], "big")
        return _Ogg(_ogg_sound("flac", (packed >> 41 & 7) + 1, packed >> 44), packed >> 44)
    if packet[:7] == b"\x80theora" and len(packet) >= 42:
        width, height = int.from_bytes(packet[14:17], "big"), int.from_bytes(packet[17:20], "big")
        rate, scale = struct.unpack_from(">II", packet, 22)
        shift = int.from_bytes(packet[40:42], "big") >> 5 & 31
        media = Media(container="ogg", width=width or None, height=height or None, video_codec="theora")
        return _Ogg(media, rate / scale if scale else 0, shift=shift)
    return None


def _ogg_sound(codec: str, channels: int, rate: int) -> Media:
    channels = channels if 0 < channels < 256 else 0
    return Media(container="ogg", sample_rate=_rate(rate), channels=channels or None, audio_codec=codec)


def _ogg_last(file: Opened, serial: bytes) -> int:
    start = max(0, file.size - _TAIL)
    tail = file.pread(_TAIL, start)
    at = tail.rfind(b"OggS")
    while at >= 0:
        if tail[at + 14 : at + 18] == serial and tail[at + 6 : at + 14] != b"\xff" * 8:
            return int.from_bytes(tail[at + 6 : at + 14], "little")
        at = tail.rfind(b"OggS", 0, at)
    return 0


# --- film


_EBML_KINDS = {1: "video", 2: "audio"}
_MATROSKA_CODECS: Mapping[bytes, str] = {
    b"V_MPEG4/ISO/AVC": "h264",
    b"V_MPEGH/ISO/HEVC": "hevc",
    b"V_MPEG4/ISO/ASP": "mpeg4",
    b"V_MPEG2": "mpeg2video",
    b"V_MPEG1": "mpeg1video",
    b"V_VP8": "vp8",
    b"V_VP9": "vp9",
    b"V_AV1": "av1",
    b"V_THEORA": "theora",
    b"V_MJPEG": "mjpeg",
    b"A_AAC": "aac",
    b"A_OPUS": "opus",
    b"A_VORBIS": "vorbis",
    b"A_FLAC": "flac",
    b"A_AC3": "ac3",
    b"A_EAC3": "eac3",
    b"A_DTS": "dts",
    b"A_TRUEHD": "truehd",
    b"A_MPEG/L3": "mp3",
    b"A_MPEG/L2": "mp2",
    b"A_ALAC": "alac",
}


class _Element(NamedTuple):
    number: int
    start: int
    end: int


def _elements(file: Opened, start: int, end: int, count: int = _CHUNKS_MAX) -> Iterator[_Element]:
    """The elements of EBML between two offsets; one of unknown length reaches to the end."""
    for _ in range(count):
        header = file.pread(12, start)
        if start >= end or not header:
            return
        width = 9 - header[0].bit_length()
        length_width = 9 - header[width].bit_length() if width <= 4 and len(header) > width else 9
        if length_width > 8 or len(header) < width + length_width:
            return
        limit = (1 << 7 * length_width) - 1
        length = int.from_bytes(header[width : width + length_width], "big") & limit
        behind = start + width + length_width
        stop = end if length == limit else min(behind + length, end)
        yield _Element(int.from_bytes(header[:width], "big"), behind, stop)
        start = end if length == limit else behind + length


def _unsigned(file: Opened, element: _Element) -> int:
    return int.from_bytes(file.pread(min(8, element.end - element.start), element.start), "big")


def _float(file: Opened, element: _Element) -> float:
    data = file.pread(min(8, element.end - element.start), element.start)
    if len(data) in {4, 8}:
        (value,) = struct.unpack(">f" if len(data) == 4 else ">d", data)
        return float(value) if -1e18 < value < 1e18 else 0.0
    return 0.0


def _matroska(file: Opened) -> Media | None:
    media = Media(container="webm" if formats.is_webm(file) else "matroska")
    segment = next((e for e in _elements(file, 0, file.size) if e.number == 0x18538067), None)
    if segment is None:
        return None
    scale, ticks = 1_000_000, 0.0  # nanoseconds a tick
    for element in _elements(file, segment.start, segment.end):
        if element.number == 0x1549A966:
            for inner in _elements(file, element.start, element.end):
                if inner.number == 0x2AD7B1:
                    scale = _unsigned(file, inner) or scale
                elif inner.number == 0x4489:
                    ticks = _float(file, inner)
        elif element.number == 0x1654AE6B:
            for inner in _elements(file, element.start, element.end):
                if inner.number == 0xAE:
                    media = _matroska_track(file, media, inner)
        elif element.number == 0x1F43B675 and media.streams:
            break
    return media._replace(duration=formats.seconds((ticks or _last_time(file)) * scale, 1e9))


def _matroska_track(file: Opened, media: Media, track: _Element) -> Media:
    kind, codec = "", None
    sizes: dict[int, float] = {}
    for element in _elements(file, track.start, track.end):
        if element.number == 0x83:
            kind = _EBML_KINDS.get(_unsigned(file, element), "")
        elif element.number == 0x86:
            name = file.pread(min(element.end - element.start, 32), element.start).rstrip(b"\0")
            codec = _MATROSKA_CODECS.get(name) or ("aac" if name.startswith(b"A_AAC") else None)
        elif element.number in {0xE0, 0xE1}:
            sizes |= _sizes(file, element)
    media = media._replace(streams=(media.streams or 0) + 1)
    if kind == "video" and media.width is None:
        width, height = (int(sizes.get(number, 0)) & 0xFFFFFF for number in (0xB0, 0xBA))
        return media._replace(
            width=width or None,
            height=height or None,
            video_codec=codec,
            rotation=round(-sizes.get(0x7675, 0) / 90) * 90 % 360,  # it counts against the clock
            is_mirrored=abs(sizes.get(0x7673, 0)) == 180,
        )
    if kind == "audio" and media.sample_rate is None:
        rate = 48000 if codec == "opus" else _rate(sizes.get(0x78B5) or sizes.get(0xB5, 8000))
        return media._replace(sample_rate=rate, channels=int(sizes.get(0x9F, 1)) & 0xFF or None, audio_codec=codec)
    return media


def _sizes(file: Opened, video_or_audio: _Element) -> dict[int, float]:
    """The numbers of a track, with those of how its pictures are projected."""
    found: dict[int, float] = {}
    for element in _elements(file, video_or_audio.start, video_or_audio.end):
        if element.number == 0x7670:
            for inner in _elements(file, element.start, element.end):
                found[inner.number] = _float(file, inner)
        else:
            is_float = element.number in {0xB5, 0x78B5}
            found[element.number] = _float(file, element) if is_float else _unsigned(file, element)
    return found


def _last_time(file: Opened) -> int:
    """Ticks where the last block begins: live writers leave no duration."""
    start = max(0, file.size - _CLUSTER_TAIL)
    at = file.pread(_CLUSTER_TAIL, start).rfind(b"\x1f\x43\xb6\x75")
    cluster = next(_elements(file, start + at, file.size), None) if at >= 0 else None
    ticks = behind = 0
    for element in _elements(file, cluster.start, cluster.end, _BLOCKS_MAX) if cluster else ():
        if element.number == 0xE7:
            ticks = _unsigned(file, element)
        elif element.number == 0xA3:
            behind = max(behind, _block_time(file, element))
        elif element.number == 0xA0:
            block = next(_elements(file, element.start, element.end), None)
            behind = max(behind, _block_time(file, block) if block and block.number == 0xA1 else 0)
    return ticks + behind


def _block_time(file: Opened, block: _Element) -> int:
    """Ticks since the cluster began, behind a track number of one byte."""
    return int.from_bytes(file.pread(3, block.start)[1:], "big", signed=True)


def _flash(file: Opened) -> Media | None:
    """What the script in front says; the pictures of old codecs do not tell their size without being decoded."""
    said = {
        found[1]: struct.unpack(">d", found[2])[0]
        for found in re.finditer(rb"(duration|width|height|framerate)\0(.{8})", file.head[:_CHUNK_MAX], re.DOTALL)
    }
    width, height, rate = (said.get(name, 0.0) for name in (b"width", b"height", b"framerate"))
    return Media(
        container="flv",
        duration=formats.seconds(said.get(b"duration", 0.0)),
        width=int(width) if 0 < width < 65536 else None,
        height=int(height) if 0 < height < 65536 else None,
        frame_rate=round(rate, 3) if 0 < rate < 1000 else None,
    )


def _transport_stream(file: Opened) -> Media:
    """The clock of the first program: the last reading less the first one, both of one stream."""
    first, last = None, None
    for start in (0, max(0, file.size - _TAIL) // 188 * 188):
        data = file.pread(_TAIL, start)
        for at in range(0, len(data) - 187, 188):
            clock = _clock(data[at : at + 12])
            if clock is not None and (first is None or clock[0] == first[0]):
                first, last = first or clock, clock
    ticks = (last[1] - first[1]) % (1 << 33) if first and last else 0
    return Media(container="mpegts", duration=formats.seconds(ticks, 90_000))


def _clock(packet: bytes) -> tuple[int, int] | None:
    """Number of the stream and its clock in 90 kHz, where the packet has one."""
    if len(packet) < 12 or packet[0] != 0x47 or not packet[3] & 0x20 or packet[4] < 7 or not packet[5] & 0x10:
        return None
    return (packet[1] & 0x1F) << 8 | packet[2], int.from_bytes(packet[6:11], "big") >> 7


_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_STREAM = bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")
_ASF_SOUND = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")
_ASF_FILM = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")


def _asf(file: Opened) -> Media:
    media, at = Media(container="asf"), 30
    end = min(int.from_bytes(file.pread(8, 16), "little"), file.size)
    for _ in range(_CHUNKS_MAX):
        header = file.pread(24, at)
        length = int.from_bytes(header[16:24], "little")
        if len(header) < 24 or length < 24 or at >= end:
            break
        data = file.pread(min(length - 24, _CHUNK_MAX), at + 24)
        if header[:16] == _ASF_FILE and len(data) >= 64:
            played, preroll = struct.unpack_from("<Q8xQ", data, 40)
            media = media._replace(duration=formats.seconds(played / 1e7 - preroll / 1e3))
        elif header[:16] == _ASF_STREAM:
            media = _asf_stream(media, data)
        at += length
    return media


def _asf_stream(media: Media, data: bytes) -> Media:
    if data[:16] == _ASF_SOUND and media.audio_codec is None:
        sound = _wave_format(data[54:])
        return media._replace(audio_codec=sound.codec, channels=sound.channels, sample_rate=sound.rate)
    if data[:16] == _ASF_FILM and len(data) >= 85 and media.width is None:
        width, height = struct.unpack_from("<II", data, 54)
        return media._replace(width=width, height=height, video_codec=_FILM_CODECS.get(data[81:85].upper()))
    return media


_READERS: Mapping[bytes, Callable[[Opened], Media | None]] = {
    b"RIFF": _wave,
    b"RF64": _wave,
    b"BW64": _wave,
    b"riff": _wave,
    b"FORM": _aiff,
    b"fLaC": _flac,
    b"OggS": _ogg,
    b"\x1a\x45\xdf\xa3": _matroska,
    b"0&\xb2u\x8ef\xcf\x11": _asf,
    b"FLV\x01": _flash,
}
