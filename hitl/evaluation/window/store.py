"""What a window holds beside its labels, counted in SQL: flags, views, and who was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from hitl.evaluation.arrays import BoolArray, FloatArray
from hitl.evaluation.store import Audit, is_dropped
from hitl.policy import Policy
from hitl.recipe import AUDIT
from hitl.records import ItemId, ModelVersion

ENOUGH_ITEMS = 500_000
"""Of more items than this an even draw of as many or more is counted: beside the labels' own, the
uncertainty that this adds is nothing, and ten million take seconds."""


@dataclass(frozen=True, slots=True)
class FlagCounts:
    """How many items the model decided on, in R kinds, of all that an audit could have drawn.

    `flags` (R, C): 1 flagged, 0 not, NaN the model does not know the category. `items` (R,) is a
    multiple of `counted_one_in`. `columns` maps surface, language and market to (R,) values.
    """

    items: FloatArray
    flags: FloatArray
    columns: dict[str, NDArray[Any]]
    counted_one_in: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Audited items that the model decided on, answered or not. A row each, N rows.

    `score` is the model's highest probability. `expected` is the part of its batch's audit that
    is answered so far, `is_answered` whether this one is.
    """

    score: FloatArray
    language: NDArray[Any]
    surface: NDArray[Any]
    expected: FloatArray
    is_answered: BoolArray
    item_ids: NDArray[Any]

    def __len__(self) -> int:
        return len(self.score)


_IN_WINDOW = """
    d.model_version = :model_version AND d.decided_at >= :start AND d.decided_at < :end
    AND NOT d.is_shadow
"""
_SIZE = f"SELECT count(*) FROM decisions d WHERE {_IN_WINDOW}"  # noqa: S608
# Of items too only those of the draw are looked at: to join ten million takes long.
_FLAGS = """
    SELECT coalesce(i.surface, 'unknown') AS surface, coalesce(i.language, 'unknown') AS language,
           coalesce(i.market, 'unknown') AS market, n.flags, count(*) AS items
    FROM (
        SELECT DISTINCT ON (d.item_id) d.item_id, {flags} AS flags
        FROM decisions d
        WHERE {in_window} AND {in_draw_d}
        ORDER BY d.item_id, d.decided_at DESC
    ) n
    JOIN items i USING (item_id)
    WHERE {in_draw_i} AND ({joined})
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_ASKED = f"""
    SELECT e.item_id, e.batch_id, i.language, i.surface, d.score, l.entry_id IS NOT NULL AS answered
    FROM entries e
    JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id AND p.share = :audit
    JOIN items i ON i.item_id = e.item_id
    JOIN LATERAL (
        SELECT (SELECT max(value::float8) FROM jsonb_each_text(d.probabilities)) AS score
        FROM decisions d WHERE d.item_id = e.item_id AND {_IN_WINDOW}
        ORDER BY d.decided_at DESC LIMIT 1
    ) d ON true
    LEFT JOIN (
        SELECT DISTINCT entry_id FROM labels_by_policy WHERE for_policy_id = :policy_id
    ) l USING (entry_id)
    WHERE e.batch_id = ANY(:batches) AND e.state <> 'withdrawn'
    ORDER BY e.entry_id
"""  # noqa: S608
_LARGEST_VIEWS = f"""
    SELECT max(r.views_per_hour) FROM reaches r
    WHERE EXISTS (SELECT FROM decisions d WHERE d.item_id = r.item_id AND {_IN_WINDOW})
"""  # noqa: S608


def count_flags(
    tx: Connection,
    *,
    policy: Policy,
    audit: Audit,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
    enough: int = ENOUGH_ITEMS,
) -> FlagCounts | None:
    """The newest decision on each item in [start, end), flagged by the policy's thresholds or not.

    Only items that a batch which counts could have drawn. Of more than `enough` decisions an even
    draw by the items' ids is counted. None where a part of the window was dropped.
    """
    given = {"model_version": model_version, "start": start, "end": end}
    if is_dropped(tx, start):
        return None
    size = tx.execute(text(_SIZE), given).scalar_one()
    one_in = 1
    while size // (2 * one_in) >= enough:
        one_in *= 2
    spans = _spans(audit)
    if not spans:
        return None
    rows = tx.execute(
        text(
            _FLAGS.format(
                flags=" || ".join(
                    f"CASE (d.probabilities ->> :c{k})::float8 >= :t{k} "
                    "WHEN true THEN '1' WHEN false THEN '0' ELSE '-' END"
                    for k in range(len(policy.category))
                ),
                in_window=_IN_WINDOW,
                in_draw_d=_in_draw("d", one_in),
                in_draw_i=_in_draw("i", one_in),
                joined=" OR ".join(
                    f"i.content_at > :after{k} AND i.content_at <= :until{k}"
                    for k in range(len(spans))
                ),
            )
        ),
        given
        | {"others": one_in - 1}
        | {f"after{k}": after or "-infinity" for k, (after, _) in enumerate(spans)}
        | {f"until{k}": until for k, (_, until) in enumerate(spans)}
        | {f"c{k}": one.id for k, one in enumerate(policy.category)}
        | {f"t{k}": one.threshold for k, one in enumerate(policy.category)},
    ).all()
    known = {"1": 1.0, "0": 0.0, "-": np.nan}
    flags = [[known[one] for one in row.flags] for row in rows]
    return FlagCounts(
        items=np.array([row.items * one_in for row in rows], dtype=float),
        flags=np.array(flags, dtype=float).reshape(-1, len(policy.category)),
        columns={
            name: np.array([getattr(row, name) for row in rows], dtype=object)
            for name in ("surface", "language", "market")
        },
        counted_one_in=one_in,
    )


def _spans(audit: Audit) -> list[tuple[datetime | None, datetime]]:
    """When items joined that a batch which counts could have drawn: after one moment (None: ever),
    until another."""
    possible = sorted(
        {
            epoch
            for draw, could in zip(audit.draws, audit.epochs, strict=True)
            if draw.counts
            for epoch in could
        }
    )
    found: list[tuple[datetime | None, datetime]] = []
    for epoch in possible:
        after = audit.moments[epoch - 1] if epoch else None
        if found and found[-1][1] == after:
            after = found.pop()[0]
        found.append((after, audit.moments[epoch]))
    return found


def _in_draw(table: str, one_in: int) -> str:
    return (
        f"(hashtextextended({table}.item_id, 0) & CAST(:others AS bigint)) = 0"
        if one_in > 1
        else "true"
    )


def read_asked(
    tx: Connection,
    *,
    policy: Policy,
    audit: Audit,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
) -> Asked:
    """Everything that the audits which count have asked, of what the model decided on."""
    rate = {
        batch_id: draw.seen
        for batch_id, draw in zip(audit.batch_ids, audit.draws, strict=True)
        if draw.counts
    }
    rows = tx.execute(
        text(_ASKED),
        {
            "policy_id": policy.policy_id,
            "audit": AUDIT,
            "batches": list(rate),
            "model_version": model_version,
            "start": start,
            "end": end,
        },
    ).all()
    return Asked(
        score=np.array([np.nan if row.score is None else row.score for row in rows], dtype=float),
        language=np.array([row.language or "unknown" for row in rows], dtype=object),
        surface=np.array([row.surface or "unknown" for row in rows], dtype=object),
        expected=np.array([rate[row.batch_id] for row in rows], dtype=float),
        is_answered=np.array([row.answered for row in rows], dtype=bool),
        item_ids=np.array([row.item_id for row in rows], dtype=object),
    )


def largest_views(
    tx: Connection, *, model_version: ModelVersion, start: datetime, end: datetime
) -> float | None:
    """The most views an hour of any item that the model decided on. None: of none is it known."""
    given = {"model_version": model_version, "start": start, "end": end}
    found = tx.execute(text(_LARGEST_VIEWS), given).scalar_one()
    return None if found is None else float(found)


def read_texts(tx: Connection, item_ids: NDArray[Any]) -> dict[ItemId, str]:
    """The texts of these items. For matching only: they are not to be kept, or logged."""
    rows = tx.execute(
        text("SELECT item_id, text FROM items WHERE item_id = ANY(:ids) AND text IS NOT NULL"),
        {"ids": item_ids.tolist()},
    )
    return {ItemId(row.item_id): row.text for row in rows}
