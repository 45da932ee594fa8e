"""When schedules are due."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasluice.errors import BadSetting
from mediasluice.jobs.times import opens_us, parse

BERLIN = ZoneInfo("Europe/Berlin")


def moment(text: str, zone: ZoneInfo | None = None) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp()) * 1_000_000


def spelled(moment_us: int, zone: ZoneInfo | None = None) -> str:
    return datetime.fromtimestamp(moment_us // 1_000_000, zone or UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("times", "after", "due"),
    [
        ("0 1 * * *", "2026-03-01 00:59:59", "2026-03-01 01:00"),
        ("0 1 * * *", "2026-03-01 01:00:00", "2026-03-02 01:00"),
        ("*/15 * * * *", "2026-03-01 23:46:00", "2026-03-02 00:00"),
        ("5-20/5,50 8,9 * * *", "2026-03-01 08:20:00", "2026-03-01 08:50"),
        ("10/20 * * * *", "2026-03-01 08:31:00", "2026-03-01 08:50"),
        ("0 0 29 2 *", "2026-03-01 00:00:00", "2028-02-29 00:00"),
        ("0 0 * * 7", "2026-03-02 00:00:00", "2026-03-08 00:00"),
        ("0 0 * * 1-5", "2026-03-06 12:00:00", "2026-03-09 00:00"),
        ("0 0 13 * 5", "2026-03-01 00:00:00", "2026-03-06 00:00"),
        ("0 0 13 * *", "2026-03-01 00:00:00", "2026-03-13 00:00"),
        ("@hourly", "2026-03-01 08:31:00", "2026-03-01 09:00"),
        ("@Daily", "2026-12-31 08:31:00", "2027-01-01 00:00"),
        ("@weekly", "2026-03-02 00:00:00", "2026-03-08 00:00"),
        ("@monthly", "2026-03-01 00:00:00", "2026-04-01 00:00"),
    ],
)
def test_the_next_time_is_what_cron_has(times: str, after: str, due: str) -> None:
    """Fields, ranges, lists, steps and names mean what crontab(5) says."""
    assert spelled(parse(times).after(moment(after), UTC)) == due


@pytest.mark.parametrize(
    "times", ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
              "5-1 * * * *", "a * * * *", "1,, * * * *", "0 0 30 2 *", "@yearlyish", "-5 * * * *", "²0 * * * *"],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(times: str) -> None:
    """A mistake is told when the document is read, with how to write it, not when the time does not come."""
    with pytest.raises(BadSetting, match="write five fields"):
        parse(times)


def test_an_hour_that_is_skipped_is_made_up_for_and_one_that_comes_twice_counts_once() -> None:
    """At half past two once each day, also on the two days on which the clocks are set."""
    times = parse("30 2 * * *")
    spring = times.after(moment("2026-03-28 12:00", BERLIN), BERLIN)
    assert spelled(spring, BERLIN) == "2026-03-29 03:30"
    assert spelled(times.after(spring, BERLIN), BERLIN) == "2026-03-30 02:30"
    autumn = times.after(moment("2026-10-24 12:00", BERLIN), BERLIN)
    assert spelled(autumn, BERLIN) == "2026-10-25 02:30"
    assert spelled(times.after(autumn, BERLIN), BERLIN) == "2026-10-26 02:30"


@given(
    st.integers(0, 4_000_000_000),
    st.sampled_from(["*/7 * * * *", "@hourly", "30 2 * * *", "0 0 1 * 0", "59 23 31 12 *"]),
    st.sampled_from([UTC, BERLIN, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/St_Johns")]),
)
def test_the_next_time_is_always_later(moment_s: int, times: str, zone: ZoneInfo) -> None:
    """No schedule stands still, whatever the clocks of its country do."""
    assert parse(times).after(moment_s * 1_000_000, zone) > moment_s * 1_000_000


@pytest.mark.parametrize(
    ("begin", "end", "now", "opens"),
    [
        (time(1), time(6), "2026-03-01 03:00", None),
        (time(1), time(6), "2026-03-01 06:00", "2026-03-02 01:00"),
        (time(1), time(6), "2026-03-01 00:00", "2026-03-01 01:00"),
        (time(22, 30), time(5), "2026-03-01 23:00", None),
        (time(22, 30), time(5), "2026-03-01 04:59", None),
        (time(22, 30), time(5), "2026-03-01 05:00", "2026-03-01 22:30"),
    ],
)
def test_a_window_may_go_over_midnight(begin: time, end: time, now: str, opens: str | None) -> None:
    """Inside of a window it is open, outside it opens at its beginning."""
    found = opens_us(begin, end, moment(now), UTC)
    assert (None if found is None else spelled(found)) == opens
