"""A dispatch that is killed, unanswered or done twice comes out as if it had gone well."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from hitl.db import schema
from hitl.labelstudio import LabelStudioUnavailable
from hitl.recipe import DispatchRecipe, Recipe
from tests.flows.dispatching import books_agree, dispatch, states, wait
from tests.labelstudio.fake import FakeLabelStudio, Killed, away, kill

pytestmark = pytest.mark.postgres


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.mark.parametrize(
    ("moment", "call"),
    [
        ("before", "ensure_project"),
        ("after", "ensure_project"),
        ("before", "import_tasks"),
        ("after", "import_tasks"),
        ("before", "last_from"),
    ],
)
def test_killed_at_any_call_and_run_again_every_entry_has_one_task(
    engine: Engine, label_studio: FakeLabelStudio, call: str, moment: str
) -> None:
    policy = wait(engine, 5)
    getattr(label_studio, moment)[call] = kill
    with pytest.raises(Killed):
        dispatch(engine, label_studio, policy)
    getattr(label_studio, moment).clear()

    dispatch(engine, label_studio, policy)
    dispatch(engine, label_studio, policy)

    assert {"dispatched": 5} == states(engine)
    assert books_agree(engine, label_studio)
    assert 1 == len(label_studio.projects)


@pytest.mark.parametrize("statement", range(2, 27, 3))
def test_killed_at_any_statement_and_run_again_every_entry_has_one_task(
    engine: Engine, label_studio: FakeLabelStudio, statement: int
) -> None:
    from sqlalchemy import event

    policy = wait(engine, 4)
    counted = itertools.count(1)

    def dies(*_: Any) -> None:
        if next(counted) == statement:
            raise Killed

    event.listen(engine, "before_cursor_execute", dies)
    with pytest.raises(Killed):
        dispatch(engine, label_studio, policy)
    event.remove(engine, "before_cursor_execute", dies)
    engine.dispose()

    dispatch(engine, label_studio, policy)

    assert {"dispatched": 4} == states(engine)
    assert books_agree(engine, label_studio)


def test_a_call_that_timed_out_after_acting_is_not_repeated(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)
    label_studio.after["import_tasks"] = away("gave no answer for 60 seconds")
    with pytest.raises(LabelStudioUnavailable) as failure:
        dispatch(engine, label_studio, policy)
    label_studio.after.clear()

    report = dispatch(engine, label_studio, policy)

    assert (2, 0) == (report.recovered, report.pushed)
    assert books_agree(engine, label_studio)
    assert label_studio.url in str(failure.value)
    assert "hitl up" in str(failure.value)
    assert "text 0" not in str(failure.value)


def test_recovery_waits_for_an_import_that_is_still_on_its_way(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)
    label_studio.before["import_tasks"] = kill
    with pytest.raises(Killed):
        dispatch(engine, label_studio, policy)
    label_studio.before.clear()
    late: list[float] = []

    def lands_while_we_wait(seconds: float) -> None:
        late.append(seconds)
        with engine.begin() as tx:
            push_id = tx.execute(select(schema.pushes.c.push_id)).scalar_one()
            entry_ids = tx.execute(select(schema.tasks.c.entry_id)).scalars().all()
        label_studio.import_tasks(
            1,
            [{"text": "t", "entry_id": one, "push_id": str(push_id)} for one in entry_ids],
        )

    report = dispatch(engine, label_studio, policy, sleep=lands_while_we_wait)

    assert [5.0] == late
    assert (2, 0) == (report.recovered, report.pushed)
    assert books_agree(engine, label_studio)


def test_a_double_that_landed_even_later_is_removed(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)

    def twice() -> None:
        label_studio.after.clear()
        for one in list(label_studio.held.values()):
            label_studio.import_tasks(one.project_id, [one.data])

    label_studio.after["import_tasks"] = twice

    report = dispatch(engine, label_studio, policy)

    assert 2 == report.doubles_removed
    assert books_agree(engine, label_studio)


def test_a_double_in_one_of_several_pushes_is_removed(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 7)
    calls = itertools.count(1)

    def second_twice() -> None:
        if next(calls) == 2:
            newest = label_studio.held[max(label_studio.held)]
            label_studio.import_tasks(newest.project_id, [newest.data])

    label_studio.after["import_tasks"] = second_twice

    report = dispatch(
        engine,
        label_studio,
        policy,
        Recipe(dispatch=DispatchRecipe(window=10, tasks_per_push=2)),
    )

    assert (7, 1, 0) == (report.pushed, report.doubles_removed, report.waiting)
    assert books_agree(engine, label_studio)


def test_a_push_that_was_not_sent_when_another_failed_leaves_no_intent(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 6)
    label_studio.before["import_tasks"] = away("broke off the connection")

    with pytest.raises(LabelStudioUnavailable):
        dispatch(
            engine,
            label_studio,
            policy,
            Recipe(dispatch=DispatchRecipe(window=10, tasks_per_push=2)),
        )

    with engine.connect() as tx:
        unknown = tx.execute(
            select(schema.pushes.c.push_id).where(schema.pushes.c.confirmed_at.is_(None))
        )
        intended = tx.execute(select(schema.tasks.c.entry_id)).all()
        assert (1, 2) == (len(unknown.all()), len(intended))


def test_a_partly_known_push_is_completed_and_not_repeated(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)
    label_studio.after["import_tasks"] = kill
    with pytest.raises(Killed):
        dispatch(engine, label_studio, policy)
    label_studio.after.clear()
    label_studio.held.pop(max(label_studio.held))

    dispatch(engine, label_studio, policy)

    assert {"dispatched": 2} == states(engine)
    assert books_agree(engine, label_studio)


def test_an_entry_withdrawn_meanwhile_is_not_pushed_by_the_recovery(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)
    label_studio.before["import_tasks"] = kill
    with pytest.raises(Killed):
        dispatch(engine, label_studio, policy)
    label_studio.before.clear()
    with engine.begin() as tx:
        tx.execute(text("UPDATE entries SET state = 'withdrawn' WHERE item_id = 'i0'"))

    dispatch(engine, label_studio, policy)

    assert ["i1"] == [one.data["item_id"] for one in label_studio.held.values()]
    assert {"dispatched": 1, "withdrawn": 1} == states(engine)
    assert books_agree(engine, label_studio)
