"""Audits spent where they narrow what is promised: true chances, a fixed size, a fair order."""

from __future__ import annotations

import numpy as np
import pytest

from sampling import (
    Aim,
    AllocatedDraw,
    BadBudget,
    BadPlan,
    BadPool,
    BadWorth,
    Pool,
    draw_allocated,
    influence,
)


def pool_of(items: int, groups: list[str | None] | None = None) -> Pool:
    return Pool([f"i{k}" for k in range(items)], np.full((items, 1), 0.5), groups=groups)


def drawn(pool: Pool, worth: np.ndarray, seed: int, limit: int = 20) -> AllocatedDraw:
    return draw_allocated(
        pool, worth, limit=limit, floor_share=0.5, rng=np.random.default_rng(seed)
    )


def test_every_item_is_drawn_as_often_as_its_chance_says() -> None:
    pool, worth = pool_of(100), np.linspace(0.0, 3.0, 100) ** 2
    draws, times, chance = 3000, np.zeros(100), np.zeros(100)
    for seed in range(draws):
        found = drawn(pool, worth, seed)
        assert 20 == len(found.rows)
        assert found.expected == pytest.approx(20)
        times[found.rows] += 1
        chance[found.rows] = found.inclusion_probability

    assert chance[0] == pytest.approx(0.1)
    assert found.least() == pytest.approx(0.1)
    assert chance.sum() == pytest.approx(20)
    spread = np.sqrt(chance * (1 - chance) / draws)
    assert (np.abs(times / draws - chance) < 4.5 * spread).all()


def test_the_order_says_nothing_of_the_worth() -> None:
    pool, worth = pool_of(100), np.repeat([0.0, 1.0], 50)
    first, last = 0, 0
    for seed in range(2000):
        rows = drawn(pool, worth, seed).rows
        first += int(rows[0] >= 50)
        last += int(rows[-1] >= 50)

    assert abs(first - last) < 4 * np.sqrt(2000 * 0.4)
    assert abs(first / 2000 - 0.75) < 0.05  # as often as among all that are drawn


def test_the_same_seed_draws_the_same_whatever_the_order_of_rows() -> None:
    names = [f"i{k}" for k in range(60)]
    worth = np.arange(60.0)
    turned = np.random.default_rng(3).permutation(60)
    one = drawn(Pool(names, np.full((60, 1), 0.5)), worth, 7)
    two = drawn(Pool([names[k] for k in turned], np.full((60, 1), 0.5)), worth[turned], 7)

    assert [names[k] for k in one.rows] == [names[turned[k]] for k in two.rows]


def test_a_wave_takes_one_answer_and_counts_for_what_it_is() -> None:
    groups = ["wave" if k < 40 else None for k in range(100)]
    pool, worth = pool_of(100, groups), np.concatenate([np.full(40, 0.2), np.full(60, 1.0)])
    values = np.arange(100) < 40
    totals, asked = [], []
    for seed in range(800):
        found = drawn(pool, worth, seed, limit=10)
        asked.append(len(found.rows))
        assert len(found.aside) == found.stands_for.sum() - len(found.rows)
        assert np.isin(found.aside_for, found.rows).all()
        totals.append((values[found.rows] * found.stands_for / found.inclusion_probability).sum())

    assert np.mean(asked) == pytest.approx(10, abs=0.3)
    assert np.mean(totals) == pytest.approx(40, abs=3 * np.std(totals) / np.sqrt(800))


def test_without_worth_it_is_an_even_draw() -> None:
    found = drawn(pool_of(50), np.zeros(50), 1, limit=10)

    assert found.inclusion_probability == pytest.approx(np.full(10, 0.2))
    assert 0 == len(drawn(pool_of(0), np.zeros(0), 1).rows)
    assert 5 == len(drawn(pool_of(5), np.arange(5.0), 1).rows)


def test_it_asks_most_where_the_answer_moves_a_promise_most() -> None:
    p = np.array([[0.9], [0.6], [0.4], [0.05], [0.0]])
    flagged = p >= 0.5
    precision = influence(p, flagged, [Aim(0, "precision")])
    recall = influence(p, flagged, [Aim(0, "recall")])

    # f p (1 - p): .09, .24 of .33
    assert precision == pytest.approx(np.sqrt(np.array([0.09, 0.24, 0, 0, 0]) / 0.33))
    # R = 1.5 / 1.95; p (f - R)^2
    r = 1.5 / 1.95
    parts = np.array([0.9 * (1 - r) ** 2, 0.6 * (1 - r) ** 2, 0.4 * r**2, 0.05 * r**2, 0.0])
    assert recall == pytest.approx(np.sqrt(parts / parts.sum()))


def test_a_small_slice_counts_as_much_as_a_large_one() -> None:
    p = np.full((110, 1), 0.3)
    slices = np.repeat([0, 1], [100, 10])
    worth = influence(p, p >= 0.5, [Aim(0, "recall")], slices=slices)

    assert (worth[:100] ** 2).sum() == pytest.approx((worth[100:] ** 2).sum())


def test_nonsense_is_refused() -> None:
    p = np.full((3, 1), 0.5)
    with pytest.raises(BadPlan):
        influence(p, p > 0, [Aim(1, "recall")])
    with pytest.raises(BadPool):
        influence(p, p[:2] > 0, [])
    with pytest.raises(BadPool):
        influence(p, p > 0, [], slices=np.zeros(2, dtype=np.intp))
    with pytest.raises(BadBudget):
        draw_allocated(
            pool_of(3), np.ones(3), limit=1, floor_share=0.0, rng=np.random.default_rng(1)
        )
    with pytest.raises(BadWorth):
        drawn(pool_of(3), np.array([1.0, -1.0, 1.0]), 1, limit=2)
