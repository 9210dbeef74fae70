"""Precision or recall of two models on the same items: how far apart, and how surely."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.stats import norm

from hitl.evaluation.arrays import BoolArray, FloatArray, IntArray

PromisedRate: TypeAlias = Literal["precision", "recall"]
RATES: tuple[PromisedRate, ...] = ("precision", "recall")


class RateChange(NamedTuple):
    """How much higher one model's rate is than another's.

    `events` groups are in what the rate divides by (of two models the fewer), worth `n_effective`
    even draws; `n` items, of which `n_positive` violate. `variance` is that of `value`. Without
    events on both sides `value` is NaN.
    """

    value: float
    variance: float
    events: int
    n_effective: float
    n: int
    n_positive: int

    def bounds(self, confidence: float) -> tuple[float, float]:
        """One-sided lower and upper bound, each at this confidence."""
        reach = float(norm.ppf(confidence)) * math.sqrt(self._spread)
        return self.value - reach, self.value + reach

    def chance_within(self, margin: float) -> float:
        """p-value of "the rate is lower by the margin or more".

        Where it is, at least that share of the events is decided otherwise, and so the variance is
        at least margin (1 - margin) / n. Without that floor no lost decision among few events
        would prove that none are lost: a paired bootstrap passes a loss as large as the margin in
        up to .12 of simulated cases, this test in .07 at most.
        """
        least = margin * (1.0 - margin) / max(self.n_effective, 1.0)
        return self._tail(-(self.value + margin), max(self._spread, least))

    def chance_not_lower(self) -> float:
        """p-value of "the rate is not lower"."""
        return self._tail(self.value, self._spread)

    @property
    def _spread(self) -> float:
        # One decision more than was seen, as Agresti and Min (2005) add for paired shares: three
        # decisions lost and none won are then no proof, as they are none by the exact test.
        return self.variance + 1.0 / max(self.n_effective, 1.0) ** 2

    def _tail(self, against: float, variance: float) -> float:
        if math.isnan(against):
            return 1.0
        return float(norm.cdf(against / math.sqrt(variance)))


def rate_change(
    metric: PromisedRate,
    *,
    new: BoolArray,
    old: BoolArray,
    truth: FloatArray,
    group_of: IntArray,
    weights: FloatArray,
) -> RateChange:
    """The rate of `new` minus that of `old`, both always on the same items.

    Args:
        new, old: shape (n,), which items each model flags.
        truth: shape (n,), 1 or 0.
        group_of: shape (n,), items of one group are not independent.
        weights: shape (n,), > 0, such as 1 / inclusion probability.

    Source: linearised variance of a difference of two ratios, summed by group (Binder 1983).
    """
    violating = truth == 1.0
    flags = np.stack([new, old])
    good = flags & violating
    base = flags if metric == "precision" else np.stack([violating, violating])
    totals = (base * weights).sum(axis=1)
    of_group = np.unique(group_of, return_inverse=True)[1]
    counted = [np.unique(of_group[rows]) for rows in base]
    events = min(len(one) for one in counted)
    n, n_positive = int(base.any(axis=0).sum()), int((base.any(axis=0) & violating).sum())
    if events == 0:
        return RateChange(math.nan, math.nan, 0, 0.0, n, n_positive)
    rates = (good * weights).sum(axis=1) / totals
    influence = weights * (good - rates[:, None] * base) / totals[:, None]
    by_group = np.bincount(of_group, weights=influence[0] - influence[1])
    worth = min(
        float(total**2 / (np.bincount(of_group, weights=weights * rows) ** 2).sum())
        for total, rows in zip(totals, base, strict=True)
    )
    return RateChange(
        value=float(rates[0] - rates[1]),
        variance=float((by_group**2).sum()),
        events=events,
        n_effective=worth,
        n=n,
        n_positive=n_positive,
    )


def could_show(events: list[int], *, margin: float, alpha: float, at_least: int) -> list[bool]:
    """Of comparisons with so many events, those that would pass if no decision were lost.

    With Holm's correction the weakest of k has to pass at alpha, the next at alpha / 2, and so on
    down to alpha / k. What could not pass by any answer is not asked, or it would hold up every
    challenger; by counts of events alone, so that no outcome chooses what is asked.
    """
    if margin <= 0.0:
        return [one >= at_least for one in events]
    order = sorted(range(len(events)), key=lambda k: -events[k])
    order = [k for k in order if events[k] >= at_least]
    while order:
        levels = alpha / np.arange(len(order), 0, -1)
        needed = norm.isf(levels) ** 2 * (1.0 - margin) / margin
        if all(events[k] >= least for k, least in zip(order, needed, strict=True)):
            break
        order.pop()
    return [k in order for k in range(len(events))]
