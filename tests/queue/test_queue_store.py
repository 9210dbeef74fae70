"""Queue figures equal a recount of the event log; a person's moves are all or nothing."""

from __future__ import annotations

import random
from uuid import UUID

import pytest
from sqlalchemy import Connection, delete, insert, text, update

from hitl import queue
from hitl.db import schema
from hitl.db.moves import LEGAL_MOVES
from hitl.db.schema import entries
from hitl.records import EntryState
from tests.builders import add_entries, add_items, add_policy, make_policy

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


def test_what_waits_under_another_version_of_the_policy_is_taken_back(tx: Connection) -> None:
    old, other = add_policy(tx), add_policy(tx, make_policy(name="another"))
    new = make_policy(version="2")
    add_items(tx, {one: one for one in "abc"})
    waits, asked = add_entries(tx, "ab", policy=old)
    [elsewhere] = add_entries(tx, "c", policy=other, batch_id="b2")
    tx.execute(update(entries).where(entries.c.entry_id == asked).values(state="dispatched"))
    assert 1 == queue.count_under_other_versions(tx, new)

    count = queue.withdraw_older(tx, new)

    assert (1, 0) == (count, queue.withdraw_older(tx, new))
    [row] = queue.list_entries(tx, states=[EntryState.WITHDRAWN], limit=10)
    assert (waits, "policy changed") == (row.entry_id, row.reason)
    still = queue.list_entries(tx, states=[EntryState.WAITING, EntryState.DISPATCHED], limit=10)
    assert {asked, elsewhere} == {row.entry_id for row in still}


def test_an_entry_whose_push_is_not_settled_is_not_taken_back(tx: Connection) -> None:
    old = add_policy(tx)
    add_items(tx, {"a": "a"})
    [entry_id] = add_entries(tx, "a", policy=old)
    tx.execute(
        insert(schema.labelling_projects).values(
            project_id=1, policy_id=old.policy_id, stage="review", interface_hash="x"
        )
    )
    tx.execute(insert(schema.pushes).values(push_id=UUID(int=1), project_id=1))
    intent = {"entry_id": entry_id, "stage": "review", "push_id": UUID(int=1), "project_id": 1}
    tx.execute(insert(schema.tasks).values(**intent))

    before = queue.withdraw_older(tx, make_policy(version="2"))
    tx.execute(delete(schema.tasks))  # it brought no task

    assert (0, 1) == (before, queue.withdraw_older(tx, make_policy(version="2")))


def test_a_person_can_take_back_all_that_is_open_of_a_policy(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {one: one for one in "abc"})
    first, _, done = add_entries(tx, "abc", policy=policy)
    tx.execute(update(entries).where(entries.c.entry_id != first).values(state="dispatched"))
    tx.execute(update(entries).where(entries.c.entry_id == done).values(state="done"))

    assert 2 == queue.withdraw_policy(tx, policy.policy_id, reason="rules are being rewritten")

    with pytest.raises(queue.NothingOpen, match="hitl queue stats"):
        queue.withdraw_policy(tx, policy.policy_id, reason="again")
