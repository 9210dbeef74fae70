"""Priorities and turns: one formula, moved by the newest decision, static while time passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text, update

from hitl import queue
from hitl.db import schema
from hitl.db.schema import entries
from hitl.policy import Policy
from hitl.recipe import Lane, QueueRecipe, Recipe
from hitl.records import BatchId, ItemId
from tests.builders import NOON, add_entries, add_items, add_policy, make_policy

pytestmark = pytest.mark.postgres

GRAVE = make_policy(
    category=[
        {"id": "hate", "title": "Hate", "definition": "x", "hotkey": "h", "severity": 4},
        {"id": "spam", "title": "Spam", "definition": "y", "hotkey": "s", "severity": 1},
    ]
)


def decide(
    tx: Connection,
    item_id: str,
    said: Mapping[str, float],
    *,
    hours: float = 0,
    is_shadow: bool = False,
) -> None:
    tx.execute(
        insert(schema.decisions).values(
            item_id=item_id,
            model_version="m1",
            decided_at=NOON + timedelta(hours=hours),
            probabilities=dict(said),
            is_shadow=is_shadow,
        )
    )


def asked(
    tx: Connection,
    worth: Mapping[str, float | None],
    *,
    recipe: Recipe | None = None,
    lanes: Mapping[str, str] | None = None,
) -> Policy:
    """A batch with an entry of that worth an item, not placed yet."""
    policy = add_policy(tx, GRAVE)
    add_items(tx, {one: one for one in worth})
    add_entries(tx, worth, policy=policy, recipe=recipe)
    # `worth` may not be rewritten, so the rows are made anew with it.
    tx.execute(text("ALTER TABLE entries DISABLE TRIGGER USER"))
    for item_id, one in worth.items():
        lane = (lanes or {}).get(item_id, "unrouted")
        tx.execute(update(entries).where(entries.c.item_id == item_id).values(worth=one, lane=lane))
    tx.execute(text("ALTER TABLE entries ENABLE TRIGGER USER"))
    return policy


def order(tx: Connection) -> list[str]:
    """The items of what waits, next one first."""
    rows = select(entries.c.item_id).order_by(
        entries.c.turn_at, entries.c.due_at, entries.c.entry_id
    )
    return list(tx.execute(rows).scalars())


def column(tx: Connection, name: str) -> dict[str, Any]:
    rows = tx.execute(select(entries.c.item_id, entries.c[name]))
    return {item_id: value for item_id, value in rows}


def test_priority_is_severity_times_probability_of_the_worst_category_times_reach_and_worth(
    tx: Connection,
) -> None:
    asked(tx, {"hateful": 1.0, "spammy": 1.0, "seen": 0.5, "unknown": 1.0})
    decide(tx, "hateful", {"hate": 0.5, "spam": 0.9})
    decide(tx, "spammy", {"spam": 0.9})
    decide(tx, "seen", {"hate": 0.25})
    queue.keep_reach(tx, [{"item_id": "seen", "views_per_hour": 100.0, "measured_at": NOON}])

    queue.place(tx, BatchId("b1"))

    expected = {"hateful": 2.0, "spammy": 0.9, "seen": 4 * 0.25 * 100 * 0.5, "unknown": 2.0}
    assert pytest.approx(expected) == column(tx, "priority")
    assert ["seen", "hateful", "unknown", "spammy"] == order(tx)


def test_a_turn_is_the_deadline_brought_forward_by_every_doubling(tx: Connection) -> None:
    recipe = Recipe(queue=QueueRecipe(ageing_minutes=30, sla_minutes=600))
    asked(tx, {"a": 1.0, "b": 1.0}, recipe=recipe)
    decide(tx, "a", {"hate": 1.0})
    decide(tx, "b", {"hate": 0.25})

    queue.place(tx, BatchId("b1"))

    now = tx.execute(text("SELECT now()")).scalar_one()
    assert {now + timedelta(minutes=600)} == set(column(tx, "due_at").values())
    turns = column(tx, "turn_at")
    assert now + timedelta(minutes=600 - 2 * 30) == turns["a"]
    assert now + timedelta(minutes=600) == turns["b"]


def test_a_lane_has_its_own_deadline_and_the_earlier_one_breaks_a_tie(tx: Connection) -> None:
    lanes = (Lane(name="urgent", sla_minutes=15), Lane(name="later", sla_minutes=75))
    recipe = Recipe(queue=QueueRecipe(lanes=lanes, ageing_minutes=60))
    asked(tx, {"late": 1.0, "soon": 1.0}, recipe=recipe, lanes={"late": "later", "soon": "urgent"})
    # Twice as grave, an hour later due: their turns are the same moment.
    decide(tx, "soon", {"hate": 0.25})
    decide(tx, "late", {"hate": 0.5})

    queue.place(tx, BatchId("b1"))

    turns = column(tx, "turn_at")
    assert turns["late"] == turns["soon"]
    assert ["soon", "late"] == order(tx)


def test_the_newest_decision_by_its_own_moment_ranks_an_entry_however_late_it_comes_in(
    tx: Connection,
) -> None:
    asked(tx, {"a": 1.0, "b": 1.0})
    decide(tx, "a", {"hate": 0.5}, hours=1)
    decide(tx, "b", {"hate": 0.25}, hours=1)
    queue.place(tx, BatchId("b1"))

    decide(tx, "b", {"hate": 1.0}, hours=2)
    newer = queue.rescore(tx, [ItemId("a"), ItemId("b")])
    decide(tx, "b", {"hate": 0.1}, hours=0)  # made before both, arrived after them
    late = queue.rescore(tx, [ItemId("a"), ItemId("b")])

    assert (1, 0) == (newer, late)
    assert {"a": 2.0, "b": 4.0} == column(tx, "priority")
    assert ["b", "a"] == order(tx)


def test_a_shadow_model_moves_nothing(tx: Connection) -> None:
    asked(tx, {"a": 1.0})
    decide(tx, "a", {"hate": 0.5})
    queue.place(tx, BatchId("b1"))
    decide(tx, "a", {"hate": 1.0}, hours=1, is_shadow=True)

    assert 0 == queue.rescore(tx, [ItemId("a")])
    assert {"a": 2.0} == column(tx, "priority")


def test_a_rescore_keeps_the_deadline_and_leaves_audits_and_closed_entries_alone(
    tx: Connection,
) -> None:
    asked(tx, {"a": 1.0, "audit": None, "gone": 1.0})
    queue.place(tx, BatchId("b1"))
    before = {name: column(tx, name) for name in ("due_at", "turn_at")}
    tx.execute(update(entries).where(entries.c.item_id == "gone").values(state="withdrawn"))
    for one in ("a", "audit", "gone"):
        decide(tx, one, {"hate": 1.0})

    moved = queue.rescore(tx, [ItemId("a"), ItemId("audit"), ItemId("gone")])

    assert 1 == moved
    assert before["due_at"] == column(tx, "due_at")
    after = column(tx, "turn_at")
    assert before["turn_at"]["a"] - timedelta(hours=1) == after.pop("a")
    assert after == {one: before["turn_at"][one] for one in ("audit", "gone")}


def test_audits_stand_evenly_between_the_others_whatever_their_lane_and_score(
    tx: Connection,
) -> None:
    lanes = (Lane(name="urgent", sla_minutes=1),)
    others = {f"o{k}": 1.0 for k in range(8)}
    worth: dict[str, float | None] = {f"z{k}": None for k in range(4)} | others
    asked(
        tx,
        worth,
        recipe=Recipe(queue=QueueRecipe(lanes=lanes)),
        lanes={"z3": "urgent", "o0": "urgent"},
    )
    for k in range(8):
        decide(tx, f"o{k}", {"hate": 2.0 ** -(k + 1)})
    decide(tx, "z3", {"hate": 1.0})

    queue.place(tx, BatchId("b1"))

    found = order(tx)
    assert ["z0", "z1", "z2", "z3"] == [one for one in found if one.startswith("z")]
    seen = [one.startswith("z") for one in found]
    assert all(abs(sum(seen[:k]) - k / 3) <= 1 for k in range(13))


def test_the_order_of_two_that_wait_never_changes_while_time_passes(tx: Connection) -> None:
    """Urgency now = doublings of priority, and one more for every `ageing` past the opening."""
    asked(tx, {f"i{k}": 1.0 for k in range(20)})
    for k in range(20):
        decide(tx, f"i{k}", {"hate": (k * 7 % 20 + 1) / 20})
    queue.place(tx, BatchId("b1"))
    rows = tx.execute(select(entries.c.item_id, entries.c.priority, entries.c.due_at)).all()

    orders = set()
    for hours in (0, 5, 500):
        moment = rows[0].due_at + timedelta(hours=hours)
        urgency = {
            row.item_id: math.log2(row.priority) + (moment - row.due_at) / timedelta(hours=1)
            for row in rows
        }
        orders.add(tuple(sorted(urgency, key=lambda one: -urgency[one])))

    assert {tuple(order(tx))} == orders


def test_reach_is_as_it_was_measured_last_whatever_came_in_last(tx: Connection) -> None:
    add_items(tx, {"a": "a"})
    for views, hours in ((5.0, 1), (9.0, 2), (7.0, 0)):
        moment = NOON + timedelta(hours=hours)
        queue.keep_reach(tx, [{"item_id": "a", "views_per_hour": views, "measured_at": moment}])

    assert [9.0] == list(tx.execute(select(schema.reaches.c.views_per_hour)).scalars())
