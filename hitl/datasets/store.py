"""Examples read from labels, and the rows that say which snapshots were frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.datasets.examples import SourcedExample
from hitl.datasets.splits import sides
from hitl.db.schema import snapshots
from hitl.records import BatchId, Example, ItemId, PolicyId, SnapshotId


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A frozen snapshot as Postgres knows it. `labels` counts answers that are known."""

    snapshot_id: SnapshotId
    policy_id: PolicyId
    path: str
    examples: int
    labels: int
    last_label_id: int
    created_at: datetime


# The view `examples` as it was when `upto` was the newest label. A test holds the two together.
_EXAMPLES = """
    WITH bounded AS (
        SELECT DISTINCT ON (l.entry_id, l.category)
               l.entry_id, l.item_id, l.category, l.value, l.weight
        FROM labels l
        JOIN policy_categories asked USING (policy_id, category)
        JOIN policy_categories asking
          ON asking.category = asked.category AND asking.meaning = asked.meaning
        WHERE asking.policy_id = :policy_id AND l.label_id <= :upto
        ORDER BY l.entry_id, l.category, l.revision DESC
    ), answered AS (
        SELECT item_id, entry_id, jsonb_object_agg(category, value) AS answers,
               min(weight) AS example_weight
        FROM bounded WHERE value IS NOT NULL GROUP BY item_id, entry_id
    )
    SELECT DISTINCT ON (a.item_id) a.item_id, a.answers, a.example_weight,
           i.text, i.language, i.surface,
           coalesce(i.group_id, i.content_hash, i.item_id) AS group_id,
           e.batch_id, p.share, p.strategy, p.inclusion_probability
    FROM answered a
    JOIN entries e USING (entry_id)
    JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
    JOIN items i ON i.item_id = a.item_id
    WHERE i.text IS NOT NULL
    ORDER BY a.item_id, p.share = 'elusion_apart', a.entry_id DESC
"""


def last_label_id(tx: Connection, policy_id: PolicyId) -> int:
    """The newest label that any policy asking one question alike has got, 0 if there is none:
    the bound to read examples up to."""
    newest = text(
        "SELECT coalesce(max(label_id), 0) FROM labels WHERE policy_id = ANY(ARRAY("
        "SELECT related_id FROM related_policies WHERE policy_id = :policy_id))"
    )
    return int(tx.execute(newest, {"policy_id": policy_id}).scalar_one())


def read_examples(
    tx: Connection,
    policy_id: PolicyId,
    *,
    measuring_fraction: float,
    upto_label_id: int | None = None,
) -> list[SourcedExample]:
    """One example an item that has content and labels, ordered by item id. Some may not go into a
    snapshot: see `on_one_side`.

    Labels after `upto_label_id` do not count, so an earlier set can be read again. Content that
    came or was erased since then is as it is now. An item that was asked about twice gives its
    newest answers.
    """
    upto = last_label_id(tx, policy_id) if upto_label_id is None else upto_label_id
    rows = tx.execute(text(_EXAMPLES), {"policy_id": policy_id, "upto": upto}).all()
    # Not by the database, whose order of text depends on its collation.
    rows = sorted(rows, key=lambda row: row.item_id)
    on_sides = sides((row.group_id for row in rows), measuring_fraction=measuring_fraction)
    return [
        SourcedExample(
            example=Example(
                item_id=ItemId(row.item_id),
                text=row.text,
                labels={name: float(value) for name, value in sorted(row.answers.items())},
                group_id=row.group_id,
                split=split,
                weight=row.example_weight,
                inclusion_probability=row.inclusion_probability,
                language=row.language,
                surface=row.surface,
            ),
            batch_id=BatchId(row.batch_id),
            policy_id=policy_id,
            share=row.share,
            strategy=row.strategy,
        )
        for row, split in zip(rows, on_sides, strict=True)
    ]


def record_snapshot(
    tx: Connection,
    *,
    snapshot_id: SnapshotId,
    policy_id: PolicyId,
    path: str,
    examples: int,
    labels: int,
    last_label_id: int,
) -> bool:
    """Write the row, once: True if it is new.

    Of a row that stands the path may change, where the state folder was moved. So may the newest
    label that it is known to hold: labels given and taken back since then left it as it was.
    """
    added = tx.execute(
        upsert(snapshots)
        .values(
            snapshot_id=snapshot_id,
            policy_id=policy_id,
            path=path,
            examples=examples,
            labels=labels,
            last_label_id=last_label_id,
        )
        .on_conflict_do_nothing()
    )
    if not added.rowcount:
        newest = func.greatest(snapshots.c.last_label_id, last_label_id)
        here = snapshots.c.snapshot_id == snapshot_id
        tx.execute(update(snapshots).where(here).values(path=path, last_label_id=newest))
    return bool(added.rowcount)


def find_snapshot(tx: Connection, snapshot_id: SnapshotId) -> SnapshotRow | None:
    """The row of a snapshot, or None."""
    row = tx.execute(select(snapshots).where(snapshots.c.snapshot_id == snapshot_id)).one_or_none()
    return None if row is None else _snapshot(row)


def newest_snapshot(tx: Connection, policy_id: PolicyId) -> SnapshotRow | None:
    """The policy's snapshot with the newest labels, or None."""
    row = tx.execute(
        select(snapshots)
        .where(snapshots.c.policy_id == policy_id)
        .order_by(snapshots.c.last_label_id.desc(), snapshots.c.created_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _snapshot(row)


def _snapshot(row: object) -> SnapshotRow:
    names = SnapshotRow.__dataclass_fields__
    return SnapshotRow(**{name: getattr(row, name) for name in names})
