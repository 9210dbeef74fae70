"""From labels to a challenger: when it is time, on what, and the training itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.steps.progress import Progress, silent
from flows.wiring import World
from hitl.db import begin
from hitl.errors import NotYet
from hitl.records import SnapshotId

if TYPE_CHECKING:
    from flows.decide_retrain import RetrainReport
    from flows.freeze_snapshot import SnapshotReport
    from flows.train_challenger import TrainReport


class NoSnapshot(NotYet):
    """Nothing was frozen yet that could be trained on."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(f"no snapshot for policy {policy_name}; run `hitl freeze` first")
        self.policy_name = policy_name


def decide_retrain(world: World, *, progress: Progress = silent) -> RetrainReport:
    """Between collecting and freezing: whether it is time to train anew."""
    from flows import decide_retrain as step

    return step.decide_retrain(world.engine, policy=world.policy, recipe=world.recipe)


def freeze_snapshot(
    world: World, *, only_if_decided: bool = False, progress: Progress = silent
) -> SnapshotReport:
    """Step 5; `only_if_decided`: for a decision to train that waits to be carried out."""
    from flows import freeze_snapshot as step
    from flows.decide_retrain import NotDecided
    from hitl import registry

    if only_if_decided:
        with begin(world.engine) as tx:
            if registry.pending_retrain(tx, world.policy) is None:
                raise NotDecided(world.policy.name)
    return step.freeze_snapshot(
        world.engine, policy=world.policy, recipe=world.recipe, folder=world.snapshots
    )


def train_challenger(
    world: World,
    *,
    snapshot_id: str | None = None,
    seed: int | None = None,
    data_note: str = "",
    progress: Progress = silent,
) -> TrainReport:
    """Step 6, on the newest snapshot unless one is named."""
    from flows import train_challenger as step
    from hitl import registry

    with begin(world.engine) as tx:
        path = (
            registry.snapshot_path(tx, SnapshotId(snapshot_id))
            if snapshot_id
            else registry.newest_snapshot_path(tx, world.policy.policy_id)
        )
    if path is None:
        raise NoSnapshot(world.policy.name)
    return step.train_challenger(
        world.engine,
        policy=world.policy,
        recipe=world.recipe,
        snapshot=Path(path),
        models=world.models,
        seed=seed if seed is not None else world.recipe.training.seed,
        data_note=data_note,
    )
