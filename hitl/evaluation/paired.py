"""Two models on the same items, resampled in pairs: how far apart they are, and how surely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import BoolArray, FloatArray
from hitl.evaluation.bootstrap import MIN_DEFINED, resampled
from hitl.evaluation.cells import MEASURES, Cell, Table

_AREA = MEASURES.index("average_precision")
_F1 = MEASURES.index("f1")
_ERROR = MEASURES.index("calibration_error")
_NLL = MEASURES.index("negative_log_likelihood")


class Pair(NamedTuple):
    """One category of both models, on the same items."""

    new: Cell
    old: Cell


class Spread(NamedTuple):
    """A figure and its replicates under resampling, NaN where a resample has none."""

    value: float
    replicates: FloatArray

    def bounds(self, confidence: float) -> tuple[float, float] | None:
        """One-sided lower and upper bound, each at this confidence; None where too few exist."""
        defined = self.replicates[np.isfinite(self.replicates)]
        if len(defined) < max(1.0, MIN_DEFINED * len(self.replicates)):
            return None
        low, high = np.quantile(defined, (1.0 - confidence, confidence))
        return float(low), float(high)

    def chance_at_most(self, bound: float) -> float:
        """Bootstrap p-value of "the true figure is at most this"."""
        return _p_value(self.replicates > bound)

    def chance_at_least(self, bound: float) -> float:
        """Bootstrap p-value of "the true figure is at least this"."""
        return _p_value(self.replicates < bound)


def _p_value(speaks_for: BoolArray) -> float:
    # One is added to both, so that a p-value is never 0 (Davison and Hinkley 1997, 4.2). What
    # does not exist speaks for nothing.
    return (1.0 + float(np.count_nonzero(~speaks_for))) / (1.0 + len(speaks_for))


def paired_categories(
    new: Table, old: Table, categories: Sequence[str], *, min_events: int
) -> tuple[list[Pair], list[Pair]]:
    """The categories with enough groups on both sides of the answer, and those without."""
    everything = np.ones(len(new.weights), dtype=bool)
    pairs: list[Pair] = []
    thin: list[Pair] = []
    for column, category in enumerate(categories):
        pair = Pair(
            Cell(new, column, category, everything, ("", "")),
            Cell(old, column, category, everything, ("", "")),
        )
        (pairs if pair.new.n_events >= max(min_events, 1) else thin).append(pair)
    return pairs, thin


# `differences` has a column for each category, then these: macro, NLL, F1, calibration error.
MEANS = 4


def differences(
    pairs: Sequence[Pair], resample: FloatArray, *, in_mean: BoolArray | None = None
) -> FloatArray:
    """(B, categories + 4): each change in average precision, then the changes of its mean, of NLL
    (a ratio), of F1 and of the calibration error.

    The last four are over the categories `in_mean`, by default all; NaN over none.
    """
    new = np.stack([pair.new.figures(resample) for pair in pairs], axis=1)
    old = np.stack([pair.old.figures(resample) for pair in pairs], axis=1)
    areas = new[:, :, _AREA] - old[:, :, _AREA]
    if in_mean is None:
        in_mean = np.ones(len(pairs), dtype=bool)
    if not in_mean.any():
        return np.column_stack([areas, np.full((len(areas), MEANS), np.nan)])
    new, old = new[:, in_mean], old[:, in_mean]
    nll = new[:, :, _NLL].mean(axis=1) / np.maximum(old[:, :, _NLL].mean(axis=1), 1e-12)
    f1, error = ((new[:, :, k] - old[:, :, k]).mean(axis=1) for k in (_F1, _ERROR))
    return np.column_stack([areas, areas[:, in_mean].mean(axis=1), nll - 1.0, f1, error])


def skill(pairs: Sequence[Pair], table: Table, *, resamples: int, seed: int) -> Spread:
    """Macro average precision above that of a random order.

    Each resample meets a fresh random order of its own, in which a group stays together: with
    few violating items chance alone reaches more than their share, and more so where copies
    come in waves.
    """
    orders = np.random.default_rng([seed, 1])

    def gains(resample: FloatArray) -> FloatArray:
        keys = orders.random((len(resample), int(table.group_of.max()) + 1))[:, table.group_of]
        by_category = [
            pair.new.figures(resample)[:, _AREA] - pair.new.random_order_area(resample, keys)
            for pair in pairs
        ]
        mean: FloatArray = np.mean(by_category, axis=0)
        return mean[:, None]

    (spread,) = spreads(gains, table, resamples=resamples, seed=seed)
    now = table.weights[None, :]
    above = [pair.new.figures(now)[0, _AREA] - pair.new.prevalence(now)[0] for pair in pairs]
    return spread._replace(value=float(np.mean(above)))


def spreads(
    statistic: Callable[[FloatArray], FloatArray], table: Table, *, resamples: int, seed: int
) -> list[Spread]:
    """The statistic's columns on the items as they are, and under resampling."""
    values = statistic(table.weights[None, :])[0]
    replicates = resampled(
        statistic,
        table.group_of,
        table.weights,
        resamples=resamples,
        rng=np.random.default_rng(seed),
    )
    return [
        Spread(float(value), column) for value, column in zip(values, replicates.T, strict=True)
    ]


class Gain(NamedTuple):
    """How much higher one model's average precision is than another's, with its interval."""

    value: float
    low: float
    high: float
    n: int
    n_positive: int

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def gain_in_average_precision(
    old: ArrayLike,
    new: ArrayLike,
    truth: ArrayLike,
    *,
    groups: Sequence[object] | None = None,
    min_events: int = 10,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int,
) -> Gain | None:
    """Average precision of `new` minus that of `old` on the same items, resampled in pairs.

    Args:
        old, new: probabilities of one category, shape (N,); NaN where a model has none.
        truth: shape (N,), 1, 0 or NaN. Items that lack any of the three are left out.

    Returns:
        None with fewer than `min_events` groups on either side of the answer, or so few that the
        difference does not exist in too many resamples.
    """
    both = [np.asarray(one, dtype=np.float64) for one in (old, new)]
    answers = np.asarray(truth, dtype=np.float64)
    rows = np.flatnonzero(~np.isnan(both[0] + both[1] + answers))
    kept = None if groups is None else [groups[row] for row in rows]
    before, after = (
        Table.checked(
            one[rows, None],
            answers[rows, None],
            ("one",),
            thresholds=[0.5],
            weights=None,
            groups=kept,
        )
        for one in both
    )
    pairs, _ = paired_categories(after, before, ("one",), min_events=min_events)
    if not pairs:
        return None

    def difference(resample: FloatArray) -> FloatArray:
        return differences(pairs, resample)[:, :1]

    (spread,) = spreads(difference, after, resamples=resamples, seed=seed)
    limits = spread.bounds((1.0 + confidence) / 2.0)
    if limits is None:
        return None
    positives = int(np.count_nonzero(answers[rows] == 1))
    return Gain(spread.value, *limits, len(rows), positives)
