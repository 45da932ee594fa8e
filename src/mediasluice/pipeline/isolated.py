"""The life of a process in which libraries read files: what is damaged or hostile can end it, and nothing else.

Takes frames on standard input. A job is ``(verb, root, follows, [(directory, name, key, (kind, told)), ...])``: paths
are bytes, ``follows`` says whether a link to a file inside the root stands for that file, ``key`` is ``(ino, size,
mtime_ns, ctime_ns)`` of the file that is meant (ino 0: not compared; size ANY_SIZE: as it is when it is opened), and
``told`` is what the verb is told besides. Gives frames on standard output, each ``(number, code, value, note,
leave)``: number BEGUN when the verb is loaded, or UNFIT and why when it cannot be; then one for each file as soon as it
is done:

    READ          what the verb gave
    FAILED        why, for people; ``note`` is a traceback where that was not foreseen
    MISTAKEN      likewise, where the mistake is in this program or its installation, whatever stands in the file
    CHANGED       it is not, or no longer, the file that is meant
    GONE          its name leads nowhere, or to something that is no file
    UNREADABLE    what the system says: the file is not to blame

``leave`` says why the process ends after that file; whoever asked starts another one for the rest. On standard error
stands what libraries print; a zero byte ends what belongs to one file.

A limit on memory holds for everything here. The process reads users' files and never writes, and dies with the
process that started it. Nothing heavy is imported before a verb needs it.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import select
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self, TypeAlias

from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.files import Kind, in_range
from mediasluice.model.paths import join
from mediasluice.pipeline.child import die_with_parent, take_pipes
from mediasluice.pipeline.frames import packed, read_frame, write_all
from mediasluice.sources.opening import GONE as NOT_THERE
from mediasluice.sources.opening import open_directory, target_of

READ: Final = "read"
FAILED: Final = "failed"
MISTAKEN: Final = "mistaken"
CHANGED: Final = "changed"
GONE: Final = "gone"
UNREADABLE: Final = "unreadable"

ANY_SIZE: Final = -1

BEGUN: Final = -1
UNFIT: Final = -2

MEMORY: Final = "memory"  # reasons to leave
LEAKS: Final = "descriptors"

VALUE_MAX = 32 << 20  # bytes of what a verb gives, chosen: a large preview; it crosses the memory of the service
NOTE_MAX = 8 << 10  # characters of a traceback, bytes of what was printed
LINE_MAX = 300  # characters of a reason, chosen: two lines of a terminal
QUICK = 8  # files, chosen: after so many that took no longer than a moment it is looked at what they left behind
MOMENT_S = 0.005  # chosen: to fill so much memory that it matters takes ten times as long
DESCRIPTORS = 128  # chosen: a process that got so far keeps files open; the first limit of Linux is 1,024
_BADNESS = b"300"  # chosen: it weighs 30 % of the memory more than it has when the kernel must end somebody

Verb: TypeAlias = Callable[[Opened, Any], object]
"""What is done with a file; gives what ``marshal`` can write."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO that took the file's name must not hang us
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
)
_DISK = frozenset(
    getattr(errno, name)
    for name in (
        *("EIO", "EUCLEAN", "EBADMSG", "ENODEV", "ENXIO", "ENOMEDIUM"),  # disks
        *("ESTALE", "ETIMEDOUT", "ENOTCONN", "ESHUTDOWN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
        "EREMOTEIO",
    )
    if hasattr(errno, name)
)
"""What a disk or a network says, and a damaged file does not."""


_MISTAKES = (TypeError, AttributeError, NameError, AssertionError, NotImplementedError)
"""What code does not mean to raise. A lookup or a number that goes wrong is how readers notice damage."""


def _reading() -> Verb:
    from mediasluice.identify.reading import read_file  # noqa: PLC0415 - the libraries come with it

    return read_file


def _preview() -> Verb:
    from mediasluice.identify.previews import make_file  # noqa: PLC0415 - as above

    return make_file


def _essence() -> Verb:
    from mediasluice.identify.essence import of_file  # noqa: PLC0415 - as above

    return of_file


def _likeness() -> Verb:
    from mediasluice.identify.similar import of_file  # noqa: PLC0415 - as above

    return of_file


VERBS: Mapping[str, Callable[[], Verb]] = {
    "read": _reading,
    "preview": _preview,
    "essence": _essence,
    "likeness": _likeness,
}
"""How each verb is loaded."""


class _Done(NamedTuple):
    """What became of a file."""

    code: str
    value: object = None
    note: str | None = None
    leave: str | None = None


class _Limits:
    """What this process may take, and whether it has come near to that: what leaks must not harm the next file."""

    def __init__(self, memory: int) -> None:
        self.memory = memory  # bytes
        self._pages = memory // 2 // os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
        self._quick = 0  # files in a row that took no time
        try:
            self._statm: int | None = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:  # not Linux: only the limit itself holds
            self._statm = None

    def reached(self, since_s: float) -> str | None:
        """Why the process had better leave: half of the memory is taken, or files are kept open.

        Ask while the file is open: the lowest free descriptor is then behind those that libraries forgot.
        ``since_s``: when that file was begun. In a moment nothing much can be lost, so it is not looked each time.
        """
        self._quick += 1
        if self._quick < QUICK and time.perf_counter() - since_s < MOMENT_S:
            return None
        self._quick = 0
        try:
            if self._statm is not None and int(os.pread(self._statm, 128, 0).split()[1]) > self._pages:
                return MEMORY
            lowest = os.dup(0)
            os.close(lowest)
        except OSError:  # a library closed what is ours, or there are no descriptors any more
            return LEAKS
        return LEAKS if lowest >= DESCRIPTORS else None


def main(verbs: Mapping[str, Callable[[], Verb]] = VERBS) -> None:
    """Run until standard input ends, or until this process is of no more use."""
    parent, niceness, memory = map(int, sys.argv[1:4])
    die_with_parent(parent)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Ctrl-C and `systemctl stop` reach everybody; the service decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _confine(memory)
    _volunteer()
    lowered = _lower(niceness)
    limits = _Limits(memory)
    jobs, answers = take_pipes()
    _guard()
    faulthandler.enable()  # a crash in a library says where
    loaded: dict[str, Verb] = {}
    with suppress(BrokenPipeError):
        while (job := read_frame(jobs)) is not None:
            verb, root, follows, files = job
            lowered = lowered or _lower_session(niceness)
            try:
                if verb not in loaded:
                    loaded[verb] = verbs[verb]()
            except BaseException:  # noqa: BLE001 - whatever it is, nothing can be read here
                write_all(answers, packed((UNFIT, None, traceback.format_exc()[-NOTE_MAX:], None, None)))
                return
            write_all(answers, packed((BEGUN, None, None, None, None)))
            with _Folder(root, follows=follows) as folder:
                is_well = _work(loaded[verb], folder, files, answers, limits)
            if not is_well:
                return


def _work(verb: Verb, folder: _Folder, files: list[tuple[Any, ...]], answers: int, limits: _Limits) -> bool:
    """Do a job; gives whether this process can go on."""
    for number, file in enumerate(files):
        done = _do(folder, verb, file, limits)
        try:  # noqa: SIM105 - a tenth of what all this costs a file
            os.write(2, b"\0")
        except OSError:
            pass  # what a library did to standard error is its own affair
        write_all(answers, _frame(number, done))
        if done.leave is not None:
            return False
    return True


def _frame(number: int, done: _Done) -> bytes:
    try:
        frame = packed((number, *done))
    except ValueError as error:  # a mistake in the verb
        reason = f"what was found in it cannot be told: {error}"
    else:
        if len(frame) <= VALUE_MAX:
            return frame
        reason = f"what was found in it is larger than {sized(VALUE_MAX)}"
    return packed((number, FAILED, reason, f"a {type(done.value).__name__}", done.leave))


# -- one file -------------------------------------------------------------------------------------


class _Folder:
    """The directory that was opened last: files come one directory after the other."""

    def __init__(self, root: bytes, *, follows: bool = False) -> None:
        self.root = root
        self.follows = follows  # a link to a file inside the root stands for that file
        self._directory = b""
        self._fd: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def holder(self, directory: bytes) -> int:
        """A descriptor of it."""
        if self._fd is None or self._directory != directory:
            self._close()
            self._fd, self._directory = open_directory(self.root, directory), directory
        return self._fd

    def _close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


def _do(folder: _Folder, verb: Verb, file: tuple[Any, ...], limits: _Limits) -> _Done:
    """Open the file that is meant, and no other; have it read; look whether it stayed the same."""
    directory, name, key, (kind, told) = file
    try:
        holder = folder.holder(directory)
        status, place = os.stat(name, dir_fd=holder, follow_symlinks=False), name
        if folder.follows and stat.S_ISLNK(status.st_mode):
            target = target_of(folder.root, directory, name)
            if target is None:
                return _Done(GONE)
            status, place = os.stat(target, follow_symlinks=False), target  # absolute: the holder does not count
        if key[1] == ANY_SIZE:
            key = _key(status)
        # Before it is opened: to open a FIFO lets somebody who writes into it go on.
        if (refusal := _differs(status, key)) is not None:
            return _Done(refusal)
        fd = os.open(place, _FLAGS, dir_fd=holder)
    except OSError as error:
        return _refused(error)
    try:
        status = os.fstat(fd)
        if (refusal := _differs(status, key)) is not None:
            return _Done(refusal)
        opened = Opened(fd, status.st_size, folder.root + b"/" + join(directory, name), Kind(kind))
        since_s = time.perf_counter()
        done = _told(verb, opened, told, limits.memory)
        if done.leave is None and (leave := limits.reached(since_s)) is not None:
            done = done._replace(leave=leave)
        if (refusal := _differs(os.fstat(fd), key)) is not None:  # what was read may be half of this and half of that
            done = done._replace(code=refusal, value=None, note=None)
    except OSError as error:
        return _Done(UNREADABLE, os.strerror(error.errno or 0))
    finally:
        try:  # noqa: SIM105 - as above
            os.close(fd)
        except OSError:
            pass  # the verb has closed it
    return done


def _key(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _differs(status: os.stat_result, key: tuple[int, int, int, int]) -> str | None:
    """What to say when this is not the file that is meant."""
    if not stat.S_ISREG(status.st_mode):
        return GONE
    ino, size, mtime_ns, ctime_ns = key
    is_same = (
        status.st_size == size
        and (status.st_mtime_ns == mtime_ns or in_range(status.st_mtime_ns) == mtime_ns)
        and (status.st_ctime_ns == ctime_ns or in_range(status.st_ctime_ns) == ctime_ns)
        and ino in (0, status.st_ino)
    )
    return None if is_same else CHANGED


def _refused(error: OSError) -> _Done:
    if error.errno in NOT_THERE:
        return _Done(GONE)
    if error.errno == errno.EAGAIN:  # a file server on this machine holds it for a client that writes
        return _Done(CHANGED)
    leave = LEAKS if error.errno in (errno.EMFILE, errno.ENFILE) else None
    return _Done(UNREADABLE, os.strerror(error.errno or 0), None, leave)


def _told(verb: Verb, opened: Opened, extra: object, memory: int) -> _Done:
    """Have the verb done; every way in which it can fail becomes a sentence."""
    try:
        return _Done(READ, verb(opened, extra))
    except MemoryError:
        return _Done(FAILED, f"needs more memory than {sized(memory)} allows", None, MEMORY)
    except Refused as refused:
        return _Done(FAILED, _reason(refused, opened, with_kind=False))
    except BaseException as error:  # noqa: BLE001 - the border; libraries raise and exit as they like
        if (trouble := _disk_trouble(opened, error)) is not None:
            return _Done(UNREADABLE, trouble)
        code = MISTAKEN if _is_ours(error) else FAILED
        return _Done(code, _reason(error, opened, with_kind=True), traceback.format_exc()[-NOTE_MAX:])


def _is_ours(error: BaseException) -> bool:
    """Whether an error is a mistake of this program, and not what a library or a reader says of a damaged file."""
    if isinstance(error, ImportError):  # something is missing here
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return isinstance(error, _MISTAKES) and where.startswith("mediasluice.")


def _reason(error: BaseException, opened: Opened, *, with_kind: bool) -> str:
    try:
        said = str(error)[: 4 * LINE_MAX]
    except Exception:  # noqa: BLE001 - an error that cannot even say what it is
        said = ""
    said = said.replace(opened.reopened, opened.name.decode("utf-8", "replace"))  # which nobody could find
    kind = type(error).__name__
    return line(f"{kind}: {said}" if with_kind and said else said or kind)


def _disk_trouble(opened: Opened, error: BaseException) -> str | None:
    """What the disk says, when an error may come from it and not from what stands in the file."""
    if not isinstance(error, OSError) or error.errno not in _DISK:
        return None
    if type(error).__module__ == "builtins":  # from our own reads
        return os.strerror(error.errno or 0)
    try:  # libraries use these numbers for damaged files too
        for offset in (0, opened.size // 2, opened.size - 1):
            os.pread(opened.fd, 1, max(0, offset))
    except OSError as trouble:
        return os.strerror(trouble.errno or 0)
    return None


def line(text: str) -> str:
    """A text of unknown origin as one line that does no harm to a terminal, a log or a database."""
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * LINE_MAX])
    return " ".join(shown.split())[:LINE_MAX]


def sized(count: int) -> str:
    """A number of bytes, for people."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.4g} {unit}"
    return f"{count} bytes"


# -- the process ----------------------------------------------------------------------------------


def _guard() -> None:
    """Let a copy of this process, which does nothing else, end what this one has started when it has ended itself.

    The service does that too, but not when it was killed. The kernel then ends this process and nothing below it, and
    an exiftool that waits for questions would wait for ever.
    """
    this = os.getpid()
    if not hasattr(os, "pidfd_open") or os.getpgid(0) != this or os.fork():
        return
    try:
        os.closerange(0, DESCRIPTORS)  # the pipes above all: nobody shall wait for their end because of this copy
        with suppress(OSError):  # it has ended already, or the kernel is too old
            select.select([os.pidfd_open(this)], [], [])
            os.killpg(this, signal.SIGKILL)
    finally:
        os._exit(0)


def _confine(memory: int) -> None:
    """Limit the memory of this process and of those that it starts, and leave no image of it behind after a crash."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    # A limit of 1 keeps Linux also from handing the image to a collector, which it does under a limit of 0.
    core = 1 if sys.platform == "linux" else 0
    for limit, wanted in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, core)):
        hard = resource.getrlimit(limit)[1]
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # macOS does not know every limit
            resource.setrlimit(limit, (most, most))


def _volunteer() -> None:
    """When memory runs out, the kernel shall end this process and not the service."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_BADNESS)


def _lower(niceness: int) -> bool:
    """Take what is left of the processors; gives whether that holds."""
    if niceness and hasattr(os, "nice"):
        os.nice(niceness)
    return _lower_session(niceness)


def _lower_session(niceness: int) -> bool:
    """Lower the session as well: where Linux shares the processors by session, niceness counts only inside of one."""
    if not niceness or sys.platform != "linux" or os.getsid(0) != os.getpid():
        return True
    try:
        with open("/proc/self/autogroup", "wb", buffering=0) as file:
            file.write(str(niceness).encode())
    except BlockingIOError:  # allowed ten times a second on the whole machine
        return False
    except OSError:  # it does not share by session
        return True
    return True


if __name__ == "__main__":
    main()
