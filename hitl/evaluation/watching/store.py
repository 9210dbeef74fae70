"""What was decided in a window and before it, counted in the database: back come buckets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, text

from hitl.evaluation.arrays import FloatArray
from hitl.evaluation.shifts import Scores
from hitl.policy import Policy
from hitl.records import ModelVersion

MOST_DECISIONS = 200_000
"""Of more a draw by a hash of the item is enough: what matters is seen on some thousands."""

SLICES = ("language", "surface", "market")
UNKNOWN = "unknown"

_PARTS = 65_536
# Even steps of log odds: models of rare violations have nearly all scores below a thousandth.
_BUCKETS = 240
_WIDEST = 12

_COUNT = """
    SELECT count(*) FILTER (WHERE decided_at < :middle) AS before,
           count(*) FILTER (WHERE decided_at >= :middle) AS since
    FROM decisions WHERE decided_at >= :start AND decided_at < :end AND NOT is_shadow
"""
# What came in, as it came in: the first decision of a model on an item, while the item was new.
# A model that decides anew on what lay there for long says nothing of today's content.
_DRAWN = """
    SELECT d.item_id, d.model_version, d.decided_at >= :middle AS is_now, d.probabilities,
           earlier.first_at IS NULL AS is_first,
           coalesce(i.language, 'unknown') AS language, coalesce(i.surface, 'unknown') AS surface,
           coalesce(i.market, 'unknown') AS market
    FROM decisions d
    -- OFFSET 0: one by one, not by reading all items. The planner takes the draw for a third.
    CROSS JOIN LATERAL (
        SELECT language, surface, market FROM items i WHERE i.item_id = d.item_id OFFSET 0
    ) i
    LEFT JOIN LATERAL (
        SELECT min(e.decided_at) AS first_at,
               bool_or(e.model_version = d.model_version) AS is_again
        FROM decisions e
        WHERE e.item_id = d.item_id AND e.decided_at < d.decided_at AND NOT e.is_shadow
    ) earlier ON true
    WHERE d.decided_at >= :start AND d.decided_at < :end AND NOT d.is_shadow
      AND (hashtextextended(d.item_id, 0) & 65535) < :parts
      AND earlier.is_again IS NOT TRUE
      AND (earlier.first_at IS NULL OR earlier.first_at >= d.decided_at - interval '1 day')
"""
_SLICE = """
    CASE WHEN grouping(language) = 0 THEN 'language' WHEN grouping(surface) = 0 THEN 'surface'
         WHEN grouping(market) = 0 THEN 'market' ELSE '' END AS slice_name,
    coalesce(language, surface, market, '') AS slice_value
"""
_TRAFFIC = f"""
    WITH drawn AS MATERIALIZED ({_DRAWN}),
    -- First by everything at once: what is left to roll up is small.
    cells AS MATERIALIZED (
        SELECT d.model_version, d.is_now, d.language, d.surface, d.market, asked.category,
               odds.bucket, count(*) AS items, sum(said.score) AS total,
               sum(said.score * said.score) AS squares,
               count(*) FILTER (WHERE said.score >= asked.threshold) AS flagged
        FROM drawn d
        CROSS JOIN unnest(CAST(:categories AS text[]), CAST(:thresholds AS float8[]))
            asked (category, threshold)
        CROSS JOIN LATERAL (SELECT (d.probabilities ->> asked.category)::float8 AS score) said
        CROSS JOIN LATERAL (SELECT greatest(least(said.score, 1 - 1e-7), 1e-7) AS score) inside
        CROSS JOIN LATERAL (
            SELECT width_bucket(ln(inside.score / (1 - inside.score)),
                                -{_WIDEST}, {_WIDEST}, {_BUCKETS}) AS bucket OFFSET 0
        ) odds
        WHERE said.score IS NOT NULL
        GROUP BY d.model_version, d.is_now, d.language, d.surface, d.market, asked.category,
                 odds.bucket
    )
    SELECT model_version, is_now, category, {_SLICE}, bucket, sum(items)::bigint AS items,
           sum(total) AS total, sum(squares) AS squares, sum(flagged)::bigint AS flagged
    FROM cells
    GROUP BY GROUPING SETS ((model_version, is_now, category, bucket),
                            (model_version, is_now, category, bucket, language),
                            (model_version, is_now, category, bucket, surface),
                            (model_version, is_now, category, bucket, market))
    UNION ALL
    SELECT '', is_now, '', {_SLICE}, NULL, count(*), NULL, NULL, NULL
    FROM drawn WHERE is_first
    GROUP BY GROUPING SETS ((is_now), (is_now, language), (is_now, surface), (is_now, market))
"""  # noqa: S608
_TEXTS = """
    SELECT DISTINCT ON (hashtextextended(d.item_id, 1), d.item_id) i.text
    FROM decisions d JOIN items i USING (item_id)
    WHERE d.decided_at >= :start AND d.decided_at < :end AND NOT d.is_shadow
      AND (hashtextextended(d.item_id, 0) & 65535) < :parts AND i.text IS NOT NULL
      AND NOT EXISTS (SELECT FROM decisions e WHERE e.item_id = d.item_id
                      AND e.decided_at < d.decided_at AND NOT e.is_shadow)
    ORDER BY hashtextextended(d.item_id, 1), d.item_id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the items: (name, value), both empty for all."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts before a moment and since.

    `scores`: by model, category and slice, (before, since). `mix`: items of each slice, (before,
    since); the empty slice is all of them. `decisions` as they lie there, `drawn` the share of
    items that was counted.
    """

    scores: Mapping[tuple[ModelVersion, str, Slice], tuple[Scores, Scores]]
    mix: Mapping[Slice, tuple[int, int]]
    decisions: tuple[int, int]
    drawn: float

    @property
    def slices(self) -> list[Slice]:
        """All items, then each value of what has several."""
        values = defaultdict(list)
        for one in self.mix:
            if one.name:
                values[one.name].append(one)
        several = [one for name in SLICES if len(values[name]) > 1 for one in values[name]]
        return [Slice(), *sorted(several, key=lambda one: (SLICES.index(one.name), one.value))]

    @property
    def models(self) -> list[ModelVersion]:
        """Those that decided on something new in the window."""
        return sorted({model for (model, _, _), (_, now) in self.scores.items() if now.n})


def read_traffic(
    tx: Connection, *, policy: Policy, start: datetime, middle: datetime, end: datetime
) -> Traffic:
    """What was decided on new content in [start, middle) and in [middle, end)."""
    window = {"start": start, "middle": middle, "end": end}
    counted = tx.execute(text(_COUNT), window).one()
    parts = _parts(counted.before + counted.since, MOST_DECISIONS)
    rows = tx.execute(
        text(_TRAFFIC),
        window
        | {
            "parts": parts,
            "categories": list(policy.category_ids),
            "thresholds": [one.threshold for one in policy.category],
        },
    ).all()
    scores: dict[tuple[ModelVersion, str, Slice], list[_Sum]] = {}
    mix: dict[Slice, list[int]] = {}
    for row in rows:
        of = Slice(row.slice_name, row.slice_value)
        if row.bucket is None:
            mix.setdefault(of, [0, 0])[row.is_now] += row.items
            continue
        key = ModelVersion(row.model_version), row.category, of
        one = scores.setdefault(key, [_Sum(), _Sum()])[row.is_now]
        one.add(row.bucket, row.items, row.total, row.squares, row.flagged)
    return Traffic(
        {key: (then.whole(), now.whole()) for key, (then, now) in scores.items()},
        {of: (then, now) for of, (then, now) in mix.items()},
        (counted.before, counted.since),
        parts / _PARTS,
    )


def read_texts(
    tx: Connection, *, start: datetime, end: datetime, decisions: int, limit: int
) -> Sequence[str]:
    """Texts of at most `limit` items that were first decided on in [start, end), by a hash.

    `decisions`: how many lie there, about; more are not looked at than it takes.
    """
    given = {"start": start, "end": end, "limit": limit, "parts": _parts(decisions, 4 * limit)}
    return tx.execute(text(_TEXTS), given).scalars().all()


def _parts(there: int, wanted: int) -> int:
    return _PARTS if there <= wanted else max(1, -(-_PARTS * wanted // there))


class _Sum:
    """Buckets as they are read."""

    def __init__(self) -> None:
        self.counts: FloatArray = np.zeros(_BUCKETS + 2)
        self.total = self.squares = 0.0
        self.flagged = 0

    def add(self, bucket: int, items: int, total: float, squares: float, flagged: int) -> None:
        self.counts[bucket] += items
        self.total += total
        self.squares += squares
        self.flagged += flagged

    def whole(self) -> Scores:
        return Scores(self.counts, self.total, self.squares, self.flagged)
