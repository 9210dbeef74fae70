"""Intents to have tasks, committed before the call, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Select,
    Table,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from hitl.db.schema import decisions, entries, items, open_items, pushes, tasks, turns
from hitl.labelstudio.payloads import TaskContent
from hitl.labelstudio.store import ASKABLE, OPEN, move_entries, requeued
from hitl.policy import Policy
from hitl.records import EntryId, EntryState, ItemId, Stage


@dataclass(frozen=True, slots=True)
class Push:
    """An intent to have tasks: what one call to Label Studio is to bring."""

    push_id: UUID
    project_id: int
    stage: Stage
    contents: list[TaskContent]


# Where what may be asked at a stage stands, so that nobody looks through all that was ever asked.
_PLACES: Mapping[Stage, Table] = {Stage.REVIEW: turns, Stage.ADJUDICATION: open_items}


def _without_task(stage: Stage) -> Any:
    return ~exists().where(tasks.c.entry_id == entries.c.entry_id, tasks.c.stage == stage)


def _askable(policy: Policy, stage: Stage) -> Any:
    wanted = and_(
        entries.c.policy_id == policy.policy_id,
        entries.c.state == ASKABLE[stage],
        _without_task(stage),
    )
    # A project shows its tasks to everybody in it: what only a higher tier may see is claimed.
    lowest = and_(turns.c.tier == 1, entries.c.tier == 1)
    return and_(wanted, lowest) if stage is Stage.REVIEW else wanted


def _in_place(query: Select[Any], stage: Stage) -> Select[Any]:
    place = _PLACES[stage]
    return query.join(place, place.c.entry_id == entries.c.entry_id)


def bury(tx: Connection, entry_ids: Sequence[EntryId], *, reason: str) -> None:
    """Move entries that were to be asked to dead: a person must look."""
    tx.execute(
        update(entries)
        .where(entries.c.entry_id.in_(entry_ids), entries.c.state.in_(ASKABLE.values()))
        .values(state=EntryState.DEAD, reason=reason)
    )


def _with_text(policy: Policy, stage: Stage) -> Select[Any]:
    joined = select(entries.c.entry_id).join(items, items.c.item_id == entries.c.item_id)
    return _in_place(joined, stage).where(_askable(policy, stage), items.c.text.is_not(None))


def count_askable(tx: Connection, policy: Policy, stage: Stage) -> int:
    """How many entries have no task at this stage yet, and should; only those with text."""
    wanted = _with_text(policy, stage).subquery()
    return tx.execute(select(func.count()).select_from(wanted)).scalar_one()


def is_any_askable(tx: Connection, policy: Policy, stage: Stage) -> bool:
    """Is there an entry that `count_askable` would count?"""
    found: bool = tx.execute(select(_with_text(policy, stage).exists())).scalar_one()
    return found


def count_open(tx: Connection, project_id: int, stage: Stage) -> int:
    """How many tasks of a project are intended or unanswered."""
    return tx.execute(
        select(func.count())
        .select_from(tasks)
        .join(entries, entries.c.entry_id == tasks.c.entry_id)
        .where(
            tasks.c.project_id == project_id,
            entries.c.state.in_({ASKABLE[stage], OPEN[stage]}),
        )
    ).scalar_one()


def _contents(policy: Policy) -> Select[Any]:
    chosen = [
        entries.c.entry_id,
        entries.c.item_id,
        items.c.text,
        items.c.surface,
        items.c.language,
        items.c.created_at,
    ]
    query = select(*chosen).join_from(entries, items, items.c.item_id == entries.c.item_id)
    if policy.show_model_opinion:
        newest: Any = (
            select(decisions.c.probabilities)
            .where(decisions.c.item_id == entries.c.item_id, ~decisions.c.is_shadow)
            .order_by(decisions.c.decided_at.desc(), decisions.c.model_version.desc())
            .limit(1)
            .scalar_subquery()
        )
    else:
        newest = null()
    return query.add_columns(newest.label("opinion"))


def _content(row: Any) -> TaskContent:
    return TaskContent(
        entry_id=EntryId(row.entry_id),
        item_id=ItemId(row.item_id),
        text=row.text,
        surface=row.surface,
        language=row.language,
        created_at=row.created_at,
        opinion=row.opinion,
    )


def intend_push(
    tx: Connection,
    push_id: UUID,
    *,
    project_id: int,
    policy: Policy,
    stage: Stage,
    limit: int,
    max_characters: int,
) -> Push | None:
    """Write down which tasks the next call will bring, most urgent first. None: nothing waits.

    Commit before the call: the rows are how a killed one is found again. No entry is ever in
    two pushes of a stage. At least one entry is taken, however long its text.
    """
    order = turns.c if stage is Stage.REVIEW else entries.c
    rows = tx.execute(
        _in_place(_contents(policy), stage)
        .where(_askable(policy, stage), items.c.text.is_not(None))
        .order_by(order.turn_at, order.due_at, order.entry_id)
        .limit(limit)
        .with_for_update(of=entries, skip_locked=True)
    ).all()
    contents: list[TaskContent] = []
    characters = 0
    for row in rows:
        characters += len(row.text)
        if contents and characters > max_characters:
            break
        contents.append(_content(row))
    if not contents:
        return None
    tx.execute(insert(pushes).values(push_id=push_id, project_id=project_id))
    chosen = func.unnest(cast([one.entry_id for one in contents], ARRAY(BigInteger)))
    intents = select(chosen, literal(stage), literal(push_id), literal(project_id))
    tx.execute(insert(tasks).from_select(["entry_id", "stage", "push_id", "project_id"], intents))
    return Push(push_id, project_id, stage, contents)


def has_begun(tx: Connection, project_id: int, stage: Stage) -> bool:
    """Is there a push of which we do not know what became, or an entry to be served again?"""
    unknown = exists().where(pushes.c.project_id == project_id, pushes.c.confirmed_at.is_(None))
    begun: bool = tx.execute(select(unknown)).scalar_one()
    return begun or (stage is Stage.REVIEW and bool(requeued(tx, project_id)))


def unconfirmed_pushes(tx: Connection, project_id: int, policy: Policy, stage: Stage) -> list[Push]:
    """Pushes of which we do not know what became, oldest first, with what may still be asked.

    An entry that was withdrawn meanwhile is not among the contents.
    """
    unknown = tx.execute(
        select(pushes.c.push_id)
        .where(pushes.c.project_id == project_id, pushes.c.confirmed_at.is_(None))
        .order_by(pushes.c.intended_at, pushes.c.push_id)
    ).scalars()
    found = []
    for push_id in unknown.all():
        rows = tx.execute(
            _contents(policy)
            .join(tasks, and_(tasks.c.entry_id == entries.c.entry_id, tasks.c.stage == stage))
            .where(
                tasks.c.push_id == push_id,
                tasks.c.task_id.is_(None),
                entries.c.state == ASKABLE[stage],
                items.c.text.is_not(None),
            )
            .order_by(entries.c.turn_at, entries.c.due_at, entries.c.entry_id)
        )
        found.append(Push(push_id, project_id, stage, [_content(row) for row in rows]))
    return found


def adopt(tx: Connection, push_id: UUID, stage: Stage, task_ids: Mapping[EntryId, int]) -> int:
    """Write down the tasks that Label Studio has, and move their entries on. How many were new.

    Safe to repeat; a task that is known already is left alone.
    """
    unknown = (
        select(tasks.c.entry_id)
        .where(
            tasks.c.entry_id == func.any(cast(list(task_ids), ARRAY(BigInteger))),
            tasks.c.stage == stage,
            tasks.c.push_id == push_id,
            tasks.c.task_id.is_(None),
        )
        .order_by(tasks.c.entry_id)  # the order in which others lock them too
        .with_for_update()
    )
    new = [EntryId(one) for one in tx.execute(unknown).scalars()]
    if not new:
        return 0
    given = select(
        func.unnest(cast(new, ARRAY(BigInteger))).label("entry_id"),
        func.unnest(cast([task_ids[one] for one in new], ARRAY(BigInteger))).label("task_id"),
    ).subquery()
    tx.execute(
        update(tasks)
        .where(tasks.c.entry_id == given.c.entry_id, tasks.c.stage == stage)
        .values(task_id=given.c.task_id)
    )
    if stage is Stage.REVIEW:
        move_entries(tx, new, EntryState.WAITING, EntryState.DISPATCHED)
    return len(new)


def has_taken_any(tx: Connection, project_id: int) -> bool:
    """Does Label Studio hold a task of ours in this project? Then the project itself is right."""
    held = exists().where(tasks.c.project_id == project_id, tasks.c.task_id.is_not(None))
    found: bool = tx.execute(select(held)).scalar_one()
    return found


def close_push(tx: Connection, push_id: UUID) -> None:
    """The push is known in full; intents that brought no task are dropped and may be made anew."""
    tx.execute(delete(tasks).where(tasks.c.push_id == push_id, tasks.c.task_id.is_(None)))
    tx.execute(
        update(pushes)
        .where(pushes.c.push_id == push_id, pushes.c.confirmed_at.is_(None))
        .values(confirmed_at=func.clock_timestamp())
    )
