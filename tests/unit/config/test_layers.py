from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mediasluice.config import layers
from mediasluice.config.document import Settings, json_schema, keys
from mediasluice.config.presets import PRESETS
from mediasluice.errors import BadSetting
from mediasluice.identify.junk import DEFAULT_PATTERNS
from mediasluice.model.files import Kind
from mediasluice.model.roots import Library, Rules


class Home:
    """A machine with a system document, a user document and an environment."""

    def __init__(self, directory: Path) -> None:
        self.system = directory / "etc"
        self.user = directory / "config"
        self.environ = {"HOME": str(directory), "XDG_CONFIG_HOME": str(self.user)}

    def write(self, base: Path, text: str) -> Path:
        file = base / "mediasluice" / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def load(
        self, file: Path | None = None, overrides: Mapping[str, Any] | None = None, **environ: str
    ) -> layers.Loaded:
        return layers.load(file, self.environ | environ, overrides or {}, system=self.system)

    def document(self, text: str, **environ: str) -> layers.Loaded:
        return self.load(self.write(self.user, text), None, **environ)

    def error(self, text: str, **environ: str) -> str:
        with pytest.raises(BadSetting) as caught:
            self.document(text, **environ)
        return str(caught.value)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def shown(loaded: layers.Loaded) -> dict[str, tuple[object, str]]:
    return {row.key: (row.value, row.origin) for row in loaded.rows()}


def only(loaded: layers.Loaded) -> Library:
    (library,) = loaded.settings.libraries()
    return library


def test_without_a_document_everything_is_default(home: Home) -> None:
    """No document is no error: the defaults stand and say that they are defaults."""
    loaded = home.load()
    assert loaded.path is None
    assert loaded.settings == Settings()
    assert {origin for _, origin in shown(loaded).values()} == {"default"}


def test_a_library_without_rules_has_the_rules_of_the_model(home: Home) -> None:
    """The defaults of a library are said once, in the model; only the junk list is put in here."""
    loaded = home.load(overrides={"libraries": {"in": {"path": "/in"}}})
    assert only(loaded) == Library(name="in", path=b"/in", rules=Rules(junk=DEFAULT_PATTERNS))


def test_the_users_document_wins_over_the_systems(home: Home) -> None:
    """S0-11: a value of the user's document wins over the system's, key by key, and is shown so."""
    system = home.write(home.system, "work: {readers: 1}\nsystem: {log_level: info, log_format: json}")
    user = home.write(home.user, "system: {log_level: debug}")
    loaded = home.load()
    assert shown(loaded)["system.log_level"] == ("debug", str(user))
    assert shown(loaded)["system.log_format"] == ("json", str(system))
    assert shown(loaded)["work.readers"] == (1, str(system))
    assert loaded.path == user


def test_a_named_document_stands_alone(home: Home, tmp_path: Path) -> None:
    """With --config or SLUICE_CONFIG no other document is read."""
    home.write(home.system, "work: {readers: 5}")
    named = tmp_path / "mine.yaml"
    named.write_text("system: {log_level: error}")
    for loaded in (home.load(named), home.load(SLUICE_CONFIG=str(named))):
        assert shown(loaded)["work.readers"] == (2, "default")
        assert shown(loaded)["system.log_level"] == ("error", str(named))


def test_a_named_document_must_be_there(home: Home, tmp_path: Path) -> None:
    """A document that was asked for and is not there is an error with its path."""
    with pytest.raises(BadSetting, match="no such configuration file") as caught:
        home.load(tmp_path / "none.yaml")
    assert caught.value.path == str(tmp_path / "none.yaml")


def test_layers_win_in_order(home: Home) -> None:
    """Command line over environment over document over preset over default."""
    text = "preset: mediacms\nlibraries: {in: {path: /in, action: catalogue}}\nwork: {readers: 3}"
    loaded = home.document(text, SLUICE_WORK__READERS="4")
    assert shown(loaded)["work.readers"] == (4, "environment SLUICE_WORK__READERS")
    assert shown(loaded)["file_watch.debounce_time"] == ("5s", "preset mediacms")
    loaded = home.load(overrides={"work": {"readers": 6}}, SLUICE_WORK__READERS="4")
    assert shown(loaded)["work.readers"] == (6, "command line")


def test_the_environment_reaches_every_key(home: Home) -> None:
    """`__` nests, case does not count, lists are comma strings, `null` is null, an empty value is not set."""
    text = 'libraries: {"Mes Médias": {path: /in}}\nschedules: {audit: 5m}'
    loaded = home.document(
        text,
        SLUICE_LIBRARIES__MES_MÉDIAS__INCLUDE="mp4, mov",
        SLUICE_LIBRARIES__MES_MÉDIAS__SETTLE__UNKNOWN="9s",
        SLUICE_SCHEDULES__AUDIT="null",
        SLUICE_PRESET="tracktion",
        SLUICE_FINGERPRINTS__MD5="true",
        SLUICE_SYSTEM__LOG_LEVEL="",
        SLUICE_SCALE="10",
    )
    rules = only(loaded).rules
    assert (rules.include, rules.unknown_s) == (("*.mp4", "*.mov"), 9.0)
    assert loaded.settings.schedules.audit is None
    assert loaded.settings.algorithms() == {"blake3", "xxh128", "sha256", "md5"}
    assert loaded.settings.system.log_level == "info"


def test_a_library_can_come_from_the_environment_alone(home: Home) -> None:
    """A container needs no document."""
    assert only(home.load(SLUICE_LIBRARIES__INCOMING__PATH="/data")) == Library(
        name="incoming", path=b"/data", rules=Rules(junk=DEFAULT_PATTERNS)
    )


def test_a_value_can_lie_in_a_file(home: Home, tmp_path: Path) -> None:
    """`_FILE` reads the value from a file, as secrets of containers are given."""
    secret = tmp_path / "level"
    secret.write_text("warning\n")
    assert home.load(SLUICE_SYSTEM__LOG_LEVEL_FILE=str(secret)).settings.system.log_level == "warning"
    with pytest.raises(BadSetting, match="SLUICE_SYSTEM__LOG_LEVEL_FILE"):
        home.load(SLUICE_SYSTEM__LOG_LEVEL_FILE=str(tmp_path / "none"))


def test_a_misspelt_variable_is_refused(home: Home) -> None:
    """A variable that names no setting is an error with the nearest name, never ignored."""
    with pytest.raises(BadSetting, match=r"SLUICE_SYSTEM__LOGLEVEL .* system\.log_level"):
        home.load(SLUICE_SYSTEM__LOGLEVEL="debug")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("libraries: {in: {path: incoming}}", ["libraries.in.path", "'incoming' is not absolute"]),
        ("libraries: {in: {path: /a/../b}}", ["libraries.in.path", "goes up"]),
        ("libraries: {../in: {path: /a}}", ["'../in' cannot be the name"]),
        ("libraries: {in: {}}", ["libraries.in.path: is missing"]),
        ("libraries: {in: /mnt}", ["libraries.in", "section of keys"]),
        ("libraries: [1]", ["libraries", "section of keys"]),
        ("libraries: {in: {path: /a, debuonce: 5s}}", ["unknown key", "libraries.in.debounce"]),
        ("libraries: {in: {path: /a, include: '[ab'}}", ["'[ab'", "nothing closes"]),
        ("libraries: {in: {path: /a, action: move}}", ["libraries.in.action", "'catalogue' or 'import'"]),
        ("libraries: {in: {path: /a, existing: ignore}}", ["libraries.in.existing", "'import' or 'baseline'"]),
        ("libraries: {in: {path: /a, import: {tempalte: x}}}", ["unknown key", "libraries.in.import.template?"]),
        ("libraries: {in: {path: /a, duplicates: {to: x}}}", ["libraries.in.duplicates.to", "'report' or 'processed'"]),
        ("libraries: {in: {path: /a, duplicates: {scope: x}}}", ["libraries.in.duplicates.scope", "'owner'"]),
        ("libraries: {in: {path: /a, settle: {unknwon: 5s}}}", ["libraries.in.settle.unknown?"]),
        ("libary: {}", ["unknown key", "libraries?"]),
        ("log_level: debug", ["unknown key", "system.log_level?"]),
        ("preset: plian", ["'plian' should be", "plain"]),
        ("preset: {a: 1}", ["preset"]),
        ("schedules: {audit: 0}", ["schedules.audit: 0 is not an interval"]),
        ("work: {readers: many}", ["work.readers: 'many' should be"]),
        ("- a", ["keys and values"]),
    ],
)
def test_a_wrong_document_says_what_where_and_what_was_meant(home: Home, text: str, parts: list[str]) -> None:
    """An error names the key, what is wrong, the nearest name, and the file."""
    message = home.error(text)
    assert all(part in message for part in [*parts, "config.yaml"]), message


def test_an_error_names_its_line(home: Home) -> None:
    """Wrong YAML and wrong values are both found by their line."""
    assert "line 2" in home.error("libraries:\n  in: @x\n")
    assert "config.yaml, line 3)" in home.error("work:\n  readers: 2\nwrok: {}\n")
    assert "config.yaml, line 2)" in home.error("work:\n  readers: 0\n")
    assert "found duplicate key" in home.error("work: {}\nwork: {}")


def test_every_error_is_told_at_once(home: Home) -> None:
    """Two mistakes are two lines, so that nobody mends them one by one."""
    assert len(home.error("work: {readers: 0}\npreset: x").splitlines()) == 2


def test_a_database_elsewhere_is_refused_without_its_password(home: Home) -> None:
    """A database address is not for this version, and its password appears in no error."""
    for text in ("database: {url: 'postgresql://u:geheim@h/d'}", "database: 'postgresql://u:geheim@h/d'"):
        message = home.error(text)
        assert "database" in message
        assert "geheim" not in message


def test_text_that_is_not_yaml_is_refused(home: Home, tmp_path: Path) -> None:
    """Bytes that are no UTF-8, control characters and foreign tags are errors with the path."""
    for number, content in enumerate([b"a: \xff", b"a: \x00", b"a: !!python/name:os.system x", b"a: @hourly"]):
        file = tmp_path / f"{number}.yaml"
        file.write_bytes(content)
        with pytest.raises(BadSetting) as caught:
            home.load(file)
        assert caught.value.path == str(file)


def test_an_empty_section_says_nothing(home: Home) -> None:
    """A section whose keys are all commented out keeps its defaults."""
    assert home.document("work:\nlibraries:\n").settings == Settings()


def test_file_watch_is_handed_down_and_the_library_wins(home: Home) -> None:
    """What file_watch says holds for each library that does not say it itself."""
    loaded = home.document(
        "file_watch: {enabled: false, patterns: '*.mp3', ignore_patterns: ['~$*'], debounce_time: 2s}\n"
        "libraries:\n  a: {path: /a}\n"
        "  b: {path: /b, watch: true, include: ['*'], exclude: [], debounce: 7s}\n"
    )
    a, b = loaded.settings.libraries()
    assert (a.watch, a.rules.include, a.rules.exclude, a.rules.debounce_s) == (
        False,
        ("*.mp3",),
        ("~$*",),
        2.0,
    )
    assert (b.watch, b.rules.include, b.rules.exclude, b.rules.debounce_s) == (True, ("*",), (), 7.0)
    assert shown(loaded)["libraries.a.debounce"][1].startswith("file_watch.debounce_time, ")


def test_more_roots_than_allowed_are_refused(home: Home) -> None:
    """S1-95: the number of watched directories has a limit, and the error names it."""
    roots = {f"r{number}": {"path": f"/r{number}"} for number in range(65)}
    with pytest.raises(BadSetting, match=r"65 roots .*max_roots"):
        home.load(overrides={"libraries": roots})
    assert len(home.load(overrides={"libraries": roots, "file_watch": {"max_roots": 65}}).settings.libraries()) == 65


def test_preset_mediacms(home: Home) -> None:
    """S0-14, S0-15, S0-16, S0-36: five seconds, all media by content, recursive, the upload limit."""
    loaded = home.document("preset: mediacms\nlibraries: {in: {path: /in, action: catalogue}}")
    rules = only(loaded).rules
    assert rules.kinds == (Kind.VIDEO, Kind.AUDIO, Kind.IMAGE, Kind.PDF)
    assert (rules.debounce_s, rules.max_size, rules.recursive) == (5.0, 4_096_000_000, True)
    assert rules.exclude == (".*", "*.tmp", "*.part")
    assert shown(loaded)["libraries.in.debounce"][0] == "5s"
    assert shown(loaded)["libraries.in.import.max_size"] == ("4096000000", "preset mediacms")


def test_named_extensions_replace_the_kinds(home: Home) -> None:
    """S0-15: an extension with or without its dot is a filter by name, in place of the one by content."""
    loaded = home.document("preset: mediacms\nlibraries: {in: {path: /in, action: catalogue, include: [mp4, .MOV]}}")
    assert (only(loaded).rules.include, only(loaded).rules.kinds) == (("*.mp4", "*.MOV"), ())


def test_preset_melodee(home: Home) -> None:
    """S1-14, S1-16: a staging library is watched where it says so, for five patterns, after one second."""
    loaded = home.document(
        "preset: melodee\nlibraries:\n  staging: {path: /s, type: staging, watch: true}\n  library: {path: /l}\n"
    )
    staging, library = loaded.settings.libraries()
    assert (staging.watch, library.watch) == (True, False)
    assert staging.rules.include == ("*.mp3", "*.flac", "*.m4a", "*.ogg", "*.wav")
    assert staging.rules.debounce_s == 1.0


def test_preset_tracktion(home: Home) -> None:
    """The fifteen audio suffixes, and SHA-256 beside the two digests of every file."""
    loaded = home.document("preset: tracktion\nlibraries: {music: {path: /m}}")
    assert len(only(loaded).rules.include) == 15
    assert loaded.settings.algorithms() == {"blake3", "xxh128", "sha256"}


@pytest.mark.parametrize("preset", ["plain", "media-pipeline", "mlm"])
def test_other_presets_take_every_file(home: Home, preset: str) -> None:
    """Where nobody filters, every file is catalogued and its kind is a label."""
    rules = only(home.document(f"preset: {preset}\nlibraries: {{in: {{path: /in}}}}")).rules
    assert (rules.include, rules.kinds, rules.max_size, rules.debounce_s) == ((), (), None, 0.0)


def test_every_preset_can_be_chosen() -> None:
    """The names that the document allows are the presets that exist."""
    assert json_schema()["properties"]["preset"]["enum"] == list(PRESETS)


def test_junk_patterns_extend_or_replace_the_built_in_list(home: Home) -> None:
    """S4-11: `default` stands for the built-in list; without it only the own patterns count."""
    text = "libraries: {in: {path: /in, junk: {patterns: [default, bak], exclude_extensions: ZIP}}}"
    rules = only(home.document(text)).rules
    assert rules.junk == (*DEFAULT_PATTERNS, "*.bak")
    assert rules.junk_exclude_extensions == (".zip",)
    assert only(home.document(text.replace("default, ", ""))).rules.junk == ("*.bak",)


def test_the_schema_is_json_and_knows_every_key(home: Home) -> None:
    """An editor that has the schema knows each key of the document."""
    text = json.dumps(json_schema())
    assert all(f'"{part}"' in text for key in keys() for part in key if part != "NAME")


def test_rows_show_every_setting_of_every_library(home: Home) -> None:
    """S0-25: what is shown at the start leaves nothing out."""
    expected = {".".join(key).replace("NAME", "in") for key in keys() if key[0] != "sinks"}
    assert set(shown(home.document("libraries: {in: {path: /in}}"))) == {*expected, "sinks"}


def test_equal_documents_are_equal_snapshots(home: Home) -> None:
    """A document that was touched but says the same needs no reload."""
    first = home.document("libraries: {in: {path: /in, settle: {unknown: 5000ms}}}")
    second = home.document("# a remark\nlibraries:\n  in:\n    path: /in/\n    debounce: 0\n")
    assert first.settings == second.settings
    assert first.stamp != second.stamp
