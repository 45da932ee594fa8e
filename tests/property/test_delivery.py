"""Whatever a far side does and whenever a process ends: every fact arrives, in the order of its file and its paths."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mediasluice.catalogue import outbox
from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.sink import DELIVERED, Outcome, Result, Traits
from mediasluice.errors import SinkUnreachable
from tests.relaying import Bench

NAMES = ("a", "b", "d/a")
DOWN = SinkUnreachable("away", hint="wait")

changes = st.lists(
    st.tuples(st.sampled_from(["create", "change", "move", "delete"]), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    min_size=1,
    max_size=8,
)
fates = st.lists(st.sampled_from(["delivered", "delivered", "later", "failed", "dead", "down"]), max_size=12)
phases = st.lists(st.tuples(changes, fates, st.booleans()), min_size=1, max_size=4)


def make(bench: Bench, what: str, name: str, other: str, there: set[str]) -> None:
    """Let something happen to a file, if it can."""
    if what == "create" and name not in there:
        there.add(name)
        bench.create(name)
    elif what == "change" and name in there:
        bench.change(name, f"{name} at {bench.now_s}")
    elif what == "delete" and name in there:
        there.remove(name)
        bench.delete(name)
    elif what == "move" and name in there and other not in there:
        there.remove(name)
        there.add(other)
        bench.move(name, other)


@given(phases, st.sampled_from([1, 2, 5]), st.booleans())
def test_every_fact_arrives_in_order(
    phases: list[tuple[list[tuple[str, str, str]], list[str], bool]],
    batch: int,
    is_strict: bool,  # noqa: FBT001
) -> None:
    """Later, failed, given up and retried, broken off, restarted: all arrive, first arrivals in order per key."""
    traits = Traits(is_strict=is_strict, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.register()
        there: set[str] = set()
        relay = bench.relay(traits)
        for happens, says, restarts in phases:
            for one in happens:
                bench.now_s += 1
                make(bench, *one, there)
            said = list(says)

            def answer(_: Fact, said: list[str] = said) -> Outcome:
                fate = said.pop(0) if said else "delivered"
                if fate == "down":
                    raise DOWN
                return DELIVERED if fate == "delivered" else Outcome(Result(fate), "so it is", 0.1)

            bench.far.answer = answer
            bench.run(relay, 2)
            if restarts:
                relay = bench.relay(traits)
        bench.far.answer = lambda _: DELIVERED
        for _ in range(2):
            bench.catalogue.change(outbox.retry_letters, "far")
            relay.reload()
            bench.run(relay, 2000)
        head = bench.view.head()
        first = list(dict.fromkeys(bench.far.seqs))
        assert sorted(first) == list(range(1, head + 1))
        keys = {fact.event.seq: fact.keys for fact in bench.far.got}
        came = defaultdict(list)
        for seq in first:
            for key in keys[seq]:
                came[key].append(seq)
        if not is_strict:  # a strict one may have taken later ones of a batch that broke off, and gets them again
            assert all(seqs == sorted(seqs) for seqs in came.values())
        assert (bench.position().cursor, bench.position().done) == (head, ())
        assert bench.view.ask(outbox.letters, "far") == []
        assert bench.failures == []
        bench.close()
