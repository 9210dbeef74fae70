from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import STRATEGIES, Labelled, Pool, k_center, products
from sampling import pool as pool_room
from sampling.k_center import SAME_DISTANCE, farthest_first

RNG = np.random.default_rng(0)


def make_pool(
    embeddings: NDArray[np.floating], anchors: NDArray[np.floating] | None = None, *, seed: int = 1
) -> Pool:
    """Ids in another order than rows, one category, `anchors` labelled."""
    items = len(embeddings)
    ids = [f"i{number:05d}" for number in np.random.default_rng(seed).permutation(items)]
    labelled = None if anchors is None else Labelled(anchors, np.zeros((len(anchors), 1)))
    return Pool(ids, np.full((items, 1), 0.3), embeddings, labelled=labelled)


def plain_greedy(pool: Pool, *, limit: int, first: int | None = None) -> list[int]:
    """Greedy k-center as it is defined, in float64; what coincides with a centre last, by id."""
    points = pool.unit_embeddings(np.arange(len(pool))).astype(np.float64)
    rank = {item_id: place for place, item_id in enumerate(sorted(pool.item_ids))}
    ranks = np.array([rank[item_id] for item_id in pool.item_ids])
    distance = np.full(len(pool), np.inf)

    def apply(centre: NDArray[np.float64]) -> None:
        # Added one by one, so that equal distances come out equal wherever in a row they arise.
        apart = np.cumsum((points - centre) ** 2, axis=1)[:, -1]
        np.minimum(distance, apart, out=distance)

    for anchor in [] if pool.labelled is None else pool.labelled.unit_embeddings:
        apply(anchor.astype(np.float64))
    picks: list[int] = []
    while len(picks) < limit:
        distance[picks] = -1.0
        row = first if first is not None and not picks else None
        if row is None:
            farthest = np.flatnonzero(distance == distance.max())
            row = int(farthest[ranks[farthest].argmin()])
            if distance[row] <= SAME_DISTANCE:
                left = np.flatnonzero(~np.isin(np.arange(len(pool)), picks))
                return picks + left[ranks[left].argsort()][: limit - len(picks)].tolist()
        picks.append(row)
        apply(points[row])
    return picks


def noise(items: int, dimensions: int) -> NDArray[np.float32]:
    return RNG.standard_normal((items, dimensions)).astype(np.float32)


def with_copies(items: int, dimensions: int) -> NDArray[np.float32]:
    """Each row three times on average, some scaled; every seventh is zeros."""
    rows = noise(items // 3, dimensions)[RNG.integers(0, items // 3, items)]
    rows[::5] *= 3.7
    rows[::7] = 0.0
    return rows


def one_hot(items: int, dimensions: int) -> NDArray[np.float32]:
    return np.eye(dimensions, dtype=np.float32)[RNG.integers(0, dimensions, items)]


def signs(items: int, dimensions: int) -> NDArray[np.float32]:
    return np.where(noise(items, dimensions) > 0.0, 1.0, -1.0).astype(np.float32)


def nearly_tied(items: int, dimensions: int) -> NDArray[np.float32]:
    """Corners of a simplex, each moved by so little that distances differ by some 1e-6."""
    corners = np.eye(items, dimensions, dtype=np.float32)
    return corners + 4e-7 * noise(items, dimensions)


def alike(items: int, dimensions: int) -> NDArray[np.float32]:
    """Rows that share most of their direction: products add up many equal signs."""
    return 1.0 + 0.01 * noise(items, dimensions)


SHAPES = [
    pytest.param(noise(300, 8), id="noise"),
    pytest.param(noise(300, 1), id="one dimension"),
    pytest.param(noise(120, 384), id="many dimensions"),
    pytest.param(with_copies(300, 6), id="copies and zeros"),
    pytest.param(one_hot(300, 12), id="one-hot"),
    pytest.param(signs(300, 6), id="signs"),
    pytest.param(nearly_tied(100, 128), id="nearly tied"),
    pytest.param(alike(300, 384), id="alike"),
    pytest.param(noise(300, 8) * np.float32(1e30), id="huge"),
    pytest.param(noise(300, 8) * np.float32(1e-30), id="tiny"),
    pytest.param(noise(300, 8) * np.float32(1e-41), id="below the normal floats"),
    pytest.param(
        noise(300, 8) * (10.0 ** RNG.integers(-37, 37, (300, 1))).astype(np.float32), id="mixed"
    ),
    pytest.param(np.zeros((40, 3), dtype=np.float32), id="zeros"),
    pytest.param(np.ones((40, 3), dtype=np.float32), id="all alike"),
]


@pytest.mark.parametrize("embeddings", SHAPES)
@pytest.mark.parametrize("first", [None, 17])
def test_picks_are_those_of_plain_greedy(
    embeddings: NDArray[np.float32], first: int | None
) -> None:
    pool = make_pool(embeddings)
    limit = min(90, len(pool))

    expected = plain_greedy(pool, limit=limit, first=first)

    assert expected == farthest_first(pool, limit=limit, first=first).tolist()


@pytest.mark.parametrize("embeddings", SHAPES)
def test_picks_keep_away_from_what_is_labelled(embeddings: NDArray[np.float32]) -> None:
    # A few of the pool itself, one of them scaled, one of zeros, some of nowhere.
    dimensions = embeddings.shape[1]
    own = embeddings[:6] / np.maximum(np.abs(embeddings[:6]).max(axis=1, keepdims=True), 1e-44)
    anchors = np.concatenate([own, 2.5 * own[:1], np.zeros((1, dimensions)), noise(3, dimensions)])
    pool = make_pool(embeddings, anchors)
    limit = min(60, len(pool))

    expected = plain_greedy(pool, limit=limit)

    assert expected == farthest_first(pool, limit=limit).tolist()


@pytest.mark.parametrize("embeddings", SHAPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_neither_what_is_kept_nor_blocks_nor_threads_change_a_pick(
    embeddings: NDArray[np.float32], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(embeddings, noise(5, embeddings.shape[1]))
    limit = min(70, len(pool))
    expected = plain_greedy(pool, limit=limit)
    monkeypatch.setattr(pool_room, "ROWS_PER_BLOCK", 11)
    monkeypatch.setattr(products, "CENTRES_AT_ONCE", 3)

    for kept, leading in ((1, 1), (2, 1), (13, 2), (13, 5), (40, 3)):
        monkeypatch.setattr(k_center, "_KEPT_CURRENT", kept)
        monkeypatch.setattr(k_center, "_LEADING", leading)
        with products.threads(threads):
            assert expected == farthest_first(pool, limit=limit).tolist()


def test_of_more_equals_than_are_compared_the_first_by_id_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(k_center, "_COMPARED_AT_ONCE", 5)
    pool = make_pool(one_hot(300, 12))

    assert plain_greedy(pool, limit=40) == farthest_first(pool, limit=40).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("anchored", [False, True])
def test_thousands_of_rows_come_in_the_order_of_plain_greedy(anchored: bool) -> None:
    # More than are kept current, strongly directed as embeddings are, with some copies.
    rows = noise(6_000, 384) + 2.0 * noise(1, 384)
    rows[::50] = rows[1::50]
    pool = make_pool(rows, noise(40, 384) if anchored else None)
    points = pool.unit_embeddings(np.arange(6_000)).astype(np.float64)
    distance = np.full(6_000, np.inf)
    if pool.labelled is not None:
        for anchor in pool.labelled.unit_embeddings.astype(np.float64):
            np.minimum(distance, ((points - anchor) ** 2).sum(axis=1), out=distance)
    ranks = np.argsort(pool.by_id)
    expected: list[int] = []
    while len(expected) < 300:
        equals = np.flatnonzero(distance >= distance.max() - 1e-12)
        expected.append(int(equals[ranks[equals].argmin()]))
        apart = ((points - points[expected[-1]]) ** 2).sum(axis=1)
        np.minimum(distance, apart, out=distance)

    assert expected == farthest_first(pool, limit=300).tolist()


@pytest.mark.slow
def test_mass_ties_cost_no_more_than_a_pass_a_pick(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = make_pool(one_hot(20_000, 40))
    compared = 0
    measure = k_center._Cover._measure

    def counted(cover: k_center._Cover, rows: NDArray[np.intp], *, start: int) -> None:
        nonlocal compared
        compared += len(rows) * (cover._count - start)
        measure(cover, rows, start=start)

    monkeypatch.setattr(k_center._Cover, "_measure", counted)

    picks = farthest_first(pool, limit=40, first=0)

    assert 40 == len({tuple(row) for row in pool.unit_embeddings(picks).tolist()})
    assert compared <= 20_000 * 40


def test_the_strategy_starts_at_the_most_uncertain() -> None:
    pool = Pool(list("abcd"), [[0.1], [0.45], [0.9], [0.2]], np.eye(4))

    rows = STRATEGIES["k_center"](pool, limit=3, rng=RNG)

    assert [1, 0, 2] == rows.tolist()


def test_the_strategy_starts_away_from_what_is_labelled() -> None:
    labelled = Labelled([[1.0, 0.1], [1.0, -0.1]], [[1.0], [0.0]])
    embeddings = [[2.0, 0.2], [0.0, 1.0], [-1.0, 0.0], [0.1, 1.0]]
    pool = Pool(list("abcd"), [[0.5], [0.1], [0.1], [0.5]], embeddings, labelled=labelled)

    rows = STRATEGIES["k_center"](pool, limit=4, rng=RNG)

    assert [2, 1, 3, 0] == rows.tolist()


def test_each_pick_halves_no_more_than_greedy_may() -> None:
    # Gonzalez (1985): greedy is within twice the best radius; on a line of evenly spaced arcs
    # the best cover by five centres is known.
    angles = np.linspace(0.0, np.pi, 101)
    pool = make_pool(np.column_stack([np.cos(angles), np.sin(angles)]))

    picks = farthest_first(pool, limit=5)

    reach = np.abs(angles[:, None] - angles[picks]).min(axis=1).max()
    assert reach <= 2 * np.pi / 10 + 1e-9


@pytest.mark.parametrize("limit", [0, 1, 5, 6])
def test_limits_from_none_to_more_than_there_are(limit: int) -> None:
    pool = make_pool(noise(5, 3))

    rows = farthest_first(pool, limit=limit, first=3)

    assert min(limit, 5) == len(rows) == len(set(rows.tolist()))
    assert [3][:limit] == rows[:1].tolist()
