from __future__ import annotations

import hashlib
import itertools
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import pdf
from mediasluice.model.files import Kind
from mediasluice.model.media import Reading

Objects = dict[int, bytes]

INFO = b"<</Title(A title)/Author(Some One)/CreationDate(D:20200102030405Z)>>"


def document(pages: int, info: bytes = INFO) -> Objects:
    """A catalogue (1), a page tree (2), what it is called (3), and its pages."""
    kids = b" ".join(b"%d 0 R" % number for number in range(4, 4 + pages))
    return {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, pages),
        3: info,
        **dict.fromkeys(range(4, 4 + pages), b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"),
    }


def written(objects: Mapping[int, bytes], trailer: bytes = b"/Info 3 0 R", before: bytes = b"%PDF-1.4\n") -> bytes:
    """The file with a table of its objects, as PDF 1.4 has it."""
    places, content = dict[int, int](), bytearray(before)
    for number, body in objects.items():
        places[number] = len(content)
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    at, size = len(content), max(objects) + 1
    content += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        content += b"%010d 00000 %s \n" % (places.get(number, 0), b"n" if number in places else b"f")
    return bytes(content) + b"trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, at)


def stream(entries: bytes, data: bytes) -> bytes:
    packed = zlib.compress(data, 9)
    return b"<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream" % (entries, len(packed), packed)


def packed(objects: Objects, inflated: bytes = b"", within: int | None = None) -> bytes:
    """The file with all objects inside a stream, and a table that is a stream, as PDF 1.5 has it."""
    holder, table = max(objects) + 1, max(objects) + 2
    numbers = sorted(objects)
    starts = itertools.accumulate((len(objects[number]) + 1 for number in numbers), initial=0)
    index = b" ".join(b"%d %d" % pair for pair in zip(numbers, starts, strict=False)) + b" "
    body = index + b" ".join(objects[number] for number in numbers) + inflated
    content = bytearray(b"%PDF-1.5\n")
    places = {number: (2, holder, place) for place, number in enumerate(numbers)}
    places[holder] = (1, len(content), 0) if within is None else (2, within, 0)
    content += b"%d 0 obj\n" % holder
    content += stream(b"/Type/ObjStm/N %d/First %d" % (len(numbers), len(index)), body) + b"\nendobj\n"
    at = len(content)
    places[table] = (1, at, 0)
    rows = b"".join(struct.pack(">BIH", *places.get(number, (0, 0, 65535))) for number in range(table + 1))
    entries = b"/Type/XRef/Size %d/W[1 4 2]/Root 1 0 R/Info 3 0 R" % (table + 1)
    content += b"%d 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, stream(entries, rows), at)
    return bytes(content)


def rc4(key: bytes, data: bytes) -> bytes:
    box = list(range(256))
    j = 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) & 255
        box[i], box[j] = box[j], box[i]
    result, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) & 255
        j = (j + box[i]) & 255
        box[i], box[j] = box[j], box[i]
        result.append(byte ^ box[(box[i] + box[j]) & 255])
    return bytes(result)


PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def encrypted(password: bytes = b"") -> bytes:
    """With a key of 40 bits: ISO 32000-1, 7.6.3, algorithms 1 to 4."""
    user = (password + PAD)[:32]
    owner = rc4(hashlib.md5(user).digest()[:5], user)
    key = hashlib.md5(user + owner + struct.pack("<i", -4) + b"an id").digest()[:5]
    entry = b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (owner.hex().encode(), rc4(key, PAD).hex().encode())
    title = rc4(hashlib.md5(key + b"\x03\0\0\0\0").digest()[:10], b"A secret")
    objects = document(2, b"<</Title<%s>>>" % title.hex().encode())
    return written(objects | {9: entry}, b"/Info 3 0 R/Encrypt 9 0 R/ID[<%s><00>]" % b"an id".hex().encode())


def with_aes(revision: int) -> bytes:
    """Its strings cannot be read without a library for AES; its structure can, up to revision 4."""
    owner = bytes(32)
    key = hashlib.md5(PAD + owner + struct.pack("<i", -4) + b"an id").digest()
    for _ in range(50):
        key = hashlib.md5(key).digest()
    proof = hashlib.md5(PAD + b"an id").digest()
    for turn in range(20):
        proof = rc4(bytes(byte ^ turn for byte in key), proof)
    entry = b"<</Filter/Standard/V %d/R %d/Length 128/P -4/O<%s>/U<%s>/OE<%s>/UE<%s>/Perms<%s>%s>>" % (
        min(5, revision),
        revision,
        (owner if revision < 5 else bytes(48)).hex().encode(),
        (proof + bytes(16) if revision < 5 else bytes(48)).hex().encode(),
        bytes(32).hex().encode(),
        bytes(32).hex().encode(),
        bytes(16).hex().encode(),
        b"/CF<</StdCF<</CFM/AESV2/Length 16>>>>/StmF/StdCF/StrF/StdCF",
    )
    objects = document(2, b"<</Title<%s>>>" % bytes(32).hex().encode())
    return written(objects | {9: entry}, b"/Info 3 0 R/Encrypt 9 0 R/ID[<%s><00>]" % b"an id".hex().encode())


def read(tmp_path: Path, content: bytes) -> Reading:
    path = tmp_path / "document.pdf"
    path.write_bytes(content)
    with path.open("rb") as file:
        return pdf.read(Opened(file.fileno(), os.fstat(file.fileno()).st_size, bytes(path), Kind.PDF))


def tree(nodes: Objects) -> bytes:
    return written(document(1) | nodes)


SOUND = {
    "one page": (written(document(1)), 1),
    "three pages": (written(document(3)), 3),
    "packed": (packed(document(5)), 5),
    "more pages than are walked": (written(document(5000)), 5000),
    "a branch": (
        tree({2: b"<</Kids[4 0 R 5 0 R]/Count 3>>", 5: b"<</Kids[6 0 R 6 0 R]/Count 2>>", 6: b"<</Type/Page>>"}),
        3,
    ),
    "a page that is not there": (tree({2: b"<</Type/Pages/Kids[4 0 R 77 0 R]/Count 2>>"}), 1),
    "a million pages declared": (tree({2: b"<</Type/Pages/Kids[4 0 R]/Count 1000000>>"}), 1),
    "no pages declared": (tree({2: b"<</Type/Pages/Kids[4 0 R]>>"}), 1),
    "a header further on": (written(document(2), before=b"HTTP/1.1 200 OK\r\n\r\n%PDF-1.4\n"), 2),
    "a page of HTML behind it": (written(document(2)) + b"<html></html>" * 40, 2),
    "a table that begins elsewhere": (written(document(2)).replace(b"startxref\n", b"startxref\n1"), 2),
    "a table that goes on in itself": (written(document(2), b"/Info 3 0 R/Prev 268"), 2),
}


@pytest.mark.parametrize(("content", "pages"), SOUND.values(), ids=SOUND)
def test_pages_are_counted(tmp_path: Path, content: bytes, pages: int) -> None:
    """Whatever way a document is written, its pages are those that are there, and its title and author are told."""
    reading = read(tmp_path, content)
    assert (reading.media.pages, reading.media.container, reading.error) == (pages, "pdf", None)
    assert (reading.reader, reading.mime) == ("pdf", "application/pdf")
    assert (reading.tags.title, reading.tags.artist) == ("A title", "Some One")


def test_its_date_is_no_capture_date(tmp_path: Path) -> None:
    """When a program wrote a document says nothing about when something was photographed."""
    assert read(tmp_path, written(document(1))).dates == ()


WHOLE = written(document(4))
DAMAGED = {
    "its table is missing": (WHOLE[: WHOLE.rindex(b"xref\n0")], 4),
    "its end is missing": (WHOLE[: WHOLE.rindex(b"startxref")], 4),
    "cut in the middle": (WHOLE[: WHOLE.index(b"6 0 obj")], 2),
    "its table is packed, and missing": (packed(document(3)).partition(b"startxref")[0], 3),
    "its table is noise": (WHOLE.replace(b"00000 n", b"junk! n"), 4),
    "a table of a thousand million objects": (WHOLE.replace(b"xref\n0 8", b"xref\n0 999999999"), 4),
    "cut behind its header": (WHOLE[:12], None),
    "nothing behind its header": (b"%PDF-1.4\n" + bytes(10_000), None),
    "noise behind its header": (b"%PDF-1.4\n" + hashlib.shake_128(b"noise").digest(50_000), None),
}


@pytest.mark.parametrize(("content", "pages"), DAMAGED.values(), ids=DAMAGED)
def test_damage_leaves_what_is_left(tmp_path: Path, content: bytes, pages: int | None) -> None:
    """A document that is cut or broken is searched for its pages, and it is said that it is damaged."""
    reading = read(tmp_path, content)
    assert reading.media.pages == pages
    assert reading.error is not None
    assert reading.error.startswith("damaged: ") or (pages is None and reading.error)


SELF = {2: b"<</Type/Pages/Kids[2 0 R 4 0 R]/Count 1>>"}
RING = {2: b"<</Type/Pages/Kids[5 0 R]/Count 77>>", 5: b"<</Type/Pages/Kids[2 0 R]/Count 77>>"}
DOUBLED = {
    number: b"<</Type/Pages/Kids[%d 0 R %d 0 R]/Count 9999>>" % (number + 1, number + 1) for number in range(5, 45)
}
CHAIN = {number: b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (number + 1) for number in range(5, 6000)}
BOMB = packed(document(1), inflated=b" " * (1 << 28))
HOSTILE = {
    "a tree that holds itself": (tree(SELF), 1, "circle"),
    "a tree that runs in a circle": (tree(RING), None, "circle"),
    "a tree that doubles forty times": (
        tree({2: b"<</Kids[5 0 R 5 0 R]/Count 9999>>"} | DOUBLED | {45: b"<</Type/Page>>"}),
        None,
        "circle",
    ),
    "six thousand branches in each other": (
        tree({2: b"<</Kids[5 0 R]/Count 1>>"} | CHAIN | {6000: b"<</Type/Page>>"}),
        1,
        "not walked to the end",
    ),
    "one page half a million times": (tree({2: b"<</Kids[%s]/Count 500000>>" % (b"4 0 R " * 500_000)}), None, "array"),
    "brackets in each other": (tree({2: b"<</Kids " + b"[" * 50_000 + b"]" * 50_000 + b">>"}), None, ""),
    "dictionaries in each other": (tree({2: b"<</a" * 20_000}), None, ""),
    "a quarter of a gigabyte of blanks": (BOMB, None, "decompress"),
    "objects in a stream that is in itself": (packed(document(2), within=8), 2, "damaged"),
    "a number of 100,000 digits": (tree({2: b"<</Kids[4 0 R]/Count %s>>" % (b"9" * 100_000)}), None, ""),
}


@pytest.mark.parametrize(("content", "pages", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_documents_end_soon(tmp_path: Path, content: bytes, pages: int | None, reason: str) -> None:
    """Trees without an end, bombs and absurd lengths cost little, and the reason is told."""
    reading = read(tmp_path, content)
    assert reading.media.pages == pages
    assert reading.error is not None
    assert reason in reading.error


def test_a_title_of_many_megabytes_costs_the_title_alone(tmp_path: Path) -> None:
    """The pages are counted; what would take seconds to be parsed is left."""
    reading = read(tmp_path, written(document(2, b"<</Title(" + b"x" * 12_000_000 + b")>>")))
    assert (reading.media.pages, reading.tags.title, reading.error) == (2, None, None)


def test_a_large_file_without_an_end_is_refused(tmp_path: Path) -> None:
    """It is not searched, for that would take its size in memory."""
    path = tmp_path / "large.pdf"
    with path.open("wb+") as file:
        file.write(b"%PDF-1.4\n")
        file.truncate(5 << 30)
        with pytest.raises(Refused, match="too large"):
            pdf.read(Opened(file.fileno(), 5 << 30, bytes(path), Kind.PDF))


def test_what_opens_without_a_password_is_read(tmp_path: Path) -> None:
    """A document that only forbids printing opens as it does in a viewer."""
    reading = read(tmp_path, encrypted())
    assert (reading.media.pages, reading.tags.title, reading.error) == (2, "A secret", None)


def test_what_needs_a_password_stays_closed(tmp_path: Path) -> None:
    """Without its password nothing is told of a document but that it has one."""
    reading = read(tmp_path, encrypted(b"open sesame"))
    assert (reading.media.pages, reading.tags.title) == (None, None)
    assert reading.error == "encrypted: it opens with a password only"


def test_aes_is_said_to_be_the_reason(tmp_path: Path) -> None:
    """Structure that is not encrypted is read; where the key itself needs AES, that is what is said."""
    reading = read(tmp_path, with_aes(4))
    assert (reading.media.pages, reading.tags.title, reading.error) == (2, None, None)
    reading = read(tmp_path, with_aes(6))
    assert reading.media.pages is None
    assert reading.error is not None
    assert "encrypted" in reading.error


@pytest.mark.parametrize(
    ("info", "title", "author"),
    [
        (b"<</Title(\\376\\377\\000\\304)/Author<feff00d6>>>", "Ä", "Ö"),
        (b"<</Title( two\\n  lines \\000)/Author()>>", "two lines", None),
        (b"<</Title 4 0 R/Author[1 2]>>", None, None),
        (b"[1 2 3]", None, None),
        (b"<</Title(%s)>>" % (b"x" * 5000), "x" * pdf.TEXT_MAX, None),
    ],
)
def test_names_are_one_line_of_text(tmp_path: Path, info: bytes, title: str | None, author: str | None) -> None:
    """UTF-16, line ends, zeros, other types and endless text: a title is a short line, or there is none."""
    reading = read(tmp_path, written(document(1, info)))
    assert (reading.tags.title, reading.tags.artist, reading.media.pages) == (title, author, 1)


def test_newer_documents_say_it_in_xmp(tmp_path: Path) -> None:
    """Where there is no older place for a title, that of the XMP packet is taken."""
    rdf, dc = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://purl.org/dc/elements/1.1/"
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}"><rdf:Description xmlns:dc="{dc}">'
        '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">New</rdf:li></rdf:Alt></dc:title>'
        "<dc:creator><rdf:Seq><rdf:li>One</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    objects = document(1) | {1: b"<</Type/Catalog/Pages 2 0 R/Metadata 5 0 R>>", 5: stream(b"", packet.encode())}
    reading = read(tmp_path, written(objects, b""))
    assert (reading.tags.title, reading.tags.artist) == ("New", "One")


@pytest.mark.parametrize("whole", [written(document(3)), packed(document(3))], ids=["table", "packed"])
def test_any_cut_and_any_flip_gives_a_reading(tmp_path: Path, whole: bytes) -> None:
    """Wherever a document is cut and whichever byte is another, the reader gives a reading."""
    for end in range(5, len(whole), 7):
        assert read(tmp_path, whole[:end]).mime == "application/pdf"
    for place in range(5, len(whole), 3):
        flipped = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        assert read(tmp_path, flipped).mime == "application/pdf"


@pytest.mark.parametrize("content", [b"", b"%PD", b"\xff\xd8\xff", b"x" * 2000 + b"%PDF-1.4\n"])
def test_what_is_no_pdf_is_refused(tmp_path: Path, content: bytes) -> None:
    """Without its header near the start a file is no PDF."""
    with pytest.raises(Refused):
        read(tmp_path, content)
