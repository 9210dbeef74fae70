"""What our tables know of Label Studio's projects, pushes and tasks, and the entries they move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    cast,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.db.schema import (
    collect_cursors,
    entries,
    labelling_projects,
    policies,
    pushes,
    tasks,
)
from hitl.db.versions import keep_policy
from hitl.labelstudio.payloads import KnownTask
from hitl.policy import Policy, policy_from
from hitl.records import EntryId, EntryState, PolicyId, Stage

# Which entries a stage's task asks about, and which of them still may be asked.
ASKABLE: Mapping[Stage, EntryState] = {
    Stage.REVIEW: EntryState.WAITING,
    Stage.ADJUDICATION: EntryState.ADJUDICATING,
}
OPEN: Mapping[Stage, EntryState] = {
    Stage.REVIEW: EntryState.DISPATCHED,
    Stage.ADJUDICATION: EntryState.ADJUDICATING,
}

UNRESOLVED = (EntryState.WAITING, EntryState.DISPATCHED, EntryState.ADJUDICATING)


@dataclass(frozen=True, slots=True)
class Project:
    """A Label Studio project of ours."""

    project_id: int
    stage: Stage


def projects(tx: Connection, policy: Policy) -> list[Project]:
    """The projects that ask this policy's questions, reviews before adjudications."""
    rows = tx.execute(
        select(labelling_projects.c.project_id, labelling_projects.c.stage)
        .where(labelling_projects.c.policy_id == policy.policy_id)
        .order_by(labelling_projects.c.stage.desc())
    )
    return [Project(row.project_id, Stage(row.stage)) for row in rows]


def asked_policies(tx: Connection, policy_name: str) -> list[Policy]:
    """Every version of a policy that has a project: an older one may still hold open tasks."""
    rows = tx.execute(
        select(policies.c.policy_id, policies.c.body)
        .where(
            policies.c.name == policy_name,
            exists().where(labelling_projects.c.policy_id == policies.c.policy_id),
        )
        .order_by(policies.c.created_at, policies.c.policy_id)
    )
    return [policy_from(row.body, where=f"policy {row.policy_id}, as stored") for row in rows]


def project_id_of(tx: Connection, policy: Policy, stage: Stage) -> int | None:
    """The project of this very policy and stage."""
    ids = [one.project_id for one in projects(tx, policy) if one.stage is stage]
    return ids[0] if ids else None


def owner_of(tx: Connection, project_id: int) -> tuple[PolicyId, Stage] | None:
    """Whose questions the project of this number asks, as far as we know."""
    row = tx.execute(
        select(labelling_projects.c.policy_id, labelling_projects.c.stage).where(
            labelling_projects.c.project_id == project_id
        )
    ).one_or_none()
    return (PolicyId(row.policy_id), Stage(row.stage)) if row else None


def keep_project(
    tx: Connection, *, project_id: int, policy: Policy, stage: Stage, interface_hash: str
) -> None:
    """Remember which project asks this policy's questions, and by which interface.

    A number that another owner had must be forgotten first (`owner_of`, `forget_project`).
    """
    keep_policy(tx, policy)
    tx.execute(
        upsert(labelling_projects)
        .values(
            project_id=project_id,
            policy_id=policy.policy_id,
            stage=stage,
            interface_hash=interface_hash,
        )
        .on_conflict_do_update(
            index_elements=["project_id"], set_={"interface_hash": interface_hash}
        )
    )
    tx.execute(upsert(collect_cursors).values(project_id=project_id).on_conflict_do_nothing())


def forget_project(tx: Connection, project_id: int) -> list[EntryId]:
    """Let go of a project that is gone; its open entries wait again. Their votes stay."""
    known = [one.task_id for one in tasks_of(tx, project_id)]
    back = vanished(tx, project_id, known)
    tx.execute(delete(tasks).where(tasks.c.project_id == project_id))
    tx.execute(delete(pushes).where(pushes.c.project_id == project_id))
    tx.execute(delete(collect_cursors).where(collect_cursors.c.project_id == project_id))
    tx.execute(delete(labelling_projects).where(labelling_projects.c.project_id == project_id))
    return back


def move_entries(
    tx: Connection, entry_ids: Sequence[EntryId], before: EntryState, after: EntryState
) -> list[EntryId]:
    """Move those of these entries that are in one state to another, and say which."""
    moved = tx.execute(
        update(entries)
        .where(
            entries.c.entry_id == func.any(cast(list(entry_ids), ARRAY(BigInteger))),
            entries.c.state == before,
        )
        .values(state=after)
        .returning(entries.c.entry_id)
    )
    return sorted(EntryId(one) for one in moved.scalars())


def vanished(tx: Connection, project_id: int, task_ids: Sequence[int]) -> list[EntryId]:
    """Forget open tasks that Label Studio does not have any more, so that they are made anew.

    The entries whose task it was; first reviews wait again. What closed entries had is kept:
    a team may clear out a project, and a vote is not taken back by that.
    """
    gone = tx.execute(
        delete(tasks)
        .where(
            tasks.c.project_id == project_id,
            tasks.c.task_id.in_(task_ids),
            entries.c.entry_id == tasks.c.entry_id,
            entries.c.state.in_(UNRESOLVED),
        )
        .returning(tasks.c.entry_id, tasks.c.stage)
    ).all()
    reviews = sorted(EntryId(row.entry_id) for row in gone if row.stage == Stage.REVIEW)
    move_entries(tx, reviews, EntryState.DISPATCHED, EntryState.WAITING)
    return sorted(EntryId(row.entry_id) for row in gone)


def resume(tx: Connection, entry_ids: Sequence[EntryId]) -> None:
    """Entries that wait although they have a task are with the reviewers again."""
    move_entries(tx, entry_ids, EntryState.WAITING, EntryState.DISPATCHED)


def requeued(tx: Connection, project_id: int) -> dict[int, EntryId]:
    """Tasks of entries that wait again although they have one (a person requeued them)."""
    rows = tx.execute(
        select(tasks.c.task_id, tasks.c.entry_id)
        .join(entries, entries.c.entry_id == tasks.c.entry_id)
        .where(
            tasks.c.project_id == project_id,
            tasks.c.stage == Stage.REVIEW,
            tasks.c.task_id.is_not(None),
            entries.c.state == EntryState.WAITING,
        )
    )
    return {row.task_id: EntryId(row.entry_id) for row in rows}


def tasks_of(
    tx: Connection,
    project_id: int,
    *,
    task_ids: Sequence[int] | None = None,
) -> list[KnownTask]:
    """Our tasks of a project that Label Studio has or had, by id; of these ids only, if given."""
    query = (
        select(tasks)
        .where(tasks.c.project_id == project_id, tasks.c.task_id.is_not(None))
        .order_by(tasks.c.task_id)
    )
    if task_ids is not None:
        query = query.where(tasks.c.task_id.in_(task_ids))
    return [_known(row) for row in tx.execute(query)]


def _known(row: Any) -> KnownTask:
    return KnownTask(
        row.task_id, row.project_id, EntryId(row.entry_id), Stage(row.stage), row.push_id
    )


def tasks_to_meet(
    tx: Connection, project_id: int, *, from_id: int, to_id: int | None
) -> list[KnownTask]:
    """Our tasks that Label Studio should show between these two ids, by id.

    Not those that were archived; but for one whose entry is open all the same, so that it is
    missed and made anew.
    """
    query = (
        select(tasks)
        .join(entries, entries.c.entry_id == tasks.c.entry_id)
        .where(
            tasks.c.project_id == project_id,
            tasks.c.task_id >= from_id,
            tasks.c.archived_at.is_(None) | entries.c.state.in_(UNRESOLVED),
        )
        .order_by(tasks.c.task_id)
    )
    if to_id is not None:
        query = query.where(tasks.c.task_id <= to_id)
    return [_known(row) for row in tx.execute(query)]


def asked_tasks(
    tx: Connection, project_id: int, claims: Iterable[tuple[EntryId, UUID]]
) -> dict[tuple[EntryId, UUID], int | None]:
    """Which of these pairs of entry and push we did ask in this project, and their tasks' ids.

    Anybody may copy a task in Label Studio or write one: what it says of itself counts only as
    far as it is here. None: the task is not known yet.
    """
    wanted = set(claims)
    if not wanted:
        return {}
    rows = tx.execute(
        select(tasks.c.entry_id, tasks.c.push_id, tasks.c.task_id).where(
            tasks.c.project_id == project_id,
            tasks.c.entry_id.in_({entry_id for entry_id, _ in wanted}),
        )
    )
    found = {(EntryId(row.entry_id), row.push_id): row.task_id for row in rows}
    return {claim: task_id for claim, task_id in found.items() if claim in wanted}


def states(tx: Connection, entry_ids: Sequence[EntryId]) -> dict[EntryId, EntryState]:
    """Where these entries are."""
    rows = tx.execute(
        select(entries.c.entry_id, entries.c.state).where(entries.c.entry_id.in_(entry_ids))
    )
    return {EntryId(row.entry_id): EntryState(row.state) for row in rows}


def oldest_task_to_sweep(
    tx: Connection, project_id: int, *, closed_within: timedelta
) -> int | None:
    """The lowest id of a task whose entry is open, or was closed within this time. None: none is.

    By the database's clock, which dates the closing too.
    """
    found: int | None = tx.execute(
        select(func.min(tasks.c.task_id))
        .join(entries, entries.c.entry_id == tasks.c.entry_id)
        .where(
            tasks.c.project_id == project_id,
            entries.c.state.in_(UNRESOLVED)
            | (
                tasks.c.archived_at.is_(None)
                & (entries.c.closed_at >= func.clock_timestamp() - closed_within)
            ),
        )
    ).scalar()
    return found
