"""Are some people's words judged worse than others'? Gaps of a slice to all the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from hitl.evaluation.arrays import answers, level, same_length
from hitl.evaluation.comparisons import benjamini_hochberg, holm
from hitl.evaluation.errors import BadArrays
from hitl.evaluation.estimators import Estimate, drawn_with, estimate
from hitl.evaluation.intervals import newcombe

Verdict = Literal["insufficient_evidence", "gap", "no_gap_shown"]

GAP_METRICS = ("recall", "fpr")
"""What is found of what violates, and what is flagged of what does not."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A metric of one slice less that of all others, with an interval; or too little to tell.

    `adjusted_p`: over all gaps that were asked for together. The verdict is never "fair": where no
    gap is shown, the interval says how large one may still be.
    """

    metric: str
    slice_value: str
    here: Estimate
    elsewhere: Estimate
    difference: float | None
    low: float | None
    high: float | None
    adjusted_p: float | None
    verdict: Verdict


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
    flagged_as_drawn: bool = False,
) -> list[Gap]:
    """Every slice against the rest, most surely different first, then by name.

    Args:
        truth, flagged, inclusion_probability, variance_weight: as `estimate`, shape (N,).
        slices: shape (N,), such as the language of each item.
        is_gate: adjust so that one wrong alarm among all is rare (Holm), not so that most alarms
            are right (Benjamini and Hochberg).

    Raises:
        BadArrays, UnknownMetric: as `estimate`.

    Source: Newcombe's limits (1998) on effective n; two-sided score test of the difference.
    """
    level("confidence", confidence)
    said, flags = answers("truth", truth), answers("flagged", flagged)
    chance, spread = drawn_with(inclusion_probability, variance_weight)
    values = np.asarray(slices, dtype=object)
    if values.shape != said.shape:
        raise BadArrays("slices", f"has shape {values.shape} beside a truth of {said.shape}")
    same_length(len(said), flagged=flags, inclusion_probability=chance)
    names = sorted(set(values.tolist()))
    if len(names) < 2:
        return []  # there is no rest

    def of(metric: str, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Estimate:
        return estimate(
            metric,
            truth=said[rows],
            flagged=flags[rows],
            inclusion_probability=chance[rows],
            variance_weight=spread[rows],
            confidence=confidence,
            kind="descriptive",
            largest_weight=largest_weight,
            flagged_as_drawn=flagged_as_drawn,
        )

    pairs = [
        (metric, name, of(metric, values == name), of(metric, values != name))
        for metric in metrics
        for name in names
    ]
    p_values = [_p_value(here, rest) for _, _, here, rest in pairs]
    known = [k for k, p in enumerate(p_values) if p is not None]
    adjust = holm if is_gate else benjamini_hochberg
    adjusted = dict(zip(known, adjust([p_values[k] for k in known]), strict=True))  # type: ignore[arg-type]
    found = [
        _gap(metric, name, here, rest, adjusted.get(k), confidence)
        for k, (metric, name, here, rest) in enumerate(pairs)
    ]
    return sorted(
        found,
        key=lambda one: (
            math.inf if one.adjusted_p is None else one.adjusted_p, one.metric, one.slice_value,
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
    name: str,
    here: Estimate,
    rest: Estimate,
    adjusted_p: float | None,
    confidence: float,
) -> Gap:
    if adjusted_p is None or here.value is None or rest.value is None:
        return Gap(metric, name, here, rest, None, None, None, None, "insufficient_evidence")
    low, high = newcombe(
        here.value, here.n_effective or 1.0, rest.value, rest.n_effective or 1.0,
        confidence=confidence,
    )  # fmt: skip
    verdict: Verdict = "gap" if adjusted_p <= 1.0 - confidence else "no_gap_shown"
    return Gap(
        metric, name, here, rest, here.value - rest.value, low, high, float(adjusted_p), verdict
    )
