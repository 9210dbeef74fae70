"""How each kind of file becomes rows: Parquet, CSV and TSV, JSON Lines. One pass, little memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hitl.decisions.chunks import Column, Header, Read, Reject, Row, header, names_within, reach
from hitl.decisions.errors import UnreadableSource

# A row of 1,000,000 characters, the most a recipe allows, fits several times over. What is longer
# is an open quote or a file without line ends, and must not fill the memory.
LONGEST_ROW = 32 * 1024 * 1024
_PARQUET_ROWS = 2_000
_PEEK_ROWS = 1_000
_PEEK_BYTES = 8 * 1024 * 1024

LINE = "line"


def read_parquet(handle: IO[bytes], source: str, wanted: Sequence[Column]) -> Iterator[Read]:
    """Rows of a Parquet file; `line` is the row's number in the file."""
    file = pq.ParquetFile(handle)
    there = list(_parquet_names(file.schema_arrow))
    head = header(source, there, wanted)
    yield head
    top = set(file.schema_arrow.names)
    # A dotted name is read through its struct; a flat column of that very name goes first.
    roots = {c.name: c.name if c.name in top else c.name.split(".")[0] for c in wanted}
    columns = sorted({root for root in roots.values() if root in top})
    line = 0
    for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=columns, use_threads=False):
        got = {name: _plain(batch.column(i)) for i, name in enumerate(batch.schema.names)}
        wide = [_parquet_values(got, c.name, roots[c.name], batch.num_rows) for c in wanted]
        for values in zip(*wide, strict=True):
            line += 1
            yield Row(line, values)


def _parquet_names(schema: pa.Schema) -> Iterator[str]:
    for one in schema:
        yield one.name
        if pa.types.is_struct(one.type):
            for child in one.type:
                yield f"{one.name}.{child.name}"


def _parquet_values(got: dict[str, list[Any]], name: str, root: str, rows: int) -> list[Any]:
    if root not in got:
        return [None] * rows
    if name == root:
        return got[root]
    inner = name.removeprefix(root + ".")
    return [None if value is None else reach(value, inner) for value in got[root]]


def _plain(values: pa.Array) -> list[Any]:
    """Python values; nanoseconds cut to microseconds, which is what Postgres keeps."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
    elif pa.types.is_float32(kind) or pa.types.is_float16(kind):
        # By way of its shortest decimal, so that 0.1 written as a 32-bit float is the 0.1 of the
        # same log in CSV and not 0.10000000149, which would be another payload.
        values = pc.cast(pc.cast(pc.cast(values, pa.float32()), pa.string()), pa.float64())
    elif pa.types.is_timestamp(kind):
        values = pc.cast(values, pa.timestamp("us", tz=kind.tz), safe=False)
    return list(values.to_pylist())


def read_delimited(
    handle: IO[bytes], source: str, wanted: Sequence[Column], *, delimiter: str
) -> Iterator[Read]:
    """Rows of a CSV or TSV file with a header; `line` is where the row starts.

    A row that is broken is set aside and reading goes on with the next line.
    """
    csv.field_size_limit(LONGEST_ROW)
    # Bytes that are not UTF-8 become lone surrogates, which the mapping sets aside row by row.
    lines = io.TextIOWrapper(handle, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(_bounded(lines), delimiter=delimiter, strict=True)
    try:
        names = next(reader, None)
    except csv.Error as cause:
        raise UnreadableSource(source, "its first line is no header of column names") from cause
    if names is None:
        return
    if twice := {name for name in names if names.count(name) > 1}:
        wanted_twice = sorted(twice & {column.name for column in wanted})
        if wanted_twice:
            raise UnreadableSource(source, f"column {wanted_twice[0]!r} is there more than once")
    yield header(source, names, wanted)
    place = {name: i for i, name in enumerate(names)}
    where = [place.get(column.name) for column in wanted]
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error:
            # An open quote swallows what follows it, so say how far.
            until = f" (up to line {reader.line_num})" if reader.line_num > line else ""
            why = f"is not a CSV row{until}; look for a quote that is not closed"
            yield Reject(line, LINE, why)
            continue
        if fields is None:
            return
        if not fields:
            continue
        if len(fields) != len(names):
            yield Reject(line, LINE, f"has {len(fields)} fields; the header has {len(names)}")
            continue
        # CSV has no NULL: an empty field says nothing.
        yield Row(line, tuple(None if i is None else fields[i] or None for i in where))


def _bounded(lines: io.TextIOWrapper) -> Iterator[str]:
    while line := lines.readline(LONGEST_ROW + 1):
        yield line
        while len(line) > LONGEST_ROW and not line.endswith("\n"):
            line = lines.readline(LONGEST_ROW)  # the rest of a row that is refused anyway
            if not line:
                return


def read_json_lines(handle: IO[bytes], source: str, wanted: Sequence[Column]) -> Iterator[Read]:
    """Rows of a JSON Lines file: one object a line; blank lines are passed over.

    Lines differ in their keys, so the columns are checked against all the keys of the first
    objects together.
    """
    objects = _objects(handle)
    peeked: list[tuple[int, dict[str, Any]] | Reject] = []
    names: dict[str, None] = {}
    is_whole = True
    for one in objects:
        peeked.append(one)
        if not isinstance(one, Reject):
            names.update(dict.fromkeys(names_within(one[1])))
        if len(peeked) >= _PEEK_ROWS or handle.tell() > _PEEK_BYTES:
            is_whole = False
            break
    if names:
        yield header(source, names, wanted)
    elif not is_whole:
        raise UnreadableSource(
            source, f"none of its first {len(peeked):,} lines is a JSON object; write one a line"
        )
    else:
        yield Header(())
    for one in peeked:
        yield one if isinstance(one, Reject) else _row(one, wanted)
    for one in objects:
        yield one if isinstance(one, Reject) else _row(one, wanted)


def _row(one: tuple[int, dict[str, Any]], wanted: Sequence[Column]) -> Row:
    line, found = one
    return Row(line, tuple([reach(found, column.name) for column in wanted]))


def _objects(handle: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]] | Reject]:
    number = 0
    while line := handle.readline(LONGEST_ROW):
        number += 1
        if len(line) == LONGEST_ROW and not line.endswith(b"\n"):
            while rest := handle.readline(LONGEST_ROW):
                if rest.endswith(b"\n"):
                    break
            yield Reject(number, LINE, f"is longer than {LONGEST_ROW:,} bytes")
            continue
        if not line.strip():
            continue
        try:
            found = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield Reject(number, LINE, "is not UTF-8")
        except (ValueError, RecursionError):
            yield Reject(number, LINE, "is not JSON")
        else:
            if isinstance(found, dict):
                yield number, found
            else:
                yield Reject(number, LINE, "is not a JSON object")
