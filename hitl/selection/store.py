"""The ledger of batches and picks in SQL, and the query that finds candidates."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from sqlalchemy import Connection, bindparam, func, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT

from hitl.db.copying import copy_out
from hitl.db.schema import batches, entries, items, picks
from hitl.db.versions import keep_policy, keep_recipe
from hitl.errors import Refused
from hitl.policy import Policy
from hitl.recipe import ELUSION_APART, Recipe
from hitl.records import BatchId, ItemId, ModelVersion, Pick
from hitl.selection.candidates import Candidates


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the ledger has it: how many picks each share got, out of pools of which size, and
    how many drawn items stood aside for a near copy."""

    batch_id: BatchId
    picks_by_share: dict[str, int]
    size_wanted: int
    training_pool: int
    measuring_pool: int
    stood_aside: int


class BatchExists(Refused):
    """The batch id stands for another selection already."""

    def __init__(self, batch_id: str, differs: str) -> None:
        super().__init__(
            f"batch {batch_id} exists with another {differs}; choose another batch id, "
            "or repeat the one that made it"
        )
        self.batch_id = batch_id


# An item is a candidate while it has content and no entry that is open anywhere, or done or dead
# (a dead one waits for a person) under a version of the policy that asks one question alike.
# A withdrawn one may be asked about again. What stood aside for such an entry is as it is. What a
# look at a backlog asks on the measuring side takes nothing: no audit's pool may depend on it.
# One look at the decisions' key an item and month, so that it costs what the candidates cost and
# never what all decisions do (tests/selection/test_candidates_plan.py).
_CANDIDATES = """
    SELECT i.item_id, coalesce(i.group_id, i.content_hash) AS group_id,
           length(i.text) AS characters, {slice} AS slice, d.by_preferred, {columns}
    FROM items i
    LEFT JOIN LATERAL (
        SELECT d.probabilities, {by_preferred} AS by_preferred
        FROM decisions d WHERE d.item_id = i.item_id AND NOT d.is_shadow
        ORDER BY {preferred_first} d.decided_at DESC, d.model_version DESC LIMIT 1
    ) d ON true
    WHERE i.text IS NOT NULL {is_recent}
      AND NOT EXISTS (
        SELECT 1 FROM entries e
        JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
        WHERE e.item_id = i.item_id AND p.share <> %(apart)s AND {is_taken})
      AND NOT EXISTS (
        SELECT 1 FROM stood_aside a
        JOIN entries e ON e.batch_id = a.batch_id AND e.item_id = a.for_item_id
        WHERE a.item_id = i.item_id AND {is_taken})
    ORDER BY i.item_id
"""
_IS_TAKEN = """e.state <> 'withdrawn'
          AND (e.state IN ('waiting', 'dispatched', 'adjudicating')
               OR e.policy_id = ANY(ARRAY(SELECT related_id FROM related_policies
                                          WHERE policy_id = %(policy_id)s)))"""


_SLICES = {"": "''", "language": "coalesce(i.language, '')", "surface": "coalesce(i.surface, '')"}


def candidates_query(
    policy: Policy,
    preferred: ModelVersion | None,
    since: datetime | None = None,
    by: str = "",
) -> tuple[str, dict[str, str | datetime | None]]:
    """The query for every candidate, and its values by the driver's names."""
    columns = ", ".join(
        f"(d.probabilities ->> %(category_{k})s)::float8 AS p_{k}"
        for k in range(len(policy.category))
    )
    query = _CANDIDATES.format(
        columns=columns,
        slice=_SLICES[by],
        is_taken=_IS_TAKEN,
        is_recent="AND i.content_at > %(since)s" if since else "",
        by_preferred="(d.model_version = %(preferred)s)::int" if preferred else "0",
        preferred_first="(d.model_version = %(preferred)s) DESC," if preferred else "",
    )
    names = {f"category_{k}": one.id for k, one in enumerate(policy.category)}
    given = {"preferred": preferred, "policy_id": policy.policy_id, "since": since}
    return query, given | {"apart": ELUSION_APART} | names


def read_candidates(
    tx: Connection,
    *,
    policy: Policy,
    preferred: ModelVersion | None,
    within: timedelta | None = None,
    by: str = "",
) -> Candidates:
    """Every candidate, ordered by item id. The policy must have been kept.

    `preferred` is the model version whose decisions count first; an item that it has not seen is
    taken with its newest decision by any model. With `within`, what came so long ago is none.
    `by` is the column of their slices, "language" or "surface".
    """
    read_at = tx.execute(select(func.clock_timestamp())).scalar_one()
    query, values = candidates_query(policy, preferred, read_at - within if within else None, by)
    with tempfile.TemporaryFile() as file:
        copy_out(tx, query, values, file)
        file.seek(0)
        found = _read(file, scores=len(policy.category))
    scores = [found[f"p_{k}"].to_numpy() for k in range(len(policy.category))]
    probabilities = np.column_stack(scores) if scores else np.empty((len(found), 0))
    low = np.array([one.review_from for one in policy.category])
    high = np.array([one.block_from for one in policy.category])
    # A comparison with NaN is false: an unknown category puts nothing into a band.
    inside = np.any((probabilities >= low) & (probabilities <= high), axis=1)
    return Candidates(
        item_ids=found["item_id"].to_numpy(),
        group_ids=found["group_id"].to_numpy(),
        probabilities=probabilities,
        in_band=np.logical_or(inside, np.isnan(probabilities).all(axis=1)),
        by_preferred=found["by_preferred"].to_numpy() > 0,
        characters=found["characters"].to_numpy(),
        slices=found["slice"].to_numpy(),
        read_at=read_at,
    )


def _read(file: IO[bytes], *, scores: int) -> pa.Table:
    """Columns of the candidates' CSV; a number that is not there is NaN."""
    kinds = {"item_id": pa.string(), "group_id": pa.string(), "characters": pa.int64()}
    kinds |= {"slice": pa.string(), "by_preferred": pa.float64()}
    kinds |= {f"p_{k}": pa.float64() for k in range(scores)}
    return pacsv.read_csv(
        file,
        pacsv.ReadOptions(use_threads=False),
        pacsv.ParseOptions(newlines_in_values=True),
        pacsv.ConvertOptions(column_types=kinds, strings_can_be_null=False),
    )


def texts_of(tx: Connection, item_ids: Sequence[ItemId]) -> list[str]:
    """The content of items, in the order asked."""
    wanted = bindparam("wanted", list(item_ids), type_=ARRAY(TEXT))
    rows = tx.execute(select(items.c.item_id, items.c.text).where(items.c.item_id == wanted.any_()))
    found: dict[str, str] = {row.item_id: row.text for row in rows}
    return [found[one] for one in item_ids]


def record_batch(
    tx: Connection,
    *,
    batch_id: BatchId,
    policy: Policy,
    recipe: Recipe,
    model_version: ModelVersion | None,
    seed: int,
    plan: Mapping[str, Any],
    size_wanted: int,
    read_at: datetime,
    chosen: Sequence[Pick],
    aside: Mapping[ItemId, ItemId],
    training_pool_size: int,
    measuring_pool_size: int,
) -> None:
    """Write the batch, its picks and one waiting entry a pick, all or nothing.

    `aside`: drawn items that are not asked, each with the pick that is asked for it.

    Their turns are the queue's to give (`queue.place`).
    """
    keep_policy(tx, policy)
    keep_recipe(tx, recipe)
    tx.execute(
        insert(batches).values(
            batch_id=batch_id,
            policy_id=policy.policy_id,
            recipe_id=recipe.recipe_id,
            model_version=model_version,
            seed=seed,
            plan=dict(plan),
            size_wanted=size_wanted,
            read_at=read_at,
            training_pool_size=training_pool_size,
            measuring_pool_size=measuring_pool_size,
        )
    )
    if not chosen:
        return
    tx.execute(
        insert(picks),
        [
            {
                "batch_id": batch_id,
                "item_id": pick.item_id,
                "share": pick.share,
                "strategy": pick.strategy,
                "rank": pick.rank,
                "inclusion_probability": pick.inclusion_probability,
                "stands_for": pick.stands_for,
            }
            for pick in chosen
        ],
    )
    tx.execute(
        text(
            "INSERT INTO stood_aside (batch_id, item_id, for_item_id)"
            " SELECT :batch_id, * FROM unnest(CAST(:aside AS text[]), CAST(:asked AS text[]))"
        ),
        {"batch_id": batch_id, "aside": list(aside), "asked": list(aside.values())},
    )
    tx.execute(
        insert(entries),
        [
            {
                "batch_id": batch_id,
                "item_id": pick.item_id,
                "policy_id": policy.policy_id,
                "lane": pick.lane,
                "tier": pick.tier,
                "worth": pick.worth,
                "votes_wanted": policy.votes_wanted,
            }
            for pick in chosen
        ],
    )


def find_batch(
    tx: Connection,
    batch_id: BatchId,
    *,
    policy: Policy,
    recipe: Recipe,
    seed: int,
    size_wanted: int,
) -> Batch | None:
    """A batch that exists, or None.

    Raises:
        BatchExists: it was made under another policy, recipe, seed or size.
    """
    row = tx.execute(select(batches).where(batches.c.batch_id == batch_id)).one_or_none()
    if row is None:
        return None
    wanted = {
        "policy_id": policy.policy_id,
        "recipe_id": recipe.recipe_id,
        "seed": seed,
        "size_wanted": size_wanted,
    }
    for column, value in wanted.items():
        if getattr(row, column) != value:
            raise BatchExists(batch_id, column.removesuffix("_id").removesuffix("_wanted"))
    counted = tx.execute(
        text("SELECT share, count(*) FROM picks WHERE batch_id = :b GROUP BY share ORDER BY 1"),
        {"b": batch_id},
    )
    aside = text("SELECT count(*) FROM stood_aside WHERE batch_id = :b")
    return Batch(
        batch_id=batch_id,
        picks_by_share={share: count for share, count in counted},
        size_wanted=row.size_wanted,
        training_pool=row.training_pool_size,
        measuring_pool=row.measuring_pool_size,
        stood_aside=tx.execute(aside, {"b": batch_id}).scalar_one(),
    )
