"""The program as a process: verbs, shared options, exit codes, pipes, and what it imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mediasluice.service.lock import DataLock

HEAVY = ("sqlalchemy", "alembic", "pydantic", "rich", "structlog", "fastapi", "sqlite3")


def sluice(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mediasluice", *map(str, arguments)],
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def imported(*arguments: str | Path) -> set[str]:
    """Top-level packages that one command imports."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mediasluice", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}


def test_the_version_costs_no_import() -> None:
    """`--version` prints name and version without typer and without anything heavy."""
    done = sluice("--version")
    assert (done.returncode, done.stdout[:7]) == (0, "sluice ")
    assert not imported("--version") & {*HEAVY, "typer"}


def test_version_works_beside_other_options() -> None:
    """`--version` behind another option is understood as well."""
    assert sluice("--json", "--version").stdout == sluice("--version").stdout


def test_a_duplicate_report_imports_nothing_heavy(tmp_path: Path) -> None:
    """The quick report pays for no database, no validation and no tables."""
    assert not imported("duplicates", tmp_path) & set(HEAVY)


def test_the_short_way_to_a_report_is_the_same_report(tmp_path: Path) -> None:
    """`duplicates --json DIR` does without typer, prints what the long way prints, and fails as that does."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"the same" if name != "c" else b"another")
    assert "typer" not in imported("duplicates", "--json", tmp_path)
    assert "typer" in imported("duplicates", "--json", tmp_path, "-q")
    short, long = sluice("duplicates", tmp_path, "--json"), sluice("duplicates", tmp_path, "--json", "-q")
    assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr)
    assert short.stdout.count("\n") == 1
    missing = tmp_path / "missing"
    short, long = sluice("duplicates", "--json", missing), sluice("duplicates", "--json", missing, "-q")
    assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr)
    assert short.returncode != 0


def test_a_scan_does_without_sqlalchemy(tmp_path: Path) -> None:
    """Making and filling a catalogue needs neither SQLAlchemy nor Alembic, and no tables are drawn."""
    (tmp_path / "in").mkdir()
    found = imported("scan", "-q", tmp_path / "in", "--data", tmp_path / "data")
    assert "sqlite3" in found
    assert not found & {"sqlalchemy", "alembic", "rich", "structlog"}


def test_health_imports_nothing_heavy(tmp_path: Path) -> None:
    """What a supervisor runs every few seconds stays small."""
    assert not imported("health", "--data", tmp_path) & set(HEAVY)


def test_without_a_verb_the_program_explains_itself() -> None:
    """A bare call shows the help and is no error."""
    done = sluice()
    assert done.returncode == 0
    assert "sluice run /some/folder" in done.stdout


def test_an_unknown_verb_is_a_usage_error_with_the_nearest_name() -> None:
    """A slip of the finger names what was meant."""
    done = sluice("stauts")
    assert done.returncode == 2
    assert "did you mean 'status'?" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("events", "--since", "many"),
        ("run", "--until-idle", "soon"),
        ("run", "--to"),
        ("run", "--template", "{nmae}"),
        ("run", "--mode", "in-place"),
        ("files", "--nope"),
        ("explain",),
        ("config",),
    ],
    ids=" ".join,
)
def test_what_cannot_be_understood_ends_with_2(arguments: tuple[str, ...]) -> None:
    """A wrong option or value is told in words, with the way to the help, and without a trace."""
    done = sluice(*arguments)
    assert done.returncode == 2
    assert "--help" in done.stderr
    assert all(word in done.stderr for word in arguments[1:])
    assert "Traceback" not in done.stderr


def test_shared_options_stand_before_or_after_the_verb(tmp_path: Path) -> None:
    """Both places mean the same, and what stands after the verb wins."""
    (tmp_path / "good.yaml").write_text("preset: melodee\n")
    (tmp_path / "bad.yaml").write_text("preset: none\n")
    before = sluice("--json", "--config", tmp_path / "good.yaml", "config", "check")
    between = sluice("config", "--json", "--config", tmp_path / "good.yaml", "check")
    after = sluice("--config", tmp_path / "bad.yaml", "config", "check", "--json", "--config", tmp_path / "good.yaml")
    assert (before.returncode, before.stdout) == (0, after.stdout)
    assert between.stdout == after.stdout


def test_nothing_to_watch_is_a_usage_error_that_says_how_to_begin(tmp_path: Path) -> None:
    """`run` without a folder and without a document names the way to begin."""
    done = sluice("run", "--data", tmp_path)
    assert done.returncode == 2
    assert "sluice run /some/folder" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--to", "out"), ["not from where", "sluice run /some/folder --to out"]),
        (("in", "--to", ""), ["--to names no directory"]),
        (("in", "--template", "{name}"), ["--template", "add: --to TARGET"]),
        (("in", "--mode", "move"), ["--mode", "add: --to TARGET"]),
        (("in", "--owner", "ann"), ["--owner", "add: --to TARGET"]),
    ],
    ids=" ".join,
)
def test_half_an_import_is_a_usage_error(arguments: tuple[str, ...], words: list[str], tmp_path: Path) -> None:
    """To import takes folders and a target; what is missing is named, and nothing is made."""
    done = sluice("run", *arguments, "--data", tmp_path / "data")
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert not (tmp_path / "data").exists()


def test_a_target_that_is_the_folder_itself_is_a_bad_configuration(tmp_path: Path) -> None:
    """What the options of an import say is checked like a document, and the data directory is not touched."""
    done = sluice("run", tmp_path, "--to", tmp_path, "--data", tmp_path / "data")
    assert done.returncode == 78
    assert "import.target: it is the path of the library itself" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_second_run_is_told_the_pid_and_the_advice(tmp_path: Path) -> None:
    """A held data directory is 75, names the process and advises --data."""
    (tmp_path / "in").mkdir()
    with DataLock.acquire(tmp_path / "data"):
        done = sluice("run", tmp_path / "in", "--data", tmp_path / "data")
    assert done.returncode == 75
    assert f"process {os.getpid()}" in done.stderr
    assert "--data DIR" in done.stderr


def test_a_root_that_never_was_is_a_bad_configuration(tmp_path: Path) -> None:
    """`run` on a folder that does not exist and was never seen ends with 78."""
    done = sluice("run", tmp_path / "none", "--data", tmp_path / "data")
    assert done.returncode == 78
    assert str(tmp_path / "none") in done.stderr


def test_a_bad_document_is_told_with_its_key(tmp_path: Path) -> None:
    """An unknown key ends with 78 and the nearest name."""
    (tmp_path / "bad.yaml").write_text("libaries: {}\n")
    done = sluice("config", "check", "--config", tmp_path / "bad.yaml")
    assert done.returncode == 78
    assert "libraries" in done.stderr


def test_health_without_a_service_is_1(tmp_path: Path) -> None:
    """No service: exit 1, also as JSON."""
    done = sluice("health", "--json", "--data", tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is False


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    """`sluice ... | head -1` ends with 0 and says nothing."""
    for number in range(2000):
        (tmp_path / f"{number // 2}-{number % 2}").write_bytes(b"%d" % (number // 2 + 1000) * 30)
    process = subprocess.Popen(
        [sys.executable, "-m", "mediasluice", "duplicates", str(tmp_path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(20), complaint) == (0, b"")


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    """A command that waits is interrupted without a trace."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mediasluice", "events", "--follow", "--data", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("no catalogue yet")  # it is up and waiting
    process.send_signal(signal.SIGINT)
    with process.stderr:
        rest = process.stderr.read()
    assert process.wait(20) == 130
    assert "Traceback" not in rest


@pytest.mark.parametrize("command", ["files", "events", "duplicates"])
def test_reading_where_nothing_was_ever_catalogued_gives_nothing(tmp_path: Path, command: str) -> None:
    """A missing catalogue holds nothing; a hint says how to begin, and nothing is made."""
    done = sluice(command, "--json", "--data", tmp_path / "data")
    assert (done.returncode, done.stdout) == (0, "")
    assert "sluice run DIR" in done.stderr
    assert not (tmp_path / "data").exists()
