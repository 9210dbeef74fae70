"""Step 9: what the decisions were worth, from the labels that may measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine

from flows.measuring.window import (
    ANY,
    Question,
    Slicing,
    Window,
    known_counts,
    largest_flagged,
    questions,
    read_window,
    slicings,
)
from hitl import logs
from hitl.db import begin, keep_policy
from hitl.evaluation import (
    METRICS,
    Estimate,
    EstimateTable,
    Interval,
    Kind,
    Rate,
    estimate_tables,
    wilson,
    without_reviewer_error,
)
from hitl.evaluation.measurements import Measurement, record_measurements
from hitl.evaluation.store import deciding_models, read_audit
from hitl.evaluation.window import Response
from hitl.policy import Policy
from hitl.recipe import KnownAnswers, MeasureRecipe
from hitl.records import ModelVersion

log = logs.get(__name__)

KINDS: tuple[Kind, ...] = ("descriptive", "certified")
BY_VIEWS = "prevalence_views"
CORRECTED = "prevalence_corrected"
RESPONSE = "response"
LEAST_ASKED = 10


@dataclass(frozen=True, slots=True)
class MeasureReport:
    """The figures of a window, per model version, and how far the audit behind them has come.

    `answered` of `asked` audit entries have labels, `waiting` are still open, `lost` were closed
    without an answer. Without a model in `by_model`, none decided in the window on an audited item.
    `responses`: who answers, by score and slice, of what each model decided on.
    """

    start: datetime
    end: datetime
    asked: int
    answered: int
    waiting: int
    lost: int
    by_model: dict[ModelVersion, tuple[Measurement, ...]]
    responses: dict[ModelVersion, tuple[Response, ...]]


def measure(
    engine: Engine,
    *,
    policy: Policy,
    start: datetime,
    end: datetime,
    rules: MeasureRecipe | None = None,
) -> MeasureReport:
    """All online metrics of what every model decided in a window.

    Only the audit measures: it alone is drawn whatever a model thinks. The same window measured
    again replaces its rows, because late labels belong to it.

    Raises:
        DatabaseUnavailable: Postgres is away; figures of models that were done are kept.
    """
    rules = rules or MeasureRecipe()
    with begin(engine) as tx:
        keep_policy(tx, policy)
        audit = read_audit(tx, policy=policy)
        models = deciding_models(tx, policy=policy, start=start, end=end)
    by_model: dict[ModelVersion, tuple[Measurement, ...]] = {}
    responses: dict[ModelVersion, tuple[Response, ...]] = {}
    for model_version in models:
        with begin(engine) as tx:
            window = read_window(
                tx,
                policy=policy,
                audit=audit,
                model_version=model_version,
                start=start,
                end=end,
                identity_terms=rules.identity_terms,
            )
            found = tuple(_measurements(window, policy, rules))
            record_measurements(
                tx, found, policy=policy, model_version=model_version, start=start, end=end
            )
        by_model[model_version] = found
        responses[model_version] = window.responses.cells
        log.info(
            "measured", model_version=model_version, labels=len(window.judged), figures=len(found)
        )
    return MeasureReport(
        start=start,
        end=end,
        asked=sum(one.asked for one in audit.draws),
        answered=sum(one.answered for one in audit.draws),
        waiting=audit.waiting,
        lost=audit.lost,
        by_model=by_model,
        responses=responses,
    )


def _measurements(window: Window, policy: Policy, rules: MeasureRecipe) -> Iterator[Measurement]:
    asked = list(questions(window.judged, policy))
    if not asked:
        return
    known = {one.category: one for one in rules.known_answers}
    tables = [(one, list(_tables(window, asked, one, policy))) for one in slicings(window)]
    for column, (category, _, _) in enumerate(asked):
        for slicing, found in tables:
            for group, value in enumerate(slicing.values):
                for name, table in found:
                    one = table.at(group, column)
                    yield _measurement(one, name, table.kind, category, slicing.name, value)
                    if (name, table.kind, slicing.name) == ("prevalence", "descriptive", ""):
                        yield _corrected(one, category, known.get(category))
    yield from _responses(window.responses.cells)


def _tables(
    window: Window, asked: Sequence[Question], slicing: Slicing, policy: Policy
) -> Iterator[tuple[str, EstimateTable]]:
    """Metric by metric, each kind of interval: slices by questions; then prevalence by views."""
    judged, rows = window.judged, slicing.rows
    truth = np.stack([truth for _, truth, _ in asked], axis=1)[rows]
    flagged = np.stack([flagged for _, _, flagged in asked], axis=1)[rows]
    given: dict[str, Any] = {
        "truth": truth,
        "flagged": flagged,
        "inclusion_probability": judged.inclusion_probability[rows],
        "variance_weight": judged.variance_weight[rows],
        "groups": slicing.group,
        "size": len(slicing.values),
    }
    strata = known_counts(window.flags, slicing, asked, policy)
    of_flagged = largest_flagged(judged, asked, policy)
    by_kind = [
        estimate_tables(
            METRICS,
            **given,
            kind=kind,
            largest_weight=judged.largest_weight,
            post_strata=strata if kind == "descriptive" else None,
            largest_flagged=of_flagged,
        )
        for kind in KINDS
    ]
    for tables in zip(*by_kind, strict=True):
        yield from ((table.metric, table) for table in tables)
    views = judged.views[rows]
    # An item that nobody drew could be the one that most people see.
    most = max(window.most_views or 0.0, float(np.nanmax(views, initial=0.0)))
    for kind in KINDS:
        [table] = estimate_tables(
            ["prevalence"],
            **given,
            kind=kind,
            amounts=views,
            largest_weight=judged.largest_weight and judged.largest_weight * most,
        )
        # Labels there are; what is missing is how many people see the items.
        code = np.where(table.code == "no_labels", "no_views", table.code)
        yield BY_VIEWS, replace(table, code=code)


def _corrected(apparent: Estimate, category: str, known: KnownAnswers | None) -> Measurement:
    """Prevalence without the reviewers' errors, as their known answers show these."""
    value = low = high = None
    code = apparent.code or "no_gold"
    if known is not None and apparent.value is not None:
        found = without_reviewer_error(
            Rate(apparent.value, apparent.n_effective or apparent.n),
            sensitivity=Rate(known.found / known.violating, known.violating),
            specificity=Rate(known.cleared / known.innocent, known.innocent),
            limits=_certified_limits(apparent),
            confidence=apparent.confidence,
        )
        value, low, high, code = found.value, found.low, found.high, found.code or ""
    return Measurement(
        metric=CORRECTED, category=category, slice_name="", slice_value="", kind="descriptive",
        value=value, low=low, high=high, n=apparent.n, n_effective=apparent.n_effective,
        code=code or None, method="rogan-gladen",
        unstable=value is not None and apparent.unstable,
    )  # fmt: skip


def _certified_limits(of: Estimate) -> Interval | None:
    """Of an unstable figure: its effective n does not say how sure it is."""
    if not of.unstable or of.low is None or of.high is None:
        return None
    return Interval(of.low, of.high)


def _responses(cells: Sequence[Response]) -> Iterator[Measurement]:
    """Of what was asked, how much is answered: in all, and in each cell."""
    rows = [("", "", sum(one.asked for one in cells), sum(one.answered for one in cells))]
    rows += [("asked", str(one), one.asked, one.answered) for one in cells]
    for slice_name, slice_value, asked, answered in rows:
        value = low = high = None
        if asked >= LEAST_ASKED:
            value = answered / asked
            low, high = wilson(value, asked)
        yield Measurement(
            metric=RESPONSE, category=ANY, slice_name=slice_name, slice_value=slice_value,
            kind="descriptive", value=value, low=low, high=high, n=asked,
            n_effective=None if value is None else float(asked),
            code="too_few_events" if value is None else None, method="wilson",
        )  # fmt: skip


def _measurement(
    found: Estimate, metric: str, kind: Kind, category: str, slice_name: str, slice_value: str
) -> Measurement:
    return Measurement(
        metric=metric,
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
