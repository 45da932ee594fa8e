"""Accounts, items and what is said about imports, on the command line, with and without a service.

Quotes the ledger of MediaCMS' directory monitor (S0) and of Media Library Manager (S4).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from blake3 import blake3

from tests.samples import jpeg
from tests.service import Line, Service, Sluice, obeying_permissions, until

SOON_S = 30.0
REFUSED_S = 20.0  # what cannot be done is said at once, and the process ends

pytestmark = pytest.mark.timeout(180)


class House:
    """One importing library ``inbox`` that copies to ``media`` and sets aside in ``processed``, and its service."""

    def __init__(self, sluice: Sluice, base: Path) -> None:
        self.sluice = sluice
        self.inbox, self.media, self.processed = base / "inbox", base / "media", base / "processed"
        self.inbox.mkdir()
        sluice.document = sluice.home / "config.yaml"
        self.configure()

    def configure(self, rules: Mapping[str, object] | None = None, **library: object) -> None:
        """Write the document: ``rules`` go over the import rules, the rest over the library."""
        said = {
            "owner": "ann",
            "target": str(self.media),
            "template": "{library}/{name}",
            "after": "move",
            "processed_dir": str(self.processed),
            **(rules or {}),
        }
        inbox = {
            "path": str(self.inbox),
            "action": "import",
            "import": said,
            "duplicates": {"to": "processed"},
            **library,
        }
        self.sluice.configure({"libraries": {"inbox": inbox}})

    def drop(self, name: str, content: bytes) -> Path:
        """Let a whole file arrive under its name."""
        whole = self.sluice.home / "arriving"
        whole.write_bytes(content)
        path = self.inbox / name
        whole.rename(path)
        return path

    def items(self) -> dict[str, Line]:
        """Items by title."""
        return {line["title"]: line for line in self.sluice.lines("items")}

    def run(self) -> None:
        """Run until nothing is pending."""
        self.sluice.call("run", "--until-idle", "1s", timeout_s=SOON_S)

    def wait(self, service: Service, *titles: str) -> dict[str, Line]:
        """Wait until these are items and their bytes are there."""

        def there() -> bool:
            items = self.items()
            return all(title in items and items[title]["path"] for title in titles)

        service.wait(there, f"items {titles}", SOON_S)
        return self.items()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with Sluice(tmp_path / "home", config={}) as sluice:
        yield House(sluice, tmp_path)


# -- accounts ------------------------------------------------------------------------------------------------


def test_imports_need_an_account_that_is_there(house: House) -> None:
    """S0-13, S0-22, S0-55, S0-58: an owner who has no account keeps the service from starting.

    `check` and `run` name the setting and the command that helps; after it both are content, and what is imported
    belongs to the account.
    """
    refused = house.sluice.call("run", code=78, timeout_s=REFUSED_S).stderr
    assert "ann" in refused
    assert "import.owner" in refused
    assert "sluice users add ann" in refused
    told = house.sluice.object("check", code=78)
    assert any("ann" in line and "import.owner" in line and "users add ann" in line for line in told["problems"])
    house.sluice.call("users", "add", "ann")
    told = house.sluice.object("check")
    (account,) = [root["account"] for root in told["roots"]]
    assert f'User "ann" exists (ID: {account})' in told["roots"][0]["passed"]
    house.drop("holiday.jpg", jpeg("s0-13"))
    house.run()
    assert house.items()["holiday"]["owner"] == "ann"
    (row,) = house.sluice.lines("users")
    assert (row["name"], row["items"]) == ("ann", 1)


def test_accounts_are_made_before_any_service_and_beside_one(house: House) -> None:
    """S0-55: `users add` makes the catalogue if there is none; a second account of the name is refused with words."""
    assert house.sluice.call("users").stdout == ""
    assert house.sluice.object("users", "add", "ann") == {"name": "ann"}
    with_service = house.sluice.start()
    house.sluice.call("users", "add", "bob")
    for name in ("ann", "bob"):
        assert f"there is an account '{name}' already" in house.sluice.call("users", "add", name, code=1).stderr
    assert [row["name"] for row in house.sluice.lines("users", "list")] == ["ann", "bob"]
    house.sluice.call("users", "remove", "bob")
    house.sluice.call("users", "remove", "bob", code=2)
    assert "inbox" in house.sluice.call("users", "remove", "ann", code=2).stderr  # its library imports for her
    with_service.stop()
    house.sluice.call("users", "remove", "ann")
    assert house.sluice.lines("users") == []


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "two\nlines", "bell\a", "x" * 151], ids=repr)
def test_a_name_that_is_none_is_refused(house: House, name: str) -> None:
    """One line, no control characters, no slashes, at most 150 characters; nothing is made."""
    assert house.sluice.call("users", "add", name, code=2).stderr
    assert house.sluice.lines("users") == []


def test_an_account_that_owns_items_stays(house: House) -> None:
    """It is removed when its items belong to somebody else."""
    house.sluice.call("users", "add", "ann")
    house.sluice.call("users", "add", "bob")
    house.drop("one.jpg", jpeg("owned"))
    house.run()
    assert "owns 1 item" in house.sluice.call("users", "remove", "ann", code=2).stderr
    house.sluice.call("items", "set", str(house.items()["one"]["id"]), "--owner", "bob")
    house.sluice.call("users", "remove", "ann")
    assert house.items()["one"]["owner"] == "bob"


# -- check ---------------------------------------------------------------------------------------------------


def test_check_judges_and_starts_nothing(house: House) -> None:
    """S0-20: 0 when valid, 78 when not; no watcher, no catalogue where there is none, no folder is made."""
    house.sluice.call("check", code=78)
    assert not house.sluice.data.exists()
    house.sluice.call("users", "add", "ann")
    before = (house.sluice.data / "catalogue.sqlite").read_bytes()
    house.sluice.call("check")
    assert (house.sluice.data / "catalogue.sqlite").read_bytes() == before
    assert not house.processed.exists()
    assert not house.media.exists()


def test_check_looks_at_every_directory(tmp_path: Path) -> None:
    """S0-21, S0-61: a directory that is missing, none, or not readable is each reported by its path."""
    with Sluice(tmp_path / "home", config={}, prefix=obeying_permissions()) as sluice:
        (tmp_path / "file").touch()
        (tmp_path / "secret").mkdir(mode=0o000)
        bad = [tmp_path / name for name in ("missing", "file", "secret")]
        told = sluice.object("check", *bad, code=78)
        for path in bad:
            assert [line for line in told["problems"] if line.startswith(f"{path}: ")], path


def test_check_looks_at_what_is_to_be_written(tmp_path: Path) -> None:
    """S0-23, S0-61: processed directory and target that cannot be written are errors, missing ones are announced."""
    with Sluice(tmp_path / "home", config={}, prefix=obeying_permissions()) as sluice:
        house = House(sluice, tmp_path)
        sluice.call("users", "add", "ann")
        told = sluice.object("check")
        for path in (house.processed, house.media):
            assert [line for line in told["warnings"] if f"{path}: will be created" in line]
            path.mkdir(mode=0o555)
        told = sluice.object("check", code=78)
        for path, key in ((house.processed, "processed_dir"), (house.media, "target")):
            assert [line for line in told["problems"] if line.startswith(f"{path}: ") and f"import.{key}" in line]
            path.chmod(0o755)
        told = sluice.object("check")
        passed = told["roots"][0]["passed"]
        assert f"Processed directory is writable: {house.processed}" in passed
        assert f"Target directory is writable: {house.media}" in passed


def test_check_warns_of_a_folder_that_everybody_may_write(house: House) -> None:
    """S0-68: a watched directory of mode o+w is a warning, and no error."""
    house.sluice.call("users", "add", "ann")
    house.inbox.chmod(0o777)
    told = house.sluice.object("check")
    assert [line for line in told["warnings"] if line.startswith(f"{house.inbox}: ") and "chmod o-w" in line]


def test_check_prints_in_the_order_of_the_monitor(house: House) -> None:
    """S0-20: directories, user, processed directory, warnings, errors, the verdict, then the configuration."""
    house.sluice.call("users", "add", "ann")
    house.processed.mkdir()
    house.inbox.chmod(0o777)
    house.configure(debounce="5s", include=["*.jpg", "*.mp4"])
    lines = [line.strip() for line in house.sluice.call("check").stdout.splitlines()]
    expected = [
        "Found 1 configured directory:",
        f"✓ {house.inbox}",
        'User "ann" exists (ID: 1)',
        f"Processed directory is writable: {house.processed}",
        "Warnings:",
        "The configuration is valid.",
        "Configuration:",
        "Monitored directories: 1",
        f"1. {house.inbox} (inbox)",
        "User: ann",
        "Debounce delay: 5s",
        "Recursive monitoring: yes",
        "Default state: public",
        "File extensions: *.jpg, *.mp4",
        "Move after import: Yes",
        f"Processed directory: {house.processed}",
        f"Import: copy to {house.media} as {{library}}/{{name}}",
    ]
    places = [next((at for at, line in enumerate(lines) if line.removeprefix("✓ ") == one or line == one), -1)
              for one in expected]  # fmt: skip
    assert -1 not in places, dict(zip(expected, places, strict=True))
    assert places == sorted(places)


def test_what_starts_says_what_it_imports(house: House) -> None:
    """S0-58: the start names owner, state, mode, target, and what becomes of the files."""
    house.sluice.call("users", "add", "ann")
    with_service = house.sluice.start()
    (said,) = [line for line in with_service.log_text().splitlines() if line.strip().startswith("imports: ")]
    for part in ("owner: ann", "state: public", f"copy to {house.media}/{{library}}/{{name}}", "after: move"):
        assert part in said
    assert f"processed: {house.processed}" in said


def test_a_start_that_is_refused_late_ends(house: House) -> None:
    """Whatever keeps the parts from being connected ends the process, and the data directory is free again."""
    house.sluice.call("users", "add", "ann")
    house.sluice.environment["PUID"] = "somebody"
    assert "PUID" in house.sluice.call("run", code=78, timeout_s=REFUSED_S).stderr
    until(lambda: not house.sluice.processes(), "no process is left", REFUSED_S)
    del house.sluice.environment["PUID"]
    house.run()


# -- items ---------------------------------------------------------------------------------------------------

FIELDS = {
    *("id", "title", "description", "library", "owner", "state", "kind", "path", "size", "blake3", "file", "at"),
    *("collides_with", "preview", "renditions"),
}


def said(item: Line) -> Line:
    """An item without its preview, which comes when it comes."""
    return {key: value for key, value in item.items() if key != "preview"}


@pytest.mark.parametrize("is_running", [True, False], ids=["beside a service", "without one"])
def test_an_item_is_shown_changed_and_deleted(house: House, *, is_running: bool) -> None:
    """`items` lists, shows, sets and deletes; bytes are never touched."""
    house.sluice.call("users", "add", "ann")
    house.sluice.call("users", "add", "bob")
    content = jpeg("an item")
    path = house.drop("summer.jpg", content)
    if is_running:
        house.wait(house.sluice.start(), "summer")
    else:
        house.run()
    item = house.items()["summer"]
    stored = house.media / "inbox" / "summer.jpg"
    number = str(item["id"])
    assert set(item) == FIELDS
    assert (item["owner"], item["state"], item["library"], item["path"]) == ("ann", "public", "inbox", str(stored))
    assert (item["kind"], item["size"], item["blake3"]) == ("image", len(content), blake3(content).hexdigest())
    shown = house.sluice.object("items", "show", number)
    assert shown["came_from"] == str(path)
    assert (shown["steps"][0]["source"], shown["steps"][0]["target"]) == (str(path), str(stored))
    values = ("--title", "Sommer ☀", "--description", "two\nlines", "--owner", "bob", "--state", "unlisted")
    changed = house.sluice.object("items", "set", number, *values)
    assert [changed[key] for key in ("title", "description", "owner", "state")] == list(values[1::2])
    assert said(house.items()["Sommer ☀"]) == said(changed)
    assert house.sluice.events("item.changed")
    for wrong in (("--state", "secret"), ("--owner", "nobody"), ("--title", " "), ("--title", "a\nb"), ()):
        house.sluice.call("items", "set", number, *wrong, code=2)
    for verb in (("show",), ("set", "--title", "x"), ("delete", number)):
        assert "there is no item 99" in house.sluice.call("items", *verb, "99", code=2).stderr
    assert said(house.items()["Sommer ☀"]) == said(changed)  # all that are named, or none
    (gone,) = house.sluice.lines("items", "delete", number)
    assert gone["path"] == str(stored)
    assert stored.read_bytes() == content
    assert house.sluice.lines("items") == []
    assert [event["data"]["item"] for event in house.sluice.events("item.deleted")] == [item["id"]]


def test_a_deleted_item_is_imported_again(house: House) -> None:
    """S0-60: equal content is imported once; when its item is deleted, the next pass imports it again.

    Only where an equal file still lies in a watched folder, and `items delete` says so.
    """
    house.configure({"after": "keep"}, duplicates={"to": "report"})
    house.sluice.call("users", "add", "ann")
    content = jpeg("s0-60")
    service = house.sluice.start()
    house.drop("first.jpg", content)
    item = house.wait(service, "first")["first"]
    second = house.drop("second.jpg", content)
    service.wait(lambda: house.sluice.events("file.duplicate"), "the copy is told", SOON_S)
    house.sluice.call("scan")
    assert [line["id"] for line in house.sluice.lines("items")] == [item["id"]]
    assert f"item {item['id']} (" in house.sluice.explain(second)["judgement"]["words"]
    said = house.sluice.call("items", "delete", str(item["id"])).stdout
    assert item["path"] in said
    assert "sluice scan" in said
    assert house.sluice.explain(second)["judgement"]["judgement"] == "again"
    house.sluice.call("scan")
    service.wait(lambda: [line for line in house.sluice.lines("items") if line["path"]], "it is an item again", SOON_S)
    (again,) = house.sluice.lines("items")
    assert again["blake3"] == item["blake3"]
    assert Path(again["path"]).read_bytes() == content


# -- explain, status -----------------------------------------------------------------------------------------


def test_explain_tells_every_step_of_a_file(house: House) -> None:
    """S4-64: for each thing that was done with bytes there is a row with before and after, and the time.

    `explain` tells it of the path where the file was, and of the path where it is.
    """
    house.sluice.call("users", "add", "ann")
    content = jpeg("s4-64")
    path = house.drop("a.jpg", content)
    house.run()
    copy = house.drop("b.jpg", content)
    house.run()
    stored, aside = house.media / "inbox" / "a.jpg", house.processed / "imported" / "a.jpg"
    told = house.sluice.explain(path)
    number = told["item"]["id"]
    assert (told["state"], told["rule"]) == ("moved", "action: import")
    assert told["judgement"]["words"] == f"imported as item {number}, to {stored}"
    rows = [(step["purpose"], step["mode"], step["source"], step["target"], step["state"]) for step in told["steps"]]
    assert rows == [
        ("import", "copy", str(path), str(stored), "done"),
        ("processed", "move", str(path), str(aside), "done"),
    ]
    assert all(step["at"] <= step["ended"] for step in told["steps"])
    assert aside.read_bytes() == stored.read_bytes() == content
    told = house.sluice.explain(copy)
    assert (told["judgement"]["judgement"], told["judgement"]["item"]) == ("duplicate", number)
    assert (told["rule"], told["item"]["title"]) == ("duplicates.scope: all", "a")
    assert [step["target"] for step in told["steps"]] == [str(house.processed / "duplicates" / "b.jpg")]
    told = house.sluice.explain(stored)
    assert (told["state"], told["item"]["id"], told["item"]["came_from"]) == ("item", number, str(path))
    assert told["steps"]
    said = house.sluice.call("explain", path).stdout
    for words in (f"import (copy): {path} -> {stored}", f"processed (move): {path} -> {aside}", "item.imported"):
        assert words in said


def test_explain_tells_each_judgement(house: House) -> None:
    """S0-58: what was there before, what the rules refuse, and what lies in our own directories, with what to do."""
    house.configure({"processed_dir": str(house.inbox / "done"), "max_size": 5000}, existing="baseline")
    house.sluice.call("users", "add", "ann")
    old = house.drop("old.jpg", jpeg("old"))
    house.run()
    large = house.drop("large.jpg", jpeg("large", 20_000))
    new = house.drop("new.jpg", jpeg("new"))
    house.run()
    told = house.sluice.explain(old)
    assert (told["state"], told["judgement"]["judgement"], told["rule"]) == (
        "catalogued", "baseline", "existing: baseline",
    )  # fmt: skip
    assert f"sluice import {old}" in told["next"]
    assert told["item"] is None
    told = house.sluice.explain(large)
    assert (told["state"], told["judgement"]["judgement"]) == ("skipped", "refused")
    assert told["rule"] == told["judgement"]["reason"]
    assert house.sluice.explain(new)["judgement"]["judgement"] == "imported"
    told = house.sluice.explain(house.inbox / "done" / "imported" / "new.jpg")
    assert (told["state"], told["rule"]) == ("ignored", "belongs to mediasluice itself")
    assert "import.processed_dir" in told["next"]


def test_why_an_import_waits(house: House) -> None:
    """S0-58: a target that cannot be written is told by `explain` and `status`, and the import follows by itself."""
    house.sluice.call("users", "add", "ann")
    house.media.mkdir()
    (house.media / "inbox").touch()  # a file is where a folder has to be
    service = house.sluice.start()
    path = house.drop("late.jpg", jpeg("late"))
    service.wait(lambda: house.sluice.status()["imports"]["waiting"], "the import waits", SOON_S)
    status = house.sluice.status()
    assert status["imports"]["counts"] == {"pending": 1}
    assert str(house.media / "inbox") in status["imports"]["waiting"]["inbox"]
    assert "imports of inbox wait: " in house.sluice.call("status").stdout
    told = house.sluice.explain(path)
    assert (told["judgement"]["judgement"], told["judgement"]["todo"]) == ("pending", "import")
    assert str(house.media / "inbox") in told["reason"]
    assert told["judgement"]["next_at"] in told["next"]
    assert told["item"]["path"] is None
    assert path.exists()
    os.unlink(house.media / "inbox")
    house.wait(service, "late")
    service.wait(lambda: not house.sluice.status()["imports"]["waiting"], "nothing waits", SOON_S)
    service.stop()
    assert house.sluice.status()["imports"] == {"counts": {"imported": 1}, "waiting": {}}


def test_status_of_who_imports_nothing(sluice_without_imports: Sluice) -> None:
    """Imports are counted in JSON always, and shown to people only where something is imported."""
    assert sluice_without_imports.status()["imports"] == {"counts": {}, "waiting": {}}
    assert "imports:" not in sluice_without_imports.call("status").stdout


@pytest.fixture
def sluice_without_imports(tmp_path: Path) -> Iterator[Sluice]:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(jpeg("only catalogued"))
    with Sluice(tmp_path / "home") as sluice:
        sluice.call("run", tmp_path / "in", "--until-idle", "1s")
        yield sluice
