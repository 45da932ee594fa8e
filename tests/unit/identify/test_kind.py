from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mediasluice.identify.kind import HEAD, kind_of, misnamed
from mediasluice.model.files import Kind

EBML = b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska"
TRACKS = b"\x16\x54\xae\x6b"


def iso(brand: bytes, rest: bytes = b"") -> bytes:
    return b"\0\0\0\x14ftyp" + brand + b"\0\0\0\0" + brand + rest


def box(name: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + name + body


def track(handler: bytes) -> bytes:
    return box(b"moov", box(b"hdlr", bytes(8) + handler + bytes(12)))


def ogg(packet: bytes) -> bytes:
    return b"OggS\0\x02" + bytes(21) + b"\x1e" + packet


def mp3_frame() -> bytes:
    return b"\xff\xfb\x90\x00" + bytes(413)


SIGNATURES = {
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF", Kind.IMAGE),
    "png": (b"\x89PNG\r\n\x1a\n", Kind.IMAGE),
    "gif": (b"GIF89a", Kind.IMAGE),
    "webp": (b"RIFF\0\0\0\0WEBPVP8 ", Kind.IMAGE),
    "heic": (iso(b"heic"), Kind.IMAGE),
    "avif": (iso(b"avif"), Kind.IMAGE),
    "canon raw": (iso(b"crx "), Kind.IMAGE),
    "jpeg xl": (b"\0\0\0\x0cJXL \r\n\x87\n", Kind.IMAGE),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ", Kind.IMAGE),
    "motion jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2", Kind.VIDEO),
    "bitmap": (b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Kind.IMAGE),
    "icon": (b"\0\0\x01\0\x01\0\x10\x10\0\0", Kind.IMAGE),
    "svg": (b'<?xml version="1.0"?>\n<!-- made -->\n<svg xmlns="x">', Kind.IMAGE),
    "portable map": (b"P5\n2 2\n255\n\0\0\0\0", Kind.IMAGE),
    "mp4": (iso(b"isom"), Kind.VIDEO),
    "mp4 with pictures": (iso(b"isom", track(b"vide")), Kind.VIDEO),
    "mp4 with sound only": (iso(b"isom", track(b"soun")), Kind.AUDIO),
    "m4a": (iso(b"M4A "), Kind.AUDIO),
    "old quicktime": (b"\0\0\0\x08wide\0\0\0\0mdat", Kind.VIDEO),
    "matroska": (EBML, Kind.VIDEO),
    "matroska with pictures": (EBML + TRACKS + b"\x88\x86\x86V_VP90", Kind.VIDEO),
    "matroska with sound only": (EBML + TRACKS + b"\x88\x86\x86A_OPUS" + bytes(9), Kind.AUDIO),
    "avi": (b"RIFF\0\0\0\0AVI LIST", Kind.VIDEO),
    "flash": (b"FLV\x01\x05\0\0\0\x09", Kind.VIDEO),
    "flash with sound only": (b"FLV\x01\x04\0\0\0\x09", Kind.AUDIO),
    "program stream": (b"\0\0\x01\xba\x44", Kind.VIDEO),
    "transport stream": ((b"\x47" + bytes(187)) * 3, Kind.VIDEO),
    "camera transport stream": ((bytes(4) + b"\x47" + bytes(187)) * 3, Kind.VIDEO),
    "ogg theora": (ogg(b"\x80theora\x03"), Kind.VIDEO),
    "ogg vorbis": (ogg(b"\x01vorbis"), Kind.AUDIO),
    "opus": (ogg(b"OpusHead"), Kind.AUDIO),
    "wav": (b"RIFF\0\0\0\0WAVEfmt ", Kind.AUDIO),
    "aiff": (b"FORM\0\0\0\0AIFFCOMM", Kind.AUDIO),
    "picture in the same wrapper": (b"FORM\0\0\0\0ILBMBMHD", Kind.IMAGE),
    "flac": (b"fLaC\0\0\0\x22", Kind.AUDIO),
    "tagged mp3": (b"ID3\x03\0\0\0\0\0\0", Kind.AUDIO),
    "bare mp3": (mp3_frame() * 2, Kind.AUDIO),
    "aac": ((b"\xff\xf1\x50\x80\x01\x1f\xfc" + bytes(1)) * 2, Kind.AUDIO),
    "ac-3": (b"\x0bw\0\0", Kind.AUDIO),
    "amr": (b"#!AMR\n", Kind.AUDIO),
    "windows media with pictures": (
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
        + bytes(14)
        + bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b"),
        Kind.VIDEO,
    ),
    "windows media with sound only": (
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
        + bytes(14)
        + bytes.fromhex("409e69f84d5bcf11a8fd00805f5c442b"),
        Kind.AUDIO,
    ),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", Kind.PDF),
    "pdf behind a byte order mark": (b"\xef\xbb\xbf%PDF-1.4\n", Kind.PDF),
    "zip": (b"PK\x03\x04\x14\0", Kind.ARCHIVE),
    "rar": (b"Rar!\x1a\x07\x01\0", Kind.ARCHIVE),
    "gzip": (b"\x1f\x8b\x08\0", Kind.ARCHIVE),
    "tar": (b"name".ljust(257, b"\0") + b"ustar\x0000", Kind.ARCHIVE),
    "subrip": (b"\xef\xbb\xbf1\r\n00:00:01,000 --> 00:00:02,000\r\nHello", Kind.SUBTITLE),
    "web subtitles": (b"WEBVTT\n\n", Kind.SUBTITLE),
    "substation": (b"[Script Info]\r\nTitle: x", Kind.SUBTITLE),
    "timed text": (b'<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml">', Kind.SUBTITLE),
    "xmp": (b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta>', Kind.SIDECAR),
    "text": (b"Dear reader,\n", Kind.OTHER),
    "noise": (b"\x00\x01\x02\x03\x04\x05\x06\x07", Kind.OTHER),
    "nothing": (b"", Kind.OTHER),
}


@pytest.mark.parametrize(("head", "kind"), SIGNATURES.values(), ids=SIGNATURES)
def test_content_alone_decides(head: bytes, kind: Kind) -> None:
    """Each format is known by its first bytes, without a name that helps (S0-43)."""
    assert kind_of(head, b"file") == kind


@pytest.mark.parametrize("name", [b"x.mp4", b"x.mp3", b"x.zip", b"x.txt", b"x.jpg.part"])
def test_content_wins_over_the_name(name: bytes) -> None:
    """A JPEG is a picture and a FLAC is sound, whatever they are called (S0-43)."""
    assert kind_of(b"\xff\xd8\xff\xe0\0\x10JFIF", name) == Kind.IMAGE
    assert kind_of(b"fLaC\0\0\0\x22", name) == Kind.AUDIO


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (iso(b"isom"), b"song.m4a", Kind.AUDIO),
        (iso(b"isom", track(b"vide")), b"book.m4b", Kind.AUDIO),
        (EBML, b"song.mka", Kind.AUDIO),
        (EBML, b"film.mks", Kind.SUBTITLE),
        (b"\0\0\x01\xba\x44", b"film.sub", Kind.SUBTITLE),
        (bytes.fromhex("3026b2758e66cf11"), b"song.WMA", Kind.AUDIO),
        (b"PK\x03\x04\x14\0", b"letter.docx", Kind.OTHER),
        (mp3_frame(), b"song.mp3", Kind.AUDIO),
        (b"\xff\xfe1\0\r\0\n\0", b"film.srt", Kind.SUBTITLE),
        (b"\x01\x02\x03\x04\xff\xff", b"old.nef", Kind.IMAGE),
        (b"<movie><title>x</title></movie>", b"film.nfo", Kind.SIDECAR),
        (b'{"title": "x"}', b"IMG_0001.JPG.json", Kind.SIDECAR),
        (b"[00:12.00]la", b"song.lrc", Kind.SUBTITLE),
    ],
)
def test_the_name_decides_where_the_content_leaves_it_open(head: bytes, name: bytes, kind: Kind) -> None:
    """Formats that share a signature, or have none, are told apart by the extension, in upper and lower case."""
    assert kind_of(head, name) == kind


@pytest.mark.parametrize("name", [b"x.jpg", b"x.mp4", b"x.mp3", b"x.pdf", b"x.zip"])
def test_text_is_not_media(name: bytes) -> None:
    """An error page saved under the name of a film is not a film."""
    assert kind_of(b"<!DOCTYPE html><html>404</html>", name) == Kind.OTHER


@pytest.mark.parametrize(
    ("kind", "name", "promised"),
    [
        (Kind.OTHER, b"song.mp3", Kind.AUDIO),
        (Kind.IMAGE, b"Song.MP3", Kind.AUDIO),
        (Kind.ARCHIVE, b"holiday.jpg", Kind.IMAGE),
        (Kind.AUDIO, b"song.mp3", None),
        (Kind.OTHER, b"notes.txt", None),
        (Kind.OTHER, b"notes.xmp", None),
        (Kind.OTHER, b".mp3", None),
        (Kind.OTHER, b"", None),
    ],
)
def test_a_name_that_promises_something_else(kind: Kind, name: bytes, promised: Kind | None) -> None:
    """The kind that a name promises is told where the content is of another one, and only of media and the like."""
    assert misnamed(kind, name) is promised


@pytest.mark.parametrize("name", [b"", b".", b".mp4", b"mp4", b"x.", b"\xff\xfe.\xff", b"a.b.c.mkv"])
def test_any_name_gives_a_kind(name: bytes) -> None:
    """A name without an extension, or with undecodable bytes, is no reason to fail."""
    assert kind_of(b"\0\x01", name) in {Kind.OTHER, Kind.VIDEO}


@pytest.mark.parametrize(("head", "kind"), SIGNATURES.values(), ids=SIGNATURES)
def test_any_head_gives_a_kind(head: bytes, kind: Kind) -> None:
    """A head may end anywhere."""
    for end in range(min(len(head), 64)):
        assert isinstance(kind_of(head[:end], b"file.bin"), Kind)


def truth(entry: dict[str, Any]) -> Kind | None:
    """What exiftool and ffprobe say; None where neither knows the file."""
    mime = entry.get("exiftool", {}).get("MIMEType", "")
    streams = entry.get("ffprobe", {})
    if mime.startswith("image/"):
        return Kind.IMAGE
    picture = streams.get("vcodec") not in {None, "mjpeg", "png", "gif", "bmp"}  # those are covers
    if picture and streams["vcodec"].startswith("iff_"):
        return Kind.IMAGE
    if picture or (mime.startswith("video/") and not streams.get("acodec")):
        return Kind.VIDEO
    if streams.get("acodec"):
        return Kind.AUDIO
    return {"sidecar": Kind.SIDECAR, "doc": Kind.PDF}.get(entry["kind"])


def test_real_files(corpus: Path) -> None:
    """At least 97 of 100 real media files get the kind that exiftool and ffprobe give them, by content and name."""
    folder = corpus if (corpus / "manifest.jsonl").exists() else corpus.parent
    wrong, known = [], 0
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        expected = truth(entry)
        if expected is None:
            continue
        with (folder / "files" / entry["file"]).open("rb") as file:
            found = kind_of(file.read(HEAD), Path(entry["path"]).name.encode())
        known += 1
        if found != expected:
            wrong.append((entry["path"], expected.value, found.value))
    assert known > 800
    assert len(wrong) / known <= 0.03, wrong
