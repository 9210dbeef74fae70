"""How much each audited item counts, over all batches that could have drawn it.

Each batch draws its audit from what no batch has drawn yet. So an item that waited through ten
batches had ten chances, and an item of today one: weighed by the chance of the one batch that drew
it, old items would count too much and every figure would lag behind the stream. Where an item is a
candidate for some days only (`selection.within_days`), it had the chances of those days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hitl.evaluation.arrays import FloatArray

LEAST_ANSWERED = 0.5
"""A batch counts once this part of its audit is answered. It must not depend on the answers; it
keeps one answer out of forty from standing for the whole pool."""


@dataclass(frozen=True, slots=True)
class AuditDraw:
    """One batch's audit: `asked` items drawn out of `pool`, `answered` of them so far.

    `aside` more were drawn with them, near copies of one that is asked for all. Items that were
    drawn and given back unanswered are in none of these. Where chances were uneven, `mean` is their
    mean over the pool and `least` the smallest of them, both before any answer; else None. `kept`
    is the part of all draws that was not given back. `least_flagged` has, by category, a threshold
    and the least chance of all that the batch's model flags, or might, from there on.
    """

    pool: int
    asked: int
    answered: int
    aside: int = 0
    mean: float | None = None
    least: float | None = None
    kept: float = 1.0
    least_flagged: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """To be drawn, of the average item of the pool."""
        if self.mean is not None:
            return self.mean
        return (self.asked + self.aside) / self.pool if self.pool else 0.0

    @property
    def seen(self) -> float:
        """The part that is answered; 0 where too little is."""
        return self.answered / self.asked if self.counts else 0.0

    @property
    def counts(self) -> bool:
        """Whether enough is answered for its labels to measure."""
        return self.asked > 0 and self.answered >= LEAST_ANSWERED * self.asked

    def among_flagged(self, category: str, threshold: float) -> AuditDraw:
        """The same draw, of what its model flags for the category from this threshold on.

        What is told of another threshold holds if it is no higher; else that of everything does.
        """
        told = self.least_flagged.get(category)
        if self.least is None or told is None or told[0] > threshold:
            return self
        return replace(self, least=max(told[1], self.least))


@dataclass(frozen=True, slots=True)
class Levelled:
    """What each of n labels counts for, and what it adds to the variance of a total of ones, (n,).

    `least_chance` (n,) is one over the most that any item of the same epoch could have counted, by
    the design; `most` (E,) is that most, an epoch each, 0 where nothing could be drawn.
    """

    weight: FloatArray
    variance: FloatArray
    least_chance: FloatArray
    most: FloatArray


def levelled(
    draws: Sequence[AuditDraw],
    epochs: Sequence[range] | None = None,
    *,
    batch: NDArray[np.intp],
    epoch: NDArray[np.intp],
    chance: FloatArray,
) -> Levelled:
    """Weights under which labels of several batches stand for all that could be drawn.

    Going backwards through the batches that could draw an item, with V = 0 after the last: a batch
    that drew its items with chance p each and has the part r of them answered takes the share
    A = f (r - V) of the total, f being its mean chance. What it drew counts (A / p + V) / r, and
    V + A is handed on. Whatever the p of earlier and later batches were, and whatever they
    learned from labels, the counts of an item then add up to V on average; over the V of its first
    batch, to 1. What a batch that hardly has answers drew counts for nothing, and V falls by 1 - f:
    exact where it drew evenly.

    Draws of one batch do not depend on what an item is, given its chance; nor, within an audit,
    does who is answered first. For even draws p = f, and all items of an epoch count the same: one
    over the chance to be drawn by any batch, and answered, which is f r + (1 - f) times that of
    the batches after.

    Args:
        epochs: of each batch, those whose items it could draw; without it an epoch lies before
            each batch and every batch draws from all before it.
        batch, epoch: shape (n,), where each label was drawn, and when its item joined.
        chance: shape (n,), to be drawn in that batch; not looked at where the batch drew evenly.

    Source: Horvitz-Thompson in each round, conditional on the rounds before, which makes their
    errors uncorrelated; the rounds averaged by the shares A of even draws, which must not depend
    on what was found. Variance of the martingale that the rounds form.
    """
    reached = [range(b + 1) for b in range(len(draws))] if epochs is None else epochs
    left = np.zeros(max((one.stop for one in reached), default=0))  # V
    most = np.zeros_like(left)
    own, rest, answered = np.ones(len(batch)), np.zeros(len(batch)), np.ones(len(batch))
    drawn_with = np.ones(len(batch))
    by_batch = np.argsort(batch, kind="stable")
    edges = np.searchsorted(batch[by_batch], np.arange(len(draws) + 1))
    for b in range(len(draws) - 1, -1, -1):
        one, those = draws[b], slice(reached[b].start, reached[b].stop)
        f, r, after = one.chance, one.seen, left[those].copy()
        if r == 0.0:
            left[those] = (1.0 - f) * after
            continue
        part = f * (r - after)
        if one.least is not None:
            np.maximum(part, 0.0, out=part)
        left[those] += part
        np.maximum(most[those], (part / (one.least or f) + after) / r, out=most[those])
        labels = by_batch[edges[b] : edges[b + 1]]
        place = epoch[labels] - those.start
        own[labels], rest[labels], answered[labels] = part[place], after[place], r
        drawn_with[labels] = chance[labels] if one.least is not None else f
    total: FloatArray = left[epoch] if len(epoch) else np.zeros(0)
    own /= total
    rest /= total
    weight: FloatArray = (own / drawn_with + rest) / answered
    variance: FloatArray
    if any(one.least is not None for one in draws):
        by_draw = own**2 * (1.0 - drawn_with) / drawn_with**2
        by_answer = (1.0 - answered) * answered * weight**2
        variance = (by_draw + by_answer) / answered
    else:
        variance = np.maximum(weight - 1.0, 0.0) * weight  # the same on average, and steadier
    np.divide(most, left, out=most, where=left > 0.0)
    return Levelled(weight, variance, 1.0 / most[epoch] if len(epoch) else total, most)


def after_one_more_draw(
    inclusion_probability: FloatArray, variance_weight: FloatArray, kept: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Chance and variance of labels that had to pass one more draw, each with the chance `kept`.

    With weight w and variance v of a label in a total of ones, of which now each stands for 1 / k,
    these become w / k and (v + (1 - k) w) / k^2. For independent draws that is (1 - p) / p^2 again,
    with p = k / w. A `kept` above 1 takes back what was reckoned with before.
    """
    spread = (variance_weight + (1.0 - kept) / inclusion_probability) / kept**2
    return inclusion_probability * kept, np.maximum(spread, 0.0)


def epochs_of(
    read_at: Sequence[datetime], since: Sequence[datetime | None]
) -> tuple[list[datetime], list[range]]:
    """Between which moments it makes no difference when an item joined.

    Batch b draws from what joined after `since[b]` (None: ever) and until `read_at[b]`. Gives the
    moments in their order and each batch's epochs: an item that joined at t lies in epoch
    `bisect_left(moments, t)`.
    """
    moments = sorted({*read_at, *(one for one in since if one is not None)})
    place = {moment: k for k, moment in enumerate(moments)}
    reached = [
        range(0 if oldest is None else place[oldest] + 1, place[newest] + 1)
        for newest, oldest in zip(read_at, since, strict=True)
    ]
    return moments, reached
