"""Verdicts in SQL: written once, never changed; each in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.db.schema import verdicts
from hitl.db.versions import keep_recipe
from hitl.recipe import Recipe
from hitl.records import ModelVersion, SnapshotId
from hitl.registry.errors import VerdictStands
from hitl.registry.rules import Verdict


def save_verdict(
    tx: Connection,
    *,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    snapshot_id: SnapshotId,
    recipe: Recipe,
    decision: str,
    reasons: Sequence[Mapping[str, Any]],
) -> int:
    """Keep what the gate said and give its id; the same verdict again gives the same id.

    `reasons` as JSON can hold them: at least `outcome` and `words` of each.

    Raises:
        VerdictStands: by the same recipe the gate decided otherwise before.
    """
    keep_recipe(tx, recipe)
    tx.execute(
        upsert(verdicts)
        .values(
            challenger=challenger,
            champion=champion,
            snapshot_id=snapshot_id,
            recipe_id=recipe.recipe_id,
            decision=decision,
            reasons=[dict(one) for one in reasons],
        )
        .on_conflict_do_nothing()
    )
    row = tx.execute(
        select(verdicts).where(
            verdicts.c.challenger == challenger,
            verdicts.c.champion.is_not_distinct_from(champion),
            verdicts.c.snapshot_id == snapshot_id,
            verdicts.c.recipe_id == recipe.recipe_id,
        )
    ).one()
    if row.decision != decision:
        raise VerdictStands(challenger, row.verdict_id, was=row.decision, now=decision)
    return int(row.verdict_id)


def find_verdict(tx: Connection, verdict_id: int) -> Verdict | None:
    """A stored verdict, or None."""
    return _verdict(tx.execute(select(verdicts).where(verdicts.c.verdict_id == verdict_id)).first())


def newest_verdict(tx: Connection, challenger: ModelVersion) -> Verdict | None:
    """What the gate said last of a model version, or None."""
    newest = verdicts.c.verdict_id.desc()
    wanted = select(verdicts).where(verdicts.c.challenger == challenger).order_by(newest)
    return _verdict(tx.execute(wanted.limit(1)).first())


def _verdict(row: Any) -> Verdict | None:
    if row is None:
        return None
    return Verdict(row.verdict_id, row.challenger, row.champion, row.decision, tuple(row.reasons))
