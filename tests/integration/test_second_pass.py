"""The second pass by a whole host: every file is read once, soon, and whatever happens; and imports wait for it."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count, product
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.rows import Inside
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.config.document import Settings
from mediasluice.identify.reading import READER_VERSION
from mediasluice.model.media import DateSource, Reading, from_json
from mediasluice.model.roots import RootState
from mediasluice.pipeline import enriching, isolation
from mediasluice.pipeline.isolation import Isolation
from mediasluice.pipeline.relating import Relater
from mediasluice.pipeline.writer import now_us
from mediasluice.wiring import host as wiring
from tests import encoded, pictures
from tests.catalogues import of_version_2
from tests.running import Running
from tests.service import SCALE, Sluice, scaled, until

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(180)]

CHILD = str(Path(__file__).with_name("telling_child.py"))
MORNING = "2019:05:04 08:00:00"
IN_THE_MORNING = "2019-05-04T08:00:00"
EVENING = "2018:12:31 23:59:59"
IN_THE_EVENING = "2018-12-31T23:59:59"
AGO_S = 1_600_000_000  # 2020-09-13 UTC
ALONE: dict[str, Any] = {"previews": {"of": "none"}, "essences": {"of": "none"}}  # nothing else is made of files
SOON: dict[str, Any] = {"settle": {"complete": 0, "unknown": 0, "truncated": 0}}  # nobody writes slowly


def photo(seed: object, taken: str | None = None, words: str = "") -> bytes:
    """A photograph; ``words`` are for the process that reads it."""
    exif = () if taken is None else (pictures.exif_segment(pictures.tiff({pictures.EXIF: {pictures.ORIGINAL: taken}})),)
    return pictures.jpeg(*exif, (0xFE, f"{seed} {words}".encode()))


def sidecar(taken: str) -> bytes:
    return pictures.xmp(f'exif:DateTimeOriginal="{taken}"')


class Bench:
    """Folders below ``base``, and what was read by whom: each host that is run here tells what it reads."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base = base
        self._diary, self._lock = base / "diary", base / "lock"
        self._lock.touch()

        def make(settings: Settings, wake: Callable[[], None], **rest: Any) -> Isolation:
            return Isolation(
                processes=settings.work.readers,
                deadline_s=rest.get("deadline_s") or settings.work.reader_deadline,
                memory=settings.work.reader_memory,
                wake=wake,
                command=(sys.executable, "-P", CHILD, str(self._diary), str(self._lock)),
            )

        monkeypatch.setattr(wiring, "isolation", make)

    def run(self, *libraries: str, rules: dict[str, dict[str, Any]] | None = None, **rest: Any) -> Running:
        rules = rules or {name: {} for name in libraries or ("in",)}
        return Running(self.base, {name: {**SOON, **section} for name, section in rules.items()}, **ALONE, **rest)

    def put(self, path: str, content: bytes | None = None) -> Path:
        file = self.base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo(path) if content is None else content)
        return file

    @property
    def reads(self) -> list[str]:
        """The names of the files that were read, in their order."""
        return self._diary.read_text().splitlines() if self._diary.exists() else []

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Nobody reads a file that says so to its end before this block does, or before it calls what it is given."""
        with self._lock.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lambda: fcntl.flock(lock, fcntl.LOCK_UN)

    @contextmanager
    def broken_disk(self) -> Iterator[None]:
        broken = Path(f"{self._lock}.broken")
        broken.touch()
        yield
        broken.unlink()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    (tmp_path / "in").mkdir()
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def host(bench: Bench) -> Iterator[Running]:
    """A running service on an empty folder ``in``."""
    with bench.run() as host:
        host.until_idle()
        yield host


def inside(host: Running) -> dict[str, Inside]:
    """What is known of each file that was read and has its time, or its place in a group."""
    return {
        path: line.inside
        for path, line in host.lines().items()
        if line.inside is not None and line.inside.waits is None
    }


def until_read(host: Running, *paths: str) -> dict[str, Inside]:
    """Wait until files are read and dated."""

    def are_read() -> bool:
        found = inside(host)
        return all(path in found and found[path].capture is not None for path in paths)

    host.until(are_read, f"read: {paths}")
    return inside(host)


def reading(one: Inside) -> Reading:
    assert one.found is not None
    return from_json(one.found)


def times(host: Running) -> dict[str, tuple[str, DateSource]]:
    """When each file was made, and what says so."""
    return {path: (one.capture.local, one.capture.source) for path, one in inside(host).items() if one.capture}


def waits(host: Running) -> dict[str, str]:
    """Why files could not be read yet."""
    lines = host.lines().items()
    return {path: line.inside.waits for path, line in lines if line.inside is not None and line.inside.waits}


def in_catalogue(data: Path, question: str) -> list[tuple[Any, ...]]:
    """Ask the database itself, which nobody has open or somebody else reads too."""
    with closing(sqlite3.connect(f"file:{catalogue_file(data)}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchall()


# -- soon ---------------------------------------------------------------------------------------


def test_an_arrival_passes_a_first_pass(bench: Bench) -> None:
    """The first pass does not wait for the second one, what arrives is read before what was there, status answers."""
    many = scaled(500, 20_000)
    for number in range(many):
        bench.put(f"old/{number // 100}/{number}.jpg", photo(number, MORNING, "ISHELD"))
    with bench.run("old", "in") as host, bench.held() as let_go:
        host.until(lambda: len(host.catalogued()) == many, "the first pass is through")
        host.until(lambda: len(bench.reads) == 2, "the second one is not")
        arrivals = [f"new-{number}.jpg" for number in range(5)]
        for name in arrivals:
            bench.put(f"in/{name}", photo(name, EVENING))
        host.until_catalogued(*(f"in/{name}" for name in arrivals))
        began_s = monotonic()
        host.status()
        assert monotonic() - began_s < 1.0
        assert len(bench.reads) == 2
        let_go()
        host.until_idle()
        # A process goes on with the chunk that it has, and with one that was sent to it beforehand.
        assert max(bench.reads.index(name) for name in arrivals) < 2 * 2 * enriching.CHUNK + len(arrivals) < many
        assert len(times(host)) == many + 5
        assert Counter(Counter(bench.reads).values()) == {1: many + 5}


def test_what_is_to_be_read_is_pending(host: Running, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is pending from its event on, also while nobody has come to look what is to be read."""
    go_on, following = threading.Event(), View.following

    def late(view: View, *arguments: Any) -> Any:
        go_on.wait(20)
        return following(view, *arguments)

    monkeypatch.setattr(View, "following", late)
    bench.put("in/a.jpg")
    host.until(lambda: "in/a.jpg" in host.catalogued(), "it is catalogued")
    end_s = monotonic() + 1.5
    while monotonic() < end_s:
        assert host.service.idle_since_s() is None
        sleep(0.01)
    go_on.set()
    host.until_idle()
    assert bench.reads == ["a.jpg"]


def test_a_sidecar_that_comes_later(host: Running, bench: Bench) -> None:
    """A picture gets another time, and a place in a group, when its sidecar arrives, and the old one when that goes."""
    bench.put("in/a.jpg", photo("a", MORNING))
    assert until_read(host, "in/a.jpg")["in/a.jpg"].role is None
    beside = bench.put("in/a.jpg.xmp", sidecar("2010-01-02T03:04:05"))
    host.until(lambda: inside(host)["in/a.jpg"].role == "primary", "a group of two")
    assert times(host) == {"in/a.jpg": ("2010-01-02T03:04:05", DateSource.SIDECAR)}
    assert inside(host)["in/a.jpg.xmp"].master == host.catalogued()["in/a.jpg"]
    beside.unlink()
    host.until(lambda: inside(host)["in/a.jpg"].role is None, "alone again")
    assert times(host) == {"in/a.jpg": (IN_THE_MORNING, DateSource.EXIF_ORIGINAL)}
    assert bench.reads == ["a.jpg", "a.jpg.xmp"]


def test_equal_contents_are_read_once(bench: Bench) -> None:
    """However many files of one content are there or come, one is read; each has the time that its own name says."""
    for library in ("a", "b"):
        for day in range(1, 6):
            bench.put(f"{library}/IMG_2019010{day}_000000.jpg", photo("same"))
    with bench.run("a", "b") as host:
        host.until_idle()
        assert len(times(host)) == 10
        bench.put("a/IMG_20190106_000000.jpg", photo("same"))
        until_read(host, "a/IMG_20190106_000000.jpg")
        assert len(bench.reads) == 1
        assert {path: local for path, (local, _) in times(host).items()} == {
            f"{library}/IMG_2019010{day}_000000.jpg": f"2019-01-0{day}T00:00:00"
            for library, days in (("a", 7), ("b", 6))
            for day in range(1, days)
        }


def test_equal_contents_at_once(host: Running, bench: Bench) -> None:
    """Files that arrive while an equal one is being read do not wait for anything but that."""
    with bench.held() as let_go:
        bench.put("in/first.jpg", photo("same", MORNING, "ISHELD"))
        host.until(lambda: bench.reads, "it is being read")
        for number in range(5):
            bench.put(f"in/{number}.jpg", photo("same", MORNING, "ISHELD"))
        host.until(lambda: len(host.catalogued()) == 6, "all catalogued")
        let_go()
        until_read(host, "in/first.jpg", *(f"in/{number}.jpg" for number in range(5)))
    assert len(bench.reads) == 1
    assert in_catalogue(host.data, "SELECT count(*) FROM unread") == [(0,)]


# -- what moves and changes ---------------------------------------------------------------------


def test_a_moved_file_keeps_its_reading(host: Running, bench: Bench) -> None:
    """A file that gets another name or another folder is not read again, and has the time that its new name says."""
    path = bench.put("in/a.jpg")
    os.utime(path, (AGO_S, AGO_S))
    before = reading(until_read(host, "in/a.jpg")["in/a.jpg"])
    path = path.rename(path.with_name("IMG_20180102_030405.jpg"))
    host.until(lambda: times(host).get("in/IMG_20180102_030405.jpg", ("",))[0] == "2018-01-02T03:04:05", "dated anew")
    (bench.base / "in" / "d").mkdir()
    path.rename(bench.base / "in" / "d" / "2017-06-05 04.03.02.jpg")
    host.until(lambda: times(host).get("in/d/2017-06-05 04.03.02.jpg", ("",))[0] == "2017-06-05T04:03:02", "once more")
    assert reading(inside(host)["in/d/2017-06-05 04.03.02.jpg"]) == before
    assert bench.reads == ["a.jpg"]


def test_a_moved_directory_keeps_its_groups(host: Running, bench: Bench) -> None:
    """A folder that is moved whole is not read again; its files belong together as before, and to nobody else."""
    bench.put("in/a/x.jpg", photo("x", MORNING))
    bench.put("in/a/x.xmp", sidecar("2010-01-02T03:04:05"))
    bench.put("in/stays/x.xmp", sidecar("2011-01-02T03:04:05"))
    host.until(lambda: len(inside(host)) == 3 and inside(host)["in/a/x.jpg"].role == "primary", "a group")
    (bench.base / "in" / "a").rename(bench.base / "in" / "b")
    host.until(lambda: inside(host).get("in/b/x.jpg", Inside(None, None, None, None, None)).role == "primary", "moved")
    host.until_idle()
    assert times(host) == {"in/b/x.jpg": ("2010-01-02T03:04:05", DateSource.SIDECAR)}
    assert inside(host)["in/b/x.xmp"].master == host.catalogued()["in/b/x.jpg"]
    assert inside(host)["in/stays/x.xmp"].role is None
    assert sorted(bench.reads) == ["x.jpg", "x.xmp", "x.xmp"]


def test_touched_is_not_changed(host: Running, bench: Bench) -> None:
    """Another time, another mode and a link change no content: nothing is read again, and nothing is lost."""
    path = bench.put("in/a.jpg", photo("a", MORNING))
    before = until_read(host, "in/a.jpg")["in/a.jpg"]
    path.touch()
    path.chmod(0o600)
    os.link(path, bench.base / "in" / "b.jpg")
    after = until_read(host, "in/a.jpg", "in/b.jpg")
    host.until_idle()
    assert after["in/a.jpg"] == before
    assert bench.reads == ["a.jpg"]


def test_a_file_that_changes_while_it_is_read(host: Running, bench: Bench) -> None:
    """What was read of it is dropped; what it holds in the end is read, and dates it."""
    with bench.held() as let_go:
        path = bench.put("in/a.jpg", photo("old", MORNING, "ISHELD"))
        host.until(lambda: bench.reads, "it is being read")
        path.write_bytes(photo("new", EVENING))
        let_go()
        host.until(lambda: times(host).get("in/a.jpg") == (IN_THE_EVENING, DateSource.EXIF_ORIGINAL), "read anew")
    host.until_idle()
    assert bench.reads == ["a.jpg", "a.jpg"]
    assert in_catalogue(host.data, "SELECT count(*) FROM reading") == [(1,)], "half of this and half of that"


def test_a_file_that_is_written_for_long(host: Running, bench: Bench) -> None:
    """As long as somebody writes, the file is left alone, and no processor is used up by waiting."""
    with bench.held() as let_go:
        path = bench.put("in/a.jpg", photo("old", MORNING, "ISHELD"))
        host.until(lambda: bench.reads, "it is being read")
        with path.open("ab") as writer:
            writer.write(b"more")
            writer.flush()
            let_go()
            host.until(lambda: waits(host), "it is left")
            thread = host.service.host.enricher._thread.native_id
            spent = Path(f"/proc/self/task/{thread}/schedstat")
            sleep(0.7)  # the first wait is over
            before_ns = int(spent.read_text().split()[0])
            sleep(1.5)
            assert int(spent.read_text().split()[0]) - before_ns < 0.2e9
    until_read(host, "in/a.jpg")
    assert waits(host) == {}


def test_what_was_not_there_when_its_event_came(bench: Bench) -> None:
    """A file that was on its way when the log told of it, and turns out to be as it was, is read without an event."""
    bench.put("in/a.jpg", photo("a", MORNING))
    with bench.run() as host:
        until_read(host, "in/a.jpg")
        root = host.root("in").id
    with Catalogue.open(catalogue_file(bench.base / "data")) as catalogue:
        for table in ("reading", "capture", "member", "kin", "meta"):
            where = " WHERE key = 'enriched'" if table == "meta" else ""
            catalogue._connection.execute(f"DELETE FROM {table}{where}")
        catalogue.depart(root, [(b"", b"a.jpg")], 1)
    with bench.run() as host:
        until_read(host, "in/a.jpg")
        host.until_idle()
        assert [event.type.value for event in host.events() if event.type.value.startswith("file.")] == ["file.created"]


# -- what goes wrong ----------------------------------------------------------------------------


def test_a_root_that_goes_away_while_it_is_read(host: Running, bench: Bench) -> None:
    """What could not be read any more is read when the root is back; nothing is called damaged, nothing read twice."""
    top, away = bench.base / "in", bench.base / "away"
    with bench.held():
        for number in range(40):
            bench.put(f"in/{number:02}.jpg", photo(number, MORNING, "ISHELD"))
        host.until(lambda: len(host.catalogued()) == 40 and bench.reads, "they are being read")
        top.rename(away)
        host.until(lambda: host.root("in").state is RootState.OFFLINE, "the root is gone")
    host.until(lambda: len(waits(host)) + len(times(host)) == 40, "all were tried")
    away.rename(top)
    until_read(host, *(f"in/{number:02}.jpg" for number in range(40)))
    assert {local for local, _ in times(host).values()} == {IN_THE_MORNING}
    assert not any(reading(one).error for one in inside(host).values())
    assert Counter(Counter(bench.reads).values()) == {1: 40}


def test_a_disk_that_fails_for_a_while(host: Running, bench: Bench) -> None:
    """What the disk refuses is not the file's fault: it says why it waits, and is read as soon as that is over."""
    with bench.broken_disk():
        bench.put("in/a.jpg", photo("a", MORNING, "BROKENDISK"))
        bench.put("in/b.jpg", photo("b", MORNING))
        host.until(lambda: waits(host).get("in/a.jpg") == "Input/output error", "it waits")
        until_read(host, "in/b.jpg")
        assert "in/a.jpg" not in times(host)
    until_read(host, "in/a.jpg")
    assert (waits(host), reading(inside(host)["in/a.jpg"]).error) == ({}, None)


@pytest.mark.parametrize("restarts", [False, True], ids=["set right while it runs", "set right before a start"])
def test_a_clock_that_was_ahead(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, restarts: bool) -> None:
    """What had to be left while the clock was ahead is tried again as soon as it is set right, not when it says so."""
    monkeypatch.setattr(enriching, "AGAIN_S", 3600.0)
    monkeypatch.setattr(enriching, "UNSETTLED_MAX_S", 0.1)  # it is looked at again, perhaps while it is to be read
    monkeypatch.setattr(enriching, "now_us", lambda: now_us() + 86_400_000_000)
    with bench.run() as host:
        with bench.broken_disk():
            bench.put("in/a.jpg", photo("a", MORNING, "BROKENDISK"))
            host.until(lambda: waits(host), "it waits")
        if not restarts:
            monkeypatch.setattr(enriching, "now_us", now_us)
            until_read(host, "in/a.jpg")
    if restarts:
        monkeypatch.setattr(enriching, "now_us", now_us)
        with bench.run() as host:
            until_read(host, "in/a.jpg")
    assert "clock_was_ahead" in host.log.events()


def test_what_is_left_is_tried_beside_a_first_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that had to be left does not wait until a whole library is read."""
    monkeypatch.setattr(enriching, "PAUSE_S", 0.2)
    many = scaled(600, 2_000)  # each takes a while
    for number in range(many):
        bench.put(f"old/{number // 100}/{number}.jpg", photo(number, MORNING, "DAWDLES"))
    with bench.run("old", "in") as host:
        host.until(lambda: bench.reads, "the library is being read")
        with bench.broken_disk():
            bench.put("in/a.jpg", photo("a", EVENING, "BROKENDISK"))
            host.until(lambda: waits(host), "it waits")
        until_read(host, "in/a.jpg")
        assert len(bench.reads) < many


def test_files_that_break_their_readers(bench: Bench) -> None:
    """They are remembered with the reason and what their names say, and not tried again; their neighbours are read."""
    reasons = {
        "CRASHES": "ended by signal 11 (SIGSEGV)",
        "NEVERENDS": "took longer than 1 s",
        "NONSENSE": "what was found in it makes no sense",
    }
    for number, word in enumerate(("", *reasons, "")):
        bench.put(f"in/IMG_2019050{number}_080000{word}.jpg", photo(number, MORNING if not word else None, word))
    for _ in range(2):
        with bench.run(work={"reader_deadline": "1s"}) as host:
            host.until_idle()
            found = {path.removesuffix(".jpg")[22:]: reading(one) for path, one in inside(host).items()}
            assert {word: one.error for word, one in found.items() if one.error} == reasons
            assert {(one.reader, one.mime) for one in found.values() if one.error} == {("", "image/jpeg")}
            assert Counter(source for _, source in times(host).values()) == {
                DateSource.NAME: 3,
                DateSource.EXIF_ORIGINAL: 2,
            }
    assert Counter(Counter(bench.reads).values()) == {1: 5}
    states = in_catalogue(host.data, "SELECT state FROM reading ORDER BY 1")
    assert states == [("crashed",), ("read",), ("read",), ("refused",), ("timed out",)]


def test_stopped_while_much_waits_to_be_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service ends within seconds though readers hang and the queue before them is full; the next one reads all."""
    monkeypatch.setattr(isolation, "DEPTH", 1)
    monkeypatch.setattr(enriching, "CHUNK", 1)
    with bench.held():
        for number in range(12):
            bench.put(f"in/{number}.jpg", photo(number, MORNING, "ISHELD"))
        host = bench.run(work={"readers": 1})
        host.until(lambda: len(host.catalogued()) == 12 and bench.reads, "they are being read")
        began_s = monotonic()
        host.service.stop()
        assert monotonic() - began_s < 5.0
        assert host.service.failure is None
    with bench.run() as host:
        host.until_idle()
        assert len(times(host)) == 12


# -- never twice, never not at all --------------------------------------------------------------


class Ended(BaseException):
    """The process ends here, as far as the catalogue can tell."""


def test_memory_that_is_short_for_a_while(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose process the kernel ended is read when memory is there again, and its neighbours before."""
    monkeypatch.setattr(enriching, "KILLED_S", 0.5)
    monkeypatch.setattr(enriching, "KILLS", 1_000)
    with bench.run() as host:
        with bench.broken_disk():
            bench.put("in/a.jpg", photo("a", MORNING, "MEMORYHOG"))
            host.until(lambda: "SIGKILL" in waits(host).get("in/a.jpg", ""), "it waits")
            bench.put("in/b.jpg", photo("b", MORNING))
            until_read(host, "in/b.jpg")
        until_read(host, "in/a.jpg")
        assert reading(inside(host)["in/a.jpg"]).error is None


def test_a_file_that_takes_all_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries a file whose process is always ended has that as its reason, and is not tried any more."""
    monkeypatch.setattr(enriching, "KILLED_S", 0.01)
    with bench.broken_disk(), bench.run() as host:
        bench.put("in/IMG_20190504_080000.jpg", photo("a", None, "MEMORYHOG"))
        found = until_read(host, "in/IMG_20190504_080000.jpg")
        assert reading(found["in/IMG_20190504_080000.jpg"]).error == "ended by signal 9 (SIGKILL)"
        host.until_idle()
    assert len(bench.reads) == 2 * enriching.KILLS
    assert in_catalogue(host.data, "SELECT state FROM reading") == [("crashed",)]


def test_a_mistake_of_ours(bench: Bench) -> None:
    """It is told with its trace, the file has its date by its name, and the next start tries it anew, once."""
    bench.put("in/IMG_20190504_080000.jpg", photo("a", None, "MISTAKEN"))
    for times in (1, 2, 3):
        with bench.run() as host:
            host.until_idle()
            host.until(lambda times=times: len(bench.reads) == times, "it is tried")  # type: ignore[misc]
            found = until_read(host, "in/IMG_20190504_080000.jpg")["in/IMG_20190504_080000.jpg"]
            assert (reading(found).error or "").startswith("a mistake in mediasluice, told in its log: TypeError")
            assert found.capture is not None
            assert found.capture.source is DateSource.NAME
            host.until(lambda: "worker_bug" in host.log.events(), "it is told")
            [told] = [values for event, values in host.log.lines if event == "worker_bug"]
            assert "opened.py" in str(told["detail"])
            host.until_idle()
            host.log.lines.clear()  # what is told there fails other tests
    assert in_catalogue(host.data, "SELECT state, version FROM reading") == [("mistaken", 0)]


@contextmanager
def ends_before_relating(name: bytes) -> Iterator[None]:
    """The host that runs in this block ends after the readings of this file are kept, and before its group is."""
    relate = Relater.relate

    def end(self: Relater, relatives: Sequence[Any]) -> Any:
        if any(one.name == name for one in relatives):
            raise Ended
        return relate(self, relatives)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Relater, "relate", end)
        yield


def run_to_the_end(bench: Bench, act: Callable[[Running], object] = lambda _: None) -> None:
    """Run a host until it has ended."""
    host = bench.run()
    try:
        act(host)
        assert host.service.ended.wait(20), "it did not end"
        assert isinstance(host.service.failure, Ended)
    finally:
        host.service.stop()


def test_ended_between_reading_and_relating(bench: Bench) -> None:
    """What was read and not related when a process ended is related by the next one, and not read again."""
    bench.put("in/a.jpg", photo("a", MORNING))
    bench.put("in/a.xmp", sidecar("2010-01-02T03:04:05"))
    with ends_before_relating(b"a.jpg"):
        run_to_the_end(bench)
    with bench.run() as host:
        host.until_idle()
        assert times(host) == {"in/a.jpg": ("2010-01-02T03:04:05", DateSource.SIDECAR)}
    assert sorted(bench.reads) == ["a.jpg", "a.xmp"]


def test_ended_while_something_is_tried_again(bench: Bench) -> None:
    """No event leads back to a file that was left; it stays on the list until all that follows from it is kept."""
    with bench.broken_disk():
        bench.put("in/a.jpg", photo("a", MORNING, "BROKENDISK"))
        with bench.run() as host:
            host.until(lambda: waits(host), "it waits")
    with ends_before_relating(b"a.jpg"):
        run_to_the_end(bench)
    with bench.run() as host:
        until_read(host, "in/a.jpg")
        host.until_idle()
        assert waits(host) == {}


def test_ended_after_a_master_is_gone(bench: Bench) -> None:
    """The sidecar of a deleted picture is told by the next process, when this one ended before it could."""
    path = bench.put("in/a.jpg", photo("a", MORNING))
    bench.put("in/a.xmp", sidecar("2010-01-02T03:04:05"))
    with bench.run() as host:
        host.until(lambda: inside(host).get("in/a.xmp", Inside(None, None, None, None, None)).role, "a group")
        host.until_idle()
    with ends_before_relating(b"a.xmp"):
        run_to_the_end(bench, lambda _: path.unlink())
    with bench.run() as host:
        host.until(lambda: inside(host)["in/a.xmp"].role is None, "it is alone")


def test_newer_readers_read_all_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of the readers reads each content once more in the background; equal files get new times alike."""
    bench.put("in/IMG_20190504_080000.jpg", photo("a", EVENING))
    bench.put("in/b.jpg", photo("a", EVENING))
    bench.put("in/c.jpg", photo("c", MORNING))
    with bench.run() as host:
        host.until_idle()
    before = sorted(bench.reads)
    with Catalogue.open(catalogue_file(bench.base / "data")) as catalogue:
        catalogue._connection.execute('UPDATE reading SET found = \'{"reader":"old"}\'')  # it knew nothing of dates
        catalogue._connection.execute("DELETE FROM capture")
    monkeypatch.setattr("mediasluice.pipeline.enriching.READER_VERSION", READER_VERSION + 1)
    for _ in range(2):
        with bench.run() as host:
            until_read(host, "in/b.jpg", "in/c.jpg", "in/IMG_20190504_080000.jpg")
            host.until_idle()
            assert {path: local for path, (local, _) in times(host).items()} == {
                "in/IMG_20190504_080000.jpg": IN_THE_EVENING,
                "in/b.jpg": IN_THE_EVENING,
                "in/c.jpg": IN_THE_MORNING,
            }
            host.until(lambda: not host.service.host.enricher._sweeps, "nobody looks for older ones for ever")
    assert len(before) == 2
    assert len(bench.reads) == 4
    assert in_catalogue(host.data, "SELECT DISTINCT version FROM reading") == [(READER_VERSION + 1,)]


def test_a_catalogue_from_before(bench: Bench) -> None:
    """A catalogue that knows nothing of a second pass is read from its first event."""
    for number in range(4):
        bench.put(f"in/{number}.jpg", photo(number, MORNING))
    with bench.run() as host:
        host.until_idle()
    read = len(bench.reads)
    of_version_2(catalogue_file(bench.base / "data"))
    Catalogue.open(catalogue_file(bench.base / "data")).close()
    with bench.run() as host:
        host.until_idle()
        assert {path: local for path, (local, _) in times(host).items()} == dict.fromkeys(
            (f"in/{number}.jpg" for number in range(4)), IN_THE_MORNING
        )
    assert len(bench.reads) - read == 4


def test_a_companion_whose_kind_says_nothing(host: Running, bench: Bench) -> None:
    """The files of a disc belong together whatever their bytes are, so that they are never torn apart."""
    for name in ("VIDEO_TS.IFO", "VIDEO_TS.BUP", "VTS_01_0.IFO"):
        bench.put(f"in/film/VIDEO_TS/{name}", b"\x00\x01\x02 nothing that is known " + name.encode())
    bench.put("in/film/VIDEO_TS/VTS_01_1.VOB", encoded.film("mpg"))
    host.until(lambda: len({one.master for one in inside(host).values()}) == 1 and len(inside(host)) == 4, "a disc")
    assert Counter(one.role for one in inside(host).values()) == {"primary": 1, "part": 3}


def test_more_than_can_be_compared(host: Running, bench: Bench) -> None:
    """Files whose names begin alike by the thousand are compared with nobody, and each has its time all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mediasluice.catalogue.readings.FOLDER_MAX", 10)
        patch.setattr(
            "mediasluice.catalogue.readings._SHARING", "SELECT file FROM kin WHERE home = ? AND key = ? LIMIT 11"
        )
        for number in range(30):
            bench.put(f"in/security camera behind the house and garden {number:04}.jpg", photo(number, MORNING))
        host.until(lambda: len(times(host)) == 30, "all are dated")
    assert {local for local, _ in times(host).values()} == {IN_THE_MORNING}


def test_killed_amid_the_second_pass(tmp_path: Path) -> None:
    """After kill -9 at any instant all is read and grouped as if nothing had happened, and nothing is read again."""
    top, kills, numbers = tmp_path / "in", scaled(5, 60), count()
    top.mkdir()
    chance = random.Random(SCALE)
    config = {"libraries": {"in": {"path": str(top), **SOON}}, **ALONE}
    kept: dict[int, int] = {}
    hit = 0
    with Sluice(tmp_path / "home", config=config) as sluice:
        for number in range(kills):
            service = sluice.start(ready=False)
            if number % 3 == 1:  # at any time after the start; else while it reads what arrives
                sleep(chance.uniform(0.0, 1.0))
            else:
                arrive(top / f"{next(numbers):03}", chance)
                _until_more_is_read(sluice, len(kept))
            until_s = monotonic() + chance.uniform(0.0, 0.4)
            while monotonic() < until_s:
                arrive(top / f"{next(numbers):03}", chance)
                sleep(0.02)
            arrive(top / f"{next(numbers):03}", chance)
            service.kill()
            found = _read(sluice)
            assert {content: found.get(content) for content in kept} == kept, "read again"
            hit += len(kept) < len(found)
            kept = found
        sluice.call("scan", timeout_s=120)
        found = _read(sluice)
        assert {content: found[content] for content in kept} == kept, "read again"
        seen = _as_told(sluice)
    assert hit >= kills // 2, "it was never killed amid the second pass"
    assert all(capture for path, (_, capture, _, _) in seen.items() if path.endswith(".jpg"))
    with Sluice(tmp_path / "calm", config=config) as sluice:
        sluice.call("scan", timeout_s=120)
        assert _as_told(sluice) == seen


def arrive(folder: Path, chance: random.Random) -> None:
    """Pictures with a sidecar, alone, and as a copy of another."""
    folder.mkdir()
    for number in range(chance.randrange(1, 9)):
        (folder / f"{number}.jpg").write_bytes(photo(f"{folder}/{number}", MORNING))
    (folder / "0.xmp").write_bytes(sidecar(f"2010-01-02T03:04:{chance.randrange(60):02}"))
    (folder / "twin.jpg").write_bytes(photo(f"{folder}/0", MORNING))


def _read(sluice: Sluice) -> dict[int, int]:
    """The contents that were read, and when."""
    with suppress(sqlite3.OperationalError):  # there may be no catalogue yet
        return dict(in_catalogue(sluice.data, "SELECT content, at_us FROM reading"))
    return {}


def _until_more_is_read(sluice: Sluice, known: int) -> None:
    until(lambda: len(_read(sluice)) > known, "something is read", 30, step_s=0.02)


def _as_told(sluice: Sluice) -> dict[str, Any]:
    """What is known of each file, with paths for the numbers of files."""
    files = sluice.files()
    paths = {line["id"]: path for path, line in files.items()}
    assert not any(line["reader_error"] for line in files.values())
    return {
        path: (line["mime"], line["capture"], line["role"], line["group"] and paths[line["group"]])
        for path, line in files.items()
    }


class Storm:
    """Files that are written, renamed, moved with their folders and deleted, at once and in any order."""

    ENDINGS = ("jpg", "heic", "cr2", "mov", "xmp", "jpg.xmp", "jpg.json", "mp3", "srt", "lrc", "m3u", "txt")
    NAMES = tuple(".".join(name) for name in product(("IMG_1", "IMG_2", "cover", "01 song"), ENDINGS))
    FOLDERS = ("d", "e", "f", "f/CD1", "f/CD2", "g", "g/VIDEO_TS")

    def __init__(self, top: Path, seed: int) -> None:
        self._top = top
        self._chance = random.Random(seed)
        self._sound, self._film = encoded.sound("mp3", 1), encoded.film("mov", 1, 0.2)

    def content(self, name: str) -> bytes:
        """One of few contents, so that some are equal."""
        number = self._chance.randrange(6)
        taken = (None, MORNING, MORNING[:-1] + "2", EVENING)[number % 4]
        ending = name.rpartition(".")[2]
        if ending in ("jpg", "heic"):
            return photo(number, taken)
        if ending == "xmp":
            return sidecar(f"2010-01-02T03:04:0{number}")
        return {
            "cr2": pictures.tiff({pictures.MAKE: "C", pictures.EXIF: {pictures.ORIGINAL: taken or EVENING}}),
            "json": b'{"photoTakenTime":{"timestamp":"%d"}}' % (1_400_000_000 + number),
            "mp3": self._sound + bytes(number),
            "mov": self._film + pictures.box(b"free", bytes(number)),
        }.get(ending, f"{ending} {number}\n".encode())

    def blow(self) -> None:
        """One change."""
        pick, number = self._chance.choice, self._chance.random()
        files = sorted(path for path in self._top.rglob("*") if path.is_file())
        folder = self._top / pick(self.FOLDERS)
        folder.mkdir(parents=True, exist_ok=True)
        if number < 0.5 or not files:
            name = pick(self.NAMES)
            (folder / name).write_bytes(self.content(name))
        elif number < 0.65:
            pick(files).unlink()
        elif number < 0.9:
            path = pick(files)
            names = [name for name in self.NAMES if name.rpartition(".")[2] == path.suffix[1:]]
            path.rename(folder / pick([*names, *[path.name] * 3]))
        elif number < 0.95:
            path = pick(files)
            path.write_bytes(self.content(path.name))
        else:
            one = pick(sorted(path for path in self._top.iterdir() if path.is_dir()))
            one.rename(self._top / f"moved {len(files)} {number}")
        if self._chance.random() < 0.15:
            sleep(self._chance.uniform(0.0, 0.15))


@pytest.mark.parametrize("seed", range(scaled(1, 50)))
def test_after_a_storm_all_is_as_found(bench: Bench, seed: int) -> None:
    """Whatever order changes came in, what is known in the end is what a catalogue knows that sees the end alone."""
    storm = Storm(bench.base / "in", seed)
    utc: dict[str, Any] = {"system": {"timezone": "UTC"}}
    with bench.run(**utc) as host:
        for _ in range(120):
            storm.blow()
        host.until_idle()
        host.scan()  # it is about the second pass: whether the first one missed anything is asked elsewhere
        host.until(lambda: not in_catalogue(host.data, "SELECT 1 FROM file WHERE state = 'departed'"), "decided")
        host.until(lambda: not in_catalogue(host.data, "SELECT 1 FROM unread"), "nothing waits")
        host.until_idle()
        seen = _as_known(host)
    with bench.run(is_service=False, data=bench.base / "fresh", **utc) as host:
        host.scan()
        assert _as_known(host) == seen


def _as_known(host: Running) -> dict[str, tuple[Any, ...]]:
    """What is known of each file, with paths for the numbers of files."""
    lines = host.lines()
    paths = {line.id: path for path, line in lines.items()}
    none = Inside(None, None, None, None, None)
    return {
        path: (line.kind, line.state, one.found, one.capture, one.role, one.master and paths.get(one.master))
        for path, line in lines.items()
        for one in [line.inside or none]
    }


# -- on request ---------------------------------------------------------------------------------


def scan(bench: Bench, **rest: Any) -> dict[str, Any]:
    """One pass without a service."""
    with bench.run(is_service=False, **rest) as host:
        return host.scan()


def dated(bench: Bench) -> set[str]:
    """The files that have a capture time, by the catalogue alone."""
    found = in_catalogue(
        bench.base / "data", "SELECT f.name FROM file f JOIN capture c ON c.file = f.id AND c.version = f.version"
    )
    return {os.fsdecode(name) for (name,) in found}


def test_a_scan_returns_when_all_is_read(bench: Bench) -> None:
    """A pass on request ends with every file read, equal ones too; the next one opens none."""
    for number in range(60):
        bench.put(f"in/{number}.jpg", photo(number // 2, MORNING))
    assert scan(bench)["new"] == 60
    assert len(dated(bench)) == 60
    assert len(bench.reads) == 30
    for number in range(60, 65):
        bench.put(f"in/{number}.jpg", photo(0, MORNING))
    scan(bench)
    assert len(dated(bench)) == 65
    assert len(bench.reads) == 30


def test_a_scan_reads_what_an_earlier_one_left(bench: Bench) -> None:
    """What could not be read is read by the next pass that can, though no event leads to it."""
    bench.put("in/a.jpg", photo("a", MORNING, "BROKENDISK"))
    with bench.broken_disk():
        scan(bench)
        assert dated(bench) == set()
    sleep(0.6)  # its time comes
    scan(bench)
    assert dated(bench) == {"a.jpg"}


# -- imports ------------------------------------------------------------------------------------


def to(target: Path, template: str = "{taken:%Y/%m}/{name}", **rest: Any) -> dict[str, Any]:
    """A library that copies to ``target``."""
    return {"action": "import", "import": {"target": str(target), "template": template}, **rest}


def below(directory: Path) -> list[str]:
    """The files that have their names."""
    found = (path for path in directory.rglob("*") if not path.is_dir() and not path.name.startswith(".sluice"))
    return sorted(str(path.relative_to(directory)) for path in found)


def test_imports_go_by_what_stands_inside(bench: Bench) -> None:
    """Templates go by the dates, tags and cameras of files; what a file does not say is dealt with as is set."""
    out = bench.base / "out"
    of_song = "{artist}/{album}/{track:02d} {title}{ext}"
    rules = {
        "dates": to(out / "dates"),
        "mtime": to(out / "mtime", undated="mtime"),
        "skip": to(out / "skip", undated="skip"),
        "songs": to(out / "songs", of_song),
        "cameras": to(out / "cameras", "{make}/{model}/{name}"),
    }
    camera = pictures.tiff({pictures.MAKE: "Canon", pictures.MODEL: "EOS 5D/II"})
    tags = {"artist": "AC/DC", "album": "Back in\tBlack", "title": "Hells Bells?", "track": "1/10"}
    contents = {
        "dates/camera.jpg": photo("camera", MORNING),
        "dates/IMG_20180102_030405.jpg": photo("name"),
        "dates/both.jpg": photo("both", MORNING),
        "dates/both.jpg.xmp": sidecar("2010-01-02T03:04:05"),
        "dates/trip/nothing.jpg": photo("nothing"),
        "mtime/camera.jpg": photo("camera 2", MORNING),
        "mtime/d/nothing.jpg": photo("nothing 2"),
        "skip/camera.jpg": photo("camera 3", MORNING),
        "skip/d/nothing.jpg": photo("nothing 3"),
        "songs/a.mp3": encoded.sound("mp3", 1, **tags),  # type: ignore[arg-type]
        "songs/b.flac": encoded.sound("flac", 2, **{**tags, "track": "2", "title": "  ..  "}),  # type: ignore[arg-type]
        "songs/c.ogg": encoded.sound("ogg", 3),
        "cameras/a.jpg": pictures.jpeg(pictures.exif_segment(camera)),
        "cameras/b.jpg": photo("b"),
    }
    with bench.run(rules=rules, system={"timezone": "UTC"}) as host:
        host.until_idle()
        for name, content in contents.items():
            os.utime(bench.put(name, content), (AGO_S, AGO_S))
        host.until(lambda: len(host.catalogued()) == len(contents), "all catalogued")
        host.until_idle()
    assert below(out) == [
        "cameras/Canon/EOS 5D_II/a.jpg",
        "cameras/unknown/unknown/b.jpg",
        "dates/2010/01/both.jpg",
        "dates/2010/01/both.jpg.xmp",
        "dates/2018/01/IMG_20180102_030405.jpg",
        "dates/2019/05/camera.jpg",
        "dates/undated/trip/nothing.jpg",
        "mtime/2019/05/camera.jpg",
        "mtime/2020/09/nothing.jpg",
        "skip/2019/05/camera.jpg",
        "songs/AC_DC/Back in Black/01 Hells Bells?.mp3",
        "songs/AC_DC/Back in Black/02 ...flac",
        "songs/unknown/unknown/00 c.ogg",
    ]


def test_nothing_is_imported_before_it_is_read(bench: Bench) -> None:
    """A picture whose date is not known yet stays where it is, and goes to the right place when it is."""
    out = bench.base / "out"
    with bench.run(rules={"in": to(out)}) as host, bench.held() as let_go:
        host.until_idle()
        bench.put("in/a.jpg", photo("a", MORNING, "ISHELD"))
        bench.put("in/notes.txt", b"no media")
        host.until(lambda: bench.reads and below(out), "the other file is imported")
        assert below(out) == ["undated/notes.txt"]
        let_go()
        host.until(lambda: "2019/05/a.jpg" in below(out), "imported by its date")


def test_a_changed_picture_is_imported_by_its_own_date(bench: Bench) -> None:
    """While a new version waits to be read, a neighbour that arrives gives it no date to be imported by."""
    out = bench.base / "out"
    with bench.run(rules={"in": to(out)}) as host, bench.held() as let_go:
        host.until_idle()
        path = bench.put("in/a.jpg", photo("a", MORNING))
        host.until(lambda: below(out) == ["2019/05/a.jpg"], "the first version is imported")
        path.write_bytes(photo("another", EVENING, "ISHELD"))
        host.until(lambda: len(bench.reads) == 2, "the second version is being read")
        bench.put("in/a.jpg.xmp", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>")
        host.until(lambda: inside(host).get("in/a.jpg.xmp") is not None, "its sidecar is known")
        assert "in/a.jpg" not in times(host)
        let_go()
        host.until(lambda: "2018/12/a.jpg" in below(out), "imported by its own date")


def test_a_name_that_an_import_made_is_no_evidence(bench: Bench) -> None:
    """A picture that was undated goes on being undated where a template gave it a name with a date."""
    out = bench.base / "out"
    rules = {"in": to(out, "{taken:%Y%m%d_%H%M%S}{ext}", undated="mtime"), "out": {}}
    rules["in"]["import"]["mode"] = "move"
    with bench.run(rules=rules, system={"timezone": "UTC"}) as host:
        host.until_idle()
        path = bench.put("in/IMG.jpg")
        os.utime(path, (AGO_S, AGO_S))
        host.until(lambda: times(host).get("out/20200913_122640.jpg"), "imported")
        host.until_idle()
        assert times(host) == {"out/20200913_122640.jpg": ("2020-09-13T12:26:40", DateSource.MTIME)}
