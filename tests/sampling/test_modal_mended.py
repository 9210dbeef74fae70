"""What modAL does otherwise than one would think, each with its mend (5, 6, 8 to 10)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.naive_bayes import GaussianNB

from sampling import STRATEGIES, BadPool, Pool
from sampling import modal_bridge as bridge
from tests.sampling.modal_learners import (
    RNG,
    Floats,
    Watch,
    make_pool,
    new_committee,
    new_learner,
    three_clouds,
)


def test_cause_5_modal_is_shown_arrays_whatever_the_pool_was_made_of() -> None:
    import pandas as pd

    pool = Pool(["a", "b"], pd.DataFrame({"x": [0.2, 0.5], "y": [0.8, 0.5]}), exclusive=True)
    seen: list[type] = []

    def query(predictor: object, X: Floats, n_instances: int) -> NDArray[np.intp]:
        seen.append(type(X))
        return np.arange(n_instances)

    bridge.from_modal_query(query)(pool, limit=1, rng=RNG)

    assert [np.ndarray] == seen


def test_cause_5_a_dataframe_is_refused_before_anything_is_learned_from_it() -> None:
    import pandas as pd

    features, truth = three_clouds()
    frame, series = pd.DataFrame(features), pd.Series(truth)
    query = bridge.as_modal_query(STRATEGIES["margin"], seed=0)
    learner = new_learner(query, features[:30], truth[:30])
    unmended = importlib.import_module("modAL.models").ActiveLearner(
        GaussianNB(), X_training=frame, y_training=truth
    )
    committee = new_committee(query, features[:30], truth[:30])

    for refused in (
        lambda: new_learner(query, frame, truth),
        lambda: new_learner(query, features, series),
        lambda: bridge.committee([unmended]),
        lambda: learner.query(frame),
        lambda: learner.teach(frame, truth),
        lambda: learner.teach(features, series),
        lambda: learner.fit(frame, truth),
        lambda: committee.query(frame),
        lambda: committee.teach(frame, truth),
        lambda: committee.teach(frame, truth, only_new=True),
        lambda: committee.fit(features, series),
    ):
        with pytest.raises(BadPool, match=r"a (DataFrame|Series) since pandas 2; .*to_numpy"):
            refused()
    assert (30, 4) == learner.X_training.shape == committee.learner_list[0].X_training.shape


def test_cause_6_more_than_the_pool_is_clamped_where_modal_asserts() -> None:
    from modAL.uncertainty import uncertainty_sampling

    pool = make_pool(3)
    ask = partial(uncertainty_sampling, bridge.Precomputed(), pool.probabilities)

    with pytest.raises(AssertionError):
        ask(n_instances=4)
    assert 3 == len(bridge.from_modal_query(uncertainty_sampling)(pool, limit=4, rng=RNG))
    assert 3 == len(STRATEGIES["modal_uncertainty"](pool, limit=4, rng=RNG))


@pytest.mark.parametrize("strategy", [STRATEGIES["margin"], Watch()])
@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_cause_6_a_learner_may_be_asked_for_more_than_there_is(
    make: Callable[..., Any], strategy: Any
) -> None:
    features, truth = three_clouds()
    learner = make(bridge.as_modal_query(strategy, seed=0), features[:30], truth[:30])

    rows, shown = learner.query(features[30:35], n_instances=50)
    none_of_none, nothing = learner.query(features[:0], n_instances=50)

    assert [0, 1, 2, 3, 4] == sorted(rows.tolist())
    assert (5, 4) == shown.shape
    assert [] == none_of_none.tolist() == nothing.tolist()
    assert [] == learner.query(features, n_instances=0)[0].tolist()


def test_cause_6_rows_come_best_first_and_ties_by_id() -> None:
    sure = [0.5, 0.9, 0.7, 0.5, 0.6, 0.5, 0.8]
    pool = Pool(list("gfedcba"), np.column_stack([sure, 1.0 - np.array(sure)]), exclusive=True)

    rows = STRATEGIES["modal_uncertainty"](pool, limit=5, rng=RNG)

    assert ["b", "d", "g", "c", "e"] == [pool.item_ids[row] for row in rows]


@pytest.mark.parametrize("make", [new_learner, new_committee])
@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_cause_8_a_query_is_chosen_once_and_comes_whole(
    make: Callable[..., Any], wanted: int
) -> None:
    watch = Watch()
    features, truth = three_clouds()
    learner = make(bridge.as_modal_query(watch, seed=0), features[:30], truth[:30])

    rows, shown = learner.query(features, n_instances=wanted)

    assert list(range(wanted)) == rows.tolist()
    assert (wanted, 4) == shown.shape
    assert 1 == len(watch.pools)


def test_cause_8_modal_takes_two_bare_indices_for_one_and_a_metric() -> None:
    # When this fails, modAL unpacks what strategies return with care, and bare indices would do.
    features, truth = three_clouds()
    learner = new_learner(lambda *_, **__: np.array([7, 8]), features[:30], truth[:30])

    rows, _ = learner.query(features)

    assert 7 == rows


def test_cause_8_no_metrics_are_made_up() -> None:
    features, truth = three_clouds()
    learner = new_learner(
        bridge.as_modal_query(STRATEGIES["margin"], seed=0), features[:30], truth[:30]
    )

    with pytest.warns(UserWarning, match="doesn't support return_metrics"):
        rows, _, metrics = learner.query(features, n_instances=4, return_metrics=True)

    assert 4 == len(rows)
    assert metrics is None


def test_cause_9_the_first_of_a_ranked_batch_is_not_chosen_again() -> None:
    from modAL.batch import uncertainty_batch_sampling

    pool = make_pool(30)
    learner = bridge.active_learner(bridge.Precomputed())
    theirs, _ = uncertainty_batch_sampling(learner, pool.probabilities, n_instances=30)

    # When this fails, modAL masks its first pick, and ranked_batch need not.
    assert 30 > len(set(theirs.tolist()))
    assert 30 == len(set(bridge.ranked_batch(pool, limit=30, rng=RNG).tolist()))


def test_cause_10_a_committee_does_not_know_what_it_was_taught() -> None:
    # When this fails, a committee's own X_training can be handed on.
    features, truth = three_clouds()
    committee = new_committee(STRATEGIES["margin"], features[:30], truth[:30])

    committee.teach(features, truth)

    assert committee.X_training is None
    with pytest.raises(AttributeError, match="shape"):
        committee.vote_proba(features.tolist())
