"""Shards cut into parts that fit a worker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sampling.partitions.columns import ShardColumns
from sampling.partitions.reading import Unreadable, shown
from sampling.partitions.shards import Shard, blamed_on, is_array, marks_of
from sampling.pool import FloatArray, IntArray

GROUP, SLICE, SECONDS = "group", "slice", "seconds"

ROWS_PER_PART = 1 << 19
BYTES_PER_PART = 64 << 20
"""Of probabilities and opinions. A row group twice as large still fits a worker of 1 GiB: Parquet's
usual one, of 2**20 rows, does with 32 categories of float32."""


@dataclass(frozen=True, slots=True)
class Form:
    """What all shards must agree in."""

    categories: int
    dimensions: int
    dtype: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of a shard; `first` is the first one's place in the whole pool."""

    shard: Shard
    first: int
    start: int
    rows: int
    groups: tuple[int, ...]
    form: Form
    mark: str

    @property
    def fingerprint(self) -> str:
        """Changes whenever a file does, or which rows of it these are."""
        said = f"{self.shard}|{self.first}|{self.start}|{self.rows}|{self.form}|{self.mark}"
        return hashlib.sha256(said.encode()).hexdigest()


def parts_of(shards: Sequence[Shard]) -> list[Part]:
    """The shards cut into parts, in their order; only headers and footers are read.

    Raises:
        BadShard: a file is missing or of the wrong kind, or shards differ in what they hold.
    """
    found: list[Part] = []
    first = 0
    for shard in shards:
        with blamed_on(shard):
            columns = ShardColumns(shard)
            if not _rows(columns):
                continue
            form, mark = _form(columns), marks_of(shard)
            if found:
                _check_alike(form, found[0].form, found[0].shard.name)
            for start, rows, groups in _cuts(columns, form):
                found.append(Part(shard, first, start, rows, groups, form, mark))
                first += rows
    return found


def _rows(columns: ShardColumns) -> int:
    lengths = columns.lengths()
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{shown(name)} {rows}" for name, rows in lengths.items())
        raise Unreadable(f"its columns differ in length ({told}); write one row an item")
    return next(iter(lengths.values()))


def _form(columns: ShardColumns) -> Form:
    shard, dtypes = columns.shard, columns.dtypes()
    if dtypes not in (["float32"], ["float64"]):
        raise Unreadable(
            f"probabilities are of type {', '.join(dtypes)}; write float32 or float64, one for all"
        )
    single = {GROUP: shard.groups, SLICE: shard.slices, SECONDS: shard.seconds}
    named = (name for name, where in single.items() if where is not None)
    return Form(columns.categories(), columns.dimensions(), dtypes[0], (*named, *shard.opinions))


def _cuts(columns: ShardColumns, form: Form) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """(first row, rows, row groups) of each part."""
    tables = 1 + len(columns.shard.opinions)
    wide = form.categories * tables * np.dtype(form.dtype).itemsize
    enough = max(1, min(ROWS_PER_PART, BYTES_PER_PART // wide))
    if columns.shard.table is not None:
        yield from _packed(columns.table.group_rows, enough)
        return
    rows = _rows(columns)
    for start in range(0, rows, enough):
        yield start, min(enough, rows - start), ()


class PartRows:
    """The embeddings of a part, read when they are asked for (`sampling.pool.Rows`)."""

    def __init__(self, part: Part) -> None:
        name = part.shard.embeddings
        assert name is not None  # noqa: S101 - the caller looked
        self.shape = (part.rows, part.form.dimensions)
        self._matrix = ShardColumns(part.shard).matrix(name, part, part.form.dimensions)
        self._before = part.start if is_array(name) else 0

    def __getitem__(self, rows: IntArray) -> FloatArray:
        source = rows + self._before
        if len(rows) and bool((np.diff(rows) == 1).all()):
            found = self._matrix.read(int(source[0]), int(source[-1]) + 1)
        else:
            found = self._matrix.take(source)
        return found.astype(np.float32, copy=False)


def _packed(group_rows: Sequence[int], enough: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Row groups side by side until a part has enough."""
    start, rows, groups = 0, 0, list[int]()
    for group, count in enumerate(group_rows):
        if count > 2 * enough:
            raise Unreadable(
                f"row group {group} holds {count:,} rows, and {2 * enough:,} are what a worker of "
                "1 GiB can hold; write smaller row groups"
            )
        if rows + count > enough and groups:
            yield start, rows, tuple(groups)
            start, rows, groups = start + rows, 0, []
        rows, groups = rows + count, [*groups, group]
    yield start, rows, tuple(groups)


def _check_alike(form: Form, known: Form, name: str) -> None:
    for what, one, other in (
        ("categories", form.categories, known.categories),
        ("embedding dimensions", form.dimensions, known.dimensions),
        ("type of probabilities", form.dtype, known.dtype),
        ("columns", form.columns, known.columns),
    ):
        if one != other:
            raise Unreadable(
                f"{what} are {one}, and {other} in shard {name}; all shards must agree"
            )
