"""A wake-up brings an answer in at once; a thousand wake-ups bring in no more than one."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import Engine

from flows.collect_tasks import collect_tasks
from flows.collecting.keep import CollectReport
from hitl import labels
from hitl.db import AlreadyRunning, single_flight
from hitl.labelstudio import LabelStudioUnavailable
from tests.builders import make_policy
from tests.flows.loops import Loop
from tests.labelstudio.fake import START, away, chose

pytestmark = pytest.mark.postgres


@pytest.fixture
def loop(engine: Engine) -> Loop:
    made = Loop(engine)
    made.wait("a", "b", "c", "d")
    made.dispatch()
    return made


def wake(loop: Loop, *task_ids: int) -> CollectReport:
    return collect_tasks(
        loop.engine,
        loop.server,
        loop.policy,
        task_ids=task_ids,
        now=loop.server.clock,
        resolve=lambda tx, entry_ids: labels.resolve_entries(tx, entry_ids, loop.policy),
    )


def kept(loop: Loop) -> list[Any]:
    """What answers come to, without the moments of writing."""
    return [
        loop.rows(
            "SELECT unique_id, updated_at, kind, result::text FROM annotations ORDER BY 1, 2"
        ),
        loop.rows("SELECT unique_id, updated_at, answers::text FROM votes ORDER BY 1, 2"),
        loop.rows("SELECT item_id, category, revision, value FROM labels ORDER BY 1, 2, 3"),
        loop.rows("SELECT item_id, state FROM entries ORDER BY 1"),
    ]


def test_a_woken_look_makes_an_answer_a_label_and_reads_no_other_task(loop: Loop) -> None:
    task_id = loop.task_of("a")
    loop.server.answer(task_id, chose("hate"))
    loop.server.answer(loop.task_of("b"), chose("spam"))
    loop.server.calls.clear()

    report = wake(loop, task_id)

    assert (1, 1) == (report.tasks_seen, report.votes)
    assert {"a": "done", "b": "dispatched"}.items() <= loop.states().items()
    assert ["tasks"] == loop.server.calls


def test_the_poll_finds_what_a_wake_up_left_and_not_again_what_it_brought(loop: Loop) -> None:
    loop.server.answer(loop.task_of("a"), chose("hate"))
    wake(loop, loop.task_of("a"))
    loop.server.answer(loop.task_of("b"), chose("spam"))

    report = loop.collect()

    assert (1, 1) == (report.versions, report.votes)
    assert {"a": "done", "b": "done"}.items() <= loop.states().items()


def test_ids_that_are_not_of_ours_wake_nobody(loop: Loop) -> None:
    loop.server.calls.clear()

    report = wake(loop, 999, -1, 10**30)

    assert CollectReport() == report
    assert [] == loop.server.calls


def test_a_task_of_another_under_a_number_of_ours_is_not_believed(loop: Loop) -> None:
    task_id = loop.task_of("a")
    loop.server.held[task_id].data["entry_id"] = 12345
    loop.server.answer(task_id, chose("hate"))

    assert 0 == wake(loop, task_id).versions


def test_a_task_that_is_absent_is_not_taken_for_gone(loop: Loop) -> None:
    task_id = loop.task_of("a")
    loop.server.answer(task_id, chose("hate"))
    wake(loop, task_id)
    before = kept(loop)
    del loop.server.held[task_id]

    wake(loop, task_id)

    assert before == kept(loop)


@pytest.mark.parametrize("seed", range(5))
def test_a_storm_of_wake_ups_leaves_what_one_collection_leaves(loop: Loop, seed: int) -> None:
    rng = random.Random(seed)
    ids = [loop.task_of(one) for one in "abcd"]
    first = [loop.server.answer(one, chose("hate")) for one in ids]
    heard = ids * 3  # each is told three times, in any order, and some are lost
    rng.shuffle(heard)
    for at, task_id in enumerate(heard):
        if at == 4:
            loop.server.edit(first[0], chose("spam"))
        if at == 6:
            loop.server.take_back(first[1])
        if rng.random() > 0.3:
            wake(loop, task_id, *rng.sample(ids, 1))

    loop.collect(sweep=True)
    stormed = kept(loop)
    loop.collect(sweep=True)

    assert stormed == kept(loop)
    assert {"a": "done", "b": "dispatched", "c": "done", "d": "done"} == loop.states()
    assert [("a", "spam"), ("c", "hate"), ("d", "hate")] == loop.rows(
        "SELECT item_id, category FROM current_labels WHERE value ORDER BY 1"
    )


def test_no_cursor_moves_on_a_wake_up(loop: Loop) -> None:
    loop.collect(sweep=True)
    before = loop.rows("SELECT project_id, watermark, swept_at FROM collect_cursors")
    loop.server.answer(loop.task_of("a"), chose("hate"))

    wake(loop, loop.task_of("a"))

    assert before == loop.rows("SELECT project_id, watermark, swept_at FROM collect_cursors")
    assert before[0][1] > START


def test_where_label_studio_is_away_the_next_collection_sweeps(loop: Loop) -> None:
    loop.collect(sweep=True)
    loop.server.before["tasks"] = away()

    with pytest.raises(LabelStudioUnavailable):
        wake(loop, loop.task_of("a"))

    assert [(None,)] == loop.rows("SELECT swept_at FROM collect_cursors")


def test_beside_a_collection_a_wake_up_says_that_it_must_wait(loop: Loop, engine: Engine) -> None:
    with single_flight(engine, f"collect {loop.policy.name} from Label Studio"):
        with pytest.raises(AlreadyRunning):
            wake(loop, loop.task_of("a"))


def test_the_step_wakes_whatever_version_of_the_policy_a_task_is_of(loop: Loop) -> None:
    older = loop.task_of("a")
    loop.policy = make_policy(version="2")
    loop.wait("x")
    loop.dispatch()
    loop.server.answer(older, chose("hate"))
    loop.server.answer(loop.task_of("x"), chose("hate"))

    report = loop.step("collect_tasks", task_ids=[older, loop.task_of("x")])

    assert (2, 2) == (report.projects, report.votes)
    assert {"a": "done", "x": "done"}.items() <= loop.states().items()
