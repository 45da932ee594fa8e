"""Groups by a whole host in this process: what belongs together is imported and set aside as one."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.rows import Judged
from mediasluice.catalogue.view import View
from mediasluice.pipeline import importing, placing
from mediasluice.service.importing import run_import, wish_for
from tests import pictures as made
from tests.encoded import film as encoded_film
from tests.encoded import picture, sound
from tests.recordings import Film, record
from tests.running import Running

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(240)]

AGAIN_S = 0.3
HEIC, MOV, XMP, AAE = "IMG_1.HEIC", "IMG_1.MOV", "IMG_1.HEIC.xmp", "IMG_1.AAE"
GROUP = (HEIC, MOV, XMP, AAE)
SIDECARS = {
    XMP: b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>',
    AAE: b'<?xml version="1.0"?><plist version="1.0"><dict/></plist>',
}
MODES: dict[str, dict[str, Any]] = {
    "copy": {},
    "move": {"mode": "move"},
    "hardlink": {"mode": "hardlink"},
    "in place": {"target": None},
    "set aside": {"after": "move"},
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be imported is tried again at once, not after seconds."""
    monkeypatch.setattr(importing, "RETRY_S", AGAIN_S)
    monkeypatch.setattr(importing, "AGAIN_S", AGAIN_S)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The movie of a Live Photo; bytes behind its end make it another one."""
    tags = {"com.apple.quicktime.content.identifier": "A-1"}
    path = tmp_path_factory.mktemp("film") / "a.mov"
    options = {"movflags": "use_metadata_tags"}
    record(path, None, Film("mpeg4", seconds=0.2), tags=tags, options=options, container="mov")
    return path.read_bytes()


def still(seed: str, taken: str = "2024:05:06 07:08:09") -> bytes:
    """A picture that says when it was taken."""
    exif = made.tiff({made.MAKE: "Apple", made.EXIF: {made.ORIGINAL: taken}})
    return made.heif({2: (b"Exif", bytes(4) + exif)}) + made.box(b"free", seed.encode())


def jpeg(seed: str) -> bytes:
    """Another picture of the same shot."""
    exif = made.tiff({made.MAKE: "Apple", made.EXIF: {made.ORIGINAL: "2024:05:06 07:08:09"}})
    return made.jpeg(made.exif_segment(exif)) + seed.encode()


class Full:
    """The disk has no room inside the ``with`` block: what waits is tried again all at once."""

    def __init__(self, host: Running, path: Path, *stages: str, lasts: bool = False) -> None:
        self._host, self._path, self._stages = host, path, stages or ("part", "rename", "directory")
        self._is_full, self._lasts = True, lasts

    def __enter__(self) -> None:
        object.__setattr__(self._host.service.host.importer._transfer, "before", self._hear)

    def _hear(self, stage: str) -> None:
        if self._is_full and stage in self._stages:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def __exit__(self, *_: object) -> None:
        reason = os.strerror(errno.ENOSPC)
        self._host.until(lambda: any(reason in str(line) for line in self._host.log.lines), "the disk is full")
        self._host.until_idle()
        self._is_full = self._lasts


class Bench:
    """A host that imports from ``in`` to ``out``, and what people put there."""

    def __init__(self, base: Path, film: bytes, **rules: Any) -> None:
        self.base, self.top, self.out, self.done = base, base / "in", base / "out", base / "done"
        self._film = film
        wanted = {"target": str(self.out), "template": "{directory}/{name}", **rules}
        section = {name: value for name, value in wanted.items() if value is not None}
        if "after" in section or section.pop("sets_copies_aside", None):
            section["processed_dir"] = str(self.done)
        if rules.get("target", self) is None:
            section.pop("template")
        settle = {"unknown": "0.3s"}  # chosen: the parts of a disc have no format that says where they end
        self.libraries: dict[str, dict[str, Any]] = {"in": {"action": "import", "import": section, "settle": settle}}

    def run(self) -> Running:
        return Running(self.base, self.libraries, previews={"of": "none"})

    def put(self, name: str, content: bytes | None = None, below: str = "") -> Path:
        """A file arrives; without a content its name says which."""
        path = self.top / below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content(name, below) if content is None else content)
        return path

    def content(self, name: str, seed: str = "") -> bytes:
        if name in SIDECARS:
            return SIDECARS[name]
        if name.endswith(".MOV"):
            return self._film + made.box(b"free", seed.encode())
        return still(seed)


def below(directory: Path) -> list[str]:
    """The files below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def judged(host: Running, *, missing: bool = False) -> dict[str, str]:
    """Path -> judgement of the files that have one."""
    found = {}
    with View.open(catalogue_file(host.data)) as view:
        for path, line in host.lines(missing=missing).items():
            judgement = view.judged(line.id)
            if judgement is not None:
                found[path] = judgement.judgement.value
    return found


def count(host: Running, kind: str) -> int:
    return sum(event.type.value == kind for event in host.events())


@pytest.fixture
def bench(tmp_path: Path, film: bytes) -> Bench:
    """Copies what arrives."""
    (tmp_path / "in").mkdir()
    return Bench(tmp_path, film)


@pytest.fixture
def host(bench: Bench) -> Iterator[Running]:
    """A running host that copies."""
    with bench.run() as host:
        host.until_idle()
        yield host


# -- in any order -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_in_any_order(tmp_path: Path, film: bytes, mode: str) -> None:
    """A Live Photo with two sidecars is one group of two items at one place, whatever comes first, with gaps."""
    bench = Bench(tmp_path, film, **MODES[mode])
    every = [*permutations(GROUP)]
    chosen = every if mode in ("copy", "move") else every[::5]
    orders = {"".join(str(GROUP.index(name)) for name in order): order for order in chosen}
    with bench.run() as host:
        host.until_idle()
        for wave in range(len(GROUP)):
            for place, order in orders.items():
                bench.put(order[wave], below=place)
            host.until_idle(0.8)
        expected = sorted(f"{place}/{name}" for place in orders for name in GROUP)
        top = bench.top if mode == "in place" else bench.out
        assert below(top) == expected
        if mode in ("move", "set aside"):
            assert below(bench.top) == []
        if mode == "set aside":
            assert len(below(bench.done)) == len(expected)
        assert count(host, "item.imported") == 2 * len(orders)
        assert count(host, "item.joined") == 2 * len(orders)
        states = judged(host, missing=mode in ("move", "set aside"))
        for path, state in states.items():
            assert state == ("companion" if path.endswith(tuple(SIDECARS)) else "imported"), path


@pytest.mark.parametrize("mode", ["copy", "move", "set aside"])
@pytest.mark.parametrize("was_there", [True, False])
def test_put_off_together(tmp_path: Path, film: bytes, mode: str, *, was_there: bool) -> None:
    """Groups whose members were all put off, of a first pass or later, lie under one stem each when they are placed."""
    bench = Bench(tmp_path, film, template="sub/{name}", **MODES[mode])
    names, places = (*GROUP, "IMG_1.JPG"), [str(number) for number in range(4)]

    def arrive() -> None:
        for place in places:
            for name in names:
                bench.put(name, jpeg(place) if name.endswith("JPG") else None, below=place)

    if was_there:  # nothing can be imported yet
        (bench.out / "sub").parent.mkdir()
        (bench.out / "sub").write_bytes(b"not a directory")
        arrive()
    with bench.run() as host:
        host.until_idle()
        with Full(host, bench.out):
            if was_there:
                (bench.out / "sub").unlink()
            else:
                arrive()
        host.until(lambda: len(below(bench.out)) == len(names) * len(places), "they are there")
        host.until_idle()
    for top in [bench.out, *([bench.done / "imported"] if mode == "set aside" else [])]:
        assert len(below(top)) == len(names) * len(places)
        shots = Counter(name.removesuffix(".xmp").partition(".")[0] for name in below(top))
        assert set(shots.values()) == {len(names)}, shots


def test_two_followers_of_what_is_not_imported(tmp_path: Path, film: bytes) -> None:
    """A movie and a second picture whose first one is not imported take one stem, though they were put off together."""
    bench = Bench(tmp_path, film, template="{name}")
    bench.libraries["in"]["existing"] = "baseline"
    bench.out.mkdir()
    (bench.out / "IMG_1.PNG").write_bytes(b"of somebody else")
    bench.put(HEIC)
    with bench.run() as host:
        host.until_idle()
        with Full(host, bench.out):
            bench.put(MOV)
            bench.put("IMG_1.JPG", jpeg("a"))
        host.until(lambda: len(below(bench.out)) == 3, "they are there")
    assert below(bench.out) == ["IMG_1.PNG", "IMG_1_2.JPG", "IMG_1_2.MOV"]


# -- names --------------------------------------------------------------------------------------


def test_a_stranger_has_their_name(tmp_path: Path, film: bytes) -> None:
    """Where another file has the name of one of them all of them take another one, the same for all."""
    bench = Bench(tmp_path, film, template="{name}")
    bench.out.mkdir()
    (bench.out / MOV).write_bytes(b"of somebody else")
    with bench.run() as host:
        host.until_idle()
        for name in GROUP:
            bench.put(name)
            host.until_idle()
    fresh = ["IMG_1_2.AAE", "IMG_1_2.HEIC", "IMG_1_2.HEIC.xmp", "IMG_1_2.MOV"]
    assert below(bench.out) == sorted([MOV, *fresh])
    assert (bench.out / MOV).read_bytes() == b"of somebody else"


def test_a_name_is_taken_between_master_and_follower(host: Running, bench: Bench) -> None:
    """What somebody put under a sidecar's name meanwhile stays; the sidecar takes another one and says so."""
    bench.put(HEIC, below="a")
    host.until_idle()
    (bench.out / "a" / XMP).write_bytes(b"of somebody else")
    path = bench.put(XMP, below="a")
    host.until_idle()
    assert (bench.out / "a" / XMP).read_bytes() == b"of somebody else"
    assert (bench.out / "a" / "IMG_1.HEIC_2.xmp").read_bytes() == SIDECARS[XMP]
    assert judgement_of(host, path).reason == placing.TOOK_ANOTHER


def test_raw_and_its_picture(tmp_path: Path, film: bytes) -> None:
    """A negative that comes after its picture lies beside it under the same stem, each an item of its own."""
    bench = Bench(tmp_path, film, template="{name}")
    bench.out.mkdir()
    (bench.out / "DSC_1.PNG").write_bytes(b"of somebody else")
    exif = made.tiff({made.MAKE: "Acme", made.EXIF: {made.ORIGINAL: "2024:05:06 07:08:09"}})
    with bench.run() as host:
        host.until_idle()
        bench.put("DSC_1.JPG", made.jpeg(made.exif_segment(exif)))
        host.until_idle()
        bench.put("DSC_1.DNG", made.tiff({made.DNG: b"\1\4\0\0", made.EXIF: {made.ORIGINAL: "2024:05:06 07:08:09"}}))
        host.until_idle()
        assert count(host, "item.imported") == 2
    assert below(bench.out) == ["DSC_1.PNG", "DSC_1_2.DNG", "DSC_1_2.JPG"]


@pytest.mark.parametrize("template", ["{name}", "{directory}/{name}"])
def test_two_discs_of_equal_names(tmp_path: Path, film: bytes, template: str) -> None:
    """The parts of a disc keep their names and their order of folders, whatever the template says, with gaps."""
    bench = Bench(tmp_path, film, template=template, mode="move")
    (bench.out / "Two").mkdir(parents=True)
    (bench.out / "Two" / "of somebody else.txt").write_bytes(b"x")
    parts = {"VIDEO_TS.IFO": b"DVDVIDEO-VMG", "VTS_01_0.IFO": b"DVDVIDEO-VTS", "VTS_01_1.VOB": encoded_film("mpg")}
    with bench.run() as host:
        host.until_idle()
        for name, content in reversed(parts.items()):
            for disc in ("One", "Two"):
                bench.put(name, content + disc.encode(), below=f"{disc}/VIDEO_TS")
            host.until_idle()
        two = "Two_2" if template == "{name}" else "Two"
        host.until(lambda: below(bench.top) == [], "all parts")
        expected = [f"{disc}/VIDEO_TS/{name}" for disc in ("One", two) for name in parts]
        assert below(bench.out) == sorted([*expected, "Two/of somebody else.txt"])


def disc(bench: Bench, below: str, seed: str) -> dict[str, bytes]:
    """The files of a film on a disc arrive; gives them by their places below the disc."""
    parts = {"VIDEO_TS.IFO": b"DVDVIDEO-VMG", "VTS_01_0.IFO": b"DVDVIDEO-VTS", "VTS_01_1.VOB": encoded_film("mpg")}
    contents = {f"VIDEO_TS/{name}": content + seed.encode() for name, content in parts.items()}
    contents["cover.jpg"] = picture("jpg", seed)
    for name, content in contents.items():
        bench.put(name, content, below=below)
    return contents


def discs_in(top: Path) -> dict[str, dict[str, bytes]]:
    """The files of each disc below a directory, by their places below the disc."""
    return {
        place.name: {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        for place in top.iterdir()
    }


def by_cover(discs: Iterable[dict[str, bytes]]) -> list[dict[str, bytes]]:
    return sorted(discs, key=lambda held: held["cover.jpg"])


@pytest.mark.parametrize("mode", ["copy", "move", "set aside"])
def test_discs_of_one_name_at_once(tmp_path: Path, film: bytes, mode: str) -> None:
    """Discs of one name that arrive together lie in a directory each, with their covers, and are set aside so."""
    bench = Bench(tmp_path, film, template="{name}", **MODES[mode])
    discs = [disc(bench, f"{place}/Film", place) for place in "abc"]
    with bench.run() as host:
        host.until_idle()
        host.until(lambda: len(below(bench.out)) == 12, "all files")
        host.until_idle()
    for top in [bench.out, *([bench.done / "imported"] if mode == "set aside" else [])]:
        found = discs_in(top)
        assert set(found) == {"Film", "Film_2", "Film_3"}
        assert by_cover(found.values()) == by_cover(discs)


def test_copies_of_a_disc_are_set_aside_as_one(tmp_path: Path, film: bytes) -> None:
    """The parts of a disc that was there keep their folders among the duplicates."""
    bench = Bench(tmp_path, film, template="{name}", sets_copies_aside=True)
    bench.libraries["in"]["duplicates"] = {"to": "processed"}
    with bench.run() as host:
        host.until_idle()
        contents = disc(bench, "a/Film", "same")
        host.until_idle()
        assert discs_in(bench.out) == {"Film": contents}
        disc(bench, "b/Film", "same")
        host.until_idle()
        host.until(lambda: not [name for name in below(bench.top) if name.startswith("b/")], "they are set aside")
    assert discs_in(bench.out) == {"Film": contents}
    assert discs_in(bench.done / "duplicates") == {"Film": contents}


@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_disc_that_found_no_room(tmp_path: Path, film: bytes, *, is_stopped: bool) -> None:
    """Discs that are tried again, also by the next run, leave no directories behind, and do not mix."""
    bench = Bench(tmp_path, film, template="{name}")
    with bench.run() as host:
        host.until_idle()
        with Full(host, bench.out, "part", lasts=is_stopped):
            discs = [disc(bench, f"{place}/Film", place) for place in "ab"]
            host.until(lambda: host.log.events().count("import_waits") > 0, "they wait")
            Path(tmp_path / "in" / "later.txt").write_bytes(b"another one to be put off, so that all are tried again")
            host.until_idle(4 * AGAIN_S)
        if not is_stopped:
            host.until(lambda: len(below(bench.out)) == 9, "all files")
    if is_stopped:
        with bench.run() as host:
            host.until(lambda: len(below(bench.out)) == 9, "all files")
    (bench.out / "later.txt").unlink()
    assert sorted(path.name for path in bench.out.iterdir()) == ["Film", "Film_2"]
    assert by_cover(discs_in(bench.out).values()) == by_cover(discs)


# -- late, again, alone -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_late_and_after_a_restart(tmp_path: Path, film: bytes, mode: str) -> None:
    """A sidecar that comes when the service was started anew goes to its picture, even if that left by then."""
    bench = Bench(tmp_path, film, **MODES[mode])
    with bench.run() as host:
        host.until_idle()
        bench.put(HEIC)
        host.until_idle()
    bench.put(XMP)
    with bench.run() as host:
        host.until_idle()
        assert below(bench.out) == [HEIC, XMP]


@pytest.mark.parametrize("mode", ["copy", "move", "hardlink"])
@pytest.mark.parametrize("is_touched", [True, False])
def test_a_sidecar_that_is_written_again(tmp_path: Path, film: bytes, mode: str, *, is_touched: bool) -> None:
    """Its next version gets the name beside the picture, unless somebody changed the one that is there."""
    bench = Bench(tmp_path, film, **MODES[mode])
    again = SIDECARS[XMP] + b"<!-- again -->"
    with bench.run() as host:
        host.until_idle()
        bench.put(HEIC)
        bench.put(XMP)
        host.until_idle()
        if is_touched:
            (bench.out / XMP).unlink()
            (bench.out / XMP).write_bytes(b"by hand")
        (bench.top / XMP).unlink(missing_ok=True)
        bench.put(XMP, again)
        host.until_idle()
        held = {name: (bench.out / name).read_bytes() for name in below(bench.out) if name != HEIC}
        assert count(host, "item.joined") == 2
        assert count(host, "item.imported") == 1
    if is_touched:
        assert held == {XMP: b"by hand", "IMG_1.HEIC_2.xmp": again}
    elif mode == "move":  # the first one left: this is another file
        assert held == {XMP: SIDECARS[XMP], "IMG_1.HEIC_2.xmp": again}
    else:
        assert held.pop(XMP) == again
        [earlier] = held
        assert earlier.startswith("IMG_1.HEIC_20")
        assert held[earlier] == SIDECARS[XMP]


def test_a_sidecar_alone_waits(host: Running, bench: Bench) -> None:
    """Without its picture a sidecar is not imported; the picture brings it along."""
    path = bench.put(XMP)
    host.until_idle()
    assert below(bench.out) == []
    assert (judgement_of(host, path).judgement, judgement_of(host, path).todo) == ("companion", "follow")
    bench.put(HEIC)
    host.until_idle()
    assert below(bench.out) == [HEIC, XMP]
    assert judgement_of(host, path).todo is None


def test_a_person_wants_a_sidecar(host: Running, bench: Bench) -> None:
    """By hand a sidecar is imported by itself."""
    bench.put(XMP)
    host.until_idle()
    wish = wish_for(os.fsencode(bench.top / XMP), host.service.host.intake.roots.values())
    rows = list(run_import(host.service, [wish], None, settle_timeout_s=5.0))
    assert rows[-1]["result"]["imported"] == 1
    assert below(bench.out) == [XMP]


def test_what_may_be_a_document_waits_a_while(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JSON file that nothing comes for is imported like any other after its time."""
    monkeypatch.setattr(importing, "ALONE_S", 1.0)
    with bench.run() as host:
        host.until_idle()
        bench.put("notes.json", b'{"a": 1}')
        host.until(lambda: below(bench.out) == ["notes.json"], "the document")
        host.until_idle()
        assert count(host, "item.imported") == 1


def test_a_picture_with_its_sidecars_by_hand(tmp_path: Path, film: bytes) -> None:
    """Of files that were there before, a person wants a picture: what belongs to it comes along."""
    bench = Bench(tmp_path, film)
    bench.libraries["in"]["existing"] = "baseline"
    for name in GROUP:
        bench.put(name)
    with bench.run() as host:
        host.until_idle()
        assert below(bench.out) == []
        wish = wish_for(os.fsencode(bench.top / HEIC), host.service.host.intake.roots.values())
        list(run_import(host.service, [wish], None, settle_timeout_s=5.0))
        host.until_idle()
        assert below(bench.out) == sorted(GROUP)


# -- copies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("moves", [True, False])
def test_a_copy_with_its_sidecar(tmp_path: Path, film: bytes, *, moves: bool) -> None:
    """What belongs to a copy goes where the copy goes, and stays where that stays."""
    bench = Bench(tmp_path, film, sets_copies_aside=True)
    if moves:
        bench.libraries["in"]["duplicates"] = {"to": "processed"}
    with bench.run() as host:
        host.until_idle()
        bench.put(HEIC, still("one"), below="a")
        host.until_idle()
        bench.put(HEIC, still("one"), below="b")
        path = bench.put(XMP, below="b")
        host.until_idle()
        assert below(bench.out) == [f"a/{HEIC}"]
        if moves:
            assert below(bench.done) == [f"duplicates/{HEIC}", f"duplicates/{XMP}"]
            assert below(bench.top) == [f"a/{HEIC}"]
        else:
            assert below(bench.top) == [f"a/{HEIC}", f"b/{HEIC}", f"b/{XMP}"]
            assert "duplicate" in (judgement_of(host, path).reason or "")


def test_half_of_a_copy(host: Running, bench: Bench) -> None:
    """A movie whose picture is a copy lies beside the picture that is there."""
    bench.put(HEIC, still("one"), below="a")
    host.until_idle()
    bench.put(HEIC, still("one"), below="b")
    host.until_idle()  # of two that come together the first one is not held back, and that may be the movie
    bench.put(MOV, below="b")
    host.until_idle()
    assert below(bench.out) == [f"a/{HEIC}", f"a/{MOV}"]


def test_an_item_is_deleted_and_imported_again(host: Running, bench: Bench) -> None:
    """Its companions are found where they were brought; no byte is copied twice."""
    bench.put(HEIC)
    sidecar = bench.put(XMP)
    host.until_idle()
    [item] = {event.data["item"] for event in host.events() if event.type.value == "item.imported"}
    host.service.host.writer.call(lambda catalogue: catalogue.delete_item(int(str(item)), 1))
    assert judgement_of(host, sidecar).judgement == "again"
    host.scan()
    host.until_idle()
    assert below(bench.out) == [HEIC, XMP]
    found = judgement_of(host, sidecar)
    assert (found.judgement, found.todo, found.reason) == ("companion", None, importing.WAS_THERE)


@pytest.mark.parametrize("is_there", [True, False])
def test_late_after_the_item_was_deleted(tmp_path: Path, film: bytes, *, is_there: bool) -> None:
    """What comes late goes beside a picture that was moved, though its item is deleted; a sidecar of none says so."""
    bench = Bench(tmp_path, film, mode="move", template="{name}")
    bench.out.mkdir()
    (bench.out / "IMG_1.PNG").write_bytes(b"of somebody else")
    with bench.run() as host:
        host.until_idle()
        bench.put(HEIC)
        host.until(lambda: count(host, "item.imported") == 1, "the picture")
        host.until_idle()
        [item] = {event.data["item"] for event in host.events() if event.type.value == "item.imported"}
        host.service.host.writer.call(lambda catalogue: catalogue.delete_item(int(str(item)), 1))
        if not is_there:
            (bench.out / "IMG_1_2.HEIC").unlink()
        sidecar = bench.put(XMP)
        if is_there:
            host.until(lambda: below(bench.top) == [], "the sidecar")
            bench.put(MOV)
            host.until(lambda: below(bench.top) == [], "the movie")
            host.until_idle()
        else:
            host.until_catalogued(f"in/{XMP}")
            host.until(lambda: judgement_of(host, sidecar).reason == importing.GONE_WITH_ITEM, "it is said why")
            assert below(bench.top) == [XMP]
    fresh = ["IMG_1_2.HEIC", "IMG_1_2.HEIC.xmp", "IMG_1_2.MOV"] if is_there else []
    assert below(bench.out) == ["IMG_1.PNG", *fresh]


def test_one_cover_in_two_albums(host: Running, bench: Bench) -> None:
    """Covers go with their albums, before or after: that two are equal makes neither a duplicate nor an item."""
    cover, tracks = picture("jpg", "cover"), [sound("flac", album) for album in "ab"]
    bench.put("cover.jpg", cover, below="a")
    bench.put("1.flac", tracks[1], below="b")
    host.until_idle()
    bench.put("1.flac", tracks[0], below="a")
    bench.put("cover.jpg", cover, below="b")
    host.until_idle()
    assert below(bench.out) == ["a/1.flac", "a/cover.jpg", "b/1.flac", "b/cover.jpg"]
    states = judged(host)
    assert states == {
        "in/a/1.flac": "imported", "in/b/1.flac": "imported",
        "in/a/cover.jpg": "companion", "in/b/cover.jpg": "companion",
    }  # fmt: skip


def judgement_of(host: Running, path: Path) -> Judged:
    with View.open(catalogue_file(host.data)) as view:
        line, _ = view.history(os.fsencode(path))
        assert line is not None
        found = view.judged(line.id)
    assert found is not None
    return found
