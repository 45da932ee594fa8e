"""Tell from a file's own format whether all of it is there.

Takes a descriptor, the size [bytes] and the first bytes of a file; gives a :class:`Format`. At most 64
reads and about 64 KiB, whatever the file holds. Fails with: ``OSError`` of a read.

- ``COMPLETE`` only where the format proves it: an end marker at the very end of the file, lengths that
  add up to exactly its size, or the last of a declared number of samples with a right checksum.
- ``TRUNCATED`` only where the format's own signature is there and its lengths point past the end.
- ``UNKNOWN`` otherwise: no or foreign signature, no end in the format, bytes behind the end.

A file that was cut is never ``COMPLETE``, but where the format itself had ended before the cut and only an
addition was lost: blanks or zeros behind the end marker of JPEG, PDF and XMP, a later revision of a PDF,
tags behind a sound whose length is declared.
Source: the public descriptions of the formats, named at each of them.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from enum import IntEnum
from functools import cache

_READS, _READ_BYTES = 64, 64 << 10
_PADDING = b"\0\t\n\r "
_PADDING_LIMIT = 16  # bytes behind an end marker, chosen: some writers align, none needs more


class Format(IntEnum):
    """What a file's own structure says of its length."""

    UNKNOWN = 0
    COMPLETE = 1
    TRUNCATED = 2


UNKNOWN, COMPLETE, TRUNCATED = Format.UNKNOWN, Format.COMPLETE, Format.TRUNCATED


class _PastEndError(Exception):
    """The format demands bytes beyond the end of the file."""


class _GiveUpError(Exception):
    """Too many reads, or the file became shorter while it was read."""


class _Bytes:
    """Random access to a file within the budget; its first bytes cost nothing."""

    __slots__ = ("_bytes_left", "_fd", "_head", "_reads_left", "size")

    def __init__(self, fd: int, size: int, head: bytes) -> None:
        self._fd = fd
        self._head = head[:size]
        self._reads_left = _READS
        self._bytes_left = _READ_BYTES
        self.size = size

    def at(self, offset: int, length: int) -> bytes:
        """Give exactly the bytes that the format says are there."""
        end = offset + length
        if end <= len(self._head):
            return self._head[offset:end]
        if end > self.size:
            raise _PastEndError
        self._reads_left -= 1
        self._bytes_left -= length
        if self._reads_left < 0 or self._bytes_left < 0:
            raise _GiveUpError
        found = os.pread(self._fd, length, offset)
        if len(found) < length:
            raise _GiveUpError
        return found

    def upto(self, end: int, length: int, start: int = 0) -> bytes:
        """Give at most ``length`` bytes that lie before ``end`` and not before ``start``."""
        start = max(start, end - length)
        return self.at(start, max(0, end - start))

    def number(self, offset: int, length: int) -> int:
        """An unsigned big-endian number."""
        return int.from_bytes(self.at(offset, length), "big")

    def little(self, offset: int, length: int) -> int:
        """An unsigned little-endian number."""
        return int.from_bytes(self.at(offset, length), "little")


def completeness(fd: int, size: int, head: bytes) -> Format:
    """Judge a file by its structure. ``head``: its first bytes, all of them or at least 64."""
    recognise = _recogniser(head)
    if recognise is None:
        return UNKNOWN
    try:
        return recognise(_Bytes(fd, size, head))
    except _PastEndError:
        return TRUNCATED
    except _GiveUpError:
        return UNKNOWN


def _recogniser(head: bytes) -> Callable[[_Bytes], Format] | None:
    if head[:2] == b"\xff\xd8":  # by far the most frequent
        return _jpeg
    if head[4:8] in _FIRST_BOXES:
        return _boxes
    found = _BY_SIGNATURE.get(head[:4]) or _BY_SIGNATURE.get(head[:3]) or _BY_SIGNATURE.get(head[:2])
    if found is None and head[:1] == b"\xff" and head[1:2] >= b"\xe0":
        return _mpeg_audio
    return found


def _ends_at(end: int, size: int) -> Format:
    """For formats that declare where they end."""
    if end == size:
        return COMPLETE
    return TRUNCATED if end > size else UNKNOWN


# -- images -------------------------------------------------------------------------------------------


_NO_SEGMENT = {0x00, 0x01, *range(0xD0, 0xDA)}  # codes that have no business in front of the picture


def _jpeg(file: _Bytes) -> Format:
    """ITU T.81 Annex B; CIPA DC-007 (MPF); Google's motion photo format 1.0.

    A thumbnail's end marker cannot deceive: it lies inside a segment, and segments are stepped over.
    """
    position, followed_until, xmp = 2, 0, b""
    while True:
        marker, code, high, low = file.at(position, 4)
        if marker != 0xFF or code in _NO_SEGMENT:
            return UNKNOWN
        if code == 0xDA:
            break
        if code == 0xFF:  # a fill byte
            position += 1
            continue
        length = high << 8 | low
        if code == 0xE2 and length > 16 and file.at(position + 4, 4) == b"MPF\0":
            followed_until = _end_of_pictures(file, position + 8, length - 6)
        elif code == 0xE1 and length > 40 and file.at(position + 4, 5) == b"http:":
            xmp += file.at(position + 4, min(length - 2, 16 << 10))
        position += 2 + length
    if position + 4 >= file.size:
        return TRUNCATED
    if b"MotionPhoto" in xmp or b"MicroVideo" in xmp:
        return _motion_photo(file, xmp)
    tail = file.upto(file.size, 2 + _PADDING_LIMIT, position)
    if tail.rstrip(_PADDING).endswith(b"\xff\xd9"):
        return COMPLETE if followed_until <= file.size else UNKNOWN
    data = position + 2 + (high << 8 | low)  # behind the header of the scan, whose own marker means nothing
    return _entropy_coded(file.upto(file.size, 8 << 10, min(data, file.size)))


def _end_of_pictures(file: _Bytes, start: int, length: int) -> int:
    """Where the last picture of a multi-picture file ends, by its index; 0 if it has none to follow."""
    index = file.at(start, length)
    order = ">" if index[:2] == b"MM" else "<"
    try:
        (directory,) = struct.unpack_from(order + "I", index, 4)
        (count,) = struct.unpack_from(order + "H", index, directory)
        for entry in range(count):
            tag, _, size, offset = struct.unpack_from(order + "HHII", index, directory + 2 + 12 * entry)
            if tag == 0xB002:
                pictures = struct.iter_unpack(order + "IIII", index[offset : offset + size])
                return max((start + at + n for _, n, at, _ in pictures if at), default=0)
    except struct.error:
        return file.size + 1  # an index that cannot be read proves no end
    return 0


def _motion_photo(file: _Bytes, xmp: bytes) -> Format:
    """A JPEG with a film behind it: whole if the film begins where the JPEG says and reaches the end."""
    for length in re.findall(rb'(?:Length|MicroVideoOffset)(?:="|>)(\d{1,12})', xmp):
        start = file.size - int(length)
        if start > 0 and int(length) > 8 and file.at(start + 4, 4) == b"ftyp":
            return _boxes(file, start)
    return UNKNOWN


def _entropy_coded(tail: bytes) -> Format:
    """TRUNCATED if the picture's data runs into the end: there 0xFF is only ever followed by 00 or RSTn."""
    marks = tail.count(b"\xff", 0, -1)
    return TRUNCATED if marks >= 4 and marks == len(re.findall(rb"\xff[\x00\xd0-\xd7]", tail)) else UNKNOWN


def _png(file: _Bytes) -> Format:
    """W3C PNG, section 5."""
    if file.size < 57:  # signature, IHDR, one empty IDAT, IEND
        return TRUNCATED
    if file.at(file.size - 12, 12) == b"\0\0\0\0IEND\xaeB`\x82":
        return COMPLETE
    position, jumped = 8, False
    while True:
        header = file.at(position, 8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind == b"IEND" or not kind.isalpha():
            return UNKNOWN
        step = length + 12
        if kind == b"IDAT" and not jumped:  # encoders cut the data into equal parts: try the last of them
            jumped = True
            last = position + (file.size - 8 - position) // step * step
            if file.at(last, 8) == header:
                position = last
        position += step


def _gif(file: _Bytes) -> Format:
    """CompuServe GIF89a: blocks of at most 255 bytes, each chain ended by an empty one, then 0x3B.

    A large file is judged by its last blocks: a chain of 255-byte blocks that leads exactly to the end.
    """
    if file.size <= _READ_BYTES - 4096:
        return _gif_walk(file.at(0, file.size))
    tail = file.upto(file.size, 8 << 10)
    if not tail.endswith(b"\0\x3b"):
        return UNKNOWN
    for length in range(1, 256):  # of the last block, which may be short
        position = len(tail) - 3 - length
        if tail[position] == length and all(tail[position - 256 * k] == 255 for k in range(1, 9)):
            return COMPLETE
    return UNKNOWN


def _gif_walk(data: bytes) -> Format:
    def after_colours(position: int, flags: int) -> int:
        return position + (3 << (flags & 7) + 1 if flags & 0x80 else 0)

    try:
        position = after_colours(13, data[10])
        while data[position] != 0x3B:
            if data[position] == 0x21:
                position += 2
            elif data[position] == 0x2C:
                position = after_colours(position + 10, data[position + 9]) + 1
            else:
                return UNKNOWN
            while data[position]:
                position += 1 + data[position]
            position += 1
    except IndexError:
        return TRUNCATED
    return _ends_at(position + 1, len(data))


def _bmp(file: _Bytes) -> Format:
    """Windows BITMAPFILEHEADER. Its size field is often wrong: too large a one is UNKNOWN, not TRUNCATED."""
    return COMPLETE if file.little(2, 4) == file.size else UNKNOWN


_TIFF_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # bytes per value of each type
_TIFF_DIRECTORIES = {330, 34665, 34853, 40965}  # SubIFDs, Exif, GPS, Interoperability


def _tiff(file: _Bytes) -> Format:
    """TIFF 6.0 and the raw formats built on it: the furthest byte that any directory names."""
    order = "<" if file.at(0, 1) == b"I" else ">"
    (first,) = struct.unpack(order + "I", file.at(4, 4))
    todo, seen, end = [first], set[int](), 8
    while todo:
        position = todo.pop()
        if not position or position in seen:
            continue
        seen.add(position)
        (count,) = struct.unpack(order + "H", file.at(position, 2))
        entries = file.at(position + 2, 12 * count + 4)
        end = max(end, position + 6 + 12 * count)
        todo.append(struct.unpack_from(order + "I", entries, 12 * count)[0])
        last: dict[int, int] = {}
        for tag, kind, number, value in struct.iter_unpack(order + "HHI4s", entries[:-4]):
            size = _TIFF_SIZES[kind] if kind < len(_TIFF_SIZES) else 0
            where = 0
            if size * number > 4:
                (where,) = struct.unpack(order + "I", value)
                end = max(end, where + size * number)
            if tag in _TIFF_DIRECTORIES:
                todo.extend(_tiff_values(file, order, number, value, where))
            elif tag in _TIFF_EXTENTS and number and size in {2, 4}:
                last[tag] = _tiff_last(file, order, size, number, value, where)
        for offsets, lengths in _TIFF_DATA:
            if offsets in last and lengths in last:
                end = max(end, last[offsets] + last[lengths])
    return _ends_at(end, file.size)


_TIFF_DATA = ((273, 279), (324, 325), (513, 514))  # strips, tiles, a JPEG: offsets and lengths
_TIFF_EXTENTS = {tag for pair in _TIFF_DATA for tag in pair}


def _tiff_values(file: _Bytes, order: str, number: int, value: bytes, where: int) -> tuple[int, ...]:
    data = file.at(where, 4 * number) if where else value
    return struct.unpack(f"{order}{len(data) // 4}I", data)


def _tiff_last(file: _Bytes, order: str, size: int, number: int, value: bytes, where: int) -> int:
    """The last of a list of offsets or lengths. One is enough: only a sum that meets the end counts."""
    data = file.at(where + size * (number - 1), size) if where else value[size * (number - 1) :][:size]
    return int.from_bytes(data, "little" if order == "<" else "big")


def _psd(file: _Bytes) -> Format:
    """Adobe Photoshop file formats: four sections with lengths, then the merged picture."""
    version, channels, height, width, depth = struct.unpack(">H6xHIIH", file.at(4, 20))
    if version not in {1, 2} or depth not in {1, 8, 16, 32}:
        return UNKNOWN
    position = 26
    for length_size in (4, 4, 4 * version):  # colours, resources, layers
        position += length_size + file.number(position, length_size)
    compression = file.number(position, 2)
    rows = channels * height
    if compression == 0:
        return _ends_at(position + 2 + rows * ((width * depth + 7) // 8), file.size)
    if compression == 1:  # a table of row lengths, then the rows
        table = file.at(position + 2, 2 * version * rows)
        lengths = struct.unpack(f">{rows}{'H' if version == 1 else 'I'}", table)
        return _ends_at(position + 2 + len(table) + sum(lengths), file.size)
    return UNKNOWN


# -- containers ---------------------------------------------------------------------------------------

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"jP  ", b"JXL "}


def _boxes(file: _Bytes, position: int = 0) -> Format:
    """ISO/IEC 14496-12 and QuickTime; HEIF, AVIF, JPEG 2000, JPEG XL and CR3 are made of the same boxes."""
    seen = set()
    kind = b""
    while position < file.size:
        header = file.at(position, 8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if length == 1:
            length = file.number(position + 8, 8)
        elif length == 0 and kind == b"jp2c":  # up to the end of the file, as an end marker tells
            return COMPLETE if file.at(file.size - 2, 2) == b"\xff\xd9" else UNKNOWN
        if length < 8 or not kind.rstrip().isalnum():
            return UNKNOWN
        if kind == b"jxlp" and file.number(position + 8, 4) >> 31:  # the last part of a codestream
            kind = b"jxlc"
        seen.add(kind)
        position += length
    if position > file.size:
        return TRUNCATED
    if b"moof" in seen:  # fragments are whole one by one; only an index at the end tells that it was the last
        return COMPLETE if kind == b"mfra" else UNKNOWN
    if b"mdat" in seen:
        return COMPLETE if b"moov" in seen or b"meta" in seen else TRUNCATED
    return COMPLETE if seen & {b"jp2c", b"jxlc"} else UNKNOWN


def _riff(file: _Bytes) -> Format:
    """Microsoft RIFF (WAVE, AVI, WebP), OpenDML's further RIFF chunks, EBU Tech 3306 (RF64, BW64)."""
    magic, length, form = struct.unpack("<4sI4s", file.at(0, 12))
    if magic in {b"RF64", b"BW64"}:
        return _ends_at(8 + file.little(20, 8), file.size) if file.at(12, 4) == b"ds64" else UNKNOWN
    if length in {0, 0xFFFFFFFF, 0x7FFFFFFF} or (form == b"WAVE" and length <= 36):
        return UNKNOWN  # a writer that did not know the length yet
    end = 8 + length
    while end < file.size and file.size - end >= 12 and file.at(end, 4) == b"RIFF":
        if file.at(end + 8, 4) != b"AVIX":
            return UNKNOWN
        end += 8 + file.little(end + 4, 4)
    return _ends_at_even(end, file.size)


def _ends_at_even(end: int, size: int) -> Format:
    """As :func:`_ends_at` for chunks that are padded: one byte too few may be a padding that nobody wrote."""
    return UNKNOWN if end == size + 1 else _ends_at(end, size)


def _aiff(file: _Bytes) -> Format:
    """Apple AIFF and AIFF-C."""
    length = file.number(4, 4)
    return _ends_at_even(8 + length, file.size) if length > 46 else UNKNOWN  # 46: header, no sound yet


def _ebml(file: _Bytes) -> Format:
    """RFC 8794 and RFC 9559 (Matroska, WebM): one header, one segment of known size."""
    position = 4 + _ebml_length(file, 4)[1]
    position += _ebml_length(file, 4)[0]
    if file.at(position, 4) != b"\x18\x53\x80\x67":
        return UNKNOWN
    length, width = _ebml_length(file, position + 4)
    if length == (1 << 7 * width) - 1:  # unknown: a live writer
        return UNKNOWN
    return _ends_at(position + 4 + width + length, file.size)


def _ebml_length(file: _Bytes, position: int) -> tuple[int, int]:
    """A length and the number of bytes that it takes; the position of the first 1 bit tells that."""
    width = 9 - file.number(position, 1).bit_length()
    if width == 9:
        raise _GiveUpError
    return file.number(position, width) & (1 << 7 * width) - 1, width


_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


def _asf(file: _Bytes) -> Format:
    """Microsoft ASF (WMA, WMV): the file properties hold the size, unless it was a broadcast."""
    if file.at(0, 16) != _ASF_HEADER:
        return UNKNOWN
    position, header_end = 30, file.little(16, 8)
    while position + 24 <= header_end:
        if file.at(position, 16) == _ASF_PROPERTIES:
            is_broadcast = file.little(position + 88, 4) & 1
            if file.little(position + 40, 8) == file.size and not is_broadcast:
                return COMPLETE
        position += max(24, file.little(position + 16, 8))
    while header_end < file.size:  # the data object and the indexes behind it
        header_end += max(24, file.little(header_end + 16, 8))
    return TRUNCATED if header_end > file.size else UNKNOWN


def _flv(file: _Bytes) -> Format:
    """Adobe FLV: no end of its own; encoders write the size into the first script tag."""
    found = re.search(rb"\x00\x08filesize\x00(.{8})", file.at(0, min(file.size, 4096)), re.DOTALL)
    if found is None:
        return UNKNOWN
    (size,) = struct.unpack(">d", found[1])
    return COMPLETE if size == file.size else UNKNOWN


def _mpeg_program(file: _Bytes) -> Format:
    """ISO/IEC 13818-1 program stream: an end code, which many writers leave out."""
    return COMPLETE if file.at(file.size - 4, 4) == b"\x00\x00\x01\xb9" else UNKNOWN


def _zip(file: _Bytes) -> Format:
    """PKWARE APPNOTE 4.3: the end record stands where the directory ends; an inner archive's does not."""
    tail = file.upto(file.size, 4096)
    where = tail.rfind(b"PK\5\6")
    if where >= 0 and len(tail) - where >= 22:
        size, offset, comment = struct.unpack_from("<IIH", tail, where + 12)
        record = file.size - len(tail) + where
        if record + 22 + comment != file.size:
            return UNKNOWN
        if offset == 0xFFFFFFFF or size == 0xFFFFFFFF:
            return COMPLETE if tail[max(0, where - 20) : where].startswith(b"PK\6\7") else UNKNOWN
        return COMPLETE if offset + size == record else UNKNOWN
    position = 0
    while file.at(position, 4) == b"PK\3\4":
        flags, stored, name, extra = struct.unpack("<2xH10xI4xHH", file.at(position + 4, 26))
        if flags & 8 or stored == 0xFFFFFFFF:  # the length follows the data
            return UNKNOWN
        position += 30 + name + extra + stored
    return UNKNOWN


# -- documents ----------------------------------------------------------------------------------------


def _pdf(file: _Bytes) -> Format:
    """ISO 32000-1, 7.5.5 and Annex F: the end names the place of the cross-reference table in this file."""
    linearized = re.search(rb"/Linearized .{0,200}?/L (\d{1,12})", file.at(0, min(file.size, 1024)), re.DOTALL)
    if linearized is not None and int(linearized[1]) > file.size:
        return TRUNCATED
    tail = file.upto(file.size, 64 + _PADDING_LIMIT)
    found = re.search(rb"startxref\s+(\d{1,12})\s+%%EOF[\0\t\n\r ]{0,16}\Z", tail)
    if found is None:
        return UNKNOWN
    where = int(found[1])
    if where >= file.size or (where == 0 and linearized is not None):
        return UNKNOWN
    table = file.at(where, min(24, file.size - where)).lstrip()
    return COMPLETE if re.match(rb"xref|\d+ \d+ obj", table) else UNKNOWN


def _xmp(file: _Bytes) -> Format:
    """ISO 16684-1: the packet's last instruction, or the end of the element that began the file."""
    start = file.at(0, min(file.size, 256))
    tail = file.upto(file.size, 64 + _PADDING_LIMIT).rstrip(_PADDING)
    if b"<?xpacket begin=" in start:
        return COMPLETE if re.search(rb"<\?xpacket end=[\"'][rw][\"']\s*\?>\Z", tail) else UNKNOWN
    if b"<x:xmpmeta" in start:
        return COMPLETE if tail.endswith(b"</x:xmpmeta>") else UNKNOWN
    return UNKNOWN


# -- sound --------------------------------------------------------------------------------------------


def _before_tags(file: _Bytes) -> int:
    """Where the sound ends and the tags behind it begin (ID3v1, APEv2); the size if there are none."""
    end = file.size
    if end > 256 and file.at(end - 128, 3) == b"TAG":
        end -= 128
    if end > 64 and file.at(end - 32, 8) == b"APETAGEX":
        length, _, flags = struct.unpack("<III", file.at(end - 20, 12))
        end -= min(end, length + (32 if flags >> 31 else 0))
    return end


def _id3(file: _Bytes) -> Format:
    """ID3v2: a length, then the sound that it describes."""
    flags, a, b, c, d = file.at(5, 5)
    start = 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if flags & 0x10 else 0)
    if start == file.size:  # a tag and nothing else
        return UNKNOWN
    magic = file.at(start, 4)
    if magic == b"fLaC":
        return _flac(file, start)
    return _mpeg_audio(file, start) if magic[0] == 0xFF else UNKNOWN


def _mpeg_audio(file: _Bytes, start: int = 0) -> Format:
    """MPEG audio has no end; Xing's and Fraunhofer's headers count its bytes, and tags come last."""
    header = file.number(start, 4)
    if header >> 21 != 0x7FF or not header >> 17 & 3:  # no frame, or AAC
        return UNKNOWN
    end = _before_tags(file)
    counted = _counted_bytes(file.at(start, min(200, file.size - start)))
    if counted is None:
        return COMPLETE if end < file.size else UNKNOWN
    if start + counted == end:
        return COMPLETE
    return TRUNCATED if start + counted > file.size and end == file.size else UNKNOWN


def _counted_bytes(frame: bytes) -> int | None:
    """What the first frame says of the length of all frames."""
    where = max(frame.find(b"Xing", 4, 48), frame.find(b"Info", 4, 48))
    if where >= 0 and len(frame) >= where + 16:
        flags, first, second = struct.unpack_from(">III", frame, where + 4)
        if flags & 2:
            return int(second if flags & 1 else first) or None
    elif frame[36:40] == b"VBRI" and len(frame) >= 50:
        return int.from_bytes(frame[46:50], "big") or None
    return None


def _flac(file: _Bytes, start: int = 0) -> Format:
    """RFC 9639: the number of samples is declared, frames are numbered and carry two checksums."""
    position, info = start + 4, file.at(start + 8, 34)
    while True:
        header = file.number(position, 4)
        position += 4 + (header & 0xFFFFFF)
        if header >> 31:
            break
    total = int.from_bytes(info[13:18], "big") & 0xFFFFFFFFF
    if not total:
        return UNKNOWN
    if position >= file.size:
        return TRUNCATED
    end = _before_tags(file)
    tail = file.upto(end, 40 << 10, position)
    for match in reversed([*re.finditer(rb"\xff[\xf8\xf9]", tail)]):
        frame = tail[match.start() :]
        sample = _flac_frame_end(frame[:16], int.from_bytes(info[2:4], "big"))
        if sample == total and not _checksum(frame, 0x8005, 16):
            return COMPLETE
        if sample is not None and sample < total:
            return TRUNCATED if end == file.size else UNKNOWN
    return UNKNOWN


def _flac_frame_end(header: bytes, block: int) -> int | None:
    """The number of the first sample behind a frame, if it is one. ``block``: samples of equal frames."""
    header = header.ljust(16, b"\0")  # the last frame of a silent file is shorter than the longest header
    code, rate, leading = header[2] >> 4, header[2] & 15, 8 - (header[4] ^ 0xFF).bit_length()
    if not code or rate == 15 or leading in {1, 8} or header[3] & 1:
        return None
    position = 4 + max(1, leading)
    number = header[4] & 0x7F >> leading
    for byte in header[5:position]:
        number = number << 6 | byte & 0x3F
    extra = code - 5 if code in {6, 7} else 0  # the block size follows in one or two bytes
    samples = 192 if code == 1 else 144 << code if code < 6 else 1 << code
    if extra:
        samples = 1 + int.from_bytes(header[position : position + extra], "big")
    position += extra + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if _checksum(header[: position + 1], 0x07, 8):
        return None
    return (number if header[1] & 1 else number * block) + samples


@cache
def _checksum_table(polynomial: int, width: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> width - 1 else 0)
            value &= (1 << width) - 1
        table.append(value)
    return tuple(table)


def _checksum(data: bytes, polynomial: int, width: int) -> int:
    """A CRC from 0, highest bit first; 0 for data that ends with its own."""
    table, mask, shift, value = _checksum_table(polynomial, width), (1 << width) - 1, width - 8, 0
    for byte in data:
        value = value << 8 & mask ^ table[value >> shift ^ byte]
    return value


def _ogg(file: _Bytes) -> Format:
    """RFC 3533: every stream that begins in front must have its last page behind."""
    begun, ended, position = set(), set(), 0
    while True:
        header = file.at(position, 27)
        if header[:4] != b"OggS":
            return UNKNOWN
        if not header[5] & 2:
            break
        begun.add(header[14:18])
        position += 27 + header[26] + sum(file.at(position + 27, header[26]))
    tail = file.upto(file.size, 32 << 10, position)
    where = tail.find(b"OggS")
    while 0 <= where <= len(tail) - 27:
        if tail[where : where + 4] != b"OggS":
            return UNKNOWN
        if tail[where + 5] & 4:
            ended.add(tail[where + 14 : where + 18])
        segments = tail[where + 27 : where + 27 + tail[where + 26]]
        where += 27 + tail[where + 26] + sum(segments)
    if where == len(tail):
        return COMPLETE if begun <= ended else UNKNOWN
    return TRUNCATED if where > 0 and b"OggS".startswith(tail[where : where + 4]) else UNKNOWN


def _ape(file: _Bytes) -> Format:
    """Monkey's Audio 3.98 and later: a descriptor with the lengths of all parts."""
    version = file.little(4, 2)
    if version < 3980:
        return UNKNOWN
    *parts, low, high, trailing = struct.unpack("<7I", file.at(8, 28))
    end = sum(parts) + (high << 32 | low) + trailing
    return _ends_at(end, file.size) if end > file.size else _ends_at(end, _before_tags(file))


def _dsf(file: _Bytes) -> Format:
    """Sony DSF 1.01."""
    return _ends_at(file.little(12, 8), file.size)


def _dff(file: _Bytes) -> Format:
    """Philips DSDIFF 1.5."""
    return _ends_at_even(12 + file.number(4, 8), file.size)


_BY_SIGNATURE: dict[bytes, Callable[[_Bytes], Format]] = {
    b"\x89PNG": _png,
    b"GIF8": _gif,
    b"BM": _bmp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"IIU\0": _tiff,  # Panasonic
    b"IIRO": _tiff,  # Olympus
    b"IIRS": _tiff,
    b"MMOR": _tiff,
    b"8BPS": _psd,
    b"RIFF": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"FORM": _aiff,
    b"\x1a\x45\xdf\xa3": _ebml,
    b"\x30\x26\xb2\x75": _asf,
    b"FLV": _flv,
    b"\0\0\x01\xba": _mpeg_program,
    b"PK\3\4": _zip,
    b"%PDF": _pdf,
    b"<?xp": _xmp,
    b"<x:x": _xmp,
    b"<?xm": _xmp,
    b"ID3": _id3,
    b"fLaC": _flac,
    b"OggS": _ogg,
    b"MAC ": _ape,
    b"DSD ": _dsf,
    b"FRM8": _dff,
}
