"""A queue to pull from: a Postgres of its own, with as many entries as asked, all made up."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from hitl import queue
from hitl.db import begin, connect, migrate
from hitl.services.postgres import PostgresServer

LANES = ("critical", "german", "english", "video", "unrouted")

# Straight into the tables: what a selection leaves behind, without choosing.
_FILL = """
INSERT INTO policies (policy_id, name, version, body) VALUES
    (%(policy)s, 'p', '1', '{"category": []}') ON CONFLICT DO NOTHING;
INSERT INTO recipes (recipe_id, body) VALUES ('r', '{}') ON CONFLICT DO NOTHING;
INSERT INTO items (item_id) SELECT %(name)s || k FROM generate_series(1, %(count)s) k;
INSERT INTO batches (batch_id, policy_id, recipe_id, seed, plan, size_wanted, read_at,
                     training_pool_size, measuring_pool_size)
VALUES (%(name)s, %(policy)s, 'r', 1, '{}', %(count)s, now(), 0, 0);
INSERT INTO picks (batch_id, item_id, share, strategy, rank)
SELECT %(name)s, %(name)s || k, 'uncertain', 'margin', k FROM generate_series(1, %(count)s) k;
INSERT INTO entries (item_id, batch_id, policy_id, votes_wanted, worth, priority, lane, due_at,
                     turn_at)
SELECT %(name)s || k, %(name)s, %(policy)s, 1, 1, 1,
       (%(lanes)s)[1 + k %% array_length(%(lanes)s, 1)], due_at,
       due_at - random() * interval '10 hours'
FROM (SELECT k, now() + %(after)s * interval '1 day' + random() * interval '1 day' AS due_at
      FROM generate_series(1, %(count)s) k) made;
"""


@contextmanager
def server() -> Iterator[PostgresServer]:
    """A Postgres as it comes, `fsync` on, in a folder that is deleted again."""
    with tempfile.TemporaryDirectory(prefix="hitl-bench-", ignore_cleanup_errors=True) as folder:
        made = PostgresServer.start(Path(folder) / "postgres")
        try:
            yield made
        finally:
            made.remove()


def make_database(running: PostgresServer, *, name: str) -> str:
    """The URL of a new, empty database."""
    url = make_url(running.url("postgres")).set(drivername="postgresql+psycopg2")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return running.url(name)


def make_queue(running: PostgresServer) -> tuple[Engine, str]:
    """A migrated database, and its URL, where holders `h0` to `h99` may take every lane."""
    url = make_database(running, name=f"queue_{uuid.uuid4().hex[:8]}")
    engine = connect(url, statement_timeout_seconds=3600)
    migrate(engine)
    with begin(engine) as tx:
        for k in range(100):
            queue.allow(tx, f"h{k}", "*")
    return engine, url


def fill(engine: Engine, count: int, *, after_days: float = 1.0, policy_id: str = "p") -> None:
    """So many more entries that wait, due some days from now; then the statistics that a server
    in use has."""
    values = {"name": uuid.uuid4().hex[:12], "count": count, "after": after_days}
    with begin(engine) as tx:
        tx.exec_driver_sql(_FILL, values | {"policy": policy_id, "lanes": list(LANES)})
    settle(engine)


def settle(engine: Engine) -> None:
    """Vacuum and analyse, as autovacuum does in time."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
