"""The columns of a shard, wherever each of them is."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa

from sampling.partitions.reading import (
    ArrayFile,
    Matrix,
    TableFile,
    TableRows,
    Unreadable,
    list_width,
    matrix_of,
    one_chunk,
    shown,
)
from sampling.partitions.shards import Shard, is_array, names_of
from sampling.pool import FloatArray


class Cut(Protocol):
    """Consecutive rows of a shard; of a table they are whole row groups."""

    @property
    def start(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def groups(self) -> tuple[int, ...]: ...


class ShardColumns:
    """The files of a shard, opened as they are asked for."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    @cached_property
    def table(self) -> TableFile:
        if self.shard.table is None:
            raise Unreadable("a column is named but no table; give Shard(table=...)")
        return TableFile(self.shard.table)

    def lengths(self) -> dict[str, int]:
        """Rows of every column, by its name."""
        return {name: self._rows(name) for name in self._all()}

    def dtypes(self) -> list[str]:
        """Of the columns of probabilities, each kind once."""
        return sorted({self._dtype(one) for one in names_of(self.shard.probabilities)})

    def categories(self) -> int:
        names = self.shard.probabilities
        return self._width(names) if isinstance(names, str) else len(names)

    def dimensions(self) -> int:
        """0 without embeddings."""
        return 0 if self.shard.embeddings is None else self._width(self.shard.embeddings)

    def matrix(self, name: str, cut: Cut, width: int) -> Matrix:
        """A column of vectors; rows count from the start of the cut in a table, of the file in
        an array."""
        if is_array(name):
            return ArrayFile(name)
        return TableRows(self.table, name, cut.groups, width, first=cut.start)

    def vectors(self, name: str, cut: Cut, width: int) -> FloatArray:
        """All rows of a column of vectors."""
        if is_array(name):
            found: FloatArray = ArrayFile(name).read(cut.start, cut.start + cut.rows)
            return found
        column = self.table.column(name, cut.groups)
        return matrix_of(column, name, width, start=cut.start)

    def values(self, name: str, cut: Cut) -> pa.Array:
        """All rows of a column of single values."""
        if is_array(name):
            return pa.array(ArrayFile(name).read(cut.start, cut.start + cut.rows))
        column = one_chunk(self.table.column(name, cut.groups))
        return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column

    def _all(self) -> list[str]:
        shard = self.shard
        some = [shard.ids, shard.embeddings, shard.groups, shard.slices, shard.seconds]
        several = [*names_of(shard.probabilities), *shard.opinions.values()]
        return [*(one for one in some if one), *several]

    def _rows(self, name: str) -> int:
        if is_array(name):
            return ArrayFile(name).rows
        self.table.kind(name)  # or it is not there
        return self.table.rows

    def _dtype(self, name: str) -> str:
        if is_array(name):
            return str(ArrayFile(name).dtype)
        kind = self.table.kind(name)
        inside = kind if pa.types.is_floating(kind) else getattr(kind, "value_type", kind)
        return {"float": "float32", "double": "float64"}.get(str(inside), str(inside))

    def _width(self, name: str) -> int:
        if not is_array(name):
            return list_width(self.table, name)
        file = ArrayFile(name)
        if not file.width or file.dtype.kind != "f":
            raise Unreadable(
                f"{shown(name)} is {file.dtype} of width {file.width}; write floats, (n, width)"
            )
        return file.width


def column_of(matrix: FloatArray) -> pa.Array:
    """(n, width) as a column of lists, without copying."""
    flat = pa.array(np.ascontiguousarray(matrix).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
