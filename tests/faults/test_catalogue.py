"""The catalogue on a full disk and under kill -9: whole transactions or nothing of them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.model.files import FileState
from mediasluice.model.flow import RootId
from tests.catalogues import replay
from tests.service import scaled

HERE = Path(__file__).parents[2]
KILLS = scaled(20, 200)

_FILL = """
    import sys
    from pathlib import Path
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.catalogue.view import View
    from mediasluice.errors import DiskFull
    from tests.catalogues import add_root, identified, replay

    directory, size = Path(sys.argv[1]), int(sys.argv[2])
    file, ballast = directory / "catalogue.sqlite", directory / "ballast"
    ballast.write_bytes(bytes(2 << 20))

    def chunk(number):
        return [identified(root, b"d%d/%d" % (number, n), b"%d %d" % (number, n), ino=0) for n in range(size)]

    def told():
        with View.open(file) as view:
            there = replay(list(view.events()))
            assert there == {line.path: line.blake3 for line in view.files()}
            return len(there)

    catalogue = Catalogue.open(file)
    root = add_root(catalogue)
    number = 0
    for again in range(3):
        try:
            while True:
                catalogue.record(chunk(number), 10)
                number += 1
        except DiskFull as error:
            assert error.hint, error
        assert number, "the disk was full before anything could be written"
        assert told() == number * size
        assert catalogue._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if again:
            break
        ballast.unlink()  # room again: the same chunk goes in, on the same connection
        catalogue.record(chunk(number), 10)
        number += 1
    catalogue.close()
    assert told() == number * size
    with open(ballast, "wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            pass
    try:
        Catalogue.open(directory / "second.sqlite").close()
    except DiskFull:
        assert not (directory / "second.sqlite").exists()
    else:
        raise AssertionError("a second catalogue found room")
    with Catalogue.open(file):
        assert told() == number * size
    print("fine", number)
"""


@pytest.mark.needs_root
@pytest.mark.parametrize("size", [1, 300, 2000])
def test_a_full_disk_commits_nothing_half(tmp_path: Path, size: int) -> None:
    """On a full disk the chunk is refused as DiskFull and undone whole; with room again it goes in."""
    script = f'mount -t tmpfs -o size=8m tmpfs "{tmp_path}" && exec "$0" "$@"'
    program = [sys.executable, "-c", dedent(_FILL), str(tmp_path), str(size)]
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, *program], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("fine")


_WRITE = """
    import random, sys
    from pathlib import Path
    from mediasluice.catalogue.store import Catalogue
    from mediasluice.model.files import FileState
    from tests.catalogues import add_root, identified, key, observed

    draw = random.Random(int(sys.argv[2]))
    catalogue = Catalogue.open(Path(sys.argv[1]))
    root = add_root(catalogue)

    def path():
        return b"d%d/%d" % (draw.randrange(4), draw.randrange(12))

    def pair():
        return tuple(path().split(b"/"))

    print("ready", flush=True)
    while True:
        with catalogue.transaction():
            for _ in range(draw.randrange(1, 4)):
                what = draw.randrange(8)
                if what < 4:
                    sizes = range(draw.choice([1, 3, 80]))
                    contents = [b"%d" % draw.randrange(60) for _ in sizes]
                    olds = [path() if draw.random() < 0.1 else None for _ in sizes]
                    catalogue.record([identified(root, path(), c, old=o) for c, o in zip(contents, olds)], 10)
                elif what == 4:
                    catalogue.observe([observed(root, path(), FileState.SETTLING)], 20)
                elif what == 5:
                    catalogue.depart(root, [pair() for _ in range(5)], 30)
                elif what == 6:
                    catalogue.delete([row.file for row in catalogue.departed([root], 5)], 40)
                else:
                    catalogue.move(root, *pair(), *pair(), key(b"12"), 1, 50)
"""


@pytest.mark.timeout(120 + 5 * KILLS)
def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path) -> None:
    """After kill -9 at any instant the database is sound, and the events lead to exactly the rows."""
    file = tmp_path / "catalogue.sqlite"
    draw = random.Random(20)
    heads = []
    for attempt in range(KILLS):
        program = [sys.executable, "-c", dedent(_WRITE), str(file), str(attempt)]
        with subprocess.Popen(program, cwd=HERE, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            if draw.random() < 0.8:
                assert writer.stdout.readline() == b"ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                writer.wait(draw.uniform(0.0, 0.06))
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
        with Catalogue.open(file) as catalogue, View.open(file) as view:
            for check in ("integrity_check", "foreign_key_check"):
                assert catalogue._connection.execute(f"PRAGMA {check}").fetchall() in ([("ok",)], [])
            present = {line.path: line for line in view.files() if line.version}
            there = replay(list(view.events()))
            departed = {
                os.path.join(b"/photos", row.directory, row.name) for row in catalogue.departed([RootId(1)], 999)
            }
            assert set(present) <= set(there) <= set(present) | departed
            digests = {path: line.blake3 for path, line in present.items()}
            assert {path: there[path] for path in present} == digests
            assert all(line.state is not FileState.CATALOGUED or line.blake3 for line in present.values())
            heads.append(view.head())
    assert heads == sorted(heads)
    assert len(set(heads)) > 5, "the writers were killed before they wrote"
