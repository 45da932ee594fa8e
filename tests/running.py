"""Run a host inside the test process: real catalogue, real workers, real kernel events; no command line.

Takes settings as in a document and one folder per library; gives what the catalogue holds, with paths relative to a
base folder. Every wait has an end. Fails with AssertionError, with the last log lines in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic  # noqa: TID251 - it waits for real processes
from types import TracebackType
from typing import Any, Self, TypeVar

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.rows import FileLine
from mediasluice.catalogue.view import View
from mediasluice.config.document import Settings
from mediasluice.config.layers import load
from mediasluice.model.events import Event
from mediasluice.model.files import FileState
from mediasluice.pipeline.watched import Watched
from mediasluice.service.answers import Answers
from mediasluice.service.lock import DataLock
from mediasluice.service.passing import Request, run_pass
from mediasluice.service.service import Service

T = TypeVar("T")
LIMIT_S = 40.0  # chosen: the machine may be busy with something else


class Log:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def debug(self, event: str, **values: object) -> None:
        self.lines.append((event, values))

    info = warning = error = debug

    def events(self) -> list[str]:
        return [event for event, _ in self.lines]


class Running:
    """A host over the folders of ``base`` that ``libraries`` names, stopped at the end of the ``with`` block."""

    def __init__(
        self,
        base: Path,
        libraries: Sequence[str] | dict[str, dict[str, Any]],
        *,
        is_service: bool = True,
        data: Path | None = None,
        **sections: Any,
    ) -> None:
        self.base = base
        self.data = data or base / "data"
        self.log = Log()
        self._sections = sections
        self.settings = self._load(libraries)
        self.service = Service(DataLock.acquire(self.data), self.settings, self.log, is_service=is_service)
        self.service.start(self.settings.libraries())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.service.stop()
        if error is None:
            assert self.service.failure is None, self.service.failure
            assert "worker_bug" not in self.log.events(), self.log.lines[-20:]

    def _load(self, libraries: Sequence[str] | dict[str, dict[str, Any]]) -> Settings:
        if not isinstance(libraries, dict):
            libraries = {name: {} for name in libraries}
        named: dict[str, dict[str, Any]] = {}
        for name, rest in libraries.items():
            (self.base / name).mkdir(exist_ok=True)
            named[name] = {"path": str(self.base / name), **rest}
        return load(None, {}, {**self._sections, "libraries": named}).settings

    def replace(self, libraries: Sequence[str] | dict[str, dict[str, Any]], **sections: Any) -> None:
        """Reload with another document."""
        self._sections = sections or self._sections
        self.settings = self._load(libraries)
        self.service.replace(self.settings, self.settings.libraries())

    # -- what it knows ----------------------------------------------------------------------------

    def root(self, library: str) -> Watched:
        return next(root for root in self.service.host.intake.roots.values() if root.library == library)

    def lines(self, *, missing: bool = False) -> dict[str, FileLine]:
        with View.open(catalogue_file(self.data)) as view:
            lines = list(view.files(missing=missing))
        found = {self._short(line.path): line for line in lines}
        assert missing or len(found) == len(lines), "a path is listed twice"
        return found

    def catalogued(self) -> dict[str, int]:
        """Path -> file id of what is complete and read."""
        return {path: line.id for path, line in self.lines().items() if line.state is FileState.CATALOGUED}

    def events(self) -> list[Event]:
        with View.open(catalogue_file(self.data)) as view:
            return list(view.events())

    def story(self, since: int = 0) -> list[tuple[str, ...]]:
        """(type, path[, old path]) of the events about files."""
        found: list[tuple[str, ...]] = []
        for event in self.events():
            if event.seq > since and event.type.value.startswith("file."):
                old = () if event.old_path is None else (self._short(event.old_path),)
                found.append((event.type.value.removeprefix("file."), self._short(event.path), *old))
        return found

    def head(self) -> int:
        with View.open(catalogue_file(self.data)) as view:
            return view.head()

    def status(self) -> dict[str, Any]:
        return next(iter(Answers(self.service).verbs()["status"]({})))

    def _short(self, path: bytes) -> str:
        return os.fsdecode(path).removeprefix(f"{self.base}/")

    # -- what it does -----------------------------------------------------------------------------

    def scan(self, *libraries: str, settle_s: float = LIMIT_S, **asked: bool) -> dict[str, Any]:
        roots = [self.root(name) for name in libraries] or list(self.service.host.intake.roots.values())
        request = Request([(root, b"") for root in roots], settle_timeout_s=settle_s, **asked)
        result: dict[str, Any] = {}
        for row in run_pass(self.service, request):
            result = row.get("result", {})
        return result

    def until(self, condition: Callable[[], T], what: str, limit_s: float = LIMIT_S) -> T:
        """Ask after every commit, and now and then, until the answer is true."""
        end = monotonic() + limit_s
        while True:
            answer = condition()
            if answer:
                return answer
            assert self.service.failure is None, self.service.failure
            assert monotonic() < end, f"not within {limit_s:g} s: {what}; {answer!r}; {self.log.lines[-12:]}"
            with self.service.committed:
                self.service.committed.wait(0.05)

    def until_catalogued(self, *paths: str, limit_s: float = LIMIT_S) -> dict[str, int]:
        self.until(lambda: set(paths) <= self.catalogued().keys(), f"catalogued: {paths}", limit_s)
        return self.catalogued()

    def until_idle(self, quiet_s: float = 0.3, limit_s: float = LIMIT_S) -> None:
        """Wait until nothing was pending for a moment, which begins now at the earliest."""
        asked_s = monotonic()

        def is_idle() -> bool:
            since_s = self.service.idle_since_s()
            return since_s is not None and monotonic() - max(since_s, asked_s) >= quiet_s

        self.until(is_idle, "nothing pending", limit_s)


def one_pass(base: Path, *libraries: str, data: Path | None = None, **scan: Any) -> dict[str, Any]:
    """One pass in a process of its own life: start, scan, stop; gives the result."""
    with Running(base, libraries, is_service=False, data=data) as running:
        return running.scan(**scan)
