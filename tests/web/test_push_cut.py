"""Postgres hangs up in the middle of a push: 503, nothing half, and the same push again is 202."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from tests.builders import make_policy
from tests.faults import books
from tests.web.pushing import Producer, batch, decision, producing

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

CUTS = 50
_PING = "SELECT 1"


def hang_up(url: str, backend: int) -> None:
    """Postgres ends this one connection, and has ended it when this returns."""
    address = make_url(url).set(drivername="postgresql", database="postgres")
    ours = psycopg2.connect(address.render_as_string(hide_password=False))
    with ours.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))
    ours.close()


@contextmanager
def statements(engine: Engine, do: Callable[[int, Any], None]) -> Iterator[None]:
    """Call `do(number, connection)` before each statement and each commit, counted from 1."""
    numbers = itertools.count(1)

    def before(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement != _PING:
            do(next(numbers), connection.connection.driver_connection)

    def at_commit(connection: Any) -> None:
        do(next(numbers), connection.connection.driver_connection)

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", at_commit)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", at_commit)


def test_50_cuts_lose_and_double_nothing(engine: Engine, database_url: str) -> None:
    seen: list[int] = []
    with producing(engine) as producer:
        assert 202 == producer.push(body(CUTS + 1), key="first").status_code
        with statements(engine, lambda number, _: seen.append(number)):
            assert 202 == producer.push(body(0), key="whole").status_code
        for cut in range(1, CUTS + 1):
            at = 1 + (cut - 1) % len(seen)
            where = f"cut {cut} at statement {at} of {len(seen)}"
            before = kept(producer)

            def end(number: int, connection: Any, at: int = at) -> None:
                if number == at:
                    hang_up(database_url, connection.info.backend_pid)

            with statements(engine, end):
                refused = producer.push(body(cut), key=f"k{cut}")

            assert 503 == refused.status_code, where
            assert "retry-after" in refused.headers, where
            assert before == kept(producer), f"{where}: something half was left"
            taken = producer.push(body(cut), key=f"k{cut}")
            assert (202, 10) == (taken.status_code, taken.json()["decisions"]["new"]), where
        assert 10 * (CUTS + 2) == producer.count("decisions") == producer.count("items")
        assert CUTS + 2 == producer.count("api_requests")


def body(number: int) -> bytes:
    rows = [decision(100 * number + k, text=f"text {number} {k}") for k in range(10)]
    return batch(*rows, decision(7, item_id=None))


def kept(producer: Producer) -> dict[str, str]:
    return books.tables(producer.engine, policy=make_policy())
