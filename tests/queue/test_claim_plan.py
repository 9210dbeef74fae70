"""A claim reads as far as it takes, by an index: what waits behind costs nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert, text

from benchmarks.queue_ground import fill
from hitl import queue
from hitl.db.schema import labelling_projects
from hitl.labelstudio.pushes.store import intend_push
from hitl.records import Stage
from tests.builders import make_policy

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

WAITING = 20_000


def read_so_far(tx: Connection) -> dict[str, tuple[int, int]]:
    """Of each table the rows that this session read one after another, and by an index."""
    rows = tx.execute(
        text(
            "SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables "
            "WHERE relname IN ('entries', 'turns')"
        )
    )
    return {row[0]: (row[1], row[2]) for row in rows}


@pytest.mark.parametrize(
    ("asked", "most"),
    [({}, 400), ({"lanes": ["german"]}, 400), ({"lanes": ["german", "video"]}, 700)],
    ids=["every lane", "one lane", "two lanes"],
)
def test_a_claim_reads_its_index_no_further_than_it_takes(
    engine: Engine, asked: dict[str, Any], most: int
) -> None:
    fill(engine, WAITING)
    with engine.connect() as tx:
        queue.allow(tx, "h1", "*")
        tx.commit()
        # More often than Postgres makes its plan anew.
        for times in range(1, 9):
            assert queue.claim(tx, holder="h1", limit=100, seconds=60.0, **asked)
            read = read_so_far(tx)
            tx.rollback()

            assert {one for one, _ in read.values()} == {0}
            assert all(100 * times <= one <= most * times for _, one in read.values())


def test_a_dispatch_reads_no_further_than_it_takes(engine: Engine) -> None:
    policy = make_policy()
    fill(engine, WAITING, policy_id=policy.policy_id)
    with engine.connect() as tx:
        tx.execute(
            insert(labelling_projects).values(
                project_id=1, policy_id=policy.policy_id, stage="review", interface_hash="x"
            )
        )
        tx.execute(text("UPDATE items SET text = 'x', content_hash = item_id, content_at = now()"))
        tx.execute(text("ANALYZE items"))
        tx.commit()
        push = intend_push(
            tx,
            uuid.uuid4(),
            project_id=1,
            policy=policy,
            stage=Stage.REVIEW,
            limit=100,
            max_characters=1000,
        )
        read = read_so_far(tx)

    assert push is not None
    assert {one for one, _ in read.values()} == {0}
    assert all(100 <= one <= 400 for _, one in read.values())


def test_every_move_keeps_an_entry_on_its_page(engine: Engine) -> None:
    """No index of `entries` is written: Postgres calls such updates heap-only."""
    fill(engine, 1000)
    with engine.connect() as tx:
        queue.allow(tx, "h1", "*")
        lease = queue.claim(tx, holder="h1", limit=20, seconds=60.0)
        assert lease is not None
        queue.complete(tx, lease, lease.entry_ids[:10])
        queue.release(tx, lease)
        moved = tx.execute(
            text(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables "
                "WHERE relname = 'entries'"
            )
        ).one()

    assert (40, 40) == tuple(moved)


def test_lost_leases_are_found_by_an_index(engine: Engine) -> None:
    with engine.connect() as tx:
        tx.execute(
            text(
                "INSERT INTO leases (holder, entry_ids, held, expires_at, ended_at) "
                "SELECT 'h', '{1}', 0, now(), now() FROM generate_series(1, 20000)"
            )
        )
        tx.execute(text("ANALYZE leases"))
        found = tx.execute(
            text(
                "EXPLAIN (FORMAT JSON) SELECT EXISTS "
                "(SELECT FROM leases WHERE ended_at IS NULL AND expires_at <= now())"
            )
        ).scalar_one()

    assert "ix_leases_running" in str(found)
