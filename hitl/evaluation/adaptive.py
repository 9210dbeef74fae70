"""Totals over rounds of draws that learned from the rounds before them.

For draws one by one without replacement, `sampling.lure_weights` has the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hitl.evaluation.arrays import FloatArray, floats, same_length
from hitl.evaluation.errors import BadArrays


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
