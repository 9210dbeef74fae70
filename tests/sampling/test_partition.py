"""A batch from parts is the batch from the whole pool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import (
    DRAWS,
    STRATEGIES,
    BadBudget,
    BadPool,
    Plan,
    Pool,
    Selection,
    Share,
    choose,
    draws,
)
from sampling import partition as room
from sampling.partition import choose_partitioned
from sampling.partitions import parts
from sampling.partitions.asks import Kind, ShareAsk
from sampling.partitions.errors import TooAlike
from sampling.strategies import ALONE
from tests.sampling.pools_in_parts import (
    THRESHOLDS,
    Candidates,
    Watched,
    as_arrays,
    as_tables,
    make_candidates,
)

CUTS: list[Sequence[int]] = [(), (17, 500, 501), (300, 600, 900)]

DEFAULT = (("uncertain_diverse", 0.7), ("typical", 0.2), ("random_distinct", 0.1))
PLANS = [
    DEFAULT,
    (("random", 0.4), ("weighted_random", 0.4), ("margin", 0.2)),
    (("weighted_random", 0.5), ("stratified_random", 0.3), ("random", 0.2)),
    (("neyman_random", 0.5), ("stratified_random", 0.5)),
    (("near_threshold", 0.3), ("k_means", 0.3), ("distinct:margin", 0.2), ("random", 0.2)),
    (("uncertain_k_center", 0.5), ("uncertain_per_second", 0.3), ("distinct:random", 0.2)),
]


def kind_of(strategy: str) -> Kind:
    share = Share("any", strategy, 1.0)
    return ShareAsk(share, limit=1, spare=0, seed=0, deeper=1, has_embeddings=True).kind


EXACT = sorted(name for name in STRATEGIES if kind_of(name) is not Kind.OTHER)
APPROACHED = sorted(name for name in STRATEGIES if kind_of(name) is Kind.OTHER)


def make_plan(*shares: tuple[str, float]) -> Plan:
    return Plan(tuple(Share(f"{at}-{name}", name, part) for at, (name, part) in enumerate(shares)))


def assert_same(expected: Selection, found: Selection) -> None:
    assert expected.item_ids == found.item_ids
    assert expected.rows.tolist() == found.rows.tolist()
    assert expected.share == found.share
    assert expected.strategy == found.strategy
    assert expected.rank.tolist() == found.rank.tolist()
    np.testing.assert_allclose(
        found.inclusion_probability, expected.inclusion_probability, rtol=1e-11
    )


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 400)


@pytest.mark.parametrize("at", CUTS)
@pytest.mark.parametrize("shares", PLANS)
def test_a_plan_over_parts_chooses_what_it_chooses_from_the_whole(
    tmp_path: Path, shares: tuple[tuple[str, float], ...], at: Sequence[int]
) -> None:
    one = make_candidates()
    shards = as_tables(str(tmp_path), one, at)
    plan, labelled = make_plan(*shares), one.labelled()

    for limit in (1, 10, 150):
        found = choose_partitioned(
            plan, shards, limit=limit, seed=4, thresholds=THRESHOLDS, labelled=labelled
        )

        assert_same(choose(plan, one.pool(labelled=labelled), limit=limit, seed=4), found)


def test_of_a_large_pool_parts_take_the_mean_worth_from_the_same_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "MEAN_OF_ALL", 500)
    one = make_candidates()
    shards = as_tables(str(tmp_path), one, (100, 700))
    plan = make_plan(("weighted_random", 0.5), ("random", 0.5))

    found = choose_partitioned(plan, shards, limit=150, seed=4)

    assert_same(choose(plan, one.pool(), limit=150, seed=4), found)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("strategy", EXACT)
def test_a_strategy_over_parts_chooses_what_it_chooses_from_the_whole(
    tmp_path: Path, strategy: str, exclusive: bool
) -> None:
    one = make_candidates(exclusive=exclusive)
    shards = as_tables(str(tmp_path), one, (100, 700))
    beside = "margin" if strategy in ALONE else "random"
    plan = make_plan((strategy, 0.6), (beside if beside != strategy else "entropy", 0.4))

    found = choose_partitioned(
        plan, shards, limit=12, seed=1, exclusive=exclusive, thresholds=THRESHOLDS
    )

    assert_same(choose(plan, one.pool(), limit=12, seed=1), found)


@pytest.mark.parametrize("strategy", [*EXACT, "distinct:margin", "badge"])
def test_a_share_that_looks_at_one_category_alone_does_so_over_parts(
    tmp_path: Path, strategy: str
) -> None:
    one = make_candidates()
    shards = as_tables(str(tmp_path), one, (100, 700))
    plan = Plan((Share("one", strategy, 0.6, column=2), Share("rest", "margin", 0.4)))

    found = choose_partitioned(plan, shards, limit=12, seed=1, thresholds=THRESHOLDS)

    if kind_of(strategy) is Kind.OTHER:
        assert 12 == len(set(found.item_ids))
        assert (
            found.item_ids
            != choose_partitioned(
                make_plan((strategy, 0.6), ("margin", 0.4)), shards, limit=12, seed=1
            ).item_ids
        )
    else:
        assert_same(choose(plan, one.pool(), limit=12, seed=1), found)


def test_a_category_that_is_not_there_is_refused(tmp_path: Path) -> None:
    plan = Plan((Share("one", "margin", 1.0, column=3),))

    with pytest.raises(BadPool, match="share 'one' looks at category column 3 of 3"):
        choose_partitioned(plan, as_arrays(tmp_path, make_candidates(50)), limit=5, seed=1)


def test_every_draw_by_chance_is_exact() -> None:
    assert set(DRAWS) <= set(EXACT)


def test_parts_together_hand_over_little_more_than_one_would(tmp_path: Path) -> None:
    one = make_candidates(20_000, copies=0.0)
    plan = make_plan(*DEFAULT)
    few, many = Watched(), Watched()

    shards = as_arrays(tmp_path, one)
    choose_partitioned(plan, shards, limit=20, seed=1, client=many)
    pool = Pool(one.ids, one.probabilities, one.embeddings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "ROWS_PER_PART", len(one))
        found = choose_partitioned(plan, shards, limit=20, seed=1, client=few)

    assert 50 == len([task for task, _part in many.asked if task == "scan"])
    assert 1 == len([task for task, _part in few.asked if task == "scan"])
    assert few.handed_over["scan"] < len(one) / 4
    assert many.handed_over["scan"] < 2 * few.handed_over["scan"]
    assert_same(choose(plan, pool, limit=20, seed=1), found)


def test_a_category_still_speaks_when_another_share_took_all_its_lowest_but_one(
    tmp_path: Path,
) -> None:
    one = make_candidates(1500)
    rng = np.random.default_rng(2)
    lowest = rng.permutation(1500)[:30]
    one.probabilities[:] = np.column_stack(
        [np.full(1500, 0.3), np.full(1500, 0.01), np.round(rng.uniform(0.0, 0.4, 1500), 3)]
    )
    one.probabilities[lowest] = [0.0, 0.01, 0.35]  # neither first nor last of anything else
    one.probabilities[lowest[:29], 1] = 0.5
    plan = Plan((Share("takes", "margin", 0.5, column=1), Share("then", "uncertain", 0.5)))

    found = choose_partitioned(plan, as_arrays(tmp_path, one, (700,)), limit=58, seed=1)

    assert set(one.ids[lowest[:29]]) <= set(found.item_ids)
    assert_same(choose(plan, Pool(one.ids, one.probabilities), limit=58, seed=1), found)


def test_what_fills_up_for_items_drawn_twice_is_shared_among_what_is_left(tmp_path: Path) -> None:
    one = make_candidates(1500)
    one.slices = ["few" if row in (3, 99, 700, 702, 1100, 1101) else "many" for row in range(1500)]
    plan = Plan((Share("a", "stratified_random", 0.5), Share("b", "stratified_random", 0.5)))
    watched = Watched()

    found = choose_partitioned(
        plan, as_tables(str(tmp_path), one, (700,)), limit=24, seed=1, client=watched
    )

    assert watched.handed_over["scan"] < 1500
    assert 6 == sum(one.slices[row] == "few" for row in found.rows)
    assert_same(choose(plan, one.pool(), limit=24, seed=1), found)


def test_without_embeddings_the_batch_is_the_same_too(tmp_path: Path) -> None:
    one = make_candidates()
    shards = as_tables(str(tmp_path), one, (500,))
    bare = [
        room.Shard(table=shard.table, probabilities="scores", groups="cluster") for shard in shards
    ]
    plan = make_plan(
        ("typical", 0.3), ("uncertain_diverse", 0.3), ("k_center", 0.2), ("random", 0.2)
    )

    found = choose_partitioned(plan, bare, limit=30, seed=2)

    whole = Pool(one.ids, one.probabilities, groups=one.groups)
    assert_same(choose(plan, whole, limit=30, seed=2), found)


def wave(one: Candidates, *, copies: int) -> Candidates:
    """The most uncertain items all say the same."""
    one.probabilities[:copies] = 0.5
    one.embeddings[:copies] = one.embeddings[0]
    return one


@pytest.mark.parametrize("strategy", ["uncertain_diverse", "distinct:margin", "uncertain"])
def test_a_wave_of_copies_is_looked_through_as_deep_as_it_goes(
    tmp_path: Path, strategy: str
) -> None:
    one = wave(make_candidates(6000), copies=4000)
    plan = make_plan((strategy, 0.5), ("random", 0.5))
    watched = Watched()

    found = choose_partitioned(
        plan, as_arrays(tmp_path, one, (3000,)), limit=20, seed=1, client=watched
    )

    assert_same(
        choose(plan, Pool(one.ids, one.probabilities, one.embeddings), limit=20, seed=1), found
    )
    scans = len({number for number, (task, _part) in enumerate(watched.asked) if task == "scan"})
    assert (16 == scans) if strategy == "uncertain" else (scans > 16)


def test_a_draw_that_passes_over_copies_looks_as_deep_as_it_must(tmp_path: Path) -> None:
    one = make_candidates(3000, copies=0.98)
    plan = make_plan(("random_distinct", 1.0))

    found = choose_partitioned(plan, as_arrays(tmp_path, one, (900,)), limit=20, seed=1)

    assert 20 == np.count_nonzero(~np.isnan(found.inclusion_probability))
    assert_same(
        choose(plan, Pool(one.ids, one.probabilities, one.embeddings), limit=20, seed=1), found
    )


def test_too_many_copies_are_refused_and_not_gathered_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = wave(make_candidates(6000), copies=5990)
    monkeypatch.setattr(room, "DEEPEST", 1000)

    with pytest.raises(TooAlike, match=r"'0-uncertain_diverse'.* fewer than 20 differ"):
        choose_partitioned(
            make_plan(("uncertain_diverse", 1.0)), as_arrays(tmp_path, one), limit=20, seed=1
        )


@pytest.mark.parametrize("limit", [1200, 5000])
def test_asking_for_all_gives_all(tmp_path: Path, limit: int) -> None:
    one = make_candidates()
    plan = make_plan(*DEFAULT)

    found = choose_partitioned(plan, as_arrays(tmp_path, one, (700,)), limit=limit, seed=1)

    assert_same(
        choose(plan, Pool(one.ids, one.probabilities, one.embeddings), limit=limit, seed=1), found
    )


@pytest.mark.parametrize("limit", [0, 3])
def test_nothing_gives_nothing(tmp_path: Path, limit: int) -> None:
    shards = as_arrays(tmp_path, make_candidates(50)) if not limit else []

    found = choose_partitioned(make_plan(*DEFAULT), shards, limit=limit, seed=1)

    assert 0 == len(found)


def test_a_negative_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBudget, match="-1"):
        choose_partitioned(make_plan(*DEFAULT), [], limit=-1, seed=1)


@pytest.mark.parametrize("strategy", APPROACHED)
def test_what_is_only_approached_keeps_its_promises(tmp_path: Path, strategy: str) -> None:
    one = make_candidates(900)
    shards = as_tables(str(tmp_path), one, (250,))
    plan = make_plan((strategy, 0.7), ("random", 0.3))
    given: dict[str, Any] = {"limit": 20, "seed": 3, "labelled": one.labelled()}

    first = choose_partitioned(plan, shards, **given)
    again = choose_partitioned(plan, shards, client=Watched(), **given)

    assert_same(first, again)
    assert 20 == len(set(first.item_ids))
    assert [14, 6] == [first.share.count(share.name) for share in plan.shares]
    assert tuple(one.ids[row] for row in first.rows) == first.item_ids
    drawn = np.array([name == "random" for name in first.strategy])
    assert [6 / 900] * 6 == first.inclusion_probability[drawn].tolist()


def test_a_group_that_one_share_asked_no_other_asks_over_parts_either(tmp_path: Path) -> None:
    one = make_candidates(900)
    one.groups = [f"g{number % 60}" for number in range(900)]
    shards = as_tables(str(tmp_path), one, (250,))
    plan = make_plan(("margin", 0.5), ("distinct:badge", 0.5))

    found = choose_partitioned(plan, shards, limit=40, seed=3)

    asked = {"margin": set[str | None](), "distinct:badge": set[str | None]()}
    for row, strategy in zip(found.rows, found.strategy, strict=True):
        asked[strategy].add(one.groups[row])
    assert 20 == len(asked["distinct:badge"])
    assert set() == asked["margin"] & asked["distinct:badge"]


def radius(points: NDArray[np.float32], centres: NDArray[np.intp]) -> float:
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    return float(np.sqrt(np.maximum(2.0 - 2.0 * unit @ unit[centres].T, 0.0)).min(axis=1).max())


def test_k_center_over_parts_covers_almost_as_well_as_over_the_whole(tmp_path: Path) -> None:
    one = make_candidates(3000, copies=0.0)
    plan = make_plan(("k_center", 1.0))
    shards = as_arrays(tmp_path, one, (500, 1000, 1500, 2000))

    found = choose_partitioned(plan, shards, limit=40, seed=1)

    whole = choose(plan, Pool(one.ids, one.probabilities, one.embeddings), limit=40, seed=1)
    by_chance = choose(make_plan(("random", 1.0)), one.pool(), limit=40, seed=1)
    assert radius(one.embeddings, found.rows) < 1.15 * radius(one.embeddings, whole.rows)
    assert radius(one.embeddings, found.rows) < radius(one.embeddings, by_chance.rows)


def test_the_answers_order_and_place_change_nothing(tmp_path: Path) -> None:
    one = make_candidates()
    shards = as_tables(str(tmp_path), one, (100, 800))
    plan = make_plan(*DEFAULT)

    here = choose_partitioned(plan, shards, limit=40, seed=9)
    there = choose_partitioned(plan, shards, limit=40, seed=9, client=Watched())

    assert_same(here, there)


def test_steps_are_counted(tmp_path: Path) -> None:
    seen: list[int] = []

    choose_partitioned(
        make_plan(("margin", 1.0)),
        as_arrays(tmp_path, make_candidates(), (600,)),
        limit=5,
        seed=1,
        on_step=seen.append,
    )

    assert list(range(1, 9)) == seen  # four parts, surveyed and scanned
