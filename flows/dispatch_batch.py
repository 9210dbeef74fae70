"""Step 3: the most urgent entries become Label Studio tasks, each exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from flows.dispatching.push import SETTLE_SECONDS, Body, Pusher, Sent
from flows.dispatching.report import DispatchReport
from hitl import labels, logs, queue
from hitl.db import begin, single_flight
from hitl.labelstudio import (
    LabelStudio,
    LabelStudioUnavailable,
    Pace,
    ProjectGone,
    ProjectIsAnother,
    Webhook,
    WebhookRefused,
    answers,
    interface_hash,
    marker_of,
    pace_of,
    people_of,
    project_spec,
    pushes,
    store,
    window_for,
)
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import EntryState, Stage

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["DispatchReport", "dispatch_batch"]

log = logs.get(__name__)

Progress = Callable[[int, int | None], None]

# Label Studio takes 250 MB in a request; a text is at most four bytes a character.
_MAX_CHARACTERS = 20_000_000


def dispatch_batch(
    engine: Engine,
    label_studio: LabelStudio,
    policy: Policy,
    recipe: Recipe,
    *,
    stage: Stage = Stage.REVIEW,
    is_current: bool = True,
    limit: int | None = None,
    progress: Progress | None = None,
    settle_seconds: float = SETTLE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    new_push_id: Callable[[], UUID] = uuid4,
    replace_lost_project: bool = False,
    webhook: Webhook | None = None,
) -> DispatchReport:
    """Fill the window of open tasks, most urgent entries first; at most `limit` new ones.

    May be killed at any instruction and run again: the intent is committed before each call, and
    what became of an interrupted call is looked up before anything is pushed. Entries whose item
    has no text yet go on waiting.

    Args:
        is_current: False for an older version of the policy. What was begun under it is finished,
            rulings included; nobody is asked a first review by it any more.
        settle_seconds: how long an interrupted call may still be at work in Label Studio.
        replace_lost_project: a project that is gone is made anew; its open entries wait again.
        webhook: where Label Studio shall tell of answers. If it may not call there, that is told
            in the report and stops nothing: the poll finds every answer.

    Raises:
        LabelStudioUnavailable: it was away; what was confirmed is kept, the rest is looked up
            by the next run.
        ProjectGone: the project that we pushed to is not there, or its number was given away.
        ImportRefused: it took not one task, and that is not the fault of a single entry.
        AlreadyRunning: another dispatch of this policy and stage runs.
    """
    with single_flight(engine, f"push {policy.name} {stage} to Label Studio"):
        run = _Dispatch(
            engine,
            label_studio,
            policy,
            recipe,
            stage,
            is_current,
            webhook,
            new_push_id,
            Pusher(engine, label_studio, policy, stage, settle_seconds, sleep),
        )
        try:
            return run.run(limit, progress, replace_lost_project=replace_lost_project)
        except LabelStudioUnavailable:
            with begin(engine) as tx:
                answers.ask_for_sweep(tx, policy_name=policy.name)
            raise


@dataclass(slots=True)
class _Dispatch:
    """One run."""

    engine: Engine
    label_studio: LabelStudio
    policy: Policy
    recipe: Recipe
    stage: Stage
    is_current: bool
    webhook: Webhook | None
    new_push_id: Callable[[], UUID]
    pusher: Pusher

    def run(
        self, limit: int | None, progress: Progress | None, *, replace_lost_project: bool
    ) -> DispatchReport:
        """Recover, then fill."""
        project_id = self._project(replace_lost_project=replace_lost_project)
        report = DispatchReport(self.stage, waiting_elsewhere=self._count_elsewhere())
        if project_id is None:
            return report
        webhook_refused = self._ask_to_be_told(project_id)
        recovered = self._recover(project_id)
        self._resume(project_id)
        pace, window = self._window()
        pushed = self._fill(project_id, window, limit, progress)
        with begin(self.engine) as tx:
            report = replace(
                report,
                project_id=project_id,
                pushed=pushed,
                recovered=recovered,
                doubles_removed=self.pusher.doubles_removed,
                refused=self.pusher.refused,
                webhook_refused=webhook_refused,
                open_tasks=pushes.count_open(tx, project_id, self.stage),
                window=window,
                answers_per_hour=round(pace.answers_per_hour, 1) if pace else None,
                waiting=self._count_askable(tx),
            )
        log.info(
            "batch_dispatched",
            policy_id=self.policy.policy_id,
            stage=self.stage.value,
            project_id=project_id,
            pushed=pushed,
            recovered=recovered,
            window=window,
            waiting=report.waiting,
        )
        return report

    def _ask_to_be_told(self, project_id: int) -> bool:
        """Let the project wake the collection. Whether Label Studio may not call there."""
        if self.webhook is None:
            return False
        try:
            self.label_studio.ensure_webhook(project_id, self.webhook)
        except WebhookRefused as refusal:
            log.warning("webhook_refused", project_id=project_id, reason=str(refusal))
            return True
        return False

    def _window(self) -> tuple[Pace | None, int]:
        """How fast reviewers are, and how many open tasks that calls for."""
        with begin(self.engine) as tx:
            answered_at = answers.latest_answer_times(
                tx, policy_name=self.policy.name, stage=self.stage
            )
        pace = pace_of(answered_at)
        rules = self.recipe.dispatch
        return pace, window_for(
            pace,
            answers_a_task=self.policy.votes_wanted if self.stage is Stage.REVIEW else 1,
            minutes_ahead=rules.minutes_ahead,
            least=min(rules.least_window, rules.window),
            most=rules.window,
        )

    def _count_askable(self, tx: Connection) -> int:
        if not self.is_current and self.stage is Stage.REVIEW:
            return 0
        return pushes.count_askable(tx, self.policy, self.stage)

    def _is_any_askable(self, tx: Connection) -> bool:
        if not self.is_current and self.stage is Stage.REVIEW:
            return False
        return pushes.is_any_askable(tx, self.policy, self.stage)

    def _count_elsewhere(self) -> int:
        if not self.is_current or self.stage is not Stage.REVIEW:
            return 0
        with begin(self.engine) as tx:
            return queue.count_under_other_versions(tx, self.policy)

    def _project(self, *, replace_lost_project: bool) -> int | None:
        """The project as the policy wants it; None where there is nothing to do in one."""
        spec = project_spec(self.policy, self.stage)
        with begin(self.engine) as tx:
            known = store.project_id_of(tx, self.policy, self.stage)
            if not self._is_any_askable(tx) and (
                known is None
                or not (
                    self.is_current
                    or replace_lost_project
                    or pushes.has_begun(tx, known, self.stage)
                )
            ):
                return None
        try:
            project_id = self.label_studio.ensure_project(spec, project_id=known)
        except ProjectGone as gone:
            self._forget(gone, replace_lost_project=replace_lost_project)
            with begin(self.engine) as tx:
                if not self._is_any_askable(tx):
                    return None
            project_id = self.label_studio.ensure_project(spec)
        with begin(self.engine) as tx:
            owner = store.owner_of(tx, project_id)
        if owner not in (None, (self.policy.policy_id, self.stage)):
            # A server that was set up anew gives numbers again: the owner's project is gone.
            lost = ProjectIsAnother(self.label_studio.url, project_id, marker_of(*owner))
            self._forget(lost, replace_lost_project=replace_lost_project)
        with begin(self.engine) as tx:
            store.keep_project(
                tx,
                project_id=project_id,
                policy=self.policy,
                stage=self.stage,
                interface_hash=interface_hash(spec.interface),
            )
        return project_id

    def _forget(self, gone: ProjectGone, *, replace_lost_project: bool) -> None:
        """Let a lost project go, if a person said so; else stop."""
        if not replace_lost_project:
            raise gone
        with begin(self.engine) as tx:
            back = store.forget_project(tx, gone.project_id)
        log.warning("project_replaced", project_id=gone.project_id, entries=len(back))

    def _recover(self, project_id: int) -> int:
        """Finish every push that we do not know the end of. How many tasks came to be known."""
        with begin(self.engine) as tx:
            unknown = pushes.unconfirmed_pushes(tx, project_id, self.policy, self.stage)
        return sum(self.pusher.finish(push) for push in unknown)

    def _resume(self, project_id: int) -> None:
        """Entries that a person requeued still have their task: serve it again, or let it go."""
        with begin(self.engine) as tx:
            waiting = store.requeued(tx, project_id)
        if not waiting:
            return
        there = self.label_studio.tasks(project_id, sorted(waiting))
        still = {task.task_id for task in there}
        back = sorted(waiting[one] for one in still)
        with begin(self.engine) as tx:
            store.vanished(tx, project_id, sorted(set(waiting) - still))
            store.resume(tx, back)
            # An answer that came in while nobody was to be asked has resolved nothing yet.
            labels.resolve_entries(tx, back, self.policy)
            states = store.states(tx, back)
        for task in there:
            is_open = states[waiting[task.task_id]] is EntryState.DISPATCHED
            if task.is_labelled and is_open:
                self.label_studio.reopen(task.task_id, overlap=people_of(task) + 1)

    def _fill(
        self, project_id: int, window: int, limit: int | None, progress: Progress | None
    ) -> int:
        with begin(self.engine) as tx:
            room = window - pushes.count_open(tx, project_id, self.stage)
            wanted = min(room, self._count_askable(tx))
        if limit is not None:
            wanted = min(wanted, limit)
        # Label Studio imports on one core: our own books are written beside its calls, by one
        # thread in their order. An intent is still committed before the call that brings it.
        with ThreadPoolExecutor(1, thread_name_prefix="books") as books:
            sent: list[Sent] = []
            kept: list[Future[int]] = []
            asked = 0
            coming = books.submit(self._intend, project_id, wanted)
            try:
                while (ready := coming.result()) is not None:
                    asked += len(ready[1])
                    coming = books.submit(self._intend, project_id, wanted - asked)
                    sent.append(self.pusher.send(*ready))
                    kept.append(books.submit(self.pusher.keep, sent[-1]))
                    if progress is not None:
                        progress(asked, wanted)
            except Exception:
                if coming.exception() is None and (unsent := coming.result()) is not None:
                    self.pusher.take_back(unsent[0])
                raise
            is_told = self.pusher.is_as_told(sent)
            new = sum(one.result() for one in kept)
        return new + self.pusher.confirm(sent, is_told=is_told)

    def _intend(self, project_id: int, most: int) -> tuple[pushes.Push, list[Body]] | None:
        """What the next call is to bring: the intent, committed, and its tasks."""
        if most <= 0:
            return None
        with begin(self.engine) as tx:
            push = pushes.intend_push(
                tx,
                self.new_push_id(),
                project_id=project_id,
                policy=self.policy,
                stage=self.stage,
                limit=min(self.recipe.dispatch.tasks_per_push, most),
                max_characters=_MAX_CHARACTERS,
            )
        return (push, self.pusher.write(push, push.contents)) if push else None
