"""What `hitl drift`, `hitl alarms` and `hitl retrain` say to a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from flows import steps
from flows.cli import app, monitoring
from flows.decide_retrain import RetrainReport
from flows.watch_drift import DriftReport, watch_drift
from hitl.db import begin
from hitl.evaluation import About, RetrainRule, Shift, ShiftKind, Why
from hitl.recipe import DriftRecipe
from tests.builders import NOON, add_policy, make_policy
from tests.flows.test_watch_drift import meaner
from tests.flows.traffic import MIDNIGHT, flow_in

MOVED = Shift(
    About(ShiftKind.SCORES, "hate", "language", "de", "m1"), 4000, 1000,
    statistic=0.31, bar=0.1, p_value=2e-9, level=7e-5, effect=0.124, low=0.1, high=0.15,
)  # fmt: skip
UNSAID = Shift(About(ShiftKind.LABELS, "hate", model_version="m1"), 9, 9, code="too_few_items")
LOOK = DriftReport(
    NOON - timedelta(days=35), NOON - timedelta(days=7), NOON, (4000, 1000), 1.0,
    (UNSAID, MOVED), raised=1, lasting=0, ended=2, standing=(),
)  # fmt: skip
DECIDED = RetrainReport(
    None, True, (Why(RetrainRule.LABELS, True, "240 labels since"),
                 Why(RetrainRule.AGE, False, "2 days old")), 240, NOON, True,
)  # fmt: skip


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


def run(*command: str) -> str:
    done = CliRunner().invoke(app, list(command), env={"COLUMNS": "160"})
    assert 0 == done.exit_code, done.output
    return done.output


def test_a_look_shows_what_moved_and_how_much_could_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(monitoring, "open_world", _nothing)
    monkeypatch.setattr(steps, "watch_drift", lambda world, **_: LOOK)

    said = run("drift")
    told = json.loads(run("drift", "--json"))

    assert "1 of 2 questions could be answered" in said
    assert "language de" in said
    assert "+0.124 (+0.100 to +0.150)" in said
    assert "1 raised, 2 ended, 0 stand" in said
    assert ["too_few_items", None] == [one["code"] for one in told["shifts"]]
    assert [None, 0.31] == [one["statistic"] for one in told["shifts"]]


def test_a_day_is_meant_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def look(world: Any, **more: Any) -> DriftReport:
        given.update(more)
        return LOOK

    monkeypatch.setattr(monitoring, "open_world", _nothing)
    monkeypatch.setattr(steps, "watch_drift", look)

    run("drift", "--end", "2026-06-01", "--no-embeddings")

    assert (MIDNIGHT, False) == (given["end"], given["embeddings"])


def test_a_decision_shows_every_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "open_world", _nothing)
    monkeypatch.setattr(steps, "decide_retrain", lambda world, **_: DECIDED)

    said = run("retrain")

    assert "train, decided 2026-06-01 12:00 UTC" in said
    assert "240 labels since" in said
    assert "2 days old" in said
    assert json.loads(run("retrain", "--json"))["retrain"]


@pytest.mark.postgres
def test_alarms_are_listed_and_acknowledged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begin(engine) as tx:
        policy = add_policy(tx, make_policy())

    @contextmanager
    def world() -> Iterator[Any]:
        yield SimpleNamespace(engine=engine, policy=policy)

    monkeypatch.setattr(monitoring, "open_world", world)
    assert "no alarm stands" in run("alarms")
    flow_in(engine, days=range(-35, 5), make=meaner)
    report = watch_drift(
        engine, policy=policy, recipe=DriftRecipe(), embeddings=False,
        end=MIDNIGHT + timedelta(days=5),
    )  # fmt: skip
    first = report.standing[0].alarm_id

    said = run("alarms", "--acknowledge", str(first), "--by", "ana", "--note", "announced")
    told = json.loads(run("alarms", "--json"))
    again = CliRunner().invoke(app, ["alarms", "--acknowledge", str(first), "--by", "ben"])

    assert "scores hate" in said
    assert "noted by ana" in said
    assert ["announced"] == [one["note"] for one in told if one["alarm_id"] == first]
    assert 1 == again.exit_code
