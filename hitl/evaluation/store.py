"""What was decided beside what reviewers found, read as arrays; and the figures that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.db.schema import measurements
from hitl.policy import Policy
from hitl.records import ModelVersion

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Labelled items with the newest decision that one model made on each. N rows, C categories.

    `truth` and `probabilities` (N, C) hold NaN where nobody answered, or the model does not know
    the category. Only items with a known `inclusion_probability` (N,) are here.
    """

    item_ids: NDArray[Any]
    truth: FloatArray
    probabilities: FloatArray
    inclusion_probability: FloatArray
    language: NDArray[Any]
    surface: NDArray[Any]

    def __len__(self) -> int:
        return len(self.item_ids)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One stored figure: a value with its interval, or a code in its place."""

    metric: str
    category: str
    slice_name: str
    slice_value: str
    kind: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_effective: float | None
    code: str | None
    method: str
    unstable: bool = False


_JUDGED = """
    SELECT e.item_id, p.inclusion_probability, i.language, i.surface,
           d.probabilities, l.answers
    FROM (
        SELECT entry_id, jsonb_object_agg(category, value) AS answers, max(resolved_at) AS resolved
        FROM current_labels WHERE policy_id = :policy_id GROUP BY entry_id
    ) l
    JOIN entries e USING (entry_id)
    JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
    JOIN items i ON i.item_id = e.item_id
    JOIN LATERAL (
        SELECT probabilities FROM decisions
        WHERE item_id = e.item_id AND model_version = :model_version
        ORDER BY decided_at DESC, decision_id DESC LIMIT 1
    ) d ON true
    WHERE p.inclusion_probability IS NOT NULL
      AND l.resolved >= :start AND l.resolved < :end
    ORDER BY e.item_id
"""


def deciding_models(
    tx: Connection, *, policy: Policy, start: datetime, end: datetime
) -> list[ModelVersion]:
    """Every model version that decided on an item whose label measures in the window."""
    rows = tx.execute(
        text("""
            SELECT DISTINCT d.model_version FROM current_labels l
            JOIN entries e USING (entry_id)
            JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
            JOIN decisions d ON d.item_id = e.item_id
            WHERE l.policy_id = :policy_id AND p.inclusion_probability IS NOT NULL
              AND l.resolved_at >= :start AND l.resolved_at < :end
            ORDER BY 1
        """),
        {"policy_id": policy.policy_id, "start": start, "end": end},
    )
    return [ModelVersion(one) for one in rows.scalars()]


def read_judged(
    tx: Connection,
    *,
    policy: Policy,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
) -> Judged:
    """Items labelled in [start, end) by a pick of known chance, with that model's decision."""
    rows = tx.execute(
        text(_JUDGED),
        {
            "policy_id": policy.policy_id,
            "model_version": model_version,
            "start": start,
            "end": end,
        },
    ).all()
    categories = policy.category_ids

    def table(records: Sequence[dict[str, Any]]) -> FloatArray:
        cells = [[float(one.get(c, np.nan)) for c in categories] for one in records]
        return np.array(cells, dtype=np.float64).reshape(-1, len(categories))

    return Judged(
        item_ids=np.array([row.item_id for row in rows], dtype=object),
        truth=table([row.answers for row in rows]),
        probabilities=table([row.probabilities for row in rows]),
        inclusion_probability=np.array([row.inclusion_probability for row in rows], dtype=float),
        language=np.array([row.language or "unknown" for row in rows], dtype=object),
        surface=np.array([row.surface or "unknown" for row in rows], dtype=object),
    )


def record_measurements(
    tx: Connection,
    found: Sequence[Measurement],
    *,
    policy: Policy,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
) -> None:
    """Store a window's figures. The same window again replaces them: later labels count too."""
    if not found:
        return
    key = {
        "policy_id": policy.policy_id,
        "model_version": model_version,
        "window_start": start,
        "window_end": end,
    }
    rows = [
        key
        | {
            "metric": one.metric,
            "category": one.category,
            "slice_name": one.slice_name,
            "slice_value": one.slice_value,
            "kind": one.kind,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "n": one.n,
            "n_effective": one.n_effective,
            "unstable": one.unstable,
            "code": one.code,
            "method": one.method,
        }
        for one in found
    ]
    statement = upsert(measurements).values(rows)
    changing = ("value", "low", "high", "n", "n_effective", "code", "method")
    tx.execute(
        statement.on_conflict_do_update(
            constraint="pk_measurements",
            set_={name: statement.excluded[name] for name in changing},
        )
    )
