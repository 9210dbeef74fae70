"""What a model said beside what was true, bin by bin: the points of a reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import answers, floats, level, probability_array, same_length
from hitl.evaluation.bootstrap import group_rows
from hitl.evaluation.calibration_error import equal_mass_starts
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.intervals import wilson

MOST_BINS, FEWEST_BINS = 10, 3
EVENTS_A_BIN = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Items of neighbouring scores: the mean of what the model `said`, and the `share` of them
    that violates, with its interval. `n_effective` is how many even, unrelated draws would be as
    informative."""

    said: float
    share: float
    low: float
    high: float
    n: int
    n_positive: int
    n_effective: float


def reliability(
    probabilities: ArrayLike,
    truth: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    groups: Sequence[Any] | None = None,
    confidence: float = 0.95,
) -> tuple[Bin, ...]:
    """Bins of as equal a number of items as ties allow, from low scores to high ones.

    There are as many bins as there are tens of groups on the rarer side of the answer, from 3 to
    10: what has few events is told in few bins.

    Args:
        probabilities: shape (N,), NaN where the model does not know the category (left out).
        truth: shape (N,): 1 violating, 0 not, NaN not answered (left out).
        weights: shape (N,), such as 1 / inclusion probability; default all 1.
        groups: what counts as one piece of evidence, such as near copies; default each item.

    Raises:
        BadArrays: shapes differ, or numbers are impossible.

    Source: bins of equal mass, as the calibration error's (Naeini et al. 2015); Wilson's interval
    at Kish's effective n, taken over whole groups.
    """
    level("confidence", confidence)
    said = probability_array("probabilities", probabilities, dimensions=1)
    told = answers("truth", truth)
    weight = np.ones(len(said)) if weights is None else floats("weights", weights)
    same_length(len(said), truth=told, weights=weight)
    if not (np.isfinite(weight).all() and (weight >= 0.0).all()):
        raise BadArrays("weights", "holds a weight that is negative or not finite")
    group_of = group_rows(groups, len(said))
    known = np.flatnonzero(~np.isnan(said) & ~np.isnan(told) & (weight > 0.0))
    if not len(known):
        return ()
    # By score alone: rows of equal scores share a bin, so their order changes nothing.
    order = known[np.argsort(said[known], kind="stable")]
    sides = [len(np.unique(group_of[known][told[known] == side])) for side in (0.0, 1.0)]
    bins = min(MOST_BINS, max(FEWEST_BINS, min(sides) // EVENTS_A_BIN))
    starts = equal_mass_starts(said[order], bins=bins)
    found = []
    for rows in np.split(order, starts[1:]):
        total = float(weight[rows].sum())
        share = float(np.clip((weight[rows] * told[rows]).sum() / total, 0.0, 1.0))
        _, group = np.unique(group_of[rows], return_inverse=True)
        by_group = np.bincount(group, weights=weight[rows])
        n_effective = float(total**2 / (by_group**2).sum())
        limits = wilson(share, n_effective, confidence=confidence)
        found.append(
            Bin(
                said=float((weight[rows] * said[rows]).sum() / total),
                share=share,
                low=limits.low,
                high=limits.high,
                n=len(rows),
                n_positive=int(told[rows].sum()),
                n_effective=n_effective,
            )
        )
    return tuple(found)
