"""Find dates in the names that cameras, phones and programs give to their files.

Takes a file's name as bytes. Gives at most one claim of each kind, in the order in which they are asked: a full stamp
(NAME), a day where there is no full stamp (NAME_DATE), milliseconds since 1970 (NAME_EPOCH). Stamps of Google's camera
(``PXL_``) and epochs are UTC and say so. Digits that make no month, day, hour, minute or second are no stamp; whether
the day exists and lies in the past is for others to judge. Seconds since 1970 are never taken: ten digits are also
phone numbers, numbers of orders and of files.
Fails with: nothing.
Source: names that the named programs write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unicodedata import normalize

from mediasluice.model.media import DateClaim, DateSource

_NAME_MAX = 512  # bytes that are looked at; chosen: twice of what file systems allow

_YEAR, _MONTH, _DAY = r"(?P<year>(?:19|20)\d\d)", r"(?P<month>0[1-9]|1[0-2])", r"(?P<day>0[1-9]|[12]\d|3[01])"
_DATE = rf"(?<!\d){_YEAR}(?P<between>[-_.: ]?){_MONTH}(?P=between){_DAY}"
_EIGHT_DIGITS = rf"(?<!\d){_YEAR}{_MONTH}{_DAY}"
_TIME = r"(?P<hour>[01]\d|2[0-3])", r"(?P<minute>[0-5]\d)", r"(?P<second>[0-5]\d)"
_HALVES = {
    "오전": "A",
    "오후": "P",
    "上午": "A",
    "下午": "P",
    "午前": "A",
    "午後": "P",
}  # of the day, in front of the time

_STAMPS = (
    # IMG_20190504_101112, 20190504-101112123, BURST20190504101112123, signal-2019-05-04-101112
    re.compile(rf"{_DATE}[-_. T]?{''.join(_TIME)}(?:\d{{3}})?(?!\d)", re.ASCII),
    # 2019-05-04 10.11.12, WIN_20190504_10_11_12, 2019-05-04 at 9.11.12 PM, vlcsnap-2019-05-04-10h11m12s345
    re.compile(
        rf"{_DATE}(?:[-_ T,.]{{1,3}}|\s?(?P<before>{'|'.join(_HALVES)})\s?|,?\s\D{{1,8}}\s)"
        r"(?P<hour>[01]?\d|2[0-3])(?:(?P<point>[-_.: ])|h)(?P<minute>[0-5]\d)(?:(?P=point)|m)(?P<second>[0-5]\d)(?!\d)"
        r"(?:\s?(?P<half>[AP])\.?\s?M(?![^\W_]))?",
        re.ASCII | re.IGNORECASE,
    ),
    # photo_5@04-05-2019_10-11-12, as Telegram exports them: the day comes first
    re.compile(rf"@{_DAY}-{_MONTH}-{_YEAR}_{'-'.join(_TIME)}(?!\d)", re.ASCII),
)
_DAYS = (
    re.compile(rf"(?:IMG|VID|AUD|PTT|STK|DOC)-{_EIGHT_DIGITS}-WA\d", re.ASCII),  # WhatsApp
    re.compile(rf"(?<![^\W_])(?!\d{{5}}){_DATE}(?![^\W_])", re.ASCII),  # 2019-05-04
    # Eight digits in a row are as often a number: only in front, or behind the word of a program.
    re.compile(
        r"^(?:(?:IMG|VID|MVIMG|PXL|DSC|DJI|PANO|SCAN|PHOTO|VIDEO|SCREENSHOT|SIGNAL|INSHOT|RECORDING)[-_ ]?)?"
        rf"{_EIGHT_DIGITS}(?![^\W_])",
        re.ASCII | re.IGNORECASE,
    ),
)
_EPOCH = re.compile(r"(?<![\d.])([1-9]\d{12})(?![^\W_])", re.ASCII)  # 1556964672123, FB_IMG_1556964672123
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def claims(name: bytes) -> tuple[DateClaim, ...]:
    """Give the dates that a file's name speaks of."""
    text = name[:_NAME_MAX].decode("utf-8", "replace")
    if not text.isascii():
        text = normalize("NFKC", text)  # the narrow space in front of PM, and what macOS takes apart
    found = (_best(_stamps(text)) or _best(_days(text)), _epoch(text))
    return tuple(claim for claim in found if claim is not None)


def _best(found: Iterator[DateClaim]) -> DateClaim | None:
    """The first that is a day of the calendar, else the first: its reader says what is wrong with it."""
    first: DateClaim | None = None
    for claim in found:
        if _is_real(claim.text):
            return claim
        first = first or claim
    return first


def _is_real(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _stamps(text: str) -> Iterator[DateClaim]:
    for pattern in _STAMPS:
        for match in pattern.finditer(text):
            day = f"{match['year']}-{match['month']}-{match['day']}"
            offset = "Z" if text.endswith("PXL_", 0, match.start()) else None
            yield DateClaim(DateSource.NAME, f"{day}T{_hour(match)}:{match['minute']}:{match['second']}", offset)


def _hour(match: re.Match[str]) -> str:
    """Of 24 hours, in two digits."""
    found = match.groupdict()
    half = (found.get("half") or _HALVES.get(found.get("before") or "", "")).upper()
    hour = int(found["hour"])
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "P" else 0)
    return f"{hour:02d}"


def _days(text: str) -> Iterator[DateClaim]:
    for pattern in _DAYS:
        for match in pattern.finditer(text):
            yield DateClaim(DateSource.NAME_DATE, f"{match['year']}-{match['month']}-{match['day']}")


def _epoch(text: str) -> DateClaim | None:
    match = _EPOCH.search(text)
    if match is None:
        return None
    moment = _FIRST + timedelta(milliseconds=int(match[1]))
    return DateClaim(DateSource.NAME_EPOCH, f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}", "Z")
