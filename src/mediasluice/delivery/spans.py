"""Whole numbers as spans: many of them that follow one another take the room of one.

Takes numbers in any order; gives them as sorted pairs of first and last. Fails with: nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class Spans:
    """A set of whole numbers that mostly lie beside one another."""

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in pairs:
            self._firsts.append(first)
            self._lasts.append(last)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self._firsts)

    def add(self, number: int) -> None:
        """Put a number in."""
        at = bisect_right(self._firsts, number) - 1
        if at >= 0 and number <= self._lasts[at]:
            return
        joins_before = at >= 0 and self._lasts[at] == number - 1
        joins_after = at + 1 < len(self._firsts) and self._firsts[at + 1] == number + 1
        if joins_before and joins_after:
            self._lasts[at] = self._lasts.pop(at + 1)
            del self._firsts[at + 1]
        elif joins_before:
            self._lasts[at] = number
        elif joins_after:
            self._firsts[at + 1] = number
        else:
            self._firsts.insert(at + 1, number)
            self._lasts.insert(at + 1, number)

    def drop_to(self, number: int) -> None:
        """Take out all numbers up to this one."""
        at = bisect_left(self._lasts, number + 1)
        del self._firsts[:at], self._lasts[:at]
        if self._firsts and self._firsts[0] <= number:
            self._firsts[0] = number + 1

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """First and last of each span, sorted."""
        return tuple(zip(self._firsts, self._lasts, strict=True))
