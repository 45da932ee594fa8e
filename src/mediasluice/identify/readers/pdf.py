"""Read a PDF: how many pages it has, its title and its author.

Takes an open file. Gives a :class:`Reading`; where the document is encrypted, cut or damaged, what can be read all the
same, and the reason in ``error``. Pages are counted by walking their tree, because the number that a document declares
may be wrong; that number is believed where the tree is too large to be walked and the file has as many objects. A file
whose table of objects is lost is searched for them, as viewers do, if it is not too large. The date of a PDF says when
a program wrote it: it is no capture date, and is left out.

Bounded by counts, not by time: bytes and reads of the file, bytes that come out of a compressed stream, nodes of the
tree, and what pypdf limits by itself (elements, nesting, references in a circle).
Fails with: ``Refused``, when it is no PDF, or without its end too large to be searched; ``OSError`` of a read;
``MemoryError``.
Source: ISO 32000-1:2008, 7.5 (file structure), 7.7.3 (page tree), 14.3 (metadata); Annex H of Adobe's PDF Reference 1.7
for what viewers accept in front of the header.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers import xmp
from mediasluice.model.media import Media, Reading, Tags

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from pypdf import PdfReader

HEADER_WITHIN = 1024  # bytes from the start
END_WITHIN = 64 << 10  # bytes before the end, chosen: some servers add a page of HTML behind it
READ_MAX = 64 << 20  # bytes read of one file, chosen: every object of a book of 100,000 is touched once
BLOCK = 512  # bytes read at once, chosen: what is looked at lies scattered, and most of it is short
IN_A_ROW_MAX = 8192  # blocks read one behind the other, chosen: a table of 200,000 objects; else it is one huge value
SEARCHED_MAX = 32 << 20  # bytes of a damaged file that is searched for objects, chosen: a second's work
OBJECTS_MAX = 50_000  # of such a file, measured: another second
CATALOGS_MAX = 100  # objects that are asked whether they are the catalogue, chosen: each may cost a search
INFLATED_MAX = 8 << 20  # bytes out of one compressed stream, chosen: a table of a million objects
STREAM_MAX = 16 << 20  # bytes that a stream may have, chosen: tables are far smaller, and pictures are not read
WALKED_MAX = 2_000  # nodes of the page tree, measured: 50 ms
TEXT_MAX = 1_000  # characters of a title, chosen: longer ones got there by accident

_END = re.compile(rb"%%EOF[\r\n]{0,2}")
_CATALOG = re.compile(rb"/Type\s{0,8}/Catalog\b")
_OBJECT = re.compile(rb"(\d{1,10})\s{1,8}(\d{1,5})\s{1,8}obj\b")
_BEFORE_CATALOG = 4096  # bytes between the number of an object and its type, chosen


class _Enough(BaseException):
    """More was read than a sound document needs. No ``Exception``, since pypdf catches those and goes on."""


class _Facts(NamedTuple):
    pages: int | None = None
    title: str | None = None
    author: str | None = None
    error: str | None = None


def read(file: Opened) -> Reading:
    """Read one PDF."""
    start = file.head.find(b"%PDF-", 0, HEADER_WITHIN + 5)
    if start < 0:
        raise Refused("no PDF: its header is missing")
    facts = _facts(file, start)
    return Reading(
        reader="pdf",
        mime="application/pdf",
        media=Media(container="pdf", pages=facts.pages),
        tags=Tags(title=facts.title, artist=facts.author),
        error=facts.error,
    )


def _facts(file: Opened, start: int) -> _Facts:
    """Read it as it is; where that fails, what a search of all its bytes brings to light."""
    from pypdf import apply_configuration  # noqa: PLC0415 - 80 ms that only those pay who have PDFs
    from pypdf.errors import DependencyError, PyPdfError  # noqa: PLC0415

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of each repair, thousands of times
    reason = None
    with apply_configuration(
        zlib_maximum_output_length=INFLATED_MAX,
        zlib_maximum_recovery_input_length=64 << 10,
        lzw_maximum_output_length=INFLATED_MAX,
        run_length_maximum_output_length=INFLATED_MAX,
        array_based_stream_maximum_output_length=INFLATED_MAX,
        maximum_declared_stream_length=STREAM_MAX,
        stream_filters_maximum_length=4,
        stream_decoding_work_maximum_length=4 * INFLATED_MAX,
        disable_legacy_handling=True,
    ):
        for window, damage in _windows(file, start):
            reason = reason or damage
            try:
                facts = _document(io.BufferedReader(window, BLOCK))
            except (OSError, MemoryError):
                raise
            except _Enough:
                return _Facts(error="too large or too scattered to be read")
            except DependencyError:
                return _Facts(error="encrypted with AES, for which the package cryptography is missing")
            except Exception as error:  # noqa: BLE001 - over damaged bytes it raises whatever Python has
                is_said = isinstance(error, PyPdfError | Refused)
                what = str(error) if is_said else f"its structure makes no sense ({type(error).__name__})"
                reason = reason or f"damaged: {what}"
            else:
                return facts._replace(error=facts.error or reason)
    return _Facts(error=reason)


# --- the bytes that are read


class _Window(io.RawIOBase):
    """Part of a file as a file of its own, with something added behind it; counts what is read."""

    def __init__(self, file: Opened, start: int, end: int, added: bytes = b"") -> None:
        super().__init__()
        self._file, self._start, self._end, self._added = file, start, end, added
        self._size = end - start + len(added)
        self._position = 0
        self._bytes_left, self._in_a_row, self._last_end = READ_MAX, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"a place before the file: {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        part = self._part(len(view))
        view[: len(part)] = part
        return len(part)

    def readall(self) -> bytes:
        if self._size - self._position > SEARCHED_MAX + len(self._added):
            raise _Enough
        parts = []
        while part := self._part(SEARCHED_MAX):
            parts.append(part)
        return b"".join(parts)

    def _part(self, count: int) -> bytes:
        """Up to so many bytes from the present position; none at the end."""
        self._bytes_left -= min(count, max(0, self._size - self._position))
        self._in_a_row = self._in_a_row + 1 if self._position == self._last_end else 0
        if self._bytes_left < 0 or self._in_a_row > IN_A_ROW_MAX:
            raise _Enough
        place = self._start + self._position
        if place < self._end:
            part = self._file.pread(min(count, self._end - place), place)
        else:
            part = self._added[place - self._end : place - self._end + count]
        self._position = self._last_end = self._position + len(part)
        return part


def _windows(file: Opened, start: int) -> Iterator[tuple[_Window, str | None]]:
    """What pypdf is to read, and what is known to be wrong with it.

    First the document up to its end mark, then all of it with a new one behind it.
    """
    tail_at = max(start, file.size - END_WITHIN)
    end = _last(_END, file.pread(END_WITHIN, tail_at))
    if end:
        yield _Window(file, start, tail_at + end.end()), None
    damage = None if end else "damaged: its end is missing"
    if file.size > SEARCHED_MAX:
        if damage:
            raise Refused(f"{damage}, and it is too large to be searched")
        return
    content = file.pread(SEARCHED_MAX, start)
    if content.count(b" obj") <= OBJECTS_MAX:
        # A table that begins nowhere makes pypdf search for all objects.
        yield _Window(file, start, file.size, b"\n" + _trailer(content) + b"startxref\n0\n%%EOF\n"), damage


def _trailer(content: bytes) -> bytes:
    """Name the last catalogue of a damaged file, for it may have lost what did."""
    catalog = _last(_CATALOG, content)
    if catalog is None or content.find(b"trailer", catalog.end()) >= 0:
        return b""
    number = _last(_OBJECT, content[max(0, catalog.start() - _BEFORE_CATALOG) : catalog.start()])
    return b"" if number is None else b"trailer<</Root %s %s R>>\n" % number.groups()


def _last(pattern: re.Pattern[bytes], content: bytes) -> re.Match[bytes] | None:
    found = None
    for found in pattern.finditer(content):  # noqa: B007 - the last one stays
        pass
    return found


# --- what they say


def _document(stream: io.BufferedReader) -> _Facts:
    from pypdf import PasswordType, PdfReader  # noqa: PLC0415 - as above

    reader = PdfReader(stream, root_object_recovery_limit=CATALOGS_MAX)
    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        return _Facts(error="encrypted: it opens with a password only")
    pages, error = _pages(reader)
    title, author = _names(reader)
    return _Facts(pages, title, author, error)


def _pages(reader: PdfReader) -> tuple[int | None, str | None]:
    """Count the leaves of the page tree; give the count, and what is wrong with it."""
    root = _value(reader.root_object, "/Pages")
    declared = _value(root, "/Count")
    objects = sum(map(len, reader.xref.values())) + len(reader.xref_objStm)
    believed = int(declared) if isinstance(declared, int) and 0 < declared <= objects else None
    if believed is not None and believed > WALKED_MAX:
        return believed, None
    pages, branches = 0, set[object]()
    left: list[Any] = [reader.root_object.get("/Pages")]
    for _ in range(2 * WALKED_MAX):
        if not left:
            if not pages:
                raise Refused("it has no pages")
            return pages, None
        reference = left.pop()
        node = _resolved(reader, reference)
        kids = _value(node, "/Kids")
        if not isinstance(kids, list):
            pages += isinstance(node, dict)
            continue
        number = getattr(reference, "idnum", None)
        if number in branches:
            return believed, "its page tree runs in a circle"
        branches.add(number)
        left += reversed(kids[: 2 * WALKED_MAX])
    return believed, "its page tree was not walked to the end"


def _value(node: object, key: str) -> object:
    """What a dictionary holds under a key; None where there is neither."""
    return node[key] if isinstance(node, dict) and key in node else None


def _resolved(reader: PdfReader, reference: Any) -> object:  # noqa: ANN401 - an array of a PDF holds anything
    """The object itself. One that no table lists is not searched for: that would read the whole file each time."""
    number = getattr(reference, "idnum", None)
    if number is None:
        return reference
    is_listed = number in reader.xref.get(reference.generation, ()) or number in reader.xref_objStm
    return reference.get_object() if is_listed else None


def _names(reader: PdfReader) -> tuple[str | None, str | None]:
    """Title and author, from where all programs write them, else from where newer ones do."""
    try:
        info = _value(reader.trailer, "/Info")
        title, author = _text(_value(info, "/Title")), _text(_value(info, "/Author"))
        if title is None and author is None and "/Metadata" in reader.root_object:
            facts = xmp.read(reader.root_object["/Metadata"].get_data())  # type: ignore[attr-defined] # or it raises
            return _text(facts.title), _text(facts.creator)
    except (OSError, MemoryError):
        raise
    except (Exception, _Enough):  # noqa: BLE001 - the pages are counted; a title that cannot be read is none
        return None, None
    return title, author


def _text(value: object) -> str | None:
    """One line of printable characters; bytes are what pypdf could not decode."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in value[:TEXT_MAX]).split())
    return line or None
