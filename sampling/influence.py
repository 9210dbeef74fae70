"""By how much each answer would narrow what is promised: where an audit is best spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sampling.errors import BadPlan, BadPool
from sampling.pool import BoolArray, FloatArray, IntArray

Promised = Literal["precision", "recall"]


class Aim(NamedTuple):
    """A metric of one category whose interval is to be narrow."""

    column: int
    metric: Promised


def influence(
    probabilities: FloatArray,
    flagged: BoolArray,
    aims: Sequence[Aim],
    *,
    slices: IntArray | None = None,
) -> NDArray[np.float64]:
    """What each item's answer is expected to add to the variance of the aims, as a deviation.

    A draw with chances in proportion to it estimates the aims with the fewest labels, as far as
    the model is right. Every aim counts alike, and with `slices` every aim of every slice does,
    however small the slice. A wrong model costs width and never truth, as long as a floor keeps
    every chance above 0: what it is sure of counts 0 here.

    Args:
        probabilities: shape (N, C).
        flagged: shape (N, C), what is decided on.
        slices: shape (N,), from 0.

    Returns:
        Shape (N,), >= 0; its squares sum to 1 where any answer is in doubt.

    Raises:
        BadPool: shapes differ.
        BadPlan: an aim names a column or metric that does not exist.

    Source: Neyman (1934) for ratios; Sawade, Landwehr and Scheffer (2010) for the influence of an
    answer p on recall R, p (f - R)^2, and on precision, f p (1 - p), each over its sum.
    """
    items, columns = probabilities.shape
    if flagged.shape != probabilities.shape:
        raise BadPool(f"flagged has shape {flagged.shape} beside {probabilities.shape}")
    at = np.zeros(items, dtype=np.intp) if slices is None else slices
    if at.shape != (items,):
        raise BadPool(f"slices has shape {at.shape} beside {items} items")
    total = np.zeros(items)
    for column, metric in aims:
        if not 0 <= column < columns or metric not in ("precision", "recall"):
            raise BadPlan(f"there is no {metric} of column {column}")
        p, f = probabilities[:, column], flagged[:, column].astype(np.float64)
        if metric == "precision":
            part = f * p * (1.0 - p)
        else:
            violating = np.bincount(at, weights=p)
            found = np.bincount(at, weights=p * f)
            recall = np.divide(
                found, violating, out=np.full(len(found), 0.5), where=violating > 0.0
            )
            part = p * (f - recall[at]) ** 2
        sums = np.bincount(at, weights=part)
        total += np.divide(part, sums[at], out=np.zeros(items), where=sums[at] > 0.0)
    whole = float(total.sum())
    return np.sqrt(total / whole) if whole > 0.0 else total
