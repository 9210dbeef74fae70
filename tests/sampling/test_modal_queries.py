"""Our strategies as modAL's queries: whole runs, seeds and ids."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sampling import STRATEGIES, BadBudget, BadPool, UnknownStrategy
from sampling import modal_bridge as bridge
from tests.sampling.modal_learners import DISAGREEMENTS, new_committee, new_learner, three_clouds


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
