"""An hour of a reviewers' shift at 120 % load, minute by minute, on the queue's own claims.

Time is simulated: entries are placed by the queue's own statement and then moved, deadline and
turn together, to the simulated moment; claims are the queue's. For first-in-first-out the turn is
the arrival.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, Engine, insert, text

from hitl import queue
from hitl.db import begin
from hitl.db.schema import batches, decisions, entries, items, picks
from hitl.db.versions import keep_policy, keep_recipe
from hitl.policy import policy_from
from hitl.recipe import Lane, QueueRecipe, Recipe
from hitl.records import BatchId

PER_MINUTE = 60  # what the reviewers answer
LOAD = 1.2
AGEING = 5.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A lane of the mix: what part of the arrivals, its SLA in minutes, the category it is of."""

    name: str
    part: float
    sla: float
    category: str


MIX = (
    Kind("critical", 0.1, 5.0, "threat"),
    Kind("usual", 0.6, 60.0, "hate"),
    Kind("slack", 0.3, 240.0, "spam"),
)
POLICY = policy_from(
    {
        "name": "shift",
        "version": "1",
        "title": "A shift",
        "category": [
            {"id": "threat", "title": "Threat", "definition": "x", "hotkey": "t", "severity": 4},
            {"id": "hate", "title": "Hate", "definition": "y", "hotkey": "h", "severity": 3},
            {"id": "spam", "title": "Spam", "definition": "z", "hotkey": "s", "severity": 1},
        ],
    },
    where="benchmark",
)
RECIPE = Recipe(
    queue=QueueRecipe(
        ageing_minutes=AGEING,
        lanes=tuple(Lane(name=one.name, sla_minutes=one.sla) for one in MIX),
    )
)


@dataclass
class Waits:
    """Minutes waited, by lane: of what was answered, and so far of what still waits."""

    answered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # No head start is longer: the longest less the shortest, in minutes.
    bound: float = 0.0

    def p95(self, lane: str) -> float:
        return float(np.percentile(self.answered[lane] or [0.0], 95))

    def oldest(self, lane: str) -> float:
        return max(self.waiting[lane], default=0.0)

    @property
    def longest(self) -> float:
        return max(
            minutes for told in (self.answered, self.waiting) for one in told.values()
            for minutes in one
        )  # fmt: skip


def waits(engine: Engine, *, minutes: int, fifo: bool, seed: int = 1) -> Waits:
    """Let entries come in and be answered for so many minutes."""
    rng = random.Random(seed)
    run = "fifo" if fifo else "ours"
    came: dict[int, tuple[str, float]] = {}
    found = Waits()
    with begin(engine) as tx:
        # What an earlier run left waiting is not this run's.
        tx.execute(text("UPDATE entries SET state = 'withdrawn' WHERE state = 'waiting'"))
        start = tx.execute(text("SELECT now() - interval '1 day'")).scalar_one()
        for minute in range(minutes):
            made = _arrive(tx, f"{run}-{minute}", rng)
            _move_to(tx, f"{run}-{minute}", start=start, minute=minute, fifo=fifo)
            came |= {entry_id: (lane, float(minute)) for entry_id, lane in made.items()}
            lease = queue.claim(tx, holder="h1", limit=PER_MINUTE, seconds=3600.0)
            if lease is None:
                continue
            queue.complete(tx, lease, lease.entry_ids)
            for one in lease.entry_ids:
                lane, at = came.pop(one)
                found.answered[lane].append(minute - at)
        for lane, at in came.values():
            found.waiting[lane].append(minutes - at)
        found.bound = _bound(tx, run)
    return found


def _arrive(tx: Connection, batch_id: str, rng: random.Random) -> dict[int, str]:
    """A minute's arrivals, placed by the queue. Their lanes."""
    keep_policy(tx, POLICY)
    keep_recipe(tx, RECIPE)
    kinds = rng.choices(MIX, [one.part for one in MIX], k=round(PER_MINUTE * LOAD))
    names = [f"{batch_id}-{k}" for k in range(len(kinds))]
    tx.execute(insert(items), [{"item_id": one} for one in names])
    size = len(names)
    tx.execute(
        insert(batches).values(
            batch_id=batch_id,
            policy_id=POLICY.policy_id,
            recipe_id=RECIPE.recipe_id,
            seed=1,
            plan={},
            size_wanted=size,
            read_at=text("now()"),
            training_pool_size=size,
            measuring_pool_size=size,
        )
    )
    pick = {"batch_id": batch_id, "share": "uncertain", "strategy": "margin"}
    tx.execute(insert(picks), [pick | {"item_id": one, "rank": k} for k, one in enumerate(names)])
    tx.execute(
        insert(decisions),
        [
            {
                "item_id": name,
                "model_version": "m",
                "decided_at": "2026-01-01Z",
                "probabilities": {kind.category: rng.uniform(0.05, 1.0)},
            }
            for name, kind in zip(names, kinds, strict=True)
        ],
    )
    rows = [
        {
            "item_id": name,
            "batch_id": batch_id,
            "policy_id": POLICY.policy_id,
            "votes_wanted": 1,
            "worth": 1.0 - k / (2 * size),
            "lane": kind.name,
        }
        for k, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    tx.execute(insert(entries), rows)
    queue.place(tx, BatchId(batch_id))
    made = tx.execute(
        text("SELECT entry_id, lane FROM entries WHERE batch_id = :b"), {"b": batch_id}
    )
    return {row.entry_id: row.lane for row in made}


def _move_to(tx: Connection, batch_id: str, *, start: object, minute: int, fifo: bool) -> None:
    turn = "CAST(:start AS timestamptz) + :minute * interval '1 minute'"
    ours = f"{turn} + (turn_at - now())"
    tx.execute(
        text(
            f"UPDATE entries SET due_at = {turn} + (due_at - now()), "
            f"turn_at = {turn if fifo else ours} WHERE batch_id = :b"
        ),
        {"b": batch_id, "start": start, "minute": minute},
    )


def _bound(tx: Connection, run: str) -> float:
    """From the entry with the longest way from arrival to turn to that with the shortest."""
    found = tx.execute(
        text(
            "SELECT max(due.minutes - :a * log(2.0, e.priority::numeric)) "
            "     - min(due.minutes - :a * log(2.0, e.priority::numeric)) "
            "FROM entries e JOIN unnest(CAST(:lanes AS text[]), CAST(:slas AS numeric[])) "
            "  AS due (lane, minutes) USING (lane) WHERE e.batch_id LIKE :run"
        ),
        {
            "a": AGEING,
            "run": f"{run}-%",
            "lanes": [one.name for one in MIX],
            "slas": [one.sla for one in MIX],
        },
    ).scalar_one()
    return float(found)
