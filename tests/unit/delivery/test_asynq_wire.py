from __future__ import annotations

import pytest

from mediasluice.delivery.asynq import wire
from mediasluice.delivery.asynq.wire import Task, encode
from tests.asynq_reader import Message, decoded

PLAIN = Task("staging:scan", b"{}", "fixed-2", "goref")
UNIQUE = Task(
    "staging:scan",
    b'{"source":"file_watcher"}',
    "fixed-1",
    "goref",
    retry=7,
    timeout=300,
    unique_key="asynq:{goref}:unique:staging:scan:e335a373bb3aec1621656836492c2995",
    retention=3600,
)


@pytest.mark.parametrize(
    ("task", "written"),
    [
        (PLAIN, "0a0c73746167696e673a7363616e12027b7d1a0766697865642d322205676f726566281940880e"),
        (
            UNIQUE,
            (
                "0a0c73746167696e673a7363616e12197b22736f75726365223a2266696c655f77617463686572227d1a0766697865642d3122"
                "05676f726566280740ac0252426173796e713a7b676f7265667d3a756e697175653a73746167696e673a7363616e3a65333335"
                "6133373362623361656331363231363536383336343932633239393560901c"
            ),
        ),
    ],
)
def test_a_message_is_that_of_asynqs_own_client(task: Task, written: str) -> None:
    """Byte for byte what the client in Go wrote for the same task."""
    assert encode(task).hex() == written


def test_the_lock_has_the_name_that_asynqs_own_client_gives_it() -> None:
    """Both clients exclude each other, and a worker releases the locks of both."""
    assert wire.lock("maintenance", "staging:scan", b"{}") == (
        "asynq:{maintenance}:unique:staging:scan:99914b932bd37a50b983c5e7c90ae93b"
    )
    assert wire.lock("goref", "staging:scan", UNIQUE.payload) == UNIQUE.unique_key


def test_zero_is_not_written() -> None:
    """A field that is zero or empty is left out, as in Go."""
    task = Task("t", b"", "i", "q", retry=0, timeout=0, deadline=1)
    assert decoded(encode(task)) == Message(type="t", id="i", queue="q", deadline=1)


def test_the_beginning_of_a_message_is_its_type() -> None:
    """It tells a type from one that only begins alike."""
    assert encode(PLAIN).startswith(wire.beginning("staging:scan"))
    assert not encode(PLAIN).startswith(wire.beginning("staging:sca"))
    assert not encode(PLAIN._replace(type="staging:scans")).startswith(wire.beginning("staging:scan"))
