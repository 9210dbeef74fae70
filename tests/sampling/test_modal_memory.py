"""What a pool is told of a committee's members and of what is labelled, through modAL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from sampling import BadPool
from sampling import modal_bridge as bridge
from tests.sampling.modal_learners import Watch, new_committee, new_learner, three_clouds


def test_a_committee_shows_what_each_member_says() -> None:
    watch = Watch()
    features, truth = three_clouds()
    committee = new_committee(bridge.as_modal_query(watch, seed=0), features[:30], truth[:30])

    committee.query(features[30:], n_instances=2)

    votes = committee.vote_proba(features[30:])
    np.testing.assert_array_equal(votes.swapaxes(0, 1), watch.pools[0].opinions("passes"))
    np.testing.assert_allclose(votes.mean(axis=1), watch.pools[0].probabilities)


def test_one_learner_has_no_passes() -> None:
    watch = Watch()
    features, truth = three_clouds()

    new_learner(bridge.as_modal_query(watch, seed=0), features[:30], truth[:30]).query(features)

    with pytest.raises(BadPool, match="no passes"):
        watch.pools[0].opinions("passes")


def test_members_that_met_other_classes_vote_in_the_same_columns() -> None:
    watch = Watch()
    features, truth = three_clouds()
    members = [
        bridge.active_learner(
            GaussianNB(), X_training=features[truth != absent], y_training=truth[truth != absent]
        )
        for absent in (0, 2)
    ]

    bridge.committee(members, query_strategy=bridge.as_modal_query(watch, seed=0)).query(features)

    passes = watch.pools[0].opinions("passes")
    assert (2, len(features), 3) == passes.shape
    assert not passes[0, :, 0].any()
    assert not passes[1, :, 2].any()
    assert passes[1, :, 0].any()


@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_what_is_labelled_is_handed_on_once_with_its_answers(make: Callable[..., Any]) -> None:
    watch = Watch()
    features, truth = three_clouds()
    words = np.array(["calm", "rude", "vile"])[truth]
    learner = make(bridge.as_modal_query(watch, seed=0), features[:30], words[:30])
    learner.teach(features[30:33], words[30:33])

    learner.query(features[33:], n_instances=2)

    labelled = watch.pools[0].labelled
    assert labelled is not None
    np.testing.assert_allclose(features[:33], labelled.embeddings, rtol=1e-6)
    np.testing.assert_array_equal(np.eye(3)[truth[:33]], labelled.labels)


def test_members_with_rows_of_their_own_hand_on_the_rows_of_all() -> None:
    watch = Watch()
    features, truth = three_clouds()
    members = [
        bridge.active_learner(GaussianNB(), X_training=features[part], y_training=truth[part])
        for part in (slice(0, 20), slice(10, 40))
    ]

    bridge.committee(members, query_strategy=bridge.as_modal_query(watch, seed=0)).query(features)

    labelled = watch.pools[0].labelled
    assert labelled is not None
    np.testing.assert_allclose(features[:40], labelled.embeddings, rtol=1e-6)
    np.testing.assert_array_equal(np.eye(3)[truth[:40]], labelled.labels)


def test_a_class_that_was_taught_and_then_forgotten_stays_unsaid() -> None:
    watch = Watch()
    features, truth = three_clouds()
    committee = new_committee(bridge.as_modal_query(watch, seed=0), features[:30], truth[:30])
    met = np.flatnonzero(truth < 2)

    committee.teach(features[met], truth[met], only_new=True)
    committee.query(features)

    labelled = watch.pools[0].labelled
    assert labelled is not None
    forgotten = np.isnan(labelled.labels).all(axis=1)
    assert (truth[:30] == 2).sum() == forgotten.sum()


@pytest.mark.parametrize("strategy", ["k_center", bridge.ranked_batch])
def test_what_is_labelled_is_kept_away_from(strategy: Any) -> None:
    features = np.array([[1.0, 0.0], [0.9, 0.1], [0.1, 0.9]])
    learner = new_learner(
        bridge.as_modal_query(strategy, seed=0), [[1.0, 0.05], [1.0, 0.1]], [0, 1]
    )

    rows, _ = learner.query(features, n_instances=1)

    assert [2] == rows.tolist()
