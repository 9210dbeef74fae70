"""What the tests of readers share: write a file, read it through the face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hitl.decisions import Chunk, Column, find_sources, read_chunks
from hitl.decisions.cells import to_values

WANTED = [Column("intake.content.item_id", "id"), Column("intake.content.text", "body")]


def chunks_of(
    source: str | Path, wanted: Sequence[Column] = WANTED, *, rows_per_chunk: int = 1000
) -> list[Chunk]:
    return [
        chunk
        for one in find_sources(str(source))
        for chunk in read_chunks(one, wanted, rows_per_chunk=rows_per_chunk)
    ]


def rows_of(source: str | Path, wanted: Sequence[Column] = WANTED) -> list[tuple[Any, ...]]:
    """(line, value, value, …) of every row."""
    found: list[tuple[Any, ...]] = []
    for chunk in chunks_of(source, wanted):
        columns = [to_values(chunk.columns[column.name]) for column in wanted]
        found += zip(chunk.lines, *columns, strict=True)
    return found


def rejects_of(source: str | Path) -> list[tuple[int, str]]:
    return [(one.line, one.reason) for chunk in chunks_of(source) for one in chunk.rejects]


def write(path: Path, body: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def write_parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path
