"""What every strategy promises, whatever it does inside."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import (
    DRAWS,
    STRATEGIES,
    BadProbabilities,
    Labelled,
    Pool,
    disagreement,
    distinct,
    k_center,
    k_means,
    products,
    scores,
    spread,
    strategy_named,
)
from sampling import pool as pool_room

NAMES = (*sorted(STRATEGIES), "distinct:margin", "distinct:badge", "distinct:random")

DRAWN_EQUALS = {
    *DRAWS,
    "distinct:random",
    # Their docstrings say so: at a cold start the oldest ids would come otherwise.
    "uncertain_diverse",
    "uncertain_diverse_per_second",
    "uncertain_k_means",
    "uncertain_k_center",
}

pytestmark = pytest.mark.parametrize("name", NAMES)


def arrays_of(
    items: int = 60, *, exclusive: bool = False, seed: int = 0
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float32], list[str | None]]:
    """Ids not in row order, probabilities with many ties, embeddings, some groups."""
    rng = np.random.default_rng(seed)
    ids = [f"i{number:04d}" for number in rng.permutation(items)]
    probabilities = probabilities_of(rng, (items, 4), exclusive=exclusive)
    embeddings = rng.standard_normal((items, 8)).astype(np.float32)
    groups = [None if row % 3 else f"g{row % 6}" for row in range(items)]
    return ids, probabilities, embeddings, groups


def probabilities_of(
    rng: np.random.Generator, shape: tuple[int, ...], *, exclusive: bool
) -> NDArray[np.float64]:
    found = np.round(rng.random(shape), 1)
    if exclusive:
        found = found + 0.1
        found /= found.sum(axis=-1, keepdims=True)
    return found


def make_pool(
    ids: list[str],
    probabilities: NDArray[np.float64],
    embeddings: NDArray[np.float32] | None,
    groups: list[str | None] | None = None,
    exclusive: bool = False,
    *,
    order: NDArray[np.intp] | None = None,
) -> Pool:
    """A pool with all that any strategy reads; `order` lays its rows out in another order."""
    rng = np.random.default_rng(11)
    rows = np.arange(len(ids)) if order is None else order
    opinions = probabilities_of(rng, (3, *probabilities.shape), exclusive=exclusive)
    silent = rng.random((3, len(ids))) < 0.3
    said = np.where(silent[:, :, None], np.nan, opinions)
    seconds = np.round(rng.uniform(2, 20, len(ids)))
    slices = [f"s{number}" for number in rng.integers(0, 3, len(ids))]
    labelled = None
    if embeddings is not None:
        answers = (rng.random((5, probabilities.shape[1])) < 0.4).astype(float)
        labelled = Labelled(rng.standard_normal((5, embeddings.shape[1])), answers)
    return Pool(
        [ids[row] for row in rows],
        probabilities[rows],
        None if embeddings is None else embeddings[rows],
        None if groups is None else [groups[row] for row in rows],
        exclusive,
        labelled=labelled,
        passes=opinions[:, rows],
        modalities={name: said[one][rows] for one, name in enumerate(("text", "audio", "image"))},
        models={"champion": said[0][rows], "challenger": said[1][rows]},
        thresholds=np.linspace(0.2, 0.9, probabilities.shape[1]),
        seconds=seconds[rows],
        slices=[slices[row] for row in rows],
    )


def full_pool(items: int = 60, *, exclusive: bool = False, seed: int = 0) -> Pool:
    return make_pool(*arrays_of(items, exclusive=exclusive, seed=seed), exclusive)


def chosen_ids(name: str, pool: Pool, *, limit: int, seed: int = 7) -> list[str]:
    rows = strategy_named(name)(pool, limit=limit, rng=np.random.default_rng(seed))
    assert np.intp == rows.dtype
    return [pool.item_ids[row] for row in rows]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("limit", [1, 13, 59])
def test_rows_are_distinct_inside_the_pool_and_as_many_as_asked(
    name: str, limit: int, exclusive: bool
) -> None:
    pool = full_pool(exclusive=exclusive)

    chosen = chosen_ids(name, pool, limit=limit)

    assert limit == len(chosen) == len(set(chosen))
    assert set(chosen) <= set(pool.item_ids)


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_same_seed_chooses_the_same(name: str, exclusive: bool) -> None:
    pool = full_pool(exclusive=exclusive)

    again = chosen_ids(name, full_pool(exclusive=exclusive), limit=20)

    assert chosen_ids(name, pool, limit=20) == again


@pytest.mark.parametrize("exclusive", [False, True])
def test_the_order_of_rows_does_not_matter(name: str, exclusive: bool) -> None:
    arrays = arrays_of(exclusive=exclusive)
    shuffle = np.random.default_rng(3).permutation(60)

    shuffled = make_pool(*arrays, exclusive, order=shuffle)

    expected = chosen_ids(name, make_pool(*arrays, exclusive), limit=17)
    assert expected == chosen_ids(name, shuffled, limit=17)


@pytest.mark.parametrize("exclusive", [False, True])
def test_how_arrays_lie_in_memory_does_not_matter(name: str, exclusive: bool) -> None:
    ids, probabilities, embeddings, groups = arrays_of(exclusive=exclusive)
    strided = np.repeat(embeddings, 2, axis=1)[:, ::2]

    other = make_pool(ids, np.asfortranarray(probabilities), strided, groups, exclusive)

    pool = make_pool(ids, probabilities, embeddings, groups, exclusive)
    assert chosen_ids(name, pool, limit=17) == chosen_ids(name, other, limit=17)


@pytest.mark.parametrize("exclusive", [False, True])
def test_neither_threads_nor_blocks_change_the_picks(
    name: str, exclusive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = arrays_of(300, exclusive=exclusive, seed=5)
    expected = chosen_ids(name, make_pool(*arrays, exclusive), limit=40)
    for room in (pool_room, spread, k_means, distinct, scores, disagreement):
        for block in {"ROWS_PER_BLOCK", "_ROWS_PER_BLOCK"} & set(vars(room)):
            monkeypatch.setattr(room, block, 7)
    monkeypatch.setattr(products, "CENTRES_AT_ONCE", 5)
    monkeypatch.setattr(k_center, "_KEPT_CURRENT", 16)

    with products.threads(2):
        found = chosen_ids(name, make_pool(*arrays, exclusive), limit=40)

    assert expected == found


def test_equals_are_chosen_by_id_or_by_the_seed_alone(name: str) -> None:
    ids, _probabilities, embeddings, _groups = arrays_of()
    pool = Pool(
        ids,
        np.full((60, 2), 0.3),
        np.tile(embeddings[:1], (60, 1)),
        passes=np.full((2, 60, 2), 0.3),
        modalities={"text": np.full((60, 2), 0.3), "image": np.full((60, 2), 0.3)},
        models={"a": np.full((60, 2), 0.3), "b": np.full((60, 2), 0.3)},
    )

    chosen = chosen_ids(name, pool, limit=10)

    if name in DRAWN_EQUALS:
        assert chosen != chosen_ids(name, pool, limit=10, seed=8)
    else:
        assert sorted(ids)[:10] == chosen


def test_the_pool_is_left_as_it_was(name: str) -> None:
    ids, probabilities, embeddings, groups = arrays_of()
    before = probabilities.tobytes(), embeddings.tobytes(), list(ids), list(groups)

    chosen_ids(name, make_pool(ids, probabilities, embeddings, groups), limit=20)

    assert before == (probabilities.tobytes(), embeddings.tobytes(), ids, groups)


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_limit_of_zero_chooses_nothing(name: str, exclusive: bool) -> None:
    assert [] == chosen_ids(name, full_pool(exclusive=exclusive), limit=0)


def test_an_empty_pool_gives_nothing(name: str) -> None:
    pool = make_pool([], np.empty((0, 3)), np.empty((0, 8), dtype=np.float32), [])

    assert [] == chosen_ids(name, pool, limit=5)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("limit", [60, 61, 1000])
def test_a_limit_of_the_pool_or_more_chooses_everything(
    name: str, limit: int, exclusive: bool
) -> None:
    pool = full_pool(exclusive=exclusive)

    chosen = chosen_ids(name, pool, limit=limit)

    assert sorted(pool.item_ids) == sorted(chosen)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_pool_of_one_gives_that_one(name: str, limit: int) -> None:
    pool = make_pool(["only"], np.array([[0.3, 0.2]]), np.array([[1.0, 2.0]], dtype=np.float32))

    assert ["only"] == chosen_ids(name, pool, limit=limit)


def test_one_category_is_enough(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    pool = make_pool(ids, probabilities[:, :1], embeddings)

    assert 12 == len(set(chosen_ids(name, pool, limit=12)))


def test_embeddings_may_be_absent(name: str) -> None:
    ids, probabilities, _, groups = arrays_of()

    assert 12 == len(set(chosen_ids(name, make_pool(ids, probabilities, None), limit=12)))
    assert 12 == len(set(chosen_ids(name, make_pool(ids, probabilities, None, groups), limit=12)))


def test_embeddings_of_zeros_are_served(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    some = embeddings.copy()
    some[::4] = 0.0

    assert 25 == len(set(chosen_ids(name, make_pool(ids, probabilities, some), limit=25)))
    assert 25 == len(set(chosen_ids(name, make_pool(ids, probabilities, 0.0 * some), limit=25)))


def test_exact_duplicates_do_not_starve_the_batch(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    pool = make_pool(ids, np.tile(probabilities[:1], (60, 1)), np.tile(embeddings[:1], (60, 1)))

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


def test_a_cold_start_is_served(name: str) -> None:
    ids, _, embeddings, groups = arrays_of()
    pool = make_pool(ids, np.full((60, 4), 0.5), embeddings, groups)

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_a_model_sure_of_everything_is_served(name: str, certain: float) -> None:
    ids, _, embeddings, groups = arrays_of()
    pool = make_pool(ids, np.full((60, 4), certain), embeddings, groups)

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


def test_one_group_for_all_does_not_starve_the_batch(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    pool = make_pool(ids, probabilities, embeddings, ["g"] * 60)

    assert 25 == len(set(chosen_ids(name, pool, limit=25)))


def test_nan_is_refused_by_name(name: str) -> None:
    ids, probabilities, embeddings, _ = arrays_of()
    probabilities[5, 2] = np.nan

    with pytest.raises(BadProbabilities, match=f"item {ids[5]}, category column 2.*NaN") as refusal:
        chosen_ids(name, make_pool(ids, probabilities, embeddings), limit=3)

    assert (ids[5], 2) == (refusal.value.item_id, refusal.value.column)
