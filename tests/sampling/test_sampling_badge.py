from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sampling import STRATEGIES, Pool, badge, products, spread
from sampling import pool as pool_room
from sampling.badge import Gradients, residuals
from sampling.pool import unit

RUNS = 6_000


def make_pool(
    items: int = 7,
    *,
    categories: int = 3,
    dimensions: int | None = 4,
    exclusive: bool = False,
    seed: int = 0,
) -> Pool:
    rng = np.random.default_rng(seed)
    probabilities = rng.random((items, categories))
    if exclusive:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    embeddings = None if dimensions is None else 3.0 * rng.standard_normal((items, dimensions))
    ids = [f"i{number:05d}" for number in rng.permutation(items)]
    return Pool(ids, probabilities, embeddings, exclusive=exclusive)


def gradients_of(pool: Pool) -> NDArray[np.float64]:
    """Shape (N, C * D): by the logits and the last layer, written out."""
    p = pool.probabilities.astype(np.float64)
    leading = np.eye(p.shape[1])[p.argmax(axis=1)]
    answer = leading if pool.exclusive else (p >= 0.5).astype(float)
    points = np.ones((len(pool), 1))
    if pool.has_embeddings:
        points = unit(pool.embeddings(np.arange(len(pool)))).astype(np.float64)
    return np.stack(
        [np.outer(left, right).ravel() for left, right in zip(p - answer, points, strict=True)]
    )


def squared_distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(((points[:, None] - points) ** 2).sum(axis=2))


def chosen(pool: Pool, *, limit: int, seed: int = 0) -> list[int]:
    rows = STRATEGIES["badge"](pool, limit=limit, rng=np.random.default_rng(seed))
    return [int(row) for row in rows]


# The gradient


def test_worked_residuals() -> None:
    whole = np.array([[0.5, 0.25, 0.25], [0.4, 0.4, 0.2]])
    apart = np.array([[0.5, 0.25, 0.0], [0.75, 0.5, 1.0]])

    found = residuals(whole, exclusive=True), residuals(apart, exclusive=False)

    np.testing.assert_allclose([[-0.5, 0.25, 0.25], [-0.6, 0.4, 0.2]], found[0])
    np.testing.assert_allclose([[-0.5, 0.25, 0.0], [-0.25, -0.5, 0.0]], found[1])
    assert [[0.5, 0.25, 0.25], [0.4, 0.4, 0.2]] == whole.tolist()


SHAPES = [
    pytest.param({"exclusive": True}, id="exclusive"),
    pytest.param({"exclusive": False}, id="independent"),
    pytest.param({"categories": 1}, id="one category"),
    pytest.param({"categories": 40, "exclusive": True}, id="many categories"),
    pytest.param({"dimensions": 384}, id="many dimensions"),
    pytest.param({"dimensions": None, "exclusive": True}, id="no embeddings"),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_the_gradients_written_out(shape: dict[str, int]) -> None:
    pool = make_pool(60, **shape)  # type: ignore[arg-type]
    exact = squared_distances(gradients_of(pool))

    found = Gradients(pool).between(np.arange(60), np.arange(60)).astype(np.float64)

    scale = (exact * found).sum() / (found**2).sum()  # the grid's steps
    np.testing.assert_allclose(exact, found * scale, atol=2e-3 * exact.max())
    assert not found.diagonal().any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_distances_come_out_the_same_however_they_are_asked_for(
    shape: dict[str, int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(200, **shape)  # type: ignore[arg-type]
    whole = Gradients(pool)
    everything = np.arange(200)
    expected = whole.between(everything, everything)
    for room in (pool_room, spread, badge):
        monkeypatch.setattr(room, "ROWS_PER_BLOCK", 13, raising=False)

    with products.threads(threads):
        gradients = Gradients(pool)
        some = np.array([199, 3, 50, 3, 77])
        between = gradients.between(everything, some)
        nearest = np.full(200, np.inf, dtype=np.float32)
        gradients.lower(nearest, some[:2])
        gradients.lower(nearest, some[2:])
        one_by_one = [gradients.between(everything[row : row + 1], some)[0] for row in everything]

    np.testing.assert_array_equal(expected[:, some], between)
    np.testing.assert_array_equal(expected[:, some].min(axis=1), nearest)
    np.testing.assert_array_equal(expected[:, some], np.stack(one_by_one))


def test_without_embeddings_residuals_come_in_blocks_too() -> None:
    gradients = Gradients(make_pool(3 * pool_room.ROWS_PER_BLOCK + 5, dimensions=None))

    parts = [part for part, _ in gradients._blocks()]

    assert pool_room.ROWS_PER_BLOCK == max(part.stop - part.start for part in parts)
    assert list(range(len(gradients))) == [
        row for part in parts for row in range(part.start, part.stop)
    ]


def test_the_gradients_are_never_written_out() -> None:
    # Written out they would be 20,000 x 32 x 256 numbers, 655 MB in float32.
    pool = make_pool(20_000, categories=32, dimensions=256)
    chosen(pool.take(np.arange(500)), limit=20)

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        chosen(pool, limit=100)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    # 16 MB, of which the residuals and a block of embeddings are 7: the pool's 20 are not copied.
    assert peak < 25e6


# The picks


@pytest.mark.slow
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("dimensions", [4, None])
def test_picks_follow_the_law_over_the_gradients(exclusive: bool, dimensions: int | None) -> None:
    pool = make_pool(7, exclusive=exclusive, dimensions=dimensions, seed=3)
    gradients = gradients_of(pool)
    distance = squared_distances(gradients)
    first = int((gradients**2).sum(axis=1).argmax())
    counts = np.zeros((7, 7))

    for seed in range(RUNS):
        rows = chosen(pool, limit=3, seed=seed)
        assert first == rows[0]
        counts[rows[1], rows[2]] += 1

    law = np.zeros((7, 7))
    second = distance[first] / distance[first].sum()
    for row in range(7):
        mass = np.minimum(distance[first], distance[row])
        law[row] = second[row] * (mass / mass.sum() if row != first else 0.0)
    likely = law * RUNS >= 5.0
    found = np.append(counts[likely], counts[~likely].sum())
    expected = np.append(law[likely], law[~likely].sum()) * RUNS
    if expected[-1] < 5.0:
        found, expected = found[:-1], expected[:-1]
    assert stats.chisquare(found, expected * found.sum() / expected.sum()).pvalue > 0.001
    # The test can tell: equal chances for all that is left would not pass.
    flat = np.full(len(found), found.sum() / len(found))
    assert stats.chisquare(found, flat).pvalue < 1e-6


def test_the_largest_gradient_goes_first_and_of_equals_the_first_id() -> None:
    pool = Pool(["d", "b", "c", "a"], [[0.9], [0.6], [0.4], [0.05]], np.ones((4, 2)))

    assert [1, 2] == chosen(pool, limit=2)


def test_copies_come_last_and_by_uncertainty() -> None:
    # Four gradients, each many times over; what is left of them by how unsure the model is.
    probabilities = np.tile([[0.5], [0.1], [0.3], [0.45]], (5, 1))
    pool = Pool([f"i{row:02d}" for row in range(20)], probabilities, np.ones((20, 2)))

    rows = chosen(pool, limit=9)

    assert {0, 1, 2, 3} == {row % 4 for row in rows[:4]}
    left = [row for row in range(20) if row not in rows[:4]]
    doubt = -np.abs(probabilities[left, 0] - 0.5)
    assert [left[place] for place in np.lexsort((left, -doubt))][:5] == rows[4:]


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_a_model_sure_of_everything_has_no_gradient(sure: float) -> None:
    pool = Pool(list("dbca"), np.full((4, 2), sure), np.eye(4))

    assert [3, 1, 2, 0] == chosen(pool, limit=4)


def test_gradients_far_smaller_than_the_largest_still_differ() -> None:
    # A thousandth of the largest is two steps of the grid.
    rng = np.random.default_rng(0)
    probabilities = np.append(0.5, rng.uniform(1e-3, 5e-3, 99))[:, None]
    pool = Pool([f"i{row:02d}" for row in range(100)], probabilities, rng.standard_normal((100, 8)))

    distances = Gradients(pool).between(np.arange(1, 100), np.arange(1, 100))

    assert 99 == int((distances == 0.0).sum())
