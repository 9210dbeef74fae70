"""The counts behind the reconciliation, in SQL. Each is counted from its own table."""

from __future__ import annotations

from sqlalchemy import Connection, text

from hitl.records import PolicyId
from hitl.reports.reconciliation import Counts

_COUNTS = """
WITH mine AS (SELECT * FROM entries WHERE policy_id = :policy_id),
newest AS (
    SELECT DISTINCT ON (a.unique_id) a.* FROM annotations a JOIN mine USING (entry_id)
    ORDER BY a.unique_id, a.updated_at DESC
),
labelled AS (SELECT entry_id, item_id FROM current_labels WHERE policy_id = :policy_id)
SELECT
    (SELECT count(*) FROM picks JOIN batches USING (batch_id) WHERE policy_id = :policy_id)
        AS picks,
    (SELECT count(*) FROM mine) AS entries,
    (SELECT count(*) FROM mine WHERE state = 'waiting') AS entries_waiting,
    (SELECT count(*) FROM mine WHERE state = 'dispatched') AS entries_dispatched,
    (SELECT count(*) FROM mine WHERE state = 'adjudicating') AS entries_adjudicating,
    (SELECT count(*) FROM mine WHERE state = 'done') AS entries_done,
    (SELECT count(*) FROM mine WHERE state = 'withdrawn') AS entries_withdrawn,
    (SELECT count(*) FROM mine WHERE state = 'dead') AS entries_dead,
    (SELECT count(DISTINCT entry_id) FROM entry_events JOIN mine USING (entry_id)
     WHERE to_state = 'dispatched') AS entries_ever_dispatched,
    (SELECT count(*) FROM tasks JOIN mine USING (entry_id)
     WHERE stage = 'review' AND task_id IS NOT NULL) AS review_tasks,
    (SELECT count(*) FROM tasks JOIN mine USING (entry_id)
     WHERE stage = 'adjudication' AND task_id IS NOT NULL) AS adjudication_tasks,
    (SELECT count(*) FROM tasks JOIN mine USING (entry_id) WHERE task_id IS NULL)
        AS unconfirmed_tasks,
    (SELECT count(*) FROM newest WHERE kind = 'submitted') AS annotations_submitted,
    (SELECT count(*) FROM newest WHERE kind = 'skipped') AS annotations_skipped,
    (SELECT count(*) FROM newest WHERE kind = 'deleted') AS annotations_deleted,
    (SELECT count(*) FROM newest JOIN votes USING (unique_id, updated_at)
     WHERE kind = 'submitted') AS votes_of_newest,
    (SELECT count(*) FROM newest JOIN annotation_rejects USING (unique_id, updated_at)
     WHERE kind = 'submitted') AS rejects_of_newest,
    (SELECT count(DISTINCT entry_id) FROM labelled) AS entries_with_labels,
    (SELECT count(DISTINCT item_id) FROM labelled) AS items_with_labels,
    (SELECT count(*) FROM examples WHERE policy_id = :policy_id) AS examples
"""


def count_loop(tx: Connection, policy_id: PolicyId) -> Counts:
    """Every count of one policy, in one statement and so of one moment."""
    row = tx.execute(text(_COUNTS), {"policy_id": policy_id}).one()
    return Counts(**row._mapping)
