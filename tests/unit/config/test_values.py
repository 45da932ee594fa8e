from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasluice.config import values

READERS: list[Callable[[object], object]] = [
    values.seconds,
    values.interval,
    values.size,
    values.hours,
    values.listed,
    values.globs,
    values.ignores,
    values.extensions,
    values.root_path,
    values.target,
    values.template,
    values.owner,
    values.library_name,
]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("500ms", 0.5),
        ("5s", 5.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("30d", 2_592_000.0),
        ("1.5 s", 1.5),
        (7, 7.0),
        ("0", 0.0),
    ],
)
def test_durations_have_units_and_bare_numbers_are_seconds(written: object, expected: float) -> None:
    """A duration is read in the unit that it names; without one it is seconds."""
    assert values.seconds(written) == expected


@pytest.mark.parametrize("written", ["", "5 weeks", "-5s", -1, True, None, float("nan"), float("inf"), "1h30m", []])
def test_what_is_no_duration_is_refused(written: object) -> None:
    """A negative, endless or unreadable duration is refused with an example of a good one."""
    with pytest.raises(ValueError, match="500ms, 5s"):
        values.seconds(written)


@given(st.integers(0, 10**9))
def test_durations_come_back_as_they_were_written(milliseconds: int) -> None:
    """A duration to the millisecond survives being written out and read again."""
    assert values.seconds(values.duration_text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@given(st.integers(0, 2**60))
def test_sizes_come_back_as_they_were_written(size: int) -> None:
    """A size survives being written out and read again, to the byte."""
    assert values.size(values.size_text(size)) == size


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10GiB", 10 * 1024**3),
        ("10GB", 10 * 1000**3),
        ("1.5 MiB", 1_572_864),
        ("512", 512),
        (0, 0),
        ("7b", 7),
    ],
)
def test_sizes_know_powers_of_1000_and_1024(written: object, expected: int) -> None:
    """GB counts by 1000, GiB by 1024, a bare number is bytes."""
    assert values.size(written) == expected


@pytest.mark.parametrize("written", ["big", "-1", -1, True, None, "10XB", 1.5])
def test_what_is_no_size_is_refused(written: object) -> None:
    """A negative or unreadable size is refused with an example of a good one."""
    with pytest.raises(ValueError, match="10GiB"):
        values.size(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("@hourly", 3600.0), ("@daily", 86400.0), ("30m", 1800.0), ("never", None), (None, None)],
)
def test_intervals_have_names(written: object, expected: float | None) -> None:
    """An interval is a name, a duration, or never."""
    assert values.interval(written) == expected


@pytest.mark.parametrize("written", ["0", 0, "@yearly", "often"])
def test_an_interval_of_nothing_is_refused(written: object) -> None:
    """An interval of zero would never end, so it is refused like any unknown word."""
    with pytest.raises(ValueError, match="@hourly"):
        values.interval(written)


def test_hours_may_go_over_midnight() -> None:
    """A window that ends before it begins holds the night, not the day."""
    night = values.hours("22:30-06:00")
    assert [night.contain(time(hour)) for hour in (22, 23, 0, 5, 6, 12)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    assert str(night) == "22:30-06:00"


@pytest.mark.parametrize("written", ["25:00-06:00", "01:60-02:00", "1-6", "", None, 5])
def test_hours_that_no_clock_shows_are_refused(written: object) -> None:
    """An hour of 25 is an error, not one o'clock."""
    with pytest.raises(ValueError, match="01:00-06:00"):
        values.hours(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("*.mp3, *.flac", ("*.mp3", "*.flac")),
        (["*.mp3"], ("*.mp3",)),
        (".mp4", ("*.mp4",)),
        ("mp4,MOV", ("*.mp4", "*.MOV")),
        ("", ()),
        ("music/**/*.ogg", ("music/**/*.ogg",)),
        ("[ab]*", ("[ab]*",)),
        ("[]x]?", ("[]x]?",)),
        ("{draft}*", ("{draft}*",)),
    ],
)
def test_patterns_are_lists_or_comma_strings(written: object, expected: tuple[str, ...]) -> None:
    """Patterns come as a list or one text with commas; a bare extension means every name that ends so."""
    assert values.globs(written) == expected


@pytest.mark.parametrize(
    "written", ["[ab", "../x", "a/../b", "*.{mp3,flac}", ["*.{mp3,flac}"], [" "], ["a\nb"], "x\\", 5, [5]]
)
def test_patterns_that_cannot_mean_what_they_say_are_refused(written: object) -> None:
    """An open set, a way up, a choice in braces or an empty pattern is an error: it would never match."""
    with pytest.raises(ValueError, match="pattern"):
        values.globs(written)
    with pytest.raises(ValueError, match="pattern"):
        values.ignores(written)


def test_ignore_patterns_may_take_a_name_back() -> None:
    """The exclamation mark of gitignore stays where it stands."""
    assert values.ignores(["*.log", "!keep.log"]) == ("*.log", "!keep.log")


def test_extensions_get_their_dot_and_lower_case() -> None:
    """An extension is the same with or without dot, in upper or lower case."""
    assert values.extensions("ZIP, .tar") == (".zip", ".tar")
    with pytest.raises(ValueError, match="extension"):
        values.extensions(["*.zip"])


@pytest.mark.skipif(os.name != "posix", reason="paths of POSIX")
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/mnt/in/", b"/mnt/in"),
        ("//mnt//in/.", b"/mnt/in"),
        ("/", b"/"),
        (b"/caf\xe9", b"/caf\xe9"),
        ("/\udce9", b"/\xe9"),
    ],
)
def test_a_root_is_absolute_bytes(written: object, expected: bytes) -> None:
    """A root comes back as clean bytes; a name that is no valid text keeps its bytes."""
    assert values.root_path(written) == expected


@pytest.mark.parametrize("written", ["incoming", "~/in", "/srv/../etc", "../../etc", "/a\0b", "", None, 5])
def test_a_root_that_is_not_plain_and_absolute_is_refused(written: object) -> None:
    """A relative path, a way up, a NUL or nothing at all is refused."""
    with pytest.raises(ValueError, match=r"absolute|goes up|NUL"):
        values.root_path(written)


@pytest.mark.parametrize("written", ["django", "mediacms", "my-target"])
def test_a_target_has_no_name_yet(written: str) -> None:
    """The target of another system is refused with the reason, not taken for a folder of that name."""
    with pytest.raises(ValueError, match="this version has none with a name"):
        values.target(written)


@pytest.mark.parametrize("written", ["", "in/out", "~/out", "../out", None, 5])
def test_a_target_is_a_directory(written: object) -> None:
    """What is not absolute is refused as it is for a root, and an absolute directory is taken as bytes."""
    with pytest.raises(ValueError, match=r"absolute|goes up"):
        values.target(written)
    assert values.target("/out/") == b"/out"


@pytest.mark.parametrize("written", [None, 5, [], "{nmae}", "/out/{name}", ""])
def test_a_template_is_checked_where_it_is_read(written: object) -> None:
    """A template that cannot be used is refused with the document, and a good one stays as it is written."""
    with pytest.raises(ValueError, match="is no template"):
        values.template(written)
    assert values.template("{taken:%Y/%m}/{name}") == "{taken:%Y/%m}/{name}"


@pytest.mark.parametrize("written", ["", " ", "a\nb", 5, None])
def test_an_owner_has_a_name(written: object) -> None:
    """An account is named by text of one line."""
    with pytest.raises(ValueError, match="name of an account"):
        values.owner(written)
    assert values.owner("Ann Ö.") == "Ann Ö."


@pytest.mark.parametrize("written", ["", " ", "..", "../x", "a/b", "a\\b", "a..b", "a\nb", 5])
def test_a_library_cannot_be_named_like_a_path(written: object) -> None:
    """A name that could lead elsewhere, or break a line, is refused."""
    with pytest.raises(ValueError, match="library"):
        values.library_name(written)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text())))
def test_readers_fail_with_value_error_alone(written: object) -> None:
    """Whatever stands in a document, a reader gives a value or says what is wrong."""
    for reader in READERS:
        with contextlib.suppress(ValueError):
            reader(written)
