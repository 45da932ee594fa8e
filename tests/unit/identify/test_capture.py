from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from mediasluice.identify.capture import Evidence, Rules, capture
from mediasluice.model.files import Kind
from mediasluice.model.media import Capture, Confidence, DateClaim, DateSource, Gps

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK, TOKYO, DELHI, AUCKLAND = Gps(40.7, -74.0), Gps(35.7, 139.7), Gps(28.6, 77.2), Gps(-36.9, 174.8)


def ns(text: str) -> int:
    """Nanoseconds since 1970 of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


MTIME = ns("2022-03-04T05:06:07")
RULES = Rules(now_ns=ns("2026-01-01T00:00:00"), zone=BERLIN)
AT = "2019-05-04T10:11:12"
EXIF = "2019:05:04 10:11:12"


def claim(source: str, text: str, offset: str | None = None) -> DateClaim:
    return DateClaim(DateSource(source), text, offset)


def evidence(*claims: DateClaim, **values: Any) -> Evidence:
    return Evidence(claims)._replace(**{"mtime_ns": MTIME, **values})


def captured(source: str, local: str = AT, offset: int | None = None, confidence: str = "high") -> Capture:
    return Capture(local, offset, DateSource(source), Confidence(confidence))


class Case(NamedTuple):
    proves: str
    given: Evidence
    source: str
    local: str = AT
    offset: int | None = None
    confidence: str = "high"
    rejected: tuple[str, ...] = ()
    rules: Rules = RULES


FILE_SYSTEM = ("mtime", "2022-03-04T06:06:07", 60, "weak")
ORIGINAL, DIGITIZED, MODIFIED = "exif-original", "exif-digitized", "exif-modified"
KEY, DAY, CONTAINER = "quicktime-key", "quicktime-day", "container"
UTC_AT = "2019-05-04T10:11:12Z"
SUMMER, SUMMER_OFFSET = "2019-05-04T12:11:12", 120  # UTC_AT in Berlin

ORDER = [
    Case(
        "a person beats every other source",
        evidence(claim("sidecar", "2018-01-01T00:00:01"), claim("user", AT), claim(ORIGINAL, "2017:01:01 00:00:01")),
        "user",
    ),
    Case(
        "XMP beside a file beats EXIF",
        evidence(claim(ORIGINAL, "2017:01:01 01:01:01"), claim("sidecar", AT)),
        "sidecar",
    ),
    Case(
        "of two dates in a sidecar the first counts",
        evidence(claim("sidecar", AT), claim("sidecar", "2018-01-01T10:00:00")),
        "sidecar",
    ),
    Case(
        "the second date of a sidecar counts when the first is none",
        evidence(claim("sidecar", "unknown"), claim("sidecar", AT)),
        "sidecar",
        rejected=("sidecar unknown: no date",),
    ),
    Case(
        "DateTimeOriginal beats CreateDate",
        evidence(claim(DIGITIZED, "2002:01:01 10:00:00"), claim(ORIGINAL, EXIF)),
        ORIGINAL,
    ),
    Case(
        "DateTimeDigitized counts without DateTimeOriginal, and is trusted less",
        evidence(claim(DIGITIZED, EXIF), claim("xmp", "2018-01-01T10:00:00")),
        DIGITIZED,
        confidence="medium",
    ),
    Case(
        "embedded XMP comes before IPTC",
        evidence(claim("iptc", "2018:01:01 10:00:00"), claim("xmp", AT)),
        "xmp",
        confidence="medium",
    ),
    Case(
        "IPTC comes before the container",
        evidence(claim(CONTAINER, "2018-01-01T10:00:00Z"), claim("iptc", "20190504 101112", "+0200")),
        "iptc",
        offset=120,
        confidence="medium",
    ),
    Case(
        "QuickTime's key comes before its day and the container",
        evidence(claim(CONTAINER, UTC_AT), claim(DAY, "2018-01-01T10:00:00"), claim(KEY, "2019-05-04T10:11:12-0700")),
        KEY,
        offset=-420,
    ),
    Case(
        "QuickTime's day with a time comes before the container",
        evidence(claim(CONTAINER, "2018-01-01T10:00:00Z"), claim(DAY, "2019-05-04T10:11:12+0200")),
        DAY,
        offset=120,
        confidence="medium",
    ),
    Case(
        "QuickTime's day without a time is passed over",
        evidence(claim(DAY, "2019-05-04"), claim(CONTAINER, UTC_AT), kind=Kind.VIDEO),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
        ("quicktime-day 2019-05-04: a day without a time",),
    ),
    Case(
        "the container comes before Takeout",
        evidence(claim("takeout", "2018-01-01T10:00:00", "Z"), claim(CONTAINER, UTC_AT), kind=Kind.VIDEO),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
    Case(
        "Takeout comes before a name",
        evidence(claim("takeout", AT, "Z"), name=b"IMG_20180101_101010.jpg"),
        "takeout",
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
    Case(
        "EXIF comes before Takeout",
        evidence(claim("takeout", "2018-01-01T10:00:00", "Z"), claim(ORIGINAL, EXIF)),
        ORIGINAL,
    ),
    Case(
        "Takeout comes before EXIF where the library says so",
        evidence(claim(ORIGINAL, "2018:01:01 10:00:00"), claim("takeout", AT, "Z")),
        "takeout",
        SUMMER,
        SUMMER_OFFSET,
        "medium",
        rules=RULES._replace(takeout_first=True),
    ),
    Case(
        "a sidecar comes before Takeout even there",
        evidence(claim("takeout", "2018-01-01T10:00:00", "Z"), claim("sidecar", AT)),
        "sidecar",
        rules=RULES._replace(takeout_first=True),
    ),
    Case(
        "a full stamp comes before an epoch in the same name",
        evidence(name=b"dji_fly_20190504_101112_0001_1556000000000_photo.jpg"),
        "name",
        confidence="medium",
    ),
    Case(
        "a day in a name comes before an epoch",
        evidence(name=b"20190504_1556964672123.jpg"),
        "name-date",
        "2019-05-04T00:00:00",
        confidence="low",
    ),
    Case(
        "an epoch in a name is UTC",
        evidence(name=b"FB_IMG_1556964672123.jpg"),
        "name-epoch",
        SUMMER,
        SUMMER_OFFSET,
        "low",
    ),
    Case(
        "a name comes before ModifyDate",
        evidence(claim(MODIFIED, "2018:01:01 10:00:00"), name=b"IMG-20190504-WA0001.jpg"),
        "name-date",
        "2019-05-04T00:00:00",
        confidence="low",
    ),
    Case("ModifyDate counts when there is nothing else", evidence(claim(MODIFIED, EXIF)), MODIFIED, confidence="low"),
    Case("the file system is the last to be asked", evidence(name=b"DSC_0001.JPG"), *FILE_SYSTEM),
]

OFFSETS = [
    Case("DateTimeOriginal carries its own offset", evidence(claim(ORIGINAL, EXIF, "+02:00")), ORIGINAL, offset=120),
    Case(
        "an offset never moves what a camera wrote",
        evidence(claim(ORIGINAL, "2019:05:04 23:59:59", "-08:00"), gps=TOKYO),
        ORIGINAL,
        "2019-05-04T23:59:59",
        -480,
    ),
    Case(
        "sign, hours and minutes of an offset belong together",
        evidence(claim(ORIGINAL, EXIF, "-05:30")),
        ORIGINAL,
        offset=-330,
    ),
    Case(
        "an offset of less than an hour keeps its sign", evidence(claim(ORIGINAL, EXIF, "-00:30")), ORIGINAL, offset=-30
    ),
    Case("an offset with three quarters of an hour", evidence(claim(ORIGINAL, EXIF, "+05:45")), ORIGINAL, offset=345),
    Case("a blank offset is none", evidence(claim(ORIGINAL, EXIF, "   :  ")), ORIGINAL),
    Case("an impossible offset takes nothing from the date", evidence(claim(ORIGINAL, EXIF, "+99:00")), ORIGINAL),
    Case("an offset with impossible minutes is none", evidence(claim(ORIGINAL, EXIF, "+01:75")), ORIGINAL),
    Case(
        "an offset may stand behind the date",
        evidence(claim("xmp", "2019-05-04T10:11:12.5+1:00")),
        "xmp",
        AT,
        60,
        "medium",
    ),
    Case("Z behind a date that a person wrote is an offset", evidence(claim("sidecar", UTC_AT)), "sidecar", offset=0),
    Case(
        "QuickTime's key keeps its own offset at any place",
        evidence(claim(KEY, "2019-05-04T10:11:12+0530"), gps=TOKYO),
        KEY,
        offset=330,
    ),
    Case(
        "GPS time that lies more than a day away is no reason against EXIF",
        evidence(claim(ORIGINAL, EXIF), claim(CONTAINER, "2019-05-01T00:00:00Z"), gps=NEW_YORK),
        ORIGINAL,
    ),
]

ZONES = [
    Case(
        "a container's time becomes local in the library's zone: summer",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, container="mp4"),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
    Case(
        "a container's time becomes local in the library's zone: winter, and another day",
        evidence(claim(CONTAINER, "2018-12-31T23:30:00.000000Z"), kind=Kind.VIDEO, container="mp4"),
        CONTAINER,
        "2019-01-01T00:30:00",
        60,
        "medium",
    ),
    Case(
        "a container's time becomes local where the film was made",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, gps=NEW_YORK),
        CONTAINER,
        "2019-05-04T06:11:12",
        -240,
        "medium",
    ),
    Case(
        "a traveller's film keeps the day of the place",
        evidence(claim(CONTAINER, "2019-05-04T15:30:00Z"), kind=Kind.VIDEO, gps=TOKYO),
        CONTAINER,
        "2019-05-05T00:30:00",
        540,
        "medium",
    ),
    Case(
        "a zone with half an hour",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, gps=DELHI),
        CONTAINER,
        "2019-05-04T15:41:12",
        330,
        "medium",
    ),
    Case(
        "a container's time without a zone is UTC",
        evidence(claim(CONTAINER, "2019-05-04 10:11:12"), kind=Kind.VIDEO, container="matroska"),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
    Case(
        "a container that names an offset is believed",
        evidence(claim(CONTAINER, "2019-05-04T10:11:12-04:00"), kind=Kind.VIDEO, container="matroska"),
        CONTAINER,
        AT,
        -240,
        "medium",
    ),
    Case(
        "a container's time of music is trusted less: it is that of the encoder",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.AUDIO, container="mp4"),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "low",
    ),
    Case(
        "QuickTime of a camera maker holds the local time",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, container="mov", make="NIKON CORPORATION"),
        CONTAINER,
        confidence="medium",
    ),
    Case(
        "a maker is known by any word of the name",
        evidence(claim(CONTAINER, AT), kind=Kind.VIDEO, container="mov", make="EASTMAN KODAK COMPANY"),
        CONTAINER,
        confidence="medium",
    ),
    Case(
        "QuickTime of a camera maker is not moved to where it was made",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, container="mov", make="Canon", gps=TOKYO),
        CONTAINER,
        confidence="medium",
    ),
    Case(
        "QuickTime of Apple is UTC",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, container="mov", make="Apple"),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
    Case(
        "MP4 of a camera maker is UTC",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, container="mp4", make="Canon"),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
    Case(
        "QuickTime with a broken Apple key is UTC, whoever made it",
        evidence(claim(KEY, "0000"), claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, container="mov", make="Canon"),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
        ("quicktime-key 0000: no date",),
    ),
    Case(
        "AVI holds the clock of the device",
        evidence(claim(CONTAINER, "2019-05-04 10:11:12"), kind=Kind.VIDEO, container="avi"),
        CONTAINER,
        confidence="medium",
    ),
    Case(
        "Takeout's time becomes local where the picture was made",
        evidence(claim("takeout", AT, "Z"), gps=AUCKLAND),
        "takeout",
        "2019-05-04T22:11:12",
        720,
        "medium",
    ),
    Case(
        "names of Google's camera are UTC",
        evidence(name=b"PXL_20190504_101112123.jpg"),
        "name",
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
    Case(
        "names of Google's camera become local where the picture was made",
        evidence(name=b"PXL_20190504_101112123.MP.jpg", gps=NEW_YORK),
        "name",
        "2019-05-04T06:11:12",
        -240,
        "medium",
    ),
    Case(
        "other names are local wherever they were made",
        evidence(name=b"IMG_20190504_101112.jpg", gps=NEW_YORK),
        "name",
        confidence="medium",
    ),
    Case(
        "a place of zeros is no place",
        evidence(claim(CONTAINER, UTC_AT), kind=Kind.VIDEO, gps=Gps(0.0, 0.0)),
        CONTAINER,
        SUMMER,
        SUMMER_OFFSET,
        "medium",
    ),
]

PLAUSIBLE = [
    Case(
        "zeros are no date",
        evidence(claim(ORIGINAL, "0000:00:00 00:00:00"), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original 0000:00:00 00:00:00: no date",),
    ),
    Case(
        "blanks are no date",
        evidence(claim(ORIGINAL, "    :  :     :  :  "), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original (empty): no date",),
    ),
    Case(
        "an empty text is no date",
        evidence(claim(ORIGINAL, ""), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original (empty): no date",),
    ),
    Case(
        "the beginning of QuickTime's epoch is a clock that was never set",
        evidence(claim(CONTAINER, "1904-01-01T00:00:00Z"), name=b"VID_20190504_101112.mp4", kind=Kind.VIDEO),
        "name",
        confidence="medium",
        rejected=("container 1904-01-01T00:00:00Z: a clock that was never set",),
    ),
    Case(
        "the beginning of Unix' epoch is a clock that was never set, in UTC and not in the library's zone",
        evidence(claim("takeout", "1970-01-01T00:00:00", "Z"), claim(MODIFIED, EXIF)),
        MODIFIED,
        confidence="low",
        rejected=("takeout 1970-01-01T00:00:00: a clock that was never set",),
        rules=RULES._replace(floor_year=1900),
    ),
    Case(
        "the beginning of DOS' epoch is a clock that was never set",
        evidence(claim(ORIGINAL, "1980:01:01 00:00:00"), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original 1980:01:01 00:00:00: a clock that was never set",),
        rules=RULES._replace(floor_year=1900),
    ),
    Case(
        "midnight of the year 2000 is a clock that was never set",
        evidence(claim(ORIGINAL, "2000:01:01 00:00:00"), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original 2000:01:01 00:00:00: a clock that was never set",),
    ),
    Case(
        "a second after midnight of the year 2000 is a date",
        evidence(claim(ORIGINAL, "2000:01:01 00:00:01")),
        ORIGINAL,
        "2000-01-01T00:00:01",
    ),
    Case(
        "a year before the first digital cameras is passed over",
        evidence(claim(ORIGINAL, "1989:12:31 23:59:59"), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original 1989:12:31 23:59:59: before 1990",),
    ),
    Case(
        "a library of scans takes older years",
        evidence(claim(ORIGINAL, "1955:07:01 12:00:00")),
        ORIGINAL,
        "1955-07-01T12:00:00",
        rules=RULES._replace(floor_year=1850),
    ),
    Case(
        "the first year that counts counts",
        evidence(claim(ORIGINAL, "1990:01:01 00:00:00")),
        ORIGINAL,
        "1990-01-01T00:00:00",
    ),
    Case(
        "a person is believed whatever the year",
        evidence(claim("user", "1932-07-01")),
        "user",
        "1932-07-01T00:00:00",
    ),
    Case(
        "a person cannot invent a day",
        evidence(claim("user", "2019-02-30"), claim(ORIGINAL, EXIF)),
        ORIGINAL,
        rejected=("user 2019-02-30: no such day or time",),
    ),
    Case(
        "tomorrow on a clock far to the east is a date",
        evidence(claim(ORIGINAL, "2026:01:01 13:59:59", "+14:00")),
        ORIGINAL,
        "2026-01-01T13:59:59",
        840,
    ),
    Case(
        "more than a day ahead is passed over",
        evidence(claim(ORIGINAL, "2026:01:02 00:00:01"), claim(MODIFIED, EXIF)),
        MODIFIED,
        confidence="low",
        rejected=("exif-original 2026:01:02 00:00:01: in the future",),
    ),
    Case(
        "no year has a thirteenth month",
        evidence(claim(ORIGINAL, "2019:13:04 10:11:12"), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original 2019:13:04 10:11:12: no such day or time",),
    ),
    Case(
        "only leap years have a 29th of February",
        evidence(claim(ORIGINAL, "2019:02:29 10:11:12"), claim(DIGITIZED, "2016:02:29 10:11:12")),
        DIGITIZED,
        "2016-02-29T10:11:12",
        confidence="medium",
        rejected=("exif-original 2019:02:29 10:11:12: no such day or time",),
    ),
    Case(
        "no day has 25 hours",
        evidence(claim(ORIGINAL, "2019:05:04 25:11:12"), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original 2019:05:04 25:11:12: no such day or time",),
    ),
    Case(
        "words are no date, and control characters do not reach the reasons",
        evidence(claim(ORIGINAL, "\x1b[31mnever\n\tmind\0" + "x" * 99), claim(DIGITIZED, EXIF)),
        DIGITIZED,
        confidence="medium",
        rejected=("exif-original [31mnever mind xxxxxxxxxxxxxxxxxxxxxxxxx...: no date",),
    ),
    Case(
        "a day in a name that no calendar has is passed over with its reason",
        evidence(name=b"IMG_20190231_101112.jpg"),
        *FILE_SYSTEM,
        rejected=("name 2019-02-31T10:11:12: no such day or time",),
    ),
    Case(
        "the number of a product is no time of ours",
        evidence(name=b"4006381333931.jpg"),
        *FILE_SYSTEM,
        rejected=("name-epoch 2096-12-15T03:42:13.931: in the future",),
    ),
    Case(
        "every source that was passed over is named, in the order of asking",
        evidence(
            claim(MODIFIED, "2030:01:01 00:00:01"),
            claim(CONTAINER, "1904-01-01T00:00:00Z"),
            claim(DIGITIZED, "0000:00:00 00:00:00"),
            claim(ORIGINAL, "    "),
            name=b"4006381333931.jpg",
        ),
        *FILE_SYSTEM,
        rejected=(
            "exif-original (empty): no date",
            "exif-digitized 0000:00:00 00:00:00: no date",
            "container 1904-01-01T00:00:00Z: a clock that was never set",
            "name-epoch 2096-12-15T03:42:13.931: in the future",
            "exif-modified 2030:01:01 00:00:01: in the future",
        ),
    ),
]

FORMS = [
    Case("fractions of a second are left out", evidence(claim(ORIGINAL, EXIF + ".987")), ORIGINAL),
    Case(
        "numbers that are padded with blanks",
        evidence(claim(ORIGINAL, "2019:05: 4 10:11: 2")),
        ORIGINAL,
        "2019-05-04T10:11:02",
    ),
    Case("texts that are padded with zeros and blanks", evidence(claim(ORIGINAL, f" {EXIF} \0\0")), ORIGINAL),
    Case(
        "a time without seconds",
        evidence(claim("sidecar", "2019-05-04T10:11+02:00")),
        "sidecar",
        "2019-05-04T10:11:00",
        120,
    ),
    Case(
        "a day without a time begins at midnight",
        evidence(claim("xmp", "2019-05-04")),
        "xmp",
        "2019-05-04T00:00:00",
        None,
        "medium",
    ),
    Case(
        "New Year's Day of 2000 without a time is a day",
        evidence(claim("xmp", "2000-01-01")),
        "xmp",
        "2000-01-01T00:00:00",
        None,
        "medium",
    ),
    Case(
        "a year alone is no day",
        evidence(claim("xmp", "2019")),
        *FILE_SYSTEM,
        rejected=("xmp 2019: no date",),
    ),
    Case("slashes instead of colons", evidence(claim(ORIGINAL, "2019/05/04 10:11:12")), ORIGINAL),
    Case("ISO 8601 without punctuation", evidence(claim("iptc", "20190504T101112Z")), "iptc", AT, 0, "medium"),
]

MASTER = captured(ORIGINAL, "2019-05-04T10:11:12", 120)
OTHERS = [
    Case("a member shares its master's time", evidence(name=b"a.mov", sibling=MASTER), "sibling", AT, 120, "medium"),
    Case(
        "a member's own name is not better than its master's time",
        evidence(name=b"VID_20180101_101010.mp4", sibling=MASTER),
        "sibling",
        AT,
        120,
        "medium",
    ),
    Case(
        "a member's own metadata is better than its master's time",
        evidence(claim(CONTAINER, "2018-01-01T10:00:00Z"), kind=Kind.VIDEO, sibling=MASTER),
        CONTAINER,
        "2018-01-01T11:00:00",
        60,
        "medium",
    ),
    Case(
        "ModifyDate is not better than the master's time",
        evidence(claim(MODIFIED, "2018:01:01 10:00:00"), sibling=MASTER),
        "sibling",
        AT,
        120,
        "medium",
    ),
    Case(
        "a member's own name is better than the file time of its master",
        evidence(name=b"VID_20190504_101112.mp4", sibling=captured("mtime", "2018-01-01T10:00:00", 60, "weak")),
        "name",
        confidence="medium",
    ),
    Case(
        "a group stays together when only its master's file time is known",
        evidence(name=b"DSC_1.NEF", sibling=captured("mtime", "2018-01-01T10:00:00", 60, "weak")),
        "sibling",
        "2018-01-01T10:00:00",
        60,
        "weak",
    ),
    Case(
        "what a person said of the master holds for the group, whatever the year",
        evidence(sibling=captured("user", "1932-07-01T00:00:00")),
        "sibling",
        "1932-07-01T00:00:00",
        None,
        "medium",
    ),
    Case(
        "an implausible file time of the master is passed over",
        evidence(sibling=captured("mtime", "1970-01-01T00:00:00", 0, "weak")),
        *FILE_SYSTEM,
        rejected=("sibling 1970-01-01T00:00:00: a clock that was never set",),
    ),
    Case(
        "a name that our own template made is no source",
        evidence(name=b"20190504_101112.jpg", own_name=True),
        *FILE_SYSTEM,
    ),
    Case(
        "of both file times the earlier counts",
        evidence(birth_ns=ns("2019-05-04T08:11:12")),
        "mtime",
        AT,
        120,
        "weak",
    ),
    Case(
        "a copy that is younger than its content keeps the content's time",
        evidence(birth_ns=ns("2024-01-01T00:00:00")),
        *FILE_SYSTEM,
    ),
    Case("a file system without birth times says zero", evidence(birth_ns=0), *FILE_SYSTEM),
    Case(
        "a file time that was reset gives way to a plausible one",
        evidence(mtime_ns=0, birth_ns=MTIME),
        *FILE_SYSTEM,
    ),
    Case(
        "an implausible file time counts where there is no other",
        evidence(mtime_ns=ns("1970-01-01T00:00:01")),
        "mtime",
        "1970-01-01T01:00:01",
        60,
        "weak",
    ),
]

CASES = [*ORDER, *OFFSETS, *ZONES, *PLAUSIBLE, *FORMS, *OTHERS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.proves)
def test_the_rule(case: Case) -> None:
    """Each row proves what its name says."""
    expected = captured(case.source, case.local, case.offset, case.confidence)._replace(rejected=case.rejected)
    assert capture(case.given, case.rules) == expected


def test_there_are_enough_cases() -> None:
    """Every source is chosen by some row, and no row is there twice."""
    assert len(CASES) >= 60
    assert len({case.proves for case in CASES}) == len(CASES)
    assert {case.source for case in CASES} == set(DateSource)


def test_without_a_zone_of_the_library_that_of_the_machine_counts() -> None:
    """UTC becomes what this machine's clock said at that moment."""
    local = datetime(2019, 5, 4, 10, 11, 12, tzinfo=UTC).astimezone()
    found = capture(evidence(claim(CONTAINER, UTC_AT)), RULES._replace(zone=None))
    offset = local.utcoffset()
    assert offset is not None
    assert found.local == local.strftime("%Y-%m-%dT%H:%M:%S")
    assert found.offset == offset.total_seconds() // 60


@pytest.mark.parametrize("time", [-(1 << 80), -(10**18), 1 << 80])
def test_a_file_time_of_any_size_is_a_date(time: int) -> None:
    """What file systems and archives put there neither fails nor leaves the form of a date."""
    found = capture(Evidence(mtime_ns=time, birth_ns=-time), RULES)
    assert found.source is DateSource.MTIME
    assert datetime.fromisoformat(found.local).isoformat() == found.local


def test_later_sources_are_not_looked_at() -> None:
    """A plausible DateTimeOriginal ends the search: what could not even be parsed behind it does no harm."""

    class Untouched(str):
        __slots__ = ()

        def __getitem__(self, _: object) -> str:
            raise AssertionError("this source comes later")

    later = (DateClaim(DateSource.XMP, Untouched(EXIF)), DateClaim(DateSource.EXIF_DIGITIZED, Untouched(EXIF)))
    assert capture(Evidence((*later, claim(ORIGINAL, EXIF))), RULES).source is DateSource.EXIF_ORIGINAL
