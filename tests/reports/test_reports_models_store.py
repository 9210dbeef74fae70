"""What pages read of models and of answers, from rows of a small world."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from hitl.db import begin
from hitl.records import ItemId
from hitl.reports import answer_times, approvals, groups_of, trainings
from tests.builders import NOON
from tests.flows.models import crown, judge, train
from tests.flows.worlds import fill, label_batch

pytestmark = pytest.mark.postgres

LATER = datetime.now(UTC) + timedelta(hours=1)


def test_trainings_come_with_their_figure_and_what_the_gate_said(
    engine: Engine, tmp_path: Path
) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    label_batch(engine, policy, batch_id="b2", seed=2)
    first = train(engine, policy, tmp_path)
    crown(engine, policy, tmp_path)
    second = train(engine, policy, tmp_path, seed=6)
    judged = judge(engine, policy)

    with begin(engine) as tx:
        found = trainings(tx, policy, until=LATER)
        none = trainings(tx, policy, until=NOON - timedelta(days=3650))
        crowned = approvals(tx, first.model_version)
        never = approvals(tx, second.model_version)

    assert [] == none
    assert [first.model_version, second.model_version] == [one.model_version for one in found]
    assert (first.test_average_precision, first.training_examples) == (
        pytest.approx(found[0].value), found[0].training_examples,
    )  # fmt: skip
    assert (judged.decision, first.model_version) == (found[1].decision, found[1].beside)
    assert "macro" in {one["rule"] for one in found[1].reasons}
    assert [("promotion", "ana", "a test")] == [
        (one.kind, one.approved_by, one.note) for one in crowned
    ]
    assert [] == never


def test_an_answer_that_was_mended_cost_its_time_once(engine: Engine) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    with begin(engine) as tx:
        audits = tx.execute(
            text("SELECT item_id, entry_id FROM picks JOIN entries USING (batch_id, item_id) "
                 "WHERE share = 'audit' ORDER BY item_id")
        ).all()  # fmt: skip
        others = (
            tx.execute(text("SELECT item_id FROM picks WHERE share <> 'audit'")).scalars().all()
        )
        tx.execute(text("UPDATE annotations SET lead_seconds = 10"))
        # The first was answered again, and took longer in all.
        tx.execute(
            text("INSERT INTO annotations SELECT unique_id, updated_at + interval '1 hour', "
                 "created_at, kind, project_id, task_id, entry_id, stage, reviewer, result, 25, "
                 "collected_at FROM annotations WHERE entry_id = :entry"),
            {"entry": audits[0].entry_id},
        )  # fmt: skip
        tx.execute(
            text("INSERT INTO votes SELECT unique_id, updated_at + interval '1 hour', entry_id, "
                 "stage, reviewer, answers, severity FROM votes WHERE entry_id = :entry"),
            {"entry": audits[0].entry_id},
        )  # fmt: skip

    with begin(engine) as tx:
        found = answer_times(tx, policy, [ItemId(one.item_id) for one in audits[:3]])
        of_others = answer_times(tx, policy, [ItemId(one) for one in others])

    assert (3, [10.0, 10.0, 25.0]) == (found.answers, sorted(found.seconds))
    assert 0 == of_others.answers, "only audits measure"


def test_near_copies_are_one_group(engine: Engine) -> None:
    fill(engine, items=3)
    with begin(engine) as tx:
        tx.execute(text("UPDATE items SET group_id = 'g' WHERE item_id IN ('i0', 'i1')"))
        found = groups_of(tx, [ItemId("i0"), ItemId("i1"), ItemId("i2")])

    assert found["i0"] == found["i1"] == "g"
    assert found["i2"] not in ("g", "i2"), "without a group, equal texts are one"
