"""What the newest audit labels bought, and what each training did, with the luck in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flows.reporting.obligations import Promise, answers_at
from hitl.evaluation import Bought, bought
from hitl.evaluation.store import Judged
from hitl.policy import Policy
from hitl.records import ItemId
from hitl.reports import AnswerTimes, Training

NEWEST = 100
FEWEST = 10
"""Fewer new labels than this change nothing that could be told."""
MOST_SECONDS = 1800.0
"""Nobody looks at one item for longer: the page was left open."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What the newest labels did to one metric of a category's decisions from `threshold` on."""

    category: str
    metric: str
    threshold: float
    bought: Bought


@dataclass(frozen=True, slots=True)
class Effort:
    """Reviewers' time behind some labels. `hours` adds what is known: `timed` of `answers`; None
    where none says how long it took. `cut` answers counted as half an hour."""

    answers: int
    timed: int
    hours: float | None
    median_seconds: float | None
    cut: int


@dataclass(frozen=True, slots=True)
class Step:
    """One training against the champion of its time, on the same items: how much mean average
    precision changed, with one-sided bounds; and what that comes to."""

    model_version: str
    beside: str | None
    more_examples: int | None
    change: float | None
    low: float | None
    high: float | None
    n: int | None
    outcome: str


def newest_rows(judged: Judged, *, newest: int = NEWEST) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Shape (N,): which of the audit labels came last. At most half, so that some remain."""
    wanted = min(newest, len(judged) // 2)
    rows = np.zeros(len(judged), dtype=np.bool_)
    if wanted >= FEWEST:
        order = sorted(
            range(len(judged)), key=lambda at: (judged.answered_at[at], str(judged.item_ids[at]))
        )
        rows[order[-wanted:]] = True
    return rows


def newest_items(judged: Judged) -> list[ItemId]:
    """The items of `newest_rows`."""
    return [ItemId(str(one)) for one in judged.item_ids[newest_rows(judged)]]


def gains_of(
    judged: Judged, promises: Sequence[Promise], *, policy: Policy, seed: int
) -> tuple[Gain, ...]:
    """What the newest labels did to every obligation over all items, where it is measured.

    Without an obligation to every category's precision and recall at the policy's threshold.
    Empty: there are too few labels to ask.
    """
    is_new = newest_rows(judged)
    if not is_new.any():
        return ()
    overall = {
        (one.subject.category, one.metric): one.threshold
        for one in promises
        if not one.subject.slice_name
    }
    asked = overall or {
        (one.id, metric): one.threshold
        for one in policy.category
        for metric in ("precision", "recall")
    }
    everything = np.ones(len(judged), dtype=np.bool_)
    found = []
    for (category, metric), threshold in asked.items():
        column = policy.category_ids.index(category)
        truth, flagged = answers_at(judged, column, threshold, everything)
        one = bought(
            metric,
            truth=truth,
            flagged=flagged,
            inclusion_probability=judged.inclusion_probability,
            variance_weight=judged.variance_weight,
            is_new=is_new,
            largest_weight=judged.largest_weight,
            largest_flagged=judged.largest_from(column, threshold),
            seed=seed,
        )
        found.append(Gain(category, metric, threshold, one))
    return tuple(found)


def effort_of(times: AnswerTimes) -> Effort:
    """Hours, of answers that say how long they took; none counts for more than half an hour."""
    seconds = np.asarray(times.seconds, dtype=np.float64)
    seconds = seconds[np.isfinite(seconds) & (seconds >= 0.0)]
    if not len(seconds):
        return Effort(times.answers, 0, None, None, 0)
    return Effort(
        answers=times.answers,
        timed=len(seconds),
        hours=float(np.minimum(seconds, MOST_SECONDS).sum() / 3600.0),
        median_seconds=float(np.median(seconds)),
        cut=int(np.count_nonzero(seconds > MOST_SECONDS)),
    )


def steps_of(trained: Sequence[Training]) -> tuple[Step, ...]:
    """Of each training that met a champion at the gate, what it changed; in the order given."""
    examples = {one.model_version: one.training_examples for one in trained}
    found = []
    for one in trained:
        rule: Any = next((dict(r) for r in one.reasons if r.get("rule") == "macro"), {})
        if one.beside is None or rule.get("value") is None:
            continue
        own, other = one.training_examples, examples.get(one.beside)
        more = None if own is None or other is None else own - other
        low, high = rule.get("low"), rule.get("high")
        outcome = "cannot_tell"
        if low is not None and low > 0.0:
            outcome = "better"
        elif high is not None and high < 0.0:
            outcome = "worse"
        found.append(
            Step(one.model_version, one.beside, more, rule["value"], low, high, rule.get("n"),
                 outcome)
        )  # fmt: skip
    return tuple(found)
