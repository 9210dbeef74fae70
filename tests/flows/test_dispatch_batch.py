"""What is dispatched where, in which order, and how much of it at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select, text

from flows.collect_annotations import collect_annotations
from flows.dispatch_batch import DispatchReport
from hitl import labels
from hitl.db import AlreadyRunning, schema, single_flight
from hitl.labelstudio import ProjectGone, Webhook, WebhookRefused
from hitl.policy import Policy
from hitl.recipe import DispatchRecipe, Recipe
from hitl.records import Stage
from tests.builders import make_policy
from tests.flows.dispatching import books_agree, dispatch, states, wait
from tests.labelstudio.fake import FakeLabelStudio, chose

pytestmark = pytest.mark.postgres


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio()


def test_the_most_urgent_entries_fill_the_window_in_their_order(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 9)

    report = dispatch(engine, label_studio, policy)

    assert (6, 6, 3) == (report.pushed, report.open_tasks, report.waiting)
    shown = [one.data["item_id"] for one in sorted(label_studio.held.values(), key=id_of)]
    assert ["i0", "i1", "i2", "i3", "i4", "i5"] == shown
    assert {"dispatched": 6, "waiting": 3} == states(engine)
    assert books_agree(engine, label_studio)


def id_of(task: Any) -> int:
    return int(task.task_id)


def test_a_second_dispatch_of_a_full_window_does_nothing(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 9)
    dispatch(engine, label_studio, policy)
    label_studio.calls.clear()

    report = dispatch(engine, label_studio, policy)

    assert (0, 0) == (report.pushed, report.recovered)
    assert ["ensure_project"] == label_studio.calls


def test_nothing_waits_and_nothing_is_created(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    report = dispatch(engine, label_studio, make_policy())

    assert DispatchReport(Stage.REVIEW) == report
    assert {} == label_studio.projects


def test_a_limit_bounds_the_new_tasks(engine: Engine, label_studio: FakeLabelStudio) -> None:
    policy = wait(engine, 5)

    report = dispatch(engine, label_studio, policy, limit=3)

    assert (3, 2) == (report.pushed, report.waiting)


def test_an_entry_whose_content_has_not_arrived_goes_on_waiting(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2, texts={"i0": None, "i1": "here"})

    report = dispatch(engine, label_studio, policy)

    assert (1, 0) == (report.pushed, report.waiting)
    assert {"dispatched": 1, "waiting": 1} == states(engine)


def test_two_dispatchers_do_not_run_at_once(engine: Engine, label_studio: FakeLabelStudio) -> None:
    policy = wait(engine, 2)

    with (
        single_flight(engine, f"push {policy.name} review to Label Studio"),
        pytest.raises(AlreadyRunning),
    ):
        dispatch(engine, label_studio, policy)

    assert {} == label_studio.held


def test_disagreements_go_to_a_project_of_their_own(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 3, policy=make_policy(votes_wanted=2))
    dispatch(engine, label_studio, policy)
    with engine.begin() as tx:
        tx.execute(text("UPDATE entries SET state = 'adjudicating' WHERE item_id = 'i1'"))

    report = dispatch(engine, label_studio, policy, stage=Stage.ADJUDICATION)
    again = dispatch(engine, label_studio, policy, stage=Stage.ADJUDICATION)

    assert (1, 0) == (report.pushed, again.pushed)
    assert 2 == len(label_studio.projects)
    overlaps = {spec.title[-12:]: spec.overlap for spec in label_studio.projects.values()}
    assert 1 == overlaps["adjudication"]
    assert {"dispatched": 2, "adjudicating": 1} == states(engine)
    (task,) = [one for one in label_studio.held.values() if one.data["stage"] == "adjudication"]
    assert "i1" == task.data["item_id"]


def test_a_lost_project_stops_the_dispatch_until_somebody_says_replace_it(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)
    dispatch(engine, label_studio, policy)
    label_studio.projects.clear()
    label_studio.held.clear()

    with pytest.raises(ProjectGone, match="HITL_LABEL_STUDIO_URL"):
        dispatch(engine, label_studio, policy)
    assert {"dispatched": 2} == states(engine)

    report = dispatch(engine, label_studio, policy, replace_lost_project=True)

    assert 2 == report.pushed
    assert books_agree(engine, label_studio)


def test_an_entry_that_was_requeued_by_a_person_is_served_again(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 1)
    dispatch(engine, label_studio, policy)
    label_studio.answer(max(label_studio.held), chose("hate"))
    with engine.begin() as tx:
        tx.execute(text("UPDATE entries SET state = 'dead'"))
        tx.execute(text("UPDATE entries SET state = 'waiting'"))

    dispatch(engine, label_studio, policy)

    (task,) = label_studio.held.values()
    assert (False, 2) == (task.is_labelled, task.overlap)
    assert {"dispatched": 1} == states(engine)
    assert books_agree(engine, label_studio)


def test_a_changed_interface_reaches_the_project_that_is_there(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 1)
    dispatch(engine, label_studio, policy)
    with engine.begin() as tx:
        tx.execute(schema.labelling_projects.update().values(interface_hash="old"))

    dispatch(engine, label_studio, policy)

    with engine.begin() as tx:
        stored = tx.execute(select(schema.labelling_projects.c.interface_hash)).scalar_one()
    assert "old" != stored
    assert 1 == len(label_studio.projects)


def test_push_ids_come_from_the_caller_if_it_likes(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 1)

    dispatch(engine, label_studio, policy, new_push_id=lambda: UUID(int=5))

    assert [str(UUID(int=5))] == [one.data["push_id"] for one in label_studio.held.values()]


def test_progress_counts_up_to_what_the_window_takes(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 5)
    seen: list[tuple[int, int | None]] = []

    dispatch(engine, label_studio, policy, progress=lambda done, of: seen.append((done, of)))

    assert [(2, 5), (4, 5), (5, 5)] == seen


def answer_every(
    engine: Engine, server: FakeLabelStudio, policy: Policy, *, seconds: float
) -> None:
    """Every task there is answered, one after so many seconds; the answers are collected."""
    for task_id in sorted(server.held):
        server.clock += timedelta(seconds=seconds - 1)
        server.answer(task_id, chose("hate"))
    collect_annotations(
        engine,
        server,
        policy,
        Recipe(),
        now=server.clock,
        resolve=lambda tx, entry_ids: labels.resolve_entries(tx, entry_ids, policy),
    )


@pytest.mark.parametrize(("seconds", "expected"), [(60, 15), (300, 10), (6, 40)])
def test_the_window_follows_the_reviewers_pace_between_its_bounds(
    engine: Engine, label_studio: FakeLabelStudio, seconds: float, expected: int
) -> None:
    rules = DispatchRecipe(window=40, least_window=10, minutes_ahead=15)
    policy = wait(engine, 90)
    first = dispatch(engine, label_studio, policy, Recipe(dispatch=rules))
    answer_every(engine, label_studio, policy, seconds=seconds)

    report = dispatch(engine, label_studio, policy, Recipe(dispatch=rules))

    assert (40, None) == (first.window, first.answers_per_hour)
    assert (expected, expected) == (report.window, report.open_tasks)
    assert 3600 / seconds == report.answers_per_hour


HOOK = Webhook("http://127.0.0.17:1/webhooks/label-studio", SecretStr("a-long-webhook-secret"))


def test_a_project_is_asked_to_tell_of_answers(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 1)

    report = dispatch(engine, label_studio, policy, webhook=HOOK)

    assert {report.project_id: HOOK} == label_studio.webhooks
    assert not report.webhook_refused


def test_an_address_that_may_not_be_called_is_told_and_stops_nothing(
    engine: Engine, label_studio: FakeLabelStudio
) -> None:
    policy = wait(engine, 2)

    def refuse() -> None:
        raise WebhookRefused(label_studio.url, HOOK.url, 403)

    label_studio.before["ensure_webhook"] = refuse

    report = dispatch(engine, label_studio, policy, webhook=HOOK)

    assert (2, True) == (report.pushed, report.webhook_refused)
