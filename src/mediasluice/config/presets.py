"""Defaults for the people who come from another system; every key of them can be set otherwise.

A preset is a document like any other, applied before the real one, and what it says for each library.
Source: docs/settings.md, section Presets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mediasluice.model.files import Kind


class Preset(NamedTuple):
    """``document`` goes below the user's document, ``library`` below each of its libraries.

    ``moving`` goes below those that move away what they imported. ``kinds``: what is wanted by content where a
    library names no patterns; empty = everything. ``owner_from``: what the setting is called there that names the
    owner of all that is imported; who sets it has to say the owner here.
    """

    document: Mapping[str, Mapping[str, object]] = {}
    library: Mapping[str, object] = {}
    moving: Mapping[str, object] = {}
    kinds: tuple[Kind, ...] = ()
    owner_from: str | None = None


_TRACKTION_SUFFIXES = "flac wav wave mp3 ogg oga aac opus m4a m4b m4p m4v m4r mp4 wma"

PRESETS: Mapping[str, Preset] = {
    "plain": Preset(),
    "mediacms": Preset(
        document={"file_watch": {"ignore_patterns": [".*", "*.tmp", "*.part"], "debounce_time": "5s"}},
        library={
            "action": "import",
            "existing": "baseline",
            "import": {
                "state": "public",
                "max_size": 4_096_000_000,  # the upload limit of a MediaCMS that sets none
            },
        },
        moving={"duplicates": {"to": "processed"}},
        kinds=(Kind.VIDEO, Kind.AUDIO, Kind.IMAGE, Kind.PDF),
        owner_from="MEDIA_WATCH_USER",
    ),
    "melodee": Preset(
        document={
            "file_watch": {
                "enabled": False,  # a library is watched only where it says so
                "patterns": ["*.mp3", "*.flac", "*.m4a", "*.ogg", "*.wav"],
                "ignore_patterns": ["*.part", "~$*", ".*"],
                "debounce_time": "1s",
            }
        },
    ),
    "tracktion": Preset(
        document={
            "file_watch": {"patterns": [f"*.{suffix}" for suffix in _TRACKTION_SUFFIXES.split()]},
            "fingerprints": {"sha256": True},
        },
    ),
    "media-pipeline": Preset(document={"fingerprints": {"sha256": True}}),
    "mlm": Preset(),
}
