"""What models before ours decided, as something to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine

from hitl import datasets, decisions, registry, training
from hitl.db import begin
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import Split


@dataclass(frozen=True, slots=True)
class Earlier:
    """A prior, and the moment by which what it was learned from had been taken in."""

    prior: training.Prior
    taken_in_by: datetime


def learn_from_earlier(
    engine: Engine,
    *,
    policy: Policy,
    recipe: Recipe,
    how: training.TrainingRecipe,
    taken_in_by: datetime | None = None,
) -> Earlier | None:
    """Learn from decisions of models that are not ours, on the training side; None without any.

    Ours are left out: a model that learns from its own decisions only grows surer of them. The
    same bound gives the same prior, while the items' content stands.
    """
    wanted = recipe.training.prior_items
    if not wanted:
        return None
    fraction = recipe.selection.measuring_fraction
    with begin(engine) as tx:
        upto = decisions.settled_moment(tx) if taken_in_by is None else taken_in_by
        found = decisions.read_decided(
            tx,
            other_than=[one.model_version for one in registry.list_versions(tx, policy.name)],
            taken_in_by=upto,
            limit=round(wanted / (1.0 - fraction)),
            max_characters=how.features.max_characters,
        )
    sides = datasets.sides((one.group_id for one in found), measuring_fraction=fraction)
    kept = [one for one, side in zip(found, sides, strict=True) if side is Split.TRAIN][:wanted]
    said = np.array(
        [[one.probabilities.get(c, np.nan) for c in how.categories] for one in kept],
        dtype=np.float64,
    ).reshape(-1, len(how.categories))
    if np.isnan(said).all():
        return None
    return Earlier(training.learn_prior([one.text for one in kept], said, how), upto)
