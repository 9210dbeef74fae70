"""COPY into a temporary table, the quickest way in, without a database message quoting content."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, text

from hitl.db.copying import copy_in


def stage(tx: Connection, create: str, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Make a temporary table of this transaction by `create`, empty it, fill it with `rows`."""
    lines = "".join(["\t".join([_copy_field(one) for one in row]) + "\n" for row in rows])
    _copy(tx, create, table, io.BytesIO(lines.encode()), how="FORMAT text")


def stage_csv(tx: Connection, create: str, table: str, lines: pa.Buffer) -> None:
    """As `stage`, of lines in CSV where text is in quotes and NULL is nothing."""
    _copy(tx, create, table, pa.BufferReader(lines), how="FORMAT csv")


def _copy(tx: Connection, create: str, table: str, lines: Any, *, how: str) -> None:
    tx.execute(text(create))
    tx.execute(text(f"TRUNCATE {table}"))
    copy_in(tx, f"COPY {table} FROM STDIN ({how}, ENCODING 'UTF8')", lines)


def _copy_field(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return (
            value.replace("\\", "\\\\")
            .replace("\t", "\\t")
            .replace("\n", "\\n")
            .replace("\r", "\\r")
        )
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
