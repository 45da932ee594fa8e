from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from mediasluice.delivery import envelope, signing
from mediasluice.delivery.sink import DELIVERED, Outcome, Result
from mediasluice.delivery.webhook import IDLE_S, TRAITS, WAIT_MAX_S, Options, Webhook
from mediasluice.errors import BadSetting, SinkRefused, SinkUnreachable
from mediasluice.model.events import EventType
from tests.facts import fact
from tests.proxy import Proxy
from tests.receivers import Answer, Receiver


def secret(number: int = 0) -> str:
    return signing.PREFIX + base64.b64encode(bytes([number]) * 32).decode()


Make = Callable[..., Webhook]


@pytest.fixture
def make() -> Iterator[Make]:
    """Gives webhooks that may reach loopback, and closes them."""
    made = []

    def new(url: str, *secrets: str, resolve: Any = socket.getaddrinfo, wall: Any = time.time, **rest: Any) -> Webhook:
        options = Options(url, secrets, **{"allow_private": True, "timeout_s": 5.0, **rest})
        made.append(Webhook(options, wall, time.monotonic, resolve=resolve))
        return made[-1]

    yield new
    for one in made:
        one.close()


def posted(sink: Webhook, seq: int = 1, **values: Any) -> Outcome:
    return sink.deliver([fact(seq, **values)])[0]


# -- what is sent ------------------------------------------------------------------------------------


def test_an_import_is_posted_and_its_signature_holds(make: Make) -> None:
    """S0-77: a receiver that checks with the reference library gets the event, once, as JSON of less than 20 kB."""
    with Receiver() as receiver:
        sink = make(f"{receiver.url}/hook/token?key=1", secret(), headers={"X-Home": "yes"})
        sink.open()
        one = fact(1, EventType.ITEM_IMPORTED, b"/in/\xff.jpg", item=7, title="t" * 100_000)
        assert sink.deliver([one]) == [DELIVERED]
    [got] = receiver.got
    told = Verifier(secret()).verify(got.body, dict(got.headers))
    assert told == json.loads(envelope.body(one))
    assert len(got.body) <= 20_000
    assert got.path == "/hook/token?key=1"
    assert got.headers["webhook-id"] == one.event.id
    assert got.headers["host"] == f"localhost:{receiver.port}"
    assert got.headers["user-agent"].startswith("mediasluice/")
    assert (got.headers["content-type"], got.headers["x-home"]) == ("application/json", "yes")


def test_secrets_are_changed_without_a_failure(make: Make) -> None:
    """While both secrets are there, receivers with either one accept every event."""
    old, new = secret(1), secret(2)
    stages = [((old,), old), ((old, new), old), ((old, new), new), ((new, old), new), ((new,), new)]
    with Receiver() as receiver:
        seq = 0
        for secrets, known in stages:
            sink = make(receiver.url, *secrets)
            for seq in range(seq + 1, seq + 41):  # noqa: B020 - numbers go on from stage to stage
                assert posted(sink, seq) == DELIVERED
            for got in receiver.got[-40:]:
                Verifier(known).verify(got.body, dict(got.headers))
                assert len(got.headers["webhook-signature"].split()) == len(secrets)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 200


def test_without_a_secret_nothing_is_signed(make: Make) -> None:
    """A receiver that asks for no signature gets none."""
    with Receiver() as receiver:
        assert posted(make(receiver.url)) == DELIVERED
    assert "webhook-signature" not in receiver.got[0].headers


def test_connections_are_kept_and_used_by_several_at_once(make: Make) -> None:
    """Four at once need four connections, however many events there are."""
    with Receiver() as receiver:
        sink = make(receiver.url, secret())
        with ThreadPoolExecutor(TRAITS.concurrency) as pool:
            assert set(pool.map(lambda seq: posted(sink, seq), range(1, 201))) == {DELIVERED}
    assert len(receiver.got) == 200
    assert len({got.client for got in receiver.got}) <= TRAITS.concurrency


def test_a_connection_that_rested_for_long_is_not_used(make: Make) -> None:
    """Who knows whether it still leads anywhere: a new one is made."""
    with Receiver() as receiver:
        sink = make(receiver.url)
        ahead_s = 0.0
        sink._clock = lambda: time.monotonic() + ahead_s
        assert [posted(sink, seq) for seq in (1, 2)] == [DELIVERED] * 2
        ahead_s = IDLE_S + 1
        assert posted(sink, 3) == DELIVERED
    first, second, third = [got.client for got in receiver.got]
    assert first == second != third


# -- what is answered --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (200, DELIVERED),
        (Answer(202, b"queued"), DELIVERED),
        (Answer(500, b"\n  oh no\x1b[31m\nTraceback"), Outcome(Result.FAILED, "localhost answered 500: oh no [31m")),
        (Answer(503, b"", {"Retry-After": "120"}), Outcome(Result.FAILED, "localhost answered 503", 120.0)),
        (Answer(429, b"", {"Retry-After": "99999999"}), Outcome(Result.FAILED, "localhost answered 429", WAIT_MAX_S)),
        (
            Answer(429, b"", {"Retry-After": "Thu, 01 Jan 2026 00:01:30 GMT"}),
            Outcome(Result.FAILED, "localhost answered 429", 90.0),
        ),
        (
            Answer(429, b"", {"Retry-After": "Thu, 01 Jan 2015 00:00:00 GMT"}),
            Outcome(Result.FAILED, "localhost answered 429", 0.0),
        ),
        (Answer(429, b"", {"Retry-After": "soon"}), Outcome(Result.FAILED, "localhost answered 429")),
        (408, Outcome(Result.FAILED, "localhost answered 408")),
        (425, Outcome(Result.FAILED, "localhost answered 425")),
        (404, Outcome(Result.DEAD, "localhost answered 404")),
        (Answer(401, b"who are you?"), Outcome(Result.DEAD, "localhost answered 401: who are you?")),
    ],
)
def test_the_status_decides(answer: int | Answer, outcome: Outcome, make: Make) -> None:
    """2xx is delivered; what may go well later is tried again, not before ``Retry-After``; the rest is dead."""
    with Receiver(answer) as receiver:
        assert posted(make(receiver.url, wall=lambda: 1_767_225_600.0)) == outcome


def test_an_answer_that_repeats_the_address_is_told_without_it(make: Make) -> None:
    """Parts of the address, of headers and secrets in what a receiver says are hidden."""
    with Receiver(Answer(404, b"Cannot POST /hook/geheim-1?key=geheim-2 for geheim-3")) as receiver:
        outcome = posted(make(f"{receiver.url}/hook/geheim-1?key=geheim-2", headers={"X-Key": "geheim-3"}))
    assert outcome.reason == "localhost answered 404: Cannot POST *** for ***"


def test_a_receiver_that_wants_no_more_ends_the_sink(make: Make) -> None:
    """410 is final, and says what to do."""
    refused = pytest.raises(SinkRefused, match="localhost answered 410: moved out")
    with Receiver(Answer(410, b"moved out")) as receiver, refused as caught:
        posted(make(receiver.url))
    assert caught.value.is_final
    assert caught.value.hint


def test_no_redirect_is_followed(make: Make) -> None:
    """An answer that names another address, say one of a private network, leads nowhere."""
    with Receiver() as inside, Receiver(Answer(307, b"", {"Location": inside.url})) as receiver:
        outcome = posted(make(receiver.url))
    assert outcome.result is Result.DEAD
    assert "redirects are not followed" in str(outcome.reason)
    assert inside.got == []


# -- what goes wrong on the way ----------------------------------------------------------------------


def dies(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 20")
    connection.shutdown(socket.SHUT_RDWR)


def talks_otherwise(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example.org ESMTP\r\n")


def drips(connection: socket.socket) -> None:
    """Each piece comes in time, the whole never does."""
    for letter in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200:
        connection.sendall(bytes([letter]))
        time.sleep(0.1)


def trails(connection: socket.socket) -> None:
    """The status is there, and then nothing for a long time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    time.sleep(3)


@pytest.mark.parametrize(
    ("act", "why"), [(dies, "its answer is no HTTP"), (talks_otherwise, "its answer is no HTTP"), (drips, "in time")]
)
def test_an_answer_that_is_none(act: Callable[[socket.socket], None], why: str, make: Make) -> None:
    """A receiver that dies amid its answer, speaks something else or never ends it is out of reach, in time."""
    with Receiver(act) as receiver:
        start_s = time.monotonic()
        with pytest.raises(SinkUnreachable, match=why) as caught:
            posted(make(f"{receiver.url}/token", timeout_s=1.0))
    assert time.monotonic() - start_s < 3
    assert "localhost" in caught.value.message
    assert "token" not in str(caught.value)
    assert caught.value.hint


def test_a_status_counts_without_the_rest(make: Make) -> None:
    """Who said 200 has it, even if what follows never comes."""
    with Receiver(trails) as receiver:
        assert posted(make(receiver.url, timeout_s=0.5)) == DELIVERED


def test_whatever_happens_between_them(make: Make) -> None:
    """Reset, refused and stalled connections are said as such; afterwards all goes on with the same sink."""
    with Receiver() as receiver, Proxy(receiver.port) as proxy:
        sink = make(f"http://localhost:{proxy.port}/", secret(), timeout_s=0.5)
        sink.open()
        assert posted(sink, 1) == DELIVERED
        proxy.cut()
        assert posted(sink, 2) == DELIVERED  # a connection that was kept and is gone is no failure
        proxy.down()
        with pytest.raises(SinkUnreachable, match="refused"):
            posted(sink, 3)
        with pytest.raises(SinkUnreachable, match="refused"):
            sink.open()
        proxy.up()
        proxy.stall()
        with pytest.raises(SinkUnreachable, match="no answer in time"):
            posted(sink, 3)
        proxy.resume()
        sink.open()
        assert posted(sink, 3) == DELIVERED
        proxy.delay(0.05)
        assert posted(sink, 4) == DELIVERED


def test_nothing_is_lost_through_many_cuts(make: Make) -> None:
    """While every connection is reset again and again, each event arrives; a repeat is the same to the byte."""
    ended = threading.Event()
    with Receiver() as receiver, Proxy(receiver.port) as proxy:
        sink = make(f"http://localhost:{proxy.port}/", secret())

        def cut() -> None:
            while not ended.wait(0.01):
                proxy.cut()

        cutting = threading.Thread(target=cut)
        cutting.start()
        failures = 0
        try:
            for seq in range(1, 301):
                while True:
                    try:
                        assert posted(sink, seq) == DELIVERED
                        break
                    except SinkUnreachable:
                        failures += 1
        finally:
            ended.set()
            cutting.join()
    bodies: dict[str, set[bytes]] = {}
    for got in receiver.got:
        bodies.setdefault(got.headers["webhook-id"], set()).add(got.body)
    assert len(bodies) == 300
    assert {len(same) for same in bodies.values()} == {1}
    assert proxy.connections > 3


def test_a_receiver_that_resets_is_out_of_reach(make: Make) -> None:
    """Every connection is reset as soon as it is used."""
    with Receiver() as receiver, Proxy(receiver.port) as proxy:
        sink = make(f"http://localhost:{proxy.port}/")

        def resolve(*asked: Any, **how: Any) -> Sequence[tuple[Any, ...]]:
            proxy.stall()
            threading.Timer(0.2, proxy.cut).start()
            return socket.getaddrinfo(*asked, **how)

        sink._resolve = resolve
        with pytest.raises(SinkUnreachable, match="reset"):
            posted(sink)


def test_close_ends_what_waits(make: Make) -> None:
    """A delivery that waits for an answer in another thread comes back within a second."""
    asked = threading.Event()

    def waits(connection: socket.socket) -> None:
        asked.set()
        connection.recv(1)

    with Receiver(waits) as receiver:
        sink = make(receiver.url, timeout_s=30.0)
        with ThreadPoolExecutor(1) as pool:
            delivery = pool.submit(posted, sink)
            assert asked.wait(5)
            start_s = time.monotonic()
            sink.close()
            with pytest.raises(SinkUnreachable, match="was ended"):
                delivery.result(5)
            assert time.monotonic() - start_s < 1
        with pytest.raises(SinkUnreachable, match="was ended"):
            posted(sink)


# -- TLS ---------------------------------------------------------------------------------------------


def test_tls_is_checked(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown certificate is refused with the next step; a known one is accepted for its own name only."""
    with Receiver(tls=tmp_path) as receiver:
        with pytest.raises(SinkUnreachable, match="certificate is not trusted") as caught:
            make(receiver.url).open()
        assert "SSL_CERT_FILE" in str(caught.value.hint)
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(receiver.ca or ""))
        sink = make(receiver.url, secret())
        sink.open()
        assert [posted(sink, seq) for seq in (1, 2, 3)] == [DELIVERED] * 3
        assert len({got.client for got in receiver.got}) == 1
        with pytest.raises(SinkUnreachable, match="certificate is not trusted"):
            posted(make(receiver.url.replace("localhost", "127.0.0.1")))
        with Proxy(receiver.port) as proxy:  # kept connections that are gone, under TLS
            sink = make(f"https://localhost:{proxy.port}/", secret())
            assert posted(sink, 4) == DELIVERED
            proxy.cut()
            assert posted(sink, 5) == DELIVERED
    with Receiver() as plain, pytest.raises(SinkUnreachable, match="TLS failed"):
        posted(make(plain.url.replace("http:", "https:")))


# -- addresses ---------------------------------------------------------------------------------------


def names(*places: str) -> Callable[..., Sequence[tuple[Any, ...]]]:
    """A name server that gives another address each time it is asked, the last one for ever."""
    left = list(places)

    def resolve(_host: str, port: int, **_how: Any) -> Sequence[tuple[Any, ...]]:
        place = left.pop(0) if len(left) > 1 else left[0]
        return socket.getaddrinfo(place, port, type=socket.SOCK_STREAM)

    return resolve


def test_private_addresses_need_the_switch(make: Make) -> None:
    """By default nothing of this machine is reached, however it is named."""
    with Receiver() as receiver:
        for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"):
            with pytest.raises(SinkRefused, match="is not asked") as caught:
                posted(make(f"http://{host}:{receiver.port}/", allow_private=False))
            assert "allow_private" in str(caught.value.hint)
    assert receiver.got == []


@pytest.mark.parametrize("place", ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "0.0.0.0"])
def test_some_addresses_are_never_reached(place: str, make: Make) -> None:
    """The switch does not open them."""
    with pytest.raises(SinkRefused, match="is not asked") as caught:
        posted(make(f"http://{place}/"))
    assert "there is no switch" in str(caught.value.hint)


def test_a_name_that_changes_its_meaning_leads_nowhere(make: Make) -> None:
    """The address that was judged is reached: a name server that says another one later gains nothing."""
    with Receiver() as receiver:
        sink = make(f"http://rebind.example:{receiver.port}/", resolve=names("127.0.0.1", "169.254.169.254"))
        assert posted(sink, 1) == DELIVERED
        assert receiver.got[0].headers["host"] == f"rebind.example:{receiver.port}"
        sink.close()
        with pytest.raises(SinkRefused, match=r"169\.254\.169\.254 is link-local"):
            sink.open()


def test_only_addresses_that_may_be_reached_are_tried(make: Make) -> None:
    """Of the addresses of one name the others are left out."""

    def both(_host: str, port: int, **_how: Any) -> Sequence[tuple[Any, ...]]:
        return [*socket.getaddrinfo("169.254.169.254", port), *socket.getaddrinfo("127.0.0.1", port)]

    with Receiver() as receiver:
        assert posted(make(f"http://two.example:{receiver.port}/", resolve=both)) == DELIVERED


def test_a_name_that_is_not_known(make: Make) -> None:
    """The name and the next step are told; so it is when no name server answers."""

    def fails(*_: Any, **__: Any) -> Sequence[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(SinkUnreachable, match="Name or service not known") as caught:
        make("https://nowhere.example/token", resolve=fails).open()
    assert "getent hosts nowhere.example" in str(caught.value.hint)
    assert "token" not in str(caught.value)
    ended = threading.Event()
    hangs = make("https://slow.example/", timeout_s=0.3, resolve=lambda *_, **__: ended.wait(5) and [])
    with pytest.raises(SinkUnreachable, match="no name server answers"):
        hangs.open()
    ended.set()


# -- options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        Options("ftp://example.org/geheim"),
        Options("https:///geheim"),
        Options("https://me:geheim@example.org/"),
        Options("https://example.org/geheim\r\nX: y"),
        Options("https://example.org:99999/geheim"),
        Options("https://example.org/", ("whsec_geheim!",)),
        Options("https://example.org/", (secret(), "whsec_Z2VoZWlt")),
        Options("https://example.org/", headers={"Host": "geheim"}),
        Options("https://example.org/", headers={"X-Key": "geheim\r\n"}),
        Options("https://example.org/", headers={"webhook-id": "geheim"}),
    ],
)
def test_what_cannot_work_is_refused_without_being_shown(options: Options) -> None:
    """Bad options are told by their name; no text holds a secret."""
    with pytest.raises(BadSetting) as caught:
        Webhook(options, time.time, time.monotonic)
    assert caught.value.hint
    for text in (str(caught.value), repr(options)):
        assert "geheim" not in text
        assert "Z2VoZWlt" not in text
