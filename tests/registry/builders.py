"""Trained model versions with dull fields."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from hitl.datasets import record_snapshot
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import ModelState, ModelVersion, SnapshotId
from hitl.registry import Figure, ModelRecord, add_model_version, champion, promote, save_verdict
from tests.builders import make_policy


def add_snapshot(tx: Connection, policy: Policy, name: str = "s1", last_label_id: int = 1) -> None:
    record_snapshot(
        tx,
        snapshot_id=SnapshotId(name),
        policy_id=policy.policy_id,
        path=f"/snapshots/{name}",
        examples=100,
        labels=200,
        last_label_id=last_label_id,
    )


def add_model(
    tx: Connection,
    name: str,
    *,
    policy: Policy | None = None,
    snapshot: str = "s1",
    seed: int | None = None,
    state: ModelState = ModelState.CHALLENGER,
    **more: Any,
) -> ModelRecord:
    """A model version; the seed follows from its name unless given."""
    policy = policy or make_policy()
    return add_model_version(
        tx,
        model_version=ModelVersion(name),
        policy=policy,
        recipe=Recipe(),
        snapshot_id=SnapshotId(snapshot),
        seed=sum(name.encode()) if seed is None else seed,
        path=f"/models/{name}",
        digest="0" * 64,
        state=state,
        **{"metrics": {}} | more,
    )


def judge(
    tx: Connection,
    name: str,
    decision: str = "promote",
    *,
    beside: str | None = "",
    recipe: Recipe | None = None,
) -> int:
    """A verdict beside today's champion, or beside another one."""
    now = champion(tx, "community")
    judged_beside = (now.model_version if now else None) if beside == "" else beside
    return save_verdict(
        tx,
        challenger=ModelVersion(name),
        champion=None if judged_beside is None else ModelVersion(judged_beside),
        snapshot_id=SnapshotId("s1"),
        recipe=recipe or Recipe(),
        decision=decision,
        reasons=[{"rule": "macro", "outcome": "passed", "words": "average precision is higher"}],
    )


def promoted(tx: Connection, name: str, **more: Any) -> None:
    """Train, judge and promote one."""
    add_model(tx, name, **more)
    promote(tx, challenger=ModelVersion(name), verdict_id=judge(tx, name), approved_by="ana")


def make_figure(**changed: object) -> Figure:
    fields: dict[str, object] = {
        "metric": "average_precision",
        "category": "hate",
        "slice_name": "",
        "slice_value": "",
        "value": 0.8123,
        "low": 0.75,
        "high": 0.86,
        "n": 200,
        "n_positive": 30,
        "code": None,
        "method": "bootstrap",
    }
    return Figure(**(fields | changed))  # type: ignore[arg-type]
