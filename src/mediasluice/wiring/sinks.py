"""Make the sinks of a document: which type is which, with what is common to all of them.

Takes settings; gives one plan for each sink, from which the service makes a relay. A driver is imported when its sink
is opened: a document may name one that is not installed, and says so in its status.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, assert_never

from mediasluice.catalogue import outbox
from mediasluice.config import sinks as sections
from mediasluice.delivery import command, notify, webhook
from mediasluice.delivery.asynq import sink as asynq
from mediasluice.delivery.rabbitmq import options as broker
from mediasluice.delivery.rabbitmq import sink as rabbitmq
from mediasluice.delivery.relay import Options
from mediasluice.delivery.sink import Sink, Traits
from mediasluice.errors import BadSetting, ConfigError, MissingExtra
from mediasluice.model.paths import text

if TYPE_CHECKING:
    from mediasluice.catalogue.outbox import Fact
    from mediasluice.catalogue.view import View
    from mediasluice.config.document import Settings
    from mediasluice.config.sinks import SinkSection

DRIVERS = {"rabbitmq": ("aiormq", "amqp"), "asynq": ("redis", "redis"), "notify": ("apprise", "notify")}
"""What has to be installed for a type, and by which extra."""

BROKER_CAP_S = 5.0  # design: a broker that is back is noticed within it
CAP_S = 300.0  # chosen: five minutes

Making = tuple[Callable[[], Sink], Traits]


class Needs(NamedTuple):
    """What sinks need of whoever runs them. ``digest`` has the SHA-256 of a fact's content made."""

    open_view: Callable[[], View]
    digest: Callable[[Fact], None]


class Plan(NamedTuple):
    """A sink that is to be there. Two plans with the same ``said`` need no change."""

    name: str
    type: str
    make: Callable[[], Sink]
    traits: Traits
    options: Options
    said: object


def plans(settings: Settings, needs: Needs) -> list[Plan]:
    """One plan for each sink, in the order of the document."""
    found = []
    for name, section in settings.sinks.items():
        make, traits = _making(section, settings, name, needs)
        kind: str = section.type
        said = (section, _places(settings), settings.file_watch.buffer_size)
        found.append(Plan(name, kind, make, traits, _options(section, kind, settings), said))
    return found


def check(settings: Settings) -> None:
    """See that each sink of a document could be made; fails with BadSetting or MissingExtra, which name it."""
    for plan in plans(settings, Needs(_no_catalogue, lambda _: None)):
        driver, extra = DRIVERS.get(plan.type, ("", ""))
        if driver and find_spec(driver) is None:
            hint = f"pip install 'mediasluice[{extra}]'"
            raise MissingExtra(f"sinks.{plan.name}: a sink of type {plan.type} needs {driver}", hint=hint)
        if plan.type == "rabbitmq":  # its address is judged with the document, and the rest needs the catalogue
            continue
        try:
            plan.make().close()
        except ConfigError as error:
            raise BadSetting(f"sinks.{plan.name}: {error.message}", hint=error.hint) from error


def _no_catalogue() -> View:
    raise NotImplementedError


def _making(section: sections.SinkOf, settings: Settings, name: str, needs: Needs) -> Making:
    """How a sink of this type is made, and what it is like."""
    if isinstance(section, sections.Webhook):
        hook = webhook.Options(
            section.url, section.secrets, section.allow_private, section.timeout, headers=section.headers
        )
        return lambda: webhook.Webhook(hook, time.time, time.monotonic), webhook.TRAITS
    if isinstance(section, sections.Command):
        called = command.Options(section.command, section.timeout)
        return lambda: command.Command(called, time.monotonic), command.TRAITS
    if isinstance(section, sections.Asynq):
        mapping = settings.mapping(section)
        return lambda: asynq.AsynqSink(mapping, time.time_ns), asynq.TRAITS
    if isinstance(section, sections.Notify):
        told = notify.Options(section.urls, section.digest, frozenset(map(notify.Urgency, section.at_once)))
        return lambda: notify.Notify(told, time.monotonic), notify.TRAITS
    if isinstance(section, sections.RabbitMQ):
        return _rabbitmq(section, name, needs), rabbitmq.TRAITS
    assert_never(section)


def _rabbitmq(section: sections.RabbitMQ, name: str, needs: Needs) -> Callable[[], Sink]:
    def make() -> Sink:
        with needs.open_view() as view:
            instance = section.instance_id or view.ask(outbox.epoch_of)[:8]
            roots = [
                text(root.path) for root in view.roots() if not section.libraries or root.library in section.libraries
            ]
        options = broker.Options(
            url=section.url,
            instance_id=instance,
            exchange=section.exchange,
            metadata_style=broker.MetadataStyle(section.metadata_style),
            duplicates=broker.Duplicates(section.duplicates),
            wait_for=broker.WaitFor(section.wait_for),
            declare_dead=section.declare_dead,
            watched_directory=", ".join(roots),
        )
        return rabbitmq.RabbitSink(name, options, needs.open_view, time.monotonic, needs.digest)

    return make


def _options(section: SinkSection, kind: str, settings: Settings) -> Options:
    cap_s = BROKER_CAP_S if kind in {"rabbitmq", "asynq"} else CAP_S
    return Options(
        events=section.events,
        libraries=section.libraries,
        own_actions=section.own_actions,
        from_start=section.announce_existing,
        retry_max=section.retry.max,
        retry_cap_s=cap_s if section.retry.cap is None else section.retry.cap,
        batch=section.batch.max,
        window_s=section.batch.window,
        rate=section.rate,
        library_rates={
            name: (one.rate.events_per_second, one.rate.burst)
            for name, one in settings.sections.items()
            if one.rate.events_per_second is not None
        },
        read_ahead=max(settings.file_watch.buffer_size, notify.FULL if kind == "notify" else 1),
    )


def _places(settings: Settings) -> tuple[object, ...]:
    """What a sink may need to know of the libraries."""
    return tuple((name, one.type, one.path, one.rate, one.jobs) for name, one in settings.sections.items())
