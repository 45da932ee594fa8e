"""Fill in digests that somebody asked for after files had been catalogued, such as the SHA-256 of a sink's messages.

Each content is read once, from one of the files that hold it, and only if it is still what was catalogued. Outside of
the hours for such work the job waits for the next ones, as often as it takes.

Args: ``algorithms``, of sha256, md5 and sha1.
Gives counts. Fails with: UsageError (another algorithm), what the writer fails with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue import integrity
from mediasluice.catalogue.integrity import EXTRA, Target
from mediasluice.errors import UsageError
from mediasluice.jobs import verify
from mediasluice.jobs.port import Context, Kind, Later
from mediasluice.jobs.reading import Reading, Tools, portions
from mediasluice.pipeline.rereading import Read

if TYPE_CHECKING:
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.model.files import Digests

NAME = "digests"
PAGE = 512  # contents that are asked for at once, chosen


def kind(tools: Tools, opens_us: Callable[[], int | None]) -> Kind:
    """The kind of job. ``opens_us``: when such work may begin; ``None``: now."""
    return Kind(NAME, partial(run, tools, opens_us))


def run(
    tools: Tools, opens_us: Callable[[], int | None], context: Context, args: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Read what lacks one of these digests."""
    algorithms = frozenset(args.get("algorithms", ()))
    if not algorithms or algorithms - set(EXTRA):
        raise UsageError("digests are filled in by name", hint=f"algorithms: some of {', '.join(EXTRA)}")
    reading = Reading(context, tools)
    try:
        with tools.open_view() as view:
            far = context.kept("far") or {"after": 0, "contents": 0, "bytes": 0, "filled": 0, "damaged": 0}
            total = far["contents"] + view.ask(integrity.count_lacking, algorithms)
            while targets := view.ask(integrity.lacking, algorithms, far["after"], PAGE, list(tools.grounds())):
                for portion in portions(targets):
                    context.check()
                    if (due_us := opens_us()) is not None:
                        raise Later(due_us, "outside of the hours for reading files in full")
                    found = reading.read(portion[0].root, portion, algorithms, lambda _: None)
                    far = _record(tools, context, portion, found, far)
                    context.progress(far["contents"], max(total, far["contents"]))
            left = view.ask(integrity.count_lacking, algorithms)
    finally:
        reading.close()
    return {**{name: value for name, value in far.items() if name != "after"}, "left": left}


def _record(
    tools: Tools, context: Context, portion: Collection[Target], found: list[Read] | None, far: Mapping[str, int]
) -> dict[str, int]:
    """Keep what one portion gave, and how far the job is with it."""
    targets = list(portion)
    filled: list[tuple[int, Digests]] = []
    damaged: list[tuple[Target, bytes]] = []
    for target, read in zip(targets, found or (), strict=found is not None):
        if read.digests is None:
            continue
        if read.digests.blake3 == target.blake3:
            filled.append((target.content, read.digests))
        else:
            damaged.append((target, read.digests.blake3))
    sizes = {target.content: target.key.size for target in targets}
    now = {
        "after": targets[-1].content,
        "contents": far["contents"] + len(targets),
        "bytes": far["bytes"] + sum(sizes[content] for content, _ in filled),
        "filled": far["filled"] + len(filled),
        "damaged": far["damaged"] + len(damaged),
    }
    at_us = tools.clock()

    def change(catalogue: Catalogue) -> list[Target]:
        catalogue.change(integrity.fill_in, filled)
        return catalogue.change(integrity.report, damaged, at_us)

    for target in context.keep("far", now, change) or []:
        verify.report(tools, target)
    return now
