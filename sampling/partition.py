"""A batch from a pool too large for one machine: parts hand over core-sets, one merge chooses.

Most strategies choose exactly what `sampling.choose` would from the whole pool, however it is cut.
docs/scale.md says which, has the laws of the others, and counts what a thousand million items cost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sampling import products
from sampling.errors import BadBudget, BadPool
from sampling.partitions import facts
from sampling.partitions.asks import DEEPEST, ShareAsk
from sampling.partitions.core_sets import Criterion, core_set, has_bars, with_bars
from sampling.partitions.errors import BadShard, TooAlike
from sampling.partitions.facts import Facts
from sampling.partitions.gathered import Everywhere, Gathered
from sampling.partitions.merge import TooShallow, merge
from sampling.partitions.parts import Part, parts_of
from sampling.partitions.shards import Shard
from sampling.partitions.tables import ID, Terms, by_row, of_rows, pool_of
from sampling.partitions.tasks import ids_with, scan, survey
from sampling.partitions.work import Here, Kept, OnDask, Workers
from sampling.plan import Plan, Selection, allocate
from sampling.pool import Labelled
from sampling.strategies import DRAWS

_ROWS_HELD = 1 << 19

Step = Callable[[int], None]


def choose_partitioned(
    plan: Plan,
    shards: Sequence[Shard],
    *,
    limit: int,
    seed: int,
    client: Any = None,
    exclusive: bool = False,
    thresholds: Sequence[float] | None = None,
    labelled: Labelled | None = None,
    work: Path | None = None,
    threads: int | None = None,
    on_step: Step | None = None,
) -> Selection:
    """`sampling.choose` from all items of the shards, in memory that does not grow with them.

    Rows count over the shards as they are given, one after the other. A share gets the rows that
    `choose` gives it, and a draw its probabilities, however the pool is cut and whoever works on
    it; but for strategies of `Kind.OTHER`, whose picks depend on how it is cut and on nothing else.

    Args:
        client: a Dask client, or any other `Workers`; None: this process, part by part.
        exclusive, thresholds, labelled: as in `Pool`.
        work: a folder of this machine for the parts' answers, some 10 bytes an item. The same call
            after the process died goes on from them; delete it once the batch is safe. None: a
            temporary one.
        threads: for matrix products of the merge; parts use one each.
        on_step: called with the number of answers so far.

    Raises:
        BadBudget: limit or seed is negative.
        BadShard: names the shard, says what is wrong with it and what to do.
        TooAlike: too few items differ.
    """
    if limit < 0 or seed < 0:
        raise BadBudget(f"limit is {limit} and seed {seed}; neither may be negative")
    terms = Terms(exclusive, None if thresholds is None else tuple(thresholds), labelled)
    with ExitStack() as stack:
        stack.enter_context(products.threads(threads))
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hitl-parts-")))
        everywhere = Everywhere(parts_of(shards), Kept(work, _workers(client), on_step))
        return _choose(plan, everywhere, terms, limit=limit, seed=seed)


def _workers(client: Any) -> Workers:
    if client is None:
        return Here()
    workers: Workers = client if hasattr(client, "each") else OnDask(client)
    return workers


def _choose(
    plan: Plan, everywhere: Everywhere, terms: Terms, *, limit: int, seed: int
) -> Selection:
    limit = min(limit, sum(part.rows for part in everywhere.parts))
    nothing = np.empty(0, dtype=np.intp)
    empty = Selection(nothing, (), (), (), nothing, np.empty(0))
    if not everywhere.parts:
        return empty
    deeper = {share.name: 1 for share in plan.shares}
    while True:
        asks = _asks(plan, limit=limit, seed=seed, deeper=deeper, everywhere=everywhere)
        known = _survey(asks, everywhere, terms)
        if not limit:
            return empty
        gathered = _gather(asks, everywhere, terms, known)
        try:
            return merge(plan, asks, gathered, known)
        except TooShallow as shallow:
            ask = shallow.ask
            if ask.depth >= DEEPEST:
                raise TooAlike(ask.share.name, limit=ask.limit, looked_at=ask.depth) from shallow
            deeper[ask.share.name] *= 4


def _survey(asks: Sequence[ShareAsk], everywhere: Everywhere, terms: Terms) -> Facts:
    """Sums over all parts, and sketches of all criteria that have bars.

    Raises:
        BadShard: a part holds what no pool may, or two parts the same item.
    """
    found = Facts()
    criteria = tuple(one for one in _criteria(asks, terms, found) if has_bars(one))
    columns = tuple(dict.fromkeys(ask.share.column for ask in asks))
    asked = (terms.of_parts(), columns, criteria)
    nothing = np.empty(0, dtype=np.uint64)
    digests: list[NDArray[np.uint64]] = [nothing] * len(everywhere.parts)
    calls = [(part, None) for part in everywhere.parts]
    for place, table in everywhere.kept.ask(survey, calls, asked):
        found.add(facts.from_table(table))
        digests[place] = facts.digests_of(table)
    for digest in facts.repeated(digests, found.items):
        _refuse_if_twice(everywhere, facts.holders(digests, digest, everywhere.parts), digest)
    return found


def _criteria(asks: Sequence[ShareAsk], terms: Terms, known: Facts) -> list[Criterion]:
    return [one for ask in asks for one in ask.criteria(known, labelled=terms.labels)]


def _refuse_if_twice(everywhere: Everywhere, parts: Sequence[Part], digest: np.uint64) -> None:
    """Equal digests are almost surely equal ids; only the ids can tell."""
    seen: dict[str, str] = {}
    calls = [(part, np.array([digest])) for part in parts]
    for place, table in everywhere.kept.ask(ids_with, calls):
        name = parts[place].shard.name
        for item_id in table.column(ID).to_pylist():
            if item_id in seen:
                raise BadShard(
                    name, f"item {item_id} is in shard {seen[item_id]} too; keep one row an item"
                )
            seen[item_id] = name


def _asks(
    plan: Plan, *, limit: int, seed: int, deeper: dict[str, int], everywhere: Everywhere
) -> list[ShareAsk]:
    """In the order in which they choose: those by chance first.

    Raises:
        BadPool: a share looks at a category that is not there.
    """
    categories = everywhere.parts[0].form.categories
    for share in plan.shares:
        if share.column is not None and not 0 <= share.column < categories:
            raise BadPool(
                f"share {share.name!r} looks at category column {share.column} of {categories}"
            )
    parts = allocate(limit, [share.fraction for share in plan.shares])
    asks = [
        ShareAsk(
            share=share,
            limit=part,
            spare=limit - part,
            seed=seed,
            deeper=deeper[share.name],
            has_embeddings=everywhere.dimensions > 0,
        )
        for share, part in zip(plan.shares, parts, strict=True)
    ]
    return sorted(asks, key=lambda ask: ask.share.strategy not in DRAWS)


def _gather(
    asks: Sequence[ShareAsk], everywhere: Everywhere, terms: Terms, known: Facts
) -> Gathered:
    """The core-sets of all parts, cut back to the core-set of what came in so far as they come."""
    criteria: list[Criterion] = []
    barred = 0
    for one in _criteria(asks, terms, known):
        if has_bars(one):
            one = with_bars(one, [(rows, found[barred]) for rows, found in known.sketches])
            barred += 1
        criteria.append(one)
    asked = tuple(criteria)
    calls = [(part, None) for part in everywhere.parts]
    held, full = list[pa.Table](), _ROWS_HELD
    for _place, table in everywhere.kept.ask(scan, calls, (terms.of_parts(), asked)):
        held.append(table)
        if sum(len(one) for one in held) > full:
            held = [_cut_back(held, asked, terms)]
            full = max(_ROWS_HELD, 2 * len(held[0]))
    return Gathered(_cut_back(held, asked, terms), everywhere, terms)


def _cut_back(held: list[pa.Table], criteria: tuple[Criterion, ...], terms: Terms) -> pa.Table:
    together = by_row(held)
    return of_rows(together, core_set(pool_of(together, terms.of_parts()), criteria))
