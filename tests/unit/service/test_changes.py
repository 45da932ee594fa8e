"""Changes that people ask for: what is refused changes nothing, and disturbs nobody who writes beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.store import Catalogue
from mediasluice.catalogue.view import View
from mediasluice.errors import LockHeld, SluiceError, UsageError
from mediasluice.model.imports import ImportRules
from mediasluice.model.roots import Library, RootIdentity, Rules
from mediasluice.service.changes import CHANGES, LARGEST_ID, account_name, change, item_values
from mediasluice.service.lock import DataLock
from tests.catalogues import identified


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """One with the account ann and two items of hers, 1 and 2."""
    with Catalogue.open(catalogue_file(tmp_path)) as made:
        root = made.register(Library("photos", b"/photos", Rules()), RootIdentity(b"disk-1", 2)).id
        made.add_account("ann", 1)
        verdicts = made.record([identified(root, name, name) for name in (b"a.jpg", b"b.jpg")], 1)
        made.judge(root, ImportRules(owner="ann"), [verdict.file for verdict in verdicts], 1)
        yield made


def stored(tmp_path: Path) -> list[tuple[int, str, str | None, str]]:
    with View.open(catalogue_file(tmp_path)) as view:
        return [(line.id, line.title, line.owner, line.state) for line in view.items()]


BOTH = [(1, "a", "ann", "public"), (2, "b", "ann", "public")]

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("users.add", {"name": "a/b"}),
    ("users.add", {"name": "ann"}),
    ("users.remove", {"name": "nobody"}),
    ("users.remove", {"name": "ann"}),  # owns items
    ("items.set", {"id": 9, "values": {"title": "x"}}),
    ("items.set", {"id": 1, "values": {"title": "x", "owner": "nobody"}}),
    ("items.set", {"id": 1, "values": {"state": "secret"}}),
    ("items.set", {"id": 1, "values": {"title": "no text: \udcff"}}),
    ("items.set", {"id": LARGEST_ID + 1, "values": {"title": "x"}}),
    ("items.delete", {"ids": [1, 9]}),
    ("items.delete", {"ids": [LARGEST_ID + 1]}),
    ("items.delete", {"ids": [0]}),
]


@pytest.mark.parametrize(("what", "params"), REFUSED, ids=[f"{what} {params}" for what, params in REFUSED])
def test_what_is_refused_leaves_the_transaction_as_it_was(
    catalogue: Catalogue, tmp_path: Path, what: str, params: dict[str, Any]
) -> None:
    """The writer shares a transaction between whoever asks: a mistake of one is not the loss of the others."""
    with catalogue.transaction():
        catalogue.add_account("before", 1)
        with pytest.raises(SluiceError):
            CHANGES[what](catalogue, params)
        catalogue.add_account("after", 1)
    assert stored(tmp_path) == BOTH
    with View.open(catalogue_file(tmp_path)) as view:
        assert [name for name, _, _ in view.accounts()] == ["after", "ann", "before"]
        assert not [event for event in view.events() if event.type.value in ("item.changed", "item.deleted")]


def test_what_is_refused_alone_changes_nothing(catalogue: Catalogue, tmp_path: Path) -> None:
    """Outside of a transaction as well."""
    for what, params in REFUSED:
        with pytest.raises(SluiceError):
            CHANGES[what](catalogue, params)
    assert stored(tmp_path) == BOTH


def test_a_mistake_of_another_sort_still_undoes_everything(catalogue: Catalogue) -> None:
    """Only what is refused is forgiven: a transaction that failed halfway is never committed."""

    def fail() -> None:
        with catalogue.transaction():
            catalogue.add_account("before", 1)
            with pytest.raises(ZeroDivisionError), catalogue.attempt():
                _ = 1 // 0

    with pytest.raises(RuntimeError, match="cannot be committed"):
        fail()
    assert not catalogue.has_account("before")


def test_changes_are_made_and_told(catalogue: Catalogue, tmp_path: Path) -> None:
    """An item has another title, owner and state, or is gone; the event log says so."""
    CHANGES["users.add"](catalogue, {"name": "bob"})
    CHANGES["items.set"](catalogue, {"id": 1, "values": {"title": "Ü", "owner": "bob", "state": "private"}})
    CHANGES["items.delete"](catalogue, {"ids": [2, 2]})
    assert stored(tmp_path) == [(1, "Ü", "bob", "private")]
    with View.open(catalogue_file(tmp_path)) as view:
        assert [event.type.value for event in view.events()][-2:] == ["item.changed", "item.deleted"]
        assert view.account("bob") == 2
        assert view.account("nobody") is None


def test_without_a_service_the_command_writes_itself(tmp_path: Path) -> None:
    """The catalogue is made when there is none; who cannot have the lock is told to come again."""
    data = tmp_path / "new"
    assert change(data, "users.add", {"name": "ann"}) == {"name": "ann"}
    with View.open(catalogue_file(data)) as view:
        assert view.account("ann") == 1
    with DataLock.acquire(data), pytest.raises(LockHeld):
        change(data, "users.add", {"name": "bob"})
    change(data, "users.add", {"name": "bob"})


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\\b", "a\nb", "a\tb", "\x7f", "\udcff", "x" * 151], ids=repr)
def test_a_name_that_no_account_may_have(name: str) -> None:
    """One line of text without slashes, 150 characters at most."""
    with pytest.raises(UsageError):
        account_name(name)


@pytest.mark.parametrize("name", ["ann", "Zoë Müller", "山田", "a@b.example", "x" * 150], ids=repr)
def test_a_name_that_an_account_may_have(name: str) -> None:
    """Letters of any language, spaces and signs."""
    assert account_name(name) == name


def test_a_description_may_have_lines_and_a_title_may_not() -> None:
    """Control characters are refused in both."""
    assert item_values({"description": "one\ntwo"}) == {"description": "one\ntwo"}
    for values in ({"title": "one\ntwo"}, {"description": "bell \a"}, {"title": ""}):
        with pytest.raises(UsageError):
            item_values(values)
