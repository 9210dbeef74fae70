"""Rows of a part as a table that travels, and such a table as a pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from sampling.arrays import Rows
from sampling.partitions.columns import ShardColumns, column_of
from sampling.partitions.parts import GROUP, SECONDS, SLICE, Part
from sampling.partitions.reading import Unreadable, first_null, matrix_of, one_chunk
from sampling.pool import FloatArray, IntArray, Labelled, Pool

ROW, ID, PROBABILITIES = "row", "id", "probabilities"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all rows: as in `Pool`."""

    exclusive: bool = False
    thresholds: tuple[float, ...] | None = None
    labelled: Labelled | None = None

    @property
    def labels(self) -> int:
        """How many items are labelled."""
        return 0 if self.labelled is None else len(np.asarray(self.labelled.labels))

    def of_parts(self) -> Terms:
        """For tasks that look at nothing labelled."""
        return Terms(self.exclusive, self.thresholds)


def read_table(part: Part, *, only: tuple[str, ...] | None = None) -> pa.Table:
    """All rows of a part without their embeddings; `row` counts over the whole pool.

    Args:
        only: the columns that are wanted; None: all that there are.
    """
    columns, shard = ShardColumns(part.shard), part.shard
    readers: dict[str, Callable[[], pa.Array]] = {
        ROW: lambda: pa.array(np.arange(part.first, part.first + part.rows)),
        ID: lambda: _ids(columns, part, shard.ids),
        PROBABILITIES: lambda: column_of(_probabilities(columns, part)),
    }
    for name, where in ((GROUP, shard.groups), (SLICE, shard.slices)):
        if where is not None:
            readers[name] = partial(_names, columns, part, where)
    if shard.seconds is not None:
        readers[SECONDS] = partial(_numbers, columns, part, shard.seconds)
    for name, where in shard.opinions.items():
        readers[name] = partial(_opinion, columns, part, where)
    return pa.table({name: read() for name, read in readers.items() if not only or name in only})


def pool_of(table: pa.Table, terms: Terms, *, embeddings: Rows | None = None) -> Pool:
    """Such a table as a pool.

    Raises:
        BadPool, BadProbabilities: as `Pool` does.
    """
    opinions = {name: matrix(table, name) for name in table.column_names if ":" in name}
    kinds: dict[str, dict[str, FloatArray]] = {"passes": {}, "modalities": {}, "models": {}}
    for name, one in opinions.items():
        kind, _colon, of = name.partition(":")
        kinds[kind][of] = one
    return Pool(
        table.column(ID),
        matrix(table, PROBABILITIES),
        embeddings,
        _named(table, GROUP),
        terms.exclusive,
        labelled=terms.labelled,
        passes=np.stack(list(kinds["passes"].values())) if kinds["passes"] else None,
        modalities=kinds["modalities"] or None,
        models=kinds["models"] or None,
        thresholds=terms.thresholds,
        seconds=table.column(SECONDS).to_numpy() if SECONDS in table.column_names else None,
        slices=_named(table, SLICE),
    )


def matrix(table: pa.Table, name: str) -> FloatArray:
    """A column of lists as an array, (n, width)."""
    column = table.column(name)
    return matrix_of(column, name, column.type.list_size)


def slices_of(table: pa.Table) -> tuple[IntArray, list[str]]:
    """Of each row the number of its slice, and the slices by names that sort as `Pool` does."""
    if SLICE not in table.column_names:
        return np.zeros(len(table), dtype=np.intp), [""]
    coded = one_chunk(table.column(SLICE)).dictionary_encode()
    names = ["", *(f"={name}" for name in coded.dictionary.to_pylist())]
    codes: IntArray = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp) + 1
    return codes, names


def of_rows(table: pa.Table, rows: IntArray) -> pa.Table:
    """These rows of the table, by their place in it."""
    return table.take(pa.array(rows))


def by_row(tables: Sequence[pa.Table]) -> pa.Table:
    """All of these tables' rows once, in the order of the pool."""
    joined = pa.concat_tables(tables)
    _rows, places = np.unique(joined.column(ROW).to_numpy(), return_index=True)
    return of_rows(joined, places).combine_chunks()


def _named(table: pa.Table, name: str) -> Any:
    return table.column(name) if name in table.column_names else None


def _probabilities(columns: ShardColumns, part: Part) -> FloatArray:
    names = part.shard.probabilities
    if isinstance(names, str):
        return columns.vectors(names, part, part.form.categories)
    found: FloatArray = np.stack([_plain(columns, part, name) for name in names], axis=1)
    return found


def _names(columns: ShardColumns, part: Part, where: str) -> pa.Array:
    column = columns.values(where, part)
    return pa.nulls(part.rows, pa.large_string()) if _is_empty(column) else _text(column, where)


def _ids(columns: ShardColumns, part: Part, where: str) -> pa.Array:
    column = _text(columns.values(where, part), where)
    if column.null_count:
        row = part.start + first_null(column)
        raise Unreadable(f"column {where!r}, row {row} is null; give every item an id")
    return column


def _opinion(columns: ShardColumns, part: Part, where: str) -> pa.Array:
    return column_of(columns.vectors(where, part, part.form.categories))


def _numbers(columns: ShardColumns, part: Part, where: str) -> pa.Array:
    return pa.array(_plain(columns, part, where).astype(np.float64))


def _plain(columns: ShardColumns, part: Part, where: str) -> FloatArray:
    column = columns.values(where, part)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise Unreadable(f"column {where!r} is {column.type}; write numbers")
    if column.null_count:
        row = part.start + first_null(column)
        raise Unreadable(f"column {where!r}, row {row} is null; write a number")
    found: FloatArray = column.to_numpy(zero_copy_only=False)
    return found


def _is_empty(column: pa.Array) -> bool:
    return bool(pa.types.is_null(column.type))


def _text(column: pa.Array, name: str) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise Unreadable(f"column {name!r} is {column.type}; write strings")
    return column.cast(pa.large_string())
