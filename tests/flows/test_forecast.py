"""What a forecast reads of the loop, and what it says to a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from flows import steps
from flows.cli import app, certificates
from flows.forecast import Expected, ForecastReport, forecast
from flows.rescore import NoChampion
from hitl.db import begin
from hitl.evaluation.pace.store import read_pace
from hitl.policy import Obligation, Policy
from hitl.recipe import CertifyRecipe
from hitl.records import ModelVersion
from tests.flows.test_certify import promising, world
from tests.flows.worlds import fill


def told(engine: Engine, policy: Policy, within: float = 0.02) -> ForecastReport:
    return forecast(engine, policy=policy, recipe=CertifyRecipe(), within=within, seed=1)


@pytest.mark.postgres
def test_a_policy_that_promises_one_metric_is_told_of_one(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path, batches=4, hate=Obligation(recall=0.8, confidence=0.9))
    report = told(engine, policy)

    [one] = report.expected
    assert ("hate", "recall") == (one.category, one.metric)
    assert report.labels == 192
    # All labels are of today, and today is not over: there is no pace yet.
    assert report.labels_a_day == 0
    assert one.on is None


@pytest.mark.postgres
def test_the_pace_counts_whole_days_and_those_without_labels(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path, batches=2)
    with begin(engine) as tx:
        now = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        pace = read_pace(tx, policy=policy, first=today - timedelta(days=3), last=today)

    assert (0, 0, 0, 96) == pace.a_day
    assert pace.seconds is None or pace.seconds > 0


@pytest.mark.postgres
def test_before_a_champion_there_is_nothing_to_forecast(engine: Engine) -> None:
    policy = promising(fill(engine))
    with pytest.raises(NoChampion):
        told(engine, policy)


def test_a_person_reads_labels_hours_and_days(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nothing() -> Iterator[None]:
        yield None

    day = date(2026, 12, 1)
    found = ForecastReport(
        ModelVersion("m1"), 0.05, 400, 20.0, 9.0,
        (
            Expected(
                "hate", "", "", "recall", 0.81, 0.09, None, 900, 700, 1300, 2.25,
                day, day - timedelta(days=9), day + timedelta(days=20),
            ),
            Expected("spam", "language", "pt", "precision", None, None, "too_few_events",
                     None, None, None, None, None, None, None),
            Expected("hate", "language", "pt", "recall", 0.8, 0.3, "too_far",
                     None, 9000, None, None, None, day, None),
        ),
    )  # fmt: skip
    monkeypatch.setattr(certificates, "open_world", nothing)
    monkeypatch.setattr(steps, "forecast", lambda world, **_: found)

    done = CliRunner().invoke(app, ["forecast"], env={"COLUMNS": "200"})

    assert 0 == done.exit_code, done.output
    for words in (
        "0.810 ±0.090", "900", "700 to 1,300", "2.2", "(2026-11-22 to", "2026-12-21)",
        "too_few_events", "too far", "9,000 to more than",
    ):  # fmt: skip
        assert words in done.output

    as_json = CliRunner().invoke(app, ["forecast", "--json"])

    assert 0 == as_json.exit_code, as_json.output
    assert "2026-12-01" == json.loads(as_json.output)["expected"][0]["on"]
