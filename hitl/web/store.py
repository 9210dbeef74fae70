"""The web room in SQL: figures for a scrape, what was answered to whom, and who must look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, text

from hitl.db.locks import take_turns
from hitl.db.schema import api_requests
from hitl.db.schema import wakeups as asked_for
from hitl.web.figures import Figure

# How long a producer may take to send the same again.
KEPT = timedelta(days=30)

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
_LANES = """
SELECT p.name AS policy, e.lane, e.tier::text AS tier, count(*) AS entries,
       count(*) FILTER (WHERE e.due_at <= clock_timestamp()) AS overdue,
       extract(epoch FROM min(e.due_at) - clock_timestamp())::float8 AS next_due
FROM open_items JOIN entries e USING (entry_id) JOIN policies p USING (policy_id)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
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
# A model that is silent for a week is none that runs.
_NEWEST = """
SELECT model_version, extract(epoch FROM clock_timestamp() - decided_at)::float8 AS age
FROM newest_decisions WHERE decided_at > now() - interval '7 days' ORDER BY 1 LIMIT 100
"""
# What another push is about to delete is left to it.
_FORGET_OLD = """
DELETE FROM api_requests WHERE (producer, idempotency_key) IN (
    SELECT producer, idempotency_key FROM api_requests
    WHERE accepted_at < now() - CAST(:kept AS interval)
    ORDER BY accepted_at LIMIT 10 FOR UPDATE SKIP LOCKED
)
"""
_WAITING = """
SELECT count(*) AS wakeups,
       coalesce(extract(epoch FROM clock_timestamp() - min(asked_at)), 0)::float8 AS oldest
FROM wakeups
"""
# In one order, so that two of them at once wait for each other and never deadlock.
_WAKE = """
INSERT INTO wakeups (project_id, task_id)
SELECT DISTINCT p.project_id, coalesce(t.task_id, 0)
FROM labelling_projects p
LEFT JOIN unnest(CAST(:task_ids AS bigint[])) said ON true
LEFT JOIN tasks t ON t.project_id = p.project_id AND t.task_id = said
WHERE p.project_id = :project_id ORDER BY 1, 2
ON CONFLICT (project_id, task_id) DO UPDATE SET asked_at = clock_timestamp()
"""
_FORGET_WAKEUPS = """
DELETE FROM wakeups w USING unnest(
    CAST(:project_ids AS int[]), CAST(:task_ids AS bigint[]), CAST(:moments AS timestamptz[])
) AS one (project_id, task_id, asked_at)
WHERE w.project_id = one.project_id AND w.task_id = one.task_id AND w.asked_at = one.asked_at
"""


def figures(tx: Connection) -> Iterator[Figure]:
    """The queue and the loop, by policy name: all versions of a policy together."""
    tx.execute(text(_HASTE))
    for row in tx.execute(text(_QUEUE)):
        about = {"policy": row.policy, "state": row.state}
        yield Figure("hitl_queue_entries", "Entries in the queue.", row.entries, about)
        if row.oldest is not None:
            says = "Age of the oldest open entry."
            yield Figure("hitl_queue_oldest_seconds", says, row.oldest, about)
    for row in tx.execute(text(_LANES)):
        about = {"policy": row.policy, "lane": row.lane, "tier": row.tier}
        yield Figure("hitl_lane_entries", "Open entries.", row.entries, about)
        yield Figure("hitl_lane_overdue", "Open entries past their deadline.", row.overdue, about)
        says = "Until the next deadline; negative where one has passed."
        yield Figure("hitl_lane_next_due_seconds", says, row.next_due, about)
    for row in tx.execute(text(_NEWEST)):
        says = "Age of the newest decision."
        about = {"model": row.model_version}
        yield Figure("hitl_decision_age_seconds", says, row.age, about)
    for row in tx.execute(text(_LAG)):
        for what in ("batch", "label", "snapshot", "promotion"):
            age = getattr(row, what)
            if age is not None:
                about = {"policy": row.policy, "what": what}
                yield Figure("hitl_loop_age_seconds", "Age of the newest of these.", age, about)
        says = "Entries whose labels are newer than the newest snapshot."
        about = {"policy": row.policy}
        yield Figure("hitl_entries_since_snapshot", says, row.since_snapshot, about)
    row = tx.execute(text(_WAITING)).one()
    yield Figure("hitl_wakeups", "Webhooks that no collection has followed yet.", row.wakeups)
    yield Figure("hitl_wakeup_oldest_seconds", "How long the oldest of them waits.", row.oldest)


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
    take_turns(tx, f"push {producer} {key}")
    row = tx.execute(
        select(api_requests.c.body_hash, api_requests.c.answer).where(
            api_requests.c.producer == producer, api_requests.c.idempotency_key == key
        )
    ).one_or_none()
    return Accepted(row.body_hash, row.answer) if row else None


def accept(
    tx: Connection, *, producer: str, key: str, body_hash: str, rows: int, answer: dict[str, Any]
) -> None:
    """Keep an answer, in the transaction that stores what it speaks of.

    Some that are older than `KEPT` go for it. The rows that they speak of have keys of their own:
    pushed anew, they are known and change nothing.
    """
    tx.execute(text(_FORGET_OLD), {"kept": KEPT})
    tx.execute(
        insert(api_requests).values(
            producer=producer,
            idempotency_key=key,
            body_hash=body_hash,
            rows=rows,
            answer=answer,
        )
    )


@dataclass(frozen=True, slots=True)
class Wakeup:
    """Somebody said that something changed there. `task_id` 0 is the whole project."""

    project_id: int
    task_id: int
    asked_at: datetime


def wake(tx: Connection, project_id: int, task_ids: Sequence[int]) -> bool:
    """Remember that these tasks may have changed; whether it is a project of ours.

    None of it is believed: a task that we do not know counts as its project, a project that we do
    not know as nothing. Said again, it is the same row with a later moment.
    """
    ids = sorted({one for one in task_ids if 0 < one < 2**63})
    known = {"project_id": project_id, "task_ids": ids}
    return bool(tx.execute(text(_WAKE), known).rowcount) if 0 < project_id < 2**31 else False


def wakeups(tx: Connection, *, limit: int) -> list[Wakeup]:
    """What nobody has looked at yet, the longest waiting first."""
    rows = tx.execute(select(asked_for).order_by(asked_for.c.asked_at).limit(limit))
    return [Wakeup(row.project_id, row.task_id, row.asked_at) for row in rows]


def forget_wakeups(tx: Connection, followed: Sequence[Wakeup]) -> None:
    """Let go of those that were followed. One that was said again meanwhile stays."""
    tx.execute(
        text(_FORGET_WAKEUPS),
        {
            "project_ids": [one.project_id for one in followed],
            "task_ids": [one.task_id for one in followed],
            "moments": [one.asked_at for one in followed],
        },
    )
