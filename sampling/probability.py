"""Choosing by chance, with the chance written down: only such labels can measure.

An estimate weighs each label by one over its inclusion probability, so that number has to be the
true one, for every item that could have been drawn.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sampling.errors import BadBudget, BadWorth
from sampling.ids import KEY_BYTES, Ids, ItemIds
from sampling.pool import BoolArray, FloatArray, IntArray, Tie, best_first


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
    numbers = rng.random(len(sizes))
    rows, finish = race(sizes, numbers, limit=limit, tie=np.arange(len(sizes)))
    drawn = np.zeros(len(sizes), dtype=np.bool_)
    drawn[rows] = True
    return rows, finish.chances(sizes, drawn=drawn)


@dataclass(frozen=True, slots=True)
class Finish:
    """When the last of a race's winners arrived, and when the next would have: infinity where
    all are winners, 0 where nobody is."""

    last: float
    following: float

    def chances(self, sizes: FloatArray, *, drawn: BoolArray) -> FloatArray:
        """Shape of `sizes`: how likely each was to win, given how long all others took.

        A row is in if it arrives before the limit-th of all others, which has the chance
        1 - exp(-size * that time).
        """
        found: FloatArray = -np.expm1(-sizes * np.where(drawn, self.following, self.last))
        return found


def race(
    sizes: FloatArray, numbers: FloatArray, *, limit: int, tie: Tie
) -> tuple[IntArray, Finish]:
    """The `limit` rows that arrive first when each takes -log(1 - number) / size.

    The same as the largest log size + Gumbel noise, with one logarithm less.
    """
    limit = min(limit, len(sizes))
    if limit <= 0:
        return np.empty(0, dtype=np.intp), Finish(0.0, 0.0)
    arrival = -np.log1p(-numbers) / sizes
    rows = best_first(-arrival, limit=limit, tie=tie)
    if limit == len(sizes):
        return rows, Finish(np.inf, np.inf)
    last, following = np.partition(arrival, (limit - 1, limit))[limit - 1 : limit + 1]
    return rows, Finish(float(last), float(following))


def keyed_uniforms(item_ids: Ids, *, key: bytes, round_id: str) -> FloatArray:
    """A number in (0, 1) for each item that anyone with the key can compute again.

    An item is selected when its number is below its inclusion probability: independent draws that
    can be audited item by item, and do not depend on the pool around it.

    Source: `ItemIds.uniforms` under `round_key`.
    """
    return ItemIds(item_ids).uniforms(round_key(key, round_id))


def round_key(key: bytes, round_id: str) -> bytes:
    """The key of one round, 16 bytes: the first of HMAC-SHA256(key, round_id)."""
    return hmac.digest(key, round_id.encode(), hashlib.sha256().name)[:KEY_BYTES]


def lure_weights(proposals: FloatArray, *, items: int) -> FloatArray:
    """Weights that make the mean over sequential draws without replacement an unbiased one.

    Args:
        proposals: shape (M,): the chance with which each draw was made, among the items left at
            that moment, in the order drawn; in (0, 1].
        items: N, how many there were at the start; M or more.

    Returns:
        Shape (M,), each of mean 1; the mean over all items is estimated by mean(weight * value).

    Raises:
        BadWorth: names the first draw whose chance is not in (0, 1].
        BadBudget: there were more draws than items.

    Source: Farquhar, Gal and Rainforth (2021), "On Statistical Bias in Active Learning", LURE.
    """
    chances = _checked(proposals)
    wrong = np.flatnonzero((chances <= 0.0) | (chances > 1.0))
    if len(wrong):
        raise BadWorth(int(wrong[0]), f"the chance is {chances[wrong[0]]}; it lies in (0, 1]")
    draws = len(chances)
    if draws > items:
        raise BadBudget(f"{draws} draws without replacement from {items} items; give them all")
    draw = np.arange(1, draws + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(draw < items, (items - draws) / (items - draw), 0.0)
    weights: FloatArray = 1.0 + share * (1.0 / ((items - draw + 1) * chances) - 1.0)
    return weights


def neyman_allocation(sizes: FloatArray, deviations: FloatArray, *, limit: float) -> FloatArray:
    """How many of `limit` picks each slice should have: n_h in proportion to N_h * S_h.

    Args:
        sizes: shape (H,), items in each slice.
        deviations: shape (H,), 0 or more: how far apart its values are; of a yes/no question with
            rate p it is sqrt(p (1 - p)). If all are 0, slices share by size.

    Returns:
        Shape (H,), not rounded, adding to `limit`; a slice may get more than it has.

    Source: Neyman (1934): of all allocations it makes the variance of the stratified total least.
    """
    size, apart = _checked(sizes), _checked(deviations)
    share = size * apart if (size * apart).any() else size
    total = share.sum()
    picks: FloatArray = limit * share / total if total > 0.0 else share
    return picks


def whole_allocation(wanted: FloatArray, sizes: IntArray, *, limit: int, least: int) -> IntArray:
    """`wanted` in whole picks that each slice has, `least` at least where there are so many.

    Args:
        wanted: shape (H,), as `neyman_allocation` gives it.

    Returns:
        Shape (H,), adding to min(limit, sum of sizes). Where `least` for all is more than there
        is, slices share evenly: one that `wanted` has nothing for could not be drawn at all.
    """
    sizes = np.asarray(sizes, dtype=np.intp)
    limit = min(limit, int(sizes.sum()))
    picks = np.zeros(len(sizes), dtype=np.intp)
    floor = np.minimum(sizes, least)
    owing: FloatArray = np.ones(len(sizes))
    if floor.sum() <= limit:
        picks[:] = floor
        owing = np.maximum(np.asarray(wanted, dtype=np.float64), 1e-12)
    # One pick at a time to whom most is owing for what it has; a slice of none left is passed by.
    for _ in range(limit - int(picks.sum())):
        need = np.where(picks < sizes, owing / (picks + 0.5), -1.0)
        picks[int(need.argmax())] += 1
    return picks


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
