"""Say which container a file is: the demuxer that its first bytes ask for, our short name for it, and its media type.

Takes an open file, or a name of FFmpeg's. Fails with: nothing; what is unknown has no demuxer and no type.
Source: the signatures are those of the formats' own descriptions; IANA's registry of media types, and where it has
none, the names that are in use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mediasluice.identify.opened import Opened
from mediasluice.identify.readers import mpegaudio
from mediasluice.model.files import Kind

_SECONDS_MIN, _SECONDS_MAX = 1e-6, 1e7  # chosen: half a sample, and 115 days; another duration is damage

DEMUXERS = (
    "aac,ac3,ac4,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,av1,avi,caf,dsf,dts,dtshd,dv,eac3,flac,flv,gsm,h263,h264,hevc,iff,"
    "ivf,live_flv,loas,m4v,matroska,mjpeg,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,oma,qoa,rm,shn,tak,"
    "truehd,tta,vc1,voc,vvc,w64,wav,wtv,wv,yuv4mpegpipe"
)
"""Formats that hold all of their content, as far as people have files in them. None of them names another file: no
playlists, no lists of images, no descriptions of sessions."""

_SIGNATURES: Mapping[bytes, str] = {
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"RF64": "wav",
    b"BW64": "wav",
    b"riff": "w64",
    b"\x1a\x45\xdf\xa3": "matroska",
    b"0&\xb2u": "asf",
    b"FLV\x01": "flv",
    b"MAC ": "ape",
    b"wvpk": "wv",
    b"MPCK": "mpc8",
    b"MP+\x07": "mpc",
    b"TTA1": "tta",
    b"tBaK": "tak",
    b"DSD ": "dsf",
    b"FRM8": "iff",
    b"caff": "caf",
    b".snd": "au",
    b"#!AM": "amr",
    b"\0\0\x01\xba": "mpeg",
}
_FORMS: Mapping[bytes, str] = {
    b"RIFFWAVE": "wav",
    b"RIFFAVI ": "avi",
    b"FORMAIFF": "aiff",
    b"FORMAIFC": "aiff",
    b"FORM8SVX": "iff",
}
_BEHIND_ID3: Mapping[bytes, str] = {b"fLaC": "flac", b"TTA1": "tta", b"MAC ": "ape", b"wvpk": "wv", b"tBaK": "tak"}
_ISO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp", b"sidx"})
_PACKETS = ((0, 188), (4, 192))  # of a transport stream: where the first begins, and how long each is; with a time
_FRAMES = 16 << 10  # bytes, chosen: two frames of any MPEG audio; those of ADTS have at most 8191, most some hundred

_CONTAINERS: Mapping[str, str] = {  # by the first of the names that FFmpeg has for a format
    "amrnb": "amr",
    "amrwb": "amr",
    "asf_o": "asf",
    "live_flv": "flv",
    "mpc8": "mpc",
    "mov": "mp4",
}
_QUICKTIME = frozenset({"mp4", "mov", "3gp"})
_MIMES: Mapping[str, tuple[str, str]] = {  # of sound, of film
    "3gp": ("audio/3gpp", "video/3gpp"),
    "aac": ("audio/aac", ""),
    "ac3": ("audio/ac3", ""),
    "aiff": ("audio/aiff", ""),
    "amr": ("audio/amr", ""),
    "ape": ("audio/x-ape", ""),
    "asf": ("audio/x-ms-wma", "video/x-ms-wmv"),
    "au": ("audio/basic", ""),
    "avi": ("video/x-msvideo", "video/x-msvideo"),
    "caf": ("audio/x-caf", ""),
    "dsf": ("audio/x-dsf", ""),
    "dts": ("audio/vnd.dts", ""),
    "eac3": ("audio/eac3", ""),
    "flac": ("audio/flac", ""),
    "flv": ("video/x-flv", "video/x-flv"),
    "matroska": ("audio/x-matroska", "video/x-matroska"),
    "mov": ("video/quicktime", "video/quicktime"),
    "mp3": ("audio/mpeg", ""),
    "mp4": ("audio/mp4", "video/mp4"),
    "mpc": ("audio/x-musepack", ""),
    "mpeg": ("video/mpeg", "video/mpeg"),
    "mpegts": ("video/mp2t", "video/mp2t"),
    "mpegvideo": ("", "video/mpeg"),
    "mxf": ("application/mxf", "application/mxf"),
    "ogg": ("audio/ogg", "video/ogg"),
    "rm": ("audio/vnd.rn-realaudio", "application/vnd.rn-realmedia"),
    "tta": ("audio/x-tta", ""),
    "w64": ("audio/x-w64", ""),
    "wav": ("audio/x-wav", ""),
    "webm": ("audio/webm", "video/webm"),
    "wv": ("audio/x-wavpack", ""),
}


def seconds(units: float, scale: float = 1) -> float | None:
    """A duration in units of which ``scale`` are a second, where it is one."""
    found = units / scale if scale > 0 else 0
    return found if _SECONDS_MIN <= found <= _SECONDS_MAX else None


def demuxer(file: Opened) -> str | None:
    """The demuxer that the first bytes ask for; None where they are not clear and FFmpeg has to probe."""
    head = file.head
    found = _SIGNATURES.get(head[:4]) or _FORMS.get(head[:4] + head[8:12])
    if found:
        return found
    if head[4:8] in _ISO_BOXES:
        return "mov"
    if any(head[at : at + 1 + 2 * size : size] == b"GGG" for at, size in _PACKETS):
        return "mpegts"
    return _of_frames(file)


def _of_frames(file: Opened) -> str | None:
    """MPEG audio by two frames. Tags in front may hold pictures: to probe through them is what would take long."""
    at = mpegaudio.behind_id3(file)
    found = mpegaudio.starts(file.pread(_FRAMES, at))
    if found is not None:
        return "aac" if found.codec == "aac" else "mp3"
    magic = file.pread(4, at) if at else b""
    if magic[:2] == b"\x0bw":
        return "ac3"
    return _BEHIND_ID3.get(magic, "mp3" if at and file.extension == b"mp3" else None)


def container(file: Opened, name: str) -> str:
    """Our name of a container, by FFmpeg's name and by what the file itself says."""
    name = name.partition(",")[0]
    name = _CONTAINERS.get(name, name)
    if name == "mp4":
        return of_quicktime(file)
    return "webm" if name == "matroska" and is_webm(file) else name


def of_quicktime(file: Opened) -> str:
    """``mp4``, ``mov`` or ``3gp``, by the brand; a file without one is older than brands are."""
    if file.head[4:8] != b"ftyp" or file.head[8:12] == b"qt  ":
        return "mov"
    return "3gp" if file.head[8:10] == b"3g" else "mp4"


def is_webm(file: Opened) -> bool:
    return re.search(rb"\x42\x82.{1,8}webm", file.head[:64], re.DOTALL) is not None


def is_of_quicktime(name: str) -> bool:
    return name in _QUICKTIME


def mime(name: str, kind: Kind, *, has_video: bool) -> str | None:
    """The media type. A file of sound is one although it holds pictures, of its cover or of its chapters."""
    sound, film = _MIMES.get(name, ("", ""))
    is_film = has_video and kind is not Kind.AUDIO
    return (film if is_film else sound) or film or sound or None
