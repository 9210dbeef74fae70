"""Labelled examples as arrays, and a model's figures on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hitl import evaluation, training
from hitl.policy import Policy
from hitl.records import Example

LARGEST_SLICES = 20
"""Of languages, or of surfaces, which are whatever the intake says. The rest are one slice."""
OTHER = "other"


def judge_alone(
    model: training.Model, test: list[Example], *, policy: Policy, seed: int
) -> list[evaluation.Measure]:
    """A model's figures on the measuring side, per category and slice, with intervals."""
    return evaluation.evaluate(
        training.probabilities_for(model, [one.text for one in test], policy.category_ids),
        truth_of(test, policy),
        policy.category_ids,
        thresholds=[one.threshold for one in policy.category],
        groups=[one.group_id for one in test],
        slices=slices_of(test),
        seed=seed,
    )


def slices_of(examples: Sequence[Example]) -> dict[str, list[str]]:
    """By what figures are told apart: each example's language and surface."""
    return {
        "language": largest([one.language or "unknown" for one in examples]),
        "surface": largest([one.surface or "unknown" for one in examples]),
    }


def truth_of(examples: list[Example], policy: Policy) -> NDArray[np.float64]:
    """Labels as an array (N, C), NaN where nobody answered."""
    return np.array(
        [[one.labels.get(c, np.nan) for c in policy.category_ids] for one in examples],
        dtype=np.float64,
    ).reshape(-1, len(policy.category))


def largest(values: Sequence[str], *, limit: int = LARGEST_SLICES) -> list[str]:
    """The values, all but the `limit` most frequent of them as "other"; of equal ones the first."""
    counted = Counter(sorted(values)).most_common(limit)
    kept = {value for value, _ in counted}
    return [value if value in kept else OTHER for value in values]
