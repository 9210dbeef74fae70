from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sampling import Pool, products, spread
from sampling import pool as pool_room
from sampling.spread import (
    STEPS,
    Points,
    PoolPoints,
    Space,
    draw_spread,
    nearest_centre,
    on_grid,
    rows_on_grid,
)

RUNS = 6_000
RNG = np.random.default_rng(0)


def noise(items: int, dimensions: int) -> NDArray[np.float32]:
    return RNG.standard_normal((items, dimensions)).astype(np.float32)


def make_pool(embeddings: NDArray[np.floating]) -> Pool:
    ids = [f"i{row:04d}" for row in range(len(embeddings))]
    return Pool(ids, np.full((len(ids), 1), 0.5), embeddings)


def squared_distances(grid: NDArray[np.float32]) -> NDArray[np.int64]:
    whole = grid.astype(np.int64)
    found: NDArray[np.int64] = ((whole[:, None] - whole) ** 2).sum(axis=2)
    return found


def law_of(
    distances: NDArray[np.floating], weights: NDArray[np.floating], *, picks: int
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every sequence of that many picks and its probability, by the definition of k-means++."""
    for sequence in permutations(range(len(weights)), picks):
        probability = weights[sequence[0]] / weights.sum()
        for place in range(1, picks):
            mass = weights * distances[:, sequence[:place]].min(axis=1)
            probability *= mass[sequence[place]] / mass.sum()
        yield sequence, float(probability)


def surprise(drawn: list[tuple[int, ...]], law: Iterator[tuple[tuple[int, ...], float]]) -> float:
    """The p-value of Pearson's test; sequences that are expected less than five times as one."""
    counts: dict[tuple[int, ...], int] = {}
    for one in drawn:
        counts[one] = counts.get(one, 0) + 1
    expected, found, rare, rarely = [], [], 0.0, 0
    for sequence, probability in law:
        if probability * len(drawn) >= 5.0:
            expected.append(probability * len(drawn))
            found.append(counts.get(sequence, 0))
        else:
            rare += probability * len(drawn)
            rarely += counts.get(sequence, 0)
    if rare < 5.0:
        assert rarely < 20
        expected[0], found[0] = expected[0] + rare, found[0] + rarely
    else:
        expected.append(rare)
        found.append(rarely)
    return float(stats.chisquare(found, np.array(expected) * sum(found) / sum(expected)).pvalue)


# The law


@pytest.mark.slow
@pytest.mark.parametrize(("proposals", "pending"), [(64, 512), (2, 1), (3, 2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_picks_follow_the_law_of_k_means_plus_plus(
    weighted: bool, proposals: int, pending: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "_PROPOSALS", proposals)
    monkeypatch.setattr(spread, "_PENDING_AT_MOST", pending)
    rows = on_grid(np.random.default_rng(1).standard_normal((6, 3)).astype(np.float32))
    weights = np.array([1.0, 0.2, 3.0, 1.0, 0.0, 2.0]) if weighted else np.ones(6)
    order = np.array([3, 1, 5, 0, 2, 4])

    drawn = [
        tuple(
            draw_spread(
                Points(rows),
                limit=3,
                order=order,
                rng=np.random.default_rng(seed),
                weights=weights if weighted else None,
            ).tolist()
        )
        for seed in range(RUNS)
    ]

    law = law_of(squared_distances(rows).astype(float), weights, picks=3)
    assert surprise(drawn, law) > 0.001


@pytest.mark.slow
def test_another_law_would_be_noticed() -> None:
    rows = on_grid(np.random.default_rng(1).standard_normal((6, 3)).astype(np.float32))

    drawn = [
        tuple(
            draw_spread(
                Points(rows), limit=3, order=np.arange(6), rng=np.random.default_rng(seed)
            ).tolist()
        )
        for seed in range(RUNS)
    ]

    # By distance, not by its square.
    law = law_of(np.sqrt(squared_distances(rows).astype(float)), np.ones(6), picks=3)
    assert surprise(drawn, law) < 1e-6


def test_the_order_given_is_what_is_drawn_over_and_not_that_of_rows() -> None:
    rows = on_grid(noise(200, 5))
    turned = RNG.permutation(200)
    weights = RNG.random(200)

    straight = draw_spread(
        Points(rows),
        limit=50,
        order=np.arange(200),
        rng=np.random.default_rng(2),
        weights=weights,
    )
    other = draw_spread(
        Points(rows[turned]),
        limit=50,
        order=np.argsort(turned),
        rng=np.random.default_rng(2),
        weights=weights[turned],
    )

    assert straight.tolist() == turned[other].tolist()


def test_what_coincides_with_a_pick_is_not_drawn() -> None:
    rows = on_grid(np.repeat(noise(7, 4), 30, axis=0))

    picks = draw_spread(Points(rows), limit=50, order=np.arange(210), rng=RNG)

    assert set(range(7)) == set((picks // 30).tolist())
    assert 7 == len(picks)


def test_where_all_coincide_one_is_enough() -> None:
    for rows in (np.zeros((20, 3), np.float32), on_grid(np.ones((20, 3), np.float32))):
        for first in (None, 4):
            picks = draw_spread(Points(rows), limit=5, order=np.arange(20), rng=RNG, first=first)
            assert 1 == len(picks)
            assert first is None or [first] == picks.tolist()


def test_what_weighs_nothing_is_not_drawn() -> None:
    rows, weights = on_grid(noise(40, 4)), np.zeros(40)
    weights[[3, 17, 31]] = [0.1, 5.0, 1e-9]

    for seed in range(50):
        picks = draw_spread(
            Points(rows),
            limit=10,
            order=np.arange(40),
            rng=np.random.default_rng(seed),
            weights=weights,
        )
        assert {3, 17, 31} == set(picks.tolist())


def test_where_nothing_weighs_nothing_is_drawn() -> None:
    none = draw_spread(
        Points(on_grid(noise(5, 2))), limit=3, order=np.arange(5), rng=RNG, weights=np.zeros(5)
    )

    assert [] == none.tolist()


def test_the_first_may_be_given_whatever_it_weighs() -> None:
    weights = np.array([0.0, 1.0, 1.0])

    picks = draw_spread(
        Points(on_grid(np.eye(3, dtype=np.float32))),
        limit=3,
        order=np.arange(3),
        rng=RNG,
        weights=weights,
        first=0,
    )

    assert 0 == picks[0]
    assert {0, 1, 2} == set(picks.tolist())


@pytest.mark.parametrize("limit", [-1, 0, 1, 9, 10, 11])
def test_limits_from_none_to_more_than_there_are(limit: int) -> None:
    picks = draw_spread(Points(on_grid(noise(10, 3))), limit=limit, order=np.arange(10), rng=RNG)

    assert min(max(limit, 0), 10) == len(picks) == len(set(picks.tolist()))


def test_a_thousand_picks_take_few_passes() -> None:
    class Counted(Points):
        passes = 0

        def lower(self, nearest: NDArray[np.float32], centres: NDArray[np.intp]) -> None:
            self.passes += 1
            super().lower(nearest, centres)

    space = Counted(on_grid(noise(5_000, 16)))

    picks = draw_spread(space, limit=1_000, order=np.arange(5_000), rng=np.random.default_rng(0))

    assert 1_000 == len(set(picks.tolist()))
    assert space.passes < 25


# The space


SPACES = [
    pytest.param(noise(60, 1), id="one dimension"),
    pytest.param(noise(60, 8), id="few"),
    pytest.param(noise(60, 768), id="many"),
    pytest.param(noise(60, 8) * np.float32(1e30), id="huge"),
    pytest.param(noise(60, 8) * np.float32(1e-41), id="tiny"),
    pytest.param(np.where(RNG.random((60, 5)) < 0.5, 0.0, 1.0).astype(np.float32), id="zeros"),
    # The farthest two rows can be, where rounding up adds most.
    pytest.param(np.outer([1.0, -1.0], np.ones(8_000)).astype(np.float32), id="opposite"),
]


@pytest.mark.parametrize("embeddings", SPACES)
@pytest.mark.parametrize("space_of", [Points, PoolPoints])
def test_distances_are_exact_however_they_are_asked_for(
    embeddings: NDArray[np.float32], space_of: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_room, "ROWS_PER_BLOCK", 7)
    monkeypatch.setattr(spread, "ROWS_PER_BLOCK", 7)
    grid = on_grid(embeddings)
    exact = squared_distances(grid)
    space: Space = Points(grid) if space_of is Points else PoolPoints(make_pool(embeddings))
    some = np.arange(len(grid))[::3]

    between = space.between(some, np.arange(len(grid)))
    nearest = np.full(len(grid), np.inf, dtype=np.float32)
    space.lower(nearest, some[:1])
    space.lower(nearest, some)

    assert exact.max() < 2**24
    np.testing.assert_array_equal(exact[some], between)
    np.testing.assert_array_equal(exact[some].min(axis=0), nearest)
    assert len(grid) == len(space)


@pytest.mark.parametrize("count", [1, 2])
def test_threads_do_not_change_a_distance(count: int) -> None:
    rows, centres = on_grid(noise(5_000, 100)), on_grid(noise(90, 100))
    products_of = centres.astype(np.int64) @ rows.T.astype(np.int64)
    reached = 2 * products_of - (centres.astype(np.int64) ** 2).sum(axis=1)[:, None]

    with products.threads(count):
        best, owner = nearest_centre(rows, centres)

    np.testing.assert_array_equal(reached.max(axis=0), best)
    np.testing.assert_array_equal(reached.argmax(axis=0), owner)


def test_of_equally_near_centres_the_first_owns_a_row() -> None:
    rows = on_grid(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=np.float32))
    centres = rows[[1, 0, 0, 1]]

    _best, owner = nearest_centre(rows, centres)

    assert [1, 0, 0] == owner.tolist()


def test_on_the_grid_rows_are_whole_and_point_the_same_way() -> None:
    rows = noise(50, 64)

    grid = on_grid(rows)

    assert np.float32 == grid.dtype
    np.testing.assert_array_equal(np.rint(grid), grid)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.linalg.norm(grid / STEPS - unit, axis=1).max() < 0.003
    np.testing.assert_array_equal(grid, on_grid(rows * np.float32(2.0**40)))
    np.testing.assert_array_equal(0.0, on_grid(np.zeros((2, 3), np.float32)))


def test_rows_of_a_pool_come_onto_the_grid_in_the_order_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for room in (pool_room, spread):
        monkeypatch.setattr(room, "ROWS_PER_BLOCK", 3)
    pool = make_pool(noise(20, 4))
    rows = np.array([5, 19, 0, 7, 5, 12, 3])

    np.testing.assert_array_equal(on_grid(pool.embeddings(rows)), rows_on_grid(pool, rows))
    np.testing.assert_array_equal(rows_on_grid(pool, rows), PoolPoints(pool).rows(rows))
