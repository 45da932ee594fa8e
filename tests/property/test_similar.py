from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from mediasluice.identify import similar

hashes = st.integers(0, (1 << 64) - 1)
flips = st.sets(st.integers(0, 63), max_size=12)


def flipped(value: int, bits: Iterable[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


def by_all_pairs(values: list[int], threshold: int) -> list[list[int]]:
    """Groups as their definition says, by comparing each with each."""
    groups = [{number} for number in range(len(values))]
    for one, value in enumerate(values):
        for other in range(one):
            if (value ^ values[other]).bit_count() <= threshold:
                first, second = (next(group for group in groups if number in group) for number in (one, other))
                if first is not second:
                    groups.remove(second)
                    first |= second
    return sorted(sorted(group) for group in groups if len(group) > 1)


@given(st.lists(hashes, min_size=1, max_size=6), st.data(), st.integers(0, 14))
def test_groups_are_exact(centres: list[int], data: st.DataObject, threshold: int) -> None:
    """Whatever the threshold and however near hashes are, the groups are those of comparing each with each."""
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(centres), flips), max_size=40))
    values = [flipped(centre, bits) for centre, bits in pairs]
    assert list(similar.groups(enumerate(values), threshold)) == by_all_pairs(values, threshold)


@given(st.integers(1, 10_000_000), st.integers(0, 16), hashes, st.data())
def test_near_hashes_share_a_piece(count: int, threshold: int, value: int, data: st.DataObject) -> None:
    """However hashes are cut, one piece of those within the threshold differs by no more than its radius."""
    bits = data.draw(st.sets(st.integers(0, 63), max_size=threshold))
    differing = value ^ flipped(value, bits)
    parts = similar._parts(count, threshold)
    assert sum(part.width for part in parts) <= 64
    assert any((differing >> part.shift & (1 << part.width) - 1).bit_count() <= part.radius for part in parts)


@given(hashes, st.sets(st.integers(0, 63), max_size=3))
def test_a_band_survives_three_bits(value: int, bits: set[int]) -> None:
    """Hashes that differ by three bits at most have a band in common at its place, and bands are the whole hash."""
    assert any(a == b for a, b in zip(similar.bands(value), similar.bands(flipped(value, bits)), strict=True))
    assert sum(band << 16 * place for place, band in enumerate(similar.bands(value))) == value


@given(st.binary(min_size=96, max_size=800), st.binary(min_size=96, max_size=800))
def test_the_error_of_sounds_is_a_share_and_has_no_order(one: bytes, other: bytes) -> None:
    """The error lies between 0 and 1, is 0 for equal fingerprints, and the same the other way round."""
    one, other = one[: len(one) // 4 * 4], other[: len(other) // 4 * 4]
    error = similar.audio_error(one, other)
    assert 0 <= error <= 1
    assert error == similar.audio_error(other, one)
    assert similar.audio_error(one, one) == 0
