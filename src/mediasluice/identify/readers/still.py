"""What a reader of one picture format finds, before it is one reading.

Takes what stands in the parts of a file: Exif, an XMP packet, IPTC, the format's own header. Gives a
:class:`Reading`, in which the first of them that knows a value counts. Fails with: nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from mediasluice.identify.opened import Refused
from mediasluice.identify.readers import exif, xmp
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.iptc import IptcFacts
from mediasluice.identify.readers.xmp import XmpFacts
from mediasluice.model.media import Camera, DateClaim, DateSource, Gps, Media, Reading, Tags


class Still(NamedTuple):
    """A picture. ``width`` and ``height``: pixels as they are stored."""

    container: str
    mime: str
    width: int | None = None
    height: int | None = None
    exif: ExifFacts | None = None
    packet: bytes = b""  # XMP
    iptc: IptcFacts | None = None
    turned: tuple[int | None, bool | None] | None = None  # where the format says it by itself, Exif has no say
    duration: float | None = None  # seconds, of an animation
    title: str | None = None
    artist: str | None = None
    is_raw: bool = False
    error: str | None = None


_NO_EXIF, _NO_XMP, _NO_IPTC = ExifFacts(), XmpFacts(), IptcFacts()


def reading_of(still: Still, reader: str, size: int) -> Reading:
    """Put the parts of a picture together; ``size`` of the file in bytes."""
    of_exif, of_iptc = still.exif or _NO_EXIF, still.iptc or _NO_IPTC
    of_xmp, error = _packet(still.packet)
    rotation, is_mirrored = still.turned or exif.turned(of_exif.orientation or of_xmp.orientation)
    return Reading(
        reader=reader,
        mime=still.mime,
        media=Media(
            container=still.container,
            duration=still.duration,
            bitrate=round(size * 8 / still.duration) if still.duration else None,
            width=still.width,
            height=still.height,
            rotation=rotation,
            is_mirrored=is_mirrored,
        ),
        tags=Tags(
            title=of_xmp.title or of_iptc.title or of_exif.title or still.title,
            artist=of_xmp.creator or of_iptc.author or of_exif.artist or still.artist,
        ),
        camera=Camera(
            of_exif.camera.make or of_xmp.make,
            of_exif.camera.model or of_xmp.model,
            of_exif.camera.lens or of_xmp.lens,
        ),
        exposure=of_exif.exposure,
        gps=of_exif.gps or _place(of_xmp),
        dates=_in_order(of_exif.dates, of_xmp.dates, of_iptc.dates),
        pair=of_exif.pair or of_xmp.pair,
        error=still.error or error,
    )


_XMP_NAMES = (
    *(b"DateTimeOriginal", b"DateCreated", b"title", b"creator", b"Artist"),
    *(b"Make", b"Model", b"Orientation", b"Lens", b"GPS"),
)


def _packet(packet: bytes) -> tuple[XmpFacts, str | None]:
    """Most packets are a program's history; those are not parsed, which takes longer than all the rest."""
    if not packet or (b"\0" not in packet and not any(name in packet for name in _XMP_NAMES)):
        return _NO_XMP, None
    try:
        return xmp.read(packet), None
    except Refused as refused:
        return _NO_XMP, str(refused)


def _place(of_xmp: XmpFacts) -> Gps | None:
    return None if of_xmp.lat is None or of_xmp.lon is None else Gps(of_xmp.lat, of_xmp.lon, of_xmp.altitude)


_ORDER = {source: number for number, source in enumerate(DateSource)}


def _in_order(*claims: tuple[DateClaim, ...]) -> tuple[DateClaim, ...]:
    """All claims in the order in which their sources are asked, each once."""
    return tuple(dict.fromkeys(sorted((claim for some in claims for claim in some), key=lambda it: _ORDER[it.source])))
