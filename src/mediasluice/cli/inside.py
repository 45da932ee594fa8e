"""What stands inside a file, what sources outside of it know, and when it was made, as commands show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediasluice.identify.kind import misnamed
from mediasluice.model.files import FileState
from mediasluice.model.media import Media, Reading, from_json

if TYPE_CHECKING:
    from mediasluice.catalogue.rows import FileLine, Inside
    from mediasluice.model.media import Capture

_NOTHING = Reading("")


def promised(line: FileLine | None) -> str | None:
    """The kind that the name of a file promises, where it is of another one."""
    if line is None or line.state != FileState.CATALOGUED:
        return None
    found = misnamed(line.kind, line.path.rpartition(b"/")[2])
    return None if found is None else found.value


def inside_row(inside: Inside | None) -> dict[str, object]:
    """The keys that a file has beside those of the first pass; ``null`` until it was read, or where it has none."""
    capture = None if inside is None else inside.capture
    reading = _reading(inside)
    return {
        "mime": reading.mime,
        "media": reading.media._asdict() if any(reading.media) else None,
        "tags": reading.tags._asdict() if any(reading.tags) else None,
        "capture": None if capture is None else _capture_row(capture),
        "camera": reading.camera._asdict() if any(reading.camera) else None,
        "exposure": reading.exposure._asdict() if any(reading.exposure) else None,
        "gps": None if reading.gps is None else reading.gps._asdict(),
        "group": None if inside is None else inside.master,
        "role": None if inside is None else inside.role,
        "reader": reading.reader or None,
        "reader_error": reading.error or (None if inside is None else inside.waits),
    }


def inside_lines(inside: Inside) -> list[tuple[str, str]]:
    """What a person wants to know first: labels and words."""
    reading = _reading(inside)
    lines = [
        ("holds", ", ".join(_properties(reading.media))),
        ("tags", " - ".join(filter(None, (reading.tags.artist, reading.tags.album, reading.tags.title)))),
        ("camera", " ".join(filter(None, (reading.camera.make, reading.camera.model)))),
        ("taken", "" if inside.capture is None else _taken(inside.capture)),
        ("role", inside.role or ""),
        ("unread", reading.error or inside.waits or ""),
    ]
    return [(label, words) for label, words in lines if words]


def _reading(inside: Inside | None) -> Reading:
    """What stands inside, filled with what sources outside of the file know."""
    if inside is None or inside.found is None:
        return _NOTHING
    reading = from_json(inside.found)
    if inside.told is None:
        return reading
    from mediasluice.identify.external import merged  # few have sources, and it brings subprocesses

    return merged(reading, inside.told)


def _capture_row(capture: Capture) -> dict[str, object]:
    return {**capture._asdict(), "source": capture.source.value, "confidence": capture.confidence.value}


def _taken(capture: Capture) -> str:
    offset = ""
    if capture.offset is not None:
        sign, minutes = ("-" if capture.offset < 0 else "+"), abs(capture.offset)
        offset = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    passed_over = f"; passed over: {'; '.join(capture.rejected)}" if capture.rejected else ""
    return f"{capture.local.replace('T', ' ')}{offset}  by {capture.source} ({capture.confidence}){passed_over}"


def _properties(media: Media) -> list[str]:
    words = [media.container or ""]
    if media.width and media.height:
        words.append(f"{media.width} x {media.height}")
    if media.duration is not None:
        words.append(f"{media.duration:.1f} s")
    words += [media.video_codec or "", media.audio_codec or ""]
    if media.pages:
        words.append(f"{media.pages} pages")
    return [word for word in words if word]
