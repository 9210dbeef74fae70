"""What is too old goes: whole months of decisions, and content that nobody was asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Engine

from hitl import decisions, logs
from hitl.db import begin, single_flight
from hitl.errors import NotYet
from hitl.recipe import Recipe

log = logs.get(__name__)


class KeptForEver(NotYet):
    """The recipe says of nothing that it may go."""

    def __init__(self) -> None:
        super().__init__(
            "everything is kept: set retention.keep_months and selection.within_days in the recipe"
        )


@dataclass(frozen=True, slots=True)
class RetainReport:
    """What went, or would go: decisions before `kept_from`, and items nobody was asked about.

    `decisions_kept` are those of these months on items that were picked.
    """

    kept_from: datetime
    months: int
    decisions_dropped: int
    decisions_kept: int
    items_forgotten: int


def retain(
    engine: Engine,
    *,
    recipe: Recipe,
    now: datetime,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> RetainReport:
    """Drop what is older than the recipe keeps. Safe to kill anywhere and to repeat.

    A month goes in one transaction, items by some thousands. With `dry_run` all stays and is
    counted.

    Args:
        now: the month of this moment and the `keep_months` before it stay.
        progress: called with how many items were looked at.

    Raises:
        KeptForEver: the recipe sets no limit.
        AlreadyRunning: a selection runs, or another of these.
        DecisionsInUse: readers left no moment to take a month out.
        DatabaseUnavailable: Postgres is away; months and items that are done stay so.
    """
    if recipe.retention.keep_months is None:
        raise KeptForEver
    kept_from = months_back(now, recipe.retention.keep_months)
    looked_at = progress or (lambda _: None)
    # The lock of selections: what one is about to pick must not go under its hands.
    with single_flight(engine, "select"):
        with begin(engine) as tx:
            decisions.part_the_rest(tx, kept_from)
            months = decisions.months_before(tx, kept_from)
        if dry_run:
            return _looked(engine, kept_from, months, looked_at)
        dropped = [decisions.drop_month(engine, month) for month in months]
        forgotten = 0
        for ids in decisions.old_items(engine, kept_from):
            with begin(engine) as tx:
                forgotten += decisions.forget_items(tx, ids)
            looked_at(len(ids))
    report = RetainReport(
        kept_from,
        len(dropped),
        sum(one.dropped for one in dropped),
        sum(one.kept for one in dropped),
        forgotten,
    )
    log.info("retained", kept_from=kept_from.isoformat(), months=report.months, items=forgotten)
    return report


def _looked(
    engine: Engine, kept_from: datetime, months: Sequence[date], looked_at: Callable[[int], None]
) -> RetainReport:
    with begin(engine) as tx:
        counts = [decisions.count_month(tx, month) for month in months]
    forgotten = 0
    for ids in decisions.old_items(engine, kept_from):
        with begin(engine) as tx:
            forgotten += decisions.count_never_asked(tx, ids, decided_from=kept_from)
        looked_at(len(ids))
    dropped, kept = (sum(one[k] for one in counts) for k in (0, 1))
    return RetainReport(kept_from, len(months), dropped, kept, forgotten)


def months_back(now: datetime, months: int) -> datetime:
    """The first moment, in UTC, of the month so many before the one that `now` is in."""
    here = now.astimezone(UTC)
    k = here.year * 12 + here.month - 1 - months
    return datetime(k // 12, k % 12 + 1, 1, tzinfo=UTC)
