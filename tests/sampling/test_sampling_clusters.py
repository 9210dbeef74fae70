"""One of each cluster is asked: chances by counting all draws, and totals that stay true."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import ClusterDraw, Plan, Pool, Share, choose, draw_clusters
from sampling.plan import stream_of

RUNS = 4000
NAMES = ["a"] * 9 + ["b"] * 4 + ["c"] * 3 + [None] * 8
"""A wave, two small clusters, eight items alone."""


def pool_of(names: list[str | None]) -> Pool:
    ids = [f"i{k:02d}" for k in range(len(names))]
    return Pool(ids, np.full((len(ids), 1), 0.5), groups=names)


def draw(pool: Pool, *, limit: int, seed: int) -> ClusterDraw:
    return draw_clusters(pool, limit=limit, rng=np.random.default_rng(seed))


@cache
def drawn_often(limit: int) -> list[ClusterDraw]:
    pool = pool_of(NAMES)
    return [draw(pool, limit=limit, seed=seed) for seed in range(RUNS)]


@pytest.mark.parametrize("names", [None, [None] * 50, [f"g{k}" for k in range(50)]])
def test_without_clusters_it_is_the_simple_random_draw_of_the_plan(
    names: list[str | None] | None,
) -> None:
    pool = Pool([f"i{k:02d}" for k in range(50)], np.full((50, 1), 0.5), groups=names)

    found = draw_clusters(pool, limit=7, rng=stream_of(3, "audit"))

    plain = choose(Plan((Share("audit", "random", 1.0),)), pool, limit=7, seed=3)
    assert plain.rows.tolist() == found.rows.tolist()
    assert [7 / 50] * 7 == found.inclusion_probability.tolist()
    assert ([1] * 7, []) == (found.stands_for.tolist(), found.aside.tolist())


def test_every_drawn_item_is_asked_or_stands_aside_for_one_of_its_cluster() -> None:
    pool = pool_of(NAMES)
    assert pool.groups is not None

    for found in drawn_often(6)[:200]:
        rows = found.rows.tolist()
        assert len(set(pool.groups[found.rows].tolist())) == len(rows)
        assert pool.groups[found.aside].tolist() == pool.groups[found.aside_for].tolist()
        counted = [1 + found.aside_for.tolist().count(row) for row in rows]
        assert counted == found.stands_for.tolist()


@pytest.mark.parametrize("limit", [1, 4, 6, 10])
def test_as_many_clusters_as_wanted_are_met_on_average(limit: int) -> None:
    counts = np.array([len(one.rows) for one in drawn_often(limit)])

    error = counts.std() / np.sqrt(RUNS)
    one_item_less = 1.0
    assert limit - 3.5 * error <= counts.mean() <= limit + one_item_less


def test_chances_are_those_of_counting_every_draw() -> None:
    names = ["a", "a", "a", "b", "b", None, None]
    pool = pool_of(names)
    found = draw(pool, limit=3, seed=1)
    assert pool.groups is not None

    for row, chance in zip(found.rows, found.inclusion_probability, strict=True):
        mates = set(np.flatnonzero(pool.groups == pool.groups[row]).tolist())
        draws = list(combinations(range(len(names)), found.drawn))
        # Of the drawn items of a cluster each is as likely to be the first.
        shares = [1 / len(mates & set(one)) for one in draws if row in one]
        assert sum(shares) / len(draws) == pytest.approx(chance)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [4, 10])
def test_every_item_is_asked_as_often_as_its_chance_says(limit: int) -> None:
    asked = np.zeros(len(NAMES))
    chance = np.full(len(NAMES), np.nan)
    for one in drawn_often(limit):
        asked[one.rows] += 1
        chance[one.rows] = one.inclusion_probability

    error = np.sqrt(chance * (1 - chance) / RUNS)
    assert np.abs(asked / RUNS - chance).max() < 3.5 * error.max()
    assert (np.abs(asked / RUNS - chance) < 3.5 * error).all()


@pytest.mark.slow
@pytest.mark.parametrize("limit", [4, 10])
def test_totals_are_unbiased_for_every_item_also_within_a_mixed_cluster(limit: int) -> None:
    # Of the wave, a third is not what the rest is.
    truth = np.array([1.0] * 6 + [0.0] * 3 + [1, 0, 1, 0] + [0, 0, 1] + [1, 0] * 4)
    by_drawn, by_chance = np.zeros(RUNS), np.zeros(RUNS)
    weights = np.zeros((RUNS, len(NAMES)))
    for run, one in enumerate(drawn_often(limit)):
        weight = one.stands_for * len(NAMES) / one.drawn
        by_drawn[run] = (truth[one.rows] * weight).sum()
        by_chance[run] = (truth[one.rows] / one.inclusion_probability).sum()
        weights[run, one.rows] = weight

    for totals in (by_drawn, by_chance):
        assert abs(totals.mean() - truth.sum()) < 3.5 * totals.std() / np.sqrt(RUNS)
    error: NDArray[np.float64] = weights.std(axis=0) / np.sqrt(RUNS)
    assert (np.abs(weights.mean(axis=0) - 1.0) < 3.5 * error).all()


def test_a_wave_that_is_most_of_the_pool_takes_one_answer_and_counts_for_what_it_is() -> None:
    names: list[str | None] = ["wave"] * 9000 + [None] * 1000
    ids = [f"i{k:05d}" for k in range(10_000)]
    pool = Pool(ids, np.full((10_000, 1), 0.5), groups=names)

    found = draw(pool, limit=40, seed=5)

    share = found.stands_for.max() / found.drawn
    assert 350 < found.drawn < 450
    assert 25 < len(found.rows) < 60
    assert share == pytest.approx(0.9, abs=0.06)


def test_fewer_clusters_than_wanted_are_all_asked() -> None:
    found = draw(pool_of(NAMES), limit=100, seed=1)

    assert 11 == len(found.rows)
    assert sorted([9, 4, 3] + [1] * 8) == sorted(found.stands_for.tolist())
    assert [1 / 9, 1 / 4, 1 / 3] + [1.0] * 8 == pytest.approx(
        sorted(found.inclusion_probability.tolist())
    )


@pytest.mark.parametrize("limit", [0, 5])
def test_of_nothing_nothing_is_drawn(limit: int) -> None:
    found = draw_clusters(
        Pool([], np.zeros((0, 1)), groups=[]), limit=limit, rng=np.random.default_rng(1)
    )

    assert (0, []) == (found.drawn, found.rows.tolist())
