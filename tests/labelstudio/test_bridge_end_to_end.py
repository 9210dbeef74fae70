"""Dispatch and collect against a real Label Studio, with reviewers who log in as themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, text

from flows.collect_annotations import collect_annotations
from flows.collecting.keep import CollectReport
from flows.dispatch_batch import dispatch_batch
from hitl.labelstudio import LabelStudioClient, LabelStudioUnavailable, project_spec
from hitl.policy import Policy
from hitl.recipe import DispatchRecipe, Recipe
from hitl.records import EntryId, Stage
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.conftest import RunningLabelStudio
from tests.labelstudio.fake import chose
from tests.labelstudio.people import RealPeople

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]


@dataclass
class Team:
    """A database, a real server, two reviewers."""

    engine: Engine
    server: LabelStudioClient
    people: RealPeople
    policy: Policy
    ann: int
    ben: int

    def wait(self, count: int) -> None:
        texts = {f"i{n}": f"text {n}" for n in range(count)}
        with self.engine.begin() as tx:
            add_policy(tx, self.policy)
            add_items(tx, texts)
            add_entries(tx, texts, policy=self.policy)

    def dispatch(self, **more: Any) -> int:
        recipe = Recipe(dispatch=DispatchRecipe(window=10, tasks_per_push=4))
        report = dispatch_batch(self.engine, self.server, self.policy, recipe, **more)
        assert report.project_id is not None
        return report.project_id

    def collect(self, sweep: bool = False) -> CollectReport:
        return collect_annotations(
            self.engine,
            self.server,
            self.policy,
            Recipe(),
            now=datetime.now(UTC),
            sweep=sweep,
            resolve=self._resolve,
        )

    def _resolve(self, tx: Connection, entry_ids: Sequence[EntryId]) -> None:
        tx.execute(
            text(
                "UPDATE entries e SET state = CASE WHEN EXISTS (SELECT 1 FROM current_votes v"
                " WHERE v.entry_id = e.entry_id) THEN 'done' ELSE 'dispatched' END"
                " WHERE entry_id = ANY(:ids)"
            ),
            {"ids": list(entry_ids)},
        )

    def rows(self, statement: str) -> list[Any]:
        with self.engine.begin() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]


@pytest.fixture
def team(engine: Engine, label_studio_server: RunningLabelStudio) -> Iterator[Team]:
    people = RealPeople(label_studio_server.url, label_studio_server.token)
    client = LabelStudioClient(label_studio_server.url, SecretStr(label_studio_server.token))
    # A version of its own gives each test a project of its own.
    policy = make_policy(version=datetime.now(UTC).strftime("%H%M%S.%f"))
    yield Team(engine, client, people, policy, people.join("ann"), people.join("ben"))
    people.close()


def test_reviewers_are_served_the_most_urgent_first_and_each_task_to_one(team: Team) -> None:
    team.wait(6)
    project_id = team.dispatch()
    order = [row[0] for row in team.rows("SELECT task_id FROM tasks ORDER BY entry_id")]

    first = team.people.next_task(project_id, reviewer=team.ann)
    second = team.people.next_task(project_id, reviewer=team.ben)

    assert order[:2] == [first, second]


def test_what_reviewers_do_comes_back_and_repeating_changes_nothing(team: Team) -> None:
    team.wait(6)
    team.dispatch()
    ids = [row[0] for row in team.rows("SELECT task_id FROM tasks ORDER BY entry_id")]
    team.people.answer(ids[0], chose("hate", severity="3"), reviewer=team.ann)
    edited = team.people.answer(ids[1], chose("hate"), reviewer=team.ann)
    team.people.answer(ids[2], [], reviewer=team.ben, skip=True)
    deleted = team.people.answer(ids[3], chose("spam"), reviewer=team.ben)
    spoilt = team.people.answer(ids[4], chose("NOT_A_LABEL"), reviewer=team.ann)
    first = team.collect()
    team.people.edit(edited, chose("none"))
    team.people.take_back(deleted)

    second = team.collect()
    third = team.collect(sweep=True)

    assert (5, 3, 1, 1) == (first.versions, first.votes, first.skipped, first.set_aside)
    assert (2, 1, 1) == (second.versions, second.votes, second.deleted)
    assert 0 == third.versions
    assert [
        ({"hate": True, "spam": False}, str(team.ann)),
        ({"hate": False, "spam": False}, str(team.ann)),
    ] == team.rows("SELECT answers, reviewer FROM current_votes ORDER BY entry_id")
    assert [(f"{spoilt}",)] == team.rows(
        "SELECT split_part(unique_id, '@', 1) FROM annotation_rejects"
    )


def test_after_an_answer_that_cannot_be_counted_somebody_else_is_asked(team: Team) -> None:
    team.wait(1)
    project_id = team.dispatch()
    (task_id,) = team.rows("SELECT task_id FROM tasks")[0]
    team.people.answer(task_id, chose("NOT_A_LABEL"), reviewer=team.ann)
    assert team.people.next_task(project_id, reviewer=team.ben) is None

    report = team.collect()

    assert 1 == report.reopened
    assert task_id == team.people.next_task(project_id, reviewer=team.ben)
    team.people.answer(task_id, chose("spam"), reviewer=team.ben)
    team.collect()
    assert [("done",)] == team.rows("SELECT state FROM entries")


def test_a_reply_that_was_lost_doubles_nothing(team: Team) -> None:
    team.wait(6)
    original = team.server.import_tasks

    def loses_the_reply(project_id: int, tasks: Any) -> None:
        original(project_id, tasks)
        raise LabelStudioUnavailable(team.server.url, "gave no answer for 60 seconds")

    team.server.import_tasks = loses_the_reply  # type: ignore[method-assign]
    with pytest.raises(LabelStudioUnavailable):
        team.dispatch()
    team.server.import_tasks = original  # type: ignore[method-assign]

    project_id = team.dispatch()

    there = [task.task_id for page in team.server.marks(project_id) for task in page.tasks]
    here = [row[0] for row in team.rows("SELECT task_id FROM tasks ORDER BY task_id")]
    assert (6, here) == (len(there), there)


def test_a_deleted_task_is_pushed_anew(team: Team) -> None:
    team.wait(3)
    project_id = team.dispatch()
    (gone, *_) = (row[0] for row in team.rows("SELECT task_id FROM tasks ORDER BY entry_id"))
    team.server.delete_tasks(project_id, [gone])

    report = team.collect(sweep=True)
    team.dispatch()

    assert 1 == report.vanished
    there = [task.task_id for page in team.server.marks(project_id) for task in page.tasks]
    assert 3 == len(there)
    assert gone not in there


def test_a_project_that_is_as_it_should_be_is_not_written_again(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = 'Two lines:\n"quoted" & <marked>, it\'s $5.\n\nAnother paragraph.'
    spec = project_spec(
        make_policy(
            version=team.policy.version,
            instructions=words,
            category=[{"id": "hate", "title": "Hate", "definition": words, "hotkey": "h"}],
        ),
        Stage.REVIEW,
    )
    project_id = team.server.ensure_project(spec)
    asked: list[str] = []
    original = team.server._ask
    monkeypatch.setattr(
        team.server,
        "_ask",
        lambda method, *rest, **more: asked.append(method) or original(method, *rest, **more),
    )

    team.server.ensure_project(spec, project_id=project_id)

    assert ["GET"] == asked
    team.people.delete_project(project_id)
