"""The weekly page over real rows: counts that can be counted again, and empty weeks in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from flows.certify import certify
from flows.rescore import rescore
from flows.weekly_report import weekly_report
from hitl.db import begin
from hitl.recipe import CertifyRecipe
from hitl.reports import as_html, as_markdown
from tests.flows.models import count
from tests.flows.test_certify import world
from tests.flows.worlds import fill

pytestmark = pytest.mark.postgres

SOON = datetime.now(UTC) + timedelta(hours=1)


def test_a_week_is_told_with_its_figures_and_events(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path)
    certify(engine, policy=policy, recipe=CertifyRecipe())
    rescore(engine, policy=policy)

    report = weekly_report(engine, policy=policy, end=SOON)

    assert report.work.opened == count(engine, "SELECT count(*) FROM entries")
    assert report.work.answered == count(
        engine, "SELECT count(*) FROM entries WHERE state = 'done'"
    )
    assert report.work.blocked == count(
        engine, "SELECT count(*) FROM decisions WHERE action = 'block'"
    )
    assert 0 < report.work.audits < report.work.answered
    assert 0 == report.work_before.opened
    words = [one.words for one in report.events]
    assert any(one.startswith("promoted ") and "approved by ana: a test" in one for one in words)
    assert any("certificate for hate precision of 0.9 from score" in one for one in words)
    page = as_html(report.page)
    assert "at least 90%" in page
    assert "<svg" in page
    assert "below 0." in page
    assert page == as_html(weekly_report(engine, policy=policy, end=SOON).page)
    today = weekly_report(engine, policy=policy, end=SOON, is_over=False)
    assert "not over yet" not in page
    assert "not over yet" in as_html(today.page)


def test_a_week_shows_obligations_and_what_the_last_labels_bought(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path)
    certify(engine, policy=policy, recipe=CertifyRecipe())
    with begin(engine) as tx:
        tx.execute(text("UPDATE annotations SET lead_seconds = 36"))

    report = weekly_report(engine, policy=policy, end=SOON)

    audits = count(engine, "SELECT count(*) FROM picks WHERE share = 'audit'")
    assert {
        ("hate", "precision"),
        ("hate", "recall"),
        ("spam", "precision"),
        ("spam", "recall"),
    } == {(one.subject.category, one.metric) for one in report.promises}
    assert any(one.certificate for one in report.promises)
    assert {100} == {one.bought.labels for one in report.gains}
    assert report.effort is not None
    assert (100, 100) == (report.effort.answers, report.effort.timed)
    assert report.effort.hours == pytest.approx(1.0)
    page = as_markdown(report.page)
    assert f"from {audits:,} audit labels" in page
    assert "What the last 100 labels bought" in page
    assert "certified until" in report.page.pictures[1].svg


def test_what_was_certified_after_the_week_does_not_stand_in_it(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path)
    before = datetime.now(UTC)
    certify(engine, policy=policy, recipe=CertifyRecipe())

    report = weekly_report(engine, policy=policy, end=before)

    assert {None} == {one.certificate for one in report.promises}
    assert "nothing: no certificate stands" in as_markdown(report.page)


def test_a_week_without_anything_says_so(engine: Engine) -> None:
    policy = fill(engine)

    report = weekly_report(engine, policy=policy, end=SOON)

    page = as_markdown(report.page)
    assert report.model_version is None
    assert "No model was promoted yet" in page
    assert "nothing: the policy has no obligation" in page
    assert "no promotion, rollback or certificate" in page
    assert "nothing could earn a certificate: label, then run hitl freeze" in page
    assert "No model was trained yet" in page
