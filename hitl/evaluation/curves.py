"""The precision-recall curve of one category with its band, and where thresholds lie on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    answers,
    floats,
    level,
    probability_array,
    same_length,
)
from hitl.evaluation.bootstrap import group_rows, percentile_interval, resampled
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.intervals import Interval, wilson
from hitl.evaluation.ranking import Ranking

MIN_EVENTS = 10
LEVELS: FloatArray = np.linspace(0.02, 1.0, 50, dtype=np.float64)
"""The recalls at which the curve is read off."""
HANGS_ON = 3
"""Where fewer violating groups than this lie beyond a recall, there is no band: in simulations it
held the truth in .95 of cases with three left, .93 with two, .87 with one, .55 with none."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Where a threshold lies. `flagged` items have its score or more; precision is None where that
    is none of them."""

    name: str
    threshold: float
    precision: float | None
    precision_limits: Interval | None
    recall: float
    recall_limits: Interval
    flagged: int


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """A curve as arrays (R,) over `recall`, with a band that holds at each recall for itself: `low`
    and `high` are NaN at the right end, where the curve hangs on a few items. Or a code in
    place of all of it: `no_labels`, `too_few_events` (fewer than ten groups that violate, or that
    do not)."""

    recall: FloatArray
    precision: FloatArray
    low: FloatArray
    high: FloatArray
    points: tuple[OperatingPoint, ...]
    n: int
    n_positive: int
    code: str | None


def precision_recall(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    thresholds: Mapping[str, float],
    weights: ArrayLike | None = None,
    groups: Sequence[Any] | None = None,
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
    min_events: int = MIN_EVENTS,
) -> PrecisionRecall:
    """The curve, its band, and the thresholds' places on it.

    Precision at a recall is that of the highest threshold which reaches it. The band is the
    middle of resamples of whole groups, widened to Wilson's interval at the effective number of
    flagged items: at the left end every resample may agree, and ten of ten is no certainty.

    Args:
        scores: shape (N,), in [0, 1]; NaN where the model does not know the category (left out).
        truth: shape (N,): 1 violating, 0 not, NaN not answered (left out).
        thresholds: by name; a score of it or more is flagged.
        weights: shape (N,), such as 1 / inclusion probability; default all 1.
        groups: what must not be torn apart by a resample; default each item by itself.

    Raises:
        BadArrays: shapes differ, or numbers are impossible.
    """
    level("confidence", confidence)
    said = probability_array("scores", scores, dimensions=1)
    told = answers("truth", truth)
    given = np.ones(len(said)) if weights is None else floats("weights", weights)
    same_length(len(said), truth=told, weights=given)
    if not (np.isfinite(given).all() and (given >= 0.0).all()):
        raise BadArrays("weights", "holds a weight that is negative or not finite")
    group_of = group_rows(groups, len(said))
    known = np.flatnonzero(~np.isnan(said) & ~np.isnan(told) & (given > 0.0))
    ranking = Ranking(said[known], told[known])
    known = known[ranking.order]
    n, n_positive = len(known), int(told[known].sum())
    sides = [len(np.unique(group_of[known][told[known] == side])) for side in (0.0, 1.0)]
    if min(sides) < max(min_events, 1):
        nothing = np.empty(0)
        code = "too_few_events" if n else "no_labels"
        return PrecisionRecall(nothing, nothing, nothing, nothing, (), n, n_positive, code)

    cuts = list(thresholds.values())
    width = len(LEVELS)

    def figures(resample: FloatArray) -> FloatArray:
        """(B, R) of the curve, then precision and recall of each threshold in turn."""
        of_known = resample[:, known]
        curve = ranking.precision_at(of_known, LEVELS)
        pairs = [ranking.at_threshold(of_known, one)[:2] for one in cuts]
        return np.column_stack([curve, *(column for pair in pairs for column in pair)])

    [whole] = figures(given[None, :])
    replicates = resampled(
        figures, group_of, given, resamples=resamples, rng=np.random.default_rng(seed)
    )
    effective = _backing(given[known], said[known], told[known], group_of[known])
    none = Interval(np.nan, np.nan)
    limits = [
        _limits(float(whole[k]), replicates[:, k], effective[k], confidence)
        if LEVELS[k] <= 1.0 - HANGS_ON / sides[1]
        else none
        for k in range(width)
    ]

    def backing(rows: BoolArray) -> float:
        of_rows = given[known][rows]
        kish = float(of_rows.sum() ** 2 / (of_rows**2).sum())
        return min(kish, len(np.unique(group_of[known][rows])))

    points = []
    for k, (name, cut) in enumerate(thresholds.items()):
        at = width + 2 * k
        flagged = said[known] >= cut
        violating = told[known] == 1.0
        precision = float(whole[at])
        recall = float(whole[at + 1])
        is_any = bool(flagged.any())
        points.append(
            OperatingPoint(
                name=name,
                threshold=cut,
                precision=precision if is_any else None,
                precision_limits=_limits(precision, replicates[:, at], backing(flagged), confidence)
                if is_any
                else None,
                recall=recall,
                recall_limits=_limits(
                    recall, replicates[:, at + 1], backing(violating), confidence
                ),
                flagged=int(np.count_nonzero(flagged)),
            )
        )
    return PrecisionRecall(
        recall=LEVELS.copy(),
        precision=whole[:width],
        low=np.array([one.low for one in limits]),
        high=np.array([one.high for one in limits]),
        points=tuple(points),
        n=n,
        n_positive=n_positive,
        code=None,
    )


def _limits(value: float, replicates: FloatArray, n: float, confidence: float) -> Interval:
    plain = wilson(min(max(value, 0.0), 1.0), n, confidence=confidence)
    found = percentile_interval(value, replicates, confidence=confidence)
    if found is None:  # too few resamples have it
        return plain
    return Interval(max(0.0, min(found.low, plain.low)), min(1.0, max(found.high, plain.high)))


def _backing(
    weights: FloatArray, scores: FloatArray, truth: FloatArray, group_of: IntArray
) -> list[float]:
    """How much evidence is flagged where each recall is reached: Kish's n, or the groups if fewer.

    All arrays in the order of scores, highest first.
    """
    violating = np.where(truth == 1.0, weights, 0.0)
    at = np.searchsorted(np.cumsum(violating) / violating.sum(), LEVELS - 1e-12, side="left")
    # All of a tie are flagged together.
    last = np.searchsorted(-scores, -scores[np.minimum(at, len(scores) - 1)], side="right") - 1
    is_first = np.zeros(len(scores), dtype=np.bool_)
    is_first[np.unique(group_of, return_index=True)[1]] = True
    effective = np.cumsum(weights) ** 2 / np.cumsum(weights**2)
    return [float(one) for one in np.minimum(effective, np.cumsum(is_first))[last]]
