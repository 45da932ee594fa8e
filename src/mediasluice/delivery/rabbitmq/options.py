"""What may be set of the RabbitMQ sink.

``url``: amqp or amqps; its query takes ``cafile``, ``capath``, ``certfile``, ``keyfile``, ``no_verify_ssl=1`` and
``heartbeat``. The password in it is never shown. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class MetadataStyle(StrEnum):
    """How ``metadata`` of a message looks."""

    NESTED = "nested"  # numbers, and the tags as an object
    FLAT_STRINGS = "flat_strings"  # text values only, tags beside the rest: for those who keep each as a string


class Duplicates(StrEnum):
    """What is told of a file whose content was announced under another path."""

    SEPARATE = "separate"  # with the routing key file.duplicate
    CREATED = "created"  # as of any other file
    OMIT = "omit"  # nothing, until the announced path is gone


class WaitFor(StrEnum):
    """What sound and video wait for before they are announced."""

    METADATA = "metadata"  # the second pass has read what stands inside, at most ``wait_limit_s``
    NOTHING = "nothing"


@dataclass(frozen=True)
class Options:
    """The settings of one RabbitMQ sink."""

    url: str = field(repr=False)  # it holds a password
    instance_id: str
    exchange: str = "file_events"
    metadata_style: MetadataStyle = MetadataStyle.NESTED
    duplicates: Duplicates = Duplicates.SEPARATE
    wait_for: WaitFor = WaitFor.METADATA
    declare_dead: bool = False  # the exchange and a queue for what consumers reject
    watched_directory: str = ""  # shown by the broker beside the connection; messages carry that of their file
    wait_limit_s: float = 30.0  # chosen: reading a large video over a network takes some seconds
    window: int = 100  # messages that wait for their confirmation at once, chosen: 4 times as fast as one by one
    connect_timeout_s: float = 10.0  # chosen: a broker that is busy answers within some seconds
    confirm_timeout_s: float = 10.0  # without any confirmation, chosen: it writes to disk before it confirms
    heartbeat_s: int = 30  # what Tracktion's file watcher asks for
