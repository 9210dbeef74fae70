"""Connections: one way to open a transaction, and one kind of error when the database is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from hitl.errors import Refused, Unavailable


class DatabaseUnavailable(Unavailable):
    """Postgres does not answer, or hung up in the middle. Nothing of the transaction was kept."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"Postgres at {where} does not answer; what was committed stays. "
            "Run `hitl status`, then `hitl up`, and run the command again"
        )
        self.where = where


class BadDatabaseURL(Refused):
    """HITL_DATABASE_URL cannot be used. The message never shows the URL, which holds a password."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"HITL_DATABASE_URL: {why}; write postgresql+psycopg2://USER:PASSWORD@HOST:PORT/NAME"
        )


def connect(database_url: str, *, statement_timeout_seconds: float = 300.0) -> Engine:
    """An engine on a Postgres database. Connects on first use.

    Raises:
        BadDatabaseURL: it is not a URL, or names another kind of database.
    """
    try:
        url = make_url(database_url)
    except ArgumentError as cause:
        raise BadDatabaseURL("not a database URL") from cause
    if url.get_backend_name() != "postgresql":
        raise BadDatabaseURL(f"{url.get_backend_name()} is not Postgres")
    return create_engine(
        url.set(drivername="postgresql+psycopg2"),
        pool_pre_ping=True,
        pool_size=5,
        connect_args={
            "connect_timeout": 10,
            "application_name": "hitl",
            # keepalives: a peer that vanished without a FIN must not hang a flow for hours
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "options": f"-c statement_timeout={int(statement_timeout_seconds * 1000)}"
            " -c timezone=UTC",
        },
    )


@contextmanager
def begin(engine: Engine) -> Iterator[Connection]:
    """A transaction, committed at the end and rolled back on any error.

    Raises:
        DatabaseUnavailable: Postgres is away or hung up, at the start, inside or at the commit.
    """
    with translated_errors(engine), engine.begin() as tx:
        yield tx


@contextmanager
def translated_errors(engine: Engine) -> Iterator[None]:
    """Turn a lost connection into `DatabaseUnavailable`; leave every other error as it is."""
    try:
        yield
    except (OperationalError, InterfaceError) as cause:
        raise DatabaseUnavailable(_where(engine)) from cause
    except DBAPIError as cause:
        if cause.connection_invalidated:
            raise DatabaseUnavailable(_where(engine)) from cause
        raise


def _where(engine: Engine) -> str:
    return f"{engine.url.host or 'the local socket'}:{engine.url.port or 5432}"
