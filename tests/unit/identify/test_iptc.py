from __future__ import annotations

import struct

import pytest

from mediasluice.identify.readers import iptc
from mediasluice.identify.readers.iptc import IptcFacts
from mediasluice.model.media import DateClaim, DateSource
from tests import pictures as made


def test_a_record() -> None:
    """Title, authors and the time with its offset."""
    record = made.iptc(
        (2, 5, b"A title"),
        (2, 80, b"One"),
        (2, 80, b"Two"),
        (2, 55, b"20110203"),
        (2, 60, b"040506-0530"),
        (2, 25, b"k"),
    )
    assert iptc.read(record) == IptcFacts(
        (DateClaim(DateSource.IPTC, "2011:02:03 04:05:06", "-05:30"),), "A title", "One; Two"
    )


@pytest.mark.parametrize(
    ("date", "time", "claim"),
    [
        (b"20110203", b"040506", DateClaim(DateSource.IPTC, "2011:02:03 04:05:06")),
        (b"20110203", b"", DateClaim(DateSource.IPTC, "2011:02:03")),
        (b"2011-02-03", b"04:05:06+01:00", DateClaim(DateSource.IPTC, "2011:02:03 04:05:06", "+01:00")),
        (b"00000000", b"000000", DateClaim(DateSource.IPTC, "0000:00:00 00:00:00")),
        (b"soon", b"040506", None),
        (b"", b"040506", None),
    ],
)
def test_dates(date: bytes, time: bytes, claim: DateClaim | None) -> None:
    """A date without a time is a date; a time without a date is nothing; some programs write separators."""
    record = made.iptc((2, 55, date), (2, 60, time))
    assert iptc.read(record).dates == (() if claim is None else (claim,))


@pytest.mark.parametrize(
    ("marked", "raw", "title"),
    [
        (True, "Tïtle".encode(), "Tïtle"),
        (False, "Tïtle".encode(), "Tïtle"),
        (False, "Tïtle".encode("latin-1"), "Tïtle"),
        (True, b"T\xef", "T�"),
    ],
)
def test_encodings(marked: bool, raw: bytes, title: str) -> None:  # noqa: FBT001 - a column of the table
    """UTF-8 where it is declared or plainly is, else Latin-1."""
    values = [(2, 5, raw)]
    if marked:
        values.insert(0, (1, 90, b"\x1b%G"))
    assert iptc.read(made.iptc(*values)).title == title


def test_lengths_of_lengths() -> None:
    """A long value declares the length of its length."""
    long = struct.pack(">BBBHI", 0x1C, 2, 120, 0x8004, 70_000) + b"x" * 70_000
    assert iptc.read(long + made.iptc((2, 5, b"behind"))).title == "behind"


def test_resources_of_photoshop() -> None:
    """Resources with names of any length, and odd sizes, are stepped over; the first of a number counts."""
    data = (
        made.resource(0x0409, b"thumbnail")
        + made.resource(0x0404, b"first", b"name")
        + made.resource(0x0404, b"second")
        + made.resource(0x0424, b"<x/>", b"odd")
    )
    assert iptc.resources(data, {0x0404, 0x0424}) == {0x0404: b"first", 0x0424: b"<x/>"}
    assert iptc.resources(data, {0x0422}) == {}


def test_every_cut() -> None:
    """Records and resources may end anywhere, and declare any length."""
    record = made.iptc((2, 5, b"A title"), (2, 55, b"20110203"))
    data = made.resource(0x0404, record)
    for end in range(len(data)):
        iptc.read(iptc.resources(data[:end], {0x0404}).get(0x0404, b""))
    huge = struct.pack(">BBBHQ", 0x1C, 2, 5, 0x8008, 1 << 62)
    assert iptc.read(huge) == IptcFacts()
    assert iptc.read(struct.pack(">BBBH", 0x1C, 2, 5, 0xFFFF)) == IptcFacts()
    assert iptc.resources(b"8BIM\x04\x04\0\0\xff\xff\xff\xff", {0x0404}) == {0x0404: b""}
