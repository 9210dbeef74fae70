"""A model on a page, over real rows: what is drawn, from which labels, and what is said instead."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from flows.certify import certify
from flows.model_report import ModelOfAnotherPolicy, ModelReport, model_report
from flows.reporting.pages import write
from hitl import registry
from hitl.db import begin
from hitl.policy import Policy
from hitl.recipe import CertifyRecipe
from hitl.records import ModelVersion
from hitl.reports import as_html, as_markdown
from tests.flows.models import crown, judge, record_of, train
from tests.flows.test_certify import world
from tests.flows.worlds import fill, label_batch, text_of

pytestmark = pytest.mark.postgres

END = datetime.now(UTC) + timedelta(hours=1)
RULES = CertifyRecipe()


def of(
    engine: Engine, policy: Policy, *, version: ModelVersion | None = None, end: datetime = END,
    recipe: CertifyRecipe = RULES,
) -> ModelReport:  # fmt: skip
    return model_report(engine, policy=policy, recipe=recipe, end=end, version=version)


def test_a_champion_is_told_from_its_audited_decisions(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path)
    with begin(engine) as tx:
        tx.execute(text("UPDATE items SET language = '<b>$x$ | \\frac', surface = 'posts'"))
    certify(engine, policy=policy, recipe=RULES)

    report = of(engine, policy)

    assert {"live decisions"} == {one.source for one in report.pictured}
    hate = report.pictured[0]
    assert ["policy", "block from", "allow below"] == [one.name for one in hate.points]
    names = [one.name for one in report.page.pictures]
    assert ["reliability-hate", "curve-hate", "reliability-spam", "curve-spam"] == names[:4]
    assert {"obligations", "bought"} <= set(names)
    page = as_html(report.page)
    assert "approved by</td><td>ana on " in page
    assert "&lt;b&gt;$x$ |" in page
    assert "<b>" not in page
    assert "certified until" in page
    assert record_of(engine, report.model_version or ModelVersion("")).snapshot_id in page
    assert all(one.alt and one.svg.startswith("<?xml") for one in report.page.pictures)


def test_the_same_rows_give_the_same_bytes_and_no_content(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path, batches=4)

    first = write(of(engine, policy).page, tmp_path / "first", name="model")
    again = write(of(engine, policy).page, tmp_path / "again", name="model")

    for one in first.parent.iterdir():
        assert one.read_bytes() == (again.parent / one.name).read_bytes()
        assert text_of("i0") not in one.read_text()
        assert "grolk" not in one.read_text()


def test_a_challenger_is_told_from_the_test_side_that_the_gate_saw(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path)
    label_batch(engine, policy, batch_id="later", seed=99)
    made = train(engine, policy, tmp_path, seed=6)
    judge(engine, policy)

    report = of(engine, policy, version=made.model_version)

    assert {"test side"} == {one.source for one in report.pictured}
    assert [made.test_examples] * 2 == [one.n for one in report.pictured]
    page = as_markdown(report.page)
    assert "none of its live decisions was audited" in page
    assert "nobody: never promoted" in page
    assert "macro average precision over" in page


def test_a_model_whose_bundle_is_lost_is_told_without_its_pictures(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path)
    made = train(engine, policy, tmp_path, seed=6)
    shutil.rmtree(record_of(engine, made.model_version).path)

    report = of(engine, policy, version=made.model_version)

    page = as_markdown(report.page)
    assert {None} == {one.source for one in report.pictured}
    assert "The test side could not be asked" in page
    assert "hitl train --snapshot" in page
    assert "no\\_labels" in page
    assert "average precision" in page, "its stored figures are still told"


def test_too_few_events_are_a_code_and_what_it_takes(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    crown(engine, policy, tmp_path)

    report = of(engine, policy)

    assert {"too_few_events"} == {one.code for one in report.pictured}
    assert "ten unrelated items that violate" in as_markdown(report.page)


def test_without_a_champion_the_page_says_what_to_do(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)

    empty = of(engine, policy)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, tmp_path)
    trained = of(engine, policy)

    assert None is empty.model_version
    assert "hitl freeze" in as_html(empty.page)
    assert "Trained so far: 1, and none was promoted" in as_html(trained.page)


def test_what_does_not_exist_or_is_of_another_policy_is_refused(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path, batches=2)
    report = of(engine, policy)

    with pytest.raises(registry.UnknownModelVersion):
        of(engine, policy, version=ModelVersion("nobody"))
    with pytest.raises(ModelOfAnotherPolicy, match="HITL_POLICY"):
        of(engine, policy.model_copy(update={"name": "other"}), version=report.model_version)


def test_of_thresholds_by_language_none_is_drawn_on_the_curve_of_all(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path)
    by = CertifyRecipe(by="language")
    certify(engine, policy=policy, recipe=by)

    report = of(engine, policy, recipe=by)

    assert ["policy"] == [one.name for one in report.pictured[0].points]
    assert "Certified thresholds are by language" in as_markdown(report.page)
    assert {"unknown", "en"} & {one.subject.slice_value for one in report.promises}
