"""What a model can be judged by: its live decisions where enough were audited, else a test side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from flows.deciding.bundles import BundleLost, load_registered
from flows.judging.examples import truth_of
from hitl import datasets, evaluation, registry, training
from hitl.evaluation.store import Judged
from hitl.policy import Policy
from hitl.records import ItemId, Split
from hitl.registry import ModelRecord
from hitl.reports import groups_of

Source = Literal["live decisions", "test side"]
FloatArray = NDArray[np.float64]

LEAST_EVENTS = 20
"""Audited groups on the rarer side of a category's answer from which on its live decisions speak
for themselves: below it a bootstrap of average precision is too sure of itself."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Labelled items with a model's probabilities. `probabilities` and `truth` (N, C), NaN where
    unknown; `weights` (N,), one over each item's chance to be labelled, or 1; a group an item."""

    source: Source
    probabilities: FloatArray
    truth: FloatArray
    weights: FloatArray
    groups: Sequence[str]

    def column(self, at: int) -> tuple[FloatArray, FloatArray]:
        """Probabilities and truth of one category, each (N,)."""
        return self.probabilities[:, at], self.truth[:, at]

    def events(self, at: int) -> int:
        """Groups on the rarer side of a category's answer."""
        said, told = self.column(at)
        groups = np.array(self.groups, dtype=object)
        known = ~np.isnan(said) & ~np.isnan(told)
        return min(len(set(groups[known & (told == side)])) for side in (0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Evidence:
    """By category, what it is judged by; None where there is nothing to judge it by.

    `test_side_lost`: why the test side could not be asked, where it was wanted.
    """

    by_category: dict[str, Labelled | None]
    live: Labelled
    test_side_lost: str | None = None


def live_decisions(tx: Connection, judged: Judged) -> Labelled:
    """What was decided and audited, each answer standing for as many as its chance says."""
    groups = groups_of(tx, [ItemId(str(one)) for one in judged.item_ids])
    return Labelled(
        "live decisions",
        judged.probabilities,
        judged.truth,
        1.0 / judged.inclusion_probability,
        [groups.get(one, str(one)) for one in judged.item_ids],
    )


def evidence_of(
    live: Labelled, record: ModelRecord, snapshot_path: Path, *, policy: Policy
) -> Evidence:
    """Of each category its live decisions if enough were audited, else the snapshot's test side.

    The model is loaded only where a category needs it.
    """
    columns = dict(enumerate(policy.category_ids))
    enough = {one for at, one in columns.items() if live.events(at) >= LEAST_EVENTS}
    found: dict[str, Labelled | None] = {
        one: live if one in enough else None for one in columns.values()
    }
    if len(enough) == len(columns):
        return Evidence(found, live)
    try:
        test = _test_side(record, snapshot_path, policy)
    except (BundleLost, datasets.SnapshotMissing, datasets.SnapshotDamaged) as lost:
        return Evidence(found, live, str(lost))
    for at, one in columns.items():
        said, told = test.column(at)
        if one not in enough and (~np.isnan(said) & ~np.isnan(told)).any():
            found[one] = test
    return Evidence(found, live)


def _test_side(record: ModelRecord, snapshot_path: Path, policy: Policy) -> Labelled:
    model = load_registered(record)
    test = [
        one for one in datasets.read_snapshot(snapshot_path).examples if one.split is Split.TEST
    ]
    return Labelled(
        "test side",
        training.probabilities_for(model, [one.text for one in test], policy.category_ids),
        truth_of(test, policy),
        np.ones(len(test)),
        [one.group_id for one in test],
    )


def measures_of(
    evidence: Evidence, stored: Sequence[registry.Figure], *, policy: Policy, seed: int
) -> dict[str, dict[str, registry.Measure]]:
    """By category and metric, over all items, from where the category is judged.

    Of the test side as they were stored when the model was trained.
    """
    found: dict[str, dict[str, registry.Measure]] = {}
    live = [one for one, by in evidence.by_category.items() if by is evidence.live]
    columns = [policy.category_ids.index(one) for one in live]
    if live:
        for measure in evaluation.evaluate(
            evidence.live.probabilities[:, columns],
            evidence.live.truth[:, columns],
            live,
            thresholds=[policy.category[at].threshold for at in columns],
            weights=evidence.live.weights,
            groups=evidence.live.groups,
            seed=seed,
        ):
            if measure.category != evaluation.MACRO:
                found.setdefault(measure.category, {})[measure.metric] = measure
    for figure in stored:
        if figure.slice_name == "" and figure.category not in (*live, evaluation.MACRO):
            found.setdefault(figure.category, {})[figure.metric] = figure
    return found
