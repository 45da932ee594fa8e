"""``scan``: what it prints, what its exit code says, and who does the work."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from mediasluice.cli.main import main
from mediasluice.cli.scan import progress_line
from mediasluice.service.control import SOCKET_NAME, Server
from mediasluice.service.lock import DataLock
from tests.samples import png

RESULT: dict[str, Any] = {
    "files": 3,
    "bytes": 2048,
    "new": 2,
    "changed": 0,
    "moved": 0,
    "missing": 0,
    "unchanged": 1,
    "ignored": 0,
    "junk": 0,
    "empty": 0,
    "settling": 0,
    "errors": 0,
    "duplicates": {"groups": 1, "files": 1, "bytes": 1024},
    "seconds": 0.25,
}
STATE = {
    "files": 1000,
    "files_found": 4000,
    "bytes": 1 << 20,
    "bytes_found": 1 << 22,
    "bytes_per_second": 1 << 19,
    "eta_s": 6.0,
    "waiting": 2,
    "seconds": 2.0,
}

Scan = Callable[..., tuple[int, str]]


@pytest.fixture
def scan(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Call ``sluice scan`` beside a service that gives this result; gives exit code and output."""
    asked: list[dict[str, Any]] = []

    def call(*arguments: str, result: dict[str, Any], targets: list[str]) -> tuple[int, str]:
        def answer(params: dict[str, Any]) -> Generator[dict[str, Any], None, dict[str, Any]]:
            asked.append(params)
            yield {"progress": STATE}
            return result

        with DataLock.acquire(tmp_path):
            server = Server(tmp_path / SOCKET_NAME, {"scan": answer})
            server.start()
            try:
                monkeypatch.setattr(sys, "argv", ["sluice", "--data", str(tmp_path), "scan", *arguments])
                code = main()
            finally:
                server.close()
        assert asked.pop()["targets"] == targets
        return code, capsys.readouterr().out

    return call


def test_a_service_does_the_work_and_its_result_is_printed(scan: Scan) -> None:
    """The result is one JSON object, with the keys that the service gives."""
    code, printed = scan("--json", "photos", result=RESULT, targets=["photos"])
    assert code == 0
    assert json.loads(printed) == RESULT


def test_folders_are_sent_as_absolute_paths(scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service works in another directory, so a folder goes with its whole path and a library by its name."""
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    targets = [str(tmp_path / "in"), str(tmp_path / "none"), "photos"]
    assert scan("in", "./none", "photos", result=RESULT, targets=targets)[0] == 0


@pytest.mark.parametrize(
    ("found", "code"), [({"settling": 1}, 3), ({"errors": 2}, 3), ({"held": 1}, 4), ({"missing": 5}, 0)], ids=str
)
def test_the_exit_code_tells_what_is_left(scan: Scan, found: dict[str, int], code: int) -> None:
    """Unsettled files and errors are 3, a root that waits for a person is 4."""
    assert scan("--json", result=RESULT | found, targets=[])[0] == code


def test_people_read_a_summary(scan: Scan) -> None:
    """Only what is not zero is listed."""
    _, printed = scan(result=RESULT, targets=[])
    assert printed.splitlines()[0] == "3 files, 2 KiB, in 0.2 s"
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["new", "unchanged", "duplicates"]


def test_quiet_prints_nothing(scan: Scan) -> None:
    """With -q the exit code is the answer."""
    assert scan("-q", result=RESULT, targets=[]) == (0, "")


def test_progress_says_how_much_how_fast_and_how_long() -> None:
    """Files, bytes, rate and remaining time stand in one line; what is not known is left out."""
    assert progress_line(STATE) == "1,000 of 4,000 files, 1 MiB of 4 MiB, 512 KiB/s, 6.0 s left, 2 not complete yet"
    assert progress_line(STATE | {"eta_s": None, "waiting": 0}) == "1,000 of 4,000 files, 1 MiB of 4 MiB, 512 KiB/s"


def test_without_a_service_the_command_does_it_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first pass catalogues, a second finds nothing new, and the lock is free afterwards."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(png("the same"))
    results = []
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["sluice", "scan", str(folder), "--json", "--data", str(tmp_path / "data")])
        assert main() == 0
        results.append(json.loads(capsys.readouterr().out))
    assert (results[0]["new"], results[0]["duplicates"]["groups"]) == (2, 1)
    assert (results[1]["new"], results[1]["unchanged"]) == (0, 2)
    DataLock.acquire(tmp_path / "data").release()
