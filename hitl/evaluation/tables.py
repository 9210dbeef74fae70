"""Every metric of every category and slice at once: `estimate`, cell by cell, without the loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv

from hitl.evaluation.arrays import BoolArray, FloatArray, floats, level, same_length
from hitl.evaluation.errors import UnknownMetric
from hitl.evaluation.intervals import descriptive_limits
from hitl.evaluation.metrics import (
    HEAVIEST_SHARE,
    METHODS,
    METRICS,
    MIN_EVENTS,
    POST_STRATIFIED,
    ROUNDING,
    STEADY_EVENTS,
    Cells,
    Estimate,
    Kind,
)
from hitl.evaluation.post_strata import PostStratified
from hitl.evaluation.sums import Sums, sum_labels
from hitl.evaluation.weights import moved_by_one


@dataclass(frozen=True, slots=True)
class EstimateTable:
    """A metric for S slices by C categories, each array of shape (S, C).

    `value`, `low`, `high` and `n_effective` are NaN where `code` is not empty.
    """

    metric: str
    kind: Kind
    confidence: float
    value: FloatArray
    low: FloatArray
    high: FloatArray
    n: NDArray[np.int64]
    n_effective: FloatArray
    n_events: NDArray[np.int64]
    unstable: BoolArray
    code: NDArray[np.str_]
    n_excluded: NDArray[np.int64]
    n_unknown: NDArray[np.int64]
    is_post_stratified: BoolArray

    def at(self, group: int, category: int) -> Estimate:
        """One of them."""
        here = group, category
        code = str(self.code[here]) or None

        def number(values: FloatArray) -> float | None:
            return None if code else float(values[here])

        return Estimate(
            metric=self.metric, value=number(self.value), low=number(self.low),
            high=number(self.high), n=int(self.n[here]), n_effective=number(self.n_effective),
            n_events=int(self.n_events[here]),
            method=METHODS[self.kind] + POST_STRATIFIED * bool(self.is_post_stratified[here]),
            code=code,
            confidence=self.confidence, unstable=bool(self.unstable[here]),
            n_excluded=int(self.n_excluded[here]), n_unknown=int(self.n_unknown[here]),
        )  # fmt: skip


def estimate_tables(
    metrics: Iterable[str],
    *,
    truth: ArrayLike,
    flagged: ArrayLike,
    inclusion_probability: ArrayLike,
    groups: ArrayLike,
    size: int,
    variance_weight: ArrayLike | None = None,
    amounts: ArrayLike | None = None,
    confidence: float = 0.95,
    kind: Kind = "certified",
    post_strata: ArrayLike | None = None,
    largest_weight: float | None = None,
    largest_flagged: ArrayLike | None = None,
    min_events: int = MIN_EVENTS,
) -> Iterator[EstimateTable]:
    """`estimate` for each metric, slice and category, from one pass over the labels.

    The same numbers as `estimate` gives for the rows of each slice and the column of each
    category.

    Args:
        metrics: keys of METRICS.
        truth: shape (N, C): 1 violating, 0 not, NaN nobody answered.
        flagged: shape (N, C).
        inclusion_probability: shape (N,), in (0, 1]; NaN where there is none.
        groups: shape (N,), the slice of each item, from 0 to `size` - 1.
        post_strata: shape (S, C, 2): how many items of the whole population are not flagged and
            flagged; NaN in a cell where that is not known, or not to be used.
        largest_flagged: shape (C,), see `estimate`.
        variance_weight, amounts, largest_weight, min_events: see `estimate`.

    Raises:
        UnknownMetric, BadArrays, BadLevel: as `estimate`.
    """
    wanted = list(metrics)
    for metric in wanted:
        if metric not in METRICS:
            raise UnknownMetric(metric, METRICS)
    if kind not in ("certified", "descriptive"):
        raise UnknownMetric(f"kind {kind}", ("certified", "descriptive"))
    level("confidence", confidence)
    sums, excluded, unknown = sum_labels(
        truth, flagged, inclusion_probability, variance_weight, groups, size, amounts
    )
    of_flagged = None
    if largest_flagged is not None:
        of_flagged = floats("largest_flagged", largest_flagged)
        same_length(sums.count.shape[1], largest_flagged=of_flagged)
    strata = None if post_strata is None else PostStratified.of(sums, post_strata)
    for metric in wanted:
        yield _table(
            metric, sums, excluded, unknown, None if metric == "precision" else strata,
            kind=kind, confidence=confidence, largest_weight=largest_weight,
            largest_flagged=of_flagged, min_events=min_events,
        )  # fmt: skip


def _table(
    metric: str,
    sums: Sums,
    excluded: NDArray[np.int64],
    unknown: NDArray[np.int64],
    strata: PostStratified | None,
    *,
    kind: Kind,
    confidence: float,
    largest_weight: float | None,
    largest_flagged: FloatArray | None,
    min_events: int,
) -> EstimateTable:
    cells: Cells = METRICS[metric]
    if strata is not None:
        sums = strata.sums
    good, bad = (np.array(one, dtype=np.float64) for one in (cells.good, cells.bad))
    weight = sums.random + sums.certain
    n_good, n_bad = _over(sums.count, good > 0), _over(sums.count, bad > 0)
    g, b = _over(weight, good), _over(weight, bad)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = g / (g + b)
        n_effective = _effective_n(sums, good, bad, value, g + b, strata)
        most_good, most_bad = (
            _largest(sums, worth, largest_weight, largest_flagged) for worth in (good, bad)
        )
        down, up = moved_by_one(
            value, g + b, good=most_good, bad=most_bad,
            heaviest=largest_weight or sums.heaviest.max(axis=(2, 3)),
        )  # fmt: skip
        if kind == "certified":
            low, high = _share_limits(
                _gamma(sums, good, most_good, confidence), (g, b),
                _gamma(sums, bad, most_bad, confidence),
            )  # fmt: skip
        else:
            low, high = descriptive_limits(
                value, n_effective, down=down, up=up, confidence=confidence
            )
        heaviest = np.fmax(
            _most(sums.heaviest, good) / g, _most(sums.heaviest, bad) / b
        )  # NaN where there is nothing of a kind
        is_moved = (
            np.maximum(down, up) ** 2 > _shown_variance(sums, good, bad, value) / (g + b) ** 2
        )
    n, events = n_good + n_bad, np.minimum(n_good, n_bad)
    code = np.where(
        sums.count.sum(axis=(2, 3)) == 0,
        "no_labels",
        np.where(n < max(min_events, 1), "too_few_events", ""),
    )
    if strata is not None:
        code = np.where((code == "") & strata.is_empty, "stratum_without_labels", code)
    told = code == ""

    def shown(values: FloatArray) -> FloatArray:
        return np.where(told, values, np.nan)

    return EstimateTable(
        metric=metric, kind=kind, confidence=confidence, value=shown(value),
        low=shown(np.minimum(low, value)), high=shown(np.maximum(high, value)),
        n=n.astype(np.int64), n_effective=shown(n_effective), n_events=events.astype(np.int64),
        unstable=told
        & ((events < STEADY_EVENTS) | (np.nan_to_num(heaviest) > HEAVIEST_SHARE) | is_moved),
        code=code, n_excluded=excluded, n_unknown=unknown,
        is_post_stratified=np.zeros_like(told) if strata is None else strata.is_known,
    )  # fmt: skip


def _over(sums: FloatArray, worth: NDArray[np.generic]) -> FloatArray:
    found: FloatArray = np.einsum("scvf,vf->sc", sums, worth.astype(np.float64))
    return found


def _most(heaviest: FloatArray, worth: FloatArray) -> FloatArray:
    found: FloatArray = (heaviest * worth).max(axis=(2, 3))
    return found


def _shown_variance(sums: Sums, good: FloatArray, bad: FloatArray, value: FloatArray) -> FloatArray:
    """Of the value, times the square of what it divides by."""
    residual = good - value[..., None, None] * (good + bad)
    found: FloatArray = (sums.variance * residual**2).sum(axis=(2, 3))
    return found


def _effective_n(
    sums: Sums, good: FloatArray, bad: FloatArray, value: FloatArray, base: FloatArray,
    strata: PostStratified | None,
) -> FloatArray:  # fmt: skip
    residual = (good - value[..., None, None] * (good + bad)) / base[..., None, None]
    least: FloatArray | float = 0.0
    if strata is not None:
        least = ROUNDING * (sums.squares * residual**2).sum(axis=(2, 3))
        least = np.where(strata.is_known, least, 0.0)
        residual = strata.within(residual)
    variance = (sums.variance * residual**2).sum(axis=(2, 3))
    kish = base**2 / _over(sums.squares, (good + bad) ** 2)
    between = (variance > least) & (value > 0.0) & (value < 1.0)
    return np.where(between, value * (1.0 - value) / variance, kish)


def _largest(
    sums: Sums, worth: FloatArray, largest_weight: float | None, largest_flagged: FloatArray | None
) -> FloatArray:
    """The most that one more event of a cell could count: any item with a flag that it admits."""
    by_flag = worth.max(axis=0)
    if largest_weight is None:
        admits = _over(sums.count, np.broadcast_to(by_flag > 0, (2, 2))) > 0
        among: FloatArray = (sums.heaviest_random * by_flag).max(axis=(2, 3))
        return np.where(admits, among, sums.heaviest_random.max(axis=(2, 3)) * worth.max())
    flagged = np.full(sums.count.shape[1], largest_weight)
    if largest_flagged is not None:
        flagged = np.minimum(flagged, largest_flagged)
    largest: FloatArray = np.maximum(by_flag[0] * largest_weight, by_flag[1] * flagged)
    return np.broadcast_to(largest, sums.count.shape[:2])


def _gamma(
    sums: Sums, worth: FloatArray, largest: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """`gamma_limits` of a cell's total, what was sure to be drawn added."""
    total, certain = _over(sums.random, worth), _over(sums.certain, worth)
    variance = _over(sums.variance, worth**2)
    # Half the quantile of chi square with 2 a degrees is that of gamma with shape a.
    tail = (1.0 - confidence) / 2.0
    low = np.where(
        (total > 0.0) & (variance > 0.0),
        variance / total * gammaincinv(total**2 / variance, tail),
        total,
    )
    above, spread = total + largest, variance + largest**2
    high = np.where(
        largest > 0.0,
        spread / above * gammaincinv(above**2 / spread, 1.0 - tail),
        total,
    )
    return certain + low, certain + high


def _share_limits(
    good: tuple[FloatArray, FloatArray],
    values: tuple[FloatArray, FloatArray],
    bad: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    (g_low, g_high), (g, b), (b_low, b_high) = good, values, bad
    middle = np.log(b / g)
    more = np.where(g_low <= 0.0, np.inf, np.hypot(np.log(b_high / b), np.log(g / g_low)))
    less = np.where(b_low <= 0.0, np.inf, np.hypot(np.log(b / b_low), np.log(g_high / g)))
    with np.errstate(over="ignore"):
        low, high = 1.0 / (1.0 + np.exp(middle + more)), 1.0 / (1.0 + np.exp(middle - less))
    none_good, none_bad = g <= 0.0, b <= 0.0
    low = np.where(none_good, 0.0, np.where(none_bad, g_low / (g_low + b_high), low))
    high = np.where(none_good, g_high / (g_high + b_low), np.where(none_bad, 1.0, high))
    return low, high
