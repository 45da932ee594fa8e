"""What has been read once is not opened again, by any process: proven by the kernel's own account of every open."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from mediasluice.cli import demo_formats
from tests import encoded
from tests.service import Sluice

pytestmark = pytest.mark.timeout(300)  # a traced process is slow

CALLS = "open,openat,openat2,creat,open_by_handle_at,execve"
OPENED = re.compile(rb"\b(?:open|openat|openat2|creat|open_by_handle_at)\(.*\) = \d+<(.+?)>(?: \(deleted\))?$")
READ = {".jpg", ".png", ".mp4", ".mkv", ".mp3", ".flac", ".pdf"}
GIVEN = re.compile(rb"^.*\bexecve\((.*)\) = 0$")


@pytest.fixture
def sluice(tmp_path: Path) -> Sluice:
    """Runs the real command, traced with all that it starts."""
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("no strace here")
    if subprocess.run([tracer, "-f", "-o", os.devnull, "true"], capture_output=True, check=False).returncode:
        pytest.skip("processes may not be traced here")
    (tmp_path / "library").mkdir()
    soon = {"complete": 0, "unknown": 0, "truncated": 0}  # the files are as they are: nobody writes them
    return Sluice(
        tmp_path / "home", config={"libraries": {"library": {"path": str(tmp_path / "library"), "settle": soon}}}
    )


def library(folder: Path) -> set[Path]:
    """Media of all kinds in two directories, with a sidecar, a subtitle and something that is no media."""
    contents = {
        **{f"films/one.{suffix}": encoded.film(suffix, title="A title") for suffix in ("mp4", "mkv", "avi")},
        **{f"music/one.{suffix}": encoded.sound(suffix, title="A title") for suffix in ("mp3", "flac", "ogg", "wma")},
        **{f"one.{suffix}": encoded.picture(suffix) for suffix in ("jpg", "png", "webp", "tif", "avif")},
        "paper.pdf": demo_formats.pdf("A title"),
        "one.xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'
        b"</x:xmpmeta>",
        "films/one.srt": b"1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "damaged.jpg": encoded.picture("jpg", 1)[:-40] + b"\0" * 40,
        "damaged.mp4": encoded.film("mp4", 1)[:600] + b"\0" * 9_000,
        "letter.txt": b"Dear reader,\n",
    }
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return {folder / name for name in contents}


def scan(sluice: Sluice, folder: Path) -> Counter[Path]:
    """Scan, and count how often each file below the folder was opened, by whatever process, under whatever name.

    What is opened for its name alone (O_PATH) is not read.
    """
    trace = sluice.home / f"trace-{len(list(sluice.home.glob('trace-*')))}"
    sluice.prefix = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-e", "signal=none"]
    sluice.prefix += ["-o", str(trace)]
    try:
        sluice.call("scan", timeout_s=240)
    finally:
        sluice.prefix = []
    below = os.fsencode(folder) + b"/"
    found: Counter[Path] = Counter()
    for line in whole_lines(trace.read_bytes()):
        opened = OPENED.search(line)
        if opened and opened[1].startswith(below) and b"O_PATH" not in line:
            path = Path(os.fsdecode(opened[1]))
            if not path.is_dir():
                found[path] += 1
        given = GIVEN.match(line)
        if given:  # a tool that is told a name would open it
            found.update(Path(os.fsdecode(name)) for name in re.findall(rb'"([^"]+)"', given[1]) if below in name)
    return found


def whole_lines(trace: bytes) -> list[bytes]:
    """Calls that were interrupted by those of another process stand in two lines: put them together."""
    begun: dict[bytes, bytes] = {}
    lines = []
    for line in trace.splitlines():
        pid, _, call = line.partition(b" ")
        call = call.strip()
        if call.endswith(b"<unfinished ...>"):
            begun[pid] = call.removesuffix(b"<unfinished ...>")
        elif call.startswith(b"<... "):
            lines.append(begun.pop(pid, b"") + call.partition(b" resumed>")[2])
        else:
            lines.append(call)
    return lines


def test_a_second_scan_opens_no_file(sluice: Sluice, tmp_path: Path) -> None:
    """A scan opens each file of a library, reads what stands inside, and never opens it again until it changes."""
    folder = tmp_path / "library"
    files = library(folder)
    with sluice:
        first = scan(sluice, folder)
        assert set(first) == files
        read = {Path(path): line for path, line in sluice.files().items()}
        assert [path for path in files if path.suffix in READ and not read[path]["mime"]] == []
        assert scan(sluice, folder) == Counter(), "opened although nothing had changed"

        touched = folder / "music" / "one.flac"
        os.utime(touched, (1_600_000_000, 1_600_000_000))
        assert set(scan(sluice, folder)) == {touched}
        assert scan(sluice, folder) == Counter()

        written = folder / "one.jpg"
        written.write_bytes(encoded.picture("jpg", 2))
        assert set(scan(sluice, folder)) == {written}

        renamed = (folder / "films" / "one.mkv").rename(folder / "two.mkv")
        assert set(scan(sluice, folder)) <= {renamed}, "only a name changed"
        assert scan(sluice, folder) == Counter()


def test_what_could_not_be_read_is_not_tried_again(sluice: Sluice, tmp_path: Path) -> None:
    """That a file is damaged is remembered like what stands in a sound one."""
    folder = tmp_path / "library"
    damaged = {folder / "a.jpg", folder / "b.mp3"}
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    (folder / "b.mp3").write_bytes(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(99))
    with sluice:
        assert set(scan(sluice, folder)) == damaged
        assert all(line["reader_error"] for line in sluice.files().values())
        assert scan(sluice, folder) == Counter()
