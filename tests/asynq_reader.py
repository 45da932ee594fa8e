"""What a worker of Asynq sees in Redis, read and checked by the description of the format and by nothing of ours.

``decoded`` takes the bytes of a message apart; ``AsynqReader`` looks at every key of a queue and refuses whatever the
format does not know; ``Worker`` takes tasks, ends them, fails them and archives them as Asynq's own server does. It is
a stand-in for the real one: the order of its steps, its keys and its states are those of Asynq 0.25.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

_NAMES = {
    1: "type", 2: "payload", 3: "id", 4: "queue", 5: "retry", 6: "retried", 7: "error_msg", 8: "timeout",
    9: "deadline", 10: "unique_key", 11: "last_failed_at", 12: "retention", 13: "completed_at", 14: "group_key",
}  # fmt: skip
_TEXTS = frozenset({1, 3, 4, 7, 10, 14})
_NUMBERS = frozenset({5, 6, 8, 9, 11, 12, 13})
_STATES = frozenset({"pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"})
_HASH_FIELDS = frozenset({"msg", "state", "pending_since", "unique_key", "group", "result"})
LEASE_S = 30


class Message(NamedTuple):
    """A task as it stands in Redis."""

    type: str = ""
    payload: bytes = b""
    id: str = ""
    queue: str = ""
    retry: int = 0
    retried: int = 0
    error_msg: str = ""
    timeout: int = 0
    deadline: int = 0
    unique_key: str = ""
    last_failed_at: int = 0
    retention: int = 0
    completed_at: int = 0
    group_key: str = ""


def decoded(data: bytes) -> Message:
    """A message; fails where Go's would, and where Go would have written it in another way."""
    fields: dict[str, Any] = {}
    at = last = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        assert number > last, f"field {number} after {last}: not ascending"
        last = number
        assert kind == (0 if number in _NUMBERS else 2), f"field {number} has wire type {kind}"
        value: Any
        value, at = _varint(data, at)
        if kind == 0:
            value = value - (1 << 64) if value >> 63 else value
        else:
            size, value = value, data[at : at + value]
            assert len(value) == size, "cut off"
            at += size
            value = value.decode() if number in _TEXTS else value
        assert value, f"field {number} is written though it is zero"
        fields[_NAMES[number]] = value
    return Message(**fields)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if not byte & 128:
            assert byte or shift == 7, "a varint that is longer than it needs to be"
            return number, at


class Seen(NamedTuple):
    """A task with all that stands beside its message."""

    message: Message
    state: str
    pending_since_ns: int | None


class AsynqReader:
    """Every task of a queue, after a look at all of its keys."""

    def __init__(self, redis: Any, queue: str = "maintenance") -> None:
        self.redis, self.queue, self.prefix = redis, queue, f"asynq:{{{queue}}}:"

    def tasks(self) -> list[Seen]:
        """All tasks, those that wait in the order in which a worker takes them."""
        redis, begins = self.redis, self.prefix
        assert self._text(redis.type("asynq:queues")) in {"set", "none"}
        places: dict[str, list[str]] = {
            "pending": self._texts(redis.lrange(begins + "pending", 0, -1))[::-1],
            "active": self._texts(redis.lrange(begins + "active", 0, -1)),
        }
        for state in ("scheduled", "retry", "archived", "completed"):
            places[state] = self._texts(redis.zrange(begins + state, 0, -1))
        listed = {one: state for state, ids in places.items() for one in ids}
        assert len(listed) == sum(map(len, places.values())), "a task stands in two places"
        hashes, locks = self._keys()
        assert hashes == set(listed), "a task without its place, or a place without its task"
        found = {one: self._task(one, state) for one, state in listed.items()}
        for lock, holder in locks.items():
            assert redis.ttl(lock) > 0, f"{lock} never ends"
            assert holder not in found or found[holder].message.unique_key == lock
        if found:
            assert redis.sismember("asynq:queues", self.queue), "the queue is not in the list of queues"
        return list(found.values())

    def _keys(self) -> tuple[set[str], dict[str, str]]:
        hashes: set[str] = set()
        locks: dict[str, str] = {}
        kinds = {"pending": "list", "active": "list", "paused": "string", "processed": "string", "failed": "string"}
        for key in map(self._text, self.redis.scan_iter(self.prefix.replace("{", "[{]").replace("}", "[}]") + "*")):
            rest, kind = key.removeprefix(self.prefix), self._text(self.redis.type(key))
            if rest.startswith("t:"):
                assert kind == "hash"
                hashes.add(rest[2:])
            elif rest.startswith("unique:"):
                assert kind == "string"
                locks[key] = self._text(self.redis.get(key))
            else:
                assert kind == kinds.get(re.sub(r":\d{4}-\d\d-\d\d$", "", rest), "zset"), f"{key} is a {kind}"
                assert re.fullmatch(
                    r"(pending|active|lease|scheduled|retry|archived|completed|paused)|(processed|failed)(:[\d-]+)?",
                    rest,
                ), f"no such key: {key}"
        return hashes, locks

    def _task(self, one: str, state: str) -> Seen:
        fields = {self._text(name): value for name, value in self.redis.hgetall(f"{self.prefix}t:{one}").items()}
        assert set(fields) <= _HASH_FIELDS
        message = decoded(fields["msg"])
        assert (message.id, message.queue, self._text(fields["state"])) == (one, self.queue, state)
        assert state in _STATES
        assert message.type.strip()
        assert message.timeout or message.deadline, "the worker complains about a task without an end"
        assert self._text(fields.get("unique_key", b"")) == message.unique_key
        if message.unique_key:
            path = json.loads(message.payload).get("path", "").encode()
            locked = path if message.type.startswith("file:") else message.payload  # a file is locked by its path
            digest = hashlib.md5(locked).hexdigest()
            assert message.unique_key == f"{self.prefix}unique:{message.type}:{digest}"
        since = fields.get("pending_since")
        assert (since is not None) == (state == "pending")
        assert since is None or re.fullmatch(rb"\d{19}", since), "nanoseconds since the epoch"
        return Seen(message, state, None if since is None else int(since))

    def _text(self, value: bytes | str) -> str:
        return value.decode() if isinstance(value, bytes) else value

    def _texts(self, values: Any) -> list[str]:
        return [self._text(value) for value in values]


# What Asynq 0.25 does on the side of the worker, script by script.
_DEQUEUE = """
if redis.call('EXISTS', KEYS[2]) == 1 then return nil end
local id = redis.call('RPOPLPUSH', KEYS[1], KEYS[3])
if not id then return nil end
local key = ARGV[2] .. id
redis.call('HSET', key, 'state', 'active')
redis.call('HDEL', key, 'pending_since')
redis.call('ZADD', KEYS[4], ARGV[1], id)
return redis.call('HGET', key, 'msg')
"""
_DONE = """
if redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 then return redis.error_reply('NOT FOUND') end
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return redis.error_reply('NOT FOUND') end
if redis.call('DEL', KEYS[3]) == 0 then return redis.error_reply('NOT FOUND') end
redis.call('INCR', KEYS[4])
if KEYS[5] ~= '' and redis.call('GET', KEYS[5]) == ARGV[1] then redis.call('DEL', KEYS[5]) end
return redis.status_reply('OK')
"""
_ELSEWHERE = """
if redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 then return redis.error_reply('NOT FOUND') end
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return redis.error_reply('NOT FOUND') end
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[3], 'msg', ARGV[2], 'state', ARGV[4])
return redis.status_reply('OK')
"""
_FORWARD = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 100)
for _, id in ipairs(ids) do
  redis.call('LPUSH', KEYS[2], id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HSET', ARGV[2] .. id, 'state', 'pending', 'pending_since', ARGV[3])
end
return #ids
"""


class Worker:
    """Takes the tasks of a queue, one by one."""

    def __init__(self, redis: Any, clock_ns: Callable[[], int], queue: str = "maintenance") -> None:
        self.redis, self.begins, self._clock_ns = redis, f"asynq:{{{queue}}}:", clock_ns

    def take(self) -> Message | None:
        """The next task, which is active from now on."""
        keys = [self.begins + name for name in ("pending", "paused", "active", "lease")]
        lease = self._clock_ns() // 10**9 + LEASE_S
        found = self.redis.eval(_DEQUEUE, 4, *keys, lease, f"{self.begins}t:")
        return None if found is None else decoded(found)

    def done(self, task: Message) -> None:
        """It went well: the task is gone, and its lock if it is still its own."""
        self.redis.eval(_DONE, 5, *self._keys(task), self.begins + "processed", task.unique_key, task.id)

    def fails(self, task: Message, retry_in_s: int = 15) -> None:
        """It went wrong and is tried again; its lock stays."""
        self._elsewhere(task, "retry", self._clock_ns() // 10**9 + retry_in_s)

    def archives(self, task: Message) -> None:
        """It went wrong for the last time; its lock stays."""
        self._elsewhere(task, "archived", self._clock_ns() // 10**9)

    def forwards(self) -> int:
        """What is due of the tasks for later begins to wait for a worker."""
        return sum(
            int(
                self.redis.eval(
                    _FORWARD, 2, self.begins + state, self.begins + "pending",
                    self._clock_ns() // 10**9, f"{self.begins}t:", self._clock_ns(),
                )
            )
            for state in ("scheduled", "retry")
        )  # fmt: skip

    def drain(self) -> list[Message]:
        """Take and end all that waits."""
        taken = []
        while (task := self.take()) is not None:
            self.done(task)
            taken.append(task)
        return taken

    def _keys(self, task: Message) -> list[str]:
        return [f"{self.begins}active", f"{self.begins}lease", f"{self.begins}t:{task.id}"]

    def _elsewhere(self, task: Message, state: str, score: int) -> None:
        message = self.redis.hget(f"{self.begins}t:{task.id}", "msg")
        self.redis.eval(_ELSEWHERE, 4, *self._keys(task), self.begins + state, task.id, message, score, state)
