from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sampling import (
    BadBudget,
    BadWorth,
    gumbel_top_k,
    keyed_uniforms,
    lure_weights,
    neyman_allocation,
    poisson_probabilities,
)
from sampling.probability import gumbel_draw, whole_allocation
from tests.sampling.siphash import drawn_by_hand, siphash

STEADY = settings(deadline=None, derandomize=True, max_examples=200)


def test_siphash_of_the_published_vectors() -> None:
    key = bytes(range(16))

    assert 0xA129CA6149BE45E5 == siphash(key, bytes(range(15)), each=2, last=4)
    assert 0xABAC0158050FC4DC == siphash(key, b"")


def by_bisection(worth: NDArray[np.float64], *, budget: float, floor: float) -> NDArray[np.float64]:
    low, high = 0.0, 1e12
    for _ in range(200):
        middle = (low + high) / 2
        if np.minimum(1.0, floor + middle * worth).sum() < budget:
            low = middle
        else:
            high = middle
    return np.minimum(1.0, floor + high * worth)


def test_poisson_probabilities_of_the_worked_example() -> None:
    worth = np.array([0.5, 0.25, 0.1, 0.05, 0.01])

    found = poisson_probabilities(worth, budget=2, floor=0.05)

    np.testing.assert_allclose([1, 0.537805, 0.245122, 0.147561, 0.069512], found, atol=5e-7)


@pytest.mark.parametrize("seed", range(20))
def test_poisson_probabilities_agree_with_bisection(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worth = rng.pareto(1.0, size=200)
    budget = float(rng.uniform(5, 190))
    floor = float(rng.uniform(0, 1)) * budget / 200

    found = poisson_probabilities(worth, budget=budget, floor=floor)

    np.testing.assert_allclose(
        by_bisection(worth, budget=budget, floor=floor), found, rtol=1e-6, atol=1e-9
    )
    assert budget == pytest.approx(found.sum())


@pytest.mark.parametrize(
    ("worth", "budget", "floor", "expected"),
    [
        ([1.0, 2.0], 2, 0.0, [1, 1]),
        ([1.0, 2.0], 9, 0.0, [1, 1]),
        ([1.0, 2.0], 0, 0.0, [0, 0]),
        ([0.0, 0.0, 0.0, 0.0], 1, 0.0, [0.25, 0.25, 0.25, 0.25]),
        ([3.0, 0.0, 0.0], 2, 0.1, [1, 0.5, 0.5]),
        ([1.0, 5.0], 0.5, 0.25, [0.25, 0.25]),
        ([], 3, 0.5, []),
    ],
)
def test_poisson_probabilities_at_the_edges(
    worth: list[float], budget: float, floor: float, expected: list[float]
) -> None:
    found = poisson_probabilities(np.array(worth), budget=budget, floor=floor)

    np.testing.assert_allclose(expected, found)


def test_a_floor_above_the_budget_is_refused_with_the_highest_that_fits() -> None:
    with pytest.raises(BadBudget, match=r"lower the floor to 0\.2 or less"):
        poisson_probabilities(np.ones(10), budget=2, floor=0.3)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_a_worth_that_is_no_size_is_refused_by_row(wrong: float) -> None:
    worth = np.array([1.0, 1.0, wrong])

    with pytest.raises(BadWorth, match="row 2"):
        poisson_probabilities(worth, budget=1, floor=0.0)
    with pytest.raises(BadWorth, match="row 2"):
        gumbel_top_k(worth, limit=1, rng=np.random.default_rng(0))


def test_a_worth_of_zero_cannot_be_drawn_and_is_refused() -> None:
    with pytest.raises(BadWorth, match="row 1: the worth is 0"):
        gumbel_top_k(np.array([1.0, 0.0]), limit=1, rng=np.random.default_rng(0))


def test_gumbel_at_the_edges() -> None:
    rng = np.random.default_rng(0)

    rows, inclusion = gumbel_top_k(np.array([1.0, 2.0, 3.0]), limit=5, rng=rng)
    none, _ = gumbel_top_k(np.array([1.0, 2.0]), limit=0, rng=rng)

    assert [0, 1, 2] == sorted(rows.tolist())
    assert [1.0, 1.0, 1.0] == inclusion.tolist()
    assert [] == none.tolist()
    with pytest.raises(BadBudget):
        gumbel_top_k(np.ones(3), limit=-1, rng=rng)


def test_one_gumbel_draw_is_in_proportion_to_worth() -> None:
    worth = np.array([1.0, 2.0, 7.0])
    rng = np.random.default_rng(1)
    draws = 20_000

    first = [gumbel_top_k(worth, limit=1, rng=rng)[0][0] for _ in range(draws)]

    share = np.bincount(first, minlength=3) / draws
    error = np.sqrt(worth / 10 * (1 - worth / 10) / draws)
    assert bool((np.abs(share - worth / 10) < 3.5 * error).all())


def test_gumbel_probabilities_are_the_true_ones() -> None:
    worth = np.random.default_rng(2).pareto(1.5, size=30) + 0.05
    rng = np.random.default_rng(3)
    draws = 20_000
    included = np.zeros((draws, 30))
    stated = np.zeros((draws, 30))
    weighed = np.zeros((draws, 30))

    for draw in range(draws):
        rows, inclusion = gumbel_draw(worth, limit=8, rng=rng)
        included[draw, rows] = 1.0
        stated[draw] = inclusion
        weighed[draw, rows] = 1.0 / inclusion[rows]

    # A row is in as often as it was said to be, and weighed by 1/p every row counts for one.
    gap = included - stated
    gap_error = gap.std(axis=0, ddof=1) / np.sqrt(draws)
    assert bool((np.abs(gap.mean(axis=0)) < 3.5 * gap_error).all())
    error = weighed.std(axis=0, ddof=1) / np.sqrt(draws)
    assert bool((np.abs(weighed.mean(axis=0) - 1.0) < 3.5 * error).all())


def test_keyed_uniforms_can_be_computed_again_item_by_item() -> None:
    ids = ["a", "b", "ä"]

    together = keyed_uniforms(ids, key=b"secret", round_id="r1")

    assert [
        keyed_uniforms([item_id], key=b"secret", round_id="r1")[0] for item_id in ids
    ] == together.tolist()
    assert [drawn_by_hand(item_id, b"secret", "r1") for item_id in ids] == together.tolist()


@pytest.mark.parametrize(
    ("key", "round_id"), [(b"secret", "r2"), (b"other", "r1")], ids=["round", "key"]
)
def test_another_round_or_key_draws_anew(key: bytes, round_id: str) -> None:
    ids = [f"i{row}" for row in range(50)]

    before = keyed_uniforms(ids, key=b"secret", round_id="r1")

    assert not np.isin(keyed_uniforms(ids, key=key, round_id=round_id), before).any()


def test_round_and_item_do_not_run_into_each_other() -> None:
    one = keyed_uniforms(["2x"], key=b"k", round_id="r1")[0]

    assert one != keyed_uniforms(["x"], key=b"k", round_id="r12")[0]


def test_keyed_uniforms_are_uniform() -> None:
    drawn = np.sort(keyed_uniforms([f"i{row}" for row in range(20_000)], key=b"k", round_id="r"))

    # Kolmogorov and Smirnov's distance; 1.95 / sqrt(n) is passed once in a thousand keys.
    distance = np.abs(drawn - (np.arange(20_000) + 0.5) / 20_000).max()
    assert distance < 1.95 / np.sqrt(20_000)
    assert bool((drawn >= 0.0).all())
    assert bool((drawn < 1.0).all())


# Draws one after the other


@pytest.mark.parametrize(
    ("items", "proposals", "expected"),
    [
        (5, [0.4, 0.3], [0.625, 0.833333]),
        (10, [0.3, 0.2, 0.5], [0.481481, 0.611111, 0.25]),
        (3, [1 / 3, 1 / 2, 1.0], [1.0, 1.0, 1.0]),  # all of them: nothing is left to weigh
        (3, [0.9, 0.05, 1.0], [1.0, 1.0, 1.0]),
        (4, [0.25], [1.0]),  # an even chance
        (1, [1.0], [1.0]),
        (7, [], []),
    ],
)
def test_lure_weights_of_the_worked_examples(
    items: int, proposals: list[float], expected: list[float]
) -> None:
    found = lure_weights(np.array(proposals), items=items)

    np.testing.assert_allclose(expected, found, atol=5e-7)


@STEADY
@given(st.integers(1, 200), st.data())
def test_even_chances_weigh_one(items: int, data: st.DataObject) -> None:
    draws = data.draw(st.integers(0, items))

    found = lure_weights(1.0 / (items - np.arange(draws)), items=items)

    np.testing.assert_allclose(np.ones(draws), found, atol=1e-9)


def test_lure_weights_are_one_on_average_and_meet_the_mean() -> None:
    rng = np.random.default_rng(0)
    worth, values = rng.pareto(2.0, 12) + 0.2, rng.random(12)
    runs = 10_000
    weights, means = np.zeros((runs, 5)), np.zeros(runs)

    for run in range(runs):
        # The five that arrive first are draws without replacement, in proportion to worth.
        rows = np.argsort(rng.exponential(size=12) / worth)[:5]
        left = worth.sum() - np.concatenate([[0.0], np.cumsum(worth[rows])[:-1]])
        weights[run] = lure_weights(worth[rows] / left, items=12)
        means[run] = (weights[run] * values[rows]).mean()

    error = weights.std(axis=0, ddof=1) / np.sqrt(runs)
    assert bool((np.abs(weights.mean(axis=0) - 1.0) < 3.5 * error).all())
    assert abs(means.mean() - values.mean()) < 3.5 * means.std(ddof=1) / np.sqrt(runs)


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.1, np.nan, np.inf])
def test_a_chance_that_is_none_is_refused_by_draw(wrong: float) -> None:
    with pytest.raises(BadWorth, match="row 1"):
        lure_weights(np.array([0.5, wrong]), items=4)


def test_more_draws_than_items_are_refused() -> None:
    with pytest.raises(BadBudget, match="3 draws without replacement from 2 items"):
        lure_weights(np.array([0.5, 1.0, 1.0]), items=2)


# Slices


def test_neyman_allocation_of_the_worked_example() -> None:
    rates = np.array([0.001, 0.1, 0.6])

    found = neyman_allocation(
        np.array([9000.0, 900.0, 100.0]), np.sqrt(rates * (1 - rates)), limit=1000
    )

    np.testing.assert_allclose([471.39, 447.43, 81.18], found, atol=0.005)


def test_slices_that_do_not_vary_share_by_size() -> None:
    assert [75.0, 25.0] == neyman_allocation(np.array([3.0, 1.0]), np.zeros(2), limit=100).tolist()
    assert [0.0, 0.0] == neyman_allocation(np.zeros(2), np.ones(2), limit=100).tolist()


def test_neyman_allocation_beats_any_other() -> None:
    rng = np.random.default_rng(0)
    sizes, apart = rng.integers(50, 5_000, 5).astype(float), rng.uniform(0.01, 0.5, 5)

    def variance(picks: NDArray[np.float64]) -> float:
        return float((sizes**2 * apart**2 / picks).sum())

    best = variance(neyman_allocation(sizes, apart, limit=100.0))

    for _ in range(200):
        others = rng.dirichlet(np.ones(5)) * 100.0
        assert best <= variance(others) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("wanted", "sizes", "limit", "least", "expected"),
    [
        ([471.39, 447.43, 81.18], [9000, 900, 100], 1000, 0, [471, 448, 81]),
        ([1.0, 1.0, 1.0], [10, 10, 2], 12, 0, [5, 5, 2]),  # what one does not have, others get
        ([9.0, 1.0, 0.0], [100, 100, 100], 10, 3, [4, 3, 3]),
        ([9.0, 1.0, 0.0], [100, 100, 100], 8, 3, [3, 3, 2]),  # no room for three of each
        ([9.0, 1.0, 0.0], [100, 2, 100], 10, 3, [5, 2, 3]),
        ([0.0, 0.0], [5, 5], 3, 0, [2, 1]),
        ([1.0, 1.0], [0, 5], 3, 2, [0, 3]),
        ([1.0], [4], 9, 2, [4]),
        ([], [], 3, 1, []),
    ],
)
def test_worked_allocations_in_whole_picks(
    wanted: list[float], sizes: list[int], limit: int, least: int, expected: list[int]
) -> None:
    found = whole_allocation(np.array(wanted), np.array(sizes, dtype=int), limit=limit, least=least)

    assert expected == found.tolist()


slices_of = st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 60)), min_size=1, max_size=12)


@STEADY
@given(slices_of, st.integers(0, 300), st.integers(0, 20))
def test_whole_allocations_keep_what_they_promise(
    slices: list[tuple[int, int]], limit: int, least: int
) -> None:
    wanted = np.array([one for one, _ in slices], dtype=float)
    sizes = np.array([size for _, size in slices])

    picks = whole_allocation(wanted, sizes, limit=limit, least=least)

    fits = int(np.minimum(sizes, least).sum()) <= limit
    assert min(limit, int(sizes.sum())) == picks.sum()
    assert bool(((picks >= 0) & (picks <= sizes)).all())
    if fits:
        assert bool((picks >= np.minimum(sizes, least)).all())
        # Who wants more has no fewer, where both have as many.
        for one in range(len(sizes)):
            wants_less = (wanted < wanted[one]) & (sizes <= sizes[one])
            assert bool((picks[wants_less] <= max(picks[one], least)).all())
    else:
        room = picks < sizes
        assert not room.any() or picks.max() - picks[room].min() <= 1
    # None is left without a chance while there is a pick for each.
    assert least == 0 or limit < len(sizes) or bool((picks[sizes > 0] > 0).all())


@STEADY
@given(st.lists(st.floats(0.1, 50.0), min_size=1, max_size=8), st.integers(1, 400))
def test_whole_allocations_are_within_a_pick_of_what_is_wanted(
    shares: list[float], limit: int
) -> None:
    wanted = np.array(shares) / sum(shares) * limit

    picks = whole_allocation(wanted, np.full(len(shares), 1_000), limit=limit, least=0)

    # Sainte-Lague stays within one of the quota but for many very small slices.
    assert bool((np.abs(picks - wanted) < 2.0).all())
