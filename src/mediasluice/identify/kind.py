"""Decide what kind of thing a file is: by its first bytes, and by its name only where those leave it open.

Takes the head of a file (HEAD bytes are enough, fewer are allowed) and its name, both bytes. Gives a Kind. The
name decides between kinds that share a signature (an MP4 with or without pictures) and for formats that have none.
A name that promises media over a head that is plain text is not believed.
Fails with: nothing.
Source: the formats' own specifications; the agreement with exiftool and ffprobe is measured by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from mediasluice.model.files import Kind

HEAD = 4096  # bytes that are worth reading; measured: the first track headers of most containers lie in them

_EXTENSIONS: Mapping[Kind, str] = {
    Kind.VIDEO: (
        "mp4 m4v mov qt mkv mk3d webm avi divx wmv asf flv f4v mpg mpeg mpe m1v m2v mp2v vob ts mts m2ts "
        "m2t tod mod 3gp 3g2 ogv ogm rm rmvb mxf dv dif ivf y4m nut h264 264 avc h265 265 hevc vc1 av1 "
        "obu mjpg mjpeg mj2 mjp2 wtv dvr-ms amv insv lrv 360"
    ),
    Kind.AUDIO: (
        "mp3 mp2 mp1 mpa m4a m4b m4p m4r flac ogg oga opus spx wav wave w64 bwf rf64 aif aiff aifc aac "
        "adts wma ape wv mpc mp+ mpp tta tak ofr ofs dsf dff ac3 eac3 ec3 ac4 dts dtshd thd mlp truehd "
        "amr awb au snd caf mka weba ra mid midi kar xm it s3m voc shn la 8svx iff gsm qoa aa aax opx "
        "mtm"
    ),
    Kind.IMAGE: (
        "jpg jpeg jpe jfif png apng gif bmp dib tif tiff webp heic heif heics heifs hif avif avifs jxl "
        "jp2 j2k jpf jpx jpm j2c jpc jxr wdp hdp psd psb svg svgz ico cur icns tga pcx ppm pgm pbm pnm "
        "pam pfm exr hdr dds xcf qoi fits dcm raw dng arw srf sr2 cr2 cr3 crw nef nrw orf rw2 raf pef "
        "ptx x3f srw erf mrw mef mos kdc dcr k25 3fr fff iiq rwl gpr tbn thm xbm xpm wmf emf djvu insp"
    ),
    Kind.PDF: "pdf",
    Kind.SUBTITLE: "srt ass ssa vtt sub idx sup smi sami ttml dfxp sbv stl lrc mks",
    Kind.SIDECAR: "xmp nfo xml aae json cue pp3 dop cos",
    Kind.ARCHIVE: "zip rar 7z tar gz tgz bz2 tbz2 xz txz zst lz4 lzma lz cab iso img lzh lha arj cbz cbr cb7 par2",
}
_BY_EXTENSION: Mapping[bytes, Kind] = {
    extension.encode(): kind for kind, extensions in _EXTENSIONS.items() for extension in extensions.split()
}
_BINARY_KINDS = frozenset({Kind.VIDEO, Kind.AUDIO, Kind.IMAGE, Kind.PDF, Kind.ARCHIVE})
_TEXT_IMAGES = frozenset({b"svg", b"xbm", b"xpm", b"ppm", b"pgm", b"pbm", b"hdr", b"fits"})
_TEXT_BYTES = bytes({7, 8, 9, 10, 11, 12, 13, 27} | set(range(32, 127)) | set(range(128, 256)))
_ZIP_DOCUMENTS = frozenset(b"docx xlsx pptx odt ods odp odg epub jar apk ipa xpi whl key pages numbers".split())

_Rule = Kind | Callable[[bytes, bytes], Kind | None]


def kind_of(head: bytes, name: bytes) -> Kind:
    """Kind of the file that begins with ``head`` and is called ``name``."""
    extension = name[name.rfind(b".") + 1 :].lower() if b"." in name[1:] else b""
    rule = _BY_FIRST_FOUR.get(head[:4]) or _BY_FIRST_TWO.get(head[:2])
    found = rule if rule is None or isinstance(rule, Kind) else rule(head, extension)
    return found or _by_later_bytes(head, extension) or _by_text_or_name(head, extension)


def misnamed(kind: Kind, name: bytes) -> Kind | None:
    """The kind that a name promises, where the content is of another one; only media, documents and archives count."""
    named = _BY_EXTENSION.get(name[name.rfind(b".") + 1 :].lower()) if b"." in name[1:] else None
    return named if named in _BINARY_KINDS and named is not kind else None


def _named(*allowed: Kind, default: Kind) -> Callable[[bytes, bytes], Kind]:
    """The name's word, where it is one of those that this signature allows."""

    def rule(head: bytes, extension: bytes) -> Kind:  # noqa: ARG001 - the signature has been seen already
        named = _BY_EXTENSION.get(extension)
        return named if named in allowed else default

    return rule


_audio_or_video = _named(Kind.AUDIO, Kind.VIDEO, default=Kind.VIDEO)


# --- containers whose first bytes do not say what is inside


def _riff(head: bytes, extension: bytes) -> Kind | None:
    form = head[8:12]
    if form in {b"WAVE", b"RMID", b"sfbk"}:
        return Kind.AUDIO
    if form in {b"WEBP", b"ACON"}:
        return Kind.IMAGE
    if form == b"AVI ":
        return Kind.VIDEO
    if form == b"CDXA":
        return _named(Kind.SUBTITLE, default=Kind.VIDEO)(head, extension)
    return None


def _iff(head: bytes, extension: bytes) -> Kind | None:  # noqa: ARG001 - a rule takes both
    form = head[8:12]
    if form in {b"AIFF", b"AIFC", b"8SVX", b"16SV", b"MAUD", b"SMUS"}:
        return Kind.AUDIO
    if form in {b"ILBM", b"PBM ", b"ACBM"}:
        return Kind.IMAGE
    return Kind.VIDEO if form == b"ANIM" else None


_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B ", b"aax ", b"aaxc"})
_IMAGE_BRANDS = frozenset(
    {
        b"heic",
        b"heix",
        b"heim",
        b"heis",
        b"hevc",
        b"hevx",
        b"mif1",
        b"mif2",
        b"msf1",
        b"avif",
        b"avis",
        b"avio",
        b"crx ",
        b"jp2 ",
        b"jpx ",
    }
)


def _iso_media(head: bytes, extension: bytes) -> Kind:
    """ISO base media and QuickTime: by brand, by the tracks where they come first, by name."""
    brand = head[8:12]
    if head[4:8] == b"ftyp":
        if brand in _IMAGE_BRANDS:
            return Kind.IMAGE
        if brand in _AUDIO_BRANDS:
            return Kind.AUDIO
    if b"hdlr" in head and re.search(rb"hdlr.{8}vide", head, re.DOTALL):
        # An audio book's chapter pictures are a video track as well; its name knows better.
        return _named(Kind.AUDIO, default=Kind.VIDEO)(head, extension)
    moov = head.find(b"moov")
    if moov >= 4 and moov - 4 + int.from_bytes(head[moov - 4 : moov], "big") <= len(head) and b"soun" in head:
        return Kind.AUDIO
    return _audio_or_video(head, extension)


def _jpeg2000(head: bytes, extension: bytes) -> Kind:  # noqa: ARG001 - a rule takes both
    return Kind.VIDEO if head[20:24] == b"mjp2" else Kind.IMAGE


def _matroska(head: bytes, extension: bytes) -> Kind:
    """Matroska and WebM: by the codecs in the track list, by name where the list goes on beyond the head."""
    if re.search(rb"\x86[\x81-\xbf]V_", head):
        return Kind.VIDEO
    tracks = re.search(rb"(?<!S\xab\x84)\x16T\xaek", head)  # the list itself, not the index entry that points to it
    if tracks and len(head) >= tracks.end() + 8:
        width = 9 - head[tracks.end()].bit_length()  # bytes of the length: one more than its leading zero bits
        start = tracks.end() + width
        length = int.from_bytes(head[tracks.end() : start], "big") & ((1 << 7 * width) - 1)
        if start + length <= len(head):
            listed = head[start : start + length]
            return Kind.AUDIO if b"A_" in listed else Kind.SUBTITLE if b"S_" in listed else Kind.VIDEO
    return _named(Kind.AUDIO, Kind.SUBTITLE, default=Kind.VIDEO)(head, extension)


def _ogg(head: bytes, extension: bytes) -> Kind:  # noqa: ARG001 - a rule takes both
    """Ogg: all streams begin before any goes on, so the head names their codecs."""
    return Kind.VIDEO if re.search(rb"\x80theora|\x01video|BBCD\x00|OVP80|KW-DIRAC", head) else Kind.AUDIO


_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_ASF_AUDIO = bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b")


def _asf(head: bytes, extension: bytes) -> Kind:
    """Windows Media: by the stream types in the header object, by name where it is longer than the head."""
    if _ASF_VIDEO in head:
        return Kind.VIDEO
    if _ASF_AUDIO in head and int.from_bytes(head[16:24], "little") <= len(head):
        return Kind.AUDIO
    return _audio_or_video(head, extension)


def _flash_video(head: bytes, extension: bytes) -> Kind:  # noqa: ARG001 - a rule takes both
    return Kind.AUDIO if head[4:5] == b"\x04" else Kind.VIDEO


def _zip(head: bytes, extension: bytes) -> Kind:
    if extension in _ZIP_DOCUMENTS or head[30:38] == b"mimetype":
        return Kind.OTHER
    return Kind.ARCHIVE


def _mpeg_audio(head: bytes, extension: bytes) -> Kind | None:
    """MPEG audio and AAC frames: a weak signature of eleven bits, so it wants a second frame or a fitting name."""
    named = _BY_EXTENSION.get(extension)
    if len(head) < 4 or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:  # ADTS: no layer
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) > 5 else 0
    else:
        length = _mpeg_frame_length(head)
    if not length:
        return None
    follows = head[length : length + 2]
    if len(follows) == 2:
        is_frame = follows[0] == 0xFF and follows[1] & 0xE0 == 0xE0
        return Kind.AUDIO if is_frame or named is Kind.AUDIO else None
    return Kind.AUDIO if named in {None, Kind.AUDIO} else None


_BITRATES = {  # kbit/s by (is MPEG-1, layer); ISO 11172-3 and 13818-3
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _mpeg_frame_length(head: bytes) -> int:
    """Bytes of the frame that begins here; 0 where the header is not one."""
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, frequency, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate in {0, 15} or frequency == 3:
        return 0
    bits = _BITRATES[version == 3, layer][rate] * 1000
    hertz = (44100, 48000, 32000)[frequency] >> {3: 0, 2: 1, 0: 2}[version]
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def _bitmap(head: bytes, extension: bytes) -> Kind | None:
    """Windows bitmap: two letters are a weak signature; the length of the second header confirms it."""
    is_header = int.from_bytes(head[14:18], "little") in {12, 16, 40, 52, 56, 64, 108, 124}
    return Kind.IMAGE if is_header or extension in {b"bmp", b"dib"} else None


def _icon(head: bytes, extension: bytes) -> Kind | None:  # noqa: ARG001 - a rule takes both
    count = int.from_bytes(head[4:6], "little")
    return Kind.IMAGE if 0 < count <= 64 and head[9:10] == b"\0" else None


def _presentation_graphics(head: bytes, extension: bytes) -> Kind | None:  # noqa: ARG001 - a rule takes both
    return Kind.SUBTITLE if head[10:11] in {b"\x14", b"\x15", b"\x16", b"\x17", b"\x80"} else None


def _portable_map(head: bytes, extension: bytes) -> Kind | None:  # noqa: ARG001 - a rule takes both
    return Kind.IMAGE if re.match(rb"P[1-7Ff][ \t\r\n]", head) else None


_program_stream = _named(Kind.SUBTITLE, Kind.AUDIO, default=Kind.VIDEO)  # VobSub is one; a .mod or .sub may be either

_BY_FIRST_FOUR: Mapping[bytes, _Rule] = {
    b"\x89PNG": Kind.IMAGE,
    b"\x8bJNG": Kind.IMAGE,
    b"\x8aMNG": Kind.VIDEO,
    b"GIF8": Kind.IMAGE,
    b"II*\0": Kind.IMAGE,  # TIFF, and most raw photographs
    b"MM\0*": Kind.IMAGE,
    b"II+\0": Kind.IMAGE,  # BigTIFF
    b"MM\0+": Kind.IMAGE,
    b"IIU\0": Kind.IMAGE,  # Panasonic
    b"IIRO": Kind.IMAGE,  # Olympus
    b"IIRS": Kind.IMAGE,
    b"MMOR": Kind.IMAGE,
    b"II\xbc\x01": Kind.IMAGE,  # JPEG XR
    b"FUJI": Kind.IMAGE,
    b"FOVb": Kind.IMAGE,
    b"\0MRM": Kind.IMAGE,
    b"8BPS": Kind.IMAGE,
    b"\xff\x4f\xff\x51": Kind.IMAGE,  # JPEG 2000 code stream
    b"\0\0\x01\0": _icon,
    b"\0\0\x02\0": _icon,
    b"v/1\x01": Kind.IMAGE,  # OpenEXR
    b"qoif": Kind.IMAGE,
    b"DDS ": Kind.IMAGE,
    b"gimp": Kind.IMAGE,
    b"icns": Kind.IMAGE,
    b"FLIF": Kind.IMAGE,
    b"BPG\xfb": Kind.IMAGE,
    b"#?RA": Kind.IMAGE,  # Radiance
    b"AT&T": Kind.IMAGE,  # DjVu
    b"SDPX": Kind.IMAGE,
    b"XPDS": Kind.IMAGE,
    b"\xd7\xcd\xc6\x9a": Kind.IMAGE,  # Windows metafile
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": Kind.AUDIO,
    b"BW64": Kind.AUDIO,
    b"riff": Kind.AUDIO,  # Wave64
    b"FORM": _iff,
    b"fLaC": Kind.AUDIO,
    b"ID3\x02": Kind.AUDIO,
    b"ID3\x03": Kind.AUDIO,
    b"ID3\x04": Kind.AUDIO,
    b"wvpk": Kind.AUDIO,
    b"MAC ": Kind.AUDIO,
    b"MPCK": Kind.AUDIO,
    b"MP+\x07": Kind.AUDIO,
    b"MP+\x17": Kind.AUDIO,
    b"TTA1": Kind.AUDIO,
    b"TTA2": Kind.AUDIO,
    b"tBaK": Kind.AUDIO,
    b"OFR ": Kind.AUDIO,
    b"DSD ": Kind.AUDIO,
    b"FRM8": Kind.AUDIO,
    b"#!AM": Kind.AUDIO,  # AMR
    b".snd": Kind.AUDIO,
    b"caff": Kind.AUDIO,
    b"MThd": Kind.AUDIO,
    b"Exte": Kind.AUDIO,  # Extended Module
    b"IMPM": Kind.AUDIO,
    b"ajkg": Kind.AUDIO,
    b"qoaf": Kind.AUDIO,
    b".ra\xfd": Kind.AUDIO,
    b"Crea": Kind.AUDIO,  # Creative Voice File
    b"\x7f\xfe\x80\x01": Kind.AUDIO,  # DTS, in its four byte orders
    b"\xfe\x7f\x01\x80": Kind.AUDIO,
    b"\x1f\xff\xe8\0": Kind.AUDIO,
    b"\xff\x1f\0\xe8": Kind.AUDIO,
    b"DTSH": Kind.AUDIO,
    b"OggS": _ogg,
    b"\x1a\x45\xdf\xa3": _matroska,
    b"0&\xb2u": _asf,
    b"FLV\x01": _flash_video,
    b".RMF": _audio_or_video,
    b"\0\0\x01\xba": _program_stream,
    b"\0\0\x01\xb3": Kind.VIDEO,
    b"\x06\x0e+4": _named(Kind.AUDIO, default=Kind.VIDEO),  # MXF
    b"DKIF": Kind.VIDEO,
    b"YUV4": Kind.VIDEO,
    b"nut/": Kind.VIDEO,
    b"PK\x03\x04": _zip,
    b"PK\x05\x06": Kind.ARCHIVE,
    b"Rar!": Kind.ARCHIVE,
    b"7z\xbc\xaf": Kind.ARCHIVE,
    b"\xfd7zX": Kind.ARCHIVE,
    b"(\xb5/\xfd": Kind.ARCHIVE,  # Zstandard
    b"\x04\x22\x4d\x18": Kind.ARCHIVE,  # LZ4
    b"MSCF": Kind.ARCHIVE,
    b"LZIP": Kind.ARCHIVE,
    b"xar!": Kind.ARCHIVE,
    b"PAR2": Kind.ARCHIVE,
    b"[Scr": Kind.SUBTITLE,  # [Script Info]
    b"WEBV": Kind.SUBTITLE,
}

_BY_FIRST_TWO: Mapping[bytes, _Rule] = {
    b"\xff\xd8": Kind.IMAGE,
    b"\xff\x0a": Kind.IMAGE,  # JPEG XL code stream
    b"BM": _bitmap,
    b"\x0bw": Kind.AUDIO,  # AC-3
    b"PG": _presentation_graphics,
    b"\x1f\x8b": Kind.ARCHIVE,
    b"BZ": Kind.ARCHIVE,
    **{b"P%c" % number: _portable_map for number in b"1234567Ff"},
    **{bytes((0xFF, second)): _mpeg_audio for second in range(0xE0, 0x100)},
}


# --- signatures that do not stand at the beginning

_ISO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"pnot", b"skip", b"free", b"styp", b"sidx"})


def _by_later_bytes(head: bytes, extension: bytes) -> Kind | None:
    box = head[4:8]
    if box in _ISO_BOXES:
        return _iso_media(head, extension)
    if box == b"jP  ":
        return _jpeg2000(head, extension)
    if box == b"JXL " or head[6:14] == b"HEAPCCDR" or head[128:132] == b"DICM" or head[40:44] == b" EMF":
        return Kind.IMAGE
    if box in {b"\xf8\x72\x6f\xba", b"\xf8\x72\x6f\xbb"} or head[44:48] == b"SCRM":  # TrueHD, MLP; ScreamTracker
        return Kind.AUDIO
    if head[:1] == b"\x47" and head[188:189] == b"\x47" and head[376:377] in {b"\x47", b""}:
        return Kind.VIDEO  # MPEG transport stream
    if head[4:5] == b"\x47" and head[196:197] == b"\x47" and head[388:389] in {b"\x47", b""}:
        return Kind.VIDEO  # the same with time stamps, as cameras and discs write it
    if head[257:262] == b"ustar" or head[2:5] in {b"-lh", b"-lz"}:
        return Kind.ARCHIVE
    if head.find(b"%PDF-", 0, 1024) >= 0:
        return Kind.PDF
    if (
        head[:4] == b"\0\0\0\x01"
        and head[4:5]
        and head[4] & 0x1F in {7, 9}
        and _BY_EXTENSION.get(extension) is Kind.VIDEO
    ):
        return Kind.VIDEO  # H.264 without a container
    return None


_TEXT_SIGNATURES = (
    (
        re.compile(
            rb"WEBVTT|\[Script Info\]|\d+[ \t]*\r?\n\d{1,2}:\d\d:\d\d[,.]\d{1,3} *-->"  # SubRip
            rb"|\{\d+\}\{\d+\}|# VobSub index|<SAMI",
            re.IGNORECASE,
        ),
        Kind.SUBTITLE,
    ),
    (re.compile(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<(\w+:)?svg[\s>]", re.DOTALL), Kind.IMAGE),
    (re.compile(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(tt:)?tt[\s>]", re.DOTALL), Kind.SUBTITLE),
    (re.compile(rb"(<\?xml[^>]*>\s*)?(<\?xpacket|<x:xmpmeta|<rdf:RDF)"), Kind.SIDECAR),
    (re.compile(rb"/\* XPM \*/|SIMPLE  ="), Kind.IMAGE),
)


def _by_text_or_name(head: bytes, extension: bytes) -> Kind:
    named = _BY_EXTENSION.get(extension, Kind.OTHER)
    if head[:64].translate(None, _TEXT_BYTES) or head.translate(None, _TEXT_BYTES):  # the short look mostly decides
        return named  # binary, of a format without a signature that is known here
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for signature, kind in _TEXT_SIGNATURES:
        if signature.match(start):
            return kind
    return Kind.OTHER if head and named in _BINARY_KINDS and extension not in _TEXT_IMAGES else named
