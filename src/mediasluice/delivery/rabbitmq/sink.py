"""The RabbitMQ sink: facts as the messages of Tracktion's file watcher, one after the other, confirmed.

A fact is delivered when the broker has confirmed all that it became. It is not its time yet while its content has no
SHA-256, while what stands inside sound and video is not read, and, before this sink was ever heard of, while nobody
listens: then nothing behind it is published either. What was told before is read anew for each batch, so the outcomes
of one have to be recorded before the next is handed over.

Takes facts, a view of the catalogue, a clock [s, monotonic]; gives outcomes. Fails with: SinkUnreachable, SinkRefused,
MissingExtra.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple, Protocol

from mediasluice.catalogue import outbox, telling
from mediasluice.catalogue.outbox import Announced, Fact
from mediasluice.catalogue.telling import Standing, Wanted
from mediasluice.catalogue.view import View
from mediasluice.delivery.rabbitmq.bodies import Sender, message, shown
from mediasluice.delivery.rabbitmq.options import Options, WaitFor
from mediasluice.delivery.rabbitmq.publisher import Fate, Message, Publisher, place_of
from mediasluice.delivery.rabbitmq.telling import ORIGINAL, PRESENT, Audience, News, Told
from mediasluice.delivery.sink import Outcome, Result, Traits
from mediasluice.model.events import EventType
from mediasluice.model.files import Kind

TRAITS = Traits(is_strict=True, batch=1000)  # measured: 6 % faster than 500; some windows of confirmations

SOON_S = 0.25  # chosen: the second pass is a moment behind
ASK_AGAIN_S = 60.0  # chosen: what was asked for may have ended without this one
DIGEST_S = 120.0  # chosen: the strict order keeps all others waiting meanwhile
LATER_S = 2.0  # chosen: a digest is read from the disk, a consumer is started
_PLAYED = frozenset({Kind.AUDIO, Kind.VIDEO})
_TOLD_WHEN_READ = frozenset({EventType.FILE_CREATED, EventType.FILE_MODIFIED, EventType.FILE_DUPLICATE})
_NOT_SENT = "a message before it was not confirmed"


class _Wait(NamedTuple):
    """Why it is not the time of a fact yet."""

    reason: str
    after_s: float


class _Mark(NamedTuple):
    """Of a message: which fact it comes from, and its routing key."""

    fact: int
    key: str


class Publishes(Protocol):
    """What publishes messages: a ``Publisher``."""

    why: str | None

    def open(self) -> None: ...

    def publish(self, drafts: Sequence[Callable[[], Message]]) -> list[Fate]: ...

    def close(self) -> None: ...


class RabbitSink:
    """See the module. ``missing_digest`` has the SHA-256 of a fact's content read; it is asked once for each."""

    def __init__(
        self,
        name: str,
        options: Options,
        open_view: Callable[[], AbstractContextManager[View]],
        clock: Callable[[], float],
        missing_digest: Callable[[Fact], None],
        publisher: Publishes | None = None,
    ) -> None:
        self._name = name
        self._options = options
        self._open_view = open_view
        self._clock = clock
        self._missing_digest = missing_digest
        self._publisher: Publishes = Publisher(options) if publisher is None else publisher
        self._sender = Sender(options.instance_id, options.metadata_style)
        self._seen: dict[int, float] = {}  # when facts that are not delivered were handed over first
        self._asked: dict[int, float] = {}  # of these, when their digest was asked for last
        self._is_heard: bool | None = None  # whether somebody ever got a message; ``None``: not known yet
        self.unroutable = 0  # messages that no queue wanted, since this process started
        self.unroutable_reason: str | None = None

    def open(self) -> None:
        """Connect anew."""
        self._publisher.open()

    def close(self) -> None:
        """Disconnect."""
        self._publisher.close()

    def deliver(self, facts: Sequence[Fact]) -> Sequence[Outcome]:
        """Publish what the facts become; see the module."""
        now = self._clock()
        self._seen = {fact.event.seq: self._seen.get(fact.event.seq, now) for fact in facts}
        self._asked = {seq: at for seq, at in self._asked.items() if seq in self._seen}
        with self._open_view() as view:
            known = view.ask(telling.standing, [_wanted(fact) for fact in facts])
            ready, wait = self._ready(facts, known, now)
            told = self._tell(view, facts[:ready], known)
            drafts, marks = self._drafts(view, facts, known, told)
            if self._is_heard is None:
                self._is_heard = view.ask(telling.is_told_of_any, self._name)
        fates = self._publish(drafts) if drafts else []
        return self._outcomes(facts, told, marks, fates, wait)

    # -- what it is time for --------------------------------------------------------------------------

    def _ready(self, facts: Sequence[Fact], known: Sequence[Standing], now: float) -> tuple[int, _Wait | None]:
        """How many facts from the first on can be told now, and what the next one waits for."""
        for number, (fact, one) in enumerate(zip(facts, known, strict=True)):
            if fact.event.type in PRESENT:
                wait = self._wait(fact, one, now)
                if wait is not None:
                    return number, wait
        return len(facts), None

    def _wait(self, fact: Fact, known: Standing, now: float) -> _Wait | None:
        seq = fact.event.seq
        if not _is_whole(known) and (known.is_held if known.content is not None else known.is_now):
            if now - self._asked.get(seq, -ASK_AGAIN_S) >= ASK_AGAIN_S:
                self._missing_digest(fact)
                self._asked[seq] = now
            if now - self._seen[seq] < DIGEST_S:  # its disk may be away for days: then it is told without
                return _Wait(f"the SHA-256 of {shown(fact.event.path)[0]} is not there yet", LATER_S)
        is_unread = known.state is None and known.is_now and fact.kind in _PLAYED and fact.event.type in _TOLD_WHEN_READ
        if is_unread and self._options.wait_for is WaitFor.METADATA:
            left_s = self._seen[seq] + self._options.wait_limit_s - now
            if left_s > 0:
                return _Wait(f"what stands inside {shown(fact.event.path)[0]} is not read yet", min(SOON_S, left_s))
        return None

    # -- what it becomes ------------------------------------------------------------------------------

    def _tell(self, view: View, facts: Sequence[Fact], known: Sequence[Standing]) -> list[Told]:
        if not facts:
            return []
        held = [_held(fact, one) for fact, one in zip(facts, known, strict=False)]
        audience = Audience(self._told_before(view, facts, held), self._options.duplicates)
        return [audience.tell(fact, content) for fact, content in zip(facts, held, strict=True)]

    def _told_before(self, view: View, facts: Sequence[Fact], held: Sequence[int | None]) -> Collection[Announced]:
        """What was told and may matter for these facts."""
        files = {fact.file for fact in facts if fact.file is not None}
        paths = {fact.event.path for fact in facts if fact.event.type in PRESENT}
        own = view.ask(outbox.announced, self._name, files)
        others = view.ask(telling.told_at, self._name, paths) if paths else []
        told = own | {one.file: one for one in others}
        contents = {content for content in held if content is not None} | {
            one.content for one in told.values() if one.content is not None
        }
        most = len(facts) + len(told) + 1  # more than these can change
        if contents:
            originals = view.ask(telling.told_of, self._name, contents, ORIGINAL, most)
            told |= {one.file: one for one in originals}
        lost = _may_lose_originals(facts, held, told)
        if lost:
            before = facts[0].event.seq - 1
            copies = view.ask(telling.told_otherwise, self._name, lost, ORIGINAL, before, most)
            told |= {one.file: one for one in copies}
        return told.values()

    def _drafts(
        self, view: View, facts: Sequence[Fact], known: Sequence[Standing], told: Sequence[Told]
    ) -> tuple[list[Callable[[], Message]], list[_Mark]]:
        """The messages in their order, to be written when they are published, and whose they are."""
        pairs = [(number, identity, news) for number, one in enumerate(told) for identity, news in one.news]
        strangers = [
            Wanted(news.file, None, news.content)
            for number, _, news in pairs
            if not _is_about(facts[number], known[number], news)
        ]
        others = iter(view.ask(telling.standing, strangers) if strangers else ())
        drafts: list[Callable[[], Message]] = []
        marks = [_Mark(number, f"file.{news.what}") for number, _, news in pairs]
        for mark, (number, identity, news) in zip(marks, pairs, strict=True):
            fact, one = facts[number], known[number]
            beside = one if _is_about(fact, one, news) else next(others)
            drafts.append(partial(message, mark.key, identity, news, fact, beside, self._sender))
        return drafts, marks

    # -- what became of it ----------------------------------------------------------------------------

    def _publish(self, drafts: Sequence[Callable[[], Message]]) -> list[Fate]:
        """Publish; while nobody was ever heard to listen, the first message goes alone to find out."""
        fates: list[Fate] = []
        if not self._is_heard:
            fates = self._publisher.publish(drafts[:1])
            if fates != [Fate.CONFIRMED]:
                return fates + [Fate.UNKNOWN] * (len(drafts) - 1)
            self._is_heard = True
        if len(drafts) > len(fates):
            fates += self._publisher.publish(drafts[len(fates) :])
        return fates

    def _outcomes(
        self,
        facts: Sequence[Fact],
        told: Sequence[Told],
        marks: Sequence[_Mark],
        fates: Sequence[Fate],
        wait: _Wait | None,
    ) -> list[Outcome]:
        """One outcome for each fact: those before the first that is not through are delivered."""
        worst = next((number for number, fate in enumerate(fates) if not self._is_through(fate)), None)
        end = len(told) if worst is None else marks[worst].fact
        self._count_unroutable(
            [mark.key for mark, fate in zip(marks, fates, strict=True) if fate is Fate.UNROUTABLE and mark.fact < end]
        )
        outcomes = [Outcome(Result.DELIVERED, announced=one.announced) for one in told[:end]]
        reason, after_s = (_NOT_SENT, None) if wait is None else wait
        if worst is not None:
            outcomes.append(self._not_through(fates[worst], marks[worst].key))
            reason, after_s = outcomes[-1].reason or _NOT_SENT, outcomes[-1].after_s
        return outcomes + [Outcome(Result.LATER, reason, after_s)] * (len(facts) - len(outcomes))

    def _is_through(self, fate: Fate) -> bool:
        return fate is Fate.CONFIRMED or (fate is Fate.UNROUTABLE and bool(self._is_heard))

    def _not_through(self, fate: Fate, key: str) -> Outcome:
        place = place_of(self._options)
        if fate is Fate.NACKED:
            return Outcome(Result.FAILED, f"{place}: the broker could not keep it; see its log")
        if fate is Fate.UNROUTABLE:
            return Outcome(Result.LATER, _nobody(self._options.exchange, key), LATER_S)
        return Outcome(Result.LATER, self._publisher.why or f"{place}: it was not confirmed")

    def _count_unroutable(self, keys: Sequence[str]) -> None:
        if keys:
            self.unroutable += len(keys)
            self.unroutable_reason = _nobody(self._options.exchange, keys[-1])


def _nobody(exchange: str, key: str) -> str:
    return f"no queue is bound to exchange {exchange} for key {key}"


def _wanted(fact: Fact) -> Wanted:
    return Wanted(fact.file, fact.version, fact.content)


def _is_whole(known: Standing) -> bool:
    """Whether all digests are there that a message carries."""
    return known.content is not None and known.sha256 is not None


def _held(fact: Fact, known: Standing) -> int | None:
    """The content to tell of; ``None`` where it never can be, because nobody has it any more."""
    return known.content if fact.event.type in PRESENT and _is_whole(known) else None


def _is_about(fact: Fact, known: Standing, news: News) -> bool:
    """Whether what is known beside a fact is what the news say."""
    return fact.file == news.file and (news.what == "deleted" or known.content == news.content)


def _may_lose_originals(facts: Sequence[Fact], held: Sequence[int | None], told: Mapping[int, Announced]) -> set[int]:
    """The contents whose original may be gone, or hold something else, after these facts."""
    holding = {file: {one.content} for file, one in told.items()}
    at: dict[bytes, set[int]] = {}
    for one in told.values():
        at.setdefault(one.path, set()).add(one.file)
    lost: set[int] = set()
    for fact, content in zip(facts, held, strict=True):
        if fact.file is None:
            continue
        if fact.event.type is EventType.FILE_DELETED:
            lost.add(fact.file)
        elif fact.event.type in PRESENT:
            at.setdefault(fact.event.path, set()).add(fact.file)
            if content is not None:
                holding.setdefault(fact.file, set()).add(content)
    lost |= {file for files in at.values() if len(files) > 1 for file in files}
    lost |= {file for file, contents in holding.items() if len(contents) > 1}
    return {content for file in lost for content in holding.get(file, ()) if content is not None}
