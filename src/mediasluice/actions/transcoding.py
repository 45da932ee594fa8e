"""Make a rendition of a film or of music that plays everywhere: by the program ffmpeg, in a process of its own.

Takes a profile, an open source, the path that the rendition is to have, and the path of the part under which it grows;
both belong to the journal of the caller. Gives a :class:`Transcoded`, durable on its file system, or leaves nothing
under either name. The source is only read, through the descriptor of the caller; a rendition of a source that changed
meanwhile is not kept. Nothing is ever overwritten.

ffmpeg gets two descriptors and no names. It may pick its format only from those that hold all of their content, so a
playlist that calls itself a film leads nowhere. It reads no standard input, is ended together with this thread, and
gets what memory and priority :mod:`launching` leaves it.
Fails with: :class:`Untranscoded`, which says what is to be done about it and why, with the last words of ffmpeg.

Source: the documentation of ffmpeg (ffmpeg, ffmpeg-filters, ffmpeg-protocols), 5.1 to 8.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import IO, NamedTuple

from mediasluice.actions.copying import AS_IT_IS, Owner, give
from mediasluice.actions.renaming import rename_new
from mediasluice.actions.transfer import sync_directory
from mediasluice.identify.launching import launched
from mediasluice.identify.opened import Opened
from mediasluice.identify.readers.formats import DEMUXERS
from mediasluice.model.files import ChangeKey, Kind
from mediasluice.model.imports import ProfileName
from mediasluice.settle import formats

TICK_S = 0.1  # how soon it is noticed that everything ends
STALL_TICKS = 18_000  # of TICK_S without a word, chosen: half an hour; to put the index of 100 GB in front takes less
KILL_S = 5.0  # chosen: what is still there so long after SIGKILL waits in the kernel for a disk
ASK_S = 10.0  # chosen: for questions that ffmpeg answers in a tenth of a second
MEMORY = 6 << 30  # bytes of address space, measured: 4K to 1080p takes 1.2 GiB on two cores; 8K frames are 100 MB
THREADS = 8  # at most, chosen: x264 gains little beyond, and each holds frames
WORDS = 20  # lines of ffmpeg that are kept
WORD_MAX = 500  # bytes of one
SHORT_SHARE, SHORT_S = 0.05, 2.0  # of the duration and seconds that may be missing, chosen: containers round

_PROTOCOLS = "file,fd,pipe"


class Profile(NamedTuple):
    """What a rendition is. ``longer`` and ``shorter``: pixels that its sides have at most; 0: it has no pictures."""

    name: str
    extension: bytes  # with its dot
    mime: str
    muxer: str
    audio: tuple[str, ...]
    longer: int = 0
    shorter: int = 0

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of files of which it can be made: of films always, and only sound of music."""
        return frozenset({Kind.VIDEO} if self.longer else {Kind.VIDEO, Kind.AUDIO})


_AAC = ("-c:a", "aac", "-b:a", "160k", "-ac", "2")
PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(ProfileName.H264_AAC.value, b".mp4", "video/mp4", "mp4", _AAC, 1920, 1080),
        Profile(ProfileName.H264_AAC_720.value, b".mp4", "video/mp4", "mp4", _AAC, 1280, 720),
        Profile(ProfileName.AAC.value, b".m4a", "audio/mp4", "ipod", _AAC),
        Profile(ProfileName.OPUS.value, b".opus", "audio/ogg", "ogg", ("-c:a", "libopus", "-b:a", "128k", "-ac", "2")),
    )
}
"""H.264 high in 4:2:0 of 8 bits with stereo AAC plays on everything that was sold in the last fifteen years.

A profile that is to give something else gets another name: what was made under the old one stays what it is."""

_H264 = ("-c:v", "libx264", "-preset", "medium", "-crf", "23", "-profile:v", "high", "-pix_fmt", "yuv420p")


class Program(NamedTuple):
    """The ffmpeg that is installed. ``version`` is its first line."""

    path: str
    version: str

    @property
    def number(self) -> tuple[int, int]:
        """Its release; builds between releases count as the newest."""
        found = re.search(r"version n?(\d+)\.(\d+)", self.version)
        return (int(found[1]), int(found[2])) if found else (99, 0)


class Trouble(StrEnum):
    """Why there is no rendition, by what is to be done about it."""

    MISSING = "missing"  # no ffmpeg, or one that lacks a part: install it, then try again
    BROKEN = "broken"  # ffmpeg can make nothing of the source: it will not help to try again
    CHANGED = "changed"  # the source is not what it was: look at it again
    TAKEN = "taken"  # the target has a file: choose another name
    FULL = "full"  # no room (or quota): wait, then try again
    REFUSED = "refused"  # the system does not let us: wait for somebody, then try again
    STOPPED = "stopped"  # this process is about to end
    UNSURE = "unsure"  # it is there, and not known to be durable


class Untranscoded(Exception):
    """There is no rendition, and nothing is left of it; but for ``UNSURE``."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason


class Transcoded(NamedTuple):
    """A rendition that is complete and durable."""

    key: ChangeKey  # of the target
    duration_s: float | None  # as far as ffmpeg came
    note: str | None = None  # what is less than it could be

    @property
    def size(self) -> int:
        """Bytes."""
        return self.key.size


def available() -> Program | None:
    """The ffmpeg on PATH, if there is one that runs."""
    path = shutil.which("ffmpeg")
    try:
        return None if path is None else _version(path)
    except ValueError:
        return None


@functools.lru_cache(maxsize=8)
def _version(path: str) -> Program:
    """Asked once; what raises is asked again."""
    first = _asked([path, "-version"]).partition("\n")[0].strip()
    if not first.startswith("ffmpeg version"):
        raise ValueError(path)
    return Program(path, first)


def lacks(program: Program, profile: Profile) -> list[str]:
    """What a profile needs and this ffmpeg was built without, in words; nothing where it does not say."""
    encoders = _parts(program.path, "encoders")
    filters = _parts(program.path, "filters")
    wanted = ["libx264", profile.audio[1]] if profile.longer else [profile.audio[1]]
    lacking = [f"the encoder {name}" for name in wanted if encoders and name not in encoders]
    if profile.longer:
        lacking += [f"the filter {name}" for name in _FILTERS if filters and name not in filters]
    return lacking


def maps_high_range(program: Program) -> bool:
    """Whether films with more range of light than screens show keep their colours."""
    return {"zscale", "tonemap"} <= _parts(program.path, "filters")


_FILTERS = ("bwdif", "scale", "setsar", "format")
_NAMED = re.compile(r"^ [A-Z.|]{2,6} (\w+) ", re.MULTILINE)


def _parts(path: str, what: str) -> frozenset[str]:
    """The encoders or filters of an ffmpeg."""
    try:
        return _built_with(path, what)
    except ValueError:
        return frozenset()


@functools.lru_cache(maxsize=16)
def _built_with(path: str, what: str) -> frozenset[str]:
    """Asked once; what raises is asked again."""
    found = frozenset(_NAMED.findall(_asked([path, "-hide_banner", f"-{what}"])))
    if not found:
        raise ValueError(path)
    return found


def command(
    profile: Profile, source: str, target: str, *, program: Program | None = None, has_high_range: bool = False
) -> list[str]:
    """The arguments for ffmpeg. ``source`` and ``target`` are paths for it; what stands at ``target`` is lost."""
    program = program or Program("ffmpeg", "")
    threads = str(min(os.cpu_count() or 1, THREADS))
    return [
        *(program.path, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-progress", "pipe:1", "-y"),
        *("-protocol_whitelist", _PROTOCOLS, "-format_whitelist", DEMUXERS, "-threads", threads),
        *("-i", f"file:{source}"),
        *("-map_metadata", "0", "-map_chapters", "0", "-sn", "-dn", "-max_muxing_queue_size", "4096"),
        *(_pictures(profile, program, has_high_range=has_high_range) if profile.longer else ("-map", "0:a:0", "-vn")),
        *profile.audio,
        *("-threads", threads),
        *(("-movflags", "+faststart") if profile.muxer in ("mp4", "ipod") else ()),
        *("-f", profile.muxer, f"file:{target}"),
    ]


def _pictures(profile: Profile, program: Program, *, has_high_range: bool) -> Iterator[str]:
    """The first pictures that are no cover, and the first sound if there is any."""
    yield from ("-map", "0:V:0", "-map", "0:a:0?", *_H264)
    # Phones film as many frames a second as there is light for: none is invented, none is lost.
    yield from ("-fps_mode", "vfr") if program.number >= (5, 1) else ("-vsync", "vfr")
    yield from ("-vf", ",".join(_filters(profile, has_high_range=has_high_range)))


def _filters(profile: Profile, *, has_high_range: bool) -> Iterator[str]:
    """Whole frames, square pixels, a size that fits lying or standing, even sides, and light that a screen can show."""
    yield "bwdif=mode=send_frame:deint=interlaced"
    shape = (
        f"min(1,min({profile.longer}/max(iw*sar,ih),{profile.shorter}/min(iw*sar,ih)))"  # of its size, never above 1
    )
    yield f"scale=w='max(2,2*trunc(iw*sar*{shape}/2+0.01))':h='max(2,2*trunc(ih*{shape}/2+0.01))'"
    yield "setsar=1"
    if has_high_range:
        yield "zscale=pin=bt2020:min=bt2020nc:rin=limited:t=linear:npl=100"
        yield "format=gbrpf32le"
        yield "zscale=p=bt709"
        yield "tonemap=tonemap=hable:desat=0"
        yield "zscale=t=bt709:m=bt709:r=limited"
    yield "format=yuv420p"


def run(
    profile: Profile,
    source: Opened,
    target: bytes,
    part: bytes,
    *,
    duration_s: float | None,
    progress: Callable[[float], None] = lambda _share: None,
    stopped: Callable[[], bool] = lambda: False,
    owner: Owner = AS_IT_IS,
) -> Transcoded:
    """Make a rendition at ``target``. ``progress`` hears the share that is done, 0 to 1, and 1 only at the end."""
    program = available()
    if program is None:
        raise Untranscoded(Trouble.MISSING, "ffmpeg is not installed")
    if os.path.lexists(target):
        raise Untranscoded(Trouble.TAKEN, f"{os.fsdecode(target)}: there is a file already")
    before = os.fstat(source.fd)
    descriptor = _made(part)
    try:
        reached_s = _written(profile, program, source, part, descriptor, _Watch(duration_s, progress, stopped))
        if _key(os.fstat(source.fd)) != _key(before):
            raise Untranscoded(Trouble.CHANGED, f"{os.fsdecode(source.path)}: it changed while it was transcoded")
        key = _placed(descriptor, before, part, target, owner)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    finally:
        os.close(descriptor)
    progress(1.0)
    return Transcoded(key, reached_s, _shortfall(reached_s, duration_s))


def _made(part: bytes) -> int:
    """The part, empty, by this process: nobody else's file is written into."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        return os.open(part, flags, 0o600)
    except OSError as error:
        raise _refused(error, part) from None


def _placed(descriptor: int, source: os.stat_result, part: bytes, target: bytes, owner: Owner) -> ChangeKey:
    """Make the part durable and give it its name."""
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, source.st_mode & 0o666 & ~(owner.umask or 0))
        give(
            descriptor,
            source.st_uid if owner.uid is None else owner.uid,
            source.st_gid if owner.gid is None else owner.gid,
        )
        os.fsync(descriptor)
        rename_new(part, target, part + b".src")
    except OSError as error:
        raise _refused(error, target) from None
    try:
        sync_directory(os.path.dirname(target))
    except OSError as error:
        raise Untranscoded(Trouble.UNSURE, f"{os.fsdecode(target)}: {error.strerror}") from None
    return _key(os.fstat(descriptor))


def _key(status: os.stat_result) -> ChangeKey:
    return ChangeKey(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _shortfall(reached_s: float | None, duration_s: float | None) -> str | None:
    if reached_s is None or not duration_s or duration_s - reached_s <= max(SHORT_S, duration_s * SHORT_SHARE):
        return None
    return f"it covers {reached_s:.0f} s of {duration_s:.0f}: the source breaks off, or says a wrong duration"


def _refused(error: OSError, path: bytes) -> Untranscoded:
    trouble = {errno.ENOSPC: Trouble.FULL, errno.EDQUOT: Trouble.FULL, errno.EEXIST: Trouble.TAKEN}
    return Untranscoded(trouble.get(error.errno or 0, Trouble.REFUSED), f"{os.fsdecode(path)}: {error.strerror}")


# --- the program


class _Watch(NamedTuple):
    duration_s: float | None
    progress: Callable[[float], None]
    stopped: Callable[[], bool]


def _written(
    profile: Profile, program: Program, source: Opened, part: bytes, descriptor: int, watch: _Watch
) -> float | None:
    """Have ffmpeg fill the part; gives the seconds that it came to."""
    arguments = command(
        profile,
        _place(source.fd, source.path),
        _place(descriptor, part),
        program=program,
        has_high_range=bool(profile.longer) and _has_high_range(program, source),
    )
    words: deque[str] = deque(maxlen=WORDS)
    process = _started(arguments, source.fd, descriptor)
    try:
        reached_s = _followed(process, words, watch)
    finally:
        _ended(process)
    # After a read error ffmpeg writes an end and is content: what it made is short.
    if process.returncode != 0 or any(_UNWRITTEN.search(word) or _LOST.search(word) for word in words):
        raise _failure(process.returncode, words, part)
    size = os.fstat(descriptor).st_size
    if formats.completeness(descriptor, size, os.pread(descriptor, 4096, 0)) is not formats.Format.COMPLETE:
        raise Untranscoded(Trouble.BROKEN, f"what ffmpeg wrote is not whole: {_last(words)}")
    return reached_s


def _place(descriptor: int, path: bytes) -> str:
    """How a child reaches a file that is open here."""
    return f"/proc/self/fd/{descriptor}" if sys.platform == "linux" else os.fsdecode(path)


def _started(arguments: list[str], *descriptors: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - a list without a shell; files are numbers
            launched(arguments, MEMORY),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=descriptors if os.name == "posix" else (),
            start_new_session=True,
            env=_environment(),
        )
    except OSError as error:
        raise Untranscoded(Trouble.REFUSED, f"ffmpeg cannot be started: {error.strerror}") from None


def _environment() -> dict[str, str]:
    """What a program of others may know of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")} | {"LC_ALL": "C"}


def _followed(process: subprocess.Popen[bytes], words: deque[str], watch: _Watch) -> float | None:
    """Hear what ffmpeg says until it ends, or is to end."""
    said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    assert process.stdout is not None
    assert process.stderr is not None
    threads = [
        threading.Thread(target=_heard, args=(process.stdout, said.put), name="progress", daemon=True),
        threading.Thread(
            target=_heard, args=(process.stderr, lambda line: _kept(line, words)), name="errors", daemon=True
        ),
    ]
    for thread in threads:
        thread.start()
    reached_s, silence = None, 0
    while silence < STALL_TICKS:
        if watch.stopped():
            raise Untranscoded(Trouble.STOPPED, "the service was stopped")
        try:
            line = said.get(timeout=TICK_S)
        except queue.Empty:
            silence += 1
            continue
        if line is None:
            break
        silence = 0
        seconds = _seconds(line)
        if seconds is not None and seconds > (reached_s or 0.0):
            reached_s = seconds
            if watch.duration_s:
                watch.progress(min(seconds / watch.duration_s, 0.99))
    while silence < STALL_TICKS and process.poll() is None:  # it has said all, and is about to end
        if watch.stopped():
            raise Untranscoded(Trouble.STOPPED, "the service was stopped")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TICK_S)
        silence += 1
    if process.returncode is None:
        raise Untranscoded(Trouble.BROKEN, f"ffmpeg did nothing for half an hour: {_last(words)}")
    for thread in threads:
        thread.join(KILL_S)
    return reached_s


def _heard(pipe: IO[bytes], tell: Callable[[bytes | None], None]) -> None:
    """Runs in a thread: tell every line, then the end."""
    with pipe:
        while line := pipe.readline(WORD_MAX):
            tell(line)
    tell(None)


_SPEAKER = re.compile(r"^\[.{1,80} @ 0x[0-9a-f]+\] ")
_PLACE = re.compile(r"(file:)?/proc/self/fd/\d+: ")
_UNLISTED = re.compile(r"^Format not on whitelist .*")
_ADVICE = "To ignore this"


def _kept(line: bytes | None, words: deque[str]) -> None:
    """Keep what a person can use: not which part of ffmpeg says it, and not a descriptor."""
    text = "" if line is None else " ".join(line.decode("utf-8", "replace").split())
    text = _UNLISTED.sub("its format is none of films and music", _PLACE.sub("", _SPEAKER.sub("", text)))
    if text and not text.startswith(_ADVICE):
        words.append("".join(char if char.isprintable() else " " for char in text))


def _seconds(line: bytes) -> float | None:
    """How far ffmpeg came: ``out_time_us=1234567``; before the first frame it says N/A."""
    name, _, value = line.strip().partition(b"=")
    return int(value) / 1e6 if name == b"out_time_us" and value.isdigit() else None


def _ended(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started, now; what hangs in the kernel is left behind."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_S)


# ffmpeg 5.1 ends with 0 when the last bytes do not reach the disk.
_UNWRITTEN = re.compile("No space left on device|Disk quota exceeded|Error writing trailer|Error closing file")
_IS_FULL = re.compile("No space left on device|Disk quota exceeded")
_LOST = re.compile(
    "Input/output error|Stale file handle|Transport endpoint|No such device|Connection timed out|Host is down"
)
_LACKS_A_PART = re.compile("Unknown (encoder|decoder)|No such filter|Unrecognized option|Requested output format")


def _failure(code: int | None, words: deque[str], part: bytes) -> Untranscoded:
    """What the end of ffmpeg means."""
    if any(_IS_FULL.search(word) for word in words):
        return Untranscoded(Trouble.FULL, f"{os.fsdecode(part)}: No space left on device")
    if any(_LOST.search(word) for word in words):  # a disk, not the film
        return Untranscoded(Trouble.REFUSED, f"ffmpeg: {_last(words)}")
    if any(_LACKS_A_PART.search(word) for word in words):
        return Untranscoded(Trouble.MISSING, f"this ffmpeg cannot do it: {_last(words)}")
    if code == -signal.SIGKILL:
        return Untranscoded(Trouble.REFUSED, "ffmpeg was killed; memory may have run out")
    return Untranscoded(Trouble.BROKEN, f"ffmpeg: {_last(words)}")


def _last(words: deque[str]) -> str:
    """The last two lines: the first of them is the cause more often than not."""
    return "; ".join(dict.fromkeys([*words][-2:])) or "it says nothing"


# --- questions


def _has_high_range(program: Program, source: Opened) -> bool:
    """Whether a film has more range of light than screens show, and this ffmpeg can map it."""
    probe = os.path.join(os.path.dirname(program.path), "ffprobe")
    if not os.access(probe, os.X_OK):
        return False
    answer = _asked(
        [
            *(probe, "-v", "error", "-protocol_whitelist", _PROTOCOLS, "-format_whitelist", DEMUXERS),
            *("-select_streams", "V:0", "-show_entries", "stream=color_transfer", "-of", "json"),
            *("-i", f"file:{_place(source.fd, source.path)}"),
        ],
        source.fd,
    )
    try:
        streams = json.loads(answer)["streams"]
        curve = streams[0].get("color_transfer")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return curve in ("smpte2084", "arib-std-b67") and maps_high_range(program)


def _asked(arguments: list[str], *descriptors: int) -> str:
    """What a program answers; nothing where it does not."""
    try:
        answer = subprocess.run(  # noqa: S603 - a list without a shell; files are numbers
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=descriptors if os.name == "posix" else (),
            timeout=ASK_S,
            check=False,
            env=_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", "replace")
