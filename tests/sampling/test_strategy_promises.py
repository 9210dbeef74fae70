"""What every strategy promises, whatever it does inside."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import STRATEGIES, BadProbabilities, Pool

pytestmark = pytest.mark.parametrize("name", sorted(STRATEGIES))


def arrays_of(
    items: int = 60, *, exclusive: bool = False, seed: int = 0
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float32], list[str | None]]:
    """Ids not in row order, probabilities with many ties, embeddings, some groups."""
    rng = np.random.default_rng(seed)
    ids = [f"i{number:04d}" for number in rng.permutation(items)]
    probabilities = np.round(rng.random((items, 4)), 1)
    if exclusive:
        probabilities = probabilities + 0.1
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    embeddings = rng.standard_normal((items, 8)).astype(np.float32)
    groups = [None if row % 3 else f"g{row % 6}" for row in range(items)]
    return ids, probabilities, embeddings, groups


def make_pool(items: int = 60, *, exclusive: bool = False, seed: int = 0) -> Pool:
    return Pool(*arrays_of(items, exclusive=exclusive, seed=seed), exclusive)


def chosen_ids(name: str, pool: Pool, *, limit: int, seed: int = 7) -> list[str]:
    rows = STRATEGIES[name](pool, limit=limit, rng=np.random.default_rng(seed))
    assert np.intp == rows.dtype
    return [pool.item_ids[row] for row in rows]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("limit", [1, 13, 59])
def test_rows_are_distinct_inside_the_pool_and_as_many_as_asked(
    name: str, limit: int, exclusive: bool
) -> None:
    pool = make_pool(exclusive=exclusive)

    chosen = chosen_ids(name, pool, limit=limit)

    assert limit == len(chosen) == len(set(chosen))
    assert set(chosen) <= set(pool.item_ids)


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_same_seed_chooses_the_same(name: str, exclusive: bool) -> None:
    pool = make_pool(exclusive=exclusive)

    again = chosen_ids(name, make_pool(exclusive=exclusive), limit=20)

    assert chosen_ids(name, pool, limit=20) == again


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_the_order_of_rows_does_not_matter(name: str, exclusive: bool, layout: str) -> None:
    ids, probabilities, embeddings, groups = arrays_of(exclusive=exclusive)
    shuffle = np.random.default_rng(3).permutation(len(ids))
    pool = Pool(ids, probabilities, embeddings, groups, exclusive)

    shuffled = Pool(
        [ids[row] for row in shuffle],
        np.asarray(probabilities[shuffle], order=layout),  # type: ignore[call-overload]
        embeddings[shuffle],
        [groups[row] for row in shuffle],
        exclusive,
    )

    assert chosen_ids(name, pool, limit=17) == chosen_ids(name, shuffled, limit=17)


def test_the_pool_is_left_as_it_was(name: str) -> None:
    ids, probabilities, embeddings, groups = arrays_of()
    before = probabilities.tobytes(), embeddings.tobytes(), list(ids), list(groups)

    chosen_ids(name, Pool(ids, probabilities, embeddings, groups), limit=20)

    assert before == (probabilities.tobytes(), embeddings.tobytes(), ids, groups)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_limit_of_zero_chooses_nothing(name: str, exclusive: bool) -> None:
    assert [] == chosen_ids(name, make_pool(exclusive=exclusive), limit=0)


def test_an_empty_pool_gives_nothing(name: str) -> None:
    pool = Pool([], np.empty((0, 3)), np.empty((0, 8), dtype=np.float32))

    assert [] == chosen_ids(name, pool, limit=5)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("limit", [60, 61, 1000])
def test_a_limit_of_the_pool_or_more_chooses_everything(
    name: str, limit: int, exclusive: bool
) -> None:
    pool = make_pool(exclusive=exclusive)

    chosen = chosen_ids(name, pool, limit=limit)

    assert sorted(pool.item_ids) == sorted(chosen)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_pool_of_one_gives_that_one(name: str, limit: int) -> None:
    pool = Pool(["only"], [[0.3, 0.2]], [[1.0, 2.0]])

    assert ["only"] == chosen_ids(name, pool, limit=limit)


def test_one_category_is_enough(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    pool = Pool(ids, probabilities[:, :1], embeddings)

    assert 12 == len(set(chosen_ids(name, pool, limit=12)))


def test_embeddings_may_be_absent(name: str) -> None:
    ids, probabilities, _, groups = arrays_of()

    assert 12 == len(set(chosen_ids(name, Pool(ids, probabilities), limit=12)))
    assert 12 == len(set(chosen_ids(name, Pool(ids, probabilities, None, groups), limit=12)))


def test_embeddings_of_zeros_are_served(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    some = embeddings.copy()
    some[::4] = 0.0

    assert 25 == len(set(chosen_ids(name, Pool(ids, probabilities, some), limit=25)))
    assert 25 == len(set(chosen_ids(name, Pool(ids, probabilities, 0.0 * some), limit=25)))


def test_exact_duplicates_do_not_starve_the_batch(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    pool = Pool(ids, np.tile(probabilities[:1], (60, 1)), np.tile(embeddings[:1], (60, 1)))

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


def test_a_cold_start_is_served(name: str) -> None:
    ids, _, embeddings, groups = arrays_of()
    pool = Pool(ids, np.full((60, 4), 0.5), embeddings, groups)

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_a_model_sure_of_everything_is_served(name: str, certain: float) -> None:
    ids, _, embeddings, groups = arrays_of()
    pool = Pool(ids, np.full((60, 4), certain), embeddings, groups)

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


def test_one_group_for_all_does_not_starve_the_batch(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    pool = Pool(ids, probabilities, embeddings, ["g"] * 60)

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


def test_nan_is_refused_by_name(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    probabilities[5, 2] = np.nan

    with pytest.raises(BadProbabilities, match=f"item {ids[5]}, category column 2.*NaN") as refusal:
        chosen_ids(name, Pool(ids, probabilities, embeddings), limit=3)

    assert (ids[5], 2) == (refusal.value.item_id, refusal.value.column)
