"""Learners, committees and pools to try the bridge to modAL with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from sampling import Pool
from sampling import modal_bridge as bridge
from sampling.pool import Labelled

RNG = np.random.default_rng(0)
Floats = NDArray[np.float64]
DISAGREEMENTS = ["vote_entropy", "consensus_entropy", "max_disagreement"]
WITH_EMBEDDINGS = ["information_density", "ranked_batch"]


def make_pool(items: int = 30, *, exclusive: bool = True, labelled: int = 0) -> Pool:
    """Ids not in the order of rows; embeddings, three passes, and `labelled` rows if any."""
    rng = np.random.default_rng(1)
    ids = [f"i{number:02d}" for number in rng.permutation(items)]
    passes = rng.dirichlet(np.ones(4), size=(3, items))
    return Pool(
        ids,
        passes.mean(axis=0),
        rng.standard_normal((items, 6)),
        exclusive=exclusive,
        passes=passes,
        labelled=Labelled(rng.standard_normal((labelled, 6)), np.eye(4)[np.arange(labelled) % 4])
        if labelled
        else None,
    )


def three_clouds(items: int = 240) -> tuple[Floats, NDArray[np.intp]]:
    """Features of shape (N, 4) and which of three categories each is; they overlap a little."""
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, items)
    centres = np.array([[0.0, 0, 0, 0], [3, 0, 0, 0], [0, 3, 0, 0]])
    return centres[truth] + rng.standard_normal((items, 4)), truth


def new_learner(query: Any, features: Any, truth: Any, estimator: Any = None) -> Any:
    return bridge.active_learner(
        estimator or LogisticRegression(),
        query_strategy=query,
        X_training=features,
        y_training=truth,
    )


def new_committee(query: Any, features: Any, truth: Any) -> Any:
    members = [
        bridge.active_learner(estimator, X_training=features, y_training=truth)
        for estimator in (
            LogisticRegression(),
            GaussianNB(),
            DecisionTreeClassifier(random_state=0),
        )
    ]
    return bridge.committee(members, query_strategy=query)


class Watch:
    """A strategy that takes the first rows and remembers the pools it was shown."""

    def __init__(self) -> None:
        self.pools: list[Pool] = []

    def __call__(self, pool: Pool, *, limit: int, rng: np.random.Generator) -> NDArray[np.intp]:
        self.pools.append(pool)
        return np.arange(limit)
