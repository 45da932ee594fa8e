"""Make what belongs to contents beside their readings: previews of items, essences, and on request likenesses.

One thread, when nothing else is to be read: it looks up which contents lack a product, has isolated processes make
it, and records it or why it cannot be. The catalogue is the queue; a crash loses only what was being made.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mediasluice.catalogue import products
from mediasluice.catalogue.products import Likeness, Product, Search, Streams
from mediasluice.catalogue.rows import storable
from mediasluice.identify.previews import Previews, clear_parts, is_stored, store
from mediasluice.model.files import Kind
from mediasluice.model.flow import RootId
from mediasluice.model.paths import text
from mediasluice.model.roots import RootState
from mediasluice.pipeline.isolation import AS_IT_IS, Chunk, Code, Isolation
from mediasluice.pipeline.writer import Abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from mediasluice.catalogue.products import Lack
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer

BATCH = 64  # contents of one transaction, chosen: seconds of work, so that little is made twice after a crash
CHUNK = 8  # contents that one process is given at once, chosen: so that all of them end at about the same time
PUT_OFF_S = 300.0  # chosen: what could not be read is tried again after that
PUT_OFF_MAX = 10_000  # contents, chosen: the others are tried by the next run
PAUSE_S = 2.0  # chosen: how often is looked for items that lack a preview
_NO_ROOT = RootId(0)

VERSIONS: Mapping[str, int] = {products.PREVIEW: 1, products.ESSENCE: 1, products.LIKENESS: 1}
"""Raised whenever a product is made otherwise: those of an older version are made anew."""

KINDS: Mapping[str, frozenset[Kind]] = {
    products.PREVIEW: frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO}),
    products.ESSENCE: frozenset({Kind.AUDIO, Kind.VIDEO}),
    products.LIKENESS: frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO}),
}
DEADLINES: Mapping[str, float | None] = {  # seconds; ``None``: as for readings
    products.PREVIEW: None,
    products.ESSENCE: 1_200.0,  # seconds, chosen: every byte is read, and a film has 100 GB
    products.LIKENESS: 300.0,  # seconds, chosen: some scenes are decoded
}
KILLS = 3  # chosen: so often, from the second time on alone, and it is the file that takes all memory
NONSENSE = (TypeError, ValueError, OverflowError, MemoryError)
"""What a value of unknown origin fails with when it is taken for what it should be."""

STATES = {
    Code.FAILED: products.REFUSED,
    Code.MISTAKEN: products.REFUSED,
    Code.TIMED_OUT: products.TIMED_OUT,
    Code.CRASHED: products.CRASHED,
}


def hears() -> bool:
    """Whether there is the program without which sounds have no fingerprint; without it none is made."""
    return shutil.which("fpcalc") is not None


@dataclass(slots=True)
class Progress:
    """How far a request is."""

    found: int = 0  # contents that lacked it when it began
    done: int = 0  # contents that were tried
    refused: int = 0
    left: int = 0  # could not be read now
    is_ended: bool = False


class Options(NamedTuple):
    """What is made of all there is: previews of ``items``, ``files`` or ``none``, essences of files of these kinds."""

    previews: str = "none"
    essences: frozenset[Kind] = frozenset()


@dataclass(slots=True)
class _Standing:
    """A product that is made of all there is, and of what comes, when nothing else is to be read."""

    what: str
    kinds: frozenset[Kind]
    of_items: bool
    checked: int | None  # what was made of contents up to this one is known to be there; ``None``: all is
    sweep: Iterator[list[Lack]] | None = None  # over all that there was at the start
    event: int = 0  # what events up to this one brought has it, or is of the sweep
    put_off: dict[int, float] = field(default_factory=dict)  # contents that could not be read: try again [monotonic s]


class _Round(NamedTuple):
    """What came of a batch."""

    products: list[Product]
    streams: list[Streams]
    likenesses: list[Likeness]


class Maker:
    """The products of one host. Build it, then :meth:`start`."""

    def __init__(
        self,
        data: bytes,
        open_view: Callable[[], View],
        writer: Writer,
        isolation: Callable[[Callable[[], None], float | None], Isolation],
        log: Log,
        *,
        options: Options,
        is_free: Callable[[], bool],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Connect. ``data``: its directory; ``is_free``: whether nothing else is to be read."""
        self._data = data
        self._open_view = open_view
        self._writer = writer
        self._answered = threading.Event()
        self._isolations = {what: isolation(self._answered.set, deadline_s) for what, deadline_s in DEADLINES.items()}
        self._log = log
        self._standing: list[_Standing] = []
        if options.previews != "none":
            kinds = kinds_of(products.PREVIEW)
            self._standing.append(_Standing(products.PREVIEW, kinds, of_items=options.previews == "items", checked=0))
        if options.essences:
            self._standing.append(_Standing(products.ESSENCE, options.essences, of_items=False, checked=None))
        self._is_free = is_free
        self._failed = failed
        self._roots: Mapping[RootId, Watched] = {}
        self._kills: Counter[int] = Counter()  # contents whose processes were killed, and how often
        self._lost: set[RootId] = set()  # roots of which nothing is read now
        self._requests: dict[str, Progress] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="maker")

    # -- for other threads ------------------------------------------------------------------------

    def start(self, roots: Mapping[RootId, Watched]) -> None:
        """Begin."""
        self._roots = roots
        self._thread.start()

    def stop(self) -> None:
        """End; what is being made is made by the next run. Before the writer is closed."""
        self._stopping = True
        self._wake.set()
        self._answered.set()
        if self._thread.is_alive():
            self._thread.join()
        for isolation in self._isolations.values():
            isolation.close()

    def request(self, what: str) -> Progress:
        """Have a product made of all contents that lack it; gives what tells how far that is."""
        progress = self._requests.get(what)
        if progress is None:
            progress = self._requests[what] = Progress()
            self._wake.set()
        return progress

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with suppress(OSError):  # what is left behind only takes room
                clear_parts(self._data)
            with self._open_view() as view:
                while not self._stopping:
                    self._wake.clear()
                    if not self._round(view):
                        self._wake.wait(PAUSE_S)
        except Abandoned:
            pass  # the catalogue cannot be written while this process ends
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._failed(error)

    def _round(self, view: View) -> bool:
        """Make a few products; gives whether there may be more to do."""
        for what in list(self._requests):
            self._fulfil(view, what)
        return self._is_free() and any(self._keep_up(view, standing) for standing in self._standing)

    def _keep_up(self, view: View, standing: _Standing) -> bool:
        """Make a few of those that are lacking; gives whether there may be more."""
        if standing.sweep is None:
            standing.event = view.head()
            standing.sweep = self._all_lacking(view, standing)
        lacks = next(standing.sweep, None)
        if lacks is None:
            lacks = self._news(view, standing)
        if lacks is None:
            return self._check(view, standing)
        made = {product.content for product in self._make(standing.what, lacks)}
        for lack in lacks:
            if lack.content not in made and len(standing.put_off) < PUT_OFF_MAX:
                standing.put_off[lack.content] = time.monotonic() + PUT_OFF_S
        return True

    def _all_lacking(self, view: View, standing: _Standing) -> Iterator[list[Lack]]:
        """Look through everything once, a batch at a time."""
        after = 0
        while lacks := self._lacking(
            view, _search(standing.what, after, None, standing.kinds), of_items=standing.of_items
        ):
            after = lacks[-1].content
            yield lacks
        after = 0
        while lacks := self._stored(view, standing, after):
            after = lacks[-1].content
            yield lacks

    def _news(self, view: View, standing: _Standing) -> list[Lack] | None:
        """What lacks it of what arrived since, or is to be tried again; ``None``: nothing new is there."""
        event, contents = view.contents_told(standing.event, BATCH, of_items=standing.of_items)
        now_s = time.monotonic()
        again = [content for content, due_s in standing.put_off.items() if due_s <= now_s][:BATCH]
        if event == standing.event and not again:
            return None
        standing.event = event
        for content in again:
            del standing.put_off[content]
        among = {*contents, *again}
        search = _search(standing.what, 0, among, standing.kinds)
        lacks = self._lacking(view, search, of_items=standing.of_items)
        return lacks + self._stored(view, standing, 0, among)

    def _stored(self, view: View, standing: _Standing, after: int, among: Collection[int] | None = None) -> list[Lack]:
        """Likewise, of what only import targets have; their files do not come back as others."""
        if standing.what == products.ESSENCE:
            return []
        return view.stored_lacking(_search(standing.what, after, among, standing.kinds))

    def _check(self, view: View, standing: _Standing) -> bool:
        """See whether previews that were made are still there: nothing was synced, and people tidy up."""
        if standing.checked is None:
            return False
        made = view.made(products.PREVIEW, standing.checked, BATCH)
        standing.checked = made[-1][0] if made else None
        gone = [content for content, blake3 in made if not is_stored(self._data, blake3)]
        if gone:
            self._write(lambda catalogue: catalogue.forget_products(products.PREVIEW, gone))
            standing.put_off.update(dict.fromkeys(gone, 0.0))
        return bool(made)

    def _fulfil(self, view: View, what: str) -> None:
        progress, after = self._requests[what], 0
        progress.found = view.count_lacking(_search(what, 0), self._present())
        while not self._stopping and (lacks := self._lacking(view, _search(what, after), of_items=False)):
            after = max(lack.content for lack in lacks)
            made = self._make(what, lacks)
            progress.done += len(lacks)
            progress.refused += sum(product.state != products.MADE for product in made)
            progress.left += len(lacks) - len(made)
        del self._requests[what]
        progress.is_ended = True

    def _lacking(self, view: View, search: Search, *, of_items: bool) -> list[Lack]:
        return view.lacking(search, self._present(), of_items=of_items)

    def _present(self) -> list[RootId]:
        return [number for number, root in list(self._roots.items()) if root.state is not RootState.OFFLINE]

    def _make(self, what: str, lacks: Sequence[Lack]) -> list[Product]:
        """Have products made and record them; gives those of which it is known now what they are."""
        isolation, count = self._isolations[what], 0
        chunks = _chunks([lack for lack in lacks if lack.content not in self._kills])
        chunks += [chunk for lack in lacks if lack.content in self._kills for chunk in _chunks([lack])]
        roots = {root for root, _, _ in chunks if root is not None}
        self._heed(roots)
        for root, path, part in chunks:
            files = [(one.directory, one.name, self._key(one), (one.kind.value, one.found)) for one in part]
            known = None if root is None else self._roots.get(root)
            follows = known is not None and known.spec.follow_files
            chunk = Chunk(part, what, root or _NO_ROOT, path, files, follows)
            isolation.submit(chunk, alone=part[0].content in self._kills)
            count += 1
        result = _Round([], [], [])
        while count and not self._stopping:
            if not self._answered.wait(PAUSE_S):
                self._heed(roots)
            self._answered.clear()
            for answer in isolation.drain():
                count -= 1
                if answer.failure is not None:
                    self._log.error("worker_bug", detail=answer.failure, next="please report this")
                part = answer.token  # type: ignore[assignment]
                for number, (lack, (code, value)) in enumerate(zip(part, answer.outcomes, strict=True)):
                    if code is Code.MISTAKEN:
                        note = answer.notes.get(number, "")
                        self._log.error("worker_bug", path=_shown(lack), detail=note, next="please report this")
                    self._came_out(what, lack, code, value, result)
        if any(result):
            version = VERSIONS[what]
            self._write(lambda catalogue: catalogue.save_products(what, version, *result))
        return result.products

    def _heed(self, roots: Collection[RootId]) -> None:
        """Wait for nothing on those of these roots that do not answer any more, or are let go."""
        present = set(self._present())
        for isolation in self._isolations.values():
            for root in self._lost & present:
                isolation.trust(root)
            for root in {*roots} - present:
                isolation.give_up(root)
        self._lost = (self._lost | {*roots}) - present

    def _key(self, lack: Lack) -> tuple[int, int, int, int]:
        """What the file has to be to be the one that is meant; at a target, where nobody else writes, as it is."""
        if lack.key is None:
            return AS_IT_IS
        ino, size, mtime_ns, ctime_ns = lack.key
        root = None if lack.root is None else self._roots.get(lack.root)
        return (ino if root is not None and root.spec.stable_inodes else 0, size, mtime_ns, ctime_ns)

    def _came_out(self, what: str, lack: Lack, code: Code, value: object, result: _Round) -> None:
        """One product was made, or not; what comes from the other side of the pipe is believed as far as it can be."""
        state = products.CRASHED if code is Code.KILLED and self._is_its_fault(lack) else STATES.get(code)
        reason = value if isinstance(value, str) else None
        if code is Code.READ:
            try:
                state, reason = products.MADE, self._made(what, lack, value, result)
            except NONSENSE:
                state, reason = products.REFUSED, "what was made of it makes no sense"
            except OSError as error:
                self._log.warning("not_stored", what=what, reason=str(error), next="it is tried again later")
                return
        if state is None:
            return
        self._kills.pop(lack.content, None)
        result.products.append(Product(lack.content, state, reason))
        if state in (products.TIMED_OUT, products.CRASHED):
            self._log.warning("not_made", what=what, path=_shown(lack), reason=reason)

    def _is_its_fault(self, lack: Lack) -> bool:
        """Whether the processes that read a content were killed so often that it is no chance; else it is put off."""
        self._kills[lack.content] += 1
        is_its_fault = self._kills[lack.content] >= KILLS
        if is_its_fault or len(self._kills) > PUT_OFF_MAX:
            del self._kills[lack.content]
        return is_its_fault

    def _made(self, what: str, lack: Lack, value: Any, result: _Round) -> str | None:  # noqa: ANN401 - of unknown origin
        """Keep what was made; gives what is wrong with it all the same."""
        if what == products.PREVIEW:
            small, large, width, height, note = value
            if not (type(small) is type(large) is bytes):
                raise TypeError
            store(self._data, lack.blake3, Previews(small, large, int(width), int(height)))
            return None if note is None else str(note)
        if what == products.ESSENCE:
            result.streams.append(Streams(lack.content, streams_of(value)))
        else:
            result.likenesses.append(Likeness(lack.content, *looks_of(value)))
        return None

    def _write(self, change: Callable[[Catalogue], None]) -> None:
        self._writer.call(change, abandon=lambda: self._stopping, is_bulk=True)


def _shown(lack: Lack) -> str:
    return text(b"/".join(filter(None, (lack.path.rstrip(b"/"), lack.directory, lack.name))))


def _search(
    what: str, after: int, among: Collection[int] | None = None, kinds: frozenset[Kind] | None = None
) -> Search:
    return Search(what, VERSIONS[what], kinds_of(what) if kinds is None else kinds, after, BATCH, among)


def kinds_of(what: str) -> frozenset[Kind]:
    """The kinds of files of which a product can be made here."""
    if what == products.LIKENESS and not hears():  # sounds are not refused: the program may come
        return KINDS[what] - {Kind.AUDIO}
    return KINDS[what]


def streams_of(value: Any) -> list[tuple[str, str, bytes, float | None]]:  # noqa: ANN401 - of unknown origin
    """What the verb ``essence`` gave, where it makes sense; else fails with one of :data:`NONSENSE`."""
    found = [(kind, codec, digest, _seconds(span)) for kind, codec, digest, span in value]
    if any((type(kind), type(codec), type(digest)) != (str, str, bytes) for kind, codec, digest, _ in found):
        raise TypeError
    return [(storable(kind) or "", storable(codec) or "", digest, span) for kind, codec, digest, span in found]


def looks_of(value: Any) -> tuple[bytes | None, bytes | None, float | None]:  # noqa: ANN401 - as above
    """What the verb ``likeness`` gave, likewise."""
    pictures, sound, duration = value
    if not {type(pictures), type(sound)} <= {bytes, type(None)}:
        raise TypeError
    return pictures, sound, _seconds(duration)


def _seconds(value: Any) -> float | None:  # noqa: ANN401 - as above
    return None if value is None else float(value)


def _chunks(lacks: Sequence[Lack]) -> list[tuple[RootId | None, bytes, list[Lack]]]:
    """Contents that one process can be given together: of one root, a few of them."""
    by_root: dict[tuple[RootId | None, bytes], list[Lack]] = {}
    for lack in lacks:
        by_root.setdefault((lack.root, lack.path), []).append(lack)
    return [
        (root, path, part[start : start + CHUNK])
        for (root, path), part in by_root.items()
        for start in range(0, len(part), CHUNK)
    ]
