"""Every fact reaches every sink: the real service with real receivers, a real Redis, a program, and their outages."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from standardwebhooks.webhooks import Webhook

from tests.asynq_reader import AsynqReader, Worker
from tests.proxy import Proxy
from tests.receivers import Answer, Receiver
from tests.redis_server import redis_server
from tests.samples import jpeg
from tests.service import Line, Sluice, scaled, until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SOON_S = 30.0
QUICK = {"settle": {"complete": "0s", "unknown": "0s", "truncated": "0s"}}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    with Sluice(tmp_path / "home", config={}) as it:
        yield it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def document(folder: Path, sinks: dict[str, Any], **library: Any) -> dict[str, Any]:
    return {"libraries": {"in": {"path": str(folder), **QUICK, **library}}, "sinks": sinks, "previews": {"of": "none"}}


def sinks(sluice: Sluice) -> dict[str, Line]:
    return {row["name"]: row for row in sluice.lines("sinks")}


def caught_up(sluice: Sluice, name: str = "hook") -> bool:
    row = sinks(sluice)[name]
    return bool(row["pending"] == 0 and row["state"] == "active")


def bodies(receiver: Receiver) -> list[Line]:
    return [json.loads(got.body) for got in list(receiver.got)]


def hook(receiver_port: int, **rest: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{receiver_port}/hook"
    return {"hook": {"type": "webhook", "url": url, "secrets": [SECRET], "allow_private": True, **rest}}


# -- webhooks -----------------------------------------------------------------------------------


def test_a_webhook_gets_every_event_signed(sluice: Sluice, folder: Path) -> None:
    """S0-77: each event is posted once, in order per path, and the signature is one that others verify."""
    with Receiver() as receiver:
        sluice.configure(document(folder, hook(receiver.port)))
        service = sluice.start()
        for number in range(20):
            (folder / f"{number}.jpg").write_bytes(jpeg(number))
        service.wait_catalogued([folder / f"{number}.jpg" for number in range(20)], SOON_S)
        (folder / "0.jpg").rename(folder / "zero.jpg")
        (folder / "1.jpg").unlink()
        service.wait(lambda: len(sluice.events("file.deleted")) == 1, "deleted", SOON_S)
        service.wait(lambda: caught_up(sluice), "all delivered", SOON_S)
        service.stop()
        events = sluice.lines("events")
        got = bodies(receiver)
        assert sorted(body["id"] for body in got) == sorted(event["id"] for event in events)
        assert {body["id"]: body["data"]["path"] for body in got} == {one["id"]: one["path"] for one in events}
        for request in receiver.got:
            Webhook(SECRET).verify(request.body, dict(request.headers))
        before = len(got)
        service = sluice.start()
        (folder / "new.jpg").write_bytes(jpeg("new"))
        service.wait(lambda: len(receiver.got) > before, "told of the new file", SOON_S)
        service.wait(lambda: caught_up(sluice), "all delivered", SOON_S)
        assert [body["data"]["path"] for body in bodies(receiver)[before:]] == [str(folder / "new.jpg")]


def test_a_receiver_that_is_away(sluice: Sluice, folder: Path) -> None:
    """While nobody answers, files are catalogued, the backlog is shown, and all of it arrives when somebody does."""
    with Receiver() as receiver, Proxy(receiver.port) as proxy:
        sluice.configure(document(folder, hook(proxy.port, retry={"cap": "1s"})))
        service = sluice.start()
        proxy.down()
        files = [folder / f"{number}.jpg" for number in range(30)]
        for number, file in enumerate(files):
            file.write_bytes(jpeg(number))
        service.wait_catalogued(files, SOON_S)
        for file in files[:10]:
            file.write_bytes(jpeg(f"{file.name} again"))
        service.wait(lambda: len(sluice.events("file.modified")) == 10, "modified", SOON_S)
        row = sinks(sluice)["hook"]
        assert (row["state"], row["pending"]) == ("unreachable", len(sluice.events()))
        assert "127.0.0.1" in row["reason"]
        assert row["oldest"] is not None
        assert sluice.status()["sinks"][0]["pending"] == row["pending"] >= 40
        sluice.call("sinks", "test", "hook", code=75)
        proxy.up()
        service.wait(lambda: caught_up(sluice), "all delivered", SOON_S)
        sluice.call("sinks", "test", "hook", code=0)
        came = defaultdict(list)
        for body in bodies(receiver):
            came[body["data"]["path"]].append(body["type"].rpartition(".")[2])
        assert all(list(dict.fromkeys(types)) in (["created"], ["created", "modified"]) for types in came.values())
        assert {body["id"] for body in bodies(receiver)} >= {event["id"] for event in sluice.events()}


def test_secrets_are_changed_while_it_runs(sluice: Sluice, folder: Path) -> None:
    """A new secret beside the old one, then without it: a receiver that knows either never sees a wrong signature."""
    old, new = SECRET, "whsec_" + "c" * 32
    with Receiver() as receiver:
        sluice.configure(document(folder, hook(receiver.port, secrets=[old])))
        service = sluice.start()

        def next_file(number: int) -> None:
            (folder / f"{number}.jpg").write_bytes(jpeg(number))
            service.wait(lambda: len(receiver.got) == number, "told", SOON_S)

        next_file(1)
        for number, secrets in ((2, [new, old]), (3, [new])):
            sluice.configure(document(folder, hook(receiver.port, secrets=secrets)))
            until(lambda: service.log_text().count("sink_started") == number, "reloaded", SOON_S)  # noqa: B023 - at once
            next_file(number)
        assert len(receiver.got) == 3
        for secret, requests in ((old, receiver.got[:2]), (new, receiver.got[1:])):
            for request in requests:
                Webhook(secret).verify(request.body, dict(request.headers))


def test_dead_letters_are_listed_retried_and_dropped(sluice: Sluice, folder: Path) -> None:
    """What a receiver does not want is kept with its reason, with what follows it, until a person decides."""
    with Receiver(Answer(404, b"no such thing"), 204) as receiver:
        sluice.configure(document(folder, hook(receiver.port)))
        service = sluice.start()
        (folder / "a.jpg").write_bytes(jpeg("a"))
        service.wait(lambda: sinks(sluice)["hook"]["dead"] == 1, "a dead letter", SOON_S)
        (folder / "a.jpg").write_bytes(jpeg("other"))
        (folder / "b.jpg").write_bytes(jpeg("b"))
        service.wait(lambda: len(receiver.got) == 2, "the other file", SOON_S)
        service.wait(lambda: sinks(sluice)["hook"]["parked"] == 1, "parked behind it", SOON_S)
        letters = sluice.lines("sinks", "dead-letters", "hook")
        assert [(one["state"], one["type"]) for one in letters] == [
            ("dead", "file.created"),
            ("parked", "file.modified"),
        ]
        assert "404" in letters[0]["reason"]
        assert sluice.object("sinks", "retry", "hook")["events"] == 2
        service.wait(lambda: len(receiver.got) == 4, "both told", SOON_S)
        assert sluice.lines("sinks", "dead-letters", "hook") == []
        types = [body["type"].rpartition(".")[2] for body in bodies(receiver)]
        assert types == ["created", "created", "created", "modified"]
        sluice.call("sinks", "drop", "hook", "1")


def test_pause_resume_and_replay(sluice: Sluice, folder: Path) -> None:
    """A person stops a sink, lets it go on, and has told again what it lost; also while no service runs."""
    with Receiver() as receiver:
        sluice.configure(document(folder, hook(receiver.port)))
        service = sluice.start()
        sluice.call("sinks", "pause", "hook")
        (folder / "a.jpg").write_bytes(jpeg("a"))
        service.wait_catalogued([folder / "a.jpg"], SOON_S)
        assert (sinks(sluice)["hook"]["state"], sinks(sluice)["hook"]["pending"], receiver.got) == ("paused", 1, [])
        service.stop()
        assert (sinks(sluice)["hook"]["state"], sinks(sluice)["hook"]["pending"]) == ("paused", 1)
        sluice.call("sinks", "resume", "hook")
        service = sluice.start()
        service.wait(lambda: caught_up(sluice), "told", SOON_S)
        sluice.call("sinks", "replay", "hook", "--since", "2020-01-01")
        service.wait(lambda: len(receiver.got) == 2, "told again", SOON_S)
        assert bodies(receiver)[0]["id"] == bodies(receiver)[1]["id"]
        sluice.call("sinks", "replay", "hook", "--since", "yesterday", code=2)
        sluice.call("sinks", "pause", "nobody", code=2)
        sluice.call("sinks", "test", "nobody", code=2)


def test_gone_is_gone(sluice: Sluice, folder: Path) -> None:
    """A receiver that answers 410 is not called again, not after a restart either, until a person says so."""
    with Receiver(410, 204) as receiver:
        sluice.configure(document(folder, hook(receiver.port)))
        service = sluice.start()
        (folder / "a.jpg").write_bytes(jpeg("a"))
        service.wait(lambda: sinks(sluice)["hook"]["state"] == "disabled", "disabled", SOON_S)
        service.stop()
        service = sluice.start()
        assert sinks(sluice)["hook"]["state"] == "disabled"
        assert len(receiver.got) == 1
        sluice.call("sinks", "resume", "hook")
        service.wait(lambda: caught_up(sluice), "told", SOON_S)


# -- programs -----------------------------------------------------------------------------------


def test_a_program_for_each_event(sluice: Sluice, folder: Path, tmp_path: Path) -> None:
    """S1-117: a command gets each event as JSON; one that fails is tried again, and others go on."""
    diary = tmp_path / "diary"
    script = tmp_path / "hook.py"
    script.write_text(
        "import json, os, sys\n"
        "event = json.load(sys.stdin)\n"
        f"seen = open({str(diary)!r}).read() if os.path.exists({str(diary)!r}) else ''\n"
        f"print(event['type'], event['data']['path'], file=open({str(diary)!r}, 'a'))\n"
        "sys.exit(1 if event['data']['path'].endswith('b.jpg') and 'b.jpg' not in seen else 0)\n"
    )
    command = {"type": "command", "command": [sys.executable, str(script)], "events": ["file.created"]}
    sluice.configure(document(folder, {"hook": command}))
    service = sluice.start()
    for name in "abc":
        (folder / f"{name}.jpg").write_bytes(jpeg(name))
    service.wait(lambda: sinks(sluice)["hook"]["delivered"] == 3, "all told", SOON_S)
    lines = diary.read_text().splitlines()
    assert sorted(line.rpartition("/")[2] for line in lines) == ["a.jpg", "b.jpg", "b.jpg", "c.jpg"]


# -- Melodee ------------------------------------------------------------------------------------


def test_an_album_asks_for_one_scan(sluice: Sluice, folder: Path, tmp_path: Path) -> None:
    """S1-19, S1-81, S1-82, S1-112, S1-128: however many files come, one task waits; one more for what comes later."""
    many = scaled(1_000, 5_000)
    with redis_server(tmp_path / "redis") as server:
        client = redis_client.Redis.from_url(server.url)
        sluice.configure(document(folder, {"jobs": {"type": "asynq", "url": server.url}}, type="inbound"))
        service = sluice.start()
        reader, worker = AsynqReader(client), Worker(client, time.time_ns)
        staging = tmp_path / "staging"
        for number in range(many):
            album = staging / str(number // 100)
            album.mkdir(parents=True, exist_ok=True)
            (album / f"{number}.mp3").write_bytes(b"ID3" + str(number).encode() * 20)
        staging.rename(folder / "music")
        service.wait(lambda: len(sluice.events("file.created")) == many, "catalogued", 120)
        service.wait(lambda: caught_up(sluice, "jobs"), "told", SOON_S)
        tasks = reader.tasks()
        assert [(task.state, task.message.type) for task in tasks] == [("pending", "staging:scan")]
        payload = {"source": "file_watcher", "path": str(folder), "type": "create", "trigger": "new_file_added"}
        assert json.loads(tasks[0].message.payload) == payload
        task = worker.take()
        assert task is not None
        (folder / "late.mp3").write_bytes(b"ID3 late")
        service.wait(lambda: "is running" in str(sinks(sluice)["jobs"]["reason"]), "it waits for the scan", SOON_S)
        assert [one.state for one in reader.tasks()] == ["active"]
        worker.done(task)
        service.wait(lambda: [one.state for one in reader.tasks()] == ["pending"], "another scan", SOON_S)
        service.wait(lambda: caught_up(sluice, "jobs"), "told", SOON_S)


def test_redis_is_away_at_the_start(sluice: Sluice, folder: Path, tmp_path: Path) -> None:
    """S1-80, S1-106, S1-108: without Redis everything is logged and catalogued; nothing is lost when it comes."""
    with redis_server(tmp_path / "redis") as server:
        server.kill()
        sluice.configure(document(folder, {"jobs": {"type": "asynq", "url": server.url}}, type="inbound"))
        service = sluice.start()
        (folder / "a.mp3").write_bytes(b"ID3 a")
        service.wait_catalogued([folder / "a.mp3"], SOON_S)
        service.wait(lambda: sinks(sluice)["jobs"]["state"] == "unreachable", "unreachable", SOON_S)
        assert sluice.call("health").returncode == 0
        server.start()
        service.wait(lambda: caught_up(sluice, "jobs"), "told", SOON_S)
        assert len(AsynqReader(redis_client.Redis.from_url(server.url)).tasks()) == 1


# -- documents ----------------------------------------------------------------------------------


def test_sinks_come_and_go_with_the_document(sluice: Sluice, folder: Path) -> None:
    """A sink that is added hears of what happens from then on; one that is removed hears nothing more."""
    with Receiver() as receiver:
        sluice.configure(document(folder, {}))
        service = sluice.start()
        (folder / "a.jpg").write_bytes(jpeg("a"))
        service.wait_catalogued([folder / "a.jpg"], SOON_S)
        sluice.configure(document(folder, hook(receiver.port)))
        until(lambda: "hook" in sinks(sluice), "it is there", SOON_S)
        (folder / "b.jpg").write_bytes(jpeg("b"))
        service.wait(lambda: len(receiver.got) == 1, "told of b", SOON_S)
        sluice.configure(document(folder, {}))
        until(lambda: "hook" not in sinks(sluice), "it is gone", SOON_S)
        (folder / "c.jpg").write_bytes(jpeg("c"))
        service.wait_catalogued([folder / "c.jpg"], SOON_S)
        sluice.configure(document(folder, hook(receiver.port)))
        service.wait(lambda: len(receiver.got) == 2, "told of c, where it was left", SOON_S)
        assert [body["data"]["path"][-5:] for body in bodies(receiver)] == ["b.jpg", "c.jpg"]


def test_a_sink_that_cannot_work_is_told_before_the_start(sluice: Sluice, folder: Path) -> None:
    """A job that does not exist, a webhook without an address: 78, and the key."""
    sluice.configure(document(folder, {"jobs": {"type": "asynq", "map": {"created": "staging:scn"}}}))
    assert "sinks.jobs.map" in sluice.call("run", code=78).stderr
    sluice.configure(document(folder, {"hook": {"type": "webhook"}}))
    assert "sinks.hook.url: is missing" in sluice.call("config", "check", code=78).stderr


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ({"type": "webhook", "url": "https://user:sesame@h"}, "sinks.s:"),
        ({"type": "webhook", "url": "https://h", "secrets": ["sesame"]}, "sinks.s: secrets[0]"),
        ({"type": "webhook", "url": "https://h", "libraries": ["nowhere"]}, "sinks.s.libraries: there is no library"),
    ],
)
def test_a_document_that_cannot_work_is_not_right(sluice: Sluice, folder: Path, sink: Any, said: str) -> None:
    """`config check` and `run` say what a sink lacks before anything happens, and repeat no secret."""
    sluice.configure(document(folder, {"s": sink}))
    for command in (("config", "check"), ("run",)):
        error = sluice.call(*command, code=78).stderr
        assert said in error
        assert "sesame" not in error


def test_nonsense_ends_nothing(sluice: Sluice, folder: Path) -> None:
    """Numbers that no event and no job can have are refused; the service goes on."""
    with Receiver() as receiver:
        sluice.configure(document(folder, hook(receiver.port)))
        service = sluice.start()
        huge = "9" * 30
        for command in (
            ("sinks", "drop", "hook", "x"),
            ("sinks", "drop", "hook", huge),
            ("sinks", "replay", "hook", "--since", huge),
            ("jobs", "show", huge),
            ("jobs", "cancel", huge),
            ("jobs", "resume", huge),
            ("jobs", "run", "verify", "seconds=x"),
            ("jobs", "run", "verify", "foo=1"),
            ("jobs", "run", "verify", "library=nowhere"),
            ("jobs", "run", "digests"),
        ):
            sluice.call(*command, code=2)
        assert sluice.object("jobs", "run", "verify", "seconds=10m", "bytes=1GiB")["id"]
        assert service.process.poll() is None
