from __future__ import annotations

import os
from datetime import datetime
from unicodedata import is_normalized

from hypothesis import example, given
from hypothesis import strategies as st

from mediasluice.actions.naming import FIELDS, NAME_MAX, Fields, Template, folded, numbered, stamped

texts = st.text(max_size=300) | st.text(st.sampled_from("./ ~\0a-\udce9é\u0301s"), max_size=300)
names = st.binary(max_size=300) | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
moments = st.datetimes()
facts = st.builds(
    Fields,
    name=names,
    directory=st.lists(names, max_size=4).map(b"/".join),
    taken=moments,
    kind=texts,
    library=texts,
    owner=st.none() | texts,
)
slots = st.sampled_from(
    [
        *(f"{{{field}}}" for field in FIELDS if not field.startswith("iso_")),
        "{taken:%Y/%m}",
        "{taken:%d.%B}",
        "{month:02d}",
        "{day:3d}",
        "{iso_year}{iso_week}",
    ]
)
literals = st.sampled_from([".", "..", " ", ".sluice", "-", "{{", "}}", "é", "e\u0301", "\udce9", "x" * 200])
templates = st.lists(st.lists(slots | literals, min_size=1, max_size=4).map("".join), min_size=1, max_size=4)


def accepted(text: str) -> Template | None:
    try:
        return Template.parse(text)
    except ValueError:
        return None


@given(templates.map("/".join).map(accepted), facts)
@example(Template.parse("{name}"), Fields(b"/..", b"../..", datetime.min, "/", "\0", ".."))  # noqa: DTZ901 - wall clock
def test_a_path_stays_below_its_target(template: Template | None, fields: Fields) -> None:
    """Whatever a file is called, its path is relative, goes nowhere but down, and each part is a name that fits."""
    if template is None:
        return
    parts = template.path(fields).split(b"/")
    for part in parts:
        assert part not in {b"", b".", b".."}
        assert len(part) <= NAME_MAX
        assert b"\0" not in part
        assert not part.lower().startswith((b".sluice-", b".sluiceignore"))
        text = os.fsdecode(part)
        assert text == text.strip()
        assert is_normalized("NFC", text)
    slashes = template.text.count("/") + template.text.count("{directory}") * fields.directory.count(b"/")
    assert len(parts) <= slashes + 1  # those of the template and of the directory make folders, and no others


@given(st.text() | templates.map("/".join))
def test_a_template_is_read_or_refused(text: str) -> None:
    """Any text is a template that gives a path, or is refused with the reason."""
    try:
        template = Template.parse(text)
    except ValueError as error:
        assert str(error).startswith("is no template")  # noqa: PT017 - most texts are refused, some are not
    else:
        assert template.path(Fields(b"a.jpg", b"", datetime(2026, 1, 2), "image", "in", None))  # noqa: DTZ001 - as above


@given(names.filter(lambda name: b"/" not in name))
def test_folding_is_done_once(name: bytes) -> None:
    """The key of a key is the key."""
    assert folded(folded(name)) == folded(name)


@given(
    st.binary(min_size=1, max_size=NAME_MAX).filter(lambda name: not set(name) & set(b"/\0")),
    st.integers(2, 10**6),
    moments,
)
def test_a_suffix_makes_another_name_that_fits(name: bytes, number: int, at: datetime) -> None:
    """A name with a number or a time is another one, of at most 255 bytes, with the same extension."""
    for other in (numbered(name, number), stamped(name, at)):
        assert other != name
        assert 0 < len(other) <= NAME_MAX
        assert not set(other) & set(b"/\0")
