"""What a scrape reads from the database."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from hitl import web
from tests.builders import add_entries, add_items, add_policy, make_policy

pytestmark = pytest.mark.postgres


def test_the_queue_is_counted_by_policy_name_over_all_its_versions(tx: Connection) -> None:
    for version in ("1", "2"):
        policy = add_policy(tx, make_policy(version=version))
        item_ids = [f"i{version}{n}" for n in range(2)]
        add_items(tx, dict.fromkeys(item_ids, "a"))
        add_entries(tx, item_ids, policy=policy, batch_id=f"b{version}")
    tx.execute(text("UPDATE entries SET state = 'dispatched' WHERE item_id = 'i10'"))

    found = {
        (one.name, one.labels.get("state")): one.value
        for one in web.store.figures(tx)
        if one.labels.get("policy") == "community"
    }

    assert 3 == found["hitl_queue_entries", "waiting"]
    assert 1 == found["hitl_queue_entries", "dispatched"]
    assert 0 <= found["hitl_queue_oldest_seconds", "waiting"] < 60
    assert 0 == found["hitl_entries_since_snapshot", None]


def test_a_closed_entry_has_no_age(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"i1": "a"})
    add_entries(tx, ["i1"], policy=policy)
    tx.execute(text("UPDATE entries SET state = 'withdrawn'"))

    found = [one.name for one in web.store.figures(tx)]

    assert "hitl_queue_entries" in found
    assert "hitl_queue_oldest_seconds" not in found


def test_lanes_and_models_are_told_of_as_they_stand(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, dict.fromkeys(("i1", "i2", "i3"), "a"))
    add_entries(tx, ["i1", "i2", "i3"], policy=policy)
    tx.execute(text("UPDATE entries SET lane = 'live', tier = 2 WHERE item_id <> 'i1'"))
    tx.execute(text("UPDATE entries SET due_at = now() - interval '1 hour' WHERE item_id = 'i2'"))
    tx.execute(
        text(
            "INSERT INTO newest_decisions VALUES ('m1', now() - interval '5 minutes'), "
            "('long-gone', now() - interval '8 days')"
        )
    )

    found = {
        (one.name, one.labels.get("lane") or one.labels.get("model")): one.value
        for one in web.store.figures(tx)
    }

    assert (1, 2) == (found["hitl_lane_entries", "unrouted"], found["hitl_lane_entries", "live"])
    assert (0, 1) == (found["hitl_lane_overdue", "unrouted"], found["hitl_lane_overdue", "live"])
    assert -3660 < found["hitl_lane_next_due_seconds", "live"] <= -3600
    assert 300 <= found["hitl_decision_age_seconds", "m1"] < 360
    assert ("hitl_decision_age_seconds", "long-gone") not in found


def test_answers_that_nobody_asks_for_any_more_go_as_new_ones_come(tx: Connection) -> None:
    def keep(key: str) -> None:
        web.store.accept(tx, producer="a", key=key, body_hash="x", rows=1, answer={})

    for key in ("old", "young"):
        keep(key)
    tx.execute(
        text(
            "UPDATE api_requests SET accepted_at = now() - interval '31 days'"
            " WHERE idempotency_key = 'old'"
        )
    )
    keep("new")

    left = tx.execute(text("SELECT idempotency_key FROM api_requests ORDER BY 1")).scalars().all()
    assert ["new", "young"] == left
