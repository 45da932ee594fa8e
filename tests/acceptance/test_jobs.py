"""Long work through the real service: begun by hand, by the clock and by sinks; cut off, taken up, and told."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mediasluice.catalogue.location import catalogue_file
from mediasluice.identify.reading import READER_VERSION
from tests.brokers import Consumers
from tests.samples import jpeg
from tests.service import Line, Service, Sluice, until

SOON_S = 40.0

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def sluice(tmp_path: Path) -> Iterator[Sluice]:
    with Sluice(tmp_path / "home", config={}) as it:
        yield it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def done(sluice: Sluice, service: Service, job: int) -> Line:
    """Wait until a job ended well."""
    service.wait(lambda: sluice.object("jobs", "show", str(job))["state"] == "done", f"job {job}", SOON_S)
    return sluice.object("jobs", "show", str(job))


def test_a_file_that_rotted_is_told_and_left_alone(sluice: Sluice, folder: Path) -> None:
    """What differs from its digest though size and times do not is found by reading again, and not touched."""
    sluice.configure({"libraries": {"in": {"path": str(folder)}}})
    for name in "abc":
        (folder / f"{name}.jpg").write_bytes(jpeg(name))
    sluice.call("scan")
    with closing(sqlite3.connect(catalogue_file(sluice.data))) as connection:  # as if the disk had changed and not this
        connection.execute("UPDATE content SET blake3 = zeroblob(32) WHERE id = 2")
        connection.execute("UPDATE digest SET blake3 = zeroblob(32) WHERE content = 2")
        connection.commit()
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    service = sluice.start()
    row = done(sluice, service, sluice.object("jobs", "run", "verify", "library=in")["id"])
    assert (row["result"]["files"], row["result"]["damaged"], row["done"]) == (3, 1, row["total"])
    [line] = [line for line in service.log_text().splitlines() if "damaged" in line and "level=error" in line]
    assert str(folder) in line
    assert sluice.status()["damaged"] == 1
    assert [sluice.explain(folder / f"{name}.jpg")["damaged"] is not None for name in "abc"].count(True) == 1
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()} == before


def test_jobs_without_a_service_wait_for_one(sluice: Sluice, folder: Path) -> None:
    """What is queued, cancelled and resumed while nothing runs holds for the next service."""
    sluice.configure({"libraries": {"in": {"path": str(folder)}}})
    sluice.call("scan")
    first = sluice.object("jobs", "run", "scan", "library=in")["id"]
    assert sluice.object("jobs", "run", "scan", "library=in")["id"] == first
    second = sluice.object("jobs", "run", "retention")["id"]
    assert sluice.object("jobs", "cancel", str(second))["state"] == "cancelled"
    sluice.call("jobs", "run", "sweep", code=2)
    sluice.call("jobs", "show", "99", code=2)
    service = sluice.start()
    done(sluice, service, first)
    assert sluice.object("jobs", "show", str(second))["state"] == "cancelled"
    third = sluice.object("jobs", "resume", str(second))["id"]
    done(sluice, service, third)
    assert {row["id"] for row in sluice.lines("jobs")} >= {first, third}


def test_a_sink_gets_digests_of_what_was_there_before(
    sluice: Sluice, folder: Path, broker_url: str, tmp_path: Path
) -> None:
    """Files that were catalogued without SHA-256 are read again when a sink tells it, and announced with it."""
    sluice.configure({"libraries": {"in": {"path": str(folder)}}})
    for name in "abc":
        (folder / f"{name}.jpg").write_bytes(jpeg(name))
    service = sluice.start()
    service.wait_catalogued([folder / f"{name}.jpg" for name in "abc"], SOON_S)
    exchange = f"later-{tmp_path.name}"
    consumers = Consumers(broker_url, exchange)
    consumers.declare()
    try:
        sink = {"type": "rabbitmq", "url": broker_url, "exchange": exchange}
        sluice.configure({"libraries": {"in": {"path": str(folder)}}, "sinks": {"told": sink}})
        until(lambda: sluice.lines("sinks"), "the sink is there", SOON_S)
        service.wait(lambda: sluice.lines("sinks")[0]["pending"] == 0, "told", SOON_S)
        told = {one.body["file_path"]: one.body["sha256_hash"] for one in consumers.take()}
        files = [folder / f"{name}.jpg" for name in "abc"]
        assert told == {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        assert [row["kind"] for row in sluice.lines("jobs") if row["asked_by"] == "sink"] == ["digests"]
    finally:
        consumers.remove()


def test_sweeps(sluice: Sluice, folder: Path) -> None:
    """Reading anew and making what is made on request are jobs that end, with what they did."""
    sluice.configure({"libraries": {"in": {"path": str(folder)}}})
    (folder / "a.jpg").write_bytes(jpeg("a"))
    sluice.call("scan")
    with closing(sqlite3.connect(catalogue_file(sluice.data))) as connection:
        connection.execute("UPDATE reading SET version = version - 1")
        connection.commit()
    service = sluice.start()
    done(sluice, service, sluice.object("jobs", "run", "read")["id"])
    assert done(sluice, service, sluice.object("jobs", "run", "make", "what=likeness")["id"])["done"] == 1
    with closing(sqlite3.connect(f"file:{catalogue_file(sluice.data)}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM reading WHERE version = ?", (READER_VERSION,)).fetchone() == (
            1,
        )
    assert done(sluice, service, sluice.object("jobs", "run", "make", "what=preview")["id"])["done"] == 1
    done(sluice, service, sluice.object("jobs", "run", "transcode")["id"])
    failed = sluice.object("jobs", "run", "make", "what=coffee")["id"]
    service.wait(lambda: sluice.object("jobs", "show", str(failed))["state"] == "dead", "it fails", SOON_S)
    assert "what=essence" in sluice.object("jobs", "show", str(failed))["reason"]
