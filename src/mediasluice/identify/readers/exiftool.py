"""Ask exiftool, where it is installed: one process that stays as long as ours, and ends with it.

Takes an open file. Gives a :class:`Still`. The process waits for arguments on its standard input, one a line; a file
is named by the descriptor that is open here, so that no file name is ever read as an option. Configurations of the
user, which are programs, are not loaded.
Fails with: ``Refused``, where exiftool is not installed, cannot read the file, or takes longer than TIMEOUT, at which
it is killed. Source: https://exiftool.org/exiftool_pod.html, "-stay_open".
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from typing import Any

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers.exif import ExifFacts
from mediasluice.identify.readers.still import Still
from mediasluice.model.media import Camera, DateClaim, DateSource, Exposure, Gps

TIMEOUT = 15.0  # seconds for one file; chosen: below the deadline of a whole file, and 100 times what one takes
ANSWER_MAX = 1 << 20  # bytes of one answer; chosen: thirty values fill one KB
_READY = b"{ready}"
_ASKED = (
    "-j -n -fast -FileType -MIMEType -ImageWidth -ImageHeight -ExifImageWidth -ExifImageHeight -Make -Model "
    "-LensModel -Lens -DateTimeOriginal -OffsetTimeOriginal -EXIF:CreateDate -OffsetTimeDigitized -EXIF:ModifyDate "
    "-OffsetTime -Orientation -ExposureTime -FNumber -ISO -FocalLength -GPSLatitude -GPSLongitude -GPSAltitude -Error"
)
_ENDS_WITH_US = (  # exiftool goes on waiting when its input ends, so Linux is asked to end it
    "import ctypes,os,signal,sys;"
    "ctypes.CDLL(None).prctl(1,signal.SIGKILL);"
    "os.getppid()==int(sys.argv[1]) and os.execv(sys.argv[2],sys.argv[2:])"
)


def read(file: Opened) -> Still:
    """Read a picture with exiftool."""
    tool = _tool()
    if tool is None:
        raise Refused("exiftool is not installed")
    values = tool.ask(file)
    is_picture = str(values.get("MIMEType")).startswith("image/") or "ImageWidth" in values
    if "Error" in values or not is_picture:
        raise Refused(f"exiftool: {values.get('Error', 'it finds no picture')}")
    return _still(values)


@cache
def _tool() -> ExifTool | None:
    """The one process of ours; ``None`` where exiftool is not on the PATH."""
    path = shutil.which("exiftool")
    if path is None:
        return None
    tool = ExifTool(path)
    atexit.register(tool.close)
    return tool


class ExifTool:
    """A running exiftool; it is started at the first question and again after it was killed."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, file: Opened) -> dict[str, Any]:
        """Give the values of a file by the names of their tags."""
        name = _name_of(file)
        with self._lock:
            process = self._running()
            clock = threading.Timer(self._timeout, process.kill)
            clock.daemon = True
            clock.start()
            try:
                answer = _asked(process, name)
            except OSError as error:
                answer = None
                reason = str(error)
            else:
                reason = f"it was killed after {self._timeout:g} s, or died"
            finally:
                clock.cancel()
            if answer is None:
                self._end()
                raise Refused(f"exiftool: {reason}")
        try:
            listed = json.loads(answer.decode("utf-8", "replace"))
        except ValueError:
            raise Refused("exiftool: it cannot read the file") from None
        return listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [self._path, "-config", "", "-stay_open", "True", "-@", "-"]
            if sys.platform == "linux":
                command = [sys.executable, "-I", "-S", "-c", _ENDS_WITH_US, str(os.getpid()), *command]
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def _end(self) -> None:
        """Kill it: it holds nothing that could be lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what was not written yet goes nowhere
                        pipe.close()


def _name_of(file: Opened) -> bytes:
    """A name without surprises: of our descriptor, or an absolute path in one line."""
    if sys.platform == "linux":
        return b"/proc/%d/fd/%d" % (os.getpid(), file.fd)
    if b"\n" in file.path or b"\r" in file.path or not os.path.isabs(file.path):
        raise Refused("exiftool: it cannot be asked about such a name")
    return file.path


def _asked(process: subprocess.Popen[bytes], name: bytes) -> bytes | None:
    """The answer; ``None`` where the process ended before it was whole, or said too much."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n".join([*_ASKED.encode().split(), name, b"-execute", b""]))
    process.stdin.flush()
    lines: list[bytes] = []
    length = 0
    while length < ANSWER_MAX:
        line = process.stdout.readline(ANSWER_MAX)
        if not line:
            return None
        if line.rstrip() == _READY:
            return b"".join(lines)
        lines.append(line)
        length += len(line)
    return None


# --- from its values to ours


def _still(values: dict[str, Any]) -> Still:
    kind, width, height = _text(values, "FileType") or "", _whole(values, "ImageWidth"), _whole(values, "ImageHeight")
    lat, lon = _number(values, "GPSLatitude"), _number(values, "GPSLongitude")
    is_placed = lat is not None and lon is not None and (lat or lon)
    return Still(
        kind.partition(" ")[0].lower(),
        _text(values, "MIMEType") or "application/octet-stream",
        width or _whole(values, "ExifImageWidth"),
        height or _whole(values, "ExifImageHeight"),
        exif=ExifFacts(
            dates=_dates(values),
            camera=Camera(
                _text(values, "Make"), _text(values, "Model"), _text(values, "LensModel") or _text(values, "Lens")
            ),
            exposure=Exposure(
                _number(values, "ExposureTime"),
                _number(values, "FNumber"),
                _whole(values, "ISO"),
                _number(values, "FocalLength"),
            ),
            gps=Gps(lat or 0.0, lon or 0.0, _number(values, "GPSAltitude")) if is_placed else None,
            orientation=_whole(values, "Orientation"),
        ),
    )


def _dates(values: dict[str, Any]) -> tuple[DateClaim, ...]:
    claims = []
    for source, tag, zone in (
        (DateSource.EXIF_ORIGINAL, "DateTimeOriginal", "OffsetTimeOriginal"),
        (DateSource.EXIF_DIGITIZED, "CreateDate", "OffsetTimeDigitized"),
        (DateSource.EXIF_MODIFIED, "ModifyDate", "OffsetTime"),
    ):
        if text := _text(values, tag):
            claims.append(DateClaim(source, text, _text(values, zone)))
    return tuple(claims)


def _text(values: dict[str, Any], tag: str) -> str | None:
    """A text; names that are digits alone arrive as numbers."""
    value = values.get(tag)
    return (str(value).strip() or None) if isinstance(value, str | int | float) else None


def _number(values: dict[str, Any], tag: str) -> float | None:
    value = values.get(tag)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(values: dict[str, Any], tag: str) -> int | None:
    value = values.get(tag)
    return value if isinstance(value, int) and value > 0 else None
