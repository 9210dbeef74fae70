"""A claim reads as far as it takes, by an index: what waits behind costs nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from benchmarks.queue_ground import fill
from hitl import queue

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

WAITING = 20_000


def plan_of_claim(tx: Connection, **asked: Any) -> dict[str, Any]:
    """How Postgres chooses the entries of a claim."""
    said: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
        said.append((statement, parameters))

    event.listen(tx, "before_cursor_execute", hear)
    with tx.begin_nested() as point:
        queue.claim(tx, holder="h1", limit=100, seconds=60.0, **asked)
        point.rollback()
    event.remove(tx, "before_cursor_execute", hear)
    [(statement, parameters)] = [one for one in said if "SKIP LOCKED" in one[0]]
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement
    plan: dict[str, Any] = tx.exec_driver_sql(explain, parameters).scalar_one()[0]["Plan"]
    return plan


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every reading of `entries` in a plan."""
    found = [plan] if plan.get("Relation Name") == "entries" else []
    return found + [one for part in plan.get("Plans", []) for one in scans(part)]


@pytest.mark.parametrize(
    ("asked", "index"),
    [({}, "ix_entries_waiting"), ({"lanes": ["german", "video"]}, "ix_entries_waiting_lane")],
    ids=["every lane", "two lanes"],
)
def test_a_claim_reads_its_index_no_further_than_it_takes(
    engine: Engine, asked: dict[str, Any], index: str
) -> None:
    fill(engine, WAITING)
    with engine.connect() as tx:
        queue.allow(tx, "h1", "*")
        plan = plan_of_claim(tx, **asked)

    read = scans(plan)
    assert index in {one.get("Index Name") for one in read}
    assert {"Index Scan", "Index Only Scan"} >= {one["Node Type"] for one in read}
    assert all(one["Actual Rows"] * one["Actual Loops"] <= 400 for one in read)


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
