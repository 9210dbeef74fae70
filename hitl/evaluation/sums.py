"""One pass over the labels: all that any metric of any slice and category needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitl.evaluation.arrays import FloatArray, IntArray, answers, floats, same_length
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.weights import checked_amounts, drawn_with

_ROWS = 4096
"""At a time: what is made of so many on the way fits a core's cache, however many there are."""
_KINDS = 8  # 4 where nobody answered, 2 violating, 1 flagged: the last four are thrown away


@dataclass(frozen=True, slots=True)
class Sums:
    """Of each slice, category, truth and flag, shape (S, C, 2, 2)."""

    count: FloatArray
    random: FloatArray  # weight of what was drawn by chance
    certain: FloatArray  # weight of what was sure to be drawn
    variance: FloatArray  # of a total of ones
    squares: FloatArray  # weight^2
    heaviest: FloatArray
    heaviest_random: FloatArray


def sum_labels(
    truth: ArrayLike, flagged: ArrayLike, inclusion_probability: ArrayLike,
    variance_weight: ArrayLike | None, groups: ArrayLike, size: int, amounts: ArrayLike | None,
) -> tuple[Sums, IntArray, IntArray]:  # fmt: skip
    """The sums; how many labels have no chance, and how many items no answer, shape (S, C).

    Arguments as those of `estimate_tables`.

    Raises:
        BadArrays: shapes differ, or numbers are impossible.
    """
    said, flags = np.asarray(truth), np.asarray(flagged)
    chance = floats("inclusion_probability", inclusion_probability)
    spread = None if variance_weight is None else floats("variance_weight", variance_weight)
    amount = None if amounts is None else floats("amounts", amounts)
    group = np.asarray(groups, dtype=np.int64)
    items = len(chance)
    if said.ndim != 2:
        raise BadArrays("truth", f"has shape {said.shape}; it needs 2 dimensions")
    if flags.shape != said.shape or len(said) != items or group.shape != (items,):
        raise BadArrays("flagged", f"has shape {flags.shape} beside a truth of {said.shape}")
    for name, one in (("variance_weight", spread), ("amounts", amount)):
        if one is not None:
            same_length(items, **{name: one})
    if items and not (group.min() >= 0 and group.max() < size):
        raise BadArrays("groups", f"holds a slice outside 0 to {size - 1}")
    cells = _Cells(size, said.shape[1])
    for start in range(0, items, _ROWS):
        rows = slice(start, start + _ROWS)
        cells.add(
            answers("truth", said[rows], dimensions=2),
            answers("flagged", flags[rows], dimensions=2),
            group[rows],
            *drawn_with(chance[rows], None if spread is None else spread[rows]),
            checked_amounts(None if amount is None else amount[rows], len(chance[rows])),
        )
    return cells.sums(), cells.excluded(), cells.unknown()


class _Cells:
    """Running totals of each slice, category and kind."""

    def __init__(self, size: int, categories: int) -> None:
        self._shape = (size, categories, _KINDS)
        self._first = np.arange(categories) * _KINDS
        self._counts = np.zeros(self._shape, dtype=np.int64).ravel()
        self._totals = {
            name: np.zeros(self._counts.size)
            for name in ("certain", "random", "variance", "squares", "heaviest", "heaviest_random")
        }
        self._excluded = np.zeros(size, dtype=np.int64)
        self._unknown = np.zeros((size, categories), dtype=np.int64)  # of what counts nothing

    def add(
        self,
        said: FloatArray,
        flags: FloatArray,
        group: IntArray,
        chance: FloatArray,
        spread: FloatArray,
        amount: FloatArray,
    ) -> None:
        """These rows: the first two of shape (rows, categories), the others of (rows,)."""
        if np.isnan(flags).any():
            raise BadArrays("flagged", "holds NaN; leave out the items that were never decided on")
        measures, is_known = ~np.isnan(chance), ~np.isnan(amount)
        counts = measures & is_known & (amount > 0.0)
        if not counts.all():
            idle = measures & ~counts
            self._excluded += np.bincount(group[~measures], minlength=len(self._excluded))
            np.add.at(self._unknown, group[idle], np.isnan(said[idle]) | ~is_known[idle, None])
            said, flags, group = said[counts], flags[counts], group[counts]
            chance, spread, amount = chance[counts], spread[counts], amount[counts]
        weight = amount / chance
        random = np.where(spread > 0.0, weight, 0.0)
        kind = 2 * (said == 1.0).view(np.int8) + (flags == 1.0).view(np.int8)
        kind += 4 * np.isnan(said).view(np.int8)
        categories = said.shape[1]
        cell = (group[:, None] * (categories * _KINDS) + self._first + kind).ravel()
        self._counts += np.bincount(cell, minlength=self._counts.size)
        of_each = np.repeat(weight, categories)
        of_random = of_each
        if not (random == weight).all():
            of_random = np.repeat(random, categories)
            self._total("certain", cell, of_each - of_random)
        self._total("random", cell, of_random)
        self._total("squares", cell, of_each * of_each)
        self._total("variance", cell, np.repeat(spread * amount**2, categories))
        np.maximum.at(self._totals["heaviest"], cell, of_each)
        np.maximum.at(self._totals["heaviest_random"], cell, of_random)

    def _total(self, name: str, cell: IntArray, values: FloatArray) -> None:
        self._totals[name] += np.bincount(cell, values, self._counts.size)

    def excluded(self) -> IntArray:
        """Labels without a chance, shape (S, C)."""
        return np.broadcast_to(self._excluded[:, None], self._shape[:2])

    def unknown(self) -> IntArray:
        """Items with a chance and without an answer, shape (S, C)."""
        unanswered: IntArray = self._counts.reshape(self._shape)[..., 4:].sum(axis=-1)
        return unanswered + self._unknown

    def sums(self) -> Sums:
        """Of what was answered."""

        def kept(found: NDArray[Any]) -> FloatArray:
            answered = found.reshape(self._shape)[..., :4].astype(np.float64)
            return answered.reshape(*self._shape[:2], 2, 2)

        totals = {name: kept(found) for name, found in self._totals.items()}
        return Sums(count=kept(self._counts), **totals)
