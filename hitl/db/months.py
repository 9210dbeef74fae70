"""Decisions lie in one partition a month, made when its first decision comes; the rest in another.

A month that was dropped (`retentions`) is not made again. The partitions are in a schema of their
own, `months`, so that `public` is what hitl/db/schema says.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import Connection, text

# Older or further ahead is a mistaken clock, or history of which there is little: no partition.
YEARS_BACK = 10

STATEMENTS = (
    "CREATE SCHEMA months",
    "CREATE TABLE months.decisions_other PARTITION OF decisions DEFAULT",
    # Triggers on rows come with the partitioned table, those on statements do not.
    "CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON months.decisions_other "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    """
CREATE FUNCTION make_decision_month(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'decisions_' || to_char(month, 'YYYY_MM');
    first timestamptz := month::timestamp AT TIME ZONE 'UTC';
    following timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('hitl decision months', 0));
    -- to_regclass would answer from before the lock was ours.
    IF EXISTS (SELECT FROM pg_tables WHERE schemaname = 'months' AND tablename = name) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE months.%I '
        '(LIKE decisions INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', name);
    LOCK TABLE months.decisions_other IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (
        SELECT 1 FROM months.decisions_other WHERE decided_at >= first AND decided_at < following
    ) THEN
        -- A clock ran ahead; now the month is there. The rows move, and none is changed.
        ALTER TABLE months.decisions_other DISABLE TRIGGER decisions_append_only;
        EXECUTE format('WITH moved AS (DELETE FROM months.decisions_other '
            'WHERE decided_at >= $1 AND decided_at < $2 RETURNING *) '
            'INSERT INTO months.%I SELECT * FROM moved', name) USING first, following;
        ALTER TABLE months.decisions_other ENABLE TRIGGER decisions_append_only;
    END IF;
    EXECUTE format('ALTER TABLE decisions ATTACH PARTITION months.%I FOR VALUES FROM (%L) TO (%L)',
        name, first, following);
    EXECUTE format('CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON months.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    RETURN true;
END $$
""",
)

_KEPT_FROM = "SELECT coalesce(max(kept_from), '-infinity') FROM retentions"
_MISSING = f"""
SELECT month FROM unnest(CAST(:months AS date[])) month
WHERE month >= now() - make_interval(years => :years) AND month <= now() + interval '1 month'
  AND month >= ({_KEPT_FROM})
  AND to_regclass('months.decisions_' || to_char(month, 'YYYY_MM')) IS NULL
ORDER BY month
"""  # noqa: S608


def make_months(tx: Connection, months: Iterable[date]) -> int:
    """Make the partitions of these months (their first days) that are wanted and not there.

    Call it before the transaction writes decisions: two that each hold some and wait for the
    other's would be stopped by Postgres. Returns how many were made.
    """
    wanted = sorted(set(months))
    if not wanted:
        return 0
    missing = tx.execute(text(_MISSING), {"months": wanted, "years": YEARS_BACK}).scalars().all()
    made = [
        tx.execute(text("SELECT make_decision_month(:month)"), {"month": month}).scalar_one()
        for month in missing
    ]
    return sum(made)


def partition_of(month: date) -> str:
    """The table of a month (its first day), in the schema `months`."""
    return f"decisions_{month:%Y_%m}"


def hold_months(tx: Connection) -> None:
    """Nobody makes a month until this transaction ends; `make_decision_month` waits by this."""
    tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('hitl decision months', 0))"))


def month_of(moment: datetime) -> date:
    """The first day of a moment's month, in UTC as the moment must be."""
    return date(moment.year, moment.month, 1)
