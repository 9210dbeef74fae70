"""Many questions asked of the same labels, so that one of them is not right by luck alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import FloatArray, floats


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values, in the order given: reject those at most alpha.

    The chance of one wrong rejection or more is then alpha at most.

    Source: Holm (1979), step-down Bonferroni; valid whatever the dependence.
    """
    given = floats("p_values", p_values)
    order = np.argsort(given, kind="stable")
    stepped = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted
