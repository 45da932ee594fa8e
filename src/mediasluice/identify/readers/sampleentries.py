"""Tell from the sample description of a track what is coded in it: codec, size of pictures, rate and channels of sound.

Takes an open file and the ``stsd`` box of a track. Gives a :class:`Described`, with the codec as FFmpeg names it; what
is encrypted is named by what it was before. Sizes in pixels, rates in Hz.
Fails with: nothing; what cannot be understood stays unknown.
Source: ISO 14496-12 (sample entries, sinf), 14496-14 and 14496-1 (esds), 14496-3 (AudioSpecificConfig), QuickTime File
Format (sound versions 1 and 2), ETSI TS 102 366 Annex F (AC-3), and the ISOBMFF bindings of Opus, FLAC and ALAC.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mediasluice.identify.opened import Opened
from mediasluice.identify.readers.boxes import Box, boxes, find

_CONFIG_MAX = 4096  # bytes of a decoder's configuration, chosen: some tens are usual

_VIDEO = {
    b"avc1 avc2 avc3 avc4 dva1 dvav ai12 ai15 ai1q ai52 ai55 CAVC": "h264",
    b"hvc1 hev1 dvh1 dvhe hvc2 hev2": "hevc",
    b"vvc1 vvi1": "vvc",
    b"av01": "av1",
    b"vp08": "vp8",
    b"vp09": "vp9",
    b"mp4v xvid DIVX": "mpeg4",
    b"apcn apch apcs apco ap4h ap4x": "prores",
    b"jpeg mjpa AVDJ": "mjpeg",
    b"mjpb": "mjpegb",
    b"s263 h263 H263": "h263",
    b"dvc  dvcp dv5n dv5p dvh5 dvh6 dvhp dvhq": "dvvideo",
    b"m2v1 mp2v hdv1 hdv2 hdv3 hdv5 hdv6 xdv1 xdv2 xdv3 xdvb": "mpeg2video",
    b"mp1v m1v1": "mpeg1video",
    b"png ": "png",
    b"SVQ1": "svq1",
    b"SVQ3": "svq3",
    b"cvid": "cinepak",
    b"rle ": "qtrle",
    b"raw ": "rawvideo",
    b"AVdn AVdh": "dnxhd",
    b"CFHD": "cfhd",
    b"Hap1 Hap5 HapY HapM": "hap",
    b"theo": "theora",
    b"vc-1": "vc1",
    b"mjp2": "jpeg2000",
}
_AUDIO = {
    b"mp4a": "aac",
    b"alac": "alac",
    b"ac-3 sac3": "ac3",
    b"ec-3": "eac3",
    b"ac-4": "ac4",
    b"Opus": "opus",
    b"fLaC": "flac",
    b".mp3 mp3 ": "mp3",
    b"samr": "amr_nb",
    b"sawb": "amr_wb",
    b"dtsc dtsh dtsl dtse dtsx": "dts",
    b"mlpa": "truehd",
    b"sowt": "pcm_s16le",
    b"twos": "pcm_s16be",
    b"in24": "pcm_s24be",
    b"in32": "pcm_s32be",
    b"fl32": "pcm_f32be",
    b"fl64": "pcm_f64be",
    b"raw ": "pcm_u8",
    b"ulaw": "pcm_mulaw",
    b"alaw": "pcm_alaw",
    b"ima4": "adpcm_ima_qt",
    b"QDM2": "qdm2",
    b"QDMC": "qdmc",
    b"MAC3": "mace3",
    b"MAC6": "mace6",
    b"agsm": "gsm",
    b"Qclp Qclq sqcp": "qcelp",
    b"sevc": "evrc",
}


def _by_code(table: Mapping[bytes, str]) -> dict[bytes, str]:
    return {codes[at : at + 4]: name for codes, name in table.items() for at in range(0, len(codes), 5)}


_VIDEO_CODECS, _AUDIO_CODECS = _by_code(_VIDEO), _by_code(_AUDIO)
_OBJECT_TYPES = {  # of MPEG-4 systems, where mp4a and mp4v hold something else
    0x20: "mpeg4",
    0x21: "h264",
    0x23: "hevc",
    **dict.fromkeys(range(0x60, 0x66), "mpeg2video"),
    0x40: "aac",
    0x66: "aac",
    0x67: "aac",
    0x68: "aac",
    0x69: "mp3",
    0x6A: "mpeg1video",
    0x6B: "mp3",
    0x6C: "mjpeg",
    0xA5: "ac3",
    0xA6: "eac3",
    0xA9: "dts",
    0xAD: "opus",
    0xDD: "vorbis",
    0xE1: "qcelp",
}
_SPEECH = {"amr_nb": (8000, 1), "amr_wb": (16000, 1)}  # whatever the entry says: writers copy it from elsewhere
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_CHANNELS = (None, 1, 2, 3, 4, 5, 6, 8, None, None, None, 7, 8, None, 8)
_NOT_AAC = {32: "mp1", 33: "mp2", 34: "mp3", 36: "mp4als"}  # object types of MPEG-4 audio
_AAC_SBR = frozenset({5, 29})  # object types that are followed by the rate that is heard
_AC3_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)


class Described(NamedTuple):
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    sample_rate: int | None = None
    channels: int | None = None
    bitrate: int | None = None


def described(file: Opened, stsd: Box, handler: bytes) -> Described:
    """What the first entry of a sample description says. ``handler``: the kind of the track."""
    entry = next(boxes(file, stsd.start + 8, stsd.end), None)
    if entry is None:
        return Described()
    if handler == b"vide":
        return _pictures(file, entry)
    return _sound(file, entry) if handler == b"soun" else Described()


def _pictures(file: Opened, entry: Box) -> Described:
    fixed = file.pread(min(78, entry.end - entry.start), entry.start)
    if len(fixed) < 78:
        return Described()
    width, height = struct.unpack_from(">HH", fixed, 24)
    codec = _VIDEO_CODECS.get(_before_encryption(file, entry, entry.start + 78))
    bitrate = None
    for box in boxes(file, entry.start + 78, min(entry.end, entry.start + 78 + _CONFIG_MAX)):
        if box.type == b"esds":
            stream = _elementary_stream(file.pread(min(_CONFIG_MAX, box.end - box.start), box.start + 4))
            codec, bitrate = _OBJECT_TYPES.get(stream.object_type, codec), stream.bitrate
        elif box.type == b"btrt":
            bitrate = int.from_bytes(file.pread(12, box.start)[8:12], "big") or bitrate
    return Described(codec, width or None, height or None, bitrate=bitrate)


def _sound(file: Opened, entry: Box) -> Described:
    fixed = file.pread(min(64, entry.end - entry.start), entry.start)
    if len(fixed) < 28:
        return Described()
    version, channels, bits, rate = struct.unpack_from(">H6xHH4xI", fixed, 8)
    behind, hertz = 28, float(rate >> 16)
    if version == 1:
        behind = 44
    elif version == 2 and len(fixed) == 64:
        hertz, channels, bits = struct.unpack_from(">dI4xI", fixed, 32)
        behind = 64
    found = Described(
        _pcm(_before_encryption(file, entry, entry.start + behind), bits, fixed[52:56] if version == 2 else b""),
        sample_rate=int(hertz) if 0 < hertz < 1e7 else None,
        channels=channels if 0 < channels < 256 else None,
    )
    if found.codec in _SPEECH:
        rate, channels = _SPEECH[found.codec]
        return found._replace(sample_rate=rate, channels=channels)
    for box in _configurations(file, entry.start + behind, entry.end):
        found = _configured(found, box.type, file.pread(min(_CONFIG_MAX, box.end - box.start), box.start))
    return found


def _pcm(code: bytes, bits: int, flags: bytes) -> str | None:
    """The codec; for QuickTime's linear PCM of version 2 by its width and flags (1 float, 2 big-endian, 4 signed)."""
    if code != b"lpcm" or not flags:
        return "pcm_s24be" if code == b"twos" and bits == 24 else _AUDIO_CODECS.get(code)
    kind = "f" if flags[3] & 1 else "s" if flags[3] & 4 else "u"
    return f"pcm_{kind}{bits}" + ("" if bits == 8 else "be" if flags[3] & 2 else "le")


def _configurations(file: Opened, start: int, end: int) -> Iterator[Box]:
    """The boxes of a sound entry; QuickTime wraps them in another one."""
    for box in boxes(file, start, end):
        if box.type == b"wave":
            yield from boxes(file, box.start, box.end)
        else:
            yield box


def _before_encryption(file: Opened, entry: Box, start: int) -> bytes:
    """The code of what is in the track, encrypted or not."""
    if entry.type not in {b"encv", b"enca", b"drms", b"drmi"}:
        return entry.type
    original = find(file, start, entry.end, b"sinf", b"frma")
    return file.pread(4, original.start) if original else entry.type


def _configured(found: Described, kind: bytes, data: bytes) -> Described:
    """What a box of configuration knows better than the entry around it."""
    if kind == b"esds":
        stream = _elementary_stream(data[4:])
        codec = _OBJECT_TYPES.get(stream.object_type, found.codec)
        heard = _audio_specific(stream.specific) if codec == "aac" else Described()
        return found._replace(
            codec=heard.codec or codec,
            sample_rate=heard.sample_rate or found.sample_rate,
            channels=heard.channels or found.channels,
            bitrate=stream.bitrate,
        )
    if kind == b"enda" and data[:2] == b"\0\1" and (found.codec or "").startswith("pcm_"):
        return found._replace(codec=str(found.codec).removesuffix("be") + "le")
    if kind == b"alac" and len(data) >= 28:
        return found._replace(channels=data[13], sample_rate=int.from_bytes(data[24:28], "big"))
    if kind == b"dOps" and len(data) >= 2:
        return found._replace(channels=data[1], sample_rate=48000)
    if kind == b"dfLa" and len(data) >= 22:
        packed = int.from_bytes(data[18:22], "big")
        return found._replace(sample_rate=packed >> 12, channels=(packed >> 9 & 7) + 1)
    if kind == b"dac3" and len(data) >= 3:
        packed = int.from_bytes(data[:3], "big")
        return found._replace(channels=_AC3_CHANNELS[packed >> 11 & 7] + (packed >> 10 & 1))
    if kind == b"dec3" and len(data) >= 5:
        packed = int.from_bytes(data[2:5], "big")
        return found._replace(channels=_AC3_CHANNELS[packed >> 9 & 7] + (packed >> 8 & 1))
    return found


class _Stream(NamedTuple):
    object_type: int = 0
    bitrate: int | None = None
    specific: bytes = b""


def _elementary_stream(data: bytes) -> _Stream:
    """ES descriptor (3), in it the decoder's configuration (4), in it what is specific to it (5)."""
    found, at = _Stream(), 0
    for _ in range(8):  # descriptors in each other and behind each other
        tag, length, at = _descriptor(data, at)
        if tag == 3 and len(data) > at + 2:
            flags = data[at + 2]
            at += 3 + (2 if flags & 0x80 else 0) + (2 if flags & 0x20 else 0)
            if flags & 0x40 and len(data) > at:
                at += 1 + data[at]
        elif tag == 4 and len(data) >= at + 13:
            found = _Stream(data[at], int.from_bytes(data[at + 9 : at + 13], "big") or None)
            at += 13
        elif tag == 5:
            return found._replace(specific=data[at : at + length])
        elif tag is None:
            break
        else:
            at += length
    return found


def _descriptor(data: bytes, at: int) -> tuple[int | None, int, int]:
    """Tag, length and where the content begins; lengths take up to four bytes of seven bits."""
    if at >= len(data):
        return None, 0, at
    tag, length = data[at], 0
    for behind in range(at + 1, min(at + 5, len(data))):
        length = length << 7 | data[behind] & 0x7F
        if data[behind] < 0x80:
            return tag, length, behind + 1
    return None, 0, at


def _audio_specific(data: bytes) -> Described:
    """Rate and channels of MPEG-4 audio as it is heard, and its codec where that is not AAC."""
    bits, left = int.from_bytes(data[:16].ljust(16, b"\0"), "big"), 128

    def take(count: int) -> int:
        nonlocal left
        left -= count
        return bits >> left & (1 << count) - 1

    def frequency() -> int | None:
        index = take(4)
        return take(24) if index == 15 else _AAC_RATES[index] if index < len(_AAC_RATES) else None

    if len(data) < 2:
        return Described()
    kind = take(5)
    if kind == 31:
        kind = 32 + take(6)
    rate, layout = frequency(), take(4)
    channels = _AAC_CHANNELS[layout] if layout < len(_AAC_CHANNELS) else None
    if kind in _AAC_SBR:
        rate = frequency() or rate
        channels = 2 if kind == 29 and channels == 1 else channels
    return Described(_NOT_AAC.get(kind), sample_rate=rate or None, channels=channels)
