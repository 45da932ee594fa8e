"""What the pipeline needs of a logger; structlog's loggers fit."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """One call per fact: a snake_case event and its values."""

    def debug(self, event: str, **values: object) -> object:
        """Details that only somebody who searches wants to see."""

    def info(self, event: str, **values: object) -> object:
        """Something happened as it should."""

    def warning(self, event: str, **values: object) -> object:
        """Somebody may want to do something about it."""

    def error(self, event: str, **values: object) -> object:
        """Somebody has to do something about it."""
