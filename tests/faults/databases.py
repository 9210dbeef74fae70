"""Databases to cut steps off in, each a copy of one that was prepared once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from hitl.db import connect


class Databases:
    """Databases of one server, made by copying others."""

    def __init__(self, postgres_url: str, *, empty: str) -> None:
        self._url = make_url(postgres_url)
        self._empty = empty
        self._made: list[str] = []

    def make(self, *, like: str | None = None) -> str:
        """The URL of a new database: migrated and empty, or a copy of the one at `like`.

        Nobody may be connected to `like`.
        """
        template = make_url(like).database if like else self._empty
        name = f"fault_{uuid.uuid4().hex[:12]}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        self._made.append(name)
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Delete it, whoever is connected."""
        name = make_url(url).database
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextmanager
    def opened(self, url: str) -> Iterator[Engine]:
        """An engine on it, closed again."""
        engine = connect(url)
        yield engine
        engine.dispose()

    def wait_until_left(self, url: str) -> None:
        """Until Postgres has noticed that a killed process is gone, and freed what it held."""
        name = make_url(url).database
        until = time.monotonic() + 60
        while self._execute(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name}'"):
            assert time.monotonic() < until, "a backend outlives its killed client by a minute"
            time.sleep(0.02)

    def clear(self) -> None:
        """Drop all."""
        for name in self._made:
            self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> bool:
        engine = create_engine(
            self._url.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            done = connection.execute(text(statement))
            found = done.returns_rows and done.first() is not None
        engine.dispose()
        return found


def hang_up(url: str) -> None:
    """Postgres ends every connection to this database."""
    address = make_url(url).set(drivername="postgresql", database="postgres")
    ours = psycopg2.connect(address.render_as_string(hide_password=False))
    with ours.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (make_url(url).database,),
        )
    ours.close()
