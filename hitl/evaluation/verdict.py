"""What a gate asks of a challenger, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hitl.evaluation.arrays import level
from hitl.evaluation.errors import BadLevel


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
    `category_margin`, by default the same). `max_nll_increase` is a fraction.
    """

    margin: float = 0.02
    category_margin: float | None = None
    max_nll_increase: float = 0.02
    min_test_items: int = 40
    min_category_positives: int = 10
    confidence: float = 0.95
    resamples: int = 1000
    require_superiority: bool = False

    def __post_init__(self) -> None:
        level("confidence", self.confidence)
        if not 0.0 <= self.margin < 1.0:
            raise BadLevel("margin", self.margin, "a loss in [0, 1), such as 0.02")
        if self.resamples < 100:
            raise BadLevel("resamples", self.resamples, "100 or more")


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule, what it found, and the numbers. `low` and `high` are one-sided bounds, each at
    the rules' confidence; `bound` is what they are held against."""

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

    def __str__(self) -> str:
        return f"{self.outcome}: {self.words}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, with one reason for every rule that was looked at."""

    decision: VerdictDecision
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return "\n".join([self.decision.value, *(f"  {reason}" for reason in self.reasons)])


def verdict_of(reasons: Sequence[Reason]) -> Verdict:
    """Any failure refuses; else anything undecided is insufficient; else promote."""
    outcomes = {one.outcome for one in reasons}
    if Outcome.FAILED in outcomes:
        return Verdict(VerdictDecision.REFUSE, tuple(reasons))
    if Outcome.UNDECIDED in outcomes or Outcome.PASSED not in outcomes:
        return Verdict(VerdictDecision.INSUFFICIENT, tuple(reasons))
    return Verdict(VerdictDecision.PROMOTE, tuple(reasons))
