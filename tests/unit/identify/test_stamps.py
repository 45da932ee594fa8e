from __future__ import annotations

import pytest

from mediasluice.identify.stamps import claims
from mediasluice.model.media import DateClaim, DateSource

AT, DAY = "2019-05-04T10:11:12", "2019-05-04"
EVENING = "2019-05-04T21:11:12"


def found(name: str) -> list[tuple[str, str, str | None]]:
    return [(claim.source.value, claim.text, claim.offset) for claim in claims(name.encode())]


@pytest.mark.parametrize(
    "name",
    [
        "IMG_20190504_101112.jpg",
        "IMG_20190504_101112_1.jpg",
        "IMG_20190504_101112_HDR.jpg",
        "IMG_20190504_101112123.jpg",
        "IMG_20190504_101112_BURST001_COVER.jpg",
        "00000IMG_00000_BURST20190504101112123_COVER.jpg",
        "VID_20190504_101112.mp4",
        "MVIMG_20190504_101112.jpg",
        "20190504_101112.jpg",
        "20190504101112.mp4",
        "lv_0_20190504101112.mp4",
        "DJI_20190504101112_0001_D.MP4",
        "CameraZOOM-20190504101112123.jpg",
        "InShot_20190504_101112345.jpg",
        "Screenshot_20190504-101112.png",
        "Screenshot_20190504-101112_Firefox.jpg",
        "Screenshot_2019-05-04-10-11-12.png",
        "Screenshot_2019-05-04-10-11-12-345_com.whatsapp.png",
        "Screenshot from 2019-05-04 10-11-12.png",
        "Screenshot 2019-05-04 101112.png",
        "Screenshot 2019-05-04 at 10.11.12.png",
        "Screen Shot 2019-05-04 at 10.11.12 AM.png",
        "Bildschirmfoto 2019-05-04 um 10.11.12.png",
        "Capture d\u2019écran 2019-05-04 à 10.11.12.png",
        "Capture d\u2019e\u0301cran 2019-05-04 a\u0300 10.11.12.png",
        "スクリーンショット 2019-05-04 10.11.12.png",
        "截屏2019-05-04 10.11.12.png",
        "signal-2019-05-04-101112.jpg",
        "signal-2019-05-04-10-11-12-345.jpg",
        "2019-05-04 10.11.12.jpg",
        "2019-05-04 10.11.12-1.jpg",
        "2019-05-04 10.11.12 (Anna).heic",
        "2019-05-04_10-11-12.mkv",
        "2019-05-04T10:11:12Z.jpg",
        "2019_05_04_10_11_12.jpg",
        "2019.05.04 10.11.12.jpg",
        "Photo 2019-05-04 10 11 12.jpg",
        "WIN_20190504_10_11_12_Pro.mp4",
        "WhatsApp Image 2019-05-04 at 10.11.12.jpeg",
        "WhatsApp Video 2019-05-04 at 10.11.12 AM (1).mp4",
        "photo_2019-05-04_10-11-12.jpg",
        "photo_5@04-05-2019_10-11-12.jpg",
        "vlcsnap-2019-05-04-10h11m12s345.png",
        "1080p 20190231_101112 20190504_101112.mp4",
    ],
)
def test_a_full_stamp(name: str) -> None:
    """Whatever program writes a full stamp, it is read to the second, as a local time."""
    assert found(name) == [("name", AT, None)]


@pytest.mark.parametrize(
    "name",
    [
        "Screen Shot 2019-05-04 at 9.11.12 PM.png",
        "Screenshot 2019-05-04 at 9.11.12\u202fPM.png",
        "Screenshot 2019-05-04 at 9.11.12\u00a0p.m..png",
        "Captura de pantalla 2019-05-04 a la(s) 9.11.12 p. m..png",
        "스크린샷 2019-05-04 오후 9.11.12.png",
        "截屏2019-05-04 下午9.11.12.png",
    ],
)
def test_a_clock_of_twelve_hours(name: str) -> None:
    """The second half of a day is one, in front of the time or behind it."""
    assert found(name) == [("name", EVENING, None)]


@pytest.mark.parametrize(
    ("hour", "half", "expected"),
    [("12", "AM", "00"), ("12", "PM", "12"), ("1", "AM", "01"), ("11", "PM", "23"), ("21", "PM", "21")],
)
def test_noon_and_midnight(hour: str, half: str, expected: str) -> None:
    """Twelve comes before one, and an hour that says all stays."""
    assert found(f"Screen Shot 2019-05-04 at {hour}.11.12 {half}.png") == [
        ("name", f"2019-05-04T{expected}:11:12", None)
    ]


@pytest.mark.parametrize(
    "name",
    ["PXL_20190504_101112123.jpg", "PXL_20190504_101112123.MP.jpg", "Copy of PXL_20190504_101112123~2.jpg"],
)
def test_names_of_googles_camera_are_utc(name: str) -> None:
    """They alone carry Z."""
    assert found(name) == [("name", AT, "Z")]


@pytest.mark.parametrize(
    "name",
    [
        "IMG-20190504-WA0001.jpg",
        "VID-20190504-WA0123.mp4",
        "PTT-20190504-WA0001.opus",
        "2019-05-04.jpg",
        "2019-05-04 Anna.jpg",
        "Anna 2019-05-04.jpg",
        "Anna_2019_05_04.jpg",
        "2019.05.04.jpg",
        "20190504.jpg",
        "20190504_001.jpg",
        "20190504_1011.jpg",
        "Scan_20190504.jpg",
        "IMG_20190504.jpg",
        "2019-05-04 IMG_101112.jpg",
        "2019-05-04_v1.11.12.jpg",
        "20190504_101199.jpg",
    ],
)
def test_a_day_alone(name: str) -> None:
    """A day without a time is a claim of its own; a number that is no time is none."""
    assert found(name) == [("name-date", DAY, None)]


@pytest.mark.parametrize(
    "name",
    [
        "1556964672123.jpg",
        "FB_IMG_1556964672123.jpg",
        "mmexport1556964672123.jpg",
        "1556964672123-1.jpg",
        "a_1556964672123_b.jpg",
    ],
)
def test_milliseconds(name: str) -> None:
    """Thirteen digits are milliseconds since 1970, UTC."""
    assert found(name) == [("name-epoch", "2019-05-04T10:11:12.123", "Z")]


def test_the_best_comes_first() -> None:
    """A name with both gives the stamp before the epoch, and a day never next to a stamp."""
    assert [claim.source for claim in claims(b"dji_fly_20190504_101112_0001_1556964672123_photo.jpg")] == [
        DateSource.NAME,
        DateSource.NAME_EPOCH,
    ]


@pytest.mark.parametrize(
    "name",
    [
        "20191301.jpg",  # no month
        "20190532.jpg",  # no day
        "20190504a.jpg",
        "x20190504.jpg",
        "DSC_0001.JPG",
        "P1040001.JPG",
        "GOPR0123.MP4",
        "GX010123.MP4",
        "C0001.MP4",
        "00012.MTS",
        "RPReplay_Final1556964672.mov",  # seconds since 1970
        "1556964672.jpg",
        "Snapchat-1556964672.jpg",
        "01701234567.jpg",  # a phone number
        "+49 170 1234567.jpg",
        "0123456789012.jpg",  # thirteen digits, but no epoch begins with a zero
        "12345678901234.jpg",
        "123456789012345678.jpg",
        "received_1234567890123456.jpeg",
        "0020190504.jpg",
        "201905041.jpg",
        "article 20190504.jpg",  # eight digits in the middle
        "deadbeef20190504.jpg",
        "8f14e45f-2019-0504-1011-123456789012.jpg",
        "2019-0504.jpg",
        "04.05.2019.jpg",
        "05-04-2019 10.11.12.jpg",  # which of them is the day?
        "1920x1080.mp4",
        "3.14159265358979.png",
        "1.1556964672123.jpg",
        "May 04, 10 11 12 AM.jpg",
        "",
        ".",
        "\0\n",
        "١٩٩٩٠٥٠٤.jpg",  # digits of another script
    ],
)
def test_numbers_that_are_no_dates(name: str) -> None:
    """Numbers of things, phones, accounts and pixels are not taken for dates."""
    assert found(name) == []


def test_a_day_that_no_calendar_has_is_handed_on() -> None:
    """Whoever judges can say why; a real one in the same name is preferred."""
    assert claims(b"IMG_20190231_101112.jpg") == (DateClaim(DateSource.NAME, "2019-02-31T10:11:12"),)


def test_bytes_that_are_no_text() -> None:
    """A name in no encoding still tells its date."""
    assert claims(b"\xff\xfeIMG_20190504_101112\x80.jpg") == (DateClaim(DateSource.NAME, AT),)


@pytest.mark.parametrize("unit", [b"2019-05-04 ", b"20190504", b"2019 ", b"PXL_", b"\xff", b"2019-05-04 at "])
def test_a_very_long_name_is_looked_at_in_part(unit: bytes) -> None:
    """Names of a megabyte, as archives may hold them, cost no more than names of 512 bytes."""
    assert claims(unit * 100_000) == claims((unit * 100_000)[:512])
