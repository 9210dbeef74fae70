"""Priorities, deadlines and turns in SQL: one formula, for a new batch and for a moved score.

priority = severity x P(violation), of the worst category, x reach x worth. An entry's turn is its
deadline, brought forward by `ageing_minutes` for every doubling of its priority. Neither moves
while time passes, so that ageing rewrites no row (docs/adr).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from hitl.records import BatchId, ItemId

# What a recipe says of the queue; recipes stored before it said anything get the defaults.
_RULES = """
rules AS (
    SELECT b.batch_id,
           coalesce((r.body #>> '{queue,ageing_minutes}')::float8, 60) * interval '1 minute'
               AS ageing,
           coalesce((r.body #>> '{queue,sla_minutes}')::float8, 1440) * interval '1 minute' AS sla,
           coalesce(r.body #> '{queue,lanes}', '[]') AS lanes
    FROM batches b JOIN recipes r USING (recipe_id)
    WHERE b.batch_id IN (SELECT batch_id FROM asked)
)
"""

# Unknown is not harmless: without any probability one half of the gravest counts. Late decisions
# change nothing that a newer one has said; at one moment the model of the higher name is heard. A
# shadow model is not.
_SCORED = """
severities AS (
    SELECT p.policy_id, c.id AS category, c.severity
    FROM policies p, jsonb_to_recordset(p.body -> 'category') AS c (id text, severity float8)
    WHERE p.policy_id IN (SELECT policy_id FROM asked)
),
scored AS (
    SELECT a.entry_id, a.batch_id,
           a.worth * least(greatest(coalesce(r.views_per_hour, 1), 1), 1e6)
           * greatest(coalesce(said.worst, said.unknown), 1.0 / 1024) AS priority
    FROM asked a
    LEFT JOIN reaches r USING (item_id)
    LEFT JOIN LATERAL (
        SELECT probabilities FROM decisions d WHERE d.item_id = a.item_id AND NOT d.is_shadow
        ORDER BY d.decided_at DESC, d.model_version DESC LIMIT 1
    ) newest ON true
    CROSS JOIN LATERAL (
        SELECT max(s.severity * (newest.probabilities ->> s.category)::float8) AS worst,
               0.5 * max(s.severity) AS unknown
        FROM severities s WHERE s.policy_id = a.policy_id
    ) said
)
"""

_TURN = "{due} - ln(s.priority) / ln(2.0) * rules.ageing"

_PLACE_OTHERS = f"""
WITH asked AS (SELECT * FROM entries WHERE batch_id = :batch_id AND worth IS NOT NULL),
{_RULES}, {_SCORED},
due AS (
    SELECT entry_id, now() + coalesce(lane.sla_minutes * interval '1 minute', rules.sla) AS due_at
    FROM asked JOIN rules USING (batch_id)
    LEFT JOIN LATERAL jsonb_to_recordset(rules.lanes) AS lane (name text, sla_minutes float8)
      ON lane.name = asked.lane
)
UPDATE entries e
SET priority = s.priority, due_at = due.due_at, turn_at = {_TURN.format(due="due.due_at")}
FROM scored s JOIN rules USING (batch_id) JOIN due USING (entry_id)
WHERE e.entry_id = s.entry_id
"""  # noqa: S608

# An audit's turn is that of a neighbour, in the order drawn, whatever its own lane and score: who
# of them is answered first must not depend on what they are.
_PLACE_AUDITS = f"""
WITH asked AS (SELECT * FROM entries WHERE batch_id = :batch_id AND worth IS NULL),
{_RULES},
others AS (
    SELECT priority, turn_at, count(*) OVER () AS beside,
           row_number() OVER (ORDER BY turn_at, due_at, entry_id) - 1 AS place
    FROM entries WHERE batch_id = :batch_id AND worth IS NOT NULL
),
audits AS (
    SELECT a.entry_id, rules.sla,
           coalesce(lane.sla_minutes * interval '1 minute', rules.sla) AS own_sla,
           (row_number() OVER (ORDER BY p.rank) - 0.5) / count(*) OVER () AS drawn
    FROM asked a JOIN picks p USING (batch_id, item_id) JOIN rules USING (batch_id)
    LEFT JOIN LATERAL jsonb_to_recordset(rules.lanes) AS lane (name text, sla_minutes float8)
      ON lane.name = a.lane
)
UPDATE entries e
SET due_at = now() + a.own_sla,
    turn_at = coalesce(o.turn_at, now() + a.sla), priority = coalesce(o.priority, 1)
FROM audits a LEFT JOIN others o ON o.place = floor(a.drawn * o.beside)
WHERE e.entry_id = a.entry_id
"""  # noqa: S608

# In the order in which others lock them.
_RESCORE = f"""
WITH asked AS (
    SELECT * FROM entries
    WHERE entry_id IN (SELECT entry_id FROM open_items WHERE item_id = ANY(:item_ids))
      AND closed_at IS NULL AND worth IS NOT NULL
    ORDER BY entry_id FOR NO KEY UPDATE
),
{_RULES}, {_SCORED}
UPDATE entries e
SET priority = s.priority, turn_at = {_TURN.format(due="e.due_at")}
FROM scored s JOIN rules USING (batch_id)
WHERE e.entry_id = s.entry_id AND e.priority IS DISTINCT FROM s.priority
"""  # noqa: S608

_KEEP_REACH = """
INSERT INTO reaches (item_id, views_per_hour, measured_at)
SELECT DISTINCT ON (item_id) item_id, views, moment
FROM unnest(CAST(:item_ids AS text[]), CAST(:views AS float8[]), CAST(:moments AS timestamptz[]))
  AS said (item_id, views, moment)
ORDER BY item_id, moment DESC, views DESC
ON CONFLICT (item_id) DO UPDATE
SET views_per_hour = excluded.views_per_hour, measured_at = excluded.measured_at
WHERE (excluded.measured_at, excluded.views_per_hour)
    > (reaches.measured_at, reaches.views_per_hour)
"""


def place(tx: Connection, batch_id: BatchId) -> None:
    """Give a new batch's entries their priorities, deadlines and turns.

    Deadlines by the lanes of the batch's recipe, from now on. Audits stand evenly between the
    others in the order drawn, so that whoever works down has seen about the same part of both.
    """
    tx.execute(text(_PLACE_OTHERS), {"batch_id": batch_id})
    tx.execute(text(_PLACE_AUDITS), {"batch_id": batch_id})


def rescore(tx: Connection, item_ids: Sequence[ItemId]) -> int:
    """Rank what is open of these items by their newest decisions. How many entries moved.

    The newest by the moment it was made, however late it came in. Audits stay where they are.
    Safe to repeat.
    """
    if not item_ids:
        return 0
    return tx.execute(text(_RESCORE), {"item_ids": list(item_ids)}).rowcount


def keep_reach(tx: Connection, said: Sequence[Mapping[str, Any]]) -> None:
    """Store how many people see items: rows of `item_id`, `views_per_hour` and `measured_at`.

    The newest measurement stands, however late it came in. The items must exist.
    """
    if said:
        columns = zip(
            *[(one["item_id"], one["views_per_hour"], one["measured_at"]) for one in said],
            strict=True,
        )
        tx.execute(
            text(_KEEP_REACH),
            dict(zip(("item_ids", "views", "moments"), map(list, columns), strict=True)),
        )
