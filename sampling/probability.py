"""Choosing by chance, with the chance written down: only such labels can measure.

An estimate weighs each label by one over its inclusion probability, so that number has to be the
true one, for every item that could have been drawn.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from sampling.errors import BadBudget, BadWorth
from sampling.pool import FloatArray, IntArray, Pool
from sampling.scores import uncertainty

Draw: TypeAlias = Callable[..., tuple[IntArray, FloatArray]]
"""(pool, *, limit, rng) -> rows (limit,), and the inclusion probability of *every* item (N,)."""

WEIGHT_FLOOR = 0.2
"""Part of `weighted_random`'s weight spread evenly, so that no label weighs more than five times
what it would in a uniform draw, however sure the model is of the item."""


def poisson_probabilities(worth: FloatArray, *, budget: float, floor: float) -> FloatArray:
    """Inclusion probabilities for independent draws: min(1, floor + c * worth), adding to `budget`.

    Args:
        worth: shape (N,), finite, >= 0.
        budget: how many items are wanted on average. At N or more all probabilities are 1.
        floor: the least probability any item gets, in [0, 1].

    Returns:
        Shape (N,). Adds up to min(budget, N). Where the items with worth cannot take up the
        budget even at probability 1, the others share what remains evenly.

    Raises:
        BadWorth: names the first row whose worth is negative or not finite.
        BadBudget: the budget is negative or not finite, or the floor alone exceeds it.

    Source: Poisson sampling with probability proportional to size, with a floor; c is found
    exactly, from the sorted worths, where a bisection would approach it.
    """
    sizes = _checked(worth)
    items = len(sizes)
    if not (np.isfinite(budget) and budget >= 0.0):
        raise BadBudget(f"the budget is {budget}; write how many items you want, 0 or more")
    if not 0.0 <= floor <= 1.0:
        raise BadBudget(f"the floor is {floor}; a probability lies in [0, 1]")
    if budget >= items:
        return np.ones(items)
    if floor * items > budget * (1.0 + 1e-12):
        raise BadBudget(
            f"a floor of {floor:g} over {items} items needs {floor * items:g} picks, more than the "
            f"budget of {budget:g}; lower the floor to {budget / items:g} or less"
        )
    with_worth = sizes > 0.0
    reachable = np.count_nonzero(with_worth) + floor * np.count_nonzero(~with_worth)
    if reachable <= budget:
        rest = (budget - np.count_nonzero(with_worth)) / max(np.count_nonzero(~with_worth), 1)
        return np.where(with_worth, 1.0, rest)
    c = _rate(sizes, budget=budget, floor=floor)
    probabilities: FloatArray = np.minimum(1.0, floor + c * sizes)
    return probabilities


def gumbel_top_k(worth: FloatArray, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """Draw exactly `limit` rows, more often those of more worth, with each one's probability.

    Args:
        worth: shape (N,), finite, > 0; chances are in proportion to it.
        limit: how many; at N or more all rows are returned, with probability 1.

    Returns:
        rows, shape (min(limit, N),), in the order drawn, and their inclusion probabilities, same
        shape: those conditional on what all other items drew. They differ from draw to draw, and
        sums weighted by one over them are unbiased.

    Raises:
        BadWorth: names the first row whose worth is not finite or not above 0.
        BadBudget: the limit is negative.

    Source: key = log worth + Gumbel noise, the `limit` largest keys, and
    1 - exp(-exp(log worth - kappa)) with kappa the next key. Efraimidis and Spirakis (2006);
    Vieira (2017), "Estimating means in a finite universe"; Kool et al. (2020).
    """
    rows, inclusion = gumbel_draw(worth, limit=limit, rng=rng)
    return rows, inclusion[rows]


def gumbel_draw(worth: FloatArray, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """As `gumbel_top_k`, with the inclusion probability of every row, shape (N,), drawn or not.

    For a row that was not drawn, kappa is the last key that was: had its own key passed that one,
    it would have been in.
    """
    sizes = _checked(worth)
    if limit < 0:
        raise BadBudget(f"the limit is {limit}; write 0 or more")
    if len(sizes) and sizes.min() <= 0.0:
        row = int(np.argmin(sizes))
        raise BadWorth(
            row, "the worth is 0, so it could never be drawn; add a small floor to all worths"
        )
    log_worth = np.log(sizes)
    keys = log_worth + rng.gumbel(size=len(sizes))
    order = np.argsort(-keys, kind="stable").astype(np.intp, copy=False)
    rows = order[: min(limit, len(sizes))]
    inclusion = np.zeros(len(sizes))
    if len(rows) == len(sizes):
        inclusion[:] = 1.0
    elif len(rows):
        kappa = np.full(len(sizes), keys[rows[-1]])
        kappa[rows] = keys[order[len(rows)]]
        inclusion = -np.expm1(-np.exp(log_worth - kappa))
    return rows, inclusion


def keyed_uniforms(item_ids: Sequence[str], *, key: bytes, round_id: str) -> FloatArray:
    """A number in [0, 1) for each item that anyone with the key can compute again.

    An item is selected when its number is below its inclusion probability: independent draws that
    can be audited item by item, and do not depend on the pool around it.

    Source: the first 53 bits of HMAC-SHA256(key, round_id, NUL, item_id), over 2**53. The NUL,
    which neither id can hold, keeps ("r1", "2x") and ("r12", "x") apart.
    """
    prefix = round_id.encode() + b"\0"
    digests = (
        hmac.digest(key, prefix + item_id.encode(), hashlib.sha256().name) for item_id in item_ids
    )
    bits = (int.from_bytes(digest[:8], "big") >> 11 for digest in digests)
    return np.fromiter(bits, dtype=np.float64, count=len(item_ids)) * 2.0**-53


def simple_random_draw(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """`limit` rows, every set of that size equally likely; each item's probability is limit / N."""
    items = len(pool)
    limit = min(limit, items)
    rows = pool.by_id[rng.permutation(items)[:limit]]
    return rows, np.full(items, limit / items if items else 0.0)


def weighted_draw(pool: Pool, *, limit: int, rng: Generator) -> tuple[IntArray, FloatArray]:
    """`gumbel_top_k` by uncertainty, a fifth of the weight spread evenly over all items."""
    worth = uncertainty(pool)[pool.by_id].astype(np.float64)
    mean = worth.mean() if len(worth) else 0.0
    relative = worth / mean if mean > 0.0 else np.ones(len(worth))
    weights = (1.0 - WEIGHT_FLOOR) * relative + WEIGHT_FLOOR
    places, by_place = gumbel_draw(weights, limit=limit, rng=rng)
    inclusion = np.empty(len(pool))
    inclusion[pool.by_id] = by_place
    return pool.by_id[places], inclusion


def random(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Every item equally likely: what audits and measures."""
    return simple_random_draw(pool, limit=limit, rng=rng)[0]


def weighted_random(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """More uncertain items more often, none never: trains almost as well, and still measures."""
    return weighted_draw(pool, limit=limit, rng=rng)[0]


def _checked(worth: FloatArray) -> FloatArray:
    sizes: FloatArray = np.asarray(worth, dtype=np.float64)
    if sizes.ndim != 1:
        raise BadWorth(0, f"worth has shape {sizes.shape}; give one number a row")
    wrong = np.flatnonzero(~(np.isfinite(sizes) & (sizes >= 0.0)))
    if len(wrong):
        row = int(wrong[0])
        raise BadWorth(row, f"the worth is {sizes[row]}; it must be finite and 0 or more")
    return sizes


def _rate(sizes: FloatArray, *, budget: float, floor: float) -> float:
    """The c for which sum(min(1, floor + c * sizes)) is `budget`; it exists and is unique.

    With the j largest at probability 1, the others add up to floor * (N - j) + c * (their sizes).
    The right j is the first whose next item stays below 1.
    """
    largest_first = np.sort(sizes)[::-1]
    certain = np.arange(len(sizes))
    others = np.cumsum(largest_first[::-1])[::-1]  # sum of the sizes from j on
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = (budget - certain - floor * (len(sizes) - certain)) / others
        fits = floor + rates * largest_first <= 1.0
    return float(max(rates[int(np.argmax(fits))], 0.0))
