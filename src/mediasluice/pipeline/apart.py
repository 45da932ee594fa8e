"""Make one rendition in a process of its own: find a file that holds the content, prove it, transcode it.

Whatever touches files of users may hang in the kernel, and a process with such a thread cannot even end. So the
service only reads a pipe: it starts ``python -P -m mediasluice.pipeline.apart`` by way of :mod:`launching`, writes an
:class:`Order` as one line, and reads a line for each thing that happens. The process ends with the service, and when
its input is closed; it starts ffmpeg, which ends with it.

Takes an order; gives what is less with the rendition than it could be, or nothing. Fails with: :class:`Untranscoded`;
:class:`Bug`, when the process tripped over a mistake of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import stat
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

from mediasluice.actions import transcoding
from mediasluice.actions.copying import Differs, Owner, Stopped, check
from mediasluice.actions.transcoding import MEMORY, PROFILES, Trouble, Untranscoded
from mediasluice.actions.transfer import Why, key_of, why_of
from mediasluice.identify.launching import launched
from mediasluice.identify.opened import Opened
from mediasluice.model.files import ChangeKey, Kind, in_range
from mediasluice.model.paths import join, text
from mediasluice.sources.opening import open_file

TICK_S = 0.1  # chosen: how soon it is noticed that everything ends
END_S = 2.0  # chosen: who did not end by then is killed; who is still there after that waits in the kernel for a disk


class Bug(Exception):
    """A mistake of ours, with the lines that it happened on."""


class Where(NamedTuple):
    """A file that may hold the content. Without a key its bytes are compared; without inodes the key has none."""

    above: bytes  # the root; or the directory
    directory: bytes
    name: bytes
    key: ChangeKey | None

    @property
    def path(self) -> bytes:
        """Where it is, absolute."""
        return self.above.rstrip(b"/") + b"/" + join(self.directory, self.name)


class Order(NamedTuple):
    """What is to be made of what. ``duration_s``: how long the source is, where anybody knows."""

    profile: str
    sources: Sequence[Where]
    blake3: bytes
    size: int
    kind: Kind
    duration_s: float | None
    target: bytes
    part: bytes
    owner: Owner


class Heard(NamedTuple):
    """What happens: a source is opened, it is not what it was, a share is done."""

    what: str  # source | changed | share
    value: float


# -- in the service -------------------------------------------------------------------------------


def make(order: Order, *, heard: Callable[[Heard], None], stopped: Callable[[], bool]) -> str | None:
    """Have the rendition made; gives what is less with it than it could be."""
    process = _started()
    try:
        return _followed(process, order, heard, stopped)
    finally:
        _ended(process)
        with contextlib.suppress(OSError):
            os.unlink(order.part)


def _started() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "mediasluice.pipeline.apart"]
    try:
        return subprocess.Popen(  # noqa: S603 - ourselves, a list without a shell
            launched(command, MEMORY),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise Untranscoded(Trouble.REFUSED, f"no process can be started: {error.strerror}") from None


def _followed(
    process: subprocess.Popen[bytes], order: Order, heard: Callable[[Heard], None], stopped: Callable[[], bool]
) -> str | None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):  # it ended already, and says so below
        process.stdin.write(_line(order))
        process.stdin.flush()
    said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(process.stdout, said.put), name="rendition", daemon=True).start()
    while True:
        if stopped():
            raise Untranscoded(Trouble.STOPPED, "the service was stopped")
        try:
            line = said.get(timeout=TICK_S)
        except queue.Empty:
            continue
        if line is None:
            raise Untranscoded(Trouble.REFUSED, "the process that makes it was killed; memory may have run out")
        what, value = json.loads(line)
        if what == "made":
            note: str | None = value
            return note
        if what == "bug":
            raise Bug(value)
        if what == "trouble":
            raise Untranscoded(Trouble(value[0]), value[1])
        heard(Heard(what, value))


def _listen(pipe: IO[bytes], tell: Callable[[bytes | None], None]) -> None:
    with pipe, contextlib.suppress(OSError):
        for line in pipe:
            tell(line)
    tell(None)


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Have the process end, and ffmpeg with it. What hangs in the kernel is left behind."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    for must_end in (False, True):
        if must_end:
            process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
            return


def _line(order: Order) -> bytes:
    row = {
        **order._asdict(),
        "sources": [[*map(text, source[:3]), source.key] for source in order.sources],
        "blake3": order.blake3.hex(),
        "target": text(order.target),
        "part": text(order.part),
    }
    return json.dumps(row).encode() + b"\n"


# -- in the process -------------------------------------------------------------------------------


def main() -> None:
    """Do what the first line of the input says, and tell what comes of it."""
    order = _order(sys.stdin.buffer.readline())
    is_over = threading.Event()
    threading.Thread(target=_wait_for_end, args=(is_over,), daemon=True).start()
    try:
        _tell("made", _made(order, is_over.is_set))
    except Untranscoded as error:
        _tell("trouble", (error.trouble.value, error.reason))
    except Exception:  # noqa: BLE001 - the border of the process: the service must hear of it
        _tell("bug", traceback.format_exc())


def _wait_for_end(is_over: threading.Event) -> None:
    sys.stdin.buffer.read()
    is_over.set()


def _tell(what: str, value: object) -> None:
    sys.stdout.write(json.dumps([what, value]) + "\n")
    sys.stdout.flush()


def _order(line: bytes) -> Order:
    row: dict[str, Any] = json.loads(line)
    sources = [
        Where(os.fsencode(above), os.fsencode(directory), os.fsencode(name), None if key is None else ChangeKey(*key))
        for above, directory, name, key in row["sources"]
    ]
    return Order(
        row["profile"],
        sources,
        bytes.fromhex(row["blake3"]),
        row["size"],
        Kind(row["kind"]),
        row["duration_s"],
        os.fsencode(row["target"]),
        os.fsencode(row["part"]),
        Owner(*row["owner"]),
    )


def _made(order: Order, stopped: Callable[[], bool]) -> str | None:
    with _opened(order, stopped) as source:
        _tell("share", 0.0)
        try:
            return transcoding.run(
                PROFILES[order.profile],
                source,
                order.target,
                order.part,
                duration_s=order.duration_s,
                progress=lambda share: _tell("share", share),
                stopped=stopped,
                owner=order.owner,
            ).note
        except OSError as error:  # the file system of the source went away
            raise _refused(error, source.path) from None


@contextlib.contextmanager
def _opened(order: Order, stopped: Callable[[], bool]) -> Iterator[Opened]:
    """The first file that holds the content, open."""
    trouble = Untranscoded(Trouble.REFUSED, "no file that holds it is within reach")
    for number, source in enumerate(order.sources):
        _tell("source", number)
        try:
            descriptor = open_file(source.above, source.directory, source.name)
        except OSError as error:
            trouble = _refused(error, source.path)
            continue
        try:
            holds = _holds(descriptor, source, order, stopped)
        except OSError as error:
            os.close(descriptor)
            trouble = _refused(error, source.path)
            continue
        if holds:
            break
        os.close(descriptor)
        _tell("changed", number)
        trouble = Untranscoded(Trouble.CHANGED, f"{text(source.path)}: it is not what was imported any more")
    else:
        raise trouble
    try:
        yield Opened(descriptor, order.size, source.path, order.kind)
    finally:
        os.close(descriptor)


def _holds(descriptor: int, source: Where, order: Order, stopped: Callable[[], bool]) -> bool:
    """Whether an open file is the one that is meant: by its change key, or by its bytes where nobody watches it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size != order.size:
        return False
    if source.key is not None:
        found = key_of(status, source.key)
        return (found.ino, in_range(found.mtime_ns), in_range(found.ctime_ns)) == (source.key.ino, *source.key[2:])
    try:
        check(descriptor, order.blake3, stopped)
    except Differs:
        return False
    except Stopped:
        raise Untranscoded(Trouble.STOPPED, "the service was stopped") from None
    return True


def _refused(error: OSError, path: bytes) -> Untranscoded:
    trouble = Trouble.FULL if why_of(error) is Why.FULL else Trouble.REFUSED
    return Untranscoded(trouble, f"{text(path)}: {error.strerror or error}")


if __name__ == "__main__":
    main()
