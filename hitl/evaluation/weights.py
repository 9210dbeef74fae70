"""What a label weighs, what it adds to a variance, and what one that nobody drew could weigh."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import BoolArray, FloatArray, floats, same_length
from hitl.evaluation.errors import BadArrays

NEAR_AN_END = 3 / 4
"""Of the way from a value to an end of its interval, for `rests_on_unseen`."""


def drawn_with(
    inclusion_probability: ArrayLike, variance_weight: ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """The chances, and each one's part in the variance of a total of ones; both checked.

    Raises:
        BadArrays: numbers are impossible, or shapes differ.
    """
    chance = floats("inclusion_probability", inclusion_probability)
    measures = ~np.isnan(chance)
    most = 1.0 if variance_weight is None else math.inf
    if not np.all((chance[measures] > 0.0) & (chance[measures] <= most)):
        raise BadArrays(
            "inclusion_probability",
            "holds a number outside (0, 1]; use NaN where a strategy has no known chance",
        )
    if variance_weight is None:
        return chance, (1.0 - chance) / chance**2
    spread = floats("variance_weight", variance_weight)
    same_length(len(chance), variance_weight=spread)
    if not np.all(spread[measures] >= 0.0):
        raise BadArrays("variance_weight", "holds a number below 0, or none beside a chance")
    return chance, spread


def checked_amounts(amounts: ArrayLike | None, size: int) -> FloatArray:
    """How much each of `size` items counts: 1 where nothing is said, NaN where it is unknown."""
    if amounts is None:
        return np.ones(size)
    found = floats("amounts", amounts)
    same_length(size, amounts=found)
    if not np.all(np.isnan(found) | ((found >= 0.0) & np.isfinite(found))):
        raise BadArrays("amounts", "holds a number below 0 or infinite; NaN means unknown")
    return found


def most_of_one(
    cell: tuple[tuple[float, float], tuple[float, float]],
    flagged: BoolArray,
    weight: FloatArray,
    random: BoolArray,
    *,
    largest_weight: float | None,
    largest_flagged: float | None,
) -> float:
    """The most that one more event of this cell could count; 0 where all were sure to be drawn.

    Args:
        cell: of METRICS.
        flagged, weight: of those that were drawn, shape (N,).
        random: shape (N,), drawn by chance.
        largest_weight, largest_flagged: see `estimate`.
    """
    table = np.array(cell, dtype=np.float64)
    if largest_weight is not None:
        of_flagged = largest_weight if largest_flagged is None else largest_flagged
        by_flag = np.array([largest_weight, min(largest_weight, of_flagged)])
        return float((by_flag * table.max(axis=0)).max())
    # It could be any item with a flag that the cell admits.
    could_count = table.max(axis=0)[flagged.astype(int)]
    if not could_count.any():
        could_count = np.full(len(weight), table.max())
    return float((weight * could_count * random).max(initial=0.0))


def moved_by_one(
    value: FloatArray | float,
    base: FloatArray | float,
    *,
    good: FloatArray | float,
    bad: FloatArray | float,
    heaviest: FloatArray | float,
) -> tuple[FloatArray, FloatArray]:
    """How far one more of the heaviest items would move a value, down and up, as deviations.

    A kind of item may be missing among the drawn ones altogether. Of an item's squared weight w the
    part 1 - 1 / w is variance: nothing is moved where each was sure to be drawn.

    Args:
        value, base: good / (good + bad), and what that divides by; of any shape.
        good, bad: the most that one more of each cell could count (`most_of_one`).
        heaviest: the most that any item weighs; infinity where items count by amounts, whose unit
            is anybody's.
    """
    left = np.sqrt(np.maximum(1.0 - 1.0 / np.asarray(heaviest, dtype=np.float64), 0.0)) / base
    return value * bad * left, (1.0 - value) * good * left


def rests_on_unseen(
    value: FloatArray | float,
    low: FloatArray | float,
    high: FloatArray | float,
    *,
    down: FloatArray | float,
    up: FloatArray | float,
) -> BoolArray:
    """Would one more of the heaviest items, which nobody drew, move a figure near an end?

    Where heavy items are rare most draws show none of them, and neither a value nor its variance
    knows that they exist. How near is ours to say: from one half to three quarters of the way, what
    is left covers 92 to 98 % in all cells or nearly all of `python -m benchmarks.worlds`; the
    nearer, the more are left.

    Args:
        low, high: of the interval that the drawn items give; `value` both where they show no
            variance at all.
        down, up: how far one more would move it (`moved_by_one`).
    """
    downward, upward = np.subtract(value, low), np.subtract(high, value)
    found: BoolArray = (down > NEAR_AN_END * downward) | (up > NEAR_AN_END * upward)
    return found
