"""The environment of Tracktion's file watcher as settings: with it alone, ``sluice run`` takes the watcher's place.

Takes the environment; gives settings nested like the document with the variable that each came from, or nothing where
no variable of the watcher is set. Values without text count as not set. Fails with: BadSetting.

| variable | setting |
|---|---|
| `DATA_DIR`, else `FILE_WATCHER_SCAN_PATH`, else `/data/music` | `libraries.music.path` |
| `RABBITMQ_URL`, else `RABBITMQ_HOST`, `_PORT`, `_USER`, `_PASS` | `sinks.tracktion.url` |
| `INSTANCE_ID` | `sinks.tracktion.instance_id`, and which state goes on |
| `MAX_CONCURRENT_FILES` | `work.readers`, no more than there are processors |
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from mediasluice.errors import BadSetting

LIBRARY, SINK = "music", "tracktion"
ROOT = "/data/music"
_PARTS = {"HOST": "localhost", "PORT": "5672", "USER": "guest", "PASS": "guest"}
_SWITCHES = (
    *(f"RABBITMQ_{part}" for part in ("URL", *_PARTS)),
    *("INSTANCE_ID", "MAX_CONCURRENT_FILES", "FILE_WATCHER_SCAN_PATH"),
)
_READERS_MAX = 64


class Said(NamedTuple):
    """One setting, and the variable that says so."""

    key: tuple[str, ...]
    value: Any
    variable: str


def is_meant(environ: Mapping[str, str], *, has_document: bool) -> bool:
    """Whether the environment is that of the watcher: ``DATA_DIR`` alone says so only where no document does."""
    return any(environ.get(name) for name in _SWITCHES) or bool(environ.get("DATA_DIR") and not has_document)


def settings(environ: Mapping[str, str]) -> list[Said]:
    """What the variables say, for an environment that is meant."""
    path, variable = _root(environ)
    said = [
        Said(("preset",), "tracktion", "of Tracktion's watcher"),
        Said(("libraries", LIBRARY, "path"), path, variable),
        Said(("sinks", SINK, "type"), "rabbitmq", "of Tracktion's watcher"),
    ]
    url, variable = _url(environ)
    if url is not None:
        said.append(Said(("sinks", SINK, "url"), url, variable))
    if environ.get("INSTANCE_ID"):
        said.append(Said(("sinks", SINK, "instance_id"), environ["INSTANCE_ID"], "INSTANCE_ID"))
    if environ.get("MAX_CONCURRENT_FILES"):
        most = _number(environ, "MAX_CONCURRENT_FILES", 1_000_000)
        said.append(Said(("work", "readers"), min(most, os.cpu_count() or 1, _READERS_MAX), "MAX_CONCURRENT_FILES"))
    return said


def state_name(environ: Mapping[str, str]) -> str:
    """What the data directory is called that keeps the state of this instance, below that of all others."""
    given = environ.get("INSTANCE_ID")
    if given:
        plain = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in given)
        if plain == given:
            return f"tracktion-{given}"
        return f"tracktion-{plain}-{_digest(given)}"  # two names that differ never share a state
    return f"tracktion-{_digest(os.path.realpath(_root(environ)[0]))}"


def _digest(text: str) -> str:
    return hashlib.blake2b(os.fsencode(text), digest_size=4).hexdigest()


def _root(environ: Mapping[str, str]) -> tuple[str, str]:
    for variable in ("DATA_DIR", "FILE_WATCHER_SCAN_PATH"):
        if environ.get(variable):
            return os.path.abspath(environ[variable]), variable
    return ROOT, "of Tracktion's watcher"


def _url(environ: Mapping[str, str]) -> tuple[str | None, str]:
    if environ.get("RABBITMQ_URL"):
        return environ["RABBITMQ_URL"], "RABBITMQ_URL"
    named = [f"RABBITMQ_{part}" for part in _PARTS if environ.get(f"RABBITMQ_{part}")]
    if not named:
        return None, ""
    host, _, user, password = (environ.get(f"RABBITMQ_{part}") or default for part, default in _PARTS.items())
    port = _number(environ, "RABBITMQ_PORT", 65_535) if environ.get("RABBITMQ_PORT") else int(_PARTS["PORT"])
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"amqp://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/", ", ".join(named)


def _number(environ: Mapping[str, str], variable: str, most: int) -> int:
    text = environ[variable].strip()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise BadSetting(f"{variable}={text!r} is not a number from 1 to {most}")
    return int(text)
