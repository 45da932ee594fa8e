"""What exiftool and ffprobe say of files, in the shape of a corpus' manifest.

Takes a directory; gives one entry for each picture, sound or film below it that one of them knows as such: ``file`` and
``path`` (relative to it), ``kind``, ``ext``, and what the tools found under ``exiftool`` and ``ffprobe``.
Fails with: FileNotFoundError, where a tool is not installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TAGS = (
    *("FileType", "MIMEType", "DateTimeOriginal", "CreateDate", "ModifyDate", "OffsetTimeOriginal", "Make", "Model"),
    *("ImageWidth", "ImageHeight", "Orientation", "Composite:GPSLatitude", "Composite:GPSLongitude", "Error"),
)
KINDS = {"image": "photo", "audio": "audio", "video": "video"}
WORDS = ("title", "artist", "album", "date", "genre", "track")


def described(directory: Path) -> Iterator[dict[str, Any]]:
    """Ask both tools about everything below a directory."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    for path, exif in zip(files, _exiftool(files), strict=True):
        kind = KINDS.get(str(exif.get("MIMEType", "")).partition("/")[0])
        probed = {} if kind == "photo" else _ffprobe(path)
        if kind is None:  # exiftool does not know it
            if not probed.get("acodec"):
                continue
            kind = "video" if probed.get("vcodec") else "audio"
        name = str(path.relative_to(directory))
        entry = {"file": name, "path": name, "repo": "", "kind": kind, "ext": path.suffix.lower().lstrip(".")}
        yield entry | {"exiftool": exif} | ({} if kind == "photo" else {"ffprobe": probed})


def _exiftool(files: list[Path]) -> list[Mapping[str, Any]]:
    """One process for all of them; a file that it says nothing about has no entry."""
    with tempfile.NamedTemporaryFile(prefix="sluice-bench-") as names:
        names.write(b"\n".join(map(os.fsencode, files)))
        names.flush()
        asked = [f"-{tag}" for tag in TAGS]
        command = ["exiftool", "-q", "-q", "-json", "-n", *asked, "-@", names.name]
        run = subprocess.run(command, capture_output=True, check=False)  # it complains of damaged files by its code
    said = json.loads(run.stdout.decode("utf-8", "replace") or "[]")
    by_name = {one.pop("SourceFile"): one for one in said}
    return [by_name.get(os.fsencode(path).decode("utf-8", "replace"), {}) for path in files]


def _ffprobe(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-print_format", "json", "-show_format", "-show_streams", f"file:{path}"]
    run = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    said = json.loads(run.stdout.decode("utf-8", "replace") or "{}")
    if run.returncode or "format" not in said:
        return {"refused": True}
    sound = _first(said, "audio")
    picture = _first(said, "video")
    tags: dict[str, str] = {}
    for holder in (said["format"], sound, picture):
        for key, value in holder.get("tags", {}).items():
            tags.setdefault(key.lower(), value)
    found = {
        "duration": float(said["format"].get("duration", 0)),
        "acodec": sound.get("codec_name"),
        "sample_rate": int(sound.get("sample_rate", 0)),
        "channels": sound.get("channels"),
        "vcodec": picture.get("codec_name"),
        "width": picture.get("width"),
        "height": picture.get("height"),
        **{word: tags.get(word) for word in WORDS},
    }
    return {key: value for key, value in found.items() if value}


def _first(said: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The first stream of a kind; a cover is none."""
    for stream in said.get("streams", ()):
        if stream.get("codec_type") == kind and not stream.get("disposition", {}).get("attached_pic"):
            return dict(stream)
    return {}
