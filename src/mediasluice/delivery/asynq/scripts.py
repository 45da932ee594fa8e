"""What happens in Redis when a task is enqueued: one script for each operation, so that it happens whole or not at all.

Each looks for the id first: a task that is there already is never locked for a second time. Asynq's own client takes
the lock before it looks, and leaves it behind when the id is taken.

| script | KEYS | ARGV |
|---|---|---|
| enqueue | task, pending | id, message, now (ns) |
| schedule | task, scheduled | id, message, due (s) |
| enqueue_unique | task, pending, lock, [active, ...] | id, message, now (ns), lock (s), LAST, TYPE, [prefix, ...] |
| schedule_unique | task, scheduled, lock, [active, ...] | id, message, due (s), lock (s), LAST, TYPE, [prefix, ...] |

``active`` are the lists of queues in which a task of this type may run, ``prefix`` begins the keys of their tasks, and
TYPE the messages of the type; LAST is the id of the last task with this lock, or "". All give 1, or 0: there is a task
of this id. Those with a lock may also give, and have changed nothing then:

``{-1, holder, state of the holder, ms of the lock}``: somebody has the lock; an empty state: its task is gone.
``{-2, other}``: a task of this type is active, and this one is not to run beside it.

What may fail is the first write of each script, so that nothing is half done when it does. Fails with: nothing.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class Script(NamedTuple):
    """A text for Redis, and the digest that it knows it by."""

    text: str
    sha: str


def _script(*parts: str) -> Script:
    text = "\n".join(part.strip() for part in parts)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


_UNLESS_THERE = "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end"

# A task that waits longer than its lock lasts, because no worker is there, still has to begin: else there would be one
# more after each lock time, and all of them would run at once. A queue has as many active tasks as its workers take at
# once: the loops stay short. The keys of active lists begin at 4, their prefixes at 7.
_UNLESS_TAKEN = """
local holder = redis.call('GET', KEYS[3])
local begins = string.sub(KEYS[1], 1, -1 - #ARGV[1])
if not holder then
  local state = redis.call('HGET', begins .. ARGV[5], 'state')
  if state == 'pending' or state == 'scheduled' or state == 'active' then holder = ARGV[5] end
end
if holder then
  return {-1, holder, redis.call('HGET', begins .. holder, 'state') or '', redis.call('PTTL', KEYS[3])}
end
for place = 4, #KEYS do
  for _, other in ipairs(redis.call('LRANGE', KEYS[place], 0, -1)) do
    local message = redis.call('HGET', ARGV[place + 3] .. other, 'msg')
    if message and string.sub(message, 1, #ARGV[6]) == ARGV[6] then return {-2, other} end
  end
end
"""

_PENDING = """
redis.call('LPUSH', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'msg', ARGV[2], 'state', 'pending', 'pending_since', ARGV[3])
"""

_SCHEDULED = """
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[1], 'msg', ARGV[2], 'state', 'scheduled')
"""

_LOCKED = """
redis.call('HSET', KEYS[1], 'unique_key', KEYS[3])
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[4])
"""

_DONE = "return 1"

ENQUEUE = _script(_UNLESS_THERE, _PENDING, _DONE)
SCHEDULE = _script(_UNLESS_THERE, _SCHEDULED, _DONE)
ENQUEUE_UNIQUE = _script(_UNLESS_THERE, _UNLESS_TAKEN, _PENDING, _LOCKED, _DONE)
SCHEDULE_UNIQUE = _script(_UNLESS_THERE, _UNLESS_TAKEN, _SCHEDULED, _LOCKED, _DONE)
ALL = (ENQUEUE, SCHEDULE, ENQUEUE_UNIQUE, SCHEDULE_UNIQUE)
