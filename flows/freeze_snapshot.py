"""Step 5: from labels to a snapshot, whose name is the hash of what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from flows.offer_labels import proposed_examples
from flows.selecting.standing_for import clusters_to_part
from hitl import datasets, logs
from hitl.db import begin, keep_policy, single_flight
from hitl.errors import NotYet
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import SnapshotId, Split

log = logs.get(__name__)


class NothingToFreeze(NotYet):
    """No item under this policy has both content and a label."""

    def __init__(self, policy_id: str) -> None:
        super().__init__(
            f"policy {policy_id} has no labelled items yet; label some in Label Studio, "
            "then run `hitl collect`"
        )
        self.policy_id = policy_id


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """The snapshot that stands. `is_new` is False when these labels were frozen before.

    `left_out` labelled items may neither train nor measure (`hitl/datasets/leaks.py`).
    """

    snapshot_id: SnapshotId
    path: Path
    training_examples: int
    test_examples: int
    labels: int
    left_out: int
    last_label_id: int
    is_new: bool

    @property
    def examples(self) -> int:
        return self.training_examples + self.test_examples


def freeze_snapshot(
    engine: Engine, *, policy: Policy, recipe: Recipe, folder: Path
) -> SnapshotReport:
    """Freeze the policy's labels as they are now into `folder`, and record the snapshot.

    The same labels give the same snapshot, file and row. Killed half-way, it leaves a folder
    without a manifest, or one without a row; the next run mends either.

    Raises:
        NothingToFreeze: nothing is labelled yet.
        SnapshotDamaged: this snapshot was frozen before, and its files have changed since.
        AlreadyRunning: another freeze of this policy runs now.
        DatabaseUnavailable: Postgres is away.
    """
    fraction = recipe.selection.measuring_fraction
    with single_flight(engine, f"freeze {policy.name}"):
        with begin(engine) as tx:
            keep_policy(tx, policy)
            upto = datasets.last_label_id(tx, policy.policy_id)
            labelled = datasets.read_examples(
                tx, policy.policy_id, measuring_fraction=fraction, upto_label_id=upto
            )
            labelled += proposed_examples(tx, policy.policy_id, recipe, upto=upto)
            near = clusters_to_part(tx, labelled, recipe)
        rows = datasets.on_one_side(labelled, near)
        if not rows:
            raise NothingToFreeze(policy.policy_id)
        frozen = datasets.write_snapshot(
            folder.resolve(),
            rows,
            policy_id=policy.policy_id,
            categories=policy.category_ids,
            measuring_fraction=fraction,
            salt=datasets.SALT,
        )
        manifest = frozen.manifest
        # Files before the row: a row never names a snapshot that was not wholly written.
        with begin(engine) as tx:
            is_new = datasets.record_snapshot(
                tx,
                snapshot_id=manifest.snapshot_id,
                policy_id=policy.policy_id,
                path=str(frozen.folder),
                examples=manifest.examples,
                labels=manifest.labels,
                last_label_id=upto,
            )
    log.info("snapshot_frozen", snapshot_id=manifest.snapshot_id, examples=len(rows), new=is_new)
    return SnapshotReport(
        snapshot_id=manifest.snapshot_id,
        path=frozen.folder,
        training_examples=manifest.counts[Split.TRAIN].examples,
        test_examples=manifest.counts[Split.TEST].examples,
        labels=manifest.labels,
        left_out=len(labelled) - len(rows),
        last_label_id=upto,
        is_new=is_new,
    )
