"""modAL's strategies as ours: what they measure, promise and refuse."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from sampling import STRATEGIES, BadBudget, BadPool, Pool
from sampling import modal_bridge as bridge
from sampling.pool import Labelled
from tests.sampling.modal_learners import (
    DISAGREEMENTS,
    RNG,
    WITH_EMBEDDINGS,
    Floats,
    make_pool,
    new_committee,
    three_clouds,
)


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
