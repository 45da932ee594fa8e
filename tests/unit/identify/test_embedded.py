from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediasluice.identify import embedded, stills
from mediasluice.identify.opened import Refused
from mediasluice.model.files import Kind
from mediasluice.model.media import Media
from tests.unit.identify.drawn import (
    BLUE,
    CORNERS,
    RED,
    box,
    corners,
    directory,
    encoded,
    exif,
    is_near,
    opened,
    stored,
    upright,
)

SIZE = (1616, 1080)


def preview(size: tuple[int, int] = SIZE, orientation: int = 1, **options: Any) -> bytes:
    """A JPEG of this size, as it is stored: sensors are wide, whichever way they are held."""
    shown = size if orientation < 5 else size[::-1]
    return encoded(stored(upright(shown), orientation), "JPEG", quality=90, subsampling=0, **options)


def thumbnail() -> bytes:
    return encoded(upright((160, 120)), "JPEG", quality=90)


def sensor(width: int = 6000, height: int = 4000) -> bytes:
    """What stands in many raw files: a JPEG of the lossless kind, larger than all others."""
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC3, 17, 14, height, width, 2) + bytes(9)
    return b"\xff\xd8" + frame + b"\xff\xda" + bytes(4000)


class Tiff:
    """Put a TIFF together: parts are placed one behind the other, and directories name them."""

    def __init__(self, head: bytes = b"II*\0") -> None:
        self.data = bytearray(head + bytes(4))

    def put(self, part: bytes) -> int:
        place = len(self.data)
        self.data += part
        return place

    def begin_with(self, place: int) -> bytes:
        self.data[4:8] = struct.pack("<I", place)
        return bytes(self.data)


def nef(orientation: int = 1, picture: bytes | None = None) -> bytes:
    """A directory with a thumbnail; children with a preview and with what the sensor saw."""
    tiff, picture = Tiff(), picture or preview(orientation=orientation)
    jpeg, raw = tiff.put(picture), sensor()
    lossless = tiff.put(raw)
    first = tiff.put(directory({0x103: 6, 0x201: jpeg, 0x202: len(picture)}))
    second = tiff.put(directory({0x103: 7, 0x111: lossless, 0x117: len(raw)}))
    children = tiff.put(struct.pack("<II", first, second))
    main: dict[int, int | tuple[int, int, int]] = {
        0x100: 160,
        0x103: 1,
        0x112: (3, 1, orientation),
        0x14A: (4, 2, children),
    }
    return tiff.begin_with(tiff.put(directory(main)))


def dng(orientation: int = 1) -> bytes:
    """A preview in strips of one; a small one in the chain."""
    tiff, picture, small = Tiff(), preview(orientation=orientation), thumbnail()
    child = tiff.put(directory({0x103: 7, 0x111: tiff.put(picture), 0x117: len(picture)}))
    following = tiff.put(directory({0x103: 7, 0x111: tiff.put(small), 0x117: len(small)}))
    return tiff.begin_with(tiff.put(directory({0x112: (3, 1, orientation), 0x14A: child}, following)))


def rw2(orientation: int = 1) -> bytes:
    """The whole picture is the value of an entry."""
    tiff, picture = Tiff(b"IIU\0"), preview(orientation=orientation)
    place = tiff.put(picture)
    return tiff.begin_with(tiff.put(directory({0x112: (3, 1, orientation), 0x2E: (7, len(picture), place)})))


def raf(orientation: int = 1) -> bytes:
    picture = preview(orientation=orientation, exif=exif(orientation))
    return b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 120, len(picture)) + bytes(28) + picture


def cr3(*, has_track: bool) -> bytes:
    """A picture as the first sample of a track, or in a box of Canon's."""
    picture = preview()
    head = box(b"ftyp", b"crx \0\0\0\1crx isom")
    if not has_track:
        canon = bytes.fromhex("eaf42b5e1c984b88b9fbb7dc406e4d16")
        fields = struct.pack(">IHHHHI", 0, 1, *SIZE, 1, len(picture))
        return head + box(b"uuid", canon, bytes(8), box(b"PRVW", fields, picture))
    place = len(head) + 8
    sizes = box(b"stsz", struct.pack(">III", 0, len(picture), 1))
    offsets = box(b"co64", struct.pack(">IIQ", 0, 1, place))
    table = box(b"mdia", box(b"minf", box(b"stbl", sizes, offsets)))
    return head + box(b"mdat", picture) + box(b"moov", box(b"trak", table))


def hidden(signature: bytes) -> bytes:
    """A format whose directories are its own: the picture is found among the bytes, behind a chance hit."""
    return signature + bytes(5000) + b"\xff\xd8\xff\xd8\xff" + bytes(99) + thumbnail() + bytes(1 << 20) + preview()


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "children": ("a.nef", nef),
    "strips": ("a.dng", dng),
    "a value": ("a.rw2", rw2),
    "Fujifilm": ("a.raf", raf),
    "a track": ("a.cr3", lambda: cr3(has_track=True)),
    "a box": ("a.cr3", lambda: cr3(has_track=False)),
    "Sigma": ("a.x3f", lambda: hidden(b"FOVb")),
    "Minolta": ("a.mrw", lambda: hidden(b"\0MRM")),
    "Canon before 2004": ("a.crw", lambda: hidden(b"II\x1a\0\0\0HEAPCCDR")),
    "Olympus": ("a.orf", lambda: hidden(b"IIRO\x08\0\0\0\0\0")),
    "nothing says so": ("a.tif", nef),
}


@pytest.mark.parametrize("name", FILES)
def test_the_picture_in_a_raw_photograph(name: str, tmp_path: Path) -> None:
    """Wherever a camera puts it, the preview is found, and neither the thumbnail nor the sensor's data are taken."""
    file_name, make = FILES[name]
    with opened(tmp_path / file_name, make(), Kind.IMAGE) as file:
        still = stills.decode(file, None, 1280)
    assert still.picture.size == (1280, 855)
    assert is_near(corners(still.picture), CORNERS)


@pytest.mark.parametrize("make", [nef, dng, rw2, raf])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_raw_photograph_stands_upright(orientation: int, make: Callable[[int], bytes], tmp_path: Path) -> None:
    """The preview is turned as the photograph is, with a reading and without one."""
    content = make(orientation)
    rotation = {3: 180, 6: 90, 8: 270}[orientation]
    for media in (None, Media(rotation=rotation, is_mirrored=False, width=6000, height=4000)):
        with opened(tmp_path / "a.nef", content, Kind.IMAGE) as file:
            assert is_near(corners(stills.decode(file, media, 640).picture), CORNERS)


def test_a_preview_that_the_camera_has_turned_stays(tmp_path: Path) -> None:
    """Of a photograph that lies, a preview that stands has been turned."""
    content = nef(picture=preview((1080, 1616)))
    with opened(tmp_path / "a.nef", content, Kind.IMAGE) as file:
        picture = stills.decode(file, Media(rotation=90, width=6000, height=4000), 640).picture
    assert picture.height > picture.width
    assert is_near(corners(picture), CORNERS)


def test_the_smallest_that_is_large_enough() -> None:
    """More pixels than are shown cost time; fewer are taken only where there are no more."""
    sizes = [(160, 120), (1616, 1080), (6000, 4000)]
    found = [embedded.Embedded(0, 9, *size) for size in sizes]
    chosen = [embedded.choose(found, side) for side in (320, 1280, 2000, 9000)]
    assert [one and one.side for one in chosen] == [1616, 1616, 6000, 6000]
    assert embedded.choose([], 1280) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.nef", Tiff().begin_with(8), id="nothing behind the header"),
        pytest.param("a.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(900), id="no directories"),
        pytest.param("a.arw", b"II*\0" + b"\xff" * 600, id="a directory far away"),
        pytest.param("a.raf", b"FUJIFILM" + b"\xff" * 200, id="offsets far away"),
        pytest.param("a.x3f", b"FOVb" + b"\xff\xd8\xff" * 900, id="beginnings without an end"),
        pytest.param("a.cr3", box(b"ftyp", b"crx " + bytes(8)), id="no boxes"),
        pytest.param("a.nef", bytes(8), id="zeros"),
    ],
)
def test_no_picture_is_a_reason(name: str, content: bytes, tmp_path: Path) -> None:
    """A raw photograph without a preview is refused in words of its own."""
    with opened(tmp_path / name, content, Kind.IMAGE) as file, pytest.raises(Refused) as caught:
        stills.decode(file, None, 1280)
    assert str(caught.value).startswith(("it is a raw photograph without", "there is no decoder"))


def test_what_the_sensor_saw_is_no_picture(tmp_path: Path) -> None:
    """Gray values of a mosaic are not shown in place of a preview; a thumbnail in colours is."""
    mosaic = {256: 64, 257: 48, 258: 16, 259: 1, 262: 1, 277: 1, 278: 48, 279: 64 * 48 * 2}
    colours = {256: 64, 257: 48, 259: 1, 262: 2, 277: 3, 278: 48, 279: 64 * 48 * 3}
    tiff = Tiff()
    place = tiff.put(bytes(range(256)) * 24)
    gray = tiff.begin_with(tiff.put(directory({**mosaic, 273: place})))
    with opened(tmp_path / "gray.nef", gray, Kind.IMAGE) as file, pytest.raises(Refused):
        stills.decode(file, None, 1280)
    tiff = Tiff()
    pixels = upright((64, 48)).tobytes()
    place, bits = tiff.put(pixels), tiff.put(struct.pack("<HHH", 8, 8, 8))
    coloured = tiff.begin_with(tiff.put(directory({**colours, 258: (3, 3, bits), 273: place})))
    with opened(tmp_path / "coloured.nef", coloured, Kind.IMAGE) as file:
        assert is_near(corners(stills.decode(file, None, 1280).picture), CORNERS, 1)


def test_directories_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    """A directory that follows itself, and children that are their own parents, are looked at once."""
    tiff = Tiff()
    place = len(tiff.data)
    children = place + 2 + 24 + 4
    circle = tiff.begin_with(tiff.put(directory({0x103: 7, 0x14A: (4, 8, children)}, place)))
    with opened(tmp_path / "a.nef", circle + struct.pack("<I", place) * 8, Kind.IMAGE) as file:
        assert embedded.jpegs(file) == []


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (b"II*\0\x10\0\0\0CR\2\0", b"a", True),
        (b"II*\0\x08\0\0\0\0\0\0\0", b"a.tif", False),
        (b"MM\0*\0\0\0\x08\0\0\0\0", b"A.NEF", True),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", b"a.nef", False),
        (b"\0\0\0\x18ftypcrx \0\0", b"a.jpg", True),
        (b"\0\0\0\x18ftypheic\0\0", b"a.cr3", False),
    ],
)
def test_which_files_are_raw(head: bytes, name: bytes, expected: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """The first bytes decide, and the name where TIFF is all that they say."""
    with opened(tmp_path / name.decode(), head, Kind.IMAGE) as file:
        assert embedded.is_raw(file) is expected


def test_colours_of_the_tests_differ() -> None:
    """Corners can be told apart."""
    assert not is_near([RED], [BLUE])
