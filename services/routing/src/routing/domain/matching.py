"""Ordered bins with a fast "best of these bins": the index behind both sides of the match.

Waiting calls lie in one bin per queue; available agents lie in one bin per set of skills. The question is always the
same: of the bins that fit (an agent's queues, a queue's sets of skills), which holds the first item of all?

Cost of `best`: with b bins that hold something and f of them that fit, either the f heads are compared or the b heads
are walked in order until one fits, b/f of them on average; the cheaper is taken, so at most √b steps, and
adding or removing an item is O(log n). Which bins fit is one AND of two bit sets, so that "none" costs next to nothing.
"""

from __future__ import annotations

from sortedcontainers import SortedList

Key = tuple[float, str]
"""Order, then id as the tie-break; the smaller is first."""


class Bins:
    """Bins numbered from 0, each an ordered set of keys."""

    def __init__(self) -> None:
        self._bins: list[SortedList[Key]] = []
        self._heads: SortedList[tuple[Key, int]] = SortedList()
        self._filled = 0

    def open(self) -> int:
        """A new empty bin; returns its number."""
        self._bins.append(SortedList())
        return len(self._bins) - 1

    def add(self, number: int, key: Key) -> None:
        """Put `key`, which must not be there, into the bin."""
        keys = self._bins[number]
        head = keys[0] if keys else None
        keys.add(key)
        if head is None:
            self._filled |= 1 << number
            self._heads.add((key, number))
        elif key < head:
            self._heads.remove((head, number))
            self._heads.add((key, number))

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
                self._filled ^= 1 << number

    def keys(self, number: int) -> list[Key]:
        """All keys of one bin in order."""
        return list(self._bins[number])

    def best(self, fitting: int) -> Key | None:
        """The first key over all bins whose bit is set in `fitting`; None if those are empty."""
        candidates = self._filled & fitting
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
