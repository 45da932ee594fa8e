"""Which facts become which jobs of Melodee, and what stands in them.

Takes the settings of the sink and of each library, then facts; gives what is wanted of Redis for a batch: one job for
a library however many of its files came, one for a directory, or one for a file. Which of them, says the table:

| job | one for each | payload |
|---|---|---|
| `staging:scan` | library, with a lock | `source`, `path` of the root, `type`, `trigger`: always the same |
| `library:scan` | library, with a lock | `{"library_ids":[NUMBER],"force":false}` |
| `library:process` | directory and batch | `{"library_id":NUMBER,"file_paths":[PATH,...]}` |
| `directory:changed` | directory and batch | `{"path":DIRECTORY,"event_type":"modify","timestamp":RFC3339}` |
| `file:created`, ... | path and batch, or with a lock | `{"path":PATH,"event_type":VERB,"timestamp":RFC3339}` |

A path that is no valid text has U+FFFD where it is not, and stands in `path_raw` (`file_paths_raw`) as base64.
The id of a job is made of the ids of its events, so that the same events give the same job. Times are seconds.
Fails with: BadSetting (a job, an event or a library that does not exist, a number that is missing).
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from mediasluice.catalogue.outbox import Fact
from mediasluice.delivery.asynq import wire
from mediasluice.delivery.asynq.producer import ANSWER_S, Order
from mediasluice.errors import BadSetting
from mediasluice.model.events import Event, EventType

STAGING_SCAN, LIBRARY_SCAN, LIBRARY_PROCESS = "staging:scan", "library:scan", "library:process"
DIRECTORY_CHANGED = "directory:changed"
FILE_JOBS: Final = ("file:created", "file:modified", "file:removed", "file:generic")
JOBS: Final = (STAGING_SCAN, LIBRARY_SCAN, LIBRARY_PROCESS, DIRECTORY_CHANGED, *FILE_JOBS)
NO_JOB = "none"  # takes away what a wider rule says

INBOUND, STAGING = "inbound", "staging"
SCHEDULED_IN = "maintenance"  # where Melodee's own schedule puts its scans
_APPEARS: Final = dict.fromkeys(("created", "modified", "moved", "renamed"), STAGING_SCAN)
BY_TYPE: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({INBOUND: _APPEARS, STAGING: _APPEARS})

_DEFAULT_QUEUE = "default"  # where Melodee itself puts all of these but staging:scan
_FILE_EVENTS: Final = {kind.value.removeprefix("file."): kind for kind in EventType if kind.value.startswith("file.")}
_VERBS: Final = {
    EventType.FILE_CREATED: "create",
    EventType.FILE_MODIFIED: "modify",
    EventType.FILE_DELETED: "remove",
    EventType.FILE_MOVED: "rename",
    EventType.FILE_RENAMED: "rename",
}
_INT32 = (1 << 31) - 1  # what Melodee keeps the number of a library in

Rule = str | Sequence[str]  # a job, several, or NO_JOB
Rules = Mapping[str, Rule]  # by what happened: created, or file.created


class JobLibrary(NamedTuple):
    """What jobs need to know of a library."""

    type: str  # library | inbound | staging | production | photos
    root: bytes  # absolute
    number: int | None = None  # its id in Melodee's database: for library:scan and library:process
    jobs: Rules = MappingProxyType({})  # over everything that the sink says
    queue: str | None = None  # of all its jobs; ``None``: as the sink has it
    retry_max: int | None = None  # ``None``: as the sink has it


class Options(NamedTuple):
    """The settings of the sink."""

    url: str
    libraries: Mapping[str, JobLibrary]  # by name; of others nothing is told
    queue: str = "maintenance"  # of staging:scan
    queues: Mapping[str, str] = MappingProxyType({})  # job -> queue, where it is another one
    map: Mapping[str, Rule | Rules] = MappingProxyType({})  # event -> job; or type or name of a library -> such a map
    unique_ttl_s: float = 1800.0  # of a lock, at least ``timeout_s``
    timeout_s: float = 1800.0  # of a job
    retry_max: int = 25
    delay_s: float = 0.0  # a scan waits so long, that a whole album is there when it begins
    path_window_s: float = 0.0  # a job for a file locks its path so long at most; 0: it takes no lock
    answer_s: float = ANSWER_S  # how long Redis may be silent


class Wanted(NamedTuple):
    """A job that a batch asks for, and the facts that ask for it."""

    order: Order
    job: str
    facts: Sequence[int]  # places in the batch, in the order of the log
    is_logged_only: bool  # while such a job runs, what happens in this library comes from it


class _Want(NamedTuple):
    """What jobs are put together by."""

    job: str
    library: str
    about: bytes  # root, directory or path


class Mapped:
    """The table of a sink, made once."""

    def __init__(self, options: Options) -> None:
        self.options = options
        _fits(options)
        self._table = _table(options)
        named = {(job, self._queue(job, name)) for (name, _), jobs in self._table.items() for job in jobs}
        self.queues = {queue for _, queue in named}
        scanned = {queue for job, queue in named if job == STAGING_SCAN} | {SCHEDULED_IN}
        self._scan_queues = tuple(sorted(scanned))
        self._inbound = tuple(
            library.root.rstrip(b"/") + b"/" for library in options.libraries.values() if library.type == INBOUND
        )

    def wanted(self, facts: Sequence[Fact], over: Mapping[str, frozenset[str]], scanned_us: int = 0) -> list[Wanted]:
        """The jobs of a batch, in the order of the first fact of each.

        ``over``: event -> jobs that it needs no more; ``scanned_us``: until then a scan filled the staging libraries.
        """
        groups: dict[_Want, list[int]] = {}
        for place, fact in enumerate(facts):
            event = fact.event
            jobs = self._table.get((event.library, event.type), ())
            if not jobs or "cause" in event.data:  # we did it ourselves: a scan that it started would go on for ever
                continue
            for job in jobs:
                if job in over.get(event.id, ()) or (job == STAGING_SCAN and self._is_of_scan(event, scanned_us)):
                    continue
                for about in self._about(job, event):
                    groups.setdefault(_Want(job, event.library, about), []).append(place)
        return [self._wanted(want, places, facts) for want, places in groups.items()]

    def _is_of_scan(self, event: Event, scanned_us: int) -> bool:
        """Whether a scan of Melodee made an event: it moves files from inbound to staging, and writes beside them."""
        if self.options.libraries[event.library].type != STAGING:
            return False
        return event.at_us <= scanned_us or (event.old_path is not None and event.old_path.startswith(self._inbound))

    def _about(self, job: str, event: Event) -> tuple[bytes, ...]:
        """What an event is about to a job: jobs about the same are one."""
        if job in {STAGING_SCAN, LIBRARY_SCAN}:
            return (self.options.libraries[event.library].root,)
        if job == LIBRARY_PROCESS:
            return (_directory(event.path),)
        if job == DIRECTORY_CHANGED:
            both = (event.path,) if event.old_path is None else (event.path, event.old_path)
            return tuple(dict.fromkeys(_directory(path) for path in both))
        return (event.path,)

    def _wanted(self, want: _Want, places: list[int], facts: Sequence[Fact]) -> Wanted:
        places.sort(key=lambda place: facts[place].event.seq)
        events = [facts[place].event for place in places]
        library = self.options.libraries[want.library]
        options, queue = self.options, self._queue(want.job, want.library)
        payload = json.dumps(_payload(want, library, events), ensure_ascii=False, separators=(",", ":")).encode()
        is_scan, is_file = want.job in {STAGING_SCAN, LIBRARY_SCAN}, want.job in FILE_JOBS
        lock_s = max(options.unique_ttl_s, options.timeout_s) if is_scan else options.path_window_s * is_file
        locked = want.about if is_file else payload  # that of a file has its time in it
        task = wire.Task(
            type=want.job,
            payload=payload,
            id=_task_id(want, events, is_newest_enough=is_scan or is_file),
            queue=queue,
            retry=options.retry_max if library.retry_max is None else library.retry_max,
            timeout=max(1, round(options.timeout_s)),
            unique_key=wire.lock(queue, want.job, locked) if lock_s else "",
        )
        order = Order(
            task,
            delay_s=options.delay_s if is_scan else 0.0,
            lock_s=lock_s,
            alone_in=self._scan_queues if want.job == STAGING_SCAN else (),  # two of them would move the same files
        )
        is_logged_only = want.job == STAGING_SCAN and library.type == STAGING
        return Wanted(order, want.job, places, is_logged_only)

    def _queue(self, job: str, library: str) -> str:
        named = self.options.libraries[library].queue or self.options.queues.get(job)
        return named or (self.options.queue if job == STAGING_SCAN else _DEFAULT_QUEUE)


def _directory(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"


def _task_id(want: _Want, events: Sequence[Event], *, is_newest_enough: bool) -> str:
    """The id of the job of these events.

    A job with a lock carries the newest of its events: who finds it there knows that it was enqueued after all of
    them. One that lists files carries them all, because with other events it is another list.
    """
    name = f"{events[-1].id}.{want.job.replace(':', '-')}"
    if is_newest_enough:
        return name
    listed = b"\0".join([want.about, *(event.id.encode() for event in events)])
    return f"{name}.{hashlib.blake2b(listed, digest_size=8).hexdigest()}"


# -- payloads ---------------------------------------------------------------------------------------


def _payload(want: _Want, library: JobLibrary, events: Sequence[Event]) -> dict[str, object]:
    if want.job == STAGING_SCAN:
        told = {"source": "file_watcher", **_path(library.root)}
        return {**told, "type": "create", "trigger": "new_file_added"}
    if want.job == LIBRARY_SCAN:
        return {"library_ids": [library.number], "force": False}
    if want.job == LIBRARY_PROCESS:
        paths = [_path(path) for path in dict.fromkeys(event.path for event in events)]
        raw = {"file_paths_raw": [path.get("path_raw") for path in paths]}
        listed: dict[str, object] = {"library_id": library.number, "file_paths": [path["path"] for path in paths]}
        return {**listed, **(raw if any("path_raw" in path for path in paths) else {})}
    newest = events[-1]
    verb = "modify" if want.job == DIRECTORY_CHANGED else _VERBS.get(newest.type, "modify")
    return {**_path(want.about), "event_type": verb, "timestamp": _rfc3339(newest.at_us)}


def _path(path: bytes) -> dict[str, str]:
    try:
        return {"path": path.decode()}
    except UnicodeDecodeError:
        return {"path": path.decode(errors="replace"), "path_raw": base64.b64encode(path).decode()}


def _rfc3339(at_us: int) -> str:
    seconds, microseconds = divmod(at_us, 1_000_000)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- settings ---------------------------------------------------------------------------------------


def _fits(options: Options) -> None:
    """Refuse numbers that no worker understands, before one is enqueued."""
    retries = {f"libraries.{name}.retry_max": one.retry_max or 0 for name, one in options.libraries.items()}
    for where, number in {"retry_max": options.retry_max, **retries}.items():
        if not 0 <= number <= _INT32:
            raise BadSetting(f"{where}: {number} is no number of retries", hint="0 or more; Asynq itself takes 25")
    for where, seconds, least in (
        ("timeout", options.timeout_s, 1),
        ("unique_ttl", options.unique_ttl_s, 1),
        ("delay", options.delay_s, 0),
        ("path_window", options.path_window_s, 0),
    ):
        if not least <= seconds <= _INT32:
            raise BadSetting(f"{where}: {seconds:g} s is not possible", hint=f"at least {least} s")


def _table(options: Options) -> dict[tuple[str, EventType], tuple[str, ...]]:
    """What each event of each library asks for; the narrower rule wins: default, sink, type, name, the library's own.

    A library may be called as an event or a type is: what stands under such a key says which is meant.
    """
    for job, queue in options.queues.items():
        _known(job, JOBS, "queues", "job")
        _not_blank(queue, f"queues.{job}")
    _not_blank(options.queue, "queue")
    flat = {key: rule for key, rule in options.map.items() if not isinstance(rule, Mapping)}
    nested = {key: rules for key, rules in options.map.items() if isinstance(rules, Mapping)}
    types = {library.type for library in options.libraries.values()} | set(BY_TYPE) | _TYPES
    for key in nested:
        _known(key, [*types, *options.libraries], "map", "type or name of a library")
    table: dict[tuple[str, EventType], tuple[str, ...]] = {}
    for name, library in options.libraries.items():
        layers: list[tuple[str, Rules]] = [
            ("", BY_TYPE.get(library.type, {})),
            ("map", flat),
            (f"map.{library.type}", nested.get(library.type, {})),
            (f"map.{name}", nested.get(name, {})),
            (f"libraries.{name}.jobs", library.jobs),
        ]
        for where, rules in layers:
            for what, rule in rules.items():
                table[name, _event(what, where)] = _jobs(rule, f"{where}.{what}")
        if library.queue is not None:
            _not_blank(library.queue, f"libraries.{name}.queue")
        needed = {job for (of, _), jobs in table.items() if of == name for job in jobs}
        _has_number(name, library, needed)
    return {key: jobs for key, jobs in table.items() if jobs}


_TYPES: Final = frozenset({"library", "inbound", "staging", "production", "photos"})


def _event(what: str, where: str) -> EventType:
    verb = what.removeprefix("file.")
    _known(verb, list(_FILE_EVENTS), where, "event")
    return _FILE_EVENTS[verb]


def _jobs(rule: Rule, where: str) -> tuple[str, ...]:
    named = (rule,) if isinstance(rule, str) else tuple(rule)
    for job in named:
        _known(job, (*JOBS, NO_JOB), where, "job")
    return tuple(dict.fromkeys(job for job in named if job != NO_JOB))


def _known(given: str, known: Sequence[str], where: str, what: str) -> None:
    if given not in known:
        near = difflib.get_close_matches(given, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
        raise BadSetting(f"{where}: no {what} {given!r}", hint=hint)


def _not_blank(queue: str, where: str) -> None:
    if not queue.strip():
        raise BadSetting(f"{where}: the name of a queue is empty", hint="Melodee serves maintenance and default")


def _has_number(name: str, library: JobLibrary, jobs: set[str]) -> None:
    needing = sorted(jobs & {LIBRARY_SCAN, LIBRARY_PROCESS})
    if needing and library.number is None:
        hint = "give it the id that the library has in Melodee"
        raise BadSetting(f"libraries.{name}: {' and '.join(needing)} need the number of the library", hint=hint)
    if library.number is not None and not 0 < library.number <= _INT32:
        raise BadSetting(f"libraries.{name}: {library.number} is no number of a library", hint="it is 1 or more")
