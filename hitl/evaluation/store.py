"""What was decided beside what an audit found, read as arrays; and the figures that come of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from hitl.evaluation.audit import AuditDraw, epochs_of, levelled
from hitl.policy import Category, Policy
from hitl.recipe import AUDIT
from hitl.records import BatchId, ModelVersion

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Audit:
    """The audits of a policy, batch by batch in the order in which candidates were read.

    `waiting` entries are still open. `lost` ones were closed without an answer that counts. No
    answer stands for more than `most_for_one` items. `moments` and `epochs` are those of
    `audit.epochs_of`. `models` are those whose scores each batch was drawn by first of all.
    """

    batch_ids: tuple[BatchId, ...]
    moments: tuple[datetime, ...]
    epochs: tuple[range, ...]
    draws: tuple[AuditDraw, ...]
    waiting: int
    lost: int
    most_for_one: int = 1
    models: tuple[ModelVersion | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """Audited items with the newest decision that one model made on each. N rows, C categories.

    `truth` and `probabilities` (N, C) hold NaN where nobody answered, or the model does not know
    the category. `inclusion_probability` (N,) is one over how many items each counts for, over all
    batches that an item could be in and the near copies it stands for (`stands_for`);
    `variance_weight` (N,) goes with it. No item that the model decided on could have counted for
    more than `largest_weight`, and no question of the same age as a row's for more than one over
    `least_chance` (N,). `evenness` (N,) is the least chance of the batch that drew it over its own.
    `least_flagged` and `evenness_flagged` (N, C) are the same among what this model flags for each
    category, from the policy's threshold on; they hold for items that it scores so, no others.
    `answered_at` (N,) is when its newest label came. `views` (N,) an hour, as last told; NaN where
    nobody told. `largest_flagged` (C,) is `largest_weight` among what is flagged for a category
    from `flagged_from` (C,) on, the policy's thresholds.
    """

    item_ids: NDArray[Any]
    truth: FloatArray
    probabilities: FloatArray
    inclusion_probability: FloatArray
    variance_weight: FloatArray
    least_chance: FloatArray
    evenness: FloatArray
    least_flagged: FloatArray
    evenness_flagged: FloatArray
    language: NDArray[Any]
    surface: NDArray[Any]
    stands_for: FloatArray
    answered_at: NDArray[Any]
    largest_weight: float | None
    market: NDArray[Any]
    views: FloatArray
    largest_flagged: FloatArray
    flagged_from: FloatArray

    def largest_from(self, category: int, threshold: float) -> float | None:
        """The most that anything which is flagged from this threshold on could have counted."""
        is_known = self.largest_weight is not None and threshold >= self.flagged_from[category]
        return float(self.largest_flagged[category]) if is_known else self.largest_weight

    def __len__(self) -> int:
        return len(self.item_ids)


# Withdrawn entries gave their items back to the pool: they count as never drawn.
_AUDITS = """
    SELECT b.batch_id, b.read_at, b.model_version, b.measuring_pool_size AS pool,
           b.read_at - (b.plan ->> 'within_days')::float8 * interval '1 day' AS since,
           count(*) FILTER (WHERE e.state <> 'withdrawn') AS asked,
           coalesce(sum(p.stands_for - 1) FILTER (WHERE e.state <> 'withdrawn'), 0) AS aside,
           max(p.stands_for) AS most_for_one,
           count(*) AS drawn,
           (b.plan -> 'audit_draw' ->> 'mean')::float8 AS mean,
           (b.plan -> 'audit_draw' ->> 'least')::float8 AS least,
           b.plan -> 'audit_draw' -> 'flagged' AS flagged,
           count(*) FILTER (WHERE l.entry_id IS NOT NULL) AS answered,
           count(*) FILTER (WHERE e.state IN ('waiting', 'dispatched', 'adjudicating')) AS waiting
    FROM batches b
    JOIN related_policies r ON r.related_id = b.policy_id AND r.policy_id = :policy_id
    JOIN picks p ON p.batch_id = b.batch_id AND p.share = :audit
    JOIN entries e ON e.batch_id = p.batch_id AND e.item_id = p.item_id
    LEFT JOIN (
        SELECT DISTINCT entry_id FROM labels_by_policy WHERE for_policy_id = :policy_id
    ) l USING (entry_id)
    GROUP BY b.batch_id ORDER BY b.read_at, b.batch_id
"""
_NEWEST_DECISION = """
    SELECT probabilities FROM decisions d
    WHERE d.item_id = i.item_id AND d.model_version = :model_version AND d.is_shadow = :is_shadow
      AND d.decided_at >= :start AND d.decided_at < :end
    ORDER BY d.decided_at DESC LIMIT 1
"""
_JUDGED = f"""
    SELECT i.item_id, e.batch_id, p.stands_for, p.inclusion_probability, i.content_at,
           i.language, i.surface, i.market, r.views_per_hour, d.probabilities, l.answers,
           l.answered_at
    FROM (
        SELECT entry_id, jsonb_object_agg(category, value) AS answers,
               max(resolved_at) AS answered_at
        FROM labels_by_policy WHERE for_policy_id = :policy_id GROUP BY entry_id
    ) l
    JOIN entries e USING (entry_id)
    JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id AND p.share = :audit
    JOIN items i ON i.item_id = e.item_id
    JOIN LATERAL ({_NEWEST_DECISION}) d ON true
    LEFT JOIN reaches r ON r.item_id = i.item_id
    ORDER BY i.item_id
"""  # noqa: S608
_LIVED = """
    SELECT EXISTS (
        SELECT FROM decisions d JOIN items i USING (item_id)
        WHERE d.model_version = :model_version AND d.decided_at >= :start AND d.decided_at < :end
          AND d.is_shadow = :is_shadow AND i.content_at >= :since AND i.content_at < :until
    )
"""


def is_dropped(tx: Connection, start: datetime) -> bool:
    """Whether some of what was decided from `start` on was dropped for its age."""
    kept = "SELECT coalesce(max(kept_from) > :start, false) FROM retentions"
    return bool(tx.execute(text(kept), {"start": start}).scalar_one())


def deciding_models(
    tx: Connection, *, policy: Policy, start: datetime, end: datetime
) -> list[ModelVersion]:
    """Every model version that decided on an audited item in [start, end); shadows did not."""
    rows = tx.execute(
        text("""
            SELECT DISTINCT d.model_version
            FROM (SELECT DISTINCT entry_id FROM labels_by_policy
                  WHERE for_policy_id = :policy_id) l
            JOIN entries e USING (entry_id)
            JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id AND p.share = :audit
            JOIN decisions d ON d.item_id = e.item_id
            WHERE d.decided_at >= :start AND d.decided_at < :end AND NOT d.is_shadow
            ORDER BY 1
        """),
        {"policy_id": policy.policy_id, "audit": AUDIT, "start": start, "end": end},
    )
    return [ModelVersion(one) for one in rows.scalars()]


def read_audit(tx: Connection, *, policy: Policy) -> Audit:
    """How the audits of this policy, and of versions that ask the same, stand."""
    rows = tx.execute(text(_AUDITS), {"policy_id": policy.policy_id, "audit": AUDIT}).all()
    moments, epochs = epochs_of([row.read_at for row in rows], [row.since for row in rows])
    return Audit(
        batch_ids=tuple(BatchId(row.batch_id) for row in rows),
        moments=tuple(moments),
        epochs=tuple(epochs),
        draws=tuple(map(_draw, rows)),
        waiting=sum(row.waiting for row in rows),
        lost=sum(row.asked - row.answered - row.waiting for row in rows),
        most_for_one=max((row.most_for_one for row in rows), default=1),
        models=tuple(row.model_version for row in rows),
    )


def _draw(row: Any) -> AuditDraw:
    # Given back is given back by chance: what is left was drawn with so much less.
    kept = row.asked / row.drawn
    mean, least = (None if one is None else one * kept for one in (row.mean, row.least))
    flagged = {
        category: (float(one["from"]), float(one["least"]) * kept)
        for category, one in (row.flagged or {}).items()
    }
    return AuditDraw(row.pool, row.asked, row.answered, row.aside, mean, least, kept, flagged)


def read_judged(
    tx: Connection,
    *,
    policy: Policy,
    audit: Audit,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
    as_shadow: bool = False,
) -> Judged:
    """Audited items that the model decided on in [start, end), with the newest such decision.

    `as_shadow`: what it decided while it only ran along, in place of what was acted on.
    """
    given = {"model_version": model_version, "start": start, "end": end, "is_shadow": as_shadow}
    rows = tx.execute(text(_JUDGED), given | {"policy_id": policy.policy_id, "audit": AUDIT}).all()
    number = {batch_id: k for k, batch_id in enumerate(audit.batch_ids)}
    rows = [row for row in rows if audit.draws[number[row.batch_id]].counts]
    batch = np.array([number[row.batch_id] for row in rows], dtype=np.intp)
    joined = np.array(
        [_epoch(audit, number[row.batch_id], row.content_at) for row in rows], dtype=np.intp
    )
    drawn = [audit.draws[k] for k in batch]
    chance = np.array(
        [row.inclusion_probability * one.kept for row, one in zip(rows, drawn, strict=True)],
        dtype=float,
    )
    level = partial(levelled, epochs=audit.epochs, batch=batch, epoch=joined, chance=chance)
    found = level(audit.draws)
    flagged = [_among_flagged(audit, model_version, category) for category in policy.category]
    # Of a category for which no batch told more than of everything, nothing is reckoned again.
    levels = [found if all(map(is_, own, audit.draws)) else level(own) for own in flagged]
    largest = _largest(tx, audit, found.most, joined, given)
    largest_flagged = [
        largest if one is found else _largest(tx, audit, one.most, joined, given) for one in levels
    ]
    stands_for = np.array([row.stands_for for row in rows], dtype=float)
    categories = policy.category_ids

    def table(records: Sequence[dict[str, Any]]) -> FloatArray:
        cells = [[float(one.get(c, np.nan)) for c in categories] for one in records]
        return np.array(cells, dtype=np.float64).reshape(-1, len(categories))

    return Judged(
        item_ids=np.array([row.item_id for row in rows], dtype=object),
        truth=table([row.answers for row in rows]),
        probabilities=table([row.probabilities for row in rows]),
        # Of those that were drawn together each was as likely to be the one that is asked.
        inclusion_probability=1.0 / (found.weight * stands_for),
        variance_weight=_of_copies(found.weight, found.variance, stands_for),
        least_chance=found.least_chance,
        evenness=_evenness(audit.draws, batch, chance),
        least_flagged=_columns(one.least_chance for one in levels),
        evenness_flagged=_columns(_evenness(draws, batch, chance) for draws in flagged),
        language=np.array([row.language or "unknown" for row in rows], dtype=object),
        surface=np.array([row.surface or "unknown" for row in rows], dtype=object),
        stands_for=stands_for,
        answered_at=np.array([row.answered_at for row in rows], dtype=object),
        largest_weight=audit.most_for_one * largest if largest else None,
        market=np.array([row.market or "unknown" for row in rows], dtype=object),
        views=np.array(
            [np.nan if row.views_per_hour is None else row.views_per_hour for row in rows],
            dtype=float,
        ),
        largest_flagged=audit.most_for_one * np.array(largest_flagged),
        flagged_from=np.array([one.threshold for one in policy.category]),
    )


def _largest(
    tx: Connection,
    audit: Audit,
    most: FloatArray,
    joined: NDArray[np.intp],
    given: dict[str, Any],
) -> float:
    """The most that any item which the model decided on could have counted; 0 where none could.

    Epochs are asked whether any of their items was decided on, the heaviest first, and only while
    they could weigh more than what was drawn: to join all decisions with their items takes long.
    """
    largest = float(most[joined].max(initial=0.0))
    heavier = [k for k in np.argsort(-most, kind="stable").tolist() if most[k] > largest]
    # Of a window that was partly dropped nobody can tell any more which moments its items came
    # from: then any counts.
    if heavier and is_dropped(tx, given["start"]):
        return float(most[heavier[0]])
    for k in heavier:
        span = {
            "since": audit.moments[k - 1] if k else "-infinity",
            "until": audit.moments[k] if k < len(audit.moments) else "infinity",
        }
        if tx.execute(text(_LIVED), given | span).scalar_one():
            return float(most[k])
    return largest


def _among_flagged(
    audit: Audit, model_version: ModelVersion, category: Category
) -> list[AuditDraw]:
    """The draws, of what this model flags; of another model's nobody knows what it gave to that."""
    return [
        draw.among_flagged(category.id, category.threshold) if model == model_version else draw
        for draw, model in zip(audit.draws, audit.models, strict=True)
    ]


def _evenness(
    draws: Sequence[AuditDraw], batch: NDArray[np.intp], chance: FloatArray
) -> FloatArray:
    least = np.array([draw.least or np.inf for draw in draws], dtype=float)
    return np.minimum(least[batch] / chance, 1.0) if len(batch) else np.zeros(0)


def _columns(found: Iterable[FloatArray]) -> FloatArray:
    return np.stack(list(found), axis=1)


def _of_copies(weight: FloatArray, variance: FloatArray, copies: FloatArray) -> FloatArray:
    """The variance where one answer counts for several: they were not drawn independently."""
    alone = weight * (weight - 1.0)
    together = weight * copies * (weight * copies - 1.0)
    # As if drawn evenly, and what the uneven draw adds to that or spares.
    found: FloatArray = np.maximum(together + copies**2 * (variance - alone), 0.0)
    return np.where(copies == 1.0, variance, found)


def _epoch(audit: Audit, batch: int, content_at: datetime) -> int:
    # It was there for the batch that drew it, whatever two clocks say of that moment.
    could = audit.epochs[batch]
    return min(max(bisect_left(audit.moments, content_at), could.start), could.stop - 1)
