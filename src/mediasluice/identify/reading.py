"""Read what stands inside a media file: which reader for which kind, and what stands when none can.

Takes an open file. Gives a :class:`Reading`. Runs in isolated processes only, because the libraries below were written
in C for friendly files. Fails with: Refused, and whatever a library fails with; :func:`read` gives a reason instead.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable

from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.files import Kind
from mediasluice.model.media import MEDIA_KINDS, Reading, to_json

READER_VERSION = 1
"""Raised whenever a reader gives more, or something else: readings of an older version are made anew."""

UNREAD_VERSION = 0
"""Of a reading that no reader made because of a mistake of ours: the next start tries it anew, perhaps mended."""

REASON_MAX = 200  # characters of a reason, chosen: one line


def is_read(kind: Kind, name: bytes) -> bool:
    """Whether there is a reader for files of this kind and name."""
    return kind in MEDIA_KINDS or (kind is Kind.SIDECAR and name[-5:].lower().endswith((b".xmp", b".json")))


def read(file: Opened) -> Reading:
    """Read one file; what no reader understands has the reason."""
    try:
        return understood(file)
    except MemoryError:
        raise
    except Refused as refused:
        return basic(file.name, str(refused))
    except Exception as error:  # noqa: BLE001 - libraries raise anything on damaged files
        return basic(file.name, f"{type(error).__name__}: {error}")


def understood(file: Opened) -> Reading:
    """Read one file; raises whatever its reader does."""
    reading = _reader(file)(file)
    return reading._replace(mime=reading.mime or mime_of(file.name))


def read_file(file: Opened, extra: object) -> str:
    """Read one file, for the other side of a pipe; the process there tells what a file does from what its disk does."""
    del extra
    return to_json(understood(file))


def basic(name: bytes, error: str) -> Reading:
    """What can be said of a file that was not understood."""
    return Reading("", mime_of(name), error=" ".join(error.split())[:REASON_MAX] or "nothing could read it")


def mime_of(name: bytes) -> str | None:
    """The type that a name says."""
    return mimetypes.guess_type("x." + name[name.rfind(b".") + 1 :].decode("ascii", "replace").lower())[0]


def _json(file: Opened) -> Reading:
    """Read what Google Takeout writes; any other JSON file is a document of somebody else, and nothing is wrong."""
    from mediasluice.identify.readers import takeout

    try:
        return takeout.read(file)
    except Refused:
        return Reading("", "application/json")


def _reader(file: Opened) -> Callable[[Opened], Reading]:
    """Choose by kind. What is imported here is loaded by processes that need it, and by no others."""
    # ruff: noqa: PLC0415
    if file.kind is Kind.IMAGE:
        from mediasluice.identify.readers import photo

        return photo.read
    if file.kind in (Kind.AUDIO, Kind.VIDEO):
        from mediasluice.identify.readers import audiovisual

        return audiovisual.read
    if file.kind is Kind.PDF:
        from mediasluice.identify.readers import pdf

        return pdf.read
    if file.kind is Kind.SIDECAR and file.extension == b"xmp":
        from mediasluice.identify.readers import xmp

        return xmp.sidecar
    if file.kind is Kind.SIDECAR and file.extension == b"json":
        return _json
    raise Refused(f"there is no reader for {file.kind} files")
