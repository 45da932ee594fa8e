"""Say which files belong together: pictures with their movies and negatives, sidecars, albums, disc folders.

Takes the members of one home (see :func:`home`; mostly that is a directory) with what their readings say; gives
groups, each with a primary. Times are local wall clock, durations in seconds. Looks at nothing but its arguments.

The answer is a function of the set of members: their order does not matter. A file is in at most one group, and a
group has at least two. What is compared is found by keys: two files can only come together if they share one of
:func:`keys`, or if each shares one with a third; so a catalogue needs to look up only those when one arrives.

A late member joins the group that is there. It becomes the primary if it comes before the present one: a picture
before its movie, a negative before what was developed from it, an original before its edited copy, an index before
the rest of a disc, an earlier track. A companion follows the master that its name says best, so that it changes over
when a better one arrives; without any it is in no group, and waits. Media only ever part again when a late member
proves that one stood with the wrong ones: by its time, or because the content identifier is its own. An album is held
together by its cover and its lists, and only by them.
Fails with: nothing.
Source: the names that Apple, Google, GoPro, Sony, Adobe, darktable, Kodi and yt-dlp give, from their manuals and from
what their users complain of: pairs that are torn apart, counters that came round again, sidecars left behind.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple
from unicodedata import normalize

from mediasluice.identify.readers import takeout
from mediasluice.model.files import Kind

NEAR_S = 3.0  # both halves of a Live Photo, and all pictures of one shot, are taken within this time
LIVE_MAX_S = 4.0  # the longest movie that is taken for half of a Live Photo where a time is not known
SHOT_MAX = 32  # chosen: more media of one name are no shot; their names say nothing
STEM_MAX = 40  # UTF-16 units, chosen: Google Takeout cuts names at 46, with their extension
NUMBERED_MAX = 36  # characters, chosen: of longer names the number in brackets may have been cut
NAME_MAX = 255  # bytes of one name on every file system in use
FOLDER = b"/folder"
"""The key of what may belong to a whole folder. No name holds a slash: it is no family."""


class Role(StrEnum):
    """What a file is within its group."""

    PRIMARY = "primary"  # the others are named and dated by it
    MOTION = "motion"  # the movie of a Live Photo
    RENDERED = "rendered"  # another picture of the same shot: developed, exported, written beside the negative
    RAW = "raw"  # a further negative
    EDITED = "edited"  # a changed copy
    MEMO = "memo"  # words spoken to a picture
    SIDECAR = "sidecar"  # metadata or edits: .xmp .aae .json ...
    SUBTITLE = "subtitle"
    LYRICS = "lyrics"
    THUMBNAIL = "thumbnail"  # .thm
    PROXY = "proxy"  # the same in small, for a slow machine: .lrv
    COVER = "cover"  # the picture that is shown for a film or an album
    ART = "art"  # further pictures of an album: its back, its booklet
    DOCUMENT = "document"  # .nfo .cue .log and lists
    TRACK = "track"  # audio of an album
    PART = "part"  # a file of a disc folder


COMPANIONS = frozenset(
    {
        *(Role.SIDECAR, Role.SUBTITLE, Role.LYRICS, Role.THUMBNAIL, Role.PROXY),
        *(Role.COVER, Role.ART, Role.DOCUMENT),
    }
)
"""Roles of files that mean nothing without the one that they follow."""


class Member(NamedTuple):
    """A file as it is compared.

    ``pair``, ``taken`` and ``duration`` are what its own reading says: a time that was guessed from a name, a sibling
    or the file system would prove itself. A file that waits to be read is better left out until it was.
    """

    file: int  # its id; no two are the same
    name: bytes
    kind: Kind
    pair: str | None = None  # content identifier
    taken: str | None = None  # YYYY-MM-DDTHH:MM:SS
    duration: float | None = None
    directory: bytes = b""  # where it lies below its home


class Group(NamedTuple):
    """Files that belong together. ``roles`` has all of them by their ids."""

    primary: int
    roles: Mapping[int, Role]
    follows: Mapping[int, int]  # whose name and place a member goes by; the primary, tracks and parts go by their own
    shown: int  # whose picture people expect to see: the edited or rendered one, a cover


# --- names


class _Name(NamedTuple):
    """A name as it is compared: people take ``IMG_1.jpg`` and ``img_1.JPG`` for one."""

    text: str
    stem: str
    extension: str
    shot: str  # what all pictures of one shot share
    is_edited: bool


_EDITED = (  # as Google names them in the languages of its users
    "edited|bearbeitet|modifié|modificato|editado|editada|ha editado|editat|bewerkt|edytowane|redigerad|redigeret"
    "|redigert|muokattu|upraveno|szerkesztett|düzenlendi|изменено|編集済み|已修改|수정됨|effects|smile|mix"
)
_ARTWORK = "poster|fanart|thumb|banner|landscape|clearlogo|clearart|discart|logo|keyart|cover"
_FLAGS = (
    "forced|foreign|default|sdh|cc|hi|full|signs|songs|lyrics|commentary|english|german|deutsch|french|francais"
    "|français|spanish|español|espanol|latin|italian|italiano|portuguese|português|brazilian|dutch|nederlands|swedish"
    "|norwegian|danish|finnish|polish|czech|hungarian|romanian|greek|turkish|russian|ukrainian|arabic|hebrew|hindi"
    "|chinese|simplified|traditional|japanese|korean|thai|vietnamese|indonesian"
)
_LANGUAGE_PART = rf"\.(?:[a-z]{{2,3}}(?:[-_][a-z0-9]{{2,4}})?|{_FLAGS}|\d)"
_LANGUAGE = re.compile(rf"{_LANGUAGE_PART}\Z")
_LANGUAGES_MAX = 4  # chosen: language, country, forced, and one more
_SUPPLEMENT = "supplemental-metadata"  # what Google Takeout appends, cut wherever its names become too long

# What may stand behind the part of a name that relatives share. Too much is taken rather than too little: a family
# only says who is compared.
_TAIL = re.compile(
    r"(?:\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,5}"  # an extension inside, most languages, .mp
    rf"|{_LANGUAGE_PART}"
    rf"|\.s[{''.join(sorted(set(_SUPPLEMENT)))}]{{0,20}}"
    r"|\.[a-z_]{2,20}-\d\d(?:\.[^.]*){0,3}"  # PXL_1.RAW-01.COVER, also cut
    rf"|-(?:{_EDITED}|{_ARTWORK})"
    r"|~\d{1,2}"
    r"|_\d\d"  # darktable: IMG_1_01.CR2.xmp is another version of IMG_1.CR2
    r"|\(\d{0,6}"  # a number that was cut
    r"|[. ]+)\Z"
)
_TAILS_MAX = 16  # chosen: more than any program appends
_NUMBER = re.compile(r"\A(.+?) ?\((\d{1,6})\)\Z", re.DOTALL)
_APPLE = re.compile(r"\Aimg_([eo])(\d{4,}.*)\Z", re.DOTALL)
_GOPRO = re.compile(r"\Ag[hlx](\d{6}.*)\Z", re.DOTALL)
_SONY = re.compile(r"\A(c\d{4})m\d\d\Z")
_PIXEL = re.compile(r"\A(.+)\.([a-z_]{2,20})-\d\d(?:\.mp)?\.(cover|original)\Z", re.DOTALL)
_EDIT = re.compile(rf"\A(.+)(?:-(?:{_EDITED})|~\d{{1,2}})\Z", re.DOTALL)
_VERSION = re.compile(r"\A(.+)_\d\d(\.[^.]+)\Z", re.DOTALL)


def family(name: bytes) -> bytes:
    """The key under which the files of one directory are compared by their names."""
    stem, extension = _split(_folded(name))
    stem, number = _without_tails(stem)
    # A name that was cut and a whole one have the same beginning; what is behind it may be half a tail.
    stem, _ = _without_tails(_first_units(stem, STEM_MAX))
    if found := _APPLE.match(stem):
        stem = f"img_{found[2]}"
    elif found := _GOPRO.match(stem):
        stem = f"gx{found[1]}"
    elif extension == "xml" and (found := _SONY.match(stem)):
        stem = found[1]
    key = stem + number if len(stem) < NUMBERED_MAX else stem
    return key.encode("utf-8", "surrogateescape")


def _without_tails(stem: str) -> tuple[str, str]:
    """What is left of a stem, and the number in brackets that stood behind it or between its tails."""
    number = ""
    for _ in range(_TAILS_MAX):
        if not number and (numbered := _NUMBER.match(stem)):
            stem, number = numbered[1], f"({int(numbered[2])})"
        found = _TAIL.search(stem)
        if found is None or found.start() == 0:
            break
        stem = stem[: found.start()]
    return stem, number


def _first_units(text: str, count: int) -> str:
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * count:
        return text
    first = units[: 2 * count].decode("utf-16-le", "surrogatepass")
    return first[:-1] if "\ud800" <= first[-1] < "\udc00" else first  # half a character is none


def keys(member: Member) -> tuple[bytes, ...]:
    """The keys of a member, which do not depend on when it was taken.

    ``FOLDER`` counts only where its home holds audio or a part of a disc: elsewhere nobody is found by it.
    """
    place = member.directory + b"/" if member.directory else b""
    if _is_part(member):
        return (FOLDER,)
    name = _named(member.name)
    found = [place + family(member.name)]
    if member.pair is not None:
        found.append(b"/pair/" + place + member.pair.encode("utf-8", "surrogateescape"))
    if member.kind is Kind.AUDIO or name.extension in _FOLDER_DOCUMENTS or _is_art(member, name):
        found.append(FOLDER)
    return tuple(found)


def can_belong(member: Member) -> bool:
    """Whether a file may be in any group: of all others nobody needs to know the keys."""
    return member.kind in _MEDIA or is_companion(member.name, member.kind) or _is_part(member)


def is_companion(name: bytes, kind: Kind) -> bool:
    """Whether a file is one that means nothing by itself, by its name and its kind: it waits for its master.

    Covers are none, because nobody knows before its neighbours are there whether a picture is one.
    """
    return _wants(_split(_folded(name))[1], kind) is not None


def _folded(name: bytes) -> str:
    text = name.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text.lower()
    # Decomposed first: casefold turns some combining marks into letters, and marks have to be in order before that.
    return normalize("NFC", normalize("NFD", text).casefold())


def _split(text: str) -> tuple[str, str]:
    stem, dot, extension = text.rpartition(".")
    return (stem, extension) if dot and stem else (text, "")


def _named(name: bytes) -> _Name:
    text = _folded(name)
    stem, extension = _split(text)
    return _Name(text, stem, extension, *_shot(stem))


def _shot(stem: str) -> tuple[str, bool]:
    """What a stem shares with those of other pictures of its shot, and whether it names an edited copy."""
    number = ""
    is_edited = False
    if numbered := _NUMBER.match(stem):
        stem, number = numbered[1], f"({numbered[2]})"
    if found := _EDIT.match(stem):
        stem, is_edited = found[1], True
    if found := _PIXEL.match(stem):
        stem, is_edited = found[1], is_edited or (found[2] != "raw" and found[3] == "cover")
    if stem.endswith((".mp", ".mv")) and len(stem) > 3:
        stem = stem[:-3]
    if found := _APPLE.match(stem):
        stem, is_edited = f"img_{found[2]}", is_edited or found[1] == "e"
    return stem + number, is_edited


# --- what is what

_STILLS = (Kind.IMAGE,)
_PICTURES = (Kind.IMAGE, Kind.VIDEO)
_FILMS = (Kind.VIDEO, Kind.AUDIO)
_SOUNDS = (Kind.AUDIO, Kind.VIDEO)
_MEDIA = (Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.PDF)


class _Wants(NamedTuple):
    """What a companion is, and what it may belong to; what comes first is preferred."""

    role: Role
    kinds: tuple[Kind, ...]


def _all(extensions: str, role: Role, kinds: tuple[Kind, ...]) -> dict[str, _Wants]:
    return dict.fromkeys(extensions.split(), _Wants(role, kinds))


_BY_EXTENSION: Mapping[str, _Wants] = {
    **_all("xmp xml json", Role.SIDECAR, _MEDIA),
    **_all("aae", Role.SIDECAR, _PICTURES),
    **_all("pp3 dop cos on1 vrd dr4 nksc arp", Role.SIDECAR, _STILLS),  # edits by raw converters
    **_all("srt ass ssa vtt sub idx sup smi sami ttml dfxp sbv stl mks usf", Role.SUBTITLE, _FILMS),
    **_all("lrc", Role.LYRICS, _SOUNDS),
    **_all("thm tbn", Role.THUMBNAIL, (Kind.VIDEO, Kind.IMAGE)),
    **_all("lrv lrf", Role.PROXY, (Kind.VIDEO,)),
    **_all("nfo", Role.DOCUMENT, _FILMS),
    **_all("cue log m3u m3u8 pls accurip ffp sfv", Role.DOCUMENT, (Kind.AUDIO,)),
}
EXTENSIONS = frozenset({*_BY_EXTENSION, *["ifo", "bup", "vob", "aob", "bdmv", "mpls", "clpi"]})
"""Of files that may belong to a group although their kind does not say so."""
_FOLDER_DOCUMENTS = frozenset(extension for extension, wants in _BY_EXTENSION.items() if wants.role is Role.DOCUMENT)
_PICTURED = {Role.THUMBNAIL: Kind.IMAGE, Role.PROXY: Kind.VIDEO}  # companions that are media by their bytes


def _wants(extension: str, kind: Kind) -> _Wants | None:
    """What a file wants as a companion; ``None`` for media and for what is never one."""
    wants = _BY_EXTENSION.get(extension)
    if kind in _MEDIA or kind is Kind.ARCHIVE:  # whatever its name says
        return wants if wants is not None and _PICTURED.get(wants.role) is kind else None
    if wants is None and kind is Kind.SUBTITLE:
        return _Wants(Role.SUBTITLE, _FILMS)
    return _Wants(Role.SIDECAR, _MEDIA) if wants is None and kind is Kind.SIDECAR else wants


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RAW = _words(
    "dng arw srf sr2 cr2 cr3 crw nef nrw orf rw2 raf pef ptx x3f srw erf mrw mef mos kdc dcr k25 3fr fff iiq rwl"
    " gpr raw"
)
_CONVERTED_RAW = "dng"
_HEIC, _JPEG = _words("heic heif heics heifs hif"), _words("jpg jpeg jpe jfif")
_COVER = re.compile(r"(?:cover|folder|front|albumart(?:small)?|albumart_\{[0-9a-f-]{1,36}\}_(?:large|small)|album)\Z")
_ART = re.compile(r"(?:cover|folder|front|back|booklet|inlay|inside|tray|cd|disc|thumb|fanart)(?:[ _-]?\d{1,2})?\Z")
_COVER_ORDER = ("cover", "folder", "front", "albumart", "album")
_ART_EXTENSIONS = _words("jpg jpeg png webp gif")
_DISC_FOLDERS = frozenset((b"video_ts", b"audio_ts", b"bdmv"))
_CARD_FOLDER = b"avchd"  # of a camera: each clip in it is a film of its own
_NUMBERED_DISC = re.compile(rb"(?:cd|dis[ck]|disque)[\W_]{0,2}\d{1,2}(?:[\W_].*)?\Z", re.IGNORECASE | re.DOTALL)
_DVD_FILE = re.compile(rb"(?:video_ts|audio_ts|vts_\d\d_\d)\.(?:ifo|bup|vob|aob)\Z", re.IGNORECASE)
_DISC_INDEX = ("video_ts.ifo", "index.bdmv", "audio_ts.ifo")


def home(directory: bytes) -> tuple[bytes, bytes]:
    """The directory with whose files those of ``directory`` are compared, and where they lie below it.

    Mostly that is the directory itself. All below a disc folder (``VIDEO_TS``, ``AUDIO_TS``, ``BDMV``) is at home where
    that folder lies; so are the discs of one album (``CD1``, ``Disc 2``), which share its cover.
    """
    parts = directory.split(b"/")
    for index, part in enumerate(parts):
        if part.lower() in _DISC_FOLDERS and not (index and parts[index - 1].lower() == _CARD_FOLDER):
            return b"/".join(parts[:index]), b"/".join(parts[index:])
    if _NUMBERED_DISC.match(parts[-1]):
        return b"/".join(parts[:-1]), parts[-1]
    return directory, b""


def _is_part(member: Member) -> bool:
    """Whether a file is a part of a disc: by its folder, or by the name that only files of a disc have."""
    return member.directory.partition(b"/")[0].lower() in _DISC_FOLDERS or _DVD_FILE.match(member.name) is not None


def _is_art(member: Member, name: _Name) -> bool:
    """Whether a picture is called like one of an album."""
    if member.kind is not Kind.IMAGE or name.extension not in _ART_EXTENSIONS:
        return False
    return bool(_COVER.match(name.stem) or _ART.match(name.stem))


class _Known(NamedTuple):
    """A member with what its name says."""

    directory: bytes
    text: str
    member: Member
    name: _Name
    family: bytes
    at_s: float | None  # when it was taken; seconds, on any clock

    @property
    def is_raw(self) -> bool:
        return self.name.extension in _RAW

    @property
    def wants(self) -> _Wants | None:
        return _wants(self.name.extension, self.member.kind)


def _known(member: Member) -> _Known:
    name = _named(member.name)
    return _Known(member.directory, name.text, member, name, family(member.name), _seconds(member.taken))


def _order(one: _Known) -> tuple[bytes, str, bytes, int]:
    return one.directory, one.text, one.member.name, one.member.file


_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - wall clocks are compared with one another


def _seconds(taken: str | None) -> float | None:
    if taken is None:
        return None
    try:
        return (datetime.fromisoformat(taken).replace(tzinfo=None) - _EPOCH).total_seconds()
    except ValueError:
        return None


# --- media of one shot


@dataclass(slots=True)
class _Unit:
    """Media that belong together, and what follows them."""

    masters: list[_Known]
    span: tuple[float, float] | None = None  # first and last capture time
    pairs: dict[bool, str] = field(default_factory=dict)  # content identifier of originals and of edited copies
    companions: dict[int, tuple[Role, int]] = field(default_factory=dict)  # role, and whom it follows

    def has(self, kind: Kind) -> bool:
        return any(one.member.kind is kind for one in self.masters)

    @property
    def primary(self) -> _Known:
        return min(self.masters, key=_precedence)


class _Edge(NamedTuple):
    """Two media that may belong together; the surest come first."""

    rank: int
    gap_s: float
    one: int  # places in the sorted list of media
    other: int


_SAME_PAIR, _SAME_TIME, _SAME_NAME, _PAIR_ALONE = range(4)


def _units(masters: Sequence[_Known]) -> list[_Unit]:
    """Join media, the surest first, as long as nothing speaks against it."""
    units = [_Unit([one]) for one in masters]
    for unit in units:
        [one] = unit.masters
        if one.at_s is not None and one.member.kind is not Kind.AUDIO:
            unit.span = one.at_s, one.at_s
        if one.member.pair is not None:
            unit.pairs[one.name.is_edited] = one.member.pair
    of = list(range(len(units)))  # the unit of each, by way of others
    for edge in sorted(_edges(masters)):
        here, there = _find(of, edge.one), _find(of, edge.other)
        if here != there and _join(units[here], units[there], edge.rank):
            of[there] = here
    return [unit for index, unit in enumerate(units) if of[index] == index]


def _find(of: list[int], index: int) -> int:
    while of[index] != index:
        of[index] = of[of[index]]
        index = of[index]
    return index


def _join(one: _Unit, other: _Unit, rank: int) -> bool:
    """Take the other in, unless they hold strangers."""
    if any(one.pairs.get(is_edited, pair) != pair for is_edited, pair in other.pairs.items()):
        return False
    if rank == _PAIR_ALONE and any(one.has(kind) and other.has(kind) for kind in _PICTURES):
        return False  # another copy of the same Live Photo
    spans = [unit.span for unit in (one, other) if unit.span is not None]
    span = (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None
    if rank in (_SAME_PAIR, _PAIR_ALONE):
        still = one if one.has(Kind.IMAGE) else other
        span = still.span or span  # the clock of the movie may be another one, and proves nothing any more
    elif span is not None and span[1] - span[0] > NEAR_S:
        return False  # a counter that came round again
    one.masters += other.masters
    one.span = span
    one.pairs |= other.pairs
    return True


def _edges(masters: Sequence[_Known]) -> Iterator[_Edge]:
    shots: dict[tuple[bytes, bytes, str], list[int]] = {}
    pairs: dict[tuple[bytes, str], list[int]] = {}
    for index, one in enumerate(masters):
        shots.setdefault((one.directory, one.family, one.name.shot), []).append(index)
        if one.member.pair is not None and one.member.kind in _PICTURES:
            pairs.setdefault((one.directory, one.member.pair), []).append(index)
    for shot in shots.values():
        if len(shot) <= SHOT_MAX:
            for here, there in combinations(shot, 2):
                found = _likeness(masters[here], masters[there])
                if found is not None:
                    yield _Edge(*found, here, there)
    for pair in pairs.values():
        if len(pair) <= SHOT_MAX:
            for here, there in combinations(pair, 2):
                if masters[here].member.kind is not masters[there].member.kind:
                    yield _Edge(_PAIR_ALONE, 0.0, here, there)


def _likeness(one: _Known, other: _Known) -> tuple[int, float] | None:
    """Whether two media of one shot's name belong together, and how sure that is."""
    if one.member.pair is not None and one.member.pair == other.member.pair:
        return _SAME_PAIR, 0.0
    if Kind.AUDIO in (one.member.kind, other.member.kind):
        return (_SAME_NAME, 0.0) if _is_memo(one, other) or _is_memo(other, one) else None
    if one.at_s is None or other.at_s is None:
        return (_SAME_NAME, 0.0) if _may_be_without_time(one, other) else None
    return (_SAME_TIME, abs(one.at_s - other.at_s)) if _may_be_of_a_time(one, other) else None


def _may_be_of_a_time(one: _Known, other: _Known) -> bool:
    """Whether two of one name and time are one shot."""
    if one.member.kind is other.member.kind is Kind.VIDEO:
        return one.name.is_edited != other.name.is_edited
    return {one.member.kind, other.member.kind} <= set(_PICTURES)


def _may_be_without_time(one: _Known, other: _Known) -> bool:
    """Whether two of one name are one shot though a time is missing."""
    kinds = {one.member.kind, other.member.kind}
    if kinds == {Kind.IMAGE, Kind.VIDEO}:
        still, movie = (one, other) if one.member.kind is Kind.IMAGE else (other, one)
        duration_s = movie.member.duration
        return duration_s is not None and duration_s <= LIVE_MAX_S and still.name.extension in _HEIC | _JPEG
    if one.name.is_edited != other.name.is_edited:
        return len(kinds) == 1 and kinds <= set(_PICTURES)
    return kinds == {Kind.IMAGE} and (one.is_raw or other.is_raw)


def _is_memo(sound: _Known, still: _Known) -> bool:
    """Whether cameras record words like these: a WAV beside what is surely a photograph."""
    if sound.name.extension != "wav" or sound.member.kind is not Kind.AUDIO:
        return False
    return still.member.kind is Kind.IMAGE and (still.is_raw or still.at_s is not None)


def _precedence(one: _Known) -> tuple[int, bool, int, tuple[bytes, str, bytes, int]]:
    """Who is the primary. The negative is: it is what the camera saw, it never changes, and its sidecar is Adobe's."""
    extension = one.name.extension
    if one.is_raw:
        form = 1 if extension == _CONVERTED_RAW else 0
    else:
        form = 2 if extension in _HEIC else 3 if extension in _JPEG else 4
    return _MEDIA.index(one.member.kind), one.name.is_edited, form, _order(one)


def _role(one: _Known, primary: _Known) -> Role:
    if one is primary:
        return Role.PRIMARY
    if one.member.kind is Kind.AUDIO:
        return Role.MEMO
    if one.name.is_edited:
        return Role.EDITED
    if one.member.kind is Kind.VIDEO:
        return Role.MOTION
    return Role.RAW if one.is_raw else Role.RENDERED


def _shown(unit: _Unit) -> int:
    """The edited picture, or the one that needs no developing."""
    primary = unit.primary
    stills = sorted((one for one in unit.masters if one.member.kind is Kind.IMAGE), key=_precedence)
    edited = [one for one in stills if one.name.is_edited]
    rendered = [one for one in stills if not one.is_raw]
    return [*edited, *rendered, primary][0].member.file


# --- companions


class _Index:
    """The media of a home by what companions call them."""

    def __init__(self, units: Iterable[_Unit], companions: Iterable[_Known]) -> None:
        self.units: dict[int, _Unit] = {}
        self._called: dict[tuple[bytes, bytes, str, str], list[_Known]] = {}
        from_takeout = {(one.directory, one.family) for one in companions if one.name.extension == "json"}
        for unit in units:
            for one in unit.masters:
                self.units[one.member.file] = unit
                calls = [("name", one.text), ("stem", one.name.stem), ("shot", one.name.shot)]
                if (one.directory, one.family) in from_takeout:
                    calls += [("takeout", _folded(name)) for name in takeout.names_of(one.member.name)]
                for how, call in calls:
                    self._called.setdefault((one.directory, one.family, how, call), []).append(one)

    def master_of(self, one: _Known, wants: _Wants) -> _Known | None:
        """The one that a companion belongs to."""
        for how, call in _calls(one):
            found = self._called.get((one.directory, one.family, how, call), ())
            fitting = [master for master in found if master.member.kind in wants.kinds]
            if fitting:
                return min(fitting, key=lambda master: _preference(one, master, wants))
        return None


def _preference(
    one: _Known, master: _Known, wants: _Wants
) -> tuple[int, bool, tuple[int, bool, int, tuple[bytes, str, bytes, int]]]:
    stem = master.member.name.rpartition(b".")[0]  # as it is written: some file systems have IMG_1 and img_1
    kind = wants.kinds.index(master.member.kind)
    return kind, not one.member.name.startswith(stem), _precedence(master)


def _calls(one: _Known) -> Iterator[tuple[str, str]]:
    """What the name of a companion calls its master, the most exact first."""
    bases = [*_bases(one)]
    for base in bases:
        yield "name", base
        yield "stem", base
    if one.name.extension == "json":
        yield "takeout", one.text
    for base in bases:
        yield "shot", _shot(base)[0]
        if one.name.extension in ("lrv", "thm") and (found := _GOPRO.match(base)):
            yield "stem", f"gx{found[1]}"
            yield "stem", f"gh{found[1]}"
    if one.name.extension == "json":  # of a Live Photo the still alone has one
        for base in bases:
            yield "shot", _shot(_split(base)[0])[0]


def _bases(one: _Known) -> Iterator[str]:
    """What is left of a companion's name without what makes it one."""
    base, extension = one.name.stem, one.name.extension
    yield base
    wants = one.wants
    if extension == "xmp" and (found := _VERSION.match(base)):
        yield found[1] + found[2]
    elif extension == "xml" and (found := _SONY.match(base)):
        yield found[1]
    elif extension == "json":
        yield from _takeout_bases(base)
    elif wants is not None and wants.role in (Role.SUBTITLE, Role.LYRICS):
        for _ in range(_LANGUAGES_MAX):
            found = _LANGUAGE.search(base)
            if found is None or found.start() == 0:
                break
            base = base[: found.start()]
            yield base


def _takeout_bases(base: str) -> Iterator[str]:
    """``a.jpg.supplemental-meta(1)`` -> ``a(1).jpg``; what yt-dlp writes goes the same way."""
    number = ""
    if numbered := _NUMBER.match(base):
        base, number = numbered[1], f"({numbered[2]})"
    whole, _, last = base.rpartition(".")
    if whole and (_SUPPLEMENT.startswith(last) or last == "info"):
        base = whole
    stem, extension = _split(base)
    yield f"{stem}{number}.{extension}" if extension else stem + number


def _attach(companions: Sequence[_Known], index: _Index) -> list[_Known]:
    """Give companions to their masters; gives those that have none."""
    alone = []
    for one in companions:
        wants = one.wants
        assert wants is not None
        master = index.master_of(one, wants)
        if master is None:
            alone.append(one)
        else:
            unit = index.units[master.member.file]
            unit.companions[one.member.file] = wants.role, master.member.file
    return alone


_POSTER = re.compile(rf"\A(.+)-(?:{_ARTWORK})\Z", re.DOTALL)


def _hang_posters(units: Sequence[_Unit], index: _Index) -> list[_Unit]:
    """Give pictures that are called after a film to it; gives the units that are left."""
    left = []
    for unit in units:
        [one, *more] = unit.masters
        found = None if more or one.at_s is not None else _POSTER.match(one.name.stem)
        film = None
        if found is not None and one.member.kind is Kind.IMAGE:
            called = one._replace(name=one.name._replace(stem=found[1], extension=""))
            film = index.master_of(called, _Wants(Role.COVER, (Kind.VIDEO,)))
        if film is None:
            left.append(unit)
            continue
        target = index.units[film.member.file]
        target.companions[one.member.file] = Role.COVER, film.member.file
        target.companions |= unit.companions
    return left


# --- folders


def _folder(
    units: Sequence[_Unit], alone: Sequence[_Known], parts: Sequence[_Known]
) -> tuple[list[_Unit], Group | None]:
    """A disc, or an album with what belongs to all of it; gives the units that are left.

    Tracks alone are none: they go where their own tags lead, and only what they share holds them together.
    """
    art = [unit for unit in units if _is_art_alone(*unit.masters)]
    documents = [one for one in alone if one.name.extension in _FOLDER_DOCUMENTS]
    tracks = [unit for unit in units if unit.primary.member.kind is Kind.AUDIO] if art or documents else []
    ranked = sorted(parts, key=lambda one: (_disc_rank(one), _order(one))) + [unit.primary for unit in tracks]
    if not ranked or len(ranked) + len(art) + len(documents) < 2:
        return [*units], None
    primary = ranked[0].member.file
    roles = {one.member.file: Role.PART for one in parts} | {unit.primary.member.file: Role.TRACK for unit in tracks}
    roles[primary] = Role.PRIMARY
    pictures = sorted((unit.primary for unit in art), key=lambda one: (_cover_rank(one), _order(one)))
    roles |= {one.member.file: Role.ART for one in pictures} | {one.member.file: Role.DOCUMENT for one in documents}
    follows = {one.member.file: primary for one in (*pictures, *documents)}
    shown = primary
    if pictures and _cover_rank(pictures[0]) < len(_COVER_ORDER):
        shown = pictures[0].member.file
        roles[shown] = Role.COVER
    for unit in (*tracks, *art):
        roles |= {file: role for file, (role, _) in unit.companions.items()}
        follows |= {file: master for file, (_, master) in unit.companions.items()}
    left = [unit for unit in units if unit.primary.member.file not in roles]
    return left, Group(primary, roles, follows, shown)


def _is_art_alone(one: _Known, *others: _Known) -> bool:
    """A picture with a capture time is a photograph, and so is one that has a negative or a movie."""
    return not others and one.at_s is None and _is_art(one.member, one.name)


def _disc_rank(one: _Known) -> int:
    """The index of a disc comes first."""
    return _DISC_INDEX.index(one.text) if one.text in _DISC_INDEX else len(_DISC_INDEX)


def _cover_rank(one: _Known) -> int:
    stem = one.name.stem
    if not _COVER.match(stem):
        return len(_COVER_ORDER)
    return min(index for index, name in enumerate(_COVER_ORDER) if stem.startswith(name))


# --- all of it


def grouped(members: Iterable[Member]) -> list[Group]:
    """Group the members of one home."""
    known = sorted(map(_known, members), key=_order)
    parts = [one for one in known if _is_part(one.member)]
    others = [one for one in known if not _is_part(one.member)]
    companions = [one for one in others if one.wants is not None]
    units = _units([one for one in others if one.wants is None and one.member.kind in _MEDIA])
    index = _Index(units, companions)
    alone = _attach(companions, index)
    units = _hang_posters(units, index)
    units, folder = _folder(units, alone, parts)
    groups = [_group(unit) for unit in units if len(unit.masters) + len(unit.companions) > 1]
    places = {one.member.file: place for place, one in enumerate(known)}
    found = [_sorted(group, places) for group in (*groups, *([] if folder is None else [folder]))]
    return sorted(found, key=lambda group: places[group.primary])


def _group(unit: _Unit) -> Group:
    primary = unit.primary
    roles = {one.member.file: _role(one, primary) for one in unit.masters}
    follows = {file: primary.member.file for file in roles if file != primary.member.file}
    roles |= {file: role for file, (role, _) in unit.companions.items()}
    follows |= {file: master for file, (_, master) in unit.companions.items()}
    cover = next((file for file, role in roles.items() if role is Role.COVER), None)
    return Group(primary.member.file, roles, follows, _shown(unit) if cover is None else cover)


def _sorted(group: Group, places: Mapping[int, int]) -> Group:
    """The same with its members in order."""
    order = sorted(group.roles, key=lambda file: (file != group.primary, places[file]))
    roles = {file: group.roles[file] for file in order}
    return group._replace(roles=roles, follows={file: group.follows[file] for file in order if file in group.follows})


# --- elsewhere


def beside(name: bytes, role: Role, master: bytes, placed: bytes) -> bytes:
    """The name of a follower where its master, ``master``, is called ``placed``: so that they still belong together.

    ``IMG_1.HEIC.xmp`` beside ``IMG_1_2.HEIC`` is ``IMG_1_2.HEIC.xmp``. What belongs to a whole folder keeps its name,
    and so does what no name could hold. Two followers may come to the same name.
    """
    if placed == master:
        return name
    fresh = _follow(name, role, master, placed)
    return fresh if len(fresh) <= NAME_MAX else name


def _follow(name: bytes, role: Role, master: bytes, placed: bytes) -> bytes:
    master_stem, placed_stem = os.path.splitext(master)[0], os.path.splitext(placed)[0]
    for call, fresh in ((master, placed), (master_stem, placed_stem)):
        rest = _behind(name, call)
        if rest[:1] in {b".", b"-", b"_", b"~"}:
            return fresh + rest
    if role in (Role.COVER, Role.ART, Role.DOCUMENT):
        return name
    stem, extension = os.path.splitext(name)
    folded = _folded(stem)
    if (_APPLE.match(folded) or _GOPRO.match(folded)) and placed_stem.startswith(master_stem):
        return stem + placed_stem[len(master_stem) :] + extension
    if extension.lower() == b".json":
        return placed + extension
    return placed_stem + (b"-edited" if role is Role.EDITED else b"") + extension


def _behind(name: bytes, call: bytes) -> bytes:
    """What stands in a name behind another one, as people compare them; nothing if it begins otherwise."""
    wanted = _folded(call)
    cut = next((cut for cut in range(len(name), 0, -1) if _folded(name[:cut]) == wanted), len(name))
    return name[cut:]
