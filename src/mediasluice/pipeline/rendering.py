"""Make renditions of items, one at a time, when nobody waits for them.

A thread of its own looks up in the catalogue which items of libraries that transcode lack a rendition, has a process
make it (:mod:`apart`), and records it or why it cannot be. The catalogue is the queue; imports never wait for it. A
rendition gets its name when it is complete and durable: what a crash kept from being recorded is adopted by the next
start, and anything half is removed.

    missing ──> waiting ──begin──> ffmpeg ──> its name ──> made | failed, item.rendition

What keeps all of them from being made (no ffmpeg, no room) is said once, and looked at again and again. What concerns
one of them stands in its row, with the time of the next try.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mediasluice.actions import renditions as files
from mediasluice.actions import transcoding
from mediasluice.actions.transcoding import PROFILES, Trouble, Untranscoded
from mediasluice.catalogue import renditions
from mediasluice.catalogue.renditions import Missing, Rendition, Waiting, Wish, place
from mediasluice.model.media import from_json
from mediasluice.model.paths import text
from mediasluice.model.roots import RootState
from mediasluice.pipeline.apart import Bug, Heard, Order, Where, make
from mediasluice.pipeline.writer import Abandoned, now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mediasluice.actions.copying import Owner
    from mediasluice.actions.transcoding import Program
    from mediasluice.catalogue.ledger import Ledger
    from mediasluice.catalogue.renditions import Holder
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.model.flow import RootId
    from mediasluice.model.roots import Library
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer

_T = TypeVar("_T")

PAGE = 5_000  # items looked through by one query, chosen: a few milliseconds
EVENTS = 5_000  # likewise
PAUSE_S = 2.0  # chosen: how often is looked for something to do
LOOK_S = 2.0  # chosen: how often is looked whether what is being made is still wanted
TIDY_S = 3_600.0  # chosen: a claim that comes to nothing is told by no event
STOP_S = 7.0  # chosen: what takes longer is left behind; nothing of it is recorded
FULL_S = 3_600.0  # chosen: without more room than there was, a full disk is tried again after that
NO_ROOM = "No space left on device: the last of it is kept for the catalogue"
MORE = 64 << 20  # bytes, chosen: that is more room
RETRY_S, RETRY_MAX_S = 60.0, 6 * 3_600.0  # chosen: twice as long after each try
AGAIN_S = 5.0  # chosen: a file that changed is looked at by then
FREE_TRIES = 5  # chosen: so often one is begun at once after it was cut short; then it may be what ends this process


class Now(NamedTuple):
    """What is being made."""

    path: bytes  # of its source
    profile: str
    share: float | None  # that is done; ``None``: nobody knows how long it is
    since_s: float  # monotonic


def wishes_of(libraries: Iterable[Library]) -> frozenset[Wish]:
    """What libraries want."""
    wishes = set()
    for library in libraries:
        rules = library.rules.imports
        if rules is not None and rules.transcode is not None:
            profile = PROFILES[rules.transcode.value]
            extension = profile.extension.decode()
            wishes |= {Wish(library.name, profile.name, kind, extension) for kind in profile.kinds}
    return frozenset(wishes)


class Sweep:
    """How far renditions are."""

    def __init__(self, open_view: Callable[[], View]) -> None:
        self._open_view = open_view

    @property
    def is_ended(self) -> bool:
        """Whether none is waiting."""
        return not self._counts().get(renditions.WAITING, 0)

    @property
    def done(self) -> int:
        """How many there are."""
        return self._counts().get(renditions.MADE, 0)

    def _counts(self) -> dict[str, int]:
        with self._open_view() as view:
            return view.ask(renditions.counts)


class Renderer:
    """The renditions of one host. Build it, then :meth:`start`."""

    def __init__(
        self,
        data: bytes,
        open_view: Callable[[], View],
        writer: Writer,
        log: Log,
        *,
        owner: Owner,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._data = data
        self._open_view = open_view
        self._writer = writer
        self._log = log
        self._owner = owner
        self._failed = failed
        self._roots: Mapping[RootId, Watched] = {}
        self._look: Callable[[Watched, bytes, bytes], None] = lambda *_: None
        self._wishes: frozenset[Wish] = frozenset()
        self._swept: frozenset[Wish] | None = None  # for these everything was looked through
        self._compared = False  # with what is there
        self._event = 0  # what events up to this one say is dealt with
        self._tidy_s = time.monotonic() + TIDY_S  # when is looked for what no event told of [monotonic s]
        self._program: str | None = None  # by which failures were looked at
        self._told: str | None = None  # why all wait, or why one was put off, as it was logged last
        self._full: tuple[int | None, float] | None = None  # room when the disk was full; tried again at [monotonic s]
        self._stopping = False
        self._wake = threading.Event()
        # A daemon: ffmpeg may take its time to say what it can do.
        self._thread = threading.Thread(target=self._run, name="renderer", daemon=True)
        self.now: Now | None = None
        self.waits: str | None = None  # why none is made

    # -- for other threads ------------------------------------------------------------------------

    def start(
        self,
        roots: Mapping[RootId, Watched],
        look: Callable[[Watched, bytes, bytes], None],
        wishes: frozenset[Wish],
    ) -> None:
        """Begin. ``look`` asks the intake to look at a file again."""
        self._roots, self._look, self._wishes = roots, look, wishes
        self._thread.start()

    def want(self, wishes: frozenset[Wish]) -> None:
        """The rules of libraries are others now."""
        if wishes != self._wishes:
            self._wishes = wishes
            self._wake.set()

    def sweep(self) -> Sweep:
        """Try again what could not be made; gives what tells how far all of it is."""
        self._writer.call(lambda catalogue: catalogue.change(renditions.retry_failed, "", now_us()))
        self._wake.set()
        return Sweep(self._open_view)

    def halt(self) -> None:
        """Begin to end; what is being made is given up and tried by the next start."""
        self._stopping = True
        self._wake.set()

    def stop(self) -> None:
        """End. Before the writer is closed."""
        self.halt()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    # -- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._clear_parts()
            with self._open_view() as view:
                while not self._stopping:
                    self._wake.clear()
                    if not self._round(view):
                        self._wake.wait(PAUSE_S)
        except Abandoned:
            pass  # the catalogue cannot be written while this process ends
        except BaseException as error:  # noqa: BLE001 - the thread's border: the service must hear of it
            self._failed(error)

    def _round(self, view: View) -> bool:
        """Make one rendition; gives whether there may be more to do."""
        wishes = self._wishes
        if wishes != self._swept:
            self._sweep(view, wishes)
        self._follow(view, wishes)
        able = self._able(wishes)
        if not able or not self._has_room() or self._stopping:
            return False
        one = view.ask(renditions.next_waiting, able, now_us())
        if one is None:
            return False
        self._make(view, one)
        return True

    def _change(self, change: Callable[[Ledger], _T]) -> _T:
        def run(catalogue: Catalogue) -> _T:
            return catalogue.change(change)

        return self._writer.call(run, abandon=lambda: self._stopping, is_bulk=True)

    # -- what is to be made -----------------------------------------------------------------------

    def _sweep(self, view: View, wishes: frozenset[Wish]) -> None:
        """Look through everything once, a page at a time: at the start, and when the rules are others."""
        if not self._compared:
            self._event = view.head()
        last = 0
        while wishes and not self._stopping:
            last, missing = view.ask(renditions.missing, wishes, last, PAGE)
            self._want(missing)
            if not last:
                break
        self._drop_unwanted(view, wishes)
        if not self._compared:
            for first in range(256):
                if not self._stopping:
                    self._compare(view, first)
        if not self._stopping:
            self._swept, self._compared = wishes, True

    def _follow(self, view: View, wishes: frozenset[Wish]) -> None:
        """Go on with what happened since."""
        has_losses = False
        while not self._stopping:
            news = view.ask(renditions.told, self._event, EVENTS)
            if news.contents and wishes:
                self._want(view.ask(renditions.missing_among, wishes, news.contents))
            has_losses |= news.has_losses
            if news.event == self._event:
                break
            self._event = news.event
        if has_losses or time.monotonic() >= self._tidy_s:
            self._tidy_s = time.monotonic() + TIDY_S
            self._drop_unwanted(view, wishes)

    def _want(self, missing: list[Missing]) -> None:
        if missing:
            self._change(partial(renditions.want, wanted=missing, at_us=now_us()))

    def _drop_unwanted(self, view: View, wishes: frozenset[Wish]) -> None:
        """Forget what nobody wants, then remove it: what is left between the two is removed by the next start."""
        last = 0
        while not self._stopping:
            last, unwanted = view.ask(renditions.unwanted, wishes, last, PAGE)
            if unwanted:
                self._change(partial(renditions.forget, those=unwanted))
                for one in unwanted:
                    self._remove(place(one.name))
            if not last:
                return

    def _compare(self, view: View, first: int) -> None:
        """Compare the catalogue with what is there: a crash may have come between the two, and people tidy up."""
        try:
            stored = files.stored(self._data, first)
        except OSError as error:
            self._warn("renditions_unreadable", error)
            return
        known = {place(name): (name, *rest) for name, rest in view.ask(renditions.beginning_with, first).items()}
        for path in stored.keys() - known.keys():
            self._remove(path)
        lost = [
            (content, name.profile)
            for path, (name, content, state, size) in known.items()
            if state == renditions.MADE and stored.get(path) != size
        ]
        if lost:
            self._change(partial(renditions.lose, lost=lost, at_us=now_us()))
        for path, (name, content, state, size) in known.items():
            if path in stored and (state != renditions.MADE or stored[path] != size):
                self._adopt(Missing(content, name), None)

    def _adopt(self, one: Missing, program: str | None, note: str | None = None) -> bool:
        """Record what lies under the name of a rendition, if it is one; else nothing lies there any more."""
        path = files.path_of(self._data, place(one.name))
        try:
            found = files.adopt(path)
            if found is None:
                files.remove(path)
                return False
        except OSError as error:
            self._warn("rendition_unreadable", error)
            return False
        made = Rendition(one.name, renditions.MADE, found.size, found.duration, note)
        if not self._change(lambda ledger: renditions.keep(ledger, one, made, program, now_us())):
            self._remove(place(one.name))  # its item was deleted meanwhile
        return True

    def _remove(self, path: str) -> None:
        try:
            files.remove(files.path_of(self._data, path))
        except OSError as error:
            self._warn("rendition_not_removed", error)

    def _clear_parts(self) -> None:
        try:
            files.clear_parts(self._data)
        except OSError as error:  # what is left behind only takes room
            self._warn("rendition_not_removed", error)

    def _warn(self, event: str, error: OSError) -> None:
        path = text(error.filename) if error.filename is not None else text(self._data)
        self._log.warning(event, path=path, reason=error.strerror or str(error), next="looked at by the next start")

    # -- whether they can be made -----------------------------------------------------------------

    def _able(self, wishes: frozenset[Wish]) -> frozenset[Wish]:
        """Those that the ffmpeg of this machine can fulfil."""
        if not wishes:
            self.waits = None
            return wishes
        program = transcoding.available()
        if program is None:
            self._wait("ffmpeg is not installed", "install it (Debian: apt install ffmpeg); it is found by itself")
            return frozenset()
        if program.version != self._program:
            self._program = program.version
            self._change(lambda ledger: renditions.retry_failed(ledger, program.version, now_us()))
        lacking = {wish.profile: transcoding.lacks(program, PROFILES[wish.profile]) for wish in wishes}
        reasons = [f"{profile}: ffmpeg lacks {', '.join(parts)}" for profile, parts in sorted(lacking.items()) if parts]
        if reasons:
            self._wait("; ".join(reasons), "install an ffmpeg that was built with it, or choose another profile")
        elif self._full is None and self.waits is not None:
            self.waits = self._told = None
        return frozenset(wish for wish in wishes if not lacking[wish.profile])

    def _has_room(self) -> bool:
        """Whether there is room, or more of it than when the disk was full."""
        if self._full is None:
            return not self._is_low()
        then, until_s = self._full
        try:
            free = files.free(self._data)
        except OSError:
            free = None
        if time.monotonic() < until_s and (then is None or free is None or free < then + MORE):
            return False
        self._full = self.waits = None
        return True

    def _is_low(self) -> bool:
        """Whether renditions have taken all that they may: the catalogue needs room more than they do."""
        try:
            free = files.free(self._data)
        except OSError:
            return False
        if free is None or free > 0:
            return False
        self._full = (free, time.monotonic() + FULL_S)
        self._wait(NO_ROOM, "make room where the data directory is; it goes on by itself")
        return True

    def _wait(self, reason: str, remedy: str) -> None:
        """Say once why none is made."""
        self.waits = reason
        if self._told != reason:
            self._told = reason
            self._log.warning("renditions_wait", reason=reason, next=remedy)

    # -- one rendition ----------------------------------------------------------------------------

    def _make(self, view: View, one: Waiting) -> None:
        begun_us = now_us()
        due_us = begun_us + (0 if one.tries < FREE_TRIES else int(_later_s(one.tries - FREE_TRIES) * 1e6))
        self._change(lambda ledger: renditions.begin(ledger, one, due_us))
        wanted = Missing(one.content, one.name)
        path = files.path_of(self._data, place(one.name))
        program = transcoding.available()
        try:
            if os.path.lexists(path) and self._adopt(wanted, program and program.version):
                return  # it was made, and not known to be durable
            note = self._transcoded(view, one, path)
        except Untranscoded as error:
            self._deal_with(one, error, program)
        except Bug as error:
            self._log.error("worker_bug", detail=str(error), next="please report this")
            trouble = Untranscoded(Trouble.REFUSED, "a mistake of this program, see its log")
            self._deal_with(one, trouble, program)
        else:
            if self._adopt(wanted, program and program.version, note):
                self._told = None
                took_s = round((now_us() - begun_us) / 1e6, 1)
                self._log.info("transcoded", path=text(path), profile=one.name.profile, seconds=took_s)
        finally:
            self.now = None

    def _transcoded(self, view: View, one: Waiting, path: bytes) -> str | None:
        """Have ffmpeg make a rendition at its path; gives what is less with it than it could be."""
        profile = PROFILES[one.name.profile]
        media = None if one.found is None else from_json(one.found).media
        if media is not None and not profile.longer and media.video_codec is not None and media.audio_codec is None:
            raise Untranscoded(Trouble.BROKEN, "it has no sound")
        try:
            files.make_room(path)
        except OSError as error:
            raise _refused(error, path) from None
        present = [number for number, root in list(self._roots.items()) if root.state is not RootState.OFFLINE]
        holders = view.ask(renditions.holders, one.content, present)
        order = Order(
            profile.name,
            [self._where(holder) for holder in holders],
            one.name.blake3,
            one.size,
            one.kind,
            None if media is None else media.duration,
            path,
            files.part_of(self._data),
            self._owner,
        )
        since_s = time.monotonic()

        def heard(what: Heard) -> None:
            if what.what == "source":
                self.now = Now(order.sources[int(what.value)].path, profile.name, None, since_s)
            elif what.what == "changed":
                self._look_at(holders[int(what.value)])
            elif order.duration_s and self.now is not None:
                self.now = self.now._replace(share=what.value)

        return make(order, heard=heard, stopped=self._watch(view, one))

    def _where(self, holder: Holder) -> Where:
        """Where it is to be opened, and by what it is known there."""
        if holder.root is None or holder.key is None:
            above, _, name = holder.path.rpartition(b"/")
            return Where(above or b"/", b"", name, None)
        root = self._roots.get(holder.root)
        is_stable = root is not None and root.spec.stable_inodes
        key = holder.key if is_stable else holder.key._replace(ino=0)
        return Where(holder.path, holder.directory, holder.name, key)

    def _look_at(self, holder: Holder) -> None:
        """A file changed: what it is now is found out by those who read files."""
        root = None if holder.root is None else self._roots.get(holder.root)
        if root is not None:
            self._look(root, holder.directory, holder.name)

    def _watch(self, view: View, one: Waiting) -> Callable[[], bool]:
        """Whether to give up: everything ends, or nobody wants it any more. Asked often."""
        next_s, is_gone = time.monotonic() + LOOK_S, False

        def is_over() -> bool:
            nonlocal next_s, is_gone
            if time.monotonic() >= next_s and not is_gone:
                next_s = time.monotonic() + LOOK_S
                is_wanted = view.ask(renditions.is_wanted, self._wishes, one.content, one.name.profile)
                is_gone = not is_wanted or self._is_low()
            return self._stopping or is_gone

        return is_over

    def _deal_with(self, one: Waiting, error: Untranscoded, program: Program | None) -> None:
        """What follows from a trouble."""
        now, is_trying = now_us(), True
        if error.trouble is Trouble.STOPPED and self._full is not None and not self._stopping:
            error = Untranscoded(Trouble.FULL, NO_ROOM)
        reason: str | None = error.reason
        match error.trouble:
            case Trouble.BROKEN:
                self._fail(one, error.reason, program)
                return
            case Trouble.STOPPED:
                reason, due_us, is_trying = None, now, False
                if not self._stopping:  # its item is gone, or its library wants none any more
                    self._swept = None
            case Trouble.FULL:
                due_us, is_trying = now, False
                with contextlib.suppress(OSError):
                    self._full = (files.free(self._data), time.monotonic() + FULL_S)
                self._full = self._full or (None, time.monotonic() + FULL_S)
                self._wait(error.reason, "make room where the data directory is; it goes on by itself")
            case Trouble.CHANGED:
                due_us = now + int(max(AGAIN_S, _later_s(one.tries) if one.tries else 0.0) * 1e6)
            case _:
                due_us = now + int(_later_s(one.tries) * 1e6)
        self._change(lambda ledger: renditions.put_off(ledger, one, reason, due_us, counts_as_try=is_trying))
        if is_trying and self._told != reason:
            self._told = reason
            self._log.warning(
                "rendition_waits",
                profile=one.name.profile,
                reason=reason,
                next=f"tried again in {(due_us - now) / 1e6:.0f} s",
            )

    def _fail(self, one: Waiting, reason: str, program: Program | None) -> None:
        """Nothing will come of it with this ffmpeg."""
        failed = Rendition(one.name, renditions.FAILED, None, None, reason)
        wanted, version = Missing(one.content, one.name), program and program.version
        self._change(lambda ledger: renditions.keep(ledger, wanted, failed, version, now_us()))
        path = "" if self.now is None else text(self.now.path)
        self._log.warning("not_transcoded", path=path, profile=one.name.profile, reason=reason)


def _later_s(tries: int) -> float:
    return min(RETRY_S * (1 << min(tries, 20)), RETRY_MAX_S)


def _refused(error: OSError, path: bytes) -> Untranscoded:
    trouble = Trouble.FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else Trouble.REFUSED
    return Untranscoded(trouble, f"{text(path)}: {error.strerror or error}")
