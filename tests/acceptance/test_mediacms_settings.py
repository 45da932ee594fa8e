"""How users of the MediaCMS directory monitor bring their settings along: tests quote rows of the feature ledger."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Sluice

COMMAND = ("config", "from-mediacms")

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    with Sluice(tmp_path / "home") as it:
        yield it


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The settings of the NAS scenario in the monitor's own documentation, in a file as MediaCMS has it."""
    return _written(
        tmp_path,
        f"""
        import os
        from celery.schedules import crontab

        BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        MEDIA_ROOT = BASE_DIR + "/media_files/"
        UPLOAD_MAX_SIZE = 800 * 1024 * 1000 * 5
        LANGUAGES = [("en", _("English"))]
        CELERY_BEAT_SCHEDULE = {{"clear": {{"task": "clear", "schedule": crontab(hour=1)}}}}

        NAS = "{tmp_path}/nas"
        MEDIA_WATCH_DIRS = [os.path.join(NAS, "incoming"), f"{{NAS}}/Camera uploads"]
        MEDIA_WATCH_USER = "nas-import"
        MEDIA_WATCH_DEBOUNCE_SECONDS = 10
        MEDIA_WATCH_EXTENSIONS = [".mp4", ".MOV", ".jpg"]
        MEDIA_WATCH_RECURSIVE = True
        MEDIA_WATCH_DEFAULT_STATE = "public"
        MEDIA_WATCH_MOVE_AFTER_IMPORT = True
        MEDIA_WATCH_PROCESSED_DIR = NAS + "/processed"
        """,
    )


def _written(directory: Path, text: str) -> Path:
    path = directory / "settings.py"
    path.write_text(textwrap.dedent(text))
    return path


def _adopt(sluice: Sluice, settings: Path) -> None:
    """Use what is printed as the configuration from now on."""
    document = settings.with_name("config.yaml")
    document.write_text(sluice.call(*COMMAND, settings).stdout)
    sluice.document = document


def test_the_settings_become_a_document(sluice: Sluice, settings: Path) -> None:
    """S0-11, S0-54: the NAS scenario is printed as a document that says which file it was made of."""
    done = sluice.call(*COMMAND, settings)
    nas = settings.parent / "nas"
    rules = f"""\
    recursive: true
    include: ['*.mp4', '*.mov', '*.jpg']
    debounce: 10s
    import:
      owner: nas-import
      state: public
      after: move
      processed_dir: {nas}/processed
      max_size: 4096000000
"""
    assert done.stdout == (
        f"# Made by `sluice config from-mediacms` of {settings}\n"
        "preset: mediacms\n"
        "libraries:\n"
        f"  incoming:\n    path: {nas}/incoming\n{rules}"
        f"  Camera-uploads:\n    path: {nas}/Camera uploads\n{rules}"
    )
    assert done.stderr == ""


def test_the_document_is_right(sluice: Sluice, settings: Path) -> None:
    """S0-12 to S0-19, S0-36: what is printed is a valid document, and each setting is in force by it."""
    _adopt(sluice, settings)
    assert sluice.object("config", "check")["libraries"] == ["incoming", "Camera-uploads"]
    shown = sluice.settings()
    nas = settings.parent / "nas"
    assert shown["preset"] == "mediacms"
    assert shown["libraries.Camera-uploads.path"] == f"{nas}/Camera uploads"
    assert {key: shown[f"libraries.incoming.{key}"] for key in ("path", "recursive", "include", "debounce")} == {
        "path": f"{nas}/incoming",
        "recursive": True,
        "include": ["*.mp4", "*.mov", "*.jpg"],
        "debounce": "10s",
    }
    named = ("owner", "state", "after", "processed_dir", "max_size")
    assert {key: shown[f"libraries.incoming.import.{key}"] for key in named} == {
        "owner": "nas-import",
        "state": "public",
        "after": "move",
        "processed_dir": f"{nas}/processed",
        "max_size": "4096000000",
    }
    assert shown["libraries.incoming.action"] == "import"


def test_the_least_settings_are_enough(sluice: Sluice, tmp_path: Path) -> None:
    """S0-14 to S0-19: with directories and user alone, the monitor's own defaults are in force."""
    _adopt(sluice, _written(tmp_path, "MEDIA_WATCH_DIRS = ['/srv/in']\nMEDIA_WATCH_USER = 'admin'\n"))
    shown = sluice.settings()
    assert {key: shown[f"libraries.in.{key}"] for key in ("recursive", "include", "debounce")} == {
        "recursive": True,
        "include": [],
        "debounce": "5s",
    }
    assert {key: shown[f"libraries.in.import.{key}"] for key in ("state", "after", "max_size")} == {
        "state": "public",
        "after": "keep",
        "max_size": "4096000000",
    }


def test_the_settings_are_never_executed(sluice: Sluice, tmp_path: Path) -> None:
    """No line of the file runs: not its top level, no function, decorator, default, test or f-string of it."""
    marker = tmp_path / "executed"
    touch = f"open({str(marker)!r}, 'a').close()"
    (tmp_path / "trap.py").write_text(touch)
    path = _written(
        tmp_path,
        f"""
        import trap
        from trap import *
        import os
        touch = lambda *_: {touch}
        {touch}
        MEDIA_WATCH_DIRS = ["/srv/in", {touch} or "/srv/other", f"/srv/{{touch()}}"]
        MEDIA_WATCH_USER = "admin"
        if touch() is None:
            os.system("touch {marker}")

        @touch
        def later(default=touch()):
            pass

        class Settings:
            touch()

        exec({touch!r})
        assert not os.path.exists({str(marker)!r}), touch()
        """,
    )
    for options in ((), ("--json",)):
        done = sluice.call(*COMMAND, path, *options)
        assert "/srv/in" in done.stdout
        assert "/srv/other" not in done.stdout
    assert not marker.exists()
    run = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert "AssertionError" in run.stderr, "the file is no trap: the test shows nothing"
    assert marker.exists()


def test_what_is_not_known_is_a_warning(sluice: Sluice, tmp_path: Path) -> None:
    """S0-11, S0-12: a value of the environment, a relative folder and local settings are told, never guessed; 0."""
    path = _written(
        tmp_path,
        """\
        import os
        MEDIA_WATCH_DIRS = [
            "/srv/in",
            "incoming",
        ]
        MEDIA_WATCH_USER = os.environ.get("IMPORT_USER", "admin")
        MEDIA_WATCH_DEFAULT_STATE = "private"
        if os.environ.get("TESTING"):
            MEDIA_WATCH_DEFAULT_STATE = "public"
        try:
            from .local_settings import *
        except ImportError:
            pass
        """,
    )
    done = sluice.call(*COMMAND, path)
    told = [
        ("MEDIA_WATCH_DIRS", 4, "not absolute"),
        ("MEDIA_WATCH_USER", 6, "import.owner"),
        ("MEDIA_WATCH_DEFAULT_STATE", 9, "the value of line 7"),
        ("MEDIA_WATCH_*", 11, ".local_settings"),
    ]
    for (setting, line, words), said in zip(told, done.stderr.splitlines(), strict=True):
        assert said.startswith(f"! {setting}, line {line}: ")
        assert words in said
    answer = sluice.object(*COMMAND, path)
    assert [(one["setting"], one["line"]) for one in answer["warnings"]] == [one[:2] for one in told]
    assert answer["errors"] == []
    assert answer["document"] == {
        "preset": "mediacms",
        "libraries": {"in": {"path": "/srv/in", "import": {"state": "private"}}},
    }
    assert sluice.call(*COMMAND, path, "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ("MEDIA_WATCH_USER = 'admin'", "MEDIA_WATCH_DIRS"),
        ("MEDIA_WATCH_USER = 'admin'\nMEDIA_WATCH_DIRS = []", "MEDIA_WATCH_DIRS"),
        ("MEDIA_WATCH_DIRS = ['/srv/in']\nMEDIA_WATCH_USER = ''", "MEDIA_WATCH_USER"),
        (
            "MEDIA_WATCH_DIRS = ['/srv/in']\nMEDIA_WATCH_USER = 'admin'\nMEDIA_WATCH_MOVE_AFTER_IMPORT = True",
            "MEDIA_WATCH_PROCESSED_DIR",
        ),
        (
            "MEDIA_WATCH_DIRS = ['/srv/in']\nMEDIA_WATCH_USER = 'admin'\nMEDIA_WATCH_DEFAULT_STATE = 'hidden'",
            "public, private, unlisted",
        ),
    ],
    ids=["no directories", "empty directories", "no user", "moved to nowhere", "no such state"],
)
def test_what_the_monitor_refuses_is_an_error(sluice: Sluice, tmp_path: Path, settings: str, setting: str) -> None:
    """S0-13, S0-17, S0-19, S0-58: each cause has its message with the setting's name, the document is there; 78."""
    path = _written(tmp_path, settings)
    for options in ((), ("--quiet",)):
        done = sluice.call(*COMMAND, path, *options, code=78)
        (line,) = done.stderr.splitlines()
        assert line.startswith("✗ ")
        assert setting in line
        assert "preset: mediacms\n" in done.stdout
        assert ("path: /srv/in" in done.stdout) == ("/srv/in" in settings)
    assert len(sluice.object(*COMMAND, path, code=78)["errors"]) == 1


def test_a_file_that_is_no_settings_file(sluice: Sluice, tmp_path: Path) -> None:
    """S0-58: a file that is not Python, or not there, is refused with its path, line and reason, and 78."""
    path = _written(tmp_path, "DEBUG = True\nMEDIA_WATCH_DIRS = [\n")
    done = sluice.call(*COMMAND, path, code=78)
    assert done.stdout == ""
    assert f"{path}: line 2: is not Python" in done.stderr
    done = sluice.call(*COMMAND, tmp_path / "none.py", code=78)
    assert f"{tmp_path / 'none.py'}: cannot be read: No such file" in done.stderr
