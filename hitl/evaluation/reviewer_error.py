"""What is left of a rate once the reviewers' own errors are taken out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from hitl.evaluation.arrays import level
from hitl.evaluation.errors import BadLevel
from hitl.evaluation.intervals import Interval

LEAST_YOUDEN = 0.1
"""Where sensitivity + specificity - 1 is less, answers say next to nothing of what is true."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share and how many independent answers it rests on."""

    value: float
    n: float


@dataclass(frozen=True, slots=True)
class Corrected:
    """The share without the reviewers' error, or a code that says why there is none.

    Codes: `reviewers_cannot_tell`, `fewer_than_their_errors`, `more_than_their_errors`.
    """

    value: float | None
    low: float | None
    high: float | None
    code: str | None


def without_reviewer_error(
    apparent: Rate,
    *,
    sensitivity: Rate,
    specificity: Rate,
    limits: Interval | None = None,
    confidence: float = 0.95,
) -> Corrected:
    """What share violates, given what share was said to and how often reviewers are right.

    The uncertainty of all three is carried. Refused where reviewers are hardly better than a
    coin, and where fewer (or more) were said to violate than their errors alone would explain
    with that confidence: then the error rates are not those of these reviewers and items.

    Args:
        apparent: the share that reviewers said violates; `n` may be an effective n.
        sensitivity: of gold items that violate, how many they said do.
        specificity: of gold items that do not, how many they said do not.
        limits: of the apparent share, where its `n` does not say how sure it is: the certified
            ones of an unstable figure.

    Raises:
        BadLevel: a share outside [0, 1], or nothing it rests on.

    Source: Rogan and Gladen (1978); variance by the delta method; limits with the midpoint moved
    as in Lang and Reiczigel (2014); given limits are joined by the method of variance estimates
    recovery, Zou and Donner (2008).
    """
    level("confidence", confidence)
    for name, one in (("apparent", apparent), ("sensitivity", sensitivity),
                      ("specificity", specificity)):  # fmt: skip
        if not 0.0 <= one.value <= 1.0 or not one.n > 0.0:
            raise BadLevel(name, one.value, "a share in [0, 1] of one answer or more")
    youden = sensitivity.value + specificity.value - 1.0
    if youden < LEAST_YOUDEN:
        return Corrected(None, None, None, "reviewers_cannot_tell")
    value = (apparent.value + specificity.value - 1.0) / youden
    low, high = _limits(apparent, limits, sensitivity, specificity, confidence)
    if high < 0.0:
        return Corrected(None, None, None, "fewer_than_their_errors")
    if low > 1.0:
        return Corrected(None, None, None, "more_than_their_errors")
    value, low, high = (min(1.0, max(0.0, one)) for one in (value, low, high))
    low, high = min(low, value), max(high, value)
    return Corrected(value, low, high, None)


def _limits(
    apparent: Rate,
    given: Interval | None,
    sensitivity: Rate,
    specificity: Rate,
    confidence: float,
) -> Interval:
    z = float(norm.ppf((1.0 + confidence) / 2.0))
    # The shares with a little added, as Agresti and Coull do for one.
    hit, positives = _moved(sensitivity, 1.0)
    right, negatives = _moved(specificity, 1.0)
    youden = hit + right - 1.0
    if youden <= 0.0:
        return Interval(-math.inf, math.inf)
    of_hit, of_right = hit * (1.0 - hit) / positives, right * (1.0 - right) / negatives
    share, n = (apparent.value, math.inf) if given else _moved(apparent, z * z / 2.0)
    middle = (share + right - 1.0) / youden
    of_gold = middle**2 * of_hit + (1.0 - middle) ** 2 * of_right
    if given:
        down, up = (math.hypot(end - share, z * math.sqrt(of_gold)) / youden for end in given)
        return Interval(middle - down, middle + up)
    shift = 2.0 * z * z * (middle * of_hit - (1.0 - middle) * of_right)
    half = z * math.sqrt(share * (1.0 - share) / n + of_gold) / youden
    return Interval(middle + shift - half, middle + shift + half)


def _moved(rate: Rate, by: float) -> tuple[float, float]:
    n = rate.n + 2.0 * by
    return (rate.value * rate.n + by) / n, n
