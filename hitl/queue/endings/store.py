"""How entries leave a lease, in SQL. Locks: the lease first, then its entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, TextClause, text

from hitl.queue.errors import LeaseLost, NotInQueue, SkipsUsedUp
from hitl.queue.leases.store import Lease, proof_of
from hitl.records import EntryId

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
    RETURNING e.entry_id, lease.holder
),
told AS ({told}),
left_over AS (
    UPDATE leases l SET held = greatest(held - (SELECT count(*) FROM moved), 0),
        ended_at = CASE WHEN held <= (SELECT count(*) FROM moved) THEN clock_timestamp() END
    FROM lease WHERE l.lease_id = lease.lease_id
)
SELECT entry_id FROM moved
"""


def _leaving(moved: str, told: str = "SELECT 1") -> TextClause:
    return text(_LEAVE.format(moved=moved, told=told))


_COMPLETE = text("SELECT unnest(complete_entries(:lease_id, :token, CAST(:entry_ids AS bigint[])))")
_RELEASE = _leaving("state = 'waiting'")
# To the next tier once enough have passed it on; its deadline starts anew there.
_SKIP = _leaving(
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
_ESCALATE = _leaving(_UP)
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
        return len(tx.execute(_RELEASE, proof_of(lease) | wanted).all())
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
    tx: Connection, statement: TextClause, lease: Lease, entry_ids: Sequence[EntryId], **more: Any
) -> int:
    given = proof_of(lease) | {"entry_ids": list(entry_ids)} | more
    found = set(tx.execute(statement, given).scalars())
    if missing := [one for one in entry_ids if one not in found]:
        raise LeaseLost(lease.lease_id, missing)
    return len(found)
