"""What the shared options lead to: the data directory, the document, the catalogue to read from.

Takes a :class:`Call` and the environment; gives values of the rooms below. A catalogue that was never made is
not an error to somebody who reads: it holds nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.location import catalogue_file
from mediasluice.cli.output import note
from mediasluice.config.file import data_directory
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.rows import RootRow
    from mediasluice.catalogue.view import View
    from mediasluice.cli.options import Call
    from mediasluice.config.layers import Loaded
    from mediasluice.model.roots import Library
    from mediasluice.sources.names import NameRules


def data_of(call: Call) -> Path:
    """The data directory that ``--data``, the environment or the defaults name."""
    return data_directory(Path(call.data) if call.data else None, os.environ)


def loaded_of(call: Call, folders: Mapping[str, bytes] | None = None) -> Loaded:
    """The valid document, ``-q`` and ``-v`` laid over it, and folders as libraries beside its own."""
    from mediasluice.config.layers import load

    level = "debug" if call.verbose else "warning" if call.quiet else None
    overrides: dict[str, Any] = {"system": {"log_level": level}} if level else {}
    if folders:
        overrides["libraries"] = {  # what is only looked at is not imported, whatever the preset says
            name: {"path": os.path.abspath(text(path)), "action": "catalogue"} for name, path in folders.items()
        }
    return load(Path(call.config) if call.config else None, os.environ, overrides)


def known_libraries(call: Call, roots: Sequence[RootRow]) -> Sequence[Library]:
    """The libraries of the document, and those that were once named on a command line."""
    configured = loaded_of(call).settings.libraries()
    named = {library.name for library in configured} | {library.path for library in configured}
    others = {root.library: root.path for root in roots if not {root.library, root.path} & named}
    return loaded_of(call, others).settings.libraries() if others else configured


def names_of(library: Library) -> NameRules:
    """The name rules of a library."""
    from mediasluice.sources.names import NameRules

    rules, own = library.rules, set_aside(library)
    return NameRules(library.path, include=rules.include, exclude=rules.exclude, recursive=rules.recursive, own=own)


def set_aside(library: Library) -> tuple[bytes, ...]:
    """The directories of ours inside the root of a library: where it imports to, and where files are set aside."""
    rules = library.rules.imports
    if rules is None:
        return ()
    above = os.path.realpath(library.path).rstrip(b"/") + b"/"
    real = [os.path.realpath(directory) for directory in (rules.target, rules.processed) if directory is not None]
    root = library.path.rstrip(b"/") + b"/"
    return tuple(root + directory[len(above) :] for directory in real if directory.startswith(above))


def view_of(data: Path, *, quiet: bool, wait: bool = False) -> View | None:
    """Open the catalogue for reading; ``None`` when there is none. With ``wait`` until somebody made it."""
    file = catalogue_file(data)
    if not file.exists():
        if not quiet:
            note(f"no catalogue yet in {data}", hint="begin with: sluice run DIR")
        while wait and not file.exists():
            time.sleep(0.1)
        if not wait:
            return None
    from mediasluice.catalogue.view import View

    return View.open(file)
