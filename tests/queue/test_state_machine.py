"""The queue against a model of it: whatever is tried in whatever order, both agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import IntegrityError

from hitl import queue
from hitl.db.moves import LEGAL_MOVES
from hitl.db.schema import entries, leases
from hitl.records import EntryId, EntryState
from tests.queue.pulling import MINUTE, may_take_all, misplaced, run_out, wait

pytestmark = pytest.mark.postgres

TIERS = {"ana": 1, "bo": 1, "lead": 2}
LOST_TOO_OFTEN = 2
LEGAL = {(a.value, b.value) for a, b in LEGAL_MOVES}


@dataclass
class Known:
    """What must be true of an entry."""

    votes_wanted: int
    state: str = "waiting"
    tier: int = 1
    lease: int | None = None
    failures: int = 0
    skipped: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)


def machine(tx: Connection) -> type[RuleBasedStateMachine]:
    """A machine whose every run starts from nothing on this connection."""

    class Queue(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.point = tx.begin_nested()
            may_take_all(tx, "ana", "bo")
            may_take_all(tx, "lead", tier=2)
            ids = wait(tx, "abcd") + wait(tx, "ef", batch_id="b2", votes_wanted=2)
            self.known = {one: Known(1 + (k > 3)) for k, one in enumerate(ids)}
            self.leases: dict[int, queue.Lease] = {}

        def teardown(self) -> None:
            self.point.rollback()

        def _held(self, lease_id: int) -> list[EntryId]:
            return [one for one, known in self.known.items() if known.lease == lease_id]

        def _leave(self, one: EntryId, state: str) -> Known:
            known = self.known[one]
            known.state, known.lease = state, None
            return known

        def _any_held(self, data: st.DataObject) -> tuple[queue.Lease, EntryId] | None:
            held = [one for one, known in self.known.items() if known.lease is not None]
            if not held:
                return None
            one = data.draw(st.sampled_from(held))
            return self.leases[self.known[one].lease or 0], one

        @rule(holder=st.sampled_from(sorted(TIERS)), limit=st.integers(1, 4))
        def claims(self, holder: str, limit: int) -> None:
            order = select(entries.c.entry_id).order_by(
                entries.c.turn_at, entries.c.due_at, entries.c.entry_id
            )
            expected = [
                one
                for one in tx.execute(order).scalars()
                if self.known[one].state == "waiting"
                and self.known[one].tier <= TIERS[holder]
                and holder not in self.known[one].skipped | self.known[one].answered
            ][:limit]

            lease = queue.claim(tx, holder=holder, limit=limit, seconds=MINUTE)

            assert expected == (lease.entry_ids if lease else [])
            if lease:
                self.leases[lease.lease_id] = lease
                for one in expected:
                    self.known[one].state, self.known[one].lease = "dispatched", lease.lease_id

        @rule(data=st.data())
        def answers(self, data: st.DataObject) -> None:
            if found := self._any_held(data):
                lease, one = found
                queue.complete(tx, lease, [one])
                known = self.known[one]
                is_last = known.votes_wanted <= 1 + len(known.answered)
                self._leave(one, "done" if is_last else "waiting").failures = 0
                if known.votes_wanted > 1:
                    known.answered.add(lease.holder)

        @rule(data=st.data())
        def skips(self, data: st.DataObject) -> None:
            if found := self._any_held(data):
                lease, one = found
                queue.skip(
                    tx,
                    lease,
                    [one],
                    reason="x",
                    skips_per_day=10_000,
                    skips_before_escalation=2,
                    escalation_minutes=60,
                )
                known = self._leave(one, "waiting")
                known.skipped.add(lease.holder)
                known.failures = 0
                known.tier += len(known.skipped) % 2 == 0

        @rule(data=st.data())
        def gives_back(self, data: st.DataObject) -> None:
            if found := self._any_held(data):
                queue.release(tx, found[0], [found[1]])
                self._leave(found[1], "waiting")

        @rule(data=st.data())
        def escalates(self, data: st.DataObject) -> None:
            if found := self._any_held(data):
                queue.escalate(tx, found[0], [found[1]], reason="x", escalation_minutes=60)
                known = self._leave(found[1], "waiting")
                known.tier, known.failures = known.tier + 1, 0

        @rule(data=st.data())
        def loses_a_lease(self, data: st.DataObject) -> None:
            if self.leases:
                lease = self.leases[data.draw(st.sampled_from(sorted(self.leases)))]
                run_out(tx, lease)
                queue.expire(tx, failures_before_dead=LOST_TOO_OFTEN)
                for one in self._held(lease.lease_id):
                    known = self._leave(one, "waiting")
                    known.failures += 1
                    if known.failures >= LOST_TOO_OFTEN:
                        known.state = "dead"

        @rule(data=st.data())
        def comes_too_late(self, data: st.DataObject) -> None:
            """Whatever is tried with an entry that the lease does not hold is refused."""
            if self.leases:
                lease = self.leases[data.draw(st.sampled_from(sorted(self.leases)))]
                one = data.draw(st.sampled_from(sorted(self.known)))
                if self.known[one].lease != lease.lease_id:
                    with pytest.raises(queue.LeaseLost), tx.begin_nested():
                        queue.complete(tx, lease, [one])

        @rule(data=st.data(), to=st.sampled_from(list(EntryState)))
        def moves_by_hand(self, data: st.DataObject, to: EntryState) -> None:
            """A plain UPDATE, by whoever can write: the database lets legal moves pass alone."""
            one = data.draw(st.sampled_from(sorted(self.known)))
            known = self.known[one]
            move = update(entries).where(entries.c.entry_id == one).values(state=to.value)
            if known.state == to.value:
                return
            if (known.state, to.value) in LEGAL:
                tx.execute(move)
                if known.state == "dead":
                    known.failures = 0
                known.state = to.value
                known.lease = None
            else:
                with pytest.raises(IntegrityError, match="no legal move"), tx.begin_nested():
                    tx.execute(move)

        @invariant()
        def agrees(self) -> None:
            columns = (
                entries.c.entry_id, entries.c.state, entries.c.tier, entries.c.lease_id,
                entries.c.failures,
            )  # fmt: skip
            found = {row[0]: tuple(row[1:]) for row in tx.execute(select(*columns))}
            assert found == {
                one: (x.state, x.tier, x.lease, x.failures) for one, x in self.known.items()
            }
            assert not misplaced(tx)
            running = select(leases.c.lease_id).where(leases.c.ended_at.is_(None))
            assert {x.lease for x in self.known.values()} - {None} <= set(
                tx.execute(running).scalars()
            )

    return Queue


def test_the_queue_and_its_model_agree_whatever_is_tried(engine: Engine) -> None:
    rules: Any = settings(
        max_examples=25,
        stateful_step_count=30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with engine.connect() as tx:
        run_state_machine_as_test(machine(tx), settings=rules)
        tx.rollback()
