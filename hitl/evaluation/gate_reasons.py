"""Each rule of the gate: what it found, whether that passes, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hitl.evaluation.cells import Table, distinct
from hitl.evaluation.comparisons import holm, mcnemar_mid_p
from hitl.evaluation.paired import Pair, Spread
from hitl.evaluation.verdict import GateRules, Outcome, Reason


def items_reason(items: int, rules: GateRules) -> Reason:
    """Enough items that both models gave a probability for?"""
    enough = items >= rules.min_test_items
    words = f"{items} labelled test items that can be compared; {rules.min_test_items} are needed"
    return Reason(
        rule="test_items", outcome=Outcome.PASSED if enough else Outcome.UNDECIDED, category="",
        value=float(items), low=None, high=None, bound=float(rules.min_test_items), p_value=None,
        n=items, n_positive=0, words=words if enough else f"{words}; label more of the test side",
    )  # fmt: skip


def champion_reason(why: str) -> Reason:
    """The champion cannot be asked."""
    return Reason(
        rule="champion", outcome=Outcome.UNDECIDED, category="", value=None, low=None, high=None,
        bound=None, p_value=None, n=0, n_positive=0, words=f"nothing was compared: {why}",
    )  # fmt: skip


def thin_reason(pair: Pair, rules: GateRules) -> Reason:
    """A category with too few events to say anything of."""
    cell = pair.new
    words = (
        f"{cell.category} is not judged: {cell.n_events} on the rarer side of its answer "
        f"(n {cell.n}, positive {cell.n_positive}), the floor is {rules.judged_from}"
    )
    return Reason(
        rule="category", outcome=Outcome.NOTED, category=cell.category, value=None, low=None,
        high=None, bound=None, p_value=None, n=cell.n, n_positive=cell.n_positive, words=words,
    )  # fmt: skip


def nothing_to_compare_reason(categories: int, items: int, *, needed: int) -> Reason:
    """No category has enough events."""
    words = (
        f"none of {categories} categories has {needed} events on both "
        "sides of its answer; label more of the test side"
    )
    return Reason(
        rule="macro", outcome=Outcome.UNDECIDED, category="", value=None, low=None, high=None,
        bound=None, p_value=None, n=items, n_positive=0, words=words,
    )  # fmt: skip


def macro_reason(macro: Spread, pairs: Sequence[Pair], rules: GateRules) -> Reason:
    """No loss of average precision over the categories beyond the margin (or a gain)?"""
    bound = 0.0 if rules.require_superiority else -rules.margin
    p_value = macro.chance_at_most(bound)
    outcome = _outcome(p_value, macro.chance_at_least(0.0), rules)
    words = (
        f"macro average precision over {len(pairs)} categories changes by "
        f"{_change(macro, rules)}; it has to be above {bound:+.3f} "
        f"(p {p_value:.3f}, n {distinct(pair.new for pair in pairs)[0]})"
    )
    return _reason("macro", outcome, words, macro, pairs, rules, bound=bound, p_value=p_value)


def category_reasons(
    spreads: Sequence[Spread], pairs: Sequence[Pair], rules: GateRules
) -> Iterator[Reason]:
    """The same for each category, with Holm's correction over all of them.

    A category with fewer events than `min_category_positives` is not asked to show that it lost
    no more than the margin: it could not. It fails where it is shown to be lower.
    """
    bound = -(rules.margin if rules.category_margin is None else rules.category_margin)
    asked = np.array([pair.new.n_events >= rules.min_category_positives for pair in pairs])
    not_held = np.array([one.chance_at_most(bound) for one in spreads])
    not_held[asked] = holm(not_held[asked])
    not_broken = holm([one.chance_at_least(0.0) for one in spreads])
    for k, (spread, pair) in enumerate(zip(spreads, pairs, strict=True)):
        p_value, against = float(not_held[k]), bound
        outcome = _outcome(p_value, float(not_broken[k]), rules)
        rule = f"it has to be above {bound:+.3f}"
        if not asked[k]:
            p_value, against = float(not_broken[k]), 0.0
            outcome = outcome if outcome is Outcome.FAILED else Outcome.NOTED
            rule = (
                f"with {pair.new.n_events} of {rules.min_category_positives} events it counts "
                "only where it is shown to be lower"
            )
        words = (
            f"average precision of {pair.new.category} changes by {_change(spread, rules)}; {rule} "
            f"(p {p_value:.3f} after Holm, n {pair.new.n}, positive {pair.new.n_positive})"
        )
        yield _reason(
            "category", outcome, words, spread, [pair], rules,
            category=pair.new.category, bound=against, p_value=p_value,
        )  # fmt: skip


def nll_reason(nll: Spread, pairs: Sequence[Pair], rules: GateRules) -> Reason:
    """Is the calibration not broken?"""
    limits = nll.bounds(rules.confidence)
    outcome = Outcome.UNDECIDED
    if nll.value <= rules.max_nll_increase:
        outcome = Outcome.PASSED
    elif limits is not None and limits[0] > rules.max_nll_increase:
        outcome = Outcome.FAILED
    words = (
        f"negative log-likelihood over {len(pairs)} categories changes by "
        f"{_change(nll, rules, '+.1%')}; {rules.max_nll_increase:+.1%} is allowed"
    )
    return _reason("nll", outcome, words, nll, pairs, rules, bound=rules.max_nll_increase)


def skill_reason(skill: Spread, pairs: Sequence[Pair], rules: GateRules) -> Reason:
    """Without a champion: does the model order better than chance?"""
    p_value = skill.chance_at_most(rules.margin)
    passed = p_value <= 1.0 - rules.confidence
    words = (
        f"there is no champion; macro average precision over {len(pairs)} categories is "
        f"{_change(skill, rules)} above a random order; {rules.margin:+.3f} has to be "
        f"shown (p {p_value:.3f})"
    )
    if not passed:
        words += "; a person has to approve"
    return _reason(
        "skill", Outcome.PASSED if passed else Outcome.UNDECIDED, words, skill, pairs, rules,
        bound=rules.margin, p_value=p_value,
    )  # fmt: skip


def f1_reason(f1: Spread, pairs: Sequence[Pair], rules: GateRules) -> Reason:
    """What changes at the policy's thresholds; for the reader."""
    words = f"macro F1 at the policy's thresholds changes by {_change(f1, rules)}"
    return _reason("f1", Outcome.NOTED, words, f1, pairs, rules)


def reliability_reason(error: Spread, pairs: Sequence[Pair], rules: GateRules) -> Reason:
    """How far probabilities are from what happens; for the reader.

    Noise alone makes it larger than 0, and its interval leans to one side: `nll` is what judges.
    """
    words = (
        f"calibration error (equal-mass bins) over {len(pairs)} categories changes by "
        f"{_change(error, rules)}; negative log-likelihood is what judges"
    )
    return _reason("reliability", Outcome.NOTED, words, error, pairs, rules)


def decisions_reason(new: Table, old: Table, rules: GateRules) -> Reason:
    """At the policy's thresholds, which of the two decides more items rightly? For the reader.

    An item is right where every category is; of a group of near copies, where all of it is. Most
    items violate nothing, so that who flags nothing has most of them right: superiority goes by
    average precision, and this number stands beside it.
    """
    rows = new.known.any(axis=1) & (new.weights > 0.0)
    groups = np.unique(new.group_of[rows], return_inverse=True)[1]
    wrong = []
    for table in (new, old):
        flagged = table.probabilities >= table.thresholds
        errs = (table.known & (flagged != (table.truth == 1.0))).any(axis=1)[rows]
        wrong.append(np.bincount(groups, weights=errs) > 0)
    gained, lost = (
        int(np.count_nonzero(one)) for one in (~wrong[0] & wrong[1], wrong[0] & ~wrong[1])
    )
    p_value, judged = mcnemar_mid_p(lost, gained), len(wrong[0])
    words = (
        f"at the policy's thresholds the challenger alone decides {gained} of {judged} groups of "
        f"items rightly, the champion alone {lost} (McNemar mid-p {p_value:.3f}, two-sided)"
    )
    if rules.require_superiority:
        words += "; superiority goes by macro average precision"
    violating = (new.known & (new.truth == 1.0)).any(axis=1)
    return Reason(
        rule="decisions", outcome=Outcome.NOTED, category="", value=(gained - lost) / judged,
        low=None, high=None, bound=None, p_value=p_value, n=int(np.count_nonzero(rows)),
        n_positive=int(np.count_nonzero(violating & rows)), words=words,
    )  # fmt: skip


def _change(spread: Spread, rules: GateRules, form: str = "+.3f") -> str:
    limits = spread.bounds(rules.confidence)
    if limits is None:
        return f"{spread.value:{form}} [too few resamples have it]"
    return f"{spread.value:{form}} [{limits[0]:{form}}, {limits[1]:{form}}]"


def _outcome(p_holds: float, p_broken: float, rules: GateRules) -> Outcome:
    alpha = 1.0 - rules.confidence
    if p_holds <= alpha:
        return Outcome.PASSED
    return Outcome.FAILED if p_broken <= alpha else Outcome.UNDECIDED


def _reason(
    rule: str,
    outcome: Outcome,
    words: str,
    spread: Spread,
    pairs: Sequence[Pair],
    rules: GateRules,
    *,
    category: str = "",
    bound: float | None = None,
    p_value: float | None = None,
) -> Reason:
    low, high = spread.bounds(rules.confidence) or (None, None)
    n, n_positive = distinct(pair.new for pair in pairs)
    return Reason(
        rule=rule, outcome=outcome, category=category, value=spread.value, low=low, high=high,
        bound=bound, p_value=p_value, n=n, n_positive=n_positive, words=words,
    )  # fmt: skip
