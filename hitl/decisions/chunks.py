"""Rows on their way in: what readers yield, and chunks of bounded size for the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from hitl.decisions.cells import Values, to_values
from hitl.decisions.errors import MissingColumns

# Rows differ in length: a chunk also ends at this many characters or, of columns, bytes, so that
# memory stays bounded.
CHARACTERS_PER_CHUNK = 16_000_000
BYTES_PER_CHUNK = 24 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Column:
    """A column that we want: the recipe's key for it, its name at the source, and if we need it.

    Of those that are `one_of_many`, not required each, at least one must be there.
    """

    key: str
    name: str
    is_required: bool = True
    one_of_many: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """A row set aside, or one field of it. `line` counts from 1; never holds content."""

    line: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Header:
    """Wanted columns that are not there, none of them required. Said once, where it is known."""

    absent: tuple[str, ...]


class Row(NamedTuple):
    """One row: `values` in the order of the wanted columns, None where the source says nothing."""

    line: int
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows as columns, an array a wanted column; `line` is the last row's number."""

    line: int
    columns: tuple[pa.Array, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(column.nbytes for column in self.columns)

    def rows(self) -> Iterator[Row]:
        """Row by row, as Python's values."""
        first = self.line - len(self) + 1
        wide = [to_values(column) for column in self.columns]
        for line, values in enumerate(zip(*wide, strict=True), first):
            yield Row(line, values)

    def part(self, start: int, stop: int) -> Block:
        """Rows from `start` to before `stop`, without a copy."""
        columns = tuple(column[start:stop] for column in self.columns)
        return Block(self.line - len(self) + stop, columns)


Read = Header | Row | Reject | Block


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that are stored in one transaction, column by column, with what was set aside.

    `lines` has one number a row; `rejects` are rows that the reader could not read at all.
    """

    columns: Mapping[str, Values]
    lines: Sequence[int]
    rejects: Sequence[Reject] = ()
    absent: tuple[str, ...] = ()

    @property
    def last_line(self) -> int:
        """Where the next chunk goes on from; 0 without a row."""
        of_rejects = max((one.line for one in self.rejects), default=0)
        return max(self.lines[-1] if self.lines else 0, of_rejects)

    @property
    def rows(self) -> int:
        """How many rows of the source it covers, those set aside included."""
        return len(self.lines) + len(self.rejects)


def in_chunks(
    read: Iterable[Read],
    wanted: Sequence[Column],
    *,
    rows_per_chunk: int,
    after_line: int = 0,
    characters_per_chunk: int = CHARACTERS_PER_CHUNK,
) -> Iterator[Chunk]:
    """Gather what comes after `after_line` until either bound is reached.

    A chunk without rows says which columns are absent where no chunk with rows has said it.
    """
    names = [column.name for column in wanted]
    absent: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    rows: list[Row] = []
    rejects: list[Reject] = []
    characters = 0
    blocks: list[Block] = []
    for one in read:
        if isinstance(one, Block):
            begins = max(0, after_line - (one.line - len(one)))
            while begins < len(one):
                held = sum(map(len, blocks))
                ends = min(len(one), begins + rows_per_chunk - held)
                blocks.append(one.part(begins, ends))
                begins = ends
                size = sum(block.size for block in blocks)
                if held + len(blocks[-1]) >= rows_per_chunk or size >= BYTES_PER_CHUNK:
                    yield _joined(names, blocks, absent)
                    blocks, told = [], absent
            continue
        if not isinstance(one, Header) and one.line <= after_line:
            continue
        if isinstance(one, Row):
            rows.append(one)
            characters += sum([len(value) for value in one.values if type(value) is str])
        elif isinstance(one, Reject):
            rejects.append(one)
        else:
            absent = one.absent
        if len(rows) + len(rejects) >= rows_per_chunk or characters >= characters_per_chunk:
            yield _chunk(names, rows, rejects, absent)
            rows, rejects, characters, told = [], [], 0, absent
    if blocks:
        yield _joined(names, blocks, absent)
    elif rows or rejects or absent != told:
        yield _chunk(names, rows, rejects, absent)


def _joined(names: list[str], blocks: list[Block], absent: tuple[str, ...]) -> Chunk:
    wide = zip(*[block.columns for block in blocks], strict=True)
    columns = {
        name: pa.concat_arrays(parts) if len(parts) > 1 else parts[0]
        for name, parts in zip(names, wide, strict=True)
    }
    last = blocks[-1].line
    return Chunk(columns, range(last - sum(map(len, blocks)) + 1, last + 1), (), absent)


def _chunk(
    names: list[str], rows: list[Row], rejects: list[Reject], absent: tuple[str, ...]
) -> Chunk:
    wide = zip(*[row.values for row in rows], strict=True) if rows else ([] for _ in names)
    columns = {name: list(values) for name, values in zip(names, wide, strict=True)}
    return Chunk(columns, [row.line for row in rows], rejects, absent)


def header(source: str, there: Iterable[str], wanted: Sequence[Column]) -> Header:
    """Check that what we need is there.

    Raises:
        MissingColumns: a required column is not, or not one of those of which one must be.
    """
    there = list(there)
    missing = missing_columns(there, wanted)
    if missing:
        raise MissingColumns(
            source,
            missing=[(column.key, column.name) for column in missing],
            there=there,
            wanted=[column.key for column in wanted],
        )
    known = set(there)
    return Header(tuple(column.name for column in wanted if column.name not in known))


def missing_columns(there: Iterable[str], wanted: Sequence[Column]) -> list[Column]:
    """What we cannot do without."""
    known = set(there)
    absent = [column for column in wanted if column.name not in known]
    of_many = [column for column in wanted if column.one_of_many]
    missing = [column for column in absent if column.is_required]
    if of_many and all(column in absent for column in of_many):
        missing += of_many
    return missing


_NOTHING = object()


def reach(row: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """The value under `name`; a dotted name that is no key itself reaches into nested objects."""
    if name in row or "." not in name:
        return row.get(name, default)
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return default
        value = value.get(part, default)
    return value


def is_there(row: Mapping[str, Any], name: str) -> bool:
    """Whether a row has a key of that name, whatever its value."""
    return reach(row, name, _NOTHING) is not _NOTHING


def names_within(row: Mapping[str, Any], *, depth: int, prefix: str = "") -> Iterator[str]:
    """Every name that `reach` would find in a row, nested ones dotted, `depth` levels down."""
    for key, value in row.items():
        yield prefix + key
        if isinstance(value, Mapping) and depth > 1:
            yield from names_within(value, prefix=f"{prefix}{key}.", depth=depth - 1)
