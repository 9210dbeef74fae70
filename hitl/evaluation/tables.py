"""Every metric of every category and slice at once: `estimate`, cell by cell, without the loop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitl.evaluation.arrays import BoolArray, FloatArray, floats, level, same_length
from hitl.evaluation.errors import UnknownMetric
from hitl.evaluation.intervals import gamma_ends, share_ends, wilson_limits
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
from hitl.evaluation.weights import moved_by_one, rests_on_unseen


@dataclass(frozen=True, slots=True)
class EstimateTable:
    """A metric for S slices by C categories, each array of shape (S, C).

    `value`, `low`, `high` and `n_effective` are NaN where `code` is not empty; those of the
    certified kind where `is_certified`.
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
    is_certified: BoolArray

    def at(self, group: int, category: int) -> Estimate:
        """One of them."""
        here = group, category
        code = str(self.code[here]) or None
        method = METHODS["certified" if self.is_certified[here] else "descriptive"]

        def number(values: FloatArray) -> float | None:
            return None if code else float(values[here])

        return Estimate(
            metric=self.metric, value=number(self.value), low=number(self.low),
            high=number(self.high), n=int(self.n[here]), n_effective=number(self.n_effective),
            n_events=int(self.n_events[here]),
            method=method + POST_STRATIFIED * bool(self.is_post_stratified[here]), code=code,
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
    heaviest = largest_weight if amounts is None else math.inf
    given = _Given(
        sums, excluded, unknown, confidence, largest_weight, of_flagged, min_events, heaviest
    )
    for metric in wanted:
        found = given.table(metric, kind, None if metric == "precision" else strata)
        if kind == "descriptive" and found.unstable.any():
            found = _with_certified(found, given.table(metric, "certified", None))
        yield found


def _with_certified(of: EstimateTable, certified: EstimateTable) -> EstimateTable:
    """The certified figures in place of those that are not to be relied on."""

    def chosen(name: str) -> NDArray[np.generic]:
        return np.where(of.unstable, getattr(certified, name), getattr(of, name))

    taken = ("value", "low", "high", "n_effective", "is_post_stratified", "is_certified")
    return replace(of, **{name: chosen(name) for name in taken})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Given:
    """What all tables of one call are made from."""

    sums: Sums
    excluded: NDArray[np.int64]
    unknown: NDArray[np.int64]
    confidence: float
    largest_weight: float | None
    largest_flagged: FloatArray | None
    min_events: int
    heaviest: float | None  # for `moved_by_one`, where it is not that of those drawn

    def table(self, metric: str, kind: Kind, strata: PostStratified | None) -> EstimateTable:
        cells: Cells = METRICS[metric]
        sums = self.sums if strata is None else strata.sums
        good, bad = (np.array(one, dtype=np.float64) for one in (cells.good, cells.bad))
        weight = sums.random + sums.certain
        n_good, n_bad = _over(sums.count, good > 0), _over(sums.count, bad > 0)
        g, b = _over(weight, good), _over(weight, bad)
        most_good, most_bad = (
            _largest(sums, worth, self.largest_weight, self.largest_flagged)
            for worth in (good, bad)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            value = g / (g + b)
            n_effective, has_variance = _effective_n(sums, good, bad, value, g + b, strata)
            low, high = wilson_limits(value, n_effective, confidence=self.confidence)
            down, up = moved_by_one(
                value, g + b, good=most_good, bad=most_bad,
                heaviest=self.heaviest or sums.heaviest.max(axis=(2, 3)),
            )  # fmt: skip
            is_moved = rests_on_unseen(
                value,
                np.where(has_variance, low, value),
                np.where(has_variance, high, value),
                down=down,
                up=up,
            )
            heaviest = np.fmax(
                _most(sums.heaviest, good) / g, _most(sums.heaviest, bad) / b
            )  # NaN where there is nothing of a kind
        if kind == "certified":
            low, high = share_ends(
                (g, *_gamma(sums, good, most_good, self.confidence)),
                (b, *_gamma(sums, bad, most_bad, self.confidence)),
            )
        n, events = n_good + n_bad, np.minimum(n_good, n_bad)
        code = np.where(
            sums.count.sum(axis=(2, 3)) == 0,
            "no_labels",
            np.where(n < max(self.min_events, 1), "too_few_events", ""),
        )
        if strata is not None:
            code = np.where((code == "") & strata.is_empty, "stratum_without_labels", code)
        told = code == ""

        def shown(values: FloatArray) -> FloatArray:
            return np.where(told, values, np.nan)

        return EstimateTable(
            metric=metric, kind=kind, confidence=self.confidence, value=shown(value),
            low=shown(np.minimum(low, value)), high=shown(np.maximum(high, value)),
            n=n.astype(np.int64), n_effective=shown(n_effective), n_events=events.astype(np.int64),
            unstable=told
            & ((events < STEADY_EVENTS) | (np.nan_to_num(heaviest) > HEAVIEST_SHARE) | is_moved),
            code=code, n_excluded=self.excluded, n_unknown=self.unknown,
            is_post_stratified=np.zeros_like(told) if strata is None else strata.is_known,
            is_certified=np.full_like(told, kind == "certified"),
        )  # fmt: skip


def _over(sums: FloatArray, worth: NDArray[np.generic]) -> FloatArray:
    found: FloatArray = np.einsum("scvf,vf->sc", sums, worth.astype(np.float64))
    return found


def _most(heaviest: FloatArray, worth: FloatArray) -> FloatArray:
    found: FloatArray = (heaviest * worth).max(axis=(2, 3))
    return found


def _effective_n(
    sums: Sums, good: FloatArray, bad: FloatArray, value: FloatArray, base: FloatArray,
    strata: PostStratified | None,
) -> tuple[FloatArray, BoolArray]:  # fmt: skip
    """Of each figure; and whether the drawn items show a variance that it is made of."""
    residual = (good - value[..., None, None] * (good + bad)) / base[..., None, None]
    least: FloatArray | float = 0.0
    if strata is not None:
        least = ROUNDING * (sums.squares * residual**2).sum(axis=(2, 3))
        least = np.where(strata.is_known, least, 0.0)
        residual = strata.within(residual)
    variance = (sums.variance * residual**2).sum(axis=(2, 3))
    kish = base**2 / _over(sums.squares, (good + bad) ** 2)
    between = (variance > least) & (value > 0.0) & (value < 1.0)
    return np.where(between, value * (1.0 - value) / variance, kish), between


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
    low, high = gamma_ends(
        _over(sums.random, worth), _over(sums.variance, worth**2), largest, confidence=confidence
    )
    certain = _over(sums.certain, worth)
    return certain + low, certain + high
