"""The audit's pace, read from what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from hitl.policy import Policy
from hitl.recipe import AUDIT


@dataclass(frozen=True, slots=True)
class Pace:
    """Audit entries answered on each UTC day of a stretch, those without any included, and the
    mean seconds that reviewers took over one, all votes together; None: Label Studio told none."""

    a_day: tuple[int, ...]
    seconds: float | None


_A_DAY = """
    SELECT day::date, count(l.entry_id)
    FROM generate_series(CAST(:first AS date), CAST(:last AS date), interval '1 day') day
    LEFT JOIN (
        SELECT l.entry_id, date_trunc('day', min(l.resolved_at), 'UTC') AT TIME ZONE 'UTC' AS on_day
        FROM labels_by_policy l JOIN entries e USING (entry_id)
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id AND p.share = :audit
        WHERE l.for_policy_id = :policy_id GROUP BY l.entry_id
    ) l ON l.on_day = day
    GROUP BY day ORDER BY day
"""
# Of an annotation that was mended the newest version has the whole time.
_SECONDS = """
    SELECT sum(lead_seconds) / nullif(count(DISTINCT entry_id), 0)
    FROM (
        SELECT DISTINCT ON (a.unique_id) a.entry_id, a.kind, a.lead_seconds
        FROM annotations a JOIN entries e USING (entry_id)
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id AND p.share = :audit
        WHERE a.updated_at >= :first
        ORDER BY a.unique_id, a.updated_at DESC
    ) newest WHERE kind = 'submitted' AND lead_seconds > 0
"""


def read_pace(tx: Connection, *, policy: Policy, first: datetime, last: datetime) -> Pace:
    """The days from `first` to `last`, both whole and both included."""
    given = {"policy_id": policy.policy_id, "audit": AUDIT, "first": first, "last": last}
    counts = tx.execute(text(_A_DAY), given).all()
    seconds = tx.execute(text(_SECONDS), given).scalar_one()
    return Pace(tuple(row[1] for row in counts), None if seconds is None else float(seconds))
