from __future__ import annotations

from datetime import datetime
from pathlib import Path
from unicodedata import normalize

import pytest

from mediasluice.actions.naming import FIELDS, NAME_MAX, Fields, Template, folded, numbered, stamped

TAKEN = datetime(2026, 3, 5, 20, 15, 7)  # noqa: DTZ001 - a capture time is local wall clock
NEW_YEAR = datetime(2027, 1, 1, 12)  # noqa: DTZ001 - the last ISO week of 2026


def fields(
    name: bytes = b"photo.jpg",
    directory: bytes = b"trip/day 1",
    *,
    taken: datetime = TAKEN,
    owner: str | None = "ann",
    library: str = "incoming",
) -> Fields:
    return Fields(name=name, directory=directory, taken=taken, kind="image", library=library, owner=owner)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{name}", b"photo.jpg"),
        ("{stem}{ext}", b"photo.jpg"),
        ("{stem}-1", b"photo-1"),
        ("{taken}/{name}", b"2026-03-05/photo.jpg"),
        ("{taken:%Y/%m}/{name}", b"2026/03/photo.jpg"),
        ("{taken:%Y%m%d_%H%M%S}{ext}", b"20260305_201507.jpg"),
        ("{taken:%d%%}/{name}", b"05%/photo.jpg"),
        ("{year}/{month}/{day}/{name}", b"2026/3/5/photo.jpg"),
        ("{year:04d}-{month:02d}-{day:02d}/{name}", b"2026-03-05/photo.jpg"),
        ("{iso_year}-W{iso_week:02d}/{name}", b"2026-W10/photo.jpg"),
        ("{kind}/{library}/{owner}/{name}", b"image/incoming/ann/photo.jpg"),
        ("{directory}/{name}", b"trip/day 1/photo.jpg"),
        ("of {directory}/{name}", b"of trip/day 1/photo.jpg"),
        ("{{{year}}}/}}{{{name}", b"{2026}/}{photo.jpg"),
        ("bilder/é-{name}", "bilder/é-photo.jpg".encode()),
        ("one.bin", b"one.bin"),
    ],
)
def test_a_template_is_text_with_fields(template: str, expected: bytes) -> None:
    """Each field gives what it says, a slash divides folders, and other text stands as it is written."""
    assert Template.parse(template).path(fields()) == expected


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("{nmae}", "no field {nmae}; did you mean {name}?"),
        ("{}", "there are name, stem"),
        ("{0}", "no field {0}"),
        ("{name", "nothing closes"),
        ("name}", "nothing opens"),
        ("{{name}", "nothing opens"),
        ("{taken:{year}}", "nothing closes"),
        ("{name.__class__}", "no '.'"),
        ("{name[0]}", "no '.'"),
        ("{name!r}", "'!'"),
        ("{name:>30}", "takes no format"),
        ("{month:x}", "{month:02d}"),
        ("{year:99999999d}", "{month:02d}"),
        ("{taken:%Q}", "'%Q' is not understood"),
        ("{taken:%D}", "'%D' is not understood"),
        ("{taken:%}", "'%' is not understood"),
        ("/srv/{name}", "absolute"),
        ("../{name}", "'..' is no name"),
        ("{taken:../%Y}/{name}", "'..' is no name"),
        ("a/ .. /{name}", "'..' is no name"),
        ("./{name}", "'.' is no name"),
        ("a//{name}", "empty"),
        ("a/ /{name}", "empty"),
        ("a/", "empty"),
        ("{taken:/%Y}/{name}", "empty"),
        ("{year}/{directory}", "a name has to follow"),
        ("a\0b/{name}", "NUL"),
        ("{name}\n", "control character"),
        ("\ud800/{name}", "no file name can hold"),
        (".sluice-x/{name}", "keeps for itself"),
        (".SluiceIgnore", "keeps for itself"),
        ("{iso_week}/{name}", "{iso_year}"),
        ("{year}/{iso_week}/{name}", "{iso_year}"),
        ("{taken:%Y/%V}/{name}", "%G"),
        ("{iso_year}/{taken:%Y-%V}/{name}", "%G"),
        ("{year}/{taken:%V}/{name}", "{iso_year}"),
    ],
)
def test_what_is_no_template_is_refused_in_words(template: str, words: str) -> None:
    """A template that could lead elsewhere, or says something that it cannot mean, is refused with the reason."""
    with pytest.raises(ValueError, match="is no template: ") as caught:
        Template.parse(template)
    assert words in str(caught.value)


@pytest.mark.parametrize("week", ["{iso_year}/{iso_week}", "{taken:%G/%V}", "{taken:%G}/{iso_week}"])
def test_a_week_stands_below_its_own_year(week: str) -> None:
    """The first of January 2027 lies in week 53 of 2026, never in week 53 of 2027."""
    assert Template.parse(week + "/{name}").path(fields(taken=NEW_YEAR)) == b"2026/53/photo.jpg"


def test_weeks_that_begin_with_the_year_may_stand_beside_it() -> None:
    """%U and %W count from the first of January, so they belong to %Y."""
    assert Template.parse("{taken:%Y/%U-%W}/{name}").path(fields(taken=NEW_YEAR)) == b"2027/00-00/photo.jpg"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{directory}/{name}", b"photo.jpg"),
        ("a/{directory}/{name}", b"a/photo.jpg"),
        ("a-{directory}/{name}", b"a-/photo.jpg"),
    ],
)
def test_the_root_has_no_directory(template: str, expected: bytes) -> None:
    """A part that is only {directory} vanishes for a file that lies at the root."""
    assert Template.parse(template).path(fields(directory=b"")) == expected


@pytest.mark.parametrize(
    ("template", "one", "expected"),
    [
        ("{owner}/{name}", fields(owner=None), b"nobody/photo.jpg"),
        ("{owner}/{name}", fields(owner="../ann"), b".._ann/photo.jpg"),
        ("{owner}/{name}", fields(owner=".."), b"__/photo.jpg"),
        ("{owner}/{name}", fields(owner="a\ud800\0b"), b"a__b/photo.jpg"),
        ("{library}/{name}", fields(library="."), b"_/photo.jpg"),
        ("{directory}/{name}", fields(directory=b"a/../b"), b"a/__/b/photo.jpg"),
        ("{ext}/{name}", fields(b"README"), b"_/README"),
        ("{directory}{ext}", fields(b"README", b""), b"_"),
        ("{name}", fields(b" photo.jpg "), b"photo.jpg"),
        ("{name}", fields(b"photo .jpg"), b"photo .jpg"),
        ("{stem}/{name}", fields(b"photo .jpg"), b"photo/photo .jpg"),
        ("{name}", fields(b" "), b"_"),
        ("..{ext}", fields(b"README"), b"__"),
        ("{name}", fields(b".sluice-7.part"), b"_.sluice-7.part"),
        ("{directory}/{name}", fields(directory=b".Sluice-x"), b"_.Sluice-x/photo.jpg"),
        (".sluice{stem}", fields(b"-7.jpg"), b"_.sluice-7"),
        ("{stem}|{ext}", fields(b".profile"), b".profile|"),
    ],
)
def test_values_never_lead_elsewhere(template: str, one: Fields, expected: bytes) -> None:
    """What a field gives makes no folder, no way up, no name that is ours or that is none."""
    assert Template.parse(template).path(one) == expected


def test_undecodable_bytes_survive() -> None:
    """A name in an old encoding keeps its bytes, and the text around them is composed."""
    assert Template.parse("e\u0301-{name}").path(fields(b"caf\xe9.jpg")) == "é-".encode() + b"caf\xe9.jpg"


def test_text_is_written_composed() -> None:
    """A name that a Mac wrote decomposed is the name that everybody else would write."""
    name = normalize("NFD", "Größe.jpg").encode()
    assert Template.parse("{name}").path(fields(name)) == "Größe.jpg".encode()


def test_bytes_that_come_to_form_a_character_are_composed_too() -> None:
    """Two undecodable bytes that a template puts side by side may be text, and text is composed."""
    path = Template.parse("{ext}{directory}/{name}").path(fields(b"e.e\xcc", b"\x81x"))
    assert path == ".éx/e.e".encode() + b"\xcc"


def test_long_names_keep_their_extension() -> None:
    """A name is cut at a character, in front of its extension; a folder at its end."""
    name = ("ä" * 200 + ".jpeg").encode()
    template = Template.parse("{stem}{stem}/{name}")
    folder, file = template.path(fields(name)).split(b"/")
    assert folder == ("ä" * 127).encode()
    assert file == ("ä" * 125 + ".jpeg").encode()
    assert len(file) == NAME_MAX


def test_an_endless_extension_is_none() -> None:
    """A sentence behind a dot is cut like any text."""
    assert Template.parse("{name}").path(fields(b"a." + b"b" * 400)) == b"a." + b"b" * (NAME_MAX - 2)


def test_a_cut_leaves_no_space_and_no_way_up() -> None:
    """What is left of a name when it is cut is a name."""
    assert Template.parse("{name}").path(fields(b"." + b" " * 300 + b"x")) == b"_"
    assert Template.parse("{name}").path(fields(b".sluiceignore" + b" " * 300 + b"x")) == b"_.sluiceignore"


@pytest.mark.parametrize(
    ("name", "second", "at"),
    [
        (b"photo.jpg", b"photo_2.jpg", b"photo_20260305_201507.jpg"),
        (b"README", b"README_2", b"README_20260305_201507"),
        (b".profile", b".profile_2", b".profile_20260305_201507"),
        (b"caf\xe9.jpg", b"caf\xe9_2.jpg", b"caf\xe9_20260305_201507.jpg"),
        (b"a" * 251 + b".jpg", b"a" * 249 + b"_2.jpg", b"a" * 235 + b"_20260305_201507.jpg"),
    ],
)
def test_a_name_that_is_taken_gets_a_suffix(name: bytes, second: bytes, at: bytes) -> None:
    """S0-19: the suffix stands before the extension, and the name stays within 255 bytes."""
    assert numbered(name, 2) == second
    assert stamped(name, TAKEN) == at
    assert max(len(second), len(at)) <= NAME_MAX


@pytest.mark.parametrize(
    ("one", "other"),
    [("Photo.JPG", "photo.jpg"), ("Größe", "GRÖSSE"), (normalize("NFD", "É"), "é"), ("Ω\u0345\u0301", "ώι")],
)
def test_names_that_look_alike_are_one(one: str, other: str) -> None:
    """Case and composition make no other name."""
    assert folded(one.encode()) == folded(other.encode())


def test_names_that_are_no_text_are_compared_by_their_bytes() -> None:
    """An undecodable name equals itself alone, and never text."""
    assert folded(b"CAF\xe9") == b"CAF\xe9"
    assert folded(b"CAF\xe9") != folded("CAFé".encode())


def test_every_field_is_documented() -> None:
    """docs/settings.md names each field."""
    settings = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")
    assert {field for field in FIELDS if f"`{{{field}}}`" not in settings} == set()
