"""Step 3: the most urgent entries become Label Studio tasks, each exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from hitl import logs
from hitl.db import begin, single_flight
from hitl.labelstudio import (
    ImportRefused,
    LabelStudio,
    LabelStudioUnavailable,
    ProjectGone,
    SeenTask,
    TaskContent,
    answers,
    interface_hash,
    project_spec,
    pushes,
    store,
    task_data,
)
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import EntryId, Stage

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logs.get(__name__)

Progress = Callable[[int, int | None], None]

# A call that lost its reply may still be at work. Postgres was seen to finish one second after
# Label Studio was killed, and imports of 1,000 tasks to take less than one.
SETTLE_SECONDS = 5.0
# Label Studio takes 250 MB in a request; a text is at most four bytes a character.
_MAX_CHARACTERS = 20_000_000


@dataclass(frozen=True, slots=True)
class DispatchReport:
    """What a dispatch did. `pushed` are new tasks, `recovered` those of an interrupted run."""

    stage: Stage
    project_id: int | None = None
    pushed: int = 0
    recovered: int = 0
    doubles_removed: int = 0
    refused: list[EntryId] = field(default_factory=list)
    open_tasks: int = 0
    waiting: int = 0


def dispatch_batch(
    engine: Engine,
    label_studio: LabelStudio,
    policy: Policy,
    recipe: Recipe,
    *,
    stage: Stage = Stage.REVIEW,
    limit: int | None = None,
    progress: Progress | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    new_push_id: Callable[[], UUID] = uuid4,
    replace_lost_project: bool = False,
) -> DispatchReport:
    """Fill the window of open tasks, most urgent entries first; at most `limit` new ones.

    May be killed at any instruction and run again: the intent is committed before each call, and
    what became of an interrupted call is looked up before anything is pushed. Entries whose item
    has no text yet go on waiting.

    Args:
        settle_seconds: how long an interrupted call may still be at work in Label Studio.
        replace_lost_project: a project that is gone is made anew; its open entries wait again.

    Raises:
        LabelStudioUnavailable: it was away; what was confirmed is kept, the rest is looked up
            by the next run.
        ProjectGone: the project that we pushed to is not there.
        ImportRefused: it took not one task of a push.
        AlreadyRunning: another dispatch of this policy and stage runs.
    """
    with single_flight(engine, f"push {policy.name} {stage} to Label Studio"):
        run = _Dispatch(
            engine, label_studio, policy, recipe, stage, settle_seconds, sleep, new_push_id
        )
        try:
            return run.run(limit, progress, replace_lost_project=replace_lost_project)
        except LabelStudioUnavailable:
            with begin(engine) as tx:
                answers.ask_for_sweep(tx, policy_name=policy.name)
            raise


@dataclass(slots=True)
class _Dispatch:
    """One run: what it works with, and what it has counted so far."""

    engine: Engine
    label_studio: LabelStudio
    policy: Policy
    recipe: Recipe
    stage: Stage
    settle_seconds: float
    sleep: Callable[[float], None]
    new_push_id: Callable[[], UUID]
    settled: bool = False
    accepted: int = 0
    doubles_removed: int = 0
    refused: list[EntryId] = field(default_factory=list)

    def run(
        self, limit: int | None, progress: Progress | None, *, replace_lost_project: bool
    ) -> DispatchReport:
        """Recover, then fill."""
        project_id = self._project(replace_lost_project=replace_lost_project)
        if project_id is None:
            return DispatchReport(self.stage)
        recovered = self._recover(project_id)
        self._resume(project_id)
        pushed = self._fill(project_id, limit, progress)
        with begin(self.engine) as tx:
            report = DispatchReport(
                stage=self.stage,
                project_id=project_id,
                pushed=pushed,
                recovered=recovered,
                doubles_removed=self.doubles_removed,
                refused=self.refused,
                open_tasks=pushes.count_open(tx, project_id, self.stage),
                waiting=pushes.count_askable(tx, self.policy, self.stage),
            )
        log.info(
            "batch_dispatched",
            policy_id=self.policy.policy_id,
            stage=self.stage.value,
            project_id=project_id,
            pushed=pushed,
            recovered=recovered,
            waiting=report.waiting,
        )
        return report

    def _project(self, *, replace_lost_project: bool) -> int | None:
        """The project as the policy wants it; None where nothing was ever asked or waits."""
        spec = project_spec(self.policy, self.stage)
        with begin(self.engine) as tx:
            known = store.project_id_of(tx, self.policy, self.stage)
            waiting = pushes.count_askable(tx, self.policy, self.stage)
        if known is None and not waiting:
            return None
        try:
            project_id = self.label_studio.ensure_project(spec, project_id=known)
        except ProjectGone as gone:
            if not replace_lost_project:
                raise
            with begin(self.engine) as tx:
                back = store.forget_project(tx, gone.project_id)
            log.warning("project_replaced", project_id=gone.project_id, entries=len(back))
            project_id = self.label_studio.ensure_project(spec)
        with begin(self.engine) as tx:
            store.keep_project(
                tx,
                project_id=project_id,
                policy=self.policy,
                stage=self.stage,
                interface_hash=interface_hash(spec.interface),
            )
        return project_id

    def _recover(self, project_id: int) -> int:
        """Finish every push that we do not know the end of. How many tasks came to be known."""
        with begin(self.engine) as tx:
            unknown = pushes.unconfirmed_pushes(tx, project_id, self.policy, self.stage)
        return sum(self._finish(push) for push in unknown)

    def _finish(self, push: pushes.Push) -> int:
        there = self._look(push)
        missing = [one for one in push.contents if one.entry_id not in there]
        if missing and not self.settled:
            # The interrupted call may be about to land; importing now would double it.
            self.sleep(self.settle_seconds)
            self.settled = True
            there = self._look(push)
            missing = [one for one in push.contents if one.entry_id not in there]
        with begin(self.engine) as tx:
            found = pushes.adopt(tx, push.push_id, self.stage, there)
        return found + self._bring(push, missing)

    def _resume(self, project_id: int) -> None:
        """Entries that a person requeued still have their task: serve it again, or let it go."""
        with begin(self.engine) as tx:
            waiting = store.requeued(tx, project_id)
        if not waiting:
            return
        there = self.label_studio.tasks(project_id, sorted(waiting))
        for task in there:
            if task.is_labelled:
                self.label_studio.reopen(task.task_id, overlap=len(task.annotations) + 1)
        still = {task.task_id for task in there}
        with begin(self.engine) as tx:
            store.vanished(tx, project_id, sorted(set(waiting) - still))
            store.resume(tx, sorted(waiting[one] for one in still))

    def _fill(self, project_id: int, limit: int | None, progress: Progress | None) -> int:
        with begin(self.engine) as tx:
            room = self.recipe.dispatch.window - pushes.count_open(tx, project_id, self.stage)
            wanted = min(room, pushes.count_askable(tx, self.policy, self.stage))
        if limit is not None:
            wanted = min(wanted, limit)
        pushed = asked = 0
        while asked < wanted:
            with begin(self.engine) as tx:
                push = pushes.intend_push(
                    tx,
                    self.new_push_id(),
                    project_id=project_id,
                    policy=self.policy,
                    stage=self.stage,
                    limit=min(self.recipe.dispatch.tasks_per_push, wanted - asked),
                    max_characters=_MAX_CHARACTERS,
                )
            if push is None:
                break
            asked += len(push.contents)
            pushed += self._bring(push, push.contents)
            if progress is not None:
                progress(asked, wanted)
        return pushed

    def _bring(self, push: pushes.Push, contents: Sequence[TaskContent]) -> int:
        """Import these, see what is there, and write it down. How many tasks are new."""
        refused = self._import(push, contents) if contents else []
        if refused and not self.accepted:
            # Not one was taken: it is the project that is wrong, not these entries.
            with begin(self.engine) as tx:
                pushes.close_push(tx, push.push_id)
            raise ImportRefused(self.label_studio.url, refused, 400)
        there = self._look(push)
        lost = {one.entry_id for one in contents} - set(refused) - set(there)
        if lost:
            raise LabelStudioUnavailable(
                self.label_studio.url, f"took {len(lost)} task(s) that it does not show"
            )
        with begin(self.engine) as tx:
            new = pushes.adopt(tx, push.push_id, self.stage, there)
            pushes.close_push(tx, push.push_id)
            if refused:
                pushes.bury(tx, refused, reason="Label Studio refused the task")
        self.refused += refused
        return new

    def _import(self, push: pushes.Push, contents: Sequence[TaskContent]) -> list[EntryId]:
        """One call; halves of it where it is refused, until the refused ones stand alone."""
        bodies = [
            task_data(one, push_id=push.push_id, stage=self.stage, policy=self.policy)
            for one in contents
        ]
        try:
            self.label_studio.import_tasks(push.project_id, bodies)
        except ImportRefused:
            if len(contents) == 1:
                return [contents[0].entry_id]
            half = len(contents) // 2
            return self._import(push, contents[:half]) + self._import(push, contents[half:])
        self.accepted += len(contents)
        return []

    def _look(self, push: pushes.Push) -> dict[EntryId, int]:
        """Which entries of this push have which task; what is there twice is removed."""
        by_entry: dict[EntryId, list[SeenTask]] = {}
        for task in self.label_studio.tasks_of_push(push.project_id, push.push_id):
            by_entry.setdefault(EntryId(int(task.data["entry_id"])), []).append(task)
        extra: list[int] = []
        kept: dict[EntryId, int] = {}
        for entry_id, seen in by_entry.items():
            # Somebody may have answered one of two; never throw an answer away.
            first, *others = sorted(seen, key=lambda one: (not one.annotations, one.task_id))
            kept[entry_id] = first.task_id
            extra += [one.task_id for one in others if not one.annotations]
        if extra:
            log.warning("double_tasks_removed", push_id=str(push.push_id), task_ids=extra)
            self.label_studio.delete_tasks(push.project_id, extra)
            self.doubles_removed += len(extra)
        return kept
