"""What modAL's learners may be made of: sparse rows, texts, many categories, nothing yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline

from sampling import STRATEGIES, BadProbabilities
from sampling import modal_bridge as bridge
from tests.sampling.modal_learners import Watch, new_committee, new_learner, three_clouds


@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_sparse_rows_are_accepted_and_embedded_as_we_say(make: Callable[..., Any]) -> None:
    features, truth = three_clouds()
    rows = sp.csr_matrix(np.abs(features))
    made = [
        bridge.active_learner(LogisticRegression(C=c), X_training=rows[:30], y_training=truth[:30])
        for c in (0.1, 10.0)
    ]
    query = bridge.as_modal_query(
        STRATEGIES["k_center"], seed=0, embed=lambda X: np.asarray(X.todense())
    )
    learner = bridge.committee(made) if make is new_committee else made[0]
    learner.query_strategy = query

    for _ in range(3):
        chosen, shown = learner.query(rows[30:], n_instances=4)
        learner.teach(shown, truth[30:][chosen])

    assert 4 == len(set(chosen.tolist()))
    assert (4, 4) == shown.shape
    assert 42 == made[0].X_training.shape[0]


def test_dense_rows_after_sparse_ones_are_embedded_without_what_is_labelled() -> None:
    watch = Watch()
    features, truth = three_clouds()
    rows = sp.csr_matrix(features)

    new_learner(bridge.as_modal_query(watch, seed=0), rows[:30], truth[:30]).query(features)

    assert watch.pools[0].has_embeddings
    assert watch.pools[0].labelled is None


def test_without_embed_sparse_rows_have_no_embeddings() -> None:
    watch = Watch()
    features, truth = three_clouds()
    rows = sp.csr_matrix(features)

    new_learner(bridge.as_modal_query(watch, seed=0), rows[:30], truth[:30]).query(rows)

    assert not watch.pools[0].has_embeddings
    assert watch.pools[0].labelled is None


TEXTS = [f"{word} {number}" for number in range(10) for word in ("good day", "bad day", "worse")]

TEXT_TRUTH = np.tile([0, 1, 1], 10)


def text_pipeline() -> Pipeline:
    return make_pipeline(
        TfidfVectorizer(), TruncatedSVD(2, random_state=0), LogisticRegression(random_state=0)
    )


@pytest.mark.parametrize("kind", [list, partial(np.array, dtype=object), np.array])
@pytest.mark.parametrize("size", [1, 2])
def test_texts_are_queried_and_taught_by_a_pipeline(kind: Any, size: int) -> None:
    members = [
        bridge.active_learner(
            text_pipeline(), X_training=kind(TEXTS[:9]), y_training=TEXT_TRUTH[:9]
        )
        for _ in range(size)
    ]
    learner = members[0] if size == 1 else bridge.committee(members)
    learner.query_strategy = bridge.as_modal_query(STRATEGIES["uncertain_diverse"], seed=0)

    for _ in range(3):
        rows, texts = learner.query(kind(TEXTS[9:]), n_instances=3)
        learner.teach(texts, TEXT_TRUTH[9:][rows])

    assert [TEXTS[9:][row] for row in rows] == list(texts)
    assert 18 == len(members[0].X_training)


def test_a_list_of_texts_is_no_wider_than_its_texts() -> None:
    learner = bridge.active_learner(text_pipeline(), X_training=TEXTS, y_training=TEXT_TRUTH)

    # As numpy strings each would take the room of the longest.
    assert object == learner.X_training.dtype


@pytest.mark.parametrize("size", [1, 2])
def test_on_transformed_the_pipeline_embeds(size: int) -> None:
    watch = Watch()
    query = bridge.as_modal_query(watch, seed=0)
    members = [
        bridge.active_learner(
            text_pipeline(), X_training=TEXTS[:9], y_training=TEXT_TRUTH[:9], on_transformed=True
        )
        for _ in range(size)
    ]
    learner = members[0] if size == 1 else bridge.committee(members, on_transformed=True)
    learner.query_strategy = query

    learner.query(TEXTS, n_instances=1)

    expected = np.tile(members[0].estimator[:-1].transform(TEXTS), (1, size))
    np.testing.assert_allclose(expected, watch.pools[0].embeddings(np.arange(30)), rtol=1e-5)
    assert watch.pools[0].labelled is not None
    # The digit is no token: of each kind of text a committee hands on one.
    known = expected[:9] if size == 1 else expected[:3]
    np.testing.assert_allclose(known, watch.pools[0].labelled.embeddings, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2])
def test_a_learner_that_learned_nothing_is_equally_unsure_of_everything(size: int) -> None:
    features, truth = three_clouds()
    members = [bridge.active_learner(LogisticRegression()) for _ in range(size)]
    learner = members[0] if size == 1 else bridge.committee(members)
    learner.query_strategy = bridge.as_modal_query(STRATEGIES["k_center"], seed=0)

    rows, shown = learner.query(features, n_instances=12)
    learner.teach(shown, truth[rows])

    assert 12 == len(set(rows.tolist()))
    assert learner.score(features, truth) > 0.6


def test_a_learner_that_met_one_class_is_sure_of_it() -> None:
    watch = Watch()
    features, _ = three_clouds()
    learner = new_learner(
        bridge.as_modal_query(watch, seed=0), features[:9], np.zeros(9, dtype=int), GaussianNB()
    )

    learner.query(features)

    np.testing.assert_array_equal(
        np.tile([1.0, 0.0], (len(features), 1)), watch.pools[0].probabilities
    )
    assert watch.pools[0].labelled is not None


@pytest.mark.parametrize("estimator", [OneVsRestClassifier, MultiOutputClassifier])
def test_a_multilabel_learner_shows_a_column_a_category(estimator: Any) -> None:
    watch = Watch()
    features, truth = three_clouds()
    answers = np.column_stack([truth == 0, truth > 0, truth == 2]).astype(int)
    query = bridge.as_modal_query(watch, seed=0, exclusive=False)
    learner = new_learner(query, features[:60], answers[:60], estimator(LogisticRegression()))

    rows, _ = learner.query(features[60:], n_instances=2)
    learner.teach(features[60:][rows], answers[60:][rows])

    pool = watch.pools[0]
    assert ((pool.probabilities > 0.5) == answers[60:]).mean() > 0.85
    assert pool.labelled is not None
    np.testing.assert_array_equal(answers[:60], pool.labelled.labels)


def test_a_category_nobody_found_yet_has_probability_zero() -> None:
    watch = Watch()
    features, truth = three_clouds()
    answers = np.column_stack([truth == 0, np.zeros(len(truth)), np.ones(len(truth))]).astype(int)
    query = bridge.as_modal_query(watch, seed=0, exclusive=False)

    learner = new_learner(query, features, answers, MultiOutputClassifier(GaussianNB()))
    learner.query(features)

    assert [0.0, 1.0] == watch.pools[0].probabilities[:, 1:].mean(axis=0).tolist()


def test_a_multilabel_learner_called_exclusive_is_told_so() -> None:
    features, truth = three_clouds()
    answers = np.column_stack([truth == 0, truth > 0, truth == 2]).astype(int)
    learner = new_learner(
        bridge.as_modal_query(STRATEGIES["margin"], seed=0),
        features,
        answers,
        OneVsRestClassifier(LogisticRegression()),
    )

    with pytest.raises(BadProbabilities, match=r"item 000000000.*exclusive=False"):
        learner.query(features)
