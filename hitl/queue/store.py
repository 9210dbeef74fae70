"""The queue in SQL: figures equal to a recount of `entry_events`, and moves a person may make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select, text, update

from hitl.db.schema import batches, entries, open_items, picks, policies, tasks, turns
from hitl.policy import Policy
from hitl.queue.errors import NothingOpen, NotInQueue
from hitl.recipe import ELUSION_APART
from hitl.records import EntryId, EntryState, ItemId, PolicyId

_OPEN = (EntryState.WAITING, EntryState.DISPATCHED, EntryState.ADJUDICATING)
_POLICY_CHANGED = "policy changed"
_ASKED_ANEW = "asked for another share"


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One line of `hitl queue stats`: entries of one policy in one state. Ages in seconds."""

    policy_id: PolicyId
    state: EntryState
    entries: int
    median_age_seconds: float | None
    p90_age_seconds: float | None
    oldest_age_seconds: float | None


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One entry, as `hitl queue list` shows it. No content."""

    entry_id: EntryId
    item_id: str
    batch_id: str
    state: EntryState
    lane: str
    tier: int
    priority: float
    opened_at: datetime
    due_at: datetime
    reason: str | None


def queue_lines(tx: Connection) -> list[QueueLine]:
    """Depth and age by policy and state; ages only where entries are still open."""
    rows = tx.execute(
        text(
            "SELECT d.policy_id, d.state, d.entries, a.median_seconds, a.p90_seconds, "
            "a.oldest_seconds FROM dashboard.queue_depth d "
            "LEFT JOIN dashboard.queue_age a USING (policy_id, state) ORDER BY 1, 2"
        )
    )
    return [
        QueueLine(
            PolicyId(row.policy_id),
            EntryState(row.state),
            row.entries,
            row.median_seconds,
            row.p90_seconds,
            row.oldest_seconds,
        )
        for row in rows
    ]


def count_by_state(tx: Connection, policy_id: PolicyId) -> dict[EntryState, int]:
    """How many entries of a policy are in each state; absent states count zero."""
    rows = tx.execute(
        select(entries.c.state, func.count())
        .where(entries.c.policy_id == policy_id)
        .group_by(entries.c.state)
    )
    found = {EntryState(state): count for state, count in rows}
    return {state: found.get(state, 0) for state in EntryState}


def count_batches(tx: Connection, *, prefix: str) -> int:
    """How many batches have an id that begins with `prefix`."""
    wanted = batches.c.batch_id.startswith(prefix, autoescape=True)
    return int(tx.execute(select(func.count()).select_from(batches).where(wanted)).scalar_one())


def list_entries(tx: Connection, *, states: Sequence[EntryState], limit: int) -> list[QueueRow]:
    """Entries in the given states, most urgent first."""
    wanted = select(entries)
    if set(states) <= set(_OPEN):  # not all that was ever asked
        wanted = wanted.join(open_items, open_items.c.entry_id == entries.c.entry_id)
    rows = tx.execute(
        wanted.where(entries.c.state.in_([state.value for state in states]))
        .order_by(entries.c.turn_at, entries.c.due_at, entries.c.entry_id)
        .limit(limit)
    )
    return [
        QueueRow(
            EntryId(row.entry_id),
            row.item_id,
            row.batch_id,
            EntryState(row.state),
            row.lane,
            row.tier,
            row.priority,
            row.opened_at,
            row.due_at,
            row.reason,
        )
        for row in rows
    ]


def requeue(tx: Connection, entry_ids: Sequence[EntryId]) -> int:
    """Put dead entries back to wait, all or none.

    Raises:
        NotInQueue: one of them is not dead.
    """
    return _move(tx, entry_ids, to=EntryState.WAITING, out_of=(EntryState.DEAD,), reason=None)


def requeue_where(tx: Connection, *, reason: str | None = None, lane: str | None = None) -> int:
    """Put all dead entries back to wait, or those of a reason, or of a lane, or of both.

    Of two dead entries of one item the newer one is put back, and none while another is open.
    """
    dead = (
        select(entries.c.entry_id)
        .where(
            entries.c.state == EntryState.DEAD,
            ~exists().where(open_items.c.item_id == entries.c.item_id),
        )
        .distinct(entries.c.item_id)
        .order_by(entries.c.item_id, entries.c.entry_id.desc())
    )
    if reason is not None:
        dead = dead.where(entries.c.reason == reason)
    if lane is not None:
        dead = dead.where(entries.c.lane == lane)
    return tx.execute(
        update(entries)
        .where(entries.c.entry_id.in_(dead), entries.c.state == EntryState.DEAD)
        .values(state=EntryState.WAITING, reason=None)
    ).rowcount


def withdraw(tx: Connection, entry_ids: Sequence[EntryId], *, reason: str) -> int:
    """Take open entries back unanswered, all or none. Their items may be chosen again.

    Raises:
        NotInQueue: one of them is not open.
    """
    return _move(tx, entry_ids, to=EntryState.WITHDRAWN, out_of=_OPEN, reason=reason)


def withdraw_policy(tx: Connection, policy_id: PolicyId, *, reason: str) -> int:
    """Take every open entry of one version of a policy back.

    Raises:
        NothingOpen: it has none, or there is no such policy.
    """
    found = (
        select(entries.c.entry_id)
        .join(open_items, open_items.c.entry_id == entries.c.entry_id)
        .where(entries.c.policy_id == policy_id, entries.c.state.in_(_OPEN))
    )
    locked = tx.execute(found.with_for_update(of=entries)).scalars()
    entry_ids = [EntryId(one) for one in locked]
    if not entry_ids:
        raise NothingOpen(policy_id)
    return withdraw(tx, entry_ids, reason=reason)


def withdraw_older(tx: Connection, policy: Policy) -> int:
    """Take back what waits under other versions of this policy: nobody will be asked it any more.

    What is with the reviewers already is still answered, by the rules that it was asked under. An
    entry of which we do not know yet whether its task exists stays until a dispatch settles that.
    """
    waiting = (
        _under_other_versions(policy)
        .with_only_columns(entries.c.entry_id)
        .order_by(entries.c.entry_id)
    )
    # Locked first: the next statement sees the intents of a dispatch that held these rows.
    locked = tx.execute(waiting.with_for_update(of=entries)).scalars().all()
    unsettled = exists().where(tasks.c.entry_id == entries.c.entry_id, tasks.c.task_id.is_(None))
    return tx.execute(
        update(entries)
        .where(entries.c.entry_id.in_(locked), ~unsettled)
        .values(state=EntryState.WITHDRAWN.value, reason=_POLICY_CHANGED)
    ).rowcount


def make_way(tx: Connection, item_ids: Sequence[ItemId]) -> int:
    """Take back what a look at a backlog has open of these items on the measuring side.

    They are about to be asked for another share, and the look counts that answer. How many.
    """
    open_ones = (
        select(entries.c.entry_id)
        .join(open_items, open_items.c.entry_id == entries.c.entry_id)
        .join(
            picks,
            (picks.c.batch_id == entries.c.batch_id) & (picks.c.item_id == entries.c.item_id),
        )
        .where(
            open_items.c.item_id.in_(item_ids),
            entries.c.state.in_(_OPEN),
            picks.c.share == ELUSION_APART,
        )
        .order_by(entries.c.entry_id)
    )
    locked = tx.execute(open_ones.with_for_update(of=entries)).scalars().all()
    return tx.execute(
        update(entries)
        .where(entries.c.entry_id.in_(locked))
        .values(state=EntryState.WITHDRAWN.value, reason=_ASKED_ANEW)
    ).rowcount


def count_under_other_versions(tx: Connection, policy: Policy) -> int:
    """How many entries wait under other versions of this policy."""
    waiting = _under_other_versions(policy).with_only_columns(func.count())
    return int(tx.execute(waiting).scalar_one())


def _under_other_versions(policy: Policy) -> Select[Any]:
    return (
        select(entries)
        .join(turns, turns.c.entry_id == entries.c.entry_id)
        .join(policies, policies.c.policy_id == entries.c.policy_id)
        .where(
            policies.c.name == policy.name,
            policies.c.policy_id != policy.policy_id,
            entries.c.state == EntryState.WAITING,
        )
    )


def _move(
    tx: Connection,
    entry_ids: Sequence[EntryId],
    *,
    to: EntryState,
    out_of: Sequence[EntryState],
    reason: str | None,
) -> int:
    moved = tx.execute(
        update(entries)
        .where(
            entries.c.entry_id.in_(entry_ids),
            entries.c.state.in_([state.value for state in out_of]),
        )
        .values(state=to.value, reason=reason)
        .returning(entries.c.entry_id)
    )
    found = set(moved.scalars())
    missing = [one for one in entry_ids if one not in found]
    if missing:
        raise NotInQueue(missing, to)
    return len(found)
