"""``check``: what is found out about roots, limits and the data directory, and the exit code that follows."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.cli import check
from mediasluice.cli.main import main
from mediasluice.model.imports import After, ImportRules, Mode, ProfileName
from mediasluice.model.roots import Library, Rules

BARE = (
    r"ffmpeg version 7.1 of\n V..... libx264 x\n A..... aac x\n ... bwdif x\n ... scale x\n ... setsar x\n ... format x"
)
"""What an ffmpeg says of itself that has just enough for films."""

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call ``sluice check --json`` in this process."""

    def call(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        shared = ["--json", "--data", str(tmp_path / "data")]
        monkeypatch.setattr(sys, "argv", ["sluice", "check", *shared, *map(str, arguments)])
        code = main()
        printed = capsys.readouterr()
        assert printed.err == ""
        answer = json.loads(printed.out)
        assert answer["ok"] == (code == 0)
        return code, answer

    return call


def test_a_good_folder_is_fit(run: Run, tmp_path: Path) -> None:
    """A readable folder ends with 0 and says how its files will be noticed and waited for."""
    (tmp_path / "in" / "a" / "b").mkdir(parents=True)
    (tmp_path / "in" / "@eaDir").mkdir()
    code, answer = run(tmp_path / "in")
    (root,) = answer["roots"]
    assert code == 0
    assert root["path"] == str(tmp_path / "in")
    assert root["directories"] == 3
    assert root["mount"]
    assert root["mode"] in {"events", "poll"}
    assert root["settle"] in {"lease", "quiet period"}
    assert (root["recursive"], root["debounce_s"], root["include"]) == (True, 0.0, [])


def test_each_bad_folder_is_told_by_its_path(run: Run, tmp_path: Path) -> None:
    """A missing folder and a file in its place are both named; the whole ends with 78."""
    (tmp_path / "file").touch()
    code, answer = run(tmp_path / "none", tmp_path / "file")
    assert code == 78
    assert f"{tmp_path}/none: there is no such directory" in answer["problems"]
    assert f"{tmp_path}/file: is not a directory" in answer["problems"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_everybody_may_write_is_a_warning(run: Run, tmp_path: Path) -> None:
    """World-writable is told and does not keep anything from working; sticky is fine."""
    for name, mode in (("open", 0o777), ("sticky", 0o1777)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    code, answer = run(tmp_path / "open", tmp_path / "sticky")
    assert code == 0
    assert [warning.split(":")[0] for warning in answer["warnings"]] == [str(tmp_path / "open")]


def test_a_folder_inside_another_is_refused(run: Run, tmp_path: Path) -> None:
    """Overlapping roots are a problem, also through a symbolic link."""
    (tmp_path / "in" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "in" / "below")
    code, answer = run(tmp_path / "in", tmp_path / "link")
    assert code == 78
    assert any("overlap" in problem for problem in answer["problems"])


def test_without_any_folder_there_is_nothing_to_check(run: Run) -> None:
    """No library and no folder ends with 78 and says what to do."""
    code, answer = run()
    assert code == 78
    assert any("no folder to watch" in problem for problem in answer["problems"])


def test_a_data_directory_in_the_way_of_a_file_is_a_problem(tmp_path: Path) -> None:
    """A data directory that cannot be made is told."""
    (tmp_path / "file").touch()
    assert check.look_at_data(tmp_path / "file" / "data", []).problems


def test_a_data_directory_inside_a_root_is_a_warning(tmp_path: Path) -> None:
    """It works, because it is left out; better it lies elsewhere."""
    library = Library("all", bytes(tmp_path), Rules())
    found = check.look_at_data(tmp_path / "data", [library])
    assert not found.problems
    assert len(found.warnings) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
def test_too_many_directories_come_with_the_line_that_helps() -> None:
    """More directories than the kernel lets us watch: the sysctl line is printed, exactly."""
    assert not check.look_at_watches(1).warnings
    limit = check.look_at_watches(1).limit
    assert limit is not None
    (warning,) = check.look_at_watches(limit + 1).warnings
    assert "sudo sysctl -w fs.inotify.max_user_watches=" in warning


def test_people_get_the_same_with_the_configuration_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text names directories, errors and the settings that matter."""
    (tmp_path / "in").mkdir()
    (tmp_path / "conf.yaml").write_text(
        f"libraries:\n  inbox: {{path: '{tmp_path}/in', debounce: 5s, include: ['*.mp3'], recursive: false}}\n"
    )
    arguments = ["--config", f"{tmp_path}/conf.yaml", "--data", f"{tmp_path}/data", f"{tmp_path}/none"]
    monkeypatch.setattr(sys, "argv", ["sluice", "check", *arguments])
    assert main() == 78
    printed = capsys.readouterr().out
    for said in (
        "Found 2 configured directories",
        "Errors:",
        f"{tmp_path}/none: there is no such directory",
        "Monitored directories: 2",
        f"1. {tmp_path}/in (inbox)",
        "Debounce delay: 5s",
        "Recursive monitoring: no",
        "File extensions: *.mp3",
        "File patterns: all files",
    ):
        assert said in printed


def importing(base: Path, **rules: Any) -> Library:
    return Library("inbox", bytes(base), Rules(imports=ImportRules(**rules)))


def found_of(library: Library, data: Path) -> check.RootFinding:
    found = check.look_at_root(library)
    check.look_at_imports(library, data, found)
    return found


def test_an_owner_without_an_account_is_a_problem(tmp_path: Path) -> None:
    """S0-22: with no catalogue, or no such account in it; the setting and the command that helps are named."""
    library = importing(tmp_path, owner="ann o'hara")
    data = tmp_path / "data"
    for _ in range(2):
        (problem,) = found_of(library, data).problems
        assert "libraries.inbox.import.owner" in problem
        assert problem.endswith("""sluice users add 'ann o'"'"'hara'""")
        data.mkdir(exist_ok=True)
        with Catalogue.open(catalogue_file(data)) as catalogue:
            catalogue.add_account("somebody else", 1)
    with Catalogue.open(catalogue_file(data)) as catalogue:
        catalogue.add_account("ann o'hara", 1)
    with View.open(catalogue_file(data)) as view:
        number = view.account("ann o'hara")
    found = found_of(library, data)
    assert (found.problems, found.account) == ([], number)
    assert found.passed == [f'User "ann o\'hara" exists (ID: {number})']


def test_directories_that_are_written_are_looked_at(tmp_path: Path) -> None:
    """S0-23, S0-61: a file in the place of one is a problem, a missing one a warning, a good one is said."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    rules = {"target": bytes(tmp_path / "out"), "processed": bytes(tmp_path / "done"), "after": After.MOVE}
    found = found_of(importing(tmp_path / "in", **rules), tmp_path)
    assert found.passed == [f"Target directory is writable: {tmp_path}/out"]
    assert f"{tmp_path}/done: will be created (import.processed_dir)" in found.warnings
    (tmp_path / "done").touch()
    found = found_of(importing(tmp_path / "in", **rules), tmp_path)
    assert f"{tmp_path}/done: is not a directory (import.processed_dir)" in found.problems


@pytest.mark.parametrize(
    ("script", "passed", "warned"),
    [
        (None, [], ["import.transcode: ffmpeg is not installed", "renditions (h264-aac) wait", "apt install ffmpeg"]),
        (
            "echo 'ffmpeg version 7.1 of a test'; echo ' V..... libopus   x'; echo ' ..C scale   x'",
            [],
            ["lacks the encoder libx264, the encoder aac, the filter bwdif", "choose another profile"],
        ),
        (
            f"printf '{BARE}'",
            ["Renditions (h264-aac): ffmpeg 7.1"],
            ["lacks the filters zscale and tonemap", "libzimg"],
        ),
    ],
    ids=["none", "without encoders", "without zscale"],
)
@pytest.mark.skipif(os.name != "posix", reason="a program of a shell")
def test_what_renditions_need_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, passed: list[str], warned: list[str]
) -> None:
    """S0-45: a warning names what is lacking and what to do; imports go on without it. Without transcoding nothing."""
    (tmp_path / "bin").mkdir()
    if script is not None:
        program = tmp_path / "bin" / "ffmpeg"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    found = found_of(importing(tmp_path, transcode=ProfileName.H264_AAC), tmp_path)
    assert (found.passed, found.problems) == (passed, [])
    assert all(word in " ".join(found.warnings) for word in warned), found.warnings
    plain = found_of(importing(tmp_path), tmp_path)
    assert (plain.passed, plain.warnings) == ([], [])


def test_a_root_that_is_away_is_told_once(tmp_path: Path) -> None:
    """What is to be written there is not judged as well."""
    found = found_of(importing(tmp_path / "none", after=After.MOVE, processed=bytes(tmp_path)), tmp_path)
    assert found.problems == [f"{tmp_path}/none: there is no such directory"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Rules(), ["File patterns: all files"]),
        (Rules(kinds=("video", "pdf")), ["File extensions: All media types (video, pdf, judged by content)"]),
        (Rules(include=("IMG_*", "*.jpg")), ["File patterns: IMG_*, *.jpg"]),
        (Rules(imports=ImportRules()), ["User: nobody", "Default state: public", "Move after import: No"]),
        (Rules(imports=ImportRules(mode=Mode.IN_PLACE)), ["Import: in place"]),
        (Rules(imports=ImportRules(transcode=ProfileName.OPUS)), ["Renditions: opus"]),
        (
            Rules(imports=ImportRules(target=b"/out", mode=Mode.HARDLINK, processed=b"/done", moves_duplicates=True)),
            [
                "Import: hardlink to /out as {name}",
                "Processed directory: /done",
                "Duplicates: moved to the processed directory",
            ],
        ),
    ],
    ids=["plain", "kinds", "patterns", "imports", "in place", "renditions", "everything"],
)
def test_the_configuration_says_what_a_library_does(rules: Rules, said: list[str]) -> None:
    """S0-20: what is taken, for whom it is imported and where to stands in the block below the verdict."""
    lines = [line.strip() for line in check.configuration([Library("inbox", b"/in", rules)])]
    assert set(said) <= set(lines)
