"""The database refuses what the queue's rules do not allow."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import IntegrityError

from hitl.db.moves import LEGAL_MOVES
from hitl.db.schema import entries, entry_events
from hitl.records import EntryId, EntryState
from tests.builders import add_entries, add_items, add_policy

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
        pytest.raises(IntegrityError, match="uq_entries_one_open_an_item"),
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


@pytest.mark.parametrize("change", ["DELETE FROM picks", "UPDATE picks SET rank = 7"])
def test_the_ledger_of_picks_cannot_be_rewritten(tx: Connection, change: str) -> None:
    add_items(tx, {"i1": "a"})
    add_entries(tx, ["i1"], policy=add_policy(tx))

    with pytest.raises(IntegrityError, match="append-only"):
        tx.execute(text(change))


def test_the_dashboard_role_reads_the_views_and_nothing_else(tx: Connection) -> None:
    tx.execute(text("SET LOCAL ROLE hitl_dashboard"))

    assert 0 == tx.execute(text("SELECT count(*) FROM dashboard.queue_depth")).scalar_one()
    for table in ("public.items", "public.labels", "public.annotations", "public.decisions"):
        with pytest.raises(Exception, match="permission denied"), tx.begin_nested():
            tx.execute(text(f"SELECT count(*) FROM {table}"))
