from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sampling import STRATEGIES, Labelled, Pool, distinct, strategy_named
from sampling.distinct import NEAR_DUPLICATE_COSINE, distinct_rows, is_near_any, walk_distinct
from sampling.pool import unit
from sampling.spread import on_grid

STEADY = settings(deadline=None, derandomize=True, max_examples=60)

WRAPPED = [
    "margin",
    "entropy",
    "uncertain",
    "top_positive",
    "near_positives",
    "uncertain_diverse",
    "k_center",
    "k_means",
    "typical",
    "badge",
    "random",
    "weighted_random",
]


def spam_pool(*, limit: int = 30, seed: int = 0, groups: bool = True) -> Pool:
    """Three waves of near-copies, the most uncertain of all; a group; copies of what is labelled.

    `limit` items differ from each other and from what is labelled.
    """
    rng = np.random.default_rng(seed)
    base = unit(rng.standard_normal((limit + 1, 64)).astype(np.float32))
    rows = np.concatenate(
        [
            base[:limit],
            base[rng.integers(0, 3, 120)] + 0.005 * rng.standard_normal((120, 64)),
            base[-1] + 0.005 * rng.standard_normal((20, 64)),
            base[5:6] + rng.standard_normal((10, 64)),  # unlike, but of one group with row 5
        ]
    )
    doubt = np.concatenate([rng.uniform(0.1, 0.3, limit), np.linspace(0.3, 0.5, 150)])[:, None]
    names: list[str | None] = [None] * len(rows)
    names[5] = "g"
    names[limit + 140 :] = ["g"] * 10
    ids = [f"i{number:04d}" for number in rng.permutation(len(rows))]
    known = Labelled(base[-1:], [[1.0]])
    return Pool(ids, doubt, rows, names if groups else None, labelled=known)


def is_alike(pool: Pool, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    alike = np.eye(len(rows), dtype=np.bool_)
    if pool.has_embeddings:
        points = unit(pool.embeddings(rows)).astype(np.float64)
        alike |= points @ points.T > NEAR_DUPLICATE_COSINE
    if pool.groups is not None:
        alike |= pool.groups[rows][:, None] == pool.groups[rows]
    np.fill_diagonal(alike, False)
    return np.asarray(alike)


def is_like_labelled(pool: Pool, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    assert pool.labelled is not None
    points = unit(pool.embeddings(rows)).astype(np.float64)
    return np.asarray(
        (points @ pool.labelled.unit_embeddings.T > NEAR_DUPLICATE_COSINE).any(axis=1)
    )


def plain_walk(pool: Pool, order: NDArray[np.intp], *, limit: int) -> list[int]:
    """Row by row: unlike all that are kept, and unlike what is labelled."""
    kept: list[int] = []
    for row in order.tolist():
        if len(kept) == limit:
            break
        if pool.labelled is not None and is_like_labelled(pool, np.array([row]))[0]:
            continue
        if not is_alike(pool, np.array([*kept, row]))[-1].any():
            kept.append(row)
    return kept


@pytest.mark.parametrize("name", WRAPPED)
def test_no_two_picks_are_alike_while_others_will_do(name: str) -> None:
    pool = spam_pool()

    for limit in (5, 29, 30):
        rows = strategy_named(f"distinct:{name}")(pool, limit=limit, rng=np.random.default_rng(1))
        assert limit == len(set(rows.tolist()))
        assert not is_alike(pool, rows).any()
        assert not is_like_labelled(pool, rows).any()


@pytest.mark.parametrize("name", WRAPPED)
def test_where_no_more_differ_the_others_fill_up(name: str) -> None:
    pool = spam_pool()

    rows = strategy_named(f"distinct:{name}")(pool, limit=50, rng=np.random.default_rng(1))

    assert 50 == len(set(rows.tolist()))
    assert not is_alike(pool, rows[:30]).any()


@pytest.mark.parametrize("name", ["margin", "random", "badge"])
def test_what_the_strategy_likes_better_is_kept(name: str) -> None:
    pool = spam_pool()
    plain = STRATEGIES[name](pool, limit=len(pool), rng=np.random.default_rng(1))

    rows = strategy_named(f"distinct:{name}")(pool, limit=12, rng=np.random.default_rng(1))

    assert plain_walk(pool, plain, limit=12) == rows.tolist()


def test_what_fills_up_comes_in_the_order_of_the_strategy() -> None:
    pool = spam_pool()
    plain = STRATEGIES["margin"](pool, limit=len(pool), rng=np.random.default_rng(1))

    rows = strategy_named("distinct:margin")(pool, limit=60, rng=np.random.default_rng(1))

    kept = plain_walk(pool, plain, limit=60)
    assert kept == rows[: len(kept)].tolist()
    assert [row for row in plain.tolist() if row not in kept][: 60 - len(kept)] == rows[
        len(kept) :
    ].tolist()


def test_twice_around_a_strategy_is_as_once() -> None:
    pool = spam_pool()

    once = strategy_named("distinct:margin")(pool, limit=20, rng=np.random.default_rng(1))
    twice = strategy_named("distinct:distinct:margin")(pool, limit=20, rng=np.random.default_rng(1))

    assert once.tolist() == twice.tolist()


def test_the_strategy_is_asked_for_no_more_than_it_takes() -> None:
    pool = spam_pool(groups=False)
    asked: list[int] = []

    def noting(pool: Pool, *, limit: int, rng: np.random.Generator) -> NDArray[np.intp]:
        asked.append(limit)
        return np.arange(min(limit, len(pool)))

    distinct.distinct(noting)(pool, limit=5, rng=np.random.default_rng(0))
    assert [10] == asked

    # Forty differ, of which ten lie at the end.
    distinct.distinct(noting)(pool, limit=40, rng=np.random.default_rng(0))
    assert [10, 80, 320] == asked


@pytest.mark.parametrize("alike", ["place", "group", "group alone", "label"])
def test_where_nothing_else_differs_no_more_is_asked_for(alike: str) -> None:
    items = 5_000
    rows = np.ones((items, 4))
    known = Labelled(np.ones((1, 4)), [[1.0]]) if alike == "label" else None
    if alike == "group":
        rows = np.random.default_rng(0).standard_normal((items, 4))
    groups = ["g"] * items if alike in ("group", "group alone") else None
    pool = Pool(
        [f"i{row:04d}" for row in range(items)],
        np.full((items, 1), 0.5),
        None if alike == "group alone" else rows,
        groups,
        labelled=known,
    )
    asked: list[int] = []

    def noting(pool: Pool, *, limit: int, rng: np.random.Generator) -> NDArray[np.intp]:
        asked.append(limit)
        return np.arange(min(limit, len(pool)))

    found = distinct.distinct(noting)(pool, limit=20, rng=np.random.default_rng(0))

    assert [40] == asked
    assert list(range(20)) == found.tolist()


def test_the_last_that_differs_is_found_however_deep_it_lies() -> None:
    rows = np.ones((5_000, 4))
    rows[4_321] = [1.0, -1.0, 1.0, -1.0]
    doubt = np.linspace(0.5, 0.1, 5_000)[:, None]
    pool = Pool([f"i{row:04d}" for row in range(5_000)], doubt, rows)

    found = strategy_named("distinct:margin")(pool, limit=3, rng=np.random.default_rng(0))

    assert [0, 4_321, 1] == found.tolist()


@STEADY
@given(st.integers(0, 10_000), st.integers(1, 40), st.booleans(), st.booleans(), st.booleans())
def test_rows_that_differ_agree_with_a_plain_walk(
    seed: int, limit: int, grouped: bool, embedded: bool, labelled: bool
) -> None:
    rng = np.random.default_rng(seed)
    items = int(rng.integers(1, 60))
    # Ten degrees apart is near (cosine .985), fifteen is not (.966).
    angles = np.radians(5.0 * rng.integers(0, 72, items))
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    points[rng.random(items) < 0.1] = 0.0
    names = [None if one > 8 else f"g{one}" for one in rng.integers(0, 16, items)]
    known = Labelled([[1.0, 0.0], [0.0, 0.0]], [[1.0], [0.0]]) if labelled and embedded else None
    pool = Pool(
        [f"i{row}" for row in range(items)],
        np.full((items, 1), 0.5),
        points if embedded else None,
        names if grouped else None,
        labelled=known,
    )
    order = rng.permutation(items)
    expected = plain_walk(pool, order, limit=limit)

    assert expected == distinct_rows(pool, order, limit=limit).tolist()
    if known is None:
        taken, _aside = walk_distinct(pool, order, limit=limit)
        assert expected == order[taken].tolist()


def test_what_is_like_only_a_dropped_one_is_kept() -> None:
    # Ten degrees apart is near (cosine .985), twenty is not (.940).
    angles = np.radians([0.0, 10.0, 20.0])
    pool = Pool(list("abc"), [[0.5]] * 3, np.column_stack([np.cos(angles), np.sin(angles)]))

    assert [0, 2] == distinct_rows(pool, np.arange(3), limit=3).tolist()


def test_a_group_is_not_lost_with_its_first_member() -> None:
    # The first of the group is like what is kept already; the second is like nothing.
    pool = Pool(
        list("abcd"),
        [[0.5], [0.4], [0.3], [0.2]],
        [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [-1.0, 0.0]],
        [None, "g", "g", None],
    )

    assert [0, 2, 3] == distinct_rows(pool, np.arange(4), limit=4).tolist()
    assert [0, 2] == distinct_rows(pool, np.arange(4), limit=2).tolist()


@pytest.mark.parametrize("block", [1, 3, 50])
def test_blocks_do_not_change_what_differs(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = spam_pool()
    order = np.random.default_rng(0).permutation(len(pool))
    expected = plain_walk(pool, order, limit=30)
    monkeypatch.setattr(distinct, "_ROWS_PER_BLOCK", block)
    monkeypatch.setattr(distinct.products, "CENTRES_AT_ONCE", 2)

    assert expected == distinct_rows(pool, order, limit=30).tolist()


def test_no_more_of_the_pool_is_read_than_it_takes() -> None:
    rows = np.random.default_rng(0).standard_normal((50_000, 8))
    read = 0

    class Counted:
        shape = rows.shape

        def __getitem__(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
            nonlocal read
            read += len(places)
            return rows[places]

    pool = Pool([f"i{row:05d}" for row in range(50_000)], np.full((50_000, 1), 0.5), Counted())

    distinct_rows(pool, np.arange(50_000), limit=100)

    assert read <= 2 * distinct._ROWS_PER_BLOCK


def test_a_row_of_zeros_is_like_no_other() -> None:
    zeros = on_grid(np.zeros((3, 4), dtype=np.float32))
    ones = on_grid(np.ones((2, 4), dtype=np.float32))

    assert [False, False, False] == is_near_any(zeros, np.concatenate([zeros, ones])).tolist()
    assert [True, True] == is_near_any(ones, np.concatenate([zeros, ones])).tolist()
    assert [False, False] == is_near_any(ones, zeros[:0]).tolist()


def test_what_is_to_be_avoided_is_kept_away_from_too() -> None:
    pool = Pool(list("abc"), [[0.5]] * 3, np.eye(3))

    found = distinct_rows(
        pool, np.arange(3), limit=3, avoid=[on_grid(np.eye(3, dtype=np.float32)[1:2])]
    )

    assert [0, 2] == found.tolist()


@pytest.mark.parametrize("limit", [0, 1, 180, 181])
def test_limits_from_none_to_more_than_there_are(limit: int) -> None:
    pool: Any = spam_pool()

    rows = strategy_named("distinct:margin")(pool, limit=limit, rng=np.random.default_rng(0))

    assert min(limit, 180) == len(set(rows.tolist()))
