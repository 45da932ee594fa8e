"""Recognise names under which programs write a file that is not finished yet.

Takes names and directories as bytes; gives the pattern that holds a file back, or the names whose
presence beside a file says that it is not finished. Case does not matter. Fails with: nothing.
Source: the temporary names of browsers, download managers, sync tools and servers, from their manuals;
rsync(1) for ``.NAME.XXXXXX``, ``--partial-dir`` and ``--delay-updates``.
"""

from __future__ import annotations

import re

_SUFFIXES = (
    *(b".part", b".partial", b".partial~", b".filepart", b".crdownload", b".opdownload", b".download"),
    *(b".!qb", b".!ut", b".!bt", b".bc!", b".aria2", b".ytdl", b".tmp", b".temp"),
)

# Names that begin with one of the characters in _FIRST; the pattern as it is shown -> as an expression.
_FIRST = b".~"
_PREFIXED = {
    ".~*": r"\.~.+",
    "~$*": r"~\$.+",  # owner files of office programs
    "~syncthing~*": r"~syncthing~.+",
    ".pureftpd-upload.*": r"\.pureftpd-upload\..+",
    ".in.*.": r"\.in\..+\.",  # ProFTPD, HiddenStores
    ".NAME.~*": r"\..+\.~[0-9a-f]+",  # Nextcloud and ownCloud clients
    ".NAME.XXXXXX": r"\..+\.[0-9a-z]{6}",  # rsync
}
_DIRECTORIES = {
    ".rsync-partial/": r"\.rsync-partial",
    ".~tmp~/": r"\.~tmp~",  # rsync --delay-updates
    "_UNPACK_*/": r"_unpack_[^/]*",  # SABnzbd, NZBGet
    "*.download/": r"[^/]+\.download",  # Safari keeps the growing file inside
}

_COMPANIONS = (b".part", b".aria2", b".crdownload", b".opdownload")
_LONGEST_NAME = 255  # bytes, NAME_MAX


def _any_of(patterns: dict[str, str], around: str) -> re.Pattern[bytes]:
    alternatives = "|".join(f"({pattern})" for pattern in patterns.values())
    return re.compile((around % alternatives).encode(), re.IGNORECASE | re.DOTALL)


_PREFIXED_NAME, _PREFIXED_SHOWN = _any_of(_PREFIXED, r"(?:%s)\Z"), tuple(_PREFIXED)
_DIRECTORY, _DIRECTORY_SHOWN = _any_of(_DIRECTORIES, r"(?:\A|/)(?:%s)(?:/|\Z)"), tuple(_DIRECTORIES)


def held_by(name: bytes, directory: bytes = b"") -> str | None:
    """Name the pattern that says "not finished" of this name, or of a directory above it."""
    lower = name.lower()
    if lower.endswith(_SUFFIXES):
        return next(f"*{suffix.decode()}" for suffix in _SUFFIXES if lower.endswith(suffix))
    if lower[0] in _FIRST and (match := _PREFIXED_NAME.match(name)) and match.lastindex:
        return _PREFIXED_SHOWN[match.lastindex - 1]
    if directory and (match := _DIRECTORY.search(directory)) and match.lastindex:
        return _DIRECTORY_SHOWN[match.lastindex - 1]
    return None


def companions(name: bytes) -> tuple[bytes, ...]:
    """Names that exist beside ``name`` exactly as long as it is being written."""
    return tuple(name + suffix for suffix in _COMPANIONS if len(name) + len(suffix) <= _LONGEST_NAME)


def companion_of(name: bytes) -> bytes | None:
    """Give the file that ``name`` is a companion of; the inverse of :func:`companions`."""
    for suffix in _COMPANIONS:
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None
