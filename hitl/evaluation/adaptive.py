"""Totals over draws that learned from the draws before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import FloatArray, floats, same_length
from hitl.evaluation.errors import BadArrays


def lure_weights(draw_probability: ArrayLike, *, population: int) -> FloatArray:
    """What each loss counts in the mean, where items were drawn one by one without replacement.

    `mean(weights * losses)` is unbiased for the mean over the population, whatever each draw had
    learned from those before; the weights' expectation is 1.

    Args:
        draw_probability: shape (M,), in the order of drawing: the chance of the item at its own
            draw, among those that were left then.
        population: N items, M at most of them drawn.

    Raises:
        BadArrays: a chance outside (0, 1], or more drawn than there are.

    Source: levelled unbiased risk estimator, Farquhar, Gal and Rainforth (2021).
    """
    chance = floats("draw_probability", draw_probability)
    drawn = len(chance)
    if drawn > population:
        raise BadArrays("draw_probability", f"has {drawn} draws of {population} items")
    if not ((chance > 0.0) & (chance <= 1.0)).all():
        raise BadArrays("draw_probability", "holds a number outside (0, 1]")
    order = np.arange(1, drawn + 1)
    left = population - order
    # The last item of all is drawn with certainty and stands for itself.
    scale = np.divide(population - drawn, left, out=np.zeros(drawn), where=left > 0)
    weights: FloatArray = 1.0 + scale * (1.0 / ((left + 1) * chance) - 1.0)
    return weights


@dataclass(frozen=True, slots=True)
class Round:
    """One round of independent draws: `values` of its labels, and each one's chance in it.

    `known_before` is the total over the items that earlier rounds had labelled, which this round
    could not draw: they count as they are.
    """

    values: FloatArray
    inclusion_probability: FloatArray
    known_before: float


@dataclass(frozen=True, slots=True)
class Total:
    """A population's total and the variance of that estimate."""

    value: float
    variance: float


def levelled_total(rounds: Sequence[Round], *, sizes: Sequence[int]) -> Total:
    """A total from several rounds whose chances depended on the labels of earlier ones.

    Each round alone estimates the total: what was known before it, and its own draws by their
    chances. The rounds are averaged by their planned sizes, which must not depend on what was
    found; an average of each item's weights over rounds would be biased.

    Args:
        sizes: how many labels each round was planned to have.

    Raises:
        BadArrays: another number of sizes than rounds, or impossible chances.

    Source: Horvitz-Thompson in each round, conditional on the rounds before, which makes their
    errors uncorrelated.
    """
    planned = floats("sizes", list(sizes))
    if len(planned) != len(rounds) or not len(rounds) or not (planned > 0.0).all():
        raise BadArrays("sizes", f"has {len(planned)} positive sizes for {len(rounds)} rounds")
    share = planned / planned.sum()
    value = variance = 0.0
    for part, one in zip(share, rounds, strict=True):
        values = floats("values", one.values)
        chance = floats("inclusion_probability", one.inclusion_probability)
        same_length(len(values), inclusion_probability=chance)
        if not ((chance > 0.0) & (chance <= 1.0)).all():
            raise BadArrays("inclusion_probability", "holds a number outside (0, 1]")
        value += part * (one.known_before + float((values / chance).sum()))
        variance += part**2 * float(((1.0 - chance) * (values / chance) ** 2).sum())
    return Total(value, variance)
