"""A database with tasks in it goes on as it was when tasks learn to be archived."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Engine, text

from hitl.db import connect, migrate
from hitl.db.migrate import _config
from tests.conftest import _execute, _with_database

pytestmark = pytest.mark.postgres

BEFORE, AFTER = "0001", "0002"
FILL = """
INSERT INTO items (item_id) VALUES ('i');
INSERT INTO policies (policy_id, name, version, body) VALUES ('p', 'p', '1', '{}');
INSERT INTO recipes (recipe_id, body) VALUES ('r', '{}');
INSERT INTO batches (batch_id, policy_id, recipe_id, seed, plan, size_wanted, read_at,
    training_pool_size, measuring_pool_size) VALUES ('b', 'p', 'r', 1, '{}', 1, now(), 1, 1);
INSERT INTO picks (batch_id, item_id, share, strategy, rank) VALUES ('b', 'i', 's', 'random', 0);
INSERT INTO entries (item_id, batch_id, policy_id, votes_wanted) VALUES ('i', 'b', 'p', 1);
INSERT INTO labelling_projects (project_id, policy_id, stage, interface_hash)
    VALUES (7, 'p', 'review', 'x');
INSERT INTO pushes (push_id, project_id) VALUES ('00000000-0000-0000-0000-000000000001', 7);
INSERT INTO tasks (entry_id, stage, push_id, project_id, task_id)
    SELECT entry_id, 'review', '00000000-0000-0000-0000-000000000001', 7, 70 FROM entries;
"""


@pytest.fixture
def older(postgres_url: str) -> Iterator[Engine]:
    """A filled database of the version before."""
    name = f"older_{uuid.uuid4().hex[:8]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}"')
    engine = connect(_with_database(postgres_url, name))
    migrate(engine, revision=BEFORE)
    with engine.begin() as tx:
        tx.execute(text(FILL))
    yield engine
    engine.dispose()
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def test_tasks_of_before_are_there_still_and_are_not_archived(older: Engine) -> None:
    migrate(older, revision=AFTER)

    with older.begin() as tx:
        found = tx.execute(text("SELECT project_id, task_id, archived_at FROM tasks")).all()
    assert [(7, 70, None)] == [tuple(row) for row in found]


def test_going_back_keeps_the_tasks(older: Engine) -> None:
    migrate(older, revision=AFTER)
    config = _config()

    with older.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, BEFORE)

    with older.begin() as tx:
        assert 70 == tx.execute(text("SELECT task_id FROM tasks")).scalar_one()
