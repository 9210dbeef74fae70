"""What the queue needs now and then: leases that ran out, and deadlines that passed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from hitl import logs, queue
from hitl.db import begin
from hitl.recipe import Recipe

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """How many entries were taken back, and how many deadlines passed since the last sweep."""

    taken_back: int
    breaches: int


def sweep_queue(engine: Engine, recipe: Recipe) -> SweepReport:
    """Take back what leases that ran out hold, and tell each missed deadline once, in the log.

    Every claim takes back too; this is for the time when nobody claims. Safe to repeat.

    Raises:
        DatabaseUnavailable: Postgres is away; nothing was kept.
    """
    with begin(engine) as tx:
        taken_back = queue.expire(tx, failures_before_dead=recipe.queue.failures_before_dead)
    with begin(engine) as tx:
        breaches = queue.tell_breaches(tx)
    for one in breaches:
        log.warning(
            "deadline_missed",
            entry_id=one.entry_id,
            lane=one.lane,
            tier=one.tier,
            due_at=one.due_at.isoformat(),
        )
    return SweepReport(taken_back, len(breaches))
