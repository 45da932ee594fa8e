from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exiftool
from mediasluice.identify.readers.exiftool import ExifTool
from mediasluice.model.media import Camera, DateClaim, DateSource
from tests import pictures as made

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")

STANDIN = """#!{python} -IS
import sys, time
arguments = []
for line in sys.stdin:
    arguments.append(line.rstrip("\\n"))
    if arguments[-1] == "-execute":
        content = open(arguments[-2], "rb").read()
        if content == b"hang":
            time.sleep(600)
        if content == b"die":
            sys.exit(1)
        if content == b"talk":
            print("x" * (2 << 20))
        print('[{{"FileType": "X", "Model": 5, "ImageWidth": %d}}]' % len(arguments) if content != b"mumble" else "{{")
        print("{{ready}}", flush=True)
        arguments = []
"""
"""Speaks as exiftool does, and does what the file that it is asked about says."""

Open = Callable[[bytes], Opened]


@pytest.fixture
def file_of(tmp_path: Path) -> Iterator[Open]:
    """A function that opens a file with the bytes it is given, under a name that nobody would choose."""
    with ExitStack() as stack:
        yield lambda content: stack.enter_context(made.opened(tmp_path / "-ver\n-execute\n-o\nx", content))


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[ExifTool]:
    """A program that stands in for exiftool, with half a second for each file."""
    program = tmp_path / "standin"
    program.write_text(STANDIN.format(python=sys.executable))
    program.chmod(0o755)
    tool = ExifTool(str(program), timeout=0.5)
    yield tool
    tool.close()


@needs_exiftool
def test_a_picture(file_of: Open) -> None:
    """The real program gives date, camera and size, whatever the file is called."""
    block = made.tiff(
        {
            made.WIDTH: 40,
            made.HEIGHT: 30,
            made.MAKE: "Canon",
            made.MODEL: "EOS",
            made.EXIF: {made.ORIGINAL: "2019:05:06 07:08:09", made.OFFSET_ORIGINAL: "-05:30"},
        }
    )
    still = exiftool.read(file_of(block))
    assert (still.container, still.width, still.height) == ("tiff", 40, 30)
    assert still.exif is not None
    assert still.exif.dates == (DateClaim(DateSource.EXIF_ORIGINAL, "2019:05:06 07:08:09", "-05:30"),)
    assert still.exif.camera == Camera("Canon", "EOS")


@needs_exiftool
def test_what_it_cannot_read(file_of: Open) -> None:
    """A file that it does not know is refused."""
    for content in (b"no picture at all", b""):
        with pytest.raises(Refused, match="exiftool"):
            exiftool.read(file_of(content))


def test_one_process_for_many_files(standin: ExifTool, file_of: Open) -> None:
    """The process stays, and a name with line ends is one argument, so the number of arguments is always the same."""
    answers = [standin.ask(file_of(b"%d" % number)) for number in range(20)]
    assert len({answer["ImageWidth"] for answer in answers}) == 1


@pytest.mark.parametrize("trouble", [b"hang", b"die", b"talk", b"mumble"])
def test_trouble(standin: ExifTool, file_of: Open, trouble: bytes) -> None:
    """A file at which it hangs, dies, talks without end or nonsense is refused; the next one is read."""
    with pytest.raises(Refused, match="exiftool"):
        standin.ask(file_of(trouble))
    assert standin.ask(file_of(b"good"))["FileType"] == "X"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not end it")
def test_it_ends_with_us(tmp_path: Path) -> None:
    """When our process is killed the other one ends, though exiftool itself would wait for ever."""
    program = tmp_path / "standin"
    program.write_text(
        STANDIN.format(python=sys.executable).replace("for line in sys.stdin", "while True: time.sleep(9)\nif")
    )
    program.chmod(0o755)
    (tmp_path / "file").write_bytes(b"x")
    code = (
        "import os, sys\n"
        "from mediasluice.identify.readers.exiftool import ExifTool\n"
        "tool = ExifTool(sys.argv[1])\n"
        "print(tool._running().pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    ours = subprocess.Popen(
        [sys.executable, "-c", code, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert ours.stdout is not None
    other = os.pidfd_open(int(ours.stdout.readline()))
    try:
        assert not select.select([other], [], [], 0)[0]
        ours.send_signal(signal.SIGKILL)
        assert select.select([other], [], [], 20)[0], "it is still there"
    finally:
        os.close(other)
        ours.communicate()
