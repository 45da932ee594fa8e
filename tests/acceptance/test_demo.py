"""``sluice demo``, as somebody meets it who has just installed the program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mediasluice.cli.demo_media import Expected, all_media
from tests.service import COMMAND, STOP_S, Line, Sluice, until

LIMIT_S = 15.0  # promised for a machine that does nothing else
RUN_S = 60.0

pytestmark = pytest.mark.timeout(150)


class Demo:
    """One place for temporary files, looked at before and after."""

    def __init__(self, sluice: Sluice) -> None:
        self.sluice = sluice
        self.temporary = sluice.home / "tmp"
        self.temporary.mkdir()
        self.here = sluice.home / "here"
        self.here.mkdir()

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(COMMAND), "demo", *arguments],
            cwd=self.here,
            env={**self.sluice.environment, "TMPDIR": str(self.temporary), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=RUN_S)
        assert process.returncode == code, out + err
        assert err == "" or code != 0
        return out

    def left(self) -> list[str]:
        return os.listdir(self.temporary)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with Sluice(tmp_path / "home") as sluice:
        yield Demo(sluice)


class Kept(NamedTuple):
    demo: Demo
    answer: Line


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """A demonstration that was kept."""
    with Sluice(tmp_path_factory.mktemp("kept") / "home") as sluice:
        demo = Demo(sluice)
        yield Kept(demo, json.loads(demo.run("--json", "--keep")))


def contents(top: str) -> Counter[bytes]:
    """How often each content lies below a folder."""
    return Counter(
        Path(os.fsdecode(directory), os.fsdecode(name)).read_bytes()
        for directory, _, names in os.walk(os.fsencode(top))
        for name in names
    )


def test_everything_becomes_what_it_was_made_for(kept: Kept) -> None:
    """The counts are those of the set: imports, copies with their originals, and each thing that is not whole."""
    answer = kept.answer
    assert answer["unexpected"] == []
    assert answer["files"] == len(all_media())
    assert answer["outcomes"] == Counter(str(made.expected) for made in all_media())
    originals = {made.path: made.of for made in all_media() if made.expected is Expected.DUPLICATE}
    assert len(answer["duplicates"]) == len(originals)
    content = {made.path: made.content for made in all_media()}
    for pair in answer["duplicates"]:
        assert content[os.fsencode(pair["path"])] == content[os.fsencode(pair["of"])]
    assert answer["seconds"] < LIMIT_S


def test_each_content_is_imported_once_and_nothing_is_taken_away(kept: Kept) -> None:
    """Below the target lies each content once, byte by byte, and all that arrived is still where it arrived."""
    folders = kept.answer["folders"]
    # what is cut off is taken in the end, see docs/cli.md
    imported = {Expected.IMPORTED, Expected.COMPANION, Expected.TRUNCATED}
    assert contents(folders["photos"]) == Counter(made.content for made in all_media() if made.expected in imported)
    assert contents(folders["incoming"]) == Counter(made.content for made in all_media())
    assert sum(kept.answer["imported_to"].values()) == sum(contents(folders["photos"]).values())
    assert os.path.isfile(os.path.join(folders["photos"], "2024", "2024-07", "IMG_0006.jpg"))


def test_what_is_kept_can_be_asked_about(kept: Kept) -> None:
    """The catalogue that stays answers the commands that the demonstration names."""
    folders = kept.answer["folders"]
    done = subprocess.run(
        [str(COMMAND), "explain", f"{folders['incoming']}/Downloads/album.r00", "--json", "--data", folders["data"]],
        env=kept.demo.sluice.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["state"] == "junk"


def test_it_leaves_nothing_and_needs_nothing(demo: Demo) -> None:
    """Without --keep all is gone afterwards, and neither the user's document nor the present folder matters."""
    (demo.here / "mediasluice.py").write_text("raise SystemExit('this is not the program')")
    said = demo.run(SLUICE_CONFIG=str(demo.temporary / "none.yaml"), SLUICE_DATA=str(demo.sluice.home / "mine"))
    assert "IMG_0001 (1).jpg" in said
    assert "sluice demo --keep" in said
    assert demo.left() == []
    assert not (demo.sluice.home / "mine").exists()
    assert not (demo.sluice.home / "xdg-state").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted(demo: Demo, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM while files arrive: 130, no file and no process is left, and no trace is shown."""
    with demo.start() as process:
        until(
            lambda: list(demo.temporary.glob("*/incoming/DCIM/*/*.jpg")), "the first file arrived", RUN_S, step_s=0.01
        )
        process.send_signal(number)
        out, err = process.communicate(timeout=STOP_S + 5)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert demo.left() == []
    assert demo.sluice.processes() == []


def test_a_place_that_is_named_is_refused(demo: Demo) -> None:
    """--data would suggest that it is used: 2, and nothing is made."""
    demo.run("--data", str(demo.sluice.home / "mine"), code=2)
    assert demo.left() == []
    assert not (demo.sluice.home / "mine").exists()
