"""Many questions asked of the same labels, so that one of them is not right by luck alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from hitl.evaluation.arrays import FloatArray, floats
from hitl.evaluation.errors import BadLevel


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


def benjamini_hochberg(p_values: ArrayLike) -> FloatArray:
    """Adjusted p-values, in the order given: of those at most alpha, so many are expected wrong.

    For a dashboard, where a false alarm costs a look; a gate takes `holm`.

    Source: Benjamini and Hochberg (1995); valid for independent or positively dependent tests.
    """
    given = floats("p_values", p_values)
    order = np.argsort(given, kind="stable")[::-1]
    stepped = given[order] * len(given) / np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(stepped))
    return adjusted


def mcnemar_mid_p(first_only: int, second_only: int) -> float:
    """Do two models differ on the same items? Two-sided p of the discordant pairs.

    Args:
        first_only: items that the first had right and the second wrong.
        second_only: the other way round.

    Source: McNemar (1947); mid-p as recommended by Fagerland, Lydersen and Laake (2013).
    """
    if min(first_only, second_only) < 0:
        raise BadLevel("discordant pairs", min(first_only, second_only), "counts of 0 or more")
    pairs, fewer = first_only + second_only, min(first_only, second_only)
    if pairs == 0:
        return 1.0
    exact = min(1.0, 2.0 * float(binom.cdf(fewer, pairs, 0.5)))
    if first_only == second_only:
        return 1.0 - float(binom.pmf(fewer, pairs, 0.5))
    return exact - float(binom.pmf(fewer, pairs, 0.5))
