from __future__ import annotations

import pytest

from mediasluice.identify.readers.genres import GENRES, named


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("17", "Rock"),
        ("(17)", "Rock"),
        ("(17)Rock", "Rock"),
        (" (17) Rock ", "Rock"),
        ("(4)Eurodisco", "Eurodisco"),
        ("(51)(39)", "Techno-Industrial;Noise"),
        ("(17)(17)", "Rock"),
        ("(RX)", "Remix"),
        ("CR", "Cover"),
        ("0", "Blues"),
        ("191", "Psybient"),
    ],
)
def test_numbers_become_names(written: str, name: str) -> None:
    """Numbers of ID3v1, alone or as ID3v2 refers to them, are translated; words beside them count more (S2-33)."""
    assert named(written) == name


@pytest.mark.parametrize(
    "written", ["Rock", "Folk, World, & Country", "192", "255", "(Rock", "(255)", "1999 Hits", "²"]
)
def test_what_no_list_knows_stays(written: str) -> None:
    """A name, and a number that no list has, stay as they are."""
    assert named(written) == {"(255)": "255"}.get(written, written)


def test_an_escaped_parenthesis_is_one() -> None:
    """ID3v2 doubles a parenthesis that begins a name."""
    assert named("((in brackets)") == "(in brackets)"
    assert named("(17)((in brackets)") == "(in brackets)"


def test_the_list_has_its_landmarks() -> None:
    """The lists of ID3v1 and of Winamp stand where everybody counts them."""
    assert len(GENRES) == 192
    landmarks = {0: "Blues", 79: "Hard Rock", 80: "Folk", 125: "Dance Hall", 147: "Synthpop", 191: "Psybient"}
    assert {number: GENRES[number] for number in landmarks} == landmarks
