"""Stored annotations and votes, as collecting leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, insert, text, update

from hitl.db import schema
from hitl.policy import Policy
from hitl.records import EntryId, EntryState
from tests.builders import NOON, add_entries, add_items, add_policy, make_policy


def asked(
    tx: Connection, item_ids: Sequence[str], *, votes_wanted: int = 1
) -> tuple[Policy, list[EntryId]]:
    """A policy with one dispatched entry an item."""
    policy = add_policy(tx, make_policy(votes_wanted=votes_wanted))
    add_items(tx, {one: f"text of {one}" for one in item_ids})
    entry_ids = add_entries(tx, item_ids, policy=policy)
    move(tx, entry_ids, EntryState.DISPATCHED)
    return policy, entry_ids


def move(tx: Connection, entry_ids: Sequence[EntryId], state: EntryState) -> None:
    tx.execute(
        update(schema.entries)
        .where(schema.entries.c.entry_id.in_(entry_ids))
        .values(state=state.value)
    )


def annotate(
    tx: Connection,
    entry_id: EntryId,
    answers: dict[str, bool] | None = None,
    *,
    reviewer: str = "ana",
    kind: str = "submitted",
    stage: str = "review",
    version: int = 0,
    counted: bool = True,
    name: str = "",
) -> None:
    """One annotation version, with its vote where it is a submission that counts."""
    unique_id = f"{entry_id}-{stage}-{reviewer}{name}"
    updated_at = NOON + timedelta(minutes=version)
    tx.execute(
        insert(schema.annotations).values(
            unique_id=unique_id,
            updated_at=updated_at,
            created_at=NOON,
            kind=kind,
            project_id=1,
            task_id=entry_id,
            entry_id=entry_id,
            stage=stage,
            reviewer=reviewer,
            result=[],
        )
    )
    if kind == "submitted" and counted:
        tx.execute(
            insert(schema.votes).values(
                unique_id=unique_id,
                updated_at=updated_at,
                entry_id=entry_id,
                stage=stage,
                reviewer=reviewer,
                answers={"hate": False, "spam": False} if answers is None else answers,
            )
        )


def states(tx: Connection) -> list[str]:
    """Every entry's state, in entry order."""
    return list(tx.execute(text("SELECT state FROM entries ORDER BY entry_id")).scalars())


def current_labels(tx: Connection) -> list[tuple[int, str, bool]]:
    rows = tx.execute(
        text("SELECT entry_id, category, value FROM current_labels ORDER BY entry_id, category")
    )
    return [(row.entry_id, row.category, row.value) for row in rows]


def everything(tx: Connection) -> list[tuple[object, ...]]:
    """Labels, states and the log of moves: what a second call may not change."""
    found: list[tuple[object, ...]] = []
    for query in (
        "SELECT * FROM labels ORDER BY label_id",
        "SELECT * FROM entries ORDER BY entry_id",
        "SELECT * FROM entry_events ORDER BY event_id",
    ):
        found += [tuple(row) for row in tx.execute(text(query))]
    return found
