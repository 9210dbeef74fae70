"""Are some people's words judged worse than others'? Gaps of a slice to all the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from hitl.evaluation.arrays import BoolArray, answers, level, same_length
from hitl.evaluation.comparisons import benjamini_hochberg, holm
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.estimators import estimate
from hitl.evaluation.intervals import Interval, difference_limits
from hitl.evaluation.metrics import Estimate
from hitl.evaluation.weights import drawn_with

Verdict = Literal["insufficient_evidence", "gap", "no_gap_shown"]

GAP_METRICS = ("recall", "fpr")
"""What is found of what violates, and what is flagged of what does not."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A metric of one slice less that of all others, with an interval; or too little to tell.

    `adjusted_p`: over all gaps that were asked for together. The verdict is never "fair": where no
    gap is shown, the interval says how large one may still be; where one is, it excludes zero too.
    `method` of the interval: `newcombe` for even draws, `newcombe-neff` where chances differ and
    their effective n counts, `mover` where a side is unstable and its limits are certified ones.
    """

    metric: str
    slice_name: str
    slice_value: str
    here: Estimate
    elsewhere: Estimate
    difference: float | None
    low: float | None
    high: float | None
    adjusted_p: float | None
    verdict: Verdict
    method: str


@dataclass(frozen=True, slots=True)
class Part:
    """The items of one slice, such as one language: `rows` (N,). Parts may overlap."""

    slice_name: str
    slice_value: str
    rows: BoolArray


def gaps(
    truth: ArrayLike,
    flagged: ArrayLike,
    inclusion_probability: ArrayLike,
    slices: Sequence[str],
    *,
    variance_weight: ArrayLike | None = None,
    metrics: Sequence[str] = GAP_METRICS,
    confidence: float = 0.95,
    is_gate: bool = False,
    largest_weight: float | None = None,
    largest_flagged: float | None = None,
) -> list[Gap]:
    """Every value of one slice against the rest: `gaps_of` for what excludes each other.

    Args:
        slices: shape (N,), such as the language of each item.

    Raises:
        BadArrays, UnknownMetric: as `estimate`.
    """
    values = np.asarray(slices, dtype=object)
    said = answers("truth", truth)
    if values.shape != said.shape:
        raise BadArrays("slices", f"has shape {values.shape} beside a truth of {said.shape}")
    parts = [Part("", name, values == name) for name in sorted(set(values.tolist()))]
    return gaps_of(
        said, flagged, inclusion_probability, parts, variance_weight=variance_weight,
        metrics=metrics, confidence=confidence, is_gate=is_gate, largest_weight=largest_weight,
        largest_flagged=largest_flagged,
    )  # fmt: skip


def gaps_of(
    truth: ArrayLike,
    flagged: ArrayLike,
    inclusion_probability: ArrayLike,
    parts: Sequence[Part],
    *,
    variance_weight: ArrayLike | None = None,
    metrics: Sequence[str] = GAP_METRICS,
    confidence: float = 0.95,
    is_gate: bool = False,
    largest_weight: float | None = None,
    largest_flagged: float | None = None,
) -> list[Gap]:
    """Every part against all items that are not of it, most surely different first, then by name.

    A part that holds all items, or none, has nothing beside it and no gap.

    Args:
        truth, flagged, inclusion_probability, variance_weight: as `estimate`, shape (N,).
        parts: of as many slices as are to be judged together: languages, markets, identity terms.
        is_gate: adjust so that one wrong alarm among all is rare (Holm), not so that most alarms
            are right (Benjamini and Hochberg).

    Raises:
        BadArrays, UnknownMetric: as `estimate`.

    Source: the descriptive limits of both sides, joined as Newcombe (1998) does; two-sided score
    test of the difference on the effective n of the design's linearised variance.
    """
    level("confidence", confidence)
    said, flags = answers("truth", truth), answers("flagged", flagged)
    chance, spread = drawn_with(inclusion_probability, variance_weight)
    same_length(len(said), flagged=flags, inclusion_probability=chance)
    for part in parts:
        same_length(len(said), **{f"part {part.slice_value!r}": part.rows})

    def of(metric: str, rows: BoolArray) -> Estimate:
        return estimate(
            metric,
            truth=said[rows],
            flagged=flags[rows],
            inclusion_probability=chance[rows],
            variance_weight=spread[rows],
            confidence=confidence,
            kind="descriptive",
            largest_weight=largest_weight,
            largest_flagged=largest_flagged,
        )

    pairs = [
        (metric, part, of(metric, part.rows), of(metric, ~part.rows))
        for metric in metrics
        for part in parts
        if part.rows.any() and not part.rows.all()
    ]
    p_values = [_p_value(here, rest) for _, _, here, rest in pairs]
    known = [k for k, p in enumerate(p_values) if p is not None]
    adjust = holm if is_gate else benjamini_hochberg
    adjusted = dict(zip(known, adjust([p_values[k] for k in known]), strict=True))  # type: ignore[arg-type]
    drawn = chance[~np.isnan(chance) & ~np.isnan(said)]
    is_even = bool(len(drawn) == 0 or np.ptp(drawn) <= 1e-9)
    found = [
        _gap(metric, part, here, rest, adjusted.get(k), confidence, is_even)
        for k, (metric, part, here, rest) in enumerate(pairs)
    ]
    return sorted(
        found,
        key=lambda one: (
            math.inf if one.adjusted_p is None else one.adjusted_p, one.metric, one.slice_name,
            one.slice_value,
        ),
    )  # fmt: skip


def _p_value(here: Estimate, rest: Estimate) -> float | None:
    """Two-sided, with the variance that both would have if they were alike (score test)."""
    if here.value is None or rest.value is None:
        return None
    one, two = here.n_effective or 0.0, rest.n_effective or 0.0
    if not (one > 0.0 and two > 0.0):
        return None
    alike = (here.value * one + rest.value * two) / (one + two)
    variance = alike * (1.0 - alike) * (1.0 / one + 1.0 / two)
    if variance <= 0.0:
        return 1.0  # all alike in both
    return 2.0 * float(norm.sf(abs(here.value - rest.value) / math.sqrt(variance)))


def _gap(
    metric: str,
    part: Part,
    here: Estimate,
    rest: Estimate,
    adjusted_p: float | None,
    confidence: float,
    is_even: bool,
) -> Gap:
    difference = low = high = None
    verdict: Verdict = "insufficient_evidence"
    one, two = _told(here), _told(rest)
    if adjusted_p is not None and one and two:
        difference = one[0] - two[0]
        low, high = difference_limits(*one, *two)
        # The test knows what was drawn only; limits that are certified also what could not show.
        is_shown = adjusted_p <= 1.0 - confidence and not low <= 0.0 <= high
        verdict = "gap" if is_shown else "no_gap_shown"
    method = "newcombe" if is_even else "newcombe-neff"
    if here.unstable or rest.unstable:
        method = "mover"
    return Gap(
        metric, part.slice_name, part.slice_value, here, rest, difference, low, high,
        None if adjusted_p is None else float(adjusted_p), verdict,
        method,
    )  # fmt: skip


def _told(of: Estimate) -> tuple[float, Interval] | None:
    """Value and limits, where there is a number."""
    if of.value is None or of.low is None or of.high is None:
        return None
    return of.value, Interval(of.low, of.high)
