"""Read catalogued files again and compare them with what they were: what a disk loses silently is noticed here.

A run goes on where the last one ended, round and round, until its budget of seconds or bytes is used up or it is
through with all files once. A file whose key is another one by now is left to the next pass; one that differs
although nothing says that anybody wrote it is listed as damaged and reported. Nothing is ever repaired.

Args: ``library`` (all of them without it), ``seconds`` and ``bytes`` (no limit without them).
Gives counts. Fails with: what the writer fails with.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue import integrity
from mediasluice.catalogue.integrity import Target
from mediasluice.identify.digests import ALWAYS
from mediasluice.jobs.port import Context, Kind
from mediasluice.jobs.reading import Reading, Tools, portions
from mediasluice.model.paths import join, text
from mediasluice.pipeline.rereading import Code, Read

if TYPE_CHECKING:
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View

NAME = "verify"
PAGE = 512  # files that are asked for at once, chosen
_COUNTS = {Code.READ: "files", Code.CHANGED: "changed", Code.GONE: "gone", Code.UNREADABLE: "unreadable"}
_OUT_OF_REACH = "out_of_reach"


def kind(tools: Tools) -> Kind:
    """The kind of job, for an engine."""
    return Kind(NAME, partial(run, tools))


def run(tools: Tools, context: Context, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do one run."""
    reading = Reading(context, tools)
    try:
        with tools.open_view() as view:
            return _Run(tools, context, args, reading, view).go()
    finally:
        reading.close()


class _Run:
    """One attempt of one run; ``far`` is what it keeps: counts, where it began and whether it came round."""

    def __init__(self, tools: Tools, context: Context, args: Mapping[str, Any], reading: Reading, view: View) -> None:
        self._tools, self._context, self._reading, self._view = tools, context, reading, view
        self._library: str | None = args.get("library")
        self._seconds, self._bytes = args.get("seconds"), args.get("bytes")
        begin = view.ask(integrity.cursor, self._library)
        names = ("bytes", "damaged", _OUT_OF_REACH, "us", *_COUNTS.values())
        self._far: dict[str, Any] = context.kept("far") or {
            "begin": begin, "after": begin, "is_round": False, **dict.fromkeys(names, 0)
        }  # fmt: skip
        self._files, self._total = view.ask(integrity.amount, self._library)
        self._since_us = tools.clock()

    def go(self) -> Mapping[str, Any]:
        """Read until the budget is used up, or all were read once."""
        is_through = False
        while not is_through and not self._is_used_up():
            targets = self._view.ask(integrity.next_targets, self._library, self._far["after"], PAGE)
            if self._far["is_round"]:
                targets = [target for target in targets if target.file <= self._far["begin"]]
            if targets:
                self._read(targets)
            elif self._far["is_round"] or not self._far["begin"]:
                is_through = True
            else:  # behind the last file: the first ones are next
                self._keep({**self._far, "after": 0, "is_round": True}, [], [])
        if is_through:
            self._keep({**self._far, "after": 0}, [], [])  # the next run begins at the first one
        shown = {name: value for name, value in self._far.items() if name not in {"begin", "after", "is_round", "us"}}
        return {**shown, "seconds": round(self._far["us"] / 1e6, 1), "all": is_through}

    def _is_used_up(self) -> bool:
        far = self._far
        return (self._seconds is not None and far["us"] >= self._seconds * 1e6) or (
            self._bytes is not None and far["bytes"] >= self._bytes
        )

    def _read(self, targets: list[Target]) -> None:
        for portion in portions(targets):
            self._context.check()
            tell = partial(self._tell, self._far["bytes"])
            found = self._reading.read(portion[0].root, portion, ALWAYS, tell)
            self._record(portion, found)
            if self._is_used_up():
                return

    def _tell(self, before: int, read: int = 0) -> None:
        self._context.progress(before + read, self._total if self._bytes is None else min(self._total, self._bytes))

    def _record(self, portion: list[Target], found: list[Read] | None) -> None:
        now_us = self._tools.clock()
        far = {**self._far, "after": portion[-1].file, "us": self._far["us"] + max(0, now_us - self._since_us)}
        self._since_us = now_us
        damaged: list[tuple[Target, bytes]] = []
        whole: list[int] = []
        if found is None:
            far[_OUT_OF_REACH] += len(portion)
        for target, read in zip(portion, found or (), strict=found is not None):
            far[_COUNTS[read.code]] += 1
            if read.digests is None:
                continue
            far["bytes"] += target.key.size
            if read.digests.blake3 == target.blake3:
                whole.append(target.file)
            else:
                damaged.append((target, read.digests.blake3))
        far["damaged"] += len(damaged)
        new = self._keep(far, damaged, whole)
        self._tell(far["bytes"])
        for target in new:
            report(self._tools, target)

    def _keep(self, far: dict[str, Any], damaged: list[tuple[Target, bytes]], whole: list[int]) -> list[Target]:
        at_us = self._tools.clock()

        def change(catalogue: Catalogue) -> list[Target]:
            catalogue.change(integrity.set_cursor, self._library, far["after"])
            catalogue.change(integrity.clear, whole)
            return catalogue.change(integrity.report, damaged, at_us)

        new = self._context.keep("far", far, change)
        self._far = far
        return new or []


def report(tools: Tools, target: Target) -> None:
    """Say loudly that a file is damaged."""
    ground = tools.grounds().get(target.root)
    path = join(target.directory, target.name)
    tools.log.error(
        "file_damaged",
        path=text(path if ground is None else join(ground.path, path)),
        why="its bytes differ from what was catalogued, its size and times do not: the disk or its memory is at fault",
        hint="it was not touched; put a copy from a backup in its place, and have the disk checked",
    )
