"""Say where an imported file goes: the template of a library, and the next name where one is taken.

Takes the text of a template and what is known of one file. Gives paths relative to the target, as bytes: never
outside it, each part at most 255 bytes. Fails with: ValueError for a template, in words for the person who wrote it
that go on after its text; to render one cannot fail. Source: docs/settings.md, section Templates.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from unicodedata import normalize

from mediasluice.model.media import Camera, Tags

NAME_MAX = 255  # bytes of one name on every file system in use
EXTENSION_MAX = 32  # bytes, chosen: what is longer after the last dot is no extension and may be cut
NOBODY = "nobody"
UNKNOWN = "unknown"
TAKEN_FORMAT = "%Y-%m-%d"

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<field>[^{}]*)\}|(?P<single>[{}])|[^{}]+")
_TAKEN_TOKEN = re.compile(r"%(?P<directive>.?)|/|[^%/]+")
_NUMBER_FORMAT = re.compile(r"0?[1-9]?d?")
_DIRECTIVES = frozenset("YGymBbVUWdjaAuwHIMSfp%")  # those that give no slash and need no time zone
_UNFIT = re.compile("[/\0\ud800-\udc7f\udd00-\udfff]")  # what no name can hold; the gap are undecodable bytes
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+"
)  # ends lines, turns the order of letters
_RESERVED = re.compile(r"\.sluice(-|ignore)", re.IGNORECASE)  # how our own names begin: steps under way, and rules


_NO_TAGS, _NO_CAMERA = Tags(), Camera()


@dataclass(frozen=True, slots=True)
class Fields:
    """What a template can say of one file."""

    name: bytes  # with its extension
    directory: bytes  # relative to the root; empty = the root itself
    taken: datetime  # local wall clock
    kind: str
    library: str
    owner: str | None
    is_undated: bool = False  # nothing but the file system says when it was made
    tags: Tags = _NO_TAGS
    camera: Camera = _NO_CAMERA


class _Slot(NamedTuple):
    """A place in a template that a field fills. ``form``: one strftime directive, or a format of a number."""

    field: str
    form: str


_Piece = str | _Slot
_DIRECTORY = _Slot("directory", "")

_TEXTS: Mapping[str, Callable[[Fields], str]] = {
    "name": lambda of: _name(of),  # noqa: PLW0108 - defined below
    "stem": lambda of: _split(_name(of))[0],
    "ext": lambda of: _split(_name(of))[1],
    "kind": lambda of: _in_one_part(of.kind),
    "library": lambda of: _in_one_part(of.library),
    "owner": lambda of: _in_one_part(NOBODY if of.owner is None else of.owner),
    "title": lambda of: _said(of.tags.title) or _split(_name(of))[0],
    "artist": lambda of: _said(of.tags.artist or of.tags.albumartist) or UNKNOWN,
    "albumartist": lambda of: _said(of.tags.albumartist or of.tags.artist) or UNKNOWN,
    "album": lambda of: _said(of.tags.album) or UNKNOWN,
    "genre": lambda of: _said(of.tags.genre) or UNKNOWN,
    "make": lambda of: _said(of.camera.make) or UNKNOWN,
    "model": lambda of: _said(of.camera.model) or UNKNOWN,
    "directory": lambda of: "/".join(_in_one_part(part) for part in os.fsdecode(of.directory).split("/") if part),
}
_DATES: Mapping[str, Callable[[datetime], int]] = {
    "year": lambda taken: taken.year,
    "month": lambda taken: taken.month,
    "day": lambda taken: taken.day,
    "iso_year": lambda taken: taken.isocalendar().year,
    "iso_week": lambda taken: taken.isocalendar().week,
}
_NUMBERS: Mapping[str, Callable[[Fields], int]] = {
    "track": lambda of: _number(of.tags.track),
    "disc": lambda of: _number(of.tags.disc),
}
FIELDS = (*_TEXTS, "taken", *_DATES, *_NUMBERS)
_INSIDE = frozenset({"title", "artist", "albumartist", "album", "genre", "make", "model", *_NUMBERS})


@dataclass(frozen=True, slots=True)
class Template:
    """How the path of a file below the target is made. ``parts``: what stands between its slashes."""

    text: str
    parts: tuple[tuple[_Piece, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template such as ``{taken:%Y/%m}/{name}``."""
        if not text.strip():
            raise ValueError("is no template: it is empty; write {name} for the name that a file has")
        if text.startswith("/"):
            raise ValueError("is no template: it is absolute; write the path below the target")
        if re.search(r"[\x00-\x1f\x7f]", text):
            raise ValueError("is no template: it holds a NUL or another control character")
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise ValueError("is no template: it holds a character that no file name can hold") from None
        parts: list[list[_Piece]] = [[]]
        for piece in _pieces(text):
            if piece == "/":
                parts.append([])
            else:
                parts[-1].append(piece)
        for part in parts:
            _check_part(part)
        if all(piece == _DIRECTORY for piece in parts[-1]):
            raise ValueError("is no template: it ends with {directory}, and a name has to follow")
        _check_weeks([piece for part in parts for piece in part if isinstance(piece, _Slot)])
        return cls(text, tuple(map(tuple, parts)))

    @property
    def needs_date(self) -> bool:
        """Whether it says when a file was made."""
        return any(slot.field == "taken" or slot.field in _DATES for slot in self._slots)

    @property
    def needs_tags(self) -> bool:
        """Whether it says what stands inside a file, beside its date."""
        return any(slot.field in _INSIDE for slot in self._slots)

    @property
    def _slots(self) -> list[_Slot]:
        return [piece for part in self.parts for piece in part if isinstance(piece, _Slot)]

    def path(self, fields: Fields) -> bytes:
        """Name the place of one file, relative to the target."""
        names: list[str] = []
        for pieces in self.parts:
            text = "".join(piece if isinstance(piece, str) else _value(piece, fields) for piece in pieces)
            may_vanish = _DIRECTORY in pieces and pieces is not self.parts[-1]
            names += [name for name in text.split("/") if name] or ([] if may_vanish else [""])
        return b"/".join([*(_fit(name) for name in names[:-1]), _fit(names[-1], keeps_extension=True)])


def folded(name: bytes) -> bytes:
    """Give the key by which names are compared: two that look alike to a person are one name."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return name
    # Decomposed first: casefold turns some combining marks into letters, and marks have to be in order before that.
    return normalize("NFC", normalize("NFD", text).casefold()).encode()


def numbered(name: bytes, number: int) -> bytes:
    """``photo.jpg`` -> ``photo_2.jpg``."""
    return _with_suffix(name, f"_{number}")


def stamped(name: bytes, at: datetime) -> bytes:
    """``photo.jpg`` -> ``photo_20261120_201500.jpg``, as MediaCMS names what clashes in its processed directory."""
    return _with_suffix(name, f"_{at:%Y%m%d_%H%M%S}")


def _pieces(text: str) -> Iterator[_Piece]:
    """Take a template apart; each slash between two parts is a piece of its own."""
    for token in _TOKEN.finditer(text):
        if token["single"] == "{":
            raise ValueError("is no template: it opens a '{' that nothing closes; a brace itself is written '{{'")
        if token["single"] == "}":
            raise ValueError("is no template: it closes a '}' that nothing opens; a brace itself is written '}}'")
        if token["field"] is not None:
            yield from _slots(token["field"])
        elif token[0] in {"{{", "}}"}:
            yield token[0][0]
        else:
            yield from filter(None, re.split("(/)", token[0]))


def _slots(written: str) -> Iterator[_Piece]:
    """Read what stands between two braces."""
    field, _, form = written.partition(":")
    if re.search(r"[.!\[]", field):
        raise ValueError(f"is no template: {{{field}}} is more than a name; a field has no '.', '[' or '!'")
    if field == "taken":
        yield from _taken_slots(form or TAKEN_FORMAT)
    elif field in _DATES or field in _NUMBERS:
        if not _NUMBER_FORMAT.fullmatch(form):
            raise ValueError(f"is no template: {form!r} is no format of a number; write it like {{month:02d}}")
        yield _Slot(field, form)
    elif field in _TEXTS:
        if form:
            raise ValueError(f"is no template: {{{field}}} takes no format; leave out {':' + form!r}")
        yield _Slot(field, "")
    else:
        close = difflib.get_close_matches(field, FIELDS, n=1, cutoff=0.5)
        meant = f"; did you mean {{{close[0]}}}?" if close else f"; there are {', '.join(FIELDS)}"
        raise ValueError(f"is no template: there is no field {{{field}}}{meant}")


def _taken_slots(form: str) -> Iterator[_Piece]:
    for token in _TAKEN_TOKEN.finditer(form):
        directive = token["directive"]
        if directive is None:
            yield token[0]
        elif directive == "" or directive not in _DIRECTIVES:
            known = " ".join(f"%{letter}" for letter in sorted(_DIRECTIVES))
            raise ValueError(f"is no template: {token[0]!r} is not understood in {{taken:{form}}}; there are {known}")
        else:
            yield _Slot("taken", token[0])
    used = set(re.findall("%.", form))
    if "%V" in used and used & {"%Y", "%y"} and "%G" not in used:
        raise ValueError("is no template: %V counts weeks of the ISO year; write %G for the year, not %Y")


def _check_part(part: list[_Piece]) -> None:
    """Refuse a part whose text alone is no name."""
    literals = [piece for piece in part if isinstance(piece, str)]
    if len(literals) < len(part):
        return
    text = "".join(literals).strip()
    if not text:
        raise ValueError("is no template: a part of it is empty; something has to stand before and after each '/'")
    if text in {".", ".."}:
        raise ValueError(f"is no template: {text!r} is no name; what a template names lies below the target")
    if _RESERVED.match(text):
        raise ValueError(f"is no template: {text!r} is a name that the service keeps for itself")


def _check_weeks(slots: list[_Slot]) -> None:
    """Refuse weeks that stand beside a year that is not theirs: the days around New Year would be misplaced."""
    used = {slot.form if slot.field == "taken" else slot.field for slot in slots}
    if used & {"iso_year", "%G"}:
        return
    if "iso_week" in used:
        raise ValueError("is no template: {iso_week} counts weeks of {iso_year}; name both")
    if "%V" in used and used & {"year", "%Y", "%y"}:
        raise ValueError("is no template: %V counts weeks of the ISO year; write {iso_year} or %G for the year")


def _value(slot: _Slot, fields: Fields) -> str:
    if slot.field == "taken":
        return _in_one_part(fields.taken.strftime(slot.form))
    if slot.field in _DATES:
        return format(_DATES[slot.field](fields.taken), slot.form)
    if slot.field in _NUMBERS:
        return format(_NUMBERS[slot.field](fields), slot.form)
    return _TEXTS[slot.field](fields)


def _name(fields: Fields) -> str:
    return _in_one_part(os.fsdecode(fields.name))


def _in_one_part(value: str) -> str:
    """Take from a value what would end a part, or cannot be written."""
    return _UNFIT.sub("_", value)


def _said(value: str | None) -> str:
    """What a file says of itself, as one part of a path that can be shown and typed."""
    return "" if value is None else _in_one_part(_UNSEEN.sub(" ", value)).strip()


def _number(value: str | None) -> int:
    """The number before the slash of ``4/12``; 0 where there is none."""
    found = re.match(r"\s*(\d{1,6})", value or "")
    return int(found[1]) if found else 0


def _split(name: str) -> tuple[str, str]:
    """Split a name into stem and extension with its dot."""
    stem, extension = os.path.splitext(name)
    return (stem, extension) if len(os.fsencode(extension)) <= EXTENSION_MAX else (name, "")


def _fit(text: str, *, keeps_extension: bool = False) -> bytes:
    """Make a name that every file system takes and that leads nowhere else.

    It is composed, as others will look for it, and without space around it.
    """
    if text and text.isascii() and len(text) <= NAME_MAX and text == text.strip() and text[0] != ".":
        return text.encode()  # nearly every name there is
    # By way of the bytes: two undecodable ones that came to stand side by side may be a character.
    text = normalize("NFC", os.fsdecode(os.fsencode(text))).strip()
    if _RESERVED.match(text):
        text = f"_{text}"
    stem, extension = _split(text) if keeps_extension else (text, "")
    text = (_cut(stem, NAME_MAX - len(os.fsencode(extension))) + extension).strip()
    return os.fsencode({"": "_", ".": "_", "..": "__"}.get(text, text))


def _with_suffix(name: bytes, suffix: str) -> bytes:
    stem, extension = _split(os.fsdecode(name))
    return os.fsencode(_cut(stem, NAME_MAX - len(suffix) - len(os.fsencode(extension))) + suffix + extension)


def _cut(text: str, limit: int) -> str:
    """Keep as many whole characters as ``limit`` bytes hold."""
    used = 0
    for index, character in enumerate(text):
        used += len(os.fsencode(character))
        if used > limit:
            return text[:index]
    return text
