"""Leases: held by one, lost by none, given to whoever may see it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, insert, select, text, update

from hitl import queue
from hitl.db import begin, schema
from hitl.db.schema import entries, handled, leases
from hitl.queue import LeaseLost, NoSkill, NotInQueue, SkipsUsedUp
from hitl.records import EntryId, Stage
from tests.queue.pulling import MINUTE, claim, events_of, may_take_all, run_out, states, wait

pytestmark = pytest.mark.postgres

RULES = {"skips_per_day": 50, "skips_before_escalation": 3, "escalation_minutes": 240.0}


def test_what_is_claimed_is_with_a_reviewer_and_nobody_else_gets_it(tx: Connection) -> None:
    first, second, third = wait(tx, "abc")
    may_take_all(tx, "ana", "bo")

    anas = claim(tx, "ana", 2)
    bos = claim(tx, "bo", 2)

    assert ([first, second], [third]) == (anas.entry_ids, bos.entry_ids)
    assert {"dispatched"} == set(states(tx).values())
    assert queue.claim(tx, holder="ana", limit=1, seconds=1) is None
    assert anas.lease_id == events_of(tx, first)[-1]["lease_id"]


def test_an_expired_lease_is_free_again_and_its_holder_is_told(tx: Connection) -> None:
    [entry_id] = wait(tx, "a")
    may_take_all(tx, "ana", "bo")
    lost = claim(tx, "ana", seconds=-1)

    again = claim(tx, "bo")

    assert [entry_id] == again.entry_ids
    with pytest.raises(LeaseLost, match="claim again"):
        queue.heartbeat(tx, lost, seconds=MINUTE)
    with pytest.raises(LeaseLost, match=f"entry {entry_id}"):
        queue.complete(tx, lost, [entry_id])


def test_a_heartbeat_keeps_a_lease_by_the_database_clock(tx: Connection) -> None:
    wait(tx, "a")
    may_take_all(tx, "ana", "bo")
    lease = claim(tx, "ana")

    until = queue.heartbeat(tx, lease, seconds=3600)

    assert until > lease.expires_at + timedelta(minutes=50)
    assert 0 == queue.expire(tx)
    assert queue.claim(tx, holder="bo", limit=1, seconds=1) is None


def test_only_who_has_the_token_can_answer(tx: Connection) -> None:
    [entry_id] = wait(tx, "a")
    may_take_all(tx, "ana")
    lease = claim(tx, "ana")
    forged = queue.Lease(lease.lease_id, UUID(int=1), "ana", lease.expires_at, lease.entries)

    with pytest.raises(LeaseLost):
        queue.complete(tx, forged, [entry_id])

    assert {entry_id: "dispatched"} == states(tx)


def test_a_lease_ends_with_its_last_entry_whichever_way_they_leave(tx: Connection) -> None:
    a, b, c = wait(tx, "abc")
    may_take_all(tx, "ana")
    lease = claim(tx, "ana")

    queue.complete(tx, lease, [a])
    queue.release(tx, lease, [b])
    before = tx.execute(select(leases.c.held, leases.c.ended_at)).one()
    queue.skip(tx, lease, [c], reason="not my language", **RULES)

    after = tx.execute(select(leases.c.held, leases.c.ended_at)).one()
    assert (1, None) == tuple(before)
    assert 0 == after.held
    assert after.ended_at is not None
    assert {a: "done", b: "waiting", c: "waiting"} == states(tx)


def test_answers_are_taken_all_or_none(tx: Connection) -> None:
    a, b = wait(tx, "ab")
    may_take_all(tx, "ana")
    lease = claim(tx, "ana")
    queue.withdraw(tx, [b], reason="deleted by its author")

    with pytest.raises(LeaseLost, match=f"entry {b}:"), tx.begin_nested():
        queue.complete(tx, lease, [a, b])

    assert {a: "dispatched", b: "withdrawn"} == states(tx)
    assert 1 == queue.complete(tx, lease, [a])


def test_giving_everything_back_leaves_nothing_behind(tx: Connection) -> None:
    made = wait(tx, "abc")
    may_take_all(tx, "ana")
    lease = claim(tx, "ana")

    assert 3 == queue.release(tx, lease)

    assert made == claim(tx, "ana").entry_ids
    assert 0 == queue.release(tx, lease)


def test_an_entry_that_wants_two_answers_waits_for_a_second_person(tx: Connection) -> None:
    [entry_id] = wait(tx, "a", votes_wanted=2)
    may_take_all(tx, "ana", "bo")

    queue.complete(tx, claim(tx, "ana"), [entry_id])
    mine = queue.claim(tx, holder="ana", limit=1, seconds=MINUTE)
    waits = states(tx)[entry_id]
    queue.complete(tx, claim(tx, "bo"), [entry_id])

    assert (None, "waiting", "done") == (mine, waits, states(tx)[entry_id])


def test_what_somebody_skipped_goes_to_somebody_else(tx: Connection) -> None:
    [entry_id] = wait(tx, "a")
    may_take_all(tx, "ana", "bo")

    queue.skip(tx, claim(tx, "ana"), [entry_id], reason="upsetting", **RULES)

    assert queue.claim(tx, holder="ana", limit=1, seconds=MINUTE) is None
    assert [entry_id] == claim(tx, "bo").entry_ids
    assert ("ana", "skipped", "upsetting") == tuple(
        tx.execute(select(handled.c.holder, handled.c.outcome, handled.c.reason)).one()
    )


def test_skips_are_capped_for_a_person_and_a_day(tx: Connection) -> None:
    made = wait(tx, "abcd")
    may_take_all(tx, "ana", "bo")
    lease = claim(tx, "ana")
    rules = RULES | {"skips_per_day": 2}
    queue.skip(tx, lease, made[:2], reason="x", **rules)

    with pytest.raises(SkipsUsedUp, match=r"ana has skipped 2 .* queue\.skips_per_day is 2"):
        queue.skip(tx, lease, made[2:3], reason="x", **rules)

    queue.skip(tx, claim(tx, "bo"), made[:1], reason="x", **rules)  # another's are their own


def test_what_enough_people_skipped_goes_up_a_tier_and_its_clock_starts_anew(
    tx: Connection,
) -> None:
    [entry_id] = wait(tx, "a")
    may_take_all(tx, "ana", "bo", "cy")
    may_take_all(tx, "lead", tier=2)

    for holder in ("ana", "bo"):
        queue.skip(
            tx,
            claim(tx, holder),
            [entry_id],
            reason="x",
            **(RULES | {"skips_before_escalation": 2}),
        )

    assert queue.claim(tx, holder="cy", limit=1, seconds=MINUTE) is None
    [found] = claim(tx, "lead").entries
    now = tx.execute(text("SELECT now()")).scalar_one()
    assert (2, now + timedelta(minutes=240)) == (found.tier, found.due_at)


def test_an_escalated_entry_is_given_to_its_tier_alone(tx: Connection) -> None:
    a, b = wait(tx, "ab")
    may_take_all(tx, "ana")
    may_take_all(tx, "lead", tier=2)
    lease = claim(tx, "ana")
    head_start = text("SELECT due_at - turn_at FROM entries WHERE entry_id = :a")
    before = tx.execute(head_start, {"a": a}).scalar_one()

    queue.escalate(tx, lease, [a], reason="a threat", escalation_minutes=30)
    queue.release(tx, lease)

    assert [b] == claim(tx, "ana").entry_ids
    [found] = claim(tx, "lead").entries
    now = tx.execute(text("SELECT now()")).scalar_one()
    assert (a, now + timedelta(minutes=30)) == (found.entry_id, found.due_at)
    assert before == tx.execute(head_start, {"a": a}).scalar_one()
    told = [(one["to_state"], one["tier"], one["reason"]) for one in events_of(tx, a)]
    assert ("waiting", 2, "a threat") == told[2]


def test_a_waiting_entry_can_be_escalated_but_not_one_label_studio_is_to_have(
    tx: Connection,
) -> None:
    a, b = wait(tx, "ab")
    intend(tx, b)

    with pytest.raises(NotInQueue, match=f"entry {b}: cannot move to the next tier"):
        queue.escalate_waiting(tx, [b], reason="x", escalation_minutes=1)
    queue.escalate_waiting(tx, [a], reason="x", escalation_minutes=1)

    tiers = tx.execute(select(entries.c.tier).order_by(entries.c.entry_id)).scalars().all()
    assert [2, 1] == tiers


def test_nobody_is_given_a_lane_or_tier_that_they_may_not_take(tx: Connection) -> None:
    [german] = wait(tx, "a", lane="german")
    [english] = wait(tx, "b", lane="english", batch_id="b2")
    [grave] = wait(tx, "c", lane="german", tier=2, batch_id="b3")
    queue.allow(tx, "ana", "german")
    queue.allow(tx, "lead", "german", tier=2)

    with pytest.raises(NoSkill, match="bo may not take any lane"):
        queue.claim(tx, holder="bo", limit=1, seconds=1)
    with pytest.raises(NoSkill, match="ana may not take lane english"):
        queue.claim(tx, holder="ana", limit=1, seconds=1, lanes=["english"])
    anas, leads = claim(tx, "ana"), claim(tx, "lead")

    assert ([german], [grave]) == (anas.entry_ids, leads.entry_ids)
    assert "waiting" == states(tx)[english]
    queue.disallow(tx, "ana", "german")
    with pytest.raises(NoSkill):
        queue.claim(tx, holder="ana", limit=1, seconds=1)


def test_a_claim_takes_from_all_of_its_lanes_in_one_order(tx: Connection) -> None:
    made = [
        wait(tx, [f"i{k}"], lane="ab"[k % 2], tier=1 + k % 3 // 2, batch_id=f"b{k}")[0]
        for k in range(12)
    ]
    tx.execute(text("UPDATE entries SET turn_at = now() + entry_id * 7 % 12 * interval '1 minute'"))
    may_take_all(tx, "lead", tier=2)
    queue.allow(tx, "ana", "a", tier=2)
    queue.allow(tx, "ana", "b", tier=2)
    turns = dict(tx.execute(select(entries.c.entry_id, entries.c.turn_at)).tuples().all())

    anas, leads = claim(tx, "ana", 6), claim(tx, "lead", 6)

    assert sorted(made, key=lambda one: turns[one]) == anas.entry_ids + leads.entry_ids


def test_an_entry_whose_leases_run_out_is_parked_once_and_can_be_requeued(tx: Connection) -> None:
    [entry_id] = wait(tx, "a")
    may_take_all(tx, "ana")
    for _ in range(3):
        run_out(tx, claim(tx, "ana", failures_before_dead=3))

    assert queue.claim(tx, holder="ana", limit=1, seconds=1, failures_before_dead=3) is None

    assert {entry_id: "dead"} == states(tx)
    last = events_of(tx, entry_id)[-1]
    assert ("dead", "no answer in 3 leases") == (last["to_state"], last["reason"])
    assert 0 == queue.expire(tx, failures_before_dead=3)
    queue.requeue(tx, [entry_id])
    run_out(tx, claim(tx, "ana", failures_before_dead=3))
    assert 1 == queue.expire(tx, failures_before_dead=3)
    assert {entry_id: "waiting"} == states(tx)


def intend(tx: Connection, entry_id: EntryId) -> None:
    """A dispatch has written down that Label Studio is to have it."""
    policy_id = tx.execute(select(entries.c.policy_id).limit(1)).scalar_one()
    tx.execute(
        insert(schema.labelling_projects).values(
            project_id=1, policy_id=policy_id, stage=Stage.REVIEW, interface_hash="x"
        )
    )
    tx.execute(insert(schema.pushes).values(push_id=UUID(int=1), project_id=1))
    intent = {"entry_id": entry_id, "stage": Stage.REVIEW, "project_id": 1}
    tx.execute(insert(schema.tasks).values(push_id=UUID(int=1), **intent))


def test_what_label_studio_is_to_have_is_not_claimed(tx: Connection) -> None:
    a, b = wait(tx, "ab")
    may_take_all(tx, "ana")
    intend(tx, a)

    assert [b] == claim(tx, "ana").entry_ids


def test_a_claim_beside_a_dispatch_that_has_not_committed_takes_other_entries(
    engine: Engine,
) -> None:
    with begin(engine) as tx:
        a, b = wait(tx, "ab")
        may_take_all(tx, "ana")

    with engine.connect() as dispatch, engine.connect() as tool:
        dispatch.execute(
            select(entries.c.entry_id).where(entries.c.entry_id == a).with_for_update()
        )
        chosen = claim(tool, "ana").entry_ids
        intend(dispatch, a)
        dispatch.commit()
        tool.commit()

    assert [b] == chosen


def test_a_claim_is_of_rows_as_they_are_when_locked(engine: Engine) -> None:
    """Many at once over few entries: everything claimed exactly once, again and again."""
    with begin(engine) as tx:
        made = wait(tx, [f"i{k}" for k in range(40)])
        may_take_all(tx, *[f"h{k}" for k in range(8)])

    def work(holder: str) -> list[EntryId]:
        mine: list[EntryId] = []
        while True:
            with begin(engine) as tx:
                lease = queue.claim(tx, holder=holder, limit=3, seconds=MINUTE)
                if lease is None:
                    return mine
            mine += lease.entry_ids

    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(work, [f"h{k}" for k in range(8)]))

    assert made == sorted(one for mine in found for one in mine)


def test_a_lease_is_for_entries_that_are_with_a_reviewer_alone(tx: Connection) -> None:
    [entry_id] = wait(tx, "a")

    with pytest.raises(Exception, match="ck_entries_leased"):
        tx.execute(update(entries).where(entries.c.entry_id == entry_id).values(lease_id=1))
