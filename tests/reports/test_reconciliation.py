"""The books: what balances, and what a difference is called."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import Connection

from hitl.reports import (
    Account,
    Counts,
    Here,
    There,
    accounts,
    accounts_with_label_studio,
    count_loop,
)
from tests.builders import add_entries, add_items, add_policy


def make_counts(**changed: int) -> Counts:
    balanced = dict.fromkeys([f.name for f in dataclasses.fields(Counts)], 0)
    balanced |= {"picks": 10, "entries": 10, "entries_waiting": 2, "entries_done": 8}
    balanced |= {"turns": 2, "open_items": 2}
    balanced |= {"entries_to_review": 8, "entries_with_review_task": 8}
    balanced |= {"annotations_submitted": 9, "votes_of_newest": 8, "rejects_of_newest": 1}
    balanced |= {"entries_with_labels": 6, "items_with_labels": 6, "examples": 6}
    balanced |= {"entries_done_cannot_tell": 1, "entries_done_taken_back": 1}
    return Counts(**(balanced | changed))


def names_off(found: list[Account]) -> list[str]:
    return [one.name for one in found if not one.balances]


def test_balanced_books_balance() -> None:
    assert [] == names_off(accounts(make_counts()))


@pytest.mark.parametrize(
    ("field", "account"),
    [
        ("entries", "picks = entries"),
        ("entries_dead", "entries = sum of states"),
        ("turns", "entries waiting = turns"),
        ("open_items", "entries open = open items"),
        ("entries_with_review_task", "entries to review = review tasks"),
        ("votes_of_newest", "submitted annotations = votes + set aside"),
        ("entries_with_labels", "entries done = with labels + without an answer"),
        ("examples", "items with labels = examples"),
    ],
)
def test_one_too_many_anywhere_is_found_and_named(field: str, account: str) -> None:
    off = make_counts(**{field: getattr(make_counts(), field) + 1})

    assert account in names_off(accounts(off))


HERE = Here(
    is_open={(1, 10): True, (1, 11): False, (2, 10): False},
    annotations={(1, 11): frozenset({"5@a"}), (2, 10): frozenset({"5@b", "6@b"})},
)
SAME = {(1, 10): frozenset[str](), **HERE.annotations}
LOST, DOUBLED = "tasks here = tasks in Label Studio", "tasks in Label Studio = tasks here"
TAKEN = "annotations here = annotations in Label Studio"
FRESH = "annotations in Label Studio = annotations here"


def without(key: tuple[int, int]) -> dict[Any, Any]:
    return {one: ids for one, ids in SAME.items() if one != key}


@pytest.mark.parametrize(
    ("there", "off"),
    [
        (SAME, []),
        (without((1, 10)), [LOST]),
        (without((1, 11)), []),  # answered, and cleared out by somebody
        ({**SAME, (1, 12): frozenset()}, [DOUBLED]),
        ({**without((1, 10)), (1, 12): frozenset()}, [LOST, DOUBLED]),
        ({**SAME, (1, 11): frozenset()}, [TAKEN]),
        ({**SAME, (1, 10): frozenset({"9@a"})}, [FRESH]),
        ({**SAME, (1, 11): frozenset({"7@a"})}, [TAKEN, FRESH]),
    ],
)
def test_tasks_and_annotations_are_compared_one_by_one(there: Any, off: list[str]) -> None:
    assert off == names_off(accounts_with_label_studio(HERE, There(there)))


def test_what_may_differ_is_told_on_lines_of_its_own() -> None:
    here = dataclasses.replace(HERE, annotations={**HERE.annotations, (1, 12): frozenset({"8@a"})})
    there = There({**without((2, 10)), (1, 12): frozenset({"8@a"})}, foreign_tasks=3)

    found = accounts_with_label_studio(here, there)

    assert [] == names_off(found)
    told = {one.name: one.left for one in found if one.right is None}
    assert {
        "tasks cleared out of Label Studio": 1,
        "tasks answered twice": 1,
        "tasks in Label Studio not of ours": 3,
    } == told


@pytest.mark.postgres
def test_counts_come_from_the_tables(tx: Connection) -> None:
    policy = add_policy(tx)
    add_items(tx, {"i1": "a", "i2": "b"})
    add_entries(tx, ["i1", "i2"], policy=policy)

    counts = count_loop(tx, policy)

    assert (2, 2, 2, 0) == (counts.picks, counts.entries, counts.entries_waiting, counts.examples)
    assert [] == names_off(accounts(counts))
