"""Tasks a second into a real Redis: a task for each file, batch after batch, as the relay hands them over.

Time for 8,000 tasks, as a limit: every confirmed task counts, none is there twice. Beside it what coalesces: files of
directories, and files of one library.

    python -m benchmarks.asynq [--scale 1.0] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import closing

import redis

from benchmarks.measure import Figure, scratch
from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.asynq.sink import TRAITS, AsynqSink
from mediasluice.delivery.sink import DELIVERED
from tests.asynq_facts import many, options
from tests.redis_server import redis_server

FACTS, UNIT = 40_000, 8_000
BAR_S = 1.0  # for as many facts as UNIT
CASES = (("a task for each file", "file:created"), ("directories", "library:process"), ("one scan", "staging:scan"))


def measure(scale: float, rounds: int) -> list[Figure]:
    """One figure for each kind of job."""
    facts = many(max(TRAITS.batch, int(FACTS * scale)), library="music")
    figures = []
    with scratch() as place, redis_server(place / "redis") as server:
        for what, job in CASES:
            times = [_delivered(server.url, job, facts) * UNIT / len(facts) for _ in range(rounds)]
            figures.append(
                Figure(
                    "4",
                    f"{UNIT:,} facts into Redis, {what}",
                    statistics.median(times),
                    "s",
                    BAR_S,
                    repeats=rounds,
                    spread=(min(times), max(times)),
                    notes=f"{UNIT / statistics.median(times):,.0f} facts/s",
                )
            )
    return figures


def _delivered(url: str, job: str, facts: list[Fact]) -> float:
    """Seconds until all are confirmed, from an empty database."""
    with closing(redis.Redis.from_url(url)) as client:
        client.flushdb()
        with closing(AsynqSink(options(url, map={"music": {"created": job}}), time.time_ns)) as sink:
            sink.open()
            begun = time.perf_counter()
            for first in range(0, len(facts), TRAITS.batch):
                assert set(sink.deliver(facts[first : first + TRAITS.batch])) == {DELIVERED}
            took = time.perf_counter() - begun
        if job == "file:created":
            assert client.llen("asynq:{default}:pending") == len(facts)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for figure in measure(given.scale, given.rounds):
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
