"""What the parts handed over, as one pool; embeddings are asked for as they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sampling.partitions.parts import Part
from sampling.partitions.tables import ID, ROW, Terms, by_row, matrix, pool_of
from sampling.partitions.tasks import EMBEDDING, embeddings_of, rows_of
from sampling.partitions.work import Kept
from sampling.pool import FloatArray, IntArray, Pool

Float32 = NDArray[np.float32]


class Everywhere:
    """Rows of the whole pool, by their place in it, wherever they lie."""

    def __init__(self, parts: Sequence[Part], kept: Kept) -> None:
        self.parts = parts
        self.kept = kept
        self._ends = np.cumsum([part.rows for part in parts])
        self._known: dict[int, Float32] = {}

    @property
    def dimensions(self) -> int:
        return self.parts[0].form.dimensions

    def by_part(self, rows: IntArray, *, also_none: bool = False) -> list[tuple[Part, IntArray]]:
        """Each part with its own of these rows, from its start on; if asked, those with none."""
        ordered = np.unique(rows)
        owned = np.split(ordered, np.searchsorted(ordered, self._ends[:-1]))
        return [
            (part, own - part.first)
            for part, own in zip(self.parts, owned, strict=True)
            if len(own) or also_none
        ]

    def look_at(self, rows: IntArray) -> None:
        """Read the embeddings of those rows that were not looked at yet, all in one go."""
        if not self.dimensions:
            return
        missing = np.array([row for row in rows.tolist() if row not in self._known], dtype=np.intp)
        for _place, table in self.kept.ask(embeddings_of, self.by_part(missing)):
            points = matrix(table, EMBEDDING)
            self._known |= zip(table.column(ROW).to_pylist(), points, strict=True)

    def embeddings(self, rows: IntArray) -> Float32:
        """Shape (len(rows), D)."""
        self.look_at(rows)
        empty = np.zeros((0, self.dimensions), dtype=np.float32)
        return np.vstack([empty, *(self._known[row] for row in rows.tolist())])

    def forget(self, rows: IntArray) -> None:
        """These will not be looked at again."""
        for row in rows.tolist():
            self._known.pop(row, None)

    def table(self, rows: IntArray) -> pa.Table:
        """All but the embeddings of these rows."""
        return by_row([table for _place, table in self.kept.ask(rows_of, self.by_part(rows))])


class Gathered:
    """Some rows of the whole pool, in its order, as a pool of their own."""

    def __init__(self, table: pa.Table, everywhere: Everywhere, terms: Terms) -> None:
        self.table = table
        self.everywhere = everywhere
        self.terms = terms

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def rows(self) -> IntArray:
        """Of each row its place in the whole pool, ascending."""
        found: IntArray = self.table.column(ROW).to_numpy()
        return found

    @cached_property
    def pool(self) -> Pool:
        embeddings = _Embeddings(self.rows, self.everywhere) if self.everywhere.dimensions else None
        return pool_of(self.table, self.terms, embeddings=embeddings)

    def places(self, rows: IntArray) -> IntArray:
        """Where these rows of the whole pool are here."""
        return np.searchsorted(self.rows, rows)

    def has(self, rows: IntArray) -> NDArray[np.bool_]:
        """Shape (n,): of each row here whether it is one of these."""
        return np.isin(self.rows, rows)

    def among(self, places: IntArray) -> Gathered:
        """Only these, by their place here."""
        part = self.table.take(pa.array(np.sort(places)))
        return Gathered(part, self.everywhere, self.terms)

    def with_rows(self, rows: IntArray) -> Gathered:
        """These, and those rows of the whole pool."""
        missing = rows[~np.isin(rows, self.rows)]
        if not len(missing):
            return self
        more = self.everywhere.table(missing)
        return Gathered(by_row([self.table, more]), self.everywhere, self.terms)

    def ids(self, rows: IntArray) -> tuple[str, ...]:
        """Of these rows of the whole pool."""
        found: Any = self.table.column(ID).take(pa.array(self.places(rows)))
        return tuple(found.to_pylist())


class _Embeddings:
    """Of gathered rows (`sampling.pool.Rows`)."""

    def __init__(self, rows: IntArray, everywhere: Everywhere) -> None:
        self._rows = rows
        self._everywhere = everywhere
        self.shape = (len(rows), everywhere.dimensions)

    def __getitem__(self, rows: IntArray) -> FloatArray:
        return self._everywhere.embeddings(self._rows[rows])
