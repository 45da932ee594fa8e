from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path

import pytest

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import heif
from mediasluice.model.media import Camera, DateClaim, DateSource
from tests import pictures as made

WHEN = "2021:02:03 04:05:06"
BLOCK = made.tiff({made.MAKE: "Apple", made.MODEL: "iPhone", made.ORIENTATION: 6, made.EXIF: {made.ORIGINAL: WHEN}})
ITEM = b"\0\0\0\6Exif\0\0" + BLOCK

Open = Callable[[bytes], Opened]


@pytest.fixture
def file_of(tmp_path: Path) -> Iterator[Open]:
    """A function that opens a file with the bytes it is given."""
    with ExitStack() as stack:
        yield lambda content: stack.enter_context(made.opened(tmp_path / "picture", content))


@pytest.mark.parametrize("method", [0, 1], ids=["in the file", "in the idat box"])
@pytest.mark.parametrize("wide", [2, 4], ids=["short numbers", "long numbers"])
def test_items(file_of: Open, method: int, wide: int) -> None:
    """Exif and XMP are found wherever their items lie, and however their numbers are written."""
    packet = made.xmp('tiff:Make="Q"')
    content = made.heif({2: (b"Exif", ITEM), 7: (b"mime", packet)}, method=method, wide=wide)
    still = heif.read(file_of(content))
    assert still.exif is not None
    assert still.exif.dates == (DateClaim(DateSource.EXIF_ORIGINAL, WHEN),)
    assert still.exif.camera == Camera("Apple", "iPhone")
    assert still.packet == packet


@pytest.mark.parametrize(
    ("first", "name"),
    [(b"\0\0\0\0", "none"), (b"\0\0\0\6Exif\0\0", "usual"), (b"\0\0\0\6", "counted but not there"), (b"", "left out")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stands_in_front_of_exif(file_of: Open, first: bytes, name: str) -> None:
    """Writers count the bytes in front of the TIFF header in more than one way."""
    still = heif.read(file_of(made.heif({2: (b"Exif", first + BLOCK)})))
    assert still.exif is not None, name


def test_the_size_is_that_of_the_primary_picture(file_of: Open) -> None:
    """A thumbnail's or a tile's size is not taken for it."""
    still = heif.read(file_of(made.heif({}, sizes=((160, 120), (512, 512), (4032, 3024)))))
    assert (still.width, still.height, still.container, still.mime) == (4032, 3024, "heic", "image/heic")


@pytest.mark.parametrize(
    ("turns", "turned"),
    [
        ((), (0, False)),
        (((b"irot", 0),), (0, False)),
        (((b"irot", 1),), (270, False)),
        (((b"irot", 2),), (180, False)),
        (((b"irot", 3),), (90, False)),
        (((b"imir", 0),), (180, True)),
        (((b"imir", 1),), (0, True)),
        (((b"irot", 1), (b"imir", 1)), (90, True)),
        (((b"irot", 1), (b"imir", 0)), (270, True)),
        (((b"irot", 2), (b"imir", 1)), (180, True)),
        (((b"irot", 3), (b"imir", 1)), (270, True)),
        (((b"imir", 1), (b"irot", 1)), (270, True)),
    ],
)
def test_turns(file_of: Open, turns: tuple[tuple[bytes, int], ...], turned: tuple[int, bool]) -> None:
    """Turns count against the clock, flips are applied in the order of the file; Exif's orientation has no say."""
    still = heif.read(file_of(made.heif({2: (b"Exif", ITEM)}, turns=turns)))
    assert still.turned == turned


@pytest.mark.parametrize(
    ("name", "container"), [(b"heic", "heic"), (b"avif", "avif"), (b"avis", "avif"), (b"heix", "heic")]
)
def test_brands(file_of: Open, name: bytes, container: str) -> None:
    """The brand says what it is."""
    assert heif.read(file_of(made.heif({}, name=name))).container == container


def test_a_general_brand(file_of: Open) -> None:
    """Where the brand says nothing of the coding, a compatible one does."""
    content = made.heif({})
    general = made.brand(b"mif1", b"heic") + content[len(made.brand(b"heic", b"mif1")) :]
    assert heif.read(file_of(general)).container == "heic"
    plain = made.brand(b"mif1", b"miaf") + content[len(made.brand(b"heic", b"mif1")) :]
    assert heif.read(file_of(plain)).mime == "image/heif"


def test_a_sequence(file_of: Open) -> None:
    """A sequence without a still picture has the size of its track."""
    header = made.full_box(b"tkhd", 0, bytes(72), struct.pack(">II", 640 << 16, 480 << 16))
    content = made.brand(b"hevc") + made.box(b"moov", made.box(b"trak", header)) + made.box(b"mdat", bytes(4))
    still = heif.read(file_of(content))
    assert (still.width, still.height, still.mime) == (640, 480, "image/heic-sequence")


def test_canon_raw(file_of: Open) -> None:
    """CR3 keeps four TIFF structures in a movie: camera and size, exposure and dates, place."""
    content = made.cr3(
        made.tiff({made.MAKE: "Canon", made.MODEL: "EOS R", made.WIDTH: 6000, made.HEIGHT: 4000, made.ORIENTATION: 8}),
        made.tiff({made.ORIGINAL: WHEN, 0x829D: Fraction(4)}),
        made.tiff({1: "N", 2: [Fraction(1)] * 3, 3: "E", 4: [Fraction(2)] * 3}),
    )
    still = heif.read(file_of(content))
    assert (still.container, still.width, still.height, still.is_raw) == ("cr3", 6000, 4000, True)
    assert still.exif is not None
    assert still.exif.camera == Camera("Canon", "EOS R")
    assert still.exif.dates == (DateClaim(DateSource.EXIF_ORIGINAL, WHEN),)
    assert still.exif.exposure.aperture == 4.0
    assert still.exif.gps is not None
    assert still.exif.orientation == 8


# --- damage


@pytest.mark.parametrize("content", [b"", b"\0\0\0\x18ftypisom" + bytes(12), b"\0\0\0\x18ftyp", made.brand(b"heic")])
def test_what_is_no_picture(file_of: Open, content: bytes) -> None:
    """Another brand, and a beginning without a picture, are refused."""
    with pytest.raises(Refused):
        heif.read(file_of(content))


def test_every_cut(tmp_path: Path) -> None:
    """A file may end anywhere: it is refused, or gives what is there."""
    content = made.heif({2: (b"Exif", ITEM)}, turns=((b"irot", 1),))
    outcomes = set[str]()
    for end in range(len(content)):
        with made.opened(tmp_path / "cut", content[:end]) as file:
            try:
                heif.read(file)
                outcomes.add("read")
            except Refused:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("name", [b"iloc", b"iinf", b"ipma", b"pitm", b"ispe", b"infe", b"meta"])
@pytest.mark.parametrize("garbage", [b"\xff" * 24, bytes(24), b"\x7f\xff\xff\xff" * 6])
def test_tables_of_nonsense(file_of: Open, name: bytes, garbage: bytes) -> None:
    """Tables that declare billions of items, or numbers of no width, end the reading and nothing else."""
    content = bytearray(made.heif({2: (b"Exif", ITEM)}))
    start = content.index(name) + 4
    content[start : start + len(garbage)] = garbage
    with suppress(Refused):
        assert heif.read(file_of(bytes(content))).container == "heic"
