"""How single values of the configuration document are written, and what every section of it has in common.

Takes what YAML or the environment gave; gives durations in seconds, sizes in bytes, paths as bytes. Fails with
pydantic's ValidationError. Source: docs/settings.md.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from mediasluice.config import values

BUILT_IN = "default"  # in junk.patterns: the built-in list

_WORDS = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
_TIME: dict[str, list[dict[str, object]]] = {
    "anyOf": [{"type": "string", "pattern": f"^{values.DURATION.pattern}$"}, {"type": "number", "minimum": 0}]
}

Duration = Annotated[
    float,
    BeforeValidator(values.seconds),
    PlainSerializer(values.duration_text, return_type=str),
    WithJsonSchema(_TIME),
]
Interval = Annotated[
    float | None,
    BeforeValidator(values.interval),
    PlainSerializer(lambda every: "never" if every is None else values.duration_text(every), return_type=str),
    WithJsonSchema({"anyOf": [{"enum": list(values.NAMED_INTERVALS)}, *_TIME["anyOf"], {"type": "null"}]}),
]
Size = Annotated[
    int,
    BeforeValidator(values.size),
    PlainSerializer(values.size_text, return_type=str),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]}),
]
Hours = Annotated[
    values.Hours,
    BeforeValidator(values.hours),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{values.HOURS.pattern}$"}),
]
Globs = Annotated[tuple[str, ...], BeforeValidator(values.globs), WithJsonSchema(_WORDS)]
Ignores = Annotated[tuple[str, ...], BeforeValidator(values.ignores), WithJsonSchema(_WORDS)]
JunkGlobs = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: values.globs(value, keep=BUILT_IN)),
    WithJsonSchema(_WORDS),
]
Extensions = Annotated[tuple[str, ...], BeforeValidator(values.extensions), WithJsonSchema(_WORDS)]
RootPath = Annotated[
    bytes,
    BeforeValidator(values.root_path),
    PlainSerializer(os.fsdecode, return_type=str),
    WithJsonSchema({"type": "string"}),
]
Target = Annotated[
    bytes,
    BeforeValidator(values.target),
    PlainSerializer(os.fsdecode, return_type=str),
    WithJsonSchema({"type": "string"}),
]
PathTemplate = Annotated[str, BeforeValidator(values.template)]
Owner = Annotated[str, BeforeValidator(values.owner)]


def only(allowed: object, why: str) -> BeforeValidator:
    """Accept one value and say why this version has no other."""

    def check(value: object) -> object:
        if value != allowed:
            raise ValueError(why)
        return value

    return BeforeValidator(check)


def _switch(value: object) -> object:
    """Take the words of the environment for the switches that they mean."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


Switch = Annotated[Literal[True, False, "auto"], BeforeValidator(_switch)]
LibraryName = Annotated[str, BeforeValidator(values.library_name)]


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class Section(BaseModel):
    """Frozen, and strict about names: an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
