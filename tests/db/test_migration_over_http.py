"""The migration of what comes over HTTP leaves what stood there before as it was."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import Engine, text

from hitl.db import migrate
from hitl.db.migrate import _config
from tests.builders import add_entries, add_items, add_policy

pytestmark = pytest.mark.postgres

BEFORE = "0002"
_KEPT = (
    "SELECT (SELECT count(*) FROM entries) AS entries,"
    " (SELECT string_agg(item_id || text, ',' ORDER BY item_id) FROM items) AS items,"
    " (SELECT string_agg(project_id || stage, ',') FROM labelling_projects) AS projects"
)


def test_a_filled_database_goes_back_and_forth_and_keeps_its_rows(engine: Engine) -> None:
    config = _config()
    with engine.begin() as tx:
        policy = add_policy(tx)
        add_items(tx, {"i1": "a", "i2": "b"})
        add_entries(tx, ["i1", "i2"], policy=policy)
        tx.execute(
            text("INSERT INTO labelling_projects VALUES (7, :policy, 'review', 'x')"),
            {"policy": policy.policy_id},
        )
        before = tx.execute(text(_KEPT)).one()

    with engine.begin() as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, BEFORE)
    migrate(engine)

    with engine.begin() as tx:
        assert before == tx.execute(text(_KEPT)).one()
