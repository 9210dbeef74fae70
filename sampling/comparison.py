"""What a replay says of each plan beside a baseline, in figures.

The verdict is on the area under the learning curve: the paired difference to the baseline, with
Student's interval over seeds. Holm's correction guards what is said of all plans together, because
of twenty plans that are no better one looks better at 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from sampling.curves import Curve, Replay
from sampling.pool import FloatArray
from sampling.reach import RESAMPLES, Reach


class Outcome(StrEnum):
    """Where a plan's own interval puts it beside the baseline."""

    BASELINE = "baseline"
    ABOVE = "above"
    BELOW = "below"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over seeds and its interval; NaN limits from a single seed."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Effort:
    """A plan counted in one kind of effort: labels, or a reviewer's seconds.

    `gain` is the paired difference of mean heights of the curves over that effort. `spent` is the
    effort at the end of the replay.
    """

    gain: Figure
    spent: Figure
    reach: Reach


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """One plan beside the baseline; what was not counted is None.

    `gain_share` is what part of the baseline's area `by_labels.gain` is, and `p` its two-sided
    p-value, after Holm; NaN for the baseline itself.
    """

    name: str
    outcome: Outcome
    area: Figure
    gain_share: float
    p: float
    final: Figure
    final_gain: Figure
    by_labels: Effort
    by_seconds: Effort | None
    positives: Figure | None
    positives_gain: Figure | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All plans of a replay beside its baseline; `plans` in the replay's order.

    `target` is the score of every `reach`: as given, or what the baseline has in the end.
    `leaders` are the plans that are above the baseline even after Holm and cannot be told from the
    best of them, best first; empty where none is above.
    """

    against: str
    seeds: int
    confidence: float
    target: float
    plans: tuple[PlanFigures, ...]
    leaders: tuple[str, ...]

    def of(self, plan: str) -> PlanFigures:
        """The figures of one plan."""
        return next(one for one in self.plans if one.name == plan)

    def holds_among_all(self, plan: PlanFigures) -> bool:
        """Whether its difference stands when all plans are looked at together."""
        return plan.p <= 1.0 - self.confidence


def compare(
    replay: Replay,
    *,
    against: str = "random",
    target: float | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """What the replay says of every plan beside `against`.

    Args:
        target: the score to reach; by default the baseline's mean score at its end.
        resamples, seed: of the bootstrap of what it takes to reach the target.

    Raises:
        BadPlan: `against` was not replayed.
    """
    others = [name for name in replay.plans if name != against]
    base = replay.areas(against)
    p_values = _holm([_p_value(replay.areas(name) - base) for name in others])

    def effort(name: str, *, by_seconds: bool) -> Effort:
        gain = replay.area_by_seconds if by_seconds else replay.area
        if by_seconds:
            spent = _last(replay.time(name, confidence=confidence))
        else:
            spent = Figure(*[float(replay.budgets[-1])] * 3)
        reach = replay.reach(
            name,
            against=against,
            score=target,
            by_seconds=by_seconds,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )
        return Effort(_last(gain(name, against=against, confidence=confidence)), spent, reach)

    def figures(name: str) -> PlanFigures:
        by_labels = effort(name, by_seconds=False)
        has_found = replay.positives is not None
        return PlanFigures(
            name=name,
            outcome=Outcome.BASELINE if name == against else outcome_of(by_labels.gain),
            area=_last(replay.area(name, confidence=confidence)),
            gain_share=by_labels.gain.value / base.mean() if base.mean() else float("nan"),
            p=p_values[others.index(name)] if name in others else float("nan"),
            final=_last(replay.curve(name, confidence=confidence)),
            final_gain=_last(replay.difference(name, against=against, confidence=confidence)),
            by_labels=by_labels,
            by_seconds=None if replay.seconds is None else effort(name, by_seconds=True),
            positives=_last(replay.found(name, confidence=confidence)) if has_found else None,
            positives_gain=_last(replay.found(name, against=against, confidence=confidence))
            if has_found
            else None,
        )

    made = tuple(figures(name) for name in replay.plans)
    return Comparison(
        against=against,
        seeds=len(replay.seeds),
        confidence=confidence,
        target=float(replay.curve(against).mean[-1]) if target is None else target,
        plans=made,
        leaders=_leaders(replay, made, confidence),
    )


def _leaders(replay: Replay, plans: Sequence[PlanFigures], confidence: float) -> tuple[str, ...]:
    above = [
        one.name
        for one in sorted(plans, key=lambda one: -one.area.value)
        if one.outcome is Outcome.ABOVE and one.p <= 1.0 - confidence
    ]
    return tuple(
        name
        for name in above
        if name == above[0]
        or outcome_of(_last(replay.area(name, against=above[0], confidence=confidence)))
        is Outcome.UNCLEAR
    )


def outcome_of(gain: Figure) -> Outcome:
    """Where an interval lies beside 0."""
    if gain.low > 0.0:  # NaN is neither
        return Outcome.ABOVE
    return Outcome.BELOW if gain.high < 0.0 else Outcome.UNCLEAR


def _last(curve: Curve) -> Figure:
    return Figure(float(curve.mean[-1]), float(curve.low[-1]), float(curve.high[-1]))


def _p_value(differences: FloatArray) -> float:
    """Two-sided, of the paired t-test: the same test as Student's interval."""
    seeds = len(differences)
    if seeds < 2:
        return float("nan")
    error = float(differences.std(ddof=1)) / np.sqrt(seeds)
    mean = abs(float(differences.mean()))
    if error == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return float(2.0 * stats.t.sf(mean / error, seeds - 1))


def _holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given. Source: Holm (1979), step-down Bonferroni."""
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1.0, stepped)
    return [float(one) for one in adjusted]
