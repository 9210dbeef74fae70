"""From probabilities to actions: only where a certificate stands does a model decide alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitl import registry
from hitl.policy import Policy
from hitl.records import Action


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What stands for a policy and model: by subject, from which score on it blocks, and below
    which it allows. `by` names the column that thresholds go by; "" where one serves all."""

    by: str
    block_from: Mapping[tuple[str, str], float]
    allow_below: Mapping[tuple[str, str], float]

    @classmethod
    def of(
        cls, standing: Mapping[registry.Subject, Mapping[str, registry.Certificate]], *, by: str
    ) -> Thresholds:
        """Those that go by this column; a threshold for all says nothing of one slice."""
        found: dict[str, dict[tuple[str, str], float]] = {"precision": {}, "recall": {}}
        for subject, by_metric in standing.items():
            if subject.slice_name != by:
                continue
            for metric, one in by_metric.items():
                if one.finding.threshold is not None:
                    found[metric][subject.category, subject.slice_value] = one.finding.threshold
        return cls(by, found["precision"], found["recall"])


def decide(
    probabilities: NDArray[np.float64],
    categories: Sequence[str],
    slice_values: Sequence[str],
    *,
    policy: Policy,
    thresholds: Thresholds,
) -> list[Action]:
    """What is to be done with each item.

    Block where it reaches the certified threshold of a category whose action that is; allow where
    every category of the policy has a certified threshold and it lies below all of them; else a
    person looks.

    Args:
        probabilities: shape (N, C), NaN where the model does not know the category.
        slice_values: N values of the column that thresholds go by ("" where one serves all).
    """
    columns = {name: k for k, name in enumerate(categories)}
    values = np.asarray(slice_values, dtype=object)
    actions = np.full(len(probabilities), Action.REVIEW, dtype=object)
    for value in sorted(set(values.tolist())):
        rows = values == value
        allowed = rows.copy()
        blocked = np.zeros(len(rows), dtype=bool)
        for one in policy.category:
            column = columns.get(one.id)
            scores = np.full(len(rows), np.nan) if column is None else probabilities[:, column]
            low = thresholds.allow_below.get((one.id, value))
            allowed &= scores < low if low is not None else np.False_
            high = thresholds.block_from.get((one.id, value))
            if high is not None and one.action is Action.BLOCK:
                blocked |= rows & (scores >= high)
        actions[allowed] = Action.ALLOW
        actions[blocked] = Action.BLOCK
    return [Action(one) for one in actions]
