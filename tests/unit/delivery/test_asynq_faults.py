from __future__ import annotations

import pytest

from mediasluice.delivery.asynq.faults import address, told
from mediasluice.errors import BadSetting, SinkRefused, SinkUnreachable

redis = pytest.importorskip("redis", reason="the extra `redis` is not installed")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "redis://localhost:6379"),
        ("redis://user:secret@cache.lan:6380/2?password=secret", "redis://cache.lan:6380/2"),
        ("rediss://:sec%2Fret@[::1]/0", "rediss://[::1]:6379/0"),
        ("unix://secret@/run/redis.sock?db=1&password=secret", "unix:///run/redis.sock"),
    ],
)
def test_what_is_shown_of_a_url_has_no_password(url: str, shown: str) -> None:
    """Scheme, host, port and database, or the socket."""
    assert address(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret@localhost",
        "localhost:6379",
        "",
        "redis://:sec/ret@localhost",
        "redis://:sec#ret@localhost",
        "redis://user:12/ret@localhost",
        "redis://user:sec?ret@localhost",
        "redis://:sec@ret@localhost:secret",
        "redis://[secret",
    ],
)
def test_a_url_that_cannot_be_understood_is_refused(url: str) -> None:
    """With what to write instead, and without a piece of the password that made it so."""
    with pytest.raises(BadSetting) as caught:
        address(url)
    assert caught.value.hint
    assert "ret" not in str(caught.value)
    assert "12" not in str(caught.value).replace("/0", "")


@pytest.mark.parametrize(
    ("answer", "family", "what"),
    [
        ("LOADING Redis is loading the dataset in memory", SinkUnreachable, "is still reading its data"),
        ("OOM command not allowed when used memory > 'maxmemory'.", SinkUnreachable, "has no memory left"),
        ("MISCONF Redis is configured to save RDB snapshots", SinkUnreachable, "takes no changes"),
        ("BUSY Redis is busy running a script.", SinkUnreachable, "is busy with a script"),
        ("CLUSTERDOWN The cluster is down", SinkUnreachable, "a cluster that is down"),
        ("MASTERDOWN Link with MASTER is down", SinkUnreachable, "a replica that has lost its primary"),
        ("READONLY You can't write against a read only replica.", SinkRefused, "is a read-only replica"),
        ("MOVED 3999 127.0.0.1:6381", SinkRefused, "a node of a cluster"),
        ("CROSSSLOT Keys in request don't hash to the same slot", SinkRefused, "a node of a cluster"),
        ("NOREPLICAS Not enough good replicas to write.", SinkRefused, "has not enough replicas"),
        ("ERR unknown command 'AUTH', with args beginning with: 'secret'", SinkRefused, "does not know a command"),
        ("ERR max number of clients reached", SinkUnreachable, "as many clients as it allows"),
        ("ERR something new", SinkRefused, "refuses: "),
    ],
)
def test_an_answer_of_redis_is_explained(answer: str, family: type[Exception], what: str) -> None:
    """What the driver makes of an answer becomes what it means, where, and what to do; never a password."""
    error = redis._parsers.base.BaseParser.parse_error(answer)
    found = told(error, "redis://cache:6379/0")
    assert type(found) is family
    assert str(found).startswith("Redis at redis://cache:6379/0 ")
    assert what in found.message
    assert found.hint
    assert "secret" not in str(found)
