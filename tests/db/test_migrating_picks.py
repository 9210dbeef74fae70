"""A filled database of before near copies comes along, and goes on as it was."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from flows.select_batch import select_batch
from hitl.db import begin, connect, migrate
from hitl.db.versions import keep_policy
from hitl.evaluation.audit import AuditDraw
from hitl.evaluation.store import read_audit
from hitl.policy import Policy
from hitl.records import BatchId
from tests.builders import NOON, make_policy
from tests.conftest import _execute, _with_database
from tests.flows.test_select_twins import RECIPE

pytestmark = pytest.mark.postgres

BEFORE = "0004"


@pytest.fixture
def earlier(postgres_url: str) -> Iterator[Engine]:
    """A database of the schema before near copies, with ten audited items and thirty others."""
    name = f"earlier_{uuid.uuid4().hex[:8]}"
    _execute(postgres_url, f'CREATE DATABASE "{name}"')
    engine = connect(_with_database(postgres_url, name))
    migrate(engine, revision=BEFORE)
    with begin(engine) as tx:
        keep(tx, make_policy())
        tx.execute(
            text(
                "INSERT INTO items (item_id, text, content_hash, content_at)"
                " SELECT 'i' || k, 'the text of number ' || k, 'h' || k, :noon"
                " FROM generate_series(1, 40) k"
            ),
            {"noon": NOON},
        )
        tx.execute(
            text(
                "INSERT INTO picks (batch_id, item_id, share, strategy, rank,"
                " inclusion_probability)"
                " SELECT 'old', 'i' || k, 'audit', 'random', k, .25 FROM generate_series(1, 10) k"
            )
        )
        tx.execute(
            text(
                "INSERT INTO entries (batch_id, item_id, policy_id, votes_wanted)"
                " SELECT 'old', item_id, :policy_id, 1 FROM picks"
            ),
            {"policy_id": make_policy().policy_id},
        )
    yield engine
    engine.dispose()
    _execute(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def keep(tx: Connection, policy: Policy) -> None:
    """The policy, a recipe and an older batch, by the words of that schema."""
    keep_policy(tx, policy)
    tx.execute(text("INSERT INTO recipes (recipe_id, body) VALUES ('r', '{}')"))
    tx.execute(
        text(
            "INSERT INTO batches (batch_id, policy_id, recipe_id, seed, plan, size_wanted, read_at,"
            " training_pool_size, measuring_pool_size)"
            " VALUES ('old', :policy_id, 'r', 1, '{}', 10, :noon, 0, 40)"
        ),
        {"policy_id": policy.policy_id, "noon": NOON},
    )


def test_picks_of_before_stand_for_themselves_and_the_next_batch_goes_on(earlier: Engine) -> None:
    migrate(earlier)

    with begin(earlier) as tx:
        stands_for = tx.execute(text("SELECT DISTINCT stands_for FROM picks")).scalars().all()
        audit = read_audit(tx, policy=make_policy())
    report = select_batch(
        earlier, batch_id=BatchId("new"), policy=make_policy(), recipe=RECIPE, seed=1
    )

    assert [1] == stands_for
    assert (AuditDraw(40, 10, 0, 0),) == audit.draws
    assert report.picks > 0
    with begin(earlier) as tx:
        twice = text("SELECT count(*) - count(DISTINCT item_id) FROM picks")
        assert 0 == tx.execute(twice).scalar_one()
