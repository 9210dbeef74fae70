"""The chance that an item was drawn for audit and answered, over all batches it could be in.

Each batch draws its audit evenly from what no batch has drawn yet. So an item that waited through
ten batches had ten chances, and an item of today one: pooled by the chance of the one batch that
drew it, old items would count too much and every figure would lag behind the stream. Where an item
is a candidate for some days only (`selection.within_days`), it had the chances of those days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from hitl.evaluation.arrays import FloatArray

LEAST_ANSWERED = 0.5
"""A batch counts once this part of its audit is answered. It must not depend on the answers; it
keeps one answer out of forty from standing for the whole pool."""


@dataclass(frozen=True, slots=True)
class AuditDraw:
    """One batch's audit: `asked` items drawn evenly out of `pool`, `answered` of them so far.

    `aside` more were drawn with them, near copies of one that is asked for all. Items that were
    drawn and given back unanswered are in none of these.
    """

    pool: int
    asked: int
    answered: int
    aside: int = 0

    @property
    def counts(self) -> bool:
        """Whether enough is answered for its labels to measure."""
        return self.asked > 0 and self.answered >= LEAST_ANSWERED * self.asked


def chances(draws: Sequence[AuditDraw], epochs: Sequence[range] | None = None) -> FloatArray:
    """Shape (E,), an epoch of joining each: the chance to be drawn by any batch, and answered.

    `epochs[b]`: those whose items batch b could draw; without it an epoch lies before each batch
    and every batch draws from all before it (E = B). An entry is 0 where no batch that could draw
    it counts: such an item is not part of what is measured yet.

    Draws of one batch do not depend on what an item is; nor, within an audit, does who is
    answered first. So with f = (asked + aside) / pool and r = answered / asked of batch b, what
    it could draw has chance f r + (1 - f) times its chance in the batches after b.

    An item that stood aside has its answer by the one that is asked for it: f counts both, and
    the answer counts once for each of them.
    """
    reached = [range(b + 1) for b in range(len(draws))] if epochs is None else epochs
    result = np.zeros(max((one.stop for one in reached), default=0))
    for one, could in zip(reversed(draws), reversed(reached), strict=True):
        drawn = (one.asked + one.aside) / one.pool if one.pool else 0.0
        seen = one.answered / one.asked if one.counts else 0.0
        those = slice(could.start, could.stop)
        result[those] = drawn * seen + (1.0 - drawn) * result[those]
    return result


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
