"""What the labels say of all decisions, though the labelled ones were not chosen evenly.

Each label stands for 1 / inclusion probability items. Every metric here is good / (good + bad)
for two kinds of item, so one estimator and two kinds of interval serve them all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import BoolArray, FloatArray, answers, level, same_length
from hitl.evaluation.errors import BadArrays, BadLevel, UnknownMetric
from hitl.evaluation.intervals import CellTotal, Interval, share_limits, wilson_limits
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
    PostStrata,
)
from hitl.evaluation.weights import (
    checked_amounts,
    drawn_with,
    most_of_one,
    moved_by_one,
    rests_on_unseen,
)


class _Labels(NamedTuple):
    """What counts: one row a label with a known answer and a known chance."""

    violating: BoolArray
    flagged: BoolArray
    weight: FloatArray
    spread: FloatArray  # each one's part in the variance of a total of ones


def estimate(
    metric: str,
    *,
    truth: ArrayLike,
    flagged: ArrayLike,
    inclusion_probability: ArrayLike,
    variance_weight: ArrayLike | None = None,
    amounts: ArrayLike | None = None,
    confidence: float = 0.95,
    kind: Kind = "certified",
    post_strata: PostStrata | None = None,
    largest_weight: float | None = None,
    largest_flagged: float | None = None,
    min_events: int = MIN_EVENTS,
) -> Estimate:
    """Estimate a metric of all items from labelled ones, whatever chance each had to be chosen.

    `certified` is the interval to make a promise by: gamma limits joined by MOVER. It covered at
    least as often as it says in every simulated design, also with no event at all, and is wider
    for it. `descriptive` is the one to look at: Wilson's with an effective n. Where that is not to
    be relied on the certified figure stands in its place, marked `unstable`: fewer than ten events
    of a kind, one item that is a quarter of its kind, or few draws likely to show what is heavy
    (`weights.rests_on_unseen`).

    Both speak of the items that could have been drawn. An item that was sure to be chosen adds
    no uncertainty to `certified`: a census of the pool has no width.

    Args:
        metric: a key of METRICS.
        truth: shape (N,): 1 violating, 0 not, NaN nobody answered (left out: right only where
            not answering has nothing to do with the answer).
        flagged: shape (N,): did the decision flag it.
        inclusion_probability: shape (N,), in (0, 1]; NaN where the strategy has none: such rows
            are left out and counted in `n_excluded`. Draws are taken to be independent.
        variance_weight: shape (N,), what each item adds to the variance of a total of ones, where
            that is not (1 - p) / p^2: after several rounds of draws (`audit.levelled`). Then
            `inclusion_probability` is one over the item's weight, and may exceed 1.
        amounts: shape (N,), 0 or more: how much each item counts, such as its views; then the
            metric is of views, not of items. NaN is unknown, and left out as an unknown answer.
            Items that count nothing are in no figure. Default: 1 each.
        post_strata: how many items of the whole population are flagged and not; sharpens all
            but precision.
        largest_weight: the largest 1 / inclusion probability that the design gave to any item,
            drawn or not; with `amounts`, times the largest amount of any. Default: the largest
            among those drawn, per flag.
        largest_flagged: the same of what is flagged here, where the design gave that higher
            chances. Without it what only flagged items can be, such as the two cells of precision,
            is as uncertain as if one of them could count like an item that nobody suspected; where
            another model flagged when they were drawn, one could.
        min_events: floor for the number of items that the metric divides by.

    Raises:
        UnknownMetric: no such metric.
        BadArrays: shapes differ, or numbers are impossible.

    Source: Hájek's ratio of Horvitz-Thompson totals; linearised variance for Poisson sampling.
    """
    if metric not in METRICS:
        raise UnknownMetric(metric, METRICS)
    if kind not in ("certified", "descriptive"):
        raise UnknownMetric(f"kind {kind}", ("certified", "descriptive"))
    level("confidence", confidence)
    cells = METRICS[metric]
    labels, n_excluded, n_unknown = _labels(
        truth, flagged, inclusion_probability, variance_weight, amounts
    )
    counts = _Counts.of(labels, cells)
    method = METHODS[kind]
    if post_strata is not None and metric != "precision":
        method += POST_STRATIFIED

    def without_number(code: str) -> Estimate:
        return Estimate(
            metric=metric, value=None, low=None, high=None, n=counts.n, n_effective=None,
            n_events=counts.n_events, method=method, code=code, confidence=confidence,
            n_excluded=n_excluded, n_unknown=n_unknown,
        )  # fmt: skip

    if len(labels.weight) == 0:
        return without_number("no_labels")
    if counts.n < max(min_events, 1):
        return without_number("too_few_events")
    if post_strata is not None and metric != "precision":
        if _has_empty_stratum(labels, post_strata):
            return without_number("stratum_without_labels")
        labels = _post_stratified(labels, post_strata)

    good, bad = _worth(cells.good, labels), _worth(cells.bad, labels)
    value = float((labels.weight * good).sum() / (labels.weight * (good + bad)).sum())
    n_effective, has_variance = _effective_n(labels, good, bad, value, post_strata is not None)
    of_good, of_bad = (
        _cell(labels, worth, cell, largest_weight, largest_flagged)
        for worth, cell in ((good, cells.good), (bad, cells.bad))
    )
    down, up = moved_by_one(
        value,
        float((labels.weight * (good + bad)).sum()),
        good=of_good.largest_weight,
        bad=of_bad.largest_weight,
        heaviest=math.inf if amounts is not None else largest_weight or float(labels.weight.max()),
    )
    own = Interval(
        *map(
            float, wilson_limits(np.float64(value), np.float64(n_effective), confidence=confidence)
        )
    )
    shown = own if has_variance else Interval(value, value)
    heaviest = max(_heaviest(labels.weight * good), _heaviest(labels.weight * bad))
    unstable = bool(
        counts.n_events < STEADY_EVENTS
        or heaviest > HEAVIEST_SHARE
        or rests_on_unseen(value, *shown, down=down, up=up)
    )
    if kind == "certified":
        low, high = share_limits(of_good, of_bad, confidence=confidence)
    elif not unstable:
        low, high = own
    else:
        certified = estimate(
            metric, truth=truth, flagged=flagged, inclusion_probability=inclusion_probability,
            variance_weight=variance_weight, amounts=amounts, confidence=confidence,
            largest_weight=largest_weight, largest_flagged=largest_flagged, min_events=min_events,
        )  # fmt: skip
        return replace(certified, unstable=True)
    return Estimate(
        metric=metric, value=value, low=min(low, value), high=max(high, value), n=counts.n,
        n_effective=n_effective, n_events=counts.n_events, method=method, code=None,
        confidence=confidence,
        unstable=unstable, n_excluded=n_excluded, n_unknown=n_unknown,
    )  # fmt: skip


class _Counts(NamedTuple):
    n: int
    n_events: int

    @classmethod
    def of(cls, labels: _Labels, cells: Cells) -> _Counts:
        good = int(np.count_nonzero(_worth(cells.good, labels)))
        bad = int(np.count_nonzero(_worth(cells.bad, labels)))
        return cls(n=good + bad, n_events=min(good, bad))


def _labels(
    truth: ArrayLike,
    flagged: ArrayLike,
    inclusion_probability: ArrayLike,
    variance_weight: ArrayLike | None,
    amounts: ArrayLike | None,
) -> tuple[_Labels, int, int]:
    violating = answers("truth", truth)
    flags = answers("flagged", flagged)
    chance, spread = drawn_with(inclusion_probability, variance_weight)
    amount = checked_amounts(amounts, len(violating))
    same_length(len(violating), flagged=flags, inclusion_probability=chance)
    if np.isnan(flags).any():
        raise BadArrays("flagged", "holds NaN; leave out the items that were never decided on")
    measures = ~np.isnan(chance)
    known = ~np.isnan(violating) & ~np.isnan(amount)
    counts = measures & known & (amount > 0.0)
    kept = _Labels(
        violating=violating[counts] == 1.0,
        flagged=flags[counts] == 1.0,
        weight=amount[counts] / chance[counts],
        spread=spread[counts] * amount[counts] ** 2,
    )
    return kept, int(np.count_nonzero(~measures)), int(np.count_nonzero(measures & ~known))


def _worth(cell: tuple[tuple[float, float], tuple[float, float]], labels: _Labels) -> FloatArray:
    """How much each label counts in this cell, before weighing."""
    table = np.array(cell, dtype=np.float64)
    found: FloatArray = table[labels.violating.astype(int), labels.flagged.astype(int)]
    return found


def _has_empty_stratum(labels: _Labels, known: PostStrata) -> bool:
    if known.flagged < 0 or known.not_flagged < 0:
        raise BadLevel("post_strata", min(known.flagged, known.not_flagged), "counts of 0 or more")
    missing_flagged = known.flagged > 0 and not labels.flagged.any()
    return bool(missing_flagged or (known.not_flagged > 0 and labels.flagged.all()))


def _post_stratified(labels: _Labels, known: PostStrata) -> _Labels:
    weight, spread = labels.weight.copy(), labels.spread.copy()
    for group, size in ((labels.flagged, known.flagged), (~labels.flagged, known.not_flagged)):
        if group.any():
            factor = size / weight[group].sum()
            weight[group] *= factor
            spread[group] *= factor**2
    return labels._replace(weight=weight, spread=spread)


def _effective_n(
    labels: _Labels, good: FloatArray, bad: FloatArray, value: float, post_stratified: bool
) -> tuple[float, bool]:
    """value (1 - value) / variance, and True; Kish's where the variance says nothing, and False."""
    base = labels.weight * (good + bad)
    residual = (good - value * (good + bad)) / base.sum()
    least = 0.0
    if post_stratified:
        least = ROUNDING * float((labels.weight**2 * residual**2).sum())
        for group in (labels.flagged, ~labels.flagged):
            if group.any() and labels.weight[group].sum() > 0.0:
                residual[group] -= np.average(residual[group], weights=labels.weight[group])
    variance = float((labels.spread * residual**2).sum())
    if variance > least and 0.0 < value < 1.0:
        return value * (1.0 - value) / variance, True
    return float(base.sum() ** 2 / (base**2).sum()), False


def _cell(
    labels: _Labels,
    worth: FloatArray,
    cell: tuple[tuple[float, float], tuple[float, float]],
    largest_weight: float | None,
    largest_flagged: float | None,
) -> CellTotal:
    random = labels.spread > 0.0
    amount = labels.weight * worth
    largest = most_of_one(
        cell, labels.flagged, labels.weight, random,
        largest_weight=largest_weight, largest_flagged=largest_flagged,
    )  # fmt: skip
    return CellTotal(
        total=float(amount[random].sum()),
        variance=float((labels.spread * worth**2).sum()),
        largest_weight=largest,
        certain=float(amount[~random].sum()),
    )


def _heaviest(amount: FloatArray) -> float:
    total = amount.sum()
    return float(amount.max() / total) if total > 0.0 else 0.0
