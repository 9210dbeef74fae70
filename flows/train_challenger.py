"""Step 6: from a snapshot to a challenger, with its bundle on disk and its figures in Postgres."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from hitl import datasets, evaluation, logs, registry, training
from hitl.db import begin, single_flight
from hitl.errors import NotYet
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import Example, ModelVersion, SnapshotId, Split

log = logs.get(__name__)


class TooFewLabels(NotYet):
    """The snapshot holds fewer training labels than the recipe asks for."""

    def __init__(self, snapshot_id: str, has: int, needs: int) -> None:
        super().__init__(
            f"snapshot {snapshot_id} has {has} training examples and the recipe asks for {needs}; "
            "label more, or lower training.min_labels"
        )
        self.has = has
        self.needs = needs


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The challenger that stands. `is_new` is False when this training had been done before."""

    model_version: ModelVersion
    snapshot_id: SnapshotId
    training_examples: int
    test_examples: int
    test_average_precision: float | None
    is_new: bool


def version_of(policy: Policy, recipe: Recipe, snapshot_id: SnapshotId, seed: int) -> ModelVersion:
    """The name of a training: the same snapshot, recipe and seed give the same name."""
    key = f"{snapshot_id}|{recipe.recipe_id}|{seed}"
    return ModelVersion(f"{policy.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}")


def train_challenger(
    engine: Engine,
    *,
    policy: Policy,
    recipe: Recipe,
    snapshot: Path,
    models: Path,
    seed: int,
) -> TrainReport:
    """Train on the snapshot's training side and evaluate on its measuring side.

    Keyed by (snapshot, recipe, seed): asked again, it gives back what it made. A bundle without
    its manifest is a crashed write and is made anew.

    Raises:
        TooFewLabels: the snapshot is smaller than the recipe's `training.min_labels`.
        AlreadyRunning: this policy is being trained now.
        DatabaseUnavailable: Postgres is away.
    """
    with single_flight(engine, f"train {policy.name}"):
        frozen = datasets.read_snapshot(snapshot)
        train = [one for one in frozen.examples if one.split is Split.TRAIN]
        test = [one for one in frozen.examples if one.split is Split.TEST]
        if len(train) < recipe.training.min_labels:
            raise TooFewLabels(frozen.snapshot_id, len(train), recipe.training.min_labels)

        version = version_of(policy, recipe, frozen.snapshot_id, seed)
        with begin(engine) as tx:
            known = registry.find(tx, version)
        folder = models / version
        if known is None:
            made = training.fit(
                train,
                training.TrainingRecipe(
                    categories=policy.category_ids,
                    folds=recipe.training.folds,
                    threads=recipe.training.threads,
                    embedding_dimensions=recipe.training.embedding_dimensions,
                ),
                seed=seed,
            )
            made.save(folder)
        model = training.load(folder)
        measures = judge_alone(model, test, policy=policy, seed=seed) if test else []
        with begin(engine) as tx:
            if known is None:
                registry.add_model_version(
                    tx,
                    model_version=version,
                    policy=policy,
                    recipe=recipe,
                    snapshot_id=frozen.snapshot_id,
                    seed=seed,
                    path=str(folder),
                    digest=model.digest,
                    metrics={
                        "examples": {"training": len(train), "test": len(test)},
                        "categories": model.about["metrics"],
                        "characters_read": model.about["features"]["max_characters"],
                    },
                )
            registry.save_evaluations(
                tx, measures, model_version=version, snapshot_id=frozen.snapshot_id
            )
    log.info("challenger_trained", model_version=version, examples=len(train))
    return TrainReport(
        model_version=version,
        snapshot_id=frozen.snapshot_id,
        training_examples=len(train),
        test_examples=len(test),
        test_average_precision=_macro(measures),
        is_new=known is None,
    )


def judge_alone(
    model: training.Model, test: list[Example], *, policy: Policy, seed: int
) -> list[evaluation.Measure]:
    """A model's figures on the measuring side, per category and slice, with intervals."""
    return evaluation.evaluate(
        model.predict([one.text for one in test]),
        truth_of(test, policy),
        policy.category_ids,
        thresholds=[one.threshold for one in policy.category],
        groups=[one.group_id for one in test],
        slices={
            "language": [one.language or "unknown" for one in test],
            "surface": [one.surface or "unknown" for one in test],
        },
        seed=seed,
    )


def truth_of(examples: list[Example], policy: Policy) -> NDArray[np.float64]:
    """Labels as an array (N, C), NaN where nobody answered."""
    return np.array(
        [[one.labels.get(c, np.nan) for c in policy.category_ids] for one in examples],
        dtype=np.float64,
    ).reshape(-1, len(policy.category))


def _macro(measures: list[evaluation.Measure]) -> float | None:
    for one in measures:
        if (one.metric, one.category, one.slice_name) == (
            "average_precision",
            evaluation.MACRO,
            "",
        ):
            return one.value
    return None
