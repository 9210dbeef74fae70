"""What a replay found: learning curves by plan and seed, and what they come to, in pairs.

Every plan met the same seeds, so all differences are taken seed by seed. Means and differences
carry Student's interval over seeds; costs to reach a score, and their ratios, are no means and
carry one from drawing the seeds again. Both say how far other starts and draws could move the
figure; neither says what another data set would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sampling.errors import BadPlan
from sampling.pool import FloatArray, IntArray
from sampling.reach import RESAMPLES, Reach, first_reached, reach_of


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean over seeds at each budget, and its interval; budgets are labels, or seconds."""

    budgets: IntArray | FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found.

    `scores` has shape (plans, seeds, rounds + 1); `budgets` how many labels each column had.
    `positives` and `seconds` have the shape of `scores`: how many positives were among the labels
    so far, and what they cost a reviewer. None where nobody counted.
    """

    plans: tuple[str, ...]
    seeds: tuple[int, ...]
    budgets: IntArray
    scores: FloatArray
    positives: IntArray | None = None
    seconds: FloatArray | None = None

    def curve(self, plan: str, *, confidence: float = 0.95) -> Curve:
        """The learning curve of one plan, with Student's interval over seeds."""
        return self._curve(self._of(plan), confidence)

    def difference(self, plan: str, *, against: str, confidence: float = 0.95) -> Curve:
        """How much better `plan` is than `against`, seed by seed: the paired interval."""
        return self._curve(self._of(plan) - self._of(against), confidence)

    def area(self, plan: str, *, against: str | None = None, confidence: float = 0.95) -> Curve:
        """Mean height of the curve over the labels spent (area / span), as a curve of one point.

        With `against`, the paired difference of the two. The one number to compare plans by.
        """
        heights = self.areas(plan)
        if against is not None:
            heights = heights - self.areas(against)
        return self._curve(heights[:, None], confidence, budgets=self.budgets[-1:])

    def area_by_seconds(self, plan: str, *, against: str, confidence: float = 0.95) -> Curve:
        """The paired difference of mean heights over a reviewer's time instead of over labels.

        In each seed over the seconds that both plans spent, so both had the same time.
        """
        pairs = [zip(self._seconds_of(one), self._of(one), strict=True) for one in (plan, against)]
        gaps = []
        for (mine, score), (theirs, base) in zip(*pairs, strict=True):
            until = min(mine[-1], theirs[-1])
            gaps.append(_height(mine, score, until) - _height(theirs, base, until))
        return self._curve(np.array(gaps)[:, None], confidence, budgets=self.budgets[-1:])

    def at_seconds(
        self,
        plan: str,
        seconds: FloatArray,
        *,
        against: str | None = None,
        confidence: float = 0.95,
    ) -> Curve:
        """The curve over a reviewer's time: where each seed stands after so many seconds.

        With `against`, the paired difference after the same time. Before its first and after its
        last round a seed stays where it is.
        """
        values = self._interpolated(plan, seconds)
        if against is not None:
            values = values - self._interpolated(against, seconds)
        return self._curve(values, confidence, budgets=seconds)

    def areas(self, plan: str) -> FloatArray:
        """Shape (seeds,): mean height of each seed's curve over the labels spent."""
        scores = self._of(plan)
        spans = np.diff(self.budgets)
        if spans.sum() == 0:
            means: FloatArray = scores.mean(axis=1)
            return means
        middles = (scores[:, 1:] + scores[:, :-1]) / 2.0
        heights: FloatArray = middles @ spans / spans.sum()
        return heights

    def found(self, plan: str, *, against: str | None = None, confidence: float = 0.95) -> Curve:
        """Positives among the labels so far; with `against`, the paired difference."""
        counted = self._positives_of(plan)
        if against is not None:
            counted = counted - self._positives_of(against)
        return self._curve(counted, confidence)

    def time(self, plan: str, *, confidence: float = 0.95) -> Curve:
        """Reviewer seconds that the labels so far took."""
        return self._curve(self._seconds_of(plan), confidence)

    def labels_to_reach(self, plan: str, score: float) -> float:
        """Labels after which the mean curve first reaches `score`, between points by a straight
        line; NaN where it never does."""
        mean = self._of(plan).mean(axis=0)
        budgets = self.budgets[None].astype(np.float64)
        cost = float(first_reached(budgets, mean[None], np.array([score]))[0])
        return cost if np.isfinite(cost) else float("nan")

    def reach(
        self,
        plan: str,
        *,
        against: str,
        score: float | None = None,
        by_seconds: bool = False,
        confidence: float = 0.95,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> Reach:
        """What `plan` and `against` need until their mean curves first reach `score`.

        Args:
            score: by default what `against` has at its end, drawn anew with every resample.
            by_seconds: count a reviewer's time instead of labels.
            resamples, seed: of the paired bootstrap; the same ones give the same interval.
        """
        costs, base_costs = (self._costs(one, by_seconds=by_seconds) for one in (plan, against))
        return reach_of(
            costs,
            self._of(plan),
            base_costs=base_costs,
            base_scores=self._of(against),
            score=score,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )

    def _costs(self, plan: str, *, by_seconds: bool) -> FloatArray:
        if by_seconds:
            return self._seconds_of(plan)
        return np.broadcast_to(self.budgets.astype(np.float64), self._of(plan).shape)

    def _at(self, plan: str) -> int:
        if plan not in self.plans:
            raise BadPlan(f"plan {plan!r} was not replayed; there are: {', '.join(self.plans)}")
        return self.plans.index(plan)

    def _of(self, plan: str) -> FloatArray:
        scores: FloatArray = self.scores[self._at(plan)]
        return scores

    def _interpolated(self, plan: str, seconds: FloatArray) -> FloatArray:
        pairs = zip(self._seconds_of(plan), self._of(plan), strict=True)
        return np.stack([np.interp(seconds, spent, scores) for spent, scores in pairs])

    def _seconds_of(self, plan: str) -> FloatArray:
        if self.seconds is None:
            raise BadPlan("this replay counted no seconds; give replay(..., seconds=...)")
        spent: FloatArray = self.seconds[self._at(plan)]
        return spent

    def _positives_of(self, plan: str) -> FloatArray:
        if self.positives is None:
            raise BadPlan("this replay counted no positives; give replay(..., positives=...)")
        counted: FloatArray = self.positives[self._at(plan)].astype(np.float64)
        return counted

    def _curve(
        self, values: FloatArray, confidence: float, budgets: IntArray | FloatArray | None = None
    ) -> Curve:
        mean = values.mean(axis=0)
        half = np.full_like(mean, np.nan)  # one seed has no width to show
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            half = spread * float(stats.t.ppf((1.0 + confidence) / 2.0, len(values) - 1))
        return Curve(self.budgets if budgets is None else budgets, mean, mean - half, mean + half)


def join(parts: Sequence[Replay]) -> Replay:
    """Replays of the same plans over different seeds as one, in the order given.

    Raises:
        BadPlan: their plans or budgets differ, a seed is there twice, or only some counted
            positives or seconds.
    """
    first = parts[0]
    seeds = tuple(seed for part in parts for seed in part.seeds)
    counted = [(part.positives is not None, part.seconds is not None) for part in parts]
    if (
        any(part.plans != first.plans for part in parts)
        or any(part.budgets.tolist() != first.budgets.tolist() for part in parts)
        or len(set(seeds)) < len(seeds)
        or len(set(counted)) > 1
    ):
        raise BadPlan(
            "only replays of the same plans and budgets over different seeds make one; "
            "replay them with the same arguments but for the seeds"
        )
    positives = [part.positives for part in parts if part.positives is not None]
    seconds = [part.seconds for part in parts if part.seconds is not None]
    return Replay(
        first.plans,
        seeds,
        first.budgets,
        np.concatenate([part.scores for part in parts], axis=1),
        np.concatenate(positives, axis=1) if positives else None,
        np.concatenate(seconds, axis=1) if seconds else None,
    )


def _height(costs: FloatArray, scores: FloatArray, until: float) -> float:
    """Mean height of one curve from its first cost to `until`."""
    inside = costs < until
    x = np.append(costs[inside], until)
    y = np.append(scores[inside], np.interp(until, costs, scores))
    span = float(x[-1] - x[0])
    return float(np.trapezoid(y, x)) / span if span > 0.0 else float(y[0])
