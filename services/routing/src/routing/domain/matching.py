"""Ordered bins with a fast "best of these bins": the index behind both sides of the match.

Waiting calls lie in one bin per queue; available agents lie in one bin per set of skills. The question is always the
same: of the bins that fit (an agent's queues, a queue's sets of skills), which holds the first item of all?

How many items lie in the bins that fit is counted without a look at each: plane j is the set of bins whose size has
bit j, so that the count is one AND and one population count for each binary digit of the largest size.

Cost of `best`: with b bins that hold something and f of them that fit, either the f heads are compared or the b heads
are walked in order until one fits, b/f of them on average; the cheaper is taken, so at most √b steps, and
adding or removing an item is O(log n). Which bins fit is one AND of two bit sets, so that "none" costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from sortedcontainers import SortedList

Key = TypeVar("Key", bound=tuple[Any, ...])
"""What is ordered by, with the item's id as the last tie-break; the smaller is first."""


class Bins(Generic[Key]):
    """Bins numbered from 0, each an ordered set of keys."""

    def __init__(self) -> None:
        self._bins: list[SortedList[Key]] = []
        self._heads: SortedList[tuple[Key, int]] = SortedList()
        self._planes: list[int] = []
        self.filled = 0
        """The bins that hold something."""

    def open(self) -> int:
        """A new empty bin; returns its number."""
        self._bins.append(SortedList())
        return len(self._bins) - 1

    def reach(self, number: int) -> None:
        """Open bins until there is one of this number."""
        while len(self._bins) <= number:
            self.open()

    def add(self, number: int, key: Key) -> None:
        """Put `key`, which must not be there, into the bin."""
        keys = self._bins[number]
        head = keys[0] if keys else None
        keys.add(key)
        if head is None:
            self.filled |= 1 << number
            self._heads.add((key, number))
        elif key < head:
            self._heads.remove((head, number))
            self._heads.add((key, number))
        self._resized(number, len(keys) - 1, len(keys))

    def remove(self, number: int, key: Key) -> None:
        """Take `key` out of the bin; ValueError if it is not there."""
        keys = self._bins[number]
        head = keys[0] if keys else None
        keys.remove(key)
        if key == head:
            self._heads.remove((head, number))
            if keys:
                self._heads.add((keys[0], number))
            else:
                self.filled ^= 1 << number
        self._resized(number, len(keys) + 1, len(keys))

    def _resized(self, number: int, before: int, after: int) -> None:
        changed = before ^ after
        while len(self._planes) < changed.bit_length():
            self._planes.append(0)
        for digit in range(changed.bit_length()):
            if changed >> digit & 1:
                self._planes[digit] ^= 1 << number

    def count(self, fitting: int) -> int:
        """How many keys lie in the bins whose bit is set in `fitting`."""
        return sum((plane & fitting).bit_count() << digit for digit, plane in enumerate(self._planes))

    def rank(self, number: int, key: Key) -> int:
        """How many keys of one bin come before `key`, whether it is there or not."""
        return int(self._bins[number].bisect_left(key))

    def beyond(self, number: int, key: Key) -> int:
        """How many keys of one bin do not come before `key`."""
        return len(self._bins[number]) - self.rank(number, key)

    def keys(self, number: int) -> list[Key]:
        """All keys of one bin in order."""
        return list(self._bins[number])

    def head(self, number: int) -> Key:
        """The first key of a bin that holds something."""
        key: Key = self._bins[number][0]
        return key

    def best(self, fitting: int) -> Key | None:
        """The first key over all bins whose bit is set in `fitting`; None if those are empty."""
        candidates = self.filled & fitting
        if not candidates:
            return None
        count = candidates.bit_count()
        if count * count <= len(self._heads):
            best: Key | None = None
            while candidates:
                lowest = candidates & -candidates
                candidates ^= lowest
                key: Key = self._bins[lowest.bit_length() - 1][0]
                if best is None or key < best:
                    best = key
            return best
        for key, number in self._heads:
            if candidates >> number & 1:
                return key
        raise AssertionError("a filled bin has no head")


def numbers_in(bits: int) -> Iterator[int]:
    """The numbers of the bits that are set, in rising order."""
    while bits:
        lowest = bits & -bits
        bits ^= lowest
        yield lowest.bit_length() - 1
