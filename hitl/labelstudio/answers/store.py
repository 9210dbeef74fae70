"""Annotation versions, votes, what was set aside, and the cursor that says how far we have read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Text, and_, cast, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.db.schema import (
    annotation_rejects,
    collect_cursors,
    labelling_projects,
    policies,
    tasks,
    votes,
)
from hitl.db.schema import annotations as versions
from hitl.labelstudio.payloads import NotCounted
from hitl.records import Annotation, AnnotationKind, EntryId, Stage, Vote


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a project has been read: by `updated_at`, and by looking at every task."""

    watermark: datetime | None
    swept_at: datetime | None


def cursor(tx: Connection, project_id: int) -> Cursor:
    """Where reading of a project stands."""
    row = tx.execute(
        select(collect_cursors.c.watermark, collect_cursors.c.swept_at).where(
            collect_cursors.c.project_id == project_id
        )
    ).one_or_none()
    return Cursor(row.watermark, row.swept_at) if row else Cursor(None, None)


def move_watermark(tx: Connection, project_id: int, watermark: datetime | None) -> None:
    """Everything up to here is stored. Never moves back. Same transaction as what it covers."""
    moved = upsert(collect_cursors).values(project_id=project_id, watermark=watermark)
    tx.execute(
        moved.on_conflict_do_update(
            index_elements=["project_id"],
            set_={"watermark": func.greatest(collect_cursors.c.watermark, watermark)},
        )
    )


def mark_swept(tx: Connection, project_id: int, at: datetime) -> None:
    """Every task was looked at, beginning at this moment."""
    tx.execute(
        update(collect_cursors)
        .where(collect_cursors.c.project_id == project_id)
        .values(swept_at=at)
    )


def ask_for_sweep(tx: Connection, *, policy_name: str) -> None:
    """Let the next collection look at every task.

    Called when Label Studio was away: after a crash it shows old values of `updated_at` for
    tasks that changed, and a watermark alone would never meet those again.
    """
    ours = (
        select(labelling_projects.c.project_id)
        .join(policies, policies.c.policy_id == labelling_projects.c.policy_id)
        .where(policies.c.name == policy_name)
    )
    tx.execute(
        update(collect_cursors).where(collect_cursors.c.project_id.in_(ours)).values(swept_at=None)
    )


def newest_versions(
    tx: Connection, *, project_id: int, task_ids: Sequence[int]
) -> dict[str, Annotation]:
    """The newest version of each annotation of these tasks, by `unique_id`, without its result.

    Only of the push that the task belongs to now: a server that was set up anew gives the same
    numbers again, and what another one held under them is none of its business.
    """
    query = (
        select(*(one for one in versions.c if one is not versions.c.result))
        .distinct(versions.c.unique_id)
        .join(
            tasks,
            and_(
                tasks.c.entry_id == versions.c.entry_id,
                tasks.c.stage == versions.c.stage,
                cast(tasks.c.push_id, Text) == func.split_part(versions.c.unique_id, "@", 2),
            ),
        )
        .where(versions.c.project_id == project_id, versions.c.task_id.in_(task_ids))
        .order_by(versions.c.unique_id, versions.c.updated_at.desc())
    )
    return {row.unique_id: _annotation(row) for row in tx.execute(query)}


def kept_versions(
    tx: Connection, *, project_id: int, task_ids: Sequence[int]
) -> dict[int, dict[str, datetime]]:
    """Of each of these tasks the moment of every annotation's newest version, by `unique_id`;
    without those that are deleted."""
    kept: dict[int, dict[str, datetime]] = {}
    for one in newest_versions(tx, project_id=project_id, task_ids=task_ids).values():
        if one.kind is not AnnotationKind.DELETED:
            kept.setdefault(one.task_id, {})[one.unique_id] = one.updated_at
    return kept


def _annotation(row: Any) -> Annotation:
    return Annotation(
        unique_id=row.unique_id,
        updated_at=row.updated_at,
        created_at=row.created_at,
        kind=AnnotationKind(row.kind),
        task_id=row.task_id,
        project_id=row.project_id,
        entry_id=EntryId(row.entry_id),
        stage=Stage(row.stage),
        reviewer=row.reviewer,
        lead_seconds=row.lead_seconds,
    )


def latest_answer_times(
    tx: Connection, *, policy_name: str, stage: Stage, limit: int = 500
) -> list[datetime]:
    """When the answers to the newest tasks of a policy were given, by Label Studio's clock.

    Over all its versions, skips included. Tasks are served in the order of their numbers, so the
    answers to the newest are the latest; and the index knows these.
    """
    ours = (
        select(labelling_projects.c.project_id)
        .join(policies, policies.c.policy_id == labelling_projects.c.policy_id)
        .where(policies.c.name == policy_name, labelling_projects.c.stage == stage)
        .subquery()
    )
    newest = (
        select(versions.c.unique_id, versions.c.created_at)
        .where(versions.c.project_id == ours.c.project_id)
        .order_by(versions.c.task_id.desc())
        .limit(limit)
        .lateral()
    )
    found = select(newest.c.unique_id, newest.c.created_at).distinct().select_from(ours, newest)
    return sorted((row.created_at for row in tx.execute(found)), reverse=True)[:limit]


def keep_versions(tx: Connection, seen: Sequence[Annotation]) -> list[Annotation]:
    """Store what is new of these versions, and return it. Safe to repeat.

    One that we hold for deleted and that is there after all is stored anew, behind the deletion.
    """
    ids = sorted({one.unique_id for one in seen})
    deleted = {
        row.unique_id: row.updated_at
        for row in tx.execute(
            select(versions.c.unique_id, versions.c.updated_at, versions.c.kind)
            .distinct(versions.c.unique_id)
            .where(versions.c.unique_id.in_(ids))
            .order_by(versions.c.unique_id, versions.c.updated_at.desc())
        )
        if row.kind == AnnotationKind.DELETED
    }
    wanted = [_after_deletion(one, deleted) for one in seen]
    keys = [(one.unique_id, one.updated_at) for one in wanted]
    held = {
        (row.unique_id, row.updated_at)
        for row in tx.execute(
            select(versions.c.unique_id, versions.c.updated_at).where(
                tuple_(versions.c.unique_id, versions.c.updated_at).in_(keys)
            )
        )
    }
    new = [one for one, key in zip(wanted, keys, strict=True) if key not in held]
    if new:
        tx.execute(insert(versions), [_row(one) for one in new])
    return new


def _after_deletion(one: Annotation, deleted: dict[str, datetime]) -> Annotation:
    gone_at = deleted.get(one.unique_id)
    if gone_at is None or one.kind is AnnotationKind.DELETED or one.updated_at > gone_at:
        return one
    return replace(one, updated_at=gone_at + timedelta(microseconds=1))


def _row(one: Annotation) -> dict[str, Any]:
    return {
        "unique_id": one.unique_id,
        "updated_at": one.updated_at,
        "created_at": one.created_at,
        "kind": one.kind,
        "project_id": one.project_id,
        "task_id": one.task_id,
        "entry_id": one.entry_id,
        "stage": one.stage,
        "reviewer": one.reviewer,
        "result": one.result,
        "lead_seconds": one.lead_seconds,
    }


def keep_votes(tx: Connection, counted: Sequence[Vote]) -> None:
    """Store the votes of newly stored versions."""
    if counted:
        tx.execute(
            insert(votes),
            [
                {
                    "unique_id": one.unique_id,
                    "updated_at": one.updated_at,
                    "entry_id": one.entry_id,
                    "stage": one.stage,
                    "reviewer": one.reviewer,
                    "answers": dict(one.answers),
                    "severity": one.severity,
                }
                for one in counted
            ],
        )


def set_aside(tx: Connection, faulty: Sequence[NotCounted]) -> None:
    """Store why newly stored versions are not counted."""
    if faulty:
        tx.execute(
            insert(annotation_rejects),
            [
                {"unique_id": one.unique_id, "updated_at": one.updated_at, "reason": one.reason}
                for one in faulty
            ],
        )
