"""Change accounts, items, jobs and sinks: the changes that people ask for by name, and the way to the one writer.

Takes the name of a change and its parameters as JSON has them; gives what the change tells, as JSON. While a service
runs, its writer does it; else this process takes the data lock for a moment and makes the catalogue if there is none.
Fails with: UsageError (nothing was changed), SluiceError (there is such an account), LockHeld, ServiceGone, DiskFull,
BadSetting.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from mediasluice.catalogue import jobs, outbox
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.store import Catalogue
from mediasluice.errors import SluiceError, UsageError
from mediasluice.model.imports import ItemState
from mediasluice.pipeline.writer import now_us
from mediasluice.service.control import ask_once, service_pid
from mediasluice.service.lock import DataLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mediasluice.catalogue.jobs import Job

Row = dict[str, Any]

KINDS: Mapping[str, Mapping[str, type]] = {
    "verify": {"library": str, "seconds": int, "bytes": int},
    "digests": {"algorithms": list},
    "retention": {},
    "scan": {"library": str},
    "read": {},
    "make": {"what": str},
    "transcode": {},
}
"""The kinds of jobs, and what each may be told."""

NEEDED = {"digests": ("algorithms",), "scan": ("library",), "make": ("what",)}
JOBS = 100  # that are listed unless more are asked for
LONGEST_NAME = 150  # characters of an account's name; as Django has it
LARGEST_ID = (1 << 63) - 1
_CONTROL, _SURROGATE = "Cc", "Cs"


def change(data: Path, what: str, params: Row) -> Row:
    """Make a change of ``CHANGES``, whether a service runs or not."""
    if service_pid(data) is not None:
        return ask_once(data, what, params)
    with DataLock.acquire(data), Catalogue.open(catalogue_file(data)) as catalogue:
        return CHANGES[what](catalogue, params)


def _add_account(catalogue: Catalogue, params: Row) -> Row:
    name = account_name(params["name"])
    if not catalogue.add_account(name, now_us()):
        raise SluiceError(f"there is an account {name!r} already")
    return {"name": name}


def _remove_account(catalogue: Catalogue, params: Row) -> Row:
    name = str(params["name"])
    if not catalogue.has_account(name):
        raise UsageError(f"there is no account {name!r}", hint="see: sluice users")
    with catalogue.attempt():
        catalogue.remove_account(name)
    return {"name": name}


def _change_item(catalogue: Catalogue, params: Row) -> Row:
    values = item_values(params["values"])
    with catalogue.attempt():
        catalogue.change_item(_number(params["id"]), values, now_us())
    return {"id": params["id"]}


def _delete_items(catalogue: Catalogue, params: Row) -> Row:
    """All of them or none."""
    with catalogue.attempt():
        for item in dict.fromkeys(map(_number, params["ids"])):
            catalogue.delete_item(item, now_us())
    return {"ids": params["ids"]}


def _set_state(state: str, reason: str | None) -> Callable[[Catalogue, Row], Row]:
    def change(catalogue: Catalogue, params: Row) -> Row:
        name = str(params["name"])
        if not catalogue.change(outbox.set_state, name, state, reason, now_us()):
            raise _no_sink(name)
        return {"name": name, "state": state}

    return change


def _replay(catalogue: Catalogue, params: Row) -> Row:
    """``since``: the number of the event after which all are told again."""
    name, since = str(params["name"]), _whole(params["since"])
    if not catalogue.change(outbox.replay, name, since):
        raise _no_sink(name)
    return {"name": name, "since": since}


def _retry_letters(catalogue: Catalogue, params: Row) -> Row:
    return {"name": params["name"], "events": catalogue.change(outbox.retry_letters, str(params["name"]))}


def _drop_letters(catalogue: Catalogue, params: Row) -> Row:
    seqs = [_whole(seq) for seq in params["events"]]
    return {"name": params["name"], "events": catalogue.change(outbox.drop_letters, str(params["name"]), seqs)}


def _no_sink(name: str) -> UsageError:
    return UsageError(f"there is no sink {name!r}", hint="see: sluice sinks")


def _run_job(catalogue: Catalogue, params: Row) -> Row:
    """Queue a job; the next service runs it."""
    kind, args = job_wish(params["kind"], params["args"])
    wish = (kind, job_key(args), args.get("library"), args, "user")
    return {"id": catalogue.change(jobs.add, *wish, now_us())}


def _cancel_job(catalogue: Catalogue, params: Row) -> Row:
    number = job_number(params["id"])
    catalogue.change(jobs.take_up, now_us())  # no service runs: what was running was cut off
    state = catalogue.change(jobs.cancel, number, now_us())
    if state is None:
        raise no_job(params["id"])
    return {"id": params["id"], "state": state}


def _resume_job(catalogue: Catalogue, params: Row) -> Row:
    number = job_number(params["id"])
    catalogue.change(jobs.take_up, now_us())
    resumed = catalogue.change(jobs.resume, number, now_us())
    if resumed is None:
        raise no_job(params["id"])
    return {"id": resumed}


def _whole(value: object) -> int:
    """A number that the catalogue could hold."""
    if not isinstance(value, int) or not 0 <= value <= LARGEST_ID:
        message = f"{value!r} is not the number of an event"
        raise UsageError(message, hint="see: sluice events")
    return value


def job_number(value: object) -> int:
    if not isinstance(value, int) or not 0 < value <= LARGEST_ID:
        raise no_job(value)
    return value


def job_wish(kind: object, said: Mapping[str, Any]) -> tuple[str, Row]:
    """Check what a job is and what it is told."""
    if kind not in KINDS:
        raise UsageError(f"there is no kind of job {kind!r}", hint=f"one of: {', '.join(KINDS)}")
    known = KINDS[str(kind)]
    for name, value in said.items():
        if name not in known:
            told = ", ".join(known) or "nothing"
            raise UsageError(f"{kind} is not told {name!r}", hint=f"it is told: {told}")
        if not isinstance(value, known[name]):
            raise UsageError(f"{name} of {kind} cannot be {value!r}", hint="see: docs/cli.md, section jobs")
    missing = [name for name in NEEDED.get(str(kind), ()) if name not in said]
    if missing:
        raise UsageError(f"{kind} has to be told {missing[0]}", hint=f"sluice jobs run {kind} {missing[0]}=...")
    return str(kind), dict(said)


def job_key(args: Mapping[str, Any]) -> str:
    """What keeps a job from being there twice: it wants the same."""
    return " ".join(f"{name}={value}" for name, value in sorted(args.items()))


def job_row(job: Job) -> Row:
    """A job as JSON: times in seconds since 1970."""
    row = job._asdict()
    times = {name: row.pop(f"{name}_us") for name in ("due", "at", "started", "ended")}
    return row | {name: None if at_us is None else at_us / 1e6 for name, at_us in times.items()}


def no_job(number: object) -> UsageError:
    return UsageError(f"there is no job {number} that this could be done with", hint="see: sluice jobs")


CHANGES: Mapping[str, Callable[[Catalogue, Row], Row]] = {
    "users.add": _add_account,
    "users.remove": _remove_account,
    "items.set": _change_item,
    "items.delete": _delete_items,
    "jobs.run": _run_job,
    "jobs.cancel": _cancel_job,
    "jobs.resume": _resume_job,
    "sinks.pause": _set_state(outbox.PAUSED, "paused by a person"),
    "sinks.resume": _set_state(outbox.ACTIVE, None),
    "sinks.replay": _replay,
    "sinks.retry": _retry_letters,
    "sinks.drop": _drop_letters,
}
"""Each is one transaction, or leaves the one that it is a part of as it was."""


def _number(item: int) -> int:
    """Check that an id is one that the catalogue could hold."""
    if not 0 < item <= LARGEST_ID:
        raise UsageError(f"there is no item {item}", hint="see: sluice items")
    return item


def account_name(name: str) -> str:
    """Check the name of a new account."""
    if not name.strip() or not name.isprintable() or "/" in name or "\\" in name or len(name) > LONGEST_NAME:
        message = f"{name!r} cannot be the name of an account"
        raise UsageError(message, hint=f"one line without slashes, at most {LONGEST_NAME} characters")
    return name


def item_values(values: Mapping[str, str]) -> dict[str, str]:
    """Check what is to be set of an item; a description may have several lines."""
    for name, value in values.items():
        lines = value.replace("\n", "") if name == "description" else value
        if any(unicodedata.category(letter) in (_CONTROL, _SURROGATE) for letter in lines):
            message = f"{value!r} cannot be the {name} of an item"
            raise UsageError(message, hint="control characters and bytes that are no UTF-8 are refused")
    if not values.get("title", "untouched").strip():
        raise UsageError("the title of an item cannot be empty")
    states = [state.value for state in ItemState]
    if values.get("state", states[0]) not in states:
        raise UsageError(f"{values['state']!r} is not a state of an item", hint=f"one of: {', '.join(states)}")
    return dict(values)
