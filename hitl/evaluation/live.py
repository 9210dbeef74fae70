"""What the challenger decided beside the champion, on items as they come in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.cells import Table, Thresholds
from hitl.evaluation.comparisons import holm
from hitl.evaluation.obligations import (
    Obligations,
    Slices,
    change_reason,
    comparisons,
    counts,
    too_few_reason,
)
from hitl.evaluation.paired_rates import RATES
from hitl.evaluation.verdict import GateRules, Outcome, Reason


def live_reasons(
    champion_probabilities: ArrayLike,
    shadow_probabilities: ArrayLike,
    truth: ArrayLike,
    categories: Sequence[str],
    *,
    inclusion_probability: ArrayLike,
    rules: GateRules,
    thresholds: Thresholds,
    groups: Sequence[object] | None = None,
    slices: Slices | None = None,
) -> Iterator[Reason]:
    """Precision and recall of both on audited items, each weighted by 1 / inclusion probability.

    So weighted they speak of the stream, where the test items speak of what was audited. No
    challenger is promoted for it, as labels come in and it is looked at again each time; where it
    is shown to be lower at all, Holm's correction over everything, a person has to approve.

    Args:
        champion_probabilities, shadow_probabilities: shape (N, C), of the newest decisions.
        truth: shape (N, C); 1, 0 or NaN.
        inclusion_probability: shape (N,), of being audited and answered.

    Raises:
        BadArrays: shapes differ, or numbers are impossible.
    """
    weights = 1.0 / np.asarray(inclusion_probability, dtype=np.float64)
    new, old = (
        Table.checked(one, truth, categories, thresholds=thresholds, weights=weights, groups=groups)
        for one in (shadow_probabilities, champion_probabilities)
    )
    both = new.known & old.known
    everything: Obligations = {category: RATES for category in categories}
    found = comparisons(
        new._replace(known=both), old, categories, obligations=everything, slices=slices
    )
    judged = [one for one in found if one.change.events >= rules.judged_from]
    p_values = holm([one.change.chance_not_lower() for one in judged])
    for one, p_value in zip(judged, p_values.tolist(), strict=True):
        is_lower = p_value <= 1.0 - rules.confidence
        remark = f"weighted to the stream (p {p_value:.3f} after Holm, {counts(one.change)})"
        if is_lower:
            remark += "; shown to be lower on live decisions, a person has to approve"
        yield change_reason(
            "live", one, rules, outcome=Outcome.UNDECIDED if is_lower else Outcome.NOTED,
            bound=0.0, p_value=p_value, remark=f"beside the champion's live decisions, {remark}",
        )  # fmt: skip
    for one in found:
        if one.change.events < rules.judged_from and not one.slice_name:
            yield too_few_reason("live", one, rules)


def no_live_reason(why: str) -> Reason:
    """There is nothing to compare live decisions by."""
    return Reason(
        rule="live", outcome=Outcome.NOTED, category="", value=None, low=None, high=None,
        bound=None, p_value=None, n=0, n_positive=0,
        words=f"no live decisions were compared: {why}",
    )  # fmt: skip
