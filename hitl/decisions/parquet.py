"""How Parquet becomes rows: columns through their structs, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hitl.decisions.chunks import Column, Read, Row, header
from hitl.decisions.values import Unreadable

_ROWS_A_BATCH = 2_000
# Texts differ in length: a batch of wide rows has fewer of them.
_BYTES_A_BATCH = 16 * 1024 * 1024
_BUFFER = 1024 * 1024


def read_parquet(handle: IO[bytes], source: str, wanted: Sequence[Column]) -> Iterator[Read]:
    """Rows of a Parquet file; `line` is the row's number in the file.

    A cell that Python has no value for becomes `Unreadable`, and the mapping sets it aside.
    """
    file = pq.ParquetFile(handle, buffer_size=_BUFFER)
    schema = file.schema_arrow
    yield header(source, _names(schema), wanted)
    ways = [_way(schema, column.name) for column in wanted]
    line = 0
    for batch in _batches(file, sorted({way[0] for way in ways if way})):
        wide = [_cells(batch, way) for way in ways]
        for values in zip(*wide, strict=True):
            line += 1
            yield Row(line, values)


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


def _batches(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    for group in range(file.num_row_groups):
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


def _cells(batch: pa.RecordBatch, way: list[str]) -> list[Any]:
    if not way:
        return [None] * batch.num_rows
    values = batch.column(way[0])
    for part in way[1:]:
        values = pc.struct_field(values, part)  # NULL where the struct is
    return _plain(values)


def _plain(values: pa.Array) -> list[Any]:
    """Python values; nanoseconds cut to microseconds, which is what Postgres keeps."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _plain(values.dictionary_decode())
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        # By way of its shortest decimal, so that 0.1 written as a 32-bit float is the 0.1 of the
        # same log in CSV and not 0.10000000149, which would be another payload.
        values = pc.cast(pc.cast(pc.cast(values, pa.float32()), pa.string()), pa.float64())
    elif pa.types.is_timestamp(kind):
        unit = "us" if kind.unit == "ns" else kind.unit
        values = pc.cast(values, pa.timestamp(unit, tz=kind.tz and "UTC"), safe=False)
    try:
        return list(values.to_pylist())
    except (ValueError, OverflowError):
        return [_cell(value) for value in values]


def _cell(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return Unreadable("is not valid Unicode; write the source as UTF-8")
    except (ValueError, OverflowError):
        return Unreadable("lies outside the years 1 to 9999")
