from __future__ import annotations

import itertools
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select, text

from flows.collect_annotations import collect_annotations
from flows.dispatch_batch import DispatchReport, dispatch_batch
from hitl import labels
from hitl.db import AlreadyRunning, schema, single_flight
from hitl.labelstudio import (
    ImportRefused,
    LabelStudioUnavailable,
    ProjectGone,
    Webhook,
    WebhookRefused,
)
from hitl.policy import Policy
from hitl.recipe import DispatchRecipe, Recipe
from hitl.records import Stage
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.labelstudio.fake import FakeLabelStudio, away, chose

pytestmark = pytest.mark.postgres

SMALL = Recipe(dispatch=DispatchRecipe(window=6, tasks_per_push=2))


class Killed(BaseException):
    """The process dies here."""


def kill() -> None:
    raise Killed


@pytest.fixture
def label_studio() -> FakeLabelStudio:
    return FakeLabelStudio()


def wait(engine: Engine, count: int, *, policy: Policy | None = None, **more: Any) -> Policy:
    """So many waiting entries, i0 the most urgent."""
    policy = policy or make_policy()
    texts = more.pop("texts", {f"i{n}": f"text {n}" for n in range(count)})
    with engine.begin() as tx:
        add_policy(tx, policy)
        add_items(tx, texts)
        add_entries(tx, texts, policy=policy, **more)
    return policy


def dispatch(
    engine: Engine, server: FakeLabelStudio, policy: Policy, recipe: Recipe = SMALL, **more: Any
) -> DispatchReport:
    more.setdefault("sleep", lambda _: None)
    return dispatch_batch(engine, server, policy, recipe, **more)


def states(engine: Engine) -> Counter[str]:
    with engine.begin() as tx:
        return Counter(tx.execute(select(schema.entries.c.state)).scalars())


def books_agree(engine: Engine, server: FakeLabelStudio) -> bool:
    """Every task here is one there, about the same entry, and there is no other."""
    with engine.begin() as tx:
        rows = tx.execute(select(schema.tasks.c.task_id, schema.tasks.c.entry_id)).all()
    here = {row.task_id: row.entry_id for row in rows}
    there = {one.task_id: one.data["entry_id"] for one in server.held.values()}
    return here == there and len(set(there.values())) == len(there)


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
