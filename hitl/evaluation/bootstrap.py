"""How much a figure would move had other items been drawn: whole groups, drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from hitl.evaluation.arrays import FloatArray, IntArray
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.intervals import Interval

# A matrix of this many weights at a time keeps memory near 100 MB, however many items there are.
CELLS_AT_ONCE = 4_000_000

MIN_DEFINED = 0.9
"""A figure that exists in fewer of the resamples than this has no interval worth printing."""


def group_rows(groups: Sequence[Any] | None, items: int) -> IntArray:
    """Which group each item belongs to, as 0..G-1; without groups every item is its own.

    Raises:
        BadArrays: not one group an item.
    """
    if groups is None:
        return np.arange(items, dtype=np.int64)
    if len(groups) != items:
        raise BadArrays("groups", f"has {len(groups)} rows, the others have {items}")
    seen: dict[Any, int] = {}
    rows = (seen.setdefault(group, len(seen)) for group in groups)
    return np.fromiter(rows, dtype=np.int64, count=items)


def resampled_weights(
    group_of: IntArray, weights: FloatArray, *, resamples: int, rng: Generator
) -> Iterator[FloatArray]:
    """Item weights of each resample, in chunks of shape (some, N), `resamples` rows in all.

    Groups are drawn with replacement, as many as there are, and an item weighs its own weight
    as often as its group was drawn. The same rng state gives the same bytes.
    """
    groups = int(group_of.max()) + 1 if len(group_of) else 0
    at_once = max(1, min(resamples, CELLS_AT_ONCE // max(len(group_of), groups, 1)))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(0, groups, size=(rows, groups))
        drawn += np.arange(rows)[:, None] * groups
        times = np.bincount(drawn.ravel(), minlength=rows * groups).reshape(rows, groups)
        yield times[:, group_of] * weights


def resampled(
    statistic: Callable[[FloatArray], FloatArray],
    group_of: IntArray,
    weights: FloatArray,
    *,
    resamples: int,
    rng: Generator,
) -> FloatArray:
    """The statistic of every resample.

    Args:
        statistic: weights (B, N) -> figures (B, K), NaN where a figure does not exist.

    Returns:
        Shape (resamples, K).
    """
    chunks = resampled_weights(group_of, weights, resamples=resamples, rng=rng)
    return np.concatenate([statistic(chunk) for chunk in chunks])


def percentile_interval(
    value: float, replicates: FloatArray, *, confidence: float, reverse: bool = False
) -> Interval | None:
    """The middle of the replicates, widened to hold the value; None where too few exist.

    `reverse` mirrors the replicates at the value (the "basic" bootstrap), for a figure such as
    the calibration error that any noise moves in one direction: a replicate is then too high
    by about as much as the value itself is.

    Source: Efron and Tibshirani (1993), chapter 13; Davison and Hinkley (1997), 5.2.
    """
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < max(1.0, MIN_DEFINED * len(replicates)):
        return None
    tail = (1.0 - confidence) / 2.0
    low, high = (float(one) for one in np.quantile(defined, (tail, 1.0 - tail)))
    if reverse:
        low, high = 2.0 * value - high, 2.0 * value - low
    return Interval(min(low, value), max(high, value))
