"""Examples follow from labels; the same bound gives the same examples again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, text

from hitl.datasets import (
    find_snapshot,
    last_label_id,
    newest_snapshot,
    on_one_side,
    read_examples,
    record_snapshot,
    side,
)
from hitl.db import UnknownPolicy
from hitl.labels import resolve_entries
from hitl.policy import Policy, policy_from
from hitl.records import EntryState, PolicyId, SnapshotId, Split
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.labels.builders import annotate, asked, move

pytestmark = pytest.mark.postgres


def test_an_answered_item_is_an_example_with_its_pick(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"i1": "some words"}, group_id="g1")
    (entry,) = add_entries(tx, ["i1"], policy=policy, inclusion_probability=0.125)
    move(tx, [entry], EntryState.DISPATCHED)
    annotate(tx, entry, {"hate": True})
    resolve_entries(tx, [entry], policy)

    (row,) = read_examples(tx, policy.policy_id, measuring_fraction=1.0)

    example = row.example
    assert ("i1", "some words", {"hate": 1.0}) == (example.item_id, example.text, example.labels)
    assert ("g1", Split.TEST, 1.0, 0.125) == (
        example.group_id,
        example.split,
        example.weight,
        example.inclusion_probability,
    )
    assert ("b1", "audit", "random") == (row.batch_id, row.share, row.strategy)


def test_examples_come_in_order_of_their_item_id_whatever_the_collation(tx: Connection) -> None:
    names = ["b", "A", "a", "B", "ä", "10", "9"]
    policy, entries = asked(tx, names)
    for entry in entries:
        annotate(tx, entry)
    resolve_entries(tx, entries, policy)

    rows = read_examples(tx, policy.policy_id, measuring_fraction=0.0)

    assert sorted(names) == [row.example.item_id for row in rows]


def test_without_a_bound_examples_are_those_of_the_view(tx: Connection) -> None:
    policy, entries = asked(tx, [f"i{k}" for k in range(8)])
    for k, entry in enumerate(entries):
        annotate(tx, entry, {"hate": k % 2 == 0} if k % 3 else {"hate": True, "spam": False})
    resolve_entries(tx, entries, policy)
    annotate(tx, entries[0], kind="deleted", version=1)
    annotate(tx, entries[1], {"spam": True}, version=1)
    resolve_entries(tx, entries, policy)
    tx.execute(text("UPDATE items SET text = NULL, content_hash = NULL WHERE item_id = 'i2'"))

    rows = read_examples(tx, policy.policy_id, measuring_fraction=0.0)

    columns = "item_id, text, language, surface, group_id, labels, example_weight, batch_id"
    assert 6 == len(rows)
    assert [
        tuple(row) for row in tx.execute(text(f"SELECT {columns} FROM examples ORDER BY 1"))
    ] == [
        (
            row.example.item_id,
            row.example.text,
            row.example.language,
            row.example.surface,
            row.example.group_id,
            row.example.labels,
            row.example.weight,
            row.batch_id,
        )
        for row in rows
    ]


def test_an_earlier_bound_gives_the_examples_of_then(tx: Connection) -> None:
    policy, entries = asked(tx, ["i1", "i2", "i3"])
    annotate(tx, entries[0], {"hate": True})
    annotate(tx, entries[1], {"hate": False})
    resolve_entries(tx, entries, policy)
    bound = last_label_id(tx, policy.policy_id)
    then = read_examples(tx, policy.policy_id, measuring_fraction=0.0)
    annotate(tx, entries[0], kind="deleted", version=1)
    annotate(tx, entries[1], {"hate": True}, version=1)
    annotate(tx, entries[2], {"hate": True})
    resolve_entries(tx, entries, policy)

    again = read_examples(tx, policy.policy_id, measuring_fraction=0.0, upto_label_id=bound)
    now = read_examples(tx, policy.policy_id, measuring_fraction=0.0)

    assert then == again
    assert [("i2", {"hate": 1.0}), ("i3", {"hate": 1.0})] == [
        (row.example.item_id, row.example.labels) for row in now
    ]


def _mended(policy: Policy, **changed: Any) -> Policy:
    """The same policy with a changed first category."""
    body = policy.model_dump(mode="json")
    body["category"][0] |= changed
    return policy_from(body, where="mended policy")


def test_a_moved_threshold_or_hotkey_costs_no_label(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry)
    resolve_entries(tx, [entry], policy)
    moved = add_policy(tx, _mended(policy, threshold=0.7, hotkey="x", review_from=0.1))

    (row,) = read_examples(tx, moved.policy_id, measuring_fraction=0.0)

    assert moved.policy_id != policy.policy_id
    assert {"hate": 0.0, "spam": 0.0} == row.example.labels


def test_a_reworded_definition_costs_the_labels_of_its_category_alone(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry)
    resolve_entries(tx, [entry], policy)
    reworded = add_policy(tx, _mended(policy, definition="Attacks a person."))

    (row,) = read_examples(tx, reworded.policy_id, measuring_fraction=0.0)

    assert {"spam": 0.0} == row.example.labels


def test_a_policy_that_continues_another_keeps_its_labels_whatever_the_words(
    tx: Connection,
) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry)
    resolve_entries(tx, [entry], policy)
    mended = _mended(policy, definition="Attacks a group of people.")
    mended = add_policy(tx, mended.model_copy(update={"continues": policy.policy_id}))

    (row,) = read_examples(tx, mended.policy_id, measuring_fraction=0.0)

    assert {"hate": 0.0, "spam": 0.0} == row.example.labels


def test_an_item_on_the_wrong_side_of_its_pick_neither_trains_nor_measures(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"i1": "one", "i2": "two"})
    entries = [
        *add_entries(tx, ["i1"], policy=policy, inclusion_probability=0.5),
        *add_entries(tx, ["i2"], policy=policy, batch_id="b2"),
    ]
    move(tx, entries, EntryState.DISPATCHED)
    for entry in entries:
        annotate(tx, entry)
    resolve_entries(tx, entries, policy)

    def found(fraction: float) -> list[tuple[str, Split]]:
        rows = on_one_side(read_examples(tx, policy.policy_id, measuring_fraction=fraction))
        return [(row.example.item_id, row.example.split) for row in rows]

    assert [("i1", Split.TEST)] == found(1.0)
    assert [("i2", Split.TRAIN)] == found(0.0)


def test_a_near_copy_of_what_measures_is_not_trained_on_whoever_wrote_it(tx: Connection) -> None:
    policy = add_policy(tx)
    fraction = 0.5
    on = {side(f"author-{k}", measuring_fraction=fraction): f"author-{k}" for k in range(20)}
    add_items(tx, {"audited": "Buy gold NOW!!"}, group_id=on[Split.TEST])
    add_items(tx, {"copy": "buy gold now", "other": "a walk"}, group_id=on[Split.TRAIN])
    entries = [
        *add_entries(tx, ["audited"], policy=policy, inclusion_probability=0.5),
        *add_entries(tx, ["copy", "other"], policy=policy, batch_id="b2"),
    ]
    move(tx, entries, EntryState.DISPATCHED)
    for entry in entries:
        annotate(tx, entry)
    resolve_entries(tx, entries, policy)

    rows = on_one_side(read_examples(tx, policy.policy_id, measuring_fraction=fraction))

    assert ["audited", "other"] == [row.example.item_id for row in rows]


def test_a_policy_cannot_continue_one_that_nobody_knows(tx: Connection) -> None:
    with pytest.raises(UnknownPolicy, match="continues community@0-x"):
        add_policy(tx, make_policy(continues="community@0-x"))


def test_labels_of_a_policy_with_another_name_do_not_count(tx: Connection) -> None:
    policy, (entry,) = asked(tx, ["i1"])
    annotate(tx, entry)
    resolve_entries(tx, [entry], policy)
    other = add_policy(tx, make_policy(name="other"))

    assert [] == read_examples(tx, other.policy_id, measuring_fraction=0.0)


def test_a_snapshot_found_again_is_the_newest_once_more(tx: Connection) -> None:
    policy = add_policy(tx)

    def record(name: str, upto: int) -> bool:
        return record_snapshot(
            tx,
            snapshot_id=SnapshotId(name),
            policy_id=policy.policy_id,
            path=f"snapshots/{name}",
            examples=3,
            labels=5,
            last_label_id=upto,
        )

    assert (True, True) == (record("s1", 10), record("s2", 20))
    assert "s2" == getattr(newest_snapshot(tx, policy.policy_id), "snapshot_id", None)
    assert not record("s1", 30)  # the labels of 20 were taken back: s1 is how things stand
    found = find_snapshot(tx, SnapshotId("s1"))
    assert found is not None
    assert ("snapshots/s1", 3, 5, 30) == (
        found.path,
        found.examples,
        found.labels,
        found.last_label_id,
    )
    newest = newest_snapshot(tx, policy.policy_id)
    assert newest is not None
    assert "s1" == newest.snapshot_id
    assert None is find_snapshot(tx, SnapshotId("s3"))
    assert None is newest_snapshot(tx, PolicyId("other"))
