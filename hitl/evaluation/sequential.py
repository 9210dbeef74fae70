"""A watch over a promised rate that may be looked at after every label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import FloatArray, answers, floats, level
from hitl.evaluation.errors import BadArrays

STAKES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""How boldly each of the mixed bets is placed against the promise: the small ones find a small
loss, the large ones a large loss soon."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a stretch of labels says of a promise.

    `log_evidence`, shape (T,), after each label; `alarm_at`, the first label (from 0) at which it
    reached log(1 / alpha), None for never.
    """

    at_least: float
    alpha: float
    log_evidence: FloatArray
    alarm_at: int | None

    @property
    def is_alarmed(self) -> bool:
        return self.alarm_at is not None


def watch_rate(
    kept: ArrayLike, *, at_least: float, alpha: float = 0.05, before: ArrayLike | None = None
) -> Watch:
    """Evidence that a rate is below `at_least`, however often anybody looks at it.

    While the rate is at least that, the chance of an alarm ever is at most `alpha`: an even
    mixture of bets, each fair or worse under the promise, rarely grows twentyfold (Ville). Labels
    must come in the order they were drawn, from what was drawn evenly at random.

    Args:
        kept: shape (T,), 1 where the promise was kept (a flagged item that violates, for
            precision), 0 where not, NaN unknown (skipped: the evidence stays).
        before: shape (6,), the bets' logarithms where an earlier stretch ended (`last_bets`).

    Raises:
        BadArrays, BadLevel: impossible numbers.

    Source: Ville (1939); mixture of betting martingales, Waudby-Smith and Ramdas (2024).
    """
    return _watch(_bets(kept, at_least, before), at_least, alpha)


def last_bets(kept: ArrayLike, *, at_least: float, before: ArrayLike | None = None) -> FloatArray:
    """Where each bet stands after these labels, shape (6,): go on from here with the next ones."""
    bets = _bets(kept, at_least, before)
    if len(bets):
        last: FloatArray = bets[-1]
        return last
    return np.zeros(len(STAKES)) if before is None else floats("before", before)


def _bets(kept: ArrayLike, at_least: float, before: ArrayLike | None) -> FloatArray:
    level("at_least", at_least)
    given = answers("kept", kept)
    gain = np.where(np.isnan(given), 0.0, at_least - given)
    steps = np.log1p(np.asarray(STAKES) * gain[:, None])
    start = np.zeros(len(STAKES)) if before is None else floats("before", before)
    if start.shape != (len(STAKES),):
        raise BadArrays("before", f"has shape {start.shape}; it needs one number a stake")
    bets: FloatArray = start + np.cumsum(steps, axis=0)
    return bets


def _watch(bets: FloatArray, at_least: float, alpha: float) -> Watch:
    level("alpha", alpha)
    evidence: FloatArray = np.logaddexp.reduce(bets, axis=1) - np.log(len(STAKES))
    reached = np.flatnonzero(evidence >= -np.log(alpha))
    return Watch(at_least, alpha, evidence, int(reached[0]) if len(reached) else None)
