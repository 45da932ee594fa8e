"""Bring the event log to one sink: read ahead, hand over in order, record what became of it, wait and try again.

Takes a way to read the catalogue and one to write it, a factory of the sink and what is wanted of it; runs in a thread
of its own, with a few more where the sink takes several batches at once. A fact counts as done when the sink said so
and the catalogue recorded it, in this order: a process that ends between the two delivers it again, with the same id.
Nothing here ends the service: a sink that fails, also by a mistake of ours, is left alone for a while, shown in the
status, and tried again; arrivals go on meanwhile, and the log keeps what is owed.
Fails with: nothing; an error of the catalogue is handed to ``failed``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mediasluice.catalogue import outbox
from mediasluice.catalogue.outbox import ACTIVE, DEAD, DISABLED, DUE, PARKED, Fact, Letter, Position, Progress
from mediasluice.delivery.queue import Entry, Queue
from mediasluice.delivery.sink import Outcome, Result, Sink, Traits
from mediasluice.delivery.spans import Spans
from mediasluice.delivery.waits import Breaker, BreakerState, Rate, wait_s
from mediasluice.errors import ConfigError, SinkRefused, SluiceError, Unavailable
from mediasluice.model.events import EventType

if TYPE_CHECKING:
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View

LOOK_S = 1.0  # chosen: how often the log is looked at when nobody says that there is more
LATER_S = 1.0  # chosen: when a sink does not say when its time has come
WAITS_S = 10.0  # chosen: a strict sink that waits for longer says what for
REFUSED_S = 30.0  # chosen: a person has to change something; who did so need not say it
RECORD_S = 1.0  # chosen: how often is recorded that facts were passed over that the sink does not want
MISTAKES = 8  # chosen: tries of one fact that end in a mistake of ours, until it is a dead letter
DEAD_IN_A_ROW = 20  # chosen: after so many it is not the facts that are wrong
SPANS_MAX = 2_000  # chosen: about 30 kB with each record; then the log is not read further
READ = 500  # facts of one look at the log, chosen: about 5 ms
COUNTED = 100_000  # facts at most that a status counts one by one


class Log(Protocol):
    """Where the relay says what a person may want to know."""

    def info(self, event: str, **values: object) -> object: ...
    def warning(self, event: str, **values: object) -> object: ...
    def error(self, event: str, **values: object) -> object: ...


class Options(NamedTuple):
    """What is wanted of a sink, whatever its type."""

    events: tuple[str, ...] = ("*",)  # patterns of event types
    libraries: tuple[str, ...] = ()  # names; empty: all
    own_actions: bool = True  # whether what we moved ourselves is told
    from_start: bool = False  # a new sink is told of what is there already
    retry_max: int | None = None  # failures of one fact until it is a dead letter; ``None``: never
    retry_cap_s: float = 300.0  # the longest wait between two tries
    batch: int | None = None  # facts at most that go together; ``None``: as the sink has it
    window_s: float | None = None  # how long a batch waits for more; ``None``: as the sink has it
    rate: float | None = None  # facts a second
    library_rates: Mapping[str, tuple[float, int]] = MappingProxyType({})  # facts a second, and at once, of a library
    read_ahead: int = 1024  # facts that are held in memory; what is beyond stays in the log


class Status(NamedTuple):
    """How a sink is."""

    type: str
    state: str  # active | paused | disabled | unreachable | refused | lagged
    reason: str | None
    next: str | None  # what a person can do, or what happens by itself
    since_us: int | None
    cursor: int
    pending: int  # facts, counted up to COUNTED
    oldest_us: int | None  # when the oldest of them happened
    delivered: int  # facts, ever
    dead: int
    parked: int
    failures: int  # since the start of the process
    breaker: str


class Relay:
    """One sink and its way through the log."""

    def __init__(  # noqa: PLR0913 - it joins the parts
        self,
        name: str,
        kind: str,
        make: Callable[[], Sink],
        traits: Traits,
        options: Options,
        *,
        open_view: Callable[[], View],
        write: Callable[[Callable[[Catalogue], object]], object],
        log: Log,
        failed: Callable[[BaseException], None],
        clock: Callable[[], float],
        now_us: Callable[[], int],
        dice: Callable[[], float],
        register: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.type = name, kind
        self._make, self._traits, self._options = make, traits, options
        self._register = register
        self._open_view, self._write, self._log, self._failed = open_view, write, log, failed
        self._clock, self._now_us, self._dice = clock, now_us, dice
        self._wanted = frozenset(
            one.value for one in EventType if any(fnmatchcase(one.value, pattern) for pattern in options.events)
        )
        self._most = min(options.batch or traits.batch, options.read_ahead)
        self._window_s = traits.window_s if options.window_s is None else options.window_s
        self._wake = threading.Condition()
        self._has_news = True
        self._stopping = False
        self._reloads = False
        self._position: Position
        self._queue = Queue(is_strict=traits.is_strict)
        self._done = Spans()
        self._lagged = 0
        self._read = 0  # the last fact that was read
        self._has_more = True  # the log, perhaps
        self._recorded_s = 0.0
        self._breaker = Breaker(options.retry_cap_s, dice)
        self._rate = Rate(options.rate, self._most, clock())
        self._library_rates = {name: Rate(*rate, clock()) for name, rate in options.library_rates.items()}
        self._refusal: SinkRefused | None = None
        self._trouble_told: str | None = None
        self._wait_told: str | None = None
        self._dead_in_a_row = 0
        self._failures = 0
        self._successes = 0  # batches of which something was delivered
        self._is_open = False
        self._sink: Sink | None = None
        self._under_way: dict[Future[Sequence[Outcome]], list[Entry]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}")

    # -- from other threads -----------------------------------------------------------------------

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`halt` was called."""
        return self._stopping

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be more in the log."""
        with self._wake:
            self._has_news = True
            self._wake.notify()

    def reload(self) -> None:
        """Somebody changed the cursor, the state or the dead letters: read them again, and try at once."""
        with self._wake:
            self._reloads = self._has_news = True
            self._wake.notify()

    def halt(self) -> None:
        """Ask it to end; :meth:`stop` waits for it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        sink = self._sink
        if sink is not None:
            self._give_up_connection(sink)

    def stop(self) -> None:
        """Record what was delivered, and end."""
        self.halt()
        self._thread.join()

    def status(self, view: View) -> Status:
        """How it is now."""
        position = view.ask(outbox.positions).get(self.name)
        if position is None:
            return Status(self.type, "starting", None, None, None, 0, 0, None, 0, 0, 0, 0, BreakerState.CLOSED.value)
        count, oldest_us = view.ask(outbox.count_after, max(self._read, position.cursor), COUNTED)
        waiting = [entry for entry in list(self._queue) if not entry.is_letter]
        first_us = min((entry.fact.event.at_us for entry in waiting), default=None)
        letters = view.ask(outbox.count_letters, self.name)
        dead = letters.get(DEAD, 0)
        state, reason, hint, since_us = self._state(position, dead)
        return Status(
            self.type, state, reason, hint, since_us, position.cursor, min(COUNTED, count + len(waiting)),
            first_us if first_us is not None else oldest_us, position.delivered, dead,
            sum(letters.values()) - dead, self._failures, self._breaker.state(self._clock()).value,
        )  # fmt: skip

    def _state(self, position: Position, dead: int) -> tuple[str, str | None, str | None, int | None]:
        now_s, now_us = self._clock(), self._now_us()
        if position.state != ACTIVE:
            return position.state, position.reason, f"sluice sinks resume {self.name}", position.since_us
        since_s = self._breaker.since_s
        since_us = None if since_s is None else now_us - int((now_s - since_s) * 1e6)
        if (refusal := self._refusal) is not None:
            return "refused", refusal.message, refusal.hint, since_us
        if self._breaker.state(now_s) is not BreakerState.CLOSED:
            after = max(0.0, self._breaker.due_s() - now_s)
            return "unreachable", self._breaker.reason, f"it is tried again in {after:.1f} s", since_us
        if position.cursor < position.lagged:
            why = "it was away for longer than the log is kept: it is told the last fact of each file"
            return "lagged", why, None, None
        waiting = next((entry.reason for entry in list(self._queue) if entry.reason), None)
        hint = f"see: sluice sinks dead-letters {self.name}" if dead else None
        return ACTIVE, waiting, hint, position.since_us

    # -- its thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._open_view() as view:
                try:
                    self._register()
                    self.begin(view)
                    while not self._stopping:
                        self._wait(self.turn(view))
                finally:
                    self.close()
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            if not (self._stopping and isinstance(error, Unavailable)):  # else it is delivered again the next time
                self._failed(error)

    def close(self) -> None:
        """Wait for what is under way, record it and disconnect."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        for future, batch in list(self._under_way.items()):
            self._come_back(future, batch)
        self._under_way.clear()
        if hasattr(self, "_position"):
            self._record()
        self._shut()

    def _wait(self, until_s: float) -> None:
        with self._wake:
            if self._has_news:
                self._has_news = False
                return
            self._wake.wait(max(0.0, min(until_s - self._clock(), LOOK_S)))
            self._has_news = False

    def turn(self, view: View) -> float:
        """Do what can be done now; gives until when nothing can be [s]."""
        for future in [one for one in self._under_way if one.done()]:
            self._come_back(future, self._under_way.pop(future))
        if self._reloads and not self._under_way:
            self._reloads = False
            self.begin(view)
        if self._position.state != ACTIVE or self._reloads:
            return math.inf
        self._fill(view)
        if self._clock() - self._recorded_s >= RECORD_S:
            self._record()
        return self._hand_over()

    def begin(self, view: View) -> None:
        """Begin where the catalogue says."""
        self._position = view.ask(outbox.positions)[self.name]
        self._queue = Queue(is_strict=self._traits.is_strict)
        self._done = Spans(self._position.done)
        self._read = self._position.cursor
        self._refusal, self._dead_in_a_row = None, 0
        self._breaker.try_now()
        due: dict[int, Letter] = {}
        for letter in view.ask(outbox.letters, self.name):  # in the order of the log
            if letter.state != DUE or self._queue.is_parked(letter.keys):
                self._queue.park(letter.keys)
            else:
                due[letter.seq] = letter
        found = view.ask(outbox.numbered, list(due)) if due else []
        now_s = self._clock()
        self._queue.add_letters([Entry(fact, due[fact.event.seq].keys, now_s, is_letter=True) for fact in found])
        lost = due.keys() - {fact.event.seq for fact in found}
        if lost:
            self._log.error(
                "dead_letters_lost", sink=self.name, events=sorted(lost), reason="the log keeps them no more"
            )
            self._save(Progress(self._read, self._done.pairs(), 0, settled=lost, turn=self._position.turn))

    # -- reading ----------------------------------------------------------------------------------

    def _fill(self, view: View) -> None:
        """Read ahead."""
        now_s = self._clock()
        while self._has_room() and not self._stopping:
            found = view.ask(outbox.facts, self._read, READ)
            self._has_more = len(found) == READ
            if found:
                self._lagged = view.ask(outbox.lagged, self.name)
            fresh: list[Entry] = []
            letters: list[Letter] = []
            for fact in found:
                seq = fact.event.seq
                if seq in self._done:
                    continue
                if not self._wants(fact):
                    self._done.add(seq)
                    continue
                keys = fact.keys
                if self._queue.is_parked(keys):
                    self._queue.park(keys)
                    letters.append(self._letter(seq, PARKED, keys, 0, "it waits behind a dead letter"))
                    self._done.add(seq)
                else:
                    fresh.append(Entry(self._as_told(fact), keys, now_s))
            self._queue.add(fresh)
            if found:
                self._read = found[-1].event.seq
            if letters:
                self._record(letters=letters)
            if not self._has_more:
                return

    def _has_room(self) -> bool:
        return len(self._queue) < self._options.read_ahead and len(self._done) < SPANS_MAX

    def _wants(self, fact: Fact) -> bool:
        event, options = fact.event, self._options
        if event.type.value not in self._wanted or (options.libraries and event.library not in options.libraries):
            return False
        return options.own_actions or "cause" not in event.data

    def _as_told(self, fact: Fact) -> Fact:
        """Where facts in between are not kept any more, the last one of a file says so."""
        if fact.event.seq > self._lagged:
            return fact
        return fact._replace(event=fact.event._replace(data={**fact.event.data, "reseeded": True}))

    # -- delivering -------------------------------------------------------------------------------

    def _hand_over(self) -> float:
        """Deliver what may go; gives until when nothing may [s]."""
        while not self._stopping and not self._reloads:
            now_s = self._clock()
            state = self._breaker.state(now_s)
            if state is BreakerState.OPEN:
                return self._breaker.due_s()
            if len(self._under_way) >= (1 if state is BreakerState.HALF_OPEN else self._traits.concurrency):
                return math.inf
            most = self._rate.allows(self._most, now_s)
            if most == 0:
                return self._rate.due_s(now_s)
            is_probe = state is BreakerState.HALF_OPEN
            batch, next_s = self._queue.choose(self._options.read_ahead if is_probe else most, now_s)
            if is_probe and batch:  # another one than that which was in vain, where the order does not matter
                batch = batch[:1] if self._traits.is_strict else [min(batch, key=lambda entry: entry.in_vain)]
            if not batch:
                return now_s if self._has_more and self._has_room() else next_s
            full_s = min(entry.seen_s for entry in batch) + self._window_s
            if len(batch) < most and full_s > now_s and state is BreakerState.CLOSED:
                return min(full_s, next_s)
            if not self._is_open and not self._open():
                continue
            batch = self._within_rates(batch, now_s)
            if not batch:
                continue  # they are not due any more
            self._rate.take(len(batch))
            self._send(batch)
            if self._has_news or (self._has_more and self._has_room()):  # read on before they run out
                return now_s
        return math.inf

    def _within_rates(self, batch: list[Entry], now_s: float) -> list[Entry]:
        """Those of a batch that the rates of their libraries let go; the others wait for theirs."""
        going = []
        for entry in batch:
            rate = self._library_rates.get(entry.fact.event.library)
            if rate is not None and not rate.allows(1, now_s):
                entry.due_s = max(rate.due_s(now_s), now_s + 0.001)
                entry.reason = "its library is not told faster than `rate` says"
                if self._traits.is_strict:
                    break
                continue
            if rate is not None:
                rate.take(1)
            going.append(entry)
        return going

    def _open(self) -> bool:
        """Connect; ``False``: that is not possible now."""
        try:
            if self._sink is None:
                self._sink = self._make()
            self._sink.open()
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends nothing but this try
            self._in_vain(error)
            return False
        self._is_open = True
        return True

    def _shut(self) -> None:
        self._is_open = False
        if self._sink is not None:
            self._give_up_connection(self._sink)

    def _give_up_connection(self, sink: Sink) -> None:
        try:
            sink.close()
        except Exception as error:  # noqa: BLE001 - it is given up anyway
            self._log.warning("sink_not_closed", sink=self.name, reason=str(error))

    def _send(self, batch: list[Entry]) -> None:
        sink = self._sink
        assert sink is not None
        facts = [entry.fact for entry in batch]
        for entry in batch:
            entry.is_busy = True
        if self._traits.concurrency == 1:
            future: Future[Sequence[Outcome]] = Future()
            try:
                future.set_result(sink.deliver(facts))
            except Exception as error:  # noqa: BLE001 - looked at where it comes back
                future.set_exception(error)
            self._come_back(future, batch)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._traits.concurrency, thread_name_prefix=f"sink-{self.name}")
        future = self._pool.submit(sink.deliver, facts)
        self._under_way[future] = batch
        future.add_done_callback(lambda _: self.wake())

    def _come_back(self, future: Future[Sequence[Outcome]], batch: list[Entry]) -> None:
        """See what became of a batch, and record it."""
        for entry in batch:
            entry.is_busy = False
        try:
            outcomes = future.result()
            if len(outcomes) != len(batch):
                message = f"{len(outcomes)} outcomes for {len(batch)} facts"
                raise RuntimeError(message)  # a mistake of ours; see _in_vain
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends nothing but this try
            if self._in_vain(error) and len(batch) == 1:
                self._let_others_try(batch[0], error)
            return
        self._settle(batch, outcomes)

    def _let_others_try(self, entry: Entry, error: Exception) -> None:
        """One fact that is never heard of must not keep all others waiting.

        Where others got through since, it counts as failed; what ends in a mistake of ours is given up in any order.
        """
        got_through = self._successes > entry.successes
        entry.successes = self._successes
        entry.in_vain += 1
        entry.reason = error.message if isinstance(error, SluiceError) else f"a mistake in mediasluice: {error!r}"
        is_mistake = not isinstance(error, SluiceError)
        if not self._traits.is_strict:
            entry.due_s = self._clock() + wait_s(entry.in_vain + 1, self._options.retry_cap_s, self._dice)
            entry.tries += got_through
        most = self._options.retry_max
        is_over = got_through and most is not None and entry.tries > most and not self._traits.is_strict
        if is_over or (is_mistake and entry.in_vain >= MISTAKES):
            self._record(letters=self._give_up(entry, Outcome(Result.DEAD, entry.reason)))

    def _in_vain(self, error: Exception) -> bool:
        """Nothing was decided: leave the far side alone for a while. Gives whether this is new."""
        now_s = self._clock()
        is_told = self._breaker.state(now_s) is BreakerState.OPEN  # another batch was under way, and its end ended this
        self._shut()
        if self._stopping or is_told:
            return False
        self._failures += 1
        self._leave_alone(error, now_s)
        return True

    def _leave_alone(self, error: Exception, now_s: float) -> None:
        if isinstance(error, SinkRefused | ConfigError):
            hint = error.hint or "correct the setting"
            refusal = error if isinstance(error, SinkRefused) else SinkRefused(error.message, hint=hint)
            self._refusal = refusal
            self._breaker.open(refusal.message, now_s, REFUSED_S)
            self._tell("sink_refused", reason=refusal.message, next=refusal.hint)
            if refusal.is_final:
                self._disable(refusal)
            return
        self._refusal = None
        if isinstance(error, SluiceError):
            self._breaker.open(error.message, now_s)
            again = "it is tried again; the log keeps what is owed"
            self._tell("sink_unreachable", reason=error.message, next=f"{error.hint}; {again}" if error.hint else again)
        else:
            reason = f"{type(error).__name__}: {error}"
            self._breaker.open(f"a mistake in mediasluice: {reason}", now_s)
            self._tell("sink_bug", reason=reason, next="please report this; it is tried again")

    def _tell(self, what: str, *, reason: str, next: str | None) -> None:  # noqa: A002 - as the log calls it
        """Say it once, not with every try."""
        if self._trouble_told != reason:
            self._trouble_told = reason
            self._log.error(what, sink=self.name, reason=reason, next=next)

    def _disable(self, refusal: SinkRefused) -> None:
        state = (self.name, DISABLED, refusal.message, self._now_us())
        self._write(lambda catalogue: catalogue.change(outbox.set_state, *state))
        self._position = self._position._replace(state=DISABLED, reason=refusal.message, since_us=state[3])

    # -- what became of it ------------------------------------------------------------------------

    def _settle(self, batch: list[Entry], outcomes: Sequence[Outcome]) -> None:
        """Sort out a batch: done, again, or given up."""
        now_s = self._clock()
        done: list[tuple[Entry, Outcome]] = []
        dead: list[tuple[Entry, Outcome]] = []
        failed: str | None = None
        is_cut = False
        for entry, outcome in zip(batch, outcomes, strict=True):
            if is_cut:  # the order of the log from there on, also where it was delivered already
                entry.reason = "one before it is to be delivered first"
            elif outcome.result is Result.DELIVERED:
                done.append((entry, outcome))
            elif outcome.result is Result.DEAD or self._is_over(entry, outcome):
                dead.append((entry, outcome))
                is_cut = self._traits.is_strict
            else:
                self._postpone(entry, outcome, now_s)
                failed = failed or (outcome.reason or "it failed" if outcome.result is Result.FAILED else None)
                is_cut = self._traits.is_strict
        if done:
            self._went_well()
        elif failed:
            self._went_wrong(failed, now_s)
        for entry, _ in done:
            self._queue.remove(entry)
            if not entry.is_letter:
                self._done.add(entry.seq)
        dead = self._believed(dead, now_s, is_alone=not done)
        letters = [letter for entry, outcome in dead for letter in self._give_up(entry, outcome)]
        if done or letters:
            settled = [entry.seq for entry, _ in done if entry.is_letter]
            announced = [one for _, outcome in done for one in outcome.announced]
            self._record(len(done), announced, letters, settled)

    def _is_over(self, entry: Entry, outcome: Outcome) -> bool:
        most = self._options.retry_max
        return outcome.result is Result.FAILED and most is not None and entry.tries >= most

    def _postpone(self, entry: Entry, outcome: Outcome, now_s: float) -> None:
        entry.reason = outcome.reason
        if outcome.result is Result.LATER:
            if self._traits.is_strict and now_s - entry.seen_s > WAITS_S and outcome.reason != self._wait_told:
                self._wait_told = outcome.reason  # all behind it wait as well
                self._log.warning("sink_waits", sink=self.name, reason=outcome.reason, next="it goes on by itself")
            entry.due_s = now_s + (LATER_S if outcome.after_s is None else outcome.after_s)
            return
        entry.tries += 1
        self._failures += 1
        wait = wait_s(entry.tries, self._options.retry_cap_s, self._dice)
        entry.due_s = now_s + (wait if outcome.after_s is None else max(outcome.after_s, wait))

    def _went_wrong(self, reason: str, now_s: float) -> None:
        if self._breaker.state(now_s) is BreakerState.OPEN:
            return
        self._breaker.went_wrong(reason, now_s)
        if self._breaker.state(now_s) is BreakerState.OPEN:
            self._tell("sink_fails", reason=reason, next="it is tried again; the log keeps what is owed")

    def _went_well(self) -> None:
        if self._trouble_told is not None:
            self._log.info("sink_reached", sink=self.name)
        self._trouble_told = self._refusal = self._wait_told = None
        self._dead_in_a_row = 0
        self._successes += 1
        self._breaker.went_well()

    def _believed(
        self, dead: list[tuple[Entry, Outcome]], now_s: float, *, is_alone: bool
    ) -> list[tuple[Entry, Outcome]]:
        """Those that are given up: where everything is refused, it is not the facts that are wrong, and all wait."""
        if not dead or not is_alone:
            return dead
        believed = dead[: max(0, DEAD_IN_A_ROW - self._dead_in_a_row)]
        self._dead_in_a_row += len(dead)
        if len(believed) < len(dead):
            reason = dead[-1][1].reason or "it was refused"
            for entry, _ in dead[len(believed) :]:
                entry.reason = reason
            hint = f"see: sluice sinks dead-letters {self.name}; then: sluice sinks retry {self.name}"
            self._refusal = SinkRefused(f"it takes nothing any more: {reason}", hint=hint)
            self._breaker.open(self._refusal.message, now_s, REFUSED_S)
            self._tell("sink_refused", reason=self._refusal.message, next=hint)
        return believed

    def _give_up(self, entry: Entry, outcome: Outcome) -> list[Letter]:
        """Make a dead letter of one, and park what follows it for the same file or path."""
        reason = outcome.reason or "it cannot be delivered"
        self._queue.remove(entry)
        if not entry.is_letter:
            self._done.add(entry.seq)
        tries = entry.tries + 1
        self._log.error(
            "dead_letter", sink=self.name, seq=entry.seq, reason=reason, next=f"sluice sinks retry {self.name}"
        )
        letters = [self._letter(entry.seq, DEAD, entry.keys, tries, reason)]
        self._queue.park(entry.keys)
        for other in self._queue.behind(entry):
            self._queue.remove(other)
            if not other.is_letter:
                self._done.add(other.seq)
            self._queue.park(other.keys)
            letters.append(self._letter(other.seq, PARKED, other.keys, other.tries, "it waits behind a dead letter"))
        return letters

    def _letter(self, seq: int, state: str, keys: tuple[str, ...], tries: int, reason: str) -> Letter:
        return Letter(seq, state, keys, tries, reason, self._now_us())

    # -- recording --------------------------------------------------------------------------------

    def _record(
        self,
        delivered: int = 0,
        announced: Sequence[outbox.Announced] = (),
        letters: Sequence[Letter] = (),
        settled: Sequence[int] = (),
    ) -> None:
        """Write down how far it is, if that changed."""
        self._recorded_s = self._clock()
        first = self._queue.first()
        cursor = self._read if first is None else first - 1
        self._done.drop_to(cursor)
        spans = self._done.pairs()
        if (cursor, spans) == (self._position.cursor, self._position.done) and not (announced or letters or settled):
            return
        self._save(Progress(cursor, spans, delivered, announced, letters, settled, self._position.turn))

    def _save(self, progress: Progress) -> None:
        self._write(lambda catalogue: catalogue.change(outbox.record, self.name, progress))
        self._position = self._position._replace(cursor=progress.cursor, done=tuple(progress.done))
