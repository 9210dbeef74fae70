from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import Labelled, Pool, neighbours, products, spread
from sampling import pool as pool_room
from sampling.neighbours import _neighbours, near_positives
from sampling.scores import top_positive_by_turns, uncertain_order

RNG = np.random.default_rng(0)


def make_pool(
    items: int = 400,
    *,
    labels: Any = ((1.0,), (0.0,), (1.0,)),
    anchors: Any = None,
    embeddings: Any = None,
    seed: int = 0,
) -> Pool:
    rng = np.random.default_rng(seed)
    ids = [f"i{number:04d}" for number in rng.permutation(items)]
    rows = rng.standard_normal((items, 6)) if embeddings is None else embeddings
    answers = np.array(labels, dtype=float)
    known = rng.standard_normal((len(answers), rows.shape[1])) if anchors is None else anchors
    probabilities = rng.random((items, answers.shape[1]))
    return Pool(ids, probabilities, rows, labelled=Labelled(known, answers))


def chosen(pool: Pool, *, limit: int) -> list[int]:
    return [int(row) for row in near_positives(pool, limit=limit, rng=np.random.default_rng(0))]


def plain_neighbours(pool: Pool, *, count: int) -> set[int]:
    """By cosine in float64, of each positive."""
    assert pool.labelled is not None
    points = pool.unit_embeddings(np.arange(len(pool))).astype(np.float64)
    known = pool.labelled.unit_embeddings.astype(np.float64)[pool.labelled.positive]
    order = np.argsort(-(known @ points.T), axis=1, kind="stable")
    return set(order[:, :count].ravel().tolist())


def test_neighbours_are_the_nearest_of_each_known_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 12)
    # Far enough apart that the grid cannot turn two of them round.
    angles = np.radians(np.random.default_rng(1).permutation(360))
    rows = np.column_stack([np.cos(angles), np.sin(angles)])
    known = np.array([[1.0, 0.004], [0.0, 1.0], [-1.0, 0.004]])
    pool = make_pool(360, embeddings=rows, anchors=known)

    expected = plain_neighbours(pool, count=12)

    assert 24 == len(expected)
    assert sorted(expected) == _neighbours(pool).tolist()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("block", [1, 17, 4096])
def test_neither_threads_nor_blocks_change_the_neighbours(
    threads: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(300, labels=np.ones((9, 1)))
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 10)
    expected = _neighbours(pool).tolist()
    for room in (pool_room, spread):
        monkeypatch.setattr(room, "ROWS_PER_BLOCK", block)

    with products.threads(threads):
        found = _neighbours(pool).tolist()

    assert expected == found
    # The grid may turn a few round that are all but equally near.
    assert len(set(expected) ^ plain_neighbours(pool, count=10)) <= 2


def test_all_that_are_as_near_as_the_last_are_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 3)
    rows = np.eye(4)[[1, 0, 0, 0, 0, 0, 2]]

    pool = make_pool(7, embeddings=rows, anchors=np.eye(4)[:1], labels=[[1.0]])

    assert [1, 2, 3, 4, 5] == _neighbours(pool).tolist()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], 0),  # any category makes a positive
        ([[0.0, 0.0], [np.nan, 1.0]], 1),
        ([[np.nan, np.nan], [0.0, 1.0]], 1),
    ],
)
def test_a_positive_holds_some_category(
    labels: Any, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 1)
    pool = make_pool(2, embeddings=np.eye(2), anchors=np.eye(2), labels=labels)

    assert [expected] == _neighbours(pool).tolist()


def test_a_positive_of_which_nothing_is_known_has_no_neighbours() -> None:
    # Zeros are equally far from everything: all of the pool would be near.
    only = make_pool(500, anchors=np.zeros((1, 6)), labels=[[1.0]])
    known = np.stack([np.zeros(6), np.ones(6)])
    beside = make_pool(500, anchors=known, labels=[[1.0], [1.0]])

    assert [] == _neighbours(only).tolist()
    assert 100 == len(_neighbours(beside))


def test_the_last_positives_count_where_there_are_very_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 1)
    monkeypatch.setattr(neighbours, "_POSITIVES_AT_MOST", 2)
    pool = make_pool(4, embeddings=np.eye(4), anchors=np.eye(4), labels=[[1], [1], [0], [1]])

    assert [1, 3] == _neighbours(pool).tolist()


def test_uncertain_and_likely_neighbours_take_turns_and_then_the_rest() -> None:
    angles = np.radians(np.random.default_rng(2).permutation(360)[:300])
    pool = make_pool(
        300,
        embeddings=np.column_stack([np.cos(angles), np.sin(angles)]),
        anchors=[[1.0, 0.0]],
        labels=[[1.0]],
    )
    near = _neighbours(pool)
    part = pool.take(near)
    uncertain = near[uncertain_order(part, limit=100, tie=part.ids)].tolist()
    likely = near[top_positive_by_turns(part, limit=100, rng=RNG)].tolist()
    rest = top_positive_by_turns(pool, limit=300, rng=RNG).tolist()

    turns = [row for pair in zip(uncertain, likely, strict=True) for row in pair]
    expected = list(dict.fromkeys([*turns, *rest]))

    assert 100 == len(near)
    for limit in (1, 2, 3, 50, 101, 250, 300, 999):
        assert expected[:limit] == chosen(pool, limit=limit)


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(make_pool(50, labels=[[0.0], [0.0]]), id="no positive"),
        pytest.param(make_pool(50, labels=[[np.nan]]), id="nobody said"),
        pytest.param(
            Pool([f"i{row}" for row in range(50)], RNG.random((50, 2)), np.eye(50)),
            id="none labelled",
        ),
        pytest.param(
            Pool([f"i{row}" for row in range(50)], RNG.random((50, 2))), id="no embeddings"
        ),
    ],
)
def test_without_a_known_positive_the_likeliest_come_by_turns(pool: Pool) -> None:
    expected = top_positive_by_turns(pool, limit=20, rng=RNG).tolist()

    assert expected == chosen(pool, limit=20)


def test_what_was_chosen_beside_is_no_positive() -> None:
    pool = make_pool(200, anchors=RNG.standard_normal((2, 6)), labels=[[1.0], [0.0]])

    assert _neighbours(pool).tolist() == _neighbours(pool.after(np.array([3, 4]))).tolist()


def test_a_small_pool_is_all_neighbours() -> None:
    pool = make_pool(30)

    assert list(range(30)) == _neighbours(pool).tolist()
    assert list(range(30)) == sorted(chosen(pool, limit=40))
    assert [] == chosen(pool, limit=0)


def test_a_place_is_found_among_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RNG.standard_normal((50_000, 4)).astype(np.float32)
    pool = make_pool(50_000, embeddings=rows, anchors=rows[[40_123, 7]], labels=[[1.0], [1.0]])
    monkeypatch.setattr(neighbours, "NEIGHBOURS", 5)

    near = _neighbours(pool)

    assert {7, 40_123} <= set(near.tolist())
    assert 10 <= len(near) <= 14
    cosines: NDArray[np.float32] = (
        pool.unit_embeddings(near) @ pool.unit_embeddings(np.array([7])).T
    )
    assert cosines.max() > 0.999
