"""Sources outside of the files, by a whole host and with real programs: asked last, once, and never needed (S0-79)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mediasluice.catalogue.location import catalogue_file
from mediasluice.catalogue.view import View
from mediasluice.cli.inside import inside_row
from mediasluice.identify import external
from mediasluice.pipeline import asking
from tests import encoded
from tests.running import Running
from tests.service import Sluice

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="as on Linux"), pytest.mark.timeout(180)]


class Shelf:
    """A folder, and programs that know something about what comes into it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.top = base / "in"
        self.top.mkdir()

    def program(self, name: str, text: str, **rest: Any) -> dict[str, Any]:
        """A source that runs some Python; what it was asked is in ``about``, and written down."""
        script = self.base / f"{name}.py"
        diary = self.base / f"{name}.asked"
        script.write_text(
            "import json, os, sys, time\nabout = json.load(sys.stdin)\n"
            f"open({str(diary)!r}, 'a').write(json.dumps(about) + '\\n')\n{text}\n"
        )
        return {"name": name, "command": [sys.executable, "-S", "-E", str(script)], **rest}

    def asked(self, name: str) -> list[dict[str, Any]]:
        diary = self.base / f"{name}.asked"
        return [json.loads(line) for line in diary.read_text().splitlines()] if diary.exists() else []

    def put(self, name: str, content: bytes | None = None) -> Path:
        path = self.top / name
        path.write_bytes(encoded.sound("flac", name) if content is None else content)
        return path

    def run(self, *sources: dict[str, Any], **rest: Any) -> Running:
        rules = {"settle": {"complete": 0, "unknown": 0, "truncated": 0}, **rest}
        return Running(self.base, {"in": rules}, previews={"of": "none"}, metadata={"sources": list(sources)})


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def rows(host: Running) -> dict[str, dict[str, Any]]:
    """What is shown of each file that was read."""
    return {
        Path(path).name: inside_row(line.inside)
        for path, line in host.lines().items()
        if line.inside is not None and line.inside.found is not None
    }


def tag(host: Running, name: str, which: str) -> object:
    return (rows(host).get(name, {}).get("tags") or {}).get(which)


def kept(host: Running) -> list[tuple[str, str | None, int, bool]]:
    """What is kept of sources: name, what it said, tries that failed, whether it is asked again."""
    with View.open(catalogue_file(host.data)) as view:
        found = view._connection.execute("SELECT source, found, tries, due_us IS NOT NULL FROM external ORDER BY 1, 2")
        return [(name, said, tries, bool(again)) for name, said, tries, again in found.fetchall()]


def test_what_the_file_does_not_say_is_filled(shelf: Shelf) -> None:
    """A source is told what is known, its answer fills what is not, and who said it is shown; it is asked once."""
    source = shelf.program("shelf", "print(json.dumps({'genre': 'Polka', 'title': 'Another', 'odd': [1]}))")
    path = shelf.put("a.flac", encoded.sound("flac", "a", title="Own"))
    for _ in range(2):
        with shelf.run(source) as host:
            host.until(lambda: tag(host, "a.flac", "genre") == "Polka", "the source answered")
            assert tag(host, "a.flac", "title") == "Own"
            assert str(rows(host)["a.flac"]["reader"]).endswith("+external:shelf")
            host.until_idle()
    [about] = shelf.asked("shelf")
    assert (about["path"], about["kind"], about["tags"]["title"]) == (str(path), "audio", "Own")
    assert about["size"] == path.stat().st_size
    assert len(about["digests"]["blake3"]) == 64
    assert about["media"]["container"] == "flac"


def test_equal_contents_are_asked_about_once(shelf: Shelf) -> None:
    """A content is asked about once, whoever holds it, and also when a source knows nothing."""
    source = shelf.program("shelf", "pass")
    content = encoded.sound("flac", "a")
    shelf.put("a.flac", content)
    with shelf.run(source) as host:
        host.until(lambda: kept(host) == [("shelf", None, 0, False)], "it knows nothing")
        shelf.put("b.flac", content)
        host.until(lambda: "b.flac" in rows(host), "the copy is read")
    with shelf.run(source) as host:
        shelf.put("c.flac")
        host.until(lambda: len(kept(host)) == 2, "another one is asked about")
    assert [Path(about["path"]).name for about in shelf.asked("shelf")] == ["a.flac", "c.flac"]


def test_only_of_the_kinds_that_are_wanted(shelf: Shelf) -> None:
    """Others are never asked about."""
    source = shelf.program("shelf", 'print(\'{"album": "X"}\')', kinds=["audio"])
    shelf.put("a.png", encoded.picture("png"))
    shelf.put("b.flac")
    with shelf.run(source) as host:
        host.until(lambda: tag(host, "b.flac", "album") == "X", "the sound is asked about")
        host.until(lambda: "a.png" in rows(host), "the picture is read")
        host.until_idle()
    with shelf.run(source) as host:
        host.until_idle()
    assert [about["kind"] for about in shelf.asked("shelf")] == ["audio"]


@pytest.mark.parametrize(
    ("text", "reason", "timeout"),
    [
        ("os.kill(os.getpid(), 11)", "ended with -11", "1m"),
        ("print('<html>')", "no JSON", "1m"),
        ("sys.exit('no route to host')", "no route to host", "1m"),
        ("time.sleep(3600)", "no answer within", "300ms"),
    ],
    ids=["crashes", "prints nonsense", "is offline", "hangs"],
)
def test_a_source_that_fails_harms_nothing(text: str, reason: str, timeout: str, shelf: Shelf) -> None:
    """The file is read and shown as it is, the failure is told, and it is asked again later."""
    shelf.put("a.flac")
    with shelf.run(shelf.program("shelf", text, timeout=timeout)) as host:
        host.until(lambda: kept(host) == [("shelf", None, 1, True)], "it failed")
        [told] = [values for event, values in host.log.lines if event == "source_failed"]
        assert reason in str(told["reason"])
        assert rows(host)["a.flac"]["reader_error"] is None
        assert "external" not in str(rows(host)["a.flac"]["reader"])


def test_a_command_that_is_missing(shelf: Shelf) -> None:
    """It is like a source that fails; ``sluice check`` says so beforehand, and that is no error."""
    source = {"name": "shelf", "command": ["there-is-no-such-command"]}
    shelf.put("a.flac")
    with shelf.run(source) as host:
        host.until(lambda: kept(host) == [("shelf", None, 1, True)], "it failed")
    document = {"libraries": {"in": {"path": str(shelf.top)}}, "metadata": {"sources": [source]}}
    with Sluice(shelf.base / "home", config=document) as sluice:
        found = sluice.object("check", "--json")
    assert found["ok"] is True
    assert [line for line in found["warnings"] if "shelf" in line and "there-is-no-such-command" in line]


def test_offline_then_back(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some failures it is left alone for a while; when it is back, all that it missed is asked again."""
    monkeypatch.setattr(external, "PAUSE_S", 1.0)
    monkeypatch.setattr(asking, "AGAIN_S", 0.2)
    monkeypatch.setattr(asking, "PAUSE_S", 0.1)
    line = shelf.base / "line"
    text = f"sys.exit('no network') if not os.path.exists({str(line)!r}) else print(json.dumps({{'album': 'X'}}))"
    for number in range(5):
        shelf.put(f"{number}.flac")
    with shelf.run(shelf.program("shelf", text)) as host:
        host.until(lambda: "source_paused" in host.log.events(), "it is left alone")
        host.until(lambda: len(rows(host)) == 5, "all are read meanwhile")
        line.touch()
        host.until(lambda: all(tag(host, f"{number}.flac", "album") == "X" for number in range(5)), "all are answered")
        assert {tries for _, _, tries, _ in kept(host)} == {0}


def test_a_slow_source_slows_nobody(shelf: Shelf) -> None:
    """Files are read, dated and imported while it is asked, another source answers, and the service stops at once."""
    slow = shelf.program("slow", "time.sleep(3600)", timeout="1h")
    quick = shelf.program("quick", 'print(\'{"album": "X"}\')')
    out = shelf.base / "out"
    out.mkdir()
    rules = {"action": "import", "import": {"target": str(out), "mode": "copy"}}
    shelf.put("a.flac")
    host = shelf.run(slow, quick, **rules)
    with host:
        host.until(lambda: shelf.asked("slow"), "it is asked")
        shelf.put("b.flac")
        host.until((out / "b.flac").exists, "a file is imported")
        host.until(lambda: tag(host, "b.flac", "album") == "X", "the other one answered")
        since_s = monotonic()
    assert monotonic() - since_s < 5.0
    assert len(shelf.asked("slow")) == 1
    assert {name for name, *_ in kept(host)} == {"quick"}


def test_templates_know_what_is_known_by_then(shelf: Shelf) -> None:
    """What a source told of a content before it was imported is in the name that it gets."""
    out = shelf.base / "out"
    out.mkdir()
    source = shelf.program("shelf", 'print(\'{"album": "X"}\')')
    shelf.put("a.flac")
    with shelf.run(source) as host:
        host.until(lambda: tag(host, "a.flac", "album") == "X", "the source answered")
    rules = {"action": "import", "import": {"target": str(out), "mode": "copy", "template": "{album}/{name}"}}
    with shelf.run(source, **rules):
        host.until((out / "X" / "a.flac").exists, "it is imported by its album")


def test_a_source_that_is_removed_leaves_nothing(shelf: Shelf) -> None:
    """The first source of the document counts; what one that is gone had said is gone, also by a reload."""
    one = shelf.program("one", 'print(\'{"album": "1"}\')')
    two = shelf.program("two", 'print(\'{"album": "2", "genre": "Polka"}\')')
    shelf.put("a.flac")
    with shelf.run(two, one) as host:
        host.until(lambda: len(kept(host)) == 2, "both answered")
        assert tag(host, "a.flac", "album") == "2"
    with shelf.run(one, two) as host:
        assert tag(host, "a.flac", "album") == "1"
        assert tag(host, "a.flac", "genre") == "Polka"
        host.replace({"in": {}}, previews={"of": "none"}, metadata={"sources": [two]})
        host.until(lambda: tag(host, "a.flac", "album") == "2", "one is forgotten")
    with shelf.run() as host:
        assert kept(host) == []
        assert tag(host, "a.flac", "album") is None
    assert (len(shelf.asked("one")), len(shelf.asked("two"))) == (1, 1)
