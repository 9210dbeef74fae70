"""What the launcher asks Postgres: is it there, and make a database or a role if it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from hitl.services.errors import NoDatabaseURL, PostgresSilent

# A server with no free place for us is still a living server.
_FULL = ("too many clients", "remaining connection slots", "too many connections")
# What `_open` itself tells libpq, whatever the URL asks for.
_OURS = frozenset({"connect_timeout", "options", "application_name"})


def answers(url: str, *, timeout_seconds: int = 2) -> bool:
    """Whether a real `SELECT 1` comes back."""
    return why_silent(url, timeout_seconds=timeout_seconds) is None


def why_silent(url: str, *, timeout_seconds: int = 2) -> str | None:
    """None if a `SELECT 1` comes back, else the reason, without any secret."""
    try:
        with _open(url, timeout_seconds=timeout_seconds) as cursor:
            cursor.execute("SELECT 1")
    except PostgresSilent as silent:
        return None if any(part in silent.reason for part in _FULL) else silent.reason
    except NoDatabaseURL as refused:
        return refused.why
    return None


def ensure_role(url: str, *, name: str, password: str) -> None:
    """A login role that may nothing but what it owns; its password is set each time."""
    with _open(url) as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
        verb = "ALTER" if cursor.fetchone() else "CREATE"
        statement = sql.SQL(verb + " ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}")
        cursor.execute(statement.format(sql.Identifier(name), sql.Literal(password)))


def ensure_database(url: str, *, name: str) -> bool:
    """Create the database if it is missing. True if it was."""
    with _open(url) as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone():
            return False
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        try:
            cursor.execute(statement)
        except psycopg2.errors.DuplicateDatabase:  # another process was quicker
            return False
        return True


def make_anew(url: str, *, name: str, owner: str) -> None:
    """An empty database of this name: one that was there is gone, with whoever worked in it."""
    with _open(url) as cursor:
        cursor.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
        cursor.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )


def rename(url: str, *, name: str, to: str) -> None:
    """All of it or nothing. Sessions that are still inside are ended."""
    with _open(url) as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        cursor.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(name), sql.Identifier(to)
            )
        )


def fingerprint(url: str, *, database: str) -> str:
    """A name for this very database: another cluster, or one made anew, has another; "" if none."""
    with _open(url) as cursor:
        cursor.execute(
            "SELECT system_identifier || '/' || oid FROM pg_control_system(), pg_database "
            "WHERE datname = %s",
            (database,),
        )
        row = cursor.fetchone()
        return str(row[0]) if row else ""


def sessions(url: str, *, database: str) -> int:
    """How many server processes work for this database now."""
    with _open(url) as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (database,))
        return int(cursor.fetchone()[0])


@contextmanager
def _open(url: str, *, timeout_seconds: int = 5) -> Iterator[Any]:
    try:
        connection = psycopg2.connect(
            **arguments(url),
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
    except psycopg2.Error as cause:
        said = str(cause).strip().splitlines()
        raise PostgresSilent(said[0] if said else type(cause).__name__) from cause


def arguments(url: str) -> dict[str, Any]:
    """A database URL as libpq's keywords. Given the URL whole, libpq quotes it when it objects.

    Raises:
        NoDatabaseURL: it is not one; the message does not show it.
    """
    try:
        parsed = make_url(url)
        port = parsed.port
    except (ArgumentError, ValueError):
        raise NoDatabaseURL from None
    # An @ in the host is the rest of a password that was not percent-encoded.
    if parsed.get_backend_name() != "postgresql" or "@" in (parsed.host or ""):
        raise NoDatabaseURL
    told = {
        "host": parsed.host,
        "port": port,
        "user": parsed.username,
        "password": parsed.password,
        "dbname": parsed.database,
    }
    asked = {name: value for name, value in parsed.query.items() if isinstance(value, str)}
    asked = {name: value for name, value in asked.items() if name not in _OURS}
    return asked | {name: value for name, value in told.items() if value is not None}
