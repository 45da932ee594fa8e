"""Hand over to the catalogue what was found out of files, and say so in the log.

Takes identified files and files that are not read; gives the catalogue's verdicts on the intake thread,
after the commit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue.rows import Observed, Outcome
from mediasluice.model.files import ChangeKey, Digests, FileState, Kind
from mediasluice.model.flow import IdentifiedFile, Sighting, What
from mediasluice.model.paths import join, text
from mediasluice.pipeline.writer import now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mediasluice.catalogue.rows import Verdict
    from mediasluice.model.files import Origin
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.parts import Parts, Row
    from mediasluice.pipeline.watched import Watched

KINDS = {kind.value: kind for kind in Kind}


class Recorder:
    """The way into the catalogue for what was looked at."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def record(
        self, root: Watched, files: Sequence[IdentifiedFile], done: Callable[[Sequence[Verdict | None]], None]
    ) -> None:
        """Catalogue arrivals at once; ``done`` follows the commit, with ``None`` for what is looked at again."""
        at_us, post, reunions = now_us(), self._parts.post, self._parts.reunions

        def recorded(verdicts: Sequence[Verdict | None]) -> None:
            self.hurry(verdicts)

            def after() -> None:
                self.tell(root, files, verdicts)
                done(verdicts)

            post(after)

        self._parts.writer.express(lambda catalogue: reunions.record(catalogue, root, files, at_us), recorded)

    def hurry(self, verdicts: Iterable[Verdict | None]) -> None:
        """Have what stands inside files read soon: somebody just brought them."""
        self._parts.enricher.hurry(
            one.file for one in verdicts if one is not None and one.outcome is not Outcome.UNCHANGED
        )

    def note(self, root: Watched, rows: Sequence[Row], *, is_awaited: bool = True) -> None:
        """Record files that are not read; held ones are tracked, so that a stale one is noticed.

        What a pass found nobody waits for.
        """
        observed = [
            Observed(root.id, directory, name, ChangeKey(*key), links, Kind.OTHER, state, reason)
            for directory, name, key, links, state, reason in rows
        ]
        tracker = self._parts.tracker
        for directory, name, _, _, state, reason in rows:
            if state is FileState.HELD and not tracker.holds(root.id, directory, name):
                tracker.sight(Sighting(root.id, directory, name, What.LISTED, time.monotonic()))
            elif state not in (FileState.SETTLING, FileState.HELD):
                self.say(root, directory, name, state.value, reason=reason)
        at_us, importer = now_us(), self._parts.importer
        # Never bulk: what is recorded of the same file a moment later must not overtake it.
        self._parts.writer.express(
            lambda catalogue: importer.observe(catalogue, root, observed, at_us), is_awaited=is_awaited
        )

    def tell(self, root: Watched, files: Sequence[IdentifiedFile], verdicts: Sequence[Verdict | None]) -> None:
        """Log what became of files."""
        for file, verdict in zip(files, verdicts, strict=True):
            if verdict is None or verdict.outcome is Outcome.UNCHANGED:
                continue
            digest = file.digests.blake3.hex() if file.digests else None
            self.say(
                root,
                file.directory,
                file.name,
                verdict.outcome.value,
                file=verdict.file,
                version=verdict.version,
                size=file.key.size,
                blake3=digest,
            )
            if verdict.duplicate_of is not None:
                self.say(root, file.directory, file.name, "duplicate", of=verdict.duplicate_of, blake3=digest)

    def say_moved(self, root: Watched, old: tuple[bytes, bytes], new: tuple[bytes, bytes]) -> None:
        """Log that a file was renamed and nothing else."""
        self.say(root, *new, "moved", old_path=text(join(root.path, join(*old))))

    def warn(self, root: Watched, directory: bytes, name: bytes, event: str, **values: object) -> None:
        """Log something about a file that somebody may want to look after."""
        path = text(join(root.path, join(directory, name)))
        self._parts.log.warning(event, library=root.library, path=path, **values)

    def say(self, root: Watched, directory: bytes, name: bytes, event: str, **values: object) -> None:
        """Log something that happened to a file."""
        path = text(join(root.path, join(directory, name)))
        self._parts.log.info(event, library=root.library, path=path, **values)


def identified(
    root: RootId,
    directory: bytes,
    name: bytes,
    origin: Origin,
    outcome: tuple[Any, ...],
    old_directory: bytes | None = None,
    old_name: bytes | None = None,
) -> IdentifiedFile:
    """Turn a READY outcome into the value for the catalogue."""
    _, key, links, strong, kind, quick, digests, birth_ns = outcome
    return IdentifiedFile(
        root,
        directory,
        name,
        ChangeKey(*key),
        links,
        origin,
        strong,
        KINDS[kind],
        quick,
        None if digests is None else Digests(*digests),
        old_directory,
        old_name,
        birth_ns,
    )
