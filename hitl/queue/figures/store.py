"""Figures by lane and by person, and deadlines that passed, in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from hitl.records import EntryId, EntryState, PolicyId


@dataclass(frozen=True, slots=True)
class LaneLine:
    """Entries of one policy, lane, tier and state. Ages in seconds, of open ones alone."""

    policy_id: PolicyId
    lane: str
    tier: int
    state: EntryState
    entries: int
    overdue: int
    next_due_at: datetime
    median_age_seconds: float | None
    p90_age_seconds: float | None
    p99_age_seconds: float | None
    oldest_age_seconds: float | None


@dataclass(frozen=True, slots=True)
class HolderLine:
    """What somebody took and passed on in a UTC day, by tools that pull work."""

    holder: str
    day: datetime
    claimed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Breach:
    """An open entry whose deadline has passed."""

    entry_id: EntryId
    lane: str
    tier: int
    due_at: datetime


_LANES = text("""
SELECT d.policy_id, d.lane, d.tier, d.state, d.entries, d.overdue, d.next_due_at,
       a.median_seconds, a.p90_seconds, a.p99_seconds, a.oldest_seconds
FROM dashboard.lane_depth d
LEFT JOIN dashboard.lane_age a USING (policy_id, lane, tier, state)
ORDER BY 1, 2, 3, 4
""")
_HOLDERS = text(
    "SELECT holder, day, claimed, skipped FROM dashboard.holder_daily "
    "WHERE day >= now() - :days * interval '1 day' ORDER BY day DESC, holder"
)
_TELL_BREACHES = text("""
WITH told AS (
    INSERT INTO breaches (entry_id, due_at, lane, tier)
    SELECT entry_id, due_at, lane, tier FROM open_items JOIN entries USING (entry_id)
    WHERE due_at <= clock_timestamp()
    ORDER BY entry_id ON CONFLICT DO NOTHING
    RETURNING entry_id, lane, tier, due_at
)
SELECT * FROM told ORDER BY due_at, entry_id
""")


def lane_lines(tx: Connection) -> list[LaneLine]:
    """Depth, deadlines and ages by lane; `unrouted` is a lane like any other."""
    return [
        LaneLine(PolicyId(row[0]), row[1], row[2], EntryState(row[3]), *row[4:])
        for row in tx.execute(_LANES)
    ]


def holder_lines(tx: Connection, *, days: float = 7.0) -> list[HolderLine]:
    """Who took how much and passed how much on, newest day first."""
    return [HolderLine(*row) for row in tx.execute(_HOLDERS, {"days": days})]


def tell_breaches(tx: Connection) -> list[Breach]:
    """Deadlines that passed and were not told before, by the database's clock; earliest first.

    Each is told once: what was escalated has a new deadline and may breach that one too.
    """
    return [
        Breach(EntryId(row.entry_id), row.lane, row.tier, row.due_at)
        for row in tx.execute(_TELL_BREACHES)
    ]
