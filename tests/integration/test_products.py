"""Products by a whole host: previews and essences of sounds come by themselves, others on request; each once."""

from __future__ import annotations

import os
import random
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediasluice.catalogue import products
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.rows import ItemLine
from mediasluice.catalogue.view import View
from mediasluice.errors import UsageError
from mediasluice.identify.alike import Looks
from mediasluice.identify.previews import LARGE, SMALL, is_stored, path_of
from mediasluice.model.files import Kind
from mediasluice.pipeline import making
from mediasluice.pipeline.comparing import in_catalogue
from mediasluice.service.answers import Answers
from mediasluice.service.producing import run_making
from tests import encoded
from tests import pictures as made
from tests.clips import copied, film, sound
from tests.running import Running
from tests.service import Sluice, until

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maker looks round often."""
    monkeypatch.setattr(making, "PAUSE_S", 0.1)
    monkeypatch.setattr(making, "PUT_OFF_S", 0.3)


class House:
    """A library ``in`` that is imported to ``out``."""

    def __init__(self, base: Path, **rules: Any) -> None:
        self.base, self.top, self.out, self.data = base, base / "in", base / "out", base / "data"
        self.top.mkdir()
        self.section = {"target": str(self.out), "template": "{name}", **rules}

    def run(self, **sections: Any) -> Running:
        return Running(self.base, {"in": {"action": "import", "import": self.section}}, **sections)

    def put(self, name: str, content: bytes | None = None) -> None:
        """A file arrives whole; without a content it is a picture of its name."""
        whole = self.base / "arriving"
        whole.write_bytes(encoded.picture("png", name) if content is None else content)
        whole.rename(self.top / name)

    def items(self) -> dict[str, ItemLine]:
        with View.open(catalogue_file(self.data)) as view:
            return {line.title: line for line in view.items()}

    def previews(self, *names: str) -> dict[str, tuple[int, int]]:
        """The inodes of both pictures of these items, when all of them have theirs; else nothing."""
        items, place = self.items(), os.fsencode(self.data)
        found = {}
        for name in names:
            line = items.get(name)
            if line is None or not is_stored(place, line.blake3):
                return {}
            small, large = (os.stat(path_of(place, line.blake3, size)).st_ino for size in (SMALL, LARGE))
            found[name] = small, large
        return found

    def product(self, name: str, what: str = products.PREVIEW) -> tuple[str, str | None] | None:
        """State and reason of what was made of an item."""
        with View.open(catalogue_file(self.data)) as view:
            rows = view.products(self.items()[name].blake3) if name in self.items() else {}
        return rows.get(what)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- previews


def test_previews_of_items_come_by_themselves(house: House) -> None:
    """Of a picture, of a film, and of what arrives later; nobody asks for them."""
    house.put("a.png")
    with house.run() as host:
        host.until(lambda: house.previews("a"), "a preview of what was there")
        house.put("b.mp4", encoded.film("mp4"))
        host.until(lambda: house.previews("a", "b"), "a preview of what arrived")
        with Image.open(path_of(os.fsencode(house.data), house.items()["b"].blake3, SMALL)) as picture:
            assert picture.size == (encoded.WIDTH, encoded.HEIGHT)
    assert house.product("a") == (products.MADE, None)


def test_only_items_have_previews_unless_all_files_are_to(tmp_path: Path) -> None:
    """A catalogued library has previews when the setting says so, and none when it says none."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(encoded.picture("png"))
    data = os.fsencode(tmp_path / "data")
    with Running(tmp_path, ["in"], previews={"of": "files"}) as host:
        host.until_catalogued("in/a.png")
        (line,) = host.lines().values()
        assert line.blake3 is not None
        blake3 = line.blake3
        host.until(lambda: is_stored(data, blake3), "a preview of a file")


def test_a_link_that_is_followed_has_a_preview(tmp_path: Path) -> None:
    """What a library catalogues by a link is read by it: of its content a preview is made."""
    (tmp_path / "in" / "hidden").mkdir(parents=True)
    (tmp_path / "in" / "hidden" / "a.png").write_bytes(encoded.picture("png"))
    (tmp_path / "in" / "a.png").symlink_to("hidden/a.png")
    rules = {"in": {"follow_symlinks": "files", "exclude": ["hidden/"]}}
    with Running(tmp_path, rules, previews={"of": "files"}) as host:
        host.until_catalogued("in/a.png")
        blake3 = host.lines()["in/a.png"].blake3
        assert blake3 is not None
        host.until(lambda: is_stored(os.fsencode(tmp_path / "data"), blake3), "a preview of a link")


def test_previews_are_not_made_again_by_the_next_run(house: House) -> None:
    """After a restart what is there stays as it is, to the inode."""
    house.put("a.png")
    with house.run() as host:
        first = host.until(lambda: house.previews("a"), "a preview")
    house.put("b.png")
    with house.run() as host:
        second = host.until(lambda: house.previews("a", "b"), "a preview of the second picture")
    assert second["a"] == first["a"]


def test_previews_that_were_lost_are_made_again(house: House) -> None:
    """A power cut left one empty, and somebody removed others."""
    for name in ("a.png", "b.png", "c.png"):
        house.put(name)
    with house.run() as host:
        host.until(lambda: house.previews("a", "b", "c"), "all previews")
    items, place = house.items(), os.fsencode(house.data)
    os.truncate(path_of(place, items["a"].blake3, SMALL), 0)
    os.unlink(path_of(place, items["b"].blake3, LARGE))
    with house.run() as host:
        host.until(lambda: house.previews("a", "b", "c"), "all previews again")


def test_what_cannot_have_a_preview_has_a_reason_and_stops_nothing(house: House) -> None:
    """A bomb, a damaged picture and a sound without a cover; then a picture."""
    size = made.chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    end = made.chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + made.chunk(b"IEND", b"")
    house.put("a.png", b"\x89PNG\r\n\x1a\n" + size + end)
    house.put("b.mp3", encoded.sound("mp3"))
    with house.run() as host:
        host.until(lambda: house.product("a") and house.product("b"), "a reason")
        house.put("c.png")
        host.until(lambda: house.previews("c"), "a preview of a picture")
    for name in ("a", "b"):
        state, reason = house.product(name) or ("", None)
        assert state == products.REFUSED
        assert reason
    assert house.product("b") == (products.REFUSED, "it has no cover")


def test_an_item_whose_file_was_moved_to_its_target_has_a_preview(tmp_path: Path) -> None:
    """No root holds it any more; it is read where it was brought to."""
    house = House(tmp_path, mode="move")
    house.put("a.png")
    with house.run(previews={"of": "none"}) as host:
        host.until(lambda: "a" in house.items() and not (house.top / "a.png").exists(), "the import")
        host.until_idle()
    with house.run() as host:
        host.until(lambda: house.previews("a"), "a preview")


def test_previews_that_cannot_be_stored_stop_nothing(house: House) -> None:
    """Something is in the way of the directory; when it is gone they are made."""
    house.data.mkdir()
    (house.data / "previews").write_bytes(b"in the way")
    house.put("a.png")
    with house.run() as host:
        host.until(lambda: "not_stored" in host.log.events(), "a complaint")
        assert house.product("a") is None
        (house.data / "previews").unlink()
        host.until(lambda: house.previews("a"), "a preview")


def test_what_a_killed_process_left_behind_is_removed(house: House) -> None:
    """Half-written pictures do not pile up."""
    left = house.data / "previews" / "0123.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    with house.run() as host:
        host.until(lambda: not left.exists(), "the rest is removed")


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    """The real command."""
    with Sluice(tmp_path / "home") as made:
        yield made


def test_previews_survive_a_kill(tmp_path: Path, sluice: Sluice) -> None:
    """After kill -9 the next run keeps what is there and makes what is lacking."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    rules = {"target": str(tmp_path / "media"), "template": "{name}"}
    sluice.document = sluice.home / "config.yaml"
    sluice.configure({"libraries": {"inbox": {"path": str(inbox), "action": "import", "import": rules}}})

    def previews() -> dict[str, Mapping[str, str]]:
        return {line["title"]: line["preview"] for line in sluice.lines("items") if line["preview"]}

    (inbox / "a.png").write_bytes(encoded.picture("png", "a"))
    service = sluice.start()
    first = until(lambda: previews().get("a", {}), "a preview", 60)
    inodes = {path: os.stat(path).st_ino for path in first.values()}
    for number in range(12):
        (inbox / f"b{number}.png").write_bytes(encoded.picture("png", number, 1_600, 1_200))
    until(lambda: len(previews()) > 1, "some of the next previews", 60)
    service.kill()
    sluice.start()
    until(lambda: len(previews()) == 13, "all previews", 60)
    assert {path: os.stat(path).st_ino for path in first.values()} == inodes
    for shown in previews().values():
        for path in shown.values():
            with Image.open(path) as picture:
                picture.load()


# --- essences and likenesses


def known(host: Running) -> None:
    """Wait until all files of the library are in the catalogue."""
    host.until_catalogued(*(f"in/{path.name}" for path in (host.base / "in").iterdir()))


def asked(host: Running, what: str) -> dict[str, Any]:
    """Ask as the command line does; gives the result."""
    *_, last = Answers(host.service).verbs()["make"]({"what": what})
    result: dict[str, Any] = last["result"]
    return result


def groups(host: Running, what: str) -> list[tuple[str, set[str]]]:
    """Proof and names of each group."""
    with View.open(catalogue_file(host.data)) as view:

        def looks(kind: Kind) -> list[Looks]:
            return [Looks(*one) for one in view.likenesses(kind)]

        streams = view.shared_streams() if what == products.ESSENCE else ()
        return [
            (found.proof, {os.fsdecode(holder.path.rpartition(b"/")[2]) for holder in view.holders(found.contents)})
            for found in in_catalogue(what, looks, streams)
        ]


def still(seed: int) -> Image.Image:
    """Soft shapes that a hash can tell from others."""
    shapes = random.Random(seed).randbytes(12 * 9 * 3)
    return Image.frombytes("RGB", (12, 9), shapes).resize((640, 480), Image.Resampling.BICUBIC)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """One film in four containers, one sound with three sets of tags, and another film."""
    folder = tmp_path / "in"
    folder.mkdir()
    film(folder / "a.mp4")
    for suffix in ("mkv", "mov", "ts"):
        copied(folder / "a.mp4", folder / f"a.{suffix}")
    film(folder / "z.mp4", seconds=3, seed=4)
    sound(folder / "b.mp3", "libmp3lame")
    for title in ("one", "two"):
        copied(folder / "b.mp3", folder / f"b-{title}.mp3", tags={"title": title})
    return folder


@pytest.mark.usefixtures("library")
def test_an_essence_is_made_once_and_groups_what_plays_the_same(tmp_path: Path) -> None:
    """Containers and tags do not count; the second request has nothing to make, neither has the next run."""
    with Running(tmp_path, ["in"], essences={"of": "none"}) as host:
        known(host)
        result = asked(host, products.ESSENCE)
        assert (result["found"], result["done"], result["refused"], result["left"]) == (8, 8, 0, 0)
        found = groups(host, products.ESSENCE)
        assert ("streams", {"a.mp4", "a.mkv", "a.mov", "a.ts"}) in found
        assert ("streams", {"b.mp3", "b-one.mp3", "b-two.mp3"}) in found
        assert len(found) == 2
        assert asked(host, products.ESSENCE)["done"] == 0
    with Running(tmp_path, ["in"], is_service=False) as host:
        assert asked(host, products.ESSENCE)["done"] == 0


@pytest.mark.parametrize(("wanted", "expected"), [("audio", {"song.mp3"}), ("all", {"song.mp3", "film.mp4"})])
def test_essences_that_come_by_themselves(tmp_path: Path, wanted: str, expected: set[str]) -> None:
    """Those of sounds, or of films too as the setting says, of what was there and of what arrives; once each."""
    top = tmp_path / "in"
    top.mkdir()
    (top / "song.mp3").write_bytes(encoded.sound("mp3", "song"))
    film(top / "film.mp4")
    with Running(tmp_path, ["in"], essences={"of": wanted}) as host:
        host.until(lambda: taken(host) == len(expected), "essences of what was there")
        (top / "late.mp3").write_bytes(encoded.sound("mp3", "late"))
        host.until(lambda: taken(host) == len(expected) + 1, "the essence of what arrived")
        assert asked(host, products.ESSENCE)["done"] == 2 - len(expected)
    with Running(tmp_path, ["in"], essences={"of": wanted}) as host:
        assert taken(host) == 3


def taken(host: Running) -> int:
    """How many contents have an essence."""
    with View.open(catalogue_file(host.data)) as view:
        return len(view.made(products.ESSENCE, 0, 100))


def test_a_file_that_arrives_later_joins_its_group(tmp_path: Path, library: Path) -> None:
    """Only what is new is read; what is gone is in no group."""
    aside = tmp_path / "aside.mkv"
    (library / "a.mkv").rename(aside)
    with Running(tmp_path, ["in"], essences={"of": "none"}) as host:
        known(host)
        assert asked(host, products.ESSENCE)["done"] == 7
        shutil.copy(aside, library / "late.mkv")
        host.until_catalogued("in/late.mkv")
        assert asked(host, products.ESSENCE)["done"] == 1
        (library / "a.ts").unlink()
        host.until(lambda: ("streams", {"a.mp4", "a.mov", "late.mkv"}) in groups(host, products.ESSENCE), "the group")


def test_likenesses_are_found_by_hash(tmp_path: Path, library: Path) -> None:
    """A picture in another size and format; films by their scenes; a damaged picture has a reason."""
    scene = still(1)
    scene.save(library / "p.jpg", quality=90)
    scene.resize((320, 240)).save(library / "p.png")
    whole = (library / "p.png").read_bytes()
    (library / "bad.png").write_bytes(whole[: len(whole) // 2] + bytes(2000) + whole[len(whole) // 2 + 2000 :])
    with Running(tmp_path, ["in"]) as host:
        known(host)
        result = asked(host, products.LIKENESS)
        assert (result["refused"], result["left"]) == (1, 0)
        found = groups(host, products.LIKENESS)
        assert ("picture", {"p.jpg", "p.png"}) in found
        assert ("film", {"a.mp4", "a.mkv", "a.mov", "a.ts"}) in found
        assert asked(host, products.LIKENESS)["done"] == 0


@pytest.mark.usefixtures("library")
def test_without_the_program_sounds_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not refused: when it is installed they are heard."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with Running(tmp_path, ["in"]) as host:
        known(host)
        result = asked(host, products.LIKENESS)
        assert (result["done"], result["hears"]) == (5, False)
        monkeypatch.undo()
        if making.hears():
            assert asked(host, products.LIKENESS)["done"] == 3


def test_nothing_else_can_be_asked_for(tmp_path: Path) -> None:
    """A request for what there is not is refused with what there is."""
    with Running(tmp_path, ["in"]) as host, pytest.raises(UsageError, match="nothing that can be asked for"):
        next(run_making(host.service, "preview"))


def test_the_values_of_a_broken_process_are_refused() -> None:
    """What comes through the pipe is believed only where it has the right shape."""
    no_streams: list[object] = [None, 7, [("audio",)], [("audio", "aac", "text", 1.0)], [("audio", "aac", b"", "long")]]
    no_looks: list[object] = [None, (1, 2, 3), (b"x", "text", None), (b"x", None), (b"x", None, "long")]
    no_streams += [[("audio", "aac", 10**30, 1.0)], [("audio", "aac", b"", 10**400)], [(1, "aac", b"", 1.0)]]
    for value in no_streams:
        with pytest.raises(making.NONSENSE):
            making.streams_of(value)
    for value in no_looks:
        with pytest.raises(making.NONSENSE):
            making.looks_of(value)
    assert making.streams_of([("audio", "\udcff", b"x", 1)]) == [("audio", "\\udcff", b"x", 1.0)]
