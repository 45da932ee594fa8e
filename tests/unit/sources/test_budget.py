from __future__ import annotations

from mediasluice.sources.budget import WatchBudget


def test_a_fifth_stays_free() -> None:
    """Four fifths of the limit are ours, the rest is for the user's other programs."""
    budget = WatchBudget(10)
    assert [budget.take() for _ in range(9)] == [True] * 8 + [False]
    budget.give()
    assert budget.take()
    assert budget.used == 8


def test_the_kernel_may_refuse_earlier() -> None:
    """After a refusal by the kernel nothing more is taken until something is given back or the limit is read again."""
    budget = WatchBudget(1_000)
    assert budget.take()
    budget.exhausted()
    assert not budget.take()
    budget.give()
    assert budget.take()
    budget.refresh()
    assert budget.take()


def test_the_advice_raises_the_limit() -> None:
    """The line to type names more than there is now."""
    assert WatchBudget(8_192).advice() == "sudo sysctl -w fs.inotify.max_user_watches=524288"
    assert WatchBudget(524_288).advice() == "sudo sysctl -w fs.inotify.max_user_watches=1048576"


def test_the_smallest_limit_still_watches_a_root() -> None:
    """A limit of one leaves one watch, not none."""
    assert WatchBudget(1).take()
