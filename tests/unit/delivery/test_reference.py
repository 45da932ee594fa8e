from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from mediasluice.delivery import reference
from mediasluice.model.events import EventType

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"


MESSAGE = {"name", "title", "summary", "contentType", "headers", "payload", "examples"}
"""Fields of a Message Object that we use; AsyncAPI refuses any that it does not know."""


def test_the_files_are_up_to_date() -> None:
    """docs/reference holds what the code describes, and no schema of a type that is gone."""
    there = {
        str(file.relative_to(REFERENCE)): file.read_text()
        for file in [REFERENCE / "asyncapi.json", *(REFERENCE / "events").iterdir()]
    }
    assert there == reference.files(), "run: python -m mediasluice.delivery.reference docs/reference"


@pytest.mark.parametrize("kind", EventType)
def test_each_example_is_valid(kind: EventType) -> None:
    """Each schema is one of draft 2020-12, knows every field of its example, and refuses another type."""
    schema = reference.schema(kind, is_strict=True)
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    told = reference.example(kind)
    check.validate(told)
    assert not check.is_valid({**told, "type": "file.other"})


def test_the_asyncapi_document_holds_together() -> None:
    """Every reference leads to something of the right sort, each type is one message, and each has its example."""
    document = json.loads((REFERENCE / "asyncapi.json").read_text())
    assert document["asyncapi"] == "3.0.0"
    assert set(document) == {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    for pointer in references(document):
        found = document
        for part in pointer.removeprefix("#/").split("/"):
            found = found[part]
        assert found
    messages = document["components"]["messages"]
    assert {message["name"] for message in messages.values()} == {kind.value for kind in EventType}
    assert len(document["operations"]["sendEvent"]["messages"]) == len(messages)
    for name, message in messages.items():
        assert set(message) <= MESSAGE
        jsonschema.Draft7Validator.check_schema(document["components"]["schemas"][name])
        jsonschema.Draft7Validator(document["components"]["schemas"][name]).validate(message["examples"][0]["payload"])
        jsonschema.Draft7Validator(message["headers"]).validate(message["examples"][0]["headers"])


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [pointer for one in value for pointer in references(one)]
    if not isinstance(value, dict):
        return []
    return [one for name, part in value.items() for one in ([part] if name == "$ref" else references(part))]
