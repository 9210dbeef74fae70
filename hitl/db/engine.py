"""Connections: one way to open a transaction, and errors that say what to do and quote no row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from hitl.errors import HitlError, Refused, Unavailable


class DatabaseUnavailable(Unavailable):
    """Postgres does not answer, hung up in the middle, or gave way to another transaction."""

    def __init__(self, where: str, why: str = "does not answer") -> None:
        super().__init__(
            f"Postgres at {where} {why}; what was committed stays. "
            "Run `hitl status`, then `hitl up`, and run the command again"
        )
        self.where = where


class LoginRefused(Refused):
    """Postgres answers, and does not let us in."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"Postgres at {where} {why}; mend HITL_DATABASE_URL or let an administrator grant it"
        )
        self.where = where


class DatabaseRefused(Refused):
    """Postgres would not do a statement; nothing of its transaction was kept.

    Postgres' own words may quote a row, so only those of them that name things are repeated.
    """

    def __init__(
        self,
        where: str,
        why: str,
        *,
        sqlstate: str,
        table: str | None = None,
        constraint: str | None = None,
    ) -> None:
        about = [f"SQLSTATE {sqlstate or 'none'}"]
        about += [f"table {table}"] if table else []
        about += [f"constraint {constraint}"] if constraint else []
        super().__init__(
            f"Postgres at {where} {why} ({', '.join(about)}). Nothing of this transaction was kept"
        )
        self.where = where
        self.sqlstate = sqlstate
        self.table = table
        self.constraint = constraint


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
    except (ArgumentError, ValueError):
        # Not the cause: a half-written URL has a piece of the password in its words.
        raise BadDatabaseURL("not a database URL") from None
    if url.get_backend_name() != "postgresql":
        raise BadDatabaseURL("it does not begin with postgresql")
    if "@" in (url.host or ""):
        raise BadDatabaseURL("an @ in the password must be written %40")
    return create_engine(
        url.set(drivername="postgresql+psycopg2"),
        pool_pre_ping=True,
        pool_size=5,
        hide_parameters=True,
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
        LoginRefused: it answers and does not let us in.
        DatabaseRefused: it would not do a statement that nobody inside has caught.
    """
    with translated_errors(engine), engine.begin() as tx:
        yield tx


@contextmanager
def translated_errors(engine: Engine) -> Iterator[None]:
    """Turn the driver's errors into ours, by what the caller should do."""
    try:
        yield
    except DBAPIError as cause:
        # Not chained: the driver's words may quote a row, and a traceback would print them.
        raise _ours(cause, _where(engine)) from None


# What Postgres tells a client that it does not let in. The driver has no code for these.
_LOGIN_REFUSALS = {
    "authentication failed": "does not know this user or password",
    "no password supplied": "wants a password",
    "no pg_hba.conf entry": "does not admit this user from this machine",
    "permission denied for database": "does not let this user into this database",
    '" does not exist': "does not have this user or this database",
}
# By SQLSTATE or its class (the first two characters).
_REFUSALS = {
    "22": "could not store a value; this is a gap in our own checks, please report it",
    "53100": "has no room left on its disk; make room, then run the command again",
    "53": "is short of memory or another resource; see what else it does, then try again",
    "54": "was asked for more than one of its limits allows; please report it",
    "57014": "stopped a statement that took too long or that somebody cancelled; see what else it "
    "is doing (pg_stat_activity), then run the command again",
}


def _ours(cause: DBAPIError, where: str) -> HitlError:
    sqlstate: str = getattr(cause.orig, "pgcode", None) or ""
    if cause.connection_invalidated or sqlstate.startswith(("08", "57P0")):
        return DatabaseUnavailable(where)
    if sqlstate.startswith("40"):
        return DatabaseUnavailable(where, "let another transaction go first")
    if sqlstate == "53300":
        return DatabaseUnavailable(where, "has no free connection")
    if not sqlstate and isinstance(cause, OperationalError | InterfaceError):
        said = str(cause.orig)
        refusals = (why for words, why in _LOGIN_REFUSALS.items() if words in said)
        why = next(refusals, None)
        return LoginRefused(where, why) if why else DatabaseUnavailable(where)
    about = getattr(cause.orig, "diag", None)
    why = _REFUSALS.get(sqlstate) or _REFUSALS.get(sqlstate[:2])
    if sqlstate.startswith("23") or sqlstate == "42501":
        # Broken constraints, our triggers, missing rights: the first line has names alone.
        why = f"says: {getattr(about, 'message_primary', None)}"
    return DatabaseRefused(
        where,
        why or "would not do a statement; please report it",
        sqlstate=sqlstate,
        table=getattr(about, "table_name", None),
        constraint=getattr(about, "constraint_name", None),
    )


def _where(engine: Engine) -> str:
    return f"{engine.url.host or 'the local socket'}:{engine.url.port or 5432}"
