"""How many more audit labels the promised figures need, in labels, reviewer hours and days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from flows.certify import slices
from flows.measuring.window import judged_since
from flows.rescore import champion_of
from hitl import decisions, evaluation
from hitl.db import begin
from hitl.evaluation import Forecast
from hitl.evaluation.pace.store import Pace, read_pace
from hitl.evaluation.store import Judged
from hitl.policy import Policy
from hitl.recipe import CertifyRecipe
from hitl.records import ModelVersion

PACE_DAYS = 28
BAND = 0.8


@dataclass(frozen=True, slots=True)
class Expected:
    """One figure, and when its interval will be as narrow as asked.

    `more` audit labels, over all of the policy, give it: `low` to `high` in eight futures of ten,
    None where that is farther than can be told. `hours` are reviewer hours. `on` is the day, from
    `earliest` to `latest`, at the pace of the last four weeks.
    """

    category: str
    slice_name: str
    slice_value: str
    metric: str
    value: float | None
    half_width: float | None
    code: str | None
    more: int | None
    low: int | None
    high: int | None
    hours: float | None
    on: date | None
    earliest: date | None
    latest: date | None


@dataclass(frozen=True, slots=True)
class ForecastReport:
    """What is promised, or every category where nothing is; by the champion's decisions."""

    model_version: ModelVersion
    within: float
    labels: int
    labels_a_day: float
    seconds_a_label: float | None
    expected: tuple[Expected, ...]


def forecast(
    engine: Engine, *, policy: Policy, recipe: CertifyRecipe, within: float, seed: int
) -> ForecastReport:
    """Forecast each obligation's metric, by slice where thresholds go by one. Reads only.

    Raises:
        NoChampion: nothing was promoted yet.
        BadLevel: `within` is no half width.
        DatabaseUnavailable: Postgres is away.
    """
    with begin(engine) as tx:
        champion = champion_of(tx, policy)
        now = decisions.database_clock(tx)
        judged = judged_since(
            tx,
            policy=policy,
            model_version=champion.model_version,
            start=now - timedelta(days=recipe.window_days),
            end=now,
        )
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        pace = read_pace(
            tx,
            policy=policy,
            first=midnight - timedelta(days=PACE_DAYS),
            last=midnight - timedelta(days=1),
        )
    expected = tuple(
        _expected(judged, rows, policy, k, metric, (recipe.by, value), pace, now, within, seed)
        for k, metric in (
            (policy.category_ids.index(category), metric) for category, metric in policy.aims
        )
        for value, rows in slices(judged, recipe.by)
    )
    return ForecastReport(
        champion.model_version,
        within,
        len(judged),
        sum(pace.a_day) / len(pace.a_day),
        pace.seconds,
        expected,
    )


def _expected(
    judged: Judged,
    rows: NDArray[np.bool_],
    policy: Policy,
    k: int,
    metric: str,
    where: tuple[str, str],
    pace: Pace,
    now: datetime,
    within: float,
    seed: int,
) -> Expected:
    scores = judged.probabilities[:, k]
    known = rows & ~np.isnan(scores)
    told = evaluation.forecast_labels(
        metric,
        truth=judged.truth[known, k],
        flagged=scores[known] >= policy.category[k].threshold,
        inclusion_probability=judged.inclusion_probability[known],
        variance_weight=judged.variance_weight[known],
        largest_weight=judged.largest_weight,
        largest_flagged=judged.largest_from(k, policy.category[k].threshold),
        within=within,
        band=BAND,
        seed=seed,
    )
    # Of all audit labels so many fall into this slice.
    share = max(told.n, 1) / max(len(judged), 1)
    low, more, high = (_more(labels, told, share) for labels in (told.low, told.labels, told.high))
    days = [
        None if labels is None else evaluation.days_needed(labels, pace.a_day, band=BAND, seed=seed)
        for labels in (low, more, high)
    ]
    today = now.date()

    def day(place: int, part: int) -> date | None:
        found = days[place]
        return None if found is None else today + timedelta(days=found[part])

    return Expected(
        policy.category[k].id,
        *where,
        metric,
        told.value,
        told.half_width,
        told.code,
        more,
        low,
        high,
        None if more is None or pace.seconds is None else more * pace.seconds / 3600.0,
        on=day(1, 1),
        earliest=day(0, 0),
        latest=day(2, 2),
    )


def _more(labels: float | None, told: Forecast, share: float) -> int | None:
    return None if labels is None else int(np.ceil(max(labels - told.n, 0.0) / share))
