"""The same choice by other libraries, each called the way its documentation says.

They are listed in benchmarks/peers.txt and installed by `make bench`. All of them take exclusive
categories alone, so every comparison is over those.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.sampler_cells import Contender
from benchmarks.sampler_pools import MadePool

ANCHORS = 1
"""Labelled rows that k-center keeps away from: the last of the pool. Peers need at least one."""


class NoPeer(Exception):
    """A library to compare with is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed; `make bench` installs it")


def required(module: str, package: str) -> Any:
    """The module.

    Raises:
        NoPeer: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as cause:
        raise NoPeer(package) from cause


def named(package: str) -> str:
    """The package with its version, for a table."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError as cause:
        raise NoPeer(package) from cause


class GivenProbabilities:
    """A fitted classifier that answers with what the pool says already."""

    def __init__(self, probabilities: NDArray[np.float32]) -> None:
        self._probabilities = probabilities
        self.classes_ = np.arange(probabilities.shape[1])

    def fit(self, X: Any, y: Any) -> GivenProbabilities:
        return self

    def predict(self, X: Any) -> NDArray[np.intp]:
        return self._probabilities.argmax(axis=1)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        return self._probabilities


def modal(measure: str, *, kind: type = np.float32) -> Contender:
    """`measure`: margin, entropy or uncertainty. `kind`: of the probabilities that it is given."""
    query = getattr(required("modAL.uncertainty", "modAL-python"), f"{measure}_sampling")

    def build(made: MadePool) -> GivenProbabilities:
        return GivenProbabilities(made.exclusive.astype(kind, copy=False))

    def choose(given: GivenProbabilities, picks: int) -> Any:
        chosen = query(given, given.predict_proba(None), n_instances=picks)
        return chosen[0] if isinstance(chosen, tuple) else chosen

    name = f"{named('modAL-python')} {measure}"
    return Contender(name + (", float64" if kind is np.float64 else ""), build, choose)


def activeml_core_set() -> Contender:
    pool = required("skactiveml.pool", "scikit-activeml")

    def choose(made: MadePool, picks: int) -> Any:
        return pool.CoreSet(random_state=0).query(
            made.embeddings, _answers(made, anchors=ANCHORS), batch_size=picks
        )

    return Contender(f"{named('scikit-activeml')} CoreSet", _as_it_is, choose)


def activeml_badge() -> Contender:
    pool = required("skactiveml.pool", "scikit-activeml")
    base = required("skactiveml.base", "scikit-activeml")

    class Given(base.SkactivemlClassifier):  # type: ignore[misc, name-defined]
        """As `GivenProbabilities`, of the kind that this library asks for."""

        def __init__(
            self,
            probabilities: Any = None,
            classes: Any = None,
            missing_label: float = np.nan,
            cost_matrix: Any = None,
            random_state: Any = None,
        ) -> None:
            super().__init__(classes, missing_label, cost_matrix, random_state)
            self.probabilities = probabilities

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            return self

        def predict_proba(self, X: Any) -> Any:
            return self.probabilities

    def choose(made: MadePool, picks: int) -> Any:
        given = Given(made.exclusive, classes=list(range(made.exclusive.shape[1])))
        return pool.Badge(random_state=0).query(
            made.embeddings, _answers(made, anchors=0), given, fit_clf=False, batch_size=picks
        )

    return Contender(f"{named('scikit-activeml')} Badge", _as_it_is, choose)


def alipy_coreset() -> Contender:
    strategies = required("alipy.query_strategy", "alipy")

    def build(made: MadePool) -> Any:
        rows = np.arange(len(made))
        return strategies.QueryInstanceCoresetGreedy(made.embeddings, np.zeros(len(made)), rows)

    def choose(query: Any, picks: int) -> Any:
        rows = np.arange(query.n_obs)
        return query.select(rows[-ANCHORS:].tolist(), rows[:-ANCHORS].tolist(), batch_size=picks)

    return Contender(f"{named('alipy')} CoresetGreedy", build, choose)


def cardinal_k_center() -> Contender:
    clustering = required("cardinal.clustering", "cardinal")

    def choose(made: MadePool, picks: int) -> Any:
        sampler = clustering.KCenterGreedy(lambda rows: rows, picks)
        return sampler.fit(made.embeddings[-ANCHORS:]).select_samples(made.embeddings)

    return Contender(f"{named('cardinal')} KCenterGreedy", _as_it_is, choose)


def cardinal_two_step() -> Contender:
    zhdanov = required("cardinal.zhdanov2019", "cardinal")

    def choose(made: MadePool, picks: int) -> Any:
        sampler = zhdanov.TwoStepKMeansSampler(
            10, GivenProbabilities(made.exclusive), picks, assume_fitted=True, random_state=0
        )
        return sampler.fit(made.embeddings[:2], np.zeros(2)).select_samples(made.embeddings)

    return Contender(f"{named('cardinal')} TwoStepKMeans", _as_it_is, choose)


def _as_it_is(made: MadePool) -> MadePool:
    return made


def _answers(made: MadePool, *, anchors: int) -> NDArray[np.float64]:
    """NaN where nobody has answered."""
    answers = np.full(len(made), np.nan)
    answers[len(made) - anchors :] = 0.0
    return answers
