from __future__ import annotations

import os
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediasluice.settle.formats import Format, completeness
from tests import samples
from tests.unit.settle import made

Judge = Callable[[bytes], Format]
CUTS_EACH = 250  # of larger files; small ones are cut everywhere


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Judge bytes as a file on disk, with the head that the pipeline reads."""
    fd = os.open(tmp_path_factory.mktemp("formats") / "file", os.O_RDWR | os.O_CREAT)

    def judge(content: bytes) -> Format:
        os.ftruncate(fd, 0)
        os.pwrite(fd, content, 0)
        return completeness(fd, len(content), content[:4096])

    yield judge
    os.close(fd)


@pytest.mark.parametrize("name", made.complete())
def test_what_a_writer_finished_is_complete(judge: Judge, name: str) -> None:
    """Files of the usual writers prove their own end."""
    assert judge(made.complete()[name]) is Format.COMPLETE


@pytest.mark.parametrize("name", made.complete())
def test_what_was_cut_is_never_complete(judge: Judge, name: str) -> None:
    """Wherever a file is cut before its format ends, nothing in what is left passes for the end."""
    content = made.complete()[name]
    end = len(content) - made.ADDITIONS.get(name, 0)
    cuts = set(range(1, end)) if end < 3_000 else set(random.Random(name).sample(range(1, end), CUTS_EACH))
    cuts |= {cut for cut in (*range(end - 40, end), *range(512, end, end // 9 // 512 * 512 or end)) if cut > 0}
    assert [cut for cut in cuts if judge(content[:cut]) is Format.COMPLETE] == []


@pytest.mark.parametrize("name", ["jpeg, large", "png, many parts", "tiff", "webp", "mp4", "mov", "matroska", "wav"])
def test_what_was_cut_in_the_middle_is_known_to_be_truncated(judge: Judge, name: str) -> None:
    """Formats with lengths, and pictures whose data runs into the end, tell that something is missing."""
    content = made.complete()[name]
    for share in (0.3, 0.5, 0.9):
        assert judge(content[: int(len(content) * share)]) is Format.TRUNCATED


BEHIND = ["jpeg", "png", "gif", "webp", "wav", "aiff", "matroska", "tiff", "photoshop", "ogg, opus", "zip", "pdf"]


@pytest.mark.parametrize("name", BEHIND)
def test_bytes_behind_the_end_prove_nothing(judge: Judge, name: str) -> None:
    """What follows a format's end belongs to something that may go on."""
    assert judge(made.complete()[name] + b"more of something") is Format.UNKNOWN


def boxes(*parts: tuple[bytes, int]) -> bytes:
    return b"".join(struct.pack(">I4s", size, kind).ljust(size, b"\0") for kind, size in parts)


HALF = {
    "mp4 without its index": (boxes((b"ftyp", 24), (b"mdat", 500)), Format.TRUNCATED),
    "mp4 without its data": (boxes((b"ftyp", 24), (b"moov", 500)), Format.UNKNOWN),
    "mp4 fragments without an index": (
        boxes((b"ftyp", 24), (b"moov", 90), (b"moof", 90), (b"mdat", 500)),
        Format.UNKNOWN,
    ),
    "mp4 box up to the end": (boxes((b"ftyp", 24)) + b"\0\0\0\0mdat" + b"m" * 99, Format.UNKNOWN),
    "mp4 64-bit box cut": (boxes((b"ftyp", 24)) + struct.pack(">I4sQ", 1, b"mdat", 1 << 40), Format.TRUNCATED),
    "jpeg 2000 codestream up to the end": (
        boxes((b"jP  ", 12)) + b"\0\0\0\0jp2c\xff\x4f some data \xff\xd9",
        Format.COMPLETE,
    ),
    "jpeg xl, last part there": (
        boxes((b"JXL ", 12)) + struct.pack(">I4sI", 20, b"jxlp", 1 << 31).ljust(20, b"x"),
        Format.COMPLETE,
    ),
    "jpeg xl, last part missing": (
        boxes((b"JXL ", 12)) + struct.pack(">I4sI", 20, b"jxlp", 1).ljust(20, b"x"),
        Format.UNKNOWN,
    ),
    "matroska of a live writer": (
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff".ljust(200, b"k"),
        Format.UNKNOWN,
    ),
    "wav before its length is known": (samples.wav_header(44) + b"w" * 900, Format.UNKNOWN),
    "wav header alone": (samples.wav_header(44), Format.UNKNOWN),
    "wav that lacks its padding": (samples.wav_header(1001)[:44].ljust(1000, b"w"), Format.UNKNOWN),
    "jpeg, then one that its index does not name": (samples.jpeg(1) + samples.jpeg(2), Format.COMPLETE),
    "jpeg, the second picture missing": (
        made.complete()["jpeg, several pictures"][: made.complete()["jpeg, several pictures"].rindex(b"\xff\xd8\xff")],
        Format.UNKNOWN,
    ),
    "jpeg, its film missing": (
        made.motion_photo()[: made.motion_photo().index(b"\0\0\0\x20ftyp")],
        Format.UNKNOWN,
    ),
    "jpeg that ends in its thumbnail": (
        made.jpeg_with(made.exif_with_thumbnail())[: len(made.exif_with_thumbnail()) + 2],
        Format.TRUNCATED,
    ),
    "jpeg, cut soon after the scan begins": (samples.jpeg(1)[:-3] + b"\xff\0\x12" * 8, Format.TRUNCATED),
    "jpeg, zeros to be filled": (samples.jpeg(1).ljust(9000, b"\0"), Format.UNKNOWN),
    "gif in the middle": (made.complete()["gif"][:5000], Format.TRUNCATED),
    "flac without frames": (made.complete()["flac"][: made.complete()["flac"].index(b"\xff\xf8")], Format.TRUNCATED),
    "mp3 without a count": (b"\xff\xfb\x90\x00".ljust(417, b"m") * 9, Format.UNKNOWN),
    "mp3 with less than it counts": (made.complete()["mp3"][:-500], Format.TRUNCATED),
    "id3 tag alone": (made.id3v2(), Format.UNKNOWN),
    "id3 tag cut": (made.id3v2()[:-1], Format.TRUNCATED),
    "aac": (b"\xff\xf1\x50\x80\x02\x1f\xfc".ljust(300, b"a"), Format.UNKNOWN),
    "pdf, first revision of a linearized one": (
        b"%PDF-1.4\n1 0 obj<</Linearized 1 /L 9000 /H [1 2]>>endobj\nstartxref\n0\n%%EOF\n",
        Format.TRUNCATED,
    ),
    "pdf whose end is that of an embedded one": (b"%PDF-1.4\n" + b"x" * 99 + b"\nstartxref\n50\n%%EOF", Format.UNKNOWN),
    "archive whose end is that of an inner one": (
        b"PK\3\4" + bytes(22) + b"\1\0\0\0" + b"n" + made.packed(),
        Format.UNKNOWN,
    ),
    "text": (b"hello, world", Format.UNKNOWN),
    "one byte": (b"\xff", Format.UNKNOWN),
    "empty": (b"", Format.UNKNOWN),
}


@pytest.mark.parametrize(("content", "expected"), HALF.values(), ids=HALF)
def test_half_a_file_is_judged_by_its_format(judge: Judge, content: bytes, expected: Format) -> None:
    """Cuts at the very places where a format seems to end are not taken for the end."""
    assert judge(content) is expected


@given(
    st.sampled_from(sorted(made.complete())),
    st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 900),
)
def test_damage_is_survived(judge: Judge, name: str, changes: list[tuple[int, int]], lost: int) -> None:
    """Whatever bytes stand where lengths and offsets should be, there is an answer."""
    content = bytearray(made.complete()[name])
    for at, value in changes:
        content[at % len(content)] = value
    assert judge(bytes(content[: len(content) - lost % len(content)])) in Format


@given(st.sampled_from([content[:4] for content in made.complete().values()]), st.binary(max_size=300))
def test_a_signature_before_nonsense_is_survived(judge: Judge, signature: bytes, rest: bytes) -> None:
    """A file that only begins like a format is no error."""
    assert judge(signature + rest) in Format


def test_a_file_that_shrinks_while_it_is_judged_is_unknown(tmp_path: Path) -> None:
    """A size that is not true any more proves nothing."""
    path = tmp_path / "file"
    path.write_bytes(made.complete()["jpeg, large"])
    size = path.stat().st_size
    os.truncate(path, 5000)
    fd = os.open(path, os.O_RDONLY)
    assert completeness(fd, size, os.pread(fd, 4096, 0)) is Format.UNKNOWN
    os.close(fd)


def test_the_effort_is_bounded(tmp_path: Path) -> None:
    """A file made to lead the gate on a long way costs 64 reads and is unknown."""
    path = tmp_path / "file"
    path.write_bytes(boxes((b"ftyp", 24)) + boxes((b"free", 8)) * 200_000)
    fd = os.open(path, os.O_RDONLY)
    assert completeness(fd, path.stat().st_size, os.pread(fd, 64, 0)) is Format.UNKNOWN
    os.close(fd)


def test_real_files_are_complete_or_unknown_and_their_cuts_never_complete(corpus: Path, judge: Judge) -> None:
    """In a corpus with some damaged files hardly any is truncated; cut at random, none is complete."""
    verdicts: Counter[Format] = Counter()
    passed: list[tuple[str, int]] = []
    for path in sorted((corpus / "files").iterdir()):
        content = path.read_bytes()
        verdict = judge(content)
        verdicts[verdict] += 1
        whole = content.rstrip(b"\0\t\r\n ")  # padding behind an end may be lost
        if whole[-128:-125] == b"TAG":  # a tag behind the sound as well
            whole = whole[:-128]
        if verdict is Format.COMPLETE and len(whole) > 600 and path.suffix != ".pdf":  # PDF: several revisions
            cuts = random.Random(path.name).sample(range(1, len(whole)), 12)
            passed += [(path.name, cut) for cut in cuts if judge(content[:cut]) is Format.COMPLETE]
    assert passed == []
    assert verdicts[Format.COMPLETE] > 0.7 * verdicts.total()
    assert verdicts[Format.TRUNCATED] < 0.06 * verdicts.total()
