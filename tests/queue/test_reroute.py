"""After lanes were changed: what waits follows them, by when it was opened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from hitl import queue
from hitl.queue import allow, claim, escalate_waiting, reroute
from hitl.recipe import Lane, LaneMatch, QueueRecipe
from hitl.records import EntryId
from tests.builders import add_entries, add_items, add_policy, make_policy

pytestmark = pytest.mark.postgres

LANES = QueueRecipe(
    sla_minutes=600,
    lanes=(
        Lane(name="brazil", match=LaneMatch(market=("br",)), sla_minutes=15),
        Lane(name="audio", match=LaneMatch(modality=("audio",)), sla_minutes=60, tier=2),
    ),
)


@pytest.fixture
def entries(tx: Connection) -> list[EntryId]:
    """Of Brazil, audio, neither; another policy's, in the end."""
    add_items(tx, {"i0": "a", "i3": "a"}, market="br")
    add_items(tx, {"i1": "a"}, modality="audio", market="de")
    add_items(tx, {"i2": "a"})
    made = add_entries(tx, ["i0", "i1", "i2"], policy=add_policy(tx))
    other = add_policy(tx, make_policy(name="ads"))
    made += add_entries(tx, ["i3"], policy=other, batch_id="b2")
    set_worth(tx, "0.5", made)
    queue.place(tx, "b1")  # type: ignore[arg-type]
    return made


def set_worth(tx: Connection, worth: str, entry_ids: list[EntryId]) -> None:
    """As if they had been made so: worth is written once."""
    tx.execute(text("ALTER TABLE entries DISABLE TRIGGER entries_append_only"))
    tx.execute(
        text(f"UPDATE entries SET worth = {worth} WHERE entry_id = ANY(:ids)"), {"ids": entry_ids}
    )
    tx.execute(text("ALTER TABLE entries ENABLE TRIGGER entries_append_only"))


def stand(tx: Connection, entry_id: EntryId) -> Any:
    return tx.execute(
        text("SELECT *, due_at - opened_at AS sla, due_at - turn_at AS ahead FROM entries"
             " WHERE entry_id = :e"), {"e": entry_id},
    ).one()  # fmt: skip


def test_what_waits_takes_lane_tier_and_deadline_and_keeps_what_its_priority_brought(
    tx: Connection, entries: list[EntryId]
) -> None:
    before = [stand(tx, one) for one in entries]

    moved = reroute(tx, LANES, policy_name="community")

    after = [stand(tx, one) for one in entries]
    assert {"audio": 1, "brazil": 1, "unrouted": 1} == moved
    assert [("brazil", 1, 15), ("audio", 2, 60), ("unrouted", 1, 600)] == [
        (one.lane, one.tier, one.sla / timedelta(minutes=1)) for one in after[:3]
    ]
    assert [one.ahead for one in before] == [one.ahead for one in after]
    assert before[3] == after[3]
    assert {} == reroute(tx, LANES, policy_name="community")


def test_what_is_in_its_lane_with_its_deadline_is_left_alone(
    tx: Connection, entries: list[EntryId]
) -> None:
    before = [stand(tx, one) for one in entries]

    assert {} == reroute(tx, QueueRecipe(), policy_name="community")

    assert before == [stand(tx, one) for one in entries]


def test_an_audits_turn_does_not_depend_on_what_it_is(
    tx: Connection, entries: list[EntryId]
) -> None:
    set_worth(tx, "NULL", entries[:1])
    before = stand(tx, entries[0])

    reroute(tx, LANES, policy_name="community")

    after = stand(tx, entries[0])
    assert ("brazil", before.turn_at) == (after.lane, after.turn_at)
    assert timedelta(minutes=15) == after.sla


def test_what_was_escalated_or_is_held_stays_where_it_is(
    tx: Connection, entries: list[EntryId]
) -> None:
    escalate_waiting(tx, entries[:1], reason="a threat", escalation_minutes=30)
    allow(tx, "ana", "*", tier=1)
    lease = claim(tx, holder="ana", limit=1, seconds=60)
    assert lease is not None
    kept = [entries[0], *lease.entry_ids]
    before = [stand(tx, one) for one in kept]

    reroute(tx, LANES, policy_name="community")

    assert before == [stand(tx, one) for one in kept]


def test_a_move_between_lanes_is_in_the_log(tx: Connection, entries: list[EntryId]) -> None:
    reroute(tx, LANES, policy_name="community")

    told = tx.execute(
        text("SELECT from_state, to_state, lane, tier FROM entry_events WHERE entry_id = :e"
             " ORDER BY event_id DESC LIMIT 1"), {"e": entries[1]},
    ).one()  # fmt: skip
    assert ("waiting", "waiting", "audio", 2) == tuple(told)
