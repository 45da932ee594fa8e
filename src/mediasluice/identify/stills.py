"""Decode a picture small, upright and in sRGB, whatever it is stored as, within a limit of memory.

Takes an open file and what is known of its rotation. Gives a Pillow picture of mode RGB, or RGBA where some of it is
transparent, of at most ``side`` pixels on its longer side and never larger than it was. What a picture would cost to
decode is judged by its header; a file whose header promises more than a preview is worth is refused before anything
is allocated. Of a damaged picture the part that can be seen is given. Of an animation: the first frame that shows
something. Of a raw photograph: the JPEG that the camera put into it.
Fails with: :class:`Refused`, with the reason for people.

Runs in isolated processes: what a decoder does with a hostile file is bounded by their limits, not by this module.
Source: Exif 2.32, 4.6.4 (orientation); PNG 1.2, 5; the cost per pixel is measured.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import warnings
from collections.abc import Iterator
from typing import IO, NamedTuple

import pi_heif  # type: ignore[import-untyped]
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    CurImagePlugin,
    DdsImagePlugin,
    ExifTags,
    GifImagePlugin,
    IcnsImagePlugin,
    IcoImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    ImageStat,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PcxImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    QoiImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    XbmImagePlugin,
    XpmImagePlugin,
)

from mediasluice.identify import colours, embedded
from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import exif
from mediasluice.identify.readers.boxes import boxes, find
from mediasluice.model.media import Media

MEMORY_MAX = 1280 << 20  # bytes that a picture may need by its header, chosen: a worker has 2 GiB of address space, of
# which interpreter and libraries take 0.2 and arenas of their threads as much; the rest is for what was judged wrongly
PIXELS_MAX = 200_000_000  # chosen: the largest sensors of phones; every format is held to it, JPEG costs the least
WHOLE_MAX = 256 << 20  # bytes of a file of a format whose decoder reads all of it first, chosen: a fifth of MEMORY_MAX
CHUNKS_MAX = 100_000  # of a PNG, chosen: 800 MB in pieces of 8 KiB; as many tiny ones take a quarter of a second
SEGMENTS_MAX = 10_000  # of a JPEG's header, chosen: a profile of 16 MB has 255
ITEMS_MAX = 4 << 20  # bytes of the table of what is in a HEIF, chosen: ten thousand tiles fill 300 KB
SCANS_WORK_MAX = 4_000_000_000  # pixels times scans of a progressive JPEG, measured: 2 ns each, so eight seconds
PROFILE_MAX = 4 << 20  # bytes of a colour profile, chosen: those of printing presses have two
FRAMES_MAX = 16  # of an animation that are looked at for one that shows something, chosen: half a second of fading in
BLANK_DEVIATION = 7.0  # of 255, measured: black with the noise of a sensor, and pictures that begin to fade in, have 0
# to 5 when they are as small as a stamp; titles on a page of one colour 8 and more, photographs 12
_LOOK = 64  # pixels of the side at which a frame is judged
_WINDOW = 1 << 20  # bytes of one look for scans

pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=2)

_PLUGINS = (  # importing one makes its format known; formats that run programs or need a viewer are left out
    AvifImagePlugin, BmpImagePlugin, CurImagePlugin, DdsImagePlugin, GifImagePlugin, IcnsImagePlugin, IcoImagePlugin,
    Jpeg2KImagePlugin, JpegImagePlugin, MpoImagePlugin, PcxImagePlugin, PngImagePlugin, PpmImagePlugin,
    PsdImagePlugin, QoiImagePlugin, TgaImagePlugin, TiffImagePlugin, WebPImagePlugin, XbmImagePlugin, XpmImagePlugin,
)  # fmt: skip

_DECODER_COSTS = {"WEBP": 13, "HEIF": 7, "AVIF": 9, "JPEG2000": 16, "TIFF": 12, "ICO": 8, "ICNS": 16, "DDS": 8}
"""Bytes that a decoder needs per pixel beside the picture it gives, measured on 12 to 108 megapixels and rounded up."""
_SLOW = {"QOI": 6_000_000, "PPM": 8_000_000, "XPM": 50_000_000}
"""Pixels of formats that are decoded by Python, measured: ten seconds. Of PPM, this holds for those in digits."""
_DRAFT_MAX = 64 << 20  # bytes of a JPEG that its decoder made small already: at most 2,560 pixels, or an eighth
_READ_WHOLE = frozenset({"WEBP", "HEIF", "AVIF", "ICNS"})
_ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_BY_HEAD: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"8BPS\0\1", "PSD"),
    (b"icns", "ICNS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"/* XPM", "XPM"),
    *((b"P%c" % number, "PPM") for number in b"1234567fF"),
)
_BY_WEAK_HEAD = {b"\0\0\1\0": "ICO", b"\0\0\2\0": "CUR"}  # a TGA may begin like this
_BY_EXTENSION = {b"tga": "TGA", b"pcx": "PCX", b"xbm": "XBM"}  # these have no signature, or one that says little
_AVIF_BRANDS = frozenset({b"avif", b"avis", b"avio"})


class Still(NamedTuple):
    """A small picture that stands upright. ``note``: what is wrong with it, if something is."""

    picture: Image.Image
    note: str | None = None


class Turn(NamedTuple):
    rotation: int = 0  # degrees clockwise
    is_mirrored: bool = False  # from left to right, before it is turned


class _Stream(io.BufferedReader):
    """A file that reads as much as there is: what a decoder asks for may be a length that the file declares."""

    def __init__(self, file: Opened) -> None:
        super().__init__(io.FileIO(file.fd, closefd=False))
        self._size = file.size
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size if size is None or size < 0 else min(size, max(0, self._size - self.tell())))


class _Source(NamedTuple):
    """Where encoded bytes come from: a file, or memory."""

    file: Opened | None
    data: bytes = b""

    @property
    def size(self) -> int:
        return self.file.size if self.file is not None else len(self.data)

    @property
    def extension(self) -> bytes:
        return self.file.extension if self.file is not None else b""

    def at(self, count: int, offset: int) -> bytes:
        return self.file.pread(count, offset) if self.file is not None else self.data[offset : offset + count]

    def stream(self) -> IO[bytes]:
        return _Stream(self.file) if self.file is not None else io.BytesIO(self.data)


def decode(file: Opened, media: Media | None, side: int) -> Still:
    """Decode a picture file. ``media`` is what its reading says; without it the picture's own Exif is asked."""
    turn = turn_of(media)
    if embedded.is_raw(file):
        return _raw(file, media, turn, side)
    try:
        return _decode(_Source(file), turn, side)
    except Refused as refused:
        if not file.head.startswith((b"II", b"MM")):
            raise
        try:  # a raw photograph under a name that does not say so, or a TIFF that is one in all but name
            return _raw(file, media, turn, side)
        except Refused:
            raise refused from None


def decode_bytes(data: bytes, side: int) -> Still:
    """Decode a picture that was embedded in something else, by what it says of itself."""
    return _decode(_Source(None, data), None, side)


def _raw(file: Opened, media: Media | None, turn: Turn | None, side: int) -> Still:
    """A raw photograph: by a picture that is embedded in it."""
    found = embedded.choose(embedded.jpegs(file), side)
    if found is None:
        return _first_directory(file, turn, side)
    if turn is None:
        turn = _turn_by(embedded.orientation(file))
    if turn is not None and turn.rotation in (90, 270) and found.height > found.width:
        was_wide = media is None or media.width is None or media.height is None or media.width > media.height
        turn = Turn() if was_wide else turn  # the camera has turned this one already
    return _decode(_Source(None, file.pread(found.length, found.offset)), turn, side)


def _first_directory(file: Opened, turn: Turn | None, side: int) -> Still:
    """The uncompressed thumbnail with which some begin; what the sensor saw is gray, and no picture."""
    try:
        return _decode(_Source(file), turn, side, modes=frozenset({"RGB", "YCbCr"}))
    except Refused:
        raise Refused("it is a raw photograph without an embedded picture") from None


def turn_of(media: Media | None) -> Turn | None:
    if media is None or (media.rotation is None and media.is_mirrored is None):
        return None
    return Turn((media.rotation or 0) % 360, bool(media.is_mirrored))


def _turn_by(orientation: int | None) -> Turn | None:
    if orientation not in range(1, 9):
        return None
    rotation, is_mirrored = exif.turned(orientation)
    return Turn(rotation or 0, bool(is_mirrored))


# --- judging by the header


def _format(source: _Source) -> str:
    """The name of the decoder for these bytes."""
    head = source.at(64, 0)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[place : place + 4] for place in (8, *range(16, length - 3, 4))}
        return "AVIF" if brands & _AVIF_BRANDS else "HEIF"
    for signature, name in _BY_HEAD:
        if head.startswith(signature):
            return name
    named = _BY_EXTENSION.get(source.extension) or _BY_WEAK_HEAD.get(head[:4])
    if named is None or not head:
        raise Refused(f"there is no decoder for {_called(source, head)}")
    return named


def _called(source: _Source, head: bytes) -> str:
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return "JPEG XL pictures"
    extension = source.extension.decode("ascii", "replace").upper()
    return f"{extension} pictures" if extension.isalnum() else "pictures of this kind"


def _judge_header(source: _Source, name: str) -> None:
    """Refuse what a decoder would work on for minutes before it knows how large the picture is."""
    if name in _READ_WHOLE and source.size > WHOLE_MAX:
        raise Refused(f"its {source.size >> 20} MB are more than the {WHOLE_MAX >> 20} that a preview reads at once")
    if name == "PNG":
        _judge_chunks(source)
    elif name == "JPEG":
        _judge_segments(source)
    elif name == "HEIF":
        _judge_items(source)


def _judge_items(source: _Source) -> None:
    """Refuse a HEIF in which something has a type or a name that is no text: pi-heif 1.4 crashes over it."""
    if source.file is None:
        raise Refused("there is no decoder for HEIF pictures inside of other files")
    meta = find(source.file, 0, source.size, b"meta")
    table = find(source.file, meta.start + 4, meta.end, b"iinf") if meta is not None else None
    if table is None or table.end - table.start > ITEMS_MAX:
        raise Refused("it is damaged: it does not say what is in it")
    behind = 6 if source.at(1, table.start) == b"\0" else 8  # version and count
    for item in boxes(source.file, table.start + behind, table.end):
        entry = source.at(item.end - item.start, item.start)
        try:
            entry[10 if entry[:1] == b"\3" else 8 :].decode()
        except UnicodeDecodeError:
            raise Refused("it is damaged: what is in it has a name that is no text") from None


def _judge_chunks(source: _Source) -> None:
    place = 8
    for _ in range(CHUNKS_MAX):
        header = source.at(8, place)
        if len(header) < 8 or header[4:] == b"IEND":
            return
        place += 12 + int.from_bytes(header[:4], "big")
    raise Refused(f"it has more than {CHUNKS_MAX} chunks")


def _judge_segments(source: _Source) -> None:
    place, pixels = 2, 0
    for _ in range(SEGMENTS_MAX):
        header = source.at(9, place)
        if len(header) < 4 or header[0] != 0xFF:
            return  # the decoder knows how to go on, or says what is wrong
        marker = header[1]
        if marker == 0xDA:
            if pixels:
                _judge_scans(source, place, pixels)
            return
        if marker == 0xC2:
            pixels = int.from_bytes(header[5:7], "big") * int.from_bytes(header[7:9], "big")
        place += 1 if marker == 0xFF else 2 + int.from_bytes(header[2:4], "big")
    raise Refused(f"its header has more than {SEGMENTS_MAX} segments")


def _judge_scans(source: _Source, start: int, pixels: int) -> None:
    """A progressive picture is drawn again by every scan, and a scan may be as short as its header."""
    scans = 0
    for place in range(start, source.size, _WINDOW):
        window = source.at(_WINDOW + 1, place)  # one more: a marker may lie across
        scans += window.count(b"\xff\xda")
        if scans * pixels > SCANS_WORK_MAX:
            raise Refused(f"it has more scans than a picture of {_megapixels(pixels)} megapixels can need")


def _judge_size(image: Image.Image, source: _Source) -> None:
    """Refuse what would not fit into memory, or not be done in time."""
    pixels, name = image.width * image.height, image.format or ""
    most = min(PIXELS_MAX, _slow(source, name))
    if pixels > most:
        raise Refused(f"its {_megapixels(pixels)} megapixels are more than the {_megapixels(most)} that are decoded")
    needed = _needed(image, pixels)
    if needed > MEMORY_MAX:
        raise Refused(
            f"its {_megapixels(pixels)} megapixels would need {needed >> 20} MB, more than the {MEMORY_MAX >> 20} "
            "that a preview may take"
        )


def _slow(source: _Source, name: str) -> int:
    if name == "PPM" and source.at(2, 0) not in (b"P1", b"P2", b"P3"):
        return PIXELS_MAX
    return _SLOW.get(name, PIXELS_MAX)


def _needed(image: Image.Image, pixels: int) -> int:
    """Bytes that are in use at once while a picture is decoded and made small."""
    name = image.format or ""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        full = pixels * 2 * len(image.getbands()) if image.info.get("progressive") else 0
        return full + _DRAFT_MAX
    stored = {"1": 1, "L": 1, "P": 1, "I;16": 2}.get(image.mode, 4)
    widened = 8 if "A" in image.mode or "a" in image.mode or "transparency" in image.info or image.mode == "P" else 0
    return pixels * (stored + widened + _DECODER_COSTS.get(name, 1) + 4 * _is_heif_of_several(image))


def _megapixels(pixels: int) -> str:
    return f"{pixels / 1_000_000:.0f}" if pixels >= 10_000_000 else f"{pixels / 1_000_000:.1f}"


# --- decoding


def _decode(source: _Source, turn: Turn | None, side: int, modes: frozenset[str] | None = None) -> Still:
    """Decode whole, or else what is left of it. ``modes``: those that are pictures, where others are not."""
    name = _format(source)
    _judge_header(source, name)
    with _limits(is_tolerant=False):
        try:
            return Still(_opened(source, name, turn, side, modes))
        except (Refused, MemoryError) as error:
            raise _refusal(error) from None
        except Exception as error:  # noqa: BLE001 - decoders raise anything on damaged files
            reason = _words(error)
    with _limits(is_tolerant=True):
        try:
            rest = _opened(source, name, turn, side, modes)
        except Exception:  # noqa: BLE001 - as above; MemoryError is one of them
            raise Refused(reason) from None
    if _is_blank(rest):
        raise Refused(reason)
    return Still(rest, reason)


@contextlib.contextmanager
def _limits(*, is_tolerant: bool) -> Iterator[None]:
    """Pillow's own settings are of the whole process: they are ours for as long as a picture takes."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS = PIXELS_MAX // 2  # it raises above twice of it; warnings below that are ours to judge
    ImageFile.LOAD_TRUNCATED_IMAGES = is_tolerant
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _refusal(error: Refused | MemoryError) -> Refused:
    if isinstance(error, Refused):
        return error
    return Refused("it needs more memory than a preview may take")


def _words(error: Exception) -> str:
    """What a decoder says, for people."""
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than the {_megapixels(PIXELS_MAX)} megapixels that are decoded"
    if isinstance(error, UnidentifiedImageError):
        return "it is damaged: its header makes no sense"
    said = " ".join(str(error).split())[:120]
    return f"it is damaged: {said or type(error).__name__}"


def _opened(source: _Source, name: str, turn: Turn | None, side: int, modes: frozenset[str] | None) -> Image.Image:
    """Open, decode, make small, turn upright."""
    if name == "WEBP":
        _judge_canvas(source)
    with source.stream() as stream, Image.open(stream, formats=(name,)) as image:
        if modes is not None and image.mode not in modes:
            raise Refused(f"its pixels are {image.mode}")
        _judge_size(image, source)
        profile = image.info.get("icc_profile")
        small = _small(_shown(_drafted(image, side)), side)
        small = small.copy() if small is image else small  # which ends with its file
        is_adobe = not profile and image.format in ("JPEG", "MPO") and _is_adobe(image)
        upright = turned(small, _own_turn(image) if turn is None or name in _TURNED_BY_DECODER else turn)
    return _coloured(upright, profile, is_adobe=is_adobe)


def _judge_canvas(source: _Source) -> None:
    """WebP takes memory for its canvas before anybody can ask how large that is."""
    head = source.at(30, 0)
    if head[12:16] == b"VP8X":
        width, height = (int.from_bytes(head[place : place + 3], "little") + 1 for place in (24, 27))
        most = MEMORY_MAX // (4 + _DECODER_COSTS["WEBP"])
        if width * height > most:
            raise Refused(
                f"its {_megapixels(width * height)} megapixels are more than the {_megapixels(most)} that fit into "
                "the memory of a preview"
            )


def _drafted(image: Image.Image, side: int) -> Image.Image:
    """Have the decoder make the picture small already, where it can; gives it decoded."""
    width, height = fitting(image.width, image.height, side)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(image.mode, (width, height))
    image.load()
    # pi-heif decodes one of several again whenever it is looked at; a copy is only what it is.
    return image.copy() if _is_heif_of_several(image) else image


def _is_heif_of_several(image: Image.Image) -> bool:
    return image.format == "HEIF" and bool(getattr(image, "is_animated", False))


def _shown(image: Image.Image) -> Image.Image:
    """The first frame of an animation that shows something; the first at all, if none does."""
    if image.format not in _ANIMATED or not getattr(image, "is_animated", False):
        return image
    tries = min(FRAMES_MAX, PIXELS_MAX // max(1, image.width * image.height))
    first = image.copy()
    frame = first
    for number in range(1, tries):
        if not _is_blank(frame):
            return frame
        try:
            image.seek(number)
            image.load()
        except Exception:  # noqa: BLE001 - the end, or damage: there is a frame already
            return first
        frame = image
    return first if _is_blank(frame) else frame


def _is_blank(image: Image.Image) -> bool:
    """Whether a picture is of one colour as far as one sees, or nothing of it can be seen."""
    stamp = image.resize((min(_LOOK, image.width), min(_LOOK, image.height)), Image.Resampling.NEAREST).convert("RGBA")
    opaque = stamp.getchannel("A")
    shown = Image.composite(stamp, Image.new("RGBA", stamp.size), opaque).convert("RGB")
    return max(deviation(shown), deviation(opaque)) < BLANK_DEVIATION


def deviation(stamp: Image.Image) -> float:
    """How far the values of a picture differ from each other: of the colour in which they do most, 0 to 127."""
    return max(ImageStat.Stat(stamp).stddev)


def fitting(width: int, height: int, side: int) -> tuple[int, int]:
    """The sides of a picture that is at most ``side`` long, and never larger than it was."""
    longer = max(width, height)
    if longer <= side:
        return width, height
    return max(1, round(width * side / longer)), max(1, round(height * side / longer))


def shrunk(picture: Image.Image, side: int) -> Image.Image:
    """A picture at most ``side`` pixels long."""
    size = fitting(picture.width, picture.height, side)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _small(image: Image.Image, side: int) -> Image.Image:
    """Make a picture small, in a mode of 8 bits a value: L, LA, RGB, RGBA, CMYK or LAB."""
    mode = image.mode
    if mode == "1":
        image = image.convert("L")
    elif mode.startswith("I;16"):
        image = image if mode == "I;16" else image.convert("I")
    elif mode in ("P", "PA", "La", "RGBa", "RGBX", "HSV", "YCbCr") or "transparency" in image.info:
        image = image.convert(_plain(image))
    return _eight_bits(shrunk(image, side))


def _plain(image: Image.Image) -> str:
    if image.mode == "La":
        return "LA"
    has_clear_entries = image.palette is not None and "A" in image.palette.mode
    is_clear = "transparency" in image.info or image.mode in ("PA", "RGBa") or has_clear_entries
    return "RGBA" if is_clear else "RGB"


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring numbers of more bits into the range of eight."""
    if image.mode == "I;16":
        return image.point(lambda value: value / 256).convert("L")
    if image.mode not in ("I", "F"):
        return image
    low, high = image.getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if image.mode == "I" and low >= 0 and high <= 65_535:
        low, high = 0, 255 if high <= 255 else 65_535
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0, 1
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return Image.new("L", image.size, 0)
    scale, offset = 255 / span, -low * 255 / span
    return image.convert("F").point(lambda value: value * scale + offset).convert("L")


_TURNED_BY_DECODER = frozenset({"HEIF", "TIFF", "AVIF"})
"""libheif and Pillow's TIFF turn by themselves; AVIF's own properties reach us as Exif, whatever a reading says."""

_QUARTERS = {
    90: Image.Transpose.ROTATE_270,  # Pillow counts against the clock
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


def _own_turn(image: Image.Image) -> Turn:
    """How a decoded picture says that it is to be turned."""
    if image.format in ("HEIF", "TIFF"):
        return Turn()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a damaged Exif block raises anything; the picture is fine
        return Turn()
    return (_turn_by(orientation) if isinstance(orientation, int) else None) or Turn()


def turned(image: Image.Image, turn: Turn) -> Image.Image:
    if turn.is_mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    quarter = _QUARTERS.get(turn.rotation)
    return image if quarter is None else image.transpose(quarter)


# --- colours


def _is_adobe(image: Image.Image) -> bool:
    """Whether a camera says Adobe RGB by a word, as those do that write no profile."""
    try:
        tags = image.getexif()
        space = tags.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        return space == 2 or tags.get_ifd(ExifTags.IFD.Interop).get(1) == "R03"
    except Exception:  # noqa: BLE001 - as above
        return False


def _coloured(image: Image.Image, profile: object, *, is_adobe: bool) -> Image.Image:
    """Bring a small picture into sRGB; what can be seen through stays so."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None:
        image = image.convert(image.mode[:-1])
    image = _by_profile(image, profile) if isinstance(profile, bytes) and profile else image
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, lab, _srgb(), outputMode="RGB") or image
    if image.mode != "RGB":
        image = image.convert("RGB")
    if is_adobe:
        image = colours.from_adobe_rgb(image)
    if alpha is not None and alpha.getextrema() not in ((255, 255), (0, 0)):  # some programs leave it empty
        image.putalpha(alpha)
    return image


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """As the profile says; as if there were none, where it is damaged or made for something else."""
    if len(profile) > PROFILE_MAX:
        return image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, given, _srgb(), outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
