"""Looks at a backlog: who is drawn, who is asked, and what becomes of answers that do not come."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kstest
from sqlalchemy import Engine, text

from flows.backlog_status import backlog_status
from flows.certify_backlog import AnswersLost, LookUnfinished
from flows.look_at_backlog import CannotLook, drawn_rows
from flows.select_batch import select_batch
from hitl.db import begin
from hitl.policy import policy_from
from hitl.records import BatchId, ItemId
from tests.builders import add_items, make_policy
from tests.flows.backlogs import (
    NAME,
    answer_waiting,
    certify,
    drawn_of,
    look,
    open_one,
    set_state,
)
from tests.flows.models import count
from tests.flows.worlds import RECIPE, fill, gold, label_batch, measuring_side

pytestmark = pytest.mark.postgres


def test_a_look_that_is_repeated_draws_nothing_more(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    first = look(engine, policy, draw=25)
    drawn = drawn_of(engine)

    again = look(engine, policy, draw=25)

    assert (True, False) == (first.is_new, again.is_new)
    assert (25, 0) == (again.in_queue, again.asked)
    assert drawn == drawn_of(engine)
    with pytest.raises(CannotLook, match="look 1 is open with a draw of 25"):
        look(engine, policy, draw=26)
    with pytest.raises(CannotLook, match="drawn with seed"):
        look(engine, policy, seed=first.seed + 1)


def test_anybody_can_draw_the_same_again(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    label_batch(engine, policy, batch_id="b1")
    made = look(engine, policy, draw=10, seed=7)
    with begin(engine) as tx:
        left = tx.execute(
            text(
                "SELECT item_id FROM backlog_items"
                " WHERE item_id NOT IN (SELECT item_id FROM labels)"
                " ORDER BY md5(item_id)"
            )
        )
        ids = pa.chunked_array([pa.array(list(left.scalars()))])

    rows = drawn_rows(ids, limit=10, round_id=f"{NAME} 1 7")

    assert made.unreviewed == len(ids)
    assert drawn_of(engine) == ids.take(pa.array(rows)).to_pylist()


def test_every_item_is_as_likely_to_be_drawn() -> None:
    ids = pa.chunked_array([pa.array([f"i{k}" for k in range(50)])])
    counts = np.zeros(50)
    places = []
    for k in range(2000):
        rows = drawn_rows(ids, limit=10, round_id=f"june 1 {k}")
        assert 10 == len(set(rows.tolist()))
        counts[rows] += 1
        places.append(rows[0])

    # 400 each; a count's standard deviation is 17.9.
    assert np.abs(counts - 400).max() < 4 * 17.9
    assert kstest(np.array(places) / 50 + 0.01, "uniform").pvalue > 0.001


def test_the_next_look_is_paid_for_and_draws_others(engine: Engine) -> None:
    policy = fill(engine, items=200)
    open_one(engine, policy)
    for _ in range(2):
        look(engine, policy, draw=20)
        answer_waiting(engine, policy)
        certify(engine)

    status = backlog_status(engine, name=NAME, policy=policy)

    assert [0.04, 0.005] == pytest.approx([one.alpha for one in status.looks])
    assert [200, 180] == [one.unreviewed for one in status.looks]
    assert not set(drawn_of(engine, 1)) & set(drawn_of(engine, 2))


def test_a_lost_answer_counts_as_a_violation_that_nobody_found(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy, at_least=0.5)
    look(engine, policy, draw=100)
    lost = [one for one in drawn_of(engine) if not gold(one)["hate"]][:25]
    answer_waiting(engine, policy, but=lost)
    for item_id in lost[:20]:
        set_state(engine, item_id, "dead")
    for item_id in lost[20:]:
        set_state(engine, item_id, "withdrawn")

    with pytest.raises(AnswersLost, match="25 drawn items have no answer"):
        certify(engine)
    found = certify(engine, close=True)

    # 20 violate and are found; of the 25 nobody knows.
    assert (25, 20, 25, 20 / 45) == (
        found.result.lost, found.result.found, found.result.missed_at_most,
        found.result.recall_at_least,
    )  # fmt: skip
    assert not found.result.is_certified


def test_a_lost_answer_that_does_not_matter_ends_the_look(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy, at_least=0.5)
    look(engine, policy, draw=100)
    lost = drawn_of(engine)[0]
    answer_waiting(engine, policy, but=[lost])
    set_state(engine, lost, "dead")

    found = certify(engine)

    assert (1, True) == (found.result.lost, found.result.is_certified)


def test_what_came_back_unanswered_is_asked_again_and_the_dead_wait_for_a_person(
    engine: Engine,
) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    look(engine, policy, draw=20)
    taken_back, dead, untold, *_ = drawn_of(engine)
    set_state(engine, taken_back, "withdrawn")
    set_state(engine, dead, "dead")
    answer_waiting(engine, policy, answer=lambda one: {} if one == untold else gold(one))
    set_state(engine, untold, "done")

    again = look(engine, policy)
    answer_waiting(engine, policy)
    later = look(engine, policy)

    assert (2, 2, 1) == (again.asked, again.in_queue, again.lost)
    assert (0, 19, 1) == (later.asked, later.answered, later.lost)
    assert ["backlog:june:1:1", "backlog:june:1:2"] == batches(engine)


def batches(engine: Engine) -> list[str]:
    with begin(engine) as tx:
        return list(tx.execute(text("SELECT batch_id FROM batches ORDER BY 1")).scalars())


def test_a_drawn_item_that_is_asked_about_already_is_not_asked_twice(engine: Engine) -> None:
    policy = fill(engine, items=100)
    open_one(engine, policy)
    select_batch(engine, batch_id=BatchId("b1"), policy=policy, recipe=RECIPE, seed=1, limit=40)
    open_already = count(engine, "SELECT count(*) FROM entries")

    drawn = look(engine, policy, draw=100)
    answer_waiting(engine, policy)

    assert open_already > 0
    assert (100, 100 - open_already, 100) == (drawn.unreviewed, drawn.asked, drawn.in_queue)
    assert 20 == certify(engine).result.violating_in_draw


def test_an_item_under_another_policy_is_asked_once_that_is_closed(engine: Engine) -> None:
    policy = fill(engine, items=100)
    other = make_policy(name="ads")
    select_batch(engine, batch_id=BatchId("b1"), policy=other, recipe=RECIPE, seed=1, limit=40)
    asked = count(engine, "SELECT count(*) FROM entries")
    open_one(engine, policy)

    first = look(engine, policy, draw=100)
    answer_others(engine, "b1")
    answer_waiting(engine, policy)
    with pytest.raises(LookUnfinished, match=f"{asked} could not be asked yet"):
        certify(engine)
    second = look(engine, policy)

    assert (asked, 100 - asked) == (first.blocked, first.asked)
    assert (0, asked) == (second.blocked, second.asked)


def answer_others(engine: Engine, batch_id: str) -> None:
    with begin(engine) as tx:
        for state in ("dispatched", "done"):
            tx.execute(
                text("UPDATE entries SET state = :state WHERE batch_id = :batch_id"),
                {"state": state, "batch_id": batch_id},
            )


def test_a_forgotten_item_is_lost_and_never_dropped(engine: Engine) -> None:
    policy = fill(engine, items=50)
    open_one(engine, policy, at_least=0.5)
    with begin(engine) as tx:
        tx.execute(text("DELETE FROM items WHERE item_id = 'i1'"))

    drawn = look(engine, policy, draw=50)
    answer_waiting(engine, policy)
    found = certify(engine).result

    assert (50, 49, 1) == (drawn.drawn, drawn.asked, drawn.lost)
    assert (1, 10, 1) == (found.lost, found.found, found.missed_at_most)


def test_a_moved_threshold_asks_the_same_and_a_reworded_definition_does_not(
    engine: Engine,
) -> None:
    policy = fill(engine, items=40)
    open_one(engine, policy)
    open_one(engine, policy, name="whole", category="any")

    def mended(**changed: object) -> object:
        body = policy.model_dump(mode="json")
        body["category"][1] |= changed
        return policy_from(body, where="test")

    moved = mended(threshold=0.7)
    reworded = mended(definition="Something else.")

    assert 10 == look(engine, moved, draw=10).asked  # type: ignore[arg-type]
    answer_waiting(engine, moved)  # type: ignore[arg-type]
    assert 10 == certify(engine).result.drawn
    # The other category is worded anew: that is another question of `any` alone.
    assert 10 == look(engine, reworded, draw=10).asked  # type: ignore[arg-type]
    with pytest.raises(CannotLook, match="asks another question"):
        look(engine, reworded, name="whole", draw=10)  # type: ignore[arg-type]


def test_without_a_decision_there_is_no_forecast_and_a_size_must_be_named(engine: Engine) -> None:
    policy = make_policy()
    with begin(engine) as tx:
        add_items(tx, {f"i{k}": f"text {k}" for k in range(30)})
    open_one(engine, policy)

    assert backlog_status(engine, name=NAME, policy=policy).forecast is None
    with pytest.raises(CannotLook, match="name one with --draw"):
        look(engine, policy)
    assert 5 == look(engine, policy, draw=5).drawn


def test_each_side_has_its_share_and_its_known_chance(engine: Engine) -> None:
    policy = fill(engine, items=200)
    open_one(engine, policy)
    look(engine, policy, draw=50)

    with begin(engine) as tx:
        picks = tx.execute(text("SELECT item_id, share, inclusion_probability FROM picks")).all()

    apart = measuring_side([ItemId(f"i{k}") for k in range(200)], engine)
    assert {0.25} == {row.inclusion_probability for row in picks}
    assert {row.item_id for row in picks if row.share == "elusion_apart"} == apart & set(
        drawn_of(engine)
    )
    assert {"elusion", "elusion_apart"} == {row.share for row in picks}


def test_after_a_look_its_own_eyes_plan_the_next_and_not_the_model_that_was_wrong(
    engine: Engine,
) -> None:
    policy = fill(engine, items=400)
    open_one(engine, policy, at_least=0.5)
    with begin(engine) as tx:
        tx.execute(
            text(
                "INSERT INTO decisions (item_id, model_version, decided_at, probabilities)"
                " SELECT item_id, 'blind', '2026-06-02', jsonb_build_object('hate', 0.001)"
                " FROM items"
            )
        )
    before = backlog_status(engine, name=NAME, policy=policy)
    label_batch(engine, policy, batch_id="b1")
    look(engine, policy, draw=40)
    answer_waiting(engine, policy)
    found = certify(engine)

    status = backlog_status(engine, name=NAME, policy=policy)
    second = look(engine, policy)

    assert before.forecast is not None
    assert before.forecast.violating == pytest.approx(0.4)
    seen = (found.result.violating_in_draw or 0) / 40 * status.unreviewed
    assert status.seen_left == pytest.approx(seen)
    assert status.draw_needed == second.drawn == found.next_draw
    assert second.drawn > 10
