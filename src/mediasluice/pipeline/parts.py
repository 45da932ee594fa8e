"""What the stages of the pipeline share: the tracker, the workers, the writer, the view, the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mediasluice.catalogue.view import View
    from mediasluice.model.files import FileState, Origin
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.enriching import Enricher
    from mediasluice.pipeline.importing import Importer
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.reuniting import Reunions
    from mediasluice.pipeline.workers import Workers
    from mediasluice.pipeline.writer import Writer
    from mediasluice.settle.tracker import Tracker

Row = tuple[bytes, bytes, "Any", int, "FileState", str]
"""A file that is not read: directory, name, change key, links, state, reason."""


@dataclass(slots=True)
class Parts:
    """All of it belongs to the intake thread, except ``post``, which hands a call to that thread."""

    tracker: Tracker
    workers: Workers
    writer: Writer
    log: Log
    post: Callable[[Callable[[], None]], None]
    origins: dict[tuple[RootId, bytes, bytes], Origin]  # of candidates that a pass found, until they are decided
    view: View  # opened on the intake thread
    importer: Importer
    reunions: Reunions
    enricher: Enricher
