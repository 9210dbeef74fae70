"""Rejects and conflicts in SQL: kept while they hold, listed for a person, never with content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from hitl.decisions.chunks import Reject
from hitl.decisions.mapping import Kind
from hitl.decisions.staging.store import stage

_STAGE_REJECTS = """
CREATE TEMP TABLE IF NOT EXISTS intake_rejects (line bigint, field text, reason text)
ON COMMIT DROP
"""
# A source that was mended half may be wrong in another way now: the newest reason counts.
_KEEP_REJECTS = """
INSERT INTO rejects (source, kind, line, field, reason)
SELECT CAST(:source AS text), CAST(:kind AS text), line, field, reason
FROM intake_rejects ORDER BY line, field
ON CONFLICT (source, kind, line, field) DO UPDATE
SET reason = excluded.reason, seen_at = clock_timestamp()
"""
# `source` may be the end of a name after a slash, such as `log.csv`.
_OF_SOURCE = """
WHERE CAST(:source AS text) IS NULL OR source = :source
   OR right(source, length(:source) + 1) = '/' || :source
"""
_REJECTS = f"FROM rejects {_OF_SOURCE}"
_CONFLICTS = f"FROM conflicts {_OF_SOURCE}"


@dataclass(frozen=True, slots=True)
class StoredReject:
    """A row that was set aside, as `hitl rejects` lists it."""

    source: str
    line: int
    field: str
    reason: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class StoredConflict:
    """A row under a known key that said something else; what was there first stands."""

    kind: str
    item_id: str
    key: str
    source: str
    seen_at: datetime


def record_rejects(tx: Connection, rejects: Sequence[Reject], *, source: str, kind: Kind) -> None:
    """Keep what was set aside; the same line and field again is one row, seen again."""
    if not rejects:
        return
    once = {(one.line, one.field): one.reason for one in rejects}
    fields = ((line, name, reason) for (line, name), reason in sorted(once.items()))
    stage(tx, _STAGE_REJECTS, "intake_rejects", fields)
    tx.execute(text(_KEEP_REJECTS), {"source": source, "kind": kind})


def database_clock(tx: Connection) -> datetime:
    """Now, by the clock that `seen_at` is written by."""
    now: datetime = tx.execute(select(func.clock_timestamp())).scalar_one()
    return now


def forget_mended(tx: Connection, *, source: str, kind: Kind, before: datetime) -> int:
    """Delete the rejects of a source that a complete reading, begun at `before`, did not find.

    A reading for one kind says nothing of rejects found for the other; one of both covers all.
    """
    gone = tx.execute(
        text(
            "DELETE FROM rejects WHERE source = :source AND seen_at < :before "
            "AND (kind = :kind OR :kind = 'both')"
        ),
        {"source": source, "kind": kind, "before": before},
    )
    return gone.rowcount


def list_rejects(
    tx: Connection, *, source: str | None = None, limit: int = 100
) -> list[StoredReject]:
    """Rows set aside, by source and line.

    `source` is a whole source name or the end of one after a slash, such as `log.csv`.
    """
    rows = tx.execute(
        text(
            f"SELECT DISTINCT ON (source, line, field) source, line, field, reason, seen_at "
            f"{_REJECTS} ORDER BY source, line, field, seen_at DESC LIMIT :limit"
        ),
        {"source": source, "limit": limit},
    )
    return [StoredReject(*row) for row in rows]


def count_rejects(tx: Connection, *, source: str | None = None) -> dict[str, int]:
    """How many rows are set aside, by source; `source` as in `list_rejects`."""
    rows = tx.execute(
        text(f"SELECT source, count(DISTINCT line) {_REJECTS} GROUP BY source ORDER BY source"),
        {"source": source},
    )
    return {row[0]: row[1] for row in rows}


def list_conflicts(
    tx: Connection, *, source: str | None = None, limit: int = 100
) -> list[StoredConflict]:
    """Conflicts, newest first; `source` as in `list_rejects`."""
    rows = tx.execute(
        text(
            f"SELECT kind, item_id, key, source, seen_at {_CONFLICTS} "
            "ORDER BY seen_at DESC, kind, item_id, key LIMIT :limit"
        ),
        {"source": source, "limit": limit},
    )
    return [StoredConflict(*row) for row in rows]


def count_conflicts(tx: Connection, *, source: str | None = None) -> dict[str, int]:
    """How many conflicts there are, by the source that brought them."""
    rows = tx.execute(
        text(f"SELECT source, count(*) {_CONFLICTS} GROUP BY source ORDER BY source"),
        {"source": source},
    )
    return {row[0]: row[1] for row in rows}
