"""Read the sizes of formats that say little else, and that Pillow does not know: SVG, XCF, OpenEXR, Radiance, DjVu.

Takes an open file. Gives a :class:`Still`. Fails with: ``Refused``, where no such file begins.
Source: W3C SVG 1.1, 7; the XCF documentation of GIMP; OpenEXR File Layout; Ward's Radiance picture format; DjVu3.
"""

from __future__ import annotations

import re
import struct

from mediasluice.identify.opened import Opened, Refused
from mediasluice.identify.readers.still import Still

_HEADER_MAX = 64 << 10  # bytes that are looked through; chosen: comments and definitions stand in front of a drawing
_ATTRIBUTES_MAX = 200  # of an OpenEXR header; chosen: real ones have some thirty

_SVG = re.compile(rb"<(?:[\w.-]{1,20}:)?svg\b([^>]{0,8192})>", re.DOTALL)
_SVG_LENGTH = re.compile(rb"\s(width|height)\s*=\s*[\"']\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?:px)?\s*[\"']")
_SVG_BOX = re.compile(
    rb"\sviewBox\s*=\s*[\"']\s*[-+.\d]{1,20}[\s,]+[-+.\d]{1,20}[\s,]+([.\d]{1,20})[\s,]+([.\d]{1,20})"
)
_RADIANCE = re.compile(rb"\n\n[-+]([XY]) (\d{1,9}) [-+]([XY]) (\d{1,9})\n")


def svg(file: Opened) -> Still:
    """A drawing: the size that it wants to be shown in, in pixels, or else that of its view."""
    found = _SVG.search(file.pread(_HEADER_MAX, 0))
    if found is None:
        raise Refused("svg: there is no drawing in it")
    lengths = {name: float(value) for name, value in _SVG_LENGTH.findall(found[1])}
    view = _SVG_BOX.search(found[1])
    width, height = lengths.get(b"width"), lengths.get(b"height")
    if (width is None or height is None) and view is not None:
        width, height = (_length(text) for text in view.groups())
    return Still("svg", "image/svg+xml", round(width or 0) or None, round(height or 0) or None)


def _length(text: bytes) -> float | None:
    return float(text) if text.count(b".") <= 1 and text != b"." else None


def xcf(file: Opened) -> Still:
    """A document of GIMP."""
    head = file.pread(22, 0)
    if head[:9] != b"gimp xcf " or len(head) < 22:
        raise Refused("xcf: its header is not whole")
    width, height = struct.unpack_from(">II", head, 14)
    return Still("xcf", "image/x-xcf", width or None, height or None)


def openexr(file: Opened) -> Still:
    """A picture of film studios: one of its attributes is the window that has data."""
    head = file.pread(_HEADER_MAX, 0)
    position = 8
    for _ in range(_ATTRIBUTES_MAX):
        name, _, rest = head[position : position + 256].partition(b"\0")
        kind, _, _ = rest.partition(b"\0")
        position += len(name) + len(kind) + 2
        if not name or position + 4 > len(head):
            break
        length = struct.unpack_from("<I", head, position)[0]
        if name == b"dataWindow" and len(head) >= position + 20:
            left, top, right, bottom = struct.unpack_from("<iiii", head, position + 4)
            return Still("exr", "image/x-exr", max(right - left + 1, 0) or None, max(bottom - top + 1, 0) or None)
        position += 4 + length
    raise Refused("exr: its header is not whole")


def radiance(file: Opened) -> Still:
    """A picture with a wide range of light: a text in front of it ends with its size."""
    found = _RADIANCE.search(file.pread(_HEADER_MAX, 0))
    if found is None or found[1] == found[3]:
        raise Refused("hdr: its header is not whole")
    sizes = {found[1]: int(found[2]), found[3]: int(found[4])}
    return Still("hdr", "image/vnd.radiance", sizes[b"X"] or None, sizes[b"Y"] or None)


def djvu(file: Opened) -> Still:
    """A scanned page; of a document of several only what it is."""
    head = file.pread(32, 0)
    if head[:8] != b"AT&TFORM" or len(head) < 28:
        raise Refused("djvu: its header is not whole")
    width = height = 0
    if head[12:20] == b"DJVUINFO":
        width, height = struct.unpack_from(">HH", head, 24)
    return Still("djvu", "image/vnd.djvu", width or None, height or None)
