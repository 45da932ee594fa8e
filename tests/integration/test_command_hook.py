from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mediasluice.delivery import envelope
from mediasluice.delivery.command import Command, Options
from mediasluice.delivery.sink import DELIVERED, Result
from mediasluice.errors import BadSetting, SinkRefused, SinkUnreachable
from mediasluice.model.events import EventType
from tests.facts import fact
from tests.service import until

SOON_S = 20.0
Make = Callable[..., Command]


@pytest.fixture
def hook(tmp_path: Path) -> Make:
    """Gives a command hook that runs some shell script."""

    def make(script: str, *arguments: str, timeout_s: float = 30.0) -> Command:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\ncd '{tmp_path}'\n{script}\n")
        path.chmod(0o755)
        sink = Command(Options((str(path), *arguments), timeout_s), time.monotonic)
        sink.open()
        return sink

    return make


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_gets_the_event(hook: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1-117: the event as JSON on standard input, what it is about in the environment, the arguments as they are."""
    monkeypatch.setenv("SLUICE_SECRET", "hidden")
    one = fact(5, EventType.FILE_MOVED, b"/in/\xff b.jpg", old_path=b"/in/a.jpg")
    sink = hook("cat > told; env > env; printf '%s\\n' \"$@\" > arguments", "a b", "$HOME; rm -rf x")
    assert sink.deliver([one]) == [DELIVERED]
    assert (tmp_path / "told").read_bytes() == envelope.body(one) + b"\n"
    environment = (tmp_path / "env").read_bytes().splitlines()
    told = dict(line.split(b"=", 1) for line in environment if line.startswith(b"SLUICE_"))
    assert told == {
        b"SLUICE_EVENT_TYPE": b"file.moved",
        b"SLUICE_EVENT_ID": one.event.id.encode(),
        b"SLUICE_EVENT_SEQ": b"5",
        b"SLUICE_EVENT_LIBRARY": b"incoming",
        b"SLUICE_EVENT_PATH": b"/in/\xff b.jpg",
        b"SLUICE_EVENT_OLD_PATH": b"/in/a.jpg",
    }
    assert (tmp_path / "arguments").read_text() == "a b\n$HOME; rm -rf x\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 75", "asks for another time (75)"),
        ("echo one; echo two >&2; printf 'a\\033[31m\\n\\n'; echo four; exit 3", "ended with 3: two; a [31m; four"),
        ("yes | head -c 300000; echo last; exit 1", "ended with 1: y; y; last"),
        ("kill -SEGV $$", "was ended by SIGSEGV"),
        ("exit 127", "ended with 127"),
    ],
)
def test_how_it_ends_decides(script: str, reason: str, hook: Make) -> None:
    """Whatever is not 0 is a failure, told with the last that it said; a lot of it does no harm."""
    [outcome] = hook(script).deliver([fact()])
    assert (outcome.result, str(outcome.reason).partition("hook ")[2]) == (Result.FAILED, reason)


def test_it_need_not_read(hook: Make) -> None:
    """A command that ends at once, or closes its input, is no failure."""
    sink = hook("exec <&-; exit 0")
    assert sink.deliver([fact(seq, note="x" * 50_000) for seq in range(1, 6)]) == [DELIVERED] * 5


def test_what_stays_in_the_background_holds_nothing_up(hook: Make, tmp_path: Path) -> None:
    """A command that leaves a child with its pipes is over when it ends itself."""
    start_s = time.monotonic()
    assert hook("sleep 60 & echo $! > child").deliver([fact()]) == [DELIVERED]
    assert time.monotonic() - start_s < 10
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_its_time_ends_with_all_that_it_started(hook: Make, tmp_path: Path) -> None:
    """After the time-out nothing of it is left, not even a child that does not listen."""
    sink = hook("(trap '' TERM; echo $$ > sh; sleep 60; sleep 60) & echo $! > child; sleep 60", timeout_s=0.5)
    [outcome] = sink.deliver([fact()])
    assert outcome.result is Result.FAILED
    assert "did not end within 0.5 s" in str(outcome.reason)
    pids = [int((tmp_path / name).read_text()) for name in ("sh", "child")]
    until(lambda: not any(map(is_alive, pids)), "all are gone", SOON_S)


def test_close_ends_what_runs(hook: Make, tmp_path: Path) -> None:
    """The delivery comes back soon, nothing was decided, and the command is gone."""
    sink = hook("echo $$ > pid; mv pid running; sleep 60")
    with ThreadPoolExecutor(1) as pool:
        delivery = pool.submit(sink.deliver, [fact()])
        until((tmp_path / "running").exists, "it runs", SOON_S)
        start_s = time.monotonic()
        sink.close()
        with pytest.raises(SinkUnreachable, match="was closed"):
            delivery.result(SOON_S)
        assert time.monotonic() - start_s < 3  # a second, and what a busy machine adds
    assert not is_alive(int((tmp_path / "running").read_text()))
    with pytest.raises(SinkUnreachable):
        sink.deliver([fact()])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell which descriptors and signals there are")
def test_it_inherits_nothing(hook: Make, tmp_path: Path) -> None:
    """No descriptor but its own three, no signal ignored or blocked, whatever the service does with them."""
    held = os.open("/dev/null", os.O_RDONLY)
    sink = hook("cat /proc/$$/status > status; exec ls -l /proc/self/fd > fds")
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        assert sink.deliver([fact()]) == [DELIVERED]
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(held)
    found = [line.split(" -> ") for line in (tmp_path / "fds").read_text().splitlines() if " -> " in line]
    names = {place.split()[-1] for place, target in found if not target.endswith("/fd")}  # that one ls reads itself
    assert names == {"0", "1", "2"}
    status = dict(line.split(":\t", 1) for line in (tmp_path / "status").read_text().splitlines() if ":\t" in line)
    of_the_c_library = 0b11 << 31  # 32 and 33, which no program can set
    assert int(status["SigIgn"], 16) & ~of_the_c_library == 0
    assert int(status["SigBlk"], 16) & ~of_the_c_library == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_it_ends_with_the_service(hook: Make, tmp_path: Path) -> None:
    """After kill -9 of the process that runs it, the command is gone too."""
    hook("echo $$ > pid; mv pid running; exec sleep 60")
    program = (
        "import time; from mediasluice.delivery.command import Command, Options; from tests.facts import fact;"
        f" Command(Options(({str(tmp_path / 'hook')!r},)), time.monotonic).deliver([fact()])"
    )
    service = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    until((tmp_path / "running").exists, "it runs", SOON_S)
    pid = int((tmp_path / "running").read_text())
    assert is_alive(pid)
    service.kill()
    service.wait(SOON_S)
    until(lambda: not is_alive(pid), "the command is gone", SOON_S)


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    """No such command, no right to run it, no program behind it: each with the next step."""
    locked = tmp_path / "locked"
    locked.write_text("#!/bin/sh\n")
    locked.chmod(stat.S_IRUSR | stat.S_IWUSR)
    orphan = tmp_path / "orphan"
    orphan.write_text("#!/nowhere/sh\n")
    orphan.chmod(0o755)
    for argv, why, hint in [
        ("no-such-command", "there is no command no-such-command", "PATH"),
        (str(tmp_path / "gone"), "there is no command", "whole path"),
        (str(locked), "may not be run", "chmod +x"),
        (str(orphan), "No such file or directory", "first line"),
    ]:
        sink = Command(Options((argv,)), time.monotonic)
        with pytest.raises(SinkRefused, match=why) as caught:
            sink.deliver([fact()])
        assert hint in str(caught.value.hint)
    nothing: list[tuple[str, ...]] = [(), ("",), ("a\0b",)]
    for options in map(Options, nothing):
        with pytest.raises(BadSetting):
            Command(options, time.monotonic)


def test_several_run_at_once(hook: Make, tmp_path: Path) -> None:
    """Two deliveries from two threads do not get in each other's way."""
    sink = hook("cat > told-$SLUICE_EVENT_SEQ")
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(lambda seq: sink.deliver([fact(seq)])[0], range(1, 9))] == [DELIVERED] * 8
    assert {json.loads((tmp_path / f"told-{seq}").read_text())["data"]["seq"] for seq in range(1, 9)} == {*range(1, 9)}
    assert not [thread for thread in threading.enumerate() if thread.name == "command"]
