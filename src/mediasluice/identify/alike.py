"""Group contents that play the same, or that look or sound alike, whatever bytes they are made of.

Takes what ``essence`` and ``similar`` found of contents, known by numbers. Gives :class:`Alike` groups of two and
more: what was proven to be the same, and what a person may want to look at. Neither is a reason to delete anything:
another container may be worth more than this one, and pictures that look the same may differ in what matters.

What is called the same never differs by a second of playing time or more: an edit list may have cut one of them.
The work is bounded: films and sounds are compared with those that share a piece of theirs, and with a few of these.
Durations are in seconds. Fails with: nothing.
Source: measured, see ``similar``; 10,000 films, half of them encoded anew, take 25 s, 5,000 different sounds 2.3 s.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from mediasluice.identify import similar
from mediasluice.identify.essence import SAMPLES, SECONDS, Essence, Stream, key
from mediasluice.identify.similar import MAYBE, MAYBE_SOUND, SAME, SAME_SOUND

_Piece = TypeVar("_Piece")

STREAMS, PICTURE, FILM, SOUND = "streams", "picture", "film", "sound"
EQUAL, PERHAPS = "same", "maybe"

FILM_SAME = 0.9  # share of scenes, measured: another codec, size and bit rate of one film had 0.9 and more
FILM_MAYBE = 0.5  # share of scenes, chosen: half of a film is in the other; foreign ones had 0.2 at most
SOUND_SPAN = 5.0  # seconds by which durations of sounds that are compared differ, chosen: silence at the ends
CROWD = 64  # files that share a piece, chosen: more have it by chance, a black scene or a pause
COMPARED = 16  # files that one is compared with, chosen: those that share most pieces with it
OPEN = 64  # groups of one key whose durations are still compared, chosen: more are made to cost time
_SAMPLED = 4  # of the numbers of a long fingerprint one in so many is looked up, chosen: a hundred are enough
_SHORT = 256  # numbers of a fingerprint that are all looked up, chosen: half a minute


class Alike(NamedTuple):
    """Contents that belong together."""

    proof: str  # streams, samples, picture, film, sound: what was compared
    certainty: str  # same; maybe: somebody has to look
    contents: list[int]


class Looks(NamedTuple):
    """What a content looks and sounds like, as ``similar.of_file`` gives it."""

    content: int
    pictures: bytes | None
    sound: bytes | None
    duration: float | None


Row = tuple[int, Sequence[tuple[str, str, bytes, float | None]]]
"""A content and its streams: (type, codec, digest, duration)."""


# --- what plays the same


class _Playing(NamedTuple):
    content: int
    streams: bytes  # the key of its essence
    spans: tuple[float, ...]  # durations of its streams, in one order for equal ones


def by_essence(rows: Iterable[Row]) -> Iterator[Alike]:
    """Contents of the same coded streams, or of the same samples where these are lossless.

    Each content is in one group at most. ``streams``: packet by packet; ``samples``: only decoded they are the same.
    """
    classes: dict[tuple[str, bytes], list[_Playing]] = {}
    for content, streams in rows:
        played = sorted((Stream(*one) for one in streams if one[0] != SAMPLES), key=_order)
        samples = [Stream(*one) for one in streams if one[0] == SAMPLES]
        counted = samples or played
        spans = tuple(one.duration for one in counted if one.duration is not None)
        if counted and len(spans) == len(counted):  # what is not known is not the same
            identity = (samples[0].codec, samples[0].digest) if samples else ("", key(Essence(tuple(played))))
            classes.setdefault(identity, []).append(_Playing(content, key(Essence(tuple(played))), spans))
    groups = [group for members in classes.values() for group in _as_long(members)]
    for group in sorted(groups, key=lambda members: min(one.content for one in members)):
        proof = STREAMS if len({one.streams for one in group}) == 1 else SAMPLES
        yield Alike(proof, EQUAL, sorted(one.content for one in group))


def _order(stream: Stream) -> tuple[str, str, bytes, float]:
    return stream.type, stream.codec, stream.digest, stream.duration or 0.0


def _as_long(members: list[_Playing]) -> list[list[_Playing]]:
    """Of contents of the same streams those together of which none plays longer than another."""
    groups: list[list[_Playing]] = []
    bounds: deque[tuple[list[_Playing], list[float], list[float]]] = deque(maxlen=OPEN)
    for member in sorted(members, key=lambda one: (one.spans, one.content)):
        for group, least, most in bounds:
            if all(
                max(high, span) - min(low, span) < SECONDS
                for low, high, span in zip(least, most, member.spans, strict=True)
            ):
                group.append(member)
                least[:], most[:] = map(min, least, member.spans), map(max, most, member.spans)
                break
        else:
            groups.append([member])
            bounds.append((groups[-1], list(member.spans), list(member.spans)))
    return [group for group in groups if len(group) > 1]


# --- what looks or sounds alike


def by_pictures(rows: Iterable[Looks]) -> Iterator[Alike]:
    """Pictures that look alike. One that is the same as another may also be in a group that only may be alike."""
    hashes = [(row.content, value) for row in rows for value in similar.unpacked(row.pictures or b"")[:1]]
    certain = list(similar.groups(hashes, SAME))
    yield from (Alike(PICTURE, EQUAL, group) for group in certain)
    known = {tuple(group) for group in certain}
    yield from (Alike(PICTURE, PERHAPS, group) for group in similar.groups(hashes, MAYBE) if tuple(group) not in known)


def by_films(rows: Iterable[Looks]) -> Iterator[Alike]:
    """Films of the same scenes: the same film where they also last as long, else perhaps a part or another cut."""
    scenes: dict[int, tuple[int, ...]] = {}
    spans: dict[int, float | None] = {}
    pieces: dict[tuple[int, int], list[int]] = {}
    links: list[tuple[int, int, bool]] = []
    for row in rows:
        if not row.pictures:
            continue
        scenes[row.content], spans[row.content] = similar.unpacked(row.pictures), row.duration
        quarters = {piece for value in scenes[row.content] for piece in enumerate(similar.bands(value))}
        for other in _nearest(pieces, quarters, row.content):
            share = similar.film_likeness(scenes[row.content], scenes[other])
            if share >= FILM_MAYBE:
                links.append((row.content, other, share >= FILM_SAME and _last_as_long(row.duration, spans[other])))
    yield from _linked(FILM, links, spans)


def by_sounds(rows: Iterable[Looks]) -> Iterator[Alike]:
    """Sounds that are alike; the rows come by duration. Only those that last about as long are compared."""
    window: deque[Looks] = deque()
    pieces: dict[int, list[int]] = {}
    heard: dict[int, Looks] = {}
    spans: dict[int, float | None] = {}
    links: list[tuple[int, int, bool]] = []
    for row in rows:
        if not row.sound or row.duration is None:
            continue
        while window and row.duration - (window[0].duration or 0.0) >= SOUND_SPAN:
            gone = window.popleft()
            del heard[gone.content]
            _forget(pieces, _numbers(gone.sound or b""), gone.content)
        for other in _nearest(pieces, _numbers(row.sound), row.content):
            error = similar.audio_error(row.sound, heard[other].sound or b"")
            if error <= MAYBE_SOUND:
                is_same = error <= SAME_SOUND and _last_as_long(row.duration, heard[other].duration)
                links.append((row.content, other, is_same))
                spans[row.content], spans[other] = row.duration, heard[other].duration
        window.append(row)
        heard[row.content] = row
    yield from _linked(SOUND, links, spans)


def _numbers(sound: bytes) -> set[int]:
    """The numbers of a fingerprint by which it is looked up: of a long one some, which are the same ones elsewhere."""
    numbers = set(array("I", sound[: len(sound) // 4 * 4]))  # only compared with each other: their order is all one
    if len(sound) > 4 * _SHORT:
        numbers = {number for number in numbers if number.bit_count() % _SAMPLED == 0}
    return numbers


def _nearest(pieces: dict[_Piece, list[int]], mine: Iterable[_Piece], content: int) -> list[int]:
    """The contents that share most pieces with this one, which is noted under its own."""
    shared: Counter[int] = Counter()
    for piece in mine:
        holders = pieces.setdefault(piece, [])
        if len(holders) < CROWD:
            shared.update(holders)
            holders.append(content)
    return [other for other, _ in shared.most_common(COMPARED)]


def _forget(pieces: dict[int, list[int]], mine: Iterable[int], content: int) -> None:
    for piece in mine:
        holders = pieces.get(piece, [])
        if content in holders:
            holders.remove(content)
            if not holders:
                del pieces[piece]


def _last_as_long(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) < SECONDS


def _linked(proof: str, links: Sequence[tuple[int, int, bool]], spans: Mapping[int, float | None]) -> Iterator[Alike]:
    """Groups of linked contents: first those of certain links, then those that others link to them."""
    certain = [
        run
        for group in _components((one, other) for one, other, is_certain in links if is_certain)
        for run in _runs(group, spans, links)
    ]
    yield from (Alike(proof, EQUAL, group) for group in sorted(certain))
    known = {tuple(group) for group in certain}
    every = sorted(_components((one, other) for one, other, _ in links))
    yield from (Alike(proof, PERHAPS, group) for group in every if tuple(group) not in known)


def _runs(
    group: list[int], spans: Mapping[int, float | None], links: Sequence[tuple[int, int, bool]]
) -> Iterator[list[int]]:
    """A group, cut where a chain of small differences would come to SECONDS."""
    ordered = sorted(group, key=lambda content: (spans[content] or 0.0, content))
    runs: list[set[int]] = []
    start = None
    for content in ordered:
        span = spans[content] or 0.0
        if start is None or span - start >= SECONDS:
            runs.append(set())
            start = span
        runs[-1].add(content)
    if len(runs) == 1:
        yield group
        return
    for run in runs:
        yield from _components((one, other) for one, other, is_certain in links if is_certain and {one, other} <= run)


def _components(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What pairs join, each sorted."""
    group_of: dict[int, list[int]] = {}
    for one, other in pairs:
        first, second = group_of.setdefault(one, [one]), group_of.setdefault(other, [other])
        if first is not second:
            larger, smaller = (first, second) if len(first) >= len(second) else (second, first)
            larger += smaller
            for content in smaller:
                group_of[content] = larger
    return [sorted(group) for group in {id(group): group for group in group_of.values()}.values()]
