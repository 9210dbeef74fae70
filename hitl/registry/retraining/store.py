"""Decisions to train anew in SQL: written once, with their reasons, and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from hitl.db.schema import model_versions, policies, retrain_decisions, snapshots
from hitl.db.versions import keep_policy, keep_recipe
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import ModelVersion, PolicyId, SnapshotId


@dataclass(frozen=True, slots=True)
class RetrainRecord:
    """Whether to train anew, as it was decided. `reasons` as JSON holds them."""

    decision_id: int
    policy_id: PolicyId
    model_version: ModelVersion | None
    retrain: bool
    reasons: Sequence[Mapping[str, Any]]
    last_label_id: int
    new_labels: int
    evidence: str
    decided_at: datetime


def save_retrain_decision(
    tx: Connection,
    *,
    policy: Policy,
    recipe: Recipe,
    model_version: ModelVersion | None,
    retrain: bool,
    reasons: Sequence[Mapping[str, Any]],
    last_label_id: int,
    new_labels: int,
    evidence: str,
) -> RetrainRecord:
    """Write a decision down. `evidence`: a digest of all that it rests on."""
    keep_policy(tx, policy)
    keep_recipe(tx, recipe)
    made = (
        insert(retrain_decisions)
        .values(
            policy_id=policy.policy_id,
            recipe_id=recipe.recipe_id,
            model_version=model_version,
            retrain=retrain,
            reasons=[dict(one) for one in reasons],
            last_label_id=last_label_id,
            new_labels=new_labels,
            evidence=evidence,
        )
        .returning(*_columns())
    )
    return RetrainRecord(*tx.execute(made).one())


def newest_retrain_decision(
    tx: Connection, policy: Policy, *, to_train: bool = False
) -> RetrainRecord | None:
    """The last decision for this policy, whatever its version; with `to_train` the last yes."""
    wanted = (
        select(*_columns())
        .join(policies, policies.c.policy_id == retrain_decisions.c.policy_id)
        .where(policies.c.name == policy.name)
    )
    if to_train:
        wanted = wanted.where(retrain_decisions.c.retrain)
    newest = wanted.order_by(retrain_decisions.c.decision_id.desc()).limit(1)
    row = tx.execute(newest).one_or_none()
    return None if row is None else RetrainRecord(*row)


def pending_retrain(tx: Connection, policy: Policy) -> RetrainRecord | None:
    """The decision to train this version of the policy that no training has followed yet."""
    decided = newest_retrain_decision(tx, policy, to_train=True)
    if decided is None or decided.policy_id != policy.policy_id:
        return None
    followed = select(model_versions.c.model_version).where(
        model_versions.c.policy_name == policy.name,
        model_versions.c.trained_at > decided.decided_at,
    )
    return decided if tx.execute(followed.limit(1)).one_or_none() is None else None


def last_label_of(tx: Connection, snapshot_id: SnapshotId) -> int:
    """The newest label that a snapshot holds."""
    wanted = select(snapshots.c.last_label_id).where(snapshots.c.snapshot_id == snapshot_id)
    return int(tx.execute(wanted).scalar_one())


def _columns() -> list[Any]:
    return [retrain_decisions.c[name] for name in RetrainRecord.__dataclass_fields__]
