"""Whatever is wrong with the input: a clear error, nothing lost, and the rest goes on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from blake3 import blake3

from tests.samples import jpeg, unknown
from tests.service import Mounts, Sluice, obeying_permissions, text

SOON_S = 20.0
REFUSED_S = 15.0  # what cannot be done is said at once

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    with Sluice(tmp_path / "home") as it:
        yield it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "incoming"
    directory.mkdir()
    return directory


def _said(sluice: Sluice, *arguments: str | Path, code: int) -> str:
    done = sluice.call(*arguments, code=code, timeout_s=REFUSED_S)
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


# -- roots -------------------------------------------------------------------------------------------------


def test_missing_root(sluice: Sluice, tmp_path: Path) -> None:
    """A root that was never seen is a configuration error that names it."""
    assert str(tmp_path / "nowhere") in _said(sluice, "run", tmp_path / "nowhere", code=78)
    assert str(tmp_path / "nowhere") in _said(sluice, "duplicates", tmp_path / "nowhere", code=78)


def test_root_that_is_a_file(sluice: Sluice, tmp_path: Path) -> None:
    """A file in the place of a root is refused, and says so."""
    (tmp_path / "file").write_bytes(b"x")
    assert "directory" in _said(sluice, "run", tmp_path / "file", code=78)


def test_unreadable_root(tmp_path: Path, root: Path) -> None:
    """A root that may not be read is refused with the reason."""
    root.chmod(0)
    try:
        with Sluice(tmp_path / "home", prefix=obeying_permissions()) as sluice:
            said = _said(sluice, "run", root, code=78)
            assert str(root) in said
            assert "ermission" in said
    finally:
        root.chmod(0o755)


def test_vanished_root(sluice: Sluice, root: Path) -> None:
    """A root that is removed while it is watched goes offline; its files are not deleted.

    Made anew it is not believed.
    """
    paths = [root / f"{number}.jpg" for number in range(20)]
    for path in paths:
        path.write_bytes(jpeg(path))
    service = sluice.start(root)
    service.wait_catalogued(paths, SOON_S)
    away = root.with_name("away")
    root.rename(away)
    service.wait(lambda: sluice.root(root)["state"] == "offline", "offline", 30)
    root.mkdir()
    time.sleep(7)  # it looks every 5 s
    assert sluice.root(root)["state"] == "offline"
    assert len(sluice.files()) == 20
    root.rmdir()
    away.rename(root)
    service.wait(lambda: sluice.root(root)["state"] == "online", "online", 30)
    assert not sluice.events("file.deleted")
    service.stop()


def test_emptied_root(sluice: Sluice, root: Path) -> None:
    """A root that is suddenly empty is offline, not deleted."""
    paths = [root / f"{number}.jpg" for number in range(20)]
    for path in paths:
        path.write_bytes(jpeg(path))
    service = sluice.start(root)
    service.wait_catalogued(paths, SOON_S)
    service.stop()
    outside = root.with_name("outside")
    outside.mkdir()
    for path in paths:
        path.rename(outside / path.name)
    service = sluice.start(root)
    time.sleep(4)
    assert sluice.root(root)["state"] == "offline"
    assert not sluice.events("file.deleted")
    for path in paths:
        (outside / path.name).rename(path)
    service.wait(lambda: sluice.root(root)["state"] == "online", "online", 30)
    service.wait_catalogued(paths, SOON_S)
    assert len(sluice.events("file.created")) == 20
    service.stop()


def test_many_deletions_are_held(sluice: Sluice, root: Path) -> None:
    """More than a hundred files missing in one pass are held for a person.

    Only told when it is agreed to.
    """
    (root / "kept.jpg").write_bytes(jpeg("kept"))
    for number in range(150):
        (root / f"{number:03d}.jpg").write_bytes(jpeg(number))
    sluice.object("scan", root, "--settle-timeout", "20s")
    for number in range(150):
        (root / f"{number:03d}.jpg").unlink()
    service = sluice.start(root)
    service.wait(lambda: sluice.root(root)["state"] == "held", "held", SOON_S)
    time.sleep(4)
    assert not sluice.events("file.deleted")
    assert len(sluice.files()) == 151
    service.stop()


def test_relative_root(sluice: Sluice, root: Path) -> None:
    """A relative path in a document is refused.

    On the command line it is taken from where the user stands.
    """
    done = subprocess.run(
        sluice.command("scan", root.name, "--json"),
        cwd=root.parent,
        env=sluice.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sluice.document = sluice.home / "config.yaml"
    sluice.configure({"libraries": {"one": {"path": "relative"}}})
    assert "libraries.one.path" in _said(sluice, "run", code=78)


def test_root_inside_another(sluice: Sluice, root: Path) -> None:
    """Roots inside one another are refused, by path and by what a link or `..` leads to."""
    inner = root / "inner"
    inner.mkdir()
    link = root.with_name("link")
    link.symlink_to(inner)
    for other in (inner, link, root / "inner" / ".." / "inner"):
        assert str(root) in _said(sluice, "run", root, other, code=78)


@pytest.mark.needs_root
def test_root_inside_another_by_inode(tmp_path: Path, root: Path) -> None:
    """A bind mount of a directory below a root is the same directory: refused as well."""
    (root / "inner").mkdir()
    place = tmp_path / "bound"
    place.mkdir()
    with Mounts() as mounts, Sluice(tmp_path / "home", prefix=mounts.prefix) as sluice:
        mounts.run("mount", "--bind", root / "inner", place)
        assert str(place) in _said(sluice, "run", root, place, code=78)


# -- document ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "named"),
    [
        ({"debounce": "soon"}, "libraries.one.debounce"),
        ({"include": ["[unclosed"]}, "libraries.one.include"),
        ({"exclude": ["[unclosed"]}, "libraries.one.exclude"),
        ({"junk": {"patterns": ["[unclosed"]}}, "libraries.one.junk.patterns"),
        ({"recursiv": True}, "recursive"),
        ({"settle": {"unknwon": "5s"}}, "unknown"),
    ],
    ids=[
        "duration",
        "include pattern",
        "exclude pattern",
        "junk pattern",
        "unknown key",
        "unknown nested key",
    ],
)
def test_bad_document(sluice: Sluice, root: Path, library: dict[str, object], named: str) -> None:
    """A bad value is named by its key; an unknown key is refused with the nearest name."""
    sluice.document = sluice.home / "config.yaml"
    sluice.configure({"libraries": {"one": {"path": str(root), **library}}})
    for command in (("config", "check"), ("run",)):
        assert named in _said(sluice, *command, code=78)


def test_document_that_is_no_document(sluice: Sluice, tmp_path: Path) -> None:
    """Broken YAML is reported with its line; a file that is not there with its path."""
    sluice.document = sluice.home / "config.yaml"
    sluice.document.write_text("libraries:\n  one: [unclosed\n")
    said = _said(sluice, "config", "check", code=78)
    assert "config.yaml" in said
    assert "line" in said
    sluice.document = tmp_path / "nowhere.yaml"
    assert "nowhere.yaml" in _said(sluice, "config", "check", code=78)


def test_foreign_database(sluice: Sluice, root: Path) -> None:
    """A database of another program, or of a newer version, is refused and stays as it is."""
    sluice.object("scan", root)
    database = next(path for path in sluice.data.iterdir() if path.suffix in {".sqlite", ".db", ".sqlite3"})
    content = database.read_bytes()
    foreign = bytearray(content)
    foreign[68:72] = b"XXXX"  # application_id, sqlite.org/fileformat2.html 1.3
    for path in sluice.data.iterdir():
        if path.name.startswith(database.name):
            path.unlink()
    database.write_bytes(foreign)
    assert database.name in _said(sluice, "scan", root, code=78)
    assert database.read_bytes() == bytes(foreign)


# -- files -------------------------------------------------------------------------------------------------


def test_vanishes_while_waited_for(sluice: Sluice, root: Path) -> None:
    """A file that vanishes or changes at any moment of its reading is never recorded with a wrong digest."""
    service = sluice.start(root)
    end = time.monotonic() + 6
    number = 0
    while time.monotonic() < end:
        number += 1
        path = root / f"{number % 7}.jpg"
        if number % 5 == 4:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(jpeg(number, 300_000))
        time.sleep(0.01)
    final = {str(path): blake3(path.read_bytes()).hexdigest() for path in root.iterdir()}
    service.wait(
        lambda: {p: r["blake3"] for p, r in sluice.catalogued().items()} == final,
        "the final contents",
        SOON_S,
    )
    service.stop()


def test_permission_denied(tmp_path: Path, root: Path) -> None:
    """A file or directory that may not be read is reported by path; the others are catalogued; exit 3."""
    (root / "open.jpg").write_bytes(jpeg("open"))
    (root / "secret.jpg").write_bytes(jpeg("secret"))
    (root / "secret.jpg").chmod(0)
    (root / "closed").mkdir()
    (root / "closed" / "inside.jpg").write_bytes(jpeg("inside"))
    (root / "closed").chmod(0)
    try:
        with Sluice(tmp_path / "home", prefix=obeying_permissions()) as sluice:
            totals = sluice.object("scan", root, code=3)
            assert totals["errors"] >= 1
            rows = sluice.files()
            assert rows[str(root / "open.jpg")]["state"] == "catalogued"
            assert rows[str(root / "secret.jpg")]["state"] == "unreadable"
            assert not sluice.events("file.deleted")
            (root / "closed").chmod(0o755)
            (root / "secret.jpg").chmod(0o644)
            sluice.object("scan", root)
            assert len(sluice.catalogued()) == 3
            (root / "closed").chmod(0)  # what cannot be listed is not gone
            sluice.object("scan", root, code=3)
            assert len(sluice.catalogued()) == 3
            time.sleep(2.5)
            assert not sluice.events("file.deleted")
    finally:
        (root / "closed").chmod(0o755)


def test_read_error(tmp_path: Path, root: Path) -> None:
    """EIO gives a state with the error, never a digest, and the rest goes on."""
    library = _broken_disk(tmp_path)
    (root / "fine.jpg").write_bytes(jpeg("fine"))
    (root / "bad-sector.jpg").write_bytes(jpeg("bad", 100_000))
    with Sluice(tmp_path / "home", environment={"LD_PRELOAD": str(library)}) as sluice:
        totals = sluice.object("scan", root, code=3)
        rows = sluice.files()
        assert totals["errors"] == 1
        row = rows[str(root / "bad-sector.jpg")]
        assert (row["state"], row["blake3"]) == ("unreadable", None)
        assert "nput/output error" in row["reason"]
        assert rows[str(root / "fine.jpg")]["state"] == "catalogued"
        sluice.lines("duplicates", root, code=None)


def _broken_disk(tmp_path: Path) -> Path:
    """A library that lets every read of a file called bad-sector fail, as a broken disk does."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "eio.c", tmp_path / "eio.so"
    source.write_text(r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
static int is_bad(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return strstr(path, "bad-sector") != NULL;
}
#define BROKEN(name, args, call) \
    ssize_t name args { \
        static ssize_t (*real) args; \
        if (!real) real = dlsym(RTLD_NEXT, #name); \
        if (is_bad(fd)) { errno = EIO; return -1; } \
        return real call; \
    }
BROKEN(read, (int fd, void *b, size_t n), (fd, b, n))
BROKEN(readv, (int fd, const struct iovec *v, int n), (fd, v, n))
BROKEN(pread, (int fd, void *b, size_t n, off_t o), (fd, b, n, o))
BROKEN(pread64, (int fd, void *b, size_t n, off_t o), (fd, b, n, o))
BROKEN(preadv, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
BROKEN(preadv64, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o))
BROKEN(preadv2, (int fd, const struct iovec *v, int n, off_t o, int f), (fd, v, n, o, f))
BROKEN(preadv64v2, (int fd, const struct iovec *v, int n, off_t o, int f), (fd, v, n, o, f))
""")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.mark.needs_root
def test_catalogue_disk_full(tmp_path: Path, root: Path) -> None:
    """A full disk under the catalogue.

    Exit 75 with the reason, nothing half-written, and after room was made it goes on.
    """
    for number in range(4_000):
        (root / f"{number:05d} {'long name ' * 18}.jpg").write_bytes(jpeg(number))
    data = tmp_path / "home" / "data"
    data.mkdir(parents=True)
    with Mounts() as mounts, Sluice(tmp_path / "home", prefix=mounts.prefix) as sluice:
        mounts.run("mount", "-t", "tmpfs", "-o", "size=1m", "none", data)
        said = _said(sluice, "scan", root, code=75)
        assert "space" in said or "full" in said
        mounts.run("mount", "-o", "remount,size=64m", data)
        sluice.object("scan", root)
        created = sluice.events("file.created")
        assert len(created) == len({e["path"] for e in created}) == 4_000
        assert len(sluice.catalogued()) == 4_000


# -- names -------------------------------------------------------------------------------------------------

NAMES = {
    "255 bytes": b"n" * 251 + b".jpg",
    "newline": b"first line\nsecond line.jpg",
    "latin-1": b"caf\xe9.jpg",
    "not a character": b"\xff\xfe\x80.jpg",
    "NFC": unicodedata.normalize("NFC", "Zoë.jpg").encode(),
    "NFD": unicodedata.normalize("NFD", "Zoë.jpg").encode(),
    "tab and quotes": b"tab\there \"quoted\" 'single' $dollar `tick` \\back.jpg",
    "option": b"-rf",
    "spaces": b" leading and trailing .jpg ",
    "music note": "\U0001f3b5.jpg".encode(),
    "escape": b"\x1b[31mred.jpg",
}


def test_names(sluice: Sluice, root: Path) -> None:
    """Every name that the file system takes is catalogued, reported and explained under exactly that name."""
    paths = [os.path.join(os.fsencode(root), name) for name in NAMES.values()]
    service = sluice.start(root)
    for number, path in enumerate(paths):
        with open(path, "wb") as file:
            file.write(jpeg(number))
    rows = service.wait_catalogued(paths, SOON_S)
    for number, (case, path) in enumerate(zip(NAMES, paths, strict=True)):
        assert rows[text(path)]["blake3"] == blake3(jpeg(number)).hexdigest(), case
        assert sluice.explain(path)["state"] == "catalogued", case
    assert {e["path"] for e in sluice.events("file.created")} == {text(path) for path in paths}
    for command in (("files",), ("events",), ("status",)):
        printed = sluice.call(*command).stdout
        assert "\x1b[31m" not in printed, "a name may not speak to the terminal"
    service.stop()


def test_deep_path(sluice: Sluice, root: Path) -> None:
    """A path longer than the 4,096 bytes that a call takes is catalogued.

    Renamed and forgotten like any other.
    """
    here = os.open(root, os.O_RDONLY)
    try:
        relative = b""
        for _ in range(24):
            os.mkdir(b"d" * 200, dir_fd=here)
            below = os.open(b"d" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
            relative += b"d" * 200 + b"/"
        _write_at(here, b"before.jpg", jpeg("before the start"))
        service = sluice.start(root)
        _write_at(here, b"after.jpg", jpeg("after the start"))
        full = os.fsencode(root) + b"/" + relative
        assert len(full) > 4096
        service.wait_catalogued([full + b"before.jpg", full + b"after.jpg"], SOON_S)
        os.rename(b"after.jpg", b"renamed.jpg", src_dir_fd=here, dst_dir_fd=here)
        service.wait(lambda: sluice.events("file.renamed"), "the rename", SOON_S)
        assert sluice.explain(full + b"renamed.jpg")["state"] == "catalogued"
        assert sluice.lines("duplicates", root) == []
        service.stop()
    finally:
        os.close(here)


def _write_at(directory: int, name: bytes, content: bytes) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
    os.write(file, content)
    os.close(file)


# -- what is no file ---------------------------------------------------------------------------------------


def test_special_files(sluice: Sluice, root: Path) -> None:
    """FIFOs, sockets and devices are never opened.

    Whoever waits at the other end keeps waiting, and nothing hangs.
    """
    os.mkfifo(root / "pipe.jpg")
    endpoint = socket.socket(socket.AF_UNIX)
    endpoint.bind(str(root / "socket.jpg"))
    if os.geteuid() == 0:
        os.mknod(root / "device.jpg", 0o20644, os.makedev(1, 5))  # like /dev/zero: it never ends
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to("..")
    (root / "dangling.jpg").symlink_to("nowhere")
    (root / "real.jpg").write_bytes(jpeg("real"))
    writer = subprocess.Popen(["sh", "-c", f"echo opened > '{root}/pipe.jpg'"])
    try:
        assert sluice.lines("duplicates", root, timeout_s=30) == []
        service = sluice.start(root)
        os.mkfifo(root / "later.jpg")
        (root / "later-real.jpg").write_bytes(jpeg("later"))
        rows = service.wait_catalogued([root / "real.jpg", root / "later-real.jpg"], SOON_S)
        service.stop()
        sluice.object("scan", root)
        assert writer.poll() is None, "the FIFO was opened"
        assert set(rows) == {str(root / "real.jpg"), str(root / "later-real.jpg")}
    finally:
        writer.kill()
        writer.wait()
        endpoint.close()


def test_link_loops(sluice: Sluice, root: Path) -> None:
    """Links that lead in circles end nowhere and stop nothing, also where links to files are followed."""
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    (root / "self").symlink_to(root)
    (root / "real.jpg").write_bytes(jpeg("real"))
    sluice.document = sluice.home / "config.yaml"
    sluice.configure({"libraries": {"one": {"path": str(root), "follow_symlinks": "files"}}})
    assert sluice.object("scan")["new"] == 1
    assert set(sluice.files()) == {str(root / "real.jpg")}


# -- time --------------------------------------------------------------------------------------------------


def test_foreign_clocks(sluice: Sluice, root: Path) -> None:
    """A file whose time was set by another clock is taken as any other, and never before it is complete."""
    service = sluice.start(root)
    year_s = 400 * 86400
    times = {f"{shift}.mp3": time.time() + shift for shift in (-year_s, year_s)}
    with ExitStack() as stack:
        files = {name: stack.enter_context((root / name).open("wb", 0)) for name in times}
        for name, file in files.items():
            file.write(unknown(f"first half of {name}"))
            os.utime(root / name, (times[name], times[name]))
        time.sleep(6)  # longer than the quiet period: only the open descriptor tells
        assert not sluice.catalogued()
        for name, file in files.items():
            file.write(unknown("second half"))
            os.utime(root / name, (times[name], times[name]))
    for name, when in times.items():
        (root / f"whole {name}.jpg").write_bytes(jpeg(name))
        os.utime(root / f"whole {name}.jpg", (when, when))
    rows = service.wait_catalogued(root.iterdir(), SOON_S)
    assert {row["version"] for row in rows.values()} == {1}
    service.stop()


def test_clock_jumps(tmp_path: Path, root: Path) -> None:
    """When the wall clock of the service jumps by an hour and back.

    Files settle by the time that really passed.
    """
    with Sluice(tmp_path / "home", environment=_jumping_clock(tmp_path)) as sluice:
        service = sluice.start(root)
        for step, offset in enumerate((3600, -3600)):
            (tmp_path / "offset").write_text(str(offset))
            path, open_path = root / f"{step}.mp3", root / f"{step}-open.mp3"
            path.write_bytes(unknown(step))
            began = time.monotonic()
            with open_path.open("wb", 0) as file:
                file.write(unknown(f"open {step}"))
                service.wait_catalogued([path], SOON_S)
                assert time.monotonic() - began >= 4.5, "the jump was taken for a quiet period"
                assert str(open_path) not in sluice.catalogued()
            service.wait_catalogued([open_path], SOON_S)
        assert len(sluice.events("file.created")) == 4
        assert [e["seq"] for e in sluice.events()] == sorted(e["seq"] for e in sluice.events())
        service.stop()


def _jumping_clock(tmp_path: Path) -> dict[str, str]:
    """An environment in which the wall clock, and only that, is shifted by the seconds in a file."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *t) {
    int r = syscall(SYS_clock_gettime, id, t);
    if (id == CLOCK_REALTIME && r == 0) {
        char text[32] = {0};
        int fd = syscall(SYS_openat, AT_FDCWD, getenv("SHIFT_FILE"), O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            if (syscall(SYS_read, fd, text, sizeof text - 1) > 0) t->tv_sec += atol(text);
            syscall(SYS_close, fd);
        }
    }
    return r;
}
time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
""")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "SHIFT_FILE": str(tmp_path / "offset")}
