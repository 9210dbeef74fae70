from __future__ import annotations

import numpy as np
import pytest

from sampling import STRATEGIES, Pool
from sampling.scores import (
    binary_entropy,
    binary_uncertainty,
    entropy_worth,
    least_confidence_worth,
    margin_worth,
)

RNG = np.random.default_rng(0)
EXCLUSIVE = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])


def chosen(name: str, pool: Pool, limit: int) -> list[str]:
    return [pool.item_ids[row] for row in STRATEGIES[name](pool, limit=limit, rng=RNG)]


def test_worked_worths_of_exclusive_categories() -> None:
    np.testing.assert_allclose([0.75, 0.0, 1.0], least_confidence_worth(EXCLUSIVE))
    np.testing.assert_allclose([0.8, 0.0, 1.0], margin_worth(EXCLUSIVE))
    np.testing.assert_allclose([0.937231, 0.0, 1.0], entropy_worth(EXCLUSIVE), atol=1e-6)


def test_worked_worths_of_independent_categories() -> None:
    probabilities = np.array([[0.0, 0.25, 0.5, 1.0]])

    np.testing.assert_allclose([[0.0, 0.5, 1.0, 0.0]], binary_uncertainty(probabilities))
    np.testing.assert_allclose(
        [[0.0, 0.811278, 1.0, 0.0]], binary_entropy(probabilities), atol=1e-6
    )


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy"])
def test_by_the_hardest_category_or_by_their_mean(name: str) -> None:
    pool = Pool(["one hard", "all middling", "sure"], [[0.5, 0.0], [0.3, 0.3], [0.0, 1.0]])

    assert ["one hard", "all middling", "sure"] == chosen(name, pool, 3)
    assert ["all middling", "one hard", "sure"] == chosen("mean_margin", pool, 3)
    assert ["all middling", "one hard", "sure"] == chosen("mean_entropy", pool, 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("least_confidence", ["flat", "two", "lead"]),
        ("margin", ["two", "flat", "lead"]),
        ("entropy", ["flat", "lead", "two"]),
    ],
)
def test_the_three_measures_differ_where_categories_exclude_each_other(
    name: str, expected: list[str]
) -> None:
    pool = Pool(
        ["two", "flat", "lead"],
        [[0.5, 0.5, 0.0, 0.0], [0.4, 0.3, 0.3, 0.0], [0.6, 0.2, 0.1, 0.1]],
        exclusive=True,
    )

    assert expected == chosen(name, pool, 3)


def test_ties_go_by_item_id() -> None:
    pool = Pool(["c", "a", "b"], [[0.5], [0.5], [0.5]])

    assert ["a", "b"] == chosen("margin", pool, 2)


def test_categories_take_turns_so_that_a_rare_one_is_asked_about() -> None:
    common = [[0.5, 0.01], [0.49, 0.01], [0.48, 0.01], [0.47, 0.01]]
    rare = [[0.0, 0.03], [0.0, 0.02]]
    pool = Pool(["c1", "c2", "c3", "c4", "r1", "r2"], common + rare)

    assert ["c1", "c2", "c3", "c4"] == chosen("margin", pool, 4)
    assert ["c1", "r1", "c2", "r2"] == chosen("uncertain", pool, 4)
    assert ["c1", "r1", "c2", "r2", "c3", "c4"] == chosen("uncertain", pool, 6)


def test_a_category_that_says_the_same_of_everything_takes_no_turns() -> None:
    pool = Pool(["a", "b", "c"], [[0.5, 0.1], [0.5, 0.3], [0.5, 0.2]])

    assert ["b", "c", "a"] == chosen("uncertain", pool, 3)


def test_the_order_of_categories_does_not_matter() -> None:
    probabilities = np.round(np.random.default_rng(4).random((50, 3)), 1)
    ids = [f"i{row:02d}" for row in range(50)]

    straight = chosen("uncertain", Pool(ids, probabilities), 20)

    assert straight == chosen("uncertain", Pool(ids, probabilities[:, ::-1]), 20)


def test_turns_agree_with_a_plain_merge_of_the_rankings() -> None:
    probabilities = np.random.default_rng(5).random((40, 3))
    ids = [f"i{row:02d}" for row in range(40)]
    doubt = 1 - np.abs(2 * probabilities - 1)
    turn = (-doubt).argsort(axis=0).argsort(axis=0).min(axis=1)

    plain = sorted(range(40), key=lambda row: (turn[row], -doubt[row].max()))

    for limit in (1, 5, 39):
        pool = Pool(ids, probabilities)
        assert [ids[row] for row in plain[:limit]] == chosen("uncertain", pool, limit)


def test_top_positive_takes_the_likeliest_violation() -> None:
    pool = Pool(["a", "b", "c"], [[0.2, 0.1], [0.0, 0.9], [0.6, 0.6]])

    assert ["b", "c", "a"] == chosen("top_positive", pool, 3)
