"""What decisions were worth: only audits measure, over all batches, for decisions of the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from flows.measure import MeasureReport, measure
from flows.select_batch import select_batch
from hitl.db import begin
from hitl.evaluation import estimate
from hitl.evaluation.measurements import Measurement
from hitl.evaluation.store import read_audit, read_judged
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.recipe import SelectionRecipe, ShareOfPlan
from hitl.records import BatchId, EntryId, EntryState, ModelVersion
from tests.builders import NOON
from tests.flows.worlds import RECIPE, fill, gold, label_batch, measuring_side
from tests.labels.builders import annotate, move

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)
PRODUCTION = ModelVersion("production")


def of_june(engine: Engine, policy: Policy) -> MeasureReport:
    return measure(engine, policy=policy, start=NOON - DAY, end=NOON + DAY)


def figure(report: MeasureReport, metric: str, category: str) -> Measurement:
    [found] = [
        one
        for one in report.by_model[PRODUCTION]
        if (one.metric, one.category, one.slice_name, one.kind)
        == (metric, category, "", "certified")
    ]
    return found


def test_a_census_of_the_measuring_side_gives_its_very_figures(engine: Engine) -> None:
    policy = fill(engine)
    everything = measuring_side([f"i{k}" for k in range(400)], engine)
    for name in ("b1", "b2", "b3", "b4"):
        label_batch(engine, policy, batch_id=name)

    report = of_june(engine, policy)

    truth = np.mean([gold(one)["hate"] for one in everything])
    found = figure(report, "prevalence", "hate")
    assert (len(everything), len(everything), 0, 0) == (
        report.asked,
        report.answered,
        report.waiting,
        report.lost,
    )
    assert found.value == pytest.approx(truth)
    assert found.n == len(everything)


def test_an_item_counts_by_its_chance_over_the_batches_it_could_be_in(engine: Engine) -> None:
    policy = fill(engine)
    for name in ("b1", "b2"):
        label_batch(engine, policy, batch_id=name)

    with begin(engine) as tx:
        audit = read_audit(tx, policy=policy)
        judged = read_judged(
            tx,
            policy=policy,
            audit=audit,
            model_version=PRODUCTION,
            start=NOON - DAY,
            end=NOON + DAY,
        )

    first, second = audit.draws
    drawn = 1 - (1 - first.asked / first.pool) * (1 - second.asked / second.pool)
    assert second.pool == first.pool - first.asked
    assert judged.inclusion_probability == pytest.approx(np.full(len(judged), drawn))
    assert judged.largest_weight == pytest.approx(1 / drawn)


def test_a_share_by_chance_on_the_training_side_trains_and_does_not_measure(
    engine: Engine,
) -> None:
    policy = fill(engine)
    recipe = RECIPE.model_copy(
        update={
            "selection": SelectionRecipe(
                batch_size=100,
                audit_fraction=0.2,
                shares=(ShareOfPlan(name="baseline", strategy="random", fraction=1.0),),
            )
        }
    )
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=recipe, seed=1)
    answer(engine, policy)

    report = of_june(engine, policy)

    assert (20, 20) == (report.asked, report.answered)
    assert 20 == figure(report, "prevalence", "hate").n


def test_flagged_items_weigh_what_their_chances_allow_where_the_same_model_flags_and_drew(
    engine: Engine,
) -> None:
    policy = fill(engine)
    selection = RECIPE.selection.model_copy(update={"audit_floor": 0.3})
    recipe = RECIPE.model_copy(update={"selection": selection})
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=recipe, seed=1)
    answer(engine, policy)

    before = figure(of_june(engine, policy), "precision", "hate")
    with begin(engine) as tx:
        # As if a model of that name had been champion when the batch was chosen.
        tx.execute(text("ALTER TABLE batches DISABLE TRIGGER USER"))
        told = '{"hate": {"from": 0.5, "least": 0.4}}'
        tx.execute(
            text(
                "UPDATE batches SET model_version = 'production',"
                " plan = jsonb_set(plan, '{audit_draw,flagged}', CAST(:told AS jsonb))"
            ),
            {"told": told},
        )
        tx.execute(text("ALTER TABLE batches ENABLE TRIGGER USER"))
    found = figure(of_june(engine, policy), "precision", "hate")

    with begin(engine) as tx:
        judged = read_judged(
            tx, policy=policy, audit=read_audit(tx, policy=policy), model_version=PRODUCTION,
            start=NOON - DAY, end=NOON + DAY,
        )  # fmt: skip
    given: dict[str, Any] = {
        "truth": judged.truth[:, 0],
        "flagged": judged.probabilities[:, 0] >= 0.5,
        "inclusion_probability": judged.inclusion_probability,
        "variance_weight": judged.variance_weight,
        "largest_weight": judged.largest_weight,
    }
    as_drawn = estimate("precision", **given, largest_flagged=1 / 0.4)
    wider = estimate("precision", **given)
    assert judged.largest_flagged[0] == pytest.approx(1 / 0.4)
    assert judged.largest_from(0, 0.4) == judged.largest_weight
    assert (found.low, found.high) == (
        pytest.approx(as_drawn.low, abs=1e-6),
        pytest.approx(as_drawn.high, abs=1e-6),
    )
    assert before.low == pytest.approx(wider.low, abs=1e-6)
    assert wider.low < as_drawn.low  # type: ignore[operator]


def test_while_hardly_any_audit_is_answered_there_is_no_figure(engine: Engine) -> None:
    policy = fill(engine)
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=RECIPE, seed=1)
    answer(engine, policy, limit=20)

    early = of_june(engine, policy)
    answer(engine, policy, limit=90)
    later = of_june(engine, policy)

    assert early.answered < 0.5 * early.asked
    assert "no_labels" == figure(early, "prevalence", "hate").code
    assert later.answered >= 0.5 * later.asked
    assert later.asked == later.answered + later.waiting
    assert None is figure(later, "prevalence", "hate").code


def test_a_window_without_decisions_names_no_model(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")

    report = measure(
        engine,
        policy=policy,
        start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2020, 2, 1, tzinfo=UTC),
    )

    assert {} == report.by_model
    assert report.asked == report.answered > 0


def test_measuring_a_window_again_replaces_all_of_its_rows(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    of_june(engine, policy)
    with begin(engine) as tx:
        tx.execute(text("UPDATE measurements SET slice_value = 'gone' WHERE slice_name <> ''"))

    report = of_june(engine, policy)

    with begin(engine) as tx:
        rows = tx.execute(text("SELECT count(*), bool_or(slice_value = 'gone') FROM measurements"))
        assert (len(report.by_model[PRODUCTION]), False) == tuple(rows.one())


def answer(engine: Engine, policy: Policy, *, limit: int = 10_000) -> None:
    """A careful reviewer answers the most urgent entries that wait."""
    with begin(engine) as tx:
        rows = tx.execute(
            text(
                "SELECT entry_id, item_id FROM entries WHERE state = 'waiting' "
                "ORDER BY turn_at, due_at, entry_id LIMIT :limit"
            ),
            {"limit": limit},
        ).all()
        ids = [EntryId(row.entry_id) for row in rows]
        move(tx, ids, EntryState.DISPATCHED)
        for row in rows:
            annotate(tx, EntryId(row.entry_id), gold(row.item_id))
        resolve_entries(tx, ids, policy)
