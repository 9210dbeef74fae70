"""Steps 5 to 7 of the small world, and a model that is surely worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from flows.freeze_snapshot import freeze_snapshot
from flows.promote_champion import PromoteReport, gate, promote_champion
from flows.train_challenger import TrainReport, train_challenger
from hitl import registry
from hitl.db import begin
from hitl.policy import Policy
from hitl.records import ModelVersion
from hitl.training import Bundle
from hitl.training.bundle import read
from tests.flows.worlds import RECIPE

SEED = 5


def train(
    engine: Engine, policy: Policy, folder: Path, *, seed: int = SEED, **more: Any
) -> TrainReport:
    """Freeze what is labelled, and train on it."""
    frozen = freeze_snapshot(engine, policy=policy, recipe=RECIPE, folder=folder / "snapshots")
    return train_challenger(
        engine,
        policy=policy,
        recipe=RECIPE,
        snapshot=frozen.path,
        models=folder / "models",
        seed=seed,
        **more,
    )


def judge(engine: Engine, policy: Policy) -> PromoteReport:
    return gate(engine, policy=policy, recipe=RECIPE, seed=SEED)


def promote(engine: Engine, policy: Policy, folder: Path, **more: Any) -> PromoteReport:
    """As the gate says."""
    arguments = {"recipe": RECIPE, "approved_by": "ana", "seed": SEED} | more
    return promote_champion(engine, policy=policy, cards=folder / "cards", **arguments)


def crown(engine: Engine, policy: Policy, folder: Path) -> ModelVersion:
    """Whatever the gate says."""
    return promote(engine, policy, folder, force=True, note="a test").model_version


def record_of(engine: Engine, version: ModelVersion) -> registry.ModelRecord:
    with begin(engine) as tx:
        found = registry.find(tx, version)
    assert found is not None
    return found


def champion_of(engine: Engine, policy: Policy) -> str | None:
    with begin(engine) as tx:
        found = registry.champion(tx, policy.name)
    return found.model_version if found else None


def add_worse(engine: Engine, policy: Policy, *, like: ModelVersion) -> ModelVersion:
    """A challenger that says the opposite of `like`."""
    record = record_of(engine, like)
    good = read(Path(record.path))
    tensors = dict(good.tensors) | {
        name: -good.tensors[name] for name in ("weights", "intercepts", "offsets")
    }
    bad = Bundle(tensors, good.about)
    name = ModelVersion(f"{like}-worse")
    with begin(engine) as tx:
        registry.add_model_version(
            tx,
            model_version=name,
            policy=policy,
            recipe=RECIPE,
            snapshot_id=record.snapshot_id,
            seed=record.seed + 1000,
            path=str(bad.save(Path(record.path).with_name(name))),
            digest=bad.digest,
            metrics={},
        )
    return name


def count(engine: Engine, query: str) -> int:
    with begin(engine) as tx:
        return int(tx.execute(text(query)).scalar_one())


def change_of(engine: Engine, rule: str) -> float:
    """What the newest verdict found by one rule."""
    with begin(engine) as tx:
        reasons = tx.execute(
            text("SELECT reasons FROM verdicts ORDER BY verdict_id DESC LIMIT 1")
        ).scalar_one()
    (value,) = [one["value"] for one in reasons if one["rule"] == rule]
    return float(value)
