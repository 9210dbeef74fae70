"""COPY out of Postgres: a query's rows without a Python object a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


def copy_out(tx: Connection, query: str, values: Mapping[str, Any], into: IO[bytes]) -> None:
    """Write the rows of `query` to `into`, as CSV with a header.

    `query` has the driver's own %(name)s for its values, because COPY takes no parameters.
    """
    # Past SQLAlchemy, which has no COPY; so the driver's errors are given its names here.
    driver_error = tx.dialect.loaded_dbapi.Error
    cursor = tx.connection.cursor()
    try:
        bound = cursor.mogrify(query, values).decode()
        cursor.copy_expert(f"COPY ({bound}) TO STDOUT (FORMAT csv, HEADER)", into)
    except driver_error as cause:
        raise DBAPIError.instance(
            query, None, cause, driver_error, hide_parameters=True, dialect=tx.dialect
        ) from None
    finally:
        cursor.close()
