"""How Parquet becomes rows: columns through their structs, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hitl.decisions.cells import normal
from hitl.decisions.chunks import Block, Column, Read, header

_ROWS_A_BATCH = 50_000
# Texts differ in length: a batch of wide rows has fewer of them.
_BYTES_A_BATCH = 16 * 1024 * 1024
_BUFFER = 1024 * 1024


def read_parquet(
    handle: IO[bytes], source: str, wanted: Sequence[Column], *, after_line: int = 0
) -> Iterator[Read]:
    """Rows of a Parquet file as columns; `line` is a row's number in the file.

    What lies before `after_line` is passed over as far as whole row groups go.
    """
    file = pq.ParquetFile(handle, buffer_size=_BUFFER)
    schema = file.schema_arrow
    yield header(source, _names(schema), wanted)
    ways = [_way(schema, column.name) for column in wanted]
    roots = sorted({way[0] for way in ways if way})
    line = 0
    for group in range(file.num_row_groups):
        about = file.metadata.row_group(group)
        if line + about.num_rows <= after_line:
            line += about.num_rows
            continue
        for batch in _batches(file, group, roots):
            line += batch.num_rows
            yield Block(line, tuple([_cells(batch, way) for way in ways]))


def _names(fields: Any, *, prefix: str = "") -> Iterator[str]:
    """Every column of a schema, those inside structs dotted."""
    for one in fields:
        yield prefix + one.name
        if pa.types.is_struct(one.type):
            yield from _names(one.type, prefix=f"{prefix}{one.name}.")


def _way(schema: pa.Schema, name: str) -> list[str]:
    """From a column down to `name`; empty where it is not there. A flat name goes first."""
    if name in schema.names:
        return [name]
    return name.split(".") if name in _names(schema) else []


def _batches(file: pq.ParquetFile, group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    rows = _rows_a_batch(file.metadata.row_group(group), columns)
    yield from file.iter_batches(
        batch_size=rows, row_groups=[group], columns=columns, use_threads=False
    )


def _rows_a_batch(group: Any, columns: list[str]) -> int:
    held = (group.column(i) for i in range(group.num_columns))
    size = sum(
        one.total_uncompressed_size for one in held if one.path_in_schema.split(".")[0] in columns
    )
    wide: int = max(1, size // max(1, group.num_rows))
    return max(1, min(_ROWS_A_BATCH, _BYTES_A_BATCH // wide))


def _cells(batch: pa.RecordBatch, way: list[str]) -> pa.Array:
    if not way:
        return pa.nulls(batch.num_rows, pa.string())
    values = batch.column(way[0])
    for part in way[1:]:
        values = pc.struct_field(values, part)  # NULL where the struct is
    return normal(values)
