"""How many more labels an interval needs to become as narrow as wanted, and by when they are here.

What is to come is drawn from what came: labels from the labels there are, days from the days there
were. A band from many such futures says how sure the answer is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitl.evaluation.arrays import FloatArray, answers, floats, level, same_length
from hitl.evaluation.errors import BadArrays, BadLevel, UnknownMetric
from hitl.evaluation.intervals import Ends, gamma_ends, share_ends, wilson_limits
from hitl.evaluation.metrics import HEAVIEST_SHARE, METRICS, STEADY_EVENTS
from hitl.evaluation.weights import drawn_with, most_of_one, moved_by_one, rests_on_unseen

FUTURES = 300
FARTHEST = 40.0
"""As many times the labels that there are, at most: what lies beyond is no forecast."""
_CHECKPOINTS = 60


@dataclass(frozen=True, slots=True)
class Forecast:
    """Labels until the half width of an interval is `within`, those that are there included.

    `labels` is the middle of all futures, `low` and `high` bound the middle `confidence` of them;
    None: farther than can be told. `half_width` is today's. Codes: `too_few_events`, `there`.
    """

    metric: str
    value: float | None
    half_width: float | None
    within: float
    n: int
    labels: float | None
    low: float | None
    high: float | None
    code: str | None
    confidence: float


def forecast_labels(
    metric: str,
    *,
    truth: ArrayLike,
    flagged: ArrayLike,
    inclusion_probability: ArrayLike,
    variance_weight: ArrayLike | None = None,
    largest_weight: float | None = None,
    largest_flagged: float | None = None,
    within: float,
    confidence: float = 0.95,
    band: float = 0.8,
    seed: int,
) -> Forecast:
    """When the descriptive interval of a metric reaches a half width, were labels to go on so.

    Where that is the certified one for want of labels (`estimate`), it is here too.

    Each future bootstraps the labels to a population, and goes on drawing from it: so the band
    carries what is not known of the population, and the luck of the draw. It does not carry that
    the stream, the model or the plan of audits may change.

    Args:
        truth, flagged, inclusion_probability, variance_weight: as `estimate`, shape (N,), all
            audit labels, in any order.
        largest_weight, largest_flagged: as `estimate`.
        within: half width that is wanted, in (0, .5).
        band: which part of all futures lies between `low` and `high`.

    Raises:
        UnknownMetric, BadArrays, BadLevel: as `estimate`.
    """
    if metric not in METRICS:
        raise UnknownMetric(metric, METRICS)
    level("confidence", confidence)
    level("band", band)
    if not 0.0 < within < 0.5:
        raise BadLevel("within", within, "a half width above 0 and below .5")
    labels = _Labels.of(
        metric, truth, flagged, inclusion_probability, variance_weight,
        largest_weight=largest_weight, largest_flagged=largest_flagged,
    )  # fmt: skip
    parts = labels.parts
    n = len(parts)
    if (np.count_nonzero(parts[:, :2] + parts[:, 2:4], axis=0) < STEADY_EVENTS).any():
        return Forecast(metric, None, None, within, n, None, None, None, "too_few_events", band)
    now = labels.half_width(parts.sum(axis=0), confidence)
    value = float(parts[:, [0, 2]].sum() / parts[:, :4].sum())
    if now <= within:
        return Forecast(metric, value, float(now), within, n, n, n, n, "there", band)
    reached = _futures(labels, within=within, confidence=confidence, seed=seed)
    low, middle, high = np.quantile(
        reached, [(1.0 - band) / 2.0, 0.5, (1.0 + band) / 2.0], method="inverted_cdf"
    )

    def told(labels: float) -> float | None:
        return float(labels) if np.isfinite(labels) else None

    return Forecast(
        metric, value, float(now), within, n, told(middle), told(low), told(high),
        None if np.isfinite(middle) else "too_far", band,
    )  # fmt: skip


def days_needed(
    labels: float, a_day: Sequence[float], *, band: float = 0.8, seed: int, farthest: int = 730
) -> tuple[int, int, int] | None:
    """The days until so many more labels are here: low, middle and high of the band.

    Args:
        labels: how many more.
        a_day: how many came on each of the latest days, those without any included.

    Returns:
        None where none come, or they take longer than `farthest` days.
    """
    level("band", band)
    pace = floats("a_day", list(a_day))
    if not (len(pace) and (pace >= 0.0).all()):
        raise BadArrays("a_day", "needs counts of 0 or more")
    if labels <= 0.0:
        return 0, 0, 0
    if not pace.any():
        return None
    rng = np.random.default_rng(seed)
    # As the days that there were are few, what they say of the pace is drawn too.
    days = pace[rng.integers(0, len(pace), (FUTURES, len(pace)))]
    which = rng.integers(0, len(pace), (FUTURES, farthest))
    came = np.cumsum(np.take_along_axis(days, which, axis=1), axis=1)
    reached = np.where(came[:, -1] >= labels, (came >= labels).argmax(axis=1) + 1, farthest + 1)
    low, middle, high = np.quantile(
        reached, [(1.0 - band) / 2.0, 0.5, (1.0 + band) / 2.0], method="inverted_cdf"
    )
    return None if middle > farthest else (int(low), int(middle), int(high))


@dataclass(frozen=True, slots=True)
class _Labels:
    """`parts` (n, 6): weight of good and of bad that was drawn by chance, the same of what was sure
    to be drawn, and the variance of each. `good`, `bad`: the most that one more of each could
    count; `largest` (2,): that one drawn does; `heaviest`: that any item weighs."""

    parts: FloatArray
    good: float
    bad: float
    largest: FloatArray
    heaviest: float

    @classmethod
    def of(
        cls,
        metric: str,
        truth: ArrayLike,
        flagged: ArrayLike,
        inclusion_probability: ArrayLike,
        variance_weight: ArrayLike | None,
        *,
        largest_weight: float | None,
        largest_flagged: float | None,
    ) -> _Labels:
        said, flags = answers("truth", truth), answers("flagged", flagged)
        chance, spread = drawn_with(inclusion_probability, variance_weight)
        same_length(len(said), flagged=flags, inclusion_probability=chance)
        known = ~np.isnan(said) & ~np.isnan(chance)
        cells = METRICS[metric]
        kind = said[known].astype(int), flags[known].astype(int)
        good, bad = (np.array(one, dtype=np.float64)[kind] for one in cells)
        weight, spread = 1.0 / chance[known], spread[known]
        most_good, most_bad = (
            most_of_one(
                cell, flags[known] == 1.0, weight, spread > 0.0,
                largest_weight=largest_weight, largest_flagged=largest_flagged,
            )
            for cell in cells
        )  # fmt: skip
        worth = np.column_stack([good, bad])
        amount, random = weight[:, None] * worth, (spread > 0.0)[:, None]
        parts = np.hstack([amount * random, amount * ~random, spread[:, None] * worth**2])
        heaviest = largest_weight or float(weight.max(initial=1.0))
        return cls(parts, most_good, most_bad, amount.max(axis=0, initial=0.0), heaviest)

    def half_width(self, sums: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
        """Of the descriptive interval, for sums of `parts`, shape (..., 6)."""
        weight, spread = sums[..., :2] + sums[..., 2:4], sums[..., 4:]
        total = weight.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = weight[..., 0] / total
            variance = ((1.0 - value) ** 2 * spread[..., 0] + value**2 * spread[..., 1]) / total**2
            low, high = wilson_limits(
                value, value * (1.0 - value) / variance, confidence=confidence
            )
            down, up = moved_by_one(
                value, total, good=self.good, bad=self.bad, heaviest=self.heaviest
            )
            is_unstable = (self.largest / weight > HEAVIEST_SHARE).any(axis=-1)
        is_unstable |= rests_on_unseen(value, low, high, down=down, up=up)
        if is_unstable.any():
            certified = share_ends(
                self._cell(sums, 0, self.good, confidence),
                self._cell(sums, 1, self.bad, confidence),
            )
            low = np.where(is_unstable, certified[0], low)
            high = np.where(is_unstable, certified[1], high)
        half = (high - low) / 2.0
        found: NDArray[np.float64] = np.where(np.isfinite(half), half, 0.5)
        return found

    def _cell(self, sums: FloatArray, which: int, most: float, confidence: float) -> Ends:
        """A cell's total and its certified limits."""
        random, certain = sums[..., which], sums[..., 2 + which]
        low, high = gamma_ends(
            random, sums[..., 4 + which], np.full_like(random, most), confidence=confidence
        )
        return random + certain, certain + low, certain + high


def _futures(
    labels: _Labels, *, within: float, confidence: float, seed: int
) -> NDArray[np.float64]:
    """Of each future the labels at which the width is reached; infinity where it is not."""
    parts = labels.parts
    n = len(parts)
    rng = np.random.default_rng(seed)
    marks = np.unique(np.rint(n * np.geomspace(1.0, FARTHEST, _CHECKPOINTS)).astype(np.int64))
    steps = np.diff(marks)
    reached = np.full(FUTURES, np.inf)
    kinds, kind = np.unique(parts, axis=0, return_inverse=True)
    for future in range(FUTURES):
        population = np.bincount(kind[rng.integers(0, n, n)], minlength=len(kinds))
        share = population / n
        came = np.vstack([np.zeros(len(kinds)), np.cumsum(rng.multinomial(steps, share), axis=0)])
        half = labels.half_width(parts.sum(axis=0) + came @ kinds, confidence)
        hit = int((half <= within).argmax())
        if half[hit] > within:
            continue
        if hit == 0:
            reached[future] = n
            continue
        # Between two marks the width falls with the root of the labels.
        before, after = half[hit - 1], half[hit]
        share_of_step = (before**-2 - within**-2) / (before**-2 - after**-2)
        reached[future] = marks[hit - 1] + share_of_step * steps[hit - 1]
    return reached
