"""What a look at tasks leaves behind: versions, votes, conclusions; and what it mends there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from hitl import logs
from hitl.db import begin
from hitl.labelstudio import (
    KnownTask,
    LabelStudio,
    NotCounted,
    SeenTask,
    annotations_of,
    answers,
    archive,
    claim_of,
    deleted_version,
    people_of,
    pushes,
    remove_unanswered,
    store,
    vote_from,
)
from hitl.policy import Policy
from hitl.records import Annotation, AnnotationKind, EntryId, EntryState, Stage, Vote

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log = logs.get(__name__)

Progress = Callable[[int, int | None], None]
Resolve = Callable[["Connection", Sequence[EntryId]], object]

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
    archived: int = 0
    reopened: int = 0
    doubles_removed: int = 0
    foreign_tasks: int = 0
    finished_projects_gone: int = 0
    swept: bool = False
    entries: set[EntryId] = field(default_factory=set)

    def add(self, other: CollectReport) -> None:
        """Count another collection, of another version of the policy, into this one."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, mine | theirs if one.name in _UNITED else mine + theirs)


_UNITED = ("swept", "entries")


@dataclass(slots=True)
class Keeper:
    """Stores what the tasks of one project show. Safe to show it the same again.

    `now` says when a sweep is due and dates nothing.
    """

    engine: Engine
    label_studio: LabelStudio
    policy: Policy
    project: store.Project
    now: datetime
    resolve: Resolve
    report: CollectReport
    progress: Progress | None

    @property
    def project_id(self) -> int:
        """Label Studio's number for it."""
        return self.project.project_id

    def keep(self, seen: Sequence[SeenTask], *, watermark: datetime | None = None) -> None:
        """Store what these tasks show, with its conclusions; then mend what it calls for."""
        ids = [task.task_id for task in seen]
        with begin(self.engine) as tx:
            known = {one.task_id: one for one in store.tasks_of(tx, self.project_id, task_ids=ids)}
        strangers = [one for one in ids if one not in known]
        unknown = self.label_studio.tasks(self.project_id, strangers) if strangers else []
        with begin(self.engine) as tx:
            doubles = self._adopt(tx, unknown, known)
            self._store(tx, [task for task in seen if task.task_id in known], known)
            archive.unmark(tx, self.project_id, ids)
            if watermark is not None:
                answers.move_watermark(tx, self.project_id, watermark)
            stuck = stuck_tasks(tx, self.project.stage, seen, known)
        removed = remove_unanswered(self.label_studio, self.project_id, doubles)
        if removed:
            log.warning("double_tasks_removed", project_id=self.project_id, task_ids=removed)
            self.report.doubles_removed += len(removed)
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
        claimed = [(claim, task) for task in unknown if (claim := claim_of(task))]
        asked = store.asked_tasks(tx, self.project_id, [claim for claim, _ in claimed])
        ours = [(claim, task) for claim, task in claimed if claim in asked]
        self.report.foreign_tasks += len(unknown) - len(ours)
        # Entries in the order in which a dispatch locks them; of two tasks, the answered one first.
        ours.sort(key=lambda pair: (pair[0][0], not pair[1].annotations, pair[1].task_id))
        strange: dict[int, tuple[EntryId, UUID]] = {}
        for claim, task in ours:
            entry_id, push_id = claim
            new = pushes.adopt(tx, push_id, self.project.stage, {entry_id: task.task_id})
            self.report.adopted += new
            # An answer to a task that is there twice is still an answer to that entry.
            known[task.task_id] = KnownTask(
                task.task_id, self.project_id, entry_id, self.project.stage, push_id
            )
            if not new and not task.annotations:
                strange[task.task_id] = claim
        # Read anew: a dispatch beside us may have made this very task known in the meantime.
        held = store.asked_tasks(tx, self.project_id, strange.values())
        return [one for one, claim in strange.items() if held.get(claim) not in (None, one)]

    def _store(self, tx: Connection, seen: Sequence[SeenTask], known: dict[int, KnownTask]) -> None:
        there = [one for task in seen for one in annotations_of(task, known[task.task_id])]
        ids = {one.unique_id for one in there}
        held = answers.newest_versions(
            tx, project_id=self.project_id, task_ids=[task.task_id for task in seen]
        )
        # Dated as all other versions are, by Label Studio: a deletion moves its task's moment.
        moved_at = {task.task_id: task.updated_at for task in seen}
        gone = [
            deleted_version(one, now=moved_at[one.task_id])
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
        self.resolve_open(tx, {one.entry_id for one in held.values()} - set(touched))
        self._count(new, votes, faulty, touched)

    def resolve_open(self, tx: Connection, answered: Iterable[EntryId]) -> None:
        """Resolve those of these entries that are open although they have annotations.

        Some may have come while nobody was to be asked, and then nothing looked at them.
        """
        states = store.states(tx, sorted(answered))
        wanting = store.OPEN[self.project.stage]
        if open_entries := sorted(one for one, state in states.items() if state is wanting):
            self.resolve(tx, open_entries)

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


def stuck_tasks(
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
