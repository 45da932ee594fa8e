"""Which file one is that plays what another one played, and for which files that is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediasluice.catalogue.rows import Outcome
from mediasluice.catalogue.store import Catalogue
from mediasluice.model.files import Kind
from mediasluice.model.flow import IdentifiedFile, RootId
from tests.catalogues import add_root, identified, story

STREAM = ("audio", "mp3", b"packets", 10.0)


def essence(catalogue: Catalogue, file: IdentifiedFile, *streams: Any, state: str = "made", version: int = 1) -> None:
    catalogue.save_essence(file, version, state, None if streams else "why", streams)


def sound(root: RootId, path: bytes, content: bytes, **rest: Any) -> IdentifiedFile:
    return identified(root, path, content, **rest)._replace(kind=Kind.AUDIO)


@pytest.mark.parametrize("together", [True, False])
def test_what_plays_the_same_has_moved(catalogue: Catalogue, root: RootId, file: Path, *, together: bool) -> None:
    """A file of another content and inode that plays what a departed one played is that one, in its next version."""
    old = sound(root, b"a/x", b"one")
    [one] = catalogue.record([old], 10)
    essence(catalogue, old, STREAM)
    catalogue.depart(root, [(b"a", b"x")], 20)
    new, other = sound(root, b"b/y", b"one, tagged"), sound(root, b"b/z", b"two")
    assert catalogue.awaited([new, other, identified(root, b"b/p", b"a picture")]) == [0, 1]
    essence(catalogue, new, ("audio", "mp3", b"packets", 10.5))
    essence(catalogue, other, ("audio", "mp3", b"others", 10.0))
    assert catalogue.awaited([new, other]) == []
    chunks = [[new, other]] if together else [[new], [other]]
    verdicts = [verdict for chunk in chunks for verdict in catalogue.record(chunk, 30)]
    assert verdicts[0] == (one.file, 2, Outcome.MOVED, None)
    assert verdicts[1].outcome is Outcome.CREATED
    assert sorted(story(file)[1:]) == [
        ("file.created", b"b/z", None),
        ("file.modified", b"b/y", None),
        ("file.moved", b"b/y", b"a/x"),
    ]


@pytest.mark.parametrize(
    ("kind", "streams", "version"),
    [
        (Kind.AUDIO, [("audio", "mp3", b"packets", 11.0)], 1),  # a second longer
        (Kind.AUDIO, [("audio", "mp3", b"packets", None)], 1),
        (Kind.AUDIO, [("audio", "aac", b"packets", 10.0)], 1),
        (Kind.AUDIO, [STREAM, ("video", "h264", b"more", 10.0)], 1),
        (Kind.AUDIO, [STREAM], 2),  # taken by another version
        (Kind.AUDIO, [], 1),
        (Kind.VIDEO, [STREAM], 1),
    ],
)
def test_what_plays_something_else_is_new(
    catalogue: Catalogue, root: RootId, kind: Kind, streams: list[Any], version: int
) -> None:
    """Another codec, duration, stream, version or kind, or none that is known: another file."""
    old, new = sound(root, b"x", b"one"), sound(root, b"y", b"two")._replace(kind=kind)
    [one] = catalogue.record([old], 10)
    essence(catalogue, old, STREAM)
    catalogue.depart(root, [(b"", b"x")], 20)
    essence(catalogue, new, *streams, state="made" if streams else "refused", version=version)
    [two] = catalogue.record([new], 30)
    assert (two.outcome, two.file != one.file) == (Outcome.CREATED, True)


def test_of_those_that_play_the_same_the_name_counts(catalogue: Catalogue, root: RootId) -> None:
    """Of several departed files that play the same it is the one with the name, then the one of the root."""
    other = add_root(catalogue, "other")
    files = [sound(other, b"x", b"1"), sound(root, b"d/y", b"2"), sound(other, b"z", b"3"), sound(root, b"q", b"4")]
    ids = [verdict.file for verdict in catalogue.record(files, 10)]
    for file in files:
        essence(catalogue, file, STREAM)
    catalogue.depart_tree(root, b"", 20)
    catalogue.depart_tree(other, b"", 20)
    new = [sound(root, name, b"new " + name) for name in (b"n/x", b"n/y", b"n/w", b"n/v", b"n/u")]
    for file in new:
        essence(catalogue, file, STREAM)
    verdicts = catalogue.record(new, 30)
    assert [verdict.file for verdict in verdicts[:4]] == [ids[0], ids[1], ids[3], ids[2]]
    assert verdicts[4].outcome is Outcome.CREATED


def test_nobody_waits_for_what_is_known(catalogue: Catalogue, root: RootId) -> None:
    """Files that are known already, by path, rename, content or inode, or that cannot be compared, are not awaited."""
    gone, here, moved, missing = (
        sound(root, name, name, ino=number, birth_ns=4_000)
        for number, name in enumerate((b"gone", b"here", b"moved", b"missing"), 1)
    )
    catalogue.record([gone, here, moved, missing], 10)
    assert catalogue.awaited([sound(root, b"new", b"new")]) == []
    catalogue.depart(root, [(b"", b"missing")], 11)
    catalogue.delete([4], 12)
    catalogue.depart(root, [(b"", b"gone")], 20)
    assert catalogue.awaited([sound(root, b"new", b"new")]) == []  # its essence is not known
    essence(catalogue, gone, STREAM)
    known = [
        sound(root, b"here", b"changed"),
        sound(root, b"renamed", b"changed too", ino=3, old=b"moved"),
        sound(root, b"copy", b"gone"),
        sound(root, b"inode", b"changed as well", ino=1, birth_ns=4_000),
        sound(root, b"again", b"missing"),
        sound(root, b"gone", b"anew"),
        sound(root, b"unread", b"in part", full=False),
        identified(root, b"picture", b"picture"),
    ]
    assert catalogue.awaited([*known, sound(root, b"new", b"new"), sound(root, b"n", b"n", old=b"tmp")]) == [8, 9]
