"""What a worker finds out of files and directories: every outcome, and nothing that hangs or lies."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic  # noqa: TID251 - the clock that workers compare with
from typing import Any

import blake3
import pytest

from mediasluice.model.roots import RootIdentity
from mediasluice.pipeline import examine
from mediasluice.pipeline.outcomes import BULK_SIZE, Code, Look
from mediasluice.settle.decide import Arrival, WaitReason
from mediasluice.settle.probes import ignore_lease_signals
from mediasluice.sources.birth import birth_ns
from mediasluice.sources.roots import identity_of
from tests.looks import key_of, look, look_job, spec
from tests.samples import jpeg
from tests.service import obeying_permissions

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="leases and descriptors as on Linux")
ignore_lease_signals()


def look_at(
    root: Path, *looks: Look, directory: bytes = b"", express: bool = True, companions: bool = False, **changes: Any
) -> Any:
    """The outcomes of looks at one directory; a single one without its list."""
    payload = (tuple(spec(root, **changes)), express, [(directory, companions, [tuple(one) for one in looks])])
    outcomes = examine.look_at_files(payload)
    return outcomes[0] if len(outcomes) == 1 else outcomes


# -- settled ------------------------------------------------------------------------------------


def test_ready(tmp_path: Path) -> None:
    """A complete file is read: its key, links, kind and digests are those of its content."""
    content = jpeg("ready")
    (tmp_path / "a.jpg").write_bytes(content)
    code, key, links, strong, kind, quick, values, _ = look_at(tmp_path, look(b"a.jpg"))
    assert (code, key, links, strong, kind) == (Code.READY, key_of(tmp_path / "a.jpg"), 1, True, "image")
    assert values[0] == blake3.blake3(content).digest()
    assert values[1] == quick


def test_birth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read comes with its birth time, both ways; without stable inodes it has none."""
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg("born"))
    monkeypatch.setattr(examine, "rest_s", lambda *_: -1.0)  # it is at rest at once
    with path.open("rb") as stream:
        born = birth_ns(stream.fileno(), os.fstat(stream.fileno()))
    assert look_at(tmp_path, look(b"a.jpg"))[7] == born
    assert look_at(tmp_path, look(b"a.jpg"), stable_inodes=False)[7] is None
    [taken] = examine.take_directories((tuple(spec(tmp_path, durations_s=(0.0,) * 5)), 1, [b""]))
    assert [name for name, *_ in taken[-2]] == [b"a.jpg"]
    assert taken[-2][0][-1] == born


def test_ready_on_weak_proof(tmp_path: Path) -> None:
    """A file of unknown format is ready after its quiet time, and the outcome says that this is no proof."""
    (tmp_path / "a.dat").write_bytes(b"nobody knows")
    assert look_at(tmp_path, look(b"a.dat"))[:1] == (Code.READY,)
    assert look_at(tmp_path, look(b"a.dat"))[3] is False


def test_a_file_at_rest_is_read_the_short_way(tmp_path: Path) -> None:
    """A pass reads a small file at rest with the same outcome as the gate gives."""
    content = jpeg("rest")
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    listed = key_of(path)
    resting = look(b"a.jpg", arrival=Arrival.LISTED, last_key=listed)
    short = look_at(tmp_path, resting, express=False, durations_s=(0.0,) * 5)
    assert short[0] == Code.READY
    assert short[1] == listed
    assert short[6][0] == blake3.blake3(content).digest()


def test_owed_digests(tmp_path: Path) -> None:
    """While full digests are put off, a large file has its quick digest only and a small one has all."""
    (tmp_path / "big.dat").write_bytes(os.urandom(200_000))
    (tmp_path / "small.dat").write_bytes(b"small")
    big, small = look_at(tmp_path, look(b"big.dat"), look(b"small.dat"), full=False)
    assert (big[0], big[6]) == (Code.READY, None)
    assert len(big[5]) == 16
    assert small[6] is not None


def test_further_algorithms(tmp_path: Path) -> None:
    """Algorithms that are asked for are computed in the same pass, also in a pass over files at rest."""
    (tmp_path / "a.dat").write_bytes(b"x" * 10)
    algorithms = ("blake3", "xxh128", "sha256", "md5")
    listed = look(b"a.dat", arrival=Arrival.LISTED, last_key=key_of(tmp_path / "a.dat"))
    for express in (True, False):
        values = look_at(tmp_path, listed, express=express, algorithms=algorithms, durations_s=(0.0,) * 5)[6]
        assert [None if value is None else len(value) for value in values] == [32, 16, 32, 16, None]


def test_renamed_and_nothing_else(tmp_path: Path) -> None:
    """A renamed file whose content is known at this inode, size and time is not read."""
    path = tmp_path / "b.dat"
    path.write_bytes(b"content")
    known = key_of(path)[:3]
    assert look_at(tmp_path, look(b"b.dat", arrival=Arrival.RENAMED, known=known)) == (Code.SAME, key_of(path), 1)
    other = (known[0] + 1, *known[1:])
    assert look_at(tmp_path, look(b"b.dat", arrival=Arrival.RENAMED, known=other))[0] == Code.READY


def test_renamed_while_it_is_written(tmp_path: Path) -> None:
    """A renamed file that somebody writes is not the same, whatever its times say."""
    path = tmp_path / "b.dat"
    path.write_bytes(b"content")
    with path.open("ab"):
        outcome = look_at(tmp_path, look(b"b.dat", arrival=Arrival.RENAMED, known=key_of(path)[:3]))
    assert outcome[:2] == (Code.WAIT, WaitReason.WRITER.value)


# -- not settled --------------------------------------------------------------------------------


def test_waits(tmp_path: Path) -> None:
    """An open writer, no bytes, a hole, a cut off picture and a young file wait, each for its own reason."""
    whole = jpeg("whole")
    (tmp_path / "writer.jpg").write_bytes(whole)
    (tmp_path / "empty.jpg").touch()
    with (tmp_path / "holes.dat").open("wb") as file:
        file.truncate(1 << 20)
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR" + bytes(8))
    (tmp_path / "young.dat").write_bytes(b"unknown")
    names = (b"writer.jpg", b"empty.jpg", b"holes.dat", b"cut.png", b"young.dat")
    with (tmp_path / "writer.jpg").open("ab"):
        outcomes = look_at(tmp_path, *[look(name, changed_s=math.inf) for name in names])
    assert [outcome[:3] for outcome in outcomes] == [
        (Code.WAIT, "writer", 0.0),
        (Code.WAIT, "empty", 0.0),
        (Code.WAIT, "holes", 60.0),
        (Code.WAIT, "truncated", 60.0),
        (Code.WAIT, "quiet", 5.0),
    ]


def test_a_change_between_two_looks(tmp_path: Path) -> None:
    """A file that differs from the last look waits anew, however long ago its last event was."""
    path = tmp_path / "a.dat"
    path.write_bytes(b"one")
    before = key_of(path)
    path.write_bytes(b"another")
    assert look_at(tmp_path, look(b"a.dat", last_key=before))[:2] == (Code.WAIT, "quiet")
    assert look_at(tmp_path, look(b"a.dat", last_key=key_of(path)))[0] == Code.READY


def test_debounce(tmp_path: Path) -> None:
    """A library's debounce holds back what would be ready."""
    (tmp_path / "a.jpg").write_bytes(jpeg("debounce"))
    renamed = look(b"a.jpg", arrival=Arrival.RENAMED, changed_s=monotonic())
    assert look_at(tmp_path, renamed, durations_s=(9.0, 0.25, 5.0, 60.0, 15.0))[:3] == (Code.WAIT, "debounce", 9.0)


def test_companion(tmp_path: Path) -> None:
    """A file beside which a download's own file lies waits for it; its name is given."""
    (tmp_path / "a.jpg").write_bytes(jpeg("companion"))
    (tmp_path / "a.jpg.aria2").touch()
    assert look_at(tmp_path, look(b"a.jpg"), companions=True)[:2] == (Code.WAIT, "companion")
    assert look_at(tmp_path, look(b"a.jpg"), companions=True)[4] == "a.jpg.aria2"
    assert look_at(tmp_path, look(b"a.jpg"))[0] == Code.READY


@pytest.mark.parametrize("change", ["append", "truncate", "touch"])
def test_changed_while_it_is_read(tmp_path: Path, change: str) -> None:
    """A file that changes between its first and its last byte is not taken, but waits for its writer."""
    path = tmp_path / "a.dat"
    path.write_bytes(bytes(BULK_SIZE + (80 << 20)))

    def meddle(done: int) -> None:
        if done >= path.stat().st_size:
            return
        if change == "append":
            with path.open("ab") as file:
                file.write(b"more")
        elif change == "truncate":
            os.truncate(path, done)
        else:
            os.utime(path, ns=(1, 1))

    payload = (tuple(spec(tmp_path)), False, [(b"", False, [tuple(look(b"a.dat"))])])
    assert examine.look_at_files(payload, meddle)[0][:2] == (Code.WAIT, "writer")


# -- not wanted ---------------------------------------------------------------------------------


def test_kinds(tmp_path: Path) -> None:
    """A file of a kind that is not wanted is skipped, judged by its content and not by its name."""
    (tmp_path / "a.mp3").write_bytes(jpeg("kind"))
    assert look_at(tmp_path, look(b"a.mp3"), kinds=("audio",))[:2] == (
        Code.SKIP,
        "kind: image is not wanted by this library",
    )
    assert look_at(tmp_path, look(b"a.mp3"), kinds=("image",))[0] == Code.READY
    listed = look(b"a.mp3", arrival=Arrival.LISTED, last_key=key_of(tmp_path / "a.mp3"))
    assert look_at(tmp_path, listed, express=False, kinds=("audio",), durations_s=(0.0,) * 5)[0] == Code.SKIP


def test_max_size(tmp_path: Path) -> None:
    """A file over the limit is skipped unread; one of exactly that size is taken."""
    (tmp_path / "a.dat").write_bytes(bytes(100))
    code, reason, *_ = look_at(tmp_path, look(b"a.dat"), max_size=99)
    assert code == Code.SKIP
    assert reason.startswith("too_large: 100 bytes")
    assert look_at(tmp_path, look(b"a.dat"), max_size=100)[0] == Code.READY


def test_large_files_change_lanes(tmp_path: Path) -> None:
    """On the express lane a large file that settled is handed on; on the bulk lane it is read."""
    (tmp_path / "a.dat").write_bytes(os.urandom(1 << 20) * 33)
    assert look_at(tmp_path, look(b"a.dat"))[0] == Code.LARGE
    assert look_at(tmp_path, look(b"a.dat"), express=False)[0] == Code.READY


# -- not a file ---------------------------------------------------------------------------------


def test_special_files(tmp_path: Path) -> None:
    """A FIFO, a socket's place, a device and a directory are special; none is read, none blocks."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "directory")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in (b"fifo", b"directory", b"link", b"null"):
        assert look_at(tmp_path, look(name)) == (Code.SPECIAL,), name


def test_a_fifo_that_took_the_place_of_a_file(tmp_path: Path) -> None:
    """A FIFO that was put under a listed name is found out after it was opened, and nobody hangs."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x" * 10)
    listed = look(b"a.jpg", arrival=Arrival.LISTED, last_key=key_of(path))
    path.unlink()
    os.mkfifo(path)
    for express in (True, False):
        assert look_at(tmp_path, listed, express=express, durations_s=(0.0,) * 5) == (Code.SPECIAL,)


def test_gone(tmp_path: Path) -> None:
    """A file, or a whole directory, that is not there any more is gone."""
    assert look_at(tmp_path, look(b"a")) == (Code.GONE,)
    assert look_at(tmp_path, look(b"a"), look(b"b"), directory=b"no/such") == [(Code.GONE,), (Code.GONE,)]
    listed = look(b"a", arrival=Arrival.LISTED, last_key=(1, 2, 3, 4))
    assert look_at(tmp_path, listed, express=False) == (Code.GONE,)


@pytest.mark.parametrize("policy", [False, True])
def test_links(tmp_path: Path, policy: bool) -> None:  # noqa: FBT001 - the column of a table
    """A link inside the root is read only where links are followed; one that leads out, nowhere or round never."""
    root = tmp_path / "inbox"
    root.mkdir()
    (tmp_path / "outside.jpg").write_bytes(jpeg("outside"))
    (root / "inside.jpg").write_bytes(jpeg("inside"))
    (root / "in").symlink_to("inside.jpg")
    (root / "out").symlink_to(tmp_path / "outside.jpg")
    (root / "sneaky").symlink_to("../inbox/../outside.jpg")
    (root / "nowhere").symlink_to("nothing")
    (root / "round").symlink_to("round")
    names = (b"in", b"out", b"sneaky", b"nowhere", b"round")
    codes = [outcome[0] for outcome in look_at(root, *[look(name) for name in names], follow_files=policy)]
    assert codes == [Code.READY if policy else Code.SPECIAL] + [Code.SPECIAL] * 4


def test_status_only(tmp_path: Path) -> None:
    """A look for the status alone says what a name is and whether somebody writes it, and reads nothing."""
    path = tmp_path / "a.part"
    path.write_bytes(b"xy")
    (tmp_path / "d").mkdir()
    file, directory = look_at(tmp_path, look(b"a.part", stat_only=True), look(b"d", stat_only=True))
    assert file == (Code.STATUS, key_of(path), 1, True, False)
    assert directory[0] == Code.STATUS
    assert directory[3] is False
    with path.open("ab"):
        assert look_at(tmp_path, look(b"a.part", stat_only=True))[4] is True


# -- refused ------------------------------------------------------------------------------------

_AS_SOMEBODY = """
import sys
from mediasluice.pipeline import examine
from mediasluice.settle.probes import ignore_lease_signals
from tests.looks import look, spec
ignore_lease_signals()
from pathlib import Path
root = Path(sys.argv[1])
for directory, name in ((b"", b"a.jpg"), (b"closed", b"b.jpg")):
    payload = (tuple(spec(root)), True, [(directory, False, [tuple(look(name))])])
    print(examine.look_at_files(payload)[0][:2])
print(examine.list_directories((tuple(spec(root)), 1, [(b"closed", None, None), (b"", None, None)]))[0])
names = [(b"closed", b"b.jpg"), (b"", b"no")]
print(examine.which_are_absent((tuple(spec(root)), eval(sys.argv[2]), [], False, names)))
"""


def test_no_permission(tmp_path: Path) -> None:
    """What the system refuses is unreadable with its reason, never gone; nothing is absent behind a closed door."""
    (tmp_path / "a.jpg").write_bytes(jpeg("a"))
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "b.jpg").write_bytes(jpeg("b"))
    (tmp_path / "a.jpg").chmod(0)
    (tmp_path / "closed").chmod(0)
    identity = identity_of(os.fsencode(tmp_path))
    command = [*obeying_permissions(), sys.executable, "-c", _AS_SOMEBODY, str(tmp_path)]
    command.append(repr((identity.filesystem, identity.ino)))
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    (tmp_path / "closed").chmod(0o700)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"({Code.UNREADABLE}, 'Permission denied')",
        f"({Code.UNREADABLE}, 'Permission denied')",
        f"({Code.UNREADABLE}, b'closed', 'Permission denied')",
        "[False, True]",
    ]


# -- directories --------------------------------------------------------------------------------


def test_listing(tmp_path: Path) -> None:
    """A directory is listed once; the same again is told by its signature, or by its time alone in a fast pass."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.jpg").write_bytes(b"1")
    payload = tuple(spec(tmp_path))
    first = examine.list_directories((payload, 1, [(b"d", None, None)]))[0]
    assert (first[0], first[1], first[3]) == (Code.LISTED, b"d", False)
    again = examine.list_directories((payload, 2, [(b"d", first[2], None)]))[0]
    assert again[3] is True
    trusted = (tmp_path / "d").stat().st_mtime_ns
    assert examine.list_directories((payload, 3, [(b"d", first[2], trusted)])) == [(Code.SAME, b"d")]
    assert examine.list_directories((payload, 3, [(b"d", first[2], trusted - 1)]))[0][0] == Code.LISTED


def test_other_wishes_make_another_signature(tmp_path: Path) -> None:
    """When other files are wanted than before, no directory is the same, though nothing in it changed."""
    (tmp_path / "a.jpg").write_bytes(b"1")
    first = examine.list_directories((tuple(spec(tmp_path)), 1, [(b"", None, None)]))[0]
    other = spec(tmp_path, rules_digest=b"x" * 16)
    assert examine.list_directories((tuple(other), 2, [(b"", first[2], None)]))[0][3] is False


def test_directories_that_are_gone(tmp_path: Path) -> None:
    """A directory that is not there, or is a file now, is gone."""
    (tmp_path / "file").touch()
    answers = examine.list_directories((tuple(spec(tmp_path)), 1, [(b"no", None, None), (b"file", None, 5)]))
    assert answers == [(Code.GONE, b"no"), (Code.GONE, b"file")]


# -- absent -------------------------------------------------------------------------------------


def absent(root: Path, identity: RootIdentity, *names: bytes, **changes: Any) -> list[bool]:
    which = [(b"", name) for name in names]
    payload: tuple[Any, ...] = (tuple(spec(root, **changes)), (identity.filesystem, identity.ino), [], False, which)
    return examine.which_are_absent(payload)


def test_absent(tmp_path: Path) -> None:
    """A name is absent when no file has it: a directory, a FIFO or a link that took it is not that file."""
    identity = identity_of(os.fsencode(tmp_path))
    (tmp_path / "there").touch()
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("there")
    names = (b"there", b"no", b"directory", b"fifo", b"link")
    assert absent(tmp_path, identity, *names) == [False, True, True, True, True]
    assert absent(tmp_path, identity, *names, follow_files=True) == [False, True, True, True, False]


def test_nothing_is_absent_under_another_root(tmp_path: Path) -> None:
    """Where the root is not the known one, or not there at all, no file of it is called absent."""
    identity = identity_of(os.fsencode(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    assert absent(other, identity, b"a") == [False]
    assert absent(tmp_path / "nothing", identity, b"a") == [False]
    assert absent(tmp_path, identity, b"a") == [True]


def test_any_name_and_any_depth(tmp_path: Path) -> None:
    """Names of 255 bytes, with newlines or no valid text, and paths beyond the system's limit are read."""
    directory = b"/".join([b"d" * 200] * 25)
    here = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for name in directory.split(b"/"):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    names = (b"n" * 255, b"new\nline", b"\xff\xfe.jpg")
    for name in names:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=here)
        os.write(fd, name)
        os.close(fd)
    os.close(here)
    outcomes = look_at(tmp_path, *[look(name) for name in names], directory=directory)
    assert [outcome[0] for outcome in outcomes] == [Code.READY] * 3


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """However a look ends, it leaves no descriptor behind."""
    (tmp_path / "a.jpg").write_bytes(jpeg("fd"))
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        look_at(tmp_path, *[look(name) for name in (b"a.jpg", b"fifo", b"no")])
        examine.look_at_files(look_job(tmp_path, b"a.jpg", directory=b"no"))
        examine.list_directories((tuple(spec(tmp_path)), 1, [(b"", None, None), (b"no", None, 3)]))
    assert len(os.listdir("/proc/self/fd")) <= before + threading.active_count()
