"""Events a second from the log through the relay into a real RabbitMQ, with confirmations, recorded as they go.

Time for 5,000 events, as a limit. Sound files whose tags are known, one queue that is bound to everything.

    python -m benchmarks --only rabbitmq
"""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path

from benchmarks.measure import Figure, scratch
from mediasluice.catalogue import outbox
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.delivery.rabbitmq.options import Options as Broker
from mediasluice.delivery.rabbitmq.options import WaitFor
from mediasluice.delivery.rabbitmq.sink import TRAITS, RabbitSink
from mediasluice.delivery.relay import Options, Relay
from mediasluice.pipeline.writer import now_us
from tests.brokers import Consumers, running
from tests.catalogues import add_root
from tests.listening import whole
from tests.relaying import Diary

EVENTS, UNIT = 20_000, 5_000
BAR_S = 1.0  # for as many events as UNIT
NAME = "queue"


def measure(scale: float, rounds: int) -> list[Figure]:
    """One figure."""
    events = max(UNIT, int(EVENTS * scale))
    with scratch() as place:
        (place / "broker").mkdir()
        with running(place / "broker") as broker:
            times = [
                _delivered(place / f"{number}.sqlite", broker.url, f"bench{number}", events) * UNIT / events
                for number in range(rounds)
            ]
    median = statistics.median(times)
    return [
        Figure(
            "4",
            f"{UNIT:,} events through the log into RabbitMQ",
            median,
            "s",
            BAR_S,
            repeats=rounds,
            spread=(min(times), max(times)),
            notes=f"{UNIT / median:,.0f} events/s",
        )
    ]


def _delivered(file: Path, url: str, exchange: str, events: int) -> float:
    """Seconds until all are confirmed and recorded."""
    consumers = Consumers(url, exchange, "analysis")
    consumers.declare()
    with Catalogue.open(file) as catalogue, View.open(file) as view:
        root = add_root(catalogue)
        for start in range(0, events, 1000):
            paths = [f"{number // 100}/track {number}.mp3".encode() for number in range(start, start + 1000)]
            catalogue.record([whole(root, path, path, at) for at, path in enumerate(paths, start + 1)], now_us())
        catalogue.change(outbox.register, NAME, "rabbitmq", now_us(), from_start=True)
        options = Broker(url, "bench", exchange, wait_for=WaitFor.NOTHING)
        sink = RabbitSink(NAME, options, lambda: View.open(file), time.monotonic, lambda _: None)
        relay = Relay(
            NAME,
            "rabbitmq",
            lambda: sink,
            TRAITS,
            Options(),
            open_view=lambda: View.open(file),
            write=lambda change: change(catalogue),
            log=Diary(),
            failed=_raise,
            clock=time.monotonic,
            now_us=now_us,
            dice=random.random,
        )
        relay.begin(view)
        begun = time.perf_counter()
        while view.ask(outbox.positions)[NAME].cursor < events:
            relay.turn(view)
        took = time.perf_counter() - begun
        relay.close()
    assert consumers.count() == events
    consumers.remove()
    return took


def _raise(error: BaseException) -> None:
    raise error
