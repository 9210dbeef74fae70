"""What parts hand over holds all that could matter, and little else."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from sampling import Pool
from sampling.partitions.core_sets import Barred, Lowest, Turns, core_set, sketch, with_bars
from sampling.pool import IntArray

KEY = bytes(range(16))


def make_pool(items: int, *, seed: int, digits: int, exclusive: bool = False) -> Pool:
    """Few digits make many equals."""
    rng = np.random.default_rng(seed)
    likely = np.round(rng.beta(0.4, 2.0, (items, 3)), digits)
    if exclusive:
        likely = (likely + 0.01) / (likely + 0.01).sum(axis=1, keepdims=True)
    ids = [f"i{number}" for number in rng.permutation(items)]
    return Pool(
        ids, likely.astype(np.float32), exclusive=exclusive, seconds=rng.uniform(0.3, 9, items)
    )


def handed_over(pool: Pool, criterion: Barred, *, owner: IntArray) -> IntArray:
    """Rows that the parts hand over together, each cut back to what reaches the bars."""
    rows = [np.flatnonzero(owner == one) for one in np.unique(owner)]
    shares = [pool.take(some) for some in rows]
    sketched = [(len(part), sketch(part, without_least(criterion))) for part in shares]
    asked = with_bars(criterion, sketched)
    found = [
        part_rows[core_set(part, [asked])] for part_rows, part in zip(rows, shares, strict=True)
    ]
    return np.concatenate(found)


def without_least(criterion: Barred) -> Barred:
    """As it stands before the least seconds of the whole pool are known."""
    if isinstance(criterion, Lowest):
        return criterion
    return Turns(
        criterion.worth, criterion.depth, criterion.spare, criterion.key, criterion.per_second
    )


@settings(max_examples=150, deadline=None)
@given(
    seed=some.integers(0, 2**16),
    items=some.integers(1, 400),
    parts=some.integers(1, 12),
    depth=some.integers(1, 60),
    spare=some.integers(0, 20),
    digits=some.integers(0, 4),
    worth=some.sampled_from(["half", "threshold", "likely"]),
    key=some.sampled_from([None, KEY]),
    per_second=some.booleans(),
    exclusive=some.booleans(),
)
def test_parts_hand_over_all_that_the_whole_would(
    seed: int,
    items: int,
    parts: int,
    depth: int,
    spare: int,
    digits: int,
    worth: Literal["half", "threshold", "likely"],
    key: bytes | None,
    per_second: bool,
    exclusive: bool,
) -> None:
    pool = make_pool(items, seed=seed, digits=digits, exclusive=exclusive)
    owner = np.random.default_rng(seed).integers(0, parts, items)
    assert pool.seconds is not None
    least = float(pool.seconds.min()) if per_second else 1.0
    turns = Turns(worth, depth, spare, key, per_second, least)

    for criterion in (turns, Lowest(KEY, depth)):
        wanted = core_set(pool, [criterion])

        assert set(wanted.tolist()) <= set(handed_over(pool, criterion, owner=owner).tolist())


@pytest.mark.parametrize("digits", [1, 6])
@pytest.mark.parametrize("parts", [1, 10, 100])
def test_a_hundred_parts_hand_over_no_more_than_a_few(parts: int, digits: int) -> None:
    pool = make_pool(20_000, seed=1, digits=digits)
    owner = np.arange(20_000) % parts
    criterion = Turns("half", 1000, 50, KEY)

    found = handed_over(pool, criterion, owner=owner)

    wanted = core_set(pool, [criterion])
    assert len(wanted) <= len(found) <= 1.15 * len(wanted) + 8 * parts
