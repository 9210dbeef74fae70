"""Items that a champion should decide on: what may still be asked, and what measures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from hitl.records import ItemId, PolicyId


@dataclass(frozen=True, slots=True)
class ScorableItem:
    """An item with its content and the moment it arrived here."""

    item_id: ItemId
    text: str
    ingested_at: datetime


# Everything with content, less what only trains: a decision on an item that the model learned
# from says nothing of the model.
_SCORABLE = """
    FROM items i WHERE i.text IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM current_labels l
        JOIN entries e USING (entry_id)
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
        JOIN related_policies r ON r.related_id = l.policy_id
        WHERE l.item_id = i.item_id AND r.policy_id = :policy_id AND p.share <> 'audit')
"""


def count_scorable(tx: Connection, *, policy_id: PolicyId) -> int:
    """How many items `read_scorable` would give in all."""
    return int(
        tx.execute(
            text(f"SELECT count(*) {_SCORABLE}"),
            {"policy_id": policy_id},
        ).scalar_one()
    )


def read_scorable(
    tx: Connection, *, policy_id: PolicyId, after: str, limit: int
) -> list[ScorableItem]:
    """The next items by id, after `after` ("" to begin)."""
    rows = tx.execute(
        text(
            f"SELECT i.item_id, i.text, i.ingested_at {_SCORABLE} "
            "AND i.item_id > :after ORDER BY i.item_id LIMIT :limit"
        ),
        {"policy_id": policy_id, "after": after, "limit": limit},
    )
    return [ScorableItem(ItemId(row.item_id), row.text, row.ingested_at) for row in rows]
