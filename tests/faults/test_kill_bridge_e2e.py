"""Flows 3 and 4 under kill -9, against a real Label Studio: one task each, no answer lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from hitl.db import begin
from hitl.labelstudio import LabelStudioClient, project_spec
from hitl.recipe import Recipe, recipe_from
from hitl.records import Stage
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.conftest import RunningLabelStudio
from tests.faults.databases import Databases
from tests.faults.trial import Ground, survives_kills
from tests.labelstudio.fake import chose
from tests.labelstudio.people import RealPeople

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]

ITEMS = 26
WINDOW = 20


def make_recipe() -> Recipe:
    body = {"dispatch": {"window": WINDOW, "tasks_per_push": 6}}
    return recipe_from(body, where="test recipe")


class Bridge:
    """Grounds with entries that wait, and the Label Studio that they share."""

    def __init__(self, server: RunningLabelStudio, databases: Databases, folder: Path) -> None:
        self.url, self.token = server.url, server.token
        self.databases = databases
        self.client = LabelStudioClient(server.url, SecretStr(server.token))
        self.http = httpx.Client(
            base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=60
        )
        self._folder = folder
        self._run = uuid.uuid4().hex[:8]  # the server may know the trials of an earlier run

    def fresh(self, name: str) -> Ground:
        """Entries of a policy of its own, so that each trial has a project of its own."""
        ground = self.ground(name, policy_name=f"kill-{self._run}-{name}")
        texts = {f"i{k}": f"what somebody wrote, number {k}" for k in range(ITEMS)}
        with self.databases.opened(ground.database_url) as engine, begin(engine) as tx:
            add_policy(tx, ground.policy)
            add_items(tx, texts)
            add_entries(tx, texts, policy=ground.policy)
        return ground

    def ground(self, name: str, *, policy_name: str, like: str | None = None) -> Ground:
        state = self._folder / name
        state.mkdir()
        return Ground(
            self.databases.make(like=like),
            state,
            make_policy(name=policy_name),
            make_recipe(),
            {"label_studio_url": self.url, "label_studio_token": self.token},
        )

    def rows(self, ground: Ground, statement: str) -> list[Any]:
        with self.databases.opened(ground.database_url) as engine, begin(engine) as tx:
            return [tuple(row) for row in tx.execute(text(statement))]

    def projects(self, ground: Ground) -> list[int]:
        """Every project there that carries this policy's marker, whether we know it or not."""
        marker = project_spec(ground.policy, Stage.REVIEW).marker
        page: dict[str, str | int] = {"page_size": 10_000, "include": "id,description"}
        listed = self.http.get("/api/projects/", params=page).json()["results"]
        return [one["id"] for one in listed if one["description"] == marker]

    def marks(self, project_id: int) -> dict[int, tuple[bool, int]]:
        """Of each task there, whether it counts as answered, and its number of annotations."""
        return {
            task.task_id: (task.is_labelled, len(task.annotations))
            for page in self.client.marks(project_id)
            for task in page.tasks
        }


@pytest.fixture
def bridge(
    label_studio_server: RunningLabelStudio, databases: Databases, tmp_path: Path
) -> Iterator[Bridge]:
    made = Bridge(label_studio_server, databases, tmp_path)
    yield made
    made.http.close()


def test_a_dispatch_that_is_killed_anywhere_and_run_again_makes_each_task_once(
    bridge: Bridge, databases: Databases
) -> None:
    def tasks_there(ground: Ground) -> list[tuple[str, str]]:
        (project_id,) = bridge.projects(ground)
        there = sorted(bridge.marks(project_id))
        here = bridge.rows(ground, "SELECT task_id FROM tasks ORDER BY task_id")
        assert there == [row[0] for row in here], "a task that is not in our tables, or not there"
        seen = bridge.client.tasks(project_id, there)
        return sorted((str(one.data["item_id"]), str(one.data["stage"])) for one in seen)

    tried = survives_kills(
        "dispatch_batch",
        fresh=bridge.fresh,
        databases=databases,
        check=tasks_there,
        # After a kill it waits for Label Studio to settle.
        at_once=4,
    )

    assert tried >= 20


class Answered:
    """A project half collected, then changed in every way: what the next collection meets."""

    def __init__(self, bridge: Bridge, label_studio_server: RunningLabelStudio) -> None:
        self._bridge = bridge
        self._people = RealPeople(label_studio_server.url, label_studio_server.token)
        self.prepared = bridge.fresh("prepared")
        self._go("dispatch_batch")
        (self.project_id,) = bridge.projects(self.prepared)
        self._answer()
        self._before = bridge.marks(self.project_id)
        self._people.close()

    def fresh(self, name: str) -> Ground:
        """A copy of our database; in Label Studio, what a collection reopened is closed again."""
        for task_id, mark in self._bridge.marks(self.project_id).items():
            if mark != self._before[task_id]:
                body = {"overlap": 1, "is_labeled": self._before[task_id][0]}
                self._bridge.http.patch(f"/api/tasks/{task_id}/", json=body).raise_for_status()
        assert self._before == self._bridge.marks(self.project_id)
        like, policy = self.prepared.database_url, self.prepared.policy
        return self._bridge.ground(name, policy_name=policy.name, like=like)

    def marks(self, _: Ground) -> dict[int, tuple[bool, int]]:
        return self._bridge.marks(self.project_id)

    def _answer(self) -> None:
        ann, ben = self._people.join("ann"), self._people.join("ben")
        ids = [row[0] for row in self._bridge.rows(self.prepared, "SELECT task_id FROM tasks")]
        answer = self._people.answer
        edited = answer(ids[0], chose("hate", severity="3"), reviewer=ann)
        deleted = answer(ids[1], chose("spam"), reviewer=ben)
        skipped_later = answer(ids[2], chose("none"), reviewer=ann)
        for task_id in ids[3:5]:
            answer(task_id, chose("spam"), reviewer=ann)
        self._go("collect_annotations")
        self._people.edit(edited, chose("none"))
        self._people.take_back(deleted)
        self._people.edit(skipped_later, skip=True)
        answer(ids[5], [], reviewer=ben, skip=True)
        answer(ids[6], chose("NOT_A_LABEL"), reviewer=ben)
        for task_id in ids[7:18]:
            answer(task_id, chose("hate" if task_id % 2 else "none"), reviewer=ben)

    def _go(self, step: str) -> None:
        done = self.prepared.run(step)
        assert done.error is None, done.trace


@pytest.mark.parametrize(("sweep", "every"), [(False, 2), (True, 4)])
def test_a_collection_that_is_killed_anywhere_and_run_again_loses_and_doubles_no_answer(
    bridge: Bridge,
    databases: Databases,
    label_studio_server: RunningLabelStudio,
    sweep: bool,
    every: int,
) -> None:
    answered = Answered(bridge, label_studio_server)

    tried = survives_kills(
        "collect_annotations",
        fresh=answered.fresh,
        databases=databases,
        parameters={"sweep": sweep},
        check=answered.marks,
        at_once=1,  # they share a project in Label Studio
        every=every,
    )

    assert tried * every >= 20
