"""Read sound and film by the program ``ffprobe``, where one is installed: the last resort, 60 ms a file.

Takes an open file. Gives what ffprobe says of its format and of its first streams. The program gets the descriptor,
not a name, may use no protocol but that, and no format that names other files. Runs for TIMEOUT_S at most.
Fails with: ``Refused``, when there is no ffprobe, when it refuses the file, or does not come to an end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import formats, keys
from mediasluice.model.files import Kind
from mediasluice.model.media import Media, Reading

TIMEOUT_S = 15  # chosen: below the deadline of a worker
_ANSWER_MAX = 4 << 20  # bytes, chosen: a film with many streams needs some ten thousand
_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_WANTED = (
    "format=format_name,duration:format_tags:stream=codec_type,codec_name,width,height,avg_frame_rate,sample_rate,"
    "channels,bit_rate:stream_tags:stream_disposition=attached_pic"
)


def read(file: Opened) -> Reading:
    """Ask ffprobe."""
    program = shutil.which("ffprobe")
    if program is None:
        raise Refused("ffprobe is not installed")
    try:
        said = json.loads(_answer([program, *_arguments(file)], file.fd))
    except (ValueError, RecursionError) as error:
        raise Refused("ffprobe cannot read it") from error
    if not isinstance(said, dict) or not said.get("streams"):
        raise Refused("ffprobe finds no streams")
    return _reading(file, said)


def _arguments(file: Opened) -> list[str]:
    # A path of the form that Windows needs begins with a drive, which FFmpeg would take for a protocol.
    source = f"/dev/fd/{file.fd}" if os.name == "posix" else "file:" + os.fsdecode(file.path)
    return [
        *("-v", "error", "-hide_banner", "-print_format", "json", "-show_entries", _WANTED),
        *("-protocol_whitelist", "file,fd,pipe", "-format_whitelist", formats.DEMUXERS),
        *("-i", source),
    ]


def _answer(command: list[str], fd: int) -> bytes:
    """What the program writes, as far as it is not too much."""
    process = subprocess.Popen(  # noqa: S603 - a list, found on PATH; the file is a number
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(fd,) if os.name == "posix" else (),
    )
    timer = threading.Timer(TIMEOUT_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        with process.stdout:
            answer = process.stdout.read(_ANSWER_MAX)
    finally:
        timer.cancel()
        with contextlib.suppress(OSError):
            process.kill()
        process.wait()
    return answer


def _reading(file: Opened, said: Mapping[str, Any]) -> Reading:
    whole = said.get("format", {})
    streams = [stream for stream in said["streams"] if not stream.get("disposition", {}).get("attached_pic")]
    sound: Mapping[str, Any] = next((stream for stream in streams if stream.get("codec_type") == "audio"), {})
    pictures: Mapping[str, Any] = next((stream for stream in streams if stream.get("codec_type") == "video"), {})
    container = formats.container(file, str(whole.get("format_name", "")))
    said_of_it = keys.united(
        whole.get("tags", {}),
        sound.get("tags", {}),
        pictures.get("tags", {}) if pictures else None,
        is_ogg=container == "ogg",
    )
    return Reading(
        reader="ffprobe",
        mime=formats.mime(container, file.kind, has_video=bool(pictures)),
        media=Media(
            container=container,
            duration=_number(whole.get("duration")),
            width=pictures.get("width") or None,
            height=pictures.get("height") or None,
            frame_rate=_ratio(pictures.get("avg_frame_rate")),
            sample_rate=_whole(sound.get("sample_rate")),
            channels=sound.get("channels") or None,
            audio_codec=sound.get("codec_name"),
            video_codec=pictures.get("codec_name"),
            audio_bitrate=_whole(sound.get("bit_rate")),
            video_bitrate=_whole(pictures.get("bit_rate")),
            streams=len(streams),
            has_cover=len(streams) < len(said["streams"]),
        ),
        tags=keys.tags(said_of_it),
        camera=keys.camera(said_of_it),
        gps=keys.place(said_of_it),
        dates=keys.dates(said_of_it, is_quicktime=formats.is_of_quicktime(container) and file.kind is Kind.VIDEO),
        pair=keys.pair(said_of_it),
    )


def _number(text: object) -> float | None:
    try:
        return formats.seconds(float(str(text)))
    except ValueError:
        return None


def _whole(text: object) -> int | None:
    return int(text) or None if isinstance(text, str) and _DIGITS.fullmatch(text) else None


def _ratio(text: object) -> float | None:
    above, _, below = str(text).partition("/")
    rate = (_whole(above) or 0) / (_whole(below) or 1)
    return round(rate, 3) or None
