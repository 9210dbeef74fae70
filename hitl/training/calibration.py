"""From logits to probabilities that mean what they say: Platt's sigmoid, category by category."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Float64 = NDArray[np.float64]
_STEPS = 50
_HALVINGS = 30
_LEAST_SLOPE = 0.1


class CalibratedBy(StrEnum):
    """Where a category's slope and offset come from."""

    OWN = "own"  # its own unseen labels
    POOLED = "pooled"  # too few of one kind: all categories' unseen labels together
    NONE = "none"  # nothing unseen to calibrate on, or one class only


@dataclass(frozen=True, slots=True)
class Calibration:
    """`probability = 1 / (1 + exp(-(slope * logit + offset)))`, by category."""

    slopes: Float64  # (C,), positive
    offsets: Float64  # (C,)
    by: tuple[CalibratedBy, ...]

    def probabilities(self, logits: Float64) -> Float64:
        """Shape (N, C), of logits (N, C)."""
        result: Float64 = expit(logits * self.slopes + self.offsets)
        return result


def calibrate(
    logits: Float64, targets: Float64, weights: Float64, *, pooled_below: int
) -> Calibration:
    """Slope and offset of every category.

    Args:
        logits: (N, C) of models that never saw the row; NaN where there is none.
        targets: (N, C), 0 or 1.
        weights: (N, C), 0 = unknown.
        pooled_below: with fewer unseen positives or negatives than this a category takes the
            slope and offset of all categories together, as its own would be mostly noise.
    """
    usable = np.isfinite(logits) & (weights > 0)
    known = weights > 0
    both = np.array([len(np.unique(targets[k, j])) == 2 for j, k in enumerate(known.T)])
    pool = usable & both
    pooled = platt(logits[pool], targets[pool], weights[pool]) if pool.any() else (1.0, 0.0)
    slopes, offsets = np.ones(len(both)), np.zeros(len(both))
    by = [CalibratedBy.NONE] * len(both)
    for j, cells in enumerate(usable.T):
        positives = int(targets[cells, j].sum())
        rarest = min(positives, int(cells.sum()) - positives)
        if rarest >= pooled_below:
            by[j] = CalibratedBy.OWN
            z, y, s = (values[cells, j] for values in (logits, targets, weights))
            slopes[j], offsets[j] = platt(z, y, s)
        elif both[j] and pool.any():
            by[j] = CalibratedBy.POOLED
            slopes[j], offsets[j] = pooled
    return Calibration(slopes, offsets, tuple(by))


def platt(logits: Float64, targets: Float64, weights: Float64) -> tuple[float, float]:
    """The slope and offset of least log loss, drawn to (1, 0) as if by one cell of evidence.

    Damped Newton on two numbers. Source: Platt (1999), with his smoothed targets; the pull to the
    identity is ours, so that ten cells give an answer too. A slope below 0.1 would turn the
    ranking around or erase it: it is set to 0.1 and only the offset is fitted.
    """
    positive = float((weights * targets).sum())
    negative = float(weights.sum()) - positive
    high, low = (positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0)
    goal = np.where(targets > 0.5, high, low)
    slope, offset = _newton(logits, goal, weights, (1.0, 0.0), fit_slope=True)
    if slope < _LEAST_SLOPE:
        slope, offset = _newton(logits, goal, weights, (_LEAST_SLOPE, 0.0), fit_slope=False)
    return slope, offset


def _newton(
    logits: Float64, goal: Float64, weights: Float64, start: tuple[float, float], *, fit_slope: bool
) -> tuple[float, float]:
    # Centred, the two numbers hardly disturb each other and the steps stay short.
    middle = float(np.average(logits, weights=weights))
    x = np.stack([logits - middle if fit_slope else np.zeros_like(logits), np.ones_like(logits)])
    fixed = np.zeros_like(logits) if fit_slope else start[0] * (logits - middle)
    prior = np.array([start[0], start[1] + start[0] * middle])

    def loss(at: Float64) -> float:
        z = at @ x + fixed
        fit = float((weights * (np.logaddexp(0.0, z) - goal * z)).sum())
        return fit + 0.5 * float(((at - prior) ** 2).sum())

    at = prior.copy()
    now = loss(at)
    for _ in range(_STEPS):
        p = expit(at @ x + fixed)
        gradient = x @ (weights * (p - goal)) + (at - prior)
        curvature = (x * (weights * p * (1.0 - p))) @ x.T + np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        for _ in range(_HALVINGS):
            ahead = loss(at - step)
            if ahead <= now:
                break
            step = step / 2.0
        else:
            break
        at, gain, now = at - step, now - ahead, ahead
        if gain <= 1e-10 * (1.0 + abs(now)):
            break
    slope = float(at[0])
    return slope, float(at[1]) - slope * middle
