"""Intervals for one proportion, one weighted total, and a share made of two totals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv
from scipy.stats import beta, norm

from hitl.evaluation.arrays import FloatArray, level
from hitl.evaluation.errors import BadLevel

Ends = tuple[FloatArray, FloatArray, FloatArray]
"""A total and its two limits, of many at once."""


class Interval(NamedTuple):
    """Both ends included."""

    low: float
    high: float


class CellTotal(NamedTuple):
    """The weighted total of one cell (say, flagged and violating), as the design sees it.

    `total` adds weight over the items whose selection was random; `certain` adds the items that
    were sure to be chosen; `variance` is that of `total`. `largest_weight` is the most that one
    item nobody drew could weigh; 0 where every item was sure to be chosen.
    """

    total: float
    variance: float
    largest_weight: float
    certain: float = 0.0

    @property
    def value(self) -> float:
        """All of it."""
        return self.total + self.certain


def wilson(proportion: float, n: float, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval; `n` may be an effective n and need not be whole.

    Source: Wilson (1927); with an effective n, Korn and Graubard (1998).
    """
    _check(proportion, n, confidence)
    low, high = wilson_limits(np.float64(proportion), np.float64(n), confidence=confidence)
    return Interval(float(low), float(high))


def wilson_limits(
    proportion: FloatArray | np.float64, n: FloatArray | np.float64, *, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """`wilson` for many at once, unchecked; NaN where a number is."""
    z = float(norm.ppf((1.0 + confidence) / 2.0))
    middle = (proportion + z * z / (2.0 * n)) / (1.0 + z * z / n)
    spread = np.sqrt(proportion * (1.0 - proportion) / n + z * z / (4.0 * n * n))
    half = z / (1.0 + z * z / n) * spread
    # Rounding may leave an end just inside 0 or 1, on the wrong side of the proportion itself.
    return (
        np.maximum(0.0, np.minimum(middle - half, proportion)),
        np.minimum(1.0, np.maximum(middle + half, proportion)),
    )


def clopper_pearson(proportion: float, n: float, *, confidence: float = 0.95) -> Interval:
    """The exact binomial interval: covers at least as often as it says; `n` need not be whole.

    Source: Clopper and Pearson (1934); with an effective n, Korn and Graubard (1998).
    """
    _check(proportion, n, confidence)
    tail = (1.0 - confidence) / 2.0
    events = proportion * n
    low = 0.0 if events <= 0.0 else float(beta.ppf(tail, events, n - events + 1.0))
    high = 1.0 if events >= n else float(beta.ppf(1.0 - tail, events + 1.0, n - events))
    return Interval(low, high)


def gamma_limits(
    total: float, variance: float, largest_weight: float, *, confidence: float = 0.95
) -> Interval:
    """Limits of a weighted total of rare events, sensible at zero events.

    With unit weights they are Garwood's exact Poisson limits.
    Args:
        variance: the sum of squared weights of the events (less for a known finite population).
        largest_weight: what one more event could weigh at most, by the design.

    Source: Fay and Feuer (1997).
    """
    level("confidence", confidence)
    low, high = gamma_ends(
        np.array(total), np.array(variance), np.array(largest_weight), confidence=confidence
    )
    return Interval(float(low), float(high))


def share_limits(good: CellTotal, bad: CellTotal, *, confidence: float = 0.95) -> Interval:
    """Limits of good / (good + bad), for independent totals ("gmover").

    Gamma limits for each total, joined on log(bad / good) by the method of variance estimates
    recovery. Where a total is 0 its logarithm has no place to stand, and the outer limits of
    both are joined instead, which is wider.

    In the published simulations it covered at least as often as it said in all 75
    configurations, among them designs that look at the model's top of the list.

    Source: Fay and Feuer (1997) for the limits; Zou and Donner (2008) for joining them.
    """
    if good.value <= 0.0 and bad.value <= 0.0:
        return Interval(0.0, 1.0)
    low, high = share_ends(_cell_ends(good, confidence), _cell_ends(bad, confidence))
    return Interval(float(low), float(high))


def gamma_ends(
    total: FloatArray, variance: FloatArray, largest_weight: FloatArray, *, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """`gamma_limits` of many totals at once, unchecked."""
    # Half the quantile of chi square with 2 a degrees is that of gamma with shape a.
    tail = (1.0 - confidence) / 2.0
    above, spread = total + largest_weight, variance + largest_weight**2
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(
            (total > 0.0) & (variance > 0.0),
            variance / total * gammaincinv(total**2 / variance, tail),
            total,
        )
        high = np.where(
            largest_weight > 0.0,
            spread / above * gammaincinv(above**2 / spread, 1.0 - tail),
            total,
        )
    return low, high


def share_ends(good: Ends, bad: Ends) -> tuple[FloatArray, FloatArray]:
    """`share_limits` of many pairs at once, unchecked: each a total and its two limits."""
    (g, g_low, g_high), (b, b_low, b_high) = good, bad
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        middle = np.log(b / g)
        # A lower limit of 0 puts that end of the ratio at infinity.
        more = np.where(g_low <= 0.0, np.inf, np.hypot(np.log(b_high / b), np.log(g / g_low)))
        less = np.where(b_low <= 0.0, np.inf, np.hypot(np.log(b / b_low), np.log(g_high / g)))
        low, high = 1.0 / (1.0 + np.exp(middle + more)), 1.0 / (1.0 + np.exp(middle - less))
        none_good, none_bad = g <= 0.0, b <= 0.0
        low = np.where(none_good, 0.0, np.where(none_bad, g_low / (g_low + b_high), low))
        high = np.where(none_good, g_high / (g_high + b_low), np.where(none_bad, 1.0, high))
    return low, high


def newcombe(
    first: float, first_n: float, second: float, second_n: float, *, confidence: float = 0.95
) -> Interval:
    """Limits of `first - second`, two independent proportions.

    Source: Newcombe (1998), method 10: Wilson limits of each, joined.
    """
    return difference_limits(
        first,
        wilson(first, first_n, confidence=confidence),
        second,
        wilson(second, second_n, confidence=confidence),
    )


def difference_limits(first: float, one: Interval, second: float, two: Interval) -> Interval:
    """Limits of `first - second`, independent and each with limits of its own.

    Source: Zou and Donner (2008), the method of variance estimates recovery.
    """
    difference = first - second
    return Interval(
        difference - math.hypot(first - one.low, two.high - second),
        difference + math.hypot(one.high - first, second - two.low),
    )


def _cell_ends(cell: CellTotal, confidence: float) -> Ends:
    low, high = gamma_limits(cell.total, cell.variance, cell.largest_weight, confidence=confidence)
    return np.array(cell.value), np.array(cell.certain + low), np.array(cell.certain + high)


def _check(proportion: float, n: float, confidence: float) -> None:
    level("confidence", confidence)
    if not 0.0 <= proportion <= 1.0:
        raise BadLevel("proportion", proportion, "a number in [0, 1]")
    if not n > 0.0:
        raise BadLevel("n", n, "a number above 0; there is no interval around nothing")
