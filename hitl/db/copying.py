"""COPY in and out of Postgres: rows without a Python object a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

_BYTES_A_MESSAGE = 256 * 1024  # the driver's own 8 KiB costs a wait each


def copy_in(tx: Connection, copy: str, lines: Any) -> None:
    """Run `copy`, a COPY FROM STDIN, over a file of bytes."""
    with _cursor(tx, copy) as cursor:
        cursor.copy_expert(copy, lines, _BYTES_A_MESSAGE)


def copy_out(tx: Connection, query: str, values: Mapping[str, Any], into: IO[bytes]) -> None:
    """Write the rows of `query` to `into`, as CSV with a header.

    `query` has the driver's own %(name)s for its values, because COPY takes no parameters.
    """
    with _cursor(tx, query) as cursor:
        bound = cursor.mogrify(query, values).decode()
        cursor.copy_expert(f"COPY ({bound}) TO STDOUT (FORMAT csv, HEADER)", into)


@contextmanager
def _cursor(tx: Connection, statement: str) -> Iterator[Any]:
    """Past SQLAlchemy, which has no COPY; so the driver's errors are given its names here."""
    driver_error = tx.dialect.loaded_dbapi.Error
    cursor = tx.connection.cursor()
    try:
        yield cursor
    except driver_error as cause:
        raise DBAPIError.instance(
            statement, None, cause, driver_error, hide_parameters=True, dialect=tx.dialect
        ) from None
    finally:
        cursor.close()
