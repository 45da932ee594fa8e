"""Drive the real ``sluice`` from outside: start it, ask it, follow its events, stop it, kill it.

Takes a directory of its own per test; gives what the command prints, parsed. Every wait has an end, and
nothing that was started outlives the ``with`` block: processes are found by a mark in their environment, so
workers that survived their parent are found too. Fails with AssertionError, with the tail of the service's
log in it.
"""

# ruff: noqa: TID251 - it waits for real processes
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.conftest import FOREIGN

T = TypeVar("T")
Line = dict[str, Any]
"""One line of ``--json`` output."""

COMMAND = Path(sys.executable).with_name("sluice")
SCALE = max(1, int(os.environ.get("SLUICE_SCALE") or "1"))
"""1 in CI; 10 and more means the full numbers."""

READY_S = 60.0  # chosen: a loaded machine with 2 cores starts an interpreter in seconds, not in a minute
STOP_S = 10.0  # promised: SIGTERM and Ctrl-C drain within it
_MARK = "SLUICE_TEST_RUN"


def scaled(once: int, full: int) -> int:
    """Size of a load: ``once`` at scale 1, more with the scale, never above ``full``."""
    return min(full, once * SCALE)


def text(path: str | bytes | Path) -> str:
    """A path as the command line prints it: undecodable bytes are lone surrogates."""
    return os.fsdecode(path)


def until(condition: Callable[[], T], what: str, timeout_s: float, *, step_s: float = 0.1) -> T:
    """Ask again and again until the answer is true; say what was missing when it never is."""
    end = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s:g} s: {what}; last answer: {answer!r}")
        time.sleep(step_s)


def total(counters: object) -> int:
    """Sum of all numbers in a counter, however it is broken down."""
    if isinstance(counters, Mapping):
        return sum(total(value) for value in counters.values())
    if isinstance(counters, list):
        return sum(total(value) for value in counters)
    return int(counters) if isinstance(counters, int) else 0


class Sluice:
    """One data directory, one configuration, and every command on them.

    ``prefix`` runs each command through another one (``nsenter ...``). ``environment`` is added to a clean
    one.
    """

    def __init__(
        self,
        home: Path,
        *,
        config: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.document: Path | None = None
        self.prefix = list(prefix)
        self.mark = uuid.uuid4().hex
        self.services: list[Service] = []
        home.mkdir(parents=True, exist_ok=True)
        if config is not None:
            self.document = home / "config.yaml"
            self.configure(config)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        self.environment = {
            **inherited,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "xdg-config"),
            "XDG_STATE_HOME": str(home / "xdg-state"),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "PYTHONWARNINGS": "ignore",
            _MARK: self.mark,
            **(environment or {}),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.processes():
            _signal(pid, signal.SIGKILL)
        for service in self.services:
            service.process.wait(timeout=STOP_S)
            print(f"--- log of {' '.join(service.command)}\n{service.log_tail()}")  # noqa: T201 - shown on failure
        until(lambda: not self.processes(), "every process of the test gone", STOP_S)

    def configure(self, config: Mapping[str, object]) -> None:
        """Replace the configuration document in one step, as an editor does. JSON is valid YAML."""
        assert self.document is not None
        fresh = self.document.with_suffix(".new")
        fresh.write_text(json.dumps(config, indent=1))
        fresh.replace(self.document)

    def command(self, *arguments: str | Path) -> list[str]:
        """The full command line of one call."""
        options = ["--data", str(self.data)]
        if self.document is not None:
            options += ["--config", str(self.document)]
        return [*self.prefix, str(COMMAND), *map(str, arguments), *options]

    def call(
        self, *arguments: str | Path, code: int | None = 0, timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end and check its exit code (``None``: any)."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout_s,
            check=False,
        )
        if code is not None and done.returncode != code:
            raise AssertionError(
                f"sluice {' '.join(map(str, arguments))}: exit {done.returncode}, not {code}\n"
                f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done

    def object(self, *arguments: str | Path, code: int | None = 0, timeout_s: float = 60.0) -> Line:
        """The one JSON object that a command prints."""
        answer = json.loads(self.call(*arguments, "--json", code=code, timeout_s=timeout_s).stdout)
        assert isinstance(answer, dict)
        return answer

    def lines(self, *arguments: str | Path, code: int | None = 0, timeout_s: float = 120.0) -> list[Line]:
        """The JSON lines that a command prints."""
        return [
            json.loads(line)
            for line in self.call(*arguments, "--json", code=code, timeout_s=timeout_s).stdout.splitlines()
        ]

    def events(self, *types: str, since: int | None = None) -> list[Line]:
        """The event log, oldest first; only these types when any is named."""
        bound = () if since is None else ("--since", str(since))
        return [event for event in self.lines("events", *bound) if not types or event["type"] in types]

    def files(self, *, missing: bool = False) -> dict[str, Line]:
        """Path -> its line. A path that is listed twice is an error by itself."""
        lines = self.lines("files", *(("--missing",) if missing else ()))
        found = {line["path"]: line for line in lines}
        assert len(found) == len(lines), "a path is listed twice"
        return found

    def catalogued(self) -> dict[str, Line]:
        """The present files that are complete, read and remembered."""
        return {path: line for path, line in self.files().items() if line["state"] == "catalogued"}

    def status(self) -> Line:
        return self.object("status")

    def root(self, path: Path) -> Line:
        """What ``status`` says of one root."""
        found = [root for root in self.status()["roots"] if root["path"] == text(path)]
        assert len(found) == 1, f"{path}: {len(found)} roots in status"
        root: Line = found[0]
        return root

    def settings(self) -> Line:
        """What ``config show`` says is in force, by its full key."""
        return {line["key"]: line["value"] for line in self.lines("config", "show")}

    def explain(self, path: str | bytes | Path) -> Line:
        return self.object("explain", text(path))

    def start(
        self,
        *directories: Path,
        options: Sequence[str | Path] = (),
        prefix: Sequence[str] = (),
        ready: bool = True,
    ) -> Service:
        """Start ``sluice run`` and wait until it covers its roots. A ``prefix`` must exec what follows it."""
        service = Service(self, [*prefix, *self.command("run", *directories, *options)])
        self.services.append(service)
        if ready:
            service.wait_ready()
        return service

    def follow(self, since: int | None = None) -> Follower:
        return Follower(self, since)

    def processes(self) -> list[int]:
        """Every process that was started with this test's mark, orphans included."""
        needle = f"{_MARK}={self.mark}".encode()
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    environment = Path(f"/proc/{entry}/environ").read_bytes()
                    state = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
                except OSError:  # it ended while we looked
                    continue
                if needle in environment.split(b"\0") and state != "Z":
                    found.append(int(entry))
        return found


class Service:
    """One running ``sluice run``."""

    def __init__(self, sluice: Sluice, command: list[str]) -> None:
        self.sluice = sluice
        self.command = command
        self.log = sluice.home / f"service-{len(sluice.services)}.log"
        self.started_s = time.time()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=sluice.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The service itself, not the command that it was started through."""
        return int(self.sluice.status()["pid"])

    def log_text(self) -> str:
        return self.log.read_text(errors="surrogateescape")

    def records(self) -> list[Line]:
        """The log of a service whose ``system.log_format`` is ``json``; other lines are left out."""
        return [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]

    def log_tail(self, characters: int = 4000) -> str:
        return self.log_text()[-characters:].encode(errors="replace").decode()

    def family(self) -> list[int]:
        """The process and everything below it."""
        children: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    fields = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()
                except OSError:  # it ended while we looked
                    continue
                if fields[0] != "Z":
                    children.setdefault(int(fields[1]), []).append(int(entry))
        family, new = [], [self.process.pid]
        while new:
            family += new
            new = [child for pid in new for child in children.get(pid, ())]
        return family

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float) -> None:
        """Wait for a condition; a service that ends meanwhile ends the wait too."""

        def ask() -> object:
            if self.process.poll() is not None:
                raise AssertionError(f"the service ended ({self.process.returncode}) before: {what}\n{self.log_tail()}")
            return condition()

        try:
            until(ask, what, timeout_s)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n--- log\n{self.log_tail()}") from None

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until the service answers and every root is either covered or known to be away."""

        def covered() -> bool:
            if self.sluice.call("health", code=None).returncode != 0:
                return False
            roots = self.sluice.status()["roots"]
            return bool(roots) and all(is_covered(root) for root in roots)

        self.wait(covered, "the service is ready", timeout_s)

    def wait_catalogued(self, paths: Iterable[str | bytes | Path], timeout_s: float) -> dict[str, Line]:
        """Wait until all of these are catalogued; gives all catalogued files."""
        wanted = {text(path) for path in paths}
        missing: set[str] = set()

        def all_there() -> bool:
            nonlocal missing
            missing = wanted - self.sluice.catalogued().keys()
            return not missing

        try:
            self.wait(all_there, f"{len(wanted)} files catalogued", timeout_s)
        except AssertionError as failure:
            raise AssertionError(f"{len(missing)} missing, such as {sorted(missing)[:5]}\n{failure}") from None
        return self.sluice.catalogued()

    def pause(self) -> None:
        """Stop the service and its workers where they stand, as a swapped-out machine does."""
        for pid in self.family():
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in self.family():
            _signal(pid, signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end; it must, with 0 and with no process left, in the promised time.

        Gives the seconds it took.
        """
        workers = self.family()
        began = time.monotonic()
        _signal(self.process.pid, number)
        try:
            code = self.process.wait(timeout=STOP_S + 1)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {STOP_S:g} s after {number.name}\n{self.log_tail()}") from None
        took = time.monotonic() - began
        assert code == 0, f"exit {code} after {number.name}\n{self.log_tail()}"
        assert took <= STOP_S, f"took {took:.1f} s to end"
        self._no_survivor(workers)
        return took

    def kill(self) -> None:
        """End the service by kill -9, it alone; its workers, paused or not, must notice by themselves."""
        workers = self.family()
        _signal(self.process.pid, signal.SIGKILL)
        for pid in workers:
            _signal(pid, signal.SIGCONT)
        self.process.wait(timeout=STOP_S)
        self._no_survivor(workers)

    def _no_survivor(self, pids: Sequence[int]) -> None:
        until(
            lambda: not [p for p in pids if p in self.sluice.processes()],
            f"no process of {pids} survives",
            5.0,
            step_s=0.05,
        )


class Follower:
    """``sluice events --follow`` with the wall-clock time at which each line arrived [s]."""

    def __init__(self, sluice: Sluice, since: int | None = None) -> None:
        bound = () if since is None else ("--since", str(since))
        self.process = subprocess.Popen(
            sluice.command("events", "--follow", *bound, "--json"),
            env=sluice.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.seen: list[tuple[float, Line]] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(timeout=STOP_S)
        self._thread.join(timeout=STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            arrived = time.time()
            if not line.endswith(b"\n"):
                return  # the last words of a follower that was killed
            with self._news:
                self.seen.append((arrived, json.loads(line)))
                self._news.notify_all()

    def wait(self, condition: Callable[[list[tuple[float, Line]]], object], what: str, timeout_s: float) -> None:
        """Wait until what arrived so far fulfils the condition."""
        with self._news:
            if not self._news.wait_for(lambda: condition(self.seen), timeout_s):
                tail = [event for _, event in self.seen[-5:]]
                raise AssertionError(f"not within {timeout_s:g} s: {what}; {len(self.seen)} events, the last: {tail}")

    def wait_created(self, paths: Iterable[str | bytes | Path], timeout_s: float) -> dict[str, tuple[float, Line]]:
        """Wait for one ``file.created`` per path; gives path -> (arrival, event)."""
        wanted = {text(path) for path in paths}
        found: dict[str, tuple[float, Line]] = {}
        position = 0

        def look(seen: list[tuple[float, Line]]) -> bool:
            nonlocal position
            for arrived, event in seen[position:]:
                if event["type"] == "file.created" and event["path"] in wanted:
                    found.setdefault(event["path"], (arrived, event))
            position = len(seen)
            return len(found) == len(wanted)

        try:
            self.wait(look, f"file.created of {len(wanted)} paths", timeout_s)
        except AssertionError as failure:
            raise AssertionError(
                f"{len(wanted) - len(found)} missing, such as {sorted(wanted - found.keys())[:5]}; {failure}"
            ) from None
        return found


class Mounts:
    """A private mount namespace: what is mounted in it is gone with the ``with`` block, whatever happened.

    Its processes run through ``prefix``; ``outside(path)`` is where this process sees a path of the
    namespace.
    """

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n", "no mount namespace"
        self.prefix = ["nsenter", "--target", str(self._holder.pid), "--mount", "--wd=/"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._holder.stdin is not None
        self._holder.stdin.close()  # also when this process dies: cat ends, and the namespace with it
        self._holder.wait(timeout=STOP_S)
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def run(self, *command: str | Path) -> str:
        """Run a command in the namespace; gives its output."""
        done = subprocess.run(
            [*self.prefix, *map(str, command)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr.strip()}"
        return done.stdout

    def outside(self, path: Path) -> Path:
        return Path(f"/proc/{self._holder.pid}/root{path}")


def obeying_permissions() -> list[str]:
    """A command prefix under which file permissions hold even for root."""
    return [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def is_covered(root: Line) -> bool:
    """True when a root is away, or watched or polled by now."""
    return root["state"] == "offline" or (root["mode"] == "poll") or bool(root["watches"])


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended by itself
        os.kill(pid, number)
