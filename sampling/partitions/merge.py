"""The batch from what the parts handed over, share by share, as `sampling.plan` makes one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from sampling.distinct import distinct_rows
from sampling.draws import Drawn
from sampling.ids import KEY_BYTES
from sampling.partitions import chance
from sampling.partitions.asks import Kind, ShareAsk
from sampling.partitions.core_sets import Lowest
from sampling.partitions.facts import Facts
from sampling.partitions.gathered import Gathered
from sampling.partitions.tables import Terms, by_row, of_rows
from sampling.partitions.tasks import Ask, answer
from sampling.plan import Plan, Selection, choose_among_rest, in_step, inclusion_of, stream_of
from sampling.pool import BoolArray, IntArray, Pool, best_first
from sampling.scores import uncertain_order
from sampling.strategies import strategy_named

CORE_FACTOR = 2
"""Rows that a part hands over per pick, where a strategy can only be approached."""


class TooShallow(Exception):
    """What the parts handed over for a share does not settle its choice; ask them for more."""

    def __init__(self, ask: ShareAsk) -> None:
        super().__init__(ask.share.name)
        self.ask = ask


def merge(plan: Plan, asks: Sequence[ShareAsk], gathered: Gathered, facts: Facts) -> Selection:
    """The batch.

    Args:
        asks: in the order in which shares choose.
        gathered: core-sets by the criteria of all of them.

    Raises:
        TooShallow: a share's own core-set does not go deep enough.
    """
    if gathered.everywhere.dimensions:
        gathered.everywhere.look_at(_likely(asks, gathered, facts))
    by_chance = [ask for ask in asks if ask.kind is Kind.DRAW]
    rows, chances = _draw(by_chance, gathered, facts)
    for ask in asks:
        if ask.kind is Kind.DRAW:
            continue
        taken = np.concatenate([np.empty(0, dtype=np.intp), *rows.values()])
        rows[ask.share.name] = _choose(ask, gathered, taken, facts)
        gathered = gathered.with_rows(rows[ask.share.name])
    chosen, names = in_step([(share, rows[share.name]) for share in plan.shares])
    strategy_of = {share.name: share.strategy for share in plan.shares}
    return Selection(
        rows=chosen,
        item_ids=gathered.ids(chosen),
        share=names,
        strategy=tuple(strategy_of[name] for name in names),
        rank=np.arange(len(chosen)),
        inclusion_probability=np.array([chances.get(row, np.nan) for row in chosen.tolist()]),
    )


def _draw(
    asks: Sequence[ShareAsk], gathered: Gathered, facts: Facts
) -> tuple[dict[str, IntArray], dict[int, float]]:
    """Rows of each share that draws, and the probability of all rows that were drawn.

    Each draws from the whole pool, as `sampling.choose` says.
    """
    rows: dict[str, IntArray] = {}
    draws: list[Drawn] = []
    taken = np.zeros(len(gathered), dtype=np.bool_)
    for ask in asks:
        rng = stream_of(ask.seed, ask.share.name)
        draws.append(_drawn(ask, gathered, facts, rng))
        fresh = draws[-1].rows[~taken[draws[-1].rows]]
        taken[fresh] = True
        more = _draw_among_rest(ask, gathered, facts, taken, ask.limit - len(fresh), rng)
        taken[more] = True
        rows[ask.share.name] = gathered.rows[np.concatenate([fresh, more])]
    places = np.flatnonzero(taken)
    chances = inclusion_of(places, draws)
    return rows, dict(zip(gathered.rows[places].tolist(), chances.tolist(), strict=True))


def _drawn(ask: ShareAsk, gathered: Gathered, facts: Facts, rng: Generator) -> Drawn:
    if not ask.limit:
        return Drawn(np.empty(0, dtype=np.intp), lambda asked: np.zeros(len(asked)))
    if ask.strategy != "random_distinct":
        return chance.draw(ask.share, gathered, facts, limit=ask.limit, rng=rng)
    depth = facts.items if _is_whole(gathered, facts) else ask.depth
    found = chance.draw_distinct(gathered, facts, limit=ask.limit, depth=depth, rng=rng)
    if found is None:
        raise TooShallow(ask)
    return found


def _draw_among_rest(
    ask: ShareAsk,
    gathered: Gathered,
    facts: Facts,
    taken: BoolArray,
    limit: int,
    rng: Generator,
) -> IntArray:
    """What fills up for items that another draw took as well; it has no probability."""
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    if _is_whole(gathered, facts):
        return choose_among_rest(ask.share, gathered.pool, taken, limit=limit, rng=rng)
    left = np.flatnonzero(~taken)
    rest = facts.without(gathered.among(np.flatnonzero(taken)).table, gathered.terms)
    return left[chance.draw(ask.share, gathered.among(left), rest, limit=limit, rng=rng).rows]


def _choose(ask: ShareAsk, gathered: Gathered, taken: IntArray, facts: Facts) -> IntArray:
    """Rows of the whole pool, of those that are not taken."""
    if not ask.limit:
        return np.empty(0, dtype=np.intp)
    match ask.kind:
        case Kind.OTHER:
            return _among_answers(ask, gathered, taken, facts)
        case Kind.SHORTLIST | Kind.DISTINCT if not _is_whole(gathered, facts):
            if not _is_settled(ask, gathered, taken):
                raise TooShallow(ask)
    return _from(gathered, ask, taken, facts)


def _from(gathered: Gathered, ask: ShareAsk, taken: IntArray, facts: Facts) -> IntArray:
    """Rows of the whole pool: what the share chooses of these, where some are taken."""
    rng = stream_of(ask.seed, ask.share.name)
    is_taken = gathered.has(taken)
    pool = gathered.pool.with_beyond(facts.items - len(gathered))
    places = choose_among_rest(ask.share, pool, is_taken, limit=ask.limit, rng=rng)
    return gathered.rows[places]


def _is_whole(gathered: Gathered, facts: Facts) -> bool:
    return len(gathered) == facts.items


def _is_settled(ask: ShareAsk, gathered: Gathered, taken: IntArray) -> bool:
    """As many rows differ as are wanted, among those that are surely the first of the order."""
    rest = _rest(ask.seen(gathered.pool), gathered.has(taken))
    return len(distinct_rows(rest, _order(ask, rest, ask.depth), limit=ask.limit)) == ask.limit


def _rest(pool: Pool, is_taken: BoolArray) -> Pool:
    if is_taken.any():
        pool = pool.after(np.flatnonzero(is_taken)).take(np.flatnonzero(~is_taken))
    return pool


def _order(ask: ShareAsk, pool: Pool, limit: int) -> IntArray:
    rng = stream_of(ask.seed, ask.share.name)
    if ask.kind is Kind.SHORTLIST:
        tie = pool.ids.uniforms(rng.bytes(KEY_BYTES))
        per_second = ask.inside.endswith("_per_second")
        return uncertain_order(pool, limit=limit, tie=tie, per_second=per_second)
    return strategy_named(ask.inside)(pool, limit=limit, rng=rng)


def _among_answers(ask: ShareAsk, gathered: Gathered, taken: IntArray, facts: Facts) -> IntArray:
    """The strategy among what it chose from each part alone.

    For k_center that is within four times the best possible radius: a part's own picks cover it
    within twice that, and the picks among those cover them within twice.
    """
    everywhere, terms = gathered.everywhere, gathered.terms
    chosen = gathered.places(np.sort(taken))
    if len(taken):
        labelled = gathered.pool.after(chosen).labelled
        terms = Terms(terms.exclusive, terms.thresholds, labelled)
    factor = 1 if ask.strategy == "k_center" else CORE_FACTOR
    asked = Ask(ask.strategy, factor * ask.limit, ask.seed, ask.share.name, ask.share.column, terms)
    calls = everywhere.by_part(taken, also_none=True)
    found = [table for _place, table in everywhere.kept.ask(answer, calls, asked)]
    union = Gathered(by_row([*found, of_rows(gathered.table, chosen)]), everywhere, gathered.terms)
    everywhere.look_at(union.rows)
    return _from(union, ask, taken, facts)


def _likely(asks: Sequence[ShareAsk], gathered: Gathered, facts: Facts) -> IntArray:
    """Rows whose embeddings will be looked at, so that all are read in one pass."""
    wanted: list[IntArray] = [np.empty(0, dtype=np.intp)]
    for ask in asks:
        match ask.kind:
            case Kind.SHORTLIST | Kind.DISTINCT:
                seen = ask.seen(gathered.pool)
                wanted.append(_order(ask, seen, ask.depth + ask.spare))
            case Kind.DRAW | Kind.SAMPLE:
                labelled = gathered.terms.labels
                for one in ask.criteria(facts, labelled=labelled)[:1]:
                    if isinstance(one, Lowest):
                        numbers = gathered.pool.ids.uniforms(one.key)
                        tie = gathered.pool.ids
                        wanted.append(best_first(-numbers, limit=one.depth, tie=tie))
            case Kind.ORDER | Kind.OTHER:
                pass
    return gathered.rows[np.unique(np.concatenate(wanted))]
