"""Groups of contents that play the same or are alike, from values alone."""

from __future__ import annotations

import random
from array import array

import pytest

from mediasluice.identify import alike
from mediasluice.identify.alike import Alike, Looks
from mediasluice.identify.similar import packed

VIDEO = ("video", "h264", b"v" * 16, 60.0)
AUDIO = ("audio", "aac", b"a" * 16, 60.0)


def flac(digest: bytes, samples: bytes = b"s", seconds: float = 3.0, shape: str = "md5 44100 2") -> list[alike.Row]:
    return [(0, [("audio", "flac", digest * 16, seconds), ("samples", shape, samples * 16, seconds)])]


def numbered(*rows: list[alike.Row]) -> list[alike.Row]:
    return [(number, streams) for number, ((_, streams),) in enumerate(rows, 1)]


def moved(hash_: int, bits: int, seed: int = 1) -> int:
    for bit in random.Random(seed).sample(range(64), bits):
        hash_ ^= 1 << bit
    return hash_


def music(seed: int, seconds: float = 120.0) -> bytes:
    chance = random.Random(seed)
    return array("I", (chance.getrandbits(32) for _ in range(int(seconds / 0.124)))).tobytes()


def coded(sound: bytes, share: float, seed: int = 5) -> bytes:
    """The fingerprint with this share of its bits turned over."""
    chance = random.Random(seed)
    changed = bytearray(sound)
    for bit in chance.sample(range(8 * len(sound)), int(share * 8 * len(sound))):
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def film(seed: int, scenes: int = 32) -> list[int]:
    chance = random.Random(seed)
    return [chance.getrandbits(64) for _ in range(scenes)]


# --- what plays the same


def test_the_same_streams_are_one_group_in_whatever_order_they_lie() -> None:
    """Two containers of one film are a group, another film is none."""
    other = ("video", "h264", b"w" * 16, 60.0)
    rows: list[alike.Row] = [(1, [VIDEO, AUDIO]), (2, [AUDIO, VIDEO]), (3, [other, AUDIO])]
    assert list(alike.by_essence(rows)) == [Alike("streams", "same", [1, 2])]


def test_a_sound_that_is_part_of_a_film_is_not_the_film() -> None:
    """Sharing a stream is not enough."""
    assert not list(alike.by_essence([(1, [VIDEO, AUDIO]), (2, [AUDIO]), (3, [VIDEO])]))


@pytest.mark.parametrize(
    ("seconds", "groups"),
    [
        ((60.0, 60.9), [[1, 2]]),
        ((60.0, 61.0), []),
        ((60.0, None), []),
        ((60.0, 60.9, 61.8), [[1, 2]]),
        ((60.0, 60.9, 61.8, 62.0), [[1, 2], [3, 4]]),
    ],
)
def test_durations_that_differ_by_a_second_are_not_proposed(
    seconds: tuple[float | None, ...], groups: list[list[int]]
) -> None:
    """What an edit list has cut, or of unknown length, is not the same; nor are the ends of a chain."""
    rows = [(number, [(*VIDEO[:3], span), AUDIO]) for number, span in enumerate(seconds, 1)]
    assert [group.contents for group in alike.by_essence(rows)] == groups


def test_the_second_stream_may_be_the_one_that_differs() -> None:
    """Each stream has to last as long as its equal."""
    rows: list[alike.Row] = [(1, [VIDEO, AUDIO]), (2, [VIDEO, (*AUDIO[:3], 70.0)]), (3, [VIDEO, AUDIO])]
    assert list(alike.by_essence(rows)) == [Alike("streams", "same", [1, 3])]


def test_the_same_samples_are_found_across_lossless_codecs() -> None:
    """Two levels of FLAC are the same samples; two copies of one coding are the same streams."""
    assert list(alike.by_essence(numbered(flac(b"x"), flac(b"y"), flac(b"x")))) == [Alike("samples", "same", [1, 2, 3])]
    assert list(alike.by_essence(numbered(flac(b"x"), flac(b"x")))) == [Alike("streams", "same", [1, 2])]


def test_the_same_samples_at_another_rate_are_another_sound() -> None:
    """Short sounds of the same numbers, one channel or two, differ by less than a second."""
    other = flac(b"y", shape="md5 48000 2", seconds=2.8)
    assert not list(alike.by_essence(numbered(flac(b"x"), other)))


def test_a_thousand_copies_are_one_group() -> None:
    """The work does not grow with the square of the copies."""
    rows: list[alike.Row] = [(number, [VIDEO, AUDIO]) for number in range(20_000)]
    (group,) = alike.by_essence(rows)
    assert len(group.contents) == 20_000


# --- what looks alike


def test_pictures_within_eight_bits_are_the_same_and_within_ten_perhaps() -> None:
    """Both borders, and a picture of another motif."""
    first = 0x0123_4567_89AB_CDEF
    looks = [
        Looks(1, packed([first]), None, None),
        Looks(2, packed([moved(first, 8)]), None, None),
        Looks(3, packed([~first & (1 << 64) - 1]), None, None),
        Looks(4, None, None, None),
    ]
    assert list(alike.by_pictures(looks)) == [Alike("picture", "same", [1, 2])]
    looks[2] = Looks(3, packed([moved(moved(first, 8), 10, 2)]), None, None)
    assert list(alike.by_pictures(looks))[1:] == [Alike("picture", "maybe", [1, 2, 3])]


def test_films_of_the_same_scenes_and_length_are_the_same() -> None:
    """Another coding moves some bits of each scene; a foreign film shares none."""
    scenes = film(1)
    again = [moved(value, 3, number) for number, value in enumerate(scenes)]
    looks = [
        Looks(1, packed(scenes), None, 60.0),
        Looks(2, packed(film(2)), None, 60.0),
        Looks(3, packed(again), None, 60.5),
    ]
    assert list(alike.by_films(looks)) == [Alike("film", "same", [1, 3])]


@pytest.mark.parametrize("seconds", [61.0, 90.0, None])
def test_films_of_another_length_are_the_same_only_perhaps(seconds: float | None) -> None:
    """A cut that is a second longer is never called the same."""
    looks = [Looks(1, packed(film(1)), None, 60.0), Looks(2, packed(film(1)), None, seconds)]
    assert list(alike.by_films(looks)) == [Alike("film", "maybe", [1, 2])]


def test_a_chain_of_films_is_cut_where_it_comes_to_a_second() -> None:
    """Equal to a neighbour is not equal to all: the ends of a chain are no group."""
    looks = [Looks(number, packed(film(1)), None, 60 + 0.6 * number) for number in range(4)]
    found = list(alike.by_films(looks))
    assert [group.contents for group in found if group.certainty == "same"] == [[0, 1], [2, 3]]
    assert [group.contents for group in found if group.certainty == "maybe"] == [[0, 1, 2, 3]]


def test_films_that_share_half_of_their_scenes_may_be_alike() -> None:
    """And those that share less are not."""
    one, half, less = film(1), film(1)[:16] + film(2)[:16], film(1)[:10] + film(3)[:22]
    looks = [Looks(number, packed(scenes), None, 60.0) for number, scenes in enumerate((one, half, less))]
    assert list(alike.by_films(looks)) == [Alike("film", "maybe", [0, 1])]


# --- what sounds alike


@pytest.mark.parametrize(("share", "certainty"), [(0.0, "same"), (0.06, "same"), (0.12, "maybe"), (0.3, None)])
def test_sounds_are_told_by_the_share_of_their_bits(share: float, certainty: str | None) -> None:
    """Other codings of one sound differ in few bits, other sounds in many."""
    looks = [Looks(1, None, music(1), 200.0), Looks(2, None, coded(music(1), share), 200.4)]
    expected = [] if certainty is None else [Alike("sound", certainty, [1, 2])]
    assert list(alike.by_sounds(looks)) == expected


@pytest.mark.parametrize(("seconds", "certainty"), [(200.9, "same"), (201.0, "maybe"), (204.9, "maybe"), (205.0, None)])
def test_sounds_of_other_lengths_are_the_same_only_perhaps(seconds: float, certainty: str | None) -> None:
    """A second more is never the same; five seconds more are not compared."""
    looks = [Looks(1, None, music(1), 200.0), Looks(2, None, music(1), seconds)]
    assert [group.certainty for group in alike.by_sounds(looks)] == ([] if certainty is None else [certainty])


def test_a_library_of_sounds_is_compared_in_bounded_work() -> None:
    """Each is looked up by numbers that it shares with few; what has left the window is forgotten."""
    prints = {number: music(number, 40.0) for number in range(1_000)}
    looks = [Looks(number, None, prints[number % 500], 100.0 + number % 500) for number in range(1_000)]
    looks.sort(key=lambda look: (look.duration or 0.0, look.content))
    groups = list(alike.by_sounds(looks))
    assert [group.contents for group in groups] == [[number, number + 500] for number in range(500)]


def test_what_has_no_duration_is_not_compared_by_sound() -> None:
    """Unknown is not equal."""
    assert not list(alike.by_sounds([Looks(1, None, music(1), None), Looks(2, None, music(1), None)]))
