from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from mediasluice.catalogue import outbox
from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.opening import open_reader
from mediasluice.delivery import envelope, reference
from mediasluice.model.events import EventType
from tests.samples import jpeg
from tests.service import Sluice

pytestmark = pytest.mark.timeout(180)


def test_real_events_fit_their_schemas(tmp_path: Path) -> None:
    """What a service writes into its log is what the reference says, without a field that it does not name."""
    inbox, plain = tmp_path / "inbox", tmp_path / "plain"
    for folder in (inbox, plain):
        folder.mkdir()
    rules = {"owner": "ann", "target": str(tmp_path / "media"), "after": "move", "max_size": "1MB"}
    rules["processed_dir"] = str(tmp_path / "processed")
    libraries = {
        "inbox": {"path": str(inbox), "action": "import", "import": rules, "duplicates": {"to": "processed"}},
        "plain": {"path": str(plain)},
    }
    (inbox / "one.jpg").write_bytes(jpeg(1))
    (inbox / "one.xmp").write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>")
    (inbox / "copy.jpg").write_bytes(jpeg(1))
    (inbox / "large.jpg").write_bytes(jpeg(2, 2_000_000))
    (inbox / "song.r00").write_bytes(b"junk")
    (plain / "stays.jpg").write_bytes(jpeg(5))
    odd = Path(os.fsdecode(os.fsencode(plain) + b"/\xff.jpg"))
    odd.write_bytes(jpeg(3))
    with Sluice(tmp_path / "home", config={"libraries": libraries}) as sluice:
        sluice.call("users", "add", "ann")
        sluice.call("run", "--until-idle", "1s")
        item = sluice.lines("items")[0]["id"]
        sluice.call("items", "set", str(item), "--title", "At the beach")
        sluice.call("items", "delete", str(item))
        odd.rename(plain / "named.jpg")
        sluice.call("scan", str(plain))
        (plain / "named.jpg").write_bytes(jpeg(4))
        sluice.call("scan", str(plain))
        (plain / "deep").mkdir()
        (plain / "named.jpg").rename(plain / "deep" / "named.jpg")
        sluice.call("scan", str(plain))
        (plain / "deep" / "named.jpg").unlink()
        sluice.call("run", "--until-idle", "1s")
        with closing(open_reader(catalogue_file(sluice.data))) as connection:
            facts = outbox.facts(connection, 0, 1000)
    checks = {kind: jsonschema.Draft202012Validator(reference.schema(kind, is_strict=True)) for kind in EventType}
    for fact in facts:
        checks[fact.event.type].validate(json.loads(envelope.body(fact)))
    assert {fact.event.type for fact in facts} >= {
        EventType.FILE_CREATED, EventType.FILE_MODIFIED, EventType.FILE_DELETED, EventType.FILE_MOVED,
        EventType.FILE_RENAMED, EventType.FILE_DUPLICATE, EventType.FILE_JUNK, EventType.ITEM_IMPORTED,
        EventType.ITEM_JOINED, EventType.ITEM_REFUSED, EventType.ITEM_CHANGED, EventType.ITEM_DELETED,
    }  # fmt: skip
