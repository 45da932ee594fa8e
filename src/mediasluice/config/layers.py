"""Lay the sources of settings over one another and keep which one each value came from.

From below: defaults, preset, documents, the environment of a system whose place is taken, our own, command line.
Takes the option ``--config``, the environment and nested settings of the command line. Gives one immutable snapshot.
Fails with: BadSetting, naming the key, what is wrong, the nearest key that exists and where it was written.
Source: docs/settings.md.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from mediasluice.config import file as files
from mediasluice.config import tracktion
from mediasluice.config.document import NAME, NAMED, SECRETS, Key, Settings, keys, pattern_of
from mediasluice.config.presets import PRESETS, Preset
from mediasluice.config.sinks import TYPES as SINK_TYPES
from mediasluice.errors import BadSetting
from mediasluice.model.imports import After

PREFIX = "SLUICE_"
COMMAND_LINE = "command line"
DEFAULT = "default"
STARS = "***"

Origins = dict[Key, str]

HANDED_DOWN = {
    "watch": "enabled",
    "include": "patterns",
    "exclude": "ignore_patterns",
    "debounce": "debounce_time",
}
"""What a library takes from ``file_watch`` where it does not say it itself."""


class Row(NamedTuple):
    """One line of ``sluice config show``."""

    key: str
    value: object  # plain: text, number, truth value, list, None
    origin: str


class Loaded(NamedTuple):
    """A valid snapshot. ``path``: the document that counts most, if any. ``stamp``: for ``file.changed``."""

    settings: Settings
    origins: Mapping[Key, str]
    path: Path | None
    stamp: files.Stamp
    overrides: Mapping[str, Any]  # what the command line said, to be said again when it is loaded anew

    def rows(self) -> Iterator[Row]:
        """List every setting with its value and the layer that it came from; secrets are stars."""
        yield from _rows(self.settings.model_dump(by_alias=True), self.origins, ())


def load(
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    *,
    system: Path = files.SYSTEM,
) -> Loaded:
    """Build the snapshot. ``file`` is ``--config``; ``overrides`` are nested like the document."""
    paths = files.documents(file, environ, system)
    stamp = files.stamp(paths)
    read = [(path, document) for path in paths if (document := files.read(path)) is not None]
    if len(paths) == 1 and not read:
        raise BadSetting("there is no such configuration file", path=str(paths[0]))

    merged: dict[str, Any] = {}
    origins: Origins = {}
    for path, document in read:
        _lay_over(merged, origins, document, str(path))
    is_default = len(paths) > 1 and "libraries" not in overrides  # no document and no folder was named
    if is_default and tracktion.is_meant(environ, has_document=bool(read)):
        for said in tracktion.settings(environ):
            _lay_over(merged, origins, _nested(said.key, said.value), f"environment {said.variable}")
    _lay_over(merged, origins, overrides, COMMAND_LINE)
    names = {section: list(merged[section]) for section in NAMED if isinstance(merged.get(section), dict)}
    for key, value, origin in _environment(environ, names):
        if origins.get(key) != COMMAND_LINE:
            _lay_over(merged, origins, _nested(key, value), origin)
    _lay_under(merged, origins)

    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise BadSetting("\n".join(_explain(error, origins, [path for path, _ in read]))) from None
    return Loaded(settings, origins, read[-1][0] if read else None, stamp, overrides)


def _lay_over(below: dict[str, Any], origins: Origins, above: Mapping[Any, Any], origin: str) -> None:
    """Write ``above`` over ``below``, section by section, and note who did; an empty section says nothing."""
    stack: list[tuple[Key, dict[str, Any], Mapping[Any, Any]]] = [((), below, above)]
    while stack:
        prefix, target, source = stack.pop()
        for name, value in source.items():
            key = (*prefix, str(name))
            if value is None and _is_section(key):
                continue
            if isinstance(value, Mapping):
                if not isinstance(target.get(key[-1]), dict):
                    target[key[-1]] = {}
                stack.append((key, target[key[-1]], value))
            else:
                target[key[-1]] = value
            origins[key] = origin


def _lay_under(merged: dict[str, Any], origins: Origins) -> None:
    """Put the preset below what was written, and ``file_watch`` below each library."""
    chosen = merged.get("preset", "plain")
    preset = PRESETS.get(str(chosen), Preset())  # one that does not exist is refused by the validation
    origin = f"preset {chosen}"
    _fill(merged, origins, preset.document, origin, ())
    watch = merged.get("file_watch")
    libraries = merged.get("libraries")
    for name, library in libraries.items() if isinstance(libraries, dict) else ():
        if not isinstance(library, dict):
            continue
        for own, general in HANDED_DOWN.items():
            unsaid = own not in library or (own == "include" and not library[own])
            if unsaid and isinstance(watch, dict) and general in watch:
                library[own] = watch[general]
                origins["libraries", name, own] = f"file_watch.{general}, {origins['file_watch', general]}"
        _fill(library, origins, preset.library, origin, ("libraries", name))
        imports = library.get("import")
        if isinstance(imports, dict) and imports.get("after") == After.MOVE:
            _fill(library, origins, preset.moving, origin, ("libraries", name))


def _fill(target: dict[str, Any], origins: Origins, under: Mapping[str, Any], origin: str, prefix: Key) -> None:
    """Set what ``under`` has and ``target`` has not."""
    for name, value in under.items():
        key = (*prefix, name)
        if isinstance(value, Mapping):
            below = target.setdefault(name, {})
            if isinstance(below, dict):
                _fill(below, origins, value, origin, key)
        elif name not in target:
            target[name] = value
            origins[key] = origin


def _environment(
    environ: Mapping[str, str], names: Mapping[str, Sequence[str]]
) -> Iterator[tuple[Key, str | None, str]]:
    """Find the settings of the environment: key, value, origin.

    A name without ``__`` counts only where it is a top-level key, a value without text not at all.
    """
    known = set(keys())
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or not environ[variable]:
            continue
        parts = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        value = environ[variable]
        if pattern_of(parts) not in known and parts[-1].endswith("_file"):
            parts = (*parts[:-1], parts[-1].removesuffix("_file"))
            if pattern_of(parts) in known:
                value = _secret(variable, value)
        if pattern_of(parts) in known:
            if parts[0] in NAMED:
                parts = (parts[0], _name(parts[1], names.get(parts[0], ())), *parts[2:])
            yield parts, None if value == "null" else value, f"environment {variable}"
        elif len(parts) > 1:
            raise BadSetting(f"the environment's {variable} names no setting{_nearest(parts)}")


def _secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"the file that {variable} names cannot be read: {error}", path=path) from error


def _name(part: str, names: Sequence[str]) -> str:
    """Find the library or the sink that a variable means: case and everything but letters and digits do not count."""
    plain = {re.sub(r"\W", "_", name).lower(): name for name in names}
    return plain.get(part, part)


def _nested(key: Key, value: object) -> dict[str, Any]:
    nested: Any = value
    for part in reversed(key):
        nested = {part: nested}
    return dict(nested)


def _is_section(key: Key) -> bool:
    pattern = pattern_of(key)
    return any(len(known) > len(pattern) and known[: len(pattern)] == pattern for known in keys())


def _nearest(key: Key) -> str:
    """Name what was probably meant: the closest name in the same section, else the same name elsewhere."""
    pattern = pattern_of(key)
    depth = len(pattern) - 1
    beside = {known[depth] for known in keys() if len(known) > depth and known[:depth] == pattern[:depth]}
    if close := difflib.get_close_matches(key[-1], sorted(beside - {NAME}), n=1, cutoff=0.5):
        return f"; did you mean {'.'.join((*key[:-1], close[0]))}?"
    elsewhere = [".".join(known) for known in keys() if known[-1] == key[-1]]
    return f"; did you mean {elsewhere[0]}?" if elsewhere else ""


def _explain(error: ValidationError, origins: Origins, paths: Sequence[Path]) -> Iterator[str]:
    """Say each thing that is wrong in one line."""
    for problem in error.errors(include_url=False):
        key = tuple(str(part) for part in problem["loc"] if part != "[key]")
        if key[0:1] == ("sinks",) and key[2:3] and key[2] in SINK_TYPES:  # the type by which its section was found
            key = (*key[:2], *key[3:])
        above = (key[:length] for length in range(len(key), 0, -1))
        origin = next((origins[part] for part in above if part in origins), "")  # of a missing key: of its section
        if origin in {str(path) for path in paths} and (line := files.line_of(Path(origin), key)):
            origin = f"{origin}, line {line}"
        text = _problem(problem["type"], problem["msg"], key, problem["input"], problem.get("ctx", {}))
        yield f"{'.'.join(key)}{': ' if key else ''}{text}{f' ({origin})' if origin else ''}"


def _problem(kind: str, message: str, key: Key, given: object, context: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(key)}"
    if kind == "missing":
        return "is missing"
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return f"its `type` should be one of {', '.join(SINK_TYPES)}"
    pattern = pattern_of(key)
    hidden = any(secret[: len(key)] == pattern[: len(secret)] for secret in SECRETS)  # the value may hold a secret
    shown = STARS if hidden else repr(given) if len(repr(given)) <= 60 else f"{repr(given)[:57]}..."
    if kind == "value_error":
        message = str(context["error"])
        return f"{shown} {message}" if message.startswith("is ") else message
    if kind in {"model_type", "dict_type"}:
        return f"{shown} should be a section of keys and values"
    return f"{shown} {message.replace('Input should be', 'should be')}"


def _rows(value: object, origins: Mapping[Key, str], key: Key) -> Iterator[Row]:
    if isinstance(value, dict) and (value or not key):
        for name, below in value.items():
            yield from _rows(below, origins, (*key, name))
        return
    plain = list(value) if isinstance(value, tuple) else value
    yield Row(".".join(key), STARS if pattern_of(key) in SECRETS and value else plain, origins.get(key, DEFAULT))
