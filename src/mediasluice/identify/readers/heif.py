"""Read HEIF, AVIF and Canon's CR3 through their boxes: size, turning, Exif, XMP.

Takes an open file. Gives a :class:`Still`. The size is that of the primary picture as it is stored; how it is turned
is said by the format's own properties (irot, imir), and Exif's orientation has no say then.
Fails with: ``Refused``, where there is no such picture. Source: ISO 23008-12 (HEIF), 6 and Annex A; ISO 14496-12,
8.11 (items); AV1 Image File Format; the description of CR3 at https://github.com/lclevy/canon_cr3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif, ifd
from mediasluice.identify.readers.boxes import Box, boxes, find
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.still import Still

_TABLE_MAX = 4 << 20  # bytes of one table of a meta box; chosen: ten thousand tiles fill some 300 KB
_ITEM_MAX = 1 << 20  # bytes of Exif or XMP; chosen: Exif has at most 64 KiB in a JPEG, packets less than this
_ITEMS_MAX = 20_000  # chosen: the tiles of the largest pictures are some thousand
_EXTENTS_MAX = 64  # pieces of one item that are put together; chosen: metadata are in one
_TRACKS_MAX = 16  # chosen: CR3 has four
_SIZE, _ROTATION, _MIRROR = b"ispe", b"irot", b"imir"
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_BRANDS = {  # of the first box: container and type
    b"heic": ("heic", "image/heic"),
    b"heix": ("heic", "image/heic"),
    b"heim": ("heic", "image/heic"),
    b"heis": ("heic", "image/heic"),
    b"hevc": ("heic", "image/heic-sequence"),
    b"hevx": ("heic", "image/heic-sequence"),
    b"hevm": ("heic", "image/heic-sequence"),
    b"hevs": ("heic", "image/heic-sequence"),
    b"avif": ("avif", "image/avif"),
    b"avio": ("avif", "image/avif"),
    b"avis": ("avif", "image/avif"),
    b"msf1": ("heif", "image/heif-sequence"),
    b"crx ": ("cr3", "image/x-canon-cr3"),
}
_GENERAL = frozenset({b"mif1", b"mif2", b"miaf", b"MiHE", b"MiHB"})  # say nothing of the coding: the others do
_CODED = (b"heic", b"heix", b"avif", b"avis", b"hevc", b"msf1")


def read(file: Opened) -> Still:
    """Read a HEIF, AVIF or CR3 file."""
    first = next(boxes(file, 0, file.size), None)
    if first is None or first.type != b"ftyp":
        raise Refused("no HEIF: it does not begin like one")
    container, mime = _format_of(file.pread(min(first.end - first.start, 256), first.start))
    still = Still(container, mime)
    seen = set[bytes]()
    for box in boxes(file, first.end, file.size):
        if box.type == b"meta" and box.type not in seen:
            still = _items(file, box, still)
        elif box.type == b"moov" and box.type not in seen:
            still = _movie(file, box, still)
        elif box.type == b"uuid" and not still.packet and file.pread(16, box.start) == _XMP:
            still = still._replace(packet=file.pread(min(box.end - box.start - 16, _ITEM_MAX), box.start + 16))
        seen.add(box.type)
    if still.width is None and still.exif is None and not still.packet:
        raise Refused(f"{container}: there is no picture in it")
    return still if still.width is not None else still._replace(error=f"{container}: its size is not written")


def _format_of(types: bytes) -> tuple[str, str]:
    """Container and type, by the brand or by those that it is compatible with."""
    major, compatible = types[:4], {types[start : start + 4] for start in range(8, len(types), 4)}
    if major in _BRANDS:
        return _BRANDS[major]
    if major in _GENERAL:
        return next((_BRANDS[brand] for brand in _CODED if brand in compatible), ("heif", "image/heif"))
    raise Refused("no HEIF: its brand is that of another format")


# --- items: meta box


class _Item(NamedTuple):
    """Where an item lies: in the file (0), in the idat box (1), in another item (2)."""

    method: int
    extents: tuple[tuple[int, int], ...]  # offset and length


def _items(file: Opened, meta: Box, still: Still) -> Still:
    tables = {box.type: box for box in boxes(file, meta.start + 4, meta.end)}  # 4: version and flags

    def table(name: bytes) -> bytes:
        box = tables.get(name)
        return b"" if box is None else file.pread(min(box.end - box.start, _TABLE_MAX), box.start)

    primary = _primary(table(b"pitm"))
    exif_item, xmp_item = _metadata_items(table(b"iinf"))
    wanted = {item for item in (exif_item, xmp_item) if item is not None}
    if wanted:
        places = _places(table(b"iloc"), wanted)
        idat = tables.get(b"idat")
        if exif_item in places:
            facts = _exif(_content(file, places[exif_item], idat))
            still = still._replace(exif=facts or still.exif)
        if xmp_item in places:
            still = still._replace(packet=_content(file, places[xmp_item], idat) or still.packet)
    properties = tables.get(b"iprp")
    return still if properties is None else _properties(file, properties, primary, still)


def _primary(table: bytes) -> int | None:
    if len(table) < 6:
        return None
    return int.from_bytes(table[4:6] if table[0] == 0 else table[4:8], "big")


def _metadata_items(table: bytes) -> tuple[int | None, int | None]:
    """Numbers of the items that hold Exif and XMP."""
    exif_item = xmp_item = None
    start = 6 if table[:1] == b"\0" else 8
    for kind, body in _inside(table, start):
        if kind != b"infe" or len(body) < 12 or body[0] not in {2, 3}:
            continue
        wide = 2 if body[0] == 3 else 0
        name = body[8 + wide : 12 + wide]
        if name == b"Exif" and exif_item is None:
            exif_item = int.from_bytes(body[4 : 6 + wide], "big")
        elif name == b"mime" and xmp_item is None and b"application/rdf+xml\0" in body:
            xmp_item = int.from_bytes(body[4 : 6 + wide], "big")
    return exif_item, xmp_item


def _inside(table: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    """The boxes inside of a box that is in memory."""
    for _ in range(_ITEMS_MAX):
        length = int.from_bytes(table[position : position + 4], "big")
        if length < 8:
            return
        yield table[position + 4 : position + 8], table[position + 8 : position + length]
        position += length


class _Numbers:
    """Reads numbers one behind the other; behind the end they are 0, and ``is_over`` says so."""

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position

    def next(self, width: int) -> int:
        start = self.position
        self.position = start + width
        return int.from_bytes(self._data[start : start + width], "big")

    @property
    def is_over(self) -> bool:
        return self.position > len(self._data)


def _places(table: bytes, wanted: set[int]) -> dict[int, _Item]:
    """Where the wanted items lie."""
    if len(table) < 8:
        return {}
    version, sizes = table[0], int.from_bytes(table[4:6], "big")
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    numbers = _Numbers(table, 6)
    found: dict[int, _Item] = {}
    for _ in range(min(numbers.next(wide), _ITEMS_MAX)):
        item = numbers.next(wide)
        method = numbers.next(2) & 15 if version else 0
        numbers.position += 2  # where the data are; 0: in this file
        base, count = numbers.next(base_size), numbers.next(2)
        if item in wanted:
            extents = []
            for _ in range(min(count, _EXTENTS_MAX)):
                numbers.position += index_size
                extents.append((base + numbers.next(offset_size), numbers.next(length_size)))
            if not numbers.is_over:
                found[item] = _Item(method, tuple(extents))
            if len(found) == len(wanted) or count > _EXTENTS_MAX:
                break
        else:
            numbers.position += count * (index_size + offset_size + length_size)
        if numbers.is_over:
            break
    return found


def _content(file: Opened, item: _Item, idat: Box | None) -> bytes:
    """The bytes of an item. One without a length reaches to the end."""
    if item.method == 0:
        start, end = 0, file.size
    elif item.method == 1 and idat is not None:
        start, end = idat.start, idat.end
    else:  # cut out of another item: allowed, but nobody stores metadata so
        return b""
    content = b""
    for offset, length in item.extents:
        left = min(end - start - offset, _ITEM_MAX - len(content))
        content += file.pread(min(length or left, left), start + offset)
    return content


def _exif(content: bytes) -> ExifFacts | None:
    """An Exif item begins with the distance to its TIFF header; some writers count wrong or leave it out."""
    distance = int.from_bytes(content[:4], "big")
    for start in (4 + distance, 4, 10, 0, 6):
        if content[start : start + 2] in {b"II", b"MM"}:
            try:
                return exif.read(content[start:])
            except Refused:
                continue
    return None


# --- properties: iprp box


def _properties(file: Opened, iprp: Box, primary: int | None, still: Still) -> Still:
    """Size and turning of the primary picture; of the largest one where no property is said to be its own."""
    container = find(file, iprp.start, iprp.end, b"ipco")
    if container is None:
        return still
    listed = []
    for box in boxes(file, container.start, container.end):
        is_wanted = box.type in {_SIZE, _ROTATION, _MIRROR}
        listed.append((box.type, file.pread(min(box.end - box.start, 12), box.start) if is_wanted else b""))
    own: list[int] = []
    for box in boxes(file, iprp.start, iprp.end):
        if box.type == b"ipma" and not own:
            own = _associated(file.pread(min(box.end - box.start, _TABLE_MAX), box.start), primary)
    mine = [listed[index - 1] for index in own if 0 < index <= len(listed)]
    sizes = [_size(body) for kind, body in (mine or listed) if kind == _SIZE and len(body) == 12]
    if not sizes:
        sizes = [_size(body) for kind, body in listed if kind == _SIZE and len(body) == 12]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return still._replace(width=width or still.width, height=height or still.height, turned=_turned(mine))


def _size(body: bytes) -> tuple[int, int]:
    return int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big")


def _associated(table: bytes, item: int | None) -> list[int]:
    """Numbers of the properties of an item, in the order in which they are applied."""
    if len(table) < 8:
        return []
    wide, step = (4 if table[0] else 2), (2 if table[3] & 1 else 1)
    mask = 0x7FFF if step == 2 else 0x7F
    numbers = _Numbers(table, 4)
    for _ in range(min(numbers.next(4), _ITEMS_MAX)):
        number, count = numbers.next(wide), numbers.next(1)
        if number == item:
            return [numbers.next(step) & mask for _ in range(count)]
        numbers.position += count * step
        if numbers.is_over:
            break
    return []


def _turned(properties: list[tuple[bytes, bytes]]) -> tuple[int, bool]:
    """Degrees clockwise and whether it is flipped from left to right before that, whatever the order in the file.

    A flip behind a turn is the flip before the turn the other way round; a flip from top to bottom is one from left
    to right and half a turn.
    """
    degrees, is_mirrored = 0, False
    for kind, body in properties:
        if kind == _ROTATION and body:
            degrees -= 90 * (body[0] & 3)  # they count against the clock
        elif kind == _MIRROR and body:
            degrees = -degrees if body[0] & 1 else 180 - degrees
            is_mirrored = not is_mirrored
    return degrees % 360, is_mirrored


# --- movie: sequences, and Canon's CR3


def _movie(file: Opened, moov: Box, still: Still) -> Still:
    tracks: list[tuple[int, int]] = []
    canon: Box | None = None
    for box in boxes(file, moov.start, moov.end):
        if box.type == b"uuid" and canon is None and file.pread(16, box.start) == _CANON:
            canon = box
        elif box.type == b"trak" and len(tracks) < _TRACKS_MAX:
            header = find(file, box.start, box.end, b"tkhd")
            tail = b"" if header is None else file.pread(8, header.end - 8)
            if len(tail) == 8:  # whole pixels and their fractions
                tracks.append((int.from_bytes(tail[:2], "big"), int.from_bytes(tail[4:6], "big")))
    if canon is not None:
        still = _canon(file, canon, still)
    width, height = max(tracks, key=lambda size: size[0] * size[1], default=(0, 0))
    if still.width is None and width and height:
        still = still._replace(width=width, height=height)
    return still


def _canon(file: Opened, outer: Box, still: Still) -> Still:
    """Four TIFF structures: the first directory, Exif, the maker's note, the place."""
    found: dict[bytes, ifd.Directory] = {}
    for box in boxes(file, outer.start + 16, outer.end):
        if box.type in {b"CMT1", b"CMT2", b"CMT4"}:
            block = file.pread(min(box.end - box.start, _ITEM_MAX), box.start)
            try:
                tiff = ifd.of_bytes(block)
            except Refused:
                continue
            found[box.type] = tiff.directory(tiff.first, _CANON_WANTED[box.type])
    parts = [found[name] for name in (b"CMT2", b"CMT1") if name in found]
    if not parts:
        return still
    first = found.get(b"CMT1")
    width, height = (first.whole(tag) if first else None for tag in (0x0100, 0x0101))
    return still._replace(
        exif=exif.facts_of(parts, found.get(b"CMT4")),
        width=width or still.width,
        height=height or still.height,
        is_raw=True,
    )


_CANON_WANTED = {b"CMT1": exif.WANTED | {0x0100, 0x0101}, b"CMT2": exif.WANTED, b"CMT4": exif.GPS_WANTED}
