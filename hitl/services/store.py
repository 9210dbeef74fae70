"""What the launcher asks Postgres: is it there, and make a database or a role if it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import sql

# A server with no free place for us is still a living server.
_FULL = ("too many clients", "remaining connection slots", "too many connections")


def answers(url: str, *, timeout_seconds: int = 2) -> bool:
    """Whether a real `SELECT 1` comes back."""
    return why_silent(url, timeout_seconds=timeout_seconds) is None


def why_silent(url: str, *, timeout_seconds: int = 2) -> str | None:
    """None if a `SELECT 1` comes back, else the reason, without any secret."""
    try:
        with _open(url, timeout_seconds=timeout_seconds) as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as cause:
        said = str(cause).strip().splitlines()
        reason = said[0] if said else type(cause).__name__
        return None if any(part in reason for part in _FULL) else reason
    return None


def ensure_role(url: str, *, name: str, password: str) -> None:
    """A login role that may nothing but what it owns; its password is set each time."""
    with _open(url) as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
        verb = "ALTER" if cursor.fetchone() else "CREATE"
        statement = sql.SQL(verb + " ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
        cursor.execute(statement.format(sql.Identifier(name), sql.Literal(password)))


def ensure_database(url: str, *, name: str, owner: str | None = None) -> bool:
    """Create the database if it is missing. True if it was."""
    with _open(url) as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone():
            return False
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if owner is not None:
            statement += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
        try:
            cursor.execute(statement)
        except psycopg2.errors.DuplicateDatabase:  # another process was quicker
            return False
        return True


def fingerprint(url: str, *, database: str) -> str:
    """A name for this very database: another cluster, or one made anew, has another."""
    with _open(url) as cursor:
        cursor.execute(
            "SELECT system_identifier || '/' || oid FROM pg_control_system(), pg_database "
            "WHERE datname = %s",
            (database,),
        )
        row = cursor.fetchone()
        return str(row[0]) if row else ""


def has_row(url: str, *, table: str, column: str, value: str) -> bool:
    """Whether the table exists and has a row with this value."""
    with _open(url) as cursor:
        cursor.execute("SELECT to_regclass(%s)", (table,))
        if cursor.fetchone()[0] is None:
            return False
        statement = sql.SQL("SELECT 1 FROM {} WHERE {} = %s LIMIT 1")
        cursor.execute(statement.format(sql.Identifier(table), sql.Identifier(column)), (value,))
        return cursor.fetchone() is not None


def sessions(url: str, *, database: str) -> int:
    """How many server processes work for this database now."""
    with _open(url) as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (database,))
        return int(cursor.fetchone()[0])


@contextmanager
def _open(url: str, *, timeout_seconds: int = 5) -> Iterator[Any]:
    connection = psycopg2.connect(
        plain(url),
        connect_timeout=timeout_seconds,
        options="-c statement_timeout=30000",
        application_name="hitl services",
    )
    try:
        connection.autocommit = True  # CREATE DATABASE refuses a transaction
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def plain(url: str) -> str:
    """A SQLAlchemy URL as libpq reads it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"
