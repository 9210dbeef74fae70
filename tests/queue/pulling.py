"""Entries that wait, and people who may take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, text

from hitl import queue
from hitl.db.schema import batches, entries, entry_events, picks
from hitl.records import EntryId
from tests.builders import NOON, add_items, add_policy, add_recipe, make_policy

MINUTE = 60.0


def wait(
    tx: Connection, items: Sequence[str], *, batch_id: str = "b1", **columns: Any
) -> list[EntryId]:
    """One waiting entry an item, in this order, with these columns of `entries`."""
    policy = add_policy(tx, make_policy())
    recipe = add_recipe(tx)
    add_items(tx, {one: one for one in items})
    tx.execute(
        insert(batches).values(
            batch_id=batch_id,
            policy_id=policy.policy_id,
            recipe_id=recipe.recipe_id,
            seed=1,
            plan={},
            size_wanted=len(items),
            read_at=NOON,
            training_pool_size=1,
            measuring_pool_size=1,
        )
    )
    pick = {"batch_id": batch_id, "share": "uncertain", "strategy": "margin", "rank": 0}
    tx.execute(insert(picks), [pick | {"item_id": one} for one in items])
    entry = {"batch_id": batch_id, "policy_id": policy.policy_id, "votes_wanted": 1, "worth": 1.0}
    made = []
    for one in items:
        row = insert(entries).values(**(entry | {"item_id": one} | columns))
        made.append(EntryId(tx.execute(row.returning(entries.c.entry_id)).scalar_one()))
    return made


def may_take_all(tx: Connection, *holders: str, tier: int = 1) -> None:
    for holder in holders:
        queue.allow(tx, holder, "*", tier=tier)


def claim(
    tx: Connection, holder: str, limit: int = 10, seconds: float = MINUTE, **more: Any
) -> queue.Lease:
    """A lease that must be given."""
    lease = queue.claim(tx, holder=holder, limit=limit, seconds=seconds, **more)
    assert lease is not None
    return lease


def run_out(tx: Connection, lease: queue.Lease) -> None:
    """Its moment has passed."""
    tx.execute(
        text("UPDATE leases SET expires_at = now() - interval '1 second' WHERE lease_id = :id"),
        {"id": lease.lease_id},
    )


def states(tx: Connection) -> dict[EntryId, str]:
    return {
        EntryId(row.entry_id): row.state
        for row in tx.execute(select(entries.c.entry_id, entries.c.state))
    }


def events_of(tx: Connection, entry_id: EntryId) -> list[Mapping[str, Any]]:
    """What the log says of an entry, oldest first."""
    rows = tx.execute(
        select(entry_events)
        .where(entry_events.c.entry_id == entry_id)
        .order_by(entry_events.c.event_id)
    )
    return [row._mapping for row in rows]


_PLACES = """
    SELECT 'turn', entry_id, NULL, lane, tier, turn_at, due_at FROM {turns}
    UNION ALL SELECT 'open', entry_id, item_id, NULL, NULL, NULL, NULL FROM {open_items}
"""


def misplaced(tx: Connection) -> list[Any]:
    """Turns and open items that are not as the entries say, or are missing."""
    said = _PLACES.format(
        turns="entries WHERE state = 'waiting'",
        open_items="entries WHERE state IN ('waiting', 'dispatched', 'adjudicating')",
    )
    kept = _PLACES.format(turns="turns", open_items="open_items")
    off = f"(({said}) EXCEPT ({kept})) UNION ALL (({kept}) EXCEPT ({said}))"
    return list(tx.execute(text(off)))
