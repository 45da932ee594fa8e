from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediasluice.config import file as files
from mediasluice.errors import BadSetting


def test_the_data_directory_follows_option_variable_and_xdg(tmp_path: Path) -> None:
    """--data wins over SLUICE_DATA, that over $XDG_STATE_HOME, that over ~/.local/state."""
    environ = {"SLUICE_DATA": "/data", "XDG_STATE_HOME": "/state", "HOME": "/home/me"}
    assert files.data_directory(tmp_path, environ) == tmp_path
    assert files.data_directory(None, environ) == Path("/data")
    del environ["SLUICE_DATA"]
    assert files.data_directory(None, environ) == Path("/state/mediasluice")
    environ["XDG_STATE_HOME"] = "relative"  # the XDG rule: does not count
    assert files.data_directory(None, environ) == Path("/home/me/.local/state/mediasluice")


def test_a_relative_option_is_taken_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative --data or --config means the current directory, also after the service has left it."""
    monkeypatch.chdir(tmp_path)
    assert files.data_directory(Path("d"), {}) == tmp_path / "d"
    assert files.documents(Path("c.yaml"), {}) == (tmp_path / "c.yaml",)


def test_every_change_of_a_document_is_noticed(tmp_path: Path) -> None:
    """Adding, writing, replacing and removing a document are changes; looking at it is none."""
    file = tmp_path / "config.yaml"
    before = files.stamp([file])
    assert not files.changed(before)
    file.write_text("a: 1")
    added = files.stamp([file])
    assert files.changed(before)
    assert not files.changed(added)
    file.write_text("a: 12")
    assert files.changed(added)
    written = files.stamp([file])
    replacement = tmp_path / "new"
    replacement.write_text("a: 12")
    os.utime(replacement, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    replacement.replace(file)
    assert files.changed(written)
    replaced = files.stamp([file])
    file.unlink()
    assert files.changed(replaced)


def test_a_document_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A directory in the place of a document is an error, not an empty document."""
    with pytest.raises(BadSetting, match="cannot be read"):
        files.read(tmp_path)
    assert files.read(tmp_path / "none") is None
