"""Read a PNG: size, animation, and what stands in its text and Exif chunks.

Takes an open file. Gives a :class:`Still`. Reads headers of chunks and the bodies of the wanted ones; a long picture's
data, which is cut into equal chunks, is passed over by halving and not one by one.
Fails with: ``Refused``, where no PNG begins. Source: W3C PNG, third edition; the raw profiles of ImageMagick, which
are hexadecimal digits in a text chunk.
"""

from __future__ import annotations

import re
import zlib

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif, iptc
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.ifd import decoded
from mediasluice.identify.readers.iptc import IptcFacts
from mediasluice.identify.readers.still import Still

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNKS_MAX = 10_000  # chosen: frames of an animation are two each
_BODY_MAX = 4 << 20  # bytes of one chunk; chosen: a raw profile has two digits a byte, and Exif up to 64 KiB
_TEXT_MAX = 4 << 20  # bytes of one text when it is unpacked; chosen as above: it is what a bomb may take
_BODIES_MAX = 16 << 20  # bytes of all of them; chosen: a file of nothing but such chunks
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_PROFILE = re.compile(rb"\n[^\n]{0,100}\n\s{0,20}\d{1,10}\n")


def read(file: Opened) -> Still:
    """Read a PNG, also an animated one."""
    head = file.pread(33, 0)
    if head[:8] != SIGNATURE or head[12:16] != b"IHDR" or len(head) < 24:
        raise Refused("no PNG: it does not begin like one")
    found = _Chunks(file)
    return Still(
        "apng" if found.is_animated else "png",
        "image/apng" if found.is_animated else "image/png",
        int.from_bytes(head[16:20], "big") or None,
        int.from_bytes(head[20:24], "big") or None,
        exif=found.exif,
        packet=found.packet,
        iptc=found.iptc,
        duration=round(found.duration, 3) or None,
        title=found.texts.get(b"title"),
        artist=found.texts.get(b"author"),
        error=found.error,
    )


class _Chunks:
    """What the wanted chunks hold."""

    def __init__(self, file: Opened) -> None:
        self.exif: ExifFacts | None = None
        self.packet = b""
        self.iptc: IptcFacts | None = None
        self.texts: dict[bytes, str] = {}
        self.is_animated = False
        self.duration = 0.0
        self.error: str | None = "png: it ends before its last chunk"
        self._left = _BODIES_MAX
        position, passed = 8, False
        for _ in range(CHUNKS_MAX):
            header = file.pread(8, position)
            if len(header) < 8 or not header[4:].isalpha():
                return
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            if kind == b"IEND":
                break
            if kind == b"IDAT" and not passed:
                passed = True
                position = _last_alike(file, position, header, length + 12)
            elif kind in _TEXTS:
                if file.pread(min(length, 80), position + 8).lower().startswith(_KEYWORDS):
                    self._take(kind, self._body(file, position + 8, length))
            elif kind in _WANTED:
                self._take(kind, self._body(file, position + 8, length))
            position += length + 12
        self.error = None

    def _body(self, file: Opened, position: int, length: int) -> bytes:
        self._left -= min(length, _BODY_MAX)
        return file.pread(min(length, _BODY_MAX), position) if self._left > 0 else b""

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == b"eXIf":
            self._exif(body)
        elif kind == b"acTL":
            self.is_animated = int.from_bytes(body[:4], "big") > 0
        elif kind == b"fcTL":
            share = int.from_bytes(body[22:24], "big") or 100
            self.duration += int.from_bytes(body[20:22], "big") / share
        else:
            keyword, _, rest = body.partition(b"\0")
            text = _unpacked(kind, rest)
            self._left -= len(text)
            self._text(keyword.lower(), text)

    def _text(self, keyword: bytes, text: bytes) -> None:
        if keyword == b"xml:com.adobe.xmp":
            self.packet = self.packet or text
        elif keyword.startswith(b"raw profile type "):
            self._profile(keyword[17:], text)
        elif keyword in {b"title", b"author"} and text:
            self.texts.setdefault(keyword, decoded(text[:4096]))

    def _profile(self, name: bytes, text: bytes) -> None:
        header = _PROFILE.match(text)
        if header is None:
            return
        try:
            profile = bytes.fromhex(text[header.end() :].decode("ascii", "replace"))
        except ValueError:
            self.error = f"png: the {name.decode('latin-1')} profile is no hexadecimal text"
            return
        if profile.startswith(_XMP_HEADER):
            self.packet = self.packet or profile[len(_XMP_HEADER) :]
        elif name == b"xmp":
            self.packet = self.packet or profile
        elif name == b"iptc":
            record = profile if profile[:1] == b"\x1c" else iptc.resources(profile, {iptc.IPTC}).get(iptc.IPTC, b"")
            self.iptc = iptc.read(record)
        elif name in {b"exif", b"app1"}:
            self._exif(profile)

    def _exif(self, block: bytes) -> None:
        """The first block counts. Some writers leave the header of a JPEG in front of it."""
        if self.exif is None:
            try:
                self.exif = exif.read(block[6:] if block.startswith(b"Exif\0") else block)
            except Refused as refused:
                self.error = f"Exif: {refused}"


_WANTED = frozenset({b"eXIf", b"acTL", b"fcTL"})
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_KEYWORDS = (b"xml:com.adobe.xmp", b"raw profile type ", b"title", b"author")


def _unpacked(kind: bytes, rest: bytes) -> bytes:
    """What follows the keyword of a text chunk; empty where it is damaged."""
    is_packed = kind == b"zTXt"
    if kind == b"zTXt":
        rest = rest[1:]  # the method, of which there is one
    elif kind == b"iTXt":
        is_packed, rest = rest[:1] == b"\1", rest[2:]
        rest = rest.partition(b"\0")[2].partition(b"\0")[2]  # a language, and the keyword in it
    if not is_packed:
        return rest
    try:
        return zlib.decompressobj().decompress(rest, _TEXT_MAX)
    except zlib.error:
        return b""


def _last_alike(file: Opened, position: int, header: bytes, step: int) -> int:
    """The last of a run of chunks with the same header. A wrong guess would need data that look like a header."""
    if step <= 12:
        return position
    low, high = 0, (file.size - position) // step
    while low < high:
        middle = (low + high + 1) // 2
        if file.pread(8, position + middle * step) == header:
            low = middle
        else:
            high = middle - 1
    return position + low * step
