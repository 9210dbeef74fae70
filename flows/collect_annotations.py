"""Step 4: what reviewers did in Label Studio becomes annotations, votes and, resolved, labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from flows.collecting.archive import archive_finished
from flows.collecting.keep import CollectReport, Keeper, Progress, Resolve, stuck_tasks
from hitl import logs
from hitl.db import begin, single_flight
from hitl.labelstudio import (
    LabelStudio,
    LabelStudioUnavailable,
    ProjectGone,
    SeenTask,
    answers,
    differs,
    marker_of,
    pushes,
    store,
)
from hitl.policy import Policy
from hitl.recipe import Recipe

if TYPE_CHECKING:
    from sqlalchemy import Engine

log = logs.get(__name__)

# A sweep looks at open tasks and at those closed within this time; a forced one at all.
_SWEPT_AFTER_CLOSING = timedelta(days=1)
_TASKS_PER_LOOK = 100


def collect_annotations(
    engine: Engine,
    label_studio: LabelStudio,
    policy: Policy,
    recipe: Recipe,
    *,
    now: datetime,
    resolve: Resolve,
    sweep: bool | None = None,
    progress: Progress | None = None,
) -> CollectReport:
    """Store every change since the last collection, and let `resolve` draw its conclusions.

    Polls by `updated_at` with an overlap, and now and then looks at every task whatever its
    `updated_at`: a crash of Label Studio leaves that stale. Safe to kill and to repeat: versions
    are keyed, and `resolve(tx, entry_ids)` runs in the transaction that stores them and moves
    the cursor.

    Args:
        now: by which the next sweep is due; no fact is dated by it.
        sweep: True looks at every task ever; None when it is due; False not.

    Raises:
        LabelStudioUnavailable: it was away; what was stored stays, and the next run sweeps.
        ProjectGone: a project with open entries is not there; nothing is taken for deleted, and
            the other projects were collected.
        AlreadyRunning: another collection of this policy runs.
    """
    with collecting(engine, policy):
        report = CollectReport()
        lost: list[ProjectGone] = []
        with begin(engine) as tx:
            projects = store.projects(tx, policy)
        for project in projects:
            marker = marker_of(policy.policy_id, project.stage)
            try:
                label_studio.check_project(project.project_id, marker=marker)
            except ProjectGone as gone:
                lost += _missed(engine, project, gone, report)
                continue
            keeper = Keeper(engine, label_studio, policy, project, now, resolve, report, progress)
            _Reading(keeper, recipe).run(sweep)
            report.projects += 1
    log.info(
        "annotations_collected",
        policy_id=policy.policy_id,
        versions=report.versions,
        votes=report.votes,
        set_aside=report.set_aside,
        swept=report.swept,
    )
    if lost:
        raise lost[0]
    return report


@contextmanager
def collecting(engine: Engine, policy: Policy) -> Iterator[None]:
    """Nobody else collects this policy meanwhile; where Label Studio is away, the next one sweeps.

    Raises:
        AlreadyRunning: somebody else does.
    """
    with single_flight(engine, f"collect {policy.name} from Label Studio"):
        try:
            yield
        except LabelStudioUnavailable:
            with begin(engine) as tx:
                answers.ask_for_sweep(tx, policy_name=policy.name)
            raise


def _missed(
    engine: Engine, project: store.Project, gone: ProjectGone, report: CollectReport
) -> list[ProjectGone]:
    """The error again if answers of that project are waited for; else it is finished business."""
    with begin(engine) as tx:
        open_entries = pushes.count_open(tx, project.project_id, project.stage)
    log.warning("project_gone", project_id=project.project_id, open_entries=open_entries)
    if open_entries:
        return [gone]
    report.finished_projects_gone += 1
    return []


@dataclass(slots=True)
class _Reading:
    """One project being read: which of its tasks must be looked at."""

    keeper: Keeper
    recipe: Recipe

    @property
    def engine(self) -> Engine:
        return self.keeper.engine

    @property
    def label_studio(self) -> LabelStudio:
        return self.keeper.label_studio

    @property
    def project_id(self) -> int:
        return self.keeper.project_id

    def run(self, sweep: bool | None) -> None:
        """Poll, then sweep if it is due."""
        with begin(self.engine) as tx:
            cursor = answers.cursor(tx, self.project_id)
        self._poll(cursor.watermark)
        # Either way round: after a run whose clock was a day ahead, none would be due for a day.
        due = cursor.swept_at is None or (
            abs(self.keeper.now - cursor.swept_at)
            >= timedelta(minutes=self.recipe.collect.sweep_minutes)
        )
        if sweep or (sweep is None and due):
            self._sweep(every=sweep is True or cursor.swept_at is None)
            # Behind the sweep: what a crash had left unseen is stored by now.
            archive_finished(self.keeper, self.recipe)

    def _poll(self, watermark: datetime | None) -> None:
        # Asked first: what changes while we read is newer than this, and is read again next time.
        newest = self.label_studio.newest_update(self.project_id)
        if newest is None:
            return
        since = None
        if watermark is not None:
            since = watermark - timedelta(seconds=self.recipe.collect.overlap_seconds)
        for page in self.label_studio.tasks_updated_since(self.project_id, since):
            self.keeper.keep(page.tasks, watermark=newest if page.is_last else None)

    def _sweep(self, *, every: bool) -> None:
        """Compare every annotation's number and time with ours, and read what differs."""
        first: int | None = 0
        if not every:
            with begin(self.engine) as tx:
                first = store.oldest_task_to_sweep(
                    tx, self.project_id, closed_within=_SWEPT_AFTER_CLOSING
                )
        if first is not None:
            for page in self.label_studio.marks(self.project_id, from_task_id=first):
                last = None if page.is_last or not page.tasks else page.tasks[-1].task_id
                self._look_at_tasks(page.tasks, first=first, last=last)
                first = first if last is None else last + 1
        with begin(self.engine) as tx:
            answers.mark_swept(tx, self.project_id, self.keeper.now)
        self.keeper.report.swept = True

    def _look_at_tasks(self, tasks: Sequence[SeenTask], *, first: int, last: int | None) -> None:
        """These are all tasks there with an id from `first` to `last`; None: all from there on."""
        marked = {task.task_id: task for task in tasks}
        with begin(self.engine) as tx:
            ranged = store.tasks_to_meet(tx, self.project_id, from_id=first, to_id=last)
            known = {one.task_id: one for one in ranged}
            ours = answers.kept_versions(tx, project_id=self.project_id, task_ids=list(marked))
            self.keeper.resolve_open(tx, {known[one].entry_id for one in ours if one in known})
            stuck = stuck_tasks(tx, self.keeper.project.stage, marked.values(), known)
        suspects = {
            task_id
            for task_id, task in marked.items()
            if task_id not in known
            or task_id in stuck
            or differs(task, known[task_id], ours.get(task_id, {}))
        }
        missing = set(known) - set(marked)
        # A task may have come or gone between two pages: what looks missing is asked for by id.
        self._read_again(sorted(suspects | missing), missing)

    def _read_again(self, task_ids: Sequence[int], missing: set[int]) -> None:
        for start in range(0, len(task_ids), _TASKS_PER_LOOK):
            wanted = task_ids[start : start + _TASKS_PER_LOOK]
            there = self.label_studio.tasks(self.project_id, wanted)
            self.keeper.keep(there)
            gone = sorted((set(wanted) & missing) - {task.task_id for task in there})
            if gone:
                with begin(self.engine) as tx:
                    self.keeper.report.vanished += len(store.vanished(tx, self.project_id, gone))
