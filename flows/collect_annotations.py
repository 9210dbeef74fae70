"""Step 4: what reviewers did in Label Studio becomes annotations, votes and, resolved, labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hitl import logs
from hitl.db import begin, single_flight
from hitl.labelstudio import (
    KnownTask,
    LabelStudio,
    LabelStudioUnavailable,
    NotCounted,
    SeenTask,
    annotations_of,
    answers,
    claim_of,
    deleted_version,
    differs,
    people_of,
    project_spec,
    pushes,
    store,
    vote_from,
)
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import Annotation, AnnotationKind, EntryId, EntryState, Stage, Vote

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log = logs.get(__name__)

Progress = Callable[[int, int | None], None]
Resolve = Callable[["Connection", Sequence[EntryId]], object]

# A sweep looks at open tasks and at those closed within this time; a forced one at all.
_SWEPT_AFTER_CLOSING = timedelta(days=1)
_TASKS_PER_LOOK = 100
_RESOLVABLE = (EntryState.DISPATCHED, EntryState.ADJUDICATING, EntryState.DONE)


@dataclass(slots=True)
class CollectReport:
    """What a collection found. `versions` are new; every one is a vote, set aside, or neither
    (skipped, deleted)."""

    projects: int = 0
    tasks_seen: int = 0
    versions: int = 0
    votes: int = 0
    set_aside: int = 0
    skipped: int = 0
    deleted: int = 0
    adopted: int = 0
    vanished: int = 0
    reopened: int = 0
    doubles_removed: int = 0
    foreign_tasks: int = 0
    swept: bool = False
    entries: set[EntryId] = field(default_factory=set)

    def add(self, other: CollectReport) -> None:
        """Count another collection, of another version of the policy, into this one."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, mine | theirs if one.name in _UNITED else mine + theirs)


_UNITED = ("swept", "entries")


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
        now: when deletions are dated, and by which the next sweep is due.
        sweep: True looks at every task ever; None when it is due; False not.

    Raises:
        LabelStudioUnavailable: it was away; what was stored stays, and the next run sweeps.
        ProjectGone: a project is not there; nothing is taken for deleted.
        AlreadyRunning: another collection of this policy runs.
    """
    with single_flight(engine, f"collect {policy.name} from Label Studio"):
        report = CollectReport()
        with begin(engine) as tx:
            projects = store.projects(tx, policy)
        try:
            for project in projects:
                marker = project_spec(policy, project.stage).marker
                label_studio.check_project(project.project_id, marker=marker)
                reading = _Reading(
                    engine, label_studio, policy, recipe, project, now, resolve, report, progress
                )
                reading.run(sweep)
                report.projects += 1
        except LabelStudioUnavailable:
            with begin(engine) as tx:
                answers.ask_for_sweep(tx, policy_name=policy.name)
            raise
    log.info(
        "annotations_collected",
        policy_id=policy.policy_id,
        versions=report.versions,
        votes=report.votes,
        set_aside=report.set_aside,
        swept=report.swept,
    )
    return report


@dataclass(slots=True)
class _Reading:
    """One project being read."""

    engine: Engine
    label_studio: LabelStudio
    policy: Policy
    recipe: Recipe
    project: store.Project
    now: datetime
    resolve: Resolve
    report: CollectReport
    progress: Progress | None

    @property
    def project_id(self) -> int:
        """Label Studio's number for it."""
        return self.project.project_id

    def run(self, sweep: bool | None) -> None:
        """Poll, then sweep if it is due."""
        with begin(self.engine) as tx:
            cursor = answers.cursor(tx, self.project_id)
        self._poll(cursor.watermark)
        due = cursor.swept_at is None or (
            self.now - cursor.swept_at >= timedelta(minutes=self.recipe.collect.sweep_minutes)
        )
        if sweep or (sweep is None and due):
            self._sweep(every=sweep is True or cursor.swept_at is None)

    def _poll(self, watermark: datetime | None) -> None:
        # Asked first: what changes while we read is newer than this, and is read again next time.
        newest = self.label_studio.newest_update(self.project_id)
        if newest is None:
            return
        since = None
        if watermark is not None:
            since = watermark - timedelta(seconds=self.recipe.collect.overlap_seconds)
        for page in self.label_studio.tasks_updated_since(self.project_id, since):
            self._keep(page.tasks, watermark=newest if page.is_last else None)

    def _sweep(self, *, every: bool) -> None:
        """Compare every annotation's number and time with ours, and read what differs."""
        first: int | None = 0
        if not every:
            with begin(self.engine) as tx:
                first = store.oldest_task_to_sweep(
                    tx, self.project_id, closed_since=self.now - _SWEPT_AFTER_CLOSING
                )
        if first is not None:
            self._look_at_tasks(first)
        with begin(self.engine) as tx:
            answers.mark_swept(tx, self.project_id, self.now)
        self.report.swept = True

    def _look_at_tasks(self, first: int) -> None:
        marked: dict[int, SeenTask] = {}
        for page in self.label_studio.marks(self.project_id, from_task_id=first):
            marked |= {task.task_id: task for task in page.tasks}
        with begin(self.engine) as tx:
            known = {one.task_id: one for one in store.tasks_of(tx, self.project_id, from_id=first)}
            newest = answers.newest_versions(tx, project_id=self.project_id, from_task_id=first)
            stuck = _stuck(tx, self.project.stage, marked.values(), known)
        ours: dict[int, dict[str, datetime]] = {}
        for one in newest.values():
            if one.kind is not AnnotationKind.DELETED:
                ours.setdefault(one.task_id, {})[one.unique_id] = one.updated_at
        suspects = {
            task_id
            for task_id, task in marked.items()
            if task_id not in known
            or task_id in stuck
            or differs(task, known[task_id], ours.get(task_id, {}))
        }
        missing = {task_id for task_id in known if task_id >= first} - set(marked)
        # A task may have come or gone between two pages: what looks missing is asked for by id.
        self._read_again(sorted(suspects | missing), missing)

    def _read_again(self, task_ids: Sequence[int], missing: set[int]) -> None:
        for start in range(0, len(task_ids), _TASKS_PER_LOOK):
            wanted = task_ids[start : start + _TASKS_PER_LOOK]
            there = self.label_studio.tasks(self.project_id, wanted)
            self._keep(there)
            gone = sorted((set(wanted) & missing) - {task.task_id for task in there})
            if gone:
                with begin(self.engine) as tx:
                    self.report.vanished += len(store.vanished(tx, self.project_id, gone))

    def _keep(self, seen: Sequence[SeenTask], *, watermark: datetime | None = None) -> None:
        """Store what these tasks show, with its conclusions; then mend what it calls for."""
        ids = [task.task_id for task in seen]
        with begin(self.engine) as tx:
            known = {one.task_id: one for one in store.tasks_of(tx, self.project_id, task_ids=ids)}
        strangers = [one for one in ids if one not in known]
        unknown = self.label_studio.tasks(self.project_id, strangers) if strangers else []
        with begin(self.engine) as tx:
            doubles = self._adopt(tx, unknown, known)
            self._store(tx, [task for task in seen if task.task_id in known], known)
            if watermark is not None:
                answers.move_watermark(tx, self.project_id, watermark)
            stuck = _stuck(tx, self.project.stage, seen, known)
        if doubles:
            log.warning("double_tasks_removed", project_id=self.project_id, task_ids=doubles)
            self.label_studio.delete_tasks(self.project_id, doubles)
            self.report.doubles_removed += len(doubles)
        for task in seen:
            if task.task_id in stuck and task.task_id not in doubles:
                self.label_studio.reopen(task.task_id, overlap=people_of(task) + 1)
                self.report.reopened += 1
        self.report.tasks_seen += len(seen)
        if self.progress is not None:
            self.progress(self.report.tasks_seen, None)

    def _adopt(
        self, tx: Connection, unknown: Sequence[SeenTask], known: dict[int, KnownTask]
    ) -> list[int]:
        """Make known what an interrupted push of ours brought; give back what is there twice."""
        claims = {task.task_id: claim_of(task) for task in unknown}
        ours = store.pushes_of(tx, self.project_id, [one[1] for one in claims.values() if one])
        doubles = []
        for task in unknown:
            claim = claims[task.task_id]
            if claim is None or claim[1] not in ours:
                self.report.foreign_tasks += 1
                continue
            entry_id, push_id = claim
            new = pushes.adopt(tx, push_id, self.project.stage, {entry_id: task.task_id})
            self.report.adopted += new
            # An answer to a task that is there twice is still an answer to that entry.
            known[task.task_id] = KnownTask(
                task.task_id, self.project_id, entry_id, self.project.stage, push_id
            )
            if not new and not task.annotations:
                doubles.append(task.task_id)
        return doubles

    def _store(self, tx: Connection, seen: Sequence[SeenTask], known: dict[int, KnownTask]) -> None:
        there = [one for task in seen for one in annotations_of(task, known[task.task_id])]
        ids = {one.unique_id for one in there}
        held = answers.newest_versions(
            tx, project_id=self.project_id, task_ids=[task.task_id for task in seen]
        )
        gone = [
            deleted_version(one, now=self.now)
            for one in held.values()
            if one.unique_id not in ids and one.kind is not AnnotationKind.DELETED
        ]
        new = answers.keep_versions(tx, [*there, *gone])
        counted = [
            vote_from(one, self.policy) for one in new if one.kind is AnnotationKind.SUBMITTED
        ]
        votes = [one for one in counted if isinstance(one, Vote)]
        faulty = [one for one in counted if isinstance(one, NotCounted)]
        answers.keep_votes(tx, votes)
        answers.set_aside(tx, faulty)
        touched = sorted({one.entry_id for one in new})
        states = store.states(tx, touched)
        touched = [one for one in touched if states.get(one) in _RESOLVABLE]
        if touched:
            self.resolve(tx, touched)
        self._count(new, votes, faulty, touched)

    def _count(
        self,
        new: Sequence[Annotation],
        votes: Sequence[Vote],
        faulty: Sequence[NotCounted],
        touched: Sequence[EntryId],
    ) -> None:
        self.report.versions += len(new)
        self.report.votes += len(votes)
        self.report.set_aside += len(faulty)
        self.report.skipped += sum(one.kind is AnnotationKind.SKIPPED for one in new)
        self.report.deleted += sum(one.kind is AnnotationKind.DELETED for one in new)
        self.report.entries |= set(touched)


def _stuck(
    tx: Connection,
    stage: Stage,
    seen: Iterable[SeenTask],
    known: dict[int, KnownTask],
) -> set[int]:
    """Tasks that Label Studio takes for answered although their entry still wants an answer.

    So it is after an answer that could not be counted, or where an entry wants more votes than
    the project's overlap. Nobody would be served them again.
    """
    labelled = [one for one in seen if one.is_labelled and one.task_id in known]
    states = store.states(tx, [known[one.task_id].entry_id for one in labelled])
    wanting = store.OPEN[stage]
    return {one.task_id for one in labelled if states.get(known[one.task_id].entry_id) is wanting}
