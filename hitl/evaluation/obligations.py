"""Does the challenger keep what the policy promises, in every slice, as the champion does?

At the policy's thresholds, the same ones for both. A certified threshold belongs to one model's
scores: the champion has its own, the challenger has none yet, and one found on these labels would
flatter it. What becomes of certificates is asked beside this (`certificates_kept`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hitl.evaluation.arrays import BoolArray, same_length
from hitl.evaluation.cells import Table
from hitl.evaluation.comparisons import holm
from hitl.evaluation.paired_rates import PromisedRate, RateChange, could_show, rate_change
from hitl.evaluation.verdict import GateRules, Outcome, Reason

Obligations = Mapping[str, Sequence[PromisedRate]]
"""By category, which rates the policy promises something of."""
Slices = Mapping[str, Sequence[str]]
"""By name, such as language, each item's value."""


class Comparison(NamedTuple):
    """One promised rate of one category, in one slice of the items or in all ("", "")."""

    category: str
    metric: PromisedRate
    slice_name: str
    slice_value: str
    change: RateChange

    @property
    def where(self) -> str:
        return f" where {self.slice_name} is {self.slice_value}" if self.slice_name else ""


def comparisons(
    new: Table,
    old: Table,
    categories: Sequence[str],
    *,
    obligations: Obligations,
    slices: Slices | None = None,
) -> list[Comparison]:
    """Every promised rate over all items, then in each slice, in the order of the categories.

    Raises:
        BadArrays: a slice has not one value an item.
    """
    found = []
    for column, category in enumerate(categories):
        known = new.known[:, column] & (new.weights > 0.0)
        for metric in obligations.get(category, ()):
            for name, value, rows in _each_slice(slices or {}, len(known)):
                kept = known & rows
                change = rate_change(
                    metric,
                    new=new.probabilities[kept, column] >= new.thresholds[column],
                    old=old.probabilities[kept, column] >= old.thresholds[column],
                    truth=new.truth[kept, column],
                    group_of=new.group_of[kept],
                    weights=new.weights[kept],
                )
                found.append(Comparison(category, metric, name, value, change))
    return found


def _each_slice(slices: Slices, items: int) -> Iterator[tuple[str, str, BoolArray]]:
    yield "", "", np.ones(items, dtype=bool)
    for name, values in slices.items():
        of_item = np.asarray(values, dtype=object)
        same_length(items, **{name: of_item})
        found = sorted(set(of_item.tolist()))
        # One value is no slice: asked twice, it would only cost the others at Holm's correction.
        for value in found if len(found) > 1 else ():
            yield name, value, of_item == value


def obligation_reasons(found: Sequence[Comparison], rules: GateRules) -> Iterator[Reason]:
    """One reason a comparison, with Holm's correction over all of them.

    With `min_category_positives` events or more, and enough to show it were no decision lost, a
    comparison has to show that it loses less than the margin. With `judged_from` or more it fails
    where it is shown to be lower. With fewer it is noted.
    """
    margin, alpha = rules.obligation_margin, 1.0 - rules.confidence
    judged = [one for one in found if one.change.events >= rules.judged_from]
    asked = np.array(
        could_show(
            [one.change.events for one in judged],
            margin=margin, alpha=alpha, at_least=rules.min_category_positives,
        ),
        dtype=bool,
    )  # fmt: skip
    not_held = np.array([one.change.chance_within(margin) for one in judged])
    not_held[asked] = holm(not_held[asked])
    not_broken = holm([one.change.chance_not_lower() for one in judged])
    for k, one in enumerate(judged):
        outcome = Outcome.FAILED if not_broken[k] <= alpha else Outcome.NOTED
        bound, p_value = 0.0, float(not_broken[k])
        rule = "with so few events it counts only where it is shown to be lower"
        if asked[k]:
            bound, p_value = -margin, float(not_held[k])
            rule = f"it has to be above {bound:+.3f}"
            if p_value <= alpha:
                outcome = Outcome.PASSED
            elif outcome is Outcome.NOTED:
                outcome = Outcome.UNDECIDED
        yield change_reason(
            "obligation", one, rules, outcome=outcome, bound=bound, p_value=p_value,
            remark=f"{rule} (p {p_value:.3f} after Holm, {counts(one.change)})",
        )  # fmt: skip
    for one in found:
        if one.change.events < rules.judged_from:
            yield too_few_reason("obligation", one, rules)


def change_reason(
    rule: str,
    one: Comparison,
    rules: GateRules,
    *,
    outcome: Outcome,
    bound: float | None,
    p_value: float | None,
    remark: str,
) -> Reason:
    """What a comparison found, with its interval."""
    low, high = one.change.bounds(rules.confidence)
    words = (
        f"{one.metric} of {one.category}{one.where} changes by "
        f"{one.change.value:+.3f} [{low:+.3f}, {high:+.3f}]; {remark}"
    )
    return Reason(
        rule=rule, outcome=outcome, category=one.category, value=one.change.value, low=low,
        high=high, bound=bound, p_value=p_value, n=one.change.n, n_positive=one.change.n_positive,
        words=words, metric=one.metric, slice_name=one.slice_name, slice_value=one.slice_value,
    )  # fmt: skip


def too_few_reason(rule: str, one: Comparison, rules: GateRules) -> Reason:
    """A comparison that has no number."""
    words = (
        f"{one.metric} of {one.category}{one.where} is not judged: too_few_events "
        f"({counts(one.change)}, the floor is {rules.judged_from})"
    )
    return Reason(
        rule=rule, outcome=Outcome.NOTED, category=one.category, value=None, low=None, high=None,
        bound=None, p_value=None, n=one.change.n, n_positive=one.change.n_positive, words=words,
        metric=one.metric, slice_name=one.slice_name, slice_value=one.slice_value,
    )  # fmt: skip


def counts(change: RateChange) -> str:
    """On what a change rests, in words."""
    effective = f", effective {change.n_effective:.0f}" if change.events else ""
    return f"n {change.n}, events {change.events}{effective}"
