"""A database that was filled under an earlier schema comes along."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Engine, text

from hitl.db import begin, connect, count_rows, migrate
from hitl.db.migrate import _config
from tests.conftest import _execute, _with_database
from tests.queue.pulling import misplaced

pytestmark = pytest.mark.postgres

# One batch: an audit and two that were chosen, the graver one later; one of them is with Label
# Studio; and one done.
_FILLED = """
INSERT INTO items (item_id, text, content_hash, content_at)
SELECT 'i' || k, 'a', 'a', now() FROM generate_series(1, 4) k;
INSERT INTO policies (policy_id, name, version, body) VALUES ('p', 'p', '1', '{"category": []}');
INSERT INTO recipes (recipe_id, body) VALUES ('r', '{}');
INSERT INTO batches (batch_id, policy_id, recipe_id, seed, plan, size_wanted, read_at,
                     training_pool_size, measuring_pool_size)
VALUES ('b', 'p', 'r', 1, '{}', 4, now(), 4, 4);
INSERT INTO picks (batch_id, item_id, share, strategy, rank, inclusion_probability) VALUES
    ('b', 'i1', 'audit', 'random', 0, 0.5), ('b', 'i2', 'uncertain', 'margin', 0, NULL),
    ('b', 'i3', 'uncertain', 'margin', 1, NULL), ('b', 'i4', 'uncertain', 'margin', 2, NULL);
INSERT INTO entries (item_id, batch_id, policy_id, priority, votes_wanted) VALUES
    ('i1', 'b', 'p', 1.5, 1), ('i2', 'b', 'p', 1, 1),
    ('i3', 'b', 'p', 2, 1), ('i4', 'b', 'p', 0, 1);
UPDATE entries SET state = 'dispatched' WHERE item_id IN ('i2', 'i4');
UPDATE entries SET state = 'done' WHERE item_id = 'i4';
"""


@pytest.fixture
def first_schema(postgres_url: str) -> Iterator[Engine]:
    """A database at the first schema, with a batch in it."""
    name = f"first_{uuid.uuid4().hex[:8]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}"')
    engine = connect(_with_database(postgres_url, name))
    migrate(engine, revision="0001")
    with begin(engine) as tx:
        tx.exec_driver_sql(_FILLED)
    yield engine
    engine.dispose()
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def test_entries_of_before_the_lanes_keep_their_order_and_get_a_deadline(
    first_schema: Engine,
) -> None:
    migrate(first_schema)

    with begin(first_schema) as tx:
        rows = tx.execute(
            text(
                "SELECT item_id, state, lane, tier, worth, due_at - opened_at AS sla FROM entries "
                "ORDER BY turn_at, due_at, entry_id"
            )
        ).all()
        events = tx.execute(text("SELECT count(*) FROM entry_events")).scalar_one()
    assert ["i3", "i1", "i2", "i4"] == [row.item_id for row in rows]
    assert ["waiting", "waiting", "dispatched", "done"] == [row.state for row in rows]
    assert {("unrouted", 1, 86_400.0)} == {(r.lane, r.tier, r.sla.total_seconds()) for r in rows}
    assert pytest.approx([5 / 6, None, 1.0, 2 / 3]) == [row.worth for row in rows]
    assert 7 == events  # none by the migration


def test_what_waits_and_what_is_open_get_their_places(first_schema: Engine) -> None:
    migrate(first_schema)

    with begin(first_schema) as tx:
        assert 2 == count_rows(tx, "turns")
        assert 3 == count_rows(tx, "open_items")
        assert not misplaced(tx)


def test_a_filled_database_goes_back_and_what_a_tool_held_waits_again(
    first_schema: Engine,
) -> None:
    migrate(first_schema)
    config = _config()
    with begin(first_schema) as tx:
        tx.execute(
            text("UPDATE entries SET state = 'dispatched', lease_id = 1 WHERE item_id = 'i3'")
        )

    with begin(first_schema) as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, "0001")

    with begin(first_schema) as tx:
        states = tx.execute(text("SELECT item_id, state FROM entries ORDER BY 1"))
        assert [
            ("i1", "waiting"), ("i2", "dispatched"), ("i3", "waiting"), ("i4", "done"),
        ] == [tuple(row) for row in states]  # fmt: skip
