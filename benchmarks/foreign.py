"""Have ffmpeg and exiftool write media that no reader of ours was tried on: other codecs, rates, sizes, tags, places.

Takes a directory and a seed; the same seed gives the same files, another one gives others. What a tool of this machine
cannot write is left out.
Fails with: FileNotFoundError, where ffmpeg or exiftool is not installed.

    python -m benchmarks.accuracy --foreign 7     # seed: write them, ask both tools, compare
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
WORDS = ("Ärger", "Étude", "夜", "Song", "The Long Way", "one/two", "a; b", "Ночь", "x" * 40, "100%")

# suffix and codec with its options; each is written several times, with other rates, channels and tags
SOUNDS: tuple[tuple[str, str], ...] = (
    ("mp3", "libmp3lame -b:a 128k"),
    ("mp3", "libmp3lame -q:a 4"),
    ("mp3", "libmp3lame -b:a 96k -write_xing 0"),
    ("mp3", "libmp3lame -id3v2_version 3 -write_id3v1 1"),
    ("mp2", "mp2"),
    ("flac", "flac"),
    ("ogg", "libvorbis"),
    ("ogg", "flac"),
    ("opus", "libopus"),
    ("spx", "libspeex"),
    ("m4a", "aac"),
    ("m4a", "alac"),
    ("m4a", "aac -movflags +faststart"),
    ("aac", "aac"),
    ("wav", "pcm_s16le"),
    ("wav", "pcm_s24le"),
    ("wav", "pcm_f32le"),
    ("wav", "adpcm_ms"),
    ("wav", "pcm_s16le -rf64 always"),
    ("w64", "pcm_s16le"),
    ("aiff", "pcm_s16be -write_id3v2 1"),
    ("au", "pcm_s16be"),
    ("caf", "pcm_s16be"),
    ("wma", "wmav2"),
    ("ac3", "ac3"),
    ("eac3", "eac3"),
    ("dts", "dca -strict -2"),
    ("mka", "flac"),
    ("mka", "libopus"),
    ("wv", "wavpack"),
    ("tta", "tta"),
)
FILMS: tuple[tuple[str, str], ...] = (
    ("mp4", "libx264 -pix_fmt yuv420p"),
    ("mp4", "libx264 -pix_fmt yuv420p -movflags +faststart"),
    ("mp4", "libx264 -pix_fmt yuv420p -movflags frag_keyframe+empty_moov"),
    ("mp4", "libx265 -tag:v hvc1 -x265-params log-level=error"),
    ("mp4", "mpeg4"),
    ("m4v", "mpeg4"),
    ("mov", "libx264 -pix_fmt yuv420p -metadata com.apple.quicktime.make=Apple -movflags use_metadata_tags"),
    ("mov", "mjpeg -pix_fmt yuvj420p"),
    ("mov", "prores"),
    ("mkv", "libx264 -pix_fmt yuv420p"),
    ("mkv", "libvpx-vp9"),
    ("mkv", "ffv1"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("avi", "mjpeg -pix_fmt yuvj420p"),
    ("ts", "libx264 -pix_fmt yuv420p"),
    ("m2ts", "mpeg2video"),
    ("mpg", "mpeg2video"),
    ("vob", "mpeg2video"),
    ("flv", "flv"),
    ("wmv", "wmv2"),
    ("ogv", "libtheora"),
    ("3gp", "mpeg4"),
    ("mxf", "mpeg2video"),
)
PICTURES = ("jpg", "png", "tiff", "webp", "bmp", "gif", "jp2", "ppm", "tga", "avif")
WITH_EXIF = frozenset({"jpg", "png", "tiff", "webp", "jp2", "avif"})
TIMES = 3  # how often each is written


def write(directory: Path, seed: int) -> int:
    """Write all of them; gives how many there are."""
    chance = Random(seed)
    count = 0
    for number in range(TIMES):
        for place, (suffix, codec) in enumerate(SOUNDS):
            path = directory / f"sound-{place:02d}-{number}.{suffix}"
            count += _ffmpeg([*_tone(chance), "-c:a", *codec.split(), *_tags(chance)], path)
        for place, (suffix, codec) in enumerate(FILMS):
            path = directory / f"film-{place:02d}-{number}.{suffix}"
            count += _ffmpeg([*_scene(chance), "-c:v", *codec.split(), *_tags(chance)], path)
        for suffix in PICTURES * 4:
            path = directory / f"picture-{count:03d}.{suffix}"
            if _ffmpeg([*_scene(chance), "-frames:v", "1"], path):
                count += 1
                if suffix in WITH_EXIF:
                    _exiftool(list(_described(chance)), path)
    return count


def _ffmpeg(options: Sequence[str], path: Path) -> bool:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *options, f"file:{path}"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        path.unlink(missing_ok=True)
    return done.returncode == 0


def _exiftool(options: Sequence[str], path: Path) -> None:
    subprocess.run(["exiftool", "-q", "-q", "-overwrite_original", *options, path], capture_output=True, check=False)


def _tone(chance: Random) -> list[str]:
    seconds = round(chance.choice((0.2, 1.0, 3.7, 12.0)) * chance.uniform(0.8, 1.2), 3)
    tone = f"sine=frequency={chance.randrange(200, 2000)}:sample_rate={chance.choice(RATES)}:duration={seconds}"
    return ["-f", "lavfi", "-i", tone, "-ac", str(chance.choice((1, 2, 2, 6)))]


def _scene(chance: Random) -> list[str]:
    width, height = 2 * chance.randrange(20, 200), 2 * chance.randrange(20, 200)
    rate = chance.choice(("24", "25", "30000/1001", "50"))
    return ["-f", "lavfi", "-i", f"testsrc=size={width}x{height}:rate={rate}:duration={chance.uniform(0.4, 3):.3f}"]


def _tags(chance: Random) -> Iterator[str]:
    for name in ("title", "artist", "album", "genre"):
        if chance.random() < 0.8:
            yield from ("-metadata", f"{name}={chance.choice(WORDS)}")
    if chance.random() < 0.8:
        date = chance.choice(("1999", "2004-05-06", "2011-09"))
        yield from ("-metadata", f"date={date}", "-metadata", f"track={chance.choice(('4', '4/12', '011'))}")


def _described(chance: Random) -> Iterator[str]:
    """What exiftool is to write into a picture."""
    day = f"{chance.randrange(1995, 2024)}:{chance.randrange(1, 13):02d}:{chance.randrange(1, 29):02d}"
    clock = f"{chance.randrange(24):02d}:{chance.randrange(60):02d}:{chance.randrange(60):02d}"
    group = chance.choice(("ExifIFD", "ExifIFD", "XMP-exif"))
    yield f"-{group}:DateTimeOriginal={day} {clock}"
    if chance.random() < 0.5:
        yield f"-ExifIFD:OffsetTimeOriginal={chance.choice(('+02:00', '-05:30', '+00:00'))}"
    if chance.random() < 0.5:
        yield "-IFD0:ModifyDate=2024:01:02 03:04:05"
    if chance.random() < 0.8:
        yield f"-IFD0:Make={chance.choice(('Canon', 'NIKON CORPORATION ', 'Ærø', 'Apple'))}"
        yield f"-IFD0:Model={chance.choice(('Canon EOS R5', 'D750', 'iPhone 15', 'X' * 60))}"
    if chance.random() < 0.6:
        yield f"-IFD0:Orientation#={chance.randrange(1, 9)}"
    if chance.random() < 0.5:
        latitude, longitude = chance.uniform(-90, 90), chance.uniform(-180, 180)
        yield f"-GPSLatitude={abs(latitude)}"
        yield f"-GPSLatitudeRef={'N' if latitude >= 0 else 'S'}"
        yield f"-GPSLongitude={abs(longitude)}"
        yield f"-GPSLongitudeRef={'E' if longitude >= 0 else 'W'}"
