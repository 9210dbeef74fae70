"""May the challenger replace the champion? Judged on the same labelled items, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.cells import Table, Thresholds
from hitl.evaluation.gate_reasons import (
    category_reasons,
    champion_reason,
    decisions_reason,
    f1_reason,
    items_reason,
    macro_reason,
    nll_reason,
    nothing_to_compare_reason,
    reliability_reason,
    skill_reason,
    thin_reason,
)
from hitl.evaluation.obligations import Obligations, Slices, comparisons, obligation_reasons
from hitl.evaluation.paired import MEANS, differences, paired_categories, skill, spreads
from hitl.evaluation.verdict import GateRules, Verdict, verdict_of


def judge(
    champion_probabilities: ArrayLike | None,
    challenger_probabilities: ArrayLike,
    truth: ArrayLike,
    categories: Sequence[str],
    *,
    rules: GateRules,
    thresholds: Thresholds,
    groups: Sequence[object] | None = None,
    weights: ArrayLike | None = None,
    obligations: Obligations | None = None,
    slices: Slices | None = None,
    seed: int,
) -> Verdict:
    """Compare two models on the same test items, none of which either was trained on.

    Every difference is resampled in pairs: both models always on the same items, whole groups at
    once. A rule can pass, fail, or stay undecided; any failure refuses, else any undecided rule
    means insufficient, else promote. What each rule guarantees, at the rules' confidence:

    - `test_items`: at least `min_test_items` items have an answer that both models gave a
      probability for.
    - `macro`: mean average precision over categories with `averaged_from` events or more is not
      lower than the champion's by `margin` or more (with `require_superiority`: is higher). A
      challenger that is worse by more than the margin passes with chance 1 - confidence at most,
      about (the bootstrap is exact only for many items). It fails when it is shown to be lower at
      all and not shown to be within the margin.
    - `category`: the same for each category with `min_category_positives` groups or more on
      either side of the answer; Holm's correction keeps the chance of one wrong pass, or one
      wrong failure, over all of them at 1 - confidence. A category with fewer, but `judged_from`
      or more, can only fail; one with fewer still is noted.
    - `nll`: mean negative log-likelihood over the same categories. A guard, not a promise: it
      passes when the observed increase is within `max_nll_increase`, fails when the increase is
      shown to be larger, and is undecided between. It catches a broken calibration.
    - without a champion `skill`: macro average precision is above that of a random order by more
      than `margin`. Scores without any skill pass with chance 1 - confidence at most. It never
      fails: it passes, or a person has to approve.
    - `obligation`: each precision or recall that the policy promises, at the policy's thresholds,
      over all items and in each slice, is not lower by `obligation_margin` or more; as for
      `category`, with Holm's correction over all of these (`obligation_reasons`).
    - `f1`, `decisions` and `reliability`: what changes at the policy's thresholds, McNemar's test
      of the decisions there, and the calibration error; noted, never judged. `require_superiority`
      goes by `macro`.

    Without weights every item counts once, whatever its chance of being chosen: the question is
    which model is better on what was audited, not what the stream looks like.

    Args:
        champion_probabilities: shape (N, C), NaN where it does not know the category; None:
            there is no champion.
        challenger_probabilities, truth: as for `evaluate`.
        weights: shape (N,), such as 1 / inclusion probability.
        obligations: by category, the rates that the policy promises.
        slices: by name, the value of each of N items.

    Raises:
        BadArrays: shapes differ, or numbers are impossible.

    Source: non-inferiority as an intersection-union test (Berger 1982); Holm (1979).
    """
    new = Table.checked(
        challenger_probabilities, truth, categories,
        thresholds=thresholds, weights=weights, groups=groups,
    )  # fmt: skip
    old = new
    if champion_probabilities is not None:
        old = Table.checked(
            champion_probabilities, truth, categories,
            thresholds=thresholds, weights=weights, groups=groups,
        )  # fmt: skip
        both = new.known & old.known
        new, old = new._replace(known=both), old._replace(known=both)

    items = int(np.count_nonzero(new.known.any(axis=1) & (new.weights > 0.0)))
    if items < rules.min_test_items:
        return verdict_of([items_reason(items, rules)])
    pairs, thin = paired_categories(new, old, categories, min_events=rules.judged_from)
    reasons = [items_reason(items, rules), *(thin_reason(pair, rules) for pair in thin)]
    if not pairs:
        lacking = nothing_to_compare_reason(len(categories), items, needed=rules.judged_from)
        return verdict_of([*reasons, lacking])
    if champion_probabilities is None:
        gain = skill(pairs, new, resamples=rules.resamples, seed=seed)
        return verdict_of([*reasons, skill_reason(gain, pairs, rules)])
    reasons.append(decisions_reason(new, old, rules))
    if obligations:
        found = comparisons(new, old, categories, obligations=obligations, slices=slices)
        reasons += obligation_reasons(found, rules)
    in_mean = np.array([pair.new.n_events >= rules.averaged_from for pair in pairs])
    figures = spreads(
        lambda resample: differences(pairs, resample, in_mean=in_mean),
        new, resamples=rules.resamples, seed=seed,
    )  # fmt: skip
    reasons += category_reasons(figures[:-MEANS], pairs, rules)
    averaged = [pair for pair, counts in zip(pairs, in_mean, strict=True) if counts]
    if not averaged:
        needed = rules.averaged_from
        reasons.append(nothing_to_compare_reason(len(categories), items, needed=needed))
        return verdict_of(reasons)
    macro, nll, f1, error = figures[-MEANS:]
    return verdict_of(
        [
            *reasons,
            macro_reason(macro, averaged, rules),
            nll_reason(nll, averaged, rules),
            f1_reason(f1, averaged, rules),
            reliability_reason(error, averaged, rules),
        ]
    )


def cannot_compare(why: str) -> Verdict:
    """The verdict where the champion cannot be asked. A person may take it on themselves."""
    return verdict_of([champion_reason(why)])
