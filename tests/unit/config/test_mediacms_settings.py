from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from mediasluice.config import file, mediacms
from mediasluice.config.mediacms import Finding, Made
from mediasluice.errors import BadSetting

ENOUGH = """
    MEDIA_WATCH_DIRS = ["/in"]
    MEDIA_WATCH_USER = "admin"
"""


class Settings:
    """A settings file of MediaCMS, written anew for each question."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "settings.py"

    def made(self, text: str) -> Made:
        self.path.write_text(textwrap.dedent(text))
        return mediacms.read(self.path)

    def library(self, more: str) -> Any:
        """The one library of settings that are enough and say something more, without any finding."""
        made = self.made(ENOUGH + more)
        assert (made.warnings, made.errors) == ((), ())
        return made.document["libraries"]["in"]

    def value(self, more: str) -> object:
        """What becomes of MAX, a name that more sets: a constant number or not known."""
        made = self.made(ENOUGH + more + "\n    UPLOAD_MAX_SIZE = MAX\n")
        assert not made.errors
        return made.document["libraries"]["in"].get("import", {}).get("max_size")

    def warning(self, more: str) -> Finding:
        """The one thing to know about settings that are enough and say something more."""
        made = self.made(ENOUGH + more)
        assert made.errors == ()
        (warning,) = made.warnings
        return warning

    def error(self, text: str) -> Finding:
        made = self.made(text)
        (error,) = made.errors
        return error


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path)


# -- the document ------------------------------------------------------------------------------------------


def test_every_setting_has_its_key(settings: Settings) -> None:
    """S0-12 to S0-19, S0-36: each setting of the monitor is found again in each library."""
    made = settings.made("""
        MEDIA_WATCH_DIRS = ["/mnt/nas/incoming", "/srv/uploads"]
        MEDIA_WATCH_USER = "admin"
        MEDIA_WATCH_DEBOUNCE_SECONDS = 10
        MEDIA_WATCH_EXTENSIONS = [".mp4", ".MOV"]
        MEDIA_WATCH_RECURSIVE = False
        MEDIA_WATCH_DEFAULT_STATE = "private"
        MEDIA_WATCH_MOVE_AFTER_IMPORT = True
        MEDIA_WATCH_PROCESSED_DIR = "/mnt/nas/processed"
        UPLOAD_MAX_SIZE = 4 * 1024**3
    """)
    rules = {
        "recursive": False,
        "include": ["*.mp4", "*.mov"],
        "debounce": "10s",
        "import": {
            "owner": "admin",
            "state": "private",
            "after": "move",
            "processed_dir": "/mnt/nas/processed",
            "max_size": "4GiB",
        },
    }
    assert made == Made(
        {
            "preset": "mediacms",
            "libraries": {
                "incoming": {"path": "/mnt/nas/incoming", **rules},
                "uploads": {"path": "/srv/uploads", **rules},
            },
        },
        (),
        (),
    )


def test_what_is_not_said_is_left_to_the_preset(settings: Settings) -> None:
    """A setting that the file does not mention, or empties, is not in the document."""
    assert settings.library("") == {"path": "/in", "import": {"owner": "admin"}}
    more = """
    MEDIA_WATCH_EXTENSIONS = []
    MEDIA_WATCH_PROCESSED_DIR = ""
    """
    assert settings.library(more) == {"path": "/in", "import": {"owner": "admin"}}


def test_a_processed_directory_counts_only_when_files_are_moved(settings: Settings) -> None:
    """The monitor never looks at it otherwise, so it is not in the document either."""
    more = 'MEDIA_WATCH_PROCESSED_DIR = "/done"\n    MEDIA_WATCH_MOVE_AFTER_IMPORT = '
    assert settings.library(f"\n    {more}False\n")["import"] == {"owner": "admin", "after": "keep"}
    moved = {"owner": "admin", "after": "move", "processed_dir": "/done"}
    assert settings.library(f"\n    {more}True\n")["import"] == moved


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/media", "/b/media", "/c/Media"], ["media", "media-2", "Media-3"]),
        (["/a/media", "/b/media-2", "/c/media"], ["media", "media-2", "media-3"]),
        (["/mnt/My Clips (new)!", "/mnt/Zoë_2024"], ["My-Clips-new", "Zoë-2024"]),
        (["/mnt/...", "/srv/__"], ["library", "library-2"]),
        (["/"], ["library"]),
    ],
    ids=["same part", "taken number", "signs", "nothing left", "root of all"],
)
def test_libraries_are_called_after_their_directory(settings: Settings, paths: list[str], names: list[str]) -> None:
    """A library has the last part of its path for a name: letters, digits and dashes, and no name twice."""
    made = settings.made(f"MEDIA_WATCH_DIRS = {paths!r}\nMEDIA_WATCH_USER = 'admin'")
    assert list(made.document["libraries"]) == names
    assert [library["path"] for library in made.document["libraries"].values()] == paths


def test_a_directory_that_is_watched_already_is_taken_once(settings: Settings) -> None:
    """A directory that is named twice, or lies inside another one, is one library less, and told."""
    text = "MEDIA_WATCH_USER = 'me'\nMEDIA_WATCH_DIRS = [\n  '/in',\n  '/in/',\n  '/in/below',\n  '/inner',\n]\n"
    made = settings.made(text)
    assert [library["path"] for library in made.document["libraries"].values()] == ["/in", "/inner"]
    assert [(one.setting, one.line) for one in made.warnings] == [("MEDIA_WATCH_DIRS", 4), ("MEDIA_WATCH_DIRS", 5)]
    made = settings.made(text + "MEDIA_WATCH_RECURSIVE = False\n")
    assert [library["path"] for library in made.document["libraries"].values()] == ["/in", "/in/below", "/inner"]
    assert "refused" in made.warnings[1].message


@pytest.mark.parametrize(
    ("value", "debounce"),
    [("0", "0s"), ("2.5", "2500ms"), ("90", "90s"), ("60 * 2", "2m"), ("1e-9", "0s")],
    ids=str,
)
def test_seconds_become_a_duration(settings: Settings, value: str, debounce: str) -> None:
    """S0-14: seconds are written as the document writes durations."""
    library = settings.library(f"\n    MEDIA_WATCH_DEBOUNCE_SECONDS = {value}\n")
    assert library["debounce"] == debounce


def test_an_extension_without_its_dot_is_told(settings: Settings) -> None:
    """S0-15: `mp4` is taken as the pattern that was meant, with a warning, because MediaCMS never matches it."""
    made = settings.made(ENOUGH + "\n    MEDIA_WATCH_EXTENSIONS = ('mp4', '.MP4', '.jpg')\n")
    assert made.document["libraries"]["in"]["include"] == ["*.mp4", "*.jpg"]
    (warning,) = made.warnings
    assert (warning.setting, "no dot" in warning.message) == ("MEDIA_WATCH_EXTENSIONS", True)


def test_a_document_is_yaml_that_says_the_same(settings: Settings) -> None:
    """What is written can be read back, whatever stands in names and paths, below its comment."""
    made = settings.made(r"""
        MEDIA_WATCH_DIRS = ["/srv/2024", "/srv/yes", "/srv/Zoë # no: comment", "/srv/a\nb\x1b", "/srv/\udcff"]
        MEDIA_WATCH_USER = "null"
        MEDIA_WATCH_EXTENSIONS = [".mp4"]
        MEDIA_WATCH_DEBOUNCE_SECONDS = 1
    """)
    text = mediacms.written(made.document, ["made of it", "for you"])
    assert text.startswith("# made of it\n# for you\npreset: mediacms\n")
    written = settings.path.with_suffix(".yaml")
    written.write_text(text)
    assert len(made.document["libraries"]) == 5
    assert file.read(written) == made.document


# -- what is known without running -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("MAX = 800 * 1024 * 1000 * 5", 4_096_000_000),
        ("MAX = (1 << 30) + 2**3 - 7 // 2 % 4", (1 << 30) + 5),
        ("MAX: int = 10 / 4", 2),
        ("MAX = OTHER = 7", 7),
        ("ONE = 3\n    MAX = ONE * ONE", 9),
        ("MAX = 3\n    MAX += 4", 7),
        ("MAX = 3\n    MAX = 4", 4),
        ("MAX = -(-5)", 5),
        ("if A:\n        MAX = 5\n    else:\n        MAX = 5", 5),
        ("MAX = 5\n    if A:\n        MAX = 5", 5),
        ("try:\n        MAX = 5\n    except OSError:\n        MAX = 5", 5),
        ("try:\n        MAX = 5\n    finally:\n        ONE = 1", 5),
        ("def f():\n        MAX = 9\n    MAX = 5", 5),
        ("for one in (1, 2):\n        ONE = one\n    MAX = 5", 5),
    ],
    ids=[
        "product",
        "operators",
        "fraction",
        "two names",
        "other name",
        "sum onto",
        "the last one counts",
        "signs",
        "both branches",
        "branch as before",
        "try and except",
        "finally",
        "name of a function",
        "loop over others",
    ],
)
def test_constants_are_calculated(settings: Settings, text: str, value: int) -> None:
    """Literals, arithmetic and names that were set before are followed, whichever way a program goes."""
    assert settings.value(f"\n    {text}") == value


@pytest.mark.parametrize(
    "text",
    [
        "MAX = int('5')",
        "MAX = 5 if A else 6",
        "MAX = A or 5",
        "MAX = [5][0]",
        "MAX = 1 / 0",
        "MAX = 2**2**9",
        "MAX = 1 << 10_000_000_000",
        "ONE = 10**20\n    MAX = ONE * ONE",
        "MAX = 1e999",
        "MAX = 0x" + "f" * 9000,
        "MAX, ONE = 5, 6",
        "from limits import MAX",
        "MAX = 5\n    del MAX",
        "MAX = 5\n    from .local import *",
        "MAX = 5\n    exec(SOMETHING)",
        "MAX = 5\n    globals()['MAX'] = 6",
        "MAX = 5\n    if (MAX := 6):\n        pass",
        "MAX = 5\n    if A:\n        MAX = 6",
        "MAX = 5\n    if A:\n        del MAX",
        "if A:\n        MAX = 5",
        "if A:\n        MAX = 1\n    else:\n        MAX = True",
        "try:\n        MAX = 5\n    except OSError:\n        pass",
        "MAX = 5\n    for MAX in (1, 2):\n        pass",
        "MAX = 5\n    while A:\n        MAX = 6",
        "MAX = 5\n    with open('x') as MAX:\n        pass",
        "MAX = 5\n    match A:\n        case MAX:\n            pass",
        "MAX = 5\n    class MAX:\n        pass",
        "MAX = 5\n    import MAX",
    ],
)
def test_what_only_running_tells_is_never_guessed(settings: Settings, text: str) -> None:
    """A name that may have another value when the file runs has none here, and the setting is told."""
    assert settings.value(f"\n    {text}") is None
    assert "UPLOAD_MAX_SIZE" in [warning.setting for warning in mediacms.read(settings.path).warnings]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('["/a" "/b"]', ["/a/b"]),
        ('["/a"] + ["/" + "b"]', ["/a", "/b"]),
        ('("/a", "/b")', ["/a", "/b"]),
        ('{"/a"}', ["/a"]),
        ('[*["/a"], "/b"]', ["/a", "/b"]),
        ('[f"{BASE}/x{2}"]', ["/base/x2"]),
        ('[os.path.join(BASE, "x", "y")]', ["/base/x/y"]),
        ('[path.join(BASE, "x"), join(BASE, "y")]', ["/base/x", "/base/y"]),
        ('[os.path.join(BASE, "/x")]', ["/x"]),
        ("[BASE]", ["/base"]),
    ],
)
def test_directories_are_joined_as_python_joins_them(settings: Settings, text: str, paths: list[str]) -> None:
    """Lists, tuples, f-strings, sums of texts and os.path.join are followed, under each name that they have."""
    made = settings.made(f"""
        import os
        from os import path
        from os.path import join
        BASE = "/base"
        MEDIA_WATCH_USER = "admin"
        MEDIA_WATCH_DIRS = {text}
    """)
    assert made.warnings == ()
    assert [library["path"] for library in made.document["libraries"].values()] == paths


@pytest.mark.parametrize(
    "text",
    [
        "MEDIA_WATCH_DIRS.append('/b')",
        "MEDIA_WATCH_DIRS[0] = '/b'",
        "del MEDIA_WATCH_DIRS[0]",
        "ALIAS = MEDIA_WATCH_DIRS\n    ALIAS.extend(OTHERS)",
        "ALIAS = MEDIA_WATCH_DIRS\n    ALIAS += ['/b']",
        "ALIAS = MEDIA_WATCH_DIRS\n    if A:\n        ALIAS = []\n    ALIAS.append('/b')",
        "for one in A:\n        ALIAS = MEDIA_WATCH_DIRS\n        ALIAS.append(one)",
        "with suppress(OSError):\n        MEDIA_WATCH_DIRS += ['/b']",
        "def later():\n        MEDIA_WATCH_DIRS.append('/b')",
        "if A:\n        MEDIA_WATCH_DIRS.clear()",
        "print(MEDIA_WATCH_DIRS.pop())",
        "ONE = MEDIA_WATCH_DIRS.pop()",
        "MEDIA_WATCH_DIRS += os.environ['MORE'].split()",
    ],
)
def test_a_list_that_is_changed_in_its_place_is_told(settings: Settings, text: str) -> None:
    """A list is taken as it was written, and each change of it that is not followed is a warning."""
    warning = settings.warning(f"\n    {text}\n")
    assert warning.setting == "MEDIA_WATCH_DIRS"
    assert "the value of line 2 is taken" in warning.message
    assert list(mediacms.read(settings.path).document["libraries"]) == ["in"]


def test_a_directory_that_is_not_known_costs_only_itself(settings: Settings) -> None:
    """The other directories of the list are taken; the warning names the line of the one that is not."""
    made = settings.made("""
        import os
        BASE_DIR = os.path.dirname(os.path.abspath(__file__))
        MEDIA_WATCH_USER = "admin"
        MEDIA_WATCH_DIRS = [
            "/in",
            BASE_DIR + "/watched",
            *MORE,
        ]
    """)
    assert list(made.document["libraries"]) == ["in"]
    assert [(warning.setting, warning.line) for warning in made.warnings] == [
        ("MEDIA_WATCH_DIRS", 7),
        ("MEDIA_WATCH_DIRS", 8),
    ]
    assert "line 3" in made.warnings[0].message
    assert "MORE is not set" in made.warnings[1].message


def test_a_setting_that_depends_on_something_is_not_taken(settings: Settings) -> None:
    """The value that stood before stays, and the warning says on what the other one depends."""
    more = """
    UPLOAD_MAX_SIZE = 1000
    if os.environ.get("BIG"):
        UPLOAD_MAX_SIZE = 2000
    """
    warning = settings.warning(more)
    assert warning == Finding(
        "UPLOAD_MAX_SIZE",
        7,
        "depends on \"if os.environ.get('BIG')\" in line 6, not taken; the value of line 5 is taken",
    )
    library = mediacms.read(settings.path).document["libraries"]["in"]
    assert library["import"]["max_size"] == 1000


def test_a_later_assignment_ends_every_doubt(settings: Settings) -> None:
    """What was set last and for certain is taken, whatever stood before."""
    more = """
    MEDIA_WATCH_DEFAULT_STATE = os.environ["STATE"]
    if DEBUG:
        MEDIA_WATCH_DEFAULT_STATE = "public"
    MEDIA_WATCH_DEFAULT_STATE = "unlisted"
    """
    assert settings.library(more)["import"]["state"] == "unlisted"


def test_a_setting_that_is_imported_is_told(settings: Settings) -> None:
    """A setting that comes from another file is a warning that names where it comes from."""
    warning = settings.warning("\n    from .secret import STATE as MEDIA_WATCH_DEFAULT_STATE\n")
    assert (warning.setting, ".secret.STATE" in warning.message) == ("MEDIA_WATCH_DEFAULT_STATE", True)


def test_local_settings_are_told_once(settings: Settings) -> None:
    """S0-11: overrides from a local file are not read, and one warning says so with the line."""
    more = """
    try:
        from .local_settings import *
    except ImportError:
        pass
    """
    warning = settings.warning(more)
    assert (warning.setting, warning.line) == ("MEDIA_WATCH_*", 6)
    assert ".local_settings" in warning.message
    assert list(mediacms.read(settings.path).document["libraries"]) == ["in"]


def test_a_function_that_sets_a_setting_is_told(settings: Settings) -> None:
    """A function that may set a setting anew is a warning."""
    more = """
    def later():
        global MEDIA_WATCH_USER
        MEDIA_WATCH_USER = "other"
    """
    warning = settings.warning(more)
    assert (warning.setting, warning.line) == ("MEDIA_WATCH_USER", 6)


def test_a_state_that_is_not_known_is_said_to_be_public(settings: Settings) -> None:
    """S0-69: whoever hides imports learns that the document does not, when their state cannot be read."""
    warning = settings.warning("\n    MEDIA_WATCH_DEFAULT_STATE = env('STATE')\n")
    assert (warning.setting, warning.line) == ("MEDIA_WATCH_DEFAULT_STATE", 5)
    assert "imports are public" in warning.message


# -- what the monitor would refuse -------------------------------------------------------------------------


@pytest.mark.parametrize("dirs", ["", "MEDIA_WATCH_DIRS = []", "MEDIA_WATCH_DIRS = None"])
def test_no_directories(settings: Settings, dirs: str) -> None:
    """S0-12, S0-58: a list of directories that is missing or empty is an error with its name."""
    error = settings.error(f"{dirs}\nMEDIA_WATCH_USER = 'admin'")
    assert error[:2] == ("MEDIA_WATCH_DIRS", 1 if dirs else None)


@pytest.mark.parametrize("user", ["", "MEDIA_WATCH_USER = ''", "MEDIA_WATCH_USER = None", "MEDIA_WATCH_USER = ' '"])
def test_no_user(settings: Settings, user: str) -> None:
    """S0-13, S0-58: a user that is missing or empty is an error with its name; the rest is made."""
    text = f"{user}\nMEDIA_WATCH_DIRS = ['/in']"
    assert settings.error(text)[:2] == ("MEDIA_WATCH_USER", 1 if user else None)
    assert settings.made(text).document["libraries"] == {"in": {"path": "/in"}}


def test_moving_without_a_place(settings: Settings) -> None:
    """S0-19: moving without a processed directory is an error with both names; the document still moves."""
    error = settings.error(ENOUGH + "\n    MEDIA_WATCH_MOVE_AFTER_IMPORT = True\n")
    assert error.setting == "MEDIA_WATCH_MOVE_AFTER_IMPORT"
    assert "MEDIA_WATCH_PROCESSED_DIR" in error.message
    library = mediacms.read(settings.path).document["libraries"]["in"]
    assert library["import"] == {"owner": "admin", "after": "move"}


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("MEDIA_WATCH_DEFAULT_STATE", "'Public'", "public, private, unlisted"),
        ("MEDIA_WATCH_DEFAULT_STATE", "''", "public, private, unlisted"),
        ("MEDIA_WATCH_DEBOUNCE_SECONDS", "'5'", "'5' is not a number of seconds"),
        ("MEDIA_WATCH_DEBOUNCE_SECONDS", "-1", "-1 is not a number of seconds"),
        ("MEDIA_WATCH_DEBOUNCE_SECONDS", "True", "True is not a number of seconds"),
        ("UPLOAD_MAX_SIZE", "'4GB'", "'4GB' is not a number of bytes"),
        ("UPLOAD_MAX_SIZE", "[1]", "[1] is not a number of bytes"),
        ("MEDIA_WATCH_RECURSIVE", "'False'", "neither True nor False"),
        ("MEDIA_WATCH_MOVE_AFTER_IMPORT", "2", "neither True nor False"),
        ("MEDIA_WATCH_EXTENSIONS", "'.mp4'", "not a list"),
        ("MEDIA_WATCH_EXTENSIONS", "['*.mp4']", "'*.mp4' is not an extension"),
        ("MEDIA_WATCH_EXTENSIONS", "['']", "'' is not an extension"),
        ("MEDIA_WATCH_EXTENSIONS", "[4]", "4 is not an extension"),
        ("MEDIA_WATCH_DIRS", "'/in'", "not a list"),
        ("MEDIA_WATCH_DIRS", "[5]", "5 is not a directory"),
        ("MEDIA_WATCH_DIRS", r"['/\ud800']", "characters that no file name has"),
        ("MEDIA_WATCH_USER", "b'admin'", "not the name of a user"),
    ],
)
def test_wrong_values(settings: Settings, setting: str, value: str, words: str) -> None:
    """S0-17, S0-58: a value that the monitor cannot work with is an error that names setting, line and value."""
    error = settings.error(f"{ENOUGH}\n    {setting} = {value}\n")
    assert error[:2] == (setting, 5)
    assert words in error.message


@pytest.mark.parametrize("directory", ["incoming", "./incoming", "~/in", "/in/../out", "", "/in\\0"])
def test_a_directory_that_is_not_absolute_is_told(settings: Settings, directory: str) -> None:
    """S0-12: where a relative directory leads depends on who runs the file; it is told and not taken."""
    made = settings.made(f'MEDIA_WATCH_USER = "admin"\nMEDIA_WATCH_DIRS = ["/in",\n  "{directory}"]')
    assert [(one.setting, one.line) for one in made.warnings] == [("MEDIA_WATCH_DIRS", 3)]
    assert made.errors == ()
    assert list(made.document["libraries"]) == ["in"]


# -- files that are no settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"A = 1\nthis is no settings file\n", "line 2: is not Python"),
        (b"A = [1,\n", "line 1: is not Python"),
        (b"A = 'caf\xe9'\n", "is not Python"),
        (b"A = '\0'\n", "is not Python"),
        (b"A = " + b"-" * 200_000 + b"1\n", "is nested too deeply"),
        (b"A = 1" + b" + 1" * 50_000 + b"\n", "is nested too deeply"),
        (b"#" * (5 << 20), "larger than 4 MiB"),
    ],
    ids=["prose", "unclosed", "latin-1", "NUL", "signs", "sum", "huge"],
)
def test_a_file_that_is_not_python(settings: Settings, content: bytes, words: str) -> None:
    """A file that cannot be parsed is refused with its path, the line where there is one, and the reason."""
    settings.path.write_bytes(content)
    with pytest.raises(BadSetting, match=words) as caught:
        mediacms.read(settings.path)
    assert caught.value.path == str(settings.path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, or is a directory, is refused with its path and the reason."""
    for path, reason in ((tmp_path / "none.py", "No such file"), (tmp_path, "directory")):
        with pytest.raises(BadSetting, match=reason) as caught:
            mediacms.read(path)
        assert caught.value.path == str(path)


def test_encodings_of_python_are_understood(settings: Settings) -> None:
    """A file says its own encoding, as Python allows."""
    settings.path.write_bytes(b"# coding: latin-1\nMEDIA_WATCH_USER = 'Zo\xeb'\nMEDIA_WATCH_DIRS = ['/in']\n")
    made = mediacms.read(settings.path)
    assert made.document["libraries"]["in"]["import"]["owner"] == "Zoë"


def test_a_strange_escape_is_no_concern(settings: Settings) -> None:
    r"""A text such as "\d", on which newer interpreters warn, is read without a word."""
    assert settings.library("\n    PATTERN = '\\d'\n")["path"] == "/in"
