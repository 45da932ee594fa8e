"""A document that names a sink whose driver is not installed is refused with the line that installs it."""

from __future__ import annotations

import sys

import pytest

from mediasluice.config.layers import load
from mediasluice.errors import MissingExtra
from mediasluice.wiring.sinks import DRIVERS, check

NEEDED = {"notify": {"urls": "json://h"}}


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_driver_that_is_not_there(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sink, what it needs, and how to get it; and nothing of it while the driver is there."""
    settings = load(None, {}, {"sinks": {"s": {"type": kind, **NEEDED.get(kind, {})}}}).settings
    check(settings)
    driver, extra = DRIVERS[kind]
    for name in [name for name in sys.modules if name.partition(".")[0] == driver]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(MissingExtra, match=f"sinks.s: a sink of type {kind} needs {driver}") as refusal:
        check(settings)
    assert refusal.value.hint == f"pip install 'mediasluice[{extra}]'"
