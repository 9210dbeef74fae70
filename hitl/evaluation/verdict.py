"""What a gate asks of a challenger, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hitl.evaluation.arrays import level
from hitl.evaluation.errors import BadLevel

FEWEST_EVENTS = 10
"""Groups on the rarer side of a category's answer below which its figure is noise."""
FEWEST_IN_MEAN = 20
"""Below this a bootstrap of average precision is too sure of itself: in simulations a loss as large
as the margin passed in .07 to .10 of the cases with 12 events a category, in .05 to .07 with 20."""


class VerdictDecision(StrEnum):
    """What to do with the challenger."""

    PROMOTE = "promote"  # every rule is shown to hold
    REFUSE = "refuse"  # a rule is shown to be broken
    INSUFFICIENT = "insufficient"  # the labels cannot tell; label more, or a person approves


class Outcome(StrEnum):
    """What one rule says."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    NOTED = "noted"  # reported, not judged


@dataclass(frozen=True, slots=True)
class GateRules:
    """What a challenger has to show; the fields of a recipe's `gate`.

    `margin` is how much average precision may be lost at most (macro, and in each category:
    `category_margin`, by default the same), and `obligation_margin` how much of a precision or
    recall that the policy promises. `max_nll_increase` is a fraction. A category with
    `min_category_positives` events or more has to show that it loses no more than the margin;
    with fewer it counts in the mean (`averaged_from`), and stops a challenger that is shown to be
    worse in it (`judged_from`). So it is with a slice.
    """

    margin: float = 0.02
    category_margin: float | None = None
    obligation_margin: float = 0.05
    max_nll_increase: float = 0.02
    min_test_items: int = 40
    min_category_positives: int = 50
    confidence: float = 0.95
    resamples: int = 1000
    require_superiority: bool = False

    def __post_init__(self) -> None:
        level("confidence", self.confidence)
        if not 0.0 <= self.margin < 1.0:
            raise BadLevel("margin", self.margin, "a loss in [0, 1), such as 0.02")
        if not 0.0 <= self.obligation_margin < 1.0:
            raise BadLevel(
                "obligation_margin", self.obligation_margin, "a loss in [0, 1), such as 0.05"
            )
        if self.resamples < 100:
            raise BadLevel("resamples", self.resamples, "100 or more")

    @property
    def judged_from(self) -> int:
        """Events from which on a category is looked at; with fewer it is noted only."""
        return max(1, min(FEWEST_EVENTS, self.min_category_positives))

    @property
    def averaged_from(self) -> int:
        """Events from which on a category counts in the mean."""
        return max(1, min(FEWEST_IN_MEAN, self.min_category_positives))


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule, what it found, and the numbers. `low` and `high` are one-sided bounds, each at
    the rules' confidence, None where there are none; `bound` is what they are held against.
    `metric` and the slice are empty where the rule is about no one of them."""

    rule: str
    outcome: Outcome
    category: str
    value: float | None
    low: float | None
    high: float | None
    bound: float | None
    p_value: float | None
    n: int
    n_positive: int
    words: str
    metric: str = ""
    slice_name: str = ""
    slice_value: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.words}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, with one reason for every rule that was looked at; what decided leads."""

    decision: VerdictDecision
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return "\n".join([self.decision.value, *(f"  {reason}" for reason in self.reasons)])


def verdict_of(reasons: Sequence[Reason]) -> Verdict:
    """Any failure refuses; else anything undecided is insufficient; else promote."""
    outcomes = {one.outcome for one in reasons}
    ordered = tuple(sorted(reasons, key=lambda one: _LEADS.index(one.outcome)))
    if Outcome.FAILED in outcomes:
        return Verdict(VerdictDecision.REFUSE, ordered)
    if Outcome.UNDECIDED in outcomes or Outcome.PASSED not in outcomes:
        return Verdict(VerdictDecision.INSUFFICIENT, ordered)
    return Verdict(VerdictDecision.PROMOTE, ordered)


_LEADS = (Outcome.FAILED, Outcome.UNDECIDED, Outcome.PASSED, Outcome.NOTED)
