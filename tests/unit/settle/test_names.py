from __future__ import annotations

import pytest

from mediasluice.settle.names import companion_of, companions, held_by


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (b"film.mp4.part", "*.part"),
        (b"FILM.MP4.PART", "*.part"),
        (b"film.mp4.crdownload", "*.crdownload"),
        (b"film.mp4.partial", "*.partial"),
        (b"film.mp4.filepart", "*.filepart"),
        (b"film.mp4.!qB", "*.!qb"),
        (b"film.mp4.aria2", "*.aria2"),
        (b"film.tmp", "*.tmp"),
        (b".~lock", ".~*"),
        (b"~$report.docx", "~$*"),
        (b"~syncthing~film.mp4.tmp", "*.tmp"),
        (b"~syncthing~film.mp4", "~syncthing~*"),
        (b".syncthing.film.mp4.tmp", "*.tmp"),
        (b".film.mp4.aB3xYz", ".NAME.XXXXXX"),
        (b".film.mp4.~1a2b3c", ".NAME.~*"),
        (b".in.film.mp4.", ".in.*."),
        (b"\xfcber\n.part", "*.part"),
    ],
    ids=repr,
)
def test_a_temporary_name_is_held_by_the_pattern_that_it_matches(name: bytes, pattern: str) -> None:
    """Names of unfinished transfers are recognised, whatever their case or bytes."""
    assert held_by(name) == pattern


@pytest.mark.parametrize(
    "name",
    [
        *(b"film.mp4", b"part", b"a.partly.mp4", b"tmp.mp4", b".hidden.jpg", b"~film.mp4", b"spare.parts"),
        *(b".film.mp4.abcdefg", b"film.mp4.aB3xYz", b"\xff\xfe", b"download", b"x.downloads", b"a~"),
    ],
    ids=repr,
)
def test_an_ordinary_name_is_not_held(name: bytes) -> None:
    """A name is held only as a whole pattern says, never by resemblance."""
    assert held_by(name) is None


@pytest.mark.parametrize(
    ("directory", "pattern"),
    [
        (b"in/.rsync-partial", ".rsync-partial/"),
        (b".~tmp~", ".~tmp~/"),
        (b"tv/_UNPACK_show/disc1", "_UNPACK_*/"),
        (b"film.mp4.download", "*.download/"),
        (b"in/rsync-partial", None),
        (b"_UNPACKED", None),
        (b"downloads", None),
    ],
    ids=repr,
)
def test_a_directory_of_an_unfinished_transfer_holds_what_is_below(directory: bytes, pattern: str | None) -> None:
    """Some programs give the final name at once and mark the directory instead."""
    assert held_by(b"film.mp4", directory) == pattern


def test_companions_are_names_that_can_exist() -> None:
    """Nothing is looked up that the file system could not hold, and every companion leads back."""
    assert companions(b"x" * 252) == ()
    assert b"film.mp4.aria2" in companions(b"film.mp4")
    assert {companion_of(companion) for companion in companions(b"film.mp4")} == {b"film.mp4"}
    assert companion_of(b"film.mp4") is None
    assert companion_of(b".part") is None
