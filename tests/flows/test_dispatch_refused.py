"""What Label Studio refuses is buried or waits, and sinks nothing else."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from hitl.labelstudio import ImportRefused
from hitl.recipe import DispatchRecipe, Recipe
from tests.flows.dispatching import books_agree, dispatch, states, wait
from tests.labelstudio.fake import FakeLabelStudio

pytestmark = pytest.mark.postgres


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio()


def test_a_task_that_label_studio_refuses_does_not_sink_the_others(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 6)
    label_studio.refuse_text = "text 3"

    report = dispatch(
        engine,
        label_studio,
        policy,
        Recipe(dispatch=DispatchRecipe(window=10, tasks_per_push=10)),
    )

    assert (5, 1) == (report.pushed, len(report.refused))
    assert {"dispatched": 5, "dead": 1} == states(engine)
    assert books_agree(engine, label_studio)


def test_when_every_task_is_refused_the_entries_wait_and_the_error_names_them(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 1)
    label_studio.refuse_text = "text 0"

    with pytest.raises(ImportRefused) as failure:
        dispatch(engine, label_studio, policy)

    assert {"waiting": 1} == states(engine)
    assert "entries 1" in str(failure.value)
    assert "text 0" not in str(failure.value)
    label_studio.refuse_text = None
    assert 1 == dispatch(engine, label_studio, policy).pushed


def test_an_entry_that_alone_is_refused_by_a_project_that_works_is_buried(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)
    label_studio.refuse_text = "text 1"
    one_by_one = Recipe(dispatch=DispatchRecipe(window=10, tasks_per_push=1))

    report = dispatch(engine, label_studio, policy, one_by_one, limit=1)
    alone = dispatch(engine, label_studio, policy, one_by_one)

    assert ([], 1) == (report.refused, len(alone.refused))
    assert {"dispatched": 1, "dead": 1} == states(engine)


def test_a_second_refusal_in_a_row_points_at_the_server_and_buries_no_more(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 4, texts={"i0": "good", "i1": "bad", "i2": "bad", "i3": "bad"})
    label_studio.refuse_text = "bad"
    one_by_one = Recipe(dispatch=DispatchRecipe(window=10, tasks_per_push=1))
    dispatch(engine, label_studio, policy, one_by_one, limit=1)

    with pytest.raises(ImportRefused):
        dispatch(engine, label_studio, policy, one_by_one)

    assert {"dispatched": 1, "dead": 1, "waiting": 2} == states(engine)
