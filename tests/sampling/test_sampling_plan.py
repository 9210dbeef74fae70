from __future__ import annotations

import numpy as np
import pytest
import torch

from sampling import (
    BadBudget,
    BadPlan,
    Plan,
    Pool,
    Selection,
    Share,
    UnknownStrategy,
    allocate,
    choose,
)


def make_pool(items: int = 40, *, seed: int = 0) -> Pool:
    rng = np.random.default_rng(seed)
    ids = [f"i{number:03d}" for number in rng.permutation(items)]
    return Pool(ids, rng.random((items, 3)), rng.standard_normal((items, 8)))


def make_plan(*shares: tuple[str, float]) -> Plan:
    return Plan(tuple(Share(f"{at}-{name}", name, part) for at, (name, part) in enumerate(shares)))


def bytes_of(selection: Selection) -> tuple[object, ...]:
    return (
        selection.item_ids,
        selection.share,
        selection.strategy,
        selection.rank.tobytes(),
        selection.inclusion_probability.tobytes(),
    )


@pytest.mark.parametrize(
    ("limit", "fractions", "expected"),
    [
        (10, [0.8, 0.2], [8, 2]),
        (3, [0.8, 0.2], [2, 1]),
        (1, [0.5, 0.5], [1, 0]),
        (7, [1 / 3, 1 / 3, 1 / 3], [3, 2, 2]),
        (100, [0.29, 0.71], [29, 71]),
        (0, [0.5, 0.5], [0, 0]),
        (5, [1.0, 0.0], [5, 0]),
    ],
)
def test_shares_by_largest_remainder(
    limit: int, fractions: list[float], expected: list[int]
) -> None:
    assert expected == allocate(limit, fractions)


def test_every_share_gets_its_part_and_no_item_comes_twice() -> None:
    plan = make_plan(("uncertain_diverse", 0.5), ("top_positive", 0.3), ("random", 0.2))

    selection = choose(plan, make_pool(), limit=20, seed=1)

    assert [10, 6, 4] == [selection.share.count(share.name) for share in plan.shares]
    assert 20 == len(selection) == len(set(selection.rows.tolist()))
    assert tuple(make_pool().item_ids[row] for row in selection.rows) == selection.item_ids
    assert list(range(20)) == selection.rank.tolist()
    assert {"uncertain_diverse", "top_positive", "random"} == set(selection.strategy)


def test_any_beginning_of_the_batch_holds_the_shares_in_proportion() -> None:
    plan = make_plan(("margin", 0.8), ("random", 0.2))

    selection = choose(plan, make_pool(100), limit=50, seed=1)

    for beginning in range(1, 51):
        audits = selection.strategy[:beginning].count("random")
        assert abs(audits - 0.2 * beginning) <= 1.0


def test_only_picks_by_chance_carry_a_probability() -> None:
    plan = make_plan(("margin", 0.8), ("random", 0.2))

    selection = choose(plan, make_pool(40), limit=20, seed=1)

    by_chance = np.array([strategy == "random" for strategy in selection.strategy])
    assert [4 / 40] * 4 == selection.inclusion_probability[by_chance].tolist()
    assert bool(np.isnan(selection.inclusion_probability[~by_chance]).all())


def test_the_random_share_draws_the_same_whatever_stands_beside_it() -> None:
    pool = make_pool(100)
    alone = choose(make_plan(("random", 1.0)), pool, limit=20, seed=5)
    audit, rest = Share("0-random", "random", 0.4), Share("rest", "uncertain", 0.6)

    before = choose(Plan((audit, rest)), pool, limit=50, seed=5)
    after = choose(Plan((rest, audit)), pool, limit=50, seed=5)

    for mixed in (before, after):
        drawn = {i for i, name in zip(mixed.item_ids, mixed.share, strict=True) if "0" in name}
        assert set(alone.item_ids) == drawn


@pytest.mark.slow
def test_an_item_taken_as_a_refill_and_then_drawn_was_drawn() -> None:
    plan = make_plan(("random", 1 / 3), ("random", 1 / 3), ("random", 1 / 3))
    pool = make_pool(9)
    draws = 4_000
    totals = np.zeros(draws)

    for seed in range(draws):
        selection = choose(plan, pool, limit=6, seed=seed)
        chance = selection.inclusion_probability
        totals[seed] = (1.0 / chance[~np.isnan(chance)]).sum()

    # Weighed by one over its chance, what was drawn adds up to the pool.
    assert abs(totals.mean() - 9) < 3.5 * totals.std(ddof=1) / np.sqrt(draws)


@pytest.mark.slow
def test_the_random_share_takes_every_item_as_often_as_it_says() -> None:
    plan = make_plan(("margin", 0.7), ("random", 0.3))
    pool = make_pool(20)
    draws = 3_000
    measured = np.zeros(20)

    for seed in range(draws):
        selection = choose(plan, pool, limit=10, seed=seed)
        carries = ~np.isnan(selection.inclusion_probability)
        assert bool((selection.inclusion_probability[carries] == 3 / 20).all())
        measured[selection.rows[carries]] += 1

    error = np.sqrt(3 / 20 * 17 / 20 / draws)
    assert bool((np.abs(measured / draws - 3 / 20) < 3.5 * error).all())


@pytest.mark.slow
def test_two_shares_by_chance_state_the_chance_of_either() -> None:
    plan = make_plan(("weighted_random", 0.5), ("random", 0.3), ("margin", 0.2))
    pool = make_pool(20)
    draws = 3_000
    weighed = np.zeros((draws, 20))

    for seed in range(draws):
        selection = choose(plan, pool, limit=10, seed=seed)
        carries = ~np.isnan(selection.inclusion_probability)
        rows = selection.rows[carries]
        weighed[seed, rows] = 1.0 / selection.inclusion_probability[carries]
        assert 10 == len(set(selection.rows.tolist()))

    # Weighed by one over its probability, every item of the pool counts for one on average.
    error = weighed.std(axis=0, ddof=1) / np.sqrt(draws)
    assert bool((np.abs(weighed.mean(axis=0) - 1.0) < 3.5 * error).all())


def test_what_two_random_shares_both_drew_is_chosen_again_without_a_probability() -> None:
    plan = make_plan(("random", 0.5), ("random", 0.5))

    selection = choose(plan, make_pool(10), limit=10, seed=3)

    probability = selection.inclusion_probability
    assert 10 == len(set(selection.rows.tolist()))
    assert [1 - 0.5 * 0.5] * int((~np.isnan(probability)).sum()) == probability[
        ~np.isnan(probability)
    ].tolist()
    assert bool(np.isnan(probability).any())


def test_the_same_inputs_and_seed_give_the_same_bytes_in_any_row_order() -> None:
    plan = make_plan(("uncertain_diverse", 0.6), ("weighted_random", 0.2), ("random", 0.2))
    rng = np.random.default_rng(8)
    ids = [f"i{row:03d}" for row in range(80)]
    probabilities, embeddings = rng.random((80, 3)), rng.standard_normal((80, 8))
    shuffle = rng.permutation(80)

    straight = choose(plan, Pool(ids, probabilities, embeddings), limit=30, seed=4)
    shuffled = choose(
        plan,
        Pool([ids[row] for row in shuffle], probabilities[shuffle], embeddings[shuffle]),
        limit=30,
        seed=4,
    )

    assert bytes_of(straight) == bytes_of(shuffled)


def test_another_seed_chooses_otherwise() -> None:
    plan = make_plan(("random", 1.0))

    assert (
        choose(plan, make_pool(), limit=10, seed=1).item_ids
        != choose(plan, make_pool(), limit=10, seed=2).item_ids
    )


@pytest.mark.parametrize("items", [0, 1, 7])
def test_a_limit_above_the_pool_takes_the_pool(items: int) -> None:
    plan = make_plan(("uncertain_diverse", 0.8), ("random", 0.2))
    ids = [f"i{row}" for row in range(items)]

    selection = choose(plan, Pool(ids, np.full((items, 2), 0.4)), limit=50, seed=0)

    assert ids == sorted(selection.item_ids)


def test_a_limit_of_zero_takes_nothing() -> None:
    assert 0 == len(choose(make_plan(("margin", 1.0)), make_pool(), limit=0, seed=0))


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("strategy", ["uncertain_diverse", "distinct:margin", "distinct:random"])
def test_no_share_asks_a_group_that_another_asked(strategy: str, embedded: bool) -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{row % 30}" for row in range(120)]
    pool = Pool(
        [f"i{row:03d}" for row in range(120)],
        rng.random((120, 2)),
        rng.standard_normal((120, 16)) if embedded else None,
        groups,
    )
    plan = make_plan(("random_distinct", 0.4), (strategy, 0.3), ("uncertain_diverse", 0.3))

    for seed in range(10):
        rows = choose(plan, pool, limit=30, seed=seed).rows
        assert 30 == len({groups[row] for row in rows})


@pytest.mark.parametrize(
    "strategy", ["uncertain_diverse", "uncertain_k_center", "distinct:margin", "distinct:badge"]
)
def test_later_shares_keep_away_from_what_is_chosen(strategy: str) -> None:
    # Each item has a near-copy; half of a batch is drawn, then the other half chosen.
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 32))
    embeddings = np.concatenate([rows, rows + 0.01 * rng.standard_normal((40, 32))])
    pool = Pool([f"i{row:02d}" for row in range(80)], rng.random((80, 2)), embeddings)
    plan = make_plan((strategy, 0.5), ("random_distinct", 0.5))

    for seed in range(10):
        chosen = choose(plan, pool, limit=30, seed=seed).rows
        assert 30 == len({row % 40 for row in chosen})


def test_a_cover_goes_on_from_what_is_chosen() -> None:
    # Four corners, many times over: what was drawn is covered already.
    pool = Pool(
        [f"i{row:02d}" for row in range(40)], np.full((40, 1), 0.5), np.eye(4)[np.arange(40) % 4]
    )
    plan = make_plan(("k_center", 0.5), ("random_distinct", 0.5))

    for seed in range(10):
        assert {0, 1, 2, 3} == set((choose(plan, pool, limit=4, seed=seed).rows % 4).tolist())


def test_a_category_of_its_own_is_all_that_a_share_sees() -> None:
    pool = Pool(list("abcd"), [[0.5, 0.0], [0.4, 0.1], [0.0, 0.5], [0.1, 0.4]])
    plan = Plan((Share("first", "margin", 0.5, column=0), Share("second", "margin", 0.5, column=1)))

    assert ("a", "c", "b", "d") == choose(plan, pool, limit=4, seed=0).item_ids


def test_any_number_of_threads_chooses_the_same_and_leaves_the_setting() -> None:
    plan = make_plan(("uncertain_diverse", 0.4), ("k_center", 0.2), ("badge", 0.2), ("random", 0.2))
    pool = make_pool(200)
    before = torch.get_num_threads()

    found = [
        bytes_of(choose(plan, pool, limit=60, seed=2, threads=count)) for count in (None, 1, 2)
    ]

    assert found[0] == found[1] == found[2]
    assert before == torch.get_num_threads()
    with pytest.raises(ValueError, match="threads is 0"):
        choose(plan, pool, limit=60, seed=2, threads=0)


@pytest.mark.parametrize(
    "other", ["random", "weighted_random", "stratified_random", "random_distinct"]
)
def test_a_distinct_draw_stands_beside_no_other_draw(other: str) -> None:
    with pytest.raises(BadPlan, match="random_distinct cannot share a plan with another draw"):
        make_plan((other, 0.5), ("random_distinct", 0.5))

    assert make_plan(("random_distinct", 0.5), ("margin", 0.3), ("distinct:random", 0.2)).shares


def test_a_wrapped_draw_carries_no_probability() -> None:
    selection = choose(make_plan(("distinct:random", 1.0)), make_pool(), limit=5, seed=0)

    assert bool(np.isnan(selection.inclusion_probability).all())
    assert ("distinct:random",) * 5 == selection.strategy


@pytest.mark.parametrize("name", ["magic:margin", "distinct:", ":margin", "margin:distinct", ""])
def test_an_unknown_wrapper_is_refused(name: str) -> None:
    with pytest.raises(UnknownStrategy, match="distinct: may stand before any of them"):
        make_plan((name, 1.0))


def test_a_batch_of_nothing_but_draws_measures_every_item_it_drew() -> None:
    pool = make_pool(30)
    plan = make_plan(("random", 0.5), ("weighted_random", 0.5))

    selection = choose(plan, pool, limit=30, seed=0)

    # All are chosen; those that neither drew have no probability.
    assert 30 == len(set(selection.rows.tolist()))
    measures = ~np.isnan(selection.inclusion_probability)
    assert 15 <= measures.sum() < 30
    assert bool((selection.inclusion_probability[measures] > 0.5).all())


def test_a_plan_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(BadPlan, match=r"add up to 0\.9"):
        make_plan(("margin", 0.7), ("random", 0.2))


def test_a_fraction_out_of_range_is_refused() -> None:
    with pytest.raises(BadPlan, match=r"'1-random': fraction -0\.5"):
        make_plan(("margin", 0.5), ("random", -0.5), ("entropy", 1.0))


def test_two_shares_of_one_name_are_refused() -> None:
    with pytest.raises(BadPlan, match="two shares are named 'a'"):
        Plan((Share("a", "margin", 0.5), Share("a", "random", 0.5)))


def test_an_unknown_strategy_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownStrategy, match=r"'magic' does not exist; .*uncertain_diverse"):
        make_plan(("magic", 1.0))


def test_negative_limit_and_seed_are_refused() -> None:
    with pytest.raises(BadBudget):
        choose(make_plan(("margin", 1.0)), make_pool(), limit=-1, seed=0)
    with pytest.raises(BadBudget):
        choose(make_plan(("margin", 1.0)), make_pool(), limit=1, seed=-1)
