"""What the samplers see of the database: candidates, what is labelled, embeddings as they are asked
for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from hitl import datasets, selection
from hitl.db import begin
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import ItemId, Split
from hitl.selection import Candidates
from sampling import Labelled, Pool, uncertain_order

_LABELLED_AT_MOST = 5000  # to embed them anew for every batch costs some seconds


class Embedder(Protocol):
    """What gives the diversity embedding; the champion model."""

    def embed(self, texts: list[str]) -> NDArray[np.float32]: ...


def pool_of(
    candidates: Candidates,
    policy: Policy,
    embeddings: Embeddings | None = None,
    known: Asked | None = None,
) -> Pool:
    """The candidates as strategies see them: of the categories, those that some model knows."""
    columns = selection.known_columns(candidates.probabilities)
    thresholds = np.array([one.threshold for one in policy.category])[columns]
    labelled = None
    if known is not None and len(columns):
        labelled = Labelled(known.embeddings, known.labels[:, columns])
    return Pool(
        candidates.item_ids.tolist(),
        selection.fill_unknown(candidates.probabilities),
        embeddings=embeddings,
        groups=candidates.group_ids.tolist(),
        labelled=labelled,
        thresholds=thresholds if len(columns) else None,
        seconds=selection.reading_seconds(candidates.characters),
    )


def columns_of(candidates: Candidates, policy: Policy) -> dict[str, int]:
    """Of each category that some model knows, its column in `pool_of`."""
    kept = selection.known_columns(candidates.probabilities)
    return {policy.category[one].id: place for place, one in enumerate(kept.tolist())}


def shortlist_of(training: Candidates, limit: int, *, policy: Policy, seed: int) -> Candidates:
    """At most `limit` rows, categories taking turns at their most uncertain, equals by `seed`.

    Some strategies look at the embedding of everything that they are given; the embedding of
    millions of texts is what a single selection cannot afford.
    """
    if len(training) <= limit:
        return training
    tie = np.random.default_rng(seed).permutation(len(training))
    return training.where(np.sort(uncertain_order(pool_of(training, policy), limit=limit, tie=tie)))


@dataclass(frozen=True, slots=True)
class Asked:
    """What was learned from already, (M, D) and (M, C) in the policy's order; NaN: nobody said."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.float64]


def asked_so_far(
    engine: Engine, model: Embedder, *, policy: Policy, recipe: Recipe, seed: int
) -> Asked:
    """A part of the labelled training items, drawn by `seed`: new picks keep away from them."""
    with begin(engine) as tx:
        sourced = datasets.read_examples(
            tx, policy.policy_id, measuring_fraction=recipe.selection.measuring_fraction
        )
    examples = [one.example for one in sourced if one.example.split is Split.TRAIN]
    if len(examples) > _LABELLED_AT_MOST:
        drawn = np.random.default_rng(seed).choice(len(examples), _LABELLED_AT_MOST, replace=False)
        examples = [examples[row] for row in np.sort(drawn)]
    labels = [[one.labels.get(each.id, np.nan) for each in policy.category] for one in examples]
    return Asked(
        model.embed([one.text for one in examples]),
        np.array(labels, dtype=np.float64).reshape(len(examples), len(policy.category)),
    )


class Embeddings:
    """The champion's embedding of some candidates, computed for the rows that are looked at."""

    def __init__(self, engine: Engine, item_ids: list[ItemId], model: Embedder) -> None:
        self._engine = engine
        self._item_ids = item_ids
        self._model = model
        self._known: dict[int, NDArray[np.float32]] = {}
        self.shape = (len(item_ids), model.embed([]).shape[1])

    def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        wanted = [row for row in dict.fromkeys(rows.tolist()) if row not in self._known]
        if wanted:
            with begin(self._engine) as tx:
                texts = selection.texts_of(tx, [self._item_ids[row] for row in wanted])
            self._known |= zip(wanted, self._model.embed(texts), strict=True)
        empty = np.zeros((0, self.shape[1]), dtype=np.float32)
        return np.vstack([empty, *(self._known[row] for row in rows.tolist())])
