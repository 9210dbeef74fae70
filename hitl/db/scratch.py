"""A database that is made for one purpose and dropped after it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url

from hitl.db.engine import connect, translated_errors
from hitl.db.migrate import migrate
from hitl.db.schema import metadata


@contextmanager
def scratch_database(url: str, *, purpose: str) -> Iterator[str]:
    """The URL of a new database at this version's schema, beside the one that `url` names.

    Its name begins with `hitl_` and `purpose`. It is dropped however the purpose ends; of a
    process that is killed it stays, and may be dropped by hand.

    Raises:
        DatabaseRefused: this login may not create databases.
        DatabaseUnavailable: Postgres is away.
    """
    name = f"hitl_{purpose}_{uuid.uuid4().hex[:12]}"
    made = make_url(url).set(database=name).render_as_string(hide_password=False)
    _outside(url, f'CREATE DATABASE "{name}"')
    try:
        engine = connect(made)
        migrate(engine)
        engine.dispose()
        yield made
    finally:
        _outside(url, f'DROP DATABASE "{name}" WITH (FORCE)')


def count_rows(tx: Connection, table: str) -> int:
    """How many rows one of our tables has."""
    wanted = select(func.count()).select_from(metadata.tables[table])
    return int(tx.execute(wanted).scalar_one())


def _outside(url: str, statement: str) -> None:
    """A statement that refuses to be in a transaction."""
    engine = connect(url)
    try:
        with translated_errors(engine), engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(statement))
    finally:
        engine.dispose()
