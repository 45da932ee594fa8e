"""Make the media that ``sluice demo`` lets arrive: what people really have in such folders, good and bad.

Takes a folder; writes about sixty small files into it, the same ones every time, and gives for each what it is meant
to show. Files whose names the file system refuses are left out: not every one takes bytes that are no UTF-8, quotes,
or two spellings of one word. Needs no network and nothing but the standard library; about half a megabyte.
Fails with: OSError of a write.
"""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from mediasluice.cli import demo_formats as formats
from mediasluice.model.files import Kind

_NAME_REFUSED = {errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG, errno.EEXIST}


class Expected(StrEnum):
    """What is to become of a file."""

    IMPORTED = "imported"
    COMPANION = "companion"  # brought along with the one that it belongs to
    DUPLICATE = "duplicate"  # of one that is imported
    TRUNCATED = "truncated"  # waited for, because it ends before its format says
    EMPTY = "empty"
    JUNK = "junk"
    HELD = "held"  # carries the name of an unfinished transfer
    IGNORED = "ignored"


class Made(NamedTuple):
    """One file. ``path``: bytes below the folder; ``of``: the path of the file whose content it has."""

    path: bytes
    kind: Kind
    expected: Expected
    shows: str
    content: bytes
    modified: datetime
    of: bytes | None = None


def make(folder: Path) -> list[Made]:
    """Write every file in turn, originals before their copies; gives those that the file system took."""
    return [made for made in all_media() if write(folder, made)]


def write(folder: Path, made: Made) -> bool:
    """Write one file; gives whether the file system takes its name."""
    path = os.path.join(os.fsencode(folder), *made.path.split(b"/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        file = open(path, "xb")  # noqa: SIM115 - closed below; only opening may be refused
    except UnicodeError:  # Windows: its names are text
        return False
    except OSError as error:
        if error.errno in _NAME_REFUSED:
            return False
        raise
    with file:
        file.write(made.content)
        file.flush()
        os.utime(file.fileno() if os.utime in os.supports_fd else path, (made.modified.timestamp(),) * 2)
    return True


def all_media() -> list[Made]:
    """Every file with its content, nothing written."""
    good = [*_phone(), *_camera(), *_odd_names(), *_pictures(), *_music(), *_films(), *_papers()]
    return [*good, *_copies(good), *_bad(good)]


# -- what is whole ------------------------------------------------------------------------------------

_SUMMER, _WINTER = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))
_PHONE = formats.Camera("Northlight", "Pocket 7", "<", knows_zone=True)
_CAMERA = formats.Camera("Halden", "H100", ">", knows_zone=False)
_SHOTS = (  # when and where the phone was used
    (datetime(2023, 12, 24, 16, 5, 11, tzinfo=_WINTER), (59.9139, 10.7522)),
    (datetime(2023, 12, 24, 18, 40, 2, tzinfo=_WINTER), (59.9139, 10.7522)),
    (datetime(2023, 12, 31, 23, 59, 58, tzinfo=_WINTER), None),
    (datetime(2024, 1, 1, 0, 0, 4, tzinfo=_WINTER), None),
    (datetime(2024, 2, 29, 12, 0, 0, tzinfo=_WINTER), (45.8326, 6.8652)),
    (datetime(2024, 7, 13, 9, 31, 20, tzinfo=_SUMMER), (41.9028, 12.4964)),
    (datetime(2024, 7, 13, 9, 31, 21, tzinfo=_SUMMER), (41.9028, 12.4964)),
    (datetime(2024, 7, 14, 21, 2, 45, tzinfo=_SUMMER), (-33.8688, 151.2093)),
    (datetime(2024, 8, 2, 6, 15, 0, tzinfo=_SUMMER), (40.7128, -74.0060)),
    (datetime(2024, 8, 2, 6, 15, 9, tzinfo=_SUMMER), None),
)


def _phone() -> Iterator[Made]:
    for number, (taken, place) in enumerate(_SHOTS, 1):
        where = " and the place" if place else ""
        yield Made(
            b"DCIM/100PHONE/IMG_%04d.jpg" % number,
            Kind.IMAGE,
            Expected.IMPORTED,
            f"a photo whose Exif knows the time, its zone{where}",
            formats.jpeg(number, exif=formats.exif(_PHONE, taken, place=place)),
            taken,
        )


def _camera() -> Iterator[Made]:
    for number, orientation in enumerate((1, 6, 8, 3, 1, 1), 101):
        taken = datetime(2024, 5, 4, 10, 0, 0, tzinfo=_SUMMER) + timedelta(hours=7 * (number - 101))
        yield Made(
            b"DCIM/101HALDEN/DSC_%04d.JPG" % number,
            Kind.IMAGE,
            Expected.IMPORTED,
            "a photo of a camera that knows no time zone" + (", turned" if orientation > 1 else ""),
            formats.jpeg(number, exif=formats.exif(_CAMERA, taken, orientation=orientation)),
            taken,
        )


def _odd_names() -> Iterator[Made]:
    word = "caf\u00e9"
    names = {
        b"odd/two  spaces, and a comma.jpg": "a name with spaces",
        b'odd/it\'s "quoted".jpg': "a name with quotes",
        b"odd/-rf.jpg": "a name that begins with a dash",
        "odd/\U0001f305 sunrise.jpg".encode(): "a name with an emoji",
        f"odd/{unicodedata.normalize('NFC', word)}.jpg".encode(): "a word with a composed letter",
        f"odd/{unicodedata.normalize('NFD', word)}.jpg".encode(): "the same word in another spelling: two files",
        b"odd/caf\xe9 1998.jpg": "a name that is no UTF-8",
        b"odd/" + b"a-long-way-home-".ljust(246, b"o") + b".jpg": "a name of 250 bytes",
    }
    for number, (path, shows) in enumerate(names.items(), 201):
        taken = datetime(2022, 3, 1, 8, number - 200, 0, tzinfo=_WINTER)
        content = formats.jpeg(number, exif=formats.exif(_CAMERA, taken))
        yield Made(path, Kind.IMAGE, Expected.IMPORTED, shows, content, taken)


def _pictures() -> Iterator[Made]:
    for number in (1, 2, 3):
        taken = datetime(2024, 9, number, 14, 30, 15, tzinfo=_SUMMER)
        inside = formats.exif(_PHONE, taken) if number == 3 else b""
        yield Made(
            b"Screenshots/Screenshot %d.png" % number,
            Kind.IMAGE,
            Expected.IMPORTED,
            "a PNG with Exif" if inside else "a PNG with the time of its last change",
            formats.png(300 + number, f"Screen {number}", taken, exif=inside),
            taken,
        )
    found = datetime(2021, 6, 5, 12, 0, 0, tzinfo=_SUMMER)
    yield Made(
        b"Downloads/loop.gif", Kind.IMAGE, Expected.IMPORTED, "a picture without any date", formats.gif(11), found
    )
    yield Made(
        b"Downloads/tiles.webp", Kind.IMAGE, Expected.IMPORTED, "a picture without any date", formats.webp(12), found
    )


_ALBUM = ("Leaving Port", "Nine Lights", "Slow Water", "The Other Shore", "Rain on Tin", "Home by Five")


def _music() -> Iterator[Made]:
    ripped = datetime(2020, 11, 7, 19, 0, 0, tzinfo=_WINTER)
    folder = b"Music/The Harbour Lamps - Two Nights (2019)/"
    for number, title in enumerate(_ALBUM):
        disc, track = number // 3 + 1, number % 3 + 1
        tags = {
            "TITLE": title,
            "ARTIST": "The Harbour Lamps",
            "ALBUMARTIST": "The Harbour Lamps",
            "ALBUM": "Two Nights",
            "DATE": "2019",
            "TRACKNUMBER": str(track),
            "DISCNUMBER": str(disc),
            "DISCTOTAL": "2",
        }
        yield Made(
            folder + f"CD{disc}/{track:02} {title}.flac".encode(),
            Kind.AUDIO,
            Expected.IMPORTED,
            "a track of an album with two discs",
            formats.flac(formats.tune(number), tags),
            ripped,
        )
    cover = formats.jpeg(400)
    yield Made(folder + b"cover.jpg", Kind.IMAGE, Expected.COMPANION, "the cover of an album", cover, ripped)
    for number, title in enumerate(("Silence in A", "Silence in B", "Stille f\u00fcr drei"), 1):
        tags = {"TIT2": title, "TPE1": "Nobody", "TALB": "Quiet Things", "TRCK": str(number), "TYER": "2018"}
        yield Made(
            f"Music/Nobody - {title}.mp3".encode(),
            Kind.AUDIO,
            Expected.IMPORTED,
            "an MP3 with ID3 tags",
            formats.mp3(tags, frames=40 + number),
            ripped,
        )
    for number in (1, 2, 3):
        recorded = datetime(2024, 4, number, 20, 15, 0, tzinfo=_SUMMER)
        tags = {"INAM": f"Sketch {number}", "IART": "Me", "ICRD": f"{recorded:%Y-%m-%d}"}
        yield Made(
            b"Recordings/sketch %d.wav" % number,
            Kind.AUDIO,
            Expected.IMPORTED,
            "a WAV with INFO tags",
            formats.wav(formats.tune(20 + number), tags),
            recorded,
        )


def _films() -> Iterator[Made]:
    for number, name in enumerate((b"MVI_0001.mp4", b"MVI_0002.mov"), 1):
        taken = datetime(2024, 7, 13, 9, 40 + number, 0, tzinfo=UTC)
        content = formats.film(500 + 20 * number, taken, quicktime=name.endswith(b".mov"))
        yield Made(b"Film/" + name, Kind.VIDEO, Expected.IMPORTED, "a film that knows its time", content, taken)


def _papers() -> Iterator[Made]:
    taken = _SHOTS[2][0]
    yield Made(
        b"DCIM/100PHONE/IMG_0003.xmp",
        Kind.SIDECAR,
        Expected.COMPANION,
        "what a photo program noted beside IMG_0003.jpg",
        formats.xmp("Midnight", taken, 5),
        taken + timedelta(days=3),
    )
    written = datetime(2024, 6, 1, 9, 0, 0, tzinfo=_SUMMER)
    yield Made(
        b"Downloads/programme.pdf",
        Kind.PDF,
        Expected.IMPORTED,
        "a document of one page",
        formats.pdf("Two Nights at the Harbour"),
        written,
    )


# -- what is there twice, and what is not whole -------------------------------------------------------

_COPIES = {
    b"DCIM/100PHONE/IMG_0001 (1).jpg": b"DCIM/100PHONE/IMG_0001.jpg",
    b"Backup/old phone/IMG_0002.jpg": b"DCIM/100PHONE/IMG_0002.jpg",
    b"Backup/old phone/IMG_0005.jpg": b"DCIM/100PHONE/IMG_0005.jpg",
    b"Backup/old phone/again/five.jpeg": b"DCIM/100PHONE/IMG_0005.jpg",
    b"Backup/Copy of MVI_0001.mp4": b"Film/MVI_0001.mp4",
    b"Downloads/sketch 2 - final.wav": b"Recordings/sketch 2.wav",
    b"Downloads/screenshot.png": b"Screenshots/Screenshot 1.png",
}


def _copies(good: list[Made]) -> Iterator[Made]:
    originals = {made.path: made for made in good}
    for path, of in _COPIES.items():
        shows = f"the same bytes as {os.fsdecode(of)}"
        yield originals[of]._replace(path=path, expected=Expected.DUPLICATE, shows=shows, of=of)


def _bad(good: list[Made]) -> Iterator[Made]:
    """The cut photo comes last: while it is waited for, nobody can think that nothing more is to come."""
    today = datetime(2024, 8, 3, 11, 0, 0, tzinfo=_SUMMER)
    whole = formats.jpeg(600, 800, 544, exif=formats.exif(_PHONE, today))
    film = next(made for made in good if made.path.endswith(b".mov")).content
    yield Made(b"DCIM/100PHONE/IMG_0012.jpg", Kind.IMAGE, Expected.EMPTY, "a file without any bytes", b"", today)
    yield Made(
        b"Downloads/concert.mp4.part",
        Kind.VIDEO,
        Expected.HELD,
        "a download that is not finished",
        film[: len(film) // 3],
        today,
    )
    for name in (b"album.r00", b"album.par2"):
        shows = "left over from a download"
        yield Made(b"Downloads/" + name, Kind.OTHER, Expected.JUNK, shows, b"left over: " + name, today)
    kept = {b"Thumbs.db": Kind.OTHER, b".DS_Store": Kind.OTHER, b"._IMG_0001.jpg": Kind.IMAGE}
    for name, kind in kept.items():
        shows = "what a file manager keeps for itself"
        yield Made(b"DCIM/100PHONE/" + name, kind, Expected.IGNORED, shows, b"\0\5\x16\7 " + name, today)
    yield Made(
        b"DCIM/100PHONE/IMG_0011.jpg",
        Kind.IMAGE,
        Expected.TRUNCATED,
        "a photo that was cut in the middle",
        whole[: len(whole) // 2],
        today,
    )
