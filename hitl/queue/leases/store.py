"""Leases in SQL: no entry is ever held by two, and none is forgotten.

Whoever claims holds entries until a moment by the database's clock. A lease whose moment has passed
lives until somebody takes its entries back, which every claim does first. Locks are taken in one
order: the lease, then its entries by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from hitl.queue.errors import LeaseLost, NoSkill
from hitl.queue.routing.store import EVERY_LANE, Skill, skills_of
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


_FREE = """
e.state = 'waiting'
AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
AND NOT EXISTS (SELECT FROM handled h WHERE h.entry_id = e.entry_id AND h.holder = :holder)
"""
# What a dispatch or another claim holds is passed over; what moved in the meantime fails the state.
_OF_ONE = f"""
SELECT e.entry_id, e.item_id, e.lane, e.tier, e.due_at FROM entries e
WHERE {{where}} AND {_FREE}
ORDER BY e.turn_at, e.due_at, e.entry_id
LIMIT :limit FOR NO KEY UPDATE OF e SKIP LOCKED
"""  # noqa: S608
# Postgres would sort all that waits in several lanes. So it is shown the first of each, `ahead` of
# them: more than are taken, for others may hold some.
_OF_EACH = f"""
(SELECT e.entry_id, e.turn_at, e.due_at FROM entries e WHERE {{where}} AND {_FREE}
 ORDER BY e.turn_at, e.due_at, e.entry_id LIMIT :ahead)
"""  # noqa: S608
_OF_SEVERAL = f"""
SELECT e.entry_id, e.item_id, e.lane, e.tier, e.due_at
FROM ({{each}}) first JOIN entries e USING (entry_id)
WHERE {_FREE}
ORDER BY first.turn_at, first.due_at, first.entry_id
LIMIT :limit FOR NO KEY UPDATE OF e SKIP LOCKED
"""  # noqa: S608
_AHEAD = (2, 100)  # times the limit

# A statement of its own: only now, with the rows locked, are the intents of a dispatch that held
# them before us seen.
_TAKE = text("""
WITH free AS (
    SELECT c.entry_id FROM unnest(CAST(:chosen AS bigint[])) AS c (entry_id)
    WHERE NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = c.entry_id AND t.stage = 'review')
),
made AS (
    INSERT INTO leases (holder, entry_ids, held, expires_at)
    SELECT :holder, array_agg(entry_id), count(*),
           clock_timestamp() + :seconds * interval '1 second'
    FROM free HAVING count(*) > 0
    RETURNING lease_id, token, expires_at, entry_ids
),
moved AS (
    UPDATE entries e SET state = 'dispatched', lease_id = made.lease_id
    FROM made WHERE e.entry_id = ANY(made.entry_ids)
)
SELECT lease_id, token, expires_at, entry_ids FROM made
""")

_RENEW = text("""
UPDATE leases SET expires_at = clock_timestamp() + :seconds * interval '1 second'
WHERE lease_id = :lease_id AND token = :token AND ended_at IS NULL
RETURNING expires_at
""")

# `now()`, which stands still, so that the index is used; it is never too early.
_EXPIRE = text("""
WITH over AS (
    SELECT lease_id, entry_ids FROM leases
    WHERE ended_at IS NULL AND expires_at <= now()
    ORDER BY lease_id LIMIT 100 FOR UPDATE SKIP LOCKED
),
held AS (
    SELECT e.entry_id FROM over JOIN entries e
      ON e.entry_id = ANY(over.entry_ids) AND e.lease_id = over.lease_id
    ORDER BY e.entry_id FOR NO KEY UPDATE OF e
),
back AS (
    UPDATE entries e
    SET state = CASE WHEN e.failures + 1 >= :failures THEN 'dead' ELSE 'waiting' END,
        reason = CASE WHEN e.failures + 1 >= :failures
                      THEN 'no answer in ' || (e.failures + 1) || ' leases' END,
        lease_id = NULL, failures = e.failures + 1
    FROM held WHERE e.entry_id = held.entry_id
    RETURNING e.entry_id
),
ended AS (
    UPDATE leases l SET ended_at = clock_timestamp(), held = 0 FROM over
    WHERE l.lease_id = over.lease_id
)
SELECT count(*) FROM back
""")
_SOME_RAN_OUT = text(
    "SELECT EXISTS (SELECT FROM leases WHERE ended_at IS NULL AND expires_at <= now())"
)


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
    branches, values = _branches(skills_of(tx, holder), lanes)
    if not branches:
        raise NoSkill(holder, lanes)
    if tx.execute(_SOME_RAN_OUT).scalar_one():
        expire(tx, failures_before_dead=failures_before_dead)
    chosen = _choose(tx, branches, values | {"holder": holder}, limit)
    wanted = {"chosen": [row.entry_id for row in chosen], "holder": holder, "seconds": seconds}
    made = tx.execute(_TAKE, wanted).one_or_none() if chosen else None
    if made is None:
        return None
    taken = frozenset(made.entry_ids)
    held = tuple(LeasedEntry(*row) for row in chosen if row.entry_id in taken)
    return Lease(made.lease_id, made.token, holder, made.expires_at, held)


def _choose(
    tx: Connection, branches: Sequence[str], values: dict[str, Any], limit: int
) -> Sequence[Row[Any]]:
    """Lock the first free entries of all branches, in one order."""
    if len(branches) == 1:
        statement = text(_OF_ONE.format(where=branches[0]))
        return tx.execute(statement, values | {"limit": limit}).all()
    each = " UNION ALL ".join(_OF_EACH.format(where=one) for one in branches)
    statement = text(_OF_SEVERAL.format(each=each))
    found: Sequence[Row[Any]] = []
    for times in _AHEAD:
        found = tx.execute(statement, values | {"limit": limit, "ahead": limit * times}).all()
        if len(found) == limit:
            break
    return found


def _branches(
    skills: Sequence[Skill], lanes: Sequence[str] | None
) -> tuple[list[str], dict[str, Any]]:
    """A condition for each stretch of an index that this holder may take, and their parameters."""
    highest = {one.lane: one.tier for one in skills}
    every = highest.pop(EVERY_LANE, 0)
    if lanes is not None:
        highest = {lane: max(highest.get(lane, 0), every) for lane in lanes}
        every = 0
    branches: list[str] = []
    values: dict[str, Any] = {}
    for tier in range(1, max([every, *highest.values()], default=0) + 1):
        named = sorted(lane for lane, top in highest.items() if top >= tier)
        where = "tier = 1" if tier == 1 else f"tier > 1 AND tier = {tier}"
        if every >= tier:
            branches.append(where)
        elif tier > 1 and named:
            values[f"lanes_{tier}"] = named
            branches.append(f"{where} AND lane = ANY(:lanes_{tier})")
        else:
            for lane in named:
                values[f"lane_{len(values)}"] = lane
                branches.append(f"{where} AND lane = :lane_{len(values) - 1}")
    return branches, values


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
