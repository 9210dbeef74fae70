"""What is too old goes: whole months of decisions, then items that nobody was ever asked about.

What a published number rests on stays: every decision on an item that was picked, and the item.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from hitl.db import begin
from hitl.db.engine import translated_errors
from hitl.db.locks import hold_items
from hitl.db.months import hold_months, partition_of
from hitl.errors import Unavailable

ITEMS_AT_ONCE = 10_000
_TRIES = 30
_LOCK_NOT_AVAILABLE = "55P03"

_MONTHS = """
SELECT month FROM (
    SELECT to_date(right(tablename, 7), 'YYYY_MM') AS month FROM pg_tables
    WHERE schemaname = 'months' AND tablename ~ '^decisions_[0-9]{4}_[0-9]{2}$'
) held
WHERE month < :kept_from
  AND month NOT IN (SELECT month FROM retentions WHERE done_at IS NOT NULL)
ORDER BY month
"""
# History from before any partition lies with what has none.
_MONTHS_OF_REST = """
SELECT DISTINCT CAST(date_trunc('month', decided_at AT TIME ZONE 'UTC') AS date) AS month
FROM months.decisions_other WHERE decided_at < :kept_from AND isfinite(decided_at)
"""
_CLOSE = """
INSERT INTO retentions (month, kept_from) VALUES (:month, :following)
ON CONFLICT (month) DO NOTHING
"""
_IS_KEPT = "d.item_id IN (SELECT item_id FROM picks UNION ALL SELECT item_id FROM stood_aside)"
_KEEP = f"INSERT INTO months.{{name}}_kept SELECT d.* FROM months.{{name}} d WHERE {_IS_KEPT}"  # noqa: S608
_COUNT = f"SELECT count(*), count(*) FILTER (WHERE {_IS_KEPT}) FROM months.{{name}} d"  # noqa: S608
_SWAP = """
ALTER TABLE decisions DETACH PARTITION months.{name};
DROP TABLE months.{name};
ALTER TABLE months.{name}_kept RENAME TO {name};
ALTER TABLE decisions ATTACH PARTITION months.{name}
    FOR VALUES FROM ('{first} 00:00:00+00') TO ('{following} 00:00:00+00');
CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON months.{name}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
_DONE = """
UPDATE retentions SET dropped = :dropped, kept = :kept, done_at = clock_timestamp()
WHERE month = :month
"""
_OLD_ITEMS = """
SELECT item_id FROM items
WHERE ingested_at < :kept_from AND coalesce(content_at, ingested_at) < :kept_from
"""
# Looked at again once no intake can be in the middle of it. What a quota kept out is on record.
_NEVER_ASKED = """
SELECT item_id FROM unnest(CAST(:item_ids AS text[])) item_id
WHERE NOT EXISTS (SELECT FROM decisions d
                  WHERE d.item_id = item_id.item_id AND d.decided_at >= :decided_from)
  AND NOT EXISTS (SELECT FROM picks p WHERE p.item_id = item_id.item_id)
  AND NOT EXISTS (SELECT FROM stood_aside a WHERE a.item_id = item_id.item_id)
  AND NOT EXISTS (SELECT FROM overflows o WHERE o.item_id = item_id.item_id)
  AND NOT EXISTS (SELECT FROM proposals p WHERE p.item_id = item_id.item_id)
"""


class DecisionsInUse(Unavailable):
    """Others read the decisions without a pause, so no month could be taken out."""

    def __init__(self, month: date) -> None:
        super().__init__(
            f"{month:%Y-%m} could not be dropped: decisions are being read all the time, by a "
            "long report perhaps. Nothing was lost; run `hitl retain` again later"
        )
        self.month = month


@dataclass(frozen=True, slots=True)
class DroppedMonth:
    """A month's first day, and how many decisions of it were dropped and kept."""

    month: date
    dropped: int
    kept: int


def months_before(tx: Connection, kept_from: datetime) -> list[date]:
    """Months of decisions that end by `kept_from` and still have all of theirs, oldest first."""
    return list(tx.execute(text(_MONTHS), {"kept_from": kept_from}).scalars())


def part_the_rest(tx: Connection, kept_from: datetime) -> None:
    """Give history that is too old for a partition one, so that it is among `months_before`."""
    for month in tx.execute(text(_MONTHS_OF_REST), {"kept_from": kept_from}).scalars().all():
        tx.execute(text("SELECT make_decision_month(:month)"), {"month": month})


def count_month(tx: Connection, month: date) -> tuple[int, int]:
    """How many decisions of a month would be dropped, and how many kept."""
    row = tx.execute(text(_COUNT.format(name=partition_of(month)))).one()
    return row[0] - row[1], row[1]


def drop_month(engine: Engine, month: date) -> DroppedMonth:
    """Drop a month's decisions but for those on items that were picked. Safe to kill and repeat.

    First nothing of the month is let in any more, and only then it is looked through: so no
    decision comes to lie in what is being dropped. Readers wait for the exchange alone. No
    selection may run meanwhile.

    Raises:
        DecisionsInUse: readers never left a moment for the exchange; nothing was dropped.
    """
    name, following = partition_of(month), _following(month)
    with begin(engine) as tx:
        tx.execute(text(_CLOSE), {"month": month, "following": f"{following} 00:00:00+00"})
    with begin(engine) as tx:
        tx.execute(text("SET LOCAL statement_timeout = 0"))
        hold_months(tx)
        # Whoever began before the month was closed ends first.
        tx.execute(text(f"LOCK TABLE months.{name} IN SHARE MODE"))
        tx.execute(
            text(
                f"CREATE TABLE months.{name}_kept (LIKE decisions "
                "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"
            )
        )
        kept = tx.execute(text(_KEEP.format(name=name))).rowcount
        held = int(tx.execute(text(f"SELECT count(*) FROM months.{name}")).scalar_one())  # noqa: S608
        _wait_for_readers(tx, month)
        tx.execute(text(_SWAP.format(name=name, first=month, following=following)))
        tx.execute(text(_DONE), {"month": month, "dropped": held - kept, "kept": kept})
    return DroppedMonth(month, held - kept, kept)


def _wait_for_readers(tx: Connection, month: date) -> None:
    """Take `decisions` for ourselves; in short tries, as everybody else queues up behind one."""
    tx.execute(text("SET LOCAL lock_timeout = '2s'"))
    for _ in range(_TRIES):
        try:
            with tx.begin_nested():
                tx.execute(text("LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE"))
            return
        except OperationalError as cause:
            if getattr(cause.orig, "pgcode", None) != _LOCK_NOT_AVAILABLE:
                raise
        time.sleep(1.0)
    raise DecisionsInUse(month)


def old_items(engine: Engine, kept_from: datetime) -> Iterator[list[str]]:
    """Ids of items whose content came before `kept_from`, in lists of `ITEMS_AT_ONCE`."""
    with translated_errors(engine), engine.connect() as reading:
        reading.execute(text("SET LOCAL statement_timeout = 0"))
        rows = reading.execution_options(yield_per=ITEMS_AT_ONCE).execute(
            text(_OLD_ITEMS), {"kept_from": kept_from}
        )
        for chunk in rows.scalars().partitions():
            yield list(chunk)


def count_never_asked(tx: Connection, item_ids: Sequence[str], *, decided_from: datetime) -> int:
    """How many of these `forget_items` would delete once older decisions are gone."""
    given = {"item_ids": list(item_ids), "decided_from": decided_from}
    return len(tx.execute(text(_NEVER_ASKED), given).all())


def forget_items(tx: Connection, item_ids: Sequence[str]) -> int:
    """Delete those of these items that nobody was asked about and no decision is left on.

    Their content goes with them, for good. Intake waits meanwhile, so call it with few at a time.
    """
    hold_items(tx)
    given = {"item_ids": list(item_ids), "decided_from": "-infinity"}
    gone = list(tx.execute(text(_NEVER_ASKED), given).scalars())
    if gone:
        for table in ("reaches", "twin_items", "items"):
            tx.execute(text(f"DELETE FROM {table} WHERE item_id = ANY(:gone)"), {"gone": gone})  # noqa: S608
    return len(gone)


def _following(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
