"""The sinks of the configuration document: what all types have in common, and what each has for itself.

Gives one frozen section for each sink, told apart by its ``type``. Source: docs/settings.md, section Sinks.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal, Union, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema

from mediasluice.config import values
from mediasluice.config.fields import Duration, Section
from mediasluice.model.events import EventType


def _event_patterns(value: object) -> tuple[str, ...]:
    """Take patterns of event types; one that no event can have is refused."""
    patterns = values.listed(value)
    for pattern in patterns:
        if not any(fnmatchcase(kind.value, pattern) for kind in EventType):
            raise ValueError(f"{pattern!r} is no event: they are {', '.join(kind.value for kind in EventType)}")
    return patterns


def _url(*schemes: str) -> BeforeValidator:
    """Accept an address of one of these schemes; what it says is not repeated, it may hold a password."""

    def check(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            parts = urlsplit(value)
            port_is_number = parts.port is None or parts.port > 0
        except ValueError:
            port_is_number = False
            parts = urlsplit("")
        if parts.scheme not in schemes or not port_is_number:
            raise ValueError(f"is not an address; write it like {schemes[0]}://host")
        return value

    return BeforeValidator(check)


Words = Annotated[
    tuple[str, ...],
    BeforeValidator(values.listed),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]
Events = Annotated[
    tuple[str, ...],
    BeforeValidator(_event_patterns),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]


Rule = str | tuple[str, ...]  # a job, or several


class Retry(Section):
    max: Annotated[int, Field(ge=0)] | None = None
    cap: Annotated[Duration, Field(gt=0)] | None = None


class Batch(Section):
    max: Annotated[int, Field(ge=1, le=10_000)] | None = None
    window: Duration | None = None


class SinkSection(Section):
    """What every sink has."""

    events: Events = ("*",)
    libraries: Words = ()
    own_actions: bool = True
    announce_existing: bool = False
    retry: Retry = Retry()
    batch: Batch = Batch()
    rate: Annotated[float, Field(gt=0)] | None = None


class RabbitMQ(SinkSection):
    type: Literal["rabbitmq"]
    url: Annotated[str, _url("amqp", "amqps")] = "amqp://guest:guest@localhost:5672/"
    exchange: Annotated[str, Field(min_length=1, max_length=255)] = "file_events"
    instance_id: str | None = None
    metadata_style: Literal["nested", "flat_strings"] = "nested"
    duplicates: Literal["separate", "created", "omit"] = "separate"
    wait_for: Literal["metadata", "nothing"] = "metadata"
    declare_dead: bool = False
    events: Events = ("file.*",)
    announce_existing: bool = True


class Asynq(SinkSection):
    type: Literal["asynq"]
    url: Annotated[str, _url("redis", "rediss", "unix")] = "redis://localhost:6379/0"
    queue: Annotated[str, Field(min_length=1)] = "maintenance"
    map: dict[str, Rule | dict[str, Rule]] = Field(default_factory=dict)
    queues: dict[str, str] = Field(default_factory=dict)
    numbers: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    retries: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    delay: Duration = 0.0
    path_window: Duration = 0.0
    unique_ttl: Annotated[Duration, Field(ge=1)] = values.seconds("30m")
    timeout: Annotated[Duration, Field(ge=1)] = values.seconds("30m")
    retry_max: Annotated[int, Field(ge=0)] = 25
    events: Events = ("file.*",)


class Webhook(SinkSection):
    type: Literal["webhook"]
    url: Annotated[str, _url("https", "http")]
    secrets: Words = ()
    headers: dict[str, str] = Field(default_factory=dict)
    allow_private: bool = False
    timeout: Annotated[Duration, Field(gt=0)] = values.seconds("15s")


class Command(SinkSection):
    type: Literal["command"]
    command: tuple[Annotated[str, Field(pattern=r"^[^\x00]*$")], ...] = Field(min_length=1)
    timeout: Annotated[Duration, Field(gt=0)] = values.seconds("30s")


class Notify(SinkSection):
    type: Literal["notify"]
    urls: Words = Field(min_length=1)
    digest: Duration = values.seconds("5m")
    at_once: tuple[Literal["held", "failed", "offline"], ...] = ("held", "failed", "offline")


SinkOf = Annotated[Union[RabbitMQ, Asynq, Webhook, Command, Notify], Field(discriminator="type")]  # noqa: UP007 - read at run time
SECTIONS: tuple[type[SinkSection], ...] = get_args(get_args(SinkOf)[0])
SECRET_KEYS = ("url", "urls", "secrets", "headers")

TYPES = tuple(get_args(section.model_fields["type"].annotation)[0] for section in SECTIONS)
