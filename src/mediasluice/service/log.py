"""Write what happens to the terminal and to a log file, one line per fact.

Gives structlog loggers. The file is ``sluice.log`` in the log directory, kept below 10 MiB with five
older ones. Console lines go to standard error; standard output belongs to the command.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from mediasluice.pipeline.log import Log

FILE_NAME = "sluice.log"
FILE_SIZE, FILES = 10 << 20, 5  # bytes; chosen


def open_log(directory: Path, *, level: str, form: str) -> Log:
    """Set up logging for this process and give its logger. ``form``: console (readable) or json."""
    directory.mkdir(parents=True, exist_ok=True)
    sink = logging.getLogger("mediasluice.facts")
    sink.setLevel(level.upper())
    sink.propagate = False
    for handler in list(sink.handlers):
        sink.removeHandler(handler)
        handler.close()
    handlers: tuple[logging.Handler, ...] = (
        logging.handlers.RotatingFileHandler(
            directory / FILE_NAME, maxBytes=FILE_SIZE, backupCount=FILES, encoding="utf-8", errors="surrogateescape"
        ),
        logging.StreamHandler(_Escaped()),
    )
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
        sink.addHandler(handler)
    render: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    )
    log: Log = structlog.wrap_logger(
        sink,
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _one_line,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    return log


def _one_line(_logger: object, _method: str, values: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names of files may hold line breaks: a fact stays one line, and nobody can forge a second one."""
    for key, value in values.items():
        if isinstance(value, str) and not value.isprintable():
            values[key] = value.encode("unicode_escape", "surrogatepass").decode("ascii")
    return values


class _Escaped:
    """Standard error that survives names which cannot be encoded."""

    def write(self, line: str) -> None:
        stream = sys.stderr
        stream.write(line.encode(stream.encoding or "utf-8", "backslashreplace").decode(stream.encoding or "utf-8"))

    def flush(self) -> None:
        sys.stderr.flush()
