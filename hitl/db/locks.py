"""Single flight: a flow runs at most once at a time, held by Postgres and by nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from hitl.db.engine import translated_errors
from hitl.errors import NotYet

_ITEMS = "items"


class AlreadyRunning(NotYet):
    """Another process holds this flow's lock."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is already running somewhere else; wait for it to end, then run it again"
        )
        self.name = name


def lock_key(name: str) -> int:
    """A signed 64-bit key for `pg_advisory_lock`, the same in every process and version."""
    return int.from_bytes(hashlib.sha256(f"hitl:{name}".encode()).digest()[:8], signed=True)


@contextmanager
def single_flight(engine: Engine, name: str) -> Iterator[None]:
    """Hold the session-level advisory lock `name` on a connection of its own.

    A process that dies loses its connection, and Postgres frees the lock: no slot can leak.

    Raises:
        AlreadyRunning: somebody else holds it.
        DatabaseUnavailable: Postgres is away.
    """
    with translated_errors(engine), engine.connect() as connection:
        # AUTOCOMMIT: an open transaction held for the length of a flow would hold back vacuum.
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        key = {"key": lock_key(name)}
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one():
            raise AlreadyRunning(name)
        try:
            yield
        finally:
            if not connection.invalidated and not connection.closed:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)


def take_turns(tx: Connection, name: str) -> None:
    """Wait for others that called this by the same name, until their transactions end."""
    tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(name)})


def keep_items(tx: Connection) -> None:
    """Until this transaction ends no item is forgotten for its age (hitl/decisions/retention)."""
    tx.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": lock_key(_ITEMS)})


def hold_items(tx: Connection) -> None:
    """Wait until nobody brings items or says more of them; others wait until this one ends."""
    take_turns(tx, _ITEMS)
