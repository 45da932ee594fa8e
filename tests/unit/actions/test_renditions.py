"""Where renditions are kept: only what has their names is touched, and only what is whole is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediasluice.actions import renditions
from mediasluice.catalogue.renditions import Name, place
from tests import encoded

DIGEST = bytes(range(32))
PLACE = place(Name(DIGEST, "h264-aac", ".mp4"))


@pytest.fixture
def data(tmp_path: Path) -> bytes:
    return os.fsencode(tmp_path)


def put(data: bytes, content: bytes, at: str = PLACE) -> Path:
    path = renditions.path_of(data, at)
    renditions.make_room(path)
    renditions.make_room(path)  # it may be there
    made = Path(os.fsdecode(path))
    made.write_bytes(content)
    return made


def test_what_the_catalogue_names_is_found_by_its_first_byte(data: bytes) -> None:
    """Both rooms mean the same place; links, directories and names of others are none of ours."""
    made = put(data, b"12345")
    (made.parent / "notes.txt").touch()
    (made.parent / (os.fsdecode(b"\xff") * 3)).touch()
    (made.parent / ("01" * 32 + ".h264-aac.mp4")).touch()  # it belongs elsewhere
    link = made.with_name("00" * 32 + ".aac.m4a")
    link.symlink_to(made)
    assert renditions.stored(data, 0) == {PLACE: 5, place(Name(bytes(32), "aac", ".m4a")): -1}
    assert renditions.stored(data, 1) == {}


def test_only_parts_of_ours_are_cleared(data: bytes) -> None:
    """Those of a process that died, under either of their names; without a directory there is nothing to do."""
    renditions.clear_parts(data)
    folder = put(data, b"made").parent.parent
    part = Path(os.fsdecode(renditions.part_of(data)))
    for name in (part.name, part.name + ".src", "mine.part", "0123.part"):
        (folder / name).touch()
    renditions.clear_parts(data)
    assert sorted(path.name for path in folder.iterdir()) == ["00", "0123.part", "mine.part"]


@pytest.mark.parametrize("suffix", ["mp4", "m4a", "opus"])
def test_what_is_whole_is_adopted_with_what_its_header_says(data: bytes, suffix: str) -> None:
    """A file that was cut off is none, neither is one that is not there, or a link to one that is."""
    kind = encoded.FILMS if suffix in encoded.FILMS else encoded.SOUNDS
    content = (encoded.film if kind is encoded.FILMS else encoded.sound)(suffix, seconds=2.0)
    made = put(data, content)
    path = os.fsencode(made)
    found = renditions.adopt(path)
    assert found is not None
    assert found.size == len(content)
    assert found.duration == pytest.approx(2.0, abs=0.1)
    made.write_bytes(content[: len(content) // 2])
    assert renditions.adopt(path) is None
    made.write_bytes(b"")
    assert renditions.adopt(path) is None
    renditions.remove(path)
    renditions.remove(path)
    assert renditions.adopt(path) is None
    made.symlink_to("/dev/null")
    with pytest.raises(OSError, match="symbolic links"):
        renditions.adopt(path)


def test_room_is_that_of_the_directory_itself(data: bytes) -> None:
    """Before it is there, that of the data directory."""
    assert renditions.free(data)
    put(data, b"1")
    assert renditions.free(data)
