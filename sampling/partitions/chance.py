"""Draws from the gathered rows as from the whole pool: the same rows, the same probabilities."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.random import Generator

from sampling.draws import LEAST_IN_SLICE, Drawn, distinct_draw, race_weights
from sampling.ids import KEY_BYTES
from sampling.partitions.facts import Facts
from sampling.partitions.gathered import Gathered
from sampling.partitions.tables import slices_of
from sampling.plan import Share
from sampling.pool import FloatArray, IntArray, best_first
from sampling.probability import neyman_allocation, race, whole_allocation
from sampling.scores import uncertainty


def draw(share: Share, gathered: Gathered, facts: Facts, *, limit: int, rng: Generator) -> Drawn:
    """As the share's draw from the pool that `facts` are the sums of; rows are places gathered."""
    limit = min(limit, facts.items)
    numbers = gathered.pool.ids.uniforms(rng.bytes(KEY_BYTES))
    if share.strategy == "weighted_random":
        seen = gathered.pool if share.column is None else gathered.pool.only(share.column)
        weights = race_weights(uncertainty(seen), facts.mean_worth(share.column))
        rows, finish = race(weights, numbers, limit=limit, tie=gathered.pool.ids)
        return Drawn(
            rows,
            lambda asked: finish.chances(weights[asked], drawn=np.isin(asked, rows)),
        )
    if share.strategy in ("stratified_random", "neyman_random"):
        return _by_slice(share, gathered, facts, numbers, limit=limit)
    rows = best_first(-numbers, limit=limit, tie=gathered.pool.ids)
    part = limit / facts.items if facts.items else 0.0
    return Drawn(rows, lambda asked: np.full(len(asked), part))


def draw_distinct(
    gathered: Gathered, facts: Facts, *, limit: int, depth: int, rng: Generator
) -> Drawn | None:
    """As `random_distinct`; None where the `depth` lowest numbers do not settle it."""
    if depth >= facts.items:
        return distinct_draw(gathered.pool, limit=limit, rng=rng)
    state = rng.bit_generator.state
    numbers = gathered.pool.ids.uniforms(rng.bytes(KEY_BYTES))
    lowest = np.sort(best_first(-numbers, limit=depth, tie=gathered.pool.ids))
    part = gathered.pool.take(lowest)
    rng.bit_generator.state = state
    # One more than wanted: only then its number, and not the end of what was handed over, says
    # when the turn of the others would have passed.
    if len(distinct_draw(part, limit=limit + 1, rng=rng).rows) <= limit:
        return None
    rng.bit_generator.state = state
    drawn = distinct_draw(part, limit=limit, rng=rng)

    def chances(asked: IntArray) -> FloatArray:
        found = np.full(len(asked), np.nan)
        is_low = np.isin(asked, lowest)
        found[is_low] = drawn.chances(np.searchsorted(lowest, asked[is_low]))
        return found

    return Drawn(lowest[drawn.rows], chances)


def _by_slice(
    share: Share, gathered: Gathered, facts: Facts, numbers: FloatArray, *, limit: int
) -> Drawn:
    names, sizes = facts.names, facts.sizes()
    codes, named = slices_of(gathered.table)
    slices = np.array([bisect_left(names, name) for name in named])[codes]
    least = 0
    wanted: FloatArray = np.ones(len(sizes))
    if share.strategy == "neyman_random":
        rates = facts.rates()
        if share.column is not None:
            rates = rates[:, share.column : share.column + 1]
        deviations = np.sqrt(np.maximum(rates * (1.0 - rates), 0.0)).sum(axis=1)
        wanted = neyman_allocation(sizes.astype(np.float64), deviations, limit=limit)
        least = LEAST_IN_SLICE
    picks = whole_allocation(wanted, sizes, limit=limit, least=least)
    by_slice = np.lexsort((gathered.pool.ids.digests, numbers, slices))
    ordered = slices[by_slice]
    place = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    drawn = np.flatnonzero(place < picks[ordered])
    rows, ordered = by_slice[drawn], ordered[drawn]
    # Slices in step, so that whoever stops half way has half of each.
    order = np.lexsort((numbers[rows], (place[drawn] + 0.5) / picks[ordered]))
    shares = picks / np.maximum(sizes, 1)
    return Drawn(rows[order], lambda asked: shares[slices[asked]])
