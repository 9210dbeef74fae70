"""Draws by chance: how often each item is drawn, and that an auditor can draw again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import DRAWS, Plan, Pool, Share, choose, distinct, draws
from sampling.draws import (
    WEIGHT_FLOOR,
    Draw,
    as_strategy,
    distinct_draw,
    neyman_draw,
    simple_random_draw,
    stratified_draw,
    weighted_draw,
)
from sampling.pool import unit
from tests.sampling.siphash import number_of

RUNS = 10_000
NEVER_FEWER = ["random", "weighted_random", "stratified_random", "neyman_random"]
"""Draws of exactly as many as asked, which know every item's probability."""

Booleans = NDArray[np.bool_]


def make_pool(items: int = 30, *, seed: int = 0, slices: bool = True) -> Pool:
    """Ids in another order than rows, uneven slices, no two items alike."""
    rng = np.random.default_rng(seed)
    ids = [f"i{number:04d}" for number in rng.permutation(items)]
    names = rng.choice(["de", "en", "fr"], items, p=[0.1, 0.6, 0.3]).tolist()
    return Pool(
        ids,
        rng.random((items, 2)) ** 2,
        rng.standard_normal((items, 16)),
        slices=names if slices else None,
    )


def wave_pool(*, groups: bool = True) -> Pool:
    """Copies of one item, a chain whose neighbours alone are near, a group, items alone, a cloud
    of which some are near and some are not, and two of which nothing is known."""
    rng = np.random.default_rng(4)
    base = np.eye(16)
    wave = base[0] + 0.02 * rng.standard_normal((7, 16))
    # Eight degrees apart is near (cosine .990), sixteen is not (.961).
    angles = np.radians(8.0 * np.arange(5))
    chain = np.cos(angles)[:, None] * base[1] + np.sin(angles)[:, None] * base[2]
    alone = base[3:13]
    cloud = base[14] + 0.035 * rng.standard_normal((6, 16))
    rows = np.concatenate([wave, chain, alone, cloud, np.zeros((2, 16))])
    named: list[str | None] = [None] * len(rows)
    # One group holds the chain's end, so that it is near by name and by place.
    named[11] = named[12] = named[13] = named[14] = "g"
    ids = [f"i{number:04d}" for number in rng.permutation(len(rows))]
    return Pool(ids, rng.random((len(rows), 1)), rows, named if groups else None)


def is_near(pool: Pool) -> Booleans:
    """Shape (N, N), by the rule alone."""
    rows = unit(pool.embeddings(np.arange(len(pool)))).astype(np.float64)
    near: Booleans = rows @ rows.T > distinct.NEAR_DUPLICATE_COSINE
    if pool.groups is not None:
        near |= pool.groups[:, None] == pool.groups
    np.fill_diagonal(near, False)
    return near


def plain_walk(numbers: NDArray[np.float64], near: Booleans, *, limit: int) -> list[int]:
    taken: list[int] = []
    for row in np.argsort(numbers):
        if len(taken) < limit and not near[row, taken].any():
            taken.append(int(row))
    return taken


def shares_of_one(
    draw: Callable[[int], tuple[NDArray[np.intp], NDArray[np.float64]]], *, items: int, runs: int
) -> NDArray[np.float64]:
    """Shape (runs, items): one over its probability where an item was drawn, else 0."""
    found = np.zeros((runs, items))
    for run in range(runs):
        rows, probability = draw(run)
        found[run, rows] = 1.0 / probability[rows]
    return found


def told(
    draw: Draw, pool: Pool, *, limit: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows, and the chance of every row of the pool."""
    drawn = draw(pool, limit=limit, rng=np.random.default_rng(seed))
    return drawn.rows, drawn.chances(np.arange(len(pool)))


def errors_of(found: NDArray[np.float64], *, expected: float) -> NDArray[np.float64]:
    """How many standard errors each column's mean is from what it should be."""
    spread = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    gap = found.mean(axis=0) - expected
    away = np.where(gap == 0.0, 0.0, np.inf)  # what is drawn each time has no error, and no gap
    return np.divide(gap, spread, out=away, where=spread > 0.0)


# How often


@pytest.mark.slow
@pytest.mark.parametrize("name", NEVER_FEWER)
def test_every_item_is_drawn_as_often_as_it_says(name: str) -> None:
    pool = make_pool()
    values = pool.probabilities[:, 0]
    included, weighed = np.zeros((RUNS, 30)), np.zeros((RUNS, 30))

    for run in range(RUNS):
        rows, stated = told(DRAWS[name], pool, limit=9, seed=run)
        assert 9 == len(set(rows.tolist()))
        included[run, rows] = 1.0
        included[run] -= stated
        weighed[run, rows] = 1.0 / stated[rows]

    assert np.abs(errors_of(included, expected=0.0)).max() < 3.5
    assert np.abs(errors_of(weighed, expected=1.0)).max() < 3.5
    # And any sum over the pool is met by that of the picks.
    total = (weighed * values).sum(axis=1, keepdims=True)
    assert np.abs(errors_of(total, expected=values.sum())).max() < 3.5


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "groups"), [(1, True), (4, False), (12, True)])
def test_passing_over_copies_leaves_every_item_its_weight(limit: int, groups: bool) -> None:
    pool = wave_pool(groups=groups)

    weighed = shares_of_one(
        lambda run: told(distinct_draw, pool, limit=limit, seed=run),
        items=len(pool),
        runs=RUNS,
    )

    assert np.abs(errors_of(weighed, expected=1.0)).max() < 3.5
    # As a plain random draw would have it, copies would be too light and others too heavy.
    naive = (weighed > 0.0) * (len(pool) / limit)
    if limit > 1:  # the first pick passes over nothing
        assert np.abs(errors_of(naive, expected=1.0)).max() > 10.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategies",
    [
        ["weighted_random", "random", "margin"],
        ["stratified_random", "neyman_random", "weighted_random"],
        ["margin", "random_distinct"],
    ],
)
def test_what_a_plan_measures_stands_for_the_pool(strategies: list[str]) -> None:
    pool = wave_pool() if "random_distinct" in strategies else make_pool(24)
    items = len(pool)
    part = 1.0 / len(strategies)
    plan = Plan(tuple(Share(f"{at}", name, part) for at, name in enumerate(strategies)))
    weighed = np.zeros((RUNS, items))

    for run in range(RUNS):
        selection = choose(plan, pool, limit=12, seed=run)
        measures = ~np.isnan(selection.inclusion_probability)
        rows = selection.rows[measures]
        weighed[run, rows] = 1.0 / selection.inclusion_probability[measures]
        assert 12 == len(set(selection.rows.tolist()))

    assert np.abs(errors_of(weighed, expected=1.0)).max() < 3.5


# With what probability


def plain_turn(numbers: NDArray[np.float64], near: Booleans, row: int, *, limit: int) -> float:
    """The highest number with which this row would have been drawn, given those of all others."""
    bars = [*np.sort(np.delete(numbers, row)), 1.0]
    still = []
    for bar in bars:
        moved = numbers.copy()
        moved[row] = np.nextafter(bar, 0.0)
        still.append(row in plain_walk(moved, near, limit=limit))
    highest = int(np.flatnonzero(still)[-1])
    assert all(still[: highest + 1])
    return float(bars[highest])


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 8, 12, 24])
def test_a_pick_s_probability_is_its_turn_or_its_part_of_a_closed_circle(
    groups: bool, limit: int
) -> None:
    pool = wave_pool(groups=groups)
    near = is_near(pool)
    kinds = set()

    for seed in range(25):
        numbers = pool.ids.uniforms(np.random.default_rng(seed).bytes(16))
        rows, inclusion = told(distinct_draw, pool, limit=limit, seed=seed)

        assert plain_walk(numbers, near, limit=limit) == rows.tolist()
        assert sorted(rows) == np.flatnonzero(~np.isnan(inclusion)).tolist()
        one_more = plain_walk(numbers, near, limit=limit + 1)
        end = numbers[one_more[limit]] if len(one_more) > limit else 1.0
        seen = np.flatnonzero(numbers <= end)
        for row in rows:
            circle = {row} | {other for other in seen if near[row, other]}
            is_closed = all(
                {other} | {one for one in seen if near[other, one]} == circle for other in circle
            )
            kinds.add((is_closed, len(circle) > 1))
            if is_closed:
                assert end / len(circle) == inclusion[row]
            else:
                assert plain_turn(numbers, near, row, limit=limit) == inclusion[row]

    if 1 < limit < 20:
        assert {(True, True), (True, False), (False, True)} == kinds


@pytest.mark.slow
def test_where_circles_are_too_large_to_compare_every_item_keeps_its_weight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distinct, "_COMPARED_AT_MOST", 0)
    pool = wave_pool()

    weighed = shares_of_one(
        lambda run: told(distinct_draw, pool, limit=5, seed=run + RUNS),
        items=len(pool),
        runs=RUNS,
    )

    assert np.abs(errors_of(weighed, expected=1.0)).max() < 3.5


@pytest.mark.slow
def test_a_wave_does_not_make_an_estimate_vary_more_than_a_random_draw() -> None:
    # Three of ten items are copies of one, all of them positive.
    rng = np.random.default_rng(0)
    rows, positive = rng.standard_normal((600, 32)), rng.random(600) < 0.1
    rows[:180], positive[:180] = rows[180] + 0.01 * rng.standard_normal((180, 32)), True
    pool = Pool([f"i{row:03d}" for row in range(600)], np.full((600, 1), 0.5), rows)
    spread = {}

    for name in ("random", "random_distinct"):
        rates = []
        for run in range(1_000):
            picks, inclusion = told(DRAWS[name], pool, limit=60, seed=run)
            weights = 1.0 / inclusion[picks]
            rates.append(float((weights * positive[picks]).sum() / weights.sum()))
        assert abs(np.mean(rates) - positive.mean()) < 0.01
        spread[name] = np.std(rates)

    assert spread["random_distinct"] < spread["random"]


def test_where_nothing_is_alike_a_distinct_draw_is_a_random_one() -> None:
    pool = make_pool(200)

    rows, inclusion = told(distinct_draw, pool, limit=20, seed=3)
    plain, _ = told(simple_random_draw, pool, limit=20, seed=3)

    assert plain.tolist() == rows.tolist()
    assert 1 == len(set(inclusion[rows].tolist()))


@pytest.mark.parametrize("block", [1, 5, 64])
def test_blocks_do_not_change_a_distinct_draw(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = wave_pool()
    expected = [told(distinct_draw, pool, limit=9, seed=seed) for seed in range(9)]
    monkeypatch.setattr(distinct, "_ROWS_PER_BLOCK", block)
    monkeypatch.setattr(distinct.products, "CENTRES_AT_ONCE", 2)

    for seed, (rows, inclusion) in enumerate(expected):
        again, stated = told(distinct_draw, pool, limit=9, seed=seed)
        assert rows.tolist() == again.tolist()
        np.testing.assert_array_equal(inclusion, stated)


def test_a_wave_that_fills_the_pool_is_passed_over_without_comparing_all_with_all() -> None:
    # 60,000 x 60,000 would not fit any machine's memory.
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.ones((60_000, 4)), rng.standard_normal((30, 4))])
    pool = Pool([f"i{row:05d}" for row in range(60_030)], np.full((60_030, 1), 0.5), rows)

    drawn, inclusion = told(distinct_draw, pool, limit=40, seed=1)

    assert 1 == (drawn < 60_000).sum()
    assert 1 < len(drawn) <= 31
    wave = drawn[drawn < 60_000]
    # They are too many to compare; its turn would have passed at the next of the wave.
    numbers = pool.ids.uniforms(np.random.default_rng(1).bytes(16))
    assert np.sort(numbers[:60_000])[1] == inclusion[wave][0]


def test_one_group_for_all_is_one_pick_for_all() -> None:
    pool = Pool(
        [f"i{row:05d}" for row in range(50_000)], np.full((50_000, 1), 0.5), groups=["g"] * 50_000
    )

    drawn, inclusion = told(distinct_draw, pool, limit=10, seed=1)

    assert 1 == len(drawn)
    assert 0.0 < inclusion[drawn[0]] < 0.01


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("limit", [0, 1, 29, 30, 31])
def test_limits_from_none_to_more_than_there_are(draw: Draw, limit: int) -> None:
    pool = make_pool()

    rows, inclusion = told(draw, pool, limit=limit, seed=0)

    assert min(limit, 30) == len(set(rows.tolist())) == len(rows)
    assert (30,) == inclusion.shape
    if limit >= 30:
        assert [1.0] * 30 == inclusion.tolist()
    if limit == 0:
        assert not np.nan_to_num(inclusion).any()


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_an_empty_pool_draws_nothing(draw: Draw) -> None:
    rows, inclusion = told(draw, Pool([], np.empty((0, 2))), limit=3, seed=0)

    assert [] == rows.tolist() == inclusion.tolist()


# Slices


def test_slices_are_drawn_alike_and_in_step() -> None:
    names = ["a"] * 70 + ["b"] * 25 + ["c"] * 5
    pool = Pool([f"i{row:03d}" for row in range(100)], np.full((100, 1), 0.5), slices=names)

    rows, inclusion = told(stratified_draw, pool, limit=25, seed=0)

    assert [10, 10, 5] == np.bincount(pool.slices[rows]).tolist()
    np.testing.assert_allclose(inclusion, [10 / 70] * 70 + [10 / 25] * 25 + [1.0] * 5)
    half = np.bincount(pool.slices[rows[:13]], minlength=3)
    assert bool((np.abs(half - [5.2, 5.2, 2.6]) < 1.0).all())


def test_most_is_drawn_where_the_answer_is_least_certain() -> None:
    names = ["sure"] * 9000 + ["some"] * 900 + ["half"] * 100
    rates = np.repeat([0.001, 0.1, 0.6], [9000, 900, 100])[:, None]
    pool = Pool([f"i{row:05d}" for row in range(10_000)], rates, slices=names)
    code = {name: pool.slices[names.index(name)] for name in set(names)}

    rows, inclusion = told(neyman_draw, pool, limit=1000, seed=0)

    # Neyman's 471.39, 447.43 and 81.18 in whole picks.
    drawn = np.bincount(pool.slices[rows])
    assert (471, 448, 81) == tuple(drawn[code[name]] for name in ("sure", "some", "half"))
    assert 471 / 9000 == inclusion[0]


@pytest.mark.parametrize("limit", [3, 10, 40, 149, 150])
def test_no_slice_is_left_without_a_chance(limit: int) -> None:
    # One in which the model is sure of everything, one of a single item.
    names = ["sure"] * 500 + ["open"] * 500 + ["tiny"]
    rates = np.repeat([0.0, 0.5, 0.5], [500, 500, 1])[:, None]
    pool = Pool([f"i{row:04d}" for row in range(1001)], rates, slices=names)

    rows, inclusion = told(neyman_draw, pool, limit=limit, seed=0)

    assert limit == len(rows)
    assert bool((inclusion > 0.0).all())


def test_as_many_slices_as_items_are_drawn_from() -> None:
    # By a pass for each slice this would take minutes.
    items = 50_000
    pool = Pool(
        [f"i{row:05d}" for row in range(items)],
        np.full((items, 1), 0.5),
        slices=[str(row) for row in range(items)],
    )

    rows, inclusion = told(stratified_draw, pool, limit=100, seed=0)

    assert 100 == len(set(rows.tolist())) == int(inclusion.sum())


# An auditor's second draw


def key_of(seed: int, share: str) -> bytes:
    """The key of a share's draw, as `choose` takes it from the seed of a batch."""
    stream = int.from_bytes(hashlib.sha256(share.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, stream]).bytes(16)


def batch(strategy: str, pool: Pool, *, limit: int, seed: int) -> dict[str, float]:
    plan = Plan((Share("audit", strategy, 1.0),))
    selection = choose(plan, pool, limit=limit, seed=seed)
    return dict(zip(selection.item_ids, selection.inclusion_probability.tolist(), strict=True))


def test_an_auditor_can_draw_a_random_share_again() -> None:
    pool = make_pool()

    numbers = {item_id: number_of(item_id, key_of(8, "audit")) for item_id in pool.item_ids}

    expected = dict.fromkeys(sorted(numbers, key=numbers.__getitem__)[:7], 7 / 30)
    assert expected == batch("random", pool, limit=7, seed=8)


def test_an_auditor_can_draw_a_weighted_share_again() -> None:
    pool = make_pool()
    worth = 1.0 - np.abs(2.0 * pool.probabilities - 1.0).min(axis=1)
    weight = (1.0 - WEIGHT_FLOOR) * worth / worth.mean() + WEIGHT_FLOOR

    arrival = {
        item_id: -math.log1p(-number_of(item_id, key_of(8, "audit"))) / size
        for item_id, size in zip(pool.item_ids, weight, strict=True)
    }
    order = sorted(arrival, key=arrival.__getitem__)
    last = arrival[order[7]]
    sizes = dict(zip(pool.item_ids, weight, strict=True))
    expected = {item_id: 1.0 - math.exp(-sizes[item_id] * last) for item_id in order[:7]}

    assert pytest.approx(expected) == batch("weighted_random", pool, limit=7, seed=8)


@pytest.mark.parametrize("sharpness", [1, 40])
@pytest.mark.parametrize("limit", [0, 1, 40, 999, 1000])
def test_of_a_large_pool_few_weights_are_computed_and_none_is_missed(
    sharpness: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "MEAN_OF_ALL", 500)
    rng = np.random.default_rng(2)
    pool = Pool([f"i{row}" for row in range(1000)], rng.random((1000, 1)) ** sharpness)
    worth = 1.0 - np.abs(2.0 * pool.probabilities[:, 0] - 1.0)
    mean = worth[pool.ids.digests < 2**56].mean()
    weight = (1.0 - WEIGHT_FLOOR) * worth / mean + WEIGHT_FLOOR

    drawn = weighted_draw(pool, limit=limit, rng=np.random.default_rng(3))

    arrival = -np.log1p(-pool.ids.uniforms(np.random.default_rng(3).bytes(16))) / weight
    order = np.argsort(arrival)
    assert order[:limit].tolist() == drawn.rows.tolist()
    if 0 < limit < 1000:
        times = np.full(1000, arrival[order[limit - 1]])
        times[order[:limit]] = arrival[order[limit]]
        expected = 1.0 - np.exp(-weight * times)
        np.testing.assert_allclose(drawn.chances(np.arange(1000)), expected, rtol=1e-9)


def test_an_auditor_can_draw_each_slice_again() -> None:
    pool = make_pool()

    drawn = batch("stratified_random", pool, limit=9, seed=8)

    for code in range(3):
        ids = [pool.item_ids[row] for row in np.flatnonzero(pool.slices == code)]
        numbers = {item_id: number_of(item_id, key_of(8, "audit")) for item_id in ids}
        picks = [item_id for item_id in drawn if item_id in numbers]
        assert sorted(numbers, key=numbers.__getitem__)[: len(picks)] == picks
        assert {len(picks) / len(ids)} == {drawn[item_id] for item_id in picks}


def test_an_auditor_can_walk_past_copies_again() -> None:
    pool = wave_pool()

    numbers = np.array([float(number_of(one, key_of(8, "audit"))) for one in pool.item_ids])
    walked = plain_walk(numbers, is_near(pool), limit=7)

    assert [pool.item_ids[row] for row in walked] == list(
        batch("random_distinct", pool, limit=7, seed=8)
    )


# As strategies


def test_a_draw_that_ends_early_is_filled_up_by_chance() -> None:
    pool = wave_pool()
    strategy = as_strategy(distinct_draw)

    firsts = set()
    for seed in range(30):
        rows = strategy(pool, limit=20, rng=np.random.default_rng(seed))
        drawn, _ = told(distinct_draw, pool, limit=20, seed=seed)
        assert 20 == len(set(rows.tolist()))
        assert drawn.tolist() == rows[: len(drawn)].tolist()
        firsts.add(int(rows[len(drawn)]))

    assert len(firsts) > 5


def test_draws_that_end_early_measure_only_what_they_drew() -> None:
    pool = wave_pool()
    plan = Plan((Share("audit", "random_distinct", 1.0),))

    selection = choose(plan, pool, limit=20, seed=5)

    rows, inclusion = told(distinct_draw, pool, limit=20, seed=0)
    measures = ~np.isnan(selection.inclusion_probability)
    assert 20 == len(selection)
    assert 10 < measures.sum() < 20
    assert not is_near(pool)[np.ix_(selection.rows[measures], selection.rows[measures])].any()
    assert len(rows) == int((~np.isnan(inclusion)).sum())


def test_weights_spread_a_fifth_evenly() -> None:
    pool = Pool(["sure", "open"], [[0.0], [0.5]])
    runs = 4_000

    first = [told(weighted_draw, pool, limit=1, seed=seed)[0][0] for seed in range(runs)]

    # .2 against .8 * 2 + .2, of which the sum is 2.
    assert abs(np.mean(first) - 0.9) < 3.5 * np.sqrt(0.09 / runs)
