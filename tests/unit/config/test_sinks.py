"""Sinks in the document: told apart by their type, each with its keys, and never with their secrets in a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediasluice.config.document import keys
from mediasluice.config.layers import STARS, Loaded, load
from mediasluice.config.sinks import TYPES, Asynq, RabbitMQ, Webhook
from mediasluice.errors import BadSetting

MINIMAL = {
    "rabbitmq": "",
    "asynq": "",
    "webhook": "url: https://example.org/hook",
    "command": "command: [/bin/true]",
    "notify": "urls: json://example.org",
}


def document(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return load(file, environ or {}, {})


def test_there_is_a_minimal_sink_of_every_type() -> None:
    """The table of this test leaves none out."""
    assert MINIMAL.keys() == set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_and_what_it_cannot_guess_are_enough(tmp_path: Path, kind: str) -> None:
    """A sink works with its type and an address; all that it may say is listed with its default."""
    loaded = document(tmp_path, f"sinks: {{s: {{type: {kind}, {MINIMAL[kind]}}}}}")
    assert loaded.settings.sinks["s"].type == kind
    shown = {row.key.removeprefix("sinks.s.") for row in loaded.rows() if row.key.startswith("sinks.s.")}
    assert {"type", "events", "retry.max", "retry.cap", "rate"} <= shown
    assert shown <= {".".join(key[2:]) for key in keys() if key[0] == "sinks"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{type: kafka}", "sinks.s: its `type` should be one of rabbitmq, asynq, webhook, command, notify"),
        ("{url: amqp://h}", "sinks.s: its `type` should be one of"),
        ("{type: rabbitmq, exchnge: x}", "sinks.s.exchnge: unknown key; did you mean sinks.s.exchange?"),
        ("{type: webhook}", "sinks.s.url: is missing"),
        ("{type: rabbitmq, events: file.craeted}", "sinks.s.events: 'file.craeted' is no event"),
        ("{type: asynq, url: 'redis://h:port'}", "is not an address; write it like redis://host"),
        ("{type: command, command: []}", "sinks.s.command"),
        ("{type: rabbitmq, batch: {max: 0}}", "sinks.s.batch.max"),
    ],
)
def test_what_is_wrong_is_said_where_it_is(tmp_path: Path, text: str, said: str) -> None:
    """The key, what it should be, and the line."""
    with pytest.raises(BadSetting) as refusal:
        document(tmp_path, f"sinks:\n  s: {text}")
    assert said in str(refusal.value)
    assert "line 2" in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "{type: rabbitmq, url: 'amq://guest:sesame@h'}",
        "{type: webhook, url: 'https://sesame@h', secrets: {a: sesame}}",
        "{type: notify, urls: {a: sesame}}",
        "[sesame]",
    ],
)
def test_an_error_repeats_no_secret(tmp_path: Path, text: str) -> None:
    """What may hold a password is shown as stars, also where it is wrong."""
    with pytest.raises(BadSetting) as refusal:
        document(tmp_path, f"sinks: {{s: {text}}}")
    assert "sesame" not in str(refusal.value)


def test_secrets_are_stars(tmp_path: Path) -> None:
    """Who is shown the settings is not shown the keys to other systems."""
    text = "sinks: {q: {type: rabbitmq, url: 'amqp://u:sesame@h'}, w: {type: webhook, url: 'https://h', secrets: s}}"
    rows = {row.key: row.value for row in document(tmp_path, text).rows()}
    assert (rows["sinks.q.url"], rows["sinks.w.url"], rows["sinks.w.secrets"]) == (STARS, STARS, STARS)
    assert "sesame" not in repr(rows)


def test_the_environment_changes_a_sink(tmp_path: Path) -> None:
    """A variable with the name of a sink goes over the document; a secret may come from a file."""
    secret = tmp_path / "url"
    secret.write_text("amqp://u:p@other\n")
    environ = {"SLUICE_SINKS__MY_QUEUE__URL_FILE": str(secret), "SLUICE_SINKS__MY_QUEUE__EXCHANGE": "x"}
    sink = document(tmp_path, "sinks: {my-queue: {type: rabbitmq}}", environ).settings.sinks["my-queue"]
    assert isinstance(sink, RabbitMQ)
    assert (sink.url, sink.exchange) == ("amqp://u:p@other", "x")


def test_lists_may_be_words(tmp_path: Path) -> None:
    """Patterns, libraries and secrets may be written with commas, as in an environment."""
    sinks = document(
        tmp_path,
        "sinks: {a: {type: asynq, events: 'file.created, item.*', libraries: a}, "
        "b: {type: webhook, url: 'https://h', secrets: 'whsec_a, whsec_b'}}",
    ).settings.sinks
    assert isinstance(sinks["a"], Asynq)
    assert isinstance(sinks["b"], Webhook)
    assert (sinks["a"].events, sinks["a"].libraries) == (("file.created", "item.*"), ("a",))
    assert sinks["b"].secrets == ("whsec_a", "whsec_b")
