"""The sinks of a running service: one relay each, changed with the document, asked and told by their names.

Takes plans of sinks; gives how they are. The catalogue holds their places in the log; who changes one there by hand
calls :meth:`Deliveries.reload`. Fails with: UsageError (no such sink), SinkUnreachable, SinkRefused (testing one).
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from mediasluice.catalogue import outbox
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.delivery.relay import Relay
from mediasluice.errors import Unavailable, UsageError
from mediasluice.pipeline.writer import Abandoned, now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mediasluice.catalogue.store import Catalogue
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.writer import Writer
    from mediasluice.wiring.sinks import Plan


_T = TypeVar("_T")


class Deliveries:
    """The relays of one service."""

    def __init__(self, data: Path, writer: Writer, log: Log, failed: Callable[[BaseException], None]) -> None:
        self._data, self._writer, self._log, self._failed = data, writer, log, failed
        self._relays: dict[str, tuple[Plan, Relay]] = {}

    def replace(self, plans: Sequence[Plan]) -> None:
        """Have these sinks and no others; one whose plan says the same goes on as it is."""
        wanted = {plan.name: plan for plan in plans}
        changed = [
            name
            for name, (plan, _) in self._relays.items()
            if name not in wanted or (wanted[name].type, wanted[name].said) != (plan.type, plan.said)
        ]
        leaving = [self._relays.pop(name)[1] for name in changed]
        for relay in leaving:
            relay.halt()
        for relay in leaving:
            relay.stop()
            self._log.info("sink_stopped", sink=relay.name)
        for name, plan in wanted.items():
            if name not in self._relays:
                self._relays[name] = plan, self._begin(plan)

    def _begin(self, plan: Plan) -> Relay:
        def register() -> None:  # in its thread: nobody else waits for the disk of the catalogue
            position, odd = write(
                lambda catalogue: catalogue.change(
                    outbox.register, plan.name, plan.type, now_us(), from_start=plan.options.from_start
                )
            )
            if odd is not None:
                again = f"sluice sinks replay {plan.name} --since SEQ"
                self._log.error("sink_begins_anew", sink=plan.name, reason=odd, next=again)
            at = {"cursor": position.cursor, "state": position.state}
            self._log.info("sink_started", sink=plan.name, type=plan.type, **at)

        def write(change: Callable[[Catalogue], _T]) -> _T:
            try:
                return self._writer.call(change, abandon=lambda: relay.is_stopping, is_bulk=True)
            except Abandoned:
                raise Unavailable("the catalogue's disk is full, and the sink ends") from None

        relay = Relay(
            plan.name,
            plan.type,
            plan.make,
            plan.traits,
            plan.options,
            open_view=lambda: View.open(catalogue_file(self._data)),
            write=write,
            log=self._log,
            failed=self._failed,
            clock=time.monotonic,
            now_us=now_us,
            dice=random.random,
            register=register,
        )
        relay.start()
        return relay

    # -- asking -----------------------------------------------------------------------------------

    def committed(self) -> None:
        """There may be more in the log."""
        for _, relay in list(self._relays.values()):
            relay.wake()

    def reload(self, name: str) -> None:
        """What the catalogue holds of a sink was changed; one that is not in the document has no relay."""
        if name in self._relays:
            self._relays[name][1].reload()

    def rows(self, view: View) -> list[dict[str, Any]]:
        """How each sink is, as JSON has it."""
        return [row(name, relay.status(view)._asdict()) for name, (_, relay) in list(self._relays.items())]

    def test(self, name: str) -> None:
        """Connect to the far side of a sink, beside what is under way."""
        self._relay(name)
        sink = self._relays[name][0].make()
        try:
            sink.open()
        finally:
            sink.close()

    def _relay(self, name: str) -> Relay:
        found = self._relays.get(name)
        if found is None:
            message = f"there is no sink {name!r}"
            raise UsageError(message, hint="sinks: " + (", ".join(self._relays) or "none; see docs/settings.md"))
        return found[1]

    # -- end --------------------------------------------------------------------------------------

    def halt(self) -> None:
        """Ask all to end, and give up what is under way."""
        threads = [threading.Thread(target=relay.halt, daemon=True) for _, relay in self._relays.values()]
        for thread in threads:  # at once: each may have to wait for its far side for a moment
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        """Wait until all have recorded what they delivered."""
        self.halt()
        for _, relay in self._relays.values():
            relay.stop()


def row(name: str, status: dict[str, Any]) -> dict[str, Any]:
    """The status of a sink as JSON: times in seconds since 1970."""
    times = {key: None if status[f"{key}_us"] is None else status[f"{key}_us"] / 1e6 for key in ("since", "oldest")}
    rest = {key: value for key, value in status.items() if not key.endswith("_us")}
    return {"name": name, **rest, **times}
