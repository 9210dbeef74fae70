"""The web room in SQL: figures for a scrape, and what was answered to whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text

from hitl.db.locks import lock_key
from hitl.db.schema import api_requests
from hitl.web.figures import Figure

# A scrape must not pile up behind a lock or a long scan.
_HASTE = "SET LOCAL statement_timeout = '5s'"
# A producer that waits longer has hung up, and comes again.
_PATIENCE = "SET LOCAL statement_timeout = '30s'"
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """A push that was taken in: of which body, and what was answered."""

    body_hash: str
    answer: dict[str, Any]


def accepted(tx: Connection, *, producer: str, key: str) -> Accepted | None:
    """What was answered under this key. Holds the key until the transaction ends.

    Two requests of one key take turns: the second finds what the first has left.
    """
    tx.execute(text(_PATIENCE))
    tx.execute(
        text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(f"push {producer} {key}")}
    )
    row = tx.execute(
        select(api_requests.c.body_hash, api_requests.c.answer).where(
            api_requests.c.producer == producer, api_requests.c.idempotency_key == key
        )
    ).one_or_none()
    return Accepted(row.body_hash, row.answer) if row else None


def accept(
    tx: Connection, *, producer: str, key: str, body_hash: str, rows: int, answer: dict[str, Any]
) -> None:
    """Keep an answer, in the transaction that stores what it speaks of."""
    tx.execute(
        insert(api_requests).values(
            producer=producer,
            idempotency_key=key,
            body_hash=body_hash,
            rows=rows,
            answer=answer,
        )
    )


def forget_accepted(tx: Connection, *, older_than: timedelta) -> int:
    """Delete answers that nobody will ask for again; how many.

    The rows themselves have keys of their own: pushed anew, they are known and change nothing.
    """
    gone = delete(api_requests).where(api_requests.c.accepted_at < func.now() - older_than)
    return tx.execute(gone).rowcount
