"""Ask sources outside of the files what they know of contents that were read: last of all, and nobody waits for it.

Each source has a thread and is asked one question at a time. What was just read goes first, then what it could not
answer, then what was there before. An answer is recorded at once, also that it knows nothing, and the source is not
asked again about that content; a failure is tried again with growing waits. A source that fails again and again is
left alone for a while. The catalogue is the queue; a crash loses the answer that was under way.
Fails with: nothing of a source; the first error of the catalogue is handed to ``failed``.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.catalogue.externals import Told
from mediasluice.identify.external import tags_of
from mediasluice.model.media import from_json
from mediasluice.model.paths import text
from mediasluice.pipeline.writer import Abandoned, now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mediasluice.catalogue.externals import Question
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.identify.external import Program
    from mediasluice.model.files import Kind
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.writer import Writer

PAUSE_S = 2.0  # chosen: how often is looked for what is to be asked again
WINDOW = 2_000  # readings that are looked through at once, chosen: a few milliseconds
HEARD_MAX = 10_000  # contents, chosen: beyond, all that was read is looked through once more
UNHELD_S = 600.0  # chosen: a file that was renamed or written when it was its turn is itself again by then
LEAVE_S = 5.0  # chosen: a source ends within a second, unless its command lies on a disk that hangs
AGAIN_S = 60.0  # chosen: the first wait of a content about which a source failed; it doubles
AGAIN_MAX_S = 86_400.0  # chosen: a program that fails on one file may be mended


class External(NamedTuple):
    """A source as it is asked."""

    source: Program
    kinds: frozenset[Kind]


class Asker:
    """The thread of one source. ``place``: among all sources."""

    def __init__(
        self,
        external: External,
        place: int,
        open_view: Callable[[], View],
        writer: Writer,
        log: Log,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._source, self._kinds = external
        self._place = place
        self._open_view = open_view
        self._writer = writer
        self._log = log
        self._failed = failed
        self._heard: deque[int] = deque()  # contents that were just read
        self._found: deque[int] = deque()  # contents that were there before
        self._after = 0  # contents up to this one were looked through
        self._is_through = False
        self._is_missed = False  # more was read than is kept in mind
        self._is_turn = True  # of those that failed, before those that were never asked about
        self._again_s: float | None = None  # when is looked for those that nobody held for a moment [monotonic s]
        self._wake = threading.Event()
        self._stopping = threading.Event()
        # A daemon: a command on a disk that hangs is begun for ever, and no deadline ends that.
        self._thread = threading.Thread(target=self._run, name=f"asker-{self._source.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hear(self, contents: Collection[int]) -> None:
        """These were read; from any thread."""
        if len(self._heard) < HEARD_MAX:
            self._heard.extend(contents)
        else:
            self._is_missed = True
        self._wake.set()

    def leave(self) -> None:
        """End soon: what is asked now is asked again by the next run."""
        self._stopping.set()
        self._wake.set()
        self._source.end()

    def join(self) -> None:
        """Wait for the end; who hangs is left behind, and writes nothing any more."""
        if self._thread.is_alive():
            self._thread.join(LEAVE_S)

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._open_view() as view:
                while not self._stopping.is_set():
                    if (rests_s := self._source.rests_s) > 0:
                        self._stopping.wait(rests_s)
                    elif (again := self._due(view)) is not None:
                        self._is_turn = False  # or those that always fail leave no time for the others
                        self._ask(view, again, is_again=True)
                    elif (content := self._next(view)) is not None:
                        self._is_turn = True
                        self._ask(view, content)
                    elif not self._is_turn:
                        self._is_turn = True
                    else:
                        self._wake.wait(PAUSE_S)
                        self._wake.clear()
        except Abandoned:
            pass  # the catalogue cannot be written while this process ends
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._failed(error)

    def _due(self, view: View) -> int | None:
        """The content that is to be asked about again."""
        return view.external_due(self._source.name, now_us()) if self._is_turn and not self._heard else None

    def _next(self, view: View) -> int | None:
        """The next content that was never asked about."""
        if self._heard:
            return self._heard.popleft()
        is_late = self._again_s is not None and time.monotonic() >= self._again_s
        if (self._is_missed or is_late) and self._is_through:
            self._is_missed = self._is_through = False
            self._after, self._again_s = 0, None
        while not self._found and not self._is_through and not self._stopping.is_set():
            upto, found = view.external_lacking(self._source.name, self._kinds, self._after, WINDOW)
            self._is_through, self._after = upto == self._after, upto
            self._found.extend(found)
        return self._found.popleft() if self._found else None

    def _ask(self, view: View, content: int, *, is_again: bool = False) -> None:
        name = self._source.name
        question = view.external_question(content, name)
        if question is None or question.kind not in self._kinds:
            if question is None and self._again_s is None:  # it is on its way, perhaps
                self._again_s = time.monotonic() + UNHELD_S
            if is_again:  # nobody holds it any more
                self._write(lambda catalogue: catalogue.drop_external(content, name))
            return
        found = self._source.look_up(about(question))
        if self._stopping.is_set():
            return
        reason, at_us = self._source.reason, now_us()
        told = Told(content, name, self._place, None, 0, None, None)
        if reason is not None:
            wait_s = min(AGAIN_S * 2.0 ** min(question.tries, 20), AGAIN_MAX_S)
            told = told._replace(tries=question.tries + 1, due_us=at_us + int(wait_s * 1e6), reason=reason)
            self._tell(question, reason)
        elif found is not None and (tags := tags_of(found)):
            told = told._replace(found=json.dumps(tags))
        self._write(lambda catalogue: catalogue.save_external(told, at_us))

    def _write(self, change: Callable[[Catalogue], None]) -> None:
        self._writer.call(change, abandon=self._stopping.is_set, is_bulk=True)

    def _tell(self, question: Question, reason: str) -> None:
        name, rests_s = self._source.name, self._source.rests_s
        if rests_s > 0:
            self._log.warning("source_paused", source=name, reason=reason, next=f"left alone for {rests_s:.0f} s")
        else:
            self._log.info("source_failed", source=name, path=text(question.path), reason=reason)


class Asking:
    """All sources of a host."""

    def __init__(
        self, open_view: Callable[[], View], writer: Writer, log: Log, failed: Callable[[BaseException], None]
    ) -> None:
        self._parts = (open_view, writer, log, failed)
        self._askers: list[Asker] = []

    def start(self, sources: Sequence[External]) -> None:
        """Ask these; what others said is forgotten."""
        open_view, writer, _, _ = self._parts
        names = [one.source.name for one in sources]
        with open_view() as view:
            is_other = any((place, name) not in enumerate(names) for name, place in view.external_sources())
        if is_other:
            writer.call(lambda catalogue: catalogue.keep_externals(names))
        self._askers = [Asker(one, place, *self._parts) for place, one in enumerate(sources)]
        for asker in self._askers:
            asker.start()

    def stop(self) -> None:
        """End all, while the writer still works."""
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.leave()
        for asker in askers:
            asker.join()

    def replace(self, sources: Sequence[External]) -> None:
        """Ask others from now on."""
        self.stop()
        self.start(sources)

    def hear(self, contents: Collection[int]) -> None:
        """These contents were read; from any thread."""
        for asker in self._askers:
            asker.hear(contents)


def about(question: Question) -> Mapping[str, object]:
    """What a source is told of a file; bytes of a path that are no text are lone surrogates."""
    reading = from_json(question.found)
    known = {name: value for name, value in reading.tags._asdict().items() if value is not None}
    media = {name: value for name, value in reading.media._asdict().items() if value is not None}
    return {
        "path": text(question.path),
        "kind": question.kind.value,
        "mime": reading.mime,
        "size": question.size,
        "digests": {name: digest.hex() for name, digest in question.digests.items()},
        "tags": known,
        "media": media,
    }
