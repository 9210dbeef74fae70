"""What lanes and quotas need to know, in SQL; and who may take which lanes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.db.schema import overflows, skills
from hitl.queue.lanes import Facts, Opened, Overflow, lane_of
from hitl.recipe import QueueRecipe
from hitl.records import UNROUTED, BatchId, ItemId


@dataclass(frozen=True, slots=True)
class Skill:
    """Somebody may take a lane's entries, up to a tier. `lane` may be `*`."""

    holder: str
    lane: str
    tier: int


def facts_of(tx: Connection, item_ids: Sequence[ItemId]) -> dict[ItemId, Facts]:
    """What is known of these items without a model."""
    rows = tx.execute(
        text(
            "SELECT item_id, language, modality, market, surface FROM items "
            "WHERE item_id = ANY(:item_ids)"
        ),
        {"item_ids": list(item_ids)},
    )
    return {
        ItemId(row.item_id): Facts(row.language, row.modality, row.market, row.surface)
        for row in rows
    }


# By way of the batches of the last day, of which there are few: an index on entries by their
# opening would be written anew with every move.
_OPENED = """
    SELECT e.lane, count(*) FILTER (WHERE e.opened_at > m.now - interval '1 minute') AS minute,
           count(*) FILTER (WHERE e.opened_at > m.now - interval '1 hour') AS hour,
           count(*) FILTER (WHERE e.opened_at > m.now - interval '1 day') AS day
    FROM (SELECT clock_timestamp() AS now) m
    JOIN batches b ON b.created_at > m.now - interval '1 day 1 hour'
    JOIN entries e USING (batch_id)
    GROUP BY e.lane
"""


def opened_lately(tx: Connection) -> dict[str, Opened]:
    """How many entries each lane was given in the last minute, hour and day, over all policies."""
    rows = tx.execute(text(_OPENED))
    return {row.lane: Opened(row.minute, row.hour, row.day) for row in rows}


def record_overflow(tx: Connection, batch_id: BatchId, kept_out: Sequence[Overflow]) -> None:
    """Write down the picks that a quota kept out of a batch, which must be recorded."""
    if not kept_out:
        return
    tx.execute(
        insert(overflows),
        [
            {
                "batch_id": batch_id,
                "item_id": one.pick.item_id,
                "share": one.pick.share,
                "strategy": one.pick.strategy,
                "rank": one.pick.rank,
                "inclusion_probability": one.pick.inclusion_probability,
                "lane": one.pick.lane,
                "reason": one.reason,
            }
            for one in kept_out
        ],
    )


def count_overflow(tx: Connection, batch_id: BatchId) -> int:
    """How many picks of a batch found their lane full."""
    wanted = select(func.count()).where(overflows.c.batch_id == batch_id)
    return int(tx.execute(wanted).scalar_one())


def allow(tx: Connection, holder: str, lane: str, *, tier: int = 1) -> None:
    """From now on this person may take that lane (`*`: every lane), up to this tier."""
    row = upsert(skills).values(holder=holder, lane=lane, tier=tier)
    tx.execute(
        row.on_conflict_do_update(
            index_elements=["holder", "lane"], set_={"tier": row.excluded.tier}
        )
    )


def disallow(tx: Connection, holder: str, lane: str) -> bool:
    """No longer. What they hold already stays theirs until they give it back."""
    gone = delete(skills).where(skills.c.holder == holder, skills.c.lane == lane)
    return tx.execute(gone).rowcount > 0


def skills_of(tx: Connection, holder: str | None = None) -> list[Skill]:
    """Who may take what; of one person, or of all."""
    query = select(skills.c.holder, skills.c.lane, skills.c.tier).order_by(
        skills.c.holder, skills.c.lane
    )
    if holder is not None:
        query = query.where(skills.c.holder == holder)
    return [Skill(row.holder, row.lane, row.tier) for row in tx.execute(query)]


_ROUTABLE = """
    SELECT e.entry_id, e.lane, e.tier, e.due_at, p.name AS policy_name,
           i.language, i.modality, i.market, i.surface
    FROM turns JOIN entries e USING (entry_id) JOIN policies p USING (policy_id)
    JOIN items i USING (item_id)
    WHERE e.state = 'waiting' AND e.reason IS NULL AND p.name = :policy_name
    ORDER BY e.entry_id FOR NO KEY UPDATE OF e
"""
# From when it was opened, not from now: a new lane is no excuse for what waited. An audit's turn
# stays, as it may not depend on what the item is.
_REROUTE = """
    UPDATE entries e SET lane = said.lane, tier = said.tier, due_at = e.opened_at + said.sla,
        turn_at = CASE WHEN e.worth IS NULL THEN e.turn_at
                       ELSE e.opened_at + said.sla + (e.turn_at - e.due_at) END
    FROM unnest(CAST(:entry_ids AS bigint[]), CAST(:lanes AS text[]), CAST(:tiers AS int[]),
                CAST(:slas AS interval[])) AS said (entry_id, lane, tier, sla)
    WHERE e.entry_id = said.entry_id
      AND ((e.lane, e.tier) IS DISTINCT FROM (said.lane, said.tier)
           -- a batch is opened row by row, and has its deadlines from one moment
           OR abs(extract(epoch FROM e.due_at - e.opened_at - said.sla)) > 60)
    RETURNING said.lane
"""


def reroute(tx: Connection, queue: QueueRecipe, *, policy_name: str) -> dict[str, int]:
    """Give what waits the lanes, tiers and deadlines of this recipe; how many moved, by lane.

    Deadlines count from when an entry was opened. What was escalated stays where it is. Safe to
    repeat.
    """
    rows = tx.execute(text(_ROUTABLE), {"policy_name": policy_name}).all()
    said: dict[str, list[Any]] = {"entry_ids": [], "lanes": [], "tiers": [], "slas": []}
    for row in rows:
        facts = Facts(row.language, row.modality, row.market, row.surface)
        lane = lane_of(facts, queue.lanes, policy_name=policy_name)
        said["entry_ids"].append(row.entry_id)
        said["lanes"].append(lane.name if lane else UNROUTED)
        said["tiers"].append(lane.tier if lane else 1)
        said["slas"].append(timedelta(minutes=lane.sla_minutes if lane else queue.sla_minutes))
    return dict(sorted(Counter(tx.execute(text(_REROUTE), said).scalars()).items()))
