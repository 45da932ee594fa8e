from __future__ import annotations

import json
from typing import Any

import pytest

from mediasluice.delivery.asynq.mapping import JobLibrary, Mapped, Options, Wanted
from mediasluice.errors import BadSetting
from mediasluice.model.events import EventType
from tests.asynq_facts import AT_US, LIBRARIES, fact, many, options


def wanted(given: Options, *facts: Any) -> list[Wanted]:
    return Mapped(given).wanted(facts, {})


def payload(one: Wanted) -> Any:
    return json.loads(one.order.task.payload)


@pytest.mark.parametrize("library", ["incoming", "staging"])
@pytest.mark.parametrize(
    "kind", [EventType.FILE_CREATED, EventType.FILE_MODIFIED, EventType.FILE_MOVED, EventType.FILE_RENAMED]
)
def test_a_file_that_appears_where_melodee_takes_in_asks_for_a_scan(library: str, kind: EventType) -> None:
    """Without any setting: one `staging:scan` for the library, in `maintenance`, with its lock."""
    (one,) = wanted(options(), fact(1, kind=kind, library=library))
    task = one.order.task
    root = LIBRARIES[library].root.decode()
    assert task.payload == (
        f'{{"source":"file_watcher","path":"{root}","type":"create","trigger":"new_file_added"}}'.encode()
    )
    assert (task.type, task.queue, task.retry, task.timeout) == ("staging:scan", "maintenance", 25, 1800)
    assert task.unique_key.startswith("asynq:{maintenance}:unique:staging:scan:")
    assert one.is_logged_only == (library == "staging")


def test_what_is_not_for_melodee_asks_for_nothing() -> None:
    """Other libraries, other events, and what mediasluice did itself."""
    nothing = [
        fact(1, library="music"),
        fact(2, library="unknown"),
        fact(3, kind=EventType.FILE_DELETED),
        fact(4, kind=EventType.FILE_ATTRIBUTES),
        fact(5, kind=EventType.ITEM_IMPORTED),
        fact(6, kind=EventType.ROOT_OFFLINE),
        fact(7, kind=EventType.FILE_MOVED, data={"cause": "move"}),
    ]
    assert wanted(options(), *nothing) == []


def test_what_comes_from_a_scan_asks_for_none() -> None:
    """A file that moved from inbound to staging, and whatever appeared in staging while a scan ran."""
    moved = fact(1, kind=EventType.FILE_MOVED, library="staging")
    moved = moved._replace(event=moved.event._replace(old_path=b"/melodee/inbound/a.flac"))
    assert wanted(options(), moved) == []
    facts = [fact(seq, library="staging") for seq in (1, 2, 3)] + [fact(2)]
    assert [list(one.facts) for one in Mapped(options()).wanted(facts, {}, AT_US + 2)] == [[2], [3]]


def test_a_library_may_have_its_own_queue_and_retries() -> None:
    """They win over those of the sink; a scan looks for another one wherever scans may run."""
    libraries = {**LIBRARIES, "incoming": LIBRARIES["incoming"]._replace(queue="slow", retry_max=2)}
    mine, other = wanted(options(libraries=libraries), fact(1), fact(2, library="staging"))
    assert (mine.order.task.queue, mine.order.task.retry) == ("slow", 2)
    assert (other.order.task.queue, other.order.task.retry) == ("maintenance", 25)
    assert mine.order.alone_in == other.order.alone_in == ("maintenance", "slow")


def test_many_files_of_a_library_are_one_scan() -> None:
    """5,000 facts of two libraries ask for two jobs."""
    assert [len(one.facts) for one in wanted(options(), *many(4000), *many(1000, 4001, library="staging"))] == [
        4000,
        1000,
    ]


def test_the_narrower_rule_wins() -> None:
    """Default, sink, type of library, name of library, the library's own, each over the one before; `none` is none."""
    libraries = {
        "a": JobLibrary("inbound", b"/a", 1),
        "b": JobLibrary("inbound", b"/b", 2),
        "c": JobLibrary("photos", b"/c", 3),
        "d": JobLibrary("photos", b"/d", 4, {"file.created": ["library:scan", "file:created"]}),
    }
    rules = {
        "created": "library:process",
        "inbound": {"created": "none"},
        "b": {"created": "directory:changed", "modified": "none"},
    }
    table = Mapped(options(libraries=libraries, map=rules))._table
    assert table == {
        ("a", EventType.FILE_MODIFIED): ("staging:scan",),
        ("a", EventType.FILE_MOVED): ("staging:scan",),
        ("a", EventType.FILE_RENAMED): ("staging:scan",),
        ("b", EventType.FILE_CREATED): ("directory:changed",),
        ("b", EventType.FILE_MOVED): ("staging:scan",),
        ("b", EventType.FILE_RENAMED): ("staging:scan",),
        ("c", EventType.FILE_CREATED): ("library:process",),
        ("d", EventType.FILE_CREATED): ("library:scan", "file:created"),
    }


def test_library_scan_and_process_carry_the_number() -> None:
    """The payloads that Melodee's workers decode: ids, force and paths."""
    given = options(map={"music": {"deleted": "library:scan", "created": "library:process"}})
    facts = [fact(seq, b"x/%d" % seq, EventType.FILE_DELETED, library="music") for seq in (1, 2)]
    facts += [fact(seq, path, library="music") for seq, path in ((3, b"x/3"), (4, b"y/4"), (5, b"x/5"), (6, b"x/3"))]
    scan, of_x, of_y = wanted(given, *facts)
    assert scan.order.task.payload == b'{"library_ids":[3],"force":false}'
    assert scan.order.task.queue == of_x.order.task.queue == "default"
    assert scan.order.task.unique_key
    assert payload(of_x) == {"library_id": 3, "file_paths": ["/melodee/music/x/3", "/melodee/music/x/5"]}
    assert payload(of_y) == {"library_id": 3, "file_paths": ["/melodee/music/y/4"]}
    assert not of_x.order.task.unique_key


@pytest.mark.parametrize(
    ("kind", "job", "verb"),
    [
        ("created", "file:created", "create"),
        ("modified", "file:modified", "modify"),
        ("deleted", "file:removed", "remove"),
        ("moved", "file:generic", "rename"),
        ("renamed", "file:generic", "rename"),
    ],
)
def test_a_job_for_a_file_carries_what_happened(kind: str, job: str, verb: str) -> None:
    """The file event of Melodee, its time as RFC 3339, in a queue of its own if one is named."""
    given = options(map={"music": {kind: job}}, queues={job: "files"})
    (one,) = wanted(given, fact(4, b"x.mp3", EventType(f"file.{kind}"), library="music", old_path=b"y.mp3"))
    assert one.order.task.payload == (
        f'{{"path":"/melodee/music/x.mp3","event_type":"{verb}","timestamp":"2025-06-15T15:06:40.123460Z"}}'.encode()
    )
    assert (one.order.task.type, one.order.task.queue, one.order.task.unique_key) == (job, "files", "")


def test_a_path_has_one_job_for_a_batch() -> None:
    """The newest fact of a path speaks for those before it; another path has its own."""
    given = options(map={"music": {"modified": "file:modified"}})
    facts = [
        fact(seq, path, EventType.FILE_MODIFIED, library="music") for seq, path in ((1, b"a"), (2, b"b"), (3, b"a"))
    ]
    assert [(list(one.facts), one.order.task.id) for one in wanted(given, *facts)] == [
        ([0, 2], f"{facts[2].event.id}.file-modified"),
        ([1], f"{facts[1].event.id}.file-modified"),
    ]


def test_a_directory_is_told_once_for_a_batch() -> None:
    """A file that moved changes two of them, each with an id of its own."""
    given = options(map={"incoming": {"moved": "directory:changed", "created": "directory:changed"}})
    facts = [fact(1, b"x/1"), fact(2, b"x/2"), fact(3, b"y/3", EventType.FILE_MOVED, old_path=b"x/3")]
    ones = wanted(given, *facts)
    assert [(payload(one)["path"], payload(one)["event_type"], list(one.facts)) for one in ones] == [
        ("/melodee/inbound/x", "modify", [0, 1, 2]),
        ("/melodee/inbound/y", "modify", [2]),
    ]
    of_one = wanted(given, facts[2])
    assert [payload(one)["path"] for one in of_one] == ["/melodee/inbound/y", "/melodee/inbound/x"]
    assert len({one.order.task.id for one in [*ones, *of_one]}) == 3  # that of y is the same job both times


def test_a_path_that_is_no_text_is_not_lost() -> None:
    """It is readable with replacement characters, and whole as base64."""
    given = options(map={"music": {"created": ["file:created", "library:process"]}})
    ones = wanted(given, fact(1, b"caf\xe9", library="music"), fact(2, "café".encode(), library="music"))
    assert payload(ones[0])["path"] == "/melodee/music/caf\ufffd"
    assert payload(ones[0])["path_raw"] == "L21lbG9kZWUvbXVzaWMvY2Fm6Q=="
    assert "path_raw" not in payload(ones[2])
    assert payload(ones[2])["path"] == "/melodee/music/café"
    assert payload(ones[1])["file_paths_raw"] == ["L21lbG9kZWUvbXVzaWMvY2Fm6Q==", None]


def test_the_same_events_give_the_same_job() -> None:
    """Whatever order they are handed over in; other events of the directory give another list and another id."""
    given = options(map={"created": "library:process"})
    facts = many(3)
    ids = [wanted(given, *given_facts)[0].order.task.id for given_facts in (facts, facts[::-1], facts[:2])]
    assert ids[0] == ids[1] != ids[2]
    scans = [wanted(options(), *given_facts)[0].order.task.id for given_facts in (facts, facts[1:], facts[:2])]
    assert scans[0] == scans[1] != scans[2]


def test_the_lock_lasts_as_long_as_the_job_may() -> None:
    """The longer one of lock time and time-out of the job counts."""
    for timeout_s, unique_ttl_s, lock_s in ((7200.0, 1800.0, 7200), (1800.0, 3600.0, 3600), (1800.0, 1.0, 1800)):
        (one,) = wanted(options(timeout_s=timeout_s, unique_ttl_s=unique_ttl_s), fact(1))
        assert one.order.lock_s == lock_s


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"map": {"created": "staging:scam"}}, "did you mean staging:scan?"),
        ({"map": {"craeted": "staging:scan"}}, "did you mean created?"),
        ({"map": {"inbuond": {"created": "staging:scan"}}}, "did you mean inbound?"),
        ({"queue": " "}, "queue: the name of a queue is empty"),
        ({"queues": {"library:scan": ""}}, "queues.library:scan"),
        ({"queues": {"library:can": "x"}}, "did you mean library:scan?"),
        (
            {"libraries": {"m": JobLibrary("library", b"/m", None, {"created": "library:scan"})}},
            "libraries.m: library:scan need the number of the library",
        ),
        ({"libraries": {"m": JobLibrary("library", b"/m", queue="")}}, "libraries.m.queue"),
        ({"libraries": {"m": JobLibrary("library", b"/m", retry_max=-1)}}, "libraries.m.retry_max: -1"),
        ({"retry_max": 1 << 31}, "retry_max: 2147483648 is no number of retries"),
        ({"timeout_s": 0.0}, "timeout: 0 s is not possible"),
        ({"unique_ttl_s": 0.5}, "unique_ttl: 0.5 s is not possible"),
        ({"delay_s": -1.0}, "delay: -1 s is not possible"),
        ({"path_window_s": -1.0}, "path_window: -1 s is not possible"),
        ({"libraries": {"m": JobLibrary("library", b"/m", 1 << 31)}}, "2147483648 is no number of a library"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(changed: dict[str, Any], message: str) -> None:
    """When it is made, with the key and the nearest word."""
    with pytest.raises(BadSetting) as caught:
        Mapped(options(**changed))
    assert message in str(caught.value)
