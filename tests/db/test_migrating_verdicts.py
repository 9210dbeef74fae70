"""Verdicts of before come along, and of those on more evidence one a question goes back."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import Engine, text

from hitl.db import begin, migrate
from hitl.db.migrate import _config
from hitl.recipe import Recipe
from hitl.records import ModelVersion, SnapshotId
from hitl.registry import promote, save_verdict
from tests.builders import add_policy
from tests.registry.builders import add_model, add_snapshot

pytestmark = pytest.mark.postgres


def test_one_verdict_a_question_goes_back_and_it_is_the_one_that_was_acted_on(
    engine: Engine,
) -> None:
    with begin(engine) as tx:
        add_snapshot(tx, add_policy(tx))
        kept = {}
        for name in ("acted", "waits"):
            add_model(tx, name)
            kept[name] = [
                save_verdict(
                    tx,
                    challenger=ModelVersion(name),
                    champion=None,
                    snapshot_id=SnapshotId("s1"),
                    recipe=Recipe(),
                    decision="promote",
                    reasons=[{"outcome": "passed", "words": evidence}],
                    evidence=evidence,
                )
                for evidence in ("first", "second", "third")
            ]
        promote(
            tx, challenger=ModelVersion("acted"), verdict_id=kept["acted"][1], approved_by="ana"
        )

    config = _config()
    with begin(engine) as tx:
        config.attributes["connection"] = tx
        command.downgrade(config, "0012")
        left = tx.execute(text("SELECT verdict_id FROM verdicts ORDER BY 1")).scalars().all()
    migrate(engine)
    with begin(engine) as tx:
        evidence = tx.execute(text("SELECT DISTINCT evidence FROM verdicts")).scalars().all()

    assert [kept["acted"][1], kept["waits"][2]] == left
    assert [""] == evidence
