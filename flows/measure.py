"""Step 9: what the decisions were worth, from the labels that may measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from hitl import logs
from hitl.db import begin, keep_policy
from hitl.evaluation import Estimate, EstimateTable, Kind, estimate_tables
from hitl.evaluation.store import (
    Judged,
    Measurement,
    deciding_models,
    read_audit,
    read_judged,
    record_measurements,
)
from hitl.policy import Policy
from hitl.records import ModelVersion

log = logs.get(__name__)

METRICS = ("prevalence", "precision", "recall")
KINDS: tuple[Kind, ...] = ("descriptive", "certified")
ANY = "any"


@dataclass(frozen=True, slots=True)
class MeasureReport:
    """The figures of a window, per model version, and how far the audit behind them has come.

    `answered` of `asked` audit entries have labels, `waiting` are still open, `lost` were closed
    without an answer. Without a model in `by_model`, none decided in the window on an audited item.
    """

    start: datetime
    end: datetime
    asked: int
    answered: int
    waiting: int
    lost: int
    by_model: dict[ModelVersion, tuple[Measurement, ...]]


def measure(engine: Engine, *, policy: Policy, start: datetime, end: datetime) -> MeasureReport:
    """Precision, recall and prevalence of what every model decided in a window.

    Only the audit measures: it alone is drawn whatever a model thinks. The same window measured
    again replaces its rows, because late labels belong to it.

    Raises:
        DatabaseUnavailable: Postgres is away; figures of models that were done are kept.
    """
    with begin(engine) as tx:
        keep_policy(tx, policy)
        audit = read_audit(tx, policy=policy)
        models = deciding_models(tx, policy=policy, start=start, end=end)
    by_model: dict[ModelVersion, tuple[Measurement, ...]] = {}
    for model_version in models:
        with begin(engine) as tx:
            judged = read_judged(
                tx,
                policy=policy,
                audit=audit,
                model_version=model_version,
                start=start,
                end=end,
            )
            found = tuple(_measurements(judged, policy))
            record_measurements(
                tx, found, policy=policy, model_version=model_version, start=start, end=end
            )
        by_model[model_version] = found
        log.info("measured", model_version=model_version, labels=len(judged), figures=len(found))
    return MeasureReport(
        start=start,
        end=end,
        asked=sum(one.asked for one in audit.draws),
        answered=sum(one.answered for one in audit.draws),
        waiting=audit.waiting,
        lost=audit.lost,
        by_model=by_model,
    )


def _measurements(judged: Judged, policy: Policy) -> Iterator[Measurement]:
    asked = list(questions(judged, policy))
    if not asked:
        return
    slicings = (
        ("", np.full(len(judged), "", dtype=object), [""]),
        ("surface", judged.surface, sorted(set(judged.surface.tolist()))),
        ("language", judged.language, sorted(set(judged.language.tolist()))),
    )
    tables = [
        (slice_name, values, list(_tables(judged, asked, of_item, values)))
        for slice_name, of_item, values in slicings
    ]
    for column, (category, _, _) in enumerate(asked):
        for slice_name, values, found in tables:
            for group, value in enumerate(values):
                for table in found:
                    one = table.at(group, column)
                    yield _measurement(one, table.kind, category, slice_name, value)


def _tables(
    judged: Judged,
    asked: Sequence[tuple[str, NDArray[np.float64], NDArray[np.bool_]]],
    of_item: NDArray[Any],
    values: Sequence[str],
) -> Iterator[EstimateTable]:
    """Metric by metric, each kind of interval: slices by questions."""
    number = {value: k for k, value in enumerate(values)}
    by_kind = [
        estimate_tables(
            METRICS,
            truth=np.stack([truth for _, truth, _ in asked], axis=1),
            flagged=np.stack([flagged for _, _, flagged in asked], axis=1),
            inclusion_probability=judged.inclusion_probability,
            variance_weight=judged.variance_weight,
            groups=np.array([number[one] for one in of_item.tolist()], dtype=np.int64),
            size=len(values),
            kind=kind,
            largest_weight=judged.largest_weight,
            flagged_as_drawn=judged.is_allocated,
        )
        for kind in KINDS
    ]
    for one_metric in zip(*by_kind, strict=True):
        yield from one_metric


def questions(
    judged: Judged, policy: Policy
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.bool_]]]:
    """Each category, then whether the item violates anything: (name, truth (N,), flagged (N,))."""
    thresholds = np.array([one.threshold for one in policy.category])
    known = ~np.isnan(judged.probabilities)
    flags = np.logical_and(known, np.where(known, judged.probabilities, 0.0) >= thresholds)
    for k, category in enumerate(policy.category_ids):
        # A model that does not know a category cannot be measured on it.
        truth = np.where(known[:, k], judged.truth[:, k], np.nan)
        if known[:, k].any() or not len(judged):
            yield category, truth, flags[:, k]
    # Only items with an answer to everything. One yes would be enough to know of a violation, but
    # then partly answered items would count if they violate and be left out if not.
    answered = ~np.isnan(judged.truth).any(axis=1)
    violates = (judged.truth > 0).any(axis=1)
    truth = np.where(answered, violates.astype(np.float64), np.nan)
    yield ANY, truth, np.any(flags, axis=1)


def _measurement(
    found: Estimate, kind: Kind, category: str, slice_name: str, slice_value: str
) -> Measurement:
    return Measurement(
        metric=found.metric,
        category=category,
        slice_name=slice_name,
        slice_value=slice_value,
        kind=kind,
        value=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        n_effective=found.n_effective,
        code=found.code,
        method=found.method,
        unstable=found.unstable,
    )
