"""Model versions in SQL: one row a training, one champion a policy, every change written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hitl.db.schema import (
    evaluations,
    model_versions,
    snapshots,
)
from hitl.db.versions import keep_policy, keep_recipe
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import ModelState, ModelVersion, PolicyId, SnapshotId
from hitl.registry.card import Figure
from hitl.registry.errors import UnknownSnapshot, VersionTaken


class Measure(Protocol):
    """A figure as the evaluation room gives it: a value with its interval, or a code."""

    @property
    def metric(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def slice_name(self) -> str: ...
    @property
    def slice_value(self) -> str: ...
    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def n(self) -> int: ...
    @property
    def n_positive(self) -> int: ...
    @property
    def code(self) -> str | None: ...
    @property
    def method(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One training: what went in, where its bundle lies, and where it is in its life.

    `digest` names the bundle's bytes; `metrics` is what training said of itself.
    """

    model_version: ModelVersion
    policy_name: str
    policy_id: PolicyId
    recipe_id: str
    snapshot_id: SnapshotId
    seed: int
    state: ModelState
    path: str
    digest: str
    metrics: Mapping[str, Any]
    data_note: str
    trained_at: datetime


def add_model_version(
    tx: Connection,
    *,
    model_version: ModelVersion,
    policy: Policy,
    recipe: Recipe,
    snapshot_id: SnapshotId,
    seed: int,
    path: str,
    digest: str,
    metrics: Mapping[str, Any],
    data_note: str = "",
    state: ModelState = ModelState.CHALLENGER,
) -> ModelRecord:
    """Write a training, once: the same (snapshot, recipe, seed) gives the row that stands.

    `data_note` is shown above all else on its card, such as that its data was made up.

    Raises:
        VersionTaken: the name stands for another training.
    """
    keep_policy(tx, policy)
    keep_recipe(tx, recipe)
    tx.execute(
        upsert(model_versions)
        .values(
            model_version=model_version,
            policy_name=policy.name,
            policy_id=policy.policy_id,
            recipe_id=recipe.recipe_id,
            snapshot_id=snapshot_id,
            seed=seed,
            state=state.value,
            path=path,
            digest=digest,
            metrics=dict(metrics),
            data_note=data_note,
        )
        .on_conflict_do_nothing()
    )
    row = tx.execute(
        select(model_versions).where(
            model_versions.c.snapshot_id == snapshot_id,
            model_versions.c.recipe_id == recipe.recipe_id,
            model_versions.c.seed == seed,
        )
    ).one_or_none()
    if row is None:
        raise VersionTaken(model_version)
    return _record(row)


def place(tx: Connection, model_version: ModelVersion, *, path: str) -> None:
    """Say where a version's bundle lies now: its folder was moved, or its bytes were made again."""
    here = (model_versions.c.model_version == model_version) & (model_versions.c.path != path)
    tx.execute(update(model_versions).where(here).values(path=path))


def find(tx: Connection, model_version: ModelVersion) -> ModelRecord | None:
    """A model version, or None."""
    wanted = select(model_versions).where(model_versions.c.model_version == model_version)
    row = tx.execute(wanted).one_or_none()
    return None if row is None else _record(row)


def list_versions(tx: Connection, policy_name: str) -> list[ModelRecord]:
    """Every model version of a policy, newest first."""
    rows = tx.execute(
        select(model_versions)
        .where(model_versions.c.policy_name == policy_name)
        .order_by(model_versions.c.trained_at.desc(), model_versions.c.model_version)
    )
    return [_record(row) for row in rows]


def champion(tx: Connection, policy_name: str) -> ModelRecord | None:
    """The model version that decides now, or None before the first promotion."""
    row = tx.execute(
        select(model_versions).where(
            model_versions.c.policy_name == policy_name,
            model_versions.c.state == ModelState.CHAMPION.value,
        )
    ).one_or_none()
    return None if row is None else _record(row)


def challenger(tx: Connection, policy_name: str) -> ModelRecord | None:
    """The newest challenger that was trained after the champion, or None."""
    now = champion(tx, policy_name)
    for record in list_versions(tx, policy_name):
        if now is not None and record.trained_at <= now.trained_at:
            return None
        if record.state is ModelState.CHALLENGER:
            return record
    return None


def save_evaluations(
    tx: Connection,
    measures: Iterable[Measure],
    *,
    model_version: ModelVersion,
    snapshot_id: SnapshotId,
) -> None:
    """Keep a model's figures on a snapshot. A figure that is there already stands."""
    rows = [
        {
            "model_version": model_version,
            "snapshot_id": snapshot_id,
            "metric": one.metric,
            "category": one.category,
            "slice_name": one.slice_name,
            "slice_value": one.slice_value,
            # plain numbers: the driver writes numpy's as SQL that Postgres cannot read
            "value": None if one.value is None else float(one.value),
            "low": None if one.low is None else float(one.low),
            "high": None if one.high is None else float(one.high),
            "n": int(one.n),
            "n_positive": int(one.n_positive),
            "code": one.code,
            "method": one.method,
        }
        for one in measures
    ]
    if rows:
        tx.execute(upsert(evaluations).on_conflict_do_nothing(), rows)


def evaluations_of(
    tx: Connection, model_version: ModelVersion, snapshot_id: SnapshotId
) -> list[Figure]:
    """A model's figures on a snapshot, in the order of their keys."""
    names = tuple(Figure.__dataclass_fields__)
    rows = tx.execute(
        select(*(evaluations.c[name] for name in names)).where(
            evaluations.c.model_version == model_version,
            evaluations.c.snapshot_id == snapshot_id,
        )
    )
    found = [Figure(*row) for row in rows]
    return sorted(found, key=lambda f: (f.slice_name, f.slice_value, f.metric, f.category))


def snapshot_path(tx: Connection, snapshot_id: SnapshotId) -> str:
    """Where a snapshot lies.

    Raises:
        UnknownSnapshot: there is no such snapshot.
    """
    wanted = select(snapshots.c.path).where(snapshots.c.snapshot_id == snapshot_id)
    path = tx.execute(wanted).scalar_one_or_none()
    if path is None:
        raise UnknownSnapshot(snapshot_id)
    return str(path)


def newest_snapshot_path(tx: Connection, policy_id: PolicyId) -> str | None:
    """Where the policy's snapshot with the newest labels lies, or None."""
    path = tx.execute(
        select(snapshots.c.path)
        .where(snapshots.c.policy_id == policy_id)
        .order_by(snapshots.c.last_label_id.desc(), snapshots.c.created_at.desc())
        .limit(1)
    ).scalar_one_or_none()
    return None if path is None else str(path)


def _record(row: Any) -> ModelRecord:
    values = {name: getattr(row, name) for name in ModelRecord.__dataclass_fields__}
    return ModelRecord(**values | {"state": ModelState(row.state)})
