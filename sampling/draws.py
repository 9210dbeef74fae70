"""Draws from a pool by chance, each with the chance of what it drew: the picks that can measure.

All of them go by one keyed number an item (`ItemIds.uniforms`): who has the key can draw again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

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


MEAN_OF_ALL = 1 << 18
"""Of a larger pool, `weighted_random` takes the mean worth from the items whose digest says so, one
in 256: the worths of all others need never be known."""

_UNIT = float(1 << 42)
"""A worth is summed in steps of 2**-42, so that sums are the same however a pool is cut."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows drawn, and of any rows of the pool (n,) how likely each was to be drawn, (n,). NaN: not
    known of an item that was not drawn."""

    rows: IntArray
    chances: Callable[[IntArray], FloatArray]


class Draw(Protocol):
    """(pool, *, limit, rng) -> at most `limit` rows, with their chances."""

    def __call__(self, pool: Pool, *, limit: int, rng: Generator) -> Drawn: ...


def simple_random_draw(pool: Pool, *, limit: int, rng: Generator) -> Drawn:
    """`limit` rows, every set of that size equally likely; each item's probability is limit / N.

    They are the rows of the lowest keyed numbers, lowest first.
    """
    rows, _numbers = lowest_rows(pool, rng.bytes(KEY_BYTES), limit=limit)
    share = len(rows) / max(len(pool), 1)
    return Drawn(rows, lambda asked: np.full(len(asked), share))


def weighted_draw(pool: Pool, *, limit: int, rng: Generator) -> Drawn:
    """`gumbel_top_k` by uncertainty, a fifth of the weight spread evenly over all items.

    Source: power acquisition of Kirsch et al. (2021), "Stochastic Batch Acquisition", with a
    power of 1 and a floor.
    """
    key = rng.bytes(KEY_BYTES)
    limit = max(min(limit, len(pool)), 0)
    mean = _mean_uncertainty(pool)

    def weights(rows: IntArray) -> FloatArray:
        return race_weights(uncertainty(pool, rows), mean)

    # Nobody arrives before number / weight, so of a large pool only low numbers need a weight.
    heaviest = float(race_weights(np.ones(1), mean)[0])
    below = 1.2 * heaviest * (limit + 24) / max(len(pool), 1)
    while True:
        among, numbers = pool.ids.lowest_uniforms(key, limit=limit + 1, below=below)
        places, finish = race(weights(among), numbers, limit=limit, tie=pool.ids.take(among))
        last = finish.following * heaviest * (1.0 + 1e-9)  # logarithms are rounded
        if len(among) == len(pool) or last <= below:
            break
        below = last
    rows = among[places]
    return Drawn(rows, lambda asked: finish.chances(weights(asked), drawn=np.isin(asked, rows)))


def race_weights(worth: FloatArray, mean: float) -> FloatArray:
    """`weighted_random`'s weights, given the mean worth of the pool."""
    relative = worth.astype(np.float64) / mean if mean > 0.0 else np.ones(len(worth))
    weights: FloatArray = (1.0 - WEIGHT_FLOOR) * relative + WEIGHT_FLOOR
    return weights


def in_steps(worth: FloatArray) -> NDArray[np.int64]:
    """Numbers in [0, 1] as whole ones, whose sums do not depend on their order."""
    return np.rint(worth.astype(np.float64) * _UNIT).astype(np.int64)


def mean_of_steps(total: int, items: int) -> float:
    return total / _UNIT / items if items else 0.0


def has_speakers(items: int) -> bool:
    """Whether a pool of so many takes the mean worth from some of them."""
    return items > MEAN_OF_ALL


def speakers(digests: NDArray[np.uint64]) -> IntArray:
    """The rows that the mean of a large pool is taken from."""
    from sampling import kernels

    return kernels.rows_of_leading_zeros(digests, np.uint64(8))


def _mean_uncertainty(pool: Pool) -> float:
    rows = None
    if has_speakers(len(pool)):
        rows = speakers(pool.ids.digests)
    worth = uncertainty(pool, rows)
    return mean_of_steps(int(in_steps(worth).sum()), len(worth))


def stratified_draw(pool: Pool, *, limit: int, rng: Generator) -> Drawn:
    """A simple random draw from each slice, as many from each as from the others where it has
    them: what compares slices. An item's probability is its slice's picks over its size; with
    fewer picks than slices, some slices have none and are not measured."""
    sizes = np.bincount(pool.slices)
    return _by_slice(pool, np.ones(len(sizes)), limit=limit, least=0, rng=rng)


def neyman_draw(pool: Pool, *, limit: int, rng: Generator) -> Drawn:
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


def distinct_draw(pool: Pool, *, limit: int, rng: Generator) -> Drawn:
    """A simple random draw that passes over near-duplicates and group mates of what it has.

    Rows are walked in the order of their keyed numbers, lowest first. What was passed over is not
    lost to an estimate: each pick's probability says what else it stood for.

    Returns:
        At most `limit` rows (fewer where no more differ), and chances that are NaN but for those.
        Sums over the picks of value over chance are unbiased, for every item.

    Source: all rows before the walk's end are a simple random draw, each with the end's number for
    its probability. Where a pick and the rows that stood aside for it are all alike and like no
    other row before the end, each of them was as likely to come first, so it has that number over
    how many they are. For other picks it is the highest number with which they would have been
    drawn all the same, given the numbers of all others, as in priority sampling (Duffield, Lund
    and Thorup, 2007): that of the first row that stood aside for the pick alone, or the end's.
    It is as unbiased, but varies more. Neither what the end is nor who is alike before it depends
    on the order among those that are exchanged, so the two may stand side by side.
    """
    key = rng.bytes(KEY_BYTES)
    limit = min(limit, len(pool))
    if limit <= 0:
        return Drawn(np.empty(0, dtype=np.intp), lambda asked: np.full(len(asked), np.nan))
    depth = 2 * limit + 64
    while True:
        order, numbers = lowest_rows(pool, key, limit=depth)
        # One more than wanted: its number is when the turn of all others would have passed.
        taken, owner = walk_distinct(pool, order, limit=limit + 1)
        if len(taken) > limit or len(order) == len(pool):
            break
        depth *= 4
    end = numbers[taken[limit]] if len(taken) > limit else 1.0
    # The first that stood aside for each pick alone; 1 where none did.
    aside = np.flatnonzero((owner >= 0) & ~np.isin(np.arange(len(owner)), taken))
    turns = np.full(len(taken), 1.0)
    np.minimum.at(turns, owner[aside], numbers[aside])
    circle = closed_circles(pool, order[: len(owner)], owner)
    known = np.where(circle > 0, end / np.maximum(circle, 1), np.minimum(turns, end))[:limit]
    rows = order[taken[:limit]]
    return Drawn(rows, lambda asked: _looked_up(asked, rows, known))


def as_strategy(draw: Draw) -> Strategy:
    """The rows of a draw; where it has too few, the rest by chance, without a probability."""

    def chosen(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
        rows = draw(pool, limit=limit, rng=rng).rows
        missing = min(limit, len(pool)) - len(rows)
        if missing <= 0:
            return rows
        rest = pool.without(rows)
        more = simple_random_draw(pool.take(rest), limit=missing, rng=rng).rows
        return np.concatenate([rows, rest[more]])

    chosen.__doc__ = draw.__doc__
    return chosen


def lowest_rows(pool: Pool, key: bytes, *, limit: int) -> tuple[IntArray, FloatArray]:
    """The rows of the `limit` lowest keyed numbers, lowest first and equals by id; the numbers."""
    rows, numbers = pool.ids.lowest_uniforms(key, limit=max(limit, 0))
    order = best_first(-numbers, limit=limit, tie=pool.ids.take(rows))
    return rows[order], numbers[order]


def _looked_up(asked: IntArray, rows: IntArray, known: FloatArray) -> FloatArray:
    """What is known of each asked row; NaN of one that is not among `rows`."""
    found = np.full(len(asked), np.nan)
    order = np.argsort(rows)
    place = np.searchsorted(rows, asked, sorter=order).clip(max=len(rows) - 1)
    is_known = rows[order[place]] == asked
    found[is_known] = known[order[place[is_known]]]
    return found


def _by_slice(pool: Pool, wanted: FloatArray, *, limit: int, least: int, rng: Generator) -> Drawn:
    sizes = np.bincount(pool.slices, minlength=len(wanted))
    picks = whole_allocation(wanted, sizes, limit=limit, least=least)
    numbers = pool.ids.uniforms(rng.bytes(KEY_BYTES))
    # Each slice's rows side by side, lowest number first; of equal numbers the lower digest.
    by_slice = np.lexsort((pool.ids.digests, numbers, pool.slices))
    slices = pool.slices[by_slice]
    place = np.arange(len(pool)) - (np.cumsum(sizes) - sizes)[slices]
    drawn = np.flatnonzero(place < picks[slices])
    rows, slices = by_slice[drawn], slices[drawn]
    # Slices in step, so that whoever stops half way has half of each.
    order = np.lexsort((numbers[rows], (place[drawn] + 0.5) / picks[slices]))
    shares = picks / np.maximum(sizes, 1)
    return Drawn(rows[order], lambda asked: shares[pool.slices[asked]])
