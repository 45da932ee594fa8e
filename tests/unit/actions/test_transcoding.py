from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mediasluice.actions import transcoding
from mediasluice.actions.copying import Owner
from mediasluice.actions.transcoding import PROFILES, Program, Transcoded, Trouble, Untranscoded, command
from mediasluice.identify.launching import launched
from mediasluice.identify.opened import Opened
from mediasluice.model.files import Kind

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")

SECONDS = 2.0
TONE = b"RIFF\x64\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\x40\0\0\0" + bytes(64)


def clip(path: Path, *options: str, size: str = "320x180", seconds: float = SECONDS) -> Path:
    """A film with a tone, of the moving test picture."""
    made = [
        *("ffmpeg", "-v", "error", "-nostdin", "-y"),
        *("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d={seconds}"),
        *("-f", "lavfi", "-i", f"sine=f=440:d={seconds}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"),
        *options,
    ]
    subprocess.run([*made, str(path)], check=True, timeout=50)
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of two seconds."""
    return clip(tmp_path_factory.mktemp("film") / "film.mp4", "-metadata", "title=Waves")


@pytest.fixture(scope="module")
def long_film(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that takes many seconds to transcode: the short one, many times."""
    path = tmp_path_factory.mktemp("film") / "long.mp4"
    again = ["-stream_loop", "99", "-i", str(film), "-c", "copy", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *again], check=True, timeout=20)
    return path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Opened]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield Opened(fd, os.fstat(fd).st_size, os.fsencode(path), Kind.VIDEO)
    finally:
        os.close(fd)


class Outcome(NamedTuple):
    done: Transcoded
    target: Path
    shares: list[float]


def transcode(path: Path, folder: Path, profile: str = "h264-aac", **options: Any) -> Outcome:
    """Transcode into an empty folder and see that nothing else is in it afterwards."""
    target = folder / ("out" + PROFILES[profile].extension.decode())
    part = folder / ".sluice-t-1.part"
    shares: list[float] = []
    options = {"duration_s": SECONDS, "progress": shares.append, **options}
    with opened(path) as source:
        done = transcoding.run(PROFILES[profile], source, os.fsencode(target), os.fsencode(part), **options)
    assert os.listdir(folder) == [target.name]
    return Outcome(done, target, shares)


def refusal(path: Path, folder: Path, profile: str = "h264-aac", **options: Any) -> Untranscoded:
    """Try to transcode in vain, and see that nothing came of it."""
    before = sorted(os.listdir(folder))
    with pytest.raises(Untranscoded) as caught:
        transcode(path, folder, profile, **options)
    assert sorted(os.listdir(folder)) == before
    return caught.value


def probed(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What ffprobe says of a file, and of its streams by their type."""
    shown = ["-show_format", "-show_streams", "-of", "json"]
    answer = subprocess.run(["ffprobe", "-v", "error", *shown, str(path)], check=True, capture_output=True, timeout=20)
    said = json.loads(answer.stdout)
    return said["format"], {stream["codec_type"]: stream for stream in said["streams"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where renditions go."""
    made = tmp_path / "renditions"
    made.mkdir()
    return made


def test_a_film_becomes_h264_and_aac(film: Path, folder: Path) -> None:
    """The rendition is an MP4 of the profile with the film's title and its index in front; the source stays."""
    before = film.read_bytes()
    done, target, shares = transcode(film, folder)
    whole, streams = probed(target)
    assert (streams["video"]["codec_name"], streams["audio"]["codec_name"]) == ("h264", "aac")
    assert (streams["video"]["width"], streams["video"]["pix_fmt"]) == (320, "yuv420p")
    assert abs(float(whole["duration"]) - SECONDS) < 0.1
    assert whole["tags"]["title"] == "Waves"
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert (done.size, done.key.ino, done.note) == (len(content), target.stat().st_ino, None)
    assert film.read_bytes() == before
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(0 < share < 1 for share in shares[:-1])


def test_progress_is_told_while_it_works(long_film: Path, folder: Path) -> None:
    """The share rises step by step until somebody stops it."""
    shares: list[float] = []
    trouble = refusal(
        long_film, folder, duration_s=200.0, progress=shares.append, stopped=lambda: len(shares) >= 3
    ).trouble
    assert trouble is Trouble.STOPPED
    assert 0 < shares[0] < shares[1] < shares[2] < 1


@pytest.mark.parametrize(
    ("profile", "codec"), [pytest.param("aac", "aac", id="aac"), pytest.param("opus", "opus", id="opus")]
)
def test_sound_alone(profile: str, codec: str, film: Path, folder: Path) -> None:
    """The profiles of music give the sound of a film, and nothing else of it."""
    _, streams = probed(transcode(film, folder, profile).target)
    assert {kind: stream["codec_name"] for kind, stream in streams.items()} == {"audio": codec}


@pytest.mark.parametrize(
    ("size", "options", "profile", "expected"),
    [
        pytest.param("2560x1440", (), "h264-aac", (1920, 1080), id="larger than the profile"),
        pytest.param("1080x1920", (), "h264-aac-720", (720, 1280), id="standing"),
        pytest.param("2000x500", (), "h264-aac-720", (1280, 320), id="wide"),
        pytest.param("322x182", (), "h264-aac", (322, 182), id="small ones stay"),
        pytest.param("320x240", ("-vf", "setsar=3/2"), "h264-aac", (480, 240), id="pixels that are not square"),
        pytest.param("641x361", ("-pix_fmt", "yuv444p"), "h264-aac", (640, 360), id="odd sides"),
    ],
)
def test_size(
    size: str, options: tuple[str, ...], profile: str, expected: tuple[int, int], tmp_path: Path, folder: Path
) -> None:
    """It fits into the profile lying or standing, is never enlarged, and has square pixels and even sides."""
    source = clip(tmp_path / "source.mp4", *options, size=size, seconds=0.1)
    _, streams = probed(transcode(source, folder, profile, duration_s=None).target)
    assert (streams["video"]["width"], streams["video"]["height"]) == expected
    assert streams["video"]["sample_aspect_ratio"] == "1:1"


def test_a_film_that_lies_on_its_side_is_turned(tmp_path: Path, folder: Path) -> None:
    """What a player would turn is turned in the pixels, and says nothing about turning any more."""
    flat = clip(tmp_path / "flat.mp4", seconds=0.1)
    turned = tmp_path / "turned.mp4"
    rotate = ["-c", "copy", "-metadata:s:v:0", "rotate=90"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(flat), *rotate, str(turned)], check=True, timeout=20)
    if not probed(turned)[1]["video"].get("side_data_list"):  # later programs than 5.1 say it before the input
        rotate = ["-display_rotation", "90", "-i", str(flat), "-c", "copy", "-y"]
        subprocess.run(["ffmpeg", "-v", "error", *rotate, str(turned)], check=True, timeout=20)
    _, streams = probed(transcode(turned, folder, duration_s=None).target)
    assert (streams["video"]["width"], streams["video"]["height"]) == (180, 320)
    assert "side_data_list" not in streams["video"]


def test_a_high_dynamic_range_is_mapped(tmp_path: Path, folder: Path) -> None:
    """Light that screens do not show is brought into BT.709, and is not only called so."""
    bright = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    source = clip(tmp_path / "bright.mp4", *bright, seconds=0.1)
    assert probed(source)[1]["video"]["color_transfer"] == "smpte2084"
    _, streams = probed(transcode(source, folder, duration_s=None).target)
    assert streams["video"]["color_transfer"] == "bt709"


def test_a_film_without_sound(tmp_path: Path, folder: Path) -> None:
    """No sound is no obstacle."""
    source = clip(tmp_path / "silent.mp4", "-an", seconds=0.1)
    assert set(probed(transcode(source, folder, duration_s=None).target)[1]) == {"video"}


def test_a_taken_name_is_not_overwritten(film: Path, folder: Path) -> None:
    """A file at the target stays what it is, and no time is spent."""
    (folder / "out.mp4").write_bytes(b"mine")
    assert refusal(film, folder).trouble is Trouble.TAKEN
    assert (folder / "out.mp4").read_bytes() == b"mine"


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(film: Path, folder: Path) -> None:
    """Somebody who comes while ffmpeg works keeps the name."""

    def take(_share: float) -> None:
        (folder / "out.mp4").write_bytes(b"mine")

    with pytest.raises(Untranscoded) as caught:
        transcode(film, folder, progress=take)
    assert caught.value.trouble is Trouble.TAKEN
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"out.mp4": b"mine"}


def test_a_part_of_somebody_else_is_not_written_into(film: Path, folder: Path) -> None:
    """A part under the same name belongs to another run."""
    (folder / ".sluice-t-1.part").write_bytes(b"theirs")
    assert refusal(film, folder).trouble is Trouble.TAKEN
    assert (folder / ".sluice-t-1.part").read_bytes() == b"theirs"


def test_stopping_leaves_nothing_behind(long_film: Path, folder: Path) -> None:
    """Everything that was started is gone when the call returns, and so is what it wrote."""
    before = children()
    asked = threading.Event()
    seen: list[set[str]] = []

    def stopped() -> bool:
        if (folder / ".sluice-t-1.part").stat().st_size > 0:
            seen.append(children() - before)
            asked.set()
        return asked.is_set()

    assert refusal(long_film, folder, duration_s=None, stopped=stopped).trouble is Trouble.STOPPED
    assert seen[0]
    assert not seen[0] & children()


STARTER = """
import os, sys
from mediasluice.actions import transcoding
from mediasluice.identify.opened import Opened
from mediasluice.model.files import Kind

path, folder = map(os.fsencode, sys.argv[1:])
source = Opened(os.open(path, os.O_RDONLY), os.stat(path).st_size, path, Kind.VIDEO)
popen = transcoding.subprocess.Popen

def started(arguments, **options):
    process = popen(arguments, **options)
    if options.get("start_new_session"):
        print(process.pid, flush=True)
    return process

transcoding.subprocess.Popen = started
transcoding.run(transcoding.PROFILES["h264-aac"], source, folder + b"/out.mp4", folder + b"/part", duration_s=None)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux ends a process with its parent")
def test_it_ends_with_the_process_that_started_it(long_film: Path, folder: Path) -> None:
    """After kill -9 of the service nothing goes on writing."""
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(long_film), str(folder)], stdout=subprocess.PIPE)
    with starter:
        assert starter.stdout is not None
        program = os.pidfd_open(int(starter.stdout.readline()))
        starter.kill()
    try:
        assert select.select([program], [], [], 10)[0]
    finally:
        os.close(program)


def children() -> set[str]:
    """Processes of this one that are not yet over."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                status = Path("/proc", name, "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                if int(status[1]) == os.getpid() and status[0] != "Z":
                    found.add(name)
    return found


@pytest.mark.parametrize(
    ("content", "profile", "said"),
    [
        pytest.param(b"", "h264-aac", "", id="empty"),
        pytest.param(bytes(range(256)) * 40, "h264-aac", "Invalid data", id="noise"),
        pytest.param(None, "h264-aac", "moov atom not found", id="cut in the middle"),
        pytest.param(TONE, "h264-aac", "matches no streams", id="no pictures"),
    ],
)
def test_a_broken_source_has_a_reason(
    content: bytes | None, profile: str, said: str, film: Path, tmp_path: Path, folder: Path
) -> None:
    """What ffmpeg cannot read ends in its own words, without a descriptor or an address in them."""
    source = tmp_path / "source.mp4"
    whole = film.read_bytes()
    source.write_bytes(whole[: len(whole) // 2] if content is None else content)
    error = refusal(source, folder, profile)
    assert error.trouble is Trouble.BROKEN
    assert said in error.reason
    assert "/fd/" not in error.reason
    assert "0x" not in error.reason


def test_a_source_that_breaks_off_has_a_note(tmp_path: Path, folder: Path) -> None:
    """A rendition of what is there is given, and says how much that is."""
    source = clip(tmp_path / "source.mkv", seconds=6)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 3])
    note = transcode(source, folder, duration_s=6.0).done.note
    assert note is not None
    assert note.startswith("it covers ")


@pytest.mark.parametrize(
    "playlist",
    [
        pytest.param("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n", id="HLS"),
        pytest.param("ffconcat version 1.0\nfile '{other}'\n", id="concat"),
    ],
)
def test_a_playlist_leads_nowhere(playlist: str, film: Path, tmp_path: Path, folder: Path) -> None:
    """A file that calls itself a film and names another one does not make ffmpeg open that."""
    other = tmp_path / "other.ts"
    os.mkfifo(other)
    was_opened = threading.Event()

    def wait_for_reader() -> None:
        os.close(os.open(other, os.O_WRONLY))  # comes back when somebody opens it to read
        was_opened.set()

    waiting = threading.Thread(target=wait_for_reader)
    waiting.start()
    try:
        source = tmp_path / "film.mp4"
        source.write_text(playlist.format(other=other), encoding="utf-8")
        error = refusal(source, folder)
        assert not was_opened.is_set()
    finally:
        os.close(os.open(other, os.O_RDONLY | os.O_NONBLOCK))
        waiting.join()
    assert error.trouble is Trouble.BROKEN
    assert "none of films and music" in error.reason


def test_a_source_that_changes_meanwhile(film: Path, tmp_path: Path, folder: Path) -> None:
    """A rendition of two versions of a file is not kept."""
    source = tmp_path / "source.mp4"
    shutil.copy(film, source)

    def touch(_share: float) -> None:
        os.utime(source, ns=(1, 1))

    assert refusal(source, folder, progress=touch).trouble is Trouble.CHANGED


def test_a_full_disk_leaves_nothing(film: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room is told apart from a source that is broken."""
    program = folder.parent / "ffmpeg"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in -version) echo ffmpeg version 6.0; exit;; esac\n'
        "echo 'av_interleaved_write_frame(): No space left on device' >&2\n"
        "echo 'Conversion failed!' >&2\n"
        "exit 1\n",
        encoding="utf-8",
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(folder.parent), prepend=os.pathsep)
    assert refusal(film, folder).trouble is Trouble.FULL


def test_a_disk_that_fails_amid_the_source(film: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read error is the end for ffmpeg, which is content with what it has; that is no rendition, and tried again."""
    program = folder.parent / "ffmpeg"
    found = shutil.which("ffmpeg")
    program.write_text(
        f'#!/bin/sh\n{found} "$@" || exit\n'
        'case "$1" in -version) ;; *) echo "file:/proc/self/fd/4: Input/output error" >&2;; esac\n',
        encoding="utf-8",
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(folder.parent), prepend=os.pathsep)
    assert refusal(film, folder).trouble is Trouble.REFUSED


@pytest.mark.needs_root
@pytest.mark.parametrize("profile", ["h264-aac", "aac", "opus"])
def test_a_disk_that_is_really_full(profile: str, film: Path, tmp_path: Path) -> None:
    """Whatever ffmpeg makes of a full disk, there is no rendition, and the reason is the disk."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=True)
    try:
        assert refusal(film, disk, profile).trouble is Trouble.FULL
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_is_not_there(film: Path, tmp_path: Path) -> None:
    """What the system refuses is told with its path."""
    folder = tmp_path / "missing"
    with opened(film) as source, pytest.raises(Untranscoded) as caught:
        transcoding.run(PROFILES["aac"], source, os.fsencode(folder / "a"), os.fsencode(folder / "b"), duration_s=None)
    assert caught.value.trouble is Trouble.REFUSED
    assert os.strerror(errno.ENOENT) in caught.value.reason


def test_without_ffmpeg(film: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no ffmpeg is on the path, that is said."""
    monkeypatch.setenv("PATH", str(folder))
    assert transcoding.available() is None
    assert refusal(film, folder).trouble is Trouble.MISSING


def test_the_program_says_its_version() -> None:
    """The path and the first line of what it says."""
    program = transcoding.available()
    assert program is not None
    assert program.version.startswith("ffmpeg version ")
    assert os.access(program.path, os.X_OK)


@pytest.mark.parametrize(
    ("line", "number", "option"),
    [
        ("ffmpeg version 4.4.2-0ubuntu0.22.04.1", (4, 4), "-vsync"),
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright", (5, 1), "-fps_mode"),
        ("ffmpeg version n7.1", (7, 1), "-fps_mode"),
        ("ffmpeg version N-118000-g1234567", (99, 0), "-fps_mode"),
    ],
)
def test_old_programs_are_spoken_to_as_they_understand(line: str, number: tuple[int, int], option: str) -> None:
    """The option that keeps frames as they come has two names."""
    program = Program("/usr/bin/ffmpeg", line)
    assert program.number == number
    assert option in command(PROFILES["h264-aac"], "a", "b", program=program)


def test_the_command_is_a_list_without_a_shell() -> None:
    """Names go in as one argument each, behind the protocol; standard input is closed and formats are limited."""
    arguments = command(PROFILES["h264-aac"], "/a b;c", "/-d")
    assert arguments[arguments.index("-i") + 1] == "file:/a b;c"
    assert arguments[-1] == "file:/-d"
    assert {"-nostdin", "-protocol_whitelist", "-format_whitelist"} <= set(arguments)
    formats = arguments[arguments.index("-format_whitelist") + 1].split(",")
    assert not {"hls", "concat", "dash", "image2", "sdp", "rtsp", "lavfi"} & set(formats)


@pytest.mark.skipif(os.name != "posix", reason="priorities of POSIX")
def test_who_was_launched_launches_at_the_same_priority() -> None:
    """A polite process that starts another polite one does not starve it."""
    command = [sys.executable, "-c", "import os; print(os.nice(0))"]
    asked = launched(launched(command, 4 << 30), 4 << 30)
    answer = subprocess.run(asked, check=True, capture_output=True, timeout=50, text=True)
    assert int(answer.stdout) == max(os.nice(0), 10)


def test_an_ffmpeg_is_asked_what_it_was_built_with(tmp_path: Path) -> None:
    """What is lacking is named; one that answers nothing is believed to have everything."""
    real = transcoding.available()
    assert real is not None
    assert [transcoding.lacks(real, profile) for profile in PROFILES.values()] == [[]] * len(PROFILES)
    bare = tmp_path / "ffmpeg"
    bare.write_text("#!/bin/sh\nprintf ' V..... libx264 x\\n ... scale x\\n ... format x\\n ... setsar x\\n'\n")
    bare.chmod(0o755)
    program = Program(str(bare), "ffmpeg version 7")
    assert transcoding.lacks(program, PROFILES["h264-aac"]) == ["the encoder aac", "the filter bwdif"]
    assert transcoding.lacks(program, PROFILES["opus"]) == ["the encoder libopus"]
    assert not transcoding.maps_high_range(program)
    silent = Program(str(tmp_path / "none"), "ffmpeg version 7")
    assert transcoding.lacks(silent, PROFILES["h264-aac"]) == []


def test_the_rendition_has_the_owner_that_is_wanted(film: Path, folder: Path) -> None:
    """It can be read by whom the source can be read by, as far as the mask allows."""
    film.chmod(0o664)
    target = transcode(film, folder, "aac", owner=Owner(umask=0o027)).target
    assert target.stat().st_mode & 0o777 == 0o640
