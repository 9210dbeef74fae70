"""Verdicts in SQL: written once, never changed; each in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.db.schema import model_versions, promotions, verdicts
from hitl.db.versions import keep_recipe
from hitl.recipe import Recipe
from hitl.records import ModelVersion, SnapshotId
from hitl.registry.errors import VerdictStands
from hitl.registry.rules import PROMOTE, Verdict


def save_verdict(
    tx: Connection,
    *,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    snapshot_id: SnapshotId,
    recipe: Recipe,
    decision: str,
    reasons: Sequence[Mapping[str, Any]],
    evidence: str = "",
) -> int:
    """Keep what the gate said and give its id; the same verdict again gives the same id.

    `reasons` as JSON can hold them: at least `outcome` and `words` of each. `evidence` is a digest
    of what the verdict rests on beside the snapshot, "" where that is nothing.

    Raises:
        VerdictStands: by the same recipe, on the same evidence, the gate decided otherwise before.
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
            evidence=evidence,
        )
        .on_conflict_do_nothing()
    )
    row = tx.execute(
        select(verdicts).where(
            verdicts.c.challenger == challenger,
            verdicts.c.champion.is_not_distinct_from(champion),
            verdicts.c.snapshot_id == snapshot_id,
            verdicts.c.recipe_id == recipe.recipe_id,
            verdicts.c.evidence == evidence,
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


def judged_before(tx: Connection, challenger: ModelVersion, *, champion: ModelVersion) -> int:
    """How many other challengers were judged beside this champion before this one was."""
    first = (
        select(func.min(verdicts.c.verdict_id))
        .where(verdicts.c.challenger == challenger, verdicts.c.champion == champion)
        .scalar_subquery()
    )
    others = select(func.count(verdicts.c.challenger.distinct())).where(
        verdicts.c.champion == champion,
        verdicts.c.challenger != challenger,
        or_(first.is_(None), verdicts.c.verdict_id < first),
    )
    return int(tx.execute(others).scalar_one())


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict as a lead reads it, with who acted on it: None and "" where nobody has yet.

    `is_forced`: the gate had not said promote, and somebody took it on themselves.
    """

    verdict: Verdict
    judged_at: datetime
    promoted_at: datetime | None
    approved_by: str | None
    note: str

    @property
    def is_forced(self) -> bool:
        return self.promoted_at is not None and self.verdict.decision != PROMOTE


def list_judgements(
    tx: Connection, policy_name: str, *, challenger: ModelVersion | None = None, limit: int
) -> list[Judgement]:
    """The newest verdicts of a policy, or of one model version, newest first."""
    acted = promotions.alias()
    wanted = (
        select(verdicts, acted.c.promoted_at, acted.c.approved_by, acted.c.note)
        .join(model_versions, model_versions.c.model_version == verdicts.c.challenger)
        .outerjoin(acted, acted.c.verdict_id == verdicts.c.verdict_id)
        .where(model_versions.c.policy_name == policy_name)
        .order_by(verdicts.c.verdict_id.desc())
        .limit(limit)
    )
    if challenger is not None:
        wanted = wanted.where(verdicts.c.challenger == challenger)
    return [
        Judgement(_of(row), row.judged_at, row.promoted_at, row.approved_by, row.note or "")
        for row in tx.execute(wanted)
    ]


def _verdict(row: Any) -> Verdict | None:
    return None if row is None else _of(row)


def _of(row: Any) -> Verdict:
    return Verdict(row.verdict_id, row.challenger, row.champion, row.decision, tuple(row.reasons))
