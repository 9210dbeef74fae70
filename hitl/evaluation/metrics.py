"""The online metrics, each good / (good + bad) of two kinds of item, and what a figure says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["certified", "descriptive"]
METHODS: dict[Kind, str] = {"certified": "gmover", "descriptive": "wilson-neff"}
POST_STRATIFIED = ", post-stratified"

MIN_EVENTS = 10
"""Fewer items than this in what a metric divides by, and there is a code in place of a number."""
STEADY_EVENTS = 10
HEAVIEST_SHARE = 0.25
ROUNDING = 1e-12
"""A variance that known counts leave less of than this part is none: what is left is rounding."""


class Cells(NamedTuple):
    """How much an item counts as good and as bad: indexed by [violating][flagged]."""

    good: tuple[tuple[float, float], tuple[float, float]]
    bad: tuple[tuple[float, float], tuple[float, float]]


# Rows: not violating, violating. Columns: not flagged, flagged.
METRICS: dict[str, Cells] = {
    "prevalence": Cells(good=((0, 0), (1, 1)), bad=((1, 1), (0, 0))),
    "precision": Cells(good=((0, 0), (0, 1)), bad=((0, 1), (0, 0))),
    "recall": Cells(good=((0, 0), (0, 1)), bad=((0, 0), (1, 0))),
    "f1": Cells(good=((0, 0), (0, 2)), bad=((0, 1), (1, 0))),
    "fpr": Cells(good=((0, 1), (0, 0)), bad=((1, 0), (0, 0))),
    "fnr": Cells(good=((0, 0), (1, 0)), bad=((0, 0), (0, 1))),
    "accuracy": Cells(good=((1, 0), (0, 1)), bad=((0, 1), (1, 0))),
}


@dataclass(frozen=True, slots=True)
class PostStrata:
    """How many items of the whole population are flagged and not, where that is known exactly."""

    flagged: int
    not_flagged: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric of the population, with its interval; or a code saying why there is no number.

    `n` items are in what the metric divides by (the flagged ones for precision, the violating
    ones for recall); `n_events` of them are in the rarer of its two cells. `n_effective` is the
    size of an even random draw that would be as informative. `n_excluded` labels have no
    inclusion probability, `n_unknown` items have no answer; neither counts.
    Codes: `no_labels`, `too_few_events`, `stratum_without_labels`.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_effective: float | None
    n_events: int
    method: str
    code: str | None
    confidence: float
    unstable: bool = False
    n_excluded: int = 0
    n_unknown: int = 0

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return f"{self.metric} {self.code} (n {self.n})"
        width = self.high - self.low
        digits = min(6, max(2, math.ceil(-math.log10(width)) + 1)) if width > 0.0 else 2
        effective = "" if self.n_effective is None else f", effective {self.n_effective:.0f}"
        return (
            f"{self.metric} {self.value:.{digits}f} [{self.low:.{digits}f}, "
            f"{self.high:.{digits}f}] (n {self.n}{effective}, {self.method}"
            f"{', unstable' if self.unstable else ''})"
        )
