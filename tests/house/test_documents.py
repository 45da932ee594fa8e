from __future__ import annotations

import ast
import re
import tomllib

import pytest

from mediasluice.config.document import keys
from mediasluice.config.layers import load
from mediasluice.config.presets import PRESETS
from mediasluice.config.sinks import TYPES as SINKS
from tests.house.tree import HOUSE, TOP, modules

DOCUMENTS = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")]
SETTINGS = (TOP / "docs" / "settings.md").read_text(encoding="utf-8")


def test_the_glossary_holds_the_vocabulary() -> None:
    """Every public class of the model is in the glossary."""
    glossary = (TOP / "docs" / "glossary.md").read_text(encoding="utf-8")
    classes = {
        node.name
        for _, tree in modules(HOUSE / "model")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }
    assert {name for name in classes if f"`{name}`" not in glossary} == set()


def test_every_setting_is_documented_with_its_default() -> None:
    """docs/settings.md has one row for each key, with the default of the code, and no other row."""
    rows = dict(re.findall(r"^\| `([\w.]+\.\w+|preset)` \| (.*?) \|", SETTINGS, re.MULTILINE))
    assert set(rows) == {".".join(key) for key in keys()}
    loaded = load(None, {}, {"libraries": {"NAME": {"path": "/in"}}}, system=TOP / "nowhere")
    for row in loaded.rows():
        if row.key not in {"libraries.NAME.path", "sinks"}:
            assert rows[row.key] == f"`{_written(row.value)}`", row.key


@pytest.mark.parametrize("kind", SINKS)
def test_every_setting_of_a_sink_is_documented_with_its_default(kind: str) -> None:
    """docs/settings.md names the default of each type of sinks, unless the key has to be set."""
    rows = dict(re.findall(r"^\| `sinks\.NAME\.([\w.]+)` \| (.*?) \|", SETTINGS, re.MULTILINE))
    required: dict[str, dict[str, object]] = {
        "webhook": {"url": "https://h"},
        "command": {"command": ["x"]},
        "notify": {"urls": "json://h"},
    }
    said = {"type": kind, **required.get(kind, {})}
    skipped = {*said, *(("url",) if kind in {"rabbitmq", "asynq"} else ())}
    for row in load(None, {}, {"sinks": {"NAME": said}}, system=TOP / "nowhere").rows():
        key = row.key.removeprefix("sinks.NAME.")
        if key != row.key and key not in skipped:
            assert f"`{_written(row.value)}`" in rows[key], key


def _written(value: object) -> str:
    value = ", ".join(value) or [] if isinstance(value, list) else value
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))


def test_every_preset_is_documented() -> None:
    """docs/settings.md has one row for each preset."""
    assert {name for name in PRESETS if f"| `{name}` | " not in SETTINGS} == set()


def test_links_lead_somewhere() -> None:
    """A relative link in a document names a file that exists."""
    broken = [
        f"{document.relative_to(TOP)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert broken == []


def test_modules_and_tests_that_documents_name_exist() -> None:
    """What a document names as a file of the project is one."""
    broken = [
        f"{document.relative_to(TOP)}: {name}"
        for document in DOCUMENTS
        for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]*\.(?:py|sql|md)|tests/[\w/]+)`", document.read_text("utf-8"))
        if not (TOP / name).exists() and not (HOUSE / name).exists()
    ]
    assert broken == []


def test_every_ignored_rule_has_its_reason() -> None:
    """In pyproject.toml each rule of ruff that is off says why on its line."""
    text = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'^    "[A-Z]+\d*",\s*$', text, re.MULTILINE) == []


def test_licence_and_version_are_one() -> None:
    """The licence is the whole Apache-2.0 text, and the changelog knows the version."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert "APPENDIX: How to apply the Apache License" in (TOP / "LICENSE").read_text(encoding="utf-8")
    assert f"## {project['version']}" in (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
