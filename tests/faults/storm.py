"""The bridge under a proxy that breaks: rounds of work, a recovery, and what must be true then."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import httpx
from sqlalchemy import Engine, text

from flows import steps
from flows.reconcile import reconcile
from flows.wiring import World
from hitl.db import begin
from hitl.labelstudio import LabelStudioClient, LabelStudioUnavailable
from hitl.policy import Policy
from hitl.recipe import CollectRecipe, DispatchRecipe, Recipe
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.faults.proxy import Proxy, healthy
from tests.labelstudio.fake import chose

T = TypeVar("T")

# A storm breaks most tries: so many in a row fail by chance about never.
_TRIES = 60


@dataclass
class Given:
    """An answer that Label Studio acknowledged, as it stands: its task, and what was chosen."""

    task_id: int
    category: str | None  # None: taken back


@dataclass
class Storm:
    """Entries, a policy of their own, people past the proxy, and our flows behind it."""

    engine: Engine
    proxy: Proxy
    broken: LabelStudioClient  # through the proxy
    direct: LabelStudioClient  # past it
    people: httpx.Client
    rng: random.Random
    policy: Policy = field(
        default_factory=lambda: make_policy(name=f"storm-{uuid.uuid4().hex[:8]}")
    )
    recipe: Recipe = field(
        default_factory=lambda: Recipe(
            dispatch=DispatchRecipe(window=12, tasks_per_push=4),
            collect=CollectRecipe(overlap_seconds=10),
        )
    )
    given: dict[int, Given] = field(default_factory=dict)  # by annotation
    unavailable: int = 0
    runs: int = 0

    def wait(self, count: int) -> None:
        """So many entries that wait."""
        texts = {f"i{k}": f"what somebody wrote, number {k}" for k in range(count)}
        with begin(self.engine) as tx:
            add_policy(tx, self.policy)
            add_items(tx, texts)
            add_entries(tx, texts, policy=self.policy)

    def world(self, client: LabelStudioClient) -> World:
        made: Any = SimpleNamespace(
            engine=self.engine,
            label_studio=client,
            policy=self.policy,
            recipe=self.recipe,
            webhook=None,
        )
        return cast(World, made)

    def insist(self, step: Callable[..., T], **parameters: Any) -> T:
        """Run a step through the proxy until it ends by itself, as a schedule would."""
        for _ in range(_TRIES):
            self.runs += 1
            try:
                return step(self.world(self.broken), **parameters)
            except LabelStudioUnavailable:
                self.unavailable += 1
        raise AssertionError(f"{step.__name__} did not come through in {_TRIES} runs")

    def round(self) -> None:
        """Push, let people work, collect; in between, wake-ups that may be lost or doubled."""
        self.insist(steps.dispatch_batch)
        heard = self.work()
        self.rng.shuffle(heard)
        for task_id in heard:
            if self.rng.random() > 0.3:
                self.insist(steps.collect_tasks, task_ids=[task_id])
        self.insist(steps.collect_annotations, sweep=self.rng.choice([None, False, True]))

    def work(self) -> list[int]:
        """People answer half of the open tasks, and mend or take back some of their answers.

        The tasks as a webhook would tell them: each change once or twice.
        """
        heard: list[int] = []
        for task_id in self.open_tasks():
            if self.rng.random() < 0.5:
                category = self.rng.choice(["hate", "spam", "none"])
                body = {"result": chose(category), "unique_id": str(uuid.uuid4())}
                made = self.people.post(f"/api/tasks/{task_id}/annotations/", json=body)
                if made.status_code == 404:
                    continue  # one that was there twice, and is removed meanwhile
                made.raise_for_status()
                self.given[int(made.json()["id"])] = Given(task_id, category)
                heard += [task_id] * self.rng.choice([1, 2])
        standing = [one for one, what in self.given.items() if what.category is not None]
        for number in self.rng.sample(standing, min(2, len(standing))):
            what = self.given[number]
            if self.rng.random() < 0.6:
                what.category = self.rng.choice(["hate", "spam", "none"])
                body = {"result": chose(what.category)}
                self.people.patch(f"/api/annotations/{number}/", json=body).raise_for_status()
            else:
                self.people.delete(f"/api/annotations/{number}/").raise_for_status()
                what.category = None
            heard.append(what.task_id)
        return heard

    def open_tasks(self) -> list[int]:
        """What Label Studio would serve: its own list, ours or not."""
        return [
            task.task_id
            for project_id in self.projects()
            for page in self.direct.marks(project_id)
            for task in page.tasks
            if not task.is_labelled
        ]

    def projects(self) -> list[int]:
        query = "SELECT project_id FROM labelling_projects JOIN policies USING (policy_id)"
        with begin(self.engine) as tx:
            found = tx.execute(text(f"{query} WHERE name = :name"), {"name": self.policy.name})
            return sorted(found.scalars())

    def recover(self) -> None:
        """The storm is over: all that was on its way has arrived, and both flows run once more."""
        self.proxy.choose = healthy
        self.proxy.drain()
        world = self.world(self.direct)
        for _ in range(2):
            steps.dispatch_batch(world)
            steps.collect_annotations(world, sweep=True)

    def finish(self) -> None:
        """Everybody answers all that is left."""
        world = self.world(self.direct)
        for _ in range(100):
            steps.dispatch_batch(world)
            left = self.open_tasks()
            if not left:
                return
            for task_id in left:
                body = {"result": chose("hate"), "unique_id": str(uuid.uuid4())}
                made = self.people.post(f"/api/tasks/{task_id}/annotations/", json=body)
                made.raise_for_status()
                self.given[int(made.json()["id"])] = Given(task_id, "hate")
            steps.collect_annotations(world, sweep=True)
        raise AssertionError("work is left after a hundred rounds")

    def broken_promises(self) -> list[str]:
        """What is not as it must be after a recovery; must be empty."""
        told = [
            f"{one.name}: {one.left} and {one.right}"
            for one in reconcile(self.world(self.direct))
            if not one.balances
        ]
        with begin(self.engine) as tx:
            votes = {
                row.number: row.answers
                for row in tx.execute(
                    text(
                        "SELECT split_part(unique_id, '@', 1)::int AS number, answers"
                        " FROM current_votes"
                    )
                )
            }
            asked_twice = tx.execute(
                text("SELECT count(*) - count(DISTINCT (entry_id, stage)) FROM tasks")
            ).scalar_one()
        wanted = {
            number: {one: one == what.category for one in self.policy.category_ids}
            for number, what in self.given.items()
            if what.category is not None
        }
        # Of one person's answers to one question the newest counts: theirs may have been doubled.
        newest = {self.given[one].task_id: one for one in sorted(wanted)}
        lost = set(newest.values()) - set(votes)
        told += [f"the answer {one} is lost" for one in sorted(lost)]
        strange = set(votes) - set(wanted)
        told += [f"the answer {one} counts, and was taken back or never given" for one in strange]
        told += [
            f"the answer {one} counts for something else than was chosen"
            for one in sorted(set(votes) & set(wanted))
            if votes[one] != wanted[one]
        ]
        if asked_twice:
            told.append(f"{asked_twice} question(s) with two tasks")
        return told
