"""The rules of importing in the document: what they become, and what they must not say together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mediasluice.actions.transcoding import PROFILES
from mediasluice.config.document import json_schema
from mediasluice.config.layers import Loaded, load
from mediasluice.errors import BadSetting
from mediasluice.model.imports import After, Existing, ImportRules, ItemState, Mode, ProfileName, Scope

NOWHERE = Path("nowhere")


def loaded(libraries: Mapping[str, Mapping[str, Any]], preset: str = "plain", **environ: str) -> Loaded:
    return load(None, {"HOME": "nowhere", **environ}, {"preset": preset, "libraries": libraries}, system=NOWHERE)


def rules(
    asked: Mapping[str, object] | None = None,
    preset: str = "plain",
    environ: Mapping[str, str] | None = None,
    **more: Any,
) -> ImportRules:
    """The import rules of one library with this section ``import``."""
    section = {"path": "/in", "action": "import", "import": asked or {}, **more}
    (library,) = loaded({"in": section}, preset, **(environ or {})).settings.libraries()
    assert library.rules.imports is not None
    return library.rules.imports


def error(libraries: Mapping[str, Mapping[str, Any]], preset: str = "plain") -> str:
    with pytest.raises(BadSetting) as caught:
        loaded(libraries, preset)
    return str(caught.value)


def refused(asked: Mapping[str, object], **more: Any) -> str:
    return error({"in": {"path": "/in", "action": "import", "import": asked, **more}})


def test_who_asks_for_nothing_gets_the_rules_of_the_model() -> None:
    """The defaults of importing are said once, in the model."""
    assert rules() == ImportRules()


def test_every_rule_of_the_document_reaches_the_stages() -> None:
    """What stands in the section is what the library imports by."""
    asked = {
        "owner": "ann",
        "state": "unlisted",
        "target": "/out/",
        "template": "{taken:%Y/%m}/{name}",
        "mode": "hardlink!",
        "after": "move",
        "processed_dir": "/done",
        "max_size": "1GiB",
        "transcode": {"enabled": True, "profile": "opus"},
    }
    duplicates = {"scope": "owner", "to": "processed"}
    assert rules(asked, existing="baseline", duplicates=duplicates) == ImportRules(
        owner="ann",
        state=ItemState.UNLISTED,
        target=b"/out",
        template="{taken:%Y/%m}/{name}",
        mode=Mode.HARDLINK_ONLY,
        after=After.MOVE,
        processed=b"/done",
        existing=Existing.BASELINE,
        scope=Scope.OWNER,
        moves_duplicates=True,
        transcode=ProfileName.OPUS,
    )


def test_the_environment_can_make_a_library_import() -> None:
    """A container needs no document for this either."""
    made = loaded(
        {},
        SLUICE_LIBRARIES__IN__PATH="/in",
        SLUICE_LIBRARIES__IN__ACTION="import",
        SLUICE_LIBRARIES__IN__IMPORT__TARGET="/out",
        SLUICE_LIBRARIES__IN__IMPORT__TRANSCODE__ENABLED="true",
        SLUICE_LIBRARIES__IN__IMPORT__OWNER="null",
    )
    (library,) = made.settings.libraries()
    assert library.rules.imports == ImportRules(target=b"/out", transcode=ProfileName.H264_AAC)


def test_a_profile_alone_transcodes_nothing() -> None:
    """S0-45: the switch decides; every name of a profile has one."""
    assert rules({"transcode": {"profile": "opus"}}).transcode is None
    assert list(PROFILES) == [name.value for name in ProfileName]


def test_a_library_that_catalogues_has_no_import_rules() -> None:
    """What stands below `import` does nothing before the action says so, but for the limit of the size."""
    asked = {"target": "/out", "after": "move", "max_size": 7}
    (library,) = loaded({"in": {"path": "/in", "import": asked}}).settings.libraries()
    assert (library.rules.imports, library.rules.max_size) == (None, 7)


@pytest.mark.parametrize("mode", ["copy", "move", "hardlink", "hardlink!", "reflink", "in-place"])
def test_without_a_target_files_stay_in_place(mode: str) -> None:
    """Every mode may stand without a target: there is nowhere to bring a file to."""
    assert rules({"mode": mode}).target is None


@pytest.mark.parametrize(
    ("asked", "more", "words"),
    [
        ({"owner": 5}, {}, ["import.owner: 5 is not the name of an account"]),
        ({"state": "hidden"}, {}, ["import.state: 'hidden'", "'unlisted'"]),
        ({"target": "django"}, {}, ["import.target: 'django'", "this version has none"]),
        ({"target": "mediacms"}, {}, ["import.target: 'mediacms'", "this version has none"]),
        ({"target": "out/here"}, {}, ["import.target", "is not absolute"]),
        ({"template": "{nmae}"}, {}, ["import.template: '{nmae}' is no template", "did you mean {name}?"]),
        ({"template": "../{name}"}, {}, ["import.template", "'..' is no name"]),
        ({"mode": "link"}, {}, ["import.mode: 'link'", "'hardlink!'"]),
        ({"after": "delete"}, {}, ["import.after: 'delete'", "'keep' or 'move'"]),
        ({"after": "move"}, {}, ["libraries.in.import.processed_dir", "`after: move` needs it"]),
        ({"after": "move", "processed_dir": None}, {}, ["libraries.in.import.processed_dir", "`after: move`"]),
        ({"after": "move", "processed_dir": ""}, {}, ["libraries.in.import.processed_dir: '' is not a directory"]),
        ({"processed_dir": "done"}, {}, ["import.processed_dir", "is not absolute"]),
        ({}, {"duplicates": {"to": "processed"}}, ["import.processed_dir", "`duplicates.to: processed` needs it"]),
        ({"mode": "in-place", "target": "/out"}, {}, ["libraries.in.import.target", "`mode: in-place`"]),
        ({"target": "/in/"}, {}, ["libraries.in.import.target", "path of the library itself"]),
        ({"processed_dir": "/in"}, {}, ["libraries.in.import.processed_dir", "path of the library itself"]),
        ({"processed_dir": "/"}, {}, ["libraries.in.path", "libraries.in.import.processed_dir"]),
        ({"transcode": {"enabled": "now"}}, {}, ["libraries.in.import.transcode.enabled: 'now'"]),
        ({"transcode": {"profile": "h265"}}, {}, ["libraries.in.import.transcode.profile: 'h265'", "'h264-aac-720'"]),
        (
            {"transcode": {"enabled": True}},
            {"action": "catalogue"},
            ["libraries.in.import.transcode.enabled", "imports nothing; set `action: import`"],
        ),
    ],
)
def test_rules_that_cannot_hold_are_refused(
    asked: Mapping[str, object], more: Mapping[str, Any], words: list[str]
) -> None:
    """S0-19 and its like: the error names the key that has to change, and why."""
    message = refused(asked, **more)
    assert all(word in message for word in words), message
    assert len(message.splitlines()) == 1


def test_what_was_processed_is_not_taken_in_again() -> None:
    """A library may not lie where another one puts what it is done with; beside it, it may."""
    done = {"path": "/in", "action": "import", "import": {"processed_dir": "/done"}}
    for path in ("/done", "/done/imported"):
        message = error({"in": done, "other": {"path": path}})
        assert "libraries.other.path: it lies in libraries.in.import.processed_dir" in message
    assert len(loaded({"in": done, "other": {"path": "/done-too"}}).settings.libraries()) == 2
    assert len(loaded({"in": {**done, "action": "catalogue"}, "other": {"path": "/done"}}).settings.libraries()) == 2


def test_one_library_may_be_the_target_of_another() -> None:
    """From an inbound folder into a library that is catalogued is the ordinary way."""
    made = loaded({"in": {"path": "/in", "action": "import", "import": {"target": "/out"}}, "out": {"path": "/out"}})
    assert len(made.settings.libraries()) == 2


def test_all_that_does_not_fit_together_is_told_at_once(tmp_path: Path) -> None:
    """Two conflicts are two lines, each with the line of the document that comes nearest to its key."""
    file = tmp_path / "config.yaml"
    file.write_text(
        "libraries:\n  in:\n    path: /in\n    action: import\n"
        "    import:\n      after: move\n      mode: in-place\n      target: /out\n"
    )
    with pytest.raises(BadSetting) as caught:
        load(file, {}, {})
    first, second = str(caught.value).splitlines()
    assert first.startswith("libraries.in.import.processed_dir: ")
    assert first.endswith("config.yaml, line 5)")
    assert second.startswith("libraries.in.import.target: ")
    assert second.endswith("config.yaml, line 8)")


def test_preset_mediacms_imports_for_an_owner() -> None:
    """S0-17, S0-41, S0-64: public items of the account that is named; what is there already is only catalogued."""
    assert rules({"owner": "admin"}, "mediacms") == ImportRules(owner="admin", existing=Existing.BASELINE)
    made = loaded({"in": {"path": "/in", "import": {"owner": "admin"}}}, "mediacms")
    shown = {row.key: (row.value, row.origin) for row in made.rows()}
    assert shown["libraries.in.action"] == ("import", "preset mediacms")
    assert shown["libraries.in.existing"] == ("baseline", "preset mediacms")
    assert shown["libraries.in.import.state"] == ("public", "preset mediacms")
    assert shown["libraries.in.duplicates.to"] == ("report", "default")


def test_preset_mediacms_refuses_to_import_for_nobody() -> None:
    """S0-13: without an owner it does not start, and says which key was MEDIA_WATCH_USER."""
    message = error({"in": {"path": "/in"}}, "mediacms")
    assert message.startswith("libraries.in.import.owner: ")
    assert "MEDIA_WATCH_USER" in message
    assert "set libraries.in.import.owner" in message
    assert loaded({"in": {"path": "/in", "action": "catalogue"}}, "mediacms").settings.libraries()


def test_preset_mediacms_moves_duplicates_where_it_moves() -> None:
    """S0-19: who moves what was imported has the duplicates beside it; who keeps needs no directory."""
    moving = {"owner": "admin", "after": "move", "processed_dir": "/done"}
    assert rules(moving, "mediacms").moves_duplicates
    assert not rules(moving, "mediacms", duplicates={"to": "report"}).moves_duplicates
    assert not rules({"owner": "admin"}, "mediacms").moves_duplicates
    by_environment = {
        "SLUICE_LIBRARIES__IN__IMPORT__AFTER": "move",
        "SLUICE_LIBRARIES__IN__IMPORT__PROCESSED_DIR": "/done",
    }
    assert rules({"owner": "admin"}, "mediacms", by_environment).moves_duplicates


def test_other_presets_need_no_owner() -> None:
    """Only the users of MediaCMS have always named one."""
    assert rules({}, "mlm").owner is None


def test_the_schema_knows_the_words_of_importing() -> None:
    """An editor offers each mode, and takes a template for text."""
    made = json_schema()["$defs"]
    assert made["Mode"]["enum"] == [mode.value for mode in Mode]
    assert made["Import"]["properties"]["template"]["type"] == "string"


def test_what_is_shown_is_plain() -> None:
    """The rows of `config show` are plain values that JSON can hold."""
    made = loaded({"in": {"path": "/in", "import": {"target": "/out", "mode": "hardlink!"}}})
    values = {row.key: json.loads(json.dumps(row.value)) for row in made.rows()}
    assert values["libraries.in.import.target"] == "/out"
    assert values["libraries.in.import.mode"] == "hardlink!"
    assert values["libraries.in.duplicates.scope"] == "all"
