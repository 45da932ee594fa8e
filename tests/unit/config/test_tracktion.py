"""The environment of Tracktion's file watcher: each variable of its documentation, and nothing of it by accident."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mediasluice.config.file import data_directory
from mediasluice.config.layers import Loaded, load
from mediasluice.config.sinks import RabbitMQ
from mediasluice.errors import BadSetting


def started(tmp_path: Path, overrides: Any = None, **environ: str) -> Loaded:
    """What a start finds with this environment and no document, unless one lies in its place."""
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    return load(None, {**home, **environ}, overrides or {}, system=tmp_path)


def sink(loaded: Loaded) -> RabbitMQ:
    found = loaded.settings.sinks["tracktion"]
    assert isinstance(found, RabbitMQ)
    return found


@pytest.mark.parametrize(
    "variable", ["RABBITMQ_HOST", "RABBITMQ_URL", "INSTANCE_ID", "FILE_WATCHER_SCAN_PATH", "DATA_DIR"]
)
def test_any_variable_is_enough(tmp_path: Path, variable: str) -> None:
    """With one variable set, the watcher's whole set-up is there: its library, its suffixes, its exchange."""
    value = {"RABBITMQ_URL": "amqp://broker", "INSTANCE_ID": "one"}.get(variable, "/music")
    loaded = started(tmp_path, **{variable: value})
    assert loaded.settings.preset == "tracktion"
    assert "*.flac" in loaded.settings.sections["music"].include
    assert (sink(loaded).exchange, sink(loaded).announce_existing) == ("file_events", True)
    assert "sha256" in loaded.settings.algorithms()


def test_defaults(tmp_path: Path) -> None:
    """S2-40, S2-43..S2-46: /data/music, and guest at localhost."""
    loaded = started(tmp_path, INSTANCE_ID="one")
    assert loaded.settings.sections["music"].path == b"/data/music"
    assert sink(loaded).url == "amqp://guest:guest@localhost:5672/"
    assert sink(loaded).instance_id == "one"


def test_the_broker_by_its_parts(tmp_path: Path) -> None:
    """S2-43..S2-46: host, port, user and password; what an address cannot hold is written as it can."""
    parts = {"HOST": "broker", "PORT": "5673", "USER": "me", "PASS": "a/b@c"}
    loaded = started(tmp_path, **{f"RABBITMQ_{name}": value for name, value in parts.items()})
    assert sink(loaded).url == "amqp://me:a%2Fb%40c@broker:5673/"
    assert sink(started(tmp_path, RABBITMQ_HOST="::1")).url == "amqp://guest:guest@[::1]:5672/"


def test_the_address_wins_over_the_parts(tmp_path: Path) -> None:
    """S2-47: with RABBITMQ_URL the parts do not count; an empty one is none."""
    assert sink(started(tmp_path, RABBITMQ_URL="amqp://a", RABBITMQ_HOST="b")).url == "amqp://a"
    assert "@b:" in sink(started(tmp_path, RABBITMQ_URL="", RABBITMQ_HOST="b")).url


def test_the_older_name_of_the_folder(tmp_path: Path) -> None:
    """S2-48: FILE_WATCHER_SCAN_PATH counts where DATA_DIR is not set, and the origin names it."""
    loaded = started(tmp_path, FILE_WATCHER_SCAN_PATH="/old")
    assert loaded.settings.sections["music"].path == b"/old"
    assert loaded.origins["libraries", "music", "path"] == "environment FILE_WATCHER_SCAN_PATH"
    both = started(tmp_path, FILE_WATCHER_SCAN_PATH="/old", DATA_DIR="/new")
    assert both.settings.sections["music"].path == b"/new"


def test_how_many_files_at_once(tmp_path: Path) -> None:
    """S2-42: no more files are read at once than MAX_CONCURRENT_FILES says, nor more than there are processors."""
    assert started(tmp_path, MAX_CONCURRENT_FILES="1").settings.work.readers == 1
    assert started(tmp_path, MAX_CONCURRENT_FILES="100").settings.work.readers == min(64, os.cpu_count() or 1)


@pytest.mark.parametrize(
    "environ", [{"RABBITMQ_PORT": "http"}, {"RABBITMQ_PORT": "99999"}, {"MAX_CONCURRENT_FILES": "0"}]
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, environ: dict[str, str]) -> None:
    """A number that is none ends the start, with the name of the variable."""
    with pytest.raises(BadSetting, match=next(iter(environ))):
        started(tmp_path, **environ)


def test_nothing_by_accident(tmp_path: Path) -> None:
    """The broker's own variables, DATA_DIR beside a document, a folder or a document that was named: no watcher."""
    assert started(tmp_path, RABBITMQ_NODENAME="rabbit@here").settings.sinks == {}
    folder = {"libraries": {"a": {"path": "/a"}}}
    assert started(tmp_path, folder, INSTANCE_ID="one").settings.sinks == {}
    file = tmp_path / "own.yaml"
    file.write_text("libraries: {a: {path: /a}}")
    assert load(file, {"INSTANCE_ID": "one"}, {}).settings.sinks == {}
    (tmp_path / "mediasluice").mkdir()
    (tmp_path / "mediasluice" / "config.yaml").write_text("libraries: {a: {path: /a}}")
    assert started(tmp_path, DATA_DIR="/music").settings.sinks == {}
    assert started(tmp_path, INSTANCE_ID="one").settings.sections.keys() == {"a", "music"}


def test_our_own_names_go_over_it(tmp_path: Path) -> None:
    """What SLUICE_ variables say counts more."""
    loaded = started(tmp_path, INSTANCE_ID="one", SLUICE_SINKS__TRACKTION__DUPLICATES="omit")
    assert sink(loaded).duplicates == "omit"


def test_each_instance_has_its_state(tmp_path: Path) -> None:
    """Keyed by INSTANCE_ID, else by the folder; a directory that is named counts more."""
    base = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "none")}
    states = {
        data_directory(None, {**base, **more})
        for more in (
            *({"INSTANCE_ID": "a"}, {"INSTANCE_ID": "b"}, {"INSTANCE_ID": "a/b"}, {"INSTANCE_ID": "a:b"}),
            *({"DATA_DIR": "/one"}, {"DATA_DIR": "/two"}, {}),
        )
    }
    assert len(states) == 7
    assert all(tmp_path / "mediasluice" in (state, state.parent) for state in states)
    same = {data_directory(None, {**base, "DATA_DIR": path}) for path in ("/one", "/one/", "/one/../one")}
    assert len(same) == 1
    assert data_directory(None, {**base, "INSTANCE_ID": "a", "SLUICE_DATA": "/state"}) == Path("/state")
    assert data_directory(tmp_path, {**base, "INSTANCE_ID": "a"}) == tmp_path
