from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers.takeout import FILE_MAX, TakeoutFacts, belongs, facts, names_of, read
from mediasluice.model.files import Kind
from mediasluice.model.media import DateClaim, DateSource, Gps, Reading

NOWHERE = {"latitude": 0.0, "longitude": 0.0, "altitude": 0.0}
VIENNA = {"latitude": 48.2, "longitude": 16.37, "altitude": 171.0, "latitudeSpan": 0.0}


def document(**values: Any) -> bytes:
    taken = {"timestamp": "1556964672", "formatted": "04.05.2019, 10:11:12 UTC"}
    return json.dumps({"title": "IMG_1.jpg", "photoTakenTime": taken, **values}).encode()


def opened(path: Path, content: bytes) -> Opened:
    path.write_bytes(content)
    return Opened(os.open(path, os.O_RDONLY), len(content), os.fsencode(path), Kind.SIDECAR)


def test_a_whole_file(tmp_path: Path) -> None:
    """Time in UTC and place become a reading of the picture beside it."""
    file = opened(tmp_path / "IMG_1.jpg.json", document(description=" Vienna \n", geoData=VIENNA, geoDataExif=NOWHERE))
    try:
        found = read(file)
    finally:
        os.close(file.fd)
    claim = DateClaim(DateSource.TAKEOUT, "2019-05-04T10:11:12", "Z")
    assert found == Reading("takeout", "application/json", gps=Gps(48.2, 16.37, 171.0), dates=(claim,))


def test_facts() -> None:
    """What the reading has no place for: the name of the upload and what a person wrote."""
    assert facts(document(description=" Vienna \n")) == TakeoutFacts("IMG_1.jpg", "Vienna", "2019-05-04T10:11:12")
    assert facts(document(description="", title=None))[:2] == (None, None)


@pytest.mark.parametrize(
    ("timestamp", "taken"),
    [
        ("1556964672", "2019-05-04T10:11:12"),
        (1556964672, "2019-05-04T10:11:12"),
        ("0", "1970-01-01T00:00:00"),
        ("-86400", "1969-12-31T00:00:00"),
        ("-2208988800", "1900-01-01T00:00:00"),
        ("99999999999999999999", "99999999999999999999"),  # handed on, so that its reader can say what is wrong
        (10**30, None),
        ("", None),
        ("soon", None),
        ("1e9", None),
        (1.5, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_times(timestamp: object, taken: str | None) -> None:
    """Seconds since 1970, as text or as a number, before 1970 as well; nothing else."""
    assert facts(document(photoTakenTime={"timestamp": timestamp})).taken == taken


@pytest.mark.parametrize(
    ("first", "second", "gps"),
    [
        (VIENNA, NOWHERE, Gps(48.2, 16.37, 171.0)),
        (NOWHERE, VIENNA, Gps(48.2, 16.37, 171.0)),
        (NOWHERE, NOWHERE, None),
        (None, None, None),
        ({"latitude": 48.2}, {}, None),
        ({"latitude": 0.0, "longitude": 16.37}, {}, Gps(0.0, 16.37)),
        ({"latitude": 91, "longitude": 16.37}, {}, None),
        ({"latitude": "48", "longitude": "16"}, {}, None),
        ({"latitude": True, "longitude": True}, {}, None),
        ({"latitude": 10**400, "longitude": 1}, {}, None),
        ([48.2, 16.37], "Vienna", None),
    ],
)
def test_places(first: object, second: object, gps: Gps | None) -> None:
    """The place that a person set, else that of the picture; zeros and nonsense are none."""
    assert facts(document(geoData=first, geoDataExif=second)).gps == gps


def test_a_place_that_is_no_number() -> None:
    """JSON of other programs may hold NaN."""
    assert facts(document(geoData={"latitude": float("nan"), "longitude": float("inf")})).gps is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'{"title": "Album", "date": {"timestamp": "1"}}',  # an album
        b'{"photoTakenTime": "1556964672"}',
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"\x80",
        b'{"photoTakenTime": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda content: content[:20],
)
def test_what_is_no_takeout_json(content: bytes) -> None:
    """Other JSON, albums and damage are refused in words."""
    with pytest.raises(Refused, match=r"^no Takeout JSON: "):
        facts(content)


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    """No such file is as large."""
    file = opened(tmp_path / "a.json", document() + b" " * FILE_MAX)
    try:
        with pytest.raises(Refused, match="too many"):
            read(file)
    finally:
        os.close(file.fd)


PAIRS = [
    ("IMG_1.jpg.json", "IMG_1.jpg"),
    ("IMG_1.jpg.supplemental-metadata.json", "IMG_1.jpg"),
    ("DSC_0101.JPG(1).json", "DSC_0101(1).JPG"),
    ("IMG_1234.jpg.supplemental-metadata(1).json", "IMG_1234(1).jpg"),
    ("img.jpg.supplemental-metadata(18).json", "img(18).jpg"),
    ("skytree (2).jpg.supplemental-metadata.json", "skytree (2).jpg"),
    ("IMG_1(1).jpg.json", "IMG_1(1).jpg"),
    ("PXL_20231118_035751175.MP.jpg.json", "PXL_20231118_035751175.MP.jpg"),
    ("PXL_20210102_221126856.MP~2.jpg.json", "PXL_20210102_221126856.MP~2.jpg"),
    # cut at 46 characters
    ("Screenshot_2017-07-05-10-05-26.png.supplementa.json", "Screenshot_2017-07-05-10-05-26.png"),
    ("Screenshot_20241227_105539_Edge.jpg.supplement.json", "Screenshot_20241227_105539_Edge.jpg"),
    ("Screenshot_20220207_102421_com.snapchat.androi.json", "Screenshot_20220207_102421_com.snapchat.android.jpg"),
    ("D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg.supp.json", "D7157814-D2D5-4A62-AFCE-9CF465CB7D66.jpeg"),
    ("PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGIN.json", "PXL_20230809_203449253.LONG_EXPOSURE-02.ORIGINA.jpg"),
    ("05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jp.json", "05yqt21kruxwwlhhgrwrdyb6chhwszi9bqmzu16w0 2.jpg"),
    ("13039_327707840323_537645323_9470255_27214_n.j(1).json", "13039_327707840323_537645323_9470255_27214_n(1).jpg"),
    (
        "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
        "Backyard_ceremony_wedding_photography_xxxxxxx_m(494).jpg",
    ),
    (f"{'x' * 41}.jpg..json", f"{'x' * 41}.jpg"),  # all of the suffix but its dot
    (f"{'x' * 42}.jpg.json", f"{'x' * 42}.jpg"),
    (f"{'𝄞' * 23}.json", f"{'𝄞' * 24}.jpg"),  # counted in UTF-16
    (f"{'x' * 45}.json", f"{'x' * 45}𝄞.jpg"),  # half a character is left out
    # edited pictures share the JSON of the original
    ("IMG_1.jpg.json", "IMG_1-edited.jpg"),
    ("IMG_1.jpg.supplemental-metadata.json", "IMG_1-edited.jpg"),
    ("IMG_1.jpg(1).json", "IMG_1-edited(1).jpg"),
    ("IMG_1.jpg(1).json", "IMG_1(1)-edited.jpg"),
    ("PXL_20220405_090123740.PORTRAIT.jpg.json", "PXL_20220405_090123740.PORTRAIT-modifié.jpg"),
    ("IMG_1.jpg.json", "IMG_1-bearbeitet.jpg"),
    ("IMG_1.jpg.json", "IMG_1-ha editado.jpg"),
    ("IMG_1.jpg.json", "IMG_1-編集済み.jpg"),
    # but one that was uploaded under such a name has its own
    ("IMG_1-edited.jpg.json", "IMG_1-edited.jpg"),
    # uploaded without an extension
    ("PhotoA.json", "PhotoA.jpg"),
    ("PhotoA.supplemental-metadata.json", "PhotoA.jpg"),
    ("README.json", "README"),
]

STRANGERS = [
    ("IMG_1.jpg.json", "IMG_2.jpg"),
    ("IMG_1.jpg.json", "IMG_1.png"),
    ("IMG_1.jpg.json", "IMG_11.jpg"),
    ("IMG_11.jpg.json", "IMG_1.jpg"),
    ("IMG_1.jpg.supp.json", "IMG_1.png"),
    ("IMG_1.jpg.supp.json", "IM.jpg"),
    ("IMG_1.jpg.super.json", "IMG_1.jpg"),
    ("DSC_0102.JPG(2).json", "DSC_0102(1).JPG"),
    ("DSC_0103.JPG(1).json", "DSC_0103.JPG"),
    ("DSC_0104.JPG.json", "DSC_0104(1).JPG"),
    ("PXL_20220405_090123740.PORTRAIT.jpg.json", "PXL_20220405_090123741.PORTRAIT-modifié.jpg"),
    (
        "Backyard_ceremony_wedding_photography_xxxxxxx_(494).json",
        "Backyard_ceremony_wedding_photography_xxxxxxx_m(185).jpg",
    ),
    ("IMG_1.jpg", "IMG_1.jpg"),
    ("metadata.json", "IMG_1.jpg"),
    (".json", "IMG_1.jpg"),
    ("", ""),
]


@pytest.mark.parametrize(("json_name", "media_name"), PAIRS)
def test_names_that_belong_together(json_name: str, media_name: str) -> None:
    """The name of the JSON is among those that a picture's may have."""
    assert json_name.encode() in names_of(media_name.encode())
    assert belongs(json_name.encode(), media_name.encode())


@pytest.mark.parametrize(("json_name", "media_name"), STRANGERS)
def test_names_that_do_not(json_name: str, media_name: str) -> None:
    """Other numbers, other extensions and longer names are other pictures."""
    assert json_name.encode() not in names_of(media_name.encode())
    assert not belongs(json_name.encode(), media_name.encode())


@pytest.mark.parametrize(
    ("json_name", "media_name"),
    [
        ("IMG_1.jpg.JSON", "IMG_1.jpg"),
        ("IMG_1.jpg.supp.json", "IMG_1.jpg"),  # cut elsewhere
        ("IMG_1.jpg.supplemental-meta(1).json", "IMG_1(1).jpg"),
        (f"{'x' * 60}.jpg.json", f"{'x' * 60}.jpg"),  # not cut at all
        (normalize("NFD", "Gr\u00fc\u00dfe.jpg.json"), "Gr\u00fc\u00dfe.jpg"),
        ("Gr\u00fc\u00dfe.jpg.json", normalize("NFD", "Gr\u00fc\u00dfe-modifi\u00e9.jpg")),
    ],
)
def test_what_disks_and_archives_do_to_names(json_name: str, media_name: str) -> None:
    """Capital letters, other limits and accents that were taken apart are seen through."""
    assert belongs(json_name.encode(), media_name.encode())


def test_the_likeliest_name_comes_first() -> None:
    """New exports before old ones, the picture's own JSON before that of the original."""
    assert names_of(b"IMG_1-edited.jpg")[:2] == (
        b"IMG_1-edited.jpg.supplemental-metadata.json",
        b"IMG_1-edited.jpg.json",
    )
    assert names_of(b"IMG_1.jpg") == (
        b"IMG_1.jpg.supplemental-metadata.json",
        b"IMG_1.jpg.json",
        b"IMG_1.supplemental-metadata.json",
        b"IMG_1.json",
    )


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.jpg", b"\x80" * 300, b"\xf0\x9d\x84" * 40 + b".jpg", b".", b"...", b"(1)", b"(1).jpg"]
)
def test_names_in_no_encoding(name: bytes) -> None:
    """Any bytes have names of a JSON that belong to them."""
    for json_name in names_of(name):
        assert belongs(json_name, name)
