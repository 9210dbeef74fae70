"""Which plan learns faster: replay them over a set whose labels are known, from the same starts.

Knows no model: `fit` gets rows and labels and returns what predicts, `score` judges that on
whatever the caller holds out. Every plan meets the same seeds, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from sampling.errors import BadBudget, BadPlan
from sampling.plan import Plan, choose
from sampling.pool import FloatArray, IntArray, Pool

Predict = Callable[[IntArray], FloatArray]
"""rows of the replayed set -> probabilities (len(rows), C)."""

Fit = Callable[[IntArray, NDArray[np.generic]], Predict]
"""(rows, their labels) -> Predict."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean over seeds at each budget, and its interval."""

    budgets: IntArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found.

    `scores` has shape (plans, seeds, rounds + 1); `budgets` how many labels each column had.
    """

    plans: tuple[str, ...]
    seeds: tuple[int, ...]
    budgets: IntArray
    scores: FloatArray

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
        scores = self._of(plan) - (self._of(against) if against is not None else 0.0)
        spans = np.diff(self.budgets)
        if spans.sum() == 0:
            heights = scores.mean(axis=1, keepdims=True)
        else:
            middles = (scores[:, 1:] + scores[:, :-1]) / 2.0
            heights = (middles @ spans / spans.sum())[:, None]
        return self._curve(heights, confidence, budgets=self.budgets[-1:])

    def labels_to_reach(self, plan: str, score: float) -> float:
        """Labels after which the mean curve first reaches `score`, between points by a straight
        line; NaN where it never does."""
        mean = self._of(plan).mean(axis=0)
        reached = np.flatnonzero(mean >= score)
        if not len(reached):
            return float("nan")
        at = int(reached[0])
        if at == 0:
            return float(self.budgets[0])
        part = (score - mean[at - 1]) / (mean[at] - mean[at - 1])
        return float(self.budgets[at - 1] + part * (self.budgets[at] - self.budgets[at - 1]))

    def _of(self, plan: str) -> FloatArray:
        if plan not in self.plans:
            raise BadPlan(f"plan {plan!r} was not replayed; there are: {', '.join(self.plans)}")
        scores: FloatArray = self.scores[self.plans.index(plan)]
        return scores

    def _curve(
        self, values: FloatArray, confidence: float, budgets: IntArray | None = None
    ) -> Curve:
        mean = values.mean(axis=0)
        half = np.full_like(mean, np.nan)  # one seed has no width to show
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            half = spread * float(stats.t.ppf((1.0 + confidence) / 2.0, len(values) - 1))
        return Curve(self.budgets if budgets is None else budgets, mean, mean - half, mean + half)


def replay(
    plans: Mapping[str, Plan],
    *,
    item_ids: Sequence[str],
    labels: ArrayLike,
    fit: Fit,
    score: Callable[[Predict], float],
    seeds: Sequence[int],
    start: int,
    batch: int,
    rounds: int,
    embeddings: ArrayLike | None = None,
    groups: Sequence[str | None] | None = None,
    exclusive: bool = False,
    draw_start: Callable[[Generator], IntArray] | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Replay:
    """Label `start` items, then `rounds` batches of `batch` as each plan would choose them.

    Args:
        plans: by the name they carry in the result. Put a plan of all `random` among them.
        labels: what a reviewer would answer, first axis N; handed to `fit` as it is.
        fit: called once a round with all rows labelled so far (ascending) and their labels.
        score: called once a round; higher is better.
        seeds: one start and one stream of draws each, the same for every plan.
        draw_start: chooses the first rows, for instance with some of every category; by default
            `start` rows at random. It must always return `start` rows.
        on_step: called after each fit with (plan, seed, labels spent), for a progress bar.

    Raises:
        BadBudget: the items do not suffice for the rounds, or there is no seed or no plan.
    """
    ids, answers = tuple(item_ids), np.asarray(labels)
    needed = start + batch * rounds
    if needed > len(ids) or start < 1 or batch < 1 or rounds < 0:
        raise BadBudget(
            f"start {start} and {rounds} rounds of {batch} need {needed} items (start and batch "
            f"at least 1); there are {len(ids)}"
        )
    if not seeds or not plans:
        raise BadBudget("give at least one seed and one plan")
    points = np.asarray(embeddings) if embeddings is not None else None
    scores = np.empty((len(plans), len(seeds), rounds + 1))
    for place, seed in enumerate(seeds):
        rng = np.random.default_rng([seed, len(ids)])
        first = rng.choice(len(ids), size=start, replace=False)
        if draw_start is not None:
            first = np.unique(draw_start(np.random.default_rng([seed, len(ids)])))
        if len(first) != start:
            raise BadBudget(f"draw_start gave {len(first)} distinct rows; start is {start}")
        for number, (name, plan) in enumerate(plans.items()):
            labelled = np.zeros(len(ids), dtype=np.bool_)
            labelled[first] = True
            for turn in range(rounds + 1):
                rows = np.flatnonzero(labelled)
                predict = fit(rows, answers[rows])
                scores[number, place, turn] = score(predict)
                if on_step is not None:
                    on_step(name, seed, len(rows))
                if turn == rounds:
                    break
                left = np.flatnonzero(~labelled)
                pool = Pool(
                    [ids[row] for row in left],
                    predict(left),
                    None if points is None else points[left],
                    None if groups is None else [groups[row] for row in left],
                    exclusive,
                )
                # Every round draws anew, and in the same round every plan from the same seed.
                chosen = choose(plan, pool, limit=batch, seed=seed * 1_000_003 + turn)
                labelled[left[chosen.rows]] = True
    return Replay(tuple(plans), tuple(seeds), start + batch * np.arange(rounds + 1), scores)
