from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import xmp
from mediasluice.identify.readers.xmp import PACKET_MAX, XmpFacts, read, sidecar
from mediasluice.model.files import Kind
from mediasluice.model.media import Camera, DateClaim, DateSource, Gps, Tags

NAMESPACES = """
  xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:x='adobe:ns:meta/'
  xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:exif='http://ns.adobe.com/exif/1.0/'
  xmlns:exifEX='http://cipa.jp/exif/1.0/' xmlns:aux='http://ns.adobe.com/exif/1.0/aux/'
  xmlns:tiff='http://ns.adobe.com/tiff/1.0/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'
  xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:xmpMM='http://ns.adobe.com/xap/1.0/mm/'"""
AT = "2019-05-04T10:11:12"
MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def packet(elements: str = "", attributes: str = "") -> str:
    return (
        f'<?xpacket begin="{MARK}" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta {NAMESPACES}>\n<rdf:RDF>'
        f'<rdf:Description rdf:about="" {attributes}>{elements}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>' + " " * 100
    )


def facts(elements: str = "", attributes: str = "") -> XmpFacts:
    return read(packet(elements, attributes).encode())


def date(text: str, offset: str | None = None) -> DateClaim:
    return DateClaim(DateSource.XMP, text, offset)


@pytest.mark.parametrize(
    ("elements", "attributes"),
    [
        (f"<exif:DateTimeOriginal>{AT}</exif:DateTimeOriginal>", ""),
        ("", f'exif:DateTimeOriginal="{AT}"'),
        (f"<exif:DateTimeOriginal>\n  {AT}\n</exif:DateTimeOriginal>", ""),
        (f"<exif:DateTimeOriginal><!-- said --><![CDATA[{AT}]]></exif:DateTimeOriginal>", ""),
        ("<exif:DateTimeOriginal>2019&#45;05&#x2d;04T10:11:12</exif:DateTimeOriginal>", ""),
        (f"<exif:DateTimeOriginal rdf:parseType='Resource'><rdf:value>{AT}</rdf:value></exif:DateTimeOriginal>", ""),
        (
            f"""<exif:DateTimeOriginal><rdf:Description>
                <rdf:value>{AT}</rdf:value><xmp:Qualifier>sure</xmp:Qualifier>
            </rdf:Description></exif:DateTimeOriginal>""",
            "",
        ),
        (f"<exif:DateTimeOriginal><rdf:Seq><rdf:li>{AT}</rdf:li></rdf:Seq></exif:DateTimeOriginal>", ""),
        (f"<p:DateTimeOriginal xmlns:p='http://ns.adobe.com/exif/1.0/'>{AT}</p:DateTimeOriginal>", ""),
        (f"<DateTimeOriginal xmlns='http://ns.adobe.com/exif/1.0/'>{AT}</DateTimeOriginal>", ""),
        (f"<exif:DateTimeOriginal/><exif:DateTimeOriginal>{AT}</exif:DateTimeOriginal>", ""),
    ],
    ids=lambda value: value[:60],
)
def test_every_form_of_a_property(elements: str, attributes: str) -> None:
    """Element, attribute, structure with a value, list, foreign prefix: all say the same."""
    assert facts(elements, attributes).dates == (date(AT),)


def test_only_dates_of_taking_count_and_in_order() -> None:
    """DateTimeOriginal before DateCreated; never the dates of files and programs."""
    assert facts(
        "<photoshop:DateCreated>2018-01-01</photoshop:DateCreated>",
        f"xmp:CreateDate='2017-01-01T00:00:00' xmp:ModifyDate='2017-01-01T00:00:00' "
        f"xmp:MetadataDate='2017-01-01T00:00:00' exif:DateTimeDigitized='2017-01-01T00:00:00' "
        f"exif:DateTimeOriginal='{AT}'",
    ).dates == (date(AT), date("2018-01-01"))
    assert facts(attributes="xmp:CreateDate='2017-01-01T00:00:00' xmp:ModifyDate='2017-01-01T00:00:00'").dates == ()


@pytest.mark.parametrize("prefix", ["exif", "exifEX"])
def test_an_offset_in_a_place_of_its_own(prefix: str) -> None:
    """It belongs to DateTimeOriginal alone."""
    found = facts(
        attributes=f"{prefix}:OffsetTimeOriginal='-05:30' exif:DateTimeOriginal='{AT}' photoshop:DateCreated='{AT}'"
    )
    assert found.dates == (date(AT, "-05:30"), date(AT))


def test_names() -> None:
    """The title in the default language, all authors, camera and lens."""
    found = facts(
        """<dc:title><rdf:Alt>
             <rdf:li xml:lang="de">Wien</rdf:li><rdf:li xml:lang="x-default">Vienna &amp; more</rdf:li>
           </rdf:Alt></dc:title>
           <dc:creator><rdf:Seq>
             <rdf:li>Anna</rdf:li><rdf:li> </rdf:li><rdf:li> Bert </rdf:li>
           </rdf:Seq></dc:creator>""",
        "tiff:Make=' Canon ' tiff:Model='EOS 6D' aux:Lens='50mm' tiff:Orientation='6'",
    )
    assert found == XmpFacts((), "Vienna & more", "Anna; Bert", "Canon", "EOS 6D", "50mm", orientation=6)


def test_second_places_of_names() -> None:
    """The artist of TIFF where there is no creator; the lens of Exif 2.3 before Adobe's."""
    found = facts(attributes="tiff:Artist='Anna' exifEX:LensModel='RF50mm F1.2' aux:Lens='50mm' tiff:Orientation='9'")
    assert (found.creator, found.lens, found.orientation) == ("Anna", "RF50mm F1.2", None)


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        ("48,24.5N", "3,5.25W", (48.408333, -3.0875)),
        ("33,51,36S", "151,12,36E", (-33.86, 151.21)),
        ("48.5", "-3.25", (48.5, -3.25)),
        ("48.5 N", "3.25w", (48.5, -3.25)),
        ("0,0N", "0,0E", None),  # a receiver without a fix
        ("91,0N", "0,0E", None),
        ("48,24.5N", "181,0E", None),
        ("48,24.5N", "nowhere", None),
        ("48,24.5N", "", None),
        ("nan", "inf", None),
    ],
)
def test_places(lat: str, lon: str, expected: tuple[float, float] | None) -> None:
    """Degrees in every form that programs write; both or none."""
    found = facts(attributes=f"exif:GPSLatitude='{lat}' exif:GPSLongitude='{lon}'")
    if expected is None:
        assert (found.lat, found.lon) == (None, None)
    else:
        assert (found.lat, found.lon) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "below", "metres"),
    [("1234/10", "0", 123.4), ("50/1", "1", -50.0), ("12.5", "", 12.5), ("1/0", "0", None), ("high", "0", None)],
)
def test_altitudes(text: str, below: str, metres: float | None) -> None:
    """A fraction of metres, above the sea or below."""
    assert facts(attributes=f"exif:GPSAltitude='{text}' exif:GPSAltitudeRef='{below}'").altitude == metres


def test_what_a_picture_was_made_from_is_not_the_picture() -> None:
    """Ingredients and earlier versions have dates and cameras of their own."""
    inner = f"<rdf:Description exif:DateTimeOriginal='{AT}'><tiff:Make>Canon</tiff:Make></rdf:Description>"
    assert (
        facts(
            f"<xmpMM:Pantry><rdf:Bag><rdf:li>{inner}</rdf:li></rdf:Bag></xmpMM:Pantry>"
            f"<xmpMM:DerivedFrom rdf:parseType='Resource'><tiff:Make>Canon</tiff:Make></xmpMM:DerivedFrom>"
        )
        == XmpFacts()
    )


def test_several_descriptions() -> None:
    """Programs split the properties by name space; of one that is there twice the first counts."""
    more = "<rdf:Description tiff:Make='Canon'><exif:DateTimeOriginal>2000</exif:DateTimeOriginal></rdf:Description>"
    text = packet(f"<exif:DateTimeOriginal>{AT}</exif:DateTimeOriginal>")
    assert read(text.replace("</rdf:RDF>", f"{more}</rdf:RDF>").encode()) == XmpFacts((date(AT),), make="Canon")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", MARK])
@pytest.mark.parametrize("declared", ["", "<?xml version='1.0' encoding='ISO-8859-1' standalone='yes'?>\n"])
def test_encodings(encoding: str, mark: str, declared: str) -> None:
    """With a byte order mark and without; a declaration that names another encoding is not believed."""
    text = mark + declared + packet("<dc:title><rdf:Alt><rdf:li>Grüße 日本 𝄞</rdf:li></rdf:Alt></dc:title>")
    assert read(text.encode(encoding)).title == "Grüße 日本 𝄞"


def test_bytes_that_are_no_utf_8() -> None:
    """What is really Latin-1 is read as that, without harm to the rest."""
    assert (
        read(packet(attributes="dc:title='Grüße 日本'").encode().replace("ü".encode(), b"\xfc")).title == "Grüße 日本"
    )


@pytest.mark.parametrize("before", [b"", b"\n \t", codecs.BOM_UTF8, b"http://ns.adobe.com/xap/1.0/\0"])
@pytest.mark.parametrize("behind", [b"", b"\0" * 4096, b"trailing", b"\xff\xd9", b"<", b"</x:xmpmeta>"])
def test_what_surrounds_a_packet(before: bytes, behind: bytes) -> None:
    """Headers, padding and rubbish around it take nothing from it."""
    whole = before + packet(attributes=f"exif:DateTimeOriginal='{AT}'").encode() + behind
    assert read(whole).dates == (date(AT),)


def test_characters_that_xml_forbids() -> None:
    """Zeros behind a value, as cameras write them, do not end the packet."""
    assert facts("<tiff:Make>Canon\0\0\x01</tiff:Make><tiff:Model>EOS</tiff:Model>")[3:5] == ("Canon", "EOS")


@pytest.mark.parametrize("end", ["<tiff:Model>EO", "<tiff:Model", "&nosuch;", "</dc:wrong>", "<a b=c>"])
def test_damage_half_way(end: str) -> None:
    """What stood whole before the damage counts; what was cut does not."""
    text = packet("<tiff:Make>Canon</tiff:Make>@").partition("@")[0]
    assert read((text + end).encode()) == XmpFacts(make="Canon")


def test_a_prefix_that_nobody_declared() -> None:
    """It means what it usually means; one that means something else does not."""
    bare = f"<rdf:RDF><rdf:Description exif:DateTimeOriginal='{AT}'/></rdf:RDF>"
    assert read(bare.encode()).dates == (date(AT),)
    assert read(bare.replace("<rdf:RDF", "<rdf:RDF xmlns:exif='http://example.org/'").encode()) == XmpFacts()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\0" * 100,
        b"\xff\xd8\xff\xe0",
        b"no element",
        b"<html><body>no</body></html>",
        b"<x:xmpmeta/>",
        b"<<<<",
        b"<?xml version='1.0'?>",
        b"\xff\xfe<\0",
        b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><rdf:RDF/>",
        b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><rdf:RDF>&e;</rdf:RDF>",
        b"<!DOCTYPE x [<!ENTITY a '1'><!ENTITY b '&a;&a;&a;&a;'>]><rdf:RDF>&b;</rdf:RDF>",
        b"<?xml version='1.0'?>\n<!-- --><!DOCTYPE rdf:RDF><rdf:RDF/>",
    ],
)
def test_what_is_no_xmp(document: bytes) -> None:
    """Anything else is refused in words; a document type is refused whatever it holds."""
    with pytest.raises(Refused, match=r"^no XMP: "):
        read(document)


def test_a_million_bytes_of_nothing() -> None:
    """Depth, attributes, names and values have limits; a packet that is too long is read to the limit."""
    with pytest.raises(Refused, match="too deep"):
        read(b"<rdf:RDF>" + b"<a>" * 300_000)
    many = "".join(f"<rdf:li>{number}</rdf:li>" for number in range(30_000))
    creator = facts(f"<dc:creator><rdf:Bag>{many}</rdf:Bag></dc:creator>").creator
    assert creator is not None
    assert creator.startswith("0; 1; 2")
    assert len(creator) < 1000
    assert facts(attributes=" ".join(f"xmlns:a{number}='u'" for number in range(40_000))) == XmpFacts()
    assert len(facts(f"<tiff:Make>{'x' * 900_000}</tiff:Make>").make or "") < 10_000
    long = packet("<tiff:Make>Canon</tiff:Make>" + "<a>b</a>" * 200_000 + "<tiff:Model>EOS</tiff:Model>").encode()
    assert len(long) > PACKET_MAX
    assert read(long) == XmpFacts(make="Canon")


def opened(path: Path) -> Opened:
    return Opened(os.open(path, os.O_RDONLY), path.stat().st_size, os.fsencode(path), Kind.SIDECAR)


def test_a_sidecar(tmp_path: Path) -> None:
    """A file of its own speaks of the file beside it: its dates are those of a sidecar."""
    path = tmp_path / "a.jpg.xmp"
    path.write_text(
        packet(
            "<dc:title><rdf:Alt><rdf:li>Vienna</rdf:li></rdf:Alt></dc:title>",
            f"exif:DateTimeOriginal='{AT}' tiff:Artist='Anna' tiff:Make='Canon' "
            "exif:GPSLatitude='48,30N' exif:GPSLongitude='16,15E' exif:GPSAltitude='170/1'",
        )
    )
    file = opened(path)
    try:
        found = sidecar(file)
    finally:
        os.close(file.fd)
    assert found.reader == "xmp"
    assert found.dates == (DateClaim(DateSource.SIDECAR, AT),)
    assert found.tags == Tags(title="Vienna", artist="Anna")
    assert found.camera == Camera("Canon")
    assert found.gps == Gps(48.5, 16.25, 170.0)


def test_a_sidecar_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A name is no proof."""
    path = tmp_path / "a.xmp"
    path.write_bytes(b"{}")
    file = opened(path)
    try:
        with pytest.raises(Refused):
            sidecar(file)
    finally:
        os.close(file.fd)


def test_the_packets_of_the_corpus(corpus: Path) -> None:
    """Every .xmp file of real programs is read, and their dates have the form of one."""
    files = sorted(corpus.glob("files/*.xmp"))
    assert files
    for path in files:
        for claim in xmp.read(path.read_bytes()).dates:
            assert claim.text[:2] in {"19", "20"}
