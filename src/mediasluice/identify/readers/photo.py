"""Read a still picture: our own readers first, Pillow for what they refuse, exiftool where that is not enough.

Takes an open file. Gives a :class:`Reading`; ``reader`` names the rungs that contributed. Only headers are read, no
pixel is ever decoded.

1. Our own readers: all formats that cameras and phones write. They read some KB, bounded whatever the file says.
2. Pillow with pi-heif: formats that ours do not know, and sizes that they did not find.
3. exiftool, where it is installed: raw photographs without a date, and what nothing could open.

Fails with: ``Refused``, where none of them can make anything of the file.
"""

from __future__ import annotations

from collections.abc import Callable

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import bitmaps, ciff, exif, heif, jp2, jpeg, jxl, png, raws, sizes, tiff, webp
from mediasluice.identify.readers.still import Still, reading_of
from mediasluice.model.media import DateSource, Reading

_OWN, _PILLOW, _EXIFTOOL = "photo", "pillow", "exiftool"
_TAKEN = frozenset({DateSource.EXIF_ORIGINAL, DateSource.EXIF_DIGITIZED})


def read(file: Opened) -> Reading:
    """Read a picture."""
    readers = []
    still, reason = _tried(own, file)
    if still is not None:
        readers.append(_OWN)
    if still is None or still.width is None:
        more, further = _tried(_pillow, file)
        if more is not None:
            readers.append(_PILLOW)
            still = more if still is None else _joined(still, more)
        reason = reason or further
    if still is None or (still.is_raw and not _is_dated(still)):
        more, further = _tried(_exiftool, file)
        if more is not None:
            readers.append(_EXIFTOOL)
            still = more if still is None else _joined(still, more)
    if still is None:
        raise Refused(reason or "no reader knows this format")
    return reading_of(still, "+".join(readers), file.size)


def own(file: Opened) -> Still:
    """Read a picture with our own readers alone."""
    reader = _reader_of(file.pread(32, 0))
    if reader is None:
        raise Refused("no reader of ours knows this format")
    return reader(file)


def _reader_of(head: bytes) -> Callable[[Opened], Still] | None:
    """By the first bytes alone, so that a content is read in the same way under any name."""
    if head[:2] == b"\xff\xd8":
        return jpeg.read
    found = _BY_FIRST_FOUR.get(head[:4]) or _BY_BOX.get(head[4:8]) or _BY_FIRST_TWO.get(head[:2])
    if found is not None:
        return found
    if head[6:14] == b"HEAPCCDR":
        return ciff.read
    return sizes.svg if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else None


_BY_FIRST_FOUR: dict[bytes, Callable[[Opened], Still]] = {
    b"\x89PNG": png.read,
    b"RIFF": webp.read,
    b"GIF8": bitmaps.gif,
    b"8BPS": bitmaps.psd,
    b"\0\0\1\0": bitmaps.icon,
    b"\0\0\2\0": bitmaps.icon,
    b"II*\0": tiff.read,
    b"MM\0*": tiff.read,
    b"II+\0": tiff.read,  # BigTIFF
    b"MM\0+": tiff.read,
    b"IIU\0": tiff.read,  # Panasonic, Leica
    b"IIRO": tiff.read,  # Olympus
    b"IIRS": tiff.read,
    b"MMOR": tiff.read,
    b"II\xbc\x01": tiff.read,  # JPEG XR
    b"II\xbc\0": tiff.read,
    b"FUJI": raws.raf,
    b"\0MRM": raws.mrw,
    b"FOVb": raws.x3f,
    jp2.CODE_STREAM: jp2.read,
    b"gimp": sizes.xcf,
    b"v/1\x01": sizes.openexr,
    b"#?RA": sizes.radiance,
    b"#?RG": sizes.radiance,
    b"AT&T": sizes.djvu,
}
_BY_BOX: dict[bytes, Callable[[Opened], Still]] = {b"ftyp": heif.read, b"jP  ": jp2.read, b"JXL ": jxl.read}
_BY_FIRST_TWO: dict[bytes, Callable[[Opened], Still]] = {b"BM": bitmaps.bmp, jxl.CODE_STREAM: jxl.read}


def _pillow(file: Opened) -> Still:
    from mediasluice.identify.readers import pillow  # noqa: PLC0415 - a library that most files do without

    return pillow.read(file)


def _exiftool(file: Opened) -> Still:
    from mediasluice.identify.readers import exiftool  # noqa: PLC0415 - as above

    return exiftool.read(file)


def _tried(reader: Callable[[Opened], Still], file: Opened) -> tuple[Still | None, str | None]:
    try:
        return reader(file), None
    except Refused as refused:
        return None, str(refused)


def _is_dated(still: Still) -> bool:
    return still.exif is not None and any(claim.source in _TAKEN for claim in still.exif.dates)


def _joined(first: Still, second: Still) -> Still:
    """What the first knows, and of the second what is missing then."""
    return first._replace(
        width=first.width or second.width,
        height=first.height if first.width else second.height,
        exif=second.exif if first.exif is None else exif.joined(first.exif, second.exif),
        packet=first.packet or second.packet,
        error=None if first.width is None and second.width else first.error,
    )
