"""Leases in SQL: no entry is ever held by two, and none is forgotten.

Whoever claims holds entries until a moment by the database's clock. A lease whose moment has passed
lives until somebody takes its entries back, which every claim does first. Locks are taken in one
order: the lease, then its entries by id. What a claim does stands in hitl/db/claims.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from hitl.queue.errors import LeaseLost, NoSkill
from hitl.records import EntryId, ItemId

FAILURES_BEFORE_DEAD = 5


@dataclass(frozen=True, slots=True)
class LeasedEntry:
    """One entry of a lease. `due_at`: its deadline."""

    entry_id: EntryId
    item_id: ItemId
    lane: str
    tier: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Lease:
    """Entries that somebody holds, next one first. `token` is the proof; keep it secret."""

    lease_id: int
    token: UUID
    holder: str
    expires_at: datetime
    entries: tuple[LeasedEntry, ...]

    @property
    def entry_ids(self) -> list[EntryId]:
        return [one.entry_id for one in self.entries]


_CLAIM = text(
    "SELECT * FROM claim_entries(:holder, CAST(:lanes AS text[]), :limit, :seconds, :failures)"
)
_RENEW = text("""
UPDATE leases SET expires_at = clock_timestamp() + :seconds * interval '1 second'
WHERE lease_id = :lease_id AND token = :token AND ended_at IS NULL
RETURNING expires_at
""")
_EXPIRE = text("SELECT expire_leases(:failures)")


def claim(
    tx: Connection,
    *,
    holder: str,
    limit: int,
    seconds: float,
    lanes: Sequence[str] | None = None,
    failures_before_dead: int = FAILURES_BEFORE_DEAD,
) -> Lease | None:
    """Take up to `limit` free entries for so many seconds, next one first. None: nothing is free.

    Only of lanes and tiers that the holder may take, and of `lanes` if given. Nothing that they
    skipped or answered before, nothing that Label Studio has or is about to have. What leases that
    ran out held is taken back first; an entry that was lost so often is parked as dead.

    Raises:
        NoSkill: the holder may take nothing of what was asked for.
    """
    asked = None if lanes is None else list(lanes)
    made = tx.execute(
        _CLAIM,
        {
            "holder": holder,
            "lanes": asked,
            "limit": limit,
            "seconds": seconds,
            "failures": failures_before_dead,
        },
    ).one_or_none()
    if made is None:
        raise NoSkill(holder, lanes)
    if made.lease_id is None:
        return None
    held = zip(made.entry_ids, made.item_ids, made.lanes, made.tiers, made.due_ats, strict=True)
    entries = tuple(LeasedEntry(*one) for one in held)
    return Lease(made.lease_id, made.token, holder, made.expires_at, entries)


def heartbeat(tx: Connection, lease: Lease, *, seconds: float) -> datetime:
    """Hold on for so many seconds from now. One row, however many entries.

    Raises:
        LeaseLost: it has ended.
    """
    until: datetime | None = tx.execute(
        _RENEW, proof_of(lease) | {"seconds": seconds}
    ).scalar_one_or_none()
    if until is None:
        raise LeaseLost(lease.lease_id)
    return until


def expire(tx: Connection, *, failures_before_dead: int = FAILURES_BEFORE_DEAD) -> int:
    """Take back what leases that ran out hold. How many entries; a hundred leases at a time."""
    return int(tx.execute(_EXPIRE, {"failures": failures_before_dead}).scalar_one())


def proof_of(lease: Lease) -> dict[str, Any]:
    """What shows that a lease is ours, as a statement's parameters."""
    return {"lease_id": lease.lease_id, "token": lease.token}
