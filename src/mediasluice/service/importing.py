"""Import by hand: catalogue what lies at some paths, judge it as a person wishes, wait until it is done.

Takes a running service and what to import; gives rows ``{"progress": {...}}``, then a row for each file with its path,
judgement, item, place and reason, and at the end ``{"result": {...}}`` with the counts.
Fails with: Unavailable (the library is offline), UsageError (no rules to import by).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.errors import UsageError
from mediasluice.model.imports import Judgement
from mediasluice.model.paths import is_inside, join, split, text
from mediasluice.service.passing import Request, run_pass
from mediasluice.settle.decide import WaitReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mediasluice.model.imports import ImportRules
    from mediasluice.model.roots import Library
    from mediasluice.pipeline.watched import Watched
    from mediasluice.service.service import Service
    from mediasluice.settle.tracker import Pending

PAGE = 500  # files judged in one transaction, chosen


@dataclass(frozen=True, slots=True)
class Wish:
    """A file, or with ``name`` None all files at and below a directory, to be imported."""

    root: Watched
    directory: bytes
    name: bytes | None


def rules_of(library: str | None, libraries: Iterable[Library]) -> ImportRules | None:
    """The import rules of the library that a person names."""
    if library is None:
        return None
    for one in libraries:
        if one.name == library and one.rules.imports is not None:
            return one.rules.imports
    message = f"there is no library {library!r} that imports"
    raise UsageError(message, hint="set libraries.NAME.action: import")


def wish_for(path: bytes, roots: Iterable[Watched]) -> Wish:
    """Find the root of an absolute path."""
    for root in roots:
        above = root.path.rstrip(b"/") + b"/"
        if path == root.path:
            return Wish(root, b"", None)
        if path.startswith(above):
            inside = path[len(above) :]
            return Wish(root, inside, None) if os.path.isdir(path) else Wish(root, *split(inside))
    message = "it lies in no library"
    raise UsageError(message, path=text(path))


def run_import(
    service: Service, wishes: Sequence[Wish], rules: ImportRules | None, *, settle_timeout_s: float
) -> Iterator[dict[str, Any]]:
    """Import files by the rules of their library, or by ``rules`` where theirs does not import."""
    for wish in wishes:
        if wish.root.rules.imports is None and rules is None:
            message = f"library {wish.root.library} catalogues and does not import"
            raise UsageError(message, hint="say whose rules to use: --library NAME")
    scope = [(wish.root, wish.directory) for wish in wishes]
    for row in run_pass(service, Request(scope, settle_timeout_s=settle_timeout_s)):
        if "progress" in row:
            yield row
    until_s = time.monotonic() + settle_timeout_s
    while time.monotonic() < until_s and service.ask(lambda: _is_waited_for(service, wishes)):
        yield {"progress": {"waiting": True}}
        time.sleep(0.05)
    importer, writer = service.host.importer, service.host.writer
    writer.call(lambda _: None)
    numbers: list[int] = []
    with View.open(catalogue_file(service.data)) as view:
        for wish in wishes:
            by = wish.root.rules.imports or rules
            assert by is not None
            importer.adopt(wish.root, by)
            after, found = 0, False
            while files := view.files_at(wish.root.id, wish.directory, wish.name, after, PAGE):
                after, found = files[-1], True
                writer.call(partial(importer.judge_by_hand, root=wish.root, rules=by, files=files))
                numbers += files
            if not found and wish.name is not None:
                path = text(join(wish.root.path, join(wish.directory, wish.name)))
                yield {"file": {"path": path, "judgement": None, "item": None, "to": None, "reason": "not catalogued"}}
        head = view.head()
        while not service.host.enricher.has_reached(head) or importer.is_busy:
            time.sleep(0.02)
            if service.failure is not None:
                raise service.failure
            yield {"progress": {"waiting": True}}
        writer.call(lambda _: None)
        counts: Counter[str] = Counter()
        for number in numbers:
            judged = view.judged(number)
            path_now = view.path_of(number)
            state = "none" if judged is None else judged.judgement.value
            counts[state] += 1
            yield {
                "file": {
                    "path": None if path_now is None else text(path_now),
                    "judgement": None if judged is None else state,
                    "item": judged and judged.item,
                    "to": text(judged.item_path) if judged and judged.item_path else None,
                    "reason": judged and judged.reason,
                }
            }
    yield {"result": {"files": len(numbers), **{one.value: counts[one.value] for one in _COUNTED}}}


def _is_waited_for(service: Service, wishes: Sequence[Wish]) -> bool:
    """Whether files that are wished for have arrived and not settled; runs on the intake thread."""
    return any(
        pending.root == wish.root.id
        and pending.reason != WaitReason.NAME
        and (is_inside(pending.directory, wish.directory) if wish.name is None else _is_it(pending, wish))
        for pending in service.host.intake.pending()
        for wish in wishes
    )


def _is_it(pending: Pending, wish: Wish) -> bool:
    return (pending.directory, pending.name) == (wish.directory, wish.name)


_COUNTED = (
    Judgement.IMPORTED,
    Judgement.COMPANION,
    Judgement.DUPLICATE,
    Judgement.REFUSED,
    Judgement.PENDING,
)
