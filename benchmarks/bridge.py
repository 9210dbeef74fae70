"""`python -m benchmarks.bridge`: the way into Label Studio, and how soon it serves the next task.

Two claims, at a real Label Studio:

- **push**: `hitl dispatch` with its intents, looks and confirmations, against Label Studio's own
  bulk import called with the same tasks in the same batches. The two take turns.
- **next task**: what a reviewer waits for with so many tasks done, against 1,000 done. Once with
  all of them left in the project, and once as `hitl collect` keeps it.

Options: `--done 100000` (finished tasks), `--tasks 10000` (a dispatch), `--rounds 5`. On servers of
its own, or on those that HITL_TEST_POSTGRES and HITL_TEST_LABEL_STUDIO name.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from benchmarks.sampler_report import Bars, Spread
from flows.dispatch_batch import dispatch_batch
from hitl.db import begin, migrate
from hitl.labelstudio import LabelStudioClient, TaskContent, project_spec, task_data
from hitl.policy import Policy
from hitl.recipe import DispatchRecipe, Recipe
from hitl.records import EntryId, Stage
from hitl.services import label_studio
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.faults.databases import Databases
from tests.faults.soak import Servers, servers
from tests.labelstudio.fake import chose
from tests.labelstudio.people import RealPeople

PUSH_BAR = 0.85
NEXT_BAR = 1.5
_PER_CALL = 1000
_WORDS = " ".join(["a text of the length that posts have"] * 5)


@dataclass
class Place:
    """A database, a Label Studio, and a policy of this run's own."""

    engine: Engine
    client: LabelStudioClient
    people: RealPeople
    policy: Policy
    postgres_url: str
    entries: int = 0

    def wait(self, count: int) -> None:
        """So many entries that wait."""
        texts = {f"i{self.entries + k}": f"{k} {_WORDS}" for k in range(count)}
        with begin(self.engine) as tx:
            add_policy(tx, self.policy)
            add_items(tx, texts)
            add_entries(tx, texts, policy=self.policy, batch_id=f"b{self.entries}")
        self.entries += count

    def dispatch(self, recipe: Recipe) -> float:
        """Seconds that a dispatch takes."""
        begun = time.perf_counter()
        report = dispatch_batch(self.engine, self.client, self.policy, recipe)
        took = time.perf_counter() - begun
        assert report.waiting == 0, report
        return took

    def settle(self) -> None:
        """Vacuum what Label Studio keeps in the embedded Postgres. `hitl collect` takes out a
        thousand tasks at a time, and autovacuum keeps up; here they went all at once."""
        url = make_url(self.postgres_url).set(database=label_studio.DATABASE)
        settled = create_engine(url, isolation_level="AUTOCOMMIT")
        with settled.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        settled.dispose()

    def leave_window(self) -> None:
        """All that is open counts as answered, as far as the window goes."""
        with begin(self.engine) as tx:
            tx.execute(text("UPDATE entries SET state = 'done' WHERE state = 'dispatched'"))

    def import_directly(self, project_id: int, bodies: Sequence[dict[str, Any]]) -> float:
        """Seconds that Label Studio's own bulk import takes, in the batches of a dispatch."""
        begun = time.perf_counter()
        for start in range(0, len(bodies), _PER_CALL):
            part = [{"data": one} for one in bodies[start : start + _PER_CALL]]
            made = self.people.admin.post(f"/api/projects/{project_id}/import", json=part)
            made.raise_for_status()
        return time.perf_counter() - begun


def bodies_of(place: Place, count: int) -> list[dict[str, Any]]:
    push_id = uuid.uuid4()
    return [
        task_data(
            TaskContent(EntryId(k), f"i{k}", f"{k} {_WORDS}", surface="posts", language="en"),
            push_id=push_id,
            stage=Stage.REVIEW,
            policy=place.policy,
        )
        for k in range(count)
    ]


def measure_push(place: Place, bars: Bars, *, tasks: int, rounds: int) -> None:
    """Ours and the bulk import of the same tasks, in turn."""
    recipe = Recipe(dispatch=DispatchRecipe(window=tasks, tasks_per_push=_PER_CALL))
    spec = replace(project_spec(place.policy, Stage.REVIEW), marker=f"bench {uuid.uuid4()}")
    theirs = place.client.ensure_project(spec)
    place.wait(10)
    place.dispatch(recipe)  # the project is made, and both have warmed up
    place.leave_window()
    place.import_directly(theirs, bodies_of(place, 10))
    ratios = []
    for _ in range(rounds):
        place.wait(tasks)
        bodies = bodies_of(place, tasks)
        # Who comes after a pause finds a server that has gone to sleep: neither does.
        place.client.ensure_project(spec, project_id=theirs)
        direct = place.import_directly(theirs, bodies)
        place.client.ensure_project(spec, project_id=theirs)
        ours = place.dispatch(recipe)
        ratios.append(direct / ours)
        place.leave_window()
        bars.console.print(f"{tasks} tasks: import {direct:.2f} s, dispatch {ours:.2f} s")
    bars.hold(
        f"push of {tasks:,} tasks, of the bulk import's rate",
        Spread.of(ratios),
        "at least",
        PUSH_BAR,
    )
    place.people.delete_project(theirs)


def serve(place: Place, project_id: int, reviewer: int, calls: int = 30) -> list[float]:
    """Seconds from asking to the next task, with an answer in between as in life."""
    found = []
    for _ in range(calls):
        begun = time.perf_counter()
        task_id = place.people.next_task(project_id, reviewer=reviewer)
        found.append(time.perf_counter() - begun)
        assert task_id is not None
        place.people.answer(task_id, chose("none"), reviewer=reviewer)
    return found


def finish_tasks(place: Place, project_id: int, count: int, reviewers: Sequence[int]) -> None:
    """So many tasks with an answer, through an import: by hand it would take hours."""
    for start in range(0, count, _PER_CALL):
        part = bodies_of(place, min(_PER_CALL, count - start))
        body = [
            {
                "data": one,
                "annotations": [
                    {
                        "result": chose("hate" if k % 2 else "none"),
                        "completed_by": reviewers[k % len(reviewers)],
                        "was_cancelled": False,
                    }
                ],
            }
            for k, one in enumerate(part)
        ]
        made = place.people.admin.post(f"/api/projects/{project_id}/import", json=body)
        made.raise_for_status()


def delete_oldest(place: Place, project_id: int, keep: int) -> None:
    """What archiving asks of Label Studio, by the same request."""
    done = [
        task for page in place.client.marks(project_id) for task in page.tasks if task.is_labelled
    ]
    going = done[: max(0, len(done) - keep)]
    for start in range(0, len(going), 100):
        part = going[start : start + 100]
        place.client.delete_tasks(
            project_id,
            [one.task_id for one in part],
            not_updated_after=max(one.updated_at for one in part),
        )


def measure_next(place: Place, bars: Bars, *, done: int) -> None:
    """What a reviewer waits for, as the project fills and as archiving keeps it."""
    spec = replace(project_spec(place.policy, Stage.REVIEW), marker=f"bench {uuid.uuid4()}")
    project_id = place.client.ensure_project(spec)
    reviewers = [place.people.join(f"bench{k}") for k in range(5)]

    def latency(what: str) -> list[float]:
        place.import_directly(project_id, bodies_of(place, 40))
        found = serve(place, project_id, reviewers[0])
        middle, high = np.percentile(found, [50, 95]) * 1000
        bars.console.print(f"next task, {what}: p50 {middle:.0f} ms, p95 {high:.0f} ms")
        return found

    finish_tasks(place, project_id, 1000, reviewers)
    few = latency("1,000 done")
    finish_tasks(place, project_id, done - 1000, reviewers)
    many = latency(f"{done:,} done and all of them left there")
    kept = DispatchRecipe().tasks_per_project
    delete_oldest(place, project_id, kept)
    place.settle()
    tidied = latency(f"{done:,} done, {kept:,} left there as `hitl collect` leaves them")
    bars.hold(
        f"next task with {done:,} done, archived, against 1,000",
        float(np.median(tidied) / np.median(few)),
        "at most",
        NEXT_BAR,
    )
    bars.console.print(f"without archiving: {np.median(many) / np.median(few):.2f} x")
    place.people.delete_project(project_id)


@contextmanager
def place_on(on: Servers) -> Iterator[Place]:
    databases = Databases(on.postgres_url, empty="template1")
    url = databases.make()
    with databases.opened(url) as engine:
        migrate(engine)
        people = RealPeople(on.label_studio_url, on.token)
        client = LabelStudioClient(on.label_studio_url, SecretStr(on.token), timeout_seconds=300)
        try:
            yield Place(
                engine,
                client,
                people,
                make_policy(name=f"bench-{uuid.uuid4().hex[:8]}"),
                on.postgres_url,
            )
        finally:
            people.close()
            engine.dispose()
            databases.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--done", type=int, default=20_000)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    bars = Bars(Console())
    with (
        tempfile.TemporaryDirectory(prefix="hitl-bench-", ignore_cleanup_errors=True) as folder,
        servers(Path(folder)) as on,
        place_on(on) as place,
    ):
        measure_push(place, bars, tasks=given.tasks, rounds=given.rounds)
        measure_next(place, bars, done=given.done)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
