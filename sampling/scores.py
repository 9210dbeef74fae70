"""How much a review would teach, from probabilities alone: higher is always more worth asking.

A pool with `exclusive=False` has C independent yes/no questions an item; there each measure is
taken per category on (p, 1 - p). For one yes/no question least confidence, margin and entropy put
items in the same order, so only *how categories are put together* matters: the hardest one
(`least_confidence`, `margin`, `entropy`), their mean (`mean_margin`, `mean_entropy`), or turn by
turn (`uncertain`). Turn by turn is the default of the two-stage strategies: a rare category whose
probabilities never come near one half would otherwise never be asked about. For a single category
alone, `of_category`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.random import Generator

from sampling.ids import ItemIds
from sampling.pool import FloatArray, IntArray, Pool, Tie, best_first, likely_highest, places_of

_ROWS_PER_BLOCK = 16_384
_ROUNDED = 1e-4  # what float32 may be off by in an entropy and its bound


class Strategy(Protocol):
    """(pool, *, limit, rng) -> rows, best first.

    Returns min(limit, N) distinct rows of the pool, leaves the pool as it was, gives the same
    items for the same seed whatever the order of the rows, and breaks ties by item id (or, where
    it says so, at random by `rng`). tests/sampling/test_strategy_promises.py holds every entry
    of STRATEGIES to that.
    """

    def __call__(self, pool: Pool, *, limit: int, rng: Generator) -> IntArray: ...


def least_confidence_worth(probabilities: FloatArray) -> FloatArray:
    """How unsure the leading category is: 0 for certain, 1 for all equal.

    Args:
        probabilities: shape (N, C), C >= 2, rows add up to 1.

    Source: Lewis and Gale (1994); we scale 1 - max by its largest value, (C - 1) / C.
    """
    from sampling import kernels

    categories = probabilities.shape[1]
    worth: FloatArray = (1.0 - kernels.highest(probabilities)) * (categories / (categories - 1))
    return worth


def margin_worth(probabilities: FloatArray) -> FloatArray:
    """How close the two leading categories are: 0 for certain, 1 for a tie.

    Args:
        probabilities: shape (N, C), C >= 2, rows add up to 1.

    Source: Scheffer, Decomain and Wrobel (2001); we return 1 - margin.
    """
    from sampling import kernels

    return kernels.margin(probabilities)


def entropy_worth(probabilities: FloatArray) -> FloatArray:
    """Entropy of the categories: 0 for certain, 1 for all equal.

    Args:
        probabilities: shape (N, C), C >= 2, rows add up to 1.

    Source: Shannon (1948); divided by log C.
    """
    # p log p is 0 at 0, which the smallest number stands for.
    least = np.finfo(probabilities.dtype).tiny

    def of_block(p: FloatArray) -> FloatArray:
        terms: FloatArray = np.einsum("ij,ij->i", p, np.log(np.maximum(p, least)))
        return terms

    # A logarithm of NumPy's would make float64 of it all.
    worth: FloatArray = _blockwise(of_block, probabilities) / -math.log(probabilities.shape[1])
    return worth


def binary_uncertainty(probabilities: FloatArray) -> FloatArray:
    """Shape (N, C): per category, 1 - |2p - 1|: 0 where the model is sure, 1 at one half."""
    worth: FloatArray = 1.0 - np.abs(2.0 * probabilities - 1.0)
    return worth


def binary_entropy(probabilities: FloatArray) -> FloatArray:
    """Shape (N, C): per category, the entropy of (p, 1 - p) in bits, in [0, 1]."""
    no = 1.0 - probabilities
    with np.errstate(divide="ignore", invalid="ignore"):
        yes_term = np.where(probabilities > 0.0, probabilities * np.log2(probabilities), 0.0)
        no_term = np.where(no > 0.0, no * np.log2(no), 0.0)
    worth: FloatArray = -(yes_term + no_term)
    return worth


def uncertainty(pool: Pool, rows: IntArray | None = None) -> FloatArray:
    """Shape (N,), in [0, 1]: margin for exclusive categories, else that of the hardest category.

    Args:
        rows: of these alone, shape (n,).
    """
    from sampling import kernels  # loading numba takes half a second; most commands need none

    probabilities = pool.probabilities if rows is None else pool.probabilities[rows]
    if pool.exclusive:
        return margin_worth(probabilities)
    return kernels.hardest_margin(probabilities)


def uncertain_order(pool: Pool, *, limit: int, tie: Tie, per_second: bool = False) -> IntArray:
    """The `limit` rows a reviewer should see for uncertainty alone, best first.

    Exclusive categories: by margin. Independent ones: turn by turn, each category's most
    uncertain, then each one's second, and so on (`by_turns`).

    Args:
        per_second: by worth over `Pool.seconds`, where the pool has them.
    """
    share = cost_share(pool) if per_second else 1.0
    if pool.exclusive:
        return best_first(uncertainty(pool) * share, limit=limit, tie=tie)
    worths = (worth * share for worth in closeness(pool.probabilities, at=0.5))
    return by_turns(pool, worths, limit=limit, tie=tie)


def filled_by_uncertainty(pool: Pool, rows: IntArray, *, limit: int) -> IntArray:
    """The first `limit` of `rows`; where they are too few, the most uncertain others after them."""
    if len(rows) >= limit:
        return rows[:limit]
    rest = pool.without(rows)
    part = pool.take(rest)
    more = rest[uncertain_order(part, limit=limit - len(rows), tie=part.ids)]
    return np.concatenate([rows, more])


def cost_share(pool: Pool) -> FloatArray:
    """Shape (N,), in (0, 1]: the fewest seconds any item takes over those that each one takes."""
    if pool.seconds is None or not len(pool):
        return np.ones(len(pool))
    share: FloatArray = pool.seconds.min() / pool.seconds
    return share


def by_turns(pool: Pool, worths: Iterable[FloatArray], *, limit: int, tie: Tie) -> IntArray:
    """Categories take turns: each one's best row, then each one's second, and so on.

    Args:
        worths: for each category the worth of every row, shape (N,).

    A category speaks only for rows above its own lowest worth, so one that says the same of
    everything (a cold start, a category the model never learned) takes no turns. Rows that no
    category speaks for come last. Within a turn the row of the higher best worth goes first, then
    `tie`.
    """
    limit = min(limit, len(pool))
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    spoken: list[IntArray] = []
    turns: list[IntArray] = []
    highest = np.zeros(len(pool), dtype=pool.probabilities.dtype)
    for worth in worths:
        np.maximum(highest, worth, out=highest)
        best = best_first(worth, limit=limit, tie=tie)
        best = best[worth[best] > worth.min()]
        spoken.append(best)
        turns.append(np.arange(len(best)))
    # `limit` of each category suffice: the first `limit` of the merged order are among them.
    rows, turn = _earliest_turn(np.concatenate(spoken), np.concatenate(turns))
    order: IntArray = rows[np.lexsort((places_of(tie, rows), -highest[rows], turn))]
    if len(order) >= limit:
        return order[:limit]
    rest = pool.without(order)
    among = tie.take(rest) if isinstance(tie, ItemIds) else tie[rest]
    more = best_first(highest[rest], limit=limit - len(order), tie=among)
    return np.concatenate([order, rest[more]])


def closeness(probabilities: FloatArray, *, at: float | FloatArray) -> Iterator[FloatArray]:
    """For each category, 1 where the probability is `at`, falling evenly to 0 at the far end."""
    for column, bar in zip(
        probabilities.T, np.broadcast_to(at, probabilities.shape[1]), strict=True
    ):
        worth: FloatArray = 1.0 - np.abs(column - column.dtype.type(bar)) / column.dtype.type(
            max(bar, 1.0 - bar)
        )
        yield worth


def least_confidence(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Least confident first; for independent categories by the hardest one."""
    if pool.exclusive:
        worth = least_confidence_worth(pool.probabilities)
        return best_first(worth, limit=limit, tie=pool.ids)
    return margin(pool, limit=limit, rng=rng)


def margin(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Smallest margin first; for independent categories by the hardest one."""
    return best_first(uncertainty(pool), limit=limit, tie=pool.ids)


def entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest entropy first; for independent categories by the hardest one, which is `margin`."""
    if not pool.exclusive:
        return margin(pool, limit=limit, rng=rng)
    from sampling import kernels

    # The logarithms of all are most of the work, and few rows can be among the first.
    probabilities = pool.probabilities
    bounds = kernels.entropy_bounds(probabilities)
    rows = likely_highest(bounds, limit=limit)
    worth = entropy_worth(probabilities[rows])
    if 0 < limit < len(worth):
        last = np.partition(worth, len(worth) - limit)[len(worth) - limit]
        least = (last - _ROUNDED) * math.log(probabilities.shape[1])
        # No other row's bound is as high as the lowest of these.
        if bounds[rows].min() > least:
            rows = np.flatnonzero(bounds >= least)
            worth = entropy_worth(probabilities[rows])
        rows, worth = rows[worth >= last], worth[worth >= last]
    return rows[best_first(worth, limit=limit, tie=pool.ids.take(rows))]


def mean_margin(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Most uncertain on average over categories first; for exclusive ones the same as `margin`."""
    if pool.exclusive:
        return margin(pool, limit=limit, rng=rng)
    worth = _blockwise(lambda p: binary_uncertainty(p).mean(axis=1), pool.probabilities)
    return best_first(worth, limit=limit, tie=pool.ids)


def mean_entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest mean entropy over categories first; for exclusive ones the same as `entropy`."""
    if pool.exclusive:
        return entropy(pool, limit=limit, rng=rng)
    worth = _blockwise(lambda p: binary_entropy(p).mean(axis=1), pool.probabilities)
    return best_first(worth, limit=limit, tie=pool.ids)


def uncertain(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """`uncertain_order` with ties broken by id: margin, categories taking turns."""
    return uncertain_order(pool, limit=limit, tie=pool.ids)


def near_threshold(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Closest to where the policy acts first (`Pool.thresholds`), categories taking turns.

    The items whose fate a slightly better model would change, wherever its thresholds lie.
    """
    worths = closeness(pool.probabilities, at=pool.thresholds)
    return by_turns(pool, worths, limit=limit, tie=pool.ids)


def top_positive(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest probability of any category first: finds positives while there are too few to learn.

    For exclusive categories, where some column always leads, this is the surest item first.
    """
    from sampling import kernels

    return best_first(kernels.highest(pool.probabilities), limit=limit, tie=pool.ids)


def top_positive_by_turns(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Each category's likeliest in turn: a rare one is not drowned by a frequent one."""
    return by_turns(pool, iter(pool.probabilities.T), limit=limit, tie=pool.ids)


def uncertain_per_second(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """`uncertain` by worth per second of a reviewer's time (`Pool.seconds`).

    Long items must be worth their length. Without seconds it is `uncertain`.
    """
    return uncertain_order(pool, limit=limit, tie=pool.ids, per_second=True)


def of_category(strategy: Strategy, column: int) -> Strategy:
    """`strategy` as if that one category were all there is."""

    def chosen(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
        return strategy(pool.only(column), limit=limit, rng=rng)

    return chosen


def _earliest_turn(rows: IntArray, turns: IntArray) -> tuple[IntArray, IntArray]:
    """Each row once, with the lowest of its turns."""
    order = np.lexsort((turns, rows))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = rows[order][1:] != rows[order][:-1]
    return rows[order][first], turns[order][first]


def _blockwise(worth: Callable[[FloatArray], FloatArray], probabilities: FloatArray) -> FloatArray:
    """`worth` of all rows by blocks, so that what it makes on the way stays in the cache."""
    found = np.empty(len(probabilities), dtype=probabilities.dtype)
    for start in range(0, len(found), _ROWS_PER_BLOCK):
        part = slice(start, start + _ROWS_PER_BLOCK)
        # Rows side by side in memory: a sum must not round by how a caller laid them out.
        found[part] = worth(np.ascontiguousarray(probabilities[part]))
    return found
