"""What the views say equals a recount of the event log, whatever has happened."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, select, text, update

from hitl import queue
from hitl.db.schema import entries, entry_events
from hitl.records import EntryId, EntryState
from tests.queue.pulling import MINUTE, claim, may_take_all, run_out, wait

pytestmark = pytest.mark.postgres

OPEN = {"waiting", "dispatched", "adjudicating"}
RULES = {"skips_per_day": 10_000, "skips_before_escalation": 2, "escalation_minutes": 60.0}


class Shift:
    """People and tools that do one thing after the other, by chance."""

    def __init__(self, tx: Connection, rng: random.Random) -> None:
        self.tx = tx
        self.rng = rng
        self.batches = 0
        self.leases: list[queue.Lease] = []
        may_take_all(tx, "ana", "bo", "cy")
        may_take_all(tx, "lead", tier=9)

    def act(self) -> None:
        what = (
            self.open, self.take, self.take, self.answer, self.answer, self.pass_on, self.give_back,
            self.hand_up, self.lose, self.withdraw, self.requeue, self.disagree, self.reroute,
        )  # fmt: skip
        self.rng.choice(what)()

    def open(self) -> None:
        self.batches += 1
        names = [f"b{self.batches}-{k}" for k in range(self.rng.randint(1, 6))]
        wait(
            self.tx,
            names,
            batch_id=f"b{self.batches}",
            lane=self.rng.choice(["german", "video", "unrouted"]),
            tier=self.rng.choice([1, 1, 1, 2]),
            votes_wanted=self.rng.choice([1, 1, 2]),
            opened_at=datetime.now(UTC) - timedelta(minutes=self.rng.uniform(0, 900)),
        )

    def take(self) -> None:
        lease = queue.claim(
            self.tx,
            holder=self.rng.choice(["ana", "bo", "cy", "lead"]),
            limit=self.rng.randint(1, 4),
            seconds=MINUTE,
            failures_before_dead=2,
        )
        self.leases += [lease] if lease else []

    def _one_of_a_lease(self) -> tuple[queue.Lease, list[EntryId]] | None:
        for lease in self.rng.sample(self.leases, len(self.leases)):
            held = select(entries.c.entry_id).where(entries.c.lease_id == lease.lease_id)
            if found := self.tx.execute(held.order_by(entries.c.entry_id)).scalars().all():
                return lease, [EntryId(self.rng.choice(found))]
        return None

    def answer(self) -> None:
        if found := self._one_of_a_lease():
            queue.complete(self.tx, *found)

    def pass_on(self) -> None:
        if found := self._one_of_a_lease():
            queue.skip(self.tx, *found, reason="x", **RULES)

    def give_back(self) -> None:
        if found := self._one_of_a_lease():
            queue.release(self.tx, *found)

    def hand_up(self) -> None:
        if found := self._one_of_a_lease():
            queue.escalate(self.tx, *found, reason="x", escalation_minutes=60)

    def lose(self) -> None:
        if found := self._one_of_a_lease():
            run_out(self.tx, found[0])
            queue.expire(self.tx, failures_before_dead=2)

    def withdraw(self) -> None:
        if found := self._any_in(OPEN):
            queue.withdraw(self.tx, found, reason="x")

    def requeue(self) -> None:
        queue.requeue_where(self.tx)

    def disagree(self) -> None:
        if found := self._any_in({"dispatched"}):
            move = update(entries).where(entries.c.entry_id.in_(found))
            self.tx.execute(move.values(state=EntryState.ADJUDICATING))

    def reroute(self) -> None:
        if found := self._any_in(OPEN):
            move = update(entries).where(entries.c.entry_id.in_(found))
            self.tx.execute(move.values(lane=self.rng.choice(["german", "video"])))

    def _any_in(self, states: set[str]) -> list[EntryId]:
        query = select(entries.c.entry_id).where(entries.c.state.in_(states))
        found = self.tx.execute(query.order_by(entries.c.entry_id)).scalars().all()
        return [EntryId(self.rng.choice(found))] if found else []


def recounted(tx: Connection) -> dict[str, Any]:
    """Every figure from the log alone, by a loop over its rows."""
    where: dict[int, tuple[str, int, str]] = {}
    # When it was opened is written once, in the entry; the log has that it was.
    rows = tx.execute(select(entries.c.entry_id, entries.c.opened_at))
    opened = {row.entry_id: row.opened_at for row in rows}
    hours: Counter[tuple[str, str]] = Counter()
    for row in tx.execute(select(entry_events).order_by(entry_events.c.event_id)):
        where[row.entry_id] = (row.lane, row.tier, row.to_state)
        if row.from_state is None:
            hours[row.lane, "opened"] += 1
        elif row.from_state != row.to_state and row.to_state in {"dispatched", "done", "dead"}:
            hours[row.lane, row.to_state] += 1
    now = tx.execute(text("SELECT now()")).scalar_one()
    ages = defaultdict(list)
    for entry_id, at in where.items():
        if at[2] in OPEN:
            ages[at].append((now - opened[entry_id]) / timedelta(seconds=1))
    return {"depth": dict(Counter(where.values())), "moves": dict(hours), "ages": dict(ages)}


def viewed(tx: Connection) -> dict[str, Any]:
    """The same from the views."""
    lines = queue.lane_lines(tx)
    moves: Counter[tuple[str, str]] = Counter()
    for row in tx.execute(text("SELECT * FROM dashboard.lane_throughput_hourly")).mappings():
        for name in ("opened", "dispatched", "done", "dead"):
            if row[name]:
                moves[row["lane"], name] += row[name]
    return {
        "depth": {(x.lane, x.tier, x.state.value): x.entries for x in lines},
        "moves": dict(moves),
        "ages": {
            (x.lane, x.tier, x.state.value): (
                x.median_age_seconds, x.p90_age_seconds, x.p99_age_seconds, x.oldest_age_seconds,
            )
            for x in lines
            if x.state.value in OPEN
        },
    }  # fmt: skip


def test_the_views_equal_a_recount_of_the_log_at_fifty_random_moments(tx: Connection) -> None:
    rng = random.Random(12)
    shift = Shift(tx, rng)
    compared = 0
    seen: set[str] = set()

    for _ in range(50):
        for _ in range(rng.randint(1, 20)):
            shift.act()

        log, views = recounted(tx), viewed(tx)
        assert log["depth"] == views["depth"]
        assert log["moves"] == views["moves"]
        assert log["ages"].keys() == views["ages"].keys()
        for at, ages in log["ages"].items():
            expected = (*np.percentile(ages, [50, 90, 99]), max(ages))
            assert pytest.approx(expected) == views["ages"][at]
            compared += 1
        seen |= {state for _, _, state in log["depth"]}
    assert compared > 100
    assert {one.value for one in EntryState} == seen


def test_the_views_of_sla_count_in_time_late_and_overdue(tx: Connection) -> None:
    a, b, c, d = wait(tx, "abcd", lane="german")
    may_take_all(tx, "ana")
    late = text(
        "UPDATE entries SET due_at = now() - interval '90 seconds' WHERE entry_id = ANY(:e)"
    )
    tx.execute(late, {"e": [b, c]})
    queue.complete(tx, claim(tx, "ana"), [a, b])
    queue.withdraw(tx, [d], reason="x")

    row = tx.execute(text("SELECT * FROM dashboard.lane_sla")).mappings().one()

    assert ("german", 1, 1, 1) == (row["lane"], row["in_time"], row["late"], row["overdue"])
    assert 90 <= row["worst_late_seconds"] < 100


def test_a_missed_deadline_is_told_once_and_the_next_tiers_once_more(tx: Connection) -> None:
    a, _ = wait(tx, "ab", lane="german")
    not_yet = queue.tell_breaches(tx)
    tx.execute(text("UPDATE entries SET due_at = clock_timestamp() WHERE entry_id = :a"), {"a": a})

    first, again = queue.tell_breaches(tx), queue.tell_breaches(tx)
    queue.escalate_waiting(tx, [a], reason="late", escalation_minutes=-1)
    higher = queue.tell_breaches(tx)

    assert ([], []) == (not_yet, again)
    assert [(a, "german", 1)] == [(one.entry_id, one.lane, one.tier) for one in first]
    assert [(a, "german", 2)] == [(one.entry_id, one.lane, one.tier) for one in higher]


def test_skips_are_on_the_dashboard_by_person(tx: Connection) -> None:
    made = wait(tx, "abc")
    may_take_all(tx, "ana")
    queue.skip(tx, claim(tx, "ana"), made[:2], reason="x", **RULES)

    assert [("ana", 3, 2)] == [(x.holder, x.claimed, x.skipped) for x in queue.holder_lines(tx)]


def test_dead_entries_are_requeued_by_reason_or_lane_in_one_go(tx: Connection) -> None:
    made = wait(tx, "abc", lane="german") + wait(tx, "d", batch_id="b2")
    for entry_id, reason in zip(made, ("x", "y", "y", "y"), strict=True):
        dead = update(entries).where(entries.c.entry_id == entry_id)
        tx.execute(dead.values(state="dead", reason=reason))

    by_both = queue.requeue_where(tx, reason="y", lane="german")
    by_reason = queue.requeue_where(tx, reason="y")
    rest = queue.requeue_where(tx)

    assert (2, 1, 1) == (by_both, by_reason, rest)


def test_what_is_asked_about_again_is_not_requeued(tx: Connection) -> None:
    wait(tx, "a")
    tx.execute(update(entries).values(state="dead", reason="x"))
    tx.execute(text("INSERT INTO batches SELECT 'b2', policy_id, recipe_id, model_version, seed,"
                    " plan, size_wanted, read_at, training_pool_size, measuring_pool_size,"
                    " created_at FROM batches"))  # fmt: skip
    tx.execute(text("INSERT INTO picks (batch_id, item_id, share, strategy, rank)"
                    " VALUES ('b2', 'a', 'uncertain', 'margin', 0)"))  # fmt: skip
    tx.execute(text("INSERT INTO entries (item_id, batch_id, policy_id, votes_wanted)"
                    " SELECT 'a', 'b2', policy_id, 1 FROM batches LIMIT 1"))  # fmt: skip

    assert 0 == queue.requeue_where(tx)
