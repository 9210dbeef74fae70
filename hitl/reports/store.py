"""The counts behind pages and the reconciliation, in SQL. Each is counted from its own table."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from hitl.policy import Policy
from hitl.reports.reconciliation import Counts, Here, TaskKey

# Every version of the policy: what was begun under an older one is still being answered.
_COUNTS = """
WITH versions AS (SELECT policy_id FROM policies WHERE name = :name),
mine AS (SELECT e.* FROM entries e JOIN versions USING (policy_id)),
newest AS (
    SELECT DISTINCT ON (a.unique_id) a.* FROM annotations a JOIN mine USING (entry_id)
    ORDER BY a.unique_id, a.updated_at DESC
),
labelled AS (SELECT DISTINCT entry_id FROM current_labels JOIN versions USING (policy_id)),
-- Withdrawn or dead ones may have a task that landed later, or none.
reviewed AS (
    SELECT mine.entry_id, mine.state, mine.lease_id, t.task_id IS NOT NULL AS has_task,
           EXISTS (SELECT 1 FROM entry_events v
                   WHERE v.entry_id = mine.entry_id AND v.to_state = 'dispatched') AS was_dispatched
    FROM mine LEFT JOIN tasks t ON t.entry_id = mine.entry_id AND t.stage = 'review'
    WHERE mine.state NOT IN ('withdrawn', 'dead')
),
without AS (
    SELECT mine.entry_id, mine.item_id,
           EXISTS (SELECT 1 FROM newest JOIN votes USING (unique_id, updated_at)
                   WHERE newest.entry_id = mine.entry_id AND newest.kind = 'submitted'
                     AND newest.stage = 'adjudication' AND votes.answers = '{}') AS cannot_tell
    FROM mine WHERE state = 'done' AND entry_id NOT IN (SELECT entry_id FROM labelled)
)
SELECT
    (SELECT count(*) FROM picks JOIN batches USING (batch_id) JOIN versions USING (policy_id))
        AS picks,
    (SELECT count(*) FROM mine) AS entries,
    (SELECT count(*) FROM mine WHERE state = 'waiting') AS entries_waiting,
    (SELECT count(*) FROM mine WHERE state = 'dispatched') AS entries_dispatched,
    (SELECT count(*) FROM mine WHERE state = 'adjudicating') AS entries_adjudicating,
    (SELECT count(*) FROM mine WHERE state = 'done') AS entries_done,
    (SELECT count(*) FROM mine WHERE state = 'withdrawn') AS entries_withdrawn,
    (SELECT count(*) FROM mine WHERE state = 'dead') AS entries_dead,
    (SELECT count(*) FROM turns JOIN mine USING (entry_id)) AS turns,
    (SELECT count(*) FROM open_items JOIN mine USING (entry_id, item_id)) AS open_items,
    -- What a tool has claimed is with a reviewer without a task.
    (SELECT count(*) FROM reviewed
     WHERE has_task OR (state = 'dispatched' AND lease_id IS NULL)) AS entries_to_review,
    (SELECT count(*) FROM reviewed WHERE has_task AND was_dispatched) AS entries_with_review_task,
    (SELECT count(*) FROM newest WHERE kind = 'submitted') AS annotations_submitted,
    (SELECT count(*) FROM newest JOIN votes USING (unique_id, updated_at)
     WHERE kind = 'submitted') AS votes_of_newest,
    (SELECT count(*) FROM newest JOIN annotation_rejects USING (unique_id, updated_at)
     WHERE kind = 'submitted') AS rejects_of_newest,
    (SELECT count(*) FROM labelled) AS entries_with_labels,
    (SELECT count(*) FROM without WHERE cannot_tell) AS entries_done_cannot_tell,
    -- Its answer was taken back while its item was being asked about again: it cannot be opened.
    (SELECT count(*) FROM without w WHERE NOT cannot_tell
       AND EXISTS (SELECT 1 FROM labels l WHERE l.entry_id = w.entry_id)
       AND EXISTS (SELECT 1 FROM entries e WHERE e.item_id = w.item_id AND e.entry_id > w.entry_id)
    ) AS entries_done_taken_back,
    (SELECT count(DISTINCT l.item_id) FROM labels_by_policy l JOIN items i USING (item_id)
     WHERE l.for_policy_id = :policy_id AND i.text IS NOT NULL) AS items_with_labels,
    (SELECT count(*) FROM examples WHERE policy_id = :policy_id) AS examples
"""

_TASKS = """
SELECT t.project_id, t.task_id,
       CASE t.stage WHEN 'review' THEN e.state IN ('waiting', 'dispatched')
                    ELSE e.state = 'adjudicating' END AS is_open
FROM tasks t JOIN entries e USING (entry_id) JOIN policies p USING (policy_id)
WHERE p.name = :name AND t.task_id IS NOT NULL
"""

# Of the push that the task belongs to now: other servers have given the same numbers before.
_ANNOTATIONS = """
SELECT project_id, task_id, unique_id FROM (
    SELECT DISTINCT ON (a.unique_id) a.unique_id, a.project_id, a.task_id, a.kind
    FROM annotations a JOIN entries e USING (entry_id) JOIN policies p USING (policy_id)
    JOIN tasks t ON t.entry_id = a.entry_id AND t.stage = a.stage
                AND t.push_id::text = split_part(a.unique_id, '@', 2)
    WHERE p.name = :name
    ORDER BY a.unique_id, a.updated_at DESC
) newest WHERE kind <> 'deleted'
"""


def count_loop(tx: Connection, policy: Policy) -> Counts:
    """Every count of one policy, in one statement and so of one moment."""
    asked = {"name": policy.name, "policy_id": policy.policy_id}
    row = tx.execute(text(_COUNTS), asked).one()
    return Counts(**row._mapping)


def held(tx: Connection, policy: Policy) -> Here:
    """The tasks of every version of a policy, and the annotations that count for them."""
    rows = tx.execute(text(_TASKS), {"name": policy.name})
    is_open = {(row.project_id, row.task_id): row.is_open for row in rows}
    annotations: dict[TaskKey, set[str]] = defaultdict(set)
    for row in tx.execute(text(_ANNOTATIONS), {"name": policy.name}):
        annotations[row.project_id, row.task_id].add(row.unique_id)
    return Here(is_open, {key: frozenset(ids) for key, ids in annotations.items()})


@dataclass(frozen=True, slots=True)
class Work:
    """What went through the loop in a window. `median_minutes`: from asking to the answer."""

    decisions: int
    allowed: int
    blocked: int
    opened: int
    answered: int
    late: int
    audits: int
    reviewers: int
    median_minutes: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a lead should have heard of."""

    at: datetime
    words: str


# Every version of the policy, as above. Decisions are of all policies: they name none.
_WORK = """
WITH versions AS (SELECT policy_id FROM policies WHERE name = :name),
made AS (
    SELECT action, count(*) AS n FROM decisions
    WHERE decided_at >= :start AND decided_at < :end AND NOT is_shadow GROUP BY action
),
closed AS (
    SELECT e.* FROM entries e JOIN versions USING (policy_id)
    WHERE e.state = 'done' AND e.closed_at >= :start AND e.closed_at < :end
)
SELECT
    (SELECT coalesce(sum(n), 0) FROM made)::bigint AS decisions,
    (SELECT coalesce(sum(n), 0) FROM made WHERE action = 'allow')::bigint AS allowed,
    (SELECT coalesce(sum(n), 0) FROM made WHERE action = 'block')::bigint AS blocked,
    (SELECT count(*) FROM entries e JOIN versions USING (policy_id)
     WHERE e.opened_at >= :start AND e.opened_at < :end) AS opened,
    (SELECT count(*) FROM closed) AS answered,
    (SELECT count(*) FROM closed WHERE closed_at > due_at) AS late,
    (SELECT count(*) FROM closed c JOIN picks p USING (batch_id, item_id)
     WHERE p.share = 'audit') AS audits,
    (SELECT count(DISTINCT a.reviewer) FROM annotations a
     JOIN entries e USING (entry_id) JOIN versions USING (policy_id)
     WHERE a.updated_at >= :start AND a.updated_at < :end AND a.kind = 'submitted') AS reviewers,
    (SELECT percentile_cont(0.5) WITHIN GROUP (
         ORDER BY extract(epoch FROM closed_at - opened_at) / 60.0)::float8
     FROM closed) AS median_minutes
"""
_EVENTS = """
WITH versions AS (SELECT policy_id FROM policies WHERE name = :name)
SELECT promoted_at AS at,
       CASE kind WHEN 'rollback' THEN 'rolled back to ' ELSE 'promoted ' END || model_version
       || ', approved by ' || approved_by || CASE WHEN note <> '' THEN ': ' || note ELSE '' END
       AS words
FROM promotions WHERE policy_name = :name AND promoted_at >= :start AND promoted_at < :end
UNION ALL
SELECT issued_at, 'certificate for ' || category || ' ' || metric || ' of ' || at_least
       || CASE WHEN slice_value <> '' THEN ' in ' || slice_value ELSE '' END
       || ' from score ' || round(threshold::numeric, 4)
FROM certificates JOIN versions USING (policy_id)
WHERE threshold IS NOT NULL AND issued_at >= :start AND issued_at < :end
UNION ALL
SELECT withdrawn_at, 'certificate for ' || category || ' ' || metric || ' withdrawn: '
       || withdrawn_why
FROM certificates JOIN versions USING (policy_id)
WHERE withdrawn_at >= :start AND withdrawn_at < :end
ORDER BY 1, 2
"""


def work_of(tx: Connection, policy: Policy, *, start: datetime, end: datetime) -> Work:
    """What went through the loop from `start` to before `end`."""
    given = {"name": policy.name, "start": start, "end": end}
    return Work(**tx.execute(text(_WORK), given).one()._mapping)


def events_of(tx: Connection, policy: Policy, *, start: datetime, end: datetime) -> list[Event]:
    """Promotions, rollbacks and certificates of a window, oldest first."""
    given = {"name": policy.name, "start": start, "end": end}
    return [Event(row.at, row.words) for row in tx.execute(text(_EVENTS), given)]
