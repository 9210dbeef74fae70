"""The web room in SQL: what the database holds at the moment, for a scrape."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from hitl.web.figures import Figure

# A scrape must not pile up behind a lock or a long scan.
_HASTE = "SET LOCAL statement_timeout = '5s'"
_QUEUE = """
SELECT p.name AS policy, e.state, count(*) AS entries,
       extract(epoch FROM clock_timestamp()
           - min(e.opened_at) FILTER (WHERE e.closed_at IS NULL))::float8 AS oldest
FROM entries e JOIN policies p USING (policy_id) GROUP BY 1, 2 ORDER BY 1, 2
"""
_LAG = """
SELECT p.name AS policy,
       extract(epoch FROM clock_timestamp() - max(l.newest_batch))::float8 AS batch,
       extract(epoch FROM clock_timestamp() - max(l.newest_label))::float8 AS label,
       extract(epoch FROM clock_timestamp() - max(l.newest_snapshot))::float8 AS snapshot,
       extract(epoch FROM clock_timestamp() - max(l.newest_promotion))::float8 AS promotion,
       max(l.entries_since_snapshot) AS since_snapshot
FROM dashboard.loop_lag l JOIN policies p USING (policy_id) GROUP BY 1 ORDER BY 1
"""


def ping(tx: Connection) -> None:
    """Return if the database answers a statement."""
    tx.execute(text("SELECT 1"))


def figures(tx: Connection) -> Iterator[Figure]:
    """The queue and the loop, by policy name: all versions of a policy together."""
    tx.execute(text(_HASTE))
    for row in tx.execute(text(_QUEUE)):
        about = {"policy": row.policy, "state": row.state}
        yield Figure("hitl_queue_entries", "Entries in the queue.", row.entries, about)
        if row.oldest is not None:
            says = "Age of the oldest open entry."
            yield Figure("hitl_queue_oldest_seconds", says, row.oldest, about)
    for row in tx.execute(text(_LAG)):
        for what in ("batch", "label", "snapshot", "promotion"):
            age = getattr(row, what)
            if age is not None:
                about = {"policy": row.policy, "what": what}
                yield Figure("hitl_loop_age_seconds", "Age of the newest of these.", age, about)
        says = "Entries whose labels are newer than the newest snapshot."
        about = {"policy": row.policy}
        yield Figure("hitl_entries_since_snapshot", says, row.since_snapshot, about)
