"""Decide when a file was made: which of the dates that speak of it counts, and as what the clock on the wall said.

Takes the :class:`Evidence` on one file and the :class:`Rules` of its library; asks nothing itself, the time included.
Gives a :class:`Capture`; its ``rejected`` says of each source that was asked before why it was passed over.

Sources are asked in this order, and the first plausible date counts: a person; the XMP beside the file; EXIF
DateTimeOriginal; EXIF DateTimeDigitized; XMP inside; IPTC; QuickTime's key; QuickTime's day with a time; the
container; Google Takeout; the file that this one belongs to, where that one has any of these; a full stamp in the
name; a day in the name; an epoch in the name; EXIF ModifyDate; the file that this one belongs to, whatever it has;
the file system. Later sources are not even parsed.

A date counts as the clock on the wall: what a camera wrote is never moved, an offset is only noted. Moved are times
that are UTC by definition (containers, Takeout, names of Google's camera, epochs): into the zone at the place where
the file was made if that is known, else into the library's.
Fails with: nothing.
Source: Exif 3.0 (CIPA DC-008), 4.6.6; QuickTime File Format, calendar date and time values; the order is measured
against what users of other programs complained of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from mediasluice.identify import stamps
from mediasluice.identify.zones import zone_at
from mediasluice.model.files import Kind, in_range
from mediasluice.model.media import Capture, Confidence, DateClaim, DateSource, Gps

FLOOR_YEAR = 1990  # chosen: no digital camera is older; libraries of scans lower it
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the clock of UTC, without a zone to compare it with other clocks
_AHEAD = timedelta(days=1)  # chosen: clocks of cameras are on local time, up to 14 h before UTC, and a little fast
_TEXT_MAX = 64  # characters of a date; chosen: ISO 8601 with nanoseconds and offset has 35
_SHOWN_MAX = 40  # characters of a rejected text that are repeated

# What the clocks of devices show before anybody has set them: the beginnings of epochs, to the second.
_NEVER_SET = frozenset(datetime(year, 1, 1) for year in (1904, 1970, 1980, 2000))  # noqa: DTZ001 - wall clock

# Makers whose QuickTime films hold the local time: the format names no zone and calls local time common practice, and
# a camera without a network has no other. Phones and Sony write UTC there. MP4 is UTC by standard, and is believed.
_LOCAL_MAKERS = frozenset(
    {"canon", "nikon", "olympus", "om", "panasonic", "pentax", "ricoh", "fuji", "fujifilm", "kodak", "casio", "leica"}
    | {"sigma", "minolta", "sanyo", "hasselblad"}
)
_LOCAL_CONTAINERS = frozenset({"avi", "wav"})  # their dates are text without a zone, from the clock of a device

_ORDER: dict[DateSource, int] = {source: rank for rank, source in enumerate(DateSource)}
_RANK_TAKEOUT_FIRST = _ORDER[DateSource.SIDECAR] + 0.5
_RANK_NAME = _ORDER[DateSource.NAME]
_UTC_SOURCES = frozenset({DateSource.CONTAINER, DateSource.TAKEOUT, DateSource.NAME, DateSource.NAME_EPOCH})

_CONFIDENCE = {
    DateSource.USER: Confidence.HIGH,
    DateSource.SIDECAR: Confidence.HIGH,
    DateSource.EXIF_ORIGINAL: Confidence.HIGH,
    DateSource.EXIF_DIGITIZED: Confidence.MEDIUM,  # of a scan it is the day of the scan
    DateSource.XMP: Confidence.MEDIUM,
    DateSource.IPTC: Confidence.MEDIUM,
    DateSource.QUICKTIME_KEY: Confidence.HIGH,
    DateSource.QUICKTIME_DAY: Confidence.MEDIUM,
    DateSource.CONTAINER: Confidence.MEDIUM,
    DateSource.TAKEOUT: Confidence.MEDIUM,
    DateSource.NAME: Confidence.MEDIUM,
    DateSource.NAME_DATE: Confidence.LOW,
    DateSource.NAME_EPOCH: Confidence.LOW,
    DateSource.EXIF_MODIFIED: Confidence.LOW,
    DateSource.SIBLING: Confidence.MEDIUM,
    DateSource.MTIME: Confidence.WEAK,
}

_DATE = re.compile(
    r"[\s\0]*(\d{4})(?:([-:/. ])([ \d]?\d)\2([ \d]?\d)|(\d\d)(\d\d))"
    r"(?:(?:\s+|[Tt])([ \d]?\d):?([ \d]\d)(?::?([ \d]\d)(?:[.,]\d{0,12})?)?)?"
    r"\s*([zZ]|UTC|GMT|[-+]\d{1,2}:?(?:\d\d)?)?[\s\0]*\Z",
    re.ASCII,
)
_OFFSET = re.compile(r"[\s\0]*(?:[zZ]|UTC|GMT|([-+])(\d{1,2}?):?(\d\d)?)[\s\0]*\Z", re.ASCII)
_OFFSET_HOURS_MAX = 15  # chosen: legal times go from -12:00 to +14:00


class Evidence(NamedTuple):
    """What speaks of the date of one file."""

    claims: tuple[DateClaim, ...] = ()  # of its content, its sidecar, its Takeout JSON and of a person, in any order
    sibling: Capture | None = None  # of the file that this one belongs to
    name: bytes = b""  # last part of the path
    own_name: bool = False  # a template of ours made the name: what it says we said
    kind: Kind = Kind.OTHER
    container: str | None = None  # as in Media
    make: str | None = None  # of the camera
    gps: Gps | None = None
    mtime_ns: int = 0  # since 1970, UTC
    birth_ns: int | None = None


class Rules(NamedTuple):
    """What holds for a whole library."""

    now_ns: int  # since 1970, UTC
    zone: tzinfo | None = None  # for UTC without a place; None: that of this machine
    floor_year: int = FLOOR_YEAR
    takeout_first: bool = False  # before EXIF: for libraries whose EXIF is known to be wrong


class _Moment(NamedTuple):
    clock: datetime  # naive, whole seconds
    offset: int | None  # minutes east of UTC
    has_time: bool


def capture(evidence: Evidence, rules: Rules) -> Capture:
    """Say when a file was made."""
    rejected: list[str] = []
    for claim in _in_order(evidence, rules):
        if isinstance(claim, Capture):
            source, text, found = DateSource.SIBLING, claim.local, _of_sibling(claim, rules)
        else:
            source, text, found = claim.source, claim.text, _of_claim(claim, evidence, rules)
        if isinstance(found, Capture):
            return found._replace(rejected=tuple(rejected)) if rejected else found
        rejected.append(f"{source} {_shown(text)}: {found}")
    return _of_file_system(evidence, rules)._replace(rejected=tuple(rejected))


def _in_order(evidence: Evidence, rules: Rules) -> Iterator[DateClaim | Capture]:
    """What speaks of the date, as it is asked. Claims of one source keep their order."""
    claims = sorted(evidence.claims, key=_rank_takeout_first if rules.takeout_first else _rank)
    strong = [claim for claim in claims if _ORDER[claim.source] < _RANK_NAME]
    yield from strong
    sibling = evidence.sibling
    is_strong = sibling is not None and _ORDER[sibling.source] < _RANK_NAME
    if sibling is not None and is_strong:
        yield sibling
    names = () if evidence.own_name else stamps.claims(evidence.name)
    yield from sorted((*names, *claims[len(strong) :]), key=_rank)
    if sibling is not None and not is_strong:
        yield sibling


def _rank(claim: DateClaim) -> float:
    return _ORDER[claim.source]


def _rank_takeout_first(claim: DateClaim) -> float:
    return _RANK_TAKEOUT_FIRST if claim.source is DateSource.TAKEOUT else _ORDER[claim.source]


# --- one source; a text in place of a capture says why it is passed over


def _of_claim(claim: DateClaim, evidence: Evidence, rules: Rules) -> Capture | str:
    moment = _moment(claim.text, claim.offset)
    if isinstance(moment, str):
        return moment
    source = claim.source
    if source is DateSource.QUICKTIME_DAY and not moment.has_time:
        return "a day without a time"
    if source is not DateSource.USER and (why := _implausible(moment, rules)):
        return why
    if moment.has_time and source in _UTC_SOURCES:
        if not _is_utc(claim, moment, evidence):
            moment = moment._replace(offset=moment.offset or None)
        else:
            moment = _moved(moment.clock, evidence.gps, rules.zone)
            if why := _implausible(moment, rules):
                return why
    confidence = _CONFIDENCE[source]
    if source is DateSource.CONTAINER and evidence.kind is Kind.AUDIO:
        confidence = Confidence.LOW  # of music it is the day on which somebody encoded it
    return Capture(moment.clock.isoformat(), moment.offset, source, confidence)


def _of_sibling(sibling: Capture, rules: Rules) -> Capture | str:
    """What is said of another file is never quite as good as what is said of this one."""
    moment = _moment(sibling.local, None)
    if isinstance(moment, str):
        return moment
    if sibling.source is not DateSource.USER and (why := _implausible(moment, rules)):
        return why
    confidence = Confidence.MEDIUM if sibling.confidence is Confidence.HIGH else sibling.confidence
    return Capture(moment.clock.isoformat(), sibling.offset, DateSource.SIBLING, confidence)


def _of_file_system(evidence: Evidence, rules: Rules) -> Capture:
    """The earlier of both times, as copying makes them later; an implausible one only where there is no other."""
    times = sorted([evidence.mtime_ns, evidence.birth_ns] if evidence.birth_ns else [evidence.mtime_ns])
    moments = [_moved(_EPOCH + timedelta(microseconds=in_range(time) // 1000), None, rules.zone) for time in times]
    best = next((moment for moment in moments if not _implausible(moment, rules)), moments[0])
    return Capture(best.clock.isoformat(), best.offset, DateSource.MTIME, Confidence.WEAK)


# --- clocks


def _moment(text: str, offset: str | None) -> _Moment | str:
    """Parse a date; an offset that makes no sense takes nothing from it."""
    match = _DATE.match(text[:_TEXT_MAX])
    if match is None:
        return "no date"
    year, _, month, day, packed_month, packed_day, hour, minute, second, own_offset = match.groups()
    date = (int(year), int(month or packed_month), int(day or packed_day))
    try:
        clock = datetime(*date, int(hour or 0), int(minute or 0), int(second or 0))  # noqa: DTZ001 - wall clock
    except ValueError:
        return "no such day or time" if all(date) else "no date"
    return _Moment(clock, _minutes(own_offset or offset), hour is not None)


def _minutes(offset: str | None) -> int | None:
    """Minutes east of UTC: sign, hours and minutes belong together."""
    match = _OFFSET.match(offset[:_TEXT_MAX]) if offset else None
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    if sign is None:
        return 0
    total = int(hours) * 60 + int(minutes or 0)
    if int(hours) > _OFFSET_HOURS_MAX or int(minutes or 0) > 59:
        return None
    return -total if sign == "-" else total


def _implausible(moment: _Moment, rules: Rules) -> str | None:
    if moment.has_time and moment.clock in _NEVER_SET:
        return "a clock that was never set"
    if moment.clock.year < rules.floor_year:
        return f"before {rules.floor_year}"
    latest = _EPOCH + timedelta(microseconds=rules.now_ns // 1000) + _AHEAD
    return "in the future" if moment.clock > latest else None


def _is_utc(claim: DateClaim, moment: _Moment, evidence: Evidence) -> bool:
    """Whether a time stands for UTC, and not for the clock on the wall."""
    if claim.source is DateSource.NAME:
        return moment.offset == 0
    if claim.source is DateSource.CONTAINER:
        return not moment.offset and not _has_local_clock(evidence)
    return True


def _has_local_clock(evidence: Evidence) -> bool:
    """Whether the container's time is local, whatever zone a library has written behind it."""
    if evidence.container in _LOCAL_CONTAINERS:
        return True
    if evidence.container != "mov" or any(claim.source is DateSource.QUICKTIME_KEY for claim in evidence.claims):
        return False
    return not _LOCAL_MAKERS.isdisjoint((evidence.make or "").casefold().split())


def _moved(clock: datetime, gps: Gps | None, zone: tzinfo | None) -> _Moment:
    """From UTC to the clock on the wall, where it is known where that hung."""
    moment = clock.replace(microsecond=0, tzinfo=UTC)
    try:
        local = moment.astimezone((zone_at(gps.lat, gps.lon) if gps else None) or zone)
    except (OverflowError, ValueError, OSError):  # systems that know no time before 1970
        local = moment
    return _Moment(local.replace(tzinfo=None), int((local.utcoffset() or timedelta()).total_seconds()) // 60, True)


def _shown(text: str) -> str:
    """A text of unknown origin, fit for one line."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:_TEXT_MAX]).split())
    if not any(letter.isalnum() for letter in line):
        return "(empty)"
    return f"{line[:_SHOWN_MAX]}..." if len(line) > _SHOWN_MAX else line
