"""Step 6: from a snapshot to a challenger, with its bundle on disk and its figures in Postgres."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from flows.deciding.bundles import BundleLost, load_registered
from flows.judging.examples import judge_alone
from flows.training.prior import learn_from_earlier
from hitl import datasets, evaluation, logs, registry, training
from hitl.db import begin, single_flight
from hitl.errors import NotYet, Refused
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import Example, ModelState, ModelVersion, SnapshotId, Split

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


class SnapshotOfAnotherPolicy(Refused):
    """What the snapshot's labels answer is not what the policy asks."""

    def __init__(self, snapshot_id: SnapshotId, frozen_under: str, policy_id: str) -> None:
        super().__init__(
            f"snapshot {snapshot_id} was frozen under policy {frozen_under}, and the policy is "
            f"now {policy_id}; run `hitl freeze` to have one of this policy"
        )
        self.snapshot_id = snapshot_id


class TrainingNotRepeated(Refused):
    """A lost bundle was to be made again, and came out with other bytes."""

    def __init__(self, record: registry.ModelRecord) -> None:
        super().__init__(
            f"model {record.model_version}: its bundle is lost, and the same training gives other "
            "bytes now, as with another version of Python or of a library. Put its folder back at "
            f"{record.path}, or train with another --seed"
        )
        self.model_version = record.model_version


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The model of this training. `is_new` is False when it had been trained before.

    `awaits_promotion` is False where the gate would not judge it: it is champion, was, or is older
    than the champion. `constant_categories` had one and the same answer on all training examples;
    `pooled_categories` too few of one kind to be calibrated alone.
    """

    model_version: ModelVersion
    snapshot_id: SnapshotId
    training_examples: int
    test_examples: int
    test_average_precision: float | None
    is_new: bool
    state: ModelState
    awaits_promotion: bool
    constant_categories: tuple[str, ...]
    pooled_categories: tuple[str, ...]


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
    data_note: str = "",
) -> TrainReport:
    """Train on the snapshot's training side and evaluate on its measuring side.

    Keyed by (snapshot, recipe, seed): asked again, it gives back what it made. The bundle of a
    known version is made again where it is lost, and the row follows it where it was moved.
    `data_note` is kept with a new version and shown above all else on its card.

    Raises:
        SnapshotOfAnotherPolicy: the snapshot's labels answer another version of the policy.
        TooFewLabels: the snapshot is smaller than the recipe's `training.min_labels`.
        TrainingNotRepeated: a lost bundle cannot be made again to the byte.
        AlreadyRunning: this policy is being trained now.
        DatabaseUnavailable: Postgres is away.
    """
    with single_flight(engine, f"train {policy.name}"):
        frozen = datasets.read_snapshot(snapshot)
        if frozen.manifest.policy_id != policy.policy_id:
            raise SnapshotOfAnotherPolicy(
                frozen.snapshot_id, frozen.manifest.policy_id, policy.policy_id
            )
        train = [one for one in frozen.examples if one.split is Split.TRAIN]
        test = [one for one in frozen.examples if one.split is Split.TEST]
        if len(train) < recipe.training.min_labels:
            raise TooFewLabels(frozen.snapshot_id, len(train), recipe.training.min_labels)

        version = version_of(policy, recipe, frozen.snapshot_id, seed)
        with begin(engine) as tx:
            known = registry.find(tx, version)
        folder = models.resolve() / version
        said = None if known is None else known.metrics.get("decisions_upto")
        upto = datetime.fromisoformat(said) if said else None
        standing = None if known is None else _standing(known, folder)
        if standing is not None:
            folder, model = standing
        else:
            made, upto = _fit(
                engine, train, known, policy=policy, recipe=recipe, seed=seed, upto=upto
            )
            # What else lies there is a crashed or damaged write: no row speaks of its bytes.
            model = training.load(made.save(folder, replace=True))
        measures = judge_alone(model, test, policy=policy, seed=seed) if test else []
        with begin(engine) as tx:
            record = registry.add_model_version(
                tx,
                model_version=version,
                policy=policy,
                recipe=recipe,
                snapshot_id=frozen.snapshot_id,
                seed=seed,
                path=str(folder),
                digest=model.digest,
                metrics=_said_of(model, train, test)
                | {"decisions_upto": upto and upto.isoformat()},
                data_note=data_note,
            )
            registry.place(tx, version, path=str(folder))
            registry.save_evaluations(
                tx, measures, model_version=version, snapshot_id=frozen.snapshot_id
            )
            waiting = registry.challenger(tx, policy.name)
    log.info("challenger_trained", model_version=version, examples=len(train))
    learned = model.about["metrics"]
    return TrainReport(
        model_version=version,
        snapshot_id=frozen.snapshot_id,
        training_examples=len(train),
        test_examples=len(test),
        test_average_precision=_macro(measures),
        is_new=known is None,
        state=record.state,
        awaits_promotion=waiting is not None and waiting.model_version == version,
        constant_categories=tuple(c for c in model.categories if learned[c]["constant"]),
        pooled_categories=tuple(
            c
            for c in model.categories
            if learned[c]["calibrated_by"] == training.CalibratedBy.POOLED
        ),
    )


def _standing(known: registry.ModelRecord, folder: Path) -> tuple[Path, training.Model] | None:
    """The bundle of a known version and where it lies: in today's state folder, or where it was."""
    for path in (folder, Path(known.path)):
        try:
            return path, load_registered(replace(known, path=str(path)))
        except BundleLost:
            continue
    return None


def _fit(
    engine: Engine,
    train: list[Example],
    known: registry.ModelRecord | None,
    *,
    policy: Policy,
    recipe: Recipe,
    seed: int,
    upto: datetime | None,
) -> tuple[training.Bundle, datetime | None]:
    """The bundle, and by when decisions of earlier models that it learned from had come, if any.

    A known version learns from what it learned from then: from what had come by `upto`.
    """
    how = training.TrainingRecipe(
        categories=policy.category_ids,
        folds=recipe.training.folds,
        threads=recipe.training.threads,
        embedding_dimensions=recipe.training.embedding_dimensions,
    )
    earlier = None
    if known is None or upto is not None:
        earlier = learn_from_earlier(
            engine, policy=policy, recipe=recipe, how=how, taken_in_by=upto
        )
    made = training.fit(train, how, seed=seed, prior=earlier.prior if earlier else None)
    if known is not None and made.digest != known.digest:
        raise TrainingNotRepeated(known)
    return made, earlier.taken_in_by if earlier else None


def _said_of(model: training.Model, train: list[Example], test: list[Example]) -> dict[str, Any]:
    """What is kept of a training beside its key."""
    prior = model.about["prior"]
    return {
        "examples": {"training": len(train), "test": len(test)},
        "earlier_decisions": prior["items"] if prior else 0,
        "categories": model.about["metrics"],
        "characters_read": model.about["features"]["max_characters"],
    }


def _macro(measures: list[evaluation.Measure]) -> float | None:
    for one in measures:
        if (one.metric, one.category, one.slice_name) == (
            "average_precision",
            evaluation.MACRO,
            "",
        ):
            return one.value
    return None
