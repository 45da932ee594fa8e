"""A sink that tells people: by Apprise, to phones, mail and chats, a digest of what happened and some of it at once.

Takes facts as they come. What ``at_once`` names is told within seconds; of all else a digest is told when its window is
over: how many of what, by library, with some names. Until then those facts are LATER, so the cursor stays behind them
and a restart forgets none. A window ends early when FULL facts wait. What was there when a library was new is no news.

Addresses are told one by one; one that has a message does not get it again because another one failed. Every call of
Apprise runs in a thread with an end. Addresses hold secrets: texts name them by their place and their service, and
what Apprise logs about them is not passed on.
Fails with: MissingExtra, SinkRefused (an address that cannot work, or is turned down), SinkUnreachable.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.envelope import valid
from mediasluice.delivery.sink import DELIVERED, Outcome, Result, Traits
from mediasluice.errors import MissingExtra, SinkRefused, SinkUnreachable
from mediasluice.model.events import Event, EventType
from mediasluice.model.files import Origin

if TYPE_CHECKING:
    from apprise import NotifyBase

TRAITS = Traits(is_strict=False, concurrency=1, batch=1_000)
FULL = 1_000  # facts that wait at most, chosen: they are the read-ahead of the sink, and urgent ones come behind them
GAP_S = 10.0  # chosen: between two messages that are sent at once; what comes meanwhile is told together
TOLD_MAX = 20 * FULL  # facts, chosen: a megabyte; what is told is handed over once more within AGAIN_S
AGAIN_S = 15.0  # chosen: a digest may be told before its time, and then room is made for the next one
NAMES = 3  # of each sort in a digest, chosen: a phone shows few lines
LINES = 8  # of a message that is sent at once
WIDTH = 200  # characters of a line
TICK_S = 0.1  # chosen: how soon it is noticed that the sink is closed


class Urgency(StrEnum):
    """What may be told at once."""

    HELD = "held"  # a root is there and too much of it is missing
    FAILED = "failed"  # a file was refused, or a rendition cannot be made
    OFFLINE = "offline"  # a root went away, or is back


_WORDS: Mapping[EventType, str] = {
    EventType.FILE_CREATED: "new",
    EventType.FILE_MODIFIED: "changed",
    EventType.FILE_DELETED: "deleted",
    EventType.FILE_MOVED: "moved",
    EventType.FILE_RENAMED: "renamed",
    EventType.FILE_DUPLICATE: "duplicate",
    EventType.FILE_ATTRIBUTES: "with other attributes",
    EventType.FILE_JUNK: "junk",
    EventType.ITEM_IMPORTED: "imported",
    EventType.ITEM_UPDATED: "updated",
    EventType.ITEM_JOINED: "joined",
    EventType.ITEM_REFUSED: "refused",
    EventType.ITEM_CHANGED: "edited",
    EventType.ITEM_DELETED: "removed",
    EventType.ITEM_RENDITION: "rendered",
    EventType.ROOT_OFFLINE: "offline",
    EventType.ROOT_ONLINE: "online again",
    EventType.ROOT_HELD: "held",
}


@dataclass(frozen=True, slots=True)
class Options:
    """Whom to tell, and when."""

    urls: tuple[str, ...] = field(repr=False)
    digest_s: float = 300.0  # from the first fact of a digest until it is told
    at_once: frozenset[Urgency] = frozenset(Urgency)
    timeout_s: float = 30.0  # for one message to one address


class _Message(NamedTuple):
    title: str
    body: str
    is_warning: bool


class _Failure(NamedTuple):
    """A message that did not arrive. ``status``: the HTTP status that Apprise logged."""

    address: str
    status: int | None

    def __str__(self) -> str:
        how = "does not take it" if self.status is None else f"answered {self.status}"
        return f"{self.address} {how}"


class Notify:
    """The sink. ``clock`` gives seconds that never go back."""

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self._options, self._clock = options, clock
        self._addresses: list[tuple[str, NotifyBase]] = []
        self._waiting: dict[int, Fact] = {}  # of the digest
        self._urgent: dict[int, Fact] = {}
        self._digest_at_s: float | None = None
        self._at_once_at_s: float | None = None  # not before
        self._told: dict[int, None] = {}  # not handed over since they were told, the oldest first
        self._partly: dict[str, set[int]] = {}  # what an address has that another one does not
        self._closed = threading.Event()

    def open(self) -> None:
        """Understand the addresses. Nothing is sent: people are no machines that can be asked."""
        self._closed.clear()
        if not self._addresses:
            self._addresses = _understood(self._options.urls)

    def deliver(self, facts: Sequence[Fact]) -> Sequence[Outcome]:
        """Tell what is due of these and of those that waited, and put off the rest."""
        if not self._addresses:
            self.open()
        now_s = self._clock()
        for fact in facts:
            seq = fact.event.seq
            if seq in self._told or _is_no_news(fact.event):
                continue
            if urgency(fact.event) in self._options.at_once:
                self._urgent[seq] = fact
            else:
                self._waiting[seq] = fact
        failures: dict[int, str] = {}
        if self._urgent and (self._at_once_at_s is None or now_s >= self._at_once_at_s):
            failures |= self._tell(self._urgent, warning)
            self._at_once_at_s = now_s + GAP_S
        if self._waiting and self._digest_at_s is None:
            self._digest_at_s = now_s + self._options.digest_s
        if self._waiting and (now_s >= (self._digest_at_s or 0.0) or len(self._waiting) >= FULL):
            failures |= self._tell(self._waiting, digest)
            self._digest_at_s = self._digest_at_s if self._waiting else None
        outcomes = [self._outcome(fact.event.seq, failures, now_s) for fact in facts]
        for fact in facts:  # known to be told from now on; a replay is told anew
            self._told.pop(fact.event.seq, None)
        return outcomes

    def close(self) -> None:
        """Wait for nothing any more."""
        self._closed.set()

    def _outcome(self, seq: int, failures: Mapping[int, str], now_s: float) -> Outcome:
        if seq in failures:
            return Outcome(Result.FAILED, failures[seq])
        if seq in self._urgent:
            return Outcome(Result.LATER, "told together with others in a moment", _left(self._at_once_at_s, now_s))
        if seq in self._waiting:
            return Outcome(Result.LATER, "it waits for its digest", _left(self._digest_at_s, now_s))
        return DELIVERED

    def _tell(self, facts: dict[int, Fact], write: Callable[[Sequence[Fact]], _Message]) -> dict[int, str]:
        """Tell facts to all addresses and forget them; gives why, where one of several did not take them."""
        failures = []
        for address, service in self._addresses:
            known = self._partly.setdefault(address, set())
            fresh = [fact for seq, fact in facts.items() if seq not in known]
            if not fresh:
                continue
            failure = self._sent(address, service, write(fresh))
            if failure is None:
                known.update(facts)
            else:
                failures.append(failure)
        if not failures:
            self._partly = {address: known - facts.keys() for address, known in self._partly.items()}
            self._told |= dict.fromkeys(facts)
            for seq in [*islice(self._told, max(0, len(self._told) - TOLD_MAX))]:
                del self._told[seq]
            facts.clear()
            return {}
        if len(failures) == len(self._addresses):
            raise _none_takes_it(failures)
        reason = "; ".join(map(str, failures))
        return dict.fromkeys(facts, reason)

    def _sent(self, address: str, service: NotifyBase, message: _Message) -> _Failure | None:
        """Send one message. In a thread: some services wait between messages as long as they like."""
        answer: queue.SimpleQueue[tuple[bool, int | None]] = queue.SimpleQueue()
        sending = threading.Thread(target=_send, args=(service, message, answer.put), name="notify", daemon=True)
        sending.start()
        end_s = self._clock() + self._options.timeout_s
        while sending.is_alive() and not self._closed.is_set() and (left_s := end_s - self._clock()) > 0:
            sending.join(min(TICK_S, left_s))
        if answer.empty():
            why = "the sink was closed" if self._closed.is_set() else f"no end within {self._options.timeout_s:g} s"
            raise SinkUnreachable(f"{address}: {why}", hint="see that this machine reaches it; it is told again")
        is_sent, status = answer.get()
        return None if is_sent else _Failure(address, status)


def _left(at_s: float | None, now_s: float) -> float:
    return min(AGAIN_S, max(0.0, (at_s or 0.0) - now_s))


def urgency(event: Event) -> Urgency | None:
    """As what an event may be told at once."""
    if event.type is EventType.ROOT_HELD:
        return Urgency.HELD
    if event.type in (EventType.ROOT_OFFLINE, EventType.ROOT_ONLINE):
        return Urgency.OFFLINE
    is_failed = event.type is EventType.ITEM_RENDITION and event.data.get("state") == "failed"
    return Urgency.FAILED if is_failed or event.type is EventType.ITEM_REFUSED else None


def _is_no_news(event: Event) -> bool:
    return event.origin == Origin.BASELINE


# -- what is written ----------------------------------------------------------------------------------


def digest(facts: Sequence[Fact]) -> _Message:
    """How many of what: all together in the title, by library with some names in the text."""
    total = Counter(fact.event.type for fact in facts)
    lines = []
    for library in dict.fromkeys(fact.event.library for fact in facts):
        mine = [fact.event for fact in facts if fact.event.library == library]
        counts = Counter(event.type for event in mine)
        parts = [f"{count} {_WORDS[kind]} ({_some(mine, kind)})" for kind, count in counts.most_common()]
        lines.append(f"{_plain(library)}: {', '.join(parts)}")
    title = ", ".join(f"{count} {_WORDS[kind]}" for kind, count in total.most_common(4))
    return _Message(f"mediasluice: {title}", _cut(lines), is_warning=False)


def _some(events: Iterable[Event], kind: EventType) -> str:
    names = dict.fromkeys(_name(event) for event in events if event.type is kind)
    return ", ".join(islice(names, NAMES)) + (", ..." if len(names) > NAMES else "")


def warning(facts: Sequence[Fact]) -> _Message:
    """One line for each, with its reason."""
    lines = [_line(fact.event) for fact in facts]
    title = lines[0].partition(": ")[0] if len(lines) == 1 else f"{len(lines)} events that want a look"
    is_warning = any(fact.event.type is not EventType.ROOT_ONLINE for fact in facts)
    return _Message(f"mediasluice: {title}", _cut(lines), is_warning=is_warning)


def _line(event: Event) -> str:
    reason = event.data.get("reason")
    why = f": {_plain(str(reason))}" if reason else ""
    if urgency(event) in (Urgency.OFFLINE, Urgency.HELD):
        return f"{_plain(event.library)} is {_WORDS[event.type]}{why}"
    how = "cannot be rendered" if event.type is EventType.ITEM_RENDITION else f"is {_WORDS[event.type]}"
    return f"{_name(event)} in {_plain(event.library)} {how}{why}"


def _name(event: Event) -> str:
    return _plain(valid(event.path.rstrip(b"/").rpartition(b"/")[2]) or "/")


def _plain(text: str) -> str:
    """One line without anything that plays tricks; long ones are cut."""
    shown = " ".join("".join(char if char.isprintable() else "\ufffd" for char in text).split())
    return shown if len(shown) <= WIDTH else shown[: WIDTH - 3] + "..."


def _cut(lines: Sequence[str]) -> str:
    more = len(lines) - LINES
    return "\n".join([*lines[:LINES], *([f"and {more} more"] if more > 0 else [])])


# -- Apprise ------------------------------------------------------------------------------------------


def _understood(urls: Sequence[str]) -> list[tuple[str, NotifyBase]]:
    """A name without secrets and a service for each address."""
    try:
        import apprise  # noqa: PLC0415 - takes a second
    except ImportError as error:
        what = error.name or "apprise"
        hint = "pip install 'mediasluice[notify]'"
        raise MissingExtra(f"notifications need {what}, which is not installed", hint=hint) from None
    logging.getLogger("apprise").propagate = False  # its lines name hosts that are tokens of people
    if not urls:
        raise SinkRefused("urls is empty: nobody is told", hint="name an address: urls: [ntfy://topic]")
    found = []
    for place, url in enumerate(urls):
        address = f"urls[{place}] ({_scheme(url)})"
        service = apprise.Apprise.instantiate(url)
        if service is None:
            hint = "see how its service is written: https://github.com/caronc/apprise/wiki"
            raise SinkRefused(f"{address} is no address that Apprise understands", hint=hint)
        found.append((address, service))
    return found


def _scheme(url: str) -> str:
    found = re.match(r"[a-z0-9+.-]{1,20}(?=://)", url, re.IGNORECASE)
    return found[0] if found else "?"


def _send(service: NotifyBase, message: _Message, tell: Callable[[tuple[bool, int | None]], None]) -> None:
    """Runs in a thread: send, and say whether it went well, and which HTTP status was logged."""
    from apprise import NotifyFormat, NotifyType  # noqa: PLC0415 - imported already
    from apprise.conversion import convert_between  # noqa: PLC0415 - as above

    wanted = service.resolve_format(NotifyFormat.TEXT)

    def written(text: str) -> str:
        return str(convert_between(NotifyFormat.TEXT, wanted, content=text))  # type: ignore[no-untyped-call]

    body = written(message.body)
    title = message.title if service.title_maxlen > 0 else written(message.title)  # else it is a part of the text
    kind = NotifyType.WARNING if message.is_warning else NotifyType.INFO
    log = logging.getLogger("apprise")
    heard = _Heard(threading.get_ident())
    log.addHandler(heard)
    try:  # the service itself: Apprise around it sends from threads that the end of a process waits for
        is_sent = bool(service.notify(title=title, body=body, notify_type=kind, body_format=wanted))
    except Exception:  # noqa: BLE001 - a plugin of one service out of a hundred
        is_sent = False
    finally:
        log.removeHandler(heard)
    tell((is_sent, heard.status))


class _Heard(logging.Handler):
    """Hears from what Apprise logs in one thread which status a service answered; the rest may hold secrets."""

    def __init__(self, thread: int) -> None:
        super().__init__(logging.WARNING)
        self.status: int | None = None
        self._thread = thread

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"error=(\d{3})\b", record.getMessage()) if record.thread == self._thread else None
        self.status = int(found[1]) if found else self.status


def _none_takes_it(failures: Sequence[_Failure]) -> SinkRefused | SinkUnreachable:
    reason = "; ".join(map(str, failures))
    statuses = [failure.status for failure in failures]
    if all(status is not None and 400 <= status < 500 and status not in (408, 429) for status in statuses):
        return SinkRefused(reason, hint="see that the addresses and what stands in them are still right")
    return SinkUnreachable(reason, hint="see that this machine reaches them and that they are right; it is told again")
