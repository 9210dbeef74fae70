"""The chance that an item was drawn for audit and answered, over all batches it could be in.

Each batch draws its audit evenly from what no batch has drawn yet. So an item that waited through
ten batches had ten chances, and an item of today one: pooled by the chance of the one batch that
drew it, old items would count too much and every figure would lag behind the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def chances(draws: Sequence[AuditDraw]) -> FloatArray:
    """Shape (B,), batches in their order: the chance of an item that joined just before batch b.

    To be drawn by b or a later batch, and answered. An entry is 0 where no batch from b on
    counts: such an item is not part of what is measured yet.

    Draws of one batch do not depend on what an item is; nor, within an audit, does who is
    answered first. So with f = (asked + aside) / pool and r = answered / asked of batch b,
    chance[b] = f r + (1 - f) chance[b + 1].

    An item that stood aside has its answer by the one that is asked for it: f counts both, and
    the answer counts once for each of them.
    """
    result = np.zeros(len(draws))
    later = 0.0
    for b in range(len(draws) - 1, -1, -1):
        one = draws[b]
        drawn = (one.asked + one.aside) / one.pool if one.pool else 0.0
        seen = one.answered / one.asked if one.counts else 0.0
        later = drawn * seen + (1.0 - drawn) * later
        result[b] = later
    return result
