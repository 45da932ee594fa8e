from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mediasluice.identify import external
from mediasluice.identify.external import Program, Source, merge
from mediasluice.model.media import Reading, Tags

ABOUT = {"path": "/in/\udcff.mp3", "kind": "audio", "tags": {"title": "Strawberry"}}


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


Make = Callable[..., Program]


@pytest.fixture
def script(tmp_path: Path) -> Make:
    """Gives a source that runs some Python."""

    def make(text: str, clock: Clock | None = None, timeout_s: float = 20.0) -> Program:
        path = tmp_path / "script.py"
        path.write_text(f"import json, os, sys, threading\n{text}\n")
        return Program("shelf", [sys.executable, "-S", "-E", str(path)], clock or Clock(), timeout_s=timeout_s)

    return make


def test_a_program_is_asked_in_json(script: Make) -> None:
    """It gets what is known as one JSON object, whatever bytes a path has, and its answer is one (S0-79)."""
    source: Source = script("about = json.load(sys.stdin); print(json.dumps({'album': about['path'] + about['kind']}))")
    assert source.look_up(ABOUT) == {"album": "/in/\udcff.mp3audio"}


@pytest.mark.parametrize("text", ["print('null')", "pass", "print(' ')"])
def test_to_know_nothing_is_no_failure(text: str, script: Make) -> None:
    """``null`` and silence are answers."""
    source = script(text)
    assert [source.look_up(ABOUT) for _ in range(5)] == [None] * 5
    assert source.reason is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("print('not found')", "no JSON"),
        ("print('[1, 2]')", "no JSON object but list"),
        ("print('[' * 100000)", "no JSON"),
        ("print('1' * 100000)", "no JSON"),
        ("os.write(1, b'\\xff\\xfe\\x00')", "no JSON"),
        ("print('{}'); sys.exit(3)", "ended with 3"),
        ("sys.exit('no route to host')", "no route to host"),
        ("sys.stderr.write('x' * 1000000 + 'the end'); sys.exit(1)", "ended with 1"),
        ("while True: print('x' * 10000)", "more than"),
        ("os.kill(os.getpid(), 9)", "ended with -9"),
        ("os.close(0); print('{')", "no JSON"),
    ],
)
def test_a_failure_is_none_and_a_reason(text: str, reason: str, script: Make) -> None:
    """Whatever a program does instead of answering, the file has no error of it; why is told (S0-79)."""
    source = script(text)
    assert source.look_up(ABOUT) is None
    assert source.reason is not None
    assert reason in source.reason
    assert source.reason.startswith("shelf: ")
    assert len(source.reason) <= external.REASON_MAX


def test_a_program_that_is_not_there_is_a_failure() -> None:
    """A command that does not exist gives None and the reason of the kernel."""
    source = Program("shelf", ["/nowhere/at/all"], Clock())
    assert source.look_up(ABOUT) is None
    assert source.reason is not None
    assert "No such file" in source.reason


@pytest.mark.parametrize("argument", ["a\0b", "\ud800"])
def test_an_argument_that_cannot_be_passed_is_a_failure(argument: str) -> None:
    """What the system takes no argument of is told as the reason, like all that goes wrong."""
    source = Program("shelf", [sys.executable, "-c", "", argument], Clock())
    assert source.look_up(ABOUT) is None
    assert source.reason


def test_there_is_no_shell(script: Make, tmp_path: Path) -> None:
    """Words of the command reach the program as they are."""
    path = tmp_path / "words.py"
    path.write_text("import json, sys; print(json.dumps({'title': sys.argv[1]}))")
    source = Program("shelf", [sys.executable, str(path), "$HOME; echo *"], Clock())
    assert source.look_up(ABOUT) == {"title": "$HOME; echo *"}


def test_a_slow_program_is_ended(script: Make, tmp_path: Path) -> None:
    """After its time it is killed, with what it started."""
    note = tmp_path / "child"
    source = script(
        f"child = os.fork()\nif child: open({str(note)!r}, 'w').write(str(child))\nthreading.Event().wait()",
        timeout_s=1.0,
    )
    assert source.look_up(ABOUT) is None
    assert source.reason == "shelf: no answer within 1 s"
    stat = Path(f"/proc/{note.read_text()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_grandchild_with_the_pipe_does_not_hold_us(script: Make, tmp_path: Path) -> None:
    """A process that escaped the group and keeps the pipe open costs its time and no more."""
    note = tmp_path / "child"
    source = script(
        f"child = os.fork()\nif child: open({str(note)!r}, 'w').write(str(child)); sys.exit()\n"
        "os.setsid(); threading.Event().wait()",
        timeout_s=0.5,
    )
    try:
        assert source.look_up(ABOUT) is None
        assert source.reason == "shelf: no answer within 0.5 s"
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


def test_secrets_of_settings_are_not_handed_on(script: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``SLUICE_...`` holds stays with us."""
    monkeypatch.setenv("SLUICE_AUTH__SECRET", "hush")
    monkeypatch.setenv("SHELF_KEY", "theirs")
    source = script("print(json.dumps({'title': [key for key in os.environ if 'S' in key]}))")
    found = source.look_up(ABOUT)
    assert found is not None
    names = found["title"]
    assert isinstance(names, list)
    assert "SHELF_KEY" in names
    assert "SLUICE_AUTH__SECRET" not in names


def test_a_question_that_is_too_large_is_not_asked(script: Make) -> None:
    """More than a program should have to read is a failure of the question."""
    source = script("print('{}')")
    assert source.look_up({"path": "x" * external.QUESTION_MAX}) is None
    assert source.reason is not None
    assert "question" in source.reason


def test_a_source_that_fails_is_left_alone_for_a_while(script: Make, tmp_path: Path) -> None:
    """After three failures in a row it is not run; after a pause once, and again when that went well (S0-79)."""
    clock, note = Clock(), tmp_path / "asked"
    source = script(f"open({str(note)!r}, 'a').write('x'); sys.exit(not os.path.exists('{note}.up'))", clock)

    def asked() -> int:
        return len(note.read_text())

    for _ in range(5):
        assert source.look_up(ABOUT) is None
    assert asked() == external.FAILURES_MAX
    assert source.reason == "shelf: left alone after 3 failures"
    clock.now_s += external.PAUSE_S
    source.look_up(ABOUT)
    source.look_up(ABOUT)
    assert asked() == external.FAILURES_MAX + 1
    clock.now_s += external.PAUSE_S
    Path(f"{note}.up").touch()
    for _ in range(3):
        source.look_up(ABOUT)
        assert source.reason is None
    assert asked() == external.FAILURES_MAX + 4


def test_one_success_forgets_failures(script: Make, tmp_path: Path) -> None:
    """Only failures in a row count."""
    note = tmp_path / "turn"
    note.write_text("0")
    source = script(
        f"turn = int(open({str(note)!r}).read())\n"
        f"open({str(note)!r}, 'w').write(str(turn + 1))\n"
        "sys.exit(turn % 3 != 2)"
    )
    for _ in range(6):
        source.look_up(ABOUT)
    assert note.read_text() == "6"


READING = Reading("av", tags=Tags(title="Strawberry", track="4"))


def test_an_answer_fills_what_is_unknown() -> None:
    """What the file says stays; what it does not say is taken, and who said it is told (S0-79)."""
    merged = merge(READING, {"title": "Raspberry", "album": " The Royal\nGene\0", "disc": 1, "date": "2002"}, "shelf")
    assert merged == Reading(
        "av+external:shelf", tags=Tags(title="Strawberry", track="4", album="The Royal Gene", disc="1", date="2002")
    )


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"title": "Raspberry"},
        {"album": ""},
        {"album": None, "artist": 1.5, "genre": ["a"], "date": True, "disc": {"of": 1}},
        {"track": 10**12, "disc": -(10**12)},
        {"error": "x", "reader": "x", "_fields": "x", "media": {"width": 1}},
    ],
)
def test_an_answer_changes_nothing_else(found: dict[str, object]) -> None:
    """Nothing, other types, and names that are no tags leave a reading as it is."""
    assert merge(READING, found, "shelf") == READING


def test_a_file_that_nobody_could_read_may_have_a_title() -> None:
    """Then the source is the only reader."""
    merged = merge(Reading("", error="nothing could read it"), {"title": "x" * 5000}, "shelf")
    assert (merged.reader, merged.error) == ("external:shelf", "nothing could read it")
    assert merged.tags.title == "x" * external.VALUE_MAX
