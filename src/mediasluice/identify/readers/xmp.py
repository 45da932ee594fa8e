"""Read what XMP says of a picture or a film: embedded as a packet, or as a file of its own beside it.

Takes the bytes of a packet, in UTF-8, UTF-16 or UTF-32, or an open ``.xmp`` file; no more than PACKET_MAX of them are
looked at. Gives dates, names, camera, place and orientation; only of the picture itself, never of what it was made
from. A packet that is damaged half-way gives what stands before the damage. A document type is refused, so that there
are no entities to grow or to fetch.
Fails with: ``Refused``, when it is no XMP.
Source: ISO 16684-1:2019; Exif 2.32 metadata for XMP (CIPA DC-010-2020); ISO 16684-2 for the forms of properties.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple
from xml.parsers import expat

from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.media import Camera, DateClaim, DateSource, Gps, Reading, Tags

PACKET_MAX = 1 << 20  # bytes; chosen: edits of a picture fill some 100 KB, what we want stands in front of them
_DEPTH_MAX = 64  # elements in each other; chosen: the deepest real ones have a dozen
_VALUES_MAX = 100  # of one property; chosen: authors of one picture
_TEXT_MAX = 4096  # characters of one value; chosen: the longest titles have some hundred

_NAMESPACES = {
    "http://www.w3.org/1999/02/22-rdf-syntax-ns": "rdf",
    "http://purl.org/dc/elements/1.1": "dc",
    "http://ns.adobe.com/exif/1.0": "exif",
    "http://ns.adobe.com/exif/1.0/aux": "aux",
    "http://ns.adobe.com/tiff/1.0": "tiff",
    "http://ns.adobe.com/photoshop/1.0": "photoshop",
    "http://cipa.jp/exif/1.0": "exifEX",
}
_WANTED = frozenset(
    {
        "exif:DateTimeOriginal",
        "exif:OffsetTimeOriginal",
        "exifEX:OffsetTimeOriginal",
        "photoshop:DateCreated",
        "dc:title",
        "dc:creator",
        "tiff:Artist",
        "tiff:Make",
        "tiff:Model",
        "tiff:Orientation",
        "exifEX:LensModel",
        "aux:Lens",
        "exif:GPSLatitude",
        "exif:GPSLongitude",
        "exif:GPSAltitude",
        "exif:GPSAltitudeRef",
    }
)
_ITEMS = frozenset({"rdf:li", "rdf:value"})
_ENCODINGS = (  # longer marks first; the rest are the first character, which is "<", without a mark
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARED_WITHIN = 256  # characters from the first element or instruction; chosen: a packet's own may stand before it
_DECLARATION = re.compile(r"<\?xml\s[^>]{0,200}>")
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # in XML; cameras pad values with them
_DEGREES = re.compile(
    r"([+-]?\d{1,3}(?:\.\d{1,20})?)(?:,(\d{1,2}(?:\.\d{1,20})?))?(?:,(\d{1,2}(?:\.\d{1,20})?))?", re.ASCII
)
_FRACTION = re.compile(r"(-?\d{1,12}(?:\.\d{1,12})?)(?:/(\d{1,12}))?", re.ASCII)


class XmpFacts(NamedTuple):
    """What a packet says. Degrees positive to the north and to the east, metres above the sea."""

    dates: tuple[DateClaim, ...] = ()
    title: str | None = None
    creator: str | None = None  # several are joined by "; "
    make: str | None = None
    model: str | None = None
    lens: str | None = None
    lat: float | None = None  # never without lon
    lon: float | None = None
    orientation: int | None = None  # 1 to 8 as in Exif
    pair: str | None = None  # of a Live Photo; no program is known that writes it here
    altitude: float | None = None


def read(packet: bytes) -> XmpFacts:
    """Give the facts of an XMP packet."""
    found = _properties(_text(packet[:PACKET_MAX]))
    make, model, orientation = (
        _first(found, "tiff:Make"),
        _first(found, "tiff:Model"),
        _first(found, "tiff:Orientation"),
    )
    place = _place(_first(found, "exif:GPSLatitude"), _first(found, "exif:GPSLongitude"))
    return XmpFacts(
        dates=_dates(found),
        title=_first(found, "dc:title"),
        creator="; ".join(found.get("dc:creator", ())) or _first(found, "tiff:Artist"),
        make=make,
        model=model,
        lens=_first(found, "exifEX:LensModel", "aux:Lens"),
        lat=place[0] if place else None,
        lon=place[1] if place else None,
        orientation=int(orientation) if orientation in set("12345678") else None,
        altitude=_altitude(_first(found, "exif:GPSAltitude"), _first(found, "exif:GPSAltitudeRef")),
    )


def sidecar(file: Opened) -> Reading:
    """Read a whole ``.xmp`` file: what it says is said of the file beside it."""
    facts = read(file.pread(PACKET_MAX, 0))
    place = facts.lat is not None and facts.lon is not None
    return Reading(
        reader="xmp",
        mime="application/rdf+xml",
        tags=Tags(title=facts.title, artist=facts.creator),
        camera=Camera(facts.make, facts.model, facts.lens),
        gps=Gps(facts.lat or 0.0, facts.lon or 0.0, facts.altitude) if place else None,
        dates=tuple(claim._replace(source=DateSource.SIDECAR) for claim in facts.dates),
        pair=facts.pair,
    )


# --- from properties to facts


def _first(found: dict[str, list[str]], *names: str) -> str | None:
    return next((found[name][0] for name in names if name in found), None)


def _dates(found: dict[str, list[str]]) -> tuple[DateClaim, ...]:
    """Only when the picture was taken; the other dates of XMP are those of files and of programs."""
    claims = []
    if original := _first(found, "exif:DateTimeOriginal"):
        offset = _first(found, "exif:OffsetTimeOriginal", "exifEX:OffsetTimeOriginal")
        claims.append(DateClaim(DateSource.XMP, original, offset))
    if created := _first(found, "photoshop:DateCreated"):
        claims.append(DateClaim(DateSource.XMP, created))
    return tuple(claims)


def _place(lat: str | None, lon: str | None) -> tuple[float, float] | None:
    """Both or none; zero on both axes is what a receiver without a fix writes."""
    north, east = _degrees(lat, "N", "S", 90), _degrees(lon, "E", "W", 180)
    return None if north is None or east is None or north == east == 0 else (north, east)


def _degrees(text: str | None, positive: str, negative: str, limit: int) -> float | None:
    """``52,30.25N``, ``52,30,15N``, and ``52.504`` as some programs write it."""
    if not text:
        return None
    side = text[-1].upper()
    number = _DEGREES.fullmatch(text[:-1].strip() if side in {positive, negative} else text)
    if number is None:
        return None
    degrees = abs(float(number[1])) + float(number[2] or 0) / 60 + float(number[3] or 0) / 3600
    if degrees > limit:
        return None
    return -degrees if (side == negative) != number[1].startswith("-") else degrees


def _altitude(text: str | None, below: str | None) -> float | None:
    """A fraction; the reference is 1 below the sea."""
    number = _FRACTION.fullmatch(text or "")
    if number is None or (number[2] is not None and not int(number[2])):
        return None
    metres = float(number[1]) / int(number[2] or 1)
    return -metres if below == "1" else metres


# --- from bytes to properties


def _keep_byte(error: UnicodeError) -> tuple[str, int]:
    """A byte that is no UTF-8 is read as Latin-1, which is what programs write that do not know better."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("mediasluice-latin-1", _keep_byte)


def _text(packet: bytes) -> str:
    """The packet as text that begins with its first element or instruction."""
    for mark, encoding in _ENCODINGS:
        if packet.startswith(mark):
            text = packet.decode(encoding, "replace")
            break
    else:
        text = packet.decode("utf-8", "mediasluice-latin-1")
    start = text.find("<")
    if start < 0:
        raise Refused("no XMP: there is no element in it")
    text = text[start:]
    if "<?xml " in text[:_DECLARED_WITHIN]:  # it may name another encoding than it is in
        text = _DECLARATION.sub("", text[: 2 * _DECLARED_WITHIN], count=1) + text[2 * _DECLARED_WITHIN :]
    return _FORBIDDEN.sub("", text) if _FORBIDDEN.search(text) else text


def _properties(text: str) -> dict[str, list[str]]:
    """The wanted properties of the picture itself."""
    listener = _Listener()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.ordered_attributes = True
    parser.StartDoctypeDeclHandler = listener.doctype
    parser.StartElementHandler = listener.start
    parser.EndElementHandler = listener.end
    parser.CharacterDataHandler = listener.text
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        if not listener.is_xmp:
            raise Refused(f"no XMP: {error}") from None
    if not listener.is_xmp:
        raise Refused("no XMP: there is no rdf:RDF in it")
    return listener.found


class _Listener:
    """Picks properties out of the parser's events. Names are brought to the usual prefixes first.

    A prefix that nobody declared is taken for the usual one. Declarations hold from where they stand to the end: that
    needs no copies, and no program gives a prefix two meanings.
    """

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}
        self.is_xmp = False
        self._prefixes: dict[str, str] = {}
        self._depth = 0
        self._root = 0  # depth of rdf:RDF while inside of it
        self._property: str | None = None  # the wanted one while inside of it
        self._values: list[str] = []
        self._is_default = False  # the value that is being read is that of the default language
        self._pieces: list[str] = []

    def doctype(self, *_: object) -> None:
        raise Refused("no XMP: it declares a document type")

    def _usual(self, name: str) -> str:
        prefix, _, local = name.rpartition(":")
        return f"{self._prefixes.get(prefix, prefix)}:{local}"

    def start(self, name: str, attributes: list[str]) -> None:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise Refused("no XMP: its elements are nested too deep")
        for key, value in zip(attributes[::2], attributes[1::2], strict=True):
            if key.startswith("xmlns"):
                self._prefixes[key[6:]] = _NAMESPACES.get(value.rstrip("/#"), "?")
        level = self._depth - self._root if self._root else 0
        if level == 0:
            if self._usual(name) == "rdf:RDF":
                self._root, self.is_xmp = self._depth, True
        elif level == 1:  # a description: its attributes are properties
            for key, value in zip(attributes[::2], attributes[1::2], strict=True):
                self._keep(self._usual(key), [value.strip()[:_TEXT_MAX]])
        elif level == 2:
            usual = self._usual(name)
            self._property = usual if usual in _WANTED else None
            self._values = []
            self._pieces = []
        elif self._property is not None:
            self._pieces = []
            self._is_default = "x-default" in attributes

    def text(self, data: str) -> None:
        if self._property is not None:
            self._pieces.append(data)

    def end(self, name: str) -> None:
        if self._depth == self._root:
            self._root = 0
        elif self._property is not None:
            level = self._depth - self._root
            text = "".join(self._pieces).strip()[:_TEXT_MAX]
            if level == 2:
                self._keep(self._property, self._values or [text])
                self._property = None
            elif text and self._usual(name) in _ITEMS and len(self._values) < _VALUES_MAX:
                self._values.insert(0 if self._is_default else len(self._values), text)
            self._pieces = []
        self._depth -= 1

    def _keep(self, name: str, values: list[str]) -> None:
        """The first that is not empty counts."""
        if name in _WANTED and values[0]:
            self.found.setdefault(name, values)
