"""What finding candidates costs follows the candidates, not all decisions ever made."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, text

from hitl import selection
from hitl.db.schema import decisions
from hitl.decisions import merge_decisions
from hitl.records import Decision, ItemId, ModelVersion
from hitl.selection.store import candidates_query
from tests.builders import NOON, add_items, add_policy

pytestmark = pytest.mark.postgres


def fill(tx: Connection, *, items: int, months: int) -> None:
    """A decision an item and month, and one with content in a hundred."""
    names = [f"i{k}" for k in range(items)]
    merge_decisions(
        tx,
        [
            Decision(ItemId(name), ModelVersion("m"), moment, None, {"hate": 0.5})
            for name in names
            for moment in (datetime(2026, 1 + k, 1, tzinfo=UTC) for k in range(months))
        ],
        source="s",
    )
    tx.execute(
        text(
            "UPDATE items SET text = item_id, content_hash = item_id, content_at = now() "
            "WHERE right(item_id, 2) = '00'"
        )
    )
    tx.execute(text("ANALYZE"))


@pytest.mark.parametrize("preferred", [None, ModelVersion("m")])
def test_no_month_is_read_from_end_to_end(tx: Connection, preferred: ModelVersion | None) -> None:
    policy = add_policy(tx)
    fill(tx, items=5_000, months=4)
    query, values = candidates_query(policy, preferred)
    cursor = tx.connection.cursor()

    cursor.execute(f"EXPLAIN {query}", values)

    plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Seq Scan on decisions_2026" not in plan
    assert 4 == len(set(re.findall(r"decisions_2026_\d\d_pkey", plan)))


def test_ids_come_back_byte_for_byte(tx: Connection) -> None:
    ids = sorted(['a"b', "a,b", "a\nb\r", " a ", "\\.", "1e5", "007", "nan", "NULL", "\u3000é"])
    add_items(tx, dict.fromkeys(ids, "x"), group_id='g"\n1')

    found = selection.read_candidates(tx, policy=add_policy(tx), preferred=None)

    assert ids == sorted(found.item_ids.tolist())
    assert {'g"\n1'} == set(found.group_ids.tolist())
    assert [1] * len(ids) == found.characters.tolist()


def test_a_shadow_is_no_opinion_of_a_candidate(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"i1": "a"})
    for hours, shadow in ((0, False), (1, True)):
        tx.execute(
            insert(decisions).values(
                item_id="i1",
                model_version="m",
                decided_at=NOON + timedelta(hours=hours),
                probabilities={"hate": 0.25 + hours / 2},
                is_shadow=shadow,
            )
        )

    found = selection.read_candidates(tx, policy=policy, preferred=ModelVersion("m"))

    assert 0.25 == found.probabilities[0, 0]
