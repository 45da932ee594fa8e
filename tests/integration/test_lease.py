"""The write lease against real writers: it must see them, survive them and hardly delay them."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mediasluice.settle.probes import HAS_LEASES, Writer, ignore_lease_signals, writer_of

pytestmark = pytest.mark.skipif(not HAS_LEASES, reason="this system has no leases")

CHECKS = 10_000
ATTEMPTS = 6  # another process may take the processor away for longer than the bar

WRITER = """
import json, os, sys, time
stop, delays = os.fstat(0).st_ino, []
os.set_blocking(0, False)
print("ready", flush=True)
while True:
    begin = time.perf_counter_ns()
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
    delays.append(time.perf_counter_ns() - begin)
    os.close(fd)
    if not len(delays) % 100:
        try:
            if os.read(0, 1) == b"":
                break
        except BlockingIOError:
            pass
delays.sort()
print(json.dumps({"opened": len(delays), "p99_ms": delays[len(delays) * 99 // 100] / 1e6}))
"""

CHECKER = """
import collections, json, os, sys
from mediasluice.settle.probes import ignore_lease_signals, writer_of
ignore_lease_signals()
seen = collections.Counter()
for _ in range(int(sys.argv[2])):
    fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
    seen[writer_of(fd).name] += 1
    os.close(fd)
print(json.dumps(seen))
"""


def python(code: str, *words: str) -> subprocess.Popen[str]:
    source = str(Path(__file__).parents[2] / "src")
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )


def race(path: Path, checks: int) -> tuple[int, dict[str, int], dict[str, float]]:
    """Check the lease while another process opens the file for writing again and again."""
    writer = python(WRITER, str(path))
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    checker = python(CHECKER, str(path), str(checks))
    seen = checker.communicate(timeout=50)[0]
    delays = writer.communicate("", timeout=50)[0]  # closes its input: it ends
    return checker.returncode, json.loads(seen or "{}"), json.loads(delays)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    return file


@pytest.mark.timeout(180)
def test_ten_thousand_checks_neither_end_the_checker_nor_hold_up_the_writer(path: Path) -> None:
    """A lease that is taken and dropped at once costs its writer less than 1 ms at the 99th percentile."""
    best_ms = float("inf")
    for _ in range(ATTEMPTS):
        code, seen, delays = race(path, CHECKS)
        assert code == 0
        assert sum(seen.values()) == CHECKS
        assert set(seen) == {"FREE", "BUSY"}
        best_ms = min(best_ms, delays["p99_ms"])
        if best_ms < 1.0:
            break
    assert best_ms < 1.0


# A disposition survives exec: the holder says itself that it takes no precaution.
HOLDER = """
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGIO])
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
print("held", flush=True)
time.sleep(30)
"""


def test_without_the_precaution_the_holder_dies(path: Path) -> None:
    """The danger is real: a writer that opens during a lease ends a process that does not ignore SIGIO."""
    with python(HOLDER, str(path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        assert holder.wait(timeout=20) == -signal.SIGIO


def test_a_writable_mapping_is_seen_after_its_file_was_closed(path: Path) -> None:
    """A mapping writes without an event and without a new modification time; the lease knows it."""
    before = signal.getsignal(signal.SIGIO)
    ignore_lease_signals()
    fd = os.open(path, os.O_RDONLY)
    with path.open("r+b") as file:
        mapping = mmap.mmap(file.fileno(), 7)
    assert writer_of(fd) is Writer.BUSY
    mapping[:4] = b"CONT"
    assert writer_of(fd) is Writer.BUSY
    mapping.close()
    assert writer_of(fd) is Writer.FREE
    os.close(fd)
    signal.signal(signal.SIGIO, before)
