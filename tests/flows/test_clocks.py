"""The clock of whoever collects may be wrong by a day, and nothing is lost or dated by it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from flows.collect_annotations import collect_annotations
from flows.collecting.keep import CollectReport
from hitl import labels
from hitl.recipe import Recipe
from tests.flows.loops import Loop
from tests.labelstudio.fake import START, chose

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)


@pytest.fixture
def loop(engine: Engine) -> Loop:
    made = Loop(engine)
    made.wait("a", "b", "c")
    made.dispatch()
    return made


def collect(loop: Loop, now: datetime, **more: Any) -> CollectReport:
    return collect_annotations(
        loop.engine,
        loop.server,
        loop.policy,
        Recipe(),
        now=now,
        resolve=lambda tx, entry_ids: labels.resolve_entries(tx, entry_ids, loop.policy),
        **more,
    )


@pytest.mark.parametrize("skew", [-365 * DAY, -DAY, DAY, 365 * DAY])
def test_a_run_whose_clock_was_wrong_does_not_keep_the_next_from_sweeping(
    loop: Loop, skew: timedelta
) -> None:
    collect(loop, loop.server.clock + skew)
    # What a crash of Label Studio hides from the poll, and only a sweep finds.
    task = loop.server.held[loop.task_of("a")]
    before = task.updated_at
    loop.server.answer(task.task_id, chose("hate"))
    task.updated_at = before - timedelta(hours=1)

    report = collect(loop, loop.server.clock)

    assert report.swept
    assert "done" == loop.states()["a"]


def test_two_clocks_that_differ_by_seconds_do_not_make_every_run_a_sweep(loop: Loop) -> None:
    collect(loop, loop.server.clock + timedelta(seconds=5))

    assert not collect(loop, loop.server.clock).swept


@pytest.mark.parametrize("skew", [-365 * DAY, 365 * DAY])
def test_what_was_closed_just_now_is_swept_whatever_our_clock_says(
    loop: Loop, skew: timedelta
) -> None:
    annotation = loop.server.answer(loop.task_of("a"), chose("hate"))
    for one in ("b", "c"):
        loop.server.answer(loop.task_of(one), chose("hate"))
    collect(loop, loop.server.clock + skew, sweep=True)
    task = loop.server.held[loop.task_of("a")]
    before = task.updated_at
    loop.server.edit(annotation, chose("spam"))
    task.updated_at = before - timedelta(hours=1)

    # Due, and not of every task: the cursor was moved by the run before.
    collect(loop, loop.server.clock + skew + timedelta(hours=1))

    assert [("a", "spam")] == loop.rows(
        "SELECT item_id, category FROM current_labels WHERE value AND item_id = 'a'"
    )


@pytest.mark.parametrize("skew", [-DAY, DAY])
def test_answers_that_come_back_after_a_deletion_count_one_by_one_under_a_wrong_clock(
    loop: Loop, skew: timedelta
) -> None:
    task_id = loop.task_of("a")
    annotation = loop.server.answer(task_id, chose("hate"))
    collect(loop, loop.server.clock + skew)
    held = loop.server.held[task_id].annotations[0]
    loop.server.take_back(annotation)
    collect(loop, loop.server.clock + skew)
    # Restored in Label Studio, and mended twice after that.
    loop.server.held[task_id].annotations.append(held)
    for choice in ("spam", "none"):
        loop.server.edit(annotation, chose(choice))
        collect(loop, loop.server.clock + skew)

    assert [({"hate": False, "spam": False},)] == loop.rows("SELECT answers FROM current_votes")
    assert [("submitted",), ("deleted",), ("submitted",), ("submitted",)] == loop.rows(
        "SELECT kind FROM annotations ORDER BY updated_at"
    )
    latest = loop.rows("SELECT max(updated_at) FROM annotations")[0][0]
    assert START < latest <= loop.server.clock
