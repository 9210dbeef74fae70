"""The books balance in every state that the loop supports, and only in those."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from flows.reconcile import reconcile
from hitl.records import Stage
from tests.builders import make_policy
from tests.flows.loops import Loop
from tests.labelstudio.fake import chose

pytestmark = pytest.mark.postgres


@pytest.fixture
def loop(engine: Engine) -> Loop:
    """Two items asked; the first is answered and collected."""
    made = Loop(engine)
    made.wait("a", "b")
    made.dispatch()
    made.server.answer(made.task_of("a"), chose("hate"))
    made.collect()
    return made


def books(loop: Loop) -> dict[str, Any]:
    world: Any = SimpleNamespace(engine=loop.engine, label_studio=loop.server, policy=loop.policy)
    return {one.name: one for one in reconcile(world)}


def off(loop: Loop) -> list[str]:
    return [name for name, one in books(loop).items() if not one.balances]


def told(loop: Loop, name: str) -> int:
    left: int = books(loop)[name].left
    return left


def test_an_untroubled_loop_balances(loop: Loop) -> None:
    assert [] == off(loop)


def test_a_replaced_project_with_finished_work_balances(loop: Loop) -> None:
    loop.server.projects.clear()
    loop.server.held.clear()
    loop.dispatch(replace_lost_project=True)

    assert [] == off(loop)


def test_a_finished_project_that_is_gone_balances_and_an_open_one_does_not(loop: Loop) -> None:
    loop.server.projects.clear()

    assert ["tasks here = tasks in Label Studio"] == off(loop)

    loop.move("b", "withdrawn")

    assert [] == off(loop)
    assert 2 == told(loop, "tasks cleared out of Label Studio")


def test_a_lead_who_cannot_tell_either_balances(loop: Loop) -> None:
    nothing = chose("none", unsure=["hate", "spam"])
    loop.server.answer(loop.task_of("b"), nothing)
    loop.collect()
    loop.dispatch(stage=Stage.ADJUDICATION)
    loop.server.answer(loop.task_of("b", stage="adjudication"), nothing, reviewer=7)
    loop.collect()

    assert {"a": "done", "b": "done"} == loop.states()
    assert [] == off(loop)
    assert 1 == told(loop, "done, and no lead could tell")


def test_an_answer_taken_back_while_its_item_is_asked_anew_balances(loop: Loop) -> None:
    with loop.engine.begin() as tx:
        tx.execute(
            text(
                "INSERT INTO batches (batch_id, policy_id, recipe_id, seed, plan, size_wanted,"
                " read_at, training_pool_size, measuring_pool_size) SELECT 'anew', policy_id,"
                " recipe_id, seed, plan, size_wanted, read_at, 1, 1 FROM batches LIMIT 1"
            )
        )
        tx.execute(
            text(
                "INSERT INTO picks (batch_id, item_id, share, strategy, rank)"
                " VALUES ('anew', 'a', 'uncertain', 'uncertain_diverse', 0)"
            )
        )
        tx.execute(
            text(
                "INSERT INTO entries (item_id, batch_id, policy_id, votes_wanted)"
                " VALUES ('a', 'anew', :policy_id, 1)"
            ),
            {"policy_id": loop.policy.policy_id},
        )
    (annotation,) = loop.server.held[loop.task_of("a")].annotations
    loop.server.take_back(annotation["id"])
    loop.collect()

    assert [] == off(loop)
    assert 1 == told(loop, "done, taken back, asked anew")


def test_finished_tasks_that_somebody_cleared_out_balance(loop: Loop) -> None:
    loop.server.delete_tasks(1, [loop.task_of("a")])

    assert [] == off(loop)
    assert 1 == told(loop, "tasks cleared out of Label Studio")


def test_tasks_of_somebody_else_balance(loop: Loop) -> None:
    mine = loop.server.held[loop.task_of("a")].data
    loop.server.import_tasks(1, [{"text": "by hand"}, mine | {"entry_id": 999}])
    loop.server.answer(max(loop.server.held), chose("hate"))

    assert [] == off(loop)
    assert 2 == told(loop, "tasks in Label Studio not of ours")


def test_older_versions_are_counted(loop: Loop) -> None:
    old_task = loop.task_of("b")
    loop.policy = make_policy(version="2")
    loop.wait("c")
    loop.dispatch()

    assert [] == off(loop)
    assert 3 == told(loop, "tasks here = tasks in Label Studio")

    loop.server.held.pop(old_task)

    assert ["tasks here = tasks in Label Studio"] == off(loop)


def test_a_lost_open_task_is_found(loop: Loop) -> None:
    loop.server.held.pop(loop.task_of("b"))

    assert ["tasks here = tasks in Label Studio"] == off(loop)


def test_a_doubled_task_is_found_until_both_are_answered(loop: Loop) -> None:
    loop.server.import_tasks(1, [loop.server.held[loop.task_of("b")].data])

    assert ["tasks in Label Studio = tasks here"] == off(loop)

    loop.server.answer(loop.task_of("b"), chose("spam"))
    loop.collect()

    assert [] == off(loop)
    assert 1 == told(loop, "tasks answered twice")


def test_an_annotation_that_was_not_collected_or_was_taken_back_is_found(loop: Loop) -> None:
    annotation = loop.server.answer(loop.task_of("b"), chose("spam"))

    assert ["annotations in Label Studio = annotations here"] == off(loop)

    loop.collect()
    loop.server.take_back(annotation)

    assert ["annotations here = annotations in Label Studio"] == off(loop)


def test_an_annotation_that_our_tables_lost_is_found(loop: Loop) -> None:
    loop.server.answer(loop.task_of("b"), [], skip=True)
    loop.collect()
    with loop.engine.begin() as tx:
        tx.execute(text("DELETE FROM annotations WHERE kind = 'skipped'"))

    assert ["annotations in Label Studio = annotations here"] == off(loop)
