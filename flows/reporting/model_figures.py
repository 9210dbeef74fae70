"""A model's figures in tables: by category, and by slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flows.judging.examples import OTHER, largest
from flows.measuring.window import largest_flagged, questions
from flows.reporting.model_evidence import Evidence
from flows.reporting.wording import Told, as_number, as_share, counted, limits, listed, place
from hitl import registry
from hitl.evaluation import MACRO, EstimateTable, Kind, estimate_tables
from hitl.evaluation.store import Judged
from hitl.policy import Policy
from hitl.reports import Block, Grid, Heading, Words

SLICINGS = ("language", "surface")
MOST_SLICES = 12
_CALIBRATION = ("average_precision", "negative_log_likelihood", "brier", "calibration_error")
_DECISIONS = ("prevalence", "precision", "recall")
_TITLES = {"prevalence": "violates", "precision": "precision", "recall": "recall"}


Flags = NDArray[np.bool_]
Questions = Sequence[tuple[str, NDArray[np.float64], Flags]]
_Row = tuple[str, str, tuple[Told, Told]]


def figures_blocks(
    measures: Mapping[str, Mapping[str, registry.Measure]],
    evidence: Evidence,
    judged: Judged,
    *,
    policy: Policy,
) -> Iterator[Block]:
    """How well it orders, how honest its probabilities are, and what its decisions are worth."""
    yield Heading("Ordering and calibration")
    yield Words(
        "Average precision: how much of the top of its list violates, over all thresholds (1 is "
        "perfect). NLL and Brier: how far probabilities are from what was true, 0 is perfect and "
        "only models on the same items compare. ECE: the mean distance between said and true; "
        "chance alone makes it larger than 0."
    )
    yield Grid(
        ("category", "average precision", "NLL", "Brier", "ECE", "n (violating)", "labels from"),
        [
            _measure_row(one, measures[one], evidence)
            for one in policy.category_ids
            if one in measures
        ],
        empty="nothing was measured yet: audit labels on its decisions, or a test side, are needed",
    )
    yield Heading("What its decisions are worth")
    yield Words("At the policy's thresholds, estimated for all that it decided in the window.")
    yield Grid(
        ("category", "metric", "estimate", "interval to promise by", "n", "effective n"),
        list(_decision_rows(judged, policy)),
        empty="no audit label on a decision of this model in the window: the champion's are "
        "audited as hitl rescore and hitl select go on",
    )


def _measure_row(
    category: str, by_metric: Mapping[str, registry.Measure], evidence: Evidence
) -> tuple[str, ...]:
    first = next(iter(by_metric.values()))
    source = evidence.by_category.get(category)
    return (
        category,
        *(as_number(by_metric.get(metric)) for metric in _CALIBRATION),
        f"{first.n:,} ({first.n_positive:,})",
        source.source if source else "test side",
    )


def _decision_rows(judged: Judged, policy: Policy) -> Iterator[tuple[str, ...]]:
    if not len(judged):
        return
    asked = list(questions(judged, policy))
    everywhere = np.zeros(len(judged), dtype=np.int64)
    likely = _tables(judged, asked, everywhere, 1, "descriptive", policy=policy)
    sure = _tables(judged, asked, everywhere, 1, "certified", policy=policy)
    for column, (category, _, _) in enumerate(asked):
        for metric in _DECISIONS:
            one, by = likely[metric].at(0, column), sure[metric].at(0, column)
            effective = "-" if one.n_effective is None else f"{one.n_effective:,.0f}"
            yield (
                category, _TITLES[metric], as_share(one), limits(by.low, by.high),
                f"{one.n:,}", effective,
            )  # fmt: skip


def _tables(
    judged: Judged,
    asked: Questions,
    groups: NDArray[np.int64],
    size: int,
    kind: Kind,
    *,
    policy: Policy,
) -> dict[str, EstimateTable]:
    return {
        one.metric: one
        for one in estimate_tables(
            _DECISIONS,
            truth=np.stack([truth for _, truth, _ in asked], axis=1),
            flagged=np.stack([flagged for _, _, flagged in asked], axis=1),
            inclusion_probability=judged.inclusion_probability,
            variance_weight=judged.variance_weight,
            groups=groups,
            size=size,
            kind=kind,
            largest_weight=judged.largest_weight,
            largest_flagged=largest_flagged(judged, asked, policy),
        )
    }


def slices_blocks(
    judged: Judged, stored: Sequence[registry.Figure], *, policy: Policy
) -> Iterator[Block]:
    """Precision and recall by language and surface, and what has too few labels for a number."""
    yield Heading("By language and surface")
    if len(judged):
        rows: list[_Row] = list(_live_slices(judged, policy))
        words = (
            "Of live decisions, at the policy's thresholds. n counts what is flagged (precision) "
            "and what violates (recall)."
        )
    else:
        rows = list(_stored_slices(stored))
        words = (
            "Of the test side, each item once: none of its live decisions was audited. n counts "
            "labels."
        )
    told = [row for row in rows if any(one.value is not None for one in row[2])]
    yield Words(words)
    yield Grid(
        ("where", "category", "precision", "n", "recall", "n"),
        [
            (where, category, as_share(precision), counted(precision), as_share(recall),
             counted(recall))
            for where, category, (precision, recall) in told
        ],
        empty="no slice has enough labels for a number",
    )  # fmt: skip
    silent: dict[str, list[str]] = {}
    for where, category, _ in (row for row in rows if row not in told):
        silent.setdefault(where, []).append(category)
    if silent:
        yield Words(
            "Too few labels to say (under ten flagged and under ten violating items): "
            + "; ".join(
                f"{where}: {listed(of)}" for where, of in list(silent.items())[:MOST_SLICES]
            )
            + (f"; and {len(silent) - MOST_SLICES} more" if len(silent) > MOST_SLICES else "")
            + "."
        )


def _live_slices(judged: Judged, policy: Policy) -> Iterator[_Row]:
    asked = list(questions(judged, policy))
    for slicing in SLICINGS:
        values = largest(getattr(judged, slicing).tolist(), limit=MOST_SLICES)
        names = sorted(set(values), key=lambda one: (one == OTHER, one))
        number = {name: k for k, name in enumerate(names)}
        groups = np.array([number[one] for one in values], dtype=np.int64)
        tables = _tables(judged, asked, groups, len(names), "descriptive", policy=policy)
        for name, group in number.items():
            for column, (category, _, _) in enumerate(asked):
                pair = (tables["precision"].at(group, column), tables["recall"].at(group, column))
                yield place(slicing, name), category, pair


def _stored_slices(stored: Sequence[registry.Figure]) -> Iterator[_Row]:
    by_key = {
        (one.slice_name, one.slice_value, one.category, one.metric): one
        for one in stored
        if one.slice_name and one.category != MACRO
    }
    for slice_name, value, category, metric in by_key:
        recall = by_key.get((slice_name, value, category, "recall"))
        if metric == "precision" and recall is not None:
            pair = (by_key[slice_name, value, category, metric], recall)
            yield place(slice_name, value), category, pair
