from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from sampling import k_means as k_means_room
from sampling import products, spread
from sampling.k_means import assign, k_means, lloyd
from sampling.spread import on_grid

Float32 = NDArray[np.float32]


def blobs(clusters: int, each: int, *, dimensions: int = 16, seed: int = 0) -> Float32:
    """On the grid; row i is of blob i % clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimensions))
    rows = np.tile(centres, (each, 1)) + 0.25 * rng.standard_normal((clusters * each, dimensions))
    return on_grid(rows.astype(np.float32))


def on_line(*places: float) -> Float32:
    """Rows of one dimension as if they were on the grid."""
    return np.array(places, dtype=np.float32)[:, None]


def cost(rows: Float32, centres: Float32) -> float:
    apart = ((rows[:, None].astype(np.float64) - centres) ** 2).sum(axis=2)
    return float(apart.min(axis=1).sum())


@pytest.mark.parametrize("seed", range(3))
def test_steps_lower_the_cost_and_reach_that_of_scikit_learn(seed: int) -> None:
    rows = blobs(12, 60, seed=seed)
    start = rows[np.random.default_rng(seed).choice(len(rows), 12, replace=False)]

    costs = [
        cost(rows, lloyd(rows, start, weights=np.ones(len(rows)), steps=steps))
        for steps in (0, 1, 2, 4, 8)
    ]
    # The best of five starts: a single one can be lucky or not with either.
    starts = [k_means(rows, clusters=12, rng=np.random.default_rng(one)) for one in range(5)]
    theirs = KMeans(12, n_init=5, max_iter=8, random_state=seed).fit(rows).inertia_

    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]
    assert min(cost(rows, centres) for centres in starts) < 1.03 * theirs


def test_the_same_steps_as_scikit_learn_from_the_same_start() -> None:
    rows = blobs(5, 200, seed=4)
    start = rows[:5]
    weights = np.random.default_rng(0).uniform(0.1, 3.0, len(rows))

    ours = lloyd(rows, start, weights=weights, steps=6)

    theirs = KMeans(5, init=start, n_init=1, max_iter=6, tol=0.0, algorithm="lloyd")
    theirs.fit(rows, sample_weight=weights)
    # Theirs are not rounded to the grid.
    assert np.abs(ours - theirs.cluster_centers_).max() < 3.0


def test_a_worked_step() -> None:
    rows = on_line(0, 10, 20, 100, 110)

    one = lloyd(rows, on_line(0, 20), weights=np.array([1.0, 1.0, 2.0, 1.0, 1.0]), steps=1)

    # 10 is as near to 0 as to 20: the first of equals has it.
    assert [[5.0], [62.0]] == one.tolist()  # (2 * 20 + 100 + 110) / 4 = 62.5, to the even one


def test_a_centre_without_rows_stays() -> None:
    rows = on_line(0, 2, 100, 102)
    start = on_line(0, 1000, 100)

    centres = lloyd(rows, start, weights=np.ones(4), steps=5)

    assert [[1.0], [1000.0], [101.0]] == centres.tolist()


def test_rows_that_weigh_nothing_move_no_centre() -> None:
    rows = on_line(0, 50, 60, 500)

    centres = lloyd(rows, on_line(0, 500), weights=np.array([1.0, 1.0, 0.0, 0.0]), steps=8)

    assert [[25.0], [500.0]] == centres.tolist()


def test_steps_end_where_centres_come_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    counted = k_means_room.assign
    monkeypatch.setattr(k_means_room, "assign", lambda *a: calls.append(1) or counted(*a))

    lloyd(on_line(0, 2, 100, 102), on_line(0, 100), weights=np.ones(4), steps=50)

    assert 2 == len(calls)


def test_where_rows_coincide_there_are_fewer_centres() -> None:
    rows = on_grid(np.repeat(np.eye(3, dtype=np.float32), 10, axis=0))

    centres = k_means(rows, clusters=8, rng=np.random.default_rng(0))

    assert 3 == len(centres)


@pytest.mark.parametrize("clusters", [0, 1, 5, 6])
def test_clusters_from_none_to_more_than_rows(clusters: int) -> None:
    rows = blobs(5, 1)

    centres = k_means(rows, clusters=clusters, rng=np.random.default_rng(0))

    assert min(clusters, 5) == len(centres)


def test_every_row_has_its_nearest_centre_and_the_exact_distance() -> None:
    rows, centres = blobs(7, 30), blobs(9, 1, seed=5)
    apart = ((rows[:, None].astype(np.int64) - centres.astype(np.int64)) ** 2).sum(axis=2)

    owner, near = assign(rows, centres)

    np.testing.assert_array_equal(apart.argmin(axis=1), owner)
    np.testing.assert_array_equal(apart.min(axis=1), near)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("block", [1, 13, 4096])
def test_neither_threads_nor_blocks_change_a_centre(
    threads: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = blobs(30, 30, dimensions=100)
    expected = k_means(rows, clusters=30, rng=np.random.default_rng(1))
    owner, near = assign(rows, expected)
    monkeypatch.setattr(k_means_room, "ROWS_PER_BLOCK", block)
    monkeypatch.setattr(spread, "ROWS_PER_BLOCK", block)
    monkeypatch.setattr(products, "CENTRES_AT_ONCE", 7)

    with products.threads(threads):
        found = k_means(rows, clusters=30, rng=np.random.default_rng(1))
        again, again_near = assign(rows, found)

    np.testing.assert_array_equal(expected, found)
    np.testing.assert_array_equal(owner, again)
    np.testing.assert_array_equal(near, again_near)


def test_many_centres_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    # 4,096 rows x 100,000 centres at once would be 1.6 GB.
    import torch

    largest = 0
    addmm = torch.addmm

    def seen(*args: torch.Tensor, **options: float) -> torch.Tensor:
        nonlocal largest
        made = addmm(*args, **options)
        largest = max(largest, made.numel())
        return made

    monkeypatch.setattr(torch, "addmm", seen)
    centres = blobs(3 * products.CENTRES_AT_ONCE, 1)

    owner, near = assign(centres, centres)

    assert list(range(len(centres))) == owner.tolist()
    assert not near.any()
    assert largest <= products.CENTRES_AT_ONCE * k_means_room.ROWS_PER_BLOCK
    assert largest < len(centres) ** 2
