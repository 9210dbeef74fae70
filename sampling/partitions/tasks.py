"""What is asked of a part. Each task reads it, answers with a table, and can be asked again.

A task is a function of a part, of what is meant for that part alone and of what is meant for all:
nothing else, so an answer that was kept is as good as a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sampling import products
from sampling.errors import BadEmbedding
from sampling.ids import ItemIds
from sampling.partitions import facts
from sampling.partitions.columns import column_of
from sampling.partitions.core_sets import Barred, Criterion, core_set, sketch
from sampling.partitions.errors import BadShard
from sampling.partitions.parts import Part, PartRows
from sampling.partitions.shards import blamed_on, marks_of
from sampling.partitions.tables import ID, ROW, Terms, of_rows, pool_of, read_table
from sampling.plan import stream_of
from sampling.pool import IntArray
from sampling.strategies import strategy_named

Task: TypeAlias = Callable[[Part, Any, Any], pa.Table]

Wanted: TypeAlias = tuple[Terms, tuple[int | None, ...], tuple[Barred, ...]]
"""Of a survey: the categories that are looked at alone, and criteria to make sketches of."""

EMBEDDING = "embedding"

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ask:
    """A strategy that each part answers for itself."""

    strategy: str
    limit: int
    seed: int
    share: str
    column: int | None
    terms: Terms


def survey(part: Part, _own: None, asked: Wanted) -> pa.Table:
    """Digests of the ids, sums over the rows, sketches; refuses what no pool can be made of."""
    terms, columns, criteria = asked
    with _blamed(part):
        table = read_table(part)
        pool = pool_of(table, terms)
        found = facts.facts_of(table, pool, columns)
        found.sketches = [(len(pool), [sketch(pool, one) for one in criteria])]
        return facts.to_table(found, pool.ids.digests)


def scan(part: Part, _own: None, asked: tuple[Terms, tuple[Criterion, ...]]) -> pa.Table:
    """The core-set of the criteria, without embeddings."""
    terms, criteria = asked
    with _blamed(part):
        table = read_table(part)
        return of_rows(table, core_set(pool_of(table, terms), criteria))


def rows_of(part: Part, own: IntArray, _common: None) -> pa.Table:
    """These rows of the part, by their place in it, without embeddings."""
    with _blamed(part):
        return of_rows(read_table(part), own)


def embeddings_of(part: Part, own: IntArray, _common: None) -> pa.Table:
    """Embeddings of these rows of the part, by their place in it."""
    with _blamed(part):
        found = np.ascontiguousarray(PartRows(part)[own])
        _check_finite(part, own, found)
        return pa.table({ROW: pa.array(own + part.first), EMBEDDING: column_of(found)})


def answer(part: Part, own: IntArray, asked: Ask) -> pa.Table:
    """What a strategy chooses from the part alone, without embeddings.

    Args:
        own: rows that are chosen already, by their place.
    """
    with _blamed(part), products.threads(1):
        table = read_table(part)
        rows = None if part.shard.embeddings is None else PartRows(part)
        pool = pool_of(table, asked.terms, embeddings=rows)
        if asked.column is not None:
            pool = pool.only(asked.column)
        left = np.setdiff1d(np.arange(part.rows), own)
        if len(own):
            pool = pool.take(left)
        rng = stream_of(asked.seed, asked.share)
        chosen = strategy_named(asked.strategy)(pool, limit=asked.limit, rng=rng)
        return of_rows(table, left[chosen])


def ids_with(part: Part, own: NDArray[np.uint64], _common: None) -> pa.Table:
    """Row and id of every item whose digest is one of these."""
    with _blamed(part):
        table = read_table(part, only=(ROW, ID))
        digests = ItemIds(table.column(ID)).digests
        return of_rows(table, np.flatnonzero(np.isin(digests, own)))


@contextmanager
def _blamed(part: Part) -> Iterator[None]:
    """What goes wrong within is a `BadShard`; so is a file that is not as when parts were cut."""
    with blamed_on(part.shard):
        if marks_of(part.shard) != part.mark:
            raise BadShard(part.shard.name, "a file was changed while it was read; choose again")
        yield


def _check_finite(part: Part, places: IntArray, block: Float32) -> None:
    from sampling import kernels

    if block.size and not kernels.is_finite(block):
        row, column = np.argwhere(~np.isfinite(block))[0]
        ids = read_table(part, only=(ID,)).column(ID)
        raise BadEmbedding(ids[int(places[row])].as_py(), int(column))
