"""How good a model is on labelled examples: per category, over all, and per slice.

For model quality, not for claims about decisions: those are `estimate`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import BoolArray, FloatArray, level, same_length
from hitl.evaluation.bootstrap import percentile_interval, resampled
from hitl.evaluation.cells import MEASURES, Cell, Table, Thresholds, distinct
from hitl.evaluation.intervals import Interval, wilson

SHARES = ("average_precision", "f1", "precision", "recall")
MACRO = "macro"
MIN_EVENTS = 10


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a model with its interval; or a code in its place.

    `slice_name` and `slice_value` are empty for all items. `category` is "macro" for the plain
    mean over those categories of the same slice that have a value; `method` says how many. Its `n`
    counts the items that are known in any of them, its `n_positive` those that violate in any.
    Codes: `no_labels`, `too_few_events` (fewer groups than the floor on either side of the
    answer), `nothing_flagged`.
    """

    metric: str
    category: str
    slice_name: str
    slice_value: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_positive: int
    code: str | None
    method: str

    def __str__(self) -> str:
        where = f" {self.slice_name}={self.slice_value}" if self.slice_name else ""
        name = f"{self.metric} {self.category}{where}"
        if self.value is None or self.low is None or self.high is None:
            return f"{name} {self.code} (n {self.n}, positive {self.n_positive})"
        return (
            f"{name} {self.value:.3f} [{self.low:.3f}, {self.high:.3f}] "
            f"(n {self.n}, positive {self.n_positive}, {self.method})"
        )


def evaluate(
    probabilities: ArrayLike,
    truth: ArrayLike,
    categories: Sequence[str],
    *,
    thresholds: Thresholds,
    weights: ArrayLike | None = None,
    groups: Sequence[object] | None = None,
    slices: Mapping[str, Sequence[str]] | None = None,
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
    min_events: int = MIN_EVENTS,
) -> list[Measure]:
    """Every measure of every category, over all items and per slice, with bootstrap intervals.

    Cells that nobody answered, or whose category the model does not know, are left out; the
    others of the item still count.

    Args:
        probabilities: shape (N, C), NaN where the model does not know the category.
        truth: shape (N, C): 1 violating, 0 not, NaN not answered.
        thresholds: from which probability on a category is flagged; by name or in order.
        weights: shape (N,), such as 1 / inclusion probability; default all 1.
        groups: what must not be torn apart (near copies, one creator); whole groups are
            resampled, so that a wave of copies does not pass for evidence.
        slices: name -> the value of each item, such as {"language": [...]}.
        min_events: fewer groups than this that have a violating item, or one that is not, and
            there is a code in place of a number.

    Raises:
        BadArrays: shapes differ, or numbers are impossible.
    """
    level("confidence", confidence)
    table = Table.checked(
        probabilities, truth, categories, thresholds=thresholds, weights=weights, groups=groups
    )
    cells = list(_cells(table, categories, slices or {}, min_events))
    wanted = [cell for cell in cells if cell.code is None]

    def all_figures(resample: FloatArray) -> FloatArray:
        """(B, cells with a number x measures)."""
        return np.concatenate([cell.figures(resample) for cell in wanted], axis=1)

    shape = (len(wanted), len(MEASURES))
    values = np.empty(shape)
    replicates = np.empty((resamples, *shape))
    if wanted:
        values = all_figures(table.weights[None, :]).reshape(shape)
        replicates = resampled(
            all_figures,
            table.group_of,
            table.weights,
            resamples=resamples,
            rng=np.random.default_rng(seed),
        ).reshape(resamples, *shape)

    place = {id(cell): at for at, cell in enumerate(wanted)}
    found: list[Measure] = []
    for slice_name, slice_value in dict.fromkeys(cell.slice for cell in cells):
        of_slice = [cell for cell in cells if cell.slice == (slice_name, slice_value)]
        for cell in of_slice:
            for k, metric in enumerate(MEASURES):
                if cell.code is not None:
                    found.append(_without_number(cell, metric, cell.code))
                    continue
                at = place[id(cell)]
                value, spread = float(values[at, k]), replicates[:, at, k]
                found.append(_measure(cell, metric, value, spread, confidence, min_events))
        rows = [place[id(cell)] for cell in of_slice if id(cell) in place]
        of_mean = [cell for cell in of_slice if id(cell) in place]
        found += _macro(of_slice, of_mean, values[rows], replicates[:, rows], confidence)
    return found


def _cells(
    table: Table, categories: Sequence[str], slices: Mapping[str, Sequence[str]], min_events: int
) -> list[Cell]:
    everything = np.ones(len(table.weights), dtype=bool)
    parts: list[tuple[tuple[str, str], BoolArray]] = [(("", ""), everything)]
    for name, values in slices.items():
        column = np.array([str(value) for value in values], dtype=object)
        same_length(len(everything), **{f"slices[{name!r}]": column})
        parts += [((name, value), column == value) for value in sorted(set(column.tolist()))]
    found = [
        Cell(table, column, category, rows, of)
        for of, rows in parts
        for column, category in enumerate(categories)
    ]
    for cell in found:
        if cell.code is None and cell.n_events < max(min_events, 1):
            cell.code = "too_few_events"
    return found


def _measure(
    cell: Cell,
    metric: str,
    value: float,
    replicates: FloatArray,
    confidence: float,
    min_events: int,
) -> Measure:
    if np.isnan(value):
        return _without_number(cell, metric, "nothing_flagged")
    if metric == "precision" and cell.n_flagged < min_events:
        return _without_number(cell, metric, "too_few_events")
    found = _limits(metric, value, replicates, confidence, cell.backing(metric))
    if found is None:
        return _without_number(cell, metric, "too_few_events")
    limits, method = found
    return Measure(
        metric=metric, category=cell.category, slice_name=cell.slice[0],
        slice_value=cell.slice[1], value=value, low=limits.low, high=limits.high,
        n=cell.n, n_positive=cell.n_positive, code=None, method=method,
    )  # fmt: skip


def _without_number(cell: Cell, metric: str, code: str) -> Measure:
    return Measure(
        metric=metric, category=cell.category, slice_name=cell.slice[0],
        slice_value=cell.slice[1], value=None, low=None, high=None, n=cell.n,
        n_positive=cell.n_positive, code=code, method=_method(metric),
    )  # fmt: skip


def _macro(
    cells: Sequence[Cell],
    of_mean: Sequence[Cell],
    values: FloatArray,
    replicates: FloatArray,
    confidence: float,
) -> list[Measure]:
    found = []
    for k, metric in enumerate(MEASURES):
        # A category where this model flags nothing has no precision; the others still have one.
        exists = ~np.isnan(values[:, k])
        averaged = [cell for cell, has_value in zip(of_mean, exists, strict=True) if has_value]
        n, n_positive = distinct(averaged or cells)
        value = low = high = None
        code: str | None = "too_few_events" if n else "no_labels"
        method = _method(metric)
        if exists.any():
            mean = float(values[exists, k].mean())
            means = replicates[:, exists, k].mean(axis=1)
            backing = min(cell.backing(metric) for cell in averaged)
            limits = _limits(metric, mean, means, confidence, backing)
            if limits is not None:
                (low, high), method = limits
                value, code = mean, None
        found.append(
            Measure(
                metric=metric,
                category=MACRO,
                slice_name=cells[0].slice[0],
                slice_value=cells[0].slice[1],
                value=value,
                low=low,
                high=high,
                n=n,
                n_positive=n_positive,
                code=code,
                method=f"{method}, {np.count_nonzero(exists)} of {len(cells)} categories",
            )
        )
    return found


def _limits(
    metric: str, value: float, replicates: FloatArray, confidence: float, backing: int
) -> tuple[Interval, str] | None:
    reverse = metric == "calibration_error"
    limits = percentile_interval(value, replicates, confidence=confidence, reverse=reverse)
    if limits is None:
        return None
    if metric in SHARES and limits.high - limits.low < 1e-12 and backing > 0:
        # All right or all wrong: every resample repeats that, but ten of ten is not certainty.
        return wilson(value, backing, confidence=confidence), "wilson"
    return Interval(max(limits.low, 0.0), limits.high), _method(metric)


def _method(metric: str) -> str:
    return "bootstrap-basic" if metric == "calibration_error" else "bootstrap-percentile"
