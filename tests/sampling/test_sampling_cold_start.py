from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import STRATEGIES, Labelled, Pool, cold_start
from sampling.cold_start import _by_typicality
from sampling.spread import on_grid

SIZES = (80, 60, 40, 20)


def blobs(
    sizes: tuple[int, ...] = SIZES, *, dimensions: int = 8, seed: int = 0, width: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    """Rows around orthogonal directions, which blob each is of, how far it is from its middle."""
    rng = np.random.default_rng(seed)
    blob = np.repeat(np.arange(len(sizes)), sizes)
    away = width * rng.standard_normal((len(blob), dimensions))
    rows = np.eye(dimensions)[blob] + away
    shuffle = rng.permutation(len(blob))
    return rows[shuffle], blob[shuffle], np.linalg.norm(away, axis=1)[shuffle]


def make_pool(embeddings: Any, **known: Any) -> Pool:
    ids = [f"i{row:05d}" for row in range(embeddings.shape[0])]
    return Pool(ids, np.full((len(ids), 1), 0.3), embeddings, **known)


def chosen(name: str, pool: Pool, *, limit: int, seed: int = 0) -> list[int]:
    rows = STRATEGIES[name](pool, limit=limit, rng=np.random.default_rng(seed))
    return [int(row) for row in rows]


@pytest.mark.parametrize("name", ["typical", "k_means"])
def test_each_cluster_gives_one_of_its_middle_and_the_largest_goes_first(name: str) -> None:
    rows, blob, away = blobs()

    picks = chosen(name, make_pool(rows), limit=4)

    assert [0, 1, 2, 3] == blob[picks].tolist()
    for pick in picks:
        assert away[pick] < np.median(away[blob == blob[pick]])


def test_clusters_without_a_label_go_first() -> None:
    rows, blob, _ = blobs()
    # Of the two largest, one is labelled; of the smallest two items are.
    known = Labelled(np.eye(8)[[0, 3, 3]] + 0.01, [[1.0], [0.0], [1.0]])

    picks = chosen("typical", make_pool(rows, labelled=known), limit=1)

    assert [1] == blob[picks].tolist()


def test_clusters_are_asked_by_how_many_labels_they_have() -> None:
    # Copies, so that there are no more clusters than these.
    blob = np.repeat(np.arange(4), SIZES)
    known = Labelled(np.eye(8)[[0, 0, 0, 1, 2, 2]], np.zeros((6, 1)))
    pool = make_pool(np.eye(8)[blob], labelled=known)

    picks = chosen("typical", pool, limit=8)

    assert [3, 1, 2, 0, 3, 1, 2, 0] == blob[picks].tolist()


def test_when_each_cluster_was_asked_each_is_asked_again() -> None:
    blob = np.repeat(np.arange(3), [6, 2, 4])
    pool = make_pool(np.eye(8)[blob])

    picks = chosen("typical", pool, limit=12)

    assert [0, 2, 1, 0, 2, 1, 0, 2, 0, 2, 0, 0] == blob[picks].tolist()
    assert list(range(12)) == sorted(picks)


def test_the_most_typical_is_nearest_its_neighbours_and_not_the_centre() -> None:
    rng = np.random.default_rng(1)
    # A ring with one dense place: its middle is empty.
    angles = np.concatenate([rng.uniform(0, 2 * np.pi, 60), rng.normal(1.0, 0.02, 30)])
    rows = np.column_stack([np.cos(angles), np.sin(angles), np.full(90, 2.0)])

    (pick,) = chosen("typical", make_pool(rows), limit=1)

    assert abs(angles[pick] - 1.0) < 0.06


@pytest.mark.parametrize("items", [1, 2, 5, 21, 22, 90])
def test_typicality_is_the_mean_distance_to_twenty_neighbours(items: int) -> None:
    rows = on_grid(np.random.default_rng(items).standard_normal((items, 3)).astype(np.float32))
    apart = np.sqrt(((rows[:, None].astype(np.float64) - rows) ** 2).sum(axis=2))
    nearest = np.sort(apart, axis=1)[:, 1:21]

    expected = np.argsort(nearest.sum(axis=1), kind="stable")

    assert expected.tolist() == _by_typicality(rows).tolist()


def test_equally_typical_items_keep_their_order() -> None:
    # Each row's mirror image has the same distances, in another order.
    rows = np.random.default_rng(0).standard_normal((15, 5)).astype(np.float32)

    order = _by_typicality(on_grid(np.concatenate([rows, -rows]))).tolist()

    assert [row + 15 for row in order[::2]] == order[1::2]


def test_a_large_pool_is_stood_for_by_some_of_it() -> None:
    rows, blob, _ = blobs((4_000, 3_000, 2_000, 1_000))
    read = 0

    class Counted:
        shape = rows.shape

        def __getitem__(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
            nonlocal read
            read += len(places)
            return rows[places]

    for name in ("typical", "k_means"):
        picks = chosen(name, make_pool(Counted()), limit=4)
        assert [0, 1, 2, 3] == blob[picks].tolist()

    assert read <= 2 * 4 * cold_start.ROWS_PER_CLUSTER


def test_another_seed_looks_at_another_part() -> None:
    rows = np.random.default_rng(0).standard_normal((5_000, 8))

    assert chosen("typical", make_pool(rows), limit=5) != chosen(
        "typical", make_pool(rows), limit=5, seed=1
    )


@pytest.mark.parametrize("name", ["typical", "k_means"])
@pytest.mark.parametrize("limit", [1, 30, 39, 40, 41])
def test_copies_fill_up_by_uncertainty(name: str, limit: int) -> None:
    rows = np.repeat(np.eye(2), 20, axis=0)
    ids = [f"i{row:02d}" for row in range(40)]
    doubt = np.linspace(0.01, 0.4, 40)[:, None]

    picks = chosen(name, Pool(ids, doubt, rows), limit=limit)

    assert min(limit, 40) == len(set(picks))
    if name == "k_means" and limit > 2:
        left = [row for row in range(39, -1, -1) if row not in picks[:2]]
        assert left[: min(limit, 40) - 2] == picks[2:]


@pytest.mark.parametrize("name", ["typical", "k_means"])
def test_more_labels_than_the_pool_has_items(name: str) -> None:
    rng = np.random.default_rng(0)
    known = Labelled(rng.standard_normal((300, 4)), np.zeros((300, 1)))

    picks = chosen(name, make_pool(rng.standard_normal((50, 4)), labelled=known), limit=20)

    assert 20 == len(set(picks))
