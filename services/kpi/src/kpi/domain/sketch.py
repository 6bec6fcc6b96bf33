"""Quantiles of waits within 1 %, from counts that can be added: DDSketch (Masson, Rim, Lee, VLDB 2019).

Bucket i holds the values in (g^(i-1), g^i] with g = (1 + a) / (1 - a); answering 2 g^i / (g + 1) for any of them errs
by at most the fraction a. A sketch is only {bucket: count}, so sketches of queues, intervals and replicas merge by
addition, in any order, and a row per bucket is counted exactly once by an upsert. Values are whole milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

RELATIVE_ACCURACY = 0.01
GAMMA = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
LOG_GAMMA = math.log(GAMMA)
ZERO_BUCKET = -1
"""Holds the waits of less than half a millisecond, which are exact: 0."""


def bucket_of(value: int) -> int:
    """Bucket that counts `value` milliseconds (>= 0)."""
    return ZERO_BUCKET if value == 0 else math.ceil(math.log(value) / LOG_GAMMA)


def bucket_value(bucket: int) -> float:
    """Milliseconds answered for a value of the bucket: within `RELATIVE_ACCURACY` of each value that it may hold."""
    return 0.0 if bucket == ZERO_BUCKET else 2 * GAMMA**bucket / (GAMMA + 1)


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The lower q-quantile in milliseconds (the value of rank floor(q (n - 1)), from 0) within 1 %; None of nothing."""
    total = sum(counts.values())
    if not total:
        return None
    rank = math.floor(q * (total - 1))
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen > rank:
            return bucket_value(bucket)
    raise AssertionError("the counts of a sketch add up to its total")
