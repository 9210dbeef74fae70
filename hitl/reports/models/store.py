"""The rows behind the pages on models, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from hitl.policy import Policy
from hitl.recipe import AUDIT
from hitl.records import ItemId, ModelVersion


@dataclass(frozen=True, slots=True)
class Training:
    """A trained version: what it learned from, its mean average precision on its own snapshot's
    test side (a value with its interval, or a code; nothing where it has none), and what the gate
    said of it last."""

    model_version: ModelVersion
    state: str
    trained_at: datetime
    examples: int
    answers: int
    training_examples: int | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    code: str | None
    decision: str | None
    beside: ModelVersion | None
    reasons: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Approval:
    """A change of champion to a version, and who took it on themselves."""

    kind: str
    approved_by: str
    note: str
    promoted_at: datetime


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """How long the answers behind some labels took: the seconds of those that say so."""

    answers: int
    seconds: tuple[float, ...]


_TRAININGS = """
SELECT m.model_version, m.state, m.trained_at, s.examples, s.labels AS answers,
       (m.metrics -> 'examples' ->> 'training')::int AS training_examples,
       e.value, e.low, e.high, e.n, e.code,
       v.decision, v.champion AS beside, coalesce(v.reasons, '[]'::jsonb) AS reasons
FROM model_versions m
JOIN snapshots s USING (snapshot_id)
LEFT JOIN evaluations e
  ON e.model_version = m.model_version AND e.snapshot_id = m.snapshot_id
 AND e.metric = 'average_precision' AND e.category = 'macro' AND e.slice_name = ''
LEFT JOIN LATERAL (
    SELECT decision, champion, reasons FROM verdicts
    WHERE challenger = m.model_version AND judged_at < :until
    ORDER BY verdict_id DESC LIMIT 1
) v ON true
WHERE m.policy_name = :name AND m.trained_at < :until
ORDER BY m.trained_at, m.model_version
"""
_APPROVALS = """
SELECT kind, approved_by, note, promoted_at FROM promotions
WHERE model_version = :model_version ORDER BY promotion_id
"""
# The newest version of each annotation, if it counted: one that was mended cost its time once.
_TIMES = """
WITH asked AS (
    SELECT e.entry_id FROM entries e
    JOIN related_policies r ON r.related_id = e.policy_id AND r.policy_id = :policy_id
    JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id AND p.share = :audit
    WHERE e.item_id = ANY(:item_ids)
)
SELECT lead_seconds FROM (
    SELECT DISTINCT ON (a.unique_id) a.kind, a.lead_seconds, a.unique_id, a.updated_at
    FROM annotations a JOIN asked USING (entry_id)
    ORDER BY a.unique_id, a.updated_at DESC
) newest
JOIN votes USING (unique_id, updated_at)
WHERE newest.kind = 'submitted'
ORDER BY unique_id
"""
# What an example's group is (the view `examples`).
_GROUPS = """
SELECT item_id, coalesce(group_id, content_hash, item_id) AS group_id
FROM items WHERE item_id = ANY(:item_ids)
"""


def trainings(tx: Connection, policy: Policy, *, until: datetime) -> list[Training]:
    """Every version of the policy that was trained before a moment, oldest first."""
    rows = tx.execute(text(_TRAININGS), {"name": policy.name, "until": until})
    names = Training.__dataclass_fields__
    return [
        Training(**{name: getattr(row, name) for name in names} | {"reasons": tuple(row.reasons)})
        for row in rows
    ]


def approvals(tx: Connection, model_version: ModelVersion) -> list[Approval]:
    """Every time that a version became champion, oldest first."""
    rows = tx.execute(text(_APPROVALS), {"model_version": model_version})
    return [Approval(**row._mapping) for row in rows]


def answer_times(tx: Connection, policy: Policy, item_ids: Sequence[ItemId]) -> AnswerTimes:
    """What the audit answers on some items took, votes and adjudications alike."""
    given = {"policy_id": policy.policy_id, "audit": AUDIT, "item_ids": list(item_ids)}
    found = tx.execute(text(_TIMES), given).scalars().all()
    return AnswerTimes(len(found), tuple(float(one) for one in found if one is not None))


def groups_of(tx: Connection, item_ids: Sequence[ItemId]) -> dict[ItemId, str]:
    """What must not be torn apart when items are resampled, item by item."""
    rows = tx.execute(text(_GROUPS), {"item_ids": list(item_ids)})
    return {ItemId(row.item_id): str(row.group_id) for row in rows}
