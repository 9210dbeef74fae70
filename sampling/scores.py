"""How much a review would teach, from probabilities alone: higher is always more worth asking.

A pool with `exclusive=False` has C independent yes/no questions an item; there each measure is
taken per category on (p, 1 - p). For one yes/no question least confidence, margin and entropy put
items in the same order, so only *how categories are put together* matters: the hardest one
(`least_confidence`, `margin`, `entropy`), their mean (`mean_margin`, `mean_entropy`), or turn by
turn (`uncertain`). Turn by turn is the default of the two-stage strategies: a rare category whose
probabilities never come near one half would otherwise never be asked about.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from sampling.pool import FloatArray, IntArray, Pool, best_first


def least_confidence_worth(probabilities: FloatArray) -> FloatArray:
    """How unsure the leading category is: 0 for certain, 1 for all equal.

    Args:
        probabilities: shape (N, C), C >= 2, rows add up to 1.

    Source: Lewis and Gale (1994); we scale 1 - max by its largest value, (C - 1) / C.
    """
    categories = probabilities.shape[1]
    worth: FloatArray = (1.0 - probabilities.max(axis=1)) * (categories / (categories - 1))
    return worth


def margin_worth(probabilities: FloatArray) -> FloatArray:
    """How close the two leading categories are: 0 for certain, 1 for a tie.

    Args:
        probabilities: shape (N, C), C >= 2, rows add up to 1.

    Source: Scheffer, Decomain and Wrobel (2001); we return 1 - margin.
    """
    top_two = np.partition(probabilities, -2, axis=1)[:, -2:]
    worth: FloatArray = 1.0 - (top_two[:, 1] - top_two[:, 0])
    return worth


def entropy_worth(probabilities: FloatArray) -> FloatArray:
    """Entropy of the categories: 0 for certain, 1 for all equal.

    Args:
        probabilities: shape (N, C), C >= 2, rows add up to 1.

    Source: Shannon (1948); divided by log C.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probabilities > 0.0, probabilities * np.log(probabilities), 0.0)
    worth: FloatArray = -terms.sum(axis=1) / np.log(probabilities.shape[1])
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


def uncertainty(pool: Pool) -> FloatArray:
    """Shape (N,), in [0, 1]: margin for exclusive categories, else that of the hardest category."""
    if pool.exclusive:
        return margin_worth(pool.probabilities)
    hardest: FloatArray = binary_uncertainty(pool.probabilities).max(axis=1)
    return hardest


def uncertain_order(pool: Pool, *, limit: int, tie: IntArray) -> IntArray:
    """The `limit` rows a reviewer should see for uncertainty alone, best first.

    Exclusive categories: by margin. Independent ones: turn by turn, each category's most
    uncertain, then each one's second, and so on. A category speaks only for items above its own
    lowest uncertainty, so one that says the same of everything (a cold start, a category the model
    never learned) takes no turns. Items that no category speaks for come last. Within a turn the
    more uncertain item goes first, then `tie`.
    """
    limit = min(limit, len(pool))
    if pool.exclusive or limit <= 0:
        return best_first(uncertainty(pool), limit=limit, tie=tie)
    per_category = binary_uncertainty(pool.probabilities)
    turn = np.full(len(pool), len(pool), dtype=np.intp)
    for column in per_category.T:
        best = best_first(column, limit=limit, tie=tie)
        best = best[column[best] > column.min()]
        turn[best] = np.minimum(turn[best], np.arange(len(best)))
    # `limit` of each category suffice: the first `limit` of the merged order are among them,
    # and what is left over has one turn for all, ordered by the last two keys.
    spoken_for = np.flatnonzero(turn < len(pool))
    hardest = per_category.max(axis=1)
    order: IntArray = spoken_for[
        np.lexsort((tie[spoken_for], -hardest[spoken_for], turn[spoken_for]))
    ]
    if len(order) >= limit:
        return order[:limit]
    rest = np.flatnonzero(turn == len(pool))
    more = best_first(hardest[rest], limit=limit - len(order), tie=tie[rest])
    return np.concatenate([order, rest[more]])


def least_confidence(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Least confident first; for independent categories by the hardest one."""
    if pool.exclusive:
        worth = least_confidence_worth(pool.probabilities)
        return best_first(worth, limit=limit, tie=pool.id_ranks())
    return margin(pool, limit=limit, rng=rng)


def margin(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Smallest margin first; for independent categories by the hardest one."""
    return best_first(uncertainty(pool), limit=limit, tie=pool.id_ranks())


def entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest entropy first; for independent categories by the hardest one."""
    if pool.exclusive:
        worth = entropy_worth(pool.probabilities)
    else:
        worth = binary_entropy(pool.probabilities).max(axis=1)
    return best_first(worth, limit=limit, tie=pool.id_ranks())


def mean_margin(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Most uncertain on average over categories first; for exclusive ones the same as `margin`."""
    if pool.exclusive:
        return margin(pool, limit=limit, rng=rng)
    worth = binary_uncertainty(pool.probabilities).mean(axis=1)
    return best_first(worth, limit=limit, tie=pool.id_ranks())


def mean_entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest mean entropy over categories first; for exclusive ones the same as `entropy`."""
    if pool.exclusive:
        return entropy(pool, limit=limit, rng=rng)
    worth = binary_entropy(pool.probabilities).mean(axis=1)
    return best_first(worth, limit=limit, tie=pool.id_ranks())


def uncertain(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """`uncertain_order` with ties broken by id."""
    return uncertain_order(pool, limit=limit, tie=pool.id_ranks())


def top_positive(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest probability of any category first: finds positives while there are too few to learn.

    For exclusive categories, where some column always leads, this is the surest item first.
    """
    return best_first(pool.probabilities.max(axis=1), limit=limit, tie=pool.id_ranks())
