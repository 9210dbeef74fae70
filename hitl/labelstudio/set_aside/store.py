"""Annotation rejects in SQL: ids and reasons, never what a reviewer wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class AnnotationReject:
    """An annotation version that the interface cannot have produced, and where to find it."""

    project_id: int
    task_id: int
    entry_id: int
    reviewer: str
    unique_id: str
    updated_at: datetime
    reason: str


def list_annotation_rejects(tx: Connection, *, limit: int = 100) -> list[AnnotationReject]:
    """What was set aside, newest first."""
    rows = tx.execute(
        text(
            "SELECT a.project_id, a.task_id, a.entry_id, a.reviewer, unique_id, updated_at,"
            " r.reason FROM annotation_rejects r JOIN annotations a USING (unique_id, updated_at)"
            " ORDER BY r.seen_at DESC, unique_id, updated_at LIMIT :limit"
        ),
        {"limit": limit},
    )
    return [AnnotationReject(*row) for row in rows]


def count_annotation_rejects(tx: Connection) -> int:
    """How many there are."""
    return int(tx.execute(text("SELECT count(*) FROM annotation_rejects")).scalar_one())
