"""Columns of shards as arrays: .npy by ranges, Parquet by row groups, from any fsspec store.

Nothing is unpickled, and nothing is mapped into memory: pages of a mapped file count as a worker's
own, and Dask stops a worker for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Protocol

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from sampling.pool import ROWS_PER_BLOCK, FloatArray, IntArray

Float32 = NDArray[np.float32]

_NPY: Any = np.lib.format
_READ_HEADER = {1: _NPY.read_array_header_1_0, 2: _NPY.read_array_header_2_0}

_BUFFER = 1 << 20
_GAP_LOCAL, _GAP_REMOTE = 1 << 12, 1 << 19  # bytes worth reading over, rather than asking twice
_BYTES_AT_ONCE = 8 << 20
_ASKED_AT_ONCE = 64


class Unreadable(Exception):
    """What is wrong with a file; the caller knows of which shard it is."""


class Matrix(Protocol):
    """Rows of one width in a file. `width` is 0 where a row is one value."""

    rows: int
    width: int
    dtype: np.dtype[Any]

    def read(self, start: int, stop: int) -> NDArray[Any]: ...

    def take(self, rows: IntArray) -> NDArray[Any]: ...


def open_file(url: str) -> tuple[Any, str]:
    """The file system and the path on it.

    Raises:
        Unreadable: there is no such kind of store here, or no such file.
    """
    try:
        store, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as cause:
        raise Unreadable(f"{shown(url)}: {cause}; install what reads such a store") from cause
    if not store.isfile(path):
        raise Unreadable(f"{shown(url)} is not there; check the path, or write the file again")
    return store, path


def mark_of(url: str) -> str:
    """What tells one version of a file from another without reading it."""
    store, path = open_file(url)
    about = store.info(path)
    kept = ("size", "mtime", "ETag", "etag", "LastModified", "last_modified", "created", "md5Hash")
    return "|".join(f"{name}={about[name]}" for name in kept if about.get(name) is not None)


def shown(url: str) -> str:
    """A path as messages may name it: without password, token and signed query."""
    scheme, there, rest = url.partition("://")
    if not there:
        return url
    return f"{scheme}://{rest.split('?')[0].rpartition('@')[2]}"


class ArrayFile:
    """An .npy file, read by ranges."""

    def __init__(self, url: str) -> None:
        self._store, self._path = open_file(url)
        self._name = shown(url)
        self._is_local = isinstance(self._store, LocalFileSystem)
        self._gap = _GAP_LOCAL if self._is_local else _GAP_REMOTE
        shape, self.dtype, self._start = _header(self._store, self._path, self._name)
        self.rows = int(shape[0])
        self.width = shape[1] if len(shape) == 2 else 0
        self._row_bytes = self.dtype.itemsize * max(self.width, 1)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        (block,) = self._blocks([(start, stop)])
        return block

    def take(self, rows: IntArray) -> NDArray[Any]:
        found = np.empty((len(rows), self.width) if self.width else len(rows), dtype=self.dtype)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        runs = list(self._runs(ordered))
        ranges = [(int(ordered[run.start]), int(ordered[run.stop - 1]) + 1) for run in runs]
        for run, (start, _stop), block in zip(runs, ranges, self._blocks(ranges), strict=True):
            found[order[run]] = block[ordered[run] - start]
        return found

    def _blocks(self, ranges: list[tuple[int, int]]) -> Iterator[NDArray[Any]]:
        """Rows of each range, in order; of a store elsewhere several at a time."""
        first = [self._start + start * self._row_bytes for start, _stop in ranges]
        last = [self._start + stop * self._row_bytes for _start, stop in ranges]
        for start, stop, raw in zip(first, last, self._raw(first, last), strict=True):
            if len(raw) != stop - start:
                raise Unreadable(f"{self._name} is cut off; write it again")
            found = np.frombuffer(raw, dtype=self.dtype)
            yield found.reshape(-1, self.width) if self.width else found

    def _raw(self, first: list[int], last: list[int]) -> Iterator[bytes]:
        if self._is_local:
            with open(self._path, "rb") as handle:
                for start, stop in zip(first, last, strict=True):
                    yield os.pread(handle.fileno(), stop - start, start)
            return
        for at in range(0, len(first), _ASKED_AT_ONCE):
            some = slice(at, at + _ASKED_AT_ONCE)
            paths = [self._path] * len(first[some])
            yield from self._store.cat_ranges(paths, first[some], last[some], on_error="raise")

    def _runs(self, ordered: IntArray) -> Iterator[slice]:
        """Places of rows that are read together, because they lie close."""
        gaps = np.diff(ordered) * self._row_bytes
        most = max(1, _BYTES_AT_ONCE // self._row_bytes)
        start = 0
        for stop in [*(np.flatnonzero(gaps > self._gap) + 1).tolist(), len(ordered)]:
            while start < stop:
                end = int(np.searchsorted(ordered[start:stop], ordered[start] + most)) + start
                yield slice(start, end)
                start = end


class TableFile:
    """A Parquet file."""

    def __init__(self, url: str) -> None:
        store, path = open_file(url)
        self.name = shown(url)
        source = path if isinstance(store, LocalFileSystem) else store.open(path, "rb")
        try:
            # Without `pre_buffer` off, the first block of a row group reads all of it.
            self._file = pq.ParquetFile(source, buffer_size=_BUFFER, pre_buffer=False)
        except pa.ArrowInvalid as cause:
            raise Unreadable(f"{self.name} is not a whole Parquet file; write it again") from cause
        about = self._file.metadata
        self.group_rows = [about.row_group(one).num_rows for one in range(about.num_row_groups)]
        self.rows = int(about.num_rows)

    def kind(self, column: str) -> pa.DataType:
        schema = self._file.schema_arrow
        if column not in schema.names:
            raise Unreadable(
                f"{self.name} has no column {column!r}; it has: {', '.join(schema.names)}"
            )
        return schema.field(column).type

    def column(self, name: str, groups: tuple[int, ...]) -> pa.ChunkedArray:
        self.kind(name)
        table = self._file.read_row_groups(list(groups), columns=[name], use_threads=False)
        return table.column(name)

    def batches(self, name: str, group: int) -> Iterator[pa.Array]:
        for batch in self._file.iter_batches(
            ROWS_PER_BLOCK, row_groups=[group], columns=[name], use_threads=False
        ):
            yield batch.column(0)


class TableRows:
    """A list column of some row groups, decoded a block at a time; reading on goes on."""

    def __init__(
        self, file: TableFile, column: str, groups: tuple[int, ...], width: int, *, first: int
    ) -> None:
        self._file, self._column, self._groups, self._first = file, column, groups, first
        self._ends = np.cumsum([file.group_rows[one] for one in groups])
        self.rows = int(self._ends[-1]) if groups else 0
        self.width = width
        self.dtype = np.dtype(np.float32)
        self._stream: Iterator[pa.Array] = iter(())
        self._group = -1
        self._start = 0
        self._block: FloatArray = np.empty((0, width), dtype=np.float32)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        return self.take(np.arange(start, stop))

    def take(self, rows: IntArray) -> NDArray[Any]:
        found = np.empty((len(rows), self.width), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        at = 0
        while at < len(ordered):
            self._go_to(int(ordered[at]))
            stop = int(np.searchsorted(ordered, self._start + len(self._block)))
            found[order[at:stop]] = self._block[ordered[at:stop] - self._start]
            at = stop
        return found

    def _go_to(self, row: int) -> None:
        """Make the block one that holds this row."""
        group = int(np.searchsorted(self._ends, row, side="right"))
        if group != self._group or row < self._start:
            self._group = group
            self._stream = self._file.batches(self._column, self._groups[group])
            before = int(self._ends[group - 1]) if group else 0
            self._start, self._block = before, self._block[:0]
        while row >= self._start + len(self._block):
            self._start += len(self._block)
            block = next(self._stream)
            at = self._first + self._start
            self._block = matrix_of(block, self._column, self.width, start=at)


def matrix_of(
    column: pa.Array | pa.ChunkedArray, name: str, width: int, *, start: int = 0
) -> FloatArray:
    """A list column as an array, shape (n, width); `start` is its first row's place in the file.

    Raises:
        Unreadable: a row is null, of another length, or not of floats.
    """
    if isinstance(column, pa.ChunkedArray):
        column = one_chunk(column)
    if column.null_count:
        row = start + first_null(column)
        raise Unreadable(f"column {name!r}, row {row} is null; every item needs {width} numbers")
    if not pa.types.is_fixed_size_list(column.type):
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        if (lengths != width).any():
            row = int(np.flatnonzero(lengths != width)[0])
            raise Unreadable(
                f"column {name!r}, row {start + row} holds {lengths[row]} numbers and the others "
                f"{width}"
            )
    values = column.flatten()
    if values.null_count:
        raise Unreadable(f"column {name!r} holds a null inside a list; write a number")
    found: FloatArray = values.to_numpy(zero_copy_only=False).reshape(-1, width)
    return found


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """All of it; as it is where it is one already, which `combine_chunks` would copy."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def first_null(column: pa.Array) -> int:
    """The first row that is null, of a column that has one."""
    return int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])


def list_width(file: TableFile, column: str) -> int:
    """How many numbers a row of a list column holds, by its type or its first row.

    Raises:
        Unreadable: it is no column of lists of floats.
    """
    kind = file.kind(column)
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    if not (is_list and pa.types.is_floating(kind.value_type)):
        raise Unreadable(f"column {column!r} of {file.name} is {kind}; write lists of float32")
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    for group in range(len(file.group_rows)):
        for batch in file.batches(column, group):
            first = batch[0].as_py()
            return 0 if first is None else len(first)
    return 0


def _header(store: Any, path: str, name: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and where the numbers start."""
    with store.open(path, "rb") as handle:
        try:
            major, _minor = _NPY.read_magic(handle)
            shape, by_columns, dtype = _READ_HEADER[major](handle)
        except (ValueError, KeyError) as cause:
            raise Unreadable(f"{name} is no .npy file of a known version") from cause
        start = handle.tell()
    if dtype.hasobject:
        raise Unreadable(f"{name} holds Python objects, which are not read; write plain numbers")
    if by_columns or len(shape) not in (1, 2):
        raise Unreadable(f"{name} has shape {shape}; write rows one after another (C order)")
    return shape, dtype, start
