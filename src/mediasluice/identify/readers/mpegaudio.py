"""Read the frames of MPEG audio (MP1, MP2, MP3) and of ADTS (AAC): where they begin, how long all of them are.

Takes an open file. Gives a :class:`Stream`. The number of frames comes from the index in the first frame (Xing, Info,
VBRI) where there is one; else the first WALKED frames are measured and stand for all.
Fails with: nothing; no frames give nothing.
Source: ISO 11172-3 and 13818-3 section 2.4.2 (MPEG audio), ISO 13818-7 section 6.2 (ADTS); the descriptions that Xing
and Fraunhofer gave of their headers; ID3v2.4 section 3.1, ID3v1, APEv2 for what stands around the sound.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from mediasluice.identify.opened import Opened

TAGS_MAX = 8  # ID3v2 tags behind each other, chosen: editors that do not see the old one leave a second
WALKED = 2000  # frames that are measured where there is no index, chosen: 50 s of sound in a millisecond
_SEARCHED = 256 << 10  # bytes that are searched for the first frame, chosen: FFmpeg gives up there as well
_WINDOW = 256 << 10  # bytes read at once
_BITRATES = {  # kbit/s by (is MPEG-1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


class Frame(NamedTuple):
    """One frame by its header. ``length`` in bytes with the header, ``samples`` of one channel."""

    codec: str
    length: int
    samples: int
    sample_rate: int
    channels: int


class Stream(NamedTuple):
    """``duration`` in seconds; ``is_indexed``: from a count of frames, not from a sample of them."""

    codec: str
    sample_rate: int
    channels: int
    duration: float
    is_indexed: bool


def behind_id3(file: Opened) -> int:
    """Where the tags in front end; 0 where there are none."""
    at = 0
    for _ in range(TAGS_MAX):
        header = file.pread(10, at)
        if len(header) < 10 or header[:3] != b"ID3":
            break
        length = header[6] & 0x7F
        for byte in header[7:10]:
            length = length << 7 | byte & 0x7F
        at += 10 + length + (10 if header[5] & 0x10 else 0)
    return at


def frame(header: bytes) -> Frame | None:
    """What the header of a frame says; nothing where it is not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    return _adts(header) if header[1] & 0xF6 == 0xF0 else _mpeg(header)


def _mpeg(header: bytes) -> Frame | None:
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate, frequency, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate in {0, 15} or frequency == 3:
        return None
    bits = _BITRATES[version == 3, layer][rate] * 1000
    hertz = (44100, 48000, 32000)[frequency] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    length = (12 * bits // hertz + padding) * 4 if layer == 1 else samples // 8 * bits // hertz + padding
    return Frame(f"mp{layer}", length, samples, hertz, 1 if header[3] >> 6 == 3 else 2)


def _adts(header: bytes) -> Frame | None:
    frequency = header[2] >> 2 & 15
    if len(header) < 7 or frequency >= len(_ADTS_RATES):
        return None
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    channels = (header[2] & 1) << 2 | header[3] >> 6
    if length < 7:
        return None
    samples = 1024 * (1 + (header[6] & 3))
    return Frame("aac", length, samples, _ADTS_RATES[frequency], 8 if channels == 7 else channels or 2)


def starts(data: bytes, at: int = 0) -> Frame | None:
    """The frame that begins here, where another one of its kind follows it."""
    first = frame(data[at : at + 8])
    if first is None:
        return None
    second = frame(data[at + first.length : at + first.length + 8])
    is_alike = second is not None and (first.codec, first.sample_rate) == (second.codec, second.sample_rate)
    return first if is_alike else None


def read(file: Opened) -> Stream | None:
    """Find the first frame and tell how long the sound is."""
    start = behind_id3(file)
    searched = file.pread(_SEARCHED, start)
    at = _first_frame(searched)
    first = frame(searched[at : at + 8]) if at >= 0 else None
    if first is None:
        return None
    indexed = _indexed(file, start + at, searched[at : at + 256], first)
    if indexed:
        return Stream(first.codec, first.sample_rate, first.channels, indexed, True)
    samples, length, has_ended = _measured(file, start + at)
    duration = samples / first.sample_rate
    if not has_ended and length:
        duration *= (file.size - _behind(file) - start - at) / length
    return Stream(first.codec, first.sample_rate, first.channels, duration, False)


def _first_frame(data: bytes) -> int:
    """Where the first frame begins; -1 if none does. Behind rubbish three count: two are found in any data."""
    if frame(data[:8]) is not None:
        return 0
    at = data.find(b"\xff", 1)
    while 0 <= at < len(data) - 8:
        found = starts(data, at)
        if found is not None and starts(data, at + found.length) is not None:
            return at
        at = data.find(b"\xff", at + 1)
    return -1


def indexed_duration(file: Opened) -> float | None:
    """How long an MP3 is by its index: all frames, with the silence that encoders put around the sound."""
    start = behind_id3(file)
    data = file.pread(256, start)
    first = frame(data)
    return _indexed(file, start, data, first) if first else None


def _indexed(file: Opened, start: int, data: bytes, first: Frame) -> float | None:
    """What the index says, which stands in place of the first frame's sound.

    Where the file holds notably more than it knows of, another song may have been put behind it, and it says nothing.
    FFmpeg draws the same line.
    """
    if first.codec != "mp3":
        return None
    is_mpeg1, is_mono = first.samples == 1152, first.channels == 1
    at = 4 + ((17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17))
    frames = size = 0
    for place in (at, at + 2):  # some writers leave room for a checksum
        if data[place : place + 4] in {b"Xing", b"Info"}:
            flags, one, two = struct.unpack(">III", data[place + 4 : place + 16].ljust(12, b"\0"))
            frames = one if flags & 1 else 0
            size = (two if flags & 1 else one) if flags & 2 else 0
    if data[36:40] == b"VBRI":
        size, frames = struct.unpack(">II", data[46:54].ljust(8, b"\0"))
    if size and file.size - start > size + size // 16:
        return None
    return frames * first.samples / first.sample_rate if frames else None


def _behind(file: Opened) -> int:
    """Bytes of the tags behind the sound: ID3v1, and APEv2 before it."""
    size = 128 if file.pread(3, file.size - 128) == b"TAG" else 0
    footer = file.pread(32, file.size - size - 32)
    if footer[:8] == b"APETAGEX" and len(footer) == 32:
        length, flags = int.from_bytes(footer[12:16], "little"), int.from_bytes(footer[20:24], "little")
        size += min(length + (32 if flags >> 31 else 0), file.size - size)
    return size


def _measured(file: Opened, start: int) -> tuple[int, int, bool]:
    """Samples and bytes of the first frames, and whether there are no others behind them."""
    samples, at, window, base = 0, start, b"", start
    for _ in range(WALKED):
        if at + 8 > base + len(window):
            base, window = at, file.pread(_WINDOW, at)
        found = frame(window[at - base : at - base + 8])
        if found is None:
            return samples, at - start, True
        samples, at = samples + found.samples, at + found.length
    return samples, at - start, False
