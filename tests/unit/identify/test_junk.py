from __future__ import annotations

import os

import pytest

from mediasluice.identify.junk import DEFAULT_PATTERNS, JunkRules


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"film.mkv.part", "pattern: *.part"),
        (b"Film.PART", "pattern: *.part"),
        (b"archive.R01", "pattern: *.r01"),
        (b"set.vol01+02.PAR2", "pattern: *.par2"),
        (b"film.!qB", "pattern: *.!qb"),
        (b"film.mkv", None),
        (b"part", None),
        (b"film.part.mkv", None),
        (b"new\nline.tmp", "pattern: *.tmp"),
        (b"caf\xe9.zip", "pattern: *.zip"),
    ],
)
def test_the_built_in_patterns(name: bytes, reason: str | None) -> None:
    """Leavings of downloads and packing are junk by their name, in upper and lower case, whatever its bytes."""
    assert JunkRules().match(name) == reason


def test_the_first_pattern_that_fits_is_named() -> None:
    """The reason is the first fitting pattern of the list, written as it was configured."""
    rules = JunkRules(["*.iso", "[Ss]ample*", "*.MKV"])
    assert rules.match(b"sample film.mkv") == "pattern: [Ss]ample*"
    assert rules.match(b"film.mkv") == "pattern: *.MKV"


@pytest.mark.parametrize("name", [b"keep.zip", b"KEEP.ZIP"])
def test_an_excluded_extension_wins(name: bytes) -> None:
    """An excluded extension is never junk, whatever pattern fits (S4-11)."""
    rules = JunkRules([*DEFAULT_PATTERNS, "keep*"], [".ZIP"])
    assert rules.match(name) is None
    assert rules.match(b"keep.rar") == "pattern: *.rar"


def test_no_patterns_no_junk() -> None:
    """Without patterns nothing is junk."""
    assert JunkRules([]).match(b"film.part") is None


def test_letters_beyond_ascii_have_two_cases() -> None:
    """Upper and lower case are the same for other alphabets as well."""
    assert JunkRules(["*.ÄÖ"]).match(os.fsencode("film.äö")) == "pattern: *.ÄÖ"


def test_a_pattern_is_a_glob_and_nothing_else() -> None:
    """What means something in a regular expression means itself in a pattern."""
    rules = JunkRules(["a+(b).x", "[!k]eep.y?"])
    assert rules.match(b"a+(b).x") == "pattern: a+(b).x"
    assert rules.match(b"aab.x") is None
    assert rules.match(b"deep.yz") == "pattern: [!k]eep.y?"
    assert rules.match(b"keep.yz") is None
