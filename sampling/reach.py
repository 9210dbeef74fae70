"""What it takes until a learning curve reaches a score, and beside another curve, in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from sampling.pool import FloatArray

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Reach:
    """What it takes until the mean curve first reaches a score, in labels or in seconds.

    `cost` and its limits are inf where the curve does not reach it by its end: an upper limit of
    inf says that some of the drawn seeds never got there. `ratio` is to the cost of the plan that
    it is compared with; where that one never reaches the score (`is_bound`), to all that it
    spent, so the true ratio is lower. `seeds_reached` counts the seeds whose own curve gets there.
    """

    cost: float
    low: float
    high: float
    ratio: float
    ratio_low: float
    ratio_high: float
    seeds_reached: int
    is_bound: bool


def reach_of(
    costs: FloatArray,
    scores: FloatArray,
    *,
    base_costs: FloatArray,
    base_scores: FloatArray,
    score: float | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> Reach:
    """The effort of one plan beside that of another, by a bootstrap over their common seeds.

    Args:
        costs, scores: shape (seeds, rounds): what each seed had spent, and where it stood.
        base_costs, base_scores: the same of the plan to compare with.
        score: None for the other plan's mean at its end, drawn anew with every resample.
    """
    seeds = len(scores)
    rng = np.random.default_rng([seed, seeds])
    drawn = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=resamples) / seeds
    even = np.full((1, seeds), 1.0 / seeds)
    # The first row is the seeds as they were: the estimate itself.
    weights: FloatArray = np.vstack([even, even + _widened(drawn - even, confidence)])
    means, spent = weights @ base_scores, weights @ base_costs
    target = means[:, -1] if score is None else np.full(len(weights), score)
    cost = first_reached(weights @ costs, weights @ scores, target)
    other = first_reached(spent, means, target)
    # Where the other never gets there, all that it spent is the least it would have taken.
    ratio = cost / np.where(np.isfinite(other), other, spent[:, -1])
    own = first_reached(costs, scores, np.full(seeds, target[0]))
    low, high = _limits(cost[1:], confidence, seeds=seeds)
    ratio_low, ratio_high = _limits(ratio[1:], confidence, seeds=seeds)
    return Reach(
        cost=float(cost[0]),
        low=low,
        high=high,
        ratio=float(ratio[0]),
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        seeds_reached=int(np.isfinite(own).sum()),
        is_bound=not np.isfinite(other[0]),
    )


def first_reached(costs: FloatArray, scores: FloatArray, target: FloatArray) -> FloatArray:
    """Shape (B,): the cost at which each curve first reaches its target, inf where it never does.

    Args:
        costs, scores: shape (B, K), costs ascending. Between points a straight line.
    """
    reached = scores >= target[:, None]
    at = reached.argmax(axis=1)
    row = np.arange(len(scores))
    before = np.maximum(at - 1, 0)
    rise = scores[row, at] - scores[row, before]
    # At the first point there is nothing to go up from.
    part = np.divide(target - scores[row, before], rise, out=np.ones(len(row)), where=rise > 0.0)
    found = costs[row, before] + part * (costs[row, at] - costs[row, before])
    return np.where(reached.any(axis=1), found, np.inf)


def _widened(deviations: FloatArray, confidence: float) -> FloatArray:
    """Resampling weights, as far from even ones as makes a mean's interval Student's.

    The plain percentile interval is too short for few seeds: of 95 % it held the truth in 82 %
    with 5 seeds and in 89 % with 10, of 400 simulated pairs; widened, in 93 % and 95 %.
    """
    seeds = deviations.shape[1]
    if seeds < 2:
        return deviations
    level = (1.0 + confidence) / 2.0
    factor = stats.t.ppf(level, seeds - 1) / stats.norm.ppf(level) * np.sqrt(seeds / (seeds - 1))
    wide: FloatArray = deviations * float(factor)
    return wide


def _limits(values: FloatArray, confidence: float, *, seeds: int) -> tuple[float, float]:
    """The middle of the resamples, by order statistics: some of them may be inf."""
    if seeds < 2:
        return float("nan"), float("nan")
    tail = (1.0 - confidence) / 2.0 * (len(values) - 1)
    ordered = np.sort(values)
    return float(ordered[int(np.floor(tail))]), float(ordered[int(np.ceil(len(values) - 1 - tail))])
