"""Decisions lie in their months: made on demand, bounded, and as append-only as the whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from hitl.db import begin
from hitl.db.months import make_months, month_of
from hitl.decisions import Counts, merge_decisions
from hitl.records import Decision, ItemId, ModelVersion

pytestmark = pytest.mark.postgres

JUNE = datetime(2026, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)


def decided(tx: Connection, *moments: datetime) -> Counts:
    return merge_decisions(
        tx,
        [
            Decision(ItemId(f"i{k}"), ModelVersion("m"), moment, None, {"hate": 0.5})
            for k, moment in enumerate(moments)
        ],
        source="s",
    )


def places(tx: Connection) -> dict[str, int]:
    found = tx.execute(
        text("SELECT tableoid::regclass::text, count(*) FROM decisions GROUP BY 1 ORDER BY 1")
    )
    return {name: count for name, count in found}


def test_the_last_microsecond_of_a_month_and_the_next_lie_apart(tx: Connection) -> None:
    decided(tx, JUNE, JUNE + timedelta(microseconds=1))

    assert {"months.decisions_2026_06": 1, "months.decisions_2026_07": 1} == places(tx)


def test_moments_too_odd_make_no_month_and_are_kept_all_the_same(tx: Connection) -> None:
    now = tx.execute(text("SELECT now()")).scalar_one()
    odd = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
    odd += [now + timedelta(days=63), now - timedelta(days=366 * 11)]

    counts = decided(tx, *odd)

    assert Counts(read=4, new=4) == counts
    assert {"months.decisions_other": 4} == places(tx)


def test_a_month_that_comes_takes_what_a_fast_clock_had_put_elsewhere(tx: Connection) -> None:
    for k, moment in enumerate((JUNE, datetime(1990, 1, 1, tzinfo=UTC))):
        tx.execute(
            text(
                "INSERT INTO decisions (item_id, decided_at, model_version, probabilities) "
                "VALUES (:item, :moment, 'm', '{}')"
            ),
            {"item": f"i{k}", "moment": moment},
        )

    made = make_months(tx, [month_of(JUNE)])

    assert 1 == made
    assert {"months.decisions_2026_06": 1, "months.decisions_other": 1} == places(tx)
    with pytest.raises(IntegrityError, match="append-only"):
        tx.execute(text("DELETE FROM months.decisions_other"))


def test_many_at_once_make_a_month_once(engine: Engine) -> None:
    months = [date(2026, month, 1) for month in range(1, 10)]

    def make(_: int) -> int:
        with begin(engine) as tx:
            return make_months(tx, months)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(4)))

    assert 9 == sum(made)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {table} SET action = 'block'",
        "UPDATE {table} SET decided_at = decided_at + interval '1 month'",
        "DELETE FROM {table}",
        "TRUNCATE {table}",
    ],
)
@pytest.mark.parametrize("table", ["decisions_2026_06", "decisions_other"])
def test_a_month_is_as_append_only_as_the_whole(tx: Connection, table: str, change: str) -> None:
    decided(tx, JUNE, datetime(1, 1, 1, tzinfo=UTC))

    with pytest.raises(IntegrityError, match="is append-only"):
        tx.execute(text(change.format(table=f"months.{table}")))


def test_no_decision_is_without_its_item(tx: Connection) -> None:
    decided(tx, JUNE, JUNE + timedelta(days=40), datetime(1, 1, 1, tzinfo=UTC))

    orphans: Any = tx.execute(
        text(
            "SELECT count(*) FROM decisions LEFT JOIN items i USING (item_id) "
            "WHERE i.item_id IS NULL"
        )
    ).scalar_one()

    assert 0 == orphans


def test_one_look_at_an_item_reads_no_other_month_than_asked(tx: Connection) -> None:
    decided(tx, JUNE, JUNE + timedelta(days=2))

    plan = "\n".join(
        tx.execute(
            text(
                "EXPLAIN SELECT 1 FROM decisions WHERE item_id = 'i0' "
                "AND decided_at = '2026-06-30Z' AND model_version = 'm'"
            )
        ).scalars()
    )

    assert "decisions_2026_06" in plan
    assert "decisions_2026_07" not in plan
    assert "decisions_other" not in plan
