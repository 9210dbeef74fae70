"""modAL through its one door: both ways through it, and each thing that had to be mended."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import check_X_y

from sampling import STRATEGIES, BadBudget, BadPool, BadProbabilities, Pool, UnknownStrategy
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


# modAL's strategies as ours


@pytest.mark.parametrize(
    ("modal", "ours"),
    [
        ("modal_uncertainty", "least_confidence"),
        ("modal_margin", "margin"),
        ("modal_entropy", "entropy"),
    ],
)
@pytest.mark.parametrize("exclusive", [True, False])
def test_modal_and_we_agree_on_the_measures_we_share(
    modal: str, ours: str, exclusive: bool
) -> None:
    pool = make_pool(exclusive=exclusive)

    assert (
        STRATEGIES[ours](pool, limit=10, rng=RNG).tolist()
        == STRATEGIES[modal](pool, limit=10, rng=RNG).tolist()
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("modal_min_confidence", ["mixed", "low", "high"]),
        ("modal_avg_confidence", ["high", "mixed", "low"]),
        ("modal_max_score", ["mixed", "high", "low"]),
        ("modal_avg_score", ["high", "mixed", "low"]),
    ],
)
def test_modal_multilabel_measures_order_a_worked_pool(name: str, expected: list[str]) -> None:
    pool = Pool(["low", "mixed", "high"], [[0.3, 0.2], [0.9, 0.0], [0.8, 0.7]])

    rows = STRATEGIES[name](pool, limit=3, rng=RNG)

    assert expected == [pool.item_ids[row] for row in rows]


def test_any_modal_query_becomes_a_strategy() -> None:
    from modAL.uncertainty import margin_sampling

    pool = make_pool()
    strategy = bridge.from_modal_query(margin_sampling)

    assert set(STRATEGIES["margin"](pool, limit=5, rng=RNG).tolist()) == set(
        strategy(pool, limit=5, rng=RNG).tolist()
    )
    assert [] == strategy(pool, limit=0, rng=RNG).tolist()


def test_a_modal_query_may_ask_a_model_of_the_callers() -> None:
    from modAL.uncertainty import uncertainty_sampling

    class SurerOfLaterIds:
        def predict_proba(self, X: Floats) -> Floats:
            yes = np.linspace(0.5, 1.0, len(X))
            return np.column_stack([yes, 1.0 - yes])

    pool = make_pool()

    rows = bridge.from_modal_query(uncertainty_sampling, SurerOfLaterIds())(pool, limit=4, rng=RNG)

    assert {"i00", "i01", "i02", "i03"} == {pool.item_ids[row] for row in rows}


@pytest.mark.parametrize(
    ("name", "first"),
    # Members of "split" each vote for another category, those of "vague" all say one half;
    # those of "rift" agree but for one, who is sure of the other.
    [("vote_entropy", "split"), ("consensus_entropy", "vague"), ("max_disagreement", "rift")],
)
def test_modal_disagreements_find_what_they_are_named_for(name: str, first: str) -> None:
    said = {
        "agreed": [[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]],
        "split": [[0.6, 0.4], [0.4, 0.6], [0.6, 0.4], [0.42, 0.58]],
        "vague": [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]],
        "rift": [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
    }
    passes = np.array(list(said.values())).swapaxes(0, 1)
    pool = Pool(list(said), passes.mean(axis=0), exclusive=True, passes=passes)

    rows = getattr(bridge, name)(pool, limit=4, rng=RNG)

    assert first == pool.item_ids[rows[0]]


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("vote_entropy", "vote_entropy"),
        ("consensus_entropy", "consensus_entropy"),
        ("max_disagreement", "KL_max_disagreement"),
    ],
)
def test_passes_are_measured_as_modal_measures_the_committee_itself(
    name: str, measure: str
) -> None:
    features, truth = three_clouds()
    query = bridge.as_modal_query(getattr(bridge, name), seed=0)
    committee = new_committee(query, features[:30], truth[:30])

    rows, _ = committee.query(features, n_instances=20)

    worth = getattr(importlib.import_module("modAL.disagreement"), measure)(committee, features)
    np.testing.assert_allclose(np.sort(worth)[::-1][:20], worth[rows])


def test_independent_categories_disagree_by_the_hardest_one() -> None:
    votes = {
        "even": [[1, 0], [1, 0], [0, 0], [0, 0]],  # two against two, in one category
        "both": [[1, 1], [0, 0], [0, 0], [0, 0]],  # one against three, in both
        "none": [[0, 1], [0, 1], [0, 1], [0, 1]],
    }
    passes = 0.1 + 0.8 * np.array(list(votes.values())).swapaxes(0, 1)
    pool = Pool(list(votes), passes.mean(axis=0), passes=passes)

    rows = bridge.vote_entropy(pool, limit=3, rng=RNG)

    assert ["even", "both", "none"] == [pool.item_ids[row] for row in rows]


def test_a_pool_without_passes_has_no_disagreement() -> None:
    pool = Pool(["a", "b"], [[0.1], [0.9]])

    with pytest.raises(BadPool, match="no passes"):
        bridge.vote_entropy(pool, limit=1, rng=RNG)


def brute_ranked_batch(pool: Pool, limit: int) -> list[str]:
    """Cardoso et al. (2017), written down item by item."""
    assert pool.labelled is not None
    place = dict(zip(pool.item_ids, pool.unit_embeddings(np.arange(len(pool))), strict=True))
    unsure = dict(zip(pool.item_ids, 1.0 - pool.probabilities.max(axis=1), strict=True))
    known = list(pool.labelled.unit_embeddings)
    chosen: list[str] = []
    for _ in range(limit):
        left = sorted(set(place) - set(chosen))
        alpha = len(left) / (len(left) + len(known))
        score = {
            item: alpha * (1 - 1 / (1 + min(np.linalg.norm(place[item] - one) for one in known)))
            + (1 - alpha) * unsure[item]
            for item in left
        }
        chosen.append(max(left, key=lambda item: score[item]))
        known.append(place[chosen[-1]])
    return chosen


def test_the_ranked_batch_is_the_published_one() -> None:
    pool = make_pool(40, labelled=5)

    rows = bridge.ranked_batch(pool, limit=12, rng=RNG)

    assert brute_ranked_batch(pool, 12) == [pool.item_ids[row] for row in rows]


def test_the_ranked_batch_starts_in_the_middle_and_then_looks_away() -> None:
    angles = np.radians([0.0, 40.0, 50.0, 60.0, 95.0])
    places = np.column_stack([np.cos(angles), np.sin(angles)])
    pool = Pool(list("abcde"), np.full((5, 2), 0.5), places, exclusive=True)

    rows = bridge.ranked_batch(pool, limit=3, rng=RNG)

    assert ["c", "a", "e"] == [pool.item_ids[row] for row in rows]


def test_information_density_prefers_the_crowd_among_the_equally_uncertain() -> None:
    angles = np.radians([0.0, 2.0, 4.0, 120.0, 240.0])
    places = np.column_stack([np.cos(angles), np.sin(angles)])
    sure = [[0.5, 0.5], [0.99, 0.01], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    pool = Pool(list("abcde"), sure, places, exclusive=True)

    rows = bridge.information_density(pool, limit=5, rng=RNG)

    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    worth = (1 / (1 + distance)).mean(axis=1) * (1 - np.max(sure, axis=1))
    assert np.argsort(-worth, kind="stable").tolist() == rows.tolist()
    assert {"a", "c"} == {pool.item_ids[row] for row in rows[:2]}


@pytest.mark.parametrize("name", WITH_EMBEDDINGS)
def test_without_embeddings_uncertainty_decides(name: str) -> None:
    given = make_pool()
    pool = Pool(given.item_ids, given.probabilities, exclusive=True)

    assert (
        STRATEGIES["least_confidence"](pool, limit=9, rng=RNG).tolist()
        == getattr(bridge, name)(pool, limit=9, rng=RNG).tolist()
    )


@pytest.mark.parametrize("labelled", [0, 3])
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("name", DISAGREEMENTS + WITH_EMBEDDINGS)
def test_every_limit_gives_distinct_rows_and_the_order_of_rows_does_not_matter(
    name: str, exclusive: bool, labelled: int
) -> None:
    strategy = getattr(bridge, name)
    pool = make_pool(exclusive=exclusive, labelled=labelled)
    shuffle = np.random.default_rng(5).permutation(len(pool))
    shuffled = pool.take(shuffle)

    for limit in (0, 1, 13, 29, 30, 31):
        rows = strategy(pool, limit=limit, rng=RNG)
        again = shuffle[strategy(shuffled, limit=limit, rng=RNG)]

        assert min(limit, 30) == len(set(rows.tolist())) == len(rows)
        assert np.intp == rows.dtype
        assert rows.tolist() == again.tolist()


@pytest.mark.parametrize("name", DISAGREEMENTS + WITH_EMBEDDINGS)
def test_an_empty_pool_and_a_pool_of_one_are_served(name: str) -> None:
    strategy = getattr(bridge, name)

    assert [] == strategy(make_pool(30).take(np.empty(0, np.intp)), limit=3, rng=RNG).tolist()
    assert [0] == strategy(make_pool(30).take(np.array([4])), limit=3, rng=RNG).tolist()


@pytest.mark.parametrize("labelled", [0, 3])
@pytest.mark.parametrize("name", WITH_EMBEDDINGS)
def test_duplicates_and_zeros_do_not_starve_the_batch(name: str, labelled: int) -> None:
    given = make_pool(labelled=labelled)
    for places in (np.zeros((30, 6)), np.tile(given.embeddings(np.arange(1)), (30, 1))):
        pool = Pool(
            given.item_ids, given.probabilities, places, exclusive=True, labelled=given.labelled
        )

        assert 25 == len(set(getattr(bridge, name)(pool, limit=25, rng=RNG).tolist()))


def big_pool(items: int, *, labelled: int) -> Pool:
    known = Labelled(np.ones((labelled, 1)), np.ones((labelled, 1))) if labelled else None
    ids = [f"{row:06d}" for row in range(items)]
    return Pool(ids, np.full((items, 1), 0.5), np.ones((items, 1)), labelled=known)


@pytest.mark.parametrize(
    ("name", "items", "labelled", "limit", "message"),
    [
        ("information_density", 5_001, 0, 1, "every distance.*5,000.*has 5,001"),
        ("ranked_batch", 5_001, 0, 1, "every distance.*5,000.*has 5,001"),
        ("ranked_batch", 50_001, 1, 1, "a copy.*50,000.*has 50,001"),
        ("ranked_batch", 20_000, 1_000, 49, "1.0e\\+09 times.*fewer picks"),
    ],
)
def test_what_grows_with_the_square_is_refused_above_a_stated_size(
    name: str, items: int, labelled: int, limit: int, message: str
) -> None:
    pool = big_pool(items, labelled=labelled)

    with pytest.raises(BadBudget, match=message):
        getattr(bridge, name)(pool, limit=limit, rng=RNG)


# Our strategies as modAL's queries


def active_run(
    make: Callable[..., Any], strategy: Any, *, seed: int, rounds: int = 5, **arguments: Any
) -> tuple[list[str], float]:
    """Ids as they were asked for, and the score in the end. Rows leave the pool once taught."""
    features, truth = three_clouds()
    start = np.array([np.flatnonzero(truth == category)[:2] for category in range(3)]).ravel()
    query = bridge.as_modal_query(strategy, seed=seed, **arguments)
    learner = make(query, features[start], truth[start])
    left = np.setdiff1d(np.arange(len(truth)), start)
    asked: list[str] = []
    for _ in range(rounds):
        ids = [f"item-{row:03d}" for row in left]
        rows, shown = learner.query(features[left], n_instances=6, item_ids=ids)
        assert (shown == features[left[rows]]).all()
        learner.teach(shown, truth[left[rows]])
        asked += [ids[row] for row in rows]
        left = np.delete(left, rows)
    return asked, float(learner.score(features, truth))


@pytest.mark.parametrize("make", [new_learner, new_committee])
@pytest.mark.parametrize(
    "name", ["random", "margin", "entropy", "uncertain_diverse", "uncertain_k_center", "k_center"]
)
def test_rounds_of_query_and_teach_learn_and_repeat(make: Callable[..., Any], name: str) -> None:
    asked, score = active_run(make, STRATEGIES[name], seed=3)

    assert 30 == len(set(asked))
    assert score > 0.8
    assert (asked, score) == active_run(make, STRATEGIES[name], seed=3)


@pytest.mark.parametrize(
    "strategy",
    [STRATEGIES["bald"], STRATEGIES["vote_entropy"]]
    + [getattr(bridge, name) for name in DISAGREEMENTS],
)
def test_a_committee_is_asked_where_its_members_disagree(strategy: Any) -> None:
    asked, score = active_run(new_committee, strategy, seed=3)

    assert 30 == len(set(asked))
    assert score > 0.8
    assert (asked, score) == active_run(new_committee, strategy, seed=3)


@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_another_seed_draws_others(make: Callable[..., Any]) -> None:
    one, _ = active_run(make, STRATEGIES["random"], seed=3)
    other, _ = active_run(make, STRATEGIES["random"], seed=4)

    assert len(set(one) & set(other)) < 15


def test_margin_through_us_asks_what_modal_asks() -> None:
    from modAL.uncertainty import margin_sampling

    features, truth = three_clouds()
    query = bridge.as_modal_query(STRATEGIES["margin"], seed=0)
    ours, _ = new_learner(query, features[:30], truth[:30]).query(features, n_instances=9)

    theirs, _ = new_learner(margin_sampling, features[:30], truth[:30]).query(
        features, n_instances=9
    )

    assert set(theirs.tolist()) == set(ours.tolist())


def test_each_query_draws_anew_and_a_pickled_run_goes_on_where_it_was() -> None:
    features, truth = three_clouds()
    learner = new_learner(bridge.as_modal_query("random", seed=1), features[:30], truth[:30])

    first, _ = learner.query(features, n_instances=10)
    kept = pickle.loads(pickle.dumps(learner))
    second, _ = learner.query(features, n_instances=10)

    assert first.tolist() != second.tolist()
    assert second.tolist() == kept.query(features, n_instances=10)[0].tolist()


def test_a_strategy_may_be_named_as_plans_name_it() -> None:
    features, truth = three_clouds()
    learner = new_learner(bridge.as_modal_query("distinct:margin", seed=0), features[:9], truth[:9])
    twice = np.repeat(np.eye(4), 2, axis=0)

    rows, _ = learner.query(twice, n_instances=4)

    assert [0, 1, 2, 3] == sorted(row // 2 for row in rows)
    with pytest.raises(UnknownStrategy, match="magic"):
        bridge.as_modal_query("magic", seed=0)


def test_an_error_does_not_move_the_stream() -> None:
    features, truth = three_clouds()
    calm = new_learner(
        bridge.as_modal_query(STRATEGIES["random"], seed=1), features[:30], truth[:30]
    )
    shaken = new_learner(
        bridge.as_modal_query(STRATEGIES["random"], seed=1), features[:30], truth[:30]
    )

    with pytest.raises(BadPool, match="twice"):
        shaken.query(features[:2], n_instances=1, item_ids=["a", "a"])

    assert (
        calm.query(features, n_instances=9)[0].tolist()
        == shaken.query(features, n_instances=9)[0].tolist()
    )


def test_ids_break_ties_and_row_numbers_stand_in_for_them() -> None:
    features, truth = three_clouds()
    alike = np.tile(features[:1], (12, 1))
    ids = [f"{11 - row:02d}" for row in range(12)]
    by_row = bridge.as_modal_query(STRATEGIES["margin"], seed=0)
    by_id = bridge.as_modal_query(STRATEGIES["margin"], seed=0, item_ids=ids)

    learner = new_learner(by_row, features[:30], truth[:30])

    assert [0, 1, 2] == learner.query(alike, n_instances=3)[0].tolist()
    assert [11, 10, 9] == learner.query(alike, n_instances=3, item_ids=ids)[0].tolist()
    assert [11, 10, 9] == by_id(learner, alike, 3)[0].tolist()


def test_ids_of_rows_that_left_are_not_guessed() -> None:
    features, truth = three_clouds()
    query = bridge.as_modal_query("margin", seed=0, item_ids=["a", "b", "c"])
    learner = new_learner(query, features[:30], truth[:30])

    with pytest.raises(BadPool, match=r"item_ids has 3 ids, X 2 rows; .*item_ids="):
        learner.query(features[:2])


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


def test_a_misspelt_keyword_is_not_swallowed() -> None:
    features, truth = three_clouds()
    learner = new_learner(
        bridge.as_modal_query(STRATEGIES["margin"], seed=0), features[:30], truth[:30]
    )

    with pytest.raises(TypeError, match="n_instance"):
        learner.query(features, n_instance=5)


def test_negative_numbers_are_refused() -> None:
    features, truth = three_clouds()
    query = bridge.as_modal_query(STRATEGIES["margin"], seed=0)

    with pytest.raises(BadBudget, match="seed is -1"):
        bridge.as_modal_query(STRATEGIES["margin"], seed=-1)
    with pytest.raises(BadBudget, match="n_instances is -2"):
        new_learner(query, features[:30], truth[:30]).query(features, n_instances=-2)


# Each cause


def test_cause_1_scikit_learn_dropped_the_keyword_that_modal_passes() -> None:
    # When this fails, scikit-learn takes the keyword again and the renaming can go.
    with pytest.raises(TypeError, match="force_all_finite"):
        check_X_y([[1.0]], [1], force_all_finite=True)


@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_cause_1_teaching_works_through_the_bridge(make: Callable[..., Any]) -> None:
    features, truth = three_clouds()
    learner = make(bridge.as_modal_query(STRATEGIES["margin"], seed=0), features[:10], truth[:10])

    learner.teach(features[10:], truth[10:])

    known = learner.X_training if make is new_learner else learner.learner_list[2].X_training
    assert features.shape == known.shape
    assert learner.score(features, truth) > 0.85


@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_cause_1_only_new_and_fit_forget_the_old(make: Callable[..., Any]) -> None:
    features, truth = three_clouds()
    lies = 2 - truth
    learner = make(bridge.as_modal_query(STRATEGIES["margin"], seed=0), features, lies)

    learner.teach(features, truth, only_new=True)
    after_only_new = learner.score(features, truth)
    learner.fit(features, lies)

    assert after_only_new > 0.85
    assert learner.score(features, lies) > 0.85


def test_cause_1_a_committee_is_rebagged() -> None:
    features, truth = three_clouds()
    committee = new_committee(
        bridge.as_modal_query(STRATEGIES["margin"], seed=0), list(features[:60]), list(truth[:60])
    )
    before = committee.vote_proba(features)

    np.random.seed(0)  # modAL draws from it
    committee.rebag()

    assert (before != committee.vote_proba(features)).any()
    assert committee.score(features, truth) > 0.8


def test_cause_1_the_check_still_refuses_what_is_not_finite() -> None:
    features, truth = three_clouds()
    learner = bridge.active_learner(
        LogisticRegression(), X_training=features[:30], y_training=truth[:30]
    )

    with pytest.raises(ValueError, match="NaN"):
        learner.teach(np.full((1, 4), np.nan), np.array([1]))


def test_cause_1_a_learner_that_allows_nan_still_may() -> None:
    bridge.active_learner(LogisticRegression())
    check = importlib.import_module("modAL.models.learners").check_X_y

    features, _ = check([[np.nan]], [1], force_all_finite=False)

    assert bool(np.isnan(features).all())


def test_cause_1_the_keyword_is_renamed_once_however_often_the_bridge_is_used() -> None:
    bridge.active_learner(LogisticRegression())
    bridge._module.cache_clear()
    bridge.active_learner(LogisticRegression())

    learners = importlib.import_module("modAL.models.learners")
    assert not hasattr(learners.check_X_y.mends, "mends")


TAUGHT_WITHOUT_THE_FACTORY = """
import numpy as np
from modAL.models import ActiveLearner
from sklearn.naive_bayes import GaussianNB
from sampling.modal_bridge import as_modal_query
learner = ActiveLearner(
    GaussianNB(),
    query_strategy=as_modal_query("margin", seed=0),
    X_training=np.eye(2),
    y_training=np.arange(2),
)
learner.teach(np.eye(2), np.arange(2))
print(learner.X_training.shape)
"""


def test_cause_1_whoever_makes_a_query_may_import_the_learner_from_modal() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", TAUGHT_WITHOUT_THE_FACTORY],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "(4, 2)" == outcome.stdout.strip()


EVERYTHING_OF_THE_BRIDGE = """
import sys
import numpy as np
from sklearn.naive_bayes import GaussianNB
from sampling import STRATEGIES, Pool
from sampling import modal_bridge as bridge
passes = np.full((2, 3, 2), 0.5)
pool = Pool(list("abc"), passes[0], np.eye(3), exclusive=True, passes=passes)
rng = np.random.default_rng(0)
for choose in (bridge.vote_entropy, bridge.ranked_batch, bridge.information_density):
    choose(pool, limit=2, rng=rng)
for name in STRATEGIES:
    if name.startswith("modal_"):
        STRATEGIES[name](pool, limit=2, rng=rng)
query = bridge.as_modal_query(STRATEGIES["margin"], seed=0)
member = bridge.active_learner(GaussianNB(), X_training=np.eye(2), y_training=np.arange(2))
for learner in (member, bridge.committee([member, member])):
    learner.query_strategy = query
    learner.query(np.eye(2))
    learner.teach(np.eye(2), np.arange(2))
assert "modAL" in sys.modules
print([name for name in ("skorch", "modAL.dropout", "modAL.expected_error") if name in sys.modules])
"""


def test_causes_2_and_3_nothing_of_the_bridge_imports_what_does_not_import() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", EVERYTHING_OF_THE_BRIDGE],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "[]" == outcome.stdout.strip()


@pytest.mark.parametrize("module", ["modAL.dropout", "modAL.expected_error"])
def test_causes_2_and_3_what_does_not_import_is_not_offered(module: str) -> None:
    # When this fails, the module works again and may be offered.
    with pytest.raises((ImportError, AttributeError)):
        importlib.import_module(module)
    for name in ("mc_dropout_bald", "expected_error_reduction", "expected_error"):
        assert not hasattr(bridge, name)
        assert f"modal_{name}" not in STRATEGIES


@pytest.mark.parametrize("name", ["max_loss", "mean_max_loss"])
def test_cause_4_the_losses_read_an_attribute_no_learner_has(name: str) -> None:
    query = getattr(importlib.import_module("modAL.multilabel"), name)
    features, truth = three_clouds()
    learner = bridge.active_learner(
        LogisticRegression(), X_training=features[:30], y_training=truth[:30]
    )

    with pytest.raises(AttributeError, match="classes_"):
        query(learner, features[:5], n_instances=1)
    assert not hasattr(bridge, name)
    assert f"modal_{name}" not in STRATEGIES


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


def test_cause_7_the_version_comes_from_the_installed_package() -> None:
    assert not hasattr(importlib.import_module("modAL"), "__version__")
    assert "0.4.2.1" == bridge.modal_version()


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


def test_sampling_does_not_import_modal_until_it_is_used() -> None:
    asked = "import sys, sampling; print('modAL' in sys.modules)"

    outcome = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )

    assert "False" == outcome.stdout.strip()
