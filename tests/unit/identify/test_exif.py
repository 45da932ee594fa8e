from __future__ import annotations

import struct
from fractions import Fraction

import pytest

from mediasluice.identify.opened import Refused
from mediasluice.identify.readers import exif, ifd
from mediasluice.model.media import Camera, DateClaim, DateSource, Exposure, Gps
from tests import pictures as made

WHEN = "2019:05:06 07:08:09"
PLACE: made.Tags = {
    1: "S",
    2: [Fraction(52), Fraction(30), Fraction(15)],
    3: "W",
    4: [Fraction(13), Fraction(24), Fraction(36)],
    5: 0,
    6: Fraction(345, 10),
}


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_whole_block(order: str) -> None:
    """Both byte orders give every value that a camera writes."""
    taken: made.Tags = {
        made.ORIGINAL: WHEN,
        made.DIGITIZED: "2019:05:06 07:08:10",
        0x829A: Fraction(1, 250),
        0x829D: Fraction(28, 10),
        0x8827: 400,
        0x920A: Fraction(50),
        0xA002: 4000,
        0xA003: 3000,
        0xA434: "EF50mm f/1.8 STM",
    }
    block = made.tiff(
        {
            made.MAKE: "Canon ",
            made.MODEL: "Canon EOS 5D",
            made.ORIENTATION: 6,
            made.ARTIST: "A. Author",
            made.MODIFIED: "2020:01:01 00:00:01",
            made.EXIF: taken,
            made.GPS: PLACE,
        },
        order=order,
    )
    facts = exif.read(block)
    assert facts.dates == (
        DateClaim(DateSource.EXIF_ORIGINAL, WHEN),
        DateClaim(DateSource.EXIF_DIGITIZED, "2019:05:06 07:08:10"),
        DateClaim(DateSource.EXIF_MODIFIED, "2020:01:01 00:00:01"),
    )
    assert facts.camera == Camera("Canon", "Canon EOS 5D", "EF50mm f/1.8 STM")
    assert facts.exposure == Exposure(1 / 250, 2.8, 400, 50.0)
    assert facts.gps is not None
    assert [round(value or 0, 6) for value in facts.gps] == [-52.504167, -13.41, 34.5]
    assert (facts.orientation, facts.width, facts.height, facts.artist) == (6, 4000, 3000, "A. Author")


def test_each_date_has_its_own_fraction_and_offset() -> None:
    """OffsetTime belongs to ModifyDate alone, and each fraction of a second to its own date."""
    block = made.tiff(
        {
            made.MODIFIED: WHEN,
            made.EXIF: {
                made.ORIGINAL: WHEN,
                made.DIGITIZED: WHEN,
                made.OFFSET_MODIFIED: "+02:00",
                made.OFFSET_DIGITIZED: "-05:30",
                made.SUBSEC_ORIGINAL: "04",
            },
        }
    )
    assert exif.read(block).dates == (
        DateClaim(DateSource.EXIF_ORIGINAL, WHEN + ".04"),
        DateClaim(DateSource.EXIF_DIGITIZED, WHEN, "-05:30"),
        DateClaim(DateSource.EXIF_MODIFIED, WHEN, "+02:00"),
    )


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "2019-05-06T07:08:09Z", "", ":  :     :  :"])
def test_dates_are_given_as_they_are_written(text: str) -> None:
    """A zero, a blank and a foreign date are passed on: the rule of capture time judges them, not the reader."""
    block = made.tiff({made.EXIF: {made.ORIGINAL: text, made.SUBSEC_ORIGINAL: "x", made.OFFSET_ORIGINAL: "   :  "}})
    assert exif.read(block).dates == (DateClaim(DateSource.EXIF_ORIGINAL, text),)


def test_tags_in_the_wrong_directory() -> None:
    """What belongs into the Exif directory is found in the first one as well, where TIFF/EP puts it."""
    facts = exif.read(made.tiff({made.ORIGINAL: WHEN, 0x8827: 200, made.EXIF: {made.MAKE: "Maker"}}))
    assert facts.dates == (DateClaim(DateSource.EXIF_ORIGINAL, WHEN),)
    assert (facts.exposure.iso, facts.camera.make) == (200, "Maker")


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"Caf\xc3\xa9\0\0junk", "Café"), (b"Caf\xe9\0", "Café"), (b"  Maker  ", "Maker"), (b"\0\0\0\0\0\0", None)],
)
def test_names_of_any_encoding(raw: bytes, text: str | None) -> None:
    """A name is UTF-8, or else Latin-1; it ends at the first zero; blank is none."""
    assert exif.read(made.tiff({made.MAKE: raw})).camera.make == text


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ({**PLACE, 2: [Fraction(0)] * 3, 4: [Fraction(0)] * 3}, None),
        ({**PLACE, 2: [Fraction(91), Fraction(0), Fraction(0)]}, None),
        ({key: value for key, value in PLACE.items() if key != 4}, None),
        ({**PLACE, 5: 1}, Gps(-52.5042, -13.41, -34.5)),
        ({key: value for key, value in PLACE.items() if key in {2, 4}}, Gps(52.5042, 13.41)),
        ({**PLACE, 2: [Fraction(52)], 6: "high"}, Gps(-52, -13.41)),
    ],
    ids=["no fix", "beyond the pole", "half", "below the sea", "without sides", "degrees alone"],
)
def test_places(place: made.Tags, found: Gps | None) -> None:
    """Both coordinates or none; zero on both axes is what a receiver without a fix writes."""
    gps = exif.read(made.tiff({made.GPS: place})).gps
    assert (gps is None) == (found is None)
    if gps is not None and found is not None:
        assert (round(gps.lat, 4), round(gps.lon, 4), gps.altitude) == found


def test_a_fraction_over_zero_is_no_number() -> None:
    """A denominator of zero gives no exposure and does no harm; a second of 0/0 is none."""
    nothing = struct.pack("<II", 0, 0)
    block = bytearray(made.tiff({made.EXIF: {0x829A: Fraction(1, 7), 0x829D: Fraction(1, 7), 0x9202: Fraction(4)}}))
    assert block.count(struct.pack("<II", 1, 7)) == 2
    facts = exif.read(bytes(block).replace(struct.pack("<II", 1, 7), nothing))
    assert facts.exposure == Exposure(None, 4.0)


def test_exposure_from_logarithms() -> None:
    """Where time and aperture are not written, their logarithms are; 65535 sends to a larger number."""
    facts = exif.read(
        made.tiff({made.EXIF: {0x9201: Fraction(-2), 0x9202: Fraction(6), 0x8827: 65535, 0x8832: 102400}})
    )
    assert facts.exposure == Exposure(4.0, 8.0, 102400)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, (0, False)),
        (2, (0, True)),
        (3, (180, False)),
        (4, (180, True)),
        (5, (270, True)),
        (6, (90, False)),
        (7, (90, True)),
        (8, (270, False)),
        (0, (None, None)),
        (9, (None, None)),
    ],
)
def test_orientations(orientation: int, turned: tuple[int | None, bool | None]) -> None:
    """Each of the eight is a flip from left to right or none, and then a turn; others are unknown."""
    assert exif.turned(exif.read(made.tiff({made.ORIENTATION: orientation})).orientation) == turned


@pytest.mark.parametrize(
    ("tags", "lens"),
    [
        ({0xA434: "Zoom", 0xA432: [Fraction(24), Fraction(70), Fraction(28, 10), Fraction(28, 10)]}, "Zoom"),
        ({0xA432: [Fraction(24), Fraction(70), Fraction(28, 10), Fraction(4)]}, "24-70mm f/2.8-4"),
        (
            {0xA432: [Fraction(50), Fraction(50), Fraction(18, 10), Fraction(18, 10)], 0xA433: "Canon"},
            "Canon 50mm f/1.8",
        ),
        ({0xA432: [Fraction(0)] * 4}, None),
        ({0xA434: " "}, None),
    ],
    ids=["by name", "by numbers", "with its maker", "zeros", "blank"],
)
def test_lenses(tags: made.Tags, lens: str | None) -> None:
    """A lens is called by its name, else by its focal lengths and apertures."""
    assert exif.read(made.tiff({made.EXIF: tags})).camera.lens == lens


def nikon_note() -> bytes:
    lens: made.Tags = {0x84: [Fraction(18), Fraction(70), Fraction(35, 10), Fraction(45, 10)]}
    return b"Nikon\0\2\x10\0\0" + made.tiff(lens, order=">")


def olympus_note() -> bytes:
    """Offsets count from its beginning: the header of a TIFF structure takes the place of the maker's."""
    below = made.tiff({0x2010: {0x0203: "OLYMPUS M.12-40mm F2.8"}}, gap=bytes(4))
    return b"OLYMPUS\0II\3\0" + below[12:]


def panasonic_note(start: int) -> bytes:
    below = made.tiff({0x0051: "LUMIX G 20/F1.7"}, gap=bytes(start + 12 - 8))
    return b"Panasonic\0\0\0" + below[start + 12 :]


def canon_note(start: int) -> bytes:
    return made.tiff({0x0095: "EF24-70mm f/2.8L USM"}, gap=bytes(start - 8))[start:]


def apple_note(identifier: str) -> bytes:
    below = made.tiff({0x0011: identifier}, order=">", gap=bytes(6))
    return b"Apple iOS\0\0\1MM" + below[14:]


@pytest.mark.parametrize(
    ("maker", "note", "lens"),
    [
        ("NIKON CORPORATION", lambda _: nikon_note(), "18-70mm f/3.5-4.5"),
        ("OLYMPUS IMAGING CORP.", lambda _: olympus_note(), "OLYMPUS M.12-40mm F2.8"),
        ("Panasonic", panasonic_note, "LUMIX G 20/F1.7"),
        ("Canon", canon_note, "EF24-70mm f/2.8L USM"),
        ("Canon", lambda _: b"\xff" * 40, None),
        ("Unheard of", lambda _: b"\xff" * 40, None),
    ],
)
def test_lenses_of_makers(maker: str, note: object, lens: str | None) -> None:
    """Where Exif does not name the lens the maker's note does, wherever its offsets count from."""
    assert callable(note)
    length = 200
    start = made.tiff({made.MAKE: maker, made.EXIF: {made.NOTE: b"\xee" * length}}).index(b"\xee" * 8)
    body = note(start).ljust(length, b"\0")
    assert exif.read(made.tiff({made.MAKE: maker, made.EXIF: {made.NOTE: body}})).camera.lens == lens


def test_the_halves_of_a_live_photo() -> None:
    """Apple's note holds the identifier that both halves carry."""
    identifier = "4FA3B1E2-1234-4AAA-9BBB-0123456789AB"
    block = made.tiff({made.MAKE: "Apple", made.EXIF: {made.NOTE: apple_note(identifier), 0xA434: "back camera"}})
    assert exif.read(block).pair == identifier


# --- damage


def test_no_tiff_header() -> None:
    """What is no TIFF structure is refused."""
    for block in (b"", b"II", b"II*\0\0\0\0", b"XX*\0\x08\0\0\0"):
        with pytest.raises(Refused):
            exif.read(block)


def test_every_cut_of_a_block() -> None:
    """A block may end anywhere; what is there counts."""
    block = made.tiff({made.MAKE: "Canon", made.EXIF: {made.ORIGINAL: WHEN}, made.GPS: PLACE})
    for end in range(8, len(block)):
        exif.read(block[:end])
    assert exif.read(block).camera.make == "Canon"


def test_declared_lengths_are_claims() -> None:
    """Counts of four billion, unknown types and offsets behind the end give nothing and cost nothing."""
    entries = [
        struct.pack("<HHII", made.MAKE, 2, 0xFFFFFFFF, 8),
        struct.pack("<HHII", made.MODEL, 2, 5, 0xFFFFFFF0),
        struct.pack("<HHII", made.ORIENTATION, 99, 1, 6),
        struct.pack("<HHII", made.EXIF, 4, 1, 0xFFFFFFF0),
        struct.pack("<HHII", 0x829A, 5, 0x7FFFFFFF, 8),
    ]
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 0xFFFF) + b"".join(entries)
    facts = exif.read(block)
    assert facts.camera == Camera()
    assert facts.orientation is None


def test_directories_in_a_circle() -> None:
    """Directories that point to each other are counted, and each is read once."""
    block = bytearray(made.tiff({made.MAKE: "A"}, {made.MAKE: "B"}))
    tiff = ifd.of_bytes(bytes(block))
    second = tiff.directory(tiff.first, ()).next
    struct.pack_into("<I", block, second + 2 + 12, tiff.first)
    tiff = ifd.of_bytes(bytes(block))
    assert [directory.text(made.MAKE) for directory in tiff.directories({made.MAKE})] == ["A", "B"]


def test_an_exif_directory_that_is_the_first_one() -> None:
    """A pointer to where it stands is no endless walk."""
    block = made.tiff({made.MAKE: "A", made.EXIF: 8, made.GPS: 8})
    assert exif.read(block).camera.make == "A"


def test_big_tiff() -> None:
    """Offsets and counts of eight bytes, in both byte orders."""
    for order in "<>":
        tiff = ifd.of_bytes(made.big_tiff({made.MAKE: "A long name of a maker", made.WIDTH: 70000}, order))
        directory = tiff.directory(tiff.first, {made.MAKE, made.WIDTH})
        assert (directory.text(made.MAKE), directory.whole(made.WIDTH)) == ("A long name of a maker", 70000)
