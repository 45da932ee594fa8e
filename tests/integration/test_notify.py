from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag
from typing import Any

import pytest

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.notify import AGAIN_S, FULL, GAP_S, Notify, Options
from mediasluice.delivery.sink import DELIVERED, Result
from mediasluice.errors import SinkRefused, SinkUnreachable
from mediasluice.model.events import EventType
from tests.facts import fact
from tests.receivers import Answer, Receiver

# One of the plugins of Apprise imports what Python 3.11 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Clock:
    """Seconds that go on when they are told to, beside the real ones that threads need."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """Title and text of each message."""
    messages: list[dict[str, Any]] = [json.loads(got.body) for got in receiver.got]
    return [(message["title"], message["message"]) for message in messages]


def results(sink: Notify, facts: list[Fact]) -> list[Result]:
    return [outcome.result for outcome in sink.deliver(facts)]


def url(receiver: Receiver) -> str:
    return f"json://localhost:{receiver.port}/token"


NEWS = [
    fact(1, path=b"/in/a.jpg"),
    fact(2, path=b"/in/b\xff.jpg"),
    fact(3, EventType.ITEM_IMPORTED, b"/in/a.jpg", item=1),
    fact(4, path=b"/music/x\x1b[31m.mp3", library="music"),
    fact(5, path=b"/in/c.jpg"),
    fact(6, path=b"/in/d.jpg"),
]


def test_a_digest_is_told_when_its_window_is_over(clock: Clock) -> None:
    """Until then every fact waits; then one message tells all of them, by library, with some names."""
    with Receiver() as receiver:
        sink = Notify(Options((url(receiver),)), clock)
        sink.open()
        first = sink.deliver(NEWS[:3])
        assert [outcome.result for outcome in first] == [Result.LATER] * 3
        assert all(0 < (outcome.after_s or 0) <= AGAIN_S for outcome in first)
        clock.ahead_s = 200
        assert results(sink, NEWS[3:]) == [Result.LATER] * 3
        assert receiver.got == []
        clock.ahead_s = 301
        assert sink.deliver(NEWS) == [DELIVERED] * 6
    assert told(receiver) == [
        (
            "mediasluice: 5 new, 1 imported",
            "incoming: 4 new (a.jpg, b\ufffd.jpg, c.jpg, ...), 1 imported (a.jpg)\nmusic: 1 new (x\ufffd[31m.mp3)",
        )
    ]


def test_however_they_are_handed_over_it_is_one_message(clock: Clock) -> None:
    """Facts come back one by one when the window is over; they are told together, and once more by a replay only."""
    with Receiver() as receiver:
        sink = Notify(Options((url(receiver),)), clock)
        for one in NEWS:
            sink.deliver([one])
        clock.ahead_s = 301
        assert [sink.deliver([one])[0] for one in NEWS] == [DELIVERED] * 6
        assert len(receiver.got) == 1
        assert results(sink, NEWS) == [Result.LATER] * 6  # a replay
        clock.ahead_s = 602
        assert sink.deliver(NEWS) == [DELIVERED] * 6
    assert len(receiver.got) == 2


def test_a_restart_forgets_nothing(clock: Clock) -> None:
    """What waited is handed over again, because it was never delivered, and is told then."""
    with Receiver() as receiver:
        Notify(Options((url(receiver),)), clock).deliver(NEWS)
        sink = Notify(Options((url(receiver),)), clock)
        assert results(sink, NEWS) == [Result.LATER] * 6
        clock.ahead_s = 301
        assert sink.deliver(NEWS) == [DELIVERED] * 6
    assert len(receiver.got) == 1


def test_a_full_digest_does_not_wait(clock: Clock) -> None:
    """When as many facts wait as may, they are told before their time."""
    facts = [fact(seq, path=b"/in/%d.jpg" % seq) for seq in range(1, FULL + 1)]
    with Receiver() as receiver:
        sink = Notify(Options((url(receiver),)), clock)
        assert results(sink, facts[:-1]) == [Result.LATER] * (FULL - 1)
        assert sink.deliver(facts) == [DELIVERED] * FULL
    assert told(receiver)[0][0] == f"mediasluice: {FULL} new"


def test_some_things_are_told_at_once(clock: Clock) -> None:
    """A root that goes or comes back, a file that is refused: within seconds, those of a few seconds together."""
    offline = fact(7, EventType.ROOT_OFFLINE, b"/in", reason="not there")
    with Receiver() as receiver:
        sink = Notify(Options((url(receiver),)), clock)
        assert results(sink, [NEWS[0], offline]) == [Result.LATER, Result.DELIVERED]
        more = [
            fact(8, EventType.ITEM_REFUSED, b"/in/big.mkv", reason="too large"),
            fact(9, EventType.ROOT_ONLINE, b"/in"),
            fact(10, EventType.ROOT_HELD, b"/music", library="music", reason="9 of 10 files are missing at once"),
            fact(11, EventType.ITEM_RENDITION, b"/in/f.mkv", state="failed", reason="no pictures"),
        ]
        assert results(sink, more) == [Result.LATER] * 4
        clock.ahead_s = GAP_S + 1
        assert sink.deliver(more) == [DELIVERED] * 4
    assert told(receiver) == [
        ("mediasluice: incoming is offline", "incoming is offline: not there"),
        (
            "mediasluice: 4 events that want a look",
            """big.mkv in incoming is refused: too large
incoming is online again
music is held: 9 of 10 files are missing at once
f.mkv in incoming cannot be rendered: no pictures""",
        ),
    ]
    assert [json.loads(got.body)["type"] for got in receiver.got] == ["warning", "warning"]


def test_what_is_not_at_once_is_in_the_digest(clock: Clock) -> None:
    """``at_once`` decides; and without a window all is told with its batch."""
    facts = [fact(1, EventType.ROOT_OFFLINE, b"/in", reason="gone"), NEWS[1]]
    with Receiver() as receiver:
        sink = Notify(Options((url(receiver),), digest_s=0, at_once=frozenset()), clock)
        assert sink.deliver(facts) == [DELIVERED] * 2
    assert told(receiver)[0][0] == "mediasluice: 1 offline, 1 new"


def test_what_was_there_before_is_no_news(clock: Clock) -> None:
    """The files of a new library are not told."""
    with Receiver() as receiver:
        sink = Notify(Options((url(receiver),), digest_s=0), clock)
        assert sink.deliver([fact(1, origin="baseline")]) == [DELIVERED]
    assert receiver.got == []


def test_an_address_that_has_it_does_not_get_it_again(clock: Clock) -> None:
    """One of two fails: its message is tried again, and the other one hears nothing twice."""
    with Receiver() as good, Receiver(500, 204) as bad:
        sink = Notify(Options((url(good), url(bad)), digest_s=0), clock)
        outcomes = sink.deliver(NEWS)
        assert {outcome.result for outcome in outcomes} == {Result.FAILED}
        assert outcomes[0].reason == "urls[1] (json) answered 500"
        assert sink.deliver(NEWS) == [DELIVERED] * 6
        assert sink.deliver([fact(20)]) == [DELIVERED]
    assert (len(good.got), len(bad.got)) == (2, 3)
    assert bad.got[0].body == bad.got[1].body


class Lines(logging.Handler):
    """What reaches the log of a service."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_nobody_takes_it(clock: Clock, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Turned down is for a person, broken and out of reach are for another time; no text holds a secret."""
    log = Lines()
    monkeypatch.setattr(logging.getLogger(), "handlers", [log])
    turned_down = pytest.raises(SinkRefused, match=r"urls\[0\] \(json\) answered 403")
    with Receiver(Answer(403, b"geheim")) as receiver, turned_down as refused:
        Notify(Options((url(receiver).replace("token", "geheim"),), digest_s=0), clock).deliver(NEWS)
    with Receiver(502) as receiver, pytest.raises(SinkUnreachable, match="answered 502"):
        Notify(Options((url(receiver),), digest_s=0), clock).deliver(NEWS)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with pytest.raises(SinkUnreachable, match="does not take it") as caught:
        Notify(Options((f"json://geheim:geheim@localhost:{free}/",), digest_s=0), clock).deliver(NEWS)
    assert refused.value.hint
    assert caught.value.hint
    said = [*capfd.readouterr(), *log.lines, str(caught.value), repr(Options(("json://geheim",)))]
    assert not [text for text in said if "geheim" in text]


def test_it_waits_no_longer_than_it_may(clock: Clock) -> None:
    """A service that does not answer is out of reach after the time-out, and at once when the sink is closed."""
    ended = Flag()

    def waits(_connection: socket.socket) -> None:
        ended.wait(20)

    with Receiver(waits) as receiver:
        sink = Notify(Options((url(receiver),), digest_s=0, timeout_s=0.3), clock)
        sink.open()
        with pytest.raises(SinkUnreachable, match=r"no end within 0\.3 s"):
            sink.deliver(NEWS)
        sink = Notify(Options((url(receiver),), digest_s=0), clock)
        sink.open()
        with ThreadPoolExecutor(1) as pool:
            delivery = pool.submit(sink.deliver, NEWS)
            while len(receiver.got) < 2:
                time.sleep(0.01)
            start_s = time.monotonic()
            sink.close()
            with pytest.raises(SinkUnreachable, match="was closed"):
                delivery.result(10)
            assert time.monotonic() - start_s < 1
        ended.set()


@pytest.mark.parametrize("urls", [(), ("nosuch://geheim",), ("tgram://geheim",), ("geheim",)])
def test_an_address_that_cannot_work_is_refused(urls: tuple[str, ...], clock: Clock) -> None:
    """It is named by its place and service, with the next step."""
    with pytest.raises(SinkRefused) as caught:
        Notify(Options(urls), clock).open()
    assert caught.value.hint
    assert "geheim" not in str(caught.value)


def test_without_the_extra_it_says_what_to_install() -> None:
    """Apprise is imported when the sink is opened, and then its absence is told."""
    program = (
        "import sys; sys.modules['apprise'] = None; from mediasluice.delivery.notify import Notify, Options\n"
        "try: Notify(Options(('json://localhost',)), lambda: 0.0).open()\nexcept Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'mediasluice[notify]'" in done.stdout
