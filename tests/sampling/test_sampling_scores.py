from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling import STRATEGIES, Pool, kernels, scores
from sampling.pool import best_first
from sampling.scores import (
    binary_entropy,
    binary_uncertainty,
    entropy,
    entropy_worth,
    least_confidence_worth,
    margin_worth,
    of_category,
    uncertainty,
)

STEADY = settings(deadline=None, derandomize=True, max_examples=100)
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


def test_near_the_threshold_comes_first_by_turns() -> None:
    pool = Pool(
        ["low", "at first", "at second", "high"],
        [[0.1, 0.1], [0.21, 0.3], [0.0, 0.88], [1.0, 0.99]],
        thresholds=[0.2, 0.9],
    )

    # Distances to .2 over .8: .125, .0125, .25, 1. To .9 over .9: .889, .667, .022, .1.
    assert ["at first", "at second", "high", "low"] == chosen("near_threshold", pool, 4)
    assert ["at second", "high", "at first", "low"] == chosen("near_threshold", pool.only(1), 4)


def test_without_thresholds_they_are_one_half() -> None:
    probabilities = np.random.default_rng(7).random((40, 3))
    pool = Pool([f"i{row:02d}" for row in range(40)], probabilities)

    assert chosen("uncertain", pool, 40) == chosen("near_threshold", pool, 40)


@pytest.mark.parametrize("bar", [0.0, 1.0])
def test_a_threshold_at_the_end_is_approached_from_one_side(bar: float) -> None:
    pool = Pool(["a", "b", "c"], [[0.0], [0.4], [1.0]], thresholds=[bar])

    assert (["a", "b", "c"] if bar == 0.0 else ["c", "b", "a"]) == chosen("near_threshold", pool, 3)


def test_long_items_must_be_worth_their_length() -> None:
    # Worth .9 in 30 seconds, .8 in 10, .2 in 2: .03, .08 and .1 a second.
    pool = Pool(["long", "middling", "short"], [[0.45], [0.4], [0.1]], seconds=[30.0, 10.0, 2.0])

    assert ["short", "middling", "long"] == chosen("uncertain_per_second", pool, 3)
    assert ["long", "middling", "short"] == chosen("uncertain", pool, 3)


@pytest.mark.parametrize("exclusive", [False, True])
def test_where_all_take_as_long_seconds_change_nothing(exclusive: bool) -> None:
    probabilities = np.random.default_rng(3).dirichlet(np.ones(3), 50)
    ids = [f"i{row:02d}" for row in range(50)]
    pool = Pool(ids, probabilities, exclusive=exclusive, seconds=np.full(50, 7.0))

    expected = chosen("uncertain", Pool(ids, probabilities, exclusive=exclusive), 50)

    assert expected == chosen("uncertain_per_second", pool, 50)


def test_a_rare_category_s_likeliest_is_not_drowned() -> None:
    pool = Pool(
        ["c1", "c2", "c3", "r1", "r2"],
        [[0.9, 0.0], [0.8, 0.0], [0.7, 0.0], [0.0, 0.02], [0.0, 0.01]],
    )

    assert ["c1", "r1", "c2", "r2", "c3"] == chosen("top_positive_by_turns", pool, 5)
    assert ["c1", "c2", "c3", "r1", "r2"] == chosen("top_positive", pool, 5)


def test_of_one_category_a_strategy_sees_nothing_else() -> None:
    pool = Pool(
        ["a", "b", "c"], [[0.5, 0.3, 0.2], [0.1, 0.5, 0.4], [0.1, 0.0, 0.9]], exclusive=True
    )

    for column, expected in enumerate((["a", "b", "c"], ["b", "a", "c"], ["b", "a", "c"])):
        strategy = of_category(STRATEGIES["margin"], column)
        assert expected == [pool.item_ids[row] for row in strategy(pool, limit=3, rng=RNG)]


@STEADY
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 4), st.integers(1, 35))
def test_turns_with_many_equals_agree_with_a_plain_merge(
    seed: int, items: int, categories: int, limit: int
) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(0, 5, (items, categories)) / 8.0
    ids = [f"i{number:02d}" for number in rng.permutation(items)]
    # Each category ranks what is above its lowest; the earliest turn of any counts.
    turn = np.full(items, items)
    for column in probabilities.T:
        ranked = sorted(range(items), key=lambda row: (-column[row], ids[row]))
        for place, row in enumerate(ranked):
            if column[row] > column.min():
                turn[row] = min(turn[row], place)

    plain = sorted(range(items), key=lambda row: (turn[row], -probabilities[row].max(), ids[row]))

    found = chosen("top_positive_by_turns", Pool(ids, probabilities), limit)
    assert [ids[row] for row in plain][:limit] == found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_measures_in_blocks_agree_with_their_definition(
    dtype: Any, layout: str, exclusive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "_ROWS_PER_BLOCK", 7)
    values = np.random.default_rng(0).dirichlet(np.ones(5), 50).astype(dtype)
    values[:3] = np.eye(5)[:3]  # certain
    given = np.repeat(values, 2, axis=1)[:, ::2] if layout == "strided" else values.copy(layout)
    p = values.astype(np.float64)
    top = np.sort(p, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shannon = -np.nansum(p * np.log(p), axis=1) / np.log(5)

    pool = Pool([f"i{row:02d}" for row in range(50)], given, exclusive=exclusive)

    expected = 1 - (top[:, -1] - top[:, -2]) if exclusive else (1 - np.abs(2 * p - 1)).max(axis=1)
    np.testing.assert_allclose(expected, uncertainty(pool), atol=1e-6)
    np.testing.assert_allclose(shannon, entropy_worth(pool.probabilities), atol=1e-6)
    assert dtype == uncertainty(pool).dtype == entropy_worth(pool.probabilities).dtype


def test_two_leading_categories_that_tie_have_no_margin() -> None:
    tied = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4], [0.4, 0.2, 0.4], [0.0, 0.0, 1.0]])

    np.testing.assert_allclose([1.0, 1.0, 1.0, 0.0], margin_worth(tied))


def test_a_million_times_surer_is_still_surer() -> None:
    pool = Pool(["b", "a"], np.array([[1e-7], [1e-8]], dtype=np.float32))

    assert ["b", "a"] == chosen("top_positive", pool, 2)
    assert ["b", "a"] == chosen("margin", pool, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("categories", [2, 3, 8, 40])
@pytest.mark.parametrize("evenness", [0.01, 0.3, 1.0, 50.0])
def test_no_row_of_high_entropy_is_passed_over(
    dtype: type, categories: int, evenness: float
) -> None:
    rng = np.random.default_rng(categories)
    p = rng.dirichlet(np.full(categories, evenness), 5000).astype(dtype)
    p[1000:1100], p[2000:2050], p[3000] = p[:100], 1.0 / categories, np.eye(categories)[0]
    pool = Pool([f"i{row}" for row in rng.permutation(5000)], p, exclusive=True)
    bound = kernels.entropy_bounds(p) / np.log(categories)

    assert bool((bound >= entropy_worth(p) - 1e-5).all())
    for limit in (1, 30, 70, 4999):
        rows = entropy(pool, limit=limit, rng=np.random.default_rng(0))
        expected = best_first(entropy_worth(p), limit=limit, tie=pool.ids)
        assert expected.tolist() == rows.tolist()
