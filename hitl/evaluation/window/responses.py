"""Who answers depends on what is asked: rates of response by score and slice, and what mends it.

The chance of a label has in it that the audit of its batch was answered, whichever item it is
(`audit.levelled`). Where skips and timeouts meet some items more than others, that chance is too
high for these. Here it is multiplied by what their cell's rate is beside its batches'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from hitl.evaluation.arrays import BoolArray, FloatArray, floats, same_length

LEAST_ASKED = 30
LEAST_ANSWERED = 10
SAME = 0.1
EDGES = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True, slots=True)
class Response:
    """A cell of alike items: how many were asked, and how many of them answered.

    `factor` is its rate of response beside what its batches' rates would have it be. Without
    `language` and `surface` it is all others of the band.
    """

    low: float
    high: float
    language: str
    surface: str
    asked: int
    answered: int
    factor: float

    def __str__(self) -> str:
        where = f", {self.language}, {self.surface}" if self.language or self.surface else ""
        return f"score {self.low:.1f} to {self.high:.1f}{where}"

    @property
    def rate(self) -> float:
        """Answered of asked."""
        return self.answered / self.asked if self.asked else 0.0


@dataclass(frozen=True, slots=True)
class Responses:
    """The cells, and `factor` (N,) of each asked item's: multiply its chance by this.

    `p_value`: how likely cells differ as much as they do where all answer alike. Where that is more
    than SAME, they are taken to do so, and all factors are 1: mending what is chance costs labels.
    """

    cells: tuple[Response, ...]
    factor: FloatArray
    p_value: float


def respond(
    score: ArrayLike,
    language: NDArray[Any],
    surface: NDArray[Any],
    *,
    expected: ArrayLike,
    is_answered: ArrayLike,
    least_asked: int = LEAST_ASKED,
    least_answered: int = LEAST_ANSWERED,
) -> Responses:
    """How each cell of score and slice answers, beside what its batches would have it.

    Bands of a tenth of the score, neighbours joined until each has `least_asked` and
    `least_answered`. Within a band, each language and surface with as many is a cell, and the
    rest is another. One over the factors has mean one over the answered items. Where the cells do
    not differ by more than chance would have it, every factor is 1.

    Args:
        score: shape (N,), in [0, 1], of what was asked; NaN is a band of its own with the lowest.
        language, surface: shape (N,).
        expected: shape (N,): the part of the item's batch that is answered.
        is_answered: shape (N,).

    Raises:
        BadArrays: shapes differ.

    Source: weighting-class adjustment, as in Little and Rubin, Statistical Analysis with Missing
    Data, 3.3; Pearson's chi square of the cells.
    """
    scores, rate = floats("score", score), floats("expected", expected)
    answered: BoolArray = np.asarray(is_answered, dtype=bool)
    same_length(len(scores), language=language, surface=surface, rate=rate, is_answered=answered)
    factor = np.ones(len(scores))
    cells = []
    distance = 0.0
    tenth = np.searchsorted(EDGES, np.nan_to_num(scores), side="right")

    def is_enough(rows: BoolArray) -> bool:
        return bool(rows.sum() >= least_asked and (rows & answered).sum() >= least_answered)

    for low, high, band in _joined(tenth, is_enough):
        for name, other, rows in _slices(band, language, surface, is_enough):
            wanted = float(rate[rows].sum())
            came = int((rows & answered).sum())
            part = came / wanted if came and wanted > 0.0 else 1.0
            factor[rows] = part
            spread = float((rate[rows] * (1.0 - rate[rows])).sum())
            distance += (came - wanted) ** 2 / spread if spread > 0.0 else 0.0
            cells.append(Response(low, high, name, other, int(rows.sum()), came, part))
    p_value = float(chi2.sf(distance, len(cells) - 1)) if len(cells) > 1 else 1.0
    if p_value > SAME:
        factor[:] = 1.0
        cells = [replace(one, factor=1.0) for one in cells]
    return Responses(tuple(cells), factor, p_value)


def _joined(tenth: NDArray[np.intp], is_enough: Any) -> Iterator[tuple[float, float, BoolArray]]:
    """Bands of enough items, from low to high; what is left at the top joins the last one."""
    bands: list[tuple[int, int]] = []
    first = 0
    for last in range(len(EDGES) + 1):
        if is_enough((tenth >= first) & (tenth <= last)):
            bands.append((first, last))
            first = last + 1
    if first <= len(EDGES):
        start = bands.pop()[0] if bands else 0
        bands.append((start, len(EDGES)))
    for low, high in bands:
        rows = (tenth >= low) & (tenth <= high)
        if rows.any():
            yield low / 10, (high + 1) / 10, rows


def _slices(
    band: BoolArray, language: NDArray[Any], surface: NDArray[Any], is_enough: Any
) -> Iterator[tuple[str, str, BoolArray]]:
    pairs = sorted(set(zip(language[band].tolist(), surface[band].tolist(), strict=True)))
    parts = [(one, other, band & (language == one) & (surface == other)) for one, other in pairs]
    own = [part for part in parts if is_enough(part[2])]
    rest = band.copy()
    for _, _, rows in own:
        rest &= ~rows
    # A rest that is too small to be one alone joins the smallest of the others.
    while own and rest.any() and not is_enough(rest):
        smallest = min(own, key=lambda part: (part[2].sum(), part[:2]))
        own.remove(smallest)
        rest |= smallest[2]
    yield from own
    if rest.any():
        yield "", "", rest
