"""The database refuses what the queue's rules do not allow."""

from __future__ import annotations

import itertools
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Table, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from hitl.db.moves import APPEND_ONLY, LEGAL_MOVES
from hitl.db.schema import entries, entry_events, metadata
from hitl.records import EntryId, EntryState
from tests.builders import NOON, add_entries, add_items, add_policy
from tests.labels.builders import annotate

pytestmark = pytest.mark.postgres

# A way from `waiting` to each state, by legal moves alone.
_WAYS = {
    EntryState.WAITING: (),
    EntryState.DISPATCHED: (EntryState.DISPATCHED,),
    EntryState.ADJUDICATING: (EntryState.DISPATCHED, EntryState.ADJUDICATING),
    EntryState.DONE: (EntryState.DISPATCHED, EntryState.DONE),
    EntryState.WITHDRAWN: (EntryState.WITHDRAWN,),
    EntryState.DEAD: (EntryState.DEAD,),
}


def _move(tx: Connection, entry_id: EntryId, state: EntryState) -> None:
    tx.execute(update(entries).where(entries.c.entry_id == entry_id).values(state=state.value))


@pytest.mark.parametrize(("start", "end"), list(itertools.permutations(EntryState, 2)))
def test_only_the_listed_moves_are_possible(
    tx: Connection, start: EntryState, end: EntryState
) -> None:
    add_items(tx, {"i1": "a"})
    [entry_id] = add_entries(tx, ["i1"], policy=add_policy(tx))
    for step in _WAYS[start]:
        _move(tx, entry_id, step)

    if (start, end) in LEGAL_MOVES:
        _move(tx, entry_id, end)
        states = select(entry_events.c.to_state).order_by(entry_events.c.event_id)
        assert end.value == tx.execute(states).scalars().all()[-1]
    else:
        with pytest.raises(IntegrityError, match=f"no legal move from {start} to {end}"):
            _move(tx, entry_id, end)


def test_an_item_has_one_open_entry_at_most(tx: Connection) -> None:
    add_items(tx, {"i1": "a"})
    policy = add_policy(tx)
    [first] = add_entries(tx, ["i1"], policy=policy, batch_id="b1")

    with (
        pytest.raises(IntegrityError, match="pk_open_items"),
        tx.begin_nested(),
    ):
        tx.execute(
            text(
                "INSERT INTO batches SELECT 'b2', policy_id, recipe_id, model_version, seed, plan,"
                " size_wanted, read_at, training_pool_size, measuring_pool_size, created_at"
                " FROM batches"
            )
        )
        tx.execute(
            text(
                "INSERT INTO picks SELECT 'b2', item_id, share, strategy, rank,"
                " inclusion_probability FROM picks"
            )
        )
        tx.execute(
            text(
                "INSERT INTO entries (item_id, batch_id, policy_id, votes_wanted)"
                " SELECT item_id, 'b2', policy_id, votes_wanted FROM entries"
            )
        )

    assert [first] == tx.execute(select(entries.c.entry_id)).scalars().all()


# What a check constraint asks for, where any value of the type would not do.
_SAID = {
    "alarms.kind": "scores",
    "alarms.p_value": 0.001,
    "backlogs.at_least": 0.9,
    "backlogs.confidence": 0.95,
    "certificates.metric": "precision",
    "certificates.shortfall": "too few labels",
    "conflicts.kind": "content",
    "handled.outcome": "skipped",
    "promotions.kind": "promotion",
    "model_versions.state": "challenger",
    "evaluations.code": "too_few_events",
}


@pytest.fixture
def filled(tx: Connection) -> Connection:
    """A row in every append-only table."""
    add_items(tx, {"i1": "a"})
    [entry_id] = add_entries(tx, ["i1"], policy=add_policy(tx))
    annotate(tx, entry_id)
    for table in metadata.sorted_tables:
        if table.name in APPEND_ONLY and tx.execute(select(table).limit(1)).first() is None:
            tx.execute(insert(table).values(_dull_row(tx, table)))
    return tx


def _dull_row(tx: Connection, table: Table) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in table.columns:
        said = _SAID.get(f"{table.name}.{column.name}")
        if said or column.nullable or column.server_default is not None or column.identity:
            row |= {column.name: said} if said else {}
        elif column.foreign_keys:
            row[column.name] = tx.execute(select(next(iter(column.foreign_keys)).column)).scalar()
        else:
            dull = {str: "x", int: 1, float: 1.0, bool: True, dict: {}, list: [1]}
            dull |= {datetime: NOON, date: NOON.date()}
            row[column.name] = dull[column.type.python_type]
    return row


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_is_append_only_cannot_be_rewritten(filled: Connection, table: str) -> None:
    fixed = [c.name for c in metadata.tables[table].columns if c.name not in APPEND_ONLY[table]]
    # An identity column may only be set to its default, which is another number all the same.
    changes = [f"UPDATE {table} SET {name} = {_another(table, name)}" for name in fixed]

    for change in [*changes, f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"]:
        with (
            pytest.raises(IntegrityError, match=r"is append-only|keeps what was written"),
            filled.begin_nested(),
        ):
            filled.execute(text(change))


def _another(table: str, name: str) -> str:
    column = metadata.tables[table].columns[name]
    if column.identity is not None:
        return "DEFAULT"
    others = {str: "'y'", bool: "false", dict: "'[7]'", list: "'{7}'"}
    others |= {datetime: "'1999-01-01Z'", date: "'1999-01-01'", UUID: "gen_random_uuid()"}
    return others.get(column.type.python_type, "7")


@pytest.mark.parametrize("table", [table for table, mutable in APPEND_ONLY.items() if mutable])
def test_columns_that_may_change_do(filled: Connection, table: str) -> None:
    values = {
        "entries": {
            "state": "dispatched",
            "lane": "german",
            "tier": 2,
            "priority": 3.0,
            "due_at": NOON,
            "turn_at": NOON,
            "lease_id": 1,
            "failures": 1,
            "reason": "why",
        },
        "leases": {"expires_at": NOON, "held": 0, "ended_at": NOON},
        "alarms": {
            "last_above": NOON,
            "watched_until": NOON,
            "acknowledged_at": NOON,
            "acknowledged_by": "ana",
            "note": "a test",
            "ended_at": NOON,
            "ended_why": "passed",
        },
        "backlog_looks": {
            "violating_in_draw": 0,
            "lost": 0,
            "found_since": 0,
            "found": 1,
            "missed_at_most": 0,
            "recall_at_least": 1.0,
            "is_certified": True,
            "certified_at": NOON,
        },
        "certificates": {"withdrawn_at": NOON, "withdrawn_why": "a test"},
        "retentions": {"dropped": 2, "kept": 1, "done_at": NOON},
        "snapshots": {"path": "there", "last_label_id": 2},
        "model_versions": {"state": "champion", "path": "there"},
    }[table]

    filled.execute(update(metadata.tables[table]).values(**values))

    row = filled.execute(select(*(metadata.tables[table].columns[name] for name in values))).one()
    assert values == dict(row._mapping)
