"""The dashboard's contract: one worked example a view, and a page that lists every column."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from hitl.db import schema
from hitl.db.views import DASHBOARD_VIEWS
from hitl.decisions import merge_decisions
from hitl.policy import Policy
from hitl.records import Decision, EntryId, EntryState, ItemId, ModelVersion
from tests.builders import NOON, add_entries, add_items, add_policy, make_policy
from tests.labels.builders import annotate, move

pytestmark = pytest.mark.postgres

DOCS = Path(__file__).parents[2] / "docs" / "dashboards.md"


def rows(tx: Connection, view: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """The rows of a view, in their own order, as its reader gets them."""
    return sorted(tuple(row) for row in tx.execute(text(f"SELECT {columns} FROM dashboard.{view}")))


def asked(tx: Connection, count: int) -> tuple[Policy, list[EntryId]]:
    policy = add_policy(tx, make_policy(votes_wanted=2))
    names = [f"i{k}" for k in range(count)]
    add_items(tx, {name: name for name in names})
    return policy, add_entries(tx, names, policy=policy)


def label(tx: Connection, entry_id: EntryId, value: bool | None, **changed: Any) -> int:
    fields = {
        "entry_id": entry_id,
        "item_id": tx.execute(
            text("SELECT item_id FROM entries WHERE entry_id = :e"), {"e": entry_id}
        ).scalar_one(),
        "policy_id": tx.execute(
            text("SELECT policy_id FROM entries WHERE entry_id = :e"), {"e": entry_id}
        ).scalar_one(),
        "category": "hate",
        "revision": 1,
        "value": value,
        "weight": 1.0,
        "votes_for": 1,
        "votes_total": 1,
        "decided_by": "votes",
    }
    made = insert(schema.labels).values(fields | changed).returning(schema.labels.c.label_id)
    return int(tx.execute(made).scalar_one())


def add_snapshot(tx: Connection, policy: Policy, *, last_label_id: int) -> None:
    tx.execute(
        insert(schema.snapshots).values(
            snapshot_id="s1",
            policy_id=policy.policy_id,
            path="somewhere",
            examples=3,
            labels=5,
            last_label_id=last_label_id,
            created_at=NOON,
        )
    )


def add_model(tx: Connection, policy: Policy) -> None:
    tx.execute(
        insert(schema.model_versions).values(
            model_version="m1",
            policy_name=policy.name,
            policy_id=policy.policy_id,
            recipe_id=tx.execute(text("SELECT recipe_id FROM recipes")).scalar_one(),
            snapshot_id="s1",
            seed=1,
            state="champion",
            path="somewhere",
            digest="d",
            metrics={},
            trained_at=NOON,
        )
    )
    tx.execute(
        insert(schema.promotions).values(
            policy_name=policy.name,
            kind="promotion",
            model_version="m1",
            approved_by="ana",
            promoted_at=NOON + timedelta(hours=1),
        )
    )


def test_queue_depth_counts_each_state_and_its_most_urgent(tx: Connection) -> None:
    policy, [first, *_] = asked(tx, 3)
    move(tx, [first], EntryState.DISPATCHED)

    assert [
        (policy.policy_id, "dispatched", 1, 0.0),
        (policy.policy_id, "waiting", 2, -1.0),
    ] == rows(tx, "queue_depth")


def test_queue_age_is_of_open_entries_alone(tx: Connection) -> None:
    policy, entry_ids = asked(tx, 4)
    move(tx, entry_ids[3:], EntryState.WITHDRAWN)
    # `opened_at` may not be rewritten, not even by a test; so the session's clock is compared.
    opened = text("SELECT extract(epoch FROM now() - max(opened_at))::float8 FROM entries")
    newest = tx.execute(opened).scalar_one()

    [(policy_id, state, median, p90, oldest, count)] = rows(tx, "queue_age")

    assert (policy.policy_id, "waiting", 3) == (policy_id, state, count)
    assert newest <= median <= p90 <= oldest


def test_throughput_counts_moves_in_their_utc_hour(tx: Connection) -> None:
    policy, [first, *_] = asked(tx, 2)
    move(tx, [first], EntryState.DISPATCHED)
    move(tx, [first], EntryState.DONE)
    # A zone that is not a whole number of hours from UTC would move every hour by half.
    tx.execute(text("SET LOCAL timezone = 'Asia/Kolkata'"))

    [(policy_id, hour, opened, dispatched, done, dead)] = rows(tx, "throughput_hourly")

    now = datetime.now(UTC)
    assert (policy.policy_id, 2, 1, 1, 0) == (policy_id, opened, dispatched, done, dead)
    assert hour.astimezone(UTC) in {
        moment.replace(minute=0, second=0, microsecond=0)
        for moment in (now, now - timedelta(minutes=1))
    }


def test_loop_lag_says_when_each_step_last_left_something(tx: Connection) -> None:
    policy, [first, second] = asked(tx, 2)
    add_snapshot(tx, policy, last_label_id=label(tx, first, True, resolved_at=NOON))
    label(tx, second, False, resolved_at=NOON + timedelta(hours=2))
    add_model(tx, policy)
    merge_decisions(
        tx,
        [Decision(ItemId("i0"), ModelVersion("m1"), NOON, None, {"hate": 0.5})],
        source="s",
    )

    assert [
        (
            policy.policy_id,
            NOON,
            NOON + timedelta(hours=2),
            NOON,
            NOON + timedelta(hours=1),
            1,
        )
    ] == rows(
        tx,
        "loop_lag",
        "policy_id, newest_decision, newest_label, newest_snapshot, newest_promotion, "
        "entries_since_snapshot",
    )


def test_a_shadow_stands_beside_the_newest_decision_that_was_acted_on(tx: Connection) -> None:
    asked(tx, 3)
    said: list[tuple[str, str, int, str | None, dict[str, float], bool]] = [
        ("i0", "old", 0, "block", {"hate": 0.1}, False),
        ("i0", "live", 1, "allow", {"hate": 0.25}, False),
        ("i0", "next", 2, "allow", {"hate": 0.5, "spam": 0.5}, True),
        ("i1", "live", 1, "allow", {"hate": 0.75}, False),
        ("i1", "next", 0, "block", {"hate": 0.25}, True),
        ("i1", "next", 24, None, {"hate": 0.25}, True),
        ("i2", "next", 0, "allow", {"hate": 0.5}, True),  # nobody else decided on it
    ]
    names = ("item_id", "model_version", "action", "probabilities", "is_shadow")
    for item_id, model, hours, action, scores, is_shadow in said:
        row = dict(zip(names, (item_id, model, action, scores, is_shadow), strict=True))
        moment = {"decided_at": NOON + timedelta(hours=hours)}
        tx.execute(insert(schema.decisions).values(row | moment))

    day, models = NOON.replace(hour=0), ("next", "live")
    assert [
        (day, *models, "hate", 2, 2, 0.5, 2, -0.125, 0.375, 0.5),
        (day, *models, "spam", 1, 1, 1.0, 0, None, None, None),
        (day + timedelta(days=1), *models, "hate", 1, 0, None, 1, -0.5, 0.5, 0.5),
    ] == rows(tx, "shadow_comparison")


def test_reviewer_daily_counts_newest_versions_in_their_utc_day(tx: Connection) -> None:
    _, [first, second, third] = asked(tx, 3)
    for entry_id in (first, second):
        annotate(tx, entry_id, {"hate": True})
    annotate(tx, second, {"hate": False}, version=1)
    annotate(tx, third, kind="skipped")
    annotate(tx, third, kind="deleted", reviewer="bo")
    # There it is still the day before, for a while after noon in UTC.
    tx.execute(text("SET LOCAL timezone = 'Pacific/Kiritimati'"))

    [(reviewer, stage, day, submitted, skipped, seconds)] = rows(tx, "reviewer_daily")

    assert ("ana", "review", 2, 1, None) == (reviewer, stage, submitted, skipped, seconds)
    assert NOON.replace(hour=0) == day


def test_label_counts_are_of_current_labels(tx: Connection) -> None:
    policy, [first, second, third] = asked(tx, 3)
    label(tx, first, True)
    label(tx, second, False)
    label(tx, second, True, revision=2, decided_by="adjudication")
    label(tx, third, True)
    label(tx, third, None, revision=2)

    assert [(policy.policy_id, "hate", 2, 2, 1)] == rows(tx, "label_counts")


def test_agreement_is_the_share_of_pairs_that_say_the_same(tx: Connection) -> None:
    policy, [first, second] = asked(tx, 2)
    for reviewer, hate, spam in (("ana", True, False), ("bo", True, True), ("cy", False, True)):
        annotate(tx, first, {"hate": hate, "spam": spam}, reviewer=reviewer)
    annotate(tx, second, {"hate": True}, reviewer="ana")
    annotate(tx, second, {"hate": True}, reviewer="bo")
    annotate(tx, second, {"hate": False}, reviewer="lead", stage="adjudication")

    assert [
        (policy.policy_id, "hate", 4, 0.5),
        (policy.policy_id, "spam", 3, pytest.approx(1 / 3)),
    ] == rows(tx, "agreement")


def test_batch_yield_counts_entries_with_a_violation(tx: Connection) -> None:
    _, [first, second, _] = asked(tx, 3)
    move(tx, [first, second], EntryState.DISPATCHED)
    move(tx, [first, second], EntryState.DONE)
    label(tx, first, True)
    label(tx, first, True, category="spam")
    label(tx, second, False)

    assert [("b1", "uncertain", "uncertain_diverse", 3, 2, 1)] == rows(tx, "batch_yield")


def test_online_metrics_are_the_measurements(tx: Connection) -> None:
    policy = add_policy(tx)
    row = {
        "policy_id": policy.policy_id,
        "model_version": "m1",
        "window_start": NOON,
        "window_end": NOON + timedelta(days=1),
        "metric": "precision",
        "category": "hate",
        "slice_name": "",
        "slice_value": "",
        "kind": "certified",
        "n": 4,
        "unstable": False,
        "code": "too_few_events",
        "method": "none",
    }
    tx.execute(insert(schema.measurements).values(row))

    columns = "policy_id, model_version, metric, category, kind, value, n, code"
    assert [
        (policy.policy_id, "m1", "precision", "hate", "certified", None, 4, "too_few_events")
    ] == rows(tx, "online_metrics", columns)


def test_model_versions_say_what_they_learned_from(tx: Connection) -> None:
    policy, _ = asked(tx, 1)
    add_snapshot(tx, policy, last_label_id=0)
    add_model(tx, policy)

    columns = (
        "model_version, policy_name, state, snapshot_id, trained_at, examples, labels, promoted_at"
    )
    assert [("m1", "community", "champion", "s1", NOON, 3, 5, NOON + timedelta(hours=1))] == rows(
        tx, "model_versions", columns
    )


def test_the_page_lists_exactly_the_columns_of_each_view(tx: Connection) -> None:
    found = {
        view: set(tx.execute(text(f"SELECT * FROM dashboard.{view}")).keys())
        for view in DASHBOARD_VIEWS
    }

    written: dict[str, set[str]] = {}
    for part in DOCS.read_text(encoding="utf-8").split("\n### ")[1:]:
        cells = re.findall(r"^\| ([a-z0-9_, ]+) \|", part, flags=re.MULTILINE)
        names = [name.strip() for cell in cells for name in cell.split(",")]
        written[part.split("\n")[0]] = set(names) - {"column"}
    assert found == written


def test_the_dashboard_role_reads_the_views_and_nothing_else(tx: Connection) -> None:
    listed = [table.name for table in schema.metadata.sorted_tables]
    tx.execute(text("SET LOCAL ROLE hitl_dashboard"))

    for view in DASHBOARD_VIEWS:
        rows(tx, view)
    for name in [*listed, "current_votes", "current_labels", "examples", "alembic_version"]:
        with pytest.raises(Exception, match="permission denied"), tx.begin_nested():
            tx.execute(text(f"SELECT count(*) FROM public.{name}"))
