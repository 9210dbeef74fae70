"""Items that a champion should decide on, and what others decided before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from hitl.recipe import NEVER_TRAINED
from hitl.records import ItemId, ModelVersion, PolicyId


@dataclass(frozen=True, slots=True)
class ScorableItem:
    """An item with its content and the moment it arrived here."""

    item_id: ItemId
    text: str
    ingested_at: datetime
    language: str | None = None
    surface: str | None = None


# Everything with content, less what only trains: a decision on an item that the model learned
# from says nothing of the model.
_SCORABLE = """
    FROM items i WHERE i.text IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM current_labels l
        JOIN entries e USING (entry_id)
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
        JOIN related_policies r ON r.related_id = l.policy_id
        WHERE l.item_id = i.item_id AND r.policy_id = :policy_id AND p.share <> ALL(:never_trained))
      AND (CAST(:since AS timestamptz) IS NULL OR i.content_at > :since
           OR EXISTS (SELECT 1 FROM picks p WHERE p.item_id = i.item_id))
"""
# What is measured, or open: of what a shadow says of anything else nobody ever learns the truth.
_PICKED = """
      AND i.ingested_at < :before AND EXISTS (SELECT 1 FROM picks p WHERE p.item_id = i.item_id)
"""


def count_scorable(tx: Connection, *, policy_id: PolicyId, since: datetime | None = None) -> int:
    """How many items `read_scorable` would give in all."""
    return int(
        tx.execute(
            text(f"SELECT count(*) {_SCORABLE}"),
            {"policy_id": policy_id, "since": since, "never_trained": list(NEVER_TRAINED)},
        ).scalar_one()
    )


def count_picked(tx: Connection, *, policy_id: PolicyId, before: datetime) -> int:
    """How many items `read_picked` would give in all."""
    return int(
        tx.execute(
            text(f"SELECT count(*) {_SCORABLE}{_PICKED}"),
            {
                "policy_id": policy_id,
                "since": None,
                "before": before,
                "never_trained": list(NEVER_TRAINED),
            },
        ).scalar_one()
    )


def read_scorable(
    tx: Connection,
    *,
    policy_id: PolicyId,
    after: str,
    limit: int,
    since: datetime | None = None,
) -> list[ScorableItem]:
    """The next items by id, after `after` ("" to begin).

    With `since`, of what came before it only what was picked: the rest is a candidate no more.
    """
    return _scorable(
        tx, "", {"policy_id": policy_id, "after": after, "limit": limit, "since": since}
    )


def read_picked(
    tx: Connection, *, policy_id: PolicyId, after: str, limit: int, before: datetime
) -> list[ScorableItem]:
    """Of `read_scorable`'s items those that were picked, and came in before a moment."""
    given = {"policy_id": policy_id, "after": after, "limit": limit, "since": None}
    return _scorable(tx, _PICKED, given | {"before": before})


def _scorable(tx: Connection, only: str, given: dict[str, Any]) -> list[ScorableItem]:
    rows = tx.execute(
        text(
            f"SELECT i.item_id, i.text, i.ingested_at, i.language, i.surface {_SCORABLE}{only} "
            "AND i.item_id > :after ORDER BY i.item_id LIMIT :limit"
        ),
        given | {"never_trained": list(NEVER_TRAINED)},
    )
    return [
        ScorableItem(ItemId(row.item_id), row.text, row.ingested_at, row.language, row.surface)
        for row in rows
    ]


def has_decided(
    tx: Connection, model_version: ModelVersion, *, since: datetime | None = None
) -> bool:
    """Has this model decided on anything yet, at this moment or later?

    As a shadow too: what it said before it was champion lies before its first promotion.
    """
    found: bool = tx.execute(
        text("""
            SELECT EXISTS (SELECT FROM newest_decisions WHERE model_version = :model_version
                           AND decided_at >= coalesce(CAST(:since AS timestamptz), '-infinity'))
        """),
        {"model_version": model_version, "since": since},
    ).scalar_one()
    return found


@dataclass(frozen=True, slots=True)
class DecidedItem:
    """The beginning of an item's text, and what the newest decision on it said."""

    item_id: ItemId
    text: str
    group_id: str
    probabilities: Mapping[str, float]


# In the order of a hash: a part of the items that does not depend on when they came.
_DECIDED = """
    WITH chosen AS (
        SELECT i.item_id, left(i.text, :max_characters) AS text,
               coalesce(i.group_id, i.content_hash) AS group_id
        FROM items i
        WHERE i.text IS NOT NULL AND EXISTS (
            SELECT 1 FROM decisions d WHERE d.item_id = i.item_id AND d.ingested_at <= :upto
            AND NOT d.is_shadow AND d.model_version <> ALL(CAST(:other_than AS text[])))
        ORDER BY hashtextextended(i.item_id, 0), i.item_id LIMIT :limit
    )
    SELECT c.item_id, c.text, c.group_id, newest.probabilities FROM chosen c JOIN LATERAL (
        SELECT probabilities FROM decisions d
        WHERE d.item_id = c.item_id AND d.ingested_at <= :upto AND NOT d.is_shadow
          AND d.model_version <> ALL(CAST(:other_than AS text[]))
        ORDER BY d.decided_at DESC, d.model_version DESC LIMIT 1
    ) newest ON true
"""


# What others are writing has moments before now, and comes to be seen after.
_SETTLED = """
    SELECT coalesce(min(xact_start), clock_timestamp()) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL
"""


def settled_moment(tx: Connection) -> datetime:
    """A bound to read decisions up to: whatever comes later was taken in after it."""
    found: datetime = tx.execute(text(_SETTLED)).scalar_one()
    return found


def read_decided(
    tx: Connection,
    *,
    other_than: Sequence[ModelVersion],
    taken_in_by: datetime,
    limit: int,
    max_characters: int,
) -> list[DecidedItem]:
    """At most `limit` items with content that a model other than these decided on, by item id.

    Decisions that were taken in after `taken_in_by` do not count, nor do shadows'.
    """
    rows = tx.execute(
        text(_DECIDED),
        {
            "other_than": list(other_than),
            "upto": taken_in_by,
            "limit": limit,
            "max_characters": max_characters,
        },
    ).all()
    found = [
        DecidedItem(ItemId(row.item_id), row.text, row.group_id, row.probabilities) for row in rows
    ]
    return sorted(found, key=lambda one: one.item_id)
