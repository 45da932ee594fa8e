"""Row 1: how far what we read in real files agrees with exiftool and ffprobe, per format and in total.

Takes a corpus: a directory with ``manifest.jsonl``, which holds for each file below ``files/`` what both tools said of
it. Reads every file in this process by the readers that the service uses, each within 20 seconds, and works out its
capture time from what stands inside (names and file times say nothing here). Prints percentages with what they are
made of; ``--failures`` lists each disagreement with both values, ``--json`` gives all of it to programs. Ends with 1
when a bar is not reached, 2 without a corpus.

    python -m benchmarks.accuracy [CORPUS] [--failures] [--json] [--only FIELD,...]   # or SLUICE_CORPUS, make accuracy
    python -m benchmarks.accuracy --ask-tools DIR    # any files at all: what the tools installed here say of them
    python -m benchmarks.accuracy --foreign SEED     # files that ffmpeg and exiftool write now

What counts, field by field. A file counts for a field where the tool gives a value; ours missing, ours different and
ours not read at all are wrong alike. What is left out of a percentage is counted beside it, with the reason.

- capture: our capture time is exiftool's DateTimeOriginal, to the second or as far as exiftool goes; fractions and
  offsets are not compared. Left out: blank and zero dates, and those that no camera can have written (before 1990,
  later than tomorrow, a clock that was never set), because our rule is to refuse them.
- claim: the same date stands in our reading as that of EXIF; where exiftool has it of XMP, IPTC or a container (the
  manifest does not say), as that of another source. Left out: blank and zero dates only.
- make, model: equal as text, without blanks and zeros at the ends.
- width, height: equal numbers; as the file stores the picture, before it is turned.
- width_opened: the same of files that a reader of ours understands, as the bar has it.
- gps: both coordinates within 0.0001 degrees (11 m). Left out: half a coordinate.
- orientation: 1 to 8 of EXIF against our rotation and mirroring. Nothing said is 1: that is what a viewer does. In
  HEIF and AVIF the container's own transformations count instead, so that these may rightly differ.
- duration: within 2 % or 0.1 s. rate, channels, codecs, video width and height: equal.
- title, artist, album: equal as text. Several values are equal in any writing (``;``, ``/`` or zero between them).
  Left out: text that ffprobe itself could not decode.
- genre: as title; left out where ffprobe gives the bare number of ID3v1, which we translate.
- date: equal as far as both go, and the year at least. Left out: year 0.
- track: equal numbers, and equal totals where both have one.

"only ours" counts values where the tool has none: neither right nor wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import foreign
from benchmarks.measure import scratch
from benchmarks.truth import described
from mediasluice.identify.capture import Evidence, Rules, capture
from mediasluice.identify.kind import HEAD, kind_of
from mediasluice.identify.opened import Opened
from mediasluice.identify.reading import basic, read
from mediasluice.model.files import Kind
from mediasluice.model.media import Capture, DateSource, Reading

DEADLINE_S = 20
SHOWN = 80  # characters of a value that is listed
FORMATS = {"jpeg": "jpg", "tif": "tiff", "heif": "heic", "hif": "heic", "aif": "aiff", "aifc": "aiff", "oga": "ogg"}
RAW = frozenset(
    b"cr2 cr3 crw nef nrw arw srf sr2 dng raf orf rw2 pef srw mrw kdc dcr iiq x3f 3fr erf mef".decode().split()
)


class Bar(NamedTuple):
    """Percent of agreement that is asked for."""

    what: str
    group: str  # photo, audio, video, or a format
    field: str
    percent: float


BARS = (
    Bar("capture time of photos", "photo", "capture", 96),
    Bar("capture time of JPEG", "jpg", "capture", 99),
    Bar("make", "photo", "make", 96),
    Bar("model", "photo", "model", 96),
    Bar("width of photos that open", "photo", "width_opened", 97),
    Bar("duration of audio", "audio", "duration", 98),
    Bar("sample rate", "audio", "rate", 99),
    Bar("channels", "audio", "channels", 99),
    Bar("title", "audio", "title", 98),
    Bar("artist", "audio", "artist", 98),
    Bar("album", "audio", "album", 98),
    Bar("duration of video", "video", "duration", 96),
)


@dataclass
class Looked:
    """One file: what the tools say of it, and what we do."""

    entry: dict[str, Any]
    kind: Kind
    reading: Reading
    capture: Capture
    seconds: float

    @property
    def format(self) -> str:
        extension = self.entry["ext"].lower()
        return "raw" if extension in RAW else FORMATS.get(extension, extension)

    @property
    def is_open(self) -> bool:
        return bool(self.reading.reader)


class LeftOut(Exception):
    """This value of a tool cannot be compared; the message says why."""


@dataclass
class Score:
    """Of one field of one group of files."""

    right: int = 0
    wrong: int = 0
    ours_only: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def percent(self) -> float | None:
        known = self.right + self.wrong
        return 100 * self.right / known if known else None


class Failure(NamedTuple):
    group: str
    format: str
    field: str
    file: str
    path: str
    theirs: str
    ours: str
    error: str | None


# --- what is compared


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = " ".join(str(value).replace("\0", ";").split()).strip(" ;")
    if "\ufffd" in text:
        raise LeftOut("not decoded by the tool")
    return text or None


def _several(value: object) -> tuple[str, ...] | None:
    text = _text(value)
    return None if text is None else tuple(part.strip() for part in re.split(r"[;/]", text))


def _genre(value: object) -> tuple[str, ...] | None:
    if re.fullmatch(r"\(?\d+\)?", str(value or "").strip()):
        raise LeftOut("a number")
    return _several(value)


def _date_parts(text: object) -> tuple[int, ...] | None:
    """Year, month, day, hour, minute and second, as far as they are there."""
    found = re.match(r"\s*(\d{4})(?:\D(\d\d)(?:\D(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?)?)?", str(text or ""))
    return None if found is None else tuple(int(part) for part in found.groups() if part is not None)


def _original(looked: Looked) -> tuple[int, ...] | None:
    text = looked.entry["exiftool"].get("DateTimeOriginal")
    if text is None:
        return None
    if not re.search(r"[1-9]", str(text)):
        raise LeftOut("blank or zero")
    parts = _date_parts(text)
    if parts is None:
        raise LeftOut("no date")
    return parts


def _plausible_original(looked: Looked) -> tuple[int, ...] | None:
    parts = _original(looked)
    if parts is None:
        return None
    clock = datetime(*(*parts, 1, 1, 0, 0, 0)[: max(3, len(parts))])  # type: ignore[arg-type] # noqa: DTZ001 - a wall clock
    never_set = [datetime(year, 1, 1) for year in (1904, 1970, 1980, 2000)]  # noqa: DTZ001 - as above
    latest = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)
    if clock.year < 1990 or clock > latest or clock in never_set:
        raise LeftOut("implausible")
    return parts


def _same_start(theirs: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    return ours[: len(theirs)] == theirs


def _claims(looked: Looked) -> list[tuple[int, ...]] | None:
    """The dates of EXIF; those of other sources where EXIF has none."""
    claims = looked.reading.dates
    chosen = [claim for claim in claims if claim.source is DateSource.EXIF_ORIGINAL] or claims
    return [parts for claim in chosen if (parts := _date_parts(claim.text))] or None


def _inside(looked: Looked) -> tuple[int, ...] | None:
    """The capture time, where it comes from inside the file."""
    return None if looked.capture.source is DateSource.MTIME else _date_parts(looked.capture.local)


def _place(looked: Looked) -> tuple[float, float] | None:
    exif = looked.entry["exiftool"]
    both = exif.get("GPSLatitude"), exif.get("GPSLongitude")
    if both == (None, None):
        return None
    if None in both:
        raise LeftOut("half a coordinate")
    return float(both[0]), float(both[1])


_TURNED = {1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True)}
_TURNED |= {5: (270, True), 6: (90, False), 7: (90, True), 8: (270, False)}


def _orientation(looked: Looked) -> tuple[int, bool] | None:
    said = looked.entry["exiftool"].get("Orientation")
    if said is None:
        return None
    if said not in _TURNED:
        raise LeftOut("not 1 to 8")
    return _TURNED[said]


def _duration(looked: Looked) -> float | None:
    said = looked.entry["ffprobe"].get("duration")
    return float(said) if said else None


def _year_first(value: object) -> tuple[int, ...] | None:
    parts = _date_parts(value)
    if parts is None and value not in (None, ""):
        raise LeftOut("no year")
    return parts


def _track(value: object) -> tuple[int, int] | None:
    found = re.match(r"\s*0*(\d+)(?:\s*/\s*0*(\d+))?", str(value or ""))
    return None if found is None else (int(found[1]), int(found[2] or 0))


Value = Callable[[Looked], Any]


class Compared(NamedTuple):
    """A field: how to get both values, and whether they agree."""

    name: str
    theirs: Value
    ours: Value
    agree: Callable[[Any, Any], bool] = lambda theirs, ours: bool(theirs == ours)


def _exif(name: str, shape: Callable[[object], object] = lambda value: value) -> Value:
    return lambda looked: shape(looked.entry["exiftool"].get(name))


def _probe(name: str, shape: Callable[[object], object] = lambda value: value) -> Value:
    return lambda looked: shape(looked.entry["ffprobe"].get(name) or None)


def _number(value: object) -> int | None:
    return int(float(str(value))) if value else None


PHOTO = (
    Compared("capture", _plausible_original, _inside, _same_start),
    Compared("claim", _original, _claims, lambda theirs, ours: any(_same_start(theirs, one) for one in ours)),
    Compared("make", _exif("Make", _text), lambda looked: _text(looked.reading.camera.make)),
    Compared("model", _exif("Model", _text), lambda looked: _text(looked.reading.camera.model)),
    Compared("width", _exif("ImageWidth", _number), lambda looked: looked.reading.media.width),
    Compared("height", _exif("ImageHeight", _number), lambda looked: looked.reading.media.height),
    Compared(
        "width_opened",
        lambda looked: _number(looked.entry["exiftool"].get("ImageWidth")) if looked.is_open else None,
        lambda looked: looked.reading.media.width,
    ),
    Compared(
        "gps",
        _place,
        lambda looked: looked.reading.gps and looked.reading.gps[:2],
        lambda theirs, ours: all(abs(a - b) <= 1e-4 for a, b in zip(theirs, ours, strict=True)),
    ),
    Compared(
        "orientation",
        _orientation,
        lambda looked: (looked.reading.media.rotation or 0, bool(looked.reading.media.is_mirrored)),
    ),
)

SOUND = (
    Compared(
        "duration",
        _duration,
        lambda looked: looked.reading.media.duration,
        lambda theirs, ours: abs(theirs - ours) <= max(0.1, 0.02 * theirs),
    ),
    Compared("rate", _probe("sample_rate", _number), lambda looked: looked.reading.media.sample_rate),
    Compared("channels", _probe("channels", _number), lambda looked: looked.reading.media.channels),
    Compared("audio_codec", _probe("acodec"), lambda looked: looked.reading.media.audio_codec),
    Compared("title", _probe("title", _several), lambda looked: _several(looked.reading.tags.title)),
    Compared("artist", _probe("artist", _several), lambda looked: _several(looked.reading.tags.artist)),
    Compared("album", _probe("album", _several), lambda looked: _several(looked.reading.tags.album)),
    Compared(
        "date",
        _probe("date", _year_first),
        lambda looked: _date_parts(looked.reading.tags.date),
        lambda theirs, ours: all(a == b for a, b in zip(theirs, ours, strict=False)),
    ),
    Compared("genre", _probe("genre", _genre), lambda looked: _several(looked.reading.tags.genre)),
    Compared(
        "track",
        _probe("track", _track),
        lambda looked: _track(looked.reading.tags.track),
        lambda theirs, ours: theirs[0] == ours[0] and (theirs[1] == ours[1] or not theirs[1] or not ours[1]),
    ),
)
PICTURES = (
    Compared("video_codec", _probe("vcodec"), lambda looked: looked.reading.media.video_codec),
    Compared("width", _probe("width", _number), lambda looked: looked.reading.media.width),
    Compared("height", _probe("height", _number), lambda looked: looked.reading.media.height),
)
FIELDS: Mapping[str, tuple[str, tuple[Compared, ...]]] = {
    "photo": ("exiftool", PHOTO),
    "audio": ("ffprobe", SOUND),
    "video": ("ffprobe", SOUND + PICTURES),
}


# --- reading the corpus


class _Late(BaseException):
    """A reader took too long. No ``Exception``, so that nobody on the way takes it for one of theirs."""


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def look(folder: Path, entry: dict[str, Any], rules: Rules) -> Looked:
    """Read one file as the service does."""
    path = folder / entry["file"]
    name = os.fsencode(os.path.basename(entry["path"]))
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD), name)
        opened = Opened(file.fileno(), os.fstat(file.fileno()).st_size, bytes(path), kind)
        began = time.perf_counter()
        try:
            with _alarm():
                reading = read(opened)
        except _Late:
            reading = basic(name, f"took longer than {DEADLINE_S} s")
        except MemoryError:
            reading = basic(name, "took all memory")
        seconds = time.perf_counter() - began
    evidence = Evidence(
        claims=reading.dates, kind=kind, container=reading.media.container, make=reading.camera.make, gps=reading.gps
    )
    return Looked(entry, kind, reading, capture(evidence, rules), seconds)


def entries(folder: Path) -> list[dict[str, Any]]:
    """The manifest. exiftool writes invalid UTF-8 now and then."""
    lines = (folder / "manifest.jsonl").read_bytes().decode("utf-8", "replace").splitlines()
    return [json.loads(line) for line in lines if line.strip()]


def folder_of(given: str | None) -> Path | None:
    """The directory with the manifest: the one that is named, or the one above it."""
    if not given:
        return None
    return next((one for one in (Path(given), Path(given).parent) if (one / "manifest.jsonl").is_file()), None)


def looked_at(corpus: str | None, directory: str | None, seed: int | None) -> list[Looked] | None:
    """Read what was asked for; None where there is no corpus."""
    rules = Rules(now_ns=time.time_ns(), zone=UTC)
    if seed is not None:
        with scratch() as written:
            foreign.write(written, seed)
            return [look(written, entry, rules) for entry in described(written)]
    if directory is not None:
        return [look(Path(directory), entry, rules) for entry in described(Path(directory))]
    folder = folder_of(corpus)
    if folder is None:
        return None
    return [look(folder / "files", entry, rules) for entry in entries(folder)]


# --- counting


@dataclass
class Result:
    scores: dict[tuple[str, str], Score]  # by (group or format, field)
    failures: list[Failure]
    files: Counter[str]
    opened: Counter[str]
    no_truth: Counter[str]
    seconds: float
    slowest: tuple[float, str]


def compare(looks: Iterable[Looked], only: frozenset[str] = frozenset()) -> Result:
    """Put each file's values beside each other."""
    scores: dict[tuple[str, str], Score] = defaultdict(Score)
    result = Result(scores, [], Counter(), Counter(), Counter(), 0.0, (0.0, ""))
    for looked in looks:
        group = looked.entry["kind"]
        result.seconds += looked.seconds
        result.slowest = max(result.slowest, (looked.seconds, looked.entry["file"]))
        tool, fields = FIELDS.get(group, ("", ()))
        for counted in (group, looked.format):
            result.files[counted] += 1
            result.opened[counted] += looked.is_open
        truth = looked.entry.get(tool)
        if not truth or truth.get("refused"):
            result.no_truth[group] += 1
            continue
        for compared in fields:
            if not only or compared.name in only:
                _score(looked, compared, [scores[name, compared.name] for name in (group, looked.format)], result)
    return result


def _score(looked: Looked, compared: Compared, scores: list[Score], result: Result) -> None:
    try:
        theirs, ours = compared.theirs(looked), compared.ours(looked)
    except LeftOut as left_out:
        for score in scores:
            score.left_out[str(left_out)] += 1
        return
    if theirs is None:
        for score in scores:
            score.ours_only += ours not in (None, (0, False))
        return
    is_right = ours is not None and compared.agree(theirs, ours)
    for score in scores:
        score.right += is_right
        score.wrong += not is_right
    if not is_right:
        entry = looked.entry
        result.failures.append(
            Failure(
                entry["kind"],
                looked.format,
                compared.name,
                entry["file"],
                f"{entry['repo']}:{entry['path']}",
                str(theirs),
                str(ours),
                looked.reading.error,
            )
        )


def judged(result: Result) -> list[tuple[Bar, Score, bool | None]]:
    """Each bar, and whether it is reached; None where the corpus has nothing to judge it by."""
    found = []
    for bar in BARS:
        score = result.scores.get((bar.group, bar.field), Score())
        found.append((bar, score, None if score.percent is None else score.percent >= bar.percent))
    return found


# --- telling


def _cell(score: Score) -> str:
    return "-" if score.percent is None else f"{score.percent:.1f} ({score.right}/{score.right + score.wrong})"


def _print_table(result: Result, group: str, formats: Iterable[str]) -> None:
    fields = [one.name for one in FIELDS[group][1] if (group, one.name) in result.scores]
    rows = [["", "files", "read", *fields]]
    for name in (*formats, group):
        row = [name, str(result.files[name]), str(result.opened[name])]
        cells = [_cell(result.scores.get((name, one), Score())) for one in fields]
        if any(cell != "-" for cell in cells):
            rows.append(row + cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for one in fields:
        score = result.scores[group, one]
        notes = [f"{count} left out ({why})" for why, count in score.left_out.items()]
        if score.ours_only:
            notes.append(f"{score.ours_only} only ours")
        if notes:
            print(f"  {one}: {', '.join(notes)}")
    print(f"  no truth: {result.no_truth[group]} files\n")


def _print_failures(result: Result) -> None:
    for one in sorted(result.failures):
        error = f"  [{one.error}]" if one.error else ""
        print(
            f"{one.format:<6} {one.field:<12} {one.file}  theirs {one.theirs!r}  ours {one.ours!r}{error}  {one.path}"
        )


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "fields": [
            {
                "of": name,
                "field": one,
                "percent": score.percent,
                "right": score.right,
                "wrong": score.wrong,
                "ours_only": score.ours_only,
                "left_out": dict(score.left_out),
            }
            for (name, one), score in sorted(result.scores.items())
        ],
        "bars": [
            {**bar._asdict(), "measured": score.percent, "reached": is_reached}
            for bar, score, is_reached in judged(result)
        ],
        "files": dict(result.files),
        "read": dict(result.opened),
        "no_truth": dict(result.no_truth),
        "seconds": round(result.seconds, 3),
        "failures": [one._asdict() for one in sorted(result.failures)],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare what we read with exiftool and ffprobe, file by file.")
    parser.add_argument("corpus", nargs="?", default=os.environ.get("SLUICE_CORPUS"))
    parser.add_argument("--ask-tools", metavar="DIR", help="any directory: ask exiftool and ffprobe now")
    parser.add_argument("--foreign", metavar="SEED", type=int, help="have ffmpeg and exiftool write files")
    parser.add_argument("--failures", action="store_true", help="list each disagreement with both values")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="fields, with commas between them")
    given = parser.parse_args()
    looks = looked_at(given.corpus, given.ask_tools, given.foreign)
    if looks is None:
        print("no corpus: name a directory with a manifest.jsonl, or set SLUICE_CORPUS", file=sys.stderr)
        return 2
    result = compare(looks, frozenset(given.only.split(",")) - {""})
    bars = judged(result)
    if given.json:
        print(json.dumps(_as_json(result), indent=1))
    else:
        if given.failures:
            _print_failures(result)
            print()
        for group in FIELDS:
            formats = sorted({looked.format for looked in looks if looked.entry["kind"] == group})
            _print_table(result, group, formats)
        for bar, score, is_reached in bars:
            verdict = {True: "reached", False: "NOT REACHED", None: "nothing to judge by"}[is_reached]
            print(f"{bar.what:<28} {_cell(score):>18}   >= {bar.percent:g} %   {verdict}")
        slowest = f"slowest {result.slowest[0]:.2f} s {result.slowest[1]}"
        print(f"\n{len(looks)} files in {result.seconds:.2f} s, {slowest}")
    return int(any(is_reached is False for _, _, is_reached in bars))


if __name__ == "__main__":
    sys.exit(main())
