"""Which finished tasks may be taken out of Label Studio, and which were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, func, select, update

from hitl.db.schema import entries, tasks
from hitl.labelstudio.payloads import KnownTask
from hitl.labelstudio.store import UNRESOLVED
from hitl.records import EntryId, Stage


def finished(
    tx: Connection,
    project_id: int,
    *,
    beyond: int,
    closed_for: timedelta,
    limit: int,
    after: int = 0,
) -> list[KnownTask]:
    """The oldest tasks whose entries are closed, as many as there are `beyond` so many of them.

    None that was closed within `closed_for`, by the database's clock; at most `limit`, with ids
    higher than `after`.
    """
    closed = (
        tasks.c.project_id == project_id,
        tasks.c.archived_at.is_(None),
        tasks.c.task_id.is_not(None),
        entries.c.state.not_in(UNRESOLVED),
    )
    joined = tasks.join(entries, entries.c.entry_id == tasks.c.entry_id)
    held = tx.execute(select(func.count()).select_from(joined).where(*closed)).scalar_one()
    rows = tx.execute(
        select(tasks)
        .select_from(joined)
        .where(
            *closed,
            tasks.c.task_id > after,
            entries.c.closed_at <= func.clock_timestamp() - closed_for,
        )
        .order_by(tasks.c.task_id)
        .limit(max(0, min(limit, held - beyond)))
    )
    return [
        KnownTask(row.task_id, project_id, EntryId(row.entry_id), Stage(row.stage), row.push_id)
        for row in rows
    ]


def mark_archived(tx: Connection, project_id: int, task_ids: Sequence[int]) -> int:
    """These are not in Label Studio any more, and nobody shall look for them. How many are new."""
    return tx.execute(
        update(tasks)
        .where(
            tasks.c.project_id == project_id,
            tasks.c.task_id.in_(task_ids),
            tasks.c.archived_at.is_(None),
        )
        .values(archived_at=func.clock_timestamp())
    ).rowcount


def unmark(tx: Connection, project_id: int, task_ids: Sequence[int]) -> int:
    """These are in Label Studio after all, as after a restore of an older backup. How many."""
    return tx.execute(
        update(tasks)
        .where(
            tasks.c.project_id == project_id,
            tasks.c.task_id.in_(task_ids),
            tasks.c.archived_at.is_not(None),
        )
        .values(archived_at=None)
    ).rowcount
