from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, event, select, text

from flows.collect_annotations import collect_annotations
from flows.collecting.keep import CollectReport
from flows.dispatch_batch import dispatch_batch
from hitl.db import schema
from hitl.labelstudio import LabelStudioUnavailable, ProjectGone
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import EntryId
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.labelstudio.fake import START, FakeLabelStudio, Killed, away, chose

pytestmark = pytest.mark.postgres


class Bench:
    """A database, a fake server, and tasks that are out for review."""

    def __init__(self, engine: Engine, count: int, **policy: Any) -> None:
        self.engine = engine
        self.server = FakeLabelStudio()
        self.policy: Policy = make_policy(**policy)
        self.resolved: list[list[EntryId]] = []
        texts = {f"i{n}": f"text {n}" for n in range(count)}
        with engine.begin() as tx:
            add_policy(tx, self.policy)
            add_items(tx, texts)
            add_entries(tx, texts, policy=self.policy)
        dispatch_batch(engine, self.server, self.policy, Recipe())

    @property
    def task_ids(self) -> list[int]:
        return sorted(self.server.held)

    def resolve(self, tx: Connection, entry_ids: Sequence[EntryId]) -> None:
        """One counted vote is enough, as with votes_wanted 1; none opens the question again."""
        self.resolved.append(list(entry_ids))
        for entry_id in entry_ids:
            tx.execute(
                text(
                    "UPDATE entries e SET state = CASE WHEN EXISTS (SELECT 1 FROM current_votes v"
                    " WHERE v.entry_id = e.entry_id) THEN 'done' ELSE 'dispatched' END"
                    " WHERE entry_id = :entry_id"
                ),
                {"entry_id": entry_id},
            )

    def collect(self, **more: Any) -> CollectReport:
        more.setdefault("now", self.server.clock)
        more.setdefault("sweep", False)
        more.setdefault("resolve", self.resolve)
        return collect_annotations(self.engine, self.server, self.policy, Recipe(), **more)

    def rows(self, statement: str) -> list[Any]:
        with self.engine.begin() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]

    def answers(self) -> list[dict[str, bool]]:
        return [row[0] for row in self.rows("SELECT answers FROM current_votes ORDER BY entry_id")]

    def kinds(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT kind FROM annotations ORDER BY updated_at")]

    def contents(self) -> list[Any]:
        """Everything a collection writes, without the moments of writing."""
        return [
            self.rows(
                "SELECT unique_id, updated_at, kind, task_id, entry_id, reviewer, result::text"
                " FROM annotations ORDER BY 1, 2"
            ),
            self.rows("SELECT unique_id, updated_at, answers::text FROM votes ORDER BY 1, 2"),
            self.rows("SELECT unique_id, updated_at, reason FROM annotation_rejects ORDER BY 1, 2"),
            self.rows("SELECT project_id, watermark FROM collect_cursors"),
            self.rows("SELECT entry_id, state FROM entries ORDER BY 1"),
        ]


@pytest.fixture
def bench(engine: Engine) -> Bench:
    return Bench(engine, 4)


def test_an_answer_becomes_an_annotation_a_vote_and_a_resolved_entry(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("hate", severity="2"), reviewer=9)

    report = bench.collect()

    assert (1, 1, 0) == (report.versions, report.votes, report.set_aside)
    assert [{"hate": True, "spam": False}] == bench.answers()
    assert [("9", 2)] == bench.rows("SELECT reviewer, severity FROM votes")
    assert [([*report.entries])] == bench.resolved
    assert [("dispatched", 3), ("done", 1)] == bench.rows(
        "SELECT state, count(*) FROM entries GROUP BY 1 ORDER BY 1"
    )


def test_collecting_again_changes_nothing(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("hate"))
    bench.server.answer(bench.task_ids[1], chose("NOT_A_LABEL"))
    bench.collect()
    bench.collect()
    before = bench.contents()

    report = bench.collect(sweep=True)

    assert 0 == report.versions
    assert before == bench.contents()


def test_an_edit_is_another_version_and_the_newest_counts(bench: Bench) -> None:
    annotation = bench.server.answer(bench.task_ids[0], chose("hate"))
    bench.collect()
    bench.server.edit(annotation, chose("none"))

    report = bench.collect()

    assert 1 == report.versions
    assert ["submitted", "submitted"] == bench.kinds()
    assert [{"hate": False, "spam": False}] == bench.answers()


Step = Callable[[FakeLabelStudio, int, int], None]
STEPS: dict[str, Step] = {
    "edit": lambda server, _, annotation: server.edit(annotation, chose("spam")),
    "skip": lambda server, _, annotation: server.edit(annotation, skip=True),
    "unskip": lambda server, _, annotation: server.edit(annotation, chose("hate")),
    "spoil": lambda server, _, annotation: server.edit(annotation, chose("NOT_A_LABEL")),
    "delete": lambda server, _, annotation: server.take_back(annotation),
}
HATE, SPAM = {"hate": True, "spam": False}, {"hate": False, "spam": True}


@pytest.mark.parametrize("seen_between", [True, False])
@pytest.mark.parametrize(
    ("steps", "counts"),
    [
        (["edit"], [SPAM]),
        (["skip"], []),
        (["delete"], []),
        (["skip", "unskip"], [HATE]),
        (["skip", "edit"], [SPAM]),
        (["edit", "skip"], []),
        (["edit", "delete"], []),
        (["skip", "delete"], []),
        (["spoil"], []),
        (["spoil", "edit"], [SPAM]),
        (["skip", "unskip", "skip", "unskip", "edit"], [SPAM]),
    ],
)
def test_what_reviewers_do_is_followed_in_every_order(
    bench: Bench, steps: list[str], counts: list[dict[str, bool]], seen_between: bool
) -> None:
    task_id = bench.task_ids[0]
    annotation = bench.server.answer(task_id, chose("hate"))
    for step in steps:
        if seen_between:
            bench.collect()
        STEPS[step](bench.server, task_id, annotation)

    bench.collect()

    assert counts == bench.answers()
    assert [("done" if counts else "dispatched",)] == bench.rows(
        f"SELECT e.state FROM entries e JOIN tasks t USING (entry_id) WHERE t.task_id = {task_id}"
    )


def test_a_new_answer_after_a_deleted_one_counts(bench: Bench) -> None:
    first = bench.server.answer(bench.task_ids[0], chose("hate"))
    bench.collect()
    bench.server.take_back(first)
    bench.collect()
    bench.server.answer(bench.task_ids[0], chose("spam"))

    bench.collect()

    assert [SPAM] == bench.answers()
    assert ["submitted", "deleted", "submitted"] == bench.kinds()


def test_a_skipped_task_is_no_vote_and_no_reject(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], [], skip=True)

    report = bench.collect()

    assert (1, 1, 0, 0) == (report.versions, report.skipped, report.votes, report.set_aside)


def test_labels_the_interface_cannot_produce_are_set_aside_and_the_task_is_asked_again(
    bench: Bench,
) -> None:
    bench.server.answer(bench.task_ids[0], chose("NOT_A_LABEL"))
    bench.server.answer(bench.task_ids[1], chose("hate"))

    report = bench.collect()

    assert (1, 1, 1) == (report.votes, report.set_aside, report.reopened)
    reasons = bench.rows("SELECT reason FROM annotation_rejects")
    assert [("a label in violations that the policy does not have",)] == reasons
    spoilt = bench.server.held[bench.task_ids[0]]
    assert (False, 2) == (spoilt.is_labelled, spoilt.overlap)


def test_a_task_is_asked_again_once_and_not_at_every_collection(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("NOT_A_LABEL"))
    bench.collect()

    assert 0 == bench.collect().reopened
    assert 0 == bench.collect(sweep=True).reopened


def test_a_reopening_that_was_lost_is_made_up_for_by_the_next_sweep(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("NOT_A_LABEL"))
    bench.server.before["reopen"] = away()
    with pytest.raises(LabelStudioUnavailable):
        bench.collect()
    bench.server.before.clear()
    bench.server.clock += timedelta(hours=1)

    report = bench.collect(sweep=None)

    assert (True, 1) == (report.swept, report.reopened)


def test_an_edit_that_became_visible_late_is_met_by_the_overlap(bench: Bench) -> None:
    annotation = bench.server.answer(bench.task_ids[0], chose("hate"))
    stamp = bench.server.clock
    late = bench.server.held[bench.task_ids[0]]
    hidden, late.annotations = late.annotations, []
    bench.server.answer(bench.task_ids[1], chose("spam"))
    bench.collect()
    late.annotations, late.updated_at = hidden, stamp

    report = bench.collect()

    assert 1 == report.versions
    assert annotation == hidden[0]["id"]


def test_what_changes_while_we_read_is_read_next_time(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("hate"))
    bench.collect()
    bench.server.clock += timedelta(days=1)
    first, last = bench.task_ids[0], bench.task_ids[-1]
    bench.server.answer(last, chose("hate"))
    original = bench.server.tasks_updated_since

    def busy(project_id: int, since: datetime | None) -> Any:
        *pages, end = original(project_id, since)
        yield from pages
        # Changed behind our back, and then something much later that a careless cursor
        # would take for how far it has read.
        bench.server.answer(first, chose("spam"), reviewer=2)
        bench.server.clock += timedelta(days=1)
        bench.server.answer(last, chose("spam"), reviewer=3)
        yield end

    bench.server.tasks_updated_since = busy  # type: ignore[method-assign]
    bench.collect()
    bench.server.tasks_updated_since = original  # type: ignore[method-assign]

    assert 2 == bench.collect().versions


def _stale(bench: Bench, task_id: int) -> None:
    """As a crash of Label Studio leaves it: the annotation is there, `updated_at` is old."""
    bench.server.held[task_id].updated_at = START - timedelta(days=1)


@pytest.mark.parametrize("change", ["answer", "edit", "delete"])
def test_a_change_that_a_stale_updated_at_hides_is_found_by_the_sweep(
    bench: Bench, change: str
) -> None:
    task_id = bench.task_ids[0]
    if change == "answer":
        bench.collect(sweep=True)
        bench.server.answer(task_id, chose("hate"))
    else:
        annotation = bench.server.answer(task_id, chose("hate"))
        bench.collect(sweep=True)
        STEPS[change](bench.server, task_id, annotation)
    _stale(bench, task_id)
    bench.server.clock += timedelta(hours=1)
    bench.server.answer(bench.task_ids[1], chose("hate"))
    assert 1 == bench.collect().versions

    report = bench.collect(sweep=None)

    assert (True, 1) == (report.swept, report.versions)


def test_the_first_collection_sweeps_and_the_next_only_when_it_is_due(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("hate"))

    assert bench.collect(sweep=None).swept
    assert not bench.collect(sweep=None).swept
    bench.server.clock += timedelta(minutes=11)
    assert bench.collect(sweep=None).swept


def test_after_label_studio_was_away_the_next_collection_sweeps(bench: Bench) -> None:
    bench.collect(sweep=None)
    bench.server.before["newest_update"] = away("refuses the connection")
    with pytest.raises(LabelStudioUnavailable, match="refuses the connection"):
        bench.collect(sweep=None)
    bench.server.before.clear()

    assert bench.collect(sweep=None).swept


def test_a_vanished_task_waits_again_and_is_pushed_anew(bench: Bench) -> None:
    gone = bench.task_ids[1]
    bench.server.delete_tasks(1, [gone])

    report = bench.collect(sweep=True)
    again = dispatch_batch(bench.engine, bench.server, bench.policy, Recipe())

    assert (1, 1) == (report.vanished, again.pushed)
    assert [("dispatched", 4)] == bench.rows("SELECT state, count(*) FROM entries GROUP BY 1")
    assert 4 == len({one.data["entry_id"] for one in bench.server.held.values()})


def test_clearing_finished_tasks_out_of_a_project_takes_no_label_back(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("hate"))
    bench.collect()
    bench.server.delete_tasks(1, [bench.task_ids[0]])

    report = bench.collect(sweep=True)

    assert (0, 0) == (report.deleted, report.vanished)
    assert [HATE] == bench.answers()


def test_another_server_in_its_place_takes_nothing_for_deleted(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("hate"))
    bench.collect()
    bench.server.held.clear()
    bench.server.projects.clear()

    with pytest.raises(ProjectGone):
        bench.collect(sweep=True)

    assert [HATE] == bench.answers()


def test_a_task_that_a_listing_missed_is_not_taken_for_gone(bench: Bench) -> None:
    original = bench.server.marks
    bench.server.marks = lambda *_, **__: iter([])  # type: ignore[method-assign]

    report = bench.collect(sweep=True)
    bench.server.marks = original  # type: ignore[method-assign]

    assert 0 == report.vanished
    assert [("dispatched", 4)] == bench.rows("SELECT state, count(*) FROM entries GROUP BY 1")


def test_an_answer_to_a_push_that_died_before_it_was_confirmed_counts(bench: Bench) -> None:
    with bench.engine.begin() as tx:
        tx.execute(text("UPDATE entries SET state = 'waiting' WHERE state = 'dispatched'"))
        tx.execute(text("UPDATE tasks SET task_id = NULL"))
        tx.execute(text("UPDATE pushes SET confirmed_at = NULL"))
    bench.server.answer(bench.task_ids[0], chose("hate"))

    report = bench.collect()

    assert (4, 1) == (report.adopted, report.votes)
    assert [HATE] == bench.answers()
    assert 0 == dispatch_batch(bench.engine, bench.server, bench.policy, Recipe()).pushed


def test_a_double_task_is_removed_and_its_answer_never(bench: Bench) -> None:
    one, two = (bench.server.held[task_id] for task_id in bench.task_ids[:2])
    bench.server.import_tasks(1, [one.data])
    bench.server.import_tasks(1, [two.data])
    answered = max(bench.server.held)
    bench.server.answer(answered, chose("spam"))

    report = bench.collect(sweep=True)

    assert (1, 1) == (report.doubles_removed, report.votes)
    assert 5 == len(bench.server.held)
    assert answered in bench.server.held
    assert [(two.data["entry_id"],)] == bench.rows("SELECT entry_id FROM current_votes")


def test_tasks_that_are_not_ours_are_left_alone(bench: Bench) -> None:
    bench.server.import_tasks(
        1, [{"text": "by hand"}, {"text": "t", "entry_id": 1, "push_id": "?"}]
    )
    bench.server.import_tasks(1, [{"text": "t", "entry_id": 1, "push_id": str(uuid4())}])
    bench.server.answer(max(bench.server.held), chose("hate"))

    report = bench.collect()

    assert (3, 0) == (report.foreign_tasks, report.versions)
    assert 7 == len(bench.server.held)


def test_an_annotation_that_comes_back_from_deletion_counts_again(bench: Bench) -> None:
    annotation = bench.server.answer(bench.task_ids[0], chose("hate"))
    task = bench.server.held[bench.task_ids[0]]
    kept = list(task.annotations)
    bench.collect()
    bench.server.take_back(annotation)
    bench.collect(now=bench.server.clock + timedelta(days=1))
    task.annotations = kept
    task.updated_at = bench.server.tick()

    report = bench.collect()
    again = bench.collect(sweep=True)

    assert (1, 0) == (report.versions, again.versions)
    assert [HATE] == bench.answers()


def test_an_answer_to_a_withdrawn_entry_is_kept_and_resolves_nothing(bench: Bench) -> None:
    with bench.engine.begin() as tx:
        tx.execute(text("UPDATE entries SET state = 'withdrawn'"))
    bench.server.answer(bench.task_ids[0], chose("hate"))

    report = bench.collect()

    assert 1 == report.versions
    assert [] == bench.resolved


def test_what_resolve_refuses_is_not_half_stored(bench: Bench) -> None:
    bench.server.answer(bench.task_ids[0], chose("hate"))
    before = bench.contents()

    def fails(tx: Connection, entry_ids: Sequence[EntryId]) -> None:
        raise Killed

    with pytest.raises(Killed):
        bench.collect(resolve=fails)
    assert before == bench.contents()

    assert 1 == bench.collect().versions


@pytest.mark.parametrize("statement", range(3, 27, 3))
def test_killed_at_any_statement_and_run_again_the_tables_are_the_same(
    bench: Bench, statement: int
) -> None:
    for n, task_id in enumerate(bench.task_ids[:3]):
        bench.server.answer(task_id, [chose("hate"), chose("spam"), chose("bad")][n])
    counted = itertools.count(1)

    def dies(*_: Any) -> None:
        if next(counted) == statement:
            raise Killed

    event.listen(bench.engine, "before_cursor_execute", dies)
    with pytest.raises(Killed):
        bench.collect(sweep=True)
    event.remove(bench.engine, "before_cursor_execute", dies)
    bench.engine.dispose()

    bench.collect(sweep=True)

    assert [HATE, SPAM] == bench.answers()
    assert [(3, 3)] == bench.rows("SELECT count(*), count(DISTINCT unique_id) FROM annotations")
    assert [(1,)] == bench.rows("SELECT count(*) FROM annotation_rejects")
    assert [("dispatched", 2), ("done", 2)] == bench.rows(
        "SELECT state, count(*) FROM entries GROUP BY 1 ORDER BY 1"
    )


def test_both_projects_are_read_and_a_leads_answer_is_marked_as_one(engine: Engine) -> None:
    from hitl.records import Stage

    bench = Bench(engine, 2)
    with engine.begin() as tx:
        tx.execute(text("UPDATE entries SET state = 'adjudicating' WHERE item_id = 'i0'"))
    dispatch_batch(engine, bench.server, bench.policy, Recipe(), stage=Stage.ADJUDICATION)
    bench.server.answer(bench.task_ids[-1], chose("spam"), reviewer=4)

    report = bench.collect(sweep=True)

    assert (2, 1) == (report.projects, report.votes)
    assert [("adjudication", "4")] == bench.rows("SELECT stage, reviewer FROM current_votes")


def test_a_hanging_server_ends_with_words_that_help(bench: Bench) -> None:
    bench.server.before["check_project"] = away("gave no answer for 60 seconds")

    with pytest.raises(LabelStudioUnavailable) as failure:
        bench.collect()

    message = str(failure.value)
    assert "gave no answer for 60 seconds" in message
    assert bench.server.url in message
    assert "hitl status" in message


def test_push_and_number_together_name_an_annotation(bench: Bench) -> None:
    annotation = bench.server.answer(bench.task_ids[0], chose("hate"))
    bench.collect()

    with bench.engine.begin() as tx:
        push_id: UUID = tx.execute(select(schema.pushes.c.push_id)).scalar_one()

    assert [(f"{annotation}@{push_id}",)] == bench.rows("SELECT unique_id FROM annotations")
