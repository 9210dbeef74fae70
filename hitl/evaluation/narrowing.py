"""What the newest labels bought: how much narrower they made an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitl.evaluation.arrays import answers, level, same_length
from hitl.evaluation.audit import after_one_more_draw
from hitl.evaluation.bootstrap import percentile_interval
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.estimators import estimate
from hitl.evaluation.metrics import Estimate, Kind
from hitl.evaluation.weights import drawn_with

Outcome = Literal["narrower", "wider", "cannot_tell", "first_number", "no_number"]

NOTHING = 0.001
"""A tenth of a percentage point: a smaller change of an interval is none that anybody would see."""


@dataclass(frozen=True, slots=True)
class Bought:
    """One metric without the newest labels and with them.

    `narrowed` is how much shorter its interval is, negative where it is longer; `low` and `high`
    say how much of that is the luck of which labels came. `outcome`: `cannot_tell` where that may
    be next to nothing; `first_number` where there was only a code before; `no_number` where there
    still is.
    """

    metric: str
    labels: int
    before: Estimate
    after: Estimate
    narrowed: float | None
    low: float | None
    high: float | None
    outcome: Outcome


def bought(
    metric: str,
    *,
    truth: ArrayLike,
    flagged: ArrayLike,
    inclusion_probability: ArrayLike,
    is_new: ArrayLike,
    variance_weight: ArrayLike | None = None,
    largest_weight: float | None = None,
    largest_flagged: float | None = None,
    kind: Kind = "certified",
    confidence: float = 0.95,
    seed: int,
    resamples: int = 200,
) -> Bought:
    """How much the labels marked `is_new` narrowed the metric's interval.

    Without them every chance to have been labelled is smaller, by the share of labels that they
    are: the rest stand for all. So the two differ by having fewer labels and in nothing else.
    The uncertainty of the difference comes from drawing the labels again, old and new apart.

    Args:
        truth, flagged, inclusion_probability, variance_weight, largest_weight, largest_flagged,
            kind, confidence: see `estimate`.
        is_new: shape (N,), which labels to do without.

    Raises:
        BadArrays: shapes differ, or all labels are new, or impossible numbers.
        UnknownMetric: no such metric.
    """
    level("confidence", confidence)
    said, flags = answers("truth", truth), answers("flagged", flagged)
    chance, spread = drawn_with(inclusion_probability, variance_weight)
    new = np.asarray(is_new)
    same_length(len(said), flagged=flags, inclusion_probability=chance, is_new=new)
    if new.dtype != np.bool_:
        raise BadArrays("is_new", f"has dtype {new.dtype}; pass True or False, one a label")
    old_rows, new_rows = np.flatnonzero(~new), np.flatnonzero(new)
    if len(new) and not len(old_rows):
        raise BadArrays("is_new", "marks every label; leave some to compare with")
    kept = 1.0 - len(new_rows) / max(len(new), 1)

    def of(rows: NDArray[np.intp], part: float) -> Estimate:
        # Being among the older labels is one more draw.
        pi, variance = after_one_more_draw(chance[rows], spread[rows], part)
        return estimate(
            metric,
            truth=said[rows],
            flagged=flags[rows],
            inclusion_probability=pi,
            variance_weight=variance,
            kind=kind,
            confidence=confidence,
            largest_weight=None if largest_weight is None else largest_weight / part,
            largest_flagged=None if largest_flagged is None else largest_flagged / part,
        )

    before, after = of(old_rows, kept), of(np.arange(len(new)), 1.0)
    widths = _width(before), _width(after)
    if widths[0] is None or widths[1] is None:
        outcome: Outcome = "no_number" if widths[1] is None else "first_number"
        return Bought(metric, len(new_rows), before, after, None, None, None, outcome)
    narrowed = widths[0] - widths[1]
    rng = np.random.default_rng(seed)
    replicates = np.full(resamples, np.nan)
    for k in range(resamples):
        drawn = rng.choice(old_rows, len(old_rows)), rng.choice(new_rows, len(new_rows))
        without, with_them = _width(of(drawn[0], kept)), _width(of(np.concatenate(drawn), 1.0))
        if without is not None and with_them is not None:
            replicates[k] = without - with_them
    limits = percentile_interval(narrowed, replicates, confidence=confidence)
    if limits is None:  # too few resamples have a number on both sides
        return Bought(metric, len(new_rows), before, after, narrowed, None, None, "cannot_tell")
    outcome = "cannot_tell"
    if limits.low > NOTHING:
        outcome = "narrower"
    elif limits.high < -NOTHING:
        outcome = "wider"
    return Bought(metric, len(new_rows), before, after, narrowed, limits.low, limits.high, outcome)


def _width(found: Estimate) -> float | None:
    return None if found.low is None or found.high is None else found.high - found.low
