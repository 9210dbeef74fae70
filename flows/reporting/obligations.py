"""What the policy promises beside what labels say of it and what was certified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from flows.certify import slices
from hitl.evaluation import Estimate, Kind, estimate
from hitl.evaluation.store import Judged
from hitl.policy import Policy
from hitl.registry import Certificate, Subject

MOST_SLICES = 12
"""Of slices with thresholds of their own, those with most labels; a page is no database."""

Rows = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Attempts = Mapping[Subject, Sequence[Certificate]]


@dataclass(frozen=True, slots=True)
class Promise:
    """One obligation in one slice, at a moment.

    Measured for decisions at `threshold`: the certified one where `certificate` stands, else the
    policy's. `likely` is the interval to look at, `sure` the one to promise by. Without a
    certificate `missing` says what it takes, `in_short` in a few words.
    """

    subject: Subject
    metric: str
    at_least: float
    confidence: float
    threshold: float
    likely: Estimate
    sure: Estimate
    certificate: Certificate | None
    missing: str
    in_short: str
    more_labels: int | None


def promises_of(
    judged: Judged, attempts: Attempts, *, policy: Policy, by: str, at: datetime
) -> tuple[Promise, ...]:
    """Every obligation of the policy, and of each slice that thresholds go by.

    What stood, and what had been tried, is that of the moment `at`. Of many slices those with the
    most labels are told.
    """
    known = {
        subject: [one for one in tries if one.issued_at <= at]
        for subject, tries in attempts.items()
    }
    return tuple(
        _promise(judged, known.get(subject, []), subject, metric, at_least, policy, rows, at)
        for subject, rows in _subjects(judged, policy, by)
        for metric, at_least in _promised(policy, subject.category)
    )


def standing(tries: Sequence[Certificate], metric: str, *, at: datetime) -> Certificate | None:
    """The newest certificate for a metric that stood at a moment; of attempts, oldest first."""
    for one in reversed(tries):
        ends_at = min(one.expires_at, one.withdrawn_at or one.expires_at)
        has_threshold = one.finding.metric == metric and one.finding.threshold is not None
        if has_threshold and one.issued_at <= at < ends_at:
            return one
    return None


def standing_of(attempts: Attempts, *, at: datetime) -> dict[Subject, dict[str, Certificate]]:
    """What stood at a moment, by metric; what has none is left out."""
    found: dict[Subject, dict[str, Certificate]] = {}
    for subject, tries in attempts.items():
        for metric in ("precision", "recall"):
            if one := standing(tries, metric, at=at):
                found.setdefault(subject, {})[metric] = one
    return found


def _subjects(judged: Judged, policy: Policy, by: str) -> Iterator[tuple[Subject, Rows]]:
    parts = list(slices(judged, by))
    if not parts:  # no label yet, so no slice of one
        by, parts = "", [("", np.ones(0, dtype=np.bool_))]
    largest = sorted(parts, key=lambda one: (-np.count_nonzero(one[1]), one[0]))[:MOST_SLICES]
    kept = {value for value, _ in largest}
    for category in policy.category:
        if category.obligation is None:
            continue
        for value, rows in parts:
            if value in kept:
                yield Subject(category.id, by, value), rows


def _promised(policy: Policy, category: str) -> Iterator[tuple[str, float]]:
    [obligation] = [one.obligation for one in policy.category if one.id == category]
    for metric in ("precision", "recall"):
        found = getattr(obligation, metric)
        if found is not None:
            yield metric, found


def _promise(
    judged: Judged,
    tries: Sequence[Certificate],
    subject: Subject,
    metric: str,
    at_least: float,
    policy: Policy,
    rows: Rows,
    at: datetime,
) -> Promise:
    column = policy.category_ids.index(subject.category)
    category = policy.category[column]
    certificate = standing(tries, metric, at=at)
    threshold = category.threshold
    if certificate is not None and certificate.finding.threshold is not None:
        threshold = certificate.finding.threshold
    missing, in_short, more = ("", "", None)
    if certificate is None:
        missing, in_short, more = _missing([one for one in tries if one.finding.metric == metric])
    confidence = category.obligation.confidence if category.obligation else 0.95
    likely = measured(judged, column, metric, threshold, rows, kind="descriptive")
    sure = measured(judged, column, metric, threshold, rows, kind="certified")
    return Promise(
        subject, metric, at_least, confidence, threshold, likely, sure, certificate, missing,
        in_short, more,
    )  # fmt: skip


def measured(
    judged: Judged, column: int, metric: str, threshold: float, rows: Rows, *, kind: Kind
) -> Estimate:
    """A metric of one category's decisions, as they are from a threshold on."""
    truth, flagged = answers_at(judged, column, threshold, rows)
    return estimate(
        metric,
        truth=truth,
        flagged=flagged,
        inclusion_probability=judged.inclusion_probability[rows],
        variance_weight=judged.variance_weight[rows],
        kind=kind,
        largest_weight=judged.largest_weight,
        largest_flagged=judged.largest_from(column, threshold),
    )


def answers_at(
    judged: Judged, column: int, threshold: float, rows: Rows
) -> tuple[FloatArray, Rows]:
    """Truth of the given rows, and whether flagged, for one category and threshold."""
    scores = judged.probabilities[rows, column]
    # A model that does not know a category cannot be measured on it.
    truth = np.where(np.isnan(scores), np.nan, judged.truth[rows, column])
    flagged = np.nan_to_num(scores, nan=-1.0) >= threshold
    return truth, flagged


def _missing(tries: Sequence[Certificate]) -> tuple[str, str, int | None]:
    if not tries:
        return "not tried yet: hitl certify does", "not tried yet", None
    last = tries[-1]
    finding = last.finding
    if finding.shortfall is not None:
        more = finding.more_labels
        if more is None:
            return finding.shortfall, "the model must learn first", None
        kind = "violating items" if finding.metric == "recall" else "labels"
        return finding.shortfall, f"{more:,} more {kind}", more
    if last.withdrawn_at is not None:
        day = f"withdrawn on {last.withdrawn_at:%Y-%m-%d}"
        return f"{day}: {last.withdrawn_why}", day, None
    day = f"expired on {last.expires_at:%Y-%m-%d}"
    return f"{day}: hitl certify tries again", day, None
