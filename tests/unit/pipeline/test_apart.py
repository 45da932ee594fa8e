"""The process that makes one rendition: which file it takes, what it says, how it ends."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from blake3 import blake3

from mediasluice.actions.copying import AS_IT_IS
from mediasluice.actions.transcoding import Trouble, Untranscoded
from mediasluice.model.files import ChangeKey, Kind
from mediasluice.pipeline.apart import Heard, Order, Where, make
from tests import encoded

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")

SECONDS = 1.0


@pytest.fixture(scope="module")
def content() -> bytes:
    """A film."""
    return encoded.film("mkv", "apart", SECONDS)


def where(path: Path, key: ChangeKey | None = None) -> Where:
    return Where(os.fsencode(path.parent), b"", os.fsencode(path.name), key)


def key_of(path: Path) -> ChangeKey:
    status = path.stat()
    return ChangeKey(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def order(folder: Path, content: bytes, *sources: Where) -> Order:
    return Order(
        "h264-aac",
        sources,
        blake3(content).digest(),
        len(content),
        Kind.VIDEO,
        SECONDS,
        os.fsencode(folder / "made.mp4"),
        os.fsencode(folder / "made.part"),
        AS_IT_IS,
    )


def refusal(asked: Order, heard: list[Heard]) -> Untranscoded:
    with pytest.raises(Untranscoded) as caught:
        make(asked, heard=heard.append, stopped=lambda: False)
    assert not os.path.lexists(asked.part)
    assert not os.path.lexists(asked.target)
    return caught.value


def test_the_first_file_that_holds_the_content_is_taken(tmp_path: Path, content: bytes) -> None:
    """One that is not there, one that changed, a link and other bytes of the same size are passed over and told."""
    good, other = tmp_path / os.fsdecode(b"g\xff\n.mkv"), tmp_path / "other.mkv"
    good.write_bytes(content)
    other.write_bytes(bytes(len(content)))
    (tmp_path / "link.mkv").symlink_to(good)
    sources = [
        where(tmp_path / "none.mkv"),
        where(other),
        where(good, key_of(good)._replace(mtime_ns=1)),
        where(tmp_path / "link.mkv"),
        where(good, key_of(good)),
    ]
    heard: list[Heard] = []
    assert make(order(tmp_path, content, *sources), heard=heard.append, stopped=lambda: False) is None
    assert [one.value for one in heard if one.what == "source"] == [0, 1, 2, 3, 4]
    assert [one.value for one in heard if one.what == "changed"] == [1, 2]
    assert [one.value for one in heard if one.what == "share"][-1] == 1.0
    assert (tmp_path / "made.mp4").stat().st_size
    assert not (tmp_path / "made.part").exists()
    assert good.read_bytes() == content


def test_bytes_prove_what_has_no_key_and_a_key_without_inode_will_do(tmp_path: Path, content: bytes) -> None:
    """Where inodes are not stable they do not count."""
    path = tmp_path / "a.mkv"
    path.write_bytes(content)
    make(order(tmp_path, content, where(path)), heard=lambda _: None, stopped=lambda: False)
    (tmp_path / "made.mp4").unlink()
    make(
        order(tmp_path, content, where(path, key_of(path)._replace(ino=0))), heard=lambda _: None, stopped=lambda: False
    )
    assert (tmp_path / "made.mp4").exists()


def test_without_a_file_the_last_reason_is_told(tmp_path: Path, content: bytes) -> None:
    """Nothing is made, and the reason names the path."""
    assert refusal(order(tmp_path, content), []).reason == "no file that holds it is within reach"
    error = refusal(order(tmp_path, content, where(tmp_path / "none.mkv")), [])
    assert (error.trouble, error.reason) == (Trouble.REFUSED, f"{tmp_path}/none.mkv: No such file or directory")
    (tmp_path / "short.mkv").write_bytes(content[:-1])
    error = refusal(order(tmp_path, content, where(tmp_path / "short.mkv")), [])
    assert error.trouble is Trouble.CHANGED
    assert "is not what was imported any more" in error.reason


def test_what_ffmpeg_says_comes_through(tmp_path: Path) -> None:
    """A source of which nothing can be made is broken, with the reason."""
    broken = b"\x1aE\xdf\xa3" + bytes(1000)
    path = tmp_path / "broken.mkv"
    path.write_bytes(broken)
    error = refusal(order(tmp_path, broken, where(path)), [])
    assert error.trouble is Trouble.BROKEN
    assert error.reason.startswith("ffmpeg: ")


def test_a_stop_ends_it_at_once(tmp_path: Path, content: bytes) -> None:
    """Whatever it does: nothing is left under either name."""
    path = tmp_path / "a.mkv"
    path.write_bytes(content)
    asked = order(tmp_path, content, where(path))
    heard: list[Heard] = []
    with pytest.raises(Untranscoded) as caught:
        make(asked, heard=heard.append, stopped=lambda: True)
    assert caught.value.trouble is Trouble.STOPPED
    with pytest.raises(Untranscoded) as caught:
        make(asked, heard=heard.append, stopped=lambda: any(one.what == "share" for one in heard))
    assert caught.value.trouble is Trouble.STOPPED
    assert not os.path.lexists(asked.part)
    assert not os.path.lexists(asked.target)
