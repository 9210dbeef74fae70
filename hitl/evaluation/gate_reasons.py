"""Each rule of the gate: what it found, whether that passes, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hitl.evaluation.comparisons import holm
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


def thin_reason(pair: Pair, rules: GateRules) -> Reason:
    """A category with too few events to say anything of."""
    cell = pair.new
    words = (
        f"{cell.category} is not judged: {cell.n_events} on the rarer side of its answer "
        f"(n {cell.n}, positive {cell.n_positive}), the floor is {rules.min_category_positives}"
    )
    return Reason(
        rule="category", outcome=Outcome.NOTED, category=cell.category, value=None, low=None,
        high=None, bound=None, p_value=None, n=cell.n, n_positive=cell.n_positive, words=words,
    )  # fmt: skip


def nothing_to_compare_reason(categories: int, items: int, rules: GateRules) -> Reason:
    """No category has enough events."""
    words = (
        f"none of {categories} categories has {rules.min_category_positives} events on both "
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
    low, high = macro.bounds(rules.confidence)
    words = (
        f"macro average precision over {len(pairs)} categories changes by "
        f"{_change(macro.value, low, high)}; it has to be above {bound:+.3f} "
        f"(p {p_value:.3f}, n {max(pair.new.n for pair in pairs)})"
    )
    return _reason("macro", outcome, words, macro, pairs, rules, bound=bound, p_value=p_value)


def category_reasons(
    spreads: Sequence[Spread], pairs: Sequence[Pair], rules: GateRules
) -> Iterator[Reason]:
    """The same for each category, with Holm's correction over all of them."""
    bound = -(rules.margin if rules.category_margin is None else rules.category_margin)
    not_held = holm([one.chance_at_most(bound) for one in spreads])
    not_broken = holm([one.chance_at_least(0.0) for one in spreads])
    for spread, pair, p_value, p_broken in zip(spreads, pairs, not_held, not_broken, strict=True):
        outcome = _outcome(float(p_value), float(p_broken), rules)
        low, high = spread.bounds(rules.confidence)
        words = (
            f"average precision of {pair.new.category} changes by "
            f"{_change(spread.value, low, high)}; it has to be above {bound:+.3f} "
            f"(p {p_value:.3f} after Holm, n {pair.new.n}, positive {pair.new.n_positive})"
        )
        yield _reason(
            "category", outcome, words, spread, [pair], rules,
            category=pair.new.category, bound=bound, p_value=float(p_value),
        )  # fmt: skip


def nll_reason(nll: Spread, pairs: Sequence[Pair], rules: GateRules) -> Reason:
    """Is the calibration not broken?"""
    low, high = nll.bounds(rules.confidence)
    outcome = Outcome.UNDECIDED
    if nll.value <= rules.max_nll_increase:
        outcome = Outcome.PASSED
    elif low > rules.max_nll_increase:
        outcome = Outcome.FAILED
    words = (
        f"negative log-likelihood over {len(pairs)} categories changes by {nll.value:+.1%} "
        f"[{low:+.1%}, {high:+.1%}]; {rules.max_nll_increase:+.1%} is allowed"
    )
    return _reason("nll", outcome, words, nll, pairs, rules, bound=rules.max_nll_increase)


def skill_reason(skill: Spread, pairs: Sequence[Pair], rules: GateRules) -> Reason:
    """Without a champion: does the model order better than chance?"""
    p_value = skill.chance_at_most(rules.margin)
    passed = p_value <= 1.0 - rules.confidence
    low, high = skill.bounds(rules.confidence)
    words = (
        f"there is no champion; macro average precision over {len(pairs)} categories is "
        f"{_change(skill.value, low, high)} above a random order; {rules.margin:+.3f} has to be "
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
    low, high = f1.bounds(rules.confidence)
    words = f"macro F1 at the policy's thresholds changes by {_change(f1.value, low, high)}"
    return _reason("f1", Outcome.NOTED, words, f1, pairs, rules)


def _change(value: float, low: float, high: float) -> str:
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


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
    low, high = spread.bounds(rules.confidence)
    return Reason(
        rule=rule, outcome=outcome, category=category, value=spread.value, low=low, high=high,
        bound=bound, p_value=p_value, n=max(pair.new.n for pair in pairs),
        n_positive=sum(pair.new.n_positive for pair in pairs), words=words,
    )  # fmt: skip
