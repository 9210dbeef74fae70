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

from hitl.queue.errors import LeaseLost, NoSkill, NotInQueue, SkipsUsedUp
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


_COLUMNS = "SELECT entry_id, turn_at, due_at FROM entries WHERE state = 'waiting'"

# `branches` are read in step, each by its own index, and only as far as rows are taken. A row that
# a dispatch or another claim holds is passed over; one that moved in the meantime fails the state.
_CHOOSE = """
SELECT e.entry_id FROM ({branches}) ahead JOIN entries e USING (entry_id)
WHERE e.state = 'waiting'
  AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
  AND NOT EXISTS (SELECT FROM handled h WHERE h.entry_id = e.entry_id AND h.holder = :holder)
ORDER BY ahead.turn_at, ahead.due_at, ahead.entry_id
LIMIT :limit FOR NO KEY UPDATE OF e SKIP LOCKED
"""

# A statement of its own: only now, with the rows locked, are the intents of a dispatch that held
# them before us seen.
_TAKE = """
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
)
UPDATE entries e SET state = 'dispatched', lease_id = made.lease_id
FROM made WHERE e.entry_id = ANY(made.entry_ids)
RETURNING made.lease_id, made.token, made.expires_at, e.entry_id, e.item_id, e.lane, e.tier,
          e.due_at, e.turn_at
"""

_RENEW = """
UPDATE leases SET expires_at = clock_timestamp() + :seconds * interval '1 second'
WHERE lease_id = :lease_id AND token = :token AND ended_at IS NULL
RETURNING expires_at
"""

# `now()`, which stands still, so that the index is used; it is never too early.
_EXPIRE = """
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
"""

# How an entry leaves its lease: {moved} says to where. One statement, so that the entries and what
# the lease still holds cannot disagree.
_LEAVE = """
WITH lease AS (
    SELECT lease_id, holder FROM leases
    WHERE lease_id = :lease_id AND token = :token AND ended_at IS NULL FOR UPDATE
),
moved AS (
    UPDATE entries e SET {moved}, lease_id = NULL
    FROM lease WHERE e.entry_id = ANY(:entry_ids) AND e.lease_id = lease.lease_id
    RETURNING e.entry_id, e.votes_wanted, lease.holder
),
told AS ({told}),
left_over AS (
    UPDATE leases l SET held = greatest(held - (SELECT count(*) FROM moved), 0),
        ended_at = CASE WHEN held <= (SELECT count(*) FROM moved) THEN clock_timestamp() END
    FROM lease WHERE l.lease_id = lease.lease_id
)
SELECT entry_id FROM moved
"""
_TELL_NOBODY = "SELECT 1"

# An entry that wants several answers waits for somebody else until it has them all.
_COMPLETE = _LEAVE.format(
    moved="""state = CASE WHEN votes_wanted <= 1 OR votes_wanted <= 1 + (
        SELECT count(*) FROM handled h WHERE h.entry_id = e.entry_id AND h.outcome = 'answered'
    ) THEN 'done' ELSE 'waiting' END, failures = 0""",
    told="""INSERT INTO handled (entry_id, holder, outcome)
        SELECT entry_id, holder, 'answered' FROM moved WHERE votes_wanted > 1""",
)
_RELEASE = _LEAVE.format(moved="state = 'waiting'", told=_TELL_NOBODY)
# To the next tier once enough have passed it on; its deadline starts anew there.
_SKIP = _LEAVE.format(
    moved="""state = 'waiting', failures = 0,
    tier = CASE WHEN {enough} THEN least(tier + 1, 9) ELSE tier END,
    reason = CASE WHEN {enough} THEN 'skipped by ' || :skippers ELSE reason END,
    due_at = CASE WHEN {enough} THEN now() + :minutes * interval '1 minute' ELSE due_at END,
    turn_at = CASE WHEN {enough} THEN now() + :minutes * interval '1 minute' + (turn_at - due_at)
                   ELSE turn_at END""".replace(
        "{enough}",
        """(1 + (SELECT count(*) FROM handled h
                 WHERE h.entry_id = e.entry_id AND h.outcome = 'skipped')) % :skippers = 0""",
    ),
    told="""INSERT INTO handled (entry_id, holder, outcome, reason)
        SELECT entry_id, holder, 'skipped', :reason FROM moved""",
)
_UP = """state = 'waiting', failures = 0, tier = least(tier + 1, 9), reason = :reason,
    due_at = now() + :minutes * interval '1 minute',
    turn_at = now() + :minutes * interval '1 minute' + (turn_at - due_at)"""
_ESCALATE = _LEAVE.format(moved=_UP, told=_TELL_NOBODY)
_ESCALATE_WAITING = f"""
WITH held AS (
    SELECT entry_id FROM entries WHERE entry_id = ANY(:entry_ids) AND state = 'waiting'
    ORDER BY entry_id FOR NO KEY UPDATE
)
UPDATE entries e SET {_UP} FROM held
WHERE e.entry_id = held.entry_id
  AND NOT EXISTS (SELECT FROM tasks t WHERE t.entry_id = e.entry_id AND t.stage = 'review')
RETURNING e.entry_id
"""  # noqa: S608
_LOCK_WAITING = """
SELECT entry_id FROM entries WHERE entry_id = ANY(:entry_ids) AND state = 'waiting'
ORDER BY entry_id FOR NO KEY UPDATE
"""
_COUNT_SKIPS = """
SELECT count(*) FROM handled
WHERE holder = :holder AND outcome = 'skipped' AND happened_at > now() - interval '1 day'
"""


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
    expire(tx, failures_before_dead=failures_before_dead)
    chosen = tx.execute(
        text(_CHOOSE.format(branches=" UNION ALL ".join(branches))),
        {"holder": holder, "limit": limit} | values,
    ).scalars()
    taken = tx.execute(
        text(_TAKE), {"chosen": list(chosen), "holder": holder, "seconds": seconds}
    ).all()
    return _lease(holder, taken) if taken else None


def _branches(
    skills: Sequence[Skill], lanes: Sequence[str] | None
) -> tuple[list[str], dict[str, Any]]:
    """One query for each index that has entries this holder may take, and their parameters."""
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
            branches.append(f"{_COLUMNS} AND {where}")
        elif tier > 1 and named:
            values[f"lanes_{tier}"] = named
            branches.append(f"{_COLUMNS} AND {where} AND lane = ANY(:lanes_{tier})")
        else:
            for lane in named:
                values[f"lane_{len(values)}"] = lane
                branches.append(f"{_COLUMNS} AND {where} AND lane = :lane_{len(values) - 1}")
    return branches, values


def _lease(holder: str, rows: Sequence[Row[Any]]) -> Lease:
    rows = sorted(rows, key=lambda row: (row.turn_at, row.due_at, row.entry_id))
    return Lease(
        rows[0].lease_id,
        rows[0].token,
        holder,
        rows[0].expires_at,
        tuple(
            LeasedEntry(EntryId(row.entry_id), ItemId(row.item_id), row.lane, row.tier, row.due_at)
            for row in rows
        ),
    )


def heartbeat(tx: Connection, lease: Lease, *, seconds: float) -> datetime:
    """Hold on for so many seconds from now. One row, however many entries.

    Raises:
        LeaseLost: it has ended.
    """
    until: datetime | None = tx.execute(
        text(_RENEW), _proof(lease) | {"seconds": seconds}
    ).scalar_one_or_none()
    if until is None:
        raise LeaseLost(lease.lease_id)
    return until


def expire(tx: Connection, *, failures_before_dead: int = FAILURES_BEFORE_DEAD) -> int:
    """Take back what leases that ran out hold. How many entries; a hundred leases at a time."""
    return int(tx.execute(text(_EXPIRE), {"failures": failures_before_dead}).scalar_one())


def complete(tx: Connection, lease: Lease, entry_ids: Sequence[EntryId]) -> int:
    """These entries are answered; all or none. How many.

    Store the votes in the same transaction, and resolve after this: an entry that wants several
    answers waits for somebody else.

    Raises:
        LeaseLost: one of them is not in this lease any more.
    """
    return _leave(tx, _COMPLETE, lease, entry_ids)


def release(tx: Connection, lease: Lease, entry_ids: Sequence[EntryId] | None = None) -> int:
    """Give these entries back unanswered, or all; the same holder may get them again.

    Raises:
        LeaseLost: one of those that were named is not in this lease any more.
    """
    if entry_ids is None:
        wanted = {"entry_ids": lease.entry_ids}
        return len(tx.execute(text(_RELEASE), _proof(lease) | wanted).all())
    return _leave(tx, _RELEASE, lease, entry_ids)


def skip(
    tx: Connection,
    lease: Lease,
    entry_ids: Sequence[EntryId],
    *,
    reason: str,
    skips_per_day: int,
    skips_before_escalation: int,
    escalation_minutes: float,
) -> int:
    """Pass these entries on to somebody else; once so many have, to the next tier.

    Raises:
        SkipsUsedUp: the holder has skipped as many as one may in 24 hours.
        LeaseLost: one of them is not in this lease any more.
    """
    skipped = int(tx.execute(text(_COUNT_SKIPS), {"holder": lease.holder}).scalar_one())
    if skipped + len(entry_ids) > skips_per_day:
        raise SkipsUsedUp(lease.holder, skipped, skips_per_day)
    return _leave(
        tx,
        _SKIP,
        lease,
        entry_ids,
        reason=reason,
        skippers=skips_before_escalation,
        minutes=escalation_minutes,
    )


def escalate(
    tx: Connection,
    lease: Lease,
    entry_ids: Sequence[EntryId],
    *,
    reason: str,
    escalation_minutes: float,
) -> int:
    """Hand these entries to the next tier, whose deadline starts now.

    Raises:
        LeaseLost: one of them is not in this lease any more.
    """
    return _leave(tx, _ESCALATE, lease, entry_ids, reason=reason, minutes=escalation_minutes)


def escalate_waiting(
    tx: Connection, entry_ids: Sequence[EntryId], *, reason: str, escalation_minutes: float
) -> int:
    """Hand entries that wait to the next tier, all or none.

    Raises:
        NotInQueue: one of them does not wait, or Label Studio is about to have it.
    """
    # Locked first: the next statement sees the intents of a dispatch that held these rows.
    tx.execute(text(_LOCK_WAITING), {"entry_ids": list(entry_ids)})
    given = {"entry_ids": list(entry_ids), "reason": reason, "minutes": escalation_minutes}
    found = set(tx.execute(text(_ESCALATE_WAITING), given).scalars())
    if missing := [one for one in entry_ids if one not in found]:
        raise NotInQueue(missing, "the next tier")
    return len(found)


def _leave(
    tx: Connection, statement: str, lease: Lease, entry_ids: Sequence[EntryId], **more: Any
) -> int:
    given = _proof(lease) | {"entry_ids": list(entry_ids)} | more
    found = set(tx.execute(text(statement), given).scalars())
    if missing := [one for one in entry_ids if one not in found]:
        raise LeaseLost(lease.lease_id, missing)
    return len(found)


def _proof(lease: Lease) -> dict[str, Any]:
    return {"lease_id": lease.lease_id, "token": lease.token}
