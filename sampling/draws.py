"""Draws from a pool by chance, each with the chance of what it drew: the picks that can measure.

All of them go by one keyed number an item (`ItemIds.uniforms`): who has the key can draw again.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.random import Generator

from sampling.distinct import closed_circles, walk_distinct
from sampling.ids import KEY_BYTES
from sampling.pool import FloatArray, IntArray, Pool, best_first
from sampling.probability import neyman_allocation, race, whole_allocation
from sampling.scores import Strategy, uncertainty

WEIGHT_FLOOR = 0.2
"""Part of `weighted_random`'s weight spread evenly, so that no label weighs more than five times
what it would in a uniform draw, however sure the model is of the item."""

LEAST_IN_SLICE = 50
"""Picks of each slice in `neyman_random`, where the batch is large enough: an estimate of its own
needs some, whatever the model thinks of it."""


class Draw(Protocol):
    """(pool, *, limit, rng) -> rows (at most `limit`), and the inclusion probability of every
    item, shape (N,). NaN: not known of an item that was not drawn."""

    def __call__(
        self, pool: Pool, *, limit: int, rng: Generator
    ) -> tuple[IntArray, FloatArray]: ...


def simple_random_draw(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """`limit` rows, every set of that size equally likely; each item's probability is limit / N.

    They are the rows of the lowest keyed numbers, lowest first.
    """
    items = len(pool)
    limit = min(limit, items)
    rows = best_first(-_numbers(pool, rng), limit=limit, tie=pool.ids)
    return rows, np.full(items, limit / items if items else 0.0)


def weighted_draw(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """`gumbel_top_k` by uncertainty, a fifth of the weight spread evenly over all items.

    Source: power acquisition of Kirsch et al. (2021), "Stochastic Batch Acquisition", with a
    power of 1 and a floor.
    """
    worth = uncertainty(pool).astype(np.float64)
    mean = worth.mean() if len(worth) else 0.0
    weights: FloatArray = np.ones(len(worth))
    if mean > 0.0:
        weights = np.divide(worth, mean, out=worth)
    weights *= 1.0 - WEIGHT_FLOOR
    weights += WEIGHT_FLOOR
    return race(weights, _numbers(pool, rng), limit=limit, tie=pool.ids)


def stratified_draw(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """A simple random draw from each slice, as many from each as from the others where it has
    them: what compares slices. An item's probability is its slice's picks over its size; with
    fewer picks than slices, some slices have none and are not measured."""
    sizes = np.bincount(pool.slices)
    return _by_slice(pool, np.ones(len(sizes)), limit=limit, least=0, rng=rng)


def neyman_draw(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """A simple random draw from each slice, most from where the answer is least certain: what
    measures the whole with the fewest labels.

    By Neyman's allocation with the model's own rates, sqrt(p (1 - p)) of each category's mean
    probability in the slice, summed; 50 of each slice at least where the batch has room. A wrong
    model costs width, never truth.
    """
    sizes = np.bincount(pool.slices)
    rates = (
        np.stack(
            [np.bincount(pool.slices, weights=column) for column in pool.probabilities.T], axis=1
        )
        / np.maximum(sizes, 1)[:, None]
    )
    deviations = np.sqrt(np.maximum(rates * (1.0 - rates), 0.0)).sum(axis=1)
    wanted = neyman_allocation(sizes.astype(np.float64), deviations, limit=limit)
    return _by_slice(pool, wanted, limit=limit, least=LEAST_IN_SLICE, rng=rng)


def distinct_draw(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """A simple random draw that passes over near-duplicates and group mates of what it has.

    Rows are walked in the order of their keyed numbers, lowest first. What was passed over is not
    lost to an estimate: each pick's probability says what else it stood for.

    Returns:
        At most `limit` rows (fewer where no more differ), and probabilities that are NaN but for
        those. Sums over the picks of value over probability are unbiased, for every item.

    Source: all rows before the walk's end are a simple random draw, each with the end's number for
    its probability. Where a pick and the rows that stood aside for it are all alike and like no
    other row before the end, each of them was as likely to come first, so it has that number over
    how many they are. For other picks it is the highest number with which they would have been
    drawn all the same, given the numbers of all others, as in priority sampling (Duffield, Lund
    and Thorup, 2007): that of the first row that stood aside for the pick alone, or the end's.
    It is as unbiased, but varies more. Neither what the end is nor who is alike before it depends
    on the order among those that are exchanged, so the two may stand side by side.
    """
    limit = min(limit, len(pool))
    inclusion = np.full(len(pool), np.nan)
    if limit <= 0:
        return np.empty(0, dtype=np.intp), inclusion
    numbers = _numbers(pool, rng)
    depth = 2 * limit + 64
    while True:
        order = best_first(-numbers, limit=depth, tie=pool.ids)
        # One more than wanted: its number is when the turn of all others would have passed.
        taken, owner = walk_distinct(pool, order, limit=limit + 1)
        if len(taken) > limit or len(order) == len(pool):
            break
        depth *= 4
    end = numbers[order[taken[limit]]] if len(taken) > limit else 1.0
    # The first that stood aside for each pick alone; 1 where none did.
    aside = np.flatnonzero((owner >= 0) & ~np.isin(np.arange(len(owner)), taken))
    turns = np.full(len(taken), 1.0)
    np.minimum.at(turns, owner[aside], numbers[order[aside]])
    circle = closed_circles(pool, order[: len(owner)], owner)
    known = np.where(circle > 0, end / np.maximum(circle, 1), np.minimum(turns, end))
    rows = order[taken[:limit]]
    inclusion[rows] = known[:limit]
    return rows, inclusion


def as_strategy(draw: Draw) -> Strategy:
    """The rows of a draw; where it has too few, the rest by chance, without a probability."""

    def chosen(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
        rows, _inclusion = draw(pool, limit=limit, rng=rng)
        missing = min(limit, len(pool)) - len(rows)
        if missing <= 0:
            return rows
        rest = pool.without(rows)
        more, _inclusion = simple_random_draw(pool.take(rest), limit=missing, rng=rng)
        return np.concatenate([rows, rest[more]])

    chosen.__doc__ = draw.__doc__
    return chosen


def _numbers(pool: Pool, rng: Generator) -> FloatArray:
    return pool.ids.uniforms(rng.bytes(KEY_BYTES))


def _by_slice(
    pool: Pool, wanted: FloatArray, *, limit: int, least: int, rng: Generator
) -> tuple[IntArray, FloatArray]:
    sizes = np.bincount(pool.slices, minlength=len(wanted))
    picks = whole_allocation(wanted, sizes, limit=limit, least=least)
    numbers = _numbers(pool, rng)
    # Each slice's rows side by side, lowest number first; of equal numbers the lower digest.
    by_slice = np.lexsort((pool.ids.digests, numbers, pool.slices))
    slices = pool.slices[by_slice]
    place = np.arange(len(pool)) - (np.cumsum(sizes) - sizes)[slices]
    drawn = np.flatnonzero(place < picks[slices])
    rows, slices = by_slice[drawn], slices[drawn]
    # Slices in step, so that whoever stops half way has half of each.
    order = np.lexsort((numbers[rows], (place[drawn] + 0.5) / picks[slices]))
    return rows[order], (picks / np.maximum(sizes, 1))[pool.slices]
