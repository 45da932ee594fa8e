"""Paths are bytes; text is made of them only at the edge."""

from __future__ import annotations

import os


def join(directory: bytes, name: bytes) -> bytes:
    """Join a directory relative to its root (``b""`` = the root itself) and a name."""
    return directory + b"/" + name if directory else name


def split(relative: bytes) -> tuple[bytes, bytes]:
    """Split a path relative to its root into directory and name; the inverse of :func:`join`."""
    directory, _, name = relative.rpartition(b"/")
    return directory, name


def is_inside(directory: bytes, start: bytes) -> bool:
    """Whether a directory is ``start`` or lies below it, both relative to the same root."""
    return not start or directory == start or directory.startswith(start + b"/")


def text(path: bytes) -> str:
    """Text of a path; undecodable bytes become lone surrogates, so that it can be turned back."""
    return os.fsdecode(path)
