"""When a schedule is due: five fields as cron has them, or ``@hourly``, ``@daily``, ``@weekly``, ``@monthly``.

Takes the text and moments in microseconds (UTC); gives the next moment. The fields are minute, hour, day of the
month, month and day of the week (0 and 7 are Sunday), in local time; each is ``*``, a number, a range, a list, with
``/step``. Days of month and week that are both given count as either, as in cron. An hour that the clock skips is made
up for when it goes on, one that it repeats counts once.
Fails with: BadSetting. Source: crontab(5) of POSIX and of Debian.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from mediasluice.errors import BadSetting

HINT = 'write five fields like "0 1 * * *", or @hourly, @daily, @weekly, @monthly'
_NAMED = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_DAYS = 8 * 366 + 2  # from one 29th of February to the next at most


class Times(NamedTuple):
    """The moments of a schedule."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    is_either: bool  # days of month and week are both given: one of them is enough

    def after(self, moment_us: int, zone: tzinfo | None = None) -> int:
        """The first moment after this one. ``zone``: other than the local one."""
        here = datetime.fromtimestamp(moment_us // 1_000_000, UTC).astimezone(zone)
        # From the hour before: clocks that are set back show the same time twice.
        start = here.replace(tzinfo=None) - timedelta(hours=1)
        for day in (start.date() + timedelta(days=number) for number in range(_DAYS)):
            for at in self._on(day) if self._has(day) else ():
                found_us = int(at.replace(tzinfo=zone).timestamp()) * 1_000_000
                if found_us > moment_us:
                    return found_us
        raise BadSetting(f"{self.text!r} is a time that never comes", hint=HINT)

    def _has(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.is_either else by_month and by_week

    def _on(self, day: date) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                yield datetime.combine(day, time(hour, minute))


def opens_us(begin: time, end: time, moment_us: int, zone: tzinfo | None = None) -> int | None:
    """When a window of every day opens; ``None``: it is open. One that ends before it begins goes over midnight."""
    here = datetime.fromtimestamp(moment_us // 1_000_000, UTC).astimezone(zone).time()
    is_open = begin <= here < end if begin <= end else here >= begin or here < end
    return None if is_open else parse(f"{begin.minute} {begin.hour} * * *").after(moment_us, zone)


def parse(text: str) -> Times:
    """Read a schedule."""
    fields = _NAMED.get(text.strip().lower(), text).split()
    if len(fields) != len(_FIELDS):
        raise BadSetting(f"{text!r} is not a schedule", hint=HINT)
    values = [_values(text, field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = values
    times = Times(
        text.strip(),
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        frozenset(days),
        frozenset(months),
        frozenset(day % 7 for day in weekdays),
        not fields[2].startswith("*") and not fields[4].startswith("*"),
    )
    times.after(0, UTC)  # the 30th of February is found here
    return times


def _values(text: str, field: str, what: str, least: int, most: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        spelled, _, step = part.partition("/")
        first, dash, last = spelled.partition("-")
        numbers = [least if first == "*" else first, last if dash else most if first == "*" or step else first]
        if not all(str(number).isdecimal() for number in (*numbers, step or 1)):
            raise BadSetting(f"{text!r} is not a schedule: {part!r} is no {what}", hint=HINT)
        begin, end = map(int, numbers)
        every = int(step or 1)
        if not least <= begin <= end <= most or not every:
            raise BadSetting(f"{text!r} is not a schedule: {part!r} is not from {least} to {most} ({what})", hint=HINT)
        found.update(range(begin, end + 1, every))
    return found
