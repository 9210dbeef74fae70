from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import STRATEGIES, Pool, diversity
from sampling.pool import unit


def unit_rows(items: int, dimensions: int = 8, *, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((items, dimensions)).astype(np.float32)
    return unit(rows)


def chosen(name: str, pool: Pool, *, limit: int, seed: int = 0) -> NDArray[np.intp]:
    return STRATEGIES[name](pool, limit=limit, rng=np.random.default_rng(seed))


def test_no_two_picks_are_near_duplicates_while_others_will_do() -> None:
    spam = np.tile(unit_rows(1, 16), (60, 1)) + 0.005 * unit_rows(60, 16, seed=1)
    embeddings = np.concatenate([spam, unit_rows(200, 16, seed=2)])
    probabilities = np.concatenate([np.full(60, 0.5), np.linspace(0.3, 0.45, 200)])[:, None]
    pool = Pool([f"i{row:03d}" for row in range(260)], probabilities, embeddings)

    for name in ("uncertain_diverse", "uncertain_k_means", "uncertain_k_center"):
        rows = chosen(name, pool, limit=20)

        cosines = np.tril(unit(embeddings[rows]) @ unit(embeddings[rows]).T, k=-1)
        assert cosines.max() <= 0.98
        assert 1 >= int((rows < 60).sum())


def test_a_group_is_asked_once_before_any_twice() -> None:
    groups: list[str | None] = ["wave"] * 50 + [None] * 50
    probabilities = np.concatenate([np.full(50, 0.5), np.linspace(0.1, 0.4, 50)])[:, None]
    ids = [f"i{row:03d}" for row in range(100)]

    for limit in (2, 10, 51):
        for embeddings in (None, unit_rows(100)):
            pool = Pool(ids, probabilities, embeddings, groups)
            rows = chosen("uncertain_diverse", pool, limit=limit)
            assert 1 >= int((rows < 50).sum())


def test_picks_come_from_the_uncertain_and_cover_their_clusters() -> None:
    rng = np.random.default_rng(0)
    cluster = np.arange(400) % 8
    embeddings = np.eye(8)[cluster] + 0.08 * rng.standard_normal((400, 8))
    doubt = np.where(np.arange(400) < 200, 0.5 - 0.0005 * np.arange(400), 0.02)[:, None]
    pool = Pool([f"i{row:03d}" for row in range(400)], doubt, embeddings)

    rows = chosen("uncertain_diverse", pool, limit=8)

    assert set(range(8)) == set(cluster[rows].tolist())
    assert bool((rows < 200).all())


def test_best_first_means_the_most_uncertain_first() -> None:
    doubt = np.linspace(0.1, 0.5, 100)[:, None]
    pool = Pool([f"i{row:03d}" for row in range(100)], doubt, unit_rows(100))

    rows = chosen("uncertain_diverse", pool, limit=10).tolist()

    assert sorted(rows, reverse=True) == rows


def test_without_embeddings_it_is_plain_uncertainty() -> None:
    doubt = np.random.default_rng(1).random((100, 3))
    pool = Pool([f"i{row:03d}" for row in range(100)], doubt)

    plain = chosen("uncertain", pool, limit=15).tolist()

    assert plain == chosen("uncertain_diverse", pool, limit=15).tolist()


def test_a_cold_start_is_a_random_draw_and_not_the_first_ids() -> None:
    pool = Pool([f"i{row:04d}" for row in range(1000)], np.full((1000, 2), 0.5), unit_rows(1000))

    picked = np.concatenate([chosen("uncertain_diverse", pool, limit=20, seed=s) for s in range(5)])

    assert 350 < float(picked.mean()) < 650
    assert len(set(picked.tolist())) > 80


def test_large_batches_go_in_parts_and_still_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diversity, "_PICKS_PER_PART", 7)
    doubt = np.random.default_rng(1).random((400, 2))
    pool = Pool([f"i{row:03d}" for row in range(400)], doubt, unit_rows(400))

    rows = chosen("uncertain_diverse", pool, limit=30)

    assert 30 == len(set(rows.tolist()))


@pytest.mark.parametrize("owners", [1, 7, 60])
def test_of_each_cluster_the_most_central_of_its_most_uncertain_quarter_is_asked(
    owners: int,
) -> None:
    rng = np.random.default_rng(owners)
    owner = rng.integers(0, owners, 100)
    near = rng.integers(0, 5, 100).astype(np.float32)

    found = diversity.nearest_of_best(owner, near)

    expected = []
    for one in np.unique(owner):
        places = np.flatnonzero(owner == one)
        quarter = places[: -(-len(places) // 4)]
        expected.append(int(min(quarter, key=lambda place: (near[place], place))))
    assert expected == found.tolist()


@pytest.mark.parametrize("name", ["uncertain_diverse", "uncertain_k_means", "uncertain_k_center"])
@pytest.mark.parametrize(
    ("items", "limit", "deepest"), [(1000, 5, 50), (1000, 30, 100), (400, 60, 120)]
)
def test_candidates_are_ten_a_pick_or_a_tenth_of_the_pool_and_two_a_pick_at_least(
    name: str, items: int, limit: int, deepest: int
) -> None:
    doubt = np.linspace(0.5, 0.01, items)[:, None]
    pool = Pool([f"i{row:04d}" for row in range(items)], doubt, unit_rows(items, 32))

    rows = chosen(name, pool, limit=limit)

    assert limit == len(rows)
    assert limit <= rows.max() < deepest


def test_what_lies_beyond_a_part_counts_as_pool() -> None:
    doubt = np.linspace(0.5, 0.01, 400)[:, None]
    pool = Pool([f"i{row:04d}" for row in range(400)], doubt, unit_rows(400, 32))

    alone = chosen("uncertain_diverse", pool, limit=15)
    part = chosen("uncertain_diverse", pool.with_beyond(10_000).take(np.arange(400)), limit=15)

    assert alone.max() < 40 <= part.max() < 150
    assert 10_400 == pool.with_beyond(10_000).items_in_all
