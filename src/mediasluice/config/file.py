"""Find the documents and the data directory, read YAML, notice that a document changed.

Takes the environment and the options of the command line. Gives paths and plain mappings.
Fails with: BadSetting, with the line where a text is not YAML.
Source: docs/settings.md; the XDG base directory specification.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mediasluice.config import tracktion
from mediasluice.errors import BadSetting

SYSTEM = Path("/etc")


class Stamp(NamedTuple):
    """What the documents looked like when they were read; ``None`` for one that was not there."""

    paths: tuple[Path, ...]
    keys: tuple[tuple[int, int, int, int] | None, ...]


def documents(option: Path | None, environ: Mapping[str, str], system: Path = SYSTEM) -> tuple[Path, ...]:
    """Name the documents, the one that counts most last. One that was asked for by name stands alone."""
    asked = option or (Path(environ["SLUICE_CONFIG"]) if environ.get("SLUICE_CONFIG") else None)
    if asked is not None:
        return (asked.absolute(),)
    home = _base(environ, "XDG_CONFIG_HOME", ".config", "APPDATA")
    return (system / "mediasluice" / "config.yaml", home / "mediasluice" / "config.yaml")


def data_directory(option: Path | None, environ: Mapping[str, str]) -> Path:
    """Name the directory of the catalogue: the option, ``SLUICE_DATA``, else one in the user's state directory.

    There, each instance that has the place of a Tracktion watcher has its own.
    """
    if option is not None:
        return option.absolute()
    if environ.get("SLUICE_DATA"):
        return Path(environ["SLUICE_DATA"]).absolute()
    common = _base(environ, "XDG_STATE_HOME", ".local/state", "LOCALAPPDATA") / "mediasluice"
    paths = documents(None, environ)
    has_document = any(path.exists() for path in paths)
    if len(paths) > 1 and tracktion.is_meant(environ, has_document=has_document):
        return common / tracktion.state_name(environ)
    return common


def stamp(paths: Iterable[Path]) -> Stamp:
    """Look at the documents; taken before they are read, so that a change in between is seen later."""
    paths = tuple(paths)
    return Stamp(paths, tuple(_key(path) for path in paths))


def changed(since: Stamp) -> bool:
    """Say whether a document was written, replaced, removed or added since. Costs one stat per document."""
    return stamp(since.paths) != since


def read(path: Path) -> dict[str, Any] | None:
    """Read one document; ``None`` if there is no such file."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise BadSetting(f"is not UTF-8 text (byte {error.start})", path=str(path)) from error
    except OSError as error:
        raise BadSetting(f"cannot be read: {error.strerror}", path=str(path)) from error
    from ruamel.yaml import YAML  # noqa: PLC0415 - 8 ms that a run without a document does not pay
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        document = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadSetting(f"{where}{error.problem or error.context}", path=str(path)) from error
    except YAMLError as error:
        raise BadSetting(f"is not YAML: {error}", path=str(path)) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise BadSetting("is not a document of keys and values", path=str(path))
    return document


def line_of(path: Path, key: Sequence[str]) -> int | None:
    """Find the line of a key in a document that was read before; asked only to explain an error."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - see read()
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415
    from ruamel.yaml.nodes import MappingNode  # noqa: PLC0415

    try:
        node = YAML(typ="safe", pure=True).compose(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError, YAMLError):
        return None  # it changed since; the message is right without a line
    line = None
    for part in key:
        if not isinstance(node, MappingNode):
            break
        for name, below in node.value:
            if str(name.value) == part:
                line, node = name.start_mark.line + 1, below
                break
    return line


def _base(environ: Mapping[str, str], name: str, below_home: str, windows: str) -> Path:
    """Name a base directory; the XDG rule says that a relative value does not count."""
    if os.path.isabs(environ.get(name, "")):
        return Path(environ[name])
    if sys.platform == "win32" and environ.get(windows):
        return Path(environ[windows])
    home = environ.get("HOME") or os.path.expanduser("~")
    return Path(home) / below_home


def _key(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # not there, or not to be reached: read() tells which
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
