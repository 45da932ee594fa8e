"""Make libraries of music, photographs and films whose files all differ, for timing what reads them.

Takes a directory that does not exist yet and a number of files; the same numbers give the same files. Music lies in
albums of twelve, with tags; photographs have EXIF; films have tags. Streams are encoded once for each format and then
put into each file anew, with tags of its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from PIL import Image

from mediasluice.cli.demo_formats import Camera, exif
from tests import encoded

MUSIC = {"mp3": 45, "flac": 25, "m4a": 15, "ogg": 5, "opus": 5, "wma": 3, "wv": 2}  # percent; chosen: as people have it
FILMS = {"mp4": 50, "mov": 15, "mkv": 20, "avi": 5, "webm": 5, "ts": 5}  # percent; chosen, as above
TRACKS = 12  # of an album
CAMERAS = (
    Camera("Canon", "Canon EOS 5D Mark III", "<", knows_zone=False),
    Camera("Google", "Pixel 7 Pro", ">", knows_zone=True),
    Camera("NIKON CORPORATION", "NIKON D750", "<", knows_zone=False),
)
GENRES = ("Rock", "Jazz", "Classical", "Electronic", "Folk")


def music(directory: Path, files: int, seconds: float) -> None:
    """Albums of tracks that last so long."""
    chance = Random(f"music/{files}")
    bases = {suffix: encoded.sound(suffix, "base", seconds) for suffix in MUSIC}
    for number in range(files):
        album, track = divmod(number, TRACKS)
        if track == 0:
            (suffix,) = chance.choices(list(MUSIC), list(MUSIC.values()))
            folder = directory / f"Artist {album // 3:04d}" / f"Album {album:05d}"
            folder.mkdir(parents=True)
        content = encoded.tagged(
            bases[suffix],
            encoded.SOUNDS[suffix].container,
            title=f"Track {number:06d}",
            artist=f"Artist {album // 3:04d}",
            album=f"Album {album:05d}",
            date=str(1960 + album % 60),
            genre=GENRES[album % len(GENRES)],
            track=f"{track + 1}/{TRACKS}",
        )
        (folder / f"{track + 1:02d} Track {number:06d}.{suffix}").write_bytes(content)


def films(directory: Path, files: int, seconds: float) -> None:
    """Films that last so long, without sound."""
    chance = Random(f"films/{files}")
    bases = {suffix: encoded.film(suffix, "base", seconds) for suffix in FILMS}
    for number, folder in _folders(directory, files):
        (suffix,) = chance.choices(list(FILMS), list(FILMS.values()))
        content = encoded.tagged(bases[suffix], encoded.FILMS[suffix].container, title=f"Film {number:06d}")
        if suffix == "ts":  # has no place for a title
            content += b"\x47\x1f\xff\x10" + f"{number:06d}".encode().ljust(184, b"\xff")  # a packet of nothing
        (folder / f"VID_{number:06d}.{suffix}").write_bytes(content)


def photos(directory: Path, files: int, megabytes: float) -> None:
    """JPEGs of three cameras, of about so many megabytes each."""
    bases = [_photo(Random(f"photos/{number}"), megabytes) for number in range(4)]
    taken = datetime(2019, 1, 1, 8, 0, 0, tzinfo=UTC)
    for number, folder in _folders(directory, files):
        described = exif(CAMERAS[number % len(CAMERAS)], taken + timedelta(minutes=number), place=(48.85, 2.29))
        segment = b"Exif\0\0" + described
        head = b"\xff\xd8\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
        (folder / f"IMG_{number:06d}.jpg").write_bytes(head + bases[number % len(bases)][2:])


def _photo(chance: Random, megabytes: float) -> bytes:
    """Noise under a gradient; the share of noise makes the size."""
    side = round(1400 * megabytes**0.5)
    noise = Image.frombytes("L", (side, side), chance.randbytes(side * side))
    smooth = Image.linear_gradient("L").resize((side, side))
    held = io.BytesIO()
    Image.merge("RGB", [Image.blend(smooth, noise, 0.2)] * 3).save(held, "JPEG", quality=90)
    return held.getvalue()


def _folders(directory: Path, files: int) -> Iterator[tuple[int, Path]]:
    for number in range(files):
        folder = directory / f"{number // 100:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        yield number, folder


MAKERS: Mapping[str, Callable[[Path, int, float], None]] = {"music": music, "films": films, "photos": photos}
