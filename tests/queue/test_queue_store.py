"""Queue figures equal a recount of the event log; a person's moves are all or nothing."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Connection, text, update

from hitl import queue
from hitl.db.moves import LEGAL_MOVES
from hitl.db.schema import entries
from hitl.records import EntryState
from tests.builders import add_entries, add_items, add_policy

pytestmark = pytest.mark.postgres

_RECOUNT = text("""
    SELECT to_state, count(*) FROM (
        SELECT DISTINCT ON (entry_id) entry_id, to_state FROM entry_events
        ORDER BY entry_id, event_id DESC
    ) newest GROUP BY to_state
""")


def test_the_figures_equal_a_recount_of_the_log_after_random_moves(tx: Connection) -> None:
    rng = random.Random(7)
    policy = add_policy(tx)
    names = [f"i{k}" for k in range(40)]
    add_items(tx, {name: name for name in names})
    state = dict.fromkeys(add_entries(tx, names, policy=policy), EntryState.WAITING)

    for _ in range(200):
        entry_id = rng.choice(list(state))
        onward = [b for a, b in LEGAL_MOVES if a is state[entry_id]]
        if onward:
            state[entry_id] = rng.choice(onward)
            tx.execute(
                update(entries)
                .where(entries.c.entry_id == entry_id)
                .values(state=state[entry_id].value)
            )

    counted = {name: count for name, count in queue.count_by_state(tx, policy.policy_id).items()}
    recounted = {EntryState(name): count for name, count in tx.execute(_RECOUNT)}
    assert {s: recounted.get(s, 0) for s in EntryState} == counted
    assert {line.state: line.entries for line in queue.queue_lines(tx)} == recounted


def test_only_dead_entries_can_be_requeued_and_then_all_or_none(tx: Connection) -> None:
    add_items(tx, {"i1": "a", "i2": "b"})
    first, second = add_entries(tx, ["i1", "i2"], policy=add_policy(tx))
    tx.execute(update(entries).where(entries.c.entry_id == first).values(state="dead"))

    with pytest.raises(queue.NotInQueue, match=f"entry {second}:"), tx.begin_nested():
        queue.requeue(tx, [first, second])
    assert 1 == queue.requeue(tx, [first])

    waiting = queue.list_entries(tx, states=[EntryState.WAITING], limit=10)
    assert [first, second] == [row.entry_id for row in waiting]


def test_a_withdrawn_entry_keeps_its_reason(tx: Connection) -> None:
    add_items(tx, {"i1": "a"})
    [entry_id] = add_entries(tx, ["i1"], policy=add_policy(tx))

    queue.withdraw(tx, [entry_id], reason="deleted by its author")

    [row] = queue.list_entries(tx, states=[EntryState.WITHDRAWN], limit=10)
    assert "deleted by its author" == row.reason
