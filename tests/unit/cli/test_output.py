"""What is printed: JSON that loses nothing, and text that is safe on a terminal."""

from __future__ import annotations

import json
import os

import pytest

from mediasluice.cli import output


def test_json_lines_are_ascii_and_keep_undecodable_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    """A Latin-1 name comes out as a lone surrogate that turns back into its byte."""
    name = b"/a/caf\xe9\n\xc3\xbc.jpg"
    output.json_line({"path": os.fsdecode(name)})
    printed = capsys.readouterr().out
    assert printed == '{"path":"/a/caf\\udce9\\n\\u00fc.jpg"}\n'
    assert os.fsencode(json.loads(printed)["path"]) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain \xc3\xbc.jpg", "plain ü.jpg"),
        (b"caf\xe9", "caf\\xe9"),
        (b"two\nlines\t", "two\\x0alines\\x09"),
        (b"\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\u202egpj.exe".encode(), "\\u202egpj.exe"),
    ],
)
def test_names_cannot_play_with_a_terminal(name: bytes, shown: str) -> None:
    """Control characters, undecodable bytes and direction changes are escaped for people."""
    assert output.shown(name) == shown


def test_moments_are_rfc_3339_with_microseconds() -> None:
    """Every time on the wire has six digits behind the second and ends with Z."""
    assert output.moment(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"
    assert output.moment(0) == "1970-01-01T00:00:00.000000Z"
    assert output.moment(-1) == "1969-12-31T23:59:59.999999Z"
    assert output.moment(10**18) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1536, "1.5 KiB"), (5 << 30, "5 GiB"), (1 << 50, "1.02e+03 TiB")],
)
def test_amounts_have_three_digits(size: int, text: str) -> None:
    """Sizes are rounded for people."""
    assert output.amount(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.44, "0.4 s"), (59, "59 s"), (185, "3:05"), (7205, "2:00:05")])
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    """Durations grow from tenths of seconds to hours."""
    assert output.duration(seconds) == text


def test_a_table_escapes_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """A path in a table is as safe as one in a line, and markup in it means nothing."""
    output.table(("path", "files"), [("/a/[red]\x1b[31m\udce9", 1200)])
    printed = capsys.readouterr().out
    assert "/a/[red]\\x1b[31m\\xe9" in printed
    assert "1,200" in printed
