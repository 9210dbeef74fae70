"""The books: what balances, and what a difference is called."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import Connection

from hitl.reports import Counts, accounts, count_loop
from tests.builders import add_entries, add_items, add_policy


def make_counts(**changed: int) -> Counts:
    balanced = dict.fromkeys([f.name for f in dataclasses.fields(Counts)], 0)
    balanced |= {"picks": 10, "entries": 10, "entries_waiting": 4, "entries_done": 6}
    balanced |= {"entries_ever_dispatched": 6, "review_tasks": 6}
    balanced |= {"annotations_submitted": 7, "votes_of_newest": 6, "rejects_of_newest": 1}
    balanced |= {"entries_with_labels": 6, "items_with_labels": 6, "examples": 6}
    return Counts(**(balanced | changed))


def test_balanced_books_balance() -> None:
    found = accounts(make_counts(), tasks_in_label_studio=6, annotations_in_label_studio=7)

    assert 8 == len(found)
    assert all(one.balances for one in found)


@pytest.mark.parametrize(
    ("field", "account"),
    [
        ("entries", "picks = entries"),
        ("entries_dead", "entries = sum of states"),
        ("review_tasks", "entries ever dispatched = review tasks"),
        ("votes_of_newest", "submitted annotations = votes + set aside"),
        ("entries_with_labels", "entries done = entries with labels"),
        ("examples", "items with labels = examples"),
        ("adjudication_tasks", "tasks here = tasks in Label Studio"),
        ("annotations_skipped", "annotations here = annotations in Label Studio"),
    ],
)
def test_one_too_many_anywhere_is_found_and_named(field: str, account: str) -> None:
    off = make_counts(**{field: getattr(make_counts(), field) + 1})

    found = accounts(off, tasks_in_label_studio=6, annotations_in_label_studio=7)

    assert account in [one.name for one in found if not one.balances]


@pytest.mark.postgres
def test_counts_come_from_the_tables(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"i1": "a", "i2": "b"})
    add_entries(tx, ["i1", "i2"], policy=policy)

    counts = count_loop(tx, policy.policy_id)

    assert (2, 2, 2, 0) == (counts.picks, counts.entries, counts.entries_waiting, counts.examples)
    assert all(one.balances for one in accounts(counts))
