"""The fairness page over real rows: what is told, what is not, and the same bytes again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from flows.cli.report import write
from flows.fairness_report import FairnessReport, fairness_report
from flows.rescore import NoChampion, rescore
from hitl.db import begin
from hitl.policy import Policy
from hitl.recipe import MeasureRecipe
from hitl.reports import as_html
from tests.builders import NOON
from tests.flows.models import crown, train
from tests.flows.worlds import fill, label_batch

pytestmark = pytest.mark.postgres

END = datetime.now(UTC) + timedelta(days=1)


def world(engine: Engine, folder: Path, *, batches: int = 4) -> Policy:
    policy = fill(engine, items=1400)
    with begin(engine) as tx:
        tx.execute(
            text(
                "UPDATE items SET language = CASE WHEN hashtext(item_id) % 3 = 0 THEN 'de' "
                "ELSE 'en' END, surface = 'posts|<b>'"
            )
        )
    for k in range(batches):
        label_batch(engine, policy, batch_id=f"b{k}", seed=k)
    train(engine, policy, folder)
    crown(engine, policy, folder)
    rescore(engine, policy=policy)
    return policy


def of(engine: Engine, policy: Policy) -> FairnessReport:
    return fairness_report(engine, policy=policy, start=NOON, end=END)


def test_languages_are_compared_and_what_cannot_be_told_is_listed(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path)

    report = of(engine, policy)

    compared = {(category, gap.slice_value) for category, gap in report.gaps}
    assert {("hate", "de"), ("hate", "en"), ("any", "de")} <= compared
    assert {"language"} == {gap.slice_name for _, gap in report.gaps}, "one surface has no rest"
    told = [gap for _, gap in report.gaps if gap.verdict != "insufficient_evidence"]
    assert told
    page = as_html(report.page)
    assert "no gap shown" in page
    assert "fair." not in page
    assert page == as_html(of(engine, policy).page), "the same rows give the same bytes"
    written = write(report.page, tmp_path / "reports", name="fairness")
    assert {"fairness.html", "fairness.md", "gaps.svg"} == {
        one.name for one in written.parent.iterdir()
    }


def test_markets_and_whom_content_speaks_of_are_compared_too(
    engine: Engine, tmp_path: Path
) -> None:
    policy = world(engine, tmp_path)
    with begin(engine) as tx:
        tx.execute(text("UPDATE items SET market = 'BR' WHERE hashtext(item_id) % 2 = 0"))
    rules = MeasureRecipe(identity_terms={"gardeners": ("GARDEN",), "nobody": ("zebra",)})

    report = fairness_report(engine, policy=policy, start=NOON, end=END, rules=rules)

    compared = {(gap.slice_name, gap.slice_value) for _, gap in report.gaps}
    assert {("market", "BR"), ("identity_term", "gardeners")} <= compared
    assert {"nobody", "unknown"}.isdisjoint(value for _, value in compared)
    page = as_html(report.page)
    assert "identity term gardeners" in page
    assert "market BR" in page
    assert "grolk" not in page, "words of the items stay where they are"


def test_too_few_labels_are_said_in_words(engine: Engine, tmp_path: Path) -> None:
    policy = world(engine, tmp_path, batches=1)
    report = fairness_report(engine, policy=policy, start=NOON, end=NOON + timedelta(seconds=1))

    assert "Nothing could be told yet" in as_html(report.page)
    assert () == report.gaps or {"insufficient_evidence"} == {g.verdict for _, g in report.gaps}


def test_without_a_champion_there_is_no_page(engine: Engine) -> None:
    policy = fill(engine)

    with pytest.raises(NoChampion):
        of(engine, policy)
