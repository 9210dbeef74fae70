"""A batch is put together from shares: so much uncertain, so much random, and the chances kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sampling import products
from sampling.draws import Drawn
from sampling.errors import BadBudget, BadPlan
from sampling.pool import BoolArray, FloatArray, IntArray, Pool
from sampling.strategies import ALONE, DRAWS, strategy_named


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a batch: `fraction` of it is chosen by `strategy`.

    `column`: as if that category were all there is; None for all categories.
    """

    name: str
    strategy: str
    fraction: float
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The shares of a batch. Their fractions add up to 1; their names differ.

    Raises:
        BadPlan: says which share is wrong.
        UnknownStrategy: names the strategy and lists those there are.
    """

    shares: tuple[Share, ...]

    def __post_init__(self) -> None:
        names = [share.name for share in self.shares]
        for share in self.shares:
            strategy_named(share.strategy)
            if not 0.0 <= share.fraction <= 1.0:
                raise BadPlan(f"share {share.name!r}: fraction {share.fraction} is not in [0, 1]")
            if names.count(share.name) > 1:
                raise BadPlan(f"two shares are named {share.name!r}; give each its own name")
        by_chance = [share for share in self.shares if share.strategy in DRAWS]
        if len(by_chance) > 1 and any(one.strategy in ALONE for one in by_chance):
            raise BadPlan(
                f"{ALONE[0]} cannot share a plan with another draw by chance: what it passes over "
                "depends on its own picks alone; keep one of them"
            )
        total = sum(share.fraction for share in self.shares)
        if abs(total - 1.0) > 1e-6:
            raise BadPlan(f"the fractions of the shares add up to {total:g}; make it 1")


DEFAULT_PLAN = Plan(
    (
        Share("uncertain", "uncertain_diverse", 0.95),
        Share("random", "random_distinct", 0.05),
    )
)
"""What to use where nothing better is known: docs/sampling.md says what was measured."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen, best first. Every array has one entry a pick.

    `rank` counts from 0 and runs through the shares in step with their fractions, so whoever
    stops half way has reviewed about half of each share.
    `inclusion_probability` is NaN where the pick's strategy has none: such a label trains and
    never measures.
    """

    rows: IntArray
    item_ids: tuple[str, ...]
    share: tuple[str, ...]
    strategy: tuple[str, ...]
    rank: IntArray
    inclusion_probability: FloatArray

    def __len__(self) -> int:
        return len(self.rows)


def choose(
    plan: Plan, pool: Pool, *, limit: int, seed: int, threads: int | None = None
) -> Selection:
    """Choose min(limit, N) distinct items of the pool by the shares of the plan.

    The same pool, plan, limit and seed give the same items, whatever the order of the rows.

    **What inclusion_probability says**: how likely the item was, before anything was drawn, to be
    among the picks of *this* selection that carry a probability. It stays true because

    1. shares that draw by chance (`DRAWS`) go first, whatever their place in the plan, and each
       draws from the whole pool. Were a deterministic share to go first, the items it took could
       never be drawn, and the rest would stand for them wrongly;
    2. they draw independently of each other, so an item's probability is
       1 - (1 - p1)(1 - p2)..., over all of them, also over those that did not draw it.
       For one `random` share it is exactly (its picks) / N;
    3. where two of them draw the same item, the later share chooses again among what is left,
       without a probability: those picks train only. So do all picks of deterministic shares,
       which choose last, from what chance left; diverse ones keep their distance to what is
       chosen already as to what is labelled, and take no second item of its groups.

    Probabilities of `weighted_random` and `random_distinct` are conditional on the other items'
    draws. If the pool was itself drawn from something larger, multiply.

    Args:
        limit: how many items; shares get their parts by largest remainder.
        seed: 0 or more. Each share draws from a stream of its own, named after it, so that adding
            a share leaves the draws of the others as they were.
        threads: for matrix products; None leaves the process's own setting. The picks are the
            same with any number.

    Raises:
        BadBudget: limit or seed is negative.
    """
    if limit < 0 or seed < 0:
        raise BadBudget(f"limit is {limit} and seed {seed}; neither may be negative")
    with products.threads(threads):
        return _choose(plan, pool, limit=limit, seed=seed)


def _choose(plan: Plan, pool: Pool, *, limit: int, seed: int) -> Selection:
    parts = allocate(min(limit, len(pool)), [share.fraction for share in plan.shares])
    rows: dict[str, IntArray] = {}
    draws: list[Drawn] = []
    taken: BoolArray = np.zeros(len(pool), dtype=np.bool_)
    by_chance_first = sorted(zip(plan.shares, parts, strict=True), key=_is_deterministic)
    for share, part in by_chance_first:
        rng = stream_of(seed, share.name)
        fresh: IntArray = np.empty(0, dtype=np.intp)
        if share.strategy in DRAWS:
            draws.append(DRAWS[share.strategy](_seen_by(share, pool), limit=part, rng=rng))
            fresh = draws[-1].rows[~taken[draws[-1].rows]]
            taken[fresh] = True
        more = choose_among_rest(share, pool, taken, limit=part - len(fresh), rng=rng)
        taken[more] = True
        rows[share.name] = np.concatenate([fresh, more])
    chosen, names = in_step([(share, rows[share.name]) for share in plan.shares])
    strategy_of = {share.name: share.strategy for share in plan.shares}
    return Selection(
        rows=chosen,
        item_ids=pool.ids.of(chosen),
        share=names,
        strategy=tuple(strategy_of[name] for name in names),
        rank=np.arange(len(chosen)),
        inclusion_probability=inclusion_of(chosen, draws),
    )


def inclusion_of(chosen: IntArray, draws: Sequence[Drawn]) -> FloatArray:
    """Of each chosen row the chance that any of the draws takes it; NaN where none of them did.

    Also one that an earlier share had taken without a draw counts: it was drawn all the same.
    """
    chances: FloatArray = np.zeros(len(chosen))
    measures = np.zeros(len(chosen), dtype=np.bool_)
    for drawn in draws:
        one = np.nan_to_num(drawn.chances(chosen))  # not known of what `ALONE` did not draw
        # 1 - (1 - p)(1 - q) in the form that leaves a single draw's number exactly as it is.
        chances = chances + one - chances * one
        measures |= np.isin(chosen, drawn.rows)
    return np.where(measures, chances, np.nan)


def allocate(limit: int, fractions: Sequence[float]) -> list[int]:
    """Split `limit` by fractions that add up to 1: largest remainder, the earlier of equals."""
    exact = [limit * fraction for fraction in fractions]
    # 0.29 * 100 is 28.999...: what is within rounding of a whole number is that number.
    parts = [int(np.floor(share + 1e-9)) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (round(parts[i] - exact[i], 9), i))
    for i in by_remainder[: limit - sum(parts)]:
        parts[i] += 1
    return parts


def _is_deterministic(share_and_part: tuple[Share, int]) -> bool:
    return share_and_part[0].strategy not in DRAWS


def stream_of(seed: int, share: str) -> Generator:
    """A share's own random numbers: they do not depend on the shares beside it."""
    name = int.from_bytes(hashlib.sha256(share.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, name])


def choose_among_rest(
    share: Share,
    pool: Pool,
    taken: BoolArray,
    *,
    limit: int,
    rng: Generator,
) -> IntArray:
    """`limit` rows by the share's strategy, of those that are not `taken` (N,) yet."""
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    strategy = strategy_named(share.strategy)
    seen = _seen_by(share, pool)
    if not taken.any():
        return strategy(seen, limit=limit, rng=rng)
    left = np.flatnonzero(~taken)
    return left[strategy(seen.after(np.flatnonzero(taken)).take(left), limit=limit, rng=rng)]


def _seen_by(share: Share, pool: Pool) -> Pool:
    return pool if share.column is None else pool.only(share.column)


def in_step(shares: Sequence[tuple[Share, IntArray]]) -> tuple[IntArray, tuple[str, ...]]:
    """All rows in one order, every beginning of which holds the shares in proportion."""
    if not shares:
        return np.empty(0, dtype=np.intp), ()
    rows = np.concatenate([rows for _, rows in shares])
    share = np.repeat(np.arange(len(shares)), [len(rows) for _, rows in shares])
    progress = np.concatenate([(np.arange(len(rows)) + 0.5) / len(rows) for _, rows in shares])
    order = np.lexsort((share, progress))
    return rows[order], tuple(shares[i][0].name for i in share[order])
